package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"penstock/ingest"
)

// ErrBytesGone says that the bytes of a file version are to be had no more:
// the file is gone, or its path has other content now.
var ErrBytesGone = errors.New("its bytes are gone")

// A Correction takes file versions out of the readings, and may load them
// again from their bytes. Loaded files that had readings where one is taken
// out put theirs there. All of it is one transaction.
type Correction struct {
	Files  []FileVersion // of one source; in append mode Reload leaves out those that a later generation has succeeded
	Reload bool          // load them again; else they are Undone
	Force  bool          // go on where bytes are gone: what they held is lost
	DryRun bool          // roll back in the end
	Action Action        // OSUser, Host, Command and Reason are to be filled in; Run when this goes on with another correction's, whose action it then is

	// Read appends the readings of a file version to b as one span, from the
	// bytes that the ledger has the digest of. again is true for a version that
	// Reload loads anew, with whatever recipe is now asked for; false for one
	// whose readings are put back, which must be read by the recipe that the
	// ledger has for it. ErrBytesGone when there are no such bytes.
	Read func(ctx context.Context, v FileVersion, again bool, b *ingest.Batch) error

	// Change is told each instant whose reading changes, in the order of
	// series and time; nil for none.
	Change func(Change) error
}

// A Change is what a correction does to one instant of a series.
type Change struct {
	Logger, Channel string
	Time            time.Time
	Before, After   *float64 // nil where there is no reading
}

// Corrected is what a Correction did, or in a dry run would do.
type Corrected struct {
	Outcomes []ingest.Outcome // of the files loaded again, in the order of Correction.Files
	Undone   int
	Removed  int64         // readings taken out
	Restored []FileVersion // loaded files that put readings where some were taken out
	Gone     []FileVersion // their bytes are gone, so that they could not be read
	Due      int64         // duplicates of undone files, now to be taken up in their place
	Run      int32         // the run it is told under; 0 in a dry run
}

// Correct carries out a correction. Without Force it refuses, with ErrBytesGone,
// where a file that it needs cannot be read any more; Gone then lists them.
// Files in states that hold no readings are taken out just the same.
func (s *Store) Correct(ctx context.Context, what Correction) (*Corrected, error) {
	if len(what.Files) == 0 {
		return &Corrected{}, nil
	}
	source := &what.Files[0]
	policy, err := s.policyOf(ctx, source.Source)
	if err != nil {
		return nil, err
	}
	sink := &Sink{store: s, options: SinkOptions{Source: source.Source, Policy: policy, Log: slog.New(slog.DiscardHandler)}}
	if sink.run = what.Action.Run; sink.run == 0 && !what.DryRun {
		if sink.run, _, _, err = s.startRun(ctx, 0); err != nil {
			return nil, err
		}
	}
	if s.layout.Append && what.Reload {
		if what.Files, err = s.withoutSucceeded(ctx, what.Files); err != nil || len(what.Files) == 0 {
			return &Corrected{}, err
		}
	}
	k := &correction{Correction: what, store: s, committer: committer{sink: sink, chunk: newToken()}}
	defer k.giveBack()
	err = k.retrying(ctx, func() error { return k.run(ctx) })
	if err != nil && !errors.Is(err, ErrBytesGone) {
		return nil, fmt.Errorf("correcting %d files of source %q: %w", len(what.Files), source.Source, err)
	}
	return &k.result, err
}

func (s *Store) policyOf(ctx context.Context, source string) (Policy, error) {
	o, err := s.SourceOptions(ctx, source)
	if err != nil || o == nil {
		return Latest, err
	}
	return o.Policy, nil
}

// A correction under way. It is a committer that claims versions by their ids.
type correction struct {
	committer
	Correction
	store    *Store
	result   Corrected
	ids      []int64 // of Files
	overlaps []int64 // of the files that may have readings to put back
	contents columns // that Files stood for
	sent     bool    // a commit, and its outcome is not known
}

// run is one attempt at the transaction.
func (k *correction) run(ctx context.Context) error {
	if err := k.connect(ctx); err != nil {
		return err
	}
	if done, err := k.committed(ctx); done || err != nil {
		return err
	}
	k.result = Corrected{Run: k.sink.run}
	k.ids = fileIDs(k.Files)
	k.sink.series.known = nil // an attempt that was rolled back may have added some
	again, restore, err := k.read(ctx)
	if err != nil {
		return err
	}
	if err := k.makeStaging(ctx); err != nil {
		return err
	}
	if _, err := k.conn.Exec(ctx, "begin").ReadAll(); err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	err = k.transaction(ctx, again, restore)
	if err != nil || k.DryRun {
		k.rollback(ctx)
		return err
	}
	k.sent = true
	return k.commit(ctx)
}

// newToken draws what stands as the chunk of the file versions that a correction
// changed. Several corrections may go under one run.
func newToken() int32 {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return int32(binary.BigEndian.Uint32(b[:]) >> 1)
}

// committedSQL waits for whoever is changing the versions, and then looks for
// the token.
const committedSQL = `with locked as materialized (select run, chunk from files where id = any($1) order by id for update)
	select exists (select from locked where run = $2::int4 and chunk = $3::int4)`

// committed reports whether an attempt whose outcome was lost came through.
func (k *correction) committed(ctx context.Context) (done bool, err error) {
	if !k.sent {
		return false, nil
	}
	params := append(ids(k.ids), int4Param(k.sink.run), int4Param(k.chunk))
	if err := k.exec(ctx, committedSQL, params, func(r *record) { done = r.bool() }); err != nil {
		return false, fmt.Errorf("looking for what an earlier try committed: %w", err)
	}
	k.sent = false
	return done, nil
}

// read reads the bytes of all files that are to be loaded again, or whose
// readings are to be put back, before anything is locked.
func (k *correction) read(ctx context.Context) (again, restore *ingest.Batch, err error) {
	again, restore = &ingest.Batch{}, &ingest.Batch{}
	if k.Reload {
		if err := k.readAll(ctx, k.Files, true, again); err != nil {
			return nil, nil, err
		}
	}
	k.result.Restored, err = k.overlapping(ctx, again)
	if err == nil {
		err = k.readAll(ctx, k.result.Restored, false, restore)
	}
	if err == nil && len(k.result.Gone) > 0 && !k.Force {
		err = fmt.Errorf("%w: of %d file versions that are needed, the first is %s, generation %d",
			ErrBytesGone, len(k.result.Gone), k.result.Gone[0].Display, k.result.Gone[0].Generation)
	}
	k.overlaps = fileIDs(k.result.Restored)
	k.result.Restored = slices.DeleteFunc(k.result.Restored, func(v FileVersion) bool {
		return slices.ContainsFunc(k.result.Gone, func(g FileVersion) bool { return g.ID == v.ID })
	})
	return again, restore, err
}

func (k *correction) readAll(ctx context.Context, files []FileVersion, again bool, b *ingest.Batch) error {
	for _, v := range files {
		err := k.Read(ctx, v, again, b)
		if errors.Is(err, ErrBytesGone) {
			k.result.Gone = append(k.result.Gone, v)
			continue
		}
		if err != nil {
			return &callersError{fmt.Errorf("reading %s again: %w", v.Display, err)}
		}
		s := &b.Spans[len(b.Spans)-1]
		s.Ledger, s.Sum = v.ID, v.Sum
	}
	return nil
}

func (k *correction) transaction(ctx context.Context, again, restore *ingest.Batch) error {
	if err := k.lock(ctx); err != nil {
		return err
	}
	if err := k.remember(ctx); err != nil {
		return err
	}
	if err := k.exec(ctx, anewSQL, ids(k.ids), nil); err != nil {
		return err
	}
	if err := k.takeOut(ctx); err != nil {
		return err
	}
	if err := k.stillOverlapping(ctx, again); err != nil {
		return err
	}
	if k.Reload {
		if err := k.loadAgain(ctx, again); err != nil {
			return err
		}
	}
	if err := k.restore(ctx, restore); err != nil {
		return err
	}
	if err := k.orphan(ctx); err != nil {
		return err
	}
	if k.Reload { // they may have other series now
		if err := k.exec(ctx, anewSQL, ids(k.ids), nil); err != nil {
			return err
		}
	}
	if err := k.record(ctx); err != nil {
		return err
	}
	return k.tellChanges(ctx) // last: what is told cannot be taken back by another try
}

// lock takes the rows of the ledger that are to change and makes sure that
// they are what was selected: else the selection is to be made again.
func (k *correction) lock(ctx context.Context) error {
	type standing struct {
		state      ingest.State
		generation int32 // a file that has grown meanwhile is another one under the same id
	}
	selected := make(map[int64]standing, len(k.Files))
	for i := range k.Files {
		selected[k.Files[i].ID] = standing{k.Files[i].State, k.Files[i].Generation}
	}
	k.contents = newColumns(oidUUID)
	same, loaded := 0, 0
	err := k.exec(ctx, "select id, state::text, generation, content from files where id = any($1) order by id for update", ids(slices.Concat(k.ids, k.overlaps)), func(r *record) {
		id, is := r.int8(), standing{ingest.State(r.text()), r.int4()}
		was, chosen := selected[id]
		switch {
		case !chosen && is.state == ingest.Loaded:
			loaded++
		case chosen && is == was:
			same++
		}
		if chosen && is.state == ingest.Loaded && !r.null() {
			content := r.uuid()
			k.contents[0].bytes(content[:])
		}
	})
	switch {
	case err != nil:
		return err
	case same != len(selected):
		return errors.New("the ledger changed since the files were selected: try again")
	case loaded != len(k.overlaps):
		return errRaced
	}
	return nil
}

// remember keeps what stands of the correction's files, where the changes are to
// be told.
func (k *correction) remember(ctx context.Context) error {
	if k.Change == nil {
		return nil
	}
	return k.exec(ctx, `create temp table standing_before on commit drop as
		select r.series_id, r.ts, r.value from receipts p join readings r on r.file_id = p.file_id
			and r.series_id = any(p.series) and r.ts between p.first_ts and p.last_ts
		where p.file_id = any($1)`, ids(k.ids), nil)
}

// takeOut removes the files' readings and what others took from them. What
// they took from others stays told until these are restored: where the bytes
// are gone it never is.
func (k *correction) takeOut(ctx context.Context) error {
	err := k.takeOutReadings(ctx, k.ids, func(_, readings int64) { k.result.Removed += readings })
	if err == nil { // of such as are loading
		err = k.exec(ctx, forgetPartsSQL, ids(k.ids), nil)
	}
	if err == nil {
		err = k.exec(ctx, "delete from takeovers where from_file = any($1)", ids(k.ids), nil)
	}
	if err != nil || k.Reload {
		return err
	}
	if err := k.exec(ctx, "delete from held where file_id = any($1)", ids(k.ids), nil); err != nil {
		return err
	}
	return k.mark(ctx, ingest.Undone, func(*record) { k.result.Undone++ })
}

// mark sets the state of the correction's files, with its token.
func (k *correction) mark(ctx context.Context, state ingest.State, each func(*record)) error {
	return k.exec(ctx, "update files set state = $2::text::file_state, run = $3::int4, chunk = $4::int4, "+changedNow+" where id = any($1) returning id",
		append(ids(k.ids), []byte(state), int4Param(k.sink.run), int4Param(k.chunk)), each)
}

// orphanSQL makes the duplicates of contents that nobody holds any more due:
// the next listing takes them for themselves. Of a path only its newest
// version is ever taken up. %s is one more condition.
const orphanSQL = `update files d set state = 'due', ` + changedNow + `
	where d.state = 'duplicate' and d.content = any($1::uuid[])
		and not exists (select from files n where n.key = d.key and n.generation > d.generation) %s returning d.id`

// orphan makes due the duplicates of what the files stood for, where no other
// file stands for it now.
func (k *correction) orphan(ctx context.Context) error {
	return k.exec(ctx, fmt.Sprintf(orphanSQL, "and not exists (select from files l where l.content = d.content and l.state = 'loaded')"),
		k.contents.params(), func(*record) { k.result.Due++ })
}

// loadAgain stores the files from their bytes under their old ids and ranks.
func (k *correction) loadAgain(ctx context.Context, b *ingest.Batch) error {
	versions := byID(k.Files)
	if err := k.withholdUnanswered(ctx, b, versions); err != nil {
		return err
	}
	take := spansOf(b)
	if err := k.resolve(ctx, b, take); err != nil {
		return err
	}
	before, err := k.beforeTimes(ctx)
	if err != nil {
		return err
	}
	if !k.DryRun {
		if err := k.recordFeeds(ctx, b, take); err != nil {
			return err
		}
	}
	k.claims = k.claims[:0]
	for i := range b.Spans {
		s := &b.Spans[i]
		v := versions[s.Ledger]
		cl := claim{span: i, id: v.ID, key: FileKey(v.Source, v.Path), state: s.State, reason: remark(s), generation: v.Generation}
		cl.newest = &version{id: v.ID, generation: v.Generation}
		cl.rank = rankOf(&v, cl.key)
		if s.NameTime != 0 {
			cl.rank.time = max(s.NameTime, firstInstant)
			if t, ok := before[v.ID]; ok {
				cl.rank.time = max(cl.rank.time, t)
			}
		}
		if s.State == ingest.Loaded {
			cl.content = contentKey(s)
		}
		if s.Receipt.Cells.Withheld > 0 {
			cl.waitsOn, cl.reason = true, v.Reason
		} else if waits(s) && !k.DryRun {
			if err := k.sink.ask(ctx, s.Shape); err != nil {
				return err
			}
		}
		if s.Recipe != nil && !k.DryRun {
			var err error
			if cl.recipe, err = k.sink.recipeID(ctx, s.Recipe); err != nil {
				return err
			}
		}
		k.claims = append(k.claims, cl)
	}
	if err := k.decideAgain(ctx); err != nil {
		return err
	}
	if err := k.decidePasses(ctx, b); err != nil {
		return err
	}
	k.sort(b)
	if err := k.contested(); err != nil {
		return err
	}
	if err := k.storeAll(ctx, b); err != nil {
		return err
	}
	if err := k.account(ctx, b); err != nil {
		return err
	}
	for i := range k.claims {
		cl := &k.claims[i]
		s := &b.Spans[cl.span]
		k.result.Outcomes = append(k.result.Outcomes, ingest.Outcome{File: s.File, State: cl.state, Reason: cl.reason,
			FileID: cl.id, Generation: cl.generation, Receipt: s.Receipt, Rejects: len(s.Rejects)})
	}
	return nil
}

// beforeTimes is the rank times of the generations before the files'.
func (k *correction) beforeTimes(ctx context.Context) (map[int64]int64, error) {
	times := make(map[int64]int64)
	err := k.exec(ctx, `select f.id, p.rank_time from files f join files p on p.key = f.key and p.generation = f.generation - 1
		where f.id = any($1)`, ids(k.ids), func(r *record) { times[r.int8()] = r.time() })
	return times, err
}

func rankOf(v *FileVersion, key [16]byte) rank {
	return rank{number: v.Rank, time: ingest.Micros(v.RankTime), path: v.Display, generation: v.Generation, key: key}
}

// decideAgain settles duplicates among the claims and against the ledger, and
// writes the versions' new states. They are due meanwhile, so that none of
// them stands in another's way.
func (k *correction) decideAgain(ctx context.Context) error {
	if err := k.mark(ctx, ingest.Due, nil); err != nil {
		return err
	}
	contents := newColumns(oidUUID)
	for i := range k.claims {
		contents[0].bytes(k.claims[i].content[:])
	}
	twins := make(map[[16]byte]twin)
	if err := k.rows(ctx, claimTwins, contents.params(), readTwins(twins)); err != nil {
		return err
	}
	if err := k.rows(ctx, claimLost, contents.params(), markLost(twins)); err != nil {
		return err
	}
	k.decideContents(twins)
	demote := newColumns(oidInt8)
	write := newColumns(oidInt8, oidText, oidText, oidUUID, oidInt4, oidTimestamptz)
	for i := range k.claims {
		cl := &k.claims[i]
		if cl.demote != 0 {
			demote[0].int8(cl.demote)
		}
		write[0].int8(cl.id)
		write[1].text(string(cl.state))
		write[2].text(plain(cl.reason))
		write[3].bytes(cl.content[:])
		write[4].int4(cl.recipe)
		write[5].time(cl.rank.time)
	}
	if err := k.rows(ctx, claimDemote, demote.params(), nil); err != nil {
		return err
	}
	return k.exec(ctx, `update files f set state = c.state::file_state, reason = nullif(c.reason, ''),
			content = case when c.state in ('loaded', 'duplicate') then c.content end, recipe = nullif(c.recipe, 0),
			rank_time = c.rank_time
		from unnest($1::int8[], $2::text[], $3::text[], $4::uuid[], $5::int4[], $6::timestamptz[])
			as c(id, state, reason, content, recipe, rank_time) where f.id = c.id`, write.params(), nil)
}

// tellChanges compares what stood with what stands at the same instants and at
// those of the files that were loaded again.
func (k *correction) tellChanges(ctx context.Context) error {
	if k.Change == nil {
		return nil
	}
	var failed error
	err := k.exec(ctx, `with after as (
			select r.series_id, r.ts, r.value from receipts p join readings r on r.file_id = p.file_id
				and r.series_id = any(p.series) and r.ts between p.first_ts and p.last_ts
			where p.file_id = any($1)
			union
			select r.series_id, r.ts, r.value from standing_before b join readings r on r.series_id = b.series_id and r.ts = b.ts)
		select s.logger, s.channel, ts, b.value, a.value
		from standing_before b full join after a using (series_id, ts) join series s on s.id = series_id
		where b.value is distinct from a.value order by 1, 2, 3`, ids(k.ids), func(r *record) {
		c := Change{Logger: r.text(), Channel: r.text(), Time: ingest.FromMicros(r.time())}
		if !r.null() {
			v := r.float8()
			c.Before = &v
		}
		if !r.null() {
			v := r.float8()
			c.After = &v
		}
		if failed == nil {
			failed = k.Change(c)
		}
	})
	if failed != nil {
		return &callersError{failed}
	}
	return err
}

// record writes the action beside what it did, and has listeners told of it.
func (k *correction) record(ctx context.Context) error {
	readings := k.result.Removed
	for i := range k.result.Outcomes {
		c := &k.result.Outcomes[i].Receipt.Cells
		readings += c.Stored + c.Replaced
	}
	payload, err := payloadOf(k.store.options.Schema, map[string]brought{k.sink.options.Source: {int64(len(k.Files)), readings}})
	if err != nil {
		return err
	}
	if err := k.exec(ctx, notifySQL, [][]byte{payload}, nil); err != nil {
		return err
	}
	k.Action.Run = k.sink.run
	return recordAction(ctx, k.conn, k.Action, len(k.Files), readings)
}

// exec runs one statement within the transaction.
func (k *correction) exec(ctx context.Context, sql string, params [][]byte, each func(*record)) error {
	return execute(ctx, k.conn, sql, params, each)
}

// spansOf takes all spans that hold readings.
func spansOf(b *ingest.Batch) []bool {
	take := make([]bool, len(b.Spans))
	for i := range take {
		take[i] = b.Spans[i].State == ingest.Loaded
	}
	return take
}

func byID(files []FileVersion) map[int64]FileVersion {
	m := make(map[int64]FileVersion, len(files))
	for _, v := range files {
		m[v.ID] = v
	}
	return m
}

func fileIDs(files []FileVersion) []int64 {
	ids := make([]int64, len(files))
	for i := range files {
		ids[i] = files[i].ID
	}
	return ids
}

func ids(ids []int64) [][]byte {
	c := newColumns(oidInt8)
	for _, id := range ids {
		c[0].int8(id)
	}
	return c.params()
}

package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
)

// ErrBytesGone says that the bytes of a file version are to be had no more:
// the file is gone, or its path has other content now.
var ErrBytesGone = errors.New("its bytes are gone")

// A Correction takes file versions out of the readings, and may load them
// again from their bytes. Loaded files that had readings where one is taken
// out put theirs there. All of it is one transaction.
type Correction struct {
	Files  []FileVersion // of one source
	Reload bool          // load them again; else they are Undone
	Force  bool          // go on where bytes are gone: what they held is lost
	DryRun bool          // roll back in the end
	Action Action        // OSUser, Host, Command and Reason are to be filled in

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
}

// Correct carries out a correction. Without Force it refuses, with ErrBytesGone,
// where a file that it needs cannot be read any more; Gone then lists them.
// Files in states that hold no readings are taken out just the same.
func (s *Store) Correct(ctx context.Context, what Correction) (*Corrected, error) {
	if len(what.Files) == 0 {
		return &Corrected{}, nil
	}
	source := &what.Files[0]
	sink := &Sink{store: s, options: SinkOptions{Source: source.Source, Policy: s.policyOf(ctx, source.Source), Log: slog.New(slog.DiscardHandler)}}
	if !what.DryRun {
		var err error
		if sink.run, err = s.startRun(ctx); err != nil {
			return nil, err
		}
	}
	k := &correction{Correction: what, store: s, committer: committer{sink: sink, chunk: 1}}
	defer k.disconnect()
	err := k.retrying(ctx, func() error { return k.run(ctx) })
	if err != nil && !errors.Is(err, ErrBytesGone) {
		return nil, fmt.Errorf("correcting %d files of source %q: %w", len(what.Files), source.Source, err)
	}
	return &k.result, err
}

func (s *Store) policyOf(ctx context.Context, source string) (p Policy) {
	if err := s.pool.QueryRow(ctx, "select on_conflict from sources where name = $1", source).Scan(&p); err != nil {
		return Latest
	}
	return p
}

// A correction under way. It is a committer that claims versions by their ids.
type correction struct {
	committer
	Correction
	store  *Store
	result Corrected
	ids    []int64 // of Files
}

// run is one attempt at the transaction.
func (k *correction) run(ctx context.Context) error {
	k.result = Corrected{}
	k.ids = k.ids[:0]
	for i := range k.Files {
		k.ids = append(k.ids, k.Files[i].ID)
	}
	again, restore, err := k.read(ctx)
	if err != nil {
		return err
	}
	if err := k.connect(ctx); err != nil {
		return err
	}
	if err := k.makeStaging(ctx); err != nil {
		return err
	}
	if _, err := k.conn.Exec(ctx, "begin").ReadAll(); err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	err = k.transaction(ctx, again, restore)
	if err == nil && !k.DryRun {
		_, err = k.conn.Exec(ctx, "commit").ReadAll()
		return err
	}
	k.rollback(ctx)
	return err
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
	k.result.Restored, err = k.overlapping(ctx)
	if err == nil {
		err = k.readAll(ctx, k.result.Restored, false, restore)
	}
	if err == nil && len(k.result.Gone) > 0 && !k.Force {
		err = fmt.Errorf("%w: of %d file versions that are needed, the first is %s, generation %d",
			ErrBytesGone, len(k.result.Gone), k.result.Gone[0].Display, k.result.Gone[0].Generation)
	}
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
			return fmt.Errorf("reading %s again: %w", v.Display, err)
		}
		s := &b.Spans[len(b.Spans)-1]
		s.Ledger, s.Sum = v.ID, v.Sum
	}
	return nil
}

// overlapping lists the loaded files that may have a reading to put where one
// of the correction's is taken out: those that have lost one to another file,
// or never had it stored, within the same series and instants.
func (k *correction) overlapping(ctx context.Context) ([]FileVersion, error) {
	lost := "r.unchanged + r.outranked > 0 or "
	if k.store.layout.Append {
		lost = ""
	}
	rows, err := k.store.pool.Query(ctx, selectFiles+` where f.state = 'loaded' and f.id <> all($1)
		and (`+lost+`exists (select from takeovers t where t.from_file = f.id and t.by_file = any($1)))
		and exists (select from receipts x where x.file_id = any($1)
			and x.first_ts <= r.last_ts and x.last_ts >= r.first_ts and x.series && r.series)
		order by f.id`, k.ids)
	if err != nil {
		return nil, fmt.Errorf("looking for files that overlap: %w", err)
	}
	defer rows.Close()
	var files []FileVersion
	for rows.Next() {
		v, err := scanFile(rows)
		if err != nil {
			return nil, err
		}
		files = append(files, v)
	}
	return files, rows.Err()
}

func (k *correction) transaction(ctx context.Context, again, restore *ingest.Batch) error {
	if err := k.lock(ctx); err != nil {
		return err
	}
	if err := k.remember(ctx); err != nil {
		return err
	}
	if err := k.takeOut(ctx); err != nil {
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
	if err := k.tellChanges(ctx); err != nil {
		return err
	}
	return k.record(ctx)
}

// lock takes the rows of the ledger that are to change and makes sure that
// they are what was selected: else the selection is to be made again.
func (k *correction) lock(ctx context.Context) error {
	n := 0
	states := make(map[int64]ingest.State, len(k.Files))
	for i := range k.Files {
		states[k.Files[i].ID] = k.Files[i].State
	}
	changed := false
	err := k.exec(ctx, "select id, state::text from files where id = any($1) order by id for update", ids(k.ids), func(r *record) {
		n++
		changed = changed || states[r.int8()] != ingest.State(r.text())
	})
	if err == nil && (n != len(k.Files) || changed) {
		err = errors.New("the ledger changed since the files were selected: try again")
	}
	return err
}

// remember keeps what stands of the correction's files, to tell the changes.
func (k *correction) remember(ctx context.Context) error {
	return k.exec(ctx, `create temp table standing_before on commit drop as
		select r.series_id, r.ts, r.value from receipts p join readings r on r.file_id = p.file_id
			and r.series_id = any(p.series) and r.ts between p.first_ts and p.last_ts
		where p.file_id = any($1)`, ids(k.ids), nil)
}

// takeOut removes the files' readings and what others took from them, and
// makes their duplicates due when they are not loaded again themselves. What
// they took from others stays told until these are restored: where the bytes
// are gone it never is.
func (k *correction) takeOut(ctx context.Context) error {
	err := k.exec(ctx, supersedeSQL, ids(k.ids), func(r *record) {
		r.int8()
		k.result.Removed += r.int8()
	})
	if err == nil {
		err = k.exec(ctx, "delete from takeovers where from_file = any($1)", ids(k.ids), nil)
	}
	if err != nil || k.Reload {
		return err
	}
	err = k.exec(ctx, `update files d set state = 'due', changed = now() where d.state = 'duplicate' and d.id <> all($1)
		and d.content in (select content from files where id = any($1) and state = 'loaded') returning d.id`, ids(k.ids),
		func(*record) { k.result.Due++ })
	if err != nil {
		return err
	}
	return k.exec(ctx, "update files set state = 'undone', changed = now() where id = any($1) returning id", ids(k.ids),
		func(*record) { k.result.Undone++ })
}

// loadAgain stores the files from their bytes under their old ids and ranks.
func (k *correction) loadAgain(ctx context.Context, b *ingest.Batch) error {
	if err := k.resolve(ctx, b, spansOf(b)); err != nil {
		return err
	}
	versions := byID(k.Files)
	k.claims = k.claims[:0]
	for i := range b.Spans {
		s := &b.Spans[i]
		v := versions[s.Ledger]
		cl := claim{span: i, id: v.ID, key: fileKey(v.Source, v.Path), state: s.State, reason: s.Reason, generation: v.Generation}
		cl.newest = &version{id: v.ID, generation: v.Generation}
		cl.rank = rankOf(&v, cl.key)
		if s.NameTime != 0 {
			cl.rank.time = s.NameTime
		}
		if s.State == ingest.Loaded {
			cl.content = contentKey(s)
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
	k.sort(b)
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
			FileID: cl.id, Generation: cl.generation, Receipt: s.Receipt})
	}
	return nil
}

func rankOf(v *FileVersion, key [16]byte) rank {
	return rank{number: v.Rank, time: ingest.Micros(v.RankTime), path: v.Display, generation: v.Generation, key: key}
}

// decideAgain settles duplicates among the claims and against the ledger, and
// writes the versions' new states. They are due meanwhile, so that none of
// them stands in another's way.
func (k *correction) decideAgain(ctx context.Context) error {
	if err := k.exec(ctx, "update files set state = 'due' where id = any($1)", ids(k.ids), nil); err != nil {
		return err
	}
	contents := newColumns(oidUUID)
	for i := range k.claims {
		contents[0].bytes(k.claims[i].content[:])
	}
	twins := make(map[[16]byte]twin)
	if err := rows(ctx, k.conn, claimTwins, contents.params(), readTwins(twins)); err != nil {
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
	if err := rows(ctx, k.conn, claimDemote, demote.params(), nil); err != nil {
		return err
	}
	return k.exec(ctx, fmt.Sprintf(`update files f set state = c.state::file_state, reason = nullif(c.reason, ''),
			content = case when c.state in ('loaded', 'duplicate') then c.content end, recipe = nullif(c.recipe, 0),
			rank_time = c.rank_time, run = %d, chunk = %d, changed = now()
		from unnest($1::int8[], $2::text[], $3::text[], $4::uuid[], $5::int4[], $6::timestamptz[])
			as c(id, state, reason, content, recipe, rank_time) where f.id = c.id`, k.sink.run, k.chunk), write.params(), nil)
}

// restore puts the readings of files that overlap where there are none now, or
// some of lesser rank, and writes these files' receipts anew.
func (k *correction) restore(ctx context.Context, b *ingest.Batch) error {
	if len(b.Spans) == 0 {
		return nil
	}
	if err := k.resolve(ctx, b, spansOf(b)); err != nil {
		return err
	}
	versions := byID(k.result.Restored)
	k.claims = k.claims[:0]
	for i := range b.Spans {
		s := &b.Spans[i]
		v := versions[s.Ledger]
		if s.State != ingest.Loaded {
			return fmt.Errorf("reading %s again gave %s (%s), though its bytes and recipe are those it was loaded with", v.Display, s.State, s.Reason)
		}
		key := fileKey(v.Source, v.Path)
		k.claims = append(k.claims, claim{span: i, id: v.ID, key: key, state: ingest.Loaded, generation: v.Generation,
			newest: &version{id: v.ID, generation: v.Generation}, rank: rankOf(&v, key)})
	}
	// Their receipts are counted from what stands now, so that what others took
	// from them before is settled with it.
	restored := ids(fileIDs(k.result.Restored))
	if k.store.layout.Append {
		if err := k.exec(ctx, supersedeSQL, restored, func(*record) {}); err != nil {
			return err
		}
	}
	if err := k.exec(ctx, "delete from takeovers where from_file = any($1)", restored, nil); err != nil {
		return err
	}
	k.sort(b)
	if err := k.storeAll(ctx, b); err != nil {
		return err
	}
	k.takeovers = slices.DeleteFunc(k.takeovers, func(t takeover) bool { _, in := versions[t.from]; return in })
	return k.account(ctx, b)
}

// storeAll stores the sorted readings: through staging, for they meet others,
// but in append mode, where nothing is in the way, by a straight COPY.
func (k *correction) storeAll(ctx context.Context, b *ingest.Batch) error {
	k.staged = 0
	if !k.store.layout.Append {
		k.staged = 1
	}
	return k.storeReadings(ctx, b)
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
	return errors.Join(err, failed)
}

// record writes the action beside what it did.
func (k *correction) record(ctx context.Context) error {
	readings := k.result.Removed
	for i := range k.result.Outcomes {
		c := &k.result.Outcomes[i].Receipt.Cells
		readings += c.Stored + c.Replaced
	}
	return recordAction(ctx, k.conn, k.Action, len(k.Files), readings)
}

func recordAction(ctx context.Context, conn *pgconn.PgConn, a Action, files int, readings int64) error {
	_, err := conn.ExecParams(ctx, `insert into actions (os_user, host, command, reason, files, readings) values ($1, $2, $3, $4, $5, $6)`,
		[][]byte{[]byte(plain(a.OSUser)), []byte(plain(a.Host)), []byte(plain(a.Command)), []byte(plain(a.Reason)),
			[]byte(fmt.Sprint(files)), []byte(fmt.Sprint(readings))}, nil, nil, nil).Close()
	if err != nil {
		return fmt.Errorf("recording the action: %w", err)
	}
	return nil
}

// exec runs one statement within the transaction.
func (k *correction) exec(ctx context.Context, sql string, params [][]byte, each func(*record)) error {
	r := k.conn.ExecParams(ctx, sql, params, nil, binaryFormat, binaryFormat)
	eachRow(r, each)
	_, err := r.Close()
	return err
}

// MarkDue marks held, quarantined, undone and skipped versions as due, so that
// the next listing of their source takes them up again, and records the
// action. It returns how many it marked.
func (s *Store) MarkDue(ctx context.Context, files []FileVersion, a Action) (marked int64, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // of no effect after the commit
	tag, err := tx.Exec(ctx, `update files set state = 'due', changed = now()
		where id = any($1) and state in ('held', 'quarantined', 'undone', 'skipped')`, fileIDs(files))
	if err == nil && tag.RowsAffected() > 0 {
		err = recordAction(ctx, conn.Conn().PgConn(), a, int(tag.RowsAffected()), 0)
	}
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("marking %d files as due: %w", len(files), err)
	}
	return tag.RowsAffected(), nil
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

package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
)

// A claim is what is decided about one span of the batch.
type claim struct {
	span    int // index in the batch's spans
	key     [16]byte
	content [16]byte // of a span to be loaded
	recipe  int32    // 0 for none
	pack    int32    // where the span's bytes are archived; 0 for nowhere
	newest  *version // nil when the path is new

	// A span that is Known, or ours from an earlier try whose outcome was lost,
	// leaves the ledger as it is; the others are written.
	state      ingest.State
	ours       bool
	reason     string
	generation int32
	rank       rank

	id     int64        // once claimed
	twin   int64        // the loaded version of equal content that this one is a duplicate of; 0 for none
	demote int64        // the version that this one succeeds as the loaded one of equal content; 0 for none
	tells  ingest.State // what the outcome says instead of state; "" for state

	heir    bool // of a rebuild: a copy, and loaded where nothing of its content is
	skipped bool // it is from before the beginning, and the ledger does not have it

	waitsOn bool // its channels that are withheld stay so
}

func (cl *claim) writes() bool { return cl.state != ingest.Known && !cl.ours }
func (cl *claim) loads() bool  { return cl.writes() && cl.state == ingest.Loaded }

// again reports whether the claim takes up a version that is there and due.
func (cl *claim) again() bool { return cl.newest != nil && cl.newest.generation == cl.generation }

// A rank says which of two file versions is the later one, whoever was faster.
type rank struct {
	number     int16
	time       int64
	path       string // escaped
	generation int32
	key        [16]byte // for one path in two sources
}

// compare is negative when r is the earlier. rankSQL in conflict.go is the
// same order.
func (r rank) compare(o rank) int {
	return cmp.Or(cmp.Compare(r.number, o.number), cmp.Compare(r.time, o.time), cmp.Compare(r.path, o.path),
		cmp.Compare(r.generation, o.generation), slices.Compare(r.key[:], o.key[:]))
}

// wins reports whether a file of rank a holds a value against one of rank b.
func (p Policy) wins(a, b rank) bool {
	if p == Earliest {
		return a.compare(b) < 0
	}
	return a.compare(b) > 0
}

// errRaced says that another process or worker changed the ledger between our
// look and our claim. The look is then to be taken again.
var errRaced = errors.New("another commit was faster")

// changedNow goes into whatever sets a file version's state: the journal finds it
// by changed_by, and of what several journals tell of it the greatest changed
// stands, also where a transaction that began earlier was the later one to set it.
const changedNow = `changed = greatest(now(), changed + interval '1 microsecond'), changed_by = pg_current_xact_id()::text::int8`

var (
	claimNewest = statement{"claim_newest", `select c.n, f.id, f.generation, f.state::text, f.sha256, f.rank, f.rank_time,
			case when f.state in ('due', 'loading') then (select p.rank_time from files p where p.key = f.key and p.generation = f.generation - 1) end,
			f.size, f.modified, f.modified_step, f.trusted, f.run, f.chunk, f.fetched,
			(select count(*) from rejects r where r.file_id = f.id), exists (select from held h where h.file_id = f.id)
		from unnest($1::uuid[]) with ordinality as c(key, n) cross join lateral (
			select * from files where key = c.key order by generation desc limit 1) f`}
	claimTwins = statement{"claim_twins", `select f.content, f.id, f.rank, f.rank_time, f.path, f.generation, f.key, f.run
		from files f where f.content = any($1::uuid[]) and f.state = 'loaded' order by f.id for key share`}
	claimLost = statement{"claim_lost", `select f.content from files f where f.content = any($1::uuid[]) and f.state = 'loaded'
		and exists (select from takeovers t where t.from_file = f.id)`}
	claimPassed = statement{"claim_passed", `select c.generation from unnest($1::uuid[], $2::int4[]) as c(key, generation)
		where exists (select from files f where f.key = c.key and f.generation > c.generation)`}
	claimIDs = statement{"claim_ids", `select array_agg(nextval('file_ids')) from generate_series(1, $1::int4)`}
	// A version that is no longer the loaded one of its content keeps nothing:
	// its receipt becomes that of a duplicate.
	claimDemote = statement{"claim_demote", `update files set state = 'duplicate', n_unchanged = n_stored + coalesce(n_replaced, 0) + coalesce(n_unchanged, 0) + coalesce(n_outranked, 0),
			n_stored = 0, n_replaced = null, n_outranked = null, ` + changedNow + `
		where id = any($1::int8[]) and state = 'loaded' returning id`}
	// The state is asked of the joined row. As a condition on files it would have
	// the planner begin with all that are due, who may be many while its
	// statistics know of none.
	claimAgain = statement{"claim_again", `update files f set state = c.state::file_state, reason = c.reason, content = c.content,
			sha256 = c.sha256, recipe = c.recipe, rank = c.rank, rank_time = c.rank_time, size = c.size, modified = c.modified, modified_step = c.modified_step,
			trusted = c.trusted, pack = coalesce(c.pack, f.pack), pack_offset = coalesce(c.pack_offset, f.pack_offset),
			run = $16, chunk = $17, ` + changedNow + `
		from unnest($1::int8[], $2::text[], $3::text[], $4::uuid[], $5::int4[], $6::timestamptz[], $7::int8[], $8::timestamptz[], $9::int4[], $10::bool[],
			$11::int4[], $12::int8[], $13::bytea[], $14::int2[], $15::text[])
			as c(id, state, reason, content, recipe, rank_time, size, modified, modified_step, trusted, pack, pack_offset, sha256, rank, was)
		where f.id = c.id and case when f.id = c.id then f.state::text = c.was end returning f.id`}
	claimHint = statement{"claim_hint", `update files f set modified = c.modified, modified_step = c.modified_step, trusted = c.trusted,
			pack = coalesce(c.pack, f.pack), pack_offset = coalesce(c.pack_offset, f.pack_offset),
			changed_by = case when c.pack is not null and (c.pack, c.pack_offset) is distinct from (f.pack, f.pack_offset)
				then pg_current_xact_id()::text::int8 else f.changed_by end
		from unnest($1::int8[], $2::timestamptz[], $3::int4[], $4::bool[], $5::int4[], $6::int8[])
			as c(id, modified, modified_step, trusted, pack, pack_offset) where f.id = c.id`}
)

// claimFiles begins the transaction and decides what becomes of the claimed spans.
// When it returns, each claim that writes has its id, and no other transaction can
// take the versions that the ledger has already. Those that it does not have are
// this one's once addFiles has returned.
func (c *committer) claimFiles(ctx context.Context, b *ingest.Batch) error {
	twins, err := c.lookUpVersions(ctx, b)
	if err != nil {
		return fmt.Errorf("looking up files in the ledger: %w", err)
	}
	c.decide(b, twins)
	if err := c.toGiveUp(b); err != nil {
		return err
	}
	return c.changeFiles(ctx, b)
}

// A keyed is the key of a span's path, as two numbers that are in the order of its
// bytes: they are compared at once.
type keyed struct {
	high, low uint64
	span      int32
}

func keyedAs(key [16]byte, span int) keyed {
	return keyed{binary.BigEndian.Uint64(key[:8]), binary.BigEndian.Uint64(key[8:]), int32(span)}
}

func (k *keyed) key() (key [16]byte) {
	binary.BigEndian.PutUint64(key[:8], k.high)
	binary.BigEndian.PutUint64(key[8:], k.low)
	return key
}

// compareKeyed orders by the key, and what has the same by the span.
func compareKeyed(x, y keyed) int {
	if x.high != y.high {
		return cmp.Compare(x.high, y.high)
	}
	return cmp.Or(cmp.Compare(x.low, y.low), cmp.Compare(x.span, y.span))
}

// makeClaims makes a claim of each of some spans of the batch, not yet held
// against the ledger. They are in the order of their keys, those of one path in
// that of the spans: so two committers that claim the same files wait for each
// other and do not deadlock.
func (c *committer) makeClaims(ctx context.Context, b *ingest.Batch, spans []int) error {
	c.keys = c.keys[:0]
	for _, i := range spans {
		c.keys = append(c.keys, keyedAs(FileKey(c.sink.options.Source, b.Spans[i].File.Path), i))
	}
	slices.SortFunc(c.keys, compareKeyed)
	c.claims = slices.Grow(c.claims[:0], len(spans))
	for i := range c.keys {
		k := &c.keys[i]
		s := &b.Spans[k.span]
		cl := claim{span: int(k.span), key: k.key(), state: s.State, reason: remark(s)}
		if s.Recipe != nil {
			var err error
			if cl.recipe, err = c.recipeID(ctx, s.Recipe); err != nil {
				return err
			}
		}
		if s.State == ingest.Loaded {
			cl.content = contentKey(s)
		}
		if s.Recorded == nil && !c.sink.options.Skips(&s.File) {
			cl.rank, cl.generation = c.firstRank(k.key(), s), 1 // unless the ledger has its path
		}
		if s.Place.Pack != "" {
			var err error
			if cl.pack, err = c.sink.store.packID(ctx, s.Place.Pack); err != nil {
				return err
			}
		}
		if waits(s) && s.Recorded == nil {
			if err := c.sink.ask(ctx, s.Shape); err != nil {
				return err
			}
		}
		c.claims = append(c.claims, cl)
	}
	return nil
}

// A twin is a loaded version of some content.
type twin struct {
	id   int64
	rank rank
	run  int32
	lost bool // readings to others: in append mode all of them, to a later generation
}

// carefulFor is how many chunks look everything up after one was raced.
const carefulFor = 8

// lookUpVersions begins the transaction, reads the newest generation of each
// claim's path, and returns the loaded versions of the claims' contents. In
// the same round trip it sees to it that there is an id for each claim.
//
// Files that were new when they were listed are mostly new still, and of
// content that nobody has: they are looked up only when the ledger's keys have
// refused a chunk lately.
//
// The twins stay locked: a correction that takes one out waits for this
// transaction, and then finds the duplicates in it.
func (c *committer) lookUpVersions(ctx context.Context, b *ingest.Batch) (map[[16]byte]twin, error) {
	keys, contents := newColumns(oidUUID), newColumns(oidUUID)
	var looked []*claim // in the order of keys
	for i := range c.claims {
		cl := &c.claims[i]
		if s := &b.Spans[cl.span]; s.New && s.Recorded == nil && c.careful == 0 {
			continue
		}
		looked = append(looked, cl)
		keys[0].bytes(cl.key[:])
		if cl.state == ingest.Loaded {
			contents[0].bytes(cl.content[:])
		}
	}
	needed := []statement{claimIDs}
	if len(looked) > 0 {
		needed = append(needed, claimNewest, claimTwins)
		if c.sink.store.layout.Append {
			needed = append(needed, claimLost)
		}
	}
	if err := c.prepare(ctx, needed...); err != nil {
		return nil, err
	}
	batch := &pgconn.Batch{}
	batch.ExecParams("begin", nil, nil, nil, nil)
	batch.ExecPrepared(claimIDs.name, [][]byte{int4Param(c.idBlocks())}, binaryFormat, binaryFormat)
	if len(looked) > 0 {
		batch.ExecPrepared(claimNewest.name, keys.params(), binaryFormat, binaryFormat)
		batch.ExecPrepared(claimTwins.name, contents.params(), binaryFormat, binaryFormat)
		if c.sink.store.layout.Append {
			batch.ExecPrepared(claimLost.name, contents.params(), binaryFormat, binaryFormat)
		}
	}
	results := c.conn.ExecBatch(ctx, batch)
	results.NextResult()
	if results.NextResult() {
		eachRow(results.ResultReader(), func(r *record) { c.lent.ids = appendBlocks(c.lent.ids, r) })
	}
	if results.NextResult() {
		eachRow(results.ResultReader(), func(r *record) {
			n := r.int8() - 1
			looked[n].newest = readVersion(r)
		})
	}
	twins := make(map[[16]byte]twin)
	if results.NextResult() {
		eachRow(results.ResultReader(), readTwins(twins))
	}
	if results.NextResult() {
		eachRow(results.ResultReader(), markLost(twins))
	}
	return twins, results.Close()
}

// idsOfBlock is how many ids each value of the sequence file_ids stands for: its
// increment.
const idsOfBlock = 16

// idBlocks is how many blocks of ids are to be drawn, for each claim to have one.
func (c *committer) idBlocks() int32 {
	return int32(max(0, len(c.claims)-len(c.lent.ids)+idsOfBlock-1) / idsOfBlock)
}

// appendBlocks appends the ids of the blocks that r has the first of.
func appendBlocks(ids []int64, r *record) []int64 {
	for _, first := range r.appendInt8s(nil) {
		for n := range int64(idsOfBlock) {
			ids = append(ids, first+n)
		}
	}
	return ids
}

func readTwins(twins map[[16]byte]twin) func(*record) {
	return func(r *record) {
		content := r.uuid()
		twins[content] = twin{id: r.int8(), rank: rank{number: r.int2(), time: r.time(), path: r.text(), generation: r.int4(), key: r.uuid()}, run: r.int4()}
	}
}

func markLost(twins map[[16]byte]twin) func(*record) {
	return func(r *record) {
		content := r.uuid()
		if t, ok := twins[content]; ok {
			t.lost = true
			twins[content] = t
		}
	}
}

// decide settles each claim against the ledger and against the others of the
// chunk.
func (c *committer) decide(b *ingest.Batch, twins map[[16]byte]twin) {
	for i := range c.claims {
		cl := &c.claims[i]
		if i > 0 && c.claims[i-1].key == cl.key {
			// The source listed a path twice. Its next listing tells what it holds.
			cl.state, cl.generation = ingest.Known, 0
			continue
		}
		if cl.newest == nil && cl.generation == 1 {
			continue // it is as it was made, and its span far from the processor by now
		}
		c.decideVersion(cl, &b.Spans[cl.span])
	}
	c.decideContents(twins)
}

// decideContents settles which of the files of equal content is the loaded
// one, among the claims and then against the ledger.
func (c *committer) decideContents(twins map[[16]byte]twin) {
	if c.inChunk == nil {
		c.inChunk = make(map[[16]byte]*claim, len(c.claims))
	}
	clear(c.inChunk)
	for i := range c.claims {
		cl := &c.claims[i]
		if !cl.loads() {
			continue
		}
		if other, ok := c.inChunk[cl.content]; !ok {
			c.inChunk[cl.content] = cl
		} else if c.sink.options.Policy.wins(cl.rank, other.rank) {
			other.state = ingest.Duplicate
			c.inChunk[cl.content] = cl
		} else {
			cl.state = ingest.Duplicate
		}
	}
	if len(twins) == 0 {
		return
	}
	for content, cl := range c.inChunk {
		if t, ok := twins[content]; ok {
			c.decideTwin(cl, t)
		}
	}
}

// ownTime is when a span's file is from, by which it has its rank.
func ownTime(s *ingest.Span) int64 {
	return max(cmp.Or(s.NameTime, s.File.Modified, s.Fetched), firstInstant)
}

// firstRank is the rank of the first version of a path.
func (c *committer) firstRank(key [16]byte, s *ingest.Span) rank {
	return rank{number: c.sink.options.Rank, time: ownTime(s), path: ingest.EscapePath(s.File.Path), generation: 1, key: key}
}

// clocksApart is how far the clocks of hosts may be apart. What was fetched
// later than that from now was so by a clock that was ahead, and says nothing.
const clocksApart = time.Minute

// decideVersion settles which version of its path a claim is: the newest one
// again, or the next generation.
func (c *committer) decideVersion(cl *claim, s *ingest.Span) {
	if s.Recorded != nil {
		c.decideRecorded(cl, s)
		return
	}
	cl.rank = c.firstRank(cl.key, s)
	own, n := cl.rank.time, cl.newest
	switch {
	case n == nil && c.sink.options.Skips(&s.File):
		// It was taken without asking: the ledger did not answer then.
		cl.state, cl.skipped = ingest.Known, true
		return
	case n == nil:
	case n.adopted() && n.state == ingest.Due:
		cl.rank.generation = n.generation // it is now that its content is seen
	case n.adoptedAs(s.File): // while it waited to be loaded
		cl.state, cl.id = ingest.Known, n.id
	case n.sum != s.Sum && s.Fetched < n.fetched && n.fetched < ingest.Micros(time.Now().Add(clocksApart)) && !n.adopted():
		// Another process fetched the path later, and was faster: what we have
		// is there no more. As a new generation it would stand.
		cl.state, cl.tells, cl.reason = ingest.Known, ingest.Changed, "a later fetch of it is in the ledger already"
	case n.sum != s.Sum:
		cl.rank.generation = n.generation + 1
		cl.rank.time = max(own, n.rankTime)
	case n.run == c.sink.run && n.chunk == c.chunk:
		cl.ours, cl.state, cl.id = true, n.state, n.id
	case n.state == ingest.Due, n.state == ingest.Loading:
		// Its rank stays as first recorded, but for a time in the name that
		// only the mended profile takes from there.
		cl.rank.generation, cl.rank.number = n.generation, n.number
		cl.rank.time = n.rankTime
		if s.NameTime != 0 {
			cl.rank.time = max(s.NameTime, n.beforeTime)
		}
	default:
		cl.state = ingest.Known
		cl.id = n.id
	}
	cl.generation = cl.rank.generation
	if !cl.writes() {
		cl.generation = n.generation
	}
}

// decideTwin settles a claim against the loaded version of the same content,
// of another path or an earlier generation of its own: whichever holds values
// against the other under the policy is the loaded one, so that the outcome
// does not depend on which came first.
func (c *committer) decideTwin(cl *claim, t twin) {
	if cl.heir {
		cl.state = ingest.Duplicate
		return
	}
	if c.sink.store.layout.Append && t.lost {
		cl.demote = t.id // nobody holds what is in this file
		return
	}
	if c.sink.options.Policy == Error || !c.sink.options.Policy.wins(cl.rank, t.rank) {
		cl.state, cl.twin = ingest.Duplicate, t.id
		return
	}
	cl.demote = t.id
	if t.run == c.sink.run {
		// Of the two one is loaded and one a duplicate, and the first was told
		// as loaded.
		cl.tells = ingest.Duplicate
	}
}

// changeFiles gives ids to the claims that are new to the ledger, and changes the
// rows of the others. That another was faster with one of those shows as errRaced.
func (c *committer) changeFiles(ctx context.Context, b *ingest.Batch) error {
	demote := newColumns(oidInt8)
	hint := newColumns(oidInt8, oidTimestamptz, oidInt4, oidBool, oidInt4, oidInt8)
	again := newColumns(oidInt8, oidText, oidText, oidUUID, oidInt4, oidTimestamptz, oidInt8, oidTimestamptz, oidInt4, oidBool, oidInt4, oidInt8, oidBytea, oidInt2, oidText)
	for i := range c.claims {
		cl := &c.claims[i]
		s := &b.Spans[cl.span]
		switch {
		case cl.writes() && cl.again():
			addAgain(again, cl, s)
		case cl.writes():
			cl.id, c.lent.ids = c.lent.ids[0], c.lent.ids[1:]
		case cl.newest != nil && cl.newest.sum == s.Sum:
			addHint(hint, cl, s)
		}
		if cl.demote != 0 {
			demote[0].int8(cl.demote)
		}
	}
	return c.changeClaims(ctx, demote, again, hint)
}

// addFiles adds the claims that are new to the ledger, with their receipts. That
// another was faster with one of them shows as errRaced, or as a violation of one
// of the ledger's unique keys.
func (c *committer) addFiles(ctx context.Context, b *ingest.Batch) error {
	written, err := c.queueFiles(b)
	if err != nil {
		return err
	}
	if err := c.copies.send(ctx, c.conn); err != nil {
		return fmt.Errorf("claiming files in the ledger: %w", err)
	}
	return c.refusePassed(ctx, written)
}

// queueFiles has the claims that are new to the ledger go to the server with what is
// sent next. In append mode it returns them for refusePassed.
func (c *committer) queueFiles(b *ingest.Batch) (written columns, err error) {
	fresh := &c.fresh
	columns := c.columnsOfFiles(b)
	fresh.start(len(c.claims) * rowOfFiles)
	written = newColumns(oidUUID, oidInt4)
	for i := range c.claims {
		cl := &c.claims[i]
		if !cl.writes() || cl.again() {
			continue
		}
		if err := c.addNew(fresh, cl, b); err != nil {
			return written, err
		}
		if c.sink.store.layout.Append {
			written[0].bytes(cl.key[:])
			written[1].int4(cl.generation)
		}
	}
	return written, fresh.queue(&c.copies, "files ("+columns+")")
}

// refusePassed sees to it that no version was written that another has carried on
// meanwhile: its row is that of a later generation by then, so that the ledger's
// keys refuse nothing. Where readings have a key, that does, and none is given.
func (c *committer) refusePassed(ctx context.Context, written columns) error {
	if written[0].n == 0 {
		return nil
	}
	passed := false
	if err := c.rows(ctx, claimPassed, written.params(), func(*record) { passed = true }); err != nil {
		return fmt.Errorf("looking for later versions of what is claimed: %w", err)
	}
	if passed {
		return errRaced
	}
	return nil
}

// changeClaims changes rows that the ledger has already, where there is any to
// change.
func (c *committer) changeClaims(ctx context.Context, demote, again, hint columns) error {
	if demote[0].n+again[0].n+hint[0].n == 0 {
		return nil
	}
	if err := c.prepare(ctx, claimDemote, claimAgain, claimHint); err != nil {
		return err
	}
	batch := &pgconn.Batch{}
	batch.ExecPrepared(claimDemote.name, demote.params(), binaryFormat, binaryFormat)
	batch.ExecPrepared(claimAgain.name, append(again.params(), int4Param(c.sink.run), int4Param(c.chunk)), binaryFormat, binaryFormat)
	batch.ExecPrepared(claimHint.name, hint.params(), binaryFormat, binaryFormat)
	results := c.conn.ExecBatch(ctx, batch)
	changed := 0
	for results.NextResult() {
		eachRow(results.ResultReader(), func(*record) { changed++ })
	}
	if err := results.Close(); err != nil {
		return fmt.Errorf("claiming files in the ledger: %w", err)
	}
	if changed < demote[0].n+again[0].n {
		return errRaced
	}
	return nil
}

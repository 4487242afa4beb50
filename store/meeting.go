package store

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
)

// Most sources bring what is new, and some bring again and again what is there,
// as loggers do that send the last day every hour. A chunk of the first kind goes
// straight to the readings. Of one of the second kind, what is newer than all that
// its series have goes there, too; the rest is staged. Where all files that it
// meets are outranked, their readings are taken out and the chunk's are copied in
// their place, which costs less than to settle each reading by itself.

// meetings is what the readings of a source met lately, which tells how its next
// chunks are to be stored. All committers of a sink share it.
type meetings struct {
	mu         sync.Mutex
	staged     int // how many more chunks look at what is there before they store
	compressed int // how many more of them take it that what they meet is compressed
	singly     int // how many more of them settle each reading by itself at once
}

const (
	// stageFor is how many chunks look at what is there after the last one that met
	// readings. A look is a round trip; a COPY that fails is what it sent until then.
	stageFor = 8
	// singlyFor is how many chunks do without an attempt to put theirs in the place
	// of all that they meet, after one that did not succeed.
	singlyFor = 8
)

// next says how the next chunk is to be stored.
func (m *meetings) next() (staged, compressed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.staged == 0 {
		m.compressed = 0
		return false, false
	}
	m.staged--
	compressed = m.compressed > 0
	m.compressed = max(0, m.compressed-1)
	return true, compressed
}

// met notes that readings met others, and whether it was found only now that those
// are compressed.
func (m *meetings) met(compressed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.staged = stageFor
	if compressed {
		m.compressed = stageFor
	}
}

// mayReplace says whether the next staged chunk should try to replace all that it
// meets.
func (m *meetings) mayReplace() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.singly == 0 {
		return true
	}
	m.singly--
	return false
}

// mixed notes that a chunk met readings that it could not replace.
func (m *meetings) mixed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.singly = singlyFor
}

// A picked is some readings of a batch: their indexes, in the order in which they are
// stored, and for each the span it belongs to.
type picked struct {
	rows, spans []int32
}

func (s *picked) add(o *ingest.Order, lo, hi int) {
	s.rows = append(s.rows, o.Rows[lo:hi]...)
	s.spans = append(s.spans, o.Spans[lo:hi]...)
}

// A share is the chunk's readings of one series, [lo, hi) of the order. Those from
// beyond on are newer than all that the series has; where it has nothing between the
// first of them and the last, these are all.
type share struct {
	series         int32
	lo, beyond, hi int
	there          int // how many readings it has from the first of these on to the last, or one more than there are of these
}

// sharesSQL finds the newest instant of each series that has one, of those from the
// first of the chunk's on, and counts what it has within the chunk's: up to one more
// than that has. The least of the instants rules out the chunks of a hypertable that
// are older. It is planned each time: the plan for a table that was small then would
// read all of it for each series.
const sharesSQL = `select c.n, l.ts, (select count(*) from (select from readings r
			where r.series_id = c.series_id and r.ts between c.first and c.last order by r.ts limit c.most + 1) x)
	from unnest($1::int4[], $2::timestamptz[], $3::timestamptz[], $4::int8[]) with ordinality as c(series_id, first, last, most, n)
	cross join lateral (select r.ts from readings r where r.series_id = c.series_id and r.ts >= c.first and r.ts >= $5::timestamptz order by r.ts desc limit 1) l`

// lookAtShares tells the ordered readings that meet none of what their series have
// from those that may. What another transaction adds meanwhile, the COPY of the first
// finds.
func (c *committer) lookAtShares(ctx context.Context, b *ingest.Batch) error {
	rows := c.order.Rows
	c.shares = c.shares[:0]
	of, first := newColumns(oidInt4, oidTimestamptz, oidTimestamptz, oidInt8), b.Time[rows[0]]
	for lo := 0; lo < len(rows); {
		id := c.table.ids[b.Series[rows[lo]]]
		hi := lo + 1
		for hi < len(rows) && c.table.ids[b.Series[rows[hi]]] == id {
			hi++
		}
		of[0].int4(id)
		of[1].time(b.Time[rows[lo]])
		of[2].time(b.Time[rows[hi-1]])
		of[3].int8(int64(hi - lo))
		first = min(first, b.Time[rows[lo]])
		c.shares = append(c.shares, share{series: id, lo: lo, beyond: lo, hi: hi})
		lo = hi
	}
	err := execute(ctx, c.conn, sharesSQL, append(of.params(), timeParam(first)), func(r *record) {
		x := &c.shares[r.int8()-1]
		newest := r.time()
		if x.there = int(r.int8()); x.there > 0 {
			x.beyond += search(rows[x.lo:x.hi], func(r int32) bool { return b.Time[r] > newest })
		}
	})
	if err != nil {
		return fmt.Errorf("looking for what series have: %w", err)
	}
	return nil
}

// search is the index of the first of rows for which beyond holds, as it does for
// all that follow.
func search(rows []int32, beyond func(int32) bool) int {
	n, _ := slices.BinarySearchFunc(rows, true, func(r int32, _ bool) int {
		if beyond(r) {
			return 1
		}
		return -1
	})
	return n
}

// divide collects the readings that may meet others in met, and the rest in beyond.
// Of a series in which all that is there may be replaced, that is all, if it was
// taken out.
func (c *committer) divide(takenOut bool) {
	c.met.rows, c.met.spans = c.met.rows[:0], c.met.spans[:0]
	c.beyond.rows, c.beyond.spans = c.beyond.rows[:0], c.beyond.spans[:0]
	for i := range c.shares {
		x := &c.shares[i]
		from := x.beyond
		if takenOut && x.replaces() {
			from = x.lo
		}
		c.met.add(&c.order, x.lo, from)
		c.beyond.add(&c.order, from, x.hi)
	}
}

// replaces reports whether the series may have nothing between the instants of
// these readings but readings at the same: as many at most.
func (x *share) replaces() bool { return x.beyond > x.lo && x.there <= x.beyond-x.lo }

// expectMeetings decides whether the chunk is to look at what is there before it
// is stored, or a part as late as they say, and readies the connection for that.
// What a try before has found out stands.
func (c *committer) expectMeetings(ctx context.Context, late bool) error {
	if !c.staged {
		c.staged, c.compressed = c.sink.meetings.next()
	}
	if !c.staged && !late {
		return nil
	}
	return c.makeStaging(ctx)
}

// storeStaged stores the ordered readings where some of them may be there
// already, and counts what became of them in the spans' receipts.
func (c *committer) storeStaged(ctx context.Context, b *ingest.Batch) error {
	if err := c.lookAtShares(ctx, b); err != nil {
		return err
	}
	gone, err := c.takeOutMet(ctx, b)
	if err != nil {
		return err
	}
	c.divide(gone != nil)
	if err := c.storeNew(ctx, b, c.beyond); err != nil {
		return err
	}
	countStored(b, c.beyond.spans)
	spans := c.spansByID(b)
	for _, t := range gone {
		cells := &spans[t.by].Receipt.Cells
		cells.Stored -= t.n
		cells.Replaced += t.n
	}
	c.takeovers = append(c.takeovers, gone...)
	if len(c.met.rows) == 0 {
		return nil
	}
	if err := c.copyRows(ctx, b, c.met, "pg_temp.staging"); err != nil {
		return err
	}
	if _, err := c.conn.Exec(ctx, nearSQL).ReadAll(); err != nil {
		return fmt.Errorf("settling readings against those that are there: %w", err)
	}
	if err := c.clash(ctx, "staging", nil); err != nil {
		return err
	}
	return c.settleStaged(ctx, spans, int64(len(c.met.rows)))
}

// storeNew stores readings of which none is there by a straight COPY.
func (c *committer) storeNew(ctx context.Context, b *ingest.Batch, some picked) error {
	if len(some.rows) == 0 {
		return nil
	}
	return c.copyReadings(ctx, b, some)
}

// countStored counts readings, each by the span it belongs to, in the receipts.
func countStored(b *ingest.Batch, spans []int32) {
	for _, span := range spans {
		b.Spans[span].Receipt.Cells.Stored++
	}
}

func (c *committer) spansByID(b *ingest.Batch) map[int64]*ingest.Span {
	spans := make(map[int64]*ingest.Span, len(c.claims))
	for i, id := range c.files {
		if id != 0 {
			spans[id] = &b.Spans[i]
		}
	}
	return spans
}

const (
	// takeOutMetSQL takes out what series have within stretches of time, in the order
	// of the key.
	takeOutMetSQL = `with gone as (
			delete from readings r using unnest($1::int4[], $2::timestamptz[], $3::timestamptz[]) as c(series_id, first, last)
			where r.series_id = c.series_id and r.ts between c.first and c.last returning r.series_id, r.file_id, r.ts)
		select series_id, file_id, array_agg(ts) from gone group by series_id, file_id`
	ranksSQL = `select id, rank, rank_time, path, generation, key from files where id = any($1::int8[]) and state <> 'loading'`
)

// takeOutMet takes out what is to be replaced by the chunk's readings: of each series
// in which they may replace all that they meet. It returns from which files they take
// it over; nil where it took out nothing, for not all of it is at their instants and
// outranked by them.
//
// It does not follow a reading that another transaction takes over or stores
// meanwhile: the COPY finds those.
func (c *committer) takeOutMet(ctx context.Context, b *ingest.Batch) ([]takeover, error) {
	if c.singly || c.aside || c.compressed || c.sink.store.layout.Hypertable || c.sink.options.Policy == Error {
		return nil, nil
	}
	shares := make(map[int32]*share)
	of := newColumns(oidInt4, oidTimestamptz, oidTimestamptz)
	for i := range c.shares {
		if x := &c.shares[i]; x.replaces() {
			shares[x.series] = x
			of[0].int4(x.series)
			of[1].time(b.Time[c.order.Rows[x.lo]])
			of[2].time(b.Time[c.order.Rows[x.beyond-1]])
		}
	}
	if len(shares) == 0 || !c.sink.meetings.mayReplace() {
		return nil, nil
	}
	batch := &pgconn.Batch{}
	// The planner, who knows of the chunk no more than how many series it has, would
	// else read all of a table that is not very large.
	for _, sql := range []string{"savepoint met", "set local enable_hashjoin = off", "set local enable_mergejoin = off"} {
		batch.ExecParams(sql, nil, nil, nil, nil)
	}
	batch.ExecParams(takeOutMetSQL, of.params(), nil, binaryFormat, binaryFormat)
	for _, sql := range []string{"set local enable_hashjoin to default", "set local enable_mergejoin to default"} {
		batch.ExecParams(sql, nil, nil, nil, nil)
	}
	results := c.conn.ExecBatch(ctx, batch)
	gone, known := make(map[takeover]int64), true // by their files
	for results.NextResult() {
		eachRow(results.ResultReader(), func(r *record) {
			x, from := shares[r.int4()], r.int8()
			c.instants = r.appendInt8s(c.instants[:0])
			for _, at := range c.instants {
				n, ok := c.at(b, x, at+postgresEpoch)
				if !ok {
					known = false
					return
				}
				gone[takeover{from: from, by: c.files[c.order.Spans[n]]}]++
			}
		})
	}
	err := results.Close()
	var all []takeover
	if err == nil && known {
		all, err = c.outranked(ctx, gone)
	}
	if err == nil && all == nil {
		c.sink.meetings.mixed()
		_, err = c.conn.Exec(ctx, "rollback to savepoint met").ReadAll()
	}
	if err != nil {
		return nil, fmt.Errorf("taking out readings that others replace: %w", err)
	}
	if len(all) > 0 {
		c.sink.meetings.met(false)
	}
	return all, nil
}

// at is the place in the order of the reading of a series at an instant.
func (c *committer) at(b *ingest.Batch, x *share, instant int64) (place int, ok bool) {
	rows := c.order.Rows
	place = x.lo + search(rows[x.lo:x.beyond], func(r int32) bool { return b.Time[r] >= instant })
	return place, place < x.beyond && b.Time[rows[place]] == instant
}

// outranked returns what passed between files, none with a count in met, which has
// the counts. It is nil where one of those that lost readings holds them against the
// one that took them.
func (c *committer) outranked(ctx context.Context, met map[takeover]int64) (all []takeover, err error) {
	old := newColumns(oidInt8)
	ranks := make(map[int64]rank, len(met))
	for t := range met {
		if _, ok := ranks[t.from]; !ok {
			ranks[t.from] = rank{}
			old[0].int8(t.from)
		}
	}
	clear(ranks)
	err = execute(ctx, c.conn, ranksSQL, old.params(), func(r *record) {
		id := r.int8()
		ranks[id] = rank{number: r.int2(), time: r.time(), path: r.text(), generation: r.int4(), key: r.uuid()}
	})
	if err != nil {
		return nil, err
	}
	own := make(map[int64]rank, len(c.claims))
	for i := range c.claims {
		own[c.claims[i].id] = c.claims[i].rank
	}
	all = make([]takeover, 0, len(met))
	for t, n := range met {
		old, ok := ranks[t.from]
		if !ok || t.from == t.by || !c.sink.options.Policy.wins(own[t.by], old) {
			return nil, nil
		}
		t.n = n
		all = append(all, t)
	}
	return all, nil
}

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
	staged     int  // how many more chunks look at what is there before they store
	compressed bool // what the last ones met is compressed
	singly     int  // how many more of them settle each reading by itself at once
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
		m.compressed = false
		return false, false
	}
	m.staged--
	return true, m.compressed
}

// met notes that readings met others.
func (m *meetings) met(compressed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.staged, m.compressed = stageFor, compressed
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

// A picked is indexes into a batch's, in the order in which they
// are stored, and for each the span it belongs to.
type picked struct {
	rows, spans []int32
}

func (s *picked) add(o *ingest.Order, lo, hi int) {
	s.rows = append(s.rows, o.Rows[lo:hi]...)
	s.spans = append(s.spans, o.Spans[lo:hi]...)
}

// newestReadings finds the newest instant of each series that has one, of those from the
// given instants on. The least of these rules out the chunks of a hypertable that
// are older.
var newestReadings = statement{"newest_readings", `select c.n, l.ts from unnest($1::int4[], $2::timestamptz[]) with ordinality as c(series_id, first, n)
	cross join lateral (select r.ts from readings r where r.series_id = c.series_id and r.ts >= c.first and r.ts >= $3::timestamptz order by r.ts desc limit 1) l`}

// divide tells the ordered readings that are newer than all that their series have
// from those that may meet others. What another transaction adds meanwhile, the
// COPY of the first finds.
func (c *committer) divide(ctx context.Context, b *ingest.Batch) error {
	rows := c.order.Rows
	c.ends = c.ends[:0] // of each series, in c.order
	of, first := newColumns(oidInt4, oidTimestamptz), b.Time[rows[0]]
	for lo := 0; lo < len(rows); {
		id := c.table.ids[b.Series[rows[lo]]]
		hi := lo + 1
		for hi < len(rows) && c.table.ids[b.Series[rows[hi]]] == id {
			hi++
		}
		of[0].int4(id)
		of[1].time(b.Time[rows[lo]])
		first = min(first, b.Time[rows[lo]])
		c.ends = append(c.ends, hi)
		lo = hi
	}
	newest := make(map[int]int64, len(c.ends))
	err := c.rows(ctx, newestReadings, append(of.params(), timeParam(first)), func(r *record) {
		n := int(r.int8()) - 1
		newest[n] = r.time()
	})
	if err != nil {
		return fmt.Errorf("looking for the newest readings of series: %w", err)
	}
	c.met.rows, c.met.spans = c.met.rows[:0], c.met.spans[:0]
	c.beyond.rows, c.beyond.spans = c.beyond.rows[:0], c.beyond.spans[:0]
	lo := 0
	for n, hi := range c.ends {
		from := lo
		if last, ok := newest[n]; ok {
			from += sortSearch(rows[lo:hi], func(r int32) bool { return b.Time[r] > last })
		}
		c.met.add(&c.order, lo, from)
		c.beyond.add(&c.order, from, hi)
		lo = hi
	}
	return nil
}

// sortSearch is the index of the first of rows for which beyond holds, as it does
// for all that follow.
func sortSearch(rows []int32, beyond func(int32) bool) int {
	n, _ := slices.BinarySearchFunc(rows, true, func(r int32, _ bool) int {
		if beyond(r) {
			return 1
		}
		return -1
	})
	return n
}

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
	if err := c.divide(ctx, b); err != nil {
		return err
	}
	if len(c.met.rows) == 0 {
		return c.storeNew(ctx, b, c.beyond)
	}
	if err := c.copyRows(ctx, b, c.met, "pg_temp.staging"); err != nil {
		return err
	}
	if done, err := c.replace(ctx, b); done || err != nil {
		return err
	}
	if err := c.settleStaged(ctx, c.spansByID(b), int64(len(c.met.rows))); err != nil {
		return err
	}
	return c.storeNew(ctx, b, c.beyond)
}

// storeNew stores readings of which none is there by a straight COPY.
func (c *committer) storeNew(ctx context.Context, b *ingest.Batch, new picked) error {
	if len(new.rows) == 0 {
		return nil
	}
	if err := c.copyRows(ctx, b, new, "readings"); err != nil {
		return err
	}
	for _, span := range new.spans {
		b.Spans[span].Receipt.Cells.Stored++
	}
	return nil
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
	// replaceSQL takes out what the staged readings meet, in their order. The
	// planner, who knows nothing of a temporary table, would else read all of a
	// table that is not very large.
	replaceSQL = `with gone as (delete from readings r using staging s where r.series_id = s.series_id and r.ts = s.ts
			returning s.file_id as by_file, r.file_id as from_file)
		select by_file, from_file, count(*) from gone group by by_file, from_file`
	outrankedSQL = `select id, rank, rank_time, path, generation, key from files where id = any($1::int8[]) and state <> 'loading'`
)

// replace takes out what the staged readings meet and stores all of the chunk in
// its place, where all of these outrank what they meet. Else it leaves all as it
// was, and done is false.
//
// It does not follow a reading that another transaction takes over or stores
// meanwhile: the COPY finds those.
func (c *committer) replace(ctx context.Context, b *ingest.Batch) (done bool, err error) {
	layout := &c.sink.store.layout
	if c.singly || c.aside || c.compressed || layout.Hypertable || c.sink.options.Policy == Error || !c.sink.meetings.mayReplace() {
		return false, nil
	}
	gone, err := c.takeOutMet(ctx)
	if err != nil {
		return false, fmt.Errorf("taking out readings that others replace: %w", err)
	}
	wins, err := c.outranks(ctx, gone)
	if err != nil {
		return false, fmt.Errorf("comparing the ranks of files: %w", err)
	}
	if !wins {
		c.sink.meetings.mixed()
		if _, err := c.conn.Exec(ctx, "rollback to savepoint met").ReadAll(); err != nil {
			return false, fmt.Errorf("putting back readings: %w", err)
		}
		return false, nil
	}
	if len(gone) > 0 {
		c.sink.meetings.met(false)
	}
	if err := c.storeNew(ctx, b, picked{c.order.Rows, c.order.Spans}); err != nil {
		return false, err
	}
	spans := c.spansByID(b)
	for _, t := range gone {
		cells := &spans[t.by].Receipt.Cells
		cells.Stored -= t.n
		cells.Replaced += t.n
	}
	c.takeovers = append(c.takeovers, gone...)
	return true, nil
}

// takeOutMet takes out what the staged readings meet, after a savepoint.
func (c *committer) takeOutMet(ctx context.Context) (gone []takeover, err error) {
	batch := &pgconn.Batch{}
	for _, sql := range []string{"savepoint met", "set local enable_hashjoin = off", "set local enable_mergejoin = off"} {
		batch.ExecParams(sql, nil, nil, nil, nil)
	}
	batch.ExecParams(replaceSQL, nil, nil, nil, binaryFormat)
	for _, sql := range []string{"set local enable_hashjoin to default", "set local enable_mergejoin to default"} {
		batch.ExecParams(sql, nil, nil, nil, nil)
	}
	results := c.conn.ExecBatch(ctx, batch)
	for results.NextResult() {
		eachRow(results.ResultReader(), func(r *record) { gone = append(gone, takeover{by: r.int8(), from: r.int8(), n: r.int8()}) })
	}
	return gone, results.Close()
}

// outranks reports whether each file holds its readings against that of which it
// met some.
func (c *committer) outranks(ctx context.Context, met []takeover) (bool, error) {
	if len(met) == 0 {
		return true, nil
	}
	old := newColumns(oidInt8)
	ranks := make(map[int64]rank, len(met))
	for _, t := range met {
		if _, ok := ranks[t.from]; !ok {
			ranks[t.from] = rank{}
			old[0].int8(t.from)
		}
	}
	clear(ranks)
	err := execute(ctx, c.conn, outrankedSQL, old.params(), func(r *record) {
		id := r.int8()
		ranks[id] = rank{number: r.int2(), time: r.time(), path: r.text(), generation: r.int4(), key: r.uuid()}
	})
	if err != nil {
		return false, err
	}
	own := make(map[int64]rank, len(c.claims))
	for i := range c.claims {
		own[c.claims[i].id] = c.claims[i].rank
	}
	for _, t := range met {
		old, ok := ranks[t.from]
		if !ok || t.from == t.by || !c.sink.options.Policy.wins(own[t.by], old) {
			return false, nil
		}
	}
	return true, nil
}

package store

import (
	"context"
	"maps"
	"slices"
	"time"

	"penstock/ingest"
)

// A mark says up to when a series is complete. Mostly readings go on where those
// before ended, which what a commit held tells; where that is not so, the mark
// is stale until the readings themselves were looked at. That bounds what is
// read: each look goes from where the series was complete to the first gap.

// A stretch is the readings of a series that some commits brought. Times are
// microseconds since the Unix epoch, UTC.
type stretch struct {
	first, last int64
	widest      int64 // the widest step between two of them, or more
	n           int64
}

// with returns the stretch of both. Within the instants that they share, none of
// the steps grows wider.
func (x stretch) with(y stretch) stretch {
	if y.first < x.first {
		x, y = y, x
	}
	return stretch{x.first, max(x.last, y.last), max(x.widest, y.widest, y.first-x.last), x.n + y.n}
}

// report hands on what a commit brought. It is not waited for.
func (c *committer) report(b *ingest.Batch) {
	n := c.newsOf(b)
	files := 0
	for i := range c.claims {
		cl := &c.claims[i]
		if cl.ours { // committed by an earlier try, of which nothing was handed on
			n.unsure = append(n.unsure, cl.id)
			c.addArrival(&n, b, cl.span)
		}
		if cl.writes() {
			files++
			c.addArrival(&n, b, cl.span)
		}
	}
	if c.sink.store.layout.Append {
		for _, t := range c.takeovers {
			n.unsure = append(n.unsure, t.from)
		}
	}
	c.tellOf(n, files)
}

// newsOf is the stretches of the readings that were committed in the committer's
// order, by series.
func (c *committer) newsOf(b *ingest.Batch) news {
	n := news{series: make(map[int32]stretch, c.table.places)}
	rows := c.order.Rows
	for lo := 0; lo < len(rows); {
		id := c.table.ids[b.Series[rows[lo]]]
		x := stretch{first: b.Time[rows[lo]], last: b.Time[rows[lo]], n: 1}
		hi := lo + 1
		for ; hi < len(rows) && c.table.ids[b.Series[rows[hi]]] == id; hi++ {
			at := b.Time[rows[hi]]
			x.widest = max(x.widest, at-x.last)
			x.last = at
			x.n++
		}
		n.series[id] = x
		lo = hi
	}
	return n
}

// tellOf hands on the news of a commit that wrote so many file versions.
func (c *committer) tellOf(n news, files int) {
	t := c.sink.store.teller
	if t == nil {
		return
	}
	if files > 0 {
		n.sources = map[string]brought{c.sink.options.Source: {int64(files), int64(len(c.order.Rows))}}
	}
	t.add(n)
}

// markSQL moves marks on by stretches. A mark moves on by itself where the
// series had no gap before, and has none now; its step is looked at anew when
// readings come faster than by it. Stretches that lie before change nothing.
const markSQL = `with c as materialized (
		select * from unnest($1::int4[], $2::timestamptz[], $3::timestamptz[], $4::int8[], $5::int8[]) as c(series_id, first, last, widest, n)),
	judged as (
		select m.series_id, c.last, c.last <= m.contiguous_until as before,
			coalesce(not m.stale and m.contiguous_until = m.last_ts and c.first <= m.last_ts + 1.5 * m.step
				and c.widest * interval '1 microsecond' <= 1.5 * m.step
				and (c.last <= m.last_ts or c.last - m.last_ts >= 0.6 * c.n * m.step or c.first <= m.last_ts), false) as goes_on
		from c join marks m using (series_id) order by m.series_id for update of m),
	moved as (
		update marks m set last_ts = greatest(m.last_ts, j.last),
			contiguous_until = case when j.goes_on then greatest(m.contiguous_until, j.last) else m.contiguous_until end,
			stale = m.stale or not (j.goes_on or j.before)
		from judged j where j.series_id = m.series_id returning m.series_id)
	insert into marks (series_id, last_ts, contiguous_until, stale, anew)
		select series_id, last, last, true, true from c where series_id not in (select series_id from moved) order by series_id
		on conflict (series_id) do update set stale = true, anew = true, last_ts = greatest(marks.last_ts, excluded.last_ts)`

// anewSQL has the series of file versions looked at anew.
const anewSQL = `insert into marks (series_id, last_ts, contiguous_until, stale, anew)
	select distinct id, timestamptz 'epoch', timestamptz 'epoch', true, true from receipts r, unnest(r.series) as s(id)
		where r.file_id = any($1::int8[]) order by 1
	on conflict (series_id) do update set stale = true, anew = true`

// mark writes what stretches tell.
func (t *teller) mark(ctx context.Context, n news) error {
	if len(n.unsure) > 0 {
		if err := t.exec(ctx, anewSQL, ids(n.unsure), nil); err != nil {
			return err
		}
	}
	if len(n.series) == 0 {
		return nil
	}
	p := newColumns(oidInt4, oidTimestamptz, oidTimestamptz, oidInt8, oidInt8)
	for _, id := range slices.Sorted(maps.Keys(n.series)) {
		x := n.series[id]
		p[0].int4(id)
		p[1].time(x.first)
		p[2].time(x.last)
		p[3].int8(x.widest)
		p[4].int8(x.n)
	}
	return t.exec(ctx, markSQL, p.params(), nil)
}

// markDDL makes the function that looks at a series' readings, and the view of
// what is known of all. The step is the median of the last 64. A gap is more
// than one and a half of it; one that was not filled in seven days, or in eight
// steps, is waited for no longer. What is stale is looked at by whoever asks.
var markDDL = []string{`create function mark_of(series int4, known timestamptz, out last_ts timestamptz, out contiguous_until timestamptz, out step interval)
		language sql stable set search_path from current as $$
	with newest as materialized (select r.ts from readings r where r.series_id = series order by r.ts desc limit 65),
	latest as materialized (select max(ts) as ts from newest),
	usual as materialized (select percentile_disc(0.5) within group (order by d.step) as step
		from (select ts - lag(ts) over (order by ts) as step from newest) d where d.step > interval '0')
	select l.ts, (
		select w.ts from (select r.ts, lead(r.ts) over (order by r.ts) as next from readings r where r.series_id = series
			and r.ts >= greatest(known, l.ts - greatest(interval '7 days', 8 * u.step))) w
		where w.next is null or w.next - w.ts > 1.5 * u.step order by w.ts limit 1), u.step
	from latest l, usual u
	$$`,
	`create view watermarks as
	with held_of as (select h.logger, f.source, count(*) as n from held h join files f on f.id = h.file_id and f.state = 'held' group by 1, 2)
	select s.logger, s.channel, case when m.stale then k.last_ts else m.last_ts end as last_ts,
		case when m.stale then k.contiguous_until else m.contiguous_until end as contiguous_until,
		case when m.stale then k.step else m.step end as "interval",
		coalesce((select sum(h.n) from held_of h where h.logger = s.logger or h.logger is null
			and exists (select from feeds f where f.logger = s.logger and f.source = h.source)), 0)::int8 as held_files
	from series s join marks m on m.series_id = s.id
		left join lateral mark_of(s.id, case when not m.anew then m.contiguous_until end) k on m.stale
	where not m.stale or k.last_ts is not null`,
	`comment on view watermarks is 'Up to when each series is complete: until the first gap of more than one and a half of its usual interval in the last seven days. held_files may hold readings of it, and wait for an answer'`,
}

// lookSQL looks at some of the marks that are stale. Who else does so takes
// others; a series without readings has no mark.
const lookSQL = `with chosen as materialized (
		select series_id, contiguous_until, anew from marks where stale order by series_id limit $1::int4 for update skip locked),
	looked as materialized (
		select c.series_id, k.* from chosen c, lateral mark_of(c.series_id, case when not c.anew then c.contiguous_until end) k),
	gone as (delete from marks m using looked l where m.series_id = l.series_id and l.last_ts is null),
	kept as (update marks m set last_ts = l.last_ts, contiguous_until = l.contiguous_until, step = l.step, stale = false, anew = false
		from looked l where m.series_id = l.series_id and l.last_ts is not null)
	select count(*) from chosen`

// look looks at stale marks, for a while at most: readings come first.
func (t *teller) look(ctx context.Context, atMost time.Duration) error {
	const few = 50
	for began := time.Now(); time.Since(began) < atMost; {
		n := int64(0)
		if err := t.exec(ctx, lookSQL, [][]byte{int4Param(few)}, func(r *record) { n = r.int8() }); err != nil || n < few {
			return err
		}
	}
	return nil
}

// lookAtLatest has the marks looked at that what was committed last did not
// move: whoever committed it was killed before it came to that.
func (t *teller) lookAtLatest(ctx context.Context) error {
	const files = 10_000
	return t.exec(ctx, `with latest as (select distinct s.id from receipts r, unnest(r.series) as s(id)
			where r.file_id > (select max(file_id) from receipts) - $1::int8),
		found as (select l.id, (select ts from readings d where d.series_id = l.id order by ts desc limit 1) as ts from latest l)
		insert into marks (series_id, last_ts, contiguous_until, stale, anew)
			select f.id, f.ts, f.ts, true, true from found f left join marks m on m.series_id = f.id
			where f.ts is not null and m.last_ts is distinct from f.ts order by f.id
		on conflict (series_id) do update set stale = true, anew = true`, [][]byte{int8Param(files)}, nil)
}

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

// A seriesStretch is that of one series.
type seriesStretch struct {
	id int32
	stretch
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
	n := news{brought: make([]seriesStretch, 0, c.table.places)}
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
		n.brought = append(n.brought, seriesStretch{id, x})
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
// readings come faster than by it. Stretches that lie where the series is known
// to be complete change nothing, nor do those that are older than gaps are waited
// for; one that comes before what is known may have a gap behind it. It returns
// the series whose marks another holds.
const markSQL = `with c as materialized (
		select * from unnest($1::int4[], $2::timestamptz[], $3::timestamptz[], $4::int8[], $5::int8[]) as c(series_id, first, last, widest, n)),
	there as materialized (select m.series_id from marks m join c using (series_id)),
	judged as materialized (
		select m.series_id, c.first, c.last, c.last <= m.contiguous_until as before,
			coalesce(c.first >= m.since or c.last < m.last_ts - greatest(interval '7 days', 8 * m.step), false) as behind,
			coalesce(c.last >= m.since - 1.5 * m.step and c.widest * interval '1 microsecond' <= 1.5 * m.step, false) as joins,
			coalesce(not m.stale and m.contiguous_until = m.last_ts and c.first <= m.last_ts + 1.5 * m.step
				and c.widest * interval '1 microsecond' <= 1.5 * m.step
				and (c.last <= m.last_ts or c.last - m.last_ts >= 0.6 * c.n * m.step or c.first <= m.last_ts), false) as goes_on
		from c join marks m using (series_id) order by m.series_id for update of m skip locked),
	moved as (
		update marks m set last_ts = greatest(m.last_ts, j.last),
			contiguous_until = case when j.goes_on then greatest(m.contiguous_until, j.last) else m.contiguous_until end,
			since = case when j.joins then least(m.since, j.first) else m.since end,
			stale = m.stale or not (j.goes_on or j.before) or not (j.behind or j.joins),
			anew = m.anew or not (j.behind or j.joins)
		from judged j where j.series_id = m.series_id),
	made as (
		insert into marks (series_id, last_ts, contiguous_until, stale, anew)
		select series_id, last, last, true, true from c where series_id not in (select series_id from there) order by series_id
		on conflict (series_id) do update set stale = true, anew = true, last_ts = greatest(marks.last_ts, excluded.last_ts))
	select series_id from there except select series_id from judged`

// markedAtOnce is how many series are marked in one transaction at most.
const markedAtOnce = 5000

// markAll writes what stretches tell, and removes from n what is written: what is
// left is for another time.
func (t *teller) markAll(ctx context.Context, n *news) error {
	if len(n.unsure) > 0 {
		if err := t.exec(ctx, anewSQL, ids(n.unsure), nil); err != nil {
			return err
		}
		n.unsure = nil
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(n.series)), markedAtOnce) {
		if err := t.mark(ctx, n, some); err != nil {
			return err
		}
	}
	return nil
}

func (t *teller) mark(ctx context.Context, n *news, some []int32) error {
	p := newColumns(oidInt4, oidTimestamptz, oidTimestamptz, oidInt8, oidInt8)
	for _, id := range some {
		x := n.series[id]
		p[0].int4(id)
		p[1].time(x.first)
		p[2].time(x.last)
		p[3].int8(x.widest)
		p[4].int8(x.n)
	}
	held := make(map[int32]bool)
	if err := t.exec(ctx, markSQL, p.params(), func(r *record) { held[r.int4()] = true }); err != nil {
		return err
	}
	for _, id := range some {
		if !held[id] {
			delete(n.series, id)
		}
	}
	return nil
}

// anewSQL has the series of file versions looked at anew.
const anewSQL = `insert into marks (series_id, last_ts, contiguous_until, stale, anew)
	select distinct id, timestamptz 'epoch', timestamptz 'epoch', true, true from receipts r, unnest(r.series) as s(id)
		where r.file_id = any($1::int8[]) order by 1
	on conflict (series_id) do update set stale = true, anew = true`

// markDDL makes the function that looks at a series' readings, and the view of
// what is known of all. The step is the median of the last 64. A gap is more
// than one and a half of it; one that was not filled in seven days, or in eight
// steps, is waited for no longer. What is stale is looked at by whoever asks. Of a
// file that is loading nothing is seen.
var markDDL = []string{`create function mark_of(series int4, known timestamptz, out last_ts timestamptz, out contiguous_until timestamptz, out step interval, out since timestamptz)
		language sql stable set search_path from current as $$
	with hidden as materialized (select array(select file_id from loadings) as files),
	newest as materialized (select r.ts from readings r where r.series_id = series and r.file_id <> all((select files from hidden)::int8[]) order by r.ts desc limit 65),
	latest as materialized (select max(ts) as ts from newest),
	usual as materialized (select percentile_disc(0.5) within group (order by d.step) as step
		from (select ts - lag(ts) over (order by ts) as step from newest) d where d.step > interval '0'),
	oldest as materialized (select greatest(known, l.ts - greatest(interval '7 days', 8 * u.step)) as ts from latest l, usual u)
	select l.ts, (
		select w.ts from (select r.ts, lead(r.ts) over (order by r.ts) as next from readings r
			where r.series_id = series and r.ts >= o.ts and r.file_id <> all((select files from hidden)::int8[])) w
		where w.next is null or w.next - w.ts > 1.5 * u.step order by w.ts limit 1),
		u.step, (select min(r.ts) from readings r where r.series_id = series and r.ts >= o.ts and r.file_id <> all((select files from hidden)::int8[]))
	from latest l, usual u, oldest o
	$$`,
	// Without offset 0 the function is called for every series, stale or not.
	`create view watermarks as
	with held_of as materialized (select h.logger, f.source, count(*) as n from held h join files f on f.id = h.file_id and f.state = 'held' group by 1, 2),
	waiting as materialized (
		select logger, sum(n) as n from (
			select o.logger, o.n from held_of o where o.logger is not null
			union all
			select f.logger, o.n from held_of o join (select distinct logger, source from feeds) f using (source) where o.logger is null) x
		group by 1)
	select s.logger, s.channel, case when m.stale then k.last_ts else m.last_ts end as last_ts,
		case when m.stale then k.contiguous_until else m.contiguous_until end as contiguous_until,
		case when m.stale then k.step else m.step end as "interval", coalesce(w.n, 0)::int8 as held_files
	from series s join marks m on m.series_id = s.id left join waiting w on w.logger = s.logger
		left join lateral (select * from mark_of(s.id, case when not m.anew then m.contiguous_until end) where m.stale offset 0) k on true
	where not m.stale or k.last_ts is not null`,
	`comment on view watermarks is 'Up to when each series is complete: until the first gap of more than one and a half of its usual interval in the last seven days. held_files may hold readings of it, and wait for an answer'`,
}

// chosenSQL locks some of the marks that are stale, and lookSQL looks at them: by
// then it sees all readings of what they tell. Who else does so takes others; a
// series without readings has no mark.
const (
	chosenSQL = `select series_id from marks where stale order by series_id limit $1::int4 for update skip locked`
	lookSQL   = `with looked as materialized (
		select m.series_id, k.* from marks m, lateral mark_of(m.series_id, case when not m.anew then m.contiguous_until end) k
			where m.series_id = any($1::int4[])),
	gone as (delete from marks m using looked l where m.series_id = l.series_id and l.last_ts is null)
	update marks m set last_ts = l.last_ts, contiguous_until = l.contiguous_until, step = l.step, since = case when m.anew then l.since else m.since end, stale = false, anew = false
		from looked l where m.series_id = l.series_id and l.last_ts is not null`
)

// look looks at stale marks, for a while at most: readings come first.
func (t *teller) look(ctx context.Context, atMost time.Duration) error {
	const few = 50
	for began := time.Now(); time.Since(began) < atMost; {
		if n, err := t.lookAt(ctx, few); err != nil || n < few {
			return err
		}
	}
	return nil
}

func (t *teller) lookAt(ctx context.Context, few int32) (n int, err error) {
	if err := t.exec(ctx, "begin", nil, nil); err != nil {
		return 0, err
	}
	defer func() {
		end := "commit"
		if err != nil {
			end = "rollback"
		}
		if ended := t.exec(ctx, end, nil, nil); err == nil {
			err = ended
		}
	}()
	chosen := newColumns(oidInt4)
	err = t.exec(ctx, chosenSQL, [][]byte{int4Param(few)}, func(r *record) { chosen[0].int4(r.int4()) })
	if err != nil || chosen[0].n == 0 {
		return 0, err
	}
	return chosen[0].n, t.exec(ctx, lookSQL, chosen.params(), nil)
}

// untoldSQL are the runs of which the marks may not have all: they were cut short,
// or are under way, or came to their end without the time to tell.
const untoldSQL = `select id, coalesce(told, started) as since from runs
	where source is not null and (ended is null or told is null or told < ended)`

// untoldFor is how long a commit may be under way that nobody told.
const untoldFor = 10 * time.Minute

// makeUpFor has the series looked at anew of what runs changed and did not tell:
// whoever committed it was killed before it came to that. It is not asked about
// the same again, but for untoldFor: another run may be under way. The array,
// and the bound above, keep the planner, which expects many, from reading all of
// the ledger.
func (t *teller) makeUpFor(ctx context.Context) error {
	return t.exec(ctx, `with untold as materialized (`+untoldSQL+`),
		changed as (select distinct s.id from receipts r, unnest(r.series) as s(id) where r.file_id = any(array(
			select f.id from untold u join files f on f.run = u.id and f.changed >= u.since
			where f.changed >= (select min(since) from untold) and f.changed <= 'infinity'))),
		marked as (insert into marks (series_id, last_ts, contiguous_until, stale, anew)
			select id, timestamptz 'epoch', timestamptz 'epoch', true, true from changed order by id
			on conflict (series_id) do update set stale = true, anew = true)
		update runs r set told = greatest(r.told, r.started, now() - $1::int8 * interval '1 microsecond') from untold u where r.id = u.id`,
		[][]byte{int8Param(t.store.options.untoldFor.Microseconds())}, nil)
}

package store

import (
	"context"
	"fmt"

	"penstock/ingest"
)

// Readings that meet others of their series and instant go through a staging
// table: what is there is locked in the order of the key, each pair is judged
// by the ranks of the two files, and what wins is written.

// rankSQL is the order of rank.compare over two rows of the ledger.
const rankSQL = `(n.rank, n.rank_time, n.path, n.generation, n.key) %s (o.rank, o.rank_time, o.path, o.generation, o.key)`

// What can become of a staged reading, as settleSQL numbers it.
const (
	settledStored = iota
	settledReplaced
	settledUnchanged
	settledOutranked
	settledOwn // it stands already, and is this file's: when a file is applied again
	settledNot // what stands is of a file that is loading: nobody sees it
)

// settleSQL writes the staged readings under a policy and counts what became
// of them, by file. Counts that do not add up to what was staged mean that
// another transaction stored or took readings between the snapshot and the
// lock.
//
// The ranks of the files that are staged are its parameters, as ranksOf gives them:
// the ledger may not have these yet. Those of the others are looked up by an array of
// ids: joined, the planner, who knows nothing of a temporary table, may read all of the
// ledger for a handful.
var settleSQL = settleBy("for update of r", `
		update readings r set value = j.value, quality = j.quality, file_id = j.file_id
		from judged j where j.wins and r.series_id = j.series_id and r.ts = j.ts`)

// settleHypertableSQL is settleSQL for a hypertable, of which an update by a join
// takes every compressed chunk apart: TimescaleDB looks at what is constant in a
// condition alone. An upsert takes apart the batches that hold its keys.
var settleHypertableSQL = settleBy("for update of r", winByUpsert)

const winByUpsert = `
		insert into readings (series_id, ts, value, file_id, quality)
		select series_id, ts, value, file_id, quality from judged where wins order by series_id, ts
		on conflict (series_id, ts) do update set value = excluded.value, quality = excluded.quality, file_id = excluded.file_id`

// admitSQL stores the staged readings that meet no other, and leaves all rows
// concerned locked and out of TimescaleDB's compressed batches, where
// settleHypertableSQL cannot lock them.
const admitSQL = `insert into readings as r (series_id, ts, value, file_id, quality)
	select series_id, ts, value, file_id, quality from staging order by series_id, ts
	on conflict (series_id, ts) do update set file_id = r.file_id`

// settleAdmittedSQL is settleHypertableSQL after admitSQL.
var settleAdmittedSQL = settleBy("", winByUpsert)

func settleBy(lock, win string) string {
	return fmt.Sprintf(`with standing as materialized (
		select s.series_id, s.ts, s.value, s.quality, s.file_id, r.file_id as old_file,
			r.value = s.value and r.quality is not distinct from s.quality as same
		from staging s join readings r on r.series_id = s.series_id and r.ts = s.ts
		order by s.series_id, s.ts %s
	), own as materialized (
		select id, rank, rank_time, path collate "C" as path, generation, key
		from unnest($2::int8[], $3::int2[], $4::timestamptz[], $5::text[], $6::int4[], $7::uuid[]) as c(id, rank, rank_time, path, generation, key)
	), ranks as materialized (
		select *, 'loaded' as state from own
		union all
		select id, rank, rank_time, path, generation, key, state::text from files
		where id = any(array(select old_file from standing except select id from own))
	), judged as (
		select t.*, t.old_file = t.file_id as own, o.state = 'loading' and t.old_file <> t.file_id as unseen,
			case $1 when 'latest' then %s when 'earliest' then %s else false end as wins
		from standing t join own n on n.id = t.file_id join ranks o on o.id = t.old_file
	), taken as (%s
	), added as (
		insert into readings (series_id, ts, value, file_id, quality)
		select s.series_id, s.ts, s.value, s.file_id, s.quality from staging s
		where not exists (select from standing t where t.series_id = s.series_id and t.ts = s.ts)
		order by s.series_id, s.ts
		on conflict do nothing returning file_id
	)
	select 0, file_id, 0::int8, count(*) from added group by file_id
	union all
	select case when unseen then 5 when own then 4 when wins then 1 when same then 2 else 3 end,
		file_id, case when wins then old_file else 0 end, count(*)
	from judged group by 1, 2, 3`, lock, fmt.Sprintf(rankSQL, ">"), fmt.Sprintf(rankSQL, "<"), win)
}

// clashSQL finds the first reading of some rows that contradicts one that is
// there, and how many do.
const clashSQL = `select e.logger, e.channel, c.ts, c.value, c.stands, f.path, c.n
	from (select s.series_id, s.ts, s.value, r.value as stands, r.file_id, count(*) over () as n
		from %s s join readings r on r.series_id = s.series_id and r.ts = s.ts join files o on o.id = r.file_id and o.state <> 'loading'
		where s.value <> r.value or s.quality is distinct from r.quality
		order by s.ts, s.series_id limit 1) c
	join series e on e.id = c.series_id join files f on f.id = c.file_id`

// A takeover is readings that passed from one file to another.
type takeover struct {
	from, by, n int64
}

// settleStaged stores what is staged of some files, by id: so many readings.
func (c *committer) settleStaged(ctx context.Context, spans map[int64]*ingest.Span, staged int64) error {
	if c.compressed {
		if _, err := c.conn.Exec(ctx, admitSQL).ReadAll(); err != nil {
			return fmt.Errorf("settling readings against those that are compressed: %w", err)
		}
	}
	if c.aside {
		if err := c.putAside(ctx); err != nil {
			return err
		}
	}
	return c.settle(ctx, spans, staged)
}

// clash reports a contradiction as the fault of the file that brings it, where the
// policy says that it is one.
func (c *committer) clash(ctx context.Context, of string, params [][]byte) error {
	if c.sink.options.Policy != Error {
		return nil
	}
	r := c.conn.ExecParams(ctx, fmt.Sprintf(clashSQL, of), params, nil, binaryFormat, binaryFormat)
	var found error
	eachRow(r, func(r *record) {
		logger, channel, ts, value, stands, path, n := r.text(), r.text(), r.time(), r.float8(), r.float8(), r.text(), r.int8()
		found = &fault{fmt.Sprintf("%d of its readings contradict what is loaded, and on-conflict is error; the first: logger %q channel %q at %s is %v here and %v in %s",
			n, logger, channel, ingest.FromMicros(ts).Format("2006-01-02 15:04:05.999999Z"), value, stands, path)}
	})
	if _, err := r.Close(); err != nil {
		return fmt.Errorf("comparing with what is loaded: %w", err)
	}
	return found
}

func (c *committer) settle(ctx context.Context, spans map[int64]*ingest.Span, staged int64) error {
	total, outranked, met := int64(0), int64(0), staged
	sql := settleSQL
	switch {
	case c.compressed:
		sql = settleAdmittedSQL
	case c.sink.store.layout.Hypertable:
		sql = settleHypertableSQL
	}
	r := c.conn.ExecParams(ctx, sql, append([][]byte{[]byte(c.sink.options.Policy)}, c.ranksOf(spans).params()...), []uint32{oidText}, binaryFormat, binaryFormat)
	eachRow(r, func(r *record) {
		kind, id, from, n := r.int4(), r.int8(), r.int8(), r.int8()
		cells := &spans[id].Receipt.Cells
		if kind != settledNot {
			total += n
		}
		switch kind {
		case settledStored:
			cells.Stored += n
			met -= n
		case settledReplaced:
			cells.Replaced += n
			c.takeovers = append(c.takeovers, takeover{from, id, n})
		case settledUnchanged:
			cells.Unchanged += n
		case settledOutranked:
			cells.Outranked += n
			outranked += n
		case settledOwn:
			cells.Stored += n
			if c.compressed { // admitSQL has stored it
				met -= n
			}
		case settledNot:
			c.aside = true
		}
	})
	if _, err := r.Close(); err != nil {
		return fmt.Errorf("settling readings against those that are there: %w", err)
	}
	if met > 0 {
		c.sink.meetings.met(false)
	}
	if total != staged || c.sink.options.Policy == Error && outranked > 0 {
		return errRaced
	}
	return nil
}

// ranksOf lists the ranks of those claims of which the spans are, by id.
func (c *committer) ranksOf(spans map[int64]*ingest.Span) columns {
	p := newColumns(oidInt8, oidInt2, oidTimestamptz, oidText, oidInt4, oidUUID)
	for i := range c.claims {
		cl := &c.claims[i]
		if spans[cl.id] == nil {
			continue
		}
		p[0].int8(cl.id)
		p[1].int2(cl.rank.number)
		p[2].time(cl.rank.time)
		p[3].text(cl.rank.path)
		p[4].int4(cl.rank.generation)
		p[5].bytes(cl.key[:])
	}
	return p
}

package store

import (
	"context"
	"fmt"
	"math"
	"slices"

	"penstock/ingest"
)

// A portion is some of a file's readings that wait, which lie side by side in the
// order of the key.
type portion struct {
	file        int64
	from, after [2][]byte // series and instant of the last of them, and of the last of those before
	n           int64
}

func newPortion(file int64) *portion {
	return &portion{file: file, from: [2][]byte{int4Param(0), int8Param(math.MinInt64)}} // -infinity: before all keys
}

// params are those of the statements that concern these readings.
func (w *portion) params() [][]byte {
	return [][]byte{int8Param(w.file), w.after[0], w.after[1], w.from[0], w.from[1]}
}

// theseWaits are they, as w.
const theseWaits = `w.file_id = $1 and (w.series_id, w.ts) > ($2::int4, $3::timestamptz) and (w.series_id, w.ts) <= ($4::int4, $5::timestamptz)`

const (
	nextWaitsSQL = `with n as (select series_id, ts from waiting where file_id = $1 and (series_id, ts) > ($2, $3) order by series_id, ts limit $4)
		select (select count(*) from n), series_id, ts from n order by series_id desc, ts desc limit 1`
	stageWaitsSQL = `insert into staging (series_id, ts, value, file_id, quality)
		select w.series_id, w.ts, w.value, w.file_id, w.quality from waiting w where ` + theseWaits
	// waitsMeetSQL counts what they meet, by file.
	waitsMeetSQL = `select r.file_id, count(*) from waiting w join readings r on r.series_id = w.series_id and r.ts = w.ts where ` + theseWaits + ` group by r.file_id`
	// waitsReplaceSQL puts them in the place of what is of some files, and counts by
	// file what was. What another transaction takes over meanwhile it leaves.
	waitsReplaceSQL = `with won as (
			update readings r set value = w.value, quality = w.quality, file_id = w.file_id from waiting w, unnest($6::int8[]) as o(id)
			where ` + theseWaits + ` and r.series_id = w.series_id and r.ts = w.ts and r.file_id = o.id returning o.id)
		select id, count(*) from won group by id`
	// waitsRestSQL stores those that meet nothing.
	waitsRestSQL = `with added as (
			insert into readings (series_id, ts, value, file_id, quality)
			select w.series_id, w.ts, w.value, w.file_id, w.quality from waiting w
			where ` + theseWaits + ` and not exists (select from readings r where r.series_id = w.series_id and r.ts = w.ts)
			order by w.series_id, w.ts on conflict do nothing returning 1)
		select count(*) from added`
)

// nextWaits finds the next readings of the file that wait, up to limit. There are
// no more where n is 0.
func (c *committer) nextWaits(ctx context.Context, w *portion, limit int64) error {
	w.after, w.n = w.from, 0
	return execute(ctx, c.conn, nextWaitsSQL, [][]byte{int8Param(w.file), w.after[0], w.after[1], int8Param(limit)}, func(r *record) {
		w.n, w.from = r.int8(), [2][]byte{slices.Clone(r.raw()), slices.Clone(r.raw())}
	})
}

// settleWaits stores what stands of them, and counts what became of them in the
// receipt of their file's span.
func (c *committer) settleWaits(ctx context.Context, w *portion, s *ingest.Span) error {
	if settled, err := c.replaceByWaits(ctx, w, s); settled || err != nil {
		return err
	}
	if err := execute(ctx, c.conn, stageWaitsSQL, w.params(), nil); err != nil {
		return fmt.Errorf("finishing a file: %w", err)
	}
	if err := c.settleStaged(ctx, map[int64]*ingest.Span{w.file: s}, w.n); err != nil {
		return err
	}
	if _, err := c.conn.Exec(ctx, "truncate staging").ReadAll(); err != nil {
		return fmt.Errorf("finishing a file: %w", err)
	}
	return nil
}

// replaceByWaits is settleWaits where all that they meet is outranked, as where a
// file comes anew: each is then written once, and not staged, locked and written.
// It reports whether that was so.
func (c *committer) replaceByWaits(ctx context.Context, w *portion, s *ingest.Span) (settled bool, err error) {
	if c.aside || c.compressed || c.sink.store.layout.Hypertable || c.sink.options.Policy == Error {
		return false, nil
	}
	met := make(map[takeover]int64)
	err = execute(ctx, c.conn, waitsMeetSQL, w.params(), func(r *record) {
		met[takeover{from: r.int8(), by: w.file}] = r.int8()
	})
	var all []takeover
	if err == nil {
		all, err = c.outranked(ctx, met)
	}
	if err != nil || all == nil {
		return false, finishing(err)
	}
	old := newColumns(oidInt8)
	for _, t := range all {
		old[0].int8(t.from)
	}
	var replaced, added int64
	err = execute(ctx, c.conn, waitsReplaceSQL, append(w.params(), old.params()...), func(r *record) {
		t := takeover{from: r.int8(), by: w.file, n: r.int8()}
		c.takeovers = append(c.takeovers, t)
		replaced += t.n
	})
	if err == nil && replaced < w.n {
		err = execute(ctx, c.conn, waitsRestSQL, w.params(), func(r *record) { added = r.int8() })
	}
	switch {
	case err != nil:
		return false, finishing(err)
	case replaced+added != w.n:
		return false, errRaced
	}
	s.Receipt.Cells.Stored += added
	s.Receipt.Cells.Replaced += replaced
	return true, nil
}

func finishing(err error) error {
	if err != nil {
		return fmt.Errorf("finishing a file: %w", err)
	}
	return nil
}

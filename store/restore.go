package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// What a correction takes out may have kept other files' readings from
// standing. These files are read again, and put theirs there.

// overlapSQL finds the loaded files that may have a reading to put where one of
// the correction's is taken out: those that have lost one to another file, or
// never had it stored, within the same series and instants. Most of the ledger
// is ruled out by the outermost instants, the rest is met by series; the array
// keeps the planner, which expects many, from reading all of the ledger.
const overlapSQL = `f.state = 'loaded' and f.id <> all($1) and f.id = any(array(
	select distinct c.file_id
	from (select file_id, first_ts, last_ts, unnest(series) as series from receipts
		where last_ts >= (select min(first_ts) from receipts where file_id = any($1))
			and first_ts <= (select max(last_ts) from receipts where file_id = any($1))
			and (unchanged + outranked > 0 or file_id in (select from_file from takeovers where by_file = any($1)))) c
	join (select first_ts, last_ts, unnest(series) as series from receipts where file_id = any($1)) x
		on x.series = c.series and x.first_ts <= c.last_ts and x.last_ts >= c.first_ts))`

// takenOut is the ids of the files whose readings make room for others: in
// append mode not of those that are loaded again.
func (k *correction) takenOut(again *ingest.Batch) (sql string, out []int64) {
	for i := range k.Files {
		if k.Files[i].State != ingest.Loading { // which has kept nothing from standing
			out = append(out, k.Files[i].ID)
		}
	}
	if !k.store.layout.Append {
		return overlapSQL, out
	}
	for i := range again.Spans {
		if s := &again.Spans[i]; s.State == ingest.Loaded {
			out = slices.DeleteFunc(out, func(id int64) bool { return id == s.Ledger })
		}
	}
	return appendOverlapSQL, out
}

// overlapping lists the files that may have readings to put back.
func (k *correction) overlapping(ctx context.Context, again *ingest.Batch) ([]FileVersion, error) {
	sql, out := k.takenOut(again)
	rows, err := k.store.pool.Query(ctx, selectFiles+" where "+sql+" order by f.id", out)
	if err != nil {
		return nil, fmt.Errorf("looking for files that overlap: %w", err)
	}
	files, err := pgx.CollectRows(rows, scanFile)
	if err != nil {
		return nil, fmt.Errorf("looking for files that overlap: %w", err)
	}
	return files, nil
}

// stillOverlapping makes sure that no file came or went since the bytes were
// read. Whoever had met the readings that are now taken out has committed by
// now, and who comes later finds them gone.
func (k *correction) stillOverlapping(ctx context.Context, again *ingest.Batch) error {
	sql, out := k.takenOut(again)
	var now []int64
	err := k.exec(ctx, "select f.id from files f join receipts r on r.file_id = f.id where "+sql+" order by f.id", ids(out),
		func(r *record) { now = append(now, r.int8()) })
	if err == nil && !slices.Equal(now, k.overlaps) {
		err = errRaced
	}
	return err
}

// restore puts the readings of files that overlap where there are none now, or
// some of lesser rank, and writes these files' receipts anew.
func (k *correction) restore(ctx context.Context, b *ingest.Batch) error {
	if len(b.Spans) == 0 {
		return nil
	}
	versions := byID(k.result.Restored)
	if err := k.withholdAgain(ctx, b, versions, func(*ingest.Span, *FileVersion) bool { return true }); err != nil {
		return err
	}
	if err := k.resolve(ctx, b, spansOf(b)); err != nil {
		return err
	}
	k.claims = k.claims[:0]
	for i := range b.Spans {
		s := &b.Spans[i]
		v := versions[s.Ledger]
		if s.State != ingest.Loaded {
			return fmt.Errorf("reading %s again gave %s (%s), though its bytes and recipe are those it was loaded with", v.Display, s.State, s.Reason)
		}
		key := FileKey(v.Source, v.Path)
		k.claims = append(k.claims, claim{span: i, id: v.ID, key: key, state: ingest.Loaded, generation: v.Generation,
			newest: &version{id: v.ID, generation: v.Generation}, rank: rankOf(&v, key), waitsOn: v.Shape != ""})
	}
	// Their receipts are counted from what stands now, so that what others took
	// from them before is settled with it.
	restored := fileIDs(k.result.Restored)
	if k.store.layout.Append {
		if err := k.takeOutReadings(ctx, restored, func(int64, int64) {}); err != nil {
			return err
		}
	}
	if err := k.exec(ctx, "delete from takeovers where from_file = any($1)", ids(restored), nil); err != nil {
		return err
	}
	if err := k.decidePasses(ctx, b); err != nil {
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
	// The rows that were settled before, in this transaction.
	if err := k.exec(ctx, "truncate pg_temp.staging", nil, nil); err != nil {
		return err
	}
	k.staged, k.singly = !k.store.layout.Append, true // some of them stand already
	if !k.staged {
		countStored(b, k.order.Spans)
	}
	return k.storeReadings(ctx, b)
}

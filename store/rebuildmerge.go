package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Where a database is lost, and its daemon loads what is still at its sources into
// an empty one, the archive tells of two ledgers that number a path's versions each
// from 1. They are put one behind the other, so that no version is taken for
// another: what the later one fetched by itself follows the last version that the
// earlier one has bytes of, or is that version where the content is the same. What
// it had been rebuilt from the earlier one is the same version as there: its
// number, its content and when it was first fetched are equal.

// mergeSQL puts what the ledger $1 fetched by itself behind what those before it
// have. Nothing of it stands as if it were older.
const mergeSQL = `with own as materialized (
		select r.key, min(r.generation) as first from recorded r
		where r.since = $1 and not exists (select from recorded e where e.key = r.key and e.generation = r.generation and e.since < $1
			and e.doc->>'sum' = r.doc->>'sum' and e.doc->>'fetched' = r.doc->>'fetched')
		group by r.key),
	shifts as materialized (
		select o.key, o.first, b.rank_time, b.last - o.first + case when b.sum = f.doc->>'sum' then 0 else 1 end as by
		from own o join recorded f on f.key = o.key and f.since = $1 and f.generation = o.first
			cross join lateral (
				select e.generation as last, e.doc->>'sum' as sum, (e.doc->>'rank_time')::int8 as rank_time from recorded e
				where e.key = o.key and e.since < $1 and e.pack is not null order by e.generation desc, e.since desc limit 1) b
		where o.first <= b.last)
	update recorded r set generation = r.generation + s.by,
		doc = r.doc || jsonb_build_object('generation', r.generation + s.by, 'rank_time', greatest((r.doc->>'rank_time')::int8, s.rank_time))
	from shifts s where r.key = s.key and r.since = $1 and r.generation >= s.first`

// Of what several ledgers told of a version the last one's stands, but for its
// bytes, if only another's archive has them.
var foldSQL = []string{
	`update recorded o set pack = r.pack, pack_offset = r.pack_offset from recorded r
		where r.key = o.key and r.generation = o.generation and r.since < o.since and o.pack is null and r.pack is not null and r.doc->>'sum' = o.doc->>'sum'`,
	`delete from recorded r using recorded o where o.key = r.key and o.generation = r.generation and o.since > r.since`,
	// What was adopted, of a path of which there is more than that to be loaded.
	`delete from recorded r where r.state = 'skipped' and exists (select from recorded e where e.key = r.key and e.generation < r.generation)`,
}

// mergeRecorded makes one ledger of all that were learned.
func mergeRecorded(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "analyze recorded"); err != nil {
		return err
	}
	var last int32
	if err := tx.QueryRow(ctx, "select coalesce(max(since), 0) from recorded").Scan(&last); err != nil || last == 0 {
		return err
	}
	for since := int32(1); since <= last; since++ {
		if _, err := tx.Exec(ctx, mergeSQL, since); err != nil {
			return err
		}
	}
	for _, sql := range foldSQL {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// refuseOthers refuses a database that has loaded some path otherwise than it is to
// be rebuilt: what is lost would have to go below versions that are there. An
// earlier try of the rebuild, and what a daemon loaded after it, are no hindrance.
func refuseOthers(ctx context.Context, tx pgx.Tx) error {
	var n int64
	var first string
	err := tx.QueryRow(ctx, `select count(distinct f.key), coalesce(min(f.path), '') from files f
		where f.generation <= (select max(generation) from recorded r where r.key = f.key)
			and not exists (select from recorded r where r.key = f.key and r.generation = f.generation and decode(r.doc->>'sum', 'hex') = f.sha256)`).Scan(&n, &first)
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("this database has loaded %d paths since the archive's was lost, the first of them %s, and as versions that the archive has other bytes of: load the archive into an empty database, with 'penstock run' stopped until that is done; all that this one has loaded is in the archive, too, if it was kept with it", n, first)
	}
	return nil
}

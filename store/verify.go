package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// A Mismatch is a receipt that the readings table, or its own sums, contradict.
type Mismatch struct {
	FileID     int64 // of the readings, where the ledger has no such file
	Source     string
	Display    string // the path, escaped; "" where the ledger has no such file
	Generation int32
	State      ingest.State // "" where the ledger has no such file
	What       string       // what does not agree
	Expected   int64
	Found      int64
}

// Verified is what a Verify looked at.
type Verified struct {
	Files      int64 // file versions
	Readings   int64 // that these own
	Mismatches int64
}

// verifyByFile is up to how many file versions a restricted Verify counts one
// by one, through the series and the instants their receipts name; for more it
// reads the readings table once, as an unrestricted one does.
const verifyByFile = 1000

// Verify holds the receipts of the selected file versions against the table: a
// loaded file owns as many readings as it stored and took over, less what
// others took over from it, and any other file owns none; and both sums of
// each receipt agree. When everything is selected, readings of files that the
// ledger does not have are mismatches too. All is seen at one moment, so that
// files may be loaded meanwhile.
//
// Each mismatch is given to report, whose error ends the work.
func (s *Store) Verify(ctx context.Context, sel Selection, report func(Mismatch) error) (Verified, error) {
	c, err := sel.conditions()
	if err != nil {
		return Verified{}, err
	}
	var done Verified
	// One statement sees one moment. A snapshot that is older than its locks may miss
	// what TimescaleDB's policy compresses anew in between (seen with 2.28.3).
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var n int64
		all := sel.everything()
		if !all {
			if err := tx.QueryRow(ctx, "select count(*) from files f where "+c.where(), c.args...).Scan(&n); err != nil {
				return err
			}
		}
		owned := ownedByScan
		if !all && n <= verifyByFile {
			owned = ownedByFile
		}
		rows, err := tx.Query(ctx, verifyQuery(owned, c.where(), all), c.args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var m Mismatch
			if err := rows.Scan(&m.FileID, &m.Source, &m.Display, &m.Generation, &m.State, &m.What, &m.Expected, &m.Found); err != nil {
				return err
			}
			if m.What == "" { // the totals
				done.Files, done.Readings = m.Expected, m.Found
				continue
			}
			done.Mismatches++
			if err := report(m); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err != nil {
		return done, fmt.Errorf("verifying receipts: %w", err)
	}
	return done, nil
}

const ownedByScan = `select file_id, count(*) as n from readings group by file_id`

// A file's receipt names its series and the instants it spans, and by these
// its readings are found through their key.
const ownedByFile = `select f.id as file_id, o.n from chosen f join receipts r on r.file_id = f.id,
	lateral (select count(*) as n from unnest(r.series) as u(id) join readings d on d.series_id = u.id
		and d.ts between r.first_ts and r.last_ts and d.file_id = f.id) o`

// verifyQuery gives one row of totals, whose what is empty, and one for each
// mismatch. The readings are scanned once, and the result held as one narrow
// row a file.
func verifyQuery(owned, where string, orphans bool) string {
	join := "left join"
	if orphans {
		join = "full join"
	}
	return `with chosen as (select f.id, f.state from files f where ` + where + `),
	owned as (` + owned + `),
	passed as (select from_file, sum(n)::int8 as n from takeovers group by from_file),
	checked as materialized (
		select coalesce(f.id, o.file_id) as id, f.id is null as orphan,
			case f.state when 'loaded' then coalesce(r.stored + r.replaced, 0) - coalesce(p.n, 0)
				when 'loading' then coalesce(o.n, 0) else 0 end as expected,
			coalesce(o.n, 0) as found,
			f.state = 'loaded' and r.file_id is null as no_receipt,
			r.lines, r.lines_preamble + r.lines_header + r.lines_blank + r.lines_comment + r.lines_footer
				+ r.lines_message + r.lines_data + r.lines_rejected as lines_sum,
			r.cells, r.missing + r.rejected + r.withheld + r.repeated + r.stored + r.replaced + r.unchanged + r.outranked as cells_sum
		from chosen f ` + join + ` owned o on o.file_id = f.id
		left join receipts r on r.file_id = f.id
		left join passed p on p.from_file = f.id),
	wrong as (
		select id, 'readings of a file that the ledger does not have' as what, 0::int8 as expected, found from checked where orphan
		union all select id, 'readings owned', expected, found from checked where expected <> found and not orphan
		union all select id, 'receipts of a loaded file', 1, 0 from checked where no_receipt
		union all select id, 'lines accounted for', lines, lines_sum from checked where lines <> lines_sum
		union all select id, 'cells accounted for', cells, cells_sum from checked where cells <> cells_sum)
	select 0::int8 as id, '', '', 0, '', '', count(*) filter (where not orphan), coalesce(sum(found), 0)::int8 from checked
	union all
	select w.id, coalesce(s.name, ''), coalesce(f.path, ''), coalesce(f.generation, 0), coalesce(f.state::text, ''),
		w.what, w.expected, w.found
	from wrong w left join files f on f.id = w.id left join sources s on s.id = f.source
	order by 1, 6`
}

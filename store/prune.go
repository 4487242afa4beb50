package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Pruning forgets old file versions of which nothing stands any more.
type Pruning struct {
	Before time.Time // first fetched before
	DryRun bool
	Action Action // OSUser, Host, Command and Reason are to be filled in
}

// Pruned is what a Pruning forgot, or in a dry run would forget, and what it
// leaves.
type Pruned struct {
	Files    int64 // versions forgotten, with their receipts
	Bytes    int64 // that their rows take, without indexes
	Rejects  int64 // reasons of lines and cells lost with them
	Lost     int64 // of the versions, those that had readings: undoing a later version no longer puts these back
	Standing int64 // as old, and kept: readings point to them
	Newest   int64 // as old, and kept: the newest versions of their paths, which would be loaded again if their files are still there
}

// pruneAt is how many file versions are looked at in one transaction.
const pruneAt = 5000

// Prune forgets file versions that are older, have a later version of their
// path, and own no reading any more. Readings are looked for in their table. It
// works through the ledger in transactions of its own: what it has forgotten
// when it is cut short stays so.
func (s *Store) Prune(ctx context.Context, p Pruning) (*Pruned, error) {
	done := &Pruned{}
	var err error
	if !p.DryRun {
		if p.Action.Run, _, err = s.startRun(ctx, 0); err != nil {
			return nil, err
		}
	}
	for last := int64(0); ; {
		n := int64(0)
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
			n, last, err = p.prune(ctx, tx, last, done)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("forgetting old file versions: %w", err)
		}
		if n == 0 {
			return done, nil
		}
	}
}

// prune goes through the next file versions after the last one. n is how many
// that were.
func (p *Pruning) prune(ctx context.Context, tx pgx.Tx, after int64, done *Pruned) (n, last int64, err error) {
	if _, err := tx.Exec(ctx, `create temp table pruning on commit drop as
		select f.id, coalesce(r.stored + r.replaced + r.unchanged + r.outranked, 0) > 0 as held, pg_column_size(f.*) + coalesce(pg_column_size(r.*), 0) as bytes,
			exists (select from files l where l.key = f.key and l.generation > f.generation)
				and not exists (select from passes p where p.file_id = f.id) as old,
			exists (select from readings d where d.series_id = any(r.series) and d.ts between r.first_ts and r.last_ts and d.file_id = f.id) as stands
		from (select * from files where id > $1 and fetched < $2 order by id limit $3) f left join receipts r on r.file_id = f.id`, after, p.Before, pruneAt); err != nil {
		return 0, 0, err
	}
	var files, bytes, rejects, lost, standing, newest int64
	if err := tx.QueryRow(ctx, `select count(*), coalesce(max(id), 0), count(*) filter (where old and not stands), coalesce(sum(bytes) filter (where old and not stands), 0)::int8,
			(select count(*) from rejects x join pruning p on p.id = x.file_id and p.old and not p.stands),
			count(*) filter (where old and not stands and held), count(*) filter (where stands), count(*) filter (where not old and not stands)
		from pruning`).Scan(&n, &last, &files, &bytes, &rejects, &lost, &standing, &newest); err != nil {
		return 0, 0, err
	}
	if !p.DryRun && files > 0 {
		// What they had taken from others stays told: it balances the others'
		// receipts.
		for _, sql := range []string{
			"delete from receipts where file_id in (select id from pruning where old and not stands)",
			"delete from rejects where file_id in (select id from pruning where old and not stands)",
			"delete from held where file_id in (select id from pruning where old and not stands)",
			"delete from growths where file_id in (select id from pruning where old and not stands)",
			"delete from takeovers where from_file in (select id from pruning where old and not stands)",
			"delete from files where id in (select id from pruning where old and not stands)",
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return 0, 0, err
			}
		}
		if err := recordAction(ctx, tx.Conn().PgConn(), p.Action, int(files), 0); err != nil {
			return 0, 0, err
		}
	}
	if _, err := tx.Exec(ctx, "drop table pruning"); err != nil {
		return 0, 0, err
	}
	done.Files, done.Bytes, done.Rejects = done.Files+files, done.Bytes+bytes, done.Rejects+rejects
	done.Lost, done.Standing, done.Newest = done.Lost+lost, done.Standing+standing, done.Newest+newest
	return n, last, nil
}

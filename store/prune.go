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
	Needed   int64 // as old, and kept: there are copies of them under other names, or they tell in which pass of an hour their paths' readings are, or somebody is changing them
}

func (p *Pruned) add(q *Pruned) {
	p.Files, p.Bytes, p.Rejects, p.Lost = p.Files+q.Files, p.Bytes+q.Bytes, p.Rejects+q.Rejects, p.Lost+q.Lost
	p.Standing, p.Newest, p.Needed = p.Standing+q.Standing, p.Newest+q.Newest, p.Needed+q.Needed
}

// pruneAt is how many file versions are looked at in one transaction.
const pruneAt = 5000

// Prune forgets file versions that are older, have a later version of their
// path, and own no reading any more. Readings are looked for in their table. What
// somebody else is changing meanwhile stays. It works through the ledger in
// transactions of its own: what it has forgotten when it is cut short stays so.
func (s *Store) Prune(ctx context.Context, p Pruning) (*Pruned, error) {
	done := &Pruned{}
	var err error
	if !p.DryRun {
		if p.Action.Run, _, _, err = s.startRun(ctx, 0); err != nil {
			return nil, err
		}
	}
	for last := int64(0); ; {
		var some pruning
		for range raceLimit {
			some = pruning{Pruning: &p, after: last}
			if err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return some.run(ctx, tx) }); err == nil || judge(err) != tryAgain {
				break
			}
		}
		if err != nil {
			return nil, fmt.Errorf("forgetting old file versions: %w", err)
		}
		if some.n == 0 {
			return done, nil
		}
		last = some.last
		done.add(&some.done)
	}
}

// A pruning goes through the next file versions after one.
type pruning struct {
	*Pruning
	after int64
	n     int64 // how many that were
	last  int64
	done  Pruned
}

// pruningSQL says of file versions why they are to be kept. %s is which.
const pruningSQL = `select f.id, coalesce(r.stored + r.replaced + r.unchanged + r.outranked, 0) > 0 as held, pg_column_size(f.*) as bytes,
		not exists (select from files l where l.key = f.key and l.generation > f.generation) as newest,
		f.state = 'loading' or exists (select from passes p where p.file_id = f.id)
			or f.state = 'loaded' and exists (select from files d where d.content = f.content and d.state = 'duplicate') as needed,
		exists (select from readings d where d.series_id = any(r.series) and d.ts between r.first_ts and r.last_ts and d.file_id = f.id) as stands
	from (%s) f left join receipts r on r.file_id = f.id`

// run looks at the next versions, locks those that may go, so that nothing is put
// back of them and no copy refers to them, and looks at these again.
func (p *pruning) run(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "create temp table pruning on commit drop as "+
		fmt.Sprintf(pruningSQL, "select * from files where id > $1 and fetched < $2 order by id limit $3"), p.after, p.Before, pruneAt); err != nil {
		return err
	}
	if !p.DryRun {
		for _, sql := range []string{
			`create temp table locked on commit drop as select f.id from files f
				where f.id in (select id from pruning where not (newest or needed or stands)) order by f.id for update skip locked`,
			// A statement of its own sees what was committed before they were locked.
			`create temp table going on commit drop as select id from (` + fmt.Sprintf(pruningSQL, "select * from files where id in (select id from locked)") + `) x
				where not (newest or needed or stands)`,
			`update pruning p set needed = true where not (newest or needed or stands) and not exists (select from going g where g.id = p.id)`,
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
	}
	d := &p.done
	if err := tx.QueryRow(ctx, `select count(*), coalesce(max(id), 0), count(*) filter (where goes), coalesce(sum(bytes) filter (where goes), 0)::int8,
			(select count(*) from rejects x join pruning p on p.id = x.file_id and not (p.newest or p.needed or p.stands)),
			count(*) filter (where goes and held), count(*) filter (where stands), count(*) filter (where newest and not stands), count(*) filter (where needed and not newest and not stands)
		from (select *, not (newest or needed or stands) as goes from pruning) x`).Scan(
		&p.n, &p.last, &d.Files, &d.Bytes, &d.Rejects, &d.Lost, &d.Standing, &d.Newest, &d.Needed); err != nil {
		return err
	}
	if p.DryRun || d.Files == 0 {
		return nil
	}
	return p.forget(ctx, tx)
}

// forget deletes what may go. What it had taken from others stays told: it
// balances the others' receipts.
func (p *pruning) forget(ctx context.Context, tx pgx.Tx) error {
	for _, sql := range []string{
		"delete from rejects where file_id in (select id from going)",
		"delete from held where file_id in (select id from going)",
		"delete from growths where file_id in (select id from going)",
		"delete from takeovers where from_file in (select id from going)",
		"delete from files where id in (select id from going)",
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return recordAction(ctx, tx.Conn().PgConn(), p.Action, int(p.done.Files), 0)
}

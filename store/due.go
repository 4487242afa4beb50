package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// MarkDue marks held, quarantined, undone and skipped versions as due, so that
// the next listing of their source takes them up again, and records the
// action. Of a path only the newest version can be taken up: others are left
// as they are. It returns how many it marked.
func (s *Store) MarkDue(ctx context.Context, files []FileVersion, a Action) (marked int64, err error) {
	for range raceLimit {
		if marked, err = s.markDue(ctx, files, a); err == nil || judge(err) != tryAgain {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("marking %d files as due: %w", len(files), err)
	}
	return marked, nil
}

func (s *Store) markDue(ctx context.Context, files []FileVersion, a Action) (marked int64, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if marked, err = setDue(ctx, tx, files); err != nil || marked == 0 {
			return err
		}
		return recordAction(ctx, tx.Conn().PgConn(), a, int(marked), 0)
	})
	return marked, err
}

func setDue(ctx context.Context, tx pgx.Tx, files []FileVersion) (marked int64, err error) {
	tag, err := tx.Exec(ctx, `with chosen as (select id from files where id = any($1) order by id for update)
		update files f set state = 'due', `+changedNow+` from chosen c
		where f.id = c.id and f.state in ('held', 'quarantined', 'undone', 'skipped')
			and not exists (select from files n where n.key = f.key and n.generation > f.generation)`, fileIDs(files))
	return tag.RowsAffected(), err
}

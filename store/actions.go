package store

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// An Action is something a person did to the data.
type Action struct {
	ID       int64
	At       time.Time // UTC
	DBUser   string    // the database's role
	OSUser   string
	Host     string
	Command  string
	Reason   string
	Files    int64 // file versions it changed
	Readings int64 // readings it changed
	Run      int32 // that changed them; 0 where nothing was loaded or taken out
}

const selectActions = `select id, at, db_user, os_user, host, command, reason, files, readings, run from actions`

// Actions lists what people did to the data, the earliest first. The first
// error ends it.
func (s *Store) Actions(ctx context.Context) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		rows, err := s.pool.Query(ctx, selectActions+" order by id")
		if err != nil {
			yield(Action{}, fmt.Errorf("reading the actions: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			a, err := scanAction(rows)
			if !yield(a, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Action{}, fmt.Errorf("reading the actions: %w", err))
		}
	}
}

// Record keeps an action beside those that corrections write themselves. ID, At
// and DBUser are the database's to fill in.
func (s *Store) Record(ctx context.Context, a Action) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("recording the action: %w", err)
	}
	defer conn.Release()
	return recordAction(ctx, conn.Conn().PgConn(), a, int(a.Files), a.Readings)
}

func scanAction(row pgx.CollectableRow) (a Action, err error) {
	err = row.Scan(&a.ID, &a.At, &a.DBUser, &a.OSUser, &a.Host, &a.Command, &a.Reason, &a.Files, &a.Readings, &a.Run)
	a.At = a.At.UTC()
	return a, err
}

// recordAction writes an action within a transaction that it tells of. Those of
// one run add up to one.
func recordAction(ctx context.Context, conn *pgconn.PgConn, a Action, files int, readings int64) error {
	_, err := conn.ExecParams(ctx, `insert into actions (os_user, host, command, reason, files, readings, run) values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (run) where run <> 0 do update set files = actions.files + excluded.files, readings = actions.readings + excluded.readings`,
		[][]byte{[]byte(plain(a.OSUser)), []byte(plain(a.Host)), []byte(plain(a.Command)), []byte(plain(a.Reason)),
			[]byte(fmt.Sprint(files)), []byte(fmt.Sprint(readings)), []byte(fmt.Sprint(a.Run))}, nil, nil, nil).Close()
	if err != nil {
		return fmt.Errorf("recording the action: %w", err)
	}
	return nil
}

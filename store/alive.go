package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Ping asks the database whether it is there, on a connection of its own: that
// others wait for their turn does not make it wait. Its error is one of the
// connection's.
func (s *Store) Ping(ctx context.Context) error {
	select {
	case s.pings.turn <- struct{}{}:
		defer func() { <-s.pings.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.pings.conn != nil && s.pings.conn.Ping(ctx) == nil {
		return nil
	}
	s.pings.close() // the server may have begun anew since
	conn, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	s.pings.conn = conn
	return nil
}

// pings are those of a store.
type pings struct {
	turn chan struct{}  // holds one element while somebody has conn
	conn *pgconn.PgConn // nil for none
}

func (p *pings) close() {
	if p.conn != nil {
		closeConnection(p.conn)
		p.conn = nil
	}
}

// Away reports whether an error says that the database is not to be reached, or
// short of something for the moment, so that trying again later may do.
func Away(err error) bool { return err != nil && judge(err) == tryLater }

// Changes are what a process that goes on is to look for from time to time. Of
// each it matters only whether it is what it was.
type Changes struct {
	Approved string // another whenever a profile is approved, or its approval altered
	Actions  string // another whenever a person did something to the data
}

// Changes returns how things stand.
func (s *Store) Changes(ctx context.Context) (c Changes, err error) {
	err = s.pool.QueryRow(ctx, `select (select coalesce(md5(string_agg(id || md5(approved), '' order by id)), '') from shapes where approved is not null),
		(select coalesce((select id || ' ' || files from actions order by id desc limit 1), ''))`).Scan(&c.Approved, &c.Actions)
	if err != nil {
		return c, fmt.Errorf("looking for what a person did: %w", err)
	}
	return c, nil
}

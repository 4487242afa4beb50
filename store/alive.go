package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

var errClosed = errors.New("the store is closed")

// Ping asks the database whether it is there, on a connection of its own: that
// others wait for their turn does not make it wait. Its error is one of the
// connection's, or says that the store is closed, which ends it.
func (s *Store) Ping(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(s.pings.open, func() { end(errClosed) })()
	select {
	case s.pings.turn <- struct{}{}:
		defer func() { <-s.pings.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.pings.open.Err() != nil {
		return errClosed
	}
	if s.pings.conn != nil && s.pings.conn.Ping(ctx) == nil {
		return nil
	}
	s.pings.drop() // the server may have begun anew since
	conn, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	s.pings.conn = conn
	return nil
}

// pings are those of a store.
type pings struct {
	turn  chan struct{}  // holds one element while somebody has conn, and for ever once it is closed
	conn  *pgconn.PgConn // nil for none
	open  context.Context
	close context.CancelFunc
}

func newPings() *pings {
	p := &pings{turn: make(chan struct{}, 1)}
	p.open, p.close = context.WithCancel(context.Background())
	return p
}

// end ends the one that is under way, and closes the connection.
func (p *pings) end() {
	p.close()
	p.turn <- struct{}{}
	p.drop()
}

func (p *pings) drop() {
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

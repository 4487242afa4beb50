package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A connection is one that chunks are committed on, with what is known of its
// session. One committer uses it at a time.
type connection struct {
	conn     *pgconn.PgConn
	prepared map[string]bool // by name: statements that it has
	staging  bool            // it has its staging table
	ids      []int64         // reserved on it for file versions to come: a server that crashed may give them out again
	used     time.Time
}

// connections is what all committers of a store share. A committer has one for
// the time of a commit: a thousand workers of sources that rest need none. The
// one used last goes first, so that no more stay open than are needed.
type connections struct {
	dial func(context.Context) (*connection, error)

	mu      sync.Mutex
	limit   int // 0 for none
	open    int // idle, in use, or being opened
	idle    []*connection
	waiting []chan *connection // each gets one, or nil as the leave to open one
	sweeper *time.Timer        // runs while there are idle ones
	closed  bool
}

const (
	// idleFor is how long a connection is kept that nobody uses.
	idleFor = time.Minute
	// sureFor is how long after its last use a connection is taken to be alive.
	sureFor = time.Second
)

// SetConnections bounds how many connections the store's committers have at a
// time; 0 means as many as there are committers. Those above the bound are
// closed when they are given back. Beside them the store has up to four for
// looks into the ledger, one for leases, one that tells listeners, and one for Ping.
func (s *Store) SetConnections(n int) { s.connections.setLimit(max(n, 0)) }

// take returns a connection, waiting for one while as many are in use as may
// be; the end of ctx ends that. Who waits longest is served first.
func (p *connections) take(ctx context.Context) (*connection, error) {
	c, err := p.wait(ctx)
	if err != nil {
		return nil, err
	}
	if c != nil && time.Since(c.used) > sureFor && !alive(ctx, c.conn) {
		closeConnection(c.conn)
		c = nil
	}
	if c != nil {
		return c, nil
	}
	if c, err = p.dial(ctx); err != nil {
		p.drop()
		return nil, err
	}
	return c, nil
}

// wait returns an idle connection, or nil as the leave to open one.
func (p *connections) wait(ctx context.Context) (*connection, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	if p.limit == 0 || p.open < p.limit {
		p.open++
		p.mu.Unlock()
		return nil, nil
	}
	turn := make(chan *connection, 1)
	p.waiting = append(p.waiting, turn)
	p.mu.Unlock()
	select {
	case c := <-turn:
		return c, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	i := slices.Index(p.waiting, turn)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 { // served at the same moment
		if c := <-turn; c != nil {
			p.give(c)
		} else {
			p.drop()
		}
	}
	return nil, context.Cause(ctx)
}

// give takes back a connection that is fit for the next one.
func (p *connections) give(c *connection) {
	c.used = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed || p.limit > 0 && p.open > p.limit:
		p.open--
		p.mu.Unlock()
		closeConnection(c.conn)
		p.mu.Lock()
	case len(p.waiting) > 0:
		p.next() <- c
	default:
		p.idle = append(p.idle, c)
		if p.sweeper == nil {
			p.sweeper = time.AfterFunc(idleFor, p.sweep)
		}
	}
}

// drop counts out a connection that is closed.
func (p *connections) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	p.admit()
}

// admit lets those who wait open connections, as many as may be. The lock is
// held.
func (p *connections) admit() {
	for len(p.waiting) > 0 && (p.limit == 0 || p.open < p.limit) {
		p.open++
		p.next() <- nil
	}
}

func (p *connections) next() chan<- *connection {
	turn := p.waiting[0]
	p.waiting = slices.Delete(p.waiting, 0, 1)
	return turn
}

func (p *connections) setLimit(n int) {
	p.mu.Lock()
	p.limit = n
	surplus := 0
	if n > 0 {
		surplus = min(max(p.open-n, 0), len(p.idle))
	}
	old := p.forget(surplus)
	p.admit()
	p.mu.Unlock()
	closeAll(old)
}

// sweep closes the connections that nobody has used for long.
func (p *connections) sweep() {
	p.mu.Lock()
	since := time.Now().Add(-idleFor)
	n := 0
	for n < len(p.idle) && !p.idle[n].used.After(since) {
		n++
	}
	old := p.forget(n)
	if len(p.idle) == 0 || p.closed {
		p.sweeper = nil
	} else {
		p.sweeper.Reset(max(p.idle[0].used.Sub(since), time.Second))
	}
	p.mu.Unlock()
	closeAll(old)
}

// forget takes out the n connections that were not used for longest. The lock
// is held.
func (p *connections) forget(n int) []*connection {
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.open -= n
	return old
}

func (p *connections) close() {
	p.mu.Lock()
	p.closed = true
	old := p.forget(len(p.idle))
	if p.sweeper != nil {
		p.sweeper.Stop()
	}
	p.mu.Unlock()
	closeAll(old)
}

func closeAll(old []*connection) {
	for _, c := range old {
		closeConnection(c.conn)
	}
}

// alive asks the server. What lies between may have dropped the connection
// without a word.
func alive(ctx context.Context, conn *pgconn.PgConn) bool {
	if conn.IsClosed() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return conn.Ping(ctx) == nil
}

func closeConnection(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing is lost with it
}

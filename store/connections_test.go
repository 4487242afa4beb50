package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/store/pglocal/pgtest"
)

// counts tells how many connections are open, how many of these nobody uses, and
// how many committers wait for one.
func (p *connections) counts() (open, idle, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, len(p.idle), len(p.waiting)
}

// Many workers of several sinks share few connections: all get their turn, and
// no more are ever open than may be.
func TestCommittersShareConnections(t *testing.T) {
	s := open(t, Options{})
	s.SetConnections(2)
	sinks := []*Sink{sinkOf(t, s, SinkOptions{Source: "a"}), sinkOf(t, s, SinkOptions{Source: "b"}), sinkOf(t, s, SinkOptions{Source: "c"})}
	var most int
	var mu sync.Mutex
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			var n int
			err := s.pool.QueryRow(context.Background(), `select count(*) from pg_locks l join pg_class c on c.oid = l.relation
				where c.relname = 'files' and l.mode = 'RowExclusiveLock' and l.database = (select oid from pg_database where datname = current_database())`).Scan(&n)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			most = max(most, n)
			mu.Unlock()
		}
	})
	var files [3][]testFile
	for i := range files {
		for n := range 120 {
			files[i] = append(files[i], testFile{path: fmt.Sprintf("L%d_%d", i, n), modified: begin, readings: []testReading{{"flow", int64(n), float64(n), ""}}})
		}
	}
	var wg sync.WaitGroup
	for i, sink := range sinks {
		wg.Go(func() { commitAll(t, []*Sink{sink}, files[i], 4, 5) })
	}
	wg.Wait()
	close(stop)
	watch.Wait()
	if most > 2 {
		t.Errorf("%d connections were committing at a time, and 2 may", most)
	}
	if open, idle, waiting := s.connections.counts(); open > 2 || open != idle || waiting != 0 {
		t.Errorf("in the end %d connections are open, %d of them idle, and %d wait", open, idle, waiting)
	}
	if got := query(t, s, "select count(*) from readings")[0]; got != "360" {
		t.Errorf("%s readings, want 360", got)
	}
	verify(t, s)
}

// One worker after the other uses the same connection, which stays prepared.
func TestConnectionIsUsedAgain(t *testing.T) {
	s := open(t, Options{})
	one, other := committerOf(t, sinkOf(t, s, SinkOptions{})), committerOf(t, sinkOf(t, s, SinkOptions{Source: "other"}))
	held, err := s.connections.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.connections.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.connections.give(held)
	s.connections.give(second)
	before := second.used
	for i, c := range []ingest.Committer{one, other, one} {
		commit(t, c, testFile{path: fmt.Sprintf("L1_%d", i), modified: begin, readings: []testReading{{"flow", 1, 1, ""}}})
	}
	if open, idle, _ := s.connections.counts(); open != 2 || idle != 2 || !second.used.After(before) || held.used.After(before) {
		t.Errorf("%d connections are open, %d idle; the one used last was used at %s, the other at %s", open, idle, second.used, held.used)
	}
}

// What nobody has used for a minute is closed, what was used since is kept.
func TestIdleConnectionsAreClosed(t *testing.T) {
	s := open(t, Options{})
	var three [3]*connection
	for i := range three {
		var err error
		if three[i], err = s.connections.take(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range three {
		s.connections.give(c)
		c.used = c.used.Add(time.Duration(i-2) * idleFor * 2 / 3)
	}
	s.connections.sweep()
	if open, idle, _ := s.connections.counts(); open != 2 || idle != 2 || !three[0].conn.IsClosed() || three[1].conn.IsClosed() {
		t.Errorf("%d open, %d idle", open, idle)
	}
	s.SetConnections(1)
	if open, _, _ := s.connections.counts(); open != 1 || !three[1].conn.IsClosed() || three[2].conn.IsClosed() {
		t.Errorf("%d open after the bound was lowered to 1", open)
	}
}

// The bound is lowered and raised while connections are in use and waited for.
func TestBoundChangesLive(t *testing.T) {
	s := open(t, Options{})
	first, err := s.connections.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.connections.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.SetConnections(1)
	s.connections.give(second)
	if !second.conn.IsClosed() {
		t.Error("a connection above the bound was kept")
	}

	// Whoever waits is not served, gives up with its context, and nothing is lost.
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	c := &committer{sink: sinkOf(t, s, SinkOptions{})}
	go func() {
		_, err := c.Commit(ctx, fill(&ingest.Batch{}, testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}))
		failed <- err
	}()
	waitFor(t, "the commit to wait for a connection", func() bool { _, _, n := s.connections.counts(); return n == 1 })
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a connection ended with %v", err)
	}

	got := make(chan *connection)
	go func() {
		c, err := s.connections.take(context.Background())
		if err != nil {
			t.Error(err)
		}
		got <- c
	}()
	waitFor(t, "the next one to wait", func() bool { _, _, n := s.connections.counts(); return n == 1 })
	s.SetConnections(2)
	s.connections.give(<-got)
	s.connections.give(first)
	if open, idle, _ := s.connections.counts(); open != 2 || idle != 2 {
		t.Errorf("%d open, %d idle", open, idle)
	}
}

// A connection that was cut while nobody used it is no outage.
func TestConnectionCutWhileIdle(t *testing.T) {
	s := open(t, Options{})
	log := &lines{}
	c := committerOf(t, sinkOf(t, s, SinkOptions{Log: slog.New(slog.NewTextHandler(log, nil))}))
	commit(t, c, testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}})
	s.connections.mu.Lock()
	s.connections.idle[0].used = time.Now().Add(-2 * sureFor)
	pid := s.connections.idle[0].conn.PID()
	s.connections.mu.Unlock()
	query(t, s, fmt.Sprintf("select pg_terminate_backend(%d)", pid))
	commit(t, c, testFile{path: "L1_b", modified: begin, readings: []testReading{{"flow", 2, 1, ""}}})
	if strings.Contains(log.text(), "not available") {
		t.Error(log.text())
	}
	if open, idle, _ := s.connections.counts(); open != 1 || idle != 1 {
		t.Errorf("%d open, %d idle", open, idle)
	}
}

// The database is there also while all connections for looks are busy, and when it
// was away.
func TestPingOfABusyStore(t *testing.T) {
	server := pgtest.Server(t)
	s, err := Open(t.Context(), server.URL(), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	ping := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return s.Ping(ctx)
	}
	for range s.pool.Config().MaxConns {
		look, err := s.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer look.Release()
	}
	for range 2 {
		if err := ping(); err != nil {
			t.Errorf("a store that is busy: %v", err)
		}
	}
	server.Kill()
	if err := ping(); err == nil || !Away(err) {
		t.Errorf("a store that is away: %v", err)
	}
	again, err := pgtest.Start(t.Context(), server.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Kill()
	if err := ping(); err != nil {
		t.Errorf("a store that is back: %v", err)
	}
}

package store

import (
	"context"
	"errors"
	"testing"

	"penstock/store/pglocal/pgtest"
)

// A store is closed once, and leaves no connection behind, whoever asks for the
// database meanwhile and after.
func TestCloseEndsPings(t *testing.T) {
	address := pgtest.Database(t)
	s, err := Open(t.Context(), address, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	other := openAt(t, address, Options{})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.pings.turn <- struct{}{} // somebody has the connection
	waiting, closed := make(chan error), make(chan struct{})
	go func() { waiting <- s.Ping(context.WithoutCancel(t.Context())) }()
	go func() { s.Close(); close(closed) }()
	if err := <-waiting; !errors.Is(err, errClosed) {
		t.Errorf("who waited is told %v", err)
	}
	select {
	case <-closed:
		t.Error("a connection is closed that somebody has")
	default:
	}
	<-s.pings.turn
	<-closed
	if err := s.Ping(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("afterwards it is said %v", err)
	}
	s.Close()
	waitFor(t, "its connections to end", func() bool {
		return query(t, other, "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'penstock' and pid <> pg_backend_pid()")[0] == "0"
	})
}

// A ping that waits for a server that does not answer is ended by Close.
func TestCloseEndsAPingThatWaits(t *testing.T) {
	s := open(t, Options{})
	p := startProxy(t, s.pool.Config().ConnString())
	cut := openAt(t, p.url, Options{})
	asked, goOn := make(chan struct{}, 1), make(chan struct{})
	p.arm(func(wire, int, []byte) verdictOnMessage {
		select {
		case asked <- struct{}{}:
		default:
		}
		<-goOn
		return pass
	})
	ended := make(chan error)
	go func() { ended <- cut.Ping(context.WithoutCancel(t.Context())) }()
	<-asked
	closed := make(chan struct{})
	go func() { cut.Close(); close(closed) }()
	if err := <-ended; err == nil {
		t.Error("the server does not answer, and nothing is said")
	}
	close(goOn)
	<-closed
}

package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
)

// numbers gives the rows of a COPY into a table of one int4.
func numbers(n ...int32) *copyTable {
	t := &copyTable{}
	t.start(0)
	for _, x := range n {
		t.row(1)
		t.int4(x)
	}
	return t
}

func sendNumbers(ctx context.Context, conn *pgconn.PgConn, each ...*copyTable) error {
	var c copies
	for _, t := range each {
		if err := t.queue(&c, "numbers"); err != nil {
			return err
		}
	}
	return c.send(ctx, conn)
}

// What is sent together is carried out in turn, up to what the server refuses, and
// the connection is fit for the next one.
func TestCopiesTogether(t *testing.T) {
	s := open(t, Options{})
	conn, err := s.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closeConnection(conn)
	do := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	have := func(want string) {
		t.Helper()
		if diff := cmp.Diff([]string{want}, query(t, s, "select coalesce(string_agg(n::text, ' ' order by n), 'none') from numbers")); diff != "" {
			t.Error(diff)
		}
	}
	do("create table numbers (n int4 primary key)")
	if err := sendNumbers(t.Context(), conn, numbers(1, 2), numbers(), numbers(3)); err != nil {
		t.Fatal(err)
	}
	have("1 2 3")
	do("begin")
	err = sendNumbers(t.Context(), conn, numbers(4), numbers(5, 3, 6), numbers(7))
	if refused := (*pgconn.PgError)(nil); !errors.As(err, &refused) || refused.TableName != "numbers" || conn.TxStatus() != 'E' {
		t.Errorf("a key that is there: %v, and the transaction's state %c", err, conn.TxStatus())
	}
	do("rollback")
	have("1 2 3")
	do("create function withhold() returns trigger language plpgsql as 'begin return null; end'; create trigger withhold before insert on numbers for each row execute function withhold()")
	if err := sendNumbers(t.Context(), conn, numbers(8, 9)); err == nil || !strings.Contains(err.Error(), "sent [2] rows, [0] arrived") {
		t.Errorf("what a trigger withholds: %v", err)
	}
	have("1 2 3")
}

// A connection that is lost, or given up, is not used again.
func TestCopiesOnALostConnection(t *testing.T) {
	s := open(t, Options{})
	query(t, s, "create table numbers (n int4 primary key)")
	dial := func() *pgconn.PgConn {
		t.Helper()
		conn, err := s.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	conn := dial()
	_ = conn.Conn().Close()
	if err := sendNumbers(t.Context(), conn, numbers(1)); err == nil || judge(err) != tryLater || !conn.IsClosed() {
		t.Errorf("lost: %v, closed: %v", err, conn.IsClosed())
	}

	lock, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback(context.WithoutCancel(t.Context()))
	if _, err := lock.Exec(t.Context(), "lock table numbers in share mode"); err != nil {
		t.Fatal(err)
	}
	conn = dial()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sendNumbers(ctx, conn, numbers(1), numbers(2)) }()
	waitFor(t, "the copy to wait for the lock", func() bool {
		return query(t, s, "select count(*) from pg_locks where not granted")[0] != "0"
	})
	cancel()
	if err := <-done; err == nil || !conn.IsClosed() {
		t.Errorf("given up: %v, closed: %v", err, conn.IsClosed())
	}
	waitFor(t, "the server to give it up, too", func() bool {
		return query(t, s, "select count(*) from pg_locks where not granted")[0] == "0"
	})

	conn = dial()
	if _, err := conn.Exec(t.Context(), "begin").ReadAll(); err != nil {
		t.Fatal(err)
	}
	query(t, s, fmt.Sprintf("select pg_terminate_backend(%d, 10000)", conn.PID()))
	if err := sendNumbers(t.Context(), conn, numbers(1)); err == nil || judge(err) != tryLater || !conn.IsClosed() {
		t.Errorf("ended by the server: %v, closed: %v", err, conn.IsClosed())
	}
}

// Chunks of more and of fewer readings than go in pieces, also with qualities that
// no buffer has room for.
func TestReadingsInPieces(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	want := []string{}
	for i, n := range []int{1, rowsOfPiece, rowsOfPiece + 1, piecesUpTo, piecesUpTo + 1} {
		f := testFile{path: fmt.Sprintf("L%d_a", i), modified: begin}
		for at := range n {
			f.readings = append(f.readings, testReading{"flow", int64(at), float64(at), []string{"", "good", strings.Repeat("x", 9000)}[at%97%3]})
		}
		commit(t, c, f)
		want = append(want, fmt.Sprintf("L%d|%d|%d", i, n, n*(n-1)/2))
	}
	if diff := cmp.Diff(want, query(t, s, "select logger, count(*), sum(value)::int8 from observations group by 1 order by 1")); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

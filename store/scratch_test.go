package store

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/store/pglocal/pgtest"
)

// A scratch schema is empty each time, and gone at the end; what was left over by
// a process that is gone is dropped, and what one uses is not.
func TestScratchIsFreshAndLeavesNothing(t *testing.T) {
	ctx := t.Context()
	url := pgtest.Database(t)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	schemas := func() []string {
		t.Helper()
		rows, err := conn.Query(ctx, `select nspname::text from pg_namespace where nspname like 'penstock%' order by 1`)
		if err != nil {
			t.Fatal(err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	for _, other := range []string{"penstock", "penstock_bench_mine", "penstock_bench_0badcafe"} {
		if _, err := conn.Exec(ctx, "create schema "+other+" create table kept (x int)"); err != nil {
			t.Fatal(err)
		}
	}

	first, err := OpenScratch(ctx, url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := schemas(), []string{"penstock", "penstock_bench_mine"}; !slices.Equal(got, want) {
		t.Errorf("schemas are %q, want %q: the one that was left over is dropped, and no other", got, want)
	}
	for range 2 {
		began := time.Now()
		s, err := first.Fresh(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("made anew in %v", time.Since(began))
		var runs int
		if err := conn.QueryRow(ctx, "select count(*) from "+first.Schema()+".runs").Scan(&runs); err != nil || runs != 0 {
			t.Errorf("a fresh schema has %d runs (%v)", runs, err)
		}
		if _, err := s.StartRun(ctx); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	if !first.Checkpoints() {
		t.Error("a superuser may checkpoint")
	}

	second, err := OpenScratch(ctx, url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(schemas(), first.Schema()) {
		t.Error("a second one dropped the schema of the first, which is in use")
	}
	for _, s := range []*Scratch{first, second} {
		if err := s.Drop(ctx); err != nil {
			t.Error(err)
		}
	}
	if got, want := schemas(), []string{"penstock", "penstock_bench_mine"}; !slices.Equal(got, want) {
		t.Errorf("at the end the schemas are %q, want %q", got, want)
	}
}

// A role that may not checkpoint can measure all the same.
func TestScratchOfARoleWithFewRights(t *testing.T) {
	ctx := t.Context()
	url := pgtest.Database(t)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `do $$ begin
		create role scratch_plain login;
		execute format('grant create on database %I to scratch_plain', current_database());
	end $$`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := conn.Exec(ctx, "drop owned by scratch_plain; drop role scratch_plain"); err != nil {
			t.Error(err)
		}
	}()
	config := conn.Config().Copy()
	scratch, err := OpenScratch(ctx, "host="+config.Host+" dbname="+config.Database+" user=scratch_plain", Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := scratch.Fresh(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if scratch.Checkpoints() {
		t.Error("it is said to have checkpointed")
	}
	if err := scratch.Drop(ctx); err != nil {
		t.Error(err)
	}
}

// A session that holds a scratch schema's name can be lost: it is held again by the
// next Fresh, so that nobody else drops what is in use, and what another process
// has by then is left alone.
func TestScratchWhoseSessionIsLost(t *testing.T) {
	ctx := t.Context()
	server := pgtest.Database(t)
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	scratch, err := OpenScratch(ctx, server, Options{settings: map[string]string{"idle_session_timeout": "1h"}})
	if err != nil {
		t.Fatal(err)
	}
	fresh := func() {
		t.Helper()
		s, err := scratch.Fresh(ctx)
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if err := scratch.Held(ctx); err != nil {
			t.Error(err)
		}
	}
	is := func(what, sql string, args ...any) {
		t.Helper()
		var so bool
		if err := conn.QueryRow(ctx, sql, args...).Scan(&so); err != nil || !so {
			t.Errorf("not so (%v): %s", err, what)
		}
	}
	var idle string
	if err := scratch.conn.QueryRow(ctx, "show idle_session_timeout").Scan(&idle); err != nil || idle != "0" {
		t.Errorf("the session may idle for %q (%v), want 0, for ever", idle, err)
	}
	const end = "select pg_terminate_backend($1, 10000)"
	fresh()

	is("the session is ended", end, scratch.conn.PgConn().PID())
	if err := scratch.Held(ctx); err == nil || !strings.Contains(err.Error(), "is lost, and another process may have dropped it") {
		t.Errorf("of a session that was ended it says %v", err)
	}
	fresh()
	second, err := OpenScratch(ctx, server, Options{})
	if err != nil {
		t.Fatal(err)
	}
	is("a second one lets the schema be", "select to_regnamespace($1) is not null", scratch.Schema())

	// The server does not notice that a gateway forgot the connection.
	lost, err := scratch.conn.PgConn().Hijack()
	if err != nil {
		t.Fatal(err)
	}
	fresh()
	if err := lost.Conn.Close(); err != nil {
		t.Error(err)
	}

	is("the session is ended", end, scratch.conn.PgConn().PID())
	is("another process takes the name", "select pg_try_advisory_lock(hashtextextended($1, 0))", scratch.Schema())
	if _, err := scratch.Fresh(ctx); err == nil || !strings.Contains(err.Error(), "another process took it when the session was lost that held it") {
		t.Errorf("of a name that another process has it says %v", err)
	}
	is("the schema is left alone", "select to_regnamespace($1) is not null", scratch.Schema())
	is("the other process gives it back", "select pg_advisory_unlock(hashtextextended($1, 0))", scratch.Schema())
	fresh()

	is("the session is ended", end, scratch.conn.PgConn().PID())
	for _, s := range []*Scratch{scratch, second} {
		if err := s.Drop(ctx); err != nil {
			t.Error(err)
		}
	}
	is("no schema is left", "select count(*) = 0 from pg_namespace where nspname like 'penstock%'")
}

// A role that may not make a schema is told before anything is made.
func TestScratchOfARoleThatMayNotCreate(t *testing.T) {
	server := pgtest.Server(t)
	conn, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "create role poor login"); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenScratch(t.Context(), as(t, server.URL(), "poor"), Options{}); err == nil || !strings.Contains(err.Error(), "grant create on database "+conn.Config().Database+" to poor") {
		t.Errorf("it says %v", err)
	}
}

// A server that has the connections of the store before for a moment longer, and
// room for no more, is waited for.
func TestScratchWaitsForConnections(t *testing.T) {
	const room = 4
	ctx := t.Context()
	server := pgtest.Server(t, map[string]string{"max_connections": strconv.Itoa(room), "superuser_reserved_connections": "0", "max_wal_senders": "0"})
	scratch, err := OpenScratch(ctx, server.URL(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var others []*pgx.Conn
	for len(others) < room-1 {
		conn, err := pgx.Connect(ctx, server.URL())
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, conn)
	}
	opened := make(chan error, 1)
	go func() {
		s, err := scratch.Fresh(ctx)
		if err == nil {
			s.Close()
		}
		opened <- err
	}()
	for tick := time.Tick(time.Millisecond); ; <-tick {
		said, err := os.ReadFile(filepath.Join(server.Dir(), "postgres.log"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(said), "too many clients") {
			break
		}
	}
	for _, conn := range others {
		if err := conn.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := <-opened; err != nil {
		t.Errorf("it was not waited for: %v", err)
	}
	if err := scratch.Drop(ctx); err != nil {
		t.Error(err)
	}
}

package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"penstock/store/pglocal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestDatabasesAreApart(t *testing.T) {
	first, second := pgtest.Database(t), pgtest.Database(t)
	execute(t, first, "create table only_here (x int)")
	// The same name again would fail in the same database.
	execute(t, second, "create table only_here (x int)")
}

func TestDatabasesAreMadeInParallel(t *testing.T) {
	for range 6 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			execute(t, pgtest.Database(t), "create table t (x int)")
		})
	}
}

func TestServerOfItsOwnCanBeKilledAndStartedAgain(t *testing.T) {
	s := pgtest.Server(t)
	execute(t, s.URL(), "create table kept (x int)")
	s.Kill()
	again, err := pgtest.Start(t.Context(), s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Stop(t.Context())
	execute(t, again.URL(), "insert into kept values (1)")
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

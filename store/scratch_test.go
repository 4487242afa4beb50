package store

import (
	"slices"
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

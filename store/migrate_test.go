package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"penstock/store/pglocal/pgtest"
)

func TestOpenOnAnEmptyDatabase(t *testing.T) {
	url := pgtest.Database(t)
	if _, err := Open(t.Context(), url, Options{}); !errors.Is(err, ErrNoSchema) || !strings.Contains(err.Error(), "penstock migrate") {
		t.Errorf("without Create: %v", err)
	}
	s, err := Open(t.Context(), url, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Errorf("a second migration: %v", err)
	}
	if _, err := Open(t.Context(), url, Options{Append: true}); err == nil || !strings.Contains(err.Error(), "--append") {
		t.Errorf("append on a keyed schema: %v", err)
	}
	if _, err := s.pool.Exec(t.Context(), "insert into schema_version (version_id, is_applied) values (100, true)"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), url, Options{Create: true}); !errors.Is(err, ErrNewSchema) {
		t.Errorf("opening a newer schema: %v", err)
	}
	if err := s.Migrate(t.Context()); !errors.Is(err, ErrNewSchema) {
		t.Errorf("migrating a newer schema: %v", err)
	}
	if _, err := s.pool.Exec(t.Context(), "delete from schema_version where version_id > 0"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), url, Options{Create: true}); !errors.Is(err, ErrOldSchema) {
		t.Errorf("opening an older schema: %v", err)
	}
}

func TestSeveralMigrateAtOnce(t *testing.T) {
	url := pgtest.Database(t)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			s, err := Open(t.Context(), url, Options{Create: true, Schema: []string{"one", "two"}[i%2]})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	wg.Wait()
}

// A schema that another process makes while a connection looks where names are to
// be found is missed by that connection for good. None such stays in use.
func TestSchemaMadeByAnotherMeanwhile(t *testing.T) {
	url := pgtest.Database(t)
	s, err := newStore(t.Context(), url, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.readLayout(t.Context()); !errors.Is(err, ErrNoSchema) {
		t.Fatal(err)
	}
	other, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	// The server knows now that there is no schema of the name, and is stopped
	// before it knows of public.
	if _, err := other.Exec(t.Context(), "begin; create schema penstock; lock table pg_namespace in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	migrated := make(chan error)
	go func() { migrated <- s.Migrate(t.Context()) }()
	for waits := false; !waits; {
		if err := other.QueryRow(t.Context(), "select exists (select from pg_locks where not granted and relation = 'pg_namespace'::regclass)").Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; err != nil {
		t.Error(err)
	}
	if err := s.readLayout(t.Context()); err != nil {
		t.Error(err)
	}
	for _, conn := range s.pool.AcquireAllIdle(t.Context()) {
		if _, err := conn.Exec(t.Context(), "select from sources"); err != nil {
			t.Error(err)
		}
		conn.Release()
	}
}

// Schemas of one database know nothing of one another, whatever their names,
// and though public is on everybody's search path.
func TestSchemasOfOneDatabase(t *testing.T) {
	url := pgtest.Database(t)
	names := []string{"public", "we ird-Name", `qu"ote'd`, "ünï.cödé", "select"}
	var stores []*Store
	for i, name := range names {
		s, err := Open(t.Context(), url, Options{Create: true, Schema: name, Append: i == 1})
		if err != nil {
			t.Fatalf("schema %q: %v", name, err)
		}
		defer s.Close()
		stores = append(stores, s)
	}
	for i, s := range stores {
		c := committerOf(t, sinkOf(t, s, SinkOptions{}))
		for j := range i + 1 {
			commit(t, c, testFile{path: fmt.Sprintf("L%d_%d", i, j), modified: begin, readings: []testReading{{"flow", int64(j), float64(i), ""}}})
		}
	}
	for i, s := range stores {
		want := fmt.Sprintf("%d|1|%d", i+1, i)
		if diff := cmp.Diff([]string{want}, query(t, s, "select count(*), count(distinct logger), max(value) from observations")); diff != "" {
			t.Errorf("schema %q: %s", names[i], diff)
		}
		if s.Layout().Append != (i == 1) {
			t.Errorf("schema %q: %+v", names[i], s.Layout())
		}
		verify(t, s)
	}
}

// What a role may not do is said, with what it needs.
func TestRoleWithoutRights(t *testing.T) {
	server := pgtest.Server(t)
	admin, err := Open(t.Context(), server.URL(), Options{Create: true, Schema: "taken"})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.pool.Exec(t.Context(), "create role poor login"); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), as(t, server.URL(), "poor"), Options{Create: true})
	if err == nil || !strings.Contains(err.Error(), "permission denied") || !strings.Contains(err.Error(), "needs CREATE") {
		t.Errorf("a role without CREATE: %v", err)
	}
	_, err = Open(t.Context(), as(t, server.URL(), "poor"), Options{Create: true, Schema: "taken"})
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a role without rights on the schema: %v", err)
	}
	// A schema of that name that it owns will do.
	if _, err := admin.pool.Exec(t.Context(), "create schema penstock authorization poor"); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), as(t, server.URL(), "poor"), Options{Create: true})
	if err != nil {
		t.Fatalf("a role that owns the schema: %v", err)
	}
	s.Close()
}

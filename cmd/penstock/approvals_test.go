package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/ingest/monitor"
	"penstock/store"
	"penstock/store/pglocal/pgtest"
)

// aHeldFile loads a file that leaves something open into a new store.
func aHeldFile(t *testing.T) (url string, conn *pgx.Conn) {
	t.Helper()
	url = pgtest.Database(t)
	file := filepath.Join(t.TempDir(), "d-S7.csv")
	if err := os.WriteFile(file, []byte("When,Stage\n03/04/2025 00:00,4.5\n03/04/2025 00:15,4.5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	penstock(t, exitTrouble, "--store", url, "replay", file)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return url, conn
}

func does(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// A file that was held while its question was answered is taken up, also where
// that failed at first.
func TestHeldWhileItsQuestionIsAnswered(t *testing.T) {
	url, conn := aHeldFile(t)
	s, err := store.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	does(t, conn, "update penstock.shapes set answered = true, approved = profile")
	does(t, conn, `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$;
		create trigger refuse before update on penstock.files for each row execute function refuse()`)
	a := newApprovals(s, slog.New(slog.DiscardHandler), nil, nil)
	a.late = time.Now()
	if err := a.takeLate(t.Context()); err == nil {
		t.Fatal("it could not be taken up, and nothing is said")
	}
	does(t, conn, "drop trigger refuse on penstock.files")
	for _, want := range []string{"due 1", "held 1"} { // once for each answer
		if err := a.takeLate(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := conn.QueryRow(t.Context(), "select state || ' ' || (select count(*) from penstock.actions) from penstock.files").Scan(&got); err != nil || got != want {
			t.Errorf("the file is %s, %v, want %s", got, err, want)
		}
		does(t, conn, "update penstock.files set state = 'held'")
	}
}

// One shape whose files cannot be taken up keeps no others back, and that it cannot
// is said once.
func TestHeldOfTwoShapesWhoseQuestionsAreAnswered(t *testing.T) {
	url, conn := aHeldFile(t)
	file := filepath.Join(t.TempDir(), "d-S8.csv")
	if err := os.WriteFile(file, []byte("When,Stage,Battery\n03/04/2025 00:00,4.5,12\n03/04/2025 00:15,4.5,12\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	penstock(t, exitTrouble, "--store", url, "replay", file)
	s, err := store.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	does(t, conn, "update penstock.shapes set answered = true, approved = profile")
	for _, refused := range []string{"S7", "S8"} { // whichever comes first
		var log strings.Builder
		a := newApprovals(s, slog.New(slog.NewTextHandler(&log, nil)), nil, nil)
		does(t, conn, `update penstock.files set state = 'held';
			create or replace function refuse() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$;
			create trigger refuse before update on penstock.files for each row when (old.path like '%`+refused+`.csv') execute function refuse()`)
		for range 3 {
			a.late = time.Now()
			if err := a.takeLate(t.Context()); err == nil {
				t.Error("one could not be taken up, and nothing is said")
			}
		}
		var due string
		if err := conn.QueryRow(t.Context(), "select coalesce(string_agg(path, ' '), '') from penstock.files where state = 'due'").Scan(&due); err != nil || due == "" || strings.Contains(due, " ") || strings.Contains(due, refused) {
			t.Errorf("with %s refused, %q is taken up, %v", refused, due, err)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("it is said %d times, want once:\n%s", n, log.String())
		}
		does(t, conn, "drop trigger refuse on penstock.files")
	}
}

// A config that is sound whatever is approved is taken also where the store does
// not answer, and was not asked before.
func TestReloadWithoutTheStore(t *testing.T) {
	s, err := store.Open(t.Context(), pgtest.Database(t), store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	a := newApprovals(s, slog.New(slog.DiscardHandler), nil, nil)
	for profile, sound := range map[string]bool{"auto": true, "0123456789abcdef": false} {
		path := filepath.Join(t.TempDir(), "penstock.yaml")
		if err := os.WriteFile(path, []byte("archive: off\nsources:\n  - {name: north, url: north, profile: "+profile+"}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := loadConfig(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.check(t.Context(), c); (err == nil) != sound {
			t.Errorf("profile %s, and the store does not answer: %v", profile, err)
		}
	}
}

// A config that names an approved profile is sound before anything was read, and
// before the daemon first looked at what is approved.
func TestReloadBeforeTheFirstLook(t *testing.T) {
	url, conn := aHeldFile(t)
	var shape string
	if err := conn.QueryRow(t.Context(), "select id from penstock.shapes").Scan(&shape); err != nil {
		t.Fatal(err)
	}
	penstock(t, exitWell, "--store", url, "profiles", "approve", shape, "--set", "order=dmy", "--set", "zone=UTC", "--set", "logger=file", "--yes")
	dir := t.TempDir()
	configure := func(profile string) *config {
		t.Helper()
		text := "archive: off\nsources:\n  - {name: north, url: north, profile: " + profile + "}\n"
		if err := os.WriteFile(filepath.Join(dir, "penstock.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := loadConfig(filepath.Join(dir, "penstock.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	configure("auto")
	d := newDaemonIn(t, dir, url, store.DefaultSchema, monitor.DefaultPatience(), nil)
	d.adopt(d.first)
	var err error
	if d.store, err = d.openStore(t.Context(), writes, daemonStore()); err != nil {
		t.Fatal(err)
	}
	defer d.store.close(d.log)
	d.approved = newApprovals(d.store.Store, d.log, nil, nil)
	profiles, err := d.store.approved(t.Context())
	if err != nil || len(profiles) != 1 {
		t.Fatal(profiles, err)
	}
	if _, err := d.prepare(configure(profiles[0].Name)); err != nil {
		t.Errorf("a sound config is refused: %v", err)
	}
	if _, err := d.prepare(configure("0123456789abcdef")); err == nil {
		t.Error("a profile that nobody approved is taken")
	}
}

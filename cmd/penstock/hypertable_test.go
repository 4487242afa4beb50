package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// What the config says of the hypertable is in force in a store that is made, and
// after migrate in one that is there.
func TestHypertableOfTheConfig(t *testing.T) {
	server := os.Getenv("PENSTOCK_TEST_TIMESCALE")
	if server == "" {
		t.Skip("PENSTOCK_TEST_TIMESCALE does not name a server with TimescaleDB (a superuser's URL)")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("penstock_hypertable_%d", os.Getpid())
	execute := func(sql string) {
		conn, err := pgx.Connect(context.Background(), server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
	execute("create database " + name)
	defer execute("drop database " + name + " with (force)")
	u.Path = "/" + name
	dir := t.TempDir()
	config := func(hypertable string) string {
		file := filepath.Join(dir, "penstock.yaml")
		text := fmt.Sprintf("store: {url: %q, hypertable: {%s}}\nsources:\n  - {name: data, url: %s}\n", u.String(), hypertable, dir)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, step := range []struct{ hypertable, command, want string }{
		{"chunk_interval: 1d", "check", "readings go to a hypertable if the role may"},
		{"chunk_interval: 1d", "migrate", "a hypertable with a unique key; a chunk holds 1d, and none goes into the columnstore. Readings are not compressed as they come: what has a unique key cannot be.\n"},
		{"chunk_interval: 1d", "check", "are kept in a hypertable; a chunk holds 1d, and none goes into the columnstore"},
		{"chunk_interval: 36h, columnstore_after: 30d", "check", "and none goes into the columnstore, which is not what store.hypertable says: 'penstock migrate'"},
		{"chunk_interval: 36h, columnstore_after: 30d", "migrate", "; a chunk holds 36h, and goes into the columnstore after 30d. Until now a chunk held 1d. Readings are not compressed as they come: what has a unique key cannot be.\n"},
		{"chunk_interval: 36h, columnstore_after: 30d", "check", "a chunk holds 36h, and goes into the columnstore after 30d\n"},
		{"", "migrate", "; a chunk holds 36h, and goes into the columnstore after 30d. Readings are not compressed as they come: what has a unique key cannot be.\n"},
		{"columnstore_after: never", "migrate", "; a chunk holds 36h, and none goes into the columnstore. Readings are not compressed as they come: what has a unique key cannot be.\n"},
	} {
		if out, _ := penstock(t, exitWell, step.command, "-c", config(step.hypertable)); !strings.Contains(out, step.want) {
			t.Errorf("%s with %q says\n%s\nwithout %q", step.command, step.hypertable, out, step.want)
		}
	}
	for _, step := range []struct{ args, config, want string }{
		{"migrate --append --schema appended", "", "a hypertable without a unique key (append); a chunk holds 7d, and goes into the columnstore after 7d. Large amounts of readings are compressed as they come.\n"},
		{"migrate --append --schema never", "columnstore_after: never", "Readings are not compressed as they come: the table has no columnstore. To have that, set store.hypertable.columnstore_after in the config, and run 'penstock migrate' with it.\n"},
		{"check --schema appended", "", "compression  large amounts of readings are compressed as they come\n"},
		{"check --schema never", "", "readings are not compressed as they come: the table has no columnstore: set store.hypertable"},
		{"migrate --schema never -o json", "columnstore_after: 1d", `"compressed_as_it_comes": true`},
	} {
		if out, _ := penstock(t, exitWell, slices.Concat(strings.Fields(step.args), []string{"-c", config(step.config)})...); !strings.Contains(out, step.want) {
			t.Errorf("%s with %q says\n%s\nwithout %q", step.args, step.config, out, step.want)
		}
	}
	if out, _ := penstock(t, exitWell, "actions", "-c", config(""), "-o", "csv"); strings.Count(out, ",penstock migrate ") != 3 {
		t.Errorf("the migrations that changed something are not all among the actions:\n%s", out)
	}
}

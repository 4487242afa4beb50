package store

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
	"penstock/store/pglocal/pgtest"
)

// What an operator must see to ends a commit with an error. No file is blamed
// for it, and the next commit after the cure leaves what a clean run leaves.
func TestOperatorsFaults(t *testing.T) {
	const trigger = `create or replace function trouble() returns trigger language plpgsql as $$ begin raise exception 'trouble' using errcode = '%'; end $$;
		create trigger trouble before insert on readings for each statement execute function trouble()`
	const noTrigger = "drop trigger trouble on readings"
	disconnect := "; select pg_terminate_backend(pid) from pg_stat_activity where usename = 'loader'"
	cases := []struct {
		name, harm, cure, says string
		waits                  bool // is tried again until RetryFor has passed
	}{
		{"right revoked on readings", "revoke insert on readings from loader", "grant insert on readings to loader", "permission denied for table readings", false},
		{"right revoked on the ledger", "revoke insert on files from loader", "grant insert on files to loader", "permission denied for table files", false},
		{"table gone", "alter table readings rename to elsewhere", "alter table elsewhere rename to readings", `"readings" does not exist`, false},
		{"ledger's table gone", "alter table files rename to elsewhere", "alter table elsewhere rename to files", `"files" does not exist`, false},
		{"column gone", "alter table readings rename quality to q", "alter table readings rename q to quality", "quality", false},
		{"role may not log in", "alter role loader nologin" + disconnect, "alter role loader login", "not permitted to log in", false},
		{"role has no connections left", "alter role loader connection limit 0" + disconnect, "alter role loader connection limit -1", "too many connections", true},
		{"database is read-only", "do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$" + disconnect,
			"set default_transaction_read_only = off; do $$ begin execute format('alter database %I reset default_transaction_read_only', current_database()); end $$" + disconnect, "read-only", true},
		{"disk full", strings.ReplaceAll(trigger, "%", "53100"), noTrigger, "trouble", true},
		{"server out of memory", strings.ReplaceAll(trigger, "%", "53200"), noTrigger, "trouble", true},
		{"data corrupted", strings.ReplaceAll(trigger, "%", "XX001"), noTrigger, "trouble", false},
	}
	admin, s := storeOfLoader(t)
	do := func(sql string) {
		t.Helper()
		if _, err := admin.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	clean := newScene("clean")
	clean.prepare(t, admin, c)
	clean.run(t, c)
	left := clean.left(t, admin)
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			sc := newScene(fmt.Sprintf("fault%d", i))
			sc.prepare(t, admin, c)
			do(tc.harm)
			b := fill(&ingest.Batch{}, sc.chunk...)
			start := time.Now()
			_, err := c.Commit(t.Context(), b)
			waited := time.Since(start) > s.options.RetryFor
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("the error is %v, want it to say %q", err, tc.says)
			}
			if waited != tc.waits {
				t.Errorf("it was tried again for a while: %v, want %v", waited, tc.waits)
			}
			for i := range b.Spans {
				if b.Spans[i].State == ingest.Quarantined {
					t.Errorf("%s is blamed: %s", b.Spans[i].File.Path, b.Spans[i].Reason)
				}
			}
			do(tc.cure)
			s.pool.Reset()
			sc.run(t, c)
			if diff := cmp.Diff(left, sc.left(t, admin)); diff != "" {
				t.Errorf("after the cure (-clean +here):\n%s", diff)
			}
		})
	}
	verify(t, admin)
}

// storeOfLoader opens one store twice: as its owner, and as a role that may
// load and no more.
func storeOfLoader(t *testing.T) (admin, loader *Store) {
	t.Helper()
	server := pgtest.Server(t) // roles belong to the whole server
	admin, err := Open(t.Context(), server.URL(), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	return admin, loaderOf(t, admin, server.URL())
}

// loaderOf opens a store that is there as a role that may load and no more. The
// role is gone when the test ends.
func loaderOf(t *testing.T, admin *Store, address string) *Store {
	t.Helper()
	do := func(ctx context.Context, sql string) {
		if _, err := admin.pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	do(t.Context(), `create role loader login; grant usage on schema penstock to loader;
		grant select, insert, update, delete on all tables in schema penstock to loader; grant usage on all sequences in schema penstock to loader`)
	t.Cleanup(func() { do(context.Background(), "drop owned by loader; drop role loader") })
	loader, err := Open(t.Context(), as(t, address, "loader"), Options{RetryFor: 600 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(loader.Close)
	return loader
}

// as is a URL for another role.
func as(t testing.TB, address, role string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	return u.String()
}

// A commit that waits for the database ends with its context.
func TestWaitingEndsWithTheContext(t *testing.T) {
	server := pgtest.Server(t)
	s, err := Open(t.Context(), server.URL(), Options{Create: true, RetryFor: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Commit(ctx, fill(&ingest.Batch{}, fiftyFiles()...)); err == nil {
		t.Error("a commit without a database returned no error")
	}
}

// An address is never shown with its password.
func TestPasswordsAreNotShown(t *testing.T) {
	for _, address := range []string{"postgres://me:s3cret@[::1/db", "host=x password=s3cret port=no", "postgres://me:s3cret@127.0.0.1:1/db?connect_timeout=1"} {
		_, err := Open(t.Context(), address, Options{})
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error is %v", err)
		}
	}
}

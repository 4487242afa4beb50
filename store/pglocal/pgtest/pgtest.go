// Package pgtest gives tests a real PostgreSQL: one server per test binary,
// started when first asked for, and a database of its own for each test.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestX(t *testing.T) {
//		conn, err := pgx.Connect(t.Context(), pgtest.Database(t))
//		...
//
// Without PostgreSQL installed the tests fail, with what to install.
package pgtest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"penstock/store/pglocal"
)

// prefix begins the names of our temporary folders.
const prefix = "penstock-pgtest-"

// shared is the test binary's server. Package state, as testing offers nothing
// that lives longer than a test and shorter than the process.
var shared struct {
	sync.Mutex
	server    *pglocal.Server
	databases int
}

// settings give up durability against a crash of the machine, and nothing
// else: a killed server still recovers what was committed.
func settings() map[string]string {
	return map[string]string{"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}
}

// Main runs a package's tests, then stops the server, fails if goroutines are
// left over, and exits.
func Main(m *testing.M, leaks ...goleak.Option) { os.Exit(Run(m, leaks...)) }

// Run is Main for a package that has something of its own to end afterwards: it
// returns the code to exit with.
func Run(m *testing.M, leaks ...goleak.Option) int {
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(leaks...); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest: goroutines left over:", err)
			code = 1
		}
	}
	return code
}

// Database makes an empty database on the shared server and returns its URL.
// It is dropped when the test ends, with whoever is still connected to it.
func Database(t testing.TB) string {
	t.Helper()
	server, number := sharedServer(t)
	name := fmt.Sprintf("test_%d", number)
	execute(t, server.URL(), "create database "+name+" template template0")
	t.Cleanup(func() { execute(t, server.URL(), "drop database "+name+" with (force)") })
	return server.URLFor(name)
}

// Server starts a server for this test alone, for tests that stop or kill it;
// a test may Start another one on its Dir afterwards. Settings are added to
// those of the shared server. It is stopped when the test ends.
func Server(t testing.TB, more ...map[string]string) *pglocal.Server {
	t.Helper()
	server, err := Start(t.Context(), t.TempDir(), more...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) }) // how it ended is the test's business
	return server
}

// Start starts a server on a folder, with the settings of the shared one. The
// caller stops it.
func Start(ctx context.Context, dir string, more ...map[string]string) (*pglocal.Server, error) {
	s := settings()
	for _, m := range more {
		maps.Copy(s, m)
	}
	return pglocal.Start(ctx, pglocal.Options{Dir: dir, Settings: s})
}

func sharedServer(t testing.TB) (*pglocal.Server, int) {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		sweep()
		dir, err := os.MkdirTemp("", prefix)
		if err != nil {
			t.Fatal(err)
		}
		// Not the test's context: the server outlives the test.
		if shared.server, err = Start(context.Background(), filepath.Join(dir, "pg")); err != nil {
			_ = os.RemoveAll(dir)
			t.Fatal(err)
		}
	}
	shared.databases++
	return shared.server, shared.databases
}

func stopShared() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		return nil
	}
	died := shared.server.Err()
	shared.server.Kill() // nobody will read it again
	if err := os.RemoveAll(filepath.Dir(shared.server.Dir())); err != nil {
		return err
	}
	return died
}

// sweep removes what test binaries left behind that were killed or timed out.
func sweep() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range left {
		info, err := os.Lstat(dir)
		// A young one may be just about to be locked; in /tmp, another user's
		// may be anything.
		if err != nil || time.Since(info.ModTime()) < time.Minute || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
			continue
		}
		if held, err := pglocal.IsRunning(filepath.Join(dir, "pg")); err == nil && !held {
			_ = os.RemoveAll(dir)
		}
	}
}

func execute(t testing.TB, url, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Errorf("%s: %v", sql, err)
		return
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

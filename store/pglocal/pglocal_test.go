package pglocal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestDataStandsFromOneStartToTheNext(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pg")
	s := startServer(t, Options{Dir: dir}) // with fsync, as in production
	url := s.URL()
	execute(t, url, "create table kept as select 'Hüttenbach' as name")
	stop(t, s)
	if err := s.Err(); err != nil {
		t.Errorf("Err after Stop: %v", err)
	}

	s = startServer(t, Options{Dir: dir})
	if s.URL() != url {
		t.Errorf("URL was %s, is now %s", url, s.URL())
	}
	if got := ask(t, s.URL(), "select lower(name) from kept"); got != "hüttenbach" {
		t.Errorf("kept %q", got)
	}
	stop(t, s)
	if log := logOf(t, dir); strings.Contains(log, "not properly shut down") {
		t.Errorf("Stop was not orderly:\n%s", log)
	}
}

func TestServerIsDurableAndPrivate(t *testing.T) {
	t.Setenv("PENSTOCK_TEST_SECRET", "hunter2")
	t.Setenv("PGPORT", "1") // as someone's shell may have it
	t.Setenv("PGDATABASE", "elsewhere")
	s := startServer(t, Options{Dir: t.TempDir()})
	for setting, want := range map[string]string{
		"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on",
		"listen_addresses": "", "unix_socket_permissions": "0700",
		"server_encoding": "UTF8", "TimeZone": "UTC", "max_connections": "100",
		"shared_buffers": "current", // see below
	} {
		got := ask(t, s.URL(), "select current_setting('"+setting+"')")
		if setting == "shared_buffers" {
			want = sharedBuffers(Memory())
		}
		if got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	if got := ask(t, s.URL(), "select current_user || ' in ' || current_database()"); got != "penstock in penstock" {
		t.Errorf("connected as %s", got)
	}
	info, err := os.Stat(s.socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 || ownerOf(info) != s.folder.account.uid {
		t.Errorf("socket folder: mode %v, owner %d", info.Mode(), ownerOf(info))
	}
	if group, err := syscall.Getpgid(s.Pid()); err != nil || group == syscall.Getpgrp() {
		t.Errorf("Ctrl-C would reach the server: group %d, %v", group, err)
	}
	if environ, err := os.ReadFile("/proc/" + strconv.Itoa(s.Pid()) + "/environ"); err == nil && bytes.Contains(environ, []byte("hunter2")) {
		t.Error("our environment is the server's")
	}
}

func TestStopWithOpenConnections(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, testOptions(dir))
	execute(t, s.URL(), "create table rows (x int)")
	open := connect(t, s.URL())
	tx, err := open.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "insert into rows values (1)"); err != nil {
		t.Fatal(err)
	}
	execute(t, s.URL(), "insert into rows values (2)")
	stop(t, s)
	if _, err := tx.Exec(t.Context(), "select 1"); err == nil {
		t.Error("a connection outlived the server")
	}

	s = startServer(t, testOptions(dir))
	if got := ask(t, s.URL(), "select string_agg(x::text, ',') from rows"); got != "2" {
		t.Errorf("rows %q, want the committed one alone", got)
	}
	if log := logOf(t, dir); strings.Contains(log, "not properly shut down") {
		t.Errorf("open connections kept Stop from being orderly:\n%s", log)
	}
}

func TestStopIsCalledByManyAndAgain(t *testing.T) {
	s := startServer(t, testOptions(t.TempDir()))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			if running, err := IsRunning(s.Dir()); running || err != nil {
				t.Errorf("Stop returned while the folder was held: %v, %v", running, err)
			}
		})
	}
	all.Wait()
	stop(t, s)
	s.Kill()
	if _, err := os.Stat(s.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket folder is left: %v", err)
	}
}

func TestStopIsForcedWhenItsTimeIsOver(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, testOptions(dir))
	execute(t, s.URL(), "create table kept (x int)")
	pid, err := strconv.Atoi(ask(t, s.URL(), "select pid::text from pg_stat_activity where backend_type = 'checkpointer'"))
	if err != nil {
		t.Fatal(err)
	}
	// Without its checkpointer a server cannot end in order.
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, testOptions(dir))
	execute(t, s.URL(), "insert into kept values (1)")
	if log := logOf(t, dir); !strings.Contains(log, "not properly shut down") {
		t.Errorf("the next start did not recover:\n%s", log)
	}
}

func TestKillIsRecoveredFrom(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, testOptions(dir))
	execute(t, s.URL(), "create table kept as select generate_series(1, 1000) as x")
	s.Kill()
	if err := s.Err(); err != nil {
		t.Errorf("Err after Kill: %v", err)
	}
	s = startServer(t, testOptions(dir))
	if got := ask(t, s.URL(), "select count(*)::text from kept"); got != "1000" {
		t.Errorf("%s rows of 1000", got)
	}
	if log := logOf(t, dir); !strings.Contains(log, "not properly shut down") {
		t.Errorf("Kill was an orderly stop:\n%s", log)
	}
}

func TestDeathOfTheServerIsNoticed(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, testOptions(dir))
	select {
	case <-s.Done():
		t.Fatal("done before the end")
	default:
	}
	if err := syscall.Kill(s.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	wantText(t, s.Err(), dir, "ended by itself", "killed", "ready to accept connections")
	wantText(t, s.Stop(context.Background()), "ended by itself")
	// Its orphans may still be ending: the next start waits for them.
	execute(t, startServer(t, testOptions(dir)).URL(), "select 1")
}

func TestFailedStartTellsWhatTheServerSaid(t *testing.T) {
	dir := t.TempDir()
	stop(t, startServer(t, testOptions(dir)))
	_, err := Start(t.Context(), Options{Dir: dir, Settings: map[string]string{"shared_buffers": "a lot"}})
	wantText(t, err, dir, "invalid value for parameter", "a lot")
	if running, err := IsRunning(dir); running || err != nil {
		t.Errorf("a failed start holds the folder: %v, %v", running, err)
	}
	// Nothing of it is in the way of the next.
	stop(t, startServer(t, testOptions(dir)))
}

func TestStartEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	stop(t, startServer(t, testOptions(dir)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, testOptions(dir))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if running, err := IsRunning(dir); running || err != nil {
		t.Errorf("it holds the folder: %v, %v", running, err)
	}
	stop(t, startServer(t, testOptions(dir)))
}

func TestDefaultDir(t *testing.T) {
	got, err := DefaultDir()
	if os.Geteuid() == 0 {
		if got != "/var/lib/penstock/pg" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		return
	}
	t.Setenv("XDG_DATA_HOME", "/data")
	if got, err = DefaultDir(); got != "/data/penstock/pg" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv("XDG_DATA_HOME", "relative/is/invalid")
	t.Setenv("HOME", "/home/me")
	if got, err = DefaultDir(); got != "/home/me/.local/share/penstock/pg" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv("HOME", "")
	if _, err = DefaultDir(); err == nil {
		t.Error("no error without HOME")
	}
}

func BenchmarkStartAndStop(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		s, err := Start(b.Context(), Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

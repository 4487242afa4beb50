package pglocal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func ties() []string {
	if runtime.GOOS == "linux" {
		return []string{"signal", "pipe"}
	}
	return []string{"pipe"}
}

func TestServerDoesNotOutliveItsKilledHolder(t *testing.T) {
	for _, tie := range ties() {
		t.Run(tie, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "pg")
			h := startHolder(t, dir, tie)
			h.ready(t)
			execute(t, h.url, "create table kept as select generate_series(1, 1000) as x")
			// A backend at work must go too, not only idle ones.
			busy := connect(t, h.url)
			if _, err := busy.Exec(t.Context(), "begin; lock table kept"); err != nil {
				t.Fatal(err)
			}
			pids := strings.Fields(ask(t, h.url, "select string_agg(pid::text, ' ') from pg_stat_activity where pid <> pg_backend_pid()"))
			if len(pids) < 5 {
				t.Fatalf("%d processes listed, a server has more", len(pids))
			}

			h.kill()
			awaitEndOfServer(t, dir)
			for _, text := range append(pids, strconv.Itoa(h.pid)) {
				pid, err := strconv.Atoi(text)
				if err != nil {
					t.Fatal(err)
				}
				awaitEnd(t, pid) // it has closed its files; the rest is the kernel's
			}
			s := startServer(t, testOptions(dir))
			if got := ask(t, s.URL(), "select count(*)::text from kept"); got != "1000" {
				t.Errorf("%s rows of 1000", got)
			}
		})
	}
}

// The pid file, the socket and the holder's note of a server that was killed
// together with its holder, whose every process thus left without a word.
func TestStartOverWhatAKilledServerLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pg")
	h := startHolder(t, dir, "signal")
	h.ready(t)
	if err := syscall.Kill(h.pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	h.kill()
	if err := syscall.Kill(h.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitEndOfServer(t, dir)
	for _, left := range []string{"data/postmaster.pid", holderName} {
		if _, err := os.Stat(filepath.Join(dir, left)); err != nil {
			t.Fatalf("nothing stale to start over: %v", err)
		}
	}
	if url, err := Join(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("joined the dead: %q, %v", url, err)
	}
	s := startServer(t, testOptions(dir))
	if got, err := Join(t.Context(), dir); err != nil || got != s.URL() {
		t.Errorf("joined %q, %v", got, err)
	}
}

func TestStartWaitsForAKilledHoldersServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pg")
	h := startHolder(t, dir, "signal")
	h.ready(t)
	// Frozen, it cannot follow its holder.
	if err := syscall.Kill(h.pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	h.kill()
	next := make(chan error, 1)
	go func() {
		s, err := Start(t.Context(), testOptions(dir))
		if err == nil {
			err = s.Stop(t.Context())
		}
		next <- err
	}()
	awaitHold(t, dir) // the next holder has the lock, and waits for the server's
	if !isLocked(t, dir, serverLockName) {
		t.Error("the frozen server does not hold its lock")
	}
	select {
	case err := <-next:
		t.Fatalf("started beside a living server: %v", err)
	default:
	}
	if err := syscall.Kill(h.pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-next; err != nil {
		t.Fatal(err)
	}
}

func TestWatchdogEndsWithTheServer(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the watchdog is not to be seen here (no /proc)")
	}
	s, err := start(t.Context(), testOptions(t.TempDir()), pipeWatchdog)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	watching := watchdogs(t, s)
	if len(watching) != 1 {
		t.Fatalf("watchdogs %v, want one", watching)
	}
	stop(t, s)
	awaitEnd(t, watching[0])
}

// awaitEndOfServer blocks until every process that inherited the server's lock
// has ended.
func awaitEndOfServer(t *testing.T, dir string) {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, serverLockName))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if err == nil {
			return
		}
		if !errors.Is(err, syscall.EINTR) {
			t.Fatal(err)
		}
	}
}

// awaitHold spins until a process holds the folder.
func awaitHold(t *testing.T, dir string) {
	t.Helper()
	for !isLocked(t, dir, lockName) {
		if t.Context().Err() != nil {
			t.Fatal("nobody takes the folder")
		}
		runtime.Gosched()
	}
}

func isLocked(t *testing.T, dir, name string) bool {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	err = flock(file, syscall.LOCK_SH)
	if err != nil && !errors.Is(err, errLocked) {
		t.Fatal(err)
	}
	return err != nil
}

// isAlive tells whether pid runs; one that only waits to be reaped does not.
func isAlive(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) || runtime.GOOS != "linux"
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	for isAlive(pid) {
		if t.Context().Err() != nil {
			t.Fatalf("process %d lives on", pid)
		}
		runtime.Gosched()
	}
}

// watchdogs are the shells that run the watchdog's script for this server:
// its arguments name the server's socket.
func watchdogs(t *testing.T, s *Server) []int {
	t.Helper()
	var found []int
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "read line <&9") || !strings.Contains(string(text), s.socket) {
			continue // others end while we look
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, pid)
	}
	return found
}

package pglocal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSecondStarterIsToldWhoHoldsTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pg")
	h := startHolder(t, dir, "signal")
	h.ready(t)
	_, err := Start(t.Context(), testOptions(dir))
	var inUse *InUseError
	if !errors.As(err, &inUse) {
		t.Fatalf("error %v, want an InUseError", err)
	}
	if inUse.PID != h.cmd.Process.Pid || inUse.Command != "test holder" || inUse.Dir != dir {
		t.Errorf("told of %+v", inUse)
	}
	if age := time.Since(inUse.Since); age < 0 || age > time.Hour {
		t.Errorf("held since %v", inUse.Since)
	}
	wantText(t, err, dir, "test holder", "pid")
	// The refused one disturbed nothing.
	execute(t, h.url, "select 1")

	_ = h.stdin.Close()
	if err := h.cmd.Wait(); err != nil {
		t.Fatalf("the holder: %v", err)
	}
	stop(t, startServer(t, testOptions(dir)))
}

func TestSecondStarterInTheSameProcess(t *testing.T) {
	s := startServer(t, testOptions(t.TempDir()))
	_, err := Start(t.Context(), testOptions(s.Dir()))
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
		t.Fatalf("error %v", err)
	}
	execute(t, s.URL(), "select 1")
}

func TestOneOfManyStartersWins(t *testing.T) {
	dir := t.TempDir()
	const starters = 4
	results := make(chan error, starters)
	servers := make(chan *Server, starters)
	for range starters {
		go func() {
			s, err := Start(t.Context(), testOptions(dir))
			if err == nil {
				servers <- s
			}
			results <- err
		}()
	}
	won := 0
	for range starters {
		var inUse *InUseError
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.As(err, &inUse):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d starters won", won)
	}
	for range won {
		stop(t, <-servers)
	}
}

func TestJoin(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pg")
	if _, err := Join(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("no folder: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Join made the folder: %v", err)
	}
	h := startHolder(t, dir, "signal")
	h.ready(t)
	url, err := Join(t.Context(), dir)
	if err != nil || url != h.url {
		t.Fatalf("joined %q, %v; it is at %q", url, err, h.url)
	}
	execute(t, url, "select 1")
	_ = h.stdin.Close()
	if err := h.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := Join(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("after its end: %v", err)
	}
}

func TestJoinWaitsForAServerThatStarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pg")
	h := startHolder(t, dir, "signal") // makes the cluster first: slow enough to be met
	awaitHold(t, dir)
	url, err := Join(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, url, "select 1")
	h.ready(t)
	if url != h.url {
		t.Errorf("joined %q, it is at %q", url, h.url)
	}
}

// A holder that has the locks and no server: it is starting, or stopping.
func TestJoinOfAHolderWithoutServer(t *testing.T) {
	f, err := openFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	h, err := f.hold(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Join(ctx, f.path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it starts: %v", err)
	}
	// It announced a socket where nobody listens any more.
	if err := h.announce(filepath.Join(f.path, "gone")); err != nil {
		t.Fatal(err)
	}
	joined := make(chan error, 1)
	go func() {
		_, err := Join(t.Context(), f.path)
		joined <- err
	}()
	h.release()
	if err := <-joined; !errors.Is(err, ErrNotRunning) {
		t.Errorf("after it stopped: %v", err)
	}
}

// Joiners look at the lock all the time; a Start among them is not refused.
func TestJoinersDoNotKeepAStarterOut(t *testing.T) {
	dir := t.TempDir()
	stop(t, startServer(t, testOptions(dir)))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_, _ = Join(ctx, dir) // both answers are right here
		}
	}()
	for range 3 {
		stop(t, startServer(t, testOptions(dir)))
	}
	cancel()
	<-ended
}

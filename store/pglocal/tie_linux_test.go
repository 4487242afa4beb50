package pglocal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"testing"
)

// The kernel sends a death signal when the forking thread ends, whatever the
// process does: the thread that calls Start may end, the server must not.
func TestServerOutlivesTheThreadThatStartedIt(t *testing.T) {
	started := make(chan *Server, 1)
	thread := make(chan int, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		thread <- syscall.Gettid()
		s, err := Start(t.Context(), testOptions(t.TempDir()))
		if err != nil {
			t.Error(err)
		}
		started <- s
	}()
	tid := <-thread
	s := <-started
	if s == nil {
		t.FailNow()
	}
	t.Cleanup(s.Kill)
	if tid != os.Getpid() { // the first thread never ends
		for {
			_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid))
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if t.Context().Err() != nil {
				t.Fatalf("thread %d lives on", tid)
			}
			runtime.Gosched()
		}
	}
	execute(t, s.URL(), "select 1")
	stop(t, s) // an orderly one: no error that it ended by itself
}

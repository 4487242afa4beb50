//go:build failpoints

package store

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var passed atomic.Int64

// step kills the process, as kill -9 does, when it comes to the step that
// PENSTOCK_FAILPOINT names for the given time: "claimed:3".
func step(name string) {
	want, times, _ := strings.Cut(os.Getenv("PENSTOCK_FAILPOINT"), ":")
	if name != want {
		return
	}
	if n, err := strconv.ParseInt(times, 10, 64); err == nil && passed.Add(1) == n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

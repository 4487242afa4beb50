package main

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"penstock/ingest/monitor"
)

// The watchdog is not pinged while the supervisor is not heard of, and is again
// when it is.
func TestWatchdogWantsProgress(t *testing.T) {
	dir, err := os.MkdirTemp("", "notify") // short enough for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "s"))
	t.Setenv("WATCHDOG_USEC", "60000")
	hears := func(within time.Duration) bool {
		t.Helper()
		if err := socket.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := socket.Read(buf)
		return err == nil && string(buf[:n]) == "WATCHDOG=1"
	}

	var text bytes.Buffer
	d := &daemon{app: &app{log: slog.New(newSparing(slog.NewTextHandler(&text, nil)))}, monitor: monitor.New("test", monitor.DefaultPatience())}
	d.busy(-time.Second)
	s := startService(d)
	if hears(300 * time.Millisecond) {
		t.Error("the watchdog is pinged although the supervisor stands still")
	}
	d.busy(time.Minute)
	if !hears(10 * time.Second) {
		t.Error("the watchdog is not pinged")
	}
	s.end()
	if n := strings.Count(text.String(), "no progress, and no reason for it"); n != 1 || !strings.Contains(text.String(), `stuck="the supervisor"`) {
		t.Error(text.String())
	}
}

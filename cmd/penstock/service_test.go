package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
	"penstock/ingest/monitor"
	"penstock/store/pglocal/pgtest"
)

// An ear listens to the watchdog as systemd does.
type ear struct {
	t      *testing.T
	socket *net.UnixConn
}

// listenAsSystemd has what runs in this process told to ping a watchdog of the
// period.
func listenAsSystemd(t *testing.T, period time.Duration) *ear {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // short enough for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "s"))
	t.Setenv("WATCHDOG_USEC", fmt.Sprint(period.Microseconds()))
	return &ear{t, socket}
}

// hears reports whether the watchdog is pinged within a time.
func (e *ear) hears(within time.Duration) bool {
	e.t.Helper()
	if err := e.socket.SetReadDeadline(time.Now().Add(within)); err != nil {
		e.t.Fatal(err)
	}
	buf := make([]byte, 100)
	for {
		n, err := e.socket.Read(buf)
		if err != nil {
			return false
		}
		if string(buf[:n]) == "WATCHDOG=1" {
			return true
		}
	}
}

// The watchdog is not pinged while the supervisor is not heard of, and is again
// when it is.
func TestWatchdogWantsProgress(t *testing.T) {
	socket := listenAsSystemd(t, 60*time.Millisecond)
	var text bytes.Buffer
	d := &daemon{app: &app{log: slog.New(newSparing(slog.NewTextHandler(&text, nil)))}, monitor: monitor.New("test", monitor.DefaultPatience())}
	d.busy(-time.Second)
	s := startService(d)
	if socket.hears(300 * time.Millisecond) {
		t.Error("the watchdog is pinged although the supervisor stands still")
	}
	d.busy(time.Minute)
	if !socket.hears(10 * time.Second) {
		t.Error("the watchdog is not pinged")
	}
	s.end()
	if n := strings.Count(text.String(), "no progress, and no reason for it"); n != 1 || !strings.Contains(text.String(), `stuck="the supervisor"`) {
		t.Error(text.String())
	}
}

// A daemon that has nothing to do pings the watchdog. One whose commits hang, on
// connections that are open and dead, does not, though the database answers
// others, and pings it when they go on.
func TestWatchdogOfADatabaseThatHangs(t *testing.T) {
	const period, patience = 600 * time.Millisecond, 3 * time.Second
	socket := listenAsSystemd(t, period)
	database := newMuffler(t, pgtest.Server(t).URL())
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("penstock.yaml", "archive: off\nsources: [{name: north, url: north, poll: 1s, settle: 0}]\n")
	if err := os.Mkdir(filepath.Join(dir, "north"), 0o755); err != nil {
		t.Fatal(err)
	}

	var text bytes.Buffer
	take, end := context.WithCancel(t.Context())
	work, abort := context.WithCancel(t.Context())
	defer abort()
	a := newApp([]string{"run"}, nil, nil, io.Discard, &text)
	a.take, a.work, a.configFile, a.store, a.schema = take, work, filepath.Join(dir, "penstock.yaml"), database.url, "penstock"
	loaded := make(chan string, 2)
	a.watch = func(e ingest.Event) {
		for _, o := range e.Outcomes {
			if o.State == ingest.Loaded {
				loaded <- o.File.Path
			}
		}
	}
	if err := a.startLog(); err != nil {
		t.Fatal(err)
	}
	c, err := a.daemonConfig()
	if err != nil {
		t.Fatal(err)
	}
	d := a.newDaemon(newRun(a).Flags(), &running{drain: time.Minute}, monitor.Patience{Still: patience, UnderWay: patience})
	ended := make(chan error, 1)
	go func() { ended <- d.run(c, nil) }()
	defer func() {
		end()
		if err := <-ended; err != nil {
			t.Errorf("it ends with %v", err)
		}
		for _, once := range []string{
			`stuck="source north" reason="0 files wait and 1 are under way, and none was dealt with for `, "systemd's watchdog is not pinged",
			`msg="there is progress again: systemd's watchdog is pinged" was_stuck="source north"`,
		} {
			if n := strings.Count(text.String(), once); n != 1 {
				t.Errorf("%q is said %d times, want once:\n%s", once, n, text.String())
			}
		}
	}()

	write("north/a.csv", "logger,channel,timestamp,value\nL1,flow,2024-05-01T00:00:00Z,1.5\n")
	<-loaded
	for idle := time.Now(); time.Since(idle) < patience+time.Second; {
		if !socket.hears(10 * time.Second) {
			t.Fatal("an idle daemon does not ping the watchdog")
		}
	}
	database.muffle()
	write("north/b.csv", "logger,channel,timestamp,value\nL2,flow,2024-05-01T00:00:00Z,1.5\n")
	for limit := time.Now().Add(30 * time.Second); socket.hears(4 * period); {
		if time.Now().After(limit) {
			t.Fatal("the watchdog is pinged though nothing goes on")
		}
	}
	database.letOn()
	<-loaded
	if !socket.hears(10 * time.Second) {
		t.Error("the watchdog is not pinged though all goes on")
	}
}

// A muffler stands between a daemon and its database. Once it muffles, what
// would commit on a connection goes no further, and neither does what follows.
type muffler struct {
	url     string
	muffles atomic.Bool
	on      chan struct{} // closed to let all go on
}

func newMuffler(t *testing.T, server string) *muffler {
	t.Helper()
	config, err := pgconn.ParseConfig(server)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "penstock-muffler-") // short enough for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	socket := fmt.Sprintf(".s.PGSQL.%d", config.Port)
	listen, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	m := &muffler{url: strings.ReplaceAll(server, url.QueryEscape(config.Host), url.QueryEscape(dir)), on: make(chan struct{})}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listen.Accept()
			if err != nil {
				return
			}
			database, err := net.Dial("unix", filepath.Join(config.Host, socket))
			if err != nil {
				client.Close()
				continue
			}
			all.Go(func() { defer client.Close(); _, _ = io.Copy(client, database) }) // ends when either is closed
			all.Go(func() { defer database.Close(); m.forward(database, client) })
		}
	})
	t.Cleanup(func() {
		listen.Close()
		all.Wait()
		os.RemoveAll(dir)
	})
	return m
}

func (m *muffler) muffle() { m.muffles.Store(true) }
func (m *muffler) letOn()  { close(m.on) }

func (m *muffler) forward(database, client net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if m.muffles.Load() && bytes.Contains(buf[:n], []byte("commit\x00")) {
			<-m.on
		}
		if _, err := database.Write(buf[:n]); err != nil {
			return
		}
	}
}

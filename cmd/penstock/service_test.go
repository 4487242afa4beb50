package main

import (
	"bytes"
	"context"
	"errors"
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
	"syscall"
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
	database := newMuffler(t, pgtest.Database(t))
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

	loaded := make(chan string, 2)
	d := newDaemonIn(t, dir, database.url, "penstock", monitor.Patience{Still: patience, UnderWay: patience}, func(e ingest.Event) {
		for _, o := range e.Outcomes {
			if o.State == ingest.Loaded {
				loaded <- o.File.Path
			}
		}
	})
	defer d.abort()
	ended := make(chan error, 1)
	go func() { ended <- d.run(d.first, nil) }()
	defer func() {
		d.end()
		if err := <-ended; err != nil {
			t.Errorf("it ends with %v", err)
		}
		for _, once := range []string{
			`stuck="source north" reason="0 files wait and 1 are under way, and none was dealt with for `, "systemd's watchdog is not pinged",
			`msg="there is progress again: systemd's watchdog is pinged" was_stuck="source north"`,
		} {
			if n := strings.Count(d.text.String(), once); n != 1 {
				t.Errorf("%q is said %d times, want once:\n%s", once, n, d.text.String())
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

// A daemonIn is a daemon in this process, with the config of a folder.
type daemonIn struct {
	*daemon
	first      *config
	end, abort context.CancelFunc // as the first and the second signal do
	text       *bytes.Buffer      // its log, to be read when it has ended
}

func newDaemonIn(t *testing.T, dir, url, schema string, patience monitor.Patience, watch func(ingest.Event)) *daemonIn {
	t.Helper()
	d := &daemonIn{text: new(bytes.Buffer)}
	a := newApp([]string{"run"}, nil, nil, io.Discard, d.text)
	a.take, d.end = context.WithCancel(t.Context())
	a.work, d.abort = context.WithCancel(t.Context())
	a.configFile, a.store, a.schema, a.watch = filepath.Join(dir, "penstock.yaml"), url, schema, watch
	if err := a.startLog(); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.first, err = a.daemonConfig(); err != nil {
		t.Fatal(err)
	}
	d.daemon = a.newDaemon(newRun(a).Flags(), &running{drain: time.Minute}, patience)
	return d
}

// A reload and a drain keep their word while the database stands still, in the
// midst of all that it was asked.
func TestReloadAndDrainOfADatabaseThatHangs(t *testing.T) {
	database := newMuffler(t, pgtest.Database(t))
	dir := t.TempDir()
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "penstock.yaml"), []byte("archive: off\nsources:\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"north", "south"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const north, south = "  - {name: north, url: north, poll: 1s, settle: 0}\n", "  - {name: south, url: south, poll: 1s, settle: 0}\n"
	configure(north)
	cycles := make(chan string, 1000)
	d := newDaemonIn(t, dir, database.url, "hangs", monitor.DefaultPatience(), func(e ingest.Event) {
		if e.Cycle != nil {
			cycles <- e.Source
		}
	})
	defer d.abort()
	d.drain = time.Second
	hangups := make(chan os.Signal, 1)
	ended := make(chan error, 1)
	go func() { ended <- d.run(d.first, hangups) }()
	<-cycles
	database.deafenAtCopy() // when the file is under way, and not only listed
	if err := os.WriteFile(filepath.Join(dir, "north", "a.csv"), []byte("logger,channel,timestamp,value\nL1,flow,2024-05-01T00:00:00Z,1.5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for database.held.Load() < 2 { // the file's commit, and a look at what was approved
		if !pause(t.Context(), 20*time.Millisecond) {
			t.Fatal("nothing is asked of the database")
		}
	}
	configure(south)
	asked := time.Now()
	hangups <- syscall.SIGHUP
	for (*d.followed.Load())[0] != "south" {
		if !pause(t.Context(), 20*time.Millisecond) || time.Since(asked) > 5*time.Second {
			t.Fatal("the config is not taken")
		}
	}
	d.end()
	select {
	case err := <-ended:
		if exit := exitError(0); !errors.As(err, &exit) || exit != exitFailed {
			t.Errorf("it ends with %v:\n%s", err, d.text.String())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	database.letOn()
}

// A muffler stands between a daemon and its database. Once it muffles, what
// would commit on a connection goes no further, and neither does what follows.
// Once it is deaf, that holds for all; it may become so when a file's rows are
// about to be sent.
type muffler struct {
	url     string
	muffles atomic.Bool
	deaf    atomic.Bool
	deafens atomic.Bool   // at the next COPY
	held    atomic.Int32  // connections on which something goes no further
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

func (m *muffler) muffle()       { m.muffles.Store(true) }
func (m *muffler) deafenAtCopy() { m.deafens.Store(true) }
func (m *muffler) letOn()        { close(m.on) }

func (m *muffler) forward(database, client net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if m.deafens.Load() && bytes.Contains(buf[:n], []byte("copy ")) {
			m.deaf.Store(true)
		}
		if m.deaf.Load() || m.muffles.Load() && bytes.Contains(buf[:n], []byte("commit\x00")) {
			m.held.Add(1)
			<-m.on
		}
		if _, err := database.Write(buf[:n]); err != nil {
			return
		}
	}
}

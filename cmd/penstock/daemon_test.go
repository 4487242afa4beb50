package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/store/pglocal/pgtest"
)

// These tests run the daemon as a process of its own, against a real
// PostgreSQL, and talk to it as an operator does: by its config, files, signals
// and the database.

// TestDaemon builds the program once for all that is tried with it.
func TestDaemon(t *testing.T) {
	s := &stage{binary: build(t)}
	for _, try := range []struct {
		name string
		run  func(*testing.T, *stage)
	}{
		{"follows its folders", followsFolders},
		{"reloads", reloads},
		{"goes on elsewhere", goesOnElsewhere},
		{"waits elsewhere", waitsElsewhere},
		{"ends what it began", endsWhatItBegan},
		{"is a service of systemd", isAService},
		{"has no config", hasNoConfig},
		{"ends at once when it must", endsAtOnce},
		{"ends idly", endsIdly},
		{"eases the strain", eases},
		{"waits for the store", waitsForStore},
		{"stands by", standsBy},
		{"gathers a change as one shape", gathersAChange},
		{"is told about files on a server", isToldOfServers},
		{"keeps its secrets", keepsSecrets},
		{"loads the same from every server", sameFromServers},
		{"sees what was replaced within a minute", seesReplaced},
		{"logs in by SSH", logsInBySSH},
		{"archives", archives()},
		{"archives in append mode", archives("--append")},
		{"takes up what was left", takesUpLeft},
		{"has the right of way", hasRightOfWay},
		{"judges a backlog by what was before", judgesBacklog},
		{"goes on with the parts of a large file", goesOnWithParts},
	} {
		t.Run(try.name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			try.run(t, s)
		})
	}
}

// waitedFor is for how long a daemon is waited for that does not do what it must.
// The slowest of it is a second look at a file that settled in a listing which
// told a whole minute of it.
const waitedFor = 2 * time.Minute

// A stage is what daemons are tried on.
type stage struct{ binary string }

// A trial is one daemon with its folder, which has its config, and its database.
type trial struct {
	t      *testing.T
	binary string
	dir    string
	url    string
	env    []string
	bare   bool // the daemon is told by its config alone where store and archive are
	daemon *exec.Cmd
	ended  chan struct{}
	code   int
	log    logged
}

func (s *stage) trial(t *testing.T, config string) *trial {
	t.Helper()
	r := &trial{t: t, binary: s.binary, dir: t.TempDir(), url: pgtest.Database(t)}
	r.write("penstock.yaml", config)
	return r
}

// logged is what a process writes, while it writes it.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.text.Write(p)
}

// now returns the text so far, and a channel that is closed when there is more.
func (l *logged) now() (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return l.text.String(), l.more
}

// write writes a file below the trial's folder as a good uploader does: under
// another name first.
func (r *trial) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		r.t.Fatal(err)
	}
}

// begin starts the daemon.
func (r *trial) begin(args ...string) {
	r.t.Helper()
	r.daemon = exec.Command(r.binary, append([]string{"run", "-c", filepath.Join(r.dir, "penstock.yaml")}, args...)...)
	r.daemon.Env = append(os.Environ(), r.env...)
	if !r.bare {
		r.daemon.Args = append(r.daemon.Args, "--store", r.url)
		r.daemon.Env = append(append(os.Environ(), "PENSTOCK_ARCHIVE="+filepath.Join(r.dir, "archive")), r.env...)
	}
	r.daemon.Stderr, r.daemon.Stdout = &r.log, &r.log
	if err := r.daemon.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan struct{})
	r.ended = ended
	daemon := r.daemon
	go func() {
		defer close(ended)
		r.code = exitCode(daemon.Wait())
	}()
	r.t.Cleanup(func() {
		_ = daemon.Process.Kill() // it has ended where the test went well
		<-ended
	})
}

// says waits until the log has the pattern, after what it had at a mark.
func (r *trial) says(mark int, pattern string) {
	r.t.Helper()
	re := regexp.MustCompile(pattern)
	limit := time.After(waitedFor)
	for {
		text, more := r.log.now()
		if re.MatchString(text[mark:]) {
			return
		}
		select {
		case <-more:
		case <-r.ended:
			if text, _ = r.log.now(); !re.MatchString(text[mark:]) {
				r.t.Fatalf("the daemon ended with %d without saying %q:\n%s", r.code, pattern, text)
			}
			return
		case <-limit:
			r.t.Fatalf("the daemon does not say %q:\n%s", pattern, text)
		}
	}
}

// mark is how long the log is now.
func (r *trial) mark() int {
	text, _ := r.log.now()
	return len(text)
}

// times is how often the log has the pattern.
func (r *trial) times(pattern string) int {
	text, _ := r.log.now()
	return len(regexp.MustCompile(pattern).FindAllString(text, -1))
}

// comes waits until a query gives the wanted text.
func (r *trial) comes(want, sql string) {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close(r.t.Context())
	var got string
	limit := time.After(waitedFor)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err = conn.QueryRow(r.t.Context(), "select coalesce(("+sql+")::text, '')").Scan(&got)
		if err == nil && got == want {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			text, _ := r.log.now()
			r.t.Fatalf("%s is %q (%v), want %q\n%s", sql, got, err, want, text)
		}
	}
}

func (r *trial) signal(s os.Signal) {
	r.t.Helper()
	if err := r.daemon.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// end asks the daemon to end, which it must do by itself with the code.
func (r *trial) end(code int) {
	r.t.Helper()
	r.signal(syscall.SIGTERM)
	r.ends(code)
}

func (r *trial) ends(code int) {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(waitedFor):
		text, _ := r.log.now()
		r.t.Fatalf("the daemon does not end:\n%s", text)
	}
	if r.code != code {
		text, _ := r.log.now()
		r.t.Fatalf("the daemon ended with %d, want %d:\n%s", r.code, code, text)
	}
}

// penstock runs another command on the same config and store.
func (r *trial) penstock(code int, args ...string) string {
	r.t.Helper()
	cmd := exec.Command(r.binary, append(args, "-c", filepath.Join(r.dir, "penstock.yaml"), "--store", r.url)...)
	cmd.Env = append(os.Environ(), append([]string{"PENSTOCK_ARCHIVE=" + filepath.Join(r.dir, "archive")}, r.env...)...)
	out, err := cmd.CombinedOutput()
	if exitCode(err) != code {
		r.t.Fatalf("penstock %s: %v, want exit code %d\n%s", strings.Join(args, " "), err, code, out)
	}
	return string(out)
}

// json runs a command that must end well and reads the JSON that it prints.
func (r *trial) json(into any, args ...string) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.penstock(0, append(args, "-o", "json")...)), into); err != nil {
		r.t.Fatal(err)
	}
}

// shape is the one shape that files wait for.
func (r *trial) shape() string {
	r.t.Helper()
	var pending []struct{ Shape string }
	r.json(&pending, "profiles", "pending")
	if len(pending) != 1 {
		r.t.Fatalf("%d shapes wait: %v", len(pending), pending)
	}
	return pending[0].Shape
}

func longFile(logger string, values ...float64) string {
	var s strings.Builder
	s.WriteString("logger,channel,timestamp,value\n")
	for i, v := range values {
		fmt.Fprintf(&s, "%s,flow,2024-05-01T%02d:00:00Z,%g\n", logger, i, v)
	}
	return s.String()
}

const observed = "select string_agg(logger || ' ' || channel || ' ' || value, ', ' order by logger, ts) from penstock.observations"

// Files that come are loaded, a source that fails is told once and disturbs no
// other, and what a person approves meanwhile is taken up.
func followsFolders(t *testing.T, s *stage) {
	r := s.trial(t, `
sources:
  - {name: north, url: north, poll: 1s, settle: 0}
  - {name: south, url: south, poll: 1s, settle: 0}
`)
	r.write("north/a.csv", longFile("N1", 1.5))
	r.begin()
	r.comes("N1 flow 1.5", observed)
	r.says(0, `level=ERROR msg="the source fails: it is tried again and again" source=south error=".*south: no such file or directory"`)

	r.write("north/b.csv", longFile("N2", 2.5))
	r.comes("N1 flow 1.5, N2 flow 2.5", observed)
	r.write("south/c.csv", longFile("S1", 3.5))
	r.comes("N1 flow 1.5, N2 flow 2.5, S1 flow 3.5", observed)
	r.says(0, `level=INFO msg="the source is there again" source=south`)

	// A layout that leaves something open: asked once, answered once.
	r.write("north/d-S7.csv", "When,Stage\n03/04/2025 00:00,4.5\n03/04/2025 00:15,4.5\n")
	r.says(0, `msg="files of a new shape wait for an answer" source=north shape=\S+ files=1 example=d-S7.csv question="Which comes first in 03/04/2025, the day or the month\?"`)
	shape := regexp.MustCompile(`new shape wait for an answer" source=north shape=(\S+)`).FindStringSubmatch(r.text())[1]
	r.write("north/e-S8.csv", "When,Stage\n05/04/2025 00:00,5.5\n05/04/2025 00:15,5.5\n")
	r.comes("2", "select count(*) from penstock.files where state = 'held'")
	r.penstock(0, "profiles", "approve", shape, "--set", "order=dmy", "--set", "zone=UTC", "--set", "logger=file", "--yes")
	r.says(0, `profiles were approved`)
	r.write("north/f-S9.csv", "When,Stage\n07/04/2025 00:00,6.5\n07/04/2025 00:15,6.5\n")
	r.comes("2025-04-07 00:15:00+00", "select max(ts) from penstock.observations")
	if n := r.times("msg=\"files of a new shape"); n != 1 {
		t.Errorf("the question was told %d times:\n%s", n, r.text())
	}
	if n := r.times("level=ERROR"); n != 1 {
		t.Errorf("%d errors are logged, want 1:\n%s", n, r.text())
	}
	r.end(0)
}

func (r *trial) text() string {
	text, _ := r.log.now()
	return text
}

// A config is taken whole or not at all, and only what changed begins again.
func reloads(t *testing.T, s *stage) {
	const monitored = "monitor: {listen: \"127.0.0.1:0\"}"
	r := s.trial(t, monitored+`
sources:
  - {name: north, url: north, poll: 1s, settle: 0}
  - {name: south, url: south, poll: 1s, settle: 0}
`)
	r.write("north/a.csv", longFile("N1", 1.5))
	r.write("south/a.csv", longFile("S1", 1.5))
	r.begin()
	r.comes("2", "select count(*) from penstock.observations")

	mark := r.mark()
	r.write("penstock.yaml", `
sources:
  - {name: north, url: north, poll: 1s, settle: 0, zone: Europe/Lundon}
  - {name: north, url: east, pol: 1s}
`)
	r.signal(syscall.SIGHUP)
	for _, wrong := range []string{`3:58: unknown zone`, `4:6: two sources are called`, `4:30: unknown key`} {
		r.says(mark, `level=ERROR msg="the config is not taken, the old one stays" error=".*penstock.yaml:`+wrong)
	}
	r.write("south/b.csv", longFile("S2", 2.5))
	r.comes("3", "select count(*) from penstock.observations")

	mark = r.mark()
	r.write("penstock.yaml", monitored+`
sources:
  - {name: north, url: north, poll: 1s, settle: 0}
  - {name: east, url: east, poll: 1s, settle: 0}
`)
	r.write("east/a.csv", longFile("E1", 1.5))
	r.signal(syscall.SIGHUP)
	r.says(mark, `level=INFO msg="the config is taken" begun=1 ended=1 kept=1`)
	r.comes("4", "select count(*) from penstock.observations")
	r.measures(`penstock_archive_packs\{source="east"\}`, `source="south"`)
	r.comes("1", "select count(*) from penstock.runs where source = (select id from penstock.sources where name = 'north')")

	mark = r.mark()
	r.write("penstock.yaml", `
pipeline: {workers: 1}
loggers: loggers.csv
sources:
  - {name: north, url: north, poll: 1s, settle: 0, match: "*.txt"}
`)
	r.write("loggers.csv", "name,logger\nN3,weir\n")
	r.signal(syscall.SIGHUP)
	r.says(mark, `level=INFO msg="the config is taken" begun=1 ended=1 kept=0`)
	r.write("north/a.txt", longFile("N3", 1.5))
	r.comes("weir", "select logger from penstock.observations where path = 'a.txt'")
	r.end(0)
}

// measures waits until the daemon's metrics have one pattern, and not the other.
func (r *trial) measures(pattern, not string) {
	r.t.Helper()
	address := regexp.MustCompile(`metrics and health are served" address=(\S+)`).FindStringSubmatch(r.text())
	if address == nil {
		r.t.Fatalf("no metrics are served:\n%s", r.text())
	}
	has, hasNot := regexp.MustCompile(pattern), regexp.MustCompile(not)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	limit := time.After(15 * time.Second)
	for {
		response, err := client.Get("http://" + address[1] + "/metrics")
		if err != nil {
			r.t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			r.t.Fatal(err)
		}
		if has.Match(text) && !hasNot.Match(text) {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-limit:
			r.t.Fatalf("the metrics have not %q, or %q:\n%s", pattern, not, text)
		}
	}
}

// systemd is told how the daemon stands, and the watchdog is pinged.
func isAService(t *testing.T, s *stage) {
	r := s.trial(t, "sources:\n  - {name: north, url: north, poll: 1s, settle: 0}\n")
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
	hears := func(pattern string) {
		t.Helper()
		re := regexp.MustCompile(pattern)
		if err := socket.SetReadDeadline(time.Now().Add(waitedFor)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		for {
			n, err := socket.Read(buf)
			if err != nil {
				t.Fatalf("%v, while %q was waited for\n%s", err, pattern, r.text())
			}
			if re.Match(buf[:n]) {
				return
			}
		}
	}
	r.env = []string{"NOTIFY_SOCKET=" + filepath.Join(dir, "s"), "WATCHDOG_USEC=600000"}
	r.begin()
	hears(`^READY=1\nSTATUS=waiting for the store$`)
	hears(`^READY=1\nSTATUS=1 source$`)
	hears(`^WATCHDOG=1$`)
	r.signal(syscall.SIGHUP)
	hears(`^RELOADING=1\nMONOTONIC_USEC=\d+$`)
	hears(`^READY=1\nSTATUS=1 source$`)
	hears(`^WATCHDOG=1$`)
	r.signal(syscall.SIGTERM)
	hears(`^STOPPING=1\n`)
	r.ends(0)
}

func hasNoConfig(t *testing.T, s *stage) {
	r := s.trial(t, "pipeline: {workers: 1}\n")
	r.begin("--drain", "1d")
	r.ends(2)
	r.says(0, `penstock.yaml names no source`)
	if out, err := exec.Command(s.binary, "run", "--drain", "-5s").CombinedOutput(); exitCode(err) != 2 || !strings.Contains(string(out), `"-5s" is not a duration`) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := exec.Command(s.binary, "run").CombinedOutput(); exitCode(err) != 2 || !strings.Contains(string(out), "needs a config") {
		t.Errorf("%v: %s", err, out)
	}
}

// asks returns what a query gives.
func (r *trial) asks(sql string) (got string) {
	r.t.Helper()
	on(r.t, r.url, func(conn *pgx.Conn) {
		if err := conn.QueryRow(r.t.Context(), "select coalesce(("+sql+")::text, '')").Scan(&got); err != nil {
			r.t.Fatal(err)
		}
	})
	return got
}

package pglocal

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// A test that kills a holder runs this very binary again as that holder:
// these name the folder it starts a server on, and the tie it uses.
const (
	holderDirEnv = "PGLOCAL_TEST_HOLD"
	holderTieEnv = "PGLOCAL_TEST_TIE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(holderDirEnv); dir != "" {
		os.Exit(beHolder(dir))
	}
	goleak.VerifyTestMain(m)
}

// beHolder starts a server, prints its URL and postmaster pid, and stops it
// when its standard input ends, if it lives to see that.
func beHolder(dir string) int {
	t := deathSignal
	if os.Getenv(holderTieEnv) == "pipe" {
		t = pipeWatchdog
	}
	s, err := start(context.Background(), Options{Dir: dir, Command: "test holder"}, t)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println(s.URL(), s.Pid())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Stop(context.Background()); err != nil {
		return 1
	}
	return 0
}

// holderProcess is another process that runs the server of a folder.
type holderProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Reader

	url string
	pid int // of the postmaster
}

// startHolder starts one; ready waits until its server is up.
func startHolder(t *testing.T, dir, tie string) *holderProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := &holderProcess{cmd: exec.Command(self)}
	h.cmd.Env = append(os.Environ(), holderDirEnv+"="+dir, holderTieEnv+"="+tie)
	h.cmd.Stderr = os.Stderr
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.lines = bufio.NewReader(out)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.kill)
	return h
}

func (h *holderProcess) ready(t *testing.T) {
	t.Helper()
	line, err := h.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the holder ended: %v", err)
	}
	if _, err := fmt.Sscan(line, &h.url, &h.pid); err != nil {
		t.Fatalf("the holder says %q: %v", line, err)
	}
}

// kill is kill -9, waited for.
func (h *holderProcess) kill() {
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait()
}

// testOptions are for tests that do not ask what is on the disk after a crash
// of the machine.
func testOptions(dir string) Options {
	return Options{Dir: dir, Settings: map[string]string{"fsync": "off"}}
}

// startServer starts a server that is stopped with the test, if it still runs.
func startServer(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	_ = conn.Close(t.Context())
}

// ask returns the one text value of a query.
func ask(t *testing.T, url, sql string) string {
	t.Helper()
	conn := connect(t, url)
	var answer string
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	_ = conn.Close(t.Context())
	return answer
}

func logOf(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, logName))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
}

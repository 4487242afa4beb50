package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"penstock/store/pglocal"
	"penstock/store/pglocal/pgtest"
)

// These tests run the program itself, end it in every way that an operator or
// a machine can, run it again to the end, and hold what stands against what a
// run that nobody disturbed leaves. With PENSTOCK_SOAK=1 they try many more
// moments.

func soak() bool { return os.Getenv("PENSTOCK_SOAK") != "" }

// failpointBinary builds the program with the steps at which it can be made to
// kill itself.
func failpointBinary(t *testing.T) string {
	t.Helper()
	return build(t, "-tags", "failpoints")
}

// build builds the program, once for all tests that run it, and returns its path.
// Under the race detector, which does not see into another process, the test is
// left to the suite without it.
func build(t *testing.T, args ...string) string {
	t.Helper()
	if underRace {
		t.Skip("it runs the program as another process: see the suite without the race detector")
	}
	path, err := built.program(args...)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// built are the programs that tests run. Package state, as testing offers nothing
// that lives longer than a test.
var built programs

// programs are builds of the program, each made when first asked for.
type programs struct {
	mu   sync.Mutex
	dir  string
	made map[string]string // by what is given to go build
}

func (p *programs) program(args ...string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how := strings.Join(args, " ")
	if path, ok := p.made[how]; ok {
		return path, nil
	}
	if p.dir == "" {
		dir, err := os.MkdirTemp("", "penstock-program-")
		if err != nil {
			return "", err
		}
		p.dir, p.made = dir, make(map[string]string)
	}
	path := filepath.Join(p.dir, fmt.Sprint(len(p.made)), "penstock")
	args = append(append([]string{"build"}, args...), "-o", path, "penstock/cmd/penstock")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w\n%s", err, out)
	}
	p.made[how] = path
	return path, nil
}

// remove removes them, once the last test has ended.
func (p *programs) remove() {
	if p.dir != "" {
		_ = os.RemoveAll(p.dir) // it is a temporary folder
	}
}

// writeContradictions writes a folder of files that contradict one another on about half
// of their instants, with copies, a repeat, bad lines and a broken file.
func writeContradictions(t *testing.T, files int) string {
	t.Helper()
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(5, 6))
	noon := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	var previous string
	for i := range files {
		var s strings.Builder
		s.WriteString("logger,channel,timestamp,value\n")
		for range 1 + random.IntN(8) {
			at := noon.Add(time.Duration(random.IntN(40)) * time.Minute)
			fmt.Fprintf(&s, "L%d,flow,%s,%d\n", i%4, at.Format(time.RFC3339), random.IntN(5))
		}
		switch {
		case i%13 == 12:
			s.Reset()
			s.WriteString(previous) // a copy of another file
		case i%17 == 16:
			s.WriteString("L0,flow,2024-05-01T12:00:00Z,not a number\n")
		case i%23 == 22:
			s.Reset()
			s.WriteString("who,knows\n1,2\n")
		}
		previous = s.String()
		path := filepath.Join(dir, fmt.Sprintf("d%d", i%3), fmt.Sprintf("f%03d.csv", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(s.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		modified := noon.Add(time.Duration(random.IntN(20)) * time.Hour)
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pack puts the files of a folder into a zip archive in its place.
func pack(t *testing.T, dir string) {
	t.Helper()
	out, err := os.Create(dir + ".zip")
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(out)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		member, err := w.CreateHeader(&zip.FileHeader{Name: e.Name(), Method: zip.Deflate, Modified: info.ModTime()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := member.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), out.Close(), os.RemoveAll(dir)); err != nil {
		t.Fatal(err)
	}
}

// A bed is a server, a program and a folder to try them on: two folders of it and
// a zip archive, whose members go on where they were like any other file.
type bed struct {
	t      *testing.T
	binary string
	site   string
	server *pglocal.Server // where the test kills it; else all beds share one
	n      int
	clean  []string // what an undisturbed run leaves
}

// newBed makes a bed with a site of so many files.
func newBed(t *testing.T, files int) *bed {
	b := &bed{t: t, binary: failpointBinary(t), site: writeContradictions(t, files)}
	pack(t, filepath.Join(b.site, "d2"))
	url := b.database()
	b.finish(url)
	b.clean = b.contents(url)
	if len(b.clean) < files {
		t.Fatalf("a clean run leaves only %d rows", len(b.clean))
	}
	return b
}

// database makes an empty database and returns its URL.
func (b *bed) database() string {
	b.t.Helper()
	if b.server == nil {
		return pgtest.Database(b.t)
	}
	b.n++
	return makeDatabase(b.t, b.server, fmt.Sprintf("kill_%d", b.n))
}

func makeDatabase(t *testing.T, server *pglocal.Server, name string) (url string) {
	t.Helper()
	on(t, server.URL(), func(conn *pgx.Conn) {
		if _, err := conn.Exec(t.Context(), "create database "+name); err != nil {
			t.Fatal(err)
		}
	})
	return server.URLFor(name)
}

// on connects to a database for the time of f.
func on(t *testing.T, url string, f func(*pgx.Conn)) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	f(conn)
}

// replay prepares a replay of the site.
func (b *bed) replay(url string, args ...string) *exec.Cmd {
	args = append([]string{"replay", "--store", url, "--workers", "3", "--chunk", "7", "--quiet"}, args...)
	return exec.Command(b.binary, append(args, b.site)...)
}

// finish runs to the end. The site holds flaws, so the code of a run that did
// all it could is 3, and 0 when an earlier one told them.
func (b *bed) finish(url string, args ...string) {
	b.t.Helper()
	out, err := b.replay(url, args...).CombinedOutput()
	if code := exitCode(err); code != 3 && code != 0 {
		b.t.Fatalf("replay ended with %d (%v):\n%s", code, err, out)
	}
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if err == nil {
		return 0
	}
	if !errors.As(err, &exit) {
		return -1
	}
	return exit.ExitCode()
}

func killed(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled()
}

// contents is what must come out the same: the observations, and the ledger
// without ids, runs, times and the split of what was stored.
func (b *bed) contents(url string) (all []string) {
	b.t.Helper()
	on(b.t, url, func(conn *pgx.Conn) {
		for _, sql := range []string{
			`select logger || ' ' || channel || ' ' || ts::text || ' ' || value || ' ' || path from penstock.observations order by 1`,
			`select f.path || ' ' || f.generation || ' ' || f.state || ' ' || f.sha256::text || ' ' || coalesce(f.reason, '') || ' ' || r.lines
				|| ' ' || r.lines_data || ' ' || r.lines_rejected || ' ' || r.cells || ' ' || r.missing || ' ' || r.rejected || ' ' || r.repeated
				|| ' ' || (r.stored + r.replaced + r.unchanged + r.outranked) || ' ' || (select count(*) from penstock.readings where file_id = f.id)
				|| ' ' || (select count(*) from penstock.rejects where file_id = f.id)
				from penstock.files f left join penstock.receipts r on r.file_id = f.id order by 1`,
			// A loaded file owns what it stored and took, less what was taken from it.
			`select 'receipt and table disagree: ' || f.path from penstock.files f join penstock.receipts r on r.file_id = f.id
				where f.state = 'loaded' and r.stored + r.replaced - coalesce((select sum(n) from penstock.takeovers where from_file = f.id), 0)
					<> (select count(*) from penstock.readings where file_id = f.id)`,
		} {
			rows, err := conn.Query(b.t.Context(), sql)
			if err != nil {
				b.t.Fatal(err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				b.t.Fatal(err)
			}
			all = append(all, lines...)
		}
	})
	return all
}

func (b *bed) compare(url, how string) {
	b.t.Helper()
	if diff := cmp.Diff(b.clean, b.contents(url)); diff != "" {
		b.t.Fatalf("%s (-clean run +this):\n%s", how, diff)
	}
}

func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	b := newBed(t, 60)
	times := []int{1, 5}
	if soak() {
		times = []int{1, 2, 3, 4, 5, 6, 7, 8}
	}
	for _, step := range []string{"begin", "claimed", "stored", "accounted", "committed"} {
		for _, n := range times {
			how := fmt.Sprintf("killed at %s, time %d", step, n)
			url := b.database()
			cmd := b.replay(url)
			cmd.Env = append(os.Environ(), fmt.Sprintf("PENSTOCK_FAILPOINT=%s:%d", step, n))
			if out, err := cmd.CombinedOutput(); !killed(err) {
				t.Fatalf("%s: not killed: %v\n%s", how, err, out)
			}
			b.finish(url)
			b.compare(url, how)
		}
	}
}

func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	b := newBed(t, 120)
	moments := 8
	if soak() {
		moments = 100
	}
	url := b.database()
	start := time.Now()
	b.finish(url)
	took := time.Since(start)
	random := rand.New(rand.NewPCG(7, 8))
	for i := range moments {
		url := b.database()
		for try := range 1 + i%3 {
			cmd := b.replay(url)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			after := time.Duration(random.Int64N(int64(took)))
			timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended
			_ = cmd.Wait()
			timer.Stop()
			t.Logf("moment %d, try %d: killed after %s", i, try, after)
		}
		b.finish(url)
		b.compare(url, fmt.Sprintf("moment %d", i))
	}
}

func TestDatabaseKilledUnderIt(t *testing.T) {
	t.Parallel()
	b := newBed(t, 120)
	b.server = pgtest.Server(t)
	moments := 3
	if soak() {
		moments = 30
	}
	random := rand.New(rand.NewPCG(9, 10))
	for i := range moments {
		url := b.database()
		cmd := b.replay(url)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); _ = cmd.Wait() }() // its code depends on the moment
		select {
		case <-time.After(time.Duration(random.Int64N(int64(time.Second)))):
		case <-done:
		}
		dir := b.server.Dir()
		b.server.Kill()
		server, err := pgtest.Start(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		b.server = server
		t.Cleanup(func() { _ = server.Stop(context.Background()) }) // how it ends is not asked here
		<-done
		b.finish(url)
		b.compare(url, fmt.Sprintf("moment %d", i))
	}
}

func TestThreeProcessesAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, 150)
	rounds := 2
	if soak() {
		rounds = 20
	}
	for i := range rounds {
		url := b.database()
		var wg sync.WaitGroup
		for _, how := range [][]string{{"--workers", "1", "--chunk", "1"}, {"--workers", "4", "--chunk", "7"}, {"--workers", "3", "--chunk", "1000"}} {
			wg.Go(func() {
				if out, err := b.replay(url, how...).CombinedOutput(); exitCode(err) != 3 && exitCode(err) != 0 {
					t.Errorf("replay %v: %v\n%s", how, err, out)
				}
			})
		}
		wg.Wait()
		b.compare(url, fmt.Sprintf("round %d", i))
	}
}

// Ctrl-C drains: the run ends by itself, with nothing half done, and the next
// one goes on where it was.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	b := newBed(t, 120)
	for _, signals := range []int{1, 2} {
		url := b.database()
		cmd := b.replay(url, "--workers", "1", "--chunk", "1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(300*time.Millisecond, func() {
			for range signals {
				_ = cmd.Process.Signal(os.Interrupt) // it may have ended
				<-time.After(30 * time.Millisecond)  // sooner, it is the same again
			}
		})
		err := cmd.Wait()
		timer.Stop()
		if killed(err) {
			t.Fatalf("%d interrupts ended it by the signal, not by itself", signals)
		}
		b.finish(url)
		b.compare(url, fmt.Sprintf("%d interrupts", signals))
	}
}

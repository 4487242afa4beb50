package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/bench"
	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/source"
	"penstock/store"
	"penstock/store/pglocal/pgtest"
)

// everyRun has a database tell each time that a run's schema is made.
func everyRun(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	does(t, conn, `create function tell() returns event_trigger language plpgsql as $$ begin perform pg_notify('made', ''); end $$`)
	does(t, conn, `create event trigger tell on ddl_command_end when tag in ('CREATE SCHEMA') execute function tell()`)
	does(t, conn, "listen made")
}

// Ctrl-C ends a sweep with what it has measured, shown and written, and leaves no
// schema.
func TestBenchInterrupted(t *testing.T) {
	url, dir, results := pgtest.Database(t), filepath.Join(t.TempDir(), "files"), t.TempDir()
	conn := connectTo(t, url)
	if err := (bench.Corpus{Files: 20, Readings: 2}).Write(dir); err != nil {
		t.Fatal(err)
	}
	everyRun(t, conn)
	var out, said strings.Builder
	done := make(chan int)
	go func() {
		done <- run([]string{"bench", "--store", url, "--workers", "1,2", "--chunk", "1,10", "--sets", "1000", "--runs", "5", "--out", results, dir},
			[]string{"PATH=" + os.Getenv("PATH")}, strings.NewReader(""), &out, &said)
	}()
	// The schema of the fourth run is made when a warm-up, the reference and a cell
	// have run.
	for range 4 {
		if _, err := conn.WaitForNotification(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != exitFailed || !strings.Contains(said.String(), "interrupted") {
		t.Errorf("it ends with %d and says %s", code, said.String())
	}
	if text := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(text, "The best cell is ") || !strings.Contains(text, "interrupted") {
		t.Errorf("it shows\n%s", out.String())
	}
	if r := resultIn(t, results); r.Cut != "interrupted" || len(r.Samples) < 3 {
		t.Errorf("bench.json has %d runs, and was cut short by %q", len(r.Samples), r.Cut)
	}
	for name := range benchFiles() {
		if about, err := os.Stat(filepath.Join(results, name)); err != nil || about.Size() == 0 {
			t.Errorf("%s is not written: %v", name, err)
		}
	}
	if got := schemasOf(t, conn); len(got) > 0 {
		t.Errorf("it left %q", got)
	}
}

func resultIn(t *testing.T, dir string) (r bench.Result) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "bench.json"))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What was measured is shown and written also where the schema cannot be dropped
// in the end, which is said.
func TestBenchCannotDropItsSchema(t *testing.T) {
	url, dir, results := pgtest.Database(t), filepath.Join(t.TempDir(), "files"), t.TempDir()
	conn := connectTo(t, url)
	if err := (bench.Corpus{Files: 5, Readings: 2}).Write(dir); err != nil {
		t.Fatal(err)
	}
	// Three runs begin with a drop: a warm-up, the reference and the cell.
	does(t, conn, "create sequence drops")
	does(t, conn, `create function keep() returns event_trigger language plpgsql as $$ begin
		if nextval('public.drops') > 3 then raise exception 'schemas stay here'; end if; end $$`)
	does(t, conn, `create event trigger keep on ddl_command_start when tag in ('DROP SCHEMA') execute function keep()`)
	out, said := penstock(t, exitFailed, "bench", "--store", url, "--workers", "1", "--chunk", "10", "--sets", "1", "--runs", "1", "--out", results, dir)
	if !strings.Contains(said, "schemas stay here") || !strings.Contains(said, "the next bench on that database drops the schema") {
		t.Errorf("it says %s", said)
	}
	if !strings.Contains(out, "The best cell is ") {
		t.Errorf("it shows %s", out)
	}
	if r := resultIn(t, results); len(r.Samples) != 3 {
		t.Errorf("%d runs are written, want 3", len(r.Samples))
	}
}

// Results that cannot be written are shown, with why.
func TestBenchCannotWriteItsResults(t *testing.T) {
	dir, results := filepath.Join(t.TempDir(), "files"), t.TempDir()
	if err := errors.Join((bench.Corpus{Files: 5, Readings: 2}).Write(dir), os.Mkdir(filepath.Join(results, "bench.json"), 0o755)); err != nil {
		t.Fatal(err)
	}
	out, said := penstock(t, exitFailed, "bench", "--stage", "decode", "--workers", "1", "--chunk", "10", "--sets", "1", "--runs", "1", "--out", results, dir)
	if !strings.Contains(out, "The best cell is ") || !strings.Contains(said, "writing the results: ") {
		t.Errorf("it shows %s and says %s", out, said)
	}
}

// A role that may not checkpoint is told what that does to the runs, and one that
// may not make a schema what it needs.
func TestBenchOfARoleWithFewRights(t *testing.T) {
	server, dir := pgtest.Server(t), filepath.Join(t.TempDir(), "files")
	conn := connectTo(t, server.URL())
	if err := (bench.Corpus{Files: 5, Readings: 2}).Write(dir); err != nil {
		t.Fatal(err)
	}
	does(t, conn, "create role plain login")
	config := conn.Config()
	sweep := []string{"bench", "--store", fmt.Sprintf("host=%s port=%d dbname=%s user=plain", config.Host, config.Port, config.Database),
		"--workers", "1", "--chunk", "10", "--sets", "1", "--runs", "1", dir}
	grant := "grant create on database " + config.Database + " to plain"
	if _, said := penstock(t, exitFailed, sweep...); !strings.Contains(said, grant) {
		t.Errorf("of a role that may not make a schema it says %s", said)
	}
	does(t, conn, grant)
	if _, said := penstock(t, exitWell, sweep...); strings.Count(said, "the role may not checkpoint") != 1 {
		t.Errorf("of a role that may not checkpoint it says %s", said)
	}
}

// Files that the daemon skips are skipped, whatever the stage.
func TestBenchSkipsWhatIsOlderThanSince(t *testing.T) {
	dir := t.TempDir()
	files := filepath.Join(dir, "files")
	if err := (bench.Corpus{Files: 6, Readings: 2}).Write(files); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(files, "*", "*.csv"))
	if err != nil || len(paths) != 6 {
		t.Fatal(paths, err)
	}
	for i, path := range paths {
		at := time.Date(2025, 12, 28+i, 0, 0, 0, 0, time.UTC) // the last two in 2026
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "penstock.yaml")
	if err := os.WriteFile(config, []byte("sources:\n  - {name: field, url: files, since: 2026-01-01}\n  - {name: later, url: files, since: 2126-01-01}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	once := []string{"bench", "-c", config, "--workers", "1", "--chunk", "10", "--runs", "1", "--sets", "1", "-o", "json"}
	for _, c := range []struct {
		args     []string
		readings int64
	}{
		{[]string{"--source", "field", "--store", pgtest.Database(t)}, 4},
		{[]string{"--source", "field", "--stage", "decode"}, 4},
		{[]string{"--source", "field", "--stage", "decode", files}, 12}, // as 'penstock replay --source field' has them
	} {
		out, said := penstock(t, exitWell, append(once, c.args...)...)
		var report benchReport
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		for _, x := range report.Result.Samples {
			if x.Readings != c.readings || x.Error != "" {
				t.Errorf("%q: a run is %+v, want %d readings", c.args, x, c.readings)
			}
		}
		if strings.Contains(said, "not all files are loaded") {
			t.Errorf("%q: it says %s", c.args, said)
		}
	}
	if _, said := penstock(t, exitFailed, append(once, "--source", "later", "--stage", "decode")...); !strings.Contains(said, "all of 6 files are older than the source's since") {
		t.Errorf("of a source that skips all files it says %s", said)
	}
}

// The files that a killed bench made are removed by the next that makes some.
func TestBenchRemovesFilesThatWereLeft(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	left := filepath.Join(temporary, corpusPrefix+"1234")
	if err := errors.Join(os.Mkdir(left, 0o700), os.WriteFile(filepath.Join(left, "lock"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	penstock(t, exitWell, "bench", "--stage", "decode", "--files", "5", "--workers", "1", "--chunk", "10", "--runs", "1", "--sets", "1")
	if found, err := filepath.Glob(filepath.Join(temporary, corpusPrefix+"*")); err != nil || len(found) > 0 {
		t.Errorf("%q is left (%v)", found, err)
	}
}

// What a job took, and what of the machine it used, is of one span: both end
// before its run ends in the ledger.
func TestJobTellsWhenItRan(t *testing.T) {
	url, dir := pgtest.Database(t), t.TempDir()
	if err := (bench.Corpus{Files: 3, Readings: 2}).Write(dir); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), url, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sink, err := s.Sink(t.Context(), store.SinkOptions{Source: "field"})
	if err != nil {
		t.Fatal(err)
	}
	files, err := source.NewDir(source.Options{Source: "field"}, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closeSource(&app{log: slog.New(slog.DiscardHandler)}, files)
	set, err := format.NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	d, err := format.NewDecoder(set, format.Settings{Profile: "auto"})
	if err != nil {
		t.Fatal(err)
	}
	var stood string
	const standing = "select count(distinct f.path) || ' files, ' || count(distinct r.id) || ' run under way' from penstock.files f join penstock.runs r on r.id = f.run and r.ended is null"
	j := &job{source: files, sink: sink, decoders: func() ingest.Decoder { return d }, workers: 1, chunk: 10, ran: func() { stood = ask(t, url, standing) }}
	if _, err := j.do(t.Context(), t.Context(), &progress{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if want := "3 files, 1 run under way"; stood != want {
		t.Errorf("when it had run there were %s, want %s", stood, want)
	}
	if now, want := ask(t, url, standing), "0 files, 0 run under way"; now != want {
		t.Errorf("in the end there are %s, want %s", now, want)
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"penstock/bench"
	"penstock/store/pglocal/pgtest"
)

// schemasOf lists the schemas of the database that are not PostgreSQL's.
func schemasOf(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `select nspname::text from pg_namespace where nspname !~ '^pg_' and nspname not in ('public', 'information_schema') order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func connectTo(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return conn
}

// Each run of a sweep reads all that replay reads, into a schema of its own that
// is gone at the end, and what the store holds stays as it is.
func TestBenchLoads(t *testing.T) {
	url, dir := pgtest.Database(t), filepath.Join(t.TempDir(), "files")
	conn := connectTo(t, url)
	if err := (bench.Corpus{Files: 60, Readings: 4, Loggers: 7}).Write(dir); err != nil {
		t.Fatal(err)
	}
	penstock(t, exitWell, "replay", "--store", url, dir)
	before := schemasOf(t, conn)
	config := filepath.Join(t.TempDir(), "penstock.yaml")
	if err := os.WriteFile(config, []byte("# ours\npipeline: {workers: auto, chunk: 7} # for now\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(t.TempDir(), "a", "results")
	out, _ := penstock(t, exitWell, "bench", "-c", config, "--store", url, "--workers", "1-2", "--chunk", "1,50", "--sets", "2", "--runs", "2", "-o", "json", "--out", results, "--apply", config, dir)

	var report benchReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	runs := make(map[bench.Cell]int)
	for _, x := range report.Result.Samples {
		if x.Set > 0 && x.Run > 0 {
			runs[x.Cell]++
		}
		if x.Files != 60 || x.Readings != 240 || x.Error != "" || x.Seconds <= 0 || x.Commit <= 0 || x.Bytes == 0 {
			t.Errorf("a run is %+v, want all of 60 files and 240 readings", x)
		}
	}
	if diff := cmp.Diff(map[bench.Cell]int{{Workers: 1, Chunk: 1}: 4, {Workers: 1, Chunk: 50}: 4, {Workers: 2, Chunk: 1}: 4, {Workers: 2, Chunk: 50}: 4}, runs); diff != "" {
		t.Errorf("runs of each cell (-want +got):\n%s", diff)
	}
	if s := report.Result; !strings.HasPrefix(s.Versions.Database, "PostgreSQL ") || s.Settings.Stage != "load" || !strings.HasPrefix(s.Settings.Files, dir+" (60 files, ") || strings.Contains(out, url) {
		t.Errorf("the settings are %+v, %+v", s.Settings, s.Versions)
	}
	if got := schemasOf(t, conn); !slices.Equal(got, before) {
		t.Errorf("schemas are %q, and were %q", got, before)
	}
	var files int
	if err := conn.QueryRow(t.Context(), "select count(*) from penstock.files").Scan(&files); err != nil || files != 60 {
		t.Errorf("the store has %d files (%v), want the 60 of the replay", files, err)
	}
	want := "# ours\n" + report.Verdict.Config + " # for now\n"
	if text, err := os.ReadFile(config); err != nil || string(text) != want {
		t.Errorf("the config is now (%v)\n%s\nwant\n%s", err, text, want)
	}
	var kept bench.Result
	if text, err := os.ReadFile(filepath.Join(results, "bench.json")); err != nil {
		t.Error(err)
	} else if err := json.Unmarshal(text, &kept); err != nil || len(kept.Samples) != len(report.Result.Samples) {
		t.Errorf("bench.json has %d runs (%v), want %d", len(kept.Samples), err, len(report.Result.Samples))
	}
	for name, begin := range map[string]string{"bench.csv": "workers,chunk,set,run,at,seconds,", "bench.txt": "# ",
		"heatmap.html": "<!doctype html>", "heatmap.png": "\x89PNG", "heatmap.svg": "<?xml", "speedup.png": "\x89PNG", "runtime.png": "\x89PNG"} {
		if text, err := os.ReadFile(filepath.Join(results, name)); err != nil || !strings.HasPrefix(string(text), begin) {
			t.Errorf("%s (%v) begins with %.40q", name, err, text)
		}
	}
}

// What was approved in the store of --store reads the files of a sweep, as it does
// those of a replay into it.
func TestBenchReadsWhatWasApproved(t *testing.T) {
	url, dir := pgtest.Database(t), t.TempDir()
	for i := range 3 {
		text := fmt.Sprintf("Time,Stage (m)\n03/04/2025 00:0%d,1.5\n04/04/2025 00:0%d,1.5\n", i, i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("weir_%d.csv", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sweep := []string{"bench", "--store", url, "--workers", "1", "--chunk", "10", "--runs", "1", "--sets", "1", "-o", "json", dir}
	if _, err := penstock(t, exitFailed, sweep...); !strings.Contains(err, "none of 3 files is loaded") {
		t.Errorf("before it was approved: %s", err)
	}
	penstock(t, exitTrouble, "replay", "--store", url, "--source", "weirs", dir)
	shape := ask(t, url, "select id from penstock.shapes")
	penstock(t, exitWell, "profiles", "approve", shape, "--store", url, "--set", "order=dmy", "--set", "zone=UTC")
	out, _ := penstock(t, exitWell, sweep...)
	var report benchReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	for _, x := range report.Result.Samples {
		if x.Files != 3 || x.Readings != 6 || x.Error != "" {
			t.Errorf("a run is %+v", x)
		}
	}
	// A store of another version is measured on; its approvals are not read.
	if err := os.WriteFile(filepath.Join(dir, "a.csv"), []byte("logger,channel,timestamp,value\nL1,flow,2025-04-03T00:00:00Z,1.5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	conn := connectTo(t, url)
	for _, other := range []struct{ says, sql string }{
		{"newer", "insert into penstock.schema_version (version_id, is_applied) values (100, true)"},
		{"older", "delete from penstock.schema_version where version_id > 0"},
	} {
		does(t, conn, other.sql)
		out, said := penstock(t, exitWell, sweep...)
		if !strings.Contains(said, "Profiles that were approved in the store are not read: ") || !strings.Contains(said, other.says+" than this program's") {
			t.Errorf("with a schema that is %s it says %s", other.says, said)
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		if x := report.Result.Samples[0]; x.Files != 4 || x.Readings != 1 || x.Error != "" {
			t.Errorf("with a schema that is %s a run is %+v", other.says, x)
		}
	}
}

// A cell that the database does not take fails, with why, and the others of the
// sweep are as if it had not been there. More workers than the server has
// connections are no failure: they share those that there are.
func TestBenchGoesOnAfterACellThatFails(t *testing.T) {
	server := pgtest.Server(t, map[string]string{"max_connections": "8", "superuser_reserved_connections": "0", "max_wal_senders": "0"})
	conn := connectTo(t, server.URL())
	// Each run's table is made anew, and refuses less than ten rows at a time.
	for _, sql := range []string{
		`create function refuse() returns trigger language plpgsql as $$ begin
			if (select count(*) from added) < 10 then raise exception 'so few rows are not taken' using errcode = '42501'; end if;
			return null; end $$`,
		`create function guard() returns event_trigger language plpgsql as $$ declare made record; begin
			for made in select * from pg_event_trigger_ddl_commands() where object_type = 'table' and object_identity like '%.readings' loop
				execute format('create trigger guarded after insert on %s referencing new table as added for each statement execute function public.refuse()', made.object_identity);
			end loop; end $$`,
		`create event trigger guarded on ddl_command_end when tag in ('CREATE TABLE') execute function guard()`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	dir, results := filepath.Join(t.TempDir(), "files"), t.TempDir()
	if err := (bench.Corpus{Files: 400, Readings: 2}).Write(dir); err != nil {
		t.Fatal(err)
	}
	out, _ := penstock(t, exitWell, "bench", "--store", server.URL(), "--workers", "1,2,40", "--chunk", "1,50", "--runs", "1", "--sets", "2", "--out", results, dir)
	out = strings.Join(strings.Fields(out), " ")
	for _, says := range []string{`\b1 failed \d`, `\b40 failed \d`, `\b2 x 1 failed in 2 of 2 runs: .*so few rows are not taken`, `The best cell is \d+ workers? x chunk 50 with`} {
		if !regexp.MustCompile(says).MatchString(out) {
			t.Errorf("it does not say %q:\n%s", says, out)
		}
	}
	text, err := os.ReadFile(filepath.Join(results, "bench.json"))
	if err != nil {
		t.Fatal(err)
	}
	var result bench.Result
	if err := json.Unmarshal(text, &result); err != nil {
		t.Fatal(err)
	}
	runs := make(map[bench.Cell]int)
	for _, x := range result.Samples {
		switch refused := strings.Contains(x.Error, "so few rows are not taken"); {
		case x.Chunk == 1 && !refused, x.Chunk > 1 && (x.Error != "" || x.Files != 400 || x.Readings != 800):
			t.Errorf("a run is %+v", x)
		case x.Set > 0 && x.Run > 0:
			runs[x.Cell]++
		}
	}
	for _, workers := range []int{1, 2, 40} {
		for _, chunk := range []int{1, 50} {
			if n := runs[bench.Cell{Workers: workers, Chunk: chunk}]; n != 2 {
				t.Errorf("%d x %d ran %d times, want 2", workers, chunk, n)
			}
		}
	}
	if got := schemasOf(t, conn); len(got) > 0 {
		t.Errorf("it left %q", got)
	}
}

// A stage by itself stores nothing and needs no store, whatever the environment
// and the config say of one.
func TestBenchStages(t *testing.T) {
	dir := t.TempDir()
	if err := (bench.Corpus{Files: 30, Readings: 2}).Write(filepath.Join(dir, "files")); err != nil {
		t.Fatal(err)
	}
	environ := []string{"PENSTOCK_STORE=postgres://nobody@192.0.2.1/none", "PENSTOCK_WORKERS=3"}
	for _, c := range []struct {
		stage    string
		readings int64
	}{{stageDecode, 60}, {stageFetch, 0}} {
		out, _ := penstockWith(t, environ, exitWell, "bench", "--stage", c.stage, "--workers", "1,3", "--chunk", "10", "--runs", "1", "--sets", "1", "-o", "json", filepath.Join(dir, "files"))
		var report benchReport
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		for _, x := range report.Result.Samples {
			if x.Files != 30 || x.Readings != c.readings || x.Bytes == 0 || x.Error != "" {
				t.Errorf("stage %s: a run is %+v", c.stage, x)
			}
		}
	}
	text, _ := penstockWith(t, environ, exitWell, "bench", "--stage", "decode", "--files", "40", "--skew", "--workers", "1", "--chunk", "10", "--runs", "1", "--sets", "1")
	for _, want := range []string{"40 generated files of 2 readings or many more (skew 1.5), seed 1", "The best cell is 1 worker x chunk 10 with "} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
}

// A source on a server is fetched from for each run, and nothing there is moved.
func TestBenchFetchesFromAServer(t *testing.T) {
	dir := t.TempDir()
	server, err := startDemoServer(filepath.Join(dir, "ftp"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := (bench.Corpus{Files: 12, Readings: 2}).Write(filepath.Join(dir, "ftp", "in")); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("pipeline: {workers: 4, chunk: auto}\nsources:\n  - {name: field, url: %q, password_file: secret, after: {do: delete}}\n", "ftp://"+server.user+"@"+server.address+"/in")
	for name, text := range map[string]string{"penstock.yaml": config, "secret": server.password + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	url := pgtest.Database(t)
	for _, stage := range [][]string{{"--stage", "fetch"}, {"--store", url}} {
		args := slices.Concat([]string{"bench", "-c", filepath.Join(dir, "penstock.yaml"), "--source", "field", "--workers", "1,2", "--chunk", "5", "--runs", "1", "--sets", "1", "-o", "json"}, stage)
		out, _ := penstock(t, exitWell, args...)
		var report benchReport
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		if s := report.Result.Settings; !s.Remote || s.Source != "field" || s.Files != "source field (12 files, 1.34 kB)" {
			t.Errorf("the settings are %+v", s)
		}
		if n := len(report.Result.Samples); n != 4 {
			t.Errorf("%d runs, want 4: a warm-up, a reference, and two cells", n)
		}
		for _, x := range report.Result.Samples {
			if x.Files != 12 || x.Fetch <= 0 || x.Error != "" {
				t.Errorf("a run is %+v", x)
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "ftp", "in", "*", "*.csv")); err != nil || len(left) != 12 {
		t.Errorf("of 12 files %d are left on the server (%v)", len(left), err)
	}
}

func TestBenchRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.csv": "who,knows\n1,2\n", "bad.yaml": "pipeline: {workers: none}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{exitUsage, `"0" is no number from 1 on`, []string{"--workers", "0"}},
		{exitUsage, "8-1 is no range", []string{"--chunk", "8-1"}},
		{exitUsage, "numbers from 1 on", []string{"--runs", "0"}},
		{exitUsage, "stores nothing, and has no use for --store", []string{"--stage", "decode", "--store", "postgres:///x"}},
		{exitUsage, "--stage fetch measures a part of it", []string{"--stage", "fetch", "--apply", "x.yaml"}},
		{exitUsage, "--skew is from 0", []string{"--skew=5"}},
		{exitUsage, "--files is of files that are made, and these are given", []string{"--files", "3", dir}},
		{exitUsage, "--skew is of files that are made, and these are given", []string{"--skew", "2"}}, // is a PATH
		{exitUsage, "--skew is of files that are made, and these are given", []string{"--skew", "--source", "field"}},
		{exitUsage, "--match is of files that are given, and these are made", []string{"--match", "*.csv"}},
		{exitUsage, "--ignore is of files that are given, and these are made", []string{"--ignore", "*.csv"}},
		{exitUsage, `--match is of files at a PATH, and those of source "field" are the ones that the config says`, []string{"--match", "*.csv", "--source", "field"}},
		{exitUsage, `no config names a source "field"`, []string{"--stage", "decode", "--source", "field"}},
		{exitUsage, "bad.yaml:1:21: ", []string{"--apply", filepath.Join(dir, "bad.yaml")}},
		{exitFailed, "there are no files to measure with", []string{"--stage", "decode", empty}},
		{exitFailed, "none of 1 file is loaded, such as ", []string{"--stage", "decode", filepath.Join(dir, "a.csv")}},
	} {
		if _, err := penstock(t, c.code, append([]string{"bench"}, c.args...)...); !strings.Contains(err, c.says) {
			t.Errorf("bench %q says\n%s\nwant %s", c.args, err, c.says)
		}
	}
}

// With --drop-caches files are read from the disk, run for run.
func TestBenchDropsCaches(t *testing.T) {
	if err := mayDropCaches(); err != nil {
		t.Skip("the system's caches cannot be dropped here: ", err)
	}
	dir := t.TempDir()
	if err := (bench.Corpus{Files: 20, Readings: 2}).Write(dir); err != nil {
		t.Fatal(err)
	}
	out, _ := penstock(t, exitWell, "bench", "--stage", "decode", "--drop-caches", "--workers", "1,2", "--chunk", "10", "--runs", "2", "--sets", "1", "-o", "json", dir)
	var report benchReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if report.Result.Settings.Cache != "cold" || len(report.Result.Samples) != 5 {
		t.Errorf("%d runs with a %s cache, want a reference and four, without a warm-up, cold", len(report.Result.Samples), report.Result.Settings.Cache)
	}
	for _, x := range report.Result.Samples {
		if x.Files != 20 || x.Readings != 40 || x.Error != "" || x.Set == 0 {
			t.Errorf("a run is %+v", x)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]sizes{"1-4": {1, 2, 3, 4}, "10,1,100": {1, 10, 100}, "4, 1-2,2": {1, 2, 4}, "7": {7}} {
		var got sizes
		if err := got.Set(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a", "1,,2", "0-3", "5-2", "1-100000", "auto"} {
		if err := new(sizes).Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if got, want := defaultWorkers(6, 12), (sizes{1, 2, 4, 8, 12, 16}); !slices.Equal(got, want) {
		t.Errorf("with 6 cores the workers are %v, want %v", got, want)
	}
}

// A sweep that was cut short before any cell came to an end can be written.
func TestBenchWritesWhatThereIs(t *testing.T) {
	cell := bench.Cell{Workers: 1, Chunk: 1}
	r := &bench.Result{Cut: "interrupted", Protocol: bench.Protocol{Cells: []bench.Cell{cell}, Reference: cell, Sets: 1, Runs: 1}}
	if err := writeBench(t.TempDir(), bench.Analyse(r)); err != nil {
		t.Error(err)
	}
}

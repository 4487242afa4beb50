package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
	"penstock/store/pglocal/pgtest"
)

// A read-side test builds its ledger row by row: it is about what the rows
// say, in states that the write side takes many steps to reach.
type ledger struct {
	t     *testing.T
	store *Store
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	s, err := Open(t.Context(), pgtest.Database(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	l := &ledger{t, s}
	l.exec(`insert into sources (name, root) values ('file', ''), ('site', '/data/site')`)
	l.exec(`insert into runs (command, host, version, started) values ('penstock replay /data', 'h', 'v1', '2024-05-01 00:00:00+00')`)
	l.exec(`insert into recipes (digest, profile, zone, body) values ('\x01', 'long', 'Etc/UTC', 'name: long')`)
	l.exec(`insert into series (logger, channel, unit, label) values ('L1', 'flow', 'l/s', 'Flow'), ('L1', 'level', 'm', ''), ('L2', 'flow', 'l/s', '')`)
	return l
}

func (l *ledger) exec(sql string, args ...any) {
	l.t.Helper()
	if _, err := l.store.pool.Exec(l.t.Context(), sql, args...); err != nil {
		l.t.Fatalf("%v\n%s", err, sql)
	}
}

// file adds a file version of one minute's age per id, with n lines of one
// stored reading each, from first on, of the given series.
func (l *ledger) file(source, path string, state ingest.State, first time.Time, n int, series ...int32) int64 {
	l.t.Helper()
	key := FileKey(source, path)
	var id int64
	err := l.store.pool.QueryRow(l.t.Context(), `insert into files (key, generation, source, path, sha256, size, rank_time, fetched, changed,
			run, chunk, recipe, state, rank, trusted, modified, modified_step, reason)
		select $1::uuid, coalesce((select max(generation) from files where key = $1::uuid), 0) + 1, s.id, $2, '\xab', 10, $4, $4, $4, 1, 1, 1, $5::text::file_state, 0, true, $4, 1,
			case when $5::text in ('held', 'quarantined') then 'because' end
		from sources s where s.name = $3 returning id`,
		key[:], ingest.EscapePath(path), source, first, string(state)).Scan(&id)
	if err != nil {
		l.t.Fatal(err)
	}
	stored := n * len(series)
	var from, to *time.Time
	if n > 0 {
		last := first.Add(time.Duration(n-1) * time.Minute)
		from, to = &first, &last
	}
	l.exec(`update files set span_first = $2, span_last = $3, n_lines = $4 + 1, n_lines_header = 1, n_lines_data = $4, n_cells = $5, n_stored = $5, series_ids = coalesce($6::int4[], array[]::int4[])
		where id = $1`, id, from, to, n, stored, series)
	for _, one := range series {
		if state == ingest.Loaded {
			l.exec(`insert into readings (series_id, ts, value, file_id)
				select $1, $2::timestamptz + make_interval(mins => i), i, $3 from generate_series(0, $4 - 1) i`, one, first, id, n)
		}
	}
	return id
}

func day(d, minute int) time.Time { return time.Date(2024, 5, d, 0, minute, 0, 0, time.UTC) }

func TestGlob(t *testing.T) {
	for _, c := range []struct{ pattern, matches, not string }{
		{"a.csv", "a.csv x/a.csv x/y/a.csv a.csv/b", "aXcsv xa.csv a.csv2"},
		{"*.csv", "a.csv x/y.csv .csv", "a.csvx a.txt"},
		{"/data/*.csv", "/data/a.csv", "/data/x/a.csv data/a.csv x/data/a.csv"},
		{"/data/**/*.csv", "/data/a.csv /data/x/a.csv /data/x/y/a.csv", "/other/a.csv"},
		{"/data", "/data/a.csv /data/x/y /data", "/database/a.csv"},
		{"/data/", "/data/a.csv", "/database/a.csv"},
		{"x/**", "x/a x/b/c", "y/x/a"},
		{"old.zip", "z/old.zip!m/a.csv old.zip", "old.zipper"},
		{"L?.csv", `L1.csv Lé.csv L\x0A.csv`, `L12.csv L/.csv`},
		{"L[0-9].csv", "L1.csv", "La.csv"},
		{"L[!0-9].csv", "La.csv", "L1.csv"},
		{"L[^0-9].csv", "La.csv", "L1.csv"},
		{"L[a^].csv", "La.csv L^.csv", "Lb.csv"},
		{"{a,b*}.csv", "a.csv bcd.csv", "c.csv"},
		{"a,b.csv", "a,b.csv", "a.csv"},
		{`a\*b`, "a*b", "axb"},
		{`bad\xFF.csv`, `bad\xFF.csv`, `badÿ.csv`},
		{`bad\xff.csv`, `bad\xFF.csv`, ``},
		{"bad\xff.csv", `bad\xFF.csv`, `bad.csv`},
		{`back\\slash`, `back\x5Cslash`, `backslash`},
		{"a+b(c).csv", "a+b(c).csv", "aab(c).csv"},
	} {
		expression, err := globRegexp(c.pattern)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		re := regexp.MustCompile(expression)
		for _, path := range strings.Fields(c.matches) {
			if !re.MatchString(path) {
				t.Errorf("%q does not match %q (%s)", c.pattern, path, expression)
			}
		}
		for _, path := range strings.Fields(c.not) {
			if re.MatchString(path) {
				t.Errorf("%q matches %q (%s)", c.pattern, path, expression)
			}
		}
	}
	for pattern, want := range map[string]string{
		"a[": "a [ is not closed", "a[]": "is not a set", "a{b": "a { is not closed", `a\`: "lone backslash", "[z-a]": "malformed",
	} {
		if _, err := globRegexp(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", pattern, err, want)
		}
	}
}

// PostgreSQL's expressions must take what TestGlob tries with Go's.
func TestGlobInDatabase(t *testing.T) {
	l := newLedger(t)
	for _, path := range []string{"/d/L1.csv", "/d/L\n.csv", "/d/x/Lé.csv", "/d/L^.csv", "/d/a+b(c).csv", "/d/bad\xff.csv", `/d/back\slash`, "/d/z.zip!m/a.csv"} {
		l.file("file", path, ingest.Loaded, day(1, 0), 0)
	}
	for pattern, want := range map[string]string{
		"L?.csv":      `/d/L1.csv /d/L\x0A.csv /d/x/Lé.csv /d/L^.csv`,
		"/d/L?.csv":   `/d/L1.csv /d/L\x0A.csv /d/L^.csv`,
		"L[1^].csv":   "/d/L1.csv /d/L^.csv",
		"L[!1].csv":   "/d/x/Lé.csv /d/L^.csv",
		"a+b(c).csv":  "/d/a+b(c).csv",
		"bad\xff.csv": `/d/bad\xFF.csv`,
		`back\\slash`: `/d/back\x5Cslash`,
		"/d/*.zip":    "/d/z.zip!m/a.csv",
		"{L1,a+*}*":   "/d/L1.csv /d/a+b(c).csv",
		"/d/**/a.csv": "/d/z.zip!m/a.csv",
	} {
		if got := l.paths(Selection{Pattern: pattern}); got != want {
			t.Errorf("%q selects %q, want %q", pattern, got, want)
		}
	}
}

// countFiles counts what is selected as Verify does.
func countFiles(ctx context.Context, s *Store, sel Selection) (n int64, err error) {
	c, err := sel.conditions()
	if err != nil {
		return 0, err
	}
	err = s.pool.QueryRow(ctx, "select count(*) from files f where "+c.where(), c.args...).Scan(&n)
	return n, err
}

// paths lists what is selected, and checks that it is counted alike.
func (l *ledger) paths(sel Selection) string {
	l.t.Helper()
	var paths []string
	for v, err := range l.store.Files(l.t.Context(), sel) {
		if err != nil {
			l.t.Fatal(err)
		}
		paths = append(paths, v.Display)
	}
	n, err := countFiles(l.t.Context(), l.store, sel)
	if err != nil {
		l.t.Fatal(err)
	}
	if int(n) != len(paths) {
		l.t.Errorf("%+v: counted %d, listed %d", sel, n, len(paths))
	}
	return strings.Join(paths, " ")
}

func TestSelection(t *testing.T) {
	l := newLedger(t)
	l.file("file", "/a1", ingest.Loaded, day(1, 0), 2, 1, 2)
	l.file("file", "/a1", ingest.Loaded, day(2, 0), 2, 3) // its second version
	l.file("site", "b1", ingest.Held, day(3, 0), 0)
	l.file("site", "b2", ingest.Quarantined, day(4, 0), 0)
	l.exec("update files set run = 2, recipe = null where path = 'b2'")
	for want, sel := range map[string]Selection{
		"/a1 /a1 b1 b2": {},
		"b1 b2":         {Source: "site"},
		"":              {Source: "elsewhere"},
		"/a1":           {Logger: "L2"},
		"/a1 b1 b2":     {Newest: true},
		"b1":            {States: []ingest.State{ingest.Held, ingest.Due}},
		"b2":            {Run: 2},
		"/a1 /a1 b1":    {Profile: "long"},
		"/a1 b1":        {Since: day(2, 0), Until: day(4, 0)},
		"/a1 b2":        {IDs: []int64{1, 1 + 3*idsOfBlock, 99}},
	} {
		if got := l.paths(sel); got != want {
			t.Errorf("%+v selects %q, want %q", sel, got, want)
		}
	}
	if got := l.paths(Selection{IDs: []int64{}}); got != "" {
		t.Errorf("no ids select %q", got)
	}
}

func TestFileVersion(t *testing.T) {
	l := newLedger(t)
	id := l.file("site", "sub/L1\xff.csv", ingest.Loaded, day(1, 0), 3, 1)
	var got FileVersion
	for v, err := range l.store.Files(t.Context(), Selection{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = v
	}
	want := FileVersion{ID: id, Source: "site", Root: "/data/site", Path: "sub/L1\xff.csv", Display: `sub/L1\xFF.csv`, Generation: 1,
		State: ingest.Loaded, Sum: ingest.Digest{0xab}, Size: 10, Modified: day(1, 0), Precision: ingest.Second, RankTime: day(1, 0), Trusted: true,
		Recipe: 1, Profile: "long", Zone: "Etc/UTC", Run: 1, Fetched: day(1, 0), Changed: day(1, 0), First: day(1, 0), Last: day(1, 2), Series: []int32{1},
		Receipt: ingest.Receipt{Lines: ingest.Lines{Total: 4, Header: 1, Data: 3}, Cells: ingest.Cells{Total: 3, Stored: 3}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	file := ingest.File{Source: "site", Path: "sub/L1\xff.csv", Size: 10, Modified: ingest.Micros(day(1, 0)), Precision: ingest.Second}
	if got.File() != file {
		t.Errorf("its file is %+v", got.File())
	}
}

// More than one page, also when another query runs within the loop.
func TestFilesPages(t *testing.T) {
	l := newLedger(t)
	l.exec(`insert into files (key, generation, source, path, sha256, size, rank_time, fetched, run, chunk, state, rank, trusted)
		select md5(i::text)::uuid, 1, 1, '/f' || i, '\xab', 1, now(), now(), 1, 1, 'loaded', 0, true from generate_series(1, $1) i`, 2*pageSize+1)
	n := 0
	for v, err := range l.store.Files(t.Context(), Selection{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; v.Display != fmt.Sprintf("/f%d", n) {
			t.Fatalf("%s comes as number %d", v.Display, n)
		}
		if n%pageSize == 0 {
			if _, err := countFiles(t.Context(), l.store, Selection{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n != 2*pageSize+1 {
		t.Errorf("%d files", n)
	}
	for _, err := range l.store.Files(t.Context(), Selection{}) {
		if err != nil {
			t.Error(err)
		}
		break // a caller may stop early
	}
}

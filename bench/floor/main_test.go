package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"penstock/bench"
	"penstock/store/pglocal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// A floor that loses or doubles readings would be a floor of another work.
func TestLoadStoresEachReadingOnce(t *testing.T) {
	store, dir := pgtest.Database(t), filepath.Join(t.TempDir(), "corpus")
	runFloor(t, "-mode", "corpus", "-dir", dir, "-files", "1500", "-loggers", "20")
	load := func(workers, chunk int) result {
		return runFloor(t, "-mode", "load", "-dir", dir, "-store", store, "-workers", strconv.Itoa(workers), "-chunk", strconv.Itoa(chunk))
	}
	var both errgroup.Group
	var first, second result
	both.Go(func() error { first = load(3, 70); return nil })
	both.Go(func() error { second = load(2, 400); return nil })
	if err := both.Wait(); err != nil {
		t.Fatal(err)
	}
	if first.Files != 1500 || second.Files != 1500 || first.Readings+second.Readings != 3000 {
		t.Errorf("two at once stored %d and %d readings of %d files, want 3000 in all of 1500", first.Readings, second.Readings, first.Files)
	}
	if again := load(1, 1000); again.Readings != 0 {
		t.Errorf("a further run stored %d readings", again.Readings)
	}

	conn, err := pgx.Connect(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	c := bench.Corpus{Files: 1500, Readings: 2, Loggers: 20}
	type reading struct {
		name  string
		ts    int64
		value float64
	}
	want := make(map[reading]bool)
	for n := range c.Files * c.Readings {
		r := c.Reading(n)
		want[reading{r.Logger + "," + r.Channel, r.Time.Unix(), float64(r.Milli) / 1000}] = true
	}
	rows, _ := conn.Query(t.Context(), "select name, extract(epoch from ts)::int8, value from floor.readings join floor.series on id = series_id")
	var r reading
	_, err = pgx.ForEachRow(rows, []any{&r.name, &r.ts, &r.value}, func() error {
		if !want[r] {
			t.Errorf("%v was not in the files", r)
		}
		delete(want, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(want) > 0 {
		t.Errorf("%d readings are missing", len(want))
	}
}

func TestWalkComparesWithTheLedger(t *testing.T) {
	store, dir := pgtest.Database(t), filepath.Join(t.TempDir(), "corpus")
	runFloor(t, "-mode", "corpus", "-dir", dir, "-files", "12")
	conn, err := pgx.Connect(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "create table ledger (path text, size int8, modified timestamptz)"); err != nil {
		t.Fatal(err)
	}
	c := bench.Corpus{Files: 12, Readings: 2}
	for i := range 10 {
		modified := c.Reading(2 * i).Time.Add(60_000_000_000)
		if i == 9 {
			modified = modified.Add(1000) // a microsecond later: another version
		}
		if _, err := conn.Exec(t.Context(), "insert into ledger values ($1, $2, $3)", filepath.Join(dir, c.Path(i)), len(c.AppendFile(nil, i)), modified); err != nil {
			t.Fatal(err)
		}
	}
	if r := runFloor(t, "-mode", "walk", "-dir", dir, "-store", store, "-ledger", "ledger"); r.Files != 12 || r.Known != 9 {
		t.Errorf("%d files, %d known; want 12 and 9", r.Files, r.Known)
	}
}

func TestReadReadsAllBytes(t *testing.T) {
	for _, c := range []bench.Corpus{{Files: 1100, Readings: 2}, {Files: 1, Readings: 5000}} {
		dir := filepath.Join(t.TempDir(), "corpus")
		if err := c.Write(dir); err != nil {
			t.Fatal(err)
		}
		want := int64(0)
		for i := range c.Files {
			want += int64(len(c.AppendFile(nil, i)))
		}
		if r := runFloor(t, "-mode", "read", "-dir", dir, "-workers", "2"); r.Files != c.Files || r.Bytes != want {
			t.Errorf("%d bytes of %d files, want %d of %d", r.Bytes, r.Files, want, c.Files)
		}
	}
}

func TestDecodeRefusesOtherLayouts(t *testing.T) {
	series := func([]byte) int32 { return 0 }
	for _, text := range []string{
		"", "time,value\n", header + "\n", header + "L1\n", header + "L1,flow\n", header + "L1,flow,2024-01-01\n",
		header + "L1,flow,2024-01-01T00:00:00Z,\n", header + "L1,flow,2024-01-01T00:00:00Z,1.5",
		header + "L1,flow,2024-01-01 00:00:00Z,1.5\n", header + "L1,flow,2024-01-01T00:00:00Z,-1\n",
		header + "L1,flow,2024-01-01T00:00:00Z,1.2.3\n", header + "L1,flow,2O24-01-01T00:00:00Z,1\n",
		header + "L1\nflow,2024-01-01T00:00:00Z,1,2,3\n",
	} {
		if rows, err := decode([]byte(text), nil, series); err == nil {
			t.Errorf("%q gave %v", text, rows)
		}
	}
}

func runFloor(t *testing.T, args ...string) (r result) {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), args, &out); err != nil {
		t.Error(err)
		return r
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Errorf("%s: %v", &out, err)
	}
	return r
}

package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

var timescaleDatabases atomic.Int32

// timescale makes a schema in a database of the test's own on the server that
// PENSTOCK_TEST_TIMESCALE names.
func timescale(t *testing.T, o Options) *Store {
	t.Helper()
	server := os.Getenv("PENSTOCK_TEST_TIMESCALE")
	if server == "" {
		t.Skip("PENSTOCK_TEST_TIMESCALE does not name a server with TimescaleDB (a superuser's URL)")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("penstock_test_%d_%d", os.Getpid(), timescaleDatabases.Add(1))
	execute := func(sql string) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	execute("create database " + name)
	t.Cleanup(func() { execute("drop database " + name + " with (force)") })
	u.Path = "/" + name
	o.Create = true
	s, err := Open(t.Context(), u.String(), o)
	if err != nil {
		t.Fatal(err)
	}
	// The policy does its work when a test has it do that, and not beside it.
	if _, err := s.pool.Exec(t.Context(), "select alter_job(job_id, scheduled => false) from timescaledb_information.jobs where hypertable_schema = 'penstock'"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if !s.Layout().Hypertable {
		t.Fatal("TimescaleDB is there and the readings are a plain table")
	}
	return s
}

// A hypertable holds what a plain table holds, however the files come in and
// whatever is corrected.
func TestTimescaleHypertable(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			s := timescale(t, Options{Append: appendMode})
			plain := open(t, Options{Append: appendMode})
			random := rand.New(rand.NewPCG(5, 6))
			files := contradictingFiles(random, 80)
			for i := range files { // over several chunks of the hypertable
				for j := range files[i].readings {
					files[i].readings[j].time *= 86400
				}
			}
			commitAll(t, []*Sink{sinkOf(t, plain, SinkOptions{})}, files, 1, 9)
			commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{}), sinkOf(t, s, SinkOptions{})}, files, 3, 9)
			want := contents(t, plain)
			if diff := cmp.Diff(want, contents(t, s)); diff != "" {
				t.Fatalf("loaded (-plain +hypertable):\n%s", diff)
			}
			verify(t, s)
			for _, store := range []*Store{plain, s} {
				undo(t, store, Selection{Pattern: "L?_?[3-6]*"}, files)
			}
			if diff := cmp.Diff(query(t, plain, observationsSQL), query(t, s, observationsSQL)); diff != "" {
				t.Fatalf("after undo (-plain +hypertable):\n%s", diff)
			}
			verify(t, s)
			markDue(t, s, Selection{})
			commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), files...)
			if diff := cmp.Diff(want, contents(t, s)); diff != "" {
				t.Fatalf("after retry:\n%s", diff)
			}
			verify(t, s)
		})
	}
}

func TestTimescaleScene(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		s, plain := timescale(t, Options{Append: appendMode}), open(t, Options{Append: appendMode})
		var left, told [2][]string
		for i, store := range []*Store{plain, s} {
			c := committerOf(t, sinkOf(t, store, SinkOptions{}))
			sc := newScene("one")
			sc.prepare(t, store, c)
			told[i] = sc.run(t, c)
			left[i] = sc.left(t, store)
			verify(t, store)
		}
		if diff := cmp.Diff(left[0], left[1]); diff != "" {
			t.Errorf("append=%v (-plain +hypertable):\n%s", appendMode, diff)
		}
		if diff := cmp.Diff(told[0], told[1]); diff != "" {
			t.Errorf("append=%v, told (-plain +hypertable):\n%s", appendMode, diff)
		}
	}
}

// Readings that come late, into chunks that were compressed meanwhile, are
// settled like all others, and can be undone.
func TestTimescaleLateReadingsIntoCompressedChunks(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			s, plain := timescale(t, Options{Append: appendMode}), open(t, Options{Append: appendMode})
			var early, late []testFile
			for i := range 20 {
				f := testFile{path: fmt.Sprintf("L%d_early%d", i%3, i), modified: begin + int64(i)}
				g := testFile{path: fmt.Sprintf("L%d_late%d", i%3, i), modified: begin + int64(i) - 10}
				for j := range int64(40) {
					f.readings = append(f.readings, testReading{"flow", j*3600*(1+int64(i%5)) + int64(i%3), float64(i), ""})
					g.readings = append(g.readings, testReading{"flow", j*1800*(1+int64(i%5)) + int64(i%3), float64(i) / 3, []string{"", "late"}[j%2]})
				}
				early, late = append(early, f), append(late, g)
			}
			all := append(append([]testFile{}, early...), late...)
			for _, store := range []*Store{plain, s} {
				sink := sinkOf(t, store, SinkOptions{})
				commitAll(t, []*Sink{sink}, early, 1, 6)
				compress(t, store)
				commitAll(t, []*Sink{sink}, late, 2, 7)
				compress(t, store)
				undo(t, store, Selection{Pattern: "*_late?"}, all)
				compress(t, store)
				markDue(t, store, Selection{})
				commitAll(t, []*Sink{sink}, all, 1, 40)
				next := early[3]
				next.modified += 100
				next.readings = next.readings[5:]
				next.readings = append([]testReading{{"flow", 7, 7, ""}}, next.readings...)
				compress(t, store)
				commitAll(t, []*Sink{sink}, []testFile{next}, 1, 1)
			}
			if diff := cmp.Diff(contents(t, plain), contents(t, s)); diff != "" {
				t.Errorf("(-plain +compressed):\n%s", diff)
			}
			verify(t, s)
		})
	}
}

// compress compresses what a hypertable holds; a plain table stays as it is.
func compress(t *testing.T, s *Store) {
	t.Helper()
	if !s.Layout().Hypertable {
		return
	}
	for _, sql := range []string{
		"alter table readings set (timescaledb.enable_columnstore, timescaledb.segmentby = 'series_id', timescaledb.orderby = 'ts')",
		"select compress_chunk(c, if_not_compressed => true) from show_chunks('readings') c",
	} {
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if n := query(t, s, "select count(*) from timescaledb_information.chunks where is_compressed"); n[0] == "0" {
		t.Fatal("no chunk is compressed")
	}
}

// What is asked of the hypertable is in force in a schema that is made; of one
// that is there it is altered, and what is not asked stays.
func TestTimescaleHypertableAsAsked(t *testing.T) {
	const day = 24 * time.Hour
	want := func(s *Store, chunk, after time.Duration, differs bool) {
		t.Helper()
		h, d, err := s.Hypertable(t.Context())
		if err != nil || h != (Hypertable{chunk, after}) || d != differs {
			t.Fatalf("%+v, differs: %v (%v), want a chunk of %s, columnstore after %s, differs: %v", h, d, err, chunk, after, differs)
		}
	}
	want(timescale(t, Options{}), DefaultChunkInterval, Never, false)
	s := timescale(t, Options{Append: true, Hypertable: Hypertable{ChunkInterval: day, ColumnstoreAfter: 90 * time.Minute}})
	want(s, day, 90*time.Minute, false)
	for _, step := range []struct {
		asked, inForce Hypertable
		changes        bool
	}{
		{Hypertable{}, Hypertable{day, 90 * time.Minute}, false},
		{Hypertable{ChunkInterval: 36 * time.Hour}, Hypertable{36 * time.Hour, 90 * time.Minute}, true},
		{Hypertable{ColumnstoreAfter: 30 * day}, Hypertable{36 * time.Hour, 30 * day}, true},
		{Hypertable{ColumnstoreAfter: 30 * day}, Hypertable{36 * time.Hour, 30 * day}, false},
		{Hypertable{ColumnstoreAfter: Never}, Hypertable{36 * time.Hour, Never}, true},
		{Hypertable{day, day}, Hypertable{day, day}, true},
	} {
		before, _, _ := s.Hypertable(t.Context())
		s.options.Hypertable = step.asked
		want(s, before.ChunkInterval, before.ColumnstoreAfter, step.changes)
		if changed, err := s.AlterHypertable(t.Context()); err != nil || changed != step.changes {
			t.Fatalf("%+v changed: %v, %v", step.asked, changed, err)
		}
		want(s, step.inForce.ChunkInterval, step.inForce.ColumnstoreAfter, false)
	}
}

// The policy does with chunks what it says, and readings that come late are
// settled in them as in any.
func TestTimescaleColumnstorePolicy(t *testing.T) {
	s := timescale(t, Options{Hypertable: Hypertable{ChunkInterval: 24 * time.Hour, ColumnstoreAfter: 24 * time.Hour}})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	file := func(path string, value float64) testFile {
		f := testFile{path: path, modified: begin + int64(value)}
		for i := range int64(10) {
			f.readings = append(f.readings, testReading{"flow", i * 43200, value, ""})
		}
		return f
	}
	commit(t, c, file("L1_a", 1))
	var job int
	if err := s.pool.QueryRow(t.Context(), "select job_id from timescaledb_information.jobs where hypertable_name = 'readings'").Scan(&job); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), fmt.Sprintf("call run_job(%d)", job)); err != nil {
		t.Fatal(err)
	}
	if got := query(t, s, "select count(*), count(*) filter (where is_compressed) from timescaledb_information.chunks"); got[0] != "5|5" && got[0] != "6|6" {
		t.Fatalf("chunks and those in the columnstore: %s", got[0])
	}
	commit(t, c, file("L1_b", 2))
	if got := query(t, s, "select value, count(*) from readings group by 1"); len(got) != 1 || got[0] != "2|10" {
		t.Errorf("after the later file the readings are %v", got)
	}
	verify(t, s)
}

// Instants that people have no use for are kept as in a plain table.
func TestTimescaleFarInstants(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		o := Options{Append: appendMode, directLeast: 1}
		var got [2][]string
		for i, s := range []*Store{open(t, o), timescale(t, o)} {
			f := testFile{path: "L1_a", modified: begin}
			for _, year := range []int64{-4000, -1000, -1, 0, 1, 1969, 1970, 9999, 10_000, 100_000} {
				f.readings = append(f.readings, testReading{"flow", (year-1970)*365*86400 - begin, float64(year), ""})
			}
			if o := commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), f)[0]; o.State != ingest.Loaded {
				t.Fatalf("append=%v: it is %s: %s", appendMode, o.State, o.Reason)
			}
			got[i] = query(t, s, "select extract(epoch from ts)::int8, value from readings order by ts")
			verify(t, s)
		}
		if diff := cmp.Diff(got[0], got[1]); diff != "" {
			t.Errorf("append=%v (-plain +hypertable):\n%s", appendMode, diff)
		}
	}
}

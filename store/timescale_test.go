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

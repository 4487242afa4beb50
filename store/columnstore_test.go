package store

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outside is how many readings of a hypertable are not in the columnstore.
func outside(t *testing.T, s *Store) (n int64) {
	t.Helper()
	for _, chunk := range query(t, s, "select show_chunks('readings')::text") {
		of, err := strconv.ParseInt(query(t, s, "select count(*) from only "+chunk)[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		n += of
	}
	return n
}

// daily is files of one logger, a day and 24 readings each.
func daily(logger string, first, n int, value float64) (files []testFile) {
	for i := first; i < first+n; i++ {
		f := testFile{path: fmt.Sprintf("%s_day%d", logger, i), modified: begin + int64(i)}
		for j := range int64(24) {
			f.readings = append(f.readings, testReading{"flow", int64(i)*86400 + j*3600, value + float64(i), ""})
		}
		files = append(files, f)
	}
	return files
}

// What corrects some readings takes apart the batches that hold them, and no
// others, whichever way it goes.
func TestTimescaleCorrectionsTakeLittleApart(t *testing.T) {
	const day = 24 * time.Hour
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			o := Options{Append: appendMode, Hypertable: Hypertable{ChunkInterval: day, ColumnstoreAfter: 10_000 * day}}
			s, plain := timescale(t, o), open(t, Options{Append: appendMode})
			var files []testFile
			for l := range 4 {
				files = append(files, daily(fmt.Sprintf("L%d", l), 0, 20, 1)...)
			}
			changed := daily("L1", 7, 2, 500) // other values for two days, later
			for i := range changed {
				changed[i].modified += 1000
			}
			again := daily("L2", 9, 1, 700)
			again[0].path, again[0].modified = "L2_other", begin+2000
			steps := []struct {
				name  string
				apart int64 // at most so many readings more are outside the columnstore
				do    func(s *Store)
			}{
				{"a new generation", 72, func(s *Store) { commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, changed, 1, 10) }},
				{"a file beside", 48, func(s *Store) { commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, again, 1, 10) }},
				{"one day after another in live chunks", 0, func(s *Store) {
					commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, daily("L3", 40, 1, 1), 1, 10)
					late := daily("L3", 40, 1, 900)
					late[0].path = "L3_late"
					commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, late, 1, 10)
				}},
				{"undo", 120, func(s *Store) { undo(t, s, Selection{Pattern: "L[02]_day1[01]"}, append(files, again...)) }},
				{"retry", 96, func(s *Store) {
					markDue(t, s, Selection{Pattern: "L[02]_day1[01]"})
					commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, files[:20], 1, 200)
					commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, files[40:60], 1, 200)
				}},
			}
			commitAll(t, []*Sink{sinkOf(t, plain, SinkOptions{})}, files, 1, 10)
			commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, files, 1, 10)
			for _, step := range steps {
				compress(t, s)
				if n := outside(t, s); n != 0 {
					t.Fatalf("before %s %d readings are outside the columnstore", step.name, n)
				}
				step.do(plain)
				before := query(t, s, "select count(*) from readings where ts < '2023-12-20'")
				step.do(s)
				n := outside(t, s)
				if step.name == "one day after another in live chunks" {
					n -= int64(len(query(t, s, "select 1 from readings where ts > '2023-12-20'")))
				}
				if n > step.apart {
					t.Errorf("after %s %d of %s readings are outside the columnstore", step.name, n, before)
				}
				if diff := cmp.Diff(contents(t, plain), contents(t, s)); diff != "" {
					t.Fatalf("after %s (-plain +hypertable):\n%s", step.name, diff)
				}
			}
			verify(t, s)
		})
	}
}

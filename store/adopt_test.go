package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// What was adopted is not taken until it changes or a person wants it; what the
// ledger knows already is left as it is.
func TestAdopt(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	c := committerOf(t, sink)
	loaded := testFile{path: "L1_loaded", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	old := testFile{path: "L1_old", modified: begin, readings: []testReading{{"flow", 2, 2, ""}}}
	wanted := testFile{path: "L1_wanted", modified: begin, readings: []testReading{{"flow", 3, 3, ""}}}
	commit(t, c, loaded)
	untimed := ingest.File{Path: "L1_untimed", Size: 9}
	a := &Adoption{Source: "loggers", Action: Action{Command: "adopt", Reason: "the script loaded them"}}
	for i, want := range []int64{2, 1, 0} {
		files := [][]ingest.File{{listed(loaded), listed(old), listed(wanted)}, {untimed}, {listed(old), untimed}}[i]
		if n, err := s.Adopt(t.Context(), a, files); err != nil || n != want {
			t.Errorf("adopted %d, want %d: %v", n, want, err)
		}
	}
	if diff := cmp.Diff([]string{"adopt|the script loaded them|3|0"}, query(t, s, "select command, reason, files, readings from actions")); diff != "" {
		t.Error(diff)
	}
	for i, st := range pending(t, sink, listed(old), listed(wanted), untimed) {
		if st.Take || st.State != ingest.Skipped {
			t.Errorf("adopted file %d: %+v", i, st)
		}
	}

	old.modified++
	grown := untimed
	grown.Size++
	for i, st := range pending(t, sink, listed(old), grown) {
		if !st.Take {
			t.Errorf("changed file %d: %+v", i, st)
		}
	}
	markDue(t, s, Selection{Pattern: "L1_wanted"})
	if st := pending(t, sink, listed(wanted))[0]; !st.Take {
		t.Errorf("a file that a person wants: %+v", st)
	}
	for i, o := range commit(t, c, old, wanted) {
		if o.State != ingest.Loaded || o.Generation != []int32{2, 1}[i] {
			t.Errorf("%s is %s, generation %d", o.File.Path, o.State, o.Generation)
		}
	}
	if o := commit(t, c, wanted)[0]; o.State != ingest.Known {
		t.Errorf("once more it is %s", o.State)
	}
	want := []string{"L1_loaded|1|loaded", "L1_old|1|skipped", "L1_old|2|loaded", "L1_untimed|1|skipped", "L1_wanted|1|loaded"}
	if diff := cmp.Diff(want, query(t, s, "select path, generation, state::text from files order by 1, 2")); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// Files from before the beginning are skipped, without a row for each.
func TestSince(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{Since: time.Unix(begin, 0)})
	known := testFile{path: "L1_known", modified: begin - 9, readings: []testReading{{"flow", 1, 1, ""}}}
	commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), known)
	var got []string
	for _, f := range []ingest.File{listed(known), listed(testFile{path: "old", modified: begin - 1}), listed(testFile{path: "new", modified: begin}), {Path: "untimed"}} {
		st := pending(t, sink, f)[0]
		got = append(got, fmt.Sprintf("%s %v %s", f.Path, st.Take, st.State))
	}
	if diff := cmp.Diff([]string{"L1_known false loaded", "old false skipped", "new true ", "untimed true "}, got); diff != "" {
		t.Error(diff)
	}
}

// What is from before the beginning is not loaded either where it was taken
// without asking, as it is while the ledger does not answer; a version that the
// ledger has is carried on.
func TestSinceWithoutAsking(t *testing.T) {
	s := open(t, Options{})
	known := testFile{path: "L1_known", modified: begin - 9, readings: []testReading{{"flow", 1, 1, ""}}}
	commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), known)
	known.modified, known.readings = begin-8, []testReading{{"flow", 1, 2, ""}}
	old := testFile{path: "L1_old", modified: begin - 1, readings: []testReading{{"flow", 3, 3, ""}}}
	now := testFile{path: "L1_now", modified: begin, readings: []testReading{{"flow", 4, 4, ""}}}
	var got []string
	for _, o := range commit(t, committerOf(t, sinkOf(t, s, SinkOptions{Since: time.Unix(begin, 0)})), known, old, now) {
		got = append(got, fmt.Sprintf("%s %s %s %d", o.File.Path, o.State, o.Standing, o.Generation))
	}
	if diff := cmp.Diff([]string{"L1_known loaded  2", "L1_old known skipped 0", "L1_now loaded  1"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"L1_known|1", "L1_known|2", "L1_now|1"}, query(t, s, "select path, generation from files order by 1, 2")); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// What is forgotten owns no reading and is not its path's newest version; what
// stays still balances.
func TestPrune(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	version := func(path string, n int64, times ...int64) testFile {
		f := testFile{path: path, modified: begin + n}
		for _, at := range times {
			f.readings = append(f.readings, testReading{"flow", at, float64(n), ""})
		}
		return f
	}
	commit(t, c, version("L1_a", 1, 1, 2))    // loses all to the next
	commit(t, c, version("L1_a", 2, 1, 2, 3)) // loses some
	commit(t, c, version("L1_a", 3, 2, 3))
	broken := testFile{path: "L1_b", modified: begin, broken: "not a CSV", content: "x"}
	commit(t, c, broken)
	broken.modified++
	broken.content = "y"
	commit(t, c, broken)
	want := Pruned{Files: 2, Lost: 1, Standing: 2, Newest: 1}
	for _, dry := range []bool{true, false} {
		got, err := s.Prune(t.Context(), Pruning{Before: time.Now(), DryRun: dry, Action: Action{Command: "prune"}})
		if err != nil {
			t.Fatal(err)
		}
		if got.Bytes < 200 {
			t.Errorf("it frees %d bytes", got.Bytes)
		}
		got.Bytes = 0
		if *got != want {
			t.Errorf("dry=%v: %+v, want %+v", dry, *got, want)
		}
	}
	verify(t, s)
	if diff := cmp.Diff([]string{"L1_a|2", "L1_a|3", "L1_b|2"}, query(t, s, "select path, generation from files order by 1, 2")); diff != "" {
		t.Error(diff)
	}
	if got, err := s.Prune(t.Context(), Pruning{Before: time.Unix(begin, 0)}); err != nil || *got != (Pruned{}) {
		t.Errorf("nothing is that old: %+v, %v", got, err)
	}
	if got := query(t, s, "select files from actions"); len(got) != 1 || got[0] != "2" {
		t.Errorf("actions: %v", got)
	}
}

package store

import (
	"fmt"
	"slices"
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

// An adopted file that a person wants stands by the rank of its source, as it is
// when it is loaded.
func TestAdoptedFilesHaveTheRankOfTheirSource(t *testing.T) {
	s := open(t, Options{})
	f := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	later := testFile{path: "L1_b", modified: begin + 100, readings: []testReading{{"flow", 1, 2, ""}}}
	if _, err := s.Adopt(t.Context(), &Adoption{Source: "loggers", Rank: 3}, []ingest.File{listed(f)}); err != nil {
		t.Fatal(err)
	}
	rank := "select rank from files where path = 'L1_a'"
	if got := query(t, s, rank); got[0] != "3" {
		t.Errorf("adopted with rank %v", got)
	}
	markDue(t, s, Selection{Pattern: "L1_a"})
	commit(t, committerOf(t, sinkOf(t, s, SinkOptions{Rank: 5})), f)
	if got := query(t, s, rank); got[0] != "5" {
		t.Errorf("loaded with rank %v", got)
	}
	commit(t, committerOf(t, sinkOf(t, s, SinkOptions{Source: "low", Rank: 4})), later)
	if got := query(t, s, "select value from observations"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("what stands is %v, want that of the source of greater rank", got)
	}
}

// What is adopted while it waits to be loaded is left alone; what changed since
// is loaded.
func TestAdoptedWhileItWaits(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	f := testFile{path: "L1_a", modified: begin, isNew: true, readings: []testReading{{"flow", 1, 1, ""}}}
	changed := testFile{path: "L1_b", modified: begin, isNew: true, readings: []testReading{{"flow", 2, 1, ""}}}
	untimed := ingest.File{Path: "L1_c", Size: int64(len(f.bytes()))}
	if n, err := s.Adopt(t.Context(), &Adoption{Source: "loggers"}, []ingest.File{listed(f), listed(changed), untimed}); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	changed.modified++
	b := fill(&ingest.Batch{}, f, changed, testFile{path: "L1_c", readings: f.readings})
	b.Spans[2].File = untimed
	outcomes, err := c.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range outcomes {
		got = append(got, fmt.Sprintf("%s %s %s %d", o.File.Path, o.State, o.Standing, o.Generation))
	}
	if diff := cmp.Diff([]string{"L1_a known skipped 1", "L1_b loaded  2", "L1_c known skipped 1"}, got); diff != "" {
		t.Error(diff)
	}
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

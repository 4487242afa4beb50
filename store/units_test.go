package store

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

func TestOtherUnitIsHeld(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	f := func(path, unit string, at int64) testFile {
		return testFile{path: path, modified: begin, unit: unit, readings: []testReading{{"flow", at, 1, ""}}}
	}
	// A series that came without a unit takes the first that is told.
	commit(t, c, f("L1_a", "", 1))
	commit(t, c, f("L1_b", "m3/h", 2))
	commit(t, c, f("L1_c", "", 3))
	other := f("L1_d", "l/s", 4)
	outcomes := commit(t, c, f("L1_e", "m3/h", 5), other, f("L2_a", "l/s", 1))
	if diff := cmp.Diff([]string{"loaded", "held", "loaded"}, states(outcomes)); diff != "" {
		t.Fatal(diff)
	}
	for _, word := range []string{`"flow"`, `"L1"`, `"l/s"`, `"m3/h"`, "penstock files retry"} {
		if !strings.Contains(outcomes[1].Reason, word) {
			t.Errorf("the question is %q, want it to name %s", outcomes[1].Reason, word)
		}
	}
	if outcomes[1].Receipt != (ingest.Receipt{}) || outcomes[1].Rejects != 0 {
		t.Errorf("a held file is not read until it is answered, and its receipt is %+v", outcomes[1].Receipt)
	}
	if o := commit(t, c, other)[0]; o.State != ingest.Known || o.Standing != ingest.Held {
		t.Errorf("a held file is %+v when it is listed again", o)
	}
	if diff := cmp.Diff([]string{"L1|flow|m3/h", "L2|flow|l/s"}, query(t, s, "select logger, channel, unit from series order by 1")); diff != "" {
		t.Error(diff)
	}
	verify(t, s)

	// Mended, it is taken up again.
	markDue(t, s, Selection{States: []ingest.State{ingest.Held}})
	mended := other
	mended.content, mended.unit = other.bytes(), "m3/h"
	if o := commit(t, c, mended)[0]; o.State != ingest.Loaded || o.Generation != 1 || o.Reason != "" {
		t.Errorf("the mended file is %+v", o)
	}
	if got := query(t, s, "select count(*), count(reason) from files where state = 'loaded'"); got[0] != "6|0" {
		t.Errorf("loaded files and reasons are %s, want 6|0", got[0])
	}
	verify(t, s)
}

// Another process gave the series its unit, or its first reading, meanwhile:
// what a committer remembers of it must not hide that.
func TestUnitThatAnotherProcessSet(t *testing.T) {
	s := open(t, Options{})
	mine, others := committerOf(t, sinkOf(t, s, SinkOptions{})), committerOf(t, sinkOf(t, s, SinkOptions{}))
	b := &ingest.Batch{} // one batch, as a worker keeps it
	round := func(c ingest.Committer, f testFile) ingest.State {
		t.Helper()
		b.Reset()
		outcomes, err := c.Commit(t.Context(), fill(b, f))
		if err != nil {
			t.Fatal(err)
		}
		return outcomes[0].State
	}
	file := func(path, unit string, at int64) testFile {
		return testFile{path: path, modified: begin, unit: unit, readings: []testReading{{"flow", at, 1, ""}}}
	}
	if got := round(mine, file("L1_a", "", 1)); got != ingest.Loaded {
		t.Errorf("without a unit: %s", got)
	}
	if got := commit(t, others, file("L1_b", "m3/h", 2))[0].State; got != ingest.Loaded {
		t.Errorf("with the first unit, from another process: %s", got)
	}
	if got := round(mine, file("L1_c", "l/s", 3)); got != ingest.Held {
		t.Errorf("with another unit: %s, want held", got)
	}
	if got := round(mine, file("L1_d", "m3/h", 4)); got != ingest.Loaded {
		t.Errorf("with the same unit: %s", got)
	}
	verify(t, s)
}

// Within one file and within one chunk, too, a series has one unit.
func TestUnitsWithinOneChunk(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	b := fill(&ingest.Batch{}, testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}}},
		testFile{path: "L2_a", modified: begin, unit: "m", readings: []testReading{{"level", 1, 1, ""}}},
		testFile{path: "L2_b", modified: begin, unit: "cm", readings: []testReading{{"level", 2, 1, ""}}})
	b.Series[0] = b.SeriesOf([]byte("L1"), []byte("flow"), []byte("m3/h"), nil)
	b.Series[1] = b.SeriesOf([]byte("L1"), []byte("flow"), []byte("l/s"), nil)
	outcomes, err := c.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].State != ingest.Held {
		t.Errorf("a file with a channel in two units is %s", outcomes[0].State)
	}
	if reason := outcomes[0].Reason; !strings.Contains(reason, `in "l/s" and in "m3/h"`) {
		t.Errorf("the question about it is %q, want both units", reason)
	}
	// Held, it makes no series that another file would be measured by.
	if got := query(t, s, "select count(*) from series where logger = 'L1'"); got[0] != "0" {
		t.Errorf("it left %s series", got[0])
	}
	if got := states(outcomes[1:]); !strings.Contains(strings.Join(got, " "), "held") || !strings.Contains(strings.Join(got, " "), "loaded") {
		t.Errorf("two files with a channel in two units are %v, want one held", got)
	}
	verify(t, s)
}

// Of a series that is there, too, and then no other name of the channel is
// offered: it would have both units.
func TestTwoUnitsOfKnownSeries(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	commit(t, c, testFile{path: "L1_a", modified: begin, unit: "m3/h", readings: []testReading{{"flow", 1, 1, ""}}})
	b := fill(&ingest.Batch{}, testFile{path: "L1_b", modified: begin, readings: []testReading{{"flow", 2, 1, ""}, {"flow", 3, 1, ""}}})
	b.Series[0] = b.SeriesOf([]byte("L1"), []byte("flow"), []byte("m3/h"), nil)
	b.Series[1] = b.SeriesOf([]byte("L1"), []byte("flow"), []byte("l/s"), nil)
	b.Spans[0].Kind = &ingest.Shape{ID: "0123456789ab", Profile: "name: p"}
	outcomes, err := c.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if o := outcomes[0]; o.State != ingest.Held || !strings.Contains(o.Reason, "the file holds channel") {
		t.Errorf("it is %s: %s", o.State, o.Reason)
	}
	shapes, err := s.Pending(t.Context())
	if err != nil || len(shapes) != 1 || shapes[0].Answerable() {
		t.Errorf("what is asked is %+v, %v; want one question that nothing answers", shapes, err)
	}
	verify(t, s)
}

// A series that is new, with a unit and without one in the same chunk, is of
// that unit.
func TestNewSeriesWithAndWithoutUnit(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	without := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	with := testFile{path: "L1_b", modified: begin, unit: "l/s", readings: []testReading{{"flow", 2, 1, ""}}}
	if diff := cmp.Diff([]string{"loaded", "loaded"}, states(commit(t, c, without, with))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"L1|flow|l/s"}, query(t, s, "select logger, channel, unit from series")); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// Under error the first to arrive stands, and who contradicts it is
// quarantined with what both say.
func TestPolicyError(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{Policy: Error}))
	first := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1.5, ""}, {"level", 2, 7, "good"}}}
	agrees := testFile{path: "L1_b", modified: begin + 1, readings: []testReading{{"flow", 1, 1.5, ""}, {"flow", 9, 9, ""}}}
	contradicts := testFile{path: "L1_c", modified: begin + 2, readings: []testReading{{"level", 3, 1, ""}, {"flow", 1, 2.5, ""}, {"level", 2, 8, "good"}}}
	quality := testFile{path: "L1_d", modified: begin + 2, readings: []testReading{{"level", 2, 7, "bad"}}}
	copied := testFile{path: "L1_e", modified: begin + 2, readings: first.readings}
	commit(t, c, first)
	outcomes := commit(t, c, agrees, contradicts, quality, copied)
	if diff := cmp.Diff([]string{"loaded", "quarantined", "quarantined", "duplicate"}, states(outcomes)); diff != "" {
		t.Fatal(diff)
	}
	for _, word := range []string{`"L1"`, `"flow"`, "2023-11-14 22:13:21", "2.5", "1.5", "L1_a", "2 of"} {
		if !strings.Contains(outcomes[1].Reason, word) {
			t.Errorf("the reason is %q, want it to name %s", outcomes[1].Reason, word)
		}
	}
	if got, want := outcomes[0].Receipt.Cells, (ingest.Cells{Total: 2, Stored: 1, Unchanged: 1}); got != want {
		t.Errorf("a file that agrees has %+v, want %+v", got, want)
	}
	if got, want := outcomes[1].Receipt.Cells, (ingest.Cells{Total: 3, Rejected: 3}); got != want {
		t.Errorf("a quarantined file has %+v, want %+v", got, want)
	}
	verify(t, s)

	// Two of one chunk that contradict each other: one stands, one does not.
	pair := commit(t, c, testFile{path: "L2_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}},
		testFile{path: "L2_b", modified: begin, readings: []testReading{{"flow", 1, 2, ""}, {"flow", 2, 2, ""}}},
		testFile{path: "L2_c", modified: begin, readings: []testReading{{"flow", 3, 1, ""}}})
	if diff := cmp.Diff([]string{"loaded", "quarantined", "loaded"}, states(pair)); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(pair[1].Reason, "L2_a") {
		t.Errorf("the reason does not name the other file: %q", pair[1].Reason)
	}
	// A contradiction within one file is none: the last line counts.
	if o := commit(t, c, testFile{path: "L3_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 1, 2, ""}}})[0]; o.State != ingest.Loaded {
		t.Errorf("a file that contradicts itself is %s: %s", o.State, o.Reason)
	}
	verify(t, s)
}

// An old archive, unpacked today and replayed with a lesser rank, fills gaps
// and displaces nothing, in whichever order.
func TestBackfillDisplacesNothing(t *testing.T) {
	live := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}}}
	archived := testFile{path: "archive/L1_old", modified: begin + 9e6, readings: []testReading{{"flow", 2, 9, ""}, {"flow", 3, 9, ""}}}
	for _, archiveFirst := range []bool{false, true} {
		s := open(t, Options{})
		loads := []func(){
			func() { commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), live) },
			func() {
				b := fill(&ingest.Batch{}, archived)
				for i := range b.Keys {
					b.Keys[i].Logger = "L1"
				}
				if _, err := committerOf(t, sinkOf(t, s, SinkOptions{Source: "archive", Rank: -1})).Commit(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			},
		}
		if archiveFirst {
			slices.Reverse(loads)
		}
		for _, load := range loads {
			load()
		}
		want := []string{"L1|flow|1|1|<nil>|L1_a", "L1|flow|2|1|<nil>|L1_a", "L1|flow|3|9|<nil>|archive/L1_old"}
		if diff := cmp.Diff(want, query(t, s, observationsSQL)); diff != "" {
			t.Errorf("archive first: %v: %s", archiveFirst, diff)
		}
		verify(t, s)
	}
}

// The time in a file's name is its rank, and a generation never ranks below
// the one before it.
func TestRankTimes(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	named := func(nameTime int64, files ...testFile) {
		t.Helper()
		b := fill(&ingest.Batch{}, files...)
		for i := range b.Spans {
			b.Spans[i].NameTime = nameTime * 1e6
		}
		if _, err := c.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	files := []testFile{{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}},
		{path: "L1_b", modified: begin + 500, readings: []testReading{{"flow", 1, 2, ""}, {"flow", 2, 2, ""}}},
		{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 3, ""}}}}
	named(begin+100, files[0])
	named(begin+50, files[1])
	// The next generation is dated before the first, and still is the later.
	named(begin+10, files[2])
	want := []string{"L1_a|1|100", "L1_a|2|100", "L1_b|1|50"}
	if diff := cmp.Diff(want, query(t, s, "select path, generation, extract(epoch from rank_time)::int8 - 1700000000 from files order by 1, 2")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"L1|flow|1|3|<nil>|L1_a", "L1|flow|2|2|<nil>|L1_b"}, query(t, s, observationsSQL)); diff != "" {
		t.Error(diff)
	}
	// Neither does one that is reloaded.
	_, err := s.Correct(t.Context(), Correction{Reload: true, Files: selected(t, s, Selection{Pattern: "L1_a", Newest: true}),
		Read: func(ctx context.Context, v FileVersion, again bool, b *ingest.Batch) error {
			err := bytesOf(files)(ctx, v, again, b)
			b.Spans[len(b.Spans)-1].NameTime = (begin + 20) * 1e6
			return err
		}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, query(t, s, "select path, generation, extract(epoch from rank_time)::int8 - 1700000000 from files order by 1, 2")); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// A first generation whose name dates it before 1970 keeps that rank when it is
// taken up again, or loaded again.
func TestRankTimeBefore1970(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	const named = int64(-400_000_000)
	f := testFile{path: "L1_1957", modified: begin, broken: "not a CSV", content: "bytes"}
	fill1957 := func(b *ingest.Batch) *ingest.Batch {
		fill(b, f)
		b.Spans[len(b.Spans)-1].NameTime = named * 1e6
		return b
	}
	load := func() {
		t.Helper()
		if _, err := c.Commit(t.Context(), fill1957(&ingest.Batch{})); err != nil {
			t.Fatal(err)
		}
		if got, want := query(t, s, "select extract(epoch from rank_time)::int8 from files"), fmt.Sprint(named); len(got) != 1 || got[0] != want {
			t.Errorf("its rank time is %v, want %s", got, want)
		}
	}
	load()
	markDue(t, s, Selection{})
	f.broken, f.readings = "", []testReading{{"flow", 1, 1, ""}}
	load()
	_, err := s.Correct(t.Context(), Correction{Reload: true, Files: selected(t, s, Selection{}),
		Read: func(_ context.Context, _ FileVersion, _ bool, b *ingest.Batch) error {
			fill1957(b)
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	load()
}

// Under error, files that would contradict each other are not loaded again
// together: which one stands would be nobody's choice.
func TestPolicyErrorReload(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{Policy: Error}))
	files := []testFile{{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}},
		{path: "L1_b", modified: begin, readings: []testReading{{"flow", 2, 2, ""}}}}
	commit(t, c, files...)
	_, err := s.Correct(t.Context(), Correction{Reload: true, Files: selected(t, s, Selection{}), Read: reader(files, nil, func(f testFile) testFile {
		f.readings = []testReading{{"flow", 3, f.readings[0].value, ""}}
		return f
	})})
	if err == nil || !strings.Contains(err.Error(), "contradict") {
		t.Errorf("the error is %v, want one about a contradiction", err)
	}
	if diff := cmp.Diff([]string{"L1|flow|1|1|<nil>|L1_a", "L1|flow|2|2|<nil>|L1_b"}, query(t, s, observationsSQL)); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// Copies are duplicates in whichever order they come; the same bytes of two
// loggers are two files; a copy takes the place of an original that is undone.
func TestDuplicates(t *testing.T) {
	night := []testReading{{"flow", 1, 0, ""}, {"flow", 2, 0, ""}}
	one := testFile{path: "L1_a", modified: begin, readings: night}
	copied := testFile{path: "L1_b", modified: begin + 1, readings: night}
	twin := testFile{path: "L2_a", modified: begin, readings: night}
	for _, order := range [][]testFile{{one, copied, twin}, {copied, twin, one}} {
		for _, chunk := range []int{1, 3} {
			s := open(t, Options{})
			c := committerOf(t, sinkOf(t, s, SinkOptions{}))
			for files := range slices.Chunk(order, chunk) {
				commit(t, c, files...)
			}
			want := []string{"L1_a|duplicate|0", "L1_b|loaded|2", "L2_a|loaded|2"}
			statesSQL := "select path, state::text, (select count(*) from readings where file_id = id) from files order by 1"
			if diff := cmp.Diff(want, query(t, s, statesSQL)); diff != "" {
				t.Error(diff)
			}
			undo(t, s, Selection{Pattern: "L1_b"}, order)
			commit(t, c, order...)
			want = []string{"L1_a|loaded|2", "L1_b|undone|0", "L2_a|loaded|2"}
			if diff := cmp.Diff(want, query(t, s, statesSQL)); diff != "" {
				t.Errorf("after undo: %s", diff)
			}
			verify(t, s)
		}
	}
}

// A path that is in a chunk twice is claimed once.
func TestPathTwiceInOneChunk(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	a := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	b := testFile{path: "L1_a", modified: begin + 1, readings: []testReading{{"flow", 1, 2, ""}}}
	for _, chunk := range [][]testFile{{a, a}, {b, a, b}} {
		commit(t, c, chunk...)
		verify(t, s)
	}
	if diff := cmp.Diff([]string{"L1|flow|1|2|<nil>|L1_a"}, query(t, s, observationsSQL)); diff != "" {
		t.Error(diff)
	}
}

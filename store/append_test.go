package store

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// A path's newest generation is the one that stands, whatever became of those
// before it.
func TestAppendReplacesGenerationsAcrossGaps(t *testing.T) {
	one := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}}}
	broken := testFile{path: "L1_a", modified: begin + 1, content: "broken", broken: "not a CSV"}
	mended := testFile{path: "L1_a", modified: begin + 1, content: "broken", readings: []testReading{{"flow", 2, 2, ""}}}
	three := testFile{path: "L1_a", modified: begin + 2, readings: []testReading{{"flow", 3, 3, ""}}}

	t.Run("quarantined between", func(t *testing.T) {
		s := open(t, Options{Append: true})
		c := committerOf(t, sinkOf(t, s, SinkOptions{}))
		for _, f := range []testFile{one, broken, three} {
			commit(t, c, f)
		}
		if diff := cmp.Diff([]string{"L1|flow|3|3|<nil>|L1_a"}, query(t, s, observationsSQL)); diff != "" {
			t.Error(diff)
		}
		verify(t, s)
	})
	t.Run("quarantined, then mended and retried", func(t *testing.T) {
		s := open(t, Options{Append: true})
		c := committerOf(t, sinkOf(t, s, SinkOptions{}))
		commit(t, c, one)
		commit(t, c, broken)
		markDue(t, s, Selection{States: []ingest.State{ingest.Quarantined}})
		commit(t, c, mended)
		if diff := cmp.Diff([]string{"L1|flow|2|2|<nil>|L1_a"}, query(t, s, observationsSQL)); diff != "" {
			t.Error(diff)
		}
		verify(t, s)
	})
	t.Run("undone between", func(t *testing.T) {
		s := open(t, Options{Append: true})
		c := committerOf(t, sinkOf(t, s, SinkOptions{}))
		commit(t, c, one)
		commit(t, c, mended)
		undo(t, s, Selection{IDs: []int64{2}}, []testFile{one, mended})
		if diff := cmp.Diff([]string{"L1|flow|1|1|<nil>|L1_a", "L1|flow|2|1|<nil>|L1_a"}, query(t, s, observationsSQL)); diff != "" {
			t.Errorf("after undo: %s", diff)
		}
		commit(t, c, three)
		if diff := cmp.Diff([]string{"L1|flow|3|3|<nil>|L1_a"}, query(t, s, observationsSQL)); diff != "" {
			t.Errorf("after a third generation: %s", diff)
		}
		verify(t, s)
	})
}

// A copy of a generation that has been succeeded is loaded for itself: nobody
// else holds its readings any more.
func TestAppendCopyOfSucceededGeneration(t *testing.T) {
	s := open(t, Options{Append: true})
	for _, policy := range []Policy{Latest, Earliest, Error} {
		c := committerOf(t, sinkOf(t, s, SinkOptions{Policy: policy}))
		for _, modified := range []int64{begin - 9, begin + 9} {
			for i := range 3 {
				logger := fmt.Sprintf("%s%d.%d", policy, modified-begin, i)
				original := testFile{path: logger + "_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
				copied := testFile{path: logger + "_b", modified: modified, readings: original.readings}
				next := testFile{path: logger + "_a", modified: begin + 1, readings: []testReading{{"flow", 5, 5, ""}}}
				for _, f := range [][]testFile{{original, next, copied}, {original, copied, next}, {copied, original, next}}[i] {
					commit(t, c, f)
				}
				commit(t, c, copied) // the next listing: it is due where it was a duplicate
				want := []string{"1|1|" + copied.path, "5|5|" + next.path}
				got := query(t, s, "select extract(epoch from ts)::int8 - 1700000000, value, path from observations where logger = '"+logger+"' order by 1")
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: %s", logger, diff)
				}
			}
		}
	}
	verify(t, s)
}

func TestAppendContentComesBackUnderEveryPolicy(t *testing.T) {
	for _, policy := range []Policy{Latest, Earliest, Error} {
		t.Run(string(policy), func(t *testing.T) {
			s := open(t, Options{Append: true})
			c := committerOf(t, sinkOf(t, s, SinkOptions{Policy: policy}))
			a := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
			b := testFile{path: "L1_a", modified: begin + 1, readings: []testReading{{"flow", 2, 2, ""}}}
			for _, f := range []testFile{a, b, a, b, a} {
				commit(t, c, f)
			}
			if diff := cmp.Diff([]string{"L1|flow|1|1|<nil>|L1_a"}, query(t, s, observationsSQL)); diff != "" {
				t.Error(diff)
			}
			verify(t, s)
		})
	}
}

// In append mode no file is held against another, whichever chunk they are in.
func TestAppendKeepsContradictions(t *testing.T) {
	s := open(t, Options{Append: true})
	a := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 1, 2, ""}, {"flow", 3, 3, ""}}}
	b := testFile{path: "L1_b", modified: begin + 1, readings: []testReading{{"flow", 1, 5, ""}, {"flow", 3, 3, ""}}}
	commit(t, committerOf(t, sinkOf(t, s, SinkOptions{Policy: Error})), a, b)
	want := []string{"L1|flow|1|2|<nil>|L1_a", "L1|flow|1|5|<nil>|L1_b", "L1|flow|3|3|<nil>|L1_a", "L1|flow|3|3|<nil>|L1_b"}
	if diff := cmp.Diff(want, query(t, s, observationsSQL)); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// Reloading, in append mode, neither doubles readings nor brings back those of
// a generation that has been succeeded.
func TestAppendReload(t *testing.T) {
	s := open(t, Options{Append: true})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	one := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}}}
	two := testFile{path: "L1_a", modified: begin + 1, readings: []testReading{{"flow", 2, 2, ""}}}
	other := testFile{path: "L1_b", modified: begin + 1, readings: []testReading{{"flow", 2, 7, ""}}}
	copied := testFile{path: "L1_c", modified: begin + 8, readings: two.readings}
	for _, f := range []testFile{one, two, other, copied} {
		commit(t, c, f)
	}
	stood := query(t, s, observationsSQL)
	files := map[int64]testFile{1: one, 2: two, 3: other, 4: copied}
	for range 2 {
		_, err := s.Correct(t.Context(), Correction{Reload: true, Files: selected(t, s, Selection{}),
			Read: func(_ context.Context, v FileVersion, _ bool, b *ingest.Batch) error {
				fill(b, files[v.ID])
				return nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(stood, query(t, s, observationsSQL)); diff != "" {
			t.Error(diff)
		}
		verify(t, s)
	}
}

// markDue marks what is selected as due.
func markDue(t testing.TB, s *Store, sel Selection) {
	t.Helper()
	if n, err := s.MarkDue(t.Context(), selected(t, s, sel), Action{Command: "files retry"}); err != nil || n == 0 {
		t.Fatalf("marked %d files due: %v", n, err)
	}
}

// undo takes out what is selected; files are those whose bytes are there.
func undo(t testing.TB, s *Store, sel Selection, files []testFile) *Corrected {
	t.Helper()
	done, err := s.Correct(t.Context(), Correction{Files: selected(t, s, sel), Read: bytesOf(files)})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// bytesOf gives a correction those of the files that have the path and the
// content of the version in question.
func bytesOf(files []testFile) func(context.Context, FileVersion, bool, *ingest.Batch) error {
	return func(_ context.Context, v FileVersion, _ bool, b *ingest.Batch) error {
		for _, f := range files {
			fill(b, f)
			if v.Path == f.path && b.Spans[len(b.Spans)-1].Sum == v.Sum {
				return nil
			}
			b.Drop()
		}
		return ErrBytesGone
	}
}

// A file that was new when it was listed, and that another process has loaded and
// carried on by the time it is committed, is no first version beside that one: no
// key of the readings would tell.
func TestAppendNewFileCarriedOnByAnother(t *testing.T) {
	s := open(t, Options{Append: true})
	slow, fast := sinkOf(t, s, SinkOptions{}), sinkOf(t, s, SinkOptions{})
	readings := []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}, {"flow", 3, 3, ""}}
	first, then := grownFile("L1_a", begin, readings[:2]), grownFile("L1_a", begin+1, readings)
	c := committerOf(t, fast)
	b := fill(&ingest.Batch{}, first)
	b.Spans[0].Growth = growthOf(t, first)
	if _, err := c.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	b = &ingest.Batch{}
	fillGained(t, b, then, growthOf(t, first))
	b.Spans[0].Fetched++
	if outcomes, err := c.Commit(t.Context(), b); err != nil || outcomes[0].State != ingest.Loaded {
		t.Fatal(outcomes, err)
	}
	first.isNew = true
	commit(t, committerOf(t, slow), first)
	want := []string{"L1|flow|1|1|<nil>|L1_a", "L1|flow|2|2|<nil>|L1_a", "L1|flow|3|3|<nil>|L1_a"}
	if diff := cmp.Diff(want, query(t, s, observationsSQL)); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// A unique index that somebody made in append mode refuses files as any constraint
// does: they are quarantined, and others are loaded.
func TestAppendUnderAUniqueIndex(t *testing.T) {
	s := open(t, Options{Append: true})
	if _, err := s.pool.Exec(t.Context(), "create unique index mine on readings (series_id, ts)"); err != nil {
		t.Fatal(err)
	}
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	first := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}}}
	meets := testFile{path: "L1_b", modified: begin + 1, readings: []testReading{{"flow", 2, 2, ""}, {"flow", 3, 2, ""}}}
	beside := testFile{path: "L2_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	commit(t, c, first)
	o := commit(t, c, meets, beside)
	if diff := cmp.Diff([]string{"quarantined", "loaded"}, states(o)); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(o[0].Reason, "mine") {
		t.Errorf("the reason is %q", o[0].Reason)
	}
	if got, want := observed(t, s), "L1_a flow1=1, L1_a flow2=1, L2_a flow1=1"; got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
	verify(t, s)
}

// A policy that append mode has no use for is not passed over in silence.
func TestAppendTellsOfAPolicy(t *testing.T) {
	s := open(t, Options{Append: true})
	for _, policy := range []Policy{Latest, Earliest, Error} {
		log := new(strings.Builder)
		sinkOf(t, s, SinkOptions{Policy: policy, Log: slog.New(slog.NewTextHandler(log, nil))})
		if told := strings.Contains(log.String(), "no two readings meet there"); told != (policy != Latest) {
			t.Errorf("%s: it logs %q", policy, log)
		}
	}
}

package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// hourFiles are the eight files of one reading each that a logger writes in an
// hour that its clock shows twice: two of each wall time, of which the first two
// are equal, byte for byte.
func hourFiles(logger string) (files []testFile) {
	for pass := range 2 {
		for quarter := range 4 {
			n := pass*4 + quarter
			value := float64(n)
			if quarter == 0 {
				value = 7
			}
			files = append(files, testFile{path: fmt.Sprintf("%s_%d", logger, n), modified: begin + int64(900*n), passes: passesOpen,
				readings: []testReading{{"flow", int64(900 * quarter), value, ""}}, isNew: n%2 == 0})
		}
	}
	return files
}

// hourSQL is what stands of a logger, without who it is.
const hourSQL = `select (extract(epoch from ts)::int8 - 1700000000) / 900, value from observations where logger = '%s' order by 1`

// In every order, by any number of workers and in any chunks, the eight readings
// are eight, one of each wall time in each pass; and loading them again changes
// nothing.
func TestPassesByArrival(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			s := open(t, Options{Append: appendMode})
			random := rand.New(rand.NewPCG(5, 6))
			sinks := []*Sink{sinkOf(t, s, SinkOptions{}), sinkOf(t, s, SinkOptions{})}
			var all []testFile
			for trial := range 48 {
				logger := fmt.Sprintf("H%d", trial)
				files := hourFiles(logger)
				all = append(all, files...)
				if trial > 0 { // the first is in order
					random.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
				}
				commitAll(t, sinks, files, 1+trial%4, []int{1, 1, 2, 3, 8}[trial%5])
				got := query(t, s, fmt.Sprintf(hourSQL, logger))
				if len(got) != 8 {
					t.Fatalf("trial %d: %d readings are left: %q", trial, len(got), got)
				}
				for quarter := range 4 {
					values := []string{strings.Split(got[quarter], "|")[1], strings.Split(got[quarter+4], "|")[1]}
					slices.Sort(values)
					want := []string{fmt.Sprint(quarter), fmt.Sprint(quarter + 4)}
					if quarter == 0 {
						want = []string{"7", "7"}
					}
					if !slices.Equal(values, want) || !strings.HasPrefix(got[quarter], fmt.Sprint(quarter)) {
						t.Fatalf("trial %d, quarter %d: %q of %q", trial, quarter, values, got)
					}
				}
			}
			if diff := cmp.Diff([]string{"0|7", "1|1", "2|2", "3|3", "4|7", "5|5", "6|6", "7|7"}, query(t, s, fmt.Sprintf(hourSQL, "H0"))); diff != "" {
				t.Errorf("in order:\n%s", diff)
			}
			verify(t, s)
			want := query(t, s, observationsSQL)
			for _, pattern := range []string{"H*", "H1*_3"} {
				done, err := s.Correct(t.Context(), Correction{Reload: true, Files: selected(t, s, Selection{Pattern: pattern}), Read: reader(all, nil, nil)})
				if err != nil || len(done.Outcomes) == 0 {
					t.Fatalf("%+v, %v", done, err)
				}
				if diff := cmp.Diff(want, query(t, s, observationsSQL)); diff != "" {
					t.Errorf("after a reload of %s:\n%s", pattern, diff)
				}
			}
			// Undone, and taken up again by others in another order.
			undo(t, s, Selection{Pattern: "H1*"}, all)
			markDue(t, s, Selection{Pattern: "H1*"})
			due := slices.DeleteFunc(slices.Clone(all), func(f testFile) bool { return !strings.HasPrefix(f.path, "H1") })
			random.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
			commitAll(t, sinks, due, 4, 3)
			if diff := cmp.Diff(want, query(t, s, observationsSQL)); diff != "" {
				t.Errorf("after an undo and a retry:\n%s", diff)
			}
			verify(t, s)
		})
	}
}

// A later generation of a path stays in the pass of the one before.
func TestPassOfALaterGeneration(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	file := func(path string, value float64) testFile {
		return testFile{path: path, modified: begin, passes: passesOpen, readings: []testReading{{"flow", 0, value, ""}}}
	}
	for _, f := range []testFile{file("L1_a", 1), file("L1_b", 2), file("L1_a", 3), file("L1_b", 4), file("L1_a", 1)} {
		if o := commit(t, c, f); o[0].State != ingest.Loaded && o[0].State != ingest.Duplicate {
			t.Fatalf("%+v", o)
		}
	}
	if diff := cmp.Diff([]string{"0|1", "4|4"}, query(t, s, fmt.Sprintf(hourSQL, "L1"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"L1_a|1|1", "L1_a|2|1", "L1_a|3|1", "L1_b|1|2", "L1_b|2|2"},
		query(t, s, "select path, generation, pass from files join passes on id = file_id order by 1, 2")); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// Files that tell their passes, and such that do not, at the same moment: what
// the former hold is never taken for the other pass's.
func TestPassesBesideThoseThatTell(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	one, two := committerOf(t, sink), committerOf(t, sink)
	for round := range 30 {
		logger := fmt.Sprintf("P%d", round)
		tells := testFile{path: logger + "_first", modified: begin, passes: passesTold, isNew: true,
			readings: []testReading{{"flow", -900, 0, ""}, {"flow", 0, 1, ""}, {"flow", 900, 1, ""}}}
		silent := testFile{path: logger + "_second", modified: begin + 3600, passes: passesOpen, isNew: true, readings: []testReading{{"flow", 0, 2, ""}}}
		put := func(c ingest.Committer, f testFile) func() {
			return func() {
				if _, err := c.Commit(t.Context(), fill(&ingest.Batch{}, f)); err != nil {
					t.Error(err)
				}
			}
		}
		if round%3 == 0 { // in one chunk
			commit(t, one, silent, tells)
		} else {
			put(one, tells)()
			put(two, silent)()
		}
		want := []string{"-1|0", "0|1", "1|1", "4|2"}
		if diff := cmp.Diff(want, query(t, s, fmt.Sprintf(hourSQL, logger))); diff != "" {
			t.Errorf("round %d:\n%s", round, diff)
		}
	}
	// At the same moment there is no telling who is first, but neither is lost in the other.
	var calls []func()
	for i, c := range []ingest.Committer{one, two} {
		calls = append(calls, func() {
			for round := range 20 {
				f := testFile{path: fmt.Sprintf("Q%d_%d", round, i), modified: begin + int64(i), passes: passesOpen, isNew: true, readings: []testReading{{"flow", 0, 5, ""}}}
				if _, err := c.Commit(t.Context(), fill(&ingest.Batch{}, f)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	together(calls...)
	if got := query(t, s, "select count(*) from observations where logger like 'Q%'"); got[0] != "40" {
		t.Errorf("%s readings of 40 are left", got[0])
	}
	verify(t, s)
}

// A correction puts back what it uncovers in the pass where it was.
func TestRestoreInItsPass(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	first := testFile{path: "L1_a", modified: begin, passes: passesOpen, readings: []testReading{{"flow", 0, 1, ""}}}
	second := testFile{path: "L1_b", modified: begin + 1, passes: passesOpen, readings: []testReading{{"flow", 0, 2, ""}}}
	over := testFile{path: "L1_c", modified: begin + 2, readings: []testReading{{"flow", 3600, 3, ""}}}
	for _, f := range []testFile{first, second, over} {
		commit(t, c, f)
	}
	undo(t, s, Selection{Pattern: "L1_c"}, []testFile{first, second, over})
	if diff := cmp.Diff([]string{"0|1", "4|2"}, query(t, s, fmt.Sprintf(hourSQL, "L1"))); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

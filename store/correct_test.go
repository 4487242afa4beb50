package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// reader gives a correction the bytes of test files by their paths, but for
// those that are gone. What is loaded again is passed through mend.
func reader(files []testFile, gone map[string]bool, mend func(testFile) testFile) func(context.Context, FileVersion, bool, *ingest.Batch) error {
	byPath := make(map[string]testFile)
	for _, f := range files {
		byPath[f.path] = f
	}
	return func(_ context.Context, v FileVersion, again bool, b *ingest.Batch) error {
		f, ok := byPath[v.Path]
		if !ok || gone[v.Path] {
			return ErrBytesGone
		}
		f.content = f.bytes() // what is hashed does not change with the recipe
		if again && mend != nil {
			f = mend(f)
		}
		fill(b, f)
		return nil
	}
}

func selected(t testing.TB, s *Store, sel Selection) []FileVersion {
	t.Helper()
	var files []FileVersion
	for v, err := range s.Files(t.Context(), sel) {
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, v)
	}
	return files
}

const observationsSQL = `select logger, channel, extract(epoch from ts)::int8 - 1700000000, value, quality, path from observations order by 1, 2, 3, 6`

// Taking files out leaves what loading the others alone would have left, and
// taking them up again brings back what stood.
func TestUndoAndRetry(t *testing.T) {
	for _, policy := range []Policy{Latest, Earliest} {
		t.Run(string(policy), func(t *testing.T) {
			random := rand.New(rand.NewPCG(3, 4))
			files := contradictingFiles(random, 80)
			s := open(t, Options{})
			sink := sinkOf(t, s, SinkOptions{Policy: policy})
			commitAll(t, []*Sink{sink}, files, 2, 9)
			before := contents(t, s)

			out := make(map[string]bool)
			for _, f := range files {
				if random.IntN(4) == 0 {
					out[f.path] = true
				}
			}
			var ids []int64
			for _, v := range selected(t, s, Selection{}) {
				if out[v.Path] {
					ids = append(ids, v.ID)
				}
			}
			done, err := s.Correct(t.Context(), Correction{Files: selected(t, s, Selection{IDs: ids}), Read: reader(files, nil, nil)})
			if err != nil {
				t.Fatal(err)
			}
			if done.Undone != len(ids) {
				t.Errorf("%d files undone, want %d", done.Undone, len(ids))
			}
			verify(t, s)

			// Duplicates of what was undone are due: the next listing takes them.
			c := committerOf(t, sink)
			commit(t, c, files...)
			rest := slices.DeleteFunc(slices.Clone(files), func(f testFile) bool { return out[f.path] })
			clean := open(t, Options{})
			commitAll(t, []*Sink{sinkOf(t, clean, SinkOptions{Policy: policy})}, rest, 1, 1)
			if diff := cmp.Diff(query(t, clean, observationsSQL), query(t, s, observationsSQL)); diff != "" {
				t.Fatalf("after undo (-without the files +here):\n%s", diff)
			}
			verify(t, s)

			n, err := s.MarkDue(t.Context(), selected(t, s, Selection{IDs: ids}), Action{Command: "files retry"})
			if err != nil || n != int64(len(ids)) {
				t.Fatalf("marked %d files due, want %d: %v", n, len(ids), err)
			}
			commit(t, c, files...)
			if diff := cmp.Diff(before, contents(t, s)); diff != "" {
				t.Fatalf("after retry (-before the undo +now):\n%s", diff)
			}
			verify(t, s)
		})
	}
}

func TestUndoRefusesWhereBytesAreGone(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	older := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}}}
	newer := testFile{path: "L1_b", modified: begin + 9, readings: []testReading{{"flow", 2, 2, ""}, {"flow", 3, 2, ""}}}
	commitAll(t, []*Sink{sink}, []testFile{older, newer}, 1, 1)
	stood := query(t, s, observationsSQL)
	what := Correction{Files: selected(t, s, Selection{Pattern: "L1_b"}), Read: reader([]testFile{older, newer}, map[string]bool{"L1_a": true}, nil)}
	done, err := s.Correct(t.Context(), what)
	if !errors.Is(err, ErrBytesGone) || len(done.Gone) != 1 || done.Gone[0].Path != "L1_a" {
		t.Fatalf("undo without the bytes of a file it overlaps: %v, %+v", err, done)
	}
	if diff := cmp.Diff(stood, query(t, s, observationsSQL)); diff != "" {
		t.Errorf("a refused undo changed the readings:\n%s", diff)
	}
	what.Force = true
	if _, err = s.Correct(t.Context(), what); err != nil {
		t.Fatal(err)
	}
	want := []string{"L1|flow|1|1|<nil>|L1_a"}
	if diff := cmp.Diff(want, query(t, s, observationsSQL)); diff != "" {
		t.Errorf("after a forced undo:\n%s", diff)
	}
	verify(t, s)
}

// A year loaded in the wrong zone, loaded again an hour earlier, collides with
// its own neighbours unless all of it moves at once.
func TestReloadMovesAllAtOnce(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			const hour = 4
			var files []testFile
			for i := range 10 {
				f := testFile{path: fmt.Sprintf("L1_%d", i), modified: begin + int64(i)}
				for j := range int64(hour) {
					f.readings = append(f.readings, testReading{"flow", int64(i)*hour + j, float64(int64(i)*hour + j), ""})
				}
				files = append(files, f)
			}
			earlier := func(f testFile) testFile {
				f.readings = slices.Clone(f.readings)
				for i := range f.readings {
					f.readings[i].time -= hour
				}
				return f
			}
			s := open(t, Options{Append: appendMode})
			commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, files, 1, 3)
			stood := query(t, s, observationsSQL)
			what := Correction{Reload: true, DryRun: true, Files: selected(t, s, Selection{}), Read: reader(files, nil, earlier),
				Action: Action{Command: "files reload", Reason: "the zone was wrong"}}
			changes := 0
			what.Change = func(Change) error { changes++; return nil }
			if _, err := s.Correct(t.Context(), what); err != nil {
				t.Fatal(err)
			}
			if want := 10*hour + hour; changes != want {
				t.Errorf("a dry run tells %d changes, want %d", changes, want)
			}
			if diff := cmp.Diff(stood, query(t, s, observationsSQL)); diff != "" {
				t.Fatalf("a dry run changed the readings:\n%s", diff)
			}
			what.DryRun = false
			if _, err := s.Correct(t.Context(), what); err != nil {
				t.Fatal(err)
			}
			var mended []testFile
			for _, f := range files {
				f.content = f.bytes()
				mended = append(mended, earlier(f))
			}
			clean := open(t, Options{Append: appendMode})
			commitAll(t, []*Sink{sinkOf(t, clean, SinkOptions{})}, mended, 1, 1)
			if diff := cmp.Diff(contents(t, clean), contents(t, s)); diff != "" {
				t.Errorf("after reload (-loaded right at once +here):\n%s", diff)
			}
			verify(t, s)
			if got := query(t, s, "select command, reason, files, readings from actions"); len(got) != 1 || got[0] != "files reload|the zone was wrong|10|80" {
				t.Errorf("actions are %q", got)
			}
		})
	}
}

// What stands does not depend on how transactions of the database are isolated by
// default: each look sees what others have committed until then.
func TestIsolationThatADatabaseHasByDefault(t *testing.T) {
	for _, level := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			first := open(t, Options{})
			config := first.pool.Config().ConnConfig
			if _, err := first.pool.Exec(t.Context(), fmt.Sprintf("alter database %s set default_transaction_isolation = '%s'", config.Database, level)); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), config.ConnString(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			c := committerOf(t, sinkOf(t, s, SinkOptions{}))
			greater := testFile{path: "L1_greater", modified: begin + 5, readings: []testReading{{"flow", 1, 5, ""}}}
			lesser := testFile{path: "L1_lesser", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
			commit(t, c, greater)
			marks, err := s.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer marks.Rollback(context.WithoutCancel(t.Context()))
			if _, err := marks.Exec(t.Context(), "lock table marks in exclusive mode"); err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() {
				files := []testFile{greater, lesser}
				_, err := s.Correct(context.Background(), Correction{Files: selected(t, s, Selection{Pattern: "L1_greater"}), Read: bytesOf(files)})
				done <- err
			}()
			waitFor(t, "the correction to wait", func() bool {
				return len(query(t, s, "select 1 from pg_locks l join pg_locks o using (pid) where not l.granted and o.relation = 'files'::regclass")) > 0
			})
			commit(t, c, lesser) // meets what is about to be taken out
			if err := marks.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if got, want := observed(t, s), "L1_lesser flow1=1"; got != want {
				t.Errorf("there is %q, want %q", got, want)
			}
			verify(t, s)
		})
	}
}

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// What a reload takes away from one instant, the file that was outranked there
// puts back.
func TestReloadPutsBackWhatItUncovers(t *testing.T) {
	older := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}, {"flow", 3, 1, ""}}}
	newer := testFile{path: "L1_b", modified: begin + 9, readings: []testReading{{"flow", 2, 2, ""}, {"flow", 3, 2, ""}}}
	hourLater := func(f testFile) testFile {
		f.readings = []testReading{{"flow", 3, 2, ""}, {"flow", 4, 2, ""}, {"new channel", 4, 2, ""}}
		return f
	}
	for _, order := range [][]testFile{{older, newer}, {newer, older}} {
		s := open(t, Options{})
		c := committerOf(t, sinkOf(t, s, SinkOptions{}))
		for _, f := range order {
			commit(t, c, f)
		}
		done, err := s.Correct(t.Context(), Correction{Reload: true, Files: selected(t, s, Selection{Pattern: "L1_b"}),
			Read: reader([]testFile{older, newer}, nil, hourLater)})
		if err != nil {
			t.Fatal(err)
		}
		if len(done.Restored) != 1 || done.Restored[0].Path != "L1_a" {
			t.Errorf("restored %+v, want L1_a", done.Restored)
		}
		want := []string{"L1|flow|1|1|<nil>|L1_a", "L1|flow|2|1|<nil>|L1_a", "L1|flow|3|2|<nil>|L1_b", "L1|flow|4|2|<nil>|L1_b", "L1|new channel|4|2|<nil>|L1_b"}
		if diff := cmp.Diff(want, query(t, s, observationsSQL)); diff != "" {
			t.Error(diff)
		}
		verify(t, s)
	}
}

// Where two files are to put readings back and the bytes of one are gone, the
// other does, and the receipts still agree with the table.
func TestForcedUndoWithSomeBytes(t *testing.T) {
	s := open(t, Options{})
	var files []testFile
	for i := range 3 {
		files = append(files, testFile{path: fmt.Sprintf("L1_%d", i), modified: begin + int64(i),
			readings: []testReading{{"flow", 5, float64(i), ""}, {"flow", int64(i), 1, ""}, {"flow", 6 + int64(i+1)/2, float64(i), ""}}})
	}
	commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, files, 1, 1)
	for _, gone := range []string{"L1_1", "L1_0"} {
		_, err := s.Correct(t.Context(), Correction{Force: true, Files: selected(t, s, Selection{Pattern: "L1_2"}),
			Read: reader(files, map[string]bool{gone: true}, nil)})
		if err != nil {
			t.Fatal(err)
		}
		verify(t, s)
		markDue(t, s, Selection{Pattern: "L1_2"})
		commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), files[2])
		verify(t, s)
	}
}

// A file lost readings to one that was then demoted to a duplicate of a third.
// Undoing the third uncovers the first.
func TestUndoAcrossADemotion(t *testing.T) {
	first := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}}}
	second := testFile{path: "L1_b", modified: begin + 1, readings: []testReading{{"flow", 2, 2, ""}, {"flow", 3, 2, ""}}}
	third := testFile{path: "L1_c", modified: begin + 2, readings: second.readings}
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	for _, f := range []testFile{first, second, third} {
		commit(t, c, f)
	}
	verify(t, s)
	done := undo(t, s, Selection{Pattern: "L1_c"}, []testFile{first, second, third})
	if done.Due != 1 {
		t.Errorf("%d files are due, want the second", done.Due)
	}
	if diff := cmp.Diff([]string{"L1|flow|1|1|<nil>|L1_a", "L1|flow|2|1|<nil>|L1_a"}, query(t, s, observationsSQL)); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
	commit(t, c, second, third)
	if diff := cmp.Diff([]string{"L1|flow|1|1|<nil>|L1_a", "L1|flow|2|2|<nil>|L1_b", "L1|flow|3|2|<nil>|L1_b"}, query(t, s, observationsSQL)); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// Undoing a content does not wake an earlier generation of the same path, nor
// one that its own path has left behind.
func TestUndoMakesOnlyNewestVersionsDue(t *testing.T) {
	a := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	b := testFile{path: "L1_a", modified: begin + 1, readings: []testReading{{"flow", 1, 2, ""}}}
	left := testFile{path: "L1_b", modified: begin - 5, readings: a.readings}
	next := testFile{path: "L1_b", modified: begin - 4, readings: []testReading{{"flow", 9, 9, ""}}}
	copied := testFile{path: "L1_c", modified: begin - 5, readings: a.readings}
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	for _, f := range []testFile{a, b, left, next, copied, a} {
		commit(t, c, f)
	}
	done := undo(t, s, Selection{Pattern: "L1_a", Newest: true}, []testFile{a, b, left, next, copied})
	if done.Undone != 1 || done.Due != 1 {
		t.Errorf("%d undone and %d due, want 1 and 1", done.Undone, done.Due)
	}
	want := []string{"L1_a|1|duplicate", "L1_a|2|loaded", "L1_a|3|undone", "L1_b|1|duplicate", "L1_b|2|loaded", "L1_c|1|due"}
	if diff := cmp.Diff(want, query(t, s, "select path, generation, state::text from files order by 1, 2")); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// A reload that gives a file other readings leaves its copies without their
// original: they are due.
func TestReloadMakesCopiesDue(t *testing.T) {
	original := testFile{path: "L1_a", modified: begin + 1, readings: []testReading{{"flow", 1, 1, ""}}}
	copied := testFile{path: "L1_b", modified: begin, readings: original.readings}
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	commit(t, c, original, copied)
	mended := &ingest.Recipe{Digest: ingest.Digest{2}, Profile: "mended", Text: "name: mended"}
	done, err := s.Correct(t.Context(), Correction{Reload: true, Files: selected(t, s, Selection{Pattern: "L1_a"}),
		Read: func(_ context.Context, _ FileVersion, _ bool, b *ingest.Batch) error {
			f := original
			f.content, f.readings = f.bytes(), []testReading{{"flow", 5, 1, ""}}
			fill(b, f)
			b.Spans[len(b.Spans)-1].Recipe = mended
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	if done.Due != 1 {
		t.Errorf("%d due, want the copy", done.Due)
	}
	if got := query(t, s, "select path, state::text from files order by 1"); !slices.Equal(got, []string{"L1_a|loaded", "L1_b|due"}) {
		t.Errorf("states are %v", got)
	}
	verify(t, s)
}

// A file that is committed while a correction reads its bytes is put back like
// the others, or the correction would silently lose its reading.
func TestCorrectionSeesWhatArrivesMeanwhile(t *testing.T) {
	newest := testFile{path: "L1_c", modified: begin + 9, readings: []testReading{{"flow", 1, 3, ""}, {"flow", 2, 3, ""}}}
	outranked := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	arriving := testFile{path: "L1_b", modified: begin + 1, readings: []testReading{{"flow", 1, 2, ""}, {"flow", 2, 2, ""}}}
	copied := testFile{path: "L1_d", modified: begin + 8, readings: newest.readings}
	all := []testFile{newest, outranked, arriving, copied}
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	commit(t, c, newest)
	commit(t, c, outranked)
	arrived := false
	read := reader(all, nil, nil)
	done, err := s.Correct(t.Context(), Correction{Files: selected(t, s, Selection{Pattern: "L1_c"}),
		Read: func(ctx context.Context, v FileVersion, again bool, b *ingest.Batch) error {
			if !arrived {
				arrived = true
				commit(t, c, arriving, copied)
			}
			return read(ctx, v, again, b)
		}})
	if err != nil {
		t.Fatal(err)
	}
	if len(done.Restored) != 2 || done.Due != 1 {
		t.Errorf("restored %d and %d due, want 2 and 1", len(done.Restored), done.Due)
	}
	if diff := cmp.Diff([]string{"L1|flow|1|2|<nil>|L1_b", "L1|flow|2|2|<nil>|L1_b"}, query(t, s, observationsSQL)); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// A duplicate that is claimed while its original is being undone is not left
// without one.
func TestDuplicateClaimedDuringUndo(t *testing.T) {
	for _, duplicateFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("duplicate first: %v", duplicateFirst), func(t *testing.T) {
			original := testFile{path: "L1_a", modified: begin + 1, readings: []testReading{{"flow", 1, 1, ""}}}
			copied := testFile{path: "L1_b", modified: begin, readings: original.readings}
			s := open(t, Options{})
			sink := sinkOf(t, s, SinkOptions{})
			c := committerOf(t, sink)
			commit(t, c, original)
			// Whoever comes first stops where it writes this table, and has the original's row by then.
			gate, err := s.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer gate.Rollback(context.WithoutCancel(t.Context()))
			table := "actions"
			if duplicateFirst {
				table = "files"
			}
			if _, err := gate.Exec(t.Context(), "lock table "+table+" in share mode"); err != nil {
				t.Fatal(err)
			}
			acts := []func() error{
				func() error {
					_, err := c.Commit(context.Background(), fill(&ingest.Batch{}, copied))
					return err
				},
				func() error {
					_, err := s.Correct(context.Background(), Correction{Files: selected(t, s, Selection{Pattern: "L1_a"}), Read: reader(nil, nil, nil)})
					return err
				},
			}
			if !duplicateFirst {
				slices.Reverse(acts)
			}
			errs := make(chan error, 2)
			for i, act := range acts {
				go func() { errs <- act() }()
				waitFor(t, "it to wait for a lock", func() bool {
					return query(t, s, "select count(*) from pg_locks where not granted")[0] == fmt.Sprint(i+1)
				})
			}
			if err := gate.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(<-errs, <-errs); err != nil {
				t.Fatal(err)
			}
			commit(t, c, original, copied)
			if diff := cmp.Diff([]string{"L1|flow|1|1|<nil>|L1_b"}, query(t, s, observationsSQL)); diff != "" {
				t.Error(diff)
			}
			verify(t, s)
		})
	}
}

// A dry run leaves no trace, not even of series that it met for the first time.
func TestDryRunWritesNothing(t *testing.T) {
	s := open(t, Options{untold: true})
	sink := sinkOf(t, s, SinkOptions{})
	files := []testFile{{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}},
		{path: "L1_b", modified: begin + 1, readings: []testReading{{"flow", 1, 2, ""}}}, {path: "L1_c", modified: begin - 1, readings: []testReading{{"flow", 1, 2, ""}}}}
	commitAll(t, []*Sink{sink}, files, 1, 3)
	all := func() []string {
		var rows []string
		for _, table := range query(t, s, "select tablename from pg_tables where schemaname = 'penstock' order by 1") {
			rows = append(rows, table)
			rows = append(rows, query(t, s, "select t::text from "+table+" t order by 1")...)
		}
		return rows
	}
	before := all()
	newChannel := func(f testFile) testFile {
		f.readings = []testReading{{"other", 7, 1, ""}}
		return f
	}
	for _, reload := range []bool{true, false} {
		_, err := s.Correct(t.Context(), Correction{Reload: reload, DryRun: true, Files: selected(t, s, Selection{Pattern: "L1_b"}),
			Read: reader(files, nil, newChannel), Change: func(Change) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, all()); diff != "" {
			t.Errorf("reload %v changed the store: %s", reload, diff)
		}
	}
}

// An attempt that is rolled back takes the series with it that it had added.
// The next attempt must not store readings under their ids.
func TestReloadIntoNewSeriesIsRetriedWhole(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	f := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	commitAll(t, []*Sink{sink}, []testFile{f}, 1, 1)
	_, err := s.pool.Exec(t.Context(), `create sequence tries;
		create function fail_once() returns trigger language plpgsql as
		$$ begin if nextval('tries') = 1 then raise exception 'deadlock' using errcode = '40P01'; end if; return new; end $$;
		create trigger fail_once before insert on actions for each row execute function fail_once()`)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	_, err = s.Correct(t.Context(), Correction{Reload: true, Change: func(Change) error { told++; return nil }, Files: selected(t, s, Selection{}), Read: reader([]testFile{f}, nil, func(f testFile) testFile {
		f.readings = []testReading{{"level", 1, 1, ""}}
		return f
	})})
	if err != nil {
		t.Fatal(err)
	}
	if told != 2 {
		t.Errorf("%d changes were told, want the two of the try that came through", told)
	}
	if diff := cmp.Diff([]string{"L1|level|1|1|<nil>|L1_a"}, query(t, s, observationsSQL)); diff != "" {
		t.Error(diff)
	}
}

package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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

// forget prunes all that may go and returns what that was.
func forget(t *testing.T, s *Store) *Pruned {
	t.Helper()
	p, err := s.Prune(t.Context(), Pruning{Before: time.Now().Add(time.Hour), Action: Action{Command: "prune"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What a copy under another name holds is not forgotten with its original.
func TestPruneLeavesCopiesTheirOriginal(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	c := committerOf(t, sink)
	original := testFile{path: "L1_a", modified: begin + 5, readings: []testReading{{"flow", 1, 1, ""}}}
	copied := testFile{path: "L1_b", modified: begin, readings: original.readings}
	wrong := testFile{path: "L1_a", modified: begin + 9, readings: []testReading{{"flow", 1, 99, ""}}}
	if got := states(commit(t, c, original, copied)); !slices.Equal(got, []string{"loaded", "duplicate"}) {
		t.Fatal(got)
	}
	commit(t, c, wrong)
	if p := forget(t, s); p.Files != 0 || p.Needed != 1 {
		t.Errorf("it forgot %+v", p)
	}
	undo(t, s, Selection{Pattern: "L1_a"}, nil)
	if !pending(t, sink, listed(copied))[0].Take && len(query(t, s, "select value from observations")) == 0 {
		t.Errorf("the newest version of L1_b holds a reading, and nobody has it nor will: %v", query(t, s, "select path, generation, state::text from files order by 1, 2"))
	}
}

// Readings that an undo puts back while a prune is under way keep their file
// version; what an undo has locked stays as it is.
func TestPruneBesideAnUndo(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	first := testFile{path: "L1_a", modified: begin + 1, readings: []testReading{{"flow", 1, 1, ""}}}
	second := testFile{path: "L1_a", modified: begin + 2, readings: []testReading{{"flow", 1, 2, ""}}}
	commit(t, c, first)
	commit(t, c, second)
	lock := func(sql string) (unlock func()) {
		t.Helper()
		tx, err := s.pool.Begin(t.Context())
		if err == nil {
			_, err = tx.Exec(t.Context(), sql)
		}
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	unlock := lock("select from files where generation = 1 for update")
	if p := forget(t, s); p.Files != 0 || p.Needed != 1 {
		t.Errorf("beside an undo under way it forgot %+v", p)
	}
	unlock()

	// The undo comes after the first look.
	if _, err := s.pool.Exec(t.Context(), `create function hold() returns event_trigger language plpgsql as $$
		begin if to_regclass('pg_temp.pruning') is not null and to_regclass('pg_temp.locked') is null then perform pg_advisory_xact_lock(78); end if; end $$;
		create event trigger hold on ddl_command_end when tag in ('CREATE TABLE AS') execute function hold()`); err != nil {
		t.Fatal(err)
	}
	unlock = lock("select pg_advisory_xact_lock(78)")
	pruned := make(chan *Pruned)
	go func() {
		p, err := s.Prune(context.Background(), Pruning{Before: time.Now().Add(time.Hour), Action: Action{Command: "prune"}})
		if err != nil {
			t.Error(err)
		}
		pruned <- p
	}()
	waitFor(t, "the prune to be under way", func() bool {
		return query(t, s, "select count(*) from pg_locks where locktype = 'advisory' and not granted")[0] != "0"
	})
	undone, err := s.Correct(t.Context(), Correction{Files: selected(t, s, Selection{Pattern: "L1_a"})[1:], Read: bytesOf([]testFile{first})})
	if err != nil || len(undone.Restored) != 1 {
		t.Error(undone, err)
	}
	unlock()
	if p := <-pruned; p != nil && p.Files != 0 {
		t.Errorf("it forgot %+v", p)
	}
	if got := query(t, s, "select o.value, f.generation from observations o join files f using (path) where f.state = 'loaded'"); !slices.Equal(got, []string{"1|1"}) {
		t.Errorf("what stands: %v", got)
	}
}

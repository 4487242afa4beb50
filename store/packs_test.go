package store

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"penstock/ingest"
)

// commitAt commits files, each archived at a place.
func commitAt(t testing.TB, c ingest.Committer, at ingest.Place, files ...testFile) []ingest.Outcome {
	t.Helper()
	b := fill(&ingest.Batch{}, files...)
	for i := range b.Spans {
		b.Spans[i].Place = ingest.Place{Pack: at.Pack, Offset: at.Offset + int64(i)}
	}
	outcomes, err := c.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(outcomes)
}

// The ledger knows where the archive has a file version's bytes, whatever
// became of it, and says of a file that is to be looked at again what need not
// be archived again.
func TestLedgerKnowsWhereBytesAre(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	c := committerOf(t, sink)
	files := []testFile{
		{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}},
		{path: "L1_copy", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}},
		{path: "L1_broken", modified: begin, broken: "not a CSV", content: "x"},
		{path: "L1_held", modified: begin, held: "which zone?", content: "y"},
	}
	commitAt(t, c, ingest.Place{Pack: "loggers/2026-01-01T00.pack", Offset: 1 << 40}, files...)
	plain := testFile{path: "L1_plain", modified: begin, readings: []testReading{{"flow", 2, 1, ""}}}
	commit(t, c, plain)
	places := func() (got []string) {
		for v, err := range s.Files(t.Context(), Selection{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %s %s+%d", v.Path, v.State, v.Place.Pack, v.Place.Offset-1<<40))
		}
		slices.Sort(got)
		return got
	}
	want := []string{"L1_a duplicate loggers/2026-01-01T00.pack+0", "L1_broken quarantined loggers/2026-01-01T00.pack+2", "L1_copy loaded loggers/2026-01-01T00.pack+1",
		"L1_held held loggers/2026-01-01T00.pack+3", fmt.Sprintf("L1_plain loaded +%d", -1<<40)}
	if got := places(); !slices.Equal(got, want) {
		t.Errorf("places are\n%q, want\n%q", got, want)
	}

	// Listed with another time, both are looked at again.
	again := listed(files[0])
	again.Modified++
	also := listed(plain)
	also.Modified++
	st := pending(t, sink, again, also, listed(files[0]))
	b := fill(&ingest.Batch{}, files[0])
	if !st[0].Take || st[0].Archived != b.Spans[0].Sum {
		t.Errorf("of an archived file that is to be looked at again, the ledger says %+v", st[0])
	}
	if !st[1].Take || st[1].Archived != (ingest.Digest{}) {
		t.Errorf("of a file that was not archived, the ledger says %+v", st[1])
	}
	if st[2].Take {
		t.Errorf("of an unchanged file, the ledger says %+v", st[2])
	}

	// What is known, but was not archived then, is by now; a version that is due
	// keeps its place unless it was archived anew.
	commitAt(t, c, ingest.Place{Pack: "second", Offset: 1<<40 + 5}, plain)
	markDue(t, s, Selection{Pattern: "L1_broken"})
	if st := pending(t, sink, listed(files[2])); st[0].Archived != fill(&ingest.Batch{}, files[2]).Spans[0].Sum {
		t.Errorf("of a due file, the ledger says %+v", st[0])
	}
	commit(t, c, files[2])
	markDue(t, s, Selection{Pattern: "L1_held"})
	commitAt(t, c, ingest.Place{Pack: "second", Offset: 1<<40 + 7}, files[3])
	want[3], want[4] = "L1_held held second+7", "L1_plain loaded second+5"
	if got := places(); !slices.Equal(got, want) {
		t.Errorf("places are\n%q, want\n%q", got, want)
	}
}

// All workers register the packs that they share.
func TestPacksAreRegisteredOnce(t *testing.T) {
	s := open(t, Options{})
	other := reopen(t, s, Options{})
	ids := make(chan int32, 20)
	var calls []func()
	for i := range 20 {
		calls = append(calls, func() {
			id, err := []*Store{s, other}[i%2].packID(context.Background(), "pack")
			if err != nil {
				t.Error(err)
			}
			ids <- id
		})
	}
	together(calls...)
	close(ids)
	for id := range ids {
		if id != 1 && id != 2 { // a conflict may burn one
			t.Errorf("a pack has id %d", id)
		}
	}
	if got := query(t, s, "select count(*) from packs"); got[0] != "1" {
		t.Errorf("%s packs, want 1", got[0])
	}
}

// A file that is known comes with what its version has: its state, and how many
// of its lines could not be read.
func TestKnownFileCarriesItsRejects(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	file := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	rejected := func() *ingest.Batch {
		b := fill(&ingest.Batch{}, file)
		sp := &b.Spans[0]
		sp.Rejects = []ingest.Reject{{Line: 3, Reason: "too short"}, {Line: 4, Reason: "too short"}}
		sp.Receipt.Lines.Total += 2
		sp.Receipt.Lines.Rejected += 2
		return b
	}
	for i, state := range []ingest.State{ingest.Loaded, ingest.Known} {
		o, err := c.Commit(t.Context(), rejected())
		if err != nil {
			t.Fatal(err)
		}
		if o[0].State != state || o[0].Rejects != 2 {
			t.Errorf("commit %d: %s with %d rejects", i+1, o[0].State, o[0].Rejects)
		}
		if i == 1 && o[0].Standing != ingest.Loaded {
			t.Errorf("it stands as %s", o[0].Standing)
		}
	}
	known(t, s, SinkOptions{}, guessed("L2_a", "one", 1, "flow"))
	added := guessed("L2_b", "two", 2, "flow", "level")
	c = committerOf(t, sinkOf(t, s, SinkOptions{}))
	commit(t, c, added)
	if o := commit(t, c, added)[0]; o.State != ingest.Known || o.Standing != ingest.Loaded || !o.Waits {
		t.Errorf("a file of which a channel waits is known as %+v", o)
	}
	broken := testFile{path: "L1_b", modified: begin, broken: "not a CSV", content: "x"}
	commit(t, c, broken)
	if o := commit(t, c, broken)[0]; o.State != ingest.Known || o.Standing != ingest.Quarantined || o.Waits {
		t.Errorf("a quarantined file is known as %+v", o)
	}
}

// Where its archive is is kept of a source that two processes register at once.
func TestArchiveOfASourceRegisteredAtOnce(t *testing.T) {
	s := open(t, Options{})
	other, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec(t.Context(), "insert into sources (name, root) values ('loggers', 'in')"); err != nil {
		t.Fatal(err)
	}
	registered := make(chan error)
	go func() {
		_, err := s.Sink(context.Background(), SinkOptions{Source: "loggers", Archive: "kept"})
		registered <- err
	}()
	waitFor(t, "the second to wait for the first", func() bool {
		return query(t, s, "select count(*) from pg_locks where not granted")[0] != "0"
	})
	if err := other.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-registered; err != nil {
		t.Fatal(err)
	}
	if got := query(t, s, "select archive from sources"); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("the archive is %q", got)
	}
}

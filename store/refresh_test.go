package store

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/store/pglocal/pgtest"
)

// A daemon's sink judges by what was there at its last refresh: a logger that
// came meanwhile, also by the sink itself, is known from then on.
func TestRefreshMovesThePastOn(t *testing.T) {
	s := open(t, Options{Command: "run"})
	sink := sinkOf(t, s, SinkOptions{OnChange: HoldChanged})
	c := committerOf(t, sink)
	runs := func() string { return query(t, s, "select count(*), max(series), max(feeds) from runs")[0] }
	refresh := func() {
		t.Helper()
		if err := sink.Refresh(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, c, guessed("L1_a", "one", 1, "flow"))
	if o := commit(t, c, guessed("L1_b", "two", 2, "level"))[0]; o.State != ingest.Loaded {
		t.Errorf("before the refresh a file of a logger that is new is %s: %s", o.State, o.Reason)
	}
	refresh()
	if got := runs(); got != "1|2|2" {
		t.Errorf("runs, and how far the past goes: %s, want 1|2|2", got)
	}
	caught := sink.before.Load().loggers
	if o := commit(t, c, guessed("L1_c", "three", 3, "flow", "level", "temp"))[0]; o.State != ingest.Loaded || o.Receipt.Cells.Withheld != 1 {
		t.Errorf("a channel that is new after the refresh: %s, %+v", o.State, o.Receipt.Cells)
	}
	refresh()
	if sink.before.Load().loggers == caught {
		t.Error("what was read of loggers was kept, though there is another feed")
	}
	caught = sink.before.Load().loggers
	refresh()
	if sink.before.Load().loggers != caught {
		t.Error("what was read of loggers was forgotten, though nothing came")
	}

	// What a person approved meanwhile counts, too.
	commit(t, c, guessed("L9_a", "one", 1, "flow"))
	shape := query(t, s, "select id from shapes limit 1")[0]
	if _, err := s.pool.Exec(t.Context(), "update shapes set approved = 'name: x', settled = false where id = $1", shape); err != nil {
		t.Fatal(err)
	}
	refresh()
	if _, known := sink.before.Load().unsettled[shape]; !known {
		t.Error("what was approved since is not known")
	}

	// Who goes on after a kill does not begin with what was known at first.
	second := sinkOf(t, s, SinkOptions{OnChange: HoldChanged})
	if got := second.before.Load().past; got.series != 3 {
		t.Errorf("the next run knows %d series, want 3", got.series)
	}
}

// Files of one backlog are judged by what there was before it, however long it
// takes and however often it is cut short, also by a drain; answers count at once.
func TestRefreshAmidABacklog(t *testing.T) {
	s := open(t, Options{Command: "run"})
	o := SinkOptions{OnChange: HoldChanged}
	loads := func(sink *Sink, f testFile, withheld int64) {
		t.Helper()
		if o := commit(t, committerOf(t, sink), f)[0]; o.State != ingest.Loaded || o.Receipt.Cells.Withheld != withheld {
			t.Errorf("%s is %s, %d withheld, want %d: %s", f.path, o.State, o.Receipt.Cells.Withheld, withheld, o.Reason)
		}
	}
	refresh := func(sink *Sink, caughtUp bool) {
		t.Helper()
		if err := sink.Refresh(t.Context(), caughtUp); err != nil {
			t.Fatal(err)
		}
	}
	sink := sinkOf(t, s, o)
	loads(sink, guessed("L1_a", "one", 1, "flow"), 0)
	refresh(sink, false)
	loads(sink, guessed("L1_b", "two", 2, "flow", "level"), 0)

	second := sinkOf(t, s, o) // it goes on
	refresh(second, false)
	loads(second, guessed("L1_c", "three", 3, "flow", "temp"), 0)
	refresh(second, true)
	loads(second, guessed("L1_d", "four", 4, "flow", "level", "temp", "rain"), 1)
	if _, err := s.pool.Exec(t.Context(), "update shapes set approved = 'name: x', settled = false"); err != nil {
		t.Fatal(err)
	}
	refresh(second, false)
	if now := second.before.Load(); len(now.unsettled) != 1 || now.series != 3 {
		t.Errorf("%d approved shapes are known, and %d series", len(now.unsettled), now.series)
	}

	// One that goes on from there knows what the last one knew, not the first.
	third := sinkOf(t, s, o)
	loads(third, guessed("L1_e", "five", 5, "flow", "level", "temp", "wind"), 1)
	verify(t, s)
}

// While the database is away all that a daemon does waits, as long as it takes,
// and goes on by itself; what is to be said of it is said twice in all.
func TestEverythingWaitsForTheDatabase(t *testing.T) {
	server := pgtest.Server(t)
	log := &lines{}
	s, err := Open(t.Context(), server.URL(), Options{Create: true, RetryFor: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	sink := sinkOf(t, s, SinkOptions{Log: slog.New(slog.NewTextHandler(log, nil))})
	file := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	c := committerOf(t, sink)
	commit(t, c, file)
	server.Kill()

	file.path, file.readings[0].time = "L1_b", 2
	done := make(chan error, 3)
	go func() { done <- sink.Refresh(context.Background(), true) }()
	go func() {
		_, err := sink.Pending(context.Background(), []ingest.File{listed(file)})
		done <- err
	}()
	go func() {
		_, err := c.Commit(context.Background(), fill(&ingest.Batch{}, file))
		done <- err
	}()
	waitFor(t, "the outage to be told", func() bool { return strings.Contains(log.text(), "not available") })
	select {
	case err := <-done:
		t.Fatalf("somebody did not wait: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	if server, err = pgtest.Start(context.Background(), server.Dir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := strings.Count(log.text(), "\n"); n != 2 || !strings.Contains(log.text(), "available again") || !strings.Contains(log.text(), "after=") {
		t.Errorf("want a line when it begins and one when it is over:\n%s", log.text())
	}
	verify(t, s)
}

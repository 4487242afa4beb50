package store

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
)

// The view looks at the readings of a series only where its mark is stale, and
// how many files wait is counted once.
func TestWatermarksOfManySeries(t *testing.T) {
	s := open(t, Options{untold: true})
	sinkOf(t, s, SinkOptions{})
	for _, sql := range []string{
		"insert into series (logger, channel, unit, label) select 'L' || n / 4, 'c' || n % 4, '', '' from generate_series(0, 7999) n",
		"insert into readings (ts, value, file_id, series_id) select timestamptz '2026-01-01' + n * interval '15 min', 1, 1, id from series, generate_series(1, 100) n order by id, n",
		"insert into marks (series_id, last_ts, contiguous_until, step, stale, anew) select id, timestamptz '2026-01-01' + 100 * interval '15 min', timestamptz '2026-01-01' + 100 * interval '15 min', '15 min', false, false from series",
		"insert into feeds (source, recipe, logger) select 1, 1, 'L' || n from generate_series(0, 1999) n",
		`insert into files (rank_time, fetched, size, key, generation, run, chunk, state, source, rank, trusted, sha256, path)
			select now(), now(), 1, gen_random_uuid(), 1, 1, 1, 'held', 1, 0, true, '', 'p' || n from generate_series(1, 3000) n`,
		"insert into held select id, 's', 'L' || substring(path from 2)::int % 300 from files",
		"analyze",
	} {
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	plan := strings.Join(query(t, s, "explain (analyze, timing off) select * from watermarks"), "\n")
	if regexp.MustCompile(`Function Scan on mark_of .*actual`).MatchString(plan) {
		t.Error("readings are looked at, though no mark is stale:\n" + plan)
	}
	if got := query(t, s, "select count(last_ts), sum(held_files)::int8, max(held_files) from watermarks")[0]; got != "8000|12000|10" {
		t.Errorf("series, held files of all, of one: %s", got)
	}
}

// A correction that holds the mark of one series does not keep those of others behind.
func TestMarksBesideACorrection(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	commit(t, c, at("L1_a", "flow", every(900, 0, 9000)...), at("L2_a", "flow", every(900, 0, 9000)...))
	written(t, s)
	correction, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer correction.Rollback(t.Context())
	if _, err := correction.Exec(t.Context(), "update marks set stale = true, anew = true where series_id = (select id from series where logger = 'L1')"); err != nil {
		t.Fatal(err)
	}
	commit(t, c, at("L1_b", "flow", 9900), at("L2_b", "flow", 9900))
	waitFor(t, "the mark of a series that nobody corrects", func() bool {
		return query(t, s, "select extract(epoch from m.last_ts)::int8 - 1700000000 from marks m join series s on s.id = m.series_id where s.logger = 'L2'")[0] == "9900"
	})
}

// A backfill that was killed is gone on with: its marks are there in the end.
func TestMarksOfAKilledReplay(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	c := committerOf(t, sinkOf(t, s, SinkOptions{Live: true})) // the daemon, which goes on
	commit(t, c, at("L0_a", "flow", every(900, 0, 9000)...))
	written(t, s)
	killed := reopen(t, s, Options{untold: true})
	commit(t, committerOf(t, sinkOf(t, killed, SinkOptions{Source: "old"})), at("L1_a", "flow", every(900, 0, 9000)...))
	again := reopen(t, s, Options{writeEvery: 1})
	if o := commit(t, committerOf(t, sinkOf(t, again, SinkOptions{Source: "old"})), at("L1_a", "flow", every(900, 0, 9000)...)); o[0].State != ingest.Known {
		t.Fatal(o)
	}
	written(t, again)
	written(t, s)
	watermarks(t, s, "L0|flow|9000|9000|900|0", "L1|flow|9000|9000|900|0")
}

// A file that was carried on just before the kill, and is older than the last 10,000.
func TestMarksOfAFileThatGrewBeforeAKill(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	sink := sinkOf(t, s, SinkOptions{})
	c := committerOf(t, sink)
	var all []testReading
	for _, x := range every(900, 0, 9000) {
		all = append(all, testReading{"flow", x, 1, ""})
	}
	take(t, sink, c, grownFile("L1_a", begin, all[:10]))
	written(t, s)
	query(t, s, "select setval('file_ids', 20000)")
	killed := reopen(t, s, Options{untold: true})
	ks := sinkOf(t, killed, SinkOptions{})
	kc := committerOf(t, ks)
	commit(t, kc, at("L2_a", "flow", every(900, 0, 9000)...))
	if _, carried := take(t, ks, kc, grownFile("L1_a", begin+9, all)); !carried {
		t.Fatal("not carried on")
	}
	next := reopen(t, s, Options{writeEvery: 1})
	sinkOf(t, next, SinkOptions{Live: true})
	waitFor(t, "the marks of what was committed last", func() bool { return query(t, s, "select count(*) from marks")[0] == "2" })
	written(t, next)
	watermarks(t, s, "L1|flow|9000|9000|900|0", "L2|flow|9000|9000|900|0")
}

// A late file that filled a gap, of a process that was killed then.
func TestMarksOfAGapFilledBeforeAKill(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	commit(t, c, at("L1_a", "flow", every(900, 0, 9000)...), at("L1_c", "flow", every(900, 10800, 18000)...))
	written(t, s)
	watermarks(t, s, "L1|flow|18000|9000|900|0")
	killed := reopen(t, s, Options{untold: true})
	commit(t, committerOf(t, sinkOf(t, killed, SinkOptions{})), at("L1_b", "flow", 9900))
	next := reopen(t, s, Options{writeEvery: 1})
	sinkOf(t, next, SinkOptions{Live: true})
	written(t, next)
	watermarks(t, s, "L1|flow|18000|18000|900|0")
}

// A run that ends while what it brought is being written has not told it: should
// the process end then, the next makes up for it.
func TestMarksThatAreWrittenWhileARunEnds(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	sink := sinkOf(t, s, SinkOptions{})
	other, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Rollback(t.Context())
	if _, err := other.Exec(t.Context(), "lock table marks in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	commit(t, committerOf(t, sink), at("L1_a", "flow", every(900, 0, 9000)...))
	waitFor(t, "the marks to be written", func() bool {
		return query(t, s, "select count(*) from pg_locks where relation = 'marks'::regclass and not granted")[0] == "1"
	})
	if err := sink.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query(t, s, "select count(*) from runs where ended is not null and told is null")[0]; got != "1" {
		t.Errorf("%s runs ended and have not told all, want 1", got)
	}
}

// What a run did not tell that was killed is made up for by who goes on, without a
// start of either.
func TestMarksOfARunKilledBesideAnother(t *testing.T) {
	s := open(t, Options{writeEvery: 1, makeUpEvery: 1})
	sinkOf(t, s, SinkOptions{Live: true})
	written(t, s)
	killed := reopen(t, s, Options{untold: true})
	commit(t, committerOf(t, sinkOf(t, killed, SinkOptions{Source: "old"})), at("L1_a", "flow", every(900, 0, 9000)...))
	waitFor(t, "the marks of what was killed", func() bool { return query(t, s, "select count(*) from marks where not stale")[0] == "1" })
	watermarks(t, s, "L1|flow|9000|9000|900|0")
}

// A commit that was given up while nobody knew whether it was made is told, should
// it have been made.
func TestMarksOfACommitThatWasGivenUp(t *testing.T) {
	s := open(t, Options{})
	p := startProxy(t, s.pool.Config().ConnString())
	cut := openAt(t, p.url, Options{writeEvery: 1})
	c := committerOf(t, sinkOf(t, cut, SinkOptions{}))
	commit(t, c, at("L0_a", "flow", every(900, 0, 9000)...))
	written(t, cut)
	ctx, cancel := context.WithCancel(t.Context())
	committing := false
	p.arm(func(w wire, _ int, m []byte) verdictOnMessage {
		committing = committing || w == toServer && bytes.HasSuffix(m, []byte("commit\x00"))
		if !committing || w == toServer {
			return pass
		}
		cancel()
		return cutBefore
	})
	if _, err := c.Commit(ctx, fill(&ingest.Batch{}, at("L1_a", "flow", every(900, 0, 9000)...))); err == nil {
		t.Fatal("the commit was not given up")
	}
	commit(t, c, at("L0_b", "flow", 9900))
	written(t, cut)
	watermarks(t, s, "L0|flow|9900|9900|900|0", "L1|flow|9000|9000|900|0")
}

// It may be made after all others: who comes next makes up for it, or the store
// itself, when such a one can be under way no more.
func TestMarksOfACommitThatWasMadeAfterItWasGivenUp(t *testing.T) {
	t.Run("the next", func(t *testing.T) {
		s, cut, sink := madeAfterItWasGivenUp(t)
		if err := sink.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		cut.Close()
		next := reopen(t, s, Options{writeEvery: 1})
		sinkOf(t, next, SinkOptions{Live: true})
		written(t, next)
		watermarks(t, s, "L0|flow|9000|9000|900|0", "L1|flow|9000|9000|900|0")
	})
	t.Run("the same", func(t *testing.T) {
		s, cut, _ := madeAfterItWasGivenUp(t)
		written(t, cut)
		watermarks(t, s, "L0|flow|9000|9000|900|0") // it may be under way, and was made up for before it was there
		if cut.teller.toldAll() {
			t.Error("there is a doubt, and all is said to be told")
		}
		cut.teller.mu.Lock()
		cut.teller.doubt.last = cut.teller.doubt.last.Add(-cut.options.untoldFor)
		cut.teller.mu.Unlock()
		written(t, cut)
		watermarks(t, s, "L0|flow|9000|9000|900|0", "L1|flow|9000|9000|900|0")
		if !cut.teller.toldAll() {
			t.Error("all is told, and there is a doubt still")
		}
	})
}

// madeAfterItWasGivenUp makes a commit that cut had given up, after another of its
// own was told.
func madeAfterItWasGivenUp(t *testing.T) (s, cut *Store, sink *Sink) {
	t.Helper()
	s = open(t, Options{})
	for _, sql := range []string{
		"create function wait() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(7); return null; end $$",
		"create constraint trigger wait after insert on files deferrable initially deferred for each row when (new.path like 'L1%') execute function wait()",
	} {
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback(t.Context())
	if _, err := lock.Exec(t.Context(), "select pg_advisory_xact_lock(7)"); err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, s.pool.Config().ConnString())
	cut = openAt(t, p.url, Options{writeEvery: 1, untoldFor: time.Hour})
	sink = sinkOf(t, cut, SinkOptions{})
	c := committerOf(t, sink)
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, err := c.Commit(ctx, fill(&ingest.Batch{}, at("L1_a", "flow", every(900, 0, 9000)...)))
		gaveUp <- err
	}()
	const waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
	waitFor(t, "the commit to wait", func() bool { return query(t, s, waits)[0] == "1" })
	p.arm(func(w wire, _ int, m []byte) verdictOnMessage { // nor is the server told that the client gave up
		return choose(w == toServer && bytes.HasPrefix(m, []byte("\x00\x00\x00\x10\x04\xd2\x16\x2e")), cutBefore)
	})
	cancel()
	if err := <-gaveUp; err == nil {
		t.Fatal("the commit was not given up")
	}
	commit(t, committerOf(t, sink), at("L0_a", "flow", every(900, 0, 9000)...))
	written(t, cut)
	if got := query(t, s, waits)[0]; got != "1" {
		t.Fatal("the commit does not wait any more")
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the commit", func() bool { return query(t, s, "select count(*) from files where path = 'L1_a'")[0] == "1" })
	return s, cut, sink
}

// Up to when a run is told is not taken back: it may have been made up for meanwhile.
func TestWhatIsToldIsNotTakenBack(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	commit(t, c, at("L1_a", "flow", every(900, 0, 9000)...))
	written(t, s)
	later := query(t, s, "update runs set told = now() + interval '1 hour' returning told")
	commit(t, c, at("L1_b", "flow", 9900))
	written(t, s)
	if got := query(t, s, "select told from runs"); !slices.Equal(got, later) {
		t.Errorf("it is told until %v, and was until %v", got, later)
	}
}

// A run is told up to its end when the next one of its source goes on, and then no more.
func TestMarksOfARunThatAnotherWentOnWith(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	told := func(run int32) string {
		return query(t, s, fmt.Sprintf("select coalesce(told::text, 'never') || (select coalesce(max(changed) > r.told, false)::text from files where run = r.id) from runs r where id = %d", run))[0]
	}
	first := sinkOf(t, s, SinkOptions{})
	commit(t, committerOf(t, first), at("L1_a", "flow", every(900, 0, 9000)...))
	second := sinkOf(t, s, SinkOptions{})
	commit(t, committerOf(t, second), at("L1_b", "flow", 9900))
	written(t, s)
	until := told(first.run)
	if strings.HasPrefix(until, "never") || strings.HasSuffix(until, "true") {
		t.Errorf("the first run is told until %s", until)
	}
	for i := range int64(3) {
		before := told(second.run)
		commit(t, committerOf(t, second), at(fmt.Sprintf("L1_c%d", i), "flow", 10800+900*i))
		written(t, s)
		if told(second.run) == before {
			t.Error("the second run is told no more")
		}
	}
	if now := told(first.run); now != until {
		t.Errorf("the first run is told until %s, and now until %s", until, now)
	}
	commit(t, committerOf(t, first), at("L1_d", "flow", 13500)) // nobody does
	written(t, s)
	if now := told(first.run); now == until || strings.HasSuffix(now, "true") {
		t.Errorf("the first run is told until %s, and brought something since", now)
	}
}

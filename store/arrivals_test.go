package store

import (
	"fmt"
	"testing"
	"time"

	"penstock/ingest"
)

// A logger of which files came regularly is silent when none came for three
// times as long; files that come together, and a backlog, do not pass for one
// that sends every second.
func TestSilentLoggers(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	sink := sinkOf(t, s, SinkOptions{Live: true})
	c := committerOf(t, sink)
	n := 0
	come := func(sink ingest.Committer, logger string, ago ...time.Duration) {
		t.Helper()
		for _, d := range ago {
			n++
			f := testFile{path: fmt.Sprintf("%s_%d", logger, n), modified: begin, readings: []testReading{{"flow", int64(n), 1, ""}}}
			b := fill(&ingest.Batch{}, f)
			b.Spans[0].Fetched = ingest.Micros(time.Now())
			b.Spans[0].File.Modified = ingest.Micros(time.Now().Add(-d))
			if _, err := sink.Commit(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	const minute = time.Minute
	come(c, "regular", 60*minute, 45*minute, 30*minute, 15*minute)
	come(c, "gone", 120*minute, 105*minute, 90*minute, 75*minute, 60*minute)
	for _, d := range []time.Duration{70 * minute, 55 * minute, 40 * minute, 25 * minute, 10 * minute} { // three files at a time
		come(c, "several", d, d-2*time.Second, d-4*time.Second)
	}
	come(c, "few", 300*minute, 200*minute)
	come(committerOf(t, sinkOf(t, s, SinkOptions{Source: "archive"})), "replayed", 900*minute, 800*minute, 700*minute, 600*minute)
	written(t, s)
	check := func(every map[string]time.Duration, reporting, irregular int, silent ...string) {
		t.Helper()
		got, err := s.Silent(t.Context(), every)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, l := range got.Silent {
			names = append(names, fmt.Sprintf("%s every %s for %s", l.Logger, l.Every.Round(minute), l.For.Truncate(10*minute)))
		}
		if got.Reporting != reporting || got.Irregular != irregular || fmt.Sprint(names) != fmt.Sprint(silent) {
			t.Errorf("%d reporting, %d irregular, silent: %q; want %d, %d, %q", got.Reporting, got.Irregular, names, reporting, irregular, silent)
		}
	}
	check(nil, 2, 1, "gone every 15m0s for 1h0m0s")
	check(map[string]time.Duration{"gone": 30 * minute, "few": minute}, 3, 0, "few every 1m0s for 3h20m0s")

	// Another process goes on with what this one learned.
	other := reopen(t, s, Options{writeEvery: 1})
	come(committerOf(t, sinkOf(t, other, SinkOptions{Live: true})), "gone", time.Second)
	written(t, other)
	check(nil, 3, 1)
}

// A logger whose files come, and are held, is not silent.
func TestHeldFilesArrive(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	c := committerOf(t, sinkOf(t, s, SinkOptions{Live: true, OnChange: HoldChanged}))
	come := func(n int, ago time.Duration, channel string) {
		b := fill(&ingest.Batch{}, testFile{path: "L1_" + string(rune('a'+n)), modified: begin, layout: "x", readings: []testReading{{channel, int64(n), 1, ""}}})
		b.Spans[0].Fetched = ingest.Micros(time.Now())
		b.Spans[0].File.Modified = ingest.Micros(time.Now().Add(-ago))
		if _, err := c.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		come(i, time.Duration(180-15*i)*time.Minute, "flow")
	}
	if err := c.(*committer).sink.Refresh(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		come(5+i, time.Duration(105-15*i)*time.Minute, "Flow2")
	}
	written(t, s)
	if got := query(t, s, "select count(*) from files where state = 'held'")[0]; got != "8" {
		t.Fatalf("%s files are held", got)
	}
	got, err := s.Silent(t.Context(), nil)
	if err != nil || len(got.Silent) != 0 {
		t.Errorf("silent: %+v, %v", got.Silent, err)
	}
}

// Files that come in one zip a day, with the times at which they were recorded,
// come once a day: their logger is not silent a second after they came.
func TestMembersOfADailyZipArrive(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	c := committerOf(t, sinkOf(t, s, SinkOptions{Live: true}))
	n := 0
	for day := range 5 {
		came := time.Now().Add(-time.Duration(4-day) * 24 * time.Hour)
		for member := range 12 {
			n++
			b := fill(&ingest.Batch{}, testFile{path: "L1_day.zip!" + string(rune('a'+member)), modified: begin, readings: []testReading{{"flow", int64(n), 1, ""}}})
			b.Spans[0].Fetched = ingest.Micros(came)
			b.Spans[0].Arrived = b.Spans[0].Fetched
			b.Spans[0].File.Modified = ingest.Micros(came.Add(-time.Duration(16-member) * time.Hour))
			if _, err := c.Commit(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	written(t, s)
	got, err := s.Silent(t.Context(), nil)
	if err != nil || len(got.Silent) != 0 {
		t.Errorf("files came a second ago, and silent are: %+v, %v", got.Silent, err)
	}
}

// One that is to send and never did is silent, too.
func TestLoggersThatNeverSentAreSilent(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	c := committerOf(t, sinkOf(t, s, SinkOptions{Live: true}))
	commit(t, c, at("L1_a", "flow", 1))
	written(t, s)
	query(t, s, "update runs set started = started - interval '2 hours'")
	got, err := s.Silent(t.Context(), map[string]time.Duration{"L8": 15 * time.Minute, "L9": 24 * time.Hour})
	if err != nil || len(got.Silent) != 1 || got.Silent[0].Logger != "L8" || !got.Silent[0].Last.IsZero() || got.Silent[0].For < 2*time.Hour || got.Irregular != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

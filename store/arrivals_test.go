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

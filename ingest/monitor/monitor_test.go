package monitor

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
)

// at is the time of the tests' clock.
var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newTested() *Monitor {
	m := New("v1.2.3", DefaultPatience())
	m.now = func() time.Time { return at }
	return m
}

// serve serves m until the test ends, and returns its URL.
func serve(t *testing.T, m *Monitor, profiles bool) string {
	t.Helper()
	s, err := m.Listen("127.0.0.1:0", profiles, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Address()
}

// scrape returns what m tells Prometheus: values by series as they are written.
func scrape(t *testing.T, m *Monitor) map[string]float64 {
	t.Helper()
	code, body := get(t, serve(t, m, false)+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, body)
	}
	values := make(map[string]float64)
	for line := range strings.Lines(body) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			continue
		}
		name, text, _ := cutLast(line)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		values[name] = value
	}
	return values
}

func cutLast(line string) (before, after string, found bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return line, "", false
	}
	return line[:i], line[i+1:], true
}

// expect compares some series.
func expect(t *testing.T, got map[string]float64, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%s is %v (there: %t), want %v", name, v, ok, value)
		}
	}
}

// A cycle that is told twice to be over, as for a file that is late, is one; what
// came since is added. Numbers begin anew with each run.
func TestACycleThatIsToldAgainIsOne(t *testing.T) {
	m := newTested()
	for range 2 {
		m.Follow("field", 30*time.Second)
		for range 2 {
			m.Observe(ingest.Event{Source: "field", At: at, Cycle: &ingest.Cycle{Number: 1, Over: true, Poll: 30 * time.Second, Listing: 2 * time.Second, NotDone: 1, Err: context.Canceled}})
		}
	}
	expect(t, scrape(t, m), map[string]float64{
		`penstock_cycles_total{source="field"}`:                        2,
		`penstock_source_failures_total{source="field"}`:               2,
		`penstock_stage_seconds_total{source="field",stage="listing"}`: 4,
		`penstock_not_done_total{source="field"}`:                      4,
	})
}

func TestEventsAreCounted(t *testing.T) {
	m := newTested()
	m.Follow("field", 30*time.Second)
	file := func(age time.Duration, p ingest.Precision) ingest.File {
		return ingest.File{Source: "field", Path: "secret.csv", Modified: ingest.Micros(at.Add(-age)), Precision: p}
	}
	m.Observe(ingest.Event{Source: "field", Worker: 1, Chunk: 1, At: at, Bytes: 1234,
		Fetch: 500 * time.Millisecond, Decode: 250 * time.Millisecond, Commit: time.Second,
		Outcomes: []ingest.Outcome{
			{File: file(3*time.Second, ingest.Micro), State: ingest.Loaded, Receipt: ingest.Receipt{
				Lines: ingest.Lines{Total: 7, Data: 5, Rejected: 2},
				Cells: ingest.Cells{Total: 15, Missing: 1, Rejected: 2, Withheld: 3, Stored: 4, Replaced: 5}}},
			{File: file(40*time.Second, ingest.Second), State: ingest.Loaded, Receipt: ingest.Receipt{Cells: ingest.Cells{Total: 6, Repeated: 1, Unchanged: 2, Outranked: 3}}},
			{File: file(time.Hour, ingest.Minute), State: ingest.Loaded}, // a listing that tells minutes tells no arrival
			{File: file(-time.Hour, ingest.Micro), State: ingest.Loaded}, // nor does a clock that is ahead
			{File: file(time.Hour, ingest.Micro), State: ingest.Quarantined},
		}})
	m.Observe(ingest.Event{Source: "field", At: at, Outcomes: []ingest.Outcome{{State: ingest.Known}, {State: ingest.Failed}}})
	got := scrape(t, m)
	expect(t, got, map[string]float64{
		`penstock_files_total{source="field",state="loaded"}`:         4,
		`penstock_files_total{source="field",state="quarantined"}`:    1,
		`penstock_files_total{source="field",state="known"}`:          1,
		`penstock_files_total{source="field",state="failed"}`:         1,
		`penstock_files_total{source="field",state="held"}`:           0,
		`penstock_readings_total{result="stored",source="field"}`:     4,
		`penstock_readings_total{result="replaced",source="field"}`:   5,
		`penstock_readings_total{result="unchanged",source="field"}`:  2,
		`penstock_readings_total{result="outranked",source="field"}`:  3,
		`penstock_readings_total{result="repeated",source="field"}`:   1,
		`penstock_readings_total{result="missing",source="field"}`:    1,
		`penstock_readings_total{result="rejected",source="field"}`:   2,
		`penstock_readings_total{result="withheld",source="field"}`:   3,
		`penstock_rejected_lines_total{source="field"}`:               2,
		`penstock_fetched_bytes_total{source="field"}`:                1234,
		`penstock_stage_seconds_total{source="field",stage="fetch"}`:  0.5,
		`penstock_stage_seconds_total{source="field",stage="decode"}`: 0.25,
		`penstock_stage_seconds_total{source="field",stage="commit"}`: 1,
		`penstock_commits_total{source="field"}`:                      1,
		`penstock_last_commit_timestamp_seconds{source="field"}`:      float64(at.Unix()),
		`penstock_visibility_seconds_count{source="field"}`:           2,
		`penstock_visibility_seconds_sum{source="field"}`:             43,
		`penstock_visibility_seconds_bucket{source="field",le="2.5"}`: 0,
		`penstock_visibility_seconds_bucket{source="field",le="5"}`:   1,
		`penstock_visibility_seconds_bucket{source="field",le="60"}`:  2,
	})
	for name := range got {
		if strings.Contains(name, "secret") {
			t.Errorf("the name of a file is told: %s", name)
		}
	}
}

func TestFollowedSourcesBeginAtZeroAndForgottenOnesGo(t *testing.T) {
	m := newTested()
	m.Follow("field", time.Minute)
	m.Follow("works", time.Minute)
	m.Lease("works", true, "")
	m.Archive("field", ArchiveState{Packs: 3})
	m.Observe(ingest.Event{Source: "field", At: at, Cycle: &ingest.Cycle{Over: true}})
	got := scrape(t, m)
	for _, state := range states {
		expect(t, got, map[string]float64{`penstock_files_total{source="field",state="` + string(state) + `"}`: 0})
	}
	expect(t, got, map[string]float64{`penstock_lease{source="works"}`: 1, `penstock_oldest_unloaded_seconds{source="works"}`: 0})
	if _, there := got[`penstock_last_commit_timestamp_seconds{source="field"}`]; there {
		t.Error("a commit is told before the first")
	}
	m.Forget("field")
	for name := range scrape(t, m) {
		if strings.Contains(name, `source="field"`) {
			t.Errorf("%s is still told", name)
		}
	}
}

func TestWhatStandsIsTold(t *testing.T) {
	m := newTested()
	expect(t, scrape(t, m), map[string]float64{`penstock_store_up`: 0, `penstock_config_last_reload_successful`: 1})
	m.Store("")
	m.Loggers(40, 2, 3)
	m.Reloaded(true)
	m.Failed("field", "530 login incorrect")
	m.Archive("field", ArchiveState{Packs: 3, Bytes: 5e9, Spooled: 1e9, SpoolLimit: 20e9, Free: 7e9})
	got := scrape(t, m)
	expect(t, got, map[string]float64{
		`penstock_store_up`:                                     1,
		`penstock_loggers{state="reporting"}`:                   40,
		`penstock_loggers{state="silent"}`:                      2,
		`penstock_loggers{state="irregular"}`:                   3,
		`penstock_config_last_reload_successful`:                1,
		`penstock_config_last_reload_success_timestamp_seconds`: float64(at.Unix()),
		`penstock_source_up{source="field"}`:                    0,
		`penstock_source_failures_total{source="field"}`:        1,
	})
	m.Reloaded(false)
	expect(t, scrape(t, m), map[string]float64{
		`penstock_config_last_reload_successful`:                0,
		`penstock_config_last_reload_success_timestamp_seconds`: float64(at.Unix()),
	})
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "process_start_time_seconds"} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	var build string
	for name := range got {
		if strings.HasPrefix(name, "penstock_build_info") {
			build = name
		}
	}
	if !strings.Contains(build, `version="v1.2.3"`) {
		t.Errorf("build info: %q", build)
	}
}

func TestCyclesAreTold(t *testing.T) {
	m := newTested()
	m.Follow("field", 30*time.Second)
	cycle := ingest.Cycle{Number: 7, Began: at, Poll: 30 * time.Second, Listing: 4 * time.Second, Took: 30 * time.Second,
		Overran: true, Bound: ingest.InCommit, Listed: 900, Cut: 4, New: 90, Settling: 3, Left: 5, Queued: 60, UnderWay: 8, Spooled: 2,
		Oldest: ingest.Micros(at.Add(-90 * time.Second)), NotDone: 1, Paced: time.Second}
	tell := func(c ingest.Cycle) { m.Observe(ingest.Event{Source: "field", At: at, Cycle: &c}) }
	tell(cycle) // its poll interval has ended, and it goes on
	expect(t, scrape(t, m), map[string]float64{
		`penstock_cycles_total{source="field"}`:                        0,
		`penstock_cycles_overrun_total{bound="commit",source="field"}`: 1,
		`penstock_cycle_interval_ratio{source="field"}`:                1,
		`penstock_backlog_files{source="field"}`:                       65,
		`penstock_stage_seconds_total{source="field",stage="listing"}`: 0,
	})
	cycle.Over, cycle.Took = true, 45*time.Second
	tell(cycle)
	got := scrape(t, m)
	expect(t, got, map[string]float64{
		`penstock_cycles_total{source="field"}`:                        1,
		`penstock_cycles_overrun_total{bound="commit",source="field"}`: 1,
		`penstock_cycles_overrun_total{bound="fetch",source="field"}`:  0,
		`penstock_cycle_seconds{source="field"}`:                       45,
		`penstock_cycle_interval_ratio{source="field"}`:                1.5,
		`penstock_last_cycle_timestamp_seconds{source="field"}`:        float64(at.Unix()),
		`penstock_listed_files{source="field"}`:                        900,
		`penstock_cut_folders{source="field"}`:                         4,
		`penstock_settling_files{source="field"}`:                      3,
		`penstock_under_way_files{source="field"}`:                     8,
		`penstock_spooled_files{source="field"}`:                       2,
		`penstock_not_done_total{source="field"}`:                      1,
		`penstock_stage_seconds_total{source="field",stage="listing"}`: 4,
		`penstock_stage_seconds_total{source="field",stage="pace"}`:    1,
		`penstock_oldest_unloaded_seconds{source="field"}`:             90,
		`penstock_source_up{source="field"}`:                           1,
		`penstock_source_failures_total{source="field"}`:               0,
	})

	// A file that waits grows older though nothing is told, and is gone when it
	// is loaded. A listing that broke off is a failure.
	m.now = func() time.Time { return at.Add(time.Minute) }
	expect(t, scrape(t, m), map[string]float64{`penstock_oldest_unloaded_seconds{source="field"}`: 150})
	tell(ingest.Cycle{Number: 8, Over: true, Poll: 30 * time.Second, Took: 3 * time.Second, Err: errors.New("421 no more connections")})
	expect(t, scrape(t, m), map[string]float64{
		`penstock_oldest_unloaded_seconds{source="field"}`: 0,
		`penstock_cycle_interval_ratio{source="field"}`:    0.1,
		`penstock_source_up{source="field"}`:               0,
		`penstock_source_failures_total{source="field"}`:   1,
	})

	if waiting := m.waiting(); len(waiting) != 2 || waiting[0].What != "store" || waiting[1].Reason != "421 no more connections" {
		t.Errorf("waiting: %+v", waiting)
	}
	m.Store("") // it is there

	// A folder that cannot be read is none, neither beside others nor in an inbox
	// from which all files go.
	for _, listed := range []int{7, 0} {
		m.Observe(ingest.Event{Source: "field", Outcomes: []ingest.Outcome{{File: ingest.File{Path: "lost+found"}, State: ingest.Failed, Reason: "permission denied"}}})
		tell(ingest.Cycle{Number: 9, Over: true, Faults: 1, Listed: listed})
		expect(t, scrape(t, m), map[string]float64{`penstock_source_up{source="field"}`: 1, `penstock_source_failures_total{source="field"}`: 1})
		if waiting := m.waiting(); len(waiting) != 0 {
			t.Errorf("waiting: %+v", waiting)
		}
	}
}

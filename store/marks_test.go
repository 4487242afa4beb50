package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// at makes a file of a logger's channel with readings at some instants.
func at(path, channel string, times ...int64) testFile {
	f := testFile{path: path, modified: begin, content: path}
	for _, t := range times {
		f.readings = append(f.readings, testReading{channel, t, 1, ""})
	}
	return f
}

// every returns the instants from first to last, in steps.
func every(step, first, last int64) (times []int64) {
	for t := first; t <= last; t += step {
		times = append(times, t)
	}
	return times
}

const watermarksSQL = `select logger, channel, extract(epoch from last_ts)::int8 - 1700000000,
	extract(epoch from contiguous_until)::int8 - 1700000000, coalesce(extract(epoch from "interval")::int8, 0), held_files from watermarks order by 1, 2`

// written waits until all that was committed until now is written.
func written(t testing.TB, s *Store) {
	t.Helper()
	tl := s.teller
	tl.mu.Lock()
	writes := tl.writes
	tl.mu.Unlock()
	waitFor(t, "what commits brought to be written", func() bool {
		tl.add(news{})
		tl.mu.Lock()
		done := tl.writes >= writes+2 // the next one may have begun before
		tl.mu.Unlock()
		return done && query(t, s, "select count(*) from marks where stale")[0] == "0"
	})
}

func watermarks(t testing.TB, s *Store, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, query(t, s, watermarksSQL)); diff != "" {
		t.Error(diff)
	}
}

// A series is complete up to its first gap. A file that comes late fills it, one
// that is undone opens it again, and the battery lives while the flow is dead.
func TestWatermarks(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			s := open(t, Options{Append: appendMode, writeEvery: 1})
			c := committerOf(t, sinkOf(t, s, SinkOptions{}))
			commit(t, c, at("L1_a", "flow", every(900, 0, 9000)...), at("L1_b", "battery", every(3600, 0, 36000)...))
			written(t, s)
			watermarks(t, s, "L1|battery|36000|36000|3600|0", "L1|flow|9000|9000|900|0")
			commit(t, c, at("L1_c", "flow", 9900), at("L1_d", "flow", 10800))
			written(t, s)
			watermarks(t, s, "L1|battery|36000|36000|3600|0", "L1|flow|10800|10800|900|0")
			commit(t, c, at("L1_f", "flow", 12600, 13500))
			written(t, s)
			watermarks(t, s, "L1|battery|36000|36000|3600|0", "L1|flow|13500|10800|900|0")
			late := at("L1_e", "flow", 11700)
			commit(t, c, late)
			written(t, s)
			watermarks(t, s, "L1|battery|36000|36000|3600|0", "L1|flow|13500|13500|900|0")

			undo := Correction{Files: selected(t, s, Selection{Pattern: "L1_e"}), Read: reader([]testFile{late}, nil, nil), Action: Action{Command: "undo"}}
			if _, err := s.Correct(t.Context(), undo); err != nil {
				t.Fatal(err)
			}
			// At once, whoever comes to write it.
			watermarks(t, s, "L1|battery|36000|36000|3600|0", "L1|flow|13500|10800|900|0")
			if _, err := s.Correct(t.Context(), Correction{Files: selected(t, s, Selection{Pattern: "L1_b"}), Read: undo.Read, Action: undo.Action}); err != nil {
				t.Fatal(err)
			}
			watermarks(t, s, "L1|flow|13500|10800|900|0")
		})
	}
}

// A gap that nobody fills is waited for for seven days.
func TestOldGapIsGivenUp(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	const day = 86400
	commit(t, c, at("L1_a", "flow", every(3600, 0, day)...))
	commit(t, c, at("L1_b", "flow", every(3600, 2*day, 7*day)...))
	written(t, s)
	watermarks(t, s, fmt.Sprintf("L1|flow|%d|%d|3600|0", 7*day, day))
	commit(t, c, at("L1_c", "flow", every(3600, 7*day+3600, 10*day)...))
	written(t, s)
	watermarks(t, s, fmt.Sprintf("L1|flow|%d|%d|3600|0", 10*day, 10*day))
}

// A logger that now records more often has gaps by the new step.
func TestStepChanges(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	commit(t, c, at("L1_a", "flow", every(900, 0, 9000)...))
	written(t, s)
	for i := range int64(40) {
		commit(t, c, at(fmt.Sprintf("L1_b%d", i), "flow", every(60, 9000+600*i+60, 9600+600*i)...))
	}
	written(t, s)
	watermarks(t, s, "L1|flow|33000|33000|60|0")
	commit(t, c, at("L1_c", "flow", 33600))
	written(t, s)
	watermarks(t, s, "L1|flow|33600|33000|60|0")
}

// Held files are told for the logger that they are about.
func TestWatermarksTellHeldFiles(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	known(t, s, SinkOptions{}, guessed("L1_a", "one", 1, "flow"), guessed("L2_a", "one", 1, "flow"))
	sink := sinkOf(t, s, SinkOptions{OnChange: HoldChanged})
	if o := commit(t, committerOf(t, sink), guessed("L1_b", "two", 2, "Flow1"))[0]; o.State != ingest.Held {
		t.Fatalf("it is %s", o.State)
	}
	written(t, s)
	watermarks(t, s, "L1|flow|1|1|0|1", "L2|flow|1|1|0|0")
	b := fill(&ingest.Batch{}, testFile{path: "x", modified: begin, held: "which zone?", content: "y", layout: "three"})
	if _, err := committerOf(t, sink).Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	watermarks(t, s, "L1|flow|1|1|0|2", "L2|flow|1|1|0|1")
}

// However files come in, by how many workers of how many processes, what is
// marked in the end is what the readings say.
func TestMarksAreWhatTheReadingsSay(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var files []testFile
	for i := range 400 {
		first := int64(i/4) * 3600
		if i%97 == 0 {
			continue // a gap
		}
		files = append(files, at(fmt.Sprintf("L%d_%d", i%4, i), "flow", every(900, first, first+2700)...))
	}
	random.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	s := open(t, Options{writeEvery: 1})
	other := reopen(t, s, Options{writeEvery: 1})
	sinks := []*Sink{sinkOf(t, s, SinkOptions{}), sinkOf(t, other, SinkOptions{})}
	commitAll(t, sinks, files, 4, 7)
	written(t, other)
	written(t, s)
	got := query(t, s, watermarksSQL)
	query(t, s, "update marks set stale = true, anew = true")
	if diff := cmp.Diff(query(t, s, watermarksSQL), got); diff != "" {
		t.Errorf("(-the readings +marked):\n%s", diff)
	}
	if len(got) != 4 {
		t.Errorf("%d series are marked, want 4", len(got))
	}
}

// What a killed process did not come to mark, a daemon marks when it starts.
func TestMarksAfterAKill(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	silent := reopen(t, s, Options{untold: true})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	commit(t, c, at("L1_a", "flow", every(900, 0, 9000)...))
	written(t, s)
	commit(t, committerOf(t, sinkOf(t, silent, SinkOptions{})), at("L1_b", "flow", 9900), at("L2_a", "flow", 1))
	next := reopen(t, s, Options{writeEvery: 1})
	sinkOf(t, next, SinkOptions{Live: true})
	waitFor(t, "the marks to be moved on", func() bool {
		return slices.Equal(query(t, s, watermarksSQL), []string{"L1|flow|9900|9900|900|0", "L2|flow|1|1|0|0"})
	})
}

// Listeners are told what came, soon, and not for each commit.
func TestListenersAreTold(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	conn, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), "listen penstock"); err != nil {
		t.Fatal(err)
	}
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	other := committerOf(t, sinkOf(t, s, SinkOptions{Source: "other"}))
	began := time.Now()
	for i := range 60 {
		commit(t, c, testFile{path: fmt.Sprintf("L1_%d", i), modified: begin, readings: []testReading{{"flow", int64(i), 1, ""}, {"level", int64(i), 1, ""}}})
	}
	commit(t, other, testFile{path: "L2_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}})
	took := time.Since(began)
	var files, readings, told int64
	for files < 61 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		n, err := conn.Conn().WaitForNotification(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		var got notification
		if err := json.Unmarshal([]byte(n.Payload), &got); err != nil {
			t.Fatal(err)
		}
		told++
		var b brought
		for _, one := range got.Sources {
			b.Files += one.Files
			b.Readings += one.Readings
		}
		if b != (brought{got.Files, got.Readings}) || got.Schema != DefaultSchema {
			t.Errorf("the notification does not add up: %s", n.Payload)
		}
		files, readings = files+got.Files, readings+got.Readings
	}
	if files != 61 || readings != 121 {
		t.Errorf("told of %d files and %d readings, want 61 and 121", files, readings)
	}
	if most := int64((took+time.Second)/tellEvery) + 1; told > most {
		t.Errorf("%d notifications in %s, want at most %d", told, took, most)
	}
	one := testFile{path: "L2_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	undo(t, s, Selection{Source: "other"}, []testFile{one})
	n, err := conn.Conn().WaitForNotification(t.Context())
	if want := `{"schema":"penstock","files":1,"readings":1,"sources":{"other":{"files":1,"readings":1}}}`; err != nil || n.Payload != want {
		t.Errorf("of what is undone is told %s, %v", n.Payload, err)
	}
	many := make(map[string]brought)
	for i := range 1000 {
		many[fmt.Sprintf("source %d", i)] = brought{1, 2}
	}
	payload, err := payloadOf("penstock", many)
	if want := `{"schema":"penstock","files":1000,"readings":2000}`; err != nil || string(payload) != want {
		t.Errorf("of a thousand sources: %s, %v", payload, err)
	}
}

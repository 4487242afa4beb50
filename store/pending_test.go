package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// listed is a test file as a listing shows it.
func listed(f testFile) ingest.File {
	return ingest.File{Path: f.path, Size: int64(len(f.bytes())), Modified: f.modified * 1e6, Precision: ingest.Micro}
}

func pending(t testing.TB, s *Sink, files ...ingest.File) []ingest.Standing {
	t.Helper()
	standings, err := s.Pending(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	return standings
}

// A file is fetched again only where its size and time cannot stand for its
// content.
func TestPendingTrustsOnlyWhatItMay(t *testing.T) {
	now := ingest.Micros(time.Now())
	const second, hour, day = int64(1e6), int64(3600e6), int64(86400e6)
	cases := []struct {
		name              string
		modified, fetched int64 // of the version in the ledger
		precision         ingest.Precision
		listedAt          int64 // modified, of the listing
		listedIn          ingest.Precision
		grown             int64
		take              bool
	}{
		{"old when fetched", now - hour, now - hour + 3*second, ingest.Micro, now - hour, ingest.Micro, 0, false},
		{"young when fetched", now - hour, now - hour + 2*second, ingest.Micro, now - hour, ingest.Micro, 0, true},
		{"young when fetched, listed days later", now - 3*day, now - 3*day + second, ingest.Second, now - 3*day, ingest.Second, 0, true},
		{"from the future", now + hour, now, ingest.Micro, now + hour, ingest.Micro, 0, true},
		{"another size", now - hour, now, ingest.Micro, now - hour, ingest.Micro, 1, true},
		{"another time", now - hour, now, ingest.Micro, now - hour + 1, ingest.Micro, 0, true},
		{"another time within the listing's step", now/second*second - hour + 1, now, ingest.Micro, now/second*second - hour, ingest.Second, 0, false},
		{"a listing in seconds of another second", now/second*second - hour + 1, now, ingest.Micro, now/second*second - hour - second, ingest.Second, 0, true},
		{"archive's two seconds", now/second/2*2*second - hour, now, ingest.TwoSeconds, now/second/2*2*second - hour, ingest.TwoSeconds, 0, false},
		{"minutes are hashed for a day", now - hour, now, ingest.Minute, now - hour, ingest.Minute, 0, true},
		{"minutes after a day", now - day - hour, now, ingest.Minute, now - day - hour, ingest.Minute, 0, false},
		{"a day's file, changed late on it", now - day - hour, now - day, ingest.Day, now - day - hour, ingest.Day, 0, true},
		{"a day's file after two", now - 2*day - hour, now, ingest.Day, now - 2*day - hour, ingest.Day, 0, false},
		{"no time in the listing", now - hour, now, ingest.Micro, 0, ingest.Unknown, 0, true},
		{"no time in the ledger", 0, now, ingest.Unknown, now - hour, ingest.Micro, 0, true},
	}
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	b := &ingest.Batch{}
	var files []ingest.File
	for i, tc := range cases {
		f := testFile{path: fmt.Sprintf("L%d_a", i), readings: []testReading{{"flow", int64(i), 1, ""}}}
		fill(b, f)
		span := &b.Spans[i]
		span.File.Modified, span.File.Precision, span.Fetched = tc.modified, tc.precision, tc.fetched
		files = append(files, ingest.File{Path: f.path, Size: span.File.Size + tc.grown, Modified: tc.listedAt, Precision: tc.listedIn})
	}
	if _, err := committerOf(t, sink).Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for i, st := range pending(t, sink, files...) {
		if st.Take != cases[i].take || st.State != ingest.Loaded {
			t.Errorf("%s: take is %v, want %v (%s)", cases[i].name, st.Take, cases[i].take, st.State)
		}
	}
}

// Content that is the same with another time is known; only what the
// pre-filter goes by is refreshed.
func TestHintIsRefreshed(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	c := committerOf(t, sink)
	f := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	commit(t, c, f)
	before := query(t, s, "select id, state::text, rank, rank_time::text, generation, fetched::text, changed::text, run, chunk from files")
	touched := f
	touched.modified = begin + 500
	if st := pending(t, sink, listed(touched)); !st[0].Take {
		t.Error("a touched file is not looked at")
	}
	o := commit(t, c, touched)[0]
	if o.State != ingest.Known || o.Standing != ingest.Loaded || o.FileID == 0 || o.Generation != 1 {
		t.Errorf("a touched file is %+v", o)
	}
	if st := pending(t, sink, listed(touched)); st[0].Take {
		t.Error("a touched file is fetched at every listing")
	}
	if diff := cmp.Diff(before, query(t, s, "select id, state::text, rank, rank_time::text, generation, fetched::text, changed::text, run, chunk from files")); diff != "" {
		t.Errorf("a hint changed more than the hint: %s", diff)
	}
}

// Due files are taken whatever their size and time, and are told when they
// were first fetched, by which a plausible window counts.
func TestPendingTakesDueFiles(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	c := committerOf(t, sink)
	held := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}, held: "which zone?"}
	commit(t, c, held)
	if st := pending(t, sink, listed(held)); st[0].Take || st[0].State != ingest.Held {
		t.Errorf("a held file is taken again without being asked for: %+v", st)
	}
	markDue(t, s, Selection{})
	if st := pending(t, sink, listed(held)); !st[0].Take || st[0].State != ingest.Due || st[0].FirstFetched != (begin+1e6)*1e6 {
		t.Errorf("a due file: %+v", st)
	}
	held.held = ""
	if o := commit(t, c, held)[0]; o.State != ingest.Loaded || o.Generation != 1 {
		t.Errorf("a due file is %+v", o)
	}
	if st := pending(t, sink, listed(held)); st[0].Take {
		t.Error("a due file stays due")
	}
}

func TestPendingOfThousands(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	var files []testFile
	var all []ingest.File
	for i := range 5000 {
		f := testFile{path: fmt.Sprintf("L%d_\xff\\x%d", i%100, i), modified: begin, readings: []testReading{{"flow", int64(i), 1, ""}}}
		all = append(all, listed(f))
		if i%2 == 0 {
			files = append(files, f)
		}
	}
	commitAll(t, []*Sink{sink}, files, 1, 1000)
	for i, st := range pending(t, sink, all...) {
		if st.Take != (i%2 == 1) {
			t.Fatalf("file %d: %+v", i, st)
		}
	}
	if st := pending(t, sinkOf(t, s, SinkOptions{Source: "another"}), all[0]); !st[0].Take {
		t.Error("a file of another source is taken for this one")
	}
	if got := pending(t, sink); len(got) != 0 {
		t.Errorf("standings of nothing: %v", got)
	}
}

// Of a source that is new with the sink the ledger is not asked what it has of its
// files. What another process took meanwhile is known all the same.
func TestPendingOfANewSource(t *testing.T) {
	s := open(t, Options{})
	first := sinkOf(t, s, SinkOptions{Source: "new", Once: true})
	second := sinkOf(t, s, SinkOptions{Source: "new", Once: true})
	if !first.made || second.made {
		t.Fatalf("the source was made by the first sink: %v, by the second: %v", first.made, second.made)
	}
	f := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	commit := func(sink *Sink) ingest.State {
		b := fill(&ingest.Batch{}, f)
		b.Spans[0].New = true
		outcomes, err := committerOf(t, sink).Commit(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		return outcomes[0].State
	}
	if is := commit(second); is != ingest.Loaded {
		t.Errorf("the file is %s", is)
	}
	if st := pending(t, first, listed(f)); !st[0].Take || st[0].State != "" {
		t.Errorf("the first sink was told %+v", st[0])
	}
	if st := pending(t, second, listed(f)); st[0].State != ingest.Loaded {
		t.Errorf("the second sink was told %+v", st[0])
	}
	if is := commit(first); is != ingest.Known {
		t.Errorf("committed again, the file is %s", is)
	}
	if got := query(t, s, "select count(*) || ' ' || (select count(*) from readings) from files"); got[0] != "1 1" {
		t.Errorf("versions and readings: %s", got[0])
	}
	verify(t, s)
}

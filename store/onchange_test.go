package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// guessed is a file of a guessed layout that holds one reading of each channel.
func guessed(path, layout string, at int64, channels ...string) testFile {
	f := testFile{path: path, modified: begin + at, layout: layout, trust: ingest.Guessed, content: path}
	for _, c := range channels {
		f.readings = append(f.readings, testReading{c, at, float64(at), ""})
	}
	return f
}

// endRun ends a sink's run, so that the next one knows what it brought.
func endRun(t testing.TB, sinks ...*Sink) {
	t.Helper()
	for _, sink := range sinks {
		if err := sink.End(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// known loads files in a run of their own.
func known(t testing.TB, s *Store, o SinkOptions, files ...testFile) {
	t.Helper()
	sink := sinkOf(t, s, o)
	for _, o := range commit(t, committerOf(t, sink), files...) {
		if o.State != ingest.Loaded {
			t.Fatalf("%s is %s: %s", o.File.Path, o.State, o.Reason)
		}
	}
	endRun(t, sink)
}

// What becomes of files in which a known logger is not what it was.
func TestOnChange(t *testing.T) {
	named := func(f testFile) testFile {
		f.layout, f.trust = "", ingest.Named
		return f
	}
	approved := func(f testFile) testFile {
		f.trust = ingest.Approved
		return f
	}
	same := guessed("L1_b", "one", 2, "flow", "level")
	added := guessed("L1_b", "two", 2, "flow", "level", "temp")
	swapped := guessed("L1_b", "two", 2, "Flow1", "level")
	relaid := guessed("L1_b", "two", 2, "flow", "level")
	fewer := guessed("L1_b", "one", 2, "level")
	other := guessed("L2_b", "two", 2, "Flow1")
	for _, tc := range []struct {
		name   string
		on     OnChange
		source string
		file   testFile
		state  ingest.State
		stored int64
		reason string // a part of it; "" for none
	}{
		{"as it was", "", "", same, ingest.Loaded, 2, ""},
		{"a channel absent", "", "", fewer, ingest.Loaded, 1, ""},
		{"another logger", "", "", other, ingest.Loaded, 1, ""},
		{"a channel added", "", "", added, ingest.Loaded, 2, `channel "temp" of logger "L1" is new: is it to be stored under that name?`},
		{"a channel for another", "", "", swapped, ingest.Held, 0, `logger "L1" sends channel "Flow1" and no longer "flow": does one carry on the other?`},
		{"another layout", "", "", relaid, ingest.Held, 0, `the files of logger "L1" were of another layout so far: is this one understood rightly?`},
		{"another source", "", "depot", same, ingest.Held, 0, `logger "L1" has readings from source "loggers", and this file comes from source "depot": is it the same logger?`},
		{"to be loaded", LoadChanged, "depot", swapped, ingest.Loaded, 2, ""},
		{"named", "", "depot", named(swapped), ingest.Loaded, 2, ""},
		{"named, to be held", HoldChanged, "", named(swapped), ingest.Held, 0, `no longer "flow"`},
		{"named of another layout, to be held", HoldChanged, "", named(relaid), ingest.Loaded, 2, ""},
		{"named, a channel added", HoldChanged, "", named(added), ingest.Loaded, 2, `"temp"`},
		{"approved", HoldChanged, "depot", approved(swapped), ingest.Loaded, 2, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t, Options{})
			known(t, s, SinkOptions{}, guessed("L1_a", "one", 1, "flow", "level"))
			sink := sinkOf(t, s, SinkOptions{Source: tc.source, OnChange: tc.on})
			o := commit(t, committerOf(t, sink), tc.file)[0]
			if o.State != tc.state || o.Receipt.Cells.Stored != tc.stored || (o.Reason == "") != (tc.reason == "") || !strings.Contains(o.Reason, tc.reason) {
				t.Errorf("%s, %d stored, %q", o.State, o.Receipt.Cells.Stored, o.Reason)
			}
			withheld := int64(0)
			if o.State == ingest.Loaded {
				withheld = int64(len(tc.file.readings)) - tc.stored
			}
			if o.Receipt.Cells.Withheld != withheld {
				t.Errorf("%d withheld, want %d", o.Receipt.Cells.Withheld, withheld)
			}
			if tc.file.layout != "" && (o.Shape != nil) != (tc.reason != "") {
				t.Errorf("the shape is %+v", o.Shape)
			}
			verify(t, s)
		})
	}
}

// Whoever says which zone the times of a guessed layout are in has not said that
// a known logger may change: that is asked next, and once.
func TestChangeIsAskedThoughApproved(t *testing.T) {
	s := open(t, Options{})
	known(t, s, SinkOptions{}, guessed("L1_a", "one", 1, "flow", "level"), guessed("L2_a", "one", 1, "flow", "level"))
	approve := func() {
		t.Helper()
		if _, err := s.Approve(t.Context(), &shapesPending(t, s)[0], "name: two", selected(t, s, Selection{Shape: "two", States: []ingest.State{ingest.Held}}), Action{}); err != nil {
			t.Fatal(err)
		}
	}
	load := func(on OnChange, f testFile) ingest.Outcome {
		f.trust = ingest.Approved
		return commit(t, committerOf(t, sinkOf(t, s, SinkOptions{OnChange: on})), f)[0]
	}
	held := guessed("L1_b", "two", 2, "Flow1", "level")
	held.held = "which zone?"
	commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), held)
	approve()
	if o := load("", guessed("L3_a", "two", 2, "Flow1", "level")); o.State != ingest.Loaded || o.Reason != "" {
		t.Errorf("another logger: %s %s", o.State, o.Reason)
	}
	if o := load("", guessed("L1_c", "two", 3, "flow", "level")); o.State != ingest.Loaded || o.Reason != "" {
		t.Errorf("as it was, in the layout that was approved: %s %s", o.State, o.Reason)
	}
	if o := load(LoadChanged, guessed("L2_b", "two", 3, "Flow1", "level")); o.State != ingest.Loaded {
		t.Errorf("to be loaded: %s %s", o.State, o.Reason)
	}
	for _, on := range []OnChange{HoldGuessed, HoldChanged} {
		if o := load(on, guessed("L1_"+string(on), "two", 4, "Flow1", "level")); o.State != ingest.Held || !strings.Contains(o.Reason, `no longer "flow"`) {
			t.Errorf("%s: with a channel for another: %s %q", on, o.State, o.Reason)
		}
	}
	partly := load("", guessed("L1_d", "two", 5, "flow", "level", "temp"))
	if partly.State != ingest.Loaded || partly.Receipt.Cells.Withheld != 1 {
		t.Errorf("with a channel more: %s %+v", partly.State, partly.Receipt.Cells)
	}
	again := func(withheld int64) {
		t.Helper()
		f := guessed("L1_d", "two", 5, "flow", "level", "temp")
		f.trust = ingest.Approved
		done, err := s.Correct(t.Context(), Correction{Reload: true, Files: selected(t, s, Selection{Pattern: "L1_d"}), Read: reader([]testFile{f}, nil, nil)})
		if err != nil || done.Outcomes[0].Receipt.Cells.Withheld != withheld {
			t.Errorf("loaded again, with %d withheld: %+v, %v", withheld, done.Outcomes, err)
		}
		verify(t, s)
	}
	again(1)
	approve()
	again(0)
	for _, f := range []testFile{guessed("L1_e", "two", 6, "Flow1", "level"), guessed("L1_guessed", "two", 4, "Flow1", "level"), guessed("L2_c", "two", 7, "Flow2")} {
		if o := load(HoldChanged, f); o.State != ingest.Loaded || o.Reason != "" || o.Receipt.Cells.Withheld != 0 {
			t.Errorf("%s, answered: %s %s", f.path, o.State, o.Reason)
		}
	}
	verify(t, s)
}

// The answers that are offered carry channels on, also several at once, and never
// one that only begins like another.
func TestCarryingOn(t *testing.T) {
	for _, tc := range []struct {
		added, missing []string
		want           []string
	}{
		{[]string{"Flow1"}, []string{"flow"}, []string{"Flow1=flow"}},
		{[]string{"Q"}, []string{"flow"}, []string{"Q=flow"}},
		{[]string{"Flow1"}, []string{"battery", "flow", "flow_max"}, []string{"Flow1=flow"}},
		{[]string{"P2", "p1", "temp"}, []string{"p"}, []string{"P2=p", "p1=p", "temp=p"}},
		{[]string{"Flow1", "Level1", "temp"}, []string{"battery", "flow", "level"}, []string{"Flow1=flow Level1=level"}},
		{[]string{"p 1", "p 2"}, []string{"p1", "p2"}, []string{"p 1=p1 p 2=p2"}},
		{[]string{"p 2", "p 3"}, []string{"p1", "p2"}, []string{"p 2=p2"}},
		{[]string{"battery", "flow_max"}, []string{"flow", "level"}, nil},
		{[]string{"Flow"}, []string{"flow1", "flow2", "level"}, []string{"Flow=flow1", "Flow=flow2"}},
		{[]string{"temp"}, []string{"battery", "flow_max"}, nil},
		{[]string{"1", "2", "3", "4", "5"}, []string{"a"}, []string{"1=a", "2=a", "3=a", "4=a"}},
	} {
		var got []string
		for _, answer := range carryingOn(tc.added, tc.missing) {
			got = append(got, strings.Join(answer.Map, " "))
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%q for %q: %s", tc.added, tc.missing, diff)
		}
	}
}

// A channel whose column is there and empty did not go.
func TestEmptyColumnIsNotMissing(t *testing.T) {
	s := open(t, Options{})
	known(t, s, SinkOptions{}, guessed("L1_a", "flow", 1, "flow", "level"))
	file := guessed("L1_b", "flow", 2, "level", "temp") // its header has flow
	if o := commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), file)[0]; o.State != ingest.Loaded || o.Receipt.Cells.Withheld != 1 {
		t.Errorf("%s, %+v: %s", o.State, o.Receipt.Cells, o.Reason)
	}
}

// It does not matter in which chunks, by how many workers, in how many tries a
// run's files are committed.
func TestOnChangeHoweverCommitted(t *testing.T) {
	var first, second []testFile
	for i := range 60 {
		logger := fmt.Sprintf("L%d", i%12)
		at := int64(i)
		first = append(first, guessed(logger+fmt.Sprintf("_a%d", i), "one", at, "flow", "level"))
		switch i % 6 {
		case 0:
			second = append(second, guessed(logger+fmt.Sprintf("_b%d", i), "two", 100+at, "flow", "level", "temp", "temp"))
		case 1:
			second = append(second, guessed(logger+fmt.Sprintf("_b%d", i), "two", 100+at, "flux", "level"))
		case 2:
			second = append(second, guessed("N"+logger+fmt.Sprintf("_b%d", i), "two", 100+at, "flux", "level"),
				guessed("N"+logger+fmt.Sprintf("_c%d", i), "three", 100+at, "flux"), guessed("N"+logger+fmt.Sprintf("_d%d", i), "two", 200+at, "flux", "temp"))
		case 3:
			second = append(second, guessed(logger+fmt.Sprintf("_b%d", i), "three", 100+at, "flow"))
		default:
			second = append(second, guessed(logger+fmt.Sprintf("_b%d", i), "one", 100+at, "flow"))
		}
	}
	var want []string
	for _, how := range []struct {
		workers, chunk int
		cut            bool
	}{{1, 1000, false}, {1, 1, false}, {4, 7, false}, {2, 5, true}} {
		s := open(t, Options{})
		known(t, s, SinkOptions{}, first...)
		files := slices.Clone(second)
		slices.Reverse(files)
		if how.cut { // and begun again: what was loaded meanwhile is not known yet
			commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, second[:len(second)/2], how.workers, how.chunk)
		}
		sink := sinkOf(t, s, SinkOptions{})
		commitAll(t, []*Sink{sink}, files, how.workers, how.chunk)
		endRun(t, sink)
		got := append(contents(t, s), query(t, s, "select shape, path from held join files on id = file_id order by 2")...)
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: %s", how, diff)
		}
		verify(t, s)
		// What is the same again later is judged by what came to be known.
		later := sinkOf(t, s, SinkOptions{})
		if o := commit(t, committerOf(t, later), guessed("NL2_z", "three", 900, "flux"), guessed("NL2_y", "four", 900, "flux")); o[0].State != ingest.Loaded || o[1].State != ingest.Held {
			t.Errorf("%+v: of a new logger, later: %v", how, states(o))
		}
	}
}

// What is withheld stays so when a file's readings are put back, and when it is
// loaded again as it was; what is approved loads.
func TestWithheldThroughCorrections(t *testing.T) {
	s := open(t, Options{})
	known(t, s, SinkOptions{}, guessed("L1_a", "one", 1, "flow"))
	partly := guessed("L1_b", "two", 2, "flow", "temp")
	above := guessed("L1_c", "one", 3, "flow")
	above.readings[0].time = 2 // displaces it
	sink := sinkOf(t, s, SinkOptions{})
	if o := commit(t, committerOf(t, sink), partly)[0]; o.Receipt.Cells.Withheld != 1 {
		t.Fatalf("%s %s %+v", o.State, o.Reason, o.Receipt.Cells)
	}
	commit(t, committerOf(t, sink), above)
	endRun(t, sink)
	files := []testFile{partly, above}
	if _, err := s.Correct(t.Context(), Correction{Files: selected(t, s, Selection{Pattern: "L1_c"}), Read: reader(files, nil, nil)}); err != nil {
		t.Fatal(err)
	}
	waiting := func(step string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, query(t, s, `select f.path, f.state::text, r.withheld, r.stored, h.shape, f.reason <> '' from files f
			join receipts r on r.file_id = f.id left join held h on h.file_id = f.id where path = 'L1_b'`)); diff != "" {
			t.Errorf("%s: %s", step, diff)
		}
		verify(t, s)
	}
	waiting("put back", "L1_b|loaded|1|1|two|true")
	if _, err := s.Correct(t.Context(), Correction{Reload: true, Files: selected(t, s, Selection{Pattern: "L1_b"}), Read: reader(files, nil, nil)}); err != nil {
		t.Fatal(err)
	}
	waiting("loaded again as it was", "L1_b|loaded|1|1|two|true")
	if _, err := s.Approve(t.Context(), &shapesPending(t, s)[0], "name: two", nil, Action{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Correct(t.Context(), Correction{Reload: true, Files: selected(t, s, Selection{Pattern: "L1_b"}),
		Read: reader(files, nil, func(f testFile) testFile { f.trust = ingest.Approved; return f })}); err != nil {
		t.Fatal(err)
	}
	waiting("approved", "L1_b|loaded|0|2|<nil>|<nil>")
	if _, err := s.Correct(t.Context(), Correction{Files: selected(t, s, Selection{Pattern: "L1_b"}), Read: reader(files, nil, nil)}); err != nil {
		t.Fatal(err)
	}
	if got := query(t, s, "select count(*) from held"); got[0] != "0" {
		t.Errorf("%s files wait", got[0])
	}
}

// A file with a channel withheld is no duplicate of one that has it.
func TestWithheldIsNoDuplicate(t *testing.T) {
	s := open(t, Options{})
	known(t, s, SinkOptions{}, guessed("L1_a", "one", 1, "flow"))
	f := guessed("L1_b", "two", 2, "flow", "temp")
	copied := f
	copied.path = "L1_c"
	sink := sinkOf(t, s, SinkOptions{})
	if o := commit(t, committerOf(t, sink), f, copied); o[0].Receipt.Cells.Withheld != 1 || o[1].Receipt.Cells.Withheld != 1 || o[0].State == o[1].State {
		t.Errorf("two of one content: %v", o)
	}
	endRun(t, sink)
	known(t, s, SinkOptions{OnChange: LoadChanged}, guessed("L1_d", "one", 3, "temp"))
	third := f
	third.path = "L1_e"
	if o := commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), third)[0]; o.State != ingest.Loaded || o.Receipt.Cells.Stored != 1 {
		t.Errorf("with the channel it is %s %s %+v", o.State, o.Reason, o.Receipt.Cells)
	}
	verify(t, s)
}

// In the steady state a change costs no look at the database: a chunk is as
// many round trips as one that is not judged.
func TestOnChangeIsRemembered(t *testing.T) {
	s := open(t, Options{})
	known(t, s, SinkOptions{}, guessed("L1_a", "one", 1, "flow"))
	sink := sinkOf(t, s, SinkOptions{OnChange: HoldChanged})
	c := committerOf(t, sink)
	b := &ingest.Batch{}
	for i := range 3 {
		b.Reset()
		if _, err := c.Commit(t.Context(), fill(b, guessed(fmt.Sprintf("L1_%d", i), "one", int64(10+i), "flow"))); err != nil {
			t.Fatal(err)
		}
	}
	if n := query(t, s, "select count(*) from feeds")[0]; n != "1" {
		t.Errorf("%s feeds, want 1", n)
	}
	before := sink.before.Load().loggers.known["L1"]
	b.Reset()
	if _, err := c.Commit(t.Context(), fill(b, guessed("L1_9", "one", 19, "flow"))); err != nil {
		t.Fatal(err)
	}
	if sink.before.Load().loggers.known["L1"] != before || len(sink.feeds.fed) != 1 {
		t.Error("the logger was looked up again")
	}
}

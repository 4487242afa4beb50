package store

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

func shapesPending(t testing.TB, s *Store) []Pending {
	t.Helper()
	all, err := s.Pending(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// heldFile is a file whose layout leaves its zone open.
func heldFile(path, layout string, at int64) testFile {
	f := guessed(path, layout, at, "flow")
	f.held = "which zone?"
	return f
}

// The files of a shape wait together, and what is approved is there for all of
// them; said again, it is done once.
func TestApprove(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	first, second, other := heldFile("L1_a", "one", 1), heldFile("L2_a", "one", 2), heldFile("L3_a", "two", 3)
	commit(t, c, first, second, other, guessed("L4_a", "three", 4, "flow"))
	waiting := shapesPending(t, s)
	if len(waiting) != 2 || waiting[0].ID != "one" || waiting[0].Held != 2 || waiting[0].Example != "L1_a" || waiting[0].Answered || waiting[0].Seen.IsZero() {
		t.Fatalf("waiting are %+v", waiting)
	}
	want := ingest.Shape{ID: "one", Profile: "name: one", Header: []string{"time", "one"}, Question: "which zone?", Asks: "zone"}
	if diff := cmp.Diff(want, waiting[0].Shape); diff != "" {
		t.Error(diff)
	}
	files := selected(t, s, Selection{Shape: "one"})
	for _, want := range []int64{2, 0} {
		marked, err := s.Approve(t.Context(), &waiting[0], "name: answered", files, Action{OSUser: "me", Command: "approve"})
		if err != nil || marked != want {
			t.Fatal(marked, err)
		}
	}
	if diff := cmp.Diff([]string{"2|approve"}, query(t, s, "select files, command from actions")); diff != "" {
		t.Error(diff)
	}
	// Due, they still wait: who approves again after a crash finds them.
	if waiting = shapesPending(t, s); len(waiting) != 2 || waiting[0].Held != 2 || !waiting[0].Answered || waiting[0].Approved != "name: answered" {
		t.Errorf("due are %+v", waiting)
	}
	approved, err := s.Approved(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"one": "name: answered"}, approved); diff != "" {
		t.Error(diff)
	}
	first.held, first.trust, second.held = "", ingest.Approved, ""
	first.content, second.content = "L1_a", "L2_a"
	for i, o := range commit(t, c, first, second) {
		if o.State != ingest.Loaded || o.Generation != 1 {
			t.Errorf("%d is %s %s", i, o.State, o.Reason)
		}
	}
	if waiting = shapesPending(t, s); len(waiting) != 1 || waiting[0].ID != "two" {
		t.Errorf("waiting are %+v", waiting)
	}
	verify(t, s)
}

// Of two who answer at once, the second is told: files are not read in two ways.
func TestAnsweredMeanwhile(t *testing.T) {
	s := open(t, Options{})
	commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), heldFile("L1_a", "one", 1))
	seen, files := shapesPending(t, s)[0], selected(t, s, Selection{Shape: "one"})
	for _, tc := range []struct {
		profile string
		marked  int64
		err     error
	}{{"name: london", 1, nil}, {"name: london", 0, nil}, {"name: paris", 0, ErrAnswered}} {
		if marked, err := s.Approve(t.Context(), &seen, tc.profile, files, Action{}); marked != tc.marked || !errors.Is(err, tc.err) {
			t.Errorf("%s: %d, %v", tc.profile, marked, err)
		}
	}
	seen = shapesPending(t, s)[0]
	if _, err := s.Approve(t.Context(), &seen, "name: paris", files, Action{}); err != nil {
		t.Errorf("changed by who knew of the first answer: %v", err)
	}
	if got := shapesPending(t, s)[0]; got.Approved != "name: paris" {
		t.Errorf("approved is %s", got.Approved)
	}
}

// A question that was answered is not asked again by who does not know yet; one
// that comes up later is.
func TestQuestionsOfAShape(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	commit(t, c, heldFile("L1_a", "one", 1))
	later := heldFile("L1_b", "one", 2)
	later.held = "which hour?"
	commit(t, c, later)
	if got := shapesPending(t, s)[0]; got.Question != "which zone?" || got.Held != 2 {
		t.Errorf("the first question waits no more: %+v", got)
	}
	if _, err := s.Approve(t.Context(), &shapesPending(t, s)[0], "name: answered", nil, Action{}); err != nil {
		t.Fatal(err)
	}
	commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), heldFile("L1_c", "one", 3))
	if got := shapesPending(t, s)[0]; !got.Answered || got.Approved != "name: answered" {
		t.Errorf("a process that knew of no answer took it back: %+v", got)
	}
	later.path, later.content = "L1_d", "L1_d"
	commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), later)
	if got := shapesPending(t, s)[0]; got.Answered || got.Question != "which hour?" || got.Held != 4 || got.Approved != "name: answered" {
		t.Errorf("a new question is %+v", got)
	}
}

// What is odd about a file that loads is kept with it.
func TestNotesAreKept(t *testing.T) {
	s := open(t, Options{})
	known(t, s, SinkOptions{}, guessed("L1_a", "one", 1, "flow"))
	noted := guessed("L1_b", "one", 2, "flow")
	noted.notes = []string{"the clock jumps", "it declares 3 records and has 1"}
	both := guessed("L1_c", "two", 3, "flow", "temp")
	both.notes = noted.notes
	for i, o := range commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), noted, both) {
		want := []string{"the clock jumps; it declares 3 records and has 1",
			`channel "temp" of logger "L1" is new: is it to be stored under that name?; the clock jumps; it declares 3 records and has 1`}[i]
		if o.State != ingest.Loaded || o.Reason != want {
			t.Errorf("%s: %q", o.State, o.Reason)
		}
		if v := selected(t, s, Selection{IDs: []int64{o.FileID}})[0]; v.Reason != want || v.Trust != ingest.Guessed || (v.Shape == "two") != (i == 1) {
			t.Errorf("the ledger has %+v", v)
		}
	}
}

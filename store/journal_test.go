package store

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// tell collects what a journal tells, the files by their paths and states.
func tell(t *testing.T, j *Journal) (files []string, mark []byte) {
	t.Helper()
	_, err := j.Tell(t.Context(), func(doc []byte) error {
		if IsMark(doc) {
			mark = slices.Clone(doc)
		}
		var d struct {
			File struct{ Path, State string } `json:"file"`
		}
		if err := json.Unmarshal(doc, &d); err != nil {
			return err
		}
		if d.File.Path != "" {
			files = append(files, d.File.Path+" "+d.File.State)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files, mark
}

// TestJournal tells each change once, also one whose transaction began before
// others were told and ended after; and goes on from a mark.
func TestJournal(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{Source: "site"}))
	j, err := s.Journal(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(j *Journal, want string) (mark []byte) {
		t.Helper()
		files, mark := tell(t, j)
		if got := strings.Join(files, ", "); got != want {
			t.Errorf("told of %q, want %q", got, want)
		}
		return mark
	}
	commit(t, c, testFile{path: "a", readings: []testReading{{"flow", 1, 1, ""}}}, testFile{path: "b", readings: []testReading{{"flow", 2, 1, ""}}})
	expect(j, "a loaded, b loaded")
	if mark := expect(j, ""); mark != nil {
		t.Error("there is a mark though nothing changed")
	}

	late, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Exec(t.Context(), "update files set state = 'undone', changed = now() where path = 'a'"); err != nil {
		t.Fatal(err)
	}
	commit(t, c, testFile{path: "c", readings: []testReading{{"flow", 3, 1, ""}}})
	mark := expect(j, "c loaded")
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(j, "a undone")
	expect(j, "")

	// Another process goes on from the mark, and misses nothing.
	other, err := s.Journal(t.Context(), mark)
	if err != nil {
		t.Fatal(err)
	}
	expect(other, "a undone, c loaded")
	all, err := s.Journal(t.Context(), []byte(`{"mark":{"ledger":"of another database","at":4000000000000000}}`))
	if err != nil {
		t.Fatal(err)
	}
	expect(all, "a undone, b loaded, c loaded")
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"penstock/ingest"
	"penstock/store"
	"penstock/store/pglocal/pgtest"
)

// Of more shapes than are told of one by one, those count that files wait for: none
// is told twice, and none that nobody waits for takes the place of another.
func TestQuestionsOfARebuild(t *testing.T) {
	const waiting = maxQuestions + 3
	url, dir := pgtest.Database(t), t.TempDir()
	for i := range waiting {
		text := fmt.Sprintf("When,Stage%s\n03/04/2025 00:00,4.5\n03/04/2025 00:15,4.5\n", strings.Repeat("x", i))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("d-S%03d.csv", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	penstock(t, exitTrouble, "--store", url, "replay", dir)
	s, err := store.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	shapes, err := s.Pending(t.Context())
	if err != nil || len(shapes) != waiting {
		t.Fatalf("files wait for %d shapes, want %d; %v", len(shapes), waiting, err)
	}
	for _, c := range []struct{ settled, loaded, told, rest, before int }{
		{5, waiting, maxQuestions, 3, 0},
		{5, waiting - 2, maxQuestions, 1, 2},
		{maxQuestions, 10, 10, 0, waiting - 10},
	} {
		total := &result{tally: newTally()}
		total.allShapes = true
		held := func(shape *ingest.Shape) {
			total.add(&ingest.Outcome{File: ingest.File{Path: shape.ID + ".csv"}, State: ingest.Held, Reason: shape.Question, Shape: shape})
		}
		for i := range c.settled {
			held(&ingest.Shape{ID: fmt.Sprintf("settled%d", i), Question: "which zone?"})
		}
		for i := range shapes[:c.loaded] {
			held(&shapes[i].Shape)
		}
		b := &rebuilding{app: &app{work: context.WithoutCancel(t.Context())}, store: &opened{Store: s}, total: total}
		before, err := b.completeQuestions()
		if err != nil {
			t.Fatal(err)
		}
		if len(total.questions) != c.told || total.moreQuestions != int64(c.rest) || before != int64(c.before) {
			t.Errorf("of %d shapes and %d that are settled, %d are told of, %d files have other questions, and %d shapes wait since before; want %d, %d and %d",
				c.loaded, c.settled, len(total.questions), total.moreQuestions, before, c.told, c.rest, c.before)
		}
		for _, q := range total.questions {
			if !q.complete {
				t.Errorf("%+v is told of, for which nobody waits", q)
			}
		}
	}
}

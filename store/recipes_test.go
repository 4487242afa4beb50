package store

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sync/errgroup"

	"penstock/ingest"
)

// TestRecipesOfManyFiles holds that files of a recipe each get them, from
// several workers and runs at once, in any order, and each recipe once.
func TestRecipesOfManyFiles(t *testing.T) {
	s := open(t, Options{})
	const files = 300
	recipes := make([]*ingest.Recipe, files)
	for i := range recipes {
		recipes[i] = &ingest.Recipe{Digest: ingest.Digest{byte(i), byte(i >> 8), 7}, Profile: "test", Zone: "UTC", Settings: fmt.Sprintf(`{"n":%d}`, i), Text: "name: test"}
	}
	var workers errgroup.Group
	for w := range 4 {
		sink := sinkOf(t, s, SinkOptions{Source: fmt.Sprint("source-", w/2)})
		c := committerOf(t, sink)
		random := rand.New(rand.NewPCG(1, uint64(w)))
		workers.Go(func() error {
			b := &ingest.Batch{}
			for _, i := range random.Perm(files) {
				fill(b, testFile{path: fmt.Sprintf("L%d_%d.csv", i, w), readings: []testReading{{"flow", int64(i), 1, ""}}})
				b.Spans[len(b.Spans)-1].Recipe = recipes[i]
				if len(b.Spans) < 50 {
					continue
				}
				if _, err := c.Commit(t.Context(), b); err != nil {
					return err
				}
				b.Reset()
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := query(t, s, "select count(*), count(distinct digest) from recipes"); got[0] != "300|300" {
		t.Errorf("recipes: %v", got)
	}
	if got := query(t, s, "select count(*) from files f join recipes r on r.id = f.recipe where (regexp_match(f.path, 'L(\\d+)_'))[1] = r.settings::json->>'n'"); got[0] != fmt.Sprint(4*files) {
		t.Errorf("files with their own recipe: %v", got)
	}
	again, err := s.Recipe(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	if want := recipes[int(again.Digest[0])+int(again.Digest[1])<<8]; *again != *want {
		t.Errorf("a recipe came back as %+v, not as %+v", again, want)
	}
}

package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// A history is a random sequence of what files and people do to a store: new
// paths, new generations, contents that come back, copies; undo, retry, reload
// with another recipe. Whatever happened, what stands follows from the
// versions that the ledger says are loaded, and from nothing else.
type history struct {
	t       testing.TB
	s       *Store
	policy  Policy
	random  *rand.Rand
	sums    map[ingest.Digest]testFile // by content, as the first recipe reads it
	recipe  *ingest.Recipe             // in force
	actions []string                   // so far
}

// mendedRecipe reads every instant one later than testRecipe.
var mendedRecipe = &ingest.Recipe{Digest: ingest.Digest{9}, Profile: "mended", Text: "name: mended"}

func TestHistories(t *testing.T) {
	seeds, steps := 2, 25
	if os.Getenv("PENSTOCK_SOAK") != "" {
		seeds, steps = 40, 60
	}
	for _, appendMode := range []bool{false, true} {
		for _, policy := range []Policy{Latest, Earliest} {
			for seed := range uint64(seeds) {
				t.Run(fmt.Sprintf("append=%v/%s/%d", appendMode, policy, seed), func(t *testing.T) {
					h := &history{t: t, s: open(t, Options{Append: appendMode}), policy: policy, random: rand.New(rand.NewPCG(seed, 77)),
						sums: make(map[ingest.Digest]testFile), recipe: testRecipe}
					c := committerOf(t, sinkOf(t, h.s, SinkOptions{Policy: policy}))
					for range steps {
						h.step(c)
						if !h.holds() {
							t.Fatalf("after %q", h.actions)
						}
					}
				})
			}
		}
	}
}

func (h *history) step(c ingest.Committer) {
	versions := selected(h.t, h.s, Selection{})
	h.random.Shuffle(len(versions), func(i, j int) { versions[i], versions[j] = versions[j], versions[i] })
	some := versions[:min(len(versions), 1+h.random.IntN(3))]
	act := h.random.IntN(10)
	switch {
	case act < 6 || len(some) == 0:
		h.load(c)
	case act < 8:
		h.correct(some, false)
	case act < 9:
		h.recipe = []*ingest.Recipe{testRecipe, mendedRecipe}[h.random.IntN(2)]
		h.correct(some, true)
	default:
		h.actions = append(h.actions, "retry all")
		if _, err := h.s.MarkDue(h.t.Context(), versions, Action{Command: "retry"}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// load commits a few files, of which most are there in some version.
func (h *history) load(c ingest.Committer) {
	var files []testFile
	for range 1 + h.random.IntN(4) {
		logger, content := h.random.IntN(2), h.random.IntN(4)
		f := testFile{path: fmt.Sprintf("L%d_%d", logger, h.random.IntN(3)), modified: begin + h.random.Int64N(5),
			content: fmt.Sprintf("%d of L%d", content, logger), isNew: h.random.IntN(3) == 0}
		fixed := rand.New(rand.NewPCG(uint64(content), uint64(logger)))
		for range 2 + content {
			f.readings = append(f.readings, testReading{"flow", fixed.Int64N(8), float64(content), ""})
		}
		if !slices.ContainsFunc(files, func(g testFile) bool { return g.path == f.path }) {
			files = append(files, f)
			h.sums[sha256.Sum256([]byte(f.content))] = f
		}
	}
	b := &ingest.Batch{}
	for _, f := range files {
		h.read(b, f, h.recipe)
		h.actions = append(h.actions, fmt.Sprintf("load %s: %s at %d by %s", f.path, f.content, f.modified-begin, h.recipe.Profile))
	}
	if _, err := c.Commit(h.t.Context(), b); err != nil {
		h.t.Fatal(err)
	}
}

// read fills in a file as a recipe reads it.
func (h *history) read(b *ingest.Batch, f testFile, r *ingest.Recipe) {
	f.readings = instants(f, r.Profile)
	fill(b, f)
	b.Spans[len(b.Spans)-1].Recipe = r
}

func instants(f testFile, profile string) []testReading {
	readings := slices.Clone(f.readings)
	for i := range readings {
		if profile == mendedRecipe.Profile {
			readings[i].time++
		}
	}
	return readings
}

func (h *history) correct(versions []FileVersion, reload bool) {
	for _, v := range versions {
		h.actions = append(h.actions, fmt.Sprintf("reload %v %s/%d by %s", reload, v.Path, v.Generation, h.recipe.Profile))
	}
	_, err := h.s.Correct(h.t.Context(), Correction{Files: versions, Reload: reload,
		Read: func(_ context.Context, v FileVersion, again bool, b *ingest.Batch) error {
			f := h.sums[v.Sum]
			f.path = v.Path
			r := testRecipe
			if again {
				r = h.recipe
			} else if v.Profile == mendedRecipe.Profile {
				r = mendedRecipe
			}
			h.read(b, f, r)
			return nil
		}})
	if err != nil {
		h.t.Fatalf("%v, after %q", err, h.actions)
	}
}

// holds compares what stands with what follows from the ledger.
func (h *history) holds() bool {
	versions := selected(h.t, h.s, Selection{})
	stands := make(map[string]*FileVersion) // by logger and instant
	either := make(map[int64]bool)
	var want []string
	for i := range versions {
		v := &versions[i]
		if v.State == ingest.Duplicate && h.newest(versions, v) && !h.hasTwin(versions, v) {
			h.t.Errorf("%s is a duplicate of nothing", v.Path)
		}
		if v.State != ingest.Loaded {
			continue
		}
		if h.s.layout.Append && !h.newest(versions, v) {
			continue
		}
		if h.s.layout.Append && slices.ContainsFunc(versions, func(o FileVersion) bool {
			return o.Path == v.Path && o.Generation > v.Generation && o.State == ingest.Due
		}) {
			// Either the later one has held the path's readings, and will again, or
			// it never has.
			either[v.ID] = true
			continue
		}
		seen := make(map[int64]bool)
		for _, r := range instants(h.sums[v.Sum], v.Profile) {
			if seen[r.time] {
				continue
			}
			seen[r.time] = true
			at := fmt.Sprintf("%s|%d", v.Path[:2], r.time)
			if h.s.layout.Append {
				want = append(want, h.row(at, v))
			} else if o := stands[at]; o == nil || h.policy.wins(rankOf(v, FileKey(v.Source, v.Path)), rankOf(o, FileKey(o.Source, o.Path))) {
				stands[at] = v
			}
		}
	}
	for at, v := range stands {
		want = append(want, h.row(at, v))
	}
	slices.Sort(want)
	got := query(h.t, h.s, "select s.logger, extract(epoch from ts)::int8 - 1700000000, r.value, r.file_id from readings r join series s on s.id = r.series_id")
	got = slices.DeleteFunc(got, func(row string) bool {
		id, err := strconv.ParseInt(row[strings.LastIndex(row, "|")+1:], 10, 64)
		return err == nil && either[id]
	})
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("(-what follows from the ledger +what stands):\n%s", diff)
	}
	verify(h.t, h.s)
	return !h.t.Failed()
}

func (h *history) row(at string, v *FileVersion) string {
	return fmt.Sprintf("%s|%v|%d", at, h.sums[v.Sum].readings[0].value, v.ID)
}

// newest reports whether no later version of the path stands.
func (h *history) newest(versions []FileVersion, v *FileVersion) bool {
	return !slices.ContainsFunc(versions, func(o FileVersion) bool {
		return o.Path == v.Path && o.Generation > v.Generation && (o.State == ingest.Loaded || o.State == ingest.Duplicate)
	})
}

// hasTwin reports whether a loaded version has the content of a duplicate, and
// still holds it.
func (h *history) hasTwin(versions []FileVersion, v *FileVersion) bool {
	if slices.ContainsFunc(versions, func(o FileVersion) bool { return o.Path == v.Path && o.Generation > v.Generation }) {
		return true // undone or held above it: nobody takes it up, whatever becomes of its twin
	}
	return slices.ContainsFunc(versions, func(o FileVersion) bool {
		return o.State == ingest.Loaded && o.Sum == v.Sum && o.Profile == v.Profile && (!h.s.layout.Append || h.newest(versions, &o))
	})
}

package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// What is loaded is held against the rules themselves, written down in a few lines
// here, and not against another way to load it.

// A model is files of a few loggers, and which of them were undone.
type model struct {
	files  []testFile
	undone map[string]bool // by path
	policy Policy
	append bool // each file keeps its own
}

// wins is Policy.wins over two files of first generations.
func (m *model) wins(a, b *testFile) bool {
	order := cmp.Or(cmp.Compare(a.modified, b.modified), cmp.Compare(a.path, b.path))
	return order > 0 != (m.policy == Earliest)
}

// loaded is the files that are to be loaded: of those with the same bytes, of one
// logger, the one that wins.
func (m *model) loaded() map[string]*testFile {
	of := make(map[string]*testFile)
	for i := range m.files {
		f := &m.files[i]
		content := f.path[:2] + f.bytes()
		if !m.undone[f.path] && (of[content] == nil || m.wins(f, of[content])) {
			of[content] = f
		}
	}
	files := make(map[string]*testFile)
	for _, f := range of {
		files[f.path] = f
	}
	return files
}

// lines is the last line of a file for each of its instants.
func (m *model) lines(f *testFile) map[string]testReading {
	last := make(map[string]testReading)
	for _, r := range f.readings {
		last[fmt.Sprintf("%s|%s|%d", f.path[:2], r.channel, r.time)] = r
	}
	return last
}

// contents is what is to stand, and what is to become of each file: how many lines of
// it repeat others, and how many of the rest are its own in the end.
func (m *model) contents() (stands, files []string) {
	type reading struct {
		testReading
		of *testFile
	}
	at := make(map[string]reading)
	loaded := m.loaded()
	for _, f := range loaded {
		for instant, r := range m.lines(f) {
			if m.append {
				instant += "|" + f.path
			}
			if at[instant].of == nil || m.wins(f, at[instant].of) {
				at[instant] = reading{r, f}
			}
		}
	}
	owns := make(map[string]int)
	for instant, r := range at {
		quality := r.quality
		if quality == "" {
			quality = "<nil>"
		}
		instant = strings.TrimSuffix(instant, "|"+r.of.path)
		stands = append(stands, fmt.Sprintf("%s|%v|%s|%s", instant, r.value, quality, r.of.path))
		owns[r.of.path]++
	}
	slices.Sort(stands)
	for i := range m.files {
		f := &m.files[i]
		state, n, kept := ingest.Duplicate, len(f.readings), len(m.lines(f))
		switch {
		case m.undone[f.path]:
			files = append(files, f.path+"|undone|0")
			continue
		case loaded[f.path] != nil:
			state = ingest.Loaded
		}
		files = append(files, fmt.Sprintf("%s|%s|%d|%d|%d|%d", f.path, state, owns[f.path], n, n-kept, kept))
	}
	slices.Sort(files)
	return stands, files
}

// check holds the store against the model.
func (m *model) check(t *testing.T, s *Store, when string) {
	t.Helper()
	stands, files := m.contents()
	got := query(t, s, `select logger, channel, extract(epoch from ts)::int8 - 1700000000, value, quality, path from observations`)
	slices.Sort(got)
	if diff := gocmp.Diff(stands, got); diff != "" {
		t.Fatalf("%s, readings (-want +got):\n%s", when, diff)
	}
	got = query(t, s, `select path || '|' || state || '|' || (select count(*) from readings where file_id = f.id)
			|| case when state <> 'undone' then '|' || r.cells || '|' || r.repeated || '|' || r.stored + r.replaced + r.unchanged + r.outranked else '' end
		from files f left join receipts r on r.file_id = f.id`)
	slices.Sort(got)
	if diff := gocmp.Diff(files, got); diff != "" {
		t.Fatalf("%s, files (-want +got):\n%s", when, diff)
	}
	verify(t, s)
	nothingLoads(t, s)
}

// newModel makes n files of windows that roll on, with steps of so many seconds, have
// gaps, repeat lines, agree, contradict one another and are equal.
func newModel(random *rand.Rand, policy Policy, n int, step int64) *model {
	m := &model{policy: policy, undone: make(map[string]bool)}
	values := []float64{0, math.Copysign(0, -1), 1, 2.5}
	for i := range n {
		f := testFile{path: fmt.Sprintf("L%d_%03d", random.IntN(2), i), modified: begin + random.Int64N(int64(n)), isNew: random.IntN(2) == 0}
		if i > 3 && random.IntN(8) == 0 {
			of := &m.files[random.IntN(i)]
			f.path, f.readings = of.path[:2]+f.path[2:], of.readings
			m.files = append(m.files, f)
			continue
		}
		every := 1 + random.Int64N(2)
		value, mixed := values[random.IntN(4)], random.IntN(3) == 0
		for _, channel := range []string{"flow", "level", "battery"}[:1+random.IntN(3)] {
			from, gaps := random.Int64N(40), random.IntN(3) == 0
			for at := from; at < from+2+random.Int64N(20); at += every {
				if mixed {
					value = values[random.IntN(4)]
				}
				if !gaps || random.IntN(4) > 0 {
					f.readings = append(f.readings, testReading{channel, at * step, value, []string{"", "", "q"}[random.IntN(3)]})
				}
			}
		}
		for random.IntN(4) == 0 && len(f.readings) > 0 {
			again := f.readings[random.IntN(len(f.readings))]
			again.value = values[random.IntN(4)]
			f.readings = append(f.readings, again)
		}
		if len(f.readings) == 0 {
			f.readings = []testReading{{"flow", 0, 1, ""}}
		}
		m.files = append(m.files, f)
	}
	return m
}

// load commits all files in some order, by some workers of some sinks, cut into
// chunks and parts somehow.
func (m *model) load(t *testing.T, s *Store, random *rand.Rand) {
	t.Helper()
	files := slices.Clone(m.files)
	if random.IntN(2) == 0 {
		random.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	} else {
		slices.SortFunc(files, func(a, b testFile) int {
			return cmp.Or(cmp.Compare(a.modified, b.modified), cmp.Compare(a.path, b.path))
		})
	}
	type piece struct {
		files []testFile
		part  int // readings of each part; 0 where it is a chunk
	}
	work := make(chan piece, len(files))
	most := 1 + random.IntN(10)
	for len(files) > 0 {
		p := piece{files: files[:min(1+random.IntN(most), len(files))]}
		if random.IntN(5) == 0 {
			p = piece{files[:1], 1 + random.IntN(6)}
		}
		work <- p
		files = files[len(p.files):]
	}
	close(work)
	sinks := []*Sink{sinkOf(t, s, SinkOptions{Policy: m.policy})}
	if random.IntN(3) == 0 {
		sinks = append(sinks, sinkOf(t, s, SinkOptions{Policy: m.policy}))
	}
	for _, sink := range sinks {
		if !m.append && random.IntN(2) == 0 {
			sink.meetings.met(random.IntN(2) == 0)
		}
	}
	var wg sync.WaitGroup
	for w := range 1 + random.IntN(3) {
		c := committerOf(t, sinks[w%len(sinks)])
		wg.Go(func() {
			defer c.Close()
			for p := range work {
				if p.part > 0 {
					inParts(t, c, p.files[0], p.part).load()
				} else if _, err := c.Commit(context.Background(), fill(&ingest.Batch{}, p.files...)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// play loads, undoes and takes up again, and holds what stands against the model
// each time. between is called before each step.
func (m *model) play(t *testing.T, s *Store, random *rand.Rand, between func()) {
	t.Helper()
	m.load(t, s, random)
	m.check(t, s, "loaded")
	for range 2 {
		between()
		var out []FileVersion
		for _, v := range selected(t, s, Selection{}) {
			if random.IntN(4) == 0 {
				out, m.undone[v.Path] = append(out, v), true
			}
		}
		if _, err := s.Correct(t.Context(), Correction{Files: out, Read: bytesOf(m.files)}); err != nil {
			t.Fatal(err)
		}
		between()
		m.load(t, s, random) // the copies of what was undone
		m.check(t, s, "undone")
		between()
		markDue(t, s, Selection{})
		clear(m.undone)
		m.load(t, s, random)
		m.check(t, s, "taken up again")
	}
}

// rounds is how many seeds a test of the model tries.
func rounds(few int) int {
	if os.Getenv("PENSTOCK_SOAK") != "" {
		return 100 * few
	}
	return few
}

// However files come in, what stands is what the rules say.
func TestModel(t *testing.T) {
	for seed := range rounds(3) {
		for _, policy := range []Policy{Latest, Earliest} {
			t.Run(fmt.Sprintf("%s, seed %d", policy, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(seed), 50))
				m := newModel(random, policy, 20+random.IntN(60), 1)
				m.append = random.IntN(4) == 0
				m.play(t, open(t, Options{Append: m.append}), random, func() {})
			})
		}
	}
}

// Nor does it matter that a hypertable has them, and compresses them now and then.
func TestTimescaleModel(t *testing.T) {
	for seed := range rounds(1) {
		for _, policy := range []Policy{Latest, Earliest} {
			t.Run(fmt.Sprintf("%s, seed %d", policy, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(seed), 60))
				m := newModel(random, policy, 20+random.IntN(40), 7200)
				m.append = random.IntN(2) == 0
				s := timescale(t, Options{Append: m.append, directLeast: 1 + random.IntN(20), Hypertable: Hypertable{ChunkInterval: 24 * time.Hour, ColumnstoreAfter: 10_000 * 24 * time.Hour}})
				m.play(t, s, random, func() {
					if random.IntN(2) == 0 {
						compress(t, s)
					}
				})
			})
		}
	}
}

// Under error whoever comes first stands, and a file that contradicts any of that
// leaves nothing, however files are cut into chunks and parts.
func TestModelOfError(t *testing.T) {
	for seed := range rounds(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 70))
			m := newModel(random, Error, 60, 1)
			copied := make(map[string]bool)
			m.files = slices.DeleteFunc(m.files, func(f testFile) bool {
				was := copied[f.bytes()]
				copied[f.bytes()] = true
				return was
			})
			s := open(t, Options{})
			sink := sinkOf(t, s, SinkOptions{Policy: Error})
			c := committerOf(t, sink)
			stands := make(map[string]testReading)
			var want, got []string
			load := func(f *testFile) ingest.State {
				last := m.lines(f)
				for instant, r := range last {
					if old, ok := stands[instant]; ok && (old.value != r.value || old.quality != r.quality) {
						return ingest.Quarantined
					}
				}
				for instant, r := range last {
					if _, ok := stands[instant]; !ok {
						stands[instant] = r
					}
				}
				return ingest.Loaded
			}
			for files := m.files; len(files) > 0; {
				n := min(1+random.IntN(8), len(files))
				var outcomes []ingest.Outcome
				if random.IntN(3) == 0 {
					n = 1
					outcomes = []ingest.Outcome{inParts(t, c, files[0], 1+random.IntN(6)).load()}
				} else {
					outcomes = commit(t, c, files[:n]...)
				}
				for i := range files[:n] {
					f := &files[i]
					want = append(want, fmt.Sprint(f.path, " ", load(f)))
					got = append(got, fmt.Sprint(outcomes[i].File.Path, " ", outcomes[i].State))
				}
				files = files[n:]
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("files (-want +got):\n%s", diff)
			}
			want = want[:0]
			for instant, r := range stands {
				want = append(want, fmt.Sprintf("%s|%v|%s", instant, math.Abs(r.value), r.quality)) // 0 and -0 agree
			}
			slices.Sort(want)
			got = query(t, s, `select logger, channel, extract(epoch from ts)::int8 - 1700000000, abs(value), coalesce(quality, '') from observations`)
			slices.Sort(got)
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("readings (-want +got):\n%s", diff)
			}
			verify(t, s)
			nothingLoads(t, s)
		})
	}
}

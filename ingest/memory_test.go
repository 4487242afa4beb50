package ingest

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"testing"
)

// endless is a folder of so many files that nothing may keep a list of them:
// it makes each as it is asked for.
type endless struct{ files int }

func (e endless) Name() string { return "endless" }

func (e endless) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for i := range e.files {
			if ctx.Err() != nil || !yield(File{Source: "endless", Path: fmt.Sprintf("north/2026/03/logger-%07d.csv", i), Size: 40, Modified: 1, Precision: Second}, nil) {
				return
			}
		}
	}
}

func (e endless) Fetch(_ context.Context, f File, c *Content) error {
	c.File, c.Fetched = f, 1
	c.Data = append(c.Data[:0], "flow 1 1\nlevel 1 2\n"...)
	return nil
}

func (e endless) Done(context.Context, File, Outcome) error { return nil }

// A counter is a Sink that keeps nothing but how much it was given. Of every
// ten files it knows the first known ones.
type counter struct {
	known int
	asked int

	mu              sync.Mutex
	files, readings int
}

func (c *counter) Pending(_ context.Context, files []File) ([]Standing, error) {
	standings := make([]Standing, len(files))
	for i := range files {
		standings[i] = Standing{Take: c.asked%10 >= c.known, State: Loaded}
		c.asked++
	}
	return standings, nil
}

func (c *counter) Committer(context.Context) (Committer, error) {
	return &countingCommitter{sink: c}, nil
}

type countingCommitter struct {
	sink     *counter
	outcomes []Outcome
}

func (c *countingCommitter) Commit(_ context.Context, b *Batch) ([]Outcome, error) {
	c.outcomes = c.outcomes[:0]
	for i := range b.Spans {
		c.outcomes = append(c.outcomes, Outcome{File: b.Spans[i].File, State: b.Spans[i].State})
	}
	c.sink.mu.Lock()
	defer c.sink.mu.Unlock()
	c.sink.files += len(b.Spans)
	c.sink.readings += len(b.Time)
	return c.outcomes, nil
}

func (c *countingCommitter) Close() {}

// The pipeline is to be as large at the millionth file as at the first. The
// bound is for what it holds: a million references alone would be 130 MB.
func TestAMillionFilesTakeNoMoreMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("lists a million files, twice")
	}
	const bound = 64 << 20
	files, every := 1_000_000, 64 // the heap is looked at once in so many events
	if underRace {
		files, every = 100_000, 8
	}
	for _, known := range []int{10, 3} {
		t.Run(fmt.Sprintf("%d of 10 known", known), func(t *testing.T) {
			sink := &counter{known: known}
			told, events := 0, 0
			var most uint64
			p := Pipeline{
				Source: endless{files}, Sink: sink, Workers: 4, Limits: Limits{Files: 200, Readings: 100_000},
				NewDecoder: func() Decoder { return &lineDecoder{} },
				Observe: func(e Event) {
					told += len(e.Outcomes)
					if events++; events%every == 0 {
						runtime.GC()
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						most = max(most, m.HeapAlloc)
					}
				},
			}
			if err := p.Run(t.Context(), t.Context()); err != nil {
				t.Fatal(err)
			}
			taken := files / 10 * (10 - known)
			if told != files || sink.files != taken || sink.readings != 2*taken {
				t.Errorf("told of %d files, committed %d with %d readings; want %d, %d, %d", told, sink.files, sink.readings, files, taken, 2*taken)
			}
			if most == 0 || most > bound {
				t.Errorf("the heap grew to %d MiB in %d events, want at most %d MiB", most>>20, events, bound>>20)
			}
			t.Logf("at most %.1f MiB", float64(most)/(1<<20))
		})
	}
}

// Files that the source could not be told of in time are not all done at the same
// moment.
func TestFilesThatAreLetAloneComeBackOneByOne(t *testing.T) {
	m := newMemory(newYard(), true)
	u := newUnderWay(m)
	const files = 1000
	at := make(map[uint32]int)
	for i := range files {
		r := reference{File: File{Path: fmt.Sprint(i), Modified: 1}}
		u.begin(&r)
		f := u.of(r.Path)
		m.letAlone(f)
		at[m.files[f.key].until]++
	}
	for until, n := range at {
		if n > files/20 || until > uint32(askedAnew.Seconds())+1 || until < uint32(askedAnew.Seconds())*3/4 {
			t.Errorf("%d of %d files come back at %d s", n, files, until)
		}
	}
}

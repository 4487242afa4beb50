package ingest

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A store of old files, each as it was when it was loaded, of a source that
// keeps them.
type oldFiles struct {
	endless
	fetches atomic.Int64
}

func (o *oldFiles) Fetch(ctx context.Context, f File, c *Content) error {
	o.fetches.Add(1)
	return o.endless.Fetch(ctx, f, c)
}

// Where files stay, 200,000 old ones cost a listing a cycle and no fetch, and
// one question to the ledger until it is time to ask anew.
func TestManyKnownFilesCostAListing(t *testing.T) {
	files := 200_000
	if underRace {
		files = 20_000
	}
	synctest.Test(t, func(t *testing.T) {
		old := &oldFiles{endless: endless{files}}
		sink := &counter{known: 10}
		listings, known := 0, 0
		many := Pipeline{
			Source: counted{old, &listings}, Sink: sink, Workers: 2, Poll: 30 * time.Second, Connections: 4,
			NewDecoder: func() Decoder { return &lineDecoder{} },
			Observe: func(e Event) {
				known += len(e.Outcomes)
				if e.Cycle != nil && (e.Cycle.Listed != files || e.Cycle.New != 0 || e.Cycle.Oldest != 0) {
					t.Errorf("%+v", e.Cycle)
				}
			},
		}
		take, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- many.Run(take, t.Context()) }()
		time.Sleep(4*time.Minute + time.Second) //nolint:forbidigo // the clock is the bubble's
		synctest.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if listings != 9 || sink.asked != files || known != files || old.fetches.Load() != 0 {
			t.Errorf("%d listings, asked about %d files, told of %d, fetched %d", listings, sink.asked, known, old.fetches.Load())
		}
	})
}

// More files than the backlog has room for come with the next listing, which
// begins as soon as there is room: nobody waits for the poll.
func TestABacklogLargerThanItsBound(t *testing.T) {
	files := backlogBound*5/2 + 10
	if underRace {
		files = backlogBound * 3 / 2
	}
	for _, connections := range []int{0, 4} {
		synctest.Test(t, func(t *testing.T) {
			listings, left, loaded := 0, 0, 0
			sink := &learner{known: map[string]bool{}}
			many := Pipeline{
				Source: counted{&oldFiles{endless: endless{files}}, &listings}, Sink: sink, Workers: 2, Poll: time.Hour, Connections: connections,
				Limits: Limits{Files: 1000}, NewDecoder: func() Decoder { return &lineDecoder{} },
				Observe: func(e Event) {
					if e.Cycle != nil {
						left, loaded = e.Cycle.Left, loaded+e.Cycle.Files[Loaded]
					}
				},
			}
			take, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- many.Run(take, t.Context()) }()
			time.Sleep(time.Minute) //nolint:forbidigo // the clock is the bubble's
			synctest.Wait()
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if len(sink.known) != files || loaded != files || left != 0 || sink.twice > 0 {
				t.Errorf("%d of %d files are loaded, %d twice, in %d listings; %d are left", loaded, files, sink.twice, listings, left)
			}
			if listings < 2 || listings > 10 {
				t.Errorf("%d listings", listings)
			}
		})
	}
}

// A learner is a Sink that knows what was committed.
type learner struct {
	mu    sync.Mutex
	known map[string]bool
	twice int
}

func (l *learner) Pending(_ context.Context, files []File) ([]Standing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	standings := make([]Standing, len(files))
	for i, f := range files {
		standings[i].Take = !l.known[f.Path]
	}
	return standings, nil
}

func (l *learner) Committer(context.Context) (Committer, error) { return learning{l}, nil }

type learning struct{ *learner }

func (l learning) Commit(_ context.Context, b *Batch) ([]Outcome, error) {
	<-time.After(time.Millisecond) // the bubble's, which passes when all else waits: no listing is kept up with
	l.mu.Lock()
	defer l.mu.Unlock()
	outcomes := make([]Outcome, len(b.Spans))
	for i, s := range b.Spans {
		if l.known[s.File.Path] {
			l.twice++
		}
		l.known[s.File.Path] = true
		outcomes[i] = Outcome{File: s.File, State: Loaded}
	}
	return outcomes, nil
}

func (learning) Close() {}

// counted counts the listings of a source.
type counted struct {
	*oldFiles
	listings *int
}

func (c counted) Files(ctx context.Context) iter.Seq2[File, error] {
	*c.listings++
	return c.oldFiles.Files(ctx)
}

// BenchmarkKnown is what a cycle costs for each file that is known, in time and
// in memory that stays.
func BenchmarkKnown(b *testing.B) {
	for _, files := range []int{200_000, 1_000_000} {
		b.Run(fmt.Sprint(files), func(b *testing.B) {
			source := endless{files}
			all := make([]File, 0, files)
			for f, err := range source.Files(b.Context()) {
				if err != nil {
					b.Fatal(err)
				}
				all = append(all, f)
			}
			m := newMemory(source, true)
			before := heapNow()
			for _, f := range all {
				m.remember(f)
			}
			perFile := float64(heapNow()-before) / float64(files)
			for b.Loop() {
				for _, f := range all {
					if !m.fresh(&sighting{File: f}) {
						b.Fatal("forgotten")
					}
				}
				m.whole = true
				m.sweep(false)
			}
			b.ReportMetric(perFile, "B/file")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(files), "ns/file")
			runtime.KeepAlive(m)
			runtime.KeepAlive(all)
		})
	}
}

func heapNow() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestPartsAtOnce(t *testing.T) {
	var got []int
	for workers := 1; workers <= 8; workers++ {
		got = append(got, partsAtOnce(workers))
	}
	if want := []int{1, 2, 2, 2, 3, 3, 4, 4}; !slices.Equal(got, want) {
		t.Errorf("of 1 to 8 workers %d have parts, want %d", got, want)
	}
}

package ingest

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A store of old files, each as it was when it was loaded, of a source that
// keeps them.
type oldFiles struct {
	endless
	fetches int
}

func (o *oldFiles) Fetch(ctx context.Context, f File, c *Content) error {
	o.fetches++
	return o.endless.Fetch(ctx, f, c)
}

// Where files stay, 200,000 old ones cost a listing a cycle and no fetch, and
// one question to the ledger until it is time to ask anew.
func TestManyKnownFilesCostAListing(t *testing.T) {
	const files = 200_000
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
		if listings != 9 || sink.asked != files || known != files || old.fetches != 0 {
			t.Errorf("%d listings, asked about %d files, told of %d, fetched %d", listings, sink.asked, known, old.fetches)
		}
	})
}

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
			m := newMemory(source, true)
			before := heapNow()
			for f, _ := range source.Files(b.Context()) {
				m.remember(f)
			}
			perFile := float64(heapNow()-before) / float64(files)
			for b.Loop() {
				for f, _ := range source.Files(b.Context()) {
					if !m.fresh(&sighting{File: f}) {
						b.Fatal("forgotten")
					}
				}
				m.whole = true
				m.sweep()
			}
			b.ReportMetric(perFile, "B/file")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(files), "ns/file")
			runtime.KeepAlive(m)
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

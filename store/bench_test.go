package store

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"penstock/ingest"
)

// benchChunk is a chunk of files that are new: of each of 50 loggers one, a
// reading in each of two channels.
func benchChunk(b *ingest.Batch, n int) *ingest.Batch { return benchChunkOf(b, n, 50) }

func benchChunkOf(b *ingest.Batch, n, loggers int) *ingest.Batch {
	b.Reset()
	files := make([]testFile, loggers)
	for i := range files {
		files[i] = testFile{path: fmt.Sprintf("L%d_%d", i, n), modified: begin + int64(n), isNew: true,
			readings: []testReading{{"flow", int64(n) * 900, float64(n), ""}, {"level", int64(n) * 900, float64(n), ""}}}
	}
	return fill(b, files...)
}

// BenchmarkCommit is the commit of chunks of 50 files by one worker, with the
// making of the chunk.
func BenchmarkCommit(b *testing.B) {
	s := open(b, Options{})
	c := committerOf(b, sinkOf(b, s, SinkOptions{}))
	batch := &ingest.Batch{}
	n := 0
	for b.Loop() {
		if _, err := c.Commit(b.Context(), benchChunk(batch, n)); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(50*n)/b.Elapsed().Seconds(), "files/s")
}

// BenchmarkCommitAllocations is what the commit of chunks of 500 files of two
// readings allocates, without the making of the chunk.
func BenchmarkCommitAllocations(b *testing.B) {
	const files = 500
	s := open(b, Options{untold: true})
	c := committerOf(b, sinkOf(b, s, SinkOptions{}))
	batch := &ingest.Batch{}
	var before, after runtime.MemStats
	var mallocs, bytes uint64
	n := 0
	for b.Loop() {
		benchChunkOf(batch, n, files)
		runtime.ReadMemStats(&before)
		if _, err := c.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		mallocs, bytes = mallocs+after.Mallocs-before.Mallocs, bytes+after.TotalAlloc-before.TotalAlloc
		n++
	}
	b.ReportMetric(float64(mallocs)/float64(n*files), "allocs/file")
	b.ReportMetric(float64(mallocs)/float64(2*n*files), "allocs/reading")
	b.ReportMetric(float64(bytes)/float64(n*files), "B/file")
}

// BenchmarkCommitTold is BenchmarkCommit with and without those downstream being
// told, in turns.
func BenchmarkCommitTold(b *testing.B) {
	var took [2]time.Duration
	var c [2]ingest.Committer
	for i, untold := range []bool{true, false} {
		c[i] = committerOf(b, sinkOf(b, open(b, Options{untold: untold}), SinkOptions{Live: true}))
	}
	batch := &ingest.Batch{}
	n := 0
	for b.Loop() {
		for i := range c {
			benchChunk(batch, n)
			began := time.Now()
			if _, err := c[i].Commit(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			took[i] += time.Since(began)
		}
		n++
	}
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "told/untold")
}

package store

import (
	"fmt"
	"testing"
	"time"

	"penstock/ingest"
)

// benchChunk is a chunk of files that are new: of each of 50 loggers one, a
// reading in each of two channels.
func benchChunk(b *ingest.Batch, n int) *ingest.Batch {
	b.Reset()
	files := make([]testFile, 50)
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

package ingest

import (
	"fmt"
	"runtime"
	"testing"
)

// BenchmarkLocal is what the pipeline itself costs a file, where workers fetch
// for themselves: neither source nor sink do any work.
func BenchmarkLocal(b *testing.B) {
	for _, workers := range []int{1, 4} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			const files = 100_000
			allocated := allocations(b)
			for b.Loop() {
				sink := &counter{}
				p := Pipeline{
					Source: endless{files}, Sink: sink, Workers: workers, Limits: Limits{Files: 1000},
					NewDecoder: func() Decoder { return &lineDecoder{} },
				}
				if err := p.Run(b.Context(), b.Context()); err != nil || sink.files != files {
					b.Fatalf("%d files: %v", sink.files, err)
				}
			}
			allocated(files * b.N)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/file")
		})
	}
}

// BenchmarkAhead is what the pipeline costs a file that is fetched ahead.
func BenchmarkAhead(b *testing.B) {
	const files = 100_000
	allocated := allocations(b)
	for b.Loop() {
		sink := &counter{}
		p := Pipeline{
			Source: endless{files}, Sink: sink, Workers: 2, Limits: Limits{Files: 1000}, Connections: 4,
			NewDecoder: func() Decoder { return &lineDecoder{} },
		}
		if err := p.Run(b.Context(), b.Context()); err != nil || sink.files != files {
			b.Fatalf("%d files: %v", sink.files, err)
		}
	}
	allocated(files * b.N)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/file")
}

// allocations counts what is allocated until it is told for how many files.
func allocations(b *testing.B) func(files int) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	return func(files int) {
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(files), "allocs/file")
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(files), "B/file")
	}
}

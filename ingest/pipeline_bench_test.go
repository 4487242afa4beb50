package ingest

import (
	"fmt"
	"testing"
)

// BenchmarkLocal is what the pipeline itself costs a file, where workers fetch
// for themselves: neither source nor sink do any work.
func BenchmarkLocal(b *testing.B) {
	for _, workers := range []int{1, 4} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			const files = 100_000
			b.ReportAllocs()
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
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/file")
		})
	}
}

// BenchmarkAhead is what the pipeline costs a file that is fetched ahead.
func BenchmarkAhead(b *testing.B) {
	const files = 100_000
	b.ReportAllocs()
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
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/file")
}

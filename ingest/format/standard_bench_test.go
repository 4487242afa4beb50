//go:build unix

package format

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"penstock/ingest"
)

// BenchmarkAgainstStandardLibrary reads files of the common shapes in turn with
// the standard library and with a decoder, and tells how many times faster the
// decoder is, alone and with the hash of the file. What is compared is the
// process's time on processors, of runs next to each other, and shown is the
// median: of a machine that is busy beside, that tells more than a clock does.
//
//	go test -bench AgainstStandardLibrary -cpu 1 -run '^$' ./ingest/format
func BenchmarkAgainstStandardLibrary(b *testing.B) {
	for _, c := range commons() {
		b.Run(c.name, func(b *testing.B) {
			text := c.text()
			s, d, batch := newStandard(b), c.decoder(b), &ingest.Batch{}
			content := contentOf(c.path, text, false)
			var took [3][]float64 // standard, decoder, hash
			var sum ingest.Digest
			for b.Loop() {
				for i, do := range []func() error{
					func() error { s.batch.Reset(); return s.read(&c, text) },
					func() error { batch.Reset(); return d.Decode(b.Context(), content, batch) },
					func() error { sum = sha256.Sum256(text); return nil },
				} {
					began := processorTime()
					if err := do(); err != nil {
						b.Fatal(err)
					}
					took[i] = append(took[i], (processorTime() - began).Seconds())
				}
			}
			if sum == (ingest.Digest{}) {
				b.Fatal("nothing was hashed")
			}
			n := float64(len(batch.Time))
			if len(batch.Time) != len(s.batch.Time) {
				b.Fatalf("%d readings, the standard library reads %d: %s", len(batch.Time), len(s.batch.Time), batch.Spans[0].Reason)
			}
			var alone, hashed []float64
			for i, theirs := range took[0] {
				alone, hashed = append(alone, theirs/took[1][i]), append(hashed, theirs/(took[1][i]+took[2][i]))
			}
			b.ReportMetric(0, "ns/op") // of three things
			b.ReportMetric(middle(took[0])*1e9/n, "ns/reading-std")
			b.ReportMetric(middle(took[1])*1e9/n, "ns/reading")
			b.ReportMetric(float64(len(text))/1e6/middle(took[1]), "MB/s")
			b.ReportMetric(float64(len(text))/1e6/middle(took[2]), "MB/s-hash")
			b.ReportMetric(middle(alone), "x-std")
			b.ReportMetric(middle(hashed), "x-std-hashed")
		})
	}
}

// BenchmarkSmallFiles opens, reads and closes files of two readings, with and
// without decoding them, in turn, and tells what decoding adds.
//
//	go test -bench SmallFiles -cpu 1 -run '^$' ./ingest/format
func BenchmarkSmallFiles(b *testing.B) {
	for _, shape := range []string{"long", "wide"} {
		b.Run(shape, func(b *testing.B) {
			const files, chunk, loggers = 2000, 500, 270 // as many as in the corpus of the bench
			dir := b.TempDir()
			paths := make([]string, files)
			for i := range paths {
				text := fmt.Sprintf("logger,channel,timestamp,value\nL%04[1]d,flow,2024-01-01T00:15:00Z,12.575\nL%04[1]d,pressure,2024-01-01T00:15:00Z,3.254\n", i%loggers)
				if shape == "wide" {
					text = "time,flow,pressure\n2024-01-01 00:15:00,12.575,3.254\n"
				}
				paths[i] = filepath.Join(dir, fmt.Sprintf("L%04d_%d.csv", i%loggers, i))
				if err := os.WriteFile(paths[i], []byte(text), 0o600); err != nil {
					b.Fatal(err)
				}
			}
			d, batch, buf := benchDecoder(b, Settings{Zone: "Europe/London"}), &ingest.Batch{}, make([]byte, 4096)
			var c ingest.Content
			var took [2][]float64 // without decoding, with
			for b.Loop() {
				for i := range took {
					began := processorTime()
					for n, path := range paths {
						text, err := readInto(buf, path)
						if err != nil {
							b.Fatal(err)
						}
						if i == 0 {
							continue
						}
						if n%chunk == 0 {
							batch.Reset()
						}
						c = ingest.Content{File: ingest.File{Source: "s", Path: path}, Data: text, Fetched: ingest.Micros(fetched)}
						if err := d.Decode(b.Context(), &c, batch); err != nil {
							b.Fatal(err)
						}
					}
					took[i] = append(took[i], (processorTime() - began).Seconds())
				}
			}
			if len(batch.Time) != 2*chunk {
				b.Fatalf("%d readings, want %d: %s", len(batch.Time), 2*chunk, batch.Spans[0].Reason)
			}
			ratios := make([]float64, len(took[0]))
			for i := range ratios {
				ratios[i] = took[1][i] / took[0][i]
			}
			b.ReportMetric(0, "ns/op") // of two things
			b.ReportMetric(middle(took[0])*1e9/files, "ns/file-read")
			b.ReportMetric((middle(took[1])-middle(took[0]))*1e9/files, "ns/file-decode")
			b.ReportMetric(middle(ratios), "x-read")
		})
	}
}

// readInto reads a file that fits into buf with the fewest calls.
func readInto(buf []byte, path string) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	n, err := syscall.Read(fd, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], syscall.Close(fd)
}

// processorTime is what the process has taken of processors, with the system's
// work for it.
func processorTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func middle(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

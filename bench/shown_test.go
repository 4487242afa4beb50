package bench

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is shown to testdata instead of comparing it")

// shownAnalysis is what is shown in tests: runs of which one lies apart, a cell
// that failed, one that was not visited, some that cannot be told from the best.
func shownAnalysis() *Analysis {
	r := &Result{
		Began: shownAt, Ended: shownAt.Add(100 * time.Second),
		Machine:  Machine{OS: "linux", Arch: "amd64", CPU: "Some CPU @ 2.10GHz", Cores: 4, Memory: 16 << 30, Load: 0.25},
		Versions: Versions{Penstock: "1.2.0", Go: "go1.26.8", Database: "PostgreSQL 17.2"},
		Settings: Settings{Stage: "load", Files: "27000 generated files of 2 readings", Store: "local:", Cache: "warm", Auto: Cell{4, 200}},
		Protocol: Protocol{Reference: Cell{4, 200}, Sets: 5, Runs: 1, Seed: 1},
	}
	for _, workers := range []int{1, 2, 4, 8, 12} {
		for _, chunk := range []int{1, 10, 50, 100, 500, 1000, 5000, 10_000} {
			c := Cell{workers, chunk}
			r.Protocol.Cells = append(r.Protocol.Cells, c)
			switch c {
			case Cell{12, 5000}:
			case Cell{12, 10_000}:
				for set := range 5 {
					r.Samples = append(r.Samples, Sample{Cell: c, Set: set + 1, Run: 1, Error: "sorry, too many clients already (SQLSTATE 53300)"})
				}
			default:
				r.Samples = append(r.Samples, shownRuns(c, 1)...)
			}
		}
	}
	for i := range r.Samples {
		if x := &r.Samples[i]; x.Cell == (Cell{2, 10}) && x.Set == 4 {
			x.Seconds *= 2.5
		}
	}
	r.Samples = append(r.Samples, shownRuns(r.Protocol.Reference, 0)...)
	return Analyse(r)
}

var shownAt = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

// shownRuns makes run times that shrink with workers up to four, and with the
// chunk up to where there are too few chunks for the workers.
func shownRuns(c Cell, run int) (samples []Sample) {
	chunks := (27_000 + c.Chunk - 1) / c.Chunk
	workers := min(c.Workers, chunks)
	seconds := 21.6 * (0.21 + 0.79/float64(min(workers, 4))) * (0.07 + 0.93/math.Sqrt(float64(min(c.Chunk, 100)))) * (1 + float64(workers*c.Chunk)/40_000)
	for set, off := range []float64{-0.021, 0.012, 0, 0.034, -0.009} {
		s := Sample{Cell: c, Set: set + 1, Run: run, Seconds: seconds * (1 + off), Files: 27_000, Chunks: int64(chunks), Readings: 54_000, At: shownAt.Add(time.Duration(set) * time.Minute)}
		s.CPU, s.Busy = 1.2*s.Seconds, 2.31*s.Seconds
		s.Fetch, s.Decode, s.Commit = 0.04*s.Seconds*float64(workers), 0.08*s.Seconds*float64(workers), 0.85*s.Seconds*float64(workers)
		samples = append(samples, s)
	}
	return samples
}

// golden compares what is shown with what was looked at and kept.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-kept +shown); -update keeps what is shown:\n%s", path, diff)
	}
}

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
// that failed, one that was not visited, two that cannot be told apart.
func shownAnalysis() *Analysis {
	a := &Analysis{
		Result: &Result{
			Began: time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC), Ended: time.Date(2024, 2, 29, 12, 1, 40, 0, time.UTC),
			Machine:  Machine{OS: "linux", Arch: "amd64", CPU: "Some CPU @ 2.10GHz", Cores: 4, Memory: 16 << 30, Load: 0.25},
			Versions: Versions{Penstock: "1.2.0", Go: "go1.26.8", Database: "PostgreSQL 17.2"},
			Settings: Settings{Stage: "load", Files: "27000 generated files of 2 readings", Store: "local:", Cache: "warm", Auto: Cell{4, 200}},
			Protocol: Protocol{Sets: 5, Runs: 1, Seed: 1},
		},
		Workers:  []int{1, 2, 4, 8, 12},
		Chunks:   []int{1, 10, 50, 100, 500, 1000, 5000, 10_000},
		Noise:    Noise{Reference: Cell{2, 100}, N: 5, Spread: 0.021, Drift: 0.01, Within: 0.018},
		Compared: true,
		Amdahl:   &Amdahl{Chunk: 1, N: 5, One: 21.6, Serial: 0.21, R2: 0.991},
		Verdict: Verdict{
			Best:       "The best cell is 4 workers and a chunk of 100 with 1.52 s (median of 5 runs, 95 % interval 1.49 s to 1.55 s), 14.2 times as fast as 1 x 1. 1 of the 39 other cells cannot be told from it.",
			Least:      "The smallest cell as good is 4 workers and a chunk of 50 with 1.53 s.",
			Bottleneck: BoundByDatabase,
			Evidence:   []string{"Of 4 cores, 2.31 were busy: 1.20 with Penstock, 1.11 with all else.", "Of the workers' time, fetching took 4 %, decoding 8 %, committing 85 %."},
			Auto:       "workers: auto and chunk: auto stand for 4 x 200 here, which was not swept.",
			Advice:     "Put the best cell into the config.",
			Config:     "pipeline: {workers: 4, chunk: 100}",
			Notes:      []string{"1 of 195 runs lies apart from the others of its cell; it is counted.", "12 x 10000 failed."},
		},
	}
	for _, workers := range a.Workers {
		for _, chunk := range a.Chunks {
			a.Cells = append(a.Cells, shownCell(workers, chunk))
		}
	}
	at := func(workers, chunk int) *CellStats {
		for i := range a.Cells {
			if c := &a.Cells[i]; c.Cell == (Cell{workers, chunk}) {
				return c
			}
		}
		return nil
	}
	a.Base, a.Best, a.Least = at(1, 1), at(4, 100), at(4, 50)
	*at(12, 10_000) = CellStats{Cell: Cell{12, 10_000}, Failed: 5, Why: "sorry, too many clients already (SQLSTATE 53300)"}
	*at(12, 5000) = CellStats{Cell: Cell{12, 5000}}
	a.Best.Best, a.Best.Alike, a.Best.P = true, true, 1
	a.Least.Alike, a.Least.P = true, 0.31
	apart := at(2, 10)
	apart.Runs[3].Seconds *= 2.5
	apart.Outliers = []float64{apart.Runs[3].Seconds}
	for i := range a.Cells {
		if c := &a.Cells[i]; c.N > 0 {
			c.Speedup = a.Base.Median / c.Median
		}
	}
	return a
}

// shownCell makes run times that shrink with workers up to four, and with the
// chunk up to where there are too few chunks for the workers.
func shownCell(workers, chunk int) CellStats {
	c := CellStats{Cell: Cell{workers, chunk}, N: 5, P: 0.008}
	seconds := 21.6 * (0.21 + 0.79/float64(min(workers, 4))) * (0.07 + 0.93/math.Sqrt(float64(min(chunk, 100)))) * (1 + float64(workers*chunk)/40_000)
	for run, off := range []float64{-0.021, 0.012, 0, 0.034, -0.009} {
		s := Sample{Cell: c.Cell, Set: run + 1, Run: 1, Seconds: seconds * (1 + off), Files: 27_000, Readings: 54_000, At: time.Date(2024, 2, 29, 12, run, 0, 0, time.UTC)}
		s.Fetch, s.Decode, s.Commit = 0.04*s.Seconds, 0.08*s.Seconds, 0.85*s.Seconds
		c.Runs = append(c.Runs, s)
	}
	c.Median, c.Q1, c.Q3, c.Min, c.Max = seconds, seconds*0.991, seconds*1.012, seconds*0.979, seconds*1.034
	c.Lo, c.Hi = seconds*0.979, seconds*1.034
	return c
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

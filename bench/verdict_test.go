package bench

import (
	"strings"
	"testing"
)

// What the best cell's time went into names the bottleneck, with the numbers.
func TestBottleneck(t *testing.T) {
	for _, c := range []struct {
		want   Bottleneck
		says   string // of the evidence
		stage  string
		remote bool
		sample Sample // of a run of 4 workers on 4 cores that takes a second
	}{
		{BoundByCores, "Of 4 cores, 3.90 were busy: 1.00 with Penstock, 2.90 with other programs, the database among them if it runs here.", "load", false,
			Sample{CPU: 1, Busy: 3.9, Fetch: 0.1, Decode: 0.4, Commit: 3.4}},
		{BoundByDatabase, "committing 90 %; for 2.5 % of it they had nothing to do", "load", false, Sample{CPU: 1, Busy: 1.5, Fetch: 0.1, Decode: 0.2, Commit: 3.6}},
		{BoundByReading, "fetching took 75 %", "load", false, Sample{CPU: 0.5, Busy: 0.5, Fetch: 3, Decode: 0.2, Commit: 0.5}},
		{BoundByNetwork, "fetching took 75 %", "load", true, Sample{CPU: 0.5, Busy: 0.5, Fetch: 3, Decode: 0.2, Commit: 0.5}},
		{BoundByNetwork, "for 86 % of it they had nothing to do", "load", true, Sample{CPU: 0.5, Busy: 0.5, Fetch: 0.1, Decode: 0.2, Commit: 0.25}},
		{BoundByDecoding, "Penstock used 2.00; what else was busy, the system does not tell", "decode", false, Sample{CPU: 2, Fetch: 0.5, Decode: 2.5}},
		{Unclear, "for 75 % of it they had nothing to do", "load", false, Sample{CPU: 0.5, Busy: 1, Fetch: 0.1, Decode: 0.2, Commit: 0.7}},
		{Unclear, "", "load", false, Sample{Seconds: -1}},
	} {
		r := &Result{Machine: Machine{Cores: 4}, Settings: Settings{Stage: c.stage, Remote: c.remote}, Protocol: Protocol{Cells: []Cell{{4, 100}}}}
		if c.stage == "load" {
			r.Settings.Store = "somewhere"
		}
		x := c.sample
		x.Cell, x.Set, x.Run, x.Seconds = Cell{4, 100}, 1, 1, x.Seconds+1
		r.Samples = []Sample{x}
		v := Analyse(r).Verdict
		if evidence := strings.Join(v.Evidence, "\n"); v.Bottleneck != c.want || !strings.Contains(evidence, c.says) {
			t.Errorf("of %+v: the bottleneck is %s, want %s, by\n%s", c.sample, v.Bottleneck, c.want, evidence)
		}
	}
}

func TestVerdict(t *testing.T) {
	seconds := map[Cell][]float64{
		{}:        {1.2, 1.3},
		{1, 1}:    {8, 8.1, 7.9, 8.2, 8, 8.3},
		{1, 100}:  {2, 2.1, 1.9, 2, 2, 2},
		{2, 1}:    {4, 4.1, 3.9, 4, 4.2, 4},
		{2, 100}:  {1, 1.02, 0.99, 1.01, 1, 1.01},
		{4, 100}:  {0.99, 1.01, 1, 1, 0.98, 1.02},
		{4, 1000}: nil,
	}
	a := Analyse(sampled(seconds))
	v := a.Verdict
	for what, want := range map[string]string{
		v.Best:   "The best cell is 4 workers x chunk 100 with 1.00 s (median of 6 runs, 95 % interval 0.980 s to 1.02 s), 8.1 times as fast as 1 x 1. 1 of the 4 other cells cannot be told from it.",
		v.Least:  "The smallest cell as good, as far as 6 runs tell, is 2 workers x chunk 100 with 1.00 s: 100 % of the best's median, with 2 workers instead of 4 and at most 200 files in memory instead of 400.",
		v.Auto:   "workers: auto and chunk: auto stand for 9 x 9 here, outside of the grid: 1.25 s, 125 % of the best's median.",
		v.Config: "pipeline: {workers: 4, chunk: 100}",
		v.Advice: "Put the best cell into the config, or 2 x 100, which is as good.",
	} {
		if what != want {
			t.Errorf("got  %s\nwant %s", what, want)
		}
	}
	notes := strings.Join(v.Notes, "\n")
	for _, want := range []string{"1 cell never ran: 4 x 1000.", "Noise, the spread of equal runs: 5.7 % over the whole sweep (2 runs of 9 x 9), "} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes do not say %q:\n%s", want, notes)
		}
	}

	seconds = map[Cell][]float64{{2, 100}: {1, 1.1, 0.9}, {4, 1}: {9, 9.1, 8.9}}
	r := sampled(seconds)
	r.Settings.Auto = Cell{2, 100}
	if v := Analyse(r).Verdict; v.Auto != "workers: auto and chunk: auto stand for 2 x 100 here: the best cell." || v.Advice != "Leave workers and chunk at auto: they are within 5 % of the best cell, which --apply writes all the same." || v.Config != "pipeline: {workers: 2, chunk: 100}" ||
		!strings.HasSuffix(v.Best, "It is sure: the other is slower than chance explains.") {
		t.Errorf("where the automatic choice is the best: %+v", v)
	}
	r.Machine.Load = 5
	if v := Analyse(r).Verdict; !strings.HasSuffix(v.Best, "As far as a machine that is not quiet can tell, the other is slower than chance explains.") {
		t.Errorf("of a busy machine: %s", v.Best)
	}
	r.Settings.Stage = "decode"
	if v := Analyse(r).Verdict; !strings.HasPrefix(v.Advice, "This is of the decode stage alone") {
		t.Errorf("the advice of a stage alone is %q", v.Advice)
	}
}

// Where auto stands for a cell outside of the grid that is faster than all in it,
// that is the one to write.
func TestAutoIsFasterThanTheGrid(t *testing.T) {
	a := Analyse(sampled(map[Cell][]float64{{}: {0.5, 0.51, 0.5}, {1, 100}: {2, 2.1}, {2, 100}: {1, 1.05}}))
	if a.Best.Cell != (Cell{2, 100}) || a.Fastest().Cell != (Cell{9, 9}) || a.Verdict.Config != "pipeline: {workers: 9, chunk: 9}" ||
		!strings.HasPrefix(a.Verdict.Advice, "Leave workers and chunk at auto: that cell was faster than all of the grid, and --apply writes it.") ||
		a.Verdict.Auto != "workers: auto and chunk: auto stand for 9 x 9 here, outside of the grid: 0.500 s, 49 % of the best's median." {
		t.Errorf("the verdict is %+v", a.Verdict)
	}
}

// What a stage alone does has its own words, and its bottleneck is its own.
func TestEvidenceOfAStage(t *testing.T) {
	for stage, want := range map[string]string{
		"fetch":  "fetching took 38 %, hashing 50 %, keeping count 2.5 %;",
		"decode": "fetching took 38 %, decoding 50 %, keeping count 2.5 %;",
	} {
		x := Sample{Cell: Cell{4, 100}, Set: 1, Run: 1, Seconds: 1, CPU: 1, Busy: 1, Fetch: 1.5, Decode: 2, Commit: 0.1}
		v := Analyse(&Result{Machine: Machine{Cores: 4}, Settings: Settings{Stage: stage}, Protocol: Protocol{Cells: []Cell{{4, 100}}}, Samples: []Sample{x}}).Verdict
		bottleneck := map[string]Bottleneck{"fetch": BoundByReading, "decode": BoundByDecoding}[stage]
		if evidence := strings.Join(v.Evidence, "\n"); v.Bottleneck != bottleneck || !strings.Contains(evidence, want) {
			t.Errorf("of %s the bottleneck is %s, by\n%s", stage, v.Bottleneck, evidence)
		}
	}
}

// Workers without a chunk do not wait for anything that could be had, and what other
// programs take is no want of cores.
func TestBottleneckOfIdleWorkersAndOthers(t *testing.T) {
	of := func(stage, store string, x Sample) Verdict {
		x.Cell, x.Set, x.Run, x.Seconds, x.Files = Cell{8, 10_000}, 1, 1, 1, 27_000
		return Analyse(&Result{Machine: Machine{Cores: 4}, Settings: Settings{Stage: stage, Store: store}, Protocol: Protocol{Cells: []Cell{x.Cell}}, Samples: []Sample{x}}).Verdict
	}
	if v := of("load", "somewhere", Sample{Chunks: 3, CPU: 1, Busy: 1.5, Fetch: 0.1, Decode: 0.2, Commit: 2.6}); v.Bottleneck != BoundByDatabase {
		t.Errorf("three of eight workers have chunks, and commit: the bottleneck is %s, by %q", v.Bottleneck, v.Evidence)
	}
	v := of("decode", "", Sample{Chunks: 27, CPU: 0.6, Busy: 3.9, Fetch: 2, Decode: 3})
	if last := v.Evidence[len(v.Evidence)-1]; v.Bottleneck != Unclear || last != "What others take of the cores, this run lacks: it says little of the files." {
		t.Errorf("where others take the cores the bottleneck is %s, by %q", v.Bottleneck, v.Evidence)
	}
}

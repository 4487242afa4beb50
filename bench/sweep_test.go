package bench

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// gridOf is the cells of workers and chunks.
func gridOf(workers, chunks []int) (cells []Cell) {
	for _, w := range workers {
		for _, c := range chunks {
			cells = append(cells, Cell{w, c})
		}
	}
	return cells
}

// lasting is a Run that takes as long as a function of the cell says.
func lasting(took func(Cell) time.Duration) Run {
	return func(ctx context.Context, c Cell) (Sample, error) {
		select {
		case <-time.After(took(c)):
			return Sample{Seconds: took(c).Seconds()}, nil
		case <-ctx.Done():
			return Sample{}, ctx.Err()
		}
	}
}

func TestSweepInterleavesAndShuffles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Protocol{Cells: gridOf([]int{1, 2, 4}, []int{1, 10, 100}), Reference: Cell{4, 1000}, Sets: 3, Runs: 2, WarmUps: 1, Seed: 7, Pause: 5 * time.Second}
		run := lasting(func(Cell) time.Duration { return time.Second })
		began := time.Now()
		r, err := Sweep(t.Context(), p, run, nil)
		if err != nil {
			t.Fatal(err)
		}
		// A warm-up, three reference runs, 3 x 2 x 9 runs, two pauses.
		if got, want := time.Since(began), (1+3+54)*time.Second+2*p.Pause; got != want {
			t.Errorf("it took %v, want %v", got, want)
		}
		samples := r.Samples
		if x := samples[0]; x.Set != 0 || x.Cell != p.Reference {
			t.Errorf("the first run is %+v, want a warm-up", x)
		}
		samples = samples[1:]
		var orders []string
		for set := 1; set <= p.Sets; set++ {
			if x := samples[0]; x.Set != set || x.Run != 0 || x.Cell != p.Reference {
				t.Errorf("set %d begins with %+v, want a reference run", set, x)
			}
			samples = samples[1:]
			for run := 1; run <= p.Runs; run++ {
				seen := make(map[Cell]bool)
				order := ""
				for _, x := range samples[:len(p.Cells)] {
					if x.Set != set || x.Run != run {
						t.Errorf("%+v stands in set %d, run %d", x, set, run)
					}
					seen[x.Cell] = true
					order += x.String() + ", "
				}
				if len(seen) != len(p.Cells) {
					t.Errorf("set %d, run %d visits %d cells, want each of the %d once", set, run, len(seen), len(p.Cells))
				}
				samples, orders = samples[len(p.Cells):], append(orders, order)
			}
		}
		if len(samples) > 0 {
			t.Errorf("%d runs too many", len(samples))
		}
		distinct := slices.Compact(slices.Sorted(slices.Values(orders)))
		if len(distinct) != len(orders) {
			t.Errorf("of %d orders only %d differ", len(orders), len(distinct))
		}
		again, err := Sweep(t.Context(), p, run, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.Samples {
			if r.Samples[i].Cell != again.Samples[i].Cell {
				t.Fatalf("with the same seed run %d is of %s, and was of %s", i, again.Samples[i].Cell, r.Samples[i].Cell)
			}
		}
	})
}

func TestSweepGoesOnAfterACellThatFails(t *testing.T) {
	p := Protocol{Cells: gridOf([]int{1, 2}, []int{1}), Reference: Cell{1, 1}, Sets: 2, Runs: 1}
	r, err := Sweep(t.Context(), p, func(_ context.Context, c Cell) (Sample, error) {
		if c.Workers == 2 {
			return Sample{}, errors.New("too many connections")
		}
		return Sample{Seconds: 1}, nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Cut != "" || len(r.Samples) != 6 {
		t.Errorf("%d samples, cut short by %q; want 6 and none", len(r.Samples), r.Cut)
	}
	a := Analyse(r)
	if c := a.At(Cell{2, 1}); c.N != 0 || c.Failed != 2 || c.Why != "too many connections" {
		t.Errorf("the cell that fails is %+v", c)
	}
	if a.Best.Cell != (Cell{1, 1}) || visits(r, a.Best.Cell) != 2 {
		t.Errorf("the best is %+v", a.Best)
	}
	var text strings.Builder
	if err := a.WriteText(&text, Terminal{}); err != nil || !strings.Contains(text.String(), "2 x 1 failed in 2 of 2 runs: too many connections") {
		t.Errorf("nothing is said of the cell that failed (%v): %s", err, text.String())
	}
}

func TestSweepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("interrupted")
	runs := 0
	p := Protocol{Cells: gridOf([]int{1, 2, 3}, []int{1, 10}), Reference: Cell{1, 1}, Sets: 5, Runs: 5}
	r, err := Sweep(ctx, p, func(ctx context.Context, _ Cell) (Sample, error) {
		if runs++; runs == 4 {
			cancel(stop)
			return Sample{Seconds: 99}, context.Cause(ctx)
		}
		return Sample{Seconds: 1}, nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Samples) != 3 || r.Cut != "interrupted" {
		t.Errorf("%d samples, cut short by %q; want the 3 runs before, and why", len(r.Samples), r.Cut)
	}
	if v := Analyse(r).Verdict; !slices.Contains(v.Notes, "The sweep was cut short: interrupted.") {
		t.Errorf("the verdict does not say that the sweep was cut short: %q", v.Notes)
	}
}

// Within a budget each cell has a run, those that may be the best have more, and
// no run is begun for which the time does not suffice.
func TestSweepWithinABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := map[Cell]time.Duration{{1, 1}: 40 * time.Second, {2, 1}: 3 * time.Second, {4, 1}: 2 * time.Second, {8, 1}: 5 * time.Second}
		p := Protocol{Cells: slices.SortedFunc(maps.Keys(took), func(a, b Cell) int { return a.Workers - b.Workers }),
			Reference: Cell{8, 1}, Sets: 100, Runs: 1, WarmUps: 1, Budget: 100 * time.Second}
		began := time.Now()
		var last Progress
		r, err := Sweep(t.Context(), p, lasting(func(c Cell) time.Duration { return took[c] }), func(x Progress) {
			if x.Runs < x.Done || x.Left < 0 || x.Set > 0 && x.Done < x.Runs && x.Left > p.Budget {
				t.Errorf("told of %+v", x)
			}
			last = x
		})
		if err != nil {
			t.Fatal(err)
		}
		if all := time.Since(began); all > p.Budget || all < p.Budget-5*time.Second {
			t.Errorf("it took %v, want nearly the budget of %v", all, p.Budget)
		}
		if last.Done != len(r.Samples) || last.Done != last.Runs {
			t.Errorf("at the end it tells of %+v, with %d samples", last, len(r.Samples))
		}
		a := Analyse(r)
		for c, want := range map[Cell]int{{1, 1}: 1, {8, 1}: 1} {
			if got := visits(r, c); got != want {
				t.Errorf("%s, out of the question, ran %d times, want %d", c, got, want)
			}
		}
		if x, y := visits(r, Cell{2, 1}), visits(r, Cell{4, 1}); x < 4 || y < 4 {
			t.Errorf("the two that may be the best ran %d and %d times only", x, y)
		}
		if a.Noise.N < 4 {
			t.Errorf("the reference ran %d times only", a.Noise.N)
		}
	})
}

// The reference may be no cell of the grid and have its smallest chunk; and a cell
// whose only run was slow by chance has another, where that is cheap.
func TestSweepGivesASecondRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := make(map[Cell]int)
		p := Protocol{Cells: []Cell{{1, 1000}, {2, 1000}, {2, 5000}, {8, 5000}}, Reference: Cell{4, 1000}, Sets: 5, Runs: 1, WarmUps: 1, Budget: 120 * time.Second}
		r, err := Sweep(t.Context(), p, lasting(func(c Cell) time.Duration {
			runs[c]++
			switch {
			case c == Cell{8, 5000}:
				return 10 * time.Second // too long for another
			case c == Cell{2, 1000} && runs[c] == 1:
				return 2 * time.Second
			}
			return 200 * time.Millisecond
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
		a := Analyse(r)
		if x, y, z := a.At(Cell{2, 1000}), a.At(Cell{8, 5000}), a.Noise; x.N != 5 || y.N != 1 || z.N != 5 {
			t.Errorf("2 x 1000 ran %d times, 8 x 5000 %d and the reference %d", x.N, y.N, z.N)
		}
	})
}

// A cell that would take the budget for itself is cut short, whenever its turn is,
// and says so; what it leaves goes to the others.
func TestSweepCutsShortWhatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(4) {
			took := map[Cell]time.Duration{{1, 1}: time.Hour, {2, 1}: 20 * time.Second, {1, 100}: 2 * time.Second, {2, 100}: time.Second, {2, 1000}: 2 * time.Second}
			p := Protocol{Cells: slices.SortedFunc(maps.Keys(took), func(a, b Cell) int { return (a.Chunk-b.Chunk)*10 + a.Workers - b.Workers }),
				Reference: Cell{2, 100}, Sets: 5, Runs: 1, WarmUps: 1, Budget: 120 * time.Second, Seed: seed}
			began := time.Now()
			r, err := Sweep(t.Context(), p, untilEnded(took), nil)
			if err != nil {
				t.Fatal(err)
			}
			if all := time.Since(began); all > p.Budget+3*time.Second {
				t.Errorf("it took %v, and the budget is %v", all, p.Budget)
			}
			a := Analyse(r)
			if c := a.At(Cell{1, 1}); c.N != 0 || c.Failed != 1 || !regexp.MustCompile(`^cut short after \d+s: more would not fit into the budget of 2m0s, `).MatchString(c.Why) {
				t.Errorf("the cell that takes an hour: %+v", c)
			}
			if n := visits(r, Cell{2, 100}); n != p.Sets || r.Cut != "" || a.Base == nil || a.Base.Chunk == 1 && a.Base.Workers == 1 {
				t.Errorf("the fastest ran %d times, speed-ups are against %+v; cut short by %q", n, a.Base, r.Cut)
			}
		}
	})
}

// Several such cells leave enough of the budget for the others all the same.
func TestSweepCutsShortAllThatTakeTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(4) {
			took := map[Cell]time.Duration{{1, 1}: time.Hour, {2, 1}: 20 * time.Second, {4, 1}: time.Hour, {8, 1}: time.Hour, {1, 100}: 2 * time.Second, {2, 100}: time.Second, {2, 1000}: 2 * time.Second}
			p := Protocol{Cells: slices.SortedFunc(maps.Keys(took), func(a, b Cell) int { return (a.Chunk-b.Chunk)*10 + a.Workers - b.Workers }),
				Reference: Cell{2, 100}, Sets: 5, Runs: 1, WarmUps: 1, Budget: 120 * time.Second, Seed: seed}
			began := time.Now()
			r, err := Sweep(t.Context(), p, untilEnded(took), nil)
			if err != nil {
				t.Fatal(err)
			}
			if all := time.Since(began); all > p.Budget+3*time.Second {
				t.Errorf("it took %v, and the budget is %v", all, p.Budget)
			}
			a := Analyse(r)
			for _, w := range []int{1, 4, 8} {
				if c := a.At(Cell{w, 1}); c.N != 0 || c.Failed != 1 || !strings.HasPrefix(c.Why, "cut short after ") {
					t.Errorf("a cell that takes an hour: %+v", c)
				}
			}
			if n := visits(r, Cell{2, 100}); n != p.Sets {
				t.Errorf("the fastest ran %d times, want %d", n, p.Sets)
			}
		}
	})
}

// A cell of so many transactions that it would take more than a quarter of the
// budget waits until all else is done. Where there is no time then it is left out,
// and it is said which budget it takes; with that it runs.
func TestSweepLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := map[Cell]time.Duration{{1, 1}: 70 * time.Second, {1, 10}: 8 * time.Second, {1, 100}: 2 * time.Second, {2, 10}: 6 * time.Second, {2, 100}: time.Second}
		p := Protocol{Cells: slices.SortedFunc(maps.Keys(took), func(a, b Cell) int { return (a.Chunk-b.Chunk)*10 + a.Workers - b.Workers }),
			Reference: Cell{2, 100}, Sets: 5, Runs: 1, WarmUps: 1, Budget: 90 * time.Second, LeaveOut: true}
		r, err := Sweep(t.Context(), p, untilEnded(took), func(x Progress) {
			if x.Left > p.Budget || x.Runs < x.Done {
				t.Errorf("told of %+v", x)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		a := Analyse(r)
		if c := a.At(Cell{1, 1}); c.Visited() || a.Base == nil || a.Base.Cell != (Cell{1, 10}) || visits(r, a.Best.Cell) != p.Sets {
			t.Errorf("1 x 1 is %+v, speed-ups are against %+v, the best is %+v", c, a.Base, a.Best)
		}
		const says = "1 x 1 was left out: by what 1 x 10 took, its transactions take up to 80.0 s, which the other cells left no time for. With --budget 3m there is."
		if notes := strings.Join(a.Verdict.Notes, "\n"); !strings.Contains(notes, says) || strings.Contains(notes, "never ran") {
			t.Errorf("of what is left out it says\n%s", notes)
		}
		p.Budget = 2 * time.Minute
		if r, err = Sweep(t.Context(), p, untilEnded(took), nil); err != nil {
			t.Fatal(err)
		}
		if a, last := Analyse(r), r.Samples[len(r.Samples)-1]; a.Base.Cell != (Cell{1, 1}) || visits(r, a.Best.Cell) != p.Sets || len(r.LeftOut) != 0 || last.Cell != a.Base.Cell {
			t.Errorf("within %s speed-ups are against %+v, %v is left out, the best is %+v, and the last run %+v", p.Budget, a.Base, r.LeftOut, a.Best, last)
		}
		// The others do not take its time, however often they may run.
		p.Budget, p.Sets = 3*time.Minute, 1000
		if r, err = Sweep(t.Context(), p, untilEnded(took), nil); err != nil {
			t.Fatal(err)
		}
		if a := Analyse(r); a.Base.Cell != (Cell{1, 1}) || a.Best.N < 10 || len(r.LeftOut) != 0 || r.Ended.Sub(r.Began) > p.Budget {
			t.Errorf("within %s speed-ups are against %+v, %v is left out, the best is %+v", p.Budget, a.Base, r.LeftOut, a.Best)
		}
		p.LeaveOut, p.Budget, p.Sets = false, 4*time.Minute, 5
		if r, err = Sweep(t.Context(), p, untilEnded(took), nil); err != nil {
			t.Fatal(err)
		}
		if a := Analyse(r); a.Base.Cell != (Cell{1, 1}) || len(r.LeftOut) != 0 {
			t.Errorf("where nothing is left out, speed-ups are against %+v, and %v is", a.Base, r.LeftOut)
		}
	})
}

// visits is how often a cell ran that came to an end, without the reference's runs.
func visits(r *Result, c Cell) (n int) {
	for i := range r.Samples {
		if x := &r.Samples[i]; x.Cell == c && x.counts() {
			n++
		}
	}
	return n
}

func TestRounded(t *testing.T) {
	for d, want := range map[time.Duration]string{59_600 * time.Millisecond: "1m0s", 9960 * time.Millisecond: "10s", 3140 * time.Millisecond: "3.1s", 412_300 * time.Microsecond: "412ms"} {
		if got := rounded(d).String(); got != want {
			t.Errorf("%v is told as %s, want %s", d, got, want)
		}
	}
}

// untilEnded takes so long for each cell, or until it is told to end.
func untilEnded(took map[Cell]time.Duration) Run {
	return func(ctx context.Context, c Cell) (Sample, error) {
		select {
		case <-time.After(took[c]):
			return Sample{Seconds: took[c].Seconds()}, nil
		case <-ctx.Done():
			return Sample{}, ctx.Err()
		}
	}
}

func TestProtocolCheck(t *testing.T) {
	good := Protocol{Cells: gridOf([]int{1}, []int{1}), Reference: Cell{1, 1}, Sets: 1, Runs: 1}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*Protocol){
		"no cell":             func(p *Protocol) { p.Cells = nil },
		"stands twice":        func(p *Protocol) { p.Cells = append(p.Cells, p.Cells[0]) },
		"one worker":          func(p *Protocol) { p.Cells = []Cell{{0, 1}} },
		"one file or more":    func(p *Protocol) { p.Reference = Cell{} },
		"one set and one run": func(p *Protocol) { p.Sets = 0 },
		"not negative":        func(p *Protocol) { p.Pause = -1 },
	} {
		p := good
		change(&p)
		if _, err := Sweep(t.Context(), p, nil, nil); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want an error with %q, got %v", what, err)
		}
	}
}

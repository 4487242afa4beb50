package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A Protocol says which cells are visited how often, and in which order.
//
// A set visits every cell Runs times, each time in another shuffled order, and
// begins with one run of the reference cell. Sets follow one another, so that
// what the machine does beside falls on all cells alike.
type Protocol struct {
	Cells     []Cell        `json:"cells"`
	Reference Cell          `json:"reference"` // that the noise of the machine is told by
	Sets      int           `json:"sets"`
	Runs      int           `json:"runs"`     // of each cell within a set
	Pause     time.Duration `json:"pause_ns"` // between sets
	WarmUps   int           `json:"warm_ups"` // runs of the reference cell before the first set
	Seed      uint64        `json:"seed"`     // of the order

	// Budget bounds the sweep: each cell gets one run, those of the smallest chunk
	// last, which take the longest. It is cut short, and so a run that failed, when
	// it takes half of what is left of the budget, which those of the smallest chunk
	// share, if that is more than three times what the reference took. Then those go
	// on that needed at most twice the time of the fastest, or that have run once and
	// in a fiftieth of the budget, and no run is begun that would end after the
	// budget. 0 for none: every cell gets Sets times Runs, however long they take.
	Budget time.Duration `json:"budget_ns"`
	// LeaveOut has the cells of the smallest chunk wait until all else is done that
	// would take more than a quarter of the budget, if each of their transactions,
	// which are so many times as many, takes what it took the same workers with the
	// next chunk. Up to half of the budget is kept for them. Then they run once, or
	// are left out where what is left of the budget is too little.
	LeaveOut bool `json:"leave_out"`
}

// Progress is how far a sweep is.
type Progress struct {
	Cell Cell          // that is about to run
	Set  int           // counted from 1; 0 for warm-ups
	Sets int           // all of them
	Done int           // runs
	Runs int           // all that are planned, as far as is known
	Left time.Duration // about; 0 where it cannot be told yet
	Last *Sample       // the run that just ended; nil before the first
}

// Check says what is wrong with a protocol.
func (p *Protocol) Check() error {
	seen := make(map[Cell]bool)
	for _, c := range slices.Concat(p.Cells, []Cell{p.Reference}) {
		if c.Workers < 1 || c.Chunk < 1 {
			return fmt.Errorf("a cell has one worker and one file or more, not %s", c)
		}
	}
	for _, c := range p.Cells {
		if seen[c] {
			return fmt.Errorf("cell %s stands twice in the grid", c)
		}
		seen[c] = true
	}
	switch {
	case len(p.Cells) == 0:
		return errors.New("there is no cell to visit")
	case p.Sets < 1 || p.Runs < 1:
		return fmt.Errorf("there are to be one set and one run or more, not %d and %d", p.Sets, p.Runs)
	case p.WarmUps < 0 || p.Pause < 0 || p.Budget < 0:
		return errors.New("warm-ups, pause and budget are not negative")
	}
	return nil
}

// Sweep visits the cells as the protocol says. A run that fails becomes a sample
// that says why, and the sweep goes on. When ctx ends, so does the sweep, with
// the samples that there are and the result's Cut telling why. Its error is that
// of the protocol.
//
// progress is called before each run and after the last; nil for nobody. The
// result lacks Versions and Settings, which only the caller knows.
func Sweep(ctx context.Context, p Protocol, run Run, progress func(Progress)) (*Result, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	s := &sweep{Protocol: p, run: run, progress: progress, result: &Result{Machine: ThisMachine(), Protocol: p, Began: time.Now()},
		visits: make(map[Cell]int), waited: make(map[Cell]bool), took: make(map[Cell]time.Duration), least: make(map[Cell]float64), random: rand.New(rand.NewPCG(p.Seed, 0)), smallest: p.Cells[0].Chunk}
	for _, c := range p.Cells {
		s.larger = s.larger || c.Chunk != s.smallest
		s.smallest = min(s.smallest, c.Chunk)
	}
	s.all(ctx)
	s.tell(Progress{Done: len(s.result.Samples), Runs: len(s.result.Samples)})
	s.result.Ended = time.Now()
	if ctx.Err() != nil {
		s.result.Cut = context.Cause(ctx).Error()
	}
	return s.result, nil
}

// A sweep is one that is under way.
type sweep struct {
	Protocol
	run      Run
	progress func(Progress)
	result   *Result
	random   *rand.Rand
	smallest int  // chunk
	larger   bool // ones there are, too

	visits  map[Cell]int           // without warm-ups and reference runs
	waited  map[Cell]bool          // those that waited for the end
	took    map[Cell]time.Duration // the cell's last visit, with what made it ready
	least   map[Cell]float64       // seconds of the fastest run
	skipped int                    // runs that there was no time for
}

func (s *sweep) all(ctx context.Context) {
	for range s.WarmUps {
		if !s.visit(ctx, s.Reference, 0, 0) {
			return
		}
	}
	for set := 1; set <= s.Sets; set++ {
		if set > 1 && !s.rest(ctx) {
			return
		}
		if s.hasTime(s.Reference) && !s.visit(ctx, s.Reference, set, 0) {
			return
		}
		if !s.set(ctx, set) {
			return
		}
	}
	s.late(ctx)
}

// late visits those that waited for the end, where there is time.
func (s *sweep) late(ctx context.Context) {
	for _, x := range slices.Clone(s.result.LeftOut) {
		spent := time.Since(s.result.Began)
		about := time.Duration(x.About * float64(time.Second))
		if spent+about > s.Budget {
			s.result.leftOut(x.Cell).Enough = max(spent+about, 2*about) // half of it is kept
			continue
		}
		s.result.LeftOut = slices.DeleteFunc(s.result.LeftOut, func(y LeftOut) bool { return y.Cell == x.Cell })
		s.took[x.Cell], s.waited[x.Cell] = about, true
		s.skipped--
		if !s.visit(ctx, x.Cell, s.Sets, s.Runs) {
			return
		}
	}
}

// set visits the cells of a set and reports whether to go on.
func (s *sweep) set(ctx context.Context, set int) bool {
	for run := 1; run <= s.Runs; run++ {
		for _, c := range s.order() {
			if s.leavesOut(c) || s.visits[c] > 0 && s.Budget > 0 && (s.slow(c) || !s.hasTime(c)) {
				s.skipped++
				continue
			}
			if !s.visit(ctx, c, set, run) {
				return false
			}
		}
	}
	return true
}

// order is all cells, shuffled; in the first round within a budget those of the
// smallest chunk come last, so that it is for them that no time is left.
func (s *sweep) order() []Cell {
	cells := make([]Cell, len(s.Cells))
	for i, j := range s.random.Perm(len(s.Cells)) {
		cells[i] = s.Cells[j]
	}
	if s.Budget > 0 && len(s.visits) == 0 {
		last := func(c Cell) int {
			if c.Chunk == s.smallest {
				return 1
			}
			return 0
		}
		slices.SortStableFunc(cells, func(a, b Cell) int { return last(a) - last(b) })
	}
	return cells
}

// leavesOut reports whether a cell is left out, or waits for the end, and keeps it
// with the result.
func (s *sweep) leavesOut(c Cell) bool {
	if !s.LeaveOut || s.Budget == 0 || s.visits[c] > 0 || c.Chunk > s.smallest {
		return false
	}
	if s.result.leftOut(c) != nil {
		return true
	}
	next := Cell{Workers: c.Workers}
	for _, x := range s.Cells {
		if x.Workers == c.Workers && x.Chunk > c.Chunk && (next.Chunk == 0 || x.Chunk < next.Chunk) {
			next = x
		}
	}
	about := s.least[next] * float64(next.Chunk) / float64(c.Chunk) // 0 where that cell did not come to an end
	if about <= s.Budget.Seconds()/4 {
		return false
	}
	s.result.LeftOut = append(s.result.LeftOut, LeftOut{Cell: c, By: next, About: about})
	return true
}

// patience is for how long a cell's first run is waited for; 0 for ever, as for
// those of the reference.
func (s *sweep) patience(c Cell, run int) time.Duration {
	reference, ok := s.took[s.Reference]
	if s.Budget == 0 || s.visits[c] > 0 || run == 0 || !ok {
		return 0
	}
	left := s.Budget - time.Since(s.result.Began)
	if s.waited[c] {
		return max(left, 3*reference)
	}
	share := left / 2
	if s.larger && c.Chunk == s.smallest {
		toCome := 0
		for _, x := range s.Cells {
			if x.Chunk == s.smallest && s.visits[x] == 0 && s.result.leftOut(x) == nil {
				toCome++
			}
		}
		share /= time.Duration(toCome)
	}
	return max(share, 3*reference)
}

// rounded is a time as it is told: one so short that no second of it can be left
// out is told to the tenth.
func rounded(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

// tryOnce runs a cell, for as long as there is patience.
func (s *sweep) tryOnce(ctx context.Context, c Cell, run int) (Sample, error) {
	most := s.patience(c, run)
	if most == 0 {
		return s.run(ctx, c)
	}
	tooLong := fmt.Errorf("cut short after %s: more would not fit into the budget of %s, a longer one lets it end", rounded(most), s.Budget)
	ctx, cancel := context.WithTimeoutCause(ctx, most, tooLong)
	defer cancel()
	sample, err := s.run(ctx, c)
	if err != nil && errors.Is(context.Cause(ctx), tooLong) {
		err = tooLong
	}
	return sample, err
}

// visit runs a cell once and reports whether to go on.
func (s *sweep) visit(ctx context.Context, c Cell, set, run int) bool {
	s.tell(s.at(c, set))
	began := time.Now()
	sample, err := s.tryOnce(ctx, c, run)
	if ctx.Err() != nil {
		return false // it was cut short, which no seconds tell of
	}
	sample.Cell, sample.Set, sample.Run = c, set, run
	if sample.At.IsZero() {
		sample.At = began
	}
	if err != nil {
		sample.Error = err.Error()
	} else if least, ok := s.least[c]; !ok || sample.Seconds < least {
		s.least[c] = sample.Seconds
	}
	s.took[c] = time.Since(began)
	if set > 0 && run > 0 {
		s.visits[c]++
	}
	s.result.Samples = append(s.result.Samples, sample)
	return true
}

// rest waits between two sets and reports whether to go on.
func (s *sweep) rest(ctx context.Context) bool {
	if s.Budget > 0 && time.Since(s.result.Began)+s.Pause > s.Budget {
		return true // nothing is measured any more
	}
	t := time.NewTimer(s.Pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// slow reports whether the cell is out of the question. One run may have been
// slow by chance: where another is cheap it decides.
func (s *sweep) slow(c Cell) bool {
	if s.visits[c] == 1 && s.took[c] <= s.Budget/50 && s.least[c] > 0 {
		return false
	}
	fastest := 0.0
	for _, seconds := range s.least {
		if fastest == 0 || seconds < fastest {
			fastest = seconds
		}
	}
	least, ok := s.least[c]
	return !ok || least > 2*fastest
}

func (s *sweep) hasTime(c Cell) bool {
	return s.Budget == 0 || time.Since(s.result.Began)+s.took[c] <= s.Budget-s.kept()
}

// kept is what of the budget is kept for the cells that wait for the end, if that
// is not more than half of it.
func (s *sweep) kept() (all time.Duration) {
	for _, x := range s.result.LeftOut {
		all += time.Duration(x.About * float64(time.Second))
	}
	if all > s.Budget/2 {
		return 0
	}
	return all
}

func (s *sweep) tell(p Progress) {
	if s.progress == nil {
		return
	}
	p.Sets = s.Sets
	if n := len(s.result.Samples); n > 0 {
		p.Last = &s.result.Samples[n-1]
	}
	s.progress(p)
}

// at is how far the sweep is before a run. What is left is reckoned by what the
// runs took so far, those of a cell that was not visited by the mean of those
// that were.
func (s *sweep) at(c Cell, set int) Progress {
	n := len(s.result.Samples)
	p := Progress{Cell: c, Set: set, Done: n, Runs: s.WarmUps + s.Sets*(1+s.Runs*len(s.Cells)) - s.skipped}
	if len(s.took) == 0 {
		return p
	}
	var mean time.Duration
	for _, took := range s.took {
		mean += took / time.Duration(len(s.took))
	}
	var first, rest time.Duration // of the cells' first runs, and of the others
	for _, c := range s.Cells {
		if s.result.leftOut(c) != nil {
			continue
		}
		took, ok := s.took[c]
		if !ok {
			took = mean
		}
		if s.visits[c] == 0 {
			first += took
		}
		if s.Budget == 0 || s.visits[c] == 0 || !s.slow(c) {
			rest += took * time.Duration(s.Sets*s.Runs-max(1, s.visits[c]))
		}
	}
	rest += s.Pause * time.Duration(s.Sets-max(set, 1))
	p.Left = first + rest
	if s.Budget > 0 {
		p.Left = first + min(rest, max(0, s.Budget-time.Since(s.result.Began)-first))
	}
	return p
}

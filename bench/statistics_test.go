package bench

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// sampled is a result of the seconds of some cells, the reference runs under the
// zero cell.
func sampled(seconds map[Cell][]float64) *Result {
	r := &Result{Machine: Machine{Cores: 4}, Settings: Settings{Stage: "load", Auto: Cell{9, 9}}, Protocol: Protocol{Reference: Cell{9, 9}}}
	for c, all := range seconds {
		if c != (Cell{}) {
			r.Protocol.Cells = append(r.Protocol.Cells, c)
		}
		for i, s := range all {
			x := Sample{Cell: c, Set: i + 1, Run: 1, Seconds: s, Files: 1000}
			if c == (Cell{}) {
				x.Cell, x.Run = r.Protocol.Reference, 0
			}
			r.Samples = append(r.Samples, x)
		}
	}
	return r
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6*max(1, math.Abs(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// exps are the exponentials of values: seconds with these logarithms.
func exps(values ...float64) (all []float64) {
	for _, v := range values {
		all = append(all, math.Exp(v))
	}
	return all
}

// From six runs on: R gives quantile(1:6), and wilcox.test(1:6, 11:16) p = 0.002165;
// the interval of a median of six is from the least to the greatest, by the
// binomial: 1 - 2 * 0.5^6 = 0.969.
func TestStatisticsOfEnoughRuns(t *testing.T) {
	a := Analyse(sampled(map[Cell][]float64{
		{1, 1}: {11, 12, 13, 14, 15, 16},
		{2, 1}: {3, 1, 2, 6, 5, 4},
		{4, 1}: {1.5, 2.5, 3.5, 4.5, 5.5, 40},
	}))
	best := a.Best
	if best.Cell != (Cell{2, 1}) || best.N != 6 || best.P != 1 || !best.Alike {
		t.Fatalf("the best is %+v", best)
	}
	near(t, "the median", best.Median, 3.5)
	near(t, "the first quartile", best.Q1, 2.25)
	near(t, "the third quartile", best.Q3, 4.75)
	near(t, "the interval's low end", best.Lo, 1)
	near(t, "the interval's high end", best.Hi, 6)
	slow := a.At(Cell{1, 1})
	near(t, "P", slow.P, 0.0021645021645)
	if slow.Alike || slow != a.Base {
		t.Errorf("1 x 1 is %+v", slow)
	}
	near(t, "the speed-up", best.Speedup, 13.5/3.5)
	odd := a.At(Cell{4, 1})
	if !odd.Alike || !slices.Equal(odd.Outliers, []float64{40}) || odd.N != 6 {
		t.Errorf("4 x 1 is %+v, want like the best, with an outlier that counts", odd)
	}
	if a.Least != best {
		t.Errorf("the least is %s: 1 x 1 is slower, and 4 x 1 no smaller", a.Least)
	}
}

// With fewer: R gives t.test(0:2, 3:5, var.equal = TRUE) t = -3.6742, df = 4,
// p = 0.02131, and qt(0.975, 4) = 2.776445.
func TestStatisticsOfFewRuns(t *testing.T) {
	a := Analyse(sampled(map[Cell][]float64{{1, 1}: exps(3, 4, 5), {2, 1}: exps(0, 1, 2)}))
	if a.Best.Cell != (Cell{2, 1}) {
		t.Fatalf("the best is %s", a.Best)
	}
	near(t, "P", a.At(Cell{1, 1}).P, 0.0213117)
	// Medians of three spread by 1.16 times as much as means do.
	near(t, "the interval's low end", a.Best.Lo, math.Exp(1-1.16*2.7764451/math.Sqrt(3)))
	near(t, "the interval's high end", a.Best.Hi, math.Exp(1+1.16*2.7764451/math.Sqrt(3)))
	// One that lies apart does not take the interval away from the median.
	if c := Analyse(sampled(map[Cell][]float64{{1, 1}: {1, 1.01, 0.99, 1, 8}, {2, 1}: {2, 2.1, 1.9, 2, 2.05}})).At(Cell{1, 1}); !(c.Lo < c.Median && c.Median < c.Hi) {
		t.Errorf("the median %v is not within %v to %v", c.Median, c.Lo, c.Hi)
	}

	// A cell that ran once is judged by what runs of the others differ by: R's
	// 2 * pt(-(3 - 1) / sqrt(1 + 1/3), 2) = 0.2254033.
	a = Analyse(sampled(map[Cell][]float64{{1, 1}: exps(3), {2, 1}: exps(0, 1, 2)}))
	near(t, "P of one run", a.At(Cell{1, 1}).P, 0.2254033)
	if c := a.At(Cell{1, 1}); c.Lo != c.Median || c.Hi != c.Median || !c.Alike {
		t.Errorf("the cell that ran once is %+v", c)
	}
}

func TestStatisticsWhereNothingCanBeTold(t *testing.T) {
	a := Analyse(sampled(map[Cell][]float64{{1, 1}: {9}, {2, 1}: {3}, {4, 1}: nil}))
	if c := a.At(Cell{1, 1}); c.Alike || a.Compared || a.Best.Cell != (Cell{2, 1}) || a.Least != a.Best ||
		!strings.HasSuffix(a.Verdict.Best, "It is not sure: nothing ran twice, and what equal runs differ by is not known.") {
		t.Errorf("with one run each, %+v, and the best is %s: %+v", c, a.Best, a.Verdict)
	}
	if c := a.At(Cell{4, 1}); c.Visited() || c.Alike || c.Speedup != 0 {
		t.Errorf("a cell that never ran is %+v", c)
	}
	// Equal runs: no spread, and a difference is one.
	a = Analyse(sampled(map[Cell][]float64{{1, 1}: {2, 2}, {2, 1}: {1, 1}, {4, 1}: {1, 1}}))
	if a.At(Cell{1, 1}).Alike || !a.At(Cell{4, 1}).Alike || a.Least != a.Best || a.Best.Workers != 2 {
		t.Errorf("of equal runs: %+v", a.Cells)
	}
	if a := Analyse(sampled(map[Cell][]float64{{1, 1}: nil})); a.Best != nil || a.Verdict.Best != "No cell came to an end." {
		t.Errorf("without any run the verdict is %+v", a.Verdict)
	}
}

// Where there are fewer chunks than workers, more workers do the same work: these
// cells are judged together, with the runs of the reference, and none is told from
// another.
func TestSameWork(t *testing.T) {
	r := sampled(map[Cell][]float64{
		{1, 2000}: {3, 3.1},
		{2, 500}:  {2.2, 2.3},
		{2, 2000}: {2, 2.1},
		{4, 2000}: {1.9, 2.2},
		{8, 2000}: {1.5, 1.6}, // by chance
		{8, 5000}: {3.05, 3},
		{}:        {2, 2.05},
	})
	r.Protocol.Reference, r.Settings.Auto = Cell{2, 2000}, Cell{2, 2000}
	for i := range r.Samples {
		x := &r.Samples[i]
		if x.Run == 0 {
			x.Cell = r.Protocol.Reference
		}
		x.Files = 3000
		x.Chunks = (x.Files + int64(x.Chunk) - 1) / int64(x.Chunk)
	}
	a := Analyse(r)
	if a.Best.Cell != (Cell{2, 2000}) || !a.At(Cell{4, 2000}).Alike || !a.At(Cell{8, 2000}).Alike || a.Least.Cell != (Cell{2, 2000}) || a.At(Cell{1, 2000}).Alike || a.At(Cell{8, 5000}).Alike {
		t.Errorf("the best is %s, the least %s: %+v", a.Best, a.Least, a.Cells)
	}
	near(t, "the P of cells of the same work", a.At(Cell{4, 2000}).P, 1)
	if c := a.At(Cell{8, 2000}); c.N != 8 || c.Median != a.Best.Median || !a.AutoIsAsGood() {
		t.Errorf("the verdict is %+v", a.Verdict)
	}
	// Student's, of six runs less one mean for 2 x 2000 and four others, and two
	// runs for each of the other three works.
	p := pool(a.byWork, nil)
	near(t, "the degrees of freedom", p.freedom, 7+1+1+1)
	if notes := strings.Join(a.Verdict.Notes, "\n"); !strings.Contains(notes, "With fewer chunks than workers, some workers have nothing to do, and runs of cells that do the same work count together: 4 x 2000, 8 x 2000, 8 x 5000.") {
		t.Errorf("the notes are\n%s", notes)
	}
}

// Where chunks are full of bytes before they have so many files, larger ones are the
// same, and it is said which.
func TestChunksThatAreFullBefore(t *testing.T) {
	r := sampled(map[Cell][]float64{{4, 5}: {2, 2.1}, {4, 100}: {1, 1.1}, {4, 1000}: {1.2, 1}, {1, 1000}: {4, 4.1}})
	for i := range r.Samples {
		x := &r.Samples[i]
		if x.Files, x.Chunks = 60, 6; x.Chunk == 5 {
			x.Chunks = 12
		}
	}
	a := Analyse(r)
	if a.Best.Cell != (Cell{4, 100}) || a.Best.N != 4 || !a.sameWork(a.Best, a.At(Cell{4, 1000})) || a.sameWork(a.Best, a.At(Cell{1, 1000})) || a.sameWork(a.Best, a.At(Cell{4, 5})) {
		t.Errorf("the best is %s of %d runs", a.Best, a.Best.N)
	}
	if notes := strings.Join(a.Verdict.Notes, "\n"); !strings.Contains(notes, "Chunks were full of bytes or readings before they had so many files: at 100, 1000.") || strings.Contains(notes, "fewer chunks than workers") {
		t.Errorf("the notes are\n%s", notes)
	}
}

// Where files come over a network chunks may close otherwise from run to run: then
// a cell's runs are its own, all of them.
func TestWorkThatDiffers(t *testing.T) {
	r := sampled(map[Cell][]float64{{4, 500}: {1, 1.1, 1.05}, {3, 500}: {1, 1, 1}})
	for i := range r.Samples {
		r.Samples[i].Chunks = 3
	}
	chunks := int64(2)
	for i := range r.Samples {
		if x := &r.Samples[i]; x.Workers == 4 {
			x.Chunks = chunks
			chunks++
		}
	}
	a := Analyse(r)
	if c := a.At(Cell{4, 500}); c.N != 3 || a.idle(c.Cell) != 0 || a.sameWork(c, a.At(Cell{3, 500})) {
		t.Errorf("%d runs of 4 x 500 are compared", c.N)
	}
}

// Cells that ran once or twice lie as far apart in time as the reference's runs do.
func TestDriftIsNoise(t *testing.T) {
	seconds := map[Cell][]float64{{1, 1}: {1.3, 1.31}, {2, 1}: {1, 1.01}}
	if a := Analyse(sampled(seconds)); a.At(Cell{1, 1}).Alike {
		t.Errorf("without drift, 1 x 1 is %+v", a.At(Cell{1, 1}))
	}
	seconds[Cell{}] = []float64{1, 1.2, 1.3, 1.5, 1.6}
	if a := Analyse(sampled(seconds)); !a.At(Cell{1, 1}).Alike {
		t.Errorf("where the reference drifts, 1 x 1 is %+v", a.At(Cell{1, 1}))
	}
}

// The smallest cell that cannot be told from the best is the least only where its
// median is within five per cent.
func TestLeastIsAsGood(t *testing.T) {
	a := Analyse(sampled(map[Cell][]float64{
		{1, 1}:   {1.2, 1.0, 1.1, 1.3, 0.9, 1.15}, // 10 % slower
		{1, 10}:  {1.03, 1.0, 1.1, 1.2, 0.9, 1.0},
		{2, 100}: {1.0, 1.01, 1.1, 1.2, 0.9, 0.95},
	}))
	if a.Best.Cell != (Cell{2, 100}) || !a.At(Cell{1, 1}).Alike || a.Least.Cell != (Cell{1, 10}) {
		t.Errorf("best %s, least %s", a.Best, a.Least)
	}
}

func TestAmdahl(t *testing.T) {
	seconds := map[Cell][]float64{{5, 100}: {0.5}}
	for _, w := range []int{1, 2, 3, 4, 6, 12} {
		seconds[Cell{w, 1}] = []float64{10 * (0.2 + 0.8/float64(w))}
	}
	fit := Analyse(sampled(seconds)).Amdahl
	if fit == nil || fit.Chunk != 1 {
		t.Fatalf("the fit is %+v", fit)
	}
	near(t, "one worker's time", fit.One, 10)
	near(t, "the serial share", fit.Serial, 0.2)
	near(t, "R2", fit.R2, 1)
	near(t, "the time of 8", fit.Seconds(8), 3)

	// More workers that only cost leave nothing to be shared out, and ones that
	// help more than their number nothing that is not.
	for want, all := range map[float64][]float64{1: {1, 2, 3}, 0: {9, 4, 1}} {
		fit := Analyse(sampled(map[Cell][]float64{{1, 1}: all[:1], {2, 1}: all[1:2], {3, 1}: all[2:]})).Amdahl
		near(t, "the serial share", fit.Serial, want)
	}
	if a := Analyse(sampled(map[Cell][]float64{{1, 1}: {1}, {2, 1}: {1}})); a.Amdahl != nil {
		t.Errorf("two points are fitted: %+v", a.Amdahl)
	}
}

func TestNoiseAndAuto(t *testing.T) {
	a := Analyse(sampled(map[Cell][]float64{{}: {1, 1, 1.1, 1.1, 2, 2}, {1, 1}: {3, 3}, {2, 1}: {2.9, 3.1}}))
	near(t, "the drift", a.Noise.Drift, 1)
	near(t, "the spread", a.Noise.Spread, math.Sqrt(1.2133333333/5)/(8.2/6))
	near(t, "the spread within", a.Noise.Within, math.Sqrt(0.02)/3/2) // the median of none and that
	if a.Auto == nil || a.Auto.Cell != (Cell{9, 9}) || a.Auto.N != 6 || a.At(a.Auto.Cell) != nil {
		t.Errorf("the automatic choice, which is not in the grid, is %+v", a.Auto)
	}
}

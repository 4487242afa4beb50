package bench

import (
	"cmp"
	"math"
	"slices"

	"github.com/aclements/go-moremath/stats"
	"golang.org/x/perf/benchmath"
)

const (
	confidence = 0.95
	alpha      = 1 - confidence

	// enough is from how many runs on a cell is judged by itself: the interval of
	// a median has an end from six on. With fewer, what runs of one cell differ by
	// is taken from all cells together.
	enough = 6

	// little is up to which part above the best's median a cell is as good, where
	// it cannot be told from the best either.
	little = 0.05
)

// Analyse says what the samples of a result come to.
//
// From six runs on, a cell's interval is that of its median without assumptions,
// and two cells are compared by the test of Mann, Whitney and Wilcoxon, as
// benchstat does. With fewer runs, which such a test could tell nothing of, the
// logarithms of seconds are taken to lie about each cell's mean with one spread
// that all cells share, or with that of the reference's runs where it is more,
// and the interval and the comparison are Student's. Runs of the same work count
// for all cells that have it to do, those of the reference too: see [Sample.work].
// Comparisons are not corrected for their number, and the best cell is the luckiest
// of those that are as fast: of twenty such, three or four may be taken for slower.
func Analyse(r *Result) *Analysis {
	a := &Analysis{Result: r, works: worksOf(r.Samples), byWork: make(map[Cell][]Sample)}
	ran := make(map[Cell]bool)
	failed := make(map[Cell][]Sample)
	var reference []Sample
	for _, x := range r.Samples {
		switch {
		case x.Set == 0: // a warm-up
			continue
		case x.Error == "" && x.Run == 0:
			reference = append(reference, x)
		case x.Error == "":
			ran[x.Cell] = true
		case x.Run > 0:
			failed[x.Cell] = append(failed[x.Cell], x)
		}
		if x.Error == "" {
			a.byWork[a.works[x.Cell]] = append(a.byWork[a.works[x.Cell]], x)
		}
	}
	pooled := pool(a.byWork, reference)
	a.Compared = pooled.freedom > 0
	for _, c := range r.Protocol.Cells {
		a.Workers, a.Chunks = append(a.Workers, c.Workers), append(a.Chunks, c.Chunk)
		var runs []Sample
		if ran[c] {
			runs = a.byWork[a.works[c]]
		}
		a.Cells = append(a.Cells, cellStats(c, runs, failed[c], pooled))
	}
	slices.Sort(a.Workers)
	slices.Sort(a.Chunks)
	a.Workers, a.Chunks = slices.Compact(a.Workers), slices.Compact(a.Chunks)
	slices.SortFunc(a.Cells, func(x, y CellStats) int {
		return cmp.Or(cmp.Compare(x.Workers, y.Workers), cmp.Compare(x.Chunk, y.Chunk))
	})
	a.rank(pooled)
	a.findAuto(reference, pooled)
	a.Noise = noiseOf(r.Protocol.Reference, reference, a.Cells)
	a.fitAmdahl()
	a.judge()
	return a
}

// At returns the cell's statistics, nil where it was not to be visited.
func (a *Analysis) At(c Cell) *CellStats {
	for i := range a.Cells {
		if a.Cells[i].Cell == c {
			return &a.Cells[i]
		}
	}
	return nil
}

// work is what the run had to do, as the smallest cell that does it: where there
// are no more chunks than workers, more workers have nothing to do, and where chunks
// are full before they have so many files, their number tells.
func (s *Sample) work() Cell {
	if s.Chunks == 0 {
		return s.Cell
	}
	w := Cell{Workers: min(s.Workers, int(s.Chunks)), Chunk: min(s.Chunk, int(s.Files))}
	if s.fullBefore(s.Chunk) {
		w.Chunk = int((s.Files + s.Chunks - 1) / s.Chunks)
	}
	return w
}

// fullBefore reports whether chunks were full before they had so many files.
func (s *Sample) fullBefore(chunk int) bool { return s.Chunks > (s.Files+int64(chunk)-1)/int64(chunk) }

// worksOf are the works of cells: of one whose runs differ in theirs, as chunks may
// where files come over a network, the cell itself.
func worksOf(samples []Sample) map[Cell]Cell {
	works := make(map[Cell]Cell)
	for i := range samples {
		x := &samples[i]
		if x.Error != "" {
			continue
		}
		if known, ok := works[x.Cell]; ok && known != x.work() {
			works[x.Cell] = x.Cell
		} else {
			works[x.Cell] = x.work()
		}
	}
	return works
}

// idle is how many of the cell's workers have nothing to do.
func (a *Analysis) idle(c Cell) int { return c.Workers - a.works[c].Workers }

// A pooling is the spread of the logarithms of seconds about the means of their
// works, over all of these. It is that of the reference's runs where these are not
// too few and it is more: they lie apart in time, as cells do that ran once or twice.
type pooling struct {
	deviation float64
	freedom   float64 // degrees; 0 where nothing ran twice
}

func pool(byWork map[Cell][]Sample, reference []Sample) pooling {
	var all pooling
	for _, samples := range byWork {
		all = all.with(samples)
	}
	const few = 4
	if own := (pooling{}).with(reference); own.freedom >= few && own.deviation > all.deviation {
		return own
	}
	return all
}

func (p pooling) with(samples []Sample) pooling {
	if len(samples) < 2 {
		return p
	}
	logs := logarithms(samples)
	mean, squares := stats.Mean(logs), p.deviation*p.deviation*p.freedom
	for _, x := range logs {
		squares += (x - mean) * (x - mean)
	}
	p.freedom += float64(len(logs) - 1)
	p.deviation = math.Sqrt(squares / p.freedom)
	return p
}

func cellStats(c Cell, runs, failed []Sample, pooled pooling) CellStats {
	s := CellStats{Cell: c, Runs: runs, N: len(runs), Failed: len(failed), P: 1}
	if len(failed) > 0 {
		s.Why = failed[len(failed)-1].Error
	}
	if s.N == 0 {
		return s
	}
	seconds := sortedSeconds(runs)
	s.Min, s.Max = seconds[0], seconds[s.N-1]
	s.Q1, s.Median, s.Q3 = quantile(seconds, 0.25), quantile(seconds, 0.5), quantile(seconds, 0.75)
	s.Lo, s.Hi = interval(runs, s.Median, pooled)
	for _, x := range seconds {
		if x < s.Q1-1.5*(s.Q3-s.Q1) || x > s.Q3+1.5*(s.Q3-s.Q1) {
			s.Outliers = append(s.Outliers, x)
		}
	}
	return s
}

// medianSpread is by how much more medians of n normal values spread than their
// means do: the medians of 3, 4 and 5 have the variances 0.449, 0.298 and 0.287, and
// the means one by n.
var medianSpread = [enough]float64{1, 1, 1, 1.160, 1.092, 1.198}

// interval returns the bounds of the 95 % interval of a cell's median.
func interval(runs []Sample, median float64, pooled pooling) (lo, hi float64) {
	switch n := len(runs); {
	case n >= enough:
		s := benchmath.AssumeNothing.Summary(benchmath.NewSample(sortedSeconds(runs), &benchmath.DefaultThresholds), confidence)
		return s.Lo, s.Hi
	case n < 2 || pooled.freedom == 0:
		return median, median
	default:
		half := pooled.critical() * pooled.deviation * medianSpread[n] / math.Sqrt(float64(n))
		return median * math.Exp(-half), median * math.Exp(half)
	}
}

// critical is Student's t outside of which alpha lies, on both sides together.
func (p pooling) critical() float64 {
	return stats.InvCDF(stats.TDist{V: p.freedom})(1 - alpha/2)
}

// same returns the probability that runs that are of one kind differ as much as
// these.
func same(x, y []Sample, pooled pooling) float64 {
	if len(x) >= enough && len(y) >= enough {
		t := &benchmath.DefaultThresholds
		return benchmath.AssumeNothing.Compare(benchmath.NewSample(sortedSeconds(x), t), benchmath.NewSample(sortedSeconds(y), t)).P
	}
	apart := math.Abs(stats.Mean(logarithms(x)) - stats.Mean(logarithms(y)))
	if apart == 0 {
		return 1
	}
	if pooled.deviation == 0 {
		return 0
	}
	t := apart / (pooled.deviation * math.Sqrt(1/float64(len(x))+1/float64(len(y))))
	return 2 * (1 - stats.TDist{V: pooled.freedom}.CDF(t))
}

// rank finds the best cell, those like it, and what speed-ups are against.
func (a *Analysis) rank(pooled pooling) {
	for i := range a.Cells {
		c := &a.Cells[i]
		if c.N == 0 {
			continue
		}
		if a.Best == nil || c.Median < a.Best.Median {
			a.Best = c
		}
		if a.Base == nil {
			a.Base = c // cells are sorted, the smallest first
		}
	}
	if a.Best == nil {
		return
	}
	a.Best.Best = true
	for i := range a.Cells {
		c := &a.Cells[i]
		if c.N == 0 {
			continue
		}
		a.compare(c, pooled)
	}
	a.Least = a.Best
	for i := range a.Cells {
		if c := &a.Cells[i]; c.N > 0 && a.asGood(c) && c.smaller(a.Least) {
			a.Least = c
		}
	}
}

// compare tells the cell from the best. Of cells that do the same work there is
// nothing to be told.
func (a *Analysis) compare(c *CellStats, pooled pooling) {
	c.Speedup = a.Base.Median / c.Median
	if a.Compared && !a.sameWork(c, a.Best) {
		c.P = same(a.Best.Runs, c.Runs, pooled)
	}
	c.Alike = c == a.Best || a.Compared && c.P >= alpha
}

// asGood reports whether the cell, which was compared, is as good as the best.
func (a *Analysis) asGood(c *CellStats) bool {
	return c.Alike && (c.Median <= a.Best.Median*(1+little) || a.sameWork(c, a.Best))
}

func (a *Analysis) sameWork(x, y *CellStats) bool { return a.works[x.Cell] == a.works[y.Cell] }

// smaller reports whether the cell needs less than another of one thing, and no
// more of the other: of workers, which have a connection each, and of memory, which
// holds their chunks.
func (c *CellStats) smaller(than *CellStats) bool {
	workers, memory := than.Workers-c.Workers, than.inMemory()-c.inMemory()
	return workers >= 0 && memory >= 0 && workers+memory > 0
}

// inMemory is how many files the cell's workers hold at most.
func (c *CellStats) inMemory() int { return min(c.Workers*c.Chunk, int(c.Runs[0].Files)) }

// findAuto finds the automatic choice among the cells, else among the reference
// runs.
func (a *Analysis) findAuto(reference []Sample, pooled pooling) {
	auto := a.Result.Settings.Auto
	if c := a.At(auto); c != nil && c.N > 0 {
		a.Auto = c
		return
	}
	if auto != a.Result.Protocol.Reference || len(reference) == 0 || a.Best == nil {
		return
	}
	c := cellStats(auto, a.byWork[a.works[auto]], nil, pooled)
	a.compare(&c, pooled)
	a.Auto = &c
}

func noiseOf(reference Cell, runs []Sample, cells []CellStats) Noise {
	n := Noise{Reference: reference, N: len(runs), Spread: spread(runs)}
	if len(runs) >= 6 {
		third := len(runs) / 3
		n.Drift = quantile(sortedSeconds(runs[len(runs)-third:]), 0.5)/quantile(sortedSeconds(runs[:third]), 0.5) - 1
	}
	var spreads []float64
	for i := range cells {
		if cells[i].N > 1 {
			spreads = append(spreads, spread(cells[i].Runs))
		}
	}
	slices.Sort(spreads)
	n.Within = quantile(spreads, 0.5)
	return n
}

// spread is the standard deviation by the mean.
func spread(runs []Sample) float64 {
	if len(runs) < 2 {
		return 0
	}
	seconds := sortedSeconds(runs)
	return stats.StdDev(seconds) / stats.Mean(seconds)
}

// fitAmdahl fits the law to the medians at the base's chunk, else at the best's.
func (a *Analysis) fitAmdahl() {
	if a.Best == nil {
		return
	}
	for _, chunk := range []int{a.Base.Chunk, a.Best.Chunk} {
		if a.Amdahl = a.fitAmdahlAt(chunk); a.Amdahl != nil {
			return
		}
	}
}

// fitAmdahlAt fits seconds = level + slope / workers to the medians at a chunk, by
// least squares; neither is less than 0. Cells with workers that have nothing to do
// say nothing of the law. It returns nil for fewer than three medians.
func (a *Analysis) fitAmdahlAt(chunk int) *Amdahl {
	var inverse, seconds []float64
	for i := range a.Cells {
		if c := &a.Cells[i]; c.N > 0 && c.Chunk == chunk && a.idle(c.Cell) == 0 {
			inverse, seconds = append(inverse, 1/float64(c.Workers)), append(seconds, c.Median)
		}
	}
	if len(seconds) < 3 {
		return nil
	}
	meanX, meanY := stats.Mean(inverse), stats.Mean(seconds)
	var xx, xy, yy, zeroXY, zeroXX float64
	for i, x := range inverse {
		xx += (x - meanX) * (x - meanX)
		xy += (x - meanX) * (seconds[i] - meanY)
		yy += (seconds[i] - meanY) * (seconds[i] - meanY)
		zeroXY += x * seconds[i]
		zeroXX += x * x
	}
	slope := xy / xx
	level := meanY - slope*meanX
	switch {
	case slope < 0: // more workers are slower
		slope, level = 0, meanY
	case level < 0:
		slope, level = zeroXY/zeroXX, 0
	}
	var rest float64
	for i, x := range inverse {
		d := seconds[i] - level - slope*x
		rest += d * d
	}
	fit := &Amdahl{Chunk: chunk, N: len(seconds), One: level + slope, Serial: level / (level + slope), R2: 1}
	if yy > 0 {
		fit.R2 = max(0, 1-rest/yy)
	}
	return fit
}

func sortedSeconds(samples []Sample) []float64 {
	seconds := make([]float64, len(samples))
	for i := range samples {
		seconds[i] = samples[i].Seconds
	}
	slices.Sort(seconds)
	return seconds
}

func logarithms(samples []Sample) []float64 {
	logs := make([]float64, len(samples))
	for i := range samples {
		logs[i] = math.Log(samples[i].Seconds)
	}
	return logs
}

// quantile interpolates between the two nearest of sorted values, as R does by
// default; 0 for no values.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below+1 == len(sorted) {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}

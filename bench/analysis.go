package bench

// An Analysis is what a sweep's samples say.
type Analysis struct {
	Result  *Result
	Workers []int       // the grid's rows, ascending
	Chunks  []int       // the grid's columns, ascending
	Cells   []CellStats // all cells that were to be visited, by workers, then chunk

	// These are of Cells; nil where no cell came to an end, and Auto where that
	// cell was not visited.
	Best  *CellStats // the least median
	Least *CellStats // a cell as good as Best that no other such cell is smaller than: see CellStats.smaller
	Base  *CellStats // what speed-ups are against: 1 x 1, or the smallest cell that came to an end
	Auto  *CellStats // what workers: auto and chunk: auto stand for

	Compared bool // something ran twice, so that it is known by what equal runs differ

	Noise   Noise
	Amdahl  *Amdahl // by the runs at the base's chunk, else at the best's; nil where neither was run with three worker counts
	Verdict Verdict

	works  map[Cell]Cell     // what each cell's runs had to do
	byWork map[Cell][]Sample // runs that came to an end, the reference's among them
}

// CellStats are what the samples of one cell say. Seconds are by the wall.
type CellStats struct {
	Cell
	Runs   []Sample // that count, in the order that they ran in; also those of other cells that did the same work
	N      int      // how many
	Median float64  // seconds; these are 0 where N is
	Q1, Q3 float64
	Min    float64
	Max    float64

	// Lo and Hi bound the 95 % interval of the median. Both are the median where
	// there is one run. See Analyse.
	Lo, Hi   float64
	Outliers []float64 // seconds of runs that lie over 1.5 quartile ranges outside of the quartiles; they are counted like the others

	Failed int    // runs that failed
	Why    string // why the last of them did

	Speedup float64 // the base's median by this one's; 0 where there is none
	P       float64 // that its runs and the best's are of one kind; 1 for the best itself, and for a cell that does the same work
	Best    bool
	Alike   bool // not distinguishable from the best: P is not under 0.05; true for the best, and for no other where nothing ran twice
}

// Visited reports whether the cell has run at all, be it that it failed.
func (c *CellStats) Visited() bool { return c.N+c.Failed > 0 }

// Noise is how far runs of the same work lie apart on this machine.
type Noise struct {
	Reference Cell    // that ran once a set beside the others
	N         int     // how many of its runs came to an end
	Spread    float64 // the standard deviation of these by their mean; 0 where N < 2
	Drift     float64 // the last third's median by the first third's, less 1; 0 where N < 6
	Within    float64 // the median over cells of the standard deviation by the mean; 0 where no cell ran twice
}

// loud reports whether equal runs lie so far apart that it is worth saying.
func (n *Noise) loud() bool { return max(n.Within, n.Spread) > noisy }

// Amdahl is the law of that name, fitted to run times over workers:
// seconds(w) = seconds(1) * (serial + (1 - serial) / w).
type Amdahl struct {
	Chunk  int     // of the cells it is fitted to
	N      int     // how many these are
	One    float64 // seconds of one worker, by the fit
	Serial float64 // the share that more workers do not shorten, 0 to 1: what is serial in the work, and the want of cores
	R2     float64 // of the variance of the medians, how much the fit explains
}

// Seconds returns what the fit expects of a number of workers.
func (a *Amdahl) Seconds(workers int) float64 { return a.seconds(float64(workers)) }

func (a *Amdahl) seconds(workers float64) float64 {
	return a.One * (a.Serial + (1-a.Serial)/workers)
}

// A Verdict is what to make of a sweep, in plain words: each text is a sentence
// or more, without markup, "" for nothing to say.
type Verdict struct {
	Best       string     `json:"best"`       // the best cell, and how sure
	Least      string     `json:"least"`      // the smallest cell as good as it
	Bottleneck Bottleneck `json:"bottleneck"` // of the best cell
	Evidence   []string   `json:"evidence"`   // for the bottleneck, with numbers
	Auto       string     `json:"auto"`       // how far the automatic choice is from the best
	Advice     string     `json:"advice"`     // what to put in the config, or to do
	Config     string     `json:"config"`     // the fastest cell as YAML, a line, which need not be the advice; "" where no cell came to an end
	Notes      []string   `json:"notes"`      // what to bear in mind: noise, failed cells, outliers, a sweep that was cut short
}

// A Bottleneck is what a run would be faster without.
type Bottleneck string

// The bottlenecks.
const (
	BoundByReading  Bottleneck = "reading"
	BoundByDecoding Bottleneck = "decoding"
	BoundByNetwork  Bottleneck = "network"
	BoundByDatabase Bottleneck = "database"
	BoundByCores    Bottleneck = "cores"
	Unclear         Bottleneck = "unclear"
)

package bench

import (
	"context"
	"fmt"
	"time"
)

// A Cell is a point of the grid that is swept.
type Cell struct {
	Workers int `json:"workers" csv:"workers"` // chunks that are worked on at a time
	Chunk   int `json:"chunk" csv:"chunk"`     // files in a transaction
}

// String is the cell as people write it: 5 x 100.
func (c Cell) String() string { return fmt.Sprintf("%d x %d", c.Workers, c.Chunk) }

// A Sample is one run of one cell: a line of bench.csv, an entry of bench.json.
//
// Seconds are those of the pipeline alone, from the begin of its listing to the
// end of its last commit: what 'penstock replay' calls seconds.
type Sample struct {
	Cell
	Set int `json:"set" csv:"set"` // counted from 1; 0 for a warm-up, which is shown and not counted
	Run int `json:"run" csv:"run"` // of the cell within its set, counted from 1; 0 for the reference run of the set

	At      time.Time `json:"at" csv:"at"`           // when it began
	Seconds float64   `json:"seconds" csv:"seconds"` // by the wall

	// CPU is the user and system time of this process, Busy that of everything
	// on the machine, a database among it, in seconds of a core; Busy is 0 where
	// the system does not tell.
	CPU  float64 `json:"cpu_seconds" csv:"cpu_seconds"`
	Busy float64 `json:"busy_seconds" csv:"busy_seconds"`

	// What the pipeline's stages took, in seconds, summed over workers.
	Fetch  float64 `json:"fetch_seconds" csv:"fetch_seconds"`
	Decode float64 `json:"decode_seconds" csv:"decode_seconds"`
	Commit float64 `json:"commit_seconds" csv:"commit_seconds"`

	Files    int64 `json:"files" csv:"files"`
	Chunks   int64 `json:"chunks" csv:"chunks"` // that the files came to: a chunk is also full at a number of bytes or readings
	Readings int64 `json:"readings" csv:"readings"`
	Bytes    int64 `json:"bytes" csv:"bytes"` // fetched, as they came

	Error string `json:"error,omitempty" csv:"error"` // why it failed; "" for one that counts
}

// counts reports whether the sample is one of those that its cell is judged by.
func (s *Sample) counts() bool { return s.Set > 0 && s.Run > 0 && s.Error == "" }

// A Run runs the pipeline once by the settings of a cell. What it has to make
// ready, such as an empty schema, it does before it takes the time. It fills in
// what it measured: all of a Sample but Cell, Set and Run. After an error that
// is not ctx's, the next run finds what it would have found without this one.
type Run func(ctx context.Context, c Cell) (Sample, error)

// A Result is a sweep as it was measured, with all that is needed to repeat it.
// As JSON it is bench.json.
type Result struct {
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended"`
	Cut      string    `json:"cut,omitempty"` // why it ended before its protocol was done; "" for one that is whole
	Machine  Machine   `json:"machine"`
	Versions Versions  `json:"versions"`
	Settings Settings  `json:"settings"`
	Protocol Protocol  `json:"protocol"`
	Samples  []Sample  `json:"samples"` // in the order that they ran in
	LeftOut  []LeftOut `json:"left_out,omitempty"`
}

// A LeftOut is a cell that had no turn, since it would have taken more than was
// left of the budget.
type LeftOut struct {
	Cell
	By    Cell    `json:"by"`            // the cell that tells
	About float64 `json:"about_seconds"` // that it would take at most, if each of its transactions takes what one of By took
	// Enough is the budget that it would have had a turn in; 0 where the sweep was
	// cut short before that was known.
	Enough time.Duration `json:"enough_ns"`
}

func (r *Result) leftOut(c Cell) *LeftOut {
	for i := range r.LeftOut {
		if r.LeftOut[i].Cell == c {
			return &r.LeftOut[i]
		}
	}
	return nil
}

// A Machine is what the sweep ran on. What the system does not tell is zero.
type Machine struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"` // that this process may use
	Memory int64  `json:"memory_bytes"`
	// Load is how many processes ran or waited for a core, as a mean of the
	// minute before the sweep: what else the machine was doing.
	Load float64 `json:"load"`
}

// busy reports whether others used much of the machine when the sweep began.
func (m *Machine) busy() bool { return m.Load > 0.5*float64(m.Cores) }

// Versions are those of the programs that took part.
type Versions struct {
	Penstock string `json:"penstock"`
	Go       string `json:"go"`
	Database string `json:"database,omitempty"` // "" where none took part
}

// Settings are what was swept.
type Settings struct {
	Stage  string `json:"stage"`            // decode, load or fetch
	Files  string `json:"files"`            // what they are, in words
	Source string `json:"source,omitempty"` // the configured source's name; "" for a folder
	Remote bool   `json:"remote,omitempty"` // files come over a network
	Store  string `json:"store,omitempty"`  // where readings went, without a password; "" for nowhere
	Cache  string `json:"cache"`            // warm, or cold: dropped before each run
	Auto   Cell   `json:"auto"`             // what workers: auto and chunk: auto stand for here
}

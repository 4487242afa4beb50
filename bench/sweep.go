package bench

import "time"

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

	// Budget ends the sweep: when it is used up, no further run is begun, but
	// each cell gets one. While it lasts, cells that need more than twice the
	// time of the best are left at one run until the others have all of theirs.
	// 0 for none: every cell gets Sets times Runs.
	Budget time.Duration `json:"budget_ns"`
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

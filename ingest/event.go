package ingest

import "time"

// An Event tells what happened to some files: one for each commit, one for each
// part of a large file that is committed, one for each batch of a listing that held
// files which needed no fetch, one for a file that could not be fetched ahead, and
// one for each cycle. The log, the bench, the metrics and the page are fed from it
// and ask nobody.
//
// The slices and maps belong to the pipeline and are valid during the call
// only.
type Event struct {
	Source   string
	Worker   int       // counted from 1; 0 where no worker was concerned
	Chunk    int       // serial number of the chunk within the run; 0 where no worker was concerned
	At       time.Time // when the commit, the look into the ledger, or the cycle was done
	Outcomes []Outcome // one a file
	Bytes    int64     // fetched, as they came
	Fetch    time.Duration
	Decode   time.Duration
	Commit   time.Duration
	// Part is of the event of a part, which has nothing else: Outcomes tells of the
	// file and of all its readings when it is loaded.
	Part  *CommittedPart
	Cycle *Cycle // of a pipeline that polls: nil but for the events of cycles, which have nothing else
}

// A CommittedPart is some of the readings of a file that is loading.
type CommittedPart struct {
	File     File
	Readings int
}

// A Cycle is one listing of a pipeline that polls, and what came of it. It is
// over when all that the listing brought is done, or when the next listing
// begins. What has "since" in its comment is counted since the last event of a
// cycle that was over.
type Cycle struct {
	Number int       // counted from 1 in each run
	Began  time.Time // the listing
	// Over is false where the poll interval ended while the listing went on: the
	// cycle is told again when it is over. It is told so once more where files that
	// were heard of since are late, or when the run ends.
	Over bool

	Listing time.Duration // what the listing and the looks into the ledger took, or have taken so far
	Took    time.Duration // since Began
	Poll    time.Duration // the interval
	// Overran says that the next listing is due, and work is left; Bound is what
	// held it up then.
	Overran bool
	Bound   Stage

	Err      error // the listing's, when it broke off; the next one is tried all the same
	Faults   int   // folders and files that could not be listed, each told as Failed
	Listed   int   // files
	Cut      int   // folders of which the server lists only a part
	CutWhy   error // what it says of the first of these
	New      int   // of these, which are to be fetched and were not queued before
	Hinted   int   // files that were heard of otherwise, and are to be fetched, since
	Settling int   // files that the source held back, see Settler
	Left     int   // of these, which found no room in the backlog: the next listing brings them again

	// Now.
	Queued   int           // files that wait to be fetched
	UnderWay int           // files that are being fetched, decoded, committed or finished
	Spooled  int           // of these, which the archive has, and the database not yet
	Oldest   int64         // when the oldest file that was listed and is not loaded was modified, in microseconds UTC; 0 when there is none
	Lag      time.Duration // how long ago that was

	Files    map[State]int // what became of files since, by their outcomes' states
	Readings int64         // stored or replaced since
	Rejected int64         // lines and cells of loaded files that could not be read, since
	NotDone  int           // files that were committed and of which the source could not be told since: they are done again
	Bytes    int64         // fetched since
	Fetch    time.Duration // since, summed over connections or workers, as Decode and Commit are
	Decode   time.Duration
	Commit   time.Duration
	Paced    time.Duration // waited for Pace since, by workers and connections
}

// A Stage is what files spend their time in.
type Stage string

// The stages that can hold up a cycle.
const (
	InListing Stage = "listing" // with the looks into the ledger
	InFetch   Stage = "fetch"
	InDecode  Stage = "decode"
	InCommit  Stage = "commit"
	InPace    Stage = "pace" // the limits that were set
)

package ingest

// A Recorded is what a ledger had of a file version that is loaded anew, into a
// ledger that has lost it: it is not decided again.
type Recorded struct {
	Generation int32
	State      State
	Reason     string
	Rank       int16
	RankTime   int64 // microseconds since the Unix epoch, UTC
	Pass       int16 // of an hour that clocks showed twice, where it was decided; else 0
	Shape      string
	Series     map[[2]string]bool // by logger and channel: those that were not withheld; nil where nothing was
	Recipe     *Recipe            // that it was read by; nil where no profile matched
	Heir       bool               // of a Duplicate: it is loaded where nothing of its content is
}

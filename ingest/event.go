package ingest

import "time"

// An Event tells what happened to some files: one for each commit, and one for
// each batch of a listing that held files which needed no fetch. The log, the
// bench, the metrics and the page are fed from it and ask nobody.
//
// The slices belong to the pipeline and are valid during the call only.
type Event struct {
	Source   string
	Worker   int       // counted from 1; 0 for the listing
	Chunk    int       // serial number of the chunk within the run; 0 for the listing
	At       time.Time // when the commit, or the look into the ledger, was done
	Outcomes []Outcome // one a file
	Bytes    int64     // fetched, as they came
	Fetch    time.Duration
	Decode   time.Duration
	Commit   time.Duration
}

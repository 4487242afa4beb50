package main

import (
	"fmt"
	"runtime"
	"strconv"
	"time"

	"penstock/ingest"
)

// An amount is a flag that takes a positive number, or auto.
type amount int // 0 for auto

func (n *amount) String() string {
	if *n == 0 {
		return "auto"
	}
	return strconv.Itoa(int(*n))
}

func (n *amount) Type() string { return "N" }

func (n *amount) Set(s string) error {
	if s == "auto" {
		*n = 0
		return nil
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < 1 || v > 1_000_000 {
		return fmt.Errorf("it can be auto or a number from 1 on")
	}
	*n = amount(v)
	return nil
}

const (
	// maxChunkBytes and maxChunkReadings bound the memory of a worker, whatever
	// the sizes of the files: workers x these is what a run takes.
	maxChunkBytes    = 8 << 20
	maxChunkReadings = 500_000
	// lingerAtMost is how long a chunk waits for more files while a slow listing
	// goes on. Chunks of a quick one are full long before.
	lingerAtMost = time.Second
)

// tune settles how many workers there are and when their chunks close.
//
// Automatic is two workers for each core: one decodes while the other waits for
// its commit. A chunk is 1000 files: what a transaction costs beside its files
// is then a few hundredths of it, while a folder of some ten thousand still
// divides evenly among the workers.
func tune(workers, chunk amount) (int, ingest.Limits) {
	if workers == 0 {
		workers = amount(2 * runtime.GOMAXPROCS(0))
	}
	if chunk == 0 {
		chunk = 1000
	}
	return int(workers), ingest.Limits{Files: int(chunk), Bytes: maxChunkBytes, Readings: maxChunkReadings, Linger: lingerAtMost}
}

package main

import (
	"cmp"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/pflag"

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
	// maxPartBytes is about what 500,000 readings of a long layout take.
	maxPartBytes = 16 << 20
	// lingerAtMost is how long a chunk waits for more files while a slow listing
	// goes on. Chunks of a quick one are full long before.
	lingerAtMost = time.Second
)

// A cutting says which files are loaded in parts, by several workers, each in a
// transaction of its own.
type cutting struct {
	part   size // files of more text are cut into parts of so much
	atomic bool // none are
}

// A size is a flag that takes a number of bytes with its unit.
type size int64 // 0 for the default

func (s *size) String() string {
	n := cmp.Or(*s, maxPartBytes)
	switch {
	case n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

func (s *size) Type() string { return "SIZE" }

func (s *size) Set(text string) error {
	v, err := parseSize(text)
	if err != nil || v < 1 {
		return fmt.Errorf("it can be a size such as 16MiB or 500kB")
	}
	*s = size(v)
	return nil
}

func (c *cutting) flags(f *pflag.FlagSet) {
	f.Var(&c.part, "part", "load files of more than this `SIZE` in parts of about so much text, by half of the workers, each part in a transaction of its own; nothing of such a file is seen before all of it is there")
	f.BoolVar(&c.atomic, "atomic", false, "load each file in one transaction, however large it is: it takes one worker, and memory for all of its readings")
	fromEnvironment(f, "part", "atomic")
}

// bytes is Limits.Part.
func (c *cutting) bytes() int64 {
	if c.atomic {
		return 0
	}
	return int64(cmp.Or(c.part, maxPartBytes))
}

// tune settles how many workers there are and when their chunks close.
//
// Automatic is two workers for each core: one decodes while the other waits for
// its commit. A chunk is 1000 files: what a transaction costs beside its files
// is then a few hundredths of it, while a folder of some ten thousand still
// divides evenly among the workers.
func tune(workers, chunk amount, cut cutting) (int, ingest.Limits) {
	if workers == 0 {
		workers = amount(2 * runtime.GOMAXPROCS(0))
	}
	if chunk == 0 {
		chunk = 1000
	}
	return int(workers), ingest.Limits{Files: int(chunk), Bytes: maxChunkBytes, Readings: maxChunkReadings, Linger: lingerAtMost, Part: cut.bytes()}
}

package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"

	"penstock/store/pglocal"
)

// garbage is how much a run to the end allocates, in bytes, before the garbage is
// collected. Such a run keeps a few megabytes: to collect whenever these have
// doubled, as is Go's default, costs it an eighth of its time. A process that keeps
// more than this collects as by default.
const garbage = 32 << 20

// limitMemory has Go keep what it takes below three quarters of the memory that
// there is, also where that is a container's; the rest is for what Go does not
// count, and for a private PostgreSQL. GOMEMLIMIT goes before it.
func limitMemory() {
	if memory := pglocal.Memory(); memory > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory / 4 * 3)
	}
}

// A collecting is a time in which garbage is collected seldom.
type collecting struct {
	mu     sync.Mutex
	before int // GOGC then
	ended  bool
}

// collectSeldom has garbage collected seldom until the collecting is ended. GOGC
// goes before it, and it is for one run of a process at a time.
func collectSeldom() *collecting {
	c := &collecting{ended: os.Getenv("GOGC") != ""}
	if !c.ended {
		c.before = debug.SetGCPercent(growthFor(0))
		c.adjust()
	}
	return c
}

// end puts things back as they were.
func (c *collecting) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		debug.SetGCPercent(c.before)
		c.ended = true
	}
}

// adjust sets GOGC by what is kept, now and after each collection.
func (c *collecting) adjust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	kept := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(kept)
	debug.SetGCPercent(growthFor(kept[0].Value.Uint64()))
	runtime.AddCleanup(new(collected), (*collecting).adjust, c)
}

// A collected is collected next: it has a pointer, for what has none may share its
// place in memory with others and be kept by them.
type collected struct{ _ *byte }

// growthFor is by how many percent a heap grows until it is collected. Go counts
// one as 4 MiB at least.
func growthFor(kept uint64) int {
	const least = 4 << 20
	return max(100, int(garbage*100/max(kept, least)))
}

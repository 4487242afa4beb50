package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"

	"penstock/store/pglocal"
)

// garbage is how much is allocated, in bytes, before the garbage is collected: a
// process that keeps 100 MB need not come to twice that. What is kept of a load is
// mostly columns without pointers, which cost a collection next to nothing.
const garbage = 32 << 20

// By how many percent at most a heap grows until it is collected.
const (
	// seldom is for a run to the end. It keeps a few megabytes: to collect whenever
	// these have doubled, as is Go's default, costs it an eighth of its time.
	seldom = 800
	// asEver is Go's default, for a process that goes on and on, mostly idle.
	asEver = 100
	// leastGrowth bounds what collecting costs where very much is kept.
	leastGrowth = 25
)

// limitMemory has Go keep what it takes below three quarters of the memory that
// there is, also where that is a container's; the rest is for what Go does not
// count, and for a private PostgreSQL. GOMEMLIMIT goes before it.
func limitMemory() {
	if memory := pglocal.Memory(); memory > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory / 4 * 3)
	}
}

// A collecting is a time in which garbage is collected by how much there is of it.
type collecting struct {
	most int

	mu     sync.Mutex
	before int // GOGC then
	ended  bool
}

// collect has the heap grow by garbage until it is collected, or by so many percent
// if that is less, until the collecting is ended. GOGC goes before it, and it is for
// one run of a process at a time.
func collect(most int) *collecting {
	c := &collecting{most: most, ended: os.Getenv("GOGC") != ""}
	if !c.ended {
		c.before = debug.SetGCPercent(growthFor(0, most))
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
	debug.SetGCPercent(growthFor(kept[0].Value.Uint64(), c.most))
	runtime.AddCleanup(new(collected), (*collecting).adjust, c)
}

// A collected is collected next: it has a pointer, for what has none may share its
// place in memory with others and be kept by them.
type collected struct{ _ *byte }

// growthFor is by how many percent a heap grows until it is collected.
func growthFor(kept uint64, most int) int {
	return max(leastGrowth, min(most, int(garbage*100/max(kept, 1))))
}

package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

// Garbage is collected by how much there is of it, whatever is kept, and afterwards
// all is as it was.
func TestCollect(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	percent := func() int {
		now := debug.SetGCPercent(100)
		debug.SetGCPercent(now)
		return now
	}

	c := collect(seldom)
	if is := percent(); is < 200 {
		t.Errorf("GOGC is %d while little is kept", is)
	}
	kept := make([]byte, 8*garbage)
	for deadline := 1000; percent() > leastGrowth && deadline > 0; deadline-- { // cleanups run after a collection, beside others
		runtime.GC()
		runtime.Gosched()
	}
	if is := percent(); is != leastGrowth {
		t.Errorf("GOGC is %d while much more is kept than is let grow", is)
	}
	runtime.KeepAlive(kept)
	c.end()
	if is := percent(); is != 100 {
		t.Errorf("GOGC is %d afterwards", is)
	}
	runtime.GC()
	c.end()
	if is := percent(); is != 100 {
		t.Errorf("GOGC is %d after another end", is)
	}

	t.Setenv("GOGC", "50")
	debug.SetGCPercent(50)
	c = collect(seldom)
	if is := percent(); is != 50 {
		t.Errorf("GOGC is %d where 50 was asked for", is)
	}
	c.end()
}

func TestGrowth(t *testing.T) {
	for _, c := range []struct {
		kept uint64
		most int
		want int
	}{
		{0, seldom, 800}, {4 << 20, seldom, 800}, {8 << 20, seldom, 400}, {garbage, seldom, 100}, {2 * garbage, seldom, 50}, {1 << 30, seldom, 25}, {math.MaxUint64, seldom, 25},
		{0, asEver, 100}, {4 << 20, asEver, 100}, {garbage, asEver, 100}, {2 * garbage, asEver, 50}, {1 << 30, asEver, 25},
	} {
		if is := growthFor(c.kept, c.most); is != c.want {
			t.Errorf("of %d bytes, %d at most: %d, want %d", c.kept, c.most, is, c.want)
		}
	}
}

package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

// While garbage is collected seldom, what is kept leaves as much room as it does
// by default, or more, and afterwards all is as it was.
func TestCollectSeldom(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	percent := func() int {
		now := debug.SetGCPercent(100)
		debug.SetGCPercent(now)
		return now
	}

	c := collectSeldom()
	if is := percent(); is < 200 {
		t.Errorf("GOGC is %d while little is kept", is)
	}
	kept := make([]byte, 4*garbage)
	for deadline := 1000; percent() > 100 && deadline > 0; deadline-- { // cleanups run after a collection, beside others
		runtime.GC()
		runtime.Gosched()
	}
	if is := percent(); is != 100 {
		t.Errorf("GOGC is %d while more is kept than is let grow", is)
	}
	runtime.KeepAlive(kept)
	c.end()
	runtime.GC()
	if is := percent(); is != 100 {
		t.Errorf("GOGC is %d afterwards", is)
	}
	c.end()

	t.Setenv("GOGC", "50")
	debug.SetGCPercent(50)
	c = collectSeldom()
	if is := percent(); is != 50 {
		t.Errorf("GOGC is %d where 50 was asked for", is)
	}
	c.end()
}

func TestGrowth(t *testing.T) {
	for _, c := range []struct {
		kept uint64
		want int
	}{{0, 800}, {4 << 20, 800}, {8 << 20, 400}, {garbage, 100}, {1 << 30, 100}, {math.MaxUint64, 100}} {
		if is := growthFor(c.kept); is != c.want {
			t.Errorf("of %d bytes: %d, want %d", c.kept, is, c.want)
		}
	}
}

package main

import (
	"runtime"
	"testing"
)

// Go takes a container's processors for those that there are; the automatic number
// of workers goes by that.
func TestAutomaticWorkersGoByProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	for _, processors := range []int{1, 3} {
		runtime.GOMAXPROCS(processors)
		if workers, limits := tune(0, 0, cutting{}); workers != 2*processors || limits.Files != 1000 {
			t.Errorf("with %d processors %d workers and chunks of %d files, want %d and 1000", processors, workers, limits.Files, 2*processors)
		}
	}
	if workers, _ := tune(5, 0, cutting{}); workers != 5 {
		t.Errorf("%d workers, want the 5 that were asked for", workers)
	}
}

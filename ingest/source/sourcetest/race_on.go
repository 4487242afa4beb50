//go:build race

package sourcetest

import "testing"

// UnderRace says that the tests run under the race detector.
const UnderRace = true

// OneGoroutine leaves out, under the race detector, a test that has one goroutine
// alone: there is nothing for the detector to see, and with it much data takes
// ten times as long.
func OneGoroutine(t testing.TB) {
	t.Helper()
	t.Skip("it is one goroutine's work: run by the suite without the race detector")
}

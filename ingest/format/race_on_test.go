//go:build race

package format

import "testing"

// oneGoroutine leaves out, under the race detector, a test whose decoders and
// guesses are used by the test's own goroutine alone: there is nothing for the
// detector to see, and with it much data takes ten times as long.
func oneGoroutine(t testing.TB) {
	t.Helper()
	t.Skip("it is one goroutine's work: run by the suite without the race detector")
}

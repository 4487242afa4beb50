//go:build !race

package sourcetest

import "testing"

const underRace = false

// OneGoroutine does nothing: the tests do not run under the race detector.
func OneGoroutine(testing.TB) {}

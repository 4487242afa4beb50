//go:build !race

package sourcetest

import "testing"

// UnderRace says that the tests run under the race detector.
const UnderRace = false

// OneGoroutine does nothing: the tests do not run under the race detector.
func OneGoroutine(testing.TB) {}

//go:build race

package store

// underRace says that the tests run under the race detector, where sweeps take
// larger steps: each step is the same goroutines once more.
const underRace = true

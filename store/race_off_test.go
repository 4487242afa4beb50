//go:build !race

package store

// underRace says that the tests run under the race detector.
const underRace = false

//go:build !race

package ingest

// underRace says that the tests run under the race detector.
const underRace = false

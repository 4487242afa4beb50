//go:build race

package ingest

// underRace says that the tests run under the race detector: what is counted in
// hundreds of thousands is there to find what grows with it, which the suite
// without the detector does ten times as fast.
const underRace = true

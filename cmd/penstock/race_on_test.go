//go:build race

package main_test

// underRace says that the tests run under the race detector.
const underRace = true

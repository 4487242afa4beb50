//go:build race

package main

// scriptsUnderRace says that the tests of the package itself run under the race
// detector.
const scriptsUnderRace = true

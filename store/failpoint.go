//go:build !failpoints

package store

// step marks a step of the commit protocol. Built with the tag failpoints, it
// is where a test kills the process.
func step(string) {}

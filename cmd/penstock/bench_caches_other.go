//go:build !linux

package main

import "errors"

var errKeepsCaches = errors.New("only Linux is asked to drop its caches")

// mayDropCaches says why the system's caches cannot be dropped.
func mayDropCaches() error {
	return usage("without the flag files are read from memory, which the results say", "--drop-caches: %w", errKeepsCaches)
}

func dropCaches() error { return errKeepsCaches }

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const dropCachesFile = "/proc/sys/vm/drop_caches"

// mayDropCaches says why the system's caches cannot be dropped.
func mayDropCaches() error {
	f, err := os.OpenFile(dropCachesFile, os.O_WRONLY, 0)
	if err != nil {
		return usage("root may, outside of a container; without the flag files are read from memory, which the results say", "--drop-caches: %w", err)
	}
	return f.Close()
}

// dropCaches makes the system forget what it has in memory of all files: what was
// written is on disk before.
func dropCaches() error {
	unix.Sync()
	if err := os.WriteFile(dropCachesFile, []byte("3"), 0); err != nil {
		return fmt.Errorf("dropping the system's caches: %w", err)
	}
	return nil
}

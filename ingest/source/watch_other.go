//go:build !linux || portable

package source

import "fmt"

// canWatch says why folders cannot be watched on this system: elsewhere than on
// Linux watching a folder may mean to open every file in it.
func canWatch() error { return fmt.Errorf("folders are watched on Linux alone: %w", ErrNotWatched) }

func (identity) device() uint64 { return 0 }

func networkOf(string) string { return "" }

// roomIn is how much room there is in a folder, which is not known here.
func roomIn(string) int64 { return 0 }

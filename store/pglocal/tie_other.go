//go:build !linux

package pglocal

import "syscall"

const defaultTie = pipeWatchdog

// setDeathSignal does nothing here: no such signal exists. A tool that makes a
// cluster and is orphaned ends by itself; see ensureCluster and hold.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}

//go:build !linux

package store

import (
	"syscall"
	"time"
)

func boundUnacknowledged(syscall.RawConn, time.Duration) error { return nil }

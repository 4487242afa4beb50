package store

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// boundUnacknowledged has the kernel give a connection up when the server has not
// acknowledged for so long what was sent to it.
func boundUnacknowledged(raw syscall.RawConn, after time.Duration) error {
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
	}); e != nil {
		return e
	}
	return err
}

//go:build !linux

package servertest

import "syscall"

// dieWithParent does nothing: only Linux can be asked for it.
func dieWithParent(*syscall.SysProcAttr) {}

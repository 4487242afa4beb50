package pglocal

import "syscall"

const defaultTie = deathSignal

// setDeathSignal has the kernel send sig to the child when the thread that
// starts it ends.
func setDeathSignal(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

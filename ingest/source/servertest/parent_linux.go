package servertest

import "syscall"

// dieWithParent has the kernel kill the process when the thread that starts it
// ends: no server outlives a test that was killed.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

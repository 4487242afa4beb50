package pglocal

import (
	"os"
	"os/exec"
	"syscall"
)

// A tie is how the server is made to end with this process, also when the
// process gets no chance to stop it (kill -9, a crash, the OOM killer). It
// then shuts down as for `pg_ctl stop -m immediate`: at once, and recovered by
// the next start.
type tie int

const (
	// deathSignal: the kernel signals the server (Linux). It survives the
	// change of user, since Go asks for it after that, and PostgreSQL does not
	// change user itself. The thread that forks must outlive the server.
	deathSignal tie = iota
	// pipeWatchdog: a shell beside the server holds a pipe from us that ends
	// when we do (any Unix).
	pipeWatchdog
)

// lifeline is one server's tie. started must be called once the command was
// started, or could not be; release once it has ended.
type lifeline struct {
	ours, theirs *os.File // the pipe's ends; nil for a death signal
}

// watchdog becomes the server by exec, so that the server is our own child and
// has the pid we know; the shell left behind is orphaned on purpose, as
// PostgreSQL would take a child of its own that it does not know for a crashed
// backend. $$ is the server's pid in the subshell too. A line says that the
// server has ended; the end of the pipe alone, that we have.
const watchdog = `(
	(
		exec 3<&- </dev/null >/dev/null 2>&1
		trap "" HUP INT TERM
		read line <&9 || kill -QUIT $$
	) &
)
exec "$@" 9<&-`

// fasten changes cmd, which must not have been started, to be tied to us.
func (t tie) fasten(cmd *exec.Cmd) (lifeline, error) {
	if t == deathSignal {
		// Immediate, not fast, shutdown: it needs nothing from anyone.
		setDeathSignal(cmd.SysProcAttr, syscall.SIGQUIT)
		return lifeline{}, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return lifeline{}, err
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, make([]*os.File, 9-3-len(cmd.ExtraFiles))...)
	cmd.ExtraFiles = append(cmd.ExtraFiles, r) // descriptor 9, the highest a shell must know
	cmd.Args = append([]string{"/bin/sh", "-c", watchdog, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return lifeline{ours: w, theirs: r}, nil
}

func (l lifeline) started() {
	if l.theirs != nil {
		_ = l.theirs.Close()
	}
}

func (l lifeline) release() {
	if l.ours != nil {
		_, _ = l.ours.WriteString("ended\n") // nobody reads it if the watchdog was killed
		_ = l.ours.Close()
	}
}

package servertest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	poll        = 5 * time.Millisecond
	startWithin = 20 * time.Second
	endWithin   = 10 * time.Second
)

// A process is a server's first process, which those of its sessions descend
// from.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// start starts the program and waits until it answers. It returns nil when the
// program ends instead; its log says why.
func (s *Server) start() *process {
	s.t.Helper()
	log, err := os.OpenFile(s.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	s.must(err)
	defer log.Close()
	s.own(s.file("log"))
	cmd := exec.Command(s.program.path, s.program.arguments...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.Env = []string{"PATH=/usr/bin:/bin", "TZ=UTC", "LC_ALL=C"}
	if s.program.libraries != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+s.program.libraries)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.account.drop && s.Kind != PureFTPD { // which does so itself, for each session
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(s.account.uid), Gid: uint32(s.account.gid)}
	}
	dieWithParent(cmd.SysProcAttr)
	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The signal to die with us comes when the thread that forked ends.
		runtime.LockOSThread()
		defer close(p.ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended stands in its log
		}
	}()
	s.must(<-started)
	if !s.answers(p) {
		p.kill()
		return nil
	}
	return p
}

// answers waits until the server accepts connections. It is false when the
// process ended.
func (s *Server) answers(p *process) bool {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	again := time.NewTicker(poll)
	defer again.Stop()
	for {
		if s.greets(ctx) {
			return true
		}
		select {
		case <-p.ended:
			return false
		case <-again.C:
		case <-ctx.Done():
			p.kill()
			s.t.Fatalf("%s does not answer:\n%s", s.Kind, s.Log())
		}
	}
}

// greets reports whether a connection is accepted and, where the server speaks
// first, greeted.
func (s *Server) greets(ctx context.Context) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", s.Address)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if s.Options.TLS == Implicit {
		return true
	}
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	greeting := make([]byte, 4)
	n, _ := conn.Read(greeting)
	return bytes.HasPrefix(greeting[:n], []byte("220")) || bytes.HasPrefix(greeting[:n], []byte("SSH"))
}

// kill ends the process and those that descend from it, and waits for them.
func (p *process) kill() {
	pid := p.cmd.Process.Pid
	_ = syscall.Kill(pid, syscall.SIGSTOP) // so that it starts no more sessions
	all := descendants(pid, []int{pid})
	for _, one := range all {
		_ = syscall.Kill(one, syscall.SIGKILL)
	}
	<-p.ended
	// Whose parent is gone is waited for by the system; that takes a moment.
	deadline, again := time.NewTimer(endWithin), time.NewTicker(poll)
	defer deadline.Stop()
	defer again.Stop()
	for _, one := range all[1:] {
		for lives(one) {
			select {
			case <-again.C:
			case <-deadline.C:
				return
			}
		}
	}
}

// descendants appends to known the processes that descend from pid. A session
// of OpenSSH leaves its server's process group, so that the group does not say.
func descendants(pid int, known []int) []int {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, thread := range threads {
		text, _ := os.ReadFile(thread) // gone: it has none
		for child := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(child); err == nil {
				known = descendants(n, append(known, n))
			}
		}
	}
	return known
}

// lives reports whether there is a process of that number that has not ended.
func lives(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !os.IsNotExist(err)
	}
	// pid (name) state ...; a name may hold anything.
	_, state, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	return !strings.HasPrefix(state, "Z")
}

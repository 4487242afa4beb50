package pglocal

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Descriptors the server's programs find open. serverLockFD is what ties the
// folder to the last of them; see hold.
const (
	serverLockFD = 3
	dataFD       = 4
)

// ensureCluster makes data/ unless it is there. It is made under another name
// and renamed when it is whole (and, if durable, on the disk), so that an
// interrupted attempt leaves nothing a next one would take for a cluster.
// The caller holds the folder.
func (f *folder) ensureCluster(ctx context.Context, bin Binaries, serverLock *os.File, durable bool, logger *slog.Logger) error {
	if err := f.clearAttempts(); err != nil {
		return err
	}
	if f.clusterMajor() != 0 {
		return f.clearStalePidFile()
	}
	logger.Info("making a private PostgreSQL cluster", slog.String("version", bin.Version), slog.String("user", f.account.name))
	name := initPrefix + rand.Text()
	if err := f.root.Mkdir(name, 0o700); err != nil {
		return err
	}
	err := f.initialise(ctx, name, bin, serverLock, durable)
	if err == nil {
		err = f.root.Rename(name, dataName)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("making the cluster: %w", err), f.clearAttempts())
	}
	if durable {
		return syncDir(f.root, ".")
	}
	return nil
}

func (f *folder) clearAttempts() error {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), initPrefix) {
			if err := f.root.RemoveAll(e.Name()); err != nil {
				return fmt.Errorf("clearing an unfinished cluster: %w", err)
			}
		}
	}
	return nil
}

// initialise fills the empty folder name with a cluster: UTF-8, byte order
// collation (indexes then survive a change of the C library), Unix sockets
// only, and the database `penstock`. The steps run without fsync; what they
// wrote is synced once at the end, which is as safe, since nothing counts
// before the rename, and much faster.
func (f *folder) initialise(ctx context.Context, name string, bin Binaries, serverLock *os.File, durable bool) error {
	if f.account.drop {
		if err := f.root.Lchown(name, f.account.uid, f.account.gid); err != nil {
			return err
		}
	}
	w, err := f.wayTo(name, dataFD)
	if err != nil {
		return err
	}
	defer w.close()
	run := func(stdin, program string, args ...string) error {
		return f.runTool(ctx, w, serverLock, stdin, bin.path(program), args...)
	}

	initdb := func(ctype string) error {
		return run("", "initdb", "-D", w.path, "--no-sync", "--encoding=UTF8", "--locale=C", "--lc-ctype="+ctype,
			"--username="+Superuser, "--auth-local=trust", "--auth-host=reject")
	}
	// C.UTF-8 makes lower() and ilike right for all letters; not every system has it.
	err = initdb("C.UTF-8")
	if err != nil && strings.Contains(err.Error(), "invalid locale") {
		err = initdb("C")
	}
	if err != nil {
		return err
	}
	if err := f.include(name); err != nil {
		return err
	}
	if err := run("create database "+Database+"\n", "postgres", "--single", "-F", "-D", w.path, "postgres"); err != nil {
		return err
	}
	if !durable {
		return nil
	}
	return run("", "initdb", "--sync-only", "-D", w.path)
}

// include lets postgresql.conf read the settings that each start writes anew,
// so that ALTER SYSTEM and a person's own lines after it still win.
func (f *folder) include(name string) error {
	conf, err := f.root.OpenFile(name+"/postgresql.conf", os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(conf, "\ninclude_if_exists '%s'  # written by Penstock at each start; settings below it win\n", settingsName)
	return errors.Join(err, conf.Close())
}

// runTool runs one of PostgreSQL's programs to its end. A failure's error
// carries what it printed.
func (f *folder) runTool(ctx context.Context, w way, serverLock *os.File, stdin, path string, args ...string) error {
	cmd := exec.CommandContext(ctx, path, args...)
	f.outfit(cmd, w, serverLock)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with its children
	cmd.WaitDelay = time.Second
	setDeathSignal(cmd.SysProcAttr, syscall.SIGKILL)
	runtime.LockOSThread() // the death signal is tied to this thread
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s as user %s: %w\n%s", filepath.Base(path), f.account.name, err, lastLines(out.Bytes(), startUpLogLines))
	}
	// Single-user mode reports a failed statement and exits with 0.
	if at := bytes.Index(out.Bytes(), []byte("ERROR:")); at >= 0 {
		return fmt.Errorf("%s says:\n%s", filepath.Base(path), lastLines(out.Bytes()[at:], startUpLogLines))
	}
	return nil
}

// postgresCommand is the server itself, not yet started. The way is to be
// closed once it is.
func (f *folder) postgresCommand(bin Binaries, serverLock *os.File, socket string, overrides map[string]string) (*exec.Cmd, way, error) {
	if err := f.writeSettings(bin); err != nil {
		return nil, way{}, err
	}
	w, err := f.wayTo(dataName, dataFD)
	if err != nil {
		return nil, way{}, err
	}
	args := []string{"-D", w.path}
	for _, s := range fixedSettings(socket, overrides) {
		args = append(args, "-c", s.name+"="+s.value)
	}
	cmd := exec.Command(bin.path("postgres"), args...)
	f.outfit(cmd, w, serverLock)
	return cmd, w, nil
}

// outfit gives a command the user, surroundings and open files that all of
// PostgreSQL's programs get: a session of its own, so that Ctrl-C reaches us
// and not the server, and of the environment only what cannot carry a secret
// or a libpq setting.
func (f *folder) outfit(cmd *exec.Cmd, w way, serverLock *os.File) {
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if f.account.drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(f.account.uid), Gid: uint32(f.account.gid)}
	}
	cmd.ExtraFiles = []*os.File{serverLock}
	if w.dir != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, w.dir)
	}
}

// postmaster is what data/postmaster.pid says.
type postmaster struct {
	pid   int
	ready bool
}

func (f *folder) postmaster() (postmaster, error) {
	text, err := f.root.ReadFile(dataName + "/postmaster.pid")
	if err != nil {
		return postmaster{}, err
	}
	lines := strings.Split(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil {
		return postmaster{}, fmt.Errorf("postmaster.pid: %w", err)
	}
	// The eighth line is the state since PostgreSQL 10.
	return postmaster{pid: pid, ready: len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"}, nil
}

// clearStalePidFile removes a pid file whose process is not this cluster's.
// PostgreSQL would refuse to start over any live process of its user with that
// number, and in a container, where the same few numbers come round at each
// start, that is the rule. We hold the server lock, so no server of ours lives;
// one started by hand is recognised and left to PostgreSQL's own check.
func (f *folder) clearStalePidFile() error {
	p, err := f.postmaster()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && p.pid > 1 && runsIn(p.pid, filepath.Join(f.path, dataName)) {
		return nil
	}
	return f.root.Remove(dataName + "/postmaster.pid")
}

// runsIn tells whether process pid works in the folder dir. In doubt it does.
func runsIn(pid int, dir string) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return false
	}
	cwd, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		// A process that has ended and was not yet reaped has no cwd.
		return runtime.GOOS != "linux" || !errors.Is(err, fs.ErrNotExist)
	}
	data, err := os.Stat(dir)
	return err != nil || os.SameFile(cwd, data)
}

func syncDir(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

package pglocal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	lockPoll = 10 * time.Millisecond
	// A Join looks whether the lock is held by taking it for a moment; a Start
	// that meets one must not take it for a holder.
	probePatience = 250 * time.Millisecond
	// joinPatience bounds a Join whose ctx has no end.
	joinPatience = time.Minute
	// heirsPatience bounds the wait for a killed predecessor's server.
	heirsPatience = 30 * time.Second
)

// ErrNotRunning: no process runs the private PostgreSQL of that folder.
var ErrNotRunning = errors.New("no private PostgreSQL is running")

// InUseError: another process runs the private PostgreSQL of that folder.
type InUseError struct {
	Dir     string
	PID     int       // 0 if the holder did not say
	Command string    // "penstock run"
	Since   time.Time // UTC
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("the store %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("the store %s is in use by %s (pid %d, since %s): wait for it, or stop it",
		e.Dir, e.Command, e.PID, e.Since.Format(time.RFC3339))
}

// Join is the connection string of the private PostgreSQL that another process
// (or this one) runs in dir; "" is DefaultDir. A server that is starting is
// waited for until ctx ends, at most a minute. It holds nothing: the server
// goes when its holder does. ErrNotRunning if nobody runs one, or no longer.
func Join(ctx context.Context, dir string) (string, error) {
	if dir == "" {
		var err error
		if dir, err = DefaultDir(); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	var last error
	for {
		held, err := IsRunning(dir)
		if err != nil {
			return "", explain(err, dir)
		}
		if !held {
			return "", fmt.Errorf("%w in %s", ErrNotRunning, dir)
		}
		url, err := tryJoin(ctx, dir)
		if err == nil {
			return url, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			return "", explain(err, dir)
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			return "", fmt.Errorf("joining the private PostgreSQL in %s: %w (last: %w)", dir, context.Cause(ctx), last)
		}
	}
}

func tryJoin(ctx context.Context, dir string) (string, error) {
	h, err := readHolder(dir)
	if err != nil {
		return "", err
	}
	if h.Socket == "" {
		return "", errors.New("its server is being started")
	}
	url := connectionURL(h.Socket, Database)
	conn, err := pgconn.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	return url, conn.Close(ctx)
}

// holder is what holder.json says.
type holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
	Socket  string    `json:"socket,omitempty"` // its folder; absent until there is one
}

// hold is the right to run the folder's server.
//
// Two locks make it. `lock` is this process's and goes with it. `server.lock`
// is inherited by every process of PostgreSQL, so it is free only when the
// last of them is gone: after a kill -9 the next Start waits for what is still
// shutting down. Both are flock(2) locks, released by closing and never by
// LOCK_UN, which would take the lock from the heirs too; that is why no lock
// library stands here.
type hold struct {
	folder       *folder
	lock, server *os.File
	who          holder
}

func (f *folder) hold(ctx context.Context, command string) (*hold, error) {
	if command == "" {
		command = ownCommand()
	}
	h := &hold{folder: f, who: holder{PID: os.Getpid(), Command: command, Since: time.Now().UTC().Truncate(time.Second)}}
	var err error
	if h.lock, err = f.takeLock(ctx, lockName, probePatience); err != nil {
		if errors.Is(err, errLocked) {
			return nil, f.inUse()
		}
		return nil, err
	}
	if h.server, err = f.takeLock(ctx, serverLockName, heirsPatience); err != nil {
		if errors.Is(err, errLocked) {
			err = errors.New("PostgreSQL processes of an earlier run still work on it; wait for them, or end them")
		}
		h.release()
		return nil, err
	}
	if err := h.announce(""); err != nil {
		h.release()
		return nil, err
	}
	return h, nil
}

// announce renews holder.json.
func (h *hold) announce(socket string) error {
	h.who.Socket = socket
	text, err := json.Marshal(h.who)
	if err != nil {
		return err
	}
	root := h.folder.root
	// By rename, so that a reader sees the old or the new one.
	const fresh = holderName + ".new"
	_ = root.Remove(fresh) // of a killed holder, perhaps another user's
	if err := root.WriteFile(fresh, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return root.Rename(fresh, holderName)
}

func (h *hold) release() {
	if h.server != nil {
		_ = h.folder.root.Remove(holderName) // a stale one is not believed: the lock is free
		_ = h.server.Close()
	}
	_ = h.lock.Close()
}

func (f *folder) inUse() error {
	e := &InUseError{Dir: f.path}
	if h, err := readHolder(f.path); err == nil {
		e.PID, e.Command, e.Since = h.PID, h.Command, h.Since
	}
	return e
}

func readHolder(dir string) (holder, error) {
	var h holder
	text, err := os.ReadFile(filepath.Join(dir, holderName))
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return h, fmt.Errorf("%s: %w", holderName, err)
	}
	return h, nil
}

var errLocked = errors.New("locked")

// takeLock takes a lock file exclusively, trying for as long as patience and
// ctx last; then errLocked. Opened for reading only: flock asks no more, and
// the file may be root's.
func (f *folder) takeLock(ctx context.Context, name string, patience time.Duration) (*os.File, error) {
	file, err := f.root.OpenFile(name, os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(patience)
	for {
		err := flock(file, syscall.LOCK_EX)
		if err == nil {
			return file, nil
		}
		if errors.Is(err, errLocked) && time.Now().Before(deadline) {
			select {
			case <-time.After(lockPoll):
				continue
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		_ = file.Close()
		return nil, err
	}
}

// IsRunning tells whether some process runs, starts or is stopping the private
// PostgreSQL of dir. It creates nothing.
func IsRunning(dir string) (bool, error) {
	file, err := os.Open(filepath.Join(dir, lockName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	err = flock(file, syscall.LOCK_SH)
	if errors.Is(err, errLocked) {
		return true, nil
	}
	return false, err
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		case err != nil:
			return fmt.Errorf("locking %s: %w", file.Name(), err)
		default:
			return nil
		}
	}
}

// ownCommand is the program and its subcommand, without arguments: those may
// carry a password.
func ownCommand() string {
	command := filepath.Base(os.Args[0])
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		command += " " + os.Args[1]
	}
	return command
}

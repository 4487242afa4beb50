// Package shelf has the folders in which a process keeps files of its own while it
// runs, of which none stays for good, however the process ends.
package shelf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// A Shelf is a folder of this machine where a process keeps files while it runs.
// It holds a lock on a file in it, which ends with the process: a shelf whose lock
// is free belongs to nobody any more.
type Shelf struct {
	Dir  string // that it is; the name "lock" in it is taken
	lock *flock.Flock
}

const lockName = "lock"

// New makes a shelf in a folder of this machine, "" for the system's temporary
// one. Its name begins with a prefix, which tells Sweep what it is for.
func New(in, prefix string) (*Shelf, error) {
	for {
		dir, err := os.MkdirTemp(in, prefix)
		if err != nil {
			return nil, err
		}
		lock := flock.New(filepath.Join(dir, lockName))
		got, err := lock.TryLock()
		if err == nil && got {
			if _, err = os.Stat(lock.Path()); err == nil {
				return &Shelf{dir, lock}, nil
			}
		}
		_ = lock.Close() // of a file that is gone
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		// Another process took it for one that was left, at the moment between.
	}
}

// Close removes the folder with all that is in it.
func (s *Shelf) Close() error { return errors.Join(os.RemoveAll(s.Dir), s.lock.Close()) }

// Sweep removes the shelves of a prefix that killed processes left in a folder of
// this machine, "" for the system's temporary one. Those stay that this user has no
// right to, and so does a folder without the file that is locked, which is no shelf.
func Sweep(in, prefix string) {
	if in == "" {
		in = os.TempDir()
	}
	entries, _ := os.ReadDir(in) // who makes a shelf there says what is wrong with it
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		dir := filepath.Join(in, e.Name())
		lock := flock.New(filepath.Join(dir, lockName), flock.SetFlag(os.O_RDWR))
		if got, err := lock.TryLock(); err == nil && got {
			_ = os.RemoveAll(dir) // what stays is tried again at the next start
		}
		_ = lock.Close() // nothing was written to it
	}
}

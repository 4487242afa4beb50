package source

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// A shelf is a folder of this machine where a process keeps copies of archives
// while it runs. It holds a lock on a file in it, which ends with the process: a
// shelf whose lock is free belongs to nobody any more.
type shelf struct {
	dir  string
	lock *flock.Flock
}

const (
	shelfPrefix = "penstock-archives-"
	shelfLock   = "lock"
)

// newShelf makes a shelf in a folder of this machine, "" for the system's
// temporary one.
func newShelf(in string) (*shelf, error) {
	for {
		dir, err := os.MkdirTemp(in, shelfPrefix)
		if err != nil {
			return nil, spoolFault(err)
		}
		lock := flock.New(filepath.Join(dir, shelfLock))
		got, err := lock.TryLock()
		if err == nil && got {
			if _, err = os.Stat(lock.Path()); err == nil {
				return &shelf{dir, lock}, nil
			}
		}
		_ = lock.Close() // of a file that is gone
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, spoolFault(errors.Join(err, os.RemoveAll(dir)))
		}
		// Another process took it for one that was left, at the moment between.
	}
}

func (s *shelf) close() error { return errors.Join(os.RemoveAll(s.dir), s.lock.Close()) }

// sweepShelves removes the shelves that killed processes left in a folder of
// this machine. Those of other users stay.
func sweepShelves(in string) {
	if in == "" {
		in = os.TempDir()
	}
	entries, _ := os.ReadDir(in) // who makes a shelf there says what is wrong with it
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), shelfPrefix) {
			continue
		}
		dir := filepath.Join(in, e.Name())
		lock := flock.New(filepath.Join(dir, shelfLock), flock.SetFlag(os.O_RDWR))
		if got, err := lock.TryLock(); err == nil && got {
			_ = os.RemoveAll(dir) // what stays is tried again at the next start
		}
		_ = lock.Close() // nothing was written to it
	}
}

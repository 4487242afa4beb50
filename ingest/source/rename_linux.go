//go:build linux

package source

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameFresh renames from to to, and never takes another file's place: the
// error wraps fs.ErrExist then.
func renameFresh(from, to string) error {
	for {
		err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			return linkFresh(from, to) // a file system that cannot say it, such as NFS
		}
		return err
	}
}

// linkFresh is renameFresh where the system has no such call. File systems
// without links have no way to do both in one step.
func linkFresh(from, to string) error {
	err := unix.Link(from, to)
	if err == nil {
		return unix.Unlink(from)
	}
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return unix.EEXIST
	}
	return unix.Rename(from, to)
}

// isOtherDisk reports whether a rename failed since the two names are on
// different file systems.
func isOtherDisk(err error) bool { return errors.Is(err, unix.EXDEV) }

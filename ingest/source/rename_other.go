//go:build !linux

package source

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// renameFresh renames from to to, and does not take another file's place: the
// error wraps fs.ErrExist then.
func renameFresh(from, to string) error {
	if err := os.Link(from, to); err == nil {
		return os.Remove(from)
	} else if errors.Is(err, fs.ErrExist) || isOtherDisk(err) {
		return err
	}
	if _, err := os.Lstat(to); err == nil { // a file system without links
		return fs.ErrExist
	}
	return os.Rename(from, to)
}

// isOtherDisk reports whether a rename failed since the two names are on
// different file systems.
func isOtherDisk(err error) bool { return errors.Is(err, syscall.EXDEV) }

// Package source holds the places that files come from. Each is an
// [ingest.Source], and each passes the suite in package sourcetest.
//
// Dir is what a replay reads and a daemon watches: folders, single files, and
// zip archives whose members are files of their own. Remote is a folder of a
// server, NewFTP and NewSFTP make one: to follow it, begin with client in
// remote.go, which is all that a protocol has to do, and see what is done with
// it in the files remote_*.go.
package source

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"penstock/ingest"
)

// ErrNotRegular says that what a path names can hold no readings: a named
// pipe, a socket, a device, a link within an archive.
var ErrNotRegular = errors.New("not a regular file, so it is not read")

// ErrLoop says that a folder leads back to one that it lies in.
var ErrLoop = errors.New("the folder leads back to one that it lies in, so it is not followed")

// fault words what went wrong with the file or folder at path.
func fault(doing, path string, err error) error {
	err = bare(err)
	hint := ""
	switch {
	case errors.Is(err, fs.ErrPermission):
		hint = ": give the user that runs penstock the right to read it"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		hint = ": raise the limit of open files (ulimit -n)"
	}
	return fmt.Errorf("%s %s: %w%s", doing, ingest.EscapePath(path), err, hint)
}

// bare is err without the path that package os puts before it: that path is
// raw, and may hold escape codes.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

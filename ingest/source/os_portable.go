//go:build !linux || portable

package source

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// This file is os_linux.go for all other systems, by way of package os.

// An identity tells one folder from all others: its path with links resolved.
// It is empty for what is not a folder.
type identity struct{ real string }

// statPath tells what path names, or what it links to.
func statPath(path string, follow bool) (status, error) {
	stat := os.Lstat
	if follow {
		stat = os.Stat
	}
	info, err := stat(path)
	if err != nil {
		return status{}, err
	}
	st := statusOf(info)
	if st.kind == directory {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return status{}, err
		}
		st.id = identity{real}
	}
	return st, nil
}

// statFile tells what is open as file.
func statFile(file *os.File) (status, error) {
	info, err := file.Stat()
	if err != nil {
		return status{}, err
	}
	return statusOf(info), nil
}

func statusOf(info fs.FileInfo) status {
	return status{kind: kindOfMode(info.Mode()), size: info.Size(), modified: info.ModTime().UnixMicro()}
}

func kindOfMode(mode fs.FileMode) kind {
	switch mode.Type() {
	case 0:
		return regular
	case fs.ModeDir:
		return directory
	case fs.ModeSymlink:
		return link
	case fs.ModeNamedPipe:
		return pipe
	case fs.ModeSocket:
		return socket
	}
	return device
}

// A folder is an open folder that is being listed. One goroutine uses it.
type folder struct {
	file *os.File
	path string
	id   identity
	rest []fs.DirEntry
}

// openFolder opens the folder at path, following links.
func openFolder(path string, _ []byte) (*folder, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		file.Close()
		return nil, err
	}
	return &folder{file: file, path: path, id: identity{real}}, nil
}

func (d *folder) close() { d.file.Close() }

// next gives the folder's next entry, or one without a name at its end. The
// name is valid until the next call.
func (d *folder) next() (entry, error) {
	const batch = 256
	if len(d.rest) == 0 {
		var err error
		if d.rest, err = d.file.ReadDir(batch); len(d.rest) == 0 {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return entry{}, err
		}
	}
	e := d.rest[0]
	d.rest = d.rest[1:]
	return entry{name: []byte(e.Name()), kind: kindOfMode(e.Type())}, nil
}

// stat tells more of the entry that next gave last.
func (d *folder) stat(e entry, follow bool) (status, error) {
	return statPath(filepath.Join(d.path, string(e.name)), follow)
}

// readFile reads the regular file at path into buf, growing it when need be:
// all of it when it has expect bytes, and never more than expect+1, which tells
// that it has more. With expect -1 it is what there is room for in buf. The status
// is that of the open file after the read.
func readFile(path string, buf []byte, expect int64) ([]byte, status, error) {
	file, err := openRegular(path)
	if err != nil {
		return buf[:0], status{}, err
	}
	defer file.Close()
	buf = grow(buf, max(expect+1, 1))
	if expect >= 0 {
		buf = buf[:expect+1]
	}
	n, err := io.ReadFull(file, buf)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return buf[:0], status{}, err
	}
	info, err := file.Stat()
	if err != nil {
		return buf[:0], status{}, err
	}
	return buf[:n], statusOf(info), nil
}

//go:build linux && !portable

package source

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file asks Linux directly what os_portable.go asks package os. A file
// costs one statx relative to its open folder, with the name where getdents
// put it, and no allocation.

// An identity tells one folder from all others, whatever leads to it.
type identity struct{ dev, ino uint64 }

// statPath tells what path names, or what it links to.
func statPath(path string, follow bool) (status, error) {
	flags := 0
	if !follow {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	var x unix.Statx_t
	for {
		err := unix.Statx(unix.AT_FDCWD, path, flags, statMask, &x)
		if err == nil {
			return statusOf(&x), nil
		}
		if err != unix.EINTR {
			return status{}, err
		}
	}
}

// statFile tells what is open as file.
func statFile(file *os.File) (status, error) {
	var x unix.Statx_t
	if err := unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, statMask, &x); err != nil {
		return status{}, err
	}
	return statusOf(&x), nil
}

const statMask = unix.STATX_TYPE | unix.STATX_INO | unix.STATX_SIZE | unix.STATX_MTIME

func statusOf(x *unix.Statx_t) status {
	return status{
		kind:     kindOfMode(uint32(x.Mode)),
		id:       identity{unix.Mkdev(x.Dev_major, x.Dev_minor), x.Ino},
		size:     int64(x.Size),
		modified: x.Mtime.Sec*1e6 + int64(x.Mtime.Nsec)/1e3,
	}
}

func kindOfMode(mode uint32) kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return regular
	case unix.S_IFDIR:
		return directory
	case unix.S_IFLNK:
		return link
	case unix.S_IFIFO:
		return pipe
	case unix.S_IFSOCK:
		return socket
	}
	return device
}

// A folder is an open folder that is being listed. One goroutine uses it.
type folder struct {
	fd   int
	id   identity
	buf  []byte
	rest []byte // of buf: the entries not yet given
	stx  unix.Statx_t
}

// openFolder opens the folder at path, following links. It lists by way of buf.
func openFolder(path string, buf []byte) (*folder, error) {
	fd, err := openFD(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	d := &folder{fd: fd, buf: buf}
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, statMask, &d.stx); err != nil {
		d.close()
		return nil, err
	}
	d.id = statusOf(&d.stx).id
	return d, nil
}

func (d *folder) close() { unix.Close(d.fd) }

// next gives the folder's next entry, or one without a name at its end. The
// name is valid until the next call.
func (d *folder) next() (entry, error) {
	const header = 19 // inode, offset, length of the record, type: struct linux_dirent64 in getdents(2)
	for {
		if len(d.rest) == 0 {
			n, err := unix.Getdents(d.fd, d.buf)
			if err == unix.EINTR {
				continue
			}
			if err != nil || n <= 0 {
				return entry{}, err
			}
			d.rest = d.buf[:n]
		}
		record := d.rest[:binary.NativeEndian.Uint16(d.rest[16:])]
		d.rest = d.rest[len(record):]
		name := record[header:]
		name = name[:bytes.IndexByte(name, 0)]
		if string(name) == "." || string(name) == ".." {
			continue
		}
		if record[18] == unix.DT_UNKNOWN {
			return entry{name: name}, nil
		}
		// A directory entry's type is the file's mode, moved down by 12 bits.
		return entry{name: name, kind: kindOfMode(uint32(record[18]) << 12)}, nil
	}
}

// stat tells more of the entry that next gave last.
func (d *folder) stat(e entry, follow bool) (status, error) {
	flags := 0
	if !follow {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	for {
		// The name's NUL follows it in the buffer, as getdents wrote it.
		_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(d.fd), uintptr(unsafe.Pointer(unsafe.SliceData(e.name))),
			uintptr(flags), statMask, uintptr(unsafe.Pointer(&d.stx)), 0)
		switch errno {
		case 0:
			return statusOf(&d.stx), nil
		case unix.EINTR:
		default:
			return status{}, errno
		}
	}
}

// readFile reads the regular file at path into buf, growing it when need be:
// all of it when it has expect bytes, and never more than expect+1, which tells
// that it has more. With expect -1 it is what one read gives. The status is that of
// the open file after the read. The calls are open, read, fstat and close.
func readFile(path string, buf []byte, expect int64) ([]byte, status, error) {
	// Not to block on a named pipe that took the file's place.
	fd, err := openFD(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK)
	if err != nil {
		return buf[:0], status{}, err
	}
	defer unix.Close(fd)
	buf = grow(buf, max(expect+1, 1))
	if expect >= 0 {
		buf = buf[:expect+1]
	}
	n := 0
	for {
		r, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN || err == unix.EISDIR {
			break // not a regular file, as the status says
		}
		if err != nil {
			return buf[:0], status{}, err
		}
		n += r
		// What is short of expect may be a short read; fstat tells whether what
		// is not was the end.
		if r == 0 || int64(n) >= expect {
			break
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return buf[:0], status{}, err
	}
	return buf[:n], status{
		kind:     kindOfMode(st.Mode),
		size:     st.Size,
		modified: st.Mtim.Nano() / 1e3,
		changed:  st.Ctim.Nano() / 1e3,
	}, nil
}

// openFD opens path. It does so without the copy of path on the heap that
// unix.Open makes, which is 3 % of what fetching a small file costs.
func openFD(path string, flags int) (int, error) {
	var name [256]byte // with room for the NUL that ends it
	if len(path) >= len(name) || strings.IndexByte(path, 0) >= 0 {
		for {
			fd, err := unix.Open(path, flags, 0)
			if err != unix.EINTR {
				return fd, err
			}
		}
	}
	copy(name[:], path)
	here := unix.AT_FDCWD
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(here), uintptr(unsafe.Pointer(&name)), uintptr(flags|unix.O_LARGEFILE), 0, 0, 0)
		switch errno {
		case 0:
			return int(fd), nil
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

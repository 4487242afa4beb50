package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"penstock/ingest"
	"penstock/ingest/source/archive"
)

// checkArchive looks whether the daemon can keep what it fetches where the config
// says, and whether there is room for as much as it says.
func (a *app) checkArchive() *findings {
	f := &findings{part: "archive"}
	c := a.config.archive
	if a.archiveDir != "" {
		c.dir, c.off = a.archiveDir, false
	}
	if c.off {
		f.ok("folder", "off: the bytes of what is fetched are not kept")
		return f
	}
	dir, err := c.folder(a.store)
	if err != nil {
		f.wrong("folder", err, elsewhere)
		return f
	}
	exists, writes := checkFolder(f, dir)
	if !writes {
		return f
	}
	var taken int64
	if exists {
		if taken, err = a.archiveTakes(dir); err != nil {
			f.wrong("read", err, "")
			return f
		}
	}
	free, err := freeBelow(dir)
	room := byteSize(free) + " are free, and the archive takes " + byteSize(taken)
	if c.max > 0 {
		room += " of at most " + byteSize(c.max)
	}
	switch {
	case err != nil:
		f.wrong("room", err, "")
	case free == 0:
		f.wrong("room", fmt.Errorf("the disk of %s is full", ingest.EscapePath(dir)), "make room there, or "+elsewhere)
	case c.max == 0 || taken+free < c.max:
		f.note("room", room, "set archive: {max: SIZE} to what the disk has for it")
	default:
		f.ok("room", "%s", room)
	}
	return f
}

// elsewhere is what can be done where the archive's folder is of no use.
const elsewhere = "name another folder with archive: {dir: FOLDER}, or keep no archive with archive: off"

// checkFolder looks whether the folder is there, or can be made, and written to.
func checkFolder(f *findings, dir string) (exists, writes bool) {
	name := ingest.EscapePath(dir)
	st, err := os.Stat(dir)
	switch {
	case err == nil && !st.IsDir():
		f.wrong("folder", fmt.Errorf("%s is no folder", name), elsewhere)
		return true, false
	case err == nil:
		if err := mayWrite(dir); err != nil {
			f.wrong("folder", fmt.Errorf("%s cannot be written to: %w", name, err), "give it to the user who runs penstock, or "+elsewhere)
			return true, false
		}
		if !emptyFolder(dir) && !archive.Is(dir) {
			f.note("folder", name+" holds files that are not of an archive", "give the archive a folder of its own, unless they are to lie beside it")
		} else {
			f.ok("folder", "%s", name)
		}
		return true, true
	case !errors.Is(err, fs.ErrNotExist):
		f.wrong("folder", err, elsewhere)
		return false, false
	}
	above := existing(dir)
	if err := mayWrite(above); err != nil {
		f.wrong("folder", fmt.Errorf("%s is not there, and cannot be made in %s: %w", name, ingest.EscapePath(above), err), "make it for the user who runs penstock, or "+elsewhere)
		return false, false
	}
	f.ok("folder", "%s is made at the first start", name)
	return false, true
}

// existing is the nearest above dir that is there.
func existing(dir string) string {
	for dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		if _, err := os.Stat(dir); err == nil {
			break
		}
	}
	return dir
}

// mayWrite asks the system whether we may make files in a folder, without making
// one.
func mayWrite(dir string) error {
	if st, err := os.Stat(dir); err == nil && !st.IsDir() {
		return errors.New("it is no folder")
	}
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

func emptyFolder(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// archiveTakes is how many bytes the packs in a folder have.
func (a *app) archiveTakes(dir string) (taken int64, err error) {
	kept, err := archive.Open(dir, archive.Options{Log: a.log})
	if err != nil {
		return 0, err
	}
	packs, err := kept.Packs("")
	for i := range packs {
		taken += packs[i].Size
	}
	return taken, errors.Join(err, kept.Close())
}

// freeBelow is how many bytes are free where dir is, or would be.
func freeBelow(dir string) (int64, error) {
	if _, err := os.Stat(dir); err != nil {
		dir = existing(dir)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil //nolint:unconvert // it has fewer bits on other systems
}

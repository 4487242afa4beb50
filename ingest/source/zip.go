package source

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"penstock/ingest"
)

// ErrBomb says that an archive, or a member of one, would become implausibly
// large when unpacked.
var ErrBomb = errors.New("refused as a zip bomb; if it is meant to be so, unpack it and replay the folder")

// Limits of what a zip archive may unpack to.
const (
	maxRatio  = 200       // bytes for each one packed; logger files reach 60, deflate can reach 1032
	maxMember = 16 << 30  // bytes of one member
	freeBytes = 1 << 20   // a member of no more than this may have any ratio
	freeTotal = 256 << 20 // likewise all members of an archive together
)

// isArchive reports whether a file of this name is opened as an archive: a
// zip archive must have the name of one. It must have the content of one too,
// or else it is reported, since what bears that name is no logger file.
func isArchive(name string) bool {
	return len(name) > len(".zip") && strings.EqualFold(name[len(name)-len(".zip"):], ".zip")
}

// splitMember splits "archive.zip!member" at the first such place from i on.
func splitMember(path string, i int) (archive, member string, ok bool) {
	for ; i < len(path); i++ {
		n := strings.IndexByte(path[i:], '!')
		if n < 0 {
			return "", "", false
		}
		if i += n; isArchive(path[:i]) && i+1 < len(path) {
			return path[:i], path[i+1:], true
		}
	}
	return "", "", false
}

// An archive is an open zip archive, shared by all who fetch from it.
type archive struct {
	path string
	seed maphash.Seed
	once sync.Once // opens it
	err  error     // what opening gave

	file   *os.File
	opened status // when the directory was read
	*index

	// These are under the archives' lock.
	ready bool // opened and err are set
	refs  int
	kept  bool // it is in archives.open
	used  int
}

// open reads the directory. It is called once, without a context: others wait
// for the result too.
func (a *archive) open() (err error) {
	if a.file, err = openRegular(a.path); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			a.file.Close()
		}
	}()
	if a.opened, err = statFile(a.file); err != nil {
		return err
	}
	if a.opened.kind != regular {
		return fmt.Errorf("it is a %s, %w", a.opened.kind, ErrNotRegular)
	}
	if a.index, err = readDirectory(a.file, a.opened.size, a.seed); err != nil {
		return err
	}
	if a.total > freeTotal && a.total/maxRatio > a.opened.size {
		return fmt.Errorf("its %d members are %d bytes unpacked, from %d: %w", len(a.slots), a.total, a.opened.size, ErrBomb)
	}
	return nil
}

// changed reports whether the archive was written to since it was opened.
func (a *archive) changed() bool {
	st, err := statFile(a.file)
	return err != nil || st != a.opened
}

// archives keeps the archives open that were used last, so that one is not
// read again for each member.
type archives struct {
	mu   sync.Mutex
	open map[string]*archive
	tick int

	seeding sync.Once
	seeded  maphash.Seed
}

// seed is one for all archives, so that one that is opened again has its members
// in the same order.
func (as *archives) seed() maphash.Seed {
	as.seeding.Do(func() { as.seeded = maphash.MakeSeed() })
	return as.seeded
}

// keepOpen is how many archives stay open without being in use. A listing runs
// ahead of the workers by few of them.
const keepOpen = 8

// acquire returns the archive at path as it is now. It is the caller's until
// it is released.
func (as *archives) acquire(path string) (*archive, error) {
	st, err := statPath(path, true)
	if err != nil {
		return nil, err
	}
	as.mu.Lock()
	a := as.open[path]
	if a != nil && a.ready && a.opened != st {
		as.drop(a)
		a = nil
	}
	if a == nil {
		a = &archive{path: path, seed: as.seed(), kept: true}
		if as.open == nil {
			as.open = make(map[string]*archive)
		}
		as.open[path] = a
	}
	a.refs++
	as.mu.Unlock()

	a.once.Do(func() {
		a.err = a.open()
		as.mu.Lock()
		defer as.mu.Unlock()
		if a.ready = true; a.err != nil && a.kept {
			as.drop(a)
		}
	})
	if a.err != nil {
		as.release(a)
		return nil, a.err
	}
	return a, nil
}

// find returns the archive at path, which is the caller's until it is released,
// and its member of that name. The error wraps fs.ErrNotExist when one of them
// is not there.
func (as *archives) find(path, name string) (*archive, *member, error) {
	a, err := as.acquire(path)
	if err != nil {
		return nil, nil, err
	}
	m, ok, err := a.lookup(name)
	if err == nil && !ok {
		err = fmt.Errorf("the archive has no such member: %w", fs.ErrNotExist)
	}
	if err != nil {
		as.release(a)
		return nil, nil, err
	}
	return a, m, nil
}

// release gives back what acquire gave, and closes the archive that has not
// been used for longest when too many are open.
func (as *archives) release(a *archive) {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.tick++
	a.used = as.tick
	if a.refs--; a.refs > 0 {
		return
	}
	if !a.kept {
		a.close()
		return
	}
	idle, oldest := 0, a
	for _, b := range as.open {
		if b.refs == 0 {
			idle++
			if b.used < oldest.used {
				oldest = b
			}
		}
	}
	if idle > keepOpen {
		as.drop(oldest)
	}
}

// closeIdle closes all that nobody uses.
func (as *archives) closeIdle() {
	as.mu.Lock()
	defer as.mu.Unlock()
	for _, a := range as.open {
		if a.refs == 0 {
			as.drop(a)
		}
	}
}

// drop forgets a; it is closed when its last user releases it.
func (as *archives) drop(a *archive) {
	delete(as.open, a.path)
	a.kept = false
	if a.refs == 0 {
		a.close()
	}
}

// forget closes the archive at path, which went away, once nobody uses it.
func (as *archives) forget(path string) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a := as.open[path]; a != nil {
		as.drop(a)
	}
}

func (a *archive) close() {
	if a.err == nil {
		a.file.Close()
	}
}

// archiveOf is the path of the archive that holds the member at path, and false
// when path is no member's.
func (d *Dir) archiveOf(path string) (string, bool) {
	for i := 0; ; {
		before, _, ok := splitMember(path, i)
		if !ok {
			return "", false
		}
		if place, err := d.place(before); err == nil {
			if st, err := statPath(place, true); err == nil && st.kind == regular {
				return before, true
			}
		}
		i = len(before)
	}
}

// archive lists the members of the archive at path.
func (w *walk) archive(path string) bool {
	a, err := w.dir.archives.acquire(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true // gone since its folder was read
	}
	if err != nil {
		return w.fail(path, fault("open", path, err))
	}
	defer w.dir.archives.release(a)
	over := errors.New("over")
	err = a.each(func(at int64, m *member) error {
		if err := w.ctx.Err(); err != nil {
			w.yield(ingest.File{Source: w.dir.name}, err)
			return over
		}
		if !w.wants(path, m) {
			return nil
		}
		if last, err := a.isLast(at, m); err != nil || !last {
			return err
		}
		if !w.member(path, m) {
			return over
		}
		return nil
	})
	if errors.Is(err, over) {
		return false
	}
	return err == nil || w.fail(path, fault("list", path, err))
}

// wants reports whether the patterns let m through. They see its own name and
// that with the archive's path before it: one that matches is enough.
func (w *walk) wants(path string, m *member) bool {
	if w.dir.ignores(filepath.ToSlash(path[w.below:]), m) {
		return false
	}
	name := string(m.name)
	return len(w.dir.match) == 0 || w.dir.match.match(name) || w.dir.match.match(filepath.ToSlash(path[w.below:])+"!"+name)
}

// ignores reports whether the member m of the archive that is below a root is
// a folder or matched by Ignore.
func (d *Dir) ignores(below string, m *member) bool {
	if len(m.name) == 0 || m.name[len(m.name)-1] == '/' || m.kind() == directory {
		return true
	}
	name := string(m.name)
	return d.ignore.matchAbove(name) || d.ignore.match(below+"!"+name)
}

// member yields the member m of the archive at path.
func (w *walk) member(path string, m *member) bool {
	path += "!" + string(m.name)
	if k := m.kind(); k != regular {
		return w.fail(path, fault("read", path, fmt.Errorf("it is a %s, %w", k, ErrNotRegular)))
	}
	return w.yield(w.dir.member(w.rel(path), m), nil)
}

// member is the File that stands for m.
func (d *Dir) member(path string, m *member) ingest.File {
	return ingest.File{Source: d.name, Path: path, Size: m.size, Modified: m.modified, Precision: m.precision}
}

// kind is what m was where it was packed. Only Unix and macOS tell.
func (m *member) kind() kind {
	const unix, macOS = 3, 19
	mode := m.attributes >> 16
	if m.creator != unix && m.creator != macOS || mode == 0 {
		return regular
	}
	switch mode & 0o170000 {
	case 0, 0o100000:
		return regular
	case 0o040000:
		return directory
	case 0o120000:
		return link
	case 0o010000:
		return pipe
	case 0o140000:
		return socket
	}
	return device
}

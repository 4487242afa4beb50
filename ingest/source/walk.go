package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"penstock/ingest"
)

// A kind is what an entry of a folder is.
type kind byte

const (
	unknown kind = iota // some file systems do not tell before a stat
	regular
	directory
	link
	pipe
	socket
	device
)

func (k kind) String() string {
	return [...]string{"unknown", "regular file", "folder", "link", "named pipe", "socket", "device"}[k]
}

// A status is what the system tells of a file or folder.
type status struct {
	kind     kind
	id       identity
	size     int64 // bytes
	modified int64 // microseconds since the Unix epoch, UTC
	changed  int64 // likewise, name, rights and all: told by readFile alone; 0 where the system does not tell
}

// An entry is one name in a folder.
type entry struct {
	name []byte // empty at the folder's end
	kind kind
}

// batchBytes is how much of a folder is read at a time, on Linux: some 400
// names. A listing holds one batch for each folder on its way down.
const batchBytes = 16 << 10

// A walk is one listing of a Dir. Its methods that return a bool return false
// when the walk is over.
type walk struct {
	ctx   context.Context
	dir   *Dir
	site  *site
	yield func(ingest.File, error) bool

	root  *root
	path  []byte     // where the walk is: an absolute path
	below int        // how much of path is the root's, which the patterns do not see
	trail []identity // the folders from the root to here

	// The folders that the source puts files into, by their places; what is at
	// them, once they are there.
	own map[string]identity

	// The folders that are listed on their own and nowhere else: the roots, and
	// what the links that were followed lead to; with their paths free of
	// links. This grows with the links, not with the folders or files.
	alone map[identity]struct{}
	bases map[string]struct{}

	spare [][]byte // batches not in use

	foldersOnly bool // files are not looked at
	unlinked    bool // links to folders are not followed

	unseen int // how many more files are not looked at before the next is
}

// Of a Dir that is Blind, so many files are not looked at after one that is small:
// so small that a chunk of them is full by its files long before it is by its bytes.
const (
	unseenBeside = 15
	smallFile    = 8 << 10 // bytes
)

func newWalk(ctx context.Context, d *Dir, s *site, yield func(ingest.File, error) bool) *walk {
	w := &walk{ctx: ctx, dir: d, site: s, yield: yield, alone: make(map[identity]struct{}), bases: make(map[string]struct{})}
	for _, r := range s.roots {
		if !r.file && r.err == nil {
			w.alone[r.id] = struct{}{}
			w.bases[r.real] = struct{}{}
		}
	}
	return w
}

// list lists one root.
func (w *walk) list(r *root) bool {
	w.start(r)
	if r.err != nil {
		return w.fail(r.path, r.err)
	}
	if r.file {
		// A file that was given by name is taken whatever the patterns say.
		st, err := statPath(r.path, true)
		if err != nil {
			return w.fail(r.path, fault("look at", r.path, err))
		}
		return w.file(r.path, st)
	}
	return w.folder(true)
}

// start makes r the root that the walk is below.
func (w *walk) start(r *root) {
	w.root = r
	if r.file {
		w.below = len(r.path) - len(filepath.Base(r.path))
		return
	}
	w.path = append(w.path[:0], r.join("")...)
	w.below = len(w.path)
}

// folder lists the folder at w.path, which ends in a separator. Unless it is
// the start of a root or of a link, it is passed over when it is listed on its
// own.
func (w *walk) folder(start bool) bool {
	here := len(w.path)
	path := string(w.path[:max(here-1, 1)])
	buf := w.batch()
	defer func() { w.spare = append(w.spare, buf) }()
	d, err := openFolder(path, buf)
	if err != nil {
		return w.fail(path, fault("open folder", path, err))
	}
	defer d.close()
	if slices.Contains(w.trail, d.id) {
		return w.fail(path, fault("follow", path, ErrLoop))
	}
	if _, ok := w.alone[d.id]; ok && !start {
		return true
	}
	if len(w.trail) > 0 && w.owns(d.id) {
		return true
	}
	if watch := w.dir.watch.Load(); watch != nil {
		watch.add(path, d.id) // before it is read, so that nothing comes between
	}
	w.trail = append(w.trail, d.id)
	defer func() { w.trail = w.trail[:len(w.trail)-1] }()
	w.unseen = 0

	given := w.site.given[d.id]
	for {
		if err := w.ctx.Err(); err != nil {
			w.yield(ingest.File{Source: w.dir.name}, err)
			return false
		}
		e, err := d.next()
		if err != nil {
			return w.fail(path, fault("list folder", path, err))
		}
		if len(e.name) == 0 {
			return true
		}
		if _, ok := given[string(e.name)]; ok {
			continue
		}
		w.path = append(w.path[:here], e.name...)
		if !w.entry(d, e) {
			return false
		}
	}
}

// owns reports whether the folder of that identity is one that the source puts
// files into, by whatever name the walk came to it.
func (w *walk) owns(id identity) bool {
	for _, own := range w.dir.tidier.own() {
		place := here{w.root}.place(own)
		is, known := w.own[place]
		if !known {
			st, err := statPath(place, true)
			if err != nil {
				continue // nothing was put there yet
			}
			if w.own == nil {
				w.own = make(map[string]identity)
			}
			is, w.own[place] = st.id, st.id
		}
		if is == id {
			return true
		}
	}
	return false
}

func (w *walk) batch() []byte {
	if n := len(w.spare); n > 0 {
		buf := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return buf
	}
	return make([]byte, batchBytes)
}

// entry lists the entry of d at w.path.
func (w *walk) entry(d *folder, e entry) bool {
	path := string(w.path)
	below := filepath.ToSlash(path[w.below:])
	if w.dir.tidier.isAside(below) {
		err := w.dir.tidier.restore(w.ctx, here{w.root}, below)
		return err == nil || w.fail(path, err)
	}
	if w.dir.ignore.match(below) {
		return true
	}
	st := status{kind: e.kind}
	var err error
	if e.kind == regular && w.foldersOnly {
		return true
	}
	switch {
	case e.kind == regular && w.unseen > 0 && !isArchive(path):
		w.unseen--
		st.size = -1
	case e.kind == regular, e.kind == unknown:
		if st, err = d.stat(e, false); errors.Is(err, fs.ErrNotExist) {
			return true // gone since the folder was read
		}
		if w.dir.blind && st.size < smallFile {
			w.unseen = unseenBeside
		}
	}
	linked := err == nil && st.kind == link
	if linked {
		if st, err = d.stat(e, true); errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("the link leads to nothing: %w", bare(err))
		}
	}
	return w.found(path, below, st, linked, err)
}

// found lists what is at path, or what the link there leads to.
func (w *walk) found(path, below string, st status, linked bool, err error) bool {
	switch {
	case err != nil:
		return w.fail(path, fault("look at", path, err))
	case st.kind == directory && w.dir.tidier.owns(w.root.path, below, false):
		return true
	case st.kind == directory && linked && w.unlinked:
		return true
	case st.kind == directory && linked:
		return w.link(path, st.id)
	case st.kind == directory:
		w.path = append(w.path, filepath.Separator)
		return w.folder(false)
	case st.kind == regular && isArchive(path):
	case len(w.dir.match) > 0 && !w.dir.match.match(below):
		return true
	}
	return w.file(path, st)
}

// link follows the link at path to a folder, unless that folder is listed
// under its own name.
func (w *walk) link(path string, id identity) bool {
	if slices.Contains(w.trail, id) {
		return w.fail(path, fault("follow", path, ErrLoop))
	}
	if _, ok := w.alone[id]; ok {
		return true
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return w.fail(path, fault("follow", path, err))
	}
	if isAbove(real, w.root.real) {
		return w.fail(path, fault("follow", path, ErrLoop))
	}
	if w.reaches(real) {
		return true
	}
	w.alone[id] = struct{}{}
	w.bases[real] = struct{}{}
	w.path = append(w.path, filepath.Separator)
	return w.folder(true)
}

// isAbove reports whether path lies in folder.
func isAbove(folder, path string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(folder, string(filepath.Separator)))
	return ok && (rest == "" || rest[0] == filepath.Separator)
}

// reaches reports whether the walk comes to the folder real, a path free of
// links, without following a link to it: so its files have the same names
// whichever of the two the system lists first.
func (w *walk) reaches(real string) bool {
	for base := real; ; {
		up := filepath.Dir(base)
		if up == base {
			return false
		}
		base = up
		if _, ok := w.bases[base]; ok {
			below := strings.TrimPrefix(real[len(base):], string(filepath.Separator))
			if !w.dir.ignore.matchAbove(filepath.ToSlash(below)) {
				return true
			}
		}
	}
}

// file yields the file at path, or the members if it is an archive.
func (w *walk) file(path string, st status) bool {
	switch {
	case st.kind == directory:
		return w.fail(path, fault("read", path, errors.New("it was a file, and is a folder now")))
	case st.kind != regular:
		return w.fail(path, fault("read", path, fmt.Errorf("it is a %s, %w", st.kind, ErrNotRegular)))
	}
	if other, ok := w.shadow(path); ok {
		return w.fail(path, fmt.Errorf("read %s: %s has the same path below its folder, and under the one source name %q a path can stand for one file only: replay the two folders under names of their own, or the folder above them",
			ingest.EscapePath(path), ingest.EscapePath(other), w.dir.name))
	}
	if isArchive(path) {
		return w.archive(path)
	}
	if a, _, err := w.dir.archived(w.rel(path)); err == nil && a != nil {
		w.dir.archives.release(a)
		return w.fail(path, fmt.Errorf("read %s: its name is that of a member of the archive %s too: rename it", ingest.EscapePath(path), ingest.EscapePath(a.path)))
	}
	f := ingest.File{Source: w.dir.name, Path: w.rel(path), Size: st.size, Modified: st.modified, Precision: ingest.Micro}
	if st.size < 0 {
		f.Precision = ingest.Unknown
	}
	return w.yield(f, nil)
}

// shadow returns the file of an earlier root that has the same path below it as
// the file at path.
func (w *walk) shadow(path string) (string, bool) {
	if !w.dir.named {
		return "", false
	}
	return w.site.shadow(w.root, path[w.below:])
}

func (w *walk) fail(path string, err error) bool {
	return w.yield(ingest.File{Source: w.dir.name, Path: w.rel(path), Size: -1}, err)
}

// rel is the path that the ledger knows the file or folder at path by.
func (w *walk) rel(path string) string {
	if !w.dir.named {
		return path
	}
	if len(path) < w.below {
		return "." // the root itself
	}
	return filepath.ToSlash(path[w.below:])
}

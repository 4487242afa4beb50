package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"strings"
	"sync"

	"penstock/ingest"
)

// FileSource is the source that files belong to which were given by no more
// than their place on this machine.
const FileSource = "file"

// DefaultIgnore passes over hidden files and folders: on a logger site these
// are uploads under way, and what desktops and version control leave behind.
func DefaultIgnore() []string { return []string{"**/.*"} }

// Options says what a Dir lists and what it calls it.
type Options struct {
	// Source names the source; a file's path is then what follows the PATH it
	// was found below, and a file given as PATH has its base name. When it is
	// empty, the source is FileSource and a file's path is absolute: cleaned,
	// with the links in it kept.
	Source string

	// Match and Ignore are patterns as in doublestar, held against paths below
	// a PATH; one without a slash is held against the name alone, in any folder.
	// A folder that Ignore matches is not entered. An empty Match takes all; a
	// nil Ignore is DefaultIgnore. A file or folder given as PATH is taken in any case.
	Match, Ignore []string
}

// A Dir is the source of a replay: some folders with all that is below them,
// and some files. It is read once, from end to end, and nothing in it is
// changed.
//
// Each file has one path. A PATH that lies below another is listed under its
// own name only. A link to a file is a file of its own. A link to a folder is
// followed unless that folder is listed anyhow, and a folder that several
// links lead to is listed under the first of them; one that leads back to a
// folder it lies in is reported with ErrLoop. What is neither file nor folder
// is reported with ErrNotRegular.
//
// Files that appear or vanish during a listing may or may not be in it. A file
// that was written a moment ago is listed as it is: Fetch tells when it
// changes while it is read.
type Dir struct {
	name          string
	named         bool // paths are below a root
	roots         []root
	given         map[identity]map[string]struct{} // by folder, the names of the files among roots
	match, ignore globs
	archives      archives
	unpackers     sync.Pool // of *unpacker
}

var _ ingest.Source = (*Dir)(nil)

// A root is one PATH.
type root struct {
	path string   // absolute and clean
	real string   // of a folder: free of links
	id   identity // of a folder
	file bool
}

// NewDir returns the source of what is at paths. A path that does not exist is
// an error, as it is most likely mistyped; errors.Is fs.ErrNotExist. Without
// paths and without a source name, a Dir lists nothing and fetches any file
// that is asked for by its absolute path.
func NewDir(o Options, paths ...string) (*Dir, error) {
	d := &Dir{name: o.Source, named: o.Source != "", given: make(map[identity]map[string]struct{})}
	if !d.named {
		d.name = FileSource
	}
	if o.Ignore == nil {
		o.Ignore = DefaultIgnore()
	}
	var errs [2]error
	d.match, errs[0] = compileGlobs(o.Match)
	d.ignore, errs[1] = compileGlobs(o.Ignore)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	var missing []error
	folders := make(map[identity]struct{})
	for _, p := range paths {
		if err := d.add(p, folders); err != nil {
			missing = append(missing, err)
		}
	}
	return d, errors.Join(missing...)
}

// add makes path a root, unless it is one already by whatever name.
func (d *Dir) add(path string, folders map[identity]struct{}) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return fault("find", path, err)
	}
	st, err := statPath(abs, true)
	if err != nil {
		return fault("find", path, err)
	}
	if st.kind == directory {
		if _, ok := folders[st.id]; ok {
			return nil
		}
		folders[st.id] = struct{}{}
		real, err := filepath.EvalSymlinks(abs)
		if err != nil {
			return fault("find", path, err)
		}
		d.roots = append(d.roots, root{path: abs, real: real, id: st.id})
		return nil
	}
	folder, err := statPath(filepath.Dir(abs), true)
	if err != nil {
		return fault("find", path, err)
	}
	names := d.given[folder.id]
	if names == nil {
		names = make(map[string]struct{})
		d.given[folder.id] = names
	}
	if _, ok := names[filepath.Base(abs)]; !ok {
		names[filepath.Base(abs)] = struct{}{}
		d.roots = append(d.roots, root{path: abs, file: true})
	}
	return nil
}

// Name implements [ingest.Source].
func (d *Dir) Name() string { return d.name }

// Files implements [ingest.Source]. It runs in the caller's goroutine and
// keeps a folder open for each step of the way down.
func (d *Dir) Files(ctx context.Context) iter.Seq2[ingest.File, error] {
	return func(yield func(ingest.File, error) bool) {
		w := newWalk(ctx, d, yield)
		for i := range d.roots {
			if !w.list(&d.roots[i]) {
				return
			}
		}
	}
}

// Done implements [ingest.Source]: a replay leaves all files where they are.
func (d *Dir) Done(context.Context, ingest.File, ingest.Outcome) error { return nil }

// Locate returns the file at path, a File.Path of this source, as it is now,
// without listing anything: what is to be taken up again by name. The error
// wraps fs.ErrNotExist when there is no such file any more.
func (d *Dir) Locate(ctx context.Context, path string) (ingest.File, error) {
	if err := ctx.Err(); err != nil {
		return ingest.File{}, err
	}
	a, m, err := d.archived(path)
	if err != nil {
		return ingest.File{}, err
	}
	if a != nil {
		d.archives.release(a)
		return d.member(path, m), nil
	}
	place, err := d.place(path)
	if err != nil {
		return ingest.File{}, err
	}
	st, err := statPath(place, true)
	if err != nil {
		return ingest.File{}, fault("find", place, err)
	}
	if st.kind != regular {
		return ingest.File{}, fault("find", place, fmt.Errorf("it is a %s, %w", st.kind, ErrNotRegular))
	}
	return ingest.File{Source: d.name, Path: path, Size: st.size, Modified: st.modified, Precision: ingest.Micro}, nil
}

// Close closes the archives that were kept open for the next member. The Dir
// can still be used: it opens them again.
func (d *Dir) Close() error {
	d.archives.closeIdle()
	return nil
}

// archived returns the archive and the member in it that path stands for, and
// no archive when path is that of a file. The archive is the caller's to
// release.
func (d *Dir) archived(path string) (*archive, *member, error) {
	for i := 0; ; i++ {
		before, name, ok := splitMember(path, i)
		if !ok {
			return nil, nil, nil
		}
		i = len(before)
		place, err := d.place(before)
		if err != nil {
			return nil, nil, err
		}
		a, m, err := d.archives.find(place, name)
		if err == nil {
			return a, m, nil
		}
		// A file or a folder may have such a name too.
		if whole, e := d.place(path); e == nil {
			if _, e = statPath(whole, false); e == nil {
				continue
			}
		}
		if _, _, more := splitMember(path, i+1); !more {
			return nil, nil, fault("find", place+"!"+name, err)
		}
	}
}

// place is where on this machine the file is that the ledger knows by path.
func (d *Dir) place(path string) (string, error) {
	if !d.named {
		if !filepath.IsAbs(path) {
			return "", fmt.Errorf("find %s: files of the source %q have absolute paths: %w", ingest.EscapePath(path), d.name, fs.ErrNotExist)
		}
		return path, nil
	}
	if !filepath.IsLocal(path) {
		return "", fmt.Errorf("find %s: the path leads out of the source %q: %w", ingest.EscapePath(path), d.name, fs.ErrNotExist)
	}
	for i := range d.roots {
		if place, ok := d.roots[i].holds(path, i == len(d.roots)-1); ok {
			return place, nil
		}
	}
	return "", fmt.Errorf("find %s: no folder of the source %q has it: %w", ingest.EscapePath(path), d.name, fs.ErrNotExist)
}

// shadow returns the file of an earlier root that has the same path below it.
func (d *Dir) shadow(r *root, below string) (string, bool) {
	if !d.named {
		return "", false
	}
	for i := range d.roots {
		if &d.roots[i] == r {
			break
		}
		if place, ok := d.roots[i].holds(below, false); ok {
			return place, true
		}
	}
	return "", false
}

// holds returns where the file is that has this path below r. It does not look
// whether there is one when it is told to be sure.
func (r *root) holds(path string, sure bool) (string, bool) {
	if r.file {
		return r.path, filepath.Base(r.path) == path
	}
	place := r.path + string(filepath.Separator) + filepath.FromSlash(path)
	if strings.HasSuffix(r.path, string(filepath.Separator)) {
		place = r.path + filepath.FromSlash(path)
	}
	if sure {
		return place, true
	}
	_, err := statPath(place, false)
	return place, err == nil
}

package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

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

	// After is what becomes of files once the ledger has them. It needs a
	// Source name, as the folders in it are below a PATH.
	After After

	// Live says that the folders come, go and are replaced while the Dir is
	// used: a disk that is unmounted and mounted again. A PATH need not be there
	// at first, and each listing looks anew what is at it and reports what is
	// missing.
	Live bool

	// Log is told, once, what keeps folders from being watched. Nil is none.
	Log *slog.Logger
}

// A Dir is some folders with all that is below them, and some files: the source
// of a replay, which reads them once from end to end, and of a daemon, which
// watches them. Nothing is changed in them but by Done, as Options.After says.
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
//
// With After, a zip archive is done when all of its members are: those that
// Ignore matches do not count, and one that is not loaded, because it is
// broken or Match does not match it, keeps the archive where it is. It goes as
// one file, to the folder for broken files when a member of it would.
type Dir struct {
	name          string
	named         bool // paths are below a root
	live          bool
	blind         bool
	log           *slog.Logger
	paths         []string // absolute and clean
	site          atomic.Pointer[site]
	match, ignore globs
	archives      archives
	unpackers     sync.Pool // of *unpacker
	tidier        *tidier
	packed        packed
	watch         atomic.Pointer[watch] // nil while nobody watches
}

var (
	_ ingest.Watcher = (*Dir)(nil)
	_ ingest.Tidier  = (*Dir)(nil)
)

// NewDir returns the source of what is at paths. A path that does not exist is
// an error unless the Dir is to be Live, as it is most likely mistyped;
// errors.Is fs.ErrNotExist. Without paths and without a source name, a Dir
// lists nothing and fetches any file that is asked for by its absolute path.
func NewDir(o Options, paths ...string) (*Dir, error) {
	d := &Dir{name: o.Source, named: o.Source != "", live: o.Live, log: o.Log, tidier: newTidier(o.After, o.Source)}
	if !d.named {
		d.name = FileSource
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if o.Ignore == nil {
		o.Ignore = DefaultIgnore()
	}
	var errs [3]error
	d.match, errs[0] = compileGlobs(o.Match)
	d.ignore, errs[1] = compileGlobs(o.Ignore)
	if errs[2] = o.After.Check(); errs[2] == nil && o.After.Tidies() && !d.named {
		errs[2] = errors.New("files can be moved or deleted only of a source that has a name")
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for _, p := range paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, fault("find", p, err)
		}
		d.paths = append(d.paths, abs)
	}
	s, missing := d.resolve()
	d.site.Store(s)
	if d.live {
		return d, nil
	}
	return d, errors.Join(missing...)
}

// Name implements [ingest.Source].
func (d *Dir) Name() string { return d.name }

// Blind says whether the listings may leave out the size and time of most of the
// files that stand beside small ones, for whoever takes them all, whatever those
// are: to look at a file takes about as long as to read a small one, which tells
// them, too. It is to be called before Files is.
func (d *Dir) Blind(yes bool) { d.blind = yes }

// Files implements [ingest.Source]. It runs in the caller's goroutine and
// keeps a folder open for each step of the way down.
func (d *Dir) Files(ctx context.Context) iter.Seq2[ingest.File, error] {
	return func(yield func(ingest.File, error) bool) {
		s := d.site.Load()
		if d.live {
			s, _ = d.resolve() // what is missing is reported as a root
			d.site.Store(s)
		}
		w := newWalk(ctx, d, s, yield)
		for i := range s.roots {
			if !w.list(&s.roots[i]) {
				return
			}
		}
	}
}

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
	if _, place, ok := d.site.Load().find(path); ok {
		return place, nil
	}
	return "", fmt.Errorf("find %s: no folder of the source %q has it: %w", ingest.EscapePath(path), d.name, fs.ErrNotExist)
}

package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"strings"
	"sync"

	"penstock/ingest"
)

const (
	maxDepth   = 40 // folders within one another
	maxUnclear = 10 // entries of one folder that are reported one by one
)

// Files implements [ingest.Source]. It runs in the caller's goroutine and holds
// the listing of one folder at a time; the connection is not held while the
// caller looks at files.
func (r *Remote) Files(ctx context.Context) iter.Seq2[ingest.File, error] {
	return r.opening(ctx, func(ingest.File) bool { return true })
}

// opening is Files, and fetches of the archives those that may be opened.
func (r *Remote) opening(ctx context.Context, may func(ingest.File) bool) iter.Seq2[ingest.File, error] {
	return func(yield func(ingest.File, error) bool) {
		w := &remoteWalk{Remote: r, ctx: ctx, yield: yield, mayOpen: may}
		if w.folder("", 0) {
			r.closed.listed(w.gone)
			if !w.failed {
				r.copies.listed(w.packed)
			}
		}
	}
}

// closedFolders has the folders that were listed and could not be entered. A
// server may have the same words for a folder that is gone and for one that is
// closed to us: that is told apart by the next listing.
type closedFolders struct {
	mu    sync.Mutex
	known map[string]struct{}
}

// has reports whether the folder was one of them at the listing before.
func (c *closedFolders) has(dir string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.known[dir]
	return ok
}

// listed takes those of a listing that came to its end.
func (c *closedFolders) listed(gone map[string]struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = gone
}

// A remoteWalk is one listing of a Remote. Its methods that return a bool
// return false when the walk is over.
type remoteWalk struct {
	*Remote
	ctx   context.Context
	yield func(ingest.File, error) bool

	mayOpen func(archive ingest.File) bool
	gone    map[string]struct{} // folders that were not there when they were to be listed

	packed map[string]struct{} // archives
	failed bool                // something could not be listed

	own  []string // where folders of the source's own lead that are named from the server's root on
	real string   // where the source's folder leads, if there are such
}

// folder lists the folder at dir, "" for the root.
func (w *remoteWalk) folder(dir string, depth int) bool {
	if depth > maxDepth {
		return w.fail(dir, w.fault("list", dir, fmt.Errorf("more than %d folders lie in one another: a link leads back to where it lies, and should be ignored", maxDepth)))
	}
	var all []listed
	var folders, asides []string
	root := ""
	err := w.pool.with(w.ctx, 0, func(c client) (err error) {
		all, folders, asides = all[:0], folders[:0], asides[:0] // it may be done again
		if root, err = c.at(""); err != nil {
			return err
		}
		if depth == 0 {
			if err := w.resolve(c); err != nil {
				return err
			}
		}
		return c.list(w.ctx, dir, func(l listed) error {
			switch below := join(dir, l.name); {
			case l.err == nil && w.tidier.isAside(below):
				asides = append(asides, below)
			case l.err == nil && w.ignore.match(below):
			case l.err == nil && l.kind == directory && named(l.name) == nil:
				if !w.owns(root, below, l.fold) {
					folders = append(folders, l.name)
				}
			case l.err == nil && !isArchive(l.name) && !w.wants(below, l.kind):
			default:
				all = append(all, l)
			}
			return nil
		})
	})
	if w.ctx.Err() != nil {
		return w.over()
	}
	if errors.Is(err, fs.ErrNotExist) && depth > 0 {
		err = w.missing(dir, err)
	}
	if !w.restore(asides) || !w.entries(dir, all) {
		return false
	}
	all = nil // not held while the folders below are listed
	if err != nil && !w.fail(dir, w.fault("list", dir, err)) {
		return false
	}
	for _, name := range folders {
		if !w.folder(join(dir, name), depth+1) {
			return false
		}
	}
	return true
}

// missing returns what is to be told of a folder that was in the listing of the
// one above it, and then could not be entered. It may have gone between the two:
// if it is the same at the next listing, it has not.
func (w *remoteWalk) missing(dir string, err error) error {
	if w.gone == nil {
		w.gone = make(map[string]struct{})
	}
	w.gone[dir] = struct{}{}
	if !w.closed.has(dir) {
		return nil
	}
	return fmt.Errorf("%s, although it is there: %w; give the source's user the right to enter it, or ignore it", err.Error(), fs.ErrPermission)
}

// restore puts back what was set aside when penstock was ended.
func (w *remoteWalk) restore(asides []string) bool {
	for _, p := range asides {
		err := w.tidier.restore(w.ctx, w.yard, p)
		if w.ctx.Err() != nil {
			return w.over()
		}
		if err != nil && !w.fail(p, w.fault("recover", p, err)) {
			return false
		}
	}
	return true
}

// owns reports whether the folder, as it was listed, is one that the source puts
// files into, by its own name or by another that leads there.
func (w *remoteWalk) owns(root, below string, fold bool) bool {
	if w.tidier.owns(root, below, fold) {
		return true
	}
	for _, own := range w.own {
		at := path.Join(w.real, below)
		if own == at || fold && strings.EqualFold(own, at) {
			return true
		}
	}
	return false
}

// resolve asks the server where those folders lead that the source puts files
// into and that are named from the server's root on, and where its own leads.
func (w *remoteWalk) resolve(c client) error {
	w.real, w.own = "", nil
	for _, own := range w.tidier.own() {
		if own[0] != '/' {
			continue
		}
		real, err := c.real(w.ctx, own)
		if err != nil && !inOrder(err) {
			return err
		}
		if err == nil {
			w.own = append(w.own, real)
		}
	}
	if len(w.own) == 0 {
		return nil
	}
	var err error
	if w.real, err = c.real(w.ctx, ""); inOrder(err) {
		return nil // what is wrong with it the listing tells
	}
	return err
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// wants reports whether the patterns let the entry through.
func (r *Remote) wants(below string, k kind) bool {
	return k == directory || len(r.match) == 0 || r.match.match(below)
}

// named says why a name that a server listed cannot be one of an entry of the
// folder.
func named(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("the server lists the name %q, which leads elsewhere: it is refused", ingest.EscapePath(name))
	}
	return nil
}

// entries yields what is in the folder at dir but for folders.
func (w *remoteWalk) entries(dir string, all []listed) bool {
	unclear := 0
	for i := range all {
		if w.ctx.Err() != nil {
			return w.over()
		}
		l := &all[i]
		below := join(dir, l.name)
		if l.err == nil {
			if l.err = named(l.name); l.err != nil {
				below = dir
			}
		}
		if l.err == nil && l.kind == link {
			var ok bool
			if *l, ok = w.follow(below, *l); !ok {
				continue
			}
		}
		if l.err == nil && l.kind != regular && l.kind != unknown {
			l.err = fmt.Errorf("it is a %s, %w", l.kind, ErrNotRegular)
		}
		if l.err == nil {
			if !w.found(w.file(below, *l)) {
				return false
			}
			continue
		}
		if unclear++; unclear <= maxUnclear && !w.fail(below, w.fault("read", below, l.err)) {
			return false
		}
	}
	if unclear > maxUnclear {
		return w.fail(dir, w.fault("list", dir, fmt.Errorf("%d more entries cannot be used either", unclear-maxUnclear)))
	}
	return true
}

// found yields the file, or the members if it is an archive.
func (w *remoteWalk) found(f ingest.File) bool {
	if isArchive(f.Path) {
		if w.packed == nil {
			w.packed = make(map[string]struct{})
		}
		w.packed[f.Path] = struct{}{}
		return !w.mayOpen(f) || w.archive(f)
	}
	return w.yield(f, nil)
}

// follow looks at what the link at that path leads to. A link that leads to
// nothing, and one that an error keeps from being looked at, come back with an
// error; it is not ok when the walk should pass over it.
func (w *remoteWalk) follow(below string, l listed) (listed, bool) {
	name := l.name
	err := w.pool.with(w.ctx, 0, func(c client) (err error) {
		l, err = c.stat(w.ctx, below)
		return err
	})
	l.name = name
	switch {
	case w.ctx.Err() != nil:
		return l, false // and the next look at ctx ends the walk
	case errors.Is(err, fs.ErrNotExist):
		l.err = errors.New("the link leads to nothing, or to a folder; such are not followed on a server: make the folder a source of its own, or ignore the link")
	case err != nil:
		l.err = err
	case l.kind == directory:
		l.err = errors.New("it is a link to a folder, which is not followed on a server: make the folder a source of its own, or ignore the link")
	case l.kind == link:
		l.kind = regular // a server that does not tell any more is asked for the file
	}
	return l, true
}

func (w *remoteWalk) fail(path string, err error) bool {
	w.failed = true
	if path == "" {
		path = "."
	}
	return w.yield(ingest.File{Source: w.Source, Path: path, Size: -1}, err)
}

func (w *remoteWalk) over() bool {
	w.yield(ingest.File{Source: w.Source}, context.Cause(w.ctx))
	return false
}

package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/fsnotify/fsnotify"

	"penstock/ingest"
)

// ErrNotWatched says that no folder of a Dir can be watched, so that it is only
// listed.
var ErrNotWatched = errors.New("new files are found by listing alone")

// Watch implements [ingest.Watcher] by what the system tells of folders. A file
// is hinted when it gets its name, by being created, linked or renamed, and
// whenever it is written to; that a writer has closed it is not told, see
// Settle. Each listing that begins while Watch runs watches the folders that it
// comes upon before it reads them, so that what was missed is made up for: a
// root that was not there, or was replaced, or events of which there were too
// many to be kept. Folders of network file systems, which do not tell of what
// others do, are left out, and so is what is beyond the system's limit; the
// Log is told of either once.
//
// The error wraps ErrNotWatched when no folder can be watched. A Dir is watched
// by one caller at a time.
func (d *Dir) Watch(ctx context.Context, hint func(ingest.File)) error {
	if err := canWatch(); err != nil {
		return err
	}
	notify, err := fsnotify.NewWatcher()
	if errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("watch folders: %w: %w: the user that runs penstock has fs.inotify.max_user_instances in use, or too many files open; raise the limit (sysctl, ulimit -n)", err, ErrNotWatched)
	}
	if err != nil {
		return fmt.Errorf("watch folders: %w: %w", err, ErrNotWatched)
	}
	w := &watch{dir: d, notify: notify, folders: make(map[string]identity), far: make(map[uint64]string)}
	var drained sync.WaitGroup
	drained.Go(w.drain)
	defer drained.Wait()
	defer func() { _ = notify.Close() }() // nothing is lost by it
	if !d.watch.CompareAndSwap(nil, w) {
		return errors.New("the folders are watched already")
	}
	defer d.watch.Store(nil)

	start := newWalk(ctx, d, d.site.Load(), func(ingest.File, error) bool { return ctx.Err() == nil })
	start.foldersOnly = true
	for i := range start.site.roots {
		if !start.list(&start.site.roots[i]) {
			break
		}
	}
	if err := w.nothing(); err != nil {
		return err
	}
	return w.run(ctx, hint)
}

// A watch is what a Dir hears of its folders.
type watch struct {
	dir    *Dir
	notify *fsnotify.Watcher

	mu      sync.Mutex
	folders map[string]identity // that are watched, by path
	far     map[uint64]string   // by device, the name of its network file system, or ""
	told    [3]bool             // by reason
}

// Why a folder is not watched.
const (
	isFar = iota
	overLimit
	otherReason
)

// add watches the folder at path. One that is watched already may have been
// replaced by another, so the system is asked in any case.
func (w *watch) add(path string, id identity) {
	if filepath.Base(path) == "..." {
		return // to fsnotify this is no name
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	name, known := w.far[id.device()]
	if !known {
		name = networkOf(path)
		w.far[id.device()] = name
	}
	if name != "" {
		w.tell(isFar, "a folder on a network is not watched, only listed", path, errors.New(name))
		return
	}
	err := w.notify.Add(path)
	switch {
	case err == nil:
		w.folders[path] = id
		return
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fsnotify.ErrClosed):
	case errors.Is(err, syscall.ENOSPC):
		w.tell(overLimit, "there are more folders than the system lets one user watch; files in the others are found by listing alone: raise it with sysctl fs.inotify.max_user_watches=524288", path, err)
	default:
		w.tell(otherReason, "a folder cannot be watched, only listed", path, err)
	}
	delete(w.folders, path)
}

func (w *watch) tell(reason int, what, path string, err error) {
	if w.told[reason] {
		return
	}
	w.told[reason] = true
	w.dir.log.Warn("not all folders are watched", slog.String("source", w.dir.name), slog.String("why", what),
		slog.String("folder", ingest.EscapePath(path)), slog.Any("error", err))
}

// nothing returns an error when folders were found and none of them is watched.
func (w *watch) nothing() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.folders) == 0 && w.told[isFar] {
		return fmt.Errorf("the folders of %q are on a network file system, which does not tell of new files: %w", w.dir.name, ErrNotWatched)
	}
	return nil
}

// run passes on what the system tells until ctx ends.
func (w *watch) run(ctx context.Context, hint func(ingest.File)) error {
	var look *walk
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-w.notify.Events:
			if !ok {
				return fmt.Errorf("watch folders: the system tells no more: %w", ErrNotWatched)
			}
			if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
				w.forget(e.Name)
			}
			if e.Has(fsnotify.Create) || e.Has(fsnotify.Write) && !isArchive(e.Name) {
				if s := w.dir.site.Load(); look == nil || look.site != s {
					look = newWalk(ctx, w.dir, s, func(f ingest.File, err error) bool {
						if err == nil {
							hint(f)
						}
						return ctx.Err() == nil
					})
					look.unlinked = true // a listing knows whether the folder has another name
				}
				w.look(look, e.Name)
			}
		}
	}
}

// drain takes what goes wrong until the watching ends. fsnotify may hold its
// lock while it tells, so nothing that needs the lock may be done in between.
// Of events that were lost, the next listing brings files and folders.
func (w *watch) drain() {
	for err := range w.notify.Errors {
		w.dir.log.Debug("the system could not tell all of a folder", slog.String("source", w.dir.name), slog.Any("error", err))
	}
}

// look lists the file that has come to path, or the folder with all in it, by
// way of l.
func (w *watch) look(l *walk, path string) {
	folder, name := filepath.Split(path)
	w.mu.Lock()
	id, ok := w.folders[filepath.Clean(folder)]
	w.mu.Unlock()
	if _, given := l.site.given[id][name]; !ok || given {
		return
	}
	r := l.site.above(path)
	if r == nil {
		return
	}
	l.start(r)
	below := filepath.ToSlash(path[l.below:])
	if w.dir.tidier.isAside(below) || w.dir.ignore.match(below) {
		return
	}
	st, err := statPath(path, false)
	linked := err == nil && st.kind == link
	if linked {
		st, err = statPath(path, true)
	}
	if err != nil {
		return // gone, or for the listing to report
	}
	l.path, l.trail = append(l.path[:0], path...), l.trail[:0]
	l.found(path, below, st, linked, nil)
}

// above returns the root that the file at path lies in: the innermost.
func (s *site) above(path string) (in *root) {
	for i := range s.roots {
		r := &s.roots[i]
		if !r.file && strings.HasPrefix(path, r.join("")) && (in == nil || len(r.path) > len(in.path)) {
			in = r
		}
	}
	return in
}

// forget ends the watching of the folder that was at path, and of those in it:
// under another name they are other folders.
func (w *watch) forget(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.folders[path]; !ok {
		return
	}
	inside := path + string(filepath.Separator)
	for p := range w.folders {
		if p == path || strings.HasPrefix(p, inside) {
			_ = w.notify.Remove(p) // most likely gone already
			delete(w.folders, p)
		}
	}
}

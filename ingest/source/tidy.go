package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"sync"
	"time"

	"penstock/ingest"
)

// grounds is what a tidier works on: a folder here or on a server. Paths have
// slashes; they are below the source's root, or from the place's own root on
// when they begin with a slash. It may be used by several goroutines at once.
type grounds interface {
	// look tells the size and the modified time of the file at p, as exactly as
	// the place can. The error wraps fs.ErrNotExist when there is none.
	look(ctx context.Context, p string) (ingest.File, error)

	// rename gives the file at from the name to, in a folder that is there, and
	// never takes another file's place: the error wraps fs.ErrExist when to is
	// taken, fs.ErrNotExist when from is gone. The file keeps its modified time.
	// The error may be ErrChanged when the file is copied and changes meanwhile.
	rename(ctx context.Context, from, to string) error

	// remove removes the file at p. The error wraps fs.ErrNotExist when there
	// is none.
	remove(ctx context.Context, p string) error

	// makeDirs makes the folder at p, with those above it, unless it is there.
	// It may remember what it has made.
	makeDirs(ctx context.Context, p string) error
}

// A tidier does with files what an After says.
//
// A file goes in four steps: it is looked at, and left if it is not what was
// loaded; it is set aside under a name of its own in the same folder, where no
// further upload finds it; it is looked at again, and put back if it changed
// between; and then it is deleted, or given its name in the folder it goes to.
// Whatever breaks off between the steps leaves a file that is set aside. A
// listing that comes upon one has it put back, by restore, and the file is done
// again as one that the ledger knows. So nothing goes that was not loaded, and
// nothing is left behind.
type tidier struct {
	After
	source string // "" is no source of its own, and has nothing set aside

	mu      sync.Mutex
	aside   map[string]struct{}  // what is set aside by calls under way
	foreign map[string]time.Time // what others set aside, with when it was first seen
}

func newTidier(a After, source string) *tidier {
	return &tidier{After: a, source: source, aside: make(map[string]struct{})}
}

// done does what o asks for with the file f of that place, f being as it was
// when its bytes were fetched. What is no longer there is done, what changed is
// left, which an error that wraps ErrChanged tells. It may be called again.
func (t *tidier) done(ctx context.Context, at grounds, f ingest.File, o *ingest.Outcome) error {
	return t.do(ctx, at, f, t.deed(o))
}

func (t *tidier) do(ctx context.Context, at grounds, f ingest.File, d deed) error {
	if d == leave {
		return nil
	}
	switch err := unchanged(ctx, at, f.Path, f); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return wordDeed(d, f, err)
	}
	aside, err := asideName(t.source, f)
	if err != nil {
		return wordDeed(d, f, err)
	}
	t.hold(aside)
	defer t.release(aside)
	return wordDeed(d, f, t.finish(ctx, at, f, d, aside))
}

// finish is what do does once the file is to be set aside.
func (t *tidier) finish(ctx context.Context, at grounds, f ingest.File, d deed, aside string) error {
	if err := at.rename(ctx, f.Path, aside); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // someone took it away
		}
		return err
	}
	err := unchanged(ctx, at, aside, f)
	if err == nil {
		err = t.away(ctx, at, f, d, aside)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		// Someone took it away, or another, to whom it was one left behind, put it back.
		if _, back := at.look(ctx, f.Path); back == nil {
			return errReplaced
		}
		return nil
	}
	if back := t.putBack(ctx, at, aside, f); back != nil && errors.Is(err, ingest.ErrChanged) {
		err = back
	}
	return err
}

// away deletes the file that is set aside, or puts it where d says.
func (t *tidier) away(ctx context.Context, at grounds, f ingest.File, d deed, aside string) error {
	if d == discard {
		return at.remove(ctx, aside)
	}
	target := t.target(d, f, time.Now())
	if err := at.makeDirs(ctx, path.Dir(target)); err != nil {
		return notGone(err)
	}
	return renameFree(ctx, at, aside, target, f)
}

// notGone hides that an error is fs.ErrNotExist: of a folder that cannot be
// made it does not say that the file is gone.
func notGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New(err.Error())
	}
	return err
}

// isAside reports whether p is the name of a file that was set aside, which is
// not listed.
func (t *tidier) isAside(p string) bool {
	_, _, ok := asideOf(p)
	return ok && t.source != ""
}

// foreignFor is for how long a file that another source has set aside is left to
// that one. It takes a moment; for longer is what a source left behind whose
// name has changed since, or that is no more.
const foreignFor = time.Hour

// restore puts back the file at p, if isAside, and no call under way has set it
// aside. Whoever lists finds what was put back at its next listing.
func (t *tidier) restore(ctx context.Context, at grounds, p string) error {
	original, tag, ok := asideOf(p)
	if !ok || t.isBusy(p, tag) {
		return nil
	}
	err := t.putBack(ctx, at, p, ingest.File{Path: original})
	if err != nil {
		err = fmt.Errorf("put back %s, which was set aside when penstock was ended: %w", ingest.EscapePath(p), err)
	}
	return err
}

// isBusy reports whether the file at p, set aside by the source of that tag, may
// be so by a call under way.
func (t *tidier) isBusy(p, tag string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tag == asideTag(t.source) {
		_, busy := t.aside[p]
		return busy
	}
	const most = 1000
	since, seen := t.foreign[p]
	if !seen && len(t.foreign) >= most { // most of them went long ago, as they should
		maps.DeleteFunc(t.foreign, func(_ string, since time.Time) bool { return time.Since(since) >= 2*foreignFor })
	}
	switch {
	case !seen && len(t.foreign) < most:
		if t.foreign == nil {
			t.foreign = make(map[string]time.Time)
		}
		t.foreign[p] = time.Now()
		return true
	case !seen || time.Since(since) < foreignFor:
		return true
	}
	delete(t.foreign, p)
	return false
}

// putBack gives the file that is set aside its own name, or one like it when a
// new file has that name by now.
func (t *tidier) putBack(ctx context.Context, at grounds, aside string, f ingest.File) error {
	err := renameFree(ctx, at, aside, f.Path, f)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (t *tidier) hold(aside string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.aside[aside] = struct{}{}
}

func (t *tidier) release(aside string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.aside, aside)
}

// renameFree gives the file at from the name to, or the first free one like it.
func renameFree(ctx context.Context, at grounds, from, to string, f ingest.File) error {
	const most = 1000 // versions of one file in one second
	err := at.rename(ctx, from, to)
	for n := 1; n < most && errors.Is(err, fs.ErrExist); n++ {
		err = at.rename(ctx, from, freeName(to, f, time.Now(), n))
	}
	return err
}

// errReplaced says of a file that it is not the one that was loaded.
var errReplaced = fmt.Errorf("it is another by now, and left: %w", ingest.ErrChanged)

// unchanged returns nil when the file at p is still what was loaded as f, and
// ErrChanged when it is not. What cannot be told is another error: a file that
// took the other's place within the step of the clock would go unread.
func unchanged(ctx context.Context, at grounds, p string, f ingest.File) error {
	now, err := at.look(ctx, p)
	if err != nil {
		return err
	}
	if now.Size != f.Size {
		return errReplaced
	}
	if step := max(now.Precision, f.Precision); step > ingest.TwoSeconds || now.Precision == ingest.Unknown || f.Precision == ingest.Unknown {
		return errors.New("its modified time is not told to the second, so it could not be told from another that took its place meanwhile: keep the files of this source, or have the server tell times exactly (MDTM, MLSD)")
	}
	if !ingest.SameModified(now.Modified, now.Precision, f.Modified, f.Precision) {
		return errReplaced
	}
	return nil
}

func wordDeed(d deed, f ingest.File, err error) error {
	if err == nil {
		return nil
	}
	what := map[deed]string{discard: "delete", putAway: "move", setApart: "move to quarantine"}[d]
	hint := ""
	if errors.Is(err, fs.ErrPermission) {
		hint = ": give the user that penstock runs or logs in as the right to rename and delete there, or keep the files (after: {do: keep})"
	}
	return fmt.Errorf("%s %s: %w%s", what, ingest.EscapePath(f.Path), err, hint)
}

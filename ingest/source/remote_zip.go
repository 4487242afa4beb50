package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"penstock/ingest"
	"penstock/ingest/source/shelf"
)

// A zip archive on a server is fetched whole into a file of this machine, and
// its members are files of their own, read from there. The copy is kept as long
// as the archive stays as it is, so that listing it again and fetching from it
// asks nothing of the server.
const (
	// keptBytes is how much of copies is kept on this machine, and keptShare of how
	// much there is room for, if that is more: the members of many archives may be
	// fetched in turn, and each would be fetched again for each of them.
	keptBytes = 2 << 30
	keptShare = 4 // a quarter

	// keptGone is for how long the copy is kept of an archive that is not listed
	// any more: members of it may still wait to be fetched.
	keptGone = time.Hour

	// lookAgain is after what time an archive whose copy had to make room is
	// fetched once more to list it, although it has not changed: one of its
	// members may have been marked to be taken up again.
	lookAgain = time.Hour
)

// errListed says that an archive need not be listed now.
var errListed = errors.New("its members were listed a while ago")

// copies has the archives of a Remote.
type copies struct {
	remote *Remote
	reader *Dir // reads the copies

	mu    sync.Mutex
	shelf *shelf.Shelf // where the copies are; nil before the first
	named int          // how many names were given there
	kept  int64        // bytes there
	tick  int
	known map[string]*copied // by the archive's path on the server
	gone  time.Duration      // keptGone
}

// A copied is one archive, and its copy.
type copied struct {
	mu     sync.Mutex  // held while it is fetched
	listed ingest.File // as the listing had it when it was fetched
	file   ingest.File // as it was fetched

	// settled says that it was fetched well after it was last written to, so that
	// its size and time tell it from what takes its place.
	settled bool

	// Under copies.mu.
	place   string // where the copy is; "" when it had to make room
	fetched time.Time
	seen    time.Time // in a listing, or when it was fetched
	used    int
}

// shelfPrefix begins the names of the folders where copies are.
const shelfPrefix = "penstock-archives-"

func newCopies(r *Remote) (*copies, error) {
	shelf.Sweep(r.Spool, shelfPrefix)
	reader, err := NewDir(Options{Source: r.Source, Match: r.Match, Ignore: r.Ignore})
	return &copies{remote: r, reader: reader, known: make(map[string]*copied), gone: keptGone}, err
}

// open returns the archive f, as it was listed, or, with a size of -1, whatever
// is there under its path, and how the server had it when it was fetched. It is
// the caller's until it is released. The error is errListed when it is to be
// listed only, and need not be.
func (cs *copies) open(ctx context.Context, f ingest.File, listing bool) (*archive, ingest.File, error) {
	z := cs.lock(f.Path)
	defer z.mu.Unlock()
	same := f.Size < 0 || z.settled && f.Size == z.listed.Size && (f.Modified == z.listed.Modified || ingest.SameModified(f.Modified, f.Precision, z.listed.Modified, z.listed.Precision))
	if same {
		if a, err := cs.acquire(z); a != nil || err != nil {
			return a, z.file, err
		}
		if listing && !z.fetched.IsZero() && time.Since(z.fetched) < lookAgain {
			return nil, ingest.File{}, errListed
		}
	}
	cs.drop(z)
	if err := cs.fetch(ctx, f, z); err != nil {
		cs.mu.Lock()
		delete(cs.known, f.Path)
		cs.mu.Unlock()
		return nil, ingest.File{}, err
	}
	a, err := cs.acquire(z)
	if a == nil && err == nil {
		err = ingest.ErrChanged // the copy had to make room at once
	}
	return a, z.file, err
}

// lock returns what is known of the archive at path, with its lock held.
func (cs *copies) lock(path string) *copied {
	for {
		cs.mu.Lock()
		z := cs.known[path]
		if z == nil {
			z = new(copied)
			cs.known[path] = z
		}
		cs.mu.Unlock()
		z.mu.Lock()
		cs.mu.Lock()
		current := cs.known[path] == z
		cs.mu.Unlock()
		if current {
			return z
		}
		z.mu.Unlock() // it was forgotten meanwhile
	}
}

// acquire opens the copy of z, if there is one.
func (cs *copies) acquire(z *copied) (*archive, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if z.place == "" {
		return nil, nil
	}
	cs.tick++
	z.used = cs.tick
	return cs.reader.archives.acquire(z.place)
}

// fetch makes a copy.
func (cs *copies) fetch(ctx context.Context, f ingest.File, z *copied) error {
	var c ingest.Content
	if err := cs.remote.Fetch(ctx, f, &c); err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // it was read, or what failed is told
	var in io.Reader = c.Stream
	if c.Stream == nil {
		in = bytes.NewReader(c.Data)
	}
	place, err := cs.name()
	if err != nil {
		return err
	}
	if err := writeCopy(place, in); err != nil {
		_ = os.Remove(place) // it is not whole
		return err
	}
	z.listed, z.file = f, c.File
	z.settled = cs.rests(ctx, f, &c)
	if f.Size < 0 {
		z.listed = c.File
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.tick++
	z.place, z.fetched, z.used = place, time.Now(), cs.tick
	z.seen = z.fetched
	cs.kept += z.file.Size
	cs.makeRoom(z)
	return nil
}

// rests reports whether c, which was fetched of f, was last written to well
// before. Where the listing tells a time of another zone, or to the minute, the
// server is asked.
func (cs *copies) rests(ctx context.Context, f ingest.File, c *ingest.Content) bool {
	const young = 2 * time.Second
	before := c.Fetched - young.Microseconds()
	if f.Precision == ingest.Unknown || f.Modified+int64(f.Precision) < before {
		return true
	}
	if f.Precision <= ingest.Second {
		return false
	}
	var now listed
	err := cs.remote.pool.with(ctx, 0, func(cl client) (err error) {
		now, err = cl.stat(ctx, f.Path)
		return err
	})
	return err == nil && now.size == c.File.Size && now.precision != ingest.Unknown && now.precision <= ingest.Second && now.modified+int64(now.precision) < before
}

// name is a place for one copy more.
func (cs *copies) name() (string, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.shelf == nil {
		made, err := shelf.New(cs.remote.Spool, shelfPrefix)
		if err != nil {
			return "", spoolFault(err)
		}
		cs.shelf = made
	}
	cs.named++
	return filepath.Join(cs.shelf.Dir, fmt.Sprintf("%d.zip", cs.named)), nil
}

func writeCopy(place string, in io.Reader) (err error) {
	file, err := os.OpenFile(place, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return spoolFault(err)
	}
	defer func() {
		if closed := file.Close(); err == nil && closed != nil {
			err = spoolFault(closed)
		}
	}()
	if _, err := io.Copy(&spoolWriter{file: file}, in); err != nil {
		return err
	}
	return nil
}

// makeRoom removes the copies that were not used for longest, but for that of
// the one, until no more are left than there is room for. Who reads one of them
// reads on.
func (cs *copies) makeRoom(but *copied) {
	if cs.kept <= keptBytes {
		return
	}
	room := max(keptBytes, roomIn(cs.shelf.Dir)/keptShare)
	for cs.kept > room {
		var oldest *copied
		for _, z := range cs.known {
			if z != but && z.place != "" && (oldest == nil || z.used < oldest.used) {
				oldest = z
			}
		}
		if oldest == nil {
			return
		}
		cs.remove(oldest)
	}
}

// remove removes the copy of z. It is called with the lock held.
func (cs *copies) remove(z *copied) {
	if z.place == "" {
		return
	}
	cs.reader.archives.forget(z.place)
	_ = os.Remove(z.place) // close removes what is left
	cs.kept -= z.file.Size
	z.place = ""
}

func (cs *copies) drop(z *copied) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.remove(z)
}

// forget removes the copy at place of the archive at path, which went away. One
// that has come since stays.
func (cs *copies) forget(path, place string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if z := cs.known[path]; z != nil && z.place == place {
		cs.remove(z)
		delete(cs.known, path)
	}
}

// listed notes which archives were in a listing that came to its end, and
// forgets those that were in none for long.
func (cs *copies) listed(seen map[string]struct{}) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	now := time.Now()
	for path, z := range cs.known {
		if _, ok := seen[path]; ok {
			z.seen = now
		} else if !z.seen.IsZero() && now.Sub(z.seen) >= cs.gone && z.mu.TryLock() { // nobody fetches it
			cs.remove(z)
			delete(cs.known, path)
			z.mu.Unlock()
		}
	}
}

// has reports whether an archive of that path was fetched.
func (cs *copies) has(path string) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	_, ok := cs.known[path]
	return ok
}

func (cs *copies) close() error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, z := range cs.known {
		cs.remove(z)
	}
	if cs.shelf == nil {
		return nil
	}
	last := cs.shelf
	cs.shelf = nil
	return last.Close()
}

// archive lists the members of the archive f.
func (w *remoteWalk) archive(f ingest.File) bool {
	reader := w.copies.reader
	a, _, err := w.copies.open(w.ctx, f, true)
	switch {
	case w.ctx.Err() != nil:
		return w.over()
	case errors.Is(err, errListed), errors.Is(err, fs.ErrNotExist):
		return true
	case err != nil:
		return w.fail(f.Path, w.fault("open", f.Path, err))
	}
	defer reader.archives.release(a)
	ended := errors.New("ended")
	err = a.each(func(at int64, m *member) error {
		if w.ctx.Err() != nil {
			w.over()
			return ended
		}
		name := string(m.name)
		if reader.ignores(f.Path, m) || len(w.match) > 0 && !w.match.match(name) && !w.match.match(f.Path+"!"+name) {
			return nil
		}
		if last, err := a.isLast(at, m); err != nil || !last {
			return err
		}
		path := f.Path + "!" + name
		var more bool
		if k := m.kind(); k != regular {
			more = w.fail(path, w.fault("read", path, fmt.Errorf("it is a %s, %w", k, ErrNotRegular)))
		} else {
			more = w.yield(reader.member(path, m), nil)
		}
		if !more {
			return ended
		}
		return nil
	})
	if errors.Is(err, ended) {
		return false
	}
	return err == nil || w.fail(f.Path, w.fault("list", f.Path, err))
}

// archiveOf is the path of the archive that holds the member at path, and false
// when path is that of no member of an archive that was listed.
func (r *Remote) archiveOf(path string) (string, bool) {
	for i := 0; ; i++ {
		before, _, ok := splitMember(path, i)
		if !ok {
			return "", false
		}
		if i = len(before); r.copies.has(before) {
			return before, true
		}
	}
}

// memberOf opens the archive that the file of that path is a member of. Without
// an error and an archive, it is a file that merely looks like a member: unless
// it is sure, only archives that were listed count.
func (r *Remote) memberOf(ctx context.Context, path string, sure bool) (*archive, ingest.File, *member, error) {
	for i := 0; ; i++ {
		before, name, ok := splitMember(path, i)
		if !ok {
			return nil, ingest.File{}, nil, nil
		}
		i = len(before)
		if !sure && !r.copies.has(before) {
			continue
		}
		a, whole, err := r.copies.open(ctx, ingest.File{Source: r.Source, Path: before, Size: -1}, false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, ingest.File{}, nil, err
		}
		m, ok, err := a.lookup(name)
		if err == nil && !ok {
			err = fmt.Errorf("the archive has no such member: %w", fs.ErrNotExist)
		}
		if err != nil {
			r.copies.reader.archives.release(a)
			return nil, ingest.File{}, nil, err
		}
		return a, whole, m, nil
	}
}

// member is the File of the member of that path; without a path when it is that
// of no member. See memberOf.
func (r *Remote) member(ctx context.Context, path string, sure bool) (ingest.File, error) {
	a, _, m, err := r.memberOf(ctx, path, sure)
	if err != nil {
		return ingest.File{}, r.fault("find", path, err)
	}
	if a == nil {
		return ingest.File{}, nil
	}
	defer r.copies.reader.archives.release(a)
	return r.copies.reader.member(path, m), nil
}

// fetchMember fetches f if it is a member of an archive, and reports whether it
// is.
func (r *Remote) fetchMember(ctx context.Context, f ingest.File, c *ingest.Content, sure bool) (bool, error) {
	a, _, m, err := r.memberOf(ctx, f.Path, sure)
	if err != nil || a == nil {
		return err != nil, err
	}
	err = r.copies.reader.fetchMember(ctx, a, m, f, c)
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // without the name of the copy
	}
	return true, err
}

// memberDone is Done for a member of an archive, and reports whether f is one.
// The last member of an archive takes it along.
func (r *Remote) memberDone(ctx context.Context, f ingest.File, o *ingest.Outcome) (bool, error) {
	a, whole, m, err := r.memberOf(ctx, f.Path, false)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // it has gone already
	}
	if err != nil || a == nil {
		return err != nil, err
	}
	reader := r.copies.reader
	defer reader.archives.release(a)
	below := strings.TrimSuffix(f.Path, "!"+string(m.name))
	deed := r.tidier.deed(o)
	if deed == leave || m.size != f.Size || m.modified != f.Modified || reader.ignores(below, m) {
		return true, nil
	}
	last, deed, err := reader.markDone(a, below, m, deed)
	if err != nil || !last {
		return true, err
	}
	if err := r.tidier.do(ctx, r.yard, whole, deed); err != nil && !errors.Is(err, ingest.ErrChanged) {
		return true, err
	}
	reader.packed.mu.Lock()
	delete(reader.packed.part, a.path)
	reader.packed.mu.Unlock()
	r.copies.forget(below, a.path)
	return true, nil
}

package ingest

import (
	"sync"
	"time"
)

// underWay is the files of a pipeline that polls which are queued or worked
// on, so that none is taken twice.
type underWay struct {
	known *memory // which numbers files
	began time.Time

	mu     sync.Mutex
	files  map[uint64]*flight
	listed int // of these, which a listing brought
}

// A flight is a file that is queued or worked on.
type flight struct {
	key, version uint64 // as memory has them
	modified     int64
	since        time.Duration // when it was queued, after the beginning
	listed       bool
	coarse       bool  // a newer one of its size may be listed just as it was
	kept         bool  // the archive has it
	stored       bool  // only the source is still to be told
	loading      bool  // in parts, which takes as long as it takes
	again        *File // as a hint says that it has become since
}

func newUnderWay(known *memory) *underWay {
	return &underWay{known: known, began: time.Now(), files: make(map[uint64]*flight)}
}

// has reports whether a file is queued or worked on. Of one that is hinted to
// have changed since it keeps the hint.
func (u *underWay) has(s *sighting) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	f, ok := u.files[u.known.keyOf(s.Path)]
	if ok && s.kind == hinted && f.version != u.known.versionOf(&s.File) {
		again := s.File
		f.again = &again
	}
	return ok
}

// begin reports whether the file was not there already.
func (u *underWay) begin(r *reference) bool {
	f := &flight{key: u.known.keyOf(r.Path), version: u.known.versionOf(&r.File), modified: r.Modified, since: time.Since(u.began), listed: r.listed,
		coarse: r.Precision == Unknown || r.Precision > TwoSeconds}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.files[f.key] != nil {
		return false
	}
	u.files[f.key] = f
	if f.listed {
		u.listed++
	}
	return true
}

// of returns what is known of a file; nil when it is not there.
func (u *underWay) of(path string) *flight {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.files[u.known.keyOf(path)]
}

// kept notes that the archive has the file; stored, that the ledger has it.
func (u *underWay) kept(path string) { u.note(path, func(f *flight) { f.kept = true }) }

func (u *underWay) stored(path string) { u.note(path, func(f *flight) { f.stored = true }) }

func (u *underWay) note(path string, what func(*flight)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if f := u.files[u.known.keyOf(path)]; f != nil {
		what(f)
	}
}

// spooled is how many files the archive has, and the ledger not yet.
func (u *underWay) spooled() (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range u.files {
		if f.kept && !f.stored {
			n++
		}
	}
	return n
}

// awaited reports whether a file that a listing brought is there, and the ledger
// has it not yet.
func (u *underWay) awaited() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range u.files {
		if f.listed && !f.stored {
			return true
		}
	}
	return false
}

// longest is for how long the file has been there that has waited longest for
// the ledger; 0 when there is none.
func (u *underWay) longest() time.Duration {
	return u.since(func(f *flight) bool { return !f.stored })
}

// lag is the same of the files that are not being loaded in parts.
func (u *underWay) lag() time.Duration {
	return u.since(func(f *flight) bool { return !f.stored && !f.loading })
}

// since is for how long the first of some files has been there.
func (u *underWay) since(of func(*flight) bool) time.Duration {
	now := time.Since(u.began)
	u.mu.Lock()
	defer u.mu.Unlock()
	since := now
	for _, f := range u.files {
		if of(f) {
			since = min(since, f.since)
		}
	}
	return now - since
}

// end takes the file out, and returns what it has become since, if that is
// known. idle says that no file is left which a listing brought, since just now,
// or none at all.
func (u *underWay) end(path string) (again *File, idle bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := u.known.keyOf(path)
	f := u.files[key]
	if f == nil {
		return nil, false
	}
	delete(u.files, key)
	if f.listed {
		u.listed--
	}
	return f.again, u.listed == 0 && (f.listed || len(u.files) == 0)
}

// state returns how many files there are, how many of them a listing brought,
// and when the oldest was modified, or otherwise if there is none.
func (u *underWay) state(otherwise int64) (n, listed int, oldest int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	oldest = otherwise
	for _, f := range u.files {
		oldest = min(oldest, f.modified)
	}
	return len(u.files), u.listed, oldest
}

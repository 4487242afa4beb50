package ingest

import (
	"encoding/binary"
	"hash/maphash"
	"maps"
	"sync"
	"time"
)

// A memory is what a pipeline that polls knows of the files that it has listed,
// so that a folder of old files costs a listing and no more. A file is known
// by two numbers of 64 bits, which take in its path, size and time under seeds
// of this run: whether all of them agree is as good as certain, and a path
// takes 24 bytes however long it is.
//
// Of a source listed once it remembers nothing, and files is nil.
type memory struct {
	tidies  bool  // the source moves or deletes what is done
	whole   bool  // the last listing was
	newest  int64 // when the newest file that was listed was modified, but for those from the future
	key     maphash.Seed
	version maphash.Seed

	mu      sync.Mutex
	began   time.Time
	files   map[uint64]remembered
	most    int // that files ever held
	listing uint16
}

// remembered is what is known of one file as it was listed.
type remembered struct {
	version uint64
	until   uint32 // seconds since began up to which the ledger need not be asked
	listing uint16 // the last that had it
	tries   uint8  // how often the source was told, and has the file all the same
	done    bool   // the source was told what became of it
	waits   bool   // that was of a file with channels that wait for an answer
}

// The ledger is asked anew about a file that it knew after this time, less up
// to a quarter of it, so that not all are asked about at a time. A person may
// have marked it as due.
const askedAnew = 10 * time.Minute

// maxRemembered bounds the memory to some 60 MB. The ledger is asked about
// further files at every listing.
const maxRemembered = 1 << 20

func newMemory(src Source, polls bool) *memory {
	m := &memory{key: maphash.MakeSeed(), version: maphash.MakeSeed(), began: time.Now()}
	if polls {
		m.files = make(map[uint64]remembered)
	}
	if t, ok := src.(Tidier); ok {
		m.tidies = t.Tidies()
	}
	return m
}

// keyOf is the number that a path is known by.
func (m *memory) keyOf(path string) uint64 { return maphash.String(m.key, path) }

// versionOf is the number that a file is known by as it was listed.
func (m *memory) versionOf(f *File) uint64 {
	var b [32]byte
	binary.LittleEndian.PutUint64(b[0:], maphash.String(m.version, f.Path))
	binary.LittleEndian.PutUint64(b[8:], uint64(f.Size))
	binary.LittleEndian.PutUint64(b[16:], uint64(f.Modified))
	binary.LittleEndian.PutUint64(b[24:], uint64(f.Precision))
	return maphash.Bytes(m.version, b[:])
}

// fresh reports whether nothing need be asked about a file, and notes that it
// is there.
func (m *memory) fresh(s *sighting) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.kind == listed && s.Modified <= Micros(time.Now()) { // else a broken clock would outdo all others for years
		m.newest = max(m.newest, s.Modified)
	}
	key := m.keyOf(s.Path)
	r, ok := m.files[key]
	if !ok {
		return false
	}
	r.listing = m.listing
	m.files[key] = r
	return r.version == m.versionOf(&s.File) && m.now() < r.until
}

// knows reports whether the ledger knew a file as it is now, however long ago
// that was.
func (m *memory) knows(f File) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.files[m.keyOf(f.Path)]
	return ok && r.version == m.versionOf(&f)
}

// remember notes that the ledger knows a file as it was listed, and reports
// whether that is news.
func (m *memory) remember(f File) bool {
	if m.files == nil {
		return true
	}
	version := m.versionOf(&f)
	return m.set(m.keyOf(f.Path), version, func(r *remembered) { r.until = m.askAgain(version) })
}

// askAgain is when the ledger is to be asked anew about a file, of that version.
func (m *memory) askAgain(version uint64) uint32 {
	spread := version % uint64(askedAnew/4/time.Second)
	return m.now() + uint32(askedAnew/time.Second) - uint32(spread)
}

// untidied reports whether a file that the ledger has in the given state is
// still there although the source would have tidied it away, had it been told.
func (m *memory) untidied(f File, s State) bool {
	if !m.tidies || s != Loaded && s != Duplicate && s != Quarantined {
		return false
	}
	if m.files == nil {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.files[m.keyOf(f.Path)]
	return !ok || !r.done || r.version != m.versionOf(&f)
}

// tidied notes that the source was told what became of a file. If it is still
// there as it was, that is as it should be, unless it waits for an answer: once
// that is given there is more to tell. Where times are told to the minute it may
// also be another one that came in its place since: it is done again after a
// while, which finds out.
func (m *memory) tidied(f *flight, o *Outcome) {
	if !m.tidies {
		return
	}
	held := o.State == Held || o.State == Known && o.Standing == Held
	waits := o.Shape != nil || o.Waits || o.Receipt.Cells.Withheld > 0
	if f.coarse && !held && !waits {
		m.notTidied(f)
		return
	}
	m.set(f.key, f.version, func(r *remembered) { r.done, r.waits, r.tries = !held, waits, 0 })
}

// notTidied notes that the source could not be told. The file is let alone for
// a while, longer each time, up to ten minutes.
func (m *memory) notTidied(f *flight) {
	if m.tidies {
		m.set(f.key, f.version, func(r *remembered) {
			r.tries = min(r.tries+1, 7)
			r.until = m.now() + min(uint32(5)<<r.tries, uint32(askedAnew/time.Second))
		})
	}
}

// letAlone notes that the source is told of a file when the ledger is asked about
// it next.
func (m *memory) letAlone(f *flight) {
	m.set(f.key, f.version, func(r *remembered) { r.until = m.askAgain(f.version) })
}

// set changes what is known of a file, and reports whether nothing was of the
// file as it is now.
func (m *memory) set(key, version uint64, change func(*remembered)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.files[key]
	if !ok && len(m.files) >= maxRemembered {
		return true
	}
	news := !ok || r.version != version
	if news {
		r = remembered{version: version}
	}
	r.listing = m.listing
	change(&r)
	m.files[key] = r
	m.most = max(m.most, len(m.files))
	return news
}

// askAnew has the ledger asked about every file when it is listed next.
func (m *memory) askAnew() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, r := range m.files {
		r.until, r.done = 0, r.done && !r.waits
		m.files[key] = r
	}
}

// sweep forgets the files that are gone: those that a whole listing did not have,
// and, of one in which a part is missing, those of which the ledger were to be
// asked anyway. A listing that broke off tells nothing.
func (m *memory) sweep(broke bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !broke {
		now := m.now()
		maps.DeleteFunc(m.files, func(_ uint64, r remembered) bool {
			return r.listing != m.listing && (m.whole || r.until <= now)
		})
	}
	if len(m.files) < m.most/4 { // a map never shrinks
		files := make(map[uint64]remembered, len(m.files))
		maps.Copy(files, m.files)
		m.files, m.most = files, len(files)
	}
	m.listing++
}

func (m *memory) now() uint32 { return uint32(time.Since(m.began) / time.Second) }

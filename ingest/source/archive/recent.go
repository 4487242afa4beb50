package archive

import (
	"crypto/sha256"

	"penstock/ingest"
)

// recent remembers of paths what was kept of them last. It forgets those that
// have not come for long.
type recent struct{ now, before map[[16]byte]remembered }

type remembered struct {
	sum   ingest.Digest
	place ingest.Place
}

// maxRecent is how many paths are remembered at least, some 100 bytes each.
const maxRecent = 20_000

func recentKey(path string) (key [16]byte) {
	sum := sha256.Sum256([]byte(path))
	copy(key[:], sum[:])
	return key
}

// find returns where the path's bytes are, if these are what was kept last.
func (r *recent) find(path string, sum ingest.Digest) (ingest.Place, bool) {
	key := recentKey(path)
	known, ok := r.now[key]
	if !ok {
		known, ok = r.before[key]
	}
	return known.place, ok && known.sum == sum
}

// forget forgets a path: what was kept of it last is not whole.
func (r *recent) forget(path string) {
	key := recentKey(path)
	delete(r.now, key)
	delete(r.before, key)
}

func (r *recent) put(path string, sum ingest.Digest, place ingest.Place) {
	if r.now == nil || len(r.now) >= maxRecent {
		r.now, r.before = make(map[[16]byte]remembered), r.now
	}
	r.now[recentKey(path)] = remembered{sum, place}
}

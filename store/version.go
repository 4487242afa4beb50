package store

import "penstock/ingest"

// A version is what the ledger has of a path: its newest generation.
type version struct {
	id         int64
	generation int32
	state      ingest.State
	sum        ingest.Digest
	number     int16 // first in its rank
	rankTime   int64
	beforeTime int64 // the rank time of the generation before, where the state is Due; firstInstant where there is none
	size       int64
	modified   int64
	precision  ingest.Precision
	trusted    bool
	run, chunk int32
	fetched    int64 // first
	rejects    int   // lines and cells that are kept
	waits      bool  // for an answer, if only with some channels
}

// adopted reports whether nobody has looked at the version's content.
func (v *version) adopted() bool { return v.sum == ingest.Digest{} }

// adoptedAs reports whether it is a version that is to be left alone, and f is
// that one still, by what there is to go by.
func (v *version) adoptedAs(f ingest.File) bool {
	return v.adopted() && v.state == ingest.Skipped && likeSkipped(v.size, v.modified, v.precision, f)
}

// readVersion reads a row of claimNewest, but for the number of the claim.
func readVersion(r *record) *version {
	v := &version{id: r.int8(), generation: r.int4(), state: ingest.State(r.text())}
	copy(v.sum[:], r.raw())
	v.number, v.rankTime = r.int2(), r.time()
	if v.beforeTime = firstInstant; !r.null() {
		v.beforeTime = r.time()
	}
	v.size = r.int8()
	if !r.null() {
		v.modified = r.time()
	}
	if !r.null() {
		v.precision = precisionOf(r.int4())
	}
	v.trusted, v.run, v.chunk = r.bool(), r.int4(), r.int4()
	v.fetched = r.time()
	v.rejects, v.waits = int(r.int8()), r.bool()
	return v
}

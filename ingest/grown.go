package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding"
	"fmt"
	"hash"
)

// A file that grew is fetched, decoded and stored as what it gained, where its
// source, its layout and the ledger allow it. Wherever one of them says
// ErrWhole, or the outcome is Whole, the file is taken whole, as any other.

// growthFrom is the size in bytes from which it is kept of a file by what it is
// carried on when it grows. Of smaller ones that is kept once they have grown:
// most never do, and reading such a file whole costs little.
const growthFrom = 64 << 10

// decodeGain decodes what a file gained into a span. Its error wraps ErrWhole
// where that cannot be read by itself.
func (w *worker) decodeGain(ctx context.Context, f *reference, have *provided) error {
	spans := len(w.batch.Spans)
	err := w.decodeGuarded(ctx, spans)
	if err == nil && w.batch.Spans[spans].State != Loaded {
		w.dropFrom(spans)
		err = ErrWhole // how it is refused is to be told of the file as a version
	}
	if err != nil {
		return err
	}
	c := w.content
	g, gained := c.Gain, c.Data[c.Gain.Seam:]
	if err := w.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(g.Of.Hashed); err != nil {
		w.dropFrom(spans)
		return fmt.Errorf("%w: another Go wrote the state of its hash", ErrWhole)
	}
	w.event.Bytes += int64(len(gained))
	s := &w.batch.Spans[spans]
	ended := s.GrowsAt - g.Of.At
	w.hash.Write(gained[:ended])
	s.Growth = &Growth{At: s.GrowsAt, Hashed: stateOf(w.hash), Whole: g.Of.Whole}
	w.hash.Write(gained[ended:])
	w.hash.Sum(s.Sum[:0])
	s.Growth.Sum = s.Sum
	before := append(g.Before, gained[:ended]...)
	s.Growth.Window = sha256.Sum256(before[max(0, len(before)-GrowthWindow):])
	s.Gained, s.Place, s.Arrived = g, have.place, f.arrived
	w.kept = w.kept || have.place != (Place{})
	return nil
}

// readWhole fetches all of a file, of which only the gain was there, and decodes
// that. The archive has the gain at the given place, and keeps it until the ledger
// has the whole: the source may not have the file any more.
func (w *worker) readWhole(ctx context.Context, f *reference, gain Place) error {
	whole := *f
	whole.growth, whole.grew = nil, true
	if w.isLarge(whole.toFetch()) {
		w.large.put(&largeFile{reference: whole, gain: gain})
		return nil
	}
	var have provided
	if err := w.fetchOwn(ctx, &whole, &have); err != nil {
		return err
	}
	if err := w.decode(ctx, &whole, &have); err != nil {
		return err
	}
	if gain != (Place{}) {
		w.gains = append(w.gains, gain)
	}
	return nil
}

// noteGrowth keeps on a span by what its file, which was read whole, is carried
// on when it grows.
func (w *worker) noteGrowth(s *Span) {
	last := w.last.buf
	if len(w.content.Data) > 0 { // else it was a stream
		last = w.content.Data
		w.hash.Reset()
		w.hash.Write(last)
	}
	s.Growth = &Growth{At: s.GrowsAt, Sum: s.Sum, Hashed: stateOf(w.hash), Whole: s.Fetched,
		Window: sha256.Sum256(last[max(0, len(last)-GrowthWindow):])}
}

// keepsGrowth reports whether it is to be kept of a file by what it is carried on.
func (w *worker) keepsGrowth(f *reference, size int64) bool {
	return (w.grower != nil || w.Grows) && (f.grew || size >= growthFrom)
}

// A grownFile is one of which what it gained could not be stored by itself.
type grownFile struct {
	reference
	gain Place // where the archive has that
}

// takeWhole takes files whole, and commits them.
func (w *worker) takeWhole(ctx context.Context, files []grownFile) error {
	gained := w.event
	if err := w.begin(ctx, gained.Chunk); err != nil {
		return err
	}
	if len(gained.Outcomes) == 0 { // then nobody was told of it
		w.event.Bytes, w.event.Fetch, w.event.Decode, w.event.Commit = gained.Bytes, gained.Fetch, gained.Decode, gained.Commit
	}
	for i := range files {
		f := &files[i]
		if err := w.taken(ctx, &f.reference, w.readWhole(ctx, &f.reference, f.gain)); err != nil {
			return err
		}
		if err := w.commitIfFull(ctx); err != nil {
			return err
		}
	}
	return w.commit(ctx)
}

// toTakeWhole leaves of the outcomes of the batch those that are final, and
// returns the files of the others.
func (w *worker) toTakeWhole(outcomes []Outcome) (final []Outcome, files []grownFile) {
	n := 0
	for i := range outcomes {
		o := &outcomes[i]
		if o.State == Whole {
			w.tellWhole(o.File, cmp.Or(o.Reason, "what it gained changes more in the ledger than itself"))
			files = append(files, grownFile{reference{File: o.File, arrived: w.batch.Spans[i].Arrived}, w.batch.Spans[i].Place})
			continue
		}
		if n < i {
			outcomes[n] = *o
		}
		n++
	}
	return outcomes[:n], files
}

// stateOf returns the state of a SHA-256.
func stateOf(h hash.Hash) []byte {
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err) // crypto/sha256 always can
	}
	return state
}

// A lastBytes keeps the last GrowthWindow bytes that are written to it.
type lastBytes struct{ buf []byte }

func (l *lastBytes) write(p []byte) {
	if len(p) >= GrowthWindow {
		l.buf = append(l.buf[:0], p[len(p)-GrowthWindow:]...)
		return
	}
	if l.buf = append(l.buf, p...); len(l.buf) > 4*GrowthWindow {
		l.buf = l.buf[:copy(l.buf, l.buf[len(l.buf)-GrowthWindow:])]
	}
}

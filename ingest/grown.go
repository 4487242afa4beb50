package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// A file that grew is fetched, decoded and stored as what it gained, where its
// source, its layout and the ledger allow it. Wherever one of them says
// ErrWhole, or the outcome is Whole, the file is taken whole, as any other.

// growthFrom is the size in bytes from which it is kept of a file by what it is
// carried on when it grows. Of smaller ones that is kept once they have grown:
// most never do, and reading such a file whole costs little.
const growthFrom = 64 << 10

// growerOf returns the source that fetches what files of s gain, nil if there is
// none.
func growerOf(s Source) Grower {
	for {
		if g, ok := s.(Grower); ok {
			return g
		}
		w, ok := s.(Wrapper)
		if !ok {
			return nil
		}
		s = w.Wrapped()
	}
}

// fetchBytes reads a file into c, or only what it gained.
func (r *run) fetchBytes(ctx context.Context, ref *reference, c *Content) error {
	c.Gain = nil
	g := ref.growth
	if g == nil {
		return r.Source.Fetch(ctx, ref.File, c)
	}
	if r.hashesAnew(g) {
		same, err := r.rehash(ctx, ref, c)
		if err != nil {
			return err
		}
		if !same {
			return r.Source.Fetch(ctx, ref.File, c)
		}
		g = ref.growth
	}
	err := r.grower.FetchGain(ctx, ref.File, g, c)
	if errors.Is(err, ErrWhole) {
		return r.Source.Fetch(ctx, ref.File, c)
	}
	return err
}

// keptWhole is how often all of a file that grows is archived: what it gained is
// of use only together with that.
const keptWhole = 24 * time.Hour

// carriedOn returns g where no more than what the file has gained is to be
// fetched, and kept by an archive, which then has the version. Else it returns nil.
func (r *run) carriedOn(g *Growth) *Growth {
	switch {
	case g == nil || r.grower == nil:
		return nil
	case r.Archive == nil, g.Place != (Place{}) && Micros(time.Now())-g.Whole < keptWhole.Microseconds() && !r.hashesAnew(g):
		return g
	}
	return nil
}

// hashesAnew reports whether all of a file is to be read again before it is
// carried on.
func (r *run) hashesAnew(g *Growth) bool {
	return r.Rehash > 0 && Micros(time.Now())-g.Whole > r.Rehash.Microseconds()
}

// rehash reads all of a file, and reports whether it still begins with what was
// read of it before. If so, that is noted in its growth.
func (r *run) rehash(ctx context.Context, ref *reference, c *Content) (same bool, err error) {
	if err := r.Source.Fetch(ctx, ref.File, c); err != nil {
		return false, err
	}
	h := sha256.New()
	var in io.Reader = bytes.NewReader(c.Data)
	if c.Stream != nil {
		in = c.Stream
	}
	n, err := io.CopyN(h, in, ref.growth.At)
	if err == nil {
		_, err = io.Copy(io.Discard, in) // so that Close tells whether it changed
	}
	if closed := c.Close(); err == nil || errors.Is(closed, ErrChanged) {
		err = closed
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	g := *ref.growth
	g.Whole = c.Fetched
	ref.growth = &g
	return n == g.At && bytes.Equal(stateOf(h), g.Hashed), nil
}

// stateOf returns the state of a SHA-256.
func stateOf(h hash.Hash) []byte {
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err) // crypto/sha256 always can
	}
	return state
}

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
	s.Gained, s.Place = g, have.place
	w.kept = w.kept || have.place != (Place{})
	return nil
}

// readWhole fetches all of a file, of which only the gain was there, and decodes
// that. The archive has the gain at the given place, and keeps it until the ledger
// has the whole: the source may not have the file any more.
func (w *worker) readWhole(ctx context.Context, f *reference, gain Place) error {
	whole := *f
	whole.growth, whole.grew = nil, true
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
	return w.grower != nil && (f.grew || size >= growthFrom)
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
	final = outcomes[:0]
	for i, o := range outcomes {
		if o.State == Whole {
			files = append(files, grownFile{reference{File: o.File}, w.batch.Spans[i].Place})
		} else {
			final = append(final, o)
		}
	}
	return final, files
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

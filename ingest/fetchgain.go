package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"time"
)

// How a file that grew is fetched: only what it gained, where its source, the
// archive and the time since all of it was read allow that. What becomes of it is
// in grown.go.

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

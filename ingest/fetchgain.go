package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
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
			r.tellWhole(ref.File, "what was read of it before is not the same any more")
			return r.Source.Fetch(ctx, ref.File, c)
		}
		g = ref.growth
	}
	err := r.grower.FetchGain(ctx, ref.File, g, c)
	if errors.Is(err, ErrWhole) {
		r.tellWhole(ref.File, err.Error())
		return r.Source.Fetch(ctx, ref.File, c)
	}
	return err
}

// keptWhole is how often all of a file that grows is archived: what it gained is
// of use only together with that.
const keptWhole = 24 * time.Hour

// carriedOn returns the growth of a file with that standing where no more than
// what the file has gained is to be fetched, and kept by an archive, which then has
// the version. Else it returns nil.
func (r *run) carriedOn(f File, s *Standing) *Growth {
	g, why := s.Growth, ""
	switch {
	case !s.Grew || !s.Take:
	case r.grower == nil:
		why = "the source sends files only whole"
	case g == nil:
		why = "the ledger does not have by what it is carried on: it was too small for that when it was loaded, or its rows depend on one another"
	case r.Archive == nil:
	case g.Place == (Place{}):
		why = "the archive does not have what was read of it before"
	case Micros(time.Now())-g.Whole >= keptWhole.Microseconds():
		why = "the archive is to have all of it once a day"
	case r.hashesAnew(g):
		why = "all of it is to be hashed again"
	}
	if why != "" {
		r.tellWhole(f, why)
		return nil
	}
	return g
}

// tellWhole tells who looks closely why all of a file is read that has grown.
func (r *run) tellWhole(f File, why string) {
	r.Log.Debug("a file that grew is taken whole", slog.String("source", r.name), slog.String("file", EscapePath(f.Path)), slog.String("why", why))
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

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/source"
	"penstock/ingest/source/archive"
	"penstock/store"
)

// again reads file versions of the ledger once more, from where their source
// has them. One goroutine uses it.
type again struct {
	store   *store.Store
	sources map[string]*places
	readers map[int32]ingest.Decoder // by recipe
	anew    map[int32]ingest.Decoder // likewise, of files that are loaded anew
	wanted  *reading                 // how files that are loaded anew are read; nil as they were
	content ingest.Content

	app      *app
	archives map[string]*archive.Archive // by folder; nil of those that are gone

	approved  []*format.Profile // those of the store
	recognise bool              // what is loaded anew is not to stay with the profile of the name that it has
}

func newAgain(a *app, s *store.Store, wanted *reading, approved []*format.Profile) *again {
	return &again{app: a, archives: make(map[string]*archive.Archive), store: s, wanted: wanted, approved: approved, sources: make(map[string]*places),
		readers: make(map[int32]ingest.Decoder), anew: make(map[int32]ingest.Decoder)}
}

func (g *again) close(a *app) {
	for _, at := range g.sources {
		at.close(a)
	}
	for _, kept := range g.archives {
		if kept != nil {
			_ = kept.Close() // nothing was written
		}
	}
}

// read appends the readings of v to b as one span. Loaded anew, v is read as
// is now wanted; else by the recipe that the ledger has for it. It wraps
// store.ErrBytesGone when the content that the ledger has the digest of is to
// be had no more.
func (g *again) read(ctx context.Context, v store.FileVersion, anew bool, b *ingest.Batch) error {
	decoder, err := g.decoder(ctx, &v, anew)
	if err != nil {
		return err
	}
	if kept := g.archiveOf(&v); kept != nil {
		err := g.readKept(ctx, kept, decoder, &v, b)
		if err == nil || ctx.Err() != nil {
			return err
		}
		a := g.app
		a.log.Debug("not to be had from the archive", slog.String("file", v.Display), slog.Any("error", err))
	}
	at, err := g.placesOf(&v)
	if err != nil {
		return err
	}
	return at.content(ctx, &v, func(dir *source.Dir, f ingest.File) error {
		if err := dir.Fetch(ctx, f, &g.content); err != nil {
			return err
		}
		g.content.FirstFetched = ingest.Micros(v.Fetched)
		return g.decode(ctx, decoder, &v, b)
	})
}

// decode appends the readings of what was fetched, if it is v.
func (g *again) decode(ctx context.Context, decoder ingest.Decoder, v *store.FileVersion, b *ingest.Batch) error {
	sum, err := decodeSummed(ctx, decoder, &g.content, b)
	if err != nil {
		return err
	}
	if sum != v.Sum {
		b.Drop()
		return fmt.Errorf("%w: its path has other content now", store.ErrBytesGone)
	}
	return nil
}

// archiveOf returns the archive that may have v's bytes; nil for none.
func (g *again) archiveOf(v *store.FileVersion) *archive.Archive {
	if v.Place == (ingest.Place{}) {
		return nil
	}
	kept, known := g.archives[v.Archive]
	if !known {
		var err error
		if kept, err = g.app.archiveOf(v); err != nil {
			g.app.log.Warn("the archive cannot be opened", slog.Any("error", err))
		}
		g.archives[v.Archive] = kept
	}
	return kept
}

// readKept is read from the archive.
func (g *again) readKept(ctx context.Context, kept *archive.Archive, decoder ingest.Decoder, v *store.FileVersion, b *ingest.Batch) error {
	if err := kept.Fetch(ctx, v.Place, &g.content); err != nil {
		return err
	}
	g.content.File = v.File()
	g.content.FirstFetched = ingest.Micros(v.Fetched)
	return g.decode(ctx, decoder, v, b)
}

// decodeSummed decodes c and returns the digest of all its bytes.
func decodeSummed(ctx context.Context, d ingest.Decoder, c *ingest.Content, b *ingest.Batch) (ingest.Digest, error) {
	if c.Stream == nil {
		return sha256.Sum256(c.Data), d.Decode(ctx, c, b)
	}
	spans, hash := len(b.Spans), sha256.New()
	stream := c.Stream
	c.Stream = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(stream, hash), stream}
	err := d.Decode(ctx, c, b)
	if err == nil {
		_, err = io.Copy(io.Discard, c.Stream)
	}
	if err = errors.Join(err, c.Close()); err != nil {
		for len(b.Spans) > spans {
			b.Drop()
		}
	}
	return ingest.Digest(hash.Sum(nil)), err
}

func (g *again) placesOf(v *store.FileVersion) (*places, error) {
	if at := g.sources[v.Source]; at != nil {
		return at, nil
	}
	at, err := openPlaces(v.Source, v.Root)
	if err == nil {
		g.sources[v.Source] = at
	}
	return at, err
}

func (g *again) decoder(ctx context.Context, v *store.FileVersion, anew bool) (ingest.Decoder, error) {
	if anew && g.wanted != nil {
		return g.newDecoder(ctx, v)
	}
	if d := g.readers[v.Recipe]; d != nil {
		return d, nil
	}
	recipe, err := g.store.Recipe(ctx, v.Recipe)
	if err != nil {
		return nil, err
	}
	set, settings, err := format.FromRecipe(recipe)
	if err != nil {
		return nil, err
	}
	d, err := format.NewDecoder(set, settings)
	if err == nil {
		g.readers[v.Recipe] = d
	}
	return d, err
}

// newDecoder reads as the flags want. What they leave open stays as it was: the
// profile of that name, as it is now, the zone, what is rejected, and the rows of
// the loggers table.
func (g *again) newDecoder(ctx context.Context, v *store.FileVersion) (ingest.Decoder, error) {
	if d := g.anew[v.Recipe]; d != nil {
		return d, nil
	}
	how := *g.wanted
	if how.zone == "" {
		how.zone = v.Zone
	}
	how.likeSource(v.Source)
	set, settings, err := how.profiles(g.approved...)
	if err != nil {
		return nil, err
	}
	if settings.Profile == "auto" && !g.recognise && set.ByName(v.Profile) != nil {
		settings.Profile = v.Profile
	}
	if v.Recipe != 0 {
		if err := g.keep(ctx, v.Recipe, &settings); err != nil {
			return nil, err
		}
	}
	d, err := format.NewDecoder(set, settings)
	if err == nil {
		g.anew[v.Recipe] = d
	}
	return d, err
}

// keep takes from a recipe what the flags do not say.
func (g *again) keep(ctx context.Context, id int32, s *format.Settings) error {
	recipe, err := g.store.Recipe(ctx, id)
	if err != nil {
		return err
	}
	_, before, err := format.FromRecipe(recipe)
	if err != nil {
		return nil //nolint:nilerr // another version of the decoder made it, which is a reason to load again
	}
	if s.Window.Past == 0 {
		s.Window.Past = before.Window.Past
	}
	if s.Window.Future == 0 {
		s.Window.Future = before.Window.Future
	}
	if s.MaxRejected.Share == rejectedShare {
		s.MaxRejected = before.MaxRejected
	}
	if s.Loggers == nil {
		s.Loggers = before.Loggers
	}
	return nil
}

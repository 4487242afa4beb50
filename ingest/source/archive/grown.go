package archive

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"penstock/ingest"
)

// A file that grew is kept as what it gained on the version before, and so on
// down to one that was kept whole. It is put together from the beginnings of
// these: of each, as much as the next one says.

// maxGains is how many versions a file may be put together from.
const maxGains = 100_000

// grown opens all bytes of a file that was kept as what it gained.
func (a *Archive) grown(e Entry) (io.ReadCloser, error) {
	parts := []part{{at: e.Place, begins: e.Begins}}
	for e.Base != (ingest.Place{}) {
		if len(parts) > maxGains {
			return nil, fmt.Errorf("reading %s from the archive: %w: it has gained on itself", ingest.EscapePath(e.File.Path), errMalformed)
		}
		r, base, err := a.find(e.Base)
		if err != nil {
			return nil, fmt.Errorf("what the file has gained on: %w", err)
		}
		r.close()
		if base.Begins > e.Begins || base.File.Path != e.File.Path {
			return nil, fmt.Errorf("reading %s from the archive: %w: it has not gained on what it says", ingest.EscapePath(e.File.Path), errMalformed)
		}
		e = base
		parts = append(parts, part{at: e.Place, begins: e.Begins})
	}
	slices.Reverse(parts)
	return &grownBody{archive: a, parts: parts}, nil
}

// A part is the bytes of a version from begins on.
type part struct {
	at     ingest.Place
	begins int64
}

// A grownBody reads the parts one after the other, each up to where the next
// begins.
type grownBody struct {
	archive *Archive
	parts   []part
	open    *body
	n       int64
}

func (g *grownBody) Read(p []byte) (int, error) {
	for {
		if len(g.parts) == 0 {
			return 0, io.EOF
		}
		if g.open == nil {
			r, _, err := g.archive.find(g.parts[0].at)
			if err != nil {
				return 0, err
			}
			g.open = newBody(r)
		}
		want := p
		if len(g.parts) > 1 {
			want = p[:min(int64(len(p)), g.parts[1].begins-g.n)]
		}
		if len(want) == 0 && len(p) > 0 {
			g.next()
			continue
		}
		n, err := g.open.Read(want)
		g.n += int64(n)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if len(g.parts) > 1 {
			return n, g.open.r.fault(fmt.Errorf("%w: a file has gained on more than it had", errMalformed))
		}
		g.next()
		if n > 0 {
			return n, nil
		}
	}
}

func (g *grownBody) next() {
	g.open.r.close()
	g.open, g.parts = nil, g.parts[1:]
}

func (g *grownBody) Close() error {
	if g.open != nil {
		g.next()
	}
	return nil
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/store"
)

// The ledger keeps of each source where its files were found: a folder a line,
// escaped. First those of the last replay, then, after an empty line, those of
// replays before it, the latest first.

// maxEarlier is how many folders of earlier replays are kept.
const maxEarlier = 16

// rootOf is the ledger's text for a replay of what is at paths. A file is found
// again through its folder.
func rootOf(paths []string) (string, error) {
	var roots []string
	for _, p := range paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return "", fmt.Errorf("finding %s: %w", ingest.EscapePath(p), err)
		}
		if st, err := os.Stat(abs); err == nil && !st.IsDir() {
			abs = filepath.Dir(abs)
		}
		if root := ingest.EscapePath(abs); !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	return strings.Join(roots, "\n"), nil
}

// rootsIn is the inverse of rootOf, escaped as there.
func rootsIn(text string) (now, earlier []string) {
	n, e, _ := strings.Cut(text, "\n\n")
	return lines(n), lines(e)
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// withEarlier adds to the roots of a replay those that the ledger had before.
func withEarlier(root, before string) string {
	now, _ := rootsIn(root)
	var earlier []string
	for _, r := range slices.Concat(rootsIn(before)) {
		if len(earlier) < maxEarlier && !slices.Contains(now, r) && !slices.Contains(earlier, r) {
			earlier = append(earlier, r)
		}
	}
	if len(earlier) == 0 {
		return root
	}
	return root + "\n\n" + strings.Join(earlier, "\n")
}

// rooted words where a source's files were found.
func rooted(root string) string {
	now, earlier := rootsIn(root)
	if len(now) == 0 {
		return ""
	}
	text := " in " + printable(strings.Join(now, ", "))
	if len(earlier) > 0 {
		text += ", before in " + printable(strings.Join(earlier, ", "))
	}
	return text
}

// places is where the files of a source may be found again.
type places struct {
	name string
	text string // of the ledger
	now  *source.Dir
	each []*source.Dir // one for each root of now and before; none where now is all there is
}

// openPlaces opens what is still there of a source's roots.
func openPlaces(name, text string) (*places, error) {
	p := &places{name: name, text: text}
	var err error
	if name == source.FileSource {
		p.now, err = source.NewDir(source.Options{})
		return p, err
	}
	now, earlier := rootsIn(text)
	if p.now, err = openRoots(name, now...); err != nil {
		return nil, err
	}
	if len(now)+len(earlier) < 2 {
		return p, nil
	}
	for _, r := range slices.Concat(now, earlier) {
		dir, err := openRoots(name, r)
		if err != nil {
			return nil, err
		}
		p.each = append(p.each, dir)
	}
	return p, nil
}

func openRoots(name string, roots ...string) (*source.Dir, error) {
	var there []string
	for _, r := range roots {
		r = ingest.UnescapePath(r)
		if _, err := os.Stat(r); err == nil {
			there = append(there, r)
		}
	}
	return source.NewDir(source.Options{Source: name}, there...)
}

func (p *places) close(a *app) {
	for _, dir := range append(p.each, p.now) {
		closeSource(a, dir)
	}
}

// locate finds the file of v as it is now: where it has the size and time that
// the ledger has of it, else where the last replay would find it. What lies in
// the folder of an earlier replay and is another file is not taken for it.
func (p *places) locate(ctx context.Context, v *store.FileVersion) (*source.Dir, ingest.File, error) {
	file, err := p.now.Locate(ctx, v.Path)
	if err == nil && sameFile(file, v) {
		return p.now, file, nil
	}
	for _, dir := range p.each {
		if f, err := dir.Locate(ctx, v.Path); err == nil && sameFile(f, v) {
			return dir, f, nil
		}
	}
	if err != nil {
		return nil, file, p.explain(ctx, err)
	}
	return p.now, file, nil
}

func sameFile(f ingest.File, v *store.FileVersion) bool {
	was := v.File()
	return f.Size == was.Size && ingest.SameModified(f.Modified, f.Precision, was.Modified, was.Precision)
}

// content calls read with each file at v's path until one has v's bytes: first
// where locate finds it. An error that wraps store.ErrBytesGone goes on to the
// next.
func (p *places) content(ctx context.Context, v *store.FileVersion, read func(*source.Dir, ingest.File) error) error {
	first, file, err := p.locate(ctx, v)
	if err == nil {
		err = p.explain(ctx, read(first, file))
	}
	if !errors.Is(err, store.ErrBytesGone) {
		return err
	}
	for _, dir := range p.each {
		f, missing := dir.Locate(ctx, v.Path)
		if dir == first || missing != nil {
			continue
		}
		if other := p.explain(ctx, read(dir, f)); !errors.Is(other, store.ErrBytesGone) {
			return other
		}
	}
	return err
}

// explain tells bytes that are gone, or not to be had, from a fault of ours.
func (p *places) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no such file%s", store.ErrBytesGone, cmp.Or(rooted(p.text), " any more"))
	case errors.Is(err, ingest.ErrChanged), errors.Is(err, source.ErrNotRegular):
		return fmt.Errorf("%w: %w", store.ErrBytesGone, err)
	}
	return err
}

package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"penstock/ingest"
)

// FetchGain implements [ingest.Grower]. Members of archives do not grow.
func (d *Dir) FetchGain(ctx context.Context, f ingest.File, of *ingest.Growth, c *ingest.Content) error {
	c.File, c.Data, c.Stream, c.Gain = f, c.Data[:0], nil, nil
	if err := ctx.Err(); err != nil {
		return err
	}
	c.Fetched = ingest.Micros(time.Now())
	if a, _, err := d.archived(f.Path); err != nil || a != nil {
		return orWhole(err)
	}
	place, err := d.place(f.Path)
	if err != nil {
		return err
	}
	file, err := openRegular(place)
	if err != nil {
		return fault("read", place, err)
	}
	defer file.Close()
	st, err := statFile(file)
	switch {
	case err != nil:
	case st.kind != regular:
		err = fmt.Errorf("it is a %s, %w", st.kind, ErrNotRegular)
	default:
		err = readGain(c, file, st.size, of)
	}
	if err != nil {
		c.Data, c.Gain = c.Data[:0], nil
		return fault("read", place, err)
	}
	after, err := statFile(file)
	if err == nil && after != st {
		err = ingest.ErrChanged
	}
	if err != nil {
		c.Data, c.Gain = c.Data[:0], nil
		return fault("read", place, err)
	}
	c.File.Size, c.File.Modified, c.File.Precision = st.size, st.modified, ingest.Micro
	return nil
}

func orWhole(err error) error {
	if err == nil {
		err = fmt.Errorf("%w: it is a member of an archive", ingest.ErrWhole)
	}
	return err
}

// readGain reads into c the head of a file of the given size and what comes after
// of.At, in as few reads as it takes.
func readGain(c *ingest.Content, file *os.File, size int64, of *ingest.Growth) error {
	window := min(of.At, ingest.GrowthWindow)
	if size <= of.At || size-of.At > ingest.SpoolAbove {
		return fmt.Errorf("%w: it had %d bytes and has %d", ingest.ErrWhole, of.At, size)
	}
	head := min(of.At, ingest.HeadOfGrown+ingest.GrowthWindow)
	c.Data = grow(c.Data, head+window+size-of.At)[:head]
	if _, err := file.ReadAt(c.Data, 0); err != nil {
		return shorter(err)
	}
	seam, err := ingest.SeamOf(c.Data, of)
	if err != nil {
		return err
	}
	c.Data = c.Data[:seam+window+size-of.At]
	if _, err := file.ReadAt(c.Data[seam:], of.At-window); err != nil {
		return shorter(err)
	}
	before := bytes.Clone(c.Data[seam : seam+window])
	c.Data = append(c.Data[:seam], c.Data[seam+window:]...)
	return c.Gained(seam, of, before)
}

// shorter says that a file ended before its size.
func shorter(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // ReadAt returns them bare
		return ingest.ErrChanged
	}
	return err
}

var _ ingest.Grower = (*Dir)(nil)

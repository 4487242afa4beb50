package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"penstock/ingest"
)

// A second look at a file after it was fetched costs a question to the server,
// as much as a third of what fetching a small file costs. It is left out where
// nothing speaks for a change meanwhile: the bytes are as many as were listed,
// few enough for the server to read them in one go, and were written well
// before they were fetched.
const (
	oneGo  = 16 << 10 // bytes
	longer = 10 * time.Second
)

// doubtedFor is for how long the ledger has a file fetched and hashed at each
// listing whose time it knows by the minute only. Such a file is asked for once,
// so that the ledger knows it better.
const doubtedFor = 24 * time.Hour

// maxGrowth is how much longer than it was listed a file may be, in bytes,
// before it is not read on: it is written to, and taken later.
const maxGrowth = 1 << 20

var errGrowing = errors.New("the file has no end: it is written to")

// Fetch implements [ingest.Source].
//
// The bytes are whole: the server said so, they are as many as it lists, and
// where a second look was needed (see oneGo) the file had the same size and
// time before and after. A file that is not as it was listed is fetched again,
// as it is now; one that does not keep still is ErrChanged.
//
// A file over SpoolAbove is fetched to the end before Fetch returns, into a
// file of this machine that nobody else sees, so that a slow decoder does not
// hold the server's connection.
func (r *Remote) Fetch(ctx context.Context, f ingest.File, c *ingest.Content) error {
	c.File, c.Data, c.Stream = f, c.Data[:0], nil
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.Fetched = ingest.Micros(time.Now())
	member, err := r.fetchMember(ctx, f, c, false)
	if err == nil && !member {
		if err = r.usable(f.Path); err == nil {
			err = r.fetch(ctx, f, c)
		}
		if errors.Is(err, fs.ErrNotExist) {
			// It may be a member of an archive that was not listed yet.
			if member, e := r.fetchMember(ctx, f, c, true); member {
				err = e
			}
		}
	}
	if err == nil {
		return nil
	}
	if c.Stream != nil {
		_ = c.Close() // what failed is told already
	}
	c.File, c.Data = f, c.Data[:0]
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.fault("fetch", f.Path, err)
}

func (r *Remote) fetch(ctx context.Context, f ingest.File, c *ingest.Content) error {
	before := listed{kind: regular, size: f.Size, modified: f.Modified, precision: f.Precision}
	var err error
	for range 3 {
		var after listed
		err = r.pool.with(ctx, r.Timeout, func(cl client) (err error) {
			after, err = r.attempt(ctx, cl, f.Path, before, c)
			return err
		})
		if err == nil {
			c.File.Modified, c.File.Precision = r.latest(f, after)
			return nil
		}
		if errors.Is(err, errGrowing) {
			return fmt.Errorf("%w: %w", errGrowing, ingest.ErrChanged)
		}
		if !errors.Is(err, ingest.ErrChanged) {
			return err
		}
		if after.size >= 0 {
			before = after
		}
	}
	return err
}

// latest returns the time that the ledger is told. A listing may tell it less
// exactly than the server tells it of one file, and in another zone: where the
// two do not agree for that alone the listing's stands, as it is held against
// that of the next listing. A file that is to go is held against what the
// server tells of it, whatever is listed.
func (r *Remote) latest(f ingest.File, after listed) (int64, ingest.Precision) {
	const zones = 15 * 3600e6
	apart := f.Modified - after.modified
	zoned := f.Precision > ingest.Second && f.Size == after.size && max(apart, -apart) < zones+int64(f.Precision) &&
		!ingest.SameModified(f.Modified, f.Precision, after.modified, after.precision)
	if after.precision == ingest.Unknown || zoned && !r.Tidies() {
		return f.Modified, f.Precision
	}
	return after.modified, after.precision
}

// attempt fetches the file once. It returns how the file was found to be
// afterwards: as before, when no second look was needed. The error is
// ErrChanged when that is not as it was before.
func (r *Remote) attempt(ctx context.Context, cl client, path string, before listed, c *ingest.Content) (listed, error) {
	if c.Stream != nil { // of an attempt that failed
		_ = c.Close()
	}
	careful := before.size > oneGo || !before.older(c.Fetched) || r.Tidies() && before.precision > ingest.Second
	if careful && (before.precision == ingest.Unknown || before.precision > ingest.Second) {
		first, err := cl.stat(ctx, path)
		if err != nil {
			return before, err
		}
		if first.size >= 0 || first.precision != ingest.Unknown {
			before = first
		}
	}
	n, err := r.transfer(ctx, cl, path, before.size, c)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = r.kept(ctx, cl, path, err)
		}
		return before, err
	}
	c.File.Size = n
	if !careful && n == before.size && !before.doubted(c.Fetched) {
		return before, nil
	}
	after, err := cl.stat(ctx, path)
	if err != nil {
		return before, err
	}
	return after, judge(before, after, n)
}

// older reports whether all of the file was surely written well before that
// time.
func (l *listed) older(fetched int64) bool {
	return l.size >= 0 && l.precision != ingest.Unknown && l.modified+int64(l.precision) < fetched-longer.Microseconds()
}

// doubted reports whether the ledger would not trust the time, at that time.
func (l *listed) doubted(fetched int64) bool {
	return l.precision > ingest.Second && fetched-l.modified < doubtedFor.Microseconds()+int64(l.precision)
}

// kept tells apart, of a file that could not be opened, one that is gone from
// one that the server keeps from us: some have the same words for both.
func (r *Remote) kept(ctx context.Context, cl client, path string, err error) error {
	if _, there := cl.stat(ctx, path); there == nil {
		return fmt.Errorf("%s, although it is there: %w; give the source's user the right to read it", err.Error(), fs.ErrPermission)
	}
	return err
}

// judge holds the n bytes that came against how the file was before and after.
func judge(before, after listed, n int64) error {
	told := after.size >= 0 || after.precision != ingest.Unknown
	switch {
	case !told && (before.size < 0 || n == before.size):
		return nil // the server tells nothing of a file but what it lists
	case !told,
		before.size >= 0 && after.size >= 0 && before.size != after.size,
		before.precision != ingest.Unknown && after.precision != ingest.Unknown &&
			!ingest.SameModified(before.modified, before.precision, after.modified, after.precision):
		return ingest.ErrChanged
	case after.size >= 0 && n != after.size:
		return fmt.Errorf("the server says that it has sent all, and sent %d of %d bytes", n, after.size)
	}
	return nil
}

// transfer reads the file into c, up to SpoolAbove bytes into c.Data. It
// returns how many bytes came.
func (r *Remote) transfer(ctx context.Context, cl client, path string, size int64, c *ingest.Content) (int64, error) {
	body, err := cl.open(ctx, path, 0, c.Follows)
	if err != nil {
		return 0, err
	}
	most := int64(maxMember)
	if size >= 0 {
		most = min(most, size+maxGrowth)
	}
	n, err := r.read(ctx, &io.LimitedReader{R: body, N: most + 1}, size, c)
	if err == nil && n > most {
		err = errGrowing
	}
	closed := body.Close()
	if err == nil {
		return n, closed
	}
	if errors.Is(err, errGrowing) {
		err = ended(err, closed)
	}
	return n, err
}

// ended is err, for which a transfer was ended, with what ending it gave.
func ended(err, closed error) error {
	if closed == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, closed)
}

// read reads to the end: into c.Data, and, when that is more than SpoolAbove,
// into a file.
func (r *Remote) read(ctx context.Context, in io.Reader, size int64, c *ingest.Content) (int64, error) {
	buf := c.Data[:0]
	if size <= ingest.SpoolAbove {
		buf = grow(buf, max(size, 0)+1)[:0] // one more, so that the end shows
		for len(buf) <= ingest.SpoolAbove {
			if len(buf) == cap(buf) {
				buf = append(grow(nil, min(2*int64(cap(buf)), ingest.SpoolAbove+1))[:0], buf...)
			}
			n, err := in.Read(buf[len(buf):min(cap(buf), ingest.SpoolAbove+1)])
			buf = buf[:len(buf)+n]
			c.Data = buf
			if errors.Is(err, io.EOF) {
				return int64(len(buf)), nil
			}
			if err != nil {
				return int64(len(buf)), err
			}
		}
	}
	s, err := newSpool(ctx, r.Spool)
	if err != nil {
		return 0, err
	}
	c.Data, c.Stream = buf[:0], s
	return s.fill(buf, in)
}

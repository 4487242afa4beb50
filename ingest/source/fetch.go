package source

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"time"

	"penstock/ingest"
)

// Fetch implements [ingest.Source].
//
// A file that is not as it was listed is read as it is now. It is ErrChanged
// only when its size or time moved during the reading. A file that is replaced
// by another during the reading is read to the end as it was: those bytes are
// a version of it, and the next listing brings the other.
func (d *Dir) Fetch(ctx context.Context, f ingest.File, c *ingest.Content) error {
	c.File, c.Data, c.Stream = f, c.Data[:0], nil
	if err := ctx.Err(); err != nil {
		return err
	}
	// Taken before the reading: a file that changes later counts as not yet old.
	c.Fetched = ingest.Micros(time.Now())
	a, m, err := d.archived(f.Path)
	if err != nil {
		return err
	}
	if a != nil {
		return d.fetchMember(ctx, a, m, f, c)
	}
	place, err := d.place(f.Path)
	if err != nil {
		return err
	}
	return fetchPath(ctx, place, f, c)
}

// fetchPath reads the file at path into c.
//
// The size and time that the file has after the reading are held against those
// it had before: those of the listing, most of the time, so that one fstat
// does for both. When they differ, the change may have come before the
// reading, so it is read once more with what the fstat said as the before. Where
// the listing told nothing, the fstat does for both if nothing at all has changed
// the file since well before the reading, by the clock of its file system.
func fetchPath(ctx context.Context, path string, f ingest.File, c *ingest.Content) error {
	before := status{size: f.Size, modified: f.Modified}
	for range 3 {
		if before.size > ingest.SpoolAbove {
			return openStream(ctx, path, c)
		}
		data, after, err := readFile(path, c.Data, before.size)
		c.Data = data[:0]
		switch {
		case err != nil:
			return fault("read", path, err)
		case after.kind != regular:
			return fault("read", path, fmt.Errorf("it is a %s, %w", after.kind, ErrNotRegular))
		case int64(len(data)) != after.size, after.size > ingest.SpoolAbove:
		case after.is(&before), before.size < 0 && after.rested(c.Fetched):
			c.Data = data
			c.File.Size, c.File.Modified, c.File.Precision = after.size, after.modified, ingest.Micro
			return nil
		}
		before = after
	}
	return fault("read", path, ingest.ErrChanged)
}

// is reports whether the file is as it was before.
func (st *status) is(before *status) bool {
	return st.size == before.size && st.modified == before.modified && (before.changed == 0 || st.changed == before.changed)
}

// clocksApart is how far the clock of a file system may be behind ours.
const clocksApart = int64(time.Minute / time.Microsecond)

// rested reports whether the file had not changed for a while by that time, in
// microseconds since the Unix epoch, and has not since. Some systems tell no time
// of change, and some another than that of the content.
func (st *status) rested(by int64) bool {
	return st.changed != 0 && max(st.changed, st.modified) < by-clocksApart
}

// grow returns buf with room for n bytes.
func grow(buf []byte, n int64) []byte {
	if int64(cap(buf)) >= n {
		return buf[:cap(buf)]
	}
	const least = 4 << 10
	return make([]byte, max(n, least, min(2*int64(cap(buf)), ingest.SpoolAbove+1)))
}

// A fileStream is the Stream of a file on this machine. Its end is its size
// when it was opened. Read reports ErrChanged in place of io.EOF when the file
// is no longer as it was then, but for lines behind that end: to read a large file
// takes long, and a logger may append to it all the while. Close reports what Read
// reported, and checks the file itself when all was read but the end was not. Close
// after less than that closes and vouches for nothing.
type fileStream struct {
	ctx    context.Context
	path   string
	file   *os.File
	before status
	left   int64
	read   maphash.Hash // of what was
	last   byte         // of that
	known  bool         // Rewind's
	err    error        // what Read returns from now on
}

func openStream(ctx context.Context, path string, c *ingest.Content) error {
	file, err := openRegular(path)
	if err != nil {
		return fault("read", path, err)
	}
	st, err := statFile(file)
	switch {
	case err != nil:
	case st.kind != regular:
		err = fmt.Errorf("it is a %s, %w", st.kind, ErrNotRegular)
	case st.size <= ingest.SpoolAbove:
		err = ingest.ErrChanged // it was larger a moment ago
	}
	if err != nil {
		file.Close()
		return fault("read", path, err)
	}
	c.File.Size, c.File.Modified, c.File.Precision = st.size, st.modified, ingest.Micro
	c.Stream = &fileStream{ctx: ctx, path: path, file: file, before: st, left: st.size}
	return nil
}

func (s *fileStream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	if s.left == 0 {
		s.err = s.verify()
		return 0, s.err
	}
	n, err := s.file.Read(p[:min(int64(len(p)), s.left)])
	if s.left -= int64(n); n > 0 && !s.known {
		s.last = p[n-1]
		_, _ = s.read.Write(p[:n]) // cannot fail
	}
	switch {
	case err == io.EOF: // cut shorter than it was
		s.err = fault("read", s.path, ingest.ErrChanged)
	case err != nil:
		s.err = fault("read", s.path, err)
	}
	return n, s.err
}

// verify returns io.EOF when the file is as it was when it was opened, or may have
// grown behind what was read and has.
func (s *fileStream) verify() error {
	st, err := statFile(s.file)
	if err != nil {
		return fault("read", s.path, err)
	}
	grown := st.size > s.before.size && (s.known || s.last == '\n')
	if grown {
		st.size, st.modified = s.before.size, s.before.modified
	}
	switch {
	case st != s.before:
		return fault("read", s.path, ingest.ErrChanged)
	case grown && !s.known:
		return s.readAgain()
	}
	return io.EOF
}

// readAgain returns io.EOF when what was read of a file that has grown since is there
// still: whoever writes one anew, and longer, has by then written that.
func (s *fileStream) readAgain() error {
	var again maphash.Hash
	again.SetSeed(s.read.Seed())
	buf := make([]byte, 256<<10)
	for at := int64(0); at < s.before.size; {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		n, err := s.file.ReadAt(buf[:min(int64(len(buf)), s.before.size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return fault("read", s.path, err)
		}
		if n == 0 {
			break // it was cut shorter
		}
		_, _ = again.Write(buf[:n]) // cannot fail
		at += int64(n)
	}
	if again.Sum64() != s.read.Sum64() {
		return fault("read", s.path, ingest.ErrChanged)
	}
	return io.EOF
}

// Rewind implements [ingest.Rewinder].
func (s *fileStream) Rewind(known bool) error {
	if s.err != nil && !errors.Is(s.err, io.EOF) {
		return s.err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fault("read", s.path, err)
	}
	s.left, s.err, s.known = s.before.size, nil, known
	s.read.Reset()
	return nil
}

func (s *fileStream) Close() error {
	if s.err == nil && s.left == 0 {
		s.err = s.verify()
	}
	err := s.file.Close()
	if s.err != nil && !errors.Is(s.err, io.EOF) {
		return s.err
	}
	s.err = os.ErrClosed
	if err != nil {
		return fault("close", s.path, err)
	}
	return nil
}

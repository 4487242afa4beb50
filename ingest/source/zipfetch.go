package source

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"penstock/ingest"
)

// The ways of packing that are read (APPNOTE.TXT 4.4.5).
const (
	stored   = 0
	deflated = 8
)

// fetchMember reads m into c and releases a, or leaves that to the stream's
// Close.
func (d *Dir) fetchMember(ctx context.Context, a *archive, m *member, f ingest.File, c *ingest.Content) (err error) {
	path := a.path + "!" + string(m.name)
	defer func() {
		if err == nil && c.Stream != nil {
			return
		}
		if err != nil {
			c.Data = c.Data[:0]
			err = fault("read", path, a.blame(err))
		}
		d.archives.release(a)
	}()
	if err = m.check(); err != nil {
		return err
	}
	c.File = d.member(f.Path, m)
	if m.size > ingest.SpoolAbove {
		in, err := a.stream(m)
		if err != nil {
			return err
		}
		c.Stream = &memberStream{ctx: ctx, path: path, in: in, member: m, archive: a, release: d.archives.release}
		return nil
	}
	u, _ := d.unpackers.Get().(*unpacker)
	if u == nil {
		u = new(unpacker)
	}
	defer d.unpackers.Put(u)
	c.Data = grow(c.Data, m.size+1)
	data, err := u.unpack(a, m, c.Data[:m.size+1])
	if err != nil {
		return err
	}
	c.Data = data
	if a.changed() {
		return ingest.ErrChanged
	}
	return nil
}

// blame returns ErrChanged in place of what is wrong with an archive that was
// written to meanwhile.
func (a *archive) blame(err error) error {
	if errors.Is(err, errCorrupt) && a.changed() {
		return ingest.ErrChanged
	}
	return err
}

// check refuses what cannot, or should not, be unpacked.
func (m *member) check() error {
	const encrypted = 1
	switch {
	case m.flags&encrypted != 0:
		return errors.New("it is encrypted: unpack the archive with its password and replay the folder")
	case m.method != stored && m.method != deflated:
		return fmt.Errorf("it is packed by %s, and only deflate is read: unpack the archive and replay the folder", methodName(m.method))
	case m.method == stored && m.packed != m.size:
		return corrupt("a member that is not packed has %d bytes and says %d", m.packed, m.size)
	case m.packed > 2*m.size+1<<16:
		return corrupt("a member of %d bytes has %d packed ones", m.size, m.packed)
	case m.size > maxMember:
		return fmt.Errorf("it is %d bytes unpacked, more than %d: %w", m.size, int64(maxMember), ErrBomb)
	case m.size > freeBytes && m.size/maxRatio > m.packed:
		return fmt.Errorf("it is %d bytes unpacked, from %d, more than %d for each one: %w", m.size, m.packed, maxRatio, ErrBomb)
	}
	return nil
}

func methodName(method uint16) string {
	names := map[uint16]string{1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "zstd", 95: "xz", 98: "PPMd"}
	if name, ok := names[method]; ok {
		return fmt.Sprintf("method %d (%s)", method, name)
	}
	return fmt.Sprintf("method %d", method)
}

// An unpacker reads small members, one at a time, and keeps its buffers for
// the next.
type unpacker struct {
	packed  []byte
	source  bytes.Reader
	inflate io.ReadCloser
}

// unpack reads m into buf, which is one byte longer than m says it is, so that
// more than that shows.
func (u *unpacker) unpack(a *archive, m *member, buf []byte) ([]byte, error) {
	packed, err := u.fetch(a, m)
	if err != nil {
		return nil, err
	}
	var n int
	if m.method == stored {
		n = copy(buf, packed)
	} else {
		u.source.Reset(packed)
		if u.inflate == nil {
			u.inflate = flate.NewReader(&u.source)
		} else if err := u.inflate.(flate.Resetter).Reset(&u.source, nil); err != nil {
			return nil, err
		}
		if n, err = io.ReadFull(u.inflate, buf); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, m.broken(err)
		}
	}
	return buf[:n], m.verify(int64(n), crc32.ChecksumIEEE(buf[:n]))
}

// fetch returns m's bytes as they are packed, by one read most of the time.
func (u *unpacker) fetch(a *archive, m *member) ([]byte, error) {
	const guess = 64 // of the extra field beside the data, which may differ from the directory's
	n := localLen + len(m.name) + guess + int(m.packed)
	for {
		u.packed = grow(u.packed, int64(n))[:n]
		got, err := a.file.ReadAt(u.packed, m.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		head, err := m.localHeader(u.packed[:got])
		if err != nil {
			return nil, err
		}
		switch end := head + int(m.packed); {
		case end <= got:
			return u.packed[head:end], nil
		case end <= n:
			return nil, m.broken(io.ErrUnexpectedEOF)
		default:
			n = end
		}
	}
}

// localHeader returns the length of the header at the start of b, which stands
// before m's data.
func (m *member) localHeader(b []byte) (int, error) {
	if len(b) < localLen || !bytes.HasPrefix(b, localMagic) {
		return 0, corrupt("there is no member at byte %d, where its directory says so", m.offset)
	}
	return localLen + int(binary.LittleEndian.Uint16(b[26:])) + int(binary.LittleEndian.Uint16(b[28:])), nil
}

// verify holds what was unpacked against what the directory says.
func (m *member) verify(size int64, crc uint32) error {
	switch {
	case size > m.size:
		return fmt.Errorf("it unpacks to more than the %d bytes it says: %w", m.size, ErrBomb)
	case size < m.size:
		return corrupt("the member ends after %d of %d bytes", size, m.size)
	case crc != m.crc:
		return corrupt("the member's checksum is %08x and should be %08x", crc, m.crc)
	}
	return nil
}

// broken words an error of inflating.
func (m *member) broken(err error) error {
	var at flate.CorruptInputError
	switch {
	case errors.As(err, &at):
		return corrupt("the member cannot be unpacked past byte %d of its %d packed ones", int64(at), m.packed)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return corrupt("the member's packed data ends early")
	}
	return err
}

// A memberStream is the Stream of a large member. Read reports what is wrong
// with the member, or ErrChanged when the archive was written to meanwhile, in
// place of io.EOF; Close reports the same, and looks for the end itself when
// all bytes were read but not the end. Close after less than that closes and
// vouches for nothing.
type memberStream struct {
	ctx    context.Context
	path   string
	in     io.Reader
	member *member
	size   int64 // read so far
	crc    uint32
	err    error // what Read returns from now on

	archive *archive
	release func(*archive)
}

func (s *memberStream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	// One byte past the end is asked for, and never handed on.
	n, err := s.in.Read(p[:min(int64(len(p)), s.member.size-s.size+1)])
	s.crc = crc32.Update(s.crc, crc32.IEEETable, p[:n])
	if s.size += int64(n); s.size > s.member.size {
		s.size, err = s.size-1, s.member.verify(s.size, s.crc)
		n--
	}
	if errors.Is(err, io.EOF) {
		if err = s.member.verify(s.size, s.crc); err == nil && s.archive.changed() {
			err = ingest.ErrChanged
		}
		if err == nil {
			s.err = io.EOF
			return n, s.err
		}
	}
	if err != nil {
		s.err = fault("read", s.path, s.archive.blame(s.member.broken(err)))
	}
	return n, s.err
}

// Rewind implements [ingest.Rewinder].
func (s *memberStream) Rewind(bool) error {
	if s.err != nil && !errors.Is(s.err, io.EOF) {
		return s.err
	}
	in, err := s.archive.stream(s.member)
	if err != nil {
		return fault("read", s.path, s.archive.blame(err))
	}
	s.in, s.size, s.crc, s.err = in, 0, 0, nil
	return nil
}

func (s *memberStream) Close() error {
	if s.release == nil {
		return fault("close", s.path, os.ErrClosed)
	}
	if s.err == nil && s.size == s.member.size {
		var none [1]byte
		_, _ = s.Read(none[:]) // what it finds is in s.err
	}
	s.release(s.archive)
	s.release = nil
	err := s.err
	if s.err = os.ErrClosed; errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

// stream returns the bytes of m, unpacked.
func (a *archive) stream(m *member) (io.Reader, error) {
	var header [localLen]byte
	n, err := a.file.ReadAt(header[:], m.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	head, err := m.localHeader(header[:n])
	if err != nil {
		return nil, err
	}
	packed := bufio.NewReaderSize(io.NewSectionReader(a.file, m.offset+int64(head), m.packed), 64<<10)
	if m.method == stored {
		return packed, nil
	}
	return flate.NewReader(packed), nil
}

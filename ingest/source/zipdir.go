package source

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"slices"

	"penstock/ingest"
)

// This file reads the directory of a zip archive, the list of members at its
// end, as in PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.5. It is our own
// because archive/zip keeps each member's header in memory, some 350 bytes;
// an archive of a million logger files must not take that. Here a member costs
// the 16 bytes of its slot.

// A member is one file in an archive, as the directory tells it.
type member struct {
	name          []byte // raw: it may lead anywhere, and nothing is ever written there
	flags, method uint16
	creator       byte   // the system that made it
	attributes    uint32 // its mode there
	crc           uint32 // IEEE, of the bytes
	packed, size  int64  // bytes
	offset        int64  // of its local header
	modified      int64  // microseconds since the Unix epoch, UTC
	precision     ingest.Precision
	at            int64 // of its header in the directory, where lookup found it
}

// A slot is where the directory has a name.
type slot struct {
	hash uint64
	at   int64 // of the header in the archive
}

// An index finds the members of an archive by name.
type index struct {
	file       io.ReaderAt
	start, end int64
	seed       maphash.Seed
	slots      []slot // by hash, then by place
	total      int64  // bytes of all members that can be fetched
}

const (
	endLen     = 22 // end of central directory record, 4.3.16
	end64Len   = 56 // zip64 end of central directory record, 4.3.14
	locatorLen = 20 // zip64 end of central directory locator, 4.3.15
	headerLen  = 46 // central directory header, 4.3.12
	localLen   = 30 // local file header, 4.3.7
)

var (
	endMagic     = []byte("PK\x05\x06")
	end64Magic   = []byte("PK\x06\x06")
	locatorMagic = []byte("PK\x06\x07")
	headerMagic  = []byte("PK\x01\x02")
	localMagic   = []byte("PK\x03\x04")
)

var (
	errCut     = errors.New("the zip archive is cut short: the list of its members, which stands at its end, is missing; put the whole archive in its place")
	errCorrupt = errors.New("the zip archive is corrupt")
)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errCorrupt, fmt.Sprintf(format, args...))
}

// readDirectory reads the directory of the archive of size bytes. The order of
// the slots depends on the directory and the seed alone.
func readDirectory(file io.ReaderAt, size int64, seed maphash.Seed) (*index, error) {
	x := &index{file: file, seed: seed}
	count, err := x.locate(size)
	if err != nil {
		return nil, err
	}
	x.slots = make([]slot, 0, count)
	err = x.each(func(at int64, m *member) error {
		if m.packed > x.start || m.offset > x.start-m.packed {
			return corrupt("%s lies outside of it", ingest.EscapePath(string(m.name)))
		}
		if m.check() == nil { // what is refused by itself is never unpacked
			x.total += m.size
		}
		x.slots = append(x.slots, slot{maphash.Bytes(x.seed, m.name), at})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(x.slots) != count {
		return nil, corrupt("it has %d members and says %d", len(x.slots), count)
	}
	slices.SortFunc(x.slots, func(a, b slot) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.at, b.at))
	})
	return x, nil
}

// locate sets where the directory is, and returns how many members it has.
func (x *index) locate(size int64) (count int, err error) {
	var magic [4]byte
	n, err := x.file.ReadAt(magic[:], 0)
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return 0, errors.New("the zip archive is empty: 0 bytes; put the whole archive in its place")
	case err != nil && !errors.Is(err, io.EOF):
		return 0, err
	case !bytes.Equal(magic[:n], localMagic) && !bytes.Equal(magic[:n], endMagic):
		return 0, fmt.Errorf("it has the name of a zip archive and begins with %q, not with %q: rename it if it is something else", magic[:n], localMagic)
	}
	tail := make([]byte, min(size, endLen+math.MaxUint16)) // the comment is at most that long
	if _, err := x.file.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	i := len(tail) - endLen
	for ; ; i-- {
		if i = bytes.LastIndex(tail[:max(i+len(endMagic), 0)], endMagic); i < 0 {
			return 0, errCut
		}
		if int(binary.LittleEndian.Uint16(tail[i+20:])) <= len(tail)-i-endLen {
			break
		}
	}
	record := tail[i:]
	x.end = size - int64(len(tail)-i)
	disk, members := binary.LittleEndian.Uint16(record[4:]), uint64(binary.LittleEndian.Uint16(record[10:]))
	length, start := uint64(binary.LittleEndian.Uint32(record[12:])), uint64(binary.LittleEndian.Uint32(record[16:]))
	if members == math.MaxUint16 || length == math.MaxUint32 || start == math.MaxUint32 {
		if record, err = x.locate64(); err != nil {
			return 0, err
		}
		if record != nil {
			members, length, start = binary.LittleEndian.Uint64(record[32:]), binary.LittleEndian.Uint64(record[40:]), binary.LittleEndian.Uint64(record[48:])
		}
	}
	switch {
	case disk != 0 && disk != math.MaxUint16:
		return 0, errors.New("the zip archive is the last part of several: join them into one")
	case length > uint64(x.end), start > uint64(x.end), members > length/headerLen:
		return 0, corrupt("it says that the list of its members is %d bytes from %d on, and has %d bytes", length, start, size)
	}
	x.start = x.end - int64(length)
	if before := x.start - int64(start); before < 0 {
		return 0, corrupt("%d bytes are missing from it; put the whole archive in its place", -before)
	} else if before > 0 {
		// Of archives that were joined end to end this would be the last alone.
		return 0, corrupt("%d bytes stand in it that belong to no member; unpack it and replay the folder", before)
	}
	return int(members), nil
}

// locate64 returns the zip64 record and moves the directory's end before it, if
// there is one.
func (x *index) locate64() ([]byte, error) {
	at := x.end - locatorLen
	if at < 0 {
		return nil, nil
	}
	locator := make([]byte, locatorLen)
	if _, err := x.file.ReadAt(locator, at); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(locator, locatorMagic) {
		return nil, nil
	}
	where := binary.LittleEndian.Uint64(locator[8:])
	record := make([]byte, end64Len)
	if where > uint64(at) {
		return nil, corrupt("its zip64 record lies outside of it")
	}
	if _, err := x.file.ReadAt(record, int64(where)); err != nil || !bytes.HasPrefix(record, end64Magic) {
		return nil, corrupt("its zip64 record is not where it should be")
	}
	x.end = int64(where)
	return record, nil
}

// each calls f for each member in the directory's order. The member is valid
// during the call only.
func (x *index) each(f func(at int64, m *member) error) error {
	r := bufio.NewReaderSize(io.NewSectionReader(x.file, x.start, x.end-x.start), 64<<10)
	var m member
	var buf []byte
	for at := x.start; at < x.end; {
		var err error
		if buf, err = readHeader(r, buf, &m); err != nil {
			return err
		}
		if err := f(at, &m); err != nil {
			return err
		}
		at += int64(len(buf))
	}
	return nil
}

// lookup returns the last member of that name, as unzip would leave on the
// disk when a name is there twice.
func (x *index) lookup(name string) (*member, bool, error) {
	hash := maphash.String(x.seed, name)
	i, _ := slices.BinarySearchFunc(x.slots, hash, func(s slot, h uint64) int {
		if s.hash > h {
			return 1
		}
		return -1 // to the end of the run of equal hashes
	})
	for i--; i >= 0 && x.slots[i].hash == hash; i-- {
		m, err := x.at(x.slots[i].at)
		if err != nil {
			return nil, false, err
		}
		if string(m.name) == name {
			m.at = x.slots[i].at
			return m, true, nil
		}
	}
	return nil, false, nil
}

// isLast reports whether m, at that place, is the last member of its name.
func (x *index) isLast(at int64, m *member) (bool, error) {
	i, ok := x.number(at, m)
	if !ok {
		return false, corrupt("it changed while it was listed")
	}
	hash := x.slots[i].hash
	for i++; i < len(x.slots) && x.slots[i].hash == hash; i++ {
		later, err := x.at(x.slots[i].at)
		if err != nil {
			return false, err
		}
		if bytes.Equal(later.name, m.name) {
			return false, nil
		}
	}
	return true, nil
}

// number is the place among the slots of the member m at that place.
func (x *index) number(at int64, m *member) (int, bool) {
	return slices.BinarySearchFunc(x.slots, slot{maphash.Bytes(x.seed, m.name), at}, func(s, t slot) int {
		return cmp.Or(cmp.Compare(s.hash, t.hash), cmp.Compare(s.at, t.at))
	})
}

// at reads the member whose header is at that place.
func (x *index) at(at int64) (*member, error) {
	const most = 256 // headers are mostly shorter: one read does
	m, buf := new(member), make([]byte, most)
	for {
		n, err := x.file.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		buf = buf[:n]
		need, err := headerSize(buf)
		if err != nil {
			return nil, err
		}
		if need <= n {
			return m, m.read(buf[:need])
		}
		if need <= len(buf) || int64(need) > x.end-at {
			return nil, errEarly
		}
		buf = make([]byte, need)
	}
}

var errEarly = corrupt("the list of its members ends early")

// readHeader reads one header of the directory into m, whose name is in the
// returned buffer.
func readHeader(r io.Reader, buf []byte, m *member) ([]byte, error) {
	buf = slices.Grow(buf[:0], headerLen)[:headerLen]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, errEarly
	}
	n, err := headerSize(buf)
	if err != nil {
		return nil, err
	}
	buf = slices.Grow(buf, n-headerLen)[:n]
	if _, err := io.ReadFull(r, buf[headerLen:]); err != nil {
		return nil, errEarly
	}
	return buf, m.read(buf)
}

// headerSize returns how long the header is that begins with b.
func headerSize(b []byte) (int, error) {
	if len(b) < headerLen {
		return 0, errEarly
	}
	if !bytes.HasPrefix(b, headerMagic) {
		return 0, corrupt("the list of its members has %q where a member should begin", b[:len(headerMagic)])
	}
	le := binary.LittleEndian
	return headerLen + int(le.Uint16(b[28:])) + int(le.Uint16(b[30:])) + int(le.Uint16(b[32:])), nil
}

// read takes m from the header b, which m's name goes on to refer to.
func (m *member) read(b []byte) error {
	le := binary.LittleEndian
	extra := headerLen + int(le.Uint16(b[28:]))
	*m = member{
		name:       b[headerLen:extra],
		creator:    b[5],
		flags:      le.Uint16(b[8:]),
		method:     le.Uint16(b[10:]),
		crc:        le.Uint32(b[16:]),
		packed:     int64(le.Uint32(b[20:])),
		size:       int64(le.Uint32(b[24:])),
		attributes: le.Uint32(b[38:]),
		offset:     int64(le.Uint32(b[42:])),
	}
	m.modified, m.precision = dosTime(le.Uint16(b[14:]), le.Uint16(b[12:]))
	if err := m.readExtra(b[extra : extra+int(le.Uint16(b[30:]))]); err != nil {
		return err
	}
	if m.size < 0 || m.packed < 0 || m.offset < 0 {
		return corrupt("%s has a size below nought", ingest.EscapePath(string(m.name)))
	}
	return nil
}

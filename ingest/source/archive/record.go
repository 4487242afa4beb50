package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"penstock/ingest"
)

// A record is one file, or one document of the ledger's. The bytes of a file
// stand in pieces, so that a stream whose length is not known can be written;
// numbers are varints as in package encoding/binary, signed ones zigzag:
//
//	'F', length of path, path,
//	size (signed), modified (signed), precision, fetched (signed), how much earlier it was first fetched (signed),
//	pieces: length, bytes, ..., 0,
//	32 bytes: SHA-256 of the file's bytes
//
// What a file has gained on a version that was kept before is 'G' in place of
// 'F', and has, before the pieces, what tells of that version:
//
//	how many bytes of it the file begins with, length of its pack's name, name, offset there
//
// and its digest is that of what it gained.
//
//	'D', length, bytes
const (
	fileRecord     = 'F'
	gainRecord     = 'G'
	documentRecord = 'D'

	maxPath     = 1 << 16
	maxDocument = 16 << 20
)

// errMalformed says that what passed the checksums is no record: a bug, or
// someone's own making.
var errMalformed = errors.New("malformed record")

// An Entry is what an archive knows of one file version.
type Entry struct {
	File         ingest.File
	Fetched      int64 // microseconds since the Unix epoch, UTC
	FirstFetched int64 // likewise; when this content was first fetched under the path, as far as was known
	Sum          ingest.Digest
	Bytes        int64 // how many are kept
	Place        ingest.Place

	// Base is the place of the version that the file has gained on, of which the
	// first Begins bytes are its own, too; Bytes and Sum are of what comes after
	// them. It is zero where all is kept at Place.
	Base   ingest.Place
	Begins int64
}

// putFile appends the record of a file up to its bytes.
func putFile(b []byte, c *ingest.Content) []byte {
	f := &c.File
	kind := byte(fileRecord)
	if c.Gain != nil {
		kind = gainRecord
	}
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(len(f.Path)))
	b = append(b, f.Path...)
	b = binary.AppendVarint(b, f.Size)
	b = binary.AppendVarint(b, f.Modified)
	b = binary.AppendUvarint(b, uint64(f.Precision))
	b = binary.AppendVarint(b, c.Fetched)
	first := c.FirstFetched
	if first == 0 {
		first = c.Fetched
	}
	b = binary.AppendVarint(b, c.Fetched-first)
	if c.Gain != nil {
		of := &c.Gain.Of
		b = binary.AppendUvarint(b, uint64(of.At))
		b = binary.AppendUvarint(b, uint64(len(of.Place.Pack)))
		b = append(b, of.Place.Pack...)
		b = binary.AppendUvarint(b, uint64(of.Place.Offset))
	}
	return b
}

// A scanner reads records from a run.
type scanner struct {
	r    io.Reader
	n    int64 // bytes read
	byte [1]byte
}

func (s *scanner) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	return n, err
}

// ReadByte implements [io.ByteReader].
func (s *scanner) ReadByte() (byte, error) {
	_, err := io.ReadFull(s, s.byte[:])
	return s.byte[0], err
}

func (s *scanner) uvarint(limit uint64) (uint64, error) {
	n, err := binary.ReadUvarint(s)
	if err == nil && n > limit {
		err = errMalformed
	}
	return n, short(err)
}

func (s *scanner) varint() (int64, error) {
	n, err := binary.ReadVarint(s)
	return n, short(err)
}

// short makes the end of a run within a record an error of its own.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// kind reads what the next record is; io.EOF at the end of the run.
func (s *scanner) kind() (byte, error) {
	k, err := s.ReadByte()
	if err == nil && k != fileRecord && k != gainRecord && k != documentRecord {
		err = fmt.Errorf("%w: of kind %q", errMalformed, k)
	}
	return k, err
}

func (s *scanner) text() (string, error) {
	n, err := s.uvarint(maxPath)
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(s, b)
	return string(b), short(err)
}

// file reads the record of a file of that kind up to its bytes.
func (s *scanner) file(kind byte) (e Entry, err error) {
	if e.File.Path, err = s.text(); err != nil {
		return e, err
	}
	var precision uint64
	var earlier int64
	if e.File.Size, err = s.varint(); err != nil {
		return e, err
	}
	if e.File.Modified, err = s.varint(); err != nil {
		return e, err
	}
	if precision, err = s.uvarint(uint64(ingest.Day) * 366); err != nil {
		return e, err
	}
	e.File.Precision = ingest.Precision(precision)
	if e.Fetched, err = s.varint(); err != nil {
		return e, err
	}
	earlier, err = s.varint()
	e.FirstFetched = e.Fetched - earlier
	if err == nil && kind == gainRecord {
		err = s.base(&e)
	}
	return e, err
}

// base reads what a file has gained on.
func (s *scanner) base(e *Entry) error {
	begins, err := s.uvarint(math.MaxInt64)
	if err != nil {
		return err
	}
	if e.Base.Pack, err = s.text(); err != nil {
		return err
	}
	offset, err := s.uvarint(math.MaxInt64)
	e.Begins, e.Base.Offset = int64(begins), int64(offset)
	return err
}

// document reads what a 'D' record holds.
func (s *scanner) document() ([]byte, error) {
	n, err := s.uvarint(maxDocument)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, s, int64(n)); err != nil {
		return nil, short(err)
	}
	return b.Bytes(), nil
}

// A bodyReader reads the bytes of a file, and at their end the digest, which it
// holds against what it read.
type bodyReader struct {
	s    *scanner
	left uint64 // of the piece
	hash digester
	n    int64
	sum  ingest.Digest
	err  error
}

// A digester is a hash.Hash; nil where the digest is not to be checked.
type digester interface {
	io.Writer
	Sum(b []byte) []byte
}

// errDigest says that bytes are not those that were kept, though every block
// of them is whole.
var errDigest = errors.New("the bytes are not those that were kept: their SHA-256 differs")

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.left == 0 {
		if b.left, b.err = b.s.uvarint(1 << 40); b.err == nil && b.left == 0 {
			b.err = b.end()
		}
		if b.err != nil {
			return 0, b.err
		}
	}
	n, err := b.s.Read(p[:min(uint64(len(p)), b.left)])
	b.left -= uint64(n)
	b.n += int64(n)
	if b.hash != nil {
		_, _ = b.hash.Write(p[:n]) // a hash never fails
	}
	b.err = short(err)
	if n > 0 && errors.Is(b.err, io.ErrUnexpectedEOF) {
		return n, nil // said by the next read, if there is more to come
	}
	return n, b.err
}

// end reads the digest; io.EOF when it is right.
func (b *bodyReader) end() error {
	if _, err := io.ReadFull(b.s, b.sum[:]); err != nil {
		return short(err)
	}
	var sum [sha256.Size]byte
	if b.hash != nil && string(b.hash.Sum(sum[:0])) != string(b.sum[:]) {
		return errDigest
	}
	return io.EOF
}

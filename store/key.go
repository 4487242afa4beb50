package store

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"penstock/ingest"
)

// The ledger's keys are digests, as names and contents are of any length and
// bytes. An index of digests alone is read and written all over, a page for
// each file, and once it is larger than the memory each page comes from the
// disk. So a key begins with about when the file is from, as its name or its
// content tells it: the files of one listing are beside one another, and those
// that are new come at the end, where the pages are in memory. Where nothing
// tells it the key is as good as any, and no more than that.
//
// What follows are 96 bits of a SHA-256. Two keys of one minute that are equal
// by chance are less likely than a disk that reads a wrong byte in silence.

// FileKey is what the ledger has a path of a source under, in the column key of
// the table files.
func FileKey(source, path string) (key [16]byte) {
	buf := make([]byte, 0, 256)
	buf = append(buf, source...)
	buf = append(buf, 0)
	buf = append(buf, path...)
	sum := sha256.Sum256(buf)
	binary.BigEndian.PutUint32(key[:], placeOf(path))
	copy(key[4:], sum[:])
	return key
}

// numbered stands above all minutes: paths that have no date, but a number.
const numbered = 1 << 31

// placeOf is where in the ledger's index the versions of a path are: by the date
// in it, else by the last number in the file's name, which in a series of files
// is the one that is counted up.
func placeOf(path string) uint32 {
	if m := ingest.MinuteIn([]byte(path)); m > 0 {
		return m
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	end := strings.LastIndexAny(name, "0123456789") + 1
	begin := end
	for begin > 0 && name[begin-1] >= '0' && name[begin-1] <= '9' {
		begin--
	}
	number := uint32(0)
	for _, digit := range []byte(name[max(begin, end-9):end]) {
		number = number*10 + uint32(digit-'0')
	}
	return numbered | number
}

// contentKey digests all that decides a file's readings: two files that share
// it are duplicates.
func contentKey(s *ingest.Span) (key [16]byte) {
	var buf [3 * sha256.Size]byte
	copy(buf[:], s.Sum[:])
	copy(buf[sha256.Size:], s.Recipe.Digest[:])
	copy(buf[2*sha256.Size:], s.Identity[:])
	sum := sha256.Sum256(buf[:])
	binary.BigEndian.PutUint32(key[:], s.Minute)
	copy(key[4:], sum[:])
	return key
}

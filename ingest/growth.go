package ingest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
)

// A Gain is what a file that grew has beyond the version that the ledger has.
type Gain struct {
	Seam int64  // bytes of the head, which ends with a line; at most Of.At
	Of   Growth // the version that it is carried on from

	// Before is the GrowthWindow bytes before Of.At, or all, for the window of the
	// version that comes.
	Before []byte
}

// A Growth is how a file version is carried on when its file has grown.
type Growth struct {
	At     int64  // bytes up to the end of the last line that was read
	Lines  int64  // how many lines those are
	Sum    Digest // of the whole file as it was then
	Hashed []byte // the state of a SHA-256 over the first At bytes, as package crypto/sha256 marshals it
	Window Digest // SHA-256 of the last GrowthWindow bytes before At, or of all
	Place  Place  // where the archive has the version; zero where it has not
	Whole  int64  // when all of those bytes were last read, in microseconds since the Unix epoch, UTC
}

// GrowthWindow is how many bytes before the end of what was read must still be
// the same for a file to have grown, and not to be another.
const GrowthWindow = 64 << 10

// HeadOfGrown is how many bytes of a file that grew are read again, and up to
// the end of the line that they end in: the header, and all that profiles and
// guesses look at before they decide how a file is read.
const HeadOfGrown = 5 << 18

// ErrWhole says that what a file has gained cannot be read by itself: the whole
// file is to be fetched and decoded as a version like any other.
var ErrWhole = errors.New("what the file has gained tells too little by itself")

// SeamOf returns how long the head of a file is of which the first bytes, at
// least HeadOfGrown of them, are given, unless it had fewer.
func SeamOf(beginning []byte, of *Growth) (int64, error) {
	if of.At <= HeadOfGrown {
		return of.At, nil
	}
	end := bytes.IndexByte(beginning[HeadOfGrown:], '\n')
	if end < 0 {
		return 0, fmt.Errorf("%w: its lines are too long", ErrWhole)
	}
	return HeadOfGrown + int64(end) + 1, nil
}

// Gained makes c, whose Data has a head of seam bytes and then what comes after
// of.At, one of which only the gain is wanted. before is the bytes before of.At:
// where they are not what they were the file has not grown, and the error wraps
// ErrWhole.
func (c *Content) Gained(seam int64, of *Growth, before []byte) error {
	if sha256.Sum256(before) != of.Window {
		return fmt.Errorf("%w: what was read of it before is not the same any more", ErrWhole)
	}
	c.Gain = &Gain{Seam: seam, Of: *of, Before: before}
	return nil
}

package ingest

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A File is a reference to one file of one source, as it was listed. It is
// comparable and small: queues carry Files, never their contents.
type File struct {
	Source string // the source's name
	Path   string // below the source's root, raw bytes; a member of an archive is "archive.zip!member"

	Size      int64     // bytes, -1 when the listing does not tell
	Modified  int64     // microseconds since the Unix epoch, UTC; 0 when the listing does not tell
	Precision Precision // how exactly Modified is known
}

// A Precision is the step, in microseconds, in which a listing tells
// modification times.
type Precision int64

// The steps that file systems, FTP servers and archives use.
const (
	Unknown    Precision = 0
	Micro      Precision = 1
	Second     Precision = 1e6
	TwoSeconds Precision = 2e6
	Minute     Precision = 60e6
	Day        Precision = 86400e6
)

// SameModified reports whether two listed modification times are equal as far
// as both can tell: they are compared at the coarser of the two precisions,
// and a time that is not known equals none.
func SameModified(a int64, pa Precision, b int64, pb Precision) bool {
	if pa == Unknown || pb == Unknown {
		return false
	}
	step := int64(max(pa, pb, Micro))
	return floorDiv(a, step) == floorDiv(b, step)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// EscapePath returns p fit for a terminal, a log and a text column: bytes that
// are not printable UTF-8, and the backslash, become \xNN. UnescapePath is its
// inverse.
func EscapePath(p string) string {
	if isPlain(p) || strings.IndexFunc(p, mustEscape) < 0 {
		return p
	}
	var b strings.Builder
	for len(p) > 0 {
		r, size := utf8.DecodeRuneInString(p)
		if mustEscape(r) {
			for _, c := range []byte(p[:size]) {
				fmt.Fprintf(&b, `\x%02X`, c)
			}
		} else {
			b.WriteString(p[:size])
		}
		p = p[size:]
	}
	return b.String()
}

// isPlain reports whether p is printable ASCII with nothing to escape, as most
// paths are: a tenth of what it costs to ask about each rune.
func isPlain(p string) bool {
	for i := range len(p) {
		if c := p[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

func mustEscape(r rune) bool {
	return r == '\\' || r == utf8.RuneError || !unicode.IsPrint(r)
}

// UnescapePath returns the raw bytes of a path that EscapePath made readable.
// All but \xNN with two digits as EscapePath writes them is kept as it stands.
func UnescapePath(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, `\x`)
		if i < 0 || len(s) < i+4 {
			break
		}
		high, low := strings.IndexByte(hexDigits, s[i+2]), strings.IndexByte(hexDigits, s[i+3])
		if high < 0 || low < 0 {
			b.WriteString(s[:i+2])
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		b.WriteByte(byte(high<<4 | low))
		s = s[i+4:]
	}
	if b.Len() == 0 {
		return s
	}
	b.WriteString(s)
	return b.String()
}

const hexDigits = "0123456789ABCDEF"

// A Content is the bytes of one File as fetched. Small ones are whole in Data;
// larger ones are read once from Stream, so that memory stays flat.
//
// Whoever fetches owns the Content and its buffers, and reuses them for another
// file once it is decoded: nothing may keep a slice of Data past the Decode call.
type Content struct {
	File    File  // as it stood when the bytes were read: size and modified are those of the bytes
	Fetched int64 // when, in microseconds since the Unix epoch, UTC

	// FirstFetched is when this content was first fetched under this path,
	// where the ledger knows that it was (see Standing); 0 means Fetched.
	FirstFetched int64

	// Place is where an archive has these bytes already; zero for nowhere that is
	// known. It is set by whoever fetches from an archive.
	Place Place

	// Recorded is what is to be repeated of the version's standing in a ledger
	// that was lost; nil for a file that is loaded like any other.
	Recorded *Recorded

	// Follows is set by whoever fetches: another file of the source is fetched
	// right after this one. A source may prepare for it.
	Follows bool

	Data   []byte        // the whole file when Stream is nil
	Stream io.ReadCloser // else its bytes, to be read to the end once; see Source.Fetch

	// Gain is set where the file has grown and only what it gained is wanted:
	// the bytes are its head, up to Gain.Seam, and then all that comes after
	// Gain.Of.At. nil for the whole file.
	Gain *Gain
}

// size is how many bytes there are: of the file, or of what it gained.
func (c *Content) size() int64 {
	if c.Gain == nil {
		return c.File.Size
	}
	return int64(len(c.Data)) - c.Gain.Seam
}

// Close ends the stream, if there is one, and reports what Stream's Close
// reports: ErrChanged when the file changed while it was read.
func (c *Content) Close() error {
	if c.Stream == nil {
		return nil
	}
	err := c.Stream.Close()
	c.Stream = nil
	return err
}

// Micros returns t in the unit that all of Penstock counts time in:
// microseconds since the Unix epoch, UTC.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// FromMicros is the inverse of Micros.
func FromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

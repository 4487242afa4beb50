package format

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"
)

// A head is what stands before a file's data, as a profile sees it.
type head struct {
	profile  *Profile
	preamble int // bytes
	size     int // bytes, preamble and header rows
	lines    int64
	before   int64 // lines of the preamble
}

// What can come of looking for a head.
type finding uint8

const (
	foundNot  finding = iota
	foundHead         //
	foundMore         // the window ends before it can be told
	foundLong         // a line on the way to it is longer than any may be
)

var bom = []byte("\xef\xbb\xbf")

// nextLine is lineEnd for the lines of a head.
func nextLine(w []byte, final bool, limit int) (end, next int, found finding) {
	end, next, ok := lineEnd(w, final)
	switch {
	case end > limit:
		return end, next, foundLong
	case !ok && !final:
		return end, next, foundMore
	case !ok:
		return end, next, foundNot
	}
	return end, next, foundHead
}

// find looks for the head that p describes at the start of w. With signed, the
// signature has to match too. When a line is too long, the head's lines are
// those before it.
func (p *Profile) find(w []byte, final, signed bool, limit int, s *splitter) (head, finding) {
	h := head{profile: p}
	sig := &p.signature
	if signed {
		if sig.firstLine == nil && len(sig.header) == 0 {
			return h, foundNot
		}
		if sig.firstLine != nil {
			end, _, found := nextLine(w, final, limit)
			if found != foundHead {
				return h, found
			}
			if !sig.firstLine.in(w[:end]) {
				return h, foundNot
			}
		}
	}
	s.delimiter, s.quote = p.dialect.delimiter, p.dialect.quote
	pos := 0
	lines := int64(0)
	for {
		if p.framing.preamble >= 0 && lines == int64(p.framing.preamble) {
			break
		}
		end, next, found := nextLine(w[pos:], final, limit)
		if found != foundHead {
			h.lines = lines
			return h, found
		}
		if lines == maxPreamble {
			return h, foundNot
		}
		line := w[pos : pos+end]
		if p.framing.before != nil && p.framing.before.in(line) {
			break
		}
		if p.framing.preamble < 0 && p.framing.before == nil && p.framing.through == nil {
			// The names may stand below rows of other kinds; the preamble ends
			// before the first of them.
			if cells := p.cells(w[pos:pos+end], s); sig.fits(cells) {
				break
			}
		}
		pos += next
		lines++
		if p.framing.through != nil && p.framing.through.in(line) {
			break
		}
	}
	h.preamble, h.before = pos, lines
	for _, row := range p.framing.rows {
		end, next, found := nextLine(w[pos:], final, limit)
		if found != foundHead {
			h.lines = lines
			return h, found
		}
		if row == rowNames && signed && len(sig.header) > 0 && !sig.fits(p.cells(w[pos:pos+end], s)) {
			return h, foundNot
		}
		pos += next
		lines++
	}
	h.size, h.lines = pos, lines
	return h, foundHead
}

// cells returns the cells of one header line, as the dialect writes them. A
// header row is one line: quoted line endings in it are not read.
func (p *Profile) cells(line []byte, s *splitter) []cell {
	_, _, fault := s.split(line, len(line), len(line), true)
	if fault != quotesFine {
		return nil
	}
	for i := range s.cells {
		if p.dialect.trim {
			s.cells[i].b = trim(s.cells[i].b)
		}
		s.cells[i].b = unformula(s.cells[i].b)
	}
	return s.cells
}

// fits reports whether these are the cells of the signature's header: its own
// in their order, optional ones anywhere among them, and others only where the
// signature allows them.
func (s *signature) fits(cells []cell) bool {
	if len(s.header) == 0 {
		return false
	}
	k := 0
	for i, c := range cells {
		switch {
		case k < len(s.header) && string(c.b) == s.header[k]:
			k++
		case slices.Contains(s.optional, string(c.b)):
			if slices.ContainsFunc(cells[:i], func(before cell) bool { return bytes.Equal(before.b, c.b) }) {
				return false
			}
		case !s.others:
			return false
		}
	}
	return k == len(s.header)
}

// headerOf cuts the header rows of h, which w begins with, into cells. fault
// says why a row cannot be read.
func (p *Profile) headerOf(w []byte, h *head, s *splitter) (hd header, fault string) {
	s.delimiter, s.quote = p.dialect.delimiter, p.dialect.quote
	pos := h.preamble
	hd.names, hd.line = p.framing.columns, h.lines
	if p.framing.lines != nil {
		if hd.names, hd.units, fault = p.framing.lines.header(w[:h.preamble]); fault != "" {
			return hd, fault
		}
	}
	for k, row := range p.framing.rows {
		end, next, _ := lineEnd(w[pos:h.size], true)
		cells := p.cells(w[pos:pos+end], s)
		if cells == nil && row != rowSkip {
			return hd, fmt.Sprintf("the quotes of the header do not match: line %d is %q", h.before+int64(k)+1, cut(w[pos:pos+end]))
		}
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = string(c.b)
		}
		switch row {
		case rowNames:
			hd.names, hd.line = texts, h.before+int64(k)+1
		case rowUnits:
			hd.units = texts
		case rowProcess:
			hd.process = texts
		case rowLoggers:
			hd.loggers = texts
		case rowChannels:
			hd.channels = texts
		}
		pos += next
	}
	if p.unitLines != nil {
		hd.units = p.unitsOf(&hd, w[:h.preamble])
	}
	return hd, ""
}

// unitsOf returns the units of the columns with those that lines of the preamble
// tell, by the names of the columns.
func (p *Profile) unitsOf(hd *header, preamble []byte) []string {
	units := make([]string, len(hd.names))
	copy(units, hd.units)
	for match := range p.unitLines.all(preamble) {
		if i := slices.Index(hd.names, string(trim(match("channel")))); i >= 0 {
			units[i] = string(trim(match("unit")))
		}
	}
	return units
}

// magics are the first bytes of files that are no text, or none that can be
// read as it stands.
var magics = []struct{ magic, is string }{
	{"PK\x03\x04", "a zip archive, and one is opened only where its own name ends in .zip and it lies in no other: unpack it, or rename it"},
	{"PK\x05\x06", "an empty zip archive"},
	{"%PDF-", "a PDF document"},
	{"\x89PNG\r\n\x1a\n", "a PNG image"},
	{"\xff\xd8\xff", "a JPEG image"},
	{"GIF8", "a GIF image"},
	{"SQLite format 3\x00", "an SQLite database"},
	{"\x7fELF", "a program"},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.xls, .doc)"},
	{"\x1f\x8b", "compressed by gzip twice; unpack it once"},
	{"BZh", "compressed with bzip2, which is not read"},
	{"\xfd7zXZ\x00", "compressed with xz, which is not read"},
	{"\x28\xb5\x2f\xfd", "compressed with zstd, which is not read"},
	{"7z\xbc\xaf\x27\x1c", "a 7-Zip archive, which is not read"},
	{"PAR1", "a Parquet file"},
	{"\x89HDF\r\n\x1a\n", "an HDF5 or NetCDF-4 file"},
	{"CDF\x01", "a NetCDF file"},
	{"TOB1", "a binary Campbell Scientific TOB1 file; convert it to TOA5"},
	{"\"TOB1\"", "a binary Campbell Scientific TOB1 file; convert it to TOA5"},
	{"\"TOB3\"", "a binary Campbell Scientific TOB3 file; convert it to TOA5"},
	{"\xff\xfe", "UTF-16 text; convert it to UTF-8"},
	{"\xfe\xff", "UTF-16 text; convert it to UTF-8"},
}

// firstLook is how much of a file tells whether it is text, in bytes.
const firstLook = 4096

// foreign says what a file is that is not text; "" when it may be text. It
// looks at the first kilobytes only.
func foreign(w []byte) string {
	for _, m := range magics {
		if bytes.HasPrefix(w, []byte(m.magic)) {
			return "the file is " + m.is
		}
	}
	w = w[:min(len(w), firstLook)]
	if at := bytes.IndexByte(w, 0); at >= 0 {
		return fmt.Sprintf("the file is binary, not text: byte %d is NUL, and it begins with % x", at+1, w[:min(len(w), 8)])
	}
	odd := 0
	for b := w; len(b) > 0; {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 || r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != 0x1a {
			odd++
		}
		b = b[n:]
	}
	if odd*10 > len(w)*3 {
		return fmt.Sprintf("the file is binary, not text: %d of its first %d bytes are no characters, and it begins with % x", odd, len(w), w[:min(len(w), 8)])
	}
	return ""
}

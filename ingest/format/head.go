package format

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// A head is what stands before a file's data, as a profile sees it.
type head struct {
	variant
	preamble int // bytes
	size     int // bytes, preamble and header rows
	lines    int64
	before   int64 // lines of the preamble
	above    int64 // lines of the file before the head, where it is not the first
}

// What can come of looking for a head.
type finding uint8

const (
	foundNot  finding = iota
	foundHead         //
	foundMore         // the window ends before it can be told
	foundLong         // a line on the way to it is longer than any may be
)

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
// signature has to match too, but for the file's name. When a line is too long,
// the head's lines are those before it. Of several delimiters that with which
// the signature's header fits counts, and the one that the file declares is
// tried first.
func (p *Profile) find(w []byte, final, signed bool, limit int, s *splitter) (head, finding) {
	if len(p.dialect.delimiters) == 0 {
		return p.findVariant(w, final, p.dialect.delimiter, signed, signed, limit, s)
	}
	_, _, declared, _ := p.opening(w, final, limit)
	best := head{variant: variant{profile: p}}
	found := foundNot
	for _, c := range p.dialect.delimiters {
		h, finding := p.findVariant(w, final, c, signed, true, limit, s)
		switch {
		case finding == foundHead && c == declared:
			return h, foundHead
		case finding == foundHead && (found != foundHead || h.size < best.size):
			// What is still to be found ends further down.
			best, found = h, foundHead
		case finding == foundMore && found != foundHead:
			found = foundMore
		case finding == foundLong && found == foundNot:
			best.lines, found = h.lines, foundLong
		}
	}
	if found != foundNot || signed {
		return best, found
	}
	c := p.dialect.delimiter
	if bytes.IndexByte(p.dialect.delimiters, declared) >= 0 {
		c = declared
	}
	return p.findVariant(w, final, c, false, false, limit, s)
}

// findVariant is find with one delimiter. With fits, the row of names has to be
// the signature's, if there is one.
func (p *Profile) findVariant(w []byte, final bool, delimiter byte, signed, fits bool, limit int, s *splitter) (head, finding) {
	h := head{variant: variant{profile: p, delimiter: delimiter}}
	sig := &p.signature
	s.use(&p.dialect)
	s.delimiter = delimiter
	pos, lines, _, found := p.opening(w, final, limit)
	if found != foundHead {
		h.lines = lines
		return h, found
	}
	if signed {
		if !sig.given() {
			return h, foundNot
		}
		if sig.firstLine != nil {
			end, _, found := nextLine(w[pos:], final, limit)
			if found != foundHead {
				return h, found
			}
			if !sig.firstLine.in(w[pos : pos+end]) {
				return h, foundNot
			}
		}
	}
	first := lines
	above := max(0, slices.Index(p.framing.rows, rowNames)) // rows of the header before that of the names
	var starts []int                                        // of the lines that may be those
	for {
		if p.framing.preamble >= 0 && lines-first == int64(p.framing.preamble) {
			break
		}
		end, next, found := nextLine(w[pos:], final, limit)
		if found != foundHead {
			h.lines = lines
			return h, found
		}
		if lines-first == maxPreamble {
			return h, foundNot
		}
		line := w[pos : pos+end]
		if p.framing.before != nil && p.framing.before.in(line) {
			break
		}
		if p.framing.preamble < 0 && p.framing.before == nil && p.framing.through == nil {
			// The names may stand below rows of other kinds; the preamble ends
			// before the first of them.
			if above > 0 {
				starts = append(starts, pos)
			}
			if lines-first >= int64(above) && sig.fits(p.cells(line, s)) {
				if above > 0 {
					pos = starts[len(starts)-1-above]
				}
				lines -= int64(above)
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
		if row == rowNames {
			cells := p.cells(w[pos:pos+end], s)
			if fits && len(sig.header) > 0 && !sig.fits(cells) {
				return h, foundNot
			}
			if s.unwrapped && len(cells) > 1 {
				h.wrapped = true
			}
		}
		pos += next
		lines++
	}
	h.size, h.lines = pos, lines
	if signed && sig.line != nil {
		among := int64(someLines)
		if len(p.framing.rows) > 0 {
			among = h.lines
		}
		if found := sig.line.inSome(w, among, final, limit); found != foundHead {
			return h, found
		}
	}
	if signed && sig.row != nil {
		if found := sig.row.inSome(w[h.size:], someLines, final, limit); found != foundHead {
			return h, found
		}
	}
	return h, foundHead
}

// separator reads a line by which a file tells spreadsheets its delimiter, such
// as sep=; with or without quotes.
func separator(line []byte) (delimiter byte, ok bool) {
	if len(line) > 1 && line[0] == '"' && line[len(line)-1] == '"' {
		line = line[1 : len(line)-1]
	}
	const sign = "sep="
	if len(line) <= len(sign) || !bytes.EqualFold(line[:len(sign)], []byte(sign)) {
		return 0, false
	}
	switch line = line[len(sign):]; {
	case len(line) == 1:
		return line[0], true
	case string(line) == `\t`:
		return '\t', true
	}
	return 0, false
}

// opening returns where the preamble begins that p's keys count and describe:
// behind a line that declares the delimiter, and, where p says that the header
// comes first or is to be looked for, behind blank lines.
func (p *Profile) opening(w []byte, final bool, limit int) (pos int, lines int64, declared byte, found finding) {
	headless := len(p.framing.rows) == 0
	for {
		if pos < len(w) && w[pos] > ' ' && w[pos] != '"' && w[pos]|0x20 != 's' {
			return pos, lines, declared, foundHead // as nearly always
		}
		end, next, found := nextLine(w[pos:], final, limit)
		switch {
		case found == foundMore, found == foundNot && lines == 0 && !headless, found == foundLong && !headless:
			return pos, lines, declared, found
		case found != foundHead:
			return pos, lines, declared, foundHead
		}
		line := w[pos : pos+end]
		c, ok := separator(line)
		switch {
		case ok && declared == 0 && (p.signature.firstLine == nil || !p.signature.firstLine.in(line)):
			declared = c
		case len(trim(line)) > 0 || headless || p.framing.preamble > 0 || lines == maxPreamble:
			return pos, lines, declared, foundHead
		}
		pos += next
		lines++
	}
}

// someLines is how many lines a signature looks at for one that it knows.
const someLines = 100

// inSome looks for a line that p matches among the first lines of w.
func (p *pattern) inSome(w []byte, among int64, final bool, limit int) finding {
	pos := 0
	for range among {
		end, next, found := nextLine(w[pos:], final, limit)
		if found != foundHead {
			return found
		}
		if p.in(w[pos : pos+end]) {
			return foundHead
		}
		pos += next
	}
	return foundNot
}

// cells returns the cells of one header line, as the dialect writes them. A
// header row is one line: quoted line endings in it are not read. A line that
// is one quoted field is cut as its content.
func (p *Profile) cells(line []byte, s *splitter) []cell {
	_, _, fault := s.split(line, len(line), len(line), true)
	if fault != quotesFine {
		return nil
	}
	if len(s.cells) == 1 && s.cells[0].quoted && !s.unwrapped && !s.unwrap() {
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
	for len(cells) > len(s.header) && len(cells[len(cells)-1].b) == 0 {
		cells = cells[:len(cells)-1] // of delimiters at the line's end
	}
	var met map[string]struct{} // of a header of many columns, those before
	const many = 256
	for i, c := range cells {
		if i >= many && len(s.optional) > 0 {
			if met == nil {
				met = make(map[string]struct{})
				for _, before := range cells[:i] {
					met[string(before.b)] = struct{}{}
				}
			}
			if i > many {
				met[string(cells[i-1].b)] = struct{}{}
			}
		}
		switch {
		case k < len(s.header) && s.header[k].is(c.b):
			k++
		case slices.ContainsFunc(s.optional, func(l label) bool { return l.is(c.b) }):
			if _, twice := met[string(c.b)]; twice || met == nil && slices.ContainsFunc(cells[:i], func(before cell) bool { return bytes.Equal(before.b, c.b) }) {
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
	s.use(&p.dialect)
	s.delimiter = h.delimiter
	pos := h.preamble
	hd.names, hd.line = p.framing.columns, h.above+h.lines
	if p.framing.lines != nil {
		if hd.names, hd.units, fault = p.framing.lines.header(w[:h.preamble]); fault != "" {
			return hd, fault
		}
	}
	for k, row := range p.framing.rows {
		end, next, _ := lineEnd(w[pos:h.size], true)
		cells := p.cells(w[pos:pos+end], s)
		if cells == nil && row != rowSkip {
			return hd, fmt.Sprintf("the quotes of the header do not match: line %d is %q", h.above+h.before+int64(k)+1, cut(w[pos:pos+end]))
		}
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = string(c.b)
		}
		switch row {
		case rowNames:
			hd.names, hd.line = texts, h.above+h.before+int64(k)+1
		case rowUnits:
			for i := range texts {
				texts[i] = withoutBrackets(texts[i])
			}
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

// withoutBrackets is the unit in a cell such as (bar) or [bar], which stands in
// nothing else.
func withoutBrackets(unit string) string {
	if n := len(unit) - 1; n > 1 && (unit[0] == '(' && unit[n] == ')' || unit[0] == '[' && unit[n] == ']') && !strings.ContainsAny(unit[1:n], "()[]") {
		return strings.TrimSpace(unit[1:n])
	}
	return unit
}

// unitsOf returns the units of the columns with those that lines of the preamble
// tell, by the names of the columns.
func (p *Profile) unitsOf(hd *header, preamble []byte) []string {
	units := make([]string, len(hd.names))
	copy(units, hd.units)
	for match := range p.unitLines.all(preamble) {
		if i := hd.place(string(trim(match("channel")))); i >= 0 {
			units[i] = string(trim(match("unit")))
		}
	}
	return units
}

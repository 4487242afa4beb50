package format

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// A cell is one field of a record. Its bytes are those of the window, or of
// the splitter's scratch where quotes were doubled in it.
type cell struct {
	b      []byte
	quoted bool
}

// lineEnd returns where the first line of w ends and where the next begins.
// ok is false when w does not tell where the next begins: there is no line
// ending, or a CR stands at the very end and final does not say that nothing
// follows. All before end is then the line's in any case.
func lineEnd(w []byte, final bool) (end, next int, ok bool) {
	// By steps, so that a file without a single LF is not searched to its end
	// for each of its lines.
	const stride = 4096
	for from := 0; from < len(w); from += stride {
		part := w[from:min(from+stride, len(w))]
		i := bytes.IndexByte(part, '\n')
		if i >= 0 {
			part = part[:i]
		}
		if j := bytes.IndexByte(part, '\r'); j >= 0 {
			end = from + j
			switch {
			case end+1 < len(w) && w[end+1] == '\n':
				return end, end + 2, true
			case end+1 == len(w) && !final:
				return end, end, false
			}
			return end, end + 1, true
		}
		if i >= 0 {
			return from + i, from + i + 1, true
		}
	}
	return len(w), len(w), final && len(w) > 0
}

// countLines counts the lines of w, a last one without line ending too.
func countLines(w []byte) (n int64) {
	for len(w) > 0 {
		_, next, _ := lineEnd(w, true)
		w = w[next:]
		n++
	}
	return n
}

// A splitter cuts records into cells. It keeps its buffers; the cells are valid
// until the next record.
type splitter struct {
	delimiter, quote byte
	fixed            []int
	wrapped          bool // a record that is one quoted field is read as its content
	unwrapped        bool // and this one was

	cells   []cell
	scratch []byte
	inside  []byte // the content of such a record
}

// use has s cut records as d says.
func (s *splitter) use(d *dialect) {
	s.delimiter, s.quote, s.fixed, s.wrapped = d.delimiter, d.quote, d.fixed, d.wrapped
}

// What can be wrong with a record's quotes.
type quoting uint8

const (
	quotesFine   quoting = iota
	quotesOpen           // a quoted field has not ended where the window does
	quotesText           // text after a closing quote
	quotesInside         // a record that is one quoted field has faulty quotes inside
)

// split cuts the record that w begins with. It returns where the next begins,
// how many lines the record has, and what is wrong with its quotes; without
// final, quotesOpen may mean that more has to be seen. w must begin with a line
// that lineEnd finds, whose end and successor it is given.
//
// Blanks around a quoted field are no part of it.
func (s *splitter) split(w []byte, end, next int, final bool) (after int, lines int64, fault quoting) {
	s.cells, s.scratch, s.unwrapped = s.cells[:0], s.scratch[:0], false
	switch {
	case s.fixed != nil:
		s.columns(w[:end])
		return next, 1, quotesFine
	case s.delimiter == ' ':
		after, lines, fault = s.blanks(w, end, next, final)
	default:
		after, lines, fault = s.delimited(w, end, next, final)
	}
	if s.wrapped && fault == quotesFine && len(s.cells) == 1 && s.cells[0].quoted && !s.unwrap() {
		fault = quotesInside
	}
	return after, lines, fault
}

// unwrap cuts the content of the only cell into cells. It reports whether the
// quotes in it are fine.
func (s *splitter) unwrap() bool {
	s.inside = append(s.inside[:0], s.cells[0].b...)
	s.cells, s.scratch, s.unwrapped = s.cells[:0], s.scratch[:0], true
	n := len(s.inside)
	var fault quoting
	if s.delimiter == ' ' {
		_, _, fault = s.blanks(s.inside, n, n, true)
	} else {
		_, _, fault = s.delimited(s.inside, n, n, true)
	}
	return fault == quotesFine
}

// columns cuts a line by widths; what is left is the last cell, unless it is
// blank. A line that ends early has fewer cells.
func (s *splitter) columns(line []byte) {
	for _, width := range s.fixed {
		if len(line) == 0 {
			return
		}
		n := 0
		for k := 0; k < width && n < len(line); k++ {
			_, size := utf8.DecodeRune(line[n:])
			n += size
		}
		s.cells = append(s.cells, cell{b: trim(line[:n])})
		line = line[n:]
	}
	if rest := trim(line); len(rest) > 0 {
		s.cells = append(s.cells, cell{b: rest})
	}
}

// blanks is split where runs of blanks delimit the fields.
func (s *splitter) blanks(w []byte, end, next int, final bool) (after int, lines int64, fault quoting) {
	r := ragged{end: end, next: next, lines: 1}
	for p := 0; ; {
		p = skipBlanks(w, p, r.end)
		switch {
		case p == r.end:
			return r.next, r.lines, quotesFine
		case s.quote != 0 && w[p] == s.quote:
			var ok bool
			if p, ok = s.quotedCell(w, p, final, &r); !ok {
				return r.next, r.lines, quotesOpen
			}
			if p < r.end && w[p] != ' ' && w[p] != '\t' {
				return r.next, r.lines, quotesText
			}
		default:
			from := p
			for p < r.end && w[p] != ' ' && w[p] != '\t' {
				p++
			}
			s.cells = append(s.cells, cell{b: w[from:p]})
		}
	}
}

// delimited is split where one character delimits the fields.
func (s *splitter) delimited(w []byte, end, next int, final bool) (after int, lines int64, fault quoting) {
	r := ragged{end: end, next: next, lines: 1}
	for p := 0; ; {
		if s.quote != 0 {
			if q := s.skip(w, p, r.end); q < r.end && w[q] == s.quote {
				var ok bool
				if q, ok = s.quotedCell(w, q, final, &r); !ok {
					return r.next, r.lines, quotesOpen
				}
				q = s.skip(w, q, r.end)
				if q == r.end {
					return r.next, r.lines, quotesFine
				}
				if w[q] != s.delimiter {
					return r.next, r.lines, quotesText
				}
				p = q + 1
				continue
			}
		}
		i := bytes.IndexByte(w[p:r.end], s.delimiter)
		if i < 0 {
			s.cells = append(s.cells, cell{b: w[p:r.end]})
			return r.next, r.lines, quotesFine
		}
		s.cells = append(s.cells, cell{b: w[p : p+i]})
		p += i + 1
	}
}

// skip is skipBlanks where a blank is no delimiter.
func (s *splitter) skip(w []byte, p, end int) int {
	if s.delimiter != '\t' {
		return skipBlanks(w, p, end)
	}
	for p < end && w[p] == ' ' {
		p++
	}
	return p
}

func skipBlanks(w []byte, p, end int) int {
	for p < end && (w[p] == ' ' || w[p] == '\t') {
		p++
	}
	return p
}

// A ragged record is one whose end moves on with its quoted fields.
type ragged struct {
	end, next int
	lines     int64
}

// quotedCell adds the field whose opening quote is w[p], and returns where it
// ends. ok is false when w ends before that can be told.
func (s *splitter) quotedCell(w []byte, p int, final bool, r *ragged) (q int, ok bool) {
	content, q, ok := s.quotedField(w, p+1)
	if !ok || q == len(w) && !final {
		return q, false
	}
	if q > r.end {
		// The field went on past its line: the record ends with a later one.
		r.lines += countLines(w[p:q]) - 1
		e, n, found := lineEnd(w[q:], final)
		if !found && q < len(w) {
			return q, false
		}
		r.end, r.next = q+e, q+n
	}
	s.cells = append(s.cells, cell{b: content, quoted: true})
	return q, true
}

// quotedField returns the content of the field whose opening quote stands
// before w[p], with doubled quotes made one, and the position after its closing
// quote. ok is false when w ends before the field does.
func (s *splitter) quotedField(w []byte, p int) (content []byte, after int, ok bool) {
	first := p
	doubled := -1 // where the content begins in scratch, once it has to be copied
	for {
		i := bytes.IndexByte(w[p:], s.quote)
		if i < 0 {
			return nil, 0, false
		}
		q := p + i
		if q+1 >= len(w) || w[q+1] != s.quote {
			if doubled < 0 {
				return w[first:q], q + 1, true
			}
			s.scratch = append(s.scratch, w[p:q]...)
			return s.scratch[doubled:], q + 1, true
		}
		if doubled < 0 {
			doubled = len(s.scratch)
		}
		s.scratch = append(s.scratch, w[p:q+1]...)
		p = q + 2
	}
}

// trim returns b without the blanks around it.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// quotingReason says what is wrong with the quotes of a record, of which the
// splitter has n whole cells.
func (s *splitter) quotingReason(fault quoting) string {
	switch fault {
	case quotesInside:
		return "the line is quoted as one field, and the quotes inside it do not match"
	case quotesText:
		return fmt.Sprintf("text after the closing quote of field %d (expected a delimiter or the end of the line)", len(s.cells))
	}
	return fmt.Sprintf("unterminated quote: field %d opens with one that nothing closes", len(s.cells)+1)
}

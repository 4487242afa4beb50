package format

import (
	"bytes"
	"fmt"
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
	cells            []cell
	scratch          []byte
}

// What can be wrong with a record's quotes.
type quoting uint8

const (
	quotesFine quoting = iota
	quotesOpen         // a quoted field has not ended where the window does
	quotesText         // text after a closing quote
)

// split cuts the record that w begins with. It returns where the next begins,
// how many lines the record has, and what is wrong with its quotes; without
// final, quotesOpen may mean that more has to be seen. w must begin with a line
// that lineEnd finds, whose end and successor it is given.
func (s *splitter) split(w []byte, end, next int, final bool) (after int, lines int64, fault quoting) {
	s.cells, s.scratch = s.cells[:0], s.scratch[:0]
	if s.delimiter == ' ' {
		for _, b := range bytes.Fields(w[:end]) {
			s.cells = append(s.cells, cell{b: b})
		}
		return next, 1, quotesFine
	}
	lines = 1
	p := 0
	for {
		if s.quote != 0 && p < end && w[p] == s.quote {
			content, q, ok := s.quotedField(w, p+1)
			if !ok || q == len(w) && !final {
				return next, lines, quotesOpen
			}
			if q > end {
				// The field went on past its line: the record ends with a later one.
				lines += countLines(w[p:q]) - 1
				e, n, found := lineEnd(w[q:], final)
				if !found && q < len(w) {
					return next, lines, quotesOpen
				}
				end, next = q+e, q+n
			}
			s.cells = append(s.cells, cell{b: content, quoted: true})
			if q == end {
				return next, lines, quotesFine
			}
			if w[q] != s.delimiter {
				return next, lines, quotesText
			}
			p = q + 1
			continue
		}
		i := bytes.IndexByte(w[p:end], s.delimiter)
		if i < 0 {
			s.cells = append(s.cells, cell{b: w[p:end]})
			return next, lines, quotesFine
		}
		s.cells = append(s.cells, cell{b: w[p : p+i]})
		p += i + 1
	}
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
	if fault == quotesText {
		return fmt.Sprintf("text after the closing quote of field %d (expected a delimiter or the end of the line)", len(s.cells))
	}
	return fmt.Sprintf("unterminated quote: field %d opens with one that nothing closes", len(s.cells)+1)
}

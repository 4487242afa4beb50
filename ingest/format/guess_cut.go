package format

import (
	"strings"
	"unicode/utf8"
)

// A cutter cuts lines into cells as one dialect writes them. What it returns
// is valid until the next line, the texts of the cells longer.
type cutter struct {
	delimiter, quote byte
	fixed            []int

	cells  []string
	quoted []bool
	any    bool // some cell of the line was quoted
	fault  bool // quotes do not match; they were taken as text
}

// longestCut is the longest line that is cut, in bytes: a longer one is no row
// of a table that can be guessed.
const longestCut = 1 << 17

// cut cuts a line. Cells are without quotes and blanks around them.
func (c *cutter) cut(line string) []string {
	c.cells, c.quoted, c.any, c.fault = c.cells[:0], c.quoted[:0], false, false
	switch {
	case len(line) > longestCut:
		c.add(line, false)
		return c.cells
	case c.fixed != nil:
		c.byWidths(line)
		return c.cells
	case c.quote != 0 && strings.IndexByte(line, c.quote) >= 0:
		if c.withQuotes(line) {
			return c.cells
		}
		c.cells, c.quoted, c.any, c.fault = c.cells[:0], c.quoted[:0], false, true
	}
	if c.delimiter == ' ' {
		for p := 0; p < len(line); {
			for p < len(line) && blank(line[p]) {
				p++
			}
			from := p
			for p < len(line) && !blank(line[p]) {
				p++
			}
			if p > from {
				c.add(line[from:p], false)
			}
		}
		return c.cells
	}
	for {
		i := -1
		if c.delimiter != 0 {
			i = strings.IndexByte(line, c.delimiter)
		}
		if i < 0 {
			c.add(c.trim(line), false)
			return c.cells
		}
		c.add(c.trim(line[:i]), false)
		line = line[i+1:]
	}
}

func (c *cutter) add(cell string, quoted bool) {
	if cell != "" && cell[0] == '=' {
		cell = spreadsheetText(cell)
	}
	c.cells, c.quoted = append(c.cells, cell), append(c.quoted, quoted)
	c.any = c.any || quoted
}

// withQuotes cuts a line with quotes in it; false when they do not match.
func (c *cutter) withQuotes(line string) bool {
	p := 0
	for {
		q := p
		for q < len(line) && blank(line[q]) && line[q] != c.delimiter {
			q++
		}
		if c.delimiter == ' ' {
			for q < len(line) && blank(line[q]) {
				q++
			}
			if q == len(line) {
				return true
			}
		}
		if q == len(line) || line[q] != c.quote {
			end := q
			if c.delimiter == ' ' {
				for end < len(line) && !blank(line[end]) {
					end++
				}
			} else if i := strings.IndexByte(line[p:], c.delimiter); i >= 0 && c.delimiter != 0 {
				end = p + i
			} else {
				end = len(line)
			}
			if c.delimiter == ' ' {
				p = q
			}
			c.add(c.trim(line[p:end]), false)
			if end >= len(line) {
				return true
			}
			p = end + 1
			continue
		}
		content, after, ok := unquote(line, q+1, c.quote)
		if !ok {
			return false
		}
		c.add(strings.Trim(content, " \t"), true)
		for after < len(line) && blank(line[after]) && line[after] != c.delimiter {
			after++
		}
		if after == len(line) {
			return true
		}
		if line[after] != c.delimiter && !(c.delimiter == ' ' && blank(line[after-1])) {
			return false
		}
		if c.delimiter == ' ' && !blank(line[after]) {
			p = after
		} else {
			p = after + 1
		}
	}
}

// unquote returns the content of the quoted cell that begins at line[p] and
// where it ends.
func unquote(line string, p int, quote byte) (content string, after int, ok bool) {
	from := p
	doubled := false
	for {
		i := strings.IndexByte(line[p:], quote)
		if i < 0 {
			return "", 0, false
		}
		p += i
		if p+1 < len(line) && line[p+1] == quote {
			doubled = true
			p += 2
			continue
		}
		content = line[from:p]
		if doubled {
			content = strings.ReplaceAll(content, string([]byte{quote, quote}), string(quote))
		}
		return content, p + 1, true
	}
}

func (c *cutter) byWidths(line string) {
	for i, w := range c.fixed {
		if i > 0 && strings.TrimSpace(line) == "" {
			return // the line ends before the column
		}
		end := 0
		for n := 0; n < w && end < len(line); n++ {
			_, size := utf8.DecodeRuneInString(line[end:])
			end += size
		}
		c.add(c.trim(line[:end]), false)
		line = line[end:]
	}
	if strings.TrimSpace(line) != "" {
		c.add(c.trim(line), false)
	}
}

// trim is strings.Trim for the blanks around a cell, of which a no-break space
// may be one.
func (c *cutter) trim(s string) string {
	for s != "" {
		switch {
		case blank(s[0]) && s[0] != c.delimiter:
			s = s[1:]
		case blank(s[len(s)-1]):
			s = s[:len(s)-1]
		case strings.HasPrefix(s, "\u00a0"):
			s = s[2:]
		case strings.HasSuffix(s, "\u00a0"):
			s = s[:len(s)-2]
		default:
			return s
		}
	}
	return s
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// spoken is how a delimiter is written in a profile, and named to people.
func spoken(delimiter byte) (key, name string) {
	switch delimiter {
	case ',':
		return ",", "comma"
	case ';':
		return ";", "semicolon"
	case '\t':
		return "tab", "tab"
	case '|':
		return "|", "pipe"
	case ' ':
		return "space", "runs of blanks"
	}
	return string(delimiter), string(delimiter)
}

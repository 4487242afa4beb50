package format

import (
	"bytes"
	"slices"
	"strings"
)

// firstLines knows, for the first lines that files lately began with, which
// profiles such files may be of. Most files have their first line in common with
// many others, and most profiles do not survive it, so that what it costs to
// recognise a file does not grow with the profiles that there are.
type firstLines struct {
	known map[string]*remaining
	last  []byte // the line of the file before
	left  *remaining
}

// remaining is the profiles, by tiers, that a first line leaves.
type remaining struct {
	tiers [][]candidate
	lines lineGlances
}

// A candidate is a profile that a file may be of.
type candidate struct {
	profile *Profile
	whole   bool   // what makes a file one of the profile's stands in its first line, and there it does
	head    head   // then
	lined   uint32 // its bit in lines; 0 where these do not tell of it
}

// The lines that are remembered.
const (
	maxFirstLines = 256
	maxFirstLine  = 4096 // bytes
)

// candidates returns the profiles but those that do not match any file of the
// first line that w, in which the file's own encoding is UTF-8, begins with. File
// names are not looked at.
func (d *Decoder) candidates(s *search, w []byte, final bool) *remaining {
	if s.charset != "" {
		return d.everyone()
	}
	f := &d.first
	if n := len(f.last); f.left != nil && f.last[n-1] == '\n' && bytes.HasPrefix(w, f.last) {
		return f.left
	}
	_, next, found := nextLine(w[:min(len(w), maxFirstLine)], final && len(w) <= maxFirstLine, d.limit)
	if found != foundHead {
		return d.everyone()
	}
	line := w[:next]
	if f.left != nil && bytes.Equal(line, f.last) {
		return f.left
	}
	left, ok := f.known[string(line)]
	if !ok {
		left = &remaining{tiers: make([][]candidate, len(d.tiers))}
		for i, tier := range d.tiers {
			for k := range tier {
				if tier[k].lacks(line) {
					continue
				}
				if c, may := tier[k].profile().begins(line, d.limit, &d.split); may {
					c.lined = left.lines.add(c.profile)
					left.tiers[i] = append(left.tiers[i], c)
				}
			}
		}
		if f.known == nil || len(f.known) >= maxFirstLines {
			f.known = make(map[string]*remaining)
		}
		f.known[string(line)] = left
	}
	f.last, f.left = append(f.last[:0], line...), left
	return left
}

// begins reports whether a file of that first line, which stands there with its
// line ending, may be one of p, whatever comes after it and in whichever of p's
// encodings it is.
func (p *Profile) begins(line []byte, limit int, s *splitter) (c candidate, may bool) {
	c.profile = p
	if p.lacks(line) {
		return c, false
	}
	same := true // in all encodings
	charsets := p.dialect.charsets
	if !slices.Contains(charsets, "") {
		charsets = append([]charset{""}, charsets...) // a byte order mark may say so
	}
	for _, as := range charsets {
		// Nothing is final, so that what is found or not is so in any case.
		text, _ := script{charset: as, noNUL: p.dialect.noNUL}.recoded(line, false)
		h, found := p.find(text, false, true, limit, s)
		may = may || found != foundNot
		same = same && script{charset: as}.plain(line)
		if as == "" {
			c.head, c.whole = h, found == foundHead && len(text) == len(line)
		}
	}
	c.whole = c.whole && same && len(p.dialect.delimiters) == 0
	return c, may
}

// lacks is the profile's, as far as it can be told without reading that.
func (m *member) lacks(line []byte) bool {
	return m.telling != "" && isFirst(line) && !bytes.Contains(line, []byte(m.telling))
}

// lacks reports whether it can be told at a glance that the line is not the
// first one of any file of p.
func (p *Profile) lacks(line []byte) bool {
	if !isFirst(line) || !p.dialect.asItStands() {
		return false
	}
	if !bytes.Contains(line, []byte(p.telling)) {
		return true
	}
	first := p.signature.firstLine
	return first != nil && !first.glance.may(line)
}

// isFirst reports whether a file begins with that line for sure: it is not blank,
// and none that declares the delimiter.
func isFirst(line []byte) bool {
	return line[0] > ' ' && (len(line) == 1 || line[0]|0x20 != 's' && (line[0] != '"' || line[1]|0x20 != 's'))
}

// asItStands reports whether what of a file is ASCII stands in it as it is read.
func (d *dialect) asItStands() bool {
	return !d.noNUL && !slices.ContainsFunc(d.charsets, func(c charset) bool { return !c.ascii() })
}

// tellingOf returns the longest text of ASCII that the first line of every file
// of p holds; "" when there is none, or it is not told.
func (p *Profile) tellingOf() (telling string) {
	if !p.dialect.asItStands() {
		return ""
	}
	longest := func(text, but string) {
		for _, part := range strings.FieldsFunc(text, func(c rune) bool { return c < ' ' || c > '~' || strings.ContainsRune(but, c) }) {
			if len(part) > len(telling) {
				telling = part
			}
		}
	}
	if first := p.signature.firstLine; first != nil {
		for _, text := range first.holds {
			longest(text, "")
		}
	}
	if p.framing.preamble != 0 || len(p.framing.rows) == 0 || p.framing.rows[0] != rowNames {
		return telling
	}
	for _, l := range p.signature.header {
		text := l.text
		if l.match != nil {
			text = string(l.match.prefix)
		}
		longest(text, `"'`) // which may stand there twice, or not
	}
	return telling
}

// everyone returns all the profiles as candidates, for files of which the first
// line tells nothing.
func (d *Decoder) everyone() *remaining {
	if d.all != nil {
		return d.all
	}
	d.all = &remaining{tiers: make([][]candidate, len(d.tiers))}
	for i, tier := range d.tiers {
		for _, m := range tier {
			p := m.profile()
			d.all.tiers[i] = append(d.all.tiers[i], candidate{profile: p, lined: d.all.lines.add(p)})
		}
	}
	return d.all
}

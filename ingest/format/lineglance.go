package format

import (
	"bytes"
	"slices"
)

// lineGlances tell of some profiles, whose files have a line that tells them apart
// and no row of names that does, which of them a file cannot be of: by the first
// bytes of its lines, one look at each for all the profiles. Each has a bit.
type lineGlances struct {
	all    uint32
	at     [][128]uint32    // for a byte at a place of a line, the profiles whose line may have it there
	longer [maxDepth]uint32 // those whose line does not end before that place
}

// add adds the profile and returns its bit; 0, and nothing is added, where its lines
// tell nothing of it at a glance.
func (g *lineGlances) add(p *Profile) (bit uint32) {
	line := p.signature.line
	if line == nil || line.glance.depth == 0 || len(p.framing.rows) > 0 || p.framing.preamble < 0 || p.framing.preamble > someLines {
		return 0
	}
	if slices.ContainsFunc(p.dialect.charsets, func(c charset) bool { return !c.ascii() }) {
		return 0
	}
	if bit = g.all + 1; bit == 0 { // there are 32 already
		return 0
	}
	g.all |= bit
	if g.at == nil {
		g.at = make([][128]uint32, maxDepth)
	}
	for k := range g.at {
		if k < line.glance.depth {
			g.longer[k] |= bit
		}
		for c := range g.at[k] {
			if k >= line.glance.depth || line.glance.at[c]>>k&1 != 0 {
				g.at[k][c] |= bit
			}
		}
	}
	return bit
}

// may returns the profiles that the file may be of that begins with w, in its own
// encoding.
func (g *lineGlances) may(w []byte, final bool, limit int) (may uint32) {
	// The lines of the first kilobytes mostly end with a LF alone, and are quicker found.
	quick := w[:min(len(w), maxFirstLine, limit)]
	if bytes.IndexByte(quick, '\r') >= 0 || bytes.IndexByte(quick, 0) >= 0 {
		quick = nil
	}
	pos := 0
	for range someLines {
		if may |= g.atLine(w[pos:]); may == g.all {
			break
		}
		if pos < len(quick) {
			if i := bytes.IndexByte(quick[pos:], '\n'); i >= 0 {
				pos += i + 1
				continue
			}
		}
		end, next, found := nextLine(w[pos:], final, limit)
		if found == foundNot {
			break
		}
		if found != foundHead || bytes.IndexByte(w[pos:pos+end], 0) >= 0 { // some profiles leave NUL out
			return g.all
		}
		pos += next
	}
	return may
}

// atLine returns those whose line may be the one that b begins with.
func (g *lineGlances) atLine(b []byte) uint32 {
	may := g.all
	for k := range g.at {
		if k == len(b) {
			return may &^ g.longer[k]
		}
		if b[k] >= 0x80 { // part of a character of several bytes
			return may
		}
		if may &= g.at[k][b[k]]; may == 0 {
			return 0
		}
	}
	return may
}

package format

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode"
)

// A pattern is a regular expression with named groups.
type pattern struct {
	re     *regexp.Regexp
	groups map[string]int
	glance glance
	prefix []byte   // what all that it matches begins with, where it is anchored
	holds  []string // texts that stand in all that it matches
	spans  bool     // in a preamble it may match across lines
}

func newPattern(re *regexp.Regexp) *pattern {
	p := &pattern{re: re, groups: make(map[string]int), spans: spanning().MatchString(re.String())}
	if s, err := syntax.Parse(re.String(), syntax.Perl); err == nil {
		p.prefix, p.holds = prefixOf(s), heldBy(s)
		p.glance = glanceOf(s)
	}
	return p
}

// in reports whether p matches somewhere in b.
func (p *pattern) in(b []byte) bool { return p.glance.may(b) && p.re.Match(b) }

// find returns the part of b that the group took, and whether p matched b. A
// pattern without that group matches with no part.
func (p *pattern) find(b []byte, group string) ([]byte, bool) {
	m := p.re.FindSubmatchIndex(b)
	if m == nil {
		return nil, false
	}
	i, ok := p.groups[group]
	if !ok || m[2*i] < 0 {
		return nil, true
	}
	return b[m[2*i]:m[2*i+1]], true
}

// prefixOf returns the text that all that an anchored expression matches begins
// with.
func prefixOf(s *syntax.Regexp) []byte {
	if s.Op != syntax.OpConcat || s.Sub[0].Op != syntax.OpBeginText || s.Sub[1].Op != syntax.OpLiteral || s.Sub[1].Flags&syntax.FoldCase != 0 {
		return nil
	}
	return []byte(string(s.Sub[1].Rune))
}

// heldBy returns texts that stand in all that an expression matches.
func heldBy(s *syntax.Regexp) (texts []string) {
	switch {
	case s.Op == syntax.OpLiteral && s.Flags&syntax.FoldCase == 0:
		return []string{string(s.Rune)}
	case s.Op == syntax.OpConcat:
		for _, part := range s.Sub {
			texts = append(texts, heldBy(part)...)
		}
	case s.Op == syntax.OpCapture, s.Op == syntax.OpPlus:
		return heldBy(s.Sub[0])
	}
	return texts
}

// A glance tells of most texts that an expression does not match in them, by
// their first bytes where it is anchored, by a text that each match begins with
// where it is not. It costs a few nanoseconds, and the expression hundreds: most
// files and lines are asked about many that are not theirs.
type glance struct {
	depth   int        // of so many bytes each may be only some; 0 when it is not anchored
	at      [128]uint8 // for a byte, which of them it may be, the first the lowest bit
	literal []byte
}

// maxDepth is how many bits an entry of glance.at has.
const maxDepth = 8

func glanceOf(s *syntax.Regexp) (g glance) {
	prog, err := syntax.Compile(s.Simplify())
	if err != nil {
		return g
	}
	if prog.StartCond()&syntax.EmptyBeginText == 0 {
		prefix, _ := prog.Prefix()
		g.literal = []byte(prefix)
		return g
	}
	now, ends := reach(prog, nil, uint32(prog.Start))
	for ; g.depth < maxDepth && !ends; g.depth++ {
		var next []uint32
		for _, pc := range now {
			in := &prog.Inst[pc]
			g.mark(in)
			var end bool
			next, end = reach(prog, next, in.Out)
			ends = ends || end
		}
		now = next
	}
	return g
}

// mark notes what one instruction of a program matches at depth: of a class what is
// in its ranges, of one character that, or its other case.
func (g *glance) mark(in *syntax.Inst) {
	ranges := in.Rune
	if len(ranges) < 2 {
		ranges = []rune{0, unicode.MaxASCII}
	}
	if in.Op == syntax.InstRune1 {
		ranges = []rune{in.Rune[0], in.Rune[0]}
	}
	for ; len(ranges) > 1; ranges = ranges[2:] {
		for c := ranges[0]; c <= min(ranges[1], unicode.MaxASCII); c++ {
			if len(in.Rune) > 1 || in.MatchRune(c) {
				g.at[c] |= 1 << g.depth
			}
		}
	}
}

// reach adds to seen what the program may come to from pc without reading more,
// as if all that it asserts there were so; only what reads a character is
// listed. ends reports whether that may be its end.
func reach(prog *syntax.Prog, seen []uint32, pc uint32) (list []uint32, ends bool) {
	visited := make([]bool, len(prog.Inst))
	var visit func(pc uint32)
	visit = func(pc uint32) {
		if visited[pc] {
			return
		}
		visited[pc] = true
		switch in := &prog.Inst[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			visit(in.Out)
			visit(in.Arg)
		case syntax.InstCapture, syntax.InstNop, syntax.InstEmptyWidth:
			visit(in.Out)
		case syntax.InstMatch:
			ends = true
		case syntax.InstFail:
		default:
			if !slices.Contains(seen, pc) {
				seen = append(seen, pc)
			}
		}
	}
	visit(pc)
	return seen, ends
}

// may reports whether the expression may match in b. It is false only when it
// does not.
func (g *glance) may(b []byte) bool {
	for k := range g.depth {
		if k == len(b) {
			return false
		}
		c := b[k]
		if c >= 0x80 {
			return true // part of a character of several bytes
		}
		if g.at[c]>>k&1 == 0 {
			return false
		}
	}
	return len(g.literal) == 0 || bytes.Contains(b, g.literal)
}

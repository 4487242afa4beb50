package format

import (
	"bytes"
	"fmt"
	"slices"

	"penstock/ingest"
)

// evidenceSize is how much of a file's data, in bytes, decides what a profile
// leaves to the file.
const evidenceSize = 256 << 10

// lookAhead brings as much of the data behind the head into the window as the
// profile decides something by.
func (d *Decoder) lookAhead(h *head) (*refusal, error) {
	if h.profile.dialect.decimals == nil {
		return nil, nil
	}
	return d.feed.atLeast(h.size + evidenceSize + 1) // that one tells whether it is all
}

// evidence returns the beginning of the data behind the head, in whole lines:
// the same however the file comes in pieces.
func (d *Decoder) evidence(h *head) []byte {
	w := d.feed.window[h.size:]
	if len(w) <= evidenceSize {
		return w
	}
	return w[:1+bytes.LastIndexAny(w[:evidenceSize], "\r\n")]
}

// A sign is what the cells of a file tell of a decimal sign: where one proves
// it, and where one may have it or have it between thousands. Lines are counted
// from 1 behind the header; 0 is none.
type sign struct {
	proved, open       int64
	provedBy, openCell string
}

// signs are what the cells of a file tell of its decimal sign.
type signs struct {
	point, comma sign
	ungrouped    bool // some number has four digits or more in a row before its decimal sign
	quotedComma  bool
}

// decideSign returns the decimal sign of the values in text, the beginning of a
// file's data, or all of it. Where they prove none and it matters, that is a
// question.
func (d *Decoder) decideSign(pl *plan, text []byte, whole bool) (byte, *refusal) {
	s := d.signsIn(pl, text)
	at := func(line int64) int64 { return d.lines.Total + line }
	ask := func(why string) (byte, *refusal) { return 0, signQuestion(why) }
	point, comma := &s.point, &s.comma
	switch {
	case point.proved > 0 && comma.proved > 0:
		return ask(fmt.Sprintf("line %d has %q and line %d has %q", at(point.proved), point.provedBy, at(comma.proved), comma.provedBy))
	case point.proved > 0:
		return '.', nil
	case comma.proved > 0:
		return ',', nil
	case point.open == 0 && comma.open == 0:
		d.signless = !whole && !s.ungrouped && !pl.profile.dialect.grouping && pl.profile.dialect.delimiter != ','
		return pl.sign, nil
	case point.open > 0 && comma.open > 0:
		return ask(fmt.Sprintf("line %d has %q and line %d has %q", at(point.open), point.openCell, at(comma.open), comma.openCell))
	case point.open > 0 && (s.ungrouped || pl.profile.dialect.delimiter == ',' && !s.quotedComma):
		return '.', nil
	case comma.open > 0 && s.ungrouped:
		return ',', nil
	case point.open > 0:
		return ask(fmt.Sprintf("line %d has %q, which may be a fraction or thousands, and no cell tells", at(point.open), point.openCell))
	}
	return ask(fmt.Sprintf("line %d has %q, which may be a fraction or thousands, and no cell tells", at(comma.open), comma.openCell))
}

func signQuestion(why string) *refusal {
	return hold(why+": is the decimal sign a point or a comma? Answer with --set decimal=. or --set decimal=,", "decimal",
		ingest.Answer{Set: "decimal=.", Means: "1.234 is a little more than one, and 1,234 is no number unless thousands says so"},
		ingest.Answer{Set: "decimal=,", Means: "1,234 is a little more than one, and 1.234 is no number unless thousands says so"})
}

// lateSign looks at the cell b of a value for the decimal sign, in a file whose
// beginning has none. Until one proves the sign that the file is read with, what
// may be a fraction or thousands holds the file.
func (d *Decoder) lateSign(at int64, b []byte, quoted bool) {
	var s signs
	s.look(d.plan.withoutGroups(b), quoted, false, at)
	mine := &s.point
	if d.plan.sign == ',' {
		mine = &s.comma
	}
	switch {
	case s.ungrouped, mine.proved > 0:
		d.signless = false
	case mine.open > 0 && d.held == nil:
		d.held = signQuestion(fmt.Sprintf("line %d has %q, which may be a fraction or thousands, and no cell before it tells", at, mine.openCell))
	}
}

// signsIn looks at the cells of the values in text.
func (d *Decoder) signsIn(pl *plan, text []byte) (s signs) {
	p := pl.profile
	d.split.use(&p.dialect)
	for line := int64(1); len(text) > 0; {
		end, next, _ := lineEnd(text, true)
		if p.framing.footer != nil && p.framing.footer.in(text[:end]) {
			break
		}
		after, lines, fault := d.split.split(text, end, next, true)
		if fault != quotesFine {
			after, lines = next, 1
		} else if n := len(d.split.cells); pl.tells(n) && !p.marks(text) {
			for k := range pl.values {
				if pl.values[k].field >= n {
					continue // a cell that a short row lacks
				}
				c := &d.split.cells[pl.values[k].field]
				if b := bare(c.b); !isMissing(b, pl.values[k].missing) {
					s.look(pl.withoutGroups(b), c.quoted, p.dialect.grouping, line)
				}
			}
		}
		text = text[after:]
		line += lines
	}
	return s
}

// tells reports whether a row of n cells tells how its file is written: one that
// the profile reads, or one with delimiters, or more, behind its last column.
func (pl *plan) tells(n int) bool {
	return n >= len(pl.fields) || pl.profile.framing.short && (len(pl.stamps) == 0 || n > slices.Max(pl.stamps))
}

// withoutGroups returns b without the signs between thousands, where those are
// no points or commas.
func (pl *plan) withoutGroups(b []byte) []byte {
	if pl.thousands == 0 {
		return b
	}
	kept := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if n := groupSign(b[i:], pl.thousands); n > 0 {
			i += n - 1
			continue
		}
		kept = append(kept, b[i])
	}
	return kept
}

// look takes the number that the cell b begins with as evidence. known says that
// points and commas do not stand between thousands.
func (s *signs) look(b []byte, quoted, known bool, line int64) {
	b = trimLeft(b[inequalityLen(b):])
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		b = b[1:]
	}
	size := 0
	var at []int // of points and commas
	for size < len(b) && (b[size]-'0' <= 9 || b[size] == '.' || b[size] == ',') {
		if b[size]-'0' > 9 {
			at = append(at, size)
		}
		size++
	}
	power := size < len(b) && b[size]|0x20 == 'e'
	b = b[:size]
	s.quotedComma = s.quotedComma || quoted && slices.Contains(b, ',')
	if len(at) == 0 {
		s.ungrouped = s.ungrouped || size > 3
		return
	}
	last := at[len(at)-1]
	grouped := at[0] >= 1 && at[0] <= 3 && b[0] != '0'
	for i, k := range at[1:] {
		grouped = grouped && k-at[i] == 4 && (b[k] == b[at[0]] || i == len(at)-2)
	}
	mine, other := &s.point, &s.comma
	if b[last] == ',' {
		mine, other = other, mine
	}
	switch whole := size-last == 4 && !power; {
	case len(at) > 1 && !grouped:
		// no number in any way of writing
	case len(at) > 1 && b[last] == b[at[0]]:
		if whole { // 1,234,567
			other.prove(b, line)
		}
	case len(at) > 1: // 1,234.5
		mine.prove(b, line)
	case grouped && whole && !known: // 1,234
		if mine.open == 0 {
			mine.open, mine.openCell = line, string(b)
		}
	default:
		s.ungrouped = s.ungrouped || last > 3
		mine.prove(b, line)
	}
}

func (s *sign) prove(b []byte, line int64) {
	if s.proved == 0 {
		s.proved, s.provedBy = line, string(b)
	}
}

package format

import (
	"bytes"
	"math"
	"unicode"
	"unicode/utf8"
)

// numbers says what may stand in a cell beside its number.
type numbers struct {
	unit       bool
	units      [][]byte // the only ones; nil when any may stand there
	flag       *pattern // of the whole text behind the number
	inequality bool
}

// linear is what turns the number of a cell into the value of a reading:
// number*multiply + add, each operation rounded to a float64 by itself.
type linear struct {
	given         bool
	multiply, add float64
}

func (l *linear) of(x float64) float64 {
	if parts := math.Round(1 / l.multiply); math.Abs(parts) > 1 && 1/parts == l.multiply {
		x /= parts // 33 tenths are 3.3, and 33 * 0.1 is 3.3000000000000003
	} else {
		x = float64(x * l.multiply) // the conversion keeps the two from being one operation
	}
	return x + l.add
}

// A measure is what a cell tells: a number, and what is written around it.
type measure struct {
	number     float64
	inequality []byte // <, >, <=, >=, ≤ or ≥
	unit       []byte
	flag       []byte
}

// The blanks that are more than one byte: they keep a number on one line.
const (
	noBreakSpace = "\u00a0"
	narrowSpace  = "\u202f"
	thinSpace    = "\u2009"
)

// blankLen returns how many bytes the blank takes that b begins with, or 0.
func blankLen(b []byte) int {
	switch {
	case len(b) == 0:
		return 0
	case b[0] == ' ' || b[0] == '\t':
		return 1
	}
	for _, s := range [...]string{noBreakSpace, narrowSpace, thinSpace} {
		if len(b) >= len(s) && string(b[:len(s)]) == s {
			return len(s)
		}
	}
	return 0
}

// bare returns the content of a cell without the blanks around it, those that
// keep lines from breaking too, and out of the formula of a spreadsheet.
func bare(b []byte) []byte {
	b = unformula(trim(b))
	for len(b) > 0 && b[0] >= utf8.RuneSelf && blankLen(b) > 0 {
		b = trim(b[blankLen(b):])
	}
	for len(b) > 0 && b[len(b)-1] >= utf8.RuneSelf {
		_, n := utf8.DecodeLastRune(b)
		if blankLen(b[len(b)-n:]) == 0 {
			break
		}
		b = trim(b[:len(b)-n])
	}
	return b
}

// unformula returns the text that a spreadsheet's formula ="text" stands for.
// Exports write texts so that spreadsheets leave their digits alone.
func unformula(b []byte) []byte {
	if len(b) > 2 && b[0] == '=' && b[1] == '"' && b[len(b)-1] == '"' {
		return trim(b[2 : len(b)-1])
	}
	return b
}

// decorations reports whether cells may hold more than parseNumber reads.
func (pl *plan) decorations() bool {
	s := &pl.profile.numbers
	return pl.thousands != 0 || s.unit || s.flag != nil || s.inequality
}

// measure reads the cell b, which is bare, with what the profile says may stand
// beside the number. Where nothing stands there it agrees with parseNumber.
func (pl *plan) measure(b []byte, quoted bool) (m measure, ok bool) {
	sign := pl.decimal(quoted)
	if m.number, ok = parseNumber(b, sign); ok || !pl.decorated {
		return m, ok
	}
	s := &pl.profile.numbers
	rest := b
	if s.inequality {
		n := inequalityLen(rest)
		m.inequality, rest = rest[:n], trimLeft(rest[n:])
	}
	var short [64]byte
	digits, n := ungroup(short[:0], rest, sign, pl.thousands)
	if m.number, ok = parseNumber(digits, sign); !ok {
		return measure{}, false
	}
	if rest = rest[n:]; len(rest) == 0 {
		return m, true
	}
	return m, s.behind(&m, trimLeft(rest))
}

func trimLeft(b []byte) []byte {
	for n := blankLen(b); n > 0; n = blankLen(b) {
		b = b[n:]
	}
	return b
}

func inequalityLen(b []byte) int {
	for _, s := range [...]string{"<=", ">=", "<", ">", "≤", "≥"} {
		if bytes.HasPrefix(b, []byte(s)) {
			return len(s)
		}
	}
	return 0
}

// ungroup appends to dst the number that b begins with, without the signs
// between its thousands, and returns it with how many bytes of b it took.
// Groups are of three digits, and the first has one to three and begins with no
// zero: what is written otherwise is cut where it goes wrong, and is no number
// with what is left behind it.
func ungroup(dst, b []byte, decimal, thousands byte) (digits []byte, n int) {
	if n < len(b) && (b[n] == '+' || b[n] == '-') {
		dst = append(dst, b[n])
		n++
	}
	first := n
	n += digitsLen(b[n:])
	dst = append(dst, b[first:n]...)
	if size := n - first; size >= 1 && size <= 3 && b[first] != '0' {
		for thousands != 0 {
			gap := groupSign(b[n:], thousands)
			if gap == 0 || digitsLen(b[n+gap:]) != 3 {
				break
			}
			dst = append(dst, b[n+gap:n+gap+3]...)
			n += gap + 3
		}
	}
	if n < len(b) && b[n] == decimal && b[n]-'0' > 9 {
		size := 1 + digitsLen(b[n+1:])
		dst = append(dst, b[n:n+size]...)
		n += size
	}
	if n < len(b) && b[n]|0x20 == 'e' {
		size := 1
		if n+size < len(b) && (b[n+size] == '+' || b[n+size] == '-') {
			size++
		}
		if power := digitsLen(b[n+size:]); power > 0 {
			dst = append(dst, b[n:n+size+power]...)
			n += size + power
		}
	}
	return dst, n
}

func digitsLen(b []byte) (n int) {
	for n < len(b) && b[n]-'0' <= 9 {
		n++
	}
	return n
}

// groupSign returns how many bytes the sign between thousands takes that b
// begins with, or 0.
func groupSign(b []byte, thousands byte) int {
	switch {
	case len(b) == 0:
		return 0
	case thousands == ' ':
		return blankLen(b)
	case thousands == '\'' && bytes.HasPrefix(b, []byte("’")):
		return len("’")
	case b[0] == thousands:
		return 1
	}
	return 0
}

// behind takes the text behind a number as its flag, its unit, or as both with a
// blank between them.
func (s *numbers) behind(m *measure, b []byte) bool {
	if s.isFlag(b) {
		m.flag = b
		return true
	}
	for i := range b {
		if s.flag == nil {
			break
		}
		n := blankLen(b[i:])
		if n == 0 {
			continue
		}
		left, right := b[:i], trimLeft(b[i:])
		switch {
		case s.isUnit(left) && s.isFlag(right):
			m.unit, m.flag = left, right
			return true
		case s.isFlag(left) && s.isUnit(right):
			m.unit, m.flag = right, left
			return true
		}
	}
	if s.isUnit(b) {
		m.unit = b
		return true
	}
	return false
}

func (s *numbers) isFlag(b []byte) bool {
	return s.flag != nil && s.flag.re.Match(b) && textFault(b) == ""
}

// isUnit reports whether b can be a unit: one of the profile's, or, where it
// names none, a short text that begins with a letter or a sign that units begin
// with, and ends with such a one, a digit or a bracket.
func (s *numbers) isUnit(b []byte) bool {
	const most = 32
	if !s.unit || len(b) == 0 || len(b) > most {
		return false
	}
	for _, u := range s.units {
		if bytes.Equal(u, b) {
			return true
		}
	}
	first, _ := utf8.DecodeRune(b)
	last, _ := utf8.DecodeLastRune(b)
	return s.units == nil && unitRune(first) && (unitRune(last) || unicode.IsNumber(last) || last == ')') && nameFault(b) == ""
}

func unitRune(c rune) bool {
	return unicode.IsLetter(c) || c == '°' || c == '%' || c == '‰' || unicode.Is(unicode.Sc, c)
}

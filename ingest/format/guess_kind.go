package format

import (
	"strings"
	"unicode/utf8"
)

// A cellKind is what a cell looks like, whatever its column says.
type cellKind uint8

const (
	looksEmpty    cellKind = iota
	looksMissing           // a spelling of a value that is not there: NAN, ---, #N/A
	looksNumber            // 1.5  -3,2  1'234.5  .427  1e-3
	looksMarked            // a number with a unit, a flag or an inequality: 55.2 °F, 3.984M, <0.05
	looksInstant           // a date with a time of day
	looksDate              // a date alone
	looksClock             // a time of day alone
	looksInterval          // two of those in one cell
	looksText
)

// timed reports whether a cell of the kind tells a time.
func (k cellKind) timed() bool { return k >= looksInstant && k <= looksInterval }

// valued reports whether a cell of the kind may be a reading.
func (k cellKind) valued() bool { return k >= looksMissing && k <= looksMarked }

// longestTyped is the length of the longest cell that may be a number or a
// time, in bytes; longer ones are text.
const longestTyped = 64

// cellLooks tells what a cell without blanks around it looks like.
func cellLooks(s string) cellKind {
	if s == "" {
		return looksEmpty
	}
	if len(s) > longestTyped {
		return looksText
	}
	if isPlainNumber(s) {
		return looksNumber
	}
	if missingSpelling(s) {
		return looksMissing
	}
	if strings.ContainsAny(s, "0123456789") {
		if k := timeKind(s); k != looksText {
			return k
		}
		if isMarkedNumber(s) {
			return looksMarked
		}
	}
	return looksText
}

// spreadsheetText returns 5414 for ="5414", which spreadsheets write so that
// digits stay text.
func spreadsheetText(s string) string {
	if inner, ok := strings.CutPrefix(s, `="`); ok && strings.HasSuffix(inner, `"`) {
		return inner[:len(inner)-1]
	}
	return s
}

// isPlainNumber reports whether s is a number with either decimal sign and
// with any of the usual signs between its thousands.
func isPlainNumber(s string) bool {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	n := numberLength(s)
	return n > 0 && n == len(s)
}

// numberLength returns how much of s, from its beginning, is an unsigned
// number; 0 when none is.
func numberLength(s string) int {
	digits, p := 0, 0
	var first, last byte // the signs between digits
	group := 0           // digits since the last sign
	signs := 0
scan:
	for p < len(s) {
		c := s[p]
		switch {
		case c >= '0' && c <= '9':
			digits++
			group++
			p++
		case (c == '.' || c == ',') && p+1 < len(s) && isDigit(s[p+1]), c == '.' && digits > 0 && signs == 0 && p+1 == len(s):
			if signs == 0 {
				first = c
			} else if group != 3 || last != first {
				break scan // what stood after the sign before was no group of thousands
			}
			last, group = c, 0
			signs++
			p++
		case c == '\'' || c == ' ':
			if signs > 0 && last != c || digits == 0 || !threeDigits(s[p+1:]) {
				break scan
			}
			first, last, group = c, c, 0
			signs++
			p++
		case c == 0xc2 && strings.HasPrefix(s[p:], "\u00a0") && digits > 0 && threeDigits(s[p+2:]):
			first, last, group = ' ', ' ', 0
			signs++
			p += 2
		case c == 0xe2 && strings.HasPrefix(s[p:], "\u202f") && digits > 0 && threeDigits(s[p+3:]):
			first, last, group = ' ', ' ', 0
			signs++
			p += 3
		default:
			break scan
		}
	}
	if digits == 0 {
		return 0
	}
	if signs > 1 && first == last && group != 3 {
		return 0 // 1.2.34 is no number
	}
	if p < len(s) && (s[p] == 'e' || s[p] == 'E') {
		q := p + 1
		if q < len(s) && (s[q] == '-' || s[q] == '+') {
			q++
		}
		from := q
		for q < len(s) && isDigit(s[q]) {
			q++
		}
		if q > from && q-from <= 3 {
			p = q
		}
	}
	return p
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// threeDigits reports whether s begins with three digits and no fourth.
func threeDigits(s string) bool {
	return len(s) >= 3 && isDigit(s[0]) && isDigit(s[1]) && isDigit(s[2]) && (len(s) == 3 || !isDigit(s[3]))
}

// isMarkedNumber reports whether s is a number with an inequality before it, or
// with a few characters of unit or flag behind it.
func isMarkedNumber(s string) bool {
	for _, mark := range []string{"<=", ">=", "≤", "≥", "<", ">", "~"} {
		if rest, ok := strings.CutPrefix(s, mark); ok {
			s = strings.TrimLeft(rest, " ")
			break
		}
	}
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	n := numberLength(s)
	if n == 0 {
		return false
	}
	rest := strings.TrimLeft(s[n:], " \u00a0\u202f")
	if rest == "" {
		return true
	}
	if utf8.RuneCountInString(rest) > 10 || strings.ContainsAny(rest, ":;,|\t") {
		return false
	}
	digits := 0
	for i := range len(rest) {
		if isDigit(rest[i]) {
			digits++
		}
	}
	// m3/s and g/cm3 have a digit or two; 12-34-x7 is no number with a unit.
	return digits <= 1 && rest[0] != '.' && rest[0] != '-' && rest[0] != '/' || digits == 0 && rest[0] == '/'
}

// missingSpelling reports whether s is one of the usual ways to say that there
// is no value.
func missingSpelling(s string) bool {
	if len(s) > 12 {
		return false
	}
	for i := range len(s) {
		switch s[i] {
		case '-', '?', '*', '.', '/', '_', '#', 'x':
			continue
		}
		switch strings.ToLower(s) {
		case "na", "n/a", "n.a.", "nan", "-nan", "#n/a", "#na", "null", "none", "nil", "mm", "nodata", "no data", "missing",
			"k.a.", "n.v.", "nd", "n.d.", "s/d", "inf", "-inf", "+inf", "#value!", "#div/0!", "#ref!", "#num!", "#name?",
			"unavailable", "unknown", "error", "err", "bad", "over", "under", "ovfl", "invalid", "<na>", "(null)", `\n`, "nan()",
			"–", "—", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind", "1.#inf", "-1.#inf", "1.#qnb", "-1.#inf0":
			return true
		}
		return false
	}
	return true
}

package format

import (
	"strings"
	"unicode/utf8"
)

// A mark is one token of a cell that may tell a time.
type mark struct {
	kind  byte // '9' digits, 'a' letters, else the separator itself; ' ' for blanks
	value int  // of digits
	width int  // digits or bytes
	text  string
}

// longestMoment is how many marks a cell may have that tells a time, two of
// them with their zones in an interval.
const longestMoment = 40

// timeKind tells which kind of time s is; looksText when none. It does not tell
// day from month: what one of the usual orders can read is a date.
func timeKind(s string) cellKind {
	var room [longestMoment]mark
	marks, ok := timeMarks(s, room[:0])
	if !ok || len(marks) < 3 && !compactTime(marks) {
		return looksText
	}
	k, n := someMoment(marks)
	switch {
	case k == looksText:
		return looksText
	case n == len(marks):
		return k
	case k == looksClock && marks[n-1].kind == '9' && marks[n].kind == ':':
		return looksText
	}
	// A second one makes it an interval: "2024-01-01 00:00 - 00:15".
	m := n
	for m < len(marks) && (marks[m].kind == ' ' || marks[m].kind == '-' || marks[m].kind == '/' || marks[m].kind == 'a' || marks[m].kind == '>') {
		m++
	}
	if m == n || m == len(marks) {
		return looksText
	}
	if k2, n2 := someMoment(marks[m:]); k2 != looksText && m+n2 == len(marks) {
		return looksInterval
	}
	return looksText
}

// compactTime reports whether the marks are digits such as 20240102T030405Z, which
// are a time though there is little else in them.
func compactTime(marks []mark) bool {
	return len(marks) == 2 && marks[0].kind == '9' && marks[1].kind == 'a' && marks[0].width >= 8
}

// timeMarks cuts s into marks. ok is false when it has a character that no time
// has, or too many marks.
func timeMarks(s string, marks []mark) ([]mark, bool) {
	for p := 0; p < len(s); {
		if len(marks) == cap(marks) {
			return nil, false
		}
		from := p
		c := s[p]
		switch {
		case isDigit(c):
			value := 0
			for p < len(s) && isDigit(s[p]) {
				if p-from < 9 {
					value = value*10 + int(s[p]-'0')
				}
				p++
			}
			marks = append(marks, mark{'9', value, p - from, s[from:p]})
		case isLetter(c) || c >= 0x80:
			for p < len(s) && (isLetter(s[p]) || s[p] >= 0x80) {
				if strings.HasPrefix(s[p:], "\u00a0") || strings.HasPrefix(s[p:], "\u202f") {
					break
				}
				p++
			}
			if p == from {
				for strings.HasPrefix(s[p:], "\u00a0") || strings.HasPrefix(s[p:], "\u202f") {
					p += 2 + int(s[p]>>5&1)
				}
				marks = append(marks, mark{' ', 0, p - from, s[from:p]})
				continue
			}
			marks = append(marks, mark{'a', 0, p - from, s[from:p]})
		case c == ' ':
			for p < len(s) && s[p] == ' ' {
				p++
			}
			marks = append(marks, mark{' ', 0, p - from, s[from:p]})
		case strings.IndexByte("-/.:,+_[]()'>", c) >= 0:
			p++
			marks = append(marks, mark{c, 0, 1, s[from:p]})
		default:
			return nil, false
		}
	}
	return marks, true
}

// someMoment reads a date, a time of day, or both in either order, with a zone
// behind, at the beginning of the marks. n is how many belong to it.
func someMoment(m []mark) (k cellKind, n int) {
	n = someWeekday(m)
	if n > 0 && n+8 < len(m) && m[n].kind == 'a' && monthWord(m[n].text) && m[n+2].kind == '9' && m[n+3].kind == ' ' {
		// Tue Feb 20 00:00:00 2024
		if c := someClock(m[n+4:], false); c > 0 && n+5+c < len(m) && m[n+4+c].kind == ' ' && m[n+5+c].width == 4 && isYear(m[n+5+c].value) {
			return looksInstant, n + 6 + c
		}
	}
	if d := someDate(m[n:]); d > 0 {
		n += d
		at := n
		for at < len(m) && (m[at].kind == ' ' || m[at].kind == ',' || m[at].kind == '_' || m[at].kind == '-' || m[at].kind == ':' || m[at].kind == 'a') && at-n < 3 {
			if m[at].kind == 'a' && !joins(m[at].text) {
				break
			}
			at++
		}
		if at > n {
			if c := someClock(m[at:], true); c > 0 {
				at += c
				return looksInstant, at + someZone(m[at:])
			}
			// A weekday may stand behind.
		}
		return looksDate, n + someZone(m[n:])
	}
	if c := someClock(m[n:], false); c > 0 {
		n += c
		if n == len(m) || m[n].kind != '-' {
			n += someZone(m[n:]) // 00:00-00:15 is an interval
		}
		at := n
		for at < len(m) && (m[at].kind == ' ' || m[at].kind == ',') {
			at++
		}
		if at > n {
			at += someWeekday(m[at:])
			if d := someDate(m[at:]); d > 0 {
				return looksInstant, at + d
			}
		}
		return looksClock, n
	}
	return looksText, 0
}

// joins reports whether a word may stand between date and time of day.
func joins(s string) bool {
	switch strings.ToLower(s) {
	case "t", "at", "um", "à", "om", "h":
		return true
	}
	return false
}

// someWeekday returns how many marks a weekday and what parts it from the date are.
func someWeekday(m []mark) int {
	if len(m) < 3 || m[0].kind != 'a' || monthWord(m[0].text) || m[0].width < 2 || m[0].width > 12 {
		return 0
	}
	n := 1
	for n < len(m) && n < 4 && (m[n].kind == ' ' || m[n].kind == ',' || m[n].kind == '.') {
		n++
	}
	if n == 1 || n >= len(m) || m[n].kind != '9' && !(m[n].kind == 'a' && monthWord(m[n].text)) {
		return 0
	}
	switch strings.ToLower(m[0].text)[:2] {
	case "mo", "tu", "we", "th", "fr", "sa", "su", "di", "mi", "do", "so", "lu", "ma", "me", "je", "ve", "ju", "vi", "wo", "vr", "za", "zo", "po", "út", "st", "čt", "pá", "ne":
		return n
	}
	return 0
}

// someDate returns how many marks a date is; 0 when there is none.
func someDate(m []mark) int {
	if len(m) == 0 {
		return 0
	}
	if m[0].kind == 'a' { // Jan 2, 2024 and Jan-02-2024
		if !monthWord(m[0].text) {
			return 0
		}
		n := skipSigns(m, 1)
		if n == 1 && n < len(m) && m[n].kind != '9' || n >= len(m) || m[n].kind != '9' || m[n].width > 2 || !isDay(m[n].value) {
			return 0
		}
		y := skipSigns(m, n+1)
		if y == n+1 || y >= len(m) || m[y].kind != '9' || m[y].width != 4 && m[y].width != 2 {
			return 0
		}
		return y + 1
	}
	if m[0].kind != '9' {
		return 0
	}
	if m[0].width == 8 && compactDate(m[0].text) {
		return 1
	}
	if m[0].width == 14 || m[0].width == 12 {
		return 0
	}
	if m[0].width > 4 || m[0].width == 3 {
		return 0
	}
	n := skipSigns(m, 1)
	if n >= len(m) {
		return 0
	}
	if m[n].kind == 'a' && monthWord(m[n].text) { // 2-Jan-2024, 2024-Jan-02, 02JAN2024
		y := skipSigns(m, n+1)
		if y >= len(m) || m[y].kind != '9' || m[y].width > 4 || m[y].width == 3 {
			return 0
		}
		if !isDay(m[0].value) && !isDay(m[y].value) {
			return 0
		}
		return y + 1
	}
	// Three numbers with the same sign between them, 1. 2. 2024 too.
	sign := m[1].kind
	if n == 1 || sign != '-' && sign != '/' && sign != '.' || m[n].kind != '9' {
		return 0
	}
	if m[0].width == 4 && m[n].width == 3 && isYear(m[0].value) && m[n].value >= 1 && m[n].value <= 366 {
		return n + 1 // year and day of the year
	}
	y := n + 1
	if y >= len(m) || m[y].kind != sign {
		return 0
	}
	y = skipSigns(m, y)
	if y >= len(m) || m[y].kind != '9' || m[n].width > 2 {
		return 0
	}
	a, b, c := m[0], m[n], m[y]
	switch {
	case a.width == 4:
		if !isYear(a.value) || c.width > 2 || !(isMonth(b.value) && isDay(c.value) || isDay(b.value) && isMonth(c.value)) {
			return 0
		}
	case c.width == 4:
		if !isYear(c.value) || !dayAndMonth(a.value, b.value) {
			return 0
		}
	case c.width != 2:
		// 2024-1-2 has its year first; 24-1-2 as well.
		if c.width != 1 || a.width != 2 || !isMonth(b.value) || !isDay(c.value) || sign == '.' {
			return 0
		}
	default:
		if !dayAndMonth(a.value, b.value) && !(a.width == 2 && dayAndMonth(b.value, c.value)) {
			return 0
		}
	}
	if y+1 < len(m) && m[y+1].kind == sign && sign == '.' && y+2 < len(m) && m[y+2].kind == '9' {
		return 0 // 192.168.1.10
	}
	return y + 1
}

// skipSigns returns the place after the signs that may stand within a date.
func skipSigns(m []mark, n int) int {
	for from := n; n < len(m) && n-from < 2 && strings.IndexByte("-/., ", m[n].kind) >= 0; {
		n++
	}
	return n
}

func isDay(v int) bool   { return v >= 1 && v <= 31 }
func isMonth(v int) bool { return v >= 1 && v <= 12 }
func isYear(v int) bool  { return v >= 1800 && v <= 2200 }

func dayAndMonth(a, b int) bool { return isDay(a) && isMonth(b) || isMonth(a) && isDay(b) }

// compactDate reports whether eight digits are yyyymmdd.
func compactDate(s string) bool {
	n := func(s string) (v int) {
		for i := range len(s) {
			v = v*10 + int(s[i]-'0')
		}
		return v
	}
	y := n(s[:4])
	return y >= 1900 && y <= 2100 && isMonth(n(s[4:6])) && isDay(n(s[6:8]))
}

// someClock returns how many marks a time of day is; 0 when there is none. Behind
// a date it may be written without colons.
func someClock(m []mark, behindDate bool) int {
	if len(m) == 0 || m[0].kind != '9' {
		return 0
	}
	if m[0].width > 2 {
		if !behindDate || m[0].width > 6 || m[0].width == 5 || m[0].width == 3 {
			return 0
		}
		n := 1
		if n+1 < len(m) && m[n].kind == '.' && m[n+1].kind == '9' {
			n += 2
		}
		return n + someHalf(m[n:])
	}
	if m[0].value > 24 {
		return 0
	}
	n := 1
	parts := 1
	sign := byte(0)
	for n+1 < len(m) && parts < 3 && m[n+1].kind == '9' && m[n+1].width <= 2 && m[n+1].value < 61 {
		k := m[n].kind
		if k != ':' && !(behindDate && (k == '.' || k == '-')) && !(k == 'a' && strings.EqualFold(m[n].text, "h")) {
			break
		}
		if sign != 0 && k != sign {
			break
		}
		sign = k
		n += 2
		parts++
	}
	if parts == 1 {
		if h := someHalf(m[n:]); h > 0 && behindDate {
			return n + h
		}
		if n < len(m) && m[n].kind == 'a' && strings.EqualFold(m[n].text, "h") {
			return n + 1
		}
		if behindDate && m[0].width == 2 && (n == len(m) || m[n].kind == 'a' || m[n].kind == '+' || m[n].kind == ' ') {
			return n
		}
		return 0
	}
	if n+1 < len(m) && (m[n].kind == '.' || m[n].kind == ',' || m[n].kind == ':') && m[n+1].kind == '9' && parts == 3 {
		n += 2
	}
	return n + someHalf(m[n:])
}

// someHalf returns how many marks AM or PM are, in any of their spellings, with the
// blanks before.
func someHalf(m []mark) int {
	n := 0
	if n < len(m) && m[n].kind == ' ' {
		n++
	}
	if n == len(m) || m[n].kind != 'a' {
		return 0
	}
	dotted := func(n int) int { // a.m., p. m.
		at := n + 1
		for at < len(m) && (m[at].kind == '.' || m[at].kind == ' ') && at < n+4 {
			at++
		}
		if at > n+1 && at < len(m) && m[at].kind == 'a' && strings.EqualFold(m[at].text, "m") {
			at++
			if at < len(m) && m[at].kind == '.' {
				at++
			}
			return at
		}
		return n + 1
	}
	switch strings.ToLower(m[n].text) {
	case "a", "p":
		return dotted(n)
	case "am", "pm", "odp", "dop", "vorm", "nachm", "uhr", "h":
		n++
		if n < len(m) && m[n].kind == '.' {
			n++
		}
		return n
	}
	return 0
}

// someZone returns how many marks a zone behind a time is: Z, +01:00, CEST, UTC+1,
// [Europe/Berlin].
func someZone(m []mark) int {
	n := 0
	if n < len(m) && m[n].kind == ' ' {
		n++
	}
	found := false
	if n < len(m) && m[n].kind == '(' {
		n++
	}
	if n < len(m) && m[n].kind == 'a' && m[n].width <= 5 && !joins(m[n].text) && !monthWord(m[n].text) {
		n, found = n+1, true
	}
	if n+1 < len(m) && (m[n].kind == '+' || m[n].kind == '-') && m[n+1].kind == '9' && (m[n+1].width == 4 || m[n+1].width <= 2 && m[n+1].value <= 14) {
		signed := n + 2
		if signed+1 < len(m) && m[signed].kind == ':' && m[signed+1].kind == '9' && m[signed+1].width == 2 {
			signed += 2
		} else if m[n].kind == '-' && signed < len(m) {
			return 0 // the beginning of a second one
		}
		n, found = signed, true
	}
	if n < len(m) && m[n].kind == ')' {
		n++
	}
	if n < len(m) && m[n].kind == '[' {
		for n < len(m) && m[n].kind != ']' {
			n++
		}
		return min(n+1, len(m))
	}
	if !found {
		return 0
	}
	return n
}

// monthWord reports whether s names a month in one of the languages that
// timestamps are read in, in full or cut short.
func monthWord(s string) bool {
	if len(s) < 3 {
		return false
	}
	s = strings.ToLower(s)
	begin := s
	for i := range s {
		if utf8.RuneCountInString(s[:i]) == 3 {
			begin = s[:i]
			break
		}
	}
	switch begin {
	case "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
		"mai", "okt", "dez", "mrz", "avr", "jui", "aou", "fev", "mei", "mrt", "maa", "ene", "abr", "ago", "dic", "set", "led", "úno", "bře", "dub", "kvě", "čer", "srp", "zář", "říj", "lis", "pro":
		return utf8.RuneCountInString(s) <= 10
	}
	return strings.HasPrefix(s, "mär") || strings.HasPrefix(s, "fév") || strings.HasPrefix(s, "déc") || strings.HasPrefix(s, "aoû")
}

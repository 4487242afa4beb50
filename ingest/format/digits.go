package format

import "time"

// two reads two digits.
func two(b []byte) (int, bool) {
	if len(b) < 2 {
		return 0, false
	}
	t, o := b[0]-'0', b[1]-'0'
	return int(t)*10 + int(o), t <= 9 && o <= 9
}

// oneOrTwo reads one or two digits, or with fixed exactly two, and returns how
// many it took, 0 for none.
func oneOrTwo(b []byte, fixed bool) (v, n int) {
	if len(b) == 0 || b[0]-'0' > 9 {
		return 0, 0
	}
	if len(b) == 1 || b[1]-'0' > 9 {
		if fixed {
			return 0, 0
		}
		return int(b[0] - '0'), 1
	}
	return int(b[0]-'0')*10 + int(b[1]-'0'), 2
}

// fractionLen returns the length of the fraction that b begins with, its point
// or comma included, or 0.
func fractionLen(b []byte) int {
	if len(b) < 2 || b[0] != '.' && b[0] != ',' || b[1]-'0' > 9 {
		return 0
	}
	n := 2
	for n < len(b) && b[n]-'0' <= 9 {
		n++
	}
	return n
}

// nanoseconds reads a fraction that begins with its point; digits past the
// ninth are dropped.
func nanoseconds(b []byte) int {
	v, scale := 0, 100_000_000
	for _, c := range b[1:] {
		v += int(c-'0') * scale
		scale /= 10
	}
	return v
}

// monthName reads an English month name in any case, as package time does.
func monthName(b []byte, short bool) (month, n int) {
	for m := time.January; m <= time.December; m++ {
		name := m.String()
		if short {
			name = name[:3]
		}
		if len(b) >= len(name) && equalFold(b[:len(name)], name) {
			return int(m), len(name)
		}
	}
	return 0, 0
}

func equalFold(b []byte, s string) bool {
	for i := range b {
		if b[i] != s[i] && (b[i]|0x20 != s[i]|0x20 || b[i]|0x20 < 'a' || b[i]|0x20 > 'z') {
			return false
		}
	}
	return true
}

// daysSinceEpoch counts the days from 1970-01-01 to a day of the proleptic
// Gregorian calendar, with the years made to begin in March so that the leap
// day is the last.
func daysSinceEpoch(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	yoe := year - era*400
	doy := (153*(month-3)+2)/5 + day - 1
	return int64(era)*146097 + int64(yoe*365+yoe/4-yoe/100+doy) - 719468
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

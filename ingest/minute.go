package ingest

// MinuteIn returns a number for the last date in a text, with the time of day
// beside it where there is one, that grows by about one a minute and is below
// 1<<27; 0 where no date is found. It tells about when, and no more than that:
// 03/04/2024 is one of two days, and every month has 31. But it is the same for
// the same bytes, whatever they mean, and what is later has mostly the greater
// number: an index that begins with it is written to at one place and not all
// over.
//
// Dates are 2024-04-03, 2024/4/3, 2024_04_03, 3.4.2024, 20240403, the last with
// hour, minute and second after it or without, and the epoch in ten digits, or
// thirteen.
func MinuteIn(text []byte) uint32 {
	for i := len(text) - 1; i >= 0; i-- {
		if !isDigit(text[i]) {
			continue
		}
		end := i + 1 // of a run of digits
		for i > 0 && isDigit(text[i-1]) {
			i--
		}
		if end-i < 8 && (end == len(text) || !isDateSign(text[end])) {
			continue // as most numbers are
		}
		if m := minuteAt(text[i:], end-i); m > 0 {
			return m
		}
	}
	return 0
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// isDateSign reports whether c stands between the numbers of a date.
func isDateSign(c byte) bool { return c == '-' || c == '/' || c == '.' || c == '_' }

// number reads the digits that b begins with, as many as ten.
func number(b []byte) (v, digits int) {
	for digits < len(b) && digits < 10 && isDigit(b[digits]) {
		v = v*10 + int(b[digits]-'0')
		digits++
	}
	return v, digits
}

// minuteAt is what the digits stand for that b begins with, of which there are
// run; 0 for no date.
func minuteAt(b []byte, run int) uint32 {
	switch run {
	case 1, 2, 4:
		if len(b) > run+3 && isDateSign(b[run]) && (b[run+2] == b[run] || b[run+3] == b[run]) {
			first, _ := number(b)
			return minuteOfParts(b, first, run)
		}
	case 8, 12, 14:
		first, _ := number(b[:8])
		if run > 8 {
			return minuteOf(first/1e4, first/100%100, first%100, b[8:])
		}
		return minuteOf(first/1e4, first/100%100, first%100, afterSeparator(b[8:]))
	case 10, 13: // seconds, milliseconds
		if first, _ := number(b); first >= 5e8 && first < 4102444800 {
			return uint32(first / 60)
		}
	}
	return 0
}

// minuteOfParts reads a date of three numbers with a sign between them.
func minuteOfParts(b []byte, first, digits int) uint32 {
	rest := b[digits:]
	if len(rest) < 4 || !isDateSign(rest[0]) {
		return 0
	}
	second, n := number(rest[1:])
	if n == 0 || n > 2 || len(rest) < n+3 || rest[n+1] != rest[0] {
		return 0
	}
	third, m := number(rest[n+2:])
	rest = rest[n+2+m:]
	switch {
	case digits == 4 && m > 0 && m <= 2:
		return minuteOf(first, second, third, afterSeparator(rest))
	case digits < 4 && m == 4 && second > 12:
		return minuteOf(third, first, second, afterSeparator(rest))
	case digits < 4 && m == 4:
		return minuteOf(third, second, first, afterSeparator(rest))
	}
	return 0
}

// afterSeparator is what comes after one sign between a date and a time.
func afterSeparator(b []byte) []byte {
	if len(b) > 0 && (b[0] == ' ' || b[0] == 'T' || b[0] == '_' || b[0] == '-') {
		return b[1:]
	}
	return nil
}

// minuteOf is the minute of a day, with the hour and the minute that clock
// begins with; 0 for a day that there is not.
func minuteOf(year, month, day int, clock []byte) uint32 {
	if year < 1980 || year >= 2100 || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0
	}
	m := month - 1
	minute := uint32((year-1970)*12*31+m*31+day-1) * 24 * 60
	if len(clock) < 4 || !isDigit(clock[0]) || !isDigit(clock[1]) {
		return minute
	}
	hour, _ := number(clock[:2])
	clock = clock[2:]
	if !isDigit(clock[0]) {
		clock = clock[1:]
	}
	if len(clock) < 2 || !isDigit(clock[0]) || !isDigit(clock[1]) || hour > 24 {
		return minute
	}
	past, _ := number(clock[:2])
	return minute + uint32(hour*60+min(past, 59))
}

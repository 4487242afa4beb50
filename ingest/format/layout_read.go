package format

// read reads all of b.
func (l *layout) read(b []byte) (w wall, ok bool) {
	switch l.whole {
	case wholeEpoch:
		return readEpoch(b, l.epoch)
	case wholeExcel:
		return readExcel(b)
	case wholeISO:
		w, ok = readISO(b)
	default:
		w, ok = l.walk(b)
	}
	if !ok && l.alone != nil {
		return l.alone.walk(trim(b))
	}
	return w, ok
}

// walk reads b step by step, with the leniences of package time: any number of
// blanks for a blank, a fraction after the seconds even where the layout has
// none.
func (l *layout) walk(b []byte) (w wall, ok bool) {
	year, month, day, yearDay := 1970, -1, -1, -1
	var hour, minute, second, nanos int
	var am, pm bool
	for k := range l.steps {
		s := &l.steps[k]
		n := 0 // bytes that the step takes
		switch s.kind {
		case stepLiteral:
			if len(b) == 0 || b[0] != s.literal {
				return w, false
			}
			n = 1
		case stepSpaces:
			if len(b) > 0 && b[0] != ' ' {
				return w, false
			}
			for n < len(b) && b[n] == ' ' {
				n++
			}
		case stepYear4:
			if len(b) < 4 {
				return w, false
			}
			y1, ok1 := two(b)
			y2, ok2 := two(b[2:])
			if !ok1 || !ok2 {
				return w, false
			}
			year, n = y1*100+y2, 4
		case stepYear2:
			if year, ok = two(b); !ok {
				return w, false
			}
			if year >= 69 {
				year += 1900
			} else {
				year += 2000
			}
			n = 2
		case stepMonth2, stepMonth:
			if month, n = oneOrTwo(b, s.kind == stepMonth2); n == 0 || month < 1 || month > 12 {
				return w, false
			}
		case stepMonthName, stepMonthShort:
			if month, n = monthName(b, s.kind == stepMonthShort); n == 0 {
				return w, false
			}
		case stepDay2, stepDay, stepDayBlank:
			skip := 0
			if s.kind == stepDayBlank && len(b) > 0 && b[0] == ' ' {
				skip = 1
			}
			if day, n = oneOrTwo(b[skip:], s.kind == stepDay2); n == 0 {
				return w, false
			}
			n += skip
		case stepHour:
			if hour, n = oneOrTwo(b, false); n == 0 || hour > 24 {
				return w, false
			}
		case stepHour12, stepHour12Fixed:
			if hour, n = oneOrTwo(b, s.kind == stepHour12Fixed); n == 0 || hour > 12 {
				return w, false
			}
		case stepMinute2, stepMinute:
			if minute, n = oneOrTwo(b, s.kind == stepMinute2); n == 0 || minute > 59 {
				return w, false
			}
		case stepSecond2, stepSecond:
			if second, n = oneOrTwo(b, s.kind == stepSecond2); n == 0 || second > 59 {
				return w, false
			}
			if f := fractionLen(b[n:]); f > 0 && !l.fractionAfter(k) {
				nanos = nanoseconds(b[n : n+f])
				n += f
			}
		case stepFraction:
			if n = fractionLen(b); n > 0 {
				nanos = nanoseconds(b[:n])
			}
		case stepFractionFixed:
			if n = s.digits; len(b) < n || b[0] != '.' && b[0] != ',' {
				return w, false
			}
			for _, c := range b[1:n] {
				if c-'0' > 9 {
					return w, false
				}
			}
			nanos = nanoseconds(b[:n])
		case stepUpperPM, stepLowerPM:
			if len(b) < 2 {
				return w, false
			}
			p, a := "PM", "AM"
			if s.kind == stepLowerPM {
				p, a = "pm", "am"
			}
			switch string(b[:2]) {
			case p:
				pm = true
			case a:
				am = true
			default:
				return w, false
			}
			n = 2
		case stepYearDay, stepYearDay3, stepYearDayBlank:
			if yearDay, n = readYearDay(b, s.kind); n == 0 {
				return w, false
			}
		case stepClock:
			if hour, minute, n = readClock(b); n == 0 {
				return w, false
			}
		case stepMillis:
			millis, digits := readMillis(b)
			if digits == 0 || nanos != 0 {
				return w, false
			}
			nanos, n = millis*1_000_000, digits
		case stepMonthWord:
			if month, n = l.words.month(b); n == 0 {
				return w, false
			}
		case stepHalfWord:
			if pm, n = l.words.half(b); n == 0 {
				return w, false
			}
			am = !pm
		case stepWeekday, stepWeekdayShort:
			if n = weekday(b, s.kind == stepWeekdayShort); n == 0 {
				return w, false
			}
		case stepAbbreviation:
			if w.offset, n = l.words.offset(b); n == 0 {
				return w, false
			}
			w.zoned = true
		default:
			if w.offset, n = s.readOffset(b); n == 0 {
				return w, false
			}
			w.zoned = true
		}
		b = b[n:]
	}
	if yearDay >= 0 {
		if month, day, ok = dayOfYear(year, yearDay, month, day); !ok {
			return w, false
		}
	}
	month, day = max(month, 1), dayOr1(day)
	if len(b) != 0 || day < 1 || day > daysIn(year, month) || hour == 24 && (minute != 0 || second != 0 || nanos != 0 || am || pm) {
		return w, false
	}
	if pm && hour < 12 {
		hour += 12
	} else if am && hour == 12 {
		hour = 0
	}
	w.seconds = daysSinceEpoch(year, month, day)*86400 + int64(hour*3600+minute*60+second)
	w.micros = int64(nanos / 1000)
	return w, true
}

// fractionAfter reports whether the next element after step k is a fraction,
// which then takes what follows the seconds.
func (l *layout) fractionAfter(k int) bool {
	for _, s := range l.steps[k+1:] {
		if s.kind != stepLiteral && s.kind != stepSpaces {
			return s.kind == stepFraction || s.kind == stepFractionFixed
		}
	}
	return false
}

func (s *step) readOffset(b []byte) (offset int64, n int) {
	if s.zulu && len(b) > 0 && b[0] == 'Z' {
		return 0, 1
	}
	var at, last, width int // of the minutes and the seconds
	switch s.kind {
	case stepOffset:
		at, width = 3, 5
	case stepOffsetSeconds:
		at, last, width = 3, 5, 7
	case stepOffsetColon:
		at, width = 4, 6
	case stepOffsetColonSeconds:
		at, last, width = 4, 7, 9
	default:
		width = 3
	}
	if len(b) < width || b[0] != '+' && b[0] != '-' || at == 4 && b[3] != ':' || last == 7 && b[6] != ':' {
		return 0, 0
	}
	// Package time allows 24 hours, 60 minutes and 60 seconds here.
	hours, ok := two(b[1:])
	if !ok || hours > 24 {
		return 0, 0
	}
	minutes := 0
	if at > 0 {
		if minutes, ok = two(b[at:]); !ok || minutes > 60 {
			return 0, 0
		}
	}
	seconds := 0
	if last > 0 {
		if seconds, ok = two(b[last:]); !ok || seconds > 60 {
			return 0, 0
		}
	}
	offset = int64(hours*60+minutes)*60 + int64(seconds)
	if b[0] == '-' {
		offset = -offset
	}
	return offset, width
}

// readYearDay reads the day of the year.
func readYearDay(b []byte, kind stepKind) (day, n int) {
	skip := 0
	for kind == stepYearDayBlank && skip < 2 && skip < len(b) && b[skip] == ' ' {
		skip++
	}
	for n < 3 && skip+n < len(b) && b[skip+n]-'0' <= 9 {
		day = day*10 + int(b[skip+n]-'0')
		n++
	}
	if n == 0 || kind == stepYearDay3 && n < 3 {
		return 0, 0
	}
	return day, skip + n
}

// dayOfYear returns the month and day of a day of the year. Where the text has
// month or day as well, which are not negative then, they must agree.
func dayOfYear(year, yearDay, month, day int) (int, int, bool) {
	m := 1
	for yearDay > 0 && m <= 12 && yearDay > daysIn(year, m) {
		yearDay -= daysIn(year, m)
		m++
	}
	return m, yearDay, yearDay > 0 && m <= 12 && (month < 0 || month == m) && (day < 0 || day == yearDay)
}

func dayOr1(day int) int {
	if day == -1 {
		return 1
	}
	return day
}

// readClock reads a time of day of one to four digits, the last two of which
// are the minutes: 5 is 00:05, 130 is 01:30, 2400 is the end of the day.
func readClock(b []byte) (hour, minute, n int) {
	v := 0
	for n < 4 && n < len(b) && b[n]-'0' <= 9 {
		v = v*10 + int(b[n]-'0')
		n++
	}
	if v%100 > 59 || v > 2400 {
		return 0, 0, 0
	}
	return v / 100, v % 100, n
}

// readMillis reads the milliseconds of a second, of one to three digits: 5 is
// 0.005 s.
func readMillis(b []byte) (millis, n int) {
	for n < 3 && n < len(b) && b[n]-'0' <= 9 {
		millis = millis*10 + int(b[n]-'0')
		n++
	}
	return millis, n
}

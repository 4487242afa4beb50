package format

// readISO reads a date and time of day of ISO 8601 as it is usually written:
// the date as 2024-02-29 or 20240229, T or blanks, the time as 12, 12:30, 1230,
// 12:30:15 or 123015, with a fraction of its seconds or without, and then
// nothing, Z, +01, +0100 or +01:00, after a blank or none. 24:00 is the next
// day's midnight. Weeks and days of the year are not read.
func readISO(b []byte) (w wall, ok bool) {
	days, n := isoDate(b)
	if n == 0 {
		return w, false
	}
	blank := 0
	for n+blank < len(b) && b[n+blank] == ' ' {
		blank++
	}
	if b = b[n+blank:]; blank == 0 {
		if len(b) == 0 || b[0] != 'T' {
			return w, false
		}
		b = b[1:]
	}
	seconds, micros, n := isoTime(b)
	if n == 0 {
		return w, false
	}
	w.seconds, w.micros = days*86400+seconds, micros
	b = trim(b[n:])
	if len(b) == 0 {
		return w, true
	}
	w.zoned = true
	for _, s := range [...]step{{kind: stepOffsetColon, zulu: true}, {kind: stepOffset}, {kind: stepOffsetShort}} {
		if w.offset, n = s.readOffset(b); n == len(b) {
			return w, true
		}
	}
	return w, false
}

// isoDate reads the date that b begins with, in days since 1970-01-01.
func isoDate(b []byte) (days int64, n int) {
	if len(b) < 8 {
		return 0, 0
	}
	century, ok1 := two(b)
	year, ok2 := two(b[2:])
	year += century * 100
	at, gap := 4, 0
	if b[4] == '-' {
		at, gap = 5, 1
	}
	month, ok3 := two(b[at:])
	at += 2
	if len(b) < at+gap+2 || gap == 1 && b[at] != '-' {
		return 0, 0
	}
	day, ok4 := two(b[at+gap:])
	if !ok1 || !ok2 || !ok3 || !ok4 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, 0
	}
	return daysSinceEpoch(year, month, day), at + gap + 2
}

// isoTime reads the time of day that b begins with.
func isoTime(b []byte) (seconds, micros int64, n int) {
	hour, ok := two(b)
	if !ok || hour > 24 {
		return 0, 0, 0
	}
	n = 2
	parts := [2]int{} // minutes and seconds
	limit := 2
	gap := 0
	if len(b) > 2 && b[2] == ':' {
		gap = 1
	}
	for k := range parts {
		if len(b) < n+gap+2 || gap == 1 && b[n] != ':' || b[n+gap]-'0' > 9 {
			limit = k
			break
		}
		v, ok := two(b[n+gap:])
		if !ok || v > 59 {
			return 0, 0, 0
		}
		parts[k] = v
		n += gap + 2
	}
	if gap == 1 && limit == 0 {
		return 0, 0, 0
	}
	if f := fractionLen(b[n:]); f > 0 {
		if limit < 2 {
			return 0, 0, 0 // fractions of hours and minutes are nobody's habit
		}
		micros = int64(nanoseconds(b[n:n+f]) / 1000)
		n += f
	}
	seconds = int64(hour*3600 + parts[0]*60 + parts[1])
	if seconds > 86400 || seconds == 86400 && micros > 0 {
		return 0, 0, 0
	}
	return seconds, micros, n
}

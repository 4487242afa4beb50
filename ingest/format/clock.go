package format

import (
	"encoding/binary"
	"time"
)

// A clock turns the timestamps of one layout of files into instants. It
// remembers the day and the offset of the timestamp before, since the next is
// nearly always of the same day, so it belongs to one decoder.
type clock struct {
	layouts  []*layout
	zone     *time.Location // of timestamps that do not say their offset; nil when nobody knows it
	standard bool           // the zone's standard time all year
	shift    bool           // wall times that the zone skipped are read as if its clocks had not been moved
	base     int64          // what is added to what the layouts read: the file's date, in seconds

	days []day // by layout

	// Wall times in [from, to) are offset seconds ahead of UTC.
	from, to, offset int64

	twice repeat // of the timestamp that was read last, when it is readTwice
	read  wall   // likewise, when micros did not read it the quick way
}

// A repeat is what there is to know of a wall time that a zone showed twice.
type repeat struct {
	change int64 // the instant at which its clocks went back, in microseconds
	later  int64 // by how much, which is how much later the second pass is
	zone   *time.Location
}

// A day is the date that a layout read last.
type day struct {
	text    [16]byte // with the separator after it
	known   bool
	ours    [2]uint64 // all bits of the bytes of text that count
	seconds int64
	tail    [6]byte // the offset that was read last, as +01:00
	offset  int64   // what it says
}

// set makes the day that of a date of that text.
func (d *day) set(text []byte, seconds int64) {
	var ours [len(d.text)]byte
	for i := range copy(d.text[:], text) {
		ours[i] = 0xff
	}
	d.ours = [2]uint64{binary.LittleEndian.Uint64(ours[:]), binary.LittleEndian.Uint64(ours[8:])}
	d.known, d.seconds = true, seconds
}

// begins reports whether b, which is at least as long as the texts of days can
// be, begins with that of d.
func (d *day) begins(b *[len(day{}.text)]byte) bool {
	return d.known && (binary.LittleEndian.Uint64(b[:])^binary.LittleEndian.Uint64(d.text[:]))&d.ours[0]|
		(binary.LittleEndian.Uint64(b[8:])^binary.LittleEndian.Uint64(d.text[8:]))&d.ours[1] == 0
}

// What can come of reading a timestamp.
type stampState uint8

const (
	readNot    stampState = iota // in no layout
	readGood                     //
	readNoZone                   // a wall time, and no zone is known
	readNever                    // a wall time that the zone skipped when its clocks went forward
	readTwice                    // a wall time that the zone showed twice when its clocks went back: read as of the first pass
)

func newClock(layouts []*layout, zone *time.Location) *clock {
	return &clock{layouts: layouts, zone: zone, days: make([]day, len(layouts))}
}

// use has the clock read timestamps of those layouts from now on.
func (c *clock) use(layouts []*layout) {
	if len(layouts) == len(c.layouts) && (len(layouts) == 0 || &layouts[0] == &c.layouts[0]) {
		return
	}
	c.layouts, c.days = layouts, make([]day, len(layouts))
}

// in has the clock read timestamps of that zone from now on.
func (c *clock) in(zone *time.Location) {
	if c.zone != zone {
		c.zone, c.from, c.to = zone, 0, 0
	}
}

// micros reads all of b in the first layout that takes it and returns
// microseconds since the Unix epoch, UTC.
func (c *clock) micros(b []byte) (int64, stampState) {
	for i, l := range c.layouts {
		d := &c.days[i]
		n := l.dateLen
		if n != 0 && l.alone == nil {
			if len(b) < n || b[n-1] != l.separator {
				continue // the layout's date has a fixed width, so it cannot be one of its timestamps
			}
		}
		if n != 0 && len(b) == n+l.timeLen && !l.zoned && l.fixed == 0 && d.known && string(b[:n]) == string(d.text[:n]) {
			var tod [8]byte
			copy(tod[:], b[n:])
			if s, ok := l.timeOfDay(&tod); ok {
				return c.instant(d.seconds+s, 0)
			}
		}
		w, ok := l.read(b)
		if !ok {
			continue
		}
		if n != 0 && len(b) >= n+l.timeLen && b[n] != ' ' && string(b[n:n+2]) != "24" { // 24:00 is of the next day
			d.set(b[:n], w.seconds-mod(w.seconds, 86400))
			if tail := b[max(0, len(b)-len(d.tail)):]; l.colon && (tail[0] == '+' || tail[0] == '-') {
				copy(d.tail[:], tail)
				d.offset = w.offset
			}
		}
		w.seconds += c.base
		c.read = w
		if w.zoned {
			return (w.seconds-w.offset)*1e6 + w.micros, readGood
		}
		return c.instant(w.seconds, w.micros)
	}
	return 0, readNot
}

// next reads the timestamp that begins at w[p] when it is written as most are
// and of the day of the one before. It returns where it ends, or p when micros
// has to read it; the caller sees to it that a field ends there. It needs some
// bytes of w behind the timestamp.
func (c *clock) next(w []byte, p int) (us int64, end int) {
	for i, l := range c.layouts {
		n := l.dateLen
		if n == 0 || p+n+8+len(day{}.tail) >= len(w) || p+len(day{}.text) > len(w) {
			return 0, p
		}
		if w[p+n-1] != l.separator {
			if l.alone != nil {
				return 0, p
			}
			continue // no timestamp of this layout
		}
		d := &c.days[i]
		if !d.begins((*[len(d.text)]byte)(w[p:])) {
			return 0, p
		}
		seconds, ok := l.timeOfDay((*[8]byte)(w[p+n:]))
		if !ok {
			return 0, p
		}
		seconds += d.seconds
		end = p + n + l.timeLen
		if w[end] == '.' || l.fixed > 0 {
			micros, digits := fractionOf(w, end)
			if digits == 0 || l.timeLen < len("15:04:05") || l.fixed > 0 && l.fixed != digits+1 {
				return 0, p
			}
			us = micros
			end += digits + 1
		}
		switch {
		case !l.zoned:
			if seconds < c.from || seconds >= c.to {
				return 0, p
			}
			return (seconds-c.offset)*1e6 + us, end
		case !l.colon:
			return 0, p
		case l.zulu && w[end] == 'Z':
			return seconds*1e6 + us, end + 1
		case d.tail[0] != 0 && end+len(d.tail) <= len(w) && string(w[end:end+len(d.tail)]) == string(d.tail[:]):
			return (seconds-d.offset)*1e6 + us, end + len(d.tail)
		}
		return 0, p
	}
	return 0, p
}

// fractionOf reads the fraction of a second that stands at w[p], in microseconds,
// with its point, and returns how many digits it has; 0 for none. Behind them w
// must hold another byte.
func fractionOf(w []byte, p int) (us int64, digits int) {
	if w[p] != '.' {
		return 0, 0
	}
	for scale := int64(100_000); w[p+1+digits]-'0' <= 9; digits++ {
		us += int64(w[p+1+digits]-'0') * scale
		scale /= 10
	}
	return us, digits
}

// instant turns a wall time into an instant. Of one that the zone showed twice
// that is the first, and c.twice tells of the other; one that it never showed is
// none, unless it is to be shifted.
func (c *clock) instant(seconds, micros int64) (int64, stampState) {
	if seconds >= c.from && seconds < c.to {
		return (seconds-c.offset)*1e6 + micros, readGood
	}
	if c.zone == nil {
		return 0, readNoZone
	}
	t := inZone(seconds, c.zone)
	begin, end := t.ZoneBounds()
	offset := offsetAt(t)
	if c.standard {
		offset = standardOffset(t)
	} else {
		for _, change := range [2]time.Time{begin, end} {
			if change.IsZero() {
				continue
			}
			at, before, after := change.Unix(), offsetAt(change.Add(-time.Second)), offsetAt(change)
			switch {
			case at+after <= seconds && seconds < at+before:
				c.twice = repeat{change: at * 1e6, later: (before - after) * 1e6, zone: c.zone}
				return (seconds-before)*1e6 + micros, readTwice
			case at+before <= seconds && seconds < at+after && c.shift:
				return (seconds-before)*1e6 + micros, readGood
			case at+before <= seconds && seconds < at+after:
				return 0, readNever
			}
		}
	}
	// Two days away from either change of the clock no wall time is ambiguous.
	const margin = 2 * 86400
	from, to := int64(-1<<62), int64(1<<62)
	if !begin.IsZero() {
		from = begin.Unix() + margin
	}
	if !end.IsZero() {
		to = end.Unix() - margin
	}
	if from <= seconds && seconds < to {
		c.from, c.to, c.offset = from, to, offset
	}
	return (seconds-offset)*1e6 + micros, readGood
}

// dayFrom returns how much later the next midnight is, in microseconds, when the
// timestamp that micros read last, as us, is a midnight; else 0. The layouts must
// be of times of day alone.
func (c *clock) dayFrom(us int64) int64 {
	const day = 86400
	w := c.read
	if mod(w.seconds, day) != 0 || w.micros != 0 {
		return 0
	}
	if !w.zoned {
		twice := c.twice
		next, state := c.instant(w.seconds+day, 0)
		c.twice = twice
		if state == readGood || state == readTwice {
			return next - us
		}
	}
	return day * 1e6
}

// standardOffset is how many seconds ahead of UTC the clocks of t's zone are at
// t when they are not on daylight saving time. Of a season and the one beside
// it that is the smaller offset: some zones call their winter the exception.
func standardOffset(t time.Time) int64 {
	offset := offsetAt(t)
	standard := offset
	begin, end := t.ZoneBounds()
	if !begin.IsZero() {
		if before := begin.Add(-time.Second); before.IsDST() != t.IsDST() {
			standard = min(standard, offsetAt(before))
		}
	}
	if !end.IsZero() && end.IsDST() != t.IsDST() {
		standard = min(standard, offsetAt(end))
	}
	return standard
}

// inZone is the instant that package time makes of a wall time, which is given
// as if it were UTC.
func inZone(seconds int64, zone *time.Location) time.Time {
	u := time.Unix(seconds, 0).UTC()
	return time.Date(u.Year(), u.Month(), u.Day(), u.Hour(), u.Minute(), u.Second(), 0, zone)
}

// offsetAt is how many seconds ahead of UTC the clocks of t's zone are at t.
func offsetAt(t time.Time) int64 {
	_, offset := t.Zone()
	return int64(offset)
}

// timeOfDay reads the time of day that b begins with, hh:mm:ss or, where the
// layout has no seconds, hh:mm.
func (l *layout) timeOfDay(b *[8]byte) (int64, bool) {
	// After the exclusive or, a digit is its value and a colon is 0. Adding 0x76
	// (0x7f for a colon) carries into the top bit what is greater.
	v := binary.LittleEndian.Uint64(b[:]) ^ 0x3030_3a30_303a_3030
	if l.timeLen == len("15:04") {
		v &= 0xff_ffff_ffff
	}
	if (v+0x7676_7f76_767f_7676|v)&0x8080_8080_8080_8080 != 0 {
		return 0, false
	}
	h := v&0xff*10 + v>>8&0xff
	m := v>>24&0xff*10 + v>>32&0xff
	s := v>>48&0xff*10 + v>>56
	return int64(h*3600 + m*60 + s), h < 24 && m < 60 && s < 60
}

func mod(a, b int64) int64 {
	m := a % b
	if m < 0 {
		m += b
	}
	return m
}

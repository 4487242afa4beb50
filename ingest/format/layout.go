package format

import (
	"fmt"
	"strings"
	"time"

	"github.com/ncruces/go-strftime"
)

// A layout reads one way of writing timestamps. It agrees with
// time.ParseInLocation on what it accepts and what it makes of it, but works on
// bytes, by position, and allocates nothing.
type layout struct {
	text   string // as the profile says it
	golang string // as a layout of package time; "" for an epoch
	epoch  int64  // microseconds in one unit of the epoch; 0 when it is none
	zoned  bool   // the cell says its offset
	steps  []step // nil when only package time can read it

	// What the quick way needs: the date and the separator after it take
	// dateLen bytes, then comes "15:04:05", then nothing or an offset.
	// 0 when the layout is of another form.
	dateLen   int
	separator byte
	colon     bool // the offset is written +01:00
	zulu      bool // or Z
}

// A wall is what a cell says: a date and time of day, and perhaps an offset.
type wall struct {
	seconds int64 // since the epoch, as if the wall clock showed UTC
	micros  int64 // the rest of the second
	offset  int64 // seconds east of UTC, when zoned
	zoned   bool
}

type stepKind uint8

const (
	stepLiteral stepKind = iota
	stepSpaces
	stepYear4
	stepYear2
	stepMonth2 // two digits
	stepMonth  // one or two
	stepMonthName
	stepMonthShort
	stepDay2
	stepDay
	stepDayBlank
	stepHour
	stepHour12Fixed
	stepHour12
	stepMinute2
	stepMinute
	stepSecond2
	stepSecond
	stepFraction // as many digits as the layout has, or none
	stepFractionFixed
	stepUpperPM
	stepLowerPM
	stepOffset      // -0700
	stepOffsetColon // -07:00
	stepOffsetShort // -07
)

type step struct {
	kind    stepKind
	literal byte
	zulu    bool // the offset may be a Z
	digits  int  // of a fixed fraction, with its point
}

// epochs are the names of layouts that count from 1970-01-01 00:00:00 UTC.
var epochs = map[string]int64{"epoch_s": 1e6, "epoch_ms": 1e3, "epoch_us": 1}

// named are the layouts that have names.
var named = map[string]string{"rfc3339": time.RFC3339}

// compileLayout reads a layout as profiles write them: a name, a strftime
// format (it has a percent sign), or a layout of package time.
func compileLayout(text string) (*layout, error) {
	l := &layout{text: text}
	if unit, ok := epochs[text]; ok {
		l.epoch, l.zoned = unit, true
		return l, nil
	}
	l.golang = text
	if golang, ok := named[text]; ok {
		l.golang = golang
	} else if strings.Contains(text, "%") {
		golang, err := strftime.Layout(text)
		if err != nil {
			return nil, fmt.Errorf("layout %q: %w; write a Go layout instead, such as 2006-01-02 15:04:05", text, err)
		}
		l.golang = golang
	}
	if strings.ContainsAny(l.golang, "\r\n") {
		return nil, fmt.Errorf("layout %q has a line ending in it", text)
	}
	if err := l.compile(); err != nil {
		return nil, err
	}
	return l, nil
}

// elements are those of package time's layouts, each before any other
// that is a prefix of it. An element without a step is left to package time.
var elements = []struct {
	text string
	step step
	only bool // only package time reads it
}{
	{text: "January", step: step{kind: stepMonthName}},
	{text: "Jan", step: step{kind: stepMonthShort}},
	{text: "Monday", only: true},
	{text: "Mon", only: true},
	{text: "MST", only: true},
	{text: "002", only: true},
	{text: "01", step: step{kind: stepMonth2}},
	{text: "02", step: step{kind: stepDay2}},
	{text: "03", step: step{kind: stepHour12Fixed}},
	{text: "04", step: step{kind: stepMinute2}},
	{text: "05", step: step{kind: stepSecond2}},
	{text: "06", step: step{kind: stepYear2}},
	{text: "15", step: step{kind: stepHour}},
	{text: "1", step: step{kind: stepMonth}},
	{text: "2006", step: step{kind: stepYear4}},
	{text: "2", step: step{kind: stepDay}},
	{text: "__2", only: true},
	{text: "_2", step: step{kind: stepDayBlank}},
	{text: "3", step: step{kind: stepHour12}},
	{text: "4", step: step{kind: stepMinute}},
	{text: "5", step: step{kind: stepSecond}},
	{text: "PM", step: step{kind: stepUpperPM}},
	{text: "pm", step: step{kind: stepLowerPM}},
	{text: "-070000", only: true},
	{text: "-07:00:00", only: true},
	{text: "-0700", step: step{kind: stepOffset}},
	{text: "-07:00", step: step{kind: stepOffsetColon}},
	{text: "-07", step: step{kind: stepOffsetShort}},
	{text: "Z070000", only: true},
	{text: "Z07:00:00", only: true},
	{text: "Z0700", step: step{kind: stepOffset, zulu: true}},
	{text: "Z07:00", step: step{kind: stepOffsetColon, zulu: true}},
	{text: "Z07", step: step{kind: stepOffsetShort, zulu: true}},
}

// compile turns the layout of package time into steps.
func (l *layout) compile() error {
	var date, twelve, half bool
	positional := true
	rest := l.golang
next:
	for rest != "" {
		if n, fixed := fractionElement(rest); n > 0 {
			kind := stepFraction
			if fixed {
				kind = stepFractionFixed
			}
			l.steps = append(l.steps, step{kind: kind, digits: n})
			rest = rest[n:]
			continue
		}
		for i := range elements {
			e := &elements[i]
			if !strings.HasPrefix(rest, e.text) || !standsAlone(e.text, rest[len(e.text):]) {
				continue
			}
			if strings.HasPrefix(rest, "_2006") {
				break // package time takes this underscore as a letter
			}
			switch {
			case e.text == "MST":
				return fmt.Errorf("layout %q has a zone abbreviation, and those are ambiguous; use an offset (-07:00) in the layout, or zone", l.text)
			case strings.HasPrefix(e.text, "-07"), strings.HasPrefix(e.text, "Z07"):
				l.zoned = true
			case e.text == "2006", e.text == "06":
				date = true
			case e.text == "3", e.text == "03":
				twelve = true
			case e.text == "PM", e.text == "pm":
				half = true
			}
			positional = positional && !e.only
			l.steps = append(l.steps, e.step)
			rest = rest[len(e.text):]
			continue next
		}
		kind := stepLiteral
		if rest[0] == ' ' {
			kind = stepSpaces
		}
		l.steps = append(l.steps, step{kind: kind, literal: rest[0]})
		rest = rest[1:]
		for kind == stepSpaces && rest != "" && rest[0] == ' ' {
			rest = rest[1:]
		}
	}
	if !date {
		return fmt.Errorf("layout %q has no year; write it as of 2006-01-02 15:04:05 (Go) or %%Y-%%m-%%d %%H:%%M:%%S (strftime)", l.text)
	}
	if twelve && !half {
		return fmt.Errorf("layout %q has an hour of 12 (03 or %%I) and does not say which half of the day: add PM (%%p), or write 15 (%%H) for hours of 24", l.text)
	}
	if !positional {
		l.steps = nil
	} else {
		l.findQuick()
	}
	return nil
}

// standsAlone reports whether the element text stands alone before rest, as
// package time wants it of names: "Jan" is not an element of "Janet".
func standsAlone(text, rest string) bool {
	if text != "Jan" && text != "Mon" {
		return true
	}
	return rest == "" || rest[0] < 'a' || rest[0] > 'z'
}

// fractionElement returns the length of the fraction of a second that s begins
// with, as package time finds it: a point or comma and zeros, or nines, that no
// other digit follows.
func fractionElement(s string) (n int, fixed bool) {
	if len(s) < 2 || s[0] != '.' && s[0] != ',' || s[1] != '0' && s[1] != '9' {
		return 0, false
	}
	n = 1
	for n < len(s) && s[n] == s[1] {
		n++
	}
	if n < len(s) && s[n]-'0' <= 9 {
		return 0, false
	}
	return n, s[1] == '0'
}

// findQuick sees whether the layout is of the form that the clock reads
// quickest: a date of fixed width, one separator, 15:04:05, and perhaps an
// offset.
func (l *layout) findQuick() {
	const tod = "15:04:05"
	i := strings.Index(l.golang, tod)
	if i < 2 {
		return
	}
	rest := l.golang[i+len(tod):]
	if rest != "" && !l.zoned || strings.ContainsAny(rest, ".,") {
		return
	}
	n := 0
	for k, s := range l.steps {
		switch s.kind {
		case stepYear4:
			n += 4
		case stepYear2, stepMonth2, stepDay2:
			n += 2
		case stepLiteral:
			n++
		case stepSpaces:
			if n++; n != i {
				return // a run of blanks in a timestamp passes for one
			}
		case stepHour:
			if n == i && k > 0 && n <= len(day{}.text) && (l.steps[k-1].kind == stepLiteral || l.steps[k-1].kind == stepSpaces) {
				l.dateLen, l.separator = n, l.golang[n-1]
				l.zulu = rest == "Z07:00"
				l.colon = l.zulu || rest == "-07:00"
			}
			return
		default:
			return
		}
	}
}

// read reads all of b.
func (l *layout) read(b []byte) (wall, bool) {
	switch {
	case l.epoch != 0:
		return readEpoch(b, l.epoch)
	case l.steps != nil:
		return l.walk(b)
	}
	t, err := time.ParseInLocation(l.golang, string(b), time.UTC)
	if err != nil {
		return wall{}, false
	}
	_, offset := t.Zone()
	return wall{seconds: t.Unix() + int64(offset), micros: int64(t.Nanosecond() / 1000), offset: int64(offset), zoned: l.zoned}, true
}

// walk reads b step by step, with the leniences of package time: any number of
// blanks for a blank, a fraction after the seconds even where the layout has
// none.
func (l *layout) walk(b []byte) (w wall, ok bool) {
	year, month, day := 0, 1, 1
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
			if hour, n = oneOrTwo(b, false); n == 0 || hour > 23 {
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
		default:
			if w.offset, n = s.readOffset(b); n == 0 {
				return w, false
			}
			w.zoned = true
		}
		b = b[n:]
	}
	if len(b) != 0 || day < 1 || day > daysIn(year, month) {
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
	var at, width int // of the minutes
	switch s.kind {
	case stepOffset:
		at, width = 3, 5
	case stepOffsetColon:
		at, width = 4, 6
		if len(b) > 3 && b[3] != ':' {
			return 0, 0
		}
	default:
		width = 3
	}
	if len(b) < width || b[0] != '+' && b[0] != '-' {
		return 0, 0
	}
	// Package time allows 24 hours and 60 minutes here.
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
	offset = int64(hours*60+minutes) * 60
	if b[0] == '-' {
		offset = -offset
	}
	return offset, width
}

// readEpoch reads a count of units, with or without a fraction.
func readEpoch(b []byte, unit int64) (w wall, ok bool) {
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		b = b[1:]
	}
	n, digits := int64(0), 0
	for digits < len(b) && b[digits]-'0' <= 9 {
		n = n*10 + int64(b[digits]-'0')
		if digits++; digits > 18 {
			return w, false
		}
	}
	const most = 1 << 62
	if digits == 0 || n > most/unit {
		return w, false
	}
	us, scale := n*unit, unit
	if b = b[digits:]; len(b) > 1 && b[0] == '.' {
		for _, c := range b[1:] {
			if c-'0' > 9 {
				return w, false
			}
			scale /= 10
			us += int64(c-'0') * scale
		}
	} else if len(b) > 0 {
		return w, false
	}
	if negative {
		us = -us
	}
	w.seconds, w.micros = us/1e6, us%1e6
	w.zoned = true
	return w, true
}

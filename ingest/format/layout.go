package format

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-strftime"
)

// A layout reads one way of writing timestamps. On the elements of package
// time's layouts it agrees with time.ParseInLocation on what it accepts and what
// it makes of it, but that 24:00 is the next day's midnight. It works on bytes,
// by position, and allocates nothing.
type layout struct {
	text   string // as the profile says it
	golang string // as a layout of package time, with our elements in braces
	whole  whole  // what reads it, when it is no sequence of steps
	epoch  int64  // microseconds in one unit of the epoch; 0 when it is none
	zoned  bool   // the cell says its offset
	steps  []step
	words  *words  // of {month}, {pm} and abbreviations
	alone  *layout // reads a date that stands without its time; nil when it may not

	// What the quick way needs: the date and the separator after it take
	// dateLen bytes, then comes "15:04:05" or "15:04", timeLen bytes, then nothing,
	// a fraction, an offset or both. 0 when the layout is of another form.
	dateLen   int
	timeLen   int
	fixed     int // of how many bytes the fraction has to be, with its point; 0 when there may be any or none
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

// A whole is a way of writing timestamps that is known by its name.
type whole uint8

const (
	wholeNot whole = iota
	wholeEpoch
	wholeExcel
	wholeISO
)

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
	stepOffset             // -0700
	stepOffsetColon        // -07:00
	stepOffsetShort        // -07
	stepOffsetSeconds      // -070000
	stepOffsetColonSeconds // -07:00:00
	stepWeekday
	stepWeekdayShort
	stepYearDay3     // three digits
	stepYearDayBlank // padded with blanks
	stepYearDay      // {doy}: one to three digits
	stepClock        // {hhmm}: one to four digits
	stepMillis       // {ms}: one to three digits
	stepMonthWord    // {month}
	stepHalfWord     // {pm}, with the blanks before it
	stepAbbreviation // MST
)

// ofTime reports whether a step tells something of the time of day.
func (k stepKind) ofTime() bool {
	switch k {
	case stepHour, stepHour12Fixed, stepHour12, stepMinute2, stepMinute, stepSecond2, stepSecond, stepFraction, stepFractionFixed,
		stepUpperPM, stepLowerPM, stepClock, stepMillis, stepHalfWord:
		return true
	}
	return k.ofZone()
}

func (k stepKind) ofZone() bool {
	return k >= stepOffset && k <= stepOffsetColonSeconds || k == stepAbbreviation
}

type step struct {
	kind    stepKind
	literal byte
	zulu    bool // the offset may be a Z
	digits  int  // of a fixed fraction, with its point
}

// epochs are the names of layouts that count from 1970-01-01 00:00:00 UTC.
var epochs = map[string]int64{"epoch_s": 1e6, "epoch_ms": 1e3, "epoch_us": 1}

// named are the layouts of package time that have names.
var named = map[string]string{"rfc3339": time.RFC3339}

// compileLayout reads a layout as profiles write them: a name, a strftime
// format (it has a percent sign), or a layout of package time. Its words are
// English.
func compileLayout(text string) (*layout, error) { return compileIn(text, english, false) }

// compileIn is compileLayout with the words that timestamps are written in.
// timeOnly says that the layout is of a time of day, whose date comes from
// elsewhere.
func compileIn(text string, w *words, timeOnly bool) (*layout, error) {
	l := &layout{text: text, golang: text, words: w}
	if unit, ok := epochs[text]; ok {
		l.whole, l.epoch, l.zoned = wholeEpoch, unit, true
	} else if text == "excel" {
		l.whole = wholeExcel
	} else if text == "iso8601" {
		l.whole = wholeISO
	}
	if l.whole != wholeNot {
		if timeOnly {
			return nil, fmt.Errorf("layout %q has a date, and the date comes from elsewhere", text)
		}
		return l, nil
	}
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
	if err := l.compile(timeOnly); err != nil {
		return nil, err
	}
	return l, nil
}

// elements are those of package time's layouts and, in braces, ours, each
// before any other that is a prefix of it.
var elements = []struct {
	text string
	step step
}{
	{text: "{month}", step: step{kind: stepMonthWord}},
	{text: "{pm}", step: step{kind: stepHalfWord}},
	{text: "{doy}", step: step{kind: stepYearDay}},
	{text: "{hhmm}", step: step{kind: stepClock}},
	{text: "{ms}", step: step{kind: stepMillis}},
	{text: "January", step: step{kind: stepMonthName}},
	{text: "Jan", step: step{kind: stepMonthShort}},
	{text: "Monday", step: step{kind: stepWeekday}},
	{text: "Mon", step: step{kind: stepWeekdayShort}},
	{text: "MST", step: step{kind: stepAbbreviation}},
	{text: "002", step: step{kind: stepYearDay3}},
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
	{text: "__2", step: step{kind: stepYearDayBlank}},
	{text: "_2", step: step{kind: stepDayBlank}},
	{text: "3", step: step{kind: stepHour12}},
	{text: "4", step: step{kind: stepMinute}},
	{text: "5", step: step{kind: stepSecond}},
	{text: "PM", step: step{kind: stepUpperPM}},
	{text: "pm", step: step{kind: stepLowerPM}},
	{text: "-070000", step: step{kind: stepOffsetSeconds}},
	{text: "-07:00:00", step: step{kind: stepOffsetColonSeconds}},
	{text: "-0700", step: step{kind: stepOffset}},
	{text: "-07:00", step: step{kind: stepOffsetColon}},
	{text: "-07", step: step{kind: stepOffsetShort}},
	{text: "Z070000", step: step{kind: stepOffsetSeconds, zulu: true}},
	{text: "Z07:00:00", step: step{kind: stepOffsetColonSeconds, zulu: true}},
	{text: "Z0700", step: step{kind: stepOffset, zulu: true}},
	{text: "Z07:00", step: step{kind: stepOffsetColon, zulu: true}},
	{text: "Z07", step: step{kind: stepOffsetShort, zulu: true}},
}

// compile turns the layout into steps.
func (l *layout) compile(timeOnly bool) error {
	for rest := l.golang; rest != ""; {
		n, s := nextStep(rest)
		if k := len(l.steps) - 1; s.kind == stepHalfWord && k >= 0 && l.steps[k].kind == stepSpaces {
			l.steps = l.steps[:k] // whether a blank stands before it is nobody's choice
		}
		l.steps = append(l.steps, s)
		rest = rest[n:]
	}
	if at := strings.IndexAny(l.golang, "{}"); at >= 0 && l.has(stepLiteral, '{', '}') {
		return fmt.Errorf("layout %q has braces around what is none of {doy}, {hhmm}, {ms}, {month} and {pm}", l.text)
	}
	if l.has(stepAbbreviation) {
		if len(l.words.zones) == 0 {
			return fmt.Errorf("layout %q has a zone abbreviation, and those are ambiguous; use an offset (-07:00) in the layout, or zone, or say in zones what the abbreviations mean", l.text)
		}
		for name, zone := range l.words.zones {
			if _, fixed := fixedOffset(zone); !fixed {
				return fmt.Errorf("layout %q has a zone abbreviation, and %q is to mean %s: it needs an offset, such as +01:00", l.text, name, zone)
			}
		}
	}
	l.zoned = slices.ContainsFunc(l.steps, func(s step) bool { return s.kind.ofZone() })
	switch dated := l.has(stepYear4) || l.has(stepYear2); {
	case !dated && !timeOnly:
		return fmt.Errorf("layout %q has no year; write it as of 2006-01-02 15:04:05 (Go) or %%Y-%%m-%%d %%H:%%M:%%S (strftime)", l.text)
	case dated && timeOnly:
		return fmt.Errorf("layout %q has a date, and the date comes from elsewhere", l.text)
	}
	if (l.has(stepHour12) || l.has(stepHour12Fixed)) && !l.has(stepUpperPM) && !l.has(stepLowerPM) && !l.has(stepHalfWord) {
		return fmt.Errorf("layout %q has an hour of 12 (03 or %%I) and does not say which half of the day: add PM (%%p) or {pm}, or write 15 (%%H) for hours of 24", l.text)
	}
	l.findQuick()
	return nil
}

// has reports whether the layout has a step of that kind, of literals one of
// those given.
func (l *layout) has(kind stepKind, literals ...byte) bool {
	return slices.ContainsFunc(l.steps, func(s step) bool {
		return s.kind == kind && (len(literals) == 0 || slices.Contains(literals, s.literal))
	})
}

// nextStep returns the step that a layout begins with, and its length.
func nextStep(rest string) (int, step) {
	if n, fixed := fractionElement(rest); n > 0 {
		if fixed {
			return n, step{kind: stepFractionFixed, digits: n}
		}
		return n, step{kind: stepFraction, digits: n}
	}
	for i := range elements {
		e := &elements[i]
		if !strings.HasPrefix(rest, e.text) || !standsAlone(e.text, rest[len(e.text):]) {
			continue
		}
		if strings.HasPrefix(rest, "_2006") {
			break // package time takes this underscore as a letter
		}
		return len(e.text), e.step
	}
	n, kind := 1, stepLiteral
	if rest[0] == ' ' {
		kind = stepSpaces
		n = len(rest) - len(strings.TrimLeft(rest, " "))
	}
	return n, step{kind: kind, literal: rest[0]}
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
// quickest: a date of fixed width, one separator, 15:04:05 or 15:04, and perhaps
// a fraction and an offset.
func (l *layout) findQuick() {
	tod := "15:04:05"
	i := strings.Index(l.golang, tod)
	if i < 0 {
		tod = "15:04"
		i = strings.Index(l.golang, tod)
	}
	if i < 2 {
		return
	}
	rest := l.golang[i+len(tod):]
	fraction, fixed := fractionElement(rest)
	rest = rest[fraction:]
	if l.has(stepAbbreviation) || rest != "" && !l.zoned || strings.ContainsAny(rest, ".,") {
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
				l.dateLen, l.timeLen, l.separator = n, len(tod), l.golang[n-1]
				if fixed {
					l.fixed = fraction
				}
				l.zulu = rest == "Z07:00"
				l.colon = l.zulu || rest == "-07:00"
			}
			return
		default:
			return
		}
	}
}

// mayStandAlone lets the layout read a date whose time of day is left out, as
// that day's midnight.
func (l *layout) mayStandAlone() error {
	alone := &layout{text: l.text, golang: l.golang, whole: l.whole, words: l.words}
	switch {
	case l.whole == wholeISO:
		l.alone = &layout{text: l.text, golang: "2006-01-02", words: l.words}
		return l.alone.compile(false)
	case l.whole != wholeNot:
		return nil // a serial without its fraction is a midnight anyway
	}
	first := slices.IndexFunc(l.steps, func(s step) bool { return s.kind.ofTime() })
	if first < 0 {
		return nil
	}
	last := len(l.steps) - 1
	for !l.steps[last].kind.ofTime() {
		last--
	}
	dated := func(s step) bool { return s.kind != stepLiteral && s.kind != stepSpaces }
	head, tail := l.steps[:first], l.steps[last+1:]
	if slices.ContainsFunc(l.steps[first:last], func(s step) bool { return dated(s) && !s.kind.ofTime() }) ||
		slices.ContainsFunc(head, dated) && slices.ContainsFunc(tail, dated) {
		return fmt.Errorf("layout %q has its time of day amid its date, so that no date stands alone: date_only cannot be", l.text)
	}
	for len(head) > 0 && !dated(head[len(head)-1]) {
		head = head[:len(head)-1]
	}
	for len(tail) > 0 && !dated(tail[0]) {
		tail = tail[1:]
	}
	alone.steps = slices.Concat(head, tail)
	l.alone = alone
	return nil
}

// order tells in which order the layout has year, month and day: ymd, dmy, mdy
// or another; "" for a serial.
func (l *layout) order() string {
	if l.whole == wholeISO {
		return "ymd"
	}
	var b []byte
	for _, s := range l.steps {
		switch s.kind {
		case stepYear4, stepYear2:
			b = append(b, 'y')
		case stepMonth2, stepMonth, stepMonthName, stepMonthShort, stepMonthWord:
			b = append(b, 'm')
		case stepDay2, stepDay, stepDayBlank:
			b = append(b, 'd')
		case stepYearDay, stepYearDay3, stepYearDayBlank:
			b = append(b, 'd')
		}
	}
	return string(b)
}

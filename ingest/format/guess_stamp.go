package format

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// An order is the order of year, month and day in a date.
type order string

const (
	orderYMD order = "ymd"
	orderDMY order = "dmy"
	orderMDY order = "mdy"
)

// A stampForm is how a timestamp, a date or a time of day is written, but for
// the order of its date. Two cells of one form are read by the same layouts.
type stampForm struct {
	date     dateForm
	sep1     string // between the first and second part of the date
	sep2     string
	between  string // date and time of day
	time     timeForm
	clock    string // between hour and minute where it is no colon: . or h
	weekday  string // before the date, as layouts write it
	millis   bool   // behind a third colon
	fraction bool
	pm       string // "PM", "pm", or "{pm}" in another language; "" for 24 hours
	blank    bool   // before pm
	offset   string // as layouts write it: Z07:00, -07:00, -0700, -07; "" for none
	zoneWord string // UTC, GMT or Z behind the time, where it says no more
	gap      bool   // a blank before the offset or the word
	worded   bool   // the month's name or the half of the day is not as English shortens it
}

type dateForm uint8

const (
	dateNone    dateForm = iota
	dateYear1st          // 2006-01-02
	dateYearEnd          // 02/01/2006 or 01/02/2006
	dateShort            // 02/01/06, 01/02/06 or 06/01/02
	dateName             // 02 Jan 2006
	dateNameShort
	dateNameUS    // Jan 2, 2006
	dateNameYear1 // 2006 Jan 02
	datePacked    // 20060102
	dateDay       // 2006-002, of the year
	dateDayPacked // 2006002
	dateUnix      // Mon Jan _2 15:04:05 2006, its time of day within
)

type timeForm uint8

const (
	timeNone timeForm = iota
	timeHour
	timeMinutes
	timeSeconds
	timePackedHour
	timePackedMinutes
	timePackedSeconds
)

var (
	formYear1st  = lazily(`^(\d{4})([-/.])(\d{1,2})([-/.])(\d{1,2})`)
	formNumbers  = lazily(`^(\d{1,2})([-/. ])(\d{1,2})([-/. ])(\d{4}|\d{2})`)
	formName     = lazily(`^(\d{1,2})([-/ .]{1,2}|)(\pL{3,10}\.?)([-/ .]|, ?|)(\d{4}|\d{2})`)
	formNameUS   = lazily(`^(\pL{3,10}\.?)( )(\d{1,2})(, ?| )(\d{4})`)
	formNameYear = lazily(`^(\d{4})([-/ .])(\pL{3,10}\.?)([-/ .])(\d{1,2})`)
	formDay      = lazily(`^(\d{4})([-/. ])(\d{3})`)
	formPacked   = lazily(`^(\d{4})(\d{2})(\d{2})`)
	formBetween  = lazily(`^(T| {1,3}|\x{a0}|\x{202f}|, ?| - |[:_;-])`)
	formTime     = lazily(`^(\d{1,2}):(\d{2})(?::(\d{2})([.,]\d{1,9}|:\d{3}(?:$| ))?)?`)
	formTimeDot  = lazily(`^(\d{1,2})([.h])(\d{2})(?:\.(\d{2}))?`)
	formWeekday  = lazily(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(,? )`)
	formUnix     = lazily(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \pL{3} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$`)
	formTimePack = lazily(`^(\d{2})(\d{2})?(\d{2})?`)
	formPM       = lazily(`^([ \x{a0}\x{202f}]{0,2})(AM|PM|am|pm|[aApP]\.? ?[mM]\.?|dop\.|odp\.|vorm\.|nachm\.)`)
	formOffset   = lazily(`^( ?)(Z|UTC|GMT|(?:UTC|GMT)?([+-]\d{2}:\d{2}|[+-]\d{4}|[+-]\d{2})|[A-Z]{3,4})$`)
)

// stampFormOf sees how a cell writes a date, a time of day, or both.
func stampFormOf(cell string) (f stampForm, ok bool) {
	cell = strings.TrimSpace(cell)
	if formUnix().MatchString(cell) {
		return stampForm{date: dateUnix, time: timeSeconds}, true
	}
	if m := formWeekday().FindStringSubmatch(cell); m != nil {
		f.weekday, cell = "Mon"+m[1], cell[len(m[0]):]
	}
	if len(cell) < 4 || len(cell) > 48 || !strings.ContainsAny(cell[:min(len(cell), 12)], "0123456789") {
		return f, false
	}
	rest, ok := f.readDate(cell)
	if ok && rest == "" {
		return f, true
	}
	if ok {
		if f.date == datePacked && rest[0] >= '0' && rest[0] <= '9' {
			return f, f.readPackedTime(rest)
		}
		between := formBetween().FindString(rest)
		if between == "" {
			return f, false
		}
		f.between, rest = between, rest[len(between):]
		if strings.Trim(between, " ") == "" {
			f.between = " "
		}
		if between == "T" && f.readPackedTime(rest) && f.date == datePacked {
			return f, true
		}
	}
	return f, f.readTime(rest)
}

// readDate reads the date that the cell begins with; rest is what follows.
func (f *stampForm) readDate(cell string) (rest string, ok bool) {
	if m := formYear1st().FindStringSubmatch(cell); m != nil && m[2] == m[4] {
		f.date, f.sep1, f.sep2 = dateYear1st, m[2], m[4]
		return cell[len(m[0]):], digitsEnd(cell, len(m[0]))
	}
	if m := formNumbers().FindStringSubmatch(cell); m != nil && m[2] == m[4] {
		f.date, f.sep1, f.sep2 = dateYearEnd, m[2], m[4]
		if len(m[5]) == 2 {
			f.date = dateShort
		}
		return cell[len(m[0]):], digitsEnd(cell, len(m[0]))
	}
	if m := formDay().FindStringSubmatch(cell); m != nil && digitsEnd(cell, len(m[0])) {
		f.date, f.sep1 = dateDay, m[2]
		return cell[len(m[0]):], true
	}
	for _, named := range []struct {
		form       *regexp.Regexp
		date       dateForm
		name, year int
	}{{formNameYear(), dateNameYear1, 3, 1}, {formName(), dateName, 3, 5}, {formNameUS(), dateNameUS, 1, 5}} {
		m := named.form.FindStringSubmatch(cell)
		if m == nil || !digitsEnd(cell, len(m[0])) {
			continue
		}
		month, n := guessWords.month([]byte(m[named.name]))
		if month == 0 || n < len(m[named.name]) {
			continue
		}
		f.date, f.sep1, f.sep2 = named.date, m[2], m[4]
		if named.date == dateName && len(m[named.year]) == 2 {
			f.date = dateNameShort
		}
		if short := englishMonths[month-1]; !strings.EqualFold(m[named.name], short) {
			f.worded = true
		}
		return cell[len(m[0]):], true
	}
	if m := formPacked().FindStringSubmatch(cell); m != nil && m[1] >= "1800" && m[1] < "2200" && m[2] >= "01" && m[2] <= "12" && m[3] >= "01" && m[3] <= "31" {
		f.date = datePacked
		return cell[8:], true
	}
	return cell, false
}

func digitsEnd(cell string, at int) bool {
	return at == len(cell) || cell[at] < '0' || cell[at] > '9'
}

func (f *stampForm) readPackedTime(rest string) bool {
	m := formTimePack().FindStringSubmatch(rest)
	if m == nil {
		return false
	}
	switch {
	case m[3] != "":
		f.time = timePackedSeconds
	case m[2] != "":
		f.time = timePackedMinutes
	default:
		f.time = timePackedHour
	}
	return f.readOffset(rest[len(m[0]):])
}

func (f *stampForm) readTime(rest string) bool {
	m := formTime().FindStringSubmatch(rest)
	if m == nil {
		return f.readDotted(rest)
	}
	f.time = timeMinutes
	if m[3] != "" {
		f.time = timeSeconds
	}
	f.millis = strings.HasPrefix(m[4], ":")
	f.fraction = m[4] != "" && !f.millis
	rest = rest[len(strings.TrimRight(m[0], " ")):]
	if m := formPM().FindStringSubmatch(rest); m != nil {
		f.blank = m[1] != ""
		switch m[2] {
		case "AM", "PM":
			f.pm = "PM"
		case "am", "pm":
			f.pm = "pm"
		default:
			f.pm, f.blank, f.worded = "{pm}", false, true
		}
		rest = rest[len(m[0]):]
	}
	return f.readOffset(rest)
}

// readDotted reads 14.30 and 14h30 behind a date.
func (f *stampForm) readDotted(rest string) bool {
	m := formTimeDot().FindStringSubmatch(rest)
	if m == nil || f.date == dateNone || m[2] == "h" && m[4] != "" {
		return false
	}
	f.clock, f.time = m[2], timeMinutes
	if m[4] != "" {
		f.time = timeSeconds
	}
	return f.readOffset(rest[len(m[0]):])
}

func (f *stampForm) readOffset(rest string) bool {
	if rest == "" {
		return true
	}
	m := formOffset().FindStringSubmatch(rest)
	if m == nil || f.pm != "" && m[1] == "" {
		return false
	}
	f.gap = m[1] != ""
	switch {
	case m[2] == "Z":
		f.offset = "Z07:00"
	case m[3] == "" && m[2] != "UTC" && m[2] != "GMT":
		if guessZones[m[2]] == nil {
			return false
		}
		f.offset, f.worded = "MST", true
	case m[3] == "":
		f.zoneWord = m[2]
	default:
		f.zoneWord = strings.TrimSuffix(m[2], m[3])
		switch len(m[3]) {
		case 6:
			f.offset = "-07:00"
		case 5:
			f.offset = "-0700"
		default:
			f.offset = "-07"
		}
	}
	return true
}

// orders are those that the form's date can have.
func (f *stampForm) orders() []order {
	switch f.date {
	case dateYearEnd:
		return []order{orderDMY, orderMDY}
	case dateShort:
		return []order{orderDMY, orderMDY, orderYMD}
	case dateNone:
		return []order{""}
	}
	return []order{orderYMD}
}

// layout writes the layout of the form, its date in that order. Fields that are
// padded have two digits always.
func (f *stampForm) layout(o order, padded bool) string {
	day, month := "2", "1"
	if padded {
		day, month = "02", "01"
	}
	name := "Jan"
	if f.worded && f.offset != "MST" {
		name = "{month}"
	}
	var date string
	switch f.date {
	case dateYear1st:
		date = "2006" + f.sep1 + month + f.sep2 + day
	case dateYearEnd, dateShort:
		year := "2006"
		if f.date == dateShort {
			year = "06"
		}
		switch o {
		case orderDMY:
			date = day + f.sep1 + month + f.sep2 + year
		case orderMDY:
			date = month + f.sep1 + day + f.sep2 + year
		default:
			date = year + f.sep1 + month + f.sep2 + day
		}
	case dateName:
		date = day + f.sep1 + name + f.sep2 + "2006"
	case dateNameShort:
		date = day + f.sep1 + name + f.sep2 + "06"
	case dateNameUS:
		date = name + f.sep1 + day + f.sep2 + "2006"
	case dateNameYear1:
		date = "2006" + f.sep1 + name + f.sep2 + day
	case datePacked:
		date = "20060102"
	case dateDay:
		date = "2006" + f.sep1 + "{doy}"
	}
	if f.date == dateUnix {
		return "Mon Jan _2 15:04:05 2006"
	}
	return f.weekday + date + f.between + f.timeLayout()
}

func (f *stampForm) timeLayout() string {
	hour := "15"
	if f.pm != "" {
		hour = "3"
	}
	var tod string
	switch f.time {
	case timeMinutes:
		tod = hour + ":04"
	case timeSeconds:
		tod = hour + ":04:05"
	case timePackedHour:
		tod = "15"
	case timePackedMinutes:
		tod = "1504"
	case timePackedSeconds:
		tod = "150405"
	}
	if f.clock != "" {
		tod = strings.ReplaceAll(tod, ":", f.clock)
	}
	if f.millis {
		tod += ":{ms}"
	}
	if f.pm != "" {
		if f.blank {
			tod += " "
		}
		tod += f.pm
	}
	if f.gap {
		tod += " "
	}
	return tod + f.zoneWord + f.offset
}

// zoned reports whether cells of the form tell their offset, or that they are
// of UTC.
func (f *stampForm) zoned() bool { return f.offset != "" }

// A reading of timestamps is one order of the date and the layouts that it
// makes of a column's forms.
type stampReading struct {
	order   order
	layouts []string
	read    []*layout
	column  int
	walls   []int64 // by row, seconds as if the wall clock showed UTC, less the offset where the cell has one; noWall where the cell is none
}

const noWall = -1 << 62

// A stampColumn is a column, or several joined, whose cells are timestamps, dates
// or times of day.
type stampColumn struct {
	forms    []stampForm
	readings []stampReading // by order; all of them read every cell that any does
	unread   int            // cells that are neither read nor empty
	cells    int            // that are not empty
	padded   bool
}

// stampsOf sees whether the cells are written as timestamps, with few that are
// not. The cells are those of one column, by row.
func stampsOf(cells []string) *stampColumn {
	s := &stampColumn{}
	s.padded = true
	leading := false
	tried := 0
	for _, c := range cells {
		if c = strings.TrimSpace(c); c == "" {
			continue
		}
		s.cells++
		f, ok := stampFormOf(c)
		if tried++; !ok {
			if s.unread++; s.unread > 3 && s.unread*2 > tried {
				return nil
			}
			continue
		}
		two, zero := paddingOf(c, &f)
		s.padded = s.padded && two
		leading = leading || zero
		if f.fraction = false; !slices.Contains(s.forms, f) {
			if len(s.forms) > 6 {
				return nil
			}
			s.forms = append(s.forms, f)
		}
	}
	if len(s.forms) == 0 || s.unread*10 > s.cells && (s.unread > 1 || s.cells < 3) {
		return nil
	}
	s.padded = s.padded && leading || s.cells == 1 && s.padded
	s.readings = s.read(cells)
	if len(s.readings) == 0 {
		return nil
	}
	return s
}

// paddingOf reports whether day and month have two digits each, and whether one
// of them shows a zero before its only digit.
func paddingOf(cell string, f *stampForm) (two, zero bool) {
	if f.date == dateNone || f.date >= datePacked {
		return true, true
	}
	two = true
	digits := 0
	parts := 0
	for i := 0; i <= len(cell) && parts < 3; i++ {
		if i < len(cell) && cell[i] >= '0' && cell[i] <= '9' {
			digits++
			continue
		}
		if digits > 0 {
			parts++
			if digits == 1 {
				two = false
			}
			if digits == 2 && cell[i-2] == '0' {
				zero = true
			}
			if f.date >= dateName && f.date <= dateNameYear1 && parts == 2 {
				break
			}
		}
		digits = 0
	}
	return two, zero
}

// read reads all cells in each order that every form has.
func (s *stampColumn) read(cells []string) []stampReading {
	var readings []stampReading
	orders := s.forms[0].orders()
	for _, f := range s.forms[1:] {
		if f.date != dateNone {
			orders = slices.DeleteFunc(orders, func(o order) bool { return !slices.Contains(f.orders(), o) })
		}
	}
	most := 0
	var counts []int
	for _, o := range orders {
		r := stampReading{order: o}
		for i := range s.forms {
			text := s.forms[i].layout(o, s.padded)
			if slices.Contains(r.layouts, text) {
				continue
			}
			l, err := compileGuessed(text, &s.forms[i])
			if err != nil {
				return nil
			}
			r.layouts, r.read = append(r.layouts, text), append(r.read, l)
		}
		n := 0
		r.walls = make([]int64, len(cells))
		for i, c := range cells {
			r.walls[i] = r.wall(c)
			if r.walls[i] != noWall {
				n++
			}
		}
		counts = append(counts, n)
		readings = append(readings, r)
		most = max(most, n)
	}
	if most == 0 {
		return nil
	}
	kept := readings[:0]
	for i, r := range readings {
		if counts[i] == most {
			kept = append(kept, r)
		}
	}
	s.unread = s.cells - most
	return kept
}

func (r *stampReading) wall(cell string) int64 {
	b := trim([]byte(cell))
	if len(b) == 0 {
		return noWall
	}
	for _, l := range r.read {
		if w, ok := l.read(b); ok {
			return w.seconds - w.offset
		}
	}
	return noWall
}

// hasDate and hasTime say what every form of the column tells.
func (s *stampColumn) hasDate() bool {
	return !slices.ContainsFunc(s.forms, func(f stampForm) bool { return f.date == dateNone })
}

func (s *stampColumn) hasTime() bool {
	return slices.ContainsFunc(s.forms, func(f stampForm) bool { return f.time != timeNone })
}

func (s *stampColumn) zoned() bool {
	return !slices.ContainsFunc(s.forms, func(f stampForm) bool { return !f.zoned() })
}

// saysUTC reports whether every cell says so by a word.
func (s *stampColumn) saysUTC() bool {
	return !slices.ContainsFunc(s.forms, func(f stampForm) bool { return f.zoneWord == "" || f.offset != "" })
}

// worded reports whether the layouts need words of other languages.
func (s *stampColumn) worded() bool {
	return slices.ContainsFunc(s.forms, func(f stampForm) bool { return f.worded })
}

// dateOnly reports whether some cells have no time of day while others do.
func (s *stampColumn) dateOnly() bool {
	return s.hasTime() && slices.ContainsFunc(s.forms, func(f stampForm) bool { return f.time == timeNone })
}

// describe names the layouts for a person.
func (r *stampReading) describe() string { return strings.Join(r.layouts, " or ") }

// spell is a date as people read it, to show what an order makes of a cell.
func spell(wall int64) string {
	y, m, d := civil(wall)
	return fmt.Sprintf("%d %s %d", d, [...]string{"January", "February", "March", "April", "May", "June", "July",
		"August", "September", "October", "November", "December"}[m-1], y)
}

// guessLanguages are those whose words a guess reads: no word means two things
// in them.
var guessLanguages = []string{"en", "de", "fr", "nl", "es", "cs"}

var (
	guessWords    = mustWordsOfGuess()
	englishMonths = [12]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
)

func mustWordsOfGuess() *words {
	w, err := newWords(guessLanguages, guessZones)
	if err != nil {
		panic(err)
	}
	return w
}

// compileGuessed compiles a layout of the form.
func compileGuessed(text string, f *stampForm) (*layout, error) {
	return compileIn(text, guessWords, f.date == dateNone && f.time != timeNone)
}

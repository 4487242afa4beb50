package format

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A guessWhen is how rows tell their time.
type guessWhen struct {
	columns     []int    // in the order they are joined
	layouts     []string // the first that reads a timestamp counts
	zoned       bool     // every timestamp tells its offset, or counts from 1970 in UTC
	utc         bool     // every timestamp says UTC by a word
	worded      bool     // the layouts need words of other languages, or abbreviations of zones
	dateOnly    bool
	pace        *intervalOnly // of rows that do not tell their times; else nil
	named       string        // a pattern for the date in the file's name, where rows have none
	namedLayout string
	interval    string  // the separator of two instants in one cell; "" for none
	until       int     // the column of the second of two instants; 0 for none
	walls       []int64 // by row; noWall where there is none
	order       order
	other       []stampReading // other orders, while the question is open
}

// findWhen finds the columns of the timestamp. It reports false when there is
// none.
func (g *guesser) findWhen() bool {
	g.readStamps()
	for _, find := range []func() bool{g.paced, g.intervalCells, g.epochNamed, g.instantColumns, g.dateAndClock, g.dateParts, g.namelessParts, g.epochs, g.dateAlone, g.clockAlone, g.serialDays} {
		if find() {
			g.byHalves()
			g.exchanged()
			for _, c := range g.when.columns {
				g.columns[c].role = isStamp
			}
			return true
		}
	}
	return false
}

// readStamps sees of every column whether it holds timestamps, dates or times of
// day.
func (g *guesser) readStamps() {
	for c := range g.columns {
		col := &g.columns[c]
		if col.filled == 0 {
			continue
		}
		if _, ok := stampFormOf(g.rows[col.firstRow].cells[c]); !ok && col.numeric() {
			continue
		}
		col.stamps = stampsOf(g.cellsOf(c))
	}
}

// full reports whether nearly all rows have a cell in the column.
func (g *guesser) full(c int) bool {
	n := len(g.rows)
	if g.columns[c].filled*20 >= n*19 {
		return true
	}
	// The last row may be none, as a footer is.
	last := g.rows[n-1].cells
	return n > 2 && g.columns[c].filled == n-1 && (c >= len(last) || last[c] == "")
}

// instantColumns takes the one column of date and time that is the row's own.
func (g *guesser) instantColumns() bool {
	var found []int
	for c := range g.columns {
		if s := g.columns[c].stamps; s != nil && s.hasDate() && s.hasTime() && g.full(c) && g.plausibleDates(c) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return false
	case 1:
		g.takeStamp(found[0], "it holds a date and time in every row", Certain)
		return true
	}
	g.amongInstants(found)
	return true
}

// plausibleDates keeps numbers that can be read as packed dates, but are not
// said to be any, from being taken for some.
func (g *guesser) plausibleDates(c int) bool {
	col := &g.columns[c]
	if col.numbers == 0 {
		return true
	}
	if nameTime().MatchString(col.name) && !nameIndex().MatchString(col.name) || g.sheets[0].headerless {
		return true
	}
	s := stepsOf(col.stamps.readings[0].walls)
	return s.count > 3 && s.share > 0.8 && len(col.distinct) > 3
}

// amongInstants chooses among several columns of instants.
func (g *guesser) amongInstants(found []int) {
	if start, end, ok := g.startAndEnd(found); ok {
		g.takeOneEnd(start, end)
		return
	}
	best, second := -1, -1
	score := make(map[int]int)
	for _, c := range found {
		col := &g.columns[c]
		s := stepsOf(col.stamps.readings[0].walls)
		n := 0
		if s.share >= 0.5 && s.count > 2 {
			n += 4
		}
		if len(col.distinct) < len(g.rows)/2 {
			n -= 2
		}
		if nameTime().MatchString(col.name) {
			n += 3
		}
		if nameReceived().MatchString(col.name) {
			n -= 8
		}
		if unit := strings.ToUpper(col.unit); unit == "TS" {
			n += 10
		}
		if nameUTC().MatchString(col.name) || col.stamps.zoned() {
			n += 6
		}
		if nameLocal().MatchString(col.name) {
			n--
		}
		score[c] = n
		switch {
		case best < 0 || n > score[best]:
			best, second = c, best
		case second < 0 || n > score[second]:
			second = c
		}
	}
	sure := Certain
	if score[best]-score[second] < 2 && !g.sameInstants(best, second) {
		sure = Open
		g.askColumn(best, second)
	}
	why := "of several columns with a date and time it is the one that goes on regularly, or whose name says so"
	if nameUTC().MatchString(g.columns[best].name) || g.columns[best].stamps.zoned() {
		why = "of several columns with a date and time its zone is known"
	}
	g.takeStamp(best, why, sure)
	for _, c := range found {
		if c != best {
			g.columns[c].role, g.columns[c].why = isIgnored, "another time than the row's own"
		}
	}
}

// askColumn asks which of two columns is the time of the readings.
func (g *guesser) askColumn(a, b int) {
	q := question{key: "timestamp.column", text: fmt.Sprintf("Which column is the time of the readings, %q or %q?", g.columns[a].name, g.columns[b].name)}
	for _, c := range []int{a, b} {
		q.add("timestamp.column="+g.columns[c].name, "the readings stand at "+g.columns[c].name)
	}
	g.ask(q)
}

// sameInstants reports whether two columns tell the same wall time in every row.
func (g *guesser) sameInstants(a, b int) bool {
	return slices.Equal(g.columns[a].stamps.readings[0].walls, g.columns[b].stamps.readings[0].walls)
}

// takeStamp makes one column the timestamp.
func (g *guesser) takeStamp(c int, why string, sure Certainty) {
	col := &g.columns[c]
	g.when = &guessWhen{columns: []int{c}}
	g.find(Finding{What: "timestamp", Value: g.columnName(c), Sure: sure, Evidence: why, Sample: g.rows[max(col.firstRow, 0)].sample, Line: g.rows[max(col.firstRow, 0)].line})
	for i := range col.stamps.readings {
		col.stamps.readings[i].column = c
	}
	g.takeForms(col.stamps, func(row int) string { return g.rows[row].cells[c] })
}

// takeForms decides on the order of the date and takes its layouts.
func (g *guesser) takeForms(s *stampColumn, cell func(int) string) {
	w := g.when
	at, f := g.orderOf(s.readings, s.forms, cell)
	r := &s.readings[at]
	w.layouts, w.walls, w.order = r.layouts, r.walls, r.order
	w.zoned, w.utc, w.worded, w.dateOnly = s.zoned(), s.saysUTC(), s.worded(), s.dateOnly()
	g.find(Finding{What: "layout", Value: r.describe(), Sure: Certain, Evidence: "it reads every timestamp", Line: g.rows[0].line})
	g.find(f)
	if f.Sure == Open {
		w.other = append(w.other, s.readings[:at]...)
		w.other = append(w.other, s.readings[at+1:]...)
	}
}

// dateAndClock takes two columns, of dates and of times of day.
func (g *guesser) dateAndClock() bool {
	date, clock := -1, -1
	better := func(c, than int) bool {
		return than < 0 || nameUTC().MatchString(g.columns[c].name) && !nameUTC().MatchString(g.columns[than].name)
	}
	for c := range g.columns {
		s := g.columns[c].stamps
		if s == nil || !g.full(c) {
			continue
		}
		if s.hasDate() && !s.hasTime() && g.plausibleDates(c) && better(c, date) {
			date = c
		}
		if !s.hasDate() && s.hasTime() && s.readings[0].order == "" && better(c, clock) {
			clock = c
		}
	}
	if date < 0 {
		return false
	}
	if clock >= 0 && g.clocksOfOthers(date) {
		return false
	}
	if clock < 0 {
		return g.dateAndHour(date)
	}
	d, t := g.columns[date].stamps, g.columns[clock].stamps
	joined := &stampColumn{forms: d.forms, cells: d.cells, padded: d.padded}
	for _, r := range d.readings {
		both := stampReading{order: r.order, column: date, walls: make([]int64, len(r.walls))}
		for i := range r.walls {
			both.walls[i] = noWall
			if tod := t.readings[0].walls[i]; r.walls[i] != noWall && tod != noWall {
				both.walls[i] = r.walls[i] + mod(tod, 86400)
			}
		}
		for _, a := range r.layouts {
			for _, b := range t.readings[0].layouts {
				both.layouts = append(both.layouts, a+" "+b)
			}
		}
		joined.readings = append(joined.readings, both)
	}
	g.when = &guessWhen{columns: []int{date, clock}}
	g.find(Finding{What: "timestamp", Value: g.columnName(date) + " and " + g.columnName(clock), Sure: Certain, Evidence: "a date and a time of day in every row", Line: g.rows[0].line})
	g.takeForms(joined, func(row int) string { return g.rows[row].cells[date] })
	g.when.zoned, g.when.utc, g.when.worded, g.when.dateOnly = t.zoned(), t.saysUTC(), d.worded() || t.worded(), false
	g.milliseconds()
	g.redundantStamps()
	return true
}

// clocksOfOthers reports whether a table with a row a date tells several times of
// day in each, which are no interval: when the least and the greatest were, say.
func (g *guesser) clocksOfOthers(date int) bool {
	var clocks []int
	for c := range g.columns {
		if s := g.columns[c].stamps; s != nil && !s.hasDate() && s.hasTime() && g.full(c) {
			clocks = append(clocks, c)
		}
	}
	if len(clocks) < 2 || g.columns[date].filled != len(g.columns[date].distinct) || len(g.rows) < 3 {
		return false
	}
	for _, c := range clocks {
		name := g.columns[c].name
		if nameStart().MatchString(name) || nameEnd().MatchString(name) || nameUTC().MatchString(name) || nameLocal().MatchString(name) {
			return false
		}
	}
	return true
}

// dateAndHour takes a column of dates and one of numbers for the hour, or for
// hour and minute together.
func (g *guesser) dateAndHour(date int) bool {
	for c := range g.columns {
		col := &g.columns[c]
		if c == date || col.stamps != nil || !g.full(c) {
			continue
		}
		packed := g.digits(c, 6)
		hour, hhmm := nameHour().MatchString(col.name), nameHHMM().MatchString(col.name) || nameTime().MatchString(col.name) && (g.digits(c, 4) || packed)
		if hhmm && clockOfOther(g.columns[date].name, col.name) {
			continue
		}
		values, ok := g.integersOf(c)
		if !ok || !hour && !hhmm {
			continue
		}
		lo, hi, minutes := boundsOf(values)
		var layout string
		switch {
		case hour && lo >= 0 && hi <= 24:
			layout = "15"
		case hhmm && packed && lo >= 0 && hi < 240000 && minutes:
			layout = "150405"
		case hhmm && lo >= 0 && hi <= 2400 && minutes && hi > 24:
			layout = "{hhmm}"
		default:
			continue
		}
		d := g.columns[date].stamps
		joined := &stampColumn{forms: d.forms, cells: d.cells, padded: d.padded}
		for _, r := range d.readings {
			both := stampReading{order: r.order, column: date, walls: make([]int64, len(r.walls))}
			for i := range r.walls {
				both.walls[i] = noWall
				if r.walls[i] != noWall && values[i] != noWall {
					seconds := values[i] * 3600
					switch layout {
					case "150405":
						seconds = values[i]/10000*3600 + values[i]/100%100*60 + values[i]%100
					case "{hhmm}":
						seconds = values[i]/100*3600 + values[i]%100*60
					}
					both.walls[i] = r.walls[i] + seconds
				}
			}
			for _, a := range r.layouts {
				both.layouts = append(both.layouts, a+" "+layout)
			}
			joined.readings = append(joined.readings, both)
		}
		g.when = &guessWhen{columns: []int{date, c}}
		g.find(Finding{What: "timestamp", Value: g.columnName(date) + " and " + g.columnName(c), Sure: Certain, Evidence: "a date and an hour in every row", Line: g.rows[0].line})
		g.takeForms(joined, func(row int) string { return g.rows[row].cells[date] })
		return true
	}
	return false
}

// clockOfOther reports whether the names say that a date and a time of day are
// of two zones.
func clockOfOther(date, clock string) bool {
	return nameUTC().MatchString(date) && nameLocal().MatchString(clock) || nameLocal().MatchString(date) && nameUTC().MatchString(clock)
}

// digits reports whether every cell of the column is of n digits.
func (g *guesser) digits(c, n int) bool {
	for s := range g.columns[c].distinct {
		if _, ok := integerOf(s); !ok || len(s) != n {
			return false
		}
	}
	return true
}

// boundsOf are the least and the greatest of the values; minutes reports
// whether all of them end in a minute, as 2359 does.
func boundsOf(values []int64) (lo, hi int64, minutes bool) {
	lo, hi, minutes = math.MaxInt64, math.MinInt64, true
	for _, v := range values {
		if v == noWall {
			continue
		}
		lo, hi = min(lo, v), max(hi, v)
		minutes = minutes && v%100 < 60
	}
	return lo, hi, minutes
}

// epochNamed takes a column that counts from 1970 and says so, where no other
// tells its offset.
func (g *guesser) epochNamed() bool {
	if slices.ContainsFunc(g.columns, func(col guessColumn) bool { return col.stamps != nil && col.stamps.hasDate() && col.stamps.zoned() }) {
		return false
	}
	return slices.ContainsFunc(g.columns, func(col guessColumn) bool { return nameEpoch().MatchString(col.name) }) && g.epochs()
}

// epochs takes a column that counts from 1970.
func (g *guesser) epochs() bool {
	for _, named := range []bool{true, false} {
		for c := range g.columns {
			col := &g.columns[c]
			if !g.full(c) || col.numbers == 0 || col.stamps != nil || named != nameTime().MatchString(col.name) {
				continue
			}
			layout, unit := "", int64(1)
			for _, e := range []struct {
				layout string
				unit   int64
			}{{"epoch_s", 1}, {"epoch_ms", 1000}, {"epoch_us", 1000000}} {
				if g.within(c, 315_532_800*float64(e.unit), 2_524_608_000*float64(e.unit)) {
					layout, unit = e.layout, e.unit
				}
			}
			if layout == "" {
				continue
			}
			w := &guessWhen{columns: []int{c}, layouts: []string{layout}, zoned: true, walls: make([]int64, len(g.rows)), order: orderYMD}
			for i, v := range g.valuesOf(c) {
				if w.walls[i] = noWall; !math.IsNaN(v) {
					w.walls[i] = int64(v) / unit
				}
			}
			s := stepsOf(w.walls)
			if !named && (s.count < 4 || s.share < 0.6) {
				continue
			}
			g.when = w
			g.find(Finding{What: "timestamp", Value: g.columnName(c), Sure: Certain, Line: g.rows[0].line,
				Evidence: fmt.Sprintf("its numbers, counted from 1970, are dates: the first is %s", spell(w.walls[0]))})
			g.find(Finding{What: "layout", Value: layout, Sure: Certain, Evidence: "of the size of its numbers", Line: g.rows[0].line})
			return true
		}
	}
	return false
}

// within reports whether all numbers of the column lie in a range.
func (g *guesser) within(c int, lo, hi float64) bool {
	n := 0
	for _, v := range g.valuesOf(c) {
		if math.IsNaN(v) {
			continue
		}
		if v < lo || v > hi {
			return false
		}
		n++
	}
	return n > 0
}

// dateAlone takes a column of dates, of a table with a row a day or more.
func (g *guesser) dateAlone() bool {
	for c := range g.columns {
		s := g.columns[c].stamps
		if s == nil || !s.hasDate() || s.hasTime() || !g.full(c) || !g.plausibleDates(c) {
			continue
		}
		g.takeStamp(c, "it holds a date in every row, and no column a time of day", Certain)
		g.when.dateOnly = true
		return true
	}
	return false
}

// serialDays takes a column of days as spreadsheets count them.
func (g *guesser) serialDays() bool {
	for c := range g.columns {
		col := &g.columns[c]
		if !g.full(c) || col.numbers == 0 || !nameTime().MatchString(col.name) || !g.within(c, 20000, 80000) {
			continue
		}
		if _, err := compileLayout("excel"); err != nil {
			return false
		}
		w := &guessWhen{columns: []int{c}, layouts: []string{"excel"}, walls: make([]int64, len(g.rows)), order: orderYMD}
		for i, v := range g.valuesOf(c) {
			if w.walls[i] = noWall; !math.IsNaN(v) {
				w.walls[i] = int64(math.Round((v - 25569) * 86400))
			}
		}
		if s := stepsOf(w.walls); s.count > 1 && s.share < 0.3 {
			continue
		}
		g.when = w
		g.find(Finding{What: "timestamp", Value: g.columnName(c), Sure: Certain, Line: g.rows[0].line,
			Evidence: fmt.Sprintf("its numbers, as spreadsheets count days, are dates: the first is %s", spell(w.walls[0]))})
		return true
	}
	return false
}

// redundantStamps ignores what else tells a time.
func (g *guesser) redundantStamps() {
	for c := range g.columns {
		col := &g.columns[c]
		if col.role != isUnknown || col.stamps == nil || slices.Contains(g.when.columns, c) {
			continue
		}
		col.role, col.why = isIgnored, "another date or time than the row's own"
	}
}

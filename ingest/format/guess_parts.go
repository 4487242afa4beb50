package format

import (
	"slices"
	"strings"
)

// dateParts takes numbers of the year, the month and so on.
func (g *guesser) dateParts() bool {
	type part struct {
		is     func(string) bool
		lo, hi int64
		layout string
	}
	take := func(from int, parts []part) (columns []int, layouts []string) {
		at := from
		for _, p := range parts {
			c := slices.IndexFunc(g.columns[at:], func(col guessColumn) bool { return p.is(col.name) })
			if c < 0 || c > 2 && len(columns) > 0 {
				break
			}
			c += at
			values, ok := g.integersOf(c)
			if !ok || !g.full(c) {
				break
			}
			if lo, hi, _ := boundsOf(values); lo < p.lo || hi > p.hi {
				break
			}
			layout := p.layout
			if layout == "2006" {
				if _, hi, _ := boundsOf(values); hi < 100 {
					layout = "06"
				}
			}
			columns, layouts, at = append(columns, c), append(layouts, layout), c+1
		}
		return columns, layouts
	}
	year := part{nameYear().MatchString, 0, 2199, "2006"}
	clock := []part{{nameHour().MatchString, 0, 24, "15"}, {nameMinute().MatchString, 0, 59, "4"}, {nameSecond().MatchString, 0, 59, "5"}}
	columns, layouts := take(0, append([]part{year, {nameMonth().MatchString, 1, 12, "1"}, {nameDay().MatchString, 1, 31, "2"}}, clock...))
	if len(columns) < 3 {
		doy := part{nameDoy().MatchString, 1, 366, "{doy}"}
		columns, layouts = take(0, append([]part{year, doy}, part{nameHHMM().MatchString, 0, 2400, "{hhmm}"}))
		if len(columns) == 2 {
			columns, layouts = take(0, append([]part{year, doy}, clock...))
		}
		if len(columns) < 2 {
			return false
		}
	}
	if len(columns) == 3 && layouts[2] == "2" {
		for c := range g.columns {
			if s := g.columns[c].stamps; s != nil && !s.hasDate() && s.hasTime() && g.full(c) && len(s.readings[0].layouts) == 1 {
				columns, layouts = append(columns, c), append(layouts, s.readings[0].layouts[0])
				break
			}
		}
	}
	return g.takeParts(columns, strings.Join(layouts, " "))
}

// milliseconds takes a column of them, beside one of the time of day.
func (g *guesser) milliseconds() {
	for c := range g.columns {
		if !nameMillis().MatchString(g.columns[c].name) || !g.full(c) {
			continue
		}
		values, ok := g.integersOf(c)
		if !ok {
			continue
		}
		if lo, hi, _ := boundsOf(values); lo < 0 || hi > 999 {
			continue
		}
		w := g.when
		w.columns = append(w.columns, c)
		for i := range w.layouts {
			w.layouts[i] += " {ms}"
		}
		for i := range w.other {
			for k := range w.other[i].layouts {
				w.other[i].layouts[k] += " {ms}"
			}
		}
		g.find(Finding{What: "timestamp", Value: g.columnName(c), Sure: Certain, Evidence: "milliseconds in every row", Line: g.rows[0].line})
		return
	}
}

// namelessParts takes the parts of a date of a table whose columns have no
// names.
func (g *guesser) namelessParts() bool {
	sh := g.sheets[0]
	if !sh.headerless || sh.whenKind != whenParts {
		return false
	}
	for _, text := range []string{"2006 1 2 15 4 5", "2006 1 2 15 4", "2006 1 2 15", "2006 1 2", "2006 {doy} {hhmm}", "2006 {doy} 15", "2006 {doy}"} {
		if len(strings.Fields(text)) != len(sh.when) {
			continue
		}
		if g.takeParts(sh.when, text) {
			return true
		}
	}
	return false
}

// takeParts takes the columns joined by blanks as the timestamp, if the layout
// reads nearly all rows.
func (g *guesser) takeParts(columns []int, text string) bool {
	l, err := compileGuessed(text, &stampForm{})
	if err != nil {
		return false
	}
	w := &guessWhen{columns: columns, layouts: []string{text}, walls: make([]int64, len(g.rows)), order: orderYMD}
	read := 0
	for i, row := range g.rows {
		var cells []string
		for _, c := range columns {
			if c < len(row.cells) {
				cells = append(cells, row.cells[c])
			}
		}
		w.walls[i] = noWall
		if t, ok := l.read([]byte(strings.Join(cells, " "))); ok {
			w.walls[i] = t.seconds
			read++
		}
	}
	if read*20 < len(g.rows)*19 && read < len(g.rows)-1 {
		return false
	}
	g.when = w
	var names []string
	for _, c := range columns {
		names = append(names, g.columnName(c))
	}
	g.find(Finding{What: "timestamp", Value: strings.Join(names, ", "), Sure: Certain, Evidence: "their ranges are those of a date's parts, and " + text + " reads them", Line: g.rows[0].line})
	return true
}

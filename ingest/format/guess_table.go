package format

import (
	"fmt"
	"slices"
	"strings"
)

// firstRows and lastRows are how many rows of a sample a sheet holds.
const (
	firstRows = 2000
	lastRows  = 200
)

// readTable cuts the table that d found: its rows, what stands between them,
// and where it ends.
func (sh *sheet) readTable(d *dialectTry) {
	s := &d.all[d.best]
	sh.delimiter, sh.fixed = d.cutter.delimiter, d.cutter.fixed
	if sh.fixed != nil {
		sh.delimiter = 0
	}
	c := &d.cutter
	first := sh.firstLine(d, s)
	t := tableReader{sheet: sh, cutter: c, place: s.place}
	t.read(first)
	sh.width = t.width()
	if sh.place = s.place; sh.place >= numbersOnly {
		first = t.dropStrays()
	}
	sh.when, sh.whenKind = whenOf(s.place, sh.typicalRows(), nil)
	sh.readHead(c, first)
	sh.when, sh.whenKind = whenOf(s.place, sh.typicalRows(), sh.names)
	t.dropTimeless()
	sh.readTold()
	if sh.whenKind == whenNone {
		sh.readInterval()
	}
	if sh.headerless {
		if sh.readColumnsFrom(); sh.columnsFrom == "" {
			sh.find("header", "none", Open, int64(first+1), "no line above the first row names its %d columns: are they what they seem? header=yes", sh.width)
		}
	}
	t.sortOut()
	sh.readRecords(&t)
	sh.otherTables(d, s)
	sh.sayRows(&t)
}

// firstLine returns the line of the table's first row. Rows like those of s may
// stand further up already, with much between.
func (sh *sheet) firstLine(d *dialectTry, s *stretch) int {
	first := s.first
	for i := d.best - 1; i >= 0; i-- {
		before := &d.all[i]
		if before.place == s.place && before.width == s.width && before.valued > 0 && before.last < first && before.place < numbersOnly && !sh.headBetween(d, before.last+1, first) {
			first = before.first
		}
	}
	return first
}

// headBetween reports whether something like a header stands in the lines.
func (sh *sheet) headBetween(d *dialectTry, from, to int) bool {
	for i := from; i < to; i++ {
		if f := &d.forms[i]; f.texts > 1 && f.times == 0 && f.numbers == 0 && f.texts+1 >= f.last {
			return true
		}
	}
	return false
}

// A tableReader collects the rows of a table.
type tableReader struct {
	*sheet
	cutter *cutter
	place  rowPlace
	others []int // lines among or after the rows that are none, from 0, blank ones left out
	hollow []int // lines of delimiters alone, from 0
	end    int   // the line after the last row
	scan   int   // the line up to which all lines were looked at
	arena  []string
	widths map[int]int
}

// read collects the rows from line first on: the first thousands, and the last
// hundreds of the sample.
func (t *tableReader) read(first int) {
	t.widths = make(map[int]int, 4)
	t.rows = make([]sheetRow, 0, min(len(t.lines)-first, firstRows+lastRows))
	t.arena = make([]string, 0, 1024)
	i := first
	for ; i < len(t.lines) && len(t.rows) < firstRows; i++ {
		t.look(i)
	}
	t.gap, t.scan = len(t.rows), i
	if i >= len(t.lines) {
		return
	}
	tail := max(i, len(t.lines)-lastRows-50)
	others, end := len(t.others), t.end
	for j := tail; j < len(t.lines); j++ {
		t.look(j)
	}
	if len(t.rows) > t.gap {
		if tail == t.scan {
			t.gap, t.scan = len(t.rows), len(t.lines)
		}
		return
	}
	// The table ends somewhere before the sample does.
	t.others, t.end = t.others[:others], end
	for ; i < len(t.lines); i++ {
		t.look(i)
		if len(t.rows) > firstRows+lastRows {
			t.rows = slices.Delete(t.rows, firstRows, firstRows+1)
		}
		if i > t.end+2000 {
			break
		}
	}
	t.scan = i
	if len(t.rows) < firstRows+lastRows {
		t.gap = len(t.rows)
	}
}

// look keeps line i as a row, or as something else.
func (t *tableReader) look(i int) {
	line := t.line(i)
	if strings.TrimSpace(line) == "" {
		return
	}
	cells := t.cutter.cut(line)
	f := formOf(t.cutter)
	if f.last == 0 {
		t.hollow = append(t.hollow, i)
		return
	}
	p := f.place()
	if p != t.place && (p < numbersOnly || t.place < numbersOnly) {
		t.others = append(t.others, i)
		return
	}
	if len(t.arena)+len(cells) > cap(t.arena) {
		t.arena = make([]string, 0, max(4096, len(cells)))
	}
	from := len(t.arena)
	t.arena = append(t.arena, cells...)
	row := sheetRow{line: int64(i + 1), cells: t.arena[from:len(t.arena):len(t.arena)]}
	if t.cutter.any {
		row.quoted, t.quotes = slices.Clone(t.cutter.quoted), true
	}
	t.widths[len(cells)]++
	t.rows = append(t.rows, row)
	t.end = i + 1
}

// width returns how many cells most rows have.
func (t *tableReader) width() int {
	width, most := 0, 0
	for w, n := range t.widths {
		if n > most || n == most && w > width {
			width, most = w, n
		}
	}
	return width
}

// dropStrays drops rows of numbers before the table's own, which have another
// number of cells, and returns the line of the first that is left.
func (t *tableReader) dropStrays() int {
	n := 0
	for n < len(t.rows) && n < t.gap && len(t.rows[n].cells) != t.sheet.width {
		n++
	}
	if n < len(t.rows) {
		t.rows = t.rows[n:]
		t.gap -= n
	}
	from := int(t.rows[0].line) - 1
	t.others = slices.DeleteFunc(t.others, func(i int) bool { return i < from })
	return from
}

// dropTimeless drops rows of numbers that end before the cells of their time.
func (t *tableReader) dropTimeless() {
	sh := t.sheet
	if sh.place < numbersOnly || len(sh.when) == 0 {
		return
	}
	from := slices.Max(sh.when) + 1
	t.drop(func(r *sheetRow) bool { return len(r.cells) < from })
}

// drop takes rows out of the table, unless none would be left.
func (t *tableReader) drop(odd func(*sheetRow) bool) {
	sh := t.sheet
	kept := make([]sheetRow, 0, len(sh.rows))
	gap := sh.gap
	var dropped []int
	for i := range sh.rows {
		if odd(&sh.rows[i]) {
			dropped = append(dropped, int(sh.rows[i].line)-1)
			if i < sh.gap {
				gap--
			}
			continue
		}
		kept = append(kept, sh.rows[i])
	}
	if len(kept) == 0 || len(dropped) == 0 {
		return
	}
	sh.rows, sh.gap, t.end = kept, gap, int(kept[len(kept)-1].line)
	t.others = append(t.others, dropped...)
	slices.Sort(t.others)
}

// typicalRows are rows as wide as most, from the table's inside where it has
// one, for what has to hold for all of them.
func (sh *sheet) typicalRows() []sheetRow {
	rows := sh.rows[:sh.gap]
	if len(rows) > 12 {
		rows = rows[3:min(len(rows), 100)]
	}
	typical := make([]sheetRow, 0, len(rows))
	for i := range rows {
		if len(rows[i].cells) == sh.width {
			typical = append(typical, rows[i])
		}
	}
	return typical
}

// otherTables says when there is another table of readings in the file, of
// which one profile can read only one.
func (sh *sheet) otherTables(d *dialectTry, s *stretch) {
	for i := range d.all {
		o := &d.all[i]
		if i == d.best || o.place >= numbersOnly || o.valued < 3 || o.valued*5 < s.valued || o.place == s.place && abs(o.width-s.width) < 2 {
			continue
		}
		if o.first >= s.first && o.last <= s.last {
			continue // rows among those of the table
		}
		if names := sh.namesAbove(&d.cutter, o); names != nil {
			sh.find("table", fmt.Sprintf("from line %d", s.first+1), Open, int64(o.first+1), "from line %d on stands another table with times and numbers (%s), and a profile reads one of them", o.first+1, cut([]byte(strings.Join(names, ", "))))
			return
		}
	}
}

// sayRows says what the rows are like.
func (sh *sheet) sayRows(t *tableReader) {
	first, last := sh.rows[0].line, sh.rows[len(sh.rows)-1].line
	value := fmt.Sprintf("from line %d", first)
	switch {
	case !sh.whole && t.end == len(sh.lines):
		sh.find("rows", value, Certain, first, "%s of %d cells and on to the end of the sample, line %d", plural(len(sh.rows), "row"), sh.width, last)
	case sh.gap < len(sh.rows):
		sh.find("rows", value, Certain, first, "rows of %d cells down to line %d", sh.width, last)
	default:
		sh.find("rows", value, Certain, first, "%s of %d cells down to line %d", plural(len(sh.rows), "row"), sh.width, last)
	}
	if sh.short > 0 {
		sh.find("short rows", plural(sh.short, "row"), Likely, 0, "fewer cells than the %d of most", sh.width)
	}
	if sh.long > 0 {
		sh.find("long rows", plural(sh.long, "row"), Likely, 0, "cells that are not empty beyond the %d of most", sh.width)
	}
	if sh.repeats > 0 {
		sh.find("header", "repeated", Certain, 0, "it stands %d more times among the rows", sh.repeats)
	}
	if sh.quotes {
		sh.find("quotes", string(sh.quote), Certain, 0, "cells are quoted")
	}
}

package format

import (
	"fmt"
	"slices"
	"strings"
)

// readNoRows makes out a file in which no line is a row of readings: a header
// with nothing below is a table without readings; all else is refused.
func (sh *sheet) readNoRows() {
	if sh.wrapped() {
		return
	}
	var best *headLine
	var bestCutter cutter
	timeless := "" // the names of a table without a time
	rowsBelow := 0
	for _, d := range []byte(",;\t|") {
		if sh.sep && d != sh.delimiter {
			continue
		}
		c := cutter{delimiter: d, quote: sh.quote}
		for at := range min(len(sh.lines), farSight) {
			line := sh.line(at)
			if strings.IndexByte(line, d) < 0 {
				continue
			}
			cells := c.cut(line)
			f := formOf(&c)
			if f.texts < 2 || f.times > 0 || f.numbers > 0 || f.texts+f.missing+1 < f.last {
				continue
			}
			l := headLine{at: at, cells: slices.Clone(cells), last: f.last}
			l.timed = slices.ContainsFunc(l.cells[:min(4, f.last)], timeWord)
			if distinct(&l) < f.last {
				continue
			}
			if !l.timed {
				if n := sh.sameWidthBelow(&c, at, len(cells)); n > rowsBelow {
					timeless, rowsBelow = strings.Join(l.cells, ", "), n
				}
				continue
			}
			if (best == nil || l.last >= best.last) && headerLike(&l) && sh.onlyTableBelow(&c, at) {
				best, bestCutter = &l, c
			}
		}
	}
	switch {
	case best != nil:
		sh.headerAlone(best, &bestCutter)
	case rowsBelow > 0:
		sh.refusal = fmt.Sprintf("the file is a list without times, not readings: no row of its table (%s) has a timestamp", cut([]byte(timeless)))
	default:
		sh.refusal = sh.whatItIs()
	}
}

// headerLike reports whether the cells are names, not pieces of sentences.
func headerLike(l *headLine) bool {
	return !slices.ContainsFunc(l.cells, func(s string) bool {
		return len(s) > 100 || strings.Count(s, " ") > 8 || strings.HasSuffix(s, ".") && strings.Count(s, " ") > 2
	})
}

// onlyTableBelow reports whether nearly all lines below line at may belong to
// its table: rows, units, or an end mark.
func (sh *sheet) onlyTableBelow(c *cutter, at int) bool {
	width := len(c.cut(sh.line(at)))
	strange := 0
	for i := at + 1; i < len(sh.lines) && i < at+200; i++ {
		if line := sh.line(i); strings.TrimSpace(line) != "" && len(c.cut(line)) != width {
			if strange++; strange > 2 {
				return false
			}
		}
	}
	return true
}

func (sh *sheet) sameWidthBelow(c *cutter, at, width int) int {
	n := 0
	for i := at + 1; i < len(sh.lines) && i < at+200; i++ {
		if line := sh.line(i); line != "" && len(c.cut(line)) == width {
			n++
		}
	}
	return n
}

// wrapped refuses files that were saved with each line as one quoted cell.
func (sh *sheet) wrapped() bool {
	n, seen := 0, 0
	c := cutter{delimiter: ',', quote: '"'}
	for i := 0; i < len(sh.lines) && seen < 50; i++ {
		line := sh.line(i)
		if line == "" {
			continue
		}
		seen++
		if cells := c.cut(line); len(cells) == 1 && c.any && strings.ContainsAny(cells[0], ",;\t") {
			n++
		}
	}
	if n*10 < seen*8 || n < 2 {
		return false
	}
	sh.refusal = "each line of the file is one quoted cell with the delimiters inside: it was saved as a single column; export it anew, or take the outer quotes off"
	return true
}

// headerAlone takes a header with no row of readings below.
func (sh *sheet) headerAlone(l *headLine, c *cutter) {
	sh.delimiter = c.delimiter
	key, _ := spoken(sh.delimiter)
	var rows []sheetRow
	used := make([]bool, len(l.cells))
	texts := 0
	for i := l.at + 1; i < len(sh.lines); i++ {
		cells := c.cut(sh.line(i))
		f := formOf(c)
		if f.when < 0 || f.width > len(l.cells)+1 {
			continue
		}
		if len(rows) < firstRows {
			rows = append(rows, sheetRow{line: int64(i + 1), cells: slices.Clone(cells)})
		}
		if f.texts > 0 {
			texts++
		}
		for j, cell := range cells {
			if j < len(used) && cell != "" {
				used[j] = true
			}
		}
	}
	spare := 0 // columns that have a name and nothing in them
	for j, name := range l.cells {
		if name != "" && !used[j] {
			spare++
		}
	}
	messages := l.last <= 4 && slices.ContainsFunc(l.cells[1:], messageWord)
	if len(rows) > 0 && (spare == 0 || messages) {
		sh.refusal = fmt.Sprintf("the file is a log of messages, not readings: its %s (%s) have a time and text, and no number", plural(len(rows), "row"), cut([]byte(strings.Join(l.cells, ", "))))
		return
	}
	if len(rows) == 0 && messages && l.last <= 3 {
		sh.refusal = fmt.Sprintf("the file is a log of messages, and empty: its columns are %s", cut([]byte(strings.Join(l.cells, ", "))))
		return
	}
	if !sh.sep {
		sh.find("delimiter", key, Certain, int64(l.at+1), "it cuts the header into %d names", l.last)
	}
	sh.width = len(l.cells)
	sh.names = slices.Clone(l.cells)
	sh.dropEmptyNames()
	sh.preamble = l.at
	sh.head = []headRow{{line: int64(l.at + 1), kind: rowNames, cells: l.cells}}
	sh.rows, sh.gap = rows, len(rows)
	if len(rows) > 0 {
		f := 0
		for j, cell := range rows[0].cells {
			if cellLooks(cell).timed() {
				f = j
				break
			}
		}
		sh.place = 1 + rowPlace(f)*3
		sh.when, sh.whenKind = whenOf(sh.place, rows, sh.names)
	} else {
		sh.when = []int{slices.IndexFunc(l.cells, timeWord)}
		// Rows of units and the like below the names.
		for i := l.at + 1; i < len(sh.lines) && len(sh.head) < mostHeadRows; i++ {
			below := headLine{at: i, cells: slices.Clone(c.cut(sh.line(i)))}
			if strings.TrimSpace(sh.line(i)) == "" || len(below.cells) != sh.width {
				break
			}
			below.last = len(below.cells)
			sh.when = nil
			if sh.judge(&below); below.role == noLine {
				break
			}
			row := headRow{line: int64(i + 1), kind: rowSkip, cells: below.cells}
			switch below.role {
			case unitsLine:
				row.kind = rowUnits
			case processLine:
				row.kind = rowProcess
			}
			sh.head = append(sh.head, row)
		}
		sh.when = []int{slices.IndexFunc(l.cells, timeWord)}
	}
	sh.readTold()
	sh.find("header", fmt.Sprintf("line %d", l.at+1), Certain, int64(l.at+1), "one of its names is a time: %s", cut([]byte(strings.Join(l.cells, " | "))))
	sh.find("rows", "none with readings", Certain, 0, "a header, and below it %s without a number", plural(len(rows), "row"))
}

func messageWord(name string) bool {
	name = strings.ToLower(name)
	for _, w := range [...]string{"note", "message", "event", "comment", "text", "description", "meldung", "bemerkung", "remark", "nachricht", "ereignis", "opmerking", "severity", "mensaje"} {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}

// whatItIs says what a text without any table is.
func (sh *sheet) whatItIs() string {
	timed, numbers, lines := 0, 0, 0
	c := cutter{delimiter: ' ', quote: '"'}
	for i := range min(len(sh.lines), 500) {
		if sh.line(i) == "" {
			continue
		}
		c.cut(sh.line(i))
		f := formOf(&c)
		lines++
		if f.when >= 0 {
			timed++
		} else if f.numbers > 0 && f.texts == 0 {
			numbers++
		}
	}
	switch {
	case timed*2 > lines:
		return fmt.Sprintf("the file is a log of messages, not readings: %d of its first %d lines have a time and text, and none has cells with numbers", timed, lines)
	case numbers*2 > lines:
		return fmt.Sprintf("the file holds numbers without times: %d of its first %d lines are numbers, and nothing before them tells a start and an interval", numbers, lines)
	}
	return fmt.Sprintf("the file is text but no table of readings: none of its first %d lines has a time and a number in cells of their own", lines)
}

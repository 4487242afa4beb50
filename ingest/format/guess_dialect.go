package format

import (
	"fmt"
	"slices"
	"strings"
)

// firstSight and farSight are how many lines are looked at to tell the dialect:
// the second when the first show no table.
const (
	firstSight = 250
	farSight   = 2500
)

// mostLooked is how many stretches of numbers are looked through for a time.
const mostLooked = 40

// A dialectTry is what the first lines look like under one dialect.
type dialectTry struct {
	cutter cutter
	forms  []form
	all    []stretch
	best   int // of all, with most rows of readings; -1 for none
	score  float64
}

// try looks at the first n lines as the dialect of c writes them.
func (sh *sheet) try(c cutter, n int) *dialectTry {
	d := &dialectTry{cutter: c, best: -1, forms: make([]form, min(n, len(sh.lines)))}
	for i := range d.forms {
		if line := sh.line(i); line != "" {
			d.cutter.cut(line)
			d.forms[i] = formOf(&d.cutter)
		} else {
			d.forms[i].when = -1
		}
	}
	d.all = stretches(d.forms)
	looked := 0
	timed := 0 // rows that tell their time plainly
	for i := range d.all {
		if d.all[i].place < numbersOnly {
			timed = max(timed, d.all[i].valued)
		}
	}
	for i := range d.all {
		s := &d.all[i]
		score := float64(s.valued) * float64(s.typed) / float64(max(s.told, 1))
		if s.place >= numbersOnly {
			if s.width < 2 && s.rows < 8 || float64(s.valued) <= d.score || looked == mostLooked {
				continue
			}
			looked++
			// Rows of numbers are a table only where they tell their time after
			// all; one that says its time plainly is preferred.
			rows := sh.someRows(&d.cutter, s, 40)
			if _, kind := whenOf(s.place, rows, sh.namesAbove(&d.cutter, s)); kind == whenNone && (timed*3 > s.rows || !sh.tellsInterval(s.first)) {
				score *= 0.02
			} else if kind != whenNone {
				score *= 0.6
			}
		}
		score *= 1 - 0.5*float64(s.faults)/float64(s.rows)
		if score > d.score {
			d.best, d.score = i, score
		}
	}
	return d
}

// someRows cuts up to n rows of a stretch, those of its place only.
func (sh *sheet) someRows(c *cutter, s *stretch, n int) []sheetRow {
	rows := make([]sheetRow, 0, min(n, s.rows))
	for i := s.first; i <= s.last && len(rows) < n; i++ {
		cells := c.cut(sh.line(i))
		f := formOf(c)
		if f.place() != s.place {
			continue
		}
		rows = append(rows, sheetRow{line: int64(i + 1), cells: append([]string(nil), cells...)})
	}
	return rows
}

// namesAbove returns the cells of the nearest line above a stretch that may be
// names of its columns.
func (sh *sheet) namesAbove(c *cutter, s *stretch) []string {
	for i := s.first - 1; i >= 0 && i >= s.first-4; i-- {
		cells := c.cut(sh.line(i))
		if f := formOf(c); f.texts*2 > f.last && f.texts+f.missing+f.numbers > 1 && abs(f.last-s.width) < 2 {
			return append([]string(nil), cells...)
		}
	}
	return nil
}

func abs(n int) int { return max(n, -n) }

// chooseDialect finds how lines are cut into cells: the way that makes most of
// them rows with a time and readings.
func (sh *sheet) chooseDialect() *dialectTry {
	sh.chooseQuote()
	d := sh.bestTry(firstSight)
	if (d.best < 0 || d.all[d.best].valued < 3) && len(sh.lines) > firstSight {
		if far := sh.bestTry(farSight); far.best >= 0 && far.score > d.score {
			d = far
		}
	}
	return d
}

// chooseQuote tells which character cells are quoted with.
func (sh *sheet) chooseQuote() {
	sh.quote = '"'
	look := sh.text[:min(len(sh.text), 1<<14)]
	if strings.IndexByte(look, '"') >= 0 || strings.Count(look, "'") < 4 {
		return
	}
	lines, wrapped := 0, 0
	for i := 0; i < len(sh.lines) && i < 60; i++ {
		if line := strings.TrimSpace(sh.line(i)); line != "" {
			lines++
			if strings.Count(line, "'") >= 2 && (line[0] == '\'' || line[len(line)-1] == '\'' || strings.Contains(line, ",'") || strings.Contains(line, ";'")) {
				wrapped++
			}
		}
	}
	if wrapped*2 > lines {
		sh.quote = '\''
	}
}

// bestTry returns the best dialect for the first n lines.
func (sh *sheet) bestTry(n int) *dialectTry {
	sh.readSep()
	if sh.sep {
		return sh.try(cutter{delimiter: sh.delimiter, quote: sh.quote}, n)
	}
	var best, second *dialectTry
	for _, delimiters := range []string{",;\t| ", "~^!#&*"} {
		for i := range len(delimiters) {
			if c := delimiters[i]; c != ' ' && strings.IndexByte(sh.text[:min(len(sh.text), 1<<16)], c) < 0 {
				continue
			}
			d := sh.try(cutter{delimiter: delimiters[i], quote: sh.quote}, n)
			if delimiters[i] == ' ' {
				d.score *= 0.85 // blanks stand within cells, too
			}
			switch {
			case best == nil || d.score > best.score*1.0001:
				best, second = d, best
			case second == nil || d.score > second.score:
				second = d
			}
		}
		if best.score > 0 || best.timed() {
			break
		}
	}
	if best.score == 0 {
		return best
	}
	if best.faulty() {
		if bare := sh.try(cutter{delimiter: best.cutter.delimiter}, n); bare.score > best.score {
			sh.quote = 0
			best = bare
		}
	}
	if fixed := sh.tryFixed(best, n); fixed != nil {
		return fixed
	}
	key, name := spoken(best.cutter.delimiter)
	s := &best.all[best.best]
	line := int64(s.first + 1)
	if second != nil && second.best >= 0 && second.score > best.score*0.999 && second.cutter.delimiter != ' ' && best.cutter.delimiter != ' ' {
		other, otherName := spoken(second.cutter.delimiter)
		sh.find("delimiter", key, Open, line, "%s and %s cut the rows equally well, into %d and %d cells: delimiter=%s or delimiter=%s", name, otherName, s.width, second.all[second.best].width, key, other)
	} else {
		sh.find("delimiter", key, Certain, line, "%s: it alone cuts %s into a time and what is beside it", name, plural(s.rows, "row"))
	}
	return best
}

// timed reports whether some line has a time in one of several cells.
func (d *dialectTry) timed() bool {
	return slices.ContainsFunc(d.all, func(s stretch) bool { return s.place < numbersOnly })
}

// numbers returns how many rows of numbers without a time stand together at
// most.
func (d *dialectTry) numbers() int {
	most := 0
	for i := range d.all {
		if d.all[i].place >= numbersOnly {
			most = max(most, d.all[i].rows)
		}
	}
	return most
}

func (d *dialectTry) faulty() bool {
	return d.best >= 0 && d.all[d.best].faults*10 > d.all[d.best].rows
}

// readSep reads a first line sep=X, which tells spreadsheets the delimiter.
func (sh *sheet) readSep() {
	if sh.sep {
		return
	}
	line := strings.Trim(sh.line(0), `" `)
	if len(line) >= 5 && strings.EqualFold(line[:4], "sep=") && len(line) == 5 {
		sh.sep, sh.delimiter = true, line[4]
		key, _ := spoken(sh.delimiter)
		sh.find("delimiter", key, Certain, 1, "the first line says so: %q", sh.line(0))
	}
}

// tryFixed sees whether columns stand at the same places in all rows where
// blanks do not part them: cells without a value, or numbers that touch.
func (sh *sheet) tryFixed(best *dialectTry, n int) *dialectTry {
	s := &best.all[best.best]
	if best.cutter.delimiter != ' ' || s.rows < 6 {
		return nil
	}
	uneven := 0
	for i := s.first; i <= s.last; i++ {
		if f := &best.forms[i]; f.place() != 0 && f.width != s.width {
			uneven++
		}
	}
	if uneven*20 < s.rows {
		return nil
	}
	// Places where every row has a blank part the columns.
	var filled []int
	rows := 0
	for i := s.first; i <= s.last; i++ {
		line := sh.line(i)
		if best.forms[i].place() == 0 {
			continue
		}
		rows++
		for len(filled) < len(line) {
			filled = append(filled, 0)
		}
		for p := range len(line) {
			if !blank(line[p]) {
				filled[p]++
			}
		}
		if strings.IndexByte(line, '\t') >= 0 {
			return nil
		}
	}
	var widths []int
	from := 0
	for p := 1; p < len(filled); p++ {
		if filled[p] > 0 && filled[p-1] == 0 && anyFilled(filled[from:p]) {
			widths = append(widths, p-from)
			from = p
		}
	}
	if len(widths) < 2 {
		return nil
	}
	// Numbers are written to the right: a column's blanks stand before it.
	for k, at := 0, 0; k < len(widths); k++ {
		at += widths[k]
		for back := 0; widths[k] > 1 && filled[at-1] == 0 && back < 12; back++ {
			widths[k]--
			at--
			if k+1 < len(widths) {
				widths[k+1]++
			}
		}
	}
	d := sh.try(cutter{fixed: widths}, n)
	if d.best < 0 || d.score <= best.score*0.9 {
		return nil
	}
	sh.find("delimiter", "fixed", Certain, int64(s.first+1), "columns of fixed width, %s: all %d rows have their blanks at the same places", fmt.Sprint(widths), rows)
	return d
}

func anyFilled(n []int) bool {
	for _, v := range n {
		if v > 0 {
			return true
		}
	}
	return false
}

func plural(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

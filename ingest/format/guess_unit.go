package format

import (
	"fmt"
	"slices"
	"strings"
)

// findUnits gives the columns of units in a wide table to the columns of numbers
// that they are of, and asks about a series that changes its unit.
func (g *guesser) findUnits() {
	if g.shape.long || g.matrix != nil {
		return
	}
	var units []int
	nameless := slices.ContainsFunc(slices.Collect(indices(len(g.columns))), func(c int) bool { return g.unitBehind(c) && g.noFlags(c) })
	for c := range g.columns {
		if col := &g.columns[c]; col.role == isUnit || nameless && g.unitBehind(c) {
			if col.of = g.valueOfUnit(c); col.of < 0 {
				continue
			}
			col.role, col.why = isUnit, "its cells are units"
			units = append(units, c)
		}
	}
	if len(units) == 0 {
		return
	}
	var pairs []string
	for _, c := range units {
		pairs = append(pairs, fmt.Sprintf("%s of %q", g.columnName(c), g.columnName(g.columns[c].of)))
	}
	g.find(Finding{What: "units", Value: strings.Join(pairs, ", "), Sure: Certain, Evidence: "every cell of it is a unit", Line: g.rows0Line()})
	for _, c := range units {
		if g.askTwoUnits(c, g.columns[c].of, g.shape.logger) {
			return
		}
	}
}

// unitBehind reports whether a column without a name holds what may be units,
// behind a column of numbers.
func (g *guesser) unitBehind(c int) bool {
	col := &g.columns[c]
	return c > 0 && col.name == "" && !col.numeric() && g.columns[c-1].role == isValue && g.unitsIn(c) && (col.role == isUnknown || col.role == isIgnored)
}

// noFlags reports whether no cell of a column could be a flag of one letter.
func (g *guesser) noFlags(c int) bool {
	for s := range g.columns[c].distinct {
		if len(s) < 2 && s != "%" {
			return false
		}
	}
	return true
}

// valueOfUnit returns the column of numbers whose unit column c holds: the one
// that its name begins with, else the one right before it; -1 for none.
func (g *guesser) valueOfUnit(c int) int {
	lower := strings.ToLower(g.columns[c].name)
	best := -1
	for v := range g.columns {
		name := strings.ToLower(g.columns[v].name)
		if g.columns[v].role == isValue && len(name) > 1 && strings.HasPrefix(lower, name) && (best < 0 || len(name) > len(g.columns[best].name)) {
			best = v
		}
	}
	if best < 0 && c > 0 && g.columns[c-1].role == isValue {
		best = c - 1
	}
	if best >= 0 && slices.ContainsFunc(g.columns[:c], func(o guessColumn) bool { return o.role == isUnit && o.of == best }) {
		return -1 // it has one
	}
	return best
}

// unitsInPairs reports whether every column of readings has its unit right behind
// it, so that one key says so of all.
func (g *guesser) unitsInPairs() bool {
	values := g.columnsOf(isValue)
	for _, c := range values {
		if c+1 >= len(g.columns) || g.columns[c+1].role != isUnit || g.columns[c+1].of != c {
			return false
		}
	}
	return len(values) > 0
}

// unitColumn is the column with the units of column c, or -1.
func (g *guesser) unitColumn(c int) int {
	return slices.IndexFunc(g.columns, func(u guessColumn) bool { return u.role == isUnit && u.of == c })
}

// askTwoUnits asks about a series whose readings change their unit. keys are the
// columns that name the series, and value is that of its numbers.
func (g *guesser) askTwoUnits(unit, value int, keys []int) bool {
	first := make(map[string]string)
	for _, row := range g.rows {
		if unit >= len(row.cells) || row.cells[unit] == "" || value >= len(row.cells) || row.cells[value] == "" {
			continue
		}
		key := fmt.Sprint(row.sample)
		for _, c := range keys {
			if c < len(row.cells) {
				key += "\x00" + row.cells[c]
			}
		}
		had, ok := first[key]
		if !ok {
			first[key] = row.cells[unit]
		}
		if !ok || had == row.cells[unit] {
			continue
		}
		f := Finding{What: "units", Value: had + " and " + row.cells[unit], Sure: Open, Sample: row.sample, Line: row.line,
			Evidence: fmt.Sprintf("the readings of %q are in %s before and in %s here, and a series has one unit", g.columnName(value), had, row.cells[unit])}
		g.find(f)
		q := question{key: "other_unit", text: fmt.Sprintf("At line %d %q changes its unit from %s to %s, and a series has one: are the readings in another unit than the first to be left out?", row.line, g.columnName(value), had, row.cells[unit])}
		q.add("other_unit=reject", "those in another unit than the first of the series are rejected, and said")
		g.ask(q)
		return true
	}
	return false
}

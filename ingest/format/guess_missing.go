package format

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

var nines = lazily(`^[+-]?(9{3,}|[67]9{3,}|9{2,}[.,]9+|32767|32768)([.,]0+)?$`)

var degrees = lazily(`(?i)^(deg|degt|degtrue|degrees?|°)$`)

// A seenNumber is a spelling of a number that may stand for a missing value.
type seenNumber struct {
	spelling string
	value    float64
	count    int
	row      int
	inside   bool // some column has it among its other values
	sure     bool
	column   int
}

// sentinels finds numbers that stand for a missing value: all of nines, far
// outside the rest of their column.
func (g *guesser) sentinels(columns []int) {
	var found []*seenNumber
	for _, c := range columns {
		counts := make(map[string]*seenNumber)
		lo, hi, rest := 0.0, 0.0, 0
		for i, row := range g.rows {
			if c >= len(row.cells) || row.cells[c] == "" {
				continue
			}
			cell := row.cells[c]
			v, ok := g.style.value(cell)
			if !ok {
				continue
			}
			if (strings.Contains(cell, "99") || strings.Contains(cell, "3276")) && nines().MatchString(cell) {
				s := counts[cell]
				if s == nil {
					s = &seenNumber{spelling: cell, value: v, row: i, column: c}
					counts[cell] = s
				}
				s.count++
				continue
			}
			if rest == 0 {
				lo, hi = v, v
			}
			lo, hi = min(lo, v), max(hi, v)
			rest++
		}
		for _, s := range counts {
			far := s.value > hi && s.value > 5*max(hi, -lo, 1) || s.value < lo && -s.value > 5*max(-lo, hi, 1)
			digits := strings.Count(s.spelling, "9")
			switch {
			case s.value > 360 && degrees().MatchString(g.unitOf(c)):
				s.sure = true // no direction
			case rest == 0:
				s.sure = s.value < 0 && digits >= 3
				s.inside = !s.sure
			case !far:
				s.inside = true
			case s.value < 0 && digits >= 3:
				s.sure = true
			default:
				s.sure = s.count >= 2 && digits >= 4 && s.value > 20*max(hi, -lo, 1)
			}
			found = append(found, s)
		}
	}
	for _, o := range g.outliers(columns) {
		found = slices.DeleteFunc(found, func(s *seenNumber) bool { return s.column == o.column && s.spelling == o.spelling && s.inside })
		found = append(found, o)
	}
	slices.SortStableFunc(found, func(a, b *seenNumber) int { return a.row - b.row })
	for _, s := range found {
		if slices.Contains(g.missing, s.spelling) {
			continue
		}
		f := Finding{What: "missing values", Value: s.spelling, Sample: g.rows[s.row].sample, Line: g.rows[s.row].line}
		elsewhere := slices.ContainsFunc(found, func(o *seenNumber) bool { return o.spelling == s.spelling && o.inside })
		sure := slices.ContainsFunc(found, func(o *seenNumber) bool { return o.spelling == s.spelling && o.sure })
		switch {
		case sure && !elsewhere:
			f.Sure, f.Evidence = Certain, "all nines, and far outside the other values of its column"
			g.missing = append(g.missing, s.spelling)
		case elsewhere && !sure:
			continue // a value among values
		default:
			f.Sure, f.Evidence = Open, fmt.Sprintf("it could be a value of %q", g.columns[s.column].name)
			q := question{key: "missing", text: fmt.Sprintf("Does %s in column %q stand for a missing value?", s.spelling, g.columns[s.column].name)}
			q.add("missing="+s.spelling, s.spelling+" is no reading")
			q.add("missing=", s.spelling+" is a reading")
			g.ask(q)
		}
		g.find(f)
	}
}

// outliers finds numbers that come again and again at one end of their column, and
// are far from all the others of it or written unlike them.
func (g *guesser) outliers(columns []int) (found []*seenNumber) {
	for _, c := range columns {
		values := g.valuesOf(c)
		sorted := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
		if len(sorted) < 20 {
			continue
		}
		slices.Sort(sorted)
		for _, end := range []float64{sorted[0], sorted[len(sorted)-1]} {
			rest := slices.DeleteFunc(slices.Clone(sorted), func(v float64) bool { return v == end })
			count := len(sorted) - len(rest)
			if end == 0 || count < 2 || count*3 > len(sorted) || len(slices.Compact(slices.Clone(rest))) < 6 {
				continue
			}
			row := slices.Index(values, end)
			cell := g.rows[row].cells[c]
			lo, hi := rest[0], rest[len(rest)-1]
			gap := max(lo-end, end-hi)
			far := gap > 3*(hi-lo) && math.Abs(end) > 3*max(math.Abs(lo), math.Abs(hi))
			unlike := end < 0 && lo >= 0 && wholeNumber(cell[1:]) && !g.someWhole(c, end)
			leaps := nines().MatchString(cell) && gap > 0 && g.leaps(values, end, hi-lo)
			if far || unlike || leaps {
				found = append(found, &seenNumber{spelling: cell, value: end, count: count, row: row, column: c})
			}
		}
	}
	return found
}

// someWhole reports whether some number of the column but one is written without
// a decimal sign.
func (g *guesser) someWhole(c int, but float64) bool {
	for s := range g.columns[c].distinct {
		if v, ok := g.style.value(s); ok && v != but && !strings.ContainsAny(s, ".,") {
			return true
		}
	}
	return false
}

// leaps reports whether the values leap to one of them each time that it comes,
// and never stay there, far more than they do otherwise.
func (g *guesser) leaps(values []float64, to, spread float64) bool {
	var steps []float64
	least := math.Inf(1)
	for i := 1; i < len(values); i++ {
		switch d := math.Abs(values[i] - values[i-1]); {
		case math.IsNaN(d):
		case values[i] == to && values[i-1] == to:
			return false
		case values[i] == to || values[i-1] == to:
			least = min(least, d)
		default:
			steps = append(steps, d)
		}
	}
	if len(steps) == 0 {
		return false
	}
	slices.Sort(steps)
	return least > spread/10 && least > 3*steps[len(steps)/2]
}

// declaredMissing takes up spellings that the preamble declares.
func (g *guesser) declaredMissing() {
	for s, sh := range g.sheets {
		for _, t := range sh.told {
			key := strings.ToLower(t.key)
			if !strings.Contains(key, "missing") && !strings.Contains(key, "no data") && !strings.Contains(key, "nodata") && !strings.Contains(key, "fill value") && !strings.Contains(key, "null value") {
				continue
			}
			for _, v := range strings.FieldsFunc(t.value, func(r rune) bool { return r == ' ' || r == ';' || r == '"' || r == '=' }) {
				if _, err := strconv.ParseFloat(v, 64); err == nil && !slices.Contains(g.missing, v) {
					g.missing = append(g.missing, v)
					g.find(Finding{What: "missing values", Value: v, Sure: Certain, Evidence: "the preamble says so", Sample: s, Line: t.line})
				}
			}
		}
	}
}

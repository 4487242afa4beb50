package format

import (
	"fmt"
	"regexp"
	"strings"
)

// A numberStyle is how a file's cells write numbers.
type numberStyle struct {
	decimal   byte
	thousands string // "" for none
	shown     bool   // some cell has a decimal sign
	sure      Certainty
	evidence  string
	row       int // that proves it, or -1
}

// numberCell takes a cell apart: an inequality, the number, and what is behind
// it.
var numberCell = lazily(`^(<=|>=|<|>|≤|≥)?\s*([+-]?(?:\d[\d.,'’\x{a0}\x{202f} ]*\d|\d+|\d+[.,]|[.,]\d+)(?:[eE][+-]?\d{1,3})?)(?:([\s\x{a0}\x{202f}]*)([\pL°%µμ][^"\n]{0,15}))?$`)

// A numberParts is a cell that holds a number.
type numberParts struct {
	inequality string
	number     string // as it stands
	blank      bool   // before the suffix
	suffix     string
}

// numberOf takes a cell apart that has a number in it; ok is false for other
// texts.
func numberOf(cell string) (n numberParts, ok bool) {
	plain := len(cell) > 0 && strings.Count(cell, ".") < 2
	for i := 0; i < len(cell) && plain; i++ {
		c := cell[i]
		plain = c >= '0' && c <= '9' || c == '.' || (c == '-' || c == '+') && i == 0
	}
	if plain && strings.ContainsAny(cell, "0123456789") {
		return numberParts{number: cell}, true
	}
	if len(cell) == 0 || len(cell) > 40 || strings.IndexByte("0123456789+-.,<>\xe2", cell[0]) < 0 {
		return n, false
	}
	m := numberCell().FindStringSubmatch(cell)
	if m == nil {
		return n, false
	}
	for _, sign := range []string{".", ","} {
		if strings.Count(m[2], sign) > 1 && !groupedBy[sign[0]].MatchString(m[2]) && !groupedBoth().MatchString(m[2]) {
			return n, false // 192.168.1.10
		}
	}
	return numberParts{inequality: m[1], number: m[2], blank: m[3] != "", suffix: strings.TrimSpace(m[4])}, true
}

var (
	groupedBy = map[byte]*regexp.Regexp{
		'.': regexp.MustCompile(`^[+-]?[1-9]\d{0,2}(\.\d{3})+$`),
		',': regexp.MustCompile(`^[+-]?[1-9]\d{0,2}(,\d{3})+$`),
	}
	groupedOther = lazily(`^[+-]?\d{1,3}(?:(['’\x{a0}\x{202f} ])\d{3})+(?:[.,]\d*)?$`)
	groupedBoth  = lazily(`^[+-]?\d{1,3}(?:([.,])\d{3})+([.,])\d*$`)
)

// signsIn counts the points and commas of a number; others reports whether it
// has other signs that may stand between thousands.
func signsIn(s string) (dots, commas int, others bool) {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			dots++
		case c == ',':
			commas++
		case c == ' ' || c == '\'' || c >= 0x80:
			others = true
		}
	}
	return dots, commas, others
}

// numbersOf sees how the cells of the given columns write numbers.
func (g *guesser) numbersOf(columns []int) numberStyle {
	var proof, unclear, several, bare [128]int
	var proofRow [128]int
	blank := ""
	for i, row := range g.rows {
		for _, c := range columns {
			if c >= len(row.cells) {
				continue
			}
			cell := row.cells[c]
			n, ok := numberOf(cell)
			if !ok {
				continue
			}
			s := n.number
			dots, commas, others := signsIn(s)
			if dots > 0 && commas > 0 {
				if m := groupedBoth().FindStringSubmatch(s); m != nil && m[1] != m[2] {
					sign := m[2][0]
					proof[sign]++
					several[m[1][0]]++
					proofRow[sign] = i
					continue
				}
			}
			if others {
				if m := groupedOther().FindStringSubmatch(s); m != nil {
					blank = "space"
					if m[1] == "'" || m[1] == "’" {
						blank = "'"
					}
					s = strings.NewReplacer("'", "", "’", "", "\u00a0", "", "\u202f", "", " ", "").Replace(s)
				}
			}
			switch {
			case dots == 0 && commas == 0:
				bare[0]++
			case dots+commas > 1 && (dots == 0 || commas == 0):
				sign := byte('.')
				if dots == 0 {
					sign = ','
				}
				if groupedBy[sign].MatchString(s) {
					several[sign]++
				}
			case dots+commas == 1:
				sign := byte('.')
				if commas == 1 {
					sign = ','
				}
				if blank == "" && s[max(0, len(s)-4)] == sign && groupedBy[sign].MatchString(s) {
					unclear[sign]++
				} else {
					if proof[sign] == 0 {
						proofRow[sign] = i
					}
					proof[sign]++
				}
			}
		}
	}
	st := numberStyle{decimal: '.', thousands: blank, sure: Certain, row: -1}
	other := map[byte]byte{'.': ',', ',': '.'}
	st.shown = proof['.']+proof[',']+unclear['.']+unclear[','] > 0
	for _, sign := range []byte{'.', ','} {
		o := other[sign]
		switch {
		case proof[sign] > 0 && proof[o] > 0:
			st.sure, st.evidence = Open, "some cells have a decimal point and others a decimal comma"
			if proof[','] > proof['.'] {
				st.decimal = ','
			}
			return st
		case proof[sign] > 0 || several[o] > 0 && unclear[sign] > 0:
			st.decimal, st.row = sign, proofRow[sign]
			st.evidence = "digits behind it that are no group of three prove it"
			if st.thousands = ""; several[o] > 0 {
				st.thousands = string(o)
			} else if unclear[o] > 0 {
				g.askThousands(o, columns)
			}
			if st.thousands == "" {
				st.thousands = blank
			}
			return st
		case several[o] > 0 && unclear[o] >= 0 && several[sign] == 0 && unclear[sign] == 0:
			st.decimal, st.thousands, st.shown = sign, string(o), false
			st.evidence = "the other sign stands between groups of three digits"
			return st
		}
	}
	switch {
	case unclear['.'] > 0 && unclear[','] > 0:
		st.sure, st.evidence = Open, "both point and comma stand before three digits only"
	case unclear['.'] > 0:
		g.threeDigits(&st, '.', g.sheets[0].delimiter == ',' && bare[0] == 0, columns)
	case unclear[','] > 0:
		g.threeDigits(&st, ',', false, columns)
	default:
		st.evidence = "no number has a sign in it"
	}
	return st
}

// askThousands asks what a sign is that is not the decimal one and stands before
// three digits, but never between two groups of them.
func (g *guesser) askThousands(sign byte, columns []int) {
	for _, row := range g.rows {
		for _, c := range columns {
			if c >= len(row.cells) || !groupedBy[sign].MatchString(row.cells[c]) {
				continue
			}
			cell := row.cells[c]
			g.find(Finding{What: "thousands", Value: string(sign), Sure: Open, Sample: row.sample, Line: row.line, Evidence: cell + " could be a slip as well"})
			q := question{key: "thousands", text: fmt.Sprintf("Is %s in line %d a number of thousands?", cell, row.line)}
			q.add("thousands="+string(sign), fmt.Sprintf("%s is %s", cell, strings.ReplaceAll(cell, string(sign), "")))
			g.ask(q)
			return
		}
	}
}

// boundedUnits are units in which no instrument reads thousands.
var boundedUnits = lazily(`(?i)^(°|deg(rees?)? ?\.?)?[CF]$|^%|^pH|^volts?$|^V$|^bar$|^m/s$|^mg/l$|^psu$|^ppt$|^ntu$|^Ft$|^feet$`)
var boundedNames = lazily(`(?i)\b(air|water|soil)? ?temp|humid|\bbatt|\bpH\b|feuchte|température|teplota`)

// threeDigits decides what a sign is that only ever stands before three digits:
// a decimal sign, or one between groups.
func (g *guesser) threeDigits(st *numberStyle, sign byte, convention bool, columns []int) {
	st.decimal = sign
	for _, c := range columns {
		col := &g.columns[c]
		if !boundedUnits().MatchString(col.unit) && !boundedNames().MatchString(col.name) {
			continue
		}
		for i, row := range g.rows {
			if c < len(row.cells) && groupedBy[sign].MatchString(row.cells[c]) {
				st.row = i
				st.evidence = fmt.Sprintf("%s could be no thousands in %q", row.cells[c], col.name)
				return
			}
		}
	}
	if convention {
		st.evidence = "the cells are separated by commas and every number has a point"
		return
	}
	st.sure = Open
	for i, row := range g.rows {
		for _, c := range columns {
			if c >= len(row.cells) || !groupedBy[sign].MatchString(row.cells[c]) {
				continue
			}
			st.row = i
			cell := row.cells[c]
			digits := strings.ReplaceAll(cell, string(sign), "")
			st.evidence = fmt.Sprintf("%s could be %s as well", cell, digits)
			q := question{key: "decimal", text: fmt.Sprintf("Is %s in line %d a number with three decimals or one of thousands?", cell, row.line)}
			q.add("decimal="+string(sign), fmt.Sprintf("%s is %s", cell, strings.Replace(cell, ",", ".", 1)))
			q.add("thousands="+string(sign), fmt.Sprintf("%s is %s", cell, digits))
			g.ask(q)
			return
		}
	}
}

// value reads a number cell in the style.
func (st *numberStyle) value(cell string) (float64, bool) {
	n, ok := numberOf(cell)
	if !ok {
		return 0, false
	}
	s := n.number
	switch st.thousands {
	case "space":
		s = strings.NewReplacer("\u00a0", "", "\u202f", "", " ", "").Replace(s)
	case "'":
		s = strings.NewReplacer("'", "", "’", "").Replace(s)
	case "":
	default:
		s = strings.ReplaceAll(s, st.thousands, "")
	}
	return parseNumber([]byte(s), st.decimal)
}

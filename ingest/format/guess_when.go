package format

import (
	"strconv"
	"strings"
)

// whenOf tells which columns of rows tell their time, and how; whenNone when
// none do. names may be nil.
func whenOf(p rowPlace, rows []sheetRow, names []string) ([]int, whenKind) {
	if len(rows) == 0 {
		return nil, whenNone
	}
	if p >= numbersOnly {
		return whenOfNumbers(rows, names)
	}
	at, class := int(p-1)/3, (p-1)%3
	switch class {
	case 1:
		if j := nearest(rows, at, func(s string) bool {
			return cellLooks(s) == looksDate || len(s) == 8 && wholeNumber(s) && compactDate(s)
		}); j >= 0 {
			return inOrder(at, j), whenTwo
		}
		return []int{at}, whenClock
	case 2:
		return []int{at}, whenInterval
	}
	instants := 0
	for i := range rows {
		if at < len(rows[i].cells) && cellLooks(rows[i].cells[at]) == looksInstant {
			instants++
		}
	}
	if instants > 0 {
		return []int{at}, whenInstant
	}
	if j := nearest(rows, at, func(s string) bool { return cellLooks(s) == looksClock }); j >= 0 {
		return inOrder(at, j), whenTwo
	}
	if j := at + 1; hhmmColumn(rows, names, j) {
		return []int{at, j}, whenTwo
	}
	return []int{at}, whenDate
}

func inOrder(a, b int) []int { return []int{min(a, b), max(a, b)} }

// nearest returns the column nearest to at whose cells are nearly all so.
func nearest(rows []sheetRow, at int, so func(string) bool) int {
	for far := 1; far < 6; far++ {
		for _, j := range []int{at + far, at - far} {
			if j >= 0 && share(rows, j, so) >= 0.9 {
				return j
			}
		}
	}
	return -1
}

// share returns which share of the cells in column j are so.
func share(rows []sheetRow, j int, so func(string) bool) float64 {
	n := 0
	for i := range rows {
		if j < len(rows[i].cells) && so(rows[i].cells[j]) {
			n++
		}
	}
	return float64(n) / float64(len(rows))
}

// within reports whether s is a whole number from low to high.
func within(low, high int) func(string) bool {
	return func(s string) bool {
		n, err := strconv.Atoi(s)
		return err == nil && n >= low && n <= high && s[0] != '+' && s[0] != '-'
	}
}

// hhmmColumn reports whether column j is a time of day in one to four digits.
func hhmmColumn(rows []sheetRow, names []string, j int) bool {
	if share(rows, j, func(s string) bool {
		return len(s) <= 4 && within(0, 2400)(s) && s[max(0, len(s)-2):] < "60" || s == "2400"
	}) < 1 {
		return false
	}
	if j < len(names) {
		return clockWord(names[j])
	}
	return share(rows, j, func(s string) bool { return len(s) == 4 }) == 1
}

// whenOfNumbers tells the time's columns in rows of numbers alone.
func whenOfNumbers(rows []sheetRow, names []string) ([]int, whenKind) {
	width := len(rows[0].cells)
	if cols := partsByName(rows, names); cols != nil {
		return cols, whenParts
	}
	for j := range min(width, 12) {
		if share(rows, j, func(s string) bool { return len(s) >= 8 && len(s) <= 14 && wholeNumber(s) && compactDate(s[:8]) }) == 1 {
			n := len(rows[0].cells[j])
			switch {
			case n != 8 && n%2 == 0:
				return []int{j}, whenInstant
			case n == 8 && (hhmmColumn(rows, names, j+1) || share(rows, j+1, func(s string) bool { return len(s) == 6 && within(0, 240000)(s) }) == 1):
				return []int{j, j + 1}, whenTwo
			case n == 8:
				return []int{j}, whenDate
			}
		}
		if cols := partsAt(rows, names, j); cols != nil {
			return cols, whenParts
		}
	}
	for j := range min(width, 12) {
		if epochColumn(rows, names, j) {
			return []int{j}, whenEpoch
		}
	}
	for j := range min(width, 12) {
		named := j < len(names) && timeWord(names[j])
		if share(rows, j, serialDay) == 1 && (named && climbing(rows, j) || share(rows, j, func(s string) bool { return len(s) > 9 }) == 1 && climbing(rows, j)) {
			return []int{j}, whenSerial
		}
	}
	return nil, whenNone
}

// partsAt finds year, month, day, hour, minute and second, or year, day of the
// year and hhmm, in the columns from j on.
func partsAt(rows []sheetRow, names []string, j int) []int {
	four := func(s string) bool { return len(s) == 4 && within(1900, 2100)(s) }
	two := j < len(names) && partWord(names[j]) == 'y' && share(rows, j, func(s string) bool { return len(s) <= 2 && within(0, 99)(s) }) == 1
	if share(rows, j, four) < 1 && !two {
		return nil
	}
	cols := []int{j}
	if share(rows, j+1, within(1, 12)) == 1 && share(rows, j+2, within(1, 31)) == 1 {
		cols = append(cols, j+1, j+2)
		for k, high := range []int{24, 59, 59} {
			at := j + 3 + k
			named := at < len(names) && (partWord(names[at]) == "hnr"[k] || k == 1 && partWord(names[at]) == 'm')
			if share(rows, at, within(0, high)) < 1 || !named && (at < len(names) || len(rows) < 3) {
				if k == 0 && at < len(names) && hhmmColumn(rows, names, at) {
					cols = append(cols, at)
				}
				break
			}
			cols = append(cols, at)
		}
		return cols
	}
	if j+1 < len(names) && partWord(names[j+1]) == 'm' {
		return nil // a month is no day of the year
	}
	if share(rows, j+1, within(1, 366)) == 1 && (climbing(rows, j+1) || len(rows) < 3) {
		cols = append(cols, j+1)
		if share(rows, j+2, func(s string) bool { return len(s) <= 4 && within(0, 2400)(s) && s[max(0, len(s)-2):] < "60" }) == 1 {
			cols = append(cols, j+2)
		}
		return cols
	}
	return nil
}

// partsByName finds columns called year, month, day and so on, in any order.
func partsByName(rows []sheetRow, names []string) []int {
	var cols []int
	seen := ""
	for j, name := range names {
		part := partWord(name)
		if part == 0 || strings.IndexByte(seen, part) >= 0 || share(rows, j, within(0, 9999)) < 1 {
			continue
		}
		if len(cols) > 0 && j > cols[len(cols)-1]+1 {
			if len(cols) >= 3 {
				break
			}
			cols, seen = nil, ""
		}
		cols, seen = append(cols, j), seen+string(part)
	}
	has := func(parts string) bool {
		for i := range len(parts) {
			if strings.IndexByte(seen, parts[i]) < 0 {
				return false
			}
		}
		return true
	}
	if has("ymd") || has("yj") || has("ym") || seen == "y" && climbing(rows, cols[0]) && share(rows, cols[0], within(1000, 2200)) == 1 {
		return cols
	}
	return nil
}

func epochColumn(rows []sheetRow, names []string, j int) bool {
	named := j < len(names) && timeWord(names[j])
	fits := share(rows, j, func(s string) bool {
		whole, _, _ := strings.Cut(s, ".")
		if !wholeNumber(whole) {
			return false
		}
		switch len(whole) {
		case 10:
			return whole < "4102444800" && (named || whole > "0946684800" && whole < "2240000000")
		case 13:
			return whole < "4102444800000" && (named || whole > "0946684800000" && whole < "2240000000000")
		case 16:
			return whole < "4102444800000000" && (named || whole > "0946684800000000" && whole < "2240000000000000")
		}
		return len(whole) == 9 && named
	})
	return fits == 1 && (named || climbing(rows, j) || len(rows) == 1)
}

func serialDay(s string) bool {
	v, err := strconv.ParseFloat(strings.Replace(s, ",", ".", 1), 64)
	return err == nil && v >= 18000 && v < 75000
}

// climbing reports whether the numbers of column j go up, or hardly down, and
// are not all one.
func climbing(rows []sheetRow, j int) bool {
	up, down := 0, 0
	last := 0.0
	for i := range rows {
		if j >= len(rows[i].cells) {
			return false
		}
		v, err := strconv.ParseFloat(strings.Replace(rows[i].cells[j], ",", ".", 1), 64)
		if err != nil {
			return false
		}
		switch {
		case i == 0:
		case v > last:
			up++
		case v < last:
			down++
		}
		last = v
	}
	return up > 0 && down*20 <= up
}

// timeWord reports whether a column's name says that it is a time, in English,
// German, French, Dutch, Spanish, Italian or Czech.
func timeWord(name string) bool {
	name = strings.ToLower(name)
	for _, w := range [...]string{"time", "date", "datum", "zeit", "heure", "horodat", "fecha", "hora", "tijd", "stamp", "epoch", "unix",
		"čas", "cas ", "timestep", "data/ora", "data e ora", "hour", "moment", "jour", "dzień", "czas", "tmst", "mess_datum", "utc", "instant", "giorno", "período", "from", "von", "periode", "interval", "period", "recorded", "datetime"} {
		if strings.Contains(name, w) {
			return true
		}
	}
	for _, w := range [...]string{"t", "ts", "dt", "data", "dag", "uhr", "tag", "day", "year", "yyyy", "yy", "#yy", "date_time", "ora", "start", "begin", "beginn", "debut", "début"} {
		if name == w {
			return true
		}
	}
	return false
}

func clockWord(name string) bool {
	name = strings.ToLower(name)
	for _, w := range [...]string{"time", "zeit", "heure", "hora", "tijd", "čas", "hour", "hhmm", "uhr", "hrmn", "hh:mm", "uur"} {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}

// partWord tells which part of a time a column's name says: y, m, d, h, n
// (minute), r (second) or j (day of the year); 0 for none.
func partWord(name string) byte {
	name = strings.ToLower(strings.Trim(name, "# ._()[]\""))
	switch name {
	case "year", "yr", "yyyy", "yy", "jahr", "année", "annee", "an", "jaar", "año", "ano", "rok", "anno":
		return 'y'
	case "month", "mo", "mon", "mnth", "monat", "mois", "maand", "mes", "mm", "měsíc", "mese":
		return 'm'
	case "day", "dd", "dy", "da", "tag", "jour", "dag", "día", "dia", "den", "giorno", "dom", "day_of_month":
		return 'd'
	case "hour", "hh", "hr", "hrs", "h", "stunde", "heure", "uur", "hora", "ora", "hour_utc", "std":
		return 'h'
	case "minute", "min", "mn", "mi", "minuut", "minuto", "minuten", "minutes", "mm_":
		return 'n'
	case "second", "sec", "ss", "s", "sekunde", "seconde", "segundo", "seconds":
		return 'r'
	case "doy", "jday", "julian", "julianday", "dayofyear", "day_of_year", "yday", "jd":
		return 'j'
	}
	return 0
}

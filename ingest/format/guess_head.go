package format

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The roles that a row above the data can have; words may be names.
type headRole uint8

const (
	noLine    headRole = iota // its cells do not stand above those of the rows
	wordsLine                 // names, or other words
	unitsLine
	processLine // Avg, Min, Smp
	typesLine   // 5s 15s, int, float
	ruleLine    // ----- -----
	placesLine  // numbers, such as depths, with nothing above the time
)

// most is how many rows a header has at most, and how far up it is looked for.
const (
	mostHeadRows = 8
	mostBlanks   = 2
)

// A headLine is a line above the rows, as it is looked at.
type headLine struct {
	at    int // from 0
	cells []string
	last  int // cells up to the last that is not empty
	full  int // cells that are not empty
	role  headRole
	timed bool // a cell above the time is a word for time
}

// readHead finds the header above the row in line first, from 0: its row of
// names and what stands with it.
func (sh *sheet) readHead(c *cutter, first int) {
	sh.preamble = first
	lines := sh.linesAbove(c, first)
	k := namesAmong(lines)
	if k < 0 {
		if sh.namesCutOtherwise(c, first) {
			return
		}
		sh.headerless = true
		return
	}
	names := &lines[k]
	top := k
	for i := k + 1; i < len(lines); i++ {
		l := &lines[i]
		if l.at != lines[top].at-1 || strings.HasPrefix(l.cells[0], "#") && l.role == wordsLine || l.role == noLine || l.role == wordsLine && (l.timed || sh.above(l.cells) != "") || l.last < 3 {
			break
		}
		top = i
	}
	if next := top + 1; next < len(lines) && lines[next].at == lines[top].at-1 && sh.namesLoggers(&lines[next], names) {
		top = next
	}
	sh.preamble = lines[top].at
	sh.names = slices.Clone(names.cells)
	sh.dropEmptyNames()
	end := first
	for strings.TrimSpace(sh.line(end-1)) == "" {
		end-- // blank lines before the rows are no part of the header
	}
	for at := sh.preamble; at < end; at++ {
		row := headRow{line: int64(at + 1), kind: rowSkip}
		for i := range lines[:top+1] {
			l := &lines[i]
			if l.at != at {
				continue
			}
			row.cells = l.cells
			switch {
			case i == k:
				row.kind = rowNames
			case sh.namesLoggers(l, names) && !sh.hasRow(rowLoggers):
				row.kind = rowLoggers
			case l.role == unitsLine && !slices.ContainsFunc(sh.head, func(h headRow) bool { return h.kind == rowUnits }):
				row.kind = rowUnits
			case l.role == processLine && !slices.ContainsFunc(sh.head, func(h headRow) bool { return h.kind == rowProcess }):
				row.kind = rowProcess
			}
		}
		sh.head = append(sh.head, row)
	}
	sh.sayHead(names)
}

func (sh *sheet) sayHead(names *headLine) {
	evidence := "words above the columns of the rows"
	if names.timed {
		evidence = "one of its words says time, above the time of the rows"
	}
	sh.find("header", "line "+strconv.Itoa(names.at+1), Certain, int64(names.at+1), "%s: %s", evidence, cut([]byte(strings.Join(sh.names, " | "))))
	for _, h := range sh.head {
		switch h.kind {
		case rowUnits:
			sh.find("units", "line "+strconv.Itoa(int(h.line)), Certain, h.line, "units stand in it: %s", cut([]byte(strings.Join(h.cells, " | "))))
		case rowLoggers:
			sh.find("loggers", "line "+strconv.Itoa(int(h.line)), Certain, h.line, "it says of each column which logger it is of: %s", cut([]byte(strings.Join(h.cells, " | "))))
		case rowSkip:
			if h.cells != nil {
				sh.find("header", "line "+strconv.Itoa(int(h.line)), Likely, h.line, "stands with the names and is neither names nor units: %s", cut([]byte(strings.Join(h.cells, " | "))))
			}
		}
	}
	if sh.preamble > 0 {
		sh.find("preamble", plural(sh.preamble, "line"), Certain, 1, "stand before the header")
	}
	if over := len(sh.names); over > sh.width && sh.width > 1 && sh.delimiter != ' ' && sh.fixed == nil && !sh.someRow(over) {
		sh.find("columns", plural(over, "name"), Open, sh.rows[0].line, "the rows have %d cells and the header names %d", sh.width, over)
	} else if over < sh.width {
		// More cells than names: fine when nothing is in them.
		for i := range sh.rows {
			for _, cell := range sh.rows[i].cells[min(over, len(sh.rows[i].cells)):] {
				if cell != "" {
					sh.find("columns", plural(over, "name"), Open, sh.rows[i].line, "the rows have %d cells and the header names %d", sh.width, over)
					return
				}
			}
		}
	}
}

// namesLoggers reports whether line l above the names tells of each column which
// logger it is of: its first cell says so, or names that stand twice are told
// apart by it.
func (sh *sheet) namesLoggers(l, names *headLine) bool {
	if l.at >= names.at || len(l.cells) != len(names.cells) || len(sh.when) == 0 {
		return false
	}
	from := slices.Max(sh.when) + 1
	if from+2 > len(l.cells) || l.cells[from] == "" {
		return false
	}
	above := slices.Clone(l.cells[from:])
	for i := range above {
		if above[i] == "" {
			above[i] = above[i-1]
		}
	}
	if !slices.ContainsFunc(above, func(s string) bool { return s != above[0] }) ||
		slices.ContainsFunc(above, func(s string) bool { return cellLooks(s) != looksText || looksUnit(s) || processCell(s) }) {
		return false
	}
	if placeKey().MatchString(l.cells[0]) || tellsTwinsApart(l.cells, names.cells, sh.when) {
		return true
	}
	pairs, alone := make(map[[2]string]bool), make(map[string]bool)
	for i, name := range names.cells[from:] {
		pairs[[2]string{above[i], name}], alone[name] = true, true
	}
	return l.cells[0] == "" && len(pairs) == len(above) && len(alone) < len(pairs)
}

// someRow reports whether a row has n cells or more: shorter ones end early.
func (sh *sheet) someRow(n int) bool {
	return slices.ContainsFunc(sh.rows, func(r sheetRow) bool { return len(r.cells) >= n })
}

// above returns the cell above the first of the columns that tell the time.
func (sh *sheet) above(cells []string) string {
	at := 0
	if len(sh.when) > 0 {
		at = sh.when[0]
	}
	if at < len(cells) {
		return cells[at]
	}
	return ""
}

// linesAbove returns the lines above the first row that may belong to its
// header, the nearest first.
func (sh *sheet) linesAbove(c *cutter, first int) []headLine {
	var lines []headLine
	blanks, strange := 0, 0
	for at := first - 1; at >= 0 && len(lines) < mostHeadRows; at-- {
		line := sh.line(at)
		if strings.TrimSpace(line) == "" {
			if blanks++; blanks > mostBlanks {
				break
			}
			continue
		}
		l := headLine{at: at, cells: slices.Clone(c.cut(line))}
		sh.quotes = sh.quotes || c.any
		for i, cell := range l.cells {
			if cell != "" {
				l.last = i + 1
			}
		}
		sh.judge(&l)
		if l.role == noLine {
			if strange++; strange > 1 {
				break
			}
		}
		lines = append(lines, l)
	}
	return lines
}

// judge tells the role that a line above the rows can have.
func (sh *sheet) judge(l *headLine) {
	var words, numbers, units, process, types, rules, filled int
	for i, cell := range l.cells {
		if cell == "" {
			continue
		}
		l.full++
		if slices.Contains(sh.when, i) && partWord(cell) != 0 {
			words++ // yr, mo, dy stand among names and among units
			continue
		}
		filled++
		k := cellLooks(cell)
		switch {
		case onlySigns(cell):
			rules++
		case typeCell(cell):
			types++
		case k.timed() || k == looksNumber || k == looksMarked && !looksUnit(cell):
			numbers++
		default:
			words++
		}
		if looksUnit(cell) {
			units++
		}
		if processCell(cell) {
			process++
		}
	}
	for _, at := range sh.when {
		if at < len(l.cells) && timeWord(l.cells[at]) && !formatCell(l.cells[at]) && !bracketed(l.cells[at]) {
			l.timed = true
		}
	}
	if len(sh.when) == 0 {
		l.timed = slices.ContainsFunc(l.cells, func(cell string) bool { return timeWord(cell) && !formatCell(cell) })
	}
	if l.role = noLine; sh.width == 1 && strings.ContainsAny(strings.Join(l.cells, ""), ":=0123456789") {
		return
	}
	top := sh.above(l.cells)
	topKind := cellLooks(top)
	fits := len(l.cells) == sh.width || l.last == sh.width || sh.delimiter != ' ' && sh.fixed == nil && (l.last > 1 && l.timed && abs(l.last-sh.width)*2 <= sh.width ||
		l.last > 1 && l.last < sh.width && sh.emptyFrom(l.last))
	switch {
	case filled == 0 || !fits || len(sh.when) > 0 && (topKind.timed() || topKind == looksNumber):
	case rules == filled:
		l.role = ruleLine
	case types == filled:
		l.role = typesLine
	case process*10 >= filled*6 && !l.timed:
		l.role = processLine
	case units*10 >= filled*6 && !l.timed:
		l.role = unitsLine
	case numbers > 0 && words == 0 && top == "" && len(sh.when) > 0:
		l.role = placesLine
	case words > 0 && (numbers <= words || l.timed || numbers >= 3 && topKind == looksText && !strings.HasSuffix(top, ":")):
		l.role = wordsLine
	}
}

// bracketed reports whether a cell is in brackets, as units are.
func bracketed(s string) bool {
	return len(s) > 2 && (s[0] == '(' && s[len(s)-1] == ')' || s[0] == '[' && s[len(s)-1] == ']')
}

// emptyFrom reports whether the rows have nothing in the cells from column n on.
func (sh *sheet) emptyFrom(n int) bool {
	for i := range sh.rows[:min(len(sh.rows), 200)] {
		for _, cell := range sh.rows[i].cells[min(n, len(sh.rows[i].cells)):] {
			if cell != "" {
				return false
			}
		}
	}
	return true
}

// namesAmong returns which of the lines is the row of names; -1 when none is.
func namesAmong(lines []headLine) int {
	best := -1
	for i := range lines {
		l := &lines[i]
		if l.role == noLine && best >= 0 {
			break
		}
		if l.role != wordsLine {
			continue
		}
		if best < 0 {
			best = i
			if l.timed && distinct(l) == l.full {
				break
			}
			continue
		}
		b := &lines[best]
		if lines[i].at < b.at-2 {
			break
		}
		if l.timed && !b.timed || l.timed == b.timed && distinct(l) > distinct(b) && l.last > 2 {
			best = i
		}
	}
	if best >= 0 && !lines[best].timed && lines[best].role == wordsLine {
		// One line of words that no time word marks is a header all the same when
		// it stands right above the rows, and is no title.
		if lines[best].last < 2 && len(lines[best].cells) > 1 {
			return -1
		}
		return best
	}
	if best < 0 {
		// A row of units alone names the columns if nothing else does.
		for i := range lines {
			if lines[i].role == unitsLine && i == 0 {
				return i
			}
		}
	}
	return best
}

func distinct(l *headLine) int {
	seen := make(map[string]bool, len(l.cells))
	for _, cell := range l.cells {
		if cell != "" {
			seen[cell] = true
		}
	}
	return len(seen)
}

// dropEmptyNames leaves out names behind the last that is not empty, as long
// as nothing is in the rows' cells there.
func (sh *sheet) dropEmptyNames() {
	n := len(sh.names)
	for n > 0 && sh.names[n-1] == "" && sh.emptyFrom(n-1) {
		n--
	}
	sh.names = sh.names[:n]
}

// namesCutOtherwise finds names that are parted in another way than the cells
// of the rows: by two blanks or more, by another delimiter, behind a comment
// sign, or with one name for date and time of day.
func (sh *sheet) namesCutOtherwise(c *cutter, first int) bool {
	for at, blanks := first-1, 0; at >= 0 && at >= first-4; at-- {
		line := strings.TrimSpace(sh.line(at))
		if line == "" {
			if blanks++; blanks > 1 {
				return false
			}
			continue
		}
		for _, names := range otherCuts(c, line) {
			if len(names) > 1 && commentSign(names[0]) {
				names = names[1:]
			}
			if len(names) == sh.width-1 && sh.whenKind == whenTwo && sh.when[1] == sh.when[0]+1 {
				names = slices.Insert(slices.Clone(names), sh.when[1], names[min(sh.when[0], len(names)-1)]+" (2)")
			}
			if len(names) != sh.width || strings.HasSuffix(names[0], ":") || strings.HasSuffix(names[0], "=") {
				continue
			}
			l := headLine{at: at, cells: names, last: len(names)}
			if sh.judge(&l); l.role != wordsLine || !l.timed && at < first-2 {
				continue
			}
			sh.names, sh.namesGiven, sh.preamble = names, true, at
			for i := at; i < first; i++ {
				sh.head = append(sh.head, headRow{line: int64(i + 1), kind: rowSkip, cells: []string{sh.line(i)}})
			}
			sh.find("header", "line "+strconv.Itoa(at+1), Certain, int64(at+1), "it names the %d columns, though it is cut in another way than the rows: %s", sh.width, cut([]byte(strings.Join(names, " | "))))
			return true
		}
	}
	return false
}

var twoBlanks = lazily(` {2,}|\t+`)

func otherCuts(c *cutter, line string) [][]string {
	bare := strings.TrimLeft(line, "#%*!/; \t")
	all := [][]string{twoBlanks().Split(bare, -1)}
	for _, d := range []byte(",;\t| ") {
		if d == c.delimiter && d != ' ' && bare == line {
			continue
		}
		other := cutter{delimiter: d, quote: c.quote}
		all = append(all, slices.Clone(other.cut(bare)))
	}
	return all
}

func commentSign(s string) bool { return s == "#" || s == "%" || s == "//" || s == "*" || s == ";" }

func onlySigns(s string) bool {
	return len(s) > 1 && strings.Trim(s, "-=_+*~# .") == ""
}

// typeCell reports whether a cell tells a column's type: 5s, 20d, float.
func typeCell(s string) bool {
	if len(s) >= 2 && len(s) <= 4 && wholeNumber(s[:len(s)-1]) && strings.IndexByte("sdnSDNcfiCFI", s[len(s)-1]) >= 0 {
		return true
	}
	switch strings.ToLower(s) {
	case "int", "integer", "float", "double", "real", "string", "str", "number", "long", "unsignedlong", "datetime:rfc3339", "numeric", "varchar", "char", "bool", "boolean", "datetime", "int32", "int64", "float32", "float64", "decimal", "text":
		return true
	}
	return false
}

func processCell(s string) bool {
	switch strings.ToLower(s) {
	case "avg", "min", "max", "smp", "tot", "std", "wvc", "sum", "mean", "sample", "average", "total", "inst", "tmx", "tmn", "med", "median", "mittel",
		"mittelwert", "moy", "moyenne", "gem", "gemiddelde", "minimum", "maximum", "last", "first", "momentan", "instant", "etsz", "cov", "sdev", "stdev", "count", "med.", "hist":
		return true
	}
	return false
}

func formatCell(s string) bool {
	s = strings.ToLower(strings.Trim(s, "()[]{}<> "))
	switch s {
	case "ts", "rn":
		return true
	}
	return len(s) >= 4 && strings.Trim(s, "ymdhstujaz:/-. nfp24%") == "" && (strings.Contains(s, "yy") || strings.Contains(s, "hh") || strings.Contains(s, "dd") || strings.Contains(s, "mm") || strings.Contains(s, "jj"))
}

// looksUnit reports whether a cell of a header looks like a unit.
func looksUnit(s string) bool {
	if formatCell(s) {
		return true
	}
	s = strings.Trim(s, "()[]{}<> ")
	if s == "" || utf8.RuneCountInString(s) > 16 {
		return false
	}
	switch strings.ToLower(s) {
	case "m", "cm", "mm", "km", "ft", "feet", "in", "inch", "inches", "s", "sec", "min", "h", "hr", "d", "day", "l", "ml", "m3", "m^3", "m³", "cfs", "gpm", "mgd", "ls",
		"v", "mv", "volt", "volts", "a", "ma", "amp", "amps", "w", "kw", "mw", "wh", "kwh", "mwh", "var", "kvar", "kvarh", "va", "kva", "hz", "ohm", "kohm", "ohms",
		"c", "f", "k", "degc", "deg c", "degf", "deg f", "deg", "degrees", "celsius", "kelvin", "pa", "hpa", "kpa", "mpa", "mbar", "bar", "psi", "mmhg", "torr", "dbar", "mh2o", "mws", "cmh2o",
		"ph", "ntu", "ntu's", "ppt", "ppm", "ppb", "psu", "us/cm", "ms/cm", "s/m", "mg/l", "ug/l", "µg/l", "%sat", "fnu", "fnmu", "rfu", "db", "dbm", "lux", "lx", "par", "counts", "cnt", "count",
		"kg", "g", "mg", "t", "j", "kj", "mj", "gj", "cal", "rh", "%rh", "knots", "kt", "kts", "mph", "kph", "n/a", "none", "m asl", "mnn", "nap", "m nap", "-", "nan", "unit", "units", "-/-", "dimensionless", "nmi", "mi", "hft", "degt", "degm", "hours", "hh:mm", "no unit", "°", "cbar", "kg/h", "unitless":
		return true
	}
	if strings.HasPrefix(s, "%") || strings.Contains(s, "°") || strings.Contains(s, "µ") || strings.Contains(s, "²") || strings.Contains(s, "³") || strings.Contains(s, "Ω") || strings.HasSuffix(s, "%") {
		return true
	}
	slash := strings.IndexByte(s, '/')
	return slash > 0 && slash <= 6 && len(s) <= 14 && !strings.ContainsAny(s, " :") || strings.Contains(s, "^2") || strings.Contains(s, "^3") || strings.Contains(s, "m-2") || strings.HasSuffix(s, "-1")
}

package format

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// readTold reads the lines before the header as keys and values.
func (sh *sheet) readTold() {
	c := cutter{delimiter: sh.delimiter, quote: sh.quote}
	if sh.delimiter == ' ' || sh.delimiter == 0 {
		c.delimiter = '\t'
	}
	section := ""
	var keys *toldLine // a line of keys, when the one before may be one
	var keyCells []string
	for at := range sh.preamble {
		line := strings.TrimSpace(sh.line(at))
		if line == "" || at == 0 && sh.sep {
			keys = nil
			continue
		}
		told := toldLine{line: int64(at + 1), section: section}
		cells := slices.Clone(c.cut(sh.line(at)))
		filled := slices.DeleteFunc(slices.Clone(cells), func(s string) bool { return s == "" })
		bare := strings.TrimSpace(strings.Trim(line, "\"';,\t"))
		switch {
		case len(bare) > 2 && bare[0] == '[' && bare[len(bare)-1] == ']':
			section = bare[1 : len(bare)-1]
			keys = nil
			continue
		case keys != nil && valuesBelow(keyCells, cells):
			for i, key := range keyCells {
				if key != "" && i < len(cells) && cells[i] != "" {
					sh.told = append(sh.told, toldLine{line: told.line, section: section, key: key, value: cells[i], below: true})
				}
			}
			keys = nil
			continue
		case len(filled) == 2 && !strings.HasSuffix(filled[0], "="):
			told.key, told.value = strings.TrimRight(filled[0], ": ="), filled[1]
			told.between, _ = spoken(c.delimiter)
			if c.delimiter == '\t' {
				told.between = "\t"
			}
		case splitTold(bare, &told):
		case len(filled) == 1 && !strings.ContainsAny(bare, "0123456789") && strings.Count(bare, " ") < 5:
			section = strings.TrimRight(bare, ":= -*")
			section = strings.TrimLeft(section, "#%*-= ")
			told.value = bare
		default:
			told.value = bare
		}
		if keys = nil; len(filled) > 1 && allWords(filled) {
			keys, keyCells = &told, cells
		}
		sh.told = append(sh.told, told)
	}
}

// keyValue is a key of a few words and what follows its colon or equals sign.
var keyValue = lazily(`^[#%*/!; ]*([^:=]{1,48}?)(\s*(?::\s|:$|=|:)\s*)(.*)$`)

func splitTold(line string, t *toldLine) bool {
	if strings.IndexByte(line, ':') < 0 && strings.IndexByte(line, '=') < 0 {
		return false
	}
	m := keyValue().FindStringSubmatch(line)
	if m == nil || m[1] == "" || isDigit(m[1][len(m[1])-1]) && strings.TrimSpace(m[2]) == ":" && m[3] != "" && isDigit(m[3][0]) || strings.TrimSpace(m[1]) == "" {
		return false
	}
	t.key, t.between, t.value = strings.TrimSpace(strings.Trim(m[1], `"`)), m[2], strings.TrimSpace(strings.Trim(m[3], `";,`))
	return true
}

func allWords(cells []string) bool {
	return !slices.ContainsFunc(cells, func(s string) bool { return cellLooks(s) != looksText })
}

// valuesBelow reports whether cells can be the values of the keys above them.
func valuesBelow(keys, cells []string) bool {
	if len(keys) != len(cells) || len(keys) < 2 {
		return false
	}
	return slices.ContainsFunc(cells, func(s string) bool { return s != "" && cellLooks(s) != looksText })
}

// The marks of a start and of an interval.
var (
	startTime = lazily(`\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ ,;T"]+\d{1,2}:\d{2}(?::\d{2})?)?`)
	everyUnit = lazily(`(?i)(?:^|[^\d.])(\d+(?:[.,]\d+)?)["' ,;]*(secs?|seconds?|mins?|minutes?|hours?|hrs?|days?|sek|std|[smhd])\b`)
	clockSpan = lazily(`(?:^|[^\d:])(\d{1,2}:\d{2}:\d{2})(?:$|[^\d:])`)
)

// readInterval looks in the preamble for when the first row was and how far
// the rows are apart, as they do not say themselves.
func (sh *sheet) readInterval() {
	if o := sh.intervalBefore(sh.preamble); o != nil {
		sh.intervalOnly = o
		sh.find("timestamp", "start and interval", Certain, o.line, "the rows hold numbers alone; the lines before them tell the start, %s, and the interval, %s %s", o.time, o.span, o.unit)
	}
}

// tellsInterval reports whether the lines before one, from 0, tell a start and
// an interval.
func (sh *sheet) tellsInterval(before int) bool { return sh.intervalBefore(before) != nil }

func (sh *sheet) intervalBefore(before int) *intervalOnly {
	o := &intervalOnly{}
	for at := max(0, before-100); at < before; at++ {
		line := sh.line(at)
		low := strings.ToLower(line)
		span := startTime().FindStringIndex(line)
		said := strings.Contains(low, "start") || strings.Contains(low, "begin") || strings.Contains(low, "first") || strings.Contains(low, "debut") || strings.Contains(low, "début") || strings.Contains(low, "inicio") || strings.Contains(low, "time")
		if span != nil && said && o.start == "" {
			o.line, o.time = int64(at+1), line[span[0]:span[1]]
			o.start = "^" + general(line[:span[0]]) + `(?P<time>` + shapeOf(o.time) + `)`
		}
		rest, from := line, 0
		if span != nil {
			rest, from = line[span[1]:], span[1]
		}
		every := strings.Contains(low, "interval") || strings.Contains(low, "period") || strings.Contains(low, "every") || strings.Contains(low, "rate") || strings.Contains(low, "intervall") || strings.Contains(low, "schritt") || strings.Contains(low, "step") || span != nil && said
		if !every || o.every != "" {
			continue
		}
		if m := everyUnit().FindStringSubmatchIndex(rest); m != nil {
			o.span, o.unit = rest[m[2]:m[3]], rest[m[4]:m[5]]
			o.every = "^" + general(line[:from+m[2]]) + `(?P<every>[\d.,]+)` + general(rest[m[3]:m[4]]) + `(?P<unit>[A-Za-z]+)`
		} else if m := clockSpan().FindStringSubmatchIndex(rest); m != nil {
			o.span = rest[m[2]:m[3]]
			o.every = "^" + general(line[:from+m[2]]) + `(?P<every>\d+:\d+:\d+)`
		}
	}
	if o.start == "" || o.every == "" {
		return nil
	}
	return o
}

// general is a pattern for a piece of a line: any number for a number, any
// blanks for blanks, and the rest as it is.
func general(s string) string {
	var b strings.Builder
	for p := 0; p < len(s); {
		from := p
		switch {
		case isDigit(s[p]):
			for p < len(s) && isDigit(s[p]) {
				p++
			}
			b.WriteString(`\d+`)
		case blank(s[p]):
			for p < len(s) && blank(s[p]) {
				p++
			}
			b.WriteString(`\s+`)
		default:
			for p < len(s) && !isDigit(s[p]) && !blank(s[p]) {
				p++
			}
			b.WriteString(regexp.QuoteMeta(s[from:p]))
		}
	}
	return b.String()
}

// shapeOf is a pattern for texts that differ from s in their digits alone.
func shapeOf(s string) string {
	var b strings.Builder
	for p := 0; p < len(s); {
		if isDigit(s[p]) {
			for p < len(s) && isDigit(s[p]) {
				p++
			}
			b.WriteString(`\d+`)
			continue
		}
		b.WriteString(regexp.QuoteMeta(s[p : p+1]))
		p++
	}
	return b.String()
}

// readColumnsFrom looks for lines before the rows that name a column each, in
// order, where no row of names does: as many as there are columns of values.
func (sh *sheet) readColumnsFrom() {
	values := sh.width - len(sh.when)
	if values < 1 {
		return
	}
	// Numbered sections with the same key in them: [Channel 1] Identification=.
	counts := map[string][]toldLine{}
	var order []string
	for _, t := range sh.told {
		if t.section == "" || t.key == "" || !strings.ContainsAny(t.section, "0123456789") {
			continue
		}
		id := general(t.section) + "\x00" + t.key
		if counts[id] == nil {
			order = append(order, id)
		}
		counts[id] = append(counts[id], t)
	}
	for _, id := range order {
		lines := counts[id]
		section, key, _ := strings.Cut(id, "\x00")
		if len(lines) != values || !slices.ContainsFunc(lines, func(t toldLine) bool { return cellLooks(t.value) == looksText }) || !allDistinct(lines) {
			continue
		}
		within := `[^\[\]]*?^[ \t]*`
		sh.columnsFrom = `(?m)^[ \t]*\[` + section + `\]` + within + regexp.QuoteMeta(key) + `[ \t]*[=:][ \t]*(?P<channel>[^\n]*?)[ \t]*$`
		if unit := sh.unitKey(section, values, lines[0].line); unit != "" {
			sh.columnsFrom += within + regexp.QuoteMeta(unit) + `[ \t]*[=:][ \t]*[-+.,\d]+[ \t]*(?P<unit>[^\n]*?)[ \t]*$`
		}
		sh.find("columns", "from the preamble", Certain, lines[0].line, "%s name the columns: %q is %s", plural(len(lines), "section"), lines[0].section, lines[0].value)
		return
	}
	if sh.delimiter == ' ' || sh.delimiter == 0 {
		return
	}
	// Keyed lines: "ch",1,"flow","l/s".
	c := cutter{delimiter: sh.delimiter, quote: sh.quote}
	byKey := map[string][][]string{}
	first := map[string]int64{}
	var keys []string
	for at := range sh.preamble {
		cells := slices.Clone(c.cut(sh.line(at)))
		if len(cells) < 2 || cells[0] == "" {
			continue
		}
		if byKey[cells[0]] == nil {
			keys, first[cells[0]] = append(keys, cells[0]), int64(at+1)
		}
		byKey[cells[0]] = append(byKey[cells[0]], cells)
	}
	for _, key := range keys {
		lines := byKey[key]
		if len(lines) != values || len(lines[0]) < 3 || !within(0, 999)(lines[0][1]) || cellLooks(lines[0][2]) != looksText {
			continue
		}
		d := regexp.QuoteMeta(string(sh.delimiter))
		cell := func(group string) string { return d + `\s*"?(?P<` + group + `>[^"` + d + `]*)"?` }
		sh.columnsFrom = `^\s*"?` + regexp.QuoteMeta(key) + `"?` + d + `\s*"?\d+"?` + cell("channel")
		if len(lines[0]) > 3 {
			sh.columnsFrom += cell("unit")
		}
		sh.find("columns", "from the preamble", Certain, first[key], "%s name the columns, the first as %s", plural(len(lines), "line"), strings.Join(lines[0][2:], " "))
		return
	}
}

// unitKey returns the key, below line from in sections like the one given,
// whose values are numbers with a unit behind them: those of the columns.
func (sh *sheet) unitKey(section string, values int, from int64) string {
	counts := map[string]int{}
	for _, t := range sh.told {
		if t.line <= from || t.section == "" || general(t.section) != section {
			continue
		}
		n := numberLength(strings.TrimLeft(t.value, "+-"))
		if unit := strings.TrimSpace(strings.TrimLeft(t.value, "+-")[n:]); n > 0 && unit != "" && looksUnit(unit) {
			counts[t.key]++
		}
	}
	for _, t := range sh.told {
		if t.line > from && counts[t.key] == values {
			return t.key
		}
	}
	return ""
}

func allDistinct(lines []toldLine) bool {
	for i := range lines {
		for j := range i {
			if lines[i].value == lines[j].value {
				return false
			}
		}
	}
	return true
}

var recordWords = []string{"record", "sample", "reading", "rows", "data points", "datapoints", "number of", "count", "anzahl", "aantal", "nombre", "registros", "mesures", "messwerte", "values", "lines", "scans", "logs"}

// readRecords finds the line that declares how many rows there are.
func (sh *sheet) readRecords(t *tableReader) {
	rows := -1
	if sh.whole && t.scan == len(sh.lines) && sh.gap == len(sh.rows) {
		rows = len(sh.rows)
	} else if sh.whole {
		rows = -2 // some number beyond what was counted
	}
	if o := sh.intervalOnly; o != nil && rows > 0 {
		// The line with start and interval may end with the count.
		line := strings.TrimRight(sh.line(int(o.line)-1), ` "`)
		if count := strconv.Itoa(rows); strings.HasSuffix(line, string(sh.delimiter)+count) {
			sh.records = "^" + general(strings.TrimSuffix(line, count)) + `(?P<records>\d+)`
			sh.find("records", count, Certain, o.line, "the line declares how many rows there are, and so many there are")
			return
		}
	}
	for _, l := range slices.Backward(sh.told) {
		value := strings.TrimSpace(l.value)
		if !wholeNumber(value) || len(value) > 9 {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			continue
		}
		key := strings.ToLower(l.key)
		named := l.key != "" && slices.ContainsFunc(recordWords, func(w string) bool { return strings.Contains(key, w) }) && !strings.Contains(key, "channel") && !strings.Contains(key, "serial")
		last := l.key == "" && int(l.line) == sh.preamble
		switch {
		case last && (n == rows || rows < 0 && n > len(sh.rows)/2):
			sh.records = `^\s*(?P<records>\d+)\s*$`
		case named && !l.below && (n == rows || rows < 0 && n >= len(sh.rows)):
			line := sh.line(int(l.line) - 1)
			at := strings.LastIndex(line, value)
			sh.records = "^" + general(line[:at]) + `(?P<records>\d+)`
		default:
			continue
		}
		sh.find("records", value, Likely, l.line, "the line declares how many rows there are: %s", cut([]byte(sh.line(int(l.line)-1))))
		return
	}
}

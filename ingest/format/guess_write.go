package format

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A profileWriter writes the YAML of a guess, its evidence in comments. The
// text depends on the kind of the files alone, so that all of a kind make the
// same.
type profileWriter struct {
	strings.Builder
}

// guessName is what the names of guessed profiles begin with, before the shape.
const guessName = "guess-"

// line writes one line, and the comment behind it.
func (w *profileWriter) line(text, comment string) {
	w.WriteString(text)
	if comment != "" {
		w.WriteString(strings.Repeat(" ", max(1, 44-len([]rune(text)))))
		w.WriteString("# " + comment)
	}
	w.WriteByte('\n')
}

// plainScalar reports whether YAML takes the text as it is, unless it is a word
// with a meaning: ASCII letters, and behind the first digits and a few signs.
func plainScalar(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) && (i == 0 || !isDigit(s[i]) && strings.IndexByte("_./-", s[i]) < 0) {
			return false
		}
	}
	return s != ""
}

// scalar writes a text as YAML.
func scalar(s string) string {
	if plainScalar(s) {
		switch strings.ToLower(s) {
		case "y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan":
		default:
			return s
		}
	}
	if strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff
	}) {
		return strconv.QuoteToASCII(s)
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

func scalars(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = scalar(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

var (
	serialPart = lazily(`(?i)(s/n:? *#?)[\w-]+|(#)\d+|(lbl: *)[^,)]+|((?:gmt|utc) ?)[+-]\d{1,2}(?::?\d{2})?|\d{5,}`)
)

// namePatternOf is a pattern for a header's text that holds serials, labels or
// an offset, which are other ones in the next file of the kind; "" when it holds
// none.
func namePatternOf(name string) string {
	if !strings.ContainsAny(name, "0123456789/:") {
		return ""
	}
	places := serialPart().FindAllStringSubmatchIndex(name, -1)
	if len(places) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteByte('^')
	at := 0
	for _, p := range places {
		b.WriteString(regexp.QuoteMeta(name[at:p[0]]))
		switch {
		case p[2] >= 0:
			b.WriteString(regexp.QuoteMeta(name[p[2]:p[3]]) + `[\w-]+`)
		case p[4] >= 0:
			b.WriteString(`#\d+`)
		case p[6] >= 0:
			b.WriteString(regexp.QuoteMeta(name[p[6]:p[7]]) + `[^,)]+`)
		case p[8] >= 0:
			b.WriteString(regexp.QuoteMeta(name[p[8]:p[9]]) + `[+-]\d{1,2}(?::?\d{2})?`)
		default:
			b.WriteString(`\d+`)
		}
		at = p[1]
	}
	b.WriteString(regexp.QuoteMeta(name[at:]) + "$")
	return b.String()
}

// ref writes a reference to a column: by name, or by number where the name is
// empty or not its own.
func (g *guesser) ref(c int) string {
	name := g.columns[c].name
	twin := slices.ContainsFunc(g.columns[:c], func(o guessColumn) bool { return o.name == name }) ||
		slices.ContainsFunc(g.columns[c+1:], func(o guessColumn) bool { return o.name == name })
	if name == "" || twin {
		return strconv.Itoa(c + 1)
	}
	if pattern := namePatternOf(name); pattern != "" {
		return "{match: " + scalar(pattern) + "}"
	}
	return scalar(name)
}

// refAlone is ref for a rule that is of one column alone, which no pattern can be.
func (g *guesser) refAlone(c int) string {
	if r := g.ref(c); !strings.HasPrefix(r, "{") {
		return r
	}
	return strconv.Itoa(c + 1)
}

// columnName names a column for a person.
func (g *guesser) columnName(c int) string {
	if g.columns[c].name == "" {
		return fmt.Sprintf("column %d", c+1)
	}
	return g.columns[c].name
}

func (g *guesser) columnNames(columns []int) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = strconv.Quote(g.columnName(c))
	}
	return strings.Join(names, " and ")
}

func (sh *sheet) hasRow(kind string) bool {
	return slices.ContainsFunc(sh.head, func(r headRow) bool { return r.kind == kind })
}

// namesLine is the line of the names, 0 when there is none.
func (sh *sheet) namesLine() int64 {
	for _, r := range sh.head {
		if r.kind == rowNames {
			return r.line
		}
	}
	return 0
}

// write makes the YAML of what was found.
func (g *guesser) write() string {
	w := &profileWriter{}
	shape, comment := "wide", "a column for each channel"
	switch {
	case g.matrix != nil:
		shape, comment = "matrix", "a row for each day, a column for each time of day"
	case g.shape.long:
		shape, comment = "long", "one column of values, and one that says of what"
	}
	w.line("name: "+guessName+g.id, "of the shape; give it a name of your own")
	w.line("description: "+scalar(g.describe()), "")
	if open := g.leftOpen(); len(open) > 0 {
		w.line("open: "+scalars(open), "not decided: files are held until it is, see the findings")
	}
	w.line("", "")
	g.writeSignature(w)
	g.writeDialect(w)
	g.writeFraming(w)
	w.line("", "")
	w.line("shape: "+shape, comment)
	g.writeOrigins(w)
	g.writeColumns(w)
	g.writeNumbers(w)
	g.writeTimestamp(w)
	return strings.ReplaceAll(w.String(), "\n\n\n", "\n\n")
}

// describe says in a line what the files are.
func (g *guesser) describe() string {
	var names []string
	for c := range g.columns {
		if g.columns[c].role == isValue || g.columns[c].role == isStamp {
			form, channel, _ := headerParts(g.columns[c].name)
			if at := serialPart().FindStringIndex(channel); form < 0 && at != nil {
				if channel = strings.Trim(channel[:at[0]], " ,("); channel == "" {
					channel = "a serial"
				}
			}
			names = append(names, channel)
		}
	}
	more := ""
	if len(names) > 4 {
		names, more = names[:4], " and more"
	}
	return "guessed from files with the columns " + strings.Join(names, ", ") + more
}

func (g *guesser) writeSignature(w *profileWriter) {
	sh := g.sheets[0]
	w.line("signature:", "files of the kind, and no others")
	if sh.hasRow(rowNames) && !sh.namesGiven {
		w.line("  header:", "")
		for c, name := range sh.names {
			if pattern := namePatternOf(name); pattern != "" {
				w.line("    - {match: "+scalar(pattern)+"}", "")
			} else {
				w.line("    - "+scalar(g.columns[c].name), "")
			}
		}
		return
	}
	if line, pattern := g.landmark(); pattern != "" {
		key := "line"
		if line == 1 {
			key = "first_line"
		}
		w.line("  "+key+": "+scalar(pattern), "")
		return
	}
	w.line("  first_line: "+scalar(g.rowPattern()), "what a row looks like")
}

// landmark finds a line of the preamble that says what kind of file it is, as
// a pattern; the line is counted from 1.
func (g *guesser) landmark() (line int, pattern string) {
	sh := g.sheets[0]
	if sh.namesGiven { // the line that names the columns, though in cells of its own
		return sh.preamble + 1, "^" + general(strings.TrimRight(sh.line(sh.preamble), " \t"))
	}
	if sh.preamble == 0 {
		return 0, ""
	}
	text := func(n int) string { return strings.TrimRight(sh.text[sh.lines[n].start:sh.lines[n].end], " \t") }
	if first := text(0); len(first) > 7 && !strings.ContainsAny(first, "0123456789") && !strings.ContainsAny(first, ":=;,\t") {
		return 1, "^" + regexp.QuoteMeta(first)
	}
	for i := min(sh.preamble, len(sh.lines)) - 1; i >= 0; i-- {
		if s := text(i); strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") && !strings.ContainsAny(s, "0123456789") {
			return i + 1, "^" + regexp.QuoteMeta(s)
		}
	}
	for _, t := range sh.told {
		if t.key != "" && len(t.key) > 2 && t.line > 0 && !strings.ContainsAny(t.key, "0123456789") {
			return int(t.line), `^[\s"#*;,]*` + regexp.QuoteMeta(strings.Trim(t.key, ` "#*;,`))
		}
	}
	if first := text(0); len(first) > 2 {
		return 1, "^" + digitsRun().ReplaceAllString(regexp.QuoteMeta(first), `\d+`)
	}
	return 0, ""
}

// rowPattern is a pattern for the first row of a table without a header.
func (g *guesser) rowPattern() string {
	sh := g.sheets[0]
	line := sh.text[sh.lines[g.rows[0].line-1].start:sh.lines[g.rows[0].line-1].end]
	cells := strings.Count(line, string(sh.delimiter))
	end := strings.IndexByte(line, sh.delimiter)
	if sh.delimiter <= ' ' && sh.delimiter != '\t' || end < 0 || len(sh.fixed) > 0 {
		end = min(len(line), 16)
		return "^" + digitsRun().ReplaceAllString(regexp.QuoteMeta(line[:end]), `\d+`)
	}
	first := digitsRun().ReplaceAllString(regexp.QuoteMeta(line[:end]), `\d+`)
	d := regexp.QuoteMeta(string(sh.delimiter))
	return fmt.Sprintf("^%s(?:%s[^%s]*){%d}$", first, d, d, cells)
}

func (g *guesser) writeDialect(w *profileWriter) {
	sh := g.sheets[0]
	w.line("dialect:", "")
	switch {
	case len(sh.fixed) > 0:
		widths := make([]string, len(sh.fixed))
		for i, n := range sh.fixed {
			widths[i] = strconv.Itoa(n)
		}
		w.line("  fixed: ["+strings.Join(widths, ", ")+"]", "columns of fixed width")
	case sh.delimiter == '\t':
		w.line("  delimiter: tab", "it cuts every row into as many cells")
	case sh.delimiter == ' ':
		w.line("  delimiter: space", "runs of blanks")
	default:
		w.line("  delimiter: "+scalar(string(sh.delimiter)), "it cuts every row into as many cells")
	}
	switch {
	case sh.quote == 0:
		w.line("  quote: none", "quotes are part of the text")
	case sh.quote != '"':
		w.line("  quote: "+scalar(string(sh.quote)), "")
	}
	if sh.comment != "" {
		w.line("  comment: "+scalar(sh.comment), "lines that begin so hold no data")
	}
	if sh.foreignFrom > firstLook {
		w.line("  encoding: "+sh.encoding, "its first character that is not ASCII is far down")
	} else {
		w.line("  encoding: [utf-8, windows-1252]", "the first that the text is valid in; UTF-16 is known by itself")
	}
	if sh.nul {
		w.line("  nul: drop", "NUL bytes stand in the text")
	}
	switch g.style.sure {
	case Open:
		w.line(`  decimal: ["`+string(g.style.decimal)+`", "`+string(other(g.style.decimal))+`"]`, "open: see the findings")
	default:
		if g.style.decimal == ',' {
			w.line(`  decimal: ","`, "the numbers show it")
		} else {
			w.line(`  decimal: "."`, "the numbers show it")
		}
	}
	switch g.style.thousands {
	case "":
	case "space":
		w.line("  thousands: space", "between groups of three digits")
	default:
		w.line("  thousands: "+scalar(g.style.thousands), "between groups of three digits")
	}
}

// other is the decimal sign that is not meant.
func other(sign byte) byte {
	if sign == ',' {
		return '.'
	}
	return ','
}

func (g *guesser) writeFraming(w *profileWriter) {
	sh := g.sheets[0]
	w.line("framing:", "")
	named := sh.hasRow(rowNames) && !sh.namesGiven
	switch {
	case named:
		w.line("  preamble: find", "the header is found by the signature")
	case sh.preamble > 0 && sh.columnsFrom == "":
		w.line("  preamble: {before: "+scalar(g.firstRowPattern())+"}", "up to the first row")
	case sh.preamble > 0 || len(sh.head) > 0:
		w.line("  preamble: {before: "+scalar(g.firstRowPattern())+"}", "up to the first row")
	}
	var rows []string
	for _, r := range sh.head {
		kind := r.kind
		if sh.namesGiven && kind == rowNames {
			kind = rowSkip
		}
		rows = append(rows, kind)
	}
	switch {
	case sh.columnsFrom != "":
		w.line("  rows: []", "no row names the columns")
		first := make([]string, 0, len(g.when.columns))
		for i, c := range g.when.columns {
			if c == i {
				first = append(first, g.columns[c].name)
			}
		}
		w.line("  columns_from: {preamble: "+scalar(sh.columnsFrom)+", first: "+scalars(first)+"}", "the preamble names the channels")
	case !named:
		if sh.preamble == 0 || len(rows) == 0 || g.beforeRow() {
			rows = nil
		}
		w.line("  rows: "+scalars(rows), "no row names the columns")
		names := make([]string, len(g.columns))
		for c := range g.columns {
			names[c] = g.columnName(c)
		}
		w.line("  columns: "+scalars(names), "")
	default:
		w.line("  rows: "+scalars(rows), "")
	}
	if slices.ContainsFunc(g.sheets, func(sh *sheet) bool { return sh.short > 0 && !sh.torn && sh.delimiter != ' ' }) {
		w.line("  short_rows: missing", "rows may end before the last column")
	}
	if sh.footer != "" {
		w.line("  footer: "+scalar(sh.footer), "nothing from there on is data")
	}
	if sh.message != "" {
		w.line("  message: "+scalar(sh.message), "lines between the rows that are no data")
	}
	if sh.records != "" {
		w.line("  records: "+scalar(sh.records), "how many rows there are to be")
	}
}

// beforeRow reports whether the preamble of a table without names reaches up to
// its first row.
func (g *guesser) beforeRow() bool { return g.sheets[0].preamble > 0 || len(g.sheets[0].head) > 0 }

// firstRowPattern is a pattern for rows that tells them from the lines before.
func (g *guesser) firstRowPattern() string {
	sh := g.sheets[0]
	line := sh.text[sh.lines[g.rows[0].line-1].start:sh.lines[g.rows[0].line-1].end]
	if g.when != nil && g.when.pace != nil {
		return `^[\s"]*[-+]?[.,]?\d`
	}
	end := len(line)
	if g.when != nil && len(g.when.columns) > 0 && g.when.columns[0] == 0 {
		cell := g.rows[0].cells[0]
		if i := strings.Index(line, cell); i >= 0 {
			end = i + len(cell)
		}
	} else if i := strings.IndexByte(line, sh.delimiter); i > 0 {
		end = i
	}
	return "^" + digitsRun().ReplaceAllString(regexp.QuoteMeta(line[:end]), `\d+`)
}

func (g *guesser) writeOrigins(w *profileWriter) {
	write := func(key string, o *guessOrigin, comment string) {
		switch {
		case len(o.columns) == 1 && o.match != "":
			w.line(key+": {column: "+g.ref(o.columns[0])+", match: "+scalar(o.match)+"}", comment)
		case len(o.columns) == 1:
			w.line(key+": {column: "+g.ref(o.columns[0])+"}", comment)
		case len(o.columns) > 1:
			refs := make([]string, len(o.columns))
			for i, c := range o.columns {
				refs[i] = g.ref(c)
			}
			w.line(key+": {columns: ["+strings.Join(refs, ", ")+"], join: '-'}", comment)
		case o.preamble != "":
			w.line(key+": {preamble: "+scalar(o.preamble)+"}", comment)
		case o.header != "":
			w.line(key+": {header: "+scalar(o.header)+"}", comment)
		case o.stem:
			w.line(key+": {file_name: "+nameStem+"}", comment)
		case o.folder:
			w.line(key+": {path: "+pathFolder+"}", comment)
		case o.constant != "":
			w.line(key+": {constant: "+scalar(o.constant)+"}", comment)
		}
	}
	var comment string
	switch {
	case len(g.logger.columns) > 0:
		comment = "its texts repeat"
	case g.logger.preamble != "":
		comment = "a line before the rows tells it"
	case g.logger.header != "":
		comment = "the names of the columns tell it"
	case g.logger.stem:
		comment = "the file's name without its ending, dates, times and counters"
	case g.logger.folder:
		comment = "the name of the folder that the file lies in"
	}
	write("logger", &g.logger, comment)
	if g.several.named {
		w.line("columns_are: logger", "each column is a place or device")
		write("channel", &g.several.channel, "what all columns measure")
		if g.several.unit != "" {
			w.line("unit: {preamble: "+scalar(g.several.unit)+"}", "a line before the rows tells it")
		}
	}
	if !g.shape.long && g.matrix == nil {
		return
	}
	write("channel", &g.channel, "what a row's numbers are of")
	if g.matrix != nil {
		if g.shape.unit >= 0 {
			w.line("unit: {column: "+g.ref(g.shape.unit)+"}", "its cells are units")
		}
		return
	}
	w.line("value: "+g.ref(g.shape.value), "the only column of numbers")
	if g.shape.unit >= 0 {
		w.line("unit: {column: "+g.ref(g.shape.unit)+"}", "its cells are units")
	} else if unit := g.unitOf(g.shape.value); unit != "" {
		w.line("unit: {constant: "+scalar(unit)+"}", "of the header")
	}
	if g.shape.quality >= 0 {
		w.line("quality: "+g.ref(g.shape.quality), "")
	}
}

func (g *guesser) writeColumns(w *profileWriter) {
	if g.shape.long {
		return
	}
	if rules := g.channelRules(); len(rules) > 0 && g.matrix == nil {
		w.line("channels:", "")
		for _, r := range rules {
			if r.column < 0 {
				w.line("  - column: {match: "+scalar(r.pattern)+"}", g.whatHeaderHas())
				continue
			}
			w.line("  - column: "+g.refAlone(r.column), "")
			if r.channel != "" {
				w.line("    channel: "+scalar(r.channel), "")
			}
			if r.unit != "" {
				w.line("    unit: "+scalar(r.unit), "")
			}
			if r.units >= 0 {
				w.line("    unit: {column: "+g.ref(r.units)+"}", "its cells are units")
			}
			if r.quality >= 0 {
				w.line("    quality: "+g.ref(r.quality), "")
			}
		}
	}
	if g.matrix == nil {
		if g.several.serials {
			w.line("repeated: number", "a logger may have two channels of one name")
		}
		w.line("others: channel", "every other column of numbers is a channel")
		if g.unitsInPairs() {
			w.line("pairs: unit", "the unit of each stands in the column behind it")
		}
	}
	none := func(c int) bool {
		col := &g.columns[c]
		return col.role == isIgnored || col.role == isZone && c != g.zone.column ||
			col.role == isUnit && (g.matrix != nil && c != g.shape.unit || g.matrix == nil && (col.of < 0 || g.columns[col.of].role != isValue)) ||
			col.role == isQuality && (col.of < 0 || col.filled == 0 || g.columns[col.of].role != isValue)
	}
	if !slices.ContainsFunc(slices.Collect(indices(len(g.columns))), none) {
		return
	}
	w.line("ignore:", "")
	w.line("  columns:", "")
	for c := range g.columns {
		if !none(c) {
			continue
		}
		why := g.columns[c].why
		if g.columns[c].role == isQuality {
			if why = "text beside the channels, of none in particular"; g.columns[c].filled == 0 {
				why = "empty, and its name says flags or notes"
			}
		}
		w.line("    - "+g.ref(c), why)
	}
}

// whatHeaderHas says what patterns take out of the names of columns.
func (g *guesser) whatHeaderHas() string {
	if g.several.serials {
		return "the header's text has the logger's serial in it"
	}
	return "the header's text has the unit in it"
}

func indices(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func (g *guesser) writeNumbers(w *profileWriter) {
	w.line("missing: "+scalars(append([]string{usualMissing}, g.missing...)), "NAN, NA, ---, ? and the like are no readings")
	var lines []string
	if g.suffix.unit {
		lines = append(lines, "unit: true")
	}
	if g.suffix.flag != "" {
		lines = append(lines, "flag: "+scalar(g.suffix.flag))
	}
	if g.suffix.inequality {
		lines = append(lines, "inequality: true")
	}
	if len(lines) > 0 {
		w.line("numbers: {"+strings.Join(lines, ", ")+"}", "what stands beside the numbers")
	}
}

func quoteMeta(s string) string { return regexp.QuoteMeta(s) }

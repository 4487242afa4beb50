package format

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A tableOfLoggers says what the columns of a wide table are of, where they are not
// all channels of one logger.
type tableOfLoggers struct {
	named   bool        // the header's text names loggers, and the channel is one for all
	above   []string    // by column, the cells of a row that names groups of columns
	channel guessOrigin // where named, and no row above tells it
	unit    string      // a pattern with a group unit on the preamble, or ""
	serials bool        // the names of the columns have the serials of several loggers
}

var (
	// siteName is how columns are called that are a place or device each, whatever
	// it measures: a serial, a code of letters and three digits, Station 4.
	siteName = lazily(`^(?:\d{5,}|\pL{1,5}[-_ ]?\d{3,}|(?i:sites?|stations?|loggers?|meters?|wells?|bore|borehole|bohrloch|messstelle|gauges?|gages?|nodes?|devices?|plots?|punto|pegel|stanice|mw|bh|gwm|gwmw|obs|pz|dma|s/?n)[-_ .#]*(?:[A-Z]|[A-Z]{0,3}-?\d+[A-Za-z]?))$`)
	// quantityWord is what names of what is measured have in them.
	quantityWord = lazily(`(?i)flow|level|stage|temp|press|rain|precip|conduct|turbid|salin|\bpH\b|oxygen|\bDO\b|volum|volt|batter|depth|veloc|speed|humid|power|energy|current|discharge|radiation|wind|consum|moisture|nitrate|chlor|durchfluss|abfluss|pegel|wasserstand|stand\b|druck|feuchte|leistung|niederschlag|leitf|débit|niveau|pluie|caudal|nivel|presi|lluvia|debiet|druk|neerslag|průtok|hladina|tlak|srážk|teplota`)
	unitKey      = lazily(`(?i)^(unit|units|uom|einheit|unité|unidad|eenheid|jednotka)$`)
)

// loggersOfGroups takes the row above the names that says of which logger the
// columns are. Where it is of quantities, and the names are those of the loggers,
// it is one of channels.
func (g *guesser) loggersOfGroups(f *Finding) bool {
	sh := g.sheets[0]
	at := slices.IndexFunc(sh.head, func(r headRow) bool { return r.kind == rowLoggers })
	if at < 0 {
		return false
	}
	row := &sh.head[at]
	if g.shape.long || g.matrix != nil {
		row.kind = rowSkip
		return false
	}
	values := g.columnsOf(isValue)
	above := filled(row.cells)
	quantities := func(text func(c int) string) (n int) {
		for _, c := range values {
			if name := text(c); quantityWord().MatchString(name) || g.unitOfName(name) != "" {
				n++
			}
		}
		return n
	}
	g.several.above = above
	f.Line, f.Evidence = row.line, "the row above the names says of each column which logger it is of"
	if !placeKey().MatchString(row.cells[0]) && quantities(func(c int) string { return unitCell(above, c) }) > quantities(func(c int) string { return g.columns[c].name }) {
		row.kind, g.several.named = rowChannels, true
		f.Value, f.Line = "a column each", sh.namesLine()
		f.Evidence = fmt.Sprintf("the same names come again below %q and others of line %d", unitCell(above, values[0]), row.line)
		return true
	}
	var names []string
	for _, c := range values {
		if !slices.Contains(names, unitCell(above, c)) {
			names = append(names, unitCell(above, c))
		}
	}
	f.Value = inShort(names)
	return true
}

// tellsTwinsApart reports whether a row above names that come again and again
// gives each of them another text. when are the columns of the time.
func tellsTwinsApart(above, names []string, when []int) bool {
	if len(above) != len(names) {
		return false
	}
	above = filled(above)
	single, both := make(map[string]int), make(map[string]bool)
	for c, name := range names {
		if slices.Contains(when, c) {
			continue
		}
		if k := cellLooks(above[c]); name == "" || k != looksText {
			return false
		}
		key := above[c] + "\x00" + name
		if both[key] {
			return false
		}
		both[key] = true
		single[name]++
	}
	for _, n := range single {
		if n < 2 {
			return false
		}
	}
	return len(single) > 0
}

// loggersOfColumns takes the names of the columns for those of loggers, when they
// are of places or devices and something tells what all of them measure. Where
// nothing tells it, it is asked, and they are taken for channels until then.
func (g *guesser) loggersOfColumns(f *Finding) bool {
	values := g.columnsOf(isValue)
	if g.shape.long || g.matrix != nil || len(values) < 2 || g.sheets[0].headerless || g.sheets[0].namesLine() == 0 || g.sheets[0].namesGiven {
		return false
	}
	var names []string
	for _, c := range values {
		_, name, _ := headerParts(g.columns[c].name)
		if !siteName().MatchString(name) {
			return false
		}
		names = append(names, name)
	}
	f.Value, f.Line = inShort(names), g.sheets[0].namesLine()
	channel := Finding{What: "channel", Sure: Certain}
	if !g.quantityTold(&channel) && !g.quantityTitle(&channel) && !g.quantityAbove(values, &channel) && !g.quantityOfName(&channel) && !g.oneUnit(values, &channel) {
		if depths(names) {
			return false
		}
		g.find(Finding{What: "columns", Value: inShort(names), Sure: Open, Line: f.Line, Evidence: "they are called by places or devices, and nothing tells what is measured there"})
		q := question{key: "columns_are", text: fmt.Sprintf("The columns are called %s: are these loggers, of one quantity, or channels of one logger?", inShort(names))}
		q.add("columns_are=logger", "each column is a logger of its own; channel=NAME says what it measures")
		q.add("columns_are=channel", "they are the channels of one logger")
		g.ask(q)
		return false
	}
	g.several.named = true
	f.Evidence = "the columns are called by places or devices; what all of them measure is told"
	g.find(channel)
	return true
}

// depths reports whether names end in numbers as depths, heights and distances do,
// which are round: VWC_010, VWC_020.
func depths(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		digits := strings.TrimLeftFunc(name, func(r rune) bool { return r < '0' || r > '9' })
		return len(digits) > 4 || !strings.HasSuffix(digits, "0") && !strings.HasSuffix(digits, "5")
	})
}

// quantityTold takes what all columns measure from a line of the preamble.
func (g *guesser) quantityTold(f *Finding) bool {
	sh := g.sheets[0]
	for i := range sh.told {
		t := &sh.told[i]
		key := strings.ToLower(strings.Trim(t.key, ` :"#`))
		value := strings.Trim(t.value, ` ";,`)
		if !slices.Contains(quantityKeys, key) || value == "" || len(value) > 60 || cellLooks(value) != looksText {
			continue
		}
		pattern := toldPattern(t, "channel", sh.delimiter)
		if found, ok := preamblePattern(sh, pattern, "channel"); !ok || found != value {
			continue
		}
		if form, channel, unit := headerParts(value); form == 1 || form == 2 {
			with, _, _ := strings.Cut(pattern, "(?P<channel>")
			with += `(?P<channel>[^"\[(]*[^\s"\[(]) *[\[(] *(?P<unit>[^"\])]*[^\s"\])])`
			if found, ok := preamblePattern(sh, with, "unit"); ok && found == unit {
				pattern, value = with, channel
			}
		}
		g.several.channel.preamble = pattern
		f.Value, f.Evidence, f.Line = value, fmt.Sprintf("the preamble has it as %q", strings.TrimSpace(t.key)), t.line
		g.unitTold()
		return true
	}
	return false
}

// titles of a table that name what all of it measures, and perhaps its unit.
var titles = []string{
	`^[\s"]*(?P<channel>\pL[^"();,\[\]\t]*?) *[\[(] *(?P<unit>[^"\])]+?) *[\])][\s";,]*$`,
	`^[\s"]*(?P<channel>\pL[^"();,\[\]\t]*?) +(?P<unit>[^ "();,\[\]\t]*/[^ "();,\[\]\t]*)[\s";,]*$`,
	`^[\s"]*(?P<channel>\pL[^"();,\[\]\t]*?)[\s";,]*$`,
}

// quantityTitle takes what all columns measure from a first line that says it and
// nothing else.
func (g *guesser) quantityTitle(f *Finding) bool {
	sh := g.sheets[0]
	if sh.preamble == 0 || sh.namesLine() == 0 {
		return false
	}
	for _, pattern := range titles {
		re := regexp.MustCompile(pattern)
		m := re.FindStringSubmatch(sh.line(0))
		if m == nil {
			continue
		}
		if unit := re.SubexpIndex("unit"); unit > 0 && !unitLike(m[unit]) || !quantityWord().MatchString(m[1]) || strings.ContainsAny(m[1], ":=0123456789") || strings.Count(m[1], " ") > 2 {
			continue
		}
		g.several.channel.preamble = pattern
		f.Value, f.Evidence, f.Line = m[1], "the first line says it, and nothing else", 1
		return true
	}
	return false
}

// unitTold takes the unit of all columns from a line of the preamble.
func (g *guesser) unitTold() {
	sh := g.sheets[0]
	for i := range sh.told {
		t := &sh.told[i]
		value := strings.Trim(t.value, ` ";,`)
		if !unitKey().MatchString(strings.Trim(t.key, ` :"#`)) || !unitLike(value) {
			continue
		}
		pattern := toldPattern(t, "unit", sh.delimiter)
		if found, ok := preamblePattern(sh, pattern, "unit"); ok && found == value {
			g.several.unit = pattern
			g.find(Finding{What: "unit", Value: value, Sure: Certain, Evidence: fmt.Sprintf("the preamble has it as %q", t.key), Line: t.line})
			return
		}
	}
}

// quantityAbove takes what all columns measure from a row above their names that
// has one text for all.
func (g *guesser) quantityAbove(values []int, f *Finding) bool {
	sh := g.sheets[0]
	for i := range sh.head {
		r := &sh.head[i]
		if r.kind != rowSkip || r.line >= sh.namesLine() {
			continue
		}
		above := filled(r.cells)
		text := unitCell(above, values[0])
		if cellLooks(text) != looksText || slices.ContainsFunc(values, func(c int) bool { return unitCell(above, c) != text && c < len(above) }) {
			continue
		}
		if len(above) <= values[len(values)-1] {
			continue // cells that are not there are not those of the left
		}
		r.kind = rowChannels
		f.Value, f.Evidence, f.Line = text, "the row above has it over all columns", r.line
		return true
	}
	return false
}

// quantityOfName takes what all columns measure from the file's name, when that
// says nothing else.
func (g *guesser) quantityOfName(f *Finding) bool {
	stem := stemOf(baseName(g.sheets[0].path))
	words := strings.FieldsFunc(stem, func(r rune) bool { return r == '_' || r == '-' || r == ' ' || r == '.' })
	if len(words) > 2 || strings.ContainsAny(stem, "0123456789") || slices.ContainsFunc(words, func(w string) bool {
		return !quantityWord().MatchString(w) && !genericName().MatchString(w) && w != "water"
	}) ||
		!slices.ContainsFunc(words, quantityWord().MatchString) {
		return false
	}
	g.several.channel.stem = true
	f.Value, f.Evidence = stem, "the file's name says nothing else"
	return true
}

// oneUnit takes it from one unit for all columns that they measure one thing.
func (g *guesser) oneUnit(values []int, f *Finding) bool {
	unit := g.unitOf(values[0])
	if unit == "" || slices.ContainsFunc(values, func(c int) bool { return g.unitOf(c) != unit }) {
		return false
	}
	g.several.channel.constant = "value"
	f.Value, f.Sure, f.Line = "value", Likely, g.sheets[0].namesLine()
	f.Evidence = fmt.Sprintf("all columns are in %s; channel=NAME says what is measured", unit)
	return true
}

// inShort lists names, of many the first.
func inShort(names []string) string {
	if len(names) > 6 {
		return strings.Join(names[:5], ", ") + fmt.Sprintf(" and %d more", len(names)-5)
	}
	return strings.Join(names, ", ")
}

package format

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A guessOrigin is where a name comes from.
type guessOrigin struct {
	constant string
	columns  []int
	match    string // pattern on the column's cell
	stem     bool   // of the file's name
	folder   bool   // the one that the file lies in
	preamble string // patterns
	header   string
}

var (
	placeKey  = regexp.MustCompile(`(?i)^(logger( ?name)?|station( ?name)?|site( ?(name|id|code))?|location( ?(name|id))?|device ?name|plot ?title|messstelle|standort|messstation|stationsnam[en]|station ?id|stationskennung|meetpunt|locatie|punto|estaci[oó]n|sitio|lieu|lieu-dit|stanice|lokalita|monitoring ?point|asset|well( ?name)?|borehole|gauge|tag|point ?name|name|nom|nombre|naam|název|meter( ?(id|no|number|point))?|deployment( ?name)?|test ?name|ort|logger ?id|unit ?id|station ?(no|number|code)|gauge ?id|buoy)$`)
	serialKey = regexp.MustCompile(`(?i)^((logger|device|instrument|unit|sensor|sonde)? ?(s/?n|serial( ?(no|nr|num|number|#))?\.?)|serial_number|seriennummer|geräte-?nr.*|numéro de série|n° (de )?série|número de serie|serienummer|sériové číslo|device( ?id)?|instrument( ?id)?|mac( ?address)?|imei|device_id|serial)#?$`)
)

// findLogger finds out where the name of the logger comes from.
func (g *guesser) findLogger() {
	f := Finding{What: "logger", Sure: Certain}
	switch {
	case g.sheets[0].hasRow(rowLoggers):
		f.Value, f.Evidence = "of each column", "a row above the names has it"
	case len(g.shape.logger) > 0:
		g.logger.columns = g.shape.logger
		f.Value, f.Evidence, f.Line = g.columnNames(g.shape.logger), g.columns[g.shape.logger[0]].why, g.rows0Line()
	case g.loggerTold(placeKey, &f), g.loggerTold(serialKey, &f), g.loggerListed(&f), g.loggerAlone(&f), g.loggerOfHeader(&f):
	default:
		g.loggerOfName(&f)
	}
	g.find(f)
}

// loggerTold takes the logger from a line of the preamble with a key that says
// so.
func (g *guesser) loggerTold(keys *regexp.Regexp, f *Finding) bool {
	sh := g.sheets[0]
	if keys == placeKey && g.loggerWithin(f) {
		return true
	}
	for _, t := range sh.told {
		key := strings.Trim(t.key, " :;=\"'#*")
		value := t.value
		if sh.delimiter > ' ' {
			value, _, _ = strings.Cut(strings.TrimLeft(value, string(sh.delimiter)+" "), string(sh.delimiter))
		}
		value = strings.Trim(value, " :;=\"'")
		if !keys.MatchString(key) || value == "" || len(value) > 100 || strings.EqualFold(value, "none") || strings.HasPrefix(value, "<") {
			continue
		}
		pattern := toldPattern(&t, "logger", sh.delimiter)
		found, ok := preamblePattern(sh, pattern, "logger")
		if !ok || found != value {
			continue
		}
		if slices.ContainsFunc(g.sheets, func(o *sheet) bool { _, ok := preamblePattern(o, pattern, "logger"); return !ok }) {
			continue
		}
		g.logger.preamble = pattern
		f.Value, f.Evidence, f.Line = value, fmt.Sprintf("the preamble has it as %q", key), t.line
		return true
	}
	return false
}

var keyWithin = regexp.MustCompile(`^"?(\pL[\pL ]{2,20}): *([^":][^":]*?)"?$`)

// loggerWithin takes the logger from a value that has key and value in it:
// "text","Site: North Road".
func (g *guesser) loggerWithin(f *Finding) bool {
	sh := g.sheets[0]
	for _, t := range sh.told {
		m := keyWithin.FindStringSubmatch(strings.TrimSpace(t.value))
		if t.key == "" || m == nil || !placeKey.MatchString(m[1]) {
			continue
		}
		pattern := `(?:^|[\s",;])` + regexp.QuoteMeta(m[1]) + `: *(?P<logger>[^"]*[^\s"])`
		found, ok := preamblePattern(sh, pattern, "logger")
		if !ok || found != m[2] {
			continue
		}
		g.logger.preamble = pattern
		f.Value, f.Evidence, f.Line = found, fmt.Sprintf("the preamble has it as %q", m[1]), t.line
		return true
	}
	return false
}

// toldPattern is a pattern that takes the value of a preamble's line.
func toldPattern(t *toldLine, group string, delimiter byte) string {
	not := `[^"`
	if delimiter > ' ' || delimiter == '\t' {
		not += regexp.QuoteMeta(string(delimiter))
	}
	not += "]"
	between := strings.TrimSpace(t.between)
	sep := regexp.QuoteMeta(between)
	if sep == "" {
		sep = `[\s"]`
	} else if len(between) == 1 && delimiter > ' ' && between[0] != delimiter {
		sep += `[` + regexp.QuoteMeta(string(delimiter)) + `\s"]*`
	}
	return `^[\s"#*;,]*` + regexp.QuoteMeta(strings.Trim(t.key, ` "#*;,`)) + `[\s":]*` + sep + `[\s"]*(?P<` + group + `>` + not + `*[^\s"` + trailing(delimiter) + `])`
}

func trailing(delimiter byte) string {
	if delimiter > ' ' || delimiter == '\t' {
		return regexp.QuoteMeta(string(delimiter))
	}
	return ""
}

// preamblePattern is what a pattern's group takes of the sample's preamble.
func preamblePattern(sh *sheet, pattern, group string) (string, bool) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return "", false
	}
	for i := range sh.lines[:min(sh.preamble, len(sh.lines))] {
		line := sh.text[sh.lines[i].start:sh.lines[i].end]
		if m := re.FindStringSubmatch(line); m != nil {
			return strings.TrimSpace(m[re.SubexpIndex(group)]), true
		}
	}
	return "", false
}

// measureLike is a number that no logger is called by.
var measureLike = regexp.MustCompile(`^\d{0,3}[.,]?\d*$`)

var listCell = regexp.MustCompile(`^[\pL\d][\pL\d ._/-]{0,60}$`)

// loggerListed takes the logger from a first line that is a list of cells
// without keys: the cell that the file's name has as well, else the second.
func (g *guesser) loggerListed(f *Finding) bool {
	sh := g.sheets[0]
	if sh.preamble == 0 || sh.delimiter == 0 || sh.delimiter == ' ' {
		return false
	}
	if slices.ContainsFunc(sh.told, func(t toldLine) bool { return t.below && t.line == 2 }) {
		return false // keys, and their values below
	}
	d := string(sh.delimiter)
	line := sh.text[sh.lines[0].start:sh.lines[0].end]
	cells := strings.Split(line, d)
	key := strings.Trim(cells[0], `" `)
	keyed := len(cells) > 1 && (placeKey.MatchString(key) || serialKey.MatchString(key))
	if !keyed && (len(cells) < 4 || strings.Contains(key, ":") || strings.HasPrefix(line, "#")) {
		return false
	}
	base := baseName(sh.path)
	at := -1
	if keyed {
		cells = cells[:2]
	}
	for i, c := range cells {
		c = strings.Trim(c, `" `)
		if i > 0 && listCell.MatchString(c) && len(c) > 1 && !measureLike.MatchString(c) && (at < 0 || strings.Contains(base, c) && !strings.Contains(base, strings.Trim(cells[at], `" `))) {
			at = i
		}
	}
	if at < 0 {
		return false
	}
	first := strings.Trim(cells[0], `" `)
	pattern := `^"?` + regexp.QuoteMeta(first) + `"?` + regexp.QuoteMeta(d)
	for range at - 1 {
		pattern += `[^` + regexp.QuoteMeta(d) + `]*` + regexp.QuoteMeta(d)
	}
	pattern += ` *"?(?P<logger>[^"` + regexp.QuoteMeta(d) + `]+)`
	found, ok := preamblePattern(sh, pattern, "logger")
	if !ok || found != strings.Trim(cells[at], `" `) || slices.ContainsFunc(g.sheets, func(o *sheet) bool { _, ok := preamblePattern(o, pattern, "logger"); return !ok }) {
		return false
	}
	g.logger.preamble = pattern
	f.Value, f.Sure, f.Line = found, Likely, 1
	f.Evidence = "the first line lists it without saying what it is"
	if strings.Contains(base, found) {
		f.Evidence = "the first line lists it, and the file's name has it, too"
	}
	return true
}

var serialLine = regexp.MustCompile(`^"?([A-Za-z]{0,8}[-_ ]?\d[\w-]{2,30})"?$`)

// loggerAlone takes a first line that is a serial and nothing else.
func (g *guesser) loggerAlone(f *Finding) bool {
	const pattern = `^"?(?P<logger>[A-Za-z]{0,8}[-_ ]?\d[\w-]{2,30})"?\s*$`
	sh := g.sheets[0]
	if sh.preamble == 0 {
		return false
	}
	line := strings.TrimSpace(sh.text[sh.lines[0].start:sh.lines[0].end])
	m := serialLine.FindStringSubmatch(line)
	if m == nil {
		return false
	}
	if _, ok := stampFormOf(m[1]); ok {
		return false
	}
	if found, ok := preamblePattern(sh, pattern, "logger"); !ok || found != m[1] {
		return false
	}
	g.logger.preamble = pattern
	f.Value, f.Evidence, f.Line = m[1], "the first line is a serial and nothing else", 1
	return true
}

// headerSerial takes a logger's serial out of the header's text.
const headerSerial = `(?i)(?:lgr|logger) s/?n:? *#?(?P<logger>[\w-]+)`

var serialOfLogger = regexp.MustCompile(headerSerial)

// loggerOfHeader takes the serial that all columns say is the logger's.
func (g *guesser) loggerOfHeader(f *Finding) bool {
	serial := ""
	for c := range g.columns {
		m := serialOfLogger.FindStringSubmatch(g.columns[c].name)
		if m == nil {
			continue
		}
		if serial != "" && m[1] != serial {
			return false
		}
		serial = m[1]
	}
	if serial == "" {
		return false
	}
	g.logger.header = headerSerial
	f.Value, f.Evidence, f.Line = serial, "the names of the columns have it as the logger's serial", g.sheets[0].namesLine()
	return true
}

var genericName = regexp.MustCompile(`(?i)^(data|daten|export(ed)?|log(s|ger|file)?|readings?|values?|messwerte|measurements?|download|file|output|report|results?|table|untitled|current|latest|history|archive|dump|csv|txt|datei|new|test|sample|records?|timeseries|series|unknown|all|full|hourly|daily|monthly|raw|historic(al)?|[-_. \d]*)([-_ .]*\d*)$`)

// loggerOfName takes the logger from the file's name, or from that of its
// folder where the file's name says nothing.
func (g *guesser) loggerOfName(f *Finding) {
	whole := g.sheets[0].path
	base := baseName(whole)
	stem, folder := stemOf(base), folderOf(whole)
	f.Sure = Likely
	if folder != "" && (dateAlone(stem, base) || genericName.MatchString(stem)) {
		g.logger.folder, f.Value = true, folder
		f.Evidence = fmt.Sprintf("the folder's name, as the file's, %q, says nothing of a logger", base)
		return
	}
	g.logger.stem, f.Value = true, stem
	f.Evidence = "the file's name without its ending, dates, times and counters, as nothing in the file tells it"
}

// A headerForm is a way to write a channel and its unit into a header.
type headerForm struct {
	pattern string // with %s for the unit
	needs   string // what stands in all that it matches
	re      *regexp.Regexp
}

// serials is what headers write behind label and unit.
const serials = `(?:[ ,(].*(?:S/N|SN|LBL|#).*)?`

var headerForms = func() (forms []headerForm) {
	for _, f := range [][2]string{
		{`^(?P<channel>.+?), *(?P<unit>%s) *\(.*(?:S/N|LBL).*\)$`, "("},
		{`^(?P<channel>.+?) *\( *(?P<unit>%s) *\)` + serials + `$`, "("},
		{`^(?P<channel>.+?) *\[ *(?P<unit>%s) *\]` + serials + `$`, "["},
		{`^(?P<channel>[^,]+?), *(?P<unit>%s)$`, ","},
		{`^(?P<channel>.+?) +/ +(?P<unit>%s)$`, " / "},
		{`^(?P<channel>.+?) +in +(?P<unit>%s)$`, " in "},
		{`^(?P<channel>.+?) +(?P<unit>%s)$`, " "},
	} {
		p := f[0]
		forms = append(forms, headerForm{p, f[1], regexp.MustCompile(fmt.Sprintf(p, `[^()\[\],]*?`))})
	}
	return forms
}()

// plainUnit is what stands for a unit behind a name even without brackets.
var plainUnit = regexp.MustCompile(`^(.*[/°%³²^µ].*|mm|cm|mV|kW|kWh|MW|MWh|hPa|kPa|mbar|bar|psi|ppm|NTU|PSU|mAOD)$`)

// unitOfName is the unit that a header's text tells; "" for none.
func (g *guesser) unitOfName(name string) string {
	_, _, unit := headerParts(name)
	return unit
}

// headerParts takes a header's text apart: form is the index in headerForms, or
// -1.
func headerParts(name string) (form int, channel, unit string) {
	for i, f := range headerForms {
		if !strings.Contains(name, f.needs) {
			continue
		}
		m := f.re.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		channel, unit = strings.TrimSpace(m[1]), strings.TrimSpace(m[2])
		if i == len(headerForms)-1 && !plainUnit.MatchString(unit) {
			continue
		}
		if channel != "" && (unitLike(unit) || unit == "" && i >= 1 && i <= 2) {
			return i, channel, unit
		}
	}
	return -1, name, ""
}

// unitOf is the unit of a column, of the row of units or of its header.
func (g *guesser) unitOf(c int) string {
	if g.columns[c].unit != "" {
		return g.columns[c].unit
	}
	return g.unitOfName(g.columns[c].name)
}

// A channelGuess says how the names of some columns are to be read.
type channelGuess struct {
	column  int    // of one column; -1 for pattern
	pattern string // of all columns of a form
	channel string // of one column
	unit    string // of one column
	quality int    // or -1
}

// loggerAbove is the logger that a row above the names gives a column, and a sign
// that no name has; "" where there is no such row.
func (sh *sheet) loggerAbove(c int) string {
	for _, r := range sh.head {
		for ; r.kind == rowLoggers && c < len(r.cells) && c >= 0; c-- {
			if r.cells[c] != "" {
				return r.cells[c] + "\x00"
			}
		}
	}
	return ""
}

// channelRules makes the rules for the columns of readings of a wide table: a
// pattern for each form of header, and one for each column that needs it.
func (g *guesser) channelRules() (rules []channelGuess) {
	values := g.columnsOf(isValue)
	unitRow := g.sheets[0].hasRow(rowUnits)
	loggerAbove := g.sheets[0].loggerAbove
	form := make(map[int]int)
	names := make(map[string][]int)
	label := make(map[int]string)
	for _, c := range values {
		form[c] = -1
		label[c] = g.columns[c].name
		if !unitRow || g.columns[c].unit == "" {
			if i, channel, _ := headerParts(g.columns[c].name); i >= 0 {
				form[c], label[c] = i, channel
			}
		}
	}
	for _, c := range values {
		names[loggerAbove(c)+label[c]] = append(names[loggerAbove(c)+label[c]], c)
	}
	for _, twins := range names {
		if len(twins) > 1 { // told apart by the whole text
			for _, c := range twins {
				form[c], label[c] = -1, g.columns[c].name
			}
		}
	}
	seen := make(map[string]int)
	for _, c := range values {
		name := g.columns[c].name
		quality := slices.IndexFunc(g.columns, func(q guessColumn) bool { return q.role == isQuality && q.of == c && q.filled > 0 })
		seen[loggerAbove(c)+label[c]]++
		twin := seen[loggerAbove(c)+label[c]] > 1
		_, _, unit := headerParts(name)
		if unitRow && g.columns[c].unit != "" {
			unit = ""
		}
		switch {
		case name == "":
			rules = append(rules, channelGuess{column: c, channel: fmt.Sprintf("column %d", c+1), quality: quality})
		case twin:
			rules = append(rules, channelGuess{column: c, channel: fmt.Sprintf("%s (%d)", label[c], seen[loggerAbove(c)+label[c]]), unit: unit, quality: quality})
		case quality >= 0 || form[c] < 0 && unit != "":
			channel := label[c]
			if channel == name {
				channel = ""
			}
			rules = append(rules, channelGuess{column: c, channel: channel, unit: unit, quality: quality})
		}
	}
	for i := range headerForms {
		var units []string
		loose := true
		for _, c := range values {
			if form[c] != i {
				continue
			}
			_, _, unit := headerParts(g.columns[c].name)
			if !slices.Contains(units, unit) {
				units = append(units, unit)
			}
		}
		if len(units) == 0 {
			continue
		}
		for c := range g.columns {
			if i == len(headerForms)-1 || g.columns[c].role == isValue && form[c] != i && headerForms[i].re.MatchString(g.columns[c].name) {
				loose = false
			}
		}
		unit := `[^()\[\],]*?`
		if !loose {
			var quoted []string
			for _, u := range units {
				quoted = append(quoted, regexp.QuoteMeta(u))
			}
			unit = strings.Join(quoted, "|")
		}
		rules = append(rules, channelGuess{column: -1, pattern: fmt.Sprintf(headerForms[i].pattern, unit), quality: -1})
	}
	return rules
}

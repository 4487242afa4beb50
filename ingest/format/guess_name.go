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
	placeKey  = lazily(`(?i)^(logger( ?name)?|station( ?name)?|site( ?(name|id|code))?|location( ?(name|id))?|device ?name|plot ?title|messstelle|standort|messstation|stationsnam[en]|station ?id|stationskennung|meetpunt|locatie|punto|estaci[oó]n|sitio|lieu|lieu-dit|stanice|lokalita|monitoring ?point|asset|well( ?name)?|borehole|gauge|tag|point ?name|name|nom|nombre|naam|název|meter( ?(id|no|number|point))?|deployment( ?name)?|test ?name|ort|logger ?id|unit ?id|station ?(no|number|code)|gauge ?id|buoy)$`)
	serialKey = lazily(`(?i)^((logger|device|instrument|unit|sensor|sonde)? ?(s/?n|serial( ?(no|nr|num|number|#))?\.?)|serial_number|seriennummer|geräte-?nr.*|numéro de série|n° (de )?série|número de serie|serienummer|sériové číslo|device( ?id)?|instrument( ?id)?|mac( ?address)?|imei|device_id|serial)#?$`)
)

// findLogger finds out where the name of the logger comes from.
func (g *guesser) findLogger() {
	f := Finding{What: "logger", Sure: Certain}
	switch {
	case g.loggersOfGroups(&f):
	case len(g.shape.logger) > 0:
		g.logger.columns = g.shape.logger
		f.Value, f.Evidence, f.Line = g.columnNames(g.shape.logger), g.columns[g.shape.logger[0]].why, g.rows0Line()
	case g.loggerTold(placeKey(), &f), g.loggerTold(serialKey(), &f), g.loggerListed(&f), g.loggerAlone(&f), g.loggerOfHeader(&f), g.loggersOfHeader(&f):
	case g.loggersOfColumns(&f):
	default:
		g.loggerOfName(&f)
	}
	g.find(f)
}

// loggerTold takes the logger from a line of the preamble with a key that says
// so.
func (g *guesser) loggerTold(keys *regexp.Regexp, f *Finding) bool {
	sh := g.sheets[0]
	if keys == placeKey() && g.loggerWithin(f) {
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

var keyWithin = lazily(`^"?(\pL[\pL ]{2,20}): *([^":][^":]*?)"?$`)

// loggerWithin takes the logger from a value that has key and value in it:
// "text","Site: North Road".
func (g *guesser) loggerWithin(f *Finding) bool {
	sh := g.sheets[0]
	for _, t := range sh.told {
		m := keyWithin().FindStringSubmatch(strings.TrimSpace(t.value))
		if t.key == "" || m == nil || !placeKey().MatchString(m[1]) {
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
var measureLike = lazily(`^\d{0,3}[.,]?\d*$`)

var listCell = lazily(`^[\pL\d][\pL\d ._/-]{0,60}$`)

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
	keyed := len(cells) > 1 && (placeKey().MatchString(key) || serialKey().MatchString(key))
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
		if i > 0 && listCell().MatchString(c) && len(c) > 1 && !measureLike().MatchString(c) && (at < 0 || strings.Contains(base, c) && !strings.Contains(base, strings.Trim(cells[at], `" `))) {
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

var serialLine = lazily(`^"?([A-Za-z]{0,8}[-_ ]?\d[\w-]{2,30})"?$`)

// loggerAlone takes a first line that is a serial and nothing else.
func (g *guesser) loggerAlone(f *Finding) bool {
	const pattern = `^"?(?P<logger>[A-Za-z]{0,8}[-_ ]?\d[\w-]{2,30})"?\s*$`
	sh := g.sheets[0]
	if sh.preamble == 0 {
		return false
	}
	line := strings.TrimSpace(sh.text[sh.lines[0].start:sh.lines[0].end])
	m := serialLine().FindStringSubmatch(line)
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

var serialOfLogger = lazily(headerSerial)

// loggerOfHeader takes the serial that all columns say is the logger's.
func (g *guesser) loggerOfHeader(f *Finding) bool {
	serial := ""
	for c := range g.columns {
		m := serialOfLogger().FindStringSubmatch(g.columns[c].name)
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

// loggersOfHeader takes the serials of several loggers, each from the names of its
// own columns.
func (g *guesser) loggersOfHeader(f *Finding) bool {
	if g.shape.long || g.matrix != nil {
		return false
	}
	var serials []string
	bare := 0 // columns of readings without a serial
	for _, c := range g.columnsOf(isValue) {
		m := serialOfLogger().FindStringSubmatch(g.columns[c].name)
		if m == nil {
			bare++
		} else if !slices.Contains(serials, m[1]) {
			serials = append(serials, m[1])
		}
	}
	if len(serials) < 2 {
		return false
	}
	g.several.serials = true
	if bare > 0 {
		g.loggerOfName(f)
		g.find(*f)
	}
	*f = Finding{What: "logger", Value: inShort(serials), Sure: Certain, Evidence: "the name of each column has the serial of its logger", Line: g.sheets[0].namesLine()}
	return true
}

var genericName = lazily(`(?i)^(data|daten|export(ed)?|log(s|ger|file)?|readings?|values?|messwerte|measurements?|download|file|output|report|results?|table|untitled|current|latest|history|archive|dump|csv|txt|datei|new|test|sample|records?|timeseries|series|unknown|all|full|hourly|daily|monthly|raw|historic(al)?|[-_. \d]*)([-_ .]*\d*)$`)

// loggerOfName takes the logger from the file's name, or from that of its
// folder where the file's name says nothing.
func (g *guesser) loggerOfName(f *Finding) {
	whole := g.sheets[0].path
	base := baseName(whole)
	stem, folder := stemOf(base), folderOf(whole)
	f.Sure = Likely
	if folder != "" && (dateAlone(stem, base) || genericName().MatchString(stem)) {
		g.logger.folder, f.Value = true, folder
		f.Evidence = fmt.Sprintf("the folder's name, as the file's, %q, says nothing of a logger", base)
		return
	}
	g.logger.stem, f.Value = true, stem
	f.Evidence = "the file's name without its ending, dates, times and counters, as nothing in the file tells it"
}

package format

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A headerForm is a way to write a channel and its unit into a header.
type headerForm struct {
	pattern string // with %s for the unit
	needs   string // what stands in all that it matches
	re      func() *regexp.Regexp
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
		forms = append(forms, headerForm{p, f[1], lazily(fmt.Sprintf(p, `[^()\[\],]*?`))})
	}
	return forms
}()

// plainUnit is what stands for a unit behind a name even without brackets.
var plainUnit = lazily(`^(.*[/°%³²^µ].*|mm|cm|mV|kW|kWh|MW|MWh|hPa|kPa|mbar|bar|psi|ppm|NTU|PSU|mAOD)$`)

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
		m := f.re().FindStringSubmatch(name)
		if m == nil {
			continue
		}
		channel, unit = strings.TrimSpace(m[1]), strings.TrimSpace(m[2])
		if i == len(headerForms)-1 && !plainUnit().MatchString(unit) {
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
	units   int    // the column of its units, or -1
}

// channelRules makes the rules for the columns of readings of a wide table: a
// pattern for each form of header, and one for each column that needs it.
func (g *guesser) channelRules() (rules []channelGuess) {
	values := g.columnsOf(isValue)
	unitRow := g.sheets[0].hasRow(rowUnits)
	form := make(map[int]int)
	names := make(map[string][]int)
	label := make(map[int]string)
	// whose is what tells two channels of one label apart, of loggers of their own.
	whose := func(c int) string {
		if m := serialOfLogger().FindStringSubmatch(g.columns[c].name); m != nil && g.several.serials {
			return m[1]
		}
		return unitCell(g.several.above, c)
	}
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
		key := whose(c) + "\x00" + label[c]
		names[key] = append(names[key], c)
	}
	for _, twins := range names {
		if len(twins) > 1 && !g.several.serials { // told apart by the whole text
			for _, c := range twins {
				form[c], label[c] = -1, g.columns[c].name
			}
		}
	}
	seen, paired := make(map[string]int), g.unitsInPairs()
	for _, c := range values {
		name := g.columns[c].name
		quality := slices.IndexFunc(g.columns, func(q guessColumn) bool { return q.role == isQuality && q.of == c && q.filled > 0 })
		units := -1
		if !paired {
			units = g.unitColumn(c)
		}
		key := whose(c) + "\x00" + label[c]
		seen[key]++
		twin := seen[key] > 1
		_, _, unit := headerParts(name)
		if unitRow && g.columns[c].unit != "" {
			unit = ""
		}
		switch {
		case name == "":
			rules = append(rules, channelGuess{column: c, channel: fmt.Sprintf("column %d", c+1), quality: quality, units: units})
		case twin && !g.several.serials:
			rules = append(rules, channelGuess{column: c, channel: fmt.Sprintf("%s (%d)", label[c], seen[key]), unit: unit, quality: quality, units: units})
		case quality >= 0 || units >= 0 || form[c] < 0 && unit != "":
			channel := label[c]
			if channel == name || g.several.named {
				channel = ""
			}
			rules = append(rules, channelGuess{column: c, channel: channel, unit: unit, quality: quality, units: units})
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
			if i == len(headerForms)-1 || g.columns[c].role == isValue && form[c] != i && headerForms[i].re().MatchString(g.columns[c].name) {
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
		rules = append(rules, channelGuess{column: -1, pattern: g.patternOf(i, unit), quality: -1, units: -1})
	}
	if g.several.serials {
		rules = append(rules, channelGuess{column: -1, pattern: `^(?P<channel>.+?)[ ,(]+` + ownSerial, quality: -1, units: -1})
	}
	return rules
}

// ownSerial takes the serial of a column's own logger.
const ownSerial = `(?i:lgr|logger) (?i:s/?n):? *#?(?P<logger>[\w-]+)`

// patternOf is the pattern for names of the form i with those units, which are an
// expression. What it names is the logger where the header's text does.
func (g *guesser) patternOf(i int, unit string) string {
	form := headerForms[i].pattern
	switch {
	case g.several.named:
		form = strings.Replace(form, "(?P<channel>", "(?P<logger>", 1)
	case g.several.serials && i < 3:
		const group = "(?P<unit>%s)"
		before, behind, _ := strings.Cut(form, group)
		form = before + group + behind[:len(` *\(`)] + `.*?` + ownSerial // the bracket behind the unit, and on to the serial
	}
	return fmt.Sprintf(form, unit)
}

package format

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// guessZones are what abbreviations mean where nothing speaks against it. Those
// that two parts of the world use are left out, but for the ones of North
// America, whose agencies write them in every row.
var guessZones = map[string]*time.Location{
	"EST": time.FixedZone("-05:00", -5*3600), "EDT": time.FixedZone("-04:00", -4*3600),
	"CST": time.FixedZone("-06:00", -6*3600), "CDT": time.FixedZone("-05:00", -5*3600),
	"MST": time.FixedZone("-07:00", -7*3600), "MDT": time.FixedZone("-06:00", -6*3600),
	"PST": time.FixedZone("-08:00", -8*3600), "PDT": time.FixedZone("-07:00", -7*3600),
	"AKST": time.FixedZone("-09:00", -9*3600), "AKDT": time.FixedZone("-08:00", -8*3600), "HST": time.FixedZone("-10:00", -10*3600),
	"CET": time.FixedZone("+01:00", 3600), "CEST": time.FixedZone("+02:00", 2*3600),
	"MEZ": time.FixedZone("+01:00", 3600), "MESZ": time.FixedZone("+02:00", 2*3600),
	"WET": time.FixedZone("+00:00", 0), "WEST": time.FixedZone("+01:00", 3600), "BST": time.FixedZone("+01:00", 3600),
	"EET": time.FixedZone("+02:00", 2*3600), "EEST": time.FixedZone("+03:00", 3*3600),
	"NZST": time.FixedZone("+12:00", 12*3600), "NZDT": time.FixedZone("+13:00", 13*3600),
	"AEST": time.FixedZone("+10:00", 10*3600), "AEDT": time.FixedZone("+11:00", 11*3600), "AWST": time.FixedZone("+08:00", 8*3600),
	"JST": time.FixedZone("+09:00", 9*3600),
}

// windowsZones are the names that Windows gives zones, in English.
var windowsZones = map[string]string{
	"w. europe standard time": "Europe/Berlin", "romance standard time": "Europe/Paris", "central europe standard time": "Europe/Budapest",
	"central european standard time": "Europe/Warsaw", "gmt standard time": "Europe/London", "greenwich standard time": "UTC",
	"gtb standard time": "Europe/Bucharest", "fle standard time": "Europe/Kyiv", "e. europe standard time": "Europe/Chisinau",
	"eastern standard time": "America/New_York", "central standard time": "America/Chicago", "mountain standard time": "America/Denver",
	"us mountain standard time": "America/Phoenix", "pacific standard time": "America/Los_Angeles", "alaskan standard time": "America/Anchorage",
	"hawaiian standard time": "Pacific/Honolulu", "atlantic standard time": "America/Halifax", "newfoundland standard time": "America/St_Johns",
	"aus eastern standard time": "Australia/Sydney", "e. australia standard time": "Australia/Brisbane", "w. australia standard time": "Australia/Perth",
	"cen. australia standard time": "Australia/Adelaide", "tasmania standard time": "Australia/Hobart", "new zealand standard time": "Pacific/Auckland",
	"south africa standard time": "Africa/Johannesburg", "e. south america standard time": "America/Sao_Paulo", "tokyo standard time": "Asia/Tokyo",
	"china standard time": "Asia/Shanghai", "india standard time": "Asia/Kolkata", "russian standard time": "Europe/Moscow",
	"israel standard time": "Asia/Jerusalem", "singapore standard time": "Asia/Singapore", "coordinated universal time": "UTC", "utc": "UTC",
}

var (
	zoneOffset = lazily(`^(?:UTC|GMT)? ?[+-]\d{1,2}(?::?\d{2})?$`)
	headerZone = lazily(`(?:GMT|UTC) ?([+-]\d{1,2}(?::?\d{2})?)`)
	headerWord = lazily(`(?:^|[^A-Za-z])(UTC|GMT|[A-Z]{3,4})(?:$|[^A-Za-z])`)
	zoneKey    = lazily(`(?i)time ?zone|zeitzone|utc ?offset|gmt ?offset|^tz$|fuseau|zona horaria|tijdzone|časové`)
)

// zoneWord reads what a cell or a preamble may call a zone; zone is as profiles
// write it.
func zoneWord(s string) (zone string, ok bool) {
	s = strings.TrimSpace(s)
	switch {
	case s == "UTC" || s == "GMT" || s == "Z":
		return "UTC", true
	case guessZones[s] != nil:
		return guessZones[s].String(), true
	case zoneOffset().MatchString(s):
		if _, err := ParseZone(strings.ReplaceAll(s, " ", "")); err == nil {
			return strings.ReplaceAll(s, " ", ""), true
		}
	case windowsZones[strings.ToLower(s)] != "":
		return windowsZones[strings.ToLower(s)], true
	case strings.Contains(s, "/") && !strings.Contains(s, " "):
		if _, err := time.LoadLocation(s); err == nil {
			return s, true
		}
	}
	return "", false
}

// A guessZone is where the zone of the timestamps comes from.
type guessZone struct {
	constant string
	preamble string // a pattern with a group zone
	header   int    // the column of the timestamp whose name tells it, or -1
	column   int    // or -1
	zones    map[string]string
	told     string // what the file says, for a person
}

// findZone finds out of which zone the timestamps are.
func (g *guesser) findZone() {
	z := &g.zone
	z.header, z.column = -1, -1
	f := Finding{What: "zone", Sure: Certain, Line: g.rows0Line()}
	switch w := g.when; {
	case w.utc:
		z.constant = "UTC"
		f.Value, f.Evidence = "UTC", "every timestamp says so"
	case w.zoned:
		f.Value, f.Evidence = "per row", "every timestamp tells its offset, or counts from 1970 in UTC"
	case g.zoneOfColumn(&f), g.zoneOfHeader(&f), g.zoneOfPreamble(&f):
	case g.o.Zone != "":
		f.Value, f.Evidence, f.Line = g.o.Zone, "given from outside", 0
	default:
		f.Sure, f.Value, f.Evidence = Open, "unknown", "neither timestamps, header nor preamble tell it"
		if z.told != "" {
			f.Evidence = fmt.Sprintf("the preamble says %q, which is no zone that is known", z.told)
		}
		g.ask(question{key: "zone", text: "Which time zone are the timestamps of?"})
	}
	g.find(f)
	if f.Sure == Certain {
		g.checkClock(f.Value)
	}
}

func (g *guesser) rows0Line() int64 {
	if len(g.rows) == 0 {
		return 0
	}
	return g.rows[0].line
}

func (g *guesser) zoneOfColumn(f *Finding) bool {
	columns := g.columnsOf(isZone)
	if len(columns) == 0 {
		return false
	}
	c := columns[0]
	g.zone.column = c
	for s := range g.columns[c].distinct {
		if zone := guessZones[s]; zone != nil {
			if g.zone.zones == nil {
				g.zone.zones = make(map[string]string)
			}
			g.zone.zones[s] = zone.String()
		}
	}
	f.Value, f.Evidence = g.columnName(c), "each row tells its zone there"
	return true
}

// zoneOfHeader takes the zone out of the names of the timestamp's columns.
func (g *guesser) zoneOfHeader(f *Finding) bool {
	for _, c := range g.when.columns {
		name := g.columns[c].name
		f.Line = g.sheets[0].namesLine()
		if m := headerZone().FindStringSubmatch(name); m != nil {
			if _, err := ParseZone(m[1]); err == nil {
				g.zone.header = c
				f.Value, f.Evidence = m[1], fmt.Sprintf("the header says %q", name)
				return true
			}
		}
	}
	for _, c := range g.when.columns {
		name := g.columns[c].name
		for _, text := range []string{name, g.columns[c].unit} {
			if nameUTC().MatchString(text) {
				g.zone.constant = "UTC"
				f.Value, f.Evidence = "UTC", fmt.Sprintf("the header says %q", text)
				return true
			}
		}
		for _, text := range []string{name, g.columns[c].unit} {
			for _, m := range headerWord().FindAllStringSubmatch(text, -1) {
				if zone := guessZones[m[1]]; zone != nil {
					g.zone.constant = zone.String()
					f.Value, f.Evidence = zone.String(), fmt.Sprintf("the header says %q", text)
					return true
				}
			}
		}
	}
	return false
}

// zoneOfPreamble takes the zone out of a line before the header.
func (g *guesser) zoneOfPreamble(f *Finding) bool {
	if g.zoneInWords(f) {
		return true
	}
	for s, sh := range g.sheets {
		for _, t := range sh.told {
			value := strings.Trim(t.value, `"; `)
			if value == "" || !zoneKey().MatchString(t.key) && !zoneOffset().MatchString(value) {
				continue
			}
			if !zoneKey().MatchString(t.key) && !strings.HasPrefix(value, "UTC") && !strings.HasPrefix(value, "GMT") {
				continue // a number alone may be anything
			}
			zone, ok := zoneWord(value)
			if !ok {
				g.zone.told = value
				continue
			}
			f.Value, f.Evidence, f.Sample, f.Line = zone, fmt.Sprintf("the preamble says %q", value), s, t.line
			pattern := toldPattern(&t, "zone", sh.delimiter)
			if found, ok := preamblePattern(sh, pattern, "zone"); ok && found == value && (zone == value || zone == "UTC") {
				g.zone.preamble = pattern
			} else {
				g.zone.constant = zone
			}
			if slices.ContainsFunc(g.sheets, func(o *sheet) bool { return o != sh && !tells(o, value) }) {
				f.Evidence += "; not all samples do"
			}
			return true
		}
	}
	return false
}

func tells(sh *sheet, value string) bool {
	return slices.ContainsFunc(sh.told, func(t toldLine) bool { return strings.Trim(t.value, `"; `) == value })
}

// wordedZone is how lines of text tell a zone.
var wordedZone = lazily(`(?i)\b(?:time|times|timestamps?|zeit|zeiten|heures?|clock|dates?|zone)\b.*\b(?P<zone>(?:UTC|GMT) ?(?:[+-]\d{1,2}(?::?\d{2})?)?)(?:$|[^\w:+-])`)

// zoneInWords takes the zone out of a line before the rows that says it in a
// sentence: all times are UTC+1.
func (g *guesser) zoneInWords(f *Finding) bool {
	sh := g.sheets[0]
	if len(sh.rows) == 0 {
		return false
	}
	for i := range min(int(sh.rows[0].line)-1, len(sh.lines)) {
		line := sh.line(i)
		if int64(i+1) == sh.namesLine() || len(line) > 300 {
			continue
		}
		m := wordedZone().FindStringSubmatch(line)
		if m == nil {
			continue
		}
		zone, ok := zoneWord(strings.TrimSpace(m[1]))
		if !ok {
			continue
		}
		g.zone.constant = zone
		f.Value, f.Evidence, f.Line = zone, fmt.Sprintf("line %d says %q", i+1, cut([]byte(strings.TrimSpace(line)))), int64(i+1)
		return true
	}
	return false
}

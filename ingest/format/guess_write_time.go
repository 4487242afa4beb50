package format

import (
	"regexp"
	"slices"
	"strings"
)

func (g *guesser) writeTimestamp(w *profileWriter) {
	t := g.when
	w.line("", "")
	w.line("timestamp:", "")
	if t.pace != nil {
		g.writePace(w)
		g.writeZone(w)
		return
	}
	refs := make([]string, len(t.columns))
	for i, c := range t.columns {
		refs[i] = g.ref(c)
		if c == g.zone.header {
			refs[i] = "{match: " + scalar(zonePatternOf(g.columns[c].name)) + "}"
		}
	}
	if len(refs) == 1 {
		w.line("  column: "+refs[0], "a time in every row")
	} else {
		w.line("  columns: ["+strings.Join(refs, ", ")+"]", "joined by a blank, a time in every row")
	}
	if t.interval != "" {
		w.line("  interval: {separator: "+scalar(t.interval)+", take: start}", "open: at which end of it the readings stand")
	}
	if t.until > 0 {
		w.line("  interval: {until: "+g.ref(t.until)+", take: start}", "open: at which end of it the readings stand")
	}
	switch {
	case len(t.other) > 0:
		var all []string
		all = append(all, t.layouts...)
		for _, r := range t.other {
			all = append(all, r.layouts...)
		}
		w.line("  one_of: "+scalars(all), "open: which order the date has")
	case len(t.layouts) == 1:
		w.line("  layout: "+scalar(t.layouts[0]), "it reads every timestamp")
	default:
		w.line("  layouts: "+scalars(t.layouts), "together they read every timestamp")
	}
	if g.matrix != nil {
		layout := scalar(g.matrix.layout)
		if g.matrix.match != "" {
			layout = "{match: " + scalar(g.matrix.match) + ", layout: " + layout + "}"
		}
		w.line("  header_layout: "+layout, "of the columns' names")
	}
	if t.named != "" {
		w.line("  date: {file_name: "+scalar(t.named)+", layout: "+scalar(t.namedLayout)+"}", "the day is in the file's name")
	}
	if t.worded {
		w.line("  language: "+scalars(guessLanguages), "")
	}
	if t.dateOnly {
		w.line("  date_only: true", "a date without its time is midnight")
	}
	g.writeZone(w)
}

func (g *guesser) writeZone(w *profileWriter) {
	t, z := g.when, &g.zone
	zones := z.zones
	if t.worded && t.zoned {
		zones = make(map[string]string)
		for name, zone := range guessZones {
			zones[name] = zone.String()
		}
	}
	switch {
	case z.constant != "":
		w.line("  zone: "+scalar(z.constant), "the file says so")
	case z.preamble != "":
		w.line("  zone: {preamble: "+scalar(z.preamble)+"}", "")
	case z.column >= 0:
		w.line("  zone: {column: "+g.ref(z.column)+"}", "")
	}
	if len(zones) > 0 {
		names := make([]string, 0, len(zones))
		for name := range zones {
			names = append(names, name)
		}
		slices.Sort(names)
		for i, name := range names {
			names[i] = name + `: "` + zones[name] + `"`
		}
		w.line("  zones: {"+strings.Join(names, ", ")+"}", "")
	}
}

// zonePatternOf is the pattern for the header's text that tells the zone.
func zonePatternOf(name string) string {
	m := headerZone().FindStringSubmatchIndex(name)
	literal := func(s string) string {
		if p := namePatternOf(s); p != "" {
			return strings.TrimSuffix(strings.TrimPrefix(p, "^"), "$")
		}
		return regexp.QuoteMeta(s)
	}
	return "^" + literal(name[:m[2]]) + `(?P<zone>[+-]\d{1,2}(?::?\d{2})?)` + literal(name[m[3]:]) + "$"
}

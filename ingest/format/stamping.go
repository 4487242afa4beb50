package format

import (
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"penstock/ingest/format/strictyaml"
)

// A stamping says where the timestamps of a file stand and how they are to be
// understood: the keys below timestamp.
type stamping struct {
	columns []*columnRef // none when the rows do not tell their times
	join    string
	layouts []*layout
	times   *headerTimes // of a matrix
	oneOf   [][]*layout  // the layouts one by one, when all timestamps of a file are in one of them
	words   *words

	cut string // what stands between the two instants of a cell; "" when it holds one
	end bool   // of the two the second counts
	// until is the column of the second, where they stand in two; columns are
	// then of the one that counts, and the other holds no readings.
	until *columnRef
	date  *fileDate
	pace  *pacing // nil unless the rows do not tell their times

	zone       *time.Location // nil when the profile does not know it
	header     bool           // the header's text may tell it
	zoneHeader *pattern       // what of the text of a column of the timestamp
	zoneBefore *pattern       // what of a line before the header
	zoneColumn *columnRef

	standard  bool      // the zone's standard time all year
	shift     bool      // wall times that clocks skipped are meant as an hour later
	undecided undecided // what becomes of wall times that clocks showed twice
}

// A fileDate says how a file's name tells the date of its rows.
type fileDate struct {
	pattern *pattern
	layout  *layout
}

// A pacing says how far apart the rows are of a file that tells only when it
// begins.
type pacing struct {
	start  *pattern
	layout *layout
	every  time.Duration // 0 when the file tells it
	told   *pattern      // its groups every and unit
	unit   string        // of what it tells, when it does not tell that
}

// clock returns a clock of that zone, which may be nil.
func (s *stamping) clock(zone *time.Location) *clock {
	c := newClock(s.layouts, zone)
	c.standard, c.shift = s.standard, s.shift
	return c
}

// simple reports whether a timestamp is what stands in its column, read by the
// clock of the file.
func (s *stamping) simple() bool {
	return len(s.columns) == 1 && s.cut == "" && s.date == nil && s.zoneColumn == nil
}

// zoneNamed returns the zone that a text names: an abbreviation that the profile
// explains, or a zone by its name or offset.
func (s *stamping) zoneNamed(text []byte) (*time.Location, error) {
	if zone, ok := s.words.zones[string(text)]; ok {
		return zone, nil
	}
	return ParseZone(string(text))
}

func (s *stamping) read(r *reader, n *yaml.Node) {
	column := func(n *yaml.Node) {
		var c *columnRef
		if r.column(&c, "zone")(n); c != nil {
			s.columns = append(s.columns, c)
			s.header = s.header || c.match != nil && c.match.groups["zone"] > 0
		}
	}
	var layouts []*yaml.Node
	list := func(n *yaml.Node) { r.Each(n, func(n *yaml.Node) { layouts = append(layouts, n) }) }
	keep := func(into **yaml.Node) func(*yaml.Node) { return func(n *yaml.Node) { *into = n } }
	language := []string{"en"}
	zones := make(map[string]*time.Location)
	dateOnly := false
	var oneOf, languageNode, dateNode, zoneNode, startNode, everyNode *yaml.Node
	r.Mapping(n, "timestamp",
		strictyaml.Key("column", column),
		strictyaml.Key("columns", func(n *yaml.Node) { r.Each(n, column) }),
		strictyaml.Key("join", r.Text(&s.join)),
		strictyaml.Key("layout", list),
		strictyaml.Key("layouts", list),
		strictyaml.Key("one_of", func(n *yaml.Node) { oneOf = n; list(n) }),
		strictyaml.Key("language", func(n *yaml.Node) { languageNode, language = n, nil; r.texts(&language)(n) }),
		strictyaml.Key("date_only", r.Flag(&dateOnly)),
		strictyaml.Key("header_layout", r.headerTimes(&s.times)),
		strictyaml.Key("interval", func(n *yaml.Node) { s.readInterval(r, n) }),
		strictyaml.Key("zone", keep(&zoneNode)),
		strictyaml.Key("zones", r.zones(zones)),
		strictyaml.Key("clock", r.second(&s.standard, "daylight", "standard")),
		strictyaml.Key("gap", r.second(&s.shift, "reject", "shift")),
		strictyaml.Key("repeated_hour", func(n *yaml.Node) {
			var text string
			r.Choice(&text, "hold", "standard", "by_arrival")(n)
			s.undecided = undecided(max(0, slices.Index([]string{"hold", "standard", "by_arrival"}, text)))
		}),

		strictyaml.Key("date", keep(&dateNode)),
		strictyaml.Key("start", keep(&startNode)),
		strictyaml.Key("every", keep(&everyNode)),
	)
	var err error
	if s.words, err = newWords(language, zones); err != nil {
		r.Fault(languageNode, "%v", err)
		s.words = english
	}
	if zoneNode != nil {
		s.readZone(r, zoneNode)
	}
	if dateNode != nil {
		s.readDate(r, dateNode)
	}
	for _, n := range layouts {
		if l := r.layout(n, s.words, dateNode != nil); l != nil {
			s.layouts = append(s.layouts, l)
			if dateOnly {
				if err := l.mayStandAlone(); err != nil {
					r.Fault(n, "%v", err)
				}
			}
			if oneOf != nil {
				s.oneOf = append(s.oneOf, []*layout{l})
			}
		}
	}
	if oneOf != nil && len(strictyaml.Resolve(oneOf).Content) < len(layouts) {
		r.Fault(oneOf, "one_of lists all layouts, one of which is the file's; layouts are tried on each timestamp: give one of the two")
	}
	if startNode != nil || everyNode != nil {
		s.readPace(r, n, startNode, everyNode)
		if len(s.columns)+len(layouts) > 0 {
			r.Fault(n, "start and every are for rows that do not tell their times: with them there is no column and no layout")
		}
		s.checkPace(r, n)
		return
	}
	if len(s.columns) == 0 {
		r.Fault(n, "timestamp has no column")
	}
	if len(layouts) == 0 {
		r.Fault(n, "timestamp has no layout, such as 2006-01-02 15:04:05 (Go), %%Y-%%m-%%d %%H:%%M:%%S (strftime), iso8601, rfc3339, epoch_s, epoch_ms, epoch_us or excel")
	}
	if s.header && zoneNode != nil {
		r.Fault(n, "the zone comes from the header and from zone: give one of the two")
	}
}

// checkPace sees to it that no key is given, beside start and every, that says
// something of cells, of which there are none.
func (s *stamping) checkPace(r *reader, n *yaml.Node) {
	n = strictyaml.Resolve(n)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; slices.Contains([]string{"join", "date_only", "interval", "date"}, k.Value) {
			r.Fault(k, "%s is of timestamps in the rows, and with start and every there are none", k.Value)
		}
	}
	if s.zoneColumn != nil || s.zoneHeader != nil {
		r.Fault(n, "with start and every the zone is one for the file: a zone, or {preamble: pattern}")
	}
	if s.undecided == undecidedByArrival {
		r.Fault(n, "with start and every, repeated_hour is of the start alone: hold or standard")
	}
}

// layout reads a layout; nil when it is none.
func (r *reader) layout(n *yaml.Node, w *words, timeOnly bool) *layout {
	var text string
	if r.Text(&text)(n); text == "" {
		return nil
	}
	l, err := compileIn(text, w, timeOnly)
	if err != nil {
		r.Fault(n, "%v", err)
		return nil
	}
	return l
}

// second reads one of two words and whether it is the second.
func (r *reader) second(second *bool, words ...string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var text string
		r.Choice(&text, words...)(n)
		*second = text == words[1]
	}
}

// zones reads what abbreviations mean.
func (r *reader) zones(into map[string]*time.Location) func(*yaml.Node) {
	return func(n *yaml.Node) {
		n = strictyaml.Resolve(n)
		if n.Kind != yaml.MappingNode {
			r.Fault(n, "zones says what abbreviations mean: {EST: \"-05:00\", EDT: \"-04:00\"}")
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			var zone *time.Location
			if r.zone(&zone)(n.Content[i+1]); zone != nil {
				into[n.Content[i].Value] = zone
			}
		}
	}
}

func (s *stamping) readZone(r *reader, n *yaml.Node) {
	if strictyaml.Resolve(n).Kind != yaml.MappingNode {
		r.zone(&s.zone)(n)
		return
	}
	r.Mapping(n, "zone",
		strictyaml.Key("preamble", r.pattern(&s.zoneBefore, "zone")),
		strictyaml.Key("column", r.column(&s.zoneColumn)),
		strictyaml.Key("header", r.pattern(&s.zoneHeader, "zone")),
	)
	if len(strictyaml.Resolve(n).Content) != 2 {
		r.Fault(n, "a zone comes from one of preamble, column and header")
	}
}

func (s *stamping) readInterval(r *reader, n *yaml.Node) {
	given := false
	r.Mapping(n, "interval",
		strictyaml.Key("separator", r.Text(&s.cut)),
		strictyaml.Key("until", r.column(&s.until, "zone")),
		strictyaml.Key("take", func(n *yaml.Node) { given = true; r.second(&s.end, "start", "end")(n) }),
	)
	if (s.cut == "") == (s.until == nil) || !given {
		r.Fault(n, "an interval needs take: start or end, and either separator, which stands between the two instants of a cell, or until, the column of the second")
	}
}

// beside settles which of two columns of an interval the timestamp is, and returns
// the other; nil when it is in one.
func (s *stamping) beside(r *reader, n *yaml.Node) *columnRef {
	if s.until == nil {
		return nil
	}
	if len(s.columns) != 1 {
		r.Fault(n, "an interval until another column begins in one column: give timestamp.column")
		return nil
	}
	other := s.until
	if s.end {
		other, s.columns = s.columns[0], []*columnRef{s.until}
	}
	return other
}

func (s *stamping) readDate(r *reader, n *yaml.Node) {
	d := &fileDate{}
	var layout *yaml.Node
	r.Mapping(n, "date",
		strictyaml.Key("file_name", r.pattern(&d.pattern, "date")),
		strictyaml.Key("layout", func(n *yaml.Node) { layout = n }),
	)
	if layout != nil {
		d.layout = r.layout(layout, s.words, false)
	}
	if d.pattern == nil || d.layout == nil {
		r.Fault(n, "date needs file_name, a pattern with a group date, and layout")
	}
	s.date = d
}

func (s *stamping) readPace(r *reader, timestamp, start, every *yaml.Node) {
	p := &pacing{}
	s.pace = p
	if start == nil || every == nil {
		r.Fault(timestamp, "start and every belong together: when the first row was recorded, and how far apart the rows are")
		return
	}
	var layout *yaml.Node
	r.Mapping(start, "start",
		strictyaml.Key("preamble", r.pattern(&p.start, "time")),
		strictyaml.Key("layout", func(n *yaml.Node) { layout = n }),
	)
	if layout != nil {
		p.layout = r.layout(layout, s.words, false)
	}
	if p.start == nil || p.layout == nil {
		r.Fault(start, "start needs preamble, a pattern with a group time, and layout")
	}
	if strictyaml.Resolve(every).Kind != yaml.MappingNode {
		var text string
		r.Text(&text)(every)
		var err error
		if p.every, err = parseDuration(text); err != nil || p.every < time.Microsecond {
			r.Fault(every, "expected a duration such as 15m or 1d, not %q", text)
		}
		return
	}
	r.Mapping(every, "every",
		strictyaml.Key("preamble", r.pattern(&p.told, "every", "unit")),
		strictyaml.Key("unit", r.Text(&p.unit)),
	)
	if p.told == nil {
		r.Fault(every, "every is a duration such as 15m, or {preamble: pattern with a group every}")
	}
	if _, ok := paceUnits[p.unit]; !ok && p.unit != "" {
		r.Fault(every, "unit is one of %s, not %q", strings.Join(slices.Sorted(maps.Keys(paceUnits)), ", "), p.unit)
	}
}

// paceUnits are the units that files tell the distance of their rows in.
var paceUnits = map[string]time.Duration{
	"ms": time.Millisecond,
	"s":  time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
}

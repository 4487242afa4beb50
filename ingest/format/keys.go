package format

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"penstock/ingest/format/strictyaml"
)

func (p *Profile) read(r *reader, n *yaml.Node) {
	given := make(map[string]*yaml.Node) // the keys that not every shape has
	keep := func(name string, read func(*yaml.Node)) strictyaml.Field {
		return strictyaml.Key(name, func(n *yaml.Node) { given[name] = n; read(n) })
	}
	var shape string
	r.Mapping(n, "a profile",
		strictyaml.Key("name", r.Text(&p.Name)),
		strictyaml.Key("description", r.Text(&p.Description)),
		strictyaml.Key("source", r.Text(&p.Source)),
		strictyaml.Key("signature", func(n *yaml.Node) { p.signature.read(r, n) }),
		strictyaml.Key("dialect", func(n *yaml.Node) { p.dialect.read(r, n) }),
		strictyaml.Key("framing", func(n *yaml.Node) { p.framing.read(r, n) }),
		keep("shape", r.Choice(&shape, shapeLong, shapeWide, shapeMatrix)),
		keep("logger", func(n *yaml.Node) { p.logger.read(r, n, "logger") }),
		keep("channel", func(n *yaml.Node) { p.channel.read(r, n, "channel", "unit") }),
		strictyaml.Key("unit", func(n *yaml.Node) { p.unit.read(r, n, "unit") }),
		keep("value", func(n *yaml.Node) { p.readValue(r, n) }),
		keep("quality", r.column(&p.quality)),
		keep("factor", r.column(&p.factor)),
		keep("columns_are", r.Choice(&p.columnsAre, "channel", "logger")),
		keep("pairs", r.Choice(&p.pairs, pairQuality, pairUnit)),
		keep("channels", func(n *yaml.Node) { p.readChannels(r, n) }),
		keep("others", r.Choice(&p.others, "channel", "ignore", "refuse")),
		keep("repeated", p.readRepeated(r)),
		keep("units", func(n *yaml.Node) { p.readUnitLines(r, n) }),
		keep("ignore", func(n *yaml.Node) { p.ignore.read(r, n) }),
		keep("quoted_text", func(n *yaml.Node) {
			var s string
			r.Choice(&s, "ignore", "reject")(n)
			p.quotedText = s == "ignore"
		}),
		keep("timestamp", func(n *yaml.Node) { p.stamp.read(r, n) }),
		strictyaml.Key("missing", r.spellings(&p.missing)),
		strictyaml.Key("open", func(n *yaml.Node) { p.readOpen(r, n) }),
		strictyaml.Key("numbers", func(n *yaml.Node) { p.numbers.read(r, n) }),
		strictyaml.Key("rename", r.renames(&p.rename)),
		strictyaml.Key("file_time", func(n *yaml.Node) { p.readFileTime(r, n) }),
		strictyaml.Key("window", func(n *yaml.Node) { p.window.read(r, n) }),
	)
	if p.Name == "" {
		r.Fault(n, "the profile has no name")
	} else if strings.ContainsFunc(p.Name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	}) || p.Name == "auto" {
		r.Fault(n, "a profile's name is made of a-z, 0-9, - and _, and is not auto; this one is %q", p.Name)
	}
	if strings.ContainsAny(p.Description, "\r\n") {
		r.Fault(n, "the description is to be one line")
	}
	if given["timestamp"] == nil {
		r.Fault(n, "timestamp is missing: which column it is, and its layout")
	}
	if shape == "" {
		if given["shape"] == nil { // else it was said what is wrong with it
			r.Fault(n, "shape is missing: long (a channel and a value a row), wide (a column per channel) or matrix (a row per day, a column per time of day)")
		}
		return
	}
	p.checkShape(r, n, shape, given)
	if other := p.stamp.beside(r, given["timestamp"]); other != nil {
		p.ignore.columns = append(p.ignore.columns, other)
	}
	if !p.unit.given() {
		p.unit = p.channel.withUnit()
	}
	p.check(r, n)
}

// check looks at what keys say together.
func (p *Profile) check(r *reader, n *yaml.Node) {
	d := &p.dialect
	if d.quote != 0 && (d.quote == d.delimiter || slices.Contains(d.delimiters, d.quote)) {
		r.Fault(n, "delimiter and quote are the same character")
	}
	if len(d.delimiters) > 0 && len(p.signature.header) == 0 {
		r.Fault(n, "which of several delimiters a file has is told by the signature's header, and signature.header is missing")
	}
	if d.decimal == d.delimiter && d.quote == 0 {
		r.Fault(n, "the decimal sign is the delimiter, and there are no quotes to tell them apart")
	}
	p.checkSigns(r, n)
	if p.framing.preamble < 0 && p.framing.before == nil && p.framing.through == nil && len(p.signature.header) == 0 {
		r.Fault(n, "framing.preamble: find looks for the signature's header, and signature.header is missing")
	}
	if !slices.Contains(p.framing.rows, rowNames) && len(p.framing.columns) == 0 && p.framing.lines == nil {
		r.Fault(n, "no row names the columns: add names to framing.rows, or give framing.columns or columns_from")
	}
	if len(p.signature.header) > 0 && !slices.Contains(p.framing.rows, rowNames) {
		r.Fault(n, "signature.header needs a row of names in framing.rows")
	}
	if len(p.ignore.units) > 0 && !slices.Contains(p.framing.rows, rowUnits) {
		r.Fault(n, "ignore.units needs a row of units in framing.rows")
	}
	if len(p.ignore.process) > 0 && !slices.Contains(p.framing.rows, rowProcess) {
		r.Fault(n, "ignore.process needs a row process in framing.rows")
	}
}

func (s *signature) read(r *reader, n *yaml.Node) {
	r.Mapping(n, "signature",
		strictyaml.Key("first_line", r.pattern(&s.firstLine)),
		strictyaml.Key("line", r.pattern(&s.line)),
		strictyaml.Key("row", r.pattern(&s.row)),
		strictyaml.Key("file_name", r.pattern(&s.fileName)),
		strictyaml.Key("header", r.labels(&s.header)),
		strictyaml.Key("optional", r.labels(&s.optional)),
		strictyaml.Key("others", r.Flag(&s.others)),
	)
	if s.firstLine == nil && s.line == nil && len(s.header) == 0 {
		r.Fault(n, "a signature needs first_line, line or header")
	}
	if len(s.header) == 0 && (len(s.optional) > 0 || s.others) {
		r.Fault(n, "optional and others say what may stand beside header, which is missing")
	}
	if len(s.header) == 0 && s.row != nil {
		r.Fault(n, "row is a line behind the header, and header is missing; a file without one is known by line")
	}
}

func (f *framing) read(r *reader, n *yaml.Node) {
	var rows *yaml.Node
	r.Mapping(n, "framing",
		strictyaml.Key("preamble", func(n *yaml.Node) { f.readPreamble(r, n) }),
		strictyaml.Key("rows", func(n *yaml.Node) {
			rows, f.rows = n, nil
			r.Each(n, func(n *yaml.Node) {
				var s string
				r.Choice(&s, rowNames, rowUnits, rowProcess, rowLoggers, rowChannels, rowSkip)(n)
				if s != rowSkip && slices.Contains(f.rows, s) {
					r.Fault(n, "there is one row of %s at most", s)
				}
				f.rows = append(f.rows, s)
			})
		}),

		strictyaml.Key("columns", r.texts(&f.columns)),
		strictyaml.Key("columns_from", func(n *yaml.Node) { f.readColumnsFrom(r, n) }),
		strictyaml.Key("footer", r.pattern(&f.footer)),
		strictyaml.Key("message", r.pattern(&f.message)),
		strictyaml.Key("records", r.pattern(&f.records, "records")),
		strictyaml.Key("short_rows", func(n *yaml.Node) { r.either(&f.short, "missing", "reject")(n) }),
		strictyaml.Key("long_rows", func(n *yaml.Node) { r.either(&f.long, "ignore", "reject")(n) }),
	)
	if f.lines != nil && len(f.columns) > 0 {
		r.Fault(n, "framing.columns and columns_from are two ways to name the columns: give one of them")
	}
	switch {
	case len(f.columns) == 0 && f.lines == nil:
	case rows == nil:
		f.rows = nil
	case slices.Contains(f.rows, rowNames):
		r.Fault(rows, "framing names the columns, and so does a row of names: if the file has that row, call it skip")
	}
}

func (f *framing) readPreamble(r *reader, n *yaml.Node) {
	n = strictyaml.Resolve(n)
	if n.Kind == yaml.MappingNode {
		f.preamble = -1
		r.Mapping(n, "preamble", strictyaml.Key("before", r.pattern(&f.before)), strictyaml.Key("through", r.pattern(&f.through)))
		if (f.before == nil) == (f.through == nil) {
			r.Fault(n, "a preamble ends before a line or through a line: give one of the two")
		}
		return
	}
	var s string
	r.Text(&s)(n)
	if s == "find" {
		f.preamble = -1
		return
	}
	lines, err := strconv.Atoi(s)
	if err != nil || lines < 0 || lines > maxPreamble {
		r.Fault(n, "preamble is a number of lines up to %d, find, {before: pattern} or {through: pattern}, not %q", maxPreamble, s)
		return
	}
	f.preamble = lines
}

func (p *Profile) readValue(r *reader, n *yaml.Node) {
	if strictyaml.Resolve(n).Kind != yaml.MappingNode {
		r.column(&p.value)(n)
		return
	}
	var column *yaml.Node
	r.Mapping(n, "value",
		strictyaml.Key("column", func(n *yaml.Node) { column = n; r.column(&p.value)(n) }),
		strictyaml.Key("missing", r.spellings(&p.missing)),
	)
	if column == nil {
		r.Fault(n, "value has no column")
	}
}

func (g *ignored) read(r *reader, n *yaml.Node) {
	r.Mapping(n, "ignore",
		strictyaml.Key("columns", func(n *yaml.Node) {
			r.Each(n, func(n *yaml.Node) {
				var c *columnRef
				if r.column(&c)(n); c != nil {
					g.columns = append(g.columns, c)
				}
			})
		}),

		strictyaml.Key("units", r.texts(&g.units)),
		strictyaml.Key("process", r.texts(&g.process)),
	)
}

func (r *reader) zone(into **time.Location) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		r.Text(&s)(n)
		zone, err := ParseZone(s)
		if err != nil {
			r.Fault(n, "%v", err)
			return
		}
		*into = zone
	}
}

// ParseZone reads an IANA name, UTC, or an offset such as +01:00, -0700 or
// UTC+1. It never gives the machine's own zone.
func ParseZone(s string) (*time.Location, error) {
	offset := strings.TrimPrefix(strings.TrimPrefix(s, "UTC"), "GMT")
	if offset != "" && (offset[0] == '+' || offset[0] == '-') {
		for _, form := range []string{"-07:00", "-0700", "-07", "-7"} {
			if form == "-7" && len(offset) == 2 {
				offset, form = offset[:1]+"0"+offset[1:], "-07"
			}
			if t, err := time.Parse(form, offset); err == nil {
				if _, seconds := t.Zone(); seconds == 0 {
					return time.UTC, nil
				} else if seconds > -18*3600 && seconds < 18*3600 {
					return time.FixedZone(s, seconds), nil
				}
			}
		}
	}
	if s != "" && s != "Local" {
		if zone, err := time.LoadLocation(s); err == nil {
			return zone, nil
		}
	}
	return nil, fmt.Errorf("unknown zone %q: write an area and city (Europe/London), UTC, or an offset (+01:00)", s)
}

func (r *reader) spellings(into *[][]byte) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var list []string
		r.texts(&list)(n)
		for _, s := range list {
			if s == usualMissing {
				for _, s := range usuallyMissing {
					*into = append(*into, []byte(s))
				}
			} else if s != strings.Trim(s, " \t") || strings.ContainsAny(s, "\r\n") {
				r.Fault(n, "a missing value's spelling is given without the blanks around it: %q", s)
			} else if s != "" {
				*into = append(*into, []byte(s))
			}
		}
	}
}

func (p *Profile) readFileTime(r *reader, n *yaml.Node) {
	f := &fileTime{}
	r.Mapping(n, "file_time",
		strictyaml.Key("file_name", r.pattern(&f.pattern, "time")),
		strictyaml.Key("layout", func(n *yaml.Node) {
			var s string
			r.Text(&s)(n)
			l, err := compileLayout(s)
			if err != nil {
				r.Fault(n, "%v", err)
			}
			f.layout = l
		}),

		strictyaml.Key("zone", r.zone(&f.zone)),
	)
	if f.pattern == nil || f.layout == nil {
		r.Fault(n, "file_time needs file_name, a pattern with a group time, and layout")
	}
	p.fileTime = f
}

func (w *window) read(r *reader, n *yaml.Node) {
	date := func(into **int64) func(*yaml.Node) {
		return func(n *yaml.Node) {
			var s string
			r.Text(&s)(n)
			for _, form := range []string{time.DateOnly, time.RFC3339} {
				if t, err := time.Parse(form, s); err == nil {
					*into = new(t.UnixMicro())
					return
				}
			}
			r.Fault(n, "expected a date such as 1990-01-01, not %q", s)
		}
	}
	span := func(into *time.Duration) func(*yaml.Node) {
		return func(n *yaml.Node) {
			var s string
			r.Text(&s)(n)
			d, err := parseDuration(s)
			if err != nil || d <= 0 {
				r.Fault(n, "expected a duration such as 36h or 400d, not %q", s)
			}
			*into = d
		}
	}
	r.Mapping(n, "window",
		strictyaml.Key("from", date(&w.from)),
		strictyaml.Key("to", date(&w.to)),
		strictyaml.Key("past", span(&w.past)),
		strictyaml.Key("future", span(&w.future)),
	)
	if w.from != nil && w.past != 0 || w.to != nil && w.future != 0 {
		r.Fault(n, "from and past, and likewise to and future, are two ways to say one thing: give one of them")
	}
	if w.from != nil && w.to != nil && *w.from >= *w.to {
		r.Fault(n, "the window ends before it begins")
	}
}

// parseDuration reads a duration of package time, or a number of days.
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || math.Abs(n) > 100_000 {
			return 0, fmt.Errorf("not a number of days: %q", s)
		}
		return time.Duration(n * float64(24*time.Hour)), nil
	}
	return time.ParseDuration(s)
}

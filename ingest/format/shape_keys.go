package format

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"penstock/ingest/format/strictyaml"
)

// The shapes of a table of readings.
const (
	shapeLong   = "long"
	shapeWide   = "wide"
	shapeMatrix = "matrix"
)

// What the column after each column of readings holds, where they come in pairs.
const (
	pairQuality = "quality"
	pairUnit    = "unit"
)

// shapesOf are the keys that not every shape has.
var shapesOf = []struct {
	key    string
	shapes []string
}{
	{"channel", []string{shapeLong, shapeMatrix}},
	{"value", []string{shapeLong}},
	{"factor", []string{shapeLong}},
	{"quality", []string{shapeLong, shapeMatrix}},
	{"channels", []string{shapeWide}},
	{"columns_are", []string{shapeWide}},
	{"repeated", []string{shapeWide}},
	{"units", []string{shapeWide}},
	{"quoted_text", []string{shapeWide}},
	{"others", []string{shapeWide, shapeMatrix}},
	{"ignore", []string{shapeWide, shapeMatrix}},
	{"pairs", []string{shapeWide, shapeMatrix}},
}

// checkShape sees to it that the profile has the keys of its shape, and no
// others.
func (p *Profile) checkShape(r *reader, n *yaml.Node, shape string, given map[string]*yaml.Node) {
	p.wide, p.matrix = shape == shapeWide, shape == shapeMatrix
	// Where the header names loggers, the channel is the file's.
	named := p.wide && p.columnsAre == "logger"
	for _, k := range shapesOf {
		at := given[k.key]
		if at == nil || slices.Contains(k.shapes, shape) || k.key == "channel" && named {
			continue
		}
		if k.key == "channel" && p.wide {
			r.Fault(at, "channel belongs to the shapes long and matrix, and to columns_are: logger; the header of a wide file names its channels")
			continue
		}
		r.Fault(at, "%s belongs to the %s shape", k.key, strictyaml.OneOf(k.shapes))
	}
	if given["logger"] == nil && !p.loggersInHeader() {
		r.Fault(n, "logger is missing: a column, file_name, path, preamble or constant")
	}
	if given["channel"] == nil && (!p.wide || named && !slices.Contains(p.framing.rows, rowChannels)) {
		r.Fault(n, "channel is missing: a column, file_name, path, preamble or constant")
	}
	switch {
	case p.wide:
		if len(p.channel.columns) > 0 {
			r.Fault(given["channel"], "a channel from a column belongs to the long shape")
		}
		if len(p.unit.columns) > 0 {
			r.Fault(n, "a unit from a column belongs to the long shape; a wide file has a units row, or the unit in its header")
		}
		if p.others == "" {
			p.others = "channel"
			if len(p.channels) > 0 {
				p.others = "refuse"
			}
		}
	case p.matrix:
		if p.others == "" {
			p.others = "refuse"
		}
		if p.others == "channel" {
			r.Fault(given["others"], "the columns of a matrix are times of day: what others are is ignore or refuse")
		}
		if p.pairs == pairQuality && p.quality != nil {
			r.Fault(given["quality"], "pairs: quality gives every reading a quality of its own, and so does quality: give one of them")
		}
	case p.value == nil && given["value"] == nil:
		r.Fault(n, "value is missing: the column that holds the readings")
	}
	if p.pairs == pairQuality && slices.ContainsFunc(p.channels, func(c channelRule) bool { return c.quality != nil || c.suffix != "" }) {
		r.Fault(given["pairs"], "pairs: quality gives every reading the quality beside it, and so does the quality of a channel: give one of them")
	}
	told := slices.ContainsFunc(p.channels, func(c channelRule) bool { return c.units != nil })
	if p.pairs == pairUnit && (p.numbers.unit || told) {
		r.Fault(given["pairs"], "pairs: unit gives every reading the unit beside it, and so do numbers.unit and the unit's column of a channel: give one of them")
	} else if p.numbers.unit && told {
		r.Fault(given["channels"], "numbers.unit and the unit's column of a channel are two places of a reading's unit: give one of them")
	}
	if s := &p.stamp; p.matrix && (s.pace != nil || s.date != nil || s.cut != "" || s.until != nil) {
		r.Fault(given["timestamp"], "a row of a matrix has its date in a cell, so start, every, date and interval do not belong there")
	}
	switch times := p.stamp.times; {
	case p.matrix && times == nil:
		p.stamp.times = clockTimes()
	case !p.matrix && times != nil:
		r.Fault(given["timestamp"], "header_layout belongs to the matrix shape")
	}
}

// loggersInHeader reports whether a header of the profile can name the loggers
// of its columns.
func (p *Profile) loggersInHeader() bool {
	return p.columnsAre == "logger" || slices.Contains(p.framing.rows, rowLoggers) ||
		slices.ContainsFunc(p.channels, func(c channelRule) bool { return c.column.match != nil && c.column.match.groups["logger"] > 0 })
}

// readRepeated reads what becomes of several columns of one name.
func (p *Profile) readRepeated(r *reader) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		r.Choice(&s, "number", "refuse")(n)
		p.numbered = s == "number"
	}
}

// readUnitLines reads which lines of the preamble tell the units of columns.
func (p *Profile) readUnitLines(r *reader, n *yaml.Node) {
	r.Mapping(n, "units", strictyaml.Key("preamble", r.pattern(&p.unitLines, "channel", "unit")))
	if p.unitLines == nil || p.unitLines.groups["unit"] == 0 {
		r.Fault(n, "units needs preamble, a pattern with the groups channel, the name of a column, and unit")
	}
}

// renames reads the names that channels are carried on under.
func (r *reader) renames(into *map[string]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n = strictyaml.Resolve(n); n.Kind != yaml.MappingNode {
			r.Fault(n, "rename must be a mapping from the file's names of channels to those of their series")
			return
		}
		names := make(map[string]string)
		for i := 0; i+1 < len(n.Content); i += 2 {
			var from, to string
			r.Text(&from)(n.Content[i])
			r.Text(&to)(n.Content[i+1])
			if fault := nameFault([]byte(to)); fault != "" {
				r.Fault(n.Content[i+1], "a channel's name %s", fault)
			}
			if _, twice := names[from]; twice {
				r.Fault(n.Content[i], "the channel %q is renamed twice", from)
			}
			names[from] = to
		}
		*into = names
	}
}

// readColumnsFrom reads how lines of the preamble name the columns.
func (f *framing) readColumnsFrom(r *reader, n *yaml.Node) {
	l := &columnLines{}
	r.Mapping(n, "columns_from",
		strictyaml.Key("preamble", r.pattern(&l.pattern, "channel", "unit")),
		strictyaml.Key("first", r.texts(&l.first)),
		strictyaml.Key("last", r.texts(&l.last)),
	)
	if l.pattern == nil {
		r.Fault(n, "columns_from needs preamble, a pattern with a group channel that names a column at every match")
		return
	}
	f.lines = l
}

func (p *Profile) readChannels(r *reader, n *yaml.Node) {
	r.Each(n, func(n *yaml.Node) {
		c := channelRule{linear: linear{multiply: 1}}
		r.Mapping(n, "a channel",
			strictyaml.Key("column", r.column(&c.column, "channel", "unit", "logger")),
			strictyaml.Key("channel", r.Text(&c.name)),
			strictyaml.Key("unit", func(n *yaml.Node) { c.readUnit(r, n) }),
			strictyaml.Key("missing", r.spellings(&c.missing)),
			strictyaml.Key("quality", func(n *yaml.Node) { c.readQuality(r, n) }),
			strictyaml.Key("multiply", r.number(&c.linear.multiply, &c.linear.given)),
			strictyaml.Key("add", r.number(&c.linear.add, &c.linear.given)),
		)
		if c.column == nil {
			r.Fault(n, "a channel has no column")
			return
		}
		ofLoggers := c.column.match != nil && c.column.match.groups["logger"] > 0 // each its own
		if c.column.match != nil && (c.name != "" && !ofLoggers || c.quality != nil || c.units != nil) {
			r.Fault(n, "a pattern may match several columns, so their channel, quality and column of units cannot be one; name the column")
		}
		for _, name := range []string{c.name, c.unit} {
			if fault := nameFault([]byte(name)); name != "" && fault != "" {
				r.Fault(n, "channel or unit %s", fault)
			}
		}
		p.channels = append(p.channels, c)
	})
}

// readUnit reads the unit of a channel, or which column holds it.
func (c *channelRule) readUnit(r *reader, n *yaml.Node) {
	if strictyaml.Resolve(n).Kind == yaml.MappingNode {
		r.Mapping(n, "unit", strictyaml.Key("column", r.column(&c.units)))
		return
	}
	r.Text(&c.unit)(n)
}

// readQuality reads which column holds the quality of a channel: one, or that
// whose name is the channel's with a suffix.
func (c *channelRule) readQuality(r *reader, n *yaml.Node) {
	if n = strictyaml.Resolve(n); n.Kind == yaml.MappingNode && len(n.Content) > 0 && n.Content[0].Value == "suffix" {
		r.Mapping(n, "quality", strictyaml.Key("suffix", r.Text(&c.suffix)))
		if c.suffix == "" {
			r.Fault(n, "the suffix is what the name of the quality's column has behind that of the channel's, such as _flag")
		}
		return
	}
	r.column(&c.quality)(n)
}

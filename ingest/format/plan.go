package format

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"penstock/ingest"
)

// A plan is a profile bound to one header: what to do with each field of a
// row. A decoder keeps its plans, and a plan the clock that reads its
// timestamps, so it belongs to one decoder.
type plan struct {
	profile *Profile
	recipe  *ingest.Recipe // of files with this header
	kind    *ingest.Shape  // likewise
	clock   *clock
	told    bool           // the header, or a line before it, tells the zone
	zone    *time.Location // of the clock, but for what a line before the header tells
	zoneAt  int            // the column that tells the zone, or -1
	clocks  map[string]*clock

	fields   []field // by position
	names    []string
	stamps   []int // the fields of the timestamp, in the order they are joined
	keys     []int // the fields that name the row's series, by position
	values   []value
	times    []cellTime // of the values of a matrix
	factor   int        // the field that the value is multiplied by, or -1
	slots    []int32    // by value: which of the qualities of a row it has, -1 for none
	flags    int        // how many qualities a row has
	linear   bool       // some value is converted
	twice    bool       // the header of a matrix has a time twice
	textless bool       // no column may turn out to be text
	guarded  bool       // some number may be none of a reading: it means a missing one, or its column is text
	numerals *numerals  // of the decimal sign

	plain  bool // rows without surprises can be read in one pass
	steady bool // and in a loop of their own
	keysAt int  // the field of the first key, where the others follow it in their order; else -1
	marked bool // a line may be a comment, a footer or a message
	sign   byte // the decimal sign
	bare   byte // that of cells without quotes
	next   bool // no timestamp has the delimiter or a quote in it

	thousands byte // the sign between thousands, ' ' for blanks, 0 for none
	decorated bool // cells may hold more than a number
	measured  bool // cells tell the units of their series

	logger, channel, unit keyed

	columns map[string]struct{} // the names once more, when hasColumn was asked
}

// hasColumn reports whether the header has a column of that name.
func (pl *plan) hasColumn(name []byte) bool {
	if pl.columns == nil {
		pl.columns = make(map[string]struct{}, len(pl.names))
		for _, n := range pl.names {
			pl.columns[n] = struct{}{}
		}
	}
	_, ok := pl.columns[string(name)]
	return ok
}

type role uint8

const (
	roleNone role = iota
	roleStamp
	roleKey
	roleValue
	roleQuality
	roleZone
)

type field struct {
	role  role
	index int // into values or keys, by role; of a quality, its number among those of a row
	run   int // how many columns from here on hold values, the last of the row not counted
	pairs int // how many pairs of a value and its quality begin here, the last field of the row not counted
}

// A value is a column of readings.
type value struct {
	field   int
	logger  []byte // wide only, like channel, unit and label; nil for that of the row
	channel []byte // nil for that of the file
	unit    []byte
	label   []byte
	missing [][]byte
	quality int // field, or -1
	units   int // the field of its unit, or -1
	linear  linear

	sentinels []float64 // the spellings of missing that are numbers: however they are written
}

// keyed says how a name is taken from the key cells.
type keyed struct {
	from  []int // indices into keys; nil when it comes from no cell
	join  string
	match *pattern

	behind  bool   // behind what the file as a whole tells of the name
	between string // with this between the two
}

// A header is the rows between preamble and data, cut into cells.
type header struct {
	line                  int64 // of the names
	names, units, process []string
	loggers, channels     []string

	places map[string]int // of the names, once place was asked
}

// place returns the index of the first column of that name, or -1.
func (h *header) place(name string) int {
	if h.places == nil {
		h.places = make(map[string]int, len(h.names))
		for i, n := range slices.Backward(h.names) {
			h.places[n] = i
		}
	}
	if i, ok := h.places[name]; ok {
		return i
	}
	return -1
}

func unitCell(cells []string, i int) string {
	if i < len(cells) {
		return cells[i]
	}
	return ""
}

// bind makes the plan of p for files of that header and decimal sign, or says
// why none of them can be read. zone is that of timestamps of which the header
// tells none.
func bind(p *Profile, h *header, sign byte, zone *time.Location) (pl *plan, fault string) {
	pl = &plan{profile: p, sign: sign, factor: -1, textless: !p.quotedText}
	return pl, pl.bind(h, zone)
}

func (pl *plan) bind(h *header, zone *time.Location) string {
	p := pl.profile
	for i, name := range h.names {
		if !utf8.ValidString(name) {
			return fmt.Sprintf("the header is not UTF-8: column %d of line %d is %q; say in the profile's dialect which encoding it has", i+1, h.line, cut([]byte(name)))
		}
	}
	h.names = h.names[:p.width(h.names)]
	pl.names = h.names
	pl.fields = make([]field, len(h.names))
	var absent []string
	find := func(c *columnRef, what string) int {
		i := c.in(h.names)
		if i < 0 {
			absent = append(absent, fmt.Sprintf("%s (%s)", c, what))
		}
		return i
	}
	for _, c := range p.stamp.columns {
		i := find(c, "timestamp")
		if i < 0 {
			continue
		}
		pl.stamps = append(pl.stamps, i)
		pattern := p.stamp.zoneHeader
		if c.match != nil && c.match.groups["zone"] > 0 {
			pattern = c.match
		}
		if pattern == nil {
			continue
		}
		if text, _ := pattern.find([]byte(h.names[i]), "zone"); len(text) > 0 {
			named, err := p.stamp.zoneNamed(text)
			if err != nil {
				return fmt.Sprintf("column %d of line %d, %q: %v", i+1, h.line, h.names[i], err)
			}
			zone, pl.told = named, true
		}
	}
	pl.zoneAt = -1
	if p.stamp.zoneColumn != nil {
		pl.zoneAt = find(p.stamp.zoneColumn, "zone")
	}
	pl.logger = pl.key(h, &p.logger, find, "logger")
	pl.channel = pl.key(h, &p.channel, find, "channel")
	if !p.unit.optional || !slices.ContainsFunc(p.unit.columns, func(c *columnRef) bool { return c.in(h.names) < 0 }) {
		pl.unit = pl.key(h, &p.unit, find, "unit")
	}
	if !p.wide && !p.matrix {
		v := value{field: find(p.value, "value"), missing: p.missing, quality: -1, units: -1}
		if p.factor != nil {
			pl.factor = find(p.factor, "factor")
		}
		if p.quality != nil {
			v.quality = p.quality.in(h.names) // files of the layout may go without
		}
		pl.values = []value{v}
	}
	if fault := pl.ambiguous(h); fault != "" {
		return fault
	}
	if len(absent) > 0 {
		return fmt.Sprintf("the header has no column %s: line %d is %q", strings.Join(absent, ", nor "), h.line, cut([]byte(strings.Join(h.names, string(p.dialect.delimiter)))))
	}
	for k, i := range pl.keys {
		pl.fields[i] = field{role: roleKey, index: k}
	}
	for k, i := range pl.stamps {
		if pl.fields[i].role == roleKey {
			return twoThings(h, i)
		}
		pl.fields[i] = field{role: roleStamp, index: k}
	}
	if i := pl.zoneAt; i >= 0 {
		if pl.fields[i].role != roleNone {
			return twoThings(h, i)
		}
		pl.fields[i] = field{role: roleZone}
	}
	switch {
	case p.wide:
		if fault := pl.bindWide(h); fault != "" {
			return fault
		}
	case p.matrix:
		if fault := pl.bindMatrix(h); fault != "" {
			return fault
		}
	}
	if fault := pl.bindValues(h); fault != "" {
		return fault
	}
	pl.zone, pl.clock = zone, p.stamp.clock(zone)
	if p.dialect.thousands != pl.sign {
		pl.thousands = p.dialect.thousands
	}
	pl.decorated = pl.decorations()
	pl.measured = p.numbers.unit || slices.ContainsFunc(pl.values, func(v value) bool { return v.units >= 0 })
	pl.linear = slices.ContainsFunc(pl.values, func(v value) bool { return v.linear.given })
	pl.twice = slices.ContainsFunc(pl.times, func(t cellTime) bool { return t.passes > 1 })
	pl.plain = p.stamp.simple() && p.dialect.inOnePass() && !pl.measured && pl.factor < 0 && (!p.matrix || pl.textless)
	pl.marked = len(p.dialect.comments) > 0 || p.framing.footer != nil || p.framing.message != nil
	pl.bare = pl.decimal(false)
	pl.next = p.dialect.delimiter != '.' && !slices.ContainsFunc(p.stamp.layouts, func(l *layout) bool {
		return strings.IndexByte(l.golang, p.dialect.delimiter) >= 0 || p.dialect.quote != 0 && strings.IndexByte(l.golang, p.dialect.quote) >= 0
	})
	for k := range pl.values {
		v := &pl.values[k]
		for _, s := range v.missing {
			if x, ok := parseNumber(s, pl.sign); ok {
				v.sentinels = append(v.sentinels, x)
			}
		}
	}
	pl.guarded = !pl.textless || slices.ContainsFunc(pl.values, func(v value) bool { return len(v.sentinels) > 0 })
	if pl.numerals = withPoint(); pl.sign == ',' {
		pl.numerals = withComma()
	}
	pl.keysAt = pl.together()
	pl.steady = pl.steadily()
	for i := len(pl.fields) - 2; i >= 0; i-- {
		f := &pl.fields[i]
		if f.role != roleValue {
			continue
		}
		f.run = pl.fields[i+1].run + 1
		if beside := i + 1; beside < len(pl.fields)-1 && pl.values[f.index].quality == beside {
			f.pairs = pl.fields[beside+1].pairs + 1
		}
	}
	return ""
}

// ambiguous says which column that the profile names stands in the header
// twice: either may be the one that is meant.
func (pl *plan) ambiguous(h *header) string {
	p := pl.profile
	refs := slices.Concat(p.stamp.columns, p.logger.columns, p.channel.columns, p.unit.columns, []*columnRef{p.value, p.quality, p.factor, p.stamp.zoneColumn})
	for _, rule := range p.channels {
		refs = append(refs, rule.quality, rule.units) // two columns of one channel are told of as such
	}
	for _, c := range refs {
		if c == nil || c.match != nil {
			continue // the first that a pattern matches is meant
		}
		i := c.in(h.names)
		if i < 0 {
			continue
		}
		if n := slices.IndexFunc(h.names[i+1:], func(name string) bool { return c.name != "" && name == c.name }); n >= 0 {
			return fmt.Sprintf("columns %d and %d of line %d are both %q; tell the profile which is meant, by number", i+1, i+n+2, h.line, c.name)
		}
	}
	return ""
}

// bindValues gives the columns of the readings, and those of their qualities,
// their roles. Channels may share a quality; nothing else is shared.
func (pl *plan) bindValues(h *header) string {
	for k := range pl.values {
		v := &pl.values[k]
		if pl.fields[v.field].role != roleNone {
			return twoThings(h, v.field)
		}
		pl.fields[v.field] = field{role: roleValue, index: k}
	}
	for k := range pl.values {
		v := &pl.values[k]
		if v.quality < 0 {
			pl.slots = append(pl.slots, -1)
			continue
		}
		f := &pl.fields[v.quality]
		switch f.role {
		case roleNone:
			*f = field{role: roleQuality, index: pl.flags}
			pl.flags++
		case roleQuality:
		default:
			return twoThings(h, v.quality)
		}
		pl.slots = append(pl.slots, int32(f.index))
	}
	if pl.factor >= 0 && pl.fields[pl.factor].role != roleNone {
		return twoThings(h, pl.factor)
	}
	return ""
}

func twoThings(h *header, i int) string {
	return fmt.Sprintf("column %d of the header, %q, is to be two things at once", i+1, h.names[i])
}

// key notes the columns that a name is taken from.
func (pl *plan) key(h *header, o *origin, find func(*columnRef, string) int, what string) keyed {
	k := keyed{join: o.join, match: o.match, behind: len(o.parts) > 0, between: o.between}
	for n, c := range o.columns {
		if o.optional && n > 0 && c.in(h.names) < 0 {
			continue
		}
		i := find(c, what)
		if i < 0 {
			continue
		}
		at := slices.Index(pl.keys, i)
		if at < 0 {
			at = len(pl.keys)
			pl.keys = append(pl.keys, i)
		}
		k.from = append(k.from, at)
	}
	return k
}

// ignores reports whether the profile says that column i holds no readings.
func (p *Profile) ignores(h *header, i int) bool {
	return slices.ContainsFunc(p.ignore.columns, func(c *columnRef) bool { return c.is(i, h.names[i]) }) ||
		slices.Contains(p.ignore.units, unitCell(h.units, i)) && i < len(h.units) ||
		slices.Contains(p.ignore.process, unitCell(h.process, i)) && i < len(h.process)
}

// nameFault says why b cannot name a logger, channel or unit; "" when it can.
func nameFault(b []byte) string {
	switch {
	case len(b) == 0:
		return "is empty"
	case len(b) > maxName:
		return fmt.Sprintf("is longer than %d bytes: %q", maxName, cut(b))
	}
	return textFault(b)
}

// textFault says why the database cannot hold b as text; "" when it can.
func textFault(b []byte) string {
	if bytes.IndexByte(b, 0) >= 0 {
		return fmt.Sprintf("has a NUL byte in it: %q", cut(b))
	}
	if !utf8.Valid(b) {
		return fmt.Sprintf("is not UTF-8: %q", cut(b))
	}
	return ""
}

// cut returns b short enough for a message.
func cut(b []byte) string {
	const most = 120
	if len(b) <= most {
		return string(b)
	}
	n := most
	for n > most-4 && !utf8.RuneStart(b[n]) {
		n--
	}
	return string(b[:n]) + "…"
}

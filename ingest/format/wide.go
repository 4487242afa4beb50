package format

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// bindWide decides of every column of a wide header what it is.
func (pl *plan) bindWide(h *header) string {
	p := pl.profile
	flags := make(map[int]bool) // columns that are the quality or unit of others
	taken := baptisms{columns: make(map[[2]string]int), numbers: make(map[[2]string]int)}
	for _, rule := range p.channels {
		for _, c := range []*columnRef{rule.quality, rule.units} {
			if c == nil {
				continue
			}
			if i := c.in(h.names); i >= 0 {
				flags[i] = true
			}
		}
	}
	for i, name := range h.names {
		if at := p.ruleOf(i, name); at >= 0 && p.channels[at].suffix != "" && pl.fields[i].role == roleNone && !p.ignores(h, i) {
			if beside := h.place(name + p.channels[at].suffix); beside >= 0 {
				flags[beside] = true
			}
		}
	}
	loggers := filled(h.loggers)
	for i := 0; i < len(h.names); i++ {
		name := h.names[i]
		if pl.fields[i].role != roleNone || flags[i] || p.ignores(h, i) {
			continue
		}
		at := p.ruleOf(i, name)
		if at < 0 && p.others == "refuse" {
			return fmt.Sprintf("column %d of line %d, %q, is neither among the profile's channels nor ignored; add it to one of them, or say others: ignore", i+1, h.line, name)
		}
		v := pl.headed(h, loggers, i)
		if at >= 0 {
			v.follow(&p.channels[at], h)
		}
		if fault := pl.pair(h, &v); fault != "" {
			return fault
		}
		if p.pairs != "" {
			i++
		}
		if at < 0 && p.others == "ignore" {
			continue
		}
		if fault := pl.christen(h, &v, &taken); fault != "" {
			return fault
		}
		pl.values = append(pl.values, v)
	}
	for _, rule := range p.channels {
		if rule.column.match == nil && rule.column.in(h.names) < 0 {
			return fmt.Sprintf("the header has no column %s (channel): line %d is %q", rule.column, h.line, cut([]byte(strings.Join(h.names, string(p.dialect.delimiter)))))
		}
	}
	if len(pl.values) == 0 {
		return fmt.Sprintf("no column of the header holds readings: line %d is %q", h.line, cut([]byte(strings.Join(h.names, string(p.dialect.delimiter)))))
	}
	return ""
}

// ruleOf returns the index of the rule of the profile that is for column i of
// that name, or -1.
func (p *Profile) ruleOf(i int, name string) int {
	return slices.IndexFunc(p.channels, func(rule channelRule) bool { return rule.column.is(i, name) })
}

// headed returns the value of column i as the header alone tells it.
func (pl *plan) headed(h *header, loggers []string, i int) value {
	p, name := pl.profile, []byte(h.names[i])
	v := value{field: i, label: name, missing: p.missing, quality: -1, units: -1, linear: linear{multiply: 1}}
	if p.columnsAre == "logger" {
		v.logger = name
	} else {
		v.channel = name
	}
	if logger := unitCell(loggers, i); logger != "" {
		v.logger = []byte(logger)
	}
	if h.channels != nil {
		channels := h.channels
		if p.columnsAre == "logger" {
			channels = filled(channels) // one cell may lie over the columns of several loggers
		}
		v.channel = []byte(unitCell(channels, i))
		v.label = v.channel
	}
	if h.units != nil {
		v.unit = []byte(unitCell(h.units, i))
	}
	if p.unit.constant != "" {
		v.unit = []byte(p.unit.constant)
	}
	return v
}

// filled returns the cells of a header row with the empty ones filled from their
// left, as spreadsheets write one cell that lies over several columns.
func filled(cells []string) []string {
	cells = slices.Clone(cells)
	for i := 1; i < len(cells); i++ {
		if cells[i] == "" {
			cells[i] = cells[i-1]
		}
	}
	return cells
}

// follow makes the value what a rule of the profile says of its column.
func (v *value) follow(rule *channelRule, h *header) {
	if match := rule.column.match; match != nil {
		text := []byte(h.names[v.field])
		for group, into := range map[string]*[]byte{"logger": &v.logger, "channel": &v.channel, "unit": &v.unit} {
			if part, _ := match.find(text, group); len(part) > 0 {
				*into = part
			}
		}
	}
	if rule.name != "" {
		v.channel = []byte(rule.name)
	}
	if rule.unit != "" {
		v.unit = []byte(rule.unit)
	}
	v.missing = slices.Concat(v.missing, rule.missing)
	if rule.quality != nil {
		v.quality = rule.quality.in(h.names)
	}
	if rule.units != nil {
		v.units = rule.units.in(h.names)
	}
	if rule.suffix != "" {
		v.quality = h.place(h.names[v.field] + rule.suffix)
	}
	v.linear = rule.linear
}

// pair gives a value the column beside it, where columns come in pairs.
func (pl *plan) pair(h *header, v *value) string {
	if pl.profile.pairs == "" {
		return ""
	}
	beside := v.field + 1
	if beside >= len(h.names) || pl.fields[beside].role != roleNone {
		return fmt.Sprintf("column %d of line %d, %q, has no column with its %s beside it, as pairs: %s says", v.field+1, h.line, h.names[v.field], pl.profile.pairs, pl.profile.pairs)
	}
	if pl.profile.pairs == pairQuality {
		v.quality = beside
	} else {
		v.units = beside
	}
	return ""
}

// baptisms are the names that the series of a header have.
type baptisms struct {
	columns map[[2]string]int // by logger and channel
	numbers map[[2]string]int // the last number behind a channel that comes several times
}

// christen sees to it that the series of a value has a name of its own.
func (pl *plan) christen(h *header, v *value, taken *baptisms) string {
	p, i := pl.profile, v.field
	if v.logger == nil && !p.logger.given() {
		return fmt.Sprintf("the header names no logger for column %d of line %d, %q", i+1, h.line, h.names[i])
	}
	if fault := nameFault(v.logger); v.logger != nil && fault != "" {
		return fmt.Sprintf("the logger in column %d of line %d %s", i+1, h.line, fault)
	}
	if fault := nameFault(v.channel); v.channel != nil && fault != "" {
		return fmt.Sprintf("the channel in column %d of line %d %s", i+1, h.line, fault)
	}
	if fault := nameFault(v.unit); len(v.unit) > 0 && fault != "" {
		return fmt.Sprintf("the unit of column %d of the header, %q, %s", i+1, h.names[i], fault)
	}
	series := func(channel []byte) [2]string { return [2]string{string(v.logger), string(channel)} }
	if _, twice := taken.columns[series(p.renamed(v.channel))]; twice && p.numbered && v.channel != nil {
		name := bytes.Clone(v.channel)
		n := max(1, taken.numbers[series(name)])
		for twice {
			n++
			v.channel = append(append(name[:len(name):len(name)], " ("...), strconv.Itoa(n)+")"...)
			_, twice = taken.columns[series(p.renamed(v.channel))]
		}
		taken.numbers[series(name)] = n
	}
	if v.channel != nil {
		v.channel = p.renamed(v.channel)
	}
	if twin, ok := taken.columns[series(v.channel)]; ok {
		what := fmt.Sprintf("channel %q", v.channel)
		switch {
		case v.channel == nil:
			what = fmt.Sprintf("logger %q", v.logger)
		case v.logger != nil:
			what += fmt.Sprintf(" of logger %q", v.logger)
		}
		return fmt.Sprintf("columns %d and %d of line %d are both %s; tell them apart in the profile's channels, by number, or say repeated: number", twin+1, i+1, h.line, what)
	}
	taken.columns[series(v.channel)] = i
	return ""
}

// renamed returns the name under which a channel of the file is carried on.
func (p *Profile) renamed(channel []byte) []byte {
	if to, ok := p.rename[string(channel)]; ok {
		return []byte(to)
	}
	return channel
}

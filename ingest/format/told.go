package format

import (
	"bytes"
	"fmt"
	"math"
)

// A cellUnit is the unit of a series as the cells of a file tell it.
type cellUnit struct {
	unit []byte
	line int64 // of the first reading, which told it; 0 when the header did, or none was read
}

// scaled returns the value that the number of a cell becomes by the factor of
// its row and the rule of its column. reason says why there is none.
func (d *Decoder) scaled(x float64, v *value) (scaled float64, reason string) {
	pl := d.plan
	if pl.factor < 0 && !v.linear.given {
		return x, ""
	}
	if pl.factor >= 0 {
		c := &d.split.cells[pl.factor]
		factor, ok := parseNumber(bare(c.b), pl.decimal(c.quoted))
		if !ok {
			return 0, fmt.Sprintf("the factor in column %d is not a number: %s", pl.factor+1, quoted(c.b))
		}
		x *= factor
	}
	if v.linear.given {
		x = v.linear.of(x)
	}
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return 0, "too large a number once it is multiplied"
	}
	return x, ""
}

// measuredIn notes the unit that a reading's cells tell. A series has one unit:
// the first that a reading tells, or that of the header; a cell that tells none
// is taken to be in it, and one that tells another is not read.
func (d *Decoder) measuredIn(m *measure, at int64, k int, g *naming) (reason string) {
	v := &d.plan.values[k]
	unit := m.unit
	if v.units >= 0 {
		unit = bare(d.split.cells[v.units].b)
		if fault := nameFault(unit); len(unit) > 0 && fault != "" {
			return "its unit " + fault
		}
	}
	u := d.names.unitOf(g, k)
	switch {
	case v.linear.given && len(v.unit) > 0: // the profile says what the readings become
	case len(u.unit) == 0 && u.line == 0:
		u.unit, u.line = bytes.Clone(unit), at
	case len(unit) > 0 && !bytes.Equal(u.unit, unit):
		if u.line > 0 {
			return fmt.Sprintf("another unit, %s: the series has %s since line %d", quoted(unit), quoted(u.unit), u.line)
		}
		return fmt.Sprintf("another unit, %s: the series has %s", quoted(unit), quoted(u.unit))
	}
	return ""
}

// unitOf returns what the cells of the file told of the unit of the series of
// value k in rows named g.
func (n *dictionary) unitOf(g *naming, k int) *cellUnit {
	if g.units == nil {
		g.units = make([]*cellUnit, len(g.series))
	}
	if g.units[k] == nil {
		logger, channel, unit, _ := g.nameOf(k, n.plan)
		name := string(logger) + "\x00" + string(channel)
		u := n.units[name]
		if u == nil {
			if n.units == nil {
				n.units = make(map[string]*cellUnit)
			}
			u = &cellUnit{unit: bytes.Clone(unit)}
			n.units[name] = u
		}
		g.units[k] = u
	}
	return g.units[k]
}

// qualityOf returns the quality of a reading: that of its column, the mark
// before its number and the flag behind it, with a blank between them.
func (d *Decoder) qualityOf(m *measure, v *value) []byte {
	var quality []byte
	if v.quality >= 0 {
		quality = bare(d.split.cells[v.quality].b)
	}
	if m.inequality == nil && m.flag == nil {
		return quality
	}
	d.joined = d.joined[:0]
	for _, part := range [][]byte{quality, m.inequality, m.flag} {
		if len(part) > 0 {
			if len(d.joined) > 0 {
				d.joined = append(d.joined, ' ')
			}
			d.joined = append(d.joined, part...)
		}
	}
	return d.joined
}

// carry sees to it that no two channels of a file become one by being renamed.
func (n *dictionary) carry(g *naming) (fault string) {
	p := n.plan.profile
	if len(p.rename) == 0 || len(g.channel) == 0 || p.wide {
		return ""
	}
	to := p.renamed(g.channel)
	name := string(g.logger) + "\x00" + string(to)
	if from, ok := n.carried[name]; ok && from != string(g.channel) {
		return fmt.Sprintf("the channel %s is carried on as %s, and so is %s of the same file", quoted(g.channel), quoted(to), quoted([]byte(from)))
	}
	if n.carried == nil {
		n.carried = make(map[string]string)
	}
	n.carried[name] = string(g.channel)
	return ""
}

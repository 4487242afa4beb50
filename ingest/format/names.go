package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"penstock/ingest"
)

// A naming is the series of the rows that have the same key cells: one series
// in the long shape, one for each column of readings in the wide.
type naming struct {
	// What most rows need stands together: the namings of all loggers are more than
	// the processor's nearest memory keeps from one small file to the next.
	next     *naming     // what came after it the last time
	table    *assignment // what the loggers table makes of its series; nil for nothing
	together []byte      // what stands in its rows from the first key cell to the field behind the last; nil where something else may
	text     [40]byte    // of together, where it has room
	series   []int32     // by value; -1 while no reading needed it
	written  []wont      // by value: how numbers are written
	one      oneValue    // series and written, where there is one value
	left     bool        // its rows are left to anyRow
	plain    bool        // no cell holds what only quotes can hold
	complete bool        // a row of these had all of series
	cells    [][]byte    // as they stand in the file

	quoted []byte      // as together, of rows that have all in quotes
	fault  string      // why rows of these cells cannot be read
	column int         // the field at fault, counted from 1
	units  []*cellUnit // by value: what cells tell of the units; nil when they tell none

	logger, channel, unit []byte
}

type oneValue struct {
	series  [1]int32
	written [1]wont
}

// A dictionary finds the naming of a row. Loggers write their rows in the same
// order again and again, so it looks first at what followed the row before, and
// at what the file before began with; the series it knows are indices into one
// batch's Keys.
type dictionary struct {
	batch *ingest.Batch
	epoch int
	plan  *plan

	logger, channel, unit []byte // of the whole file
	known                 map[string]*naming
	last                  *naming
	start                 naming  // is followed by what the file before began with
	ended                 *naming // of the last row of the file before
	apart                 bool    // what files begin with does not follow what those before ended with
	first                 naming  // of rows without key cells
	scratch               []byte

	units   map[string]*cellUnit // by logger and channel, where cells tell the units
	carried map[string]string    // the channels that were renamed, by logger and new name
	loggers *Loggers             // nil when there is no table
	source  string               // of the file
	listing
}

// maxNamings is how many combinations of key cells are remembered.
const maxNamings = 1 << 16

// open readies the dictionary for a file. What it knows stays while batch, plan
// and the file's own names are those of the file before.
func (n *dictionary) open(b *ingest.Batch, pl *plan, logger, channel, unit []byte) {
	same := n.batch == b && n.epoch == b.Epoch && n.plan == pl && !pl.measured && len(pl.profile.rename) == 0
	if same && bytes.Equal(n.logger, logger) && bytes.Equal(n.channel, channel) && bytes.Equal(n.unit, unit) {
		if len(pl.keys) > 0 {
			n.between()
		}
		return
	}
	if n.plan != pl {
		n.first.written = pl.unwritten()
	}
	n.batch, n.epoch, n.plan = b, b.Epoch, pl
	n.logger = append(n.logger[:0], logger...)
	n.channel = append(n.channel[:0], channel...)
	n.unit = append(n.unit[:0], unit...)
	if len(n.known) > 1024 {
		n.known = nil // clearing a large map costs more than the next file is worth
	}
	clear(n.known)
	if len(pl.keys) > 0 {
		n.start = naming{written: pl.unwritten()}
		n.last, n.ended, n.apart = &n.start, nil, false
		return
	}
	f := &n.first
	f.plain, f.complete, f.fault, f.next = true, false, "", f
	f.logger, f.channel, f.unit = n.logger, n.channel, n.unit
	f.series, f.units = f.series[:0], nil
	for range pl.values {
		f.series = append(f.series, -1)
	}
	n.assign(f)
	n.last = f
}

// between readies the dictionary for the next of many files. Where their loggers
// come in turns, the next begins with what followed the last time; else it is as
// likely as not of the logger of the one before, and all others are far from the
// processor by then.
func (n *dictionary) between() {
	if n.last == &n.start {
		return // the file before had no rows
	}
	if n.ended = n.last; n.apart {
		n.last = &n.start
	}
}

// astray notes that a row is g's, which was not foretold.
func (n *dictionary) astray(g *naming) {
	switch {
	case n.last != &n.start:
		n.apart = n.apart || n.last == n.ended
	case n.ended != nil:
		n.apart = n.ended.next != g
		n.ended.next = g
	}
	n.last.next = g
}

// find returns the naming of a row by its key cells, which it copies when they
// are new.
func (n *dictionary) find(cells [][]byte) *naming {
	if len(cells) == 0 {
		return n.last
	}
	if g := n.last.next; g != nil && sameCells(g.cells, cells) {
		n.last = g
		return g
	}
	n.scratch = n.scratch[:0]
	for _, c := range cells {
		n.scratch = binary.AppendUvarint(n.scratch, uint64(len(c)))
		n.scratch = append(n.scratch, c...)
	}
	g := n.known[string(n.scratch)]
	if g == nil {
		if n.known == nil {
			n.known = make(map[string]*naming)
		}
		if len(n.known) >= maxNamings {
			clear(n.known)
		}
		g = n.plan.name(cells, n)
		n.assign(g)
		n.known[string(n.scratch)] = g
	}
	n.astray(g)
	n.last = g
	return g
}

func sameCells(a, b [][]byte) bool {
	for i := range b {
		if i >= len(a) || !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

// name makes the naming of key cells.
func (pl *plan) name(cells [][]byte, n *dictionary) *naming {
	g := &naming{plain: true, logger: n.logger, channel: n.channel, unit: n.unit}
	g.series, g.written = g.one.series[:0], g.one.written[:0]
	for range pl.values {
		g.series, g.written = append(g.series, -1), append(g.written, pl.usual())
	}
	d := &pl.profile.dialect
	for _, c := range cells {
		c = bytes.Clone(c)
		g.cells = append(g.cells, c)
		if bytes.IndexByte(c, d.delimiter) >= 0 || d.quote != 0 && bytes.IndexByte(c, d.quote) >= 0 || bytes.ContainsAny(c, "\r\n") {
			g.plain = false
		}
	}
	if g.plain && pl.keysAt >= 0 {
		g.together = g.text[:0]
		for _, c := range g.cells {
			g.together = append(append(g.together, c...), d.delimiter)
		}
		gap := []byte{d.quote, d.delimiter, d.quote}
		g.quoted = append(bytes.Join(g.cells, gap), gap...)
	}
	var unit []byte // that the channel's pattern tells
	for _, part := range []struct {
		what string
		from *keyed
		into *[]byte
	}{{"logger", &pl.logger, &g.logger}, {"channel", &pl.channel, &g.channel}, {"unit", &pl.unit, &g.unit}} {
		if len(part.from.from) == 0 {
			continue
		}
		name, fault := g.joined(part.from, d.trim)
		if fault == "" {
			fault = nameFault(name)
		}
		if part.what == "unit" && len(name) == 0 {
			fault = ""
		}
		if fault == "" && part.from.match != nil {
			whole := name
			var ok bool
			if name, ok = part.from.match.find(whole, part.what); !ok {
				fault = fmt.Sprintf("does not match %q: %s", part.from.match.re, quoted(whole))
			} else if len(name) == 0 {
				fault = "is empty in " + quoted(whole)
			}
			if part.what == "channel" {
				unit, _ = part.from.match.find(whole, "unit")
			}
		}
		if fault != "" {
			g.fault, g.column = "the "+part.what+" "+fault, pl.keys[part.from.from[0]]+1
			return g
		}
		if part.from.behind {
			name = slices.Concat(*part.into, []byte(part.from.between), name)
		}
		*part.into = name
	}
	if len(unit) > 0 {
		g.unit = unit
	}
	if fault := n.carry(g); fault != "" {
		g.fault, g.column = fault, pl.keys[0]+1
	}
	return g
}

// unwritten says, by value, how the numbers of a naming are written of which none
// was read yet.
func (pl *plan) unwritten() []wont {
	written := make([]wont, len(pl.values))
	for k := range written {
		written[k] = pl.usual()
	}
	return written
}

func (pl *plan) usual() wont {
	return wont{usual: &pl.numerals[0][2][2], other: &pl.numerals[0][3][2]}
}

// joined returns the text of the key cells that a name is taken from.
func (g *naming) joined(from *keyed, trimmed bool) (name []byte, fault string) {
	for i, k := range from.from {
		cell := unformula(g.cells[k])
		if trimmed {
			cell = trim(cell)
		}
		if len(from.from) == 1 {
			return cell, ""
		}
		if len(cell) == 0 {
			return nil, fmt.Sprintf("is joined of %d cells, and one is empty", len(from.from))
		}
		if i > 0 {
			name = append(name, from.join...)
		}
		name = append(name, cell...)
	}
	return name, ""
}

// together returns the field of the first key cell where the others follow it in
// their order, and -1 where they do not, or none is there.
func (pl *plan) together() int {
	for k, i := range pl.keys {
		if i != pl.keys[0]+k {
			return -1
		}
	}
	if len(pl.keys) == 0 {
		return -1
	}
	return pl.keys[0]
}

// of returns the series of the value of that index in rows named g: where the
// loggers table has one, of the time that turn was called for.
func (g *naming) of(i int, pl *plan, b *ingest.Batch) int32 {
	if s := g.series[i]; s >= 0 {
		return s
	}
	logger, channel, unit, label := g.nameOf(i, pl)
	if g.table != nil && g.table.now[i] != nil {
		t := g.table.now[i]
		if logger, channel = t.logger, t.channel; len(t.unit) > 0 {
			unit = t.unit
		}
	}
	g.series[i] = b.SeriesOf(logger, channel, unit, label)
	return g.series[i]
}

// nameOf returns the name of the series of the value of that index.
func (g *naming) nameOf(i int, pl *plan) (logger, channel, unit, label []byte) {
	p, v := pl.profile, &pl.values[i]
	logger, channel, unit, label = g.logger, v.channel, g.unit, v.label
	if v.logger != nil {
		logger = v.logger
	}
	if v.channel == nil {
		channel, label = p.renamed(g.channel), g.channel
	}
	if len(v.unit) > 0 {
		unit = v.unit
	}
	if g.units != nil && g.units[i] != nil && len(g.units[i].unit) > 0 {
		unit = g.units[i].unit
	}
	return logger, channel, unit, label
}

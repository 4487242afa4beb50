package format

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"penstock/ingest"
)

// anyRow reads the record, or the line that is none, that w begins with: every
// dialect, every fault. It is what plainRows must agree with. It returns how
// many bytes it read, 0 when it must see more of the file first.
func (d *Decoder) anyRow(w []byte, final bool) (int, *refusal) {
	end, next, ok := lineEnd(w, final)
	if d.skipping || end > d.limit {
		return d.longRow(w[:end], next, ok), nil
	}
	if !ok {
		return 0, nil
	}
	p := d.plan.profile
	line := w[:end]
	switch {
	case d.footer || p.framing.footer != nil && p.framing.footer.in(line):
		d.footer = true
		d.lines.Footer++
	case len(trim(line)) == 0 || len(line) == 1 && line[0] == endOfFile:
		d.lines.Blank++
	case p.dialect.commented(line):
		d.lines.Comment++
	case p.framing.message != nil && p.framing.message.in(line):
		if p.trust != ingest.Named { // its writer saw the beginning of one file
			if fault := d.otherHeader(line); fault != nil {
				return next, fault
			}
		}
		d.lines.Message++
	default:
		n, fault := d.anyRecord(w, end, next, final)
		if fault == nil {
			fault = d.held
		}
		return n, fault
	}
	d.declare(line)
	d.lines.Total++
	d.line++
	return next, nil
}

// longRow gives up a line that is longer than any may be, of which it is given
// as much as there is, and then the rest, so that memory does not grow with it.
func (d *Decoder) longRow(line []byte, next int, ended bool) int {
	switch {
	case d.skipping: // it was counted when it began
	case d.footer:
		d.lines.Total++
		d.lines.Footer++
		d.line++
	default:
		d.rejectLines(d.line+1, 1, line[:d.limit], fmt.Sprintf("the line is longer than %d bytes, so it is not read", d.limit))
	}
	d.skipping = !ended
	return next
}

// endOfFile is what DOS programs write after the last line.
const endOfFile = 0x1a

// anyRecord reads the record that w begins with, whose first line is w[:end], or
// a header that stands among the records.
func (d *Decoder) anyRecord(w []byte, end, next int, final bool) (int, *refusal) {
	seen, more, last := w, !final, final
	if len(w) > max(d.limit, next) {
		seen, more, last = w[:max(d.limit, next)], false, false
	}
	after, lines, fault := d.split.split(seen, end, next, last)
	if fault == quotesOpen && more {
		return 0, nil
	}
	if fault != quotesFine {
		// What the quotes mean is lost, so the line alone is given up, and the
		// next is read afresh.
		after, lines = next, 1
	}
	raw := w[:after]
	if lines == 1 {
		raw = w[:end]
	}
	d.torn = final && after == len(w) && w[after-1] != '\n' && w[after-1] != '\r'
	counted, line, rejects, listed := d.lines, d.line, d.rejects, len(d.span.Rejects)
	switch at := d.line + 1; {
	case fault != quotesFine:
		d.rejectLines(at, 1, raw, d.split.quotingReason(fault)+d.tear())
	case d.feed.strange(raw):
		d.rejectLines(at, lines, raw, d.feed.notTextReason())
	default:
		d.record(at, lines, raw)
	}
	if d.lines.Rejected == counted.Rejected {
		d.more += lines - 1
		return after, nil
	}
	kept, keptLine, keptRejects := d.lines, d.line, d.rejects
	d.lines, d.line, d.rejects = counted, line, rejects
	n, more, refused := d.restart(w, final)
	switch {
	case refused != nil:
		return 0, refused
	case n == 0 && !more:
		d.lines, d.line, d.rejects = kept, keptLine, keptRejects
		d.more += lines - 1
		return after, nil
	}
	d.span.Rejects = d.span.Rejects[:listed]
	return n, nil
}

// rejectLines gives up a record.
func (d *Decoder) rejectLines(at, lines int64, raw []byte, reason string) {
	d.rejectField(at, lines, 0, raw, reason)
}

func (d *Decoder) rejectField(at, lines int64, column int, raw []byte, reason string) {
	d.lines.Total += lines
	d.lines.Rejected += lines
	d.line += lines
	d.reject(at, column, raw, reason)
}

// record reads the cells of the splitter as one record.
func (d *Decoder) record(at, lines int64, raw []byte) {
	pl := d.plan
	cells := d.split.cells
	if allBlank(cells) {
		d.blankLines(lines)
		return
	}
	if len(cells) != len(pl.fields) {
		if !d.level() {
			d.rejectLines(at, lines, raw, fmt.Sprintf("wrong number of fields: %d (expected %d, as in the header)%s", len(cells), len(pl.fields), d.tear()))
			return
		}
		cells = d.split.cells
	}
	if pl.profile.matrix {
		d.matrixRow(at, lines, raw)
		return
	}
	if len(pl.stamps) == 0 && pl.textless && !d.tellsValue() {
		// Nothing else tells it from a header, or a message.
		i := pl.values[0].field
		d.rejectField(at, lines, i+1, raw, pl.numberReason(bare(cells[i].b))+d.tearAt(i))
		return
	}
	us, g, ok := d.when(at, lines, raw, cells)
	if !ok {
		return
	}
	if g == nil {
		g = d.naming(cells)
	}
	if !d.fit(g, at, lines, raw) {
		return
	}
	d.lines.Total += lines
	d.lines.Data += lines
	d.line += lines
	first := len(d.batch.Time)
	for k := range pl.values {
		d.value(at, us, k, g)
	}
	d.timed(at, us, first)
}

// naming returns the naming of a record.
func (d *Decoder) naming(cells []cell) *naming {
	for k, i := range d.plan.keys {
		d.keys[k] = cells[i].b
	}
	return d.names.find(d.keys)
}

// fit reports whether the database can hold the names and qualities of the
// record named g, and else rejects it.
func (d *Decoder) fit(g *naming, at, lines int64, raw []byte) bool {
	if g.fault != "" {
		d.rejectField(at, lines, g.column, raw, g.fault)
		return false
	}
	for k := range d.plan.values {
		if i := d.plan.values[k].quality; i >= 0 {
			if fault := textFault(d.split.cells[i].b); fault != "" {
				d.rejectField(at, lines, i+1, raw, "the quality "+fault)
				return false
			}
		}
	}
	return true
}

// value reads the cell of one value of a record.
func (d *Decoder) value(at, us int64, k int, g *naming) {
	pl := d.plan
	v := &pl.values[k]
	c := &d.split.cells[v.field]
	b := bare(c.b)
	if !pl.textless && d.kinds[k] == kindText {
		d.text(at, k, c, b)
		return
	}
	d.cells.Total++
	missing := isMissing(b, v.missing)
	var m measure
	var ok bool
	if d.signless && !missing {
		d.lateSign(at, b, c.quoted)
	}
	if !missing {
		m, ok = pl.measure(b, c.quoted)
		missing = ok && slices.Contains(v.sentinels, m.number)
	}
	if missing {
		d.cells.Missing++
		if !pl.textless {
			d.empty[k]++
		}
		return
	}
	if !ok {
		if !pl.textless && d.kinds[k] == kindOpen && c.quoted && !likeNumber(b) {
			// The column turns out to be text: none of its cells count.
			d.kinds[k], d.textAt[k] = kindText, at
			d.cells.Total -= 1 + d.empty[k]
			d.cells.Missing -= d.empty[k]
			return
		}
		d.cells.Rejected++
		d.reject(at, v.field+1, c.b, pl.numberReason(b)+d.tearAt(v.field))
		return
	}
	x, reason := d.scaled(m.number, v)
	if reason == "" && pl.measured {
		reason = d.measuredIn(&m, at, k, g)
	}
	if reason != "" {
		d.cells.Rejected++
		d.reject(at, v.field+1, c.b, reason)
		return
	}
	if !pl.textless {
		d.kinds[k] = kindNumber
	}
	series, x, fault := g.read(k, us, x, pl, d.batch)
	if fault != "" {
		d.cells.Rejected++
		d.reject(at, v.field+1, c.b, fault)
		return
	}
	d.batch.Append(series, us, x)
	d.batch.SetLine(at)
	d.batch.SetQuality(d.qualityOf(&m, v))
}

// text looks at a cell of a column that turned out to be text. A number there
// is not passed over in silence.
func (d *Decoder) text(at int64, k int, c *cell, b []byte) {
	if c.quoted || len(b) == 0 {
		return
	}
	if _, ok := parseNumber(b, d.plan.decimal(false)); ok {
		d.cells.Total++
		d.cells.Rejected++
		d.reject(at, d.plan.values[k].field+1, c.b, fmt.Sprintf("a number, %s, in a column of text (line %d made it one)", quoted(b), d.textAt[k]))
	}
}

// decimal returns the decimal sign of a cell. Where the sign is the delimiter
// too, only quoted cells have it.
func (pl *plan) decimal(quoted bool) byte {
	d := &pl.profile.dialect
	if pl.sign == d.delimiter && !quoted {
		return noSign
	}
	return pl.sign
}

// stamp returns the timestamp of a record, joined of its cells.
func (d *Decoder) stamp(cells []cell) []byte {
	pl := d.plan
	if len(pl.stamps) == 1 {
		return bare(cells[pl.stamps[0]].b)
	}
	d.stamped = d.stamped[:0]
	for k, i := range pl.stamps {
		if k > 0 {
			d.stamped = append(d.stamped, pl.profile.stamp.join...)
		}
		d.stamped = append(d.stamped, bare(cells[i].b)...)
	}
	return d.stamped
}

// zoneless stops the file until a person says which zone it is of.
func (d *Decoder) zoneless() {
	if d.held == nil { // one question is enough
		d.held = hold("its timestamps tell no time zone: which is it? Answer with --zone Area/City (such as --zone Europe/London), or with zone: in the source or the profile", "zone")
	}
}

func (d *Decoder) implausible(stamp []byte) string {
	return fmt.Sprintf("timestamp outside the plausible window: %s (expected %s to %s)", quoted(stamp), day8601(d.from), day8601(d.to))
}

func (pl *plan) stampReason(b []byte) string {
	expected := ""
	for i, l := range pl.clock.layouts {
		if i > 0 {
			expected += " or "
		}
		expected += strconv.Quote(l.text)
	}
	return fmt.Sprintf("not a timestamp: %s (expected %s)", quoted(b), expected)
}

func (pl *plan) numberReason(b []byte) string {
	sign := "point"
	if pl.sign == ',' {
		sign = "comma"
	}
	if v, err := strconv.ParseFloat(string(b), 64); math.IsInf(v, 0) && err != nil {
		return fmt.Sprintf("too large a number: %s", quoted(b))
	}
	return fmt.Sprintf("not a number: %s (expected digits with a decimal %s)", quoted(b), sign)
}

// likeNumber reports whether b means a number that is none, such as INF or NAN:
// such a cell does not make its column text.
func likeNumber(b []byte) bool {
	v, _ := strconv.ParseFloat(string(b), 64)
	return math.IsInf(v, 0) || math.IsNaN(v)
}

func day8601(us int64) string {
	return ingest.FromMicros(us).Format("2006-01-02T15:04Z")
}

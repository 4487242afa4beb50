package format

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"penstock/ingest/format/strictyaml"
)

// headerTimes reads the times of day that the header of a matrix holds.
type headerTimes struct {
	layout *layout  // of the time of day; nil when hours are counted
	text   string   // as the profile says it
	match  *pattern // the group time is the part of the cell that counts; nil for all of it
}

// hourNumbers is the layout of headers that count hours.
const hourNumbers = "hours"

func clockTimes() *headerTimes {
	t, err := newHeaderTimes("15:04")
	if err != nil {
		panic(err) // the layout is a good one
	}
	return t
}

func newHeaderTimes(text string) (*headerTimes, error) {
	t := &headerTimes{text: text}
	if text == hourNumbers {
		return t, nil
	}
	var err error
	if t.layout, err = compileIn(text, english, true); err != nil {
		return nil, fmt.Errorf("header_layout %q is no layout of a time of day: %w", text, err)
	}
	if !slices.ContainsFunc([]stepKind{stepHour, stepHour12, stepHour12Fixed, stepClock}, func(k stepKind) bool { return t.layout.has(k) }) {
		return nil, fmt.Errorf("header_layout %q has no hour; write it as of 15:04 (Go) or %%H:%%M (strftime), or hours", text)
	}
	return t, nil
}

// read returns the seconds since midnight that a cell of the header tells; ok is
// false when it tells none. 24:00, like hour 24, is the end of the day.
func (t *headerTimes) read(cell string) (seconds int64, ok bool) {
	if t.match != nil {
		part, _ := t.match.find([]byte(cell), "time")
		cell = string(part)
	}
	if t.layout == nil {
		hour, err := strconv.ParseUint(cell, 10, 8)
		return int64(hour) * 3600, err == nil && hour <= 24
	}
	w, ok := t.layout.read([]byte(cell))
	return w.seconds, ok && w.micros == 0 && !w.zoned && w.seconds >= 0 && w.seconds <= 86400
}

// headerTimes reads header_layout: a layout of a time of day, hours, or
// {match: pattern, layout: layout}.
func (r *reader) headerTimes(into **headerTimes) func(*yaml.Node) {
	return func(n *yaml.Node) {
		text, at := "", strictyaml.Resolve(n)
		var match *pattern
		if at.Kind == yaml.MappingNode {
			r.Mapping(at, "header_layout", strictyaml.Key("match", r.pattern(&match, "time")), strictyaml.Key("layout", r.Text(&text)))
			if text == "" || match == nil {
				r.Fault(n, "header_layout needs match, a pattern with a group time, and layout")
				return
			}
		} else if r.Text(&text)(n); text == "" {
			return
		}
		t, err := newHeaderTimes(text)
		if err != nil {
			r.Fault(n, "%v", err)
			return
		}
		t.match = match
		*into = t
	}
}

// A cellTime is when, in its row's day, the readings of a column of a matrix
// were taken.
type cellTime struct {
	seconds int64 // of the wall clock, since midnight
	pass    int   // how many columns before have the same time
	passes  int   // how many columns have it
}

// bindMatrix decides of every column of the header of a matrix what it is.
func (pl *plan) bindMatrix(h *header) string {
	p := pl.profile
	quality := -1
	if p.quality != nil {
		quality = p.quality.in(h.names)
	}
	seen := make(map[int64]int)
	for i := 0; i < len(h.names); i++ {
		if pl.fields[i].role != roleNone || i == quality || p.ignores(h, i) {
			continue
		}
		seconds, ok := p.stamp.times.read(h.names[i])
		if !ok {
			if p.others == "ignore" {
				continue
			}
			return fmt.Sprintf("column %d of line %d, %q, is no time of day as %q says; add it to ignore if it holds no readings, or mend timestamp.header_layout", i+1, h.line, h.names[i], p.stamp.times.text)
		}
		v := value{field: i, missing: p.missing, quality: quality, units: -1}
		if fault := pl.pair(h, &v); fault != "" {
			return fault
		}
		if p.pairs != "" {
			i++
		}
		pl.values = append(pl.values, v)
		pl.times = append(pl.times, cellTime{seconds: seconds, pass: seen[seconds]})
		if seen[seconds]++; seen[seconds] > 2 {
			return fmt.Sprintf("column %d of line %d is the third of %q, and no clock shows a time three times a day", i+1, h.line, h.names[i])
		}
	}
	for k := range pl.times {
		pl.times[k].passes = seen[pl.times[k].seconds]
	}
	if len(pl.values) == 0 {
		return fmt.Sprintf("no column of the header is a time of day as %q says: line %d is %q", p.stamp.times.text, h.line, cut([]byte(strings.Join(h.names, string(p.dialect.delimiter)))))
	}
	return ""
}

// matrixRow reads the cells of the splitter as the readings of one day.
func (d *Decoder) matrixRow(at, lines int64, raw []byte) {
	pl := d.plan
	clock, _, ok := d.clockOf(at, lines, raw, d.split.cells)
	if !ok {
		return
	}
	g := d.naming(d.split.cells)
	if !d.fit(g, at, lines, raw) {
		return
	}
	text := d.stamp(d.split.cells)
	day, ok := pl.date(text)
	switch {
	case !ok:
		d.rejectField(at, lines, pl.stamps[0]+1, raw, pl.stampReason(text))
		return
	case mod(day.seconds, 86400) != 0 || day.micros != 0:
		d.rejectField(at, lines, pl.stamps[0]+1, raw, fmt.Sprintf("the row of a day begins at midnight, and this is another time: %s", quoted(text)))
		return
	case !day.zoned && clock.zone == nil:
		d.zoneless()
		return
	}
	// A day is an hour longer or shorter than others at most, and zones are
	// less than a day apart.
	if day.seconds < d.from/1e6-2*86400 || day.seconds > d.to/1e6+2*86400 {
		d.rejectField(at, lines, pl.stamps[0]+1, raw, d.implausible(text))
		return
	}
	d.lines.Total += lines
	d.lines.Data += lines
	d.line += lines
	for k := range pl.values {
		v := &pl.values[k]
		c := &d.split.cells[v.field]
		if pl.isMissing(c, v) {
			d.cells.Total++
			d.cells.Missing++
			continue
		}
		us, twice, reason := clock.ofCell(day, &pl.times[k])
		if reason == "" && (us < d.from || us > d.to) {
			reason = d.implausible([]byte(day8601(us)))
		}
		if reason != "" {
			d.cells.Total++
			d.cells.Rejected++
			d.reject(at, v.field+1, c.b, reason)
			continue
		}
		first := len(d.batch.Time)
		d.value(at, us, k, g)
		d.twice = twice
		d.timed(at, us, first)
	}
}

// isMissing reports whether the cell stands for a missing value.
func (pl *plan) isMissing(c *cell, v *value) bool {
	b := bare(c.b)
	if isMissing(b, v.missing) {
		return true
	}
	if len(v.sentinels) == 0 {
		return false
	}
	m, ok := pl.measure(b, c.quoted)
	return ok && slices.Contains(v.sentinels, m.number)
}

// date reads the date of a row in the first layout that takes it.
func (pl *plan) date(b []byte) (w wall, ok bool) {
	for _, l := range pl.clock.layouts {
		if w, ok = l.read(b); ok {
			return w, true
		}
	}
	return wall{}, false
}

// ofCell returns the instant of a cell of the row of a day, in microseconds
// UTC. On the days when clocks change, an hour of columns has no instant, or one
// has two and the header tells by a second column of a time which is meant; where
// it has one column for them, twice is not nil. reason says why there is none.
func (c *clock) ofCell(day wall, t *cellTime) (us int64, twice *repeat, reason string) {
	at := day.seconds + t.seconds
	state := readGood
	if day.zoned {
		us = (at - day.offset) * 1e6
	} else {
		us, state = c.instant(at, 0)
	}
	if state == readGood && t.pass == 0 {
		return us, nil, ""
	}
	text := quoted([]byte(wallText(at)))
	switch {
	case state == readNever:
		return 0, nil, fmt.Sprintf("a time that clocks in %s skipped when they went forward: %s (if the logger keeps standard time all year, say clock: standard; with gap: shift it is read as if the clock had not been moved)", c.zone, text)
	case state == readTwice && t.passes < 2:
		return us, &c.twice, ""
	case state == readTwice:
		return us + int64(t.pass)*c.twice.later, nil, ""
	}
	return 0, nil, fmt.Sprintf("the second column of a time, and clocks showed %s once", text)
}

// wallText writes a wall time for messages.
func wallText(seconds int64) string {
	return strings.TrimSuffix(day8601(seconds*1e6), "Z")
}

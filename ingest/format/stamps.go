package format

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"penstock/ingest"
)

// This file holds how a decoder comes from the cells of a record to its instant:
// what the file as a whole says of its timestamps, and what each record says.

// timing is what a file says of its timestamps.
type timing struct {
	repeated  []repeatedRow    // the rows whose wall time the clocks showed twice
	twice     *repeat          // of the record that was read last; nil when the clocks showed it once
	blocks    []block          // nil while there is one header
	groups    map[string]int32 // of the blocks, by logger
	midnights []midnight
	sequences sequences // of the rows, where some of those wait
	dayLong   int64     // of the record that was read last, where it is of midnight: how much later the next one is; else 0
	more      int64     // lines of records beyond the first of each
	start     int64     // of rows that do not tell their times: the first one's, in microseconds
	every     int64     // and how far they are apart
	places    int64     // that were counted before the first one
	chosen    []*layout // of one_of; nil when it is not known yet
	jumps     []jump
	leaps     int     // that were found, of which jumps has those of the batch
	last      int64   // the instant of the row before
	lasts     []since // by series: where jumps are looked for among the readings of several batches
	jumped    int     // how many series' clocks did
}

// forget readies the timing for another file.
func (t *timing) forget() {
	*t = timing{repeated: t.repeated[:0], blocks: t.blocks[:0], midnights: t.midnights[:0], jumps: t.jumps[:0], lasts: t.lasts[:0], last: math.MinInt64}
}

// beginTiming takes what the file's name and the preamble say of the timestamps
// below the header.
func (d *Decoder) beginTiming(c *ingest.Content, k *bound, preamble []byte) *refusal {
	pl := d.plan
	s := &pl.profile.stamp
	pl.clock.base = 0
	if pl.clock.use(s.layouts); d.chosen != nil {
		pl.clock.use(d.chosen)
	}
	if s.zoneBefore != nil {
		if fault := d.zoneBefore(k, preamble); fault != nil {
			return fault
		}
	}
	if s.date != nil {
		base := []byte(baseName(c.File.Path))
		text, ok := s.date.pattern.find(base, "date")
		if !ok {
			return quarantine("the file's name, %q, tells no date: the profile %s expects it to match %q", cut(base), pl.profile.Name, s.date.pattern.re)
		}
		w, ok := s.date.layout.read(text)
		if !ok {
			return quarantine("the file's name, %q, tells no date in the layout %q: %q", cut(base), s.date.layout.text, text)
		}
		pl.clock.base = w.seconds - mod(w.seconds, 86400)
	}
	if s.pace != nil {
		return d.beginPace(s.pace, preamble)
	}
	return nil
}

// zoneBefore takes the zone from the lines before the header.
func (d *Decoder) zoneBefore(k *bound, preamble []byte) *refusal {
	pl := d.plan
	s := &pl.profile.stamp
	zone, told := pl.zone, false
	if text, ok := s.zoneBefore.inLines(preamble, "zone"); ok && len(trim(text)) > 0 {
		text = trim(text)
		var err error
		if zone, err = s.zoneNamed(text); err != nil {
			return hold(fmt.Sprintf("the lines before the header say that the zone is %s: which one is that? (an offset, or an area and city)", quoted(text)), "timestamp.zones."+string(text))
		}
		told = true
	}
	if pl.clock.zone != zone || pl.told != told {
		pl.clock.in(zone)
		pl.told = told
		d.names.plan = nil // the loggers' clocks were made beside another
	}
	d.span.Recipe = pl.recipe
	if told {
		if k.told == nil {
			k.told = newRecipe(pl.profile, d.settings, true)
		}
		d.span.Recipe = k.told
	}
	return nil
}

// beginPace takes when the first row was recorded, and how far the rows are
// apart, from the lines before the header.
func (d *Decoder) beginPace(p *pacing, preamble []byte) *refusal {
	text, ok := p.start.inLines(preamble, "time")
	if !ok {
		return quarantine("the lines before the data do not tell when the first row was recorded: the profile %s expects one to match %q", d.plan.profile.Name, p.start.re)
	}
	clock := d.plan.clock
	clock.use([]*layout{p.layout})
	us, state := clock.micros(trim(text))
	switch state {
	case readNoZone:
		d.zoneless()
		return d.held
	case readNot:
		return quarantine("the first row's time is no timestamp: %s (expected %q)", quoted(text), p.layout.text)
	case readNever:
		return quarantine("the first row's time is one that clocks in %s skipped: %s", clock.zone, quoted(text))
	case readTwice:
		switch d.plan.profile.stamp.undecided {
		case undecidedStandard:
			us += clock.twice.later
		default:
			return hold(fmt.Sprintf("clocks in %s showed %s, when the first row was recorded, twice: was it the first or the second time?", clock.zone, text), "repeated_hour",
				ingest.Answer{Set: "repeated_hour=standard", Means: "the second, in standard time"})
		}
	}
	d.start, d.every, d.places = us, p.every.Microseconds(), d.rowsSoFar()
	if p.told == nil {
		return nil
	}
	for w := preamble; len(w) > 0; {
		end, next, _ := lineEnd(w, true)
		if number, ok := p.told.find(w[:end], "every"); ok {
			unit, _ := p.told.find(w[:end], "unit")
			if d.every, ok = everyOf(string(number), string(unit), p.unit); !ok {
				return quarantine("the lines before the data do not tell how far the rows are apart: %s %s is no duration (with every.unit the profile can say what a number counts)", quoted(number), quoted(unit))
			}
			return nil
		}
		w = w[next:]
	}
	return quarantine("the lines before the data do not tell how far the rows are apart: the profile %s expects one to match %q", d.plan.profile.Name, p.told.re)
}

// everyOf reads a duration: a number and its unit, 00:15:00, or 15m.
func everyOf(number, unit, standing string) (us int64, ok bool) {
	number = strings.TrimSpace(number)
	if unit = strings.ToLower(strings.TrimSpace(unit)); unit == "" {
		unit = standing
	}
	var every time.Duration
	if n, err := strconv.ParseFloat(strings.Replace(number, ",", ".", 1), 64); err == nil {
		every = time.Duration(math.Round(n * float64(paceUnits[unit])))
	} else if parts := strings.Split(number, ":"); len(parts) == 3 {
		every, _ = time.ParseDuration(parts[0] + "h" + parts[1] + "m" + parts[2] + "s")
	} else {
		every, _ = time.ParseDuration(number)
	}
	return every.Microseconds(), every >= time.Microsecond && every < 100*366*24*time.Hour
}

// when returns the instant of a record, and its naming where that was needed to
// tell it. Where the record has none, it is rejected, or the file is held, and
// ok is false.
func (d *Decoder) when(at, lines int64, raw []byte, cells []cell) (us int64, g *naming, ok bool) {
	pl := d.plan
	s := &pl.profile.stamp
	if d.twice = nil; s.pace != nil {
		us = d.start + d.every*(d.rowsSoFar()-d.places)
		if us < d.from || us > d.to {
			d.rejectField(at, lines, 0, raw, fmt.Sprintf("by the file's start and interval, it is of %s, outside the plausible window (expected %s to %s)", day8601(us), day8601(d.from), day8601(d.to)))
			return 0, nil, false
		}
		return us, nil, true
	}
	column := pl.stamps[0] + 1
	stamp, ok := d.stampText(cells)
	if !ok {
		d.rejectField(at, lines, column, raw, fmt.Sprintf("no interval: %s (expected two timestamps with %q between them)", quoted(stamp), s.cut))
		return 0, nil, false
	}
	clock, g, ok := d.clockOf(at, lines, raw, cells)
	if !ok {
		return 0, nil, false
	}
	us, state := clock.micros(stamp)
	if state == readTwice {
		d.twice = &clock.twice
	}
	if s.date != nil {
		d.dayLong = clock.dayFrom(us)
	}
	switch {
	case state == readNot:
		d.rejectField(at, lines, column, raw, pl.stampReason(stamp)+d.tearAt(pl.stamps[len(pl.stamps)-1]))
	case state == readNoZone:
		d.zoneless()
	case state == readNever:
		d.rejectField(at, lines, column, raw, fmt.Sprintf("a time that clocks in %s skipped when they went forward: %s (if the logger keeps standard time all year, say clock: standard; with gap: shift it is read as if the clock had not been moved)", clock.zone, quoted(stamp)))
	case us < d.from || us > d.to:
		d.rejectField(at, lines, column, raw, d.implausible(stamp))
	default:
		return us, g, true
	}
	return 0, nil, false
}

// clockOf returns the clock that reads the timestamp of a record, and its naming
// where the clock depends on that. A record whose zone is none is rejected.
func (d *Decoder) clockOf(at, lines int64, raw []byte, cells []cell) (c *clock, g *naming, ok bool) {
	pl := d.plan
	c = pl.clock
	switch {
	case pl.zoneAt >= 0 && len(trim(cells[pl.zoneAt].b)) > 0:
		text := trim(cells[pl.zoneAt].b)
		if c = pl.clockIn(text); c == nil {
			d.rejectField(at, lines, pl.zoneAt+1, raw, fmt.Sprintf("not a zone: %s (an offset, UTC, an area and city, or an abbreviation that timestamp.zones explains)", quoted(text)))
			return nil, nil, false
		}
	case d.clocks:
		if g = d.naming(cells); g.table != nil && g.table.clock != nil {
			c = g.table.clock
		}
	}
	if c != pl.clock {
		c.use(pl.clock.layouts)
		c.base = pl.clock.base
	}
	return c, g, true
}

// timed notes what the times of a file are judged by, of the record in that line
// whose readings are those from first on.
func (d *Decoder) timed(line, us int64, first int) {
	if len(d.batch.Time) == first {
		return
	}
	if d.twice != nil || d.dayLong != 0 {
		d.wait(line, first)
	}
	if delta := us - d.last; delta > jumpy || delta < -jumpy {
		d.leap(line, first)
	}
	d.last = us
}

// stampText returns the timestamp of a record, of an interval the end that
// counts; of what is to be an interval and is none all of it, and ok is false.
func (d *Decoder) stampText(cells []cell) (text []byte, ok bool) {
	text = d.stamp(cells)
	s := &d.plan.profile.stamp
	if s.cut == "" {
		return text, true
	}
	i := bytes.Index(text, []byte(s.cut))
	if i < 0 {
		return text, false
	}
	if s.end {
		i = bytes.LastIndex(text, []byte(s.cut)) + len(s.cut)
		return trim(text[i:]), true
	}
	return trim(text[:i]), true
}

// rowsSoFar counts the rows that were read, those included that hold nothing.
func (d *Decoder) rowsSoFar() int64 { return d.lines.Data + d.lines.Rejected + d.lines.Blank - d.more }

// maxClocks is how many zones are remembered that cells name.
const maxClocks = 64

// clockIn returns the clock of the zone that a cell names; nil when there is
// none of that name.
func (pl *plan) clockIn(text []byte) *clock {
	c, ok := pl.clocks[string(text)]
	if ok {
		return c
	}
	if zone, err := pl.profile.stamp.zoneNamed(text); err == nil {
		c = pl.profile.stamp.clock(zone)
	}
	if pl.clocks == nil || len(pl.clocks) >= maxClocks {
		pl.clocks = make(map[string]*clock)
	}
	pl.clocks[string(text)] = c
	return c
}

// A jump is a row whose instant is more than a year from that of the row before
// in the file, whatever series they are of.
type jump struct {
	line  int64
	index int // its first reading in the batch
}

// jumpy is how far a clock may go in one step before the file says so.
const jumpy = 366 * 86400e6

// leap notes that the row that is read, whose readings begin at index, is far
// from the row before.
func (d *Decoder) leap(line int64, index int) {
	const most = 1 << 16
	if d.last != math.MinInt64 && d.leaps < most {
		d.leaps++
		d.jumps = append(d.jumps, jump{line, index})
	}
}

// noteJumps notes where the clock of a series jumps by more than a year.
func (d *Decoder) noteJumps() {
	if d.leaps == 0 {
		return
	}
	d.gatherJumps()
	if d.jumped > mostJumps {
		d.span.Notes = append(d.span.Notes, fmt.Sprintf("its clocks jump by more than a year %d more times", d.jumped-mostJumps))
	}
}

// mostJumps is how many jumps are noted one by one.
const mostJumps = 5

// A since is the instant of a series' last reading, where it had any.
type since struct {
	at  int64
	any bool
}

// gatherJumps notes the jumps among the readings that the batch has of the file.
func (d *Decoder) gatherJumps() {
	b := d.batch
	for len(d.lasts) < len(b.Keys) {
		d.lasts = append(d.lasts, since{})
	}
	next := 0
	for i := d.span.Begin; i < len(b.Time); i++ {
		last, at := &d.lasts[b.Series[i]], b.Time[i]
		if next < len(d.jumps) && d.jumps[next].index == i {
			if last.any && max(last.at, at)-min(last.at, at) > jumpy {
				if d.jumped++; d.jumped <= mostJumps {
					d.span.Notes = append(d.span.Notes, fmt.Sprintf("the clock of logger %q jumps at line %d from %s to %s", b.Keys[b.Series[i]].Logger, d.jumps[next].line, day8601(last.at), day8601(at)))
				}
			}
			next++
		}
		*last = since{at, true}
	}
}

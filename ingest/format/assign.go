package format

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"penstock/ingest"
)

// An assignment is what the loggers table makes of the series of a naming.
type assignment struct {
	values [][]tenure // by value, in order of time; none for a value that the table leaves as it is
	scaled bool       // some value is converted
	clock  *clock     // reads the timestamps of the naming's rows; nil when the plan's does

	// Rows of a time in [from, until) have these tenures, nil for a value that
	// the table leaves as it is. Rows follow one another, so it is mostly the
	// same as of the row before.
	from, until int64
	now         []*tenure
}

// A tenure is one series that a channel's readings go to, for as long as they
// do.
type tenure struct {
	from, until           int64  // microseconds UTC, until exclusive
	logger, channel, unit []byte // no unit: that which the file tells, if only in the cells
	linear                linear
	every                 int64 // microseconds; 0 when the table does not say
}

// A claim is a channel's tenure of a series, by the name that the file has for
// the channel.
type claim struct {
	from, until int64
	channel     string
}

// A listing is what a file's names came to in the loggers table.
type listing struct {
	met     map[*listed]struct{}
	strange []string            // the loggers that the table does not have, each once
	claims  map[string][]claim  // by the logger's name in the file and the series
	every   map[string][]int64  // how often the loggers are to record, by what they are called in the end
	seen    map[string]struct{} // of strange
}

// reset forgets the names of the file before.
func (l *listing) reset() {
	clear(l.met)
	clear(l.claims)
	clear(l.every)
	clear(l.seen)
	l.strange = l.strange[:0]
}

// used reports whether the table had a say in the file.
func (l *listing) used() bool { return len(l.met)+len(l.strange) > 0 }

// begin readies the dictionary for a file of that source. Namings that the
// table had a say in are made anew for every file, so that the file's recipe
// has the rows of its own loggers and no others.
func (n *dictionary) begin(source string) {
	clear(n.units)
	clear(n.carried)
	if n.loggers == nil {
		return
	}
	if n.used() || n.source != source {
		n.batch = nil // open starts afresh
	}
	n.source = source
	n.reset()
}

// assign notes what the loggers table makes of g.
func (n *dictionary) assign(g *naming) {
	g.table, g.left = nil, g.fault != ""
	if n.loggers == nil || g.left {
		return
	}
	if n.met == nil {
		n.met, n.claims, n.every = make(map[*listed]struct{}), make(map[string][]claim), make(map[string][]int64)
	}
	pl := n.plan
	a := &assignment{values: make([][]tenure, len(pl.values)), now: make([]*tenure, len(pl.values))}
	var zoned *listed // whose clock the row's time is of
	for k := range pl.values {
		logger, channel, _, _ := g.nameOf(k, pl)
		e := n.loggers.of(n.source, logger)
		if e == nil {
			n.unlisted(logger)
			continue
		}
		n.met[e] = struct{}{}
		if e.zone != nil && pl.clockPerLogger() {
			if zoned != nil && zoned.zone.String() != e.zone.String() {
				g.fault, g.column, g.left = fmt.Sprintf("the loggers table has the clock of logger %q in %s and that of %q in %s, and a row of this file has one time for both", zoned.name, zoned.zone, e.name, e.zone), pl.column(k), true
				return
			}
			zoned = e
		}
		list := e.tenures(logger, channel)
		for i := range list {
			t := &list[i]
			a.scaled = a.scaled || t.linear.multiply != 1 || t.linear.add != 0
			if t.every != 0 && !slices.Contains(n.every[string(t.logger)], t.every) {
				n.every[string(t.logger)] = append(n.every[string(t.logger)], t.every)
			}
		}
		if fault := n.claim(logger, channel, list); fault != "" {
			g.fault, g.column, g.left = fault, pl.column(k), true
			return
		}
		a.values[k] = list
	}
	if zoned != nil && (pl.clock.zone == nil || pl.clock.zone.String() != zoned.zone.String()) {
		a.clock, g.left = pl.profile.stamp.clock(zoned.zone), true
	}
	g.table = a
}

// unlisted notes a logger that the table does not have.
func (l *listing) unlisted(name []byte) {
	if _, ok := l.seen[string(name)]; ok {
		return
	}
	if l.seen == nil {
		l.seen = make(map[string]struct{})
	}
	l.seen[string(name)] = struct{}{}
	l.strange = append(l.strange, string(name))
}

// tenures returns what becomes of a channel of the logger, in order of time.
// None means that no row is about the channel.
func (e *listed) tenures(logger, channel []byte) []tenure {
	var own, all []*loggerRow
	var cuts []int64
	for _, r := range e.rows {
		switch r.fileChannel {
		case "":
			all = append(all, r)
		case string(channel):
			own = append(own, r)
		default:
			continue
		}
		cuts = append(cuts, r.from, r.until)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var list []tenure
	for i := 0; i+1 < len(cuts); i++ {
		mine, general := at(own, cuts[i]), at(all, cuts[i])
		if mine == nil {
			mine = general
		}
		if mine == nil || mine.logger == "" && general == nil && len(all) > 0 {
			continue // the logger has rows, and none for this time
		}
		t := tenure{
			from: cuts[i], until: cuts[i+1], linear: linear{multiply: mine.multiply, add: mine.add}, every: mine.every.Microseconds(),
			logger: given(mine.logger, logger), channel: given(mine.channel, channel), unit: []byte(mine.unit),
		}
		if general != nil && mine.logger == "" {
			t.logger = given(general.logger, logger)
		}
		if general != nil && mine.every == 0 {
			t.every = general.every.Microseconds()
		}
		if last := len(list) - 1; last >= 0 && list[last].until == t.from && list[last].same(&t) {
			list[last].until = t.until
			continue
		}
		list = append(list, t)
	}
	return list
}

// at returns the row that counts at that time. They overlap nowhere.
func at(rows []*loggerRow, us int64) *loggerRow {
	for _, r := range rows {
		if r.from <= us && us < r.until {
			return r
		}
	}
	return nil
}

func given(name string, asInFile []byte) []byte {
	if name == "" {
		return asInFile
	}
	return []byte(name)
}

func (t *tenure) same(o *tenure) bool {
	return bytes.Equal(t.logger, o.logger) && bytes.Equal(t.channel, o.channel) && bytes.Equal(t.unit, o.unit) &&
		t.linear == o.linear && t.every == o.every
}

// claim notes which series a channel's readings go to, and says when another
// channel of the logger has one of them at the same time: the two would be
// mixed, and no reading told which it is of.
func (n *dictionary) claim(logger, channel []byte, list []tenure) (fault string) {
	if len(list) == 0 {
		list = []tenure{{from: ever, until: forever, logger: logger, channel: channel}}
	}
	for i := range list {
		t := &list[i]
		key := strings.Join([]string{string(logger), string(t.logger), string(t.channel)}, "\x00")
		for _, c := range n.claims[key] {
			if c.channel != string(channel) && c.from < t.until && t.from < c.until {
				return fmt.Sprintf("the loggers table makes the channels %q and %q of logger %q both channel %q of %q; give each a name of its own", c.channel, channel, logger, t.channel, t.logger)
			}
		}
		if c := (claim{t.from, t.until, string(channel)}); !slices.Contains(n.claims[key], c) {
			n.claims[key] = append(n.claims[key], c)
		}
	}
	return ""
}

// column returns the field, counted from 1, that tells the channel of a value.
func (pl *plan) column(k int) int {
	if pl.profile.wide || len(pl.channel.from) == 0 {
		return pl.values[k].field + 1
	}
	return pl.keys[pl.channel.from[0]] + 1
}

// clockPerLogger reports whether the rows of a file can be of several clocks:
// of loggers that a column or the header names, with timestamps that do not tell
// their offset.
func (pl *plan) clockPerLogger() bool {
	named := len(pl.logger.from) > 0 || slices.ContainsFunc(pl.values, func(v value) bool { return v.logger != nil })
	return named && !pl.told && slices.ContainsFunc(pl.profile.stamp.layouts, func(l *layout) bool { return !l.zoned })
}

// turn makes the series of g those of that time. It reports false, with nothing
// done, when the table has some value of g at other times only.
func (g *naming) turn(us int64) bool {
	a := g.table
	if a.from <= us && us < a.until {
		return true
	}
	for k := range a.values {
		if len(a.values[k]) > 0 && a.at(k, us) == nil {
			return false
		}
	}
	a.from, a.until, g.complete = ever, forever, false
	for k := range a.values {
		t := a.at(k, us)
		if t != nil {
			a.from, a.until = max(a.from, t.from), min(a.until, t.until)
		}
		a.now[k], g.series[k] = t, -1
	}
	return true
}

// at returns the tenure of the value of index k at that time, nil for none.
func (a *assignment) at(k int, us int64) *tenure {
	for i := range a.values[k] {
		if t := &a.values[k][i]; t.from <= us && us < t.until {
			return t
		}
	}
	return nil
}

// read returns what the loggers table makes of a reading of the value of index
// k, as it stands in the file: its series and its value there, or why it is
// neither.
func (g *naming) read(k int, us int64, x float64, pl *plan, b *ingest.Batch) (series int32, value float64, fault string) {
	if g.table == nil || len(g.table.values[k]) == 0 {
		return g.of(k, pl, b), x, ""
	}
	t := g.table.at(k, us)
	logger, channel, unit, label := g.nameOf(k, pl)
	if t == nil {
		var said []string
		for _, t := range g.table.values[k] {
			said = append(said, validity(t.from, t.until))
		}
		return 0, 0, fmt.Sprintf("the loggers table has channel %q of logger %q only %s, not at %s", channel, logger, strings.Join(said, " and "), instant(us))
	}
	value = t.linear.of(x)
	if math.IsInf(value, 0) {
		return 0, 0, fmt.Sprintf("too large a number once converted as the loggers table says (multiply %v, add %v)", t.linear.multiply, t.linear.add)
	}
	if len(t.unit) > 0 {
		unit = t.unit
	}
	return b.SeriesOf(t.logger, t.channel, unit, label), value, ""
}

// convert converts the readings of a row, given by the indices of their values,
// as of the time that turn was called for. It reports false when one becomes no
// finite number.
func (a *assignment) convert(index []int32, values []float64) bool {
	if !a.scaled {
		return true
	}
	for i, k := range index {
		if t := a.now[k]; t != nil {
			values[i] = t.linear.of(values[i])
			if math.IsInf(values[i], 0) {
				return false
			}
		}
	}
	return true
}

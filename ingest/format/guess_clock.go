package format

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// clockZones stand for the rules by which clocks are moved: one of each rule and
// offset that loggers are met with.
var clockZones = []string{"America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Anchorage", "America/Halifax",
	"Europe/London", "Europe/Berlin", "Europe/Athens", "Australia/Sydney", "Pacific/Auckland"}

// seriesWalls are the wall times of the first series of the first sample, in the
// order of its lines, and the lines: of the first rows, and of those between them
// and the last, which are read for their times alone.
func (g *guesser) seriesWalls() (walls []int64, lines []int64) {
	keys := append(append([]int{}, g.shape.logger...), g.shape.channel...)
	sh := g.sheets[0]
	of := func(cells []string) bool {
		return !slices.ContainsFunc(keys, func(c int) bool {
			return c >= len(cells) || c >= len(g.rows[0].cells) || cells[c] != g.rows[0].cells[c]
		})
	}
	for i := range min(len(g.rows), sh.gap) {
		if g.when.walls[i] != noWall && of(g.rows[i].cells) {
			walls, lines = append(walls, g.when.walls[i]), append(lines, g.rows[i].line)
		}
	}
	if sh.gap >= len(sh.rows) || g.when.interval != "" || g.when.pace != nil || g.when.named != "" {
		return walls, lines
	}
	layouts := g.compiledLayouts()
	c := cutter{delimiter: sh.delimiter, fixed: sh.fixed, quote: sh.quote}
	for line := sh.rows[sh.gap-1].line + 1; line < sh.rows[sh.gap].line; line++ {
		if cells := c.cut(sh.line(int(line - 1))); of(cells) {
			if wall := g.wallOf(cells, layouts); wall != noWall {
				walls, lines = append(walls, wall), append(lines, line)
			}
		}
	}
	return walls, lines
}

func (g *guesser) compiledLayouts() (layouts []*layout) {
	for _, text := range g.when.layouts {
		if l, err := compileIn(text, guessWords, false); err == nil {
			layouts = append(layouts, l)
		}
	}
	return layouts
}

// wallOf reads the time of a row that is none of the guesser's rows.
func (g *guesser) wallOf(cells []string, layouts []*layout) int64 {
	var room [64]byte
	text := room[:0]
	for i, c := range g.when.columns {
		if c >= len(cells) {
			return noWall
		}
		if i > 0 {
			text = append(text, ' ')
		}
		text = append(text, cells[c]...)
	}
	for _, l := range layouts {
		if w, ok := l.read(text); ok {
			return w.seconds - w.offset
		}
	}
	return noWall
}

// checkClock holds the rows against the zone that was found: an offset that is
// fixed, while the rows follow clocks that are moved, is a lie, and so is a zone
// whose clocks are moved, while the rows are not.
func (g *guesser) checkClock(told string) {
	if g.when.zoned || g.zone.column >= 0 {
		return
	}
	name := told
	if name == "" {
		name = g.o.Zone
	}
	zone, err := ParseZone(strings.ReplaceAll(name, " ", ""))
	if err != nil {
		return
	}
	walls, lines := g.seriesWalls()
	if len(walls) < 2 {
		return
	}
	offset, fixed := fixedOffset(zone)
	if !fixed {
		signs := clockEvidence(walls, zone)
		if g.standsInGap(signs, name, lines); signs != (clockSigns{-1, -1, -1, -1}) {
			return
		}
	}
	for _, other := range clockZones {
		moved, err := time.LoadLocation(other)
		if err != nil {
			continue
		}
		winter, summer := offsetAt(time.Date(2024, 1, 1, 0, 0, 0, 0, moved)), offsetAt(time.Date(2024, 7, 1, 0, 0, 0, 0, moved))
		signs := clockEvidence(walls, moved)
		if !signs.daylight() {
			continue
		}
		// An hour that is missing may be a gap; where not even the offset fits, it
		// takes more than one row to be a sign.
		if step := usualStep(walls); (!fixed || offset != winter && offset != summer) && signs.repeats < 0 && (!fixed || step <= 0 || step > 1800) {
			continue
		}
		at := max(signs.skips, signs.repeats)
		f := Finding{What: "clock", Value: name, Sure: Open, Line: lines[at],
			Evidence: fmt.Sprintf("the zone is said to be %s, and yet the rows follow clocks that are moved, as those of %s are", name, other)}
		g.find(f)
		q := question{key: "zone", text: fmt.Sprintf("The zone is said to be %s, but at line %d the rows change with daylight saving time, as in %s: which zone is it?", name, f.Line, other)}
		q.add("zone="+other, "the clock was moved as there")
		q.add("zone="+zone.String(), "it was not, and the hour is a gap or was recorded twice")
		g.ask(q)
		return
	}
}

// standsInGap asks about rows at times that the zone's clocks never showed.
func (g *guesser) standsInGap(signs clockSigns, name string, lines []int64) {
	if !signs.standard() {
		return
	}
	at := max(signs.stands, signs.single)
	f := Finding{What: "clock", Value: name, Sure: Open, Line: lines[at],
		Evidence: fmt.Sprintf("the rows go on through the hour at which the clocks of %s are moved, as a clock does that keeps standard time all year", name)}
	g.find(f)
	q := question{key: "clock", text: fmt.Sprintf("At line %d the rows go on through the hour at which the clocks of %s are moved: does the logger keep standard time all year?", f.Line, name)}
	q.add("clock=standard", "standard time all year")
	q.add("clock=daylight", "daylight saving time; what stands in the skipped hour is rejected")
	g.ask(q)
}

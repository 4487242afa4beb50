package format

import (
	"fmt"
	"strings"
	"time"
)

// clockZones stand for the rules by which clocks are moved: one of each rule and
// offset that loggers are met with.
var clockZones = []string{"America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Anchorage", "America/Halifax",
	"Europe/London", "Europe/Berlin", "Europe/Athens", "Australia/Sydney", "Pacific/Auckland"}

// seriesWalls are the wall times of the first series of the first sample, as far
// as its rows follow on one another.
func (g *guesser) seriesWalls() (walls []int64, rows []int) {
	keys := append(append([]int{}, g.shape.logger...), g.shape.channel...)
	for i := range g.rows {
		if g.rows[i].sample != 0 || i >= g.sheets[0].gap {
			break
		}
		same := g.when.walls[i] != noWall
		for _, c := range keys {
			same = same && c < len(g.rows[i].cells) && c < len(g.rows[0].cells) && g.rows[i].cells[c] == g.rows[0].cells[c]
		}
		if same {
			walls, rows = append(walls, g.when.walls[i]), append(rows, i)
		}
	}
	return walls, rows
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
	zone, err := parseZone(strings.ReplaceAll(name, " ", ""))
	if err != nil {
		return
	}
	walls, rows := g.seriesWalls()
	if len(walls) < 2 {
		return
	}
	offset, fixed := fixedOffset(zone)
	if !fixed {
		g.standsInGap(clockEvidence(walls, zone), name, rows)
		return
	}
	for _, other := range clockZones {
		moved, err := time.LoadLocation(other)
		if err != nil {
			continue
		}
		winter, summer := offsetAt(time.Date(2024, 1, 1, 0, 0, 0, 0, moved)), offsetAt(time.Date(2024, 7, 1, 0, 0, 0, 0, moved))
		if offset != winter && offset != summer {
			continue
		}
		signs := clockEvidence(walls, moved)
		if !signs.daylight() {
			continue
		}
		at := max(signs.skips, signs.repeats)
		f := Finding{What: "clock", Value: name, Sure: Open, Line: g.rows[rows[at]].line,
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
func (g *guesser) standsInGap(signs clockSigns, name string, rows []int) {
	if !signs.standard() {
		return
	}
	at := max(signs.stands, signs.single)
	f := Finding{What: "clock", Value: name, Sure: Open, Line: g.rows[rows[at]].line,
		Evidence: fmt.Sprintf("the rows go on through the hour at which the clocks of %s are moved, as a clock does that keeps standard time all year", name)}
	g.find(f)
	q := question{key: "clock", text: fmt.Sprintf("At line %d the rows go on through the hour at which the clocks of %s are moved: does the logger keep standard time all year?", f.Line, name)}
	q.add("clock=standard", "standard time all year")
	q.add("clock=daylight", "daylight saving time; what stands in the skipped hour is rejected")
	g.ask(q)
}

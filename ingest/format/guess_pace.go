package format

import (
	"strconv"
	"strings"
)

// paced takes the times of rows that do not tell them, of a start and an
// interval that the preamble tells.
func (g *guesser) paced() bool {
	sh := g.sheets[0]
	o := sh.intervalOnly
	if o == nil || len(sh.when) > 0 {
		return false
	}
	s := stampsOf([]string{o.time})
	if s == nil || !s.hasDate() {
		return false
	}
	every := 0.0
	if parts := strings.Split(o.span, ":"); len(parts) == 3 {
		for _, part := range parts {
			n, err := strconv.ParseFloat(part, 64)
			if err != nil {
				return false
			}
			every = every*60 + n
		}
	} else {
		n, err := strconv.ParseFloat(strings.Replace(o.span, ",", ".", 1), 64)
		unit, ok := paceUnits[strings.ToLower(o.unit)]
		if err != nil || !ok || n <= 0 {
			return false
		}
		every = n * unit.Seconds()
	}
	r := &s.readings[0]
	f := Finding{What: "order of the date", Value: string(r.order), Sure: Certain, Evidence: o.time + " is no date in another order", Line: o.line}
	if len(s.readings) > 1 {
		f.Sure, f.Evidence = Open, "one date alone does not tell"
		q := question{key: "order", text: "What is the order of day, month and year in " + o.time + "?"}
		for _, other := range s.readings {
			q.add("order="+string(other.order), o.time+" is "+spell(other.walls[0]))
		}
		g.ask(q)
	}
	g.when = &guessWhen{pace: o, layouts: r.layouts, order: r.order, worded: s.worded(), zoned: s.zoned(), walls: make([]int64, len(g.rows))}
	for i, row := range g.rows {
		g.when.walls[i] = r.walls[0] + int64(every*float64(row.line-g.rows[0].line))
	}
	g.find(f)
	return true
}

// writePace writes a timestamp that the preamble tells.
func (g *guesser) writePace(w *profileWriter) {
	o := g.when.pace
	w.line("  start: {preamble: "+scalar(o.start)+", layout: "+scalar(g.when.layouts[0])+"}", "when the first row was recorded")
	w.line("  every: {preamble: "+scalar(o.every)+"}", "how far apart the rows are")
}

package format

import (
	"fmt"
	"slices"
	"strings"
)

// startAndEnd finds two columns of which one is the end of the interval that
// the other begins.
func (g *guesser) startAndEnd(found []int) (start, end int, ok bool) {
	for _, a := range found {
		for _, b := range found {
			if a == b || nameUTC().MatchString(g.columns[a].name) != nameUTC().MatchString(g.columns[b].name) || nameLocal().MatchString(g.columns[a].name) != nameLocal().MatchString(g.columns[b].name) {
				continue
			}
			named := nameStart().MatchString(g.columns[a].name) && nameEnd().MatchString(g.columns[b].name)
			wa, wb := g.columns[a].stamps.readings[0].walls, g.columns[b].stamps.readings[0].walls
			same, next, n := 0, 0, 0
			for i := range wa {
				if wa[i] == noWall || wb[i] == noWall {
					continue
				}
				n++
				if d := wb[i] - wa[i]; d > 0 && d == wb[0]-wa[0] {
					same++
				}
				if i+1 < len(wa) && wa[i+1] == wb[i] {
					next++
				}
			}
			if n > 0 && (same*10 >= n*9 && (named || next*10 >= n*8) || named && next*10 >= n*8) {
				return a, b, true
			}
		}
	}
	return 0, 0, false
}

// timeAlone are names of a column that holds the time of the readings, whatever
// the other end of their interval is called.
var timeAlone = lazily(`(?i)^(time[ _]?stamp|date[ _/]?time|time|zeit(stempel)?|horodat(e|age)|fecha[ _]y[ _]hora|tijdstip|datum[ _]?(und[ _]?)?(uhr)?zeit)([ _(\[].*)?$`)

// takeOneEnd makes one of the columns of an interval the timestamp: the one that
// is called the time and nothing else; where neither is, it is asked.
func (g *guesser) takeOneEnd(start, end int) {
	named := slices.DeleteFunc([]int{start, end}, func(c int) bool { return !timeAlone().MatchString(g.columns[c].name) })
	if len(named) == 1 {
		c, other := named[0], start+end-named[0]
		g.takeStamp(c, fmt.Sprintf("with %q it tells an interval, and it is the one that is called the time", g.columns[other].name), Certain)
		g.ignore(other, "the other end of the row's interval")
		return
	}
	if alike := slices.Equal(g.columns[start].stamps.readings[0].layouts, g.columns[end].stamps.readings[0].layouts); !alike || end == 0 {
		g.askColumn(start, end)
		g.takeStamp(start, fmt.Sprintf("with %q it tells an interval", g.columns[end].name), Open)
		g.ignore(end, "the end of the row's interval")
		return
	}
	g.takeStamp(start, fmt.Sprintf("with %q it tells the interval of each row", g.columns[end].name), Certain)
	g.when.until = end
	g.columns[end].role, g.columns[end].why = isStamp, "the end of the row's interval"
	row := g.columns[start].firstRow
	g.askTake(g.rows[row].cells[start], g.rows[row].cells[end])
}

// askTake asks which end of its interval a reading stands at. until is empty when
// from holds both.
func (g *guesser) askTake(from, until string) {
	row := from
	if until != "" {
		row += " to " + until
	}
	g.find(Finding{What: "instant", Value: "start or end", Sure: Open, Line: g.rows[0].line, Evidence: "nothing tells at which end of its interval a reading stands"})
	q := question{key: "take", text: fmt.Sprintf("A row is of the interval %s: does its reading stand at the start of it or at its end?", row)}
	q.add("take=start", "at the start of the interval")
	q.add("take=end", "at the end of it")
	g.ask(q)
}

// intervalCells takes a column whose cells hold two instants.
func (g *guesser) intervalCells() bool {
	for c := range g.columns {
		col := &g.columns[c]
		if col.stamps != nil || !g.full(c) || col.texts == 0 {
			continue
		}
		cell := g.rows[col.firstRow].cells[c]
		for _, sep := range []string{" - ", " – ", "/", " to ", " bis ", " -> ", ".."} {
			a, b, ok := strings.Cut(cell, sep)
			if !ok {
				continue
			}
			fa, ok1 := stampFormOf(a)
			_, ok2 := stampFormOf(b)
			if !ok1 || !ok2 || fa.date == dateNone {
				continue
			}
			starts := g.cellsOf(c)
			for i, s := range starts {
				starts[i], _, _ = strings.Cut(s, sep)
			}
			s := stampsOf(starts)
			if s == nil {
				continue
			}
			g.when = &guessWhen{columns: []int{c}, interval: sep}
			g.find(Finding{What: "timestamp", Value: g.columnName(c), Sure: Certain, Evidence: "two instants in each cell", Line: g.rows[0].line})
			g.askTake(cell, "")
			for i := range s.readings {
				s.readings[i].column = c
			}
			g.takeForms(s, func(row int) string { return starts[row] })
			return true
		}
	}
	return false
}

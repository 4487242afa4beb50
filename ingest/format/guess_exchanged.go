package format

import "fmt"

// exchanged asks about dates of which some have the day before the month and
// others behind it, as spreadsheets make of them: those that can be read in the
// other order leap, and would not if they were.
func (g *guesser) exchanged() {
	w := g.when
	if w.order != orderDMY && w.order != orderMDY || len(w.other) > 0 {
		return
	}
	other := make([]int64, 0, len(w.walls))
	var asItIs []int64
	at := -1
	for i, wall := range w.walls {
		if wall == noWall {
			continue
		}
		asItIs = append(asItIs, wall)
		if y, m, d := civil(wall); d <= 12 && m != d {
			if at < 0 {
				at = i
			}
			wall = daysSinceEpoch(y, d, m)*86400 + mod(wall, 86400)
		}
		other = append(other, wall)
	}
	if at < 0 || leapsOf(asItIs) < 2 || leapsOf(other) > 0 {
		return
	}
	line := g.rows[at].line
	g.find(Finding{What: "order of the date", Value: string(w.order), Sure: Open, Sample: g.rows[at].sample, Line: line, Evidence: "some dates have day and month exchanged: read so, the rows go on without a leap"})
	g.ask(question{text: fmt.Sprintf("Day and month seem to be exchanged in some dates, as in line %d, and not in others: where does the file come from? Export it anew with dates of one form", line)})
}

// leapsOf counts steps of more than four weeks, to either side.
func leapsOf(walls []int64) (n int) {
	const month = 28 * 86400
	for i := 1; i < len(walls); i++ {
		if d := walls[i] - walls[i-1]; d > month || d < -month {
			n++
		}
	}
	return n
}

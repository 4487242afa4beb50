package format

import (
	"slices"
	"strings"
)

// halfOfDay finds a column of AM and PM, for clocks that tell twelve hours; -1
// when there is none. layout is how they are written.
func (g *guesser) halfOfDay() (c int, layout string) {
	for c := range g.columns {
		col := &g.columns[c]
		if col.filled == 0 || !g.full(c) || len(col.distinct) > 2 {
			continue
		}
		for layout, halves := range map[string][]string{"PM": {"AM", "PM"}, "pm": {"am", "pm"}} {
			odd := false
			for s := range col.distinct {
				odd = odd || !slices.Contains(halves, s)
			}
			if !odd {
				return c, layout
			}
		}
	}
	return -1, ""
}

// byHalves joins a column of AM and PM to a timestamp that tells twelve hours.
func (g *guesser) byHalves() {
	c, half := g.halfOfDay()
	w := g.when
	if c < 0 || slices.Contains(w.columns, c) || w.interval != "" {
		return
	}
	for _, l := range w.layouts {
		if !strings.Contains(l, "15:04") {
			return
		}
	}
	twelve := func(layouts []string) (list []string) {
		for _, l := range layouts {
			list = append(list, strings.Replace(l, "15:04", "3:04", 1)+" "+half)
		}
		return list
	}
	shift := func(walls []int64) []int64 {
		walls = slices.Clone(walls)
		for i := range walls {
			if walls[i] == noWall || c >= len(g.rows[i].cells) {
				continue
			}
			noon := mod(walls[i], 86400)/3600 == 12
			switch pm := strings.EqualFold(g.rows[i].cells[c], "pm"); {
			case pm && !noon:
				walls[i] += 12 * 3600
			case !pm && noon:
				walls[i] -= 12 * 3600
			}
		}
		return walls
	}
	w.columns, w.layouts, w.walls = append(slices.Clone(w.columns), c), twelve(w.layouts), shift(w.walls)
	for i := range w.other {
		w.other[i].layouts, w.other[i].walls = twelve(w.other[i].layouts), shift(w.other[i].walls)
	}
	g.find(Finding{What: "timestamp", Value: g.columnName(c), Sure: Certain, Evidence: "AM or PM in every row", Line: g.rows[0].line})
}

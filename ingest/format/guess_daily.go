package format

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// dayInName is a date in a file's name.
var dayInName = lazily(`(?:^|\D)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])([-_.]?)([0-2]\d|3[01])(?:\D|$)`)

// clockAlone takes a column of times of day, of a file whose name tells the day.
// The times have to grow: a file of several days is told by one date wrongly.
func (g *guesser) clockAlone() bool {
	base := baseName(g.sheets[0].path)
	m := dayInName().FindStringSubmatch(base)
	if m == nil || m[2] != m[4] || len(g.sheets) > 1 {
		return false
	}
	layout := "2006" + m[2] + "01" + m[2] + "02"
	day, err := time.Parse(layout, m[1]+m[2]+m[3]+m[2]+m[5])
	if err != nil {
		return false
	}
	for c := range g.columns {
		s := g.columns[c].stamps
		if s == nil || s.hasDate() || !s.hasTime() || !g.full(c) {
			continue
		}
		r := &s.readings[0]
		w := &guessWhen{columns: []int{c}, layouts: r.layouts, worded: s.worded(), zoned: s.zoned(), utc: s.saysUTC(), order: orderYMD, walls: make([]int64, len(r.walls))}
		last := int64(-1)
		for i, wall := range r.walls {
			if w.walls[i] = noWall; wall == noWall {
				continue
			}
			tod := mod(wall, 86400)
			if tod < last {
				return false
			}
			last = tod
			w.walls[i] = day.Unix() + tod
		}
		w.named, w.namedLayout = `(?:^|\D)(?P<date>(?:19|20)\d\d`+regexp.QuoteMeta(m[2])+`(?:0[1-9]|1[0-2])`+regexp.QuoteMeta(m[2])+`[0-3]\d)(?:\D|$)`, layout
		g.when = w
		g.find(Finding{What: "timestamp", Value: g.columnName(c), Sure: Certain, Line: g.rows[0].line,
			Evidence: fmt.Sprintf("a time of day in every row; the day is in the file's name, %s", strings.TrimSpace(base))})
		return true
	}
	return false
}

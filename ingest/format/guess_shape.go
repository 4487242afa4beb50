package format

import (
	"fmt"
	"slices"
	"strings"
)

// A guessShape is how the table's columns make series.
type guessShape struct {
	long    bool
	value   int   // of the long shape
	channel []int // columns that name a row's channel, of the long shape
	logger  []int // columns that name a row's logger
	unit    int   // column, or -1
	quality int   // column, or -1; of the long shape
}

// findShape decides between the long and the wide shape. It reports false when
// no column holds readings.
func (g *guesser) findShape() bool {
	s := &g.shape
	s.unit, s.quality, s.value = -1, -1, -1
	values, channels, loggers := g.columnsOf(isValue), g.columnsOf(isChannel), g.columnsOf(isLogger)
	filled := slices.DeleteFunc(slices.Clone(values), func(c int) bool { return g.columns[c].filled == 0 })
	if len(values) == 0 {
		return false
	}
	if units := g.columnsOf(isUnit); len(units) > 0 {
		s.unit = units[0]
	}
	if len(filled) > 1 {
		filled = g.valueOfLong(filled, channels)
	}
	if len(filled) == 1 {
		g.findLong(filled[0], channels)
	}
	keys := loggers
	if !s.long {
		for _, c := range channels {
			if len(g.columns[c].distinct) > 1 {
				keys = append(keys, c)
			}
		}
	}
	g.findKeys(keys)
	if s.long {
		g.find(Finding{What: "shape", Value: "long", Sure: Certain, Line: g.rows[0].line,
			Evidence: fmt.Sprintf("%s names what each row's one number is", g.columnNames(s.channel))})
		if s.unit >= 0 {
			g.askTwoUnits(s.unit, s.value, slices.Concat(s.logger, s.channel))
		}
		return true
	}
	g.find(Finding{What: "shape", Value: "wide", Sure: Certain, Line: g.rows[0].line,
		Evidence: fmt.Sprintf("%s and no column that says what a row is of", several(len(values), "column of numbers", "columns of numbers"))})
	for c := range g.columns {
		if col := &g.columns[c]; col.role == isChannel && !slices.Contains(s.logger, c) {
			g.ignore(c, "texts, and no numbers")
		}
	}
	return true
}

func several(n int, one, many string) string {
	if n == 1 {
		return "one " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// findLong sees whether the only column of numbers holds the values of several
// channels, which another column names.
func (g *guesser) findLong(value int, channels []int) {
	s := &g.shape
	generic := nameValue().MatchString(g.columns[value].name) || s.unit >= 0
	if len(channels) == 0 || !generic {
		several := slices.DeleteFunc(slices.Clone(channels), func(c int) bool { return len(g.columns[c].distinct) < 2 })
		if !generic && len(several) == 0 {
			return
		}
		if !generic && !channelRather(g.columns[several[0]].name) {
			return
		}
		if len(channels) == 0 {
			// A text without a telling name that comes again and again beside a value.
			for c := range g.columns {
				if col := &g.columns[c]; col.role == isUnknown && g.full(c) && g.few(c) && len(col.distinct) > 1 {
					channels = append(channels, c)
					break
				}
			}
			if len(channels) == 0 {
				return
			}
		}
	}
	best := channels[0]
	for _, c := range channels {
		a, b := &g.columns[c], &g.columns[best]
		if len(a.distinct) > len(b.distinct) || len(a.distinct) == len(b.distinct) && channelRather(a.name) && !channelRather(b.name) {
			best = c
		}
	}
	s.long, s.value, s.channel = true, value, []int{best}
	g.columns[best].role = isChannel
	for c := range g.columns {
		col := &g.columns[c]
		switch {
		case col.role == isQuality && s.quality < 0 && col.filled > 0:
			s.quality = c
		case col.role == isChannel && c != best:
			g.ignore(c, "texts beside those that name the channel")
		}
	}
}

// valueOfLong takes the column that is called the value out of several columns of
// numbers, where others name the channel and the rest hold flags, numbers of the
// channels, or times.
func (g *guesser) valueOfLong(filled, channels []int) []int {
	if len(channels) == 0 {
		for c := range g.columns {
			if col := &g.columns[c]; col.role == isUnknown && g.full(c) && g.few(c) && len(col.distinct) > 1 {
				channels = append(channels, c)
			}
		}
		if len(channels) == 0 {
			return filled
		}
	}
	called := slices.DeleteFunc(slices.Clone(filled), func(c int) bool { return !nameValue().MatchString(g.columns[c].name) })
	if len(called) != 1 {
		return filled
	}
	roles := make(map[int]func())
	for _, c := range filled {
		col := &g.columns[c]
		_, whole := g.integersOf(c)
		switch {
		case c == called[0]:
		case whole && nameQuality().MatchString(col.name) && g.few(c):
			roles[c] = func() { g.quality(c) }
		case whole && len(col.distinct) < maxDistinct && g.followsFrom(c, channels):
			roles[c] = func() { g.ignore(c, "a number of the channel's") }
		case nameTime().MatchString(col.name) && g.elapsed(c):
			roles[c] = func() { g.ignore(c, "another time than the row's own") }
		default:
			return filled
		}
	}
	for _, is := range roles {
		is()
	}
	return called
}

// followsFrom reports whether column c has one and the same cell wherever the
// names of a row are the same: those of the channel, of the logger, and texts that
// come again and again.
func (g *guesser) followsFrom(c int, names []int) bool {
	of := make(map[string]string)
	names = slices.Concat(names, g.columnsOf(isLogger))
	for t := range g.columns {
		if g.columns[t].role == isUnknown && g.full(t) && g.few(t) && !slices.Contains(names, t) {
			names = append(names, t)
		}
	}
	for _, row := range g.rows {
		if c >= len(row.cells) {
			continue
		}
		var key strings.Builder
		for _, n := range names {
			if n < len(row.cells) {
				key.WriteString(row.cells[n])
			}
			key.WriteByte(0)
		}
		if was, ok := of[key.String()]; ok && was != row.cells[c] {
			return false
		}
		of[key.String()] = row.cells[c]
	}
	return len(g.rows) > 2*len(of)
}

// findKeys takes the columns that name the logger: the first, and those that
// tell rows apart that it does not.
func (g *guesser) findKeys(keys []int) {
	s := &g.shape
	if len(keys) > 0 {
		best := keys[0]
		for _, c := range keys {
			if len(g.columns[c].distinct) > len(g.columns[best].distinct) {
				best = c
			}
		}
		s.logger = []int{best}
		g.columns[best].role = isLogger
	}
	for range 3 {
		twice := g.twice()
		if twice*20 <= len(g.rows) {
			break
		}
		better, least := -1, twice
		for c := range g.columns {
			col := &g.columns[c]
			if slices.Contains(s.logger, c) || slices.Contains(s.channel, c) || !g.full(c) || !g.few(c) || len(col.distinct) < 2 {
				continue
			}
			if col.stamps != nil || nameTime().MatchString(col.name) && !nameLogger().MatchString(col.name) || col.role != isUnknown && col.role != isChannel && col.role != isLogger && !(col.role == isIgnored && col.texts > 0) {
				continue
			}
			s.logger = append(s.logger, c)
			if n := g.twice(); n < least {
				better, least = c, n
			}
			s.logger = s.logger[:len(s.logger)-1]
		}
		if better < 0 {
			break
		}
		s.logger = append(s.logger, better)
		g.columns[better].role, g.columns[better].why = isLogger, "it tells apart rows of one time"
	}
	for c := range g.columns {
		col := &g.columns[c]
		switch {
		case col.role == isLogger && !slices.Contains(s.logger, c):
			g.ignore(c, "texts beside those that name the logger")
		case col.role == isUnknown:
			g.ignore(c, "the same few texts again and again, and no numbers")
		}
	}
}

// twice counts the rows that have the keys and the time of an earlier row.
func (g *guesser) twice() (n int) {
	seen := make(map[string]bool, len(g.rows))
	var key strings.Builder
	for i, row := range g.rows {
		if g.when.walls[i] == noWall {
			continue
		}
		key.Reset()
		fmt.Fprint(&key, row.sample, " ", g.when.walls[i])
		// The cells of the time as well: walls are of whole seconds.
		for _, c := range slices.Concat(g.when.columns, g.shape.logger, g.shape.channel) {
			key.WriteByte(0)
			if c < len(row.cells) {
				key.WriteString(row.cells[c])
			}
		}
		if seen[key.String()] {
			n++
		}
		seen[key.String()] = true
	}
	return n
}

package format

import (
	"math"
	"slices"
	"strings"
)

// ignore gives a column that holds no readings its role, and why.
func (g *guesser) ignore(c int, why string) {
	g.columns[c].role, g.columns[c].why = isIgnored, why
}

// findRoles says of each column but those of the timestamp what it is.
func (g *guesser) findRoles() {
	for c := range g.columns {
		col := &g.columns[c]
		switch {
		case col.role != isUnknown:
		case col.stamps != nil && (col.stamps.hasDate() || nameTime().MatchString(col.name)) && g.plausibleDates(c):
			g.ignore(c, "another date or time than the row's own")
		case col.filled == 0:
			// What it is depends on its neighbours.
		case nameZone().MatchString(col.name) && g.zonesIn(c):
			col.role, col.why = isZone, "every cell is a zone"
		case col.numeric():
			g.roleOfNumbers(c)
		default:
			g.roleOfTexts(c)
		}
	}
	g.neverFilled()
	g.repeatedFlags()
}

// repeatedFlags takes columns of one name, each right of a column of readings and
// with a few whole numbers in it, for the flags of those.
func (g *guesser) repeatedFlags() {
	byName := make(map[string][]int)
	for c := range g.columns {
		if g.columns[c].role == isValue {
			byName[g.columns[c].name] = append(byName[g.columns[c].name], c)
		}
	}
	for name, columns := range byName {
		odd := slices.ContainsFunc(columns, func(c int) bool {
			_, whole := g.integersOf(c)
			return !whole || c == 0 || g.columns[c-1].role != isValue || len(byName[g.columns[c-1].name]) > 1 || len(g.columns[c].distinct) > 6 || g.unitOf(c) != ""
		})
		if name == "" || len(columns) < 2 || odd {
			continue
		}
		for _, c := range columns {
			g.columns[c].role, g.columns[c].of, g.columns[c].why = isQuality, c-1, "columns of its name stand right of each column of readings"
		}
	}
}

func (g *guesser) roleOfNumbers(c int) {
	col := &g.columns[c]
	integers, whole := g.integersOf(c)
	switch {
	case whole && (nameIndex().MatchString(col.name) || strings.EqualFold(col.unit, "RN")) && g.counts(integers):
		g.ignore(c, "it numbers the rows")
	case whole && c == 0 && col.unit == "" && g.when != nil && !slices.Contains(g.when.columns, 0) && g.goesUpByOne(integers):
		g.ignore(c, "it numbers the rows")
	case whole && nameIndex().MatchString(col.name) && col.name != "" && len(col.distinct) == 1 && len(g.rows) > 2 && g.unitOf(c) == "":
		g.ignore(c, "a number that is the same in every row")
	case g.elapsed(c):
		g.ignore(c, "it grows with the clock: the time since the start")
	case whole && nameTime().MatchString(col.name) && (g.digits(c, 4) || nameLocal().MatchString(col.name) || nameUTC().MatchString(col.name)):
		g.ignore(c, "another date or time than the row's own")
	case whole && g.repeatsDate(c, integers):
		g.ignore(c, "it repeats a part of the timestamp")
	case namePlace().MatchString(col.name) && g.place(c) && !g.axis(c):
		g.ignore(c, "coordinates")
	case nameSerial().MatchString(col.name) && len(col.distinct) <= 3:
		g.ignore(c, "a serial number or version")
	case nameEvery().MatchString(col.name) && len(col.distinct) == 1:
		g.ignore(c, "how far apart the rows are, the same in every row")
	case whole && nameLogger().MatchString(parted(col.name)) && !unitLike(col.unit) && g.full(c) && g.few(c):
		col.role, col.why = isLogger, "its name says so, and its numbers repeat"
	case whole && nameQuality().MatchString(col.name) && len(col.distinct) <= 24 && flagNamed(col.name):
		g.quality(c)
	case whole && nameCode().MatchString(col.name) && len(col.distinct) <= 3 && g.few(c) && g.unitOf(c) == "":
		g.ignore(c, "a code, and one of few")
	case whole && nameChannel().MatchString(parted(col.name)) && g.unitOf(c) == "" && g.full(c) && g.few(c) && g.tellsApart(c):
		col.role, col.why = isChannel, "its name says so, and its numbers tell rows of one time apart"
	default:
		col.role = isValue
	}
}

func flagNamed(name string) bool {
	name = strings.ToLower(name)
	for _, s := range []string{"flag", "qc", "qf", "qual", "_cd", "qn", "grade", "approval", "güte", "qa"} {
		if strings.Contains(name, s) {
			return true
		}
	}
	return false
}

// goesUpByOne reports whether the integers of a sample's rows are each one more
// than the one before.
func (g *guesser) goesUpByOne(v []int64) bool {
	for i := 1; i < len(v); i++ {
		next := g.rows[i].sample == g.rows[i-1].sample && i != g.sheets[g.rows[i].sample].gap
		if v[i] == noWall || next && v[i] != v[i-1]+1 {
			return false
		}
	}
	return len(v) > 4
}

// tellsApart reports whether many rows have the time of another row, and hardly
// any that and the column's cell.
func (g *guesser) tellsApart(c int) bool {
	before := g.twice()
	if before*5 < len(g.rows) {
		return false
	}
	g.shape.logger = []int{c}
	after := g.twice()
	g.shape.logger = nil
	return after*20 <= len(g.rows)
}

// parted puts blanks between the words of a name such as CodEstacao.
func parted(name string) string { return wordEnd().ReplaceAllString(name, "$1 $2") }

// counts reports whether the integers number the rows: they never repeat, and
// go up by one for the most part.
func (g *guesser) counts(v []int64) bool {
	seen := make(map[[2]int64]bool)
	filled := 0
	for i, n := range v {
		if n == noWall {
			continue
		}
		key := [2]int64{int64(g.rows[i].sample), n}
		if seen[key] {
			return false
		}
		seen[key] = true
		filled++
	}
	return filled > 0
}

// elapsed reports whether the numbers grow as the clock does, in seconds,
// minutes, hours or days.
func (g *guesser) elapsed(c int) bool {
	if g.when == nil || len(g.when.walls) == 0 {
		return false
	}
	v := g.valuesOf(c)
	name := g.columns[c].name
	for _, unit := range []float64{1, 60, 3600, 86400, 0.0864, 0.001, 0.000001} {
		same, n := 0, 0
		last := -1
		zero := true // the count begins with the file, and not somewhere
		for i, w := range g.when.walls {
			if w == noWall || math.IsNaN(v[i]) {
				continue
			}
			if last < 0 {
				zero = v[i] == 0 || math.Abs(v[i]*unit-float64(w)) < 2*86400
			}
			if last >= 0 && g.rows[last].sample == g.rows[i].sample && w != g.when.walls[last] {
				n++
				clock := float64(w - g.when.walls[last])
				if d := (v[i] - v[last]) * unit; math.Abs(d-clock) <= max(1, math.Abs(clock)*0.002) {
					same++
				}
			}
			last = i
		}
		if n == 0 {
			return nameElapsed().MatchString(name)
		}
		if same*20 >= n*19 && (n >= 10 && zero || nameElapsed().MatchString(name) || nameTime().MatchString(name)) {
			return true
		}
	}
	return false
}

// repeatsDate reports whether a column named so is the year, month, day or hour
// of the timestamp.
func (g *guesser) repeatsDate(c int, v []int64) bool {
	name := g.columns[c].name
	if g.when == nil {
		return false
	}
	for _, part := range []struct {
		named bool
		of    func(wall int64) int64
	}{
		{nameYear().MatchString(name), func(w int64) int64 { y, _, _ := civil(w); return int64(y) }},
		{nameMonth().MatchString(name), func(w int64) int64 { _, m, _ := civil(w); return int64(m) }},
		{nameDay().MatchString(name), func(w int64) int64 { _, _, d := civil(w); return int64(d) }},
		{nameHour().MatchString(name), func(w int64) int64 { return mod(w, 86400) / 3600 }},
		{nameMinute().MatchString(name), func(w int64) int64 { return mod(w, 3600) / 60 }},
		{nameDoy().MatchString(name), func(w int64) int64 { y, _, _ := civil(w); return (w-daysSinceEpoch(y, 1, 1)*86400)/86400 + 1 }},
	} {
		if !part.named {
			continue
		}
		same := true
		for i, w := range g.when.walls {
			same = same && (w == noWall || v[i] == noWall || part.of(w) == v[i])
		}
		if same {
			return true
		}
	}
	return false
}

// place reports whether the numbers can be coordinates: a place does not change
// by the row, and a ship's lies on the globe.
func (g *guesser) place(c int) bool {
	if len(g.columns[c].distinct) <= 2 {
		return true
	}
	name := strings.ToLower(g.columns[c].name)
	return (strings.HasPrefix(name, "lat") || strings.HasPrefix(name, "lon") || strings.HasPrefix(name, "lng") || strings.Contains(name, "coord")) && g.within(c, -360, 360)
}

// axis reports whether a column called x or y is one of a measure, as the other
// of the two changes.
func (g *guesser) axis(c int) bool {
	name := strings.ToLower(g.columns[c].name)
	if name != "x" && name != "y" {
		return false
	}
	return slices.ContainsFunc(g.columns, func(o guessColumn) bool {
		other := strings.ToLower(o.name)
		return other != name && (other == "x" || other == "y") && len(o.distinct) > 2
	})
}

// few reports whether the column's cells are few that come again and again.
func (g *guesser) few(c int) bool {
	n := len(g.columns[c].distinct)
	return n == 1 || n < maxDistinct && n*2 <= g.columns[c].filled
}

func (g *guesser) roleOfTexts(c int) {
	col := &g.columns[c]
	switch {
	case g.weekdays(c):
		g.ignore(c, "the day of the week")
	case nameUnit().MatchString(col.name) && g.unitsIn(c):
		col.role, col.why = isUnit, "its cells are units"
	case nameQuality().MatchString(col.name):
		g.quality(c)
	case col.begun*3 >= col.filled && col.begun > 1 && len(col.distinct) > 2 && !nameLogger().MatchString(col.name) && !nameSerial().MatchString(col.name):
		col.role = isValue // numbers with much beside them: what cannot be read of it is asked about
	case !g.full(c):
		g.ignore(c, "texts now and then, and no numbers")
	case nameSerial().MatchString(col.name) && !nameLogger().MatchString(col.name):
		g.ignore(c, "a serial number or version")
	case !g.few(c):
		g.ignore(c, "texts, and no numbers")
	case nameLogger().MatchString(col.name) && !channelRather(col.name):
		col.role, col.why = isLogger, "its name says so, and its texts repeat"
	case nameChannel().MatchString(col.name):
		col.role, col.why = isChannel, "its name says so, and its texts repeat"
	case len(col.distinct) > 1 && g.unitsIn(c):
		col.role, col.why = isUnit, "its cells are units"
	}
}

// weekdays reports whether the column's text goes by the day of the week alone,
// and is another one each day.
func (g *guesser) weekdays(c int) bool {
	if n := len(g.columns[c].distinct); n < 2 || n > 7 || g.when == nil {
		return false
	}
	of, day := make(map[int64]string), make(map[string]int64)
	for i, w := range g.when.walls {
		if w == noWall || c >= len(g.rows[i].cells) {
			continue
		}
		text, on := g.rows[i].cells[c], mod((w-mod(w, 86400))/86400, 7)
		if was, ok := of[on]; ok && was != text {
			return false
		}
		if was, ok := day[text]; ok && was != on {
			return false
		}
		of[on], day[text] = text, on
	}
	return len(g.rows) > 3
}

// channelRather reports whether a name that could be of either is that of a
// channel: sensor_type.
func channelRather(name string) bool {
	name = strings.ToLower(name)
	for _, s := range []string{"type", "param", "variable", "channel", "measure", "element"} {
		if strings.Contains(name, s) {
			return true
		}
	}
	return false
}

func (g *guesser) unitsIn(c int) bool {
	for s := range g.columns[c].distinct {
		if !unitLike(s) {
			return false
		}
	}
	return len(g.columns[c].distinct) > 0
}

func (g *guesser) zonesIn(c int) bool {
	for s := range g.columns[c].distinct {
		if _, ok := zoneWord(s); !ok {
			return false
		}
	}
	return len(g.columns[c].distinct) > 0
}

// quality notes a column of flags, and of which column of readings: the one
// before it that its name begins with, else the one right before it.
func (g *guesser) quality(c int) {
	col := &g.columns[c]
	col.role, col.why = isQuality, "its name says so"
	lower := strings.ToLower(col.name)
	for b := c - 1; b >= 0; b-- {
		name := strings.ToLower(g.columns[b].name)
		if name != "" && len(name) > 1 && strings.HasPrefix(lower, name) && g.columns[b].numeric() {
			col.of = b
			return
		}
	}
	if c > 0 && g.columns[c-1].role == isValue && (c > 1 && g.columns[c-2].role != isValue) {
		col.of = c - 1
	}
}

// neverFilled decides on columns without a single cell: they are channels that
// were silent, unless all channels have units and they have none.
func (g *guesser) neverFilled() {
	units, values := 0, 0
	for c := range g.columns {
		if col := &g.columns[c]; col.role == isValue {
			values++
			if g.unitOf(c) != "" {
				units++
			}
		}
	}
	for c := range g.columns {
		col := &g.columns[c]
		if col.role != isUnknown || col.filled > 0 {
			continue
		}
		switch {
		case col.name == "":
			g.ignore(c, "it has neither a name nor a cell")
		case nameQuality().MatchString(col.name):
			g.quality(c)
		case values > 0 && units == values && g.unitOf(c) == "":
			g.ignore(c, "no cell of it is filled, and unlike all channels it has no unit")
		case values == 0 && g.unitOf(c) == "" && slices.ContainsFunc(g.columns, func(o guessColumn) bool { return o.filled == 0 && o.name != "" && g.unitOfName(o.name) != "" }):
			g.ignore(c, "no cell of it is filled, and unlike the channels it has no unit")
		default:
			col.role, col.why = isValue, "no cell of it is filled"
		}
	}
}

// columnsOf are the columns of a role, in their order.
func (g *guesser) columnsOf(role columnRole) (columns []int) {
	for c := range g.columns {
		if g.columns[c].role == role {
			columns = append(columns, c)
		}
	}
	return columns
}

package format

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// civil is the date of a wall clock's seconds.
func civil(wall int64) (year, month, day int) {
	t := time.Unix(wall, 0).UTC()
	return t.Year(), int(t.Month()), t.Day()
}

// steps is how the instants of one order of the date lie, put in order and each
// counted once.
type steps struct {
	count int
	usual int64 // the step that is most frequent
	share float64
	// Where the date changes from one instant to the next: how often, and how
	// often by no more than a few usual steps.
	dates, contiguous int
	monthly           bool // every step is a month or a multiple of one
	first, last       int64
}

func stepsOf(walls []int64) (s steps) {
	v := slices.DeleteFunc(slices.Clone(walls), func(w int64) bool { return w == noWall })
	slices.Sort(v)
	v = slices.Compact(v)
	s.count = len(v)
	if len(v) == 0 {
		return s
	}
	s.first, s.last = v[0], v[len(v)-1]
	if len(v) < 2 {
		return s
	}
	counts := make(map[int64]int)
	s.monthly = true
	for i := 1; i < len(v); i++ {
		d := v[i] - v[i-1]
		counts[d]++
		if d < 28*86400 {
			s.monthly = false
		}
	}
	for d, n := range counts {
		if n > counts[s.usual] || n == counts[s.usual] && d < s.usual {
			s.usual = d
		}
	}
	s.share = float64(counts[s.usual]) / float64(len(v)-1)
	for i := 1; i < len(v); i++ {
		if v[i]/86400 == v[i-1]/86400 {
			continue
		}
		s.dates++
		if d := v[i] - v[i-1]; d <= s.usual || d < 86400 && d <= 4*s.usual {
			s.contiguous++
		}
	}
	return s
}

// regular reports whether the instants go on from one date to the next as they
// do within a day.
func (s *steps) regular() bool {
	return s.dates > 0 && s.contiguous*2 >= s.dates && (s.usual < 86400 || s.count >= 4 && s.share >= 0.7)
}

// orderOf chooses among the orders that read all cells. files are the samples'
// paths, told what their preambles say. cell shows a row's cell.
func (g *guesser) orderOf(readings []stampReading, forms []stampForm, cell func(row int) string) (chosen int, f Finding) {
	f = Finding{What: "order of the date", Value: string(readings[0].order), Sure: Certain}
	ambiguous := len(forms[0].orders()) > 1
	switch {
	case !ambiguous:
		f.Evidence = "the year or the month's name tells it"
		return 0, f
	case len(readings) == 1:
		row := g.provingRow(&readings[0], forms)
		f.Evidence = "no other order reads all rows"
		if row >= 0 {
			f.Evidence = fmt.Sprintf("%s is no date in another order", strings.TrimSpace(cell(row)))
			f.Sample, f.Line = g.rows[row].sample, g.rows[row].line
		}
		return 0, f
	}
	lying := make([]steps, len(readings))
	for i := range readings {
		lying[i] = stepsOf(readings[i].walls)
	}
	at := slices.IndexFunc(lying, func(s steps) bool { return s.regular() })
	sole := at >= 0
	for i := range lying {
		sole = sole && (i == at || !lying[i].monthly && lying[i].contiguous*4*max(lying[at].dates, 1) <= lying[at].contiguous*max(lying[i].dates, 1))
	}
	if sole {
		f.Value = string(readings[at].order)
		f.Evidence = fmt.Sprintf("only so the rows go on every %s from one day to the next", everyText(lying[at].usual))
		return at, f
	}
	if at, why := g.orderTold(readings, forms); at >= 0 {
		f.Value, f.Evidence = string(readings[at].order), why
		return at, f
	}
	// The likeliest first: the one that is regular, or that takes the shortest time.
	at = 0
	for i := range lying {
		if lying[i].last-lying[i].first < lying[at].last-lying[at].first {
			at = i
		}
	}
	f.Value, f.Sure = string(readings[at].order), Open
	row := slices.IndexFunc(readings[at].walls, func(w int64) bool { return w != noWall })
	for i, w := range readings[0].walls {
		if slices.ContainsFunc(readings, func(r stampReading) bool { return r.walls[i] != w }) {
			row = i
			break
		}
	}
	example := strings.TrimSpace(cell(row))
	f.Sample, f.Line = g.rows[row].sample, g.rows[row].line
	if slices.ContainsFunc(readings, func(r stampReading) bool { return !slices.Equal(r.walls, readings[0].walls) }) {
		var could []string
		q := question{key: "order", text: fmt.Sprintf("Which comes first in %s, the day or the month?", dateOf(example))}
		if forms[0].date == dateShort && slices.ContainsFunc(readings, func(r stampReading) bool { return r.order == orderYMD }) {
			q.text = fmt.Sprintf("What is the order of day, month and year in %s?", dateOf(example))
		}
		sorted := slices.Clone(readings)
		slices.SortStableFunc(sorted, func(a, b stampReading) int {
			return cmp.Compare(oneIf(b.order == readings[at].order), oneIf(a.order == readings[at].order))
		})
		for _, r := range sorted {
			means := fmt.Sprintf("%s is %s", dateOf(example), spell(r.walls[row]))
			could = append(could, means)
			q.add("order="+string(r.order), means)
		}
		f.Evidence = "nothing tells which: " + strings.Join(could, ", or ")
		g.ask(q)
	} else {
		f.Sure, f.Evidence = Certain, "all orders read the same dates"
	}
	return at, f
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// dateOf is the date that a cell begins with, as it stands.
func dateOf(cell string) string {
	date, _, _ := strings.Cut(cell, " ")
	return date
}

// provingRow finds a row that only the given order reads.
func (g *guesser) provingRow(r *stampReading, forms []stampForm) int {
	for _, o := range forms[0].orders() {
		if o == r.order {
			continue
		}
		l, err := compileGuessed(forms[0].layout(o, false), &forms[0])
		if err != nil {
			continue
		}
		for i := range r.walls {
			if r.walls[i] == noWall {
				continue
			}
			if _, ok := l.read(trim([]byte(g.rows[i].cells[r.column]))); !ok {
				return i
			}
		}
	}
	return -1
}

var (
	digitsRun = lazily(`\d+`)
	dateRun   = lazily(`\d{1,2}([-/.])\d{1,2}[-/.](?:\d{4}|\d{2})`)
)

// orderTold looks for dates that the preamble writes as the rows do, and for
// the one in the file's name.
func (g *guesser) orderTold(readings []stampReading, forms []stampForm) (at int, why string) {
	f := &forms[0]
	for _, sh := range g.sheets {
		for _, t := range sh.told {
			for _, m := range dateRun().FindAllString(t.value, -1) {
				told, ok := stampFormOf(m)
				if !ok || told.date != f.date || told.sep1 != f.sep1 {
					continue
				}
				reads := -1
				for i := range readings {
					l, err := compileLayout(told.layout(readings[i].order, false))
					if err != nil {
						return -1, ""
					}
					if _, ok := l.read([]byte(m)); ok && reads >= 0 {
						reads = len(readings)
					} else if ok {
						reads = i
					}
				}
				if reads >= 0 && reads < len(readings) {
					return reads, fmt.Sprintf("line %d writes %s, and so do the rows", t.line, m)
				}
			}
		}
	}
	return g.orderOfName(readings)
}

// orderOfName sees whether the file's name tells the date of a row in one order
// only.
func (g *guesser) orderOfName(readings []stampReading) (at int, why string) {
	at = -1
	for s, sh := range g.sheets {
		name := path.Base(sh.path)
		var packed []string
		for _, run := range digitsRun().FindAllString(strings.NewReplacer("-", "", "_", "", ".", "").Replace(name), -1) {
			for i := 0; i+8 <= len(run); i++ {
				if y := run[i : i+4]; y >= "1980" && y < "2100" {
					packed = append(packed, run[i:i+8])
				}
			}
		}
		for i := range readings {
			has := false
			for row, w := range readings[i].walls {
				if w == noWall || g.rows[row].sample != s {
					continue
				}
				y, m, d := civil(w)
				if slices.Contains(packed, fmt.Sprintf("%04d%02d%02d", y, m, d)) {
					has = true
					break
				}
			}
			if has && at >= 0 && at != i {
				return -1, ""
			}
			if has {
				at, why = i, fmt.Sprintf("the name %s has the date of a row in that order only", name)
			}
		}
	}
	return at, why
}

// everyText is a number of seconds for people.
func everyText(seconds int64) string {
	switch {
	case seconds == 86400:
		return "day"
	case seconds%86400 == 0:
		return fmt.Sprintf("%d days", seconds/86400)
	case seconds == 3600:
		return "hour"
	case seconds%3600 == 0:
		return fmt.Sprintf("%d hours", seconds/3600)
	case seconds%60 == 0:
		return fmt.Sprintf("%d minutes", seconds/60)
	}
	return fmt.Sprintf("%d s", seconds)
}

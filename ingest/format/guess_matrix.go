package format

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// fewestTimes is how many columns of times of day make a matrix: a row of less
// tells no day.
const fewestTimes = 8

// A guessMatrix is a table with a row a day and a column a time of day.
type guessMatrix struct {
	layout string // header_layout
	match  string // what finds the time in a name; "" for all of it
	times  []int  // the columns
}

// findMatrix sees whether the columns of numbers are called by times of day,
// beside a column of dates.
func (g *guesser) findMatrix() bool {
	if !g.when.dateOnly {
		return false
	}
	values := g.columnsOf(isValue)
	for _, of := range headerClocks {
		t, err := newHeaderTimes(of.layout)
		if err != nil {
			continue
		}
		fewest := fewestTimes
		if of.match != "" {
			t.match = newPattern(regexp.MustCompile(of.match))
			t.match.groups["time"] = t.match.re.SubexpIndex("time")
		}
		if of.layout == hourNumbers {
			fewest = 23 // fewer numbers may be anything
		}
		var times []int
		last, rising := int64(-1), true
		for _, c := range values {
			seconds, ok := t.read(g.columns[c].name)
			if !ok {
				continue
			}
			rising = rising && (seconds >= last || seconds == 0)
			last = seconds
			times = append(times, c)
		}
		if len(times) < fewest {
			continue
		}
		if !rising {
			g.askOfDay(times, "they are called by times of day, though not in order")
			return false
		}
		g.matrix = &guessMatrix{layout: of.layout, match: of.match, times: times}
		for _, c := range values {
			if !slices.Contains(times, c) {
				g.ignore(c, "its name is no time of day: a total, or what else a day has one of")
			}
		}
		for c := range g.columns {
			if col := &g.columns[c]; col.role == isQuality {
				g.ignore(c, "flags")
			}
		}
		g.find(Finding{What: "shape", Value: "matrix", Sure: Certain, Line: g.sheets[0].namesLine(),
			Evidence: fmt.Sprintf("%d columns are called by times of day, from %s to %s, and each row by a date", len(times), g.columns[times[0]].name, g.columns[times[len(times)-1]].name)})
		return true
	}
	g.askOfNumbered(values)
	return false
}

// askOfNumbered asks about as many columns as a day has quarters or hours, called
// by one word and numbers that count up.
func (g *guesser) askOfNumbered(values []int) {
	var run []int
	word := ""
	ask := func() {
		if !slices.Contains([]int{24, 25, 48, 50, 96, 100, 144, 288}, len(run)) {
			return
		}
		g.askOfDay(run, "there are as many as a day has hours or parts of them")
	}
	next := 0
	for _, c := range values {
		name := g.columns[c].name
		bare := strings.TrimRight(name, "0123456789")
		n, err := strconv.Atoi(name[len(bare):])
		if err != nil {
			continue
		}
		if len(run) == 0 || bare != word || n != next {
			ask()
			run, word = nil, bare
			if n > 1 {
				continue
			}
		}
		run, next = append(run, c), n+1
	}
	ask()
}

// askOfDay asks whether the columns of a table with a row a day are its times.
func (g *guesser) askOfDay(columns []int, why string) {
	first, last := g.columnName(columns[0]), g.columnName(columns[len(columns)-1])
	g.find(Finding{What: "shape", Value: "wide", Sure: Open, Line: g.sheets[0].namesLine(),
		Evidence: fmt.Sprintf("a row a day, and %d columns from %s to %s, which could be the times of the day: %s", len(columns), first, last, why)})
	q := question{key: "shape", text: fmt.Sprintf("Are the %d columns %s to %s channels, or the times of a day?", len(columns), first, last)}
	q.add("shape=wide", "each is a channel with a reading a day")
	g.ask(q)
}

// headerClocks are how columns are called by times of day: layouts, and what
// finds the time in the name.
var headerClocks = []struct{ layout, match string }{
	{layout: "15:04"}, {layout: "15:04:05"}, {layout: "1504"}, {layout: hourNumbers}, {layout: "3:04 PM"}, {layout: "3:04PM"},
	{layout: hourNumbers, match: `(?i)^(?:h|hr|he|hours?|hour ending|std|stunde|heure|hora|uur|ora)[ ._-]*(?P<time>\d{1,2})$`},
	{layout: hourNumbers, match: `(?i)^(?P<time>\d{1,2}) ?(?:h|uhr)$`},
	{layout: "15:04", match: `^(?P<time>\d{1,2}:\d{2})(?::00)? ?(?:-|–|to|bis) ?\d{1,2}:\d{2}(?::00)?$`},
}

// shapeOfMatrix takes the columns that name loggers and channels of a matrix.
func (g *guesser) shapeOfMatrix() {
	s := &g.shape
	s.unit, s.quality, s.value = -1, -1, -1
	if units := g.columnsOf(isUnit); len(units) > 0 {
		s.unit = units[0]
	}
	if channels := g.columnsOf(isChannel); len(channels) > 0 {
		s.channel = channels[:1]
		for _, c := range channels[1:] {
			g.ignore(c, "texts beside those that name the channel")
		}
	}
	g.findKeys(g.columnsOf(isLogger))
	if len(s.channel) > 0 {
		g.channel.columns = s.channel
		g.find(Finding{What: "channel", Value: g.columnNames(s.channel), Sure: Certain, Evidence: "its texts say what the row's numbers are", Line: g.rows0Line()})
		return
	}
	g.channel.constant = "value"
	f := Finding{What: "channel", Value: "value", Sure: Likely, Evidence: "nothing names what the numbers are; channel=NAME does"}
	for _, t := range g.sheets[0].told {
		key := strings.ToLower(strings.Trim(t.key, ` :"#`))
		if value := strings.Trim(t.value, ` ";`); slices.Contains(quantityKeys, key) && value != "" && len(value) < 60 {
			g.channel.constant = value
			f.Value, f.Evidence, f.Line = value, fmt.Sprintf("the preamble has it as %q", t.key), t.line
			break
		}
	}
	g.find(f)
}

// quantityKeys are what preambles call the one quantity of a table.
var quantityKeys = []string{"parameter", "quantity", "measure", "measurement", "variable", "channel", "messgröße", "messgroesse", "grandeur", "paramètre", "parámetro", "grootheid", "series", "data type", "kanal"}

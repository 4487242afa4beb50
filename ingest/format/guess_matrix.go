package format

import (
	"fmt"
	"slices"
	"strings"
)

// fewestTimes is how many columns of times of day make a matrix: a row of less
// tells no day.
const fewestTimes = 8

// A guessMatrix is a table with a row a day and a column a time of day.
type guessMatrix struct {
	layout string // header_layout
	times  []int  // the columns
}

// findMatrix sees whether the columns of numbers are called by times of day,
// beside a column of dates.
func (g *guesser) findMatrix() bool {
	if !g.when.dateOnly {
		return false
	}
	values := g.columnsOf(isValue)
	for _, layout := range []string{"15:04", "15:04:05", "1504", "hours", "3:04 PM", "3:04PM"} {
		t, err := newHeaderTimes(layout)
		if err != nil {
			continue
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
		if len(times) < fewestTimes || !rising {
			continue
		}
		g.matrix = &guessMatrix{layout: layout, times: times}
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
	return false
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

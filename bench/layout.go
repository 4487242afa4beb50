package bench

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A layout writes files that the built-in profile of its name reads. Times are
// written in UTC, also where the files do not say so.
type layout struct {
	name   string
	byName bool   // nothing in a file tells the profile
	zone   string // what --zone must say

	loggers int        // how many can be told apart, 0 for any number
	known   []quantity // the channels that there are; nil for any
	bare    bool       // files do not tell units
	step    time.Duration
	grain   int64 // the finest value, in thousandths
	tenths  bool  // values are whole tenths
	comma   bool  // decimals stand behind a comma

	// Nothing before the first row tells the layout.
	headless bool

	logger func(i int) string // its name as it is read
	path   func(f *corpusFile) string
	stamp  func(t time.Time) string // "" where rows have none
	head   func(b []byte, f *corpusFile) []byte
	row    func(b []byte, f *corpusFile, r *row) []byte
	foot   string
}

// A quantity is a channel as a layout writes it.
type quantity struct{ name, unit string }

// mostChannels is how many a file has where the layout sets no limit.
const mostChannels = 60

// Layouts returns the names of the built-in profiles that a [Generator] writes
// files for.
func Layouts() []string {
	var names []string
	for _, l := range layouts() {
		names = append(names, l.name)
	}
	slices.Sort(names)
	return names
}

func layoutNames() string { return strings.Join(Layouts(), ", ") }

func layoutNamed(name string) *layout {
	for _, l := range layouts() {
		if l.name == name {
			if l.grain == 0 {
				l.grain = 1
			}
			if l.step == 0 {
				l.step = corpusStep
			}
			return &l
		}
	}
	return nil
}

func layouts() []layout {
	return slices.Concat(plainLayouts(), loggerLayouts(), hoboLayouts(), serviceLayouts(), stationLayouts())
}

func (l *layout) most() int {
	if l.known != nil {
		return len(l.known)
	}
	return mostChannels
}

func (l *layout) quantities(n int) []quantity {
	if l.known != nil {
		return l.known[:n]
	}
	q := []quantity{{"flow", "l/s"}, {"pressure", "bar"}, {"level", "m"}, {"temperature", "degC"}}
	for len(q) < n {
		q = append(q, quantity{name: "channel" + strconv.Itoa(len(q)+1)})
	}
	q = q[:n]
	if l.bare {
		for i := range q {
			q[i].unit = ""
		}
	}
	return q
}

func plainLayouts() []layout {
	rfc3339 := stamped(time.RFC3339)
	return []layout{{
		name: "plain-long", bare: true, logger: loggerName, stamp: rfc3339,
		path: func(f *corpusFile) string { return corpusPath(f.n, f.name, f.start()) },
		head: func(b []byte, _ *corpusFile) []byte { return append(b, corpusHeader...) },
		row: func(b []byte, f *corpusFile, r *row) []byte {
			for c, cell := range r.cells {
				b = line(b, ",", f.name, f.channels[c].name, r.stamp, string(cell))
			}
			return b
		},
	}, {
		name: "plain-wide", logger: loggerName, stamp: rfc3339, path: inTurn("%s_2024.csv"),
		head: func(b []byte, f *corpusFile) []byte {
			return line(b, ",", "timestamp", f.titles("{name} [{unit}]", ","))
		},
		row: wide(",", "", ""),
	}, {
		name: "plain-wide-loggers", logger: loggerName, stamp: rfc3339, path: inTurn("%s.csv"),
		head: func(b []byte, f *corpusFile) []byte {
			return line(b, ",", "logger", "timestamp", f.titles("{name} [{unit}]", ","))
		},
		row: func(b []byte, f *corpusFile, r *row) []byte {
			b = append(append(append(b, f.name...), ','), r.stamp...)
			for _, cell := range r.cells {
				b = append(append(b, ','), cell...)
			}
			return append(b, '\n')
		},
	}, {
		name: "scada-semicolon", zone: "UTC", bare: true, comma: true, headless: true,
		logger: loggerName, stamp: stamped(time.DateTime), path: inTurn("2024_%s.csv"),
		head: func(b []byte, f *corpusFile) []byte {
			return line(b, ";", "Timestamp", f.titles("{name}", ";"))
		},
		row: wide(";", "", ""),
	}}
}

// stamped writes times in a layout of package time.
func stamped(layout string) func(time.Time) string {
	return func(t time.Time) string { return t.Format(layout) }
}

// numbered makes loggers' names of a number and what it is counted from.
func numbered(format string, first int) func(int) string {
	return func(i int) string { return fmt.Sprintf(format, first+i) }
}

// inTurn puts each logger's first file into one folder, its second into the
// next: the names of files tell loggers apart, and nothing more.
func inTurn(format string) func(*corpusFile) string {
	return func(f *corpusFile) string {
		name, _, _ := strings.Cut(f.name, "/")
		return fmt.Sprintf("%04d/"+format, f.turn, name)
	}
}

// wide writes an instant as one line: the stamp between two texts, then each
// channel's value.
func wide(sep, before, after string) func([]byte, *corpusFile, *row) []byte {
	return func(b []byte, _ *corpusFile, r *row) []byte {
		b = append(append(append(b, before...), r.stamp...), after...)
		for _, cell := range r.cells {
			b = append(append(b, sep...), cell...)
		}
		return append(b, '\n')
	}
}

// line appends fields and ends the line.
func line(b []byte, sep string, fields ...string) []byte {
	for i, field := range fields {
		if i > 0 {
			b = append(b, sep...)
		}
		b = append(b, field...)
	}
	return append(b, '\n')
}

// titles are the channels as a header has them: pattern with {name} and {unit}
// put in.
func (f *corpusFile) titles(pattern, sep string) string {
	titles := make([]string, len(f.channels))
	for i, q := range f.channels {
		titles[i] = strings.NewReplacer("{name}", q.name, "{unit}", q.unit).Replace(pattern)
	}
	return strings.Join(titles, sep)
}

package format

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"time"
)

// Loggers is the loggers table: what the loggers and channels that files name
// become, and what is known of them that files do not tell. It is never changed
// once read; any number of decoders may share it.
//
// A row counts for the files of its source, or for those of all sources when it
// names none; where a source has rows of its own for a name, the others do not
// count for it. Likewise a row with a file_channel wins over the one without,
// which still tells the logger and how often it records, where the channel's
// row leaves that empty.
type Loggers struct {
	listed map[loggerKey]*listed
	zones  bool // some logger has a zone of its own
}

type loggerKey struct{ source, name string }

// A listed logger is what the table has of one name in one source.
type listed struct {
	id   uint64 // its own in the table
	name string
	zone *time.Location // of its timestamps; nil when the table does not say
	rows []*loggerRow   // by channel, then time
}

// A loggerRow is one row of the table.
type loggerRow struct {
	key                    loggerKey
	fileChannel            string // "": any
	logger, channel, unit  string // "": as the file has it
	multiply, add          float64
	zone                   *time.Location
	every                  time.Duration // 0: not said
	from, until            int64         // microseconds UTC, until exclusive
	line                   int64         // in its file; 0 when a recipe told it
	fromColumn, zoneColumn int           // where its cells stand in that line
}

// Row times that nobody bounded.
const (
	ever    = math.MinInt64
	forever = math.MaxInt64
)

// A loggerLine is a row as it is written, all in text: gocsv would read an empty
// number as 0. Recipes keep rows in this form.
type loggerLine struct {
	Source      string `csv:"source" json:"-"`
	Name        string `csv:"name" json:"name"`
	FileChannel string `csv:"file_channel" json:"file_channel,omitempty"`
	Logger      string `csv:"logger" json:"logger,omitempty"`
	Channel     string `csv:"channel" json:"channel,omitempty"`
	Unit        string `csv:"unit" json:"unit,omitempty"`
	Multiply    string `csv:"multiply" json:"multiply,omitempty"`
	Add         string `csv:"add" json:"add,omitempty"`
	Zone        string `csv:"zone" json:"zone,omitempty"`
	Every       string `csv:"every" json:"every,omitempty"`
	From        string `csv:"from" json:"from,omitempty"`
	Until       string `csv:"until" json:"until,omitempty"`
}

var loggerColumns = [...]string{"source", "name", "file_channel", "logger", "channel", "unit", "multiply", "add", "zone", "every", "from", "until"}

// LoadLoggers reads the loggers table of a CSV file, whose columns the package
// documentation describes. The error joins all that is wrong with it, each a
// *Fault with its line and column.
func LoadLoggers(file string) (*Loggers, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the loggers table: %w", err)
	}
	t := &loggersFile{file: file}
	rows := t.read(text)
	l := newLoggers(rows, t.fault)
	if err := joined(t.faults); err != nil {
		return nil, err
	}
	return l, nil
}

// loggersOf makes the table of the rows that a recipe has.
func loggersOf(lines []loggerLine) (*Loggers, error) {
	var rows []*loggerRow
	var err error
	for i := range lines {
		rows = append(rows, lines[i].row(func(column, format string, args ...any) {
			err = fmt.Errorf("%s of logger %q: %s", column, lines[i].Name, fmt.Sprintf(format, args...))
		}))
	}
	if err != nil {
		return nil, err
	}
	l := newLoggers(rows, func(line int64, _ int, format string, args ...any) {
		err = fmt.Errorf("row %d: %s", line, fmt.Sprintf(format, args...))
	})
	return l, err
}

// newLoggers puts rows together, and tells fault those that contradict others.
func newLoggers(rows []*loggerRow, fault func(line int64, column int, format string, args ...any)) *Loggers {
	l := &Loggers{listed: make(map[loggerKey]*listed)}
	for _, r := range rows {
		e := l.listed[r.key]
		if e == nil {
			e = &listed{id: uint64(len(l.listed)), name: r.key.name}
			l.listed[r.key] = e
		}
		e.rows = append(e.rows, r)
	}
	for _, e := range l.listed {
		e.agree(fault)
		l.zones = l.zones || e.zone != nil
	}
	return l
}

// agree sorts the rows of a logger and tells which of them cannot both be true.
func (e *listed) agree(fault func(line int64, column int, format string, args ...any)) {
	var first *loggerRow // that tells the zone
	for _, r := range e.rows {
		switch {
		case r.zone == nil:
		case first == nil:
			first, e.zone = r, r.zone
		case r.zone.String() != e.zone.String():
			fault(r.line, r.zoneColumn, "zone: the clock of logger %q is in %s here and in %s in line %d; all rows of a name have one zone", e.name, r.zone, e.zone, first.line)
		}
	}
	slices.SortStableFunc(e.rows, func(a, b *loggerRow) int {
		return cmp.Or(cmp.Compare(a.fileChannel, b.fileChannel), cmp.Compare(a.from, b.from))
	})
	var longest *loggerRow // of those before, of the same channel
	for _, r := range e.rows {
		if longest == nil || longest.fileChannel != r.fileChannel {
			longest = r
			continue
		}
		if r.from < longest.until {
			a, b := longest, r
			if a.line > b.line {
				a, b = b, a
			}
			of := fmt.Sprintf("logger %q", e.name)
			if r.fileChannel != "" {
				of += fmt.Sprintf(", channel %q,", r.fileChannel)
			}
			fault(b.line, b.fromColumn, "from: this row and line %d both tell of %s %s; let one end where the other begins", a.line, of, validity(r.from, min(r.until, longest.until)))
		}
		if r.until > longest.until {
			longest = r
		}
	}
}

// of returns what the table has of a logger that a file of that source names;
// nil for nothing. There may be no table.
func (l *Loggers) of(source string, name []byte) *listed {
	if l == nil || len(name) == 0 {
		return nil
	}
	if e := l.listed[loggerKey{source, string(trim(name))}]; e != nil || source == "" {
		return e
	}
	return l.listed[loggerKey{"", string(trim(name))}]
}

// zone returns that of the named logger's timestamps; nil when the table does
// not tell it.
func (l *Loggers) zone(source string, name []byte) *time.Location {
	if e := l.of(source, name); e != nil {
		return e.zone
	}
	return nil
}

// Every returns how often loggers record, by the names that they have in the
// store: of each the longest that the table says.
func (l *Loggers) Every() map[string]time.Duration {
	every := make(map[string]time.Duration)
	if l == nil {
		return every
	}
	for _, e := range l.listed {
		for _, r := range e.rows {
			name := cmp.Or(r.logger, e.name)
			if r.every > every[name] {
				every[name] = r.every
			}
		}
	}
	return every
}

// forSource returns all that counts for files of a source, by name.
func (l *Loggers) forSource(source string) []*listed {
	var all []*listed
	for k, e := range l.listed {
		if k.source == source || k.source == "" && l.listed[loggerKey{source, k.name}] == nil {
			all = append(all, e)
		}
	}
	byName(all)
	return all
}

func byName(list []*listed) {
	slices.SortFunc(list, func(a, b *listed) int { return cmp.Compare(a.name, b.name) })
}

// linesOf returns the rows of the listed as recipes keep them.
func linesOf(list []*listed) []loggerLine {
	var lines []loggerLine
	for _, e := range list {
		for _, row := range e.rows {
			lines = append(lines, row.text())
		}
	}
	return lines
}

// text writes the row as recipes keep it: rows that mean the same are the same
// text, whatever their source.
func (r *loggerRow) text() loggerLine {
	t := loggerLine{Name: r.key.name, FileChannel: r.fileChannel, Logger: r.logger, Channel: r.channel, Unit: r.unit}
	if r.multiply != 1 {
		t.Multiply = strconv.FormatFloat(r.multiply, 'g', -1, 64)
	}
	if r.add != 0 {
		t.Add = strconv.FormatFloat(r.add, 'g', -1, 64)
	}
	if r.zone != nil {
		t.Zone = r.zone.String()
	}
	if r.every != 0 {
		t.Every = r.every.String()
	}
	if r.from != ever {
		t.From = instant(r.from)
	}
	if r.until != forever {
		t.Until = instant(r.until)
	}
	return t
}

// validity writes when a row counts, as messages say it.
func validity(from, until int64) string {
	switch {
	case from == ever && until == forever:
		return "at all times"
	case from == ever:
		return "until " + instant(until)
	case until == forever:
		return "from " + instant(from)
	}
	return "from " + instant(from) + " until " + instant(until)
}

func instant(us int64) string {
	return time.UnixMicro(us).UTC().Format(time.RFC3339Nano)
}

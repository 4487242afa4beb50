package format

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gocarina/gocsv"
)

// A loggersFile is the file of a loggers table while it is read. It is the
// reader that gocsv reads from, since gocsv's own loses the lines and passes
// over columns that nothing asks for.
type loggersFile struct {
	*csv.Reader
	file   string
	header []string
	at     []place // of the rows that are handed on
	faults []*Fault
}

// A place says where in the file the cells of a row stand.
type place struct {
	line    int64
	columns []int // of the line, by cell
}

func (t *loggersFile) fault(line int64, column int, format string, args ...any) {
	t.faults = append(t.faults, &Fault{File: t.file, Line: int(line), Column: column, Text: fmt.Sprintf(format, args...)})
}

// read returns the rows of the table without fault.
func (t *loggersFile) read(text []byte) []*loggerRow {
	t.Reader = csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, bom)))
	t.FieldsPerRecord = -1
	var lines []loggerLine
	if err := gocsv.UnmarshalCSV(t, &lines); err != nil {
		if !errors.Is(err, gocsv.ErrEmptyCSVFile) {
			t.fault(0, 0, "%v", err)
		}
		return nil
	}
	var rows []*loggerRow
	for i := range lines {
		at, before := &t.at[i], len(t.faults)
		r := lines[i].row(func(column, format string, args ...any) {
			t.fault(at.line, t.column(at, column), column+": "+format, args...)
		})
		r.line, r.fromColumn, r.zoneColumn = at.line, t.column(at, "from"), t.column(at, "zone")
		if len(t.faults) == before {
			rows = append(rows, r)
		}
	}
	return rows
}

// column returns where in its line the cell of that name stands, or the row
// begins when the table has no such column.
func (t *loggersFile) column(at *place, name string) int {
	if i := slices.Index(t.header, name); i >= 0 {
		return at.columns[i]
	}
	return at.columns[0]
}

// ReadAll implements gocsv.CSVReader. What is wrong with the file as a table is
// told to fault.
func (t *loggersFile) ReadAll() ([][]string, error) {
	var all [][]string
	for {
		cells, err := t.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF) && t.header == nil:
			t.fault(0, 0, "the loggers table is empty; its first line names its columns, of %s", strings.Join(loggerColumns[:], ", "))
			return nil, nil
		case errors.Is(err, io.EOF):
			return all, nil
		case errors.As(err, &wrong):
			t.fault(int64(wrong.Line), wrong.Column, "%v; nothing after it is read", wrong.Err)
			return all, nil
		case err != nil:
			return nil, err
		}
		at := place{columns: make([]int, len(cells))}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
			line, column := t.FieldPos(i)
			if at.columns[i] = column; i == 0 {
				at.line = int64(line)
			}
		}
		switch {
		case t.header == nil:
			if !t.readHeader(cells, &at) {
				return nil, nil
			}
		case len(cells) != len(t.header):
			t.fault(at.line, 1, "%d cells, and the first line names %d columns", len(cells), len(t.header))
			continue
		case !slices.ContainsFunc(cells, func(c string) bool { return c != "" }):
			continue // spreadsheets leave such rows
		default:
			t.at = append(t.at, at)
		}
		all = append(all, cells)
	}
}

// readHeader reports whether the header is that of a loggers table.
func (t *loggersFile) readHeader(cells []string, at *place) bool {
	t.header = cells
	before := len(t.faults)
	for i, name := range cells {
		switch {
		case !slices.Contains(loggerColumns[:], name) && strings.ContainsAny(name, ";\t"):
			t.fault(at.line, at.columns[i], "unknown column %q: the cells of a loggers table are separated by commas", name)
		case !slices.Contains(loggerColumns[:], name):
			t.fault(at.line, at.columns[i], "unknown column %q (there are %s)", name, strings.Join(loggerColumns[:], ", "))
		case slices.Contains(cells[:i], name):
			t.fault(at.line, at.columns[i], "column %q stands twice", name)
		}
	}
	if len(t.faults) == before && !slices.Contains(cells, "name") {
		t.fault(at.line, 1, "there is no column \"name\": the logger as files name it")
	}
	return len(t.faults) == before
}

// row reads the line, and tells fault what of it cannot be read.
func (t *loggerLine) row(fault func(column, format string, args ...any)) *loggerRow {
	r := &loggerRow{
		key: loggerKey{t.Source, t.Name}, fileChannel: t.FileChannel, logger: t.Logger, channel: t.Channel, unit: t.Unit,
		multiply: 1, from: ever, until: forever,
	}
	for _, part := range []struct{ column, text string }{
		{"name", t.Name}, {"file_channel", t.FileChannel}, {"logger", t.Logger}, {"channel", t.Channel}, {"unit", t.Unit},
	} {
		if why := nameFault([]byte(part.text)); why != "" && (part.text != "" || part.column == "name") {
			fault(part.column, "%s", why)
		}
	}
	number := func(column, text string, into *float64) {
		if text == "" {
			return
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
			fault(column, "expected a number with a decimal point, not %q", text)
			return
		}
		*into = v
	}
	number("multiply", t.Multiply, &r.multiply)
	number("add", t.Add, &r.add)
	if r.multiply == 0 {
		fault("multiply", "0 would make all readings one")
	}
	if t.Zone != "" {
		zone, err := ParseZone(t.Zone)
		if err != nil {
			fault("zone", "%v", err)
		}
		r.zone = zone
	}
	if t.Every != "" {
		every, err := parseDuration(t.Every)
		if err != nil || every < time.Millisecond {
			fault("every", "expected how often the logger records, such as 15m or 1d, not %q", t.Every)
		}
		r.every = every
	}
	r.from, r.until = t.time("from", t.From, ever, fault), t.time("until", t.Until, forever, fault)
	if r.from >= r.until {
		fault("until", "%s is not after %s", t.Until, t.From)
	}
	return r
}

func (t *loggerLine) time(column, text string, none int64, fault func(column, format string, args ...any)) int64 {
	if text == "" {
		return none
	}
	for _, form := range []string{time.DateOnly, time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if at, err := time.Parse(form, text); err == nil {
			return at.UnixMicro()
		}
	}
	fault(column, "expected a date such as 2024-05-01 or a time such as 2024-05-01T10:30:00+02:00, not %q", text)
	return none
}

// joined returns the faults as one error, in the order of the file; nil when
// there are none.
func joined(faults []*Fault) error {
	slices.SortStableFunc(faults, func(a, b *Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Text, b.Text))
	})
	var all []error
	for _, f := range faults {
		all = append(all, f)
	}
	return errors.Join(all...)
}

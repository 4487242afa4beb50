package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/gocarina/gocsv"
)

// printRows writes rows as they come, in the way that --output asks for: a table
// of the given columns, or one JSON array, or CSV, of which the tags of T name
// the fields.
func printRows[T any](a *app, rows iter.Seq2[T, error], columns ...column[T]) (n int64, err error) {
	p := newPrinter(a, columns)
	for row, err := range rows {
		if err != nil {
			// What is written stays readable.
			return n, errors.Join(err, p.end())
		}
		if err := p.add(row); err != nil {
			return n, err
		}
		n++
	}
	return n, p.end()
}

// A printer writes rows of one kind. end must be called after the last.
type printer[T any] interface {
	add(row T) error
	end() error
}

func newPrinter[T any](a *app, columns []column[T]) printer[T] {
	switch a.output.value {
	case "json":
		return &jsonPrinter[T]{w: a.raw()}
	case "csv":
		return &csvPrinter[T]{w: gocsv.NewSafeCSVWriter(csv.NewWriter(a.raw()))}
	}
	return &table[T]{a: a, columns: columns}
}

type jsonPrinter[T any] struct {
	w io.Writer
	n int
}

func (p *jsonPrinter[T]) add(row T) error {
	before := ",\n "
	if p.n++; p.n == 1 {
		before = "[\n "
	}
	text, err := json.Marshal(row)
	if err == nil {
		_, err = p.w.Write(append([]byte(before), text...))
	}
	return err
}

func (p *jsonPrinter[T]) end() error {
	after := "\n]\n"
	if p.n == 0 {
		after = "[]\n"
	}
	_, err := p.w.Write([]byte(after))
	return err
}

// csvRows is how many rows go out at a time.
const csvRows = 200

type csvPrinter[T any] struct {
	w       *gocsv.SafeCSVWriter
	waiting []T
	headed  bool
}

func (p *csvPrinter[T]) add(row T) error {
	if p.waiting = append(p.waiting, row); len(p.waiting) < csvRows {
		return nil
	}
	return p.flush()
}

func (p *csvPrinter[T]) flush() error {
	marshal := gocsv.MarshalCSVWithoutHeaders
	if !p.headed {
		marshal = gocsv.MarshalCSV
		p.headed = true
	}
	err := marshal(p.waiting, p.w)
	p.waiting = p.waiting[:0]
	return err
}

// end writes the header also where there are no rows.
func (p *csvPrinter[T]) end() error {
	if len(p.waiting) > 0 || !p.headed {
		return p.flush()
	}
	return p.w.Error()
}

// printObject writes one JSON object.
func (a *app) printObject(v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err == nil {
		_, err = a.raw().Write(append(text, '\n'))
	}
	return err
}

// raw is stdout for text that is not ours: bytes as they are for a file or a
// program, and nothing that a terminal obeys for a terminal.
func (a *app) raw() io.Writer {
	if a.outTerminal {
		return &disarmed{w: a.out}
	}
	return a.out
}

// A disarmed writer writes control characters as \xNN, but for line ends and
// tabs.
type disarmed struct {
	w    io.Writer
	open bool // the last byte was the first half of what may be a control character
}

func (d *disarmed) Write(p []byte) (int, error) {
	out := make([]byte, 0, len(p)+8)
	for _, c := range p {
		// In UTF-8, C2 begins the control characters from U+0080 to U+009F.
		wasOpen := d.open
		if d.open = c == 0xC2; d.open {
			if wasOpen {
				out = append(out, 0xC2)
			}
			continue
		}
		switch {
		case wasOpen && c >= 0x80 && c <= 0x9F:
			out = fmt.Appendf(out, `\xC2\x%02X`, c)
			continue
		case wasOpen:
			out = append(out, 0xC2)
		}
		if c < ' ' && c != '\n' && c != '\t' || c == 0x7F {
			out = fmt.Appendf(out, `\x%02X`, c)
		} else {
			out = append(out, c)
		}
	}
	if _, err := d.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

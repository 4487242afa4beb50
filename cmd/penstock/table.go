package main

import (
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// A column of a table for people.
type column[T any] struct {
	head  string
	text  func(T) string
	style func(T) lipgloss.Style // nil for none
	right bool
	cut   cut
}

// A cut says from which end a cell may be cut where the terminal is too narrow
// for the table.
type cut int

const (
	never cut = iota
	left      // of a path: its end tells files apart
	right     // of a sentence
)

// sizedBy is how many rows a table waits for before it chooses its widths.
const sizedBy = 200

// leastWidth is what a column is never cut below.
const leastWidth = 12

// A table writes rows in columns as they come: it may be of any length. The
// first rows decide how wide each column is.
type table[T any] struct {
	a       *app
	columns []column[T]
	waiting []T
	widths  []int // nil until they are chosen
}

func (t *table[T]) add(row T) error {
	if t.widths != nil {
		return t.line(row)
	}
	if t.waiting = append(t.waiting, row); len(t.waiting) < sizedBy {
		return nil
	}
	return t.flush()
}

// end writes what waits. A table without rows writes nothing.
func (t *table[T]) end() error {
	if len(t.waiting) == 0 {
		return nil
	}
	return t.flush()
}

func (t *table[T]) flush() error {
	t.size()
	heads := make([]string, len(t.columns))
	for i, c := range t.columns {
		heads[i] = t.a.style(faint, t.cell(i, c.head))
	}
	if err := t.write(heads); err != nil {
		return err
	}
	for _, row := range t.waiting {
		if err := t.line(row); err != nil {
			return err
		}
	}
	t.waiting = nil
	return nil
}

// size makes each column as wide as what waits for it, and then takes from the
// widest that may be cut, until the table fits.
func (t *table[T]) size() {
	t.widths = make([]int, len(t.columns))
	total := 2 * (len(t.columns) - 1)
	for i, c := range t.columns {
		t.widths[i] = ansi.StringWidth(c.head)
		for _, row := range t.waiting {
			t.widths[i] = max(t.widths[i], ansi.StringWidth(printable(c.text(row))))
		}
		total += t.widths[i]
	}
	for t.a.width > 0 && total > t.a.width {
		widest := -1
		for i, c := range t.columns {
			if c.cut != never && t.widths[i] > leastWidth && (widest < 0 || t.widths[i] > t.widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		t.widths[widest]--
		total--
	}
}

func (t *table[T]) line(row T) error {
	cells := make([]string, len(t.columns))
	for i, c := range t.columns {
		cells[i] = t.cell(i, printable(c.text(row)))
		if c.style != nil {
			cells[i] = t.a.style(c.style(row), cells[i])
		}
	}
	return t.write(cells)
}

// cell cuts and pads a text to its column.
func (t *table[T]) cell(i int, text string) string {
	c := t.columns[i]
	width := ansi.StringWidth(text)
	if over := width - t.widths[i]; over > 0 && t.a.width > 0 {
		switch c.cut {
		case left:
			text = ansi.TruncateLeft(text, over+1, "…")
		case right:
			text = ansi.Truncate(text, t.widths[i], "…")
		case never:
		}
		width = ansi.StringWidth(text)
	}
	pad := strings.Repeat(" ", max(0, t.widths[i]-width))
	switch {
	case c.right:
		return pad + text
	case i == len(t.columns)-1:
		return text
	}
	return text + pad
}

func (t *table[T]) write(cells []string) error {
	_, err := io.WriteString(t.a.out, strings.TrimRight(strings.Join(cells, "  "), " ")+"\n")
	return err
}

// facts writes names with what they stand for, one a line.
func (a *app) facts(pairs ...string) error {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		width = max(width, ansi.StringWidth(pairs[i]))
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		name := pairs[i] + strings.Repeat(" ", width-ansi.StringWidth(pairs[i]))
		if _, err := fmt.Fprintf(a.out, "%s  %s\n", a.style(faint, name), pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

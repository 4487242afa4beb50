package bench

import (
	"fmt"
	"image/color"
	"math"
	"strconv"
)

// stops are the colours of the scale from the fastest cell to the slowest: dark
// enough all along for the best cell's bold white to stand out on them, and such
// that a terminal of 256 colours has some close by.
var stops = [...]color.RGBA{
	{R: 0x0a, G: 0x69, B: 0x16, A: 0xff}, // green
	{R: 0x5a, G: 0x7a, B: 0x1c, A: 0xff},
	{R: 0x9a, G: 0x6d, B: 0x0c, A: 0xff}, // amber
	{R: 0xa8, G: 0x45, B: 0x18, A: 0xff},
	{R: 0xa3, G: 0x1d, B: 0x22, A: 0xff}, // red
}

// A scale gives each median its colour. It goes by ratios: from one second to
// two is as far as from two to four.
type scale struct{ least, most float64 }

func (a *Analysis) scale() scale {
	var s scale
	for i := range a.Cells {
		if c := &a.Cells[i]; c.N > 0 {
			if s.least == 0 || c.Median < s.least {
				s.least = c.Median
			}
			s.most = max(s.most, c.Median)
		}
	}
	return s
}

// place is where a median stands on the scale, from 0 for the fastest to 1.
func (s scale) place(median float64) float64 {
	if s.least <= 0 || s.most <= s.least || median <= s.least {
		return 0
	}
	return min(1, math.Log(median/s.least)/math.Log(s.most/s.least))
}

func (s scale) color(median float64) color.RGBA { return scaleColor(s.place(median)) }

func scaleColor(place float64) color.RGBA {
	at := place * float64(len(stops)-1)
	i := min(int(at), len(stops)-2)
	from, to, share := stops[i], stops[i+1], at-float64(i)
	mixed := func(x, y uint8) uint8 { return uint8(math.Round(float64(x) + share*(float64(y)-float64(x)))) }
	return color.RGBA{R: mixed(from.R, to.R), G: mixed(from.G, to.G), B: mixed(from.B, to.B), A: 0xff}
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// figure is a number of seconds in three digits that count, four behind the
// point at most.
func figure(seconds float64) string {
	switch {
	case seconds >= 99.95:
		return strconv.FormatFloat(seconds, 'f', 0, 64)
	case seconds >= 9.995:
		return strconv.FormatFloat(seconds, 'f', 1, 64)
	case seconds >= 0.9995:
		return strconv.FormatFloat(seconds, 'f', 2, 64)
	case seconds >= 0.09995:
		return strconv.FormatFloat(seconds, 'f', 3, 64)
	}
	return strconv.FormatFloat(seconds, 'f', 4, 64)
}

// times is a speed-up in two digits that count.
func times(speedup float64) string {
	switch {
	case speedup == 0:
		return ""
	case speedup < 9.95:
		return strconv.FormatFloat(speedup, 'f', 1, 64) + "x"
	}
	return strconv.FormatFloat(speedup, 'f', 0, 64) + "x"
}

// spread is half the distance between the quartiles, in percent of the median;
// "" for a cell that ran once.
func (c *CellStats) spread() string {
	if c.N < 2 || c.Median <= 0 {
		return ""
	}
	return fmt.Sprintf("±%.0f", min(999, 50*(c.Q3-c.Q1)/c.Median))
}

// mark tells the best cell, and those that cannot be told from it.
func (c *CellStats) mark() string {
	switch {
	case c.Best:
		return "*"
	case c.Alike && c.N > 0:
		return "="
	}
	return " "
}

// failure says of a cell with runs that failed why the last of them did.
func (c *CellStats) failure() string {
	return fmt.Sprintf("%s failed in %d of %d runs: %s", c.Cell, c.Failed, c.Failed+c.N, c.Why)
}

// some reports whether it holds of one of the cells.
func (a *Analysis) some(holds func(*CellStats) bool) bool {
	for i := range a.Cells {
		if holds(&a.Cells[i]) {
			return true
		}
	}
	return false
}

// grid returns the cell at each of the analysis's workers (rows) and chunks
// (columns); nil where none was asked for.
func (a *Analysis) grid() [][]*CellStats {
	byCell := make(map[Cell]*CellStats)
	for i := range a.Cells {
		byCell[a.Cells[i].Cell] = &a.Cells[i]
	}
	rows := make([][]*CellStats, len(a.Workers))
	for i, workers := range a.Workers {
		for _, chunk := range a.Chunks {
			rows[i] = append(rows[i], byCell[Cell{Workers: workers, Chunk: chunk}])
		}
	}
	return rows
}

// at is the number of seconds that stands at a place of the scale.
func (s scale) at(place float64) float64 {
	if s.least <= 0 {
		return 0
	}
	return s.least * math.Pow(s.most/s.least, place)
}

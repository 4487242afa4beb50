package format

import (
	"math"
	"slices"
)

// A steady row of a long file has the fields of its names, its timestamp and its
// value and no others, all of them in quotes or none, and its names are those
// that the same names were followed by the last time. The rows of large files are
// mostly so, and in a loop of their own they take half of what plainRow takes.

// steadily reports whether files of the plan can have steady rows.
func (pl *plan) steadily() bool {
	n := len(pl.keys)
	if !pl.plain || !pl.next || pl.marked || pl.guarded || pl.linear || pl.bare != pl.sign || len(pl.values) != 1 || len(pl.fields) != n+2 {
		return false
	}
	return pl.keysAt >= 0 && pl.keysAt <= 1 && pl.fields[n+1].role == roleValue && !pl.profile.matrix
}

// steadyRows reads records from w[pos:] for as long as they are steady, and
// returns the position of the first that is not. What it accepts, plainRow would
// read alike.
func (d *Decoder) steadyRows(w []byte, pos int) int {
	pl, b := d.plan, d.batch
	delimiter, quote := pl.profile.dialect.delimiter, pl.profile.dialect.quote
	n := len(b.Time)
	times, series, values := b.Time, b.Series, b.Value
	names := d.names.last
	for pos < len(w) {
		next := names.next
		if next == nil || next.left || next.table != nil || next.series[0] < 0 {
			break
		}
		q, text := pos, next.together
		quoted := w[pos] == quote && quote != 0
		if quoted {
			q, text = pos+1, next.quoted
		}
		if pl.keysAt == 0 {
			if q = behind(w, q, text); q < 0 {
				break
			}
		}
		us, end := pl.clock.next(w, q)
		if end == q || us < d.from || us > d.to || d.last != math.MinInt64 && (us-d.last > jumpy || us-d.last < -jumpy) {
			break
		}
		if quoted {
			if w[end] != quote || w[end+1] != delimiter || w[end+2] != quote {
				break
			}
			q = end + 3
		} else {
			if w[end] != delimiter {
				break
			}
			q = end + 1
		}
		if pl.keysAt > 0 {
			if q = behind(w, q, text); q < 0 {
				break
			}
		}
		if q < maxNumeral || q >= len(w) {
			break
		}
		x, end := pl.numerals.read(w, q, pl.bare, &next.written[0])
		if end == q {
			break
		}
		if quoted {
			if w[end] != quote {
				break
			}
			end++
		}
		if w[end] == '\r' {
			end++
		}
		if w[end] != '\n' || end-pos > d.limit {
			break
		}
		if n == len(times) {
			times, series, values = slices.Grow(times, 1), slices.Grow(series, 1), slices.Grow(values, 1)
			room := min(cap(times), cap(series), cap(values))
			times, series, values = times[:room], series[:room], values[:room]
		}
		times[n], series[n], values[n] = us, next.series[0], x
		n++
		d.last = us
		names = next
		pos = end + 1
	}
	d.names.last = names
	d.keepSteady(times[:n], series[:n], values[:n])
	return pos
}

// behind returns the position behind text, with which w is to go on at p; -1
// when it does not, or when there is no such text.
func behind(w []byte, p int, text []byte) int {
	end := p + len(text)
	if len(text) == 0 || end > len(w) || string(w[p:end]) != string(text) {
		return -1
	}
	return end
}

// keepSteady makes the columns those of the batch, to which steadyRows added
// rows of one reading each, and counts these.
func (d *Decoder) keepSteady(times []int64, series []int32, values []float64) {
	b := d.batch
	rows := int64(len(times) - len(b.Time))
	b.Time, b.Series, b.Value = times, series, values
	if b.KeepLines {
		for line := d.line + 1; len(b.Line) < len(b.Time); line++ {
			b.Line = append(b.Line, line)
		}
	}
	for len(b.Quality) > 0 && len(b.Quality) < len(b.Time) {
		b.Quality = append(b.Quality, 0)
	}
	d.line += rows
	d.lines.Total += rows
	d.lines.Data += rows
	d.cells.Total += rows
}

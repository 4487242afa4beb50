package format

import (
	"math"
	"slices"

	"penstock/ingest"
)

// plainRows reads records from w[pos:] for as long as they hold no surprises,
// and returns the position of the first line that it leaves to anyRow. It is
// the same reading in one pass over the bytes: what it accepts, anyRow would
// read alike, and it leaves everything else, all faults above all, untouched.
// w must end with a line feed, which no field is read past.
func (d *Decoder) plainRows(w []byte, pos int) int {
	for pos < len(w) {
		if d.plan.steady {
			if pos = d.steadyRows(w, pos); pos == len(w) {
				break
			}
		}
		next := d.plainRow(w, pos)
		if next == 0 {
			break
		}
		pos = next
	}
	return pos
}

// plainRow reads the row at w[pos] and returns where the next begins, or 0,
// with nothing done, when anyRow is to read it.
func (d *Decoder) plainRow(w []byte, pos int) int {
	pl, b := d.plan, d.batch
	dialect := &pl.profile.dialect
	delimiter, quote := dialect.delimiter, dialect.quote
	if pl.marked && pl.profile.marks(w[pos:]) {
		return 0
	}
	width := len(pl.values)
	n := len(b.Time)
	if cap(b.Time)-n < width || cap(b.Series)-n < width || cap(b.Value)-n < width {
		b.Time, b.Series, b.Value = slices.Grow(b.Time, width), slices.Grow(b.Series, width), slices.Grow(b.Value, width)
	}
	// The row's readings are written behind the batch's, and become its own
	// when the row is whole.
	r := plainReadings{series: b.Series[n : n+width : cap(b.Series)], values: b.Value[n : n+width : cap(b.Value)]}
	d.missed = d.missed[:0]
	guess := d.names.last.next
	if r.written = d.names.last.written; guess != nil {
		r.written = guess.written
	}
	var us int64
	q := pos // where the reading stands
	last := len(pl.fields) - 1
	i := 0
	if guess != nil && pl.keysAt == 0 {
		if after := behind(w, pos, guess.together); after >= 0 {
			q, i = after, len(guess.cells)
		}
	}
	for ; i <= last; i++ {
		f := &pl.fields[i]
		switch {
		case f.run > 1:
			var n int
			n, q = d.valueRun(w, q, f, &r)
			i += n
			f = &pl.fields[i]
		case f.pairs > 0:
			var n int
			n, q = d.pairRun(w, q, f, &r)
			i += 2 * n
			f = &pl.fields[i]
		}
		quoted := false
		if w[q] == quote && quote != 0 {
			quoted = true
			q++
		}
		switch f.role {
		case roleValue:
			if q = d.plainCell(w, q, f.index, quoted, &r); q < 0 {
				return 0
			}
		case roleStamp:
			if us, q = d.plainStamp(w, q, quoted, i < last); q < 0 {
				return 0
			}
		case roleKey:
			if guess != nil {
				if c := guess.cells[f.index]; guess.plain && q+len(c) < len(w) && string(w[q:q+len(c)]) == string(c) && endsField(w[q+len(c)], quoted, delimiter, quote) {
					q += len(c)
					d.keys[f.index] = c
					break
				}
				guess = nil
			}
			start := q
			if q = textEnd(w, q, quoted, delimiter, quote); q < 0 {
				return 0
			}
			d.keys[f.index] = w[start:q]
		default:
			start := q
			if q = textEnd(w, q, quoted, delimiter, quote); q < 0 {
				return 0
			}
			if f.role == roleQuality {
				d.quality[f.index].text = w[start:q]
			}
		}
		if quoted {
			if w[q] != quote {
				return 0
			}
			q++
		}
		if i < last {
			if w[q] != delimiter {
				return 0
			}
			q++
		}
	}
	for w[q] == delimiter {
		q++
	}
	end := q
	if w[q] == '\r' {
		q++
	}
	if w[q] != '\n' || end-pos > d.limit || end == pos {
		return 0
	}
	if guess == nil {
		guess = d.names.find(d.keys)
	}
	if guess.left || !d.plainWhole(us, guess, &r) {
		return 0
	}

	// The row is whole; nothing that outlives it was touched so far.
	d.names.last = guess
	d.keep(us, guess, &r)
	return q + 1
}

// plainReadings are those of a row that is being read: of the first got of
// series and values, the indices of their values and what they are.
type plainReadings struct {
	series  []int32
	values  []float64
	got     int
	missing int64
	written []wont // by value: how the ones before were written
}

func (r *plainReadings) add(k int, x float64) {
	r.series[r.got], r.values[r.got] = int32(k), x
	r.got++
}

// plainWhole makes the numbers of a row values, and reports whether the row is
// one without faults beyond its cells.
func (d *Decoder) plainWhole(us int64, names *naming, r *plainReadings) bool {
	pl := d.plan
	if pl.linear && !r.scale(pl) {
		return false
	}
	if names.table != nil && (pl.profile.matrix || !names.turn(us) || !names.table.convert(r.series[:r.got], r.values[:r.got])) {
		return false
	}
	for i := range d.quality {
		if quality := &d.quality[i]; !quality.find(d.batch) && textFault(quality.text) != "" {
			return false
		}
	}
	if pl.twice {
		for _, k := range r.series[:r.got] {
			if pl.times[k].pass > 0 {
				return false // the second column of a time has an instant on one day of the year
			}
		}
	}
	return true
}

// scale makes of the numbers of a row what the profile says. It reports false
// when one becomes no finite number.
func (r *plainReadings) scale(pl *plan) bool {
	for i, k := range r.series[:r.got] {
		if l := &pl.values[k].linear; l.given {
			x := l.of(r.values[i])
			if math.IsInf(x, 0) || math.IsNaN(x) {
				return false
			}
			r.values[i] = x
		}
	}
	return true
}

// A rowQuality is a quality of a row, and its id in the batch; unlookedUp while
// that is not known.
type rowQuality struct {
	text []byte
	id   int32
	met  [2]int32 // the ids of others before it: there are few in a file
}

const unlookedUp = -1

// find looks for the id among those that were met last, and reports whether it
// is there.
func (r *rowQuality) find(b *ingest.Batch) bool {
	if r.id = 0; len(r.text) == 0 {
		return true
	}
	for _, id := range r.met {
		if id > 0 && int(id) < len(b.Qualities) && b.Qualities[id] == string(r.text) {
			r.id = id
			return true
		}
	}
	r.id = unlookedUp
	return false
}

// lookUp has the batch tell the id.
func (r *rowQuality) lookUp(b *ingest.Batch) {
	r.id = b.QualityOf(bare(r.text))
	r.met[1], r.met[0] = r.met[0], r.id
}

// keep makes the readings that plainRow wrote behind the batch's its own, and
// counts their row. The row is of that time, or of the day that begins then.
func (d *Decoder) keep(us int64, names *naming, r *plainReadings) {
	pl, b := d.plan, d.batch
	n, got := len(b.Time), r.got
	d.line++
	d.lines.Total++
	d.lines.Data++
	d.cells.Total += int64(got) + r.missing
	d.cells.Missing += r.missing
	for _, k := range d.missed {
		d.empty[k]++
	}
	times, series := b.Time[n:n+got], r.series[:got]
	if pl.profile.matrix {
		for i, k := range series {
			times[i] = us + pl.times[k].seconds*1e6
		}
	} else {
		for i := range times {
			times[i] = us
		}
	}
	if got > 0 {
		if delta := times[0] - d.last; delta > jumpy || delta < -jumpy {
			d.leap(d.line, n)
		}
		d.last = times[got-1]
	}
	if !pl.textless {
		for _, k := range series {
			d.kinds[k] = kindNumber
		}
	}
	if pl.flags > 0 {
		d.keepQualities(r)
	}
	if whole := got == len(names.series); whole && names.complete {
		copy(series, names.series)
	} else {
		for i, k := range series {
			s := names.series[k]
			if s < 0 {
				s = names.of(int(k), pl, b)
			}
			series[i] = s
		}
		names.complete = whole
	}
	b.Time, b.Series, b.Value = b.Time[:n+got], b.Series[:n+got], b.Value[:n+got]
	if b.KeepLines {
		for len(b.Line) < len(b.Time) {
			b.Line = append(b.Line, d.line)
		}
	}
	if len(b.Quality) > 0 {
		for len(b.Quality) < len(b.Time) {
			b.Quality = append(b.Quality, 0)
		}
	}
}

// keepQualities gives the readings that keep is about to add their qualities.
func (d *Decoder) keepQualities(r *plainReadings) {
	pl, b := d.plan, d.batch
	n := len(b.Time)
	for i, k := range r.series[:r.got] {
		slot := pl.slots[k]
		if slot < 0 {
			continue
		}
		quality := &d.quality[slot]
		if quality.id == unlookedUp {
			quality.lookUp(b)
		}
		if quality.id == 0 {
			continue
		}
		for len(b.Quality) <= n+i {
			b.Quality = append(b.Quality, 0)
		}
		b.Quality[n+i] = quality.id
	}
}

// marks reports whether the line that w begins with may be something else than
// a record, for what it begins with or holds.
func (p *Profile) marks(w []byte) bool {
	if p.dialect.commented(w) {
		return true
	}
	if p.framing.footer == nil && p.framing.message == nil {
		return false
	}
	end, _, _ := lineEnd(w, true)
	return p.framing.footer != nil && p.framing.footer.in(w[:end]) || p.framing.message != nil && p.framing.message.in(w[:end])
}

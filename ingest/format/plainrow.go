package format

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// plainRows reads records from w[pos:] for as long as they hold no surprises,
// and returns the position of the first line that it leaves to anyRow. It is
// the same reading in one pass over the bytes: what it accepts, anyRow would
// read alike, and it leaves everything else, all faults above all, untouched.
// w must end with a line feed, which no field is read past.
func (d *Decoder) plainRows(w []byte, pos int) int {
	for pos < len(w) {
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
	series, values := b.Series[n:n+width:cap(b.Series)], b.Value[n:n+width:cap(b.Value)]
	var us int64
	var quality []byte
	got := 0
	missing := int64(0)
	d.missed = d.missed[:0]
	guess := d.names.last.next
	q := pos // where the reading stands
	last := len(pl.fields) - 1
	i := 0
	if guess != nil && guess.prefix != nil && bytes.HasPrefix(w[pos:], guess.prefix) {
		q += len(guess.prefix)
		i = len(guess.cells)
	}
	for ; i <= last; i++ {
		f := &pl.fields[i]
		if f.run > 1 {
			var n int
			n, q = valueRun(w, q, delimiter, pl.bare, f.index, series[got:got+f.run], values[got:got+f.run])
			got += n
			i += n
			f = &pl.fields[i]
		}
		quoted := false
		if w[q] == quote && quote != 0 {
			quoted = true
			q++
		}
		switch f.role {
		case roleValue:
			x, after, state := d.plainCell(w, q, f.index, quoted)
			switch state {
			case cellLeft:
				return 0
			case cellNumber:
				series[got], values[got] = int32(f.index), x
				got++
			case cellMissing:
				missing++
			}
			q = after
		case roleStamp:
			if us, q = d.plainStamp(w, q, quoted, i < last); q < 0 || us < d.from || us > d.to {
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
			if q = fieldEnd(w, q, quoted, delimiter, quote); q < 0 {
				return 0
			}
			if !quoted && quoteComes(w[start:q], quote) {
				return 0
			}
			d.keys[f.index] = w[start:q]
		default:
			start := q
			if q = fieldEnd(w, q, quoted, delimiter, quote); q < 0 {
				return 0
			}
			if !quoted && quoteComes(w[start:q], quote) {
				return 0
			}
			if f.role == roleQuality {
				quality = w[start:q]
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
	if guess.left {
		return 0
	}
	if guess.table != nil && (!guess.turn(us) || !guess.table.convert(series[:got], values[:got])) {
		return 0
	}
	if quality != nil && !bytes.Equal(quality, d.quality) {
		if textFault(quality) != "" {
			return 0
		}
		d.quality = append(d.quality[:0], quality...)
	}

	// The row is whole; nothing that outlives it was touched so far.
	d.names.last = guess
	d.keep(us, got, missing, guess, quality)
	return q + 1
}

// What plainCell made of a cell.
type cellState uint8

const (
	cellLeft    cellState = iota // to anyRow
	cellNumber                   //
	cellMissing                  //
	cellText                     // of a column of text
)

// plainCell reads the cell of the value of index k, whose content begins at
// w[q], and returns where its content ends.
func (d *Decoder) plainCell(w []byte, q, k int, quoted bool) (x float64, after int, state cellState) {
	pl := d.plan
	dialect := &pl.profile.dialect
	delimiter, quote := dialect.delimiter, dialect.quote
	if !pl.textless && d.kinds[k] == kindText {
		if !quoted {
			return 0, 0, cellLeft
		}
		if after = fieldEnd(w, q, quoted, delimiter, quote); after < 0 {
			return 0, 0, cellLeft
		}
		return 0, after, cellText
	}
	decimal := pl.bare
	if quoted {
		decimal = pl.sign
	}
	for w[q] == ' ' {
		q++
	}
	v := &pl.values[k]
	x, after = scanNumber(w, q, decimal)
	plain := after != q && endsField(w[after], quoted, delimiter, quote)
	if plain && len(v.sentinels) == 0 {
		return x, after, cellNumber
	}
	if after = fieldEnd(w, q, quoted, delimiter, quote); after < 0 {
		return 0, 0, cellLeft
	}
	text := trim(w[q:after])
	missing := isMissing(text, v.missing)
	if !missing && !plain {
		var ok bool
		if x, ok = parseNumber(text, decimal); !ok {
			return 0, 0, cellLeft
		}
	}
	if missing || slices.Contains(v.sentinels, x) {
		if !pl.textless {
			d.missed = append(d.missed, k)
		}
		return 0, after, cellMissing
	}
	return x, after, cellNumber
}

// plainStamp reads the timestamp whose content begins at w[q] and returns where
// its content ends, or -1 when anyRow is to read it. delimited tells that it is
// not the last field.
func (d *Decoder) plainStamp(w []byte, q int, quoted, delimited bool) (us int64, after int) {
	pl := d.plan
	delimiter, quote := pl.profile.dialect.delimiter, pl.profile.dialect.quote
	if pl.next {
		us, after = pl.clock.next(w, q)
		if after != q && endsField(w[after], quoted, delimiter, quote) {
			return us, after
		}
	}
	if quoted || delimited {
		after = stampEnd(w, q, quoted, delimiter, quote)
	} else {
		after = fieldEnd(w, q, quoted, delimiter, quote)
	}
	if after < 0 {
		return 0, -1
	}
	us, read := pl.clock.micros(trim(w[q:after]))
	if read != readGood {
		return 0, -1
	}
	return us, after
}

// keep makes the readings that plainRow wrote behind the batch's its own, and
// counts their row.
func (d *Decoder) keep(us int64, got int, missing int64, names *naming, quality []byte) {
	pl, b := d.plan, d.batch
	n := len(b.Time)
	d.line++
	d.lines.Total++
	d.lines.Data++
	d.cells.Total += int64(got) + missing
	d.cells.Missing += missing
	for _, k := range d.missed {
		d.empty[k]++
	}
	if got > 0 {
		if delta := us - d.last; delta > jumpy || delta < -jumpy {
			d.leap(d.line, n)
		}
		d.last = us
	}
	times, series := b.Time[n:n+got], b.Series[n:n+got]
	for k := range times {
		times[k] = us
		index := series[k]
		if !pl.textless {
			d.kinds[index] = kindNumber
		}
		s := names.series[index]
		if s < 0 {
			s = names.of(int(index), pl, b)
		}
		series[k] = s
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
	if len(quality) > 0 && got > 0 {
		b.SetQuality(bare(quality))
	}
}

// valueRun reads the cells of neighbouring columns for as long as they are short
// numbers, up to as many as series and values have room for. It returns how many
// it read and where the next cell begins. The first is the value of index k.
func valueRun(w []byte, q int, delimiter, decimal byte, k int, series []int32, values []float64) (n, next int) {
	values = values[:len(series)]
	for n < len(series) && q+9 <= len(w) {
		i := q
		negative := w[q] == '-'
		if negative {
			i++
		}
		m, digits, fraction := shortNumber(binary.LittleEndian.Uint64(w[i:]), decimal)
		if i += digits; fraction > 0 {
			i++
		}
		if digits == 0 || w[i] != delimiter {
			break
		}
		v := float64(m) / pow10[fraction&7]
		if negative {
			v = -v
		}
		values[n], series[n] = v, int32(k+n)
		n++
		q = i + 1
	}
	return n, q
}

// endsField reports whether c stands where a field can end.
func endsField(c byte, quoted bool, delimiter, quote byte) bool {
	if quoted {
		return c == quote
	}
	return c == delimiter || c == '\n' || c == '\r'
}

// quoteComes reports whether a quote stands in field behind blanks.
func quoteComes(field []byte, quote byte) bool {
	if quote == 0 || len(field) == 0 || field[0] != ' ' && field[0] != '\t' {
		return false
	}
	field = trim(field)
	return len(field) > 0 && field[0] == quote
}

// fieldEnd returns where the field ends whose content begins at w[q]: at its
// closing quote, or at the delimiter or line ending. It returns -1 for a quoted
// field that goes on past its line.
func fieldEnd(w []byte, q int, quoted bool, delimiter, quote byte) int {
	if !quoted {
		for w[q] != delimiter && w[q] != '\n' && w[q] != '\r' {
			q++
		}
		return q
	}
	for w[q] != quote {
		if w[q] == '\n' || w[q] == '\r' {
			return -1
		}
		q++
	}
	return q
}

// stampEnd is fieldEnd for a timestamp before the last field: it is found
// quicker there. A text that goes on past its line is none in any layout.
func stampEnd(w []byte, q int, quoted bool, delimiter, quote byte) int {
	const most = 48
	end := delimiter
	if quoted {
		end = quote
	}
	if i := bytes.IndexByte(w[q:min(q+most, len(w))], end); i >= 0 {
		return q + i
	}
	return fieldEnd(w, q, quoted, delimiter, quote)
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

package format

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// valueRun reads the cells of neighbouring columns, those from f on, for as long
// as they are plain numbers; an empty one it reads and ends with. It returns how
// many it read and where the next begins.
func (d *Decoder) valueRun(w []byte, q int, f *field, r *plainReadings) (n, next int) {
	pl := d.plan
	delimiter := pl.profile.dialect.delimiter
	if q < maxNumeral {
		return 0, q
	}
	written := r.written[f.index : f.index+f.run]
	series, values := r.series[r.got:][:len(written)], r.values[r.got:][:len(written)]
	for n < len(written) {
		as := written[n].usual
		end := q + as.length
		if end >= len(w) {
			break
		}
		var x float64
		digits := binary.LittleEndian.Uint64(w[end-8:end:end])&as.low.ours ^ as.low.blank
		if as.length <= 8 && w[end] == delimiter && as.low.holds(digits) {
			x = float64(eightDigits(as.low.closed(digits))) / as.scale
			if written[n].missed {
				written[n].missed = false
			}
		} else if x, end = pl.numerals.read(w, q, pl.bare, &written[n]); end == q || w[end] != delimiter {
			break
		}
		if pl.guarded && !d.counts(f.index+n, x) {
			break
		}
		series[n], values[n] = int32(f.index+n), x
		n++
		q = end + 1
	}
	r.got += n
	if n < len(written) && w[q] == delimiter && !pl.guarded {
		r.missing++
		n++
		q++
	}
	return n, q
}

// pairRun reads the cells of values and of the qualities beside them, from f on,
// for as long as they are plain numbers, or empty, and plain texts. It returns how
// many pairs it read and where the next begins.
func (d *Decoder) pairRun(w []byte, q int, f *field, r *plainReadings) (n, next int) {
	pl := d.plan
	delimiter, quote := pl.profile.dialect.delimiter, pl.profile.dialect.quote
	if q < maxNumeral || pl.guarded {
		return 0, q
	}
	written := r.written[f.index : f.index+f.pairs]
	slots := pl.slots[f.index:][:len(written)]
	for n < len(written) {
		end, x, empty := q, 0.0, w[q] == delimiter
		if !empty {
			if x, end = pl.numerals.read(w, q, pl.bare, &written[n]); end == q || w[end] != delimiter {
				break
			}
		}
		text := end + 1
		if c := w[text]; c == quote || c == ' ' || c == '\t' {
			break
		}
		for end = text; w[end] != delimiter && w[end] != '\n' && w[end] != '\r'; {
			end++
		}
		if w[end] != delimiter {
			break
		}
		d.quality[slots[n]].text = w[text:end]
		if empty {
			r.missing++
		} else {
			r.add(f.index+n, x)
		}
		n++
		q = end + 1
	}
	return n, q
}

// counts reports whether the number x in a cell of the value of index k is a
// reading.
func (d *Decoder) counts(k int, x float64) bool {
	return (d.plan.textless || d.kinds[k] != kindText) && !slices.Contains(d.plan.values[k].sentinels, x)
}

// plainCell reads the cell of the value of index k, whose content begins at
// w[q], and returns where its content ends, or -1 when anyRow is to read it.
func (d *Decoder) plainCell(w []byte, q, k int, quoted bool, r *plainReadings) (after int) {
	pl := d.plan
	dialect := &pl.profile.dialect
	delimiter, quote := dialect.delimiter, dialect.quote
	if !pl.textless && d.kinds[k] == kindText {
		if !quoted {
			return -1
		}
		return fieldEnd(w, q, quoted, delimiter, quote)
	}
	for w[q] == ' ' {
		q++
	}
	decimal := pl.bare
	if quoted {
		decimal = pl.sign
	}
	v := &pl.values[k]
	if q >= maxNumeral && decimal == pl.bare {
		x, end := pl.numerals.read(w, q, decimal, &r.written[k])
		if end != q && endsField(w[end], quoted, delimiter, quote) {
			d.plainReading(k, x, r)
			return end
		}
	}
	if after = fieldEnd(w, q, quoted, delimiter, quote); after < 0 {
		return -1
	}
	text := trim(w[q:after])
	if isMissing(text, v.missing) {
		d.plainMissing(k, r)
		return after
	}
	x, ok := parseNumber(text, decimal)
	if !ok {
		return -1
	}
	d.plainReading(k, x, r)
	return after
}

// plainReading adds a number, unless it stands for a missing value.
func (d *Decoder) plainReading(k int, x float64, r *plainReadings) {
	if d.plan.guarded && slices.Contains(d.plan.values[k].sentinels, x) {
		d.plainMissing(k, r)
		return
	}
	r.add(k, x)
}

func (d *Decoder) plainMissing(k int, r *plainReadings) {
	r.missing++
	if !d.plan.textless {
		d.missed = append(d.missed, k)
	}
}

// plainStamp reads the timestamp whose content begins at w[q] and returns where
// its content ends, or -1 when anyRow is to read it. delimited tells that it is
// not the last field.
func (d *Decoder) plainStamp(w []byte, q int, quoted, delimited bool) (us int64, after int) {
	pl := d.plan
	if pl.profile.matrix {
		return d.plainDay(w, q, quoted, delimited)
	}
	if pl.next {
		us, after = pl.clock.next(w, q)
		if after != q && endsField(w[after], quoted, pl.profile.dialect.delimiter, pl.profile.dialect.quote) && us >= d.from && us <= d.to {
			return us, after
		}
	}
	if after = d.stampEnd(w, q, quoted, delimited); after < 0 {
		return 0, -1
	}
	us, read := pl.clock.micros(trim(w[q:after]))
	if read != readGood || us < d.from || us > d.to {
		return 0, -1
	}
	return us, after
}

// plainDay reads the date of a row of a matrix likewise, and returns when its day
// begins, when all its times are in the plausible window and the zone's clocks
// are not moved about then.
func (d *Decoder) plainDay(w []byte, q int, quoted, delimited bool) (us int64, after int) {
	pl := d.plan
	if after = d.stampEnd(w, q, quoted, delimited); after < 0 {
		return 0, -1
	}
	day, ok := pl.date(trim(w[q:after]))
	if !ok || mod(day.seconds, 86400) != 0 || day.micros != 0 {
		return 0, -1
	}
	offset := day.offset
	if !day.zoned {
		if day.seconds < pl.clock.from || day.seconds+86400 >= pl.clock.to {
			return 0, -1
		}
		offset = pl.clock.offset
	}
	us = (day.seconds - offset) * 1e6
	if us < d.from || us+86400e6 > d.to {
		return 0, -1
	}
	return us, after
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

// stampEnd is fieldEnd for a timestamp, which is found quicker before the last
// field. A text that goes on past its line is none in any layout.
func (d *Decoder) stampEnd(w []byte, q int, quoted, delimited bool) int {
	const most = 48
	delimiter, quote := d.plan.profile.dialect.delimiter, d.plan.profile.dialect.quote
	if quoted || delimited {
		end := delimiter
		if quoted {
			end = quote
		}
		if i := bytes.IndexByte(w[q:min(q+most, len(w))], end); i >= 0 {
			return q + i
		}
	}
	return fieldEnd(w, q, quoted, delimiter, quote)
}

// textEnd is fieldEnd for a text that is no number; -1 also where a quote
// stands in it behind blanks.
func textEnd(w []byte, q int, quoted bool, delimiter, quote byte) int {
	end := fieldEnd(w, q, quoted, delimiter, quote)
	if !quoted && end > q && quoteComes(w[q:end], quote) {
		return -1
	}
	return end
}

package format

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

// A numeral is a way to write a number: with which sign, with how many digits
// before the decimal sign and how many behind it. The numbers of a series are
// mostly written alike, so that of the next one it is known in advance where it
// ends and where its digits are, and it can be read without looking for either:
// the next cell need not wait for that.
type numeral struct {
	length    int // in bytes
	low, high half
	spill     uint64  // what of the last digit of high goes over to low
	scale     float64 // by this its digits as an integer are divided; negative for a negative number
}

// A half is eight bytes that hold the end of a number, or what stands before
// them: the first byte in the lowest.
type half struct {
	ours  uint64 // all bits of the bytes that are of the number
	blank uint64 // what stands in them where all digits are 0
	over  uint64 // added to what is left, it carries into the top bit of a byte that cannot stand there
	stay  uint64 // all bits of the digits behind the decimal sign
	move  uint64 // and of those before it, which close the gap that it leaves
}

// The longest numerals: their digits are all in two halves, and any integer of
// so many is exact in a float64.
const (
	maxNumeral = 16
	maxDigits  = 15
)

// read reads the number of w that is written so and ends before w[end]. There
// must be maxNumeral bytes of w before that. ok is false when another stands
// there, or none.
func (n *numeral) read(w []byte, end int) (v float64, ok bool) {
	x := binary.LittleEndian.Uint64(w[end-8:end:end])&n.low.ours ^ n.low.blank
	if !n.low.holds(x) {
		return 0, false
	}
	x = n.low.closed(x)
	if n.length <= 8 {
		return float64(eightDigits(x)) / n.scale, true
	}
	y := binary.LittleEndian.Uint64(w[end-16:end-8:end-8])&n.high.ours ^ n.high.blank
	if !n.high.holds(y) {
		return 0, false
	}
	x |= y >> 56 & n.spill
	return float64(eightDigits(n.high.closed(y))*1e8+eightDigits(x)) / n.scale, true
}

// holds reports whether x, which is bytes less the blank of h, is what h can be.
func (h *half) holds(x uint64) bool { return (x+h.over|x)&0x8080_8080_8080_8080 == 0 }

// closed closes the gap among digits that the decimal sign left.
func (h *half) closed(x uint64) uint64 { return x&h.stay | x&h.move<<8 }

// eightDigits returns the number whose digits are the bytes of y, the first in
// the lowest. Neighbours are added up: digits, pairs, fours.
func eightDigits(y uint64) uint64 {
	y = y * (10<<8 + 1) >> 8 & 0x00ff_00ff_00ff_00ff
	y = y * (100<<16 + 1) >> 16 & 0x0000_ffff_0000_ffff
	return y * (10000<<32 + 1) >> 32
}

// numerals are all there are of one decimal sign, by sign, digits before it and
// digits behind it.
type numerals [3][maxDigits + 1][maxDigits + 1]numeral

// withPoint and withComma return the numerals of a decimal sign.
var (
	withPoint = sync.OnceValue(func() *numerals { return numeralsOf('.') })
	withComma = sync.OnceValue(func() *numerals { return numeralsOf(',') })
)

func numeralsOf(decimal byte) *numerals {
	all := &numerals{}
	for sign, text := range [...]string{"", "-", "+"} {
		for whole := range maxDigits + 1 {
			for fraction := range maxDigits + 1 - whole {
				if whole+fraction > 0 {
					all[sign][whole][fraction].make(text, whole, fraction, decimal)
				}
			}
		}
	}
	return all
}

func (n *numeral) make(sign string, whole, fraction int, decimal byte) {
	n.scale = pow10[fraction]
	if sign == "-" {
		n.scale = -n.scale
	}
	text := []byte(sign)
	for range whole {
		text = append(text, '0')
	}
	if fraction > 0 {
		text = append(text, decimal)
	}
	for range fraction {
		text = append(text, '0')
	}
	if len(text) > maxNumeral {
		return // of length 0, which of never returns
	}
	n.length = len(text)
	behind := len(text) - fraction
	for i, c := range text {
		h, at := &n.low, 8*(8-len(text)+i)
		if at < 0 {
			h, at = &n.high, at+64
		}
		h.ours |= 0xff << at
		h.blank |= uint64(c) << at
		switch {
		case c != '0':
			h.over |= 0x7f << at
			continue
		case fraction > 0 && i < behind:
			h.move |= 0xff << at
		default:
			h.stay |= 0xff << at
		}
		h.over |= (0x7f - 9) << at
	}
	if n.high.move != 0 && n.high.stay == 0 && fraction < 8 {
		n.spill = 0xff
	}
}

// read reads the number that begins at w[p] and returns it with the position
// after it, which is not the end of w; p itself when there is none, or one of
// another form. maxNumeral bytes must stand before p. o is how the numbers before
// it were written.
func (all *numerals) read(w []byte, p int, decimal byte, o *wont) (v float64, end int) {
	if v, end = o.usual.ends(w, p, decimal); end != p {
		o.missed = false
		return v, end
	}
	return all.unusual(w, p, decimal, o)
}

// unusual is read for a number that is not written as usual.
func (all *numerals) unusual(w []byte, p int, decimal byte, o *wont) (v float64, end int) {
	v, end = o.other.ends(w, p, decimal)
	if end == p {
		n := all.of(w, p, decimal)
		if n == nil {
			return 0, p
		}
		if v, end = n.ends(w, p, decimal); end == p {
			return 0, p
		}
		o.other = n
	}
	if o.missed {
		o.usual, o.other = o.other, o.usual
	}
	o.missed = !o.missed
	return v, end
}

// ends reads the number at w[p] if it is written as n, and returns it with the
// position after it, where no more digits stand; else p.
func (n *numeral) ends(w []byte, p int, decimal byte) (v float64, end int) {
	end = p + n.length
	if end >= len(w) || w[end]-'0' <= 9 || w[end] == decimal {
		return 0, p
	}
	v, ok := n.read(w, end)
	if !ok {
		return 0, p
	}
	return v, end
}

// of returns how the number is written that begins at w[p], nil where there is
// none or one of another form. What follows it is not looked at.
func (all *numerals) of(w []byte, p int, decimal byte) *numeral {
	sign := 0
	switch w[p] {
	case '-':
		sign = 1
		p++
	case '+':
		sign = 2
		p++
	}
	whole := leadingDigits(w, p)
	fraction := 0
	if p += whole; p < len(w) && w[p] == decimal {
		if fraction = leadingDigits(w, p+1); fraction == 0 {
			return nil
		}
	}
	if whole+fraction == 0 || whole+fraction > maxDigits {
		return nil
	}
	if n := &all[sign][whole][fraction]; n.length > 0 {
		return n
	}
	return nil
}

// A wont is how the numbers of a series are written, and how some are: one that
// is written otherwise now and then changes nothing, two that follow one another
// do.
type wont struct {
	usual, other *numeral
	missed       bool // the last one was not written as usual
}

// leadingDigits counts the digits that stand at w[p], up to sixteen.
func leadingDigits(w []byte, p int) (n int) {
	const lows, tops = 0x0101_0101_0101_0101, 0x8080_8080_8080_8080
	for n < 16 && p+n+8 <= len(w) {
		y := binary.LittleEndian.Uint64(w[p+n:]) ^ '0'*lows
		if others := (y + (0x7f-9)*lows | y) & tops; others != 0 {
			return n + bits.TrailingZeros64(others)/8
		}
		n += 8
	}
	for n < 16 && p+n < len(w) && w[p+n]-'0' <= 9 {
		n++
	}
	return n
}

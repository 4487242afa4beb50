package format

import (
	"math"
	"strconv"
)

// pow10 holds the powers of ten that a float64 holds exactly.
var pow10 = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// noSign is the decimal sign of cells that can have none. It is a digit, which
// no reader of numbers takes for a sign; a zero byte might stand in the cell.
const noSign = '0'

// exactMantissa is the first integer that a float64 may not hold exactly.
const exactMantissa = 1 << 53

// plainNumber reads all of b as digits with a sign before them or none, and a
// decimal sign among or around them or none, where the quotient of the digits
// and a power of ten is the number exactly as strconv rounds it. ok is false for
// what only strconv can read, and for what is no number.
func plainNumber(b []byte, decimal byte) (v float64, ok bool) {
	i := 0
	negative := len(b) > 0 && b[0] == '-'
	if negative || len(b) > 0 && b[0] == '+' {
		i++
	}
	var m uint64
	first, behind := i, -1 // where the digits begin, and those behind the decimal sign
	for ; i < len(b); i++ {
		if c := b[i] - '0'; c <= 9 {
			m = m*10 + uint64(c)
		} else if b[i] == decimal && behind < 0 {
			behind = i + 1
		} else {
			return 0, false
		}
	}
	digits, fraction := i-first, 0
	if behind >= 0 {
		digits--
		fraction = i - behind
	}
	// Up to 18 digits m has not overflowed. An integer below 2^53 and a power
	// of ten up to 1e22 are exact, so that their quotient is rounded once, as
	// strconv rounds it.
	if digits == 0 || digits > 18 || m >= exactMantissa {
		return 0, false
	}
	v = float64(m) / pow10[fraction]
	if negative {
		v = -v
	}
	return v, true
}

// parseNumber reads all of b as a finite decimal number: an optional sign,
// digits with at most one decimal sign among or around them, and an optional
// power of ten ("-12.5", ".5", "5.", "1.2E-3"). Nothing else is a number:
// no hexadecimal, no underscores, no "inf" and no "nan". The result is bit for
// bit that of strconv.ParseFloat with the decimal sign written as a point.
func parseNumber(b []byte, decimal byte) (float64, bool) {
	if v, ok := plainNumber(b, decimal); ok {
		return v, true
	}
	point, ok := numberShape(b, decimal)
	if !ok {
		return 0, false
	}
	// The conversion stays on the stack for all but absurdly long numbers.
	var short [64]byte
	s := append(short[:0], b...)
	if point >= 0 {
		s[point] = '.'
	}
	v, err := strconv.ParseFloat(string(s), 64)
	if err != nil || math.IsInf(v, 0) {
		return 0, false
	}
	return v, true
}

// numberShape reports whether b is written as a decimal number, and where its
// decimal sign is, or -1.
func numberShape(b []byte, decimal byte) (point int, ok bool) {
	point = -1
	i := 0
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	digits := 0
	for ; i < len(b); i++ {
		if b[i]-'0' <= 9 {
			digits++
		} else if b[i] == decimal && point < 0 {
			point = i
		} else {
			break
		}
	}
	if digits == 0 {
		return -1, false
	}
	if i == len(b) {
		return point, true
	}
	if b[i] != 'e' && b[i] != 'E' {
		return -1, false
	}
	i++
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	first := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return point, i == len(b) && i > first
}

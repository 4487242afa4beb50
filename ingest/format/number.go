package format

import (
	"encoding/binary"
	"math"
	"math/bits"
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

// scanNumber reads the plain decimal number that begins at w[p] and returns
// it with the position after it. It returns p itself when there is none, or one
// that only parseNumber can read. w must hold, at or after p, a byte that is
// neither a digit nor the decimal sign.
func scanNumber(w []byte, p int, decimal byte) (float64, int) {
	i := p
	negative := false
	switch w[i] {
	case '-':
		negative = true
		i++
	case '+':
		i++
	}
	if i+8 <= len(w) {
		if m, digits, fraction := shortNumber(binary.LittleEndian.Uint64(w[i:]), decimal); digits > 0 {
			v := float64(m) / pow10[fraction&7]
			if fraction > 0 {
				digits++
			}
			if negative {
				v = -v
			}
			return v, i + digits
		}
	}
	start := i
	var m uint64
	for {
		c := w[i] - '0'
		if c > 9 {
			break
		}
		m = m*10 + uint64(c)
		i++
	}
	digits, fraction := i-start, 0
	if w[i] == decimal {
		i++
		start = i
		for {
			c := w[i] - '0'
			if c > 9 {
				break
			}
			m = m*10 + uint64(c)
			i++
		}
		fraction = i - start
		digits += fraction
	}
	// Up to 18 digits m has not overflowed. An integer below 2^53 and a power
	// of ten up to 1e22 are exact, so that their quotient is rounded once, as
	// strconv rounds it.
	if digits == 0 || digits > 18 || m >= exactMantissa {
		return 0, p
	}
	v := float64(m)
	if fraction > 0 {
		v /= pow10[fraction]
	}
	if negative {
		v = -v
	}
	return v, i
}

// shortNumber reads the number that the eight bytes of x begin with, the first
// in the lowest, when it ends among them: its digits as an integer, how many
// there are, and how many of them are behind the decimal sign. It looks at all
// eight at once, since the lengths of numbers cannot be foretold and a loop over
// them would mostly leave by a mispredicted branch. digits is 0 for what is
// longer, or none.
func shortNumber(x uint64, decimal byte) (m uint64, digits, fraction int) {
	const lows = 0x0101_0101_0101_0101
	y := x ^ '0'*lows                                 // digits become 0 to 9
	others := (y + (0x7f-9)*lows | y) & (0x80 * lows) // top bit of bytes that are no digits
	if others == 0 {
		return 0, 0, 0
	}
	i := bits.TrailingZeros64(others) &^ 7 // bits before the first of them
	if byte(x>>i) == decimal {
		others &= others - 1
		if others == 0 {
			return 0, 0, 0
		}
		j := bits.TrailingZeros64(others) &^ 7
		fraction = (j-i)/8 - 1
		if fraction == 0 {
			return 0, 0, 0 // "5." is left to the loop
		}
		// Close the gap that the sign leaves.
		low := uint64(1)<<i - 1
		y = y&low | y>>8&^low
		i = j - 8
	}
	if i == 0 {
		return 0, 0, 0
	}
	// The last digit goes to the top; zeros come in before the first. Then
	// neighbours are added up: digits, pairs, fours.
	y <<= 64 - i
	y = y * (10<<8 + 1) >> 8 & 0x00ff_00ff_00ff_00ff
	y = y * (100<<16 + 1) >> 16 & 0x0000_ffff_0000_ffff
	y = y * (10000<<32 + 1) >> 32
	return y, i / 8, fraction
}

// parseNumber reads all of b as a finite decimal number: an optional sign,
// digits with at most one decimal sign among or around them, and an optional
// power of ten ("-12.5", ".5", "5.", "1.2E-3"). Nothing else is a number:
// no hexadecimal, no underscores, no "inf" and no "nan". The result is bit for
// bit that of strconv.ParseFloat with the decimal sign written as a point.
func parseNumber(b []byte, decimal byte) (float64, bool) {
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

package format

import "math/bits"

// readEpoch reads a count of units, with or without a fraction.
func readEpoch(b []byte, unit int64) (w wall, ok bool) {
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		b = b[1:]
	}
	n, digits := int64(0), 0
	for digits < len(b) && b[digits]-'0' <= 9 {
		n = n*10 + int64(b[digits]-'0')
		if digits++; digits > 18 {
			return w, false
		}
	}
	const most = 1 << 62
	if digits == 0 || n > most/unit {
		return w, false
	}
	us, scale := n*unit, unit
	if b = b[digits:]; len(b) > 1 && (b[0] == '.' || b[0] == ',') {
		for _, c := range b[1:] {
			if c-'0' > 9 {
				return w, false
			}
			scale /= 10
			us += int64(c-'0') * scale
		}
	} else if len(b) > 0 {
		return w, false
	}
	if negative {
		us = -us
	}
	w.seconds, w.micros = us/1e6, us%1e6
	w.zoned = true
	return w, true
}

// excelEpoch is the day from which Excel's serials of the 1900 date system
// count, in days since 1970-01-01. Excel takes 1900 for a leap year, so that its
// day 1 is 1900-01-01 and all days from 1900-03-01 on, day 61, count from
// 1899-12-30 (Microsoft, "Excel incorrectly assumes that the year 1900 is a leap
// year"; ECMA-376 part 1, 18.17.4.1).
const excelEpoch = -25569

// readExcel reads an Excel serial: days and their fraction. The days up to 60,
// about which Excel is wrong, and those after 9999-12-31 are none.
//
// A serial has as many decimals as somebody found enough: 45292.0104167 means a
// quarter of an hour past midnight, and says 3 ms more. Where a whole second
// lies within half a unit of the last decimal, and that is less than half a
// second, it is meant; otherwise the fraction is rounded to the nearest
// microsecond, half up.
func readExcel(b []byte) (w wall, ok bool) {
	day, n := int64(0), 0
	for n < len(b) && n < 8 && b[n]-'0' <= 9 {
		day = day*10 + int64(b[n]-'0')
		n++
	}
	if n == 0 || day < 61 || day > 2958465 {
		return w, false
	}
	micros := uint64(0)
	if b = b[n:]; len(b) > 0 {
		if len(b) < 2 || b[0] != '.' && b[0] != ',' {
			return w, false
		}
		fraction, unit := uint64(0), uint64(1) // fraction/unit of a day
		for _, c := range b[1:] {
			if c-'0' > 9 {
				return w, false
			}
			if unit < 1e18 {
				fraction, unit = fraction*10+uint64(c-'0'), unit*10
			}
		}
		micros = dayFraction(fraction, unit)
	}
	w.seconds = (day+excelEpoch)*86400 + int64(micros/1e6)
	w.micros = int64(micros % 1e6)
	return w, true
}

// dayFraction returns fraction/unit of a day in microseconds, rounded as
// readExcel says.
func dayFraction(fraction, unit uint64) uint64 {
	const day = 86400e6
	micros := func(f uint64) uint64 {
		hi, lo := bits.Mul64(f, day)
		lo, carry := bits.Add64(lo, unit/2, 0)
		q, _ := bits.Div64(hi+carry, lo, unit)
		return q
	}
	exact := micros(fraction)
	half := day / unit / 2 // of the last decimal's unit
	if second := (exact + 5e5) / 1e6 * 1e6; half < 5e5 && max(second, exact)-min(second, exact) <= half {
		return second
	}
	return exact
}

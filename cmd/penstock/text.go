package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// printable returns s with all in it that a terminal might obey, or that is
// not text, written as \xNN. Names and reasons carry what came from outside.
func printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if unprintable(r) {
			for _, c := range []byte(s[:n]) {
				fmt.Fprintf(&b, `\x%02X`, c)
			}
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

// printableLines is printable for a text that may have several lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = printable(strings.ReplaceAll(line, "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

// count returns n with its thousands set apart.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// counted returns n and its noun: "1 file", "2 files".
func counted(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return count(n) + " " + noun
}

// byteSize returns n in the largest decimal unit that it fills.
func byteSize(n int64) string {
	if n < 1000 {
		return counted(n, "byte")
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 5 {
		v /= 1000
		unit++
	}
	return fmt.Sprintf("%.3g %cB", v, "_kMGTP"[unit])
}

// rate returns n per second, as exact as a rate is worth.
func rate(n int64, seconds float64) string {
	if seconds <= 0 {
		return "-"
	}
	r := float64(n) / seconds
	if r < 100 {
		return strconv.FormatFloat(r, 'g', 2, 64) + "/s"
	}
	step := math.Pow(10, math.Floor(math.Log10(r))-2)
	return count(int64(math.Round(r/step)*step)) + "/s"
}

// moment returns a time to the second, "-" for none; all times are UTC.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateTime)
}

// exactly returns a time with all its digits and its zone.
func exactly(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// span returns a duration in the two largest units that it fills.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + span(-d)
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d >= time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	}
	return d.Round(time.Millisecond).String()
}

// A stamp is a time in JSON and CSV: RFC 3339 in UTC, and nothing for none.
type stamp struct{ time.Time }

// MarshalJSON writes null for no time.
func (s stamp) MarshalJSON() ([]byte, error) {
	if s.IsZero() {
		return []byte("null"), nil
	}
	return strconv.AppendQuote(nil, exactly(s.Time)), nil
}

// MarshalCSV writes an empty field for no time.
func (s stamp) MarshalCSV() (string, error) {
	if s.IsZero() {
		return "", nil
	}
	return exactly(s.Time), nil
}

// parseMoment reads a time of the command line: a date, a date with a time of
// day, or with an offset as well. What has no offset is in zone.
func parseMoment(s string, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", "2006-01-02 15:04:05.999999999",
		"2006-01-02T15:04", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t.UTC(), nil
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02 15:04Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time: write it like 2026-03-29, '2026-03-29 01:15' or 2026-03-29T01:15:00Z", s)
}

// parseSpan reads a duration as Go does, and with d for days.
func parseSpan(s string) (time.Duration, error) {
	days, rest := 0.0, s
	if before, after, ok := strings.Cut(s, "d"); ok {
		var err error
		if days, err = strconv.ParseFloat(before, 64); err != nil {
			return 0, fmt.Errorf("%q is not a duration: write it like 36h, 90m or 7d", s)
		}
		if rest = after; rest == "" {
			rest = "0s"
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || days < 0 || days > 100_000 {
		return 0, fmt.Errorf("%q is not a duration: write it like 36h, 90m or 7d", s)
	}
	if d += time.Duration(days * 24 * float64(time.Hour)); d < 0 {
		return 0, fmt.Errorf("%q is longer than 290 years", s)
	}
	return d, nil
}

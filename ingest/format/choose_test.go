package format

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// stamped writes n instants that far apart in a layout of package time.
func stamped(layout string, from time.Time, step time.Duration, n int) (texts [][]byte) {
	for i := range n {
		texts = append(texts, []byte(from.Add(time.Duration(i)*step).Format(layout)))
	}
	return texts
}

func TestChooseLayout(t *testing.T) {
	const dmy, mdy = "02/01/2006 15:04", "01/02/2006 15:04"
	day := func(m time.Month, d, hour int) time.Time { return time.Date(2024, m, d, hour, 0, 0, 0, time.UTC) }
	months := func(layout string) (texts [][]byte) {
		for m := range 8 {
			texts = append(texts, []byte(day(time.Month(m+1), 4, 0).Format(layout)))
		}
		return texts
	}
	with := func(texts [][]byte, at int, more ...string) [][]byte {
		texts = slices.Clone(texts)
		for _, s := range more {
			texts = slices.Insert(texts, at, []byte(s))
		}
		return texts
	}
	backward := stamped(dmy, day(4, 3, 20), 15*time.Minute, 40)
	slices.Reverse(backward)
	for _, c := range []struct {
		name    string
		layouts []string
		texts   [][]byte
		want    string
	}{
		{"a day after the 12th", []string{dmy, mdy}, stamped(dmy, day(4, 12, 22), time.Hour, 5), "[0] 2 1 0"},
		{"one within a day", []string{dmy, mdy}, stamped(dmy, day(4, 3, 0), 15*time.Minute, 96), "[0 1] -1 0 0"},
		{"steps over midnight", []string{mdy, dmy}, stamped(dmy, day(4, 3, 22), 15*time.Minute, 20), "[1] 8 2 0"},
		{"steps over midnight, the other order", []string{mdy, dmy}, stamped(mdy, day(4, 3, 22), 15*time.Minute, 20), "[0] 8 2 0"},
		{"steps backward over midnight", []string{mdy, dmy}, backward, "[1] 24 2 0"},
		{"two rows prove nothing", []string{mdy, dmy}, stamped(dmy, day(4, 3, 23), time.Hour, 2), "[0 1] -1 0 0"},
		{"daily or monthly", []string{mdy, dmy}, stamped(dmy, day(4, 1, 0), 24*time.Hour, 8), "[0 1] -1 0 0"},
		{"monthly or daily", []string{dmy, mdy}, months(dmy), "[0 1] -1 0 0"},
		{"both agree", []string{dmy, mdy}, stamped(dmy, day(4, 4, 0), 15*time.Minute, 90), "[0] -1 0 0"},
		{"both orders are proved", []string{dmy, mdy}, [][]byte{[]byte("13/04/2024 00:00"), []byte("04/13/2024 00:00")}, "[] 1 1 0"},
		{"what none reads says nothing", []string{dmy, mdy}, with(stamped(dmy, day(4, 12, 22), time.Hour, 5), 0, "n/a", "total"), "[0] 4 1 2"},
		{"two digits of the year", []string{"06/01/02 15:04", "02/01/06 15:04", "01/02/06 15:04"}, stamped("02/01/06 15:04", day(4, 3, 22), 15*time.Minute, 20), "[1] 8 2 0"},
		{"an outage over midnight", []string{dmy, mdy}, append(stamped(dmy, day(4, 3, 20), 15*time.Minute, 4), stamped(dmy, day(4, 5, 7), 15*time.Minute, 4)...), "[0 1] -1 0 0"},
		{"several series at one time", []string{mdy, dmy}, twice(stamped(dmy, day(4, 3, 22), 15*time.Minute, 20)), "[1] 16 2 0"},
		{"no rows", []string{dmy, mdy}, nil, "[0] -1 0 0"},
	} {
		var layouts []*layout
		for _, text := range c.layouts {
			l, err := compileLayout(text)
			if err != nil {
				t.Fatal(err)
			}
			layouts = append(layouts, l)
		}
		got := chooseLayout(layouts, c.texts)
		if s := fmt.Sprint(got.remain, got.proof, got.how, got.unread); s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
	}
}

func twice(texts [][]byte) (all [][]byte) {
	for _, text := range texts {
		all = append(all, text, slices.Clone(text))
	}
	return all
}

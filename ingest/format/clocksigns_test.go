package format

import (
	"slices"
	"testing"
	"time"
)

func TestClockEvidence(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	// rows writes the clock of a zone every step from hours before an instant to
	// hours after.
	rows := func(at time.Time, clock *time.Location, step time.Duration, hours int) (walls []int64) {
		for i := at.Add(time.Duration(-hours) * time.Hour); i.Before(at.Add(time.Duration(hours) * time.Hour)); i = i.Add(step) {
			walls = append(walls, i.Unix()+offsetAt(i.In(clock)))
		}
		return walls
	}
	reversed := func(walls []int64) []int64 {
		walls = slices.Clone(walls)
		slices.Reverse(walls)
		return walls
	}
	spring, autumn := time.Date(2024, 3, 31, 1, 0, 0, 0, time.UTC), time.Date(2024, 10, 27, 1, 0, 0, 0, time.UTC)
	year := slices.Concat(rows(spring, london, time.Hour, 100), rows(autumn, london, time.Hour, 100))
	fixed := slices.Concat(rows(spring, time.UTC, time.Hour, 100), rows(autumn, time.UTC, time.Hour, 100))
	without := slices.DeleteFunc(slices.Clone(fixed), func(w int64) bool { return w == spring.Unix() })
	for _, c := range []struct {
		name               string
		walls              []int64
		want               clockSigns
		daylight, standard bool
	}{
		{"clocks went forward", rows(spring, london, 15*time.Minute, 4), clockSigns{16, -1, -1, -1}, true, false},
		{"clocks went back", rows(autumn, london, 15*time.Minute, 4), clockSigns{-1, 16, -1, -1}, true, false},
		{"clocks went back, newest first", reversed(rows(autumn, london, 15*time.Minute, 4)), clockSigns{-1, 15, -1, -1}, true, false},
		{"a year of both", year, clockSigns{100, 300, -1, -1}, true, false},
		{"the clock stays in spring", rows(spring, time.UTC, 15*time.Minute, 4), clockSigns{-1, -1, 16, -1}, false, true},
		{"the clock stays in autumn", rows(autumn, time.UTC, 15*time.Minute, 4), clockSigns{-1, -1, -1, 16}, false, true},
		{"the clock stays all year", fixed, clockSigns{-1, -1, 100, 300}, false, true},
		{"an outage of just that hour", without, clockSigns{100, -1, -1, 299}, false, false},
		{"no change of the clock", rows(spring.AddDate(0, 1, 0), london, time.Hour, 100), clockSigns{-1, -1, -1, -1}, false, false},
		{"one row", []int64{spring.Unix()}, clockSigns{-1, -1, -1, -1}, false, false},
	} {
		got := clockEvidence(c.walls, london)
		if got != c.want || got.daylight() != c.daylight || got.standard() != c.standard {
			t.Errorf("%s: %+v, daylight %v, standard %v, want %+v", c.name, got, got.daylight(), got.standard(), c.want)
		}
	}
}

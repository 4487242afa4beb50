package format

import (
	"slices"
	"time"
)

// A clockSigns is what rows show of the clock that wrote them, held against a
// zone: whether it was moved with the zone's clocks, or keeps one offset all
// year. Its fields are indexes of rows, -1 for none.
type clockSigns struct {
	skips   int // the first row behind an hour that the zone skipped and the rows do not have, though they are regular on both sides
	repeats int // the first row of the second pass of an hour that the zone showed twice
	stands  int // a row in an hour that the zone skipped
	single  int // a row of an hour that the zone showed twice, and the rows, regular on both sides, have once
}

// daylight reports whether the rows follow the zone's daylight saving time, and
// nothing speaks against it.
func (s clockSigns) daylight() bool {
	return (s.skips >= 0 || s.repeats >= 0) && s.stands < 0 && s.single < 0
}

// standard reports whether the rows keep one offset all year, and nothing speaks
// against it.
func (s clockSigns) standard() bool {
	return (s.stands >= 0 || s.single >= 0) && s.skips < 0 && s.repeats < 0
}

// clockEvidence looks at the wall times of one series, in seconds as if they were
// UTC and in the order of the file, for what they show at the changes of the
// zone's clocks.
func clockEvidence(walls []int64, zone *time.Location) clockSigns {
	s := clockSigns{-1, -1, -1, -1}
	if len(walls) < 2 {
		return s
	}
	if backwards(walls) { // the newest first
		walls = slices.Clone(walls)
		slices.Reverse(walls)
		s = signsOf(walls, zone)
		for _, at := range []*int{&s.skips, &s.repeats, &s.stands, &s.single} {
			if *at >= 0 {
				*at = len(walls) - 1 - *at
			}
		}
		return s
	}
	return signsOf(walls, zone)
}

func backwards(walls []int64) bool {
	down := 0
	for i := 1; i < len(walls); i++ {
		switch {
		case walls[i] < walls[i-1]:
			down++
		case walls[i] > walls[i-1]:
			down--
		}
	}
	return down > 0
}

func signsOf(walls []int64, zone *time.Location) clockSigns {
	s := clockSigns{-1, -1, -1, -1}
	step := usualStep(walls)
	note := func(into *int, row int) {
		if *into < 0 {
			*into = row
		}
	}
	first, last := slices.Min(walls), slices.Max(walls)
	for _, c := range changesBetween(first, last, zone) {
		// The rows from just before the hour to just behind it, as the wall shows them.
		from := slices.IndexFunc(walls, func(w int64) bool { return w >= c.from })
		if from < 0 {
			continue
		}
		if c.skipped {
			switch {
			case walls[from] < c.to:
				note(&s.stands, from)
			case step > 0 && step <= c.to-c.from && from > 0 && walls[from]-walls[from-1] == step+c.to-c.from:
				note(&s.skips, from)
			}
			continue
		}
		inside, repeated := 0, -1
		seen := make(map[int64]bool)
		for i := from; i < len(walls) && walls[i] < c.to; i++ {
			if repeated < 0 && (seen[walls[i]] || i > from && walls[i] < walls[i-1] && walls[i] >= c.from) {
				repeated = i
			}
			seen[walls[i]] = true
			inside++
		}
		end := from + inside
		switch {
		case repeated >= 0:
			note(&s.repeats, repeated)
		case inside > 0 && step > 0 && from > 0 && end < len(walls) && walls[from]-walls[from-1] == step && walls[end]-walls[end-1] == step &&
			step <= c.to-c.from && int64(inside) == (c.to-c.from)/step:
			note(&s.single, from)
		}
	}
	return s
}

// A clockChange is an hour that a zone's clocks skipped or showed twice, in wall
// time, to exclusive.
type clockChange struct {
	from, to int64
	skipped  bool
}

// changesBetween lists the changes of a zone's clocks between two wall times.
func changesBetween(first, last int64, zone *time.Location) (list []clockChange) {
	const day, most = 86400, 1000
	at := time.Unix(first-day, 0).In(zone)
	for range most {
		_, end := at.ZoneBounds()
		if !end.IsZero() && !end.After(at) { // at the turn of years far ahead, a stretch ends where it begins
			at = at.Add(day * time.Second)
			continue
		}
		if end.IsZero() || end.Unix() > last+day {
			break
		}
		before, after := offsetAt(end.Add(-time.Second)), offsetAt(end)
		if before != after {
			list = append(list, clockChange{from: end.Unix() + min(before, after), to: end.Unix() + max(before, after), skipped: after > before})
		}
		at = end
	}
	return list
}

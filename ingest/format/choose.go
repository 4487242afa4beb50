package format

import (
	"slices"
	"time"
)

// A choice is what timestamps say of the layouts that they may all be written
// in.
type choice struct {
	remain []int // the layouts that are left, by index; of those that read everything alike, the first
	proof  int   // the text that rules out the last of the others, or that no layout before could read; -1 when nothing does
	how    proof
	unread int // texts that none of the layouts reads, and that say nothing
}

// A proof is what a choice rests on.
type proof uint8

const (
	proofNone  proof = iota // there was nothing to choose, or nothing to tell by
	proofValue              // a text that the others cannot read: a day after the 12th
	proofSteps              // the steps from row to row, which are regular in one of them
)

// certain reports whether one layout is left.
func (c *choice) certain() bool { return len(c.remain) == 1 }

// chooseLayout finds in which one of the layouts all of the texts are written,
// which are in the order of their rows. A layout that some text is not written
// in is out; where several are left that disagree, the steps between neighbours
// decide, if they are regular in one and in none of the others. When no layout
// reads all that some layout reads, none is left.
func chooseLayout(layouts []*layout, texts [][]byte) choice {
	c := choice{proof: -1}
	alive := make([]bool, len(layouts))
	for i := range alive {
		alive[i] = true
	}
	var read [][]byte
	var at []int // of read, the index in texts
	left := len(layouts)
	reads := make([]bool, len(layouts))
	for t, text := range texts {
		// Nearly all of the layouts are out after the first rows, and one that is
		// out matters only when none that is left reads a text.
		some := 0
		for i, l := range layouts {
			if reads[i] = false; alive[i] {
				_, reads[i] = l.read(text)
			}
			if reads[i] {
				some++
			}
		}
		if some == 0 && !slices.ContainsFunc(layouts, func(l *layout) bool { _, ok := l.read(text); return ok }) {
			c.unread++
			continue
		}
		read, at = append(read, text), append(at, t)
		for i := range alive {
			if alive[i] && !reads[i] {
				alive[i] = false
				left--
				c.proof, c.how = t, proofValue
			}
		}
		if left == 0 {
			return c
		}
	}
	if len(read) == 0 {
		c.proof, c.how = -1, proofNone
	}
	var instants [][]int64
	for i, ok := range alive {
		if !ok {
			continue
		}
		these := instantsOf(layouts[i], read)
		if !slices.ContainsFunc(instants, func(others []int64) bool { return slices.Equal(others, these) }) {
			instants, c.remain = append(instants, these), append(c.remain, i)
		}
	}
	if len(c.remain) == 1 {
		return c
	}
	c.proof, c.how = -1, proofNone
	if winner, row := regular(instants); winner >= 0 {
		c.remain = c.remain[winner : winner+1]
		c.how = proofSteps
		c.proof = at[row]
	}
	return c
}

// instantsOf reads texts, all of which the layout can read, in microseconds. A
// wall time counts as if it were UTC.
func instantsOf(l *layout, texts [][]byte) []int64 {
	list := make([]int64, len(texts))
	for i, text := range texts {
		w, _ := l.read(text)
		list[i] = (w.seconds-w.offset)*1e6 + w.micros
	}
	return list
}

// regular finds the one among several readings of the same rows whose steps are
// regular where the readings differ, and the first row that shows it; -1 when
// there is none.
func regular(readings [][]int64) (winner, at int) {
	differ := differing(readings)
	if len(differ) == 0 {
		return -1, 0
	}
	fits := make([]int, len(readings))  // of the differing steps, how many are the usual one
	seems := make([]int, len(readings)) // or may be meant: whole months and years
	usual := make([]int64, len(readings))
	for i, r := range readings {
		usual[i] = usualStep(r)
		for _, k := range differ {
			switch {
			case usual[i] != 0 && r[k]-r[k-1] == usual[i]:
				fits[i]++
			case wholeMonths(r[k-1], r[k]):
				seems[i]++
			}
		}
	}
	for i := range readings {
		if fits[i]*2 <= len(differ) {
			continue
		}
		rivals := 0
		for j := range readings {
			if j != i {
				rivals = max(rivals, fits[j]+seems[j])
			}
		}
		if rivals*10 > fits[i] {
			continue
		}
		first := slices.IndexFunc(differ, func(k int) bool { return readings[i][k]-readings[i][k-1] == usual[i] })
		return i, differ[first]
	}
	return -1, 0
}

// differing lists the rows whose step from the row before is not the same in all
// readings.
func differing(readings [][]int64) (rows []int) {
	for k := 1; k < len(readings[0]); k++ {
		step := readings[0][k] - readings[0][k-1]
		if slices.ContainsFunc(readings[1:], func(r []int64) bool { return r[k]-r[k-1] != step }) {
			rows = append(rows, k)
		}
	}
	return rows
}

// usualStep returns the step that more than half of the steps are which are one
// at all, if there are three of it; 0 when there is none.
func usualStep(instants []int64) (step int64) {
	counts := make(map[int64]int)
	total := 0
	for k := 1; k < len(instants); k++ {
		if s := instants[k] - instants[k-1]; s != 0 {
			total++
			if counts[s]++; counts[s] > counts[step] {
				step = s
			}
		}
	}
	if n := counts[step]; n < 3 || n*2 <= total {
		return 0
	}
	return step
}

// wholeMonths reports whether a and b are the same time of the same day of
// different months: somebody may read a meter so.
func wholeMonths(a, b int64) bool {
	x, y := time.UnixMicro(a).UTC(), time.UnixMicro(b).UTC()
	return x.Day() == y.Day() && (b-a)%86400e6 == 0 && a != b
}

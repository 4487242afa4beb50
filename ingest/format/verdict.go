package format

import (
	"cmp"
	"slices"
)

// A verdict is which pass a row of a repeated hour is of.
type verdict uint8

const (
	passOpen verdict = iota // nothing tells it
	passFirst
	passSecond
)

// decidePasses decides of each repeated row of a sequence which pass it is of, and
// writes it to verdicts, where there is none yet.
//
// Rows go forward in time, or backward all through. Where the wall time goes
// back in a repeated hour, the second pass begins. Where it does not, but wall
// times stand twice, the file was sorted by them, and the second of two is of
// the second pass. Where none stands twice, all are mostly of one pass: of that
// which the rows before and after it go on in. Distinct instants never become
// one by this, however the rows are sorted.
func decidePasses(s *sequence, verdicts []verdict) {
	rows, back := s.rows, s.backward()
	if back {
		slices.Reverse(rows)
	}
	step := s.step(back)
	changes := make(map[int64][]int) // the rows of each repeated hour
	for i := range rows {
		if rows[i].twice() {
			changes[rows[i].change] = append(changes[rows[i].change], i)
		}
	}
	for _, hour := range changes {
		falls, same := 0, 0
		split := 0 // the first of the second pass, where there is one such place
		for k := 1; k < len(hour); k++ {
			switch compareAt(&rows[hour[k]], &rows[hour[k-1]]) {
			case -1:
				falls++
				split = k
			case 0:
				if same++; falls == 0 {
					split = k
				}
			}
		}
		switch {
		case falls == 1, falls == 0 && same == 1:
			judgeFrom(rows, hour, split, verdicts)
		case falls+same > 0:
			judgeByCount(rows, hour, verdicts)
		default:
			if k := neighbours(rows, hour, step); k >= 0 {
				judgeFrom(rows, hour, k, verdicts)
			}
		}
	}
}

// judgeFrom says that the rows of the hour from the kth on are of the second
// pass, those before of the first.
func judgeFrom(rows []passRow, hour []int, k int, verdicts []verdict) {
	for j, i := range hour {
		v := passFirst
		if j >= k {
			v = passSecond
		}
		verdicts[rows[i].row] = cmp.Or(verdicts[rows[i].row], v)
	}
}

// judgeByCount says that the nth row of a wall time is of the nth pass.
func judgeByCount(rows []passRow, hour []int, verdicts []verdict) {
	seen := make(map[int64]bool)
	for _, i := range hour {
		v := passFirst
		if seen[rows[i].at] {
			v = passSecond
		}
		verdicts[rows[i].row] = cmp.Or(verdicts[rows[i].row], v)
		seen[rows[i].at] = true
	}
}

// neighbours finds from which row of the hour on the second pass is, where their
// wall times all rise, by the steps to the rows beside them and between them;
// -1 when those do not tell.
func neighbours(rows []passRow, hour []int, step int64) int {
	first, last, n := &rows[hour[0]], &rows[hour[len(hour)-1]], len(hour)
	before, after := int64(0), int64(0) // the steps into the hour and out of it, as the wall shows them
	var from, to bool
	if i := hour[0] - 1; i >= 0 && rows[i].at < first.at {
		from, before = true, first.at-rows[i].at
	}
	if i := hour[n-1] + 1; i < len(rows) && rows[i].at > last.at+last.later {
		to, after = true, rows[i].at-last.at-last.later
	}
	if step == 0 {
		const day = 86400e6
		switch {
		case from && before <= day:
			return n
		case to && after <= last.later:
			return 0
		}
		return -1
	}
	odd := func(gap int64) int {
		if off := max(gap, step) - min(gap, step); off > min(step, first.later)/2 {
			return 1
		}
		return 0
	}
	gaps := make([]int64, n+1) // before each of the rows, and behind the last; 0 where nothing is beside them
	within := 0                // how many of them are odd if all the rows are of one pass
	for j := 1; j < n; j++ {
		gaps[j] = rows[hour[j]].at - rows[hour[j-1]].at
	}
	if from {
		gaps[0] = before
	}
	if to {
		gaps[n] = after
	}
	for _, gap := range gaps {
		if gap > 0 {
			within += odd(gap)
		}
	}
	costs := make([]int, n+1) // how many are odd if the second pass is from there on
	for k, gap := range gaps {
		if costs[k] = within; gap > 0 {
			costs[k] += odd(gap+first.later) - odd(gap)
		}
	}
	best := slices.Min(costs)
	switch {
	case from && costs[n] == best:
		return n
	case to && costs[0] == best && odd(after) == 0, from && costs[0] == best:
		return 0
	case from:
		return slices.Index(costs, best)
	}
	return -1
}

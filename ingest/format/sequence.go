package format

import "cmp"

// A passRow is a row of a file as it tells the passes of those beside it.
type passRow struct {
	repeat       // zero when the clocks showed its wall time once
	at     int64 // its instant, in the first pass
	row    int   // index in the decoder's repeated; -1 when it is not one of them
}

func (r *passRow) twice() bool { return r.row >= 0 }

// compareAt orders rows by time.
func compareAt(a, b *passRow) int { return cmp.Compare(a.at, b.at) }

// A sequence is rows of a file in their order, by which passes are decided. It
// takes as much memory as those of them that clocks showed twice, however many
// the others are.
type sequence struct {
	rows []passRow // that clocks showed twice, and the plain ones next to them
	last passRow   // of all
	any  bool      // there is one
	kept bool      // rows ends with it

	up, down       int  // from how many rows to the next one time rises, and falls, where both are plain
	allUp, allDown int  // likewise, of all rows
	plain          bool // there is a plain row
	plainAt        int64
	rises, falls   bool // from a plain row to the next plain one

	steps []stepCount
}

// stepCount is how often a row is so much later than the one before.
type stepCount struct {
	step int64 // negative where it is earlier; never 0
	n    int
}

// mostSteps is how many steps are counted of a sequence: what is usual is among
// the first of them.
const mostSteps = 64

// add adds a row.
func (s *sequence) add(r passRow) {
	if s.any {
		s.compare(&r)
	}
	if r.twice() && s.any && !s.kept {
		s.rows = append(s.rows, s.last)
	}
	s.kept = r.twice() || s.any && s.last.twice()
	if s.kept {
		s.rows = append(s.rows, r)
	}
	if !r.twice() {
		if s.plain {
			s.rises, s.falls = s.rises || r.at > s.plainAt, s.falls || r.at < s.plainAt
		}
		s.plain, s.plainAt = true, r.at
	}
	s.last, s.any = r, true
}

// compare counts the step from the last row to r.
func (s *sequence) compare(r *passRow) {
	plain := !r.twice() && !s.last.twice()
	switch compareAt(r, &s.last) {
	case 1:
		s.allUp++
		if plain {
			s.up++
		}
	case -1:
		s.allDown++
		if plain {
			s.down++
		}
	case 0:
		return
	}
	if r.repeat == s.last.repeat {
		s.count(r.at - s.last.at)
	}
}

func (s *sequence) count(step int64) {
	for i := range s.steps {
		if c := &s.steps[i]; c.step == step {
			c.n++
			return
		}
	}
	if len(s.steps) < mostSteps {
		s.steps = append(s.steps, stepCount{step, 1})
	}
}

// backward reports whether the rows go backward in time, as far as those tell that
// are plain; where there are no two of them, by all.
func (s *sequence) backward() bool {
	if s.up != s.down {
		return s.down > s.up
	}
	return s.allDown > s.allUp
}

// step returns the step that is usual from row to row, or back, where it is plain
// how far they are apart; 0 when there is none.
func (s *sequence) step(back bool) (step int64) {
	most := 0
	for _, c := range s.steps {
		if back {
			c.step = -c.step
		}
		if c.step > 0 && (c.n > most || c.n == most && c.step < step) {
			step, most = c.step, c.n
		}
	}
	return step
}

// oneWay reports whether the rows that are plain go one way in time, so that
// those between them can be told by their neighbours.
func (s *sequence) oneWay() bool { return s.any && (!s.rises || !s.falls) }

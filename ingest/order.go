package ingest

import "slices"

// An Order is the readings of a batch in the order in which they are stored:
// by series and then by time, one for each series and instant. Its buffers are
// kept from one batch to the next.
type Order struct {
	Rows  []int32 // indexes of readings
	Spans []int32 // for each element of Rows, the span it belongs to

	Contested bool // two files of the batch had different values for one series and instant

	spanOf []int32
	start  []int32
}

// Sort orders the readings of the spans for which take is true. bucket gives
// each key of the batch's dictionary the place of its series among all series
// of the batch, from 0; keys of one series share a place, and places is how
// many there are.
//
// Of one file's readings that share a series and an instant the last line
// stands, the others count as Repeated in the span's receipt. Readings of
// several files are decided by wins, which says whether span a holds the value
// against span b; the loser's count as Unchanged or Outranked. Where wins is
// nil, each file keeps its own.
func (o *Order) Sort(b *Batch, take []bool, bucket []int32, places int, wins func(a, b int) bool) {
	o.Contested = false
	o.collect(b, take, bucket, places)
	kept := 0
	for p := range places {
		lo, hi := o.start[p], o.start[p+1]
		rows := o.Rows[lo:hi]
		if !increasing(b.Time, rows) {
			slices.SortStableFunc(rows, func(x, y int32) int {
				switch a, b := b.Time[x], b.Time[y]; {
				case a < b:
					return -1
				case a > b:
					return 1
				}
				return 0
			})
			rows = o.oneEach(b, rows, wins)
		}
		kept += copy(o.Rows[kept:], rows)
	}
	o.Rows = o.Rows[:kept]
	o.Spans = slices.Grow(o.Spans[:0], kept)[:kept]
	for i, r := range o.Rows {
		o.Spans[i] = o.spanOf[r]
	}
}

// collect fills Rows with the readings in question, grouped by place and in
// the order of the batch within each, and start with where each group begins.
func (o *Order) collect(b *Batch, take []bool, bucket []int32, places int) {
	o.start = slices.Grow(o.start[:0], places+1)[:places+1]
	clear(o.start)
	o.spanOf = slices.Grow(o.spanOf[:0], len(b.Time))[:len(b.Time)]
	total := 0
	for i := range b.Spans {
		if s := &b.Spans[i]; take[i] {
			for r := s.Begin; r < s.End; r++ {
				o.start[bucket[b.Series[r]]]++
				o.spanOf[r] = int32(i)
			}
			total += s.End - s.Begin
		}
	}
	next := int32(0)
	for p, n := range o.start {
		o.start[p] = next
		next += n
	}
	o.Rows = slices.Grow(o.Rows[:0], total)[:total]
	for i := range b.Spans {
		if s := &b.Spans[i]; take[i] {
			for r := s.Begin; r < s.End; r++ {
				p := bucket[b.Series[r]]
				o.Rows[o.start[p]] = int32(r)
				o.start[p]++
			}
		}
	}
	// Filling moved each start to the next group's: shift them back.
	copy(o.start[1:], o.start[:places])
	o.start[0] = 0
}

func increasing(time []int64, rows []int32) bool {
	for i := 1; i < len(rows); i++ {
		if time[rows[i-1]] >= time[rows[i]] {
			return false
		}
	}
	return true
}

// oneEach leaves one of the rows that share an instant, which stand side by
// side in the order of the batch, and returns those that are left. A file's
// own repeats go before files are held against each other, so that
// their number does not depend on what else is in the batch.
func (o *Order) oneEach(b *Batch, rows []int32, wins func(a, b int) bool) []int32 {
	kept := rows[:0]
	for i, r := range rows {
		if i+1 < len(rows) && b.Time[rows[i+1]] == b.Time[r] && o.spanOf[rows[i+1]] == o.spanOf[r] {
			b.Spans[o.spanOf[r]].Receipt.Cells.Repeated++
			continue
		}
		if n := len(kept); n > 0 && wins != nil && b.Time[kept[n-1]] == b.Time[r] {
			kept[n-1] = o.contest(b, kept[n-1], r, wins)
			continue
		}
		kept = append(kept, r)
	}
	return kept
}

// contest decides between two readings of one series and instant of two files, counts
// the loser, and returns the winner.
func (o *Order) contest(b *Batch, x, y int32, wins func(a, b int) bool) int32 {
	winner, loser := y, x
	if wins(int(o.spanOf[x]), int(o.spanOf[y])) {
		winner, loser = x, y
	}
	cells := &b.Spans[o.spanOf[loser]].Receipt.Cells
	if b.SameReading(winner, loser) {
		cells.Unchanged++
	} else {
		cells.Outranked++
		o.Contested = true
	}
	return winner
}

// SameReading reports whether two readings of the batch agree in value and
// quality.
func (b *Batch) SameReading(x, y int32) bool {
	if b.Value[x] != b.Value[y] {
		return false
	}
	return len(b.Quality) == 0 || b.Quality[x] == b.Quality[y]
}

package ingest

import (
	"cmp"
	"math"
	"slices"
)

// A large file is cut into parts in two steps: its text into pieces, as a Cut says,
// and the readings of some pieces, its windows, by series. So each series of a window
// is of one part, or of few: the rows of a worker lie side by side in the key's index,
// and those of others apart from them. What fits into one window is decoded once: it
// is kept from the scan on.

// windowPieces is how many pieces a window has. Its readings, 20 bytes each and 24
// where they have qualities, are in memory together: about 60 MB where pieces have
// 500,000.
const windowPieces = 6

// window is one as it was found.
type window struct {
	readings int
	digest   uint64 // of all that is stored of them; 0 where the file has one window
	parts    int
}

// next takes in a piece at whose end the batch is, while the text goes on. Once
// these make a window, they leave the batch.
func (s *scan) next(b *Batch, most int) {
	if len(b.Spans) == 1 {
		b.reserveReadings(len(b.Time) * min(s.expected, windowPieces))
	}
	if len(b.Spans) < windowPieces {
		return
	}
	s.endWindow(b, windowPieces, most, s.digestOf(b, 0, len(b.Time)))
	b.drop()
}

// end takes in the last piece. The batch has one span then, that of the file, with
// the readings of the last window.
func (s *scan) end(b *Batch, most int) {
	pieces := len(b.Spans)
	b.join()
	digest := uint64(0)
	if len(s.windows) > 0 {
		digest = s.digestOf(b, 0, len(b.Time))
	}
	s.endWindow(b, lastPieces(pieces), most, digest)
	if len(s.late) == 0 {
		s.late = append(s.late, false)
	}
}

// lastPieces is into how many parts a window is cut at least that the end of the
// file ends: the last piece is shared by the others.
func lastPieces(pieces int) int { return max(pieces-1, 1) }

// keeps reports whether the batch has all readings of the file when the scan has
// ended.
func (s *scan) keeps() bool { return len(s.windows) == 1 }

// endWindow notes the parts of the window that is in the batch.
func (s *scan) endWindow(b *Batch, parts, most int, digest uint64) {
	cut := s.cut(b, parts, most)
	for _, rows := range cut {
		late := false
		for _, i := range rows {
			late = s.reach(s.group[b.Series[i]], b.Time[i]) || late
		}
		s.endReach()
		s.late = append(s.late, late)
	}
	s.windows = append(s.windows, window{len(b.Time), digest, len(cut)})
}

// cut divides all readings of the batch into so many parts of the same size, or
// more, where one would have more than most: in the order of the names of their
// series and, of each, in the order of the file. It returns the rows of each, in the
// order of the file. They are valid until the next window is cut.
func (s *scan) cut(b *Batch, parts, most int) [][]int32 {
	all := len(b.Time)
	if most > 0 {
		parts = max(parts, (all+most-1)/most)
	}
	size := max((all+parts-1)/parts, 1)
	s.rows = slices.Grow(s.rows[:0], all)
	s.cuts = s.cuts[:0]
	for lo := 0; lo < all; lo += size {
		s.cuts = append(s.cuts, s.rows[lo:lo:min(lo+size, all)])
	}
	places := s.placesOf(b, int32(size))
	for i, k := range b.Series {
		p := &places[s.group[k]]
		if p.left == 0 {
			p.part++
			p.left = int32(size)
		}
		p.left--
		s.cuts[p.part] = append(s.cuts[p.part], int32(i))
	}
	return s.cuts
}

// A place is where the next reading of a series goes: into which part, and how
// many there are before it goes into the one after that.
type place struct{ part, left int32 }

// placesOf finds where the first reading of each group goes.
func (s *scan) placesOf(b *Batch, size int32) []place {
	s.meet(b.Keys)
	counts := make([]int32, len(s.before))
	for _, k := range b.Series {
		counts[s.group[k]]++
	}
	names := make([]seriesOf, len(counts))
	order := make([]int32, len(counts))
	for name, g := range s.groups {
		names[g], order[g] = name, g
	}
	slices.SortFunc(order, func(x, y int32) int {
		a, b := &names[x], &names[y]
		return cmp.Or(cmp.Compare(a.logger, b.logger), cmp.Compare(a.channel, b.channel))
	})
	places := make([]place, len(counts))
	at := int32(0)
	for _, g := range order {
		places[g] = place{part: at / size, left: size - at%size}
		at += counts[g]
	}
	return places
}

// join makes one span of all that the batch has, the last: of a file whose readings
// were left in the batch part by part.
func (b *Batch) join() {
	last := b.Spans[len(b.Spans)-1]
	if last.State != Loaded { // its own it has lost already
		b.truncate(0)
	}
	last.Begin, last.End = 0, len(b.Time)
	clear(b.Spans)
	b.Spans = append(b.Spans[:0], last)
}

// reserveReadings makes room for so many readings in all, and some more.
func (b *Batch) reserveReadings(n int) {
	n = min(n+n/16, math.MaxInt32) - len(b.Time)
	if n > 0 {
		b.Time, b.Series, b.Value = slices.Grow(b.Time, n), slices.Grow(b.Series, n), slices.Grow(b.Value, n)
	}
}

// drop takes all out of the batch but its dictionary.
func (b *Batch) drop() {
	for len(b.Spans) > 0 {
		b.Drop()
	}
}

// takeReadings returns a batch of the readings, with the dictionary. This one keeps
// its spans alone, and uses the dictionary until it is reset.
func (b *Batch) takeReadings() *Batch {
	taken := *b
	*b = Batch{Keys: b.Keys, Qualities: b.Qualities, Epoch: b.Epoch + 1, Spans: b.Spans, borrowed: true}
	taken.Spans = nil
	return &taken
}

// pick makes the batch one of some readings of another, but for their lines, with
// the span s. It uses the dictionary of the other until it is reset.
func (b *Batch) pick(from *Batch, rows []int32, s *Span) {
	b.Reset()
	b.Keys, b.Qualities, b.borrowed = from.Keys, from.Qualities, true
	b.Epoch++
	n := len(rows)
	b.Time, b.Series, b.Value = slices.Grow(b.Time, n)[:n], slices.Grow(b.Series, n)[:n], slices.Grow(b.Value, n)[:n]
	for to, r := range rows {
		b.Time[to], b.Series[to], b.Value[to] = from.Time[r], from.Series[r], from.Value[r]
	}
	if len(from.Quality) > 0 {
		for _, r := range rows {
			b.Quality = append(b.Quality, from.Quality[r])
		}
	}
	b.Spans = append(b.Spans, *s)
	b.Spans[0].Begin, b.Spans[0].End = 0, n
}

package ingest

import (
	"cmp"
	"math"
	"slices"
)

// The readings of a large file that is not very large are kept from the scan on:
// it is decoded once. They are cut by series then, and not by their place in the
// text: each series is of one part, or of few, so that each worker's rows lie side by
// side in the key's index, and those of others apart from them.

// keptParts is of how many parts, as its text is cut, a file may be of which the
// readings are kept. What they take, 20 bytes each and 24 where they have
// qualities, bounds it: 60 to 72 MB with parts of 500,000 readings.
const keptParts = 6

// next takes in a part at whose end the batch is, while the text goes on, and
// leaves in the batch what is kept.
func (s *scan) next(b *Batch) {
	s.ended++
	if s.keeps && len(b.Spans) < keptParts {
		if len(b.Spans) == 1 {
			b.reserveReadings(len(b.Time) * min(s.expected, keptParts))
		}
		return
	}
	for i := range b.Spans {
		s.add(b, &b.Spans[i])
	}
	for len(b.Spans) > 0 {
		b.Drop()
	}
	if s.keeps {
		s.keeps = false
		b.takeReadings()
	}
}

// end takes in the last part. The batch has one span, that of the file, with what was
// kept of it, or else what came last.
func (s *scan) end(b *Batch, most int) {
	if !s.keeps {
		s.add(b, &b.Spans[0])
		return
	}
	s.divide(b, max(s.ended, 1), most)
}

// divide cuts all readings of the batch into so many parts of the same size, or
// more, where one would have more than most: in the order of the names of their
// series and, of each, in the order of the file. Within a part they are in the
// order of the file.
func (s *scan) divide(b *Batch, parts, most int) {
	all := len(b.Time)
	if most > 0 {
		parts = max(parts, (all+most-1)/most)
	}
	size := max((all+parts-1)/parts, 1)
	s.parts = make([]scanned, max((all+size-1)/size, 1))
	rows := make([]int32, all)
	for n := range s.parts {
		s.parts[n].rows = rows[n*size : n*size : min((n+1)*size, all)]
	}
	places := s.placesOf(b, int32(size))
	for i, k := range b.Series {
		p := &places[s.group[k]]
		if p.left == 0 {
			p.part++
			p.left = int32(size)
		}
		p.left--
		in := &s.parts[p.part].rows
		*in = append(*in, int32(i))
	}
	for n := range s.parts {
		s.reachOver(b, &s.parts[n])
	}
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

// reachOver notes what a part of the batch reaches over, and whether it is late.
func (s *scan) reachOver(b *Batch, p *scanned) {
	p.readings = len(p.rows)
	for _, i := range p.rows {
		p.late = s.reach(s.group[b.Series[i]], b.Time[i]) || p.late
	}
	s.endReach()
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

// takeReadings returns a batch of the readings, with the dictionary that they need,
// and leaves the batch its spans alone.
func (b *Batch) takeReadings() *Batch {
	taken := &Batch{Time: b.Time, Series: b.Series, Value: b.Value, Quality: b.Quality, Keys: b.Keys, Qualities: b.Qualities}
	b.Time, b.Series, b.Value, b.Quality = nil, nil, nil, nil
	return taken
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

package ingest

import (
	"math"
	"slices"
)

// A scan is what the first reading of a large file finds beside the span: its
// parts, and what its series span.
type scan struct {
	parts    []scanned
	settled  []bool // the Cut's
	keeps    bool   // the readings are all kept so far
	expected int    // parts, as the text is cut, by the size of the file
	ended    int    // of these, behind which the text went on
	kept     *Batch // the readings, once the file is claimed; nil where it is read again

	groups map[seriesOf]int32 // the series, by logger and channel
	group  []int32            // by key of the batch
	before []reachOf          // by group: what the parts before reach over
	own    []reachOf          // likewise, this part
	names  []uint64           // digestOf's: the digests of the batch's keys
}

// scanned is a part as it was found.
type scanned struct {
	readings int
	digest   uint64 // of all that is stored of them, where they are not kept
	late     bool
	rows     []int32 // of those that are kept, which are the part's
}

type seriesOf struct{ logger, channel string }

// reachOf is the first and the last instant of some readings of a series.
type reachOf struct{ first, last int64 }

var reachesNowhere = reachOf{math.MaxInt64, math.MinInt64}

func (r *reachOf) extend(o reachOf) { r.first, r.last = min(r.first, o.first), max(r.last, o.last) }

// add takes in a part: the readings of a span of the batch.
func (s *scan) add(b *Batch, span *Span) {
	s.meet(b.Keys)
	p := scanned{readings: span.End - span.Begin, digest: s.digestOf(b, span)}
	for i := span.Begin; i < span.End; i++ {
		p.late = s.reach(s.group[b.Series[i]], b.Time[i]) || p.late
	}
	s.endReach()
	s.parts = append(s.parts, p)
}

// reach takes in that the part has an instant of a group, and reports whether it
// lies within what the parts before span.
func (s *scan) reach(g int32, at int64) bool {
	s.own[g].extend(reachOf{at, at})
	r := &s.before[g]
	return at >= r.first && at <= r.last
}

// endReach ends the part.
func (s *scan) endReach() {
	for g := range s.own {
		s.before[g].extend(s.own[g])
		s.own[g] = reachesNowhere
	}
}

// meet finds the groups of keys that are new.
func (s *scan) meet(keys []SeriesKey) {
	if s.groups == nil {
		s.groups = make(map[seriesOf]int32)
	}
	for i := len(s.group); i < len(keys); i++ {
		k := seriesOf{keys[i].Logger, keys[i].Channel}
		g, ok := s.groups[k]
		if !ok {
			g = int32(len(s.before))
			s.groups[k] = g
			s.before, s.own = append(s.before, reachesNowhere), append(s.own, reachesNowhere)
		}
		s.group = append(s.group, g)
	}
}

// thin leaves the batch's last span of each of the file's series the instants
// that it spans, with no values.
func (s *scan) thin(b *Batch) {
	span := &b.Spans[len(b.Spans)-1]
	b.truncate(span.Begin)
	for k, g := range s.group {
		if r := s.before[g]; r != reachesNowhere {
			b.Append(int32(k), r.first, 0)
			b.Append(int32(k), r.last, 0)
		}
	}
	span.End = len(b.Time)
}

// digestOf tells the readings of a span of the batch from others, as well as 64
// bits can: their series, with the unit, instants, values and qualities, by FNV-1a
// in words.
func (s *scan) digestOf(b *Batch, span *Span) uint64 {
	h := uint64(digestOffset)
	begin, end := span.Begin, span.End
	s.names = slices.Grow(s.names[:0], len(b.Keys))[:len(b.Keys)]
	clear(s.names)
	times, series := b.Time[begin:end], b.Series[begin:end]
	for i, v := range b.Value[begin:end] {
		name := s.names[series[i]]
		if name == 0 {
			k := &b.Keys[series[i]]
			name = digestText(digestText(digestText(digestOffset, k.Logger), k.Channel), k.Unit)
			s.names[series[i]] = name
		}
		h = (h ^ uint64(times[i])) * digestPrime
		h = ((h ^ math.Float64bits(v)) + name) * digestPrime
	}
	for i := begin; i < min(end, len(b.Quality)); i++ {
		if q := b.Quality[i]; q != 0 {
			h = digestText((h^uint64(i-begin))*digestPrime, b.Qualities[q])
		}
	}
	return h
}

const digestOffset, digestPrime = 14695981039346656037, 1099511628211

// digestText goes on with a text, and its end.
func digestText(h uint64, text string) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * digestPrime
	}
	return (h ^ 0xff) * digestPrime
}

package store

import (
	"fmt"
	"slices"

	"penstock/ingest"
)

// holdTwoUnits sets to Held the spans that hold one series in two units, as far
// as keys that the store was not asked for yet tell it, and reports whether there
// are any. The rest have a unit that the store does not, which holdOtherUnits
// sees.
func (t *seriesTable) holdTwoUnits(b *ingest.Batch, take []bool, missing []int32) (held bool) {
	sortKeys(b, missing)
	twice := false
	for i := 1; i < len(missing) && !twice; i++ {
		twice = inOtherUnit(&b.Keys[missing[i-1]], &b.Keys[missing[i]])
	}
	if !twice {
		return false
	}
	for i := range b.Spans {
		if !take[i] {
			continue
		}
		if k, l, ok := t.inTwoUnits(b, i); ok {
			holdTwoUnits(&b.Spans[i], k, l)
			take[i], held = false, true
		}
	}
	return held
}

// inOtherUnit reports whether two keys are of one series, in different units.
func inOtherUnit(k, l *ingest.SeriesKey) bool {
	return k.Unit != l.Unit && k.Unit != "" && l.Unit != "" && k.Channel == l.Channel && k.Logger == l.Logger
}

// inTwoUnits returns two keys of the span that are of one series, in different
// units.
func (t *seriesTable) inTwoUnits(b *ingest.Batch, span int) (k, l *ingest.SeriesKey, ok bool) {
	keys := slices.Clone(t.keysOf(span))
	sortKeys(b, keys)
	for i := 1; i < len(keys); i++ {
		if k, l = &b.Keys[keys[i-1]], &b.Keys[keys[i]]; inOtherUnit(k, l) {
			return k, l, true
		}
	}
	return nil, nil, false
}

// holdTwoUnits holds the span of a file that has a channel in two units. No name
// that the channel is given tells its readings apart, so that there is no answer.
func holdTwoUnits(s *ingest.Span, k, l *ingest.SeriesKey) {
	holdSpan(s, fmt.Sprintf("the file holds channel %q of logger %q in %q and in %q: which readings are of which? Split the file, or write a profile that makes two channels of it",
		k.Channel, k.Logger, k.Unit, l.Unit))
}

// holdSpan holds a span with a question; it is not read until that is answered.
func holdSpan(s *ingest.Span, question string, answers ...ingest.Answer) {
	s.State, s.Reason, s.Shape = ingest.Held, question, s.Kind.Asking(question, "", answers...)
	s.Receipt, s.Rejects = ingest.Receipt{}, nil
}

// holdOtherUnits sets to Held the spans that give a series in another unit
// than it has.
func (t *seriesTable) holdOtherUnits(b *ingest.Batch, take []bool) {
	other := func(k int32) bool { return b.Keys[k].Unit != "" && b.Keys[k].Unit != t.units[k] }
	if !slices.ContainsFunc(t.keys, other) {
		return
	}
	for i := range b.Spans {
		if !take[i] {
			continue
		}
		at := slices.IndexFunc(t.keysOf(i), other)
		if at < 0 {
			continue
		}
		take[i] = false
		s := &b.Spans[i]
		if k, l, ok := t.inTwoUnits(b, i); ok {
			holdTwoUnits(s, k, l)
			continue
		}
		k := t.keysOf(i)[at]
		key := &b.Keys[k]
		holdSpan(s, fmt.Sprintf("channel %q of logger %q comes in %q here and its series is in %q: is this another channel, or is the unit wrong? Mend the profile (unit, or another channel name), then: penstock files retry",
			key.Channel, key.Logger, key.Unit, t.units[k]),
			ingest.Answer{Map: []string{fmt.Sprintf("%s=%s [%s]", key.Channel, key.Channel, key.Unit)}, Means: "it is another quantity: a channel of its own"})
	}
}

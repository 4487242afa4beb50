package format

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"penstock/ingest"
)

// Some readings wait for the file's end to tell which of two instants is theirs:
// those of an hour that clocks showed twice (passes.go), and those of midnight in a
// file whose name tells the day. Until then they have the earlier one. Of a file
// that is decoded in parts, Settle finds out beforehand what becomes of them.

// sequences is what the rows of a file, in its order, tell of those that wait.
type sequences struct {
	looked int        // at how many of the decoder's repeated
	series []sequence // by group
	all    sequence   // neighbours of one wall time are one row: they are of several series
	days   []oneDay   // by group
	ends   []bool     // by reading of a midnight, in the file's order: it is that of the day's end
}

// Settle implements ingest.PartDecoder.
func (d *Decoder) Settle(ctx context.Context, c *ingest.Content, b *ingest.Batch) ([]bool, error) {
	const step = 1 << 20
	return d.settleBy(ctx, c, b, step)
}

// settleBy is Settle. It forgets the readings whenever it has read so many bytes of
// text more.
func (d *Decoder) settleBy(ctx context.Context, c *ingest.Content, b *ingest.Batch, step int64) ([]bool, error) {
	drop := func(b *ingest.Batch) (*ingest.Batch, error) {
		b.Drop()
		return b, nil
	}
	d.cut = cutting{Cut: ingest.Cut{Bytes: step, End: drop}, step: step, next: step, settling: true}
	defer func() { d.cut = cutting{} }()
	if err := d.Decode(ctx, c, b); err != nil {
		return nil, err
	}
	later := slices.Clip(d.sequences.ends)
	for i := range d.repeated {
		for range d.repeated[i].end - d.repeated[i].begin {
			later = append(later, d.repeated[i].second)
		}
	}
	return later, nil
}

// waits reports whether a reading of the file waits for its end, or did before it
// was known what that tells.
func (d *Decoder) waits() bool { return d.unsettled() || d.cut.settled > 0 }

// unsettled reports whether a reading so far is to be moved once the file's end is
// seen.
func (d *Decoder) unsettled() bool { return len(d.repeated) > 0 || len(d.midnights) > 0 }

// wait notes that the readings from first on, of that line, wait for the file's
// end, or settles them.
func (d *Decoder) wait(line int64, first int) {
	end := len(d.batch.Time)
	switch {
	case d.cut.Settled != nil:
		d.settle(first)
		return
	case d.twice != nil:
		d.repeated = append(d.repeated, repeatedRow{repeat: *d.twice, at: d.batch.Time[first], begin: first, end: end, line: line})
	}
	if d.dayLong != 0 {
		d.midnights = append(d.midnights, midnight{first, end, d.dayLong})
	}
}

// settle gives the readings from first on, which would wait, the instants that
// are known to be theirs.
func (d *Decoder) settle(first int) {
	later := d.dayLong
	if d.twice != nil {
		later = d.twice.later
	}
	c := &d.cut
	for i := first; i < len(d.batch.Time); i++ {
		if c.settled < len(c.Settled) && c.Settled[c.settled] {
			d.batch.Time[i] += later
		}
		c.settled++
	}
}

// checkSettled says why what the file's end told of the readings that wait is not
// known now that it was read in parts.
func (d *Decoder) checkSettled() error {
	c := &d.cut
	switch {
	case c.settling && len(d.repeated) > 0 && len(d.sequences.ends)+len(d.midnights) > 0:
		return fmt.Errorf("%w: it has times that clocks showed twice, and midnights of a day that its name tells", ingest.ErrUncut)
	case c.settling && len(d.repeated) > 0 && d.plan.profile.stamp.undecided == undecidedByArrival:
		return fmt.Errorf("%w: the pass of times that clocks showed twice is told by other files", ingest.ErrUncut)
	case c.settling:
		return nil
	case c.ended && d.unsettled():
		return ingest.ErrUnsettled
	case c.Settled != nil && c.settled != len(c.Settled):
		return fmt.Errorf("%w: reading it twice gave two results", ingest.ErrChanged)
	}
	return nil
}

// gatherRows adds the readings that the batch has of the file to the sequences.
func (d *Decoder) gatherRows() {
	if !d.cut.settling && len(d.repeated) == 0 {
		return
	}
	s, group := &d.sequences, d.grouping()
	for i := d.span.Begin; i < len(d.batch.Time); i++ {
		for s.looked < len(d.repeated) && d.repeated[s.looked].end <= i {
			s.looked++
		}
		r := passRow{at: d.batch.Time[i], row: -1}
		if s.looked < len(d.repeated) && d.repeated[s.looked].begin <= i {
			r.repeat, r.row = d.repeated[s.looked].repeat, s.looked
		}
		g := int(group(i))
		for len(s.series) <= g {
			s.series = append(s.series, sequence{})
		}
		of := &s.series[g]
		if !of.any || of.last.row != r.row || !r.twice() && of.last.at != r.at {
			of.add(r)
		}
		if all := &s.all; !all.any || all.last.at != r.at || all.last.repeat != r.repeat {
			all.add(r)
		}
	}
	s.looked = len(d.repeated)
}

// grouping tells readings apart, by their index in the batch, whose rows have
// times of their own: those of other series, but that a row of a wide file tells
// the time of all series of its block at once.
func (d *Decoder) grouping() func(reading int) int32 {
	if !d.plan.profile.wide || len(d.plan.keys) > 0 {
		series := d.batch.Series
		return func(i int) int32 { return series[i] }
	}
	blocks := d.blocks
	return func(i int) int32 {
		n, found := slices.BinarySearchFunc(blocks, i, func(b block, i int) int { return cmp.Compare(b.begin, i) })
		if !found {
			n-- // it is of the block that began before it
		}
		if n < 0 {
			return 0
		}
		return blocks[n].group
	}
}

// A block is the readings below one header of a file that has several.
type block struct {
	begin int   // the first of them in the batch
	group int32 // the same for all blocks of a logger
}

// beginBlock notes that the readings from here on are of the logger that a head
// among the rows named; before is the logger of those above.
func (d *Decoder) beginBlock(before string) {
	if d.groups == nil {
		d.groups = map[string]int32{before: 0}
		d.blocks = append(d.blocks, block{begin: d.span.Begin})
	}
	b := block{begin: len(d.batch.Time)}
	var met bool
	if b.group, met = d.groups[string(d.logger)]; !met {
		b.group = int32(len(d.groups))
		d.groups[string(d.logger)] = b.group
	}
	switch last := &d.blocks[len(d.blocks)-1]; {
	case last.begin == b.begin:
		*last = b // there were no readings
	case last.group != b.group:
		d.blocks = append(d.blocks, b)
	}
}

// goOnBlock has the block go on in the next part, whose readings begin at begin.
func (d *Decoder) goOnBlock(begin int) {
	if n := len(d.blocks); n > 0 {
		d.blocks = append(d.blocks[:0], block{begin, d.blocks[n-1].group})
	}
}

// A midnight is the readings of a row at the beginning of the day that the
// file's name tells.
type midnight struct {
	begin, end int   // in the batch
	later      int64 // by how much the midnight at the day's end is later
}

// oneDay is a series in a file whose name tells the day.
type oneDay struct {
	last int64 // the instant of its last reading that is not of midnight
	any  bool  // it has one
	ends []dayEnd
}

// A dayEnd is a reading of midnight with nothing but such behind it.
type dayEnd struct {
	reading int // in the batch
	nth     int // among those of midnight of the file
	at      int64
	later   int64
}

// gatherDays notes which of the readings that the batch has of the file may be of
// the midnight with which the day ends.
func (d *Decoder) gatherDays() {
	if !d.cut.settling && len(d.midnights) == 0 {
		return
	}
	s, group := &d.sequences, d.grouping()
	next := 0
	for i := d.span.Begin; i < len(d.batch.Time); i++ {
		g, at := int(group(i)), d.batch.Time[i]
		for len(s.days) <= g {
			s.days = append(s.days, oneDay{})
		}
		of := &s.days[g]
		for next < len(d.midnights) && d.midnights[next].end <= i {
			next++
		}
		if next < len(d.midnights) && d.midnights[next].begin <= i {
			of.ends = append(of.ends, dayEnd{i, len(s.ends), at, d.midnights[next].later})
			s.ends = append(s.ends, false)
		} else {
			*of = oneDay{last: at, any: true, ends: of.ends[:0]}
		}
	}
	if d.cut.settling { // their readings are dropped
		d.midnights = d.midnights[:0]
	}
}

// endDays moves the midnight with which a day's rows end to that end, where the
// date is that of the file's name: such a row is the last of its series, and the
// rows before it are of the day.
func (d *Decoder) endDays() {
	const half = 43200e6
	for g := range d.sequences.days {
		of := &d.sequences.days[g]
		for _, end := range of.ends {
			if !of.any || of.last-end.at <= half {
				continue
			}
			d.sequences.ends[end.nth] = true
			if !d.cut.settling {
				d.batch.Time[end.reading] += end.later
			}
		}
	}
}

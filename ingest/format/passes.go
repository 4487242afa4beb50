package format

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"penstock/ingest"
)

// When clocks go back, they show an hour twice (or half of one, at Lord Howe). A
// wall time of it is read as of the first pass, and noted. Once the file is
// read, its rows tell which of those are of the second.

// A repeatedRow is the readings of a row whose wall time the clocks showed twice.
type repeatedRow struct {
	repeat
	begin, end int   // its readings in the batch
	line       int64 // of the file
}

// What becomes of wall times that clocks showed twice when nothing in the file
// tells the pass.
type undecided uint8

const (
	undecidedHold undecided = iota
	undecidedStandard
	undecidedByArrival
)

// settlePasses moves the readings of the second pass to their instants. Which
// they are is told by the rows of each series in the order of the file, and where
// those do not tell it, by all rows of the file; what becomes of the others the
// profile says.
func (d *Decoder) settlePasses() *refusal {
	if len(d.repeated) == 0 {
		return nil
	}
	verdicts := make([]verdict, len(d.repeated))
	sequences := d.sequences()
	for _, g := range slices.Sorted(maps.Keys(sequences)) {
		decidePasses(sequences[g], verdicts)
	}
	if slices.Contains(verdicts, passOpen) {
		if rows := d.sequence(); len(rows) > 0 && sorted(rows) {
			whole := make([]verdict, len(d.repeated))
			decidePasses(rows, whole)
			for i := range verdicts {
				if verdicts[i] == passOpen {
					verdicts[i] = whole[i]
				}
			}
		}
	}
	var open []int
	for i, v := range verdicts {
		if d.plan.profile.matrix {
			v = passOpen // the header has one place for both passes, whatever stands beside it
		}
		switch v {
		case passSecond:
			d.secondPass(i)
		case passOpen:
			open = append(open, i)
		}
	}
	d.span.Passes = d.plan.profile.stamp.undecided == undecidedByArrival
	return d.openPasses(open)
}

func (d *Decoder) secondPass(row int) {
	r := &d.repeated[row]
	for i := r.begin; i < r.end; i++ {
		d.batch.Time[i] += r.later
	}
}

// openPasses does with the rows that nothing in the file tells the pass of as
// the profile says.
func (d *Decoder) openPasses(open []int) *refusal {
	if len(open) == 0 {
		return nil
	}
	first := d.repeated[open[0]]
	how := d.plan.profile.stamp.undecided
	if how == undecidedByArrival && slices.ContainsFunc(open, func(i int) bool { return d.repeated[i].repeat != first.repeat }) {
		how = undecidedHold // one answer is kept of a file
	}
	switch how {
	case undecidedStandard:
		for _, i := range open {
			d.secondPass(i)
		}
		return nil
	case undecidedByArrival:
		for _, i := range open {
			for k := d.repeated[i].begin; k < d.repeated[i].end; k++ {
				d.span.Undecided = append(d.span.Undecided, int32(k))
			}
		}
		d.span.Later = first.later
		// Two passes may well be equal bytes, and are no duplicates.
		h := sha256.New()
		fmt.Fprintf(h, "%x\x00%s\x00%s", d.span.Identity, d.span.File.Source, d.span.File.Path)
		d.span.Identity = ingest.Digest(h.Sum(nil))
		return nil
	}
	at := ingest.FromMicros(first.change)
	begin := at.Add(-microseconds(first.later)).In(first.zone)
	end := at.In(time.FixedZone("", int(offsetAt(begin))))
	stamp := ingest.FromMicros(d.batch.Time[first.begin])
	return hold(fmt.Sprintf("clocks in %s showed %s to %s twice, and nothing in the file tells in which pass its line %d, %s, was recorded: was it the first or the second?",
		first.zone, begin.Format("2006-01-02 15:04"), end.Format("15:04"), first.line, stamp.In(first.zone).Format("15:04:05")), "repeated_hour",
		ingest.Answer{Set: "repeated_hour=by_arrival", Means: "the first if no other file has a reading there, else the second: of such files, the one that is loaded first is of the first pass"},
		ingest.Answer{Set: "repeated_hour=standard", Means: fmt.Sprintf("always the second, in standard time: this one is %s", stamp.Add(microseconds(first.later)).Format("2006-01-02T15:04:05Z"))})
}

// A passRow is a row of a file as it tells the passes of those beside it.
type passRow struct {
	repeat       // zero when the clocks showed its wall time once
	at     int64 // its instant, in the first pass
	row    int   // index in the decoder's repeated; -1 when it is not one of them
}

func (r *passRow) twice() bool { return r.row >= 0 }

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

// sequences returns the rows of each series that has a repeated one, in the
// order of the file.
func (d *Decoder) sequences() map[int32][]passRow {
	group := d.grouping()
	rows := make(map[int32][]passRow)
	for _, r := range d.repeated {
		for i := r.begin; i < r.end; i++ {
			rows[group(i)] = nil
		}
	}
	d.eachRow(func(i int, r passRow) {
		g := group(i)
		list, wanted := rows[g]
		if n := len(list); wanted && (n == 0 || list[n-1].row != r.row || !r.twice() && list[n-1].at != r.at) {
			rows[g] = append(list, r)
		}
	})
	return rows
}

// sequence returns all rows of the file. Neighbours of one wall time are one:
// they are of several series.
func (d *Decoder) sequence() (rows []passRow) {
	d.eachRow(func(_ int, r passRow) {
		if n := len(rows); n == 0 || rows[n-1].at != r.at || rows[n-1].repeat != r.repeat {
			rows = append(rows, r)
		}
	})
	return rows
}

// eachRow tells of each reading of the file, by its index, what row it is of.
func (d *Decoder) eachRow(each func(int, passRow)) {
	next := 0
	for i := d.span.Begin; i < len(d.batch.Time); i++ {
		for next < len(d.repeated) && d.repeated[next].end <= i {
			next++
		}
		r := passRow{at: d.batch.Time[i], row: -1}
		if next < len(d.repeated) && d.repeated[next].begin <= i {
			r.repeat, r.row = d.repeated[next].repeat, next
		}
		each(i, r)
	}
}

// sorted reports whether the rows that are plain go one way in time, so that
// those between them can be told by their neighbours.
func sorted(rows []passRow) bool {
	var up, down bool
	last := -1
	for i := range rows {
		if rows[i].twice() {
			continue
		}
		if last >= 0 {
			up, down = up || rows[i].at > rows[last].at, down || rows[i].at < rows[last].at
		}
		last = i
	}
	return !up || !down
}

// compareAt orders rows by time.
func compareAt(a, b *passRow) int { return cmp.Compare(a.at, b.at) }

func microseconds(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

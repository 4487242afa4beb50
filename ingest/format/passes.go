package format

import (
	"crypto/sha256"
	"fmt"
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
	at         int64 // its instant, in the first pass
	begin, end int   // its readings in the batch
	line       int64 // of the file
	second     bool  // it turned out to be of the second pass
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
	for g := range d.sequences.series {
		decidePasses(&d.sequences.series[g], verdicts)
	}
	if slices.Contains(verdicts, passOpen) && d.sequences.all.oneWay() {
		whole := make([]verdict, len(d.repeated))
		decidePasses(&d.sequences.all, whole)
		for i := range verdicts {
			if verdicts[i] == passOpen {
				verdicts[i] = whole[i]
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
	r.second = true
	if d.cut.settling {
		return // its readings are another part's
	}
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
	stamp := ingest.FromMicros(first.at)
	return hold(fmt.Sprintf("clocks in %s showed %s to %s twice, and nothing in the file tells in which pass its line %d, %s, was recorded: was it the first or the second?",
		first.zone, begin.Format("2006-01-02 15:04"), end.Format("15:04"), first.line, stamp.In(first.zone).Format("15:04:05")), "repeated_hour",
		ingest.Answer{Set: "repeated_hour=by_arrival", Means: "the first if no other file has a reading there, else the second: of such files, the one that is loaded first is of the first pass"},
		ingest.Answer{Set: "repeated_hour=standard", Means: fmt.Sprintf("always the second, in standard time: this one is %s", stamp.Add(microseconds(first.later)).Format("2006-01-02T15:04:05Z"))})
}

func microseconds(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

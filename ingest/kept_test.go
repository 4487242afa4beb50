package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// What is kept is cut by series: every reading is of one part, parts are of one size
// but for the last, series come in the order of their names and each in the order of
// the file, and a part is late where an earlier one spans an instant of its own.
func TestKeptReadingsAreCutBySeries(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		readings, loggers, pieces, most := random.IntN(200), 1+random.IntN(12), 1+random.IntN(6), random.IntN(40)
		b, other := &Batch{}, &Batch{}
		for i := range random.IntN(5) { // what the dictionary has of other files changes nothing
			other.SeriesOf(fmt.Append(nil, "L", i), []byte("level"), nil, nil)
		}
		c := &Content{}
		s, again := &scan{keeps: true}, &scan{keeps: true}
		b.Begin(c)
		other.Begin(c)
		piece := 1
		for i := range readings {
			logger, unit := fmt.Append(nil, "L", random.IntN(loggers)), []byte{"lm"[random.IntN(2)]}
			at, value := int64(random.IntN(50)), random.Float64()
			for _, to := range []*Batch{b, other} {
				to.Append(to.SeriesOf(logger, []byte("flow"), unit, nil), at, value)
				if i%7 == 3 {
					to.SetQuality([]byte("A"))
				}
			}
			if piece < pieces && i == readings*piece/pieces {
				piece++
				b.Spans[len(b.Spans)-1].End, other.Spans[len(other.Spans)-1].End = len(b.Time), len(other.Time)
				s.next(b)
				again.next(other)
				b.Begin(c)
				other.Begin(c)
			}
		}
		b.End()
		other.End()
		b.join()
		other.join()
		s.end(b, most)
		again.end(other, most)
		if len(b.Spans) != 1 || b.Spans[0].Begin != 0 || b.Spans[0].End != readings {
			t.Fatalf("seed %d: the spans are %+v", seed, b.Spans)
		}
		checkCut(t, seed, b, s.parts, most)
		if diff := gocmp.Diff(s.parts, again.parts, gocmp.AllowUnexported(scanned{})); diff != "" {
			t.Errorf("seed %d: with another dictionary (-before +then):\n%s", seed, diff)
		}
	}
}

func checkCut(t *testing.T, seed uint64, b *Batch, parts []scanned, most int) {
	t.Helper()
	var order []int32
	name := func(row int32) string { return b.Keys[b.Series[row]].Logger }
	before := map[string]reachOf{}
	for n, p := range parts {
		switch {
		case p.readings != len(p.rows), most > 0 && len(p.rows) > most, n > 0 && n < len(parts)-1 && len(p.rows) != len(parts[0].rows), n > 0 && len(p.rows) == 0:
			t.Errorf("seed %d: part %d of %d has %d readings of %d, at most %d", seed, n, len(parts), len(p.rows), p.readings, most)
		case !slices.IsSorted(p.rows):
			t.Errorf("seed %d: part %d is not in the order of the file", seed, n)
		}
		late := false
		for _, r := range p.rows {
			reach, ok := before[name(r)]
			late = late || ok && b.Time[r] >= reach.first && b.Time[r] <= reach.last
		}
		for _, r := range p.rows {
			reach, ok := before[name(r)]
			if !ok {
				reach = reachesNowhere
			}
			reach.extend(reachOf{b.Time[r], b.Time[r]})
			before[name(r)] = reach
		}
		if late != p.late {
			t.Errorf("seed %d: part %d is late: %v, want %v", seed, n, p.late, late)
		}
		bySeries := slices.Clone(p.rows)
		slices.SortStableFunc(bySeries, func(x, y int32) int { return cmp.Compare(name(x), name(y)) })
		order = append(order, bySeries...)
	}
	if !slices.IsSortedFunc(order, func(x, y int32) int { return cmp.Or(cmp.Compare(name(x), name(y)), cmp.Compare(x, y)) }) {
		t.Errorf("seed %d: the parts are not by series and then in the order of the file", seed)
	}
	slices.Sort(order)
	for i, r := range order {
		if int(r) != i || len(order) != len(b.Time) {
			t.Fatalf("seed %d: of %d readings the parts have %d: %v", seed, len(b.Time), len(order), order)
		}
	}
}

// A batch that was made one of another's readings has a dictionary of its own again
// when it is reset, and the other's stays as it is.
func TestPickedReadings(t *testing.T) {
	from, b := &Batch{}, &Batch{}
	c := &Content{File: File{Path: "a"}}
	fill := func(b *Batch, loggers ...string) {
		b.Begin(c)
		for i, l := range loggers {
			b.Append(b.SeriesOf([]byte(l), []byte("flow"), nil, nil), int64(i), float64(10*i))
			b.SetQuality([]byte("q" + l))
		}
		b.End()
	}
	read := func(b *Batch) (all []string) {
		for i := range b.Time {
			all = append(all, fmt.Sprintf("%s %d %g %s", b.Keys[b.Series[i]].Logger, b.Time[i], b.Value[i], b.Qualities[b.Quality[i]]))
		}
		return all
	}
	fill(b, "L9", "L8")
	fill(from, "L1", "L2", "L1", "L3")
	keys, epoch := slices.Clone(from.Keys), b.Epoch
	b.pick(from, []int32{1, 2}, &from.Spans[0])
	if got, want := read(b), read(from)[1:3]; !slices.Equal(got, want) || b.Epoch == epoch || len(b.Spans) != 1 || b.Spans[0].End != 2 {
		t.Errorf("picked are %q, want %q, in epoch %d after %d: %+v", got, want, b.Epoch, epoch, b.Spans)
	}
	epoch = b.Epoch
	b.Reset()
	fill(b, "L8", "L7", "L1")
	if got, want := read(b), []string{"L8 0 0 qL8", "L7 1 10 qL7", "L1 2 20 qL1"}; !slices.Equal(got, want) || b.Epoch == epoch {
		t.Errorf("then it has %q, want %q, in epoch %d after %d", got, want, b.Epoch, epoch)
	}
	if !slices.Equal(from.Keys, keys) || len(from.Qualities) != 4 {
		t.Errorf("the other's dictionary has become %v, %q", from.Keys, from.Qualities)
	}
}

// Files of few parts are decoded once, larger ones twice; what stands is the same.
func TestReadingsAreKept(t *testing.T) {
	channels := func(readings int) (text string) { // of which none has a part of its own
		for at := range readings / 4 {
			for _, channel := range []string{"level", "flow", "pressure", "battery"} {
				text += rows(channel, at+10, at+11, 1)
			}
		}
		return text
	}
	for _, c := range []struct {
		name           string
		text           string
		decodes, parts int32
		whole          bool
	}{
		{"as many as are kept", channels(16) + rows("flow", 1, 3, 1), 1, 6, false},
		{"more", channels(16) + rows("flow", 1, 4, 1), 2, 7, false},
		{"repeats", channels(8) + channels(8), 1, 6, false},
		{"refused at the end", channels(16) + "!quarantine\n", 1, 0, true},
	} {
		r := newPartRig(item{path: "a/large", text: c.text})
		r.Workers = 3
		var decodes atomic.Int32
		r.NewDecoder = func() Decoder {
			return &cutter{lineDecoder{hook: func(_ context.Context, at step, _ string) error {
				if at == decoding {
					decodes.Add(1)
				}
				return nil
			}}}
		}
		if err := r.Run(t.Context(), t.Context()); err != nil {
			t.Fatal(err)
		}
		r.check(t)
		if diff := gocmp.Diff(expected(r.shelf.items), r.ledger.table, gocmp.AllowUnexported(instant{}, holding{})); diff != "" {
			t.Errorf("%s: -expected +stands:\n%s", c.name, diff)
		}
		if sum := r.ledger.files["a/large"].sum; sum != sha256.Sum256([]byte(c.text)) {
			t.Errorf("%s: its hash is said to be %x", c.name, sum)
		}
		parts := int32(len(r.parts.log) - 1) // besides what ends it
		if decodes.Load() != c.decodes || parts != c.parts {
			t.Errorf("%s: it is decoded %d times, for %d parts, want %d for %d: %q", c.name, decodes.Load(), parts, c.decodes, c.parts, r.parts.log)
		}
		bytes := int64(0)
		if c.decodes > 1 {
			bytes = r.Limits.Part
		}
		if f := r.parts.loading["a/large"]; !c.whole && f.parts.Bytes != bytes {
			t.Errorf("%s: it is said to be cut after %d bytes, want %d", c.name, f.parts.Bytes, bytes)
		}
		readings := 0
		for _, e := range r.report.events {
			if e.Part != nil {
				readings += e.Part.Readings
			}
		}
		if want := strings.Count(strings.ReplaceAll(c.text, "!quarantine\n", ""), "\n"); !c.whole && readings != want {
			t.Errorf("%s: parts of %d readings are told of, want %d", c.name, readings, want)
		}
	}
}

// What was kept is gone on with after a run that ended: parts are the same.
func TestKeptPartsAreGoneOnWith(t *testing.T) {
	text := rows("level", 0, 6, 1) + rows("flow", 0, 6, 1) + rows("level", 2, 8, 1) // the last of which are late
	r := newPartRig(item{path: "a/large", text: text})
	r.Workers = 1
	done := r.runTo(t, "a/large", 2)
	if done < 3 || done > 5 {
		t.Fatalf("%d parts are committed: %q", done, r.parts.log)
	}
	next := r.again()
	if err := next.Run(t.Context(), t.Context()); err != nil || next.Dropped() {
		t.Errorf("it ends with %v, dropped %v", err, next.Dropped())
	}
	next.check(t)
	if n := len(next.parts.log); n != 6-done+1 {
		t.Errorf("%d parts were committed, and then %d: %q", done, n-1, next.parts.log)
	}
	if diff := gocmp.Diff(expected(r.shelf.items), next.ledger.table, gocmp.AllowUnexported(instant{}, holding{})); diff != "" {
		t.Errorf("-expected +stands:\n%s", diff)
	}
}

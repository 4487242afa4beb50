package ingest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// A contest is a batch to be ordered, with all that Sort is told.
type contest struct {
	batch  *Batch
	take   []bool
	bucket []int32
	places int
	rank   []int // by span, each another one: the greater wins
}

func (c *contest) sort(o *Order) { o.Sort(c.batch, c.take, c.bucket, c.places, c.wins) }

func (c *contest) wins(a, b int) bool { return c.rank[a] > c.rank[b] }

// sortAlone orders one span as if nothing else were in the batch.
func (c *contest) sortAlone(o *Order, span int) {
	only := make([]bool, len(c.take))
	only[span] = true
	o.Sort(c.batch, only, c.bucket, c.places, nil)
}

func (c *contest) forgetCounts() {
	for i := range c.batch.Spans {
		c.batch.Spans[i].Receipt = Receipt{}
	}
}

func drawContest(t *rapid.T) *contest {
	c := &contest{batch: &Batch{}, places: rapid.IntRange(1, 4).Draw(t, "places")}
	keys := rapid.IntRange(1, 6).Draw(t, "keys")
	for k := range keys {
		c.batch.SeriesOf([]byte("L"), fmt.Append(nil, k), nil, nil)
		c.bucket = append(c.bucket, int32(rapid.IntRange(0, c.places-1).Draw(t, "place")))
	}
	instants := rapid.Int64Range(-3, rapid.Int64Range(-3, 40).Draw(t, "instants"))
	for range rapid.IntRange(0, 6).Draw(t, "spans") {
		s := c.batch.Begin(&Content{})
		at := instants.Draw(t, "from")
		upward := rapid.Bool().Draw(t, "upward")
		for range rapid.IntRange(0, 30).Draw(t, "readings") {
			if at++; !upward {
				at = instants.Draw(t, "time")
			}
			c.batch.Append(int32(rapid.IntRange(0, keys-1).Draw(t, "key")), at, float64(rapid.IntRange(0, 2).Draw(t, "value")))
			c.batch.SetQuality([]byte(rapid.SampledFrom([]string{"", "", "", "bad"}).Draw(t, "quality")))
		}
		s.State = rapid.SampledFrom([]State{Loaded, Loaded, Loaded, Quarantined}).Draw(t, "state")
		c.batch.End()
		c.take = append(c.take, rapid.IntRange(0, 4).Draw(t, "take") > 0)
	}
	ranks := make([]int, len(c.take))
	for i := range ranks {
		ranks[i] = i
	}
	c.rank = rapid.Permutation(ranks).Draw(t, "ranks")
	return c
}

// ordered is what Sort decides, in a form that can be compared.
type ordered struct {
	Rows, Spans []int32
	Contested   bool
	Cells       []Cells // by span
}

func (c *contest) result(o *Order) ordered {
	r := ordered{Rows: slices.Clone(o.Rows), Spans: slices.Clone(o.Spans), Contested: o.Contested}
	for i := range c.batch.Spans {
		r.Cells = append(r.Cells, c.batch.Spans[i].Receipt.Cells)
	}
	return r
}

// naive orders with maps, one reading at a time. It cannot tell Unchanged from
// Outranked where more than two files meet, for that depends on who met whom:
// it counts them together.
func (c *contest) naive() ordered {
	type slot struct {
		place int32
		time  int64
	}
	b := c.batch
	r := ordered{Cells: make([]Cells, len(b.Spans))}
	last := make([]map[slot]int32, len(b.Spans))
	holders := map[slot][]int32{}
	for i, s := range b.Spans {
		last[i] = map[slot]int32{}
		if !c.take[i] {
			continue
		}
		for row := s.Begin; row < s.End; row++ {
			at := slot{c.bucket[b.Series[row]], b.Time[row]}
			if _, ok := last[i][at]; ok {
				r.Cells[i].Repeated++
			}
			last[i][at] = int32(row)
		}
		for at := range last[i] {
			holders[at] = append(holders[at], int32(i))
		}
	}
	slots := make([]slot, 0, len(holders))
	for at := range holders {
		slots = append(slots, at)
	}
	slices.SortFunc(slots, func(x, y slot) int {
		return cmp.Or(cmp.Compare(x.place, y.place), cmp.Compare(x.time, y.time))
	})
	for _, at := range slots {
		spans := holders[at]
		best := slices.MaxFunc(spans, func(x, y int32) int { return cmp.Compare(c.rank[x], c.rank[y]) })
		for _, s := range spans {
			if s != best {
				r.Cells[s].Outranked++
			}
			if !b.SameReading(last[s][at], last[best][at]) {
				r.Contested = true
			}
		}
		r.Rows, r.Spans = append(r.Rows, last[best][at]), append(r.Spans, best)
	}
	return r
}

// lostTogether adds what a file lost with the same value to what it lost with
// another.
func (r ordered) lostTogether() ordered {
	r.Cells = slices.Clone(r.Cells)
	for i := range r.Cells {
		r.Cells[i].Outranked += r.Cells[i].Unchanged
		r.Cells[i].Unchanged = 0
	}
	return r
}

func TestOrderAgainstModel(t *testing.T) {
	var o Order // one for all, as a committer keeps its own
	rapid.Check(t, func(t *rapid.T) {
		c := drawContest(t)
		c.sort(&o)
		got, want := c.result(&o), c.naive()
		if diff := gocmp.Diff(want, got.lostTogether(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("model and order differ:\n%s", diff)
		}
		for i := 1; i < len(o.Rows); i++ {
			x, y := o.Rows[i-1], o.Rows[i]
			px, py := c.bucket[c.batch.Series[x]], c.bucket[c.batch.Series[y]]
			if px > py || px == py && c.batch.Time[x] >= c.batch.Time[y] {
				t.Fatalf("row %d (place %d, time %d) stands before row %d (place %d, time %d)", x, px, c.batch.Time[x], y, py, c.batch.Time[y])
			}
		}
		c.checkReceipts(t, &o)
	})
}

// checkReceipts says that every reading of a span is kept, or counted once.
func (c *contest) checkReceipts(t *rapid.T, o *Order) {
	kept := make([]int64, len(c.batch.Spans))
	for _, s := range o.Spans {
		kept[s]++
	}
	for i := range c.batch.Spans {
		s := &c.batch.Spans[i]
		r := s.Receipt
		if !c.take[i] {
			if r != (Receipt{}) {
				t.Fatalf("span %d was not taken, and has %+v", i, r)
			}
			continue
		}
		r.Cells.Total = int64(s.End - s.Begin)
		r.Cells.Stored += kept[i]
		if err := r.Balance(); err != nil {
			t.Fatalf("span %d: %v", i, err)
		}
	}
}

// What a file repeats is its own affair, whoever it shares the batch with.
func TestRepeatedDoesNotDependOnTheCompany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o Order
		c := drawContest(t)
		c.sort(&o)
		together := c.result(&o)
		for i := range c.batch.Spans {
			if !c.take[i] {
				continue
			}
			c.forgetCounts()
			c.sortAlone(&o, i)
			if alone := c.batch.Spans[i].Receipt.Cells; alone.Repeated != together.Cells[i].Repeated || alone.Unchanged+alone.Outranked != 0 || o.Contested {
				t.Fatalf("span %d: alone %+v (contested %v), together %+v", i, alone, o.Contested, together.Cells[i])
			}
		}
	})
}

func TestOrderOfTwoFiles(t *testing.T) {
	type reading struct {
		time    int64
		value   float64
		quality string
	}
	for _, c := range []struct {
		name          string
		first, second []reading
		secondWins    bool
		rows, spans   []int32
		cells         [2]Cells
		contested     bool
	}{
		{name: "side by side", first: []reading{{1, 1, ""}}, second: []reading{{2, 1, ""}}, rows: []int32{0, 1}, spans: []int32{0, 1}},
		{name: "the second before the first", first: []reading{{2, 1, ""}}, second: []reading{{1, 1, ""}}, rows: []int32{1, 0}, spans: []int32{1, 0}},
		{name: "the same value", first: []reading{{1, 5, ""}}, second: []reading{{1, 5, ""}}, secondWins: true,
			rows: []int32{1}, spans: []int32{1}, cells: [2]Cells{{Unchanged: 1}, {}}},
		{name: "another value", first: []reading{{1, 5, ""}}, second: []reading{{1, 6, ""}},
			rows: []int32{0}, spans: []int32{0}, cells: [2]Cells{{}, {Outranked: 1}}, contested: true},
		{name: "another quality", first: []reading{{1, 5, ""}}, second: []reading{{1, 5, "bad"}}, secondWins: true,
			rows: []int32{1}, spans: []int32{1}, cells: [2]Cells{{Outranked: 1}, {}}, contested: true},
		{name: "where both repeat, the last lines meet", first: []reading{{1, 1, ""}, {1, 2, ""}, {1, 3, ""}}, second: []reading{{1, 9, ""}, {1, 3, ""}},
			rows: []int32{2}, spans: []int32{0}, cells: [2]Cells{{Repeated: 2}, {Repeated: 1, Unchanged: 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &Batch{Keys: make([]SeriesKey, 1)}
			for _, file := range [][]reading{c.first, c.second} {
				b.Begin(&Content{})
				for _, r := range file {
					b.Append(0, r.time, r.value)
					b.SetQuality([]byte(r.quality))
				}
				b.End()
			}
			var o Order
			o.Sort(b, []bool{true, true}, []int32{0}, 1, func(x, y int) bool { return (x > y) == c.secondWins })
			if !slices.Equal(o.Rows, c.rows) || !slices.Equal(o.Spans, c.spans) || o.Contested != c.contested {
				t.Errorf("rows %v of spans %v, contested %v; want %v of %v, %v", o.Rows, o.Spans, o.Contested, c.rows, c.spans, c.contested)
			}
			for i, want := range c.cells {
				if got := b.Spans[i].Receipt.Cells; got != want {
					t.Errorf("span %d has %+v, want %+v", i, got, want)
				}
			}
		})
	}
}

func TestOrderKeepsItsBuffers(t *testing.T) {
	c := table(20, 500, nil)
	var o Order
	c.sort(&o)
	if n := testing.AllocsPerRun(20, func() { c.sort(&o) }); n != 0 {
		t.Errorf("%v allocations for a batch as large as the last, want none", n)
	}
}

// table is one file of readings of several series, by time and then series,
// as loggers write them. shuffle, if given, is who orders its lines.
func table(series, times int, shuffle func(n int, swap func(i, j int))) *contest {
	c := &contest{batch: &Batch{}, take: []bool{true}, places: series, rank: []int{0}}
	for s := range series {
		c.bucket = append(c.bucket, int32(s))
	}
	c.batch.Keys = make([]SeriesKey, series)
	b := c.batch
	b.Begin(&Content{})
	for at := range times {
		for s := range series {
			b.Append(int32(s), int64(at), float64(at))
		}
	}
	if shuffle != nil {
		shuffle(len(b.Time), func(i, j int) {
			b.Time[i], b.Time[j] = b.Time[j], b.Time[i]
			b.Series[i], b.Series[j] = b.Series[j], b.Series[i]
		})
	}
	b.End()
	return c
}

// manyFiles is small files of one logger each in a shuffled order, as a folder
// lists them: each is ordered, but they follow one another in no order.
func manyFiles(loggers, files, times int, random *rand.Rand) *contest {
	c := &contest{batch: &Batch{}, places: loggers}
	for l := range loggers {
		c.bucket = append(c.bucket, int32(l))
	}
	c.batch.Keys = make([]SeriesKey, loggers)
	for i, f := range random.Perm(loggers * files) {
		c.batch.Begin(&Content{})
		for at := range times {
			c.batch.Append(int32(f%loggers), int64(f/loggers*times+at), 1)
		}
		c.batch.End()
		c.take, c.rank = append(c.take, true), append(c.rank, i)
	}
	return c
}

func BenchmarkOrder(b *testing.B) {
	random := func() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
	for _, bench := range []struct {
		name string
		make func() *contest
	}{
		{"wide/sorted/2M", func() *contest { return table(20, 100_000, nil) }},
		{"long/presorted/2M", func() *contest { return table(1, 2_000_000, nil) }},
		{"long/random/2M", func() *contest { return table(20, 100_000, random().Shuffle) }},
		{"files/shuffled/2M", func() *contest { return manyFiles(50, 400, 100, random()) }},
		{"files/two readings/54k", func() *contest { return manyFiles(300, 90, 2, random()) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := bench.make()
			var o Order
			b.ReportAllocs()
			for b.Loop() {
				c.sort(&o)
			}
			b.ReportMetric(float64(len(c.batch.Time))*float64(b.N)/b.Elapsed().Seconds(), "readings/s")
		})
	}
}

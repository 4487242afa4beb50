package ingest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestSeriesOf(t *testing.T) {
	var b Batch
	first := b.SeriesOf([]byte("L1"), []byte("flow"), []byte("m3/h"), []byte("Flow [m3/h]"))
	for _, other := range []SeriesKey{
		{Logger: "L1", Channel: "flow", Unit: "l/s"}, // the store compares the units
		{Logger: "L1", Channel: "flow"},
		{Logger: "L1", Channel: "pressure", Unit: "m3/h"},
		{Logger: "L2", Channel: "flow", Unit: "m3/h"},
		{Logger: "L1flow", Unit: "m3/h"},
		{},
	} {
		i := b.SeriesOf([]byte(other.Logger), []byte(other.Channel), []byte(other.Unit), nil)
		if b.Keys[i] != other {
			t.Errorf("%+v is kept as %+v", other, b.Keys[i])
		}
	}
	if len(b.Keys) != 7 {
		t.Errorf("%d keys for 7 series: %+v", len(b.Keys), b.Keys)
	}
	if again := b.SeriesOf([]byte("L1"), []byte("flow"), []byte("m3/h"), []byte("another label")); again != first {
		t.Errorf("the first series is %d, and then %d", first, again)
	}
	if want := (SeriesKey{Logger: "L1", Channel: "flow", Unit: "m3/h", Label: "Flow [m3/h]"}); b.Keys[first] != want {
		t.Errorf("got %+v, want %+v", b.Keys[first], want)
	}
}

func TestNoQualityCostsNothing(t *testing.T) {
	var b Batch
	b.Begin(&Content{})
	b.Append(0, 1, 1)
	b.SetQuality(nil)
	b.SetQuality([]byte{})
	if len(b.Quality)+len(b.Qualities) != 0 {
		t.Errorf("qualities %v of %q, where no reading has one", b.Quality, b.Qualities)
	}
	b.Append(0, 2, 2)
	b.SetQuality([]byte("bad"))
	b.Append(0, 3, 3)
	if !slices.Equal(b.Quality, []int32{0, 1, 0}) || !slices.Equal(b.Qualities, []string{"", "bad"}) {
		t.Errorf("qualities %v of %q", b.Quality, b.Qualities)
	}
}

// A decoder reuses its field slices for the next line.
func TestBatchKeepsNoCallersBytes(t *testing.T) {
	var b Batch
	b.Begin(&Content{})
	logger, channel, unit, label, quality := []byte("L1"), []byte("flow"), []byte("m3"), []byte("Flow"), []byte("good")
	b.Append(b.SeriesOf(logger, channel, unit, label), 1, 1)
	b.SetQuality(quality)
	for _, s := range [][]byte{logger, channel, unit, label, quality} {
		copy(s, "XXXXXXXX")
	}
	if want := (SeriesKey{"L1", "flow", "m3", "Flow"}); b.Keys[0] != want {
		t.Errorf("the key became %+v", b.Keys[0])
	}
	if b.Qualities[1] != "good" {
		t.Errorf("the quality became %q", b.Qualities[1])
	}
	if b.SeriesOf([]byte("L1"), []byte("flow"), []byte("m3"), nil) != 0 {
		t.Error("the series is not found any more")
	}
}

func TestBatchDoesNotAllocateForWhatItKnows(t *testing.T) {
	b := Batch{KeepLines: true}
	logger, channel, unit, label := []byte("logger 17"), []byte("flow"), []byte("m3/h"), []byte("Flow [m3/h]")
	good := []byte("good")
	fill := func() {
		b.Reset()
		b.Begin(&Content{})
		for i := range 100 {
			b.Append(b.SeriesOf(logger, channel, unit, label), int64(i), 1)
			b.SetQuality(good)
			b.SetLine(int64(i))
		}
		b.End()
	}
	fill()
	if n := testing.AllocsPerRun(100, fill); n != 0 {
		t.Errorf("%v allocations for 100 readings of a known series, want none", n)
	}
}

func TestBeginAndEnd(t *testing.T) {
	var b Batch
	file := File{Source: "s", Path: "p", Size: 3, Modified: 5, Precision: Second}
	s := b.Begin(&Content{File: file, Fetched: 7})
	if want := (Span{File: file, Fetched: 7, FirstFetched: 7, State: Loaded}); !cmp.Equal(*s, want) {
		t.Errorf("a new span:\n%s", cmp.Diff(want, *s))
	}
	b.Append(0, 1, 1)
	b.Append(0, 2, 2)
	if s = b.End(); s.Begin != 0 || s.End != 2 {
		t.Errorf("the span holds [%d, %d), want [0, 2)", s.Begin, s.End)
	}
	s = b.Begin(&Content{File: file, Fetched: 9, FirstFetched: 4})
	if s.Fetched != 9 || s.FirstFetched != 4 || s.Begin != 2 {
		t.Errorf("the span of a file that is due: %+v", s)
	}
}

func TestEndOfARefusedFile(t *testing.T) {
	for state, want := range map[State]Receipt{
		Held: {}, // not read until its question is answered
		Quarantined: {
			Lines: Lines{Total: 4, Header: 1, Data: 2, Rejected: 1}, Cells: Cells{Total: 3, Missing: 1, Rejected: 2},
		},
	} {
		var b Batch
		b.Begin(&Content{})
		b.Append(0, 1, 1)
		b.End()
		s := b.Begin(&Content{})
		b.Append(0, 2, 2)
		b.SetQuality([]byte("bad"))
		s.Receipt = Receipt{Lines: Lines{Total: 4, Header: 1, Data: 2, Rejected: 1}, Cells: Cells{Total: 3, Missing: 1, Rejected: 1}}
		s.Rejects = []Reject{{Line: 3}}
		s.State, s.Reason = state, "why"
		if s = b.End(); s.Begin != 1 || s.End != 1 || len(b.Time) != 1 || len(b.Quality) != 1 {
			t.Errorf("%s: the span has [%d, %d) of %d readings", state, s.Begin, s.End, len(b.Time))
		}
		if err := s.Receipt.Balance(); err != nil {
			t.Errorf("%s: %v", state, err)
		}
		if s.Receipt != want || len(s.Rejects) != int(want.Lines.Rejected) {
			t.Errorf("%s: %+v and %d rejects, want %+v", state, s.Receipt, len(s.Rejects), want)
		}
	}
}

func TestResetKeepsTheDictionaryUntilItIsTooLarge(t *testing.T) {
	var b Batch
	name := func(i int) []byte { return fmt.Appendf(nil, "logger %d", i) }
	for i := range maxKeys {
		b.SeriesOf(name(i), []byte("flow"), nil, nil)
	}
	b.Reset()
	if b.Epoch != 0 || len(b.Keys) != maxKeys {
		t.Fatalf("epoch %d with %d keys after a reset at the limit", b.Epoch, len(b.Keys))
	}
	if i := b.SeriesOf(name(maxKeys), []byte("flow"), nil, nil); i != maxKeys {
		t.Fatalf("key %d, want %d", i, maxKeys)
	}
	if b.SeriesOf(name(5), []byte("flow"), nil, nil) != 5 {
		t.Fatal("a key moved within the epoch")
	}
	b.Reset()
	if b.Epoch != 1 || len(b.Keys) != 0 {
		t.Fatalf("epoch %d with %d keys after a reset above the limit", b.Epoch, len(b.Keys))
	}
	if i := b.SeriesOf(name(5), []byte("flow"), nil, nil); i != 0 || b.Keys[0].Logger != "logger 5" {
		t.Fatalf("the new epoch's first key is %d: %+v", i, b.Keys)
	}
}

func TestResetForgetsTooManyQualities(t *testing.T) {
	var b Batch
	for i := range maxKeys + 1 {
		b.Append(0, int64(i), 1)
		b.SetQuality(fmt.Appendf(nil, "q%d", i))
	}
	if b.Qualities[b.Quality[maxKeys]] != fmt.Sprintf("q%d", maxKeys) {
		t.Fatalf("the last reading's quality is %q", b.Qualities[b.Quality[maxKeys]])
	}
	b.Reset()
	if len(b.Qualities) != 0 {
		t.Fatalf("%d qualities after a reset", len(b.Qualities))
	}
	b.Append(0, 1, 1)
	b.SetQuality([]byte("good"))
	if got := b.Qualities[b.Quality[0]]; got != "good" || b.Qualities[0] != "" {
		t.Fatalf("got %q of %q", got, b.Qualities)
	}
}

func TestResetLetsGoOfTheRejects(t *testing.T) {
	var b Batch
	b.Begin(&Content{}).Rejects = []Reject{{Line: 1, Raw: "a line"}}
	b.End()
	b.Reset()
	if kept := b.Spans[:1][0]; kept.Rejects != nil {
		t.Errorf("an empty batch holds %+v", kept.Rejects)
	}
}

// A plainReading is what the model remembers of one reading.
type plainReading struct {
	Key     SeriesKey
	Time    int64
	Value   float64
	Quality string
	Line    int64
}

type plainSpan struct {
	Path     string
	State    State
	Readings []plainReading
}

// batchModel drives a Batch beside a list of lists that holds the same.
type batchModel struct {
	batch Batch
	spans []plainSpan
	open  bool

	epoch int
	index map[SeriesKey]int32 // what SeriesOf returned in this epoch, by key without label
	label map[int32]string
}

func TestBatchAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &batchModel{batch: Batch{KeepLines: rapid.Bool().Draw(t, "keep lines")}, index: map[SeriesKey]int32{}, label: map[int32]string{}}
		t.Repeat(map[string]func(*rapid.T){
			"":      m.check,
			"begin": m.begin,
			"read":  m.read,
			"end":   m.end,
			"drop":  m.drop,
			"reset": m.reset,
		})
	})
}

func (m *batchModel) begin(t *rapid.T) {
	if m.open {
		t.Skip("a span is open")
	}
	path := rapid.StringN(0, 3, 9).Draw(t, "path")
	m.batch.Begin(&Content{File: File{Path: path}})
	m.spans = append(m.spans, plainSpan{Path: path, State: Loaded})
	m.open = true
}

func (m *batchModel) read(t *rapid.T) {
	if !m.open {
		t.Skip("no span is open")
	}
	name := rapid.SampledFrom([]string{"", "a", "b", "ab"})
	key := SeriesKey{Logger: name.Draw(t, "logger"), Channel: name.Draw(t, "channel"), Unit: name.Draw(t, "unit")}
	label := name.Draw(t, "label")
	i := m.batch.SeriesOf([]byte(key.Logger), []byte(key.Channel), []byte(key.Unit), []byte(label))
	if known, ok := m.index[key]; ok && known != i {
		t.Fatalf("%+v was %d and is %d", key, known, i)
	} else if !ok {
		m.index[key], m.label[i] = i, label
	}
	r := plainReading{Key: key, Time: rapid.Int64().Draw(t, "time"), Value: rapid.Float64().Draw(t, "value")}
	r.Key.Label = m.label[i]
	m.batch.Append(i, r.Time, r.Value)
	if q := rapid.SampledFrom([]string{"", "", "good", "bad", "\x00"}).Draw(t, "quality"); rapid.Bool().Draw(t, "has quality") {
		m.batch.SetQuality([]byte(q))
		r.Quality = q
	}
	line := rapid.Int64Range(1, 1e6).Draw(t, "line")
	m.batch.SetLine(line)
	if m.batch.KeepLines {
		r.Line = line
	}
	last := &m.spans[len(m.spans)-1]
	last.Readings = append(last.Readings, r)
}

func (m *batchModel) end(t *rapid.T) {
	if !m.open {
		t.Skip("no span is open")
	}
	last := &m.spans[len(m.spans)-1]
	last.State = rapid.SampledFrom([]State{Loaded, Loaded, Held, Quarantined}).Draw(t, "state")
	m.batch.Spans[len(m.batch.Spans)-1].State = last.State
	if last.State != Loaded {
		last.Readings = nil
	}
	m.batch.End()
	m.open = false
}

// drop takes out the last span, whether it has ended or not.
func (m *batchModel) drop(t *rapid.T) {
	if len(m.spans) == 0 {
		t.Skip("there is no span")
	}
	m.batch.Drop()
	m.spans, m.open = m.spans[:len(m.spans)-1], false
}

func (m *batchModel) reset(*rapid.T) {
	m.batch.Reset()
	m.spans, m.open = nil, false
}

func (m *batchModel) check(t *rapid.T) {
	b := &m.batch
	if b.Epoch != m.epoch {
		t.Fatalf("epoch %d", b.Epoch)
	}
	n := len(b.Time)
	if len(b.Series) != n || len(b.Value) != n || len(b.Quality) != 0 && len(b.Quality) != n || len(b.Line) != 0 && len(b.Line) != n {
		t.Fatalf("columns of %d times, %d series, %d values, %d qualities, %d lines", n, len(b.Series), len(b.Value), len(b.Quality), len(b.Line))
	}
	var got []plainSpan
	at := 0
	for i, s := range b.Spans {
		if m.open && i == len(b.Spans)-1 {
			s.End = n
		}
		if s.Begin != at {
			t.Fatalf("span %d begins at %d, the one before ends at %d", i, s.Begin, at)
		}
		at = s.End
		p := plainSpan{Path: s.File.Path, State: s.State}
		for r := s.Begin; r < s.End; r++ {
			p.Readings = append(p.Readings, m.reading(r))
		}
		got = append(got, p)
	}
	if at != n {
		t.Fatalf("%d readings, but spans of %d", n, at)
	}
	if diff := cmp.Diff(m.spans, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("model and batch differ:\n%s", diff)
	}
}

func (m *batchModel) reading(r int) plainReading {
	b := &m.batch
	p := plainReading{Key: b.Keys[b.Series[r]], Time: b.Time[r], Value: b.Value[r]}
	if len(b.Quality) > 0 {
		p.Quality = b.Qualities[b.Quality[r]]
	}
	if len(b.Line) > 0 {
		p.Line = b.Line[r]
	}
	return p
}

func BenchmarkBatch(b *testing.B) {
	const loggers, readings = 50, 100_000
	names := make([][]byte, loggers)
	for i := range names {
		names[i] = fmt.Appendf(nil, "logger-%03d", i)
	}
	for _, quality := range [][]byte{nil, []byte("good")} {
		b.Run(fmt.Sprintf("quality=%q", quality), func(b *testing.B) {
			var batch Batch
			channel, unit := []byte("flow"), []byte("m3/h")
			b.ReportAllocs()
			for b.Loop() {
				batch.Reset()
				batch.Begin(&Content{})
				for i := range readings {
					batch.Append(batch.SeriesOf(names[i%loggers], channel, unit, channel), int64(i), 1)
					batch.SetQuality(quality)
				}
				batch.End()
			}
			b.ReportMetric(float64(readings)*float64(b.N)/b.Elapsed().Seconds(), "readings/s")
		})
	}
}

// What is withheld is gone from all columns, is counted, and leaves the other
// readings and what points to them in place.
func TestWithhold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &Batch{KeepLines: rapid.Bool().Draw(t, "lines")}
		type reading struct {
			span      int
			series    int32
			value     float64
			quality   string
			line      int64
			undecided bool
		}
		var want []reading
		withheld := make([]int64, rapid.IntRange(1, 4).Draw(t, "spans"))
		for i := range withheld {
			b.Begin(&Content{})
			for n := range rapid.IntRange(0, 6).Draw(t, "readings") {
				r := reading{span: i, series: rapid.Int32Range(0, 2).Draw(t, "series"), value: float64(n), line: int64(n + 1),
					quality: rapid.SampledFrom([]string{"", "", "", "bad"}).Draw(t, "quality"), undecided: rapid.Bool().Draw(t, "undecided")}
				b.Append(r.series, 0, r.value)
				b.SetQuality([]byte(r.quality))
				b.SetLine(r.line)
				if s := &b.Spans[i]; r.undecided {
					s.Undecided = append(s.Undecided, int32(len(b.Time)-1))
				}
				if r.series == int32(i%2) {
					withheld[i]++
				} else {
					want = append(want, r)
				}
			}
			b.End()
		}
		b.Withhold(func(span int, series int32) bool { return series == int32(span%2) })
		var got []reading
		for i := range b.Spans {
			s := &b.Spans[i]
			if s.Receipt.Cells.Withheld != withheld[i] {
				t.Fatalf("span %d has %d withheld, want %d", i, s.Receipt.Cells.Withheld, withheld[i])
			}
			for r := s.Begin; r < s.End; r++ {
				one := reading{span: i, series: b.Series[r], value: b.Value[r], undecided: slices.Contains(s.Undecided, int32(r)), line: int64(b.Value[r]) + 1}
				if len(b.Quality) > 0 {
					one.quality = b.Qualities[b.Quality[r]]
				}
				if b.KeepLines {
					one.line = b.Line[r]
				}
				got = append(got, one)
			}
		}
		if !slices.Equal(got, want) || len(b.Time) != len(want) {
			t.Fatalf("left are %v of %d, want %v", got, len(b.Time), want)
		}
	})
}

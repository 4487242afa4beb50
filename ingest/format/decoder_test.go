package format

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

// decoderFor makes a decoder of one profile, given as YAML.
func decoderFor(t testing.TB, profile string, s Settings) *Decoder {
	t.Helper()
	p, err := Parse("p.yaml", []byte(profile))
	if err != nil {
		t.Fatal(err)
	}
	set, err := NewSet(false, p)
	if err != nil {
		t.Fatal(err)
	}
	s.Profile = p.Name
	d, err := NewDecoder(set, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// decodeOne decodes one file into a batch of its own.
func decodeOne(t testing.TB, d *Decoder, path, text string) (*ingest.Batch, *ingest.Span) {
	t.Helper()
	b := &ingest.Batch{KeepLines: true}
	if err := d.Decode(context.Background(), contentOf(path, []byte(text), false), b); err != nil {
		t.Fatal(err)
	}
	checkSpan(t, b, &b.Spans[0])
	return b, &b.Spans[0]
}

// told writes readings one a line, for tests to compare.
func told(b *ingest.Batch) string {
	var s strings.Builder
	for _, f := range facts(b) {
		fmt.Fprintf(&s, "%d %s/%s %s %x %s\n", f.Line, f.Key.Logger, f.Key.Channel, ingest.FromMicros(f.Time).Format(time.RFC3339Nano), f.Value, f.Quality)
	}
	return s.String()
}

func TestLineEndings(t *testing.T) {
	lines := []string{"logger,channel,timestamp,value", "L1,flow,2024-01-01T00:00:00Z,1", "", "L1,\"pres\nsure\",2024-01-01T00:00:00Z,2", "L1,flow,2024-01-01T00:15:00Z,3"}
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"\n", "\r\n", "\r"} {
		for _, last := range []string{"", end} {
			d, err := NewDecoder(set, Settings{})
			if err != nil {
				t.Fatal(err)
			}
			b, s := decodeOne(t, d, "a.csv", "\ufeff"+strings.Join(lines, end)+last)
			if l := s.Receipt.Lines; s.State != ingest.Loaded || len(b.Time) != 3 || l != (ingest.Lines{Total: 6, Header: 1, Blank: 1, Data: 4}) {
				t.Errorf("line ending %q: %s %s, %d readings, lines %+v, rejects %+v", end, s.State, s.Reason, len(b.Time), l, s.Rejects)
			} else if b.Line[0] != 2 || b.Line[1] != 4 || b.Line[2] != 6 {
				t.Errorf("line ending %q: readings of lines %v", end, b.Line)
			}
		}
	}
}

// TestMixedLineEndings holds that each line may end as it likes.
func TestMixedLineEndings(t *testing.T) {
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(set, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	b, s := decodeOne(t, d, "a.csv", longHead+"L1,flow,2024-01-01T00:00:00Z,1\rL1,flow,2024-01-01T00:15:00Z,2\r\nL1,flow,2024-01-01T00:30:00Z,3\n")
	if len(b.Time) != 3 || len(s.Rejects) != 0 {
		t.Errorf("%d readings, rejects %+v", len(b.Time), s.Rejects)
	}
}

func TestTimestampOfSeveralColumns(t *testing.T) {
	d := decoderFor(t, `
name: several
shape: wide
dialect: {delimiter: ";"}
logger: {constant: L1}
timestamp: {columns: [Time, Date], join: "T", layout: "%H:%MT%d/%m/%Y", zone: Europe/Amsterdam}
`, Settings{Zone: "UTC"})
	b, s := decodeOne(t, d, "a.csv", "Date;flow;Time\n01/07/2024;1.5;06:30\n02/07/2024;2.5;x\n")
	if got := told(b); got != "2 L1/flow 2024-07-01T04:30:00Z 3ff8000000000000 \n" {
		t.Errorf("read %s", got)
	}
	if len(s.Rejects) != 1 || s.Rejects[0].Reason != `not a timestamp: "xT02/07/2024" (expected "%H:%MT%d/%m/%Y")` || s.Rejects[0].Column != 3 {
		t.Errorf("rejects %+v", s.Rejects)
	}
}

func TestEpochs(t *testing.T) {
	for layout, text := range map[string]string{"epoch_s": "1720000000.25", "epoch_ms": "1720000000250", "epoch_us": "1720000000250000"} {
		d := decoderFor(t, "name: e\nshape: wide\nlogger: {constant: L1}\ntimestamp: {column: t, layout: "+layout+"}\n", Settings{})
		b, s := decodeOne(t, d, "a.csv", "t,flow\n"+text+",1\n")
		if len(b.Time) != 1 || b.Time[0] != 1720000000250000 {
			t.Errorf("%s: %v, %+v", layout, b.Time, s.Rejects)
		}
	}
}

// TestOffsetInCellWins holds that what a cell says of its offset is believed
// before any zone.
func TestOffsetInCellWins(t *testing.T) {
	d := decoderFor(t, "name: o\nshape: wide\nlogger: {constant: L1}\ntimestamp: {column: t, layouts: [rfc3339, '2006-01-02 15:04:05'], zone: America/New_York}\n", Settings{Zone: "Asia/Tokyo"})
	b, _ := decodeOne(t, d, "a.csv", "t,flow\n2024-01-01T00:00:00+01:00,1\n2024-01-01 00:00:00,2\n")
	want := []int64{time.Date(2023, 12, 31, 23, 0, 0, 0, time.UTC).UnixMicro(), time.Date(2024, 1, 1, 5, 0, 0, 0, time.UTC).UnixMicro()}
	if diff := cmp.Diff(want, b.Time); diff != "" {
		t.Error(diff)
	}
}

// TestZoneAcrossChanges holds that what the clock remembers of a zone is right
// on every side of every change of it.
func TestZoneAcrossChanges(t *testing.T) {
	zone, err := time.LoadLocation("America/St_Johns")
	if err != nil {
		t.Fatal(err)
	}
	l, err := compileLayout("2006-01-02 15:04:05")
	if err != nil {
		t.Fatal(err)
	}
	c := newClock([]*layout{l}, zone)
	random := rand.New(rand.NewPCG(1, 2))
	seen := make(map[stampState]int)
	for i := range 200_000 {
		at := time.Unix(random.Int64N(140*365*86400)-70*365*86400, 0).UTC()
		if i%2 == 0 {
			at = time.Date(2024, 11, 3, 0, random.IntN(240), 0, 0, time.UTC)
		}
		text := at.Format("2006-01-02 15:04:05")
		want, err := time.ParseInLocation("2006-01-02 15:04:05", text, zone)
		if err != nil {
			t.Fatal(err)
		}
		state := shown(at, zone)
		seen[state]++
		if got, read := c.micros([]byte(text)); read != state || read == readGood && got != want.UnixMicro() {
			t.Fatalf("%s is %v (%v), want %v (%v)", text, ingest.FromMicros(got), read, want, state)
		}
	}
	if seen[readNever] == 0 || seen[readTwice] == 0 {
		t.Errorf("the times tried were %v", seen)
	}
}

// shown tells how often the clocks of a zone show a wall time, which is given
// as if it were UTC: it tries the offsets of the days around.
func shown(wall time.Time, zone *time.Location) stampState {
	instants := make(map[int64]bool)
	for days := -1; days <= 1; days++ {
		_, offset := wall.AddDate(0, 0, days).In(zone).Zone()
		at := wall.Add(-time.Duration(offset) * time.Second)
		if at.In(zone).Format(time.DateTime) == wall.Format(time.DateTime) {
			instants[at.Unix()] = true
		}
	}
	switch len(instants) {
	case 0:
		return readNever
	case 1:
		return readGood
	}
	return readTwice
}

func TestNamesFromFileName(t *testing.T) {
	d := decoderFor(t, `
name: named
shape: long
logger: {file_name: '^(?P<logger>[^_]+)_'}
channel: {file_name: '_(?P<channel>[a-z]+)(-(?P<unit>\w+))?_'}
value: v
timestamp: {column: t, layout: "2006-01-02 15:04"}
file_time: {file_name: '_(?P<time>\d{12})', layout: "200601021504"}
`, Settings{Zone: "Europe/London"})
	text := "t,v\n2024-07-01 00:00,1.5\n"
	b, s := decodeOne(t, d, "in/archive.zip!sub/L1_flow-lps_202407010015.csv.gz", text)
	if k := b.Keys[b.Series[0]]; k != (ingest.SeriesKey{Logger: "L1", Channel: "flow", Unit: "lps", Label: "flow"}) {
		t.Errorf("series %+v", k)
	}
	if want := time.Date(2024, 6, 30, 23, 15, 0, 0, time.UTC).UnixMicro(); s.NameTime != want {
		t.Errorf("the name's time is %v", ingest.FromMicros(s.NameTime))
	}
	_, same := decodeOne(t, d, "L1_flow-lps_202407010030.csv", text)
	_, other := decodeOne(t, d, "L2_flow-lps_202407010015.csv", text)
	if s.Identity != same.Identity || s.Identity == other.Identity || s.Identity == (ingest.Digest{}) {
		t.Errorf("identities %x, %x, %x", s.Identity, same.Identity, other.Identity)
	}
	if _, s := decodeOne(t, d, "flow.csv", text); s.State != ingest.Quarantined || s.Reason != `the file's name, "flow.csv", tells no logger: the profile named expects it to match "^(?P<logger>[^_]+)_"` {
		t.Errorf("%s: %s", s.State, s.Reason)
	}
	if _, s := decodeOne(t, d, "L\xff_flow_1.csv", text); s.State != ingest.Quarantined || s.Reason != `the logger that the file's name, preamble or header tells is not UTF-8: "L\xff"` {
		t.Errorf("%s: %s", s.State, s.Reason)
	}
}

func TestBaseName(t *testing.T) {
	for path, want := range map[string]string{
		"in/L1.csv":                  "L1.csv",
		"/in/2024!week/L1!a.csv":     "L1!a.csv",
		"in/A.ZIP!L1.csv":            "L1.csv",
		"a.zip!sub/L1!b.csv":         "L1!b.csv",
		"a.zip!L1!b.csv":             "L1!b.csv",
		"in/\xff\xff.zip!\xffL1.csv": "\xffL1.csv",
		".zip!a.csv":                 ".zip!a.csv",
		"L1.CSV.GZ":                  "L1.CSV",
		"a.zip!L1.csv.gz":            "L1.csv",
		".gz":                        ".gz",
	} {
		if got := baseName(path); got != want {
			t.Errorf("%q is called %q, want %q", path, got, want)
		}
	}
}

func TestWindow(t *testing.T) {
	text := "t,flow\n2024-01-01T00:00:00Z,1\n2026-05-30T00:00:00Z,2\n2026-06-01T13:00:00Z,3\n2026-06-02T13:00:00Z,4\n"
	profile := "name: w\nshape: wide\nlogger: {constant: L1}\ntimestamp: {column: t, layout: rfc3339}\n"
	for _, c := range []struct {
		profile string
		s       Settings
		want    []float64
	}{
		{profile, Settings{}, []float64{1, 2, 3}},
		{profile, Settings{Window: Window{Past: 400 * 24 * time.Hour, Future: time.Hour}}, []float64{2, 3}},
		{profile + "window: {from: 2026-01-01, to: 2026-06-01}\n", Settings{Window: Window{Past: time.Hour}}, []float64{2}},
		{profile + "window: {past: 1d, future: 36h}\n", Settings{}, []float64{3, 4}},
		{profile + "window: {from: 1970-01-01}\n", Settings{Window: Window{Past: time.Hour}}, []float64{1, 2, 3}},
		{profile + "window: {to: 1970-01-01}\n", Settings{}, []float64{}},
	} {
		b, s := decodeOne(t, decoderFor(t, c.profile, c.s), "a.csv", text)
		if diff := cmp.Diff(c.want, b.Value); diff != "" {
			t.Errorf("%s%+v: %s\n%+v", c.profile, c.s, diff, s.Rejects)
		}
	}
	// What is loaded again is judged as when it was first fetched.
	d := decoderFor(t, profile, Settings{})
	content := contentOf("a.csv", []byte(text), false)
	content.FirstFetched = time.Date(2026, 5, 31, 0, 0, 0, 0, time.UTC).UnixMicro()
	b := &ingest.Batch{}
	if err := d.Decode(context.Background(), content, b); err != nil || len(b.Value) != 2 {
		t.Errorf("%v %v", err, b.Value)
	}
}

func TestColumnsNobodyNamed(t *testing.T) {
	profile := "name: c\nshape: wide\nlogger: {constant: L1}\ntimestamp: {column: 1, layout: rfc3339}\nchannels: [{column: a, channel: first, unit: m}]\n"
	text := "t,a,b\n2024-01-01T00:00:00Z,1,2\n"
	_, s := decodeOne(t, decoderFor(t, profile, Settings{}), "a.csv", text)
	if want := `column 3 of line 1, "b", is neither among the profile's channels nor ignored; add it to one of them, or say others: ignore`; s.State != ingest.Quarantined || s.Reason != want {
		t.Errorf("%s: %s", s.State, s.Reason)
	}
	b, _ := decodeOne(t, decoderFor(t, profile+"others: ignore\n", Settings{}), "a.csv", text)
	if len(b.Time) != 1 || b.Keys[0] != (ingest.SeriesKey{Logger: "L1", Channel: "first", Unit: "m", Label: "a"}) {
		t.Errorf("%v %+v", b.Value, b.Keys)
	}
	b, _ = decodeOne(t, decoderFor(t, profile+"others: channel\n", Settings{}), "a.csv", text)
	if len(b.Time) != 2 {
		t.Errorf("%v %+v", b.Value, b.Keys)
	}
	_, s = decodeOne(t, decoderFor(t, profile+"others: ignore\n", Settings{}), "a.csv", "t,b\n2024-01-01T00:00:00Z,1\n")
	if want := `the header has no column "a" (channel): line 1 is "t,b"`; s.Reason != want {
		t.Errorf("%s: %s", s.State, s.Reason)
	}
}

// TestAColumnIsOneThing holds that a column is not taken for two things, nor
// one of two columns of a name for the other.
func TestAColumnIsOneThing(t *testing.T) {
	long := "name: l\nshape: long\nchannel: {column: c}\n"
	wide := "name: w\nshape: wide\nlogger: {constant: L1}\n"
	for _, c := range []struct{ profile, head, reason string }{
		{long + "logger: {column: t}\ntimestamp: {column: t, layout: rfc3339}\nvalue: v\n", "c,t,v", `column 2 of the header, "t", is to be two things at once`},
		{long + "logger: {column: l}\ntimestamp: {column: t, layout: rfc3339}\nvalue: v\nquality: v\n", "l,c,t,v", `column 4 of the header, "v", is to be two things at once`},
		{long + "logger: {column: l}\ntimestamp: {column: t, layout: rfc3339}\nvalue: v\nquality: t\n", "l,c,t,v", `column 3 of the header, "t", is to be two things at once`},
		{long + "logger: {column: l}\ntimestamp: {column: t, layout: rfc3339}\nvalue: v\n", "l,c,t,v,v", `columns 4 and 5 of line 1 are both "v"; tell the profile which is meant, by number`},
		{long + "logger: {column: l}\ntimestamp: {column: t, layout: rfc3339}\nvalue: v\n", "l,t,c,t,v", `columns 2 and 4 of line 1 are both "t"; tell the profile which is meant, by number`},
		{wide + "timestamp: {column: t, layout: rfc3339}\n", "t,a,t", `columns 1 and 3 of line 1 are both "t"; tell the profile which is meant, by number`},
		{wide + "timestamp: {column: t, layout: rfc3339}\nchannels: [{column: a, quality: q}]\nothers: ignore\n", "t,a,q,q", `columns 3 and 4 of line 1 are both "q"; tell the profile which is meant, by number`},
	} {
		_, s := decodeOne(t, decoderFor(t, c.profile, Settings{}), "a.csv", c.head+"\n"+strings.Repeat("2024-01-01T00:00:00Z,", strings.Count(c.head, ","))+"1\n")
		if s.State != ingest.Quarantined || s.Reason != c.reason {
			t.Errorf("%s: %s: %s\nwant %s", c.head, s.State, s.Reason, c.reason)
		}
	}
	// By number, or by a pattern, one is meant; channels may share a quality.
	for _, profile := range []string{
		wide + "timestamp: {column: 1, layout: rfc3339}\nchannels: [{column: a, quality: q}, {column: b, quality: q}]\nothers: ignore\n",
		wide + "timestamp: {column: {match: '^t$'}, layout: rfc3339}\nchannels: [{column: a, quality: q}, {column: b, quality: q}]\nothers: ignore\n",
	} {
		b, s := decodeOne(t, decoderFor(t, profile, Settings{}), "a.csv", "t,a,b,q,t\n2024-01-01T00:00:00Z,1,2,ok,x\n")
		if want := "2 L1/a 2024-01-01T00:00:00Z 3ff0000000000000 ok\n2 L1/b 2024-01-01T00:00:00Z 4000000000000000 ok\n"; told(b) != want {
			t.Errorf("%s: %s\n%s", s.State, s.Reason, told(b))
		}
	}
}

// TestSentinels holds that a number that is declared to be missing is no
// reading, however it is written, in the columns it is declared for.
func TestSentinels(t *testing.T) {
	d := decoderFor(t, "name: s\nshape: wide\nlogger: {constant: L1}\ntimestamp: {column: t, layout: rfc3339}\nchannels: [{column: a, missing: [\"-9999\"]}, {column: {match: .}}]\nmissing: [NA]\n", Settings{})
	b, s := decodeOne(t, d, "a.csv", "t,a,b,c\n2024-01-01T00:00:00Z,-9999,-9999,NA\n2024-01-01T00:15:00Z, -9999 ,NA,3\n2024-01-01T00:30:00Z,-9999.0,2,\n")
	if got := told(b); len(b.Value) != 3 || s.Receipt.Cells.Missing != 6 || len(s.Rejects) != 0 {
		t.Errorf("%s%+v %+v", got, s.Receipt.Cells, s.Rejects)
	}
}

// TestDecimalCommaBetweenCommas holds that a cell without quotes has no decimal
// sign where the sign is the delimiter, whatever stands in it.
func TestDecimalCommaBetweenCommas(t *testing.T) {
	profile := "name: c\nshape: wide\ndialect: {decimal: ','}\nlogger: {constant: L1}\ntimestamp: {column: t, layout: rfc3339}\n"
	for _, general := range []bool{false, true} {
		d := decoderFor(t, profile, Settings{})
		d.general = general
		b, s := decodeOne(t, d, "a.csv", "t,a,b\n2024-01-01T00:00:00Z,\"1,5\",2\n2024-01-01T00:15:00Z,3\x001,4\n2024-01-01T00:30:00Z,5.5,60\n")
		if diff := cmp.Diff([]float64{1.5, 2, 4, 60}, b.Value); diff != "" {
			t.Errorf("general %v: %s", general, diff)
		}
		if len(s.Rejects) != 2 || s.Rejects[0].Reason != `not a number: "3\x001" (expected digits with a decimal comma)` {
			t.Errorf("general %v: rejects %+v", general, s.Rejects)
		}
	}
}

// TestDecoderKeepsNothing holds that what a decoder read before changes
// nothing: files of several layouts, loggers and faults in any order, through
// one decoder and one batch, read as each does alone.
func TestDecoderKeepsNothing(t *testing.T) {
	set := fuzzProfiles(t)
	type file struct{ path, text string }
	files := []file{
		{"1.csv", longHead + "L1,flow,2024-01-01 00:00:00,1\nL1,pressure,2024-01-01 00:00:00,2\n"},
		{"2.csv", "logger,channel,timestamp,value,quality\nL1,flow,2024-01-01 00:00:00,1,ok\nL2,flow,2024-01-01 00:00:00,2,\n"},
		{"3.csv", "no header at all\n"},
		{"4.csv", longHead + "L1,flow,2024-03-31 02:30:00,1\nbad\nL1,flow,2024-10-27 02:30:00,2\n"},
		{"5.dat", "\"TOA5\",\"S1\"\n\"TIMESTAMP\",\"RECORD\",\"T\",\"N\"\n\"TS\",\"RN\",\"C\",\"\"\n\"\",\"\",\"Avg\",\"Smp\"\n\"2024-01-01 00:00:00.5\",1,4,\"text\"\n"},
		{"6.dat", "\"TOA5\",\"S2\"\n\"TIMESTAMP\",\"RECORD\",\"T\",\"N\"\n\"TS\",\"RN\",\"C\",\"\"\n\"\",\"\",\"Avg\",\"Smp\"\n\"2024-01-01 00:00:00.5\",1,4,5\n"},
		{"7.csv", longHead},
		{"8.csv", longHead + strings.Repeat("bad\n", 40)},
		{"9.csv.gz", zipped(t, longHead+"L9,flow,2024-01-01 00:00:00,9\n")},
		{"10.csv.gz", zipped(t, longHead+"L9,flow,2024-01-01 00:00:00,9\n")[:30]},
	}
	settings := Settings{Zone: "Europe/Amsterdam"}
	alone := make(map[string]*ingest.Batch)
	for _, f := range files {
		d, err := NewDecoder(set, settings)
		if err != nil {
			t.Fatal(err)
		}
		alone[f.path], _ = decodeOne(t, d, f.path, f.text)
	}
	random := rand.New(rand.NewPCG(3, 4))
	d, err := NewDecoder(set, settings)
	if err != nil {
		t.Fatal(err)
	}
	b := &ingest.Batch{KeepLines: true}
	for range 300 {
		b.Reset()
		n := 1 + random.IntN(6)
		for range n {
			f := files[random.IntN(len(files))]
			if err := d.Decode(context.Background(), contentOf(f.path, []byte(f.text), random.IntN(2) == 0), b); err != nil {
				t.Fatal(err)
			}
		}
		all := facts(b)
		for i := range b.Spans {
			s := &b.Spans[i]
			checkSpan(t, b, s)
			want := alone[s.File.Path]
			if diff := cmp.Diff(facts(want), all[s.Begin:s.End:s.End], cmp.Transformer("empty", func(f []fact) []fact { return append([]fact{}, f...) })); diff != "" {
				t.Fatalf("%s (-alone +among others):\n%s", s.File.Path, diff)
			}
			w := want.Spans[0]
			if s.State != w.State || s.Reason != w.Reason || s.Receipt != w.Receipt || s.Recipe != nil && *s.Recipe != *w.Recipe {
				t.Fatalf("%s is %+v among others, %+v alone", s.File.Path, s, w)
			}
		}
	}
}

// TestDecodersShareASet reads the same files through several decoders of one
// set at once; the race detector watches.
func TestDecodersShareASet(t *testing.T) {
	set := fuzzProfiles(t)
	texts := seeds()
	var all sync.WaitGroup
	told := make([]string, 4)
	for i := range told {
		all.Go(func() {
			d, err := NewDecoder(set, Settings{Zone: "Europe/London"})
			if err != nil {
				t.Error(err)
				return
			}
			b := &ingest.Batch{}
			for _, text := range texts {
				if err := d.Decode(context.Background(), contentOf("2019_L1.csv", text, false), b); err != nil {
					t.Error(err)
				}
			}
			told[i] = fmt.Sprint(facts(b))
		})
	}
	all.Wait()
	for i := range told {
		if told[i] != told[0] || told[i] == "[]" {
			t.Errorf("decoder %d read %s, the first %s", i, told[i], told[0])
		}
	}
}

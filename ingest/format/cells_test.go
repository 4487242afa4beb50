package format

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
)

// readingsOf writes readings one a line: series, unit, time, value, quality.
func readingsOf(b *ingest.Batch) string {
	var s strings.Builder
	for _, f := range facts(b) {
		fmt.Fprintf(&s, "%s/%s [%s] %s %s %s\n", f.Key.Logger, f.Key.Channel, f.Key.Unit, ingest.FromMicros(f.Time).Format("2006-01-02T15:04Z"), shortest(math.Float64frombits(f.Value)), f.Quality)
	}
	return strings.ReplaceAll(s.String(), " \n", "\n")
}

// rejectsOf writes rejects one a line.
func rejectsOf(s *ingest.Span) string {
	var t strings.Builder
	for _, r := range s.Rejects {
		fmt.Fprintf(&t, "%d:%d %s\n", r.Line, r.Column, r.Reason)
	}
	return t.String()
}

// A cellCase is a file of a profile and what is read of it.
type cellCase struct {
	name, profile, path, text string
	want, rejects             string // one a line; the profile's head is added
	fault                     string // part of why none of it is loaded
}

func (c *cellCase) run(t *testing.T) {
	profile := "name: case\n" + strings.TrimPrefix(c.profile, "\n")
	path := c.path
	if path == "" {
		path = "in/a.csv"
	}
	for _, general := range []bool{false, true} {
		d := decoderFor(t, profile, Settings{Zone: "UTC"})
		d.general = general
		b, s := decodeOne(t, d, path, c.text)
		if c.fault != "" {
			if s.State == ingest.Loaded || !strings.Contains(s.Reason, c.fault) {
				t.Errorf("%s: %s", s.State, s.Reason)
			}
			continue
		}
		if s.State != ingest.Loaded {
			t.Fatalf("%s: %s", s.State, s.Reason)
		}
		if got := readingsOf(b); got != strings.TrimPrefix(c.want, "\n") {
			t.Errorf("read (general: %v)\n%swant\n%s", general, got, c.want)
		}
		if got := rejectsOf(s); got != strings.TrimPrefix(c.rejects, "\n") {
			t.Errorf("rejected (general: %v)\n%swant\n%s", general, got, c.rejects)
		}
		// A second file of the kind is read as the first was.
		before := readingsOf(b)
		if err := d.Decode(t.Context(), contentOf(path, []byte(c.text), false), b); err != nil {
			t.Fatal(err)
		}
		checkSpan(t, b, &b.Spans[1])
		if got := readingsOf(b); got != before+before {
			t.Errorf("the second time read\n%s", got[len(before):])
		}
	}
}

func TestMatrix(t *testing.T) {
	hours := func(passes func(h int) int) string {
		var s strings.Builder
		for h := range 24 {
			for range passes(h) {
				fmt.Fprintf(&s, ",%02d:00", h)
			}
		}
		return s.String()
	}
	row := func(day string, cells func(i int) string, n int) string {
		s := "\nM1," + day
		for i := range n {
			s += "," + cells(i)
		}
		return s
	}
	count := func(i int) string { return fmt.Sprint(i) }
	const profile = `
name: matrix
shape: matrix
logger: {column: Meter}
channel: {constant: energy}
unit: {constant: kWh}
timestamp: {column: Day, layout: "2006-01-02", zone: Europe/London}
`
	once := func(int) int { return 1 }
	twice := func(h int) int {
		if h == 1 {
			return 2
		}
		return 1
	}
	t.Run("an ordinary day", func(t *testing.T) {
		b, s := decodeOne(t, decoderFor(t, profile, Settings{}), "a.csv", "Meter,Day"+hours(once)+row("2024-01-10", count, 24)+"\n")
		if len(b.Time) != 24 || s.Receipt.Cells.Total != 24 || b.Time[23]-b.Time[0] != 23*3600e6 {
			t.Errorf("%d readings, %+v, %s", len(b.Time), s.Receipt.Cells, rejectsOf(s))
		}
	})
	t.Run("the day of 23 hours", func(t *testing.T) {
		blank := func(i int) string {
			if i == 1 {
				return ""
			}
			return count(i)
		}
		b, s := decodeOne(t, decoderFor(t, profile, Settings{}), "a.csv", "Meter,Day"+hours(once)+row("2024-03-31", blank, 24)+"\n")
		if len(b.Time) != 23 || s.Receipt.Cells != (ingest.Cells{Total: 24, Missing: 1}) || b.Time[22]-b.Time[0] != 22*3600e6 {
			t.Errorf("%d readings, %+v, %s", len(b.Time), s.Receipt.Cells, rejectsOf(s))
		}
		b, s = decodeOne(t, decoderFor(t, profile, Settings{}), "a.csv", "Meter,Day"+hours(once)+row("2024-03-31", count, 24)+"\n")
		if got := rejectsOf(s); len(b.Time) != 23 || !strings.HasPrefix(got, `2:4 a time that clocks in Europe/London skipped when they went forward: "2024-03-31T01:00"`) {
			t.Errorf("%d readings, %s", len(b.Time), got)
		}
	})
	t.Run("the day of 25 hours", func(t *testing.T) {
		b, s := decodeOne(t, decoderFor(t, profile, Settings{}), "a.csv", "Meter,Day"+hours(twice)+row("2024-10-27", count, 25)+"\n")
		if len(b.Time) != 25 || b.Time[24]-b.Time[0] != 24*3600e6 {
			t.Fatalf("%d readings, %s", len(b.Time), rejectsOf(s))
		}
		for i := range b.Time {
			if want := time.Date(2024, 10, 26, 23+i, 0, 0, 0, time.UTC).UnixMicro(); b.Time[i] != want || b.Value[i] != float64(i) {
				t.Errorf("reading %d is %v of %s", i, b.Value[i], ingest.FromMicros(b.Time[i]))
			}
		}
	})
	t.Run("one column for two passes", func(t *testing.T) {
		text := "Meter,Day" + hours(once) + row("2024-10-27", count, 24) + "\n"
		_, s := decodeOne(t, decoderFor(t, profile, Settings{}), "a.csv", text)
		if s.State != ingest.Held || s.Shape.Asks != "repeated_hour" {
			t.Errorf("%s %s, asks %+v", s.State, s.Reason, s.Shape)
		}
		b, s := decodeOne(t, decoderFor(t, strings.Replace(profile, "zone:", "repeated_hour: standard, zone:", 1), Settings{}), "a.csv", text)
		if len(b.Time) != 24 || b.Time[1]-b.Time[0] != 2*3600e6 || b.Time[2]-b.Time[1] != 3600e6 {
			t.Errorf("%s %s: %d readings", s.State, s.Reason, len(b.Time))
		}
	})
	t.Run("a zone per row", func(t *testing.T) {
		b, s := decodeOne(t, decoderFor(t, strings.Replace(profile, "zone: Europe/London", "zone: {column: Zone}", 1), Settings{}), "a.csv",
			"Meter,Day,Zone,06:00\nM1,2024-07-01,+02:00,1\nM2,2024-07-01,UTC,2\nM3,2024-07-01,nowhere,3\n")
		if got, rejects := readingsOf(b), rejectsOf(s); got != "M1/energy [kWh] 2024-07-01T04:00Z 1\nM2/energy [kWh] 2024-07-01T06:00Z 2\n" || !strings.HasPrefix(rejects, "4:3 not a zone") {
			t.Errorf("%s%s", got, rejects)
		}
	})
	t.Run("a second column on an ordinary day", func(t *testing.T) {
		b, s := decodeOne(t, decoderFor(t, profile, Settings{}), "a.csv", "Meter,Day"+hours(twice)+row("2024-10-28", count, 25)+"\n")
		if got := rejectsOf(s); len(b.Time) != 24 || got != "2:5 the second column of a time, and clocks showed \"2024-10-28T01:00\" once\n" {
			t.Errorf("%d readings, %s", len(b.Time), got)
		}
	})
}

func TestMatrixHeaders(t *testing.T) {
	head := "shape: matrix\nlogger: {column: 1}\nchannel: {constant: e}\n"
	for _, c := range []cellCase{
		{"hours that end intervals", head + "timestamp: {column: 2, layout: 20060102, header_layout: {match: '^H(?P<time>\\d+)$', layout: hours}}", "",
			"m,d,H1,H24\nA,20240105,1,2\n",
			"A/e [] 2024-01-05T01:00Z 1\nA/e [] 2024-01-06T00:00Z 2\n", "", ""},
		{"24:00 is the next midnight", head + "dialect: {delimiter: ';', decimal: ','}\ntimestamp: {column: 2, layout: 02.01.2006}", "", "m;d;00:15;24:00\nA;05.01.2024;1,5;2\n",
			"A/e [] 2024-01-05T00:15Z 1.5\nA/e [] 2024-01-06T00:00Z 2\n", "", ""},
		{"a total among the times", head + "timestamp: {column: 2, layout: 20060102}", "", "m,d,00:00,Total\nA,20240105,1,2\n", "", "", `column 4 of line 1, "Total", is no time of day as "15:04" says`},
		{"a total that is ignored", head + "ignore: {columns: [Total]}\ntimestamp: {column: 2, layout: 20060102}", "", "m,d,00:00,Total\nA,20240105,1,2\n", "A/e [] 2024-01-05T00:00Z 1\n", "", ""},
		{"others that are ignored", head + "others: ignore\ntimestamp: {column: 2, layout: 20060102}", "", "m,d,00:00,x,y\nA,20240105,1,2,3\n", "A/e [] 2024-01-05T00:00Z 1\n", "", ""},
		{"flags beside the values", head + "pairs: quality\ntimestamp: {column: 2, layout: 20060102, header_layout: '1504'}", "", "m,d,0000,f,0030,f\nA,20240105,1,A,2,E\n",
			"A/e [] 2024-01-05T00:00Z 1 A\nA/e [] 2024-01-05T00:30Z 2 E\n", "", ""},
		{"a quality of the day", head + "quality: q\ntimestamp: {column: 2, layout: 20060102}", "", "m,d,00:00,00:30,q\nA,20240105,1,2,E\n",
			"A/e [] 2024-01-05T00:00Z 1 E\nA/e [] 2024-01-05T00:30Z 2 E\n", "", ""},
		{"a day and a time", head + "timestamp: {column: 2, layout: '20060102 15:04'}", "", "m,d,00:00\nA,20240105 00:00,1\nA,20240106 00:15,1\n",
			"A/e [] 2024-01-05T00:00Z 1\n", "3:2 the row of a day begins at midnight, and this is another time: \"20240106 00:15\"\n", ""},
		{"a day that is none", head + "timestamp: {column: 2, layout: '20060102'}", "", "m,d,00:00\nA,20240105,1\nA,20240132,1\nA,30240101,1\n",
			"A/e [] 2024-01-05T00:00Z 1\n", "3:2 not a timestamp: \"20240132\" (expected \"20060102\")\n4:2 timestamp outside the plausible window: \"30240101\" (expected 1800-01-01T00:00Z to 2026-06-02T12:00Z)\n", ""},
		{"no cell with the date", head + "timestamp: {column: 2, layout: 20060102}", "", "m,d\nA,20240105\n", "", "", "no column of the header is a time of day"},
		{"a time three times", head + "timestamp: {column: 2, layout: 20060102}", "", "m,d,01:00,01:00,01:00\nA,20240105,1,2,3\n", "", "", "is the third of"},
	} {
		t.Run(c.name, c.run)
	}
}

func TestSpellingsOfMissingThatAreNumbers(t *testing.T) {
	for _, c := range []cellCase{
		{name: "wide", profile: `
shape: wide
logger: {constant: L}
channels:
  - {column: A, missing: ["-9999"]}
  - {column: B, missing: ["99.0"]}
timestamp: {column: T, layout: "2006-01-02 15:04"}
`, text: "T,A,B\n2024-01-01 00:00,-9999.0,99\n2024-01-01 01:00,-9999,99.00\n2024-01-01 02:00,99,-9999\n2024-01-01 03:00,-99990E-1,98.9\n",
			want: "\nL/A [] 2024-01-01T02:00Z 99\nL/B [] 2024-01-01T02:00Z -9999\nL/B [] 2024-01-01T03:00Z 98.9\n"},
		{name: "matrix", profile: `
shape: matrix
logger: {constant: L}
channel: {constant: flow}
missing: ["-9"]
timestamp: {column: D, layout: "2006-01-02", header_layout: "15:04"}
`, text: "D,00:00,12:00\n2024-01-01,-9.00,1\n2024-01-02,-9,2\n",
			want: "\nL/flow [] 2024-01-01T12:00Z 1\nL/flow [] 2024-01-02T12:00Z 2\n"},
	} {
		t.Run(c.name, c.run)
	}
}

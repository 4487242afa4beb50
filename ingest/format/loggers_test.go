package format

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

const loggersHead = "source,name,file_channel,logger,channel,unit,multiply,add,zone,every,from,until\n"

// loadLoggers loads a table from its text.
func loadLoggers(t testing.TB, text string) (*Loggers, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "loggers.csv")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := LoadLoggers(file)
	if err != nil {
		err = fmt.Errorf("%s", strings.ReplaceAll(err.Error(), file, "loggers.csv"))
	}
	return l, err
}

func loggersFor(t testing.TB, text string) *Loggers {
	t.Helper()
	l, err := loadLoggers(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLoggersFaults(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "loggers.csv: the loggers table is empty; its first line names its columns, of source, name, file_channel, logger, channel, unit, multiply, add, zone, every, from, until"},
		{"unknown column", "name,serial\nL1,3\n", `loggers.csv:1:6: unknown column "serial" (there are source, name, file_channel, logger, channel, unit, multiply, add, zone, every, from, until)`},
		{"column twice", "name,zone,zone\nL1,UTC,UTC\n", `loggers.csv:1:11: column "zone" stands twice`},
		{"no name", "logger,zone\nL1,UTC\n", `loggers.csv:1:1: there is no column "name": the logger as files name it`},
		{"semicolons", "name;logger\nL1;A\n", `loggers.csv:1:1: unknown column "name;logger": the cells of a loggers table are separated by commas`},
		{"quotes", "name,logger\nL1,\"A\nL2,B\n", "loggers.csv:3:6: extraneous or missing \" in quoted-field; nothing after it is read"},
		{
			"all rows at once",
			"name,logger,multiply,add,zone,every,from,until\n" +
				",A,,,,,,\n" +
				"L1,A,1/10,x,Mars/Base,often,yesterday,2024-13-01\n" +
				"\n" +
				"L2,A,0,,,,2024-05-02,2024-05-01\n" +
				"L3,A\n" +
				"L4,A,NaN,Inf,,0s,,\n",
			`loggers.csv:2:1: name: is empty
loggers.csv:3:6: multiply: expected a number with a decimal point, not "1/10"
loggers.csv:3:11: add: expected a number with a decimal point, not "x"
loggers.csv:3:13: zone: unknown zone "Mars/Base": write an area and city (Europe/London), UTC, or an offset (+01:00)
loggers.csv:3:23: every: expected how often the logger records, such as 15m or 1d, not "often"
loggers.csv:3:29: from: expected a date such as 2024-05-01 or a time such as 2024-05-01T10:30:00+02:00, not "yesterday"
loggers.csv:3:39: until: expected a date such as 2024-05-01 or a time such as 2024-05-01T10:30:00+02:00, not "2024-13-01"
loggers.csv:5:6: multiply: 0 would make all readings one
loggers.csv:5:22: until: 2024-05-01 is not after 2024-05-02
loggers.csv:6:1: 2 cells, and the first line names 8 columns
loggers.csv:7:6: multiply: expected a number with a decimal point, not "NaN"
loggers.csv:7:10: add: expected a number with a decimal point, not "Inf"
loggers.csv:7:15: every: expected how often the logger records, such as 15m or 1d, not "0s"`,
		},
		{
			"overlaps",
			"source,name,file_channel,logger,from,until\n" +
				"north,L1,,A,,2024-05-01\n" +
				"north,L1,,B,2024-04-30,\n" +
				"south,L1,,B,,\n" + // another source
				",L2,flow,A,,\n" +
				",L2,level,B,,\n" + // another channel
				",L2,,C,,\n" + // any channel
				",L2,flow,D,2024-01-01,2024-02-01\n" +
				",L2,flow,E,2024-03-01,\n" + // L2 flow is A all the time
				",L3,,A,,2024-05-01\n" +
				",L3,,B,2024-05-01,\n", // where the other ends
			`loggers.csv:3:13: from: this row and line 2 both tell of logger "L1" from 2024-04-30T00:00:00Z until 2024-05-01T00:00:00Z; let one end where the other begins
loggers.csv:8:12: from: this row and line 5 both tell of logger "L2", channel "flow", from 2024-01-01T00:00:00Z until 2024-02-01T00:00:00Z; let one end where the other begins
loggers.csv:9:12: from: this row and line 5 both tell of logger "L2", channel "flow", from 2024-03-01T00:00:00Z; let one end where the other begins`,
		},
		{"zones", "name,file_channel,zone\nL1,flow,UTC\nL1,level,\nL1,,Europe/London\n", `loggers.csv:4:5: zone: the clock of logger "L1" is in Europe/London here and in UTC in line 2; all rows of a name have one zone`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := loadLoggers(t, c.text)
			if l != nil || err == nil {
				t.Fatalf("it was read: %v", l)
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := LoadLoggers(filepath.Join(t.TempDir(), "none.csv")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a table that is not there: %v", err)
	}
}

// TestLoggersColumnsAreOptional holds that columns may be absent, in any order,
// behind a byte order mark, with blank rows as spreadsheets leave them.
func TestLoggersColumnsAreOptional(t *testing.T) {
	l := loggersFor(t, "\ufefflogger, name\r\n,\r\n Site A , 123 \r\n,\r\n")
	got := linesOf(l.forSource("anything"))
	if diff := cmp.Diff([]loggerLine{{Name: "123", Logger: "Site A"}}, got); diff != "" {
		t.Error(diff)
	}
}

const wideOfColumn = `
name: sites
shape: wide
signature: {header: [logger, time], others: true}
logger: {column: logger}
timestamp: {column: time, layout: "2006-01-02 15:04:05"}
`

// readings decodes a file of source s and writes its readings and rejects one a
// line. It holds that both ways of reading rows agree.
func readings(t *testing.T, profile string, s Settings, path, text string) (string, *ingest.Span) {
	t.Helper()
	var batches []*ingest.Batch
	for _, general := range []bool{false, true} {
		d := decoderFor(t, profile, s)
		d.general = general
		b := &ingest.Batch{KeepLines: true}
		c := contentOf(path, []byte(text), false)
		c.File.Source = "north"
		if err := d.Decode(context.Background(), c, b); err != nil {
			t.Fatal(err)
		}
		checkSpan(t, b, &b.Spans[0])
		batches = append(batches, b)
	}
	if diff := differ(batches[0], batches[1]); diff != "" {
		t.Fatalf("plainRow and anyRow differ (-plain +any):\n%s", diff)
	}
	var out strings.Builder
	b := batches[0]
	for _, f := range facts(b) {
		fmt.Fprintf(&out, "%s/%s[%s] %s %v\n", f.Key.Logger, f.Key.Channel, f.Key.Unit, ingest.FromMicros(f.Time).Format(time.RFC3339), math.Float64frombits(f.Value))
	}
	for _, r := range b.Spans[0].Rejects {
		fmt.Fprintf(&out, "line %d column %d %q: %s\n", r.Line, r.Column, r.Raw, r.Reason)
	}
	return out.String(), &b.Spans[0]
}

const plainLongProfile = `
name: long
shape: long
signature: {header: [logger, channel, timestamp, value]}
logger: {column: logger}
channel: {column: channel}
value: value
timestamp: {column: timestamp, layouts: [rfc3339, "2006-01-02 15:04:05"]}
`

func TestLoggersApply(t *testing.T) {
	wide := "time,flow,level\n2024-04-30 23:45:00,10,1\n2024-05-01 00:00:00,20,2\n"
	long := "L1,flow,2024-04-30 23:45:00,10\nL2,level,2024-04-30 23:45:00,1\nL1,flow,2024-05-01 00:00:00,20\nL2,level,2024-05-01 00:00:00,2\n"
	for _, c := range []struct{ name, profile, path, text, table, want string }{
		{
			"names and factors, wide", plainWide, "L1_may.csv", wide,
			",L1,flow,,,l/s,0.5,1,,,,\n,L1,level,,depth,m,,-1,,,,\n,L1,,Site A,,,,,,,,\n",
			"Site A/flow[l/s] 2024-04-30T23:45:00Z 6\nSite A/depth[m] 2024-04-30T23:45:00Z 0\nSite A/flow[l/s] 2024-05-01T00:00:00Z 11\nSite A/depth[m] 2024-05-01T00:00:00Z 1\n",
		},
		{
			"names and factors, long", plainLongProfile, "all.csv", longHead + long,
			",L1,flow,Site A,inflow,l/s,0.5,1,,,,\n",
			"Site A/inflow[l/s] 2024-04-30T23:45:00Z 6\nL2/level[] 2024-04-30T23:45:00Z 1\nSite A/inflow[l/s] 2024-05-01T00:00:00Z 11\nL2/level[] 2024-05-01T00:00:00Z 2\n",
		},
		{
			"a swap in the middle of a file", plainWide, "L1_may.csv", wide,
			",L1,,Site A,,,,,,,,2024-05-01\n,L1,,Site B,,,10,,,,2024-05-01,\n",
			"Site A/flow[] 2024-04-30T23:45:00Z 10\nSite A/level[] 2024-04-30T23:45:00Z 1\nSite B/flow[] 2024-05-01T00:00:00Z 200\nSite B/level[] 2024-05-01T00:00:00Z 20\n",
		},
		{
			"a swap of two loggers", plainLongProfile, "all.csv", longHead + "L1,flow,2024-04-30 23:45:00,10\nL2,flow,2024-05-01 00:00:00,20\n",
			",L1,,Site A,,,,,,,,2024-05-01\n,L2,,Site A,,,,,,,2024-05-01,\n",
			"Site A/flow[] 2024-04-30T23:45:00Z 10\nSite A/flow[] 2024-05-01T00:00:00Z 20\n",
		},
		{
			"a channel's row for some of the time", plainWide, "L1_may.csv", wide,
			",L1,,Site A,,,,,,,,\n,L1,flow,,,,100,,,,2024-05-01T00:00+00:00,2024-06-01 00:00\n",
			"Site A/flow[] 2024-04-30T23:45:00Z 10\nSite A/level[] 2024-04-30T23:45:00Z 1\nSite A/flow[] 2024-05-01T00:00:00Z 2000\nSite A/level[] 2024-05-01T00:00:00Z 2\n",
		},
		{
			"a time of no row", plainLongProfile, "all.csv", longHead + long,
			",L1,,Site A,,,,,,,2024-01-01,2024-05-01\n,L1,,Site B,,,,,,,2024-05-01T00:00:01Z,\n",
			"Site A/flow[] 2024-04-30T23:45:00Z 10\nL2/level[] 2024-04-30T23:45:00Z 1\nL2/level[] 2024-05-01T00:00:00Z 2\n" +
				`line 4 column 4 "20": the loggers table has channel "flow" of logger "L1" only from 2024-01-01T00:00:00Z until 2024-05-01T00:00:00Z and from 2024-05-01T00:00:01Z, not at 2024-05-01T00:00:00Z` + "\n",
		},
		{
			"a time of no row for one column", plainWide, "L1_may.csv", wide,
			",L1,flow,Site A,,,,,,,,2024-05-01\n",
			"Site A/flow[] 2024-04-30T23:45:00Z 10\nL1/level[] 2024-04-30T23:45:00Z 1\nL1/level[] 2024-05-01T00:00:00Z 2\n" +
				`line 3 column 2 "20": the loggers table has channel "flow" of logger "L1" only until 2024-05-01T00:00:00Z, not at 2024-05-01T00:00:00Z` + "\n",
		},
		{
			"the rows of the source come first", plainLongProfile, "all.csv", longHead + long,
			",L1,,Everywhere,,,,,,,,\nnorth,L1,,North,,,,,,,,\nsouth,L2,,South,,,,,,,,\n",
			"North/flow[] 2024-04-30T23:45:00Z 10\nL2/level[] 2024-04-30T23:45:00Z 1\nNorth/flow[] 2024-05-01T00:00:00Z 20\nL2/level[] 2024-05-01T00:00:00Z 2\n",
		},
		{
			"a value past all numbers", plainLongProfile, "all.csv", longHead + "L1,flow,2024-05-01 00:00:00,1e10\nL1,flow,2024-05-01 00:15:00,0.001\n",
			",L1,,,,,1e300,,,,,\n",
			"L1/flow[] 2024-05-01T00:15:00Z 1e+297\n" +
				`line 2 column 4 "1e10": too large a number once converted as the loggers table says (multiply 1e+300, add 0)` + "\n",
		},
		{
			"two channels of one name, wide", wideOfColumn, "all.csv", "logger,time,flow,level\nL1,2024-05-01 00:00:00,1,2\nL2,2024-05-01 00:00:00,3,4\n",
			",L1,flow,,level,,,,,,,\n",
			"L2/flow[] 2024-05-01T00:00:00Z 3\nL2/level[] 2024-05-01T00:00:00Z 4\n" +
				`line 2 column 4 "L1,2024-05-01 00:00:00,1,2": the loggers table makes the channels "flow" and "level" of logger "L1" both channel "level" of "L1"; give each a name of its own` + "\n",
		},
		{
			"two channels of one name, long", plainLongProfile, "all.csv", longHead + "L1,flow,2024-05-01 00:00:00,1\nL1,level,2024-05-01 00:00:00,2\n",
			",L1,,,all,,,,,,,\n",
			"L1/all[] 2024-05-01T00:00:00Z 1\n" +
				`line 3 column 2 "L1,level,2024-05-01 00:00:00,2": the loggers table makes the channels "flow" and "level" of logger "L1" both channel "all" of "L1"; give each a name of its own` + "\n",
		},
		{
			"two channels of one name, one after the other", plainLongProfile, "all.csv", longHead + "L1,flow,2024-04-30 23:45:00,1\nL1,level,2024-05-01 00:00:00,2\n",
			",L1,flow,,all,,,,,,,2024-05-01\n,L1,level,,all,,,,,,2024-05-01,\n",
			"L1/all[] 2024-04-30T23:45:00Z 1\nL1/all[] 2024-05-01T00:00:00Z 2\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, s := readings(t, c.profile, Settings{Zone: "UTC", Loggers: loggersFor(t, loggersHead+c.table)}, c.path, c.text)
			if diff := cmp.Diff(c.want, got); diff != "" || s.State != ingest.Loaded {
				t.Errorf("%s %s (-want +got):\n%s", s.State, s.Reason, diff)
			}
		})
	}
}

// TestZoneOfALogger holds that a logger's own zone wins over --zone and the
// profile's, across the changes of its clocks, and loses to an offset.
func TestZoneOfALogger(t *testing.T) {
	table := loggersFor(t, "name,zone\nL1,Europe/Berlin\nL2,+00:00\nL3,\n")
	zoned := strings.ReplaceAll(plainWide, `15:04:05"}`, `15:04:05", zone: Asia/Tokyo}`)
	wide := "time,flow\n2024-03-31 01:45:00,1\n2024-03-31 02:30:00,2\n2024-03-31 03:00:00,3\n"
	for _, c := range []struct{ name, profile, zone, path, text, want string }{
		{
			"of a column", plainLongProfile, "America/New_York", "all.csv",
			longHead + "L1,flow,2024-03-31 01:45:00,1\nL2,flow,2024-03-31 01:45:00,1\nL3,flow,2024-03-31 01:45:00,1\nL1,flow,2024-03-31 02:30:00,2\nL2,flow,2024-03-31 02:30:00,2\nL1,flow,2024-03-31 03:00:00,3\nL1,flow,2024-03-31T03:15:00-05:00,4\n",
			"L1/flow[] 2024-03-31T00:45:00Z 1\nL2/flow[] 2024-03-31T01:45:00Z 1\nL3/flow[] 2024-03-31T05:45:00Z 1\nL2/flow[] 2024-03-31T02:30:00Z 2\nL1/flow[] 2024-03-31T01:00:00Z 3\nL1/flow[] 2024-03-31T08:15:00Z 4\n" +
				`line 5 column 3 "L1,flow,2024-03-31 02:30:00,2": a time that clocks in Europe/Berlin skipped when they went forward: "2024-03-31 02:30:00" (if the logger keeps standard time all year, say clock: standard; with gap: shift it is read as if the clock had not been moved)` + "\n",
		},
		{
			"of the file's name", plainWide, "America/New_York", "L1_x.csv", wide,
			"L1/flow[] 2024-03-31T00:45:00Z 1\nL1/flow[] 2024-03-31T01:00:00Z 3\n" +
				`line 3 column 1 "2024-03-31 02:30:00,2": a time that clocks in Europe/Berlin skipped when they went forward: "2024-03-31 02:30:00" (if the logger keeps standard time all year, say clock: standard; with gap: shift it is read as if the clock had not been moved)` + "\n",
		},
		{"before the profile's", zoned, "", "L2_x.csv", wide, "L2/flow[] 2024-03-31T01:45:00Z 1\nL2/flow[] 2024-03-31T02:30:00Z 2\nL2/flow[] 2024-03-31T03:00:00Z 3\n"},
		{"the profile's where the table is silent", zoned, "", "L3_x.csv", wide, "L3/flow[] 2024-03-30T16:45:00Z 1\nL3/flow[] 2024-03-30T17:30:00Z 2\nL3/flow[] 2024-03-30T18:00:00Z 3\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, s := readings(t, c.profile, Settings{Zone: c.zone, Loggers: table}, c.path, c.text)
			if diff := cmp.Diff(c.want, got); diff != "" || s.State != ingest.Loaded {
				t.Errorf("%s %s (-want +got):\n%s", s.State, s.Reason, diff)
			}
		})
	}
	// Only the loggers whose zone nobody tells are asked about.
	if _, s := readings(t, plainLongProfile, Settings{Loggers: table}, "all.csv", longHead+"L1,flow,2024-03-31 01:45:00,1\nL2,flow,2024-03-31 01:45:00,1\n"); s.State != ingest.Loaded {
		t.Errorf("%s %s", s.State, s.Reason)
	}
	if _, s := readings(t, plainLongProfile, Settings{Loggers: table}, "all.csv", longHead+"L1,flow,2024-03-31 01:45:00,1\nL3,flow,2024-03-31 01:45:00,1\n"); s.State != ingest.Held || !strings.Contains(s.Reason, "--zone") {
		t.Errorf("%s %s", s.State, s.Reason)
	}
}

func TestStrictHoldsUnlistedLoggers(t *testing.T) {
	table := loggersFor(t, "source,name\n,L1\nsouth,L2\n")
	one := longHead + "L1,flow,2024-05-01 00:00:00,1\nL2,flow,2024-05-01 00:00:00,1\nL2,level,2024-05-01 00:00:00,1\n"
	text, s := readings(t, plainLongProfile, Settings{Zone: "UTC", Loggers: table}, "a.csv", one)
	if s.State != ingest.Loaded || strings.Count(text, "\n") != 3 || s.Shape != nil {
		t.Fatalf("not strict: %s %s %s", s.State, s.Reason, text)
	}
	strict := Settings{Zone: "UTC", Loggers: table, Strict: true}
	_, s = readings(t, plainLongProfile, strict, "a.csv", one)
	want := `the loggers table does not have logger "L2": what does it become? Add it (a row with nothing but the name leaves it as it is) and take the file up again with --loggers`
	if s.State != ingest.Held || s.Reason != want || s.Shape == nil || s.Shape.Question != want || len(s.Shape.ID) != 12 {
		t.Fatalf("%s %s %+v", s.State, s.Reason, s.Shape)
	}
	shape := s.Shape.ID
	_, s = readings(t, plainLongProfile, strict, "b.csv", one+"L2,flow,2024-05-01 00:15:00,1\n")
	if s.Shape.ID != shape {
		t.Error("files of the same unknown logger are of two shapes")
	}
	_, s = readings(t, plainLongProfile, strict, "c.csv", one+"L9,flow,2024-05-01 00:15:00,1\nL3,,2024-05-01 00:15:00,1\n")
	if !strings.HasPrefix(s.Reason, `the loggers table does not have loggers "L2", "L9": what do they become? Add them`) || s.Shape.ID == shape {
		t.Errorf("%s", s.Reason)
	}
	if _, s = readings(t, plainWide, strict, "L1_a.csv", "time,flow\n2024-05-01 00:00:00,1\n"); s.State != ingest.Loaded {
		t.Errorf("%s %s", s.State, s.Reason)
	}
	if _, s = readings(t, plainWide, strict, "L2_a.csv", "time,flow\n2024-05-01 00:00:00,1\n"); s.State != ingest.Held {
		t.Errorf("%s %s", s.State, s.Reason)
	}
	if err := (Settings{Strict: true}).Check(&Set{}); err == nil {
		t.Error("strict about no table is no error")
	}
}

// TestLoggersInRecipes holds that the recipe tells a file's rows of the table
// and no others, so that the file can be read alike without the table.
func TestLoggersInRecipes(t *testing.T) {
	p, err := Parse("p.yaml", []byte(plainLongProfile))
	if err != nil {
		t.Fatal(err)
	}
	set, err := NewSet(false, p)
	if err != nil {
		t.Fatal(err)
	}
	table := "north,L1,flow,,inflow,l/s,0.1,-2.5,,15m,,2024-05-01\nnorth,L1,,Site A,,,,,Europe/Berlin,,,\n,L2,,Site B,,,,,,1d,2020-01-01T00:00:00.5+02:00,\n"
	decode := func(set *Set, s Settings, source, rows string) (*ingest.Batch, *ingest.Span) {
		t.Helper()
		d, err := NewDecoder(set, s)
		if err != nil {
			t.Fatal(err)
		}
		b := &ingest.Batch{KeepLines: true}
		// A file before must not matter.
		for _, text := range []string{"L7,flow,2024-04-30 23:00:00,1\nL1,flow,2024-04-30 23:00:00,1\n", rows} {
			b.Reset()
			c := contentOf("a.csv", []byte(longHead+text), false)
			c.File.Source = source
			if err := d.Decode(context.Background(), c, b); err != nil {
				t.Fatal(err)
			}
		}
		return b, &b.Spans[0]
	}
	settings := Settings{Zone: "UTC", Window: Window{Past: 100 * 365 * 24 * time.Hour}}
	with := settings
	with.Loggers = loggersFor(t, loggersHead+table)
	rows := "L1,flow,2024-05-01 01:45:00,100\nL2,flow,2024-05-01 00:00:00,1\nL2,flow,2019-01-01 00:00:00,1\nL3,flow,2024-05-01 00:00:00,1\nL1,flow,2024-05-01 02:00:00,100\n"
	b, s := decode(set, with, "north", rows)
	if got := told(b); !strings.HasPrefix(got, "2 Site A/inflow 2024-04-30T23:45:00Z ") || len(s.Rejects) != 1 || s.Recipe.Zone != "UTC" {
		t.Fatalf("%s%+v", got, s)
	}
	back, s2, err := FromRecipe(s.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	again, span := decode(back, s2, "elsewhere", rows)
	again.Spans[0].File.Source = b.Spans[0].File.Source
	if diff := differ(b, again); diff != "" || *span.Recipe != *s.Recipe {
		t.Errorf("read again by its recipe (-first +again):\n%s\n%+v\n%+v", diff, s.Recipe, span.Recipe)
	}

	// What the table says of other loggers, in what order, is no part of it.
	other := settings
	other.Loggers = loggersFor(t, loggersHead+",L9,,Site Z,,,,,,,,\n,L2,,Site B,,,1.0,0,,24h,2019-12-31T22:00:00.5Z,\nnorth,L1,,Site A,,,,,Europe/Berlin,,,\nnorth,L1,flow,,inflow,l/s,1e-1,-2.50,,15m,,2024-05-01T00:00Z\n")
	if _, o := decode(set, other, "north", rows); *o.Recipe != *s.Recipe {
		t.Errorf("rows that mean the same make another recipe:\n%s\n%s", s.Recipe.Settings, o.Recipe.Settings)
	}
	other.Loggers = loggersFor(t, loggersHead+strings.Replace(table, "-2.5", "-2.6", 1))
	if _, o := decode(set, other, "north", rows); o.Recipe.Digest == s.Recipe.Digest {
		t.Error("other rows make the same recipe")
	}

	// A file that the table says nothing of keeps its recipe.
	_, without := decode(set, settings, "north", "L3,flow,2024-05-01 00:00:00,1\n")
	if _, o := decode(set, with, "north", "L3,flow,2024-05-01 00:00:00,1\n"); *o.Recipe != *without.Recipe || o.Recipe.Settings == s.Recipe.Settings {
		t.Errorf("the table changed the recipe of a file without its loggers: %s", o.Recipe.Settings)
	}
	if _, o := decode(set, with, "south", "L1,flow,2024-05-01 00:00:00,1\n"); *o.Recipe != *without.Recipe {
		t.Errorf("the table changed the recipe of a file of another source: %s", o.Recipe.Settings)
	}
}

// TestManyLoggersShareARecipe holds that files of many loggers have one recipe,
// though a logger is silent in some, and that it reads them alike.
func TestManyLoggersShareARecipe(t *testing.T) {
	rows, text := "name,logger\n", longHead
	for i := range 100 {
		rows += fmt.Sprintf("L%d,Site %d\n", i, i)
		text += fmt.Sprintf("L%d,flow,2024-05-01 00:00:00,1\n", i)
	}
	s := Settings{Zone: "UTC", Loggers: loggersFor(t, rows)}
	_, all := readings(t, plainLongProfile, s, "a.csv", text)
	some, most := readings(t, plainLongProfile, s, "b.csv", strings.Replace(text, "L7,", "L8,", 1))
	if all.Recipe.Digest != most.Recipe.Digest {
		t.Error("files of many loggers differ in their recipes")
	}
	_, again, err := FromRecipe(all.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	got, span := readings(t, plainLongProfile, again, "b.csv", strings.Replace(text, "L7,", "L8,", 1))
	if got != some || *span.Recipe != *most.Recipe {
		t.Error("the recipe reads the file otherwise")
	}
}

func TestEveryIsNoted(t *testing.T) {
	table := loggersFor(t, "name,file_channel,logger,every\nL1,,Site A,15m\nL1,battery,,1d\nL2,,,1h\n")
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"as it should", "time,flow,battery\n2024-05-01 00:00:00,1,2\n2024-05-01 00:15:00,1,\n2024-05-01 00:30:00,1,\n2024-05-01 01:30:00,1,\n2024-05-02 00:00:00,,2\n", nil},
		{"the other way around", "time,flow\n2024-05-01 00:30:00,1\n2024-05-01 00:15:00,1\n2024-05-01 00:00:00,1\n", nil},
		{"too often", "time,flow,level\n2024-05-01 00:00:00,1,1\n2024-05-01 00:05:00,1,1\n2024-05-01 00:10:00,1,1\n2024-05-01 00:25:00,1,1\n",
			[]string{`logger "Site A" records every 15m, says the loggers table; of the 6 steps between its readings 2 are, and 4 are 5m`}},
		{"a single reading", "time,flow\n2024-05-01 00:00:00,1\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, s := readings(t, plainWide, Settings{Zone: "UTC", Loggers: table}, "L1_a.csv", c.text)
			if diff := cmp.Diff(c.want, s.Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
	text := longHead
	for i := range 5 {
		text += fmt.Sprintf("L2,flow,2024-05-01 0%d:00:00,1\nL1,flow,2024-05-01 0%d:00:00,1\n", i, i)
	}
	_, s := readings(t, plainLongProfile, Settings{Zone: "UTC", Loggers: table}, "a.csv", text)
	if want := []string{`logger "Site A" records every 15m, says the loggers table; of the 4 steps between its readings 0 are, and 4 are 1h`}; !slices.Equal(s.Notes, want) {
		t.Errorf("%q", s.Notes)
	}
}

// TestLoggersKeepNothing holds that a file reads with a table as it does alone,
// whatever was read before it.
func TestLoggersKeepNothing(t *testing.T) {
	table := loggersFor(t, loggersHead+",L1,,Site A,,,,,Europe/Berlin,,,2024-05-01\n,L1,,Site B,,,,,,,2024-05-01,\n,L2,flow,,level,,,,,1h,,\n,L4,,,,,2,,,,,\n")
	files := []struct{ source, text string }{
		{"a", "L1,flow,2024-04-30 00:00:00,1\nL1,flow,2024-05-02 00:00:00,1\n"},
		{"a", "L1,flow,2024-05-02 00:00:00,1\nL2,level,2024-05-02 00:00:00,1\n"},
		{"a", "L2,flow,2024-05-02 00:00:00,1\nL2,flow,2024-05-02 00:15:00,1\n"},
		{"a", "L2,flow,2024-05-02 00:00:00,1\nL2,level,2024-05-02 00:00:00,1\n"},
		{"a", "L3,flow,2024-05-02 00:00:00,1\n"},
		{"b", "L4,flow,2024-05-02 00:00:00,1\nL4,level,2024-05-02 00:00:00,1\n"},
		{"b", "L4,level,2024-05-02 00:00:00,1e308\nL4,level,2024-05-02 00:00:00,1\n"},
		{"b", "no row\n"},
	}
	for _, strict := range []bool{false, true} {
		s := Settings{Zone: "UTC", Loggers: table, Strict: strict}
		d, b := decoderFor(t, plainLongProfile, s), &ingest.Batch{KeepLines: true}
		for i := range len(files) * len(files) {
			for _, k := range []int{i / len(files), i % len(files)} {
				b.Reset()
				c := contentOf("x.csv", []byte(longHead+files[k].text), false)
				c.File.Source = files[k].source
				alone := &ingest.Batch{KeepLines: true}
				for d, b := range map[*Decoder]*ingest.Batch{d: b, decoderFor(t, plainLongProfile, s): alone} {
					if err := d.Decode(context.Background(), c, b); err != nil {
						t.Fatal(err)
					}
				}
				for i := range b.Keys {
					b.Keys[i].Label = "" // that of the file that had the series first
				}
				for i := range alone.Keys {
					alone.Keys[i].Label = ""
				}
				if diff := differ(alone, b); diff != "" {
					t.Fatalf("file %d after others, strict %v (-alone +among them):\n%s", k, strict, diff)
				}
			}
		}
	}
}

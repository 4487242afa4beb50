package format

import (
	"fmt"
	"strings"
	"testing"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

// stampsIn decodes text by a wide profile with those keys below timestamp, and
// returns the instants, then the reasons of the rejects; of a file that is not
// loaded its state and reason.
func stampsIn(t *testing.T, settings Settings, path, framing, stamp, text string) []string {
	t.Helper()
	d := decoderFor(t, fmt.Sprintf("name: stamps\nshape: wide\n%s\nlogger: {constant: L1}\nignore: {columns: [ignored]}\ntimestamp:\n  %s\n", framing, strings.ReplaceAll(stamp, "\n", "\n  ")), settings)
	b, s := decodeOne(t, d, path, text)
	if s.State != ingest.Loaded {
		return []string{string(s.State) + ": " + s.Reason}
	}
	var list []string
	for _, us := range b.Time {
		list = append(list, ingest.FromMicros(us).Format("2006-01-02T15:04:05.999999Z"))
	}
	for _, r := range s.Rejects {
		list = append(list, r.Reason)
	}
	return append(list, s.Notes...)
}

func TestStamps(t *testing.T) {
	const plain = "column: t\nlayout: \"2006-01-02 15:04\""
	for _, c := range []struct {
		name, zone, path, framing, stamp, text string
		want                                   []string
	}{
		{"zone of the preamble", "Asia/Tokyo", "a.csv", "framing: {preamble: 2}", plain + "\nzone: {preamble: '^Zone: *(?P<zone>.*)'}",
			"Site: x\nZone: UTC+1\nt,v\n2024-01-01 12:00,1\n", []string{"2024-01-01T11:00:00Z"}},
		{"zone of the preamble by a name that the profile explains", "", "a.csv", "framing: {preamble: 1}", plain + "\nzone: {preamble: '^Zone: *(?P<zone>.*)'}\nzones: {GMT Standard Time: Europe/London}",
			"Zone: GMT Standard Time\nt,v\n2024-07-01 12:00,1\n", []string{"2024-07-01T11:00:00Z"}},
		{"zone of the preamble that is not there", "Asia/Tokyo", "a.csv", "framing: {preamble: 1}", plain + "\nzone: {preamble: '^Zone: *(?P<zone>.*)'}",
			"Zone:\nt,v\n2024-01-01 12:00,1\n", []string{"2024-01-01T03:00:00Z"}},
		{"zone of the preamble that nobody knows", "", "a.csv", "framing: {preamble: 1}", plain + "\nzone: {preamble: '^Zone: *(?P<zone>.*)'}",
			"Zone: EST5\nt,v\n2024-01-01 12:00,1\n", []string{`held: the lines before the header say that the zone is "EST5": which one is that? (an offset, or an area and city)`}},
		{"zone of a column", "Asia/Tokyo", "a.csv", "", plain + "\nzone: {column: tz}\nzones: {EST: \"-05:00\", EDT: \"-04:00\"}",
			"t,tz,v\n2024-11-03 01:30,EDT,1\n2024-11-03 01:30,EST,2\n2024-11-03 12:00,+01:00,3\n2024-07-01 12:00,Europe/London,4\n2024-11-03 12:00,UTC,5\n2024-11-03 12:00,,6\n2024-11-03 12:00,XYZ,7\n",
			[]string{"2024-11-03T05:30:00Z", "2024-11-03T06:30:00Z", "2024-11-03T11:00:00Z", "2024-07-01T11:00:00Z", "2024-11-03T12:00:00Z", "2024-11-03T03:00:00Z",
				`not a zone: "XYZ" (an offset, UTC, an area and city, or an abbreviation that timestamp.zones explains)`}},
		{"zone of the header", "", "a.csv", "", "column: {match: '^Date Time'}\nlayout: \"2006-01-02 15:04\"\nzone: {header: '(?P<zone>GMT[+-]\\d\\d:\\d\\d)$'}",
			"\"Date Time, GMT-05:00\",v\n2024-01-01 12:00,1\n", []string{"2024-01-01T17:00:00Z"}},
		{"zone of the header, abbreviated", "", "a.csv", "", "column: {match: '^Time'}\nlayout: \"2006-01-02 15:04\"\nzone: {header: '\\((?P<zone>\\w+)\\)'}\nzones: {MST: \"-07:00\"}",
			"Time (MST),v\n2024-01-01 12:00,1\n", []string{"2024-01-01T19:00:00Z"}},
		{"zone of each cell", "", "a.csv", "", "column: t\nlayout: \"2006-01-02 15:04 MST\"\nzones: {PST: \"-08:00\", PDT: \"-07:00\"}",
			"t,v\n2024-01-01 12:00 PST,1\n2024-07-01 12:00 PDT,2\n2024-07-01 12:00 XST,2\n",
			[]string{"2024-01-01T20:00:00Z", "2024-07-01T19:00:00Z", `not a timestamp: "2024-07-01 12:00 XST" (expected "2006-01-02 15:04 MST")`}},
		{"the end of a day before the rest of it", "UTC", "a.csv", "", "column: t\nlayout: \"2006-01-02 15:04:05\"",
			"t,v\n2024-01-01 24:00:00,1\n2024-01-01 23:45:00,2\n", []string{"2024-01-02T00:00:00Z", "2024-01-01T23:45:00Z"}},
		{"likewise, with offsets", "", "a.csv", "", "column: t\nlayout: rfc3339",
			"t,v\n2024-01-01T24:00:00+01:00,1\n2024-01-01T23:45:00+01:00,2\n", []string{"2024-01-01T23:00:00Z", "2024-01-01T22:45:00Z"}},
		{"the midnight that ends the day of the file's name, on standard time", "Europe/London", "20240701.csv", "", "column: t\nlayout: \"15:04\"\nclock: standard\ndate: {file_name: '(?P<date>\\d+)', layout: '20060102'}",
			"t,v\n00:00,0\n23:45,1\n00:00,2\n", []string{"2024-07-01T00:00:00Z", "2024-07-01T23:45:00Z", "2024-07-02T00:00:00Z"}},
		{"likewise, in the zone of each row", "UTC", "20240701.csv", "", "column: t\nlayout: \"15:04\"\nzone: {column: tz}\ndate: {file_name: '(?P<date>\\d+)', layout: '20060102'}",
			"t,tz,v\n23:45,+01:00,1\n00:00,+01:00,2\n", []string{"2024-07-01T22:45:00Z", "2024-07-01T23:00:00Z"}},
		{"start of an interval", "UTC", "a.csv", "", plain + "\ninterval: {separator: \" - \", take: start}",
			"t,v\n2024-01-01 12:00 - 2024-01-01 12:15,1\n2024-01-01 12:15,2\n", []string{"2024-01-01T12:00:00Z", `no interval: "2024-01-01 12:15" (expected two timestamps with " - " between them)`}},
		{"end of an interval", "UTC", "a.csv", "", plain + "\ninterval: {separator: \"-\", take: end}\n",
			"t,v\n12:00-2024-01-01 12:15,1\n", []string{`not a timestamp: "01 12:15" (expected "2006-01-02 15:04")`}},
		{"end of an interval, well separated", "UTC", "a.csv", "", plain + "\ninterval: {separator: /, take: end}",
			"t,v\n2024-01-01 12:00 / 2024-01-01 12:15,1\n", []string{"2024-01-01T12:15:00Z"}},
		{"date of the file's name", "Europe/London", "x/2024_07_01.csv", "", "column: t\nlayouts: [\"15:04:05\", \"15:04\"]\ndate: {file_name: '^(?P<date>[\\d_]+)\\.csv', layout: \"2006_01_02\"}",
			"t,v\n00:00:00,1\n13:30,2\n24:00:00,3\n", []string{"2024-06-30T23:00:00Z", "2024-07-01T12:30:00Z", "2024-07-01T23:00:00Z"}},
		{"the midnight at the day's end", "Europe/London", "2024_07_01.csv", "", "column: t\nlayout: \"15:04\"\ndate: {file_name: '^(?P<date>[\\d_]+)\\.csv', layout: \"2006_01_02\"}",
			"t,v,w\n00:00,1,\n12:00,2,5\n23:45,2,\n00:00,3,6\n", []string{"2024-06-30T23:00:00Z", "2024-07-01T11:00:00Z", "2024-07-01T11:00:00Z", "2024-07-01T22:45:00Z", "2024-07-01T23:00:00Z", "2024-07-01T23:00:00Z"}},
		{"no date in the file's name", "UTC", "x/readings.csv", "", "column: t\nlayout: \"15:04\"\ndate: {file_name: '^(?P<date>[\\d_]+)\\.csv', layout: \"2006_01_02\"}",
			"t,v\n00:00,1\n", []string{`quarantined: the file's name, "readings.csv", tells no date: the profile stamps expects it to match "^(?P<date>[\\d_]+)\\.csv"`}},
		{"columns of year to minute", "UTC", "a.csv", "", "columns: [Y, M, D, h, m]\nlayout: \"2006 1 2 15 4\"",
			"Y,M,D,h,m,v\n2024,2,29,0,5,1\n2024,2,29,24,0,2\n", []string{"2024-02-29T00:05:00Z", "2024-03-01T00:00:00Z"}},
		{"time before date", "UTC", "a.csv", "", "columns: [time, date]\nlayout: \"15:04 02/01/2006\"",
			"date,time,v\n29/02/2024,12:30,1\n", []string{"2024-02-29T12:30:00Z"}},
		{"date, time and milliseconds", "UTC", "a.csv", "", "columns: [date, time, ms]\nlayout: \"2006/01/02 15:04:05 .000\"\njoin: \" \"",
			"date,time,ms,v\n2024/02/29,12:30:15,.250,1\n", []string{"2024-02-29T12:30:15.25Z"}},
		{"midnight without its time", "UTC", "a.csv", "", "columns: [date, time]\nlayout: \"02/01/2006 15:04\"\ndate_only: true",
			"date,time,v\n29/02/2024,23:45,1\n01/03/2024,,2\n01/03/2024,00:15,3\n", []string{"2024-02-29T23:45:00Z", "2024-03-01T00:00:00Z", "2024-03-01T00:15:00Z"}},
		{"year, day of the year and time", "UTC", "a.csv", "", "columns: [y, d, hm]\nlayout: \"2006 {doy} {hhmm}\"",
			"y,d,hm,v\n2024,60,0,1\n2024,60,30,2\n2024,60,2400,3\n", []string{"2024-02-29T00:00:00Z", "2024-02-29T00:30:00Z", "2024-03-01T00:00:00Z"}},
		{"one of two orders, by value", "UTC", "a.csv", "", "column: t\none_of: [\"02/01/2006 15:04\", \"01/02/2006 15:04\"]",
			"t,v\n12/04/2024 00:00,1\n13/04/2024 00:00,2\n", []string{"2024-04-12T00:00:00Z", "2024-04-13T00:00:00Z"}},
		{"one of two orders, by steps", "UTC", "a.csv", "", "column: t\none_of: [\"02/01/2006 15:04\", \"01/02/2006 15:04\"]",
			"t,v\n04/03/2024 20:00,1\n04/03/2024 21:00,1\n04/03/2024 22:00,1\n04/03/2024 23:00,1\n04/04/2024 00:00,2\n", []string{"2024-04-03T20:00:00Z", "2024-04-03T21:00:00Z", "2024-04-03T22:00:00Z", "2024-04-03T23:00:00Z", "2024-04-04T00:00:00Z"}},
		{"one of two orders, not told", "UTC", "a.csv", "", "column: t\none_of: [\"02/01/2006 15:04\", \"01/02/2006 15:04\"]",
			"t,v\nx,0\n04/04/2024 00:00,1\n03/04/2024 00:00,2\n", []string{`held: is "03/04/2024 00:00" in line 4 the 3 April 2024 or the 4 March 2024?`}},
		{"both of two orders", "UTC", "a.csv", "", "column: t\none_of: [\"02/01/2006 15:04\", \"01/02/2006 15:04\"]",
			"t,v\n13/04/2024 00:00,1\n04/13/2024 00:00,2\n", []string{`quarantined: its timestamps are not all in one of the layouts "02/01/2006 15:04" and "01/02/2006 15:04": line 3 has "04/13/2024 00:00", which none has that reads the lines before`}},
		{"one of two orders and no rows", "UTC", "a.csv", "", "column: t\none_of: [\"02/01/2006 15:04\", \"01/02/2006 15:04\"]", "t,v\n", nil},
		{"a clock that jumps", "UTC", "a.csv", "", plain,
			"t,v\n2016-01-01 12:00,1\n2024-01-01 12:15,2\n2024-01-01 12:30,3\n2016-01-01 12:15,4\n2099-01-01 12:00,5\n",
			[]string{"2016-01-01T12:00:00Z", "2024-01-01T12:15:00Z", "2024-01-01T12:30:00Z", "2016-01-01T12:15:00Z",
				`timestamp outside the plausible window: "2099-01-01 12:00" (expected 1800-01-01T00:00Z to 2026-06-02T12:00Z)`,
				`the clock of logger "L1" jumps at line 3 from 2016-01-01T12:00Z to 2024-01-01T12:15Z`, `the clock of logger "L1" jumps at line 5 from 2024-01-01T12:30Z to 2016-01-01T12:15Z`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, stampsIn(t, Settings{Zone: c.zone, MaxRejected: MaxRejected{Share: 1}}, c.path, c.framing, c.stamp, c.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Rows that do not tell their times are so many steps from the start: those that
// are blank or rejected as well.
func TestStartAndInterval(t *testing.T) {
	const head = "\"time\",17/03/93,11:45,15.0,\"min\",31\n"
	const start = "start: {preamble: '^\"time\",(?P<time>[^,]+,[^,]+),', layout: \"02/01/06,15:04\"}\n"
	const told = start + "every: {preamble: '^\"time\",[^,]+,[^,]+,(?P<every>[^,]+),\"(?P<unit>\\w+)\"'}"
	for _, c := range []struct {
		name, stamp, head, rows string
		want                    []string
	}{
		{"told in the file", told, head, "1\n\nx\n2\n", []string{"1993-03-17T11:45:00Z", "1993-03-17T12:30:00Z", `not a number: "x" (expected digits with a decimal point)`}},
		{"a row of several lines", told, head, "\"1\n\"\n2\n", []string{"1993-03-17T12:00:00Z", `not a number: "1\n" (expected digits with a decimal point)`}},
		{"told by the profile", start + "every: 1h", head, "1\n2\n", []string{"1993-03-17T11:45:00Z", "1993-03-17T12:45:00Z"}},
		{"a number, and its unit from the profile", start + "every: {preamble: '^Every (?P<every>\\d+)', unit: s}", head + "Every 90\n", "1\n2\n", []string{"1993-03-17T11:45:00Z", "1993-03-17T11:46:30Z"}},
		{"hours, minutes and seconds", start + "every: {preamble: '^Every (?P<every>\\S+)'}", head + "Every 00:05:30\n", "1\n2\n", []string{"1993-03-17T11:45:00Z", "1993-03-17T11:50:30Z"}},
		{"nowhere", start + "every: {preamble: '^Every (?P<every>\\S+)'}", head, "1\n", []string{`quarantined: the lines before the data do not tell how far the rows are apart: the profile stamps expects one to match "^Every (?P<every>\\S+)"`}},
		{"no unit", start + "every: {preamble: '^Every (?P<every>\\S+)'}", head + "Every 15\n", "1\n", []string{`quarantined: the lines before the data do not tell how far the rows are apart: "15" "" is no duration (with every.unit the profile can say what a number counts)`}},
		{"no start", start + "every: 15m", "\n", "1\n", []string{`quarantined: the lines before the data do not tell when the first row was recorded: the profile stamps expects one to match "^\"time\",(?P<time>[^,]+,[^,]+),"`}},
		{"a start that is none", start + "every: 15m", "\"time\",99/03/93,11:45,\n", "1\n", []string{`quarantined: the first row's time is no timestamp: "99/03/93,11:45" (expected "02/01/06,15:04")`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			framing := fmt.Sprintf("framing: {preamble: %d, columns: [flow]}", strings.Count(c.head, "\n"))
			if diff := cmp.Diff(c.want, stampsIn(t, Settings{Zone: "UTC"}, "a.prn", framing, c.stamp, c.head+c.rows)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := stampsIn(t, Settings{}, "a.prn", "framing: {preamble: 1, columns: [flow]}", told, head+"1\n"); !strings.HasPrefix(got[0], "held: its timestamps tell no time zone") {
		t.Errorf("without a zone: %v", got)
	}
}

// A header that comes again among rows that do not tell their times is no row:
// those below it would be a step late.
func TestHeaderAgainWithoutTimestamps(t *testing.T) {
	profile := "name: pace\nshape: wide\nsignature: {header: [a]}\nframing: {preamble: 1, rows: [names, units]}\nlogger: {constant: L}\n" +
		"timestamp: {start: {preamble: '(?P<time>.*)', layout: '2006-01-02 15:04'}, every: 15m}\n"
	const head = "2024-01-01 00:00\na\nm\n1\n"
	for _, c := range []struct {
		name, rows string
		header     int64
	}{
		{"all of it", "a\nm\n2\n", 4},
		{"its names alone", "a\n2\n", 3},
	} {
		o := decodeEveryWay(t, profile, "a.csv", []byte(head+c.rows))
		if len(o.Readings) != 2 || !strings.HasSuffix(o.Readings[1], "L/a m 01-01T00:15 2 ") || o.Lines.Header != c.header || len(o.Rejects) > 0 {
			t.Errorf("%s: %+v", c.name, o)
		}
	}
}

// The recipe of a file that tells its zone does not have the one from outside.
func TestRecipeOfAToldZone(t *testing.T) {
	d := decoderFor(t, "name: z\nshape: wide\nframing: {preamble: 1}\nlogger: {constant: L1}\ntimestamp: {column: t, layout: \"2006-01-02 15:04\", zone: {preamble: '^Zone: *(?P<zone>.*)'}}\n", Settings{Zone: "Asia/Tokyo"})
	for text, want := range map[string]string{"Zone: UTC\nt,v\n2024-01-01 12:00,1\n": "", "Site: 1\nt,v\n2024-01-01 12:00,1\n": "Asia/Tokyo"} {
		for range 2 {
			if _, s := decodeOne(t, d, "a.csv", text); s.Recipe.Zone != want {
				t.Errorf("%q: the recipe's zone is %q, want %q", text, s.Recipe.Zone, want)
			}
		}
	}
}

// TestOneOrderOfAll holds that layouts are not chosen between by timestamps that
// they read alike, for as long as others may come.
func TestOneOrderOfAll(t *testing.T) {
	oneGoroutine(t)
	profile := "name: w\nshape: wide\nlogger: {constant: L}\ntimestamp: {column: 1, one_of: ['02/01/2006 15:04:05', '01/02/2006 15:04:05', '2/1/2006 15:04:05']}\n"
	seconds := func(day string, from, n int) string {
		var b strings.Builder
		for i := from; i < from+n; i++ {
			fmt.Fprintf(&b, "%s %02d:%02d:%02d,1\n", day, i/3600, i/60%60, i%60)
		}
		return b.String()
	}
	alike := seconds("03/03/2024", 86400-15000, 15000) // more than decides otherwise
	for _, c := range []struct {
		name, rows, reason string
		last               string // reading
	}{
		{"all of them", seconds("03/03/2024", 0, 10), "", "03-03T00:00"},
		{"more than decides", alike, "", "03-03T23:59"},
		{"days first", alike + seconds("04/03/2024", 0, 10), "", "03-04T00:00"},
		{"months first", alike + seconds("03/04/2024", 0, 10), "", "03-04T00:00"},
		{"a day that only one reads", alike + "15/03/2024 00:00:00,1\n", "", "03-15T00:00"},
		{"behind nothing", strings.Repeat("\n", evidenceSize) + "03/04/2024 00:00:00,1\n", `is "03/04/2024 00:00:00" in line 262146 the 3 April 2024 or the 4 March 2024?`, ""},
	} {
		o := decodeEveryWay(t, profile, "a.csv", []byte("time,a\n"+c.rows))
		if o.Reason != c.reason {
			t.Errorf("%s: %s %q, want %q", c.name, o.State, o.Reason, c.reason)
		} else if n := len(o.Readings); c.reason == "" && !strings.Contains(o.Readings[n-1], c.last) {
			t.Errorf("%s: the last is %s, want %s", c.name, o.Readings[n-1], c.last)
		}
	}
	long := seconds("03/03/2024", 0, 86400)
	for len(long) <= evidenceMost {
		long += long
	}
	if _, s := decodeOne(t, decoderFor(t, profile, Settings{Zone: "UTC"}), "a.csv", "time,a\n"+long); !strings.Contains(s.Reason, "its first 16 MiB do not tell") || len(s.Shape.Answers) != 2 {
		t.Errorf("%s %s %+v", s.State, s.Reason, s.Shape)
	}
}

func TestTimestampFaults(t *testing.T) {
	for stamp, want := range map[string]string{
		"{column: t}": "p.yaml:4:12: timestamp has no layout",
		"{start: {preamble: '(?P<time>.*)', layout: iso8601}, every: 15m, interval: {separator: '-', take: end}}": "p.yaml:4:77: interval is of timestamps in the rows, and with start and every there are none",
		"{start: {preamble: '(?P<time>.*)', layout: iso8601}, every: 15m, date_only: true, join: x}":              "join is of timestamps in the rows",
		"{start: {preamble: '(?P<time>.*)', layout: iso8601}, every: 15m, zone: {column: tz}}":                    "with start and every the zone is one for the file",
		"{start: {preamble: '(?P<time>.*)', layout: iso8601}, every: 15m, zone: {header: '(?P<zone>x)'}}":         "with start and every the zone is one for the file",
		"{start: {preamble: '(?P<time>.*)', layout: iso8601}, every: 15m, repeated_hour: by_arrival}":             "repeated_hour is of the start alone: hold or standard",
		"{column: t, layout: iso8601, one_of: [excel]}":                                                           "one_of lists all layouts",
		"{column: t, layout: iso8601, zone: {column: a, header: '(?P<zone>x)'}}":                                  "a zone comes from one of preamble, column and header",
		"{column: {match: '(?P<zone>x)'}, layout: iso8601, zone: {column: a}}":                                    "the zone comes from the header and from zone",
		"{column: t, layout: iso8601, interval: {separator: '/'}}":                                                "an interval needs take: start or end, and either separator",
		"{column: t, layout: iso8601, date: {file_name: '(?P<date>x)', layout: '2006'}}":                          "has a date, and the date comes from elsewhere",
		"{column: t, layout: '15:04', date: {file_name: '(?P<date>x)'}}":                                          "date needs file_name",
		"{start: {preamble: '(?P<time>x)', layout: iso8601}}":                                                     "start and every belong together",
		"{column: t, start: {preamble: '(?P<time>x)', layout: iso8601}, every: 15m}":                              "with them there is no column and no layout",
		"{start: {preamble: '(?P<time>x)'}, every: 15m}":                                                          "start needs preamble",
		"{start: {preamble: '(?P<time>x)', layout: iso8601}, every: often}":                                       "expected a duration such as 15m",
		"{start: {preamble: '(?P<time>x)', layout: iso8601}, every: {preamble: '(?P<every>x)', unit: fortnight}}": "unit is one of d, day",
		"{start: {preamble: '(?P<time>x)', layout: iso8601}, every: {unit: s}}":                                   "every is a duration such as 15m, or",
		"{column: t, layout: iso8601, language: [xx]}":                                                            `language "xx" is not known`,
		"{column: t, layout: iso8601, zones: [a]}":                                                                "zones says what abbreviations mean",
		"{column: t, layout: 'Jan 2 15:04 2006', date_only: true}":                                                "date_only cannot be",
		"{column: t, layout: iso8601, repeated_hour: maybe}":                                                      "expected hold, standard or by_arrival",
	} {
		_, err := Parse("p.yaml", []byte("name: p\nshape: wide\nlogger: {constant: L1}\ntimestamp: "+stamp+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", stamp, err, want)
		}
	}
}

// A zone that nobody knows is asked about by its name, and the answer has the
// files load.
func TestZoneOfThePreambleIsAnswered(t *testing.T) {
	const text = "Zone: W. Europe Standard Time\nt,v\n2024-07-01 12:00,1\n"
	profile := "name: z\nshape: wide\nsignature: {header: [t, v]}\nframing: {preamble: 1}\nlogger: {constant: L1}\ntimestamp: {column: t, layout: \"2006-01-02 15:04\", zone: {preamble: '^Zone: *(?P<zone>.*)'}}\n"
	_, s := decodeOne(t, decoderFor(t, profile, Settings{}), "a.csv", text)
	if s.State != ingest.Held || s.Shape == nil || s.Shape.Asks != "timestamp.zones.W. Europe Standard Time" {
		t.Fatalf("%s %s %+v", s.State, s.Reason, s.Shape)
	}
	p, err := Parse("z.yaml", []byte(profile))
	if err != nil {
		t.Fatal(err)
	}
	if p, err = p.With([]string{s.Shape.Asks + "=Europe/Berlin"}, nil); err != nil {
		t.Fatal(err)
	}
	b, s := decodeOne(t, decoderFor(t, p.Text, Settings{}), "a.csv", text)
	if s.State != ingest.Loaded || shownTimes(b)[0] != "10:00" {
		t.Errorf("%s %s %v", s.State, s.Reason, shownTimes(b))
	}
}

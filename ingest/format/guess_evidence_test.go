package format

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
)

// rowsEvery writes n rows from start on, step apart, each by f.
func rowsEvery(n int, start string, step time.Duration, f func(i int, at time.Time) string) string {
	at, err := time.Parse("2006-01-02 15:04", start)
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	for i := range n {
		b.WriteString(f(i, at.Add(time.Duration(i)*step)) + "\n")
	}
	return b.String()
}

// wave is a value that looks measured: with two decimals, never twice in a row.
func wave(i int) string { return fmt.Sprintf("%d.%02d", 4+i*7%11, 10+i*37%89) }

// summaryOf says what was read: how many readings, from when to when, of which
// series; or the question or the refusal.
func summaryOf(b *ingest.Batch, s *ingest.Span) string {
	if s.State == ingest.Held {
		return "asks " + s.Shape.Asks + ": " + s.Reason
	}
	if s.State != ingest.Loaded {
		return fmt.Sprint(s.State, ": ", s.Reason)
	}
	var series []string
	for _, k := range b.Keys {
		name := k.Logger + " " + k.Channel
		if k.Unit != "" {
			name += " [" + k.Unit + "]"
		}
		series = append(series, name)
	}
	first, last := slices.Min(b.Time), slices.Max(b.Time)
	form := func(t int64) string { return ingest.FromMicros(t).UTC().Format("2006-01-02T15:04:05.999") }
	return fmt.Sprintf("%d from %s to %s: %s", s.End-s.Begin, form(first), form(last), strings.Join(series, ", "))
}

func TestGuessesRestOnEvidence(t *testing.T) {
	quarter, hour, day := 15*time.Minute, time.Hour, 24*time.Hour
	hours := func(form string, from int) string {
		var names []string
		for h := range 24 {
			names = append(names, fmt.Sprintf(form, from+h, from+h+1))
		}
		return strings.Join(names, ";")
	}
	values := func(i, n int) string {
		var cells []string
		for k := range n {
			cells = append(cells, wave(i*n+k))
		}
		return strings.Join(cells, ";")
	}
	matrix := func(heads string, n int) string {
		return "Meter;Date;" + heads + "\n" + rowsEvery(20, "2024-06-10 00:00", day, func(i int, at time.Time) string { return "M1;" + at.Format("2006-01-02") + ";" + values(i, n) })
	}
	sentinel := func(cell string) string {
		return "time,flow\n" + rowsEvery(100, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
			v := wave(i)
			if i%23 == 4 {
				v = cell
			}
			return at.Format("2006-01-02 15:04,") + v
		})
	}
	stamped := func(layout string) string {
		return "Time;flow\n" + rowsEvery(60, "2024-02-20 00:00", 6*hour, func(i int, at time.Time) string { return at.Format(layout) + ";" + wave(i) })
	}
	level := func(from int) string {
		return rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
			return at.Add(time.Duration(from)*hour).Format("2006-01-02 15:04,") + wave(i)
		})
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	year := func(head string, zone *time.Location) string {
		return head + ";kWh\n" + rowsEvery(366*96, "2024-01-01 00:00", quarter, func(i int, at time.Time) string {
			return at.In(zone).Format("02.01.2006 15:04;") + strings.Replace(wave(i), ".", ",", 1)
		})
	}
	for _, c := range []struct{ name, zone, text, want string }{
		{"a clock in its own column beside year, month and day", "",
			"Year,m,d,Time,Time zone,Air temperature (degC)\n" + rowsEvery(100, "2024-02-25 00:00", 10*time.Minute, func(i int, at time.Time) string { return at.Format("2006,1,2,15:04,UTC,") + wave(i) }),
			"100 from 2024-02-25T00:00:00 to 2024-02-25T16:30:00: a Air temperature [degC]"},
		{"rows that the milliseconds tell apart", "UTC",
			"Time,X\n" + rowsEvery(100, "2024-02-25 00:00", 5*time.Millisecond, func(i int, at time.Time) string { return at.Format("2006-01-02 15:04:05.000,") + wave(i) }),
			"100 from 2024-02-25T00:00:00 to 2024-02-25T00:00:00.495: a X"},
		{"row numbers by whatever name", "UTC",
			"Sl Ref,Time,Level\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string { return fmt.Sprint(i+1, at.Format(",2006-01-02 15:04,"), wave(i)) }),
			"40 from 2024-02-25T00:00:00 to 2024-02-26T15:00:00: a Level"},
		{"a counter that goes up once an hour is no clock", "UTC",
			"Time,Count\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string { return fmt.Sprint(at.Format("2006-01-02 15:04,"), 123456789+i) }),
			"40 from 2024-02-25T00:00:00 to 2024-02-26T15:00:00: a Count"},
		{"parameters by numbers", "UTC",
			"ID,PARAM,Date,Value\n" + rowsEvery(80, "2024-01-01 00:00", 12*hour, func(i int, at time.Time) string {
				return fmt.Sprint("08MF005,", 1+i%2, at.Format(",2006/01/02,"), wave(i))
			}),
			"80 from 2024-01-01T00:00:00 to 2024-02-09T00:00:00: a 1, a 2"},
		{"one value among codes and times", "UTC",
			"Tag;Time;Value;Validity;Time_ms\n" + rowsEvery(80, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
				days := float64(at.Add(-time.Duration(i%2)*hour).Unix())/86400 + 25569
				return fmt.Sprintf("%s;%s;%s;1;%.3f", []string{"flow", "level"}[i%2], at.Add(-time.Duration(i%2)*hour).Format("2006-01-02 15:04:05"), wave(i), days*1e6)
			}),
			"80 from 2024-02-25T00:00:00 to 2024-02-28T06:00:00: a flow, a level"},
		{"a number of the channel's beside its value", "",
			",result,table,_time,_value,_field\n" + rowsEvery(80, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
				return fmt.Sprintf(",,%d,%s,%s,%s", i/40, at.Format(time.RFC3339), wave(i), []string{"flow", "level"}[i/40])
			}),
			"80 from 2024-02-25T00:00:00 to 2024-02-28T07:00:00: a flow, a level"},
		{"a number of the host's beside the value of one channel", "",
			",result,table,_time,_value,_field,host\n" + rowsEvery(80, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
				return fmt.Sprintf(",,%d,%s,%s,power,pump%d", i/40, at.Add(-time.Duration(i/40*40)*hour).Format(time.RFC3339), wave(i), i/40)
			}),
			"80 from 2024-02-25T00:00:00 to 2024-02-26T15:00:00: pump0 power, pump1 power"},
		{"a site above each column", "UTC",
			"Site,ZN01,ZN01,ZN02\nChannel,Flow,Pressure,Flow\nUnits,l/s,m,l/s\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
				return at.Format("02/01/2006 15:04,") + strings.ReplaceAll(values(i, 3), ";", ",")
			}),
			"120 from 2024-02-25T00:00:00 to 2024-02-26T15:00:00: ZN01 Flow [l/s], ZN01 Pressure [m], ZN02 Flow [l/s]"},
		{"units in brackets, the time's among them", "",
			"time,p,q\n(UTC),(bar),(l/s)\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string { return at.Format("2006-01-02 15:04,") + wave(i) + "," + wave(i+1) }),
			"80 from 2024-02-25T00:00:00 to 2024-02-26T15:00:00: a p [bar], a q [l/s]"},
		{"fewer cells than names", "UTC",
			"time,id,a,b\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string { return at.Format("2006-01-02 15:04,") + wave(i) + ",1" }),
			"asks : Which cells belong together, as the rows have 3 cells and the header names 4?"},
		{"a remark with a zone names no columns", "",
			"# Timezone: UTC+01:00\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string { return at.Format("2006-01-02T15:04:05+01:00\t") + wave(i) }),
			"asks header: No row names the columns: are they what the findings say?"},
		{"when the least and the greatest were", "UTC",
			"Date,Min,Time of min,Max,Time of max\n" + rowsEvery(30, "2024-02-25 00:00", day, func(i int, at time.Time) string {
				return fmt.Sprintf("%s,%s,%02d:15,%s,%02d:30", at.Format("2006-01-02"), wave(i), i*7%24, wave(i+3), i*11%24)
			}),
			"60 from 2024-02-25T00:00:00 to 2024-03-25T00:00:00: a Min, a Max"},
		{"hours by number", "UTC", matrix(hours("H%[1]d", 1), 24),
			"480 from 2024-06-10T01:00:00 to 2024-06-30T00:00:00: M1 value"},
		{"hours from and to", "UTC", matrix(hours("%02d:00-%02d:00", 0), 24),
			"480 from 2024-06-10T00:00:00 to 2024-06-29T23:00:00: M1 value"},
		{"quarters by number", "UTC", matrix(hours("Q%[1]d", 1), 24),
			"asks shape: Are the 24 columns Q1 to Q24 channels, or the times of a day?"},
		{"a value far outside, again and again", "UTC", sentinel("-888.25"), `asks missing: Does -888.25 in column "flow" stand for a missing value?`},
		{"a value written unlike all others", "UTC", sentinel("-1"), `asks missing: Does -1 in column "flow" stand for a missing value?`},
		{"flags behind some numbers are no unit", "UTC",
			"time,p\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
				return at.Format("2006-01-02 15:04,") + wave(i) + []string{"", "", "", "", "m"}[i%5]
			}),
			"40 from 2024-02-25T00:00:00 to 2024-02-26T15:00:00: a p"},
		{"points in the time of day", "UTC", stamped("02.01.2006 15.04"), "60 from 2024-02-20T00:00:00 to 2024-03-05T18:00:00: a flow"},
		{"h in the time of day", "UTC", stamped("02/01/2006 15h04"), "60 from 2024-02-20T00:00:00 to 2024-03-05T18:00:00: a flow"},
		{"a colon before milliseconds", "UTC", stamped("2006-01-02 15:04:05:999"), "60 from 2024-02-20T00:00:00.999 to 2024-03-05T18:00:00.999: a flow"},
		{"weekdays", "", stamped("Mon, 02 Jan 2006 15:04:05 -0700"), "60 from 2024-02-20T00:00:00 to 2024-03-05T18:00:00: a flow"},
		{"weekdays, and the year at the end", "UTC", stamped("Mon Jan _2 15:04:05 2006"), "60 from 2024-02-20T00:00:00 to 2024-03-05T18:00:00: a flow"},
		{"a blank that does not break", "UTC", stamped("2006-01-02\u00a015:04"), "60 from 2024-02-20T00:00:00 to 2024-03-05T18:00:00: a flow"},
		{"a date and a clock, packed", "UTC", strings.ReplaceAll(stamped("20060102;150405"), "Time;", "date;time;"), "60 from 2024-02-20T00:00:00 to 2024-03-05T18:00:00: a flow"},
		{"standard time in a zone that is moved, far down the file", "Europe/Berlin", year("Zeit", time.FixedZone("", 3600)),
			"asks clock: At line 28806 the rows go on through the hour at which the clocks of Europe/Berlin are moved: does the logger keep standard time all year?"},
		{"a header that says UTC above a clock that is moved", "", year("Zeit (UTC)", berlin),
			"asks zone: The zone is said to be UTC, but at line 28806 the rows change with daylight saving time, as in Europe/Berlin: which zone is it?"},
		{"rows of blanks that lack a cell", "UTC",
			"Date Time a b c\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
				return at.Format("2006-01-02 15:04 ") + strings.TrimSuffix(wave(i)+" "+wave(i+1)+" "+wave(i+2), strings.Repeat(" "+wave(i+2), max(0, i%5-3)))
			}),
			"asks : 8 lines and 0 cells cannot be read, the first for this: wrong number of fields: 4 (expected 5, as in the header). What is it?"},
		{"two files put together", "UTC",
			"Logger: A1\n\nTime,Level\n" + level(0) + "Logger: A2\n\nTime,Level\n" + level(40),
			"asks : Is the table from line 4 the one that is meant, as at line 44 something else begins: Logger: A2?"},
		{"a heading above each table", "UTC",
			"North\nTime,Level\n" + level(0) + "\nSouth\nTime,Level\n" + level(40),
			"asks : Is the table from line 3 the one that is meant, as at line 44 something else begins: South?"},
		{"a logger that begins anew", "UTC",
			"Started 2024-02-25 00:00\nTime,Level\n" + level(0) + "Started 2024-02-26 16:00\nTime,Level\n" + level(40),
			"80 from 2024-02-25T00:00:00 to 2024-02-28T07:00:00: a Level"},
		{"other names below", "UTC",
			"Time,Flow\n" + level(0) + "Time,Pressure\n" + level(40),
			"asks : Is the table from line 2 the one that is meant, as line 42 names other columns (Time, Pressure), and what stands below is no less a table?"},
		{"the same names below in another order", "UTC",
			"Time,Q,W\n" + strings.ReplaceAll(level(0), "\n", ",1\n") + "Time,W,Q\n" + strings.ReplaceAll(level(40), ",", ",1,"),
			`asks : Read by the guess, line 42 is another header, "Time,W,Q", which profile guess-cb775220b6fd does not describe, so what the rows below it mean is not known; describe both in the profile, or split the file there: what is to be changed in the profile?`},
		{"flags of one name", "UTC",
			"Time,Q,F,W,F\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
				return fmt.Sprintf("%s,%s,0,%s,%d", at.Format("2006-01-02 15:04"), wave(i), wave(i+2), i%2)
			}),
			"80 from 2024-02-25T00:00:00 to 2024-02-26T15:00:00: a Q, a W"},
		{"a sum behind each number", "UTC",
			"Time,a,b\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
				return fmt.Sprintf("%s,%s,%s*%02X", at.Format("2006-01-02 15:04"), wave(i), wave(i+2), 16+i*7%200)
			}),
			`asks : 0 lines and 40 cells cannot be read, the first for this: not a number: "7.84*10" (expected digits with a decimal point). What is it?`},
		{"AM and PM in a column of their own", "UTC", strings.ReplaceAll(stamped("2006-01-02;03:04;PM"), "Time;", "Date;Time;AM/PM;"), "60 from 2024-02-20T00:00:00 to 2024-03-05T18:00:00: a flow"},
		{"weekdays in a column of their own", "UTC", strings.ReplaceAll(stamped("Mon;2006-01-02 15:04"), "Time;", "Tag;Time;"), "60 from 2024-02-20T00:00:00 to 2024-03-05T18:00:00: a flow"},
		{"a clock that cannot be read names no logger", "UTC",
			"Date,Time,a\n" + rowsEvery(60, "2024-02-25 00:00", hour, func(i int, at time.Time) string { return at.Format("2006-01-02,15:04") + ".5," + wave(i) }),
			"asks : 57 of 60 rows have the time of an earlier row of the same series: which column tells them apart?"},
		{"dates that a spreadsheet exchanged", "UTC",
			"Date,a\n" + rowsEvery(30, "2024-04-01 00:00", day, func(i int, at time.Time) string {
				if at.Day() <= 12 {
					return at.Format("01/02/2006,") + wave(i)
				}
				return at.Format("02/01/2006,") + wave(i)
			}),
			"asks : Day and month seem to be exchanged in some dates, as in line 2, and not in others: where does the file come from? Export it anew with dates of one form"},
		{"seconds since 1970 beside a clock of no zone", "Europe/Berlin",
			"epoch,iso,a\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
				return fmt.Sprint(at.Unix(), at.Format(",2006-01-02T15:04:05,"), wave(i))
			}),
			"40 from 2024-02-25T00:00:00 to 2024-02-26T15:00:00: a a"},
		{"a number that never changes", "UTC",
			"ID;Zeit;a\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string { return at.Format("77;2006-01-02 15:04;") + wave(i) }),
			"40 from 2024-02-25T00:00:00 to 2024-02-26T15:00:00: a a"},
		{"addresses are no numbers", "UTC",
			"time,ip,a\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
				return at.Format("2006-01-02 15:04,192.168.1.") + fmt.Sprint(i%3, ",", wave(i))
			}),
			"40 from 2024-02-25T00:00:00 to 2024-02-26T15:00:00: a a"},
		{"clocks moved as in another zone than the one given", "Europe/Berlin",
			"Time,a\n" + rowsEvery(60, "2024-11-02 20:00", hour, func(i int, at time.Time) string { return at.In(newYork).Format("2006-01-02 15:04,") + wave(i) }),
			"asks zone: The zone is said to be Europe/Berlin, but at line 12 the rows change with daylight saving time, as in America/New_York: which zone is it?"},
		{"a clock that leaps far ahead", "UTC",
			"time,p\n" + rowsEvery(40, "2024-02-25 00:00", hour, func(i int, at time.Time) string {
				if i == 20 {
					at = at.AddDate(75, 0, 0)
				}
				return at.Format("2006-01-02 15:04,") + wave(i)
			}),
			"39 from 2024-02-25T00:00:00 to 2024-02-26T15:00:00: a p"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, s := decodeAuto(t, Settings{Zone: c.zone}, "a.csv", []byte(c.text), false)
			if got := summaryOf(b, s); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

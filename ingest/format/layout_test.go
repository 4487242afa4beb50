package format

import (
	"strings"
	"testing"
	"time"
)

// reads holds what a layout makes of texts: an instant as RFC 3339 with as many
// digits as it has, with the offset where the text says one; "" for none.
type reads struct {
	layout   string
	language string // separated by blanks
	text     string
	want     string
}

func TestLayouts(t *testing.T) {
	zones := map[string]*time.Location{"EST": time.FixedZone("EST", -5*3600), "MEZ": time.FixedZone("MEZ", 3600)}
	for _, c := range []reads{
		// Excel's serials: quarters of an hour, with fewer decimals than they take.
		{"excel", "", "45292", "2024-01-01T00:00:00"},
		{"excel", "", "45292.5", "2024-01-01T12:00:00"},
		{"excel", "", "45292.0104167", "2024-01-01T00:15:00"},
		{"excel", "", "45292.01042", "2024-01-01T00:15:00"},
		{"excel", "", "45292,0104166667", "2024-01-01T00:15:00"},
		{"excel", "", "45292.010416666664", "2024-01-01T00:15:00"},
		{"excel", "", "45292.999999", "2024-01-01T23:59:59.9136"},
		{"excel", "", "45292.0000057870370", "2024-01-01T00:00:00.5"},
		{"excel", "", "45292.0000000000116", "2024-01-01T00:00:00.000001"},
		{"excel", "", "45292.9999999999999999", "2024-01-02T00:00:00"},
		{"excel", "", "61", "1900-03-01T00:00:00"},
		{"excel", "", "60", ""}, {"excel", "", "1", ""}, {"excel", "", "45292.", ""}, {"excel", "", "-5", ""}, {"excel", "", "2958466", ""}, {"excel", "", "45292.x", ""},

		// Epochs, with fractions.
		{"epoch_s", "", "1709208000", "2024-02-29T12:00:00Z"},
		{"epoch_s", "", "1709208000.25", "2024-02-29T12:00:00.25Z"},
		{"epoch_s", "", "1709208000,1234567", "2024-02-29T12:00:00.123456Z"},
		{"epoch_ms", "", "1709208000001.5", "2024-02-29T12:00:00.0015Z"},
		{"epoch_us", "", "1709208000000001.9", "2024-02-29T12:00:00.000001Z"},

		// Days of the year, and times of one to four digits.
		{"2006 {doy} {hhmm}", "", "2024 60 5", "2024-02-29T00:05:00"},
		{"2006 {doy} {hhmm}", "", "2024 060 0130", "2024-02-29T01:30:00"},
		{"2006 {doy} {hhmm}", "", "2024 366 2400", "2025-01-01T00:00:00"},
		{"2006 {doy} {hhmm}", "", "2023 366 0", ""}, {"2006 {doy} {hhmm}", "", "2024 0 0", ""}, {"2006 {doy} {hhmm}", "", "2024 60 2401", ""}, {"2006 {doy} {hhmm}", "", "2024 60 160", ""},
		{"2006{doy}{hhmm}", "", "20240600945", "2024-02-29T09:45:00"},
		{"2006/{doy} 15:04", "", "2023/60 09:45", "2023-03-01T09:45:00"},
		{"02/01/2006 {hhmm}", "", "29/02/2024 945", "2024-02-29T09:45:00"},
		{"02/01/2006 {hhmm}", "", "29/02/2024 960", ""},
		{"2006-01-02 15:04:05 {ms}", "", "2024-02-29 23:59:59 5", "2024-02-29T23:59:59.005"}, {"2006-01-02 15:04:05 {ms}", "", "2024-02-29 23:59:59 500", "2024-02-29T23:59:59.5"},
		{"2006-01-02 15:04:05 {ms}", "", "2024-02-29 23:59:59 1000", ""}, {"2006-01-02 15:04:05 {ms}", "", "2024-02-29 23:59:59.5 5", ""}, {"2006-01-02 15:04:05 {ms}", "", "2024-02-29 23:59:59 ", ""},

		// Twelve hours, and how their halves are called.
		{"1/2/2006 3:04 {pm}", "", "2/29/2024 12:05 AM", "2024-02-29T00:05:00"},
		{"1/2/2006 3:04 {pm}", "", "2/29/2024 1:05PM", "2024-02-29T13:05:00"},
		{"1/2/2006 3:04{pm}", "", "2/29/2024 1:05  p.m.", "2024-02-29T13:05:00"},
		{"1/2/2006 3:04 {pm}", "", "2/29/2024 1:05\u202fpm", "2024-02-29T13:05:00"},
		{"1/2/2006 3:04 {pm}", "", "2/29/2024 1:05 p", ""}, {"1/2/2006 3:04 {pm}", "", "2/29/2024 1:05", ""}, {"1/2/2006 3:04 {pm}", "", "2/29/2024 1:05 odp.", ""},
		{"02/01/2006 3:04 {pm}", "es", "29/02/2024 1:05 p.\u00a0m.", "2024-02-29T13:05:00"},
		{"02/01/2006 3:04:05 {pm}", "es", "29/02/2024 12:05:06 a. m.", "2024-02-29T00:05:06"},
		{"01.02.06 3:04:05 {pm}", "cs", "02.29.24 01:05:06 odp.", "2024-02-29T13:05:06"},
		{"01.02.06 3:04:05 {pm}", "cs", "02.29.24 12:05:06 dop.", "2024-02-29T00:05:06"},
		{"2.1.2006 3:04 {pm}", "de", "29.2.2024 1:05 nachm.", "2024-02-29T13:05:00"},
		{"2/1/2006 {pm} 3:04", "fr", "29/2/2024 après-midi 1:05", "2024-02-29T13:05:00"},
		{"2-1-2006 3:04 {pm}", "nl", "29-2-2024 11:05 v.m.", "2024-02-29T11:05:00"},

		// Months.
		{"2 {month} 2006 15:04", "en", "29 Feb 2024 12:30", "2024-02-29T12:30:00"},
		{"2-{month}-06 15:04", "en", "1-SEPT.-24 12:30", "2024-09-01T12:30:00"},
		{"2. {month} 2006 15:04", "de", "29. Februar 2024 12:30", "2024-02-29T12:30:00"},
		{"2. {month} 2006 15:04", "de", "1. MÄRZ 2024 12:30", "2024-03-01T12:30:00"},
		{"2. {month} 2006 15:04", "de", "1. Mrz. 2024 12:30", "2024-03-01T12:30:00"},
		{"2. {month} 2006 15:04", "de", "1. Ma\u0308rz 2024 12:30", "2024-03-01T12:30:00"},
		{"2. {month} 2006 15:04", "de", "1. Marz 2024 12:30", "2024-03-01T12:30:00"},
		{"02 {month} 2006 15:04", "fr", "01 août 2024 12:30", "2024-08-01T12:30:00"},
		{"02 {month} 2006 15:04", "fr", "01 Févr. 2024 12:30", "2024-02-01T12:30:00"},
		{"02{month}2006 15:04", "nl", "01mrt2024 12:30", "2024-03-01T12:30:00"},
		{"2 {month} 2006 15:04", "nl", "1 mei 2024 12:30", "2024-05-01T12:30:00"},
		{"2 {month} 2006 15:04", "es", "1 ago. 2024 12:30", "2024-08-01T12:30:00"},
		{"2. {month} 2006 15:04", "cs", "1. června 2024 12:30", "2024-06-01T12:30:00"},
		{"2. {month} 2006 15:04", "cs", "1. července 2024 12:30", "2024-07-01T12:30:00"},
		{"2 {month} 2006 15:04", "en de", "1 Oct 2024 12:30", "2024-10-01T12:30:00"},
		{"2 {month} 2006 15:04", "en de", "1 Okt 2024 12:30", "2024-10-01T12:30:00"},
		{"2 {month} 2006 15:04", "en", "1 Okt 2024 12:30", ""}, {"2 {month} 2006 15:04", "en", "1 Janx 2024 12:30", ""}, {"2 {month} 2006 15:04", "en", "1 Januaryjanuaryjanuary 2024 12:30", ""},

		// The last hour.
		{"2006-01-02 15:04:05", "", "2024-02-28 24:00:00", "2024-02-29T00:00:00"},
		{"02.01.2006 15:04", "", "31.12.2023 24:00", "2024-01-01T00:00:00"},
		{"02.01.2006 15:04", "", "31.12.2023 24:01", ""}, {"2006-01-02 15:04:05", "", "2024-02-28 24:00:00.5", ""}, {"2006-01-02 15:04:05", "", "2024-02-28 25:00:00", ""},
		{"2006 1 2 15", "", "2024 2 28 24", "2024-02-29T00:00:00"},
		{"2006 1 2 15", "", "2024 2 28 1", "2024-02-28T01:00:00"},
		{"2006 1 2 15 4", "", "2024 2 29 7 5", "2024-02-29T07:05:00"},

		// Two digits of the year, and long fractions.
		{"02/01/06 15:04", "", "01/02/68 00:00", "2068-02-01T00:00:00"},
		{"02/01/06 15:04", "", "01/02/69 00:00", "1969-02-01T00:00:00"},
		{"2006-01-02 15:04:05", "", "2012-10-12 00:30:00.1234567", "2012-10-12T00:30:00.123456"},

		// ISO 8601.
		{"iso8601", "", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z"},
		{"iso8601", "", "2024-02-29 12:00:00.5", "2024-02-29T12:00:00.5"},
		{"iso8601", "", "2024-02-29T12:00", "2024-02-29T12:00:00"},
		{"iso8601", "", "2024-02-29T12", "2024-02-29T12:00:00"},
		{"iso8601", "", "2024-02-29T12:00:00,25+01", "2024-02-29T12:00:00.25+01:00"},
		{"iso8601", "", "2024-02-29T12:00:00-0330", "2024-02-29T12:00:00-03:30"},
		{"iso8601", "", "2024-02-29T12:00:00 +05:45", "2024-02-29T12:00:00+05:45"},
		{"iso8601", "", "20240229T120000Z", "2024-02-29T12:00:00Z"},
		{"iso8601", "", "20240229T1200+01", "2024-02-29T12:00:00+01:00"},
		{"iso8601", "", "20240229 12", "2024-02-29T12:00:00"},
		{"iso8601", "", "2024-02-28T24:00", "2024-02-29T00:00:00"},
		{"iso8601", "", "2023-02-29T12:00", ""}, {"iso8601", "", "2024-02-29", ""}, {"iso8601", "", "2024-02-29T", ""}, {"iso8601", "", "2024-02-29T12:", ""},
		{"iso8601", "", "2024-02-29T12:0", ""}, {"iso8601", "", "2024-02-29T1", ""}, {"iso8601", "", "2024-02-29T12:60", ""}, {"iso8601", "", "2024-02-29T24:01", ""},
		{"iso8601", "", "2024-02-29T12:00X", ""}, {"iso8601", "", "2024-0229T12:00", ""}, {"iso8601", "", "202402-29T12:00", ""}, {"iso8601", "", "2024-02-29T12:00:00+1", ""}, {"iso8601", "", "2024-02-29T12.5", ""},

		// Abbreviations that the format explains.
		{"2006-01-02 15:04 MST", "", "2024-02-29 12:00 EST", "2024-02-29T12:00:00-05:00"},
		{"2006-01-02 15:04 MST", "", "2024-02-29 12:00 UTC", "2024-02-29T12:00:00Z"},
		{"2006-01-02 15:04 MST", "", "2024-02-29 12:00 PST", ""},
		{"2006-01-02 15:04:05MST", "", "2024-02-29 12:00:00MEZ", "2024-02-29T12:00:00+01:00"},
		{"%d.%m.%Y %H:%M %Z", "", "29.02.2024 12:00 MEZ", "2024-02-29T12:00:00+01:00"},
	} {
		w, err := newWords(strings.Fields(c.language), zones)
		if err != nil {
			t.Fatal(err)
		}
		l, err := compileIn(c.layout, w, false)
		if err != nil {
			t.Errorf("%s: %v", c.layout, err)
			continue
		}
		if got := readAs(l, c.text); got != c.want {
			t.Errorf("%q in %q is %s, want %s", c.text, c.layout, got, c.want)
		}
	}
}

// readAs reads a text and writes what it means as reads has it.
func readAs(l *layout, text string) string {
	w, ok := l.read([]byte(text))
	if !ok {
		return ""
	}
	at := time.Unix(w.seconds, w.micros*1000).UTC()
	if !w.zoned {
		return at.Format("2006-01-02T15:04:05.999999")
	}
	return at.Format("2006-01-02T15:04:05.999999") + time.Time{}.In(time.FixedZone("", int(w.offset))).Format("Z07:00")
}

func TestDateAlone(t *testing.T) {
	for _, c := range []reads{
		{"02.01.2006 15:04:05", "", "29.02.2024", "2024-02-29T00:00:00"},
		{"02.01.2006 15:04:05", "", "29.02.2024 ", "2024-02-29T00:00:00"},
		{"02.01.2006 15:04:05", "", "29.02.2024 12:00:00", "2024-02-29T12:00:00"},
		{"02.01.2006 15:04:05", "", "29.02.2024 12", ""},
		{"2006-01-02T15:04:05Z07:00", "", "2024-02-29", "2024-02-29T00:00:00"},
		{"15:04:05, 2006-01-02", "", "2024-02-29", "2024-02-29T00:00:00"},
		{"1/2/2006 3:04 {pm}", "en", "2/29/2024", "2024-02-29T00:00:00"},
		{"iso8601", "", "2024-02-29", "2024-02-29T00:00:00"},
		{"2006-01-02", "", "2024-02-29", "2024-02-29T00:00:00"},
	} {
		l, err := compileLayout(c.layout)
		if err == nil {
			err = l.mayStandAlone()
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := readAs(l, c.text); got != c.want {
			t.Errorf("%q in %q is %s, want %s", c.text, c.layout, got, c.want)
		}
		if state := map[bool]stampState{true: readGood, false: readNot}[c.want != ""]; c.want != "" {
			if _, got := newClock([]*layout{l}, time.UTC).micros([]byte(c.text)); got != state {
				t.Errorf("%q in %q is %v to a clock", c.text, c.layout, got)
			}
		}
	}
	if l, err := compileLayout("Jan 2 15:04:05 2006"); err != nil || l.mayStandAlone() == nil {
		t.Errorf("%v: a time amid the date", err)
	}
}

func TestLayoutFaults(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		layout   string
		zones    map[string]*time.Location
		timeOnly bool
		want     string
	}{
		{"15:04", nil, false, `layout "15:04" has no year`},
		{"2006-01-02 15:04", nil, true, `layout "2006-01-02 15:04" has a date, and the date comes from elsewhere`},
		{"iso8601", nil, true, "has a date"},
		{"2006-01-02 3:04", nil, false, "does not say which half of the day"},
		{"2006-01-02 15:04 MST", nil, false, "say in zones what the abbreviations mean"},
		{"2006-01-02 15:04 MST", map[string]*time.Location{"UK": london}, false, "it needs an offset"},
		{"2006-{mon}-02 15:04", nil, false, "has braces around what is none of"},
	} {
		w, err := newWords(nil, c.zones)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := compileIn(c.layout, w, c.timeOnly); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.layout, err, c.want)
		}
	}
}

// No word means two months or both halves of the day, whatever languages a
// profile puts together.
func TestWordsOfAllLanguages(t *testing.T) {
	months, halves := make(map[string]int), make(map[string]bool)
	for language := range vocabulary {
		w, err := newWords([]string{language}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, m := range w.months {
			if before, ok := months[name]; ok && before != m {
				t.Errorf("%q is month %d, and in %s %d", name, before, language, m)
			}
			months[name] = m
		}
		for name, pm := range w.halves {
			if before, ok := halves[name]; ok && before != pm {
				t.Errorf("%q is both halves of the day, one of them in %s", name, language)
			}
			halves[name] = pm
		}
	}
	if _, err := newWords([]string{"xx"}, nil); err == nil || !strings.Contains(err.Error(), "there are cs, de, en") {
		t.Error(err)
	}
}

package format

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

// fuzzProfiles are the built-in profiles and those of the tests, by name.
func fuzzProfiles(t testing.TB) *Set {
	own, err := Load("../../testdata/*/profile.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set, err := NewSet(true, own...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// seeds are the samples of the layouts, whole and damaged.
func seeds() [][]byte {
	var list [][]byte
	for _, pattern := range []string{"../../testdata/*/*", "testdata/samples/*"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil {
				list = append(list, text[:min(len(text), 2000)])
			}
		}
	}
	return append(list,
		[]byte("logger,channel,timestamp,value\nL1,flow,2024-01-01 00:00:00,1.5\nL1,flow,2024-01-01 00:15:00,x\n"),
		[]byte("logger,channel,timestamp,value,unit,quality\r\nL1,flow,2024-01-01T00:00:00Z,1.5,l/s,\r\n\"L\n1\",\"fl\"\"ow\",2024-01-01T00:00:00+01:00,-1e5,,good\r\n"),
		[]byte("\"TOA5\",\"S\",\"a\"\n\"TIMESTAMP\",\"RECORD\",\"T\",\"N\"\n\"TS\",\"RN\",\"C\",\"\"\n\"\",\"\",\"Avg\",\"Smp\"\n\"2024-01-01 00:00:00.5\",1,\"NAN\",\"NAN\"\n\"2024-01-01 00:00:01\",2,5,\"x\"\n\"2024-01-01 00:00:02\",3,6,7\n"),
		[]byte("sep=;\nnote\nZeit;Wert °\n;m\n2024-01-01 00:00;1\n* restart\nnote\nZeit;Wert °\n;cm\n2024-01-01 00:15;2;3\n2024-01-01 00:30\nSumme;3\n"),
		[]byte("\"x\"\n\"Zeit,Wert\"\n\",m\"\n\"2024-01-01 00:00,\"\"1\"\"\"\n2024-01-01 00:15, \"2\" ,\n//\n,,\n2024-01-01 00:30,3\x00,\x81"),
		[]byte("\xff\xfeT\x00,\x00a\x00\n\x002\x000\x002\x004\x00-\x000\x001\x00-\x000\x001\x00 \x000\x000\x00:\x000\x000\x00,\x001\x00\n\x00"),
		[]byte("time            a   b\n2024-01-01 00:00 1.5 2\n2024-01-01 00:15  \xb0  3\n"),
		[]byte("Logger A\n--\ntime a b\n2024-01-01T00:00 1 \"2\"\nLogger B\n--\ntime a c\n2024-01-01T00:15 3 4\nLogger A\ntime b a\n2024-01-01T00:30 5 6"),
		[]byte("Timestamp;p227;p235\r2019-01-01 00:00:00;88,14;90,89\r2019-01-01 00:05:00;;\r"),
		[]byte("logger,channel,timestamp,value\nL1,flow,2024-10-27 01:30:00,1\nL1,flow,2024-10-27 02:00:00,2\nL2,flow,2024-10-27 02:30:00,3\nL1,flow,2024-10-27 02:30:00,3\nL1,flow,2024-10-27 02:00:00,4\nL1,flow,2024-10-27 02:30:00,5\nL2,flow,2024-10-27 03:00:00,6\nL1,flow,2016-10-27 03:00:00,7\n"),
		[]byte("logger,channel,timestamp,value\nL1,flow,2024-10-27 02:30:00,1\nL1,flow,2024-03-31 02:30:00,1\n"),
	)
}

// withTable is added to the number of a profile for a file that is read with a
// loggers table.
const withTable = 128

// FuzzDecode reads any bytes by every profile: never a panic, receipts that
// balance, and the same outcome however the file is read: whole, as a stream of
// small pieces, with and without the quick way through rows.
func FuzzDecode(f *testing.F) {
	oneGoroutine(f)
	set := fuzzProfiles(f)
	profiles := set.Profiles()
	fuzzing := flag.Lookup("test.fuzz").Value.String() != ""
	for n, text := range seeds() {
		for i := range profiles {
			// A fuzzer begins with running all seeds, for which thousands of pairs take
			// it longer than it is given; it makes the pairs itself.
			if !fuzzing || n%len(profiles) == i {
				f.Add(uint8(i), text)
			}
		}
		f.Add(uint8(withTable+len(profiles)), text)
	}
	table := loggersFor(f, loggersHead+",L1,,Site A,,,,,,15m,,2024-01-01T00:10:00Z\n,L1,,Site B,,,10,1,,,2024-01-01T00:10:00Z,2030-01-01\n,L1,flow,,,l/s,1e300,,Asia/Tokyo,,,\n,S,N,,T,,,,,,,\n")
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		name := "auto"
		if k := int(which % withTable); k < len(profiles) {
			name = profiles[k].Name
		}
		settings := Settings{Profile: name, Zone: "Europe/Amsterdam", Limits: Limits{Line: 200, Inflated: 1 << 20}}
		if which >= withTable {
			settings.Loggers = table
		}
		var first *ingest.Batch
		for way := range 4 {
			d, err := NewDecoder(set, settings)
			if err != nil {
				t.Fatal(err)
			}
			d.general = way&1 != 0
			b := &ingest.Batch{KeepLines: true}
			c := contentOf("2020_L1_20200101.csv", text, way&2 != 0)
			if way&2 != 0 {
				d.feed.step = 16
			}
			if err := d.Decode(context.Background(), c, b); err != nil {
				t.Fatal(err)
			}
			checkSpan(t, b, &b.Spans[0])
			if first == nil {
				first = b
				continue
			}
			if diff := differ(first, b); diff != "" {
				t.Errorf("way %d reads otherwise than way 0 (-way 0 +way %d):\n%s", way, way, diff)
			}
		}
	})
}

// A fact is a reading with all that is said of it.
type fact struct {
	Key     ingest.SeriesKey
	Time    int64
	Value   uint64
	Quality string
	Line    int64
}

func facts(b *ingest.Batch) []fact {
	var list []fact
	for i := range b.Time {
		f := fact{Key: b.Keys[b.Series[i]], Time: b.Time[i], Value: math.Float64bits(b.Value[i])}
		if len(b.Quality) > 0 {
			f.Quality = b.Qualities[b.Quality[i]]
		}
		if b.KeepLines {
			f.Line = b.Line[i]
		}
		list = append(list, f)
	}
	return list
}

func differ(a, b *ingest.Batch) string {
	if diff := cmp.Diff(facts(a), facts(b)); diff != "" {
		return diff
	}
	return cmp.Diff(a.Spans, b.Spans, cmp.Comparer(func(x, y *ingest.Recipe) bool { return x == y || x != nil && y != nil && *x == *y }))
}

// FuzzNumber holds that what is read as a number is what strconv reads, bit for
// bit, and that the quick way and the general one agree.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-0", "1.5", "+.5", "5.", "9007199254740993", "123456789012345678", "0.1", "1e5", "1E-320", "1e400", ".", "-", "+", "1_000", "0x1p-2", "inf", "NaN", "00012.50", "1.7976931348623157e308", "4.35", "0.000001", "12,5", "123456.7890123456789", "-12345.6789", "123456789012345", "+0.00000000001", ".123456789012345", "-1234567.1234567"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, ok := parseNumber(b, '.')
		if ok {
			want, err := strconv.ParseFloat(string(b), 64)
			if err != nil || math.Float64bits(v) != math.Float64bits(want) {
				t.Fatalf("%q is %v, strconv says %v, %v", b, v, want, err)
			}
			comma, ok := parseNumber(bytes.ReplaceAll(b, []byte("."), []byte(",")), ',')
			if !ok || math.Float64bits(comma) != math.Float64bits(v) {
				t.Fatalf("%q with a comma is %v, %v", b, comma, ok)
			}
		} else if want, err := strconv.ParseFloat(string(b), 64); err == nil && !math.IsInf(want, 0) && !math.IsNaN(want) && !bytes.ContainsAny(b, "xX_pP") {
			t.Fatalf("%q is no number, strconv says %v", b, want)
		}
		w := append(append(bytes.Repeat([]byte{'7'}, maxNumeral), b...), "\n1234567"[:1+len(b)%8]...)
		as := wont{usual: &withPoint()[0][2][2], other: &withPoint()[0][3][2]}
		for range 3 { // at first as another was written, then as itself was
			quick, after := withPoint().read(w, maxNumeral, '.', &as)
			if after == maxNumeral+len(b) && len(b) > 0 && (!ok || math.Float64bits(quick) != math.Float64bits(v)) {
				t.Fatalf("%q is %v the quick way, %v the general", b, quick, v)
			}
		}
	})
}

// timeLayouts are layouts as loggers write them, and some odd ones.
var timeLayouts = []string{
	"2006-01-02 15:04:05", time.RFC3339, "2006/01/02 15:04", "02.01.2006 15:04:05", "01/02/06 03:04:05 PM",
	"1/2/2006 3:04 PM", "2/1/2006 15:04:05", "2006-01-02T15:04:05.000", "2006-01-02T15:04:05,999999 -0700",
	"20060102150405", "20060102 1504", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05-07", "02-Jan-2006 15:04:05",
	"January 2, 2006 15:04", "_2 Jan 06  15:04:05pm", "2006-01-02", "15:04:05 2006-01-02", "2006 01 02 15:04:05",
	"06.01.02 15:04:05", "2006-002 15:04:05", "Mon Jan _2 15:04:05 2006", "2006_2_1 15", "05 .000 2006",
	"2006-__2 15:04", "Monday, 02-Jan-06 15:04:05 -070000", "2006-01-02 15:04:05Z07:00:00", "2006 002 01 02 15",
}

var signedDigits = regexp.MustCompile(`[.,][+-]\d|(^|\D)[+-]\d(\D|$)`)

// FuzzTimestamp holds that a timestamp is what package time makes of it, and
// none where package time makes none; in a row of timestamps as well, where the
// clock remembers the one before.
func FuzzTimestamp(f *testing.F) {
	at := time.Date(2024, 10, 27, 1, 30, 0, 123456789, time.UTC)
	for i, l := range timeLayouts {
		f.Add(uint8(i), at.Format(l), at.AddDate(0, 5, 4).Add(30*time.Minute).Format(l))
		f.Add(uint8(i), at.Format(l), at.Add(time.Minute).Format(l)+".5")
	}
	f.Add(uint8(0), "2024-01-01 00:00:00", "2024-01-01  0:00:00")
	f.Add(uint8(0), "2024-02-30 00:00:00", "2024-01-01 24:00:00")
	f.Add(uint8(1), "2024-01-01T00:00:00Z", "2024-01-01T00:00:00+24:60")
	zone, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which uint8, a, b string) {
		text := timeLayouts[int(which)%len(timeLayouts)]
		l, err := compileLayout(text)
		if err != nil {
			t.Fatal(err)
		}
		c := newClock([]*layout{l}, zone)
		for _, s := range []string{a, b, a} {
			want, err := time.ParseInLocation(text, s, zone)
			got, read := c.micros([]byte(s))
			if next, end := c.next([]byte(s+",2024-01-01 00:00:00\n"), 0); end > 0 && end == len(s) && (err != nil || next != want.UnixMicro()) {
				t.Fatalf("%q in %q is %v the quick way, package time says %v, %v", s, text, ingest.FromMicros(next), want, err)
			}
			switch {
			case err == nil && read == readNot && signedDigits.MatchString(s):
				// Package time takes a sign for a digit in short years and fractions.
			case err == nil && (read == readNever || read == readTwice):
				// Package time makes something of these times, too.
				if wall, _ := time.ParseInLocation(text, s, time.UTC); l.zoned || shown(wall, zone) != read {
					t.Fatalf("%q in %q: %v, its clocks show it %v", s, text, read, shown(wall, zone))
				}
			case err != nil && strings.Contains(s, "24") && read != readNot && endOfDay(l, text, s):
				// Package time has no 24:00.
			case (err == nil) != (read == readGood):
				t.Fatalf("%q in %q: %v, package time says %v, %v", s, text, read, want, err)
			case err == nil && got != want.UnixMicro():
				t.Fatalf("%q in %q is %v, package time says %v", s, text, ingest.FromMicros(got), want)
			}
		}
	})
}

// endOfDay reports whether s is a 24:00 that means the midnight after the day
// that package time reads where one 24 is 00.
func endOfDay(l *layout, text, s string) bool {
	w, _ := l.read([]byte(s))
	for at := 0; ; at++ {
		i := strings.Index(s[at:], "24")
		if i < 0 {
			return false
		}
		at += i
		if t, err := time.Parse(text, s[:at]+"00"+s[at+2:]); err == nil {
			_, offset := t.Zone()
			if t.Hour() == 0 && t.Unix()+int64(offset)+86400 == w.seconds {
				return true
			}
		}
	}
}

// FuzzAgainstEncodingCSV holds that where encoding/csv can read a plain long
// file, strconv its values and package time its timestamps, the decoder comes
// to the same readings.
func FuzzAgainstEncodingCSV(f *testing.F) {
	f.Add([]byte("L1,flow,2024-01-01 00:00:00,1.5\nL1,\"pres,sure\",2024-01-01 00:15:00,\"2\"\n"))
	f.Add([]byte("\"L\"\"1\",flow,2024-01-01 00:00:00,1.5\r\n\"a\nb\",flow,2024-01-01 00:00:00,\r\n\n,,,\n"))
	f.Add([]byte("L1,flow,2024-01-01 00:00:00,0x10\nL1,flow,2024-13-01 00:00:00,1\nL1,flow,2024-01-01 00:00:00\n"))
	set, err := NewSet(true)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, rows []byte) {
		if bytes.IndexByte(bytes.ReplaceAll(rows, []byte("\r\n"), nil), '\r') >= 0 {
			t.Skip("encoding/csv does not know a CR as a line ending")
		}
		text := append([]byte("logger,channel,timestamp,value\n"), rows...)
		want, ok := oracle(text)
		if !ok {
			t.Skip("encoding/csv cannot read it")
		}
		d, err := NewDecoder(set, Settings{Zone: "UTC", MaxRejected: MaxRejected{Share: 1}})
		if err != nil {
			t.Fatal(err)
		}
		b := &ingest.Batch{}
		if err := d.Decode(context.Background(), contentOf("a.csv", text, false), b); err != nil {
			t.Fatal(err)
		}
		checkSpan(t, b, &b.Spans[0])
		if diff := cmp.Diff(want, facts(b)); diff != "" {
			t.Errorf("-encoding/csv +decoder:\n%s\n%+v", diff, b.Spans[0].Rejects)
		}
	})
}

// oracle reads a plain long file with the standard library alone.
func oracle(text []byte) (list []fact, ok bool) {
	// Blank lines are no records to the decoder even where they hold blanks.
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	for n := 0; ; n++ {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return list, true
		}
		if err != nil {
			return nil, false
		}
		for len(record) > 4 && strings.Trim(record[len(record)-1], " \t") == "" {
			record = record[:len(record)-1] // delimiters behind the last cell are no cells
		}
		if n == 0 || len(record) != 4 {
			continue
		}
		for i := range record {
			if strings.Contains(record[i], "\n") {
				return nil, false // it turns CRLF in quotes into LF
			}
			record[i] = strings.Trim(record[i], " \t")
		}
		at, err := time.Parse(time.RFC3339, record[2])
		if err != nil {
			at, err = time.Parse("2006-01-02 15:04:05", record[2])
		}
		if err != nil || at.UnixMicro() < plausible || at.After(fetched.Add(24*time.Hour)) {
			continue
		}
		v, err := strconv.ParseFloat(record[3], 64)
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) || strings.ContainsAny(record[3], "xX_pP") {
			continue
		}
		if nameFault([]byte(record[0])) != "" || nameFault([]byte(record[1])) != "" || !utf8.ValidString(record[1]) {
			continue
		}
		list = append(list, fact{
			Key:  ingest.SeriesKey{Logger: record[0], Channel: record[1], Label: record[1]},
			Time: at.UnixMicro(), Value: math.Float64bits(v),
		})
	}
}

// FuzzProfile holds that no text makes the reader of profiles panic, and that
// what it accepts can read a file.
func FuzzProfile(f *testing.F) {
	for _, p := range fuzzProfiles(f).Profiles() {
		f.Add(p.Text)
	}
	f.Add("name: x\nshape: long\nlogger: &a {column: 1}\nchannel: *a\nvalue: 3\ntimestamp: {column: 2, layout: '%s'}")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("p.yaml", []byte(text))
		if err != nil {
			return
		}
		set, err := NewSet(false, p)
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDecoder(set, Settings{Profile: p.Name})
		if err != nil {
			t.Fatal(err)
		}
		b := &ingest.Batch{}
		for _, sample := range seeds() {
			if err := d.Decode(context.Background(), contentOf("L1_20240101.csv", sample, false), b); err != nil {
				t.Fatal(err)
			}
			checkSpan(t, b, &b.Spans[len(b.Spans)-1])
		}
	})
}

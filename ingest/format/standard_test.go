package format

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// A common is a file of a common shape, of 100,000 readings or about as many:
// what profile reads it, and what a program does with a record of it that has
// nothing but the standard library.
type common struct {
	name    string
	profile string // as YAML
	path    string
	text    func() []byte
	comma   rune
	row     func(s *standard, record []string) error
}

// standard reads files with encoding/csv, strconv and package time, into the
// same columns as a decoder does. It counts no lines, keeps no rejects, and gives
// up at the first fault.
type standard struct {
	batch  *ingest.Batch
	zone   *time.Location
	header []string
	series []int32         // of the columns, where the header names them
	times  []time.Duration // of the columns, where the header tells them
}

func newStandard(tb testing.TB) *standard {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		tb.Fatal(err)
	}
	return &standard{batch: &ingest.Batch{}, zone: zone}
}

func (s *standard) read(c *common, text []byte) error {
	r := csv.NewReader(bytes.NewReader(text))
	r.ReuseRecord, r.Comma = true, c.comma
	first, err := r.Read()
	if err != nil {
		return err
	}
	s.header = append(s.header[:0], first...)
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = c.row(s, record)
		}
		if err != nil {
			return err
		}
	}
}

// long is a row of logger, channel, timestamp and value.
func (s *standard) long(record []string, layout string) error {
	at, err := time.ParseInLocation(layout, record[2], s.zone)
	if err != nil {
		return err
	}
	v, err := strconv.ParseFloat(record[3], 64)
	if err != nil {
		return err
	}
	s.batch.Append(s.batch.SeriesOf([]byte(record[0]), []byte(record[1]), nil, nil), at.UnixMicro(), v)
	return nil
}

// wide is a row of a timestamp and a value for each column, or for each step of
// columns; behind each may stand its quality.
func (s *standard) wide(record []string, layout string, comma, flagged bool) error {
	step := 1
	if flagged {
		step = 2
	}
	if len(s.series) == 0 {
		for i := 1; i < len(s.header); i += step {
			s.series = append(s.series, s.batch.SeriesOf([]byte("L1"), []byte(s.header[i]), nil, nil))
		}
	}
	at, err := time.ParseInLocation(layout, record[0], s.zone)
	if err != nil {
		return err
	}
	us := at.UnixMicro()
	for i := 1; i < len(record); i += step {
		cell := record[i]
		if comma {
			cell = strings.Replace(cell, ",", ".", 1)
		}
		v, err := strconv.ParseFloat(cell, 64)
		if err != nil {
			return err
		}
		s.batch.Append(s.series[(i-1)/step], us, v)
		if flagged {
			s.batch.SetQuality([]byte(record[i+1]))
		}
	}
	return nil
}

// matrix is a row of meter and day, and a value for each time of the header.
func (s *standard) matrix(record []string) error {
	if len(s.times) == 0 {
		for _, name := range s.header[2:] {
			t, err := time.Parse("15:04", name)
			if err != nil {
				return err
			}
			s.times = append(s.times, time.Duration(t.Hour())*time.Hour+time.Duration(t.Minute())*time.Minute)
		}
	}
	day, err := time.ParseInLocation(time.DateOnly, record[1], s.zone)
	if err != nil {
		return err
	}
	series := s.batch.SeriesOf([]byte(record[0]), []byte("energy"), nil, nil)
	for i, cell := range record[2:] {
		v, err := strconv.ParseFloat(cell, 64)
		if err != nil {
			return err
		}
		s.batch.Append(series, day.Add(s.times[i]).UnixMicro(), v)
	}
	return nil
}

const commonWide = `
name: w
shape: wide
signature: {header: [time], others: true}
logger: {constant: L1}
`

// commons are the shapes that the decoder is to be quick at.
func commons() []common {
	const layout, dotted = time.DateTime, "02.01.2006 15:04"
	long := func(s *standard, record []string) error { return s.long(record, layout) }
	return []common{
		{
			name: "long", comma: ',', path: "all.csv", row: long, profile: plainLongProfile,
			text: func() []byte { return longFile(100_000) },
		},
		{
			name: "long of 1000 loggers, RFC 3339", comma: ',', path: "all.csv", profile: plainLongProfile,
			text: func() []byte { return longRows(100_000, 1000, "%s,%s,%s,%.3f\n", time.RFC3339) },
			row:  func(s *standard, record []string) error { return s.long(record, time.RFC3339) },
		},
		{
			name: "long, all quoted", comma: ',', path: "all.csv", row: long, profile: plainLongProfile,
			text: func() []byte { return longRows(100_000, 20, "\"%s\",\"%s\",\"%s\",\"%.3f\"\n", layout) },
		},
		{
			name: "wide of 20", comma: ',', path: "a.csv", profile: commonWide + "timestamp: {column: time, layout: \"2006-01-02 15:04:05\"}\n",
			text: func() []byte { return wideRows(5000, 20, ",", layout, twoDecimals) },
			row:  func(s *standard, record []string) error { return s.wide(record, layout, false, false) },
		},
		{
			name: "wide of 20, seven digits", comma: ',', path: "a.csv", profile: commonWide + "timestamp: {column: time, layout: \"2006-01-02 15:04:05\"}\n",
			text: func() []byte { return wideRows(5000, 20, ",", layout, sevenDigits) },
			row:  func(s *standard, record []string) error { return s.wide(record, layout, false, false) },
		},
		{
			name: "wide of 20, semicolons, decimal commas", comma: ';', path: "a.csv",
			profile: commonWide + "dialect: {delimiter: \";\", decimal: \",\"}\ntimestamp: {column: time, layout: \"02.01.2006 15:04\"}\n",
			text:    func() []byte { return wideRows(5000, 20, ";", dotted, decimalComma) },
			row:     func(s *standard, record []string) error { return s.wide(record, dotted, true, false) },
		},
		{
			name: "pairs of value and flag, 10", comma: ',', path: "a.csv",
			profile: commonWide + "pairs: quality\ntimestamp: {column: time, layout: \"2006-01-02 15:04:05\"}\n",
			text:    func() []byte { return wideRows(10_000, 10, ",", layout, withFlag) },
			row:     func(s *standard, record []string) error { return s.wide(record, layout, false, true) },
		},
		{
			name: "matrix of 96", comma: ',', path: "all.csv", text: matrixFile, row: (*standard).matrix,
			profile: "name: m\nshape: matrix\nlogger: {column: Meter}\nchannel: {constant: energy}\ntimestamp: {column: Day, layout: 2006-01-02}\n",
		},
	}
}

// longRows is a plain long file of so many loggers with two channels each, rows
// in the order in which loggers report; line formats one.
func longRows(rows, loggers int, line, layout string) []byte {
	var b bytes.Buffer
	b.WriteString("logger,channel,timestamp,value\n")
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	random := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < rows; at = at.Add(15 * time.Minute) {
		for l := 0; l < loggers && i < rows; l++ {
			for _, channel := range []string{"flow", "pressure"} {
				fmt.Fprintf(&b, line, fmt.Sprintf("logger-%03d", l), channel, at.Format(layout), random.Float64()*100)
				i++
			}
		}
	}
	return b.Bytes()
}

// What cells of wide files are written like.
func twoDecimals(random *rand.Rand, _ int) string {
	return strconv.FormatFloat(random.Float64()*1000, 'f', 2, 64)
}
func sevenDigits(random *rand.Rand, column int) string {
	scale := [...]float64{1, 100, 2000, -40}[column%4]
	return strconv.FormatFloat(float64(float32(scale*(0.5+random.Float64()/10))), 'g', 7, 32)
}
func decimalComma(random *rand.Rand, _ int) string {
	return strings.Replace(strconv.FormatFloat(float64(random.IntN(10_000))/100, 'f', -1, 64), ".", ",", 1)
}
func withFlag(random *rand.Rand, column int) string {
	return twoDecimals(random, column) + "," + [...]string{"", "A", "A", "A", "A", "A", "A", "E"}[random.IntN(8)]
}

// wideRows is a file of so many columns of readings, which cell writes.
func wideRows(rows, columns int, comma, layout string, cell func(random *rand.Rand, column int) string) []byte {
	var b bytes.Buffer
	random := rand.New(rand.NewPCG(1, 2))
	beside := strings.Count(cell(random, 0), ",") == 1 && comma == ","
	b.WriteString("time")
	for i := range columns {
		fmt.Fprintf(&b, "%schannel %d", comma, i)
		if beside {
			fmt.Fprintf(&b, "%sflag %d", comma, i)
		}
	}
	at := time.Date(2024, 4, 5, 0, 0, 0, 0, time.UTC) // no clock changes until its end
	for range rows {
		b.WriteString("\n" + at.Format(layout))
		for i := range columns {
			b.WriteString(comma + cell(random, i))
		}
		at = at.Add(15 * time.Minute)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// matrixFile is a row a day of each of 50 meters, of 96 readings.
func matrixFile() []byte {
	var text bytes.Buffer
	text.WriteString("Meter,Day")
	for i := range 96 {
		fmt.Fprintf(&text, ",%02d:%02d", i/4, i%4*15)
	}
	at := time.Date(2024, 4, 5, 0, 0, 0, 0, time.UTC)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		fmt.Fprintf(&text, "\nmeter-%02d,%s", i%50, at.AddDate(0, 0, i/50).Format(time.DateOnly))
		for range 96 {
			fmt.Fprintf(&text, ",%.3f", random.Float64()*100)
		}
	}
	text.WriteByte('\n')
	return text.Bytes()
}

func (c *common) decoder(tb testing.TB) *Decoder {
	return decoderFor(tb, strings.TrimPrefix(c.profile, "\n"), Settings{Zone: "Europe/London"})
}

// TestCommonShapes holds that of the files that the decoder's speed is measured
// by, it makes what the standard library makes of them.
func TestCommonShapes(t *testing.T) {
	for _, c := range commons() {
		t.Run(c.name, func(t *testing.T) {
			text := c.text()
			s := newStandard(t)
			if err := s.read(&c, text); err != nil {
				t.Fatal(err)
			}
			b := &ingest.Batch{}
			if err := c.decoder(t).Decode(t.Context(), contentOf(c.path, text, false), b); err != nil {
				t.Fatal(err)
			}
			checkSpan(t, b, &b.Spans[0])
			if b.Spans[0].State != ingest.Loaded {
				t.Fatal(b.Spans[0].Reason)
			}
			for i := range b.Keys {
				b.Keys[i].Label = "" // the standard side has none
			}
			want, got := facts(s.batch), facts(b)
			if len(want) != len(got) {
				t.Fatalf("%d readings, the standard library reads %d", len(got), len(want))
			}
			for i := range want {
				if want[i] != got[i] {
					t.Fatalf("reading %d, -standard library +decoder:\n%s", i, cmp.Diff(want[i], got[i]))
				}
			}
		})
	}
}

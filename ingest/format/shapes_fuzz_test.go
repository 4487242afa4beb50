package format

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

// A plainShape is a shape that the oracle of FuzzShapes reads with nothing but
// the standard library: the fields of a row and what they are.
type plainShape struct {
	profile, head string
	comma         rune
	decimal       string
	layout        string
	logger        int // the field, -1 for none; likewise channel
	channel       int
	stamp         int
	values        int // the first field of a value
	step          int // to the next one; with a step of 2 the quality is between
	minutes       int // between the times of a matrix; 0 for another shape
}

func plainShapes() []plainShape {
	const wide, stamped = "name: w\nshape: wide\nsignature: {header: [time], others: true}\nlogger: {constant: L1}\n", "timestamp: {column: time, layout: \"2006-01-02 15:04:05\"}\n"
	return []plainShape{
		{profile: "name: l\nshape: long\nlogger: {column: logger}\nchannel: {column: channel}\nvalue: value\ntimestamp: {column: timestamp, layout: \"2006-01-02 15:04:05\"}\n", head: "logger,channel,timestamp,value\n", comma: ',', decimal: ".", layout: time.DateTime, channel: 1, stamp: 2, values: 3, step: 1},
		{
			profile: "name: t\nshape: long\ndialect: {delimiter: tab}\nlogger: {column: l}\nchannel: {column: c}\nvalue: v\ntimestamp: {column: t, layout: \"2006-01-02 15:04\"}\n",
			head:    "t\tl\tc\tv\n", comma: '\t', decimal: ".", layout: "2006-01-02 15:04", logger: 1, channel: 2, values: 3, step: 1,
		},
		{profile: wide + stamped, head: "time,a,b,c\n", comma: ',', decimal: ".", layout: time.DateTime, logger: -1, channel: -1, values: 1, step: 1},
		{
			profile: wide + "dialect: {delimiter: \";\", decimal: \",\"}\ntimestamp: {column: time, layout: \"02.01.2006 15:04\"}\n",
			head:    "time;a;b;c;d\n", comma: ';', decimal: ",", layout: "02.01.2006 15:04", logger: -1, channel: -1, values: 1, step: 1,
		},
		{profile: wide + "pairs: quality\n" + stamped, head: "time,a,aq,b,bq,c,cq\n", comma: ',', decimal: ".", layout: time.DateTime, logger: -1, channel: -1, values: 1, step: 2},
		{
			profile: "name: m\nshape: matrix\nlogger: {column: Meter}\nchannel: {constant: energy}\ntimestamp: {column: Day, layout: 2006-01-02}\n",
			head:    "Meter,Day,00:00,06:00,12:00,18:00\n", comma: ',', decimal: ".", layout: time.DateOnly, channel: -1, stamp: 1, values: 2, step: 1, minutes: 360,
		},
	}
}

// FuzzShapes holds that of a file of a common shape the decoder makes what
// encoding/csv, strconv and package time make of it: every column of every
// reading, bit for bit.
func FuzzShapes(f *testing.F) {
	oneGoroutine(f)
	for i, rows := range []string{
		"L1,flow,2024-01-01 00:00:00,1.5\nL1,flow,2024-01-01 00:15:00,-12.75\nL2,flow,2024-01-01 00:15:00,1234567.12345678\n\"L1\",\"flow\",\"2024-01-02 00:00:00\",\"0.1\"\n\"L1\",\"flow\",\"2024-01-02 00:00:01\",\"99\"\n",
		"2024-01-01 00:00\tL1\tflow\t1.5\n2024-01-01 00:15\tL1\tflow\t1.25\n2024-01-01 00:30\tL1\tflow\t1e3\n2024-01-01 00:45\tL2\tflow\t+7\n",
		"2024-01-01 00:00:00,1.5,2.5,\n2024-01-01 00:15:00,1.5,22.5,-3\n2024-01-01 00:30:00,0.000001234,9007199254740993,12345678.9\n2024-01-01 00:45:00, 1.5,x,\"3\"\n",
		"01.01.2024 00:00;1,5;2,25;3;-4,125\r\n01.01.2024 00:15;1,5;2,25;;-4,125\r\n31.12.2024 23:45;10,5;0,25;3;14,1\r\n",
		"2024-01-01 00:00:00,1.5,A,2.5,,3.5,B\n2024-01-01 00:15:00,1.5,A,,M,3.5,E\n2024-01-01 00:30:00,1.25,\"A,B\",2,,3, C \n",
		"M1,2024-01-01,1.5,2.5,3.5,4.5\nM2,2024-01-01,1.5,,3.5,4.5\nM1,2024-01-02,1,22.25,-3.125,x\nM1,2024-02-30,1,2,3,4\n",
	} {
		f.Add(uint8(i), []byte(rows))
		f.Add(uint8(i), []byte(strings.Repeat(rows, 3)))
	}
	shapes := plainShapes()
	decoders := make([]*Decoder, len(shapes))
	for i := range shapes {
		decoders[i] = decoderFor(f, shapes[i].profile, Settings{Zone: "UTC", MaxRejected: MaxRejected{Share: 1}})
	}
	f.Fuzz(func(t *testing.T, which uint8, rows []byte) {
		i := int(which) % len(shapes)
		if bytes.IndexByte(bytes.ReplaceAll(rows, []byte("\r\n"), nil), '\r') >= 0 {
			t.Skip("encoding/csv does not know a CR as a line ending")
		}
		text := append([]byte(shapes[i].head), rows...)
		want, ok := shapes[i].oracle(text)
		if !ok {
			t.Skip("encoding/csv cannot read it")
		}
		b := &ingest.Batch{}
		if err := decoders[i].Decode(t.Context(), contentOf("a.csv", text, false), b); err != nil {
			t.Fatal(err)
		}
		checkSpan(t, b, &b.Spans[0])
		if s := &b.Spans[0]; s.State == ingest.Quarantined && strings.Contains(s.Reason, "is another header") {
			t.Skip("encoding/csv has no opinion of a second header")
		}
		got := facts(b)
		for k := range got {
			got[k].Key.Label = ""
		}
		if !slices.Equal(want, got) {
			t.Errorf("%s %s\n-encoding/csv +decoder:\n%s\n%+v", b.Spans[0].State, b.Spans[0].Reason, cmp.Diff(want, got), b.Spans[0].Rejects)
		}
	})
}

// oracle reads a file of the shape; ok is false where encoding/csv and the
// decoder mean different things by a line.
func (s *plainShape) oracle(text []byte) (list []fact, ok bool) {
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord, r.Comma = -1, s.comma
	var header []string
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return list, true
		}
		if err != nil {
			return nil, false
		}
		if header == nil {
			header = record
			continue
		}
		for len(record) > len(header) && strings.Trim(record[len(record)-1], " \t") == "" {
			record = record[:len(record)-1] // delimiters behind the last cell are no cells
		}
		for _, cell := range record {
			if strings.Contains(cell, "\n") || strings.Contains(cell, "=\"") || strings.ContainsAny(cell, "\u00a0\u202f\u2009") {
				return nil, false // CRLF in quotes, and what the decoder takes for a formula or a blank
			}
		}
		if stamp := record[min(s.stamp, len(record)-1)]; strings.Contains(stamp, "24:") || signedDigits.MatchString(stamp) {
			return nil, false // see FuzzTimestamp
		}
		if len(record) == len(header) {
			list = append(list, s.row(header, record)...)
		} else if len(record) > 1 || strings.Trim(record[0], " \t") != "" {
			// It is rejected, unless it is the header again.
			if record[0] == header[0] {
				return nil, false
			}
		}
	}
}

// row reads the readings of a row; none of one that is rejected.
func (s *plainShape) row(header, record []string) (list []fact) {
	for i := range record {
		record[i] = strings.Trim(record[i], " \t")
	}
	at, err := time.Parse(s.layout, record[s.stamp])
	if err != nil {
		return nil
	}
	key := ingest.SeriesKey{Logger: "L1"}
	if s.logger >= 0 {
		key.Logger = record[s.logger]
	}
	if s.channel >= 0 {
		key.Channel = record[s.channel]
	} else if s.minutes > 0 {
		key.Channel = "energy"
	}
	if nameFault([]byte(key.Logger)) != "" || key.Channel != "" && nameFault([]byte(key.Channel)) != "" || key.Channel == "" && s.channel >= 0 {
		return nil
	}
	for i := s.values + 1; s.step == 2 && i < len(record); i += 2 {
		if textFault([]byte(record[i])) != "" {
			return nil
		}
	}
	for i := s.values; i < len(record); i += s.step {
		us := at.UnixMicro() + int64((i-s.values)*s.minutes)*60e6
		cell := record[i]
		if s.decimal == "," {
			if strings.Contains(cell, ".") {
				continue
			}
			cell = strings.Replace(cell, ",", ".", 1)
		}
		v, err := strconv.ParseFloat(cell, 64)
		if us < plausible || us > fetched.Add(24*time.Hour).UnixMicro() || err != nil || math.IsInf(v, 0) || math.IsNaN(v) || strings.ContainsAny(cell, "xX_pP") {
			continue
		}
		fact := fact{Key: key, Time: us, Value: math.Float64bits(v)}
		if s.channel < 0 && s.minutes == 0 {
			fact.Key.Channel = header[i]
		}
		if s.step == 2 {
			fact.Quality = record[i+1]
		}
		list = append(list, fact)
	}
	return list
}

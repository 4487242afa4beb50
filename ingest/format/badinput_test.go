package format

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

// decodeText decodes one text as plain long, or by the profile named.
func decodeText(t *testing.T, s Settings, path string, text []byte) (*ingest.Batch, *ingest.Span) {
	t.Helper()
	d, err := NewDecoder(fuzzProfiles(t), s)
	if err != nil {
		t.Fatal(err)
	}
	b := &ingest.Batch{}
	if err := d.Decode(context.Background(), contentOf(path, text, false), b); err != nil {
		t.Fatal(err)
	}
	checkSpan(t, b, &b.Spans[0])
	return b, &b.Spans[0]
}

const longHead = "logger,channel,timestamp,value\n"

// TestBadLines shows, for each thing that can be wrong with a line, what is
// said of it, and that the lines around it load.
func TestBadLines(t *testing.T) {
	for _, c := range []struct {
		name, line string
		column     int
		reason     string
		lines      int64 // rejected whole; 0 when a cell is
	}{
		{"not a number", "L1,flow,2024-01-01 00:15:00,\"12,4\"", 4, `not a number: "12,4" (expected digits with a decimal point)`, 0},
		{"hexadecimal", "L1,flow,2024-01-01 00:15:00,0x1F", 4, `not a number: "0x1F" (expected digits with a decimal point)`, 0},
		{"infinite", "L1,flow,2024-01-01 00:15:00,-inf", 4, `not a number: "-inf" (expected digits with a decimal point)`, 0},
		{"nan", "L1,flow,2024-01-01 00:15:00,NaN", 4, `not a number: "NaN" (expected digits with a decimal point)`, 0},
		{"underscores", "L1,flow,2024-01-01 00:15:00,1_000", 4, `not a number: "1_000" (expected digits with a decimal point)`, 0},
		{"too large", "L1,flow,2024-01-01 00:15:00,1e999", 4, `too large a number: "1e999"`, 0},
		{"NUL in a number", "L1,flow,2024-01-01 00:15:00,1\x002", 4, `not a number: "1\x002" (expected digits with a decimal point)`, 0},
		{"bad timestamp", "L1,flow,yesterday,1", 3, `not a timestamp: "yesterday" (expected "rfc3339" or "2006-01-02 15:04:05")`, 1},
		{"no such day", "L1,flow,2024-02-30 00:00:00,1", 3, `not a timestamp: "2024-02-30 00:00:00" (expected "rfc3339" or "2006-01-02 15:04:05")`, 1},
		{"before the window", "L1,flow,1799-12-31 00:00:00,1", 3, `timestamp outside the plausible window: "1799-12-31 00:00:00" (expected 1800-01-01T00:00Z to 2026-06-02T12:00Z)`, 1},
		{"after the window", "L1,flow,2026-06-03 00:00:00,1", 3, `timestamp outside the plausible window: "2026-06-03 00:00:00" (expected 1800-01-01T00:00Z to 2026-06-02T12:00Z)`, 1},
		{"too few fields", "L1,flow,2024-01-01 00:15:00", 0, "wrong number of fields: 3 (expected 4, as in the header)", 1},
		{"too many fields", "L1,flow,2024-01-01 00:15:00,1,2", 0, "wrong number of fields: 5 (expected 4, as in the header)", 1},
		{"unterminated quote", "L1,\"flow,2024-01-01 00:15:00,1", 0, "unterminated quote: field 2 opens with one that nothing closes", 1},
		{"text after a quote", "L1,\"flow\"s,2024-01-01 00:15:00,1", 0, "text after the closing quote of field 2 (expected a delimiter or the end of the line)", 1},
		{"no logger", ",flow,2024-01-01 00:15:00,1", 1, "the logger is empty", 1},
		{"NUL in a name", "L\x001,flow,2024-01-01 00:15:00,1", 1, `the logger has a NUL byte in it: "L\x001"`, 1},
		{"a name not in UTF-8", "L1,d\xe9bit,2024-01-01 00:15:00,1", 2, `the channel is not UTF-8: "d\xe9bit"`, 1},
		{"a name too long", "L1," + strings.Repeat("x", 501) + ",2024-01-01 00:15:00,1", 2, fmt.Sprintf("the channel is longer than 500 bytes: %q", strings.Repeat("x", 120)+"…"), 1},
		{"a line too long", strings.Repeat("x", 1<<20+1), 0, "the line is longer than 1048576 bytes, so it is not read", 1},
		{"torn last line", "L1,flow,2024-01", 0, "wrong number of fields: 3 (expected 4, as in the header)", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := longHead + "L1,flow,2024-01-01 00:00:00,1.5\n" + c.line + "\nL1,flow,2024-01-01 00:30:00,2.5\n"
			b, s := decodeText(t, Settings{Zone: "UTC"}, "a.csv", []byte(text))
			if s.State != ingest.Loaded || len(b.Value) != 2 || b.Value[0] != 1.5 || b.Value[1] != 2.5 {
				t.Errorf("%s %s with %v, want the lines around it loaded", s.State, s.Reason, b.Value)
			}
			if len(s.Rejects) != 1 {
				t.Fatalf("rejects %+v, want one", s.Rejects)
			}
			r := s.Rejects[0]
			if r.Line != 3 || r.Column != c.column || r.Reason != c.reason {
				t.Errorf("line %d, column %d: %s\nwant line 3, column %d: %s", r.Line, r.Column, r.Reason, c.column, c.reason)
			}
			if !strings.Contains(c.line, r.Raw) || len(r.Raw) > ingest.RawLimit {
				t.Errorf("raw is %q", r.Raw)
			}
			if got := s.Receipt.Lines.Rejected; got != c.lines {
				t.Errorf("%d lines rejected, want %d", got, c.lines)
			}
			if got := s.Receipt.Cells.Rejected; got != 1-c.lines {
				t.Errorf("%d cells rejected, want %d", got, 1-c.lines)
			}
		})
	}
}

func TestBadQualityIsRejected(t *testing.T) {
	text := "logger,channel,timestamp,value,quality\nL1,flow,2024-01-01 00:00:00,1,ok\nL1,flow,2024-01-01 00:15:00,2,b\xe4d\nL1,flow,2024-01-01 00:30:00,3,\n"
	b, s := decodeText(t, Settings{Zone: "UTC"}, "a.csv", []byte(text))
	if len(b.Value) != 2 || len(s.Rejects) != 1 || s.Rejects[0].Reason != `the quality is not UTF-8: "b\xe4d"` || s.Rejects[0].Column != 5 {
		t.Errorf("%v, rejects %+v", b.Value, s.Rejects)
	}
	if b.Qualities[b.Quality[0]] != "ok" || b.Qualities[b.Quality[1]] != "" {
		t.Errorf("qualities %v of %q", b.Quality, b.Qualities)
	}
}

// TestBadCellOfWideRow holds that one bad cell takes nothing else with it.
func TestBadCellOfWideRow(t *testing.T) {
	text := "Timestamp;a;b;c\n2019-01-01 00:00:00;1,5;x;2,5\n2019-01-01 00:05:00;;1;2\n"
	b, s := decodeText(t, Settings{Profile: "scada-semicolon", Zone: "UTC"}, "2019_L1.csv", []byte(text))
	if len(b.Value) != 4 || len(s.Rejects) != 1 {
		t.Fatalf("%v, rejects %+v", b.Value, s.Rejects)
	}
	want := ingest.Reject{Line: 2, Column: 3, Reason: `not a number: "x" (expected digits with a decimal comma)`, Raw: "x"}
	if s.Rejects[0] != want {
		t.Errorf("%+v, want %+v", s.Rejects[0], want)
	}
	if c := s.Receipt.Cells; c.Total != 6 || c.Missing != 1 || c.Rejected != 1 {
		t.Errorf("cells %+v", c)
	}
}

// TestUnterminatedQuoteCostsOneLine holds that a quote that nothing closes, or
// that a quote far below closes wrongly, does not take the lines between.
func TestUnterminatedQuoteCostsOneLine(t *testing.T) {
	var b strings.Builder
	b.WriteString(longHead)
	for i := range 50 {
		switch i {
		case 10, 30:
			fmt.Fprintf(&b, "L1,\"flow,2024-01-01 00:%02d:00,1\n", i)
		case 20:
			fmt.Fprintf(&b, "\"L1\",flow,2024-01-01 00:%02d:00,1\n", i)
		default:
			fmt.Fprintf(&b, "L1,flow,2024-01-01 00:%02d:00,1\n", i)
		}
	}
	batch, s := decodeText(t, Settings{Zone: "UTC"}, "a.csv", []byte(b.String()))
	if len(batch.Time) != 48 || s.Receipt.Lines.Rejected != 2 {
		t.Errorf("%d readings, %d lines rejected: %+v", len(batch.Time), s.Receipt.Lines.Rejected, s.Rejects)
	}
}

// TestBadFiles shows what is said of files of which nothing loads, and of some
// that one might think bad.
func TestBadFiles(t *testing.T) {
	rows := strings.Repeat("L1,flow,2024-01-01 00:00:00,1\n", 30)
	packed := zipped(t, longHead+rows)
	for _, c := range []struct {
		name   string
		text   string
		s      Settings
		state  ingest.State
		reason string
	}{
		{"empty", "", Settings{}, ingest.Quarantined, "the file is empty: it holds no header and no readings"},
		{"blank", "\r\n \n", Settings{}, ingest.Quarantined, "the file is empty: it holds no header and no readings"},
		{"zeros", strings.Repeat("\x00", 300), Settings{}, ingest.Quarantined, "the file holds 300 bytes and none is text: they are NUL or blank"},
		{"header only", longHead, Settings{}, ingest.Loaded, ""},
		{"header only, without line ending", strings.TrimSpace(longHead), Settings{}, ingest.Loaded, ""},
		{"unknown", "Zeit;Wert\n1;2\n", Settings{}, ingest.Quarantined, `no profile matches the file, and none can be guessed: the file is a table of 1 row (Zeit, Wert) without times: no column is a timestamp, and nothing before the rows tells a start and an interval; if it holds readings, describe its layout in a profile, then: penstock files retry --profile NAME|FILE.yaml`},
		{"unknown, and not to be guessed", "Zeit;Wert\n1;2\n", Settings{NoGuess: true}, ingest.Quarantined, `no profile matches the file: line 1 is "Zeit;Wert"; describe its layout in a profile, then: penstock files retry --profile NAME|FILE.yaml`},
		{"not the profile's", "Zeit;Wert\n1;2\n", Settings{Profile: "plain-long"}, ingest.Quarantined, `the header has no column "timestamp" (timestamp), nor "logger" (logger), nor "channel" (channel), nor "value" (value): line 1 is "Zeit;Wert"`},
		{"binary", "\x7fELF\x02\x01\x01\x00\x00", Settings{}, ingest.Quarantined, "the file is a program"},
		{"binary without a name", "\x01\x02\x00\x03\xff\xfe\n", Settings{}, ingest.Quarantined, "the file is binary, not text: byte 3 is NUL, and it begins with 01 02 00 03 ff fe 0a"},
		{"binary forced", "\x01\x02\x00\x03\xff\xfe\n", Settings{Profile: "plain-long"}, ingest.Quarantined, "the file is binary, not text: byte 3 is NUL, and it begins with 01 02 00 03 ff fe 0a"},
		{"binary without NUL", strings.Repeat("\xb7\xd3\x05\xe6\x01", 50), Settings{}, ingest.Quarantined, "the file is binary, not text: 100 of its first 250 bytes are no characters, and it begins with b7 d3 05 e6 01 b7 d3 05"},
		{"UTF-32", "\xff\xfe\x00\x00l\x00\x00\x00", Settings{}, ingest.Quarantined, "the file is UTF-32 text, which is not read; convert it to UTF-8"},
		{"a header in Latin-1", "time,temp \xb0C\n2024-01-01 00:00:00,1\n", Settings{Profile: "plain-wide"}, ingest.Quarantined, `the header is not UTF-8: column 2 of line 1 is "temp \xb0C"; say in the profile's dialect which encoding it has`},
		{"two columns of one name", "time,flow,flow\n2024-01-01 00:00:00,1,2\n", Settings{Profile: "plain-wide"}, ingest.Quarantined, `columns 2 and 3 of line 1 are both channel "flow"; tell them apart in the profile's channels, by number, or say repeated: number`},
		{"no channel", "time\n2024-01-01 00:00:00\n", Settings{Profile: "plain-wide"}, ingest.Quarantined, `no column of the header holds readings: line 1 is "time"`},
		{"no zone", longHead + rows, Settings{}, ingest.Held, "its timestamps tell no time zone: which is it? Answer with --zone Area/City (such as --zone Europe/London), or with zone: in the source or the profile"},
		{"gzip cut short", packed[:len(packed)-12], Settings{Zone: "UTC"}, ingest.Quarantined, "the gzip data end too early: the file was cut short, 931 bytes of text into it"},
		{"gzip damaged", packed[:len(packed)-8] + "12345678", Settings{Zone: "UTC"}, ingest.Quarantined, "the gzip data are damaged, 931 bytes of text into them: gzip: invalid checksum"},
		{"gzip with garbage behind", packed + "garbage and more", Settings{Zone: "UTC"}, ingest.Quarantined, "the gzip data are damaged, 931 bytes of text into them: gzip: invalid header"},
		{"gzip in gzip", zipped(t, packed), Settings{}, ingest.Quarantined, "the file is compressed by gzip twice; unpack it once"},
		{"zip", "PK\x03\x04\x14\x00", Settings{}, ingest.Quarantined, "the file is a zip archive, and one is opened only where its own name ends in .zip and it lies in no other: unpack it, or rename it"},
		{"gzip of nothing", zipped(t, ""), Settings{}, ingest.Quarantined, "the file is empty: it holds no header and no readings"},
		{"lines mostly bad", longHead + strings.Repeat("nonsense\n", 11) + strings.Repeat("L1,flow,2024-01-01 00:00:00,1\n", 10), Settings{Zone: "UTC"}, ingest.Quarantined, "11 of 21 lines could not be read; the first is line 2: wrong number of fields: 1 (expected 4, as in the header)"},
		{"cells mostly bad", longHead + strings.Repeat("L1,flow,2024-01-01 00:00:00,-\n", 20), Settings{Zone: "UTC"}, ingest.Quarantined, `20 of 20 cells could not be read; the first is line 2, column 4: not a number: "-" (expected digits with a decimal point)`},
		{"few lines, mostly bad", longHead + strings.Repeat("nonsense\n", 18) + "L1,flow,2024-01-01 00:00:00,1\n", Settings{Zone: "UTC"}, ingest.Loaded, ""},
		{"half bad", longHead + strings.Repeat("nonsense\n", 30) + rows, Settings{Zone: "UTC"}, ingest.Loaded, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Parse("plain-wide.yaml", []byte(plainWide))
			if err != nil {
				t.Fatal(err)
			}
			set, err := NewSet(true, p)
			if err != nil {
				t.Fatal(err)
			}
			for _, stream := range []bool{false, true} {
				d, err := NewDecoder(set, c.s)
				if err != nil {
					t.Fatal(err)
				}
				b := &ingest.Batch{}
				if err := d.Decode(context.Background(), contentOf("L1_a.csv", []byte(c.text), stream), b); err != nil {
					t.Fatal(err)
				}
				s := &b.Spans[0]
				checkSpan(t, b, s)
				if s.State != c.state || s.Reason != c.reason {
					t.Errorf("%s: %s\nwant %s: %s", s.State, s.Reason, c.state, c.reason)
				}
			}
		})
	}
}

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGzipOfSeveralMembers(t *testing.T) {
	text := zipped(t, longHead+"L1,flow,2024-01-01 00:00:00,1\n") + zipped(t, "L1,flow,2024-01-01 00:15:00,2\n")
	b, s := decodeText(t, Settings{Zone: "UTC"}, "a.csv.gz", []byte(text))
	if s.State != ingest.Loaded || len(b.Time) != 2 {
		t.Errorf("%s %s, %d readings, want 2", s.State, s.Reason, len(b.Time))
	}
}

// endless is a reader of a head, of n bytes of one line, and of a tail.
type endless struct {
	head string
	left int64
	tail string
}

func (e *endless) Read(b []byte) (int, error) {
	if e.head != "" {
		n := copy(b, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	if e.left == 0 {
		if e.tail == "" {
			return 0, io.EOF
		}
		n := copy(b, e.tail)
		e.tail = e.tail[n:]
		return n, nil
	}
	n := min(int64(len(b)), e.left)
	for i := range b[:n] {
		b[i] = 'x'
	}
	e.left -= n
	return int(n), nil
}

func (e *endless) Close() error { return nil }

// TestLongLine reads a line of a gigabyte. In the place of the header it is the
// file's end, and no more is read than tells; below it it is a bad line as any
// other. Memory is flat.
func TestLongLine(t *testing.T) {
	oneGoroutine(t)
	good := "L1,flow,2024-01-01 00:00:00,1\n"
	for _, c := range []struct {
		head     string
		size     int64
		tail     string
		reason   string  // of a file that is quarantined
		lines    []int64 // rejected
		readings int
	}{
		{"", 1 << 30, good, "line 1 is longer than 1048576 bytes", nil, 0},
		{longHead, 1 << 30, "", "", []int64{2}, 0},
		{longHead + good, 1 << 30, "\n" + good, "", []int64{3}, 2},
		{longHead + good, 1 << 21, "\r\n" + good, "", []int64{3}, 2},
		{longHead + good, 1 << 21, "\r" + good + "\n" + good + "x", "", []int64{3, 7}, 3},
		{longHead + good + "L1,\"", 1 << 21, "\n" + good, "", []int64{3}, 2},
		{longHead + "L1,flow,2024-01-01 00:00:00,\"1\n", 1 << 21, "\n" + good, "", []int64{2, 3}, 1},
	} {
		set, err := NewSet(true)
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDecoder(set, Settings{Zone: "UTC"})
		if err != nil {
			t.Fatal(err)
		}
		source := &endless{head: c.head, left: c.size, tail: c.tail}
		content := &ingest.Content{Fetched: ingest.Micros(fetched), Stream: source}
		b := &ingest.Batch{}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := d.Decode(context.Background(), content, b); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		s := &b.Spans[0]
		checkSpan(t, b, s)
		if s.State == ingest.Quarantined != (c.reason != "") || s.Reason != c.reason || len(b.Time) != c.readings {
			t.Errorf("%q: %s: %s, %d readings, want %s, %d", c.head, s.State, s.Reason, len(b.Time), c.reason, c.readings)
		}
		var lines []int64
		for _, r := range s.Rejects {
			lines = append(lines, r.Line)
			if len(r.Raw) > ingest.RawLimit {
				t.Errorf("%q: %d bytes of line %d are kept", c.head, len(r.Raw), r.Line)
			}
			if strings.HasSuffix(r.Raw, "xxx") && r.Reason != "the line is longer than 1048576 bytes, so it is not read" {
				t.Errorf("%q: line %d: %s", c.head, r.Line, r.Reason)
			}
		}
		if diff := cmp.Diff(c.lines, lines); diff != "" {
			t.Errorf("%q: rejected lines: %s", c.head, diff)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
			t.Errorf("%q: %d bytes were allocated", c.head, used)
		}
		if read := c.size - source.left; c.reason != "" && read > 8<<20 {
			t.Errorf("%q: %d bytes were read to tell", c.head, read)
		}
	}
}

// TestLineOfTheLimit holds that a line may be as long as the limit, also where a
// piece of the file ends between its CR and its LF.
func TestLineOfTheLimit(t *testing.T) {
	const limit, rows = 4095, 177
	text := "t,note\n" + strings.Repeat("2024-01-01T00:00:00Z,1\n", rows)
	line := "2024-01-01T00:15:00Z," + strings.Repeat("0", limit-22) + "2"
	text += line + "\r\n2024-01-01T00:30:00Z,3\r\n"
	for step := limit - 5; step <= limit+5; step++ {
		d := decoderFor(t, "name: l\nshape: wide\nlogger: {constant: L1}\ntimestamp: {column: t, layout: rfc3339}\n", Settings{Limits: Limits{Line: limit}})
		d.feed.step = step
		b := &ingest.Batch{}
		if err := d.Decode(context.Background(), contentOf("a.csv", []byte(text), true), b); err != nil {
			t.Fatal(err)
		}
		if s := &b.Spans[0]; len(line) != limit || len(b.Time) != rows+2 || s.Receipt.Lines.Total != rows+3 {
			t.Errorf("pieces of %d bytes: %s %s, %d readings of %d lines: %+v", step, s.State, s.Reason, len(b.Time), s.Receipt.Lines.Total, s.Rejects)
		}
	}
}

// TestStreamInFlatMemory reads lines that are just short enough.
func TestStreamInFlatMemory(t *testing.T) {
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(set, Settings{Zone: "UTC", MaxRejected: MaxRejected{Share: 1}, Limits: Limits{Rejects: 10}})
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("y", 1<<20) + "\n"
	parts := []io.Reader{strings.NewReader(longHead)}
	for range 64 {
		parts = append(parts, strings.NewReader(line))
	}
	b := &ingest.Batch{}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := d.Decode(context.Background(), &ingest.Content{Fetched: 1, Stream: io.NopCloser(io.MultiReader(parts...))}, b); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	s := &b.Spans[0]
	checkSpan(t, b, s)
	if s.State != ingest.Loaded || s.Receipt.Lines.Rejected != 64 || len(s.Rejects) != 10 {
		t.Errorf("%s %s: %d lines rejected, %d listed", s.State, s.Reason, s.Receipt.Lines.Rejected, len(s.Rejects))
	}
	if want := []string{"of what is rejected in it the first 10 are listed, and 54 more are not"}; !slices.Equal(s.Notes, want) {
		t.Errorf("noted %q, want %q", s.Notes, want)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d bytes were allocated", used)
	}
}

func TestBombs(t *testing.T) {
	oneGoroutine(t)
	bomb := zipped(t, longHead+strings.Repeat("L1,flow,2024-01-01 00:00:00,1\n", 4_000_000))
	_, s := decodeText(t, Settings{Zone: "UTC", Limits: Limits{Ratio: 100}}, "a.csv.gz", []byte(bomb))
	if want := "the compressed file becomes more than 100 times as large as it is; no readings do that"; s.State != ingest.Quarantined || s.Reason != want {
		t.Errorf("%s: %s, want %s", s.State, s.Reason, want)
	}
	_, s = decodeText(t, Settings{Zone: "UTC", Limits: Limits{Inflated: 1 << 20}}, "a.csv.gz", []byte(bomb))
	if want := "the compressed file becomes more than 1048576 bytes; if that is right, raise the limit"; s.State != ingest.Quarantined || s.Reason != want {
		t.Errorf("%s: %s, want %s", s.State, s.Reason, want)
	}
}

// TestReadErrorIsNotTheFilesFault holds that bytes that cannot be read are an
// error, compressed or not, and that the span can be dropped.
func TestReadErrorIsNotTheFilesFault(t *testing.T) {
	packed := zipped(t, longHead+strings.Repeat("L1,flow,2024-01-01 00:00:00,1\n", 1000))
	for _, text := range []string{longHead + "L1,flow,2024-01-01 00:00:00,1\n", packed[:len(packed)/2]} {
		set, err := NewSet(true)
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDecoder(set, Settings{Zone: "UTC"})
		if err != nil {
			t.Fatal(err)
		}
		broken := errors.New("the cable was pulled")
		b := &ingest.Batch{}
		c := &ingest.Content{File: ingest.File{Path: "in/a\n.csv"}, Fetched: 1, Stream: io.NopCloser(io.MultiReader(strings.NewReader(text), failing{broken}))}
		err = d.Decode(context.Background(), c, b)
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), `in/a\x0A.csv`) {
			t.Errorf("error is %v", err)
		}
		if b.Drop(); len(b.Spans) != 0 || len(b.Time) != 0 {
			t.Errorf("%d spans and %d readings are left", len(b.Spans), len(b.Time))
		}
		// The decoder is as good as new.
		if err := d.Decode(context.Background(), contentOf("a.csv", []byte(longHead+"L1,flow,2024-01-01 00:00:00,1\n"), false), b); err != nil || len(b.Time) != 1 {
			t.Errorf("%v, %d readings", err, len(b.Time))
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestCancelledContext(t *testing.T) {
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(set, Settings{Zone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.Decode(ctx, contentOf("a.csv", []byte(longHead), false), &ingest.Batch{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// A local time that clocks skipped is rejected, and not guessed; the hours around
// it load.
func TestLocalTimeThatNeverWas(t *testing.T) {
	text := longHead + "L1,flow,2025-03-30 00:45:00,1\nL1,flow,2025-03-30 01:15:00,2\nL1,flow,2025-03-30 02:15:00,3\n"
	b, s := decodeText(t, Settings{Zone: "Europe/London"}, "a.csv", []byte(text))
	if len(b.Time) != 2 || s.Receipt.Lines.Rejected != 1 || len(s.Rejects) != 1 {
		t.Fatalf("%d readings, %+v, %+v", len(b.Time), s.Receipt.Lines, s.Rejects)
	}
	const want = `a time that clocks in Europe/London skipped when they went forward: "2025-03-30 01:15:00"`
	if r := s.Rejects[0]; r.Line != 3 || r.Column != 3 || !strings.HasPrefix(r.Reason, want) {
		t.Errorf("the reject is %+v", r)
	}
}

// The time in a file's name only ranks it: it is read whatever the clocks did.
func TestNameTimeInTheRepeatedHour(t *testing.T) {
	d := decoderFor(t, `
name: named
shape: long
logger: {file_name: '^(?P<logger>[^_]+)_'}
channel: {constant: flow}
value: v
timestamp: {column: t, layout: "2006-01-02 15:04"}
file_time: {file_name: '_(?P<time>\d{12})', layout: "200601021504"}
`, Settings{Zone: "Europe/London"})
	for name, want := range map[string]string{
		"202510260115": "2025-10-26T01:15:00Z", "202503300115": "2025-03-30T01:15:00Z", "202506010115": "2025-06-01T00:15:00Z",
	} {
		_, s := decodeOne(t, d, "L1_"+name+".csv", "t,v\n2024-07-01 00:00,1.5\n")
		if got := ingest.FromMicros(s.NameTime).Format("2006-01-02T15:04:05Z"); got != want {
			t.Errorf("%s ranks as %s, want %s", name, got, want)
		}
	}
}

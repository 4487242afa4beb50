package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/htmlindex"
)

// outcome is what became of a text, for tests to compare.
type outcome struct {
	State    ingest.State
	Reason   string
	Readings []string
	Lines    ingest.Lines
	Rejects  []string
}

// decodeEveryWay decodes one text by a profile in memory and as a stream, in
// one piece and in small ones, with and without the quick way through rows, and
// holds that all come to the same.
func decodeEveryWay(t *testing.T, profile, path string, text []byte) outcome {
	t.Helper()
	oneGoroutine(t)
	var first outcome
	for way := range 6 {
		d := decoderFor(t, profile, Settings{Zone: "UTC"})
		d.general = way&1 != 0
		if way >= 4 {
			d.feed.step = 16
		}
		b := &ingest.Batch{KeepLines: true}
		if err := d.Decode(context.Background(), contentOf(path, text, way >= 2), b); err != nil {
			t.Fatal(err)
		}
		s := &b.Spans[0]
		checkSpan(t, b, s)
		o := outcome{State: s.State, Reason: s.Reason, Lines: s.Receipt.Lines}
		for _, f := range facts(b) {
			o.Readings = append(o.Readings, fmt.Sprintf("%d %s/%s %s %s %s %s", f.Line, f.Key.Logger, f.Key.Channel, f.Key.Unit,
				ingest.FromMicros(f.Time).Format("01-02T15:04"), shortest(b.Value[len(o.Readings)]), f.Quality))
		}
		if s.State != ingest.Loaded {
			o.Lines = ingest.Lines{} // as far as it was read when its fault was met
		}
		for _, r := range s.Rejects {
			o.Rejects = append(o.Rejects, fmt.Sprintf("%d:%d %s", r.Line, r.Column, r.Reason))
		}
		if way == 0 {
			first = o
		} else if diff := cmp.Diff(first, o); diff != "" {
			t.Errorf("way %d reads otherwise (-way 0 +way %d):\n%s", way, way, diff)
		}
	}
	return first
}

// wideOf is a wide profile of one logger with more in it.
func wideOf(more string) string {
	return "name: wide\nshape: wide\nlogger: {constant: L}\ntimestamp: {column: time, layout: '2006-01-02 15:04'}\n" + more + "\n"
}

// TestBlankFilesHoldNothing holds that a file without text is told of as such,
// however much there is of it.
func TestBlankFilesHoldNothing(t *testing.T) {
	for size, want := range map[int]string{
		10:              "the file is empty: it holds no header and no readings",
		2 * firstWindow: "the file is empty: it holds no header and no readings",
		maxHead + 1:     "the first 4194304 bytes of the file hold no text: they are NUL or blank",
	} {
		if o := decodeEveryWay(t, wideOf(""), "a.csv", bytes.Repeat([]byte("\n"), size)); o.Reason != want {
			t.Errorf("%d bytes: %s %s", size, o.State, o.Reason)
		}
	}
}

func encoded(t testing.TB, label, text string) []byte {
	t.Helper()
	e, err := htmlindex.Get(label)
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.NewEncoder().Bytes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEncodings reads one text in many encodings, said, chosen from a list, or
// told by the file itself.
func TestEncodings(t *testing.T) {
	const western = "time,Temp °C\n2024-01-01 00:00,1.5\n2024-01-01 00:15,2.5\n"
	const eastern = "time,温度\n2024-01-01 00:00,1.5\n2024-01-01 00:15,2.5\n"
	for _, c := range []struct {
		name, encoding string
		text           []byte
		channel        string
	}{
		{"windows-1252", "windows-1252", encoded(t, "windows-1252", western), "Temp °C"},
		{"iso-8859-1", "latin1", encoded(t, "windows-1252", western), "Temp °C"},
		{"shift_jis", "shift_jis", encoded(t, "shift_jis", eastern), "温度"},
		{"gb18030", "gbk", encoded(t, "gb18030", eastern), "温度"},
		{"iso-2022-jp", "iso-2022-jp", encoded(t, "iso-2022-jp", eastern), "温度"},
		{"utf-16le as said", "utf-16le", encoded(t, "utf-16le", eastern), "温度"},
		{"utf-16be as said", "utf-16be", encoded(t, "utf-16be", eastern), "温度"},
		{"utf-16le by its mark", "utf-8", append([]byte("\xff\xfe"), encoded(t, "utf-16le", western)...), "Temp °C"},
		{"utf-16be by its mark", "shift_jis", append([]byte("\xfe\xff"), encoded(t, "utf-16be", western)...), "Temp °C"},
		{"utf-16le without", "utf-8", encoded(t, "utf-16le", western), "Temp °C"},
		{"utf-16be without", "utf-8", encoded(t, "utf-16be", western), "Temp °C"},
		{"utf-8 by its mark", "windows-1252", []byte("\ufeff" + western), "Temp °C"},
		{"list, utf-8", "[utf-8, windows-1252]", []byte(western), "Temp °C"},
		{"list, the second", "[utf-8, windows-1252]", encoded(t, "windows-1252", western), "Temp °C"},
		{"list, neither is tried", "[utf-16le, shift_jis, utf-8]", encoded(t, "shift_jis", eastern), "温度"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := decodeEveryWay(t, wideOf("dialect: {encoding: "+c.encoding+"}\nsignature: {header: [time], others: true}"), "a.csv", c.text)
			want := []string{"2 L/" + c.channel + "  01-01T00:00 1.5 ", "3 L/" + c.channel + "  01-01T00:15 2.5 "}
			if diff := cmp.Diff(want, o.Readings); diff != "" || o.Lines != (ingest.Lines{Total: 3, Header: 1, Data: 2}) {
				t.Errorf("%s %s\n%s%v\n%+v", o.State, o.Reason, diff, o.Rejects, o.Lines)
			}
		})
	}
}

// TestInvalidBytes holds that what is no text in the file's encoding takes its
// line, and gets into no name.
func TestInvalidBytes(t *testing.T) {
	const long = "name: long\nshape: long\nlogger: {column: l}\nchannel: {column: c}\nvalue: v\nquality: q\ntimestamp: {column: t, layout: rfc3339}\n"
	const head, good = "l,c,t,v,q\n", "L,f,2024-01-01T00:00:00Z,1,ok\n"
	for _, c := range []struct{ name, encoding, bad, reject string }{
		{"utf-8", "utf-8", "L\xb0,f,2024-01-01T00:15:00Z,2,ok\n", `3:1 the logger is not UTF-8: "L\xb0"`},
		{"shift_jis", "shift_jis", "L\x81,f,2024-01-01T00:15:00Z,2,ok\n", "3:0 bytes that are no text in the encoding shift_jis (is it the right one?)"},
		{"gb18030, quality", "gb18030", "L,f,2024-01-01T00:15:00Z,2,\xff\n", "3:0 bytes that are no text in the encoding gb18030 (is it the right one?)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := decodeEveryWay(t, long+"dialect: {encoding: "+c.encoding+"}\n", "a.csv", []byte(head+good+c.bad+good))
			if diff := cmp.Diff([]string{c.reject}, o.Rejects); diff != "" || len(o.Readings) != 2 || o.Lines.Rejected != 1 {
				t.Errorf("%s %s %v\n%s", o.State, o.Reason, o.Readings, diff)
			}
		})
	}
	header := decodeEveryWay(t, wideOf("dialect: {encoding: shift_jis}"), "a.csv", []byte("time,T\x81\n2024-01-01 00:00,1\n"))
	if want := "the header has bytes that are no text in the encoding shift_jis (is it the right one?)"; header.Reason != want {
		t.Errorf("%s %s, want %s", header.State, header.Reason, want)
	}
	torn := append(encoded(t, "utf-16le", "time,a\n2024-01-01 00:00,1\n2024-01-01 00:15,2"), 'x')
	o := decodeEveryWay(t, wideOf(""), "a.csv", torn)
	if len(o.Readings) != 1 || len(o.Rejects) != 1 {
		t.Errorf("half a character at the end: %v, %v", o.Readings, o.Rejects)
	}
}

// TestNUL holds that NUL bytes go where the profile says so, and only there.
func TestNUL(t *testing.T) {
	text := []byte("ti\x00me,a\x00\n2024-01-01 00:00,1\x00.5\x00\n\x002024-01-01 00:15,2.5\n" + strings.Repeat("\x00", 70_000))
	o := decodeEveryWay(t, wideOf("dialect: {nul: drop}\nsignature: {header: [time], others: true}"), "a.csv", text)
	if diff := cmp.Diff([]string{"2 L/a  01-01T00:00 1.5 ", "3 L/a  01-01T00:15 2.5 "}, o.Readings); diff != "" || len(o.Rejects) != 0 {
		t.Errorf("%s %s\n%s%v", o.State, o.Reason, diff, o.Rejects)
	}
	o = decodeEveryWay(t, wideOf("dialect: {nul: refuse}"), "a.csv", []byte("time,a\n2024-01-01 00:00,1\x00.5\n2024-01-01 00:15,2.5\n"))
	if len(o.Readings) != 1 || len(o.Rejects) != 1 {
		t.Errorf("refused: %v, %v", o.Readings, o.Rejects)
	}
	sixteen := encoded(t, "utf-16le", "time,a\n2024-01-01 00:00,1\x00.5\n2024-01-01 00:15,2.5\n")
	if o = decodeEveryWay(t, wideOf("dialect: {nul: drop}"), "a.csv", sixteen); len(o.Readings) != 2 {
		t.Errorf("in UTF-16: %v, %v", o.Readings, o.Rejects)
	}
}

// TestLargeRecodedFile reads files larger than any window, whose characters are
// cut by its borders.
func TestLargeRecodedFile(t *testing.T) {
	var b strings.Builder
	b.WriteString("time,°\n")
	for i := range 40_000 {
		fmt.Fprintf(&b, "2024-01-%02d %02d:%02d,%d\n", 1+i/1440%31, i/60%24, i%60, i)
	}
	text := b.String()
	for _, label := range []string{"windows-1252", "utf-16be", "shift_jis"} {
		d := decoderFor(t, wideOf("dialect: {encoding: "+label+"}"), Settings{Zone: "UTC"})
		for _, stream := range []bool{false, true} {
			batch := &ingest.Batch{}
			if err := d.Decode(context.Background(), contentOf("a.csv", encoded(t, label, text), stream), batch); err != nil {
				t.Fatal(err)
			}
			checkSpan(t, batch, &batch.Spans[0])
			if n := len(batch.Value); n != 40_000 || batch.Value[n-1] != 39_999 || batch.Keys[0].Channel != "°" {
				t.Errorf("%s: %d readings, %+v", label, n, batch.Spans[0].Reason)
			}
		}
	}
}

func zstded(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestZstd holds that zstd is read like gzip, its damage told, its bombs refused.
func TestZstd(t *testing.T) {
	const profile = "name: p\nshape: wide\nlogger: {file_name: '^(?P<logger>.+)\\.csv$'}\ntimestamp: {column: time, layout: '2006-01-02 15:04'}\n"
	text := "time,a\n" + strings.Repeat("2024-01-01 00:00,1\n", 30_000) // several blocks of zstd
	packed := zstded(t, text)
	for path, rows := range map[string]int{"L7.csv.zst": 30_000, "L7.csv.zstd": 10, "L7.csv.ZST": 10, "in.zip!L7.csv.zst": 10} {
		data := zstded(t, text[:strings.IndexByte(text, '\n')+1+rows*len("2024-01-01 00:00,1\n")])
		if o := decodeEveryWay(t, profile, path, []byte(data)); len(o.Readings) != rows || !strings.HasPrefix(o.Readings[0], "2 L7/a ") {
			t.Errorf("%s: %s %s, %d readings", path, o.State, o.Reason, len(o.Readings))
		}
	}
	for _, c := range []struct{ name, text, reason string }{
		{"cut", packed[:len(packed)-5], "the zstd data end too early: the file was cut short"},
		{"garbage behind", packed + "garbage and more", "the zstd data are damaged"},
		{"twice", zstded(t, packed), "the file is compressed by zstd twice; unpack it once"},
		{"gzip inside", zstded(t, zipped(t, text)), "the file is compressed by gzip twice; unpack it once"},
		{"nothing", zstded(t, ""), "the file is empty: it holds no header and no readings"},
	} {
		if o := decodeEveryWay(t, profile, "L7.csv", []byte(c.text)); o.State != ingest.Quarantined || !strings.HasPrefix(o.Reason, c.reason) {
			t.Errorf("%s: %s %s", c.name, o.State, o.Reason)
		}
	}
	bomb := zstded(t, "time,a\n"+strings.Repeat("2024-01-01 00:00,1\n", 4_000_000))
	d := decoderFor(t, profile, Settings{Zone: "UTC", Limits: Limits{Ratio: 100}})
	if _, s := decodeOne(t, d, "L7.csv", bomb); s.Reason != "the compressed file becomes more than 100 times as large as it is; no readings do that" {
		t.Errorf("%s %s", s.State, s.Reason)
	}
}

// FuzzRecoding holds that a text comes out the same however its bytes come in
// pieces, that it is UTF-8 but for the marks of what is no text, and that the
// beginning of a file is that of the whole.
func FuzzRecoding(f *testing.F) {
	labels := []charset{"windows-1252", utf16le, utf16be, "shift_jis", "gb18030", "iso-2022-jp", "euc-kr", "big5", ""}
	for i, label := range []string{"windows-1252", "utf-16le", "utf-16be", "shift_jis", "gb18030", "iso-2022-jp"} {
		f.Add(uint8(i), false, encoded(f, label, "time,T\n2024-01-01,1\x00.5\n"))
	}
	f.Add(uint8(3), true, []byte("\x81\x00\xff\n\x81"))
	f.Fuzz(func(t *testing.T, which uint8, noNUL bool, text []byte) {
		s := script{charset: labels[int(which)%len(labels)], noNUL: noNUL}
		whole, _ := s.recoded(text, true)
		if s.charset != "" && !bytes.Equal(bytes.ReplaceAll(bytes.ToValidUTF8(whole, []byte{}), []byte{notText}, nil), bytes.ReplaceAll(whole, []byte{notText}, nil)) {
			t.Errorf("%q is no UTF-8", whole)
		}
		for _, step := range []int{1, 7, 64 << 10} {
			var r recoding
			r.open(s, &pieces{text, step})
			out, p := []byte(nil), make([]byte, 16)
			for {
				n, err := r.Read(p)
				out = append(out, p[:n]...)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(out, whole) {
				t.Fatalf("by %d bytes %q, whole %q", step, out, whole)
			}
		}
		if part, _ := s.recoded(text[:len(text)/2], false); !bytes.HasPrefix(whole, part) {
			t.Errorf("the beginning %q is not that of %q", part, whole)
		}
	})
}

// pieces reads a text by so many bytes.
type pieces struct {
	text []byte
	step int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.text[:min(p.step, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}

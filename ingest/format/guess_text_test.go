package format

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"
)

const plainText = "Zeit;Höhe [m²];Temp (°C)\r\n2024-01-01 00:00;1,5;2,5\r\n2024-01-01 00:15;1,6;2,6\r\n"

func utf16Text(s string, order binary.AppendByteOrder) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

// latin1 writes s with a byte for each character.
func latin1(s string) []byte {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

func TestSheetTexts(t *testing.T) {
	for _, c := range []struct {
		name, encoding string
		text           []byte
		bom, nul       bool
	}{
		{name: "utf-8", encoding: "utf-8", text: []byte(plainText)},
		{name: "utf-8 with mark", encoding: "utf-8", text: []byte("\ufeff" + plainText), bom: true},
		{name: "utf-16le with mark", encoding: "utf-16le", text: utf16Text("\ufeff"+plainText, binary.LittleEndian), bom: true},
		{name: "utf-16be with mark", encoding: "utf-16be", text: utf16Text("\ufeff"+plainText, binary.BigEndian), bom: true},
		{name: "utf-16le", encoding: "utf-16le", text: utf16Text(plainText, binary.LittleEndian)},
		{name: "utf-16be", encoding: "utf-16be", text: utf16Text(plainText, binary.BigEndian)},
		{name: "one byte a character", encoding: "windows-1252", text: latin1(plainText)},
		{name: "NUL bytes", encoding: "utf-8", text: []byte(strings.ReplaceAll(plainText, "2024-01-01 00:15", "\x002024-01-01\x00 00:15")), nul: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			sh := readSheet(Sample{Path: "a.csv", Text: c.text, Whole: true})
			if sh.refusal != "" {
				t.Fatal(sh.refusal)
			}
			if sh.encoding != c.encoding || sh.bom != c.bom || sh.nul != c.nul || sh.text != plainText || sh.ending != "CRLF" {
				t.Errorf("encoding %s, bom %v, nul %v, ending %s, text %q", sh.encoding, sh.bom, sh.nul, sh.ending, sh.text)
			}
			if strings.Join(sh.names, "|") != "Zeit|Höhe [m²]|Temp (°C)" || len(sh.rows) != 2 {
				t.Errorf("names %q, %d rows", sh.names, len(sh.rows))
			}
			if f := findingOf(sh, "encoding"); f == nil || f.Sure != Certain {
				t.Errorf("encoding is not certain: %+v", f)
			}
		})
	}
}

func findingOf(sh *sheet, what string) *Finding {
	for i := range sh.findings {
		if sh.findings[i].What == what {
			return &sh.findings[i]
		}
	}
	return nil
}

func TestSheetEncodingIsAsked(t *testing.T) {
	// Names in Cyrillic letters of a byte each: nothing tells the code page.
	text := append([]byte("Time;\xd3\xf0\xee\xe2\xe5\xed\xfc\r\n"), "2024-01-01 00:00;1,5\r\n2024-01-01 00:15;1,6\r\n"...)
	sh := readSheet(Sample{Path: "a.csv", Text: text, Whole: true})
	if f := findingOf(sh, "encoding"); f == nil || f.Sure != Open || f.Line != 1 {
		t.Errorf("encoding: %+v", f)
	}
}

func TestSheetLineEndings(t *testing.T) {
	for text, want := range map[string]string{
		"a,b\nc,d\ne":         "LF a,b|c,d|e",
		"a,b\r\nc,d\r\n":      "CRLF a,b|c,d",
		"a,b\rc,d\re,f\r":     "CR a,b|c,d|e,f",
		"a\r\nb\nc\r\nd\re\n": "LF mixed a|b|c|d|e",
		"a\n\n\nb\n":          "LF a|||b",
		"a\r\rb\r":            "CR a||b",
	} {
		sh := &sheet{text: text}
		sh.readLines()
		got := sh.ending
		if sh.mixed {
			got += " mixed"
		}
		var lines []string
		for i := range sh.lines {
			lines = append(lines, sh.line(i))
		}
		if got += " " + strings.Join(lines, "|"); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestSheetRefusals(t *testing.T) {
	random := make([]byte, 6000)
	state := uint32(7)
	for i := range random {
		state = state*1664525 + 1013904223
		random[i] = byte(state >> 24)
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"empty":                  {nil, "empty"},
		"blanks":                 {[]byte("\r\n \t\r\n"), "nothing but blanks"},
		"binary":                 {append([]byte{1, 2, 3}, random...), "binary"},
		"binary below a header":  {append(bytes.Repeat([]byte("Station;North\r\nTime;Value\r\n"), 200), random...), "binary"},
		"an archive":             {[]byte("PK\x03\x04abcdefgh"), "zip"},
		"numbers without a time": {[]byte("depth,temp\n1.5,2\n1.6,3\n"), "without times"},
	} {
		sh := readSheet(Sample{Path: "a", Text: c.text, Whole: true})
		if !strings.Contains(sh.refusal, c.want) || strings.ContainsAny(sh.refusal, "\n") {
			t.Errorf("%s: %q, want something with %q", name, sh.refusal, c.want)
		}
	}
}

// TestSheetOfLongFiles: only the beginning and the end of a long table are
// held, and its end is found all the same.
func TestSheetOfLongFiles(t *testing.T) {
	var b strings.Builder
	b.WriteString("time,flow\n")
	for i := range 9000 {
		b.WriteString("2024-01-01 00:00:00," + strings.Repeat("1", i%5+1) + "\n")
	}
	whole := b.String()
	t.Run("cut", func(t *testing.T) {
		sh := readSheet(Sample{Text: []byte(whole + "2024-01-0"), Whole: false})
		if sh.gap != firstRows || len(sh.rows) <= firstRows || sh.rows[len(sh.rows)-1].line != 9001 || sh.torn {
			t.Errorf("gap %d of %d rows, torn %v", sh.gap, len(sh.rows), sh.torn)
		}
	})
	t.Run("footer", func(t *testing.T) {
		sh := readSheet(Sample{Text: []byte(whole + "Mean,3\nMax,5\n"), Whole: true})
		if sh.footer != `^Mean\b` || sh.footerLine != 9002 || sh.rows[len(sh.rows)-1].line != 9001 {
			t.Errorf("footer %q in line %d, last row in %d", sh.footer, sh.footerLine, sh.rows[len(sh.rows)-1].line)
		}
	})
	t.Run("much behind", func(t *testing.T) {
		sh := readSheet(Sample{Text: []byte(whole + "\nEvents\n" + strings.Repeat("door;opened\n", 900)), Whole: true})
		if sh.footer != `^Events\b` || sh.rows[len(sh.rows)-1].line != 9001 {
			t.Errorf("footer %q, last row in line %d", sh.footer, sh.rows[len(sh.rows)-1].line)
		}
	})
}

func TestSheetsOfOneKind(t *testing.T) {
	read := func(text string) *sheet { return readSheet(Sample{Text: []byte(text), Whole: true}) }
	a := read("Date Time,\"Temp (S/N: 123)\"\n2024-01-01 00:00,1\n")
	for text, want := range map[string]bool{
		"Date Time,\"Temp (S/N: 98765)\"\n2023-01-01 00:00,7\n2024-01-01 00:00,1\n": true,
		"Date Time;\"Temp (S/N: 123)\"\n2024-01-01 00:00;1\n":                       false,
		"Date Time,\"Flow (S/N: 123)\"\n2024-01-01 00:00,1\n":                       false,
		"Date Time,\"Temp (S/N: 123)\",RH\n2024-01-01 00:00,1,2\n":                  false,
		"Date Time,\"Temp (S/N: 123)\"\n,°C\n2024-01-01 00:00,1\n":                  false,
	} {
		if got := a.kind() == read(text).kind(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzSheet(f *testing.F) {
	for _, text := range []string{plainText, "time,flow\n2024-01-01 00:00,1\n", "\"a\n", "sep=;\n", "a\rb\r\n\x00", "1 2 3\n4 5 6\n",
		"#YY MM DD\n2024 01 02 3\n", "\"text\",\"x\"\n\"time\",17/03/93,11:45,15.0,\"min\",2\n1.5,2\n1.6,3\n"} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, whole bool) {
		sh := readSheet(Sample{Path: "x.csv", Text: text, Whole: whole})
		if sh.refusal != "" {
			return
		}
		at := 0
		for i, l := range sh.lines {
			if l.start < at || l.end < l.start || l.end > len(sh.text) || strings.ContainsAny(sh.line(i), "\r\n") {
				t.Fatalf("line %d is %+v, after %d of %d", i+1, l, at, len(sh.text))
			}
			at = l.end
		}
		last := int64(0)
		for _, r := range sh.rows {
			if r.line <= last || int(r.line) > len(sh.lines) || r.quoted != nil && len(r.quoted) != len(r.cells) {
				t.Fatalf("row in line %d after %d", r.line, last)
			}
			last = r.line
		}
		if sh.gap > len(sh.rows) || sh.gap < 0 || sh.preamble+len(sh.head) > len(sh.lines) {
			t.Fatalf("gap %d of %d, preamble %d", sh.gap, len(sh.rows), sh.preamble)
		}
		for i, h := range sh.head {
			if int(h.line) != sh.preamble+i+1 {
				t.Fatalf("row %d of the header is line %d, preamble %d", i, h.line, sh.preamble)
			}
		}
	})
}

func BenchmarkSheet(b *testing.B) {
	small := []byte("Timestamp;p227;p235\n2019-01-01 00:00:00;88,14;90,89\n")
	large := append([]byte("Timestamp;p227;p235\n"), bytes.Repeat([]byte("2019-01-01 00:00:00;88,14;90,89\n"), 1<<15)...)
	for _, c := range []struct {
		name string
		text []byte
	}{{"OneRow", small}, {"Mebibyte", large}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			for b.Loop() {
				readSheet(Sample{Text: c.text, Whole: true})
			}
		})
	}
}

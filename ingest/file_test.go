package ingest

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestEscapePath(t *testing.T) {
	for _, c := range []struct{ raw, escaped string }{
		{"", ""},
		{"north/flow 1.csv", "north/flow 1.csv"},
		{"Zürich/Abfluß.csv", "Zürich/Abfluß.csv"},
		{`back\slash`, `back\x5Cslash`},
		{`looks like \x41`, `looks like \x5Cx41`},
		{"two\nlines\r", `two\x0Alines\x0D`},
		{"red\x1b[31m", `red\x1B[31m`},
		{"latin1 \xe9t\xe9", `latin1 \xE9t\xE9`},
		{"cut off \xc3", `cut off \xC3`},
		{"\u202egnp.exe", `\xE2\x80\xAEgnp.exe`}, // turns the direction of what follows
		{"\u00a0", `\xC2\xA0`},
		{"\ufffd", `\xEF\xBF\xBD`},
	} {
		if got := EscapePath(c.raw); got != c.escaped {
			t.Errorf("EscapePath(%q) = %q, want %q", c.raw, got, c.escaped)
		}
		if got := UnescapePath(c.escaped); got != c.raw {
			t.Errorf("UnescapePath(%q) = %q, want %q", c.escaped, got, c.raw)
		}
	}
}

// A person may type a path: what no escaped path has in it means itself.
func TestUnescapePathKeepsTheRest(t *testing.T) {
	for _, s := range []string{
		`\`, `\x`, `\xA`, `\x1G`, `\xG1`, `\x F`, `\x+F`, `\x-1`, `\x0`, `\X41`, `\n`, `C:\xylem\x.csv`, `\\`, `\xff`, `a\x`, `\x_1`,
	} {
		if got := UnescapePath(s); got != s {
			t.Errorf("UnescapePath(%q) = %q, want it as it stands", s, got)
		}
	}
	if got, want := UnescapePath(`\x1\x41\x4`), `\x1A\x4`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEscapePathRoundTrip(t *testing.T) {
	paths := rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.OneOf(
			rapid.String(),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
			rapid.SampledFrom([]string{`\`, `\x`, `\x4`, `\x41`, `\x5C`, "\n", "/"}),
		), 0, 6).Draw(t, "parts")
		return strings.Join(parts, "")
	})
	rapid.Check(t, func(t *rapid.T) { checkEscape(t, paths.Draw(t, "path")) })
}

func FuzzEscapePath(f *testing.F) {
	for _, s := range []string{"", "a/b.csv", `\x41`, `\x5Cx`, "\xff\xfe", "é\x00", "\\\\x4\n1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkEscape(t, s) })
}

func checkEscape(t rapid.TB, raw string) {
	t.Helper()
	escaped := EscapePath(raw)
	if !utf8.ValidString(escaped) {
		t.Fatalf("EscapePath(%q) = %q is not UTF-8", raw, escaped)
	}
	for _, r := range escaped {
		if !unicode.IsPrint(r) {
			t.Fatalf("EscapePath(%q) = %q has the unprintable %U", raw, escaped, r)
		}
	}
	if got := UnescapePath(escaped); got != raw {
		t.Fatalf("UnescapePath(EscapePath(%q)) = %q, by way of %q", raw, got, escaped)
	}
	// Any string can be unescaped, and names a path that can be escaped.
	if back := UnescapePath(raw); UnescapePath(EscapePath(back)) != back {
		t.Fatalf("UnescapePath(%q) = %q does not survive a round trip", raw, back)
	}
}

func TestSameModified(t *testing.T) {
	at := func(s string) int64 {
		t.Helper()
		m, err := time.Parse("2006-01-02 15:04:05.999999", s)
		if err != nil {
			t.Fatal(err)
		}
		return Micros(m)
	}
	for _, c := range []struct {
		name string
		a    string
		pa   Precision
		b    string
		pb   Precision
		want bool
	}{
		{"equal", "2026-03-01 10:00:00.000001", Micro, "2026-03-01 10:00:00.000001", Micro, true},
		{"a microsecond apart", "2026-03-01 10:00:00.000001", Micro, "2026-03-01 10:00:00.000002", Micro, false},
		{"one knows seconds only", "2026-03-01 10:00:07", Second, "2026-03-01 10:00:07.999999", Micro, true},
		{"a second apart", "2026-03-01 10:00:07", Second, "2026-03-01 10:00:08.000000", Micro, false},
		{"an archive's even seconds", "2026-03-01 10:00:06", TwoSeconds, "2026-03-01 10:00:07.5", Micro, true},
		{"an FTP server's minutes", "2026-03-01 10:00:00", Minute, "2026-03-01 10:00:59.9", Micro, true},
		{"the next minute", "2026-03-01 10:00:00", Minute, "2026-03-01 10:01:00", Second, false},
		{"an FTP server's days", "2026-03-01 00:00:00", Day, "2026-03-01 23:59:59", Minute, true},
		{"the next day", "2026-03-01 00:00:00", Day, "2026-03-02 00:00:00", Minute, false},
		{"before 1970", "1969-12-31 23:59:59.1", Micro, "1969-12-31 23:59:59", Second, true},
		{"either side of 1970", "1969-12-31 23:59:59.9", Second, "1970-01-01 00:00:00.1", Second, false},
		{"not known", "2026-03-01 10:00:00", Unknown, "2026-03-01 10:00:00", Micro, false},
		{"neither known", "2026-03-01 10:00:00", Unknown, "2026-03-01 10:00:00", Unknown, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := at(c.a), at(c.b)
			if got := SameModified(a, c.pa, b, c.pb); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if got := SameModified(b, c.pb, a, c.pa); got != c.want {
				t.Errorf("the other way round: got %v, want %v", got, c.want)
			}
		})
	}
}

// However a server cuts off a time, it is still the same file's.
func TestSameModifiedIsBlindToWhatIsCutOff(t *testing.T) {
	steps := rapid.SampledFrom([]Precision{Micro, Second, TwoSeconds, Minute, Day})
	cut := func(us int64, p Precision) int64 { return us - ((us%int64(p))+int64(p))%int64(p) }
	rapid.Check(t, func(t *rapid.T) {
		us := rapid.Int64Range(-4e15, 8e15).Draw(t, "modified") // 1843 to 2223
		pa, pb := steps.Draw(t, "one"), steps.Draw(t, "other")
		if !SameModified(cut(us, pa), pa, cut(us, pb), pb) {
			t.Fatalf("%d at %d and at %d count as different", us, pa, pb)
		}
		coarser := max(pa, pb)
		if SameModified(cut(us, pa), pa, cut(us+int64(coarser), pb), pb) {
			t.Fatalf("%d and a step of %d later count as the same", us, coarser)
		}
	})
}

type closer struct {
	io.Reader
	err    error
	closed int
}

func (c *closer) Close() error { c.closed++; return c.err }

func TestContentClose(t *testing.T) {
	whole := Content{Data: []byte("x")}
	if err := whole.Close(); err != nil {
		t.Errorf("closing what is no stream: %v", err)
	}
	stream := &closer{Reader: strings.NewReader(""), err: ErrChanged}
	c := Content{Stream: stream}
	if err := c.Close(); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v, want what the stream says", err)
	}
	if err := c.Close(); err != nil || stream.closed != 1 || c.Stream != nil {
		t.Errorf("a second close: %v, closed %d times, stream %v", err, stream.closed, c.Stream)
	}
}

func TestMicros(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 30, 0, 123456000, time.FixedZone("", 3600))
	back := FromMicros(Micros(at))
	if !back.Equal(at) || back.Location() != time.UTC {
		t.Errorf("%v came back as %v", at, back)
	}
}

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
)

func TestTexts(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{count(0), "0"}, {count(999), "999"}, {count(1000), "1,000"}, {count(-1234567), "-1,234,567"}, {count(-100), "-100"},
		{counted(1, "file"), "1 file"}, {counted(2, "file"), "2 files"}, {counted(0, "file"), "0 files"},
		{byteSize(1), "1 byte"}, {byteSize(999), "999 bytes"}, {byteSize(1000), "1 kB"}, {byteSize(1_234_567), "1.23 MB"}, {byteSize(999_999), "1 MB"},
		{rate(10, 0), "-"}, {rate(1, 2), "0.5/s"}, {rate(123_456, 1), "123,000/s"}, {rate(1234, 1), "1,230/s"},
		{span(0), "0s"}, {span(1500 * time.Microsecond), "2ms"}, {span(1500 * time.Millisecond), "1.5s"}, {span(90 * time.Second), "1m30s"},
		{span(25 * time.Hour), "25h0m"}, {span(50 * time.Hour), "2d2h"}, {span(-90 * time.Second), "-1m30s"},
		{number(0.1), "0.1"}, {number(1e21), "1000000000000000000000"},
		{printable("plain ü\\"), "plain ü\\"}, {printable("a\x1b[31mb\xff\u009b\n"), `a\x1B[31mb\xFF\xC2\x9B\x0A`},
		{printableLines("a\x1b\n\tb"), "a\\x1B\n    b"},
		{commandLine([]string{"files", "undo", "a b", "postgres://u:secret@h/d", ""}), `penstock files undo "a b" ... ""`},
		{shown([]string{"psql", "-c", "select 'x'"}), `psql -c 'select '\''x'\'''`},
		{searchPath(`a "b`), `"a\ ""b",public`},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestParseMoment(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"2024-06-01":                    "2024-05-31T23:00:00Z",
		"2024-06-01 01:15":              "2024-06-01T00:15:00Z",
		"2024-06-01T01:15":              "2024-06-01T00:15:00Z",
		"2024-06-01 01:15:00.25":        "2024-06-01T00:15:00.25Z",
		"2024-06-01T01:15:00Z":          "2024-06-01T01:15:00Z",
		"2024-06-01T01:15:00.5+02:00":   "2024-05-31T23:15:00.5Z",
		"2024-06-01 01:15:00+02:00":     "2024-05-31T23:15:00Z",
		"2024-06-01 01:15+02:00":        "2024-05-31T23:15:00Z",
		"2024-06-01T01:15+02:00":        "2024-05-31T23:15:00Z",
		"2024-13-01":                    "",
		"yesterday":                     "",
		"":                              "",
		"2024-06-01T01:15:00Z and more": "",
	} {
		got, err := parseMoment(text, london)
		if (err == nil) != (want != "") || err == nil && exactly(got) != want {
			t.Errorf("%q: %v, %v; want %q", text, got, err, want)
		}
	}
}

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "0s": 0,
		"": -1, "7": -1, "-1h": -1, "-1d": -1, "d": -1, "1d1d": -1, "1e9d": -1, "100000d2500000h": -1,
	} {
		if got, err := parseSpan(text); (err == nil) != (want >= 0) || err == nil && got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestWithoutPassword(t *testing.T) {
	for address, want := range map[string][2]string{
		"postgres://u@h/d":                       {"postgres://u@h/d", ""},
		"postgres://u:s%20t@h/d?sslmode=disable": {"postgres://u@h/d?sslmode=disable", "s t"},
		"postgres://h/d?password=st&user=u":      {"postgres://h/d?user=u", "st"},
		"host=h user=u dbname=d":                 {"host=h user=u dbname=d", ""},
		`host=h password=s\ t dbname=d`:          {"host=h  dbname=d", "s t"},
		`host=h password = 'it\'s' dbname=d`:     {"host=h  dbname=d", "it's"},
	} {
		rest, password := withoutPassword(address)
		if rest != want[0] || password != want[1] {
			t.Errorf("%q: %q, %q", address, rest, password)
		}
	}
}

// A terminal must not obey what a file's name or a cell says.
func TestDisarmed(t *testing.T) {
	var b strings.Builder
	w := &disarmed{w: &b}
	for _, part := range []string{"a\x1b[31m", "\xc2", "\x9b1m\xc2\xa9 é\t", "\xc2", "\xc2\x85x\x7f\n"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if want := `a\x1B[31m\xC2\x9B1m` + "© é\t\xc2" + `\xC2\x85x\x7F` + "\n"; b.String() != want {
		t.Errorf("got %q\nwant %q", b.String(), want)
	}
}

func TestTableFitsTheTerminal(t *testing.T) {
	var out strings.Builder
	a := newApp(nil, nil, nil, &out, &out)
	a.width = 40
	type row struct{ name, path, why string }
	tab := &table[row]{a: a, columns: []column[row]{
		{head: "NAME", text: func(r row) string { return r.name }},
		{head: "WHY", text: func(r row) string { return r.why }, cut: right},
		{head: "FILE", text: func(r row) string { return r.path }, cut: left},
	}}
	rows := []row{{"a", "/data/a/very/long/way/down/file-1.csv", "because"}, {"日本", "/x", "for a reason that takes many words"}}
	for range sizedBy { // the widths are chosen before the last rows come
		rows = append(rows, row{"b", "/y", ""})
	}
	rows = append(rows, row{"c", strings.Repeat("/long", 20) + "/end.csv", "late"})
	for _, r := range rows {
		if err := tab.add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := tab.end(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for _, line := range lines {
		if ansi.StringWidth(line) > a.width {
			t.Errorf("%d cells wide: %q", ansi.StringWidth(line), line)
		}
	}
	for i, want := range []string{
		"NAME  WHY               FILE",
		"a     because           …down/file-1.csv",
		"日本  for a reason th…  /x",
	} {
		if i < len(lines) && lines[i] != want {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
	if last := lines[len(lines)-2]; !strings.HasSuffix(last, "/end.csv") {
		t.Errorf("the last line is %q", last)
	}
}

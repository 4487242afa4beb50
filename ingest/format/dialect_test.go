package format

import (
	"strings"
	"testing"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

// TestDialects reads the same table written in many ways.
func TestDialects(t *testing.T) {
	const list = "dialect: {delimiter: [',', ';', tab, '|']}\nsignature: {header: [time, a], others: true}\n"
	want := []string{"L/a  01-01T00:00 1 ", "L/b  01-01T00:00 2 ", "L/a  01-01T00:15 3 ", "L/b  01-01T00:15 4 "}
	for _, c := range []struct{ name, profile, text string }{
		{"the first of a list", wideOf(list), "time,a,b\n2024-01-01 00:00,1,2\n2024-01-01 00:15,3,4\n"},
		{"the second", wideOf(list), "time;a;b\n2024-01-01 00:00;1;2\n2024-01-01 00:15;3;4\n"},
		{"tab, below a preamble", wideOf(list + "framing: {preamble: find}"), "a;b\nx,y\ntime\ta\tb\n2024-01-01 00:00\t1\t2\n2024-01-01 00:15\t3\t4\n"},
		{"sep= in the list", wideOf(list), "sep=;\r\ntime;a;b\n2024-01-01 00:00;1;2\n2024-01-01 00:15;3;4\n"},
		{"sep= beside a single delimiter", wideOf(""), "SEP=,\ntime,a,b\n2024-01-01 00:00,1,2\n2024-01-01 00:15,3,4\n"},
		{"sep= in quotes, then lines that are counted", wideOf("framing: {preamble: 1}"), "\"sep=,\"\nnote\ntime,a,b\n2024-01-01 00:00,1,2\n2024-01-01 00:15,3,4\n"},
		{"an empty first line", wideOf(""), "\n  \ntime,a,b\n2024-01-01 00:00,1,2\n2024-01-01 00:15,3,4\n"},
		{"an empty first line before first_line", wideOf("signature: {first_line: ^time}"), "\r\ntime,a,b\r\n2024-01-01 00:00,1,2\r\n2024-01-01 00:15,3,4\r\n"},
		{"blanks, with quotes", wideOf("dialect: {delimiter: space}"), "  time a  b\n\"2024-01-01 00:00\" 1\t2  \n   \"2024-01-01 00:15\"   3 4\n"},
		{"fixed widths", wideOf("dialect: {fixed: [17, 3]}"), "time             a  b\n2024-01-01 00:00 1    2\n2024-01-01 00:15 3  4  \n"},
		{"fixed widths of characters", wideOf("dialect: {fixed: [20, 3]}\nchannels: [{column: 2, channel: a}]\nothers: channel"), "time                µm b\n2024-01-01 00:00    1  2\n2024-01-01 00:15\u00a0\u00a0\u00a0 3  4\n"},
		{"trailing delimiters", wideOf(""), "time,a,b,\n2024-01-01 00:00,1,2,\n2024-01-01 00:15,3,4,,,\n"},
		{"trailing delimiters below the header only", wideOf("signature: {header: [time, a, b]}"), "time,a,b\n2024-01-01 00:00,1,2,\n2024-01-01 00:15,3,4, ,\n"},
		{"a trailing delimiter of the header only", wideOf("signature: {header: [time, a, b]}"), "time,a,b,\n2024-01-01 00:00,1,2\n2024-01-01 00:15,3,4\n"},
		{"blanks around quotes", wideOf(""), "time , \"a\",\"b\" \n \"2024-01-01 00:00\" ,\"1\", \"2\"\n2024-01-01 00:15, \"3\" ,4\n"},
		{"each line quoted", wideOf("signature: {header: [time, a, b]}"), "\"time,a,b\"\n\"2024-01-01 00:00,1,2\"\n\"2024-01-01 00:15,\"\"3\"\",4\"\n"},
		{"each line quoted, but some", wideOf(list), "\"time;a;b\"\n\"2024-01-01 00:00;1;2\"\n2024-01-01 00:15;3;4\n"},
		{"several comment prefixes", wideOf("dialect: {comment: ['#', '//']}"), "time,a,b\n# x\n2024-01-01 00:00,1,2\n// y\n2024-01-01 00:15,3,4\n"},
		{"rows of nothing", wideOf(""), "time,a,b\n2024-01-01 00:00,1,2\n,,\n2024-01-01 00:15,3,4\n,,,,\n\x1a"},
		{"rows too long, ignored", wideOf("framing: {long_rows: ignore}"), "time,a,b\n2024-01-01 00:00,1,2,9,x\n2024-01-01 00:15,3,4\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := decodeEveryWay(t, c.profile, "a.csv", []byte(c.text))
			var got []string
			for _, r := range o.Readings {
				got = append(got, r[strings.Index(r, " ")+1:])
			}
			if diff := cmp.Diff(want, got); diff != "" || len(o.Rejects) != 0 || o.Lines.Header != 1 || o.Lines.Data != 2 {
				t.Errorf("%s %s, lines %+v, rejects %v\n%s", o.State, o.Reason, o.Lines, o.Rejects, diff)
			}
		})
	}
}

// TestRowsOfOtherWidth holds what becomes of rows narrower and wider than the
// header, and of quotes that mean nothing.
func TestRowsOfOtherWidth(t *testing.T) {
	for _, c := range []struct {
		name, profile, row string
		readings           int
		reject             string
	}{
		{"short", "", "2024-01-01 00:00,1", 0, "2:0 wrong number of fields: 2 (expected 3, as in the header)"},
		{"short, missing", "framing: {short_rows: missing}", "2024-01-01 00:00,1", 1, ""},
		{"only a time, missing", "framing: {short_rows: missing}", "2024-01-01 00:00", 0, ""},
		{"long", "", "2024-01-01 00:00,1,2,3", 0, "2:0 wrong number of fields: 4 (expected 3, as in the header)"},
		{"long, blank", "", "2024-01-01 00:00,1,2, ,\"\",", 2, ""},
		{"long below a header's trailing delimiter", "#", "2024-01-01 00:00,1,2,3", 0, "2:0 wrong number of fields: 4 (expected 3, as in the header)"},
		{"a quote inside", "", "2024-01-01 00:00,1\",2", 1, `2:2 not a number: "1\"" (expected digits with a decimal point)`},
		{"text behind a quote", "", "2024-01-01 00:00,\"1\"x,2", 0, "2:0 text after the closing quote of field 2 (expected a delimiter or the end of the line)"},
		{"short of fixed widths", "dialect: {fixed: [16, 2]}", "2024-01-01 00:00 1", 0, "2:0 wrong number of fields: 2 (expected 3, as in the header)"},
		{"short of fixed widths, missing", "dialect: {fixed: [16, 2]}\nframing: {short_rows: missing}", "2024-01-01 00:00 1", 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			head := "time,a,b\n"
			switch {
			case strings.Contains(c.profile, "fixed"):
				head = "time             a b\n"
			case c.profile == "#":
				head, c.profile = "time,a,b,\n", ""
			}
			o := decodeEveryWay(t, wideOf(c.profile), "a.csv", []byte(head+c.row+"\n"))
			if got := strings.Join(o.Rejects, "\n"); got != c.reject || len(o.Readings) != c.readings {
				t.Errorf("%s %s: %v, rejects %s\nwant %d and %s", o.State, o.Reason, o.Readings, got, c.readings, c.reject)
			}
		})
	}
}

// TestSignatures holds which files a signature is for.
func TestSignatures(t *testing.T) {
	const row = "2024-01-01 00:00,1\n"
	for _, c := range []struct {
		name, signature, more, path, text string
		matches                           bool
	}{
		{"a pattern in the header", "{header: [time, {match: '^Temp \\(S/N \\d+\\)$'}]}", "", "a.csv", "time,Temp (S/N 77)\n" + row, true},
		{"a pattern that does not match", "{header: [time, {match: '^Temp$'}]}", "", "a.csv", "time,Temp (S/N 77)\n" + row, false},
		{"a line before the header", "{line: ^Station}", "framing: {preamble: 2}", "a.csv", "x\nStation 1\ntime,a\n" + row, true},
		{"a line that is not there", "{line: ^Station}", "framing: {preamble: 2}", "a.csv", "x\ny\ntime,a\nStation,1\n", false},
		{"a line of a file without a header", "{line: ^end}", "framing: {columns: [time, a], footer: ^end}", "a.csv", row + "end\n", true},
		{"a line too far down", "{line: ^end}", "framing: {columns: [time, a], footer: ^end}", "a.csv", strings.Repeat(row, 100) + "end\n", false},
		{"the file's name, too", "{header: [time], others: true, file_name: '^L\\d+_'}", "", "in/L7_1.csv", "time,a\n" + row, true},
		{"another file's name", "{header: [time], others: true, file_name: '^L\\d+_'}", "", "L7_/x.csv", "time,a\n" + row, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Parse("p.yaml", []byte(wideOf("signature: "+c.signature+"\n"+c.more)))
			if err != nil {
				t.Fatal(err)
			}
			set, err := NewSet(false, p)
			if err != nil {
				t.Fatal(err)
			}
			d, err := NewDecoder(set, Settings{Zone: "UTC", NoGuess: true})
			if err != nil {
				t.Fatal(err)
			}
			_, s := decodeOne(t, d, c.path, c.text)
			if matches := s.Recipe != nil; matches != c.matches || matches && s.State != ingest.Loaded {
				t.Errorf("%s %s, want a match: %v", s.State, s.Reason, c.matches)
			}
		})
	}
}

// TestEndMarksInEveryDialect holds that comments, messages and footers are what
// their patterns say however the table is written, and that totals below a
// footer are no data.
func TestEndMarksInEveryDialect(t *testing.T) {
	const more = "framing: {footer: ^TOTAL, message: '^\\*\\*'}\n"
	for _, c := range []struct{ name, dialect, text string }{
		{"comma", "{comment: '#'}", "time,a\n#,1\n2024-01-01 00:00,1\n** restart, 2\nTOTAL,1\n2024-01-01 00:15,2\n"},
		{"blanks", "{delimiter: space, comment: '#'}", "time a\n# 1\n\"2024-01-01 00:00\" 1\n** restart 2\nTOTAL 1\n\"2024-01-01 00:15\" 2\n"},
		{"fixed", "{fixed: [16], comment: '#'}", "time            a\n# 1\n2024-01-01 00:00 1\n** restart\nTOTAL           1\n2024-01-01 00:15 2\n"},
		{"quoted lines", "{comment: '#'}", "\"time,a\"\n#,1\n\"2024-01-01 00:00,1\"\n** restart, 2\nTOTAL,1\n\"2024-01-01 00:15,2\"\n"},
		{"UTF-16", "{comment: '#'}", string(encoded(t, "utf-16be", "time,a\n#,1\n2024-01-01 00:00,1\n** restart, 2\nTOTAL,1\n2024-01-01 00:15,2\n"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := decodeEveryWay(t, wideOf(more+"dialect: "+c.dialect), "a.csv", []byte(c.text))
			want := ingest.Lines{Total: 6, Header: 1, Comment: 1, Message: 1, Footer: 2, Data: 1}
			if diff := cmp.Diff(outcome{State: ingest.Loaded, Readings: []string{"3 L/a  01-01T00:00 1 "}, Lines: want}, o); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDialectFaults holds what is said of a dialect that cannot be.
func TestDialectFaults(t *testing.T) {
	for _, c := range []struct{ more, fault string }{
		{"dialect: {delimiter: [',', ';']}", "which of several delimiters a file has is told by the signature's header, and signature.header is missing"},
		{"dialect: {delimiter: [',', ',']}", "this delimiter stands twice"},
		{"dialect: {fixed: [3], delimiter: ','}", "columns have either a delimiter or fixed widths: give one of the two"},
		{"dialect: {fixed: [0]}", `the width of a column is a number of characters up to 1000, not "0"`},
		{"dialect: {encoding: klingon}", `unknown encoding "klingon"`},
		{"dialect: {encoding: hz-gb-2312}", `the encoding "hz-gb-2312" is not read`},
		{"dialect: {comment: ['#', ' ']}", "a comment prefix begins with a character that is seen"},
		{"dialect: {nul: keep}", `expected drop or refuse, not "keep"`},
		{"framing: {short_rows: fill}", `expected missing or reject, not "fill"`},
		{"framing: {long_rows: cut}", `expected ignore or reject, not "cut"`},
		{"signature: {file_name: x}", "a signature needs first_line, line or header"},
	} {
		_, err := Parse("p.yaml", []byte(wideOf(c.more)))
		if err == nil || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v, want %s", c.more, err, c.fault)
		}
	}
}

package format

import (
	"strings"
	"testing"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

// TestHeaderAgain holds what becomes of a header among the rows: the same one,
// one with other names, the block before it, and what only looks like one.
func TestHeaderAgain(t *testing.T) {
	const named = "signature: {header: [time], others: true}\n"
	const block = "signature: {first_line: '^Logger ', header: [time], others: true}\nframing: {preamble: 2, rows: [names, units]}\n"
	preamble := strings.Replace(wideOf(block), "{constant: L}", "{preamble: '^Logger (?P<logger>\\S+)'}", 1)
	const rows, again = "2024-01-01 00:00,1\n", "2024-01-01 00:15,2\n"
	first, second := "2 L/a  01-01T00:00 1 ", "01-01T00:15 2 "
	for _, c := range []struct {
		name, profile, text string
		readings, rejects   []string
		lines               ingest.Lines
	}{
		{"the same", wideOf(""), "time,a\n" + rows + "time,a\r\n" + again,
			[]string{first, "4 L/a  " + second}, nil, ingest.Lines{Total: 4, Header: 2, Data: 2}},
		{"the same as the last line", wideOf(""), "time,a\n" + rows + "time,a",
			[]string{first}, nil, ingest.Lines{Total: 3, Header: 2, Data: 1}},
		{"other names", wideOf(named), "time,a\n" + rows + "time,b,c\n2024-01-01 00:15,2,3\n",
			[]string{first, "4 L/b  " + second, "4 L/c  01-01T00:15 3 "}, nil, ingest.Lines{Total: 4, Header: 2, Data: 2}},
		{"swapped columns", wideOf("signature: {header: [time], others: true}"), "time,a,b\n2024-01-01 00:00,1,9\ntime,b,a\n2024-01-01 00:15,8,2\n",
			[]string{first, "2 L/b  01-01T00:00 9 ", "4 L/b  01-01T00:15 8 ", "4 L/a  " + second}, nil, ingest.Lines{Total: 4, Header: 2, Data: 2}},
		{"all rows of it", wideOf("framing: {rows: [skip, names, units]}"), "x\ntime,a\n,m\n" + rows + "x\ntime,a\n,m\n" + again,
			[]string{"4 L/a m 01-01T00:00 1 ", "8 L/a m " + second}, nil, ingest.Lines{Total: 8, Header: 6, Data: 2}},
		{"its names alone", wideOf("framing: {rows: [names, units]}"), "time,a\n,m\n" + rows + "time,a\n" + again,
			[]string{"3 L/a m 01-01T00:00 1 ", "5 L/a m " + second}, nil, ingest.Lines{Total: 5, Header: 3, Data: 2}},
		{"another unit", wideOf(named + "framing: {rows: [names, units]}"), "time,a\n,m\n" + rows + "time,a\n,cm\n" + again,
			[]string{"3 L/a m 01-01T00:00 1 ", "6 L/a cm " + second}, nil, ingest.Lines{Total: 6, Header: 4, Data: 2}},
		{"with its block", preamble, "Logger L\n--\ntime,a\n,m\n" + rows + "Logger L\n--\ntime,a\n,m\n" + again,
			[]string{"5 L/a m 01-01T00:00 1 ", "10 L/a m " + second}, nil, ingest.Lines{Total: 10, Preamble: 4, Header: 4, Data: 2}},
		{"with a block of another logger", preamble, "Logger L\n--\ntime,a\n,m\n" + rows + "Logger M\n--\ntime,a\n,m\n" + again,
			[]string{"5 L/a m 01-01T00:00 1 ", "10 M/a m " + second}, nil, ingest.Lines{Total: 10, Preamble: 4, Header: 4, Data: 2}},
		{"without its block", preamble, "Logger L\n--\ntime,a\n,m\n" + rows + "time,b\n,m\n" + again,
			[]string{"5 L/a m 01-01T00:00 1 ", "8 L/b m " + second}, nil, ingest.Lines{Total: 8, Preamble: 2, Header: 4, Data: 2}},
		{"a block that is looked for", wideOf(named + "framing: {preamble: find}"), "note\nmore\ntime,a\n" + rows + "note\nless\ntime,a\n" + again,
			[]string{"4 L/a  01-01T00:00 1 ", "8 L/a  " + second}, nil, ingest.Lines{Total: 8, Preamble: 4, Header: 2, Data: 2}},
		{"no block with data in it", wideOf(named + "framing: {preamble: find}"), "note\ntime,a\n" + rows + "note\n" + again + "time,a\n",
			[]string{"3 L/a  01-01T00:00 1 ", "5 L/a  " + second}, []string{"4:0 wrong number of fields: 1 (expected 2, as in the header)"}, ingest.Lines{Total: 6, Preamble: 1, Header: 2, Data: 2, Rejected: 1}},
		{"a bad line above names alone", wideOf("framing: {rows: [skip, names]}"), "x\ntime,a\n" + rows + "bad\ntime,a\n" + again,
			[]string{"3 L/a  01-01T00:00 1 ", "6 L/a  " + second},
			[]string{"4:0 wrong number of fields: 1 (expected 2, as in the header)"}, ingest.Lines{Total: 6, Header: 3, Data: 2, Rejected: 1}},
		{"a weak first line makes no header", "name: w\nshape: wide\nsignature: {first_line: .}\nlogger: {constant: L}\ntimestamp: {column: 1, layout: '2006-01-02 15:04'}\n", "time,a\n" + rows + "garbage,7\n" + again,
			[]string{first, "4 L/a  " + second}, []string{`3:1 not a timestamp: "garbage" (expected "2006-01-02 15:04")`}, ingest.Lines{Total: 4, Header: 1, Data: 2, Rejected: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := decodeEveryWay(t, c.profile, "a.csv", []byte(c.text))
			if diff := cmp.Diff(outcome{State: ingest.Loaded, Readings: c.readings, Lines: c.lines, Rejects: c.rejects}, o); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAnotherHeader holds that rows are never read by a header that is not
// theirs.
func TestAnotherHeader(t *testing.T) {
	for _, c := range []struct{ name, profile, text, reason string }{
		{"not the signature's", wideOf("signature: {header: [time, a, b]}"), "time,a,b\n2024-01-01 00:00,1,2\ntime,b,a\n2024-01-01 00:15,2,1\n",
			`line 3 is another header, "time,b,a", which profile wide does not describe, so what the rows below it mean is not known; describe both in the profile, or split the file there`},
		{"no signature to tell", wideOf(""), "time,a\n2024-01-01 00:00,1\ntime,c,a\n2024-01-01 00:15,2,1\n",
			`line 3 is another header, "time,c,a", which profile wide does not describe, so what the rows below it mean is not known; describe both in the profile, or split the file there`},
		{"one that cannot be bound", wideOf("signature: {header: [time], others: true}"), "time,a\n2024-01-01 00:00,1\ntime,b,b\n2024-01-01 00:15,2,1\n",
			`columns 2 and 3 of line 3 are both channel "b"; tell them apart in the profile's channels, by number, or say repeated: number`},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := decodeEveryWay(t, c.profile, "a.csv", []byte(c.text))
			if o.State != ingest.Quarantined || o.Reason != c.reason {
				t.Errorf("%s %s\nwant %s", o.State, o.Reason, c.reason)
			}
		})
	}
}

// TestHeaderTellsZoneAgain holds that a header among the rows tells the zone of
// the rows below it.
func TestHeaderTellsZoneAgain(t *testing.T) {
	const profile = "name: z\nshape: wide\nsignature: {header: [{match: '^Time GMT'}], others: true}\nlogger: {constant: L}\ntimestamp: {column: {match: '^Time GMT(?P<zone>.+)$'}, layout: '2006-01-02 15:04'}\n"
	o := decodeEveryWay(t, profile, "a.csv", []byte("Time GMT+01:00,a\n2024-01-01 01:00,1\nTime GMT+02:00,a\n2024-01-01 02:15,2\n"))
	if diff := cmp.Diff([]string{"2 L/a  01-01T00:00 1 ", "4 L/a  01-01T00:15 2 "}, o.Readings); diff != "" {
		t.Errorf("%s %s\n%s%v", o.State, o.Reason, diff, o.Rejects)
	}
}

// TestTornLine holds what is said of a last line without line ending.
func TestTornLine(t *testing.T) {
	const cutShort = "; the file ends here without a line ending, so it may have been cut short"
	for _, c := range []struct {
		name, more, last string
		readings         int
		reject           string
	}{
		{"whole", "", "2024-01-01 00:15,3,4", 4, ""},
		{"too few cells", "", "2024-01-01 00:15,3", 2, "3:0 wrong number of fields: 2 (expected 3, as in the header)" + cutShort},
		{"too few, and never filled up", "framing: {short_rows: missing}", "2024-01-01 00:15,3", 2, "3:0 wrong number of fields: 2 (expected 3, as in the header)" + cutShort},
		{"an unreadable last cell", "", "2024-01-01 00:15,3,-", 3, `3:3 not a number: "-" (expected digits with a decimal point)` + cutShort},
		{"an unreadable cell that is not the last", "", "2024-01-01 00:15,-,4", 3, `3:2 not a number: "-" (expected digits with a decimal point)`},
		{"an open quote", "", `2024-01-01 00:15,3,"4`, 2, "3:0 unterminated quote: field 3 opens with one that nothing closes" + cutShort},
		{"too few, with a line ending", "framing: {short_rows: missing}", "2024-01-01 00:15,3\n", 3, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := decodeEveryWay(t, wideOf(c.more), "a.csv", []byte("time,a,b\n2024-01-01 00:00,1,2\n"+c.last))
			if got := strings.Join(o.Rejects, "\n"); got != c.reject || len(o.Readings) != c.readings {
				t.Errorf("%d readings, want %d; %s\nwant %s", len(o.Readings), c.readings, got, c.reject)
			}
		})
	}
}

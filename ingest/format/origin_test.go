package format

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNamesOfSeveralParts holds how a name is put together of what file, preamble,
// header and rows tell.
func TestNamesOfSeveralParts(t *testing.T) {
	const rows = "t,id,part,Flow (S/N 77)\n2024-01-01 00:00:00,1,a,5\n2024-01-01 00:15:00,2,,6\n"
	for _, c := range []struct{ logger, preamble, want, fault string }{
		{logger: `{parts: [{preamble: 'site=(?P<logger>\w+)'}, {preamble: 'sn=(?P<logger>\w+)'}], join: /}`, preamble: "sn=9,site=mill", want: "mill/9 mill/9"},
		{logger: `{parts: [{preamble: 'site=(?P<logger>\w+)'}, {preamble: 'sn=(?P<logger>\w+)'}]}`, preamble: "site=mill", fault: `the lines before the header tell no logger: the profile p expects one to match "sn=(?P<logger>\\w+)"`},
		{logger: `{parts: [{preamble: 'site=(?P<logger>\w+)'}, {file_name: '^(?P<logger>\w+)'}, {column: id}], join: /}`, preamble: "site=mill", want: "mill/a/1 mill/a/2"},
		{logger: `{parts: [{constant: x}, {columns: [id, {match: ^none$}], join: "+", optional: true}], join: /}`, preamble: "-", want: "x/1 x/2"},
		{logger: `{columns: [id, {match: ^none$}], optional: true}`, preamble: "-", want: "1 2"},
		{logger: `{header: 'S/N (?P<logger>\d+)'}`, preamble: "-", want: "77 77"},
		{logger: `{header: 'SN (?P<logger>\d+)'}`, preamble: "-", fault: `the header tells no logger: the profile p expects the name of a column to match "SN (?P<logger>\\d+)"`},
		{logger: `{any: [{preamble: 'site=(?P<logger>\w+)'}, {file_name: '^(?P<logger>\w+)'}]}`, preamble: "site=mill", want: "mill mill"},
		{logger: `{any: [{preamble: 'site=(?P<logger>\w*)'}, {file_name: '^(?P<logger>\w+)'}]}`, preamble: "site=", want: "a a"},
	} {
		d := decoderFor(t, fmt.Sprintf("name: p\nshape: wide\nframing: {preamble: 1}\nlogger: %s\nignore: {columns: [id, part]}\ntimestamp: {column: t, layout: \"2006-01-02 15:04:05\", zone: UTC}\n", c.logger), Settings{})
		b, s := decodeOne(t, d, "a.csv", c.preamble+"\n"+rows)
		if s.Reason != c.fault {
			t.Errorf("%s: %s, want %q", c.logger, s.Reason, c.fault)
		}
		var got []string
		for _, f := range facts(b) {
			got = append(got, f.Key.Logger)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s names %q, want %q", c.logger, got, c.want)
		}
	}
}

// TestOriginFaults holds what is said of origins that cannot be.
func TestOriginFaults(t *testing.T) {
	for logger, want := range map[string]string{
		`{parts: [{constant: a}]}`:                            "parts and any are lists of places that a logger comes from, of two at least",
		`{parts: [{column: a}, {constant: b}]}`:               "of the parts of a name only the last comes from columns",
		`{any: [{column: a}, {constant: b}]}`:                 "a column is not one of several places to look for a name: it is there or not for all files of the profile",
		`{any: [{constant: a}, {constant: b}], constant: c}`:  "logger comes from one of constant, column, columns, file_name, path, preamble, header, parts and any",
		`{column: a, optional: true}`:                         "only a unit is optional, and of several columns all but the first",
		`{any: [{constant: a}, {file_name: (?P<channel>.)}]}`: `the group "channel" means nothing here`,
		`{header: a}`:            `the pattern has no group "logger"; write (?P<logger>...) around the part that is the logger`,
		`{constant: a, join: /}`: "join stands between the cells of several columns, or between parts, and there are none",
	} {
		_, err := Parse("p.yaml", []byte("name: p\nshape: wide\nlogger: "+logger+"\ntimestamp: {column: t, layout: rfc3339}\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", logger, err, want)
		}
	}
}

// TestUnitsAndQualitiesByName holds that lines of the preamble give columns their
// units, and that the quality of a channel is found by its suffix.
func TestUnitsAndQualitiesByName(t *testing.T) {
	d := decoderFor(t, `
name: p
shape: wide
framing: {preamble: {through: ^data$}}
logger: {constant: x}
units: {preamble: '^unit,(?P<channel>\w+),(?P<unit>.*)$'}
channels:
  - {column: {match: ^flow}, quality: {suffix: _q}}
  - {column: {match: .}}
timestamp: {column: t, layout: "2006-01-02 15:04:05", zone: UTC}
`, Settings{})
	read := func(text string) (got []string) {
		b, s := decodeOne(t, d, "a.csv", text)
		if s.Reason != "" {
			t.Fatal(s.Reason)
		}
		for _, f := range facts(b) {
			got = append(got, f.Key.Channel+" "+f.Key.Unit+" "+f.Quality)
		}
		return got
	}
	first := read("unit,flow,l/s\nunit,nothing,m\nunit,level_q,1\ndata\nt,flow,flow_q,level,level_q\n2024-01-01 00:00:00,1,good,2,3\n")
	if diff := cmp.Diff([]string{"flow l/s good", "level  ", "level_q 1 "}, first); diff != "" {
		t.Error(diff)
	}
	// Another unit in the preamble above the same header is another plan.
	if again := read("unit,flow,m3/s\ndata\nt,flow,flow_q,level,level_q\n2024-01-01 00:00:00,1,good,2,3\n"); !slices.Contains(again, "flow m3/s good") {
		t.Errorf("%q", again)
	}
}

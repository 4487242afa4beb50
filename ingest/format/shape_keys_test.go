package format

import (
	"strings"
	"testing"
)

// TestFaultsOfCells holds that keys that contradict one another are told of, and
// where.
func TestFaultsOfCells(t *testing.T) {
	const wide = "name: x\nshape: wide\nlogger: {constant: L}\ntimestamp: {column: t, layout: rfc3339}\n"
	const long = "name: x\nshape: long\nlogger: {constant: L}\nchannel: {constant: c}\nvalue: v\ntimestamp: {column: t, layout: rfc3339}\n"
	const matrix = "name: x\nshape: matrix\nlogger: {constant: L}\nchannel: {constant: c}\ntimestamp: {column: t, layout: 2006-01-02}\n"
	for _, c := range []struct{ profile, fault string }{
		{long + "channels: [{column: a}]", "p.yaml:7:11: channels belongs to the wide shape"},
		{long + "pairs: unit", "p.yaml:7:8: pairs belongs to the wide or matrix shape"},
		{long + "repeated: number", "p.yaml:7:11: repeated belongs to the wide shape"},
		{wide + "factor: f", "p.yaml:5:9: factor belongs to the long shape"},
		{wide + "channel: {constant: c}", "p.yaml:5:10: channel belongs to the shapes long and matrix, and to columns_are: logger"},
		{wide + "columns_are: logger", "p.yaml:1:1: channel is missing"},
		{wide + "columns_are: logger\nchannel: {column: c}", "p.yaml:6:10: a channel from a column belongs to the long shape"},
		{strings.Replace(wide, "logger: {constant: L}\n", "", 1), "p.yaml:1:1: logger is missing"},
		{strings.Replace(matrix, "2006-01-02", "2006-01-02, header_layout: x", 1), `p.yaml:5:59: header_layout "x" has no hour`},
		{strings.Replace(matrix, "2006-01-02", "2006-01-02, header_layout: '2006 15:04'", 1), `header_layout "2006 15:04" is no layout of a time of day`},
		{strings.Replace(matrix, "2006-01-02", "2006-01-02, header_layout: {match: 'x'}", 1), "has no group \"time\""},
		{strings.Replace(wide, "rfc3339", "rfc3339, header_layout: '15:04'", 1), "p.yaml:4:12: header_layout belongs to the matrix shape"},
		{strings.Replace(matrix, "2006-01-02", "2006-01-02, interval: {separator: ' - ', take: end}", 1), "p.yaml:5:12: a row of a matrix has its date in a cell"},
		{matrix + "others: channel", "p.yaml:6:9: the columns of a matrix are times of day"},
		{matrix + "pairs: quality\nquality: q", "p.yaml:7:10: pairs: quality gives every reading a quality of its own"},
		{wide + "pairs: quality\nchannels: [{column: a, quality: b}]", "p.yaml:5:8: pairs: quality gives every reading the quality beside it"},
		{wide + "pairs: unit\nnumbers: {unit: true}", "p.yaml:5:8: pairs: unit gives every reading the unit beside it"},
		{wide + "rename: [a]", "p.yaml:5:9: rename must be a mapping"},
		{wide + "rename: {a: ''}", "p.yaml:5:13: a channel's name is empty"},
		{wide + "channels: [{column: a, multiply: x}]", "p.yaml:5:34: expected a number, not \"x\""},
		{wide + "channels: [{column: a, add: .inf}]", "p.yaml:5:29: expected a number, not \".inf\""},
		{wide + "channels: [{column: {match: a}, channel: c}]", "a pattern may match several columns"},
		{wide + "dialect: {decimal: [',', ',']}", "the decimal sign \",\" is given twice"},
		{wide + "dialect: {decimal: ';'}", `expected "." or ",", not ";"`},
		{wide + "dialect: {decimal: ',', thousands: ','}", "the decimal sign and the sign between thousands are the same character"},
		{wide + "dialect: {decimal: ['.', ','], thousands: ','}", "the file decides between a decimal point and a comma"},
		{wide + "dialect: {delimiter: space, thousands: space}", "blanks are the delimiter, so they cannot stand between thousands"},
		{wide + "dialect: {thousands: ',', quote: none}", "the sign between thousands is the delimiter, and there are no quotes"},
		{wide + "dialect: {thousands: x}", "not \"x\""},
		{wide + "numbers: {flag: '['}", "p.yaml:5:17: error parsing regexp"},
		{wide + "numbers: {unit: ['']}", "p.yaml:5:18: a unit is empty"},
		{wide + "framing: {columns: [a], columns_from: {preamble: '(?P<channel>x)'}}", "framing.columns and columns_from are two ways"},
		{wide + "framing: {columns_from: {first: [a]}}", "columns_from needs preamble"},
		{wide + "framing: {records: 'x'}", "the pattern has no group \"records\""},
	} {
		_, err := Parse("p.yaml", []byte(c.profile))
		if err == nil || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s\nfaults %v\nwant %s", c.profile, err, c.fault)
		}
	}
}

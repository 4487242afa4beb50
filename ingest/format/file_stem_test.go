package format

import (
	"fmt"
	"testing"
)

func TestStemOf(t *testing.T) {
	for name, want := range map[string]string{
		"P227_20240301.csv":              "P227",
		"P227_2024-03-01_2024-03-31.csv": "P227",
		"P227 2024-03-01T0415Z.csv":      "P227",
		"P227 2024-03-01 to 2024-04.csv": "P227",
		"20240301_P227.csv":              "P227",
		"2024-03-01_14-05-00_North.dat":  "North",
		"P227 (2).csv":                   "P227",
		"P227_20240301 (12).csv":         "P227",
		"Pump 7 (north).csv":             "Pump 7 (north)",
		"7392-354869.txt":                "7392-354869",
		"2024-03-01.csv":                 "2024-03-01",
		"20240301_0415.csv":              "20240301_0415",
		"north.road.csv":                 "north.road",
		"P227":                           "P227",
	} {
		if got := stemOf(name); got != want {
			t.Errorf("stemOf(%q) = %q, want %q", name, got, want)
		}
	}
}

// An origin may name its form: what it takes is what the words say.
func TestNamedOrigins(t *testing.T) {
	const rows = "t,Flow\n2024-01-01 00:00:00,5\n"
	for _, c := range []struct{ logger, path, want, fault string }{
		{logger: "{file_name: stem}", path: "in/P227_20240301.csv.gz", want: "P227"},
		{logger: "{path: folder}", path: "in/P227/20240301.csv", want: "P227"},
		{logger: "{parts: [{path: folder}, {file_name: stem}]}", path: "North/P227_2024-03.csv", want: "North-P227"},
		{logger: `{any: [{file_name: '^SN(?P<logger>\d+)'}, {file_name: stem}]}`, path: "in/P227.csv", want: "P227"},
		{logger: "{path: folder}", path: "P227.csv", fault: `the file "P227.csv" lies in no folder that tells its logger, as the profile p expects`},
	} {
		d := decoderFor(t, fmt.Sprintf("name: p\nshape: wide\nlogger: %s\ntimestamp: {column: t, layout: \"2006-01-02 15:04:05\", zone: UTC}\n", c.logger), Settings{})
		b, s := decodeOne(t, d, c.path, rows)
		if s.Reason != c.fault {
			t.Errorf("%s of %s: %s, want %q", c.logger, c.path, s.Reason, c.fault)
		}
		for _, f := range facts(b) {
			if f.Key.Logger != c.want {
				t.Errorf("%s of %s is %q, want %q", c.logger, c.path, f.Key.Logger, c.want)
			}
		}
	}
}

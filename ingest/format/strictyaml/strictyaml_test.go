package strictyaml_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v4"

	"penstock/ingest/format/strictyaml"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is wrong is told all at once, in the order in which it stands.
func TestFaults(t *testing.T) {
	for text, want := range map[string]string{
		"": "f.yaml: it is empty",
		"mode: slow\nmode: fast\ntall: maybe\nsecret: x\nnote: [1]\ngone: 1\nmany: [a, {}]\n": `f.yaml:1:7: expected "a.b", fast or off, not "slow"
f.yaml:2:1: key "mode" stands twice in it, first in line 1
f.yaml:3:7: expected true or false, not "maybe"
f.yaml:4:1: keep it to yourself
f.yaml:5:7: expected text, not a list
f.yaml:6:1: unknown key "gone" in it (there are mode, tall, note, many)
f.yaml:7:11: expected text, not a mapping`,
		"mod: fast": `f.yaml:1:1: unknown key "mod" in it: is mode meant?`,
		"tlal: true\nNOTE: x\nman-y: x\nmanyy: x\nmond: x\nmo: x\nto: x\n": `f.yaml:1:1: unknown key "tlal" in it: is tall meant?
f.yaml:2:1: unknown key "NOTE" in it: is note meant?
f.yaml:3:1: unknown key "man-y" in it: is many meant?
f.yaml:4:1: unknown key "manyy" in it: is many meant?
f.yaml:5:1: unknown key "mond" in it (there are mode, tall, note, many)
f.yaml:6:1: unknown key "mo" in it (there are mode, tall, note, many)
f.yaml:7:1: unknown key "to" in it (there are mode, tall, note, many)`,
		"[a]":                        "f.yaml:1:1: it must be a mapping with keys of mode, tall, note, many, not a list",
		"note:":                      "f.yaml:1:6: expected text, not nothing",
		"a: [1\n":                    "f.yaml:2:1: did not find expected ',' or ']': the bracket before is not closed, or text within brackets has one of , [ ] { } in it and stands without quotes",
		"note: *.csv # all\n":        `f.yaml:1:7: text that begins with * stands in quotes: "*.csv"`,
		"note: *\n":                  `f.yaml:1:7: text that begins with * stands in quotes: "*"`,
		"note: **/*.{a,b}\n":         `f.yaml:1:7: text that begins with * stands in quotes: "**/*.{a,b}"`,
		"many: [é, *.csv , b]\n":     `f.yaml:1:11: text that begins with * stands in quotes: "*.csv"`,
		"many:\n  - *.csv\r\n":       `f.yaml:2:5: text that begins with * stands in quotes: "*.csv"`,
		"many: [\n  *.csv,\n  b]\n":  `f.yaml:2:3: text that begins with * stands in quotes: "*.csv"`,
		"it: {secret: *hunter2}\n":   "f.yaml:1:14: text that begins with * stands in quotes",
		"secret: @hunter2\n":         "f.yaml:1:9: text that begins with @ stands in quotes",
		"note: @home\n":              "f.yaml:1:7: text that begins with @ stands in quotes",
		"pwd: *hunter2\n":            "f.yaml:1:6: text that begins with * stands in quotes",
		"passwords:\n  - %hunter2\n": "f.yaml:2:5: text that begins with % stands in quotes",
		"note: `hunter.2\n":          "f.yaml:1:7: text that begins with ` stands in quotes",
		"it: {note: n, \"secret\" : *hunter.2}\n": "f.yaml:1:26: text that begins with * stands in quotes",
		"'secret' : @hunter.2\n":                  "f.yaml:1:12: text that begins with @ stands in quotes",
		"secret:\n  *hunter.2@\n":                 "f.yaml:2:3: text that begins with * stands in quotes",
		"secret:\n  - a\n  - *hunter.2@\n":        "f.yaml:3:5: text that begins with * stands in quotes",
		"? secret\n: *hunter.2@\n":                "f.yaml:2:3: text that begins with * stands in quotes",
		"? note\n: *.csv\n":                       `f.yaml:2:3: text that begins with * stands in quotes: "*.csv"`,
		"\"note\" : */*\n":                        `f.yaml:1:10: text that begins with * stands in quotes: "*/*"`,
		"note:\n  a\nmany:\n\t- a\n":              "f.yaml:4:1: a tab indents this line, and YAML takes blanks alone: write two blanks for each step",
		"many:\n  - a\n \t - b\n":                 "f.yaml:3:2: a tab indents this line, and YAML takes blanks alone: write two blanks for each step",
		"note: {to: done/{yyyy}}\n":               "f.yaml:1:17: did not find expected ',' or '}': the bracket before is not closed, or text within brackets has one of , [ ] { } in it and stands without quotes",
		"note: \"\\d+\"\n":                        `f.yaml:1:8: found unknown escape character: in double quotes a backslash begins an escape; write the text in single quotes, '\d+'`,
		"a: [":                                    "f.yaml:2:1: did not find expected node content",
		"tall: &x {}\n":                           "f.yaml:1:7: expected true or false, not a mapping",
		"note: &x [b]\nmany: *x\ntall: true\n":    "f.yaml:1:7: expected text, not a list",
	} {
		_, err := read(text)
		if err == nil || err.Error() != want {
			t.Errorf("of %q:\n%v\nwant\n%s", text, err, want)
		}
	}
}

func TestValues(t *testing.T) {
	got, err := read("tall: true\nmode: a.b\nnote: &n 06\nmany: [x, *n]\n")
	if want := (found{"a.b", true, "06", "x 06"}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

type found struct {
	mode string
	tall bool
	note string
	many string
}

func read(text string) (f found, err error) {
	r := &strictyaml.Reader{File: "f.yaml", Unknown: func(key string) string {
		if key == "secret" {
			return "keep it to yourself"
		}
		return ""
	}}
	if n := r.Parse([]byte(text), "it"); n != nil {
		var many []string
		r.Mapping(n, "it",
			strictyaml.Key("mode", r.Choice(&f.mode, "a.b", "fast", "off")),
			strictyaml.Key("tall", r.Flag(&f.tall)),
			strictyaml.Key("note", r.Text(&f.note)),
			strictyaml.Key("many", func(n *yaml.Node) {
				r.Each(n, func(n *yaml.Node) {
					var s string
					r.Text(&s)(n)
					many = append(many, s)
				})
			}))
		f.many = strings.Join(many, " ")
	}
	return f, r.Err()
}

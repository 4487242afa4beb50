package format

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const answered = `name: mine
signature: {header: [time, flow]}
shape: wide # a column for each channel
logger: {file_name: '^(?P<logger>[^.]+)'} # the file's name
timestamp:
  column: {match: '^time(?P<zone>[+-]\d\d)?$'} # a time in every row
  layout: 02/01/2006 15:04 # it reads every timestamp
`

func TestWithTakesAnswers(t *testing.T) {
	p, err := Parse("mine.yaml", []byte(answered))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		set  string
		want string // stands in the answered profile
		gone string // does not
	}{
		{"zone=Europe/London", "zone: Europe/London", "(?P<zone>"},
		{"order=mdy", "layout: 01/02/2006 15:04 # it reads every timestamp", "02/01/2006"},
		{"order=dmy", "layout: 02/01/2006 15:04", "01/02/2006"},
		{"layout=2/1/06 15:04", "2/1/06 15:04", "02/01/2006"},
		{"decimal=,", `decimal: ","`, ""},
		{"delimiter=;", `delimiter: ";"`, ""},
		{"logger=pump 7", `logger: {constant: "pump 7"}              # the file's name`, "file_name"},
		{"unit=l/s", `unit: {constant: "l/s"}`, ""},
		{"missing=-9999", `missing: ["-9999"]`, ""},
		{"missing=", "# a column for each channel", "missing"},
		{"header=yes", "# a time in every row", ""},
		{"timestamp.join=T", "join: T", ""},
		{"framing.footer=^END", `footer: "^END"`, ""},
		{"name=pump-7", "name: pump-7", "mine"},
	} {
		q, err := p.With([]string{c.set}, nil)
		if err != nil {
			t.Errorf("%s: %v", c.set, err)
			continue
		}
		if !strings.Contains(q.Text, c.want) || c.gone != "" && strings.Contains(q.Text, c.gone) {
			t.Errorf("%s gives, without %q or with %q:\n%s", c.set, c.want, c.gone, q.Text)
		}
	}
	if p.Text != answered {
		t.Error("the profile itself was changed")
	}
}

func TestWithRefusesAnswers(t *testing.T) {
	p, err := Parse("mine.yaml", []byte(answered))
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]string{
		"zone":                "write it as key=value",
		"zone=Atlantis":       `unknown zone "Atlantis"`,
		"order=myd":           "dmy, mdy or ymd",
		"decimal=;":           "the decimal sign is . or ,",
		"colour=red":          `there is no answer called "colour"`,
		"take=end":            "is no interval",
		"header=no":           "the answer is yes",
		"timestamp.colour=x":  `unknown key "colour" in timestamp`,
		"shape.colour=x":      "shape is no mapping",
		"layout=15:04":        "has no year",
		"framing.columns=[a,": "is no YAML",
		"logger=":             "the name is empty",
	} {
		if _, err := p.With([]string{set}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", set, err, want)
		}
	}
}

func TestReorder(t *testing.T) {
	for _, c := range []struct{ layout, order, want, had string }{
		{"2/1/2006 15:04:05", "mdy", "1/2/2006 15:04:05", "dmy"},
		{"01/02/06 03:04 PM", "dmy", "02/01/06 03:04 PM", "mdy"},
		{"06.01.02", "dmy", "02.01.06", "ymd"},
		{"%d/%m/%Y %H:%M", "mdy", "%m/%d/%Y %H:%M", "dmy"},
		{"epoch_s", "dmy", "epoch_s", ""},
	} {
		text, had := reorder(c.layout, order(c.order))
		if text != c.want || string(had) != c.had {
			t.Errorf("reorder(%q, %s) = %q, %q; want %q, %q", c.layout, c.order, text, had, c.want, c.had)
		}
	}
}

// TestWithKeepsTheLooks holds that an answer changes its own line and no other.
func TestWithKeepsTheLooks(t *testing.T) {
	text := `name: mine                   # of my own
# what they are

signature:
  header:                    # these three
    - time                   # "it" # is
    - flow
    - 'a # b'

shape: wide
logger: {file_name: stem}    # the file's name
timestamp:
  column: time
  layout: 02/01/2006 15:04   # all of them
description: |-
  more # of my own
`
	p, err := Parse("mine.yaml", []byte(strings.Replace(text, "|-\n  more # of my own", "more", 1)))
	if err != nil {
		t.Fatal(err)
	}
	q, err := p.With([]string{"order=mdy"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Replace(p.Text, "02/01", "01/02", 1), q.Text); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	p, err = Parse("mine.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if q, err = p.With([]string{"order=mdy"}, nil); err != nil || q.Description != "more # of my own" {
		t.Errorf("the description became %q, %v", q.Description, err)
	}
}

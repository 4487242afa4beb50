package format

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

// TestProfileFaults holds that all that is wrong with a profile is said at
// once, each with its line and column.
func TestProfileFaults(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"everything", `name: My Profile
shape: long
colour: red
dialect:
  delimiter: ";;"
  decimal: "."
  encoding: latin-1
  delimeter: ","
logger: {column: a, constant: b}
channel: {file_name: '(['}
value: {column: 0}
timestamp:
  column: t
  layout: ["15:04", "%Q %q", "2006-01-02 15:04 MST", "2006-01-02 3:04", "%Y-%m-%d %I:%M"]
  zone: Mars/Olympus
window: {from: 2024-01-01, past: 3d}
ignore: {columns: [x]}
`, []string{
			`p.yaml:1:1: a profile's name is made of a-z, 0-9, - and _, and is not auto; this one is "My Profile"`,
			`p.yaml:3:1: unknown key "colour" in a profile (there are name, description, source, signature, dialect, framing, shape, logger, channel, unit, value, quality, factor, columns_are, pairs, channels, others, repeated, units, ignore, quoted_text, timestamp, missing, open, numbers, rename, file_time, window)`,
			`p.yaml:5:14: a delimiter is one character, not ";;"`,
			`p.yaml:7:13: unknown encoding "latin-1": write a label of the WHATWG Encoding Standard, such as utf-8, windows-1252, utf-16le or shift_jis`,
			`p.yaml:8:3: unknown key "delimeter" in dialect: is delimiter meant?`,
			`p.yaml:9:9: logger comes from one of constant, column, columns, file_name, path, preamble, header, parts and any`,
			"p.yaml:10:22: error parsing regexp: missing closing ]: `[`",
			`p.yaml:11:17: columns are counted from 1, not 0; quote it if it is a name`,
			`p.yaml:14:12: layout "15:04" has no year; write it as of 2006-01-02 15:04:05 (Go) or %Y-%m-%d %H:%M:%S (strftime)`,
			`p.yaml:14:21: layout "%Q %q": strftime: unsupported directive: %Q ; write a Go layout instead, such as 2006-01-02 15:04:05`,
			`p.yaml:14:30: layout "2006-01-02 15:04 MST" has a zone abbreviation, and those are ambiguous; use an offset (-07:00) in the layout, or zone, or say in zones what the abbreviations mean`,
			`p.yaml:14:54: layout "2006-01-02 3:04" has an hour of 12 (03 or %I) and does not say which half of the day: add PM (%p) or {pm}, or write 15 (%H) for hours of 24`,
			`p.yaml:14:73: layout "%Y-%m-%d %I:%M" has an hour of 12 (03 or %I) and does not say which half of the day: add PM (%p) or {pm}, or write 15 (%H) for hours of 24`,
			`p.yaml:15:9: unknown zone "Mars/Olympus": write an area and city (Europe/London), UTC, or an offset (+01:00)`,
			`p.yaml:16:9: from and past, and likewise to and future, are two ways to say one thing: give one of them`,
			`p.yaml:17:9: ignore belongs to the wide or matrix shape`,
		}},
		{"nothing", "", []string{"p.yaml: the profile is empty"}},
		{"broad", "name: x\nshape: broad\ntimestamp: {column: t, layout: rfc3339}", []string{`p.yaml:2:8: expected long, wide or matrix, not "broad"`}},
		{"bare", "name: x", []string{"p.yaml:1:1: timestamp is missing: which column it is, and its layout", "p.yaml:1:1: shape is missing: long (a channel and a value a row), wide (a column per channel) or matrix (a row per day, a column per time of day)"}},
		{"long without columns", "name: x\nshape: long", []string{
			"p.yaml:1:1: timestamp is missing: which column it is, and its layout",
			"p.yaml:1:1: logger is missing: a column, file_name, path, preamble or constant",
			"p.yaml:1:1: channel is missing: a column, file_name, path, preamble or constant",
			"p.yaml:1:1: value is missing: the column that holds the readings",
		}},
		{"the machine's zone", "name: x\nshape: wide\nlogger: {constant: a}\ntimestamp: {column: 1, layout: rfc3339, zone: Local}", []string{
			`p.yaml:4:47: unknown zone "Local": write an area and city (Europe/London), UTC, or an offset (+01:00)`,
		}},
		{"another decimal sign", "name: x\nshape: wide\ndialect: {decimal: \";\"}\nlogger: {constant: a}\ntimestamp: {column: 1, layout: rfc3339}", []string{
			`p.yaml:3:20: expected "." or ",", not ";"`,
		}},
		{"a key twice", "name: x\nname: y\nshape: wide\nlogger: {constant: a}\ntimestamp: {column: 1, layout: rfc3339}", []string{
			`p.yaml:2:1: key "name" stands twice in a profile, first in line 1`,
		}},
		{"a group that is missing", "name: x\nshape: wide\nlogger: {file_name: '^(.*)_'}\ntimestamp: {column: 1, layout: rfc3339}", []string{
			`p.yaml:3:21: the pattern has no group "logger"; write (?P<logger>...) around the part that is the logger`,
		}},
		{"two rows of names", "name: x\nshape: wide\nframing: {rows: [names, units], columns: [a, b]}\nlogger: {constant: a}\ntimestamp: {column: 1, layout: rfc3339}", []string{
			"p.yaml:3:17: framing names the columns, and so does a row of names: if the file has that row, call it skip",
		}},
		{"two rows of names, told the other way round", "name: x\nshape: wide\nframing: {columns: [a, b], rows: [names, units]}\nlogger: {constant: a}\ntimestamp: {column: 1, layout: rfc3339}", []string{
			"p.yaml:3:34: framing names the columns, and so does a row of names: if the file has that row, call it skip",
		}},
		{"find without a header", "name: x\nshape: wide\nframing: {preamble: find}\nlogger: {constant: a}\ntimestamp: {column: 1, layout: rfc3339}", []string{
			"p.yaml:1:1: framing.preamble: find looks for the signature's header, and signature.header is missing",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("p.yaml", []byte(c.text))
			if err == nil {
				t.Fatal("it was accepted")
			}
			got := strings.Split(err.Error(), "\n")
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			var fault *Fault
			if !errors.As(err, &fault) {
				t.Errorf("%T is no *Fault", err)
			}
		})
	}
}

func TestLoadReportsEveryFile(t *testing.T) {
	dir := t.TempDir()
	good := "name: %s\nshape: wide\nlogger: {constant: a}\ntimestamp: {column: 1, layout: rfc3339}\n"
	for name, text := range map[string]string{
		"a.yaml": strings.ReplaceAll(good, "%s", "a"), "b.yaml": "name: b\n", "c.yaml": "shape: long\n", "d.yaml": "[", "e.yaml": strings.ReplaceAll(good, "%s", "a"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(filepath.Join(dir, "*.yaml"), filepath.Join(dir, "none.yaml"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"b.yaml:1:1:", "c.yaml:1:1:", "d.yaml", "none.yaml: no such file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	twins, err := Load(filepath.Join(dir, "a.yaml"), filepath.Join(dir, "e.yaml"))
	if err != nil || len(twins) != 2 {
		t.Fatal(err)
	}
	if _, err := NewSet(true, twins...); err == nil || !strings.Contains(err.Error(), "two profiles are called a:") {
		t.Errorf("error is %v", err)
	}
}

func TestOwnProfileReplacesBuiltin(t *testing.T) {
	p, err := Parse("mine.yaml", []byte("name: plain-long\nshape: wide\nlogger: {constant: a}\ntimestamp: {column: 1, layout: rfc3339}\n"))
	if err != nil {
		t.Fatal(err)
	}
	set, err := NewSet(true, p)
	if err != nil {
		t.Fatal(err)
	}
	if set.ByName("plain-long") != p || set.ByName("campbell-toa5") == nil || set.ByName("none") != nil {
		t.Errorf("the set is %v", set.Profiles())
	}
	for _, p := range set.Profiles() {
		if p.Name != "plain-long" && (p.Description == "" || p.Source == "" || !strings.Contains(p.Text, "\nshape: ")) {
			t.Errorf("profile %s tells too little of itself: %q, %q", p.Name, p.Description, p.Source)
		}
	}
}

// The first tier with a profile that matches decides; two of one tier are a
// question, with either as its answer.
func TestTiers(t *testing.T) {
	parse := func(name string) *Profile {
		p, err := Parse(name+".yaml", []byte("name: "+name+"\nshape: wide\nsignature: {first_line: '^logger,'}\nlogger: {constant: a}\ntimestamp: {column: timestamp, layout: rfc3339}\nchannels: [{column: value}]\nothers: ignore\n"))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	decode := func(set *Set) *ingest.Span {
		d, err := NewDecoder(set, Settings{})
		if err != nil {
			t.Fatal(err)
		}
		_, s := decodeOne(t, d, "a.csv", longHead)
		return s
	}
	own, err := NewSet(true, parse("one"))
	if err != nil {
		t.Fatal(err)
	}
	s := decode(own)
	if s.State != ingest.Loaded || s.Recipe.Profile != "one" || s.Recipe.Trust != ingest.Named {
		t.Errorf("a given profile beside a built-in one: %s %s, %+v", s.State, s.Reason, s.Recipe)
	}
	approved, err := ParseApproved("0123456789ab", parse("approved").Text)
	if err != nil {
		t.Fatal(err)
	}
	s = decode(own.WithApproved(approved))
	if s.State != ingest.Loaded || s.Recipe.Profile != "approved" || s.Recipe.Trust != ingest.Approved || s.Kind.ID != "0123456789ab" {
		t.Errorf("an approved profile beside a given one: %s %s, %+v", s.State, s.Reason, s.Recipe)
	}
	two, err := NewSet(true, parse("one"), parse("other"))
	if err != nil {
		t.Fatal(err)
	}
	s = decode(two)
	question := "the profiles one and other both match the file: which one is it? Answer with --profile"
	if s.State != ingest.Held || s.Reason != question {
		t.Fatalf("%s: %s", s.State, s.Reason)
	}
	if s.Shape == nil || s.Shape.Question != question || s.Shape.Asks != "profile" || len(s.Shape.Answers) != 2 || s.Shape.Answers[1].Set != "profile=other" {
		t.Errorf("the shape is %+v", s.Shape)
	}
}

// Files of a profile and of equal columns are of one shape, others are not.
func TestKinds(t *testing.T) {
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(set, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	kind := func(text string) *ingest.Shape {
		_, s := decodeOne(t, d, "a.csv", text)
		if s.State == ingest.Held && (s.Shape == nil || s.Shape.ID != s.Kind.ID || s.Shape.Question != s.Reason || s.Shape.Asks != "zone") {
			t.Errorf("the shape is %+v, the kind %+v", s.Shape, s.Kind)
		}
		if (s.State == ingest.Held) != (s.Shape != nil) || s.Kind.Question != "" {
			t.Errorf("%s with the shape %+v", s.State, s.Shape)
		}
		return s.Kind
	}
	loaded := kind(longHead + "L1,flow,2024-01-01T00:00:00Z,1\n")
	held := kind(longHead + "L2,level,2024-01-01 00:00:00,1\n")
	wider := kind("logger,channel,timestamp,value,unit\nL2,level,2024-01-01 00:00:00,1,m\n")
	if loaded.ID != held.ID || len(loaded.ID) != 12 || held.ID == wider.ID {
		t.Errorf("shapes %s, %s and %s", loaded.ID, held.ID, wider.ID)
	}
	if diff := cmp.Diff([]string{"logger", "channel", "timestamp", "value", "unit"}, wider.Header); diff != "" {
		t.Error(diff)
	}
}

func TestSettingsFaults(t *testing.T) {
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range set.Profiles() {
		names = append(names, p.Name)
	}
	if err := (Settings{Profile: "none"}).Check(set); err == nil || err.Error() != fmt.Sprintf("there is no profile \"none\"; there are %q", names) {
		t.Errorf("error is %v", err)
	}
	if err := (Settings{Zone: "Local"}).Check(set); err == nil {
		t.Error("the machine's own zone was taken")
	}
	if err := (Settings{Zone: ""}).Check(set); err != nil {
		t.Error(err)
	}
}

func TestParseZone(t *testing.T) {
	at := time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]int{"UTC": 0, "Europe/London": 3600, "+01:00": 3600, "-0700": -25200, "UTC+1": 3600, "GMT-07:00": -25200, "+05:30": 19800, "UTC+10": 36000, "-00:00": 0} {
		zone, err := ParseZone(s)
		if err != nil {
			t.Error(err)
			continue
		}
		if _, got := at.In(zone).Zone(); got != want {
			t.Errorf("%s is %d seconds east, want %d", s, got, want)
		}
	}
	for _, s := range []string{"", "Local", "+25:00", "UTC+", "+", "Europe", "../etc/passwd", "+1:00", "1"} {
		if zone, err := ParseZone(s); err == nil {
			t.Errorf("%q is %v", s, zone)
		}
	}
}

// TestRecipe holds that a stored recipe reads a file again exactly as it was
// read, and that one of another decoder is refused.
func TestRecipe(t *testing.T) {
	text := []byte(longHead + "L1,flow,2024-07-01 00:00:00,1.5\n")
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	decode := func(set *Set, s Settings) *ingest.Batch {
		d, err := NewDecoder(set, s)
		if err != nil {
			t.Fatal(err)
		}
		b := &ingest.Batch{}
		if err := d.Decode(context.Background(), contentOf("a.csv", text, false), b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := decode(set, Settings{Zone: "Europe/London"})
	r := b.Spans[0].Recipe
	if r.Profile != "plain-long" || r.Zone != "Europe/London" || r.Text != set.ByName("plain-long").Text {
		t.Errorf("recipe %+v", r)
	}
	again, s, err := FromRecipe(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := differ(b, decode(again, s)); diff != "" {
		t.Errorf("read again (-first +again):\n%s", diff)
	}
	other := *r
	other.Digest[0]++
	if _, _, err := FromRecipe(&other); err == nil || !strings.Contains(err.Error(), "another version of the decoder") {
		t.Errorf("error is %v", err)
	}

	// What is rejected is part of how a file is read.
	narrow := decode(set, Settings{Zone: "Europe/London", Window: Window{Past: time.Hour}, MaxRejected: MaxRejected{Share: 1}})
	r = narrow.Spans[0].Recipe
	if again, s, err = FromRecipe(r); err != nil {
		t.Fatal(err)
	}
	if diff := differ(narrow, decode(again, s)); diff != "" || len(narrow.Time) == len(b.Time) {
		t.Errorf("read again in a narrow window, %d readings of %d (-first +again):\n%s", len(narrow.Time), len(b.Time), diff)
	}

	// The digest tells zones apart where they matter, and only there.
	if decode(set, Settings{Zone: "UTC"}).Spans[0].Recipe.Digest == b.Spans[0].Recipe.Digest {
		t.Error("another zone has the same digest")
	}
	zoned := set.ByName("plain-long").Text + "  zone: UTC\n"
	p, err := Parse("p.yaml", []byte(zoned))
	if err != nil {
		t.Fatal(err)
	}
	if newRecipe(p, Settings{Zone: "UTC"}, false).Digest != newRecipe(p, Settings{Zone: "Europe/London"}, false).Digest {
		t.Error("a zone from outside changes the recipe of a profile that has its own")
	}
}

// TestRecipeKeepsTheZoneThatCounted holds that a stored recipe reads a file
// again as it was read where the zone may come from its header, and where it
// is that of the time in its name.
func TestRecipeKeepsTheZoneThatCounted(t *testing.T) {
	shape := "name: z\nshape: wide\nlogger: {constant: L1}\n"
	header := shape + "timestamp: {column: {match: '^t( GMT(?P<zone>.*))?$'}, layout: \"2006-01-02 15:04:05\"}\n"
	named := shape + "timestamp: {column: t, layout: rfc3339}\nfile_time: {file_name: '^(?P<time>[0-9]+)', layout: \"20060102\"}\n"
	for _, c := range []struct {
		name, profile, text string
		zone                string // of the recipe
	}{
		{"not in the header", header, "t,a\n2024-07-01 00:00:00,1\n", "Asia/Tokyo"},
		{"in the header", header, "t GMT-07:00,a\n2024-07-01 00:00:00,1\n", ""},
		{"of the file's name", named, "t,a\n2024-07-01T00:00:00Z,1\n", "Asia/Tokyo"},
		{"of no use", strings.Replace(named, "rfc3339", "rfc3339, zone: UTC", 1), "t,a\n2024-07-01T00:00:00Z,1\n", ""},
	} {
		first, span := decodeOne(t, decoderFor(t, c.profile, Settings{Zone: "Asia/Tokyo"}), "20240701.csv", c.text)
		if span.State != ingest.Loaded || len(first.Time) != 1 || span.Recipe.Zone != c.zone {
			t.Errorf("%s: %s %s, %d readings, zone %q, want %q", c.name, span.State, span.Reason, len(first.Time), span.Recipe.Zone, c.zone)
		}
		set, s, err := FromRecipe(span.Recipe)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		d, err := NewDecoder(set, s)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := decodeOne(t, d, "20240701.csv", c.text)
		if diff := differ(first, again); diff != "" {
			t.Errorf("%s, read again (-first +again):\n%s", c.name, diff)
		}
	}
}

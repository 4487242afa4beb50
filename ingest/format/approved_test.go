package format

import (
	"strings"
	"testing"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

// spanOf decodes a file by a set of profiles.
func spanOf(t *testing.T, set *Set, path, text string) *ingest.Span {
	t.Helper()
	d, err := NewDecoder(set, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	_, s := decodeOne(t, d, path, text)
	return s
}

// The approved profile reads files of the shape, by the answer, and no others;
// it asks nothing that was answered, and later questions are of the same shape.
func TestApprove(t *testing.T) {
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	local := longHead + "L1,flow,2024-05-01 00:00:00,1\n"
	shape := spanOf(t, set, "a.csv", local).Shape
	p, err := Approve(shape, []string{"zone=Europe/London"}, map[string]string{"flow": "discharge"})
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "plain-long-"+shape.ID || p.Shape() != shape.ID {
		t.Errorf("%s is for shape %q", p.Name, p.Shape())
	}
	approved := set.WithApproved(p)
	d, err := NewDecoder(approved, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	b, s := decodeOne(t, d, "a.csv", local)
	if s.State != ingest.Loaded || s.Recipe.Trust != ingest.Approved || s.Kind.ID != shape.ID {
		t.Errorf("%s %s, %+v", s.State, s.Reason, s.Recipe)
	}
	if diff := cmp.Diff("2 L1/discharge 2024-04-30T23:00:00Z 3ff0000000000000 \n", told(b)); diff != "" {
		t.Error(diff)
	}
	for _, other := range []string{
		"logger,channel,timestamp,value,unit\nL1,flow,2024-05-01 00:00:00,1,m\n",
		"quality," + longHead + ",L1,flow,2024-05-01 00:00:00,1\n",
	} {
		if s := spanOf(t, approved, "a.csv", other); s.State != ingest.Held || s.Shape.ID == shape.ID {
			t.Errorf("%q is %s, of shape %+v", other, s.State, s.Shape)
		}
	}
	// A recipe in the ledger reads the file again in the same way.
	again, settings, err := FromRecipe(s.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	if d, err = NewDecoder(again, settings); err != nil {
		t.Fatal(err)
	}
	if b2, s2 := decodeOne(t, d, "a.csv", local); told(b2) != told(b) || s2.Recipe.Digest != s.Recipe.Digest {
		t.Errorf("read again it is %s", told(b2))
	}
	// Approved once more, with another answer, it replaces itself.
	p2, err := Approve(s.Kind, []string{"zone=UTC"}, nil)
	if err != nil || p2.Name != p.Name || p2.Shape() != shape.ID {
		t.Errorf("%v %v", p2, err)
	}
}

func TestApproveChooses(t *testing.T) {
	const text = "# how to read it\nshape: wide\nsignature: {first_line: '^logger,'}\nlogger: {constant: a}\ntimestamp: {column: timestamp, layout: rfc3339} # as it is\nchannels: [{column: value}]\nothers: ignore\n"
	var own []*Profile
	for _, name := range []string{"one", "two"} {
		p, err := Parse(name+".yaml", []byte("name: "+name+"\n"+strings.Replace(text, "constant: a", "constant: "+name, 1)))
		if err != nil {
			t.Fatal(err)
		}
		own = append(own, p)
	}
	set, err := NewSet(false, own...)
	if err != nil {
		t.Fatal(err)
	}
	file := longHead + "L1,flow,2024-05-01T00:00:00Z,1\n"
	shape := spanOf(t, set, "a.csv", file).Shape
	p, err := Approve(shape, []string{"profile=two", "missing=-9"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{"# how to read it", "# as it is", "constant: two", `header: ["logger", "channel", "timestamp", "value"]`, "first_line:"} {
		if !strings.Contains(p.Text, kept) {
			t.Errorf("%s is not in\n%s", kept, p.Text)
		}
	}
	if s := spanOf(t, set.WithApproved(p), "a.csv", file); s.State != ingest.Loaded || s.Recipe.Profile != p.Name {
		t.Errorf("%s %s", s.State, s.Reason)
	}
	for _, tc := range []struct {
		sets  []string
		wrong string
	}{
		{nil, "it is still open: the profiles one and two both match the file"},
		{[]string{"zone=UTC"}, "it is still open"},
		{[]string{"profile=three"}, "profile=three is none of those that match: one, two"},
		{[]string{"profile=one", "zone=Nowhere"}, "unknown zone"},
	} {
		if _, err := Approve(shape, tc.sets, nil); err == nil || !strings.Contains(err.Error(), tc.wrong) {
			t.Errorf("%q: %v", tc.sets, err)
		}
	}
}

// What answers a question: its key, or a path that ends in it.
func TestIsAnswer(t *testing.T) {
	for _, tc := range []struct {
		set, asks string
		want      bool
	}{
		{"zone=UTC", "zone", true}, {"timestamp.zone=UTC", "zone", true}, {"zones=UTC", "zone", false}, {"order=dmy", "order", true},
		{"layout=2006-01-02", "order", true}, {"timestamp.layouts=[a]", "order", true}, {"decimal=,", "order", false}, {"=x", "zone", false},
	} {
		if got := isAnswer(tc.set, tc.asks); got != tc.want {
			t.Errorf("%s answers %s: %v", tc.set, tc.asks, got)
		}
	}
}

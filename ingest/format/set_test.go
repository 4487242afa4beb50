package format

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestBuiltinTelling holds what is known of the built-in profiles unread against
// the profiles.
func TestBuiltinTelling(t *testing.T) {
	oneGoroutine(t)
	known, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	var lines strings.Builder
	for _, p := range known {
		want[p.Name] = p.telling
		fmt.Fprintf(&lines, "\t%q: %q,\n", p.Name, p.telling)
		if p.File != "builtin/"+p.Name+builtinEnd {
			t.Errorf("%s holds the profile %s: a built-in profile is found by its name", p.File, p.Name)
		}
	}
	if !maps.Equal(builtinTelling, want) {
		t.Errorf("builtinTelling is to be\n%s", &lines)
	}
}

// TestProfilesAreReadWhenNeeded holds that a decoder reads those profiles alone
// that a file may be of, finds what one finds that has read all, and reads the
// others when a file comes that may be of them.
func TestProfilesAreReadWhenNeeded(t *testing.T) {
	oneGoroutine(t)
	all, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	linear, err := NewDecoder(all, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headsOf(t) {
		set, err := NewSet(true)
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDecoder(set, Settings{})
		if err != nil {
			t.Fatal(err)
		}
		linear.feed = feed{window: h.text, final: true}
		d.feed = feed{window: h.text, final: true}
		if got, want := searchAsDecoders(d, h.path, h.text), searchLinearly(linear, h.path, h.text); got != want {
			t.Fatalf("%s, by a decoder that has read no profile:\nfound %s\nwant  %s", h.path, got, want)
		}
	}

	set, read := countedSet(t)
	d, err := NewDecoder(set, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"logger,channel,timestamp,value\nL1,flow,2024-01-01T00:00:00Z,1\n", "\"TOA5\",\"x\"\n", "\n\n"} {
		d.feed = feed{window: []byte(text), final: true}
		searchAsDecoders(d, "x.csv", []byte(text))
		switch {
		case i == 0 && (!slices.Contains(*read, "plain-long") || slices.Contains(*read, "campbell-toa5") || len(*read) > 10),
			i == 1 && (!slices.Contains(*read, "campbell-toa5") || len(*read) > 15):
			t.Errorf("after %q these were read: %q", text, *read)
		}
	}
	if set.ByName("hobo-bare"); !slices.Contains(*read, "hobo-bare") {
		t.Error("a profile that was asked for by name was not read")
	}
	if got := set.Profiles(); len(got) != len(builtinTelling) || len(*read) != len(got) {
		t.Errorf("of %d profiles %d were listed, and %d read", len(builtinTelling), len(got), len(*read))
	}
}

// countedSet returns the built-in profiles as a set, and which of them were read.
func countedSet(t *testing.T) (*Set, *[]string) {
	t.Helper()
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	read := new([]string)
	for i := range set.tiers[1] {
		m := &set.tiers[1][i]
		of := m.profile
		m.profile = func() *Profile {
			if !slices.Contains(*read, m.name) {
				*read = append(*read, m.name)
			}
			return of()
		}
	}
	return set, read
}

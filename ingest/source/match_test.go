package source

import (
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"pgregory.net/rapid"
)

// Patterns with shortcuts match what the library says they do.
func TestGlobsMatchAsTheLibraryDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching(`[a.é\-]{0,3}`)
		pattern := part.Draw(t, "begin") + rapid.SampledFrom([]string{"", "*", "*", "**", "?", "[ab]", "{a,.a}", `\*`, "/"}).Draw(t, "star") + part.Draw(t, "end")
		pattern = rapid.SampledFrom([]string{"", "**/"}).Draw(t, "folders") + pattern
		path := strings.Trim(rapid.StringMatching(`([a.é*\-]{1,3}/){0,2}[a.é*\-]{1,4}`).Draw(t, "path"), "/")
		all, err := compileGlobs([]string{pattern})
		if err != nil {
			return
		}
		held := pattern
		if name := strings.TrimPrefix(pattern, "**/"); name != "" && !strings.Contains(name, "/") {
			held = "**/" + name // NAME is for whatever folder it is in
		}
		if got, want := all.match(path), doublestar.MatchUnvalidated(held, path); got != want {
			t.Errorf("%q against %q: %t, want %t", pattern, path, got, want)
		}
	})
}

func BenchmarkGlobs(b *testing.B) {
	all, err := compileGlobs([]string{".*", "*.tmp", "*.part", "*.filepart", "~*"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if all.match("site-07/L0000123_20240101T0000_000123.csv") {
			b.Fatal("matches")
		}
	}
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRootsOfEarlierReplays(t *testing.T) {
	for _, c := range []struct{ root, before, want string }{
		{"/a", "", "/a"},
		{"/a\n/b", "/b\n/a", "/a\n/b"},
		{"/c", "/a\n/b", "/c\n\n/a\n/b"},
		{"/a", "/c\n\n/a\n/b", "/a\n\n/c\n/b"},
		{"/b\n/d", "/c\n\n/a\n/b", "/b\n/d\n\n/c\n/a"},
	} {
		if got := withEarlier(c.root, c.before); got != c.want {
			t.Errorf("%q after %q gives %q, want %q", c.root, c.before, got, c.want)
		}
	}
	text := ""
	for i := range maxEarlier + 9 {
		text = withEarlier(fmt.Sprint("/", i), text)
	}
	now, earlier := rootsIn(text)
	if len(now) != 1 || len(earlier) != maxEarlier || now[0] != "/24" || earlier[0] != "/23" || earlier[maxEarlier-1] != "/8" {
		t.Errorf("now %q, earlier %q", now, earlier)
	}
}

// Files are found again through their folders, of which there are fewer.
func TestRootOfFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "line\nbreak")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, name := range []string{"a.csv", "b.csv"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	got, err := rootOf(append(paths, dir, filepath.Dir(dir)))
	if err != nil {
		t.Fatal(err)
	}
	now, earlier := rootsIn(got)
	if len(now) != 2 || !strings.HasSuffix(now[0], `line\x0Abreak`) || now[1] != filepath.Dir(dir) || earlier != nil {
		t.Errorf("%q", got)
	}
}

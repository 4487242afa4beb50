package source

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"penstock/ingest"
)

// TestKindsThatTheFolderDoesNotTell lists a folder of a file system that tells
// no kinds, as some do: links are links there too.
func TestKindsThatTheFolderDoesNotTell(t *testing.T) {
	top := t.TempDir()
	err := errors.Join(
		os.Mkdir(filepath.Join(top, "a"), 0o755),
		os.WriteFile(filepath.Join(top, "a", "x.csv"), nil, 0o644),
		os.Symlink("a", filepath.Join(top, "again")),
		os.Symlink(filepath.Join("a", "x.csv"), filepath.Join(top, "y.csv")),
		os.Symlink("nowhere", filepath.Join(top, "z.csv")),
	)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDir(Options{Source: "s"}, top)
	if err != nil {
		t.Fatal(err)
	}
	var paths, faults []string
	w := newWalk(t.Context(), d, d.site.Load(), func(f ingest.File, err error) bool {
		if err != nil {
			faults = append(faults, f.Path)
		} else {
			paths = append(paths, f.Path)
		}
		return true
	})
	w.root = &d.site.Load().roots[0]
	w.path = append([]byte(top), filepath.Separator)
	w.below = len(w.path)
	in, err := openFolder(top, make([]byte, batchBytes))
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	for {
		e, err := in.next()
		if err != nil {
			t.Fatal(err)
		}
		if len(e.name) == 0 {
			break
		}
		e.kind = unknown
		w.path = append(w.path[:w.below], e.name...)
		w.entry(in, e)
	}
	slices.Sort(paths)
	if want := []string{"a/x.csv", "y.csv"}; !slices.Equal(paths, want) || !slices.Equal(faults, []string{"z.csv"}) {
		t.Errorf("listed %q, faults %q, want %q", paths, faults, want)
	}
}

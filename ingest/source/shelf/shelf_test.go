package shelf_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"penstock/ingest/source/shelf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a process that is gone left is removed; what one holds stays, and so does
// what is no shelf, or one of another kind.
func TestSweep(t *testing.T) {
	in := t.TempDir()
	held, err := shelf.New(in, "kind-")
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"kind-left": "lock", "kind-strange": "letter", "other-left": "lock"} {
		dir := filepath.Join(in, name)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, file), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(in, "other-left"), filepath.Join(in, "kind-link")); err != nil {
		t.Fatal(err)
	}
	shelf.Sweep(in, "kind-")
	want := []string{filepath.Base(held.Dir), "kind-link", "kind-strange", "other-left"}
	slices.Sort(want)
	if got := names(t, in); !slices.Equal(got, want) {
		t.Errorf("there are %q, want %q", got, want)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
	if got := names(t, in); slices.Contains(got, filepath.Base(held.Dir)) {
		t.Error("a shelf that is closed is there")
	}
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

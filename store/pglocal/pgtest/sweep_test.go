package pgtest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSweepTakesOnlyWhatIsOldAndFree(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	hourAgo := time.Now().Add(-time.Hour)
	newDir := func(name string) string {
		dir := filepath.Join(os.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	age := func(dir string) {
		if err := os.Chtimes(dir, hourAgo, hourAgo); err != nil {
			t.Fatal(err)
		}
	}
	abandoned, young, held, other := newDir(prefix+"1"), newDir(prefix+"2"), newDir(prefix+"3"), newDir("other")
	s, err := Start(t.Context(), filepath.Join(held, "pg"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	for _, dir := range []string{abandoned, held, other} {
		age(dir)
	}
	sweep()
	if _, err := os.Stat(abandoned); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was abandoned is left: %v", err)
	}
	for _, dir := range []string{young, held, other} {
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
}

package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"penstock/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnonymous(t *testing.T) {
	mb, err := anonymous(os.Getpid())
	if err != nil || mb < 1 || mb > 1000 {
		t.Errorf("this test takes %.1f MB, %v", mb, err)
	}
	if _, err := anonymous(-1); err == nil {
		t.Error("a process that is none has memory")
	}
}

// TestWatching checks that a file is timed from when its rename had returned,
// and not at all below nought.
func TestWatching(t *testing.T) {
	w := watching{renamed: make(map[string]time.Time)}
	now := time.Now()
	w.expect("early")
	w.expect("late")
	w.saw([]string{"early"}, now)
	w.done("early", now.Add(time.Second))
	w.done("late", now)
	if left := w.awaited(); !slices.Equal(left, []string{"late"}) {
		t.Errorf("awaited %q", left)
	}
	w.saw([]string{"late"}, now.Add(time.Second))
	if !slices.Equal(w.took, []time.Duration{0, time.Second}) || len(w.awaited()) != 0 {
		t.Errorf("took %v", w.took)
	}
}

// TestWrite checks that a file comes into the folder whole, by its own name.
func TestWrite(t *testing.T) {
	s := site{dir: t.TempDir()}
	for _, dir := range []string{s.watched(), s.staging()} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.folders(); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		if _, err := s.write(i); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(s.watched() + "/*/L*.csv")
	if err != nil || len(names) != 60 {
		t.Errorf("%d files, %v", len(names), err)
	}
	if left, err := os.ReadDir(s.staging()); err != nil || len(left) != 0 {
		t.Errorf("left in staging: %v, %v", left, err)
	}
}

// TestBackfill checks that half of a backfill lies in an archive, and that all
// of it is there.
func TestBackfill(t *testing.T) {
	b, dir := backfill{files: 7}, filepath.Join(t.TempDir(), "old")
	if err := b.write(dir); err != nil {
		t.Fatal(err)
	}
	plain, err := filepath.Glob(dir + "/*/*.csv")
	if err != nil || len(plain) != 3 {
		t.Errorf("%d files, %v", len(plain), err)
	}
	packed, err := zip.OpenReader(filepath.Join(dir, "old-0000003.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	c := bench.Corpus{Files: 7, Readings: 2}
	for i, f := range packed.File {
		if f.Name != c.Path(3+i) || f.UncompressedSize64 != uint64(len(c.AppendFile(nil, 3+i))) {
			t.Errorf("member %d: %s, %d bytes", i, f.Name, f.UncompressedSize64)
		}
	}
	if len(packed.File) != 4 {
		t.Errorf("%d members", len(packed.File))
	}
}

func TestHeldBack(t *testing.T) {
	if got := heldBack("1 file\nHeld back for 3.0s in all.\nmore\n"); got != "Held back for 3.0s in all." {
		t.Errorf("%q", got)
	}
	if got := heldBack("1 file\n"); got != "it was not held back" {
		t.Errorf("%q", got)
	}
}

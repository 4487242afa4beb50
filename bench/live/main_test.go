package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/bench"
	"penstock/store/pglocal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestWatching checks that a file is timed from when its rename had returned,
// and not at all below nought.
func TestWatching(t *testing.T) {
	w := newWatching()
	now := time.Now()
	w.expect("early")
	w.expect("late")
	w.saw([]string{"early"}, now)
	w.done("early", now.Add(time.Second))
	w.done("late", now)
	w.ends(2)
	if seen, all := w.progress(); seen != 1 || all != 2 {
		t.Errorf("%d of %d files are visible", seen, all)
	}
	if left := w.awaited(); !slices.Equal(left, []string{"late"}) {
		t.Errorf("awaited %q", left)
	}
	w.saw([]string{"late"}, now.Add(time.Second))
	if !maps.Equal(w.took, map[string]time.Duration{"early": 0, "late": time.Second}) || len(w.awaited()) != 0 {
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

// TestLive takes the time of a few files, alone and beside a small backfill.
func TestLive(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-penstock", penstock(t), "-only", "visible|beside|replaced", "-files", "20", "-rate", "100", "-backfill", "40", "-replaced", "1", "-large-loggers", "100", "-part", "100kB"}, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		`visible after the closing rename, 20 files at \d+/s \(wanted 100\), .*\n  50 of 100 within \d.*, all within \d`,
		`visible after the closing rename while a version of it with other values in half of its readings is loaded \(\d+ MB, .*\n  of series of their own: .* within \d.*\n  of the large file's series: .* within \d.*\n  the daemon took \d+ MB at most`,
		`visible after the closing rename while a replay loads 40 files beside .*\n  50 of 100 within \d.*\n  the replay took \d+\.\d s`,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("%s\nis not in\n%s", want, &out)
		}
	}
}

// TestDaemonThatFails checks that an error holds all that the daemon had said, also
// where it was said after the measurement had begun.
func TestDaemonThatFails(t *testing.T) {
	program := penstock(t)
	for _, m := range measurements {
		s := site{penstock: program, dir: t.TempDir(), store: "postgres:///nowhere?host=/nowhere", poll: "now and then", settle: "0s", part: "1MB", listed: 1, files: 1, rate: 1, backfill: backfill{files: 1, live: 1}, large: largeFile{megabytes: 1, replaced: 1, loggers: 1, small: 1}}
		if err := errors.Join(os.Mkdir(s.watched(), 0o755), os.Mkdir(s.staging(), 0o755)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errors.New("waited long enough"))
		err := m.run(ctx, &s)
		cancel()
		for _, want := range []string{"waited long enough", "penstock run: ", "the daemon said:", "now and then"} {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "%!") {
				t.Errorf("%s: %q is not in %v", m.name, want, err)
			}
		}
	}
}

func TestBadArguments(t *testing.T) {
	for args, want := range map[string]string{
		"-files 0":               "-files, -listed, -backfill, -large, -replaced and -large-loggers: at least one",
		"-backfill -1":           "-files, -listed, -backfill, -large, -replaced and -large-loggers: at least one",
		"-rate 0":                "-rate, -live and -large-beside: more than 0",
		"-live NaN":              "-rate, -live and -large-beside: more than 0",
		"-penstock nowhere/none": "no program to measure",
	} {
		if err := run(t.Context(), strings.Fields(args), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

func penstock(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "penstock")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "penstock/cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

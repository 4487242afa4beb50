package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGeneratorWritesTheCorpus holds that a generator that is asked for nothing
// else writes the corpus that ratios are measured on, byte for byte.
func TestGeneratorWritesTheCorpus(t *testing.T) {
	c := Corpus{Files: 1234, Readings: 2, Seed: 5}
	one, two := t.TempDir(), t.TempDir()
	if err := c.Write(filepath.Join(one, Folder)); err != nil {
		t.Fatal(err)
	}
	truth, err := Generator{Files: 1234, Readings: 2, Seed: 5}.Write(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contents(t, filepath.Join(one, Folder)), contents(t, filepath.Join(two, Folder))); diff != "" {
		t.Errorf("-corpus +generator:\n%s", diff)
	}
	if truth.Readings != 2468 || truth.Rows != 1234 || truth.Longest != 1 || truth.Lost != 0 || truth.Generator.Loggers != 270 {
		t.Errorf("the truth is %+v", truth)
	}
	lines := strings.SplitAfterN(contents(t, two)["truth.csv"], "\n", 3)
	if lines[0] != "path,logger,channel,unit,timestamp,value\n" || !strings.HasPrefix(lines[1], "000/L0000_20240101T0000_000000.csv,L0000,flow,,2024-01-01T00:00:00Z,") {
		t.Errorf("truth.csv begins with %q", lines[:2])
	}
}

func TestGeneratorIsSeeded(t *testing.T) {
	write := func(seed uint64) map[string]string {
		dir := t.TempDir()
		g := Generator{Files: 300, Loggers: 20, Readings: 6, Skew: 1.5, Errors: 0.2, Layout: "plain-wide", Seed: seed}
		if _, err := g.Write(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		return contents(t, dir)
	}
	one := write(1)
	if diff := cmp.Diff(one, write(1)); diff != "" {
		t.Errorf("the same seed gave something else:\n%s", diff)
	}
	if cmp.Equal(one, write(2)) {
		t.Error("another seed gave the same files")
	}
}

// TestGeneratorSkews holds that lengths spread as they are asked to: half of
// the files are no longer than the median, and one in a hundred is exp(2.33 x
// skew) times as long.
func TestGeneratorSkews(t *testing.T) {
	g := Generator{Files: 20_000, Loggers: 1, Channels: 1, Readings: 100, Skew: 1.5}
	below, tail := 0, 0
	for n := range g.Files {
		switch rows := g.rows(n); {
		case rows <= 100:
			below++
		case rows > 3296:
			tail++
		}
	}
	if below < 9_800 || below > 10_200 {
		t.Errorf("%d of 20000 files are no longer than the median", below)
	}
	if tail < 150 || tail > 250 {
		t.Errorf("%d of 20000 files are 33 times as long as the median, not about 200", tail)
	}
}

func TestGeneratorDamagesAsManyRowsAsAskedFor(t *testing.T) {
	dir := t.TempDir()
	truth, err := Generator{Files: 100, Loggers: 10, Readings: 200, Errors: 0.05}.Write(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	// Of 10,000 rows, 500 are damaged: half of them lose one reading, half both.
	if truth.Lost < 650 || truth.Lost > 850 || truth.Readings+truth.Lost != 20_000 {
		t.Errorf("the truth is %+v", truth)
	}
}

func TestGeneratorPacks(t *testing.T) {
	g := Generator{Files: 3, Readings: 4, Layout: "hobo-title"}
	plain, packed := t.TempDir(), t.TempDir()
	if _, err := g.Write(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	g.Gzip = true
	if _, err := g.Write(t.Context(), packed); err != nil {
		t.Fatal(err)
	}
	want := contents(t, filepath.Join(plain, Folder))
	got := make(map[string]string)
	for path, text := range contents(t, filepath.Join(packed, Folder)) {
		r, err := gzip.NewReader(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, r); err != nil {
			t.Fatal(err)
		}
		got[strings.TrimSuffix(path, ".gz")] = b.String()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-plain +unpacked:\n%s", diff)
	}
}

func TestGeneratorRefuses(t *testing.T) {
	for want, g := range map[string]Generator{
		"at least one file":         {Readings: 1},
		"one reading in it":         {Files: 1},
		"1 to 10000 loggers":        {Files: 1, Readings: 1, Loggers: 10_001},
		"1 to 1 loggers":            {Files: 1, Readings: 1, Loggers: 2, Layout: "dsmr-reader"},
		"1 to 2 channels: got 3":    {Files: 1, Readings: 1, Channels: 3, Layout: "dwd-cdc"},
		"no layout \"hobo\"":        {Files: 1, Readings: 1, Layout: "hobo"},
		"skew is from 0":            {Files: 1, Readings: 1, Skew: -1},
		"from 0 to 1":               {Files: 1, Readings: 1, Errors: 1.1},
		"needs more loggers than 1": {Files: 1, Loggers: 1, Channels: 1, Readings: 800, Layout: "nwis-dv"},
	} {
		_, err := g.Write(t.Context(), t.TempDir())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", g, err, want)
		}
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Generator{Files: 1, Readings: 1}).Write(t.Context(), full); !errors.Is(err, fs.ErrExist) {
		t.Errorf("writing into a folder that is not empty: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := (Generator{Files: 1, Readings: 1}).Write(ended, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("writing after the end: %v", err)
	}
}

// contents are the texts of all files below dir, by path.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		texts[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

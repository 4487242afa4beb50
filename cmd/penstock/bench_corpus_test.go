package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"penstock/bench"
	"penstock/ingest"
	"penstock/ingest/format"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/google/go-cmp/cmp"
)

// TestCorpusIsOfEveryLayout holds that there is a corpus for each built-in
// profile, and that what its truth says is what is read from it: by the profile
// that it names, chosen from all of them.
func TestCorpusIsOfEveryLayout(t *testing.T) {
	set, err := format.NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range set.Profiles() {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, bench.Layouts()); diff != "" {
		t.Errorf("built-in profiles and layouts that there is a corpus of (-profiles +layouts):\n%s", diff)
	}
	for i, layout := range bench.Layouts() {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			for _, g := range []bench.Generator{
				{Files: 7, Loggers: 1, Readings: 2},
				{Files: 9, Loggers: 1, Channels: 1, Readings: 20, Skew: 0.8, Errors: 0.1, Seed: uint64(i), Gzip: i%2 == 0},
			} {
				g.Layout = layout
				if layout != "dsmr-reader" {
					g.Loggers = 3
				}
				readsAsTrue(t, set, g)
			}
		})
	}
}

func readsAsTrue(t *testing.T, set *format.Set, g bench.Generator) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "corpus")
	truth, err := g.Write(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	settings := format.Settings{Zone: truth.Zone}
	if truth.ByName {
		settings.Profile = truth.Profile
	}
	d, err := format.NewDecoder(set, settings)
	if err != nil {
		t.Fatal(err)
	}
	want := expectations(t, dir, truth)
	got := make(map[string][]string)
	files := 0
	for path, text := range textsBelow(t, filepath.Join(dir, bench.Folder)) {
		files++
		b := &ingest.Batch{}
		if err := d.Decode(context.Background(), &ingest.Content{File: ingest.File{Source: "corpus", Path: path, Size: int64(len(text))}, Data: text, Fetched: ingest.Micros(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}, b); err != nil {
			t.Fatal(err)
		}
		if s := &b.Spans[0]; s.State != ingest.Loaded || s.Recipe.Profile != g.Layout {
			t.Fatalf("%+v: %s is %s %s:\n%s", g, path, s.State, s.Reason, text[:min(len(text), 2000)])
		}
		got[path] = corpusReadings(b)
	}
	for path := range want {
		slices.Sort(want[path])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%+v (-truth +read):\n%s", g, diff)
	}
	if files != g.Files || g.Errors > 0 && truth.Lost == 0 || g.Errors == 0 && truth.Lost > 0 {
		t.Errorf("%+v: %d files, truth is %+v", g, files, truth)
	}
}

// expectations reads the truth that stands beside the files.
func expectations(t *testing.T, dir string, truth *bench.Truth) map[string][]string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "truth.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string][]string)
	for _, line := range lines[1:] {
		var value float64
		if _, err := fmt.Sscan(line[5], &value); err != nil {
			t.Fatal(err)
		}
		want[line[0]] = append(want[line[0]], fmt.Sprint(line[1:5], value))
	}
	text, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var written bench.Truth
	if err := json.Unmarshal(text, &written); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*truth, written); diff != "" {
		t.Errorf("truth.json (-returned +written):\n%s", diff)
	}
	if int(truth.Readings) != len(lines)-1 {
		t.Errorf("truth.csv has %d readings, truth.json %d", len(lines)-1, truth.Readings)
	}
	return want
}

func textsBelow(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	texts := make(map[string][]byte)
	root := os.DirFS(dir)
	paths, err := doublestar.Glob(root, "**", doublestar.WithFilesOnly())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = text
	}
	return texts
}

func corpusReadings(b *ingest.Batch) []string {
	var lines []string
	for i, at := range b.Time {
		key := b.Keys[b.Series[i]]
		lines = append(lines, fmt.Sprint([]string{key.Logger, key.Channel, key.Unit, ingest.FromMicros(at).Format("2006-01-02T15:04:05Z07:00")}, b.Value[i]))
	}
	slices.Sort(lines)
	return lines
}

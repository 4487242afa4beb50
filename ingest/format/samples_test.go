package format

import (
	"context"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

// TestSamples reads every sample of every folder of testdata at the root of the
// project, as a user would, and compares readings and rejects with those that
// stand beside it.
func TestSamples(t *testing.T) {
	oneGoroutine(t)
	folders, err := filepath.Glob("../../testdata/*/expected.csv")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, expected := range folders {
		dir := filepath.Dir(expected)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var own []*Profile
			if _, err := os.Stat(filepath.Join(dir, "profile.yaml")); err == nil {
				if own, err = Load(filepath.Join(dir, "profile.yaml")); err != nil {
					t.Fatal(err)
				}
			}
			set, err := NewSet(true, own...)
			if err != nil {
				t.Fatal(err)
			}
			zone, _ := os.ReadFile(filepath.Join(dir, "zone"))
			settings := Settings{Zone: strings.TrimSpace(string(zone))}
			if _, err := os.Stat(filepath.Join(dir, "by-name")); err == nil {
				settings.Profile = filepath.Base(dir)
			}
			if loggers := filepath.Join(dir, "loggers.csv"); fileExists(loggers) {
				if settings.Loggers, err = LoadLoggers(loggers); err != nil {
					t.Fatal(err)
				}
			}
			d, err := NewDecoder(set, settings)
			if err != nil {
				t.Fatal(err)
			}
			var readings, rejects [][]string
			for _, file := range samples(t, dir) {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				b := &ingest.Batch{}
				if err := d.Decode(context.Background(), contentOf(filepath.Base(file), text, false), b); err != nil {
					t.Fatal(err)
				}
				s := &b.Spans[0]
				checkSpan(t, b, s)
				if s.State != ingest.Loaded || s.Recipe.Profile != filepath.Base(dir) {
					t.Errorf("%s is %s %s, read by %v", file, s.State, s.Reason, s.Recipe)
				}
				for _, f := range facts(b) {
					readings = append(readings, []string{filepath.Base(file), f.Key.Logger, f.Key.Channel, f.Key.Unit,
						ingest.FromMicros(f.Time).Format(time.RFC3339Nano), shortest(math.Float64frombits(f.Value)), f.Quality})
				}
				for _, r := range s.Rejects {
					rejects = append(rejects, []string{filepath.Base(file), strconv.FormatInt(r.Line, 10), strconv.Itoa(r.Column), r.Reason})
				}
			}
			if diff := cmp.Diff(table(t, expected), readings); diff != "" {
				t.Errorf("readings (-expected +read):\n%s", diff)
			}
			if diff := cmp.Diff(table(t, filepath.Join(dir, "rejects.csv")), rejects); diff != "" {
				t.Errorf("rejects (-expected +found):\n%s", diff)
			}
		})
	}
}

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func samples(t *testing.T, dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		if !slices.Contains([]string{"profile.yaml", "zone", "by-name", "loggers.csv", "expected.csv", "rejects.csv"}, e.Name()) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files
}

// table reads a CSV file but for its header; none is an empty table.
func table(t *testing.T, file string) [][]string {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

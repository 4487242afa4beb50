package bench

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCorpusFile(t *testing.T) {
	c := Corpus{Files: 600, Readings: 2}
	for i, want := range map[int]string{
		0:   "logger,channel,timestamp,value\nL0000,flow,2024-01-01T00:00:00Z,27.675\nL0000,pressure,2024-01-01T00:00:00Z,2.965\n",
		271: "logger,channel,timestamp,value\nL0001,flow,2024-01-01T00:15:00Z,28.555\nL0001,pressure,2024-01-01T00:15:00Z,3.617\n",
	} {
		if got := string(c.AppendFile(nil, i)); got != want {
			t.Errorf("file %d is\n%s\nwant\n%s", i, got, want)
		}
	}
}

func TestCorpusWrite(t *testing.T) {
	c := Corpus{Files: 2345, Readings: 3, Loggers: 7, Seed: 1}
	dir := t.TempDir()
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	for i := range c.Files {
		path := filepath.Join(dir, c.Path(i))
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := c.AppendFile(nil, i); string(got) != string(want) {
			t.Fatalf("%s holds\n%s\nwant\n%s", path, got, want)
		}
	}
	info, err := os.Stat(filepath.Join(dir, c.Path(0)))
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2024, 1, 1, 0, 1, 0, 0, time.UTC); !info.ModTime().Equal(want) {
		t.Errorf("file 0 was modified at %v, want %v", info.ModTime(), want)
	}
	folders, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, folder := range folders {
		in, err := os.ReadDir(filepath.Join(dir, folder.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files += len(in)
	}
	if len(folders) != 3 || files != c.Files {
		t.Errorf("%d files in %d folders, want %d in 3", files, len(folders), c.Files)
	}
	if err := c.Write(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("writing into a folder that is not empty: %v, want fs.ErrExist", err)
	}
}

func TestCorpusKeysAreUnique(t *testing.T) {
	type key struct {
		logger, channel string
		at              time.Time
	}
	c := Corpus{Files: 5000, Readings: 3, Loggers: 10}
	seen := make(map[key]bool)
	for n := range c.Files * c.Readings {
		r := c.Reading(n)
		k := key{r.Logger, r.Channel, r.Time}
		if seen[k] {
			t.Fatalf("reading %d is a second %v", n, k)
		}
		seen[k] = true
	}
}

func TestCorpusRefusesNonsense(t *testing.T) {
	for _, c := range []Corpus{{Readings: 2}, {Files: 1}, {Files: 1, Readings: 1, Loggers: 10_001}} {
		if err := c.Write(t.TempDir()); err == nil {
			t.Errorf("%+v was written", c)
		}
	}
}

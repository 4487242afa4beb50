package source_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"penstock/ingest"
	"penstock/ingest/source"
)

// TestBlindListing holds that a listing without the size and time of files has the
// same paths and faults as one with them, and still tells of what is large, lest a
// chunk of such files be one worker's alone.
func TestBlindListing(t *testing.T) {
	var files []string
	for i := range 100 {
		files = append(files, fmt.Sprintf("a/%03d.csv", i), fmt.Sprintf("large/%03d.csv", i))
	}
	root := tree(t, append(files, "a/deep/x.csv", "a/no.tmp", "a/.hidden", "a/link.csv -> deep/x.csv", "a/gone.csv -> nowhere", "a/b -> deep", "empty/")...)
	for i := range 100 {
		put(t, fmt.Sprintf("%s/large/%03d.csv", root, i), make([]byte, 10<<10), then)
	}
	put(t, root+"/a/m.zip", zipOf(t, plain("one.csv", "1\n"), plain("two.csv", "2\n")), then)
	d := newDir(t, source.Options{Source: "s", Match: []string{"*.csv"}}, root)
	want, faults := listing(t, d)
	d.Blind(true)
	got, blindFaults := listing(t, d)
	if !slices.Equal(got, want) || len(faults) != 1 || len(blindFaults) != 1 {
		t.Errorf("listed %q and %v\nnot    %q and %v", got, blindFaults, want, faults)
	}
	seen := make(map[string]int)
	for f, err := range d.Files(t.Context()) {
		folder, _, _ := strings.Cut(f.Path, "/")
		switch {
		case err != nil:
		case f.Size >= 0 && f.Modified != 0 && f.Precision != ingest.Unknown:
			seen[folder]++
		case f.Size != -1 || f.Modified != 0 || f.Precision != ingest.Unknown:
			t.Errorf("%s is of %d bytes, from %d, by %d", f.Path, f.Size, f.Modified, f.Precision)
		case strings.Contains(f.Path, "!"):
			t.Errorf("%s has no size", f.Path)
		}
	}
	if seen["large"] != 100 || seen["a"] > 20 || seen["a"] < 7 {
		t.Errorf("of 100 large files and of 102 small ones so many were looked at: %v", seen)
	}
}

// TestFetchUnseen fetches files of which the listing told nothing, of all sizes
// that make a difference, that have changed long ago, just now and in the future.
func TestFetchUnseen(t *testing.T) {
	root := t.TempDir()
	var c ingest.Content
	for _, size := range []int{0, 1, 4095, 4096, 4097, 100 << 10, 4096, 1, ingest.SpoolAbove, ingest.SpoolAbove + 1, 2, ingest.SpoolAbove + 1} {
		data := bytes.Repeat([]byte("0123456789abcdef\n"), size/17+1)[:size]
		put(t, root+"/x.csv", data, then)
		d := newDir(t, source.Options{Source: "s"}, root)
		if err := d.Fetch(t.Context(), ingest.File{Source: "s", Path: "x.csv", Size: -1}, &c); err != nil {
			t.Fatal(err)
		}
		if c.File.Size != int64(size) || c.File.Modified != ingest.Micros(then) || c.File.Precision != ingest.Micro {
			t.Errorf("a file of %d bytes was fetched as %+v", size, c.File)
		}
		if whole := size <= ingest.SpoolAbove; whole != (c.Stream == nil) || whole && !bytes.Equal(c.Data, data) {
			t.Errorf("a file of %d bytes: %d were fetched", size, len(c.Data))
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	d := newDir(t, source.Options{Source: "s"}, root)
	if err := d.Fetch(t.Context(), ingest.File{Source: "s", Path: "none.csv", Size: -1}, &c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that has gone: %v", err)
	}
}

// TestRested holds that one look at a file after it was read is enough only where
// nothing can have changed it meanwhile, whatever its time of modification says.
func TestRested(t *testing.T) {
	const minute = int64(60e6)
	for _, c := range []struct {
		changed, modified, by int64
		want                  bool
	}{
		{10 * minute, 9 * minute, 12 * minute, true},
		{10 * minute, 2 * minute, 11 * minute, false}, // set back
		{10 * minute, 11 * minute, 11 * minute, false},
		{12 * minute, 9 * minute, 11 * minute, false},
		{2 * minute, 20 * minute, 11 * minute, false},
		{0, 2 * minute, 11 * minute, false},
	} {
		if got := source.Rested(c.changed, c.modified, c.by); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

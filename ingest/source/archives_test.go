package source_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"penstock/ingest"
	"penstock/ingest/source"
)

// TestArchiveStaysOpen fetches from more archives than are kept open, by
// several goroutines at once, while the archives are replaced.
func TestArchiveStaysOpen(t *testing.T) {
	const archives, members = 12, 50
	root := t.TempDir()
	write := func(a, version int) {
		var all []zipped
		for m := range members {
			all = append(all, plain(fmt.Sprintf("%d.csv", m), fmt.Sprintf("%d,%d,%d\n", a, m, version)))
		}
		put(t, fmt.Sprintf("%s/%02d.zip", root, a), zipOf(t, all...), then)
	}
	for a := range archives {
		write(a, 0)
	}
	before := openFiles(t)
	d := newDir(t, source.Options{Source: "s"}, root)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			var c ingest.Content
			for i := range archives * members {
				a, m := (i+w*3)%archives, i/archives
				err := d.Fetch(t.Context(), ingest.File{Path: fmt.Sprintf("%02d.zip!%d.csv", a, m)}, &c)
				if want := fmt.Sprintf("%d,%d,", a, m); err != nil || !strings.HasPrefix(string(c.Data), want) {
					t.Errorf("fetched %q, want %q...: %v", c.Data, want, err)
				}
			}
		})
	}
	for version := range 5 {
		for a := range archives {
			write(a, version)
		}
	}
	wg.Wait()
	if open := openFiles(t) - before; open < 1 || open > 8 {
		t.Errorf("%d archives are open", open)
	}
	if err := d.Close(); err != nil || openFiles(t) != before {
		t.Errorf("after Close %d files are open, %v", openFiles(t)-before, err)
	}
	// It goes on after that.
	if data, err := fetchedFrom(t, d, "03.zip!7.csv"); data != "3,7,4\n" {
		t.Errorf("fetched %q, %v", data, err)
	}
	d.Close()
}

// openFiles counts this process's open files, and skips the test where the
// system does not tell.
func openFiles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("the system does not tell which files are open: %v", err)
	}
	return len(names)
}

// fetchedFrom fetches what d knows by path, to the end of its stream, which gives
// the same when it is read again.
func fetchedFrom(t testing.TB, d *source.Dir, path string) (string, error) {
	t.Helper()
	var c ingest.Content
	if err := d.Fetch(t.Context(), ingest.File{Path: path, Size: -1}, &c); err != nil || c.Stream == nil {
		return string(c.Data), err
	}
	data, err := io.ReadAll(c.Stream)
	if err == nil {
		var again []byte
		if err = c.Stream.(ingest.Rewinder).Rewind(false); err == nil {
			again, err = io.ReadAll(c.Stream)
		}
		if !bytes.Equal(again, data) {
			t.Errorf("%d bytes of %s come as %d when they are read again", len(data), path, len(again))
		}
	}
	return string(data), errors.Join(err, c.Close())
}

// TestArchiveWrittenInPlace checks that members of an archive that is written
// to while it is open are either what they were or ErrChanged, and that the
// next fetch has the new ones.
func TestArchiveWrittenInPlace(t *testing.T) {
	large := strings.Repeat("0123456789abcdef\n", ingest.SpoolAbove/17+1)
	d, path := zipDir(t, zipOf(t, plain("x.csv", "one"), zipped{header: zip.FileHeader{Name: "large.csv"}, data: large}), source.Options{})
	if data, err := fetched(t, d, "x.csv"); data != "one" {
		t.Fatalf("fetched %q, %v", data, err)
	}
	if data, err := fetched(t, d, "large.csv"); data != large {
		t.Fatalf("fetched %d bytes of %d, %v", len(data), len(large), err)
	}
	var c ingest.Content
	if err := d.Fetch(t.Context(), ingest.File{Path: "all.zip!large.csv"}, &c); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, c.Stream, 1000); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, zipOf(t, plain("x.csv", "two")), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, c.Stream)
	says(t, err, "changed while it was fetched", "large.csv")
	if closed := c.Close(); !errors.Is(err, ingest.ErrChanged) || !errors.Is(closed, ingest.ErrChanged) {
		t.Errorf("read %v, close %v", err, closed)
	}
	if data, err := fetched(t, d, "x.csv"); data != "two" {
		t.Errorf("fetched %q, %v", data, err)
	}
}

// TestCutArchive cuts an archive after each of its bytes: it is always said,
// and by name.
func TestCutArchive(t *testing.T) {
	whole := zipOf(t, plain("x.csv", strings.Repeat("x,1\n", 50)), plain("y.csv", strings.Repeat("y,1\n", 50)))
	root := t.TempDir()
	for n := range whole {
		if err := os.WriteFile(root+"/all.zip", whole[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		d := newDir(t, source.Options{Source: "s"}, root)
		got, faults := listing(t, d)
		if len(got) != 0 || len(faults) != 1 || !strings.Contains(faults["all.zip"].Error(), root+"/all.zip") {
			t.Fatalf("cut to %d of %d bytes: listed %q, %v", n, len(whole), got, faults)
		}
		d.Close()
	}
}

// FuzzArchive holds this package's reading of an archive against archive/zip's:
// what both list must agree, and what is fetched must be what archive/zip
// unpacks. Nothing may panic, or give bytes that fail the checksum.
func FuzzArchive(f *testing.F) {
	good := zipOf(f, plain("x.csv", strings.Repeat("x,1\n", 50)), plain("d/y.csv", "y"), zipped{header: zip.FileHeader{Name: "z", Method: zip.Store}, data: "stored"})
	f.Add(good)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 { // what a plain run of the tests tries
		bad := slices.Clone(good)
		for range 1 + r.IntN(3) {
			bad[r.IntN(len(bad))] = byte(r.Uint32())
		}
		f.Add(bad)
	}
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, archive []byte) {
		path := filepath.Join(root, "all.zip")
		if err := os.WriteFile(path, archive, 0o644); err != nil {
			t.Fatal(err)
		}
		d := newDir(t, source.Options{Source: "s", Ignore: []string{}}, root)
		defer d.Close()
		oracle := make(map[string]*zip.File)
		if z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive))); err == nil || errors.Is(err, zip.ErrInsecurePath) {
			for _, m := range z.File {
				oracle[m.Name] = m
			}
		}
		for file, err := range d.Files(t.Context()) {
			if err != nil {
				continue
			}
			name := strings.TrimPrefix(file.Path, "all.zip!")
			theirs, ok := oracle[name]
			if len(oracle) > 0 && (!ok || file.Size != int64(theirs.UncompressedSize64)) {
				t.Errorf("listed %q with %d bytes, and archive/zip has %v", name, file.Size, theirs)
			}
			data, err := fetchedFrom(t, d, file.Path)
			if err != nil || !ok {
				continue
			}
			in, err := theirs.Open()
			if err != nil {
				t.Errorf("fetched %q, which archive/zip does not open: %v", name, err)
				continue
			}
			want, err := io.ReadAll(in)
			// archive/zip also looks at the checksum that may follow the data a
			// second time, or misses it: bytes that agree with the directory's are as good.
			followed := err == nil || errors.Is(err, zip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF)
			if in.Close(); !followed || data != string(want) {
				t.Errorf("fetched %q of %q, and archive/zip %q, %v", data, name, want, err)
			}
		}
	})
}

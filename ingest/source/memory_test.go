package source_test

import (
	"archive/zip"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"penstock/ingest/source"
	"penstock/ingest/source/sourcetest"
)

// TestListMemory lists many files in one folder, many folders, and an archive
// of many members, and checks that what is held meanwhile does not grow with
// them: a listing's memory is that of one batch for each level, and 16 bytes a
// member of an open archive.
func TestListMemory(t *testing.T) {
	sourcetest.OneGoroutine(t)
	n := 20000
	if s := os.Getenv("PENSTOCK_TEST_FILES"); s != "" { // 1,000,000 takes a minute or two
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	root := t.TempDir()
	for i := range n {
		if err := os.WriteFile(mkdir(t, fmt.Sprintf("%s/one/logger-%07d.csv", root, i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n / 10 {
		if err := os.WriteFile(mkdir(t, fmt.Sprintf("%s/many/logger-%07d/x.csv", root, i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	members(t, mkdir(t, root+"/zip/all.zip"), n)

	for _, c := range []struct {
		folder string
		files  int
		limit  int // bytes held at any moment of the listing
	}{
		{"one", n, 1 << 20},
		{"many", n / 10, 1 << 20},
		{"zip", n, 1<<20 + 16*n},
	} {
		d := newDir(t, source.Options{Source: "s"}, root+"/"+c.folder)
		before := held()
		var most, files int
		for _, err := range d.Files(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if files++; files%(c.files/5) == 0 {
				most = max(most, held()-before)
			}
		}
		t.Logf("%s: %d files, at most %d KiB held", c.folder, files, most>>10)
		if files != c.files || most > c.limit {
			t.Errorf("%s: listed %d files of %d, with %d bytes held, over %d", c.folder, files, c.files, most, c.limit)
		}
		d.Close()
	}
}

// held is how many bytes of the heap are in use.
func held() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func mkdir(t testing.TB, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// members writes an archive of n small members.
func members(t testing.TB, path string, n int) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := zip.NewWriter(file)
	for i := range n {
		f, err := w.Create(fmt.Sprintf("district-%03d/logger-%07d_20260101.csv", i/1000, i))
		if err == nil {
			_, err = fmt.Fprintf(f, "L%d,flow,2026-01-01T00:00:00Z,%d.5\n", i, i)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

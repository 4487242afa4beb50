//go:build unix

package source_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
)

// site writes n small logger files into folders of 1,000.
func site(tb testing.TB, n int) string {
	tb.Helper()
	root := tb.TempDir()
	for i := range n {
		folder := filepath.Join(root, fmt.Sprintf("district-%03d", i/1000))
		if i%1000 == 0 {
			if err := os.Mkdir(folder, 0o755); err != nil {
				tb.Fatal(err)
			}
		}
		text := fmt.Sprintf("logger,channel,time,value\nL%05d,flow,2026-01-01T00:00:00Z,%d.5\nL%05d,pressure,2026-01-01T00:00:00Z,%d.25\n", i, i, i, i)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("logger-%05d_20260101.csv", i)), []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return root
}

// BenchmarkList lists 27,000 files in 27 folders. The metric x-walkdir is the
// time of Dir over that of filepath.WalkDir with Info, the two taken in turns.
func BenchmarkList(b *testing.B) {
	root := site(b, 27000)
	d, err := source.NewDir(source.Options{}, root)
	if err != nil {
		b.Fatal(err)
	}
	ours := func() (n int) {
		for _, err := range d.Files(context.Background()) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		return n
	}
	floor := func() (n int) {
		err := filepath.WalkDir(root, func(_ string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				if _, err = e.Info(); err == nil {
					n++
				}
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	b.ReportAllocs()
	b.ReportMetric(ratio(b, 27000, ours, floor), "x-walkdir")
}

// BenchmarkFetch fetches 27,000 files with two goroutines. The metric x-bare is
// the time of Fetch over that of open, read and close alone.
func BenchmarkFetch(b *testing.B) {
	root := site(b, 27000)
	d, err := source.NewDir(source.Options{}, root)
	if err != nil {
		b.Fatal(err)
	}
	var files []ingest.File
	for f, err := range d.Files(context.Background()) {
		if err != nil {
			b.Fatal(err)
		}
		files = append(files, f)
	}
	ours := func() int {
		return twice(files, func(part []ingest.File) (n int) {
			var c ingest.Content
			for _, f := range part {
				if err := d.Fetch(context.Background(), f, &c); err == nil && len(c.Data) > 0 {
					n++
				}
			}
			return n
		})
	}
	floor := func() int {
		return twice(files, func(part []ingest.File) (n int) {
			buf := make([]byte, 64<<10)
			for _, f := range part {
				fd, err := syscall.Open(f.Path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
				if err != nil {
					continue
				}
				if r, _ := syscall.Read(fd, buf); r > 0 {
					n++
				}
				syscall.Close(fd)
			}
			return n
		})
	}
	b.ReportAllocs()
	b.ReportMetric(ratio(b, len(files), ours, floor), "x-bare")
}

// twice gives each of two goroutines one half of files and adds what they
// return.
func twice(files []ingest.File, do func([]ingest.File) int) int {
	var sums [2]int
	var wg sync.WaitGroup
	for i := range sums {
		wg.Go(func() { sums[i] = do(files[i*len(files)/2 : (i+1)*len(files)/2]) })
	}
	wg.Wait()
	return sums[0] + sums[1]
}

// ratio runs ours b.N times, each beside a run of floor, and returns the
// median of ours over that of floor. Both must count want.
func ratio(b *testing.B, want int, ours, floor func() int) float64 {
	var took [2][]time.Duration
	b.ResetTimer()
	for b.Loop() {
		for i, run := range []func() int{ours, floor} {
			if i == 1 {
				b.StopTimer()
			}
			start := time.Now()
			n := run()
			took[i] = append(took[i], time.Since(start))
			if n != want {
				b.Fatalf("run %d counted %d, want %d", i, n, want)
			}
		}
		b.StartTimer()
	}
	slices.Sort(took[0])
	slices.Sort(took[1])
	return took[0][len(took[0])/2].Seconds() / took[1][len(took[1])/2].Seconds()
}

// BenchmarkFetchMembers lists and fetches the 27,000 members of one archive.
// The metric x-archive/zip is the time over that of archive/zip, opening the
// archive once and reading each member into the same buffer.
func BenchmarkFetchMembers(b *testing.B) {
	path := b.TempDir() + "/all.zip"
	members(b, path, 27000)
	ours := func() (n int) {
		d := newDir(b, source.Options{}, path)
		defer d.Close()
		var c ingest.Content
		for f, err := range d.Files(context.Background()) {
			if err == nil {
				err = d.Fetch(context.Background(), f, &c)
			}
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		return n
	}
	floor := func() (n int) {
		z, err := zip.OpenReader(path)
		if err != nil {
			b.Fatal(err)
		}
		defer z.Close()
		var buf bytes.Buffer
		for _, m := range z.File {
			in, err := m.Open()
			if err == nil {
				buf.Reset()
				_, err = buf.ReadFrom(in)
				in.Close()
			}
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		return n
	}
	b.ReportAllocs()
	b.ReportMetric(ratio(b, 27000, ours, floor), "x-archive/zip")
}

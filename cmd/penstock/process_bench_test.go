package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/bench"
	"penstock/store/pglocal/pgtest"
)

// These run the program within the test, so that all profiles can be taken of it:
//
//	go test ./cmd/penstock -run '^$' -bench 'Replay|Daemon' -benchtime 3x -mutexprofile mutex.out -blockprofile block.out -memprofile memory.out

const benchFilesEach = 27_000 // of two readings

// BenchmarkReplay is a replay of a folder of small files, each time into an empty
// schema.
func BenchmarkReplay(b *testing.B) {
	url, dir := pgtest.Database(b), benchCorpus(b)
	var taken taken
	for b.Loop() {
		b.StopTimer()
		execute(b, url, "drop schema if exists penstock cascade")
		runWell(b, "--store", url, "migrate")
		b.StartTimer()
		taken.during(func() { runWell(b, "--store", url, "replay", "--quiet", dir) })
	}
	taken.report(b, b.N*benchFilesEach)
}

// BenchmarkDaemon is 'penstock run' from its start with a full folder until all of
// it is loaded, and a signal ends it.
func BenchmarkDaemon(b *testing.B) {
	url, dir := pgtest.Database(b), benchCorpus(b)
	config := filepath.Join(b.TempDir(), "penstock.yaml")
	text := fmt.Sprintf("store: {url: %q}\narchive: {dir: archive}\nsources:\n  - {name: north, url: %q, poll: 1s, settle: 0}\n", url, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	var taken taken
	for b.Loop() {
		b.StopTimer()
		execute(b, url, "drop schema if exists penstock cascade")
		if err := os.RemoveAll(filepath.Join(filepath.Dir(config), "archive")); err != nil {
			b.Fatal(err)
		}
		runWell(b, "--store", url, "migrate")
		b.StartTimer()
		taken.during(func() {
			done := make(chan struct{})
			go func() {
				defer close(done)
				runWell(b, "run", "-c", config)
			}()
			awaitLoaded(b, url, benchFilesEach)
			if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
				b.Error(err)
			}
			<-done
		})
	}
	taken.report(b, b.N*benchFilesEach)
}

func benchCorpus(b *testing.B) (dir string) {
	dir = filepath.Join(b.TempDir(), "files")
	if err := (bench.Corpus{Files: benchFilesEach, Readings: 2}).Write(dir); err != nil {
		b.Fatal(err)
	}
	return dir
}

func runWell(b *testing.B, args ...string) {
	var said strings.Builder
	if code := run(args, []string{"PATH=" + os.Getenv("PATH")}, strings.NewReader(""), io.Discard, &said); code != exitWell {
		b.Errorf("penstock %s: exit code %d\n%s", strings.Join(args, " "), code, said.String())
	}
}

// awaitLoaded returns when so many files are loaded.
func awaitLoaded(b *testing.B, url string, files int) {
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-look.C {
		n := 0
		if err := conn.QueryRow(b.Context(), "select count(*) from penstock.files where state = 'loaded'").Scan(&n); err != nil {
			b.Fatal(err)
		}
		if n == files {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%d files were loaded within a minute, not %d", n, files)
		}
	}
}

func execute(b *testing.B, url, sql string) {
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	if _, err := conn.Exec(b.Context(), sql); err != nil {
		b.Fatal(err)
	}
}

// taken is what runs took of the memory.
type taken struct{ mallocs, bytes, collections uint64 }

func (t *taken) during(do func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	t.mallocs += after.Mallocs - before.Mallocs
	t.bytes += after.TotalAlloc - before.TotalAlloc
	t.collections += uint64(after.NumGC - before.NumGC)
}

func (t *taken) report(b *testing.B, files int) {
	b.ReportMetric(float64(t.mallocs)/float64(files), "allocs/file")
	b.ReportMetric(float64(t.mallocs)/float64(2*files), "allocs/reading")
	b.ReportMetric(float64(t.bytes)/float64(files), "B/file")
	b.ReportMetric(float64(t.collections)/float64(b.N), "collections")
}

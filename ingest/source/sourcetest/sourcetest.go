// Package sourcetest is the suite that every source of files passes: what
// [ingest.Source] promises, and what the pipeline relies on, held against real
// files at a real place.
package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"penstock/ingest"
)

// A Site is a place with files at it, empty at first. Its methods are called
// by the test's goroutine only, and fail the test when they cannot do what they
// are asked.
type Site interface {
	// Put writes a file, with the folders that path needs. A file that is there
	// is replaced in one step.
	Put(path string, data []byte, modified time.Time)

	// Remove removes a file.
	Remove(path string)

	// Source returns a source of the site, with all set to end the listing when
	// all was listed. Every call returns a new one.
	Source() ingest.Source

	// Path is the File.Path of what was put under path.
	Path(path string) string
}

// A Place says how sites of one kind are made.
type Place struct {
	// Open returns an empty site. What it needs ends with the test.
	Open func(t *testing.T) Site

	// Names are file names that the place can hold and that its source must
	// list and fetch. It should be OddNames, but for those that the place
	// itself refuses.
	Names []string

	// Members says that the files are members of an archive.
	Members bool
}

// OddNames are names that loggers, and those who copy their files about, do
// produce. They are bytes, and no encoding is promised.
var OddNames = []string{
	"two words.csv",
	"new\nline.csv",
	"carriage\rreturn.csv",
	"escape\x1b[31mred.csv",
	"latin-1 \xe9\xff.csv",
	"Zürich Überlauf.csv",
	"bang!.csv",
	"a.zip!b.csv",
	"-rf.csv",
	"star*[x]?.csv",
	`back\slash.csv`,
	`C:\data\x.csv`,
	"~tilde.csv",
	"100%25.csv",
	"'quote\".csv",
	" leading and trailing ",
	"no-extension",
}

// Test runs the suite.
func Test(t *testing.T, p Place) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Site)
	}{
		{"lists an empty place", testEmpty},
		{"lists each file once", testList},
		{"ends a listing early", testListEarly},
		{"ends a listing with its context", testListCancel},
		{"fetches sizes whole", testSizes},
		{"reuses the buffer", testReuse},
		{"fetches concurrently", testConcurrent},
		{"fetches nothing once its context ended", testFetchCancel},
		{"says when a file is missing", testMissing},
		{"fetches a replaced file as it is", testReplaced},
		{"lists a replaced file anew", testListReplaced},
		{"streams to the end", testStream},
		{"closes a stream half read", testStreamPart},
		{"ends a stream with its context", testStreamCancel},
		{"never mixes two versions in a stream", testStreamReplaced},
		{"fetches what a file gained", testGrown},
		{"takes Done twice", testDone},
	} {
		t.Run(c.name, func(t *testing.T) {
			site := p.Open(t)
			tidy(t)
			c.run(t, site)
		})
	}
	for _, c := range testsOfSettling {
		t.Run(c.name, func(t *testing.T) {
			if p.Members {
				t.Skip("an archive settles as one")
			}
			site := p.Open(t)
			tidy(t)
			c.run(t, site)
		})
	}
	for _, c := range testsOfDone {
		t.Run(c.name, func(t *testing.T) {
			site, ok := p.Open(t).(TidySite)
			if !ok {
				t.Skip("nothing goes from here")
			}
			tidy(t)
			c.run(t, site)
		})
	}
	t.Run("carries odd names", func(t *testing.T) {
		site := p.Open(t)
		tidy(t)
		testNames(t, site, p.Names)
	})
}

// tidy checks at the end of the test that it left no goroutine and no open
// file behind.
func tidy(t *testing.T) {
	others, files := goleak.IgnoreCurrent(), openFiles()
	t.Cleanup(func() {
		goleak.VerifyNone(t, others)
		if now := openFiles(); now > files {
			t.Errorf("%d files are open, and %d were at the start", now, files)
		}
	})
}

// openFiles counts the process's open files, where the system tells.
func openFiles() int {
	names, _ := filepath.Glob("/proc/self/fd/*")
	return len(names)
}

// source returns a source of the site that is closed with the test.
func source(t *testing.T, site Site) ingest.Source {
	s := site.Source()
	if c, ok := s.(io.Closer); ok {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("closing the source: %v", err)
			}
		})
	}
	return s
}

// list returns all files by path, and fails on an error or a path that is
// there twice.
func list(t *testing.T, s ingest.Source) map[string]ingest.File {
	t.Helper()
	all := make(map[string]ingest.File)
	for f, err := range s.Files(t.Context()) {
		if err != nil {
			t.Fatalf("listing %s: %v", ingest.EscapePath(f.Path), err)
		}
		if _, ok := all[f.Path]; ok {
			t.Errorf("%s is listed twice", ingest.EscapePath(f.Path))
		}
		if f.Source != s.Name() {
			t.Errorf("%s is of the source %q, and the source is %q", ingest.EscapePath(f.Path), f.Source, s.Name())
		}
		all[f.Path] = f
	}
	return all
}

// only lists the site, which must hold the file put under path and no other.
func only(t *testing.T, site Site, s ingest.Source, path string) ingest.File {
	t.Helper()
	all := list(t, s)
	f, ok := all[site.Path(path)]
	if !ok || len(all) != 1 {
		t.Fatalf("listed %v, want %s alone", all, site.Path(path))
	}
	return f
}

// check fails unless f tells the size and time of what was put, as far as the
// source can tell them.
func check(t *testing.T, f ingest.File, data []byte, modified time.Time) {
	t.Helper()
	if f.Size >= 0 && f.Size != int64(len(data)) {
		t.Errorf("%s: size %d, want %d", ingest.EscapePath(f.Path), f.Size, len(data))
	}
	if f.Precision != ingest.Unknown && !ingest.SameModified(f.Modified, f.Precision, ingest.Micros(modified), ingest.Micro) {
		t.Errorf("%s: modified %v in steps of %d us, want %v", ingest.EscapePath(f.Path), ingest.FromMicros(f.Modified), f.Precision, modified)
	}
}

// fetch reads f and all of its stream, and fails unless it has that content.
func fetch(t *testing.T, s ingest.Source, f ingest.File, c *ingest.Content, data []byte, modified time.Time) {
	t.Helper()
	start := ingest.Micros(time.Now())
	if err := s.Fetch(t.Context(), f, c); err != nil {
		t.Fatalf("fetching: %v", err)
	}
	got, large := c.Data, c.Stream != nil
	if large {
		var err error
		if got, err = io.ReadAll(c.Stream); err != nil {
			t.Fatalf("reading the stream of %s: %v", ingest.EscapePath(f.Path), err)
		}
	}
	if err := c.Close(); err != nil {
		t.Errorf("closing %s: %v", ingest.EscapePath(f.Path), err)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("%s: fetched %d bytes that are not the %d put there", ingest.EscapePath(f.Path), len(got), len(data))
	}
	if large != (len(data) > ingest.SpoolAbove) {
		t.Errorf("%s: %d bytes came as a stream: %t", ingest.EscapePath(f.Path), len(data), large)
	}
	if c.File.Path != f.Path || c.File.Source != f.Source || c.File.Size != int64(len(data)) {
		t.Errorf("the content's file is %+v, want that of %+v", c.File, f)
	}
	check(t, c.File, data, modified)
	if c.Fetched < start || c.Fetched > ingest.Micros(time.Now()) {
		t.Errorf("%s: fetched at %v", ingest.EscapePath(f.Path), ingest.FromMicros(c.Fetched))
	}
}

// holdsNothing fails unless c is as Fetch must leave it with an error.
func holdsNothing(t *testing.T, c *ingest.Content) {
	t.Helper()
	if len(c.Data) != 0 || c.Stream != nil {
		t.Errorf("after an error the content holds %d bytes and the stream %v", len(c.Data), c.Stream)
	}
}

// then is when the suite's files were modified: long settled.
var then = time.Date(2026, 1, 31, 23, 59, 57, 0, time.UTC)

// text is n bytes that tell one seed, and one place, from another.
func text(n int, seed uint64) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	if _, err := r.Read(data); err != nil {
		panic(err) // it never fails
	}
	return data
}

func testEmpty(t *testing.T, site Site) {
	if all := list(t, source(t, site)); len(all) != 0 {
		t.Errorf("listed %v", all)
	}
}

func testList(t *testing.T, site Site) {
	want := make(map[string][]byte)
	for i := range 600 {
		path := fmt.Sprintf("district-%d/%04d/logger.csv", i%3, i)
		if i%2 == 0 {
			path = fmt.Sprintf("logger-%04d.csv", i)
		}
		want[path] = text(i%97, uint64(i))
		site.Put(path, want[path], then.Add(time.Duration(i)*time.Minute))
	}
	s := source(t, site)
	for range 2 { // a source can be listed again
		all := list(t, s)
		if len(all) != len(want) {
			t.Fatalf("listed %d files, want %d", len(all), len(want))
		}
		for path, data := range want {
			f, ok := all[site.Path(path)]
			if !ok {
				t.Fatalf("%s is not listed", path)
			}
			var i int
			if _, err := fmt.Sscanf(filepath.Base(path), "logger-%04d.csv", &i); err != nil {
				if _, err = fmt.Sscanf(filepath.Base(filepath.Dir(path)), "%04d", &i); err != nil {
					t.Fatalf("%s has no number", path)
				}
			}
			check(t, f, data, then.Add(time.Duration(i)*time.Minute))
		}
	}
}

func testListEarly(t *testing.T, site Site) {
	for i := range 20 {
		site.Put(fmt.Sprintf("a/b/%d.csv", i), text(10, uint64(i)), then)
	}
	n := 0
	for _, err := range source(t, site).Files(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("listed %d files", n)
	}
}

func testListCancel(t *testing.T, site Site) {
	for i := range 200 {
		site.Put(fmt.Sprintf("%d/x.csv", i), nil, then)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range source(t, site).Files(ctx) {
		if last != nil {
			t.Errorf("the listing went on after %v", last)
		}
		if last = err; err == nil {
			if n++; n == 5 {
				cancel()
			}
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the listing ended with %v, want %v", last, context.Canceled)
	}
	if n == 200 {
		t.Error("the listing went on to the end")
	}
}

func testNames(t *testing.T, site Site, names []string) {
	for i, name := range names {
		site.Put("odd/"+name, text(100+i, uint64(i)), then)
	}
	s := source(t, site)
	all := list(t, s)
	if len(all) != len(names) {
		t.Errorf("listed %d files, want %d", len(all), len(names))
	}
	var c ingest.Content
	for i, name := range names {
		f, ok := all[site.Path("odd/"+name)]
		if !ok {
			t.Errorf("%q is not listed", name)
			continue
		}
		fetch(t, s, f, &c, text(100+i, uint64(i)), then)
	}
}

func testDone(t *testing.T, site Site) {
	site.Put("x.csv", text(10, 1), then)
	s := source(t, site)
	f := only(t, site, s, "x.csv")
	for range 2 {
		if err := s.Done(t.Context(), f, ingest.Outcome{File: f, State: ingest.Loaded}); err != nil {
			t.Errorf("done: %v", err)
		}
	}
}

// isMissing fails unless err says that a file is not there, by name.
func isMissing(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want an error that wraps %v", err, os.ErrNotExist)
	}
}

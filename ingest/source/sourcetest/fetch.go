package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/ingest"
)

func testSizes(t *testing.T, site Site) {
	sizes := []int{0, 1, 4095, 4096, 4097, 1 << 20, ingest.SpoolAbove - 1, ingest.SpoolAbove, ingest.SpoolAbove + 1}
	if UnderRace { // a byte more or less is for the suite without the detector
		sizes = []int{0, 1, 1 << 20, ingest.SpoolAbove + 1}
	}
	for i, n := range sizes {
		site.Put(fmt.Sprintf("%d.csv", n), text(n, uint64(i)), then)
	}
	s := source(t, site)
	all := list(t, s)
	var c ingest.Content
	for _, up := range []bool{true, false} {
		for i, n := range sizes {
			if !up {
				i = len(sizes) - 1 - i
				n = sizes[i]
			}
			f := all[site.Path(fmt.Sprintf("%d.csv", n))]
			fetch(t, s, f, &c, text(n, uint64(i)), then)
			if up { // a listing that does not tell must do as well
				f.Size, f.Modified, f.Precision = -1, 0, ingest.Unknown
				fetch(t, s, f, &c, text(n, uint64(i)), then)
			}
		}
	}
}

func testReuse(t *testing.T, site Site) {
	site.Put("large.csv", text(1<<20, 1), then)
	site.Put("small.csv", text(1000, 2), then)
	s := source(t, site)
	all := list(t, s)
	var c ingest.Content
	fetch(t, s, all[site.Path("large.csv")], &c, text(1<<20, 1), then)
	buf := &c.Data[0]
	for range 3 {
		fetch(t, s, all[site.Path("small.csv")], &c, text(1000, 2), then)
		if &c.Data[0] != buf {
			t.Fatal("the small file is not in the large one's buffer")
		}
	}
}

func testConcurrent(t *testing.T, site Site) {
	const files, workers = 100, 8
	for i := range files {
		site.Put(fmt.Sprintf("%d.csv", i), text(i*7, uint64(i)), then)
	}
	s := source(t, site)
	all := list(t, s)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var c ingest.Content
			for i := range files {
				i = (i + w*files/workers) % files
				if err := s.Fetch(t.Context(), all[site.Path(fmt.Sprintf("%d.csv", i))], &c); err != nil {
					t.Errorf("fetching: %v", err)
				} else if !bytes.Equal(c.Data, text(i*7, uint64(i))) {
					t.Errorf("file %d has not its own content", i)
				}
			}
		})
	}
	wg.Wait()
}

func testFetchCancel(t *testing.T, site Site) {
	site.Put("x.csv", text(10, 1), then)
	s := source(t, site)
	f := only(t, site, s, "x.csv")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var c ingest.Content
	if err := s.Fetch(ctx, f, &c); !errors.Is(err, context.Canceled) {
		t.Errorf("fetching with a context that ended: %v", err)
	}
	holdsNothing(t, &c)
	fetch(t, s, f, &c, text(10, 1), then)
}

func testMissing(t *testing.T, site Site) {
	site.Put("stays.csv", text(10, 1), then)
	site.Put("goes.csv", text(20, 2), then)
	s := source(t, site)
	all := list(t, s)
	site.Remove("goes.csv")

	gone := all[site.Path("goes.csv")]
	never := gone
	never.Path = site.Path("new\nline/never was.csv")
	var c ingest.Content
	for _, f := range []ingest.File{gone, never} {
		fetch(t, s, all[site.Path("stays.csv")], &c, text(10, 1), then)
		err := s.Fetch(t.Context(), f, &c)
		isMissing(t, err)
		holdsNothing(t, &c)
		if err == nil {
			continue
		}
		t.Logf("the message: %v", err)
		if !strings.Contains(err.Error(), ingest.EscapePath(f.Path)) {
			t.Errorf("%q does not name %q", err, ingest.EscapePath(f.Path))
		}
		if strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q has control codes in it", err)
		}
	}
	// What can still be had is not disturbed.
	fetch(t, s, all[site.Path("stays.csv")], &c, text(10, 1), then)
}

func testReplaced(t *testing.T, site Site) {
	later := then.Add(time.Hour)
	for i, data := range [][]byte{text(5000, 1), text(10, 2), text(90000, 3), text(90000, 4), nil, text(ingest.SpoolAbove+1, 5), text(10, 6)} {
		site.Put("x.csv", text(100, 0), then)
		s := source(t, site)
		f := only(t, site, s, "x.csv")
		site.Put("x.csv", data, later)
		var c ingest.Content
		if err := s.Fetch(t.Context(), f, &c); errors.Is(err, ingest.ErrChanged) {
			holdsNothing(t, &c)
		} else if err != nil {
			t.Errorf("replacement %d: %v", i, err)
		} else {
			if err := c.Close(); err != nil {
				t.Errorf("replacement %d: %v", i, err)
			}
			fetch(t, s, f, &c, data, later)
		}
		site.Remove("x.csv")
	}
}

func testListReplaced(t *testing.T, site Site) {
	site.Put("x.csv", text(100, 1), then)
	s := source(t, site)
	first := only(t, site, s, "x.csv")
	site.Put("x.csv", text(101, 2), then.Add(time.Hour))
	second := only(t, site, s, "x.csv")
	if first == second {
		t.Errorf("both listings say %+v", first)
	}
	var c ingest.Content
	fetch(t, s, second, &c, text(101, 2), then.Add(time.Hour))
}

const large = ingest.SpoolAbove + 100_000

// stream puts a large file, fetches it and returns its content.
func stream(ctx context.Context, t *testing.T, site Site) *ingest.Content {
	t.Helper()
	site.Put("large.csv", text(large, 1), then)
	s := source(t, site)
	c := new(ingest.Content)
	if err := s.Fetch(ctx, only(t, site, s, "large.csv"), c); err != nil {
		t.Fatal(err)
	}
	if c.Stream == nil || len(c.Data) != 0 {
		t.Fatalf("%d bytes came as %d bytes of data and the stream %v", large, len(c.Data), c.Stream)
	}
	return c
}

func testStream(t *testing.T, site Site) {
	want := text(large, 1)
	for _, piece := range []int{large + 1, large, 65536, 4097} {
		c := stream(t.Context(), t, site)
		var got []byte
		var err error
		for buf := make([]byte, piece); err == nil; {
			var n int
			n, err = c.Stream.Read(buf)
			got = append(got, buf[:n]...)
		}
		if err != io.EOF || !bytes.Equal(got, want) {
			t.Errorf("in pieces of %d: %d bytes of %d, equal: %t, then %v", piece, len(got), large, bytes.Equal(got, want), err)
		}
		for _, read := range []int64{large, 1000} { // the second time not to the end
			if err := c.Stream.(ingest.Rewinder).Rewind(read == large); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(io.LimitReader(c.Stream, read))
			if err != nil || !bytes.Equal(got, want[:read]) {
				t.Errorf("read again: %d bytes of %d, equal: %t, then %v", len(got), read, bytes.Equal(got, want[:read]), err)
			}
		}
		if err := c.Stream.(ingest.Rewinder).Rewind(false); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c.Stream); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read again after a part: %d bytes of %d, equal: %t, then %v", len(got), large, bytes.Equal(got, want), err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	// To the last byte, without asking for what is not there.
	c := stream(t.Context(), t, site)
	got := make([]byte, large)
	if _, err := io.ReadFull(c.Stream, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("reading all: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func testStreamPart(t *testing.T, site Site) {
	for _, n := range []int{0, 1, large / 2} {
		c := stream(t.Context(), t, site)
		s := c.Stream
		if _, err := io.CopyN(io.Discard, s, int64(n)); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("close after %d bytes: %v", n, err)
		}
		if n, err := s.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("read after close: %d bytes, %v", n, err)
		}
	}
}

func testStreamCancel(t *testing.T, site Site) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := stream(ctx, t, site)
	if _, err := io.CopyN(io.Discard, c.Stream, 100); err != nil {
		t.Error(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, c.Stream); !errors.Is(err, context.Canceled) || n > 1<<20 {
		t.Errorf("after the context ended: %d more bytes, then %v", n, err)
	}
	_ = c.Close() // it may say that the reading was broken off
}

func testStreamReplaced(t *testing.T, site Site) {
	for _, size := range []int{large, large / 2, 10} {
		c := stream(t.Context(), t, site)
		got := make([]byte, large/2)
		if _, err := io.ReadFull(c.Stream, got); err != nil {
			t.Fatal(err)
		}
		site.Put("large.csv", text(size, 2), then.Add(time.Hour))
		rest, err := io.ReadAll(c.Stream)
		closed := c.Close()
		switch {
		case errors.Is(err, ingest.ErrChanged) || errors.Is(closed, ingest.ErrChanged):
		case err != nil || closed != nil:
			t.Errorf("replaced by %d bytes: read %v, close %v, want %v if any", size, err, closed, ingest.ErrChanged)
		case !bytes.Equal(slices.Concat(got, rest), text(large, 1)):
			t.Errorf("replaced by %d bytes: no error, and %d bytes that are not those of before", size, len(got)+len(rest))
		}
		site.Remove("large.csv")
	}
}

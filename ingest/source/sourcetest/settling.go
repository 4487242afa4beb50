package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"penstock/ingest"
	sources "penstock/ingest/source"
)

// testsOfSettling are run on every site but archives, with an age so short that what is
// counted is the looks.
var testsOfSettling = []struct {
	name string
	run  func(*testing.T, Site)
}{
	{"settles in two looks", testSettling},
	{"fetches only what had settled", testSettledFetch},
	{"hints what has settled", testSettledHints},
	{"waits for markers", testMarkers},
}

// settle returns a source of the site's files that have settled.
func settle(t *testing.T, site Site, o sources.Settling) *sources.Settled {
	t.Helper()
	s, err := sources.Settle(source(t, site), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lists fails unless the next listing has exactly these files, and holds back
// that many.
func lists(t *testing.T, site Site, s *sources.Settled, held int, want ...string) map[string]ingest.File {
	t.Helper()
	all := list(t, s)
	for _, p := range want {
		if _, ok := all[site.Path(p)]; !ok {
			t.Errorf("%s is not listed", p)
		}
	}
	if len(all) != len(want) {
		t.Errorf("listed %v, want %q", all, want)
	}
	if n := s.Settling(); n != held {
		t.Errorf("%d files are settling, want %d", n, held)
	}
	return all
}

// canLocate reports whether s can look at a file by its path.
func canLocate(s ingest.Source) bool {
	_, ok := s.(interface {
		Locate(ctx context.Context, path string) (ingest.File, error)
	})
	return ok
}

func testSettling(t *testing.T, site Site) {
	site.Put("a/x.csv", text(10, 1), then)
	site.Put("y.csv", text(11, 2), then)
	for _, name := range []string{"a/x.csv.tmp", "y.csv.part", "~y.csv", ".y.csv", "y.csv.filepart", "y.csv.uploading", "a/y.crdownload"} {
		site.Put(name, text(12, 3), then)
	}
	s := settle(t, site, sources.Settling{Age: time.Nanosecond})
	if s.Settling() != 0 {
		t.Error("files are settling before the first listing")
	}
	lists(t, site, s, 2)
	for range 2 { // it is not asked again for what it knows
		lists(t, site, s, 0, "a/x.csv", "y.csv")
	}
	site.Put("y.csv", text(12, 4), then.Add(time.Hour))
	site.Put("z.csv", text(13, 5), then.Add(-time.Hour)) // old, but who knows for how long it has been here
	lists(t, site, s, 2, "a/x.csv")
	site.Put("z.csv", text(14, 5), then.Add(-time.Hour))
	lists(t, site, s, 1, "a/x.csv", "y.csv")
	lists(t, site, s, 0, "a/x.csv", "y.csv", "z.csv")
	// One that went and came back with the same size and time is a new one.
	site.Remove("y.csv")
	lists(t, site, s, 0, "a/x.csv", "z.csv")
	site.Put("y.csv", text(12, 6), then.Add(time.Hour))
	lists(t, site, s, 1, "a/x.csv", "z.csv")
	lists(t, site, s, 0, "a/x.csv", "y.csv", "z.csv")

	// Without an age all is listed at once, but what has the name of a part.
	lists(t, site, settle(t, site, sources.Settling{}), 0, "a/x.csv", "y.csv", "z.csv")
	lists(t, site, settle(t, site, sources.Settling{Temporary: []string{"x.*", ".*", "~*", "*.p*", "*.u*", "*.cr*", "*.fi*"}}), 0, "y.csv", "z.csv")
}

func testSettledFetch(t *testing.T, site Site) {
	site.Put("x.csv", text(10, 1), then)
	s := settle(t, site, sources.Settling{Age: time.Nanosecond})
	list(t, s)
	f := list(t, s)[site.Path("x.csv")]
	var c ingest.Content
	fetch(t, s, f, &c, text(10, 1), then)
	for i, size := range []int{11, 0, large} { // it is being uploaded anew
		site.Put("x.csv", text(size, 2), then.Add(time.Minute))
		if err := s.Fetch(t.Context(), f, &c); !errors.Is(err, ingest.ErrChanged) {
			t.Errorf("upload %d: %v", i, err)
		}
		holdsNothing(t, &c)
	}
	if err := s.FetchGain(t.Context(), f, new(ingest.Growth), &c); err == nil {
		t.Error("what a file gained was fetched, and it is another")
	}
	holdsNothing(t, &c)
	list(t, s)
	fetch(t, s, list(t, s)[site.Path("x.csv")], &c, text(large, 2), then.Add(time.Minute))
}

// hints runs the watching of s until the test ends, and returns what it hints.
func hints(t *testing.T, s ingest.Watcher) <-chan ingest.File {
	ctx, cancel := context.WithCancel(t.Context())
	all, ended := make(chan ingest.File), make(chan error, 1)
	go func() {
		ended <- s.Watch(ctx, func(f ingest.File) {
			select {
			case all <- f:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the watching ended with %v", err)
		}
	})
	return all
}

func testSettledHints(t *testing.T, site Site) {
	if !canLocate(source(t, site)) {
		t.Skip("the source can only be listed")
	}
	want := make(map[string][]byte)
	for i := range 20 {
		p := fmt.Sprintf("%d/x.csv", i)
		want[site.Path(p)] = text(10+i, uint64(i))
		site.Put(p, text(10+i, uint64(i)), then)
	}
	s := settle(t, site, sources.Settling{Age: time.Nanosecond})
	hinted := hints(t, s)
	for f, err := range s.Files(t.Context()) { // what the watching was faster with
		if err != nil {
			t.Error(err)
		}
		fetch(t, s, f, new(ingest.Content), want[f.Path], then)
		delete(want, f.Path)
	}
	var c ingest.Content
	for len(want) > 0 {
		select {
		case f := <-hinted:
			if data, ok := want[f.Path]; ok {
				fetch(t, s, f, &c, data, then)
				delete(want, f.Path)
			}
		case <-t.Context().Done():
			t.Fatalf("not hinted: %d files", len(want))
		}
	}
	if all := list(t, s); len(all) != 20 {
		t.Errorf("listed %d files of what was hinted", len(all))
	}
}

func testMarkers(t *testing.T, site Site) {
	if src := source(t, site); !canLocate(src) {
		if _, err := sources.Settle(src, sources.Settling{Marker: "{name}.done"}); err == nil {
			t.Error("markers are promised of a source that cannot look for them")
		}
		return
	}
	for _, marker := range []string{"{name}.done", "ok_{name}"} {
		for _, age := range []time.Duration{0, time.Nanosecond} {
			mark := func(dir, name string) string {
				if marker == "ok_{name}" {
					return dir + "ok_" + name
				}
				return dir + name + ".done"
			}
			site.Put("a/x.csv", text(10, 1), then)
			site.Put("y.csv", text(10, 1), then)
			site.Put(mark("a/", "x.csv"), nil, then)
			site.Put(mark("a/", "lonely.csv"), nil, then)
			s := settle(t, site, sources.Settling{Age: age, Marker: marker})
			if age > 0 {
				lists(t, site, s, 2)
			}
			for range 2 {
				lists(t, site, s, 1, "a/x.csv")
			}
			site.Put(mark("", "y.csv"), nil, then)
			lists(t, site, s, 0, "a/x.csv", "y.csv")
			for _, p := range []string{"a/x.csv", "y.csv", mark("a/", "x.csv"), mark("a/", "lonely.csv"), mark("", "y.csv")} {
				site.Remove(p)
			}
		}
	}
	if site, ok := site.(TidySite); ok {
		site.Put("a/x.csv", text(10, 1), then)
		site.Put("a/x.csv.done", nil, then)
		site.Put("a/y.csv", text(10, 1), then)
		site.Put("a/y.csv.done", nil, then)
		s, err := sources.Settle(tidying(t, site, deleting), sources.Settling{Marker: "{name}.done"})
		if err != nil {
			t.Fatal(err)
		}
		all := list(t, s)
		finish(t, s, taken(t, s, all[site.Path("a/x.csv")]), loaded)
		finish(t, s, taken(t, s, all[site.Path("a/y.csv")]), ingest.Outcome{State: ingest.Held})
		has(t, site, map[string][]byte{"a/y.csv": text(10, 1), "a/y.csv.done": nil})
	}
}

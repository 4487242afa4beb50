package sourcetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/ingest"
	sources "penstock/ingest/source"
)

// A TidySite is a Site from which files can go when they are done. The suite
// runs its tests of Done on those.
type TidySite interface {
	Site

	// Tidying returns a source as Source does, with that After.
	Tidying(after sources.After) ingest.Source

	// Have returns the content of each file at the site, by the path that Put
	// would be given, whether it is listed or not.
	Have() map[string][]byte
}

// testsOfDone are run on a TidySite.
var testsOfDone = []struct {
	name string
	run  func(*testing.T, TidySite)
}{
	{"keeps what is done", testKeep},
	{"deletes what is done", testDelete},
	{"moves what is done", testMove},
	{"moves odd names as they are", testMoveNames},
	{"takes no other file's place", testCollision},
	{"leaves what changed", testChanged},
	{"deletes nothing that is broken", testBroken},
	{"does nothing once its context ended", testDoneCancel},
	{"tidies concurrently", testTidyConcurrent},
	{"puts back what was set aside", testAside},
}

// moving moves to a folder of the day, deleting deletes.
var (
	moving   = sources.After{Do: sources.Move, To: "done/{yyyy}/{mm}/{dd}"}
	deleting = sources.After{Do: sources.Delete}
)

var loaded = ingest.Outcome{State: ingest.Loaded}

// tidying returns a source of the site that is closed with the test, and must
// say whether it tidies.
func tidying(t *testing.T, site TidySite, after sources.After) ingest.Source {
	t.Helper()
	s := source(t, adapted{site, after})
	if tidier, ok := s.(ingest.Tidier); ok && tidier.Tidies() != after.Tidies() {
		t.Errorf("with %+v the source says that it tidies: %t", after, tidier.Tidies())
	} else if !ok && after.Tidies() {
		t.Error("the source does not say that it tidies")
	}
	return s
}

// adapted makes Source that of After.
type adapted struct {
	TidySite
	after sources.After
}

func (a adapted) Source() ingest.Source { return a.Tidying(a.after) }

// taken fetches f, as the ledger wants it, and returns it as it was fetched.
func taken(t *testing.T, s ingest.Source, f ingest.File) ingest.File {
	t.Helper()
	var c ingest.Content
	if err := s.Fetch(t.Context(), f, &c); err != nil {
		t.Fatalf("fetching: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
	return c.File
}

// finish tells s what became of f, twice. It may find that the file changed.
func finish(t *testing.T, s ingest.Source, f ingest.File, o ingest.Outcome) {
	t.Helper()
	o.File = f
	for range 2 {
		if err := s.Done(t.Context(), f, o); err != nil && !errors.Is(err, ingest.ErrChanged) {
			t.Errorf("done, %s: %v", o.State, err)
		}
	}
}

// has fails unless the site has these files and no others.
func has(t *testing.T, site TidySite, want map[string][]byte) {
	t.Helper()
	have := site.Have()
	for _, p := range slices.Sorted(maps.Keys(have)) {
		if content, ok := want[p]; !ok {
			t.Errorf("%q is there", p)
		} else if !bytes.Equal(content, have[p]) {
			t.Errorf("%q has other content", p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(want)) {
		if _, ok := have[p]; !ok {
			t.Errorf("%q is missing, of %q", p, slices.Sorted(maps.Keys(have)))
		}
	}
}

func testKeep(t *testing.T, site TidySite) {
	site.Put("a/x.csv", text(10, 1), then)
	s := tidying(t, site, sources.After{Do: sources.Keep})
	f := taken(t, s, only(t, site, s, "a/x.csv"))
	for _, state := range []ingest.State{ingest.Loaded, ingest.Quarantined, ingest.Held} {
		finish(t, s, f, ingest.Outcome{State: state})
	}
	has(t, site, map[string][]byte{"a/x.csv": text(10, 1)})
}

func testDelete(t *testing.T, site TidySite) {
	site.Put("a/x.csv", text(10, 1), then)
	site.Put("a/y.csv", text(11, 2), then)
	s := tidying(t, site, deleting)
	f := taken(t, s, list(t, s)[site.Path("a/x.csv")])
	finish(t, s, f, loaded)
	has(t, site, map[string][]byte{"a/y.csv": text(11, 2)})
	f = taken(t, s, only(t, site, s, "a/y.csv"))
	finish(t, s, f, ingest.Outcome{State: ingest.Known, Standing: ingest.Duplicate})
	has(t, site, nil)

	// The same content under the same name, uploaded again, is a file like any
	// other.
	site.Put("a/y.csv", text(11, 2), then.Add(time.Hour))
	finish(t, s, taken(t, s, only(t, site, s, "a/y.csv")), ingest.Outcome{State: ingest.Known, Standing: ingest.Loaded})
	has(t, site, nil)
}

func testMove(t *testing.T, site TidySite) {
	site.Put("a/x.csv", text(10, 1), then)
	site.Put("y", text(large, 2), then.Add(3*time.Second))
	s := tidying(t, site, moving)
	all := list(t, s)
	finish(t, s, taken(t, s, all[site.Path("a/x.csv")]), loaded)
	finish(t, s, taken(t, s, all[site.Path("y")]), loaded)
	has(t, site, map[string][]byte{"done/2026/01/31/a/x.csv": text(10, 1), "done/2026/02/01/y": text(large, 2)})
	if all := list(t, s); len(all) != 0 {
		t.Errorf("what is done is listed: %v", all)
	}
}

func testMoveNames(t *testing.T, site TidySite) {
	// Without a name in it that is for the place itself to refuse.
	names := []string{"two words.csv", "Zürich Überlauf.csv", "-rf.csv", "100%25.csv", ".penstock-aside", "{yyyy}", "done", "no-extension"}
	want := make(map[string][]byte)
	for i, name := range names {
		site.Put("odd/"+name, text(10+i, uint64(i)), then)
		want["done/2026/01/31/odd/"+name] = text(10+i, uint64(i))
	}
	s := tidying(t, site, moving)
	all := list(t, s)
	for _, name := range names {
		if f, ok := all[site.Path("odd/"+name)]; !ok {
			if name != ".penstock-aside" {
				t.Errorf("%q is not listed", name)
			}
			site.Remove("odd/" + name)
			delete(want, "done/2026/01/31/odd/"+name)
		} else {
			finish(t, s, taken(t, s, f), loaded)
		}
	}
	has(t, site, want)
}

func testCollision(t *testing.T, site TidySite) {
	s := tidying(t, site, moving)
	want := make(map[string][]byte)
	for i, p := range []string{"done/2026/01/31/a/x.csv", "done/2026/01/31/a/x.20260131T235957.csv", "done/2026/01/31/a/x.20260131T235957-2.csv"} {
		// Other content, but nothing else that differs.
		site.Put("a/x.csv", text(10, uint64(i)), then)
		finish(t, s, taken(t, s, only(t, site, s, "a/x.csv")), loaded)
		want[p] = text(10, uint64(i))
	}
	has(t, site, want)
}

func testChanged(t *testing.T, site TidySite) {
	for _, after := range []sources.After{deleting, moving} {
		s := tidying(t, site, after)
		for i, change := range []struct {
			data []byte
			time time.Time
		}{{text(11, 2), then}, {text(9, 2), then.Add(time.Hour)}, {text(10, 3), then.Add(time.Minute)}, {text(10, 4), then.Add(-time.Minute)}, {nil, then.Add(time.Hour)}} {
			site.Put("x.csv", text(10, 1), then)
			f := taken(t, s, only(t, site, s, "x.csv"))
			site.Put("x.csv", change.data, change.time)
			if err := s.Done(t.Context(), f, loaded); !errors.Is(err, ingest.ErrChanged) {
				t.Errorf("done, though it changed: %v", err)
			}
			if t.Failed() {
				t.Fatalf("%s, change %d", after.Do, i)
			}
			has(t, site, map[string][]byte{"x.csv": change.data})
		}
		// Gone already, by the hand of another.
		f := taken(t, s, only(t, site, s, "x.csv"))
		site.Remove("x.csv")
		finish(t, s, f, loaded)
		has(t, site, nil)
	}
}

func testBroken(t *testing.T, site TidySite) {
	rejected := loaded
	rejected.Receipt.Lines.Rejected = 1
	for _, after := range []sources.After{deleting, moving} {
		s := tidying(t, site, after)
		for _, name := range []string{"broken", "rejected", "held", "undone"} {
			site.Put("a/"+name+".csv", text(10, 1), then)
		}
		all := list(t, s)
		for name, o := range map[string]ingest.Outcome{
			"broken": {State: ingest.Quarantined}, "rejected": rejected, "held": {State: ingest.Held}, "undone": {State: ingest.Known, Standing: ingest.Undone},
		} {
			finish(t, s, taken(t, s, all[site.Path("a/"+name+".csv")]), o)
		}
		want := map[string][]byte{
			"quarantine/a/broken.csv": text(10, 1), "quarantine/a/rejected.csv": text(10, 1),
			"a/held.csv": text(10, 1), "a/undone.csv": text(10, 1),
		}
		has(t, site, want)
		if all := list(t, s); len(all) != 2 {
			t.Errorf("listed %v, want what is held and undone", all)
		}
		for p := range want {
			site.Remove(p)
		}
	}
}

func testDoneCancel(t *testing.T, site TidySite) {
	site.Put("x.csv", text(10, 1), then)
	s := tidying(t, site, deleting)
	f := taken(t, s, only(t, site, s, "x.csv"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Done(ctx, f, loaded); !errors.Is(err, context.Canceled) {
		t.Errorf("done with a context that ended: %v", err)
	}
	has(t, site, map[string][]byte{"x.csv": text(10, 1)})
	finish(t, s, f, loaded)
	has(t, site, nil)
}

func testTidyConcurrent(t *testing.T, site TidySite) {
	const files, workers = 120, 4
	want := make(map[string][]byte)
	for i := range files {
		p := fmt.Sprintf("%d/x.csv", i%40*7+i/40)
		site.Put(p, text(i+1, uint64(i)), then)
		want["done/2026/01/31/"+p] = text(i+1, uint64(i))
	}
	s := tidying(t, site, moving)
	all := slices.Collect(maps.Values(list(t, s)))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var c ingest.Content
			for i := w; i < len(all); i += workers {
				if err := s.Fetch(t.Context(), all[i], &c); err != nil {
					t.Errorf("fetching: %v", err)
				} else if err := s.Done(t.Context(), c.File, loaded); err != nil {
					t.Errorf("done: %v", err)
				}
			}
		})
	}
	// A listing meanwhile disturbs nothing, and nothing it.
	for _, err := range s.Files(t.Context()) {
		if err != nil {
			t.Errorf("listing: %v", err)
		}
	}
	wg.Wait()
	has(t, site, want)
}

// testAside leaves files as a process does that ends between the steps of Done,
// also where the source keeps its files by now. What another source has set
// aside is none of its business.
func testAside(t *testing.T, site TidySite) {
	s := tidying(t, site, deleting)
	aside := func(source, p string) string {
		sum := sha256.Sum256([]byte(source))
		return fmt.Sprintf("%s.6496a5c6d1540-a-%x.penstock-aside", p, sum[:4])
	}
	foreign := aside("another", "z.csv")
	site.Put(foreign, text(10, 4), then)
	site.Put(aside(s.Name(), "a/x.csv"), text(10, 1), then)
	site.Put(aside(s.Name(), "y.csv"), text(10, 2), then)
	site.Put("y.csv", text(10, 3), then.Add(time.Hour)) // it was uploaded anew since
	kept := tidying(t, site, sources.After{})
	if all := list(t, kept); len(all) != 1 {
		t.Errorf("listed %v", all)
	}
	if all := list(t, kept); len(all) != 3 {
		t.Errorf("listed %v", all)
	}
	site.Put(aside(s.Name(), "a/x.csv"), text(10, 1), then)
	site.Remove("a/x.csv")
	_ = list(t, s) // finds and puts back
	all := list(t, s)
	content := make(map[string]string)
	for p, f := range all {
		var c ingest.Content
		if err := s.Fetch(t.Context(), f, &c); err != nil {
			t.Fatal(err)
		}
		content[string(c.Data)] = p
	}
	if len(all) != 3 || content[string(text(10, 1))] != site.Path("a/x.csv") || content[string(text(10, 3))] != site.Path("y.csv") {
		t.Errorf("listed %v", all)
	}
	if _, there := site.Have()[foreign]; !there {
		t.Error("what another source has set aside is put back")
	}
	other := path.Base(content[string(text(10, 2))])
	if !strings.HasPrefix(other, "y.") || !strings.HasSuffix(other, ".csv") || other == "y.csv" {
		t.Errorf("the earlier y.csv is %q now", other)
	}
}

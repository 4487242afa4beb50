package source_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
)

// A trial is a folder whose files settle, by a clock that the test moves. The
// hints of the folder are the test's.
type trial struct {
	t     *testing.T
	root  string
	tell  chan ingest.File
	src   *source.Settled
	heard chan string // the paths that were hinted
}

// told is a Dir that hints what the test says.
type told struct {
	*source.Dir
	hints chan ingest.File
}

func (s told) Watch(ctx context.Context, hint func(ingest.File)) error {
	for {
		select {
		case f := <-s.hints:
			hint(f)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settling runs a test of a folder whose files settle.
func settling(t *testing.T, o source.Settling, run func(*trial)) {
	t.Helper()
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := &trial{t: t, root: root, tell: make(chan ingest.File), heard: make(chan string, 10000)}
		d := newDir(t, source.Options{Source: "s"}, root)
		defer d.Close()
		var err error
		if c.src, err = source.Settle(told{d, c.tell}, o); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.src.Watch(ctx, func(f ingest.File) { c.heard <- f.Path }) }()
		run(c)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// write puts n bytes into a file.
func (c *trial) write(path string, n int) {
	c.t.Helper()
	put(c.t, filepath.Join(c.root, path), []byte(strings.Repeat("x", n)), time.Now())
}

// hint tells of a file as it is.
func (c *trial) hint(path string) {
	c.t.Helper()
	f, err := c.src.Locate(c.t.Context(), path)
	if err != nil {
		c.t.Fatal(err)
	}
	c.tell <- f
}

// passes lets time pass.
func (c *trial) passes(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// lists fails unless the next listing has these files.
func (c *trial) lists(want ...string) {
	c.t.Helper()
	var got []string
	for f, err := range c.src.Files(c.t.Context()) {
		if err != nil {
			c.t.Error(err)
			continue
		}
		got = append(got, f.Path)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		c.t.Errorf("listed %q, want %q", got, want)
	}
}

// hears fails unless these files were hinted since, in this order.
func (c *trial) hears(want ...string) {
	c.t.Helper()
	if got := c.hints(); !slices.Equal(got, want) {
		c.t.Errorf("hinted %q, want %q", got, want)
	}
}

// hints are the paths that were hinted since it was last called.
func (c *trial) hints() (all []string) {
	for synctest.Wait(); len(c.heard) > 0; {
		all = append(all, <-c.heard)
	}
	return all
}

func TestSettleAge(t *testing.T) {
	settling(t, source.Settling{Age: 10 * time.Second}, func(c *trial) {
		c.write("a.csv", 1)
		c.lists()
		c.hears()
		c.passes(6 * time.Second)
		c.lists() // the second look is too early
		c.write("b.csv", 1)
		c.lists()
		c.passes(3999 * time.Millisecond)
		c.hears()
		c.passes(time.Millisecond)
		c.hears("a.csv")
		c.lists("a.csv")
		c.passes(6 * time.Second)
		c.hears("b.csv")
		c.lists("a.csv", "b.csv")
		c.passes(time.Hour)
		c.hears()
		c.lists("a.csv", "b.csv")
	})
}

func TestSettleHints(t *testing.T) {
	settling(t, source.Settling{Age: 10 * time.Second}, func(c *trial) {
		// An upload in three pieces, of which the source tells.
		for n := range 3 {
			c.write("a.csv", n+1)
			c.hint("a.csv")
			c.hint("a.csv") // twice, as a creation and a write
			c.passes(9 * time.Second)
			c.hears()
		}
		c.write("b.csv.tmp", 5)
		c.hint("b.csv.tmp")
		c.passes(time.Second)
		c.hears("a.csv")
		c.hint("a.csv") // it is as it was
		c.hears("a.csv")
		c.passes(time.Minute)
		c.hears()
		// A change that nobody told of is seen at the second look.
		c.write("c.csv", 1)
		c.hint("c.csv")
		c.passes(5 * time.Second)
		c.write("c.csv", 2)
		c.passes(5 * time.Second)
		c.hears()
		c.passes(10 * time.Second)
		c.hears("c.csv")
		// One that goes is nobody's.
		c.write("d.csv", 1)
		c.hint("d.csv")
		if err := os.Remove(c.root + "/d.csv"); err != nil {
			t.Fatal(err)
		}
		c.passes(time.Minute)
		c.hears()
	})
}

// TestSettleGrowth checks that a logger that appends all the time loads, and
// that what it writes is fetched although it is never as it was seen.
func TestSettleGrowth(t *testing.T) {
	for _, hinted := range []bool{true, false} {
		settling(t, source.Settling{Age: 10 * time.Second, Growth: time.Minute}, func(c *trial) {
			var taken []int // seconds
			for i := range 40 {
				c.write("a.csv", 10*i)
				if hinted {
					c.hint("a.csv")
				}
				c.passes(5 * time.Second)
				if all := c.hints(); len(all) > 0 {
					taken = append(taken, 5*i)
					var content ingest.Content
					f := ingest.File{Source: "s", Path: "a.csv", Size: 1, Modified: 1, Precision: ingest.Micro}
					if err := c.src.Fetch(t.Context(), f, &content); err != nil || len(content.Data) != 10*i {
						t.Errorf("fetched %d bytes of %d: %v", len(content.Data), 10*i, err)
					}
				}
				if i == 0 && !hinted {
					c.lists()
				}
			}
			if len(taken) != 3 || taken[0] < 55 || taken[0] > 70 || taken[1]-taken[0] < 60 || taken[2]-taken[1] < 60 {
				t.Errorf("hinted %t: taken after %v seconds", hinted, taken)
			}
			c.passes(20 * time.Second)
			c.hears("a.csv") // it has stopped
			c.lists("a.csv")
		})
	}
}

// TestSettleGrowingStays checks that a file which was taken while it grew is not
// moved from under its writer, and is when it has come to rest.
func TestSettleGrowingStays(t *testing.T) {
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := newDir(t, source.Options{Source: "s", After: source.After{Do: source.Move, To: "done"}}, root)
		s, err := source.Settle(d, source.Settling{Age: 10 * time.Second, Growth: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		done := func() (there, told bool) {
			for f, err := range s.Files(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				var c ingest.Content
				if err := s.Fetch(t.Context(), f, &c); err != nil {
					t.Fatal(err)
				}
				err := s.Done(t.Context(), c.File, ingest.Outcome{File: c.File, State: ingest.Loaded})
				if told = errors.Is(err, ingest.ErrChanged); err != nil && !told {
					t.Error(err)
				}
			}
			_, err := os.Stat(root + "/a.csv")
			return err == nil, told
		}
		told := 0
		for i := range 30 {
			put(t, root+"/a.csv", make([]byte, i), time.Now())
			there, grows := done()
			if !there {
				t.Fatal("it is gone while it is written to")
			}
			if grows {
				told++
			}
			<-time.After(5 * time.Second)
		}
		if told != 2 {
			t.Errorf("it was taken %d times while it grew", told)
		}
		<-time.After(10 * time.Second)
		if there, _ := done(); there {
			t.Error("it has come to rest, and is not moved")
		}
	})
}

// TestSettleArchive checks that an archive settles as one, and that what is
// wrong with it while it is uploaded is not told.
func TestSettleArchive(t *testing.T) {
	settling(t, source.Settling{Age: 10 * time.Second}, func(c *trial) {
		packAs(t, c.root+"/whole.zip", "x.csv", "y.csv.tmp", "b/z.csv")
		whole, err := os.ReadFile(c.root + "/whole.zip")
		if err != nil {
			t.Fatal(err)
		}
		put(t, c.root+"/all.zip", whole[:len(whole)/2], then)
		if err := os.Remove(c.root + "/whole.zip"); err != nil {
			t.Fatal(err)
		}
		c.lists()
		if n := c.src.Settling(); n != 1 {
			t.Errorf("%d files are settling", n)
		}
		c.passes(9 * time.Second)
		put(t, c.root+"/all.zip", whole, then)
		c.lists()
		for _, name := range []string{"x.csv", "b/z.csv"} {
			c.hint("all.zip!" + name)
		}
		c.passes(10 * time.Second)
		c.hears() // the listing brings the members
		c.lists("all.zip!b/z.csv", "all.zip!x.csv", "all.zip!y.csv.tmp")
		c.hint("all.zip!x.csv")
		c.hears("all.zip!x.csv")

		// One that stays broken is told of.
		put(t, c.root+"/all.zip", whole[:len(whole)/2], then)
		c.lists()
		c.passes(10 * time.Second)
		var told int
		for _, err := range c.src.Files(t.Context()) {
			says(t, err, "cut short")
			told++
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
	})
}

func TestSettleMarkers(t *testing.T) {
	settling(t, source.Settling{Age: 10 * time.Second, Marker: "{name}.done"}, func(c *trial) {
		c.write("a.csv", 1)
		c.write("b.csv", 1)
		c.lists()
		c.passes(time.Minute)
		c.hears()
		c.lists()
		c.write("a.csv.done", 0)
		c.hint("a.csv.done") // it makes its file known at once
		c.hears("a.csv")
		c.write("b.csv.done", 0)
		c.lists("a.csv", "b.csv")
		// The marker may come first.
		c.write("c.csv.done", 0)
		c.hint("c.csv.done") // with no file
		c.write("c.csv", 1)
		c.hint("c.csv")
		c.passes(10 * time.Second)
		c.hears("c.csv")
	})
}

// TestSettleMany checks that more files settle than are looked at between two
// listings, and that what went is forgotten.
func TestSettleMany(t *testing.T) {
	settling(t, source.Settling{Age: time.Second}, func(c *trial) {
		const files = 6000
		var names []string
		for i := range files {
			names = append(names, fmt.Sprintf("%04d.csv", i))
			c.write(names[i], 1)
		}
		if at := c.src.Settles(); !at.IsZero() {
			t.Errorf("a listing is worth while at %s before there was one", at)
		}
		c.lists()
		if at := c.src.Settles(); !at.Equal(time.Now().Add(time.Second)) {
			t.Errorf("another listing is worth while at %s, it is %s", at, time.Now())
		}
		c.passes(time.Second)
		if n := len(c.hints()); n < 1000 || n >= files {
			t.Errorf("%d files were hinted", n)
		}
		c.lists(names...)
		if at := c.src.Settles(); !at.IsZero() {
			t.Errorf("another listing is worth while at %s, and all has settled", at)
		}
		c.hears()
		c.passes(time.Hour)
		c.hears()
		c.lists(names...)
	})
}

// TestSettleRestless: files that have changed whenever they are looked at, however
// many, are no reason to list before it is due, and new ones are seen to settle
// beside them.
func TestSettleRestless(t *testing.T) {
	settling(t, source.Settling{Age: time.Second, Growth: time.Hour}, func(c *trial) {
		const files = 4500
		for i := range files {
			c.write(fmt.Sprintf("%04d.csv", i), 1)
		}
		change := func() {
			for i := range files {
				if err := os.Chtimes(filepath.Join(c.root, fmt.Sprintf("%04d.csv", i)), time.Time{}, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.lists()
		c.passes(time.Second - time.Millisecond)
		change()
		c.passes(time.Millisecond)
		c.hears()
		c.passes(30 * time.Second) // those that nobody looked at have settled
		c.hints()
		change()
		c.lists()
		if at := c.src.Settles(); !at.IsZero() || !c.src.Behind() {
			t.Errorf("when all have changed, another listing is worth while at %s; behind: %t", at, c.src.Behind())
		}
		c.write("new.csv", 1)
		c.hint("new.csv")
		c.passes(time.Second - time.Millisecond)
		change()
		c.passes(time.Millisecond)
		c.hears("new.csv")
	})
}

func TestSettleOptions(t *testing.T) {
	d := newDir(t, source.Options{Source: "s"}, t.TempDir())
	for want, o := range map[string]source.Settling{
		`marker "done" is none`:          {Marker: "done"},
		`marker "{name}" is none`:        {Marker: "{name}"},
		`marker "{name}/done" is none`:   {Marker: "{name}/done"},
		`marker "{nam}{name}" is none`:   {Marker: "{nam}{name}"},
		`pattern "[" is malformed`:       {Temporary: []string{"["}},
		"below nought":                   {Age: -1},
		"settling: an age, or a time of": {Growth: -1},
	} {
		_, err := source.Settle(d, o)
		says(t, err, want)
	}
	_, err := source.Settle(listedOnly{d}, source.Settling{Marker: "{name}.done"})
	says(t, err, "cannot look for a file by its name")
	s, err := source.Settle(listedOnly{d}, source.Settling{Age: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Watch(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := s.Locate(t.Context(), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := s.FetchGain(t.Context(), ingest.File{}, nil, nil); !errors.Is(err, ingest.ErrWhole) {
		t.Error(err)
	}
	if s.Tidies() || s.Close() != nil {
		t.Error("a source that neither tidies nor closes does")
	}
}

// listedOnly is a source that can do no more than it must.
type listedOnly struct{ ingest.Source }

// TestSettleFailedListing checks that what has settled need not do so again when
// a listing failed, all of it or the part that has the file.
func TestSettleFailedListing(t *testing.T) {
	for _, all := range []bool{true, false} {
		root := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			down := false
			s, err := source.Settle(failing{newDir(t, source.Options{Source: "s"}, root), &down, all}, source.Settling{Age: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			put(t, root+"/x.csv", []byte("x"), then)
			put(t, root+"/y.csv", []byte("y"), then)
			if _, err := lists(t, s); err != nil {
				t.Error(err)
			}
			<-time.After(10 * time.Second)
			if got, err := lists(t, s); len(got) != 2 || err != nil {
				t.Fatalf("%v, %v", got, err)
			}
			down = true
			for range 3 {
				if _, err := lists(t, s); err == nil {
					t.Error("no error")
				}
				if !all {
					break // for longer, what is gone would be known for ever
				}
			}
			down = false
			if got, err := lists(t, s); len(got) != 2 || err != nil {
				t.Errorf("after a listing that failed there are %v, %v", got, err)
			}
			if err := os.Remove(root + "/x.csv"); err != nil {
				t.Fatal(err)
			}
			if _, err := lists(t, s); err != nil {
				t.Error(err)
			}
			put(t, root+"/x.csv", []byte("x"), then)
			if got, err := lists(t, s); len(got) != 1 || err != nil {
				t.Errorf("after a file was gone there are %v, %v", got, err)
			}
		})
	}
}

// failing is a source whose listings fail while it is down: as a whole, or where
// x.csv is.
type failing struct {
	*source.Dir
	down *bool
	all  bool
}

func (f failing) Files(ctx context.Context) iter.Seq2[ingest.File, error] {
	return func(yield func(ingest.File, error) bool) {
		for file, err := range f.Dir.Files(ctx) {
			if *f.down && (f.all || file.Path == "x.csv") {
				file, err = ingest.File{Source: "s", Path: ".", Size: -1}, errors.New("it is down")
			}
			if !yield(file, err) {
				return
			}
		}
	}
}

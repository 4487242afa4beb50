package source_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/ingest/source/sourcetest"
)

// packOf is an archive of members of these names, each with its name for
// content.
func packOf(t *testing.T, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range names {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Modified: then, Method: zip.Deflate})
		if err == nil {
			_, err = f.Write([]byte(name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// settledFTP is the source of what has settled on a scripted server.
func settledFTP(t *testing.T, s *script, o source.Settling) *source.Settled {
	t.Helper()
	options := quick(s)
	options.Spool = t.TempDir()
	settled, err := source.Settle(newFTP(t, options), o)
	if err != nil {
		t.Fatal(err)
	}
	return settled
}

// TestFTPZipMarker: archives are taken when their markers are there, and not
// fetched before.
func TestFTPZipMarker(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	settled := settledFTP(t, s, source.Settling{Marker: "{name}.done"})
	s.put("a.zip", packOf(t, "x.csv", "y.csv"), then)
	s.put("b.csv", []byte("b"), then)
	s.put("b.csv.done", nil, then)
	want := []string{"b.csv"}
	for range 2 {
		for range 2 {
			all, err := lists(t, settled)
			if got := slices.Sorted(maps.Keys(all)); err != nil || !slices.Equal(got, want) {
				t.Errorf("listed %q, %v", got, err)
			}
			if n := s.count("RETR"); n != len(want)/2 {
				t.Errorf("%d files were fetched", n)
			}
		}
		s.put("a.zip.done", nil, then)
		want = []string{"a.zip!x.csv", "a.zip!y.csv", "b.csv"}
	}
}

// TestFTPZipSettles: an archive that is uploaded is not fetched, and settles as
// one, however many members it has.
func TestFTPZipSettles(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	settled := settledFTP(t, s, source.Settling{Age: 50 * time.Millisecond})
	whole := packOf(t, "x.csv", "y.csv", "z.csv")
	for i := range 5 {
		s.put("a.zip", whole[:len(whole)-60+i], then.Add(time.Duration(i)*time.Second))
		if all, err := lists(t, settled); len(all) != 0 || err != nil || settled.Settling() != 1 {
			t.Errorf("listed %v, %v, %d are settling", all, err, settled.Settling())
		}
	}
	if n := s.count("RETR"); n > 0 {
		t.Errorf("it was fetched %d times", n)
	}
	s.put("a.zip", whole, then)
	if all, err := lists(t, settled); len(all) > 3 || err != nil {
		t.Errorf("listed %v, %v", all, err)
	}
	<-time.After(60 * time.Millisecond)
	if all, err := lists(t, settled); len(all) != 3 || err != nil || settled.Settling() != 0 || s.count("RETR") != 1 {
		t.Errorf("listed %v, %v, %d are settling, %d fetched", all, err, settled.Settling(), s.count("RETR"))
	}
	// What is wrong with one that has settled is told.
	s.put("b.zip", whole[:100], then)
	if all, err := lists(t, settled); len(all) > 3 || err != nil {
		t.Errorf("listed %v, %v", all, err)
	}
	<-time.After(60 * time.Millisecond)
	_, err := lists(t, settled)
	says(t, err, "b.zip")
}

// TestFTPZipReplaced: an archive takes the place of one whose last member is just
// done, and is fetched meanwhile. It stays, and so does its copy.
func TestFTPZipReplaced(t *testing.T) {
	t.Parallel()
	var looks, fetches atomic.Bool
	looked, look, fetched, fetch := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := newScript(t, func(s *script) {
		s.on = func(_ *session, command, _ string) bool {
			switch {
			case command == "MLST" && looks.CompareAndSwap(true, false):
				close(looked)
				<-look
			case command == "RETR" && fetches.CompareAndSwap(true, false):
				close(fetched)
				<-fetch
			}
			return false
		}
	})
	o := quick(s)
	o.Timeout, o.Spool, o.After = 20*time.Second, t.TempDir(), source.After{Do: source.Delete}
	r := newFTP(t, o)
	s.put("a.zip", packOf(t, "x.csv"), then)
	all, err := lists(t, r)
	if err != nil {
		t.Fatal(err)
	}
	f := all["a.zip!x.csv"]
	looks.Store(true)
	done := make(chan error)
	go func() { done <- r.Done(t.Context(), f, ingest.Outcome{File: f, State: ingest.Loaded}) }()
	<-looked
	s.put("a.zip", packOf(t, "x.csv", "new.csv"), then.Add(time.Hour))
	fetches.Store(true)
	listed := make(chan map[string]ingest.File)
	go func() {
		all, err := lists(t, r)
		if err != nil {
			t.Error(err)
		}
		listed <- all
	}()
	<-fetched
	close(look)
	if err := <-done; err != nil {
		t.Error(err)
	}
	close(fetch)
	if all := <-listed; len(all) != 2 {
		t.Errorf("listed %v", all)
	}
	if _, there := s.get("/a.zip"); !there {
		t.Error("the new archive was deleted")
	}
	before := s.count("RETR")
	if all, err := lists(t, r); len(all) != 2 || err != nil || s.count("RETR") != before {
		t.Errorf("listed again: %v, %v, fetched %d times", all, err, s.count("RETR")-before)
	}
}

// TestFTPZipOnce: an archive that stays as it is is fetched once, however often
// it is listed and read from; one that changes is fetched anew.
func TestFTPZipOnce(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	s.put("up/a.zip", packOf(t, "x.csv", "y.csv", "z.txt"), then)
	s.put("up/plain.zip!b.csv", []byte("plain"), then)
	o := quick(s)
	o.Spool = t.TempDir()
	o.Match = []string{"**/*.csv"}
	r := newFTP(t, o)
	var c ingest.Content
	for range 3 {
		all, err := lists(t, r)
		if got := slices.Sorted(maps.Keys(all)); err != nil || !slices.Equal(got, []string{"up/a.zip!x.csv", "up/a.zip!y.csv", "up/plain.zip!b.csv"}) {
			t.Fatalf("listed %q, and %v", got, err)
		}
		for path, want := range map[string]string{"up/a.zip!x.csv": "x.csv", "up/a.zip!y.csv": "y.csv", "up/plain.zip!b.csv": "plain"} {
			if err := r.Fetch(t.Context(), all[path], &c); err != nil || string(c.Data) != want {
				t.Errorf("%s: %q, %v", path, c.Data, err)
			}
		}
	}
	if n := s.count("RETR /up/a.zip"); n != 1 {
		t.Errorf("the archive was fetched %d times", n)
	}
	s.put("up/a.zip", packOf(t, "new.csv"), then.Add(time.Hour))
	all, err := lists(t, r)
	if _, ok := all["up/a.zip!new.csv"]; err != nil || !ok || len(all) != 2 {
		t.Errorf("of a new archive: listed %v, and %v", all, err)
	}
	err = r.Fetch(t.Context(), ingest.File{Source: "field", Path: "up/a.zip!x.csv"}, &c)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a member that is gone: %v", err)
	}
	says(t, err, "up/a.zip!x.csv", "no such member")
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if left := have(t, o.Spool); len(left) > 0 {
		t.Errorf("%d copies are left", len(left))
	}
}

// TestFTPZipLeft: copies that a killed process left are removed at the next
// start, and those of one that runs stay.
func TestFTPZipLeft(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	s.put("a.zip", packOf(t, "x.csv"), then)
	o := quick(s)
	o.Spool = t.TempDir()
	lives := newFTP(t, o)
	if _, err := lists(t, lives); err != nil {
		t.Fatal(err)
	}
	// The lock of a process that was killed is there and nobody's.
	left := filepath.Join(o.Spool, "penstock-archives-1234")
	for _, name := range []string{"1.zip", "lock"} {
		if err := errors.Join(os.MkdirAll(left, 0o700), os.WriteFile(filepath.Join(left, name), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	newFTP(t, o)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was left is there: %v", err)
	}
	var c ingest.Content
	if err := lives.Fetch(t.Context(), ingest.File{Source: "field", Path: "a.zip!x.csv"}, &c); err != nil || string(c.Data) != "x.csv" {
		t.Errorf("%q, %v", c.Data, err)
	}
	if n := s.count("RETR /a.zip"); n != 1 {
		t.Errorf("the copy of one that runs was fetched %d times", n)
	}
	if err := lives.Close(); err != nil {
		t.Error(err)
	}
	if left := have(t, o.Spool); len(left) > 0 {
		t.Errorf("%d files are left", len(left))
	}
}

// TestFTPZipNames: members have the names that they have, wherever these would
// lead on a disk.
func TestFTPZipNames(t *testing.T) {
	t.Parallel()
	names := append(slices.Clone(sourcetest.OddNames), "../../up.csv", "/etc/absolute.csv", "a//b.csv", "nested.zip")
	s := newScript(t, nil)
	s.put("all.ZIP", packOf(t, names...), then)
	r := newFTP(t, quick(s))
	all, err := lists(t, r)
	if err != nil || len(all) != len(names) {
		t.Errorf("listed %d of %d members, and %v", len(all), len(names), err)
	}
	var c ingest.Content
	for _, name := range names {
		if err := r.Fetch(t.Context(), all["all.ZIP!"+name], &c); err != nil || string(c.Data) != name {
			t.Errorf("%q: %q, %v", name, c.Data, err)
		}
		if f, err := r.Locate(t.Context(), "all.ZIP!"+name); err != nil || f != all["all.ZIP!"+name] {
			t.Errorf("%q: found %+v, %v", name, f, err)
		}
	}
}

// TestFTPZipYoung: an archive that was written to a moment ago may be written to
// again without its time, or its size, telling.
func TestFTPZipYoung(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	now := time.Now()
	s.put("a.zip", packOf(t, "1.csv"), now)
	r := newFTP(t, quick(s))
	_, err := lists(t, r)
	s.put("a.zip", packOf(t, "2.csv"), now)
	all, again := lists(t, r)
	if _, ok := all["a.zip!2.csv"]; err != nil || again != nil || !ok {
		t.Errorf("listed %v, %v and %v", all, err, again)
	}
}

// TestFTPZipByName: a member can be found and fetched by its path before
// anything was listed.
func TestFTPZipByName(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	s.put("a.zip", packOf(t, "x.csv"), then)
	r := newFTP(t, quick(s))
	f, err := r.Locate(t.Context(), "a.zip!x.csv")
	if err != nil || f.Size != 5 {
		t.Fatalf("found %+v, %v", f, err)
	}
	fresh := newFTP(t, quick(s))
	var c ingest.Content
	if err := fresh.Fetch(t.Context(), f, &c); err != nil || string(c.Data) != "x.csv" || c.File.Path != "a.zip!x.csv" {
		t.Errorf("fetched %q of %+v, %v", c.Data, c.File, err)
	}
	for _, path := range []string{"a.zip!no.csv", "b.zip!x.csv"} {
		if _, err := r.Locate(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestFTPZipBroken: what is no archive, or one that is cut, is told, and
// disturbs nothing else.
func TestFTPZipBroken(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	whole := packOf(t, "x.csv")
	s.put("cut.zip", whole[:len(whole)-10], then)
	s.put("text.zip", []byte("no archive, but a text"), then)
	s.put("whole.zip", whole, then)
	s.put("y.csv", []byte("y"), then)
	r := newFTP(t, quick(s))
	all, err := lists(t, r)
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, []string{"whole.zip!x.csv", "y.csv"}) {
		t.Errorf("listed %q", got)
	}
	says(t, joined(err), "cut.zip: the zip archive is cut short", "text.zip: it has the name of a zip archive")
	if strings.Contains(err.Error(), "penstock-archives") {
		t.Errorf("%v names the copy", err)
	}
}

// TestFTPZipDone: an archive goes when the last of its members is done, to the
// folder for broken files if one of them is broken.
func TestFTPZipDone(t *testing.T) {
	t.Parallel()
	for name, states := range map[string][]ingest.State{"done": {ingest.Loaded, ingest.Known, ingest.Duplicate}, "quarantine": {ingest.Loaded, ingest.Quarantined, ingest.Loaded}, "": {ingest.Loaded, ingest.Held, ingest.Loaded}} {
		s := newScript(t, nil)
		s.put("up/a.zip", packOf(t, "0.csv", "1.csv", "2.csv"), then)
		o := quick(s)
		o.After = source.After{Do: source.Move, To: "done"}
		r := newFTP(t, o)
		all, err := lists(t, r)
		if err != nil {
			t.Fatal(err)
		}
		for i, state := range states {
			var c ingest.Content
			if err := r.Fetch(t.Context(), all[fmt.Sprintf("up/a.zip!%d.csv", i)], &c); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, there := s.get("/up/a.zip"); !there && i < 2 {
					t.Errorf("it went after %d members", i)
				}
				if err := r.Done(t.Context(), c.File, ingest.Outcome{File: c.File, State: state, Standing: ingest.Loaded}); err != nil {
					t.Error(err)
				}
			}
		}
		where := "/" + name + "/up/a.zip"
		if name == "" {
			where = "/up/a.zip"
		}
		if _, there := s.get(where); !there {
			t.Errorf("with %q it is not at %s; the server was asked %q", states, where, s.commands())
		}
	}
}

// TestFTPZipAhead: a server whose listing is in another zone, and ahead of our
// clock. When its archive was written it says to the second when it is asked.
func TestFTPZipAhead(t *testing.T) {
	t.Parallel()
	data := packOf(t, "x.csv")
	s := newScript(t, func(s *script) {
		s.features = []string{"MDTM", "SIZE", "REST STREAM", "EPSV"}
		s.on = func(s *session, command, _ string) bool {
			if command == "LIST" {
				at := time.Now().UTC().Add(10 * time.Hour)
				s.send(fmt.Appendf(nil, "%s %20d a.zip\r\n", at.Format("01-02-06  03:04PM"), len(data)))
			}
			return command == "LIST"
		}
	})
	s.put("a.zip", data, then)
	o := quick(s)
	o.Spool = t.TempDir()
	r := newFTP(t, o)
	for range 3 {
		if all, err := lists(t, r); len(all) != 1 || err != nil {
			t.Fatal(all, err)
		}
	}
	if n := s.count("RETR"); n > 2 { // two, where a minute of that clock ends between
		t.Errorf("it does not change, and was fetched %d times", n)
	}
}

// TestFTPZipGone: the copies of archives that others took away go.
func TestFTPZipGone(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	o := quick(s)
	o.Spool = t.TempDir()
	r := newFTP(t, o)
	copies := func() int {
		all, err := filepath.Glob(o.Spool + "/*/*.zip")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	for i := range 3 {
		name := fmt.Sprintf("%d.zip", i)
		s.put(name, packOf(t, "x.csv"), then)
		all, err := lists(t, r)
		if len(all) != 1 || err != nil {
			t.Fatal(all, err)
		}
		s.remove(name)
		if all, err := lists(t, r); len(all) != 0 || err != nil {
			t.Fatal(all, err)
		}
		// Members of it may still wait.
		if err := r.Fetch(t.Context(), all[name+"!x.csv"], new(ingest.Content)); err != nil {
			t.Error(err)
		}
	}
	if n := copies(); n != 3 {
		t.Errorf("%d copies are there", n)
	}
	r.KeepGone(0)
	if all, err := lists(t, r); len(all) != 0 || err != nil {
		t.Error(all, err)
	}
	if n := copies(); n != 0 {
		t.Errorf("%d copies are still there", n)
	}
}

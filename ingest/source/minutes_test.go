package source_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/ingest/source/servertest"
)

// lastMinute is a minute that has just passed.
func lastMinute() time.Time { return time.Now().UTC().Truncate(time.Minute).Add(-time.Minute) }

// A watched is a source that is watched and listed again and again until what it
// is waited for is heard.
type watched struct {
	*source.Settled
	t     *testing.T
	heard chan ingest.File
}

func watch(t *testing.T, s *source.Settled) *watched {
	t.Helper()
	w := &watched{s, t, make(chan ingest.File, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Watch(ctx, func(f ingest.File) { w.heard <- f }) // it ends with ctx
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return w
}

// list lists the source once.
func (w *watched) list() {
	w.t.Helper()
	all, err := lists(w.t, w)
	if err != nil {
		w.t.Error(err)
	}
	for _, f := range all {
		if f.Precision != ingest.Minute {
			w.t.Fatalf("listed in other steps than minutes: %+v", f)
		}
	}
}

// settles fails unless that file, which is new, is listed and hinted next. There is
// one listing: another could settle the file while it is being looked at, and then
// what it settles by is the minute.
func (w *watched) settles(path string, modified time.Time) {
	w.t.Helper()
	w.list()
	w.hears(path, modified, nil)
}

// changes fails unless that file, which had settled, is hinted next.
func (w *watched) changes(path string, modified time.Time) {
	w.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	w.hears(path, modified, tick.C)
}

// hears fails unless that file is hinted next, with that time. It lists at each tick.
func (w *watched) hears(path string, modified time.Time, tick <-chan time.Time) {
	w.t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case f := <-w.heard:
			if f.Path != path || f.Modified != ingest.Micros(modified) || f.Precision != ingest.Second {
				w.t.Errorf("hinted %+v, want %s of %s", f, path, modified)
			}
			return
		case <-late:
			w.t.Fatalf("%s of %s is not heard of", path, modified)
		case <-tick:
			w.list()
		}
	}
}

// TestReplacedWithinMinute: vsftpd lists minutes, so that a file which is replaced
// by another of its size within one is listed as it was.
func TestReplacedWithinMinute(t *testing.T) {
	t.Parallel()
	server := servertest.Start(t, servertest.VSFTPD, servertest.Options{})
	s, err := source.Settle(newRemote(t, server, "", nil), source.Settling{Age: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w, m := watch(t, s), lastMinute()
	server.Put("x.csv", []byte("old"), m.Add(52*time.Second)) // it is looked at again when the rest of that minute has gone by
	w.settles("x.csv", m.Add(52*time.Second))
	before, err := lists(t, s)
	if err != nil {
		t.Fatal(err)
	}
	server.Put("x.csv", []byte("new"), m.Add(59*time.Second))
	if after, err := lists(t, s); err != nil || after["x.csv"] != before["x.csv"] {
		t.Fatalf("listed %v, which was %v: %v", after, before, err)
	}
	w.changes("x.csv", m.Add(59*time.Second))
	var c ingest.Content
	if err := s.Fetch(t.Context(), before["x.csv"], &c); err != nil || string(c.Data) != "new" {
		t.Errorf("fetched %q, %v", c.Data, err)
	}
}

// listMinutes answers LIST as servers do that tell the minute of a file.
func listMinutes(s *session) {
	s.mu.Lock()
	var b bytes.Buffer
	for name, f := range s.files {
		fmt.Fprintf(&b, "-rw-r--r-- 1 ftp ftp %d %s %s\r\n", len(f.data), f.modified.Format("Jan 02 15:04"), name[1:])
	}
	s.mu.Unlock()
	s.send(b.Bytes())
}

// TestFTPMinutes: what was listed in minutes is asked for once more, and again only
// where the server could not say.
func TestFTPMinutes(t *testing.T) {
	t.Parallel()
	m := lastMinute()
	busy := make(chan bool, 1) // the server is, for one question
	s := newScript(t, func(s *script) {
		s.features = []string{"MDTM", "SIZE"}
		s.on = func(s *session, command, argument string) bool {
			switch {
			case command == "LIST":
				listMinutes(s)
			case command == "SIZE" && argument == "/replaced.csv" && len(busy) > 0:
				<-busy
				s.reply("450 busy")
			default:
				return false
			}
			return true
		}
	})
	w := watch(t, settledFTP(t, s, source.Settling{Age: 20 * time.Millisecond}))
	s.put("old.csv", []byte("x"), m.Add(-time.Hour))
	w.settles("old.csv", m.Add(-time.Hour))
	s.put("same.csv", []byte("x"), m.Add(53*time.Second))
	w.settles("same.csv", m.Add(53*time.Second))
	s.put("replaced.csv", []byte("x"), m.Add(53*time.Second))
	w.settles("replaced.csv", m.Add(53*time.Second))
	s.put("gone.csv", []byte("x"), m.Add(53*time.Second))
	w.settles("gone.csv", m.Add(53*time.Second))
	s.remove("gone.csv")
	s.put("replaced.csv", []byte("y"), m.Add(58*time.Second))
	busy <- true
	w.changes("replaced.csv", m.Add(58*time.Second))
	// By now all of them have had their look, and further listings bring none.
	s.put("last.csv", []byte("x"), m.Add(58*time.Second))
	w.settles("last.csv", m.Add(58*time.Second))
	for path, want := range map[string]int{"old": 1, "same": 2, "replaced": 2, "gone": 1} {
		if n := s.count("MDTM /" + path + ".csv"); n != want {
			t.Errorf("%s was asked for %d times, want %d", path, n, want)
		}
	}
	if n := s.count("SIZE /replaced.csv"); n != 3 {
		t.Errorf("the server, which was busy once, was asked %d times", n)
	}
}

// TestSettleMinutesMany: of many files that are listed in minutes each is looked at
// once more, some thousand of them for each listing, and none that is old.
func TestSettleMinutesMany(t *testing.T) {
	const recent, old, most = 5000, 100, 4096
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := newDir(t, source.Options{Source: "s"}, root)
		defer d.Close()
		located := make(map[string]int)
		var slow sync.Mutex // is held while the server takes its time to answer
		s, err := source.Settle(inMinutes{d, located, &slow}, source.Settling{Age: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		write := func(name string, modified time.Time) { put(t, filepath.Join(root, name), []byte("x"), modified) }
		now := time.Now() // a minute begins
		for i := range recent {
			write(fmt.Sprintf("%04d.csv", i), now)
		}
		for i := range old {
			write(fmt.Sprintf("old/%04d.csv", i), now.Add(-time.Hour))
		}
		ctx, cancel := context.WithCancel(t.Context())
		hinted := make(map[string]int)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = s.Watch(ctx, func(f ingest.File) { hinted[f.Path]++ }) // it ends with ctx
		}()
		asked := func(after time.Duration) (n int) { // by what a listing at that time leads to
			t.Helper()
			<-time.After(after)
			synctest.Wait()
			slow.Lock()
			clear(located)
			_, err := lists(t, s)
			if slow.Unlock(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			slow.Lock() // what follows a Wait is not before what other goroutines do next
			defer slow.Unlock()
			for _, times := range located {
				n += times
			}
			return n
		}
		if n := asked(0) + asked(time.Second); n != 0 {
			t.Errorf("%d files were looked at before they could have settled", n)
		}
		if n := asked(50 * time.Second); n != 0 {
			t.Errorf("%d files were looked at within their minute", n)
		}
		write("0000.csv", now.Add(time.Second))
		clear(hinted)
		if a, b, c := asked(20*time.Second), asked(time.Second), asked(time.Hour); a < most || a > most+1 || a+b != recent || c != 0 { // one is taken off them while the others are listed
			t.Errorf("%d, %d and %d files were looked at", a, b, c)
		}
		cancel()
		<-ended
		// What settled by the listing alone did so by its minute.
		if hinted["0000.csv"] != 1 || len(hinted) > recent-most+old+1 {
			t.Errorf("%d files were hinted, %d times the one that changed", len(hinted), hinted["0000.csv"])
		}
	})
}

// inMinutes is a folder that is listed in minutes and counts what is looked at.
type inMinutes struct {
	*source.Dir
	located map[string]int
	slow    *sync.Mutex
}

func (s inMinutes) Files(ctx context.Context) iter.Seq2[ingest.File, error] {
	return func(yield func(ingest.File, error) bool) {
		for f, err := range s.Dir.Files(ctx) {
			f.Modified -= f.Modified % int64(ingest.Minute)
			if f.Precision = ingest.Minute; !yield(f, err) {
				return
			}
		}
	}
}

func (s inMinutes) Watch(ctx context.Context, _ func(ingest.File)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (s inMinutes) Locate(ctx context.Context, path string) (ingest.File, error) {
	s.slow.Lock()
	defer s.slow.Unlock()
	f, err := s.Dir.Locate(ctx, path)
	s.located[path]++
	f.Precision = ingest.Second
	return f, err
}

// TestFTPToldByTheMinute: a file of today of which the listing tells the minute is
// asked for once when it is fetched, so that the ledger knows when exactly it was
// written and need not have it fetched again; one of the day before yesterday is not.
func TestFTPToldByTheMinute(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.features = []string{"MDTM", "SIZE"}
		s.on = func(s *session, command, _ string) bool {
			if command != "LIST" {
				return false
			}
			listMinutes(s)
			return true
		}
	})
	now := time.Now().UTC().Truncate(time.Second)
	s.put("today.csv", []byte("x"), now.Add(-2*time.Hour))
	s.put("before.csv", []byte("x"), now.Add(-48*time.Hour))
	r := newFTP(t, quick(s))
	all, err := lists(t, r)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		asked     int
		precision ingest.Precision
	}{"today.csv": {1, ingest.Second}, "before.csv": {0, ingest.Minute}} {
		var c ingest.Content
		if err := r.Fetch(t.Context(), all[path], &c); err != nil {
			t.Fatal(err)
		}
		if n := s.count("MDTM /" + path); n != want.asked || c.File.Precision != want.precision {
			t.Errorf("%s was asked for %d times, and its time is known by %d us; want %d times and %d us", path, n, c.File.Precision, want.asked, want.precision)
		}
	}
}

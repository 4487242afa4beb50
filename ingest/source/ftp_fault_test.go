package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"penstock/ingest"
	"penstock/ingest/source"
)

// quick are options with which faults show soon.
func quick(s *script) source.FTPOptions {
	return source.FTPOptions{URL: "ftp://loggers@" + s.address(), RemoteOptions: source.RemoteOptions{
		Timeout: time.Second, MinRate: 2000, Retry: time.Millisecond, Refused: time.Hour, Connections: 2,
	}}
}

// random is n bytes that no part of is like another.
func random(n int, seed byte) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data) // it never fails
	return data
}

// entire reads all of what was fetched.
func entire(t *testing.T, c *ingest.Content) []byte {
	t.Helper()
	data := c.Data
	if c.Stream != nil {
		var err error
		if data, err = io.ReadAll(c.Stream); err != nil {
			t.Errorf("reading the stream: %v", err)
		}
	}
	if err := c.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	return data
}

// lists returns what a listing gives, by path, and the errors in it.
func lists(t *testing.T, s ingest.Source) (map[string]ingest.File, error) {
	t.Helper()
	all := make(map[string]ingest.File)
	var errs []error
	for f, err := range s.Files(t.Context()) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, ok := all[f.Path]; ok {
			t.Errorf("%s is listed twice", escaped(f.Path))
		}
		all[f.Path] = f
	}
	return all, errors.Join(errs...)
}

// within fails the test when do takes longer than it should by any fault.
func within(t *testing.T, most time.Duration, do func(context.Context)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	do(ctx)
	if ctx.Err() != nil {
		t.Errorf("it took longer than %v", most)
	}
}

// mended fails unless a source that met a fault works when the fault is over.
func mended(t *testing.T, r *source.Remote, path string, want []byte) {
	t.Helper()
	within(t, time.Minute, func(ctx context.Context) {
		// A connection that the fault has left in disorder may cost an error, and
		// a login that was refused a pause.
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		var c ingest.Content
		for {
			f, err := r.Locate(ctx, path)
			if err == nil {
				err = r.Fetch(ctx, f, &c)
			}
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("when the fault is over: %v", err)
			}
			<-tick.C
		}
		if !bytes.Equal(entire(t, &c), want) {
			t.Error("when the fault is over other bytes come than were put")
		}
	})
}

// A fault says how a server errs.
type fault struct {
	name string
	on   func(s *session, command, argument string) bool
}

// TestFTPFaults lists and fetches from servers that err. None may hang the
// source or make it panic, give bytes that are not the file's, or leave the
// source out of order once the server is in order again.
func TestFTPFaults(t *testing.T) {
	var faults []fault
	commands := []string{"", "USER", "PASS", "FEAT", "TYPE", "OPTS", "PWD", "CWD", "EPSV", "MLSD", "RETR", "MLST", "226"}
	for _, command := range commands {
		for _, reply := range []string{
			"421 Service not available, closing control connection.", "xyz", "99", "", "2\x00\xff", `257 "abc`, "227 )(", "229 (|||", "229 (|||99999999999|)",
			"250-never\r\n ended", "500 what?", "452 no room", "350 go on", "226 done", "150 soon", "213 much",
		} {
			faults = append(faults, fault{fmt.Sprintf("%q is answered %q", command, reply), func(s *session, c, _ string) bool {
				if c != command {
					return false
				}
				s.reply(reply)
				if strings.HasPrefix(reply, "421") {
					s.Close()
				}
				return true
			}})
		}
		faults = append(faults,
			fault{fmt.Sprintf("%q is not answered", command), func(_ *session, c, _ string) bool { return c == command }},
			fault{fmt.Sprintf("%q ends the connection", command), func(s *session, c, _ string) bool {
				if c == command {
					s.Close()
				}
				return c == command
			}},
			fault{fmt.Sprintf("%q is answered without end", command), func(s *session, c, _ string) bool {
				for line := []byte("220-" + strings.Repeat("x", 4000) + "\r\n"); c == command; {
					if _, err := s.Write(line); err != nil {
						return true
					}
				}
				return false
			}},
		)
	}
	want := random(30000, 1)
	together(t, len(faults), func(i int) {
		f := faults[i]
		t.Run(f.name, func(t *testing.T) {
			var over atomic.Bool
			s := newScript(t, func(s *script) {
				s.on = func(s *session, command, argument string) bool { return !over.Load() && f.on(s, command, argument) }
			})
			s.put("x.csv", want, time.Now()) // young: looked at twice
			s.put("folder/y.csv", want, then)
			o := quick(s)
			o.Refused = time.Millisecond
			r := newFTP(t, o)
			within(t, time.Minute, func(ctx context.Context) {
				files := map[string]ingest.File{"x.csv": {Source: "field", Path: "x.csv", Size: -1}}
				for f, err := range r.Files(ctx) {
					if err == nil {
						files[f.Path] = f
					}
				}
				for _, f := range files {
					var c ingest.Content
					err := r.Fetch(ctx, f, &c)
					if err == nil && !bytes.Equal(entire(t, &c), want) {
						t.Errorf("%s is not what was put", f.Path)
					}
					if err != nil && (len(c.Data) > 0 || c.Stream != nil) {
						t.Errorf("with %v it holds %d bytes and the stream %v", err, len(c.Data), c.Stream)
					}
					if err != nil && (strings.Contains(err.Error(), "secret") || strings.ContainsAny(err.Error(), "\x00\x1b\r\n")) {
						t.Errorf("the message is %q", err)
					}
				}
			})
			over.Store(true)
			mended(t, r, "folder/y.csv", want)
		})
	})
}

// together calls do for each number below n, many at a time: most of them wait
// for a deadline.
func together(t *testing.T, n int, do func(i int)) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(24)
	for i := range n {
		g.Go(func() error { do(i); return nil })
	}
	_ = g.Wait() // none returns an error
}

// TestFTPGreeting: a server that takes connections and says nothing.
func TestFTPGreeting(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) { s.on = func(_ *session, c, _ string) bool { return c == "" } })
	r := newFTP(t, quick(s))
	start := time.Now()
	_, err := lists(t, r)
	says(t, err, "list ftp://127.0.0.1", "the server sent nothing for 1s")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestFTPDataRefused: the port that the server names for data is closed.
func TestFTPDataRefused(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.on = func(s *session, c, _ string) bool {
			if c == "EPSV" {
				port := s.listen()
				s.passive.Close()
				s.reply("229 here (|||" + port + "|)")
			}
			return c == "EPSV"
		}
	})
	s.put("x.csv", random(10, 1), then)
	_, err := lists(t, newFTP(t, quick(s)))
	says(t, err, "connection refused")
}

// TestFTPCut cuts transfers at every tenth, and ends them in every wrong way.
func TestFTPCut(t *testing.T) {
	ends := []struct {
		name string
		end  func(s *session, data net.Conn)
	}{
		{"both connections", func(s *session, data net.Conn) { data.Close(); s.Close() }},
		{"the data, reset", func(s *session, data net.Conn) {
			_ = data.(*net.TCPConn).SetLinger(0)
			data.Close()
			s.reply("226 all sent")
		}},
		{"the data, with 426", func(s *session, data net.Conn) { data.Close(); s.reply("426 cut") }},
		{"the data, with 226", func(s *session, data net.Conn) { data.Close(); s.reply("226 all sent") }},
		{"the data, with nothing", func(_ *session, data net.Conn) { data.Close() }},
		{"nothing, and nothing more comes", func(*session, net.Conn) {}},
	}
	for _, size := range []int{1000, 1 << 20, ingest.SpoolAbove + 1<<20} {
		want := random(size, 2)
		together(t, 11*len(ends), func(i int) {
			tenth, e := i%11, ends[i/11]
			if size > 1<<20 && tenth != 9 {
				return // the file is large: up to the spool file it is as the others
			}
			t.Run(fmt.Sprintf("%d tenths of %d bytes, %s", tenth, size, e.name), func(t *testing.T) {
				var over atomic.Bool
				s := newScript(t, func(s *script) {
					s.on = func(s *session, c, _ string) bool {
						if c != "RETR" || over.Load() {
							return false
						}
						data, err := s.dataConn()
						if err == nil {
							_, _ = data.Write(want[:size*tenth/10])
							e.end(s, data)
							t.Cleanup(func() { data.Close() })
						}
						return true
					}
				})
				s.put("x.csv", want, then)
				r := newFTP(t, quick(s))
				all, err := lists(t, r)
				if err != nil {
					t.Fatal(err)
				}
				var c ingest.Content
				within(t, time.Minute, func(ctx context.Context) { err = r.Fetch(ctx, all["x.csv"], &c) })
				whole := tenth == 10 && strings.HasSuffix(e.name, "226")
				if whole && (err != nil || !bytes.Equal(entire(t, &c), want)) {
					t.Errorf("a whole file: %v", err)
				}
				// A reset after all was sent may overtake it, or not.
				if err == nil && !whole && !(tenth == 10 && strings.HasSuffix(e.name, "reset") && bytes.Equal(entire(t, &c), want)) {
					t.Error("there is no error")
				}
				if errors.Is(err, ingest.ErrChanged) || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a file that was cut is told as %v", err)
				}
				over.Store(true)
				mended(t, r, "x.csv", want)
			})
		})
	}
}

// TestFTPShort: the server says that all was sent, and it was not.
func TestFTPShort(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.on = func(s *session, c, _ string) bool {
			if c == "RETR" {
				s.send(random(60, 1))
			}
			return c == "RETR"
		}
	})
	s.put("x.csv", random(100, 1), then)
	r := newFTP(t, quick(s))
	all, err := lists(t, r)
	if err != nil {
		t.Fatal(err)
	}
	says(t, r.Fetch(t.Context(), all["x.csv"], new(ingest.Content)), "fetch ftp://127.0.0.1", "x.csv", "sent 60 of 100 bytes")
}

// TestFTPGone: a file that goes between the listing and the fetching, and one
// that cannot be read.
func TestFTPGone(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.on = func(s *session, c, a string) bool {
			if c == "RETR" && a == "/kept.csv" {
				s.reply("550 Failed to open file.")
				return true
			}
			return false
		}
	})
	for _, name := range []string{"goes.csv", "kept.csv", "stays.csv"} {
		s.put(name, random(100, 1), then)
	}
	r := newFTP(t, quick(s))
	all, err := lists(t, r)
	if err != nil {
		t.Fatal(err)
	}
	s.remove("goes.csv")
	var c ingest.Content
	if err := r.Fetch(t.Context(), all["goes.csv"], &c); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is gone: %v", err)
	}
	err = r.Fetch(t.Context(), all["kept.csv"], &c)
	if !errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that cannot be read: %v", err)
	}
	says(t, err, "Failed to open file", "give the source's user the right to read it")
	if err := r.Fetch(t.Context(), all["stays.csv"], &c); err != nil {
		t.Error(err)
	}
	if n := s.count("USER"); n != 1 {
		t.Errorf("%d logins: files that are gone should cost no connection", n)
	}
}

// TestFTPReplaced: a file becomes another one while it is sent.
func TestFTPReplaced(t *testing.T) {
	old := random(200_000, 1)
	for name, data := range map[string][]byte{"of the same size": random(200_000, 2), "longer": random(300_000, 3), "shorter": random(100_000, 4), "grown": append(bytes.Clone(old), random(100, 5)...)} {
		for _, features := range [][]string{everyFeature, {"MDTM", "SIZE"}} {
			t.Run(fmt.Sprintf("%s, %d features", name, len(features)), func(t *testing.T) {
				t.Parallel()
				var done, never atomic.Bool
				s := newScript(t, func(s *script) {
					s.features = features
					s.on = func(s *session, c, _ string) bool {
						if c != "RETR" || done.Swap(true) && !never.Load() {
							return false
						}
						s.put("x.csv", data, time.Now())
						// The first half of the one, the second of the other.
						s.send(append(bytes.Clone(old[:len(data)/2]), data[len(data)/2:]...))
						return true
					}
				})
				s.put("x.csv", old, then)
				r := newFTP(t, quick(s))
				all, err := lists(t, r)
				if err != nil {
					t.Fatal(err)
				}
				var c ingest.Content
				if err := r.Fetch(t.Context(), all["x.csv"], &c); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(entire(t, &c), data) {
					t.Error("two versions are mixed")
				}
				if c.File.Size != int64(len(data)) {
					t.Errorf("its size is told as %d", c.File.Size)
				}
			})
		}
	}
	t.Run("again and again", func(t *testing.T) {
		t.Parallel()
		n := 0
		s := newScript(t, func(s *script) {
			s.on = func(s *session, c, _ string) bool {
				if c == "RETR" {
					n++
					s.put("x.csv", old, then.Add(time.Duration(n)*time.Hour))
				}
				return false
			}
		})
		s.put("x.csv", old, then)
		r := newFTP(t, quick(s))
		all, err := lists(t, r)
		if err != nil {
			t.Fatal(err)
		}
		var c ingest.Content
		if err := r.Fetch(t.Context(), all["x.csv"], &c); !errors.Is(err, ingest.ErrChanged) || len(c.Data) > 0 {
			t.Errorf("a file that does not keep still: %v, and %d bytes", err, len(c.Data))
		}
	})
}

// TestFTPSlow: a server that sends a byte now and then, in a file and in a
// listing.
func TestFTPSlow(t *testing.T) {
	for _, command := range []string{"RETR", "MLSD"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, func(s *script) {
				s.on = func(s *session, c, _ string) bool {
					if c != command {
						return false
					}
					data, err := s.dataConn()
					if err != nil {
						return true
					}
					defer data.Close()
					tick := time.NewTicker(20 * time.Millisecond)
					defer tick.Stop()
					for range tick.C {
						if _, err := data.Write([]byte("x")); err != nil {
							return true
						}
					}
					return true
				}
			})
			s.put("x.csv", random(20_000, 1), then)
			r := newFTP(t, quick(s))
			within(t, time.Minute, func(ctx context.Context) {
				err := r.Fetch(ctx, ingest.File{Source: "field", Path: "x.csv", Size: -1}, new(ingest.Content))
				if command == "MLSD" {
					_, err = lists(t, r)
				}
				says(t, err, "should send 2000 a second")
			})
		})
	}
}

// TestFTPNotDeleted: a server that deletes nothing, and says so in words that
// are as good for a file that is not there.
func TestFTPNotDeleted(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.on = func(s *session, command, _ string) bool {
			if command == "DELE" {
				s.reply("550 Zugriff verweigert")
			}
			return command == "DELE"
		}
	})
	s.put("x.csv", []byte("x"), then)
	o := quick(s)
	o.After = source.After{Do: source.Delete}
	r := newFTP(t, o)
	all, err := lists(t, r)
	if err != nil {
		t.Fatal(err)
	}
	f := all["x.csv"]
	says(t, r.Done(t.Context(), f, ingest.Outcome{File: f, State: ingest.Loaded}), "delete x.csv", "Zugriff verweigert", "although it is there", "the right to rename and delete")
	if _, there := s.get("/x.csv"); !there {
		t.Error("it does not have its name back")
	}
	s.remove("x.csv")
	if err := r.Done(t.Context(), f, ingest.Outcome{File: f, State: ingest.Loaded}); err != nil {
		t.Errorf("of a file that is gone: %v", err)
	}
}

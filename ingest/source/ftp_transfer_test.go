package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
)

// An eager is a source of a script's files, by one connection, that is told each
// time that another file follows.
type eager struct {
	*source.Remote
	t     *testing.T
	files map[string]ingest.File
	want  map[string][]byte
}

func newEager(t *testing.T, s *script, files int, change ...func(*source.FTPOptions)) *eager {
	t.Helper()
	e := &eager{t: t, want: make(map[string][]byte)}
	for i := range files {
		path := fmt.Sprintf("%d.csv", i)
		e.want[path] = random(1000*i+1, byte(i))
		s.put(path, e.want[path], then)
	}
	o := quick(s)
	o.Connections = 1
	for _, c := range change {
		c(&o)
	}
	e.Remote = newFTP(t, o)
	var err error
	if e.files, err = lists(t, e.Remote); err != nil {
		t.Fatal(err)
	}
	return e
}

// fetch fetches one file, and all of them without a path.
func (e *eager) fetch(ctx context.Context, paths ...string) {
	e.t.Helper()
	if len(paths) == 0 {
		paths = slices.Sorted(maps.Keys(e.want))
	}
	for _, path := range paths {
		c := ingest.Content{Follows: true}
		if err := e.Fetch(ctx, e.files[path], &c); err != nil {
			e.t.Errorf("%s: %v", path, err)
		} else if !bytes.Equal(entire(e.t, &c), e.want[path]) {
			e.t.Errorf("%s is not what was put", path)
		}
	}
}

// TestFTPAhead: the port of the next transfer is asked for while this one ends,
// once for each file, and not where no file follows: a port that nobody comes to
// is one that others lack.
func TestFTPAhead(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	e := newEager(t, s, 8)
	e.fetch(t.Context())
	var c ingest.Content
	if err := e.Fetch(t.Context(), e.files["0.csv"], &c); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil { // what was sent has come then
		t.Fatal(err)
	}
	s.listener.Close()
	s.hangUp()
	s.wg.Wait()
	log := s.commands()
	first := slices.IndexFunc(log, func(c string) bool { return strings.HasPrefix(c, "RETR ") })
	for i, c := range log[first:] {
		if want := []string{"RETR ", "EPSV"}[i%2]; !strings.HasPrefix(c, want) && c != "QUIT" {
			t.Errorf("command %d is %q, want %s", i, c, want)
		}
	}
	if n, want := s.count("EPSV"), 1+9; n != want { // of the listing, and of each transfer
		t.Errorf("%d times EPSV, want %d: %q", n, want, log)
	}
	if n := s.count("USER"); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// A server may wait for who asked for a port, and end its session only then
// (goftp.io/server v2.0.3 does for a minute): a connection that is given up with a
// port in hand comes to it.
func TestFTPAheadForNothing(t *testing.T) {
	t.Parallel()
	came := make(chan error, 1)
	s := newScript(t, func(s *script) {
		s.on = func(s *session, command, _ string) bool {
			if command == "QUIT" {
				_ = s.passive.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
				data, err := s.passive.Accept()
				if err == nil {
					err = data.Close()
				}
				came <- err
			}
			return false
		}
	})
	e := newEager(t, s, 1)
	e.fetch(t.Context())
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := <-came; err != nil {
		t.Errorf("nobody came to the port that was asked for: %v", err)
	}
}

// A foresight is what a script sees of a session at the end of a transfer: whether
// something was asked ahead. It waits a moment for it.
type foresight struct {
	mu    sync.Mutex
	asked map[*session]bool
}

func (f *foresight) look(s *session) {
	_ = s.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	_, err := s.in.Peek(1)
	_ = s.SetReadDeadline(time.Time{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[s] = err == nil
}

// take reports whether something was asked ahead, once.
func (f *foresight) take(s *session) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked[s]
	f.asked[s] = false
	return asked
}

// TestFTPAheadRefused: servers that do not take to being asked ahead, each in its
// own way, cost at most one login and one try; then they are asked when it is time.
func TestFTPAheadRefused(t *testing.T) {
	t.Parallel()
	type behaviour = func(f *foresight, s *session, c string) bool
	refuses := func(reply string) behaviour {
		return func(f *foresight, s *session, c string) bool {
			refused := c == "EPSV" && f.take(s)
			if refused {
				s.reply(reply)
				if strings.HasPrefix(reply, "421") {
					s.Close()
				}
			}
			return refused
		}
	}
	forgets := func(reply string) behaviour {
		return func(f *foresight, s *session, c string) bool {
			forgotten := c == "RETR" && f.take(s)
			if forgotten {
				s.reply(reply)
			}
			return forgotten
		}
	}
	for name, c := range map[string]struct {
		on     behaviour
		logins int
	}{
		"it is busy":               {refuses("450 data transfer in progress"), 1},
		"it does not know it then": {refuses("503 bad sequence of commands"), 1},
		"it takes leave":           {refuses("421 one file for each"), 2},
		"425 to the next RETR":     {forgets("425 use EPSV first"), 1},
		"503 to the next RETR":     {forgets("503 bad sequence of commands"), 1},
		"426 to the next RETR":     {forgets("426 the connection is closed"), 1},
		"the port is shut": {func(f *foresight, s *session, c string) bool {
			shut := c == "EPSV" && f.take(s)
			if shut {
				s.obey("EPSV", "")
				s.passive.Close()
			}
			return shut
		}, 2},
		"it is refused before the transfer's end is told": {func(_ *foresight, s *session, c string) bool {
			if c == "226" && s.count("RETR") > 0 {
				_ = s.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				if line, err := s.in.ReadString('\n'); err == nil && line == "EPSV\r\n" {
					s.reply("450 data transfer in progress")
				}
				_ = s.SetReadDeadline(time.Time{})
			}
			return false
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &foresight{asked: make(map[*session]bool)}
			overtakes := strings.HasPrefix(name, "it is refused before")
			s := newScript(t, func(s *script) {
				s.on = func(s *session, command, _ string) bool {
					if command == "226" && !overtakes {
						f.look(s)
					}
					return c.on(f, s, command)
				}
			})
			e := newEager(t, s, 8)
			within(t, time.Minute, func(ctx context.Context) { e.fetch(ctx) })
			if n := s.count("USER"); n > c.logins {
				t.Errorf("%d logins, want %d: %q", n, c.logins, s.commands())
			}
			// For the listing and for each file, and that which was in vain.
			if n := s.count("EPSV"); n > 1+8+1 {
				t.Errorf("%d times EPSV: %q", n, s.commands())
			}
			if n := s.count("PASV"); n > 0 {
				t.Errorf("%d files are fetched by the library: %q", n, s.commands())
			}
		})
	}
}

// TestFTPLeavesAfterEach: from a server that ends the connection with each
// transfer, each file comes, by a connection of its own.
func TestFTPLeavesAfterEach(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.on = func(s *session, c, _ string) bool {
			if c == "226" {
				s.reply("226 all sent")
				s.Close()
			}
			return c == "226"
		}
	})
	e := newEager(t, s, 8)
	within(t, time.Minute, func(ctx context.Context) { e.fetch(ctx) })
}

// TestFTPAheadOvertakes: the reply to what is asked ahead may come before the end
// of the transfer is told, and that may be a failure.
func TestFTPAheadOvertakes(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{false, true} {
		var once sync.Once
		s := newScript(t, func(s *script) {
			s.on = func(s *session, c, _ string) (failed bool) {
				if c != "226" || s.count("RETR") == 0 {
					return false
				}
				_ = s.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				line, err := s.in.ReadString('\n')
				_ = s.SetReadDeadline(time.Time{})
				if err != nil || line != "EPSV\r\n" {
					return false
				}
				if fails {
					once.Do(func() {
						s.reply("451 the disk is gone")
						failed = true
					})
				}
				s.obey("EPSV", "")
				return failed
			}
		})
		e := newEager(t, s, 4)
		e.fetch(t.Context())
		if n := s.count("RETR /0.csv"); (n == 2) != fails {
			t.Errorf("the first file is asked for %d times, where its transfer failed: %v", n, fails)
		}
		if n := s.count("PASV"); n > 0 {
			t.Errorf("%d files are fetched by the library", n)
		}
	}
}

// TestFTPAheadForgotten: a port that was told a while ago is not used.
func TestFTPAheadForgotten(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	e := newEager(t, s, 2, func(o *source.FTPOptions) { o.ForgetPorts(time.Nanosecond) })
	e.fetch(t.Context())
	if n, want := s.count("EPSV"), 1+1+2+1; n < want-1 || n > want { // the last may not have come yet
		t.Errorf("%d times EPSV, want %d: %q", n, want, s.commands())
	}
}

// TestFTPAheadBesides: what is done between fetches leaves the port as it is, and a
// refusal that is read then is not forgotten.
func TestFTPAheadBesides(t *testing.T) {
	t.Parallel()
	for _, refused := range []bool{false, true} {
		f := &foresight{asked: make(map[*session]bool)}
		s := newScript(t, func(s *script) {
			s.on = func(s *session, c, _ string) bool {
				if c == "226" {
					f.look(s)
				}
				if !refused || c != "EPSV" || !f.take(s) {
					return false
				}
				s.reply("450 data transfer in progress")
				return true
			}
		})
		e := newEager(t, s, 8)
		for path := range e.files {
			e.fetch(t.Context(), path)
			if _, err := e.Locate(t.Context(), path); err != nil { // as Done does
				t.Fatal(err)
			}
		}
		if n := s.count("EPSV"); n > 1+8+1 {
			t.Errorf("refused %v: %d times EPSV: %q", refused, n, s.commands())
		}
	}
}

// TestFTPGivenUpIsNoRefusal: a fetch that we end ourselves says nothing of the
// server.
func TestFTPGivenUpIsNoRefusal(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := &foresight{asked: make(map[*session]bool)}
	var once sync.Once
	s := newScript(t, func(s *script) {
		s.on = func(s *session, c, _ string) (held bool) {
			if c != "226" || s.count("RETR") == 0 {
				return false
			}
			once.Do(func() {
				cancel()
				_, _ = s.in.ReadString(0) // until it is closed
				held = true
			})
			f.look(s)
			return held
		}
	})
	e := newEager(t, s, 2)
	c := ingest.Content{Follows: true}
	if err := e.Fetch(ctx, e.files["0.csv"], &c); !errors.Is(err, context.Canceled) {
		t.Errorf("a fetch that was given up: %v", err)
	}
	e.fetch(t.Context(), "1.csv")
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(slices.Collect(maps.Values(f.asked)), true) {
		t.Error("the server is taken for one that does not take to being asked ahead")
	}
}

// TestFTPUnreached: where data connections do not come, that is told, and where
// they should go.
func TestFTPUnreached(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"", "425 Failed to establish connection."} {
		port := deaf(t)
		s := newScript(t, func(s *script) {
			s.on = func(s *session, c, _ string) bool {
				switch {
				case c == "EPSV" && s.count("MLSD") > 0:
					s.reply("229 Entering Extended Passive Mode (|||" + port + "|)")
					return true
				case c == "RETR" && reply != "":
					s.reply(reply)
				}
				return c == "RETR"
			}
		})
		e := newEager(t, s, 1)
		var c ingest.Content
		says(t, e.Fetch(t.Context(), e.files["0.csv"], &c), "the connection for data to 127.0.0.1:"+port+" is not there", "passive ports")
	}
}

// TestFTPUnreachedEnds: what waits for a data connection ends with its context.
func TestFTPUnreachedEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	port := deaf(t)
	s := newScript(t, func(s *script) {
		s.on = func(s *session, c, _ string) bool {
			if c == "EPSV" && s.count("MLSD") > 0 {
				s.reply("229 Entering Extended Passive Mode (|||" + port + "|)")
				cancel()
				return true
			}
			return c == "RETR"
		}
	})
	e := newEager(t, s, 1)
	within(t, 500*time.Millisecond, func(context.Context) {
		var c ingest.Content
		if err := e.Fetch(ctx, e.files["0.csv"], &c); !errors.Is(err, context.Canceled) {
			t.Errorf("a fetch that was given up: %v", err)
		}
	})
}

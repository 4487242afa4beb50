package source_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"penstock/ingest"
	"penstock/ingest/source"
)

// TestFTPPassword: a wrong password is tried few times, whoever asks; a new one
// at once. It is in no message and no line of the log, although the server
// says it.
func TestFTPPassword(t *testing.T) {
	t.Parallel()
	var password atomic.Value
	password.Store("mistyped")
	s := newScript(t, func(s *script) {
		s.on = func(s *session, c, a string) bool {
			if c == "PASS" && a != s.password {
				s.reply("530 Login incorrect: " + a + " is not right")
				return true
			}
			return false
		}
	})
	s.put("x.csv", random(10, 1), then)
	o := quick(s)
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Password = func() (string, error) { return password.Load().(string), nil }
	r := newFTP(t, o)
	f := ingest.File{Source: "field", Path: "x.csv", Size: 10}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				err := r.Fetch(t.Context(), f, new(ingest.Content))
				if err == nil || !strings.Contains(err.Error(), `the server refused the login of "loggers"`) || strings.Contains(err.Error(), "mistyped") {
					t.Errorf("with a wrong password: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := s.count("PASS"); n != 1 {
		t.Errorf("the wrong password was tried %d times", n)
	}
	password.Store("secret")
	if err := r.Fetch(t.Context(), f, new(ingest.Content)); err != nil {
		t.Errorf("with the right password: %v", err)
	}
	if strings.Contains(log.String(), "mistyped") || strings.Contains(log.String(), "secret") {
		t.Errorf("the log is\n%s", log.String())
	}
	if n := strings.Count(log.String(), "plain FTP"); n != 1 {
		t.Errorf("plain FTP is warned of %d times in\n%s", n, log.String())
	}
}

// TestFTPSaysPassword: a server that says back what it is told, in no form of a
// reply, gets the password into no error.
func TestFTPSaysPassword(t *testing.T) {
	for _, form := range []string{"PASS %s", "530-no %s\r\n530 no", "530 no %s"} {
		s := newScript(t, func(s *script) {
			s.on = func(s *session, command, argument string) bool {
				if command == "PASS" {
					s.reply(fmt.Sprintf(form, argument))
				}
				return command == "PASS"
			}
		})
		o := quick(s)
		o.Password = func() (string, error) { return "hunter2", nil }
		_, err := lists(t, newFTP(t, o))
		if says(t, err, "***"); strings.Contains(err.Error(), "hunter2") {
			t.Error("the password is in it")
		}
	}
}

// TestFTPLimit: a server that takes fewer connections than are configured, and
// says so as vsftpd and pure-ftpd do, or as proftpd does. All is fetched by
// those there are, and once there may be more there are.
func TestFTPLimit(t *testing.T) {
	const files, allowed = 60, 2
	for _, c := range []struct{ at, says string }{
		{"", "421 There are too many connected users, please try later."},
		{"PASS", "530 Sorry, the maximum number of clients (2) from your host are already connected."},
		{"PASS", "530 Login incorrect."}, // a login that worked shows that it is not
		{"USER", "421 2 users (the maximum) are already logged in, sorry"},
	} {
		t.Run(c.at+c.says[:3], func(t *testing.T) {
			t.Parallel()
			var over atomic.Bool
			s := newScript(t, func(s *script) {
				s.on = func(s *session, command, _ string) bool {
					if command != c.at || over.Load() || s.connections() <= allowed {
						return false
					}
					s.reply(c.says)
					s.Close()
					return true
				}
			})
			for i := range files {
				s.put(fmt.Sprintf("%d.csv", i), random(1000, byte(i)), then)
			}
			o := quick(s)
			o.Connections, o.Recover = 6, 50*time.Millisecond
			r := newFTP(t, o)
			all, err := lists(t, r)
			if err != nil {
				t.Fatal(err)
			}
			fetchAll := func() {
				var wg sync.WaitGroup
				for w := range 6 {
					wg.Go(func() {
						var c ingest.Content
						for i := w; i < files; i += 6 {
							err := r.Fetch(t.Context(), all[fmt.Sprintf("%d.csv", i)], &c)
							if err != nil || !bytes.Equal(c.Data, random(1000, byte(i))) {
								t.Errorf("file %d: %v", i, err)
							}
						}
					})
				}
				wg.Wait()
			}
			fetchAll()
			over.Store(true)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for n := 0; s.connections() < 6; n++ {
				if n == 500 {
					t.Fatalf("there are %d connections, and may be 6", s.connections())
				}
				fetchAll()
				<-tick.C
			}
		})
	}
}

// TestFTPUnreachable: a server that is away is waited for by who fetches, told
// of by who lists, and not called without end.
func TestFTPUnreachable(t *testing.T) {
	t.Parallel()
	const address = "127.0.0.1:1" // at which no other test begins to listen
	r := newFTP(t, source.FTPOptions{URL: "ftp://loggers@" + address, RemoteOptions: source.RemoteOptions{Timeout: 300 * time.Millisecond, Retry: 20 * time.Millisecond}})
	_, err := lists(t, r)
	says(t, err, "list ftp://"+address, "connection refused")
	start := time.Now()
	err = r.Fetch(t.Context(), ingest.File{Source: "field", Path: "x.csv"}, new(ingest.Content))
	says(t, err, "fetch ftp://"+address+"/x.csv", "connection refused")
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("the server was given up after %v", took)
	}
}

// TestFTPDead: connections that die while they are idle are dropped, and what
// is asked is done by new ones without anyone noticing.
func TestFTPDead(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	s.put("x.csv", random(10, 1), then)
	o := quick(s)
	o.Connections = 1
	r := newFTP(t, o)
	f := ingest.File{Source: "field", Path: "x.csv", Size: 10, Modified: ingest.Micros(then), Precision: ingest.Second}
	for range 5 {
		if err := r.Fetch(t.Context(), f, new(ingest.Content)); err != nil {
			t.Fatal(err)
		}
		if all, err := lists(t, r); err != nil || len(all) != 1 {
			t.Fatalf("listed %v, and %v", all, err)
		}
		s.hangUp()
	}
	if n := s.count("USER"); n != 5 {
		t.Errorf("%d logins for 5 connections that died", n)
	}
}

// TestFTPIdle: idle connections are kept alive by NOOP, and closed when nobody
// needs them for long.
func TestFTPIdle(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	s.put("x.csv", random(10, 1), then)
	o := quick(s)
	o.Idle = 50 * time.Millisecond
	r := newFTP(t, o)
	if _, err := lists(t, r); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, func(ctx context.Context) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for s.connections() > 0 && ctx.Err() == nil {
			<-tick.C
		}
	})
	if n := s.count("NOOP"); n < 3 {
		t.Errorf("an idle connection saw %d NOOPs", n)
	}
	if s.count("QUIT") != 1 {
		t.Error("it was closed without QUIT")
	}
	if _, err := lists(t, r); err != nil || s.count("USER") != 2 {
		t.Errorf("afterwards: %v, %d logins", err, s.count("USER"))
	}
}

// TestFTPClose: a closed source asks for nothing more, and leaves none behind.
func TestFTPClose(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	r := newFTP(t, quick(s))
	if _, err := lists(t, r); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := lists(t, r)
	says(t, err, "the source is closed")
}

// TestFTPPassive: data comes from the host that commands go to, whatever it
// says; and from ports that PASV tells, too.
func TestFTPPassive(t *testing.T) {
	t.Parallel()
	elsewhere, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("there is no 127.0.0.2 here: %v", err)
	}
	defer elsewhere.Close()
	var called atomic.Int32
	go func() {
		for {
			c, err := elsewhere.Accept()
			if err != nil {
				return
			}
			called.Add(1)
			c.Close()
		}
	}()
	s := newScript(t, func(s *script) {
		s.on = func(s *session, c, _ string) bool {
			switch c {
			case "EPSV":
				s.reply("500 not known")
			case "PASV":
				_, port, _ := net.SplitHostPort(elsewhere.Addr().String())
				n, _ := strconv.Atoi(port)
				l, err := net.Listen("tcp", "127.0.0.1:"+port)
				if err != nil {
					s.reply("425 no port")
					return true
				}
				s.passive = l
				s.reply(fmt.Sprintf("227 Entering Passive Mode (127,0,0,2,%d,%d)", n/256, n%256))
			default:
				return false
			}
			return true
		}
	})
	s.put("x.csv", random(10, 1), then)
	all, err := lists(t, newFTP(t, quick(s)))
	if err != nil || len(all) != 1 {
		t.Errorf("listed %v, and %v", all, err)
	}
	if called.Load() > 0 {
		t.Error("the host that the server named was called")
	}
}

// TestFTPURL: what a URL can and cannot be.
func TestFTPURL(t *testing.T) {
	for url, want := range map[string]string{
		"ftp://loggers:secret@host/":  "a password stands in the URL",
		"ftp://loggers:se%cret@host/": "malformed",
		"http://host/":                `the URL's scheme is "http"`,
		"host/upload":                 "the URL's scheme",
		"ftp:///upload":               "names no host",
		"ftp://host/a?b":              "%3F",
		"ftp://host/a%0Ab":            "line break",
		"ftp://us%0Der@host/":         "line break",
	} {
		_, err := source.NewFTP(source.FTPOptions{URL: url, RemoteOptions: source.RemoteOptions{Source: "field"}})
		says(t, err, want)
		if err != nil && strings.Contains(err.Error(), "se%cret") {
			t.Errorf("%v has the password", err)
		}
	}
	_, err := source.NewFTP(source.FTPOptions{URL: "ftp://host", RemoteOptions: source.RemoteOptions{Source: "field"}, TLS: source.TLSOptions{SkipVerify: true}})
	says(t, err, "there is no TLS with ftp://")
	_, err = source.NewFTP(source.FTPOptions{URL: "ftps://host", RemoteOptions: source.RemoteOptions{Source: "field"}, TLS: source.TLSOptions{CertFile: "x"}})
	says(t, err, "both its file and that of its key")
}

// TestFTPHome: the folder of the URL is below the one that the login leads to,
// unless it has two slashes.
func TestFTPHome(t *testing.T) {
	for url, want := range map[string]string{"": "/home/log\"gers", "/up": "/home/log\"gers/up", "//srv/up": "/srv/up", "/%2Fsrv/up/": "/srv/up", "/up/../../x": "/home/log\"gers/x"} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, func(s *script) {
				s.on = func(s *session, c, _ string) bool {
					if c == "PWD" {
						s.reply(`257 "/home/log""gers" is where you are`)
					}
					return c == "PWD"
				}
			})
			s.put(want[1:]+"/x.csv", random(10, 1), then)
			o := quick(s)
			o.URL += url
			all, err := lists(t, newFTP(t, o))
			if err != nil || len(all) != 1 {
				t.Errorf("listed %v, and %v; the server was asked %q", all, err, s.commands())
			}
		})
	}
}

// TestFTPSlowLogin: who waits for a login takes a connection that is ready before,
// and the one that was being made serves the next.
func TestFTPSlowLogin(t *testing.T) {
	t.Parallel()
	slow, logsIn, sends, first := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := newScript(t, func(s *script) {
		s.on = func(s *session, command, argument string) bool {
			switch {
			case command == "PASS" && s.number == 2:
				close(logsIn)
				<-slow
			case command == "RETR" && argument == "/first.csv":
				close(sends)
				<-first
			}
			return false
		}
	})
	s.put("first.csv", []byte("1"), then)
	s.put("second.csv", []byte("2"), then)
	o := quick(s)
	o.Timeout = time.Minute
	r := newFTP(t, o)
	all, err := lists(t, r)
	if err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, func(ctx context.Context) {
		var group errgroup.Group
		fetch := func(name string) func() error {
			return func() error { return r.Fetch(ctx, all[name], new(ingest.Content)) }
		}
		group.Go(fetch("first.csv"))
		<-sends
		second := make(chan error, 1)
		go func() { second <- fetch("second.csv")() }()
		<-logsIn
		close(first)
		if err := <-second; err != nil {
			t.Errorf("with a connection that is ready: %v", err)
		}
		close(slow)
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
	if n := s.count("PASS"); n != 2 {
		t.Errorf("there were %d logins", n)
	}
}

// TestFTPAccountOutlivesItsSource: a source that takes the place of another, or
// logs in to the same account, lets a login alone that was refused, and says of the
// account what was not said yet.
func TestFTPAccountOutlivesItsSource(t *testing.T) {
	s := newScript(t, nil)
	s.put("x.csv", []byte("x"), then)
	var log bytes.Buffer
	o := quick(s)
	o.Accounts, o.Log = &source.Accounts{}, slog.New(slog.NewTextHandler(&log, nil))
	password := func(text string) func() (string, error) { return func() (string, error) { return text, nil } }
	for n, try := range []struct {
		user, password string
		says           string
		logins, warned int
	}{
		{"loggers", "mistyped", "refused the login", 1, 1},
		{"loggers", "mistyped", "refused the login", 1, 1},
		{"loggers", "wr0ng", "refused the login", 2, 1},
		{"loggers", "secret", "", 3, 1},
		{"loggers", "mistyped", "refused the login", 3, 1},
		{"others", "mistyped", "refused the login", 4, 2},
	} {
		o.URL, o.Password = "ftp://"+try.user+"@"+s.address(), password(try.password)
		r := newFTP(t, o)
		_, err := lists(t, r)
		if try.says != "" {
			says(t, err, try.says)
		} else if err != nil {
			t.Error(err)
		}
		if got := s.count("PASS"); got != try.logins {
			t.Errorf("try %d: there were %d logins, want %d", n, got, try.logins)
		}
		if got := strings.Count(log.String(), "plain FTP"); got != try.warned {
			t.Errorf("try %d: plain FTP was warned of %d times, want %d", n, got, try.warned)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

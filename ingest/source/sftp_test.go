package source_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/ingest/source/servertest"
)

func TestSFTPURL(t *testing.T) {
	for url, want := range map[string]string{
		"sftp://u@h/x?y":     "write them as %3F",
		"ftp://u@h/":         `scheme is "ftp"`,
		"sftp://h/":          "no user",
		"sftp://u@/":         "no host",
		"sftp://u:secret@h/": "a password stands in the URL",
		"sftp://u:sec ret@h": "malformed",
		"sftp://u@h/x%00y":   "NUL",
	} {
		_, err := source.NewSFTP(source.SFTPOptions{RemoteOptions: source.RemoteOptions{Source: "s"}, URL: url, KeyFile: "k"})
		says(t, err, want)
		if strings.Contains(err.Error(), "sec") {
			t.Errorf("%q tells the password: %v", url, err)
		}
	}
	_, err := source.NewSFTP(source.SFTPOptions{RemoteOptions: source.RemoteOptions{Source: "s"}, URL: "sftp://u@h/"})
	says(t, err, "neither a key nor a password")
}

// TestSFTPFolders holds the folder of the login against the server's own.
func TestSFTPFolders(t *testing.T) {
	s := servertest.Start(t, servertest.OpenSSH, servertest.Options{})
	s.Put("up/load/x.csv", []byte("1\n"), then)
	for _, folder := range []string{"up/load", "up/../up/load/", s.Folder + "/up/load"} {
		r := newRemote(t, s, folder, nil)
		if n, err := r.Check(t.Context()); n != 1 || err != nil {
			t.Errorf("%s: %d entries, %v", folder, n, err)
		}
	}
	_, err := newRemote(t, s, "down", nil).Check(t.Context())
	says(t, err, "list sftp://"+s.Address+"/down: the server says that it is not there")
}

func TestSFTPKnownHosts(t *testing.T) {
	s := servertest.Start(t, servertest.OpenSSH, servertest.Options{})
	line, err := os.ReadFile(s.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	_, _, key, _, _, err := ssh.ParseKnownHosts(line)
	if err != nil {
		t.Fatal(err)
	}
	shown := ssh.FingerprintSHA256(key)
	other := ed25519Key(t).PublicKey()
	for name, c := range map[string]struct {
		known string
		want  []string // nil: it is let in
	}{
		"known":          {string(line), nil},
		"unknown":        {"", []string{"is not known", "ssh-ed25519 " + shown, "add this line to", strings.TrimSpace(string(line))}},
		"another host":   {knownhosts.Line([]string{"elsewhere.example"}, key) + "\n", []string{"is not known", shown}},
		"another key":    {knownhosts.Line([]string{s.Address}, other) + "\n", []string{"shows another key than is known", shown, ssh.FingerprintSHA256(other), ":1 has", "replace the line by"}},
		"one of two":     {knownhosts.Line([]string{s.Address}, ecdsaKey(t).PublicKey()) + "\n" + string(line), nil},
		"revoked":        {"@revoked * " + string(ssh.MarshalAuthorizedKey(key)), []string{"is revoked"}},
		"no known hosts": {"garbage\n", []string{"read the known hosts"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := t.TempDir() + "/known_hosts"
			if c.known != "" {
				if err := os.WriteFile(file, []byte(c.known), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r := newSFTP(t, s, func(o *source.SFTPOptions) { o.KnownHosts = []string{file} })
			_, err := r.Check(t.Context())
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			says(t, err, c.want...)
			// What the message says to do works, without a new start.
			if name == "unknown" {
				if err := os.WriteFile(file, line, 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := newSFTP(t, s, func(o *source.SFTPOptions) { o.KnownHosts = []string{file} }).Check(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestSFTPKeys(t *testing.T) {
	s := servertest.Start(t, servertest.OpenSSH, servertest.Options{Passphrase: "battery"})
	passphrase := func(text string) func() (string, error) {
		return func() (string, error) { return text, nil }
	}
	check := func(change func(*source.SFTPOptions)) error {
		_, err := newSFTP(t, s, change).Check(t.Context())
		return err
	}
	if err := check(func(o *source.SFTPOptions) { o.Passphrase = passphrase("battery") }); err != nil {
		t.Error(err)
	}
	says(t, check(func(*source.SFTPOptions) {}), "is encrypted: name the file of its passphrase")
	err := check(func(o *source.SFTPOptions) { o.Passphrase = passphrase("staple") })
	says(t, err, "the passphrase is not that of the key")
	if strings.Contains(err.Error(), "staple") {
		t.Errorf("the passphrase is told: %v", err)
	}
	says(t, check(func(o *source.SFTPOptions) { o.KeyFile = s.KnownHosts }), "is no private key")
	says(t, check(func(o *source.SFTPOptions) { o.KeyFile = "missing" }), "read the key", "no such file")
	err = check(func(o *source.SFTPOptions) { o.KeyFile = keyFile(t, ed25519Private(t)) })
	says(t, err, `refused the login of "`+s.User+`"`)
}

// TestSFTPRefusedLoginIsNotRepeated checks that one that was refused is tried
// again only with another key.
func TestSFTPRefusedLoginIsNotRepeated(t *testing.T) {
	s := servertest.Start(t, servertest.OpenSSH, servertest.Options{})
	right, err := os.ReadFile(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	file := keyFile(t, ed25519Private(t))
	r := newSFTP(t, s, func(o *source.SFTPOptions) { o.KeyFile = file })
	for range 5 {
		_, err := r.Check(t.Context())
		says(t, err, "refused the login")
	}
	if n := strings.Count(s.Log(), "Connection from"); n > 2 { // one of them is that of the start
		t.Errorf("the server was asked %d times:\n%s", n, s.Log())
	}
	if err := os.WriteFile(file, right, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Check(t.Context()); err != nil {
		t.Errorf("with the right key: %v", err)
	}
}

// TestSFTPOutlivesItsServer fetches from several goroutines while the server is
// stopped and started.
func TestSFTPOutlivesItsServer(t *testing.T) {
	s := servertest.Start(t, servertest.OpenSSH, servertest.Options{})
	data := bytes.Repeat([]byte("0123456789abcdef\n"), 20000)
	s.Put("x.csv", data, then)
	r := newRemote(t, s, "", func(o *source.RemoteOptions) { o.Retry = 10 * time.Millisecond })
	f, err := r.Locate(t.Context(), "x.csv")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var fetched atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var c ingest.Content
			for ctx.Err() == nil {
				switch err := r.Fetch(ctx, f, &c); {
				case err != nil:
					holdsNothing(t, &c)
				case !bytes.Equal(c.Data, data):
					t.Errorf("%d bytes that are not the file's", len(c.Data))
				default:
					fetched.Add(1)
				}
			}
		})
	}
	for range 4 {
		waitFor(t, &fetched, fetched.Load()+8)
		s.Restart()
	}
	waitFor(t, &fetched, fetched.Load()+8)
	cancel()
	wg.Wait()
}

// waitFor waits until n has reached want.
func waitFor(t *testing.T, n *atomic.Int32, want int32) {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(30 * time.Second); n.Load() < want; <-again.C {
		if time.Now().After(end) {
			t.Fatalf("%d fetched, want %d", n.Load(), want)
		}
	}
}

func holdsNothing(t *testing.T, c *ingest.Content) {
	t.Helper()
	if len(c.Data) != 0 || c.Stream != nil {
		t.Errorf("after an error the content holds %d bytes and the stream %v", len(c.Data), c.Stream)
	}
}

// TestSFTPSilence holds what a server that says nothing any more is given: in
// the greeting, in a listing, in a transfer.
func TestSFTPSilence(t *testing.T) {
	s := servertest.Start(t, servertest.OpenSSH, servertest.Options{})
	s.Put("x.csv", make([]byte, 4<<20), then)
	for name, after := range map[string]int64{"greeting": 0, "login": 500, "transfer": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			relay := relayTo(t, s.Address, after)
			r := newSFTP(t, s, func(o *source.SFTPOptions) {
				o.URL = strings.Replace(o.URL, s.Address, relay, 1)
				o.KnownHosts = []string{knownAs(t, s, relay)}
				o.Timeout = 200 * time.Millisecond
				o.Retry = time.Minute
			})
			var c ingest.Content
			began := time.Now()
			err := r.Fetch(t.Context(), ingest.File{Source: "field", Path: "x.csv", Size: 4 << 20}, &c)
			says(t, err, "the server sent")
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > 5*time.Second {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
			holdsNothing(t, &c)
		})
	}
}

// TestSFTPEndsWithItsContext checks that a transfer that hangs does.
func TestSFTPEndsWithItsContext(t *testing.T) {
	s := servertest.Start(t, servertest.OpenSSH, servertest.Options{})
	s.Put("x.csv", make([]byte, 4<<20), then)
	relay := relayTo(t, s.Address, 1<<20)
	r := newSFTP(t, s, func(o *source.SFTPOptions) {
		o.URL = strings.Replace(o.URL, s.Address, relay, 1)
		o.KnownHosts = []string{knownAs(t, s, relay)}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var c ingest.Content
	if err := r.Fetch(ctx, ingest.File{Source: "field", Path: "x.csv", Size: 4 << 20}, &c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	holdsNothing(t, &c)
}

// TestSFTPPasswords asks a server that knows passwords, in either of the two
// ways that there are.
func TestSFTPPasswords(t *testing.T) {
	for _, asks := range []string{"password", "keyboard-interactive"} {
		t.Run(asks, func(t *testing.T) {
			s := startPasswordServer(t, asks, serveFiles)
			check := func(password string) error {
				r, err := source.NewSFTP(source.SFTPOptions{
					RemoteOptions: source.RemoteOptions{Source: "field"}, URL: "sftp://loggers@" + s.address + "/",
					KnownHosts: []string{s.known}, Password: func() (string, error) { return password, nil },
				})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				_, err = r.Check(t.Context())
				return err
			}
			if err := check("secret"); err != nil {
				t.Error(err)
			}
			s.tries.Store(0)
			err := check("wr0ng")
			says(t, err, `refused the login of "loggers"`)
			if strings.Contains(err.Error(), "wr0ng") {
				t.Errorf("the password is told: %v", err)
			}
			if n := s.tries.Load(); n != 1 {
				t.Errorf("the password was tried %d times", n)
			}
		})
	}
}

// newSFTP returns a source of the server's root.
func newSFTP(t *testing.T, s *servertest.Server, change func(*source.SFTPOptions)) *source.Remote {
	t.Helper()
	o := source.SFTPOptions{RemoteOptions: source.RemoteOptions{Source: "field"}, URL: s.URL(), KeyFile: s.Key, KnownHosts: []string{s.KnownHosts}}
	change(&o)
	r, err := source.NewSFTP(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// knownAs writes a file in which the server is known by another address.
func knownAs(t *testing.T, s *servertest.Server, address string) string {
	t.Helper()
	line, err := os.ReadFile(s.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	_, _, key, _, _, err := ssh.ParseKnownHosts(line)
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/known_hosts"
	if err := os.WriteFile(file, []byte(knownhosts.Line([]string{address}, key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// relayTo returns an address that leads to another one. Of what that sends,
// each connection passes on so many bytes, and stays open.
func relayTo(t *testing.T, address string, most int64) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				near.Close()
				continue
			}
			wg.Go(func() { _, _ = io.CopyN(near, far, most) }) // it ends early when the test does
			wg.Go(func() {
				_, _ = io.Copy(far, near) // to the end of who is asking
				near.Close()
				far.Close()
			})
		}
	})
	return l.Addr().String()
}

// A passwordServer is an SFTP server of this process that knows one password.
type passwordServer struct {
	address, known string
	tries          atomic.Int32
}

func startPasswordServer(t *testing.T, asks string, serve func(ssh.Channel)) *passwordServer {
	t.Helper()
	s := &passwordServer{}
	try := func(password string) (*ssh.Permissions, error) {
		s.tries.Add(1)
		if password != "secret" {
			return nil, errors.New("wrong")
		}
		return nil, nil
	}
	config := &ssh.ServerConfig{}
	if asks == "password" {
		config.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) { return try(string(p)) }
	} else {
		config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Word of the day: "}, []bool{false})
			if err != nil || len(answers) != 1 {
				return nil, errors.Join(err, errors.New("no answer"))
			}
			return try(answers[0])
		}
	}
	key := ed25519Key(t)
	config.AddHostKey(key)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address, s.known = l.Addr().String(), t.TempDir()+"/known_hosts"
	if err := os.WriteFile(s.known, []byte(knownhosts.Line([]string{s.address}, key.PublicKey())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serveSFTP(conn, config, serve) })
		}
	})
	return s
}

// serveFiles serves the files of this machine.
func serveFiles(channel ssh.Channel) {
	server, err := sftp.NewServer(channel, sftp.ReadOnly())
	if err == nil {
		_ = server.Serve()
	}
}

// serveSFTP serves one connection until the client closes it.
func serveSFTP(raw net.Conn, config *ssh.ServerConfig, serve func(ssh.Channel)) {
	defer raw.Close()
	conn, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for one := range channels {
		channel, requests, err := one.Accept()
		if err != nil {
			break
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		}()
		serve(channel)
	}
	_ = conn.Wait()
}

func ed25519Private(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ed25519Key(t *testing.T) ssh.Signer {
	t.Helper()
	key, err := ssh.NewSignerFromKey(ed25519Private(t))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecdsaKey(t *testing.T) ssh.Signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keyFile writes a private key as ssh-keygen does.
func keyFile(t *testing.T, key ed25519.PrivateKey) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/key"
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

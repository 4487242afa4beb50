package servertest_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jlaffaye/ftp"
	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"penstock/ingest/source/servertest"
)

var then = time.Date(2026, 1, 31, 23, 59, 57, 0, time.UTC)

func TestFTP(t *testing.T) {
	for _, kind := range servertest.FTP {
		for name, mode := range map[string]servertest.TLS{"plain": servertest.Plain, "explicit": servertest.Explicit, "implicit": servertest.Implicit} {
			if kind == servertest.PureFTPD && mode == servertest.Implicit {
				continue // it has none
			}
			t.Run(fmt.Sprintf("%s/%s", kind, name), func(t *testing.T) {
				s := servertest.Start(t, kind, servertest.Options{TLS: mode})
				s.Put("district/x.csv", []byte("1,2\n"), then)
				conn := dial(t, s, nil)
				if err := conn.Login(s.User, "wrong"); code(err) != ftp.StatusNotLoggedIn {
					t.Fatalf("a wrong password: %v", err)
				}
				conn = dial(t, s, nil)
				if err := conn.Login(s.User, s.Password); err != nil {
					t.Fatal(err)
				}
				if n := s.Sessions(); n == 0 {
					t.Error("there is no session")
				}
				if here, err := conn.CurrentDir(); here != s.Folder {
					t.Errorf("the folder is %q, want %q: %v", here, s.Folder, err)
				}
				for range 2 { // sessions are resumed each time
					if got := retrieve(t, conn, "district/x.csv"); got != "1,2\n" {
						t.Errorf("got %q", got)
					}
				}
				if err := conn.Stor("district/y.csv", strings.NewReader("3\n")); err != nil {
					t.Error(err)
				}
				if err := conn.Rename("district/y.csv", "z.csv"); err != nil {
					t.Error(err)
				}
				if data, err := os.ReadFile(s.Root + "/z.csv"); string(data) != "3\n" {
					t.Errorf("uploaded %q: %v", data, err)
				}
				if err := conn.Delete("z.csv"); err != nil {
					t.Error(err)
				}

				s.Restart()
				if err := conn.NoOp(); err == nil {
					t.Error("a session outlived its server")
				}
				again := dial(t, s, nil)
				if err := again.Login(s.User, s.Password); err != nil {
					t.Errorf("after the restart: %v", err)
				}
			})
		}
	}
}

func TestSessionResumptionIsRequired(t *testing.T) {
	for _, kind := range []servertest.Kind{servertest.VSFTPD, servertest.ProFTPD} {
		t.Run(string(kind), func(t *testing.T) {
			s := servertest.Start(t, kind, servertest.Options{TLS: servertest.Explicit})
			s.Put("x.csv", []byte("1,2\n"), then)
			conn := dial(t, s, func(c *tls.Config) { c.ClientSessionCache = nil })
			if err := conn.Login(s.User, s.Password); err != nil {
				t.Fatal(err)
			}
			r, err := conn.Retr("x.csv")
			if err == nil {
				_, err = io.ReadAll(r)
				err = errors.Join(err, r.Close())
			}
			if err == nil {
				t.Error("a new session was taken")
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	for _, kind := range servertest.FTP {
		for certificate, want := range map[servertest.Certificate]string{
			servertest.Expired:   "expired",
			servertest.WrongHost: "valid for 127.0.0.2, not 127.0.0.1",
		} {
			t.Run(fmt.Sprintf("%s/%d", kind, certificate), func(t *testing.T) {
				s := servertest.Start(t, kind, servertest.Options{TLS: servertest.Explicit, Certificate: certificate})
				err := dial(t, s, nil).Login(s.User, s.Password)
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			})
		}
	}
}

func TestClientCertificateIsRequired(t *testing.T) {
	for _, kind := range []servertest.Kind{servertest.VSFTPD, servertest.ProFTPD} {
		t.Run(string(kind), func(t *testing.T) {
			s := servertest.Start(t, kind, servertest.Options{TLS: servertest.Explicit, ClientCA: true})
			conn, err := ftp.Dial(s.Address, ftp.DialWithExplicitTLS(config(t, s)), ftp.DialWithTimeout(10*time.Second))
			if err == nil {
				t.Cleanup(func() { _ = conn.Quit() })
				err = conn.Login(s.User, s.Password)
			}
			if err == nil {
				t.Fatal("logged in without a certificate")
			}
			with := dial(t, s, func(c *tls.Config) {
				pair, err := tls.LoadX509KeyPair(s.ClientCertificate, s.ClientKey)
				if err != nil {
					t.Fatal(err)
				}
				c.Certificates = []tls.Certificate{pair}
			})
			if err := with.Login(s.User, s.Password); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	for _, kind := range servertest.FTP {
		t.Run(string(kind), func(t *testing.T) {
			s := servertest.Start(t, kind, servertest.Options{Connections: 2})
			for range 2 {
				if err := dial(t, s, nil).Login(s.User, s.Password); err != nil {
					t.Fatal(err)
				}
			}
			third, err := ftp.Dial(s.Address)
			want := ftp.StatusNotAvailable // before the login
			if err == nil {
				t.Cleanup(func() { _ = third.Quit() })
				err, want = third.Login(s.User, s.Password), ftp.StatusNotLoggedIn
			}
			if code(err) != want {
				t.Errorf("the third: %v, want %d", err, want)
			}
		})
	}
}

func TestOpenSSH(t *testing.T) {
	for _, passphrase := range []string{"", "battery"} {
		t.Run(passphrase, func(t *testing.T) {
			s := servertest.Start(t, servertest.OpenSSH, servertest.Options{Passphrase: passphrase})
			s.Put("district/x.csv", []byte("1,2\n"), then)
			client := dialSSH(t, s, passphrase)
			if here, err := client.Getwd(); here != s.Folder {
				t.Errorf("the folder is %q, want %q: %v", here, s.Folder, err)
			}
			file, err := client.Open("district/x.csv")
			if err != nil {
				t.Fatal(err)
			}
			if data, err := io.ReadAll(file); string(data) != "1,2\n" {
				t.Errorf("got %q: %v", data, err)
			}
			if err := client.Rename("district/x.csv", "z.csv"); err != nil {
				t.Error(err)
			}
			s.Restart()
			if _, err := client.Getwd(); err == nil {
				t.Error("a session outlived its server")
			}
			if _, err := dialSSH(t, s, passphrase).Stat("z.csv"); err != nil {
				t.Errorf("after the restart: %v", err)
			}
		})
	}
}

func dialSSH(t *testing.T, s *servertest.Server, passphrase string) *sftp.Client {
	t.Helper()
	text, err := os.ReadFile(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(text)
	if passphrase != "" {
		if err == nil {
			t.Error("the key is not encrypted")
		}
		key, err = ssh.ParsePrivateKeyWithPassphrase(text, []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	known, err := knownhosts.New(s.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ssh.Dial("tcp", s.Address, &ssh.ClientConfig{User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: known})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client, err := sftp.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// config trusts the server's issuer.
func config(t *testing.T, s *servertest.Server) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("there is no certificate in the issuer's file")
	}
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", ClientSessionCache: tls.NewLRUClientSessionCache(0)}
}

func dial(t *testing.T, s *servertest.Server, change func(*tls.Config)) *ftp.ServerConn {
	t.Helper()
	options := []ftp.DialOption{ftp.DialWithTimeout(10 * time.Second)}
	if s.Options.TLS != servertest.Plain {
		c := config(t, s)
		if change != nil {
			change(c)
		}
		with := ftp.DialWithExplicitTLS
		if s.Options.TLS == servertest.Implicit {
			with = ftp.DialWithTLS
		}
		options = append(options, with(c))
	}
	conn, err := ftp.Dial(s.Address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Quit() }) // the server may be gone
	return conn
}

func retrieve(t *testing.T, conn *ftp.ServerConn, path string) string {
	t.Helper()
	r, err := conn.Retr(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Errorf("retrieving %s: %v", path, err)
	}
	return string(data)
}

func code(err error) int {
	if e := (*textproto.Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return 0
}

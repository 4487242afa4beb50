package source_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
)

// An authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.key, a.cert = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "those who sign"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	a.file = a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

// sign makes a certificate, which signs itself without an authority.
func (a *authority) sign(c *x509.Certificate, by *authority) (*ecdsa.PrivateKey, *x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err == nil {
		c, err = x509.ParseCertificate(raw)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return key, c
}

func (a *authority) write(name, kind string, raw []byte) string {
	path := filepath.Join(a.t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// itself is a configuration with a certificate that nobody else has signed, and the
// file with that.
func (a *authority) itself() (c *tls.Config, file string) {
	key, cert := a.sign(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, nil)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}, a.write("itself.pem", "CERTIFICATE", cert.Raw)
}

// server is a configuration with a certificate of that kind.
func (a *authority) server(change func(*x509.Certificate)) *tls.Config {
	c := &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if change != nil {
		change(c)
	}
	key, cert := a.sign(c, a)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

// TestFTPTLS: explicit and implicit, verified, with a client certificate, and
// with data connections that resume the session of their own control
// connection.
func TestFTPTLS(t *testing.T) {
	ca := newAuthority(t)
	other := newAuthority(t)
	itself, itselfFile := ca.itself()
	key, cert := ca.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "loggers"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, ca)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := ca.write("cert.pem", "CERTIFICATE", cert.Raw), ca.write("key.pem", "PRIVATE KEY", der)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	asking := ca.server(nil)
	asking.ClientAuth, asking.ClientCAs = tls.RequireAndVerifyClientCert, pool
	plain := source.TLSOptions{CAFile: ca.file}
	for _, c := range []struct {
		name   string
		server *tls.Config
		tls    source.TLSOptions
		says   string // "": it works
	}{
		{"in order", ca.server(nil), plain, ""},
		{"TLS 1.2", func() *tls.Config { c := ca.server(nil); c.MaxVersion = tls.VersionTLS12; return c }(), plain, ""},
		{"TLS 1.1", func() *tls.Config {
			c := ca.server(nil)
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			return c
		}(), plain, "protocol version"},
		{"signed by nobody we know", ca.server(nil), source.TLSOptions{}, "tls: {ca: FILE}"},
		{"signed by itself", itself, source.TLSOptions{}, "or the server's own where it signed that itself, into a file and name that: tls: {ca: FILE}"},
		{"signed by itself, and named", itself, source.TLSOptions{CAFile: itselfFile}, ""},
		{"signed by another", ca.server(nil), source.TLSOptions{CAFile: other.file}, "not trusted"},
		{"expired", ca.server(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}), plain, "expired"},
		{"for another host", ca.server(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 9)} }), plain, "tls: {server_name: NAME}"},
		{"for a name", ca.server(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"ftp.example.com"} }), source.TLSOptions{CAFile: ca.file, ServerName: "ftp.example.com"}, ""},
		{"not verified", ca.server(func(c *x509.Certificate) { c.IPAddresses = nil }), source.TLSOptions{SkipVerify: true}, ""},
		{"client certificate", asking, source.TLSOptions{CAFile: ca.file, CertFile: certFile, KeyFile: keyFile}, ""},
		{"no client certificate", asking, plain, "certificate"},
	} {
		for _, implicit := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, implicit %t", c.name, implicit), func(t *testing.T) {
				t.Parallel()
				var sessions, resumed atomic.Int32
				s := newScript(t, func(s *script) {
					s.tls, s.implicit = c.server.Clone(), implicit
					s.tls.VerifyConnection = func(state tls.ConnectionState) error {
						sessions.Add(1)
						if state.DidResume {
							resumed.Add(1)
						}
						return nil
					}
				})
				for i := range 10 {
					s.put(fmt.Sprintf("%d.csv", i), random(i*100, byte(i)), then)
				}
				o := quick(s)
				o.URL, o.TLS = strings.Replace(o.URL, "ftp://", "ftps://", 1), c.tls
				if implicit {
					o.URL = strings.Replace(o.URL, "ftps://", "ftps+implicit://", 1)
				}
				r := newFTP(t, o)
				all, err := lists(t, r)
				if c.says != "" {
					says(t, err, "list ftps", c.says)
					if s.count("PASS") > 0 {
						t.Error("the password was sent")
					}
					return
				}
				if err != nil || len(all) != 10 {
					t.Fatalf("listed %v, and %v", all, err)
				}
				var wg sync.WaitGroup
				for i := range 10 {
					wg.Go(func() {
						var c ingest.Content
						if err := r.Fetch(t.Context(), all[fmt.Sprintf("%d.csv", i)], &c); err != nil || !bytes.Equal(c.Data, random(i*100, byte(i))) {
							t.Errorf("file %d: %v", i, err)
						}
					})
				}
				wg.Wait()
				// A connection that nobody needed in the end may still be logging in.
				protected := func() bool {
					control := int32(s.count("USER"))
					return sessions.Load()-resumed.Load() == control && resumed.Load() == 11 && s.count("PROT P") == int(control)
				}
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for late := time.After(10 * time.Second); !protected(); {
					select {
					case <-tick.C:
					case <-late:
						t.Fatalf("%d sessions, %d resumed, of 11 data connections, with %d for commands, of which %d ask for protection",
							sessions.Load(), resumed.Load(), s.count("USER"), s.count("PROT P"))
					}
				}
			})
		}
	}
}

// TestFTPWantsTLS: what is not TLS is told, on either side.
func TestFTPWantsTLS(t *testing.T) {
	t.Parallel()
	plain := newScript(t, nil)
	o := quick(plain)
	o.URL = strings.Replace(o.URL, "ftp://", "ftps://", 1)
	_, err := lists(t, newFTP(t, o))
	says(t, err, "the server does not offer TLS")
	o.URL = strings.Replace(o.URL, "ftps://", "ftps+implicit://", 1)
	_, err = lists(t, newFTP(t, o))
	says(t, err, "does not speak TLS there")
	for _, reply := range []string{"530 Non-anonymous sessions must use encryption.", "550 SSL/TLS required on the control channel", "421 Sorry, cleartext sessions and weak ciphers are not accepted on this server."} {
		strict := newScript(t, func(s *script) {
			s.on = func(s *session, c, _ string) bool {
				if c == "USER" {
					s.reply(reply)
				}
				return c == "USER"
			}
		})
		_, err = lists(t, newFTP(t, quick(strict)))
		says(t, err, "make the URL ftps://")
		if strict.count("PASS") > 0 {
			t.Error("the password was sent")
		}
	}
}

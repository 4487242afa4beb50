package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"
)

// FTPOptions says which server and folder an FTP source reads, and how it logs
// in there.
type FTPOptions struct {
	RemoteOptions

	// URL is scheme://user@host:port/folder. The schemes are ftp, ftps (explicit
	// TLS: AUTH TLS on the port of ftp) and ftps+implicit (TLS from the first
	// byte on, port 990). The folder is below the one that the login leads to;
	// with two slashes it is the server's own. Without a user it is anonymous. A
	// password must not stand in it.
	URL string

	// Password returns the password; it is called for each login, so that one
	// that was changed is taken up. nil: the login is tried without one, or, for
	// anonymous, with "anonymous".
	Password func() (string, error)

	// Zone is the zone of the times that the server lists where it does not
	// know MLSD: UTC. With MLSD times are UTC always.
	Zone *time.Location

	TLS TLSOptions
}

// TLSOptions says whom to trust, and who we are.
type TLSOptions struct {
	// CAFile has certificates, in PEM, of which one must have signed that of the
	// server: those that the system trusts.
	CAFile string

	// CertFile and KeyFile, in PEM, are what we show to the server, if anything.
	CertFile, KeyFile string

	// ServerName is what the server's certificate must be for: the URL's host.
	ServerName string

	// SkipVerify takes any certificate, so that anyone on the way can read and
	// change everything. It is said in the log.
	SkipVerify bool
}

// NewFTP returns the source of a folder of an FTP server. Nothing is asked of
// the server before the first listing. The password is in no error and in no
// line of the log.
func NewFTP(o FTPOptions) (*Remote, error) {
	d, err := o.dialer()
	if err != nil {
		return nil, err
	}
	r, err := newRemote(o.RemoteOptions, d.address(), d.dial, o.Password)
	if err != nil {
		return nil, err
	}
	d.RemoteOptions = r.RemoteOptions // completed
	return r, nil
}

// An ftpDialer makes the connections of one FTP source.
type ftpDialer struct {
	FTPOptions
	host, port string
	user       string
	root       string // absolute, or below the folder of the login
	tls        *tls.Config
	implicit   bool
	warn       sync.Once

	mu             sync.Mutex
	noMLSD, noUTF8 bool // what the server says that it knows, and does not
}

func (o *FTPOptions) dialer() (*ftpDialer, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errors.New("the URL is malformed: write it like ftps://user@ftp.example.com/upload") // err has all of it, and what may be a password
	}
	d := &ftpDialer{FTPOptions: *o, host: u.Hostname(), port: u.Port(), user: u.User.Username()}
	switch u.Scheme {
	case "ftp", "ftps":
		d.port = orElse(d.port, "21")
	case "ftps+implicit":
		d.port, d.implicit = orElse(d.port, "990"), true
	default:
		return nil, fmt.Errorf("the URL's scheme is %q: FTP is ftp, ftps (explicit TLS) or ftps+implicit", u.Scheme)
	}
	if _, ok := u.User.Password(); ok {
		return nil, errors.New("a password stands in the URL, where logs and process lists show it: put it into a file and name that")
	}
	switch {
	case d.host == "":
		return nil, errors.New("the URL names no host: write it like ftps://user@ftp.example.com/upload")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL has a ? or a # in it: write them as %3F and %23")
	case strings.ContainsAny(d.user+u.Path, "\r\n\x00"):
		return nil, errors.New("the URL's user or folder has a line break or a NUL in it")
	}
	d.user = orElse(d.user, "anonymous")
	if d.root = strings.TrimPrefix(u.Path, "/"); strings.HasPrefix(d.root, "/") {
		d.root = path.Clean(d.root)
	} else {
		d.root = strings.TrimPrefix(path.Clean("/"+d.root), "/")
	}
	if d.Zone == nil {
		d.Zone = time.UTC
	}
	if u.Scheme != "ftp" {
		d.tls, err = o.TLS.config(d.host)
	} else if o.TLS != (TLSOptions{}) {
		err = errors.New("there is no TLS with ftp://: make it ftps:// or take the settings of TLS away")
	}
	return d, err
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// address names the source's folder in messages.
func (d *ftpDialer) address() string {
	scheme := "ftp"
	switch {
	case d.implicit:
		scheme = "ftps+implicit"
	case d.tls != nil:
		scheme = "ftps"
	}
	u := url.URL{Scheme: scheme, Host: d.host, Path: "/" + d.root}
	if strings.Contains(d.host, ":") {
		u.Host = "[" + d.host + "]"
	}
	if d.port != "21" && !d.implicit || d.port != "990" && d.implicit {
		u.Host = net.JoinHostPort(d.host, d.port)
	}
	return u.String()
}

func (o *TLSOptions) config(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: orElse(o.ServerName, host), MinVersion: tls.VersionTLS12}
	if o.SkipVerify {
		c.InsecureSkipVerify = true
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the certificates to be trusted: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM (-----BEGIN CERTIFICATE-----)", o.CAFile)
		}
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("a client certificate needs both its file and that of its key")
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// dial makes a connection and logs in.
func (d *ftpDialer) dial(ctx context.Context) (client, error) {
	d.warn.Do(func() {
		switch {
		case d.tls == nil:
			d.Log.Warn("plain FTP: the password and all data cross the network for anyone to read; use ftps or sftp if the server can")
		case d.tls.InsecureSkipVerify:
			d.Log.Warn("the server's certificate is not verified: anyone on the way can read and change everything", slog.String("source", d.Source))
		}
	})
	return dialFTP(ctx, d)
}

// lacks reports, and keeps in mind when it was seen, what the server says that
// it knows, and does not.
func (d *ftpDialer) lacks(mlsd, utf8 bool) (noMLSD, noUTF8 bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noMLSD = d.noMLSD || mlsd
	d.noUTF8 = d.noUTF8 || utf8
	return d.noMLSD, d.noUTF8
}

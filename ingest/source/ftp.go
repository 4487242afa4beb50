package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
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

	portFor time.Duration // see the constant
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
	r, err := newRemote(o.RemoteOptions, d.serverURL, d.dial, o.Password)
	if err != nil {
		return nil, err
	}
	d.RemoteOptions = r.RemoteOptions // completed
	return r, nil
}

// An ftpDialer makes the connections of one FTP source.
type ftpDialer struct {
	FTPOptions
	*serverURL
	tls *tls.Config // nil for none

	shy       shyness // of asking ahead
	byLibrary shyness // of fetching past the library

	mu             sync.Mutex
	noMLSD, noUTF8 bool // what the server says that it knows, and does not
}

const implicitTLS = "ftps+implicit"

func (o *FTPOptions) dialer() (*ftpDialer, error) {
	u, err := parseServerURL(o.URL, "ftps://user@ftp.example.com/upload (or ftp, or "+implicitTLS+")", map[string]string{"ftp": "21", "ftps": "21", implicitTLS: "990"})
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(u.user+u.root, "\r\n") {
		return nil, errors.New("the URL's user or folder has a line break in it")
	}
	u.user = orElse(u.user, "anonymous")
	d := &ftpDialer{FTPOptions: *o, serverURL: u}
	if d.portFor == 0 {
		d.portFor = portFor
	}
	if d.Zone == nil {
		d.Zone = time.UTC
	}
	if u.scheme != "ftp" {
		d.tls, err = o.TLS.config(u.host)
	} else if o.TLS != (TLSOptions{}) {
		err = errors.New("there is no TLS with ftp://: make it ftps:// or take the settings of TLS away")
	}
	return d, err
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
	switch { // once of an account, however many sources use it
	case d.tls == nil:
		if d.Accounts.first(d.account(), "plain") {
			d.Log.Warn("plain FTP: the password and all data cross the network for anyone to read; use ftps or sftp if the server can")
		}
	case d.tls.InsecureSkipVerify:
		if d.Accounts.first(d.account(), "unverified") {
			d.Log.Warn("the server's certificate is not verified: anyone on the way can read and change everything")
		}
	}
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

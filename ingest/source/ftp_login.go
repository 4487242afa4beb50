package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/jlaffaye/ftp"

	"penstock/ingest"
)

// dialFTP connects and logs in.
func dialFTP(ctx context.Context, d *ftpDialer) (client, error) {
	noMLSD, noUTF8 := d.lacks(false, false)
	c, err := tryFTP(ctx, d, noMLSD, noUTF8)
	if err == nil || noUTF8 || !errors.Is(err, errUncoded) {
		return c, err
	}
	// It may be that the server says UTF8 and does not take to OPTS UTF8 ON.
	if c, again := tryFTP(ctx, d, noMLSD, true); again == nil {
		d.lacks(false, true)
		return c, nil
	}
	return nil, err
}

func tryFTP(ctx context.Context, d *ftpDialer, noMLSD, noUTF8 bool) (_ client, err error) {
	c := &ftpConn{dialer: d, wire: newWire(d.Timeout, d.MinRate)}
	defer c.wire.begin(ctx)()
	ok := false
	defer func() {
		if !ok { // by an error or a panic
			c.wire.kill(net.ErrClosed)
		}
	}()
	if err := c.login(ctx, ftp.DialWithDisabledMLSD(noMLSD), ftp.DialWithDisabledUTF8(noUTF8)); err != nil {
		return nil, err
	}
	ok = true
	return c, nil
}

func (c *ftpConn) login(ctx context.Context, options ...ftp.DialOption) error {
	d := c.dialer
	password, err := d.secret()
	if err != nil {
		return err
	}
	c.bare = password == ""
	if d.tls != nil {
		// A session that is resumed shows the server that the data connection is
		// ours. Of several connections each must show its own.
		c.tls = d.tls.Clone()
		c.tls.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		options = append(options, ftp.DialWithTLS(c.tls)) // it is there when the library sees the connection
	}
	options = append(options, ftp.DialWithDialFunc(c.sockets(ctx)), ftp.DialWithDebugOutput(&c.ending))
	if c.server, err = ftp.Dial(d.address(), options...); err != nil {
		return c.refusal(err, password)
	}
	if err := c.server.Login(d.user, password); err != nil {
		return c.refusal(err, password)
	}
	c.mlsd = c.server.IsTimePreciseInList()
	return c.place()
}

// secret is the password as it is now.
func (d *ftpDialer) secret() (string, error) {
	if d.Password == nil {
		if d.user == "anonymous" {
			return "anonymous", nil
		}
		return "", nil
	}
	password, err := d.Password()
	if err != nil {
		return "", fmt.Errorf("get the password: %w", err)
	}
	if strings.ContainsAny(password, "\r\n\x00") {
		return "", fmt.Errorf("%w: the password has a line break or a NUL in it", errRefused)
	}
	return password, nil
}

// sockets returns the function that the library opens connections by: first
// that for commands, then those for data.
func (c *ftpConn) sockets(ctx context.Context) func(string, string) (net.Conn, error) {
	return func(_, address string) (net.Conn, error) {
		if c.control == nil {
			err := c.connect(ctx, address)
			return c.control, err
		}
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return c.dataConn(port, c.wire.await)
	}
}

// connect makes the connection for commands.
func (c *ftpConn) connect(ctx context.Context, address string) error {
	s, err := c.wire.dial(ctx, address)
	if err != nil {
		return err
	}
	there, err := netip.ParseAddrPort(s.RemoteAddr().String())
	if err != nil {
		return err
	}
	c.host = there.Addr()
	d := c.dialer
	switch {
	case d.tls == nil:
		c.control = newControl(s, "", &d.shy)
	case d.scheme == implicitTLS:
		c.control = newControl(tls.Client(s, c.tls), "", &d.shy)
	default:
		c.control, err = c.secured(newControl(s, "", &d.shy))
	}
	return err
}

// secured goes over to TLS, RFC 4217. It is done here and not by the library, so
// that files can be fetched past that.
func (c *ftpConn) secured(plain *control) (*control, error) {
	if _, _, err := plain.in.ReadResponse(replyReady); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(plain, "AUTH TLS\r\n"); err != nil {
		return nil, err
	}
	if _, _, err := plain.in.ReadResponse(replySecure); err != nil {
		return nil, err
	}
	if plain.in.R.Buffered() > 0 {
		return nil, fmt.Errorf("%w: it says more before TLS begins", errGarbled)
	}
	const greeting = "220 ready\r\n" // the library waits for it
	return newControl(tls.Client(plain.Conn, c.tls), greeting, plain.shy), nil
}

// dataConn opens a connection for data. It leads to the same host whatever the
// server says.
func (c *ftpConn) dataConn(port string, open func(netip.AddrPort) (*ftpSocket, error)) (net.Conn, error) {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%w: the port %q", errGarbled, port)
	}
	to := netip.AddrPortFrom(c.host, uint16(number))
	s, err := open(to)
	if err != nil {
		return nil, &unreachedError{address: to.String(), err: err}
	}
	var conn net.Conn = s
	if c.tls != nil {
		conn = tls.Client(s, c.tls) // servers hang when the handshake comes before the command
	}
	if c.lister != nil {
		conn = &listConn{Conn: conn, lister: c.lister}
	}
	return conn, nil
}

// place finds out which folder the login leads to.
func (c *ftpConn) place() error {
	if c.root = c.dialer.root; strings.HasPrefix(c.root, "/") {
		return nil
	}
	home, err := c.server.CurrentDir()
	var reply *textproto.Error
	switch {
	case errors.As(err, &reply) && reply.Code >= 500:
		home = "/"
	case err != nil:
		return c.worded(err)
	}
	home = unquoted(home)
	if !strings.HasPrefix(home, "/") {
		home = "/" + home
	}
	c.root = path.Join(home, c.root)
	return nil
}

// unquoted is a path as it is meant in a reply, RFC 959, appendix II.
func unquoted(path string) string { return strings.ReplaceAll(path, `""`, `"`) }

var (
	// limitWords are in what vsftpd, proftpd, pure-ftpd, IIS and FileZilla say
	// when there are too many connections.
	limitWords = regexp.MustCompile(`(?i)too many|maximum|connection limit|limit of|no more (users|connections)|max(imal|\.)? `)
	tlsWords   = regexp.MustCompile(`(?i)\b(tls|ssl|encrypt\w*|cleartext|secure)\b`)
)

// errUncoded says that the server did not take to a command of the login of
// which the library tells no more than the answer's text: USER or OPTS UTF8.
var errUncoded = fmt.Errorf("%w", wrongLogin{})

// refusal words an error of connecting or logging in, and says what kind it
// is. The server's text may repeat what was sent: the password is taken out.
func (c *ftpConn) refusal(err error, password string) error {
	if c.wire.isCut() {
		err = c.wire.why(err)
		if d := c.dialer; d.tls != nil && len(d.tls.Certificates) == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
			// Why it closes the connection is lost when we were just writing.
			err = fmt.Errorf("%w; it may want a client certificate", err)
		}
		return err
	}
	var reply *textproto.Error
	var garbled textproto.ProtocolError
	var network net.Error
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var otherName x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("the server's certificate is not trusted: %w; put the certificate of who signed it, or the server's own where it signed that itself, into a file and name that: tls: {ca: FILE}", err)
	case errors.As(err, &otherName):
		return fmt.Errorf("the server's certificate is not accepted: %w; if it is the right server, say whom it is for: tls: {server_name: NAME}", err)
	case errors.As(err, &verify):
		return fmt.Errorf("the server's certificate is not accepted: %w", err)
	case errors.As(err, &record):
		return errors.New("the server does not speak TLS there: implicit TLS (ftps+implicit) has a port of its own, mostly 990")
	case errors.As(err, &reply):
		return c.replied(reply.Code, hide(reply.Msg, password))
	case errors.As(err, &garbled): // as of a server that says back what it is told
		return fmt.Errorf("%w: %s", errGarbled, ingest.EscapePath(hide(string(garbled), password)))
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), c.server == nil, strings.HasPrefix(err.Error(), "tls: "):
		return cutOff(err)
	}
	return c.replied(0, hide(err.Error(), password))
}

// replied says what a reply to a command of the login means; 0 is the code of
// one that is not known.
func (c *ftpConn) replied(code int, message string) error {
	text := said(code, message)
	switch {
	case code == 421, limitWords.MatchString(message):
		return fmt.Errorf("%w: %s", errTooMany, text)
	case tlsWords.MatchString(message) && c.dialer.tls == nil:
		return fmt.Errorf("%w: %s; the server wants TLS: make the URL ftps://", errRefused, text)
	case code == 0:
		return fmt.Errorf("%w of %q: %s", errUncoded, c.dialer.user, text)
	case code == 530, code == 430, code == 532, code == 332,
		c.bare && c.server != nil && code >= 500: // servers also say that a command lacks its argument
		return fmt.Errorf("%w of %q: %s", wrongLogin{}, c.dialer.user, text)
	case c.server == nil && code >= 500 && c.dialer.tls != nil:
		return fmt.Errorf("the server does not offer TLS: %s", text)
	}
	return errors.New(text)
}

func hide(text, password string) string {
	if password == "" {
		return text
	}
	return strings.ReplaceAll(text, password, "***")
}

// said quotes a reply: in one line, with nothing in it that a terminal acts
// on, and not without end.
func said(code int, text string) string {
	const most = 200
	if len(text) > most {
		text = text[:most] + "..."
	}
	text = ingest.EscapePath(strings.Join(strings.Fields(text), " "))
	if code != 0 {
		text = fmt.Sprintf("%d %s", code, text)
	}
	return `the server says "` + text + `"`
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCutOff
	}
	return err
}

var errCutOff = errors.New("the server closed the connection")

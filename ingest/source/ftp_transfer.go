package source

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A control is the connection for commands, below the library, which has it to
// itself but while a file is fetched. Files are fetched past the library, in fewer
// round trips and with half of the system calls:
//
//   - where another file follows, the server is asked for the port of its transfer
//     (EPSV, RFC 2428) when the data of this one has ended, before it says so;
//   - RETR is sent without waiting for the data connection to be there.
//
// It holds the reply to the EPSV that was sent ahead back from the library: settle
// must be called before the library is.
type control struct {
	net.Conn
	in  *textproto.Reader
	shy *shyness // of asking ahead

	asked time.Time // when an EPSV was sent of which no use was made yet; else zero
	ahead bool      // it was before the transfer was over
	owed  bool      // its reply was not read yet
	reply int       // its code
	port  string    // that it told; "" for none
}

// A shyness is for how long something is not tried, as the server, or the network,
// did not take to it. It may be used by several goroutines.
type shyness struct{ until atomic.Int64 } // Unix seconds

func (s *shyness) begin() {
	const lasting = time.Hour
	s.until.Store(time.Now().Add(lasting).Unix())
}

func (s *shyness) lasts() bool { return time.Now().Unix() < s.until.Load() }

// newControl returns the connection for commands that conn is. What said has
// comes to the reader before anything from the server does.
func newControl(conn net.Conn, said string, shy *shyness) *control {
	var in io.Reader = conn
	if said != "" {
		in = io.MultiReader(strings.NewReader(said), conn)
	}
	return &control{Conn: conn, in: textproto.NewReader(bufio.NewReader(in)), shy: shy}
}

// Read implements [net.Conn] for the library.
func (c *control) Read(p []byte) (int, error) { return c.in.R.Read(p) }

// portFor is for how long the port that a server told is used: what stands
// between may forget it.
const portFor = 5 * time.Second

// codes of replies, RFC 959 and RFC 2428.
const (
	replyOpen    = 125
	replyOpening = 150
	replyReady   = 220
	replySent    = 226
	replyPassive = 229
	replySecure  = 234
	replyDone    = 250
	replyLeaving = 421
	replyNoData  = 425
	replyFailed  = 400 // and all above
)

// ask sends EPSV; its reply is owed.
func (c *control) ask(ahead bool) error {
	c.asked, c.ahead, c.owed, c.reply, c.port = time.Now(), ahead, true, 0, ""
	_, err := io.WriteString(c.Conn, "EPSV\r\n")
	return err
}

// settle reads the reply that is owed, if any. The port it tells is good for a
// while.
func (c *control) settle() error {
	if !c.owed {
		return nil
	}
	code, text, err := c.in.ReadResponse(0)
	if err != nil {
		c.owed = false
		return err
	}
	return c.told(code, text)
}

// told takes the reply to EPSV.
func (c *control) told(code int, text string) error {
	c.owed, c.reply = false, code
	if _, after, ok := strings.Cut(text, "|||"); ok && code == replyPassive {
		if port, _, ok := strings.Cut(after, "|"); ok && isPort(port) {
			c.port = port
		}
	}
	if c.ahead && c.port == "" {
		c.shy.begin()
	}
	switch {
	case code == replyLeaving:
		return &textproto.Error{Code: code, Msg: text}
	case code != replyPassive && code < replyFailed: // it answers something else
		return fmt.Errorf("%w: %s to EPSV", errGarbled, said(code, text))
	}
	return nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// passive returns the port of the next transfer, and whether it was told ahead and
// is fresh. It is empty when the server does not take EPSV, or not as it should.
func (c *control) passive(fresh time.Duration) (port string, ahead bool, err error) {
	if err := c.settle(); err != nil {
		return "", false, err
	}
	defer c.forget()
	if c.port != "" && time.Since(c.asked) < fresh {
		return c.port, true, nil
	}
	if err = c.ask(false); err == nil {
		err = c.settle()
	}
	return c.port, false, err
}

// forget makes no use of the port that was told.
func (c *control) forget() { c.asked, c.port = time.Time{}, "" }

// retrieve begins to transfer the whole of the file at an absolute path; more says
// that another is fetched then. The error is errByLibrary where the library has to
// find the way.
func (c *ftpConn) retrieve(at string, more bool) (*transfer, error) {
	for {
		port, ahead, err := c.control.passive(c.dialer.portFor)
		if err != nil {
			return nil, err
		}
		if port == "" {
			if slices.Contains([]int{500, 501, 502, 504, 522, replyPassive}, c.control.reply) {
				c.dialer.byLibrary.begin()
			}
			return nil, errByLibrary
		}
		t, err := c.retrieveFrom(port, at)
		if err == nil {
			t.ahead, t.more = ahead, more
			return t, nil
		}
		if !ahead || isOfFile(err) {
			return nil, err
		}
		// The server, or what stands between, has forgotten the port, or never meant it.
		c.control.shy.begin()
		if c.wire.isCut() || code(err) == replyLeaving {
			return nil, err
		}
	}
}

// retrieveFrom begins a transfer from a port that the server told.
func (c *ftpConn) retrieveFrom(port, at string) (*transfer, error) {
	data, err := c.dataConn(port, c.wire.reach)
	if err != nil {
		return nil, err
	}
	if _, err = io.WriteString(c.control.Conn, "RETR "+at+"\r\n"); err == nil {
		var code int
		var text string
		code, text, err = c.control.in.ReadResponse(0)
		if err == nil && code != replyOpening && code != replyOpen {
			err = &textproto.Error{Code: code, Msg: text}
		}
	}
	if err == nil {
		return &transfer{Conn: data, conn: c}, nil
	}
	if !isOfFile(err) && !isThere(data) {
		if code(err) == replyNoData {
			c.dialer.byLibrary.begin() // it may look for the connection once: the library waits for it first
		}
		err = &unreachedError{address: data.RemoteAddr().String(), err: err}
	}
	_ = data.Close() // nothing came
	return nil, err
}

var errByLibrary = errors.New("the server does not tell a port for EPSV")

// code is that of the reply which an error is; 0 for none.
func code(err error) int {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}

// isOfFile reports whether the server says of the file that it cannot be had.
func isOfFile(err error) bool {
	return slices.Contains([]int{450, 451, 550, 551, 553}, code(err))
}

// An unreachedError says of a transfer that its data connection is not there.
type unreachedError struct {
	address string
	err     error
}

func (e *unreachedError) Error() string {
	return fmt.Sprintf("the connection for data to %s is not there (see whether the server's passive ports are open on the way): %v", e.address, e.err)
}

func (e *unreachedError) Unwrap() error { return e.err }

// isThere reports whether a data connection is, as far as is known.
func isThere(data net.Conn) bool {
	if secured, ok := data.(*tls.Conn); ok {
		data = secured.NetConn()
	}
	if s, ok := data.(*ftpSocket); ok {
		data = s.Conn
	}
	c, ok := data.(interface{ connected() bool })
	return !ok || c.connected()
}

// A transfer is a file that is being read, which was asked for by retrieve.
type transfer struct {
	net.Conn
	conn  *ftpConn
	ahead bool // its port was told ahead
	more  bool // another follows
	begun bool // something came
	whole bool
}

func (t *transfer) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.begun = t.begun || n > 0
	t.whole = t.whole || errors.Is(err, io.EOF)
	if t.ahead && !t.begun && !t.whole && err != nil {
		t.conn.control.shy.begin()
	}
	return n, err
}

// Close waits for the server to say that it has sent all. Where all came and
// another follows, it asks for the port of that first: servers read the next
// command when they have said so.
func (t *transfer) Close() error {
	c := t.conn.control
	if t.whole && t.more && !c.shy.lasts() {
		_ = c.ask(true) // what is wrong with the connection shows below
	}
	closed := t.Conn.Close()
	code, text, err := c.in.ReadResponse(0)
	if err == nil && c.owed && code != replySent && code != replyDone {
		code, text, err = c.either(code, text)
	}
	if c.owed && (errors.Is(err, errCutOff) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
		// What a server said last that ends the connection after a transfer is lost
		// when more is sent to it.
		c.shy.begin()
	}
	if err == nil && code != replySent && code != replyDone {
		err = &textproto.Error{Code: code, Msg: text}
	}
	return errors.Join(closed, err)
}

// either tells the end of the transfer from the reply to what was asked ahead,
// where the first of the two is not that the transfer has ended: it may have
// failed, or the server does one beside the other. It returns the end.
func (c *control) either(first int, said string) (code int, text string, err error) {
	code, text, err = c.in.ReadResponse(0)
	switch {
	case err != nil:
		if first >= replyFailed {
			return first, said, nil // then it left
		}
		return 0, "", err
	case code == replySent, code == replyDone, first == replyPassive:
		return code, text, c.told(first, said)
	}
	return first, said, c.told(code, text)
}

package source

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A control is the connection for commands, below the library, which has it to
// itself but while a file is fetched. Files are fetched past the library, in a
// third of the round trips and half of the system calls that it takes:
//
//   - the server is asked for the port of the next transfer (EPSV, RFC 2428) when
//     the data of this one has ended, before it says so;
//   - RETR is sent without waiting for the data connection to be there.
//
// It holds the reply to the EPSV that was sent ahead back from the library: settle
// must be called before the library is.
type control struct {
	net.Conn
	in  *textproto.Reader
	shy *shyness

	asked time.Time // when an EPSV was sent of which no use was made yet; else zero
	owed  bool      // its reply was not read yet
	port  string    // that it told
}

// A shyness is for a while in which a server is asked nothing ahead, as it, or the
// network, did not take to that. It may be used by several goroutines.
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
	replySent    = 226
	replyDone    = 250
	replyReady   = 220
	replySecure  = 234
	replyPassive = 229
	replyLeaving = 421
	replyNoData  = 425
)

// ask sends EPSV; its reply is owed.
func (c *control) ask() error {
	c.asked, c.owed, c.port = time.Now(), true, ""
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
	if err == nil && code == replyLeaving {
		c.shy.begin()
		err = &textproto.Error{Code: code, Msg: text}
	}
	c.told(code, text)
	return err
}

// told takes the reply to EPSV.
func (c *control) told(code int, text string) {
	c.owed = false
	if _, after, ok := strings.Cut(text, "|||"); ok && code == replyPassive {
		if port, _, ok := strings.Cut(after, "|"); ok && isPort(port) {
			c.port = port
		}
	}
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// passive returns the port of the next transfer: that which was told ahead, if it
// is fresh. The port is empty when the server does not take EPSV, or not as it
// should.
func (c *control) passive() (port string, ahead bool, err error) {
	asked := c.owed
	if err := c.settle(); err != nil {
		return "", false, err
	}
	defer c.forget()
	if c.port != "" && time.Since(c.asked) < portFor {
		return c.port, true, nil
	}
	if asked && c.port == "" {
		c.shy.begin()
	}
	if err = c.ask(); err == nil {
		err = c.settle()
	}
	return c.port, false, err
}

// forget makes no use of the port that was told.
func (c *control) forget() { c.asked, c.port = time.Time{}, "" }

// retrieve begins to transfer the whole of the file at an absolute path. The
// error is errNoPort where the library has to find the way.
func (c *ftpConn) retrieve(at string) (*transfer, error) {
	port, ahead, err := c.control.passive()
	if err != nil {
		return nil, err
	}
	if port == "" {
		return nil, errNoPort
	}
	data, err := c.dataConn(port)
	if err != nil {
		return nil, err
	}
	if _, err = io.WriteString(c.control.Conn, "RETR "+at+"\r\n"); err == nil {
		var code int
		var text string
		code, text, err = c.control.in.ReadResponse(0)
		if err == nil && code != replyOpening && code != replyOpen {
			err = &textproto.Error{Code: code, Msg: text}
			if ahead && code == replyNoData {
				c.control.shy.begin()
			}
		}
	}
	if err != nil {
		err = unreached(data, err)
		_ = data.Close() // nothing came
		return nil, err
	}
	return &transfer{Conn: data, conn: c}, nil
}

var errNoPort = errors.New("the server does not tell a port for EPSV")

// A transfer is a file that is being read, which was asked for by retrieve.
type transfer struct {
	net.Conn
	conn  *ftpConn
	whole bool
}

func (t *transfer) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.whole = t.whole || errors.Is(err, io.EOF)
	return n, err
}

// Close waits for the server to say that it has sent all. Where all came, it asks
// for the port of the next transfer first: servers read the next command when
// they have said so.
func (t *transfer) Close() error {
	c := t.conn.control
	ahead := t.whole && !c.shy.lasts()
	if ahead {
		_ = c.ask() // what is wrong with the connection shows below
	}
	closed := t.Conn.Close()
	code, text, err := c.in.ReadResponse(0)
	if err == nil && code == replyPassive && c.owed { // the server does one beside the other
		c.told(code, text)
		code, text, err = c.in.ReadResponse(0)
	}
	if err != nil && ahead {
		// A server that ends the connection after a transfer is lost with what it
		// said last when more is sent to it.
		c.shy.begin()
	}
	if err == nil && code != replySent && code != replyDone {
		err = &textproto.Error{Code: code, Msg: text}
	}
	return errors.Join(closed, err)
}

// unreached says of an error with a transfer whose data connection is not there
// that this is what is wrong.
func unreached(data net.Conn, err error) error {
	conn := data
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if s, ok := conn.(*ftpSocket); ok {
		conn = s.Conn
	}
	if c, ok := conn.(interface{ connected() bool }); ok && !c.connected() {
		return fmt.Errorf("the connection for data to %s is not there: %w", data.RemoteAddr(), err)
	}
	return err
}

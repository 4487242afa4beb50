package servertest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A Relay stands before a server, as the network between it and its clients
// does: what either side sends it hands on, later where there is latency, until
// it is cut off or held up. Its methods may be called concurrently.
type Relay struct {
	network, server string // as of net.Dial
	half            time.Duration
	answers         func(*bufio.Reader) ([]byte, error) // reads what the server sends
	listener        net.Listener

	mu     sync.Mutex
	open   map[io.Closer]struct{}
	pass   chan struct{} // closed while what is sent is handed on
	cut    bool
	closed bool
	all    sync.WaitGroup
}

// NewRelay returns a relay on the loopback to the server at that address, or on
// that Unix socket, which Close ends.
func NewRelay(server string) (*Relay, error) {
	r := &Relay{network: "tcp4", server: server, answers: chunks}
	if strings.HasPrefix(server, "/") {
		r.network = "unix"
	}
	return r, r.listen()
}

// NewFTPRelay returns a relay to an FTP server, for the connections of the
// commands and for those of the data. The latency is that of a question and its
// answer together: what either side sends arrives half of it later. Connections
// themselves are made at once, where a real one takes the latency once more. It
// knows plain FTP alone.
func NewFTPRelay(server string, latency time.Duration) (*Relay, error) {
	r := &Relay{network: "tcp4", server: server, half: latency / 2}
	r.answers = r.rewritten
	return r, r.listen()
}

// Address is where the server is found.
func (r *Relay) Address() string { return r.listener.Addr().String() }

// Cut breaks all connections, whose ends are told so, and refuses new ones until
// Mend.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = true
	for c := range r.open {
		if conn, ok := c.(net.Conn); ok {
			reset(conn)
		}
	}
}

// Hold hands nothing on until Mend: connections stay, also new ones, and hear
// nothing.
func (r *Relay) Hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.passes() && !r.closed {
		r.pass = make(chan struct{})
	}
}

// Mend ends what Cut or Hold began. What was held up arrives.
func (r *Relay) Mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = false
	r.release()
}

// Close ends all connections.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	for c := range r.open {
		_ = c.Close() // whoever uses it finds out
	}
	r.release()
	r.mu.Unlock()
	r.all.Wait()
	return nil
}

// passes reports whether what is sent is handed on. r.mu is held.
func (r *Relay) passes() bool {
	select {
	case <-r.pass:
		return true
	default:
		return false
	}
}

// release hands on what is sent. r.mu is held.
func (r *Relay) release() {
	if !r.passes() {
		close(r.pass)
	}
}

// reset closes a connection so that the other end hears of it as of a broken one.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails on a closed one
	}
	_ = conn.Close()
}

func (r *Relay) listen() (err error) {
	if r.listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		return err
	}
	r.open = map[io.Closer]struct{}{r.listener: {}}
	r.pass = make(chan struct{})
	close(r.pass)
	r.all.Go(func() {
		for {
			client, err := r.listener.Accept()
			if err != nil {
				return
			}
			r.all.Go(func() { r.connect(client, r.server, r.answers) })
		}
	})
	return nil
}

// keep has Close close c, and Cut if it is a connection. It reports false, and c
// is closed, when that was already.
func (r *Relay) keep(c io.Closer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	conn, ok := c.(net.Conn)
	switch {
	case ok && r.cut:
		reset(conn)
		return false
	case r.closed:
		_ = c.Close()
		return false
	}
	r.open[c] = struct{}{}
	return true
}

func (r *Relay) drop(c io.Closer) {
	r.mu.Lock()
	delete(r.open, c)
	r.mu.Unlock()
	_ = c.Close()
}

// connect joins a client's connection with one to the address. read reads what
// the server sends.
func (r *Relay) connect(client net.Conn, address string, read func(*bufio.Reader) ([]byte, error)) {
	if !r.keep(client) {
		return
	}
	defer r.drop(client)
	server, err := net.Dial(r.network, address)
	if err != nil || !r.keep(server) {
		return
	}
	defer r.drop(server)
	var both sync.WaitGroup
	both.Go(func() { r.handOn(server, client, chunks) })
	both.Go(func() { r.handOn(client, server, read) })
	both.Wait()
}

// wait returns when what is sent is handed on.
func (r *Relay) wait() {
	r.mu.Lock()
	pass := r.pass
	r.mu.Unlock()
	<-pass
}

// A delayed piece is one that arrives at that time.
type delayed struct {
	data []byte
	at   time.Time
}

// handOn hands on what comes from one side to the other, later.
func (r *Relay) handOn(to, from net.Conn, read func(*bufio.Reader) ([]byte, error)) {
	pieces := make(chan delayed, 256)
	var writer sync.WaitGroup
	writer.Go(func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for piece := range pieces {
			if wait := time.Until(piece.at); wait > 0 {
				timer.Reset(wait)
				<-timer.C
			}
			r.wait()
			if _, err := to.Write(piece.data); err != nil {
				_ = from.Close() // ends the reading
			}
		}
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // the end, too, arrives later
		}
	})
	in := bufio.NewReaderSize(from, 64<<10)
	for {
		data, err := read(in)
		if len(data) > 0 {
			pieces <- delayed{data, time.Now().Add(r.half)}
		}
		if err != nil {
			break
		}
	}
	pieces <- delayed{nil, time.Now().Add(r.half)}
	close(pieces)
	writer.Wait()
}

// chunks reads what is there.
func chunks(in *bufio.Reader) ([]byte, error) {
	if _, err := in.Peek(1); err != nil {
		return nil, err
	}
	data := make([]byte, in.Buffered())
	n, err := in.Read(data)
	return data[:n], err
}

var (
	extended = regexp.MustCompile(`^229 .*\(\|\|\|(\d+)\|\)`)
	passive  = regexp.MustCompile(`^227 .*\(\d+,\d+,\d+,\d+,(\d+),(\d+)\)`)
)

// rewritten reads a line that the server answers. One that names a place for data
// names one of ours instead.
func (r *Relay) rewritten(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadBytes('\n')
	if err != nil || !bytes.HasPrefix(line, []byte("22")) {
		return line, err
	}
	var port, low int
	if m := extended.FindSubmatch(line); m != nil {
		_, err = fmt.Sscan(string(m[1]), &port)
		if err == nil {
			port, err = r.data(port)
		}
		line = fmt.Appendf(nil, "229 Entering Extended Passive Mode (|||%d|).\r\n", port)
	} else if m := passive.FindSubmatch(line); m != nil {
		_, err = fmt.Sscan(string(m[1])+" "+string(m[2]), &port, &low)
		if err == nil {
			port, err = r.data(port<<8 | low)
		}
		line = fmt.Appendf(nil, "227 Entering Passive Mode (127,0,0,1,%d,%d).\r\n", port>>8, port&0xff)
	}
	return line, err
}

// dataWithin is how long a client may take to connect where it was told to.
const dataWithin = time.Minute

// data waits for one connection of the client's, for the server's port, and
// returns the port where it does.
func (r *Relay) data(port int) (int, error) {
	host, _, err := net.SplitHostPort(r.server)
	if err != nil {
		return 0, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	if !r.keep(l) {
		return 0, errors.New("the relay is closed")
	}
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(dataWithin)) // it is open
	r.all.Go(func() {
		client, err := l.Accept()
		r.drop(l)
		if err == nil {
			r.connect(client, net.JoinHostPort(host, fmt.Sprint(port)), chunks)
		}
	})
	return l.Addr().(*net.TCPAddr).Port, nil
}

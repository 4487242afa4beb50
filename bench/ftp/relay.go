// Package ftp measures how near Penstock comes to the bare transfer of files
// over FTP, on this machine and with servers that are far away:
//
//	go test ./bench/ftp -run "^$" -bench . -benchtime 5x -timeout 1h
package ftp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"sync"
	"time"
)

// A Relay stands before an FTP server and makes it answer later, as one would
// that is far away: what either side sends arrives half the latency later, on
// the connection of the commands and on those of the data. Connections
// themselves are made at once, where a real one takes the latency once more. It
// knows plain FTP alone.
type Relay struct {
	server   string
	half     time.Duration
	listener net.Listener

	mu     sync.Mutex
	open   map[io.Closer]struct{}
	closed bool
	all    sync.WaitGroup
}

// NewRelay returns a relay on the loopback to the server at that address, which
// Close ends. The latency is that of a question and its answer together.
func NewRelay(server string, latency time.Duration) (*Relay, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{server: server, half: latency / 2, listener: l, open: make(map[io.Closer]struct{})}
	r.keep(l)
	r.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			r.all.Go(func() { r.connect(client, r.server, r.answers) })
		}
	})
	return r, nil
}

// Address is where the server is found.
func (r *Relay) Address() string { return r.listener.Addr().String() }

// Close ends all connections.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	for c := range r.open {
		_ = c.Close() // whoever uses it finds out
	}
	r.mu.Unlock()
	r.all.Wait()
	return nil
}

// keep has Close close c. It reports false, and c is closed, when that was
// already.
func (r *Relay) keep(c io.Closer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
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
	server, err := net.Dial("tcp4", address)
	if err != nil || !r.keep(server) {
		return
	}
	defer r.drop(server)
	var both sync.WaitGroup
	both.Go(func() { r.pass(server, client, chunks) })
	both.Go(func() { r.pass(client, server, read) })
	both.Wait()
}

// A delayed piece is one that arrives at that time.
type delayed struct {
	data []byte
	at   time.Time
}

// pass hands on what comes from one side to the other, later.
func (r *Relay) pass(to, from net.Conn, read func(*bufio.Reader) ([]byte, error)) {
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
			if _, err := to.Write(piece.data); err != nil {
				_ = from.Close() // ends the reading
			}
		}
		_ = to.(*net.TCPConn).CloseWrite() // the end, too, arrives later
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

// answers reads a line that the server answers. One that names a place for data
// names one of ours instead.
func (r *Relay) answers(in *bufio.Reader) ([]byte, error) {
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
	r.all.Go(func() {
		client, err := l.Accept()
		r.drop(l)
		if err == nil {
			r.connect(client, net.JoinHostPort(host, fmt.Sprint(port)), chunks)
		}
	})
	return l.Addr().(*net.TCPAddr).Port, nil
}

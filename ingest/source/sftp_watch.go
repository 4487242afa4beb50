package source

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// An sftpSocket is the connection below SSH. As SSH reads ahead of what is
// asked for, its reads have no deadlines: what an operation brings is looked at
// every so often instead, and the socket is closed when that is too little, or
// when the operation's context ends.
type sftpSocket struct {
	net.Conn
	timeout time.Duration

	mu    sync.Mutex
	got   int64 // bytes read
	most  int64 // of got; 0 is no bound
	cause error // why the socket was closed
}

// listingBytes bounds what a server may send as the listing of one folder, which
// the library holds in memory as a whole: some 2 million entries.
const listingBytes = 256 << 20

func (s *sftpSocket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.mu.Lock()
	s.got += int64(n)
	over := s.most > 0 && s.got > s.most
	s.mu.Unlock()
	if over {
		s.kill(errEndless)
		return 0, errEndless
	}
	return n, err
}

// bound ends the connection when more bytes come than that before free is called.
func (s *sftpSocket) bound(bytes int64) (free func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = s.got + bytes
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.most = 0
	}
}

// Write has a deadline, since a server that does not read stops us for good.
func (s *sftpSocket) Write(p []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}

// begin starts the watch over one operation, and returns what ends it. In each
// span of the timeout at least so many bytes must come.
func (s *sftpSocket) begin(ctx context.Context, least int64) (end func()) {
	stop := context.AfterFunc(ctx, func() { s.kill(context.Cause(ctx)) })
	w := &sftpWatch{socket: s, least: least}
	s.mu.Lock()
	w.got = s.got
	w.timer = time.AfterFunc(s.timeout, w.look)
	s.mu.Unlock()
	return func() {
		stop()
		s.mu.Lock()
		w.over = true
		w.timer.Stop()
		s.mu.Unlock()
	}
}

// An sftpWatch is over one operation. The socket's lock guards it.
type sftpWatch struct {
	socket *sftpSocket
	timer  *time.Timer
	least  int64
	got    int64 // when it was last looked at
	over   bool
}

func (w *sftpWatch) look() {
	w.socket.mu.Lock()
	came, over := w.socket.got-w.got, w.over
	w.got = w.socket.got
	if !over && came >= w.least {
		w.timer.Reset(w.socket.timeout)
	}
	w.socket.mu.Unlock()
	switch {
	case over || came >= w.least:
	case came == 0:
		w.socket.kill(fmt.Errorf("the server sent nothing for %v: %w", w.socket.timeout, os.ErrDeadlineExceeded))
	default:
		w.socket.kill(fmt.Errorf("the server sent %d bytes in %v, and should send %d: %w", came, w.socket.timeout, w.least, os.ErrDeadlineExceeded))
	}
}

// kill closes the socket, so that whoever waits for it gets an error.
func (s *sftpSocket) kill(cause error) {
	s.mu.Lock()
	if s.cause == nil {
		s.cause = cause
	}
	s.mu.Unlock()
	_ = s.Close() // whatever it says, it is of no use any more
}

// killed returns the reason for which the socket was closed, if it was.
func (s *sftpSocket) killed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// A wire has the sockets of one FTP connection: that of the commands and, now
// and then, one of data. It ends what takes too long. Each read and write has a
// deadline; a transfer must bring a least rate; the replies to one operation
// have a bounded length; and a watchdog closes the sockets when an operation
// gets nowhere in spite of all that, or when its context ends.
type wire struct {
	timeout time.Duration
	rate    int             // bytes a second, at least
	life    context.Context // until it is killed
	end     context.CancelFunc

	mu       sync.Mutex
	sockets  []*ftpSocket
	cause    error // why the sockets were closed
	watchdog *time.Timer
}

// replyBytes bounds what a server may say on the control connection in the
// course of one operation.
const replyBytes = 1 << 20

func newWire(timeout time.Duration, rate int) *wire {
	w := &wire{timeout: timeout, rate: rate}
	w.life, w.end = context.WithCancel(context.Background())
	w.watchdog = time.AfterFunc(time.Hour, func() {
		w.kill(fmt.Errorf("the server took longer than %v: %w", 2*timeout, os.ErrDeadlineExceeded))
	})
	w.watchdog.Stop()
	return w
}

// begin starts the watch over one operation, and returns what ends it.
func (w *wire) begin(ctx context.Context) (end func()) {
	w.mu.Lock()
	for _, s := range w.sockets {
		s.n = 0
	}
	w.mu.Unlock()
	w.watchdog.Reset(2 * w.timeout)
	stop := context.AfterFunc(ctx, func() { w.kill(context.Cause(ctx)) })
	return func() {
		stop()
		w.watchdog.Stop()
	}
}

// kill closes the sockets, so that whoever waits for them gets an error.
func (w *wire) kill(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end()
	if w.cause == nil {
		w.cause = cause
	}
	for _, s := range w.sockets {
		_ = s.Conn.Close() // whatever it says, it is of no use any more
	}
}

// why returns the reason for which the wire was cut, else err.
func (w *wire) why(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.cause != nil {
		return w.cause
	}
	return err
}

// isCut reports whether the connection for commands is known to be dead.
func (w *wire) isCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cause != nil
}

// dial opens the socket for commands.
func (w *wire) dial(ctx context.Context, address string) (*ftpSocket, error) {
	if w.isCut() {
		return nil, w.why(net.ErrClosed)
	}
	dialer := net.Dialer{Timeout: w.timeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return w.add(&ftpSocket{Conn: conn, wire: w})
}

// reach begins to open a socket for data, which need not be there when it
// returns.
func (w *wire) reach(address netip.AddrPort) (*ftpSocket, error) { return w.data(reach, address) }

// await opens a socket for data, which is there when it returns.
func (w *wire) await(address netip.AddrPort) (*ftpSocket, error) { return w.data(await, address) }

func (w *wire) data(open func(context.Context, netip.AddrPort, time.Duration) (net.Conn, error), address netip.AddrPort) (*ftpSocket, error) {
	if w.isCut() {
		return nil, w.why(net.ErrClosed)
	}
	conn, err := open(w.life, address, w.timeout)
	if err != nil {
		return nil, w.why(err)
	}
	return w.add(&ftpSocket{Conn: conn, wire: w, data: true, since: time.Now()})
}

// await connects, unless ctx ends. The socket lives for one transfer, and has
// deadlines: it needs no keep-alives.
func await(ctx context.Context, address netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout, KeepAlive: -1}
	return dialer.DialContext(ctx, "tcp", address.String())
}

func (w *wire) add(s *ftpSocket) (*ftpSocket, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause != nil {
		_ = s.Conn.Close() // nothing was sent
		return nil, w.cause
	}
	w.sockets = append(w.sockets, s)
	return s, nil
}

// An ftpSocket is one connection of a wire.
type ftpSocket struct {
	net.Conn
	wire *wire
	data bool

	n     int64     // bytes read since the operation began, or, of data, since that time
	since time.Time // of data

	reads, writes time.Time // until when they may last
}

func (s *ftpSocket) Read(p []byte) (int, error) {
	now := time.Now()
	if s.data {
		if err := s.pace(now); err != nil {
			return 0, err
		}
	} else if s.n > replyBytes {
		return 0, s.failed(fmt.Errorf("the server's reply is longer than %d bytes", replyBytes))
	}
	if s.wire.prolongs(now, &s.reads) {
		if err := s.Conn.SetReadDeadline(s.reads); err != nil {
			return 0, s.wire.why(err)
		}
	}
	n, err := s.Conn.Read(p)
	s.n += int64(n)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the server sent nothing for %v: %w", s.wire.timeout, os.ErrDeadlineExceeded)
	}
	return n, s.failed(err)
}

// prolongs makes of until the time to which what begins now may last. It does
// so only where that is noticeably later: a deadline costs as much as a small
// file's hash.
func (w *wire) prolongs(now time.Time, until *time.Time) bool {
	const noticeable = 16 // parts of the timeout
	if now.Add(w.timeout).Sub(*until) < w.timeout/noticeable {
		return false
	}
	*until = now.Add(w.timeout)
	return true
}

// failed keeps in mind what first went wrong with the connection for commands:
// the library words it in its own ways, or passes over it.
func (s *ftpSocket) failed(err error) error {
	if err == nil || s.data {
		return s.wire.why(err)
	}
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	if s.wire.cause == nil {
		s.wire.cause = cutOff(err)
	}
	return s.wire.cause
}

// pace looks, once in a while, whether enough data came since the last time.
func (s *ftpSocket) pace(now time.Time) error {
	took := now.Sub(s.since)
	if took < s.wire.timeout {
		return nil
	}
	if float64(s.n) < took.Seconds()*float64(s.wire.rate) {
		return fmt.Errorf("the server sent %d bytes in %v, and should send %d a second: %w", s.n, took.Round(time.Millisecond), s.wire.rate, os.ErrDeadlineExceeded)
	}
	s.n, s.since = 0, now
	s.wire.watchdog.Reset(2 * s.wire.timeout)
	return nil
}

func (s *ftpSocket) Write(p []byte) (int, error) {
	if s.wire.prolongs(time.Now(), &s.writes) {
		if err := s.Conn.SetWriteDeadline(s.writes); err != nil {
			return 0, s.wire.why(err)
		}
	}
	n, err := s.Conn.Write(p)
	return n, s.failed(err)
}

func (s *ftpSocket) Close() error {
	s.wire.mu.Lock()
	for i, other := range s.wire.sockets {
		if other == s {
			s.wire.sockets = append(s.wire.sockets[:i], s.wire.sockets[i+1:]...)
			break
		}
	}
	s.wire.mu.Unlock()
	return s.Conn.Close()
}

//go:build linux && !portable

package source

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A dataSocket is a TCP connection that is not waited for: it is there, or known
// not to come, when a read or write returns. One that brings what is wanted of
// it at once, as that of a small file does, is made, read and closed by five
// system calls, where package net takes twelve; only one that must be waited
// for becomes known to the runtime's poller. It has one reader and one writer;
// Close may be called beside them.
type dataSocket struct {
	address netip.AddrPort

	mu            sync.Mutex
	fd            int
	file          *os.File // of fd, once it must be waited for
	closed        bool
	prompt        bool      // it was told to send small writes at once
	reads, writes time.Time // deadlines
}

// reach begins to connect.
func reach(_ context.Context, address netip.AddrPort, _ time.Duration) (net.Conn, error) {
	d := &dataSocket{address: address}
	family := unix.AF_INET6
	var to unix.Sockaddr
	switch ip := address.Addr(); {
	case ip.Unmap().Is4():
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: int(address.Port()), Addr: ip.Unmap().As4()}
	case ip.Zone() != "":
		in, err := net.InterfaceByName(ip.Zone())
		if err != nil {
			return nil, d.fault("dial", err)
		}
		to = &unix.SockaddrInet6{Port: int(address.Port()), Addr: ip.As16(), ZoneId: uint32(in.Index)}
	default:
		to = &unix.SockaddrInet6{Port: int(address.Port()), Addr: ip.As16()}
	}
	var err error
	if d.fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, d.fault("dial", os.NewSyscallError("socket", err))
	}
	if err = unix.Connect(d.fd, to); err != nil && err != unix.EINPROGRESS && err != unix.EINTR {
		unix.Close(d.fd)
		return nil, d.fault("dial", os.NewSyscallError("connect", err))
	}
	return d, nil
}

func (d *dataSocket) fault(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: d.RemoteAddr(), Err: err}
}

// Read implements [net.Conn].
func (d *dataSocket) Read(p []byte) (int, error) {
	file, n, err := d.tryRead(p)
	if file != nil {
		n, err = file.Read(p)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = d.fault("read", bareOf(err))
	}
	return n, err
}

// tryRead reads what is there; if nothing is, it returns the file to wait by.
func (d *dataSocket) tryRead(p []byte) (*os.File, int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, 0, net.ErrClosed
	}
	if d.file == nil && len(p) > 0 {
		n, err := unix.Read(d.fd, p)
		switch {
		case err == nil && n == 0:
			return nil, 0, io.EOF
		case err == nil:
			return nil, n, nil
		case err != unix.EAGAIN && err != unix.EINTR:
			return nil, 0, os.NewSyscallError("read", err)
		}
	}
	file, err := d.waitable()
	return file, 0, err
}

// waitable makes the socket known to the poller. The lock is held.
func (d *dataSocket) waitable() (*os.File, error) {
	if d.file == nil {
		d.file = os.NewFile(uintptr(d.fd), d.address.String())
		if err := errors.Join(d.file.SetReadDeadline(d.reads), d.file.SetWriteDeadline(d.writes)); err != nil {
			return nil, err
		}
	}
	return d.file, nil
}

// Write implements [net.Conn].
func (d *dataSocket) Write(p []byte) (int, error) {
	d.mu.Lock()
	var file *os.File
	err := net.ErrClosed
	if !d.closed {
		err = d.sendPromptly()
	}
	if err == nil {
		file, err = d.waitable()
	}
	d.mu.Unlock()
	n := 0
	if err == nil {
		n, err = file.Write(p)
	}
	if err != nil {
		err = d.fault("write", bareOf(err))
	}
	return n, err
}

// sendPromptly does what package net does for every connection, for those that
// are written to: else the end of each TLS handshake would wait for what delays
// the server's acknowledgement of its beginning, some 40 ms. The lock is held.
func (d *dataSocket) sendPromptly() error {
	if d.prompt {
		return nil
	}
	d.prompt = true
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(d.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
}

// bareOf takes the file out of an error, which is none to the reader.
func bareOf(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// Close implements [net.Conn].
func (d *dataSocket) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	d.closed = true
	if d.file != nil {
		return d.file.Close()
	}
	return os.NewSyscallError("close", unix.Close(d.fd))
}

// connected reports whether the connection is there.
func (d *dataSocket) connected() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	_, err := unix.Getpeername(d.fd)
	return err == nil
}

// LocalAddr implements [net.Conn]; which port it is, nobody asks.
func (d *dataSocket) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements [net.Conn].
func (d *dataSocket) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(d.address) }

// SetDeadline implements [net.Conn].
func (d *dataSocket) SetDeadline(t time.Time) error {
	return errors.Join(d.SetReadDeadline(t), d.SetWriteDeadline(t))
}

// SetReadDeadline implements [net.Conn].
func (d *dataSocket) SetReadDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads = t
	if d.file == nil || d.closed {
		return nil
	}
	return d.file.SetReadDeadline(t)
}

// SetWriteDeadline implements [net.Conn].
func (d *dataSocket) SetWriteDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes = t
	if d.file == nil || d.closed {
		return nil
	}
	return d.file.SetWriteDeadline(t)
}

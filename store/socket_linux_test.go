package store

import (
	"net"
	"syscall"
	"testing"
)

// What a client's socket does when its server's host is gone without a word.
func TestClientSocketIsBounded(t *testing.T) {
	s := open(t, Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := s.pool.Config().ConnConfig.DialFunc(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	const tcpUserTimeout = 18
	if err := raw.Control(func(fd uintptr) {
		ms, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout)
		idle, _ := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
		intvl, _ := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL)
		cnt, _ := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT)
		if err != nil || ms == 0 {
			t.Errorf("TCP_USER_TIMEOUT is %d ms (%v): a request that nobody acknowledges is waited for as long as the kernel tries; keepalive %d s, %d s x %d", ms, err, idle, intvl, cnt)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

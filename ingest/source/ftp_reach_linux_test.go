//go:build linux && !portable

package source

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDataSocketSendsPromptly checks that what is written to a data connection, as
// TLS does in small pieces, does not wait for the acknowledgement of what was
// written before: that would be 40 ms for each file.
func TestDataSocketSendsPromptly(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := reach(t.Context(), netip.MustParseAddrPort(listener.Addr().String()), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if on, err := unix.GetsockoptInt(conn.(*dataSocket).fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || on == 0 {
		t.Errorf("TCP_NODELAY is %d, %v", on, err)
	}
}

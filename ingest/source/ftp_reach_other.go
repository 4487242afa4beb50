//go:build !linux || portable

package source

import (
	"net"
	"net/netip"
	"time"
)

// reach connects. The socket lives for one transfer, and has deadlines: it needs
// no keep-alives.
func reach(address netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout, KeepAlive: -1}
	return dialer.Dial("tcp", address.String())
}

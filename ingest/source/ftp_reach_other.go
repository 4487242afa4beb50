//go:build !linux || portable

package source

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// reach connects, as await does.
func reach(ctx context.Context, address netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	return await(ctx, address, timeout)
}

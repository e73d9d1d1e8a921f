package smtp

import (
	"context"
	"net"
)

// ConnectTo makes s talk to a server on loopback as if it were the one of its
// URL.
func (s *Sender) ConnectTo(address string) {
	s.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

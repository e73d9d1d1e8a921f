package smtp

import (
	"context"
	"net"
)

// ConnectTo makes s connect to address instead of the host of its URL.
func (s *Sender) ConnectTo(address string) {
	s.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

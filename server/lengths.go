package server

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// A request with both Content-Length and Transfer-Encoding is how requests are
// smuggled past a proxy that believes the other one (RFC 9112, section 6.3).
// net/http believes the second and forgets the first, so the heads of requests
// are looked at as they come from the network. Serve plain HTTP through
// WatchLengths, TLS through WatchTLS, and both with WithLengths. HTTP/2 frames
// have one length each, and net/http compares them with Content-Length.

// WatchLengths wraps the connections of a listener.
func WatchLengths(l net.Listener) net.Listener { return watchedListener{l} }

// WithLengths is for http.Server.ConnContext.
func WithLengths(ctx context.Context, conn net.Conn) context.Context {
	if secure, isTLS := conn.(*watchedTLSConn); isTLS {
		conn = secure.watchedConn
	}
	return context.WithValue(ctx, watchedKey{}, conn)
}

type watchedKey struct{}

type watchedListener struct{ net.Listener }

func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{Conn: conn}, nil
}

// A watchedConn remembers the heads of requests that were read.
type watchedConn struct {
	net.Conn
	unread []byte // followed, and not yet read by net/http

	mu   sync.Mutex
	seen framing
}

// Read is called by one goroutine at a time.
func (c *watchedConn) Read(p []byte) (n int, err error) {
	for len(c.unread) == 0 && err == nil && len(p) > 0 {
		n, err = c.Conn.Read(p)
		c.mu.Lock()
		c.unread = c.seen.pass(p[:n])
		c.mu.Unlock()
	}
	n = copy(p, c.unread)
	if c.unread = c.unread[n:]; len(c.unread) > 0 {
		return n, nil // the error comes again after them
	}
	c.unread = nil // it may be the caller's memory
	return n, err
}

// CloseWrite lets net/http deliver its last response before it closes the
// connection of a client that is still sending.
func (c *watchedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// head returns the head of a request. It is not clear if it was not seen.
func (c *watchedConn) head(r *http.Request) head {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, found := c.seen.take(r.Method + " " + r.RequestURI + " " + r.Proto)
	h.unclear = h.unclear || !found
	return h
}

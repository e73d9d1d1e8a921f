package server

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Attackers smuggle a request past a proxy by sending both Content-Length and Transfer-Encoding (RFC 9112, section
// 6.3). This works if the proxy uses one of the headers and the server uses the other. net/http uses
// Transfer-Encoding and drops Content-Length before a handler runs. Therefore the server parses the heads of requests
// as they arrive from the network.
//
// Serve plain HTTP through WatchLengths, TLS through WatchTLS, and set WithLengths for both. HTTP/2 is not affected:
// each frame has one length, and net/http compares it with Content-Length.

// WatchLengths returns a listener whose connections record the heads of requests. Set
// http.Server.ConnContext to WithLengths, too.
//
// Unstable: for the program watchword.
func WatchLengths(l net.Listener) net.Listener { return watchedListener{l} }

// WithLengths stores the connection in the context, where the middleware attachRequestHead finds it. Set
// http.Server.ConnContext to WithLengths.
//
// Unstable: for the program watchword.
func WithLengths(ctx context.Context, conn net.Conn) context.Context {
	if secure, isTLS := conn.(*watchedTLSConn); isTLS {
		conn = secure.watchedConn
	}
	return context.WithValue(ctx, watchedConnKey{}, conn)
}

// watchedConnKey is a private type, so that only WithLengths can set this key of a context.
type watchedConnKey struct{}

// A watchedListener accepts connections of the type watchedConn.
type watchedListener struct{ net.Listener }

// Accept does not read from the connection, so a slow client does not delay the next one.
func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{Conn: conn}, nil
}

// A watchedConn records the heads of the requests that net/http reads.
type watchedConn struct {
	net.Conn
	unread []byte // not yet read by net/http

	mu     sync.Mutex // guards parser: net/http reads in the background while a handler runs
	parser requestParser
}

// Read returns the bytes of the connection, as changed by parseAndEscape. Only one goroutine may call Read at a time.
// Read returns 0 bytes only with an error. If parseAndEscape holds back all bytes, Read therefore reads from the
// connection again.
func (c *watchedConn) Read(p []byte) (n int, err error) {
	for len(c.unread) == 0 && err == nil && len(p) > 0 {
		n, err = c.Conn.Read(p)
		c.mu.Lock()
		c.unread = c.parser.parseAndEscape(p[:n])
		c.mu.Unlock()
	}
	n = copy(p, c.unread)
	if c.unread = c.unread[n:]; len(c.unread) > 0 {
		return n, nil // no error yet: the next read of the connection returns it again
	}
	c.unread = nil // unread may share memory with p, which belongs to the caller
	return n, err
}

// CloseWrite closes the writing side, if the connection supports that. net/http uses it to
// deliver its last response to a client that is still sending.
func (c *watchedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// takeHead returns an ambiguous head if the head of the request was not recorded, so that the request is rejected.
// Method, target and protocol identify the head, because net/http has parsed the same line.
func (c *watchedConn) takeHead(r *http.Request) requestHead {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, found := c.parser.takeHead(r.Method + " " + r.RequestURI + " " + r.Proto)
	h.isAmbiguous = h.isAmbiguous || !found
	return h
}

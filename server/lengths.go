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
// WatchLengths and WithLengths. TLS of our own is not watched: inside, net/http
// decides alone.

// WatchLengths wraps the connections of a listener.
func WatchLengths(l net.Listener) net.Listener { return watchedListener{l} }

// WithLengths is for http.Server.ConnContext.
func WithLengths(ctx context.Context, conn net.Conn) context.Context {
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
	mu   sync.Mutex
	seen framing
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.feed(p[:n])
	return n, err
}

// isClear reports whether a request says in one way how long it is.
func (c *watchedConn) isClear(r *http.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, found := c.seen.take(r.Method + " " + r.RequestURI + " " + r.Proto)
	return found && !h.unclear
}

// measured refuses a body of two lengths, and closes the connection.
func (s *Server) measured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, isWatched := r.Context().Value(watchedKey{}).(*watchedConn); isWatched && !conn.isClear(r) {
			w.Header().Set("Connection", "close")
			s.fail(w, r, bodyInvalid("Send Content-Length or Transfer-Encoding, not both."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

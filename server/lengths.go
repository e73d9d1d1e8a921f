package server

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A request with both Content-Length and Transfer-Encoding is how requests are
// smuggled past a proxy that believes the other one (RFC 9112, section 6.3).
// net/http believes the second and forgets the first, so the heads of requests
// are looked at as they come from the network. Serve plain HTTP through
// WatchLengths and WithLengths; a TLS connection of ours has no proxy before it
// that shares it among strangers.

const watched = 32 << 10 // bytes: the longest head, and what is read ahead of it

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

// A watchedConn remembers what was read last.
type watchedConn struct {
	net.Conn
	mu     sync.Mutex
	recent []byte
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recent = append(c.recent, p[:n]...)
	if over := len(c.recent) - watched; over > 0 {
		c.recent = append(c.recent[:0], c.recent[over:]...)
	}
	return n, err
}

// hasLength reports whether a head with this request line has a Content-Length.
func (c *watchedConn) hasLength(requestLine string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := c.recent
	for {
		_, after, found := bytes.Cut(rest, []byte(requestLine))
		if !found {
			return false
		}
		head, _, _ := bytes.Cut(after, []byte("\n\r\n"))
		for line := range bytes.Lines(head) {
			name, _, _ := bytes.Cut(line, []byte(":"))
			if strings.EqualFold(strings.TrimSpace(string(name)), "Content-Length") {
				return true
			}
		}
		rest = after
	}
}

// measured refuses a body of two lengths, and closes the connection.
func (s *Server) measured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, isWatched := r.Context().Value(watchedKey{}).(*watchedConn)
		if isWatched && slices.Contains(r.TransferEncoding, "chunked") && conn.hasLength(r.Method+" "+r.RequestURI+" HTTP/1.") {
			w.Header().Set("Connection", "close")
			s.fail(w, r, bodyInvalid("Send Content-Length or Transfer-Encoding, not both."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

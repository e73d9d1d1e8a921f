package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/watchword-auth/watchword/internal/lograte"
)

// handshakeTimeout ends a TLS handshake. Without it, a client that connects and stays silent would hold a goroutine
// and a socket forever.
const handshakeTimeout = 5 * time.Second

// WatchTLS returns a listener that serves TLS and records the heads of requests, as
// WatchLengths does. HTTP/2 needs "h2" in NextProtos of the config. Pass the listener to
// http.Server.Serve, not to ServeTLS, and the same config to http.Server.TLSConfig.
//
// Failed handshakes are logged at level warn, at a bounded rate.
//
// Unstable: for the program watchword.
func WatchTLS(l net.Listener, config *tls.Config, log *slog.Logger) net.Listener {
	ctx, cancel := context.WithCancel(context.Background())
	w := &tlsListener{
		Listener: l, config: config, log: log,
		logLimit:     lograte.New(lograte.Limit{Window: time.Minute, Total: 10, PerKey: 10}),
		negotiated:   make(chan net.Conn),
		acceptErrors: make(chan error),
		closing:      ctx, cancel: cancel,
	}
	go w.acceptAll()
	return w
}

// A tlsListener completes the handshake before Accept returns a connection. The handshake
// decides the protocol: net/http serves HTTP/2 only on a *tls.Conn, but HTTP/1.1 must be read
// through a watchedConn.
type tlsListener struct {
	net.Listener
	config   *tls.Config
	log      *slog.Logger
	logLimit *lograte.Gate

	// The channels are unbuffered. Each connection is therefore either returned by Accept or closed, even when the
	// listener closes.
	negotiated   chan net.Conn
	acceptErrors chan error
	closing      context.Context //nolint:containedctx // canceled when the listener closes
	cancel       func()
}

// acceptAll starts a goroutine for each handshake, so that a silent client delays only itself.
func (l *tlsListener) acceptAll() {
	for {
		conn, err := l.Listener.Accept()
		if err == nil {
			go l.completeHandshake(conn)
			continue
		}
		select {
		case l.acceptErrors <- err: // net/http waits before it calls Accept again
		case <-l.closing.Done():
			return
		}
	}
}

// Accept returns connections in the order in which their handshakes end.
func (l *tlsListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.negotiated:
		return conn, nil
	case err := <-l.acceptErrors:
		return nil, err
	case <-l.closing.Done():
		return nil, net.ErrClosed
	}
}

// Close also ends the running handshakes, by canceling their context.
func (l *tlsListener) Close() error {
	err := l.Listener.Close()
	l.cancel()
	return err
}

// completeHandshake hands the connection to Accept. If the listener closes first, completeHandshake closes the
// connection.
func (l *tlsListener) completeHandshake(raw net.Conn) {
	ctx, cancel := context.WithTimeout(l.closing, handshakeTimeout)
	defer cancel()
	conn := tls.Server(raw, l.config)
	if err := conn.HandshakeContext(ctx); err != nil {
		l.logFailedHandshake(raw, err)
		raw.Close() //nolint:errcheck // no request was served
		return
	}
	ready := net.Conn(conn)
	if conn.ConnectionState().NegotiatedProtocol != "h2" {
		ready = &watchedTLSConn{watchedConn: &watchedConn{Conn: conn}, tls: conn}
	}
	select {
	case l.negotiated <- ready:
	case <-l.closing.Done():
		conn.Close() //nolint:errcheck // no request was served
	}
}

// logFailedHandshake also responds to a client that sends plain HTTP, with a readable 400 in plain text, because
// people often type http:// with the port of https.
func (l *tlsListener) logFailedHandshake(raw net.Conn, err error) {
	var record tls.RecordHeaderError
	if errors.As(err, &record) && record.Conn != nil {
		raw.SetDeadline(time.Now().Add(handshakeTimeout)) //nolint:errcheck // if this fails, the write fails too
		io.WriteString(raw, "HTTP/1.0 400 Bad Request\r\n"+
			"Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+
			"This port speaks HTTPS. Use https:// in the address.\n") //nolint:errcheck // the client may be gone
	}
	if skipped, ok := l.logLimit.Allow("", time.Now()); ok && l.closing.Err() == nil {
		l.log.Warn("TLS handshake failed", "client", raw.RemoteAddr().String(), "error", err.Error(), "skipped", skipped)
	}
}

// A watchedTLSConn is a watchedConn that also reports the state of TLS to net/http.
type watchedTLSConn struct {
	*watchedConn
	tls *tls.Conn
}

// ConnectionState makes net/http set Request.TLS.
func (c *watchedTLSConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

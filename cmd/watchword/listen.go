package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// listeners are the listeners of serve and the HTTP servers on them. They are opened before the
// store, so that a port in use is found first. While the store is opened, new connections wait
// in the queue of the listener and are not refused. In servers, the public server comes before
// the admin server. startServing and drain rely on this order.
type listeners struct {
	public, admin net.Listener // admin may be nil
	servers       []*http.Server
	draining      atomic.Bool
}

// openListeners opens the admin listener only if it is set. After an error, no listener stays
// open.
func openListeners(s *Settings) (*listeners, error) {
	d := &listeners{}
	var err error
	if d.public, err = openListener("listen", s.Listen); err != nil {
		return nil, err
	}
	if s.AdminListen != "" {
		if d.admin, err = openListener("admin-listen", s.AdminListen); err != nil {
			d.close()
			return nil, err
		}
	}
	return d, nil
}

// openListener returns an error that names the setting and says what to write, for the three
// common causes of a failure. For any other cause, the error has the text of the operating
// system.
func openListener(setting, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %s is used by another program. Stop it, or write another port in --%s", setting, address,
			setting)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s: %s is not an address of this machine. Write one of its addresses, or only :PORT, in --%s",
			setting, address, setting)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: %s needs more permissions than this user has. Write a port above 1023 in --%s", setting,
			address, setting)
	}
	return nil, fmt.Errorf("%s: %w", setting, err)
}

// close closes the listeners of a start that failed before startServing. After startServing, it
// has no effect: the HTTP servers have already closed the listeners, and close ignores the
// error of a second close.
func (d *listeners) close() {
	for _, l := range []net.Listener{d.public, d.admin} {
		if l != nil {
			l.Close() //nolint:errcheck // the program ends
		}
	}
}

// newHTTPServer sets timeouts against hostile clients: a slow or endless request occupies one
// connection for a bounded time. The revocation feed sets other deadlines for its own
// connections (package server). Headers of 16 KiB are enough for the cookies of a whole domain.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler,
		// Five seconds are enough for headers on a slow mobile network. Clients send headers in
		// one piece, so a slower client is broken or hostile.
		ReadHeaderTimeout: 5 * time.Second,
		// The timeout starts with the first byte of a request. It is long enough for the
		// largest body of the API, which has 16 KiB.
		ReadTimeout:  15 * time.Second,
		WriteTimeout: 60 * time.Second, // the longest hash-queue and the work after it
		// IdleTimeout is longer than the 60 seconds for which common proxies keep idle
		// connections. The proxy therefore closes the connection first, and sends no request on
		// a connection that the server is closing.
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 16 << 10,
		// net/http logs failed handshakes and panics here. They are logged as warnings, because
		// strangers can cause them.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// startServing handles requests until drain is called. If a listener fails earlier, the channel
// receives an error, and the program ends with exit code 1. Connections that clients opened
// since openListeners are waiting in the queue and are served first.
func (d *listeners) startServing() <-chan error {
	// The buffer holds the error of each server, so that no goroutine waits forever.
	failed := make(chan error, len(d.servers))
	for i, l := range []net.Listener{d.public, d.admin}[:len(d.servers)] {
		server := d.servers[i]
		go func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve: %w", err)
			}
		}()
	}
	return failed
}

// announceDrain makes the server report "not ready" while it serves requests for the delay.
// Load balancers then send their requests elsewhere before the listener closes. Each response
// during the delay closes its connection. If a listener fails meanwhile, announceDrain returns
// at once.
func (d *listeners) announceDrain(delay time.Duration, failed <-chan error) error {
	d.draining.Store(true)
	select {
	case <-time.After(delay):
		return nil
	case err := <-failed:
		return err
	}
}

// drain closes the listeners and waits up to drainTime for open requests. The public listener
// closes first, and the admin listener last, so that metrics show the progress. When a listener
// is closed, the system refuses new connections to it. drainTime is for both listeners
// together, so a busy public listener reduces the time of the admin listener. A request that is
// cut off is logged, because its client can't know whether it took effect.
func (d *listeners) drain(log *slog.Logger) {
	d.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	for _, server := range d.servers {
		if err := server.Shutdown(ctx); err != nil {
			log.Warn("requests were cut off", "error", err)
			server.Close() //nolint:errcheck // the program ends next
		}
	}
}

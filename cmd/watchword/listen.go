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

// doors are the listeners of serve. They are open before the store is, so that a
// taken port is found out first.
type doors struct {
	public, admin net.Listener // admin may be nil
	servers       []*http.Server
	draining      atomic.Bool
}

func listen(s *Settings) (*doors, error) {
	d := &doors{}
	var err error
	if d.public, err = listenAt("listen", s.Listen); err != nil {
		return nil, err
	}
	if s.AdminListen != "" {
		if d.admin, err = listenAt("admin-listen", s.AdminListen); err != nil {
			d.close()
			return nil, err
		}
	}
	return d, nil
}

func listenAt(setting, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %s is taken by another program. Stop that one, or write another port in --%s", setting, address, setting)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s: %s is no address of this machine. Write one that is, or only :PORT, in --%s", setting, address, setting)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: %s is not allowed to this user. Write a port above 1023 in --%s", setting, address, setting)
	}
	return nil, fmt.Errorf("%s: %w", setting, err)
}

// close is for doors that never served.
func (d *doors) close() {
	for _, l := range []net.Listener{d.public, d.admin} {
		if l != nil {
			l.Close() //nolint:errcheck // the program ends
		}
	}
}

// server has the timeouts of a server that strangers reach: one slow or endless
// request holds one connection, and not for long.
func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second, // the longest hash-queue and the work after it
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// serve answers requests until drain; what it returns breaks off otherwise.
func (d *doors) serve() <-chan error {
	broken := make(chan error, len(d.servers))
	for i, l := range []net.Listener{d.public, d.admin}[:len(d.servers)] {
		server := d.servers[i]
		go func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				broken <- fmt.Errorf("serve: %w", err)
			}
		}()
	}
	return broken
}

// announce reports "not ready" and keeps serving for the delay, so that load
// balancers send their requests elsewhere before the listener closes. Each response
// of that time closes its connection.
func (d *doors) announce(delay time.Duration, broken <-chan error) error {
	d.draining.Store(true)
	select {
	case <-time.After(delay):
		return nil
	case err := <-broken:
		return err
	}
}

// drain says "not ready", lets open requests finish and closes the doors. The
// admin listener is the last: it tells how far it got.
func (d *doors) drain(log *slog.Logger) {
	d.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	for _, server := range d.servers {
		if err := server.Shutdown(ctx); err != nil {
			log.Warn("requests were cut off", "error", err)
			server.Close() //nolint:errcheck // it ends
		}
	}
}

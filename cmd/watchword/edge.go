package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect"
	"github.com/watchword-auth/watchword/dialect/lesson"
	"github.com/watchword-auth/watchword/dialect/users"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/server"
)

// This file builds the HTTP edge: it chooses the handlers of each listener and their options.
// It translates settings into options, so that package server does not depend on settings.
// Users of the library can set the same options.

// serverOptions returns an error for a dialect or provider that can't be used. serve then ends
// with exit code 1 before it accepts requests.
func (s *Settings) serverOptions(stack *stack) (options server.Options, err error) {
	options = server.Options{
		PublicURL:      s.PublicURL,
		AllowedOrigins: s.AllowedOrigins,
		AppURL:         s.AppURL,
		TrustedProxies: s.TrustedProxies,
		CookieName:     s.CookieName,
		CookieSameSite: sameSiteModes[s.CookieSameSite],
		CookieDomain:   s.CookieDomain,
		Factors:        s.newFactorManager(stack), // also set with second-factor=off, for accounts that have a factor
		Admin:          s.newAdminManager(stack),
		AdminPages:     s.AdminPages == "on",
		AdminURL:       s.adminURL(),
		Metadata:       metadata.New(stack.engine, stack.store.Metadata()),
	}
	// Without product-name, pages, mails and authenticator apps show the host, so a new
	// installation needs no setting.
	options.Product, options.Pages = s.ProductName, s.operatorFiles()
	// Without a development mailbox, DevMail stays nil. The method value of a nil mailbox would
	// not be nil, and the server would register the mailbox's route.
	if stack.devMailbox != nil {
		options.DevMail = stack.devMailbox.Mails
	}
	// Without entries in sign-in-with, the manager has no providers, and the server has no
	// routes for them. The manager sends no request to a provider at the start, because a
	// provider that is down must not stop the server.
	if options.Federation, err = s.newFederationManager(stack); err != nil {
		return options, err
	}
	options.Dialects, err = s.newDialects(stack.engine)
	return options, err
}

// installHTTPEdge creates the HTTP servers of the listeners, but does not serve yet. It wraps
// the public listener so that the server sees every Content-Length and Transfer-Encoding of a
// request. net/http drops one of two such headers.
func (d *listeners) installHTTPEdge(settings *Settings, s *stack, log *slog.Logger) error {
	options, err := settings.serverOptions(s)
	if err != nil {
		return err
	}
	options.Draining, options.Log = d.draining.Load, log
	edge, err := server.New(s.engine, options)
	if err != nil {
		return err
	}
	public := newHTTPServer(edge, log)
	// Streams of the revocation feed never end by themselves. Without this line, each stop
	// would wait for the whole drainTime.
	public.RegisterOnShutdown(edge.EndStreams)
	// WithLengths adds to each request the lengths that the wrapped listener saw on its
	// connection.
	public.ConnContext = server.WithLengths
	// The listener is wrapped, because the wrapper must see the bytes before net/http does.
	// WatchTLS sees the decrypted bytes. WatchLengths is for a listener without TLS.
	if settings.TLSCert != "" {
		// pair has the paths of the certificate and the key and not their content, because
		// later handshakes read the files again.
		pair := &certificate{certFile: settings.TLSCert, keyFile: settings.TLSKey, log: log}
		public.TLSConfig = pair.tlsConfig()
		d.public = server.WatchTLS(d.public, public.TLSConfig, log)
	} else {
		d.public = server.WatchLengths(d.public)
	}
	d.servers = []*http.Server{public}
	// On the loopback, the admin listener accepts only loopback names as Host. If other
	// machines can reach the listener, it accepts every Host, so a firewall has to protect it.
	if d.admin != nil {
		admin := newHTTPServer(edge.Admin(server.AdminOptions{AnyHost: listensBeyondLoopback(settings.AdminListen),
			Profiling: settings.Pprof == "on"}), log)
		admin.WriteTimeout = 5 * time.Minute // a CPU profile takes as long as its request asks for
		// A proxy in front of the admin listener may interpret ambiguous lengths differently,
		// so the listener rejects them.
		if options.AdminURL != "" {
			admin.ConnContext, d.admin = server.WithLengths, server.WatchLengths(d.admin)
		}
		d.servers = append(d.servers, admin)
	}
	return nil
}

// newDialects keeps the order of the setting. Package server does not import dialects; it
// receives them from here. An unknown name can't occur here, because dialectsProblem refuses
// it.
func (s *Settings) newDialects(engine *watchword.Engine) (all []dialect.Dialect, err error) {
	site := sameSiteModes[s.CookieSameSite]
	for _, name := range s.Dialects {
		var one dialect.Dialect
		switch name {
		case "users":
			one, err = users.New(engine, users.Options{CookieSameSite: site, CookieDomain: s.CookieDomain})
		case "lesson":
			one, err = lesson.New(engine, lesson.Options{CookieSameSite: site})
		}
		if err != nil {
			return nil, fmt.Errorf("dialect %s: %w", name, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// sameSiteModes has every word that the setting cookie-same-site accepts (oneof), so a lookup
// never returns the zero value. The zero value would mean the default of the browser.
var sameSiteModes = map[string]http.SameSite{
	"strict": http.SameSiteStrictMode,
	"lax":    http.SameSiteLaxMode,
	"none":   http.SameSiteNoneMode,
}

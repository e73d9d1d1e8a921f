package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect/lesson"
	"github.com/watchword-auth/watchword/dialect/users"
	"github.com/watchword-auth/watchword/server"
)

// The HTTP edge: which handlers are on which listener, with which options. Settings become options
// here, so that package server knows no settings and a library user can do the same by hand.

// install builds the HTTP edge from the settings and puts it on the listeners. It does not serve
// yet. The listener is wrapped so that the server sees every Content-Length and Transfer-Encoding
// of a request; net/http alone drops one of them.
func (d *listeners) install(settings *Settings, s *stack, log *slog.Logger) error {
	options := server.Options{
		PublicURL:      settings.PublicURL,
		AllowedOrigins: settings.AllowedOrigins,
		TrustedProxies: settings.TrustedProxies,
		CookieName:     settings.CookieName,
		CookieSameSite: sameSite[settings.CookieSameSite],
		CookieDomain:   settings.CookieDomain,
		PasswordMin:    settings.engine().PasswordMin,
		Draining:       d.draining.Load,
		Log:            log,
	}
	options.Product, options.Pages = settings.ProductName, settings.ownFiles()
	if s.box != nil {
		options.DevMail = s.box
	}
	var err error
	if options.Dialects, err = settings.dialects(s.engine); err != nil {
		return err
	}
	edge, err := server.New(s.engine, options)
	if err != nil {
		return err
	}
	public := newServer(edge, log)
	public.RegisterOnShutdown(edge.EndStreams)
	public.ConnContext = server.WithLengths
	// Both listeners see the bytes before net/http: WatchTLS after decryption, WatchLengths
	// without TLS.
	if settings.TLSCert != "" {
		pair := &certificate{certFile: settings.TLSCert, keyFile: settings.TLSKey, log: log}
		public.TLSConfig = pair.config()
		d.public = server.WatchTLS(d.public, public.TLSConfig, log)
	} else {
		d.public = server.WatchLengths(d.public)
	}
	d.servers = []*http.Server{public}
	// A name can only be checked against loopback names. Beyond the loopback, a firewall has to
	// protect it.
	if d.admin != nil {
		admin := newServer(edge.Admin(server.AdminOptions{AnyHost: listensBeyond(settings.AdminListen),
			Profiling: settings.Pprof == "on"}), log)
		admin.WriteTimeout = 5 * time.Minute // a CPU profile takes as long as its query says
		d.servers = append(d.servers, admin)
	}
	return nil
}

// dialects builds the dialects that the settings name. The server does not know them;
// it gets them from here.
func (s *Settings) dialects(engine *watchword.Engine) (all []server.Dialect, err error) {
	secure, site := strings.HasPrefix(s.PublicURL, "https:"), sameSite[s.CookieSameSite]
	for _, name := range s.Dialects {
		var dialect server.Dialect
		switch name {
		case "users":
			dialect, err = users.New(engine, users.Options{Secure: secure, CookieSameSite: site, CookieDomain: s.CookieDomain})
		case "lesson":
			dialect, err = lesson.New(engine, lesson.Options{Secure: secure, CookieSameSite: site})
		}
		if err != nil {
			return nil, fmt.Errorf("dialect %s: %w", name, err)
		}
		all = append(all, dialect)
	}
	return all, nil
}

// sameSite maps the words of cookie-same-site.
var sameSite = map[string]http.SameSite{
	"strict": http.SameSiteStrictMode,
	"lax":    http.SameSiteLaxMode,
	"none":   http.SameSiteNoneMode,
}

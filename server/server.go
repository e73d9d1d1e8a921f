// Package server is the HTTP edge of the engine: the canonical API, the pages
// that mails link to, and the documents that describe both.
//
// A handler decodes, calls the engine once, and responds. No rule stands here,
// and no *http.Request goes further.
package server

import (
	"cmp"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/rs/cors"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/clientip"
	"github.com/watchword-auth/watchword/internal/device"
	"github.com/watchword-auth/watchword/internal/weborigin"
)

// Options configure a Server. The zero value will do.
type Options struct {
	// PublicURL is where clients reach the server: the only source of links, of
	// the allowed Host and of the security of cookies: scheme and host, such as
	// "https://id.example.com", plain http only on the loopback. Default: the
	// engine's.
	PublicURL string

	// AllowedOrigins are the front-ends on other origins that may call the API
	// with credentials: exact, such as "https://app.example.com". Default: none.
	AllowedOrigins []string

	// TrustedProxies are the networks and addresses of proxies whose
	// X-Forwarded-For counts, such as "10.0.0.0/8". Default: none.
	TrustedProxies []string

	// CookieName is the name of the refresh cookie. Default: "__Host-watchword"
	// on https, "watchword" otherwise.
	CookieName string

	// CookieSameSite of the refresh cookie. Default: Strict.
	CookieSameSite http.SameSite

	// CookieDomain widens the cookie to subdomains; the name can't begin with
	// "__Host-" then. Default: none, this host only.
	CookieDomain string

	// PasswordMin is what the form for a new password asks for. Default: 8.
	PasswordMin int

	// Pages are files that replace those of package web: templates, texts, style,
	// logo (docs/pages.md). Default: none.
	Pages fs.FS

	// Dialects answer the front-ends of other servers (docs/dialects.md). Default:
	// none.
	Dialects []Dialect

	// DevMail shows the development mailbox at /dev/mail to anybody who can reach the
	// server. It needs a loopback PublicURL. Default: none.
	DevMail Mailbox

	// Draining reports that the server is about to stop: /readyz responds with 503, and
	// each response closes its connection. Default: never.
	Draining func() bool

	// Log receives what went wrong, with the request id. Default: discards.
	Log *slog.Logger
}

// A Server answers HTTP requests. Make one with New.
type Server struct {
	engine   *watchword.Engine
	opts     Options
	public   *url.URL
	https    bool
	crossed  *http.CrossOriginProtection
	proxies  clientip.Trusted
	metrics  *metrics
	streams  *streams
	devices  *device.Namer
	face     *face
	document []byte // OpenAPI
	log      *slog.Logger
	refusals refusalLog
	handler  http.Handler

	patternOf func(*http.Request) string // the route that a request would reach
}

// New makes the handler of the public listener. It refuses origins that would
// match nothing, or too much.
func New(engine *watchword.Engine, opts Options) (*Server, error) {
	opts.PublicURL = cmp.Or(opts.PublicURL, engine.PublicURL())
	public, err := parsePublic(opts.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("server: Options.PublicURL: %w", err)
	}
	if opts.DevMail != nil && !weborigin.IsLoopback(public.Hostname()) {
		return nil, fmt.Errorf("server: Options.DevMail shows every mail to anybody: not with the public URL %s, use a Mailer that sends", opts.PublicURL)
	}
	s := &Server{
		engine:  engine,
		opts:    opts.withDefaults(public.Scheme == "https"),
		public:  public,
		https:   public.Scheme == "https",
		crossed: http.NewCrossOriginProtection(),
		streams: newStreams(),
		devices: device.New(),

		refusals: newRefusalLog(),
	}
	s.log, s.metrics = s.opts.Log, newMetrics(engine, s.streams)
	if s.proxies, err = clientip.ParseTrusted(opts.TrustedProxies); err != nil {
		return nil, fmt.Errorf("server: Options.TrustedProxies: %w", err)
	}
	if err := s.refreshCookie().Check(); err != nil {
		return nil, fmt.Errorf("server: Options.CookieName: %w", err)
	}
	for _, allowed := range append([]string{opts.PublicURL}, opts.AllowedOrigins...) {
		if err := weborigin.Check(allowed); err != nil {
			return nil, fmt.Errorf("server: Options.AllowedOrigins: %w", err)
		}
		if err := s.crossed.AddTrustedOrigin(allowed); err != nil {
			return nil, fmt.Errorf("server: Options.AllowedOrigins: %w", err)
		}
	}
	if s.face, err = newFace(opts.Pages); err != nil {
		return nil, fmt.Errorf("server: Options.Pages: %w", err)
	}
	if s.document, err = describe(s.opts, s.routes()); err != nil {
		return nil, err
	}
	router, patternOf := s.router()
	s.patternOf = patternOf
	s.handler = s.identified(s.recovered(s.rejectAmbiguousLength(s.checkHost(s.sharedWith(opts.AllowedOrigins, s.guarded(s.rejectMalformedPath(router)))))))
	return s, nil
}

func (o Options) withDefaults(https bool) Options {
	if o.CookieName == "" {
		o.CookieName = "watchword"
		if https {
			o.CookieName = "__Host-watchword"
		}
		if https && o.CookieDomain != "" {
			o.CookieName = "__Secure-watchword"
		}
	}
	if o.CookieSameSite == 0 {
		o.CookieSameSite = http.SameSiteStrictMode
	}
	if o.PasswordMin == 0 {
		o.PasswordMin = 8
	}
	if o.Draining == nil {
		o.Draining = func() bool { return false }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// sharedWith adds CORS for the front-ends of the allow-list (Fetch, section 3.2).
// An origin that is not on it gets a plain answer, which its browser keeps from
// it. Public documents are open to all, and pages to nobody.
func (s *Server) sharedWith(origins []string, next http.Handler) http.Handler {
	shared := next
	if len(origins) > 0 {
		shared = cors.New(cors.Options{
			AllowOriginFunc:  func(origin string) bool { return slices.Contains(origins, origin) }, // exactly
			AllowedMethods:   []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete},
			AllowedHeaders:   []string{"Authorization", "Content-Type", "X-Reset-Base"}, // the last of dialect/users
			ExposedHeaders:   []string{"WWW-Authenticate", "Retry-After", requestIDHeader},
			AllowCredentials: true,
			MaxAge:           int((10 * time.Minute).Seconds()),
		}).Handler(next)
	}
	open := cors.New(cors.Options{AllowedOrigins: []string{"*"}, AllowedMethods: []string{http.MethodGet}}).Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isOpen(r.URL.Path):
			open.ServeHTTP(w, r)
		case isForward(r.URL.Path) && r.Method == http.MethodOptions:
			next.ServeHTTP(w, r) // a preflight of the service behind the gateway, and not ours to allow
		case s.isForFrontEnds(r):
			shared.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// Package server serves the engine over HTTP: the API (type api), the pages (type pages),
// the dialects, and the documents that describe them.
//
// A handler decodes the request, calls the engine once, and responds. The engine contains
// all rules and never sees an *http.Request.
package server

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/dialect"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/internal/clientip"
	"github.com/watchword-auth/watchword/internal/device"
	"github.com/watchword-auth/watchword/internal/tokencookie"
	"github.com/watchword-auth/watchword/internal/weborigin"
	"github.com/watchword-auth/watchword/metadata"
)

// Options configure a Server. The zero value works.
type Options struct {
	// PublicURL is the scheme and host under which clients reach the server, such as "https://id.example.com". It
	// determines the links, the allowed Host and whether cookies are Secure. Plain http is allowed only on the
	// loopback. Default: the public URL of the engine.
	PublicURL string

	// AllowedOrigins are the origins of front-ends that may call the API with credentials,
	// such as "https://app.example.com". Origins must match exactly. Default: none.
	AllowedOrigins []string

	// AppURL is the front-end that the pages lead back to, such as
	// "https://app.example.com/inbox". Its origin is allowed, too. Default: the
	// account page.
	AppURL string

	// TrustedProxies are the addresses and networks of proxies whose X-Forwarded-For is
	// trusted, such as "10.0.0.0/8". Default: none.
	TrustedProxies []string

	// CookieName is the name of the refresh cookie. Default: "__Host-watchword"
	// on https, "watchword" otherwise.
	CookieName string

	// CookieSameSite is the SameSite attribute of the refresh cookie. With None, requests
	// from other sites set a partitioned cookie (docs/operations.md). Default: Strict.
	CookieSameSite http.SameSite

	// CookieDomain extends the refresh cookie to subdomains. With a domain, CookieName can't begin with "__Host-".
	// Default: only this host.
	CookieDomain string

	// Product is the name of the service on the pages. Default: the host of PublicURL, without the
	// port.
	Product string

	// Pages holds files that replace files of package web: templates, texts, style,
	// logo (docs/pages.md). Default: none.
	Pages fs.FS

	// Dialects serve front-ends that were written for other servers (docs/dialects.md).
	// Default: none.
	Dialects []dialect.Dialect

	// Factors runs the flows of second factors, on the engine and its store. Without it, accounts
	// with a factor can't complete a sign-in. Default: none.
	Factors *factors.Manager

	// Federation runs the sign-in with external providers, on the engine and its store. Default: none.
	//
	// Unstable: package federation may change in every release.
	Federation *federation.Manager

	// Admin is the administration of accounts at /api/admin, for users with the role admin whose
	// session has a second factor. Default: off.
	//
	// Unstable: package admin may change in every release.
	Admin *admin.Manager

	// AdminPages serves the HTML admin pages at /admin. It requires Options.Admin. Default: off.
	AdminPages bool

	// AdminURL moves administration from the Server to the handler of Server.Admin. It is the
	// scheme and host under which browsers reach that handler, such as "http://localhost:9090".
	// Plain http is allowed only on the loopback. Default: administration is public.
	AdminURL string

	// Metadata lets administrators read and write the metadata of accounts at /api/admin. Default: off.
	//
	// Unstable: package metadata may change in every release.
	Metadata *metadata.Manager

	// DevMail lists the mails of a development mailbox, the newest first (devbox.Box.Mails). /dev/mail shows them to
	// everyone who can reach the server, so PublicURL must be a loopback URL. Default: none.
	DevMail func() ([]watchword.StoredMail, error)

	// Draining reports whether the server is about to stop. /readyz then responds with 503,
	// and each response closes its connection. Default: never.
	Draining func() bool

	// Log receives refused requests and errors, with the request id. Default: no log.
	Log *slog.Logger
}

// A Server is the handler of the public listener. Create one with New. The types api, adminAPI, pages,
// accountPages and adminPages have the handlers, and newServer lists the middlewares.
type Server struct {
	edge
	// adminServer serves administration on the admin listener. It is nil without Options.AdminURL.
	adminServer *Server
	api         *api
	draining    func() bool
	metrics     *httpMetrics
	log         *slog.Logger
	handler     http.Handler
}

// edge holds the values that the handlers of the API and of the pages share. It is never
// changed after its creation, so handlers use it from all goroutines without a lock.
type edge struct {
	engine *watchword.Engine
	// factors is nil without Options.Factors. There are then no routes of second factors.
	factors *factors.Manager
	// admin is nil without Options.Admin. The server then has no admin API.
	admin *admin.Manager
	// metadata is nil if administrators can't read and write metadata.
	metadata *metadata.Manager
	// federation is nil if no provider is configured. The server then has no endpoints and no buttons for providers.
	federation *federation.Manager

	role    listenerRole
	origins *originPolicy
	cookies *cookieSet
	clients *clientReader
	errors  *errorResponder
}

// New returns a server. It returns an error for faulty options, such as a cookie that browsers would reject, an
// origin that matches no request, or a faulty file in Options.Pages.
//
// New starts no goroutine: the caller serves the handler and runs the engine's background work (Engine.Run). An
// engine may have several servers.
func New(engine *watchword.Engine, opts Options) (*Server, error) {
	opts.PublicURL = cmp.Or(opts.PublicURL, engine.PublicURL())
	o, err := newOrigins(opts.PublicURL, opts.AllowedOrigins, opts.AppURL)
	if err != nil {
		return nil, err
	}
	// Anyone who reads the mails can take over every account, so a public server must not start.
	if opts.DevMail != nil && !weborigin.IsLoopback(o.parsedURL.Hostname()) {
		return nil, fmt.Errorf("server: Options.DevMail shows every mail to everyone "+
			"and needs a loopback public URL, not %s: use a Mailer that sends", opts.PublicURL)
	}
	opts.Product = cmp.Or(opts.Product, o.parsedURL.Hostname())
	opts = opts.withDefaults(o.isHTTPS())
	if opts.AdminURL == "" {
		return newServer(engine, opts, o, listenerRole{}, newHTTPMetrics())
	}
	return newServers(engine, opts, o)
}

// newServer returns the handler of one listener, public or admin: the routes of this listener, wrapped in all
// middlewares.
func newServer(
	engine *watchword.Engine, opts Options, o *originPolicy, role listenerRole, metrics *httpMetrics,
) (*Server, error) {
	served := dialectList(opts.Dialects)
	if err := served.rejectIncomplete(); err != nil {
		return nil, err
	}
	shared, err := newEdge(engine, opts, o, role)
	if err != nil {
		return nil, err
	}
	a := &api{edge: shared, streams: newStreams(), draining: opts.Draining}
	p, err := newPages(shared, opts, a.routes())
	if err != nil {
		return nil, err
	}
	router := newRouter(a, p, served)
	// The pages and the router need the error responder, and the error responder needs them. It was created first, so
	// it gets these two functions only now.
	shared.errors.showPage, shared.errors.routeFor = p.showError, router.routeFor
	s := &Server{edge: shared, api: a, metrics: metrics, draining: opts.Draining, log: opts.Log}
	fail := shared.errors.respondError
	// The order matters:
	//
	//   - assignRequestID comes before all middlewares that reject requests, because log lines and responses need the id.
	//   - countAndLog comes before them, too, so that it counts each rejection.
	//   - The host is checked before the origin, because an origin is compared with the host.
	s.handler = wrapIn(router,
		attachRequestHead,
		assignRequestID,
		securityHeaders(o.isHTTPS()),
		closeWhileDraining(opts.Draining),
		countAndLog(s.metrics, opts.Log),
		recoverPanics(opts.Log, fail),
		rejectAmbiguousLength(fail),
		closeAfterBodyError,
		checkHost(o, fail),
		redirectToPublicHost(o, role),
		cors(o, served),
		rejectManyCookies(fail),
		varyByOrigin,
		csrf(o, served, shared.cookies, fail),
		rejectMalformedPath(fail),
	)
	return s, nil
}

// newEdge parses the options that are text, so that handlers need not parse them.
func newEdge(engine *watchword.Engine, opts Options, o *originPolicy, role listenerRole) (edge, error) {
	proxies, err := clientip.ParseTrusted(opts.TrustedProxies)
	if err != nil {
		return edge{}, fmt.Errorf("server: Options.TrustedProxies: %w", err)
	}
	c := newCookies(opts, o.isHTTPS(), opts.Dialects, role.cookieBox(engine))
	if err := errors.Join(tokencookie.CheckName(opts.CookieName), c.refresh.Check()); err != nil {
		return edge{}, fmt.Errorf("server: Options.CookieName: %w", err)
	}
	who := &clientReader{proxies: proxies, devices: device.New(), cookies: c}
	e := &errorResponder{
		log: opts.Log, logLimits: newRefusalLog(), origins: o, cookies: c, clients: who, dialects: opts.Dialects,
	}
	shared := edge{engine: engine, factors: opts.Factors, admin: opts.Admin, metadata: opts.Metadata,
		role: role, origins: o, cookies: c, clients: who, errors: e}
	// An identity of a provider may wait until the user has signed in to an existing account. After every sign-in,
	// the server connects the waiting identity to the account (connectWaitingIdentity).
	if opts.Federation != nil && len(opts.Federation.Providers()) > 0 {
		shared.federation = opts.Federation
		c.onSignIn = func(w http.ResponseWriter, r *http.Request, in *watchword.SignIn) {
			shared.connectWaitingIdentity(w, r, in)
			shared.updateAttempts(w, r, in)
		}
		for _, info := range opts.Federation.Providers() {
			if info.FormPost {
				o.formCallbackPaths = append(o.formCallbackPaths, pathSignInWith+info.ID+"/callback")
			}
		}
	}
	return shared, nil
}

// withDefaults fills in the names and bounds that are empty. A cookie with a domain can't have the
// prefix __Host-, so its name begins with the next strictest prefix.
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
	if o.Draining == nil {
		o.Draining = func() bool { return false }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// ServeHTTP serves a request of the public listener. It may be mounted in another program's
// server, at the root of the host only: cookies, links and pages have absolute paths.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// EndStreams ends all streams of the revocation feed, which otherwise run until the client
// disconnects. Pass it to http.Server.RegisterOnShutdown. The readers reconnect to another
// server process.
func (s *Server) EndStreams() { s.api.streams.endAll() }

package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/tokencookie"
)

// The setting Options.AdminURL moves administration from the public listener to the admin listener. Both listeners
// then use the same handlers and middlewares. A listenerRole selects the routes of a listener from the tables in
// routes.go. The test TestEachRouteIsOnItsListener lists every route.
//
// The admin listener has a separate sign-in, with a different host and different cookies. It accepts no credentials
// of the public listener except bearer tokens of the API.

// adminCookie is the name of the refresh cookie on the admin listener. The names of its other cookies
// begin with it.
const adminCookie = "watchword-admin"

// A listenerRole selects the routes of one listener. The zero value selects all routes.
type listenerRole struct {
	hasAdminListener bool // administration is not on the public listener
	isAdminListener  bool
	isAPIOnly        bool // no pages, so no sign-in
	// publicURL is the URL of the public listener, which has the account pages. It is set only on the
	// admin listener.
	publicURL string
}

// isAdministration accepts the path of a request or the pattern of a route.
func isAdministration(path string) bool {
	return strings.HasPrefix(path, pathAdmin+"/") || path == pathAdminPages || strings.HasPrefix(path, pathAdminPages+"/")
}

// servesPath reports whether a listener serves a path. Both listeners serve the sign-in with a password and a code,
// and the files and documents of the pages.
func (s listenerRole) servesPath(path string) bool {
	switch {
	case !s.hasAdminListener:
		return true
	case !s.isAdminListener:
		return !isAdministration(path)
	}
	switch path {
	case "/{$}", pathLogin, pathFactor, pathStepUp, "/logout":
		return !s.isAPIOnly
	case "/assets/{name}", "/favicon.ico", "/robots.txt", "/openapi.json":
		return true
	}
	return isAdministration(path)
}

// filterRoutes filters the slice in place, so the caller must not use its own copy of the slice afterwards.
func (s listenerRole) filterRoutes(routes []route) []route {
	return slices.DeleteFunc(routes, func(r route) bool { return !s.servesPath(r.path) })
}

// homePath is the target of a sign-in without return_to.
func (s listenerRole) homePath() string {
	if s.isAdminListener {
		return pathAdminPages
	}
	return pathAccount
}

// cookieBox seals the cookies of the admin listener. It is nil on the public listener.
func (s listenerRole) cookieBox(engine *watchword.Engine) tokencookie.Box {
	if s.isAdminListener {
		return engine.Inside()
	}
	return nil
}

// newServers returns the Server of the public listener, which contains the Server of the admin
// listener.
func newServers(engine *watchword.Engine, opts Options, o *originPolicy) (*Server, error) {
	if opts.Admin == nil {
		return nil, errors.New("server: Options.AdminURL needs Options.Admin")
	}
	if _, err := parsePublicURL(opts.AdminURL); err != nil {
		return nil, fmt.Errorf("server: Options.AdminURL: %w", err)
	}
	if opts.AdminURL == opts.PublicURL {
		return nil, fmt.Errorf("server: Options.AdminURL is %s, and so is the public URL", opts.AdminURL)
	}
	// Browsers send cookies to every port of a host, so the listeners need cookies with different names.
	if strings.TrimPrefix(opts.CookieName, "__Host-") == adminCookie {
		return nil, fmt.Errorf("server: Options.CookieName: %s is the cookie of the admin listener", opts.CookieName)
	}
	// Both listeners count in the same metrics, because /metrics covers the whole process.
	metrics := newHTTPMetrics()
	public, err := newServer(engine, opts, o, listenerRole{hasAdminListener: true}, metrics)
	if err != nil {
		return nil, err
	}
	opts = opts.forAdminListener()
	// Front-ends use only the public listener, so no other origin is allowed here.
	if o, err = newOrigins(opts.PublicURL, nil, ""); err != nil {
		return nil, err
	}
	o.isAdminListener = true
	role := listenerRole{hasAdminListener: true, isAdminListener: true, isAPIOnly: !opts.AdminPages,
		publicURL: public.origins.publicURL}
	public.adminServer, err = newServer(engine, opts, o, role, metrics)
	return public, err
}

// forAdminListener omits front-ends, dialects and providers. Cookies are always SameSite=Strict and valid for one
// host.
func (o Options) forAdminListener() Options {
	return Options{
		PublicURL: o.AdminURL, TrustedProxies: o.TrustedProxies, Product: o.Product,
		Pages: o.Pages, Factors: o.Factors, Admin: o.Admin, AdminPages: o.AdminPages, Metadata: o.Metadata,
		Draining: o.Draining, Log: o.Log, CookieSameSite: http.SameSiteStrictMode, CookieName: adminCookieName(o.AdminURL),
	}
}

// adminCookieName omits the prefix __Host- on http, because browsers accept the prefix only from https.
func adminCookieName(adminURL string) string {
	if strings.HasPrefix(adminURL, "https://") {
		return "__Host-" + adminCookie
	}
	return adminCookie
}

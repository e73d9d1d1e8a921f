package server

import (
	"net/http"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server/apidoc"
)

// A Dialect implements the HTTP API of another authentication server, for front-ends that
// were written for that server (packages dialect/...). Its requests pass the same
// middlewares as the API: host check, CORS, CSRF check, security headers and logging.
type Dialect interface {
	// Takes reports whether a request is for this dialect. It returns true for all methods
	// of the dialect's paths, unless another dialect or the API serves the request.
	Takes(*http.Request) bool

	// Routes maps patterns of http.ServeMux to handlers. A handler that returns an error has
	// not written a response. The server then calls Refuse.
	Routes() map[string]func(http.ResponseWriter, *http.Request, watchword.Client) error

	// Refuse writes the response for an error. status, and the headers that are already set,
	// are those of the API. A dialect may change them.
	Refuse(w http.ResponseWriter, r *http.Request, status int, why *watchword.Error)

	// Cookies returns the names of the cookies that can identify a user. The CSRF check
	// rejects a request that has one of them but neither Origin nor Sec-Fetch-Site.
	Cookies() []string
}

// A Describer is a Dialect that describes its routes. They then appear in /openapi.json
// and on /docs.
type Describer interface {
	Operations() []apidoc.Operation
}

// A HeaderLister is a Dialect whose front-ends send or read headers of their own. CORS
// then allows scripts of the allowed origins to send the requested ones and to read the
// exposed ones.
type HeaderLister interface {
	Headers() (requested, exposed []string)
}

// dialects are the dialects of a server. The first one that takes a request serves it. Their order
// is the operator's, as in the setting dialects.
type dialects []Dialect

// of returns the dialect that serves a request, or nil for the API and the pages.
func (all dialects) of(r *http.Request) Dialect {
	for _, d := range all {
		if d.Takes(r) {
			return d
		}
	}
	return nil
}

// isForFrontEnds reports whether scripts of the allowed origins may send a request. Forms of the
// pages are not for front-ends: they are sent only by the pages themselves.
func (all dialects) isForFrontEnds(r *http.Request) bool {
	return isAPI(r.URL.Path) || all.of(r) != nil
}

// cookieNames returns the names for the CSRF check, which treats them like the refresh cookie.
func (all dialects) cookieNames() (names []string) {
	for _, d := range all {
		names = append(names, d.Cookies()...)
	}
	return names
}

// operations returns the descriptions of the dialects' routes. Describing them is optional.
func (all dialects) operations() (described []apidoc.Operation) {
	for _, d := range all {
		if d, ok := d.(Describer); ok {
			described = append(described, d.Operations()...)
		}
	}
	return described
}

// dialectRoutes converts the routes of a dialect to those of the router. A dialect receives the
// client of the request, so it can't forget to check whether a proxy is trusted.
func dialectRoutes(d Dialect, c *clients) (routes []route) {
	for pattern, handle := range d.Routes() {
		method, path, _ := strings.Cut(pattern, " ")
		routes = append(routes, route{method: method, path: path, handle: func(w http.ResponseWriter, r *http.Request) error {
			return handle(w, r, c.of(w, r))
		}})
	}
	return routes
}

// headers returns the headers that CORS allows besides those of the API.
func (all dialects) headers() (requested, exposed []string) {
	for _, d := range all {
		if d, ok := d.(HeaderLister); ok {
			more, shown := d.Headers()
			requested, exposed = append(requested, more...), append(exposed, shown...)
		}
	}
	return requested, exposed
}

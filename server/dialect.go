package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server/apidoc"
)

// A Dialect answers the front-ends of other servers in the words they know
// (packages dialect/...). It stands behind the same door as the API: the check of
// where a request comes from, CORS, the headers, the limits, the log.
type Dialect interface {
	// Takes reports whether a request is for this dialect: one of its paths,
	// whatever the method, unless it is for another reader of that path.
	Takes(*http.Request) bool

	// Routes are patterns of http.ServeMux and who answers, or returns why not.
	Routes() map[string]func(http.ResponseWriter, *http.Request, watchword.Client) error

	// Refuse says why not. status and the headers that are set are those of our
	// API, which a dialect may change.
	Refuse(w http.ResponseWriter, r *http.Request, status int, why *watchword.Error)

	// Cookies are the names of those that let a request in: with one of them it
	// has to tell where it comes from.
	Cookies() []string
}

// operations are what the dialects say of their routes; one need not.
func (o Options) operations() (all []apidoc.Operation) {
	for _, d := range o.Dialects {
		if described, ok := d.(interface{ Operations() []apidoc.Operation }); ok {
			all = append(all, described.Operations()...)
		}
	}
	return all
}

// dialectOf is the dialect that a request is for, or nil.
func (s *Server) dialectOf(r *http.Request) Dialect {
	for _, d := range s.opts.Dialects {
		if d.Takes(r) {
			return d
		}
	}
	return nil
}

// routesOf are the routes of a dialect as ours.
func (s *Server) routesOf(d Dialect) (routes []route) {
	for pattern, handle := range d.Routes() {
		method, path, _ := strings.Cut(pattern, " ")
		routes = append(routes, route{method: method, path: path, handle: func(w http.ResponseWriter, r *http.Request) error {
			return handle(w, r, s.clientOf(w, r))
		}})
	}
	return routes
}

// isForFrontEnds reports whether scripts of the allowed origins may make a request.
func (s *Server) isForFrontEnds(r *http.Request) bool {
	return isAPI(r.URL.Path) || s.dialectOf(r) != nil
}

// hasCredentials reports whether a browser added to a request who its user is.
func (s *Server) hasCredentials(r *http.Request) bool {
	cookies := []string{s.refreshCookie().Name, s.pageCookie().Name}
	for _, d := range s.opts.Dialects {
		cookies = append(cookies, d.Cookies()...)
	}
	return slices.ContainsFunc(cookies, func(name string) bool { return len(r.CookiesNamed(name)) > 0 })
}

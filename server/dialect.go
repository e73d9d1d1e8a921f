package server

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword/dialect"
)

// dialects are the dialects of a server. The first one that takes a request serves it. Their order
// is the operator's, as in the setting dialects.
type dialects []dialect.Dialect

// of returns the dialect that serves a request, or nil for the API and the pages.
func (all dialects) of(r *http.Request) *dialect.Dialect {
	if i := all.indexOf(r); i >= 0 {
		return &all[i]
	}
	return nil
}

// indexOf returns the index of the dialect that serves a request, or -1.
func (all dialects) indexOf(r *http.Request) int {
	return slices.IndexFunc(all, func(d dialect.Dialect) bool { return d.Takes(r) })
}

// check refuses a dialect that could not serve a request. Such a server would panic later.
func (all dialects) check() error {
	for _, d := range all {
		if d.Takes == nil || d.Refuse == nil {
			return errors.New("server: Options.Dialects: a dialect needs Takes and Refuse")
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
		names = append(names, d.Cookies...)
	}
	return names
}

// operations returns the descriptions of the dialects' routes. Describing them is optional.
func (all dialects) operations() (described []dialect.Operation) {
	for _, d := range all {
		described = append(described, d.Operations...)
	}
	return described
}

// dialectRoutes converts the routes of a dialect to those of the router. A dialect receives the
// client of the request, so it can't forget to check whether a proxy is trusted.
func dialectRoutes(d dialect.Dialect, c *clients) (routes []route) {
	for pattern, handle := range d.Routes {
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
		requested, exposed = append(requested, d.RequestHeaders...), append(exposed, d.ResponseHeaders...)
	}
	return requested, exposed
}

package server

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword/dialect"
)

// dialects are the dialects of a server. The first one that takes a request serves it. Their order
// is the operator's, as in the setting dialects. A request for a dialect never reaches the API, even
// if both have a route for its path. So the operator decides which contract a path has.
//
// The functions of a dialect are called from many requests at the same time. Its maps and lists
// must not change after New, because the server does not copy them.
type dialects []dialect.Dialect

// of returns the dialect that serves a request, or nil for the API and the pages. A pointer avoids a
// copy of the struct in each request.
func (all dialects) of(r *http.Request) *dialect.Dialect {
	if i := all.indexOf(r); i >= 0 {
		return &all[i]
	}
	return nil
}

// indexOf returns the index of the dialect that serves a request, or -1. The router has one mux for
// each dialect, at the same index.
func (all dialects) indexOf(r *http.Request) int {
	return slices.IndexFunc(all, func(d dialect.Dialect) bool { return d.Takes(r) })
}

// check refuses a dialect that could not serve a request. Such a server would panic later, at the
// first request. Routes may be empty: a dialect may only refuse the paths that it takes.
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

// cookieNames returns the names for the CSRF check, which treats them like the refresh cookie. The
// check must know them all: a cookie that it does not know would let a foreign site act for a user.
func (all dialects) cookieNames() (names []string) {
	for _, d := range all {
		names = append(names, d.Cookies...)
	}
	return names
}

// operations returns the descriptions of the dialects' routes. Describing them is optional: a route
// without a description works, but generated clients don't know it.
func (all dialects) operations() (described []dialect.Operation) {
	for _, d := range all {
		described = append(described, d.Operations...)
	}
	return described
}

// dialectRoutes converts the routes of a dialect to those of the router. A dialect receives the
// client of the request, so it can't forget to check whether a proxy is trusted.
func dialectRoutes(d dialect.Dialect, c *clients) (routes []route) {
	// The order of a map is random, but that does not matter: the mux prefers the more specific
	// pattern, and two equal patterns panic at the start.
	for pattern, handle := range d.Routes {
		method, path, _ := strings.Cut(pattern, " ")
		routes = append(routes, route{method: method, path: path, handle: func(w http.ResponseWriter, r *http.Request) error {
			client := c.of(w, r)
			client.Remembered = "" // a dialect can't ask for a factor, so a sign-in through it never skips one
			return handle(w, r, client)
		}})
	}
	return routes
}

// headers returns the headers that CORS allows besides those of the API. They are allowed for the API's
// paths as well, which is harmless: the API ignores headers that it does not know.
func (all dialects) headers() (requested, exposed []string) {
	for _, d := range all {
		requested, exposed = append(requested, d.RequestHeaders...), append(exposed, d.ResponseHeaders...)
	}
	return requested, exposed
}

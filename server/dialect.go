package server

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword/dialect"
)

// dialectList has the dialects in the order of the setting dialects. The first dialect whose Takes accepts a request
// serves the request. A request for a dialect never reaches the API, even if both have a route for its path. The
// operator thus decides which contract a path has.
//
// Many requests call the functions of a dialect at the same time. The maps and lists of a dialect must not change
// after New, because the server does not copy them.
type dialectList []dialect.Dialect

// dialectFor returns nil if the API or a page serves the request. It returns a pointer, so that no request copies the
// struct.
func (all dialectList) dialectFor(r *http.Request) *dialect.Dialect {
	if i := all.indexFor(r); i >= 0 {
		return &all[i]
	}
	return nil
}

// indexFor returns -1 if no dialect serves the request. The router has one mux for each dialect, at the same index.
func (all dialectList) indexFor(r *http.Request) int {
	return slices.IndexFunc(all, func(d dialect.Dialect) bool { return d.Takes(r) })
}

// rejectIncomplete returns an error for a dialect that would panic at its first request. Routes may be empty, because
// a dialect may refuse all paths that it takes.
func (all dialectList) rejectIncomplete() error {
	for _, d := range all {
		if d.Takes == nil || d.Refuse == nil {
			return errors.New("server: Options.Dialects: a dialect needs Takes and Refuse")
		}
	}
	return nil
}

// isForFrontEnds reports whether a request is for the API or a dialect. Only these accept requests from scripts of
// the allowed origins. The forms of the pages accept only requests of the pages themselves.
func (all dialectList) isForFrontEnds(r *http.Request) bool {
	return isAPI(r.URL.Path) || all.dialectFor(r) != nil
}

// credentialCookies returns the names of the dialects' cookies that identify a user. The CSRF check treats these
// cookies like the refresh cookie. If a name were missing, another site could send requests in the name of the user.
func (all dialectList) credentialCookies() (names []string) {
	for _, d := range all {
		names = append(names, d.Cookies...)
	}
	return names
}

// describedOperations returns the operations for the OpenAPI document. A dialect may leave a route undescribed. Such
// a route works, but generated clients do not include it.
func (all dialectList) describedOperations() (described []dialect.Operation) {
	for _, d := range all {
		described = append(described, d.Operations...)
	}
	return described
}

// dialectRoutes gives the handlers of a dialect the client of each request (watchword.Client), so a dialect need not
// check trusted proxies itself.
func dialectRoutes(d dialect.Dialect, c *clientReader) (routes []route) {
	// The random order of the map does not matter: the mux prefers the more specific pattern, and two equal patterns
	// panic when the server starts.
	for pattern, handle := range d.Routes {
		method, path, _ := strings.Cut(pattern, " ")
		routes = append(routes, route{method: method, path: path, handle: func(w http.ResponseWriter, r *http.Request) error {
			client := c.readClient(w, r)
			client.Remembered = "" // a dialect refuses an account with a factor, even if the browser is remembered
			return handle(w, r, client)
		}})
	}
	return routes
}

// corsHeaders are allowed in addition to those of the API. CORS also allows them for the API's paths, which is
// harmless, because the API ignores unknown headers.
func (all dialectList) corsHeaders() (requested, exposed []string) {
	for _, d := range all {
		requested, exposed = append(requested, d.RequestHeaders...), append(exposed, d.ResponseHeaders...)
	}
	return requested, exposed
}

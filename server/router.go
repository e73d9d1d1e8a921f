package server

import (
	"cmp"
	"net/http"
	"path"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
)

// A router finds the handler of a request in the tables of routes. It never redirects. A
// path that path.Clean would change gets 404, so that proxies and the server agree on the
// path.
//
// Each dialect has a separate mux, because the patterns of two dialects may conflict,
// and http.ServeMux panics for conflicting patterns.
type router struct {
	ownMux   *http.ServeMux
	dialects dialectList
	muxes    []*http.ServeMux // in the order of dialects

	appendedPath, forwardSubpath, uncleanPath http.Handler
}

// newRouter registers all routes once. A conflict between two patterns panics here instead of
// in a request.
func newRouter(a *api, p *pages, dialects dialectList) *router {
	serve := a.errors.httpHandler
	rt := &router{
		ownMux: newMux(append(a.routes(), p.routes()...), serve), dialects: dialects,
		appendedPath: serve(a.authorizeAppendedPath), forwardSubpath: serve(rejectForwardSubpath),
		uncleanPath: serve(notFound),
	}
	// The admin listener responds with 404 to gateways, because gateways use the public listener only.
	if a.role.isAdminListener {
		rt.appendedPath, rt.forwardSubpath = rt.uncleanPath, rt.uncleanPath
	}
	for _, d := range dialects {
		rt.muxes = append(rt.muxes, newMux(dialectRoutes(d, a.clients), serve))
	}
	return rt
}

// ServeHTTP handles the prefixes for gateways first, because the path after the prefix
// belongs to another service and may be unclean.
func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, pathForwardPrefix):
		rt.appendedPath.ServeHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, pathForward+"/"):
		rt.forwardSubpath.ServeHTTP(w, r)
	// An unclean path gets 404. http.ServeMux would redirect to the clean path, which the proxy in front of the
	// server has not checked.
	case path.Clean(r.URL.Path) != r.URL.Path:
		rt.uncleanPath.ServeHTTP(w, r)
	default:
		rt.muxFor(r).ServeHTTP(w, r)
	}
}

// muxFor prefers the mux of a dialect that takes the request to the server's own mux, because a dialect may serve a
// path below /api/ that this server does not have.
func (rt *router) muxFor(r *http.Request) *http.ServeMux {
	if i := rt.dialects.indexFor(r); i >= 0 {
		return rt.muxes[i]
	}
	return rt.ownMux
}

// routeFor returns the pattern of the route for a request, without serving the request. The log calls it for requests
// that a middleware rejects, because http.ServeMux has not set Request.Pattern yet.
func (rt *router) routeFor(r *http.Request) string {
	for _, prefix := range []string{pathForwardPrefix, pathForward + "/"} {
		if strings.HasPrefix(r.URL.Path, prefix) {
			return prefix
		}
	}
	if path.Clean(r.URL.Path) != r.URL.Path {
		return servedRoute(r)
	}
	_, pattern := rt.muxFor(r).Handler(r)
	return pattern
}

// newMux adds a catch-all route for unknown paths and methods. Without it, http.ServeMux would respond to them in
// plain text, and not with errors in the format of the API.
func newMux(routes []route, serve func(handler) http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(strings.TrimSpace(r.method+" "+r.path), serve(r.handle))
	}
	mux.Handle("/", serve(func(w http.ResponseWriter, r *http.Request) error { return rejectUnrouted(mux, w, r) }))
	return mux
}

// rejectUnrouted responds with 405 and Allow if the path has a route for another method, else with 404.
func rejectUnrouted(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	methods := []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost}
	for _, method := range methods {
		other := r.WithContext(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		return notFound(w, r)
	}
	allow := strings.Join(allowed, ", ")
	w.Header().Set("Allow", allow)
	return &watchword.Error{Code: apirequest.CodeMethodNotAllowed, Detail: "This path answers " + allow + "."}
}

// notFound is the handler of unknown paths. The handlers of pages call it, too, if a page does not exist. The error
// responder shows the error as an HTML page to browsers, and as JSON to other clients.
func notFound(http.ResponseWriter, *http.Request) error {
	return &watchword.Error{Code: watchword.CodeNotFound, Detail: "Not found. The API is described at /docs."}
}

// servedRoute returns "none" if no route served the request. A route contains no ids and tokens, so logs and metrics
// may show it.
func servedRoute(r *http.Request) string { return cmp.Or(r.Pattern, "none") }

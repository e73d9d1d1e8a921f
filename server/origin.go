package server

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/weborigin"
)

// Where a request may come from: to which host it is addressed, and which site's
// page made it.

// parsePublic reads the public URL: an origin, and one whose cookies are secure
// unless they stay on this machine.
func parsePublic(text string) (*url.URL, error) {
	if err := weborigin.Check(text); err != nil {
		return nil, err
	}
	public, err := url.Parse(text)
	if err == nil && public.Scheme == "http" && !weborigin.IsLoopback(public.Hostname()) {
		err = fmt.Errorf("%q hands out cookies that anyone on the way can read: write it with https", text)
	}
	return public, err
}

// checkHost refuses requests that are addressed to another host (RFC 9110, section
// 15.5.20), except those that are safe under any: probes come by address, gateways
// under the host of the service behind them, and services fetch public documents by
// the server's internal name.
func (s *Server) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		anyHost := path == pathHealth || path == pathReady || isOpen(path) || isForward(path)
		if !anyHost && !s.isOurs(r.Host) {
			s.fail(w, r, &watchword.Error{Code: watchword.CodeMisdirected,
				Detail: "This server responds only under the host of its public URL. A proxy in front must pass the Host header on."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isOurs reports whether a Host header names the public URL, or, if that is a
// loopback address, any name of the loopback on the same port.
func (s *Server) isOurs(host string) bool {
	if strings.EqualFold(host, s.public.Host) {
		return true
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, ""
	}
	if name == "" || port != s.public.Port() {
		return strings.EqualFold(name, s.public.Hostname()) && isUsualPort(s.public.Scheme, port) && s.public.Port() == ""
	}
	return weborigin.IsLoopback(name) && weborigin.IsLoopback(s.public.Hostname())
}

func isUsualPort(scheme, port string) bool {
	return scheme == "https" && port == "443" || scheme == "http" && port == "80"
}

// guarded refuses requests that another site's page made (CSRF). The standard
// library decides by Sec-Fetch-Site, else by Origin. On top of it: an Origin has
// to be ours or on the list, with its scheme; and a request with a cookie that lets
// it in has to tell where it is from.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin, Sec-Fetch-Site")
		if !isSafe(r.Method) && !s.isOurSite(r) {
			s.fail(w, r, &watchword.Error{Code: watchword.CodeCrossOrigin,
				Detail: "This request came from a page of another site. If that site is yours, add its origin to allowed-origins."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func (s *Server) isOurSite(r *http.Request) bool {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	if s.crossed.Check(r) != nil {
		return false
	}
	if origin == "null" && site == "same-origin" {
		return true // a form of our own pages, which tell nobody where they are (Referrer-Policy)
	}
	if origin != "" {
		// Front-ends use the API. A form of our pages comes from our pages.
		return s.isOrigin(origin) && (s.isForFrontEnds(r) || origin == s.opts.PublicURL || !slices.Contains(s.opts.AllowedOrigins, origin))
	}
	return site != "" || !s.hasCredentials(r)
}

// afterOrigin is what a URL may go on with: path and query in the letters of RFC
// 3986. No parser sees the end of the host elsewhere than at the first of them.
var afterOrigin = regexp.MustCompile(`^([/?][A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?$`)

// mayRedirectTo reports whether a browser may be sent to that URL: exactly one on
// the public URL or on an origin of the list.
func (s *Server) mayRedirectTo(target string) bool {
	for _, origin := range append([]string{s.opts.PublicURL}, s.opts.AllowedOrigins...) {
		if rest, found := strings.CutPrefix(target, origin); found && afterOrigin.MatchString(rest) {
			return true
		}
	}
	return false
}

// isOrigin compares an Origin header with the public origin and the allow-list. With a
// loopback public URL, each name of the loopback on the same port is the public origin.
func (s *Server) isOrigin(origin string) bool {
	if origin == s.public.Scheme+"://"+s.public.Host {
		return true
	}
	for _, allowed := range s.opts.AllowedOrigins {
		if origin == allowed {
			return true
		}
	}
	host, isHTTP := strings.CutPrefix(origin, "http://")
	return isHTTP && !s.https && weborigin.Check(origin) == nil && s.isOurs(host)
}

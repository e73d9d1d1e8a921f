package server

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword/internal/weborigin"
)

// originPolicy decides which hosts and origins belong to this server.
//
// All decisions about hosts and origins are here, so that the CSRF check, CORS, redirects and links trust the same
// set.
type originPolicy struct {
	parsedURL        *url.URL
	publicURL        string
	allowedOrigins   []string // front-ends on other origins
	appURL           string   // the front-end that pages lead back to, or ""
	isAdminListener  bool     // publicURL is the admin URL
	crossOriginCheck *http.CrossOriginProtection

	// formCallbackPaths are the paths to which a provider sends the browser with a form. They accept forms of every site,
	// because their handler only redirects.
	formCallbackPaths []string
}

// newOrigins returns an error for an origin that would match no request or too many requests.
//
// Operators often add a path, a trailing slash or a wildcard. Such an origin would silently match
// no request, so the server does not start with it.
func newOrigins(publicURL string, allowed []string, appURL string) (*originPolicy, error) {
	public, err := parsePublicURL(publicURL)
	if err != nil {
		return nil, fmt.Errorf("server: Options.PublicURL: %w", err)
	}
	if appURL != "" {
		origin, err := weborigin.OfPage(appURL)
		if err != nil {
			return nil, fmt.Errorf("server: Options.AppURL: %w", err)
		}
		if origin != publicURL && !slices.Contains(allowed, origin) {
			allowed = append(slices.Clone(allowed), origin)
		}
	}
	o := &originPolicy{parsedURL: public, publicURL: publicURL, allowedOrigins: allowed, appURL: appURL,
		crossOriginCheck: http.NewCrossOriginProtection()}
	for _, origin := range append([]string{publicURL}, allowed...) {
		if err := weborigin.Check(origin); err != nil && !weborigin.IsApp(origin) {
			return nil, fmt.Errorf("server: Options.AllowedOrigins: %w", err)
		}
		if err := o.crossOriginCheck.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("server: Options.AllowedOrigins: %w", err)
		}
	}
	return o, nil
}

// parsePublicURL rejects plain http, because anyone on the network could read the cookies. The exception is a
// loopback host, which is safe and needed for development.
func parsePublicURL(text string) (*url.URL, error) {
	if err := weborigin.Check(text); err != nil {
		return nil, err
	}
	public, err := url.Parse(text)
	if err == nil && public.Scheme == "http" && !weborigin.IsLoopback(public.Hostname()) {
		err = fmt.Errorf("%q sends cookies without encryption: use https", text)
	}
	return public, err
}

// isHTTPS reports whether browsers use https, so that cookies are Secure. It checks the public URL and not the
// connection, because a proxy often terminates TLS.
func (o *originPolicy) isHTTPS() bool { return o.parsedURL.Scheme == "https" }

// isPublicHost compares a Host header with the public URL. If the public URL is a loopback address, every loopback
// name with the same port counts.
//
// Developers use localhost and 127.0.0.1 alternately. Accepting both is safe, because a page of another site can't
// have a loopback name as its host.
func (o *originPolicy) isPublicHost(host string) bool {
	if strings.EqualFold(host, o.parsedURL.Host) {
		return true
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, ""
	}
	// A Host with the default port is the same origin. Some clients and proxies add this port.
	if name == "" || port != o.parsedURL.Port() {
		return strings.EqualFold(name, o.parsedURL.Hostname()) && isDefaultPort(o.parsedURL.Scheme, port) &&
			o.parsedURL.Port() == ""
	}
	return weborigin.IsLoopback(name) && weborigin.IsLoopback(o.parsedURL.Hostname())
}

// isDefaultPort reports whether a URL of the scheme may omit the port (RFC 9110, section 4.2).
func isDefaultPort(scheme, port string) bool {
	return scheme == "https" && port == "443" || scheme == "http" && port == "80"
}

// mayRedirectTo reports whether target is a URL of the public or of an allowed origin. Any
// other target would make the server an open redirector.
//
// It compares text instead of parsed URLs. Only a slash or a question mark may follow
// the origin, so "https://app.example.com.evil.com" does not pass.
func (o *originPolicy) mayRedirectTo(target string) bool {
	for _, origin := range append([]string{o.publicURL}, o.allowedOrigins...) {
		if rest, found := strings.CutPrefix(target, origin); found && weborigin.IsPath(rest) {
			return true
		}
	}
	return false
}

// isTrustedOrigin accepts the public origin and the allowed origins. With a loopback public URL, each loopback name
// with the same port is the public origin.
func (o *originPolicy) isTrustedOrigin(origin string) bool {
	if origin == o.parsedURL.Scheme+"://"+o.parsedURL.Host {
		return true
	}
	for _, allowed := range o.allowedOrigins {
		if origin == allowed {
			return true
		}
	}
	host, isHTTP := strings.CutPrefix(origin, "http://")
	return isHTTP && !o.isHTTPS() && weborigin.Check(origin) == nil && o.isPublicHost(host)
}

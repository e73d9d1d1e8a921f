package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	rscors "github.com/rs/cors"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
)

// requestIDHeader is the header with the request id, in each response. Log lines about the
// request have the same id.
const requestIDHeader = "X-Request-Id"

// A middleware wraps a handler. newServer lists all middlewares in the order in which they receive a request, and
// explains why the order matters for security.
type middleware func(http.Handler) http.Handler

// A refuseFunc responds to a request that a middleware rejects (errorResponder.respondError).
type refuseFunc func(http.ResponseWriter, *http.Request, error)

// wrapIn passes a request through the middlewares in the order of the list.
func wrapIn(h http.Handler, all ...middleware) http.Handler {
	for _, m := range slices.Backward(all) {
		h = m(h)
	}
	return h
}

// requestHeadKey is a private type, so that only attachRequestHead can set this key of a context.
type requestHeadKey struct{}

// attachRequestHead stores the head of the request, as the client wrote it, in the context of the request. For this,
// the connection must come from WatchLengths or WatchTLS. On other connections and over HTTP/2, attachRequestHead
// stores nothing, and the later checks of the head accept every request.
//
// attachRequestHead is the outermost middleware, because it copies the request. The router sets Request.Pattern in
// the copy, and countAndLog must see the same copy.
func attachRequestHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, isWatched := r.Context().Value(watchedConnKey{}).(*watchedConn); isWatched {
			r = r.WithContext(context.WithValue(r.Context(), requestHeadKey{}, conn.takeHead(r)))
		}
		next.ServeHTTP(w, r)
	})
}

// requestHeadOf returns the zero head, which passes all checks, if attachRequestHead stored none.
func requestHeadOf(r *http.Request) requestHead {
	h, _ := r.Context().Value(requestHeadKey{}).(requestHead)
	return h
}

// assignRequestID ignores an id that the client sends, because a client could use it to forge lines in the log. Later
// middlewares and error responses read the id from the response header, so it is not in the context.
func assignRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(requestIDHeader, uuid.NewString())
		next.ServeHTTP(w, r)
	})
}

// securityHeaders runs before all middlewares that can reject a request, so that refusals have the headers, too.
func securityHeaders(https bool) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			setSecurityHeaders(w.Header(), https, r.URL.Path)
			next.ServeHTTP(w, r)
		})
	}
}

// These header values are the same for every request. All responses share the slices, which saves an allocation for
// each header. Sharing is safe, because Set replaces a slice, and Add copies a slice that has no spare capacity. No
// code may change the elements.
var (
	nosniff       = []string{"nosniff"}
	noReferrer    = []string{"no-referrer"}
	sameOrigin    = []string{"same-origin"}
	crossOrigin   = []string{"cross-origin"}
	noPermissions = []string{"camera=(), geolocation=(), microphone=()"}
	noFrames      = []string{"DENY"}
	twoYears      = []string{"max-age=63072000; includeSubDomains"}
	noStore       = []string{"no-store"}
	strictPolicy  = []string{"default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"}
	varyOrigin    = []string{"Origin, Sec-Fetch-Site"}
)

// setSecurityHeaders sets the strictest value of each header. Handlers replace values that are too strict: pages set
// their own Content-Security-Policy (see pages.show), and cacheable documents set Cache-Control. The code assigns to
// the header map directly, so the header names must be in canonical form.
func setSecurityHeaders(h http.Header, https bool, path string) {
	h["X-Content-Type-Options"] = nosniff
	h["Referrer-Policy"] = noReferrer
	h["Cross-Origin-Opener-Policy"] = sameOrigin
	h["Cross-Origin-Resource-Policy"] = sameOrigin
	if isPublicDocument(path) {
		h["Cross-Origin-Resource-Policy"] = crossOrigin
	}
	h["Permissions-Policy"] = noPermissions
	h["X-Frame-Options"] = noFrames
	if https {
		h["Strict-Transport-Security"] = twoYears
	}
	h["Cache-Control"] = noStore
	// The policy also covers documents that browsers show as a page, such as JSON opened in a tab. The policy lists
	// base-uri, because base-uri does not default to default-src. It also lists object-src, which does, but security
	// scanners look for it.
	h["Content-Security-Policy"] = strictPolicy
}

// closeWhileDraining closes each connection after its response if the server is about to stop. The client's next
// request then reaches another server. On HTTP/2 connections, the header "Connection: close" sends a GOAWAY frame.
func closeWhileDraining(draining func() bool) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if draining() {
				w.Header().Set("Connection", "close")
			}
			next.ServeHTTP(w, r)
		})
	}
}

// countAndLog counts and times each request, and writes the access log at level debug. The log has the route instead
// of the path, because paths and queries can hold tokens. countAndLog wraps recoverPanics, so that a panic is counted
// as the 500 that the client gets.
func countAndLog(m *httpMetrics, log *slog.Logger) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begun := time.Now()
			recorded := &statusRecorder{ResponseWriter: w}
			next.ServeHTTP(recorded, r)
			took := time.Since(begun)
			m.countResponse(r, recorded.status, took)
			if !log.Enabled(r.Context(), slog.LevelDebug) {
				return // returns before the attributes are allocated
			}
			log.Debug("request",
				slog.String("request_id", w.Header().Get(requestIDHeader)), slog.String("method", r.Method),
				slog.String("route", servedRoute(r)), slog.Int("status", recorded.status),
				slog.String("took", took.String()))
		})
	}
}

// recoverPanics logs a panic and responds with 500, so that one request can't stop the process. The statusRecorder of
// countAndLog tells whether a response has begun. http.ErrAbortHandler passes through, because net/http handles it.
func recoverPanics(log *slog.Logger, fail refuseFunc) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				cause := recover()
				if cause == nil {
					return
				}
				if cause == http.ErrAbortHandler {
					panic(cause)
				}
				// This line has no rate limit, because each panic is a bug and only the stack
				// shows its cause.
				log.Error("a request panicked", slog.String("request_id", w.Header().Get(requestIDHeader)),
					slog.Any("cause", cause), slog.String("stack", string(debug.Stack())))
				if recorded, ok := w.(*statusRecorder); ok && recorded.status == 0 {
					fail(w, r, &watchword.Error{Code: watchword.CodeInternal, Detail: detailInternal})
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
}

// rejectAmbiguousLength rejects a request whose length two parsers could read differently,
// such as one with both Content-Length and Transfer-Encoding (RFC 9112, section 6.3). It
// closes the connection, because the next bytes may be a smuggled request.
func rejectAmbiguousLength(fail refuseFunc) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requestHeadOf(r).isAmbiguous {
				w.Header().Set("Connection", "close")
				fail(w, r, invalidBody("Send Content-Length or Transfer-Encoding, not both."))
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// closeAfterBodyError closes the connection after the response if the body can't be read to its end. In this case,
// the server does not know where the next request begins.
func closeAfterBodyError(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &closingBody{ReadCloser: r.Body, request: r, header: w.Header()}
		}
		next.ServeHTTP(w, r)
	})
}

// A closingBody sets "Connection: close" if reading fails: at a malformed chunk, or when fewer bytes than
// Content-Length arrive. On HTTP/2, this header sends a GOAWAY frame. A closingBody ignores canceled requests and
// bodies over the size limit, which are not framing errors.
type closingBody struct {
	io.ReadCloser
	request *http.Request
	header  http.Header
}

// Read marks the connection for closing after a failed read, because the rest of the body could
// be taken for the next request. If a body is too large, net/http itself closes the connection.
func (b *closingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var tooLarge *http.MaxBytesError
	if err != nil && err != io.EOF && !errors.As(err, &tooLarge) && b.request.Context().Err() == nil {
		b.header.Set("Connection", "close")
	}
	return n, err
}

// checkHost rejects requests for another host (RFC 9110, section 15.5.20). This stops DNS rebinding and requests that
// a proxy routed to the wrong server.
//
// Some paths accept every host. Load balancers use the server's address as the host. Gateways pass on the host of the
// service that they protect. Services fetch public documents under an internal name.
func checkHost(o *originPolicy, fail refuseFunc) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			path := r.URL.Path
			// A foreign Host is harmless on these paths, because their handlers read no cookie and build no URL from
			// the host.
			anyHost := path == pathHealth || path == pathReady || isPublicDocument(path) || isForGateways(path)
			if !anyHost && !o.isPublicHost(r.Host) {
				url := "its public URL"
				if o.isAdminListener {
					url = "the admin URL here"
				}
				fail(w, r, &watchword.Error{Code: apirequest.CodeMisdirected,
					Detail: "This server responds only under the host of " + url +
						". A proxy in front must pass the Host header on."})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// cors adds CORS headers (Fetch, section 3.2). The allowed origins may read the API and the dialects, and every
// origin may read public documents. Pages get no CORS headers. The server handles a request from any other origin,
// too, but the browser hides the response from the script.
//
// CORS only lets front-ends read responses and does not stop requests. The csrf middleware rejects forged requests
// that change something.
func cors(o *originPolicy, d dialectList) middleware {
	return func(next http.Handler) http.Handler {
		frontEnds := next
		// Without allowed origins, no handler responds to preflights, so browsers block all
		// cross-origin requests that need a preflight.
		requested, exposed := d.corsHeaders()
		if len(o.allowedOrigins) > 0 {
			frontEnds = rscors.New(rscors.Options{
				// AllowOriginFunc compares exactly. AllowedOrigins would accept wildcards.
				AllowOriginFunc:  func(origin string) bool { return slices.Contains(o.allowedOrigins, origin) },
				AllowedMethods:   []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete},
				AllowedHeaders:   append(requested, "Authorization", "Content-Type", idempotencyHeader, "If-Match"),
				ExposedHeaders:   append(exposed, "WWW-Authenticate", "Retry-After", requestIDHeader, "ETag"),
				AllowCredentials: true,
				MaxAge:           int((10 * time.Minute).Seconds()),
			}).Handler(next)
		}
		everyOrigin := rscors.New(rscors.Options{
			AllowedOrigins: []string{"*"}, AllowedMethods: []string{http.MethodGet},
		}).Handler(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case isPublicDocument(r.URL.Path):
				everyOrigin.ServeHTTP(w, r)
			case isForGateways(r.URL.Path) && r.Method == http.MethodOptions:
				// This preflight belongs to a request for the service behind the gateway. That service decides
				// whether to allow it.
				next.ServeHTTP(w, r)
			case d.isForFrontEnds(r):
				frontEnds.ServeHTTP(w, r)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

// redirectToPublicHost redirects browsers on the admin listener to the host of the admin URL. If the admin URL is a
// loopback URL, checkHost accepts all loopback names, but a cookie is valid for only one name. The pages redirect to
// the name in the admin URL. An operator who opened another loopback name would therefore have to sign in twice.
func redirectToPublicHost(o *originPolicy, role listenerRole) middleware {
	return func(next http.Handler) http.Handler {
		if !role.isAdminListener {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// The ports are not compared, because a proxy may add the default port.
			name := (&url.URL{Host: r.Host}).Hostname()
			if r.Method != http.MethodGet || isAPI(r.URL.Path) || strings.EqualFold(name, o.parsedURL.Hostname()) {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Location", o.publicURL+r.URL.RequestURI())
			// The redirect is temporary, because browsers would keep a permanent one after a change of the admin URL.
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
	}
}

// varyByOrigin stops a cache from serving a response that was created for another origin.
func varyByOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := w.Header(); h["Vary"] == nil {
			h["Vary"] = varyOrigin
		} else {
			h.Add("Vary", varyOrigin[0])
		}
		next.ServeHTTP(w, r)
	})
}

// csrf rejects unsafe requests that a page of another site made. Safe methods make no change, so
// they pass.
func csrf(o *originPolicy, d dialectList, c *cookieSet, fail refuseFunc) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fromProvider := r.Method == http.MethodPost && slices.Contains(o.formCallbackPaths, r.URL.Path)
			if !isSafeMethod(r.Method) && !fromProvider && !isFromTrustedSource(r, o, d, c) {
				detail := "This request came from a page of another site. " +
					"If that site is yours, add its origin to allowed-origins."
				if r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" {
					detail = "A request with cookies needs the header Origin or Sec-Fetch-Site. " +
						"Browsers send them. A program sends the origin of the public URL, or no cookies."
				}
				fail(w, r, &watchword.Error{Code: apirequest.CodeCrossOrigin, Detail: detail})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// isSafeMethod reports whether a method must not change anything (RFC 9110, section 9.2.1).
func isSafeMethod(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// isFromTrustedSource reports whether a request comes from this server's pages, from a front-end of an allowed
// origin, or from a program. The standard library checks Sec-Fetch-Site, or Origin if Sec-Fetch-Site is missing.
// isFromTrustedSource adds two rules. An Origin must be known, including its scheme. A request with a user's cookie
// must have Origin or Sec-Fetch-Site.
func isFromTrustedSource(r *http.Request, o *originPolicy, d dialectList, c *cookieSet) bool {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	if o.crossOriginCheck.Check(r) != nil {
		return false
	}
	if origin == "null" && site == "same-origin" {
		return true // from this server's forms: Referrer-Policy: no-referrer makes their Origin null
	}
	if origin != "" {
		// Allowed front-ends may use the API and the dialects, but not the forms of pages.
		return o.isTrustedOrigin(origin) &&
			(d.isForFrontEnds(r) || origin == o.publicURL || !slices.Contains(o.allowedOrigins, origin))
	}
	// A request without both headers comes from a program, or from a browser too old to send them. A browser may send
	// such a request for another site, so a request with a credential cookie is rejected.
	return site != "" || !c.hasCredentialCookie(r)
}

// hidesOrigin reports whether a request has neither Sec-Fetch-Site nor a usable Origin. Browsers without Sec-Fetch-Site
// send the Origin null even from this server's pages, because of Referrer-Policy: no-referrer.
func hidesOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return (origin == "" || origin == "null") && r.Header.Get("Sec-Fetch-Site") == ""
}

// maxCookies is the maximum number of cookies of a request. This server sets about a dozen, and other
// applications on the host may set more.
const maxCookies = 64

// exceedsMaxCookies counts the separators instead of parsing the cookies, because parsing is the work that the limit
// prevents.
func exceedsMaxCookies(r *http.Request) bool {
	count := 0
	for _, line := range r.Header["Cookie"] {
		count += 1 + strings.Count(line, ";")
	}
	return count > maxCookies
}

// rejectManyCookies bounds the work of the next middlewares, which read all cookies.
func rejectManyCookies(fail refuseFunc) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if exceedsMaxCookies(r) {
				fail(w, r, &watchword.Error{Code: watchword.CodeParameterInvalid,
					Detail: "The request has more than 64 cookies. Delete the cookies of this site in the browser."})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// rejectMalformedPath rejects a path with a malformed percent escape. escape.go explains why
// net/http does not reject it. It is the last middleware, so that the response has the CORS
// headers that a front-end needs to read the error.
func rejectMalformedPath(fail refuseFunc) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requestHeadOf(r).hasMalformedPath {
				fail(w, r, &watchword.Error{Code: watchword.CodeParameterInvalid,
					Detail: "The path has a percent sign without two hexadecimal digits. Write %25 for a percent sign."})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// A statusRecorder has the status 0 until the response begins.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader records the first status, which the client gets.
func (r *statusRecorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write records the status 200 if WriteHeader was not called, as net/http does.
func (r *statusRecorder) Write(body []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(body)
}

// Unwrap gives http.ResponseController access to deadlines and flushing, which streams need.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

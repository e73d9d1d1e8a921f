package server

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/clientip"
	"github.com/watchword-auth/watchword/internal/lograte"
)

// Refused requests are logged at level info, one line each. The rate is bounded, because
// anyone can cause such lines. Each line has the number of lines skipped before it.
//
// Refusals in normal use, such as an expired access token or a form with a mistake, are
// only counted in the metrics. Failed passwords are security events
// (watchword.EventLoginFailed).

// A refusalLog limits the rate of the lines about refused requests.
type refusalLog struct {
	requests    *lograte.Gate // a limit per code, route and client
	misdirected *lograte.Gate // a limit per host
	unavailable *lograte.Gate // one limit for all clients
}

// newRefusalLog sets the bounds per minute. A client gets 5 lines per code and route, which shows
// the attack without its repetitions, and all clients together get 300.
func newRefusalLog() refusalLog {
	return refusalLog{
		requests:    lograte.New(lograte.Limit{Window: time.Minute, Total: 300, PerKey: 5}),
		misdirected: lograte.New(lograte.Limit{Window: time.Minute, Total: 5, PerKey: 1}),
		unavailable: lograte.New(lograte.Limit{Window: time.Minute, Total: 60, PerKey: 60}),
	}
}

// shouldLog selects refusals that can be a sign of an attack, of a faulty client, or of a wrong setting. A wrong
// password is not logged, because it is a security event. An expired token is not logged, because every client has
// one every few minutes.
func shouldLog(code watchword.Code, route string) bool {
	switch code {
	case watchword.CodeRateLimited, watchword.CodeTryLater,
		apirequest.CodeCrossOrigin, apirequest.CodeMisdirected, apirequest.CodeAmbiguousCredentials,
		// These codes are logged, because this server's pages and clients never send such a body. A wrong value of a
		// field has another code, which is not logged.
		apirequest.CodeBodyInvalid, apirequest.CodeBodyTooLarge,
		watchword.CodeInsufficientScope, watchword.CodeTokenInvalid, watchword.CodeRefreshInvalid,
		watchword.CodeMailTokenInvalid, watchword.CodeSessionEnded:
		return true
	case watchword.CodeNotFound:
		// These requests are logged, because the client asked for an account or a session that may belong to another
		// user. Ids are random, so a client does not send a wrong id by mistake. The response is always 404, so it does
		// not reveal whether the id exists.
		return strings.HasPrefix(route, "GET "+pathUsers) || strings.HasPrefix(route, "DELETE "+pathSessions) ||
			strings.HasPrefix(route, "POST "+pathAccount+"/sessions/")
	}
	return false
}

// logRefusal logs a refused request if shouldLog selects it. It logs the route instead of
// the path, because paths can hold tokens.
func (e *errorResponder) logRefusal(w http.ResponseWriter, r *http.Request, refusal *watchword.Error) {
	// The pattern has {id} instead of the id. This groups the attempts of a client, and keeps the other user's id out
	// of the log.
	route := e.routePattern(r)
	if !shouldLog(refusal.Code, route) {
		return
	}
	client := e.clients.readClient(w, r)
	// The key of the rate limit has the client's network instead of its address, because an IPv6 client has any
	// number of addresses.
	gate := e.logLimits.requests
	key := strings.Join([]string{string(refusal.Code), route, clientip.Key(client.Address)}, " ")
	attrs := []slog.Attr{
		slog.String("code", string(refusal.Code)), slog.Int("status", statusOf(refusal.Code)),
		slog.String("route", route), slog.String("client", addressText(client)), slog.String("request_id", client.RequestID),
	}
	switch refusal.Code {
	case apirequest.CodeMisdirected:
		// A wrong setting of a proxy affects each request. One line per host is enough to find it.
		gate, key = e.logLimits.misdirected, r.Host
		url, setting := "the public URL", "public-url"
		if e.origins.isAdminListener {
			url, setting = "the admin URL", "admin-url"
		}
		attrs = append(attrs, slog.String("host", truncateForLog(r.Host)), slog.String("public_url", e.origins.publicURL),
			slog.String("hint", "configure the proxy to pass on the Host of "+url+", or set "+setting))
	case watchword.CodeSessionEnded:
		// This response tells the client that its session has ended. The log line has the reason, because an expiry
		// has no security event.
		attrs = append(attrs, slog.String("session", string(refusal.Session)), slog.String("ended", string(refusal.Ended)))
	case apirequest.CodeCrossOrigin:
		attrs = append(attrs, slog.String("origin", truncateForLog(r.Header.Get("Origin"))),
			slog.String("sec_fetch_site", truncateForLog(r.Header.Get("Sec-Fetch-Site"))))
	}
	skipped, ok := gate.Allow(key, time.Now())
	if !ok {
		return
	}
	if skipped > 0 {
		attrs = append(attrs, slog.Int("skipped", skipped))
	}
	e.log.LogAttrs(r.Context(), slog.LevelInfo, "request refused", attrs...)
}

// logIfRefusal does the same as logRefusal for an error of any type. Handlers that redirect instead of calling
// respondError use it.
func (e *errorResponder) logIfRefusal(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *watchword.Error
	if errors.As(err, &refusal) {
		e.logRefusal(w, r, refusal)
	}
}

// logUnavailable has a separate rate limit, so that an attack that uses up the limit of logRefusal does not suppress
// the lines about the store.
func (e *errorResponder) logUnavailable(w http.ResponseWriter, r *http.Request, err error) {
	skipped, ok := e.logLimits.unavailable.Allow("", time.Now())
	if !ok {
		return
	}
	attrs := []slog.Attr{slog.String("request_id", w.Header().Get(requestIDHeader)), slog.Any("error", err)}
	if skipped > 0 {
		attrs = append(attrs, slog.Int("skipped", skipped))
	}
	e.log.LogAttrs(r.Context(), slog.LevelError, "the store is unavailable", attrs...)
}

// addressText returns "" if the address of the client is unknown.
func addressText(c watchword.Client) string {
	if !c.Address.IsValid() {
		return ""
	}
	return c.Address.String()
}

// truncateForLog cuts text that a client controls to 200 bytes, to bound the length of a log line.
func truncateForLog(text string) string { return text[:min(len(text), 200)] }

// routePattern returns "none" for an unknown route. It also works for requests that a middleware rejects before the
// router runs.
func (e *errorResponder) routePattern(r *http.Request) string {
	if r.Pattern != "" {
		return r.Pattern
	}
	return e.routeFor(r)
}

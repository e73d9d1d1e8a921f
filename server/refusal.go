package server

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/clientip"
	"github.com/watchword-auth/watchword/internal/lograte"
)

// Refused requests in the log: one line each at level info, at a bounded rate,
// because any stranger can cause them. A line that follows on others that were
// skipped says how many. Refusals that are part of an ordinary day (an expired access
// token, a form with a mistake) are only counted, and failed passwords are security
// events (watchword.EventLoginFailed).

// A refusalLog holds the bounds of the lines about refused requests.
type refusalLog struct {
	requests    *lograte.Gate // by code, route and client
	misdirected *lograte.Gate // by host
	unavailable *lograte.Gate // by nothing
}

func newRefusalLog() refusalLog {
	return refusalLog{
		requests:    lograte.New(lograte.Limit{Window: time.Minute, Total: 300, PerKey: 5}),
		misdirected: lograte.New(lograte.Limit{Window: time.Minute, Total: 5, PerKey: 1}),
		unavailable: lograte.New(lograte.Limit{Window: time.Minute, Total: 60, PerKey: 60}),
	}
}

// isLogged reports whether a refusal tells an operator of an attack, of a client
// with a fault, or of a wrong setting.
func isLogged(code watchword.Code) bool {
	switch code {
	case watchword.CodeRateLimited, watchword.CodeTryLater,
		watchword.CodeCrossOrigin, watchword.CodeMisdirected, watchword.CodeAmbiguousCredentials,
		watchword.CodeInsufficientScope, watchword.CodeTokenInvalid, watchword.CodeRefreshInvalid, watchword.CodeMailTokenInvalid:
		return true
	}
	return false
}

// logRefusal logs a refused request. It logs no path, since paths can hold tokens.
func (s *Server) logRefusal(w http.ResponseWriter, r *http.Request, refusal *watchword.Error) {
	if !isLogged(refusal.Code) {
		return
	}
	client := s.clientOf(w, r)
	route := s.routePattern(r)
	gate, key := s.refusals.requests, strings.Join([]string{string(refusal.Code), route, clientip.Key(client.Address)}, " ")
	attrs := []slog.Attr{
		slog.String("code", string(refusal.Code)), slog.Int("status", statusOf(refusal.Code)),
		slog.String("route", route), slog.String("client", addressOf(client)), slog.String("request_id", client.RequestID),
	}
	switch refusal.Code {
	case watchword.CodeMisdirected:
		gate, key = s.refusals.misdirected, r.Host
		attrs = append(attrs, slog.String("host", shortened(r.Host)), slog.String("public_url", s.opts.PublicURL),
			slog.String("hint", "let the proxy pass the Host of the public URL on, or set public-url"))
	case watchword.CodeCrossOrigin:
		attrs = append(attrs, slog.String("origin", shortened(r.Header.Get("Origin"))),
			slog.String("sec_fetch_site", shortened(r.Header.Get("Sec-Fetch-Site"))))
	}
	skipped, ok := gate.Allow(key, time.Now())
	if !ok {
		return
	}
	if skipped > 0 {
		attrs = append(attrs, slog.Int("skipped", skipped))
	}
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "request refused", attrs...)
}

// logRefused is logRefusal for an error whose response is a redirect.
func (s *Server) logRefused(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *watchword.Error
	if errors.As(err, &refusal) {
		s.logRefusal(w, r, refusal)
	}
}

// logUnavailable logs that the store failed a request.
func (s *Server) logUnavailable(w http.ResponseWriter, r *http.Request, err error) {
	skipped, ok := s.refusals.unavailable.Allow("", time.Now())
	if !ok {
		return
	}
	attrs := []slog.Attr{slog.String("request_id", w.Header().Get(requestIDHeader)), slog.Any("error", err)}
	if skipped > 0 {
		attrs = append(attrs, slog.Int("skipped", skipped))
	}
	s.log.LogAttrs(r.Context(), slog.LevelError, "the store is unavailable", attrs...)
}

// addressOf is the network address of a client, or "" if it is unknown.
func addressOf(c watchword.Client) string {
	if !c.Address.IsValid() {
		return ""
	}
	return c.Address.String()
}

// shortened bounds what a stranger can write into one line.
func shortened(text string) string { return text[:min(len(text), 200)] }

// routePattern returns the route of a request, also before the router has run: "none"
// for a path without a route.
func (s *Server) routePattern(r *http.Request) string {
	if r.Pattern != "" {
		return r.Pattern
	}
	return s.patternOf(r)
}

package server

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/respond"
	"github.com/watchword-auth/watchword/internal/weborigin"
)

// The admin listener is for the operator and for monitoring. It has a separate port, so that a
// proxy that publishes the API doesn't publish the metrics by mistake.

// readyAnswer is the body of /readyz on the admin listener, with details that the public
// listener does not show.
type readyAnswer struct {
	Status string         `json:"status"`
	Store  string         `json:"store"` // "up", or the error
	Mails  map[string]int `json:"mails"`
	Keys   []keyAnswer    `json:"keys"`
}

// A keyAnswer describes one key without its secret. A monitor can alert if no key is active for a use.
type keyAnswer struct {
	ID    string `json:"id"`
	Use   string `json:"use"`
	Alg   string `json:"alg"`
	State string `json:"state"`
}

// AdminOptions configure the handler of the admin listener. The zero value is for a
// listener on the loopback.
type AdminOptions struct {
	// AnyHost accepts every host except that of Options.AdminURL. Set it if other machines reach the listener by
	// name. Without it, only loopback hosts are accepted. This stops DNS rebinding, in which a page of another site
	// uses a name that resolves to 127.0.0.1. Default: loopback hosts only.
	AnyHost bool

	// Profiling serves the profiles of net/http/pprof at /debug/pprof/, except the
	// command line, which can hold secrets. Default: off.
	Profiling bool
}

// Admin returns the handler of the admin listener: metrics, detailed readiness, and profiles.
// They have no authentication, so bind the listener to the loopback address. The handler
// rejects requests from pages of other sites.
//
// With Options.AdminURL, the handler also serves administration, which accepts only the host of
// that URL and requires a sign-in. Its http.Server then needs WithLengths, like that of the public
// listener.
func (s *Server) Admin(o AdminOptions) http.Handler {
	// The mux is separate, because any package that imports net/http/pprof adds routes to http.DefaultServeMux, even
	// with Profiling off.
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.serveMetrics)
	mux.HandleFunc("GET /readyz", s.serveReadiness)
	if o.Profiling {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	monitoring := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("X-Frame-Options", "DENY")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		// The headers are set before the check, because a refusal needs them too.
		isAdminHost := s.adminServer != nil && s.adminServer.origins.isPublicHost(r.Host)
		if status, why := o.reasonToRefuse(r, isAdminHost); why != "" {
			s.logAdminRefusal(r, status)
			http.Error(w, why, status)
			return
		}
		mux.ServeHTTP(w, r)
	})
	if s.adminServer == nil {
		return monitoring
	}
	// The routes of monitoring have their own checks, because their requests have no cookies and may use other hosts.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			monitoring.ServeHTTP(w, r)
			return
		}
		s.adminServer.ServeHTTP(w, r)
	})
}

// reasonToRefuse returns a status and a reason for a request that must be refused, and an empty reason for all
// others. Browsers send Sec-Fetch-Site or Origin if a page causes a request. If the user types the address,
// Sec-Fetch-Site is "none".
//
// isAdminHost is true for the host of Options.AdminURL. Monitoring needs no sign-in, so a proxy that publishes
// administration must not publish monitoring as well.
func (o AdminOptions) reasonToRefuse(r *http.Request, isAdminHost bool) (status int, why string) {
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	switch {
	// The Host is checked first, because after DNS rebinding the browser reports same-origin for a page of another
	// site.
	case !o.AnyHost && !weborigin.IsLoopback(r.Host):
		return http.StatusMisdirectedRequest,
			"The admin listener is on the loopback. Use localhost or 127.0.0.1 as the host."
	case isAdminHost && !weborigin.IsLoopback(r.Host):
		return http.StatusMisdirectedRequest,
			"Monitoring is not served under the URL of the admin API. Use the address of the admin listener."
	// Requests without both headers pass. Monitoring systems send neither header, and they have no cookies that a
	// page could abuse.
	case site != "" && site != "same-origin" && site != "none",
		origin != "" && origin != "http://"+r.Host:
		return http.StatusForbidden, "Pages of other sites may not use the admin listener."
	}
	return 0, ""
}

// logAdminRefusal shares the rate limit of log lines about wrong hosts. Otherwise a page that tries many ports could
// fill the log.
func (s *Server) logAdminRefusal(r *http.Request, status int) {
	if skipped, ok := s.errors.logLimits.misdirected.Allow("admin", time.Now()); ok {
		s.log.Info("admin request refused", slog.Int("status", status), slog.String("client", r.RemoteAddr),
			slog.String("host", truncateForLog(r.Host)), slog.String("origin", truncateForLog(r.Header.Get("Origin"))),
			slog.String("sec_fetch_site", truncateForLog(r.Header.Get("Sec-Fetch-Site"))), slog.Int("skipped", skipped))
	}
}

// serveReadiness responds with 503 if the store is unavailable or the server is stopping. It also sends the body
// then, because the details are most useful when the server is not ready.
func (s *Server) serveReadiness(w http.ResponseWriter, r *http.Request) {
	status, answer := http.StatusOK, readyAnswer{Status: "ready", Store: "up", Keys: []keyAnswer{}}
	stats, err := s.engine.Stats(r.Context())
	switch {
	case err != nil || stats.Store != nil:
		status, answer.Status, answer.Store = http.StatusServiceUnavailable, "not ready", cmp.Or(stats.Store, err).Error()
	case s.draining():
		status, answer.Status = http.StatusServiceUnavailable, "stopping"
	}
	answer.Mails = map[string]int{"waiting": stats.MailWaiting, "givenUp": stats.MailGivenUp}
	for _, key := range stats.Keys {
		answer.Keys = append(answer.Keys, keyAnswer{key.ID, string(key.Use), key.Alg, key.State})
	}
	// respond.JSON fails only if the answer can't be encoded, which would be a fault of this function.
	if err := respond.JSON(w, status, answer); err != nil {
		s.errors.respondError(w, r, watchword.ErrUnavailable)
	}
}

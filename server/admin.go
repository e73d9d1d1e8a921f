package server

import (
	"cmp"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/respond"
)

// readyAnswer is /readyz for the people who run the service.
type readyAnswer struct {
	Status string         `json:"status"`
	Store  string         `json:"store"` // "up", or what is wrong
	Mails  map[string]int `json:"mails"`
	Keys   []keyAnswer    `json:"keys"`
}

type keyAnswer struct {
	ID    string `json:"id"`
	Use   string `json:"use"`
	Alg   string `json:"alg"`
	State string `json:"state"`
}

// Admin is the handler of the admin listener: metrics, profiles, and readiness
// in detail. It has no authentication: bind it to the loopback.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /readyz", s.readyDetail)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

func (s *Server) readyDetail(w http.ResponseWriter, r *http.Request) {
	status, answer := http.StatusOK, readyAnswer{Status: "ready", Store: "up", Keys: []keyAnswer{}}
	stats, err := s.engine.Stats(r.Context())
	switch {
	case err != nil || stats.Store != nil:
		status, answer.Status, answer.Store = http.StatusServiceUnavailable, "not ready", cmp.Or(stats.Store, err).Error()
	case s.opts.Draining():
		status, answer.Status = http.StatusServiceUnavailable, "stopping"
	}
	answer.Mails = map[string]int{"waiting": stats.MailWaiting, "givenUp": stats.MailGivenUp}
	for _, key := range stats.Keys {
		answer.Keys = append(answer.Keys, keyAnswer{key.ID, string(key.Use), key.Alg, key.State})
	}
	if err := respond.JSON(w, status, answer); err != nil {
		s.fail(w, r, watchword.ErrUnavailable)
	}
}

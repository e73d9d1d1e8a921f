package server

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/metrics"
)

// Metrics are for alerts and for capacity: requests by route, decisions about refresh tokens, the
// queue of hashes, the outbox, keys and the feed. docs/operations.md lists them and says which
// values need attention.

// httpMetrics are the metrics of requests. Labels are routes and never users or paths, so that
// their number is bounded.
type httpMetrics struct {
	requests metrics.Family[routeStatus, atomic.Uint64]
	seconds  metrics.Family[string, metrics.Histogram] // by route
}

type routeStatus struct {
	route  string
	status int
}

// observe counts a response. A status of 0 means that the handler wrote none. An open stream
// counts when it ends, with the time for which it was open.
func (m *httpMetrics) observe(r *http.Request, status int, took time.Duration) {
	route := routeOf(r)
	m.requests.At(routeStatus{route, status}).Add(1)
	m.seconds.At(route).Observe(took)
}

// write adds the metrics of requests to a page.
func (m *httpMetrics) write(page *metrics.Page) {
	var requests []metrics.Sample
	m.requests.Each(func(key routeStatus, n *atomic.Uint64) {
		requests = append(requests,
			metrics.Value(float64(n.Load()), "route", key.route, "status", strconv.Itoa(key.status)))
	})
	page.Counter("watchword_http_requests_total", "Requests by route and status.", requests...)
	page.Histograms("watchword_http_request_seconds", "Response time by route.", "route", &m.seconds)
}

// serveMetrics responds with all metrics in the text format of Prometheus.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	page := new(metrics.Page)
	s.metrics.write(page)
	page.Gauge("watchword_feed_streams", "Open streams of the revocation feed.",
		metrics.Value(float64(s.api.streams.count())))
	writeEngine(r.Context(), page, s.engine)
	page.Runtime()
	w.Header().Set("Content-Type", metrics.ContentType)
	_, _ = w.Write([]byte(page.String()))
}

// writeEngine adds the engine's statistics, which a library user can read from Engine.Stats. It
// waits up to 5 s for the store. If the store is unavailable, its metrics are omitted and
// store_up is 0. The counts of this process need no store, so they are always written.
func writeEngine(ctx context.Context, page *metrics.Page, engine *watchword.Engine) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	stats, err := engine.Stats(ctx)
	gauge := func(name, help string, value float64) { page.Gauge("watchword_"+name, help, metrics.Value(value)) }
	counter := func(name, help string, value float64) { page.Counter("watchword_"+name, help, metrics.Value(value)) }
	page.Counter("watchword_refresh_verdicts_total", "Decisions on refresh tokens.",
		samplesOf("verdict", stats.Verdicts)...)
	page.Counter("watchword_events_total", "Security events.", samplesOf("event", stats.Events)...)
	gauge("hash_queued", "Passwords waiting to be hashed.", float64(stats.Hashing.Queued))
	gauge("hash_running", "Passwords being hashed.", float64(stats.Hashing.Running))
	counter("hash_done_total", "Passwords hashed.", float64(stats.Hashing.Done))
	counter("hash_shed_total", "Requests refused because the queue was too long.", float64(stats.Hashing.Shed))
	counter("hash_wait_seconds_total", "Time that passwords waited to be hashed.", stats.Hashing.Waited.Seconds())
	gauge("feed_head", "Number of the last event of the revocation feed.", float64(stats.Feed.Last))
	gauge("feed_unnumbered_seconds", "Age of the oldest ended session without a number.",
		secondsSince(stats.Feed.Unnumbered))
	page.Counter("watchword_mail_attempts_total", "Attempts to send a mail.",
		metrics.Value(float64(stats.MailSent), "result", "sent"),
		metrics.Value(float64(stats.MailFailed), "result", "failed"))
	var keys []metrics.Sample
	for _, key := range stats.Keys {
		if key.State == "active" {
			keys = append(keys, metrics.Value(time.Since(key.ActiveFrom).Seconds(), "use", string(key.Use)))
		}
	}
	page.Gauge("watchword_key_age_seconds", "Time since the active key began to sign.", keys...)
	up := 1.0
	if err != nil || stats.Store != nil {
		up = 0
	}
	gauge("store_up", "1 if the store accepts writes.", up)
	if err != nil {
		return
	}
	// 0 would look like an empty outbox, so nothing is written after an error.
	page.Gauge("watchword_outbox_mails", "Mails in the outbox.",
		metrics.Value(float64(stats.MailWaiting), "state", "waiting"),
		metrics.Value(float64(stats.MailGivenUp), "state", "given_up"))
	gauge("outbox_oldest_seconds", "Age of the oldest waiting mail.", secondsSince(stats.MailOldest))
}

// samplesOf returns one sample per key, which is the value of the label.
func samplesOf[K ~string, N int | int64 | uint64](label string, counts map[K]N) (samples []metrics.Sample) {
	for key, n := range counts {
		samples = append(samples, metrics.Value(float64(n), label, string(key)))
	}
	return samples
}

// secondsSince returns the seconds since t, or 0 for the zero time.
func secondsSince(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return time.Since(t).Seconds()
}

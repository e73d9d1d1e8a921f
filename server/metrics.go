package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/watchword-auth/watchword"
)

// Operators use the metrics for alerts and for capacity planning. The metrics cover requests by route, decisions
// about refresh tokens, the queue of hashes, the outbox, keys and the feed. docs/operations.md lists them, with the
// values that need attention.

// httpMetrics are the metrics of requests. Their labels are routes and statuses, never users or paths, so the number
// of metrics is bounded.
type httpMetrics struct {
	counters, histograms *metrics.Set // separate sets, because /metrics writes a HELP line before each

	mu            sync.RWMutex
	requestCounts map[routeStatus]*metrics.Counter
	responseTimes map[string]*metrics.PrometheusHistogram // by route
}

// A routeStatus is the pair of labels of the request counter. The number of pairs is bounded, because the numbers of
// routes and statuses are.
type routeStatus struct {
	route  string
	status int
}

// newHTTPMetrics creates new sets of metrics. The global set of the library would mix the metrics of two servers in
// one process.
func newHTTPMetrics() *httpMetrics {
	return &httpMetrics{
		counters: metrics.NewSet(), histograms: metrics.NewSet(),
		requestCounts: map[routeStatus]*metrics.Counter{}, responseTimes: map[string]*metrics.PrometheusHistogram{},
	}
}

// countResponse counts a response and its duration. The status is 0 if the handler wrote no response. A stream is
// counted when it ends.
func (m *httpMetrics) countResponse(r *http.Request, status int, took time.Duration) {
	requests, seconds := m.metricsFor(routeStatus{servedRoute(r), status})
	requests.Inc()
	seconds.Update(took.Seconds())
}

// metricsFor allocates only for the first response of each kind.
func (m *httpMetrics) metricsFor(key routeStatus) (*metrics.Counter, *metrics.PrometheusHistogram) {
	m.mu.RLock()
	requests, seconds := m.requestCounts[key], m.responseTimes[key.route]
	m.mu.RUnlock()
	if requests != nil && seconds != nil {
		return requests, seconds
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// Another request may have created the metrics after this request released the read lock. The GetOrCreate functions
	// then return the existing metrics.
	m.requestCounts[key] = m.counters.GetOrCreateCounter(withLabels("watchword_http_requests_total",
		"route", key.route, "status", strconv.Itoa(key.status)))
	m.responseTimes[key.route] = m.histograms.GetOrCreatePrometheusHistogramExt(
		withLabels("watchword_http_request_seconds", "route", key.route), bucketBounds)
	return m.requestCounts[key], m.responseTimes[key.route]
}

// bucketBounds are in seconds. They begin at 0.5 ms, because a refresh takes about 1 ms, and end at 5 s, when clients
// give up.
var bucketBounds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// withLabels appends labels to the name of a metric, such as {route="/me",status="200"}. The arguments alternate
// between name and value.
func withLabels(name string, labels ...string) string {
	for i := 0; i+1 < len(labels); i += 2 {
		name += []string{"{", ","}[min(i, 1)] + labels[i] + "=" + strconv.Quote(labels[i+1])
	}
	if len(labels) > 0 {
		name += "}"
	}
	return name
}

// serveMetrics responds with all metrics in the text format of Prometheus, version 0.0.4.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	var page bytes.Buffer
	writeMetricHeader(&page, "counter", "watchword_http_requests_total", "Requests by route and status.")
	s.metrics.counters.WritePrometheus(&page)
	writeMetricHeader(&page, "histogram", "watchword_http_request_seconds", "Response time by route.")
	s.metrics.histograms.WritePrometheus(&page)
	writeGauge(&page, "watchword_feed_streams", "Open streams of the revocation feed.", float64(s.api.streams.countOpen()))
	writeEngineMetrics(r.Context(), &page, s.engine)
	metrics.WriteProcessMetrics(&page) // metrics with the prefixes go_ and process_
	metrics.WriteFDMetrics(&page)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(page.Bytes())
}

// writeMetricHeader writes the HELP and TYPE lines, which dashboards show.
func writeMetricHeader(w io.Writer, kind, name, help string) {
	_, _ = fmt.Fprintf(w, "# HELP %s %s\n# TYPE %[1]s %s\n", name, help, kind)
}

// writeGauge and writeCounter ignore write errors, because a write fails only if the scraper has disconnected.
func writeGauge(w io.Writer, name, help string, value float64) {
	writeMetricHeader(w, "gauge", name, help)
	metrics.WriteGaugeFloat64(w, name, value)
}

// writeCounter writes a total that begins at 0 with each start of the process, as Prometheus expects.
func writeCounter(w io.Writer, name, help string, value float64) {
	writeMetricHeader(w, "counter", name, help)
	metrics.WriteCounterFloat64(w, name, value)
}

// writeEngineMetrics waits up to 5 s for the store. If the store is unavailable, the metrics that come from it are
// omitted and store_up is 0. The counts of this process are always written.
func writeEngineMetrics(ctx context.Context, w io.Writer, engine *watchword.Engine) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	stats, err := engine.Stats(ctx)
	writeCounters(w, "watchword_refresh_verdicts_total", "Decisions on refresh tokens.", "verdict", stats.Verdicts)
	writeCounters(w, "watchword_events_total", "Security events.", "event", stats.Events)
	writeCounters(w, "watchword_mail_attempts_total", "Attempts to send a mail.", "result",
		map[string]int64{"sent": int64(stats.MailSent), "failed": int64(stats.MailFailed)})
	writeGauge(w, "watchword_hash_queued", "Passwords waiting to be hashed.", float64(stats.Hashing.Queued))
	writeGauge(w, "watchword_hash_running", "Passwords being hashed.", float64(stats.Hashing.Running))
	writeCounter(w, "watchword_hash_done_total", "Passwords hashed.", float64(stats.Hashing.Done))
	writeCounter(w, "watchword_hash_shed_total", "Requests refused because the queue was too long.",
		float64(stats.Hashing.Shed))
	writeCounter(w, "watchword_hash_wait_seconds_total", "Time that passwords waited to be hashed.",
		stats.Hashing.Waited.Seconds())
	writeGauge(w, "watchword_feed_head", "Number of the last event of the revocation feed.", float64(stats.Feed.Last))
	writeGauge(w, "watchword_feed_unnumbered_seconds", "Age of the oldest ended session without a number.",
		secondsSince(stats.Feed.Unnumbered))
	writeMetricHeader(w, "gauge", "watchword_key_age_seconds", "Time since the active key began to sign.")
	for _, key := range stats.Keys {
		if key.State == "active" {
			name := withLabels("watchword_key_age_seconds", "use", string(key.Use))
			metrics.WriteGaugeFloat64(w, name, time.Since(key.ActiveFrom).Seconds())
		}
	}
	up := 1.0
	if err != nil || stats.Store != nil {
		up = 0
	}
	writeGauge(w, "watchword_store_up", "1 if the store accepts writes.", up)
	if err != nil {
		return
	}
	// After an error, this metric is omitted, because 0 would look like an empty outbox.
	writeMetricHeader(w, "gauge", "watchword_outbox_mails", "Mails in the outbox.")
	metrics.WriteGaugeUint64(w, withLabels("watchword_outbox_mails", "state", "waiting"), uint64(stats.MailWaiting))
	metrics.WriteGaugeUint64(w, withLabels("watchword_outbox_mails", "state", "given_up"), uint64(stats.MailGivenUp))
	writeGauge(w, "watchword_outbox_oldest_seconds", "Age of the oldest waiting mail.", secondsSince(stats.MailOldest))
}

// writeCounters writes one counter for each value of the label.
func writeCounters[K ~string, N int | int64 | uint64](w io.Writer, name, help, label string, countByLabel map[K]N) {
	writeMetricHeader(w, "counter", name, help)
	for key, n := range countByLabel {
		metrics.WriteCounterUint64(w, withLabels(name, label, string(key)), uint64(n))
	}
}

// secondsSince returns 0 for the zero time. An alert on the age of a mail, key or session therefore does not fire if
// there is no such mail, key or session.
func secondsSince(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return time.Since(t).Seconds()
}

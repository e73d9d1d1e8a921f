package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/watchword-auth/watchword"
)

// Metrics are for alerts and for capacity: requests by route, decisions about refresh tokens, the
// queue of hashes, the outbox, keys and the feed. docs/operations.md lists them and says which
// values need attention.

// metrics are the metrics of the admin listener. Labels are routes and never users or paths, so
// that their number is bounded.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// The registry is the server's own, so that two servers in one process don't collide and an
// embedding program's metrics stay apart. The buckets begin at half a millisecond, because a
// refresh takes about one, and end at the five seconds after which clients give up.
func newMetrics(engine *watchword.Engine, open *streams) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "watchword_http_requests_total", Help: "Requests by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "watchword_http_request_seconds", Help: "Response time by route.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route"}),
	}
	streaming := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "watchword_feed_streams", Help: "Open streams of the revocation feed.",
	}, func() float64 { return float64(open.count()) })
	m.registry.MustRegister(m.requests, m.seconds, streaming, engineCollector{engine},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts a response. A status of 0 means that the handler wrote none. An open stream
// counts when it ends, with the time for which it was open.
func (m *metrics) observe(r *http.Request, status int, took time.Duration) {
	route := routeOf(r)
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// An engineCollector reads the engine's statistics at each scrape.
//
// The engine keeps the counts, and the collector converts them. So the engine needs no Prometheus,
// and a library user can read the same numbers from Engine.Stats.
type engineCollector struct{ engine *watchword.Engine }

// describeMetric adds the prefix of all metrics. Names and labels are documented in
// docs/operations.md and stay.
func describeMetric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("watchword_"+name, help, labels, nil)
}

var (
	descVerdicts    = describeMetric("refresh_verdicts_total", "Decisions on refresh tokens.", "verdict")
	descEvents      = describeMetric("events_total", "Security events.", "event")
	descHashQueued  = describeMetric("hash_queued", "Passwords waiting to be hashed.")
	descHashRunning = describeMetric("hash_running", "Passwords being hashed.")
	descHashDone    = describeMetric("hash_done_total", "Passwords hashed.")
	descHashShed    = describeMetric("hash_shed_total", "Requests refused because the queue was too long.")
	descHashWaited  = describeMetric("hash_wait_seconds_total", "Time that passwords waited to be hashed.")
	descMails       = describeMetric("outbox_mails", "Mails in the outbox.", "state")
	descMailAge     = describeMetric("outbox_oldest_seconds", "Age of the oldest waiting mail.")
	descMailTries   = describeMetric("mail_attempts_total", "Attempts to send a mail.", "result")
	descKeyAge      = describeMetric("key_age_seconds", "Time since the active key began to sign.", "use")
	descFeedHead    = describeMetric("feed_head", "Number of the last event of the revocation feed.")
	descFeedAge     = describeMetric("feed_unnumbered_seconds", "Age of the oldest ended session without a number.")
	descUp          = describeMetric("store_up", "1 if the store accepts writes.")
)

// Describe sends the descriptions of all metrics of the engine.
func (c engineCollector) Describe(all chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descVerdicts, descEvents, descHashQueued, descHashRunning, descHashDone, descHashShed, descHashWaited,
		descMails, descMailAge, descMailTries, descKeyAge, descFeedHead, descFeedAge, descUp,
	} {
		all <- d
	}
}

// Collect waits up to 5 s for the store. If it is unavailable, the metrics of the store are
// omitted and store_up is 0. The counts of this process need no store. They are sent in both
// cases.
func (c engineCollector) Collect(all chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	stats, err := c.engine.Stats(ctx)
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		all <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	for verdict, n := range stats.Verdicts {
		send(descVerdicts, prometheus.CounterValue, float64(n), string(verdict))
	}
	for event, n := range stats.Events {
		send(descEvents, prometheus.CounterValue, float64(n), string(event))
	}
	send(descHashQueued, prometheus.GaugeValue, float64(stats.Hashing.Queued))
	send(descHashRunning, prometheus.GaugeValue, float64(stats.Hashing.Running))
	send(descHashDone, prometheus.CounterValue, float64(stats.Hashing.Done))
	send(descHashShed, prometheus.CounterValue, float64(stats.Hashing.Shed))
	send(descHashWaited, prometheus.CounterValue, stats.Hashing.Waited.Seconds())
	send(descFeedHead, prometheus.GaugeValue, float64(stats.Feed.Last))
	send(descFeedAge, prometheus.GaugeValue, secondsSince(stats.Feed.Unnumbered))
	send(descMailTries, prometheus.CounterValue, float64(stats.MailSent), "sent")
	send(descMailTries, prometheus.CounterValue, float64(stats.MailFailed), "failed")
	for _, key := range stats.Keys {
		if key.State == "active" {
			send(descKeyAge, prometheus.GaugeValue, time.Since(key.ActiveFrom).Seconds(), string(key.Use))
		}
	}
	up := 1.0
	if err != nil || stats.Store != nil {
		up = 0
	}
	send(descUp, prometheus.GaugeValue, up)
	if err != nil {
		return
	}
	// 0 would look like an empty outbox, so nothing is sent while the store can't be asked.
	send(descMails, prometheus.GaugeValue, float64(stats.MailWaiting), "waiting")
	send(descMails, prometheus.GaugeValue, float64(stats.MailGivenUp), "given_up")
	send(descMailAge, prometheus.GaugeValue, secondsSince(stats.MailOldest))
}

// secondsSince returns the seconds since t, or 0 for the zero time.
func secondsSince(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return time.Since(t).Seconds()
}

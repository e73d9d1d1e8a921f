// Package metrics counts events and durations, and writes them in the text format of
// Prometheus, version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats).
//
// The client library of Prometheus would do the same. It links protobuf for a second format
// that the server never offered: 2.4 MB, a tenth of the binary.
package metrics

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ContentType is the media type of a Page.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// A Page collects the metrics of one scrape. The zero value is an empty page.
type Page struct{ text strings.Builder }

// String returns the page in the text format.
func (p *Page) String() string { return p.text.String() }

// A Sample is one value of a metric. Labels are names and values in turn.
type Sample struct {
	Value  float64
	Labels []string
}

// Value returns a sample with the given labels: a name, its value, the next name.
func Value(value float64, labels ...string) Sample { return Sample{value, labels} }

// Counter writes a metric that only rises until the process restarts.
func (p *Page) Counter(name, help string, samples ...Sample) {
	p.family("counter", name, help, samples)
}

// Gauge writes a metric that rises and falls.
func (p *Page) Gauge(name, help string, samples ...Sample) { p.family("gauge", name, help, samples) }

// family writes nothing for a metric without samples, as the client library does.
func (p *Page) family(kind, name, help string, samples []Sample) {
	if len(samples) == 0 {
		return
	}
	p.head(kind, name, help)
	lines := make([]string, 0, len(samples))
	for _, s := range samples {
		lines = append(lines, line(name, s))
	}
	slices.Sort(lines) // the order of a map would change at each scrape
	for _, l := range lines {
		p.text.WriteString(l)
	}
}

// head writes the two comments in front of a metric. No help text contains a line break.
func (p *Page) head(kind, name, help string) {
	p.text.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n")
}

// escape replaces the characters that end a label's value.
var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func line(name string, s Sample) string {
	var b strings.Builder
	b.WriteString(name)
	for i := 0; i+1 < len(s.Labels); i += 2 {
		b.WriteString([]string{"{", ","}[min(i, 1)] + s.Labels[i] + `="` + escape.Replace(s.Labels[i+1]) + `"`)
	}
	if len(s.Labels) > 0 {
		b.WriteString("}")
	}
	b.WriteString(" " + float(s.Value) + "\n")
	return b.String()
}

// float formats a number. Infinity is +Inf, which strconv and the text format share.
func float(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// A Family is one V per key, created at its first use. The caller bounds the number of keys.
// The zero value is ready. It is safe for concurrent use, and At allocates only for new keys.
type Family[K comparable, V any] struct {
	mu  sync.RWMutex
	all map[K]*V
}

// At returns the value of key.
func (f *Family[K, V]) At(key K) *V {
	f.mu.RLock()
	v := f.all[key]
	f.mu.RUnlock()
	if v != nil {
		return v
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[K]*V{}
	}
	if f.all[key] == nil { // another goroutine may have been faster
		f.all[key] = new(V)
	}
	return f.all[key]
}

// Each calls fn for each key, in no particular order.
func (f *Family[K, V]) Each(fn func(K, *V)) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for key, v := range f.all {
		fn(key, v)
	}
}

// bounds are the upper bounds of a Histogram's buckets in seconds, inclusive. They begin at half
// a millisecond, because a refresh takes about one, and end at the five seconds after which
// clients give up.
var bounds = [...]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// A Histogram counts durations from half a millisecond to five seconds in 13 buckets, and
// longer ones in a last bucket. It is safe for concurrent use.
type Histogram struct {
	buckets [len(bounds) + 1]atomic.Uint64 // not cumulative
	nanos   atomic.Int64                   // sum of the durations
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	n := 0
	for n < len(bounds) && d.Seconds() > bounds[n] {
		n++
	}
	h.buckets[n].Add(1)
	h.nanos.Add(int64(d))
}

// Histograms writes a metric with one histogram for each value of a label.
func (p *Page) Histograms(name, help, label string, all *Family[string, Histogram]) {
	byValue := map[string]*Histogram{}
	all.Each(func(value string, h *Histogram) { byValue[value] = h })
	if len(byValue) == 0 {
		return
	}
	p.head("histogram", name, help)
	values := make([]string, 0, len(byValue))
	for value := range byValue {
		values = append(values, value)
	}
	slices.Sort(values)
	for _, value := range values {
		p.histogram(name, []string{label, value}, byValue[value])
	}
}

// histogram writes cumulative buckets. The count is their last one, because a duration may
// be counted between two reads.
func (p *Page) histogram(name string, labels []string, h *Histogram) {
	total := 0.0
	for n := range h.buckets {
		total += float64(h.buckets[n].Load())
		bound := "+Inf"
		if n < len(bounds) {
			bound = float(bounds[n])
		}
		p.text.WriteString(line(name+"_bucket", Value(total, append(slices.Clone(labels), "le", bound)...)))
	}
	p.text.WriteString(line(name+"_sum", Value(time.Duration(h.nanos.Load()).Seconds(), labels...)))
	p.text.WriteString(line(name+"_count", Value(total, labels...)))
}

package metrics_test

import (
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/metrics"
)

func TestPageHasTextFormat(t *testing.T) {
	t.Parallel()
	var seconds metrics.Family[string, metrics.Histogram]
	for _, d := range []time.Duration{0, 500 * time.Microsecond, 501 * time.Microsecond, time.Second, time.Minute} {
		seconds.At("GET /").Observe(d)
	}
	seconds.At("GET /b").Observe(3 * time.Second)
	var page metrics.Page
	page.Counter("requests_total", "Requests.",
		metrics.Value(2, "route", "b", "status", "200"), metrics.Value(1e21, "route", "a\\b\"c\nd"))
	page.Gauge("up", "1 if it works.", metrics.Value(1))
	page.Gauge("absent", "It has no samples.")
	page.Histograms("seconds", "Response time.", "route", &seconds)
	page.Histograms("no_seconds", "It has no samples.", "route", new(metrics.Family[string, metrics.Histogram]))
	want := `# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{route="a\\b\"c\nd"} 1e+21
requests_total{route="b",status="200"} 2
# HELP up 1 if it works.
# TYPE up gauge
up 1
# HELP seconds Response time.
# TYPE seconds histogram
seconds_bucket{route="GET /",le="0.0005"} 2
seconds_bucket{route="GET /",le="0.001"} 3
seconds_bucket{route="GET /",le="0.0025"} 3
seconds_bucket{route="GET /",le="0.005"} 3
seconds_bucket{route="GET /",le="0.01"} 3
seconds_bucket{route="GET /",le="0.025"} 3
seconds_bucket{route="GET /",le="0.05"} 3
seconds_bucket{route="GET /",le="0.1"} 3
seconds_bucket{route="GET /",le="0.25"} 3
seconds_bucket{route="GET /",le="0.5"} 3
seconds_bucket{route="GET /",le="1"} 4
seconds_bucket{route="GET /",le="2.5"} 4
seconds_bucket{route="GET /",le="5"} 4
seconds_bucket{route="GET /",le="+Inf"} 5
seconds_sum{route="GET /"} 61.001001
seconds_count{route="GET /"} 5
`
	if got := page.String(); !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	want = `seconds_bucket{route="GET /b",le="+Inf"} 1
seconds_sum{route="GET /b"} 3
seconds_count{route="GET /b"} 1
`
	if got := page.String(); !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s", got)
	}
}

// Dashboards for Go programs read these names.
func TestRuntimeHasMetricsOfGoDashboards(t *testing.T) {
	t.Parallel()
	runtime.GC()
	var page metrics.Page
	page.Runtime()
	text := page.String()
	names := []string{
		"go_goroutines", "go_threads", `go_info{version="go`, `go_gc_duration_seconds{quantile="0.75"}`,
		"go_gc_duration_seconds_count", "go_memstats_alloc_bytes", "go_memstats_heap_inuse_bytes",
		"go_memstats_next_gc_bytes", "go_memstats_mallocs_total", "go_sched_gomaxprocs_threads", "process_start_time_seconds",
	}
	if runtime.GOOS == "linux" {
		names = append(names, "process_resident_memory_bytes", "process_virtual_memory_bytes",
			"process_open_fds", "process_max_fds")
	}
	for _, name := range names {
		line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `.*$`).FindString(text)
		if line == "" || strings.HasSuffix(line, " 0") {
			t.Errorf("%s: %q", name, line)
		}
	}
	if lines := regexp.MustCompile(`(?m)^[^#].* 0$`).FindAllString(text, -1); len(lines) > 3 {
		t.Errorf("package runtime/metrics may have renamed a sample: %q", lines)
	}
}

func TestFamilyCountsFromManyGoroutines(t *testing.T) {
	t.Parallel()
	type key struct {
		route  string
		status int
	}
	var counts metrics.Family[key, atomic.Uint64]
	var all sync.WaitGroup
	for n := range 40 {
		all.Go(func() { counts.At(key{"a", n % 4}).Add(1) })
	}
	all.Wait()
	seen := 0
	counts.Each(func(k key, n *atomic.Uint64) {
		seen++
		if n.Load() != 10 {
			t.Errorf("%v was counted %d times, want 10", k, n.Load())
		}
	})
	if seen != 4 {
		t.Errorf("%d keys, want 4", seen)
	}
}

// Every request counts itself. The test is not parallel, because others would be counted.
func TestFamilyAllocatesOnlyForNewKeys(t *testing.T) {
	var counts metrics.Family[string, atomic.Uint64]
	counts.At("a")
	if allocations := testing.AllocsPerRun(100, func() { counts.At("a").Add(1) }); allocations > 0 {
		t.Errorf("a known key costs %v allocations", allocations)
	}
}

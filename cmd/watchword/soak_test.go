package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The soak test runs a constant mixed load against the built server and samples the resources of the server.
// SOAK_DURATION makes it longer: `make soak DURATION=1h`.
//
// The first quarter is the warm-up: the server restarts, and caches and pools grow to their bounds. After the
// warm-up, the same process runs to the end. During the whole test, signing keys rotate, and the sweeper deletes
// expired mail tokens.

// A trend is one column of the table of samples. Its slack is the growth that does not count as a leak. The resident
// memory may grow by two buffers of Argon2. The write-ahead log may grow to the size at which SQLite checkpoints it.
type trend struct {
	name           string
	slack          float64
	onlyInLongSoak bool // the values depend on the machine, so a short soak ignores them
	read           func(*sample) float64
}

const mebi = 1 << 20

var trends = []trend{
	{"resident MiB", 40, false, func(s *sample) float64 { return s.metrics["process_resident_memory_bytes"] / mebi }},
	{"live heap MiB", 6, false, func(s *sample) float64 { return s.metrics["go_memstats_heap_alloc_bytes"] / mebi }},
	{"goroutines", 20, false, func(s *sample) float64 { return s.metrics["go_goroutines"] }},
	{"handles", 12, false, func(s *sample) float64 { return s.metrics["process_open_fds"] }},
	{"WAL MiB", 16, false, func(s *sample) float64 { return s.wal / mebi }},
	{"p50 ms", 0.5, true, func(s *sample) float64 { return s.percentile(50) }},
	{"p99 ms", 5, true, func(s *sample) float64 { return s.percentile(99) }},
}

// A sample has the resources of the server at the end of an interval, and the latencies during the interval.
type sample struct {
	metrics   map[string]float64 // values by name, without labels
	wal       float64            // bytes of SQLite's write-ahead log; 0 on PostgreSQL
	latencies []time.Duration    // of the requests /refresh and /me
}

// percentile is in milliseconds. It returns 0 without any request.
func (s *sample) percentile(n int) float64 {
	if len(s.latencies) == 0 {
		return 0
	}
	slices.Sort(s.latencies)
	return s.latencies[(len(s.latencies)-1)*n/100].Seconds() * 1000
}

// isFlat compares the medians of the second and the last quarter. A trend is flat if the last median is at most 1.2
// times the second median plus the slack. Medians ignore single peaks. A leak grows all the time, so it also raises
// the median.
func isFlat(values []float64, slack float64) (second, last float64, flat bool) {
	n := len(values)
	second, last = median(values[n/4:n/2]), median(values[n-n/4:])
	return second, last, last <= 1.2*second+slack
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func TestIsFlatFindsALeakAndIgnoresPeaks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value func(i int) float64 // of 60
		want  bool
	}{
		"constant":                      {func(int) float64 { return 100 }, true},
		"zero":                          {func(int) float64 { return 0 }, true},
		"warm-up in the first quarter":  {func(i int) float64 { return float64(10 * min(i, 14)) }, true},
		"a few peaks":                   {func(i int) float64 { return 100 + float64(i%10/9*1000) }, true},
		"falls":                         {func(i int) float64 { return float64(200 - i) }, true},
		"a leak of 1 in each of 60":     {func(i int) float64 { return 100 + float64(i) }, false},
		"a jump in the last quarter":    {func(i int) float64 { return 100 + float64(i/45*40) }, false},
		"a jump within a fifth and 5":   {func(i int) float64 { return 100 + float64(i/45*25) }, true},
		"from nothing, above the slack": {func(i int) float64 { return float64(i / 45 * 6) }, false},
	} {
		var values []float64
		for i := range 60 {
			values = append(values, c.value(i))
		}
		if second, last, flat := isFlat(values, 5); flat != c.want {
			t.Errorf("%s: %v, %v: flat is %v", name, second, last, flat)
		}
	}
}

// Memory, goroutines, handles and the write-ahead log must stay flat under a constant load. With SOAK_DURATION, the
// latencies must stay flat too. A short run ignores them.
func TestMixedLoadKeepsResourcesFlat(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, arguments []string) {
		duration, isLong := 12*time.Second, false
		if text := os.Getenv("SOAK_DURATION"); text != "" {
			var err error
			if duration, err = time.ParseDuration(text); err != nil || duration < 8*time.Second {
				t.Fatalf("SOAK_DURATION=%s: want a duration of at least 8s, such as 1h", text)
			}
			isLong = true
		}
		queue := "2s" // the default
		if !isLong {  // a longer queue prevents refusals on a slow machine
			queue = "15s"
		}
		s := &soak{t: t, server: newServer(t, freeAddress(t)), dir: t.TempDir(), admin: freeAddress(t)}
		s.storeArguments = arguments
		s.serveArguments = append([]string{"--admin-listen=" + s.admin, "--pprof=on", "--limits=off",
			"--log-level=error",
			"--reset-ttl=30s", "--hash-queue=" + queue}, arguments...)
		s.applyLoad(duration)
		s.checkTrends(isLong)
	})
}

type soak struct {
	t              *testing.T
	server         *server
	dir, admin     string
	storeArguments []string
	serveArguments []string

	pause          sync.RWMutex // requests hold the read lock; a restart and a sample hold the write lock
	mu             sync.Mutex
	latencies      []time.Duration // since the last sample
	requestsByPath map[string]int
	samples        []*sample
}

// applyLoad takes 60 samples, or one sample a second if the duration is less than a minute.
func (s *soak) applyLoad(duration time.Duration) {
	s.requestsByPath = map[string]int{}
	s.restart(false)
	ctx, cancel := context.WithCancel(s.t.Context())
	var users sync.WaitGroup
	defer users.Wait()
	defer cancel()
	for n := range 8 {
		users.Go(func() { s.simulateUser(ctx, n) })
	}
	every := max(duration/60, time.Second)
	count := int(duration / every)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range count {
		<-tick.C
		if s.t.Failed() {
			return
		}
		s.samples = append(s.samples, s.takeSample())
		s.printSample()
		if i < count/4 && i%max(count/12, 1) == 0 {
			s.restart(true)
		}
		if i%max(count/6, 1) == 0 {
			s.rotateKeys()
		}
	}
}

// restart waits for running requests and blocks new ones, as a deployment behind a load balancer does.
func (s *soak) restart(isRunning bool) {
	s.pause.Lock()
	defer s.pause.Unlock()
	if isRunning {
		if err := s.server.terminate(); err != nil {
			s.t.Errorf("SIGTERM: %v\n%s", err, s.server.errs.String())
			return
		}
	}
	if err := s.server.start(s.dir, []string{"HOME=" + s.dir}, s.serveArguments); err != nil {
		s.t.Error(err)
	}
}

func (s *soak) rotateKeys() {
	for _, use := range []string{"sign", "refresh"} {
		arguments := append([]string{"keys", "rotate", use}, s.storeArguments...)
		if got := run(s.t, call{dir: s.dir, args: arguments}); got.code != 0 {
			s.t.Errorf("%v: %d %s", arguments, got.code, got.errors)
		}
	}
}

// simulateUser sends 50 requests a second, on a fast and on a slow machine, so that the load is constant. Each user
// repeats the same cycle of 400 requests. The users start at different points of the cycle, so that their sign-ups do
// not arrive together.
func (s *soak) simulateUser(ctx context.Context, n int) {
	d, accounts, email := newDevice(s.t, s.server.address), 0, ""
	refreshToken, signedIn := "", false
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 50 * n; ctx.Err() == nil && !s.t.Failed(); i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		credentials := body{"email": email, "password": firstSecret, "delivery": "body"}
		var got *apiResponse
		switch {
		case i%400 == 0, email == "":
			accounts++
			email = fmt.Sprintf("soak%d.%d@example.com", n, accounts)
			credentials["email"] = email
			got = s.requestWithRetry(ctx, d, http.MethodPost, "/register", credentials, 201)
			signedIn = true
		case i%400 == 200:
			s.requestWithRetry(ctx, d, http.MethodPost, "/password/forgot", body{"email": email}, 202)
			continue
		case i%100 == 50:
			s.requestWithRetry(ctx, d, http.MethodPost, "/logout", body{"refreshToken": refreshToken}, 200)
			signedIn = false
			continue
		case !signedIn:
			got = s.requestWithRetry(ctx, d, http.MethodPost, "/login", credentials, 200)
			signedIn = true
		case i%2 == 0:
			got = s.requestWithRetry(ctx, d, http.MethodPost, "/refresh", body{"refreshToken": refreshToken}, 200)
		default:
			s.requestWithRetry(ctx, d, http.MethodGet, "/me", nil, 200)
			continue
		}
		if got != nil {
			refreshToken, d.accessToken = got.RefreshToken, got.AccessToken
		}
	}
}

// requestWithRetry repeats the request after a 503 TRY_LATER, as clients do. It returns nil if the soak has ended.
// Any other status fails the test.
func (s *soak) requestWithRetry(ctx context.Context, d *device, method, path string, b body, want int) *apiResponse {
	for ctx.Err() == nil {
		got, took, err := s.send(ctx, d, method, path, b)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.t.Errorf("%s %s: %v", method, path, err)
			return nil
		case got.status == http.StatusServiceUnavailable && got.Code == "TRY_LATER":
			s.recordRequest("503", 0)
			time.Sleep(time.Second) // as long as Retry-After
		case got.status != want:
			s.t.Errorf("%s %s: %d %s, want %d", method, path, got.status, got.Code, want)
			return nil
		default:
			s.recordRequest(path, took)
			return got
		}
	}
	return nil
}

// send waits while the server restarts or a sample is taken.
func (s *soak) send(
	ctx context.Context, d *device, method, path string, b body,
) (got *apiResponse, took time.Duration, err error) {
	s.pause.RLock()
	defer s.pause.RUnlock()
	begun := time.Now()
	got, err = d.send(ctx, method, path, b)
	return got, time.Since(begun), err
}

func (s *soak) recordRequest(what string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requestsByPath[what]++
	if what == "/refresh" || what == "/me" {
		s.latencies = append(s.latencies, took)
	}
}

// takeSample waits for running requests and makes the server collect garbage. Afterwards, the heap contains only data
// that outlives requests, and no buffers of Argon2.
func (s *soak) takeSample() *sample {
	s.pause.Lock()
	defer s.pause.Unlock()
	_, err := s.get("/debug/pprof/heap?gc=1")
	text, err2 := s.get("/metrics")
	if err := errors.Join(err, err2); err != nil {
		s.t.Error(err)
		return &sample{}
	}
	one := &sample{metrics: map[string]float64{}}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			one.metrics[name] = number
		}
	}
	if info, err := os.Stat(filepath.Join(s.dir, "watchword-data", "watchword.db-wal")); err == nil {
		one.wal = float64(info.Size())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one.latencies, s.latencies = s.latencies, nil
	return one
}

func (s *soak) get(path string) (string, error) {
	response, err := s.server.client().Get("http://" + s.admin + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, response.Status)
	}
	return string(text), err
}

func (s *soak) printSample() {
	var head, row strings.Builder
	for _, one := range trends {
		fmt.Fprintf(&head, " %s |", one.name)
		fmt.Fprintf(&row, " %.1f |", one.read(s.samples[len(s.samples)-1]))
	}
	if len(s.samples) == 1 {
		s.t.Logf("| sample |%s", head.String())
	}
	s.t.Logf("| %d |%s", len(s.samples), row.String())
}

func (s *soak) checkTrends(isLong bool) {
	if s.t.Failed() {
		return
	}
	for _, path := range []string{"/register", "/login", "/logout", "/refresh", "/me", "/password/forgot"} {
		if s.requestsByPath[path] == 0 {
			s.t.Errorf("no request for %s", path)
		}
	}
	s.t.Logf("requests: %v", s.requestsByPath)
	if refused := s.requestsByPath["503"]; refused > s.requestsByPath["/refresh"]/100 {
		s.t.Errorf("%d requests got 503, more than one of 100 refreshes", refused)
	}
	for _, one := range trends {
		var values []float64
		for _, sample := range s.samples {
			values = append(values, one.read(sample))
		}
		second, last, flat := isFlat(values, one.slack)
		s.t.Logf("%-14s %8.1f in the second quarter, %8.1f in the last", one.name, second, last)
		if !flat && (isLong || !one.onlyInLongSoak) {
			s.t.Errorf("%s rises from %.1f to %.1f", one.name, second, last)
		}
		if last == 0 && !one.onlyInLongSoak && one.name != "WAL MiB" {
			s.t.Errorf("%s is not measured", one.name)
		}
	}
}

package verify_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/storetest"
	"github.com/watchword-auth/watchword/verify"
)

// An unreliableProxy forwards requests to a server. It cuts connections, repeats and
// reorders events, and inserts forged ones.
type unreliableProxy struct {
	mu         sync.Mutex
	rng        *rand.Rand
	server     http.Handler // nil while the server is down
	cutStreams int
}

func (l *unreliableProxy) connect(server http.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server = server
}

func (l *unreliableProxy) happens(probability float64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.Float64() < probability
}

func (l *unreliableProxy) countCutStreams() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cutStreams
}

func (l *unreliableProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	server := l.server
	l.mu.Unlock()
	if server == nil || l.happens(0.05) {
		panic(http.ErrAbortHandler)
	}
	if strings.HasSuffix(r.URL.Path, "/stream") {
		w = &unreliableStream{w, l}
	}
	server.ServeHTTP(w, r)
}

type unreliableStream struct {
	http.ResponseWriter
	proxy *unreliableProxy
}

func (s *unreliableStream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Write sends complete events, some of them twice, and in a random order. If the last event is a heartbeat, it stays
// the last one.
func (s *unreliableStream) Write(text []byte) (int, error) {
	events := strings.SplitAfter(strings.TrimSuffix(string(text), "\n\n")+"\n\n", "\n\n")
	events = events[:len(events)-1]
	var last []string
	if n := len(events); strings.HasPrefix(events[n-1], "event: heartbeat") {
		events, last = events[:n-1], events[n-1:]
	}
	s.proxy.mu.Lock()
	for _, event := range events {
		if s.proxy.rng.IntN(3) == 0 {
			events = append(events, event)
		}
	}
	s.proxy.rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	cut := -1
	if s.proxy.rng.IntN(4) == 0 {
		cut = s.proxy.rng.IntN(len(events) + 1)
		s.proxy.cutStreams++
	}
	s.proxy.mu.Unlock()
	for i, event := range append(events, last...) {
		if i == cut {
			if s.proxy.happens(0.3) {
				_, _ = s.ResponseWriter.Write([]byte("data: " + encoded(`{"alg":"none"}`) + ".e30.\n\n"))
			}
			panic(http.ErrAbortHandler)
		}
		if _, err := s.ResponseWriter.Write([]byte(event)); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}

func (s *testServer) runBackgroundTasks(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	engine := s.engine
	go func() { defer close(done); engine.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func (s *testServer) restartOnSameStore(t testing.TB) http.Handler {
	t.Helper()
	s.edge.EndStreams()
	s.engine.Close()
	var err error
	s.engine, err = watchword.New(context.Background(), s.store, s.options)
	must(t, err)
	t.Cleanup(s.engine.Close)
	s.edge, err = server.New(s.engine, server.Options{PublicURL: s.options.PublicURL})
	must(t, err)
	return s.edge
}

func (s *testServer) createSessions(t testing.TB, n int) (all []watchword.Session) {
	t.Helper()
	must(t, s.store.Update(context.Background(), func(tx watchword.Tx) error {
		all = nil
		for i := range n {
			all = append(all, storetest.Session(storetest.User(1).ID, i))
			if err := tx.InsertSession(context.Background(), all[i]); err != nil {
				return err
			}
		}
		return nil
	}))
	return all
}

func (s *testServer) end(t testing.TB, ended ...watchword.Session) {
	t.Helper()
	must(t, s.store.Update(context.Background(), func(tx watchword.Tx) error {
		for _, one := range ended {
			if _, err := tx.EndSession(context.Background(), one.ID, watchword.EndedLogout, s.clock.Now()); err != nil {
				return err
			}
		}
		return nil
	}))
}

func awaitRevoked(t testing.TB, v *verify.Verifier, sessions []watchword.Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for i := 0; i < len(sessions); {
		if errors.Is(v.Revocations().Check(string(sessions[i].ID), "", 0), verify.ErrRevoked) {
			i++
			continue
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("session %d of %d is not revoked", i, len(sessions))
		}
	}
}

// Every revocation must arrive, and no valid token may be rejected, although the network is unreliable and the server
// restarts.
func TestRevocationsArriveOverAnUnreliableNetwork(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: takes many seconds")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	proxy := &unreliableProxy{rng: rand.New(rand.NewPCG(seed, 0))}
	s := startServer(t, nil)
	proxy.server = s.front.Handler
	s.front.Handler = proxy
	stop := s.runBackgroundTasks(t)
	in := s.signUpAndSignIn(t, "ada@example.com")
	v := s.newVerifier(t, nil)
	for verified := false; !verified; { // retry, because the proxy cuts some requests
		_, err := v.Verify(t.Context(), string(in.AccessToken))
		verified = err == nil
		if err != nil && !errors.Is(err, verify.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	all := s.createSessions(t, 400)
	for n := 0; n < len(all); n += 20 {
		for i := range 10 {
			s.end(t, all[n+i])
		}
		if n%100 == 0 {
			proxy.connect(nil)
			stop()
			edge := s.restartOnSameStore(t)
			stop = s.runBackgroundTasks(t)
			proxy.connect(edge)
		}
		awaitRevoked(t, v, all[n:n+10])
	}
	for n, one := range all {
		if err := v.Revocations().Check(string(one.ID), string(one.UserID), 1); (err != nil) != (n%20 < 10) {
			t.Errorf("session %d: %v", n, err)
		}
	}
	if _, err := v.Verify(t.Context(), string(in.AccessToken)); err != nil {
		t.Errorf("the active session: %v", err)
	}
	cuts := proxy.countCutStreams()
	if cuts == 0 {
		t.Error("the proxy cut no stream")
	}
	t.Logf("%d streams were cut", cuts)
	must(t, s.engine.Logout(t.Context(), in.RefreshToken, "", watchword.Client{}))
	awaitRevoked(t, v, []watchword.Session{in.Session})
	wantError(t, v, string(in.AccessToken), verify.ErrRevoked)
}

func TestTenThousandSessionsEndingAtOnceAreRevoked(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: takes many seconds")
	}
	s := startServer(t, nil)
	s.runBackgroundTasks(t)
	in := s.signUpAndSignIn(t, "ada@example.com")
	verifiers := []*verify.Verifier{s.newVerifier(t, nil), s.newVerifier(t, nil), s.newVerifier(t, nil)}
	for _, v := range verifiers {
		must(t, v.Ready(t.Context()))
		wantError(t, v, string(in.AccessToken), nil)
	}
	many := 10_000
	if storetest.RaceDetector() {
		many /= 5
	}
	all := s.createSessions(t, many)
	s.end(t, all...)
	began := time.Now()
	for n, v := range verifiers {
		awaitRevoked(t, v, all)
		t.Logf("verifier %d rejects all of them after %s", n+1, time.Since(began).Round(time.Millisecond))
		wantError(t, v, string(in.AccessToken), nil)
	}
}

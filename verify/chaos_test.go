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

// A noisyLine is what may lie between a server and a verifier: it cuts, repeats,
// reorders and invents. It stands where the front of a service does.
type noisyLine struct {
	mu   sync.Mutex
	rng  *rand.Rand
	to   http.Handler // nil: the server is down
	cuts int
}

func (l *noisyLine) connect(to http.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = to
}

func (l *noisyLine) chance(of float64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.Float64() < of
}

// cut is how many streams were cut so far.
func (l *noisyLine) cut() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cuts
}

func (l *noisyLine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	to := l.to
	l.mu.Unlock()
	if to == nil || l.chance(0.05) {
		panic(http.ErrAbortHandler)
	}
	if strings.HasSuffix(r.URL.Path, "/stream") {
		w = &noisyStream{w, l}
	}
	to.ServeHTTP(w, r)
}

type noisyStream struct {
	http.ResponseWriter
	line *noisyLine
}

func (s *noisyStream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Write gets whole events, the heartbeat last.
func (s *noisyStream) Write(text []byte) (int, error) {
	events := strings.SplitAfter(strings.TrimSuffix(string(text), "\n\n")+"\n\n", "\n\n")
	events = events[:len(events)-1]
	var last []string
	if n := len(events); strings.HasPrefix(events[n-1], "event: heartbeat") {
		events, last = events[:n-1], events[n-1:]
	}
	s.line.mu.Lock()
	for _, event := range events {
		if s.line.rng.IntN(3) == 0 {
			events = append(events, event)
		}
	}
	s.line.rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	cut := -1
	if s.line.rng.IntN(4) == 0 {
		cut = s.line.rng.IntN(len(events) + 1)
		s.line.cuts++
	}
	s.line.mu.Unlock()
	for i, event := range append(events, last...) {
		if i == cut {
			if s.line.chance(0.3) {
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

// run lets the engine work in the background; the function returned stops it.
func (s *service) run(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	engine := s.engine
	go func() { defer close(done); engine.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// again starts a server anew on the same store, with nothing but the store.
func (s *service) again(t testing.TB) http.Handler {
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

// sessions makes sessions of one user.
func (s *service) sessions(t testing.TB, n int) (all []watchword.Session) {
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

func (s *service) end(t testing.TB, ended ...watchword.Session) {
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

// wantRevoked waits until all of them are refused.
func wantRevoked(t testing.TB, v *verify.Verifier, sessions []watchword.Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for i := 0; i < len(sessions); {
		if errors.Is(v.Revocations().Refuse(string(sessions[i].ID), "", 0), verify.ErrRevoked) {
			i++
			continue
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("session %d of %d is not refused", i, len(sessions))
		}
	}
}

// However bad the line is, and however often the server starts anew: what ended is
// refused before long, and nothing else is.
func TestABadLineHidesNoEndOfASession(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: it takes many seconds")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	line := &noisyLine{rng: rand.New(rand.NewPCG(seed, 0))}
	s := start(t, nil)
	line.to = s.front.Handler
	s.front.Handler = line
	stop := s.run(t)
	in := s.signUp(t, "ada@example.com")
	v := s.verifier(t, nil)
	for verified := false; !verified; { // the line is bad
		_, err := v.Verify(t.Context(), string(in.AccessToken))
		verified = err == nil
		if err != nil && !errors.Is(err, verify.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	all := s.sessions(t, 400)
	for n := 0; n < len(all); n += 20 {
		for i := range 10 {
			s.end(t, all[n+i])
		}
		if n%100 == 0 { // the server starts anew
			line.connect(nil)
			stop()
			edge := s.again(t)
			stop = s.run(t)
			line.connect(edge)
		}
		wantRevoked(t, v, all[n:n+10])
	}
	for n, one := range all {
		if err := v.Revocations().Refuse(string(one.ID), string(one.UserID), 1); (err != nil) != (n%20 < 10) {
			t.Errorf("session %d: %v", n, err)
		}
	}
	if _, err := v.Verify(t.Context(), string(in.AccessToken)); err != nil {
		t.Errorf("a session that goes on: %v", err)
	}
	cuts := line.cut()
	if cuts == 0 {
		t.Error("the line was good")
	}
	t.Logf("%d streams were cut in the middle", cuts)
	must(t, s.engine.Logout(t.Context(), in.RefreshToken, "", watchword.Client{}))
	wantRevoked(t, v, []watchword.Session{in.Session})
	wantError(t, v, string(in.AccessToken), verify.ErrRevoked)
}

func TestTenThousandEndAtOnce(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: it takes many seconds")
	}
	s := start(t, nil)
	s.run(t)
	in := s.signUp(t, "ada@example.com")
	followers := []*verify.Verifier{s.verifier(t, nil), s.verifier(t, nil), s.verifier(t, nil)}
	for _, v := range followers {
		must(t, v.Ready(t.Context()))
		wantError(t, v, string(in.AccessToken), nil)
	}
	many := 10_000
	if storetest.RaceDetector() {
		many /= 5
	}
	all := s.sessions(t, many)
	s.end(t, all...)
	began := time.Now()
	for n, v := range followers {
		wantRevoked(t, v, all)
		t.Logf("verifier %d refuses all of them after %s", n+1, time.Since(began).Round(time.Millisecond))
		wantError(t, v, string(in.AccessToken), nil)
	}
}

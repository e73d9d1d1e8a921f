package watchword_test

import (
	"flag"
	"os"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/sqlite"
	"github.com/watchword-auth/watchword/store/storetest"
)

// TestMain lowers the number of rapid's runs under the race detector, which makes SQLite twenty times slower. The
// flag -rapid.checks overrides this number.
func TestMain(m *testing.M) {
	if storetest.RaceDetector() {
		if err := flag.Set("rapid.checks", "20"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// These tests check the guarantees of docs/rotation.md on the real engine and a real file. The network never signs
// out an honest client, and two parties that both refresh one session are detected. rotation_promise_test.go tests
// Judge alone, with many more runs.

// A world is an engine on a database file. Tests can restart the engine and keep the file.
type world struct {
	*rig
	path string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	path := newDatabasePath(t)
	w := &world{path: path, rig: startOn(t, path, func(o *watchword.Options) { o.Limits = watchword.Unlimited() })}
	w.signUp(t, "ada@example.com")
	return w
}

func (w *world) restart(t *rapid.T) {
	w.Close()
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.store, err = sqlite.Open(t.Context(), w.path); err != nil {
		t.Fatal(err)
	}
	if w.Engine, err = watchword.NewForTest(t.Context(), w.store, w.opts); err != nil {
		t.Fatal(err)
	}
}

// An honestClient is a browser whose tabs share one refresh cookie.
type honestClient struct {
	w              *world
	jar            watchword.Secret
	cleanRotations int // responses that arrived since the last lost one
	lost           bool
}

func (h *honestClient) refresh(t *rapid.T) watchword.Secret {
	in, err := h.w.Refresh(t.Context(), h.jar, laptop)
	if err != nil {
		t.Fatalf("an honest client was refused: %v", err)
	}
	return in.RefreshToken
}

func (h *honestClient) responseArrives(t *rapid.T) {
	h.jar = h.refresh(t)
	if h.lost {
		h.cleanRotations, h.lost = 0, false
		return
	}
	h.cleanRotations++
}

// mayLose reports whether docs/rotation.md covers a loss of the next response. It does if the previous response was
// lost too, or if at least two responses have arrived since the last loss.
func (h *honestClient) mayLose() bool { return h.lost || h.cleanRotations > 1 }

// RT-5, RT-6
func TestEngineKeepsHonestClientsSignedIn(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: the test takes many seconds")
	}
	w := newWorld(t)
	t.Cleanup(func() { w.Close(); _ = w.store.Close() })
	rapid.Check(t, func(rt *rapid.T) {
		h := &honestClient{w: w, jar: w.login(t, "ada@example.com", laptop).RefreshToken, cleanRotations: 2}
		rt.Repeat(map[string]func(*rapid.T){
			"time passes": func(rt *rapid.T) {
				w.clock.advance(time.Duration(rapid.IntRange(0, int(5*time.Hour)).Draw(rt, "pause")))
			},
			"a server with another clock responds": func(rt *rapid.T) {
				w.clock.advance(time.Duration(rapid.IntRange(-int(5*time.Second), int(5*time.Second)).Draw(rt, "by")))
			},
			"the clock is set back": func(*rapid.T) { w.clock.advance(-time.Hour) },
			"a response arrives":    h.responseArrives,
			"a response is lost": func(rt *rapid.T) {
				if !h.mayLose() {
					rt.Skip("too soon after another")
				}
				h.refresh(rt)
				h.lost = true
			},
			"several tabs at once": func(rt *rapid.T) {
				tokens := make([]watchword.Secret, rapid.IntRange(2, 8).Draw(rt, "tabs"))
				var wg sync.WaitGroup
				for i := range tokens {
					wg.Go(func() {
						if in, err := w.Refresh(rt.Context(), h.jar, laptop); err == nil {
							tokens[i] = in.RefreshToken
						}
					})
				}
				wg.Wait()
				for _, token := range tokens {
					if token == "" || token != tokens[0] {
						rt.Fatal("a tab got another token or an error")
					}
				}
				h.jar = tokens[0]
				if h.lost {
					h.cleanRotations, h.lost = 0, false
				}
			},
			"the server restarts": func(rt *rapid.T) {
				if rapid.IntRange(0, 3).Draw(rt, "restart") > 0 {
					rt.Skip("a restart is slow") // it is slow because it prepares every SQL statement again
				}
				w.restart(rt)
			},
		})
	})
}

// RT-3, RT-13
func TestEngineDetectsTwoPartiesOnOneSession(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: the test takes many seconds")
	}
	w := newWorld(t)
	t.Cleanup(func() { w.Close(); _ = w.store.Close() })
	rapid.Check(t, func(rt *rapid.T) {
		user := &honestClient{w: w, jar: w.login(t, "ada@example.com", laptop).RefreshToken}
		for range rapid.IntRange(0, 5).Draw(rt, "before the theft") {
			w.clock.advance(15 * time.Minute)
			user.responseArrives(rt)
		}
		jars := map[string]watchword.Secret{"user": user.jar, "thief": user.jar}
		both := map[string]bool{}
		first := rapid.IntRange(0, 1).Draw(rt, "who refreshes first")
		for step := range 6 {
			name := []string{"user", "thief"}[(step+first)%2]
			w.clock.advance(11*time.Second + time.Duration(rapid.IntRange(0, int(time.Hour)).Draw(rt, "pause")))
			in, err := w.Refresh(rt.Context(), jars[name], laptop)
			if watchword.CodeOf(err) == watchword.CodeRefreshReused {
				return
			}
			if err != nil {
				rt.Fatalf("refresh: %v", err)
			}
			jars[name], both[name] = in.RefreshToken, true
		}
		rt.Fatalf("%v share the session, and reuse is not detected", both)
	})
}

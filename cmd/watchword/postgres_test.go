package main_test

import (
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// PostgreSQL is killed again and again while the server works, and started again.
// The server says 503 in between and finds back by itself; what was acknowledged
// holds, and nobody is signed out.
func TestACrashOfPostgresLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	crashes := 8
	if longer, err := strconv.Atoi(os.Getenv("SOAK_CRASHES")); err == nil {
		crashes = longer
	}
	database := pgtest.New(t)
	s := newServer(t, freeAddress(t))
	startServer(t, s, append(onPostgres(database.Database(t)), "--limits=off", "--log-level=error")...)
	actors := make([]*actor, 4)
	for i := range actors {
		actors[i] = &actor{t: t, device: newDevice(t, s.address), name: i}
	}
	var away time.Duration
	for range crashes {
		for _, a := range actors {
			a.check(t.Context())
		}
		var acting sync.WaitGroup
		for _, a := range actors {
			acting.Go(func() {
				for a.act(t.Context()) == nil {
				}
			})
		}
		time.Sleep(time.Duration(20+rand.IntN(200)) * time.Millisecond)
		database.Kill()
		acting.Wait()
		if err := database.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		away += untilReady(t, s)
	}
	for _, a := range actors {
		a.check(t.Context())
		t.Logf("actor %d: %d answers, %d without one or 503", a.name, a.answered, a.unanswered)
		if a.answered < crashes {
			t.Errorf("actor %d did next to nothing", a.name)
		}
	}
	t.Logf("%d crashes; ready %s after PostgreSQL was, on average", crashes, (away / time.Duration(crashes)).Round(time.Millisecond))
}

// The name of such a folder would hold the password.
func TestNoFolderIsMadeFromAPostgresURL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	arguments := onPostgres("postgres://me:" + weak + "@127.0.0.1:1/auth?sslmode=disable")
	run(t, call{dir: dir, args: append([]string{"migrate"}, arguments...)})
	if made, err := filepath.Glob(filepath.Join(dir, "postgres*")); err != nil || len(made) > 0 {
		t.Errorf("made: %v, %v", made, err)
	}
}

// untilReady waits until the server says so.
func untilReady(t *testing.T, s *server) time.Duration {
	t.Helper()
	begun := time.Now()
	for time.Since(begun) < 20*time.Second {
		if answer, err := s.client().Get(s.url() + "/readyz"); err == nil {
			answer.Body.Close() //nolint:errcheck // only its status is wanted
			if answer.StatusCode == http.StatusOK {
				return time.Since(begun)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the server did not find back to its database")
	return 0
}

package postgres_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/storetest"
)

// While the database hangs, concurrent requests whose tokens have unknown key ids must share one query for the keys.
// They must not query one after the other.
//
// KEY-3, MEM-1
func TestTokensWithUnknownKeysShareOneReadOfTheKeys(t *testing.T) {
	t.Parallel()
	server, other := pgtest.New(t, "fsync = off"), pgtest.New(t, "fsync = off")
	const timeout = 2 * time.Second
	engine := storetest.ReadyEngine(t, openStore(t, server.Database(t)+"&statement_timeout=2000"))
	foreign, err := storetest.ReadyEngine(t, openStore(t, other.Database(t))).SignUp(t.Context(),
		watchword.SignUpRequest{
			Email: "ada@example.com", Password: "seven purple otters",
		})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // otherwise, the engine would reuse the keys that it read in the last second
	server.Freeze(t)
	begun := time.Now()
	var asking sync.WaitGroup
	for range 50 {
		asking.Go(func() {
			_, err := engine.Authenticate(t.Context(), foreign.AccessToken)
			if !errors.Is(err, watchword.ErrUnavailable) {
				t.Errorf("a token of an unknown key: %v", err)
			}
		})
	}
	asking.Wait()
	took := time.Since(begun)
	t.Logf("50 tokens were refused after %s", took.Round(time.Millisecond))
	if took > 3*timeout {
		t.Errorf("50 tokens of unknown keys took %s, want one timeout of %s", took, timeout)
	}
	server.Thaw()
}

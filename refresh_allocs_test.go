package watchword_test

import (
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// The number of allocations is stable, unlike times. The bound is about 5 % above the measured number. Lower the
// bound after an improvement.
//
// The test is not parallel, because AllocsPerRun counts the allocations of the process.
func TestRefreshAllocationsAreBounded(t *testing.T) {
	for alg, most := range map[string]float64{"ES256": 160, "Ed25519": 95} {
		t.Run(alg, func(t *testing.T) {
			store, err := sqlite.Open(t.Context(), newDatabasePath(t))
			if err != nil {
				t.Fatal(err)
			}
			engine, err := watchword.New(t.Context(), store, watchword.Options{
				PublicURL: "https://id.example.com", MasterKey: []byte("a master key for tests, 32 bytes"),
				Mailer: &postbox{}, Limits: watchword.Unlimited(), SigningAlg: alg,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { engine.Close(); _ = store.Close() })
			in, err := engine.SignUp(t.Context(),
				watchword.SignUpRequest{Email: "ada@example.com", Password: goodPassword})
			if err != nil {
				t.Fatal(err)
			}
			token := in.RefreshToken
			refresh := func() {
				next, err := engine.Refresh(t.Context(), token, laptop)
				if err != nil {
					t.Fatal(err)
				}
				token = next.RefreshToken
			}
			refresh() // fills pools and caches
			got := testing.AllocsPerRun(100, refresh)
			if got > most {
				t.Errorf("%.0f allocations per refresh, want at most %.0f", got, most)
			}
			t.Logf("%.0f allocations per refresh", got)
		})
	}
}

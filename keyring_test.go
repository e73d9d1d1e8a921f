package watchword_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

func keyStates(keys []watchword.KeyInfo, use watchword.KeyUse) (s []string) {
	for _, k := range keys {
		if k.Use == use {
			s = append(s, k.State)
		}
	}
	slices.Sort(s)
	return s
}

// KEY-1, KEY-2
func TestAKeyIsPublishedBeforeItSignsAndKeptUntilItsTokensExpire(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	r.clock.advance(time.Hour)
	in, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
	must(t, err)
	for _, use := range []watchword.KeyUse{watchword.KeySign, watchword.KeyRefresh} {
		keys, err := r.Operator().RotateKeys(t.Context(), use)
		must(t, err)
		if got := keyStates(keys, use); !slices.Equal(got, []string{"active", "next", "retired"}) {
			t.Errorf("%s: %v", use, got)
		}
	}
	r.authenticate(t, in) // the retired key, which signed this token, still verifies it
	var set struct {
		Keys []struct{ Kid, Alg, Use, D string }
	}
	must(t, json.Unmarshal(r.JWKS(), &set))
	if len(set.Keys) != 3 {
		t.Errorf("%d keys are published", len(set.Keys))
	}
	for _, k := range set.Keys {
		if k.D != "" {
			t.Error("a private key is published")
		}
	}
	next, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
	must(t, err)
	again, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
	must(t, err)
	if next.RefreshToken != again.RefreshToken {
		t.Error("a repeat after a key rotation got another token")
	}
}

func TestASecondRotationWaitsUntilTheKeyHasBeenPublishedLongEnough(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.clock.advance(time.Hour)
	keys, err := r.Operator().RotateKeys(t.Context(), watchword.KeySign)
	must(t, err)
	active := activeID(keys)
	keys, err = r.Operator().RotateKeys(t.Context(), watchword.KeySign)
	must(t, err)
	if activeID(keys) != active {
		t.Error("a key signs before it was published long enough")
	}
	r.clock.advance(11 * time.Minute)
	keys, err = r.Operator().Keys(t.Context())
	must(t, err)
	if activeID(keys) == active {
		t.Error("the second rotation did not happen")
	}
}

func activeID(keys []watchword.KeyInfo) string {
	for _, k := range keys {
		if k.Use == watchword.KeySign && k.State == "active" {
			return k.ID
		}
	}
	return ""
}

func TestTwoProcessesAgreeOnKeys(t *testing.T) {
	t.Parallel()
	one := startEngine(t, nil)
	two := startWith(t, one.store, func(o *watchword.Options) { o.Now = one.clock.Now })
	one.clock.advance(time.Hour)
	in := one.signUp(t, "ada@example.com")
	two.authenticate(t, in)
	_, err := one.Operator().RotateKeys(t.Context(), watchword.KeySign)
	must(t, err)
	_, err = one.Operator().RotateKeys(t.Context(), watchword.KeyRefresh)
	must(t, err)
	in = one.login(t, "ada@example.com", laptop)
	time.Sleep(time.Second) // a process reloads keys at most once a second of real time
	two.authenticate(t, in)
	if _, err := two.Refresh(t.Context(), in.RefreshToken, laptop); err != nil {
		t.Error(err)
	}
}

func TestKeysRotateLiveWithoutAFailedVerification(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.Limits = watchword.Unlimited() })
	r.signUp(t, "ada@example.com")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		token := r.login(t, "ada@example.com", laptop).RefreshToken
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				next, err := r.Refresh(t.Context(), token, laptop)
				if err != nil {
					t.Errorf("refresh: %v", err)
					return
				}
				if _, err := r.Authenticate(t.Context(), next.AccessToken); err != nil {
					t.Errorf("verify: %v", err)
					return
				}
				token = next.RefreshToken
			}
		})
	}
	for range 20 {
		r.clock.advance(11 * time.Minute / 20)
		for _, use := range []watchword.KeyUse{watchword.KeySign, watchword.KeyRefresh} {
			if _, err := r.Operator().RotateKeys(t.Context(), use); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	wg.Wait()
}

// KEY-4
func TestStoredKeysCannotBeReadWithAnotherMasterKey(t *testing.T) {
	t.Parallel()
	path := newDatabasePath(t)
	r := startOn(t, path, nil)
	opts := r.opts
	opts.MasterKey = []byte("another master key than that one")
	if _, err := watchword.NewForTest(t.Context(), r.store, opts); err == nil ||
		!strings.Contains(err.Error(), "master key") {
		t.Errorf("New with another master key returns %v", err)
	}
}

func TestTheAlgorithmCanBeChanged(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	for _, alg := range []string{"Ed25519", "RS256"} {
		r = &rig{store: r.store, clock: r.clock, post: r.post, opts: r.opts,
			Engine: startOnSameStore(t, r, func(o *watchword.Options) { o.SigningAlg = alg })}
		r.authenticate(t, in)
		r.clock.advance(11 * time.Minute)
		in = r.login(t, "ada@example.com", laptop)
		r.authenticate(t, in)
		keys, err := r.Operator().Keys(t.Context())
		must(t, err)
		i := slices.IndexFunc(keys, func(k watchword.KeyInfo) bool { return k.ID == activeID(keys) })
		if keys[i].Alg != alg {
			t.Errorf("%s signs, not %s", keys[i].Alg, alg)
		}
	}
}

func startOnSameStore(t *testing.T, r *rig, change func(*watchword.Options)) *watchword.Engine {
	t.Helper()
	opts := r.opts
	change(&opts)
	engine, err := watchword.NewForTest(t.Context(), r.store, opts)
	must(t, err)
	t.Cleanup(engine.Close)
	return engine
}

func TestASharedSecretHasNoPublicKey(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) {
		o.SigningAlg, o.SigningSecret = "HS256", "a secret that resource servers share"
	})
	r.authenticate(t, r.signUp(t, "ada@example.com"))
	if got := string(r.JWKS()); got != `{"keys":[]}` {
		t.Errorf("JWKS: %s", got)
	}
	opts := r.opts
	opts.SigningSecret = "too short"
	if _, err := watchword.NewForTest(t.Context(), r.store, opts); err == nil {
		t.Error("a short secret was accepted")
	}
}

type keyReadCounter struct {
	watchword.Store
	n atomic.Int64
}

func (s *keyReadCounter) View(ctx context.Context, fn func(watchword.Tx) error) error {
	return s.Store.View(ctx, func(tx watchword.Tx) error { return fn(keyReadsTx{tx, s}) })
}

type keyReadsTx struct {
	watchword.Tx
	store *keyReadCounter
}

func (t keyReadsTx) Keys(ctx context.Context) ([]watchword.Key, error) {
	t.store.n.Add(1)
	return t.Tx.Keys(ctx)
}

// KEY-3
func TestTokensOfUnknownKeysReloadKeysAtMostOnceASecond(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	other := startEngine(t, nil)
	foreign := other.signUp(t, "ada@example.com")
	store := &keyReadCounter{Store: r.store}
	engine, err := watchword.NewForTest(t.Context(), store, r.opts)
	must(t, err)
	t.Cleanup(engine.Close)
	before := store.n.Load()
	begun := time.Now()
	for range 500 {
		_, err := engine.Authenticate(t.Context(), foreign.AccessToken)
		wantCode(t, err, watchword.CodeTokenInvalid)
	}
	if reads, most := store.n.Load()-before, int64(time.Since(begun)/time.Second)+1; reads > most {
		t.Errorf("500 foreign tokens read the keys %d times", reads)
	}
}

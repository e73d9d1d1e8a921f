package factors_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/totp"
	"github.com/watchword-auth/watchword/store/postgres"
)

type changeMoment string

const (
	beforeTransaction changeMoment = "before the transaction"
	beforeStatement   changeMoment = "between two statements of the transaction"
	uncommitted       changeMoment = "committed after the statement, begun before it"
	afterStatement    changeMoment = "after the statement"
)

// A hookedStore calls makeChange at one moment of a sign-in.
type hookedStore struct {
	watchword.Store
	at         changeMoment
	makeChange func()
	updates    int // transactions: the first counts the attempt, the second inserts the challenge
}

func (s *hookedStore) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	if s.updates++; s.updates == 2 && s.at == beforeTransaction {
		s.makeChange()
	}
	return s.Store.Update(ctx, func(tx watchword.Tx) error { return fn(hookedTx{tx, s}) })
}

type hookedTx struct {
	watchword.Tx
	store *hookedStore
}

func (t hookedTx) InsertLoginChallenge(
	ctx context.Context, c watchword.Challenge,
) ([]watchword.OfferedFactor, error) {
	if t.store.at == beforeStatement {
		t.store.makeChange()
	}
	all, err := t.Tx.InsertLoginChallenge(ctx, c)
	if t.store.at == afterStatement {
		t.store.makeChange()
	}
	return all, err
}

type commitHookStore struct {
	factors.Store
	beforeCommit func()
}

func (s commitHookStore) Update(ctx context.Context, fn func(factors.Tx) error) error {
	return s.Store.Update(ctx, func(tx factors.Tx) error {
		err := fn(tx)
		if err == nil {
			s.beforeCommit()
		}
		return err
	})
}

// The statement that inserts a challenge also returns the factors. It does not wait for a concurrent change, so the
// challenge can list outdated factors. The change must make this challenge invalid, so that the server refuses a
// sign-in with it.
func TestChallengeOfFactorsThatChangeAtTheSameTimeIsInvalid(t *testing.T) {
	changes := map[string]func(*rig, *testing.T, *account) func(*factors.Manager){
		"added":   (*rig).prepareAddition,
		"removed": (*rig).prepareRemoval,
	}
	onBothStores(t, func(t *testing.T, r *rig) {
		moments := []changeMoment{beforeTransaction}
		if _, ok := r.store.(*postgres.Store); ok { // the transactions of SQLite run one after the other
			moments = append(moments, beforeStatement, uncommitted, afterStatement)
		}
		for name, prepare := range changes {
			for _, at := range moments {
				t.Run(name+" "+string(at), func(t *testing.T) {
					a := r.createAccount(t, name+string(rune('a'+slices.Index(moments, at)))+"@example.com")
					r.addTOTP(t, a)
					r.signInDuringChange(t, a, at, prepare(r, t, a))
				})
			}
		}
	})
}

func (r *rig) prepareAddition(t *testing.T, a *account) func(*factors.Manager) {
	t.Helper()
	begun, err := r.BeginPasskey(t.Context(), a.who, false)
	must(t, err)
	credential := newDevice().respondToCreation(t, begun.Options)
	return func(m *factors.Manager) {
		_, err := m.ConfirmPasskey(t.Context(), a.who,
			factors.NewPasskey{Ceremony: begun.ID, Credential: credential}, laptop)
		must(t, err)
	}
}

// prepareRemoval adds a passkey, and returns a function that removes it.
func (r *rig) prepareRemoval(t *testing.T, a *account) func(*factors.Manager) {
	t.Helper()
	app := a.factor
	r.addPasskey(t, a, newDevice())
	key := a.factor
	a.factor = app
	return func(m *factors.Manager) { must(t, m.Remove(t.Context(), a.who, key.ID, laptop)) }
}

// signInDuringChange sends the password while the change is committed, and then the right code.
func (r *rig) signInDuringChange(t *testing.T, a *account, at changeMoment, changeFactors func(*factors.Manager)) {
	t.Helper()
	before := r.challengeByPassword(t, r.Engine, a)
	store := r.store.(realStore)
	hooked := &hookedStore{Store: storeWithoutClock{store}, at: at, makeChange: func() { changeFactors(r.Manager) }}
	engine, err := watchword.New(t.Context(), hooked, r.opts)
	must(t, err)
	t.Cleanup(engine.Close)
	hooked.updates = 0
	var during *watchword.ChallengeOffer
	if at == uncommitted {
		late := commitHookStore{store.Factors(), func() { during = r.challengeByPassword(t, engine, a) }}
		changeFactors(factors.New(r.Engine, late, factors.Options{}))
	} else {
		during = r.challengeByPassword(t, engine, a)
	}
	after := r.challengeByPassword(t, r.Engine, a)
	if slices.Equal(before.Methods, after.Methods) {
		t.Fatalf("the change has no effect: %q", after.Methods)
	}
	want := after.Methods
	if at == uncommitted || at == afterStatement {
		want = before.Methods
	}
	if !slices.Equal(during.Methods, want) || (during.Passkey != nil) != slices.Contains(want, "passkey") {
		t.Errorf("offers %q, want %q", during.Methods, want)
	}
	sessions := r.countSessions(t, a)
	_, err = r.loginWithCode(during.Handle, r.totpCode(t, a, 0))
	wantCode(t, err, watchword.CodeChallengeInvalid)
	if got := r.countSessions(t, a); got != sessions {
		t.Errorf("%d sessions, want %d", got, sessions)
	}
	r.advance(2 * totp.Period)
	_, err = r.loginWithCode(after.Handle, r.totpCode(t, a, 0))
	must(t, err)
}

func (r *rig) challengeByPassword(t *testing.T, engine *watchword.Engine, a *account) *watchword.ChallengeOffer {
	t.Helper()
	_, err := engine.Login(t.Context(), watchword.LoginRequest{Email: a.email, Password: password, Client: phone})
	var refusal *watchword.Error
	if err := r.Offer(t.Context(), err); !errors.As(err, &refusal) || refusal.Challenge == nil {
		t.Fatalf("got %v", err)
	}
	return refusal.Challenge
}

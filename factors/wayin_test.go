package factors_test

import (
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/federation"
)

// withoutPassword creates an account without a password, as accounts of a company's directory are, and signs in.
func (r *rig) withoutPassword(t *testing.T, email string) *account {
	t.Helper()
	user, err := r.Operator().CreateUser(t.Context(), watchword.NewUser{Email: email})
	must(t, err)
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.SetVerified(t.Context(), user.ID, user.Email, r.clock())
		return err
	}))
	a := &account{email: email}
	a.in, err = r.Operator().AdmitUser(t.Context(), watchword.AdmitRequest{
		User: user.ID, Methods: []string{"kba"}, Client: laptop})
	must(t, err)
	a.who = r.identity(t, a.in)
	return a
}

func TestLastWayInIsNotRemoved(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, d := r.withoutPassword(t, "ada@example.com"), newDevice()
		first := r.addPasskey(t, a, d).Factor()
		wantCode(t, r.Remove(t.Context(), a.who, first.ID, laptop), watchword.CodeLastWayIn)

		// A security key that does not verify the user is only a second factor.
		plain := newDevice()
		plain.authenticator.Options.UserNotVerified = true
		key := r.addPasskey(t, a, plain).Factor()
		wantCode(t, r.Remove(t.Context(), a.who, first.ID, laptop), watchword.CodeLastWayIn)
		r.addTOTP(t, a)
		wantCode(t, r.Remove(t.Context(), a.who, first.ID, laptop), watchword.CodeLastWayIn)
		_, err := r.loginWithPasskeyAlone(t, d)
		must(t, err)
		a.who = r.removeFactors(t, a, append([]factors.Factor{key}, a.factor))
		wantCode(t, r.Remove(t.Context(), a.who, first.ID, laptop), watchword.CodeLastWayIn)
	})
}

// Two processes each remove one of two passkeys at the same time. One of them must fail, because each removal relies
// on the other passkey.
func TestOneOfTwoParallelRemovalsKeepsTheLastWayIn(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.withoutPassword(t, "ada@example.com")
		ids := []string{r.addPasskey(t, a, newDevice()).Factor().ID, r.addPasskey(t, a, newDevice()).Factor().ID}
		got := runInParallel(2, func(i int) error {
			manager := []*factors.Manager{r.Manager, r.otherProcess}[i]
			return manager.Remove(t.Context(), a.who, ids[i], laptop)
		})
		if got[""] != 1 || got[watchword.CodeLastWayIn] != 1 {
			t.Fatalf("got %v", got)
		}
		overview, err := r.List(t.Context(), a.who.User.ID)
		must(t, err)
		if len(overview.Factors) != 1 {
			t.Errorf("%d passkeys are left", len(overview.Factors))
		}
	})
}

// If the account has a password, the user can remove every factor.
func TestPasswordIsAWayInBesideThePasskey(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccount(t, "ada@example.com")
		done := r.addPasskey(t, a, newDevice())
		must(t, r.Remove(t.Context(), a.who, done.Factor().ID, laptop))
	})
}

// A removed provider has no sign-in button, so its identity can't sign the user in. The server must keep the last
// passkey.
func TestPasskeyIsKeptBesideAnIdentityOfARemovedProvider(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.withoutPassword(t, "ada@example.com")
		one := r.addPasskey(t, a, newDevice()).Factor()
		external := r.store.(interface{ Federation() federation.Store }).Federation()
		must(t, external.Update(t.Context(), func(tx federation.Tx) error {
			_, err := tx.InsertIdentity(t.Context(), federation.Identity{ID: "00000000-0000-7000-8000-000000000001",
				UserID: a.who.User.ID, Provider: "acme", Issuer: "https://acme.example", Subject: "ada",
				LinkedAt: r.clock()})
			return err
		}))
		managerWith := func(offered ...string) *factors.Manager {
			return factors.New(r.Engine, r.store.(realStore).Factors(), factors.Options{Providers: offered})
		}
		for _, offered := range [][]string{nil, {"github", "acm"}} {
			m := managerWith(offered...)
			wantCode(t, m.Remove(t.Context(), a.who, one.ID, laptop), watchword.CodeLastWayIn)
			wantCode(t, m.ResetKind(t.Context(), "ops", a.who.User.ID, factors.KindPasskey), watchword.CodeLastWayIn)
		}
		must(t, managerWith("github", "acme").Remove(t.Context(), a.who, one.ID, laptop))
	})
}

func TestPasskeyIsSpareOnlyWherePasskeysAreOn(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.withoutPassword(t, "ada@example.com")
		one := r.addPasskey(t, a, newDevice()).Factor()
		spare := func(o factors.Options) (id string) {
			m := factors.New(r.Engine, r.store.(realStore).Factors(), o)
			must(t, r.store.(realStore).Factors().Update(t.Context(), func(tx factors.Tx) (err error) {
				id, err = m.Spare(t.Context(), tx, a.who.User.ID)
				return err
			}))
			return id
		}
		if on, off := spare(factors.Options{}), spare(factors.Options{NoPasskeys: true}); on != one.ID || off != "" {
			t.Errorf("on: %q, off: %q", on, off)
		}
	})
}

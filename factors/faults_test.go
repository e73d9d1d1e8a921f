package factors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/totp"
)

// A storeFault makes the store unavailable at one point of a flow. A flow has two transactions: the first counts the
// attempt, and the second makes the change.
type storeFault string

const (
	noFault           storeFault = ""
	failFirstTx       storeFault = "before the claim"
	failSecondTx      storeFault = "after the claim"
	rollBackSecondTx  storeFault = "before the commit"
	loseSecondResult  storeFault = "answer to the commit"   // committed, but the caller sees an error
	failTakeChallenge storeFault = "at the challenge"       // in the second transaction
	failUseOfProof    storeFault = "at the proof"           // in the second transaction
	loseFirstResult   storeFault = "answer to the claim"    // committed, but the caller sees an error
	failProveSession  storeFault = "at the changed session" // in the second transaction of a step-up
)

// A faultyStore becomes unavailable once, after a call of failOnce.
type faultyStore struct {
	factors.Store
	nextFault    atomic.Pointer[storeFault]
	transactions atomic.Int32 // since failOnce
}

func (s *faultyStore) failOnce(at storeFault) {
	s.transactions.Store(0)
	s.nextFault.Store(&at)
}

func unavailable() error { return fmt.Errorf("%w: cut by the test", watchword.ErrUnavailable) }

func (s *faultyStore) Update(ctx context.Context, fn func(factors.Tx) error) error {
	at := noFault
	if p := s.nextFault.Load(); p != nil {
		at = *p
	}
	n := s.transactions.Add(1)
	switch {
	case n == 1 && at == failFirstTx, n == 2 && at == failSecondTx:
		s.nextFault.Store(nil)
		return unavailable()
	case n == 1 && at == loseFirstResult, n == 2 && at == loseSecondResult:
		s.nextFault.Store(nil)
		if err := s.Store.Update(ctx, fn); err != nil {
			return err
		}
		return unavailable()
	case n == 2 && at == rollBackSecondTx:
		s.nextFault.Store(nil)
		return s.Store.Update(ctx, func(tx factors.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			return unavailable()
		})
	case n == 2:
		s.nextFault.Store(nil)
		return s.Store.Update(ctx, func(tx factors.Tx) error { return fn(faultyTx{tx, at}) })
	}
	return s.Store.Update(ctx, fn)
}

// A faultyTx fails at one statement.
type faultyTx struct {
	factors.Tx
	fault storeFault
}

func (t faultyTx) TakeChallenge(
	ctx context.Context, id string, p watchword.ChallengePurpose, now time.Time,
) (bool, error) {
	if t.fault == failTakeChallenge {
		return false, unavailable()
	}
	return t.Tx.TakeChallenge(ctx, id, p, now)
}

func (t faultyTx) ClaimStep(ctx context.Context, f factors.Factor, step int64, at time.Time) (bool, error) {
	if t.fault == failUseOfProof {
		return false, unavailable()
	}
	return t.Tx.ClaimStep(ctx, f, step, at)
}

func (t faultyTx) ClaimCount(ctx context.Context, f factors.Factor, at time.Time) (bool, error) {
	if t.fault == failUseOfProof {
		return false, unavailable()
	}
	return t.Tx.ClaimCount(ctx, f, at)
}

func (t faultyTx) TakeRecoveryCode(ctx context.Context, id watchword.UserID, hash string) (bool, error) {
	if t.fault == failUseOfProof {
		return false, unavailable()
	}
	return t.Tx.TakeRecoveryCode(ctx, id, hash)
}

func (t faultyTx) ProveSession(
	ctx context.Context, id watchword.SessionID, methods []string, at time.Time, c watchword.Cutoffs,
) (bool, error) {
	if t.fault == failProveSession {
		return false, unavailable()
	}
	return t.Tx.ProveSession(ctx, id, methods, at, c)
}

// useFaultyStore gives the rig a new Manager, which uses the returned store.
func (r *rig) useFaultyStore() *faultyStore {
	s := &faultyStore{Store: r.store.(realStore).Factors()}
	r.Manager = factors.New(r.Engine, s, factors.Options{})
	return s
}

// A proofKind creates a proof from the options of a passkey ceremony. The other kinds ignore the options.
type proofKind struct {
	name     string
	newProof func(options []byte) factors.Proof
}

// proofsOfEachKind advances the clock, because a TOTP code works once.
func (r *rig) proofsOfEachKind(t *testing.T, a *account, d *device) []proofKind {
	t.Helper()
	r.advance(2 * totp.Period)
	code, recovery := r.totpCode(t, a, 0), a.codes[0]
	a.codes = a.codes[1:]
	return []proofKind{
		{"app", func([]byte) factors.Proof { return factors.Proof{TOTP: code} }},
		{"recovery code", func([]byte) factors.Proof { return factors.Proof{RecoveryCode: recovery} }},
		{"passkey", func(options []byte) factors.Proof {
			return factors.Proof{Passkey: d.respondToRequest(t, options)}
		}},
	}
}

// If the store fails during a sign-in, the sign-in opens at most one session. The proof works once, and the user can
// try again.
//
// MFA-10
func TestStoreLostDuringASignInOpensNothingByHalf(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		s := r.useFaultyStore()
		a, d := r.createAccountWithTOTP(t), newDevice()
		r.addPasskey(t, a, d)
		for _, at := range []storeFault{
			failFirstTx, loseFirstResult, failSecondTx, failTakeChallenge, failUseOfProof, rollBackSecondTx,
			loseSecondResult,
		} {
			for _, way := range r.proofsOfEachKind(t, a, d) {
				t.Log(at, way.name)
				d.key.Counter++
				offer, before := r.challengeWithPasskey(t, a), r.countSessions(t, a)
				request := factors.LoginRequest{Handle: offer.Handle, Proof: way.newProof(offer.Passkey), Client: phone}
				s.failOnce(at)
				in, err := r.Manager.Login(t.Context(), request)
				if in != nil || !isUnavailable(err) {
					t.Fatalf("%v, %v", in, err)
				}
				committed := 0
				if at == loseSecondResult {
					committed = 1
				}
				if got := r.countSessions(t, a) - before; got != committed {
					t.Errorf("%d sessions after the fault", got)
				}
				r.assertNoSingleFactorSession(t, a)
				// A retry succeeds unless the first attempt was committed.
				if _, err = r.Manager.Login(t.Context(), request); committed == 1 {
					wantCode(t, err, watchword.CodeChallengeInvalid)
				} else {
					must(t, err)
				}
				// The proof does not work in another sign-in.
				offer = r.challengeWithPasskey(t, a)
				request.Handle = offer.Handle
				_, err = r.Manager.Login(t.Context(), request)
				wantCode(t, err, watchword.CodeFactorWrong)
				if got := r.countSessions(t, a) - before; got != 1 {
					t.Errorf("%d sessions of one proof", got)
				}
			}
			r.advance(totp.Period) // the next code signs in
			_, err := r.loginWithCode(r.passwordChallenge(t, a, phone), r.totpCode(t, a, 0))
			must(t, err)
		}
	}, func(o *watchword.Options) { o.Limits = watchword.Unlimited() })
}

// If the store fails during a step-up, the session either becomes fresh or stays unchanged. The proof works once.
//
// MFA-10
func TestStoreLostDuringAStepUpRaisesNothingByHalf(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		s := r.useFaultyStore()
		a, d := r.createAccountWithTOTP(t), newDevice()
		r.addPasskey(t, a, d)
		for _, at := range []storeFault{failFirstTx, failSecondTx, failTakeChallenge, failUseOfProof, failProveSession,
			rollBackSecondTx, loseSecondResult} {
			for _, way := range r.proofsOfEachKind(t, a, d) {
				if at == failTakeChallenge && way.name != "passkey" {
					continue // a TOTP or recovery code has no challenge in a step-up
				}
				t.Log(at, way.name)
				d.key.Counter++
				r.advance(time.Second)
				begun, err := r.StepUpOptions(t.Context(), a.who)
				must(t, err)
				stale := r.identity(t, a.in).Session
				request := factors.StepUpRequest{Proof: way.newProof(begun.Options), Client: laptop}
				s.failOnce(at)
				if _, _, err = r.StepUp(t.Context(), a.who, request); !isUnavailable(err) {
					t.Fatal(err)
				}
				now := r.identity(t, a.in).Session
				if fresh := now.AuthenticatedAt.After(stale.AuthenticatedAt); fresh != (at == loseSecondResult) {
					t.Errorf("the session is fresh: %v", fresh)
				}
				if at != loseSecondResult && !slices.Equal(now.Methods, stale.Methods) {
					t.Errorf("methods %q, before %q", now.Methods, stale.Methods)
				}
				if _, _, err = r.StepUp(t.Context(), a.who, request); at == loseSecondResult {
					if err == nil {
						t.Error("the proof of a committed step-up works again")
					}
				} else {
					must(t, err)
				}
				if _, _, err = r.StepUp(t.Context(), a.who, request); err == nil {
					t.Error("a proof works twice")
				}
				a.in, err = r.Refresh(t.Context(), a.in.RefreshToken, laptop)
				must(t, err)
				a.who = r.identity(t, a.in)
			}
		}
	}, func(o *watchword.Options) { o.Limits = watchword.Unlimited() })
}

// If an account must have a factor, its first factor and the session are stored together or not
// at all.
//
// MFA-10
func TestStoreLostDuringARequiredEnrolmentLeavesNothingByHalf(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		s := r.useFaultyStore()
		for _, at := range []storeFault{
			failFirstTx, failSecondTx, failTakeChallenge, rollBackSecondTx, loseSecondResult,
		} {
			a := &account{email: strings.ReplaceAll(string(at), " ", ".") + "@example.com"}
			a.who.User = r.createVerifiedUser(t, a.email)
			handle := r.requiredHandle(t, a.email)
			begun, err := r.BeginRequired(t.Context(), handle, "")
			must(t, err)
			a.secret = secretOf(t, begun)
			request := factors.RequiredRequest{Handle: handle, ID: begun.ID, Code: r.totpCode(t, a, 0), Client: laptop}
			s.failOnce(at)
			_, in, err := r.ConfirmRequired(t.Context(), request)
			if in != nil || !isUnavailable(err) {
				t.Fatalf("%s: %v, %v", at, in, err)
			}
			overview, err := r.List(t.Context(), a.who.User.ID)
			must(t, err)
			got, n := len(overview.Factors), r.countSessions(t, a)
			if got != n || (n == 1) != (at == loseSecondResult) {
				t.Errorf("%s: %d factors, %d sessions", at, got, n)
			}
			if at != loseSecondResult {
				_, _, err = r.ConfirmRequired(t.Context(), request)
				must(t, err)
			}
			_, _, err = r.ConfirmRequired(t.Context(), request)
			wantCode(t, err, watchword.CodeChallengeInvalid)
			// The enrolment has used this code, so the next code is needed.
			_, err = r.loginWithCode(r.passwordChallenge(t, a, phone), request.Code)
			wantCode(t, err, watchword.CodeFactorWrong)
			r.advance(totp.Period)
			_, err = r.loginWithCode(r.passwordChallenge(t, a, phone), r.totpCode(t, a, 0))
			must(t, err)
		}
	}, requireFactors)
}

func isUnavailable(err error) bool {
	return errors.Is(err, watchword.ErrUnavailable)
}

func (r *rig) assertNoSingleFactorSession(t *testing.T, a *account) {
	t.Helper()
	all, err := r.Operator().UserSessions(t.Context(), a.who.User.ID)
	must(t, err)
	for _, s := range all {
		if !slices.Contains(s.Methods, "mfa") {
			t.Errorf("a session has only %q", s.Methods)
		}
	}
}

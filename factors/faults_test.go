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

// A fault is a moment of a flow at which the store becomes unavailable. A flow has two transactions: the first counts
// the attempt, and the second makes the change.
type fault string

const (
	noFault      fault = ""
	beforeClaim  fault = "before the claim"       // the first transaction does not begin
	afterClaim   fault = "after the claim"        // the second transaction does not begin
	beforeCommit fault = "before the commit"      // the second transaction is rolled back
	lostAnswer   fault = "answer to the commit"   // the second transaction is committed, but its result is lost
	atChallenge  fault = "at the challenge"       // the second transaction can't consume the challenge
	atProof      fault = "at the proof"           // the second transaction can't use up the proof
	lostClaim    fault = "answer to the claim"    // the first transaction is committed, but its result is lost
	atSession    fault = "at the changed session" // the second transaction can't change the session (step-up)
)

// A cutStore is a real store that becomes unavailable once, at the fault that the method cut has set.
type cutStore struct {
	factors.Store
	next  atomic.Pointer[fault]
	count atomic.Int32 // number of transactions since the fault was set
}

func (s *cutStore) cut(at fault) {
	s.count.Store(0)
	s.next.Store(&at)
}

func unavailable() error { return fmt.Errorf("%w: cut by the test", watchword.ErrUnavailable) }

func (s *cutStore) Update(ctx context.Context, fn func(factors.Tx) error) error {
	at := noFault
	if p := s.next.Load(); p != nil {
		at = *p
	}
	n := s.count.Add(1)
	switch {
	case n == 1 && at == beforeClaim, n == 2 && at == afterClaim:
		s.next.Store(nil)
		return unavailable()
	case n == 1 && at == lostClaim, n == 2 && at == lostAnswer:
		s.next.Store(nil)
		if err := s.Store.Update(ctx, fn); err != nil {
			return err
		}
		return unavailable()
	case n == 2 && at == beforeCommit:
		s.next.Store(nil)
		return s.Store.Update(ctx, func(tx factors.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			return unavailable()
		})
	case n == 2:
		s.next.Store(nil)
		return s.Store.Update(ctx, func(tx factors.Tx) error { return fn(cutTx{tx, at}) })
	}
	return s.Store.Update(ctx, fn)
}

// A cutTx is a transaction in which one statement fails, because the store has become unavailable.
type cutTx struct {
	factors.Tx
	at fault
}

func (t cutTx) TakeChallenge(
	ctx context.Context, id string, p watchword.ChallengePurpose, now time.Time,
) (bool, error) {
	if t.at == atChallenge {
		return false, unavailable()
	}
	return t.Tx.TakeChallenge(ctx, id, p, now)
}

func (t cutTx) ClaimStep(ctx context.Context, f factors.Factor, step int64, at time.Time) (bool, error) {
	if t.at == atProof {
		return false, unavailable()
	}
	return t.Tx.ClaimStep(ctx, f, step, at)
}

func (t cutTx) ClaimCount(ctx context.Context, f factors.Factor, at time.Time) (bool, error) {
	if t.at == atProof {
		return false, unavailable()
	}
	return t.Tx.ClaimCount(ctx, f, at)
}

func (t cutTx) TakeRecoveryCode(ctx context.Context, id watchword.UserID, hash string) (bool, error) {
	if t.at == atProof {
		return false, unavailable()
	}
	return t.Tx.TakeRecoveryCode(ctx, id, hash)
}

func (t cutTx) ProveSession(
	ctx context.Context, id watchword.SessionID, methods []string, at time.Time, c watchword.Cutoffs,
) (bool, error) {
	if t.at == atSession {
		return false, unavailable()
	}
	return t.Tx.ProveSession(ctx, id, methods, at, c)
}

// cutting replaces the Manager by one with a cutStore, and returns this store.
func (r *rig) cutting() *cutStore {
	s := &cutStore{Store: r.store.(realStore).Factors()}
	r.Manager = factors.New(r.Engine, s, factors.Options{})
	return s
}

// A provenWay is a kind of second factor. Its function proof returns a proof of this kind. Only the passkey's
// function uses the argument, the options of the ceremony.
type provenWay struct {
	name  string
	proof func(options []byte) factors.Proof
}

// The method ways returns a provenWay for each kind of factor. Each proof of a provenWay works once.
func (r *rig) ways(t *testing.T, a *account, d *device) []provenWay {
	t.Helper()
	r.advance(2 * totp.Period)
	code, recovery := r.code(t, a, 0), a.codes[0]
	a.codes = a.codes[1:]
	return []provenWay{
		{"app", func([]byte) factors.Proof { return factors.Proof{TOTP: code} }},
		{"recovery code", func([]byte) factors.Proof { return factors.Proof{RecoveryCode: recovery} }},
		{"passkey", func(options []byte) factors.Proof { return factors.Proof{Passkey: d.use(t, options)} }},
	}
}

// If the store fails during a sign-in, the sign-in opens at most one session. The proof works once, and the user can
// try again.
//
// MFA-10
func TestStoreLostDuringASignInOpensNothingByHalf(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		s := r.cutting()
		a, d := r.withTOTP(t), newDevice()
		r.addPasskey(t, a, d)
		for _, at := range []fault{
			beforeClaim, lostClaim, afterClaim, atChallenge, atProof, beforeCommit, lostAnswer,
		} {
			for _, way := range r.ways(t, a, d) {
				t.Log(at, way.name)
				d.key.Counter++
				offer, before := r.offer(t, a), r.sessions(t, a)
				request := factors.LoginRequest{Handle: offer.Handle, Proof: way.proof(offer.Passkey), Client: phone}
				s.cut(at)
				in, err := r.Manager.Login(t.Context(), request)
				if in != nil || !isUnavailable(err) {
					t.Fatalf("%v, %v", in, err)
				}
				committed := 0
				if at == lostAnswer {
					committed = 1
				}
				if got := r.sessions(t, a) - before; got != committed {
					t.Errorf("%d sessions after the fault", got)
				}
				r.wantNoWeakSession(t, a)
				// A retry succeeds unless the first attempt was committed.
				if _, err = r.Manager.Login(t.Context(), request); committed == 1 {
					wantCode(t, err, watchword.CodeChallengeInvalid)
				} else {
					must(t, err)
				}
				// The proof does not work in another sign-in.
				offer = r.offer(t, a)
				request.Handle = offer.Handle
				_, err = r.Manager.Login(t.Context(), request)
				wantCode(t, err, watchword.CodeFactorWrong)
				if got := r.sessions(t, a) - before; got != 1 {
					t.Errorf("%d sessions of one proof", got)
				}
			}
			r.advance(totp.Period) // the next code signs in
			_, err := r.withCode(r.challenge(t, a, phone), r.code(t, a, 0))
			must(t, err)
		}
	}, func(o *watchword.Options) { o.Limits = watchword.Unlimited() })
}

// If the store fails during a step-up, the session either becomes fresh or stays unchanged. The proof works once.
//
// MFA-10
func TestStoreLostDuringAStepUpRaisesNothingByHalf(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		s := r.cutting()
		a, d := r.withTOTP(t), newDevice()
		r.addPasskey(t, a, d)
		for _, at := range []fault{beforeClaim, afterClaim, atChallenge, atProof, atSession, beforeCommit, lostAnswer} {
			for _, way := range r.ways(t, a, d) {
				if at == atChallenge && way.name != "passkey" {
					continue // only a step-up with a passkey has a challenge
				}
				t.Log(at, way.name)
				d.key.Counter++
				r.advance(time.Second)
				begun, err := r.StepUpOptions(t.Context(), a.who)
				must(t, err)
				stale := r.identity(t, a.in).Session
				request := factors.StepUpRequest{Proof: way.proof(begun.Options), Client: laptop}
				s.cut(at)
				if _, _, err = r.StepUp(t.Context(), a.who, request); !isUnavailable(err) {
					t.Fatal(err)
				}
				now := r.identity(t, a.in).Session
				if fresh := now.AuthenticatedAt.After(stale.AuthenticatedAt); fresh != (at == lostAnswer) {
					t.Errorf("the session is fresh: %v", fresh)
				}
				if at != lostAnswer && !slices.Equal(now.Methods, stale.Methods) {
					t.Errorf("methods %q, before %q", now.Methods, stale.Methods)
				}
				if _, _, err = r.StepUp(t.Context(), a.who, request); at == lostAnswer {
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
		s := r.cutting()
		for _, at := range []fault{beforeClaim, afterClaim, atChallenge, beforeCommit, lostAnswer} {
			a := &account{email: strings.ReplaceAll(string(at), " ", ".") + "@example.com"}
			a.who.User = r.newUser(t, a.email)
			handle := r.enrolment(t, a.email)
			begun, err := r.BeginRequired(t.Context(), handle, "")
			must(t, err)
			a.secret = secretOf(t, begun)
			request := factors.RequiredRequest{Handle: handle, ID: begun.ID, Code: r.code(t, a, 0), Client: laptop}
			s.cut(at)
			_, in, err := r.ConfirmRequired(t.Context(), request)
			if in != nil || !isUnavailable(err) {
				t.Fatalf("%s: %v, %v", at, in, err)
			}
			overview, err := r.List(t.Context(), a.who.User.ID)
			must(t, err)
			if got, want := len(overview.Factors), r.sessions(t, a); got != want || (want == 1) != (at == lostAnswer) {
				t.Errorf("%s: %d factors, %d sessions", at, got, want)
			}
			if at != lostAnswer {
				_, _, err = r.ConfirmRequired(t.Context(), request)
				must(t, err)
			}
			_, _, err = r.ConfirmRequired(t.Context(), request)
			wantCode(t, err, watchword.CodeChallengeInvalid)
			// The enrolment has used this code, so the next code is needed.
			_, err = r.withCode(r.challenge(t, a, phone), request.Code)
			wantCode(t, err, watchword.CodeFactorWrong)
			r.advance(totp.Period)
			_, err = r.withCode(r.challenge(t, a, phone), r.code(t, a, 0))
			must(t, err)
		}
	}, requireFactors)
}

func isUnavailable(err error) bool {
	return errors.Is(err, watchword.ErrUnavailable)
}

// wantNoWeakSession fails if a session of an account has no second factor.
func (r *rig) wantNoWeakSession(t *testing.T, a *account) {
	t.Helper()
	all, err := r.Operator().UserSessions(t.Context(), a.who.User.ID)
	must(t, err)
	for _, s := range all {
		if !slices.Contains(s.Methods, "mfa") {
			t.Errorf("a session has only %q", s.Methods)
		}
	}
}

package factors_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/totp"
)

// awaitMail returns the next mail of this kind, and skips mails of other kinds.
func (r *rig) awaitMail(t *testing.T, kind watchword.MailKind) watchword.Message {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	defer func() { stop(); <-done }()
	for {
		select {
		case m := <-r.mails:
			if m.Kind == kind {
				return m
			}
		case <-time.After(time.Minute):
			t.Fatalf("no mail of kind %s", kind)
		}
	}
}

func wantStepUp(t *testing.T, err error, acr string) {
	t.Helper()
	wantCode(t, err, watchword.CodeStepUpRequired)
	var refusal *watchword.Error
	if !errors.As(err, &refusal) || refusal.StepUp == nil || refusal.StepUp.ACR != acr ||
		refusal.StepUp.MaxAge != stepUpAge {
		t.Fatalf("got %+v, want %s", refusal, acr)
	}
}

func TestFirstFactorEndsOtherSessionsAndRaisesTheLevel(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccount(t, "ada@example.com")
		other, err := r.Engine.Login(t.Context(), watchword.LoginRequest{
			Email: a.email, Password: password, Client: phone})
		must(t, err)
		r.addTOTP(t, a)
		_, err = r.Authenticate(t.Context(), other.AccessToken)
		wantCode(t, err, watchword.CodeSessionEnded)
		if got := a.who.Session.Methods; !slices.Equal(got, []string{"pwd", "otp", "mfa"}) || len(a.codes) != 10 {
			t.Errorf("methods %q, %d codes", got, len(a.codes))
		}
		if a.who.User.Factors != 1 {
			t.Errorf("%d factors", a.who.User.Factors)
		}
		r.addTOTP(t, a)
		_, err = r.BeginTOTP(t.Context(), a.who, "")
		wantCode(t, err, watchword.CodeFactorLimit)
	})
}

// 10
func TestFactorEnrolledDuringASignInIsAskedFor(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccount(t, "ada@example.com")
		stale := a.who.User
		r.addTOTP(t, a)
		// A sign-in that read the account before the enrolment must not continue with the old factors. The sign-in
		// calls ReplacePassword, which locks the account. This call must report false.
		must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
			held, err := tx.ReplacePassword(t.Context(), stale, stale.PasswordHash)
			if held {
				t.Error("the sign-in goes on with the factors that it has read")
			}
			return err
		}))
		r.passwordChallenge(t, a, phone)
	})
}

// A request is authenticated, and then another sign-in replaces the password hash. The step-up must ask the user to
// try again later, and must not call the password wrong.
func TestPasswordOfAStepUpIsNotWrongAfterAnUpgradeOfItsHash(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccount(t, "ada@example.com")
		must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
			_, err := tx.ReplacePassword(t.Context(), a.who.User, "another hash")
			return err
		}))
		_, _, err := r.StepUp(t.Context(), a.who, factors.StepUpRequest{Password: password, Client: laptop})
		wantCode(t, err, watchword.CodeTryLater)
		if session := r.identity(t, a.in).Session; !session.AuthenticatedAt.Equal(a.who.Session.AuthenticatedAt) {
			t.Error("the session is fresh")
		}
	})
}

// 18
func TestSessionWithoutTheFactorEnrolsAndRemovesNothing(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccount(t, "ada@example.com")
		r.advance(stepUpAge + time.Second)
		_, err := r.BeginTOTP(t.Context(), a.who, "")
		wantStepUp(t, err, "aal1")
		_, _, err = r.StepUp(t.Context(), a.who, factors.StepUpRequest{Password: "wrong", Client: laptop})
		wantCode(t, err, watchword.CodePasswordWrong)
		_, _, err = r.StepUp(t.Context(), a.who, factors.StepUpRequest{Password: password, Client: laptop})
		must(t, err)
		r.addTOTP(t, a)

		// This session is fresh, but its level is too low to change factors.
		weak := a.who
		must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
			_, err := tx.(factors.Tx).ProveSession(t.Context(), weak.Session.ID, []string{"pwd"}, r.clock(),
				r.Inside().Cutoffs(r.clock()))
			return err
		}))
		_, err = r.BeginTOTP(t.Context(), weak, "")
		wantStepUp(t, err, "aal2")
		wantStepUp(t, r.Remove(t.Context(), weak, a.factor.ID, laptop), "aal2")
		_, err = r.NewRecoveryCodes(t.Context(), weak, laptop)
		wantStepUp(t, err, "aal2")
		// The password must not make the session fresh.
		weak = r.identity(t, a.in)
		_, _, err = r.StepUp(t.Context(), weak, factors.StepUpRequest{Password: password, Client: laptop})
		wantStepUp(t, err, "aal2")
		access, _, err := r.StepUp(t.Context(), weak, factors.StepUpRequest{
			Proof: factors.Proof{TOTP: r.totpCode(t, a, 0)}, Client: laptop})
		must(t, err)
		who, err := r.Authenticate(t.Context(), access)
		must(t, err)
		if who.Session.Generation != weak.Session.Generation || !who.Session.AuthenticatedAt.Equal(r.clock()) {
			t.Errorf("session %+v", who.Session)
		}
		must(t, r.Remove(t.Context(), who, a.factor.ID, laptop))
	})
}

// An operator changes the address after an enrolment has begun, because another person now owns the account. The
// confirmation must fail. Otherwise the account would get a factor of the previous holder.
func TestEnrolmentEndsWithTheProofOfTheAddress(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccount(t, "ada@example.com")
		app, err := r.BeginTOTP(t.Context(), a.who, "")
		must(t, err)
		a.secret = secretOf(t, app)
		key, err := r.BeginPasskey(t.Context(), a.who, false)
		must(t, err)
		must(t, r.Operator().ChangeEmail(t.Context(), a.who.User.ID, "olive@example.com"))
		a.who = r.identity(t, a.in)
		_, err = r.ConfirmTOTP(t.Context(), a.who, app.ID, r.totpCode(t, a, 0), laptop)
		wantCode(t, err, watchword.CodeEmailNotVerified)
		_, err = r.ConfirmPasskey(t.Context(), a.who, factors.NewPasskey{
			Ceremony: key.ID, Credential: newDevice().respondToCreation(t, key.Options)}, laptop)
		wantCode(t, err, watchword.CodeEmailNotVerified)
	})
}

// A step-up must refuse a password for an account that has neither a password nor factors. Such a user must sign in
// again.
func TestStepUpAcceptsNoPasswordOfAnAccountWithoutOne(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.withoutPassword(t, "ada@example.com")
		for range 2 {
			_, _, err := r.StepUp(t.Context(), a.who, factors.StepUpRequest{Password: "anything", Client: laptop})
			wantStepUp(t, err, "aal1")
			r.advance(stepUpAge - time.Second) // still fresh
		}
		if got := r.identity(t, a.in).Session; !got.AuthenticatedAt.Equal(a.who.Session.AuthenticatedAt) {
			t.Errorf("a new proof at %v", got.AuthenticatedAt)
		}
	})
}

// 19
func TestRemovedFactorTakesTheLevelWithIt(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		other, err := r.loginWithCode(r.passwordChallenge(t, a, phone), r.totpCode(t, a, 0))
		must(t, err)
		wantCode(t, r.Remove(t.Context(), a.who, "nothing", laptop), watchword.CodeNotFound)
		must(t, r.Remove(t.Context(), a.who, a.factor.ID, laptop))
		_, err = r.Authenticate(t.Context(), other.AccessToken)
		wantCode(t, err, watchword.CodeSessionEnded)
		_, err = r.Authenticate(t.Context(), a.in.AccessToken)
		wantCode(t, err, watchword.CodeTokenExpired)
		in, err := r.Refresh(t.Context(), a.in.RefreshToken, laptop)
		must(t, err)
		if got := in.Session.Methods; !slices.Equal(got, []string{"pwd"}) {
			t.Errorf("methods %q", got)
		}
		overview, err := r.List(t.Context(), a.who.User.ID)
		must(t, err)
		if len(overview.Factors) != 0 || overview.Codes.Left != 0 {
			t.Errorf("left: %+v", overview)
		}
		_, err = r.Engine.Login(t.Context(), watchword.LoginRequest{Email: a.email, Password: password, Client: phone})
		must(t, err)
	})
}

// 20
func TestUnverifiedAddressEnrolsNothing(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		in, err := r.SignUp(t.Context(), watchword.SignUpRequest{
			Email: "ada@example.com", Password: password, Name: "Ada", Client: laptop})
		must(t, err)
		_, err = r.BeginTOTP(t.Context(), r.identity(t, in), "")
		wantCode(t, err, watchword.CodeEmailNotVerified)
	})
}

func TestEnrolmentBelongsToItsSession(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, b := r.createAccount(t, "ada@example.com"), r.createAccount(t, "bob@example.com")
		begun, err := r.BeginTOTP(t.Context(), a.who, "phone")
		must(t, err)
		a.secret = secretOf(t, begun)
		_, err = r.ConfirmTOTP(t.Context(), b.who, begun.ID, r.totpCode(t, a, 0), laptop)
		wantCode(t, err, watchword.CodeChallengeInvalid)
		_, err = r.ConfirmTOTP(t.Context(), a.who, begun.ID, r.totpCode(t, a, 5), laptop)
		wantCode(t, err, watchword.CodeFactorWrong)
		code := r.totpCode(t, a, 0)
		got := runInParallel(2, func(int) error {
			_, err := r.ConfirmTOTP(t.Context(), a.who, begun.ID, code, laptop)
			return err
		})
		if got[""] != 1 {
			t.Errorf("confirmed twice: %v", got)
		}
		// The code that confirmed the enrolment does not sign in.
		_, err = r.loginWithCode(r.passwordChallenge(t, a, phone), code)
		wantCode(t, err, watchword.CodeFactorWrong)
		overview, err := r.List(t.Context(), a.who.User.ID)
		must(t, err)
		f := overview.Factors[0]
		wantCode(t, r.Manager.Rename(t.Context(), b.who, f.ID, "mine"), watchword.CodeNotFound)
		wantCode(t, r.Manager.Rename(t.Context(), a.who, f.ID, ""), watchword.CodeValidationFailed)
		for _, name := range []string{" ", "a\x00b", "a\xffb", "a\nb", "a\x1b[2Jb", "a\u2028b", "a\u202eb"} {
			wantCode(t, r.Manager.Rename(t.Context(), a.who, f.ID, name), watchword.CodeValidationFailed)
			_, err := r.ConfirmPasskey(t.Context(), a.who, factors.NewPasskey{Name: name}, laptop)
			wantCode(t, err, watchword.CodeValidationFailed)
		}
		must(t, r.Manager.Rename(t.Context(), a.who, f.ID, " my phone "))
		overview, err = r.List(t.Context(), a.who.User.ID)
		must(t, err)
		if got := overview.Factors[0].Name; got != "my phone" {
			t.Errorf("the name is %q", got)
		}
		wantCode(t, r.Remove(t.Context(), b.who, f.ID, laptop), watchword.CodeNotFound)
	})
}

// PostgreSQL returns an error for a text with NUL or invalid UTF-8. For such ids, the functions must return
// CodeNotFound instead.
func TestUnstorableIDsAreNotFound(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		for _, id := range []string{"\x00", "\xff", "x", a.factor.ID + "\x00"} {
			_, err := r.ConfirmTOTP(t.Context(), a.who, id, "123456", laptop)
			wantCode(t, err, watchword.CodeChallengeInvalid)
			_, err = r.ConfirmPasskey(t.Context(), a.who, factors.NewPasskey{Ceremony: watchword.Secret(id)}, laptop)
			wantCode(t, err, watchword.CodeChallengeInvalid)
			_, err = r.Pending(t.Context(), a.who, id)
			wantCode(t, err, watchword.CodeChallengeInvalid)
			wantCode(t, r.Rename(t.Context(), a.who, id, "x"), watchword.CodeNotFound)
			wantCode(t, r.Remove(t.Context(), a.who, id, laptop), watchword.CodeNotFound)
			wantCode(t, r.ForgetDevice(t.Context(), a.who, id, laptop), watchword.CodeNotFound)
			wantCode(t, r.Reset(t.Context(), "ops", watchword.UserID(id)), watchword.CodeNotFound)
		}
	})
}

func TestOperatorResetsFactors(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		must(t, r.Manager.Reset(t.Context(), "ops", a.who.User.ID))
		_, err := r.Authenticate(t.Context(), a.in.AccessToken)
		wantCode(t, err, watchword.CodeSessionEnded)
		_, err = r.Engine.Login(t.Context(), watchword.LoginRequest{Email: a.email, Password: password, Client: phone})
		must(t, err)
		events, err := r.Operator().UserEvents(t.Context(), a.who.User.ID, 100)
		must(t, err)
		if !slices.ContainsFunc(events, func(e watchword.Event) bool {
			return e.Kind == watchword.EventFactorsReset && e.Operator == "ops"
		}) {
			t.Error("the reset has no event")
		}
		wantCode(t, r.Manager.Reset(t.Context(), "ops", "nobody"), watchword.CodeNotFound)
	})
}

// A reset of one kind keeps the other kinds, and ends sessions like a reset of all kinds.
func TestOperatorResetsOneKind(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		u := a.who.User.ID
		r.addPasskey(t, a, newDevice())
		left := func(k factors.Kind) (n [3]int) {
			t.Helper()
			must(t, r.ResetKind(t.Context(), "ops", u, k))
			_, err := r.Authenticate(t.Context(), a.in.AccessToken)
			wantCode(t, err, watchword.CodeSessionEnded)
			overview, err := r.List(t.Context(), u)
			must(t, err)
			user, err := r.Operator().FindUser(t.Context(), a.email)
			must(t, err)
			for _, f := range overview.Factors {
				n[map[factors.Kind]int{factors.KindTOTP: 0, factors.KindPasskey: 1}[f.Kind]]++
			}
			if user.Factors != len(overview.Factors) {
				t.Errorf("%q: the account counts %d factors of %d", k, user.Factors, len(overview.Factors))
			}
			n[2] = overview.Codes.Left
			return n
		}
		for _, c := range []struct {
			kind factors.Kind
			want [3]int
		}{
			{factors.KindTOTP, [3]int{0, 1, 10}},
			{factors.KindRecovery, [3]int{0, 1, 0}},
			{factors.KindPasskey, [3]int{}},
		} {
			if got := left(c.kind); got != c.want {
				t.Errorf("after the reset of %q: %v, want %v", c.kind, got, c.want)
			}
		}
		wantCode(t, r.ResetKind(t.Context(), "ops", "nobody", factors.KindTOTP), watchword.CodeNotFound)
		events, err := r.Operator().UserEvents(t.Context(), u, 100)
		must(t, err)
		if !slices.ContainsFunc(events, func(e watchword.Event) bool {
			return e.Kind == watchword.EventFactorsReset && e.Detail == "passkey" && e.Operator == "ops"
		}) {
			t.Error("no event names the kind")
		}
	})
}

func TestResealKeepsFactorsAndRecoveryCodes(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		next := []byte("another master key for the tests")
		must(t, r.Operator().Reseal(t.Context(), next))
		r.opts.MasterKey = next
		engine, err := watchword.New(t.Context(), storeWithoutClock{r.store}, r.opts)
		must(t, err)
		t.Cleanup(engine.Close)
		r.Engine, r.Manager = engine, factors.New(engine, r.store.(realStore).Factors(), factors.Options{})
		_, err = r.loginWithCode(r.passwordChallenge(t, a, phone), r.totpCode(t, a, 0))
		must(t, err)
		_, err = r.loginWithRecoveryCode(r.passwordChallenge(t, a, phone), a.codes[0])
		must(t, err)
		r.advance(totp.Period)
	})
}

// 17
func TestUndoneAddressRemovesTheFactorsFromSinceTheChange(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		own := a.secret
		must(t, r.ChangeEmail(t.Context(), a.who, "thief@example.org", password, laptop))
		confirm := r.awaitMail(t, watchword.MailConfirmAddress)
		_, err := r.ConfirmEmail(t.Context(), watchword.MailLinkRequest{
			Token: confirm.Token, Password: password, Client: laptop})
		must(t, err)
		undo := r.awaitMail(t, watchword.MailAddressChanged)
		a.who = r.identity(t, a.in)
		r.addTOTP(t, a) // the thief's factor
		must(t, r.UndoEmail(t.Context(), undo.Token, laptop))
		overview, err := r.List(t.Context(), a.who.User.ID)
		must(t, err)
		if len(overview.Factors) != 1 || overview.Factors[0].ID == a.factor.ID || overview.Codes.Left != 10 {
			t.Fatalf("left: %+v", overview)
		}
		reset := r.awaitMail(t, watchword.MailReset)
		_, err = r.Engine.ResetPassword(t.Context(), reset.Token, password, laptop)
		must(t, err)
		_, err = r.loginWithCode(r.passwordChallenge(t, a, laptop), r.totpCode(t, a, 0))
		wantCode(t, err, watchword.CodeFactorWrong)
		a.secret = own
		_, err = r.loginWithCode(r.passwordChallenge(t, a, laptop), r.totpCode(t, a, 0))
		must(t, err)
	})
}

package factors_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/store/sqlite"
)

func requireFactors(o *watchword.Options) { o.SecondFactor.Required = true }

// requiredHandle signs in with the password and returns the handle of the required enrolment.
func (r *rig) requiredHandle(t *testing.T, email string) watchword.Secret {
	t.Helper()
	in, err := r.Engine.Login(t.Context(), watchword.LoginRequest{Email: email, Password: password, Client: laptop})
	wantCode(t, err, watchword.CodeEnrolmentRequired)
	var refusal *watchword.Error
	if in != nil || !errors.As(err, &refusal) || refusal.Challenge == nil ||
		!slices.Equal(refusal.Challenge.Methods, []string{"totp"}) {
		t.Fatalf("got %v and %+v", in, refusal)
	}
	return refusal.Challenge.Handle
}

// createVerifiedUser creates an account with a proven address. The account has no session.
func (r *rig) createVerifiedUser(t *testing.T, email string, roles ...string) watchword.User {
	t.Helper()
	user, err := r.Operator().CreateUser(t.Context(), watchword.NewUser{Email: email, Password: password, Roles: roles})
	must(t, err)
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.SetVerified(t.Context(), user.ID, user.Email, r.clock())
		return err
	}))
	return user
}

// MFA-3
func TestRequiredFactorIsEnrolledBeforeTheFirstSession(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := &account{email: "ada@example.com"}
		a.who.User = r.createVerifiedUser(t, a.email)
		handle := r.requiredHandle(t, a.email)
		_, err := r.loginWithCode(handle, "000000")
		wantCode(t, err, watchword.CodeChallengeInvalid) // a handle works only for its purpose
		begun, err := r.BeginRequired(t.Context(), handle, "my phone")
		must(t, err)
		a.secret = secretOf(t, begun)
		confirm := func(code watchword.Secret) (factors.Confirmation, *watchword.SignIn, error) {
			return r.ConfirmRequired(t.Context(), factors.RequiredRequest{
				Handle: handle, ID: begun.ID, Code: code, Client: laptop})
		}
		_, _, err = confirm("000000")
		wantCode(t, err, watchword.CodeFactorWrong)
		if n := r.countSessions(t, a); n != 0 {
			t.Fatalf("%d sessions before the factor", n)
		}
		right := r.totpCode(t, a, 0)
		var done factors.Confirmation
		got := runInParallel(20, func(int) error {
			d, in, err := confirm(right)
			if err == nil {
				done, a.in = d, in
			}
			return err
		})
		if got[""] != 1 || r.countSessions(t, a) != 1 {
			t.Fatalf("%v, %d sessions", got, r.countSessions(t, a))
		}
		a.who = r.identity(t, a.in)
		if !slices.Equal(a.who.Session.Methods, []string{"pwd", "otp", "mfa"}) || len(done.Codes) != 10 ||
			done.Factor().Name != "my phone" || a.who.User.Factors != 1 {
			t.Errorf("%+v, %+v", a.who, done.Factor())
		}
		_, err = r.loginWithCode(r.passwordChallenge(t, a, phone), right)
		wantCode(t, err, watchword.CodeFactorWrong) // the enrolment has used this code already
	}, requireFactors)
}

func TestEnrolmentOfASignInIsBoundToIt(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		ada, bob := &account{email: "ada@example.com"}, &account{email: "bob@example.com"}
		ada.who.User, bob.who.User = r.createVerifiedUser(t, ada.email), r.createVerifiedUser(t, bob.email)
		first, second := r.requiredHandle(t, ada.email), r.requiredHandle(t, ada.email)
		others := r.requiredHandle(t, bob.email)
		begun, err := r.BeginRequired(t.Context(), first, "")
		must(t, err)
		ada.secret = secretOf(t, begun)
		for _, handle := range []watchword.Secret{second, others, "", "wwc_invented"} {
			_, _, err = r.ConfirmRequired(t.Context(), factors.RequiredRequest{
				Handle: handle, ID: begun.ID, Code: r.totpCode(t, ada, 0), Client: laptop})
			wantCode(t, err, watchword.CodeChallengeInvalid)
		}
		_, _, err = r.ConfirmRequired(t.Context(), factors.RequiredRequest{
			Handle: first, ID: begun.ID, Code: r.totpCode(t, ada, 0), Client: laptop})
		must(t, err)
		// The sign-in of the handle second began when the account had no factor. It must not add another factor now.
		_, err = r.BeginRequired(t.Context(), second, "")
		wantCode(t, err, watchword.CodeChallengeInvalid)
		for range watchword.ChallengeAttempts {
			_, err = r.BeginRequired(t.Context(), others, "")
			must(t, err)
		}
		_, err = r.BeginRequired(t.Context(), others, "")
		wantCode(t, err, watchword.CodeChallengeInvalid)
	}, requireFactors)
}

func TestEnrolmentEndsWithTheAccountAndItsPassword(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		for name, change := range map[string]func(watchword.User){
			"disabled": func(u watchword.User) { must(t, r.Operator().DisableUser(t.Context(), u.ID)) },
			"deleted":  func(u watchword.User) { must(t, r.Operator().DeleteUser(t.Context(), u.ID)) },
			"expired":  func(watchword.User) { r.advance(watchword.ChallengeLife + time.Second) },
		} {
			a := &account{email: name + "@example.com"}
			a.who.User = r.createVerifiedUser(t, a.email)
			handle := r.requiredHandle(t, a.email)
			begun, err := r.BeginRequired(t.Context(), handle, "")
			must(t, err)
			a.secret = secretOf(t, begun)
			change(a.who.User)
			_, in, err := r.ConfirmRequired(t.Context(), factors.RequiredRequest{
				Handle: handle, ID: begun.ID, Code: r.totpCode(t, a, 0), Client: laptop})
			if err == nil || in != nil || r.countSessions(t, a) != 0 {
				t.Errorf("%s: %v, %v", name, in, err)
			}
		}
	}, requireFactors)
}

// If an account must have a factor, a sign-up opens no session. The user first proves the address, even with
// SignupOpen.
func TestSignUpWaitsForItsFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		in, err := r.SignUp(t.Context(), watchword.SignUpRequest{
			Email: "ada@example.com", Password: password, Client: laptop})
		if in != nil || err != nil {
			t.Fatalf("%v, %v", in, err)
		}
		login := watchword.LoginRequest{Email: "ada@example.com", Password: password, Client: laptop}
		_, err = r.Engine.Login(t.Context(), login)
		wantCode(t, err, watchword.CodeEmailNotVerified)
		_, err = r.VerifyEmail(t.Context(), watchword.MailLinkRequest{
			Token: r.awaitMail(t, watchword.MailVerify).Token, Password: password, Client: laptop})
		wantCode(t, err, watchword.CodeEnrolmentRequired)
		r.requiredHandle(t, "ada@example.com") // the address is proven, so the sign-in must ask for an enrolment
	}, requireFactors)
}

// A user without the role need not enrol a factor. A user who already has a factor need not enrol another one.
func TestRequiredFactorCanDependOnARole(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		r.createVerifiedUser(t, "staff@example.com", "staff")
		r.createVerifiedUser(t, "ada@example.com", "editor")
		r.requiredHandle(t, "staff@example.com")
		login := watchword.LoginRequest{Email: "ada@example.com", Password: password, Client: laptop}
		_, err := r.Engine.Login(t.Context(), login)
		must(t, err)
	}, requireFactors, func(o *watchword.Options) { o.SecondFactor.Roles = []string{"admin", "staff"} })
}

func TestRequiredFactorNeedsMailedProofs(t *testing.T) {
	t.Parallel()
	store, err := sqlite.Open(t.Context(), t.TempDir()+"/watchword.db")
	must(t, err)
	t.Cleanup(func() { _ = store.Close() })
	r := newRig(t, store)
	options := r.opts
	options.SecondFactor.Required, options.NoVerifyMail = true, true
	if engine, err := watchword.New(t.Context(), r.store, options); err == nil {
		engine.Close()
		t.Error("the engine started")
	}
}

// If an account has a factor, only a fresh session with both factors can change its password or
// address, or delete it. A password alone never makes such a session fresh.
func TestChangesOfAnAccountWithAFactorNeedAFreshSession(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		changes := map[string]func() error{
			"password": func() error {
				return r.ChangePassword(t.Context(), a.who, password, "another good one", laptop)
			},
			"address": func() error {
				return r.ChangeEmail(t.Context(), a.who, "new@example.com", password, laptop)
			},
			"deletion": func() error { return r.DeleteAccount(t.Context(), a.who, password, laptop) },
		}
		r.advance(stepUpAge + time.Second)
		for name, change := range changes {
			t.Log(name)
			wantStepUp(t, change(), "aal2")
		}
		_, _, err := r.StepUp(t.Context(), a.who, factors.StepUpRequest{Password: password, Client: laptop})
		wantStepUp(t, err, "aal2")
		_, _, err = r.StepUp(t.Context(), a.who, factors.StepUpRequest{
			Proof: factors.Proof{TOTP: r.totpCode(t, a, 0)}, Client: laptop})
		must(t, err)
		a.who = r.identity(t, a.in)
		for _, name := range []string{"address", "password", "deletion"} {
			t.Log(name)
			if name == "deletion" {
				a.who = r.identity(t, a.in)
				must(t, r.DeleteAccount(t.Context(), a.who, "another good one", laptop))
				continue
			}
			must(t, changes[name]())
		}
	})
}

package factors_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/totp"
)

func (r *rig) acceptInvitation(t *testing.T, email string) (handle, token watchword.Secret) {
	t.Helper()
	_, err := r.Operator().CreateUser(t.Context(), watchword.NewUser{Email: email, Name: "Ada"})
	must(t, err)
	token = r.awaitMail(t, watchword.MailInvite).Token
	in, err := r.AcceptInvite(t.Context(), watchword.MailLinkRequest{Token: token, Password: password, Client: laptop})
	wantCode(t, err, watchword.CodeEnrolmentRequired)
	var refusal *watchword.Error
	if in != nil || !errors.As(err, &refusal) || refusal.Challenge == nil {
		t.Fatalf("got %v and %v", in, err)
	}
	return refusal.Challenge.Handle, token
}

func (r *rig) confirmFirstTOTP(t *testing.T, a *account, handle watchword.Secret) {
	t.Helper()
	begun, err := r.BeginRequired(t.Context(), handle, "")
	must(t, err)
	a.secret = secretOf(t, begun)
	done, in, err := r.ConfirmRequired(t.Context(), factors.RequiredRequest{
		Handle: handle, ID: begun.ID, Code: r.totpCode(t, a, 0), Client: laptop})
	must(t, err)
	a.in, a.factor, a.codes = in, done.Factor(), done.Codes
	a.who = r.identity(t, in)
	r.advance(totp.Period)
}

// An invitation signs the user in only after the user has added the first factor. But the server must commit the
// password, the proof of the address and the use of the link before that.
//
// MFA-3
func TestInvitationWaitsForItsFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := &account{email: "ada@example.com"}
		handle, token := r.acceptInvitation(t, a.email)
		user, err := r.Operator().FindUser(t.Context(), a.email)
		must(t, err)
		if a.who.User = user; !user.Verified() || user.Factors != 0 || r.countSessions(t, a) != 0 {
			t.Fatalf("%d sessions of %+v", r.countSessions(t, a), user)
		}
		_, err = r.AcceptInvite(t.Context(), watchword.MailLinkRequest{Token: token, Password: password, Client: phone})
		wantCode(t, err, watchword.CodeMailTokenInvalid)
		_, err = r.loginWithCode(handle, "000000")
		wantCode(t, err, watchword.CodeChallengeInvalid)

		r.confirmFirstTOTP(t, a, handle)
		if !slices.Equal(a.who.Session.Methods, []string{"pwd", "otp", "mfa"}) || len(a.codes) != 10 {
			t.Errorf("methods %q and %d codes", a.who.Session.Methods, len(a.codes))
		}
		_, err = r.loginWithCode(r.passwordChallenge(t, a, phone), r.totpCode(t, a, 0))
		must(t, err)
	}, requireFactors)
}

// A user who abandons the enrolment after an invitation can continue with the password.
func TestAbandonedEnrolmentOfAnInvitationContinuesAtTheSignIn(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := &account{email: "ada@example.com"}
		handle, _ := r.acceptInvitation(t, a.email)
		r.advance(watchword.ChallengeLife + time.Second)
		_, err := r.BeginRequired(t.Context(), handle, "")
		wantCode(t, err, watchword.CodeChallengeInvalid)
		r.confirmFirstTOTP(t, a, r.requiredHandle(t, a.email))
	}, requireFactors)
}

// MFA-3
func TestLastRequiredFactorCanNotBeRemoved(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := &account{email: "ada@example.com"}
		a.who.User = r.createVerifiedUser(t, a.email)
		r.confirmFirstTOTP(t, a, r.requiredHandle(t, a.email))
		if !r.Required(a.who.User) {
			t.Error("the factor is not required")
		}
		app := a.factor
		wantCode(t, r.Remove(t.Context(), a.who, app.ID, laptop), watchword.CodeLastWayIn)
		r.addPasskeyWithoutDialog(t, a, newDevice()) // an automatic upgrade: the passkey does not count as a factor
		wantCode(t, r.Remove(t.Context(), a.who, app.ID, laptop), watchword.CodeLastWayIn)
		overview, err := r.List(t.Context(), a.who.User.ID)
		must(t, err)
		if len(overview.Factors) != 2 || overview.Codes.Left != 10 {
			t.Fatalf("a refused removal left %+v", overview)
		}
		must(t, r.Remove(t.Context(), a.who, overview.Factors[1].ID, laptop))

		a.who = r.identity(t, r.signInAgain(t, a))
		r.addPasskey(t, a, newDevice())
		ids := []string{app.ID, a.factor.ID}
		got := runInParallel(2, func(i int) error { return r.Remove(t.Context(), a.who, ids[i], laptop) })
		if overview, err = r.List(t.Context(), a.who.User.ID); err != nil || len(overview.Factors) != 1 {
			t.Errorf("%v: two removals at once left %+v, %v", got, overview.Factors, err)
		}
	}, requireFactors)
}

// signInAgain signs in with both factors. Tests call it after a removal, which makes the access token invalid.
func (r *rig) signInAgain(t *testing.T, a *account) *watchword.SignIn {
	t.Helper()
	in, err := r.loginWithCode(r.passwordChallenge(t, a, phone), r.totpCode(t, a, 0))
	must(t, err)
	a.in = in
	r.advance(totp.Period)
	return in
}

package factors_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/watchword-auth/watchword"
)

// An operator changes the address of an account to another person's address. When that person proves the address, the
// old factors are deleted. The sign-in must not ask for them.
func TestFirstProofAsksForNoDeletedFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		const email, owners = "olive@example.com", "the horse of the owner"
		a := r.createAccountWithTOTP(t)
		in, err := r.SignUp(t.Context(), watchword.SignUpRequest{Email: email, Password: owners, Client: phone})
		if in != nil || err != nil {
			t.Fatalf("the sign-up: %v, %v", in, err)
		}
		r.awaitMail(t, watchword.MailVerify)
		must(t, r.Operator().ChangeEmail(t.Context(), a.who.User.ID, email))
		link := r.awaitMail(t, watchword.MailVerify).Token
		in, err = r.VerifyEmail(t.Context(), watchword.MailLinkRequest{Token: link, Password: owners, Client: phone})
		must(t, err)
		if who := r.identity(t, in); in.User.Factors+who.User.Factors != 0 || who.User.ID != a.who.User.ID {
			t.Errorf("the owner is %+v", who.User)
		}
	}, func(o *watchword.Options) { o.Signup = watchword.SignupVerified })
}

// The new owner proves the address by an invitation. The sign-in must not ask for the previous holder's factor.
func TestInvitationAsksForNoDeletedFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		r.removePassword(t, a)
		must(t, r.Operator().ChangeEmail(t.Context(), a.who.User.ID, "olive@example.com"))
		in, err := r.AcceptInvite(t.Context(), watchword.MailLinkRequest{
			Token: r.awaitMail(t, watchword.MailInvite).Token, Password: password, Client: phone})
		must(t, err)
		if who := r.identity(t, in); in.User.Factors+who.User.Factors != 0 {
			t.Errorf("the owner is %+v", who.User)
		}
	})
}

func (r *rig) removePassword(t *testing.T, a *account) {
	t.Helper()
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.ReplacePassword(t.Context(), a.who.User, "")
		return err
	}))
}

// The previous holder has a passkey from an automatic upgrade. Such a passkey does not count as a second factor, but it
// can sign the user in without a password. After another person has proven the address, the passkey must not sign in.
//
// ID-8
func TestFirstProofDeletesTheUpgradedPasskeyOfThePreviousHolder(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		for _, invited := range []bool{false, true} {
			email := fmt.Sprintf("%v@example.com", invited)
			a, d := r.createAccount(t, "from-"+email), newDevice()
			r.addPasskeyWithoutDialog(t, a, d)
			d.authenticator.Options.UserNotVerified = false
			if invited {
				r.removePassword(t, a)
			}
			must(t, r.Operator().ChangeEmail(t.Context(), a.who.User.ID, email))
			if invited {
				_, err := r.AcceptInvite(t.Context(), watchword.MailLinkRequest{
					Token: r.awaitMail(t, watchword.MailInvite).Token, Password: password, Client: phone})
				must(t, err)
			} else {
				must(t, r.ForgotPassword(t.Context(), email, "", phone))
				_, err := r.ResetPassword(t.Context(), r.awaitMail(t, watchword.MailReset).Token, password, phone)
				must(t, err)
			}
			if _, err := r.loginWithPasskeyAlone(t, d); watchword.CodeOf(err) != watchword.CodeInvalidCredentials {
				t.Errorf("%s: got %v for the passkey of the previous holder", email, err)
			}
		}
	})
}

// An invitation deletes the factors of the previous holder, and so makes all older challenges invalid. The challenge
// that the invitation itself returns must work.
func TestInvitationThatDeletesFactorsWaitsForANewOne(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := &account{email: "ada@example.com"}
		handle, _ := r.acceptInvitation(t, a.email)
		r.confirmFirstTOTP(t, a, handle)
		r.removePassword(t, a)
		must(t, r.Operator().ChangeEmail(t.Context(), a.who.User.ID, "olive@example.com"))
		_, err := r.AcceptInvite(t.Context(), watchword.MailLinkRequest{
			Token: r.awaitMail(t, watchword.MailInvite).Token, Password: password, Client: laptop})
		wantCode(t, err, watchword.CodeEnrolmentRequired)
		var refusal *watchword.Error
		errors.As(err, &refusal)
		r.confirmFirstTOTP(t, a, refusal.Challenge.Handle)
	}, requireFactors)
}

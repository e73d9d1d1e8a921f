package factors_test

import (
	"testing"

	"github.com/watchword-auth/watchword"
)

// An operator gives an account an address that a sign-up waits for. The first proof of the address deletes the
// factors, so the sign-in of its owner asks for none.
func TestFirstProofAsksForNoDeletedFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		const email, owners = "olive@example.com", "the horse of the owner"
		a := r.withTOTP(t)
		in, err := r.SignUp(t.Context(), watchword.SignUpRequest{Email: email, Password: owners, Client: phone})
		if in != nil || err != nil {
			t.Fatalf("the sign-up: %v, %v", in, err)
		}
		r.mail(t, watchword.MailVerify)
		must(t, r.Operator().ChangeEmail(t.Context(), a.who.User.ID, email))
		link := r.mail(t, watchword.MailVerify).Token
		in, err = r.VerifyEmail(t.Context(), watchword.VerifyRequest{Token: link, Password: owners, Client: phone})
		must(t, err)
		if who := r.identity(t, in); in.User.Factors+who.User.Factors != 0 || who.User.ID != a.who.User.ID {
			t.Errorf("the owner is %+v", who.User)
		}
	}, func(o *watchword.Options) { o.Signup = watchword.SignupVerified })
}

// The same with the invitation of an account without a password.
func TestInvitationAsksForNoDeletedFactor(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.withTOTP(t)
		must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
			_, err := tx.ReplacePassword(t.Context(), a.who.User, "")
			return err
		}))
		must(t, r.Operator().ChangeEmail(t.Context(), a.who.User.ID, "olive@example.com"))
		in, err := r.AcceptInvite(t.Context(), watchword.InviteRequest{
			Token: r.mail(t, watchword.MailInvite).Token, Password: password, Client: phone})
		must(t, err)
		if who := r.identity(t, in); in.User.Factors+who.User.Factors != 0 {
			t.Errorf("the owner is %+v", who.User)
		}
	})
}

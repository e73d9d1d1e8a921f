package watchword_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

const inviteLife = 7 * 24 * time.Hour

// inviteUser returns the account with the token of its mail.
func (r *rig) inviteUser(t *testing.T) (watchword.User, watchword.Secret) {
	t.Helper()
	user, err := r.Operator().CreateUser(t.Context(),
		watchword.NewUser{Email: victim, Name: "Olive", Locale: "de", Roles: []string{"staff"}})
	must(t, err)
	r.deliverMail(t)
	return user, r.post.lastMail(t, watchword.MailInvite).Token
}

func (r *rig) accept(t *testing.T, token, password watchword.Secret, name string) (*watchword.SignIn, error) {
	t.Helper()
	return r.AcceptInvite(t.Context(), watchword.MailLinkRequest{
		Token: token, Password: password, Name: name, Persistent: true, Client: laptop})
}

func TestInvitationSetsThePasswordAndSignsInOnce(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		for _, mode := range []watchword.SignupMode{
			watchword.SignupOpen, watchword.SignupVerified, watchword.SignupClosed,
		} {
			r := start(t, func(o *watchword.Options) { o.Signup = mode })
			user, token := r.inviteUser(t)
			mail := r.post.lastMail(t, watchword.MailInvite)
			life := mail.Expires.Sub(mail.At).Truncate(time.Minute)
			if life != inviteLife || mail.Locale != "de" ||
				r.post.countMails(watchword.MailReset) != 0 {
				t.Errorf("%s: the invitation is %+v and works for %s", mode, mail, life)
			}
			r.clock.advance(inviteLife - time.Minute)
			_, err := r.accept(t, token, "short", "")
			wantField(t, err, "password", watchword.FieldPasswordShort)
			_, err = r.accept(t, token, goodPassword, "a\u202eb")
			wantField(t, err, "name", watchword.FieldInvalid)
			signedIn, err := r.accept(t, token, goodPassword, "")
			must(t, err)
			who := r.authenticate(t, signedIn).User
			if who.ID != user.ID || !who.Verified() || who.Name != "Olive" ||
				!slices.Equal(who.Roles, []string{"staff"}) || signedIn.DeviceToken == "" {
				t.Errorf("%s: the account is %+v", mode, who)
			}
			_, err = r.accept(t, token, otherPassword, "")
			wantCode(t, err, watchword.CodeMailTokenInvalid)
			r.login(t, victim, phone)
		}
	})
}

// The session must have the roles that the account has at the time of acceptance, not those at the time of the
// invitation.
//
// AZ-3
func TestInvitationOpensASessionWithTheRolesOfNow(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		user, token := r.inviteUser(t)
		_, err := r.Operator().SetRoles(t.Context(), user.ID, []string{"auditor"})
		must(t, err)
		r.clock.advance(time.Second)
		signedIn, err := r.accept(t, token, goodPassword, "")
		must(t, err)
		if who := r.authenticate(t, signedIn).User; !slices.Equal(who.Roles, []string{"auditor"}) {
			t.Errorf("the roles are %q", who.Roles)
		}
	})
}

func TestInvitationExpiresAfterSevenDays(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	user, token := r.inviteUser(t)
	r.clock.advance(inviteLife)
	_, err := r.accept(t, token, goodPassword, "")
	wantCode(t, err, watchword.CodeMailTokenInvalid)

	must(t, r.Operator().SendReset(t.Context(), user.ID))
	r.deliverMail(t)
	_, err = r.accept(t, r.post.lastMail(t, watchword.MailInvite).Token, goodPassword, "Grace")
	must(t, err)
	must(t, r.Operator().SendReset(t.Context(), user.ID))
	r.deliverMail(t)
	if r.post.countMails(watchword.MailReset) != 1 {
		t.Error("a user with a password got no reset link")
	}
}

// An old invitation must not reset a password. The first attempt returns the reason and deletes the invitation.
func TestInvitationOfAnAccountWithAPasswordIsRefusedAndDeleted(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		_, token := r.inviteUser(t)
		must(t, r.ForgotPassword(t.Context(), victim, "", laptop))
		r.deliverMail(t)
		must(t, r.ResetPassword(t.Context(), r.post.lastMail(t, watchword.MailReset).Token, goodPassword, laptop))
		_, err := r.accept(t, token, otherPassword, "")
		wantCode(t, err, watchword.CodeEmailTaken)
		_, err = r.accept(t, token, otherPassword, "")
		wantCode(t, err, watchword.CodeMailTokenInvalid)
		r.login(t, victim, phone) // the password of the reset still works
	})
}

func TestInvitationOfADisabledOrDeletedAccountIsInvalid(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*rig, watchword.UserID) error{
		"disabled": func(r *rig, id watchword.UserID) error { return r.Operator().DisableUser(t.Context(), id) },
		"deleted":  func(r *rig, id watchword.UserID) error { return r.Operator().DeleteUser(t.Context(), id) },
	} {
		r := startEngine(t, nil)
		user, token := r.inviteUser(t)
		must(t, end(r, user.ID))
		if _, err := r.accept(t, token, goodPassword, ""); watchword.CodeOf(err) != watchword.CodeMailTokenInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A stranger who signs up with the address of an invited account must not get the account. But the owner of the
// mailbox may sign up instead of accepting the invitation. If the owner opens the link of this sign-up and enters its
// password, the invited account must belong to the owner.
func TestSignUpWithAnInvitedAddress(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		open := start(t, nil)
		_, token := open.inviteUser(t)
		_, err := open.SignUp(t.Context(), watchword.SignUpRequest{
			Email: victim, Password: attackersPassword, Client: phone})
		wantCode(t, err, watchword.CodeEmailTaken)
		_, err = open.accept(t, token, goodPassword, "")
		must(t, err)

		verified := start(t, verifiedMode)
		_, token = verified.inviteUser(t)
		verified.signUpWaiting(t, victim, "Mallory", attackersPassword)
		signedIn, err := verified.accept(t, token, goodPassword, "")
		must(t, err)
		if name := verified.authenticate(t, signedIn).User.Name; name != "Olive" {
			t.Errorf("the account is named %q", name)
		}
		wantCode(t, verified.tryLogin(t, victim, attackersPassword), watchword.CodeInvalidCredentials)

		own := start(t, verifiedMode)
		user, token := own.inviteUser(t)
		link := own.signUpWaiting(t, victim, "Olive Owner", otherPassword)
		signedIn, err = own.openLink(t, link, otherPassword)
		must(t, err)
		if who := own.authenticate(t, signedIn).User; who.ID != user.ID || !who.HasRole("staff") {
			t.Errorf("the completed sign-up became %+v", who)
		}
		_, err = own.accept(t, token, goodPassword, "")
		wantCode(t, err, watchword.CodeEmailTaken)
	})
}

func TestOneOfConcurrentAcceptancesSucceeds(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		_, token := r.inviteUser(t)
		results := make([]error, 4)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() { _, results[i] = r.accept(t, token, goodPassword, "") })
		}
		wg.Wait()
		succeeded := 0
		for _, err := range results {
			if err == nil {
				succeeded++
				continue
			}
			switch watchword.CodeOf(err) {
			case watchword.CodeMailTokenInvalid, watchword.CodeEmailTaken:
			default:
				t.Error(err)
			}
		}
		if succeeded != 1 {
			t.Errorf("%d succeeded, want 1: %v", succeeded, results)
		}
	})
}

package watchword_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

// These tests are about pre-hijacking: an attacker signs up with another person's address
// and waits for that person's click. In each test the owner of the mailbox gets the account,
// and the attacker's sessions and password stop working.

const (
	attackersPassword = "the attacker's own secret"
	victim            = "owner@example.com"
)

func verifiedMode(o *watchword.Options) { o.Signup = watchword.SignupVerified }

// signUpWaiting returns the mailed token. The engine must verify addresses first (SignupVerified).
func (r *rig) signUpWaiting(t *testing.T, email, name string, password watchword.Secret) watchword.Secret {
	t.Helper()
	in, err := r.SignUp(t.Context(), watchword.SignUpRequest{
		Email: email, Password: password, Name: name, Client: phone})
	must(t, err)
	if in != nil {
		t.Fatal("a sign-up opened a session before the address was verified")
	}
	r.deliverMail(t)
	return r.post.lastMail(t, watchword.MailVerify).Token
}

// openLink verifies the address with a mailed link and a password, without a session.
func (r *rig) openLink(t *testing.T, link, password watchword.Secret) (*watchword.SignIn, error) {
	t.Helper()
	return r.VerifyEmail(t.Context(), watchword.MailLinkRequest{
		Token: link, Password: password, Persistent: true, Client: laptop})
}

func (r *rig) tryLogin(t *testing.T, email string, password watchword.Secret) error {
	t.Helper()
	_, err := r.Login(t.Context(), watchword.LoginRequest{Email: email, Password: password, Client: phone})
	return err
}

// wantAttackerGone fails unless the attacker's session has ended and the attacker's password is refused.
func (r *rig) wantAttackerGone(t *testing.T, attacker *watchword.SignIn) {
	t.Helper()
	wantCode(t, r.tryLogin(t, victim, attackersPassword), watchword.CodeInvalidCredentials)
	if attacker == nil {
		return
	}
	_, err := r.Refresh(t.Context(), attacker.RefreshToken, phone)
	wantCode(t, err, watchword.CodeSessionEnded)
	var refusal *watchword.Error
	if errors.As(err, &refusal) && refusal.Ended != watchword.EndedFirstProof {
		t.Errorf("the attacker's session ended as %q", refusal.Ended)
	}
	_, err = r.Authenticate(t.Context(), attacker.AccessToken)
	wantCode(t, err, watchword.CodeSessionEnded)
}

// ID-8, ID-10
func TestALinkWithoutPasswordOrSessionProvesNothing(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		attacker, err := r.SignUp(t.Context(), watchword.SignUpRequest{
			Email: victim, Password: attackersPassword, Client: phone})
		must(t, err)
		r.deliverMail(t)
		link := r.post.lastMail(t, watchword.MailVerify).Token
		_, err = r.openLink(t, link, "")
		wantCode(t, err, watchword.CodePasswordRequired)
		_, err = r.openLink(t, link, goodPassword)
		wantCode(t, err, watchword.CodePasswordWrong)
		if user, err := r.Operator().FindUser(t.Context(), victim); err != nil || user.Verified() {
			t.Errorf("the click alone verified the address: %v", err)
		}

		// The owner can't sign up, because the address already has an account. With the link, the owner chooses a
		// password.
		_, err = r.SignUp(t.Context(), watchword.SignUpRequest{Email: victim, Password: goodPassword, Client: laptop})
		wantCode(t, err, watchword.CodeEmailTaken)
		must(t, r.ResetPassword(t.Context(), link, goodPassword, laptop))
		r.wantAttackerGone(t, attacker)
		in := r.login(t, victim, laptop)
		if in.User.ID != attacker.User.ID || !in.User.Verified() {
			t.Errorf("the account became %+v", in.User)
		}
		wantCode(t, r.ResetPassword(t.Context(), link, otherPassword, laptop), watchword.CodeMailTokenInvalid)
	})
}

// ID-8
func TestTheFirstResetOfAnAccountTakesItFromItsCreator(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		attacker, err := r.SignUp(t.Context(), watchword.SignUpRequest{
			Email: victim, Password: attackersPassword, Client: phone})
		must(t, err)
		_, err = r.Operator().SetRoles(t.Context(), attacker.User.ID, []string{"staff"})
		must(t, err)
		who := r.authenticate(t, r.refreshSignIn(t, attacker))
		must(t, r.ChangeEmail(t.Context(), who, "evil@example.org", attackersPassword, phone))
		r.deliverMail(t)
		verify := r.post.lastMail(t, watchword.MailVerify).Token
		moved := r.post.lastMail(t, watchword.MailConfirmAddress).Token

		must(t, r.ResetPassword(t.Context(), r.requestReset(t, victim), goodPassword, laptop))
		r.wantAttackerGone(t, attacker)
		wantCode(t, r.confirmEmail(t, moved, attackersPassword, phone), watchword.CodeMailTokenInvalid)
		_, err = r.openLink(t, verify, attackersPassword)
		wantCode(t, err, watchword.CodeMailTokenInvalid)
		if in := r.login(t, victim, laptop); in.User.ID != attacker.User.ID || !in.User.HasRole("staff") {
			t.Errorf("the account became %+v", in.User)
		}
	})
}

func (r *rig) refreshSignIn(t *testing.T, in *watchword.SignIn) *watchword.SignIn {
	t.Helper()
	again, err := r.Refresh(t.Context(), in.RefreshToken, phone)
	must(t, err)
	in.RefreshToken, in.AccessToken = again.RefreshToken, again.AccessToken
	return again
}

// ID-8, ID-10, ID-11
func TestTheOwnersPasswordWinsAmongWaitingSignUps(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		for name, c := range map[string]struct {
			attackerFirst, attackersLink bool
			again                        func(*rig) error // requests a new link; nil: use the link of a sign-up
		}{
			"attacker first, the attacker's link": {true, true, nil},
			"attacker first, the owner's link":    {true, false, nil},
			"owner first, the attacker's link":    {false, true, nil},
			"owner first, the owner's link":       {false, false, nil},
			"the link of a forgotten password": {true, true,
				func(r *rig) error { return r.ForgotPassword(t.Context(), victim, "", laptop) }},
			"a link that was sent again": {false, true,
				func(r *rig) error { return r.ResendVerification(t.Context(), victim, laptop) }},
		} {
			t.Run(name, func(t *testing.T) {
				r := start(t, verifiedMode)
				var theirs, own watchword.Secret
				if c.attackerFirst {
					theirs = r.signUpWaiting(t, victim, "Mallory", attackersPassword)
				}
				own = r.signUpWaiting(t, victim, "Olive Owner", goodPassword)
				if !c.attackerFirst {
					theirs = r.signUpWaiting(t, victim, "Mallory", attackersPassword)
				}
				link, other := own, theirs
				if c.attackersLink {
					link, other = theirs, own
				}
				if c.again != nil {
					before := r.post.countMails(watchword.MailVerify)
					must(t, c.again(r))
					r.deliverMail(t)
					if n := r.post.countMails(watchword.MailVerify); n != before+1 {
						t.Fatalf("%d links were mailed", n-before)
					}
					link = r.post.lastMail(t, watchword.MailVerify).Token
				}
				_, err := r.openLink(t, link, "")
				wantCode(t, err, watchword.CodePasswordRequired)
				in, err := r.openLink(t, link, goodPassword)
				must(t, err)
				if in.User.Name != "Olive Owner" || !in.User.Verified() {
					t.Errorf("the account is %+v", in.User)
				}
				r.authenticate(t, in)
				r.wantAttackerGone(t, nil)
				_, err = r.openLink(t, other, attackersPassword)
				wantCode(t, err, watchword.CodeMailTokenInvalid)
				wantCode(t, r.ResetPassword(t.Context(), other, attackersPassword, phone),
					watchword.CodeMailTokenInvalid)
				r.login(t, victim, laptop)
			})
		}
	})
}

// ID-11
func TestALinkAndANewPasswordAlwaysCreateTheAccount(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, verifiedMode)
		own := r.signUpWaiting(t, victim, "Olive Owner", goodPassword)
		for range 6 { // more sign-ups than the engine keeps for an address
			r.signUpWaiting(t, victim, "Mallory", attackersPassword)
		}
		_, err := r.openLink(t, own, goodPassword)
		wantCode(t, err, watchword.CodePasswordWrong)
		must(t, r.ResetPassword(t.Context(), own, otherPassword, laptop))
		user, err := r.Operator().FindUser(t.Context(), victim)
		if err != nil || user.Name != "" || !user.Verified() {
			t.Errorf("got %+v, %v", user, err)
		}
		r.wantAttackerGone(t, nil)
		must(t, r.tryLogin(t, victim, otherPassword))
	})
}

// ID-11
func TestSignUpsOfOthersNeverKeepALinkFromTheOwner(t *testing.T) {
	t.Parallel()
	r := startEngine(t, verifiedMode)
	for range 10 {
		r.signUpWaiting(t, victim, "Mallory", attackersPassword)
	}
	if n := r.post.countMails(watchword.MailVerify); n > 3 {
		t.Errorf("%d mails in an hour", n)
	}
	r.clock.advance(23 * time.Hour)
	for range 10 { // as in the first loop, more mails than the rate limit allows
		r.signUpWaiting(t, victim, "Mallory", attackersPassword)
	}
	before := r.post.countMails(watchword.MailVerify)
	r.signUpWaiting(t, victim, "Olive Owner", goodPassword)
	if n := r.post.countMails(watchword.MailVerify); n != before {
		t.Errorf("%d mails more, over the budget", n-before)
	}
	in, err := r.openLink(t, r.post.lastMail(t, watchword.MailVerify).Token, goodPassword)
	must(t, err)
	if in.User.Name != "Olive Owner" {
		t.Errorf("the account is of %q", in.User.Name)
	}
}

// ID-8: an operator, an import or a sign-up (SignupOpen) has created an account with an unproven address. If a
// waiting sign-up for the address then wins, the account must keep its id and roles.
func TestAnUnprovenAccountKeepsItsIDAndRolesWhenAWaitingSignUpWins(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, verifiedMode)
		account, err := r.Operator().CreateUser(t.Context(), watchword.NewUser{
			Email: victim, Password: attackersPassword, Name: "Imported", Roles: []string{"staff"}})
		must(t, err)
		link := r.signUpWaiting(t, victim, "Olive Owner", goodPassword)
		in, err := r.openLink(t, link, goodPassword)
		must(t, err)
		if in.User.ID != account.ID || !in.User.HasRole("staff") || in.User.Name != "Olive Owner" {
			t.Errorf("the account became %+v", in.User)
		}
		r.wantAttackerGone(t, nil)
		r.login(t, victim, laptop)
	})
}

func TestTheAccountsOwnPasswordVerifiesAndKeepsItsSessions(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	first := r.signUp(t, "ada@example.com")
	r.deliverMail(t)
	in, err := r.openLink(t, r.post.lastMail(t, watchword.MailVerify).Token, goodPassword)
	must(t, err)
	if in.User.ID != first.User.ID || !in.User.Verified() || !in.Session.Persistent {
		t.Errorf("got %+v", in)
	}
	r.authenticate(t, first)
	r.authenticate(t, in)
}

// ID-10
func TestAnotherAccountsSessionVerifiesNothing(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	mallory := r.signUp(t, "mallory@example.com")
	r.deliverMail(t) // send Mallory's mail first, because mails that are due together have no order
	attacker, err := r.SignUp(t.Context(), watchword.SignUpRequest{
		Email: victim, Password: attackersPassword, Client: phone})
	must(t, err)
	r.deliverMail(t)
	link := r.post.lastMail(t, watchword.MailVerify).Token
	must(t, r.Logout(t.Context(), attacker.RefreshToken, "", phone))
	for name, token := range map[string]watchword.Secret{
		"of another account": mallory.AccessToken,
		"ended":              attacker.AccessToken, "ended, by refresh token": attacker.RefreshToken,
		"garbage": "garbage", "garbage with dots": "a.b.c", "garbage of our shape": "wwr_AQEBog",
	} {
		_, err := r.VerifyEmail(t.Context(), watchword.MailLinkRequest{
			Token: link, Presented: []watchword.Secret{"", token}, Client: laptop})
		if watchword.CodeOf(err) != watchword.CodePasswordRequired {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A request with a link can prove a live session by a refresh token. The server must accept the newest token. It must
// also accept the previous token, because another tab may just have rotated the session. Both tokens must stay as
// they are.
func TestRefreshTokenBesideALinkIsNotRotated(t *testing.T) {
	t.Parallel()
	for back, want := range []watchword.Code{"", "", watchword.CodePasswordRequired} {
		r := startEngine(t, nil)
		in := r.signUp(t, "ada@example.com")
		r.deliverMail(t)
		tokens := []watchword.Secret{in.RefreshToken}
		for range 2 {
			next, err := r.Refresh(t.Context(), tokens[0], laptop)
			must(t, err)
			tokens = append([]watchword.Secret{next.RefreshToken}, tokens...)
			r.clock.advance(time.Minute)
		}
		_, err := r.VerifyEmail(t.Context(), watchword.MailLinkRequest{
			Token:     r.post.lastMail(t, watchword.MailVerify).Token,
			Presented: tokens[back : back+1], Client: laptop})
		if want != "" {
			wantCode(t, err, want)
		} else {
			must(t, err)
		}
		again, err := r.Refresh(t.Context(), tokens[0], laptop)
		must(t, err)
		if again.Session.Generation != 3 {
			t.Errorf("%d back: generation %d", back, again.Session.Generation)
		}
	}
}

// ID-13: an attacker changes the address of their own account to a stranger's, and hopes that the stranger clicks the
// link. If the click proved the address, the stranger could use the account, and the attacker could undo the change
// later. The server must therefore not change the address by the click alone.
func TestStrangersClickDoesNotMoveTheAccount(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		who := signUpAndVerify(t, r, "mallory@example.com")
		must(t, r.ChangeEmail(t.Context(), who, victim, goodPassword, phone))
		r.deliverMail(t)
		link := r.post.lastMail(t, watchword.MailConfirmAddress)
		if link.To != victim {
			t.Fatalf("the mail went to %s", link.To)
		}
		wantCode(t, r.confirmEmail(t, link.Token, "", laptop), watchword.CodePasswordRequired)
		wantCode(t, r.confirmEmail(t, link.Token, otherPassword, laptop), watchword.CodePasswordWrong)
		own := r.signUp(t, victim)
		_, err := r.ConfirmEmail(t.Context(), watchword.MailLinkRequest{
			Token: link.Token, Presented: []watchword.Secret{own.AccessToken}, Client: laptop})
		wantCode(t, err, watchword.CodePasswordRequired)

		must(t, r.DisownLink(t.Context(), watchword.MailConfirmAddress, link.Token, laptop))
		wantCode(t, r.confirmEmail(t, link.Token, goodPassword, phone), watchword.CodeMailTokenInvalid)
		user, err := r.Operator().FindUser(t.Context(), "mallory@example.com")
		if err != nil || user.ID != who.User.ID {
			t.Errorf("the account moved: %v", err)
		}
	})
}

func TestANewAddressIsConfirmedWithASessionOfTheAccount(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	must(t, r.ChangeEmail(t.Context(), r.authenticate(t, in), "ada@example.org", goodPassword, laptop))
	r.deliverMail(t)
	mail := r.post.lastMail(t, watchword.MailConfirmAddress)
	until, err := r.ConfirmEmail(t.Context(), watchword.MailLinkRequest{
		Token: mail.Token, Presented: []watchword.Secret{in.RefreshToken}, Client: laptop})
	must(t, err)
	if !until.IsZero() || !mail.UndoUntil.IsZero() {
		t.Errorf("the previous address was never proven, and can take the account back until %s", until)
	}
	r.login(t, "ada@example.org", laptop)
}

// The owner of the previous address must be able to restore it, even after the owner of the new address has reset the
// password. The mail and the account must show until when this is possible.
func TestTheUndoOfAnAddressSurvivesAResetByTheNewOne(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	who := signUpAndVerify(t, r, "ada@example.com")
	must(t, r.ChangeEmail(t.Context(), who, "thief@example.org", goodPassword, phone))
	r.deliverMail(t)
	mail := r.post.lastMail(t, watchword.MailConfirmAddress)
	if want := mail.Expires.Add(7 * 24 * time.Hour); !mail.UndoUntil.Equal(want) {
		t.Errorf("the mail shows the undo until %s, want %s", mail.UndoUntil, want)
	}
	until, err := r.ConfirmEmail(t.Context(), watchword.MailLinkRequest{
		Token: mail.Token, Password: goodPassword, Client: phone})
	must(t, err)
	if want := r.clock.Now().Add(7 * 24 * time.Hour); !until.Equal(want) {
		t.Errorf("the change can be undone until %s, want %s", until, want)
	}
	if shown, err := r.Inside().UndoUntil(t.Context(), who); err != nil || !shown.Equal(until) {
		t.Errorf("the account shows the undo until %s, error %v", shown, err)
	}
	r.deliverMail(t)
	undo := r.post.lastMail(t, watchword.MailAddressChanged).Token
	must(t, r.ResetPassword(t.Context(), r.requestReset(t, "thief@example.org"), otherPassword, phone))
	r.clock.advance(7*24*time.Hour - time.Second)
	must(t, r.UndoEmail(t.Context(), undo, laptop))
	if user, err := r.Operator().FindUser(t.Context(), "ada@example.com"); err != nil || user.ID != who.User.ID {
		t.Errorf("the undo did not restore the address: %v", err)
	}
	if shown, err := r.Inside().UndoUntil(t.Context(), who); err != nil || !shown.IsZero() {
		t.Errorf("after the undo, the account still shows it until %s, error %v", shown, err)
	}
}

// ID-1, ID-3
func TestALoginIsComparedWithTheNewestWaitingSignUp(t *testing.T) {
	t.Parallel()
	r := startEngine(t, verifiedMode)
	r.signUpWaiting(t, victim, "", attackersPassword)
	r.clock.advance(time.Second)
	r.signUpWaiting(t, victim, "", goodPassword)
	wantCode(t, r.tryLogin(t, victim, goodPassword), watchword.CodeEmailNotVerified)
	wantCode(t, r.tryLogin(t, victim, attackersPassword), watchword.CodeInvalidCredentials)
	wantCode(t, r.tryLogin(t, victim, "neither of them"), watchword.CodeInvalidCredentials)
	if _, err := r.Operator().FindUser(t.Context(), victim); err == nil {
		t.Error("the account exists before the address is proven")
	}
}

// ID-11
func TestDisowningALinkDeletesItsSignUp(t *testing.T) {
	t.Parallel()
	r := startEngine(t, verifiedMode)
	theirs := r.signUpWaiting(t, victim, "Mallory", attackersPassword)
	own := r.signUpWaiting(t, victim, "Olive Owner", goodPassword)
	must(t, r.DisownLink(t.Context(), watchword.MailVerify, theirs, laptop))
	wantCode(t, r.DisownLink(t.Context(), watchword.MailVerify, theirs, laptop), watchword.CodeMailTokenInvalid)
	_, err := r.openLink(t, own, attackersPassword)
	wantCode(t, err, watchword.CodePasswordWrong)
	_, err = r.openLink(t, own, goodPassword)
	must(t, err)
}

func TestAWaitingSignUpExpires(t *testing.T) {
	t.Parallel()
	r := startEngine(t, verifiedMode)
	link := r.signUpWaiting(t, victim, "", goodPassword)
	r.clock.advance(24*time.Hour - time.Millisecond)
	wantCode(t, r.tryLogin(t, victim, goodPassword), watchword.CodeEmailNotVerified)
	r.clock.advance(time.Minute)
	wantCode(t, r.tryLogin(t, victim, goodPassword), watchword.CodeInvalidCredentials)
	_, err := r.openLink(t, link, goodPassword)
	wantCode(t, err, watchword.CodeMailTokenInvalid)
	_, err = r.Sweep(t.Context())
	must(t, err)
	must(t, r.store.View(t.Context(), func(tx watchword.Tx) error {
		left, err := tx.Signups(t.Context(), victim, time.Time{})
		if len(left) != 0 {
			t.Errorf("%d sign-ups remain", len(left))
		}
		return err
	}))
}

func TestNoAccountIsCreatedWhereSignUpIsClosed(t *testing.T) {
	t.Parallel()
	r := startEngine(t, verifiedMode)
	link := r.signUpWaiting(t, victim, "", goodPassword)
	closed := startWith(t, r.store, func(o *watchword.Options) { o.Signup = watchword.SignupClosed })
	_, err := closed.openLink(t, link, goodPassword)
	wantCode(t, err, watchword.CodeSignupClosed)
	wantCode(t, closed.ResetPassword(t.Context(), link, goodPassword, laptop), watchword.CodeSignupClosed)
	wantCode(t, closed.tryLogin(t, victim, goodPassword), watchword.CodeInvalidCredentials)
}

func TestADisabledAccountIsNotOpenedByALink(t *testing.T) {
	t.Parallel()
	r := startEngine(t, verifiedMode)
	link := r.signUpWaiting(t, victim, "Olive Owner", goodPassword)
	account, err := r.Operator().CreateUser(t.Context(), watchword.NewUser{Email: victim})
	must(t, err)
	must(t, r.Operator().DisableUser(t.Context(), account.ID))
	_, err = r.openLink(t, link, goodPassword)
	wantCode(t, err, watchword.CodeAccountDisabled)
	wantCode(t, r.ResetPassword(t.Context(), link, goodPassword, laptop), watchword.CodeMailTokenInvalid)
	before := r.post.countMails(watchword.MailVerify)
	must(t, func() error {
		_, err := r.SignUp(t.Context(), watchword.SignUpRequest{Email: victim, Password: otherPassword, Client: phone})
		return err
	}())
	r.deliverMail(t)
	if n := r.post.countMails(watchword.MailVerify); n != before {
		t.Error("a link was mailed for a disabled account")
	}
}

// RL-3
func TestAPasswordBesideALinkIsLimitedAsALoginIs(t *testing.T) {
	t.Parallel()
	r := startEngine(t, verifiedMode)
	link := r.signUpWaiting(t, victim, "", goodPassword)
	for range 10 {
		_, err := r.openLink(t, link, otherPassword)
		wantCode(t, err, watchword.CodePasswordWrong)
	}
	_, err := r.openLink(t, link, goodPassword)
	wantCode(t, err, watchword.CodeRateLimited)
	wantCode(t, r.loginFrom(t, victim, goodPassword, laptop), watchword.CodeRateLimited)
	r.clock.advance(15 * time.Minute)
	for range 20 { // right passwords are not charged
		wantCode(t, r.tryLogin(t, victim, goodPassword), watchword.CodeEmailNotVerified)
	}
	_, err = r.openLink(t, link, goodPassword)
	must(t, err)
}

// EV-1, ID-9
func TestOneOfConcurrentLinksCreatesTheAccount(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		for _, account := range []bool{false, true} {
			r := start(t, func(o *watchword.Options) {
				o.Signup, o.Limits = watchword.SignupVerified, watchword.Unlimited()
			})
			if account {
				_, err := r.Operator().CreateUser(t.Context(), watchword.NewUser{
					Email: victim, Password: attackersPassword})
				must(t, err)
			}
			links := []watchword.Secret{
				r.signUpWaiting(t, victim, "One", goodPassword),
				r.signUpWaiting(t, victim, "Two", otherPassword),
			}
			errs := make([]error, 8)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() {
					switch link := links[i%2]; i / 2 % 2 {
					case 0:
						_, errs[i] = r.openLink(t, link, []watchword.Secret{goodPassword, otherPassword}[i%2])
					default:
						errs[i] = r.ResetPassword(t.Context(), link, "a third one for "+link[:8], laptop)
					}
				})
			}
			wg.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else if code := watchword.CodeOf(err); code != watchword.CodeMailTokenInvalid &&
					code != watchword.CodePasswordWrong {
					t.Errorf("got %v", err)
				}
			}
			users, err := r.Operator().Users(t.Context(), "", 10)
			must(t, err)
			if won != 1 || len(users) != 1 || !users[0].Verified() {
				t.Errorf("%d succeeded, of %v; accounts: %+v", won, errs, users)
			}
			r.wantAttackerGone(t, nil)
		}
	})
}

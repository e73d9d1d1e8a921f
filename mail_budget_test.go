package watchword_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

// worksAsReset reports whether a link can reset the password. It sends a password that is too short, which does not
// consume the link.
func (r *rig) worksAsReset(t *testing.T, token watchword.Secret) bool {
	t.Helper()
	err := r.ResetPassword(t.Context(), token, "short", laptop)
	return watchword.CodeOf(err) == watchword.CodeValidationFailed
}

// For a day, strangers request every possible mail to an address. Whenever the owner requests a reset, the newest
// link in the inbox must work, both at once and 4 minutes later.
//
// RL-14, RL-7
func TestStrangersCannotSuppressAResetForADay(t *testing.T) {
	t.Parallel()
	for _, mode := range []watchword.SignupMode{watchword.SignupOpen, watchword.SignupVerified} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			r := startEngine(t, func(o *watchword.Options) { o.Signup = watchword.SignupOpen })
			signUpAndVerify(t, r, "ada@example.com")
			thief := signUpAndVerify(t, r, "mallory@example.com")
			opts := r.opts
			opts.Signup = mode
			engine, err := watchword.NewForTest(t.Context(), r.store, opts)
			must(t, err)
			t.Cleanup(engine.Close)
			r.Engine = engine
			const step = 10 * time.Minute
			day := 24 * time.Hour
			if testing.Short() {
				day /= 4
			}
			for n := range int(day / step) {
				for again := range 4 {
					must(t, r.ForgotPassword(t.Context(), "Ada@example.com", "", stranger(4*n+again)))
					must(t, r.ResendVerification(t.Context(), "ada@example.com", stranger(4*n+again)))
				}
				if n%6 == 0 { // less often, because these requests compute a hash
					_, _ = r.SignUp(t.Context(), watchword.SignUpRequest{
						Email: "ada@example.com", Password: otherPassword, Client: stranger(n)})
					must(t, r.ChangeEmail(t.Context(), thief, "ada@example.com", goodPassword, stranger(n)))
				}
				if n%3 == 0 {
					r.deliverMail(t)
					must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", laptop))
					r.deliverMail(t)
					token := r.post.lastMail(t, watchword.MailReset).Token
					if !r.worksAsReset(t, token) {
						t.Fatalf("after %s the owner has no link that works", time.Duration(n)*step)
					}
					r.clock.advance(4 * time.Minute)
					if !r.worksAsReset(t, token) {
						t.Fatalf("after %s the link of the owner works for less than 4 minutes", time.Duration(n)*step)
					}
				}
				r.clock.advance(step)
			}
			for _, kind := range []watchword.MailKind{
				watchword.MailReset, watchword.MailSignupExisting, watchword.MailConfirmAddress,
			} {
				if n := r.post.countMails(kind); n > 5+26*6 {
					t.Errorf("%d mails of kind %s in a day", n, kind)
				}
			}
			if r.post.countMails(watchword.MailVerify) > 2 {
				t.Error("a proven address was mailed a link to prove it")
			}
		})
	}
}

// Strangers sign up with the address of a person without an account. Whenever that person requests a link, the newest
// link in the inbox must work.
//
// RL-14, ID-11
func TestStrangersCannotSuppressTheLinkOfAWaitingSignUp(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.Signup, o.VerifyTTL = watchword.SignupVerified, 2*time.Hour })
	const step = 20 * time.Minute
	for n := range int(8 * time.Hour / step) {
		if n%2 == 0 {
			_, err := r.SignUp(t.Context(), watchword.SignUpRequest{
				Email: "ada@example.com", Password: otherPassword, Client: stranger(n)})
			must(t, err)
		}
		for again := range 4 {
			must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", stranger(4*n+again)))
			must(t, r.ResendVerification(t.Context(), "ada@example.com", stranger(4*n+again)))
		}
		r.deliverMail(t)
		must(t, r.ResendVerification(t.Context(), "ada@example.com", laptop))
		r.deliverMail(t)
		for range 2 {
			if !r.worksAsReset(t, r.post.lastMail(t, watchword.MailVerify).Token) {
				t.Fatalf("after %s the owner has no link that works", time.Duration(n)*step)
			}
			r.clock.advance(step / 2)
		}
	}
	if n := r.post.countMails(watchword.MailVerify); n > 3+3*8+4 {
		t.Errorf("%d mails in eight hours", n)
	}
	must(t, r.ResetPassword(t.Context(), r.post.lastMail(t, watchword.MailVerify).Token, goodPassword, laptop))
	r.login(t, "ada@example.com", laptop)
}

// RL-14
func TestEachKindOfMailHasABudgetOfItsOwn(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.signUp(t, "ada@example.com")
	for n := range 8 {
		must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", stranger(n)))
		must(t, r.ResendVerification(t.Context(), "ada@example.com", stranger(n)))
		r.deliverMail(t)
	}
	resets, links := r.post.countMails(watchword.MailReset), r.post.countMails(watchword.MailVerify)
	if resets != 3 || links != 3 {
		t.Errorf("%d resets and %d verification links in an hour, want 3 of each", resets, links)
	}
	if !r.worksAsReset(t, r.post.lastMail(t, watchword.MailReset).Token) {
		t.Error("the link of the last mail does not work: a dropped mail replaced it")
	}
}

// RL-14
func TestMailRequestForAnUnknownAddressIsNotCharged(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	for n := range 8 {
		must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", stranger(n)))
		must(t, r.ResendVerification(t.Context(), "ada@example.com", stranger(n)))
	}
	r.deliverMail(t)
	r.signUp(t, "ada@example.com")
	for range 3 {
		r.requestReset(t, "ada@example.com")
	}
	resets, links := r.post.countMails(watchword.MailReset), r.post.countMails(watchword.MailVerify)
	if resets != 3 || links != 1 {
		t.Errorf("%d resets and %d verification links, want 3 and 1", resets, links)
	}
}

// RL-14
func TestAResetOverItsBudgetIsSentWhenNoLinkWorks(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	who := signUpAndVerify(t, r, "ada@example.com")
	for range 4 {
		r.requestReset(t, "ada@example.com")
	}
	if n := r.post.countMails(watchword.MailReset); n != 3 {
		t.Fatalf("%d mails, want 3", n)
	}
	must(t, r.ChangePassword(t.Context(), who, goodPassword, otherPassword, laptop)) // revokes the link
	if !r.worksAsReset(t, r.requestReset(t, "ada@example.com")) {
		t.Error("the link does not work")
	}
	if n := r.post.countMails(watchword.MailReset); n != 4 {
		t.Errorf("%d mails, want 4", n)
	}
}

// RL-14
func TestFailedMailKeepsTheEarlierLinkValid(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	signUpAndVerify(t, r, "ada@example.com")
	inbox := r.requestReset(t, "ada@example.com")
	r.post.failWith(fmt.Errorf("the mail server is unavailable"))
	for n := range 6 { // only the first two are within the budget
		must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", stranger(n)))
		r.deliverMail(t)
	}
	if !r.worksAsReset(t, inbox) {
		t.Error("the link in the inbox was revoked, and no other mail arrived")
	}
	r.clock.advance(11 * time.Minute)
	r.post.failWith(nil)
	// The owner's request is above the budget, but is not dropped: the link in the inbox expires in less than 5
	// minutes.
	must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", laptop))
	r.deliverMail(t)
	if token := r.post.lastMail(t, watchword.MailReset).Token; token == inbox || !r.worksAsReset(t, token) {
		t.Error("the owner has no new link")
	}
	sent := r.post.countMails(watchword.MailReset)
	r.clock.advance(time.Hour)
	r.deliverMail(t)
	if n := r.post.countMails(watchword.MailReset) - sent; n > 4 {
		t.Errorf("after the mail server recovered, %d mails arrived", n)
	}
}

// RL-15
func TestNoNoticeGoesToAnUnprovenAddress(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.Limits = watchword.Unlimited() })
	in := r.signUp(t, "victim@example.com")
	who := r.authenticate(t, in)
	passwords := []watchword.Secret{goodPassword, otherPassword}
	for n := range 4 {
		must(t, r.ChangePassword(t.Context(), who, passwords[n%2], passwords[(n+1)%2], phone))
		who = r.authenticate(t, in)
	}
	r.reuseOldToken(t, in)
	in = r.login(t, "victim@example.com", phone)
	who = r.authenticate(t, in)
	must(t, r.ChangeEmail(t.Context(), who, "mallory@example.com", goodPassword, phone))
	r.deliverMail(t)
	must(t, r.confirmEmail(t, r.post.lastMail(t, watchword.MailConfirmAddress).Token, goodPassword, phone))
	r.deliverMail(t)
	for _, kind := range []watchword.MailKind{
		watchword.MailPasswordChanged, watchword.MailReuseDetected, watchword.MailAddressChanged,
		watchword.MailMoreHappened,
	} {
		if n := r.post.countMails(kind); n > 0 {
			t.Errorf("%d mails of kind %s to an unproven address", n, kind)
		}
	}
}

func (r *rig) reuseOldToken(t *testing.T, in *watchword.SignIn) {
	t.Helper()
	token := in.RefreshToken
	for range 3 {
		next, err := r.Refresh(t.Context(), token, laptop)
		must(t, err)
		token = next.RefreshToken
		r.clock.advance(time.Minute)
	}
	_, err := r.Refresh(t.Context(), in.RefreshToken, phone)
	wantCode(t, err, watchword.CodeRefreshReused)
}

// RL-15
func TestNoticesOfAnAccountAreBounded(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.Limits.LoginPerClient = watchword.Limit{Count: -1} })
	who := signUpAndVerify(t, r, "ada@example.com")
	passwords := []watchword.Secret{goodPassword, otherPassword}
	n := 0
	change := func() {
		t.Helper()
		must(t, r.ChangePassword(t.Context(), who, passwords[n%2], passwords[(n+1)%2], laptop))
		n++
		var err error
		who.User, err = r.Operator().FindUser(t.Context(), "ada@example.com")
		must(t, err)
	}
	counts := func() [3]int {
		r.deliverMail(t)
		return [3]int{
			r.post.countMails(watchword.MailPasswordChanged),
			r.post.countMails(watchword.MailReuseDetected),
			r.post.countMails(watchword.MailMoreHappened),
		}
	}
	for range 14 {
		change()
	}
	if got := counts(); got != [3]int{5, 0, 1} {
		t.Errorf("14 changes: %v notices, want 5 and one summary", got)
	}
	r.reuseOldToken(t, r.login(t, "ada@example.com", laptop)) // the first reuse of the day
	r.reuseOldToken(t, r.login(t, "ada@example.com", laptop))
	if got := counts(); got != [3]int{5, 1, 1} {
		t.Errorf("two detected reuses: %v, want one notice", got)
	}
	r.clock.advance(5 * time.Hour)
	change()
	change()
	if got := counts(); got != [3]int{6, 1, 1} {
		t.Errorf("after five hours: %v, want one more", got)
	}
	// The undo mail is sent although the budget is used up.
	must(t, r.ChangeEmail(t.Context(), who, "ada@example.org", goodPassword, laptop))
	r.deliverMail(t)
	must(t, r.confirmEmail(t, r.post.lastMail(t, watchword.MailConfirmAddress).Token, goodPassword, laptop))
	r.deliverMail(t)
	if undo := r.post.lastMail(t, watchword.MailAddressChanged); undo.To != "ada@example.com" || undo.Token == "" {
		t.Errorf("the undo mail is %+v", undo)
	}
}

// RL-15
func TestPasswordChangeWithTheRightPasswordIsChargedToTheClient(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) {
		o.Limits.LoginPerClient = watchword.Limit{Count: 4, Per: time.Hour}
	})
	who := signUpAndVerify(t, r, "ada@example.com")
	passwords := []watchword.Secret{goodPassword, otherPassword}
	for n := range 4 {
		must(t, r.ChangePassword(t.Context(), who, passwords[n%2], passwords[(n+1)%2], phone))
		var err error
		who.User, err = r.Operator().FindUser(t.Context(), "ada@example.com")
		must(t, err)
	}
	wantCode(t, r.ChangePassword(t.Context(), who, goodPassword, otherPassword, phone), watchword.CodeRateLimited)
	must(t, r.ChangePassword(t.Context(), who, goodPassword, otherPassword, laptop))
}

// Changes of address send mails up to the budget. A later request is dropped, and the link of the mail that was sent
// before still works.
//
// RL-14, EV-2
func TestDroppedConfirmationKeepsTheLastLinkValid(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	who := signUpAndVerify(t, r, "ada@example.com")
	for range 5 {
		must(t, r.ChangeEmail(t.Context(), who, "ada@example.org", goodPassword, laptop))
		r.deliverMail(t)
	}
	if n := r.post.countMails(watchword.MailConfirmAddress); n != 3 {
		t.Errorf("%d mails, want 3", n)
	}
	must(t, r.confirmEmail(t, r.post.lastMail(t, watchword.MailConfirmAddress).Token, goodPassword, laptop))
}

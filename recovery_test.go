package watchword_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

func (r *rig) requestReset(t *testing.T, email string) watchword.Secret {
	t.Helper()
	if err := r.ForgotPassword(t.Context(), email, "", laptop); err != nil {
		t.Fatal(err)
	}
	r.deliverMail(t)
	return r.post.lastMail(t, watchword.MailReset).Token
}

// ID-8, RST-1, RST-4
func TestAResetEndsEverySessionAndWorksOnce(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	token := r.requestReset(t, "ada@example.com")
	if err := r.ResetPassword(t.Context(), token, otherPassword, laptop); err != nil {
		t.Fatal(err)
	}
	wantCode(t, r.ResetPassword(t.Context(), token, goodPassword, laptop), watchword.CodeMailTokenInvalid)
	_, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
	wantCode(t, err, watchword.CodeSessionEnded)
	_, err = r.Login(t.Context(), watchword.LoginRequest{
		Email: "ada@example.com", Password: goodPassword, Client: laptop})
	wantCode(t, err, watchword.CodeInvalidCredentials)
	back, err := r.Login(t.Context(), watchword.LoginRequest{
		Email: "ada@example.com", Password: otherPassword, Client: laptop})
	if err != nil {
		t.Fatal(err)
	}
	if !back.User.Verified() {
		t.Error("the reset did not verify the address")
	}
	r.deliverMail(t)
	r.post.lastMail(t, watchword.MailPasswordChanged)
}

// RST-3, EV-4
func TestMailedTokenEndsByExpirySuccessorOrAccountChange(t *testing.T) {
	t.Parallel()
	for name, invalidate := range map[string]func(*testing.T, *rig, watchword.Identity){
		"age":       func(_ *testing.T, r *rig, _ watchword.Identity) { r.clock.advance(15 * time.Minute) },
		"successor": func(t *testing.T, r *rig, _ watchword.Identity) { r.requestReset(t, "ada@example.com") },
		"change of password": func(t *testing.T, r *rig, who watchword.Identity) {
			must(t, r.ChangePassword(t.Context(), who, goodPassword, otherPassword, laptop))
		},
		"disabling": func(t *testing.T, r *rig, who watchword.Identity) {
			must(t, r.Operator().DisableUser(t.Context(), who.User.ID))
			must(t, r.Operator().EnableUser(t.Context(), who.User.ID))
		},
		"deletion": func(t *testing.T, r *rig, who watchword.Identity) {
			must(t, r.DeleteAccount(t.Context(), who, goodPassword, laptop))
			r.signUp(t, "ada@example.com")
		},
		"change of address": func(t *testing.T, r *rig, who watchword.Identity) {
			must(t, r.ChangeEmail(t.Context(), who, "ada@example.org", goodPassword, laptop))
			r.deliverMail(t)
			must(t, r.confirmEmail(t, r.post.lastMail(t, watchword.MailConfirmAddress).Token, goodPassword, laptop))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startEngine(t, nil)
			who := r.authenticate(t, r.signUp(t, "ada@example.com"))
			token := r.requestReset(t, "ada@example.com")
			invalidate(t, r, who)
			wantCode(t, r.ResetPassword(t.Context(), token, otherPassword, laptop), watchword.CodeMailTokenInvalid)
		})
	}
}

// EV-1
// RST-2
func TestOneOfTwoConcurrentResetsSucceeds(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.signUp(t, "ada@example.com")
	token := r.requestReset(t, "ada@example.com")
	passwords := []watchword.Secret{goodPassword, otherPassword}
	errs := make([]error, len(passwords))
	var wg sync.WaitGroup
	for i, password := range passwords {
		wg.Go(func() { errs[i] = r.ResetPassword(t.Context(), token, password, laptop) })
	}
	wg.Wait()
	won := slices.Index(errs, nil)
	if won < 0 {
		t.Fatalf("both resets failed: %v", errs)
	}
	wantCode(t, errs[1-won], watchword.CodeMailTokenInvalid)
	_, err := r.Login(t.Context(), watchword.LoginRequest{
		Email: "ada@example.com", Password: passwords[won], Client: laptop})
	must(t, err)
}

// PW-13
func TestAResetLinkWorksOnlyForTheAddressThatItWasMailedTo(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	user := r.signUp(t, "ada@example.com").User
	token := r.requestReset(t, "ada@example.com")
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.SetEmail(t.Context(), user.ID, user.Email, "ada@example.org", r.clock.Now())
		return err
	}))
	wantCode(t, r.ResetPassword(t.Context(), token, otherPassword, laptop), watchword.CodeMailTokenInvalid)
}

// RST-5
func TestResetRequestChangesNoAccount(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	r.requestReset(t, "ada@example.com")
	r.authenticate(t, in)
	r.login(t, "ada@example.com", laptop)
}

// ID-5
func TestTokenOfADeletedAccountGetsTheSameRefusal(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	user := r.signUp(t, "ada@example.com").User
	token := r.requestReset(t, "ada@example.com")
	must(t, r.Operator().DeleteUser(t.Context(), user.ID))
	gone := r.ResetPassword(t.Context(), token, otherPassword, laptop)
	never := r.ResetPassword(t.Context(), "wwm_never", otherPassword, laptop)
	wantCode(t, gone, watchword.CodeMailTokenInvalid)
	if gone.Error() != never.Error() {
		t.Errorf("the deleted account's token gets %q, an unknown token %q", gone, never)
	}
}

// EV-2
func TestOnlyTheNewestChangeOfAddressCanBeConfirmed(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	who := signUpAndVerify(t, r, "ada@example.com")
	var tokens []watchword.Secret
	for _, to := range []string{"ada@example.org", "ada@example.net"} {
		must(t, r.ChangeEmail(t.Context(), who, to, goodPassword, laptop))
		r.deliverMail(t)
		tokens = append(tokens, r.post.lastMail(t, watchword.MailConfirmAddress).Token)
	}
	wantCode(t, r.confirmEmail(t, tokens[0], goodPassword, laptop), watchword.CodeMailTokenInvalid)
	must(t, r.confirmEmail(t, tokens[1], goodPassword, laptop))
	r.login(t, "ada@example.net", laptop)
}

func TestTokenOfOneKindIsRefusedAsAnotherKind(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	reset := r.requestReset(t, "ada@example.com")
	verify := r.post.lastMail(t, watchword.MailVerify).Token
	wantCode(t, r.verifyWithSession(t, reset, in), watchword.CodeMailTokenInvalid)
	wantCode(t, r.confirmEmail(t, verify, goodPassword, laptop), watchword.CodeMailTokenInvalid)
	wantCode(t, r.UndoEmail(t.Context(), reset, laptop), watchword.CodeMailTokenInvalid)
	must(t, r.verifyWithSession(t, verify, in))
	wantCode(t, r.verifyWithSession(t, verify, in), watchword.CodeMailTokenInvalid)
	wantCode(t, r.ResetPassword(t.Context(), verify, otherPassword, laptop), watchword.CodeMailTokenInvalid)
}

// ID-4, RL-7
func TestMailRequestsRevealNoAccountAndAreLimited(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	user := r.signUp(t, "ada@example.com").User
	for range 5 {
		must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", phone))
		must(t, r.ForgotPassword(t.Context(), "nobody@example.com", "", phone))
		must(t, r.ResendVerification(t.Context(), "ada@example.com", phone))
	}
	r.deliverMail(t)
	for _, kind := range []watchword.MailKind{watchword.MailReset, watchword.MailVerify} {
		if n := r.post.countMails(kind); n > 3 {
			t.Errorf("%s got %d mails of kind %s in an hour", user.Email, n, kind)
		}
	}
	mails, err := r.Operator().Mails(t.Context(), 10)
	if err != nil || len(mails) > 0 {
		t.Errorf("the outbox still contains %v, error %v", mails, err)
	}
	for range 30 {
		_ = r.ForgotPassword(t.Context(), "nobody@example.com", "", phone)
	}
	wantCode(t, r.ForgotPassword(t.Context(), "nobody@example.com", "", phone), watchword.CodeRateLimited)
}

func signUpAndVerify(t *testing.T, r *rig, email string) watchword.Identity {
	t.Helper()
	in := r.signUp(t, email)
	r.deliverMail(t)
	must(t, r.verifyWithSession(t, r.post.lastMail(t, watchword.MailVerify).Token, in))
	return r.authenticate(t, in)
}

// EV-3
func TestAnAddressChangesOnlyOnceItIsConfirmed(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	who := signUpAndVerify(t, r, "ada@example.com")
	wantCode(t, r.ChangeEmail(t.Context(), who, "ada@example.org", "wrong password", laptop),
		watchword.CodePasswordWrong)
	must(t, r.ChangeEmail(t.Context(), who, "ada@example.org", goodPassword, laptop))
	if u, err := r.Operator().FindUser(t.Context(), "ada@example.com"); err != nil || u.ID != who.User.ID {
		t.Fatalf("the address changed before it was confirmed: %v", err)
	}
	r.deliverMail(t)
	must(t, r.confirmEmail(t, r.post.lastMail(t, watchword.MailConfirmAddress).Token, goodPassword, laptop))
	r.login(t, "ada@example.org", laptop)
	r.deliverMail(t)
	notice := r.post.lastMail(t, watchword.MailAddressChanged)
	if notice.To != "ada@example.com" || notice.NewEmail != "ada@example.org" || notice.Token == "" {
		t.Errorf("got notice %+v", notice)
	}
}

// A thief who knows the password changes the address, then the password, then the address a second time. With the
// undo link of the first change, the owner must get the account back.
func TestUndoOfAnAddressReturnsTheAccountToItsOwner(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	who := signUpAndVerify(t, r, "ada@example.com")
	change := func(to string, password watchword.Secret) watchword.Message {
		must(t, r.ChangeEmail(t.Context(), who, to, password, phone))
		r.deliverMail(t)
		must(t, r.confirmEmail(t, r.post.lastMail(t, watchword.MailConfirmAddress).Token, password, phone))
		r.deliverMail(t)
		var err error
		if who.User, err = r.Operator().FindUser(t.Context(), to); err != nil {
			t.Fatal(err)
		}
		return r.post.lastMail(t, watchword.MailAddressChanged)
	}
	ownerMail := change("thief@example.org", goodPassword)
	must(t, r.ChangePassword(t.Context(), who, goodPassword, otherPassword, phone))
	who.User, _ = r.Operator().FindUser(t.Context(), "thief@example.org")
	r.clock.advance(time.Minute)
	thiefMail := change("thief2@example.org", otherPassword)

	// The owner's address stays reserved while the undo link works.
	_, err := r.SignUp(t.Context(), watchword.SignUpRequest{
		Email: "ada@example.com", Password: goodPassword, Client: phone})
	wantCode(t, err, watchword.CodeEmailTaken)

	r.clock.advance(6 * 24 * time.Hour)
	must(t, r.UndoEmail(t.Context(), ownerMail.Token, laptop))
	wantCode(t, r.UndoEmail(t.Context(), thiefMail.Token, phone), watchword.CodeMailTokenInvalid)
	if _, err := r.Operator().FindUser(t.Context(), "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	for _, password := range []watchword.Secret{goodPassword, otherPassword} {
		_, err := r.Login(t.Context(), watchword.LoginRequest{
			Email: "ada@example.com", Password: password, Client: phone})
		wantCode(t, err, watchword.CodeInvalidCredentials)
	}
	r.deliverMail(t)
	reset := r.post.lastMail(t, watchword.MailReset)
	if reset.To != "ada@example.com" {
		t.Errorf("the reset link was mailed to %s", reset.To)
	}
	if event := newestEvent(t, r, who.User.ID, "password_reset_requested"); event.Detail != "address change undone" {
		t.Errorf("the event of the link is %+v", event)
	}
	must(t, r.ResetPassword(t.Context(), reset.Token, goodPassword, laptop))
	r.login(t, "ada@example.com", laptop)
}

func TestAnUndoIsPossibleForAWeek(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	who := signUpAndVerify(t, r, "ada@example.com")
	must(t, r.ChangeEmail(t.Context(), who, "ada@example.org", goodPassword, laptop))
	r.deliverMail(t)
	must(t, r.confirmEmail(t, r.post.lastMail(t, watchword.MailConfirmAddress).Token, goodPassword, laptop))
	r.deliverMail(t)
	token := r.post.lastMail(t, watchword.MailAddressChanged).Token
	r.clock.advance(7 * 24 * time.Hour)
	wantCode(t, r.UndoEmail(t.Context(), token, laptop), watchword.CodeMailTokenInvalid)
	r.signUp(t, "ada@example.com") // the address is no longer reserved
}

func TestInvalidLinkOriginIsRefused(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	for _, origin := range []string{"https://app.example.com/", "https://*.example.com", ""} {
		opts := r.opts
		opts.LinkOrigins = []string{"https://app.example.com", origin}
		if engine, err := watchword.NewForTest(t.Context(), r.store, opts); err == nil {
			engine.Close()
			t.Errorf("%q was accepted", origin)
		}
	}
}

func TestATakenAddressCannotBeConfirmed(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	who := signUpAndVerify(t, r, "ada@example.com")
	must(t, r.ChangeEmail(t.Context(), who, "bob@example.com", goodPassword, laptop))
	r.deliverMail(t)
	token := r.post.lastMail(t, watchword.MailConfirmAddress).Token
	r.signUp(t, "bob@example.com")
	wantCode(t, r.confirmEmail(t, token, goodPassword, laptop), watchword.CodeEmailTaken)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

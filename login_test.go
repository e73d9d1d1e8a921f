package watchword_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
)

func TestSignUpOpensASession(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, " Ada@Example.COM ")
	who := r.authenticate(t, in)
	if who.User.Email != "ada@example.com" || who.User.Verified() || who.Session.Device == "" {
		t.Errorf("got %+v", who)
	}
	r.deliverMail(t)
	if mail := r.post.lastMail(t, watchword.MailVerify); mail.To != "ada@example.com" || mail.Token == "" {
		t.Errorf("got mail %+v", mail)
	}
}

// ID-9
func TestOneOfConcurrentSignUpsGetsTheAddress(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.Limits = watchword.Unlimited() })
	var wg sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		wg.Go(func() {
			_, results[i] = r.SignUp(t.Context(), watchword.SignUpRequest{
				Email: "ada@example.com", Password: goodPassword, Client: laptop})
		})
	}
	wg.Wait()
	created := 0
	for _, err := range results {
		if err == nil {
			created++
			continue
		}
		wantCode(t, err, watchword.CodeEmailTaken)
	}
	if created != 1 {
		t.Errorf("%d sign-ups got the address", created)
	}
}

// PW-1, PW-2, PW-5, RST-7
func TestAPasswordIsRefusedOnEveryPathThatSetsOne(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.PasswordWords = []string{"Globex Corp"} })
	in := r.signUp(t, "ada.lovelace@example.com")
	who := r.authenticate(t, in)
	if err := r.ForgotPassword(t.Context(), "ada.lovelace@example.com", "", laptop); err != nil {
		t.Fatal(err)
	}
	r.deliverMail(t)
	reset := r.post.lastMail(t, watchword.MailReset).Token
	paths := map[string]func(password watchword.Secret) error{
		"sign-up": func(p watchword.Secret) error {
			_, err := r.SignUp(t.Context(), watchword.SignUpRequest{
				Email: "ada.lovelace@example.org", Password: p, Client: laptop})
			return err
		},
		"change": func(p watchword.Secret) error {
			return r.ChangePassword(t.Context(), who, goodPassword, p, laptop)
		},
		"reset": func(p watchword.Secret) error {
			return r.ResetPassword(t.Context(), reset, p, laptop)
		},
		"operator": func(p watchword.Secret) error {
			_, err := r.Operator().CreateUser(t.Context(), watchword.NewUser{
				Email: "ada.lovelace@example.net", Password: p})
			return err
		},
	}
	field := map[string]string{"change": "newPassword"}
	for name, set := range paths {
		for password, code := range map[string]string{
			"short":                        watchword.FieldPasswordShort,
			"password1":                    watchword.FieldPasswordCommon,
			"globex-2026":                  watchword.FieldPasswordCommon,
			"GlobexCorp!":                  watchword.FieldPasswordCommon,
			"id.example.com":               watchword.FieldPasswordCommon, // the host of the public URL
			"globex+lovelace":              watchword.FieldPasswordPersonal,
			"ada.lovelace":                 watchword.FieldPasswordPersonal,
			fmt.Sprintf("%0257d", 0):       watchword.FieldPasswordLong,
			"nul\x00 is not for passwords": watchword.FieldInvalid,
		} {
			name := name
			f := "password"
			if field[name] != "" {
				f = field[name]
			}
			err := set(watchword.Secret(password))
			t.Run(name, func(t *testing.T) { wantField(t, err, f, code) })
		}
	}
	// A refused password does not consume the token.
	if err := r.ResetPassword(t.Context(), reset, otherPassword, laptop); err != nil {
		t.Errorf("after refusals: %v", err)
	}
}

// ID-1, ID-3
func TestAStrangerCannotTellAccountsApart(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.Signup = watchword.SignupVerified })
	sign := func(email string) error {
		_, err := r.SignUp(t.Context(), watchword.SignUpRequest{Email: email, Password: goodPassword, Client: laptop})
		return err
	}
	if err := sign("ada@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := sign("ada@example.com"); err != nil {
		t.Fatalf("a second sign-up with a waiting address is refused: %v", err)
	}
	r.deliverMail(t) // the next mail must be the link for Eve
	if _, err := r.openLink(t, r.signUpWaiting(t, "eve@example.com", "", goodPassword), goodPassword); err != nil {
		t.Fatal(err)
	}
	if err := sign("eve@example.com"); err != nil {
		t.Fatalf("a sign-up with a taken address is refused: %v", err)
	}
	disabled, err := r.Operator().CreateUser(t.Context(), watchword.NewUser{
		Email: "bob@example.com", Password: goodPassword})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Operator().DisableUser(t.Context(), disabled.ID); err != nil {
		t.Fatal(err)
	}
	login := func(email, password string) error {
		_, err := r.Login(t.Context(), watchword.LoginRequest{
			Email: email, Password: watchword.Secret(password), Client: laptop})
		return err
	}
	var texts []string
	for _, email := range []string{"ada@example.com", "bob@example.com", "nobody@example.com"} {
		err := login(email, "not the password")
		wantCode(t, err, watchword.CodeInvalidCredentials)
		texts = append(texts, err.Error())
	}
	if texts[0] != texts[1] || texts[1] != texts[2] {
		t.Errorf("the refusals differ: %q", texts)
	}
	wantCode(t, login("ada@example.com", goodPassword), watchword.CodeEmailNotVerified)
	wantCode(t, login("bob@example.com", goodPassword), watchword.CodeAccountDisabled)

	r.deliverMail(t)
	if mail := r.post.lastMail(t, watchword.MailSignupExisting); mail.Token != "" {
		t.Errorf("the owner of a taken address got a token: %+v", mail)
	}
}

// RL-4
func TestParallelGuessesCostOneAttemptEach(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		in := r.signUp(t, "ada@example.com")
		for name, c := range map[string]watchword.Client{"unknown": phone, "known": withDeviceToken(laptop, in)} {
			counts := r.guessConcurrently(t, c)
			if counts[watchword.CodeInvalidCredentials] != 10 || counts[watchword.CodeRateLimited] != 40 {
				t.Errorf("%s device: got %v", name, counts)
			}
		}
		if _, events := r.countEvents(t, in.User.ID); events != 21 {
			t.Errorf("%d events are counted, want the sign-up and 20 failures", events)
		}
	})
}

// guessConcurrently sends 50 wrong passwords and counts the codes.
func (r *rig) guessConcurrently(t *testing.T, c watchword.Client) map[watchword.Code]int {
	t.Helper()
	var wg sync.WaitGroup
	codes := make([]watchword.Code, 50)
	for i := range codes {
		wg.Go(func() { codes[i] = watchword.CodeOf(r.loginFrom(t, "ada@example.com", "a wrong guess", c)) })
	}
	wg.Wait()
	counts := map[watchword.Code]int{}
	for _, code := range codes {
		counts[code]++
	}
	return counts
}

// RL-10
func TestSuccessfulSignInRefundsOnlyItsOwnCharge(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.signUp(t, "ada@example.com")
	wrong := func() error {
		_, err := r.Login(t.Context(), watchword.LoginRequest{
			Email: "ada@example.com", Password: "a wrong guess", Client: phone})
		return err
	}
	for range 9 {
		wantCode(t, wrong(), watchword.CodeInvalidCredentials)
	}
	r.login(t, "ada@example.com", laptop)
	wantCode(t, wrong(), watchword.CodeInvalidCredentials)
	wantCode(t, wrong(), watchword.CodeRateLimited)
}

// RT-7
func TestEverySignInIsANewSession(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	one := r.signUp(t, "ada@example.com")
	two := r.login(t, "ada@example.com", laptop)
	if one.Session.ID == two.Session.ID || one.RefreshToken == two.RefreshToken || one.AccessToken == two.AccessToken {
		t.Error("two sign-ins share a session or a token")
	}
}

// PW-11, LOG-1, LOG-3
func TestLogLinesNameTheEventAndContainNoSecret(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := startEngine(t, func(o *watchword.Options) {
		o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	in := r.signUp(t, "ada@example.com")
	_, err := r.Login(t.Context(), watchword.LoginRequest{
		Email: "ada@example.com", Password: "a wrong guess", Client: phone})
	wantCode(t, err, watchword.CodeInvalidCredentials)
	must(t, r.ChangePassword(t.Context(), r.authenticate(t, in), goodPassword, otherPassword, laptop))
	r.post.failWith(errors.New("asleep"))
	token := r.resetLinkAfterRetry(t)
	for _, secret := range []string{
		goodPassword, otherPassword, "a wrong guess", "$argon2id", token,
		string(in.AccessToken), string(in.RefreshToken),
	} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log contains %q", secret)
		}
	}
	for _, event := range []string{"signup", "login_failed", "password_changed"} {
		if !strings.Contains(log.String(), `"event":"`+event+`"`) {
			t.Errorf("the log has no event %s", event)
		}
	}
	for _, field := range []string{`"request_id":"phone"`, `"client":"2001:db8::17"`} {
		if !strings.Contains(log.String(), field) {
			t.Errorf("the log has no %s", field)
		}
	}
}

// resetLinkAfterRetry lets the first delivery fail.
func (r *rig) resetLinkAfterRetry(t *testing.T) string {
	t.Helper()
	must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", laptop))
	r.deliverMail(t)
	r.post.failWith(nil)
	_, err := r.Operator().RetryMail(t.Context(), "")
	must(t, err)
	r.deliverMail(t)
	return string(r.post.lastMail(t, watchword.MailReset).Token)
}

func TestRightPasswordIsNotChargedAsAnAttempt(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.signUp(t, "ada@example.com")
	for range 12 {
		r.login(t, "ada@example.com", laptop)
	}
}

// PW-7, PW-10
func TestLoginUpgradesTheHash(t *testing.T) {
	t.Parallel()
	old := startEngine(t, func(o *watchword.Options) { o.HashAlg = "bcrypt" })
	old.signUp(t, "ada@example.com")
	now := startWith(t, old.store, nil)
	now.login(t, "ada@example.com", laptop)
	user, err := now.Operator().FindUser(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(user.PasswordHash)[:9]; got != "$argon2id" {
		t.Errorf("the hash is still %s", got)
	}
	now.login(t, "ada@example.com", laptop)
}

// A racedStore calls runRival once, after the next transaction that writes.
type racedStore struct {
	watchword.Store
	runRival *func()
}

func (s racedStore) Update(ctx context.Context, fn func(watchword.Tx) error) error {
	err := s.Store.Update(ctx, fn)
	if rival := *s.runRival; rival != nil {
		*s.runRival = nil
		rival()
	}
	return err
}

// While a flow checks a password, another sign-in upgrades the hash. The flow must not refuse the password as wrong.
func TestRightPasswordIsNotWrongWhileAnotherSignInUpgradesItsHash(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		store := hideClock(start(t, nil).store)
		old := startWith(t, store, func(o *watchword.Options) { o.HashAlg = "bcrypt" })
		other := startWith(t, store, nil)
		var rival func()
		r := startWith(t, racedStore{store, &rival}, nil)
		for name, c := range map[string]struct {
			want watchword.Code // result of the first attempt; the second attempt succeeds
			flow func(email string, who watchword.Identity) error
		}{
			"sign-in": {"", func(email string, _ watchword.Identity) error {
				return r.loginFrom(t, email, goodPassword, phone)
			}},
			"verification": {watchword.CodeTryLater, func(string, watchword.Identity) error {
				_, err := r.openLink(t, old.post.lastMail(t, watchword.MailVerify).Token, goodPassword)
				return err
			}},
			"confirmation": {watchword.CodeTryLater, func(string, watchword.Identity) error {
				return r.confirmEmail(t, old.post.lastMail(t, watchword.MailConfirmAddress).Token, goodPassword, laptop)
			}},
			"change of password": {watchword.CodeTryLater, func(_ string, who watchword.Identity) error {
				return r.ChangePassword(t.Context(), who, goodPassword, otherPassword, laptop)
			}},
			"change of address": {watchword.CodeTryLater, func(email string, who watchword.Identity) error {
				return r.ChangeEmail(t.Context(), who, "new-"+email, goodPassword, laptop)
			}},
			"deletion": {watchword.CodeTryLater, func(_ string, who watchword.Identity) error {
				return r.DeleteAccount(t.Context(), who, goodPassword, laptop)
			}},
		} {
			email := strings.ReplaceAll(name, " ", "-") + "@example.com"
			in := old.signUp(t, email)
			who := old.authenticate(t, in)
			must(t, old.ChangeEmail(t.Context(), who, "moved-"+email, goodPassword, laptop))
			old.deliverMail(t)
			rival = func() { other.login(t, email, phone) }
			err := c.flow(email, who)
			if rival != nil {
				t.Errorf("%s: no sign-in came in between", name)
			}
			if c.want != "" {
				wantCode(t, err, c.want)
				err = c.flow(email, old.authenticate(t, in))
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// The account changes after a sign-in has checked its password. The sign-in must then fail.
func TestChangeOfTheAccountDuringASignInWins(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		other := start(t, nil)
		var rival func()
		r := startWith(t, racedStore{other.store, &rival}, nil)
		for want, change := range map[watchword.Code]func(watchword.Identity) error{
			watchword.CodeInvalidCredentials: func(who watchword.Identity) error {
				return other.ChangePassword(t.Context(), who, goodPassword, otherPassword, laptop)
			},
			watchword.CodeAccountDisabled: func(who watchword.Identity) error {
				return other.Operator().DisableUser(t.Context(), who.User.ID)
			},
		} {
			email := strings.ToLower(string(want)) + "@example.com"
			who := other.authenticate(t, other.signUp(t, email))
			rival = func() { must(t, change(who)) }
			wantCode(t, r.loginFrom(t, email, goodPassword, phone), want)
			if kinds := r.eventKinds(t, who.User.ID); !slices.Contains(kinds, watchword.EventLoginFailed) {
				t.Errorf("%s: no event of the refusal in %v", want, kinds)
			}
		}
	})
}

// PW-10
func TestPasswordTooLongForBcryptIsRefusedBeforeAnyCharge(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.HashAlg = "bcrypt" })
	who := r.authenticate(t, r.signUp(t, "ada@example.com"))
	long := watchword.Secret(strings.Repeat("a long one ", 7))
	for range 12 {
		err := r.ChangePassword(t.Context(), who, goodPassword, long, laptop)
		wantField(t, err, "newPassword", watchword.FieldPasswordLong)
	}
	must(t, r.ChangePassword(t.Context(), who, goodPassword, long[:72], laptop))
	wantField(t, r.CheckPassword(long), "password", watchword.FieldPasswordLong)
}

func TestImportedPasswordSignsInAndIsRehashed(t *testing.T) {
	t.Parallel()
	const composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
	long := strings.Repeat("0123456789", 8)
	for _, c := range []struct {
		name, hashAlg string
		imported      watchword.Secret
		right, wrong  string // passwords as users type them
		want          string // prefix of the hash after the sign-in
	}{
		{"PBKDF2 of Node.js, replaced by Argon2id", "argon2id",
			"$pbkdf2-sha256$i=1000$c29tZXNhbHRzb21lc2FsdA$NO0HMKAh6zy+bNsiQzuqZ64exUDvjRK2s8uhd6/+zVA",
			decomposed, composed, "$argon2id$"},
		{"PBKDF2 of Node.js, replaced by bcrypt", "bcrypt",
			"$pbkdf2-sha256$i=1000$c29tZXNhbHRzb21lc2FsdA$NO0HMKAh6zy+bNsiQzuqZ64exUDvjRK2s8uhd6/+zVA",
			decomposed, composed, "$2a$04$"},
		{"Argon2id of passlib with a lower cost", "argon2id",
			"$argon2id$v=19$m=256,t=2,p=4$oVTKWUvpnRMiBGAM4XxvLQ$7i+D+u23bEk565dns1IUj6RZlKW8cBpmuQVO0PeKgRk",
			decomposed, composed, "$argon2id$v=19$m=19456"},
		{"bcrypt of Django, too long for plain bcrypt", "bcrypt",
			"bcrypt_sha256$$2b$04$9N/q3iuHxJ8/K.WszFZGFuLmP590HWBXttG/PnaMO0PXLpTw/LiPe",
			long, long[:72], "bcrypt_sha256$"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := startEngine(t, func(o *watchword.Options) { o.HashAlg = c.hashAlg })
			r.signUp(t, "ada@example.com")
			user, err := r.Operator().FindUser(t.Context(), "ada@example.com")
			must(t, err)
			must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
				_, err := tx.ReplacePassword(t.Context(), user, c.imported)
				return err
			}))
			login := func(email, password string) error {
				_, err := r.Login(t.Context(), watchword.LoginRequest{
					Email: email, Password: watchword.Secret(password), Client: laptop})
				return err
			}
			wantCode(t, login("ada@example.com", c.wrong), watchword.CodeInvalidCredentials)
			wantCode(t, login("nobody@example.com", c.right), watchword.CodeInvalidCredentials)
			must(t, login("ada@example.com", c.right))
			user, err = r.Operator().FindUser(t.Context(), "ada@example.com")
			must(t, err)
			if got := string(user.PasswordHash); !strings.HasPrefix(got, c.want) {
				t.Errorf("the hash is %s, want %s", got, c.want)
			}
			must(t, login("ada@example.com", c.right))
			if c.right == decomposed { // the new hash is computed from the normalized password
				must(t, login("ada@example.com", composed))
			}
		})
	}
}

func TestSignInAboveMaxSessionsEndsTheOldest(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.MaxSessions = 2 })
	first := r.signUp(t, "ada@example.com")
	r.clock.advance(time.Second)
	r.login(t, "ada@example.com", laptop)
	r.clock.advance(time.Second)
	r.login(t, "ada@example.com", phone)
	_, err := r.Refresh(t.Context(), first.RefreshToken, laptop)
	wantCode(t, err, watchword.CodeSessionEnded)
	if want := "too many newer sign-ins"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want %q in it", err, want)
	}
	events, err := r.Operator().UserEvents(t.Context(), first.User.ID, 100)
	must(t, err)
	ended := slices.DeleteFunc(events, func(ev watchword.Event) bool { return ev.Kind != watchword.EventSessionEnded })
	if len(ended) != 1 || ended[0].SessionID != first.Session.ID ||
		ended[0].Detail != string(watchword.EndedTooMany) || ended[0].Device != "Safari on iPhone" {
		t.Errorf("got the events %+v, want one of the first session", ended)
	}
}

// RT-12: an idle session does not count, and keeps EndedIdle as its reason.
func TestMaxSessionsCountsLiveSessions(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, func(o *watchword.Options) { o.MaxSessions = 2 })
		kept := r.signUp(t, "ada@example.com")
		r.clock.advance(time.Hour)
		idle, err := r.Login(t.Context(), watchword.LoginRequest{
			Email: "ada@example.com", Password: goodPassword, Client: phone})
		must(t, err)
		r.clock.advance(25 * time.Hour)
		kept, err = r.Refresh(t.Context(), kept.RefreshToken, laptop)
		must(t, err)
		last := r.login(t, "ada@example.com", phone)
		_, err = r.Refresh(t.Context(), idle.RefreshToken, phone)
		wantCode(t, err, watchword.CodeSessionEnded)
		var refusal *watchword.Error
		if !errors.As(err, &refusal) || refusal.Ended != watchword.EndedIdle {
			t.Errorf("the idle session: %v", err)
		}
		if _, err = r.Refresh(t.Context(), kept.RefreshToken, laptop); err != nil {
			t.Errorf("signed out with one of two sessions: %v", err)
		}
		ended, err := r.LogoutAll(t.Context(), r.authenticate(t, last), "", phone)
		if err != nil || ended != 2 {
			t.Errorf("LogoutAll returned %d, %v; want 2 live sessions", ended, err)
		}
	})
}

// ID-2
func TestFailedSignInsWaitAsLongAsImportedHashesTake(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.signUp(t, "ada@example.com")
	r.deliverMail(t) // delivers the mail and runs the other background work
	if wait := r.Level(); wait != 0 {
		t.Errorf("without imported hashes, a failure waits %v", wait)
	}
	_, err := accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{{
		Email:        "bob@example.com",
		PasswordHash: "$pbkdf2-sha256$i=1000$c29tZXNhbHRzb21lc2FsdA$NO0HMKAh6zy+bNsiQzuqZ64exUDvjRK2s8uhd6/+zVA",
	}})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	for range 1000 {
		if r.Level() > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	<-done
	if r.Level() == 0 {
		t.Error("failures do not wait although an imported hash is slower")
	}
}

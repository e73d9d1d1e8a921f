package watchword_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

// stranger gives each number its own network.
func stranger(n int) watchword.Client {
	return watchword.Client{Address: netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), UserAgent: "curl/8.10.1"}
}

func (r *rig) loginFrom(t *testing.T, email string, password watchword.Secret, c watchword.Client) error {
	t.Helper()
	_, err := r.Login(t.Context(), watchword.LoginRequest{Email: email, Password: password, Client: c})
	return err
}

func withDeviceToken(c watchword.Client, in *watchword.SignIn) watchword.Client {
	c.DeviceToken = in.DeviceToken
	return c
}

// deleteLimitCounters deletes all counters and returns how many it deleted.
func (r *rig) deleteLimitCounters(t *testing.T) (n int) {
	t.Helper()
	const all = 1 << 20
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) (err error) {
		_, n, err = tx.SweepLimits(t.Context(), watchword.LimitMark{}, r.clock.Now().AddDate(1, 0, 0), all)
		return err
	}))
	return n
}

// countEvents returns the number of event rows of these users, and the number of events that the rows stand for. One
// row can count several events. The id "" stands for addresses without an account.
func (r *rig) countEvents(t *testing.T, ids ...watchword.UserID) (rows, events int) {
	t.Helper()
	for _, id := range ids {
		all, err := r.Operator().UserEvents(t.Context(), id, 1<<20)
		must(t, err)
		for _, one := range all {
			rows, events = rows+1, events+one.Times
		}
	}
	return rows, events
}

func retryAfterOf(t *testing.T, err error) time.Duration {
	t.Helper()
	var refusal *watchword.Error
	if !errors.As(err, &refusal) || refusal.Code != watchword.CodeRateLimited || refusal.RetryAfter <= 0 {
		t.Fatalf("got error %v, want RATE_LIMITED with a wait", err)
	}
	return refusal.RetryAfter
}

// RL-12
func TestClientOverItsLimitChargesNoAccountAndAddsNoRow(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, func(o *watchword.Options) {
			o.Limits.LoginPerClient = watchword.Limit{Count: 3, Per: time.Hour}
		})
		ada := r.signUp(t, "ada@example.com")
		r.deleteLimitCounters(t)
		for range 3 {
			wantCode(t, r.loginFrom(t, "nobody@example.com", "a wrong guess", phone), watchword.CodeInvalidCredentials)
		}
		rows, _ := r.countEvents(t, ada.User.ID, "")
		for n := range 100 {
			retryAfterOf(t, r.loginFrom(t, "ada@example.com", "a wrong guess", phone))
			retryAfterOf(t, r.loginFrom(t, fmt.Sprintf("nobody%d@example.com", n), "a wrong guess", phone))
		}
		if after, _ := r.countEvents(t, ada.User.ID, ""); after != rows {
			t.Errorf("200 refusals added %d events", after-rows)
		}
		// One counter of the client, and two counters of the only address that was tried.
		if n := r.deleteLimitCounters(t); n != 3 {
			t.Errorf("%d counters, want 3", n)
		}
	})
}

// RL-12
func TestRefusedNetworkIsNotChargedToOthers(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) {
		o.Limits.UnknownDevices = watchword.Limit{Count: 13, Per: time.Hour}
	})
	r.signUp(t, "ada@example.com")
	for range 10 {
		wantCode(t, r.loginFrom(t, "ada@example.com", "a wrong guess", stranger(1)), watchword.CodeInvalidCredentials)
	}
	for range 40 {
		retryAfterOf(t, r.loginFrom(t, "ada@example.com", "a wrong guess", stranger(1)))
	}
	for range 3 {
		wantCode(t, r.loginFrom(t, "ada@example.com", "a wrong guess", stranger(2)), watchword.CodeInvalidCredentials)
	}
	r.deleteLimitCounters(t)
	must(t, r.loginFrom(t, "ada@example.com", goodPassword, stranger(3)))
}

// RL-2, RL-3, RL-9
func TestFailedPasswordsAreLimitedPerClientNetworkAndForAllUnknownDevices(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.signUp(t, "ada@example.com")
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		for n := range 5 {
			for range 10 {
				wantCode(t, r.loginFrom(t, email, "a wrong guess", stranger(n)), watchword.CodeInvalidCredentials)
			}
			if n == 0 { // only this network has used up its limit
				retryAfterOf(t, r.loginFrom(t, email, goodPassword, stranger(n)))
			}
		}
		if wait := retryAfterOf(t, r.loginFrom(t, email, goodPassword, stranger(9))); wait > 18*time.Second {
			t.Errorf("%s: wait %v after 50 failures of strangers", email, wait)
		}
	}
	r.clock.advance(2 * time.Minute)
	r.login(t, "ada@example.com", laptop)
}

// RL-13
func TestKnownDeviceHasItsOwnLimit(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	own := withDeviceToken(laptop, r.signUp(t, "ada@example.com"))
	other := withDeviceToken(laptop, r.login(t, "ada@example.com", laptop))
	for n := range 50 {
		wantCode(t, r.loginFrom(t, "ada@example.com", "a wrong guess", stranger(n)), watchword.CodeInvalidCredentials)
	}
	retryAfterOf(t, r.loginFrom(t, "ada@example.com", goodPassword, laptop))
	for range 20 { // a correct password is not charged
		must(t, r.loginFrom(t, "ada@example.com", goodPassword, own))
	}
	for range 10 {
		wantCode(t, r.loginFrom(t, "ada@example.com", "a wrong guess", own), watchword.CodeInvalidCredentials)
	}
	retryAfterOf(t, r.loginFrom(t, "ada@example.com", goodPassword, own))
	must(t, r.loginFrom(t, "ada@example.com", goodPassword, other))
}

// RL-13
func TestAllKnownDevicesTogetherAreLimited(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	devices := []watchword.Client{withDeviceToken(laptop, r.signUp(t, "ada@example.com"))}
	for range 5 {
		devices = append(devices, withDeviceToken(laptop, r.login(t, "ada@example.com", laptop)))
	}
	for _, device := range devices[:5] {
		for range 10 {
			wantCode(t, r.loginFrom(t, "ada@example.com", "a wrong guess", device), watchword.CodeInvalidCredentials)
		}
	}
	retryAfterOf(t, r.loginFrom(t, "ada@example.com", goodPassword, devices[5]))
	must(t, r.loginFrom(t, "ada@example.com", goodPassword, laptop)) // unknown devices have a separate limit
}

// RL-13
func TestDeviceTokenIsForOneAccountAndItsPassword(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	ada, bob := r.signUp(t, "ada@example.com"), r.signUp(t, "bob@example.com")
	for n := range 50 {
		wantCode(t, r.loginFrom(t, "ada@example.com", "a wrong guess", stranger(n)), watchword.CodeInvalidCredentials)
	}
	forged := []byte(ada.DeviceToken)
	forged[10] ^= 1
	for name, token := range map[string]watchword.Secret{
		"another account's": bob.DeviceToken, "none": "", "a changed one": watchword.Secret(forged),
		"a refresh token": ada.RefreshToken, "garbage": "wwd_", "long": watchword.Secret(strings.Repeat("a", 9000)),
	} {
		c := laptop
		c.DeviceToken = token
		err := r.loginFrom(t, "ada@example.com", goodPassword, c)
		if watchword.CodeOf(err) != watchword.CodeRateLimited {
			t.Errorf("%s: got %v", name, err)
		}
	}
	again, err := r.Login(t.Context(), watchword.LoginRequest{
		Email: "ada@example.com", Password: goodPassword, Client: withDeviceToken(laptop, ada)})
	must(t, err)
	if again.DeviceToken != ada.DeviceToken {
		t.Error("a valid device token was replaced")
	}
	other, err := r.Login(t.Context(), watchword.LoginRequest{
		Email: "bob@example.com", Password: goodPassword, Client: withDeviceToken(laptop, ada)})
	must(t, err)
	if other.DeviceToken == ada.DeviceToken || other.DeviceToken == "" {
		t.Error("the second account did not get its own device token")
	}
	refreshed, err := r.Refresh(t.Context(), ada.RefreshToken, laptop)
	must(t, err)
	if refreshed.DeviceToken != "" {
		t.Error("a refresh returned a device token")
	}
	must(t, r.ChangePassword(t.Context(), r.authenticate(t, ada), goodPassword, otherPassword, laptop))
	retryAfterOf(t, r.loginFrom(t, "ada@example.com", otherPassword, withDeviceToken(laptop, ada)))
}

// RL-13
func TestDeviceStaysKnownWhenItsSignInRehashesThePassword(t *testing.T) {
	t.Parallel()
	old := startEngine(t, func(o *watchword.Options) { o.HashAlg = "bcrypt" })
	before := old.signUp(t, "ada@example.com")
	r := startWith(t, old.store, nil)
	after, err := r.Login(t.Context(), watchword.LoginRequest{
		Email: "ada@example.com", Password: goodPassword, Client: withDeviceToken(laptop, before)})
	must(t, err)
	if after.DeviceToken == before.DeviceToken {
		t.Error("the device token still belongs to the previous hash")
	}
	for n := range 50 {
		wantCode(t, r.loginFrom(t, "ada@example.com", "a wrong guess", stranger(n)), watchword.CodeInvalidCredentials)
	}
	must(t, r.loginFrom(t, "ada@example.com", goodPassword, withDeviceToken(laptop, after)))
	retryAfterOf(t, r.loginFrom(t, "ada@example.com", goodPassword, withDeviceToken(laptop, before)))
}

// A busy pool refuses a password without a check. This must not charge the limits of failed passwords.
//
// PW-8
func TestPasswordThatTheBusyPoolLeftUncheckedIsNotCharged(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		who := r.authenticate(t, r.signUp(t, "ada@example.com"))
		r.deliverMail(t)
		link := r.post.lastMail(t, watchword.MailVerify).Token
		busy := startWith(t, r.store, func(o *watchword.Options) {
			o.HashWorkers, o.HashQueue = 1, time.Millisecond
		})
		release := busy.Occupy()
		defer release()
		for range 12 {
			wantCode(t, busy.loginFrom(t, "ada@example.com", goodPassword, phone), watchword.CodeTryLater)
			_, err := busy.openLink(t, link, goodPassword)
			wantCode(t, err, watchword.CodeTryLater)
			err = busy.ChangeEmail(t.Context(), who, "ada@example.org", goodPassword, laptop)
			wantCode(t, err, watchword.CodeTryLater)
		}
		must(t, r.loginFrom(t, "ada@example.com", goodPassword, phone))
		must(t, r.ChangeEmail(t.Context(), who, "ada@example.org", goodPassword, laptop))
		_, err := r.openLink(t, link, goodPassword)
		must(t, err)
	})
}

// RL-13
func TestStrangersCannotKeepALiveSessionFromReauthenticating(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	one := r.signUp(t, "ada@example.com")
	other := r.login(t, "ada@example.com", phone)
	for n := range 60 {
		_ = r.loginFrom(t, "ada@example.com", "a wrong guess", stranger(n))
	}
	retryAfterOf(t, r.loginFrom(t, "ada@example.com", goodPassword, stranger(99)))
	who := r.authenticate(t, one)
	for range 10 {
		wantCode(t, r.ChangeEmail(t.Context(), who, "ada@example.org", "a wrong guess", laptop),
			watchword.CodePasswordWrong)
	}
	retryAfterOf(t, r.ChangeEmail(t.Context(), who, "ada@example.org", goodPassword, laptop))
	retryAfterOf(t, r.ChangePassword(t.Context(), who, goodPassword, otherPassword, laptop))
	retryAfterOf(t, r.DeleteAccount(t.Context(), who, goodPassword, laptop))
	must(t, r.ChangePassword(t.Context(), r.authenticate(t, other), goodPassword, otherPassword, phone))
}

// RL-13
//
// 200 addresses guess ten times a second for ten minutes (two minutes with -short). The owner must be able to sign in.
// docs/operations.md has the results of a test of ten minutes.
func TestOwnerGetsInDuringAnAttack(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		seconds := 600
		if testing.Short() {
			seconds = 120
		}
		r := start(t, nil)
		r.store = struct{ watchword.Store }{r.store} // hides the clock of the store
		r = startWith(t, r.store, nil)
		ada := r.signUp(t, "ada@example.com")
		r.deliverMail(t)
		must(t, r.verifyWithSession(t, r.post.lastMail(t, watchword.MailVerify).Token, ada))
		own := withDeviceToken(laptop, ada)
		newPhone := phone
		codes := map[watchword.Code]int{}
		tries, known, unknown, password := 0, 0, 0, watchword.Secret(goodPassword)
		for second := range seconds {
			for n := range 10 {
				c := stranger((second*10 + n) % 200)
				codes[watchword.CodeOf(r.loginFrom(t, "ada@example.com", "a wrong guess", c))]++
				r.clock.advance(100 * time.Millisecond)
			}
			if second%30 != 29 {
				continue
			}
			tries++
			if err := r.loginFrom(t, "ada@example.com", password, own); err == nil {
				known++
			}
			if err := r.loginFrom(t, "ada@example.com", password, newPhone); err == nil {
				unknown++
			}
		}
		if known != tries {
			t.Errorf("a known device signed in %d of %d times", known, tries)
		}
		t.Logf("%d guesses: %v; on a known device %d of %d, on a new one %d", 10*seconds, codes, known, tries, unknown)
		guesses := codes[watchword.CodeInvalidCredentials]
		if guesses > 50+34 || guesses+codes[watchword.CodeRateLimited] != 10*seconds {
			t.Errorf("passwords were checked for %d guesses", guesses)
		}
		retryAfterOf(t, r.loginFrom(t, "ada@example.com", password, newPhone))
		token := r.requestReset(t, "ada@example.com")
		device, err := r.Engine.ResetPassword(t.Context(), token, otherPassword, newPhone)
		must(t, err)
		retryAfterOf(t, r.loginFrom(t, "ada@example.com", otherPassword, newPhone))
		newPhone.DeviceToken = device
		must(t, r.loginFrom(t, "ada@example.com", otherPassword, newPhone))
	})
}

// MEM-1
func TestFloodOfRefusedLoginsLeavesFewRowsAndLosesNoCount(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		r.store = struct{ watchword.Store }{r.store} // hides the clock of the store
		r = startWith(t, r.store, nil)
		r.clock.advance(time.Minute)
		ada := r.signUp(t, "ada@example.com")
		failed := 0
		const flood = 4001
		for n := range flood {
			email := "ada@example.com"
			if n%2 == 0 {
				email = fmt.Sprintf("nobody%d@example.com", n)
			}
			err := r.loginFrom(t, email, "a wrong guess", phone)
			if watchword.CodeOf(err) == watchword.CodeInvalidCredentials {
				failed++
			}
			r.clock.advance(100 * time.Millisecond)
		}
		rows, events := r.countEvents(t, ada.User.ID, "")
		limits := r.deleteLimitCounters(t)
		t.Logf("%d logins of one client in %v, %d of them with a checked password, left %d events and %d counters",
			flood, flood*100*time.Millisecond, failed, rows, limits)
		if rows > 4 { // one row each for the sign-up, Ada's failures, and other failures; another row if an hour begins
			t.Errorf("%d rows of events", rows)
		}
		if events != failed+1 {
			t.Errorf("%d events are counted, want %d", events, failed+1)
		}
		if most := 2*failed + 4; limits > most {
			t.Errorf("%d counters, want at most %d", limits, most)
		}
		if got := r.readStats(t).Events[watchword.EventLoginFailed]; got != uint64(failed) {
			t.Errorf("the metric counts %d failed sign-ins, want %d", got, failed)
		}
	})
}

func (r *rig) readStats(t *testing.T) watchword.Stats {
	t.Helper()
	stats, err := r.Stats(t.Context())
	must(t, err)
	return stats
}

// RT-16, RT-7
func TestSignInOverASessionEndsIt(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		wantEnded := func(token watchword.Secret) {
			t.Helper()
			_, err := r.Refresh(t.Context(), token, laptop)
			var refusal *watchword.Error
			if !errors.As(err, &refusal) || refusal.Code != watchword.CodeSessionEnded ||
				refusal.Ended != watchword.EndedReplaced {
				t.Fatalf("got %v", err)
			}
		}
		login := func(email string, replaces watchword.Secret) *watchword.SignIn {
			t.Helper()
			in, err := r.Login(t.Context(), watchword.LoginRequest{
				Email: email, Password: goodPassword, Client: laptop, Replaces: replaces})
			must(t, err)
			return in
		}
		first := r.signUp(t, "ada@example.com")
		old := first.RefreshToken
		for range 3 { // three refreshes, after which a refresh with old would count as reuse
			in, err := r.Refresh(t.Context(), first.RefreshToken, laptop)
			must(t, err)
			first = in
			r.clock.advance(time.Minute)
		}
		second := login("ada@example.com", old)
		wantEnded(first.RefreshToken)
		kinds := fmt.Sprint(r.eventKinds(t, first.User.ID))
		if strings.Contains(kinds, "refresh_reused") || !strings.Contains(kinds, "session_ended") {
			t.Errorf("events: %s", kinds)
		}
		r.deliverMail(t) // sends the waiting mails, so that the next mail is the newest
		// A sign-up and a verification must also end the session of the token in Replaces, even if another account
		// owns it.
		bob, err := r.SignUp(t.Context(), watchword.SignUpRequest{
			Email: "bob@example.com", Password: goodPassword, Client: laptop, Replaces: second.RefreshToken})
		must(t, err)
		wantEnded(second.RefreshToken)
		r.deliverMail(t)
		link := r.post.lastMail(t, watchword.MailVerify)
		if link.To != "bob@example.com" {
			t.Fatalf("the link was mailed to %s", link.To)
		}
		verified, err := r.VerifyEmail(t.Context(), watchword.MailLinkRequest{
			Token: link.Token, Password: goodPassword, Client: laptop, Replaces: bob.RefreshToken})
		must(t, err)
		wantEnded(bob.RefreshToken)
		// A failed sign-in does not end the session, and neither does an invalid token.
		_, err = r.Login(t.Context(), watchword.LoginRequest{
			Email: "bob@example.com", Password: "a wrong guess", Client: laptop, Replaces: verified.RefreshToken})
		wantCode(t, err, watchword.CodeInvalidCredentials)
		login("bob@example.com", "wwr_garbage")
		login("bob@example.com", verified.AccessToken)
		_, err = r.Refresh(t.Context(), verified.RefreshToken, laptop)
		must(t, err)
	})
}

// RT-16
func TestConcurrentSignInsOverOneSessionEndItOnce(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.Limits = watchword.Unlimited() })
	old := r.signUp(t, "ada@example.com")
	var wg sync.WaitGroup
	ins := make([]*watchword.SignIn, 8)
	for i := range ins {
		wg.Go(func() {
			ins[i], _ = r.Login(context.Background(), watchword.LoginRequest{
				Email: "ada@example.com", Password: goodPassword, Client: laptop, Replaces: old.RefreshToken})
		})
	}
	wg.Wait()
	for i, in := range ins {
		if in == nil {
			t.Fatalf("sign-in %d failed", i)
		}
		if _, err := r.Refresh(t.Context(), in.RefreshToken, laptop); err != nil {
			t.Error(err)
		}
	}
	if n := strings.Count(fmt.Sprint(r.eventKinds(t, old.User.ID)), "session_ended"); n != 1 {
		t.Errorf("%d events session_ended, want 1", n)
	}
}

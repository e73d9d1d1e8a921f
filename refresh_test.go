package watchword_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

// RT-6
func TestRepeatedRefreshReturnsTheSameSuccessor(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	next, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
	if err != nil {
		t.Fatal(err)
	}
	if next.RefreshToken == in.RefreshToken {
		t.Fatal("the token was not rotated")
	}
	r.clock.advance(10 * time.Second)
	again, err := r.Refresh(t.Context(), in.RefreshToken, phone)
	if err != nil {
		t.Fatalf("a repeat within the grace: %v", err)
	}
	if again.RefreshToken != next.RefreshToken {
		t.Error("a repeat got another token")
	}
}

func TestTenRequestsWithOneCookieGetOneSuccessor(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	var wg sync.WaitGroup
	answers := make([]watchword.Secret, 10)
	for i := range answers {
		wg.Go(func() {
			next, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
			if err != nil {
				t.Errorf("request %d: %v", i, err)
				return
			}
			answers[i] = next.RefreshToken
		})
	}
	wg.Wait()
	if slices.ContainsFunc(answers, func(a watchword.Secret) bool { return a != answers[0] }) {
		t.Error("the same token got different successors")
	}
}

func TestLostResponseIsForgivenADayLater(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	lost, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the client repeats the request twice, because responses were lost
		r.clock.advance(26 * time.Hour)
		back, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
		if err != nil {
			t.Fatal(err)
		}
		if back.RefreshToken != lost.RefreshToken {
			t.Fatal("the same token got different successors")
		}
	}
	if got := r.eventKinds(t, in.User.ID); !slices.Contains(got, watchword.EventLateForgiven) {
		t.Errorf("events: %v", got)
	}
}

// RT-3
func TestReuseOfACopiedTokenEndsTheSessionAndMailsTheUser(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	signUpAndVerify(t, r, "ada@example.com")
	in := r.login(t, "ada@example.com", laptop)
	other := r.login(t, "ada@example.com", phone)
	r.clock.advance(time.Minute)
	stolen, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
	if err != nil {
		t.Fatal(err)
	}
	r.clock.advance(time.Minute)
	if _, err := r.Refresh(t.Context(), stolen.RefreshToken, laptop); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(time.Minute)
	thief := phone
	_, err = r.Refresh(t.Context(), stolen.RefreshToken, thief)
	wantCode(t, err, watchword.CodeRefreshReused)
	_, err = r.Refresh(t.Context(), in.RefreshToken, laptop)
	wantCode(t, err, watchword.CodeSessionEnded)
	_, err = r.Authenticate(t.Context(), in.AccessToken)
	wantCode(t, err, watchword.CodeSessionEnded)
	if _, err := r.Refresh(t.Context(), other.RefreshToken, phone); err != nil {
		t.Errorf("reuse ended another session: %v", err)
	}
	r.deliverMail(t)
	if mail := r.post.lastMail(t, watchword.MailReuseDetected); mail.To != "ada@example.com" || mail.Device == "" {
		t.Errorf("got mail %+v", mail)
	}
	if got := r.eventKinds(t, in.User.ID); got[len(got)-1] != watchword.EventRefreshReused {
		t.Errorf("events: %v", got)
	}
}

func TestReuseCanEndAllSessions(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.ReuseEndsAll = true })
	in := r.signUp(t, "ada@example.com")
	other := r.login(t, "ada@example.com", phone)
	refreshed, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
	if err != nil {
		t.Fatal(err)
	}
	r.clock.advance(time.Minute)
	if _, err := r.Refresh(t.Context(), refreshed.RefreshToken, laptop); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(time.Minute)
	_, err = r.Refresh(t.Context(), in.RefreshToken, laptop)
	wantCode(t, err, watchword.CodeRefreshReused)
	_, err = r.Refresh(t.Context(), other.RefreshToken, phone)
	wantCode(t, err, watchword.CodeSessionEnded)
}

// RT-4
func TestSessionExpiresByIdleTimeAndByAge(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	r.clock.advance(7*24*time.Hour + time.Millisecond)
	_, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
	wantCode(t, err, watchword.CodeSessionEnded)

	in = r.login(t, "ada@example.com", laptop)
	token := in.RefreshToken
	for range 29 {
		r.clock.advance(24 * time.Hour)
		next, err := r.Refresh(t.Context(), token, laptop)
		if err != nil {
			t.Fatal(err)
		}
		token = next.RefreshToken
	}
	r.clock.advance(24 * time.Hour)
	_, err = r.Refresh(t.Context(), token, laptop)
	wantCode(t, err, watchword.CodeSessionEnded)
}

func TestSessionThatIsNotPersistentExpiresSooner(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	signUp := func(email string, persistent bool) *watchword.SignIn {
		in, err := r.SignUp(t.Context(), watchword.SignUpRequest{
			Email: email, Password: goodPassword, Persistent: persistent, Client: laptop})
		must(t, err)
		return in
	}
	long, short := signUp("ada@example.com", true), signUp("grace@example.com", false)
	in, err := r.Login(t.Context(), watchword.LoginRequest{
		Email: "ada@example.com", Password: goodPassword, Client: laptop})
	must(t, err)
	r.clock.advance(25 * time.Hour)
	for _, token := range []watchword.Secret{in.RefreshToken, short.RefreshToken} {
		_, err = r.Refresh(t.Context(), token, laptop)
		wantCode(t, err, watchword.CodeSessionEnded)
	}
	_, err = r.Refresh(t.Context(), long.RefreshToken, laptop)
	must(t, err)
}

// RT-1, RT-8
func TestInvalidRefreshTokenIsRefusedAndEndsNoSession(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	_, err := r.Refresh(t.Context(), "", laptop)
	wantCode(t, err, watchword.CodeRefreshMissing)
	for _, garbage := range []watchword.Secret{
		"x", "wwr_", in.RefreshToken + "A", in.RefreshToken[:len(in.RefreshToken)-1], in.AccessToken,
	} {
		_, err := r.Refresh(t.Context(), garbage, laptop)
		wantCode(t, err, watchword.CodeRefreshInvalid)
		if err := r.Logout(t.Context(), garbage, garbage+"x", laptop); err != nil {
			t.Errorf("logout with garbage: %v", err)
		}
	}
	if _, err := r.Refresh(t.Context(), in.RefreshToken, laptop); err != nil {
		t.Error(err)
	}
}

// RT-8
func TestLogoutTakesAnyTokenOfTheSession(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.signUp(t, "ada@example.com")
	for name, logout := range map[string]func(old, newest *watchword.SignIn) error{
		"the newest refresh token": func(_, n *watchword.SignIn) error {
			return r.Logout(t.Context(), n.RefreshToken, "", laptop)
		},
		"an old refresh token": func(o, _ *watchword.SignIn) error {
			return r.Logout(t.Context(), o.RefreshToken, "", laptop)
		},
		"an expired access token": func(o, _ *watchword.SignIn) error {
			return r.Logout(t.Context(), "", o.AccessToken, laptop)
		},
	} {
		old := r.login(t, "ada@example.com", laptop)
		newest, err := r.Refresh(t.Context(), old.RefreshToken, laptop)
		if err != nil {
			t.Fatal(err)
		}
		r.clock.advance(time.Hour)
		for range 2 { // the second call must also succeed
			if err := logout(old, newest); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err = r.Refresh(t.Context(), newest.RefreshToken, laptop)
		wantCode(t, err, watchword.CodeSessionEnded)
	}
}

func TestRefreshIsLimitedPerSession(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	token := r.signUp(t, "ada@example.com").RefreshToken
	for range 60 {
		next, err := r.Refresh(t.Context(), token, laptop)
		if err != nil {
			t.Fatal(err)
		}
		token = next.RefreshToken
	}
	_, err := r.Refresh(t.Context(), token, laptop)
	wantCode(t, err, watchword.CodeRateLimited)
	r.clock.advance(time.Second)
	if _, err = r.Refresh(t.Context(), token, laptop); err != nil {
		t.Errorf("the limit ended the session: %v", err)
	}
}

// RL-2, RL-3: a refresh that the limit of its session refuses does not charge the limit of the client network. A
// refresh that the limit of the network refuses does not charge the limit of the session.
func TestRefusedRefreshCostsNothingElse(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, func(o *watchword.Options) {
			o.Limits.RefreshPerSession = watchword.Limit{Count: 2, Per: time.Hour}
			o.Limits.RefreshPerClient = watchword.Limit{Count: 4, Per: time.Hour}
		})
		var all []*watchword.SignIn
		for _, email := range []string{"ada@example.com", "bob@example.com", "eve@example.com"} {
			all = append(all, r.signUp(t, email))
		}
		r.deleteLimitCounters(t)
		for n, one := range all[:2] {
			for range 2 {
				next, err := r.Refresh(t.Context(), one.RefreshToken, phone)
				if err != nil {
					t.Fatalf("session %d: %v", n, err)
				}
				one = next
			}
			for range 5 {
				_, err := r.Refresh(t.Context(), one.RefreshToken, phone)
				wantCode(t, err, watchword.CodeRateLimited)
			}
		}
		_, err := r.Refresh(t.Context(), all[2].RefreshToken, phone)
		wantCode(t, err, watchword.CodeRateLimited)
		if n := r.deleteLimitCounters(t); n != 3 {
			t.Errorf("%d counters, want 3: the client and two sessions", n)
		}
	})
}

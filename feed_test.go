package watchword_test

import (
	"context"
	"encoding/base32"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/secevent"
	"github.com/watchword-auth/watchword/internal/totp"
	"github.com/watchword-auth/watchword/store/sqlite"
)

func (r *rig) runInBackground(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
}

func (r *rig) awaitFeed(t *testing.T, after int64, enough func([]secevent.Event) bool) []secevent.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		page, err := r.Revocations(ctx, after, 1000)
		if err != nil && !errors.Is(err, watchword.ErrUnavailable) {
			t.Fatal(err)
		}
		var events []secevent.Event
		for _, event := range page.Events {
			events = append(events, r.verifyEvent(t, event.Token))
		}
		if err == nil && enough(events) {
			return events
		}
		if err != nil {
			continue // not read yet: the next call of Revocations waits for the first read
		}
		select {
		case <-page.Changed:
		case <-ctx.Done():
			t.Fatalf("the feed has only the events %+v", events)
		}
	}
}

func (r *rig) verifyEvent(t *testing.T, token string) secevent.Event {
	t.Helper()
	keys, err := accesstoken.ParseJWKS(r.JWKS())
	must(t, err)
	event, err := secevent.Verify(token, func(kid string) (accesstoken.Key, bool) { k, ok := keys[kid]; return k, ok },
		r.opts.PublicURL, r.opts.PublicURL)
	must(t, err)
	return event
}

// A session that expires needs no event, because its last access token expires with it.
//
// JWT-15
func TestEveryEndOfASessionIsInTheFeed(t *testing.T) {
	t.Parallel()
	type ending struct {
		why watchword.EndReason
		by  string
		end func(*testing.T, *rig, *watchword.SignIn)
	}
	endings := map[string]ending{
		"logout": {watchword.EndedLogout, "user", func(t *testing.T, r *rig, in *watchword.SignIn) {
			must(t, r.Logout(t.Context(), in.RefreshToken, "", laptop))
		}},
		"ended from another device": {watchword.EndedByUser, "user", func(t *testing.T, r *rig, in *watchword.SignIn) {
			who := r.authenticate(t, r.login(t, "ada@example.com", phone))
			must(t, r.EndSession(t.Context(), who, in.Session.ID, phone))
		}},
		"logout everywhere": {watchword.EndedLogoutAll, "user", func(t *testing.T, r *rig, in *watchword.SignIn) {
			_, err := r.LogoutAll(t.Context(), r.authenticate(t, in), "", laptop)
			must(t, err)
		}},
		"reuse": {watchword.EndedReuse, "policy", func(t *testing.T, r *rig, in *watchword.SignIn) {
			next, err := r.Refresh(t.Context(), in.RefreshToken, laptop)
			must(t, err)
			_, err = r.Refresh(t.Context(), next.RefreshToken, laptop)
			must(t, err)
			r.clock.advance(time.Hour)
			_, err = r.Refresh(t.Context(), in.RefreshToken, phone)
			wantCode(t, err, watchword.CodeRefreshReused)
		}},
		"change of password": {watchword.EndedPassword, "user", func(t *testing.T, r *rig, _ *watchword.SignIn) {
			who := r.authenticate(t, r.login(t, "ada@example.com", phone))
			must(t, r.ChangePassword(t.Context(), who, goodPassword, otherPassword, phone))
		}},
		"reset": {watchword.EndedPassword, "user", func(t *testing.T, r *rig, in *watchword.SignIn) {
			r.deliverMail(t)
			must(t, r.verifyWithSession(t, r.post.lastMail(t, watchword.MailVerify).Token, in))
			must(t, r.ResetPassword(t.Context(), r.requestReset(t, "ada@example.com"), otherPassword, phone))
		}},
		"first proof": {watchword.EndedFirstProof, "user", func(t *testing.T, r *rig, _ *watchword.SignIn) {
			must(t, r.ResetPassword(t.Context(), r.requestReset(t, "ada@example.com"), otherPassword, phone))
		}},
		"undone change of address": {watchword.EndedEmail, "user", func(t *testing.T, r *rig, in *watchword.SignIn) {
			r.deliverMail(t)
			must(t, r.verifyWithSession(t, r.post.lastMail(t, watchword.MailVerify).Token, in))
			must(t, r.ChangeEmail(t.Context(), r.authenticate(t, in), "eve@example.org", goodPassword, phone))
			r.deliverMail(t)
			must(t, r.confirmEmail(t, r.post.lastMail(t, watchword.MailConfirmAddress).Token, goodPassword, phone))
			r.deliverMail(t)
			must(t, r.UndoEmail(t.Context(), r.post.lastMail(t, watchword.MailAddressChanged).Token, laptop))
		}},
		"ended by an operator": {watchword.EndedOperator, "admin", func(t *testing.T, r *rig, in *watchword.SignIn) {
			must(t, r.Operator().EndUserSession(t.Context(), in.User.ID, in.Session.ID))
		}},
		"all ended by an operator": {watchword.EndedOperator, "admin",
			func(t *testing.T, r *rig, in *watchword.SignIn) {
				_, err := r.Operator().EndUserSessions(t.Context(), in.User.ID)
				must(t, err)
			}},
		"disabled": {watchword.EndedDisabled, "admin", func(t *testing.T, r *rig, in *watchword.SignIn) {
			must(t, r.Operator().DisableUser(t.Context(), in.User.ID))
		}},
		"deleted": {watchword.EndedDeleted, "user", func(t *testing.T, r *rig, in *watchword.SignIn) {
			must(t, r.DeleteAccount(t.Context(), r.authenticate(t, in), goodPassword, laptop))
		}},
		"deleted by an operator": {watchword.EndedDeleted, "user", func(t *testing.T, r *rig, in *watchword.SignIn) {
			must(t, r.Operator().DeleteUser(t.Context(), in.User.ID))
		}},
		"replaced": {watchword.EndedReplaced, "user", func(t *testing.T, r *rig, in *watchword.SignIn) {
			_, err := r.Login(t.Context(), watchword.LoginRequest{
				Email: "ada@example.com", Password: goodPassword, Client: laptop, Replaces: in.RefreshToken})
			must(t, err)
		}},
		"first factor": {watchword.EndedFactor, "user", func(t *testing.T, r *rig, in *watchword.SignIn) {
			r.verifyAndAddTOTP(t, in, r.login(t, "ada@example.com", phone))
		}},
		"factors reset by an operator": {watchword.EndedFactors, "admin",
			func(t *testing.T, r *rig, in *watchword.SignIn) {
				must(t, r.factorManager().Reset(t.Context(), "ops", r.verifyAndAddTOTP(t, in, in).UserID))
			}},
		"factor removed": {watchword.EndedFactorGone, "user", func(t *testing.T, r *rig, in *watchword.SignIn) {
			f := r.verifyAndAddTOTP(t, in, in)
			_, err := r.Operator().AdmitUser(t.Context(), watchword.AdmitRequest{
				User: f.UserID, Methods: []string{"mfa"}, Client: phone})
			must(t, err)
			other, err := r.Operator().AdmitUser(t.Context(), watchword.AdmitRequest{
				User: f.UserID, Methods: []string{"mfa"}, Client: phone})
			must(t, err)
			must(t, r.factorManager().Remove(t.Context(), r.authenticate(t, other), f.ID, phone))
		}},
		"too many": {watchword.EndedTooMany, "policy", func(t *testing.T, r *rig, _ *watchword.SignIn) {
			for range 3 {
				r.clock.advance(time.Second)
				r.login(t, "ada@example.com", phone)
			}
		}},
	}
	var tried []string
	for name, c := range endings {
		tried = append(tried, string(c.why))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startEngine(t, func(o *watchword.Options) { o.MaxSessions, o.Limits = 3, watchword.Unlimited() })
			in := r.signUp(t, "ada@example.com")
			c.end(t, r, in)
			r.runInBackground(t)
			events := r.awaitFeed(t, 0, func(events []secevent.Event) bool { return len(events) > 0 })
			i := slices.IndexFunc(events, func(e secevent.Event) bool { return e.Session == string(in.Session.ID) })
			if i < 0 {
				t.Fatalf("the feed has no event of session %s: %+v", in.Session.ID, events)
			}
			got := events[i]
			if got.Kind != secevent.SessionRevoked || got.Reason != string(c.why) || got.Initiator != c.by ||
				got.Number < 1 {
				t.Errorf("got %+v", got)
			}
			if now := r.clock.Now().Unix(); got.At > now || got.At < now-60 || got.IssuedAt != now {
				t.Errorf("the event is dated %d and was signed at %d; the time is %d", got.At, got.IssuedAt, now)
			}
		})
	}
	slices.Sort(tried)
	tried = slices.Compact(tried)
	if stored := storableEndReasons(t); !slices.Equal(stored, tried) {
		t.Errorf("session.go declares the stored reasons %q, the test has cases for %q", stored, tried)
	}
}

// storableEndReasons are the reasons of session.go without those that are only computed.
func storableEndReasons(t *testing.T) (reasons []string) {
	t.Helper()
	source, err := os.ReadFile("session.go")
	must(t, err)
	declared := regexp.MustCompile(`Ended\w+ +EndReason = "(\w+)"(.*)`)
	for _, found := range declared.FindAllStringSubmatch(string(source), -1) {
		if !strings.HasSuffix(found[2], "// computed, never stored") {
			reasons = append(reasons, found[1])
		}
	}
	slices.Sort(reasons)
	return reasons
}

func TestRoleChangeIsPublishedInTheFeed(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	_, err := r.Operator().SetRoles(t.Context(), in.User.ID, []string{"admin"})
	must(t, err)
	r.runInBackground(t)
	got := r.awaitFeed(t, 0, func(events []secevent.Event) bool { return len(events) > 0 })[0]
	// The first token was issued in the current second. Therefore the event and the tokens with the new roles are
	// dated one second later.
	if got.Kind != secevent.ClaimsChanged || got.User != string(in.User.ID) || got.At != r.clock.Now().Unix()+1 ||
		got.Session != "" {
		t.Errorf("got %+v", got)
	}
	if next, err := r.Refresh(t.Context(), in.RefreshToken, laptop); err != nil || r.issuedAt(t, next) < got.At {
		t.Errorf("the next token was issued at %d, before the event at %d (error %v)", r.issuedAt(t, next), got.At, err)
	}
}

func (r *rig) issuedAt(t *testing.T, in *watchword.SignIn) int64 {
	t.Helper()
	keys, err := accesstoken.ParseJWKS(r.JWKS())
	must(t, err)
	claims, err := accesstoken.Verify(string(in.AccessToken),
		func(kid string) (accesstoken.Key, bool) { k, ok := keys[kid]; return k, ok },
		accesstoken.Expect{
			Issuer: r.opts.PublicURL, Audience: r.opts.PublicURL, Now: r.clock.Now(), Leeway: 5 * time.Second})
	must(t, err)
	return claims.IssuedAt
}

// Two processes on one database serve the same events. Either process may number them.
func TestAllProcessesServeTheSameFeed(t *testing.T) {
	t.Parallel()
	path := newDatabasePath(t)
	one, two := startOn(t, path, unlimited), startOn(t, path, unlimited)
	one.runInBackground(t)
	two.runInBackground(t)
	const sessions = 12
	for n := range sessions {
		in := one.signUp(t, string(rune('a'+n))+"@example.com")
		ends := []*rig{one, two}[n%2]
		must(t, ends.Logout(t.Context(), in.RefreshToken, "", laptop))
	}
	all := func(events []secevent.Event) bool { return len(events) == sessions }
	first, second := one.awaitFeed(t, 0, all), two.awaitFeed(t, 0, all)
	for i := range first {
		a, b := first[i], second[i]
		a.IssuedAt, b.IssuedAt = 0, 0
		if a != b || i > 0 && a.Number <= first[i-1].Number {
			t.Errorf("event %d: %+v and %+v", i, a, b)
		}
	}
}

// A store that loses its last commits, by a failover or a restored backup, must reuse no number. A reader that has
// received a lost event must still receive the events after it.
func TestStoreThatLostCommitsReusesNoFeedNumber(t *testing.T) {
	t.Parallel()
	path, copied := newDatabasePath(t), newDatabasePath(t)
	before := startOn(t, path, unlimited)
	lost, ended := before.signUp(t, "ada@example.com"), before.signUp(t, "bob@example.com")
	before.Close()
	must(t, before.store.Close())
	file, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(copied, file, 0o600))

	primary := startOn(t, path, unlimited)
	primary.runInBackground(t)
	must(t, primary.Logout(t.Context(), lost.RefreshToken, "", laptop))
	received := primary.awaitFeed(t, 0, func(events []secevent.Event) bool { return len(events) == 1 })[0].Number

	standby := startOn(t, copied, unlimited)
	standby.clock.advance(time.Second)
	standby.runInBackground(t)
	must(t, standby.Logout(t.Context(), ended.RefreshToken, "", laptop))
	all := standby.awaitFeed(t, 0, func(events []secevent.Event) bool { return len(events) == 1 })
	page, err := standby.Revocations(t.Context(), received, 10)
	if err != nil || len(page.Events) != 1 || all[0].Session != string(ended.Session.ID) {
		t.Errorf("after number %d, the reader receives %d events of %+v, error %v",
			received, len(page.Events), all, err)
	}
}

func unlimited(o *watchword.Options) { o.Limits = watchword.Unlimited() }

func TestFeedContinuesAfterTheNumberOfTheReader(t *testing.T) {
	t.Parallel()
	r := startEngine(t, unlimited)
	endSession := func() {
		must(t, r.Logout(t.Context(), r.login(t, "ada@example.com", laptop).RefreshToken, "", laptop))
	}
	if _, err := r.Revocations(t.Context(), 0, 10); !errors.Is(err, watchword.ErrUnavailable) {
		t.Errorf("before the feed was read: %v", err)
	}
	r.signUp(t, "ada@example.com")
	r.runInBackground(t)
	for range 3 {
		endSession()
	}
	all := r.awaitFeed(t, 0, func(events []secevent.Event) bool { return len(events) == 3 })
	last := all[2].Number
	r.awaitFeed(t, all[1].Number, func(events []secevent.Event) bool {
		return len(events) == 1 && events[0].Number == last
	})

	page, err := r.Revocations(t.Context(), all[0].Number, 1)
	if err != nil || len(page.Events) != 1 || page.Next != all[1].Number || !page.More {
		t.Errorf("a page of one event after the first: %+v, %v", page, err)
	}
	page, err = r.Revocations(t.Context(), last, 10)
	if err != nil || len(page.Events) != 0 || page.Next != last || page.More {
		t.Errorf("after the last event: %+v, %v", page, err)
	}
	// The number of this reader was issued before the restore, so it is greater than the last number in the feed.
	page, err = r.Revocations(t.Context(), last+99, 10)
	if err != nil || len(page.Events) != 3 || page.Next != last {
		t.Errorf("after a number that the feed has not reached: %+v, %v", page, err)
	}
	heartbeat := r.verifyEvent(t, page.Heartbeat.Token)
	if heartbeat.Kind != secevent.Heartbeat || heartbeat.Head > last || heartbeat.IssuedAt != r.clock.Now().Unix() {
		t.Errorf("got heartbeat %+v", heartbeat)
	}

	r.clock.advance(66 * time.Minute) // every access token issued before this time has expired
	endSession()
	r.awaitFeed(t, 0, func(events []secevent.Event) bool { return len(events) == 1 && events[0].Number > last })
}

func (r *rig) factorManager() *factors.Manager {
	return factors.New(r.Engine, r.store.(*sqlite.Store).Factors(), factors.Options{})
}

// verifyAndAddTOTP verifies the address of the user in the session of verifySignIn. Then it adds an authenticator app
// in the session of totpSignIn.
func (r *rig) verifyAndAddTOTP(t *testing.T, verifySignIn, totpSignIn *watchword.SignIn) factors.Factor {
	t.Helper()
	r.deliverMail(t)
	must(t, r.verifyWithSession(t, r.post.lastMail(t, watchword.MailVerify).Token, verifySignIn))
	who := r.authenticate(t, totpSignIn)
	begun, err := r.factorManager().BeginTOTP(t.Context(), who, "")
	must(t, err)
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(begun.Secret))
	must(t, err)
	code, err := totp.Code(secret, totp.Step(r.clock.Now()))
	must(t, err)
	done, err := r.factorManager().ConfirmTOTP(t.Context(), who, begun.ID, watchword.Secret(code), laptop)
	must(t, err)
	return done.Factor()
}

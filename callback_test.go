package watchword_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
)

// A callbackRecorder implements both callbacks and keeps their arguments.
type callbackRecorder struct {
	mu         sync.Mutex
	users      []watchword.User
	ended      []watchword.Session
	changed    chan struct{}
	failSignup func(attempt int) error
}

func newCallbackRecorder() *callbackRecorder {
	return &callbackRecorder{changed: make(chan struct{}, 1)}
}

func (c *callbackRecorder) setCallbacks(o *watchword.Options) {
	o.OnSignup = func(_ context.Context, u watchword.User) error {
		return c.recordCall(func() error {
			c.users = append(c.users, u)
			if c.failSignup == nil {
				return nil
			}
			return c.failSignup(len(c.users))
		})
	}
	o.OnSessionEnded = func(_ context.Context, s watchword.Session) error {
		return c.recordCall(func() error { c.ended = append(c.ended, s); return nil })
	}
}

func (c *callbackRecorder) recordCall(what func() error) error {
	defer func() {
		select {
		case c.changed <- struct{}{}:
		default:
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	return what()
}

// runUntil runs the engine until isFinished returns true. It calls isFinished after each callback.
func (c *callbackRecorder) runUntil(t *testing.T, r *rig, isFinished func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	running := make(chan struct{})
	go func() { defer close(running); r.Run(ctx) }()
	for {
		c.mu.Lock()
		ok := isFinished()
		c.mu.Unlock()
		if ok || ctx.Err() != nil {
			break
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		t.Errorf("not called within a minute; so far %d users and %d sessions", len(c.users), len(c.ended))
	}
	stop()
	<-running
}

func (c *callbackRecorder) endReasons(id watchword.SessionID) (all []watchword.EndReason) {
	for _, s := range c.ended {
		if s.ID == id {
			all = append(all, s.EndedWhy)
		}
	}
	return all
}

func TestOnSignupIsCalledForEveryWayToCreateAnAccount(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		c := newCallbackRecorder()
		r := start(t, c.setCallbacks)
		want := []watchword.UserID{r.signUp(t, "ada@example.com").User.ID}
		made, err := r.Operator().CreateUser(t.Context(), watchword.NewUser{Email: "bo@example.com"})
		must(t, err)
		gone := r.signUp(t, "cy@example.com").User.ID
		must(t, r.Operator().DeleteUser(t.Context(), gone)) // deletes the account before its callback is called
		results, err := accountimport.New(r.Engine).Import(t.Context(),
			[]accountimport.Account{{Email: "di@example.com"}})
		must(t, err)
		want = append(want, made.ID, results[0].User.ID)
		c.runUntil(t, r, func() bool { return len(c.users) >= len(want) })
		var got []watchword.UserID
		for _, u := range c.users {
			got = append(got, u.ID)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("called for %v, want %v", got, want)
		}

		// A second process on the same store must find no callback, because all were delivered.
		again := newCallbackRecorder()
		second := startWith(t, r.store, again.setCallbacks)
		last := second.signUp(t, "ed@example.com").User.ID
		again.runUntil(t, second, func() bool { return len(again.users) > 0 })
		if len(again.users) != 1 || again.users[0].ID != last {
			t.Errorf("after a restart: %+v", again.users)
		}
	})
}

func TestOnSignupIsCalledAfterTheProofOfAWaitingSignUp(t *testing.T) {
	t.Parallel()
	c := newCallbackRecorder()
	r := startEngine(t, func(o *watchword.Options) { c.setCallbacks(o); o.Signup = watchword.SignupVerified })
	_, err := r.SignUp(t.Context(), watchword.SignUpRequest{
		Email: "ada@example.com", Password: goodPassword, Client: laptop})
	must(t, err)
	r.deliverMail(t)
	if len(c.users) != 0 {
		t.Fatal("called before the proof")
	}
	in, err := r.VerifyEmail(t.Context(), watchword.MailLinkRequest{
		Token: r.post.lastMail(t, watchword.MailVerify).Token, Password: goodPassword, Client: laptop})
	must(t, err)
	c.runUntil(t, r, func() bool { return len(c.users) > 0 })
	if len(c.users) != 1 || c.users[0].ID != in.User.ID || !c.users[0].Verified() {
		t.Errorf("called with %+v", c.users)
	}
}

func TestOnSessionEndedIsCalledOnceForEveryReason(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		c := newCallbackRecorder()
		r := start(t, c.setCallbacks)
		// The command line is a second program on the same store, without callbacks.
		line := startWith(t, r.store, nil)
		want := map[watchword.SessionID]watchword.EndReason{}
		ada := r.signUp(t, "ada@example.com")
		logout := r.login(t, "ada@example.com", laptop)
		must(t, r.Logout(t.Context(), logout.RefreshToken, "", laptop))
		want[logout.Session.ID] = watchword.EndedLogout
		operator := r.login(t, "ada@example.com", laptop)
		must(t, line.Operator().EndUserSession(t.Context(), ada.User.ID, operator.Session.ID))
		want[operator.Session.ID] = watchword.EndedOperator
		must(t, line.Operator().DisableUser(t.Context(), ada.User.ID))
		want[ada.Session.ID] = watchword.EndedDisabled
		bo := r.signUp(t, "bo@example.com")
		must(t, line.Operator().DeleteUser(t.Context(), bo.User.ID))
		want[bo.Session.ID] = watchword.EndedDeleted
		alive := r.signUp(t, "cy@example.com")
		c.runUntil(t, r, func() bool { return len(c.ended) >= len(want) })
		for id, why := range want {
			if got := c.endReasons(id); !slices.Equal(got, []watchword.EndReason{why}) {
				t.Errorf("session ended by %s: called with %v", why, got)
			}
		}
		if got := c.endReasons(alive.Session.ID); got != nil {
			t.Errorf("a live session: called with %v", got)
		}
		if n, err := line.Operator().EndEverySession(t.Context()); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		c.runUntil(t, r, func() bool { return c.endReasons(alive.Session.ID) != nil })
	})
}

func TestOnSessionEndedIsCalledForIdleAndExpiredSessions(t *testing.T) {
	t.Parallel()
	c := newCallbackRecorder()
	r := startEngine(t, func(o *watchword.Options) { c.setCallbacks(o); o.Sessions.Idle = 29 * 24 * time.Hour })
	idle := r.signUp(t, "ada@example.com")
	used := r.signUp(t, "bo@example.com")
	r.clock.advance(24 * time.Hour)
	_, err := r.Refresh(t.Context(), used.RefreshToken, laptop)
	must(t, err)
	r.clock.advance(29 * 24 * time.Hour)
	c.runUntil(t, r, func() bool { return len(c.ended) >= 2 })
	for in, why := range map[*watchword.SignIn]watchword.EndReason{
		idle: watchword.EndedIdle, used: watchword.EndedExpired,
	} {
		if got := c.endReasons(in.Session.ID); !slices.Equal(got, []watchword.EndReason{why}) {
			t.Errorf("want %s, called with %v", why, got)
		}
	}
	for _, s := range c.ended {
		if s.EndedWhy == watchword.EndedIdle && !s.EndedAt.Equal(idle.Session.CreatedAt.Add(29*24*time.Hour)) {
			t.Errorf("idle at %s", s.EndedAt)
		}
	}
}

func TestFailedCallbackIsRepeatedLaterAndDelaysNoOther(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("no disk") },
		"panic": func() error { panic("no disk") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCallbackRecorder()
			c.failSignup = func(attempt int) error {
				if attempt <= 2 {
					return fail()
				}
				return nil
			}
			r := startEngine(t, c.setCallbacks)
			first := r.signUp(t, "ada@example.com").User.ID
			c.runUntil(t, r, func() bool { return len(c.users) == 1 })
			r.clock.advance(time.Second)
			c.runUntil(t, r, func() bool { return len(c.users) == 2 })
			second := r.signUp(t, "bo@example.com").User.ID
			c.runUntil(t, r, func() bool { return len(c.users) == 3 })
			if c.users[2].ID != second {
				t.Fatal("the failed callback was repeated before its time")
			}
			r.clock.advance(2 * time.Second)
			c.runUntil(t, r, func() bool { return len(c.users) == 4 })
			if c.users[1].ID != first || c.users[3].ID != first {
				t.Error("another account was repeated")
			}
		})
	}
}

// A process that dies during a call leaves the row, and another process repeats the call.
func TestCallbackOfADeadProcessIsRepeatedAfterItsLease(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	id := r.signUp(t, "ada@example.com").User.ID
	now := r.clock.Now()
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error { // a process that claims the row, then dies
		_, err := tx.ClaimCallbacks(t.Context(), watchword.CallbackSignup, now, now.Add(time.Minute), 1)
		return err
	}))
	c := newCallbackRecorder()
	second := startWith(t, r.store, c.setCallbacks)
	second.clock.advance(time.Minute)
	c.runUntil(t, second, func() bool { return len(c.users) > 0 })
	if c.users[0].ID != id {
		t.Errorf("called with %+v", c.users)
	}
}

// A callback that hangs is canceled when Run stops. The next process must repeat it at once.
func TestHangingCallbackEndsWithRunAndIsRepeatedAtOnce(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	r := startEngine(t, func(o *watchword.Options) {
		o.OnSignup = func(ctx context.Context, _ watchword.User) error { stop(); <-ctx.Done(); return ctx.Err() }
	})
	r.signUp(t, "ada@example.com")
	r.Run(ctx)
	c := newCallbackRecorder()
	second := startWith(t, r.store, c.setCallbacks)
	c.runUntil(t, second, func() bool { return len(c.users) > 0 })
}

func TestAdmitUserOpensASessionThroughTheDoor(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		ada := r.signUp(t, "ada@example.com")
		admit := func(r *rig, q watchword.AdmitRequest) (*watchword.SignIn, error) {
			q.Client = laptop
			return r.Operator().AdmitUser(t.Context(), q)
		}
		otp := []string{"otp", "hwk"}
		in, err := admit(r, watchword.AdmitRequest{User: ada.User.ID, Methods: otp, Replaces: ada.RefreshToken})
		must(t, err)
		who := r.authenticate(t, in)
		if who.User.ID != ada.User.ID || !slices.Equal(who.Session.Methods, otp) || in.Session.Persistent {
			t.Errorf("session %+v", who.Session)
		}
		if got := r.eventKinds(t, ada.User.ID); !slices.Contains(got, watchword.EventLogin) {
			t.Errorf("events: %v", got)
		}
		_, err = r.Authenticate(t.Context(), ada.AccessToken)
		wantCode(t, err, watchword.CodeSessionEnded) // a sign-in replaced this session

		for _, methods := range [][]string{nil, {""}, {"a card reader"}, {"otp", "otp", "otp", "otp"}} {
			_, err = admit(r, watchword.AdmitRequest{User: ada.User.ID, Methods: methods})
			wantField(t, err, "methods", watchword.FieldInvalid)
		}
		for _, id := range []watchword.UserID{"", "\x00", "019355c1-0001-7000-8000-000000000009"} {
			_, err = admit(r, watchword.AdmitRequest{User: id, Methods: otp})
			wantCode(t, err, watchword.CodeNotFound)
		}
		verified := startWith(t, r.store, func(o *watchword.Options) { o.Signup = watchword.SignupVerified })
		_, err = admit(verified, watchword.AdmitRequest{User: ada.User.ID, Methods: otp})
		wantCode(t, err, watchword.CodeEmailNotVerified)
		must(t, r.Operator().DisableUser(t.Context(), ada.User.ID))
		_, err = admit(r, watchword.AdmitRequest{User: ada.User.ID, Methods: otp})
		wantCode(t, err, watchword.CodeAccountDisabled)
	})
}

func TestFindUserByAddressAndByID(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	want := r.signUp(t, "ada@example.com").User
	for name, find := range map[string]func() (watchword.User, error){
		"address": func() (watchword.User, error) { return r.Operator().FindUser(t.Context(), " Ada@EXAMPLE.com") },
		"id":      func() (watchword.User, error) { return r.Operator().FindUserByID(t.Context(), want.ID) },
	} {
		if got, err := find(); err != nil || got.ID != want.ID || got.Email != want.Email {
			t.Errorf("by %s: %+v, %v", name, got, err)
		}
	}
	_, err := r.Operator().FindUserByID(t.Context(), "ada@example.com")
	wantCode(t, err, watchword.CodeNotFound)
}

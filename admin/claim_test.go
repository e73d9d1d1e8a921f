package admin_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// twoProcesses share a store and a clock. Only the test advances the clock.
type twoProcesses struct {
	one, two        *admin.Manager
	root            admin.Caller
	secondCommitted chan struct{} // receives a value after each transaction of two

	mu  sync.Mutex
	now time.Time
}

// clocklessStore hides the clock of PostgreSQL, so that the test decides the time.
type clocklessStore struct{ watchword.Store }

func startTwoProcesses(t *testing.T, store database) *twoProcesses {
	t.Helper()
	t.Cleanup(func() { _ = store.Close() })
	c := &twoProcesses{now: time.Date(2026, 11, 29, 12, 0, 5, 0, time.UTC), secondCommitted: make(chan struct{}, 1000)}
	process := func(s admin.Store) (*watchword.Engine, *admin.Manager) {
		engine, err := watchword.New(t.Context(), clocklessStore{store}, watchword.Options{
			PublicURL: "http://localhost:8080", Mailer: post{}, Now: c.clock,
			MasterKey: []byte("a master key for tests, 32 bytes")})
		wantCode(t, err, "")
		t.Cleanup(engine.Close)
		return engine, admin.New(engine, s, admin.Options{})
	}
	engine, one := process(store.Admin())
	_, two := process(reportingStore{store.Admin(), c.secondCommitted})
	c.one, c.two = one, two
	user, err := engine.Operator().CreateUser(t.Context(),
		watchword.NewUser{Email: "ada@example.com", Roles: []string{"admin"}})
	wantCode(t, err, "")
	c.root = admin.Caller{User: user}
	return c
}

func (c *twoProcesses) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *twoProcesses) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type reportingStore struct {
	admin.Store
	committed chan struct{}
}

func (s reportingStore) Update(ctx context.Context, fn func(admin.Tx) error) error {
	err := s.Store.Update(ctx, fn)
	s.committed <- struct{}{}
	return err
}

type beginResult struct {
	by  admin.Caller
	err error
}

// beginInSecond starts a request with the key in the second process. It returns as soon as that process has found the
// claim of the first process.
func (c *twoProcesses) beginInSecond(t *testing.T, key string) chan beginResult {
	t.Helper()
	for len(c.secondCommitted) > 0 {
		<-c.secondCommitted
	}
	done := make(chan beginResult, 1)
	go func() {
		by, err := c.two.Begin(t.Context(), c.root, key, "hash")
		done <- beginResult{by, err}
	}()
	<-c.secondCommitted
	return done
}

func TestSecondRequestWaitsForARunningFirst(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		c := startTwoProcesses(t, store)
		ctx, key := t.Context(), uuid.NewString()
		first, err := c.one.Begin(ctx, c.root, key, "hash")
		wantCode(t, err, "")
		second := c.beginInSecond(t, key)
		<-c.secondCommitted // the second process has tried to claim the key once more
		if len(second) > 0 {
			t.Fatalf("the second request did not wait: %+v", <-second)
		}
		user, err := c.one.Create(ctx, first, admin.NewAccount{Email: "bob@example.com", Invite: true})
		wantCode(t, err, "")
		wantCode(t, c.one.Finish(ctx, first, 201), "")
		got := <-second
		wantCode(t, got.err, "")
		if id, repeated := got.by.Repeated(); !repeated || id != string(user.ID) {
			t.Errorf("the second request got %q, %t", id, repeated)
		}
		again, err := c.two.Create(ctx, got.by, admin.NewAccount{Email: "bob@example.com", Invite: true})
		wantCode(t, err, "")
		if again.ID != user.ID {
			t.Errorf("got %s, want %s", again.ID, user.ID)
		}

		// If the first request is refused, the second request runs.
		key = uuid.NewString()
		first, err = c.one.Begin(ctx, c.root, key, "hash")
		wantCode(t, err, "")
		second = c.beginInSecond(t, key)
		_, err = c.one.Create(ctx, first, admin.NewAccount{Email: "bob@example.com", Invite: true})
		wantCode(t, err, watchword.CodeEmailTaken)
		wantCode(t, c.one.GiveUp(ctx, first, err), "")
		got = <-second
		wantCode(t, got.err, "")
		if _, repeated := got.by.Repeated(); repeated {
			t.Error("a refused request counts as made")
		}

		// If the first request still holds its claim after 10 seconds, the second request must fail.
		key = uuid.NewString()
		_, err = c.one.Begin(ctx, c.root, key, "hash")
		wantCode(t, err, "")
		second = c.beginInSecond(t, key)
		c.advance(10 * time.Second)
		wantCode(t, (<-second).err, watchword.CodeTryLater)
	})
}

func TestClaimOfADeadProcessIsTakenOver(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		c := startTwoProcesses(t, store)
		ctx, key := t.Context(), uuid.NewString()
		dead, err := c.one.Begin(ctx, c.root, key, "hash")
		wantCode(t, err, "")
		c.advance(time.Minute - time.Millisecond)
		second := c.beginInSecond(t, key)
		<-c.secondCommitted
		if len(second) > 0 {
			t.Fatalf("the claim was taken over before its end: %+v", <-second)
		}
		c.advance(time.Millisecond)
		got := <-second
		wantCode(t, got.err, "")
		if _, repeated := got.by.Repeated(); repeated {
			t.Error("a request without a result counts as made")
		}
		// The first process was slow, and the second process has taken over its claim. If the first process changes
		// data now, its transaction must be rolled back, because the second process makes the same change.
		bob := admin.NewAccount{Email: "bob@example.com", Invite: true}
		_, err = c.one.Create(ctx, dead, bob)
		wantCode(t, err, watchword.CodeTryLater)
		wantCode(t, c.one.GiveUp(ctx, dead, err), "")
		user, err := c.two.Create(ctx, got.by, bob)
		wantCode(t, err, "")
		wantCode(t, c.two.Finish(ctx, got.by, 201), "")
		late, err := c.one.Begin(ctx, c.root, key, "hash")
		wantCode(t, err, "")
		if id, repeated := late.Repeated(); !repeated || id != string(user.ID) {
			t.Errorf("a third request got %q, %t", id, repeated)
		}
		events, err := c.one.Engine().Operator().UserEvents(ctx, user.ID, 10)
		wantCode(t, err, "")
		if len(events) != 1 {
			t.Errorf("the account has the events %+v", events)
		}
	})
}

// If the response to a commit is lost, the request must fail with TRY_LATER, and a repeated request must return the
// result.
func TestLostResponseToACommitIsMadeUpByItsRepetition(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		lossy := &cutDatabase{database: store}
		m, both := newManagerWithAdmins(t, lossy)
		ctx, grace := t.Context(), both[1].User.ID
		var created watchword.UserID
		for name, write := range map[string]func(admin.Caller) error{
			"change": func(by admin.Caller) error {
				_, err := m.Change(ctx, by, grace, admin.Change{Name: new("Grace")})
				return err
			},
			"create": func(by admin.Caller) error {
				user, err := m.Create(ctx, by, admin.NewAccount{Email: "bob@example.com"})
				created = user.ID
				return err
			},
			"service key": func(by admin.Caller) error {
				_, _, err := m.CreateServiceKey(ctx, by, admin.NewServiceKey{Name: "a", Scopes: []string{"mail"}})
				return err
			},
		} {
			key := uuid.NewString()
			by, err := m.Begin(ctx, both[0], key, name)
			wantCode(t, err, "")
			lossy.failingWrite = 1000 // no write fails, but the response to the commit is lost
			err = write(by)
			if !errors.Is(err, watchword.ErrUnavailable) {
				t.Errorf("%s: got %v", name, err)
			}
			lossy.failingWrite = 0
			wantCode(t, m.GiveUp(ctx, by, err), "")
			by, err = m.Begin(ctx, both[0], key, name)
			wantCode(t, err, "")
			if _, repeated := by.Repeated(); !repeated {
				t.Errorf("%s: the repetition runs again", name)
			}
			wantCode(t, write(by), "")
		}
		if user, err := m.User(ctx, created); err != nil || user.Email != "bob@example.com" {
			t.Errorf("got %+v, %v", user, err)
		}
		keys, _, err := m.ServiceKeys(ctx, "", 10)
		wantCode(t, err, "")
		events, err := m.Engine().Operator().UserEvents(ctx, grace, 10)
		wantCode(t, err, "")
		if len(keys) != 1 || len(events) != 2 { // Grace has the events signup and renamed
			t.Errorf("%d keys, events %+v", len(keys), events)
		}
	})
}

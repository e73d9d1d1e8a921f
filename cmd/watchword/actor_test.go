package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A crowd is users at work while faults are made under them.
type crowd struct {
	*fault
	actors []*actor
	done   chan struct{}
	acting sync.WaitGroup
}

// newCrowd lets users work on one server, or on several that are one service.
func newCrowd(f *fault, addresses ...string) *crowd {
	c := &crowd{fault: f}
	for name := range 4 {
		c.actors = append(c.actors, &actor{
			fault: f, device: newDevice(f.t, addresses[0]), addresses: addresses, name: name})
	}
	return c
}

// work begins; rest ends it.
func (c *crowd) work(ctx context.Context) {
	c.done = make(chan struct{})
	for _, a := range c.actors {
		c.acting.Go(func() {
			for {
				select {
				case <-c.done:
					return
				default:
				}
				if a.act(ctx) != nil {
					time.Sleep(20 * time.Millisecond) // less patient than Retry-After asks
				}
			}
		})
	}
}

func (c *crowd) rest() {
	close(c.done)
	c.acting.Wait()
}

// untilAnswered waits until everybody was answered what was asked after a moment,
// and says how long after it that was.
func (c *crowd) untilAnswered(since time.Time) time.Duration {
	c.t.Helper()
	for _, a := range c.actors {
		for a.answeredAt.Load() < since.UnixNano() {
			if c.t.Failed() || time.Since(since) > 2*time.Minute {
				c.t.Fatalf("actor %d is not answered any more", a.name)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return time.Since(since)
}

// round makes a fault under load and looks what is left. The fault is over when
// its function returns; from then on everybody has to be answered.
func (c *crowd) round(t *testing.T, fault func()) {
	t.Helper()
	c.work(t.Context())
	defer c.rest()
	c.untilAnswered(time.Now())
	time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond) // wherever they are
	hit := time.Now()
	fault()
	c.over(c.untilAnswered(hit))
}

// check lets everybody hold what was acknowledged against the servers as they are
// now. One was robbed, too.
func (c *crowd) check(ctx context.Context) {
	c.actors[rand.IntN(len(c.actors))].prey = true
	var checking sync.WaitGroup
	for _, a := range c.actors {
		checking.Go(func() { a.check(ctx) })
	}
	checking.Wait()
}

// An actor is a user with one device, who knows what was acknowledged and what
// is in doubt because no answer came.
type actor struct {
	*fault
	device    *device
	addresses []string
	server    int // which of the addresses
	name      int

	accounts int
	email    string // of the account in use; empty: none
	password string // acknowledged
	doubted  string // a password that may be in effect; empty: none
	token    string // of the session; empty: signed out
	first    string // token of the session: the one that a thief has
	prey     bool   // a thief is going to show up
	robbed   bool   // he did, and whether he was noticed is in doubt
	ended    string // the token of the last session whose end was acknowledged

	answeredAt atomic.Int64 // when the last question was asked that has been answered
}

// act does one thing. Its error is that no answer came, or 503.
func (a *actor) act(ctx context.Context) error {
	if a.email == "" {
		return a.signUp(ctx)
	}
	if a.token == "" {
		return a.logIn(ctx)
	}
	if a.prey {
		return a.bePrey(ctx)
	}
	switch choice := rand.IntN(40); {
	case choice < 2:
		return a.signUp(ctx)
	case choice < 4:
		return a.logOut(ctx)
	case choice < 6:
		return a.changePassword(ctx)
	case choice < 7:
		a.prey = true
	}
	return a.refresh(ctx)
}

// post wants one of the statuses. Nothing else may come of it but 503 with the
// time to come back, or no answer where servers die.
func (a *actor) post(ctx context.Context, path string, b body, wanted ...int) (*answer, error) {
	begun := time.Now()
	got, err := a.device.send(ctx, http.MethodPost, path, b)
	switch {
	case err != nil && !a.serversDie:
		return nil, a.broke("actor %d: %s: %w", a.name, path, err)
	case err != nil:
		a.count(&a.unanswered)
		a.server = (a.server + 1) % len(a.addresses)
		a.device.moveTo(a.addresses[a.server])
		return nil, err
	case got.status == http.StatusServiceUnavailable && (got.retryAfter < 1 || got.Code != "TRY_LATER"):
		return nil, a.broke("actor %d: %s: 503 %s without the time to come back", a.name, got.of, got.Code)
	case got.status == http.StatusServiceUnavailable: // whether it was done is not known
		a.count(&a.unavailable)
		return nil, fmt.Errorf("%s: 503", got.of)
	case !slices.Contains(wanted, got.status):
		return nil, a.broke("actor %d: %s: %d %s, want %v", a.name, got.of, got.status, got.Code, wanted)
	}
	a.count(nil)
	a.answeredAt.Store(begun.UnixNano())
	return got, nil
}

func (a *actor) signUp(ctx context.Context) error {
	a.accounts++
	email := fmt.Sprintf("actor%d.%d@example.com", a.name, a.accounts)
	got, err := a.post(ctx, "/register", body{"email": email, "password": firstSecret, "delivery": "body"}, 201)
	if err != nil {
		return err
	}
	a.email, a.password, a.doubted, a.ended = email, firstSecret, "", ""
	a.token, a.first = got.RefreshToken, got.RefreshToken
	return nil
}

// logIn settles which password is in effect.
func (a *actor) logIn(ctx context.Context) error {
	wanted := []int{200}
	if a.doubted != "" {
		wanted = []int{200, 401}
	}
	got, err := a.post(ctx, "/login", body{"email": a.email, "password": a.password, "delivery": "body"}, wanted...)
	if err == nil && got.status == 401 {
		got, err = a.post(ctx, "/login", body{"email": a.email, "password": a.doubted, "delivery": "body"}, 200)
		if err == nil {
			a.password = a.doubted
		}
	}
	if err == nil {
		a.doubted, a.token, a.first = "", got.RefreshToken, got.RefreshToken
	}
	return err
}

func (a *actor) refresh(ctx context.Context) error {
	got, err := a.post(ctx, "/refresh", body{"refreshToken": a.token}, 200)
	if err == nil {
		a.token = got.RefreshToken
	}
	return err
}

// logOut without an answer leaves the session in doubt, so that it is not
// looked at again.
func (a *actor) logOut(ctx context.Context) error {
	token := a.token
	a.token = ""
	_, err := a.post(ctx, "/logout", body{"refreshToken": token}, 200)
	if err == nil {
		a.ended = token
	}
	return err
}

func (a *actor) changePassword(ctx context.Context) error {
	if a.doubted != "" {
		a.token = "" // the next login settles it
		return nil
	}
	next := fmt.Sprintf("purple otters no. %d", rand.Uint64())
	a.doubted = next
	_, err := a.post(ctx, "/password/change", body{"currentPassword": a.password, "newPassword": next}, 200)
	if err == nil {
		a.password, a.doubted = next, ""
	}
	return err
}

// tooOld is a generation by which the first token is no repeat, however young it
// is (docs/rotation.md, rule 3).
const tooOld = 35

// bePrey refreshes until the first token is too old to be a repeat. Then a thief
// shows up with it.
func (a *actor) bePrey(ctx context.Context) error {
	if !a.robbed && generationOf(a.t, a.token) < tooOld {
		return a.refresh(ctx)
	}
	return a.beRobbed(ctx)
}

// beRobbed wants the thief to be noticed, and the session to end for both. If he
// was not answered, he may have been noticed nevertheless.
func (a *actor) beRobbed(ctx context.Context) error {
	again := a.robbed
	a.robbed = true
	thief, err := a.post(ctx, "/refresh", body{"refreshToken": a.first}, 401)
	if err != nil {
		return err
	}
	if thief.Code != "REFRESH_REUSED" && (thief.Code != "SESSION_ENDED" || !again) {
		return a.broke("actor %d: a reused token is answered %s", a.name, thief.Code)
	}
	if _, err = a.post(ctx, "/refresh", body{"refreshToken": a.token}, 401); err != nil {
		return err
	}
	a.mu.Lock()
	a.reuses++
	a.mu.Unlock()
	a.prey, a.robbed, a.ended, a.token = false, false, a.token, ""
	return nil
}

// check holds what was acknowledged against servers that all work, and begins
// another session.
func (a *actor) check(ctx context.Context) {
	if a.email == "" {
		a.must(ctx, a.signUp)
	}
	if a.token == "" {
		a.must(ctx, a.logIn)
	}
	for a.prey && !a.t.Failed() {
		a.must(ctx, a.bePrey)
	}
	if a.token != "" {
		a.must(ctx, a.refresh)
	}
	a.must(ctx, a.staysEnded)
	a.must(ctx, a.logIn)
}

// must does one thing until it is answered.
func (a *actor) must(ctx context.Context, do func(context.Context) error) {
	for do(ctx) != nil && !a.t.Failed() {
		time.Sleep(20 * time.Millisecond)
	}
}

func (a *actor) staysEnded(ctx context.Context) error {
	if a.ended == "" {
		return nil
	}
	_, err := a.post(ctx, "/refresh", body{"refreshToken": a.ended}, 401)
	if err == nil {
		a.ended = ""
	}
	return err
}

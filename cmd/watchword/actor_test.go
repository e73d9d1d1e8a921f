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

// A crowd is a group of users who send requests while a test injects faults.
type crowd struct {
	*fault
	actors []*actor
	done   chan struct{}
	acting sync.WaitGroup
}

// newCrowd returns four users. Each user sends requests to the servers at the given addresses, which share one store.
func newCrowd(f *fault, addresses ...string) *crowd {
	c := &crowd{fault: f}
	for name := range 4 {
		c.actors = append(c.actors, &actor{
			fault: f, device: newDevice(f.t, addresses[0]), addresses: addresses, name: name})
	}
	return c
}

// work makes the users send requests until a call of the method rest.
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
					time.Sleep(20 * time.Millisecond) // shorter than Retry-After, to send more requests
				}
			}
		})
	}
}

func (c *crowd) rest() {
	close(c.done)
	c.acting.Wait()
}

// untilAnswered waits until each user has a response to a request that was sent after the given time. It returns the
// duration from that time to the last of these responses.
func (c *crowd) untilAnswered(since time.Time) time.Duration {
	c.t.Helper()
	for _, a := range c.actors {
		for a.answeredAt.Load() < since.UnixNano() {
			if c.t.Failed() || time.Since(since) > 2*time.Minute {
				c.t.Fatalf("actor %d gets no response any more", a.name)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return time.Since(since)
}

// round injects a fault while the users send requests. The fault ends when the function fault returns. If a user gets
// no response after the fault, the test fails.
func (c *crowd) round(t *testing.T, fault func()) {
	t.Helper()
	c.work(t.Context())
	defer c.rest()
	c.untilAnswered(time.Now())
	time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond) // the fault begins at a random moment
	hit := time.Now()
	fault()
	c.over(c.untilAnswered(hit))
}

// check compares the acknowledged changes of each user with the state on the servers. For one user, chosen at random,
// it first lets a thief present a stolen token.
func (c *crowd) check(ctx context.Context) {
	c.actors[rand.IntN(len(c.actors))].targeted = true
	var checking sync.WaitGroup
	for _, a := range c.actors {
		checking.Go(func() { a.check(ctx) })
	}
	checking.Wait()
}

// An actor is a user with one device. It records the changes that a server acknowledged. It also records changes in
// doubt: those without a response.
type actor struct {
	*fault
	device    *device
	addresses []string
	server    int // index into addresses
	name      int

	accounts int
	email    string // of the account in use; empty: no account
	password string // acknowledged by a server
	doubted  string // an unacknowledged password that may be in effect, or empty
	token    string // of the session; empty: signed out
	first    string // first token of the session, which a thief copied
	targeted bool   // a thief will present the first token
	stolen   bool   // the thief presented the first token; the server may have detected this
	ended    string // the token of the last session whose end was acknowledged

	answeredAt atomic.Int64 // when the last request with a response was sent
}

// act runs one step. It returns an error if it receives no response, or a 503.
func (a *actor) act(ctx context.Context) error {
	if a.email == "" {
		return a.signUp(ctx)
	}
	if a.token == "" {
		return a.logIn(ctx)
	}
	if a.targeted {
		return a.lureThief(ctx)
	}
	switch choice := rand.IntN(40); {
	case choice < 2:
		return a.signUp(ctx)
	case choice < 4:
		return a.logOut(ctx)
	case choice < 6:
		return a.changePassword(ctx)
	case choice < 7:
		a.targeted = true
	}
	return a.refresh(ctx)
}

// post sends a request and expects one of the statuses. It also accepts a 503 with Retry-After
// and, in tests that kill servers, a missing response.
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
		return nil, a.broke("actor %d: %s: 503 %s without Retry-After", a.name, got.of, got.Code)
	case got.status == http.StatusServiceUnavailable: // the outcome is unknown
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

// logIn signs in with the acknowledged password or, if the server refuses it, with the doubted one.
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

// logOut ends the session. If the response is lost, the end is in doubt, so check does not test it.
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
		a.token = "" // the next login shows which password is valid
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

// tooOld is a generation. If the newest token has this generation, the first token counts as reuse and not as a
// repeat, at any age (docs/rotation.md, rule 3).
const tooOld = 35

// lureThief refreshes the session until its generation is tooOld. Then it presents the first token, as a thief does.
func (a *actor) lureThief(ctx context.Context) error {
	if !a.stolen && generationOf(a.t, a.token) < tooOld {
		return a.refresh(ctx)
	}
	return a.detectThief(ctx)
}

// detectThief presents the first token as a thief does. The server must detect this and end the session for the user
// and the thief. If an earlier response was lost, the session may have ended already, so SESSION_ENDED is accepted.
func (a *actor) detectThief(ctx context.Context) error {
	again := a.stolen
	a.stolen = true
	thief, err := a.post(ctx, "/refresh", body{"refreshToken": a.first}, 401)
	if err != nil {
		return err
	}
	if thief.Code != "REFRESH_REUSED" && (thief.Code != "SESSION_ENDED" || !again) {
		return a.broke("actor %d: a reused token returns %s", a.name, thief.Code)
	}
	if _, err = a.post(ctx, "/refresh", body{"refreshToken": a.token}, 401); err != nil {
		return err
	}
	a.mu.Lock()
	a.reuses++
	a.mu.Unlock()
	a.targeted, a.stolen, a.ended, a.token = false, false, a.token, ""
	return nil
}

// check compares the acknowledged changes with the state on working servers. Then it starts another session.
func (a *actor) check(ctx context.Context) {
	if a.email == "" {
		a.must(ctx, a.signUp)
	}
	if a.token == "" {
		a.must(ctx, a.logIn)
	}
	for a.targeted && !a.t.Failed() {
		a.must(ctx, a.lureThief)
	}
	if a.token != "" {
		a.must(ctx, a.refresh)
	}
	a.must(ctx, a.staysEnded)
	a.must(ctx, a.logIn)
}

// must repeats a step until the step gets a response, or the test has failed.
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

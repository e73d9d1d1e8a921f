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

// concurrentUsers is a group of users who send requests while a test injects faults.
type concurrentUsers struct {
	*fault
	actors  []*simulatedUser
	done    chan struct{}
	sending sync.WaitGroup
}

// The servers at the addresses must share one store.
func newConcurrentUsers(f *fault, addresses ...string) *concurrentUsers {
	c := &concurrentUsers{fault: f}
	for name := range 4 {
		c.actors = append(c.actors, &simulatedUser{
			fault: f, device: newDevice(f.t, addresses[0]), addresses: addresses, name: name})
	}
	return c
}

// startSending returns at once. The users send requests until a call of stopSending.
func (c *concurrentUsers) startSending(ctx context.Context) {
	c.done = make(chan struct{})
	for _, a := range c.actors {
		c.sending.Go(func() {
			for {
				select {
				case <-c.done:
					return
				default:
				}
				if a.takeStep(ctx) != nil {
					time.Sleep(20 * time.Millisecond) // shorter than Retry-After, to send more requests
				}
			}
		})
	}
}

func (c *concurrentUsers) stopSending() {
	close(c.done)
	c.sending.Wait()
}

// awaitResponses waits until each user has a response to a request that was sent after startedAt. It returns the time
// from startedAt to the last of these responses.
func (c *concurrentUsers) awaitResponses(startedAt time.Time) time.Duration {
	c.t.Helper()
	for _, a := range c.actors {
		for a.answeredAt.Load() < startedAt.UnixNano() {
			if c.t.Failed() || time.Since(startedAt) > 2*time.Minute {
				c.t.Fatalf("actor %d gets no response any more", a.name)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return time.Since(startedAt)
}

// injectFault calls fault while the users send requests. The function fault must return only after the injected fault
// has ended. The test fails if a user gets no response afterwards.
func (c *concurrentUsers) injectFault(t *testing.T, fault func()) {
	t.Helper()
	c.startSending(t.Context())
	defer c.stopSending()
	c.awaitResponses(time.Now())
	time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond) // the fault begins at a random moment
	hit := time.Now()
	fault()
	c.endRound(c.awaitResponses(hit))
}

// checkAcknowledgedChanges compares the acknowledged changes of each user with the state on the servers. For one
// user, chosen at random, a thief also presents a stolen token.
func (c *concurrentUsers) checkAcknowledgedChanges(ctx context.Context) {
	c.actors[rand.IntN(len(c.actors))].isTheftTarget = true
	var checking sync.WaitGroup
	for _, a := range c.actors {
		checking.Go(func() { a.checkAcknowledgedChanges(ctx) })
	}
	checking.Wait()
}

// A simulatedUser has one device. It records the changes that a server acknowledged, and the changes in doubt, for
// which it received no response.
type simulatedUser struct {
	*fault
	device    *device
	addresses []string
	server    int // index into addresses
	name      int

	accounts           int
	email              string // empty: no account
	password           string // acknowledged by a server
	passwordInDoubt    string // unacknowledged, but may be in effect; or empty
	token              string // empty: signed out
	firstToken         string // first refresh token of the session; a thief copied it
	isTheftTarget      bool
	firstTokenReplayed bool   // the token was sent again; the response may be lost
	endedToken         string // of the last session whose end was acknowledged

	answeredAt atomic.Int64 // when the last request with a response was sent
}

// takeStep returns an error if it receives no response, or a 503.
func (a *simulatedUser) takeStep(ctx context.Context) error {
	if a.email == "" {
		return a.signUp(ctx)
	}
	if a.token == "" {
		return a.logIn(ctx)
	}
	if a.isTheftTarget {
		return a.refreshThenReplay(ctx)
	}
	switch choice := rand.IntN(40); {
	case choice < 2:
		return a.signUp(ctx)
	case choice < 4:
		return a.logOut(ctx)
	case choice < 6:
		return a.changePassword(ctx)
	case choice < 7:
		a.isTheftTarget = true
	}
	return a.refresh(ctx)
}

// post also accepts a 503 with Retry-After and, in tests that kill servers, a missing response.
func (a *simulatedUser) post(ctx context.Context, path string, b body, wanted ...int) (*apiResponse, error) {
	begun := time.Now()
	got, err := a.device.send(ctx, http.MethodPost, path, b)
	switch {
	case err != nil && !a.killsServers:
		return nil, a.reportBrokenPromise("actor %d: %s: %w", a.name, path, err)
	case err != nil:
		a.countRequest(&a.unanswered)
		a.server = (a.server + 1) % len(a.addresses)
		a.device.moveTo(a.addresses[a.server])
		return nil, err
	case got.status == http.StatusServiceUnavailable && (got.retryAfter < 1 || got.Code != "TRY_LATER"):
		return nil, a.reportBrokenPromise("actor %d: %s: 503 %s without Retry-After", a.name, got.request, got.Code)
	case got.status == http.StatusServiceUnavailable: // the outcome is unknown
		a.countRequest(&a.unavailable)
		return nil, fmt.Errorf("%s: 503", got.request)
	case !slices.Contains(wanted, got.status):
		return nil, a.reportBrokenPromise("actor %d: %s: %d %s, want %v",
			a.name, got.request, got.status, got.Code, wanted)
	}
	a.countRequest(nil)
	a.answeredAt.Store(begun.UnixNano())
	return got, nil
}

func (a *simulatedUser) signUp(ctx context.Context) error {
	a.accounts++
	email := fmt.Sprintf("actor%d.%d@example.com", a.name, a.accounts)
	got, err := a.post(ctx, "/register", body{"email": email, "password": firstSecret, "delivery": "body"}, 201)
	if err != nil {
		return err
	}
	a.email, a.password, a.passwordInDoubt, a.endedToken = email, firstSecret, "", ""
	a.token, a.firstToken = got.RefreshToken, got.RefreshToken
	return nil
}

// logIn uses the acknowledged password or, if the server refuses it, passwordInDoubt.
func (a *simulatedUser) logIn(ctx context.Context) error {
	wanted := []int{200}
	if a.passwordInDoubt != "" {
		wanted = []int{200, 401}
	}
	got, err := a.post(ctx, "/login", body{"email": a.email, "password": a.password, "delivery": "body"}, wanted...)
	if err == nil && got.status == 401 {
		got, err = a.post(ctx, "/login", body{"email": a.email, "password": a.passwordInDoubt, "delivery": "body"}, 200)
		if err == nil {
			a.password = a.passwordInDoubt
		}
	}
	if err == nil {
		a.passwordInDoubt, a.token, a.firstToken = "", got.RefreshToken, got.RefreshToken
	}
	return err
}

func (a *simulatedUser) refresh(ctx context.Context) error {
	got, err := a.post(ctx, "/refresh", body{"refreshToken": a.token}, 200)
	if err == nil {
		a.token = got.RefreshToken
	}
	return err
}

// If the response is lost, the end of the session is in doubt, so checkAcknowledgedChanges does not test it.
func (a *simulatedUser) logOut(ctx context.Context) error {
	token := a.token
	a.token = ""
	_, err := a.post(ctx, "/logout", body{"refreshToken": token}, 200)
	if err == nil {
		a.endedToken = token
	}
	return err
}

func (a *simulatedUser) changePassword(ctx context.Context) error {
	if a.passwordInDoubt != "" {
		a.token = "" // the next login shows which password is valid
		return nil
	}
	next := fmt.Sprintf("purple otters no. %d", rand.Uint64())
	a.passwordInDoubt = next
	_, err := a.post(ctx, "/password/change", body{"currentPassword": a.password, "newPassword": next}, 200)
	if err == nil {
		a.password, a.passwordInDoubt = next, ""
	}
	return err
}

// If the newest token has reuseGeneration, the first token counts as reuse and not as a repeat, at any age
// (docs/rotation.md, rule 3).
const reuseGeneration = 35

// refreshThenReplay refreshes the session until its generation is reuseGeneration. Then it presents the first token,
// as a thief does.
func (a *simulatedUser) refreshThenReplay(ctx context.Context) error {
	if !a.firstTokenReplayed && tokenGeneration(a.t, a.token) < reuseGeneration {
		return a.refresh(ctx)
	}
	return a.replayFirstToken(ctx)
}

// replayFirstToken presents the first token of the session, as a thief does. The server must detect this and end the
// session for the user and the thief. After an earlier replay without a response, the session may have ended already,
// so SESSION_ENDED is accepted.
func (a *simulatedUser) replayFirstToken(ctx context.Context) error {
	again := a.firstTokenReplayed
	a.firstTokenReplayed = true
	thief, err := a.post(ctx, "/refresh", body{"refreshToken": a.firstToken}, 401)
	if err != nil {
		return err
	}
	if thief.Code != "REFRESH_REUSED" && (thief.Code != "SESSION_ENDED" || !again) {
		return a.reportBrokenPromise("actor %d: a reused token returns %s", a.name, thief.Code)
	}
	if _, err = a.post(ctx, "/refresh", body{"refreshToken": a.token}, 401); err != nil {
		return err
	}
	a.mu.Lock()
	a.detectedReuses++
	a.mu.Unlock()
	a.isTheftTarget, a.firstTokenReplayed, a.endedToken, a.token = false, false, a.token, ""
	return nil
}

// checkAcknowledgedChanges compares the user's acknowledged changes with the state on the servers, which must work.
// At the end, it signs in again.
func (a *simulatedUser) checkAcknowledgedChanges(ctx context.Context) {
	if a.email == "" {
		a.retryStep(ctx, a.signUp)
	}
	if a.token == "" {
		a.retryStep(ctx, a.logIn)
	}
	for a.isTheftTarget && !a.t.Failed() {
		a.retryStep(ctx, a.refreshThenReplay)
	}
	if a.token != "" {
		a.retryStep(ctx, a.refresh)
	}
	a.retryStep(ctx, a.checkSessionStaysEnded)
	a.retryStep(ctx, a.logIn)
}

// retryStep calls runStep until runStep returns no error or the test has failed.
func (a *simulatedUser) retryStep(ctx context.Context, runStep func(context.Context) error) {
	for runStep(ctx) != nil && !a.t.Failed() {
		time.Sleep(20 * time.Millisecond)
	}
}

func (a *simulatedUser) checkSessionStaysEnded(ctx context.Context) error {
	if a.endedToken == "" {
		return nil
	}
	_, err := a.post(ctx, "/refresh", body{"refreshToken": a.endedToken}, 401)
	if err == nil {
		a.endedToken = ""
	}
	return err
}

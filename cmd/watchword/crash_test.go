package main_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/store/sqlite"
)

// The server is killed again and again in the middle of its work. What it had
// acknowledged holds afterwards, and no client that asks again loses its session.
// SOAK_CRASHES makes it longer.
func TestACrashLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	onEachStore(t, crashAndLook)
}

func crashAndLook(t *testing.T, arguments []string) {
	crashes := 50
	if longer, err := strconv.Atoi(os.Getenv("SOAK_CRASHES")); err == nil {
		crashes = longer
	}
	dir, server := t.TempDir(), newServer(t, freeAddress(t))
	start := func() {
		if err := server.start(dir, []string{"HOME=" + dir}, append(arguments, "--limits=off", "--log-level=error")); err != nil {
			t.Fatal(err)
		}
	}
	actors := make([]*actor, 4)
	for i := range actors {
		actors[i] = &actor{t: t, device: newDevice(t, server.address), name: i}
	}
	for crash := range crashes {
		start()
		for _, a := range actors {
			a.check(t.Context())
		}
		whileKilled(t.Context(), server, actors)
		if arguments == nil {
			checkDatabase(t, filepath.Join(dir, "watchword-data", "watchword.db"), crash)
		}
	}
	start()
	for _, a := range actors {
		a.check(t.Context())
		t.Logf("actor %d: %d answers, %d unanswered", a.name, a.answered, a.unanswered)
		if a.answered < crashes {
			t.Errorf("actor %d did next to nothing", a.name)
		}
	}
}

// whileKilled lets the actors act until the server is killed under them.
func whileKilled(ctx context.Context, s *server, actors []*actor) {
	var acting sync.WaitGroup
	for _, a := range actors {
		acting.Go(func() {
			for a.act(ctx) == nil {
			}
		})
	}
	time.Sleep(time.Duration(20+rand.IntN(200)) * time.Millisecond)
	s.kill()
	acting.Wait()
}

func checkDatabase(t *testing.T, path string, crash int) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("crash %d: %v", crash, err)
	}
	if err := errors.Join(store.Check(t.Context()), store.Close()); err != nil {
		t.Fatalf("crash %d: %v", crash, err)
	}
}

// An actor is a user with one device, who knows what was acknowledged and what
// is in doubt because no answer came.
type actor struct {
	t      *testing.T
	device *device
	name   int

	accounts int
	email    string // of the account in use; empty: none
	password string // acknowledged
	doubted  string // a password that may be in effect; empty: none
	token    string // of the session; empty: signed out
	ended    string // the token of the last session whose logout was acknowledged

	answered, unanswered int
}

// act does one thing. Its error is that no answer came.
func (a *actor) act(ctx context.Context) error {
	switch choice := rand.IntN(20); {
	case a.email == "" || choice == 0:
		return a.signUp(ctx)
	case a.token == "":
		return a.logIn(ctx)
	case choice == 1:
		return a.logOut(ctx)
	case choice == 2:
		return a.changePassword(ctx)
	}
	return a.refresh(ctx)
}

// post wants one of the statuses.
func (a *actor) post(ctx context.Context, path string, b body, wanted ...int) (*answer, error) {
	got, err := a.device.send(ctx, http.MethodPost, path, b)
	if err != nil {
		a.unanswered++
		return nil, err
	}
	if got.status == http.StatusServiceUnavailable { // whether it was done is not known
		a.unanswered++
		return nil, fmt.Errorf("%s: 503", got.of)
	}
	a.answered++
	for _, status := range wanted {
		if got.status == status {
			return got, nil
		}
	}
	err = fmt.Errorf("actor %d: %s: %d %s, want %v", a.name, got.of, got.status, got.Code, wanted)
	a.t.Error(err)
	return nil, err
}

func (a *actor) signUp(ctx context.Context) error {
	a.accounts++
	email := fmt.Sprintf("actor%d.%d@example.com", a.name, a.accounts)
	got, err := a.post(ctx, "/register", body{"email": email, "password": firstSecret, "delivery": "body"}, 201)
	if err != nil {
		return err
	}
	a.email, a.password, a.doubted, a.token, a.ended = email, firstSecret, "", got.RefreshToken, ""
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
		a.doubted, a.token = "", got.RefreshToken
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

// check holds what was acknowledged against a server that has just started.
func (a *actor) check(ctx context.Context) {
	a.t.Helper()
	if a.email == "" {
		return
	}
	if a.token != "" {
		a.refresh(ctx) //nolint:errcheck // reported
	}
	if a.ended != "" {
		a.post(ctx, "/refresh", body{"refreshToken": a.ended}, 401) //nolint:errcheck // reported
		a.ended = ""
	}
	a.logIn(ctx) //nolint:errcheck // reported
}

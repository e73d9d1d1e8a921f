package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// A serverPair is two processes of the built program on one store.
type serverPair struct {
	t          *testing.T
	origin     string
	clients    [2]*http.Client // clients[i] connects to the process i
	servers    []*fleetServer
	storeFlags []string
}

// onServerPairs runs a test on SQLite and on PostgreSQL.
func onServerPairs(t *testing.T, test func(t *testing.T, p *serverPair)) {
	onEachStore(t, func(t *testing.T, where []string) {
		if where == nil {
			where = []string{"--data-dir=" + t.TempDir()}
		}
		p := &serverPair{t: t, storeFlags: where, servers: startFleet(t, 2, where)}
		p.origin = p.servers[0].url()
		for i, s := range p.servers {
			p.clients[i] = httpClientTo(t, s.address)
		}
		test(t, p)
	})
}

type reply struct {
	status int
	body   string
}

func (r reply) has(code string) bool { return strings.Contains(r.body, `"`+code+`"`) }

func (r reply) accountID(t *testing.T) string {
	t.Helper()
	var b struct{ User struct{ ID string } }
	if err := json.Unmarshal([]byte(r.body), &b); err != nil || b.User.ID == "" {
		t.Fatalf("%v: %+v", err, r)
	}
	return b.User.ID
}

// If key is empty, request sends a new idempotency key. A slow machine can cause a 503 TRY_LATER. The request is then
// repeated, which is safe because of the key.
func (p *serverPair) request(process int, token, method, path, body, key string) reply {
	if key == "" {
		key = uuid.NewString()
	}
	for {
		r, err := http.NewRequestWithContext(p.t.Context(), method, p.origin+"/api/admin"+path, strings.NewReader(body))
		if err != nil {
			p.t.Error(err)
			return reply{}
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Idempotency-Key", key)
		response, err := p.clients[process].Do(r)
		if err != nil {
			p.t.Error(err)
			return reply{}
		}
		raw, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			p.t.Error(err)
			return reply{}
		}
		if got := (reply{response.StatusCode, string(raw)}); got.status != 503 || !got.has("TRY_LATER") {
			return got
		}
	}
}

// requestBoth sends both requests at the same time.
func requestBoth(request func(process int) reply) (all [2]reply) {
	var running sync.WaitGroup
	for i := range all {
		running.Go(func() { all[i] = request(i) })
	}
	running.Wait()
	return all
}

// runCommand fails the test if the command fails.
func (p *serverPair) runCommand(input string, args ...string) string {
	p.t.Helper()
	got := run(p.t, call{dir: p.servers[0].dir, input: input, args: append(args, p.storeFlags...)})
	if got.code != 0 {
		p.t.Fatalf("%v: %s", args, got.errors)
	}
	return strings.TrimSpace(got.out)
}

func (p *serverPair) createServiceKey(scopes string) string {
	p.t.Helper()
	return p.runCommand("", "service-keys", "create", "pair", "--scope", scopes)
}

// One response must be 200, and the other a refusal with one of the codes. acceptedIndex is the index in all
// of the response 200.
func wantOneRefused(t *testing.T, all [2]reply, codes ...string) (acceptedIndex int) {
	t.Helper()
	if all[0].status != 200 {
		acceptedIndex = 1
	}
	if all[acceptedIndex].status != 200 || !slices.ContainsFunc(codes, all[1-acceptedIndex].has) {
		t.Fatalf("got %+v", all)
	}
	return acceptedIndex
}

// At least one administrator must remain. Two processes remove the last two administrators at the same time, and
// neither process sees the other removal. The database must therefore refuse one of them.
func TestTwoServersLeaveAnAdministrator(t *testing.T) {
	t.Parallel()
	onServerPairs(t, func(t *testing.T, p *serverPair) {
		var tokens, users [2]string
		for i, email := range []string{"ada@example.com", "grace@example.com"} {
			tokens[i] = createAdminAndSignIn(t, p.servers[0].server, email, p.servers[0].dir, p.storeFlags)
		}
		key := p.createServiceKey("users:read,users:write")
		for i, email := range []string{"ada@example.com", "grace@example.com"} {
			found := p.request(0, key, "GET", "/users?email="+url.QueryEscape(email), "", "")
			var list struct{ Items []struct{ ID string } }
			if err := json.Unmarshal([]byte(found.body), &list); err != nil || len(list.Items) != 1 {
				t.Fatalf("%v: %+v", err, found)
			}
			users[i] = list.Items[0].ID
		}
		// The two administrators demote each other at the same time, through different processes. The server refuses
		// the slower request with LAST_ADMIN, or with another code if its sender has already lost access.
		made := wantOneRefused(t, requestBoth(func(i int) reply {
			return p.request(i, tokens[i], "PATCH", "/users/"+users[1-i], `{"name":"Demoted","roles":[]}`, "")
		}), "LAST_ADMIN", "TOKEN_EXPIRED", "INSUFFICIENT_SCOPE")
		if kept := p.request(0, key, "GET", "/users/"+users[made], "", ""); kept.has("Demoted") {
			t.Errorf("a refused change has left a name: %s", kept.body)
		}
		p.runCommand("", "users", "set-roles", []string{"ada@example.com", "grace@example.com"}[1-made], "admin")
		for range 8 {
			made := wantOneRefused(t, requestBoth(func(i int) reply {
				return p.request(i, key, "PATCH", "/users/"+users[i], `{"disabled":true}`, "")
			}), "LAST_ADMIN")
			if got := p.request(1-made, key, "PATCH", "/users/"+users[made], `{"disabled":false}`,
				""); got.status != 200 {
				t.Fatalf("got %+v", got)
			}
		}
		wantOneRefused(t, requestBoth(func(i int) reply {
			return p.request(i, key, "DELETE", "/users/"+users[i], "",
				"")
		}),
			"LAST_ADMIN")
	})
}

// Two processes get requests with the same idempotency key at the same time. The request runs once.
func TestTwoServersRunOneIdempotencyKeyOnce(t *testing.T) {
	t.Parallel()
	onServerPairs(t, func(t *testing.T, p *serverPair) {
		key := p.createServiceKey("users:read,users:write")
		for round := range 5 {
			once, body := uuid.NewString(), fmt.Sprintf(`{"email":"user%d@example.com","invite":true}`, round)
			all := requestBoth(func(i int) reply { return p.request(i, key, "POST", "/users", body, once) })
			if all[0] != all[1] || all[0].status != 201 {
				t.Fatalf("got %+v", all)
			}
			// Without the key, two requests for a link would cause two mails and two events.
			user, again := "/users/"+all[0].accountID(t), uuid.NewString()
			sent := requestBoth(func(i int) reply { return p.request(i, key, "POST", user+"/invite", "", again) })
			if sent[0] != sent[1] || sent[0].status != 202 {
				t.Fatalf("got %+v", sent)
			}
			one := p.request(0, key, "GET", user, "", "")
			if n := strings.Count(one.body, `"link_requested"`); n != 1 {
				t.Errorf("%d invitations: %s", n, one.body)
			}
			other := requestBoth(func(i int) reply { return p.request(i, key, "DELETE", user, "", once) })
			for _, got := range other {
				if got.status != 422 {
					t.Errorf("got %+v", got)
				}
			}
		}
	})
}

package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/admin/client"
)

const (
	testKey = "wwk_1_a-secret-of-a-test"
	user    = "0197f0c8-0000-7000-8000-000000000001"
)

// A stubServer sends its responses in order, and repeats the last response.
type stubServer struct {
	url      string
	mu       sync.Mutex
	requests []*http.Request // without their bodies, which are in body
	body     []string
}

func serve(t *testing.T, answers ...http.HandlerFunc) *stubServer {
	t.Helper()
	s := &stubServer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests, s.body = append(s.requests, r), append(s.body, string(raw))
		answer := answers[min(len(s.requests), len(answers))-1]
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *stubServer) lines() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		all = append(all, r.Method+" "+r.URL.RequestURI())
	}
	return all
}

func (s *stubServer) client(t *testing.T, change ...func(*client.Options)) *client.Client {
	t.Helper()
	o := client.Options{URL: s.url, Key: testKey, Timeout: 10 * time.Second,
		HTTP: &http.Client{Transport: &http.Transport{}}}
	for _, f := range change {
		f(&o)
	}
	c, err := client.New(o)
	must(t, err)
	t.Cleanup(o.HTTP.CloseIdleConnections)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// Three handlers that send no complete response.
func cutBeforeResponse(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
func cutWithinResponse(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	fmt.Fprint(w, `{"ended"`)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
func neverRespond(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// attemptCounter is a transport, because the server can't count aborted requests that do not arrive.
type attemptCounter struct{ atomic.Int32 }

func (c *attemptCounter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.Add(1)
	return http.DefaultTransport.RoundTrip(r)
}

func TestLostResponseIsRetriedOnceWithTheSameKey(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]http.HandlerFunc{
		"half a response":          cutWithinResponse,
		"no response in time":      neverRespond,
		"503 with Retry-After":     answer(503, `{"code":"TRY_LATER"}`, "Retry-After", "1"),
		"429 with Retry-After":     answer(429, `{"code":"RATE_LIMITED"}`, "Retry-After", "1"),
		"502 of a proxy":           answer(502, "<html>"),
		"a page instead of JSON":   answer(200, "<html>"),
		"a connection that is cut": cutBeforeResponse,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, first, answer(200, `{"ended":2}`))
			c := s.client(t, func(o *client.Options) {
				if name == "no response in time" {
					o.Timeout = 5 * time.Second // long enough for the second attempt
				}
			})
			n, err := c.Sessions.EndAll(t.Context(), user)
			if n != 2 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			line := "DELETE /api/admin/users/" + user + "/sessions"
			if got := s.lines(); !slices.Equal(got, []string{line, line}) {
				t.Errorf("%q", got)
			}
			one, other := s.requests[0].Header, s.requests[1].Header
			if key := one.Get("Idempotency-Key"); len(key) != 36 || key != other.Get("Idempotency-Key") {
				t.Errorf("the keys are %q and %q", key, other.Get("Idempotency-Key"))
			}
			if other.Get("Authorization") != "Bearer "+testKey {
				t.Error("the second attempt has no key")
			}
		})
	}
}

func TestRefusalIsAnErrorWithItsCode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer   http.HandlerFunc
		attempts int
		want     client.Error
	}{
		"two lost connections":    {cutWithinResponse, 2, client.Error{Code: client.CodeNetwork}},
		"no response twice":       {neverRespond, 2, client.Error{Code: client.CodeTimeout}},
		"503 without Retry-After": {answer(503, `{}`), 1, client.Error{Code: client.CodeTryLater, Status: 503}},
		"a long Retry-After": {answer(503, `{"code":"TRY_LATER"}`, "Retry-After", "11"), 1,
			client.Error{Code: client.CodeTryLater, Status: 503, RetryAfter: 11 * time.Second}},
		"a refusal": {answer(409, `{"code":"LAST_ADMIN","detail":"One must stay.","requestId":"r-1"}`), 1,
			client.Error{Code: client.CodeLastAdmin, Status: 409, Detail: "One must stay.", RequestID: "r-1"}},
		"a step-up": {answer(401, `{"code":"STEP_UP_REQUIRED"}`, "WWW-Authenticate",
			`Bearer error="insufficient_user_authentication", acr_values="aal2 phr", max_age="300"`), 1,
			client.Error{Code: client.CodeStepUpRequired, Status: 401, MaxAge: 5 * time.Minute,
				ACRValues: []string{"aal2", "phr"}}},
		"rejected members": {answer(422, `{"code":"VALIDATION_FAILED","errors":[{"field":"email","code":"INVALID"}]}`), 1,
			client.Error{Code: client.CodeValidationFailed, Status: 422,
				Fields: []client.FieldError{{Field: "email", Code: "INVALID"}}}},
		"a page of a proxy": {answer(404, "<html>"), 1, client.Error{Code: client.CodeNotFound, Status: 404}},
		"a redirect": {answer(307, "", "Location", "/x"), 1,
			client.Error{Code: client.CodeInternal, Status: 307}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.answer)
			sent := &attemptCounter{}
			err := s.client(t, func(o *client.Options) {
				o.HTTP = &http.Client{Transport: sent}
				if name == "no response twice" {
					o.Timeout = 50 * time.Millisecond
				}
			}).Users.Delete(t.Context(), user)
			var e *client.Error
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			got := client.Error{Code: e.Code, Status: e.Status, RequestID: e.RequestID, RetryAfter: e.RetryAfter,
				Fields: e.Fields, ACRValues: e.ACRValues, MaxAge: e.MaxAge}
			if c.want.Detail != "" {
				got.Detail = e.Detail
			}
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) || client.CodeOf(err) != c.want.Code {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if n := int(sent.Load()); n != c.attempts {
				t.Errorf("%d attempts", n)
			}
		})
	}
}

func TestListFollowsTheCursor(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(200, `{"items":[{"id":"1"},{"id":"2"}],"next":"a b"}`), answer(200, `{"items":[],"next":"c"}`),
		answer(200, `{"items":[{"id":"3"}]}`))
	var ids []string
	for one, err := range s.client(t).Users.List(t.Context(), client.AdminUsersQuery{Email: "ä&b", Limit: 2}) {
		must(t, err)
		ids = append(ids, one.ID)
	}
	const first = "GET /api/admin/users?email=%C3%A4%26b&limit=2"
	lines := []string{first, strings.Replace(first, "?", "?after=a+b&", 1), strings.Replace(first, "?", "?after=c&", 1)}
	if !slices.Equal(ids, []string{"1", "2", "3"}) || !slices.Equal(s.lines(), lines) {
		t.Errorf("%q %q", ids, s.lines())
	}
	for range serve(t, answer(500, `{"code":"INTERNAL"}`)).client(t).Users.List(t.Context(), client.AdminUsersQuery{}) {
		ids = append(ids, "the error")
	}
	if len(ids) != 4 {
		t.Errorf("%q", ids)
	}
}

func TestWriteSendsTheGivenMembers(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(200, `{"user":{},"metadata":{"version":3,"public":{"n":12345678901234567890},"private":{}}}`))
	c := s.client(t)
	ctx := client.WithIdempotencyKey(t.Context(), "0197f0c8-0000-4000-8000-00000000000a")
	_, err := c.Users.Update(ctx, user, client.AdminChange{Name: new(""), Roles: []string{}, Disabled: new(false)})
	must(t, err)
	version := int64(2)
	found, err := c.Metadata.Patch(t.Context(), user, client.MetadataPatch{
		Public: map[string]any{"plan": "pro", "trial": nil}, Version: &version})
	must(t, err)
	if found.Version != 3 || string(found.Public) != `{"n":12345678901234567890}` {
		t.Errorf("%+v", found)
	}
	want := []string{`{"disabled":false,"name":"","roles":[]}`, `{"metadata":{"public":{"plan":"pro","trial":null}}}`}
	if !slices.Equal(s.body, want) {
		t.Errorf("%q", s.body)
	}
	if got := s.requests[0].Header.Get("Idempotency-Key"); got != "0197f0c8-0000-4000-8000-00000000000a" {
		t.Error(got)
	}
	if got := s.requests[1].Header.Get("If-Match"); got != `"2"` {
		t.Error(got)
	}
}

func TestContextEndsTheCall(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(503, `{"code":"TRY_LATER"}`, "Retry-After", "10"))
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	began := time.Now()
	err := s.client(t).Users.Delete(ctx, user)
	if client.CodeOf(err) != client.CodeTryLater || time.Since(began) > 9*time.Second || len(s.lines()) != 1 {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	canceled, stop := context.WithCancel(t.Context())
	stop()
	if err := s.client(t).Users.Delete(canceled, user); !errors.Is(err, context.Canceled) || len(s.lines()) != 1 {
		t.Error(err)
	}
}

func TestKeyFuncReturnsTheKeyOfEachAttempt(t *testing.T) {
	t.Parallel()
	s := serve(t, cutWithinResponse, answer(200, `{"ended":1}`))
	n := 0
	c := s.client(t, func(o *client.Options) {
		o.Key, o.KeyFunc = "", func(context.Context) (string, error) { n++; return fmt.Sprint("token-", n), nil }
	})
	_, err := c.Sessions.EndAll(t.Context(), user)
	must(t, err)
	if got := s.requests[1].Header.Get("Authorization"); got != "Bearer token-2" {
		t.Error(got)
	}
	failed := errors.New("signed out")
	c = s.client(t, func(o *client.Options) {
		o.KeyFunc = func(context.Context) (string, error) { return "", failed }
	})
	if err := c.Users.ResetMail(t.Context(), user); !errors.Is(err, failed) || len(s.lines()) != 2 {
		t.Error(err)
	}
}

func TestIDCannotChangeThePath(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(200, `{"ended":1}`))
	c := s.client(t)
	for _, id := range []string{"", ".", ".."} {
		if err := c.Sessions.End(t.Context(), user, id); err == nil {
			t.Errorf("%q is accepted", id)
		}
	}
	must(t, c.Sessions.End(t.Context(), "../x?y#{sid}", "a/b"))
	want := []string{"DELETE /api/admin/users/..%2Fx%3Fy%23%7Bsid%7D/sessions/a%2Fb"}
	if got := s.lines(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestNewRefusesAddressesWithoutTLS(t *testing.T) {
	t.Parallel()
	addresses := map[string]bool{
		"https://id.example.com": true, "https://example.com/id/": true,
		"": false, "id.example.com": false, "ftp://id.example.com": false,
		"https://u:secret-of-url@id.example.com": false, "https://id.example.com?a=secret-of-url": false,
		"https://id.example.com:secret-of-url": false,
	}
	text, err := os.ReadFile("../../internal/weborigin/testdata/loopback.json")
	must(t, err)
	must(t, json.Unmarshal(text, &addresses)) // adds the entries of the file to those in addresses
	for address, ok := range addresses {
		_, err := client.New(client.Options{URL: address, Key: testKey})
		if (err == nil) != ok || strings.Contains(fmt.Sprint(err), "secret-of-url") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestNoErrorContainsTheKey(t *testing.T) {
	t.Parallel()
	echo := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		text := "You sent " + r.Header.Get("Authorization")
		_ = json.NewEncoder(w).Encode(map[string]any{"code": "INTERNAL", "detail": text, "requestId": text})
	}
	var mu sync.Mutex
	var seen strings.Builder
	note := func(values ...any) {
		mu.Lock()
		defer mu.Unlock()
		for _, v := range values {
			fmt.Fprintf(&seen, "%v %+v %#v %s\n", v, v, v, v)
			raw, _ := json.Marshal(v)
			seen.Write(raw)
		}
	}
	var all sync.WaitGroup
	refused := answer(401, `{"code":"TOKEN_INVALID"}`)
	for i, a := range []http.HandlerFunc{neverRespond, echo, cutWithinResponse, answer(200, "text"), refused} {
		all.Go(func() {
			c := serve(t, a).client(t, func(o *client.Options) {
				if i == 0 {
					o.Timeout = 50 * time.Millisecond
				}
			})
			_, err := c.Users.Invite(t.Context(), "ada@example.com")
			_, other := c.Users.Page(t.Context(), client.AdminUsersQuery{Email: "ada@example.com"})
			note(c, *c, err, other)
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				note(cause)
			}
		})
	}
	all.Wait()
	for _, broken := range []string{testKey + "\n", testKey + " ", testKey + "ä", ""} {
		_, err := client.New(client.Options{URL: "https://id.example.com", Key: broken})
		c, ok := client.New(client.Options{URL: "http://localhost:1",
			KeyFunc: func(context.Context) (string, error) { return broken, nil }})
		must(t, ok)
		other := c.Users.Delete(t.Context(), user)
		if err == nil || other == nil {
			t.Errorf("the key %q is accepted", broken)
		}
		note(err, other)
	}
	if text := seen.String(); !strings.Contains(text, "You sent Bearer …") || strings.Contains(text, testKey) ||
		strings.Contains(text, "ada@example.com") {
		t.Error(text)
	}
}

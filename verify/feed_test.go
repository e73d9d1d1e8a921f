package verify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/secevent"
	"github.com/watchword-auth/watchword/verify"
)

// A paperFeed is an issuer on paper, in synthetic time, with a revocation feed of
// which the test says every word.
type paperFeed struct {
	*issuer
	key    accesstoken.Key
	opened chan *paperStream

	mu    sync.Mutex
	down  bool                         // nobody answers
	quiet bool                         // there is no stream, only polling
	page  func(after string) *pageSays // of the polling form; nil: 503
	asked []string                     // the after of each poll
}

type pageSays struct {
	sets []string
	more bool
	next int64
}

// A paperStream is one answer to a request for the stream.
type paperStream struct {
	*io.PipeWriter
	f     *paperFeed
	after string // what the request named as Last-Event-ID
}

func newPaperFeed(t testing.TB) *paperFeed {
	t.Helper()
	k := newKey(t, accesstoken.ES256)
	f := &paperFeed{issuer: onPaper(k), key: k, opened: make(chan *paperStream, 10_000)}
	f.answer("/.well-known/openid-configuration", 200, fmt.Sprintf(
		`{"issuer":%q,"jwks_uri":%q,"revocation_feed_endpoint":%q,"revocation_stream_endpoint":%q}`,
		f.url, f.url+"/jwks", f.url+"/revocations", f.url+"/revocations/stream"))
	return f
}

func (f *paperFeed) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := func(status int, kind string, body io.ReadCloser) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: body, Request: r}
	}
	switch {
	case f.down:
		return nil, io.ErrUnexpectedEOF
	case r.URL.Path == "/revocations/stream" && !f.quiet:
		body, w := io.Pipe()
		context.AfterFunc(r.Context(), func() { _ = w.CloseWithError(context.Canceled) })
		f.opened <- &paperStream{w, f, r.Header.Get("Last-Event-ID")}
		return answer(200, "text/event-stream", body), nil
	case r.URL.Path == "/revocations":
		f.asked = append(f.asked, r.URL.Query().Get("after"))
		if f.page == nil {
			return answer(503, "application/problem+json", http.NoBody), nil
		}
		says := f.page(r.URL.Query().Get("after"))
		page := map[string]any{"sets": map[string]string{}, "moreAvailable": says.more, "next": says.next}
		for n, token := range says.sets {
			page["sets"].(map[string]string)[fmt.Sprint(n)] = token
		}
		text, err := json.Marshal(page)
		return answer(200, "application/json", io.NopCloser(strings.NewReader(string(text)))), err
	}
	return f.issuer.RoundTrip(r)
}

// polls replaces what polling answers.
func (f *paperFeed) polls(quiet bool, page func(after string) *pageSays) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.quiet, f.page, f.asked = quiet, page, nil
}

func (f *paperFeed) breaks(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *paperFeed) polled() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

func (f *paperFeed) verifier(t testing.TB, onStale verify.OnStale) *verify.Verifier {
	t.Helper()
	v, err := verify.New(f.url, verify.Options{OnStale: onStale, HTTPClient: &http.Client{Transport: f}})
	must(t, err)
	return v
}

// token is a good access token of a session.
func (f *paperFeed) token(t testing.TB, session string) string {
	t.Helper()
	now := time.Now().Unix()
	return f.sign(t, f.key, func(c *accesstoken.Claims) {
		c.SessionID, c.IssuedAt, c.NotBefore, c.AuthTime, c.Expires = session, now, now, now, now+900
	})
}

// next is the stream that was opened since the last one that was asked for.
func (f *paperFeed) next(t testing.TB) *paperStream {
	t.Helper()
	select {
	case s := <-f.opened:
		return s
	case <-time.After(time.Minute): // synthetic
		t.Fatal("no stream was opened for a minute")
		return nil
	}
}

func (f *paperFeed) event(t testing.TB, change func(*secevent.Event)) string {
	t.Helper()
	e := secevent.Event{
		Issuer: f.url, Audience: f.url, ID: "e", IssuedAt: time.Now().Unix(), At: time.Now().Unix(),
		Kind: secevent.SessionRevoked, By: "user", Why: "logout",
	}
	change(&e)
	token, err := secevent.Sign(f.key, e)
	must(t, err)
	return token
}

func (f *paperFeed) ends(t testing.TB, number int64, session string) string {
	t.Helper()
	return f.event(t, func(e *secevent.Event) { e.Number, e.Session = number, session })
}

func (f *paperFeed) beat(t testing.TB, head int64) string {
	t.Helper()
	return f.event(t, func(e *secevent.Event) { e.Kind, e.Head = secevent.Heartbeat, head })
}

// says sends events, and comes back when the verifier has dealt with them.
func (s *paperStream) says(tokens ...string) {
	for _, token := range tokens {
		_, _ = fmt.Fprintf(s, "event: set\ndata: %s\n\n", token)
	}
	synctest.Wait()
}

func (s *paperStream) cut() {
	_ = s.Close()
	synctest.Wait()
}

// followed runs a test against a verifier that follows a feed on paper.
func followed(t *testing.T, onStale verify.OnStale, test func(*testing.T, *paperFeed, *verify.Verifier)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newPaperFeed(t)
		v := f.verifier(t, onStale)
		defer v.Close()
		if _, err := v.Verify(t.Context(), f.token(t, "first")); err != nil && onStale == verify.StaleOpen {
			t.Fatal(err)
		}
		test(t, f, v)
	})
}

func wantAfter(t testing.TB, s *paperStream, want string) {
	t.Helper()
	if s.after != want {
		t.Errorf("the stream was asked for after %q, want %q", s.after, want)
	}
}

// Where to go on is known with a heartbeat only: an event with a larger number may
// have overtaken others.
func TestEventsMayComeTwiceAndInAnyOrder(t *testing.T) {
	followed(t, verify.StaleOpen, func(t *testing.T, f *paperFeed, v *verify.Verifier) {
		s := f.next(t)
		wantAfter(t, s, "0")
		s.says(f.ends(t, 3, "s3"), f.ends(t, 1, "s1"), f.ends(t, 1, "s1"))
		wantError(t, v, f.token(t, "s1"), verify.ErrRevoked)
		wantError(t, v, f.token(t, "s2"), nil)
		wantError(t, v, f.token(t, "s3"), verify.ErrRevoked)
		s.cut() // 2 was on its way

		s = f.next(t)
		wantAfter(t, s, "0")
		s.says(f.ends(t, 3, "s3"), f.ends(t, 2, "s2"), f.ends(t, 1, "s1"), f.beat(t, 3))
		wantError(t, v, f.token(t, "s2"), verify.ErrRevoked)
		s.cut()

		s = f.next(t)
		wantAfter(t, s, "3")
		s.says(f.ends(t, 5, "s5"), f.beat(t, 4)) // the heartbeat is of before
		s.cut()
		wantAfter(t, f.next(t), "5")
	})
}

func TestAChangeOfRolesOutdatesTokensOfBefore(t *testing.T) {
	followed(t, verify.StaleOpen, func(t *testing.T, f *paperFeed, v *verify.Verifier) {
		old := f.token(t, "s1")
		time.Sleep(time.Second)
		f.next(t).says(f.event(t, func(e *secevent.Event) { e.Number, e.Kind, e.User = 1, secevent.ClaimsChanged, "ada" }))
		wantError(t, v, old, verify.ErrExpired)
		wantError(t, v, f.token(t, "s1"), nil)
	})
}

// A newer server may tell of things that we know nothing about.
func TestAnEventOfAnUnknownKindCountsAndMeansNothing(t *testing.T) {
	followed(t, verify.StaleOpen, func(t *testing.T, f *paperFeed, v *verify.Verifier) {
		now := time.Now().Unix()
		payload := fmt.Sprintf(`{"iss":%q,"aud":%q,"iat":%d,"jti":"n","number":7,"sub_id":{"format":"opaque","id":"s1"},"events":{"https://example.com/new":{}}}`, f.url, f.url, now)
		unknown, err := accesstoken.SignAs(f.key, "secevent+jwt", []byte(payload))
		must(t, err)
		s := f.next(t)
		s.says(unknown, f.ends(t, 8, "s2"), f.beat(t, 8))
		wantError(t, v, f.token(t, "s1"), nil)
		wantError(t, v, f.token(t, "s2"), verify.ErrRevoked)
		s.cut()
		wantAfter(t, f.next(t), "8")
	})
}

// Whoever sits on the line can end the line, and nothing else.
func TestWhatTheIssuerDidNotSignEndsNoSession(t *testing.T) {
	t.Parallel()
	stranger := newKey(t, accesstoken.ES256)
	for name, forge := range map[string]func(testing.TB, *paperFeed) string{
		"by a stranger": func(t testing.TB, f *paperFeed) string {
			token, err := secevent.Sign(stranger, secevent.Event{Issuer: f.url, Audience: f.url, ID: "e", IssuedAt: time.Now().Unix(),
				Kind: secevent.SessionRevoked, Session: "s1", Number: 1})
			must(t, err)
			return token
		},
		"without a signature": func(t testing.TB, f *paperFeed) string {
			_, payload, _ := parts(f.ends(t, 1, "s1"))
			return encoded(`{"alg":"none","typ":"secevent+jwt"}`) + "." + payload + "."
		},
		"changed": func(t testing.TB, f *paperFeed) string {
			header, _, signature := parts(f.ends(t, 1, "s2"))
			_, payload, _ := parts(f.ends(t, 1, "s1"))
			return header + "." + payload + "." + signature
		},
		"of another issuer": func(t testing.TB, f *paperFeed) string {
			return f.event(t, func(e *secevent.Event) { e.Issuer, e.Number, e.Session = "https://evil.example", 1, "s1" })
		},
		"for another audience": func(t testing.TB, f *paperFeed) string {
			return f.event(t, func(e *secevent.Event) { e.Audience, e.Number, e.Session = "https://other.example", 1, "s1" })
		},
		"without a number": func(t testing.TB, f *paperFeed) string {
			return f.event(t, func(e *secevent.Event) { e.Session = "s1" })
		},
		"an access token": func(t testing.TB, f *paperFeed) string { return f.token(t, "s1") },
		"nothing":         func(testing.TB, *paperFeed) string { return "" },
		"without end":     func(testing.TB, *paperFeed) string { return strings.Repeat("a", 1<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			followed(t, verify.StaleOpen, func(t *testing.T, f *paperFeed, v *verify.Verifier) {
				f.next(t).says(forge(t, f))
				wantError(t, v, f.token(t, "s1"), nil)
				s := f.next(t) // and not that stream again
				wantAfter(t, s, "0")
				s.says(f.ends(t, 1, "s9"))
				wantError(t, v, f.token(t, "s9"), verify.ErrRevoked)
				wantError(t, v, f.token(t, "s1"), nil)
			})
		})
	}
}

// Nor does an event pass for an access token.
func TestAnEventIsNoAccessToken(t *testing.T) {
	followed(t, verify.StaleOpen, func(t *testing.T, f *paperFeed, v *verify.Verifier) {
		wantError(t, v, f.ends(t, 1, "s1"), verify.ErrInvalid)
		wantError(t, v, f.beat(t, 1), verify.ErrInvalid)
	})
}

// Who sits on the line may repeat what was true once, instead of what is.
func TestAnOldHeartbeatIsNoSignOfLife(t *testing.T) {
	followed(t, verify.StaleClosed, func(t *testing.T, f *paperFeed, v *verify.Verifier) {
		old := f.beat(t, 0)
		s := f.next(t)
		wantError(t, v, f.token(t, "s1"), verify.ErrUnavailable)
		s.says(old)
		wantError(t, v, f.token(t, "s1"), nil)
		f.polls(false, func(string) *pageSays { return &pageSays{sets: []string{old}} })
		for range 40 { // each stream repeats it
			s.says(old)
			time.Sleep(time.Second)
			select {
			case s = <-f.opened:
			default:
			}
		}
		wantError(t, v, f.token(t, "s1"), verify.ErrUnavailable)
		f.polls(false, func(string) *pageSays { return &pageSays{sets: []string{f.beat(t, 0)}} })
		time.Sleep(15 * time.Second) // the stream stays silent
		wantError(t, v, f.token(t, "s1"), nil)
	})
}

func TestAClockThatIsWrongIsTold(t *testing.T) {
	followed(t, verify.StaleClosed, func(t *testing.T, f *paperFeed, v *verify.Verifier) {
		ahead := func(d time.Duration) string {
			return f.event(t, func(e *secevent.Event) {
				e.Kind, e.IssuedAt = secevent.Heartbeat, time.Now().Add(d).Unix()
			})
		}
		f.next(t).says(ahead(time.Minute))
		wantError(t, v, f.token(t, "s1"), verify.ErrUnavailable)
		f.next(t).says(ahead(-4 * time.Second)) // within what clocks may differ
		wantError(t, v, f.token(t, "s1"), nil)
	})
}

// A stream without a word is given up after three heartbeats that did not come;
// with StaleClosed nothing is accepted from the tenth second on.
func TestSilenceIsNoticed(t *testing.T) {
	followed(t, verify.StaleClosed, func(t *testing.T, f *paperFeed, v *verify.Verifier) {
		f.next(t).says(f.beat(t, 0))
		time.Sleep(10 * time.Second)
		wantError(t, v, f.token(t, "s1"), nil)
		time.Sleep(time.Second)
		wantError(t, v, f.token(t, "s1"), verify.ErrUnavailable)
		if len(f.opened) == 0 {
			t.Error("it still listens to a stream that says nothing")
		}
		(<-f.opened).says(f.beat(t, 0))
		wantError(t, v, f.token(t, "s1"), nil)
	})
}

func TestWithoutAStreamTheFeedIsPolled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newPaperFeed(t)
		var mu sync.Mutex
		var ended int64 // s1 to s<ended>
		f.polls(true, func(after string) *pageSays {
			mu.Lock()
			defer mu.Unlock()
			var last int64
			_, _ = fmt.Sscan(after, &last)
			if last >= ended {
				return &pageSays{sets: []string{f.beat(t, ended)}}
			}
			return &pageSays{sets: []string{f.ends(t, last+1, fmt.Sprint("s", last+1))}, more: true, next: last + 1} // one a page
		})
		v := f.verifier(t, verify.StaleClosed)
		defer v.Close()
		must(t, v.Ready(t.Context()))
		wantError(t, v, f.token(t, "s1"), nil)
		mu.Lock()
		ended = 3
		mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, session := range []string{"s1", "s2", "s3"} {
			wantError(t, v, f.token(t, session), verify.ErrRevoked)
		}
		wantError(t, v, f.token(t, "s4"), nil)
		f.polls(false, nil)
		s := f.next(t) // the stream is tried again before long
		wantAfter(t, s, "3")
	})
}

// The same while it is polled, when more has happened than fits a page.
func TestAPolledFeedThatBeganAgainIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newPaperFeed(t)
		f.polls(true, func(string) *pageSays { return &pageSays{sets: []string{f.ends(t, 5000, "s5000"), f.beat(t, 5000)}} })
		v := f.verifier(t, verify.StaleClosed)
		defer v.Close()
		must(t, v.Ready(t.Context()))
		f.polls(true, func(after string) *pageSays {
			if after == "5000" { // never given: from the beginning
				return &pageSays{sets: []string{f.ends(t, 1, "s1")}, more: true, next: 1}
			}
			return &pageSays{sets: []string{f.ends(t, 2, "s2"), f.beat(t, 2)}}
		})
		time.Sleep(3 * time.Second)
		wantError(t, v, f.token(t, "s1"), verify.ErrRevoked)
		wantError(t, v, f.token(t, "s2"), verify.ErrRevoked)
		wantError(t, v, f.token(t, "s3"), nil)
	})
}

// The store of the issuer was restored from a backup: numbers are given again.
func TestAFeedThatBeganAgainIsReadFromThere(t *testing.T) {
	followed(t, verify.StaleOpen, func(t *testing.T, f *paperFeed, v *verify.Verifier) {
		s := f.next(t)
		s.says(f.ends(t, 100, "s100"), f.beat(t, 100))
		s.cut()
		s = f.next(t)
		wantAfter(t, s, "100")
		s.says(f.beat(t, 40))
		s.cut()
		s = f.next(t)
		wantAfter(t, s, "40")
		s.says(f.ends(t, 41, "s41"), f.beat(t, 41))
		wantError(t, v, f.token(t, "s41"), verify.ErrRevoked)
		wantError(t, v, f.token(t, "s100"), verify.ErrRevoked)
		s.cut()
		wantAfter(t, f.next(t), "41")
	})
}

func TestAnIssuerThatIsDownIsAskedWithPatience(t *testing.T) {
	followed(t, verify.StaleOpen, func(t *testing.T, f *paperFeed, v *verify.Verifier) {
		s := f.next(t)
		f.polls(false, nil)
		s.says(f.ends(t, 1, "s1"), f.beat(t, 1))
		f.breaks(true)
		s.cut()
		time.Sleep(time.Hour)
		if len(f.opened) != 0 {
			t.Error("it was not down")
		}
		wantError(t, v, f.token(t, "s1"), verify.ErrRevoked) // nothing is forgotten
		f.breaks(false)
		recovered := time.Now()
		s = f.next(t)
		if took := time.Since(recovered); took > 5*time.Second {
			t.Errorf("it took %s to see that the issuer is back", took)
		}
		wantAfter(t, s, "1")
		f.polls(true, nil) // 404 and 503 from now on
		s.cut()
		time.Sleep(time.Hour)
		if n := len(f.polled()); n < 600 || n > 3600 {
			t.Errorf("it polled %d times in an hour in which nothing worked", n)
		}
	})
}

// A stream that is cut again and again is not asked for in a tight circle.
func TestAStreamThatIsAlwaysCutIsSoughtWithPatience(t *testing.T) {
	followed(t, verify.StaleOpen, func(t *testing.T, f *paperFeed, _ *verify.Verifier) {
		began, streams := time.Now(), 0
		for time.Since(began) < 10*time.Minute {
			s := f.next(t)
			s.says(f.beat(t, 0))
			s.cut()
			streams++
		}
		if streams > 3*10*60 {
			t.Errorf("%d streams in ten minutes", streams)
		}
	})
}

func TestAFeedAtAnotherPlaceIsNotFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newPaperFeed(t)
		f.answer("/.well-known/openid-configuration", 200, fmt.Sprintf(
			`{"issuer":%q,"jwks_uri":%q,"revocation_stream_endpoint":%q}`, f.url, f.url+"/jwks", "http://"+mustHost(t, f.url)+"/revocations/stream"))
		v := f.verifier(t, verify.StaleOpen)
		defer v.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := v.Ready(ctx); err == nil || len(f.opened) != 0 {
			t.Errorf("ready: %v; %d streams", err, len(f.opened))
		}
	})
}

func mustHost(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return u.Host
}

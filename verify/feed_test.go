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

// A fakeFeed is an issuer with a revocation feed, in synthetic time. The test creates the events.
type fakeFeed struct {
	*fakeIssuer
	key    accesstoken.Key
	opened chan *fakeStream

	mu            sync.Mutex
	isUnreachable bool
	streamDown    bool
	respondToPoll func(after string) *feedPage // if nil, polls get 503
	pollCursors   []string                     // the parameter `after` of each poll
}

type feedPage struct {
	sets []string
	more bool
	next int64
}

// A fakeStream is the response to one request for the stream.
type fakeStream struct {
	*io.PipeWriter
	f           *fakeFeed
	lastEventID string
}

func newFakeFeed(t testing.TB) *fakeFeed {
	t.Helper()
	k := newKey(t, accesstoken.ES256)
	f := &fakeFeed{fakeIssuer: newFakeIssuer(k), key: k, opened: make(chan *fakeStream, 10_000)}
	f.answer("/.well-known/openid-configuration", 200, fmt.Sprintf(
		`{"issuer":%q,"jwks_uri":%q,"revocation_feed_endpoint":%q,"revocation_stream_endpoint":%q}`,
		f.url, f.url+"/jwks", f.url+"/revocations", f.url+"/revocations/stream"))
	return f
}

func (f *fakeFeed) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := func(status int, kind string, body io.ReadCloser) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: body, Request: r}
	}
	switch {
	case f.isUnreachable:
		return nil, io.ErrUnexpectedEOF
	case r.URL.Path == "/revocations/stream" && !f.streamDown:
		body, w := io.Pipe()
		context.AfterFunc(r.Context(), func() { _ = w.CloseWithError(context.Canceled) })
		f.opened <- &fakeStream{w, f, r.Header.Get("Last-Event-ID")}
		return answer(200, "text/event-stream", body), nil
	case r.URL.Path == "/revocations":
		f.pollCursors = append(f.pollCursors, r.URL.Query().Get("after"))
		if f.respondToPoll == nil {
			return answer(503, "application/problem+json", http.NoBody), nil
		}
		next := f.respondToPoll(r.URL.Query().Get("after"))
		page := map[string]any{"sets": map[string]string{}, "moreAvailable": next.more, "next": next.next}
		for n, token := range next.sets {
			page["sets"].(map[string]string)[fmt.Sprint(n)] = token
		}
		text, err := json.Marshal(page)
		return answer(200, "application/json", io.NopCloser(strings.NewReader(string(text)))), err
	}
	return f.fakeIssuer.RoundTrip(r)
}

// setPolling sets the responses to polls. If pollOnly is true, it also disables the stream.
func (f *fakeFeed) setPolling(pollOnly bool, page func(after string) *feedPage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.streamDown, f.respondToPoll, f.pollCursors = pollOnly, page, nil
}

func (f *fakeFeed) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.isUnreachable = down
}

func (f *fakeFeed) polls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.pollCursors...)
}

func (f *fakeFeed) verifier(t testing.TB, failClosed bool) *verify.Verifier {
	t.Helper()
	v, err := verify.New(f.url, verify.Options{FailClosed: failClosed, HTTPClient: &http.Client{Transport: f}})
	must(t, err)
	return v
}

func (f *fakeFeed) accessToken(t testing.TB, session string) string {
	t.Helper()
	now := time.Now().Unix()
	return f.sign(t, f.key, func(c *accesstoken.Claims) {
		c.SessionID, c.IssuedAt, c.NotBefore, c.AuthTime, c.Expires = session, now, now, now, now+900
	})
}

func (f *fakeFeed) awaitNextStream(t testing.TB) *fakeStream {
	t.Helper()
	select {
	case s := <-f.opened:
		return s
	case <-time.After(time.Minute): // synthetic
		t.Fatal("no stream was opened for a minute")
		return nil
	}
}

func (f *fakeFeed) event(t testing.TB, change func(*secevent.Event)) string {
	t.Helper()
	e := secevent.Event{
		Issuer: f.url, Audience: f.url, ID: "e", IssuedAt: time.Now().Unix(), At: time.Now().Unix(),
		Kind: secevent.SessionRevoked, Initiator: "user", Reason: "logout",
	}
	change(&e)
	token, err := secevent.Sign(f.key, e)
	must(t, err)
	return token
}

func (f *fakeFeed) sessionEnd(t testing.TB, number int64, session string) string {
	t.Helper()
	return f.event(t, func(e *secevent.Event) { e.Number, e.Session = number, session })
}

func (f *fakeFeed) heartbeat(t testing.TB, head int64) string {
	t.Helper()
	return f.event(t, func(e *secevent.Event) { e.Kind, e.Head = secevent.Heartbeat, head })
}

func (s *fakeStream) sendAndAwait(tokens ...string) {
	for _, token := range tokens {
		_, _ = fmt.Fprintf(s, "event: set\ndata: %s\n\n", token)
	}
	synctest.Wait()
}

func (s *fakeStream) cut() {
	_ = s.Close()
	synctest.Wait()
}

// runWithFakeFeed runs the test in synthetic time.
func runWithFakeFeed(t *testing.T, failClosed bool, test func(*testing.T, *fakeFeed, *verify.Verifier)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeFeed(t)
		v := f.verifier(t, failClosed)
		defer v.Close()
		if _, err := v.Verify(t.Context(), f.accessToken(t, "first")); err != nil && !failClosed {
			t.Fatal(err)
		}
		test(t, f, v)
	})
}

func wantAfter(t testing.TB, s *fakeStream, want string) {
	t.Helper()
	if s.lastEventID != want {
		t.Errorf("the stream was requested after %q, want %q", s.lastEventID, want)
	}
}

// The verifier must process repeated and reordered events. Only a heartbeat may advance its cursor (Last-Event-ID),
// because smaller numbers may be missing before the heartbeat.
func TestRepeatedAndReorderedEventsAreProcessed(t *testing.T) {
	runWithFakeFeed(t, false, func(t *testing.T, f *fakeFeed, v *verify.Verifier) {
		s := f.awaitNextStream(t)
		wantAfter(t, s, "0")
		s.sendAndAwait(f.sessionEnd(t, 3, "s3"), f.sessionEnd(t, 1, "s1"), f.sessionEnd(t, 1, "s1"))
		wantError(t, v, f.accessToken(t, "s1"), verify.ErrRevoked)
		wantError(t, v, f.accessToken(t, "s2"), nil)
		wantError(t, v, f.accessToken(t, "s3"), verify.ErrRevoked)
		s.cut() // cut before event 2 is sent

		s = f.awaitNextStream(t)
		wantAfter(t, s, "0")
		s.sendAndAwait(f.sessionEnd(t, 3, "s3"), f.sessionEnd(t, 2, "s2"), f.sessionEnd(t, 1, "s1"), f.heartbeat(t, 3))
		wantError(t, v, f.accessToken(t, "s2"), verify.ErrRevoked)
		s.cut()

		s = f.awaitNextStream(t)
		wantAfter(t, s, "3")
		s.sendAndAwait(f.sessionEnd(t, 5, "s5"), f.heartbeat(t, 4)) // heartbeat 4 was created before event 5
		s.cut()
		wantAfter(t, f.awaitNextStream(t), "5")
	})
}

func TestARoleChangeRejectsOlderTokens(t *testing.T) {
	runWithFakeFeed(t, false, func(t *testing.T, f *fakeFeed, v *verify.Verifier) {
		old := f.accessToken(t, "s1")
		time.Sleep(time.Second)
		f.awaitNextStream(t).sendAndAwait(
			f.event(t, func(e *secevent.Event) { e.Number, e.Kind, e.User = 1, secevent.ClaimsChanged, "ada" }))
		wantError(t, v, old, verify.ErrExpired)
		wantError(t, v, f.accessToken(t, "s1"), nil)
	})
}

// The verifier must skip a kind of event that it does not know, because a newer server may send it.
func TestAnEventOfAnUnknownKindIsSkipped(t *testing.T) {
	runWithFakeFeed(t, false, func(t *testing.T, f *fakeFeed, v *verify.Verifier) {
		now := time.Now().Unix()
		payload := fmt.Sprintf(`{"iss":%q,"aud":%q,"iat":%d,"jti":"n","number":7,"sub_id":{"format":"opaque","id":"s1"},"events":{"https://example.com/new":{}}}`, f.url, f.url, now)
		unknown, err := accesstoken.SignAs(f.key, "secevent+jwt", []byte(payload))
		must(t, err)
		s := f.awaitNextStream(t)
		s.sendAndAwait(unknown, f.sessionEnd(t, 8, "s2"), f.heartbeat(t, 8))
		wantError(t, v, f.accessToken(t, "s1"), nil)
		wantError(t, v, f.accessToken(t, "s2"), verify.ErrRevoked)
		s.cut()
		wantAfter(t, f.awaitNextStream(t), "8")
	})
}

// A forged event must not end a session, although an attacker on the network can cut the stream.
func TestEventsWithoutAValidSignatureAreRejected(t *testing.T) {
	t.Parallel()
	stranger := newKey(t, accesstoken.ES256)
	for name, forge := range map[string]func(testing.TB, *fakeFeed) string{
		"signed by another key": func(t testing.TB, f *fakeFeed) string {
			token, err := secevent.Sign(stranger,
				secevent.Event{Issuer: f.url, Audience: f.url, ID: "e", IssuedAt: time.Now().Unix(),
					Kind: secevent.SessionRevoked, Session: "s1", Number: 1})
			must(t, err)
			return token
		},
		"unsigned": func(t testing.TB, f *fakeFeed) string {
			_, payload, _ := parts(f.sessionEnd(t, 1, "s1"))
			return encoded(`{"alg":"none","typ":"secevent+jwt"}`) + "." + payload + "."
		},
		"with a replaced payload": func(t testing.TB, f *fakeFeed) string {
			header, _, signature := parts(f.sessionEnd(t, 1, "s2"))
			_, payload, _ := parts(f.sessionEnd(t, 1, "s1"))
			return header + "." + payload + "." + signature
		},
		"of another issuer": func(t testing.TB, f *fakeFeed) string {
			return f.event(t,
				func(e *secevent.Event) { e.Issuer, e.Number, e.Session = "https://evil.example", 1, "s1" })
		},
		"for another audience": func(t testing.TB, f *fakeFeed) string {
			return f.event(t,
				func(e *secevent.Event) { e.Audience, e.Number, e.Session = "https://other.example", 1, "s1" })
		},
		"without a number": func(t testing.TB, f *fakeFeed) string {
			return f.event(t, func(e *secevent.Event) { e.Session = "s1" })
		},
		"an access token":            func(t testing.TB, f *fakeFeed) string { return f.accessToken(t, "s1") },
		"empty":                      func(testing.TB, *fakeFeed) string { return "" },
		"1 MiB without a line break": func(testing.TB, *fakeFeed) string { return strings.Repeat("a", 1<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			runWithFakeFeed(t, false, func(t *testing.T, f *fakeFeed, v *verify.Verifier) {
				f.awaitNextStream(t).sendAndAwait(forge(t, f))
				wantError(t, v, f.accessToken(t, "s1"), nil)
				s := f.awaitNextStream(t) // the verifier closed the first stream because of the forged event
				wantAfter(t, s, "0")
				s.sendAndAwait(f.sessionEnd(t, 1, "s9"))
				wantError(t, v, f.accessToken(t, "s9"), verify.ErrRevoked)
				wantError(t, v, f.accessToken(t, "s1"), nil)
			})
		})
	}
}

func TestAnEventIsRejectedAsAnAccessToken(t *testing.T) {
	runWithFakeFeed(t, false, func(t *testing.T, f *fakeFeed, v *verify.Verifier) {
		wantError(t, v, f.sessionEnd(t, 1, "s1"), verify.ErrInvalid)
		wantError(t, v, f.heartbeat(t, 1), verify.ErrInvalid)
	})
}

// A stream must stay open while new events arrive, even without a heartbeat for longer than the timeout. This happens
// after many sessions end at once.
func TestAStreamOfNewEventsWithoutAHeartbeatStaysOpen(t *testing.T) {
	runWithFakeFeed(t, true, func(t *testing.T, f *fakeFeed, v *verify.Verifier) {
		s := f.awaitNextStream(t)
		for n := range int64(30) {
			s.sendAndAwait(f.sessionEnd(t, n+1, fmt.Sprint("s", n+1)))
			time.Sleep(time.Second)
		}
		s.sendAndAwait(f.heartbeat(t, 30))
		if len(f.opened) != 0 {
			t.Error("the verifier closed a stream that sent new events")
		}
		wantError(t, v, f.accessToken(t, "s30"), verify.ErrRevoked)
		wantError(t, v, f.accessToken(t, "s31"), nil)
	})
}

// If a stream sends only repeated events and no heartbeat, the verifier must close it and poll.
func TestAStreamWithoutAHeartbeatIsReplacedByPolling(t *testing.T) {
	runWithFakeFeed(t, true, func(t *testing.T, f *fakeFeed, v *verify.Verifier) {
		f.setPolling(false, func(after string) *feedPage {
			if after == "0" {
				return &feedPage{sets: []string{f.sessionEnd(t, 1, "s1")}, more: true, next: 1}
			}
			return &feedPage{sets: []string{f.sessionEnd(t, 2, "s2"), f.heartbeat(t, 2)}}
		})
		s := f.awaitNextStream(t)
		for range 9 {
			s.sendAndAwait(f.sessionEnd(t, 1, "s1"))
			time.Sleep(time.Second)
		}
		wantError(t, v, f.accessToken(t, "s2"), verify.ErrRevoked)
		wantError(t, v, f.accessToken(t, "s3"), nil)
		wantAfter(t, f.awaitNextStream(t), "2")
	})
}

// The verifier must ignore old heartbeats, because an attacker on the network may replay them to hide a revocation.
func TestAReplayedHeartbeatDoesNotCount(t *testing.T) {
	runWithFakeFeed(t, true, func(t *testing.T, f *fakeFeed, v *verify.Verifier) {
		old := f.heartbeat(t, 0)
		s := f.awaitNextStream(t)
		wantError(t, v, f.accessToken(t, "s1"), verify.ErrUnavailable)
		s.sendAndAwait(old)
		wantError(t, v, f.accessToken(t, "s1"), nil)
		f.setPolling(false, func(string) *feedPage { return &feedPage{sets: []string{old}} })
		for range 40 { // every stream replays the heartbeat
			s.sendAndAwait(old)
			time.Sleep(time.Second)
			select {
			case s = <-f.opened:
			default:
			}
		}
		wantError(t, v, f.accessToken(t, "s1"), verify.ErrUnavailable)
		f.setPolling(false, func(string) *feedPage { return &feedPage{sets: []string{f.heartbeat(t, 0)}} })
		time.Sleep(15 * time.Second) // during this time, the stream sends nothing
		wantError(t, v, f.accessToken(t, "s1"), nil)
	})
}

func TestAHeartbeatFromTheFutureIsRejected(t *testing.T) {
	runWithFakeFeed(t, true, func(t *testing.T, f *fakeFeed, v *verify.Verifier) {
		ahead := func(d time.Duration) string {
			return f.event(t, func(e *secevent.Event) {
				e.Kind, e.IssuedAt = secevent.Heartbeat, time.Now().Add(d).Unix()
			})
		}
		f.awaitNextStream(t).sendAndAwait(ahead(time.Minute))
		wantError(t, v, f.accessToken(t, "s1"), verify.ErrUnavailable)
		f.awaitNextStream(t).sendAndAwait(ahead(-4 * time.Second)) // within the tolerance
		wantError(t, v, f.accessToken(t, "s1"), nil)
	})
}

// The verifier must replace a stream after three missing heartbeats. With FailClosed, it must reject tokens after ten
// seconds of silence.
func TestASilentStreamIsReplacedAndTokensAreRejected(t *testing.T) {
	runWithFakeFeed(t, true, func(t *testing.T, f *fakeFeed, v *verify.Verifier) {
		f.awaitNextStream(t).sendAndAwait(f.heartbeat(t, 0))
		time.Sleep(10 * time.Second)
		wantError(t, v, f.accessToken(t, "s1"), nil)
		time.Sleep(time.Second)
		wantError(t, v, f.accessToken(t, "s1"), verify.ErrUnavailable)
		if len(f.opened) == 0 {
			t.Error("the verifier still reads the silent stream")
		}
		(<-f.opened).sendAndAwait(f.heartbeat(t, 0))
		wantError(t, v, f.accessToken(t, "s1"), nil)
	})
}

func TestTheFeedIsPolledWhenTheStreamIsUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeFeed(t)
		var mu sync.Mutex
		var endedCount int64
		f.setPolling(true, func(after string) *feedPage {
			mu.Lock()
			defer mu.Unlock()
			var last int64
			_, _ = fmt.Sscan(after, &last)
			if last >= endedCount {
				return &feedPage{sets: []string{f.heartbeat(t, endedCount)}}
			}
			return &feedPage{sets: []string{f.sessionEnd(t, last+1, fmt.Sprint("s", last+1))}, more: true,
				next: last + 1} // each page has one event
		})
		v := f.verifier(t, true)
		defer v.Close()
		must(t, v.Ready(t.Context()))
		wantError(t, v, f.accessToken(t, "s1"), nil)
		mu.Lock()
		endedCount = 3
		mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, session := range []string{"s1", "s2", "s3"} {
			wantError(t, v, f.accessToken(t, session), verify.ErrRevoked)
		}
		wantError(t, v, f.accessToken(t, "s4"), nil)
		f.setPolling(false, nil)
		s := f.awaitNextStream(t) // the verifier must try the stream again
		wantAfter(t, s, "3")
	})
}

func TestPollingReadsARestartedFeedToItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeFeed(t)
		f.setPolling(true, func(string) *feedPage {
			return &feedPage{sets: []string{f.sessionEnd(t, 5000, "s5000"), f.heartbeat(t, 5000)}}
		})
		v := f.verifier(t, true)
		defer v.Close()
		must(t, v.Ready(t.Context()))
		f.setPolling(true, func(after string) *feedPage {
			if after == "5000" { // unknown after the restore, so the feed starts again
				return &feedPage{sets: []string{f.sessionEnd(t, 1, "s1")}, more: true, next: 1}
			}
			return &feedPage{sets: []string{f.sessionEnd(t, 2, "s2"), f.heartbeat(t, 2)}}
		})
		time.Sleep(3 * time.Second)
		wantError(t, v, f.accessToken(t, "s1"), verify.ErrRevoked)
		wantError(t, v, f.accessToken(t, "s2"), verify.ErrRevoked)
		wantError(t, v, f.accessToken(t, "s3"), nil)
	})
}

// After the issuer's store was restored from a backup, it assigns the same numbers again. The verifier must then
// continue after the smaller number.
func TestARestartedFeedIsReadFromItsNewHead(t *testing.T) {
	runWithFakeFeed(t, false, func(t *testing.T, f *fakeFeed, v *verify.Verifier) {
		s := f.awaitNextStream(t)
		s.sendAndAwait(f.sessionEnd(t, 100, "s100"), f.heartbeat(t, 100))
		s.cut()
		s = f.awaitNextStream(t)
		wantAfter(t, s, "100")
		s.sendAndAwait(f.heartbeat(t, 40))
		s.cut()
		s = f.awaitNextStream(t)
		wantAfter(t, s, "40")
		s.sendAndAwait(f.sessionEnd(t, 41, "s41"), f.heartbeat(t, 41))
		wantError(t, v, f.accessToken(t, "s41"), verify.ErrRevoked)
		wantError(t, v, f.accessToken(t, "s100"), verify.ErrRevoked)
		s.cut()
		wantAfter(t, f.awaitNextStream(t), "41")
	})
}

func TestRequestsToAnIssuerThatIsDownAreSpacedOut(t *testing.T) {
	runWithFakeFeed(t, false, func(t *testing.T, f *fakeFeed, v *verify.Verifier) {
		s := f.awaitNextStream(t)
		f.setPolling(false, nil)
		s.sendAndAwait(f.sessionEnd(t, 1, "s1"), f.heartbeat(t, 1))
		f.setDown(true)
		s.cut()
		time.Sleep(time.Hour)
		if len(f.opened) != 0 {
			t.Error("a stream was opened while the issuer is down")
		}
		wantError(t, v, f.accessToken(t, "s1"), verify.ErrRevoked) // revocations remain known
		f.setDown(false)
		recovered := time.Now()
		s = f.awaitNextStream(t)
		if took := time.Since(recovered); took > 5*time.Second {
			t.Errorf("the verifier reconnected after %s", took)
		}
		wantAfter(t, s, "1")
		f.setPolling(true, nil) // the stream returns 404 and polls return 503
		s.cut()
		time.Sleep(time.Hour)
		if n := len(f.polls()); n < 600 || n > 3600 {
			t.Errorf("%d polls in an hour of failures", n)
		}
	})
}

func TestReconnectionsToAStreamThatIsAlwaysCutAreSpacedOut(t *testing.T) {
	runWithFakeFeed(t, false, func(t *testing.T, f *fakeFeed, _ *verify.Verifier) {
		began, streams := time.Now(), 0
		for time.Since(began) < 10*time.Minute {
			s := f.awaitNextStream(t)
			s.sendAndAwait(f.heartbeat(t, 0))
			s.cut()
			streams++
		}
		if streams > 3*10*60 {
			t.Errorf("%d streams in ten minutes", streams)
		}
	})
}

func TestAFeedWithoutTLSIsNotFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeFeed(t)
		f.answer("/.well-known/openid-configuration", 200, fmt.Sprintf(
			`{"issuer":%q,"jwks_uri":%q,"revocation_stream_endpoint":%q}`, f.url, f.url+"/jwks", "http://"+mustHost(t, f.url)+"/revocations/stream"))
		v := f.verifier(t, false)
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

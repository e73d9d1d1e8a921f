package verify_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/secevent"
	"github.com/watchword-auth/watchword/verify"
)

const feedSecret = "a secret that resource servers share"

// A named issuer is a server whose setting issuer is a name, not its URL.
func namedIssuerOptions(from string) verify.Options {
	return verify.Options{
		SigningSecret: []byte(feedSecret), FetchFrom: from, Audience: from, FailClosed: true}
}

// JWT-20
func TestNamedIssuerWithTheRealServer(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"your-app", "https://old.example.com"} {
		s := startServer(t, func(o *watchword.Options) {
			o.SigningAlg, o.SigningSecret, o.Issuer, o.Now = "HS256", feedSecret, name, nil
		})
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { s.engine.Run(ctx) })
		t.Cleanup(func() { cancel(); running.Wait() })
		in := s.signUpAndSignIn(t, "ada@example.com")

		v := newVerifier(t, name, namedIssuerOptions(s.url))
		within, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		must(t, v.Ready(within)) // waits for the feed, because of FailClosed
		identity, err := v.Verify(within, string(in.AccessToken))
		must(t, err)
		if identity.Subject() != string(in.User.ID) {
			t.Errorf("%s: subject %s, want %s", name, identity.Subject(), in.User.ID)
		}
		must(t, s.engine.Logout(t.Context(), in.RefreshToken, "", watchword.Client{}))
		for err == nil && within.Err() == nil {
			time.Sleep(10 * time.Millisecond)
			_, err = v.Verify(within, string(in.AccessToken))
		}
		if !errors.Is(err, verify.ErrRevoked) {
			t.Errorf("%s, after the logout: %v", name, err)
		}
		other := newVerifier(t, "my-app", namedIssuerOptions(s.url))
		must(t, other.Ready(within))
		if _, err := other.Verify(within, string(in.AccessToken)); !errors.Is(err, verify.ErrInvalid) {
			t.Errorf("a verifier of another name: %v", err)
		}
	}
}

// JWT-20
func TestNamedIssuerNeedsSecretAudienceAndAddress(t *testing.T) {
	t.Parallel()
	const from = "http://watchword:8080"
	for name, c := range map[string]struct {
		issuer string
		change func(*verify.Options)
		valid  bool
	}{
		"all three":         {"your-app", func(*verify.Options) {}, true},
		"a name with space": {"Your App", func(*verify.Options) {}, true},
		"no secret":         {"your-app", func(o *verify.Options) { o.SigningSecret = nil }, false},
		"no address":        {"your-app", func(o *verify.Options) { o.FetchFrom = "" }, false},
		"no audience":       {"your-app", func(o *verify.Options) { o.Audience = "" }, false},
		"nothing":           {"your-app", func(o *verify.Options) { *o = verify.Options{} }, false},
		"a short secret":    {"your-app", func(o *verify.Options) { o.SigningSecret = []byte("short") }, false},
		"a name with quote": {`your"app`, func(*verify.Options) {}, false},
		"an empty name":     {"", func(*verify.Options) {}, false},
	} {
		options := namedIssuerOptions(from)
		c.change(&options)
		v, err := verify.New(c.issuer, options)
		if (err == nil) != c.valid {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			v.Close()
		}
	}
	_, err := verify.New("your-app", verify.Options{})
	if err == nil || !strings.Contains(err.Error(), "Options.SigningSecret, FetchFrom and Audience") {
		t.Errorf("the error names no options: %v", err)
	}
}

// Without SigningSecret, the verifier must reject metadata whose issuer is not the configured one.
func TestURLWithoutTheSecretMustBeTheIssuerOfTheMetadata(t *testing.T) {
	t.Parallel()
	other := newIssuer(t, newKey(t, accesstoken.ES256))
	v := newVerifier(t, "https://id.example.com", verify.Options{FetchFrom: other.url, Audience: "api"})
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	if err := v.Ready(ctx); !errors.Is(err, verify.ErrUnavailable) {
		t.Fatal(err)
	}
}

// JWT-20
func TestEventsOfANamedIssuerCarryTheIssuerOfTheMetadata(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeFeed(t)
		shared, err := accesstoken.NewHS256([]byte(feedSecret))
		must(t, err)
		f.key = shared
		options := namedIssuerOptions("http://watchword:8080")
		options.Audience, options.FailClosed, options.HTTPClient = f.url, false, &http.Client{Transport: f}
		v, err := verify.New("your-app", options)
		must(t, err)
		defer v.Close()
		token := func(session string) string {
			now := time.Now().Unix()
			return f.sign(t, shared, func(c *accesstoken.Claims) {
				c.Issuer, c.SessionID, c.IssuedAt, c.NotBefore, c.AuthTime, c.Expires = "your-app", session, now, now,
					now, now+900
			})
		}
		wantError(t, v, token("s1"), nil)
		f.awaitNextStream(t).sendAndAwait(f.sessionEnd(t, 1, "s1"), f.heartbeat(t, 1),
			f.event(t, func(e *secevent.Event) { e.Number, e.Session, e.Issuer = 2, "s2", "your-app" }))
		wantError(t, v, token("s1"), verify.ErrRevoked)
		wantError(t, v, token("s2"), nil)
		wantAfter(t, f.awaitNextStream(t), "1") // a new stream, because the rejected event ended the first one
	})
}

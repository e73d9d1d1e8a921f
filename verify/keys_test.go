package verify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/verify"
)

func wantError(t testing.TB, v *verify.Verifier, token string, want error) {
	t.Helper()
	identity, err := v.Verify(context.Background(), token)
	if !errors.Is(err, want) || want == nil && err != nil || (identity == nil) != (err != nil) {
		t.Errorf("got %v, %v; want %v", identity, err, want)
	}
}

// KEY-3
func TestAFloodOfUnknownKeysReadsTheJWKSOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKey(t, accesstoken.ES256)
		i := newFakeIssuer(k)
		v := i.verifierWithoutNetwork(t, verify.Options{})
		defer v.Close()
		wantError(t, v, i.sign(t, k, nil), nil)
		var unknown []string
		for range 5 {
			unknown = append(unknown, i.sign(t, newKey(t, accesstoken.ES256), nil))
		}
		for round := range 3 {
			time.Sleep(11 * time.Second)
			var flood sync.WaitGroup
			for n := range 200 {
				flood.Go(func() { wantError(t, v, unknown[n%len(unknown)], verify.ErrInvalid) })
			}
			flood.Wait()
			if n := i.count("/jwks"); n != 2+round {
				t.Errorf("round %d: the JWKS was read %d times", round, n)
			}
		}
		if n := i.count("/.well-known/openid-configuration"); n != 1 {
			t.Errorf("the metadata was read %d times", n)
		}
	})
}

// KEY-2, KEY-3
func TestTheFirstTokenOfANewKeyRereadsTheJWKS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, next := newKey(t, accesstoken.ES256), newKey(t, accesstoken.Ed25519)
		i := newFakeIssuer(k)
		v := i.verifierWithoutNetwork(t, verify.Options{})
		defer v.Close()
		wantError(t, v, i.sign(t, k, nil), nil)
		i.publish(k, next)
		wantError(t, v, i.sign(t, next, nil), verify.ErrInvalid) // the JWKS was read less than 10 s ago
		time.Sleep(10 * time.Second)
		wantError(t, v, i.sign(t, next, nil), nil)
		wantError(t, v, i.sign(t, k, nil), nil)
	})
}

func TestKeysAreReadBeforeTheyAreStaleAndRetiredKeysAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old, k := newKey(t, accesstoken.ES256), newKey(t, accesstoken.ES256)
		i := newFakeIssuer(old, k)
		i.cacheFor = `public, max-age=200`
		v := i.verifierWithoutNetwork(t, verify.Options{})
		defer v.Close()
		token := i.sign(t, old, nil)
		wantError(t, v, token, nil)
		i.publish(k)
		time.Sleep(149 * time.Second)
		wantError(t, v, token, nil)
		time.Sleep(2 * time.Second) // the keys are fresh for 200 s, so the next read is due after 150 s
		synctest.Wait()
		if n := i.count("/jwks"); n != 2 {
			t.Fatalf("the JWKS was read %d times", n)
		}
		wantError(t, v, token, verify.ErrInvalid)
		wantError(t, v, i.sign(t, k, nil), nil)
		i.publish(k)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := i.count("/jwks"); n != 2+24 {
			t.Errorf("the JWKS was read %d times in an hour with a max-age of 200 s", n-2)
		}
	})
}

func TestKeysStayInUseForADayWhileTheIssuerIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKey(t, accesstoken.ES256)
		i := newFakeIssuer(k)
		v := i.verifierWithoutNetwork(t, verify.Options{})
		defer v.Close()
		token := i.sign(t, k, nil)
		wantError(t, v, token, nil)
		for name, broken := range map[string]string{"/jwks": `{"keys":[]}`, "/.well-known/openid-configuration": "<html>"} {
			i.answer(name, 200, broken)
		}
		time.Sleep(23 * time.Hour)
		wantError(t, v, token, nil)
		wantError(t, v, i.sign(t, k, func(c *accesstoken.Claims) { c.ID = "t2" }), nil)
		// The key may exist, because the JWKS can't be read.
		wantError(t, v, i.sign(t, newKey(t, accesstoken.ES256), nil), verify.ErrUnavailable)
		time.Sleep(2 * time.Hour)
		wantError(t, v, token, verify.ErrUnavailable)
		if n := i.count("/jwks") + i.count("/.well-known/openid-configuration"); n > 25*60*60/2 {
			t.Errorf("the issuer received %d requests", n)
		}
		i.restoreDefaultResponses()
		time.Sleep(30 * time.Second)
		wantError(t, v, token, nil)
	})
}

func TestWaitingForTheKeysEndsWithTheContextAndWithClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newFakeIssuer()
		v, err := verify.New(i.url, verify.Options{HTTPClient: &http.Client{Transport: neverRespondingTransport{}}})
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := v.Verify(ctx, "x"); !errors.Is(err, verify.ErrUnavailable) ||
			!errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		var waiting sync.WaitGroup
		waiting.Go(func() { wantError(t, v, "x", verify.ErrUnavailable) })
		synctest.Wait()
		v.Close()
		waiting.Wait()
	})
}

type neverRespondingTransport struct{}

func (neverRespondingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// KEY-8
func TestTwoIssuersShareNoKeys(t *testing.T) {
	t.Parallel()
	k, other := newKey(t, accesstoken.ES256), newKey(t, accesstoken.ES256)
	one, two := newIssuer(t, k), newIssuer(t, other)
	v, w := one.verifier(t), two.verifier(t)
	wantError(t, v, one.sign(t, k, nil), nil)
	wantError(t, w, two.sign(t, other, nil), nil)
	// A token with the right issuer must be rejected if the key of the other issuer signed it.
	wantError(t, v, one.sign(t, other, nil), verify.ErrInvalid)
	wantError(t, w, two.sign(t, k, nil), verify.ErrInvalid)
	// A token of the other issuer must be rejected, whichever key signed it.
	wantError(t, w, one.sign(t, k, nil), verify.ErrInvalid)
	wantError(t, w, one.sign(t, other, nil), verify.ErrInvalid)
}

// KEY-8
func TestMetadataThatPointsElsewhereIsNotFollowed(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	const openid, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	attacker := newIssuer(t, k)
	for name, c := range map[string]struct {
		status int
		body   string // %s is replaced by the issuer
	}{
		"another issuer":       {200, `{"issuer":"` + attacker.url + `","jwks_uri":"%[1]s/jwks"}`},
		"no issuer":            {200, `{"jwks_uri":"%[1]s/jwks"}`},
		"a trailing slash":     {200, `{"issuer":"%[1]s/","jwks_uri":"%[1]s/jwks"}`},
		"keys without TLS":     {200, `{"issuer":"%[1]s","jwks_uri":"http://id.example.com/jwks"}`},
		"keys in a file":       {200, `{"issuer":"%[1]s","jwks_uri":"file:///etc/passwd"}`},
		"keys with a password": {200, `{"issuer":"%[1]s","jwks_uri":"https://a:b@id.example.com/jwks"}`},
		"a feed without TLS":   {200, `{"issuer":"%[1]s","jwks_uri":"%[1]s/jwks","revocation_feed_endpoint":"http://id.example.com/"}`},
		"no keys":              {200, `{"issuer":"%[1]s"}`},
		"not JSON":             {200, `issuer`},
		"too long":             {200, `{"issuer":"%[1]s","jwks_uri":"%[1]s/jwks","x":"` + strings.Repeat("x", 64<<10) + `"}`},
		"status 500":           {500, `{"issuer":"%[1]s","jwks_uri":"%[1]s/jwks"}`},
	} {
		i := newIssuer(t, k)
		i.answer(openid, c.status, strings.ReplaceAll(c.body, "%[1]s", i.url))
		v := i.verifier(t)
		if err := v.Ready(t.Context()); !errors.Is(err, verify.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		wantError(t, v, i.sign(t, k, nil), verify.ErrUnavailable)
	}
	redirects := newIssuer(t, k)
	redirects.mu.Lock()
	redirects.customResponses["/jwks"] = func(w http.ResponseWriter) {
		w.Header().Set("Location", attacker.url+"/jwks")
		w.WriteHeader(http.StatusFound)
	}
	redirects.mu.Unlock()
	if err := redirects.verifier(t).Ready(t.Context()); !errors.Is(err, verify.ErrUnavailable) ||
		attacker.count("/jwks") > 0 {
		t.Errorf("a redirect was followed: %v", err)
	}
	only := newIssuer(t, k)
	only.answer(openid, 404, "")
	only.answer(oauth, 200, fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, only.url, only.url+"/jwks"))
	wantError(t, only.verifier(t), only.sign(t, k, nil), nil)
}

// KEY-1, KEY-8
func TestAmbiguousKeysInAJWKSAreNotUsed(t *testing.T) {
	t.Parallel()
	k, other := newKey(t, accesstoken.ES256), newKey(t, accesstoken.ES256)
	whole := string(accesstoken.JWKS([]accesstoken.Key{k}))
	for name, document := range map[string]string{
		"no alg":          strings.Replace(whole, `"alg":"ES256",`, ``, 1),
		"another alg":     strings.Replace(whole, `"alg":"ES256"`, `"alg":"EdDSA"`, 1),
		"for encryption":  strings.Replace(whole, `"use":"sig"`, `"use":"enc"`, 1),
		"no kid":          strings.Replace(whole, `"kid":"`+k.ID()+`",`, ``, 1),
		"a duplicate kid": strings.Replace(whole, `]}`, `,`+strings.TrimSuffix(strings.TrimPrefix(string(accesstoken.JWKS([]accesstoken.Key{other})), `{"keys":[`), `]}`)+`]}`, 1),
		"private":         strings.Replace(whole, `"kty"`, `"d":"AAAA","kty"`, 1),
		"a secret":        `{"keys":[{"kty":"oct","kid":"` + k.ID() + `","alg":"HS256","k":"` + encoded(strings.Repeat("x", 32)) + `"}]}`,
		"not on a curve":  strings.Replace(whole, `"x":"`, `"x":"AA`, 1),
		"none":            `{"keys":[]}`,
		"no list":         `{"keys":{}}`,
		"null":            `null`,
		"too many":        `{"keys":[` + strings.Repeat(`{},`, 64) + strings.TrimPrefix(whole, `{"keys":[`),
		"too long":        whole + strings.Repeat(" ", 256<<10),
		"trailing data":   whole + whole,
	} {
		if name == "a duplicate kid" {
			document = strings.ReplaceAll(document, other.ID(), k.ID())
		}
		if document == whole {
			t.Fatalf("%s: the document was not changed", name)
		}
		i := newIssuer(t, k)
		i.answer("/jwks", 200, document)
		wantError(t, i.verifier(t), i.sign(t, k, nil), verify.ErrUnavailable)
	}
	// Unusable keys must not affect the usable keys.
	i := newIssuer(t, k)
	i.answer("/jwks", 200, strings.Replace(whole, `[`, `[{"kty":"new","kid":"x","alg":"NEW"},{},1,{"kty":"oct","k":"AA"},`, 1))
	wantError(t, i.verifier(t), i.sign(t, k, nil), nil)
}

func TestWithASharedSecretOnlyHS256IsAcceptedWithoutNetwork(t *testing.T) {
	t.Parallel()
	secret := []byte("a secret that resource servers share")
	shared, err := accesstoken.NewHS256(secret)
	must(t, err)
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	v := newVerifier(t, i.url, verify.Options{SigningSecret: secret, Now: i.clock.Now})
	wantError(t, v, i.sign(t, shared, nil), nil)
	wantError(t, v, i.sign(t, k, nil), verify.ErrInvalid)
	if n := i.count("/jwks"); n != 0 {
		t.Errorf("the JWKS was read %d times", n)
	}
	wantError(t, i.verifier(t), i.sign(t, shared, nil), verify.ErrInvalid)
}

// KEY-2
func TestKeyRotationRejectsNoValidToken(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	in := s.signUpAndSignIn(t, "ada@example.com")
	v := s.newVerifier(t, nil)
	tokens := []string{string(in.AccessToken)}
	kids := map[string]bool{}
	for range 3 {
		s.clock.advance(11 * time.Minute) // the next key was published long enough ago to be used
		must(t, v.Ready(t.Context()))
		must(t, v.ReadKeys(
			t.Context())) // the background task would have done this in 11 minutes
		_, err := s.engine.Operator().RotateKeys(t.Context(), watchword.KeySign) // from now on, the published key signs
		must(t, err)
		in, err = s.engine.Refresh(t.Context(), in.RefreshToken, watchword.Client{})
		must(t, err)
		tokens = append(tokens, string(in.AccessToken))
		head, _, _ := parts(string(in.AccessToken))
		kids[head] = true
		for n, token := range tokens[max(0, len(tokens)-2):] {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("token %d: %v", n, err)
			}
		}
	}
	if len(kids) != 3 {
		t.Errorf("%d keys signed tokens", len(kids))
	}
}

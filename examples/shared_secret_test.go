package examples_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

// These tests run a tutorial's service that uses jsonwebtoken and a secret that it shares with the issuer. Then they
// move the service to public keys.

const sharedSecret = "a-secret-that-services-share-and-nobody-else"

// startFunc is startExample or runWithSlowClock.
type startFunc func(t *testing.T, dir string, env []string, program string, args ...string) process

// A scriptStarter starts one of the example's two scripts.
type scriptStarter func(startWith startFunc, env, script string) process

// JWT-18
func TestExpressVerifiesWithJSONWebToken(t *testing.T) {
	t.Parallel()
	dir := copyExample(t, "express-jsonwebtoken")
	program, _ := nodeWithPackages(t, dir)
	for name, test := range map[string]func(t *testing.T, start scriptStarter){
		"with a shared secret":            withSharedSecret,
		"with public keys after the move": withPublicKeys,
		"and responds 503 without a key":  withoutKeys,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, func(startWith startFunc, env, script string) process {
				return startWith(t, dir, append([]string{"PORT=0"}, strings.Fields(env)...), program, script)
			})
		})
	}
}

func withSharedSecret(t *testing.T, start scriptStarter) {
	i := newIssuer(t, func(o *watchword.Options) {
		o.SigningAlg, o.SigningSecret = "HS256", sharedSecret
	})
	p := start(startExample, "ISSUER="+i.url+" ACCESS_TOKEN_SECRET="+sharedSecret, "server.js")
	assertOnlyValidTokens(t, p, i)

	var in struct{ AccessToken string }
	process{i.url}.post(t, "/api/auth/register", "", `{"email":"bob@example.com","password":"seven purple otters"}`, &in)
	if status, _, body := p.getWithToken(t, "/", in.AccessToken); status != 200 {
		t.Errorf("the token of a sign-up: %d %s", status, body)
	}
	late := start(runWithSlowClock, "ISSUER="+i.url+" ACCESS_TOKEN_SECRET="+sharedSecret, "server.js")
	assertSlowClockAccepts(t, i, late)
	if _, _, keys := (process{i.url}).getWithToken(t, "/.well-known/jwks.json", ""); keys != `{"keys":[]}` {
		t.Errorf("the JWKS must not publish the secret: %s", keys)
	}

	// A service that has the shared secret can also sign tokens. The example must accept a token signed by the test.
	claims := fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"eve","roles":["admin"],"exp":%d}`, i.url, i.url, time.Now().Unix()+60)
	if status, _, body := p.getWithToken(t, "/", signHS256(`{"alg":"HS256","typ":"at+jwt"}`, claims, sharedSecret)); status != 200 {
		t.Errorf("a token signed by a service: %d %s", status, body)
	}
	expired := i.issueToken(t, func(o *watchword.Options) {
		o.AccessTTL, o.Now = time.Minute, func() time.Time { return time.Now().Add(-2 * time.Minute) }
	})
	if _, _, body := p.getWithToken(t, "/", expired); !strings.Contains(body, `"TOKEN_EXPIRED"`) {
		t.Errorf("an expired token has another code: %s", body)
	}
	assertRefused(t, p, map[string]string{
		"of another kind":   signHS256(`{"alg":"HS256","typ":"JWT"}`, claims, sharedSecret),
		"of no kind":        signHS256(`{"alg":"HS256"}`, claims, sharedSecret),
		"signed with HS512": signToken(sha512.New, `{"alg":"HS512","typ":"at+jwt"}`, claims, sharedSecret),
		"signed with ES256": newIssuer(t).issueToken(t,
			func(o *watchword.Options) { o.PublicURL, o.Audience = i.url, i.url }),
	})
}

func withPublicKeys(t *testing.T, start scriptStarter) {
	i := newIssuer(t)
	p := start(startExample, "ISSUER="+i.url, "server-jwks.js")
	assertOnlyValidTokens(t, p, i)
	assertSlowClockAccepts(t, i, start(runWithSlowClock, "ISSUER="+i.url, "server-jwks.js"))

	header, claims := splitToken(t, i.session.AccessToken)
	assertRefused(t, p, map[string]string{
		"signed with the secret of before": signHS256(`{"alg":"HS256","typ":"at+jwt","kid":"shared"}`, claims, sharedSecret),
		"signed with the public key as the secret": signHS256(strings.Replace(header, "ES256", "HS256", 1), claims,
			i.publicKeyPEM(t)),
	})
}

// Without a key a token can't be checked. The service must not respond 401, which would sign the user out.
func withoutKeys(t *testing.T, start scriptStarter) {
	i := newIssuer(t)
	nowhere := "ISSUER=http://127.0.0.1:" + freePort(t)
	for name, p := range map[string]process{
		"no secret":       start(startExample, "ISSUER="+i.url, "server.js"),
		"an empty secret": start(startExample, "ISSUER="+i.url+" ACCESS_TOKEN_SECRET=", "server.js"),
		"no issuer":       start(startExample, nowhere, "server-jwks.js"),
	} {
		for token, want := range map[string]int{"": 401, string(i.session.AccessToken): 503, signHS256(`{"alg":"HS256","typ":"at+jwt"}`, "{}", ""): 503} {
			if status, _, body := p.getWithToken(t, "/", token); status != want {
				t.Errorf("%s: %d %s, want %d", name, status, body, want)
			}
		}
	}
}

func assertRefused(t *testing.T, p process, tokens map[string]string) {
	t.Helper()
	for name, token := range tokens {
		status, challenge, body := p.getWithToken(t, "/", token)
		if status != 401 || !strings.Contains(challenge, `error="invalid_token"`) {
			t.Errorf("a token %s: %d %q %s", name, status, challenge, body)
		}
	}
}

func splitToken(t *testing.T, token watchword.Secret) (header, claims string) {
	t.Helper()
	var parts [2]string
	for n, part := range strings.Split(string(token), ".")[:2] {
		text, err := base64.RawURLEncoding.DecodeString(part)
		must(t, err)
		parts[n] = string(text)
	}
	return parts[0], parts[1]
}

func signHS256(header, claims string, secret watchword.Secret) string {
	return signToken(sha256.New, header, claims, secret)
}

func signToken(algorithm func() hash.Hash, header, claims string, secret watchword.Secret) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(algorithm, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// publicKeyPEM returns the issuer's key as jwks-rsa passes it to jsonwebtoken.
func (i *issuer) publicKeyPEM(t *testing.T) watchword.Secret {
	t.Helper()
	var jwks struct{ Keys []struct{ X, Y string } }
	response, err := http.Get(i.url + "/.well-known/jwks.json")
	must(t, err)
	defer response.Body.Close() //nolint:errcheck // the body was read
	must(t, json.NewDecoder(response.Body).Decode(&jwks))
	x, err := base64.RawURLEncoding.DecodeString(jwks.Keys[0].X)
	must(t, err)
	y, err := base64.RawURLEncoding.DecodeString(jwks.Keys[0].Y)
	must(t, err)
	point, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	must(t, err)
	key, err := x509.MarshalPKIXPublicKey(point)
	must(t, err)
	return watchword.Secret(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key}))
}

// The two scripts must differ only in the lines that docs/verify.md tells the reader to change.
func TestMoveToPublicKeysChangesTwoLines(t *testing.T) {
	t.Parallel()
	var files [2][]string
	for n, name := range []string{"server.js", "server-jwks.js"} {
		text, err := os.ReadFile("express-jsonwebtoken/" + name)
		must(t, err)
		files[n] = strings.Split(string(text), "\n")[1:] // the first line is a comment
	}
	if len(files[0]) != len(files[1]) {
		t.Fatalf("%d and %d lines", len(files[0]), len(files[1]))
	}
	var out, in []string
	for n, line := range files[0] {
		if line != files[1][n] {
			out, in = append(out, "-"+line), append(in, "+"+files[1][n])
		}
	}
	docs, err := os.ReadFile("../docs/verify.md")
	must(t, err)
	shown := regexp.MustCompile("(?s)```diff\n(.*?)\n```").FindSubmatch(docs)
	if want := strings.Join(slices.Concat(out, in), "\n"); len(out) != 2 || shown == nil || string(shown[1]) != want {
		t.Errorf("docs/verify.md shows\n%s\nwant\n%s", shown, want)
	}
}

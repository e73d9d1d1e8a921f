package verify_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/transcript"
	"github.com/watchword-auth/watchword/verify"
)

// A protectedService is an HTTP server on a real port whose handler requires a token (Require).
type protectedService struct {
	*httptest.Server
	verifierLog *transcript.Transcript
}

func newProtectedService(t testing.TB, i *fakeIssuer) *protectedService {
	t.Helper()
	g := &protectedService{verifierLog: &transcript.Transcript{}}
	v := newVerifier(t, i.url, verify.Options{
		Now: i.clock.Now,
		Log: slog.New(slog.NewTextHandler(g.verifierLog, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	g.Server = httptest.NewServer(v.Require(http.HandlerFunc(notes)))
	t.Cleanup(g.Close)
	return g
}

func (g *protectedService) get(t testing.TB, token string) answer {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, g.URL, nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	return send(t, g.Client(), r)
}

func (g *protectedService) refuses(t testing.TB, name, token string) {
	t.Helper()
	a := g.get(t, token)
	if a.StatusCode != http.StatusUnauthorized || a.errorCode != "TOKEN_INVALID" ||
		!strings.HasSuffix(a.Header.Get("WWW-Authenticate"), `, error="invalid_token"`) {
		t.Errorf("%s: %d %s", name, a.StatusCode, a.raw)
	}
	if _, _, signature := parts(token + ".."); len(signature) > 8 && strings.Contains(a.raw, signature) {
		t.Errorf("%s: the response contains the signature", name)
	}
}

func (g *protectedService) accepts(t testing.TB, name, token string) {
	t.Helper()
	if a := g.get(t, token); a.StatusCode != http.StatusOK || a.raw != "ada" {
		t.Errorf("%s: %d %s", name, a.StatusCode, a.raw)
	}
}

// JWT-1, JWT-2, JWT-3, JWT-4, JWT-6
func TestTokensWithAForgedHeaderAreRejected(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	g := newProtectedService(t, i)
	requests := 0
	attacker := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests++ }))
	payload := inJSON(t, i.claims())
	for name, change := range map[string]map[string]any{
		"alg none": {"alg": "none"}, "alg None": {"alg": "None"}, "alg NONE": {"alg": "NONE"},
		"alg nOnE":    {"alg": "nOnE"},
		"another alg": {"alg": "RS256"}, "alg HS256": {"alg": "HS256"}, "alg ES256K": {"alg": "ES256K"},
		"no alg": {"alg": nil}, "alg a list": {"alg": []string{"ES256"}},
		"typ JWT": {"typ": "JWT"}, "no typ": {"typ": nil}, "a security event": {"typ": "secevent+jwt"},
		"a logout token": {"typ": "logout+jwt"}, "dpop": {"typ": "dpop+jwt"},
		"no kid": {"kid": nil}, "an empty kid": {"kid": ""}, "kid a path": {"kid": "../../dev/null"},
		"kid an injection": {"kid": "' OR 1=1 --"},
		"crit":             {"crit": []string{"exp"}, "exp": 1}, "an empty crit": {"crit": []string{}},
		"jku": {"jku": attacker.URL}, "x5u": {"x5u": attacker.URL}, "x5c": {"x5c": []string{"MII"}},
		"jwk": {"jwk": map[string]string{"kty": "EC"}},
		"zip": {"zip": "DEF"}, "b64": {"b64": false}, "enc": {"enc": "A128GCM"}, "cty": {"cty": "JWT"},
	} {
		header := map[string]any{"alg": "ES256", "kid": k.ID(), "typ": "at+jwt"}
		for member, value := range change {
			if header[member] = value; value == nil {
				delete(header, member)
			}
		}
		g.refuses(t, name, signES256(t, k, inJSON(t, header), payload))
	}
	head, body, _ := parts(i.sign(t, k, nil))
	g.refuses(t, "alg none without a signature", encoded(`{"alg":"none","typ":"at+jwt","kid":"`+k.ID()+`"}`)+"."+body+".")
	mac := hmac.New(sha256.New, accesstoken.JWKS([]accesstoken.Key{k}))
	input := encoded(`{"alg":"HS256","typ":"at+jwt","kid":"`+k.ID()+`"}`) + "." + body
	mac.Write([]byte(input))
	g.refuses(t, "the public key as a secret", input+"."+encoded(string(mac.Sum(nil))))
	stranger := newKey(t, accesstoken.ES256)
	g.refuses(t, "the attacker's key", i.sign(t, stranger, nil))
	_, _, forgedSignature := parts(i.sign(t, stranger, nil))
	g.refuses(t, "the attacker's key under the issuer's kid", head+"."+body+"."+forgedSignature)
	g.refuses(t, "a signature of zeros", head+"."+body+"."+encoded(strings.Repeat("\x00", 64)))
	g.accepts(t, "the original token", i.sign(t, k, nil))
	if attacker.Close(); requests > 0 {
		t.Errorf("the verifier sent %d requests to an address from a token", requests)
	}
}

// JWT-7, JWT-8, JWT-12, JWT-14
func TestTokensWithForgedClaimsAreRejected(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	g := newProtectedService(t, i)
	header := `{"alg":"ES256","kid":"` + k.ID() + `","typ":"at+jwt"}`
	text := inJSON(t, i.claims())
	var good map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	must(t, decoder.Decode(&good))
	now := i.clock.Now().Unix()
	for name, values := range map[string][]any{
		"iss": {nil, "https://evil.example", i.url + "/", strings.ToUpper(i.url), 1, []string{i.url}},
		"aud": {nil, "", "https://evil.example", []string{}, []any{1}, []any{i.url, nil}, []string{"a"},
			map[string]string{i.url: ""}, 1},
		"sub": {nil, "", 1, []string{"ada"}},
		"sid": {nil, "", 1},
		"jti": {nil, ""},
		"exp": {nil, 0, -1, "1795000000", 1.5, json.Number("1e400"), json.Number("9223372036854775808"),
			now + 3601, now + 25*3600, true},
		"iat":       {nil, 0, -1, "1", now + 6, now - 3600},
		"nbf":       {0, -1, "1", now + 6},
		"auth_time": {nil, "1"},
		"roles":     {nil, "admin", []any{1}},
		"amr":       {nil}, "acr": {nil, 1},
	} {
		for _, value := range values {
			claims := maps.Clone(good)
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
			g.refuses(t, name+" "+inJSON(t, value), signES256(t, k, header, inJSON(t, claims)))
		}
	}
	for name, payload := range map[string]string{
		"a duplicate claim": strings.Replace(text, "{", `{"sub":"eve",`, 1), "a duplicate claim with an escaped name": strings.Replace(text, "{", `{"\u0073ub":"eve",`, 1),
		"trailing data": text + "{}", "not UTF-8": strings.Replace(text, "ada", "a\xff", 1), "a claim in another case only": strings.Replace(text, `"sub"`, `"Sub"`, 1),
	} {
		g.refuses(t, name, signES256(t, k, header, payload))
	}
	g.accepts(t, "an additional claim in another case", signES256(t, k, header, strings.Replace(text, "{", `{"Sub":"eve","SID":"s2","ſub":"eve",`, 1)))
	without := maps.Clone(good)
	delete(without, "nbf")
	g.accepts(t, "a token without nbf", signES256(t, k, header, inJSON(t, without)))
	expired := maps.Clone(good)
	expired["iat"], expired["exp"] = now-900, now
	a := g.get(t, signES256(t, k, header, inJSON(t, expired)))
	if a.StatusCode != 401 || a.errorCode != "TOKEN_EXPIRED" {
		t.Errorf("expired: %d %s", a.StatusCode, a.raw)
	}
}

// JWT-5, JWT-13
func TestMalformedTokensAreRejected(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	g := newProtectedService(t, i)
	token := i.sign(t, k, nil)
	head, body, signature := parts(token)
	for name, text := range map[string]string{
		"empty": "", "a word": "x", "dots": "..", "many dots": strings.Repeat(".", 1000), "one part": head,
		"two parts":  head + "." + body,
		"four parts": token + ".x", "five parts, as a JWE": head + ".." + body + "." + signature + ".x",
		"no signature": head + "." + body + ".",
		"padding":      token + "=", "a space inside": head + " ." + body + "." + signature,
		"a comma": token + ", Bearer " + token,
		"JSON":    `{"payload":"` + body + `","signatures":[]}`, "long": head + "." + strings.Repeat("A", 8192) + "." + signature,
		"200 KiB": strings.Repeat("a", 200<<10), "not base64url": head + "." + body + "." + strings.Repeat("+", 86),
		"a byte of Latin-1": head + "\xe9." + body + "." + signature,
		"another signature": head + "." + body + "." + signature[:83] + "AAA",
		"swapped":           body + "." + head + "." + signature,
		"nested":            encoded(token) + "." + body + "." + signature, "a refresh token": "wwr_AQEB", "quotes": `"` + token + `"`,
	} {
		g.refuses(t, name, text)
	}
	for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if other := token[:len(token)-1] + string(last); other != token {
			g.refuses(t, "last "+string(last), other)
		}
	}
	g.accepts(t, "the original token", token)
	if strings.Contains(g.verifierLog.String(), signature) {
		t.Error("the log contains a token")
	}
}

// After a session has ended, both forms of its token's signature must be rejected. An ECDSA signature (r, s) has a
// second valid form (r, n−s), because JOSE does not require the lower s. The cache stores the two forms as separate
// entries, but both entries name the same session.
//
// JWT-10, JWT-11
func TestBothFormsOfASignatureAreRevokedWithTheSession(t *testing.T) {
	t.Parallel()
	k := newKey(t, accesstoken.ES256)
	i := newIssuer(t, k)
	v := i.verifier(t)
	token := i.sign(t, k, nil)
	alternative := withAlternativeSignature(t, token)
	for _, text := range []string{token, alternative, token, alternative} {
		if identity, err := v.Verify(t.Context(), text); err != nil || identity.SessionID() != "s1" {
			t.Fatalf("got %v, %v", identity, err)
		}
	}
	v.Revocations().EndSession("s1")
	for _, text := range []string{token, alternative} {
		if identity, err := v.Verify(t.Context(), text); err != verify.ErrRevoked || identity != nil {
			t.Errorf("got %v, %v", identity, err)
		}
	}
}

// withAlternativeSignature replaces the signature (r, s) of the token by (r, n−s), which is also valid.
func withAlternativeSignature(t testing.TB, token string) string {
	t.Helper()
	head, body, signature := parts(token)
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	must(t, err)
	order, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	new(big.Int).Sub(order, new(big.Int).SetBytes(raw[32:])).FillBytes(raw[32:])
	return head + "." + body + "." + encoded(string(raw))
}

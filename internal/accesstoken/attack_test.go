package accesstoken_test

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

var (
	now  = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	want = accesstoken.Expect{Issuer: "https://id.example.com", Audience: "https://api.example.com", Now: now}
)

func goodClaims() accesstoken.Claims {
	return accesstoken.Claims{
		Issuer: want.Issuer, Audience: accesstoken.Audience{want.Audience}, Subject: "ada", SessionID: "s1", ID: "t1",
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: now.Unix() + 900, AuthTime: now.Unix(),
		Roles: []string{"admin"}, AMR: []string{"pwd"}, ACR: "aal1",
	}
}

func key(t testing.TB, alg string) accesstoken.Key {
	t.Helper()
	k, err := accesstoken.GenerateKey(alg)
	if alg == accesstoken.HS256 {
		k, err = accesstoken.NewHS256([]byte("a secret that resource servers share"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func finder(keys ...accesstoken.Key) func(string) (accesstoken.Key, bool) {
	return func(kid string) (accesstoken.Key, bool) {
		for _, k := range keys {
			if k.ID() == kid {
				return k, true
			}
		}
		return accesstoken.Key{}, false
	}
}

func sign(t testing.TB, k accesstoken.Key, c accesstoken.Claims) string {
	t.Helper()
	token, err := accesstoken.Sign(k, c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// signAnyToken returns a validly signed token, so Verify can reject it only because of its content.
func signAnyToken(t testing.TB, k accesstoken.Key, header, payload string) string {
	t.Helper()
	der, err := accesstoken.MarshalKey(k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(nil, private.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// JWT-1, JWT-6, JWT-7
func TestTokensOfEachAlgorithmAreAcceptedByVerifyAndGoJose(t *testing.T) {
	t.Parallel()
	for alg, wire := range map[string]jose.SignatureAlgorithm{
		accesstoken.ES256: jose.ES256, accesstoken.Ed25519: jose.EdDSA, accesstoken.RS256: jose.RS256,
		accesstoken.HS256: jose.HS256,
	} {
		k := key(t, alg)
		token := sign(t, k, goodClaims())
		claims, err := accesstoken.Verify(token, finder(k), want)
		if err != nil || claims.Subject != "ada" || claims.SessionID != "s1" || claims.Roles[0] != "admin" {
			t.Errorf("%s: %+v, %v", alg, claims, err)
		}
		parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{wire})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		var verifier any = []byte("a secret that resource servers share")
		if alg != accesstoken.HS256 {
			var set jose.JSONWebKeySet
			if err := json.Unmarshal(accesstoken.JWKS([]accesstoken.Key{k}), &set); err != nil {
				t.Fatal(err)
			}
			published := set.Key(k.ID())
			if len(published) != 1 || !published[0].IsPublic() || published[0].Use != "sig" ||
				published[0].Algorithm != string(wire) {
				t.Fatalf("%s: published as %+v", alg, set)
			}
			verifier = published[0].Key
		}
		if _, err := parsed.Verify(verifier); err != nil {
			t.Errorf("%s: go-jose rejects it: %v", alg, err)
		}
	}
}

// JWT-1, JWT-2, JWT-3, JWT-4, JWT-6
func TestVerifyRejectsOtherHeaders(t *testing.T) {
	t.Parallel()
	k := key(t, accesstoken.ES256)
	payload, err := json.Marshal(goodClaims())
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]any{"alg": "ES256", "kid": k.ID(), "typ": "at+jwt"}
	for name, change := range map[string]map[string]any{
		"alg none":         {"alg": "none"},
		"alg NONE":         {"alg": "NONE"},
		"another alg":      {"alg": "ES384"},
		"alg in lower":     {"alg": "es256"},
		"no alg":           {"alg": nil},
		"typ JWT":          {"typ": "JWT"},
		"a logout token":   {"typ": "logout+jwt"},
		"no typ":           {"typ": nil},
		"an unknown kid":   {"kid": "other"},
		"no kid":           {"kid": nil},
		"a number for kid": {"kid": 1},
		"crit":             {"crit": []string{"exp"}, "exp": 1},
		"jku":              {"jku": "https://evil.example"},
		"jwk":              {"jwk": map[string]string{"kty": "EC"}},
		"x5u":              {"x5u": "https://evil.example"},
		"x5c":              {"x5c": []string{"MII"}},
		"zip":              {"zip": "DEF"},
		"b64":              {"b64": false},
	} {
		header := maps.Clone(good)
		for member, value := range change {
			if header[member] = value; value == nil {
				delete(header, member)
			}
		}
		text, err := json.Marshal(header)
		if err != nil {
			t.Fatal(err)
		}
		_, err = accesstoken.Verify(signAnyToken(t, k, string(text), string(payload)), finder(k), want)
		if !errors.Is(err, accesstoken.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, typ := range []string{"at+jwt", "AT+JWT", "application/at+jwt"} {
		header := `{"alg":"ES256","kid":"` + k.ID() + `","typ":"` + typ + `"}`
		if _, err := accesstoken.Verify(signAnyToken(t, k, header, string(payload)), finder(k), want); err != nil {
			t.Errorf("typ %s: %v", typ, err)
		}
	}
	twice := `{"alg":"none","alg":"ES256","kid":"` + k.ID() + `","typ":"at+jwt"}`
	if _, err := accesstoken.Verify(signAnyToken(t, k, twice, string(payload)), finder(k), want); err == nil {
		t.Error("two algs were accepted")
	}
}

// JWT-2
func TestVerifyRejectsHS256WithThePublicKeyAsSecret(t *testing.T) {
	t.Parallel()
	k := key(t, accesstoken.ES256)
	payload, err := json.Marshal(goodClaims())
	if err != nil {
		t.Fatal(err)
	}
	header := `{"alg":"HS256","kid":"` + k.ID() + `","typ":"at+jwt"}`
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	mac := hmac.New(sha256.New, accesstoken.JWKS([]accesstoken.Key{k}))
	mac.Write([]byte(input))
	token := input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	if _, err := accesstoken.Verify(token, finder(k), want); !errors.Is(err, accesstoken.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// JWT-7, JWT-8, JWT-14
func TestVerifyRejectsMissingAndMalformedClaims(t *testing.T) {
	t.Parallel()
	k := key(t, accesstoken.ES256)
	header := `{"alg":"ES256","kid":"` + k.ID() + `","typ":"at+jwt"}`
	text, err := json.Marshal(goodClaims())
	if err != nil {
		t.Fatal(err)
	}
	var good map[string]any
	if err := json.Unmarshal(text, &good); err != nil {
		t.Fatal(err)
	}
	wrong := map[string][]any{
		"iss": {nil, "https://evil.example", "https://id.example.com/", 1, []string{want.Issuer}},
		"aud": {nil, "", "https://evil.example", []string{}, []any{1}, []string{"a", "b"}, map[string]string{},
			1},
		"sub": {nil, "", 1},
		"sid": {nil, "", 1},
		"jti": {nil, "", 1},
		"exp": {nil, 0, -1, "1795000000", 1.5, json.Number("1e400"), json.Number("9223372036854775808"),
			now.Unix() - 1, now.Unix() + 25*3600, true},
		"iat":       {nil, 0, -1, "1", now.Unix() + 60, now.Unix() + 900},
		"nbf":       {0, -1, "1", now.Unix() + 60},
		"auth_time": {nil, "1", 0.5},
		"roles":     {nil, "admin", []any{1}, map[string]string{}},
		"amr":       {nil, "pwd"},
		"acr":       {nil, 1},
	}
	for name, values := range wrong {
		for _, value := range values {
			claims := maps.Clone(good)
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
			payload, err := json.Marshal(claims)
			if err != nil {
				t.Fatal(err)
			}
			got, err := accesstoken.Verify(signAnyToken(t, k, header, string(payload)), finder(k), want)
			if expired := name == "exp" && value == now.Unix()-1; err == nil || !expired && got.Subject != "" {
				t.Errorf("%s = %v: %+v, %v", name, value, got, err)
			}
		}
	}
	for name, payload := range map[string]string{
		"a claim twice":        strings.Replace(string(text), `{`, `{"sub":"eve",`, 1),
		"twice by an escape":   strings.Replace(string(text), `{`, `{"\u0073ub":"eve",`, 1),
		"only in another case": strings.Replace(string(text), `"sub"`, `"Sub"`, 1),
		"something after":      string(text) + "{}",
		"no object":            `"sub"`,
		"nothing":              "",
	} {
		_, err := accesstoken.Verify(signAnyToken(t, k, header, payload), finder(k), want)
		if !errors.Is(err, accesstoken.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// JWT-5, JWT-13
func TestVerifyRejectsOtherEncodingsOfAToken(t *testing.T) {
	t.Parallel()
	k := key(t, accesstoken.ES256)
	token := sign(t, k, goodClaims())
	parts := strings.Split(token, ".")
	for name, text := range map[string]string{
		"empty": "", "one part": parts[0], "two parts": parts[0] + "." + parts[1], "four parts": token + ".",
		"no signature": parts[0] + "." + parts[1] + ".", "padding": token + "=", "a line break": token + "\n",
		"a line break within": parts[0] + "\n." + parts[1] + "." + parts[2], "a blank": " " + token,
		"another byte": token[:len(token)-3] + "AAA", "JSON": `{"payload":"` + parts[1] + `"}`,
		"huge": strings.Repeat("a", 1<<20), "long": parts[0] + "." + strings.Repeat("A", 8192) + "." + parts[2],
		"standard alphabet": parts[0] + "." + parts[1] + "." + strings.Repeat("+", 86),
	} {
		_, err := accesstoken.Verify(text, finder(k), want)
		if !errors.Is(err, accesstoken.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Contains(err.Error(), parts[2]) {
			t.Errorf("%s: the error holds the signature", name)
		}
	}
	// Several last characters of a token decode to the same bytes. Verify must accept only the one that Sign wrote.
	for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		other := token[:len(token)-1] + string(last)
		if _, err := accesstoken.Verify(other, finder(k), want); err == nil && other != token {
			t.Errorf("%c instead of %c is accepted", last, token[len(token)-1])
		}
	}
}

// From one valid ES256 signature, anyone can compute a second valid one. Verify must accept both. One token thus has
// two encodings. Therefore a deny list or a log must not identify a token by its encoding.
//
// JWT-10
func TestBothES256SignaturesOfATokenAreAccepted(t *testing.T) {
	t.Parallel()
	k := key(t, accesstoken.ES256)
	token := sign(t, k, goodClaims())
	head, tail, _ := strings.Cut(token, "."+strings.Split(token, ".")[2])
	if tail != "" {
		t.Fatal("not a token")
	}
	signature, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[2])
	if err != nil {
		t.Fatal(err)
	}
	order, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	s := new(big.Int).Sub(order, new(big.Int).SetBytes(signature[32:]))
	s.FillBytes(signature[32:])
	claims, err := accesstoken.Verify(head+"."+base64.RawURLEncoding.EncodeToString(signature), finder(k), want)
	if err != nil || claims.ID != "t1" || claims.SessionID != "s1" {
		t.Errorf("got %+v, %v", claims, err)
	}
}

func TestATokenExpiresOnTheSecond(t *testing.T) {
	t.Parallel()
	k := key(t, accesstoken.ES256)
	token := sign(t, k, goodClaims())
	at := func(seconds int) error {
		late := want
		late.Now = now.Add(time.Duration(seconds) * time.Second)
		_, err := accesstoken.Verify(token, finder(k), late)
		return err
	}
	if err := at(899); err != nil {
		t.Error(err)
	}
	if err := at(900); !errors.Is(err, accesstoken.ErrExpired) {
		t.Errorf("got %v", err)
	}
	if err := at(-1); !errors.Is(err, accesstoken.ErrInvalid) {
		t.Errorf("before its time: %v", err)
	}
}

// JWT-12
func TestExtraClaimsCannotReplaceStandardClaims(t *testing.T) {
	t.Parallel()
	k := key(t, accesstoken.ES256)
	// Sign and CheckExtra must also reject "\u017fub" for sub. When Go's JSON decoder compares names, it treats a
	// long s (U+017F) as s and a Kelvin sign (U+212A) as k.
	for _, name := range []string{"sub", "Sub", "SID", "roles", "exp", "iss", "\u017fub", "\u017fID", "role\u017f",
		"i\u017fs"} {
		c := goodClaims()
		c.Extra = map[string]any{name: "eve"}
		if _, err := accesstoken.Sign(k, c); err == nil {
			t.Errorf("%s was overridden", name)
		}
		if accesstoken.CheckExtra([]string{name}) == nil {
			t.Errorf("CheckExtra accepts %s", name)
		}
	}
	for _, name := range []string{"email", "Name", "scope", "cnf", "\u212aid", "", strings.Repeat("x", 129)} {
		if accesstoken.CheckExtra([]string{name}) == nil {
			t.Errorf("CheckExtra accepts %q", name)
		}
	}
	c := goodClaims()
	c.Extra = map[string]any{"email": "ada@example.com", "https://example.com/tenant": "7"}
	if _, err := accesstoken.Verify(sign(t, k, c), finder(k), want); err != nil {
		t.Error(err)
	}
	c.Extra = map[string]any{"long": strings.Repeat("x", 8192)}
	if _, err := accesstoken.Sign(k, c); err == nil {
		t.Error("Sign returned a token that Verify rejects")
	}
}

// KEY-1
func TestKeyIDSurvivesMarshalAndJWKSHasOnlyPublicKeys(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{accesstoken.ES256, accesstoken.Ed25519, accesstoken.RS256} {
		k := key(t, alg)
		der, err := accesstoken.MarshalKey(k)
		if err != nil {
			t.Fatal(err)
		}
		again, err := accesstoken.UnmarshalKey(alg, der)
		if err != nil || again.ID() != k.ID() {
			t.Errorf("%s: %s became %s, %v", alg, k.ID(), again.ID(), err)
		}
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(accesstoken.JWKS([]accesstoken.Key{k}), &set); err != nil {
			t.Fatal(err)
		}
		for _, member := range []string{"d", "p", "q", "k"} {
			if set.Keys[0][member] != nil {
				t.Errorf("%s: the JWKS has %s", alg, member)
			}
		}
		other := map[string]string{accesstoken.ES256: accesstoken.Ed25519, accesstoken.Ed25519: accesstoken.RS256,
			accesstoken.RS256: accesstoken.ES256}[alg]
		if _, err := accesstoken.UnmarshalKey(other, der); err == nil {
			t.Errorf("a key for %s was accepted for %s", alg, other)
		}
	}
	if _, err := accesstoken.NewHS256(make([]byte, 31)); err == nil {
		t.Error("a short secret was accepted")
	}
	if _, err := accesstoken.GenerateKey("none"); err == nil {
		t.Error("a key for an unknown algorithm was created")
	}
}

// JWT-17
func TestSizeIsTheLengthOfTheToken(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{accesstoken.ES256, accesstoken.Ed25519, accesstoken.RS256, accesstoken.HS256} {
		c := goodClaims()
		for _, c.Extra = range []map[string]any{nil, {"name": "<Ada & \u2028 \"Lovelace\" 🦦>"}} {
			size, err := accesstoken.Size(alg, c)
			token := sign(t, key(t, alg), c)
			if err != nil || size < len(token) || size > len(token)+60 { // Size assumes a longer key id than HS256 has
				t.Errorf("%s: Size is %d, %v; the token has %d bytes", alg, size, err, len(token))
			}
			if alg != accesstoken.HS256 && size > len(token)+2 { // Size counts the longer name "Ed25519"
				t.Errorf("%s: Size is %d; the token has %d bytes", alg, size, len(token))
			}
		}
	}
}

// KEY-1
func TestNewRSAKeyHas3072BitsAnd2048BitsStaySupported(t *testing.T) {
	t.Parallel()
	der, err := accesstoken.MarshalKey(key(t, accesstoken.RS256))
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	if bits := private.(*rsa.PrivateKey).N.BitLen(); bits != 3072 {
		t.Errorf("a new key has %d bits", bits)
	}
	for bits, accepted := range map[int]bool{1536: false, 2048: true} {
		private, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		if der, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
			t.Fatal(err)
		}
		if _, err := accesstoken.UnmarshalKey(accesstoken.RS256, der); (err == nil) != accepted {
			t.Errorf("a key of %d bits: %v", bits, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	k, err := accesstoken.NewHS256([]byte("a secret that resource servers share"))
	if err != nil {
		f.Fatal(err)
	}
	good := sign(f, k, goodClaims())
	f.Add(good)
	f.Add("a.b.c")
	f.Add(good + "\n")
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := accesstoken.Verify(token, finder(k), want)
		if err == nil && token != good {
			t.Fatalf("forged: %q says %+v", token, claims)
		}
		if errors.Is(err, accesstoken.ErrInvalid) && claims.Subject != "" {
			t.Fatal("claims of an invalid token were returned")
		}
	})
}

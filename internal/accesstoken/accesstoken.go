// Package accesstoken signs and verifies JWT access tokens in a narrow profile of RFC 9068 and RFC 8725. All tokens
// have the same form and the same type, and each key has one fixed algorithm.
//
// The package does not know sessions. Callers check whether the session of a valid token (`sid`) has ended.
package accesstoken

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxLifetime = 24 * time.Hour // from iat to exp; this server signs for an hour at most
	tokenType   = "at+jwt"
)

// MaxSize is the largest size in bytes that an access token should have. Browsers drop cookies whose name and value
// exceed 4,096 bytes, and proxies limit the size of headers.
const MaxSize = 4000

// Limit is the largest size in bytes of a token that Verify accepts and Sign creates.
const Limit = 8192

var (
	// ErrExpired means that the token is valid except that it has expired.
	ErrExpired = errors.New("access token has expired")

	// ErrInvalid means that the text is not an access token of this issuer, for this
	// audience, at this time.
	ErrInvalid = errors.New("not a valid access token")

	// ErrTooLong means that Sign would create a token of more than Limit bytes.
	ErrTooLong = errors.New("the access token is too long")
)

// Claims are the claims of a token. Times are in seconds since 1970.
type Claims struct {
	Issuer    string   `json:"iss"`
	Audience  Audience `json:"aud"`
	Subject   string   `json:"sub"`
	SessionID string   `json:"sid"`
	ID        string   `json:"jti"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	AuthTime  int64    `json:"auth_time"`
	Roles     []string `json:"roles"`
	AMR       []string `json:"amr"` // RFC 8176
	ACR       string   `json:"acr"`

	// Extra are all other claims. Their names must pass CheckExtra. Verify returns
	// each value as a json.RawMessage.
	Extra map[string]any `json:"-"`
}

// An Audience with one element is written as a string (RFC 7519, section 4.1.3).
type Audience []string

func (a Audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// standardClaims lists the claims that Sign sets. reservedClaims lists other claims that have a meaning in JWTs (RFC
// 7519, section 10.1). The settings must not add a claim of either list.
var (
	standardClaims = []string{"iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "auth_time", "roles", "amr", "acr"}
	reservedClaims = []string{
		"email", "email_verified", "name", "preferred_username", "phone_number", "phone_number_verified",
		"azp", "client_id", "scope", "cnf", "act", "may_act", "nonce", "at_hash", "c_hash", "s_hash",
		"groups", "entitlements", "permissions", "events", "toe", "txn", "typ", "alg", "kid",
	}
)

// CheckExtra checks the names of the configured claims. A name must have 1 to 128 bytes of UTF-8, appear once, and be
// neither standard nor reserved. CheckExtra ignores the case of letters.
func CheckExtra(names []string) error {
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("claim %q appears twice: write each claim once", name)
		}
		if containsFold(names[:i], name) {
			return fmt.Errorf("claim %q appears twice with different case: write each claim once", name)
		}
		if containsFold(standardClaims, name) || containsFold(reservedClaims, name) {
			return fmt.Errorf(
				"claim %q is reserved: choose another name, such as https://example.com/%s",
				name,
				strings.ToLower(name),
			)
		}
		if name == "" || len(name) > 128 || !utf8.ValidString(name) {
			return errors.New("a claim has a name of 1 to 128 bytes of UTF-8")
		}
	}
	return nil
}

// containsFold reports whether a list contains a name in any letter case. encoding/json ignores letter case and even
// reads "ſub" as sub, and other verifiers may do the same.
func containsFold(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// IsIssuerName reports whether an issuer that is not the server's URL is well formed. It must have 1 to 128
// characters of printable ASCII, without quotes and backslashes, and without a space at either end. Such a name is
// also safe in WWW-Authenticate.
func IsIssuerName(name string) bool {
	return name != "" && len(name) <= 128 && strings.TrimSpace(name) == name &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
}

// CheckIssuer returns an error if name can't be the issuer. The public URL is always valid. Another name is valid
// only with HS256 and if IsIssuerName accepts it. With the other algorithms, services find the public keys at the
// issuer's URL.
func CheckIssuer(name, publicURL, alg string) error {
	if name == publicURL {
		return nil
	}
	if alg != HS256 {
		return fmt.Errorf("issuer %q is for HS256, not for %s: remove it, or write HS256", name, alg)
	}
	if !IsIssuerName(name) {
		return fmt.Errorf(
			"issuer %q is malformed: write up to 128 characters of printable ASCII without quotes and backslashes", name)
	}
	return nil
}

func (c Claims) marshalPayload() ([]byte, error) {
	if c.Roles == nil { // verifiers expect an array, never null
		c.Roles = []string{}
	}
	if c.AMR == nil {
		c.AMR = []string{}
	}
	payload, err := json.Marshal(c)
	if err != nil || len(c.Extra) == 0 {
		return payload, err
	}
	return withExtra(payload, c.Extra)
}

// Size returns the length in bytes of the token that Sign creates from the claims with a key of algorithm alg. The
// result is up to 60 bytes too large with HS256, and up to 2 bytes too large with Ed25519. It is never too small.
func Size(alg string, c Claims) (int, error) {
	payload, err := c.marshalPayload()
	if err != nil {
		return 0, err
	}
	header, signature := headerOf(Key{alg: alg, id: strings.Repeat("x", thumbprintLength)}, tokenType), 64
	switch alg {
	case RS256:
		signature = rsaBits / 8
	case HS256:
		signature = sha256.Size
	}
	return len(
		header,
	) + 1 + base64.RawURLEncoding.EncodedLen(
		len(payload),
	) + 1 + base64.RawURLEncoding.EncodedLen(
		signature,
	), nil
}

// thumbprintLength is the length of a `kid` that is a SHA-256 thumbprint in base64url (RFC 7638).
const thumbprintLength = 43

// Sign returns the token. It returns an error if Claims.Extra contains a standard claim, and
// ErrTooLong if the token has more than Limit bytes.
func Sign(k Key, c Claims) (string, error) {
	payload, err := c.marshalPayload()
	if err != nil {
		return "", err
	}
	token := make([]byte, 0, len(k.header)+2+base64.RawURLEncoding.EncodedLen(len(payload))+352)
	token = append(token, k.header...)
	token = append(token, '.')
	token = base64.RawURLEncoding.AppendEncode(token, payload)
	signature, err := k.sign(token)
	if err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	token = append(token, '.')
	token = base64.RawURLEncoding.AppendEncode(token, signature)
	if len(token) > Limit {
		return "", fmt.Errorf(
			"%w, with %d bytes: give the user fewer roles, or the token fewer claims",
			ErrTooLong, len(token),
		)
	}
	return string(token), nil
}

func withExtra(payload []byte, extra map[string]any) ([]byte, error) {
	for name := range extra {
		if containsFold(standardClaims, name) {
			return nil, fmt.Errorf("claim %q is set by Watchword: choose another name", name)
		}
	}
	var more bytes.Buffer
	encoder := json.NewEncoder(&more)
	encoder.SetEscapeHTML(false) // otherwise `<` is written as \u003c, six bytes
	if err := encoder.Encode(extra); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(more.Bytes(), []byte("\n"))
	return append(append(payload[:len(payload)-1], ','), text[1:]...), nil
}

// Expect holds the issuer and audience that a token must have, and the time of the check.
type Expect struct {
	Issuer   string
	Audience string
	Now      time.Time

	// Leeway is how far the issuer's clock may be ahead. It does not extend a token's life.
	Leeway time.Duration
}

// Verify returns the claims of a valid token. For a token that is valid except that it has expired, it returns the
// claims and ErrExpired. For any other token it returns ErrInvalid. findKey returns the key of a `kid`.
//
// Verify checks the form, the key, the signature and then the claims (RFC 8725). Before it has verified the
// signature, it uses only the header of the token.
func Verify(token string, findKey func(kid string) (Key, bool), want Expect) (Claims, error) {
	jws, ok := splitJWS(token)
	if !ok {
		return Claims{}, ErrInvalid
	}
	key, ok := jws.selectKey(tokenType, findKey)
	if !ok || !key.verifiesSignature(jws.signingInput, jws.signature) {
		return Claims{}, ErrInvalid
	}
	claims, ok := parseClaims(jws.payload)
	if !ok || !want.accepts(claims) {
		return Claims{}, ErrInvalid
	}
	if want.Now.Unix() >= claims.Expires {
		return claims, ErrExpired
	}
	return claims, nil
}

// canonicalBase64URL decodes base64url without padding, and rejects non-zero trailing bits.
var canonicalBase64URL = base64.RawURLEncoding.Strict()

// A compactJWS holds the parts of a parsed compact JWS (RFC 7515, section 7.1).
type compactJWS struct {
	encodedHeader              string
	header, payload, signature []byte // decoded
	signingInput               []byte
}

// splitJWS parses a compact JWS. It accepts exactly one encoding of each part. It rejects line breaks itself, because
// the decoder would skip them.
func splitJWS(token string) (jws compactJWS, ok bool) {
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	if len(token) > Limit || strings.Count(token, ".") != 2 || strings.ContainsAny(token, "\r\n") {
		return compactJWS{}, false
	}
	text := []byte(token)
	room := make([]byte, 0, len(token))
	decode := func(segment []byte) []byte {
		part, err := canonicalBase64URL.AppendDecode(room, segment)
		if err != nil {
			return nil
		}
		room = part[len(part):]
		return part
	}
	jws = compactJWS{encodedHeader: token[:first], signingInput: text[:last]}
	jws.header, jws.payload, jws.signature = decode(text[:first]), decode(text[first+1:last]), decode(text[last+1:])
	return jws, len(jws.header) > 0 && len(jws.payload) > 0 && len(jws.signature) > 0
}

// selectKey returns the key that the header names. It reports false if the type is not want, if the algorithm is not
// that of the key, or if the header has any other member. A header that is exactly as Sign writes it is accepted
// without parsing JSON, because this is faster.
func (jws compactJWS) selectKey(want string, findKey func(kid string) (Key, bool)) (Key, bool) {
	_, rest, _ := bytes.Cut(jws.header, []byte(`","kid":"`))
	if kid, ok := bytes.CutSuffix(rest, []byte(`","typ":"`+tokenType+`"}`)); ok && want == tokenType {
		if key, ok := findKey(string(kid)); ok && key.header == jws.encodedHeader {
			return key, true
		}
	}
	var alg, kid, typ string
	ok := visitMembers(jws.header, func(name, value string) (ok bool) {
		switch name {
		case "alg":
			alg, ok = parseString(value)
		case "kid":
			kid, ok = parseString(value)
		case "typ":
			typ, ok = parseString(value)
		}
		return ok // any other member, such as crit, jku, jwk, x5u, x5c or zip, is rejected
	})
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	if !ok || kid == "" || typ != want {
		return Key{}, false
	}
	key, ok := findKey(kid)
	return key, ok && key.alg == alg
}

// IsInTime reports whether a verified token is valid at now. Callers check a cached token at each use. IsInTime
// checks `iat` and `nbf` too, because the clock may have been set back after the verification.
func (c *Claims) IsInTime(now time.Time, leeway time.Duration) bool {
	latest := now.Add(leeway).Unix()
	return now.Unix() < c.Expires && c.IssuedAt <= latest && c.NotBefore <= latest
}

func (want Expect) accepts(c Claims) bool {
	latest := want.Now.Add(want.Leeway).Unix()
	return c.Issuer == want.Issuer &&
		slices.Contains(c.Audience, want.Audience) &&
		c.Subject != "" && c.SessionID != "" && c.ID != "" &&
		c.IssuedAt <= latest && c.NotBefore <= latest &&
		c.Expires > c.IssuedAt && c.Expires-c.IssuedAt <= int64(maxLifetime/time.Second)
}

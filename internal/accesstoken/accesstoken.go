// Package accesstoken is our narrow profile of JWT access tokens (RFC 9068, with
// RFC 8725): one shape, one type, the algorithm bound to the key.
//
// It knows keys and claims. It knows no sessions: whether the `sid` of a genuine
// token is alive is decided elsewhere.
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
	maxToken  = 8192           // bytes that Verify reads and Sign makes; see also MaxSize
	maxLife   = 24 * time.Hour // between iat and exp; ours live for an hour at most
	tokenType = "at+jwt"
)

// MaxSize is the number of bytes that an access token should not exceed: browsers
// keep no cookie above 4,096 bytes, name included, and proxies bound headers.
const MaxSize = 4000

var (
	// ErrExpired: everything is right but the time.
	ErrExpired = errors.New("access token has expired")

	// ErrInvalid: not an access token of ours, for us, at this time.
	ErrInvalid = errors.New("not a valid access token")
)

// Claims are what a token says. Times are in seconds since 1970.
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

	// Extra are other claims: of no name of ours, see CheckExtra. Verify returns
	// each as a json.RawMessage.
	Extra map[string]any `json:"-"`
}

// An Audience is written as a string if it is one (RFC 7519, section 4.1.3).
type Audience []string

func (a Audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// ours are the claims that Sign sets; reserved are others with a meaning of their
// own in the registry of RFC 7519, section 10.1, that nobody should fake.
var (
	ours     = []string{"iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "auth_time", "roles", "amr", "acr"}
	reserved = []string{
		"email", "email_verified", "name", "preferred_username", "phone_number", "phone_number_verified",
		"azp", "client_id", "scope", "cnf", "act", "may_act", "nonce", "at_hash", "c_hash", "s_hash",
		"groups", "entitlements", "permissions", "events", "toe", "txn", "typ", "alg", "kid",
	}
)

// CheckExtra refuses names for claims of a configuration that mean something
// already, in any case.
func CheckExtra(names []string) error {
	for _, name := range names {
		if isOneOf(ours, name) || isOneOf(reserved, name) {
			return fmt.Errorf("claim %q is reserved: choose another name, such as https://example.com/%s", name, strings.ToLower(name))
		}
		if name == "" || len(name) > 128 || !utf8.ValidString(name) {
			return errors.New("a claim has a name of 1 to 128 bytes of UTF-8")
		}
	}
	return nil
}

// isOneOf reports whether a verifier that is lax about case (encoding/json folds
// as strings.EqualFold does, so that "ſub" is sub) could take name for one.
func isOneOf(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// payload returns the claims as JSON.
func (c Claims) payload() ([]byte, error) {
	if c.Roles == nil { // a verifier expects arrays, never null
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

// Size returns the length of the token that a key of that algorithm makes of the
// claims.
func Size(alg string, c Claims) (int, error) {
	payload, err := c.payload()
	if err != nil {
		return 0, err
	}
	header, signature := headerOf(Key{alg: alg, id: strings.Repeat("x", thumbprint)}, tokenType), 64
	switch alg {
	case RS256:
		signature = rsaBits / 8
	case HS256:
		signature = sha256.Size
	}
	return len(header) + 1 + base64.RawURLEncoding.EncodedLen(len(payload)) + 1 + base64.RawURLEncoding.EncodedLen(signature), nil
}

// thumbprint is the length of a `kid` (RFC 7638, with SHA-256).
const thumbprint = 43

// Sign returns the token. Claims.Extra can't override a claim of ours.
func Sign(k Key, c Claims) (string, error) {
	payload, err := c.payload()
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
	if len(token) > maxToken {
		return "", fmt.Errorf("an access token of %d bytes is too long: give the user fewer roles, or the token fewer claims", len(token))
	}
	return string(token), nil
}

func withExtra(payload []byte, extra map[string]any) ([]byte, error) {
	for name := range extra {
		if isOneOf(ours, name) {
			return nil, fmt.Errorf("claim %q is set by us", name)
		}
	}
	var more bytes.Buffer
	encoder := json.NewEncoder(&more)
	encoder.SetEscapeHTML(false) // `<` in a name would take six bytes
	if err := encoder.Encode(extra); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(more.Bytes(), []byte("\n"))
	return append(append(payload[:len(payload)-1], ','), text[1:]...), nil
}

// Expect is whom a token must be from and for, and when.
type Expect struct {
	Issuer   string
	Audience string
	Now      time.Time

	// Leeway is how far the issuer's clock may be ahead. It lengthens no life.
	Leeway time.Duration
}

// Verify returns the claims of a token that is right in every respect, or of one
// that is only too old together with ErrExpired. find returns the key of a `kid`.
// The order is shape, key, signature, claims (RFC 8725): of an unverified token
// nothing is used but the name of its key.
func Verify(token string, find func(kid string) (Key, bool), want Expect) (Claims, error) {
	jws, ok := split(token)
	if !ok {
		return Claims{}, ErrInvalid
	}
	key, ok := jws.key(tokenType, find)
	if !ok || !key.verifies(jws.signed, jws.signature) {
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

// canonical is unpadded base64url with no stray trailing bits. It is constant.
var canonical = base64.RawURLEncoding.Strict()

// compact is a compact JWS taken apart (RFC 7515, section 7.1).
type compact struct {
	segment                    string // of the header, as it is written
	header, payload, signature []byte // decoded
	signed                     []byte // what the signature is over
}

// split takes a token apart. Each part has one spelling only: line breaks, which
// the decoder would skip, are refused.
func split(token string) (jws compact, ok bool) {
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	if len(token) > maxToken || strings.Count(token, ".") != 2 || strings.ContainsAny(token, "\r\n") {
		return compact{}, false
	}
	text := []byte(token)
	room := make([]byte, 0, len(token))
	decode := func(segment []byte) []byte {
		part, err := canonical.AppendDecode(room, segment)
		if err != nil {
			return nil
		}
		room = part[len(part):]
		return part
	}
	jws = compact{segment: token[:first], signed: text[:last]}
	jws.header, jws.payload, jws.signature = decode(text[:first]), decode(text[first+1:last]), decode(text[last+1:])
	return jws, len(jws.header) > 0 && len(jws.payload) > 0 && len(jws.signature) > 0
}

// key finds the key that the header names, and insists that the header is one
// that the key's texts of that type have. For the header that Sign writes, letter
// by letter, that is seen without reading it as JSON.
func (jws compact) key(want string, find func(kid string) (Key, bool)) (Key, bool) {
	_, rest, _ := bytes.Cut(jws.header, []byte(`","kid":"`))
	if kid, ok := bytes.CutSuffix(rest, []byte(`","typ":"`+tokenType+`"}`)); ok && want == tokenType {
		if key, ok := find(string(kid)); ok && key.header == jws.segment {
			return key, true
		}
	}
	var alg, kid, typ string
	ok := members(jws.header, func(name, value string) (ok bool) {
		switch name {
		case "alg":
			alg, ok = text(value)
		case "kid":
			kid, ok = text(value)
		case "typ":
			typ, ok = text(value)
		}
		return ok // not crit, jku, jwk, x5u, x5c, zip …: never ours
	})
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	if !ok || kid == "" || typ != want {
		return Key{}, false
	}
	key, ok := find(kid)
	return key, ok && key.alg == alg
}

func (want Expect) accepts(c Claims) bool {
	latest := want.Now.Add(want.Leeway).Unix()
	return c.Issuer == want.Issuer &&
		slices.Contains(c.Audience, want.Audience) &&
		c.Subject != "" && c.SessionID != "" && c.ID != "" &&
		c.IssuedAt <= latest && c.NotBefore <= latest &&
		c.Expires > c.IssuedAt && c.Expires-c.IssuedAt <= int64(maxLife/time.Second)
}

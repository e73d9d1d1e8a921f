package verify

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

// An Identity is the user and session that a verified token names. It is immutable,
// because requests with the same token share it.
type Identity struct {
	claims accesstoken.Claims
}

// Subject is the id of the user (`sub`).
func (i *Identity) Subject() string { return i.claims.Subject }

// SessionID is the id of the session (`sid`): one sign-in on one device.
func (i *Identity) SessionID() string { return i.claims.SessionID }

// TokenID is the id of the token (`jti`), for logs.
func (i *Identity) TokenID() string { return i.claims.ID }

// Roles are the user's roles at the time the token was issued.
func (i *Identity) Roles() []string { return slices.Clone(i.claims.Roles) }

// HasRole reports whether the user has a role. It is case-sensitive.
func (i *Identity) HasRole(role string) bool { return slices.Contains(i.claims.Roles, role) }

// AuthTime is when the user last authenticated (`auth_time`).
func (i *Identity) AuthTime() time.Time { return time.Unix(i.claims.AuthTime, 0) }

// ACR is the authentication context class (`acr`), such as "aal1".
func (i *Identity) ACR() string { return i.claims.ACR }

// AMR are the authentication methods that were used (RFC 8176).
func (i *Identity) AMR() []string { return slices.Clone(i.claims.AMR) }

// IssuedAt is when the token was issued (`iat`).
func (i *Identity) IssuedAt() time.Time { return time.Unix(i.claims.IssuedAt, 0) }

// ExpiresAt is when the token expires (`exp`).
func (i *Identity) ExpiresAt() time.Time { return time.Unix(i.claims.Expires, 0) }

// Claim decodes a claim for which Identity has no method, such as "email". As for json.Unmarshal, target is a
// pointer. Claim reports whether the token has a claim with exactly this name that can be decoded.
func (i *Identity) Claim(name string, target any) bool {
	text, ok := i.claims.Extra[name].(json.RawMessage)
	return ok && json.Unmarshal(text, target) == nil
}

// Claims are the contents of an identity, for tests of handlers.
type Claims struct {
	Subject, SessionID            string
	Roles                         []string
	AuthTime, IssuedAt, ExpiresAt time.Time
	ACR                           string
	AMR                           []string
	Extra                         map[string]any // other claims, encoded with encoding/json
}

// NewIdentity creates an identity without a token. Tests of handlers pass it to NewContext instead of using Require.
// Outside tests, identities come from Verify.
func NewIdentity(c Claims) *Identity {
	claims := accesstoken.Claims{
		Subject: c.Subject, SessionID: c.SessionID, Roles: slices.Clone(c.Roles),
		AuthTime: c.AuthTime.Unix(), IssuedAt: c.IssuedAt.Unix(), Expires: c.ExpiresAt.Unix(),
		ACR: c.ACR, AMR: slices.Clone(c.AMR), Extra: map[string]any{},
	}
	for name, value := range c.Extra {
		if text, err := json.Marshal(value); err == nil {
			claims.Extra[name] = json.RawMessage(text)
		}
	}
	return &Identity{claims}
}

// contextKey is unexported, so that no other package can set the identity.
type contextKey struct{}

// NewContext returns a copy of ctx that contains an identity.
func NewContext(ctx context.Context, identity *Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, identity)
}

// FromContext returns the identity that Require or Optional stored in ctx. Behind Require, ok is always true.
func FromContext(ctx context.Context) (identity *Identity, ok bool) {
	identity, _ = ctx.Value(contextKey{}).(*Identity)
	return identity, identity != nil
}

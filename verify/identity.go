package verify

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

// An Identity is who a verified token stands for. It can't be changed, because
// requests with the same token share it.
type Identity struct {
	claims accesstoken.Claims
}

// Subject is the id of the user (`sub`).
func (i *Identity) Subject() string { return i.claims.Subject }

// SessionID is the id of the session (`sid`): one sign-in on one device.
func (i *Identity) SessionID() string { return i.claims.SessionID }

// TokenID is the id of the token (`jti`), for logs.
func (i *Identity) TokenID() string { return i.claims.ID }

// Roles are those of the user when the token was issued.
func (i *Identity) Roles() []string { return slices.Clone(i.claims.Roles) }

// HasRole reports whether the user has a role, spelled exactly so.
func (i *Identity) HasRole(role string) bool { return slices.Contains(i.claims.Roles, role) }

// AuthTime is when the user proved who they are (`auth_time`).
func (i *Identity) AuthTime() time.Time { return time.Unix(i.claims.AuthTime, 0) }

// ACR is how surely they did (`acr`), such as "aal1".
func (i *Identity) ACR() string { return i.claims.ACR }

// AMR are the means they did it by (RFC 8176).
func (i *Identity) AMR() []string { return slices.Clone(i.claims.AMR) }

// IssuedAt is when the token was made (`iat`).
func (i *Identity) IssuedAt() time.Time { return time.Unix(i.claims.IssuedAt, 0) }

// ExpiresAt is when it stops to be valid (`exp`).
func (i *Identity) ExpiresAt() time.Time { return time.Unix(i.claims.Expires, 0) }

// Claim decodes another claim of the token, such as "email", as encoding/json
// does. It reports whether the token has the claim, under exactly this name, and
// it fits. The claims that have a method are not among them, so that none can be
// overridden.
func (i *Identity) Claim(name string, into any) bool {
	text, ok := i.claims.Extra[name].(json.RawMessage)
	return ok && json.Unmarshal(text, into) == nil
}

// livesAt reports whether the times of the token allow its use. A clock may have
// been set back since it was verified.
func (i *Identity) livesAt(now time.Time, leeway time.Duration) bool {
	latest := now.Add(leeway).Unix()
	return now.Unix() < i.claims.Expires && i.claims.IssuedAt <= latest && i.claims.NotBefore <= latest
}

// Claims are what an identity is made of, for tests of handlers.
type Claims struct {
	Subject, SessionID            string
	Roles                         []string
	AuthTime, IssuedAt, ExpiresAt time.Time
	ACR                           string
	AMR                           []string
	Extra                         map[string]any // in JSON
}

// NewIdentity makes an identity out of nothing: with NewContext, for tests of
// handlers that stand behind Require. A program gets its identities from Verify.
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

// contextKey is a type of its own, so that no other package can set the identity.
type contextKey struct{}

// NewContext returns a context that carries an identity.
func NewContext(ctx context.Context, who *Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, who)
}

// FromContext returns the identity that Require or Optional has put there. Behind
// Require there always is one.
func FromContext(ctx context.Context) (who *Identity, ok bool) {
	who, _ = ctx.Value(contextKey{}).(*Identity)
	return who, who != nil
}

package watchword

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/mailtoken"
	"github.com/watchword-auth/watchword/internal/refreshtoken"
)

// This file creates access tokens, refresh tokens and the tokens in mails. The store contains at most their hashes.

// A SignIn is a session with its newly created tokens.
type SignIn struct {
	User         User
	Session      Session
	AccessToken  Secret
	ExpiresIn    time.Duration // life of AccessToken
	RefreshToken Secret

	// RefreshLife is how long a browser should keep the refresh token. For a persistent session, it is the time until
	// the session expires without a refresh (Engine.SessionExpires). Otherwise it is 0: until the browser closes.
	RefreshLife time.Duration

	// DeviceToken makes the client a known device of the account (Client.DeviceToken), until the password changes. A
	// client that is already known remains the same device. The token grants no access. Empty after a refresh.
	DeviceToken Secret

	// Remembered lets the browser skip the second factor (Client.Remembered) during RememberedFor. May be empty.
	Remembered    Secret
	RememberedFor time.Duration
}

// newSignIn creates an access token and the refresh token of a session. The refresh token depends only on the session
// and its generation, so repeated calls return the same one.
func (e *Engine) newSignIn(u User, s Session, now time.Time) (*SignIn, error) {
	access, life, err := e.signAccessToken(u, s, now)
	if err != nil {
		return nil, err
	}
	secret, ok := e.keys.refreshSecret(s.RefreshKey)
	if !ok {
		return nil, fmt.Errorf("refresh key %d of session %s is missing", s.RefreshKey, s.ID)
	}
	id, err := uuid.Parse(string(s.ID))
	if err != nil {
		return nil, fmt.Errorf("session id: %w", err)
	}
	refresh := refreshtoken.Token{KeyNumber: s.RefreshKey, Session: id, Generation: uint64(s.Generation)}
	in := &SignIn{User: u, Session: s,
		AccessToken: Secret(access), ExpiresIn: life, RefreshToken: Secret(refresh.Sign(secret))}
	if s.Persistent {
		in.RefreshLife = max(s.expiryWithoutRefresh(e.opts.Sessions).Sub(s.RotatedAt), time.Second)
	}
	return in, nil
}

// notBeforeLead is the number of seconds by which `nbf` precedes `iat`, because most libraries tolerate no clock
// skew. Tokens have `nbf`, because verifiers of earlier releases require it.
const notBeforeLead = 60

// signAccessToken sets `iat` to User.RolesChangedAt or later, even if it runs a moment earlier. An `iat` at or after
// RolesChangedAt therefore proves that the token has the new roles. A token expires with its session at the latest,
// because expiry is not published in the feed.
func (e *Engine) signAccessToken(u User, s Session, now time.Time) (token string, life time.Duration, err error) {
	key, err := e.keys.activeSigningKey(now)
	if err != nil {
		return "", 0, err
	}
	issued := now.Unix()
	dated := max(issued, u.RolesChangedAt.Unix())
	expires := min(issued+int64(e.opts.AccessTTL/time.Second), s.expiryWithoutRefresh(e.opts.Sessions).Unix())
	expires = max(expires, dated+1) // at least one second, even at the end of a session
	claims := e.opts.tokenClaims(u, s)
	claims.IssuedAt, claims.NotBefore, claims.Expires = dated, dated-notBeforeLead, expires
	claims.AuthTime = s.AuthenticatedAt.Unix()
	token, err = accesstoken.Sign(key, claims)
	if errors.Is(err, accesstoken.ErrTooLong) {
		// The token can be too long if the user has many roles: accounts of earlier releases can have more roles than
		// are allowed today, and computed claims may repeat the roles. The token then omits the computed claims, so
		// that the user can still sign in.
		standard := e.opts.Claims
		standard.Computed = nil
		claims.Extra = standard.optionalClaims(u, s)
		token, err = accesstoken.Sign(key, claims)
	}
	return token, time.Duration(expires-issued) * time.Second, err
}

func (e *Engine) deriveMailToken(mailID string, attempt int) Secret {
	return Secret(mailtoken.Of(e.keys.macSecret(KeyMail), mailID, attempt))
}

func hashMailToken(token Secret) string { return mailtoken.Hash(string(token)) }

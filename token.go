package watchword

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/refreshtoken"
)

// This file is where tokens are born: the access token, the refresh token, and
// the token in a mail. None of the three is stored.

// A SignIn is a session with the tokens that were just made for it.
type SignIn struct {
	User         User
	Session      Session
	AccessToken  Secret
	ExpiresIn    time.Duration // life of AccessToken
	RefreshToken Secret

	// RefreshExpires is when the session dies if it is not refreshed before.
	RefreshExpires time.Time

	// DeviceToken makes the client a known device of the account until its
	// password changes (Client.DeviceToken). It is the presented one while that is
	// valid. It grants no access. Empty after a refresh.
	DeviceToken Secret
}

// RefreshLife is how long a browser is to keep the refresh token: as long as the
// session lives without another refresh, or, if it is not persistent, 0: as long
// as the browser is open.
func (in *SignIn) RefreshLife() time.Duration {
	if !in.Session.Persistent {
		return 0
	}
	return max(in.RefreshExpires.Sub(in.Session.RotatedAt), time.Second)
}

// signIn makes both tokens for a session as it is now. Of one generation it
// always makes the same refresh token.
func (e *Engine) signIn(u User, s Session, now time.Time) (*SignIn, error) {
	access, life, err := e.accessToken(u, s, now)
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
	return &SignIn{
		User:           u,
		Session:        s,
		AccessToken:    Secret(access),
		ExpiresIn:      life,
		RefreshToken:   Secret(refresh.Sign(secret)),
		RefreshExpires: s.idleUntil(e.opts.Sessions),
	}, nil
}

// notBeforeLead is the number of seconds by which `nbf` precedes `iat`. Verifiers
// of earlier releases require `nbf`, and most libraries allow no leeway.
const notBeforeLead = 60

// accessToken signs the claims of accesstoken.Claims. A change of roles takes effect at a whole
// second (User.RolesChangedAt): a token made in the second before is dated at
// it, so that "issued before the change" can be told from `iat` alone. A token
// does not outlive its session: the end of one that nobody ends is told to nobody.
func (e *Engine) accessToken(u User, s Session, now time.Time) (token string, life time.Duration, err error) {
	key, err := e.keys.signer(now)
	if err != nil {
		return "", 0, err
	}
	issued := now.Unix()
	dated := max(issued, u.RolesChangedAt.Unix())
	expires := min(issued+int64(e.opts.AccessTTL/time.Second), s.idleUntil(e.opts.Sessions).Unix())
	expires = max(expires, dated+1) // in the last second of a session, too
	claims := e.opts.claims(u, s)
	claims.IssuedAt, claims.NotBefore, claims.Expires = dated, dated-notBeforeLead, expires
	claims.AuthTime = s.AuthenticatedAt.Unix()
	token, err = accesstoken.Sign(key, claims)
	return token, time.Duration(expires-issued) * time.Second, err
}

// mailToken makes the token that goes out with an attempt at a mail. Whoever
// lacks the master key learns nothing from the outbox, and an attempt that was
// reported as failed, yet arrived, leaves no second copy of a token.
func (e *Engine) mailToken(mailID string, attempt int) Secret {
	mac := hmac.New(sha256.New, e.keys.secret(KeyMail))
	mac.Write([]byte(mailID + "/" + strconv.Itoa(attempt)))
	return Secret("wwm_" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

// hashMailToken is what the store knows of a mailed token.
func hashMailToken(token Secret) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

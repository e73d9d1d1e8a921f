package watchword

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-auth/watchword/internal/knowndevice"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/password"
)

// Login, in the order of its checks:
//
//  1. The address is made canonical, so that one account has one counter
//     however it is spelled.
//  2. The limits are charged, committed, and only then is a password looked at
//     (attempt.go). A limited account says so whether it exists or not.
//  3. The password is verified in the pool, in its normal form and then as it was
//     typed. An unknown address costs the same time, against a hash that no
//     password has, and leaves the same rows.
//  4. What is known of the account (disabled, not verified) is said only to
//     somebody who has just given the right password.
//  5. The session is inserted in the transaction that locks the password it was
//     opened with: a change of password, or a disabling, that came in between
//     wins.

// A LoginRequest asks for a session.
type LoginRequest struct {
	Email      string
	Password   Secret
	Persistent bool // survive the browser, and have the longer idle life
	Client     Client

	// Replaces is the refresh token in the cookie that the sign-in overwrites. Its
	// session ends, whatever its generation. Empty, or garbage: none does.
	Replaces Secret
}

// Login opens a session. Codes: CodeValidationFailed (email or password
// missing), CodeInvalidCredentials, CodeEmailNotVerified, CodeAccountDisabled,
// CodeRateLimited, CodeTryLater.
func (e *Engine) Login(ctx context.Context, r LoginRequest) (*SignIn, error) {
	email, err := loginFields(r)
	if err != nil {
		return nil, err
	}
	now := e.now()
	a, err := e.attempt(ctx, email, r.Client, now)
	if err != nil {
		return nil, err
	}
	known := e.knownPassword(a.user, a.waiting)
	ok, err := e.passwordMatches(ctx, r.Client, known, r.Password)
	if err != nil {
		return nil, err
	}
	if refusal := mayLogin(a.user, ok, e.opts.Signup); refusal != nil {
		if !ok {
			a.failure = nil // stays charged
		}
		return nil, e.loginFailed(ctx, a, refusal)
	}
	return e.loginRight(ctx, a, r)
}

// loginRight opens a session after a right password.
func (e *Engine) loginRight(ctx context.Context, a attempt, r LoginRequest) (*SignIn, error) {
	hash, err := e.upgradedHash(ctx, r.Client, a.user.PasswordHash, r.Password)
	if err != nil {
		return nil, err
	}
	user := a.user
	user.PasswordHash = hash
	entry, err := e.newEntry(ctx, entry{user: user, proofs: []proof{proofPassword}, persistent: r.Persistent, client: r.Client, at: a.at}, r.Replaces)
	if err != nil {
		return nil, err
	}
	var session Session
	var events []Event
	err = e.store.Update(ctx, func(tx Tx) error {
		unchanged, err := tx.ReplacePassword(ctx, user.ID, a.user.PasswordHash, hash)
		if err != nil {
			return err
		}
		if !unchanged {
			return invalidCredentials()
		}
		if err := refund(ctx, tx, a.failure...); err != nil {
			return err
		}
		session, events, err = e.admit(ctx, tx, entry, e.event(EventLogin, r.Client, a.at))
		return err
	})
	if err != nil {
		return nil, err
	}
	e.announce(events...)
	return e.signInOn(a.device, user, session)
}

// loginFields returns the canonical address, or says what is missing.
func loginFields(r LoginRequest) (Address, error) {
	var missing []FieldError
	email, problem := parseKnownEmail("email", r.Email)
	if problem != nil {
		missing = append(missing, *problem)
	}
	if r.Password == "" {
		missing = append(missing, FieldError{"password", FieldRequired, "Enter your password."})
	}
	if len(missing) > 0 {
		return "", unacceptable(missing...)
	}
	return email, nil
}

// knownPassword is the hash that a login is compared with: that of the account,
// else of the newest waiting sign-up; empty if there is neither. It is one hash in
// any case.
func (e *Engine) knownPassword(u User, waiting []Signup) Secret {
	if u.ID != "" || len(waiting) == 0 {
		return u.PasswordHash
	}
	details, _ := e.openSignup(waiting[0]) // one that can't be opened has no password
	return details.PasswordHash
}

// mayLogin decides whether an attempt gets a session. What is known of the
// account is told only to somebody who knows its password.
func mayLogin(u User, passwordRight bool, mode SignupMode) *Error {
	switch {
	case !passwordRight:
		return invalidCredentials()
	case u.ID == "": // a waiting sign-up
		return emailNotVerified()
	}
	return decideEntry(u, mode, []proof{proofPassword}).refusal
}

func invalidCredentials() *Error {
	return refuse(CodeInvalidCredentials, "Wrong email or password.")
}

// signInOn makes the tokens of a new session, and that of the device.
func (e *Engine) signInOn(device knowndevice.ID, u User, s Session) (*SignIn, error) {
	in, err := e.signIn(u, s, s.CreatedAt)
	if err != nil {
		return nil, err
	}
	in.DeviceToken = e.deviceToken(device, u)
	return in, nil
}

// passwordMatches verifies in the pool. An empty hash is nobody's password, and
// takes as long to find out.
//
// We hash the normal form of a password; who made an imported hash may have
// hashed what was typed. That is tried second where it differs, with every hash
// and with none, so that the time says nothing of the account. It opens no hash
// of ours: what was typed is then not in the normal form.
func (e *Engine) passwordMatches(ctx context.Context, c Client, hash, given Secret) (bool, error) {
	encoded := string(hash)
	if encoded == "" {
		encoded = e.hashing.dummy
	}
	typed := string(given)
	normal, problem := password.Normalize(typed)
	if problem != nil {
		typed, normal = "", "" // never the password of anybody, but hashed all the same
	}
	pepper, err := e.keys.pepper(ctx, encoded)
	if err != nil {
		return false, err
	}
	var ok bool
	var failed error
	var took time.Duration
	tries := time.Duration(1)
	err = e.hashing.do(ctx, c, func() {
		begun := time.Now()
		ok, failed = passhash.VerifyKeyed(encoded, normal, pepper)
		if !ok && failed == nil && typed != normal {
			ok, failed = passhash.VerifyKeyed(encoded, typed, pepper)
			tries = 2
		}
		took = time.Since(begun) / tries
	})
	if err != nil || failed != nil {
		return false, errors.Join(err, failed)
	}
	ok = ok && problem == nil && hash != ""
	wait := e.hashing.level.Wait(took, !passhash.CostsAs(encoded, e.hashing.params))
	if !ok {
		err = pause(ctx, wait*tries)
	}
	return ok, err
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// upgradedHash returns the hash that the account should have after this sign-in:
// a new one if the parameters have risen since it was made, or others made it. A
// password that is too long for bcrypt keeps the hash that could take it.
func (e *Engine) upgradedHash(ctx context.Context, c Client, hash, given Secret) (Secret, error) {
	if !passhash.NeedsRehash(string(hash), e.hashing.params) {
		return hash, nil
	}
	normal, err := password.Normalize(string(given))
	if err != nil {
		return "", err
	}
	upgraded, err := e.hash(ctx, c, normal)
	if CodeOf(err) == CodeValidationFailed {
		return hash, nil
	}
	return upgraded, err
}

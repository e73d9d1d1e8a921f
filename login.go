package watchword

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/password"
)

// Login, in the order of its checks:
//
//  1. The address is made canonical, so that one account has one counter
//     however it is spelled.
//  2. The limits are charged, committed, and only then is a password looked at:
//     parallel guesses each cost one, and a limited account says so whether it
//     exists or not.
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
	failure := e.opts.Limits.FailedPasswords.charge("password", string(email), now)
	client := e.opts.Limits.LoginPerClient.charge("login", r.Client.key(), now)
	user, waiting, err := e.attempt(ctx, email, now, charges(failure, client))
	if err != nil {
		return nil, err
	}
	known, err := e.knownPassword(user, waiting)
	if err != nil {
		return nil, err
	}
	ok, err := e.passwordMatches(ctx, r.Client, known, r.Password)
	if err != nil {
		return nil, err
	}
	if refusal := mayLogin(user, ok, e.opts.Signup); refusal != nil {
		if !ok {
			failure = Charge{} // stays charged
		}
		return nil, e.loginFailed(ctx, user, r.Client, refusal, failure)
	}
	hash, err := e.upgradedHash(ctx, r.Client, user.PasswordHash, r.Password)
	if err != nil {
		return nil, err
	}

	session := e.newSession(user.ID, r.Persistent, r.Client, now)
	event := e.event(EventLogin, r.Client, now).of(user.ID).on(session.ID)
	err = e.store.Update(ctx, func(tx Tx) error {
		unchanged, err := tx.ReplacePassword(ctx, user.ID, user.PasswordHash, hash)
		if err != nil {
			return err
		}
		if !unchanged {
			return invalidCredentials()
		}
		if err := refund(ctx, tx, failure); err != nil {
			return err
		}
		return e.openSession(ctx, tx, session, event)
	})
	if err != nil {
		return nil, err
	}
	e.announce(event)
	return e.signIn(user, session, now)
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

// attempt charges for a try at an account's password and returns the account (the
// zero User, with no password, if there is none) and the sign-ups that wait for
// its address.
func (e *Engine) attempt(ctx context.Context, email Address, now time.Time, charges []Charge) (user User, waiting []Signup, err error) {
	var wait time.Duration
	err = e.store.Update(ctx, func(tx Tx) error {
		var err error
		if wait, err = take(ctx, tx, charges); err != nil || wait > 0 {
			return err
		}
		user, waiting, err = e.ownersOf(ctx, tx, email, now)
		return err
	})
	if err == nil && wait > 0 {
		err = limited(wait)
	}
	return user, waiting, err
}

// knownPassword is the hash that a login is compared with: that of the account,
// else of the newest waiting sign-up; empty if there is neither. It is one hash in
// any case.
func (e *Engine) knownPassword(u User, waiting []Signup) (Secret, error) {
	if u.ID != "" || len(waiting) == 0 {
		return u.PasswordHash, nil
	}
	details, err := e.openSignup(waiting[0])
	return details.PasswordHash, err
}

// mayLogin decides whether an attempt gets a session. What is known of the
// account is told only to somebody who knows its password.
func mayLogin(u User, passwordRight bool, mode SignupMode) *Error {
	switch {
	case !passwordRight:
		return invalidCredentials()
	case u.Disabled():
		return accountDisabled()
	case u.ID == "", mode == SignupVerified && !u.Verified(): // a sign-up that waits, or an account that does
		return refuse(CodeEmailNotVerified, "Confirm your e-mail address first: open the link in the mail we sent, or ask for a new one.")
	}
	return nil
}

func accountDisabled() *Error {
	return refuse(CodeAccountDisabled, "This account is disabled. Ask the people who run this service.")
}

func invalidCredentials() *Error {
	return refuse(CodeInvalidCredentials, "The e-mail address or the password is wrong.")
}

// loginFailed commits that a password was asked for in vain, and then returns
// the refusal. A charge that is not zero was no guess, and is given back.
func (e *Engine) loginFailed(ctx context.Context, u User, c Client, refusal *Error, back Charge) error {
	event := e.event(EventLoginFailed, c, e.now()).of(u.ID).because(string(refusal.Code))
	err := e.store.Update(ctx, func(tx Tx) error {
		if err := refund(ctx, tx, back); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err != nil {
		return err
	}
	e.announce(event)
	return refusal
}

// newSession is what a sign-in starts with.
func (e *Engine) newSession(id UserID, persistent bool, c Client, now time.Time) Session {
	return Session{
		ID:              SessionID(newID()),
		UserID:          id,
		Rotation:        Rotation{Forgiven: NeverForgiven, RotatedAt: now, RotatedBy: AgentOf(c.UserAgent)},
		RefreshKey:      e.keys.refreshNumber(now),
		Persistent:      persistent,
		Device:          e.devices.Name(c.UserAgent),
		Address:         c.address(),
		AuthenticatedAt: now,
		Methods:         []string{"pwd"},
		CreatedAt:       now,
		ExpiresAt:       now.Add(e.opts.Sessions.Max),
	}
}

// openSession makes room for the session and inserts it: in this order, so that a
// clock that was set back can't make the new one the oldest.
func (e *Engine) openSession(ctx context.Context, tx Tx, s Session, event Event) error {
	if _, err := tx.EndOldestSessions(ctx, s.UserID, e.opts.MaxSessions-1, EndedTooMany, s.CreatedAt); err != nil {
		return err
	}
	if err := tx.InsertSession(ctx, s); err != nil {
		return err
	}
	return tx.InsertEvent(ctx, event)
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

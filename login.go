package watchword

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

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
	known, err := e.knownPassword(a.user, a.waiting)
	if err != nil {
		return nil, err
	}
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
	entry, err := e.newEntry(ctx, e.newSession(user.ID, r.Persistent, r.Client, a.at), r.Replaces)
	if err != nil {
		return nil, err
	}
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
		events, err = e.openSession(ctx, tx, entry, e.event(EventLogin, r.Client, a.at))
		return err
	})
	if err != nil {
		return nil, err
	}
	e.announce(events...)
	return e.signInOn(a.device, user, entry.session)
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

// An entry is a session that is about to open.
type entry struct {
	session  Session
	replaces SessionID // the session whose cookie it overwrites; empty: none
}

// newEntry finds out which session ends when this one opens: that of the refresh
// token, if it is genuine. The token is not judged.
func (e *Engine) newEntry(ctx context.Context, s Session, replaces Secret) (entry, error) {
	presented, err := e.keys.parseRefresh(ctx, replaces)
	switch {
	case err == nil:
		return entry{s, SessionID(uuid.UUID(presented.Session).String())}, nil
	case CodeOf(err) == CodeInternal:
		return entry{}, err
	}
	return entry{s, ""}, nil
}

// openSession ends the session that this one replaces, makes room and inserts it: in
// this order, so that a clock that was set back can't make the new one the oldest. It
// returns the events to announce: that of the session and what else it recorded.
func (e *Engine) openSession(ctx context.Context, tx Tx, n entry, event Event) ([]Event, error) {
	event = event.of(n.session.UserID).on(n.session.ID)
	events := []Event{event}
	if n.replaces != "" {
		replaced, err := e.endReplaced(ctx, tx, n.replaces, event)
		if err != nil {
			return nil, err
		}
		events = append(events, replaced...)
	}
	if _, err := tx.EndOldestSessions(ctx, n.session.UserID, e.opts.MaxSessions-1, EndedTooMany, n.session.CreatedAt); err != nil {
		return nil, err
	}
	if err := tx.InsertSession(ctx, n.session); err != nil {
		return nil, err
	}
	for _, one := range events {
		if err := tx.InsertEvent(ctx, one); err != nil {
			return nil, err
		}
	}
	return events, nil
}

// endReplaced ends a session whose cookie a sign-in overwrites, unless it has ended.
// The event of the sign-in says who and when.
func (e *Engine) endReplaced(ctx context.Context, tx Tx, id SessionID, event Event) ([]Event, error) {
	old, _, err := tx.Session(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ended, err := tx.EndSession(ctx, id, EndedReplaced, event.At)
	if err != nil || !ended {
		return nil, err
	}
	event.ID, event.Kind = newID(), EventSessionEnded
	return []Event{event.of(old.UserID).on(id).because(string(EndedReplaced))}, nil
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

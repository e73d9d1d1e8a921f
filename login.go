package watchword

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/password"
	"github.com/watchword-auth/watchword/internal/sleep"
)

// Login, in the order of its checks:
//
//  1. The address is normalized, so an account has one counter for all spellings.
//  2. The limits are charged and committed before the password is checked (attempt.go). The response is the same
//     whether or not the account exists.
//  3. A worker verifies the password in its normal form, then as it was typed. An unknown address is checked against
//     a dummy hash: it takes the same time and leaves the same rows.
//  4. The state of the account (disabled, not verified) is revealed only after the right password.
//  5. The session is inserted in the transaction that locks the verified password. If the account has changed since
//     it was read, the password is checked again. A concurrent change of password or a concurrent disabling thus
//     wins, and a concurrent sign-in that upgrades the hash does no harm.

// A LoginRequest is a request to sign in with a password.
type LoginRequest struct {
	Email      string
	Password   Secret
	Persistent bool // the session outlives the browser and has the longer idle timeout
	Client     Client

	// Replaces is the refresh token in the cookie that the sign-in overwrites. The sign-in ends the session of this
	// token, even if the token is old. An empty or invalid token is ignored.
	Replaces Secret
}

// Login opens a session. Codes: CodeValidationFailed (email or password missing), CodeInvalidCredentials,
// CodeEmailNotVerified, CodeAccountDisabled, CodeSecondFactorRequired, CodeEnrolmentRequired, CodeRateLimited,
// CodeTryLater.
func (e *Engine) Login(ctx context.Context, r LoginRequest) (*SignIn, error) {
	email, err := parseLoginFields(r)
	if err != nil {
		return nil, err
	}
	now := e.now()
	a, err := e.beginAttempt(ctx, email, r.Client, now)
	if err != nil {
		return nil, err
	}
	for {
		known := e.hashToCompare(a.user, a.waitingSignups)
		ok, err := e.passwordMatches(ctx, r.Client, known, r.Password)
		if err != nil {
			return nil, e.refundIfUnchecked(ctx, err, a.failureCharges...)
		}
		if refusal := mayLogin(a.user, ok, e.opts); refusal != nil {
			if !ok {
				a.failureCharges = nil // no refund, because the password was wrong
			}
			return nil, e.recordFailedLogin(ctx, a, refusal)
		}
		in, held, err := e.finishLogin(ctx, a, r)
		if err != nil || held {
			return in, err
		}
		err = e.store.View(ctx, func(tx Tx) (err error) {
			a.user, a.waitingSignups, err = e.findOwners(ctx, tx, email, now)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
}

// finishLogin opens the session or returns a challenge. It reports false if password, factors or state of the account
// have changed since a.user was read.
func (e *Engine) finishLogin(
	ctx context.Context, a passwordAttempt, r LoginRequest,
) (_ *SignIn, unchanged bool, _ error) {
	hash, err := e.upgradedHash(ctx, r.Client, a.user.PasswordHash, r.Password)
	if err != nil {
		return nil, false, err
	}
	user := a.user
	user.PasswordHash = hash
	entry, err := e.newEntry(ctx,
		entry{user: user, proofs: []proof{proofPassword}, persistent: r.Persistent, client: r.Client, at: a.at},
		r.Replaces)
	if err != nil {
		return nil, false, err
	}
	// An account with a factor gets a challenge, unless the device is remembered. The challenge is bound to the
	// current hash and factors of the account, so it needs no lock here. Inside.Admit locks the account later.
	_, remembered := e.rememberedDevice(a.user, r.Client)
	challenged := a.user.Factors > 0 && hash == a.user.PasswordHash && !remembered
	var out admitResult
	err = e.store.Update(ctx, func(tx Tx) (err error) {
		if unchanged = challenged; !unchanged {
			if unchanged, err = tx.ReplacePassword(ctx, a.user, hash); err != nil || !unchanged {
				return err
			}
		}
		if err := refundCharges(ctx, tx, a.failureCharges...); err != nil {
			return err
		}
		out, err = e.admit(ctx, tx, entry, e.newEvent(EventLogin, r.Client, a.at))
		return err
	})
	if err != nil || !unchanged {
		return nil, false, err
	}
	in, err := e.issueTokens(a.device, out)
	return in, true, err
}

func parseLoginFields(r LoginRequest) (Address, error) {
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

// hashToCompare returns the hash of the account, or of the newest sign-up if there is no account, or "". It returns
// only one, so that the duration does not depend on the number of sign-ups.
func (e *Engine) hashToCompare(u User, waiting []Signup) Secret {
	if u.ID != "" || len(waiting) == 0 {
		return u.PasswordHash
	}
	details, _ := e.openSignup(waiting[0]) // after an error, the password is empty and never matches
	return details.PasswordHash
}

// mayLogin returns why a sign-in is refused, or nil. Only the right password reveals the state of the account.
func mayLogin(u User, passwordRight bool, o Options) *Error {
	switch {
	case !passwordRight:
		return invalidCredentials()
	case u.ID == "": // a waiting sign-up
		return emailNotVerified()
	}
	return decideEntry(u, o, []proof{proofPassword}).refusal
}

func invalidCredentials() *Error { return refuse(CodeInvalidCredentials, "Wrong email or password.") }

// passwordMatches verifies a password in the hash pool. An empty hash matches no password and takes the same time.
//
// The engine hashes the normal form (Unicode NFKC) of a password. An imported hash may be of the form that the user
// types. If the two forms differ, passwordMatches tries the typed form second. It does so with every hash, even an
// empty one, so that the time does not reveal whether the account exists.
func (e *Engine) passwordMatches(ctx context.Context, c Client, hash, given Secret) (bool, error) {
	encoded := string(hash)
	if encoded == "" {
		encoded = e.hashing.dummy
	}
	typed := string(given)
	normal, problem := password.Normalize(typed)
	if problem != nil {
		typed, normal = "", "" // no hash matches an empty password, but the check takes as long
	}
	pepper, err := e.keys.findPepper(ctx, encoded)
	if err != nil {
		return false, err
	}
	var ok bool
	var failed error
	var took time.Duration
	tries := time.Duration(1)
	err = e.hashing.runInPool(ctx, c, func() {
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
		err = sleep.For(ctx, wait*tries)
	}
	return ok, err
}

// upgradedHash returns the hash that the account gets at this sign-in. This is a new hash if the old one has other
// parameters or was imported. The old hash stays if the password is too long for bcrypt, or if the pool is busy.
func (e *Engine) upgradedHash(ctx context.Context, c Client, hash, given Secret) (Secret, error) {
	if !passhash.NeedsRehash(string(hash), e.hashing.params) {
		return hash, nil
	}
	normal, err := password.Normalize(string(given))
	if err != nil || !e.hashing.params.Fits(normal) {
		return hash, err
	}
	upgraded, err := e.hashPassword(ctx, c, normal)
	if CodeOf(err) == CodeTryLater {
		return hash, nil
	}
	return upgraded, err
}

package watchword

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/address"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/password"
	"github.com/watchword-auth/watchword/internal/sleep"
)

// Passwords: validation, hashing, and changes by the owner. Every flow that sets a password calls checkNewPassword.

// checkNewPassword returns the password in the normal form that is hashed. It refuses weak passwords, such as one
// that contains only the owner's address or name.
func (e *Engine) checkNewPassword(field string, raw Secret, email Address, name string) (string, *FieldError) {
	if raw == "" {
		return "", &FieldError{field, FieldRequired, "Choose a password."}
	}
	normal, err := password.Normalize(string(raw))
	switch {
	case errors.Is(err, password.ErrTooLong):
		return "", tooLong(field)
	case err != nil:
		return "", &FieldError{field, FieldInvalid, "This password contains characters that are not allowed. Choose another."}
	}
	_, host, _ := strings.Cut(e.opts.PublicURL, "://")
	words := append(slices.Clone(e.opts.PasswordWords), host)
	switch problem := password.Check(normal, e.opts.PasswordMin, words, string(email), name); problem {
	case "":
		if !e.hashing.params.Fits(normal) {
			return "", &FieldError{field, FieldPasswordLong, "Use at most 72 bytes."}
		}
		return normal, nil
	case password.TooShort:
		return "", &FieldError{field, FieldPasswordShort,
			fmt.Sprintf("Use at least %d characters. Several words in a row make a good password.", e.opts.PasswordMin)}
	case password.TooLong:
		return "", tooLong(field)
	case password.Common:
		return "", &FieldError{field, FieldPasswordCommon, "This password is too common. Choose another."}
	default:
		return "", &FieldError{field, FieldPasswordPersonal,
			"This password contains only your email address or name. Choose another."}
	}
}

// CheckPassword refuses a password that no account may have. A form can call it to report a bad password together
// with the problems of other fields. Codes: CodeValidationFailed (password).
func (e *Engine) CheckPassword(password Secret) error {
	if _, problem := e.checkNewPassword("password", password, "", ""); problem != nil {
		return unacceptable(*problem)
	}
	return nil
}

func tooLong(field string) *FieldError {
	return &FieldError{field, FieldPasswordLong, "Use at most 256 characters."}
}

// hashPassword hashes a password that checkNewPassword accepted. Codes: CodeTryLater.
func (e *Engine) hashPassword(ctx context.Context, c Client, normal string) (hash Secret, err error) {
	var failed error
	err = e.hashing.runInPool(ctx, c, func() {
		var encoded string
		encoded, failed = passhash.Hash(e.hashing.params, normal)
		hash = Secret(encoded)
	})
	return hash, errors.Join(err, failed)
}

// runInPool returns CodeTryLater if the queue is too long.
func (h hashing) runInPool(ctx context.Context, c Client, work func()) error {
	err := h.pool.Do(ctx, c.networkKey(), work)
	var busy *passhash.BusyError
	if errors.As(err, &busy) {
		detail := "The server is busy. Try again shortly."
		return &Error{Code: CodeTryLater, Detail: detail, RetryAfter: busy.RetryAfter}
	}
	return err
}

func passwordMissing(field string) error {
	return unacceptable(FieldError{field, FieldRequired, "Enter your password."})
}

// reauthenticate checks the current password. An account with a factor also needs a recent proof. An account without
// a password needs only the recent proof. Failures count per session, so other clients can't use up the attempts of
// this session. A correct password does not count, even if the calling flow fails later. Codes: CodeStepUpRequired,
// CodePasswordWrong, CodeRateLimited, CodeTryLater.
func (e *Engine) reauthenticate(ctx context.Context, who Identity, given Secret, c Client, now time.Time) error {
	passwordless := who.User.PasswordHash == "" // signs in only by provider or passkey
	switch stale := requireRecentProof(who.User, who.Session, e.opts.StepUpAge, now); {
	case stale != nil && (who.User.Factors > 0 || passwordless):
		return stale
	case passwordless:
		return nil
	}
	failure := e.opts.Limits.Reauthentication.newCharge(limitReauthentication, string(who.Session.ID), now)
	if err := e.chargeInOwnTx(ctx, failure); err != nil {
		return err
	}
	ok, err := e.passwordMatches(ctx, c, who.User.PasswordHash, given)
	switch {
	case err != nil:
		return e.refundIfUnchecked(ctx, err, failure)
	case !ok:
		refusal := refuse(CodePasswordWrong, "The current password is wrong.")
		return e.recordFailedLogin(ctx, passwordAttempt{at: now, client: c, user: who.User}, refusal)
	}
	return e.refundInOwnTx(ctx, failure)
}

// ChangePassword sets a new password and ends the user's other sessions. The link that undoes a change of address
// stays valid. Otherwise a thief who changes the address and then the password would lock the owner out. Codes:
// CodePasswordWrong, CodeStepUpRequired, CodeValidationFailed (currentPassword missing; newPassword),
// CodeRateLimited, CodeTryLater.
func (e *Engine) ChangePassword(ctx context.Context, who Identity, current, next Secret, c Client) error {
	if current == "" && who.User.PasswordHash != "" {
		return passwordMissing("currentPassword")
	}
	now := e.now()
	normal, problem := e.checkNewPassword("newPassword", next, who.User.Email, who.User.Name)
	if problem != nil {
		return unacceptable(*problem)
	}
	limit := e.opts.Limits.LoginPerClient.newCharge(limitLoginPerClient, c.networkKey(), now)
	if err := e.chargeInOwnTx(ctx, limit); err != nil {
		return err
	}
	if err := e.reauthenticate(ctx, who, current, c, now); err != nil {
		return err
	}
	hash, err := e.hashPassword(ctx, c, normal)
	if err != nil {
		return err
	}
	event := e.newEvent(EventPasswordChanged, c, now).ofUser(who.User.ID).ofSession(who.Session.ID)
	return e.recordChange(ctx, &event, func(tx Tx) error {
		if err := lockAndSetPassword(ctx, tx, who.User, hash); err != nil {
			return err
		}
		return e.revokeAfterPasswordChange(ctx, tx, who.User, who.Session.ID, event)
	})
}

// revokeAfterPasswordChange ends all sessions except keptID, forgets remembered devices, and deletes mailed tokens. It
// also queues the notice to the user.
func (e *Engine) revokeAfterPasswordChange(ctx context.Context, tx Tx, u User, keptID SessionID, event Event) error {
	if _, err := tx.EndSessions(ctx, u.ID, keptID, EndedPassword, event.At); err != nil {
		return err
	}
	if err := tx.ForgetDevices(ctx, u.ID); err != nil {
		return err
	}
	if err := tx.DeleteMailTokens(ctx, u.ID, MailVerify, MailReset, MailConfirmAddress); err != nil {
		return err
	}
	return e.queueMail(ctx, tx, newMail(MailPasswordChanged, u, event))
}

func parseEmail(field, raw string) (Address, *FieldError) {
	return parseEmailWith(address.Parse, field, raw)
}

// parseKnownEmail accepts addresses that parseEmail refuses today, so that their accounts can still sign in.
func parseKnownEmail(field, raw string) (Address, *FieldError) {
	return parseEmailWith(address.ParseExisting, field, raw)
}

func parseEmailWith(parse func(string) (string, error), field, raw string) (Address, *FieldError) {
	if raw == "" {
		return "", &FieldError{field, FieldRequired, "Enter an email address."}
	}
	canonical, err := parse(raw)
	if err != nil {
		return "", &FieldError{field, FieldInvalid, "Enter a valid email address, such as name@example.com."}
	}
	return Address(canonical), nil
}

const (
	measurePeriod   = time.Hour
	sampledAccounts = 1000
	measuredKinds   = 8
)

// runHashMeasurement measures each kind of password hash every hour, because imported hashes can cost more than new
// ones. With the measured costs, the engine gives all responses to a sign-in the same duration.
func (e *Engine) runHashMeasurement(ctx context.Context) {
	for ctx.Err() == nil {
		e.hashing.level.Renew()
		if err := e.measureHashCosts(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("can't read accounts to measure their kinds of password hashes", slog.Any("error", err))
		}
		if sleep.For(ctx, measurePeriod) != nil {
			return
		}
	}
}

// measureHashCosts checks one hash of each kind. After an error with one kind, it still measures the others.
func (e *Engine) measureHashCosts(ctx context.Context) error {
	users, err := e.Operator().Users(ctx, "", sampledAccounts)
	if err != nil {
		return err
	}
	tried := map[string]bool{}
	for _, user := range users {
		hash := string(user.PasswordHash)
		recipe := passhash.Recipe(hash)
		if hash == "" || tried[recipe] || len(tried) == measuredKinds || passhash.CostsAs(hash, e.hashing.params) {
			continue
		}
		tried[recipe] = true
		if _, err := e.passwordMatches(ctx, Client{}, user.PasswordHash, ""); err != nil {
			e.log.Warn("can't check a password hash", slog.String("user", string(user.ID)), slog.Any("error", err))
		}
	}
	return nil
}

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

// Passwords: validation, hashing, and the change by the owner. Every flow that sets a password calls acceptable.

// acceptable returns the password in the form to hash, or the reason to refuse it. It refuses passwords that consist
// only of the owner's address and name.
func (e *Engine) acceptable(field string, raw Secret, email Address, name string) (string, *FieldError) {
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
	if _, problem := e.acceptable("password", password, "", ""); problem != nil {
		return unacceptable(*problem)
	}
	return nil
}

func tooLong(field string) *FieldError {
	return &FieldError{field, FieldPasswordLong, "Use at most 256 characters."}
}

// hash creates a new hash of an acceptable password in the pool. Codes: CodeTryLater.
func (e *Engine) hash(ctx context.Context, c Client, normal string) (hash Secret, err error) {
	var failed error
	err = e.hashing.do(ctx, c, func() {
		var encoded string
		encoded, failed = passhash.Hash(e.hashing.params, normal)
		hash = Secret(encoded)
	})
	return hash, errors.Join(err, failed)
}

// do runs the function work in the hash pool. Codes: CodeTryLater (the queue is too long).
func (h hashing) do(ctx context.Context, c Client, work func()) error {
	err := h.pool.Do(ctx, c.key(), work)
	var busy *passhash.BusyError
	if errors.As(err, &busy) {
		detail := "The server is busy. Try again shortly."
		return &Error{Code: CodeTryLater, Detail: detail, RetryAfter: busy.RetryAfter}
	}
	return err
}

// required returns the error for a missing password in the field.
func required(field string) error {
	return unacceptable(FieldError{field, FieldRequired, "Enter your password."})
}

// reauthenticate checks the password of a signed-in user. If the account has a factor, the session also needs a
// recent proof. Failures count per session, so other clients can't use up the attempts of this session. A right
// password does not count, even if the calling flow fails later. Codes: CodeStepUpRequired, CodePasswordWrong,
// CodeRateLimited, CodeTryLater.
func (e *Engine) reauthenticate(ctx context.Context, who Identity, given Secret, c Client, now time.Time) error {
	passwordless := who.User.PasswordHash == "" // needs only a recent sign-in, by provider or passkey
	switch stale := decideFresh(who.User, who.Session, e.opts.StepUpAge, now); {
	case stale != nil && (who.User.Factors > 0 || passwordless):
		return stale
	case passwordless:
		return nil
	}
	failure := e.opts.Limits.Reauthentication.charge(limitReauthentication, string(who.Session.ID), now)
	if err := e.charge(ctx, failure); err != nil {
		return err
	}
	ok, err := e.passwordMatches(ctx, c, who.User.PasswordHash, given)
	switch {
	case err != nil:
		return e.unchecked(ctx, err, failure)
	case !ok:
		return e.loginFailed(ctx, attempt{at: now, client: c, user: who.User}, passwordWrong())
	}
	return e.refund(ctx, failure)
}

func passwordWrong() *Error {
	return refuse(CodePasswordWrong, "The current password is wrong.")
}

// ChangePassword sets a new password and ends the user's other sessions. It revokes mailed links, but not the link
// that undoes a change of address. Without that link, a thief who changes the address and the password would lock the
// owner out. Codes: CodePasswordWrong, CodeStepUpRequired, CodeValidationFailed (currentPassword missing;
// newPassword), CodeRateLimited, CodeTryLater.
func (e *Engine) ChangePassword(ctx context.Context, who Identity, current, next Secret, c Client) error {
	if current == "" && who.User.PasswordHash != "" {
		return required("currentPassword")
	}
	now := e.now()
	normal, problem := e.acceptable("newPassword", next, who.User.Email, who.User.Name)
	if problem != nil {
		return unacceptable(*problem)
	}
	if err := e.charge(ctx, e.opts.Limits.LoginPerClient.charge(limitLoginPerClient, c.key(), now)); err != nil {
		return err
	}
	if err := e.reauthenticate(ctx, who, current, c, now); err != nil {
		return err
	}
	hash, err := e.hash(ctx, c, normal)
	if err != nil {
		return err
	}
	event := e.event(EventPasswordChanged, c, now).of(who.User.ID).on(who.Session.ID)
	return e.record(ctx, &event, func(tx Tx) error {
		if err := holdPassword(ctx, tx, who.User, hash); err != nil {
			return err
		}
		return e.passwordChanged(ctx, tx, who.User, who.Session.ID, event)
	})
}

// passwordChanged runs in the transaction that sets a password. It ends all sessions except the session spare,
// deletes remembered devices and mailed tokens, and posts the notice of the event.
func (e *Engine) passwordChanged(ctx context.Context, tx Tx, u User, spare SessionID, event Event) error {
	if _, err := tx.EndSessions(ctx, u.ID, spare, EndedPassword, event.At); err != nil {
		return err
	}
	if err := tx.ForgetDevices(ctx, u.ID); err != nil {
		return err
	}
	if err := tx.DeleteMailTokens(ctx, u.ID, MailVerify, MailReset, MailConfirmAddress); err != nil {
		return err
	}
	return e.post(ctx, tx, mailTo(MailPasswordChanged, u, event))
}

// parseEmail returns the canonical form of an address for an account or a mail.
func parseEmail(field, raw string) (Address, *FieldError) {
	return parseEmailWith(address.Parse, field, raw)
}

// parseKnownEmail returns the canonical form of an address for a look-up. It accepts
// addresses that parseEmail refuses today, so that their accounts can still sign in.
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
	levelPeriod = time.Hour
	levelSample = 1000 // accounts whose hashes are read
	levelKinds  = 8    // kinds of hashes to measure
)

// runLevel measures the cost of each kind of stored hash, at the start and every hour. Imported hashes can cost more.
// The engine needs these costs to give all responses the same duration, from the first attempt on.
func (e *Engine) runLevel(ctx context.Context) {
	for ctx.Err() == nil {
		e.hashing.level.Renew()
		if err := e.learnLevel(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("can't read accounts to measure their kinds of password hashes", slog.Any("error", err))
		}
		if sleep.For(ctx, levelPeriod) != nil {
			return
		}
	}
}

// learnLevel checks one hash of each kind. An error with one kind is logged, and the others are still measured.
func (e *Engine) learnLevel(ctx context.Context) error {
	users, err := e.Operator().Users(ctx, "", levelSample)
	if err != nil {
		return err
	}
	tried := map[string]bool{}
	for _, user := range users {
		hash := string(user.PasswordHash)
		recipe := passhash.Recipe(hash)
		if hash == "" || tried[recipe] || len(tried) == levelKinds || passhash.CostsAs(hash, e.hashing.params) {
			continue
		}
		tried[recipe] = true
		if _, err := e.passwordMatches(ctx, Client{}, user.PasswordHash, ""); err != nil {
			e.log.Warn("can't check a password hash", slog.String("user", string(user.ID)), slog.Any("error", err))
		}
	}
	return nil
}

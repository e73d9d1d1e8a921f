package watchword

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/watchword-auth/watchword/internal/address"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/password"
)

// Passwords: which are acceptable, how they become hashes, and the change of one
// by its owner. Every path that sets a password goes through acceptable.

// acceptable returns the password as it is to be hashed, or what is wrong with
// it. The owner's address and name may not be the password.
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
	switch problem := password.Check(normal, e.opts.PasswordMin, string(email), name); problem {
	case "":
		return normal, nil
	case password.TooShort:
		return "", &FieldError{field, FieldPasswordShort,
			fmt.Sprintf("Use at least %d characters. Several words in a row make a good password.", e.opts.PasswordMin)}
	case password.TooLong:
		return "", tooLong(field)
	case password.Common:
		return "", &FieldError{field, FieldPasswordCommon, "This password is too common. Choose another."}
	default:
		return "", &FieldError{field, FieldPasswordPersonal, "This password contains only your email address or name. Choose another."}
	}
}

func tooLong(field string) *FieldError {
	return &FieldError{field, FieldPasswordLong, "Use at most 256 characters."}
}

// hash makes a new hash in the pool.
func (e *Engine) hash(ctx context.Context, c Client, normal string) (hash Secret, err error) {
	var failed error
	err = e.hashing.do(ctx, c, func() {
		var encoded string
		encoded, failed = passhash.Hash(e.hashing.params, normal)
		hash = Secret(encoded)
	})
	if errors.Is(failed, passhash.ErrTooLong) {
		return "", unacceptable(FieldError{"password", FieldPasswordLong, "Use at most 72 bytes."})
	}
	return hash, errors.Join(err, failed)
}

// do runs work in the pool, or refuses when the queue is too long.
func (h hashing) do(ctx context.Context, c Client, work func()) error {
	err := h.pool.Do(ctx, c.key(), work)
	var busy *passhash.BusyError
	if errors.As(err, &busy) {
		return &Error{
			Code:       CodeTryLater,
			Detail:     "The server is busy. Try again shortly.",
			RetryAfter: busy.RetryAfter,
		}
	}
	return err
}

// required says that a member of a request is missing.
func required(field string) error {
	return unacceptable(FieldError{field, FieldRequired, "Enter your password."})
}

// reauthenticate asks a signed-in user for the password. Failures count per session,
// so that nobody else can use up its attempts. It returns the charge to give back with
// what follows.
func (e *Engine) reauthenticate(ctx context.Context, who Identity, given Secret, c Client, now time.Time) (Charge, error) {
	failure := e.opts.Limits.Reauthentication.charge("reauth", string(who.Session.ID), now)
	if err := e.charge(ctx, failure); err != nil {
		return Charge{}, err
	}
	ok, err := e.passwordMatches(ctx, c, who.User.PasswordHash, given)
	if err != nil {
		return Charge{}, err
	}
	if !ok {
		return Charge{}, e.loginFailed(ctx, attempt{at: now, client: c, user: who.User}, passwordWrong())
	}
	return failure, nil
}

func passwordWrong() *Error {
	return refuse(CodePasswordWrong, "The current password is wrong.")
}

// ChangePassword sets a new password and ends the user's other sessions. It
// kills every mailed token but the one that undoes a change of address: whoever
// took the account over could otherwise shut the owner out by changing both.
// Codes: CodePasswordWrong, CodeValidationFailed (newPassword),
// CodeRateLimited, CodeTryLater.
func (e *Engine) ChangePassword(ctx context.Context, who Identity, current, next Secret, c Client) error {
	if current == "" {
		return required("currentPassword")
	}
	now := e.now()
	normal, problem := e.acceptable("newPassword", next, who.User.Email, who.User.Name)
	if problem != nil {
		return unacceptable(*problem)
	}
	if err := e.charge(ctx, e.opts.Limits.LoginPerClient.charge("login", c.key(), now)); err != nil {
		return err
	}
	charge, err := e.reauthenticate(ctx, who, current, c, now)
	if err != nil {
		return err
	}
	hash, err := e.hash(ctx, c, normal)
	if err != nil {
		return err
	}
	event := e.event(EventPasswordChanged, c, now).of(who.User.ID).on(who.Session.ID)
	err = e.store.Update(ctx, func(tx Tx) error {
		unchanged, err := tx.ReplacePassword(ctx, who.User.ID, who.User.PasswordHash, hash)
		if err != nil {
			return err
		}
		if !unchanged {
			return passwordWrong() // somebody was faster
		}
		if err := refund(ctx, tx, charge); err != nil {
			return err
		}
		return e.passwordChanged(ctx, tx, who.User, who.Session.ID, event)
	})
	if err != nil {
		return err
	}
	e.announce(event)
	e.wakeOutbox()
	return nil
}

// passwordChanged is what follows from a new password, in its transaction.
func (e *Engine) passwordChanged(ctx context.Context, tx Tx, u User, spare SessionID, event Event) error {
	if _, err := tx.EndSessions(ctx, u.ID, spare, EndedPassword, event.At); err != nil {
		return err
	}
	if err := tx.DeleteMailTokens(ctx, u.ID, MailVerify, MailReset, MailConfirmAddress); err != nil {
		return err
	}
	if err := e.post(ctx, tx, mailTo(MailPasswordChanged, u, event)); err != nil {
		return err
	}
	return tx.InsertEvent(ctx, event)
}

// parseEmail makes an address canonical that an account is to have, or that mail
// is to be sent to.
func parseEmail(field, raw string) (Address, *FieldError) {
	return parseEmailWith(address.Parse, field, raw)
}

// parseKnownEmail makes an address canonical that an account is looked up by. An
// account whose address is refused today can still sign in.
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
	levelSample = 1000 // accounts
	levelKinds  = 8    // of hashes
)

// runLevel learns the level from what is stored, before somebody's first attempt
// would teach it. Accounts that came by an import mostly have hashes of one kind.
func (e *Engine) runLevel(ctx context.Context) {
	for ctx.Err() == nil {
		e.hashing.level.Renew()
		if err := e.learnLevel(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("the accounts can't be read for the kinds of their password hashes", slog.Any("error", err))
		}
		if pause(ctx, levelPeriod) != nil {
			return
		}
	}
}

// learnLevel checks one hash of each kind. One that can't be read, or not now, keeps
// nothing from being learnt of the others.
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
			e.log.Warn("a password hash can't be checked", slog.String("user", string(user.ID)), slog.Any("error", err))
		}
	}
	return nil
}

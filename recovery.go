package watchword

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-auth/watchword/internal/knowndevice"
	"github.com/watchword-auth/watchword/internal/weborigin"
)

// A forgotten password, in two steps.
//
// Forgot: every request writes one row and gets the same response. The outbox worker looks up the owner of the
// address later. Therefore neither the text nor the time of a response reveals an account.
//
// Reset: the token is looked up, and the password is checked and hashed. A refused password does not consume the
// token. One transaction consumes the token, stores the hash, ends every session and deletes the other mailed tokens.
// The user then signs in with the new password. While an address is unproven, its verification link also works as a
// reset link. Another person may have signed up with the address, so the owner might not know the password.

// ForgotPassword mails a reset link to the owner of an address, if any. A front-end can pass the URL of its own reset
// page. The link is then this URL, followed by "/" and the token. If the URL is empty, or if its origin is not one of
// Options.LinkOrigins, the link opens the server's page. Codes: CodeValidationFailed (email), CodeRateLimited.
func (e *Engine) ForgotPassword(ctx context.Context, email, page string, c Client) error {
	return e.queueRequestedMail(ctx, MailReset, email, weborigin.Page(page, e.opts.LinkOrigins), c)
}

// queueRequestedMail queues a mail for an address, without checking that the address has an account.
func (e *Engine) queueRequestedMail(ctx context.Context, kind MailKind, email, page string, c Client) error {
	to, problem := parseEmail("email", email)
	if problem != nil {
		return unacceptable(*problem)
	}
	now := e.now()
	cause := e.newEvent("", c, now)
	mail := newMail(kind, User{Email: to}, cause)
	mail.Facts.Page, mail.Cause.Request, mail.Facts.ReturnTo = page, cause.RequestID, c.ReturnTo
	limit := limitedCharges(e.opts.Limits.MailPerClient.newCharge(limitMailPerClient, c.networkKey(), now))
	var wait time.Duration
	err := e.store.Update(ctx, func(tx Tx) (err error) {
		if wait, err = takeCharges(ctx, tx, limit); err != nil || wait > 0 {
			return err
		}
		return e.queueMail(ctx, tx, mail)
	})
	if err == nil && wait > 0 {
		err = rateLimited(wait)
	}
	if err == nil {
		e.mailPosted.Set()
	}
	return err
}

// recordResetRequest returns the event of a requested reset. It runs at the first attempt to send the mail, when the
// owner is known. Requests therefore cost the same with and without an account, and a flood of requests leaves no
// more events than mails.
func recordResetRequest(ctx context.Context, tx Tx, m Mail, owner User) (Event, error) {
	if m.Attempts > 1 {
		return Event{}, nil
	}
	event := Event{ID: newID(), Kind: eventResetRequested, At: m.CreatedAt, UserID: owner.ID,
		Address: m.Facts.Address, Device: m.Facts.Device, RequestID: m.Cause.Request, Operator: m.Cause.Operator}
	switch {
	case m.UserID == "":
	case m.Facts.Address == "": // an operator's event has no network address
		event.Detail = "by an operator"
	default:
		event.Detail = "address change undone"
	}
	return event, tx.InsertEvent(ctx, event)
}

// ResendVerification mails a new link to the owner of an address that is not yet proven. The result is the same for
// every address. Codes: CodeValidationFailed (email), CodeRateLimited.
func (e *Engine) ResendVerification(ctx context.Context, email string, c Client) error {
	return e.queueRequestedMail(ctx, MailVerify, email, "", c)
}

// ResetPassword sets a password with the token of a reset link, or of a verification link while its address is not
// proven. The token proves the address. If this is the first proof, the creator of the account loses access. If the
// address has waiting sign-ups but no account, ResetPassword creates the account. It returns a SignIn.DeviceToken for
// the next sign-in, because strangers may have used up the limits of unknown devices. Codes: CodeMailTokenInvalid,
// CodeValidationFailed (password), CodeSignupClosed, CodeEmailTaken, CodeTryLater.
func (e *Engine) ResetPassword(ctx context.Context, token, password Secret, c Client) (deviceToken Secret, err error) {
	now := e.now()
	box, err := e.openLink(ctx, token, now, MailReset, MailVerify)
	if err != nil {
		return "", err
	}
	normal, problem := e.checkNewPassword("password", password, box.link.Email, box.account.Name)
	if problem != nil {
		return "", unacceptable(*problem)
	}
	hash, err := e.hashPassword(ctx, c, normal)
	if err != nil {
		return "", err
	}
	owner := ownerAfterProof(box.account, passwordCandidate{"", signupDetails{PasswordHash: hash}}, box.link.Email, now)
	event := e.newEvent(EventPasswordReset, c, now).ofUser(owner.ID)
	err = e.recordChange(ctx, &event, func(tx Tx) error {
		if !box.account.Verified() {
			_, err = e.proveFirst(ctx, tx, box, owner)
		} else {
			err = e.setLinkedPassword(ctx, tx, box, owner)
		}
		if err != nil || box.account.ID == "" { // a new account needs no notice of a changed password
			return err
		}
		return e.revokeAfterPasswordChange(ctx, tx, owner, "", event)
	})
	if err != nil {
		return "", err
	}
	return e.signDeviceToken(knowndevice.ID{}, owner), nil
}

// findMailToken returns a valid token and its user. The token can still be used afterwards.
func (e *Engine) findMailToken(
	ctx context.Context, token Secret, kind MailKind, now time.Time,
) (granted MailToken, u User, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		if granted, err = tx.MailToken(ctx, hashMailToken(token), kind, now); err != nil {
			return err
		}
		u, err = tx.User(ctx, granted.UserID)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = mailTokenInvalid()
	}
	return granted, u, err
}

// setLinkedPassword refuses a link whose account no longer has the address that the link was mailed to.
func (e *Engine) setLinkedPassword(ctx context.Context, tx Tx, box mailbox, owner User) error {
	if err := requireUnchanged(tx.LockUser(ctx, owner.ID, box.link.Email)); err != nil {
		return err
	}
	if err := tx.SetPassword(ctx, owner.ID, owner.PasswordHash); err != nil {
		return err
	}
	return consumeLink(ctx, tx, box, owner.VerifiedAt)
}

// requireUnchanged refuses a link if unchanged is false: the account, sign-up or link has changed since it was read.
func requireUnchanged(unchanged bool, err error) error {
	if err == nil && !unchanged {
		return mailTokenInvalid()
	}
	return err
}

func mailTokenInvalid() *Error {
	return refuse(CodeMailTokenInvalid,
		"This link no longer works: it was used, replaced by a newer one, or has expired. Request a new one.")
}

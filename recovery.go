package watchword

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/knowndevice"
)

// A forgotten password, in two steps.
//
// Forgot: whoever asks, and whatever is known of the address, one row is
// written and one answer given. The worker looks afterwards who owns the
// address, so neither text nor time tells.
//
// Reset: the token is looked up, then the password checked and hashed, and only
// then the token is taken: a refused password keeps it. Taking it, the new hash,
// the end of every session and the death of the other mailed tokens are one
// transaction. It does not sign in: whoever reads a mailbox for a minute should
// have to leave a trace. A verification link works here, too, while its address is
// not proven: its reader may not know the password of the sign-up.

// ForgotPassword mails a link to the owner of an address, if it has one. Codes:
// CodeValidationFailed (email), CodeRateLimited.
func (e *Engine) ForgotPassword(ctx context.Context, email string, c Client) error {
	return e.mailOwnerOf(ctx, MailReset, email, "", c)
}

// ForgotPasswordAt is ForgotPassword for a front-end that has a page of its own for
// the link: the page's URL, to which "/" and the token are added. One that is not
// on Options.LinkOrigins is passed over without a word, and the link leads to our
// page, as ever.
func (e *Engine) ForgotPasswordAt(ctx context.Context, email, page string, c Client) error {
	return e.mailOwnerOf(ctx, MailReset, email, linkPage(page, e.opts.LinkOrigins), c)
}

// pagePath is the path of a page: plain segments, so that nothing in it leads
// anywhere else.
var pagePath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}){0,8}$`)

// linkPage returns a page that a mail may lead to, or "" for one that it may not:
// who asks for a mail is a stranger, and who reads it trusts us.
func linkPage(page string, origins []string) string {
	page = strings.TrimSuffix(page, "/")
	for _, origin := range origins {
		if path, found := strings.CutPrefix(page, origin); found && pagePath.MatchString(path) {
			return page
		}
	}
	return ""
}

// mailOwnerOf posts a mail that anybody may ask for.
func (e *Engine) mailOwnerOf(ctx context.Context, kind MailKind, email, page string, c Client) error {
	to, problem := parseEmail("email", email)
	if problem != nil {
		return unacceptable(*problem)
	}
	now := e.now()
	cause := e.event("", c, now)
	mail := mailTo(kind, User{Email: to}, cause)
	mail.Facts.Page, mail.Facts.Request = page, cause.RequestID
	limit := charges(e.opts.Limits.MailPerClient.charge("mail_client", c.key(), now))
	var wait time.Duration
	err := e.store.Update(ctx, func(tx Tx) (err error) {
		if wait, err = take(ctx, tx, limit); err != nil || wait > 0 {
			return err
		}
		return e.post(ctx, tx, mail)
	})
	if err != nil {
		return err
	}
	if wait > 0 {
		return limited(wait)
	}
	e.wakeOutbox()
	return nil
}

// recordReset writes the event of a reset that somebody asked for. Only the worker
// does, on the first attempt to send: it knows the owner. An address without an account
// therefore costs the same at the request, and a flood leaves no more events than mails.
func recordReset(ctx context.Context, tx Tx, m Mail, owner User) (Event, error) {
	if m.Attempts > 1 {
		return Event{}, nil
	}
	event := Event{ID: newID(), Kind: EventResetRequested, At: m.CreatedAt, UserID: owner.ID,
		Address: m.Facts.Address, Device: m.Facts.Device, RequestID: m.Facts.Request}
	switch {
	case m.UserID == "":
	case m.Facts.Address == "": // an operator's event has no network address
		event.Detail = "by an operator"
	default:
		event.Detail = "address change undone"
	}
	return event, tx.InsertEvent(ctx, event)
}

// ResendVerification mails a new link to the owner of an address that is not yet
// proven. It responds alike whoever owns the address. Codes:
// CodeValidationFailed (email), CodeRateLimited.
func (e *Engine) ResendVerification(ctx context.Context, email string, c Client) error {
	return e.mailOwnerOf(ctx, MailVerify, email, "", c)
}

// ResetPassword sets a password with a mailed token: one of a reset, or one of a
// verification link while its address is not proven. Having read the mail proves
// the address; if it is the first proof, whoever created the account loses it. An
// address with waiting sign-ups and no account gets its account now. It returns the
// SignIn.DeviceToken of the client: whoever resets a password signs in next, while
// strangers may have used up the limits of unknown devices. Codes:
// CodeMailTokenInvalid, CodeValidationFailed (password), CodeSignupClosed,
// CodeEmailTaken, CodeTryLater.
func (e *Engine) ResetPassword(ctx context.Context, token, password Secret, c Client) (deviceToken Secret, err error) {
	now := e.now()
	box, err := e.openLink(ctx, token, now, MailReset, MailVerify)
	if err != nil {
		return "", err
	}
	normal, problem := e.acceptable("password", password, box.link.Email, box.account.Name)
	if problem != nil {
		return "", unacceptable(*problem)
	}
	hash, err := e.hash(ctx, c, normal)
	if err != nil {
		return "", err
	}
	owner := ownerAfter(box.account, candidate{"", signupDetails{"", hash}}, box.link.Email, now)
	event := e.event(EventPasswordReset, c, now).of(owner.ID)
	err = e.store.Update(ctx, func(tx Tx) error {
		if !box.account.Verified() {
			err = e.proveFirst(ctx, tx, box, owner)
		} else {
			err = e.setLinkedPassword(ctx, tx, box, owner)
		}
		if err != nil {
			return err
		}
		if box.account.ID == "" { // nothing to notify of: the account begins with this password
			return tx.InsertEvent(ctx, event)
		}
		return e.passwordChanged(ctx, tx, owner, "", event)
	})
	if err != nil {
		return "", err
	}
	e.announce(event)
	e.wakeOutbox()
	return e.deviceToken(knowndevice.ID{}, owner), nil
}

// mailTokenOf looks a mailed token up without spending it.
func (e *Engine) mailTokenOf(ctx context.Context, token Secret, kind MailKind, now time.Time) (granted MailToken, u User, err error) {
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

// setLinkedPassword consumes a link and sets the new password of its account, if the
// address of the account is still the one that the link was mailed to.
func (e *Engine) setLinkedPassword(ctx context.Context, tx Tx, box mailbox, owner User) error {
	locked, err := tx.LockUser(ctx, owner.ID, box.link.Email)
	if err == nil && !locked {
		err = mailTokenInvalid()
	}
	if err != nil {
		return err
	}
	if err := tx.SetPassword(ctx, owner.ID, owner.PasswordHash); err != nil {
		return err
	}
	return closeLink(ctx, tx, box, owner.VerifiedAt)
}

func mailTokenInvalid() *Error {
	return refuse(CodeMailTokenInvalid, "This link no longer works: it was used, replaced by a newer one, or has expired. Request a new one.")
}

package watchword

import (
	"context"
	"fmt"
	"time"
)

// A change of address, in three steps, because an address is the key to the
// account: whoever has it can choose a new password.
//
// Change: asked for with the password; nothing changes yet. The answer does not
// tell whether the new address is somebody's.
//
// Confirm: the mail to the new address proves that mailbox. A session of the
// account or its password proves the account: without either, somebody could
// move an account to a stranger's mailbox by the stranger's click, and take it
// back later. The old address is told, and if it had been proven it can take the
// account back for a week, whatever the new address does meanwhile.
//
// Undo: the old address is restored, every session ends and the password is
// gone, for whoever made the change knew it; a mail lets the owner choose
// another. The undo survives what a thief would do next, a change of password or
// of address. What it restores stays reserved meanwhile (Tx.InsertUser).

// UndoLife is how long the previous address can take an account back after a change.
const UndoLife = 7 * 24 * time.Hour

// ChangeEmail mails a confirmation to the new address. Codes: CodePasswordWrong,
// CodeValidationFailed (newEmail), CodeRateLimited, CodeTryLater.
func (e *Engine) ChangeEmail(ctx context.Context, who Identity, newEmail string, password Secret, c Client) error {
	to, problem := parseEmail("newEmail", newEmail)
	if problem == nil && to == who.User.Email {
		problem = &FieldError{"newEmail", FieldInvalid, "This is already your email address."}
	}
	if problem != nil {
		return unacceptable(*problem)
	}
	if password == "" {
		return required("password")
	}
	now := e.now()
	if err := e.charge(ctx, e.opts.Limits.MailPerClient.charge("mail_client", c.key(), now)); err != nil {
		return err
	}
	charge, err := e.reauthenticate(ctx, who, password, c, now)
	if err != nil {
		return err
	}
	mail := mailTo(MailConfirmAddress, who.User, e.event("", c, now))
	mail.To = to
	if who.User.Verified() {
		mail.Facts.UndoUntil = now.Add(e.opts.VerifyTTL).Add(UndoLife)
	}
	err = e.store.Update(ctx, func(tx Tx) error {
		if err := e.holdPassword(ctx, tx, who.User); err != nil {
			return err
		}
		if err := refund(ctx, tx, charge); err != nil {
			return err
		}
		return e.askForConfirmation(ctx, tx, mail, now)
	})
	if err == nil {
		e.wakeOutbox()
	}
	return err
}

// askForConfirmation posts the mail to a new address, with the token that confirms
// it, in place of any earlier one. If the address had too many mails already, the
// earlier link to it keeps working, and those to other addresses end.
func (e *Engine) askForConfirmation(ctx context.Context, tx Tx, mail Mail, now time.Time) error {
	wait, err := take(ctx, tx, e.mailBudget(mail.Kind, mail.To, now))
	if err != nil {
		return err
	}
	earlier, err := tx.MailTokens(ctx, mail.UserID, mail.Kind, now)
	if err != nil {
		return err
	}
	for _, token := range earlier {
		if wait > 0 && token.Email == mail.To {
			continue
		}
		if _, err := tx.TakeMailToken(ctx, token.Hash, token.Kind, now); err != nil {
			return err
		}
	}
	if wait > 0 {
		return nil
	}
	if err := e.grantToken(ctx, tx, mail, mail.To, now.Add(e.opts.VerifyTTL)); err != nil {
		return err
	}
	return e.post(ctx, tx, mail)
}

// A ConfirmRequest consumes the link that a new address was mailed.
type ConfirmRequest struct {
	Token     Secret
	Presented []Secret // access and refresh tokens that the request carries; may be expired or garbage
	Password  Secret   // the account's; may be empty
	Client    Client
}

// ConfirmEmail makes the new address the account's. It returns until when the
// previous address can take the account back: the zero time if it can't. Codes:
// CodeMailTokenInvalid, CodePasswordRequired (the token stays valid),
// CodePasswordWrong, CodeAccountDisabled, CodeEmailTaken, CodeRateLimited,
// CodeTryLater.
func (e *Engine) ConfirmEmail(ctx context.Context, r ConfirmRequest) (undoUntil time.Time, err error) {
	now := e.now()
	granted, user, err := e.mailTokenOf(ctx, r.Token, MailConfirmAddress, now)
	if err != nil {
		return time.Time{}, err
	}
	failure, err := e.ownsAccount(ctx, mailbox{link: granted, account: user}, r, now)
	if err != nil {
		return time.Time{}, err
	}
	event := e.event(EventEmailChanged, r.Client, now).of(user.ID)
	err = e.store.Update(ctx, func(tx Tx) error {
		if err := e.holdPassword(ctx, tx, user); err != nil {
			return err
		}
		if err := refund(ctx, tx, failure...); err != nil {
			return err
		}
		undoUntil, err = e.moveAccount(ctx, tx, user, granted, event)
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	e.announce(event)
	e.wakeOutbox()
	return undoUntil, nil
}

// ownsAccount wants a live session of the account, or its password. It returns the
// charges to refund.
func (e *Engine) ownsAccount(ctx context.Context, box mailbox, r ConfirmRequest, now time.Time) ([]Charge, error) {
	signedIn, err := e.presents(ctx, r.Presented, box.account.ID)
	if err != nil || signedIn {
		return nil, err
	}
	if r.Password == "" {
		return nil, passwordRequired()
	}
	own := []candidate{{"", signupDetails{box.account.Name, box.account.PasswordHash}}}
	_, a, err := e.tryPassword(ctx, box, passwordTry{own, r.Password, r.Client, now})
	return a.failure, err
}

// moveAccount gives the account its new address, in the transaction of the caller,
// and returns until when the previous one can take it back.
func (e *Engine) moveAccount(
	ctx context.Context, tx Tx, u User, granted MailToken, event Event,
) (undoUntil time.Time, err error) {
	if u, err = tx.User(ctx, u.ID); err != nil { // the address may have been proven meanwhile
		return undoUntil, err
	}
	notice := mailTo(MailAddressChanged, u, event)
	notice.Facts.NewEmail = granted.Email
	if err := setEmail(ctx, tx, u, granted, event.At); err != nil {
		return undoUntil, err
	}
	if err := tx.DeleteMailTokens(ctx, u.ID, MailVerify, MailReset, MailConfirmAddress); err != nil {
		return undoUntil, err
	}
	if err := addressProven(ctx, tx, granted.Email); err != nil {
		return undoUntil, err
	}
	if u.Verified() { // an address that nobody proved gets no mail
		undoUntil = event.At.Add(UndoLife)
		if err := e.grantToken(ctx, tx, notice, u.Email, undoUntil); err != nil {
			return undoUntil, err
		}
		if err := e.post(ctx, tx, notice); err != nil {
			return undoUntil, err
		}
	}
	return undoUntil, tx.InsertEvent(ctx, event)
}

// UndoUntil returns until when a previous address can take the account back: the
// zero time if none can.
func (e *Engine) UndoUntil(ctx context.Context, who Identity) (until time.Time, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		until, err = tx.LastMailToken(ctx, who.User.ID, MailAddressChanged, e.now())
		return err
	})
	return until, err
}

// UndoEmail gives the account back to the address that it had. Codes:
// CodeMailTokenInvalid, CodeEmailTaken.
func (e *Engine) UndoEmail(ctx context.Context, token Secret, c Client) error {
	now := e.now()
	granted, user, err := e.mailTokenOf(ctx, token, MailAddressChanged, now)
	if err != nil {
		return err
	}
	event := e.event(EventEmailUndone, c, now).of(user.ID)
	reset := mailTo(MailReset, User{ID: user.ID, Email: granted.Email}, event)
	err = e.store.Update(ctx, func(tx Tx) error {
		if err := setEmail(ctx, tx, user, granted, now); err != nil {
			return err
		}
		if err := tx.SetPassword(ctx, user.ID, ""); err != nil {
			return err
		}
		if _, err := tx.EndSessions(ctx, user.ID, "", EndedEmail, now); err != nil {
			return err
		}
		if err := tx.DeleteMailTokens(ctx, user.ID, MailVerify, MailReset, MailConfirmAddress); err != nil {
			return err
		}
		// What undoes a later change would give the account back to the thief.
		if err := tx.DeleteMailTokensAfter(ctx, user.ID, MailAddressChanged, granted.ExpiresAt); err != nil {
			return err
		}
		if err := tx.InsertMail(ctx, reset); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err != nil {
		return err
	}
	e.announce(event)
	e.wakeOutbox()
	return nil
}

// setEmail spends the token and gives the user the address that it speaks for.
func setEmail(ctx context.Context, tx Tx, u User, granted MailToken, now time.Time) error {
	free, err := tx.SetEmail(ctx, u.ID, u.Email, granted.Email, now)
	if err != nil {
		return err
	}
	taken, err := tx.TakeMailToken(ctx, granted.Hash, granted.Kind, now)
	switch {
	case err != nil:
		return err
	case !taken:
		return mailTokenInvalid()
	case free || u.Email == granted.Email:
		return nil
	}
	current, err := tx.User(ctx, u.ID)
	switch {
	case err != nil:
		return err
	case current.Email != u.Email: // another link was used at the same moment
		return fmt.Errorf("%w: the address changed meanwhile", ErrUnavailable)
	}
	return emailTaken()
}

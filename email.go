package watchword

import (
	"context"
	"time"
)

// A change of address, in three steps, because an address is the key to the
// account: whoever has it can choose a new password.
//
// Change: asked for with the password; nothing changes yet. The answer does not
// tell whether the new address is somebody's.
//
// Confirm: the mail to the new address proves it. The old address is told, and
// if it had been proven it can take the account back for a week.
//
// Undo: the old address is restored, every session ends and the password is
// gone, for whoever made the change knew it; a mail lets the owner choose
// another. The undo survives what a thief would do next, a change of password or
// of address. What it restores stays reserved meanwhile (Tx.InsertUser).

const undoLife = 7 * 24 * time.Hour

// ChangeEmail mails a confirmation to the new address. Codes: CodePasswordWrong,
// CodeValidationFailed (newEmail), CodeRateLimited, CodeTryLater.
func (e *Engine) ChangeEmail(ctx context.Context, who Identity, newEmail string, password Secret, c Client) error {
	to, problem := parseEmail("newEmail", newEmail)
	if problem == nil && to == who.User.Email {
		problem = &FieldError{"newEmail", FieldInvalid, "This is your address already."}
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
	charge, err := e.reauthenticate(ctx, who.User, password, c, now)
	if err != nil {
		return err
	}
	mail := mailTo(MailConfirmAddress, who.User, e.event("", c, now))
	mail.To = to
	err = e.store.Update(ctx, func(tx Tx) error {
		if err := e.holdPassword(ctx, tx, who.User); err != nil {
			return err
		}
		if err := refund(ctx, tx, charge); err != nil {
			return err
		}
		if err := tx.DeleteMailTokens(ctx, who.User.ID, MailConfirmAddress); err != nil {
			return err
		}
		if err := e.grantToken(ctx, tx, mail, to, now.Add(e.opts.VerifyTTL)); err != nil {
			return err
		}
		return e.post(ctx, tx, mail)
	})
	if err == nil {
		e.wakeOutbox()
	}
	return err
}

// ConfirmEmail makes the new address the account's. Codes:
// CodeMailTokenInvalid, CodeEmailTaken.
func (e *Engine) ConfirmEmail(ctx context.Context, token Secret, c Client) error {
	now := e.now()
	granted, user, err := e.mailTokenOf(ctx, token, MailConfirmAddress, now)
	if err != nil {
		return err
	}
	event := e.event(EventEmailChanged, c, now).of(user.ID)
	notice := mailTo(MailAddressChanged, user, event)
	notice.Facts.NewEmail = granted.Email
	err = e.store.Update(ctx, func(tx Tx) error {
		if err := setEmail(ctx, tx, user, granted, now); err != nil {
			return err
		}
		if err := tx.DeleteMailTokens(ctx, user.ID, MailVerify, MailReset, MailConfirmAddress); err != nil {
			return err
		}
		if user.Verified() {
			if err := e.grantToken(ctx, tx, notice, user.Email, now.Add(undoLife)); err != nil {
				return err
			}
		}
		if err := e.post(ctx, tx, notice); err != nil {
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
	case !free && u.Email != granted.Email:
		return emailTaken()
	}
	return nil
}

// Verification of an address: the mail proves that whoever made the account
// reads its mailbox. The token speaks for the address that it was mailed to, so
// one that was overtaken by a change of address proves nothing.

// ResendVerification mails a new link to the owner of an address who has not yet
// proven it. It answers alike whoever owns the address. Codes:
// CodeValidationFailed (email), CodeRateLimited.
func (e *Engine) ResendVerification(ctx context.Context, email string, c Client) error {
	return e.mailOwnerOf(ctx, MailVerify, email, "", c)
}

// VerifyEmail marks the address as proven. Codes: CodeMailTokenInvalid.
func (e *Engine) VerifyEmail(ctx context.Context, token Secret, c Client) error {
	now := e.now()
	granted, user, err := e.mailTokenOf(ctx, token, MailVerify, now)
	if err != nil {
		return err
	}
	event := e.event(EventEmailVerified, c, now).of(user.ID)
	err = e.store.Update(ctx, func(tx Tx) error {
		verified, err := tx.SetVerified(ctx, user.ID, granted.Email, now)
		if err != nil {
			return err
		}
		taken, err := tx.TakeMailToken(ctx, granted.Hash, MailVerify, now)
		if err != nil {
			return err
		}
		if !verified || !taken {
			return mailTokenInvalid()
		}
		return tx.InsertEvent(ctx, event)
	})
	if err == nil {
		e.announce(event)
	}
	return err
}

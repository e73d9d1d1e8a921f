package watchword

import (
	"context"
	"fmt"
	"time"
)

// A change of address takes three steps, because the owner of an address can reset the password of its account.
//
// Change: the user requests a new address with the password. The account does not change yet. The response does not
// reveal whether another account has the new address.
//
// Confirm: the mailed link proves that the user can read mail at the new address. The request must also carry a
// session of the account or its password. Otherwise an attacker could move an account to a stranger's address when
// the stranger clicks, and take it back later. If the old address was proven, it gets a mail. For a week, the link in
// this mail can restore the account, even if the address changes again.
//
// Undo: the link restores the old address and ends every session. It removes the password, because the person who
// made the change knew it. It also removes factors and identities that were added after the change. A further mail
// lets the owner choose a new password. The undo link stays valid even if a thief changes the password or the address
// again. The old address stays reserved while the link is valid (UserTx.InsertUser).

const undoLife = 7 * 24 * time.Hour

// ChangeEmail mails a confirmation to the new address. Codes: CodePasswordWrong, CodeStepUpRequired,
// CodeValidationFailed (newEmail, password missing), CodeRateLimited, CodeTryLater.
func (e *Engine) ChangeEmail(ctx context.Context, who Identity, newEmail string, password Secret, c Client) error {
	to, problem := parseEmail("newEmail", newEmail)
	if problem == nil && to == who.User.Email {
		problem = &FieldError{"newEmail", FieldInvalid, "This is already your email address."}
	}
	if problem != nil {
		return unacceptable(*problem)
	}
	if password == "" && who.User.PasswordHash != "" {
		return passwordMissing("password")
	}
	now := e.now()
	limit := e.opts.Limits.MailPerClient.newCharge(limitMailPerClient, c.networkKey(), now)
	if err := e.chargeInOwnTx(ctx, limit); err != nil {
		return err
	}
	if err := e.reauthenticate(ctx, who, password, c, now); err != nil {
		return err
	}
	mail := newMail(MailConfirmAddress, who.User, e.newEvent("", c, now))
	mail.To, mail.Facts.ReturnTo = to, c.ReturnTo
	if who.User.Verified() {
		mail.Facts.UndoUntil = now.Add(e.opts.VerifyTTL).Add(undoLife)
	}
	err := e.store.Update(ctx, func(tx Tx) error {
		if err := lockAndSetPassword(ctx, tx, who.User, who.User.PasswordHash); err != nil {
			return err
		}
		return e.askForConfirmation(ctx, tx, mail, now)
	})
	if err == nil {
		e.mailPosted.Set()
	}
	return err
}

// askForConfirmation mails a link that confirms the new address. This link replaces all earlier links. If the mail
// budget of the address is used up, askForConfirmation sends no mail: the earlier link to this address stays valid,
// and links to other addresses are deleted.
func (e *Engine) askForConfirmation(ctx context.Context, tx Tx, mail Mail, now time.Time) error {
	wait, err := takeCharges(ctx, tx, e.mailCharges(mail.Kind, mail.To, now))
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
	return e.queueMail(ctx, tx, mail)
}

// ConfirmEmail changes the address of the account to the address that received the link. It returns until when the
// owner of the previous address can undo the change, or zero if the previous address was not proven. Codes:
// CodeMailTokenInvalid, CodePasswordRequired (the token stays valid), CodePasswordWrong, CodeAccountDisabled,
// CodeEmailTaken, CodeRateLimited, CodeTryLater.
func (e *Engine) ConfirmEmail(ctx context.Context, r MailLinkRequest) (undoUntil time.Time, err error) {
	now := e.now()
	granted, user, err := e.findMailToken(ctx, r.Token, MailConfirmAddress, now)
	if err != nil {
		return time.Time{}, err
	}
	if err := e.ownsAccount(ctx, mailbox{link: granted, account: user}, r, now); err != nil {
		return time.Time{}, err
	}
	event := e.newEvent(eventEmailChanged, r.Client, now).ofUser(user.ID)
	err = e.recordChange(ctx, &event, func(tx Tx) error {
		if err := lockAndSetPassword(ctx, tx, user, user.PasswordHash); err != nil {
			return err
		}
		undoUntil, err = e.moveAccount(ctx, tx, mailbox{link: granted, account: user}, event, r.Client.ReturnTo)
		return err
	})
	return undoUntil, err
}

// ownsAccount returns an error unless the request has an active session of the account, or its password.
func (e *Engine) ownsAccount(ctx context.Context, box mailbox, r MailLinkRequest, now time.Time) error {
	signedIn, err := e.hasLiveSession(ctx, r.Presented, box.account.ID)
	if err != nil || signedIn {
		return err
	}
	if r.Password == "" {
		return passwordRequired()
	}
	own := []passwordCandidate{{"", signupDetails{PasswordHash: box.account.PasswordHash}}}
	_, _, err = e.tryPassword(ctx, box, passwordTry{own, r.Password, r.Client, now})
	return err
}

// moveAccount changes the account's address in the caller's transaction. It returns the undoUntil of ConfirmEmail.
func (e *Engine) moveAccount(
	ctx context.Context, tx Tx, box mailbox, event Event, returnTo string,
) (undoUntil time.Time, err error) {
	u, err := tx.User(ctx, box.account.ID) // the previous address may have been proven meanwhile
	if err != nil {
		return undoUntil, err
	}
	notice := newMail(MailAddressChanged, u, event)
	notice.Facts.NewEmail, notice.Facts.ReturnTo = box.link.Email, returnTo
	if err := setEmail(ctx, tx, u, box.link, event.At); err != nil {
		return undoUntil, err
	}
	if err := tx.DeleteMailTokens(ctx, u.ID, MailVerify, MailReset, MailConfirmAddress); err != nil {
		return undoUntil, err
	}
	if err := deleteLinksAndSignups(ctx, tx, box.link.Email); err != nil {
		return undoUntil, err
	}
	if !u.Verified() {
		return undoUntil, nil // an unproven address gets no notice and no undo link
	}
	undoUntil = event.At.Add(undoLife)
	if err := e.grantToken(ctx, tx, notice, u.Email, undoUntil); err != nil {
		return undoUntil, err
	}
	return undoUntil, e.queueMail(ctx, tx, notice)
}

// UndoUntil returns until when a previous address can restore the account, or the zero time.
func (i Inside) UndoUntil(ctx context.Context, who Identity) (time.Time, error) {
	return queryStore(ctx, i.engine.store, func(tx Tx) (time.Time, error) {
		return tx.LastMailToken(ctx, who.User.ID, MailAddressChanged, i.engine.now())
	})
}

// UndoEmail restores the previous address of the account. Codes: CodeMailTokenInvalid, CodeEmailTaken.
func (e *Engine) UndoEmail(ctx context.Context, token Secret, c Client) error {
	now := e.now()
	granted, user, err := e.findMailToken(ctx, token, MailAddressChanged, now)
	if err != nil {
		return err
	}
	event := e.newEvent(EventEmailUndone, c, now).ofUser(user.ID)
	reset := newMail(MailReset, User{ID: user.ID, Email: granted.Email}, event)
	reset.Facts.ReturnTo = c.ReturnTo
	return e.recordChange(ctx, &event, func(tx Tx) error {
		if err := setEmail(ctx, tx, user, granted, now); err != nil {
			return err
		}
		if err := tx.SetPassword(ctx, user.ID, ""); err != nil {
			return err
		}
		// The person who changed the address may have added factors and identities after the change.
		if err := tx.DeleteFactors(ctx, user.ID, granted.ExpiresAt.Add(-undoLife), now); err != nil {
			return err
		}
		if err := tx.DeleteIdentities(ctx, user.ID, granted.ExpiresAt.Add(-undoLife)); err != nil {
			return err
		}
		if _, err := tx.EndSessions(ctx, user.ID, "", EndedEmail, now); err != nil {
			return err
		}
		if err := tx.DeleteMailTokens(ctx, user.ID, MailVerify, MailReset, MailConfirmAddress); err != nil {
			return err
		}
		// The undo links of later changes are deleted, because they would give the account back to the thief.
		if err := tx.DeleteMailTokensAfter(ctx, user.ID, MailAddressChanged, granted.ExpiresAt); err != nil {
			return err
		}
		return tx.InsertMail(ctx, reset)
	})
}

// setEmail consumes the mail token, and changes the user's address to the address of the token.
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
	case current.Email != u.Email: // another link was used concurrently
		return fmt.Errorf("%w: another request changed the address", ErrUnavailable)
	}
	return emailTaken()
}

package watchword

import "context"

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

package main

import (
	"context"
	"fmt"

	"github.com/watchword-auth/watchword"
)

// A support team uses these commands to correct one account. They neither show nor set a
// password.

// userRename corrects a display name. Access tokens contain the old name until the next
// refresh.
type userRename struct {
	accountFlags
	Name string `arg:"" help:"The new name; may be empty."`
}

// Run asks no question, because the operator can set the old name again.
func (c *userRename) Run(ctx context.Context, p *program) error {
	return c.runOperation(ctx, p, "Renamed", func(o watchword.Operator, u watchword.User) error {
		return o.Rename(ctx, u.ID, c.Name)
	})
}

// userEmail moves an account to another address, for a user who can't read the old mailbox any
// more. The command asks first, because the owner of the new mailbox can reset the password.
// The operator must make sure that the new address belongs to the user.
type userEmail struct {
	accountFlags
	NewEmail string `arg:"" name:"new-email" help:"The new address."`
	confirmation
}

// Run names both addresses in its question. The new address is unverified, and sessions
// continue. If the old address was verified, it gets a notice. The notice has no link that
// undoes the change.
func (c *userEmail) Run(ctx context.Context, p *program) error {
	s, user, err := c.openAndFind(ctx, p.openExisting)
	if err != nil {
		return err
	}
	defer s.close()
	question := fmt.Sprintf("Give the account %s the address %s? Anyone who reads that mailbox can reset the password.",
		user.Email, c.NewEmail)
	if err := p.confirm(c.confirmation, question); err != nil {
		return err
	}
	if err := s.operator.ChangeEmail(ctx, user.ID, c.NewEmail); err != nil {
		return err
	}
	// The output shows the stored address, because its spelling can differ from that of the
	// argument.
	changed, err := s.operator.FindUserByID(ctx, user.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{"user": userJSON(changed)})
	}
	p.say("The account %s has the address %s. A link to verify it is queued.", user.Email, changed.Email)
	return nil
}

// userVerify marks an address as verified. The operator must know that it belongs to the user,
// because the owner of a verified address can reset the password.
type userVerify struct{ accountFlags }

// Run also succeeds if the address is verified, so that a script can repeat it.
func (c *userVerify) Run(ctx context.Context, p *program) error {
	return c.runOperation(ctx, p, "Verified", func(o watchword.Operator, u watchword.User) error {
		return o.MarkVerified(ctx, u.ID)
	})
}

// userResend mails another link that verifies the address. The previous link works until the
// server sends the new link.
type userResend struct{ accountFlags }

// Run only queues the mail, as reset-password does. For a verified address, the engine returns
// an error.
func (c *userResend) Run(ctx context.Context, p *program) error {
	s, user, err := c.openAndFind(ctx, p.openExisting)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.operator.SendVerification(ctx, user.ID); err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{"mailedTo": user.Email})
	}
	p.say("A mail to %s is queued. The server sends it when it runs, at most 3 in an hour.", user.Email)
	return nil
}

// userClear resets the rate limits of an account. It helps a user who gets 429 because
// strangers or a broken program have used up these limits.
type userClear struct{ accountFlags }

// Run does not ask, because the rate limits would end by themselves anyway. It does not reset
// the rate limits of a client network, because they don't belong to the account.
func (c *userClear) Run(ctx context.Context, p *program) error {
	return c.runOperation(ctx, p, "Cleared the limits of", func(o watchword.Operator, u watchword.User) error {
		return o.ClearLimits(ctx, u.ID)
	})
}

// runOperation finds the account, runs one operation on it and prints the result. It asks no
// question, so it is only for operations that need no confirmation.
func (f accountFlags) runOperation(
	ctx context.Context, p *program, done string, operation func(watchword.Operator, watchword.User) error,
) error {
	s, user, err := f.openAndFind(ctx, p.openExisting)
	if err != nil {
		return err
	}
	defer s.close()
	if err := operation(s.operator, user); err != nil {
		return err
	}
	return p.printChange(ctx, s, changedUser{user.Email, f.JSON, done})
}

package watchword

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword/internal/knowndevice"
)

// An operator creates an account without a password, and the server mails a link. When the user accepts:
//
//  1. The token is looked up and not consumed.
//  2. If the account has a password or a proven address, the token is deleted and refused. A link that was in a
//     mailbox for days must not reset a password. The deletion is committed.
//  3. Name and password are checked, and the password is hashed.
//  4. One transaction records the first proof of the address, consumes the token and opens a session.

const inviteLife = 7 * 24 * time.Hour

// AcceptInvite sets the password of an invited account and opens its first session. Codes:
// CodeMailTokenInvalid, CodeEmailTaken (the account has a password or a proven address),
// CodeValidationFailed (password, name), CodeEnrolmentRequired, CodeTryLater.
func (e *Engine) AcceptInvite(ctx context.Context, r MailLinkRequest) (*SignIn, error) {
	now := e.now()
	box, err := e.openLink(ctx, r.Token, now, MailInvite)
	if err != nil {
		return nil, err
	}
	if !isInvited(box.account) {
		return nil, e.refuseInvite(ctx, box, now)
	}
	name, problem := parseName("name", r.Name)
	if problem != nil {
		return nil, unacceptable(*problem)
	}
	normal, problem := e.checkNewPassword("password", r.Password, box.link.Email, box.account.Name+" "+name)
	if problem != nil {
		return nil, unacceptable(*problem)
	}
	hash, err := e.hashPassword(ctx, r.Client, normal)
	if err != nil {
		return nil, err
	}
	chosen := passwordCandidate{"", signupDetails{Name: name, PasswordHash: hash}}
	owner := ownerAfterProof(box.account, chosen, box.link.Email, now)
	n := entry{user: owner, persistent: r.Persistent, client: r.Client, at: now}
	return e.signInByLink(ctx, n, r.Replaces, knowndevice.ID{}, func(tx Tx) (User, error) {
		return e.proveFirst(ctx, tx, box, owner)
	})
}

// isInvited decides whether an invitation can still be accepted.
func isInvited(u User) bool { return u.ID != "" && u.PasswordHash == "" && !u.Verified() }

// refuseInvite deletes the invitation, because the account has a password or a proven address.
func (e *Engine) refuseInvite(ctx context.Context, box mailbox, now time.Time) error {
	err := e.store.Update(ctx, func(tx Tx) error {
		_, err := tx.TakeMailToken(ctx, box.link.Hash, box.link.Kind, now)
		return err
	})
	if err == nil {
		err = emailTaken()
	}
	return err
}

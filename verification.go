package watchword

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-auth/watchword/internal/knowndevice"
)

// This file verifies an address in four steps:
//
//  1. It looks up the token, without consuming it. A link proves only the mailbox: an attacker may have signed up with
//     another person's address and wait for that person's click.
//  2. The request must therefore also carry a live session of the account, or the password of a sign-up for the
//     address. Verification reads the session and does not change it.
//  3. A password is charged to the same limits as a login, before it is hashed.
//  4. One transaction creates or proves the account, deletes the other waiting sign-ups and consumes the token. Its
//     statements are conditional, so only one of two concurrent requests succeeds.
//
// ResetPassword takes the same steps, but the request contains a new password. If the account's creator and the owner
// of the mailbox may be different persons, this is the first proof. The account then keeps its id and roles, and
// loses its previous password, sessions and mailed tokens.

// A MailLinkRequest is a request with the token of a mailed link.
type MailLinkRequest struct {
	Token Secret

	// Presented are the access and refresh tokens that the request carries. They may be expired or garbage. A live
	// session of the account can replace the password (VerifyEmail, ConfirmEmail).
	Presented []Secret

	// Password is the password of the account, of a waiting sign-up (VerifyEmail), or of the new account
	// (AcceptInvite).
	Password Secret

	Name       string // for AcceptInvite; empty: the name that the operator chose
	Persistent bool   // of the session that the request opens (VerifyEmail, AcceptInvite)
	Client     Client
	Replaces   Secret // as in LoginRequest
}

// VerifyEmail proves an address. If the request carries a live session of the account, it returns nil without an
// error. Otherwise it returns a new session, opened with the password. Codes: CodeMailTokenInvalid,
// CodePasswordRequired (the token stays valid), CodePasswordWrong, CodeAccountDisabled, CodeSignupClosed,
// CodeEmailTaken, CodeSecondFactorRequired, CodeEnrolmentRequired, CodeRateLimited, CodeTryLater.
func (e *Engine) VerifyEmail(ctx context.Context, r MailLinkRequest) (*SignIn, error) {
	now := e.now()
	box, err := e.openLink(ctx, r.Token, now, MailVerify)
	if err != nil {
		return nil, err
	}
	signedIn, err := e.hasLiveSession(ctx, r.Presented, box.account.ID)
	switch {
	case err != nil:
		return nil, err
	case signedIn:
		return nil, e.verifyBySession(ctx, box, r.Client, now)
	case r.Password == "":
		return nil, passwordRequired()
	}
	return e.verifyByPassword(ctx, box, r, now)
}

func passwordRequired() *Error {
	return refuse(CodePasswordRequired, "Enter the password of this account, or sign in first and open the link again.")
}

// A mailbox is an address that a mailed link proves, with its owners: the account, if any, and the waiting sign-ups.
type mailbox struct {
	link           MailToken
	account        User     // the zero User: no account
	waiting        []Signup // the newest first
	winnerSignupID string   // empty: no sign-up's password was given
}

// openLink looks up a mailed token of one of the kinds, without consuming it.
func (e *Engine) openLink(
	ctx context.Context, token Secret, now time.Time, kinds ...MailKind,
) (box mailbox, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		box = mailbox{}
		for _, kind := range kinds {
			if box.link, err = tx.MailToken(ctx, hashMailToken(token), kind, now); !errors.Is(err, ErrNotFound) {
				break
			}
		}
		if err != nil {
			return err
		}
		box.account, box.waiting, err = e.findOwners(ctx, tx, box.link.Email, now)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = mailTokenInvalid()
	}
	if err == nil {
		if refusal := mayUseLink(box.link, box.account, e.opts.Signup); refusal != nil {
			err = refusal
		}
	}
	return box, err
}

// findOwners always queries both the account and the sign-ups, so that its duration reveals neither.
func (e *Engine) findOwners(ctx context.Context, tx Tx, email Address, now time.Time) (User, []Signup, error) {
	account, err := tx.UserByEmail(ctx, email)
	if errors.Is(err, ErrNotFound) {
		account, err = User{}, nil
	}
	if err != nil {
		return User{}, nil, err
	}
	waiting, err := tx.Signups(ctx, email, now.Add(-e.opts.VerifyTTL))
	if e.opts.Signup == SignupClosed {
		waiting = nil
	}
	return account, waiting, err
}

func mayUseLink(link MailToken, account User, mode SignupMode) *Error {
	switch {
	case link.UserID != "" && link.UserID != account.ID:
		return mailTokenInvalid() // the account was deleted, or its address has changed
	case link.Kind == MailVerify && account.Verified():
		return mailTokenInvalid() // the address is already proven
	case account.ID == "" && mode == SignupClosed:
		return signupClosed()
	}
	return nil
}

func (e *Engine) verifyBySession(ctx context.Context, box mailbox, c Client, now time.Time) error {
	event := e.newEvent(EventEmailVerified, c, now).ofUser(box.account.ID)
	return e.recordChange(ctx, &event, func(tx Tx) error { return e.markVerified(ctx, tx, box, now) })
}

// markVerified keeps the account's password and sessions. The caller has checked that the person with the link has a
// session or the password of the account, and is therefore its creator.
func (e *Engine) markVerified(ctx context.Context, tx Tx, box mailbox, now time.Time) error {
	if err := requireUnchanged(tx.SetVerified(ctx, box.account.ID, box.link.Email, now)); err != nil {
		return err
	}
	return consumeLink(ctx, tx, box, now)
}

func (e *Engine) verifyByPassword(ctx context.Context, box mailbox, r MailLinkRequest, now time.Time) (*SignIn, error) {
	winner, device, err := e.tryPassword(ctx, box, passwordTry{e.passwordCandidates(box), r.Password, r.Client, now})
	if err != nil {
		return nil, err
	}
	box.winnerSignupID = winner.SignupID
	owner := ownerAfterProof(box.account, winner, box.link.Email, now)
	n := entry{user: owner, persistent: r.Persistent, client: r.Client, at: now}
	return e.signInByLink(ctx, n, r.Replaces, device, func(tx Tx) (User, error) {
		return e.assignAddress(ctx, tx, box, owner)
	})
}

// signInByLink calls proveAddress, and opens a session in the same transaction.
func (e *Engine) signInByLink(
	ctx context.Context, n entry, replacedToken Secret, device knowndevice.ID, proveAddress func(Tx) (User, error),
) (*SignIn, error) {
	n.proofs = []proof{proofPassword}
	n, err := e.newEntry(ctx, n, replacedToken)
	if err != nil {
		return nil, err
	}
	verified := e.newEvent(EventEmailVerified, n.client, n.at).ofUser(n.user.ID).ofSession(n.id)
	var out admitResult
	err = e.store.Update(ctx, func(tx Tx) error {
		if n.user, err = proveAddress(tx); err != nil {
			return err
		}
		if err := tx.InsertEvent(ctx, verified); err != nil {
			return err
		}
		out, err = e.admit(ctx, tx, n, e.newEvent(EventLogin, n.client, n.at))
		return err
	})
	if err != nil {
		return nil, err
	}
	e.announce(verified)
	return e.issueTokens(device, out)
}

// A passwordCandidate is the password of the account (SignupID empty) or of a sign-up.
type passwordCandidate struct {
	SignupID string
	signupDetails
}

// passwordCandidates lists the password of the account first, then those of the sign-ups, newest first.
func (e *Engine) passwordCandidates(box mailbox) (all []passwordCandidate) {
	if box.account.PasswordHash != "" {
		all = append(all, passwordCandidate{"", signupDetails{PasswordHash: box.account.PasswordHash}})
	}
	for _, waiting := range box.waiting {
		details, err := e.openSignup(waiting)
		if err != nil {
			continue // sealed under another master key: no password can match
		}
		all = append(all, passwordCandidate{waiting.ID, details})
	}
	return all
}

type passwordTry struct {
	candidates []passwordCandidate
	given      Secret
	client     Client
	at         time.Time
}

// tryPassword returns the candidate with the given password, and the known device, if any. It charges the limits of a
// login and records failures like a login. It refunds the charges for a correct password at once, even if the caller
// refuses the request later. Codes: CodePasswordWrong, CodeAccountDisabled, CodeRateLimited, CodeTryLater.
func (e *Engine) tryPassword(
	ctx context.Context, box mailbox, t passwordTry,
) (winner passwordCandidate, device knowndevice.ID, err error) {
	email := box.link.Email
	if box.account.ID != "" {
		email = box.account.Email
	}
	a, err := e.beginAttempt(ctx, email, t.client, t.at)
	if err != nil {
		return passwordCandidate{}, device, err
	}
	a.user = box.account // the account that is tried, or the zero User
	if len(t.candidates) == 0 {
		t.candidates = []passwordCandidate{{}} // an empty hash: takes the same time and matches no password
	}
	var right bool
	var i int
	for i, winner = range t.candidates {
		right, err = e.passwordMatches(ctx, t.client, winner.PasswordHash, t.given)
		if err != nil || right {
			break
		}
	}
	switch {
	case err != nil && i == 0:
		return passwordCandidate{}, device, e.refundIfUnchecked(ctx, err, a.failureCharges...)
	case err != nil:
		return passwordCandidate{}, device, err
	case !right:
		a.failureCharges = nil // stays charged
		return passwordCandidate{}, device, e.recordFailedLogin(ctx, a,
			refuse(CodePasswordWrong, "Wrong password. Try again, or reset your password."))
	case box.account.Disabled():
		return passwordCandidate{}, device, e.recordFailedLogin(ctx, a, accountDisabled())
	}
	return winner, a.device, e.refundInOwnTx(ctx, a.failureCharges...)
}

// ownerAfterProof returns the account that will own the address after the winner has proven it. A new account gets a
// new id. If a sign-up takes over an existing account, the account keeps its id and roles.
func ownerAfterProof(account User, winner passwordCandidate, email Address, now time.Time) User {
	owner := account
	if owner.ID == "" {
		owner = User{ID: UserID(newID()), Email: email, CreatedAt: now}
	}
	if winner.Name != "" {
		owner.Name = winner.Name
	}
	if winner.Locale != "" {
		owner.Locale = winner.Locale
	}
	owner.PasswordHash, owner.VerifiedAt = winner.PasswordHash, now
	return owner
}

// assignAddress records that owner has proven the address. Its statements are conditional, so only one of two
// concurrent requests succeeds.
func (e *Engine) assignAddress(ctx context.Context, tx Tx, box mailbox, owner User) (User, error) {
	if box.winnerSignupID == "" { // the account's own password
		if err := lockAndSetPassword(ctx, tx, owner, owner.PasswordHash); err != nil {
			return User{}, err
		}
		return owner, e.markVerified(ctx, tx, box, owner.VerifiedAt)
	}
	return e.proveFirst(ctx, tx, box, owner)
}

// proveFirst records the first proof of an address. It creates the account, or takes an existing account from a
// creator who never proved the address. It returns the resulting account.
func (e *Engine) proveFirst(ctx context.Context, tx Tx, box mailbox, owner User) (User, error) {
	now := owner.VerifiedAt
	if err := claimAddress(ctx, tx, box, owner); err != nil {
		return User{}, err
	}
	if err := consumeLink(ctx, tx, box, now); err != nil {
		return User{}, err
	}
	if box.account.ID == "" {
		return owner, nil // a new account has no factors
	}
	_, err := tx.EndSessions(ctx, owner.ID, "", EndedFirstProof, now)
	if err == nil { // even if User.Factors is 0, because unproven passkeys do not count there
		err = tx.DeleteFactors(ctx, owner.ID, time.Time{}, now)
	}
	if err == nil {
		err = tx.DeleteIdentities(ctx, owner.ID, time.Time{})
	}
	if err == nil {
		err = tx.DeleteMailTokens(ctx, owner.ID, MailVerify, MailReset, MailConfirmAddress, MailAddressChanged)
	}
	if err != nil {
		return User{}, err
	}
	return tx.User(ctx, owner.ID)
}

// claimAddress creates the account of the address, or records its first proof. Of two concurrent claims, one fails.
func claimAddress(ctx context.Context, tx Tx, box mailbox, owner User) error {
	if box.account.ID != "" {
		return requireUnchanged(tx.ProveFirst(ctx, owner))
	}
	inserted, err := tx.InsertUser(ctx, owner, owner.VerifiedAt)
	if err != nil || inserted {
		return err
	}
	reserved, err := tx.Reserved(ctx, owner.Email, owner.VerifiedAt)
	switch {
	case err != nil:
		return err
	case reserved:
		return emailTaken()
	}
	return mailTokenInvalid() // another link was used first
}

// consumeLink also deletes the address's other verification links and waiting sign-ups. The caller has locked the
// account. To avoid deadlocks, all flows lock the account first, then sign-ups, then tokens.
func consumeLink(ctx context.Context, tx Tx, box mailbox, now time.Time) error {
	if box.winnerSignupID != "" {
		if err := requireUnchanged(tx.TakeSignup(ctx, box.link.Email, box.winnerSignupID)); err != nil {
			return err
		}
	}
	if err := tx.DeleteSignups(ctx, box.link.Email); err != nil {
		return err
	}
	// The hash is empty if a provider has proven the address, because then there is no link.
	taken, err := tx.TakeMailToken(ctx, box.link.Hash, box.link.Kind, now)
	if err := requireUnchanged(taken || box.link.Hash == "", err); err != nil {
		return err
	}
	return tx.DeleteSentTokens(ctx, box.link.Email, MailVerify)
}

func deleteLinksAndSignups(ctx context.Context, tx Tx, email Address) error {
	if err := tx.DeleteSignups(ctx, email); err != nil {
		return err
	}
	return tx.DeleteSentTokens(ctx, email, MailVerify)
}

// DisownLink deletes an unwanted token ("this wasn't me") and its waiting sign-up. The
// kind is MailVerify or MailConfirmAddress. Codes: CodeMailTokenInvalid.
func (e *Engine) DisownLink(ctx context.Context, kind MailKind, token Secret, c Client) error {
	now := e.now()
	var event Event
	return e.recordChange(ctx, &event, func(tx Tx) error {
		link, err := tx.MailToken(ctx, hashMailToken(token), kind, now)
		if errors.Is(err, ErrNotFound) {
			return mailTokenInvalid()
		}
		if err != nil {
			return err
		}
		if link.SignupID != "" {
			if _, err := tx.TakeSignup(ctx, link.Email, link.SignupID); err != nil {
				return err
			}
		}
		if _, err := tx.TakeMailToken(ctx, link.Hash, link.Kind, now); err != nil {
			return err
		}
		event = e.newEvent(eventLinkDisowned, c, now).ofUser(link.UserID).withDetail(string(kind))
		return nil
	})
}

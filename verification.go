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

	// Password is the password of the account or, for VerifyEmail, of a waiting sign-up. AcceptInvite stores it as
	// the first password of the account.
	Password Secret

	Name       string // for AcceptInvite; empty: the name that the operator chose
	Persistent bool   // of the session that the request opens (VerifyEmail, AcceptInvite)
	Client     Client

	// Replaces is as in LoginRequest.
	Replaces Secret
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
	signedIn, err := e.presents(ctx, r.Presented, box.account.ID)
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
	link    MailToken
	account User     // the zero User: no account
	waiting []Signup // the newest first
	winner  string   // id of the sign-up whose password was given, or empty
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
		box.account, box.waiting, err = e.ownersOf(ctx, tx, box.link.Email, now)
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

// ownersOf returns the account with an address (or the zero User) and the sign-ups that
// wait for it. It always queries both, so that its duration reveals neither.
func (e *Engine) ownersOf(ctx context.Context, tx Tx, email Address, now time.Time) (User, []Signup, error) {
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

// mayUseLink decides whether a link can still prove its address.
func mayUseLink(link MailToken, account User, mode SignupMode) *Error {
	switch {
	case link.UserID != "" && link.UserID != account.ID:
		return mailTokenInvalid() // the account is deleted, or has another address
	case link.Kind == MailVerify && account.Verified():
		return mailTokenInvalid() // the address is proven
	case account.ID == "" && mode == SignupClosed:
		return signupClosed()
	}
	return nil
}

// verifyBySession marks the address as proven. The account keeps its password and sessions.
func (e *Engine) verifyBySession(ctx context.Context, box mailbox, c Client, now time.Time) error {
	event := e.event(EventEmailVerified, c, now).of(box.account.ID)
	return e.record(ctx, &event, func(tx Tx) error { return e.markVerified(ctx, tx, box, now) })
}

// markVerified marks the address as proven. The account keeps its password, because this person is its creator.
func (e *Engine) markVerified(ctx context.Context, tx Tx, box mailbox, now time.Time) error {
	if err := stillValid(tx.SetVerified(ctx, box.account.ID, box.link.Email, now)); err != nil {
		return err
	}
	return closeLink(ctx, tx, box, now)
}

// verifyByPassword proves the address with the password of the account or of a waiting sign-up, and opens a session.
func (e *Engine) verifyByPassword(ctx context.Context, box mailbox, r MailLinkRequest, now time.Time) (*SignIn, error) {
	winner, device, err := e.tryPassword(ctx, box, passwordTry{e.candidates(box), r.Password, r.Client, now})
	if err != nil {
		return nil, err
	}
	owner := ownerAfter(box.account, winner, box.link.Email, now)
	n := entry{user: owner, persistent: r.Persistent, client: r.Client, at: now}
	return e.signInByLink(ctx, n, r.Replaces, device, func(tx Tx) (User, error) {
		return e.settle(ctx, tx, box, winner, owner)
	})
}

// signInByLink calls the function prove, which proves the address, and opens a session in the same transaction.
func (e *Engine) signInByLink(
	ctx context.Context, n entry, replaces Secret, device knowndevice.ID, prove func(Tx) (User, error),
) (*SignIn, error) {
	n.proofs = []proof{proofPassword}
	n, err := e.newEntry(ctx, n, replaces)
	if err != nil {
		return nil, err
	}
	verified := e.event(EventEmailVerified, n.client, n.at).of(n.user.ID).on(n.id)
	var out outcome
	err = e.store.Update(ctx, func(tx Tx) error {
		if n.user, err = prove(tx); err != nil {
			return err
		}
		if err := tx.InsertEvent(ctx, verified); err != nil {
			return err
		}
		out, err = e.admit(ctx, tx, n, e.event(EventLogin, n.client, n.at))
		return err
	})
	if err != nil {
		return nil, err
	}
	e.announce(verified)
	return e.issueTokens(device, out)
}

// A candidate is a password that may be sent with a link: that of the account (SignupID empty) or of a sign-up.
type candidate struct {
	SignupID string
	signupDetails
}

// candidates lists the password of the account, then the passwords of sign-ups, newest first.
func (e *Engine) candidates(box mailbox) (all []candidate) {
	if box.account.PasswordHash != "" {
		all = append(all, candidate{"", signupDetails{PasswordHash: box.account.PasswordHash}})
	}
	for _, waiting := range box.waiting {
		details, err := e.openSignup(waiting)
		if err != nil {
			continue // sealed under another master key: no password can match
		}
		all = append(all, candidate{waiting.ID, details})
	}
	return all
}

// A passwordTry is a password that is submitted with a link.
type passwordTry struct {
	candidates []candidate
	given      Secret
	client     Client
	at         time.Time
}

// tryPassword returns the candidate with the given password, and the known device, if any. It charges the limits of a
// login and records failures like a login. A right password is refunded at once, even if the caller refuses the
// request later. Codes: CodePasswordWrong, CodeAccountDisabled, CodeRateLimited, CodeTryLater.
func (e *Engine) tryPassword(
	ctx context.Context, box mailbox, t passwordTry,
) (winner candidate, device knowndevice.ID, err error) {
	email := box.link.Email
	if box.account.ID != "" {
		email = box.account.Email
	}
	a, err := e.attempt(ctx, email, t.client, t.at)
	if err != nil {
		return candidate{}, device, err
	}
	a.user = box.account // the account that is tried, or the zero User
	if len(t.candidates) == 0 {
		t.candidates = []candidate{{}} // an empty hash: takes the same time and matches no password
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
		return candidate{}, device, e.unchecked(ctx, err, a.failure...)
	case err != nil:
		return candidate{}, device, err
	case !right:
		a.failure = nil // stays charged
		return candidate{}, device, e.loginFailed(ctx, a,
			refuse(CodePasswordWrong, "Wrong password. Try again, or reset your password."))
	case box.account.Disabled():
		return candidate{}, device, e.loginFailed(ctx, a, accountDisabled())
	}
	return winner, a.device, e.refund(ctx, a.failure...)
}

// ownerAfter returns the account that will own the address after the winner has proven it. A new account gets a new
// id. If a sign-up takes over an existing account, the account keeps its id and roles.
func ownerAfter(account User, winner candidate, email Address, now time.Time) User {
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

// settle gives the address to the winner and returns the resulting account. It changes the account, the sign-up and
// the token by conditional statements, so only one of two concurrent requests succeeds.
func (e *Engine) settle(ctx context.Context, tx Tx, box mailbox, winner candidate, owner User) (User, error) {
	if winner.SignupID == "" { // the account's own password
		if err := holdPassword(ctx, tx, owner, owner.PasswordHash); err != nil {
			return User{}, err
		}
		return owner, e.markVerified(ctx, tx, box, owner.VerifiedAt)
	}
	box.winner = winner.SignupID
	return e.proveFirst(ctx, tx, box, owner)
}

// proveFirst records the first proof of an address. It creates the account, or takes an existing account from a
// creator who never proved the address. It returns the resulting account.
func (e *Engine) proveFirst(ctx context.Context, tx Tx, box mailbox, owner User) (User, error) {
	now := owner.VerifiedAt
	if err := claimAddress(ctx, tx, box, owner); err != nil {
		return User{}, err
	}
	if err := closeLink(ctx, tx, box, now); err != nil {
		return User{}, err
	}
	if box.account.ID == "" {
		return owner, nil // a new account has no factors
	}
	_, err := tx.EndSessions(ctx, owner.ID, "", EndedFirstProof, now)
	if err == nil { // even if User.Factors is 0: it omits automatic passkeys
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
		return stillValid(tx.ProveFirst(ctx, owner))
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

// closeLink consumes the token, and deletes the address's other verification links and waiting sign-ups. The caller
// has locked the account. To avoid deadlocks, all flows lock the account first, then sign-ups, then tokens.
func closeLink(ctx context.Context, tx Tx, box mailbox, now time.Time) error {
	if box.winner != "" {
		if err := stillValid(tx.TakeSignup(ctx, box.link.Email, box.winner)); err != nil {
			return err
		}
	}
	if err := tx.DeleteSignups(ctx, box.link.Email); err != nil {
		return err
	}
	// The hash is empty if a provider has proven the address, because then there is no link.
	taken, err := tx.TakeMailToken(ctx, box.link.Hash, box.link.Kind, now)
	if err := stillValid(taken || box.link.Hash == "", err); err != nil {
		return err
	}
	return tx.DeleteSentTokens(ctx, box.link.Email, MailVerify)
}

// addressProven deletes the verification links and the waiting sign-ups of an address.
func addressProven(ctx context.Context, tx Tx, email Address) error {
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
	return e.record(ctx, &event, func(tx Tx) error {
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
		event = e.event(eventLinkDisowned, c, now).of(link.UserID).because(string(kind))
		return nil
	})
}

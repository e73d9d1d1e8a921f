package admin

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/mailtoken"
)

// New accounts. An administrator never chooses a password: the user does, with an invitation or with a mail
// to choose a new password.

// InviteLife is how long an invitation link can be used, whether Watchword mailed it or an operator handed it over.
const InviteLife = 7 * 24 * time.Hour

// A NewAccount is an account to create.
type NewAccount struct {
	Email    string
	Name     string
	Locale   string
	Roles    []string
	Invite   bool // mail an invitation
	Verified bool // the address counts as proven, without a mail
}

// Create creates an account. Codes: CodeValidationFailed (email, name, roles; verified together with
// invite), CodeEmailTaken, CodeInsufficientScope (a service key: roles or verified).
func (m *Manager) Create(ctx context.Context, by Caller, n NewAccount) (watchword.User, error) {
	if refusal := decideCreate(by, n); refusal != nil {
		return watchword.User{}, refusal
	}
	values := watchword.NewUser{Email: n.Email, Name: n.Name, Locale: n.Locale, Roles: n.Roles}
	if id, repeated := by.Repeated(); repeated {
		return m.accountOfEarlierRequest(ctx, watchword.UserID(id), values, n.Verified)
	}
	if n.Invite {
		return m.createAndInvite(ctx, by, values)
	}
	return m.createWithoutMail(ctx, by, values, n.Verified)
}

// Invite creates an account and mails an invitation, for the administration pages.
func (m *Manager) Invite(ctx context.Context, by Caller, n watchword.NewUser) (watchword.User, error) {
	return m.Create(ctx, by, NewAccount{Email: n.Email, Name: n.Name, Locale: n.Locale, Roles: n.Roles, Invite: true})
}

// accountOfEarlierRequest returns the account that a request with the same idempotency key has created. If this
// account was deleted meanwhile, the function rebuilds the account of the first response from the values of the
// request. The id contains the time of creation.
func (m *Manager) accountOfEarlierRequest(
	ctx context.Context, id watchword.UserID, n watchword.NewUser, verified bool,
) (watchword.User, error) {
	account, err := m.User(ctx, id)
	if watchword.CodeOf(err) != watchword.CodeNotFound {
		return account.User, err
	}
	parsed, err := uuid.Parse(string(id))
	if err != nil {
		return watchword.User{}, fmt.Errorf("id of a created account: %w", err)
	}
	user, _ := m.engine.ParseUser(n, time.Unix(parsed.Time().UnixTime()).UTC().Truncate(time.Millisecond))
	if user.ID = id; verified {
		user.VerifiedAt = user.CreatedAt
	}
	return user, nil
}

func decideCreate(by Caller, n NewAccount) *watchword.Error {
	switch {
	case n.Invite && n.Verified:
		refusal := refuse(watchword.CodeValidationFailed, "An invitation proves the address. Send invite or verified.")
		refusal.Fields = []watchword.FieldError{
			{Field: "verified", Code: watchword.FieldInvalid, Message: refusal.Detail}}
		return refusal
	case n.Verified && by.Key.ID != "":
		return keyForbidden()
	}
	return decideRoles(by, "", nil, n.Roles)
}

func (m *Manager) createAndInvite(ctx context.Context, by Caller, n watchword.NewUser) (watchword.User, error) {
	// The problems are ignored here, because the engine refuses an invalid account before the transaction.
	wanted, _ := m.engine.ParseUser(n, m.engine.Now())
	return m.engine.Operator(by.Name(), func(ctx context.Context, tx watchword.Tx) error {
		user, err := tx.UserByEmail(ctx, wanted.Email)
		if err != nil {
			return err
		}
		return m.finishInTx(ctx, tx, by, statusCreated, string(user.ID))
	}).CreateUser(ctx, n)
}

// createWithoutMail creates an account without an invitation. Its user signs in with a provider, or requests a mail
// to choose a password.
func (m *Manager) createWithoutMail(
	ctx context.Context, by Caller, n watchword.NewUser, verified bool,
) (watchword.User, error) {
	now := m.engine.Now()
	user, problems := m.engine.ParseUser(n, now)
	if len(problems) > 0 {
		refusal := refuse(watchword.CodeValidationFailed, problems[0].Message)
		refusal.Fields = problems
		return watchword.User{}, refusal
	}
	if verified {
		user.VerifiedAt = now
	}
	event := m.engine.Event(watchword.EventSignup, user, "", watchword.Client{}, now)
	event.Detail, event.Operator = "by an operator", by.Name()
	err := m.store.Update(ctx, func(tx Tx) error {
		inserted, err := tx.InsertUser(ctx, user, now)
		if err == nil && !inserted {
			err = refuse(watchword.CodeEmailTaken, "An account with this email already exists.")
		}
		if err != nil {
			return err
		}
		if err := tx.InsertEvent(ctx, event); err != nil {
			return err
		}
		return m.finishInTx(ctx, tx, by, statusCreated, string(user.ID))
	})
	if err != nil {
		return watchword.User{}, err
	}
	m.engine.Announce(event)
	return user, nil
}

// InviteToken returns an invitation token of an account, for a link that an operator hands over. If an invitation
// mail still waits for its first attempt, the mail will contain the same token. Both links then work until one of
// them is used. Codes: CodeNotFound, CodeValidationFailed (the user was not invited).
func (m *Manager) InviteToken(ctx context.Context, id watchword.UserID) (token watchword.Secret, err error) {
	now := m.engine.Now()
	random := "wwm_" + rand.Text() + rand.Text() // 260 bits
	account, err := m.User(ctx, id)
	if err != nil {
		return "", err
	}
	if account.PasswordHash != "" || account.Verified() {
		return "", errNotInvited()
	}
	err = m.store.Update(ctx, func(tx Tx) error {
		mails, err := tx.MailsAfter(ctx, id, EventPosition{}, MaxLimit)
		if err != nil {
			return err
		}
		token = watchword.Secret(random)
		for _, mail := range mails {
			if mail.Kind == watchword.MailInvite && mail.Attempts == 0 {
				token = watchword.Secret(mailtoken.Of(m.engine.MACSecret(watchword.KeyMail), mail.ID, 1))
			}
		}
		return tx.InsertMailToken(ctx, watchword.MailToken{Hash: mailtoken.Hash(string(token)),
			Kind: watchword.MailInvite, UserID: id, Email: account.Email, ExpiresAt: now.Add(InviteLife)})
	})
	return token, err
}

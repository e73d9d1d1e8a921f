package federation

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/watchword-auth/watchword"
)

// These flows connect an identity to an account. Only a user who is signed in to the account can do this. The user
// begins with a live session, or signs in to the account in the same browser after CodeLinkRequired.

// challengeLink is the purpose of a challenge that stores an identity until the user signs in. The user must sign in
// to the account that has the address of the identity.
const challengeLink watchword.ChallengePurpose = "link"

// maxIdentities is per account.
const maxIdentities = 20

// A pendingLink is an identity that is not connected yet. It is sealed in a challenge with the purpose challengeLink.
type pendingLink struct {
	Provider string `json:"provider"`
	Issuer   string `json:"issuer"`
	Subject  string `json:"subject"`
	Email    string `json:"email"`
}

// storePendingLink stores the identity in a challenge until the user signs in, and puts the handle of the challenge
// into res. An attempt with a code challenge gets a code in res instead, because the URL of the redirect would reveal
// the handle. Exchange then returns the handle for this code.
func (m *Manager) storePendingLink(ctx context.Context, s verifiedResponse, res *Result) error {
	plain, err := json.Marshal(pendingLink{s.info.ID, s.claims.Issuer, s.claims.Subject, string(s.newAccount.Email)})
	if err != nil {
		return err
	}
	challenge, handle := m.engine.NewChallenge(challengeLink, s.facts.addressOwner, "", plain, s.at)
	err = m.store.Update(ctx, func(tx Tx) error {
		err := tx.InsertChallenge(ctx, challenge)
		if err == nil && s.attempt.Challenge != "" {
			res.Code, err = m.insertExchangeCode(ctx, tx, s, s.facts.addressOwner, pendingExchange{Link: string(handle)})
		}
		return err
	})
	if err != nil || res.Code != "" {
		return err
	}
	res.Link = handle
	return linkIsRequired(s.info.Name)
}

// A Pending describes an identity that will be connected to an account when the user signs in to that account.
type Pending struct {
	Info  Info
	Email watchword.Address // address of the account
}

// PendingLink returns the provider and the account of the pending connection that the handle stands for. The page
// that asks for the sign-in shows them. Codes: CodeChallengeInvalid.
func (m *Manager) PendingLink(ctx context.Context, handle watchword.Secret) (p Pending, err error) {
	id, err := m.engine.ChallengeID(handle, challengeLink)
	if err != nil {
		return p, err
	}
	err = m.store.View(ctx, func(tx Tx) error {
		challenge, link, err := m.readPendingLink(ctx, tx, id)
		if err != nil {
			return err
		}
		user, err := tx.User(ctx, challenge.UserID)
		if err != nil {
			return err
		}
		p = Pending{m.byID[link.Provider].Info(), user.Email}
		return nil
	})
	if errors.Is(err, watchword.ErrNotFound) {
		err = attemptInvalid()
	}
	return p, err
}

// readPendingLink returns the challenge with that id and the identity in the challenge. It returns
// watchword.ErrNotFound if there is no such challenge.
func (m *Manager) readPendingLink(
	ctx context.Context, tx Tx, id string,
) (c watchword.Challenge, p pendingLink, err error) {
	if c, err = tx.Challenge(ctx, id, challengeLink, m.engine.Now()); err != nil {
		return c, p, err
	}
	plain, err := m.engine.OpenChallenge(c)
	if err == nil {
		err = json.Unmarshal(plain, &p)
	}
	if err == nil && m.byID[p.Provider] == nil {
		err = watchword.ErrNotFound // the operator has removed the provider
	}
	return c, p, err
}

// FinishLink connects the identity of a handle to the account that the browser has just signed in to. It reports
// false if the handle is for another account or was used, or if another request has connected the identity.
func (m *Manager) FinishLink(
	ctx context.Context, handle watchword.Secret, in *watchword.SignIn, c watchword.Client,
) (done bool, err error) {
	id, err := m.engine.ChallengeID(handle, challengeLink)
	if err != nil {
		return false, nil
	}
	now := m.engine.Now()
	var event watchword.Event
	err = m.store.Update(ctx, func(tx Tx) error {
		done = false
		challenge, link, err := m.readPendingLink(ctx, tx, id)
		if err != nil || challenge.UserID != in.User.ID {
			return ignoreNotFound(err)
		}
		taken, err := tx.TakeChallenge(ctx, id, challengeLink, now)
		if err != nil || !taken {
			return err
		}
		s := verifiedResponse{info: m.byID[link.Provider].Info(), client: c, at: now,
			attempt: Attempt{Session: in.Session.ID}, newAccount: watchword.User{Email: watchword.Address(link.Email)},
			claims: Claims{Issuer: link.Issuer, Subject: link.Subject}}
		event, err = m.linkIdentity(ctx, tx, s, in.User)
		if errors.Is(err, errChanged) {
			return nil // another request has connected the identity, to this account or another
		}
		done = err == nil
		return err
	})
	if err == nil && done {
		m.engine.Announce(event)
	}
	return done, err
}

// linkToSessionUser connects the identity to the account of the session that began the attempt.
func (m *Manager) linkToSessionUser(ctx context.Context, s verifiedResponse) error {
	var event watchword.Event
	err := m.store.Update(ctx, func(tx Tx) error {
		self, err := m.liveSessionUser(ctx, tx, s.attempt.Session, s.at)
		if err == nil && self.ID != s.facts.sessionUser.ID {
			err = errChanged
		}
		if err != nil {
			return err
		}
		event, err = m.linkIdentity(ctx, tx, s, self)
		return err
	})
	if err == nil {
		m.engine.Announce(event)
	}
	return err
}

// linkIdentity connects the identity to the account. It locks the account first, so concurrent requests can't exceed
// maxIdentities.
func (m *Manager) linkIdentity(
	ctx context.Context, tx Tx, s verifiedResponse, u watchword.User,
) (watchword.Event, error) {
	if err := requireRow(tx.LockUser(ctx, u.ID, u.Email)); err != nil {
		return watchword.Event{}, err
	}
	all, err := tx.Identities(ctx, u.ID)
	if err == nil && len(all) >= maxIdentities {
		err = tooManyIdentities()
	}
	if err != nil {
		return watchword.Event{}, err
	}
	event, err := m.insertIdentity(ctx, tx, s, u, eventIdentityLinked)
	if err == nil {
		err = m.engine.Notify(ctx, tx, u, event, identityMail(watchword.MailIdentityLinked, s.info.Name))
	}
	return event, err
}

// identityMail returns the mail that tells the owner that an identity was connected or disconnected. The owner must
// learn about an identity that a stranger has connected, because this identity gives access to the account.
func identityMail(kind watchword.MailKind, name string) watchword.Mail {
	return watchword.Mail{Kind: kind, Facts: watchword.MailFacts{Factor: name}}
}

func tooManyIdentities() *watchword.Error {
	return refuse(watchword.CodeFactorLimit, "This account has too many connected accounts. Disconnect one first.")
}

package federation

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/watchword-auth/watchword"
)

// A LinkRequest asks to connect an identity at a provider to the account of the session.
type LinkRequest struct {
	Provider string
	Who      watchword.Identity
	ReturnTo string
	Page     bool
}

// StartLink begins an attempt that connects an identity. Codes: CodeNotFound, CodeStepUpRequired,
// CodeEmailNotVerified (the owner of the address could still take over the account), CodeFactorLimit,
// CodeProviderUnavailable.
func (m *Manager) StartLink(ctx context.Context, r LinkRequest) (Started, error) {
	if err := m.Fresh(r.Who); err != nil {
		return Started{}, err
	}
	if !r.Who.User.Verified() {
		return Started{}, refuse(watchword.CodeEmailNotVerified,
			"Confirm your email address first: open the link that we emailed you, or request a new one.")
	}
	all, err := m.List(ctx, r.Who.User.ID)
	if err == nil && len(all) >= maxIdentities {
		err = tooManyIdentities()
	}
	if err != nil {
		return Started{}, err
	}
	return m.start(ctx, Attempt{Provider: r.Provider, Purpose: purposeLink, Session: r.Who.Session.ID,
		ReturnTo: r.ReturnTo, Page: r.Page})
}

// Fresh returns an error if the proof of a session is too old or too weak for a change of identities. Codes:
// CodeStepUpRequired.
func (m *Manager) Fresh(who watchword.Identity) error {
	if refusal := m.engine.Fresh(who.User, who.Session, m.engine.Now()); refusal != nil {
		return refusal
	}
	return nil
}

// List returns the identities of an account, the oldest first.
func (m *Manager) List(ctx context.Context, id watchword.UserID) (all []Identity, err error) {
	err = m.store.View(ctx, func(tx Tx) error {
		all, err = tx.Identities(ctx, id)
		return err
	})
	return all, err
}

// A StrandedCount counts the users whose only way to sign in is a removed provider.
type StrandedCount struct {
	Proven   int // users with a proven address: they can still reset the password
	Unproven int // users with an unproven address: only the provider can sign them in
}

// Stranded counts the users who could not sign in if only the providers in providerIDs were configured. A passkey from
// Options.Spare counts as a way to sign in.
func (m *Manager) Stranded(ctx context.Context, providerIDs []string) (n StrandedCount, err error) {
	const batch = 500
	for after := watchword.UserID(""); ; {
		var users []watchword.User
		so := n // the store may run the transaction again, which must not count twice
		err := m.store.View(ctx, func(tx Tx) error {
			n = so
			if users, err = tx.Stranded(ctx, after, providerIDs, batch); err != nil {
				return err
			}
			for _, u := range users {
				if err := n.countUser(ctx, tx, u, m.opts.Spare); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return StrandedCount{}, err
		}
		if len(users) < batch {
			return n, nil
		}
		after = users[len(users)-1].ID
	}
}

// countUser adds a user to the counts, unless the user has a spare passkey. It calls findSpare only for users with
// factors, because each call runs an SQL statement.
func (n *StrandedCount) countUser(
	ctx context.Context, tx Tx, u watchword.User, findSpare func(context.Context, Tx, watchword.UserID) (string, error),
) error {
	if u.Factors > 0 {
		if passkey, err := findSpare(ctx, tx, u.ID); err != nil || passkey != "" {
			return err
		}
	}
	if u.Verified() {
		n.Proven++
	} else {
		n.Unproven++
	}
	return nil
}

// Unlink removes an identity from the account. Codes: CodeStepUpRequired, CodeNotFound, CodeLastWayIn.
func (m *Manager) Unlink(ctx context.Context, who watchword.Identity, id string, c watchword.Client) error {
	now := m.engine.Now()
	event := m.engine.Event(eventIdentityRemoved, who.User, who.Session.ID, c, now)
	err := m.store.Update(ctx, func(tx Tx) error {
		if err := requireRow(tx.LockUser(ctx, who.User.ID, who.User.Email)); err != nil {
			return err
		}
		session, user, err := tx.Session(ctx, who.Session.ID)
		if err != nil {
			return err
		}
		if session.EndedBy(m.engine.Cutoffs(now)) != "" {
			return errChanged
		}
		if refusal := m.engine.Fresh(user, session, now); refusal != nil {
			return refusal
		}
		return m.deleteIdentity(ctx, tx, user, id, &event)
	})
	if errors.Is(err, errChanged) || errors.Is(err, watchword.ErrNotFound) {
		return m.engine.SessionEnded()
	}
	if err == nil {
		m.engine.Announce(event)
	}
	return err
}

// deleteIdentity removes an identity from the account. It refuses to remove the last way to sign in, even if two
// requests concurrently remove the last two identities. The caller has locked the account.
func (m *Manager) deleteIdentity(
	ctx context.Context, tx Tx, u watchword.User, id string, event *watchword.Event,
) error {
	all, err := tx.Identities(ctx, u.ID)
	if err != nil {
		return err
	}
	var gone Identity
	for _, one := range all {
		if one.ID == id {
			gone = one
		}
	}
	if gone.ID == "" {
		return refuse(watchword.CodeNotFound, "This connection does not exist. It may have been removed.")
	}
	spare, err := m.opts.Spare(ctx, tx, u.ID)
	if err != nil {
		return err
	}
	removed, err := tx.DeleteIdentity(ctx, u.ID, id, spare, m.configuredProviders())
	if err == nil && !removed {
		err = refuse(watchword.CodeLastWayIn,
			"This is your only way to sign in. Set a password or add a passkey first, then remove it.")
	}
	if err != nil {
		return err
	}
	event.Detail = gone.Provider
	mail := identityMail(watchword.MailIdentityRemoved, m.providerName(gone.Provider))
	if err := m.engine.Notify(ctx, tx, u, *event, mail); err != nil {
		return err
	}
	return tx.InsertEvent(ctx, *event)
}

// configuredProviders returns the ids of the configured providers. Only an identity of these providers is a way to
// sign in.
func (m *Manager) configuredProviders() []string { return slices.Collect(maps.Keys(m.byID)) }

// providerName returns the display name of a provider, or the id if the operator has removed the provider.
func (m *Manager) providerName(id string) string {
	if p := m.byID[id]; p != nil {
		return p.Info().Name
	}
	return id
}

// Name returns the display name of an identity's provider.
func (m *Manager) Name(i Identity) string { return m.providerName(i.Provider) }

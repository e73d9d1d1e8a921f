package main

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword/federation"
)

// userIdentities shows the external identities with which an account can sign in. Before an
// operator removes a provider, the command shows whether an account uses it. The command only
// reads, so it works while the server runs.
type userIdentities struct{ accountFlags }

// identityView is an identity in JSON. It has no token, because tokens are not stored. It has
// the subject, because the provider's support asks for it.
type identityView struct {
	ID         string    `json:"id"`
	Provider   string    `json:"provider"`
	Issuer     string    `json:"issuer"`
	Subject    string    `json:"subject"`
	Email      string    `json:"email,omitempty"`
	LinkedAt   time.Time `json:"linkedAt"`
	LastUsedAt time.Time `json:"lastUsedAt,omitzero"`
}

// Run prints the identities, the oldest first. It needs no entry in sign-in-with, because an
// identity stays in the store when its provider is removed from the settings.
func (c *userIdentities) Run(ctx context.Context, p *program) error {
	s, user, err := c.openAndFind(ctx, p.openToRead)
	if err != nil {
		return err
	}
	defer s.close()
	// The manager has no providers, because the list comes from the store alone. The list
	// therefore includes an identity whose provider is down or was removed.
	manager, err := federation.New(s.engine, s.store.Federation(), federation.Options{})
	if err != nil {
		return err
	}
	all, err := manager.List(ctx, user.ID)
	if err != nil {
		return err
	}
	// For scripts, an empty list is [] and never null.
	views := []identityView{}
	for _, i := range all {
		views = append(views, identityView{i.ID, i.Provider, i.Issuer, i.Subject, i.Email, i.LinkedAt, i.LastUsedAt})
	}
	if c.JSON {
		return p.printJSON(map[string]any{"identities": views})
	}
	for _, v := range views {
		// The provider chooses subject and address, so p.say must replace control characters in
		// them.
		p.say("%s  %s  %s  connected %s", v.Provider, v.Subject, v.Email, v.LinkedAt.Format(time.DateOnly))
	}
	// An account without identities gets this line too, so that the output is never empty.
	p.say("Connected accounts: %d.", len(views))
	return nil
}

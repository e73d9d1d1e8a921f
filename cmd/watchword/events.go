package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/watchword-auth/watchword"
)

// eventsCmd shows the security log of the store. This includes events without an account, such
// as a replaced master key. For the events of one account together with its sessions, use
// `users show`.
type eventsCmd struct {
	Email string `arg:"" optional:"" help:"Address or id of an account; without it, the events that concern no single account."`
	Max   int    `name:"max" default:"100" help:"Most events to list, the newest first."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Run prints the events of an account. Without an account in the arguments, it prints changes
// by operators, and failed sign-ins with an unknown address. It lists at least one event,
// because --max=0 is most likely a mistake.
func (c *eventsCmd) Run(ctx context.Context, p *program) error {
	s, err := p.openToRead(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	// An argument without @ is an id. Its account may be deleted, but the events are kept for
	// 90 days.
	id := watchword.UserID(c.Email)
	if strings.Contains(c.Email, "@") {
		user, err := s.operator.FindUser(ctx, c.Email)
		if err != nil {
			return unknownUserError(err, c.Email)
		}
		id = user.ID
	}
	events, err := s.operator.UserEvents(ctx, id, max(c.Max, 1))
	if err != nil {
		return err
	}
	if len(events) == 0 && id != "" {
		return fmt.Errorf("the account %s has no events. They are kept for 90 days", c.Email)
	}
	if c.JSON {
		return p.printJSON(map[string]any{"events": eventsJSON(events)})
	}
	return p.printTable(eventTable(events))
}

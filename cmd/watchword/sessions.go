package main

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// sessionsCmd shows and ends sessions. The commands work on the store, so they need no running
// server. Running servers refuse the next request of an ended session, and publish the end in
// the revocation feed.
type sessionsCmd struct {
	List sessionList `cmd:"" help:"List the live sessions of an account."`
	End  sessionEnd  `cmd:"" help:"End one session of an account, all of them, or every session of every account."`
}

// sessionList shows where an account is signed in.
type sessionList struct{ accountFlags }

// Run lists live sessions only. To see ended sessions, operators read the events of the account
// (users show).
func (c *sessionList) Run(ctx context.Context, p *program) error {
	s, user, err := c.openAndFind(ctx, p.openToRead)
	if err != nil {
		return err
	}
	defer s.close()
	sessions, err := s.operator.UserSessions(ctx, user.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{"sessions": sessionsJSON(s.engine, sessions)})
	}
	return p.printTable(sessionTable(s.engine, sessions))
}

// sessionEnd ends sessions. Servers, and services that follow the revocation feed, refuse their
// tokens at once. Other services accept the access tokens until the tokens expire.
type sessionEnd struct {
	Email string `arg:"" optional:"" help:"Address of the account."`
	ID    string `arg:"" optional:"" help:"Id of the session; without it, all sessions of the account end."`
	All   bool   `name:"all" help:"End every session of every account, as after a restored backup."`
	JSON  bool   `name:"json" help:"Print JSON."`
	confirmation
}

// Run prints the number, so that a script sees whether any session was ended. Exit code 0 with
// a count of 0 means that the account exists but was not signed in.
func (c *sessionEnd) Run(ctx context.Context, p *program) error {
	ended, err := c.endSelected(ctx, p)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{"ended": ended})
	}
	p.say("Ended %d.", ended)
	return nil
}

// endSelected ends one session without a question. For all sessions of an account, or of all
// accounts, it asks for a confirmation. The question names the account as stored, so that the
// operator notices a wrong address. The store stays open during the question, which does not
// block a server.
func (c *sessionEnd) endSelected(ctx context.Context, p *program) (ended int, err error) {
	switch {
	// One of the two is a mistake, and ended sessions can't be restored.
	case c.All && c.Email != "":
		return 0, faults{{"--all", "ends the sessions of every account, but one is named. Write the address or --all."}}
	case c.All:
		return c.endAllSessions(ctx, p)
	case c.Email == "":
		return 0, faults{{"sessions end", "names no account. Write its address, or --all for every account."}}
	}
	s, user, err := accountFlags{c.Email, c.JSON}.openAndFind(ctx, p.openExisting)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if c.ID != "" {
		// The engine finds only sessions of this account. A mistyped address therefore ends no
		// session of another user.
		err = s.operator.EndUserSession(ctx, user.ID, watchword.SessionID(c.ID))
		if watchword.CodeOf(err) == watchword.CodeNotFound {
			return 0, fmt.Errorf("%s has no such session. List them with `watchword sessions list %s`", user.Email, user.Email)
		}
		return 1, err
	}
	if err := p.confirm(c.confirmation, fmt.Sprintf("End all sessions of %s?", user.Email)); err != nil {
		return 0, err
	}
	return s.operator.EndUserSessions(ctx, user.ID)
}

// endAllSessions is for an incident, or for a restored backup. In a restored backup, refresh
// tokens that were replaced or revoked later are valid again. When endAllSessions returns, all
// sessions have ended in the store, so a server that starts afterwards accepts no old token.
func (c *sessionEnd) endAllSessions(ctx context.Context, p *program) (int, error) {
	s, err := p.openExisting(ctx)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if err := p.confirm(c.confirmation,
		"End every session of every account? Everybody has to sign in again."); err != nil {
		return 0, err
	}
	return s.operator.EndEverySession(ctx)
}

// sessionTable prints sessions. ENDS is the idle expiry or the absolute expiry, whichever is
// earlier. A session counts as used at its last refresh, because requests with an access token
// do not update it.
func sessionTable(engine *watchword.Engine, sessions []watchword.Session) *table {
	t := newTable("ID", "DEVICE", "FROM", "SIGNED IN", "LAST USED", "ENDS")
	for _, s := range sessions {
		t.addRow(string(s.ID), s.Device, s.Address, tableTime(s.CreatedAt), tableTime(s.LastUsed()),
			tableTime(engine.SessionExpires(s)))
	}
	return t
}

// sessionView is a session in JSON, in the form of the API.
type sessionView struct {
	ID         watchword.SessionID `json:"id"`
	Device     string              `json:"device"`
	Address    string              `json:"address"`
	CreatedAt  *time.Time          `json:"createdAt"`
	LastUsedAt *time.Time          `json:"lastUsedAt"`
	ExpiresAt  *time.Time          `json:"expiresAt"` // end of the session, unless it is refreshed before
}

// sessionsJSON returns [] for no sessions, and not null.
func sessionsJSON(engine *watchword.Engine, sessions []watchword.Session) []sessionView {
	views := make([]sessionView, len(sessions))
	for i, s := range sessions {
		views[i] = sessionView{s.ID, s.Device, s.Address, jsonTime(s.CreatedAt), jsonTime(s.LastUsed()),
			jsonTime(engine.SessionExpires(s))}
	}
	return views
}

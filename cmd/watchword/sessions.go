package main

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// sessionsCmd shows and ends sign-ins.
type sessionsCmd struct {
	List sessionList `cmd:"" help:"List the live sessions of an account."`
	End  sessionEnd  `cmd:"" help:"End one session of an account, or all of them."`
}

type sessionList struct{ accountFlags }

func (c *sessionList) Run(ctx context.Context, p *program) error {
	s, user, err := c.find(ctx, p)
	if err != nil {
		return err
	}
	defer s.close()
	sessions, err := s.engine.UserSessions(ctx, user.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{"sessions": sessionsJSON(s.engine, sessions)})
	}
	return p.printTable(sessionTable(s.engine, sessions))
}

type sessionEnd struct {
	accountFlags
	ID string `arg:"" optional:"" help:"Id of the session; without it, all end."`
	confirmation
}

func (c *sessionEnd) Run(ctx context.Context, p *program) error {
	s, user, err := c.find(ctx, p)
	if err != nil {
		return err
	}
	defer s.close()
	ended := 1
	if c.ID != "" {
		err = s.engine.EndUserSession(ctx, user.ID, watchword.SessionID(c.ID))
		if watchword.CodeOf(err) == watchword.CodeNotFound {
			return fmt.Errorf("%s has no such session. List them with `watchword sessions list %s`", user.Email, user.Email)
		}
	} else {
		if err := p.confirm(c.confirmation, fmt.Sprintf("End all sessions of %s?", user.Email)); err != nil {
			return err
		}
		ended, err = s.engine.EndUserSessions(ctx, user.ID)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{"ended": ended})
	}
	p.say("Ended %d.", ended)
	return nil
}

// sessionTable shows the end that comes first: idle or absolute.
func sessionTable(engine *watchword.Engine, sessions []watchword.Session) *table {
	t := newTable("ID", "DEVICE", "FROM", "SIGNED IN", "LAST USED", "ENDS")
	for _, s := range sessions {
		t.row(string(s.ID), s.Device, s.Address, clock(s.CreatedAt), clock(s.RotatedAt), clock(engine.SessionExpires(s)))
	}
	return t
}

// sessionView is a session in JSON: the shape of the API.
type sessionView struct {
	ID         watchword.SessionID `json:"id"`
	Device     string              `json:"device"`
	Address    string              `json:"address"`
	CreatedAt  *time.Time          `json:"createdAt"`
	LastUsedAt *time.Time          `json:"lastUsedAt"`
	ExpiresAt  *time.Time          `json:"expiresAt"` // the end that comes first, if it is not used before
}

func sessionsJSON(engine *watchword.Engine, sessions []watchword.Session) []sessionView {
	views := make([]sessionView, len(sessions))
	for i, s := range sessions {
		views[i] = sessionView{s.ID, s.Device, s.Address, stamp(s.CreatedAt), stamp(s.RotatedAt), stamp(engine.SessionExpires(s))}
	}
	return views
}

package watchword

import (
	"context"
	"errors"

	"github.com/google/uuid"
)

// Logout ends the session of whatever token still names one. Any genuine refresh
// token does, however old, and an access token that has expired: to sign out is
// never refused, and asking twice is no error. A token that is garbage names no
// session, and ends none.

// Logout ends the sessions of a refresh and of an access token; either may be
// empty, expired or garbage. It fails only when the store does.
func (e *Engine) Logout(ctx context.Context, refresh, access Secret, c Client) error {
	now := e.now()
	var named []SessionID
	if presented, err := e.keys.parseRefresh(ctx, refresh); err == nil {
		named = append(named, SessionID(uuid.UUID(presented.Session).String()))
	} else if CodeOf(err) == CodeInternal {
		return err
	}
	if claims, err := e.keys.verifyExpired(ctx, access, now); err == nil {
		named = append(named, SessionID(claims.SessionID))
	} else if CodeOf(err) == CodeInternal {
		return err
	}
	for _, id := range named {
		if err := e.endSession(ctx, id, EndedLogout, e.event(EventLogout, c, now)); err != nil {
			return err
		}
	}
	return nil
}

// endSession ends one session and records it, unless it has ended.
func (e *Engine) endSession(ctx context.Context, id SessionID, why EndReason, event Event) error {
	var ended bool
	err := e.store.Update(ctx, func(tx Tx) error {
		session, _, err := tx.Session(ctx, id)
		if err != nil {
			return err
		}
		if ended, err = tx.EndSession(ctx, id, why, event.At); err != nil || !ended {
			return err
		}
		event = event.of(session.UserID).on(id)
		return tx.InsertEvent(ctx, event)
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil && ended {
		e.announce(event)
	}
	return err
}

// LogoutAll ends the user's sessions except one ("": none) and says how many.
func (e *Engine) LogoutAll(ctx context.Context, who Identity, except SessionID, c Client) (ended int, err error) {
	event := e.event(EventLogoutAll, c, e.now()).of(who.User.ID).on(who.Session.ID)
	return e.endSessions(ctx, except, EndedLogoutAll, event)
}

func (e *Engine) endSessions(ctx context.Context, except SessionID, why EndReason, event Event) (ended int, err error) {
	err = e.store.Update(ctx, func(tx Tx) error {
		if ended, err = tx.EndSessions(ctx, event.UserID, except, why, event.At); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err == nil {
		e.announce(event)
	}
	return ended, err
}

package watchword

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"
)

// Sign-out accepts every genuine refresh token, however old, and expired access tokens. It is never refused.

// Logout ends the sessions of a refresh token and an access token. Each may be
// empty, expired or invalid. Only errors of the store are returned.
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
		if _, err := e.endSession(ctx, id, EndedLogout, e.newEvent(EventLogout, c, now)); err != nil {
			return err
		}
	}
	return nil
}

// endSession ends one session and stores its event. It returns false if the session does not exist or has already
// ended.
func (e *Engine) endSession(ctx context.Context, id SessionID, why EndReason, event Event) (ended bool, err error) {
	recorded := event
	err = e.store.Update(ctx, func(tx Tx) error {
		if recorded, ended, err = endSessionInTx(ctx, tx, id, why, event); err != nil || !ended {
			return err
		}
		return tx.InsertEvent(ctx, recorded)
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err == nil && ended {
		e.announce(recorded)
	}
	return ended, err
}

// endSessionInTx ends one session in tx. It returns the event with the user and the session. The caller stores the
// event and announces it.
func endSessionInTx(
	ctx context.Context, tx Tx, id SessionID, why EndReason, event Event,
) (recorded Event, ended bool, err error) {
	session, _, err := tx.Session(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return event, false, nil
	}
	if err != nil {
		return event, false, err
	}
	ended, err = tx.EndSession(ctx, id, why, event.At)
	return event.ofUser(session.UserID).ofSession(id), ended, err
}

// LogoutAll ends the user's sessions and forgets the remembered devices. If keptID is not empty, it keeps the session
// with this id. It returns the number of ended sessions that were live.
func (e *Engine) LogoutAll(ctx context.Context, who Identity, keptID SessionID, c Client) (ended int, err error) {
	event := e.newEvent(EventLogoutAll, c, e.now()).ofUser(who.User.ID).ofSession(who.Session.ID)
	return e.endAllBut(ctx, keptID, EndedLogoutAll, event)
}

// endAllBut ends all sessions of the event's user except keptID, and forgets the remembered devices. It returns the
// number of ended sessions that were live.
func (e *Engine) endAllBut(ctx context.Context, keptID SessionID, why EndReason, event Event) (ended int, err error) {
	err = e.store.Update(ctx, func(tx Tx) error {
		// Devices are changed before sessions, as in a sign-in, so that a concurrent sign-in can't cause a deadlock.
		if err := tx.ForgetDevices(ctx, event.UserID); err != nil {
			return err
		}
		live, err := tx.Sessions(ctx, event.UserID, e.opts.Sessions.Cutoffs(event.At))
		if err != nil {
			return err
		}
		ended = len(slices.DeleteFunc(live, func(s Session) bool { return s.ID == keptID }))
		if _, err := tx.EndSessions(ctx, event.UserID, keptID, why, event.At); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err == nil {
		e.announce(event)
	}
	return ended, err
}

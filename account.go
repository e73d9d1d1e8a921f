package watchword

import (
	"context"
	"errors"
	"time"
)

// What a signed-in user sees and does: who the bearer of an access token is, the
// profile, the list of sessions, the end of the account.

// An Identity is whom a verified access token speaks for, on a live session.
type Identity struct {
	User    User
	Session Session
}

// Authenticate verifies an access token (RFC 9068 section 4), and that its
// session is alive: here, unlike at other services, a signature is not enough. A
// token whose roles are out of date counts as expired, so that the client
// refreshes. Codes: CodeTokenMissing, CodeTokenInvalid, CodeTokenExpired,
// CodeSessionEnded.
func (e *Engine) Authenticate(ctx context.Context, access Secret) (Identity, error) {
	if access == "" {
		return Identity{}, refuse(CodeTokenMissing, "Sign in first: send an access token as `Authorization: Bearer …`.")
	}
	now := e.now()
	claims, err := e.keys.verify(ctx, access, now)
	if err != nil {
		return Identity{}, err
	}
	var who Identity
	err = e.store.View(ctx, func(tx Tx) error {
		who.Session, who.User, err = tx.Session(ctx, SessionID(claims.SessionID))
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return Identity{}, sessionEnded("")
	}
	if err != nil {
		return Identity{}, err
	}
	why := who.Session.EndedBy(e.opts.Sessions.Cutoffs(now))
	switch {
	case why != "":
		return Identity{}, sessionEnded(why)
	case who.User.Disabled():
		return Identity{}, sessionEnded(EndedDisabled)
	case claims.Subject != string(who.User.ID):
		return Identity{}, tokenInvalid()
	case claims.IssuedAt < who.User.RolesChangedAt.Unix():
		return Identity{}, tokenExpired()
	}
	return who, nil
}

// RequireRoles refuses whoever lacks one of the roles. Codes:
// CodeInsufficientScope.
func (i Identity) RequireRoles(roles ...string) error {
	for _, role := range roles {
		if !i.User.HasRole(role) {
			return refuse(CodeInsufficientScope, "Your account does not have the role that this needs. Ask whoever runs the service.")
		}
	}
	return nil
}

func tokenInvalid() *Error {
	return refuse(CodeTokenInvalid, "This access token is not valid here. Refresh it, or sign in again.")
}

func tokenExpired() *Error {
	return refuse(CodeTokenExpired, "This access token has expired. Refresh it.")
}

func notFound() *Error { return refuse(CodeNotFound, "There is nothing here that you may see.") }

// Profile returns one's own account, or anybody's to RoleAdmin. Codes:
// CodeNotFound, whether it is not there or not theirs to see.
func (e *Engine) Profile(ctx context.Context, who Identity, id UserID) (u User, err error) {
	if id == who.User.ID {
		return who.User, nil
	}
	if !who.User.HasRole(RoleAdmin) || !isID(string(id)) {
		return User{}, notFound()
	}
	return e.user(ctx, func(tx Tx) (User, error) { return tx.User(ctx, id) })
}

// user runs one question about a user.
func (e *Engine) user(ctx context.Context, ask func(Tx) (User, error)) (u User, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		u, err = ask(tx)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = notFound()
	}
	return u, err
}

// Rename sets one's name. Codes: CodeValidationFailed (name).
func (e *Engine) Rename(ctx context.Context, who Identity, name string) (User, error) {
	name, problem := parseName("name", name)
	if problem != nil {
		return User{}, unacceptable(*problem)
	}
	err := e.store.Update(ctx, func(tx Tx) error { return tx.SetName(ctx, who.User.ID, name) })
	if errors.Is(err, ErrNotFound) {
		err = sessionEnded(EndedDeleted)
	}
	who.User.Name = name
	return who.User, err
}

// DeleteAccount removes the account and ends its sessions. Codes:
// CodePasswordWrong, CodeRateLimited, CodeTryLater.
func (e *Engine) DeleteAccount(ctx context.Context, who Identity, password Secret, c Client) error {
	if password == "" {
		return required("password")
	}
	now := e.now()
	if _, err := e.reauthenticate(ctx, who.User, password, c, now); err != nil {
		return err
	}
	event := e.event(EventDeleted, c, now).of(who.User.ID)
	err := e.store.Update(ctx, func(tx Tx) error {
		if err := e.holdPassword(ctx, tx, who.User); err != nil {
			return err
		}
		return deleteUser(ctx, tx, event)
	})
	if err == nil {
		e.announce(event)
	}
	return err
}

// holdPassword locks the account while its password is still the one that was
// given a moment ago.
func (e *Engine) holdPassword(ctx context.Context, tx Tx, u User) error {
	unchanged, err := tx.ReplacePassword(ctx, u.ID, u.PasswordHash, u.PasswordHash)
	if err == nil && !unchanged {
		err = passwordWrong()
	}
	return err
}

// deleteUser leaves of an account that it was deleted, and its sessions, ended,
// until they are swept: their tokens are answered as ended meanwhile.
func deleteUser(ctx context.Context, tx Tx, event Event) error {
	if _, err := tx.EndSessions(ctx, event.UserID, "", EndedDeleted, event.At); err != nil {
		return err
	}
	if err := tx.DeleteMailTokens(ctx, event.UserID, mailedTokens...); err != nil {
		return err
	}
	if _, err := tx.DeleteUser(ctx, event.UserID); err != nil {
		return err
	}
	event.Address, event.Device = "", ""
	return tx.InsertEvent(ctx, event)
}

// Sessions lists one's live sessions, the last used first.
func (e *Engine) Sessions(ctx context.Context, who Identity) ([]Session, error) {
	return e.UserSessions(ctx, who.User.ID)
}

// SessionExpires is when a session dies if it is not refreshed before.
func (e *Engine) SessionExpires(s Session) time.Time { return s.idleUntil(e.opts.Sessions) }

// EndSession ends one of one's own sessions. Codes: CodeNotFound for any other,
// and for one that has ended.
func (e *Engine) EndSession(ctx context.Context, who Identity, id SessionID, c Client) error {
	if !isID(string(id)) {
		return notFound()
	}
	event := e.event(EventSessionEnded, c, e.now()).of(who.User.ID)
	return e.endOwnSession(ctx, id, EndedByUser, event)
}

// endOwnSession ends a session of the user of the event.
func (e *Engine) endOwnSession(ctx context.Context, id SessionID, why EndReason, event Event) error {
	event = event.on(id).because(string(why))
	err := e.store.Update(ctx, func(tx Tx) error {
		session, _, err := tx.Session(ctx, id)
		if err != nil {
			return err
		}
		if session.UserID != event.UserID {
			return notFound()
		}
		ended, err := tx.EndSession(ctx, id, why, event.At)
		if err != nil {
			return err
		}
		if !ended {
			return notFound()
		}
		return tx.InsertEvent(ctx, event)
	})
	if errors.Is(err, ErrNotFound) {
		return notFound()
	}
	if err == nil {
		e.announce(event)
	}
	return err
}

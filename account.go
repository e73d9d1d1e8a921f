package watchword

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword/internal/storable"
)

// Operations of signed-in users on their own account and sessions.

// An Identity is the user and the active session of a verified access token.
type Identity struct {
	User    User
	Session Session
}

// Authenticate verifies an access token (RFC 9068 section 4). It also reads the session, because a token doesn't show
// whether its session is still active. A token with outdated roles counts as expired, so that the client refreshes
// it. Codes: CodeTokenMissing, CodeTokenInvalid, CodeTokenExpired, CodeSessionEnded.
func (e *Engine) Authenticate(ctx context.Context, access Secret) (Identity, error) {
	if access == "" {
		return Identity{}, refuse(CodeTokenMissing, "Sign in first: send an access token as `Authorization: Bearer …`.")
	}
	now := e.now()
	claims, err := e.keys.verifyAccessToken(ctx, access, now)
	if err != nil {
		return Identity{}, err
	}
	who, err := e.readIdentity(ctx, SessionID(claims.SessionID))
	if err != nil {
		return Identity{}, err
	}
	why := who.Session.EndedBy(e.opts.Sessions.Cutoffs(now))
	switch {
	case why != "":
		return Identity{}, sessionEnded(who.Session.ID, why)
	case who.User.Disabled():
		return Identity{}, sessionEnded(who.Session.ID, EndedDisabled)
	case claims.Subject != string(who.User.ID):
		return Identity{}, tokenInvalid()
	case claims.IssuedAt < who.User.RolesChangedAt.Unix():
		return Identity{}, tokenExpired()
	}
	return who, nil
}

// LiveSessions returns the active sessions of these access and refresh tokens. It ignores invalid tokens, and refresh
// tokens older than the two newest generations. It does not change the sessions.
//
// Unstable: only the server uses it.
func (e *Engine) LiveSessions(ctx context.Context, tokens []Secret) (live []Identity, err error) {
	for _, token := range tokens {
		if token == "" {
			continue
		}
		who, err := e.identifyByToken(ctx, token)
		switch {
		case err == nil:
			live = append(live, who)
		case CodeOf(err) == CodeInternal:
			return nil, err
		}
	}
	return live, nil
}

func (e *Engine) identifyByToken(ctx context.Context, token Secret) (who Identity, err error) {
	if strings.Contains(string(token), ".") {
		return e.Authenticate(ctx, token)
	}
	presented, err := e.keys.parseRefresh(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	who, err = e.readIdentity(ctx, SessionID(uuid.UUID(presented.Session).String()))
	if err != nil {
		return Identity{}, err
	}
	newest := uint64(who.Session.Generation)
	recent := presented.Generation == newest || presented.Generation+1 == newest
	if !recent || who.User.Disabled() || who.Session.EndedBy(e.opts.Sessions.Cutoffs(e.now())) != "" {
		return Identity{}, sessionEnded(who.Session.ID, "")
	}
	return who, nil
}

// readIdentity reads a session and its user. The caller checks that both are active.
func (e *Engine) readIdentity(ctx context.Context, id SessionID) (who Identity, err error) {
	who.Session, who.User, err = e.store.Live(ctx, id)
	if errors.Is(err, ErrNotFound) {
		err = sessionEnded(id, "")
	}
	return who, err
}

func (e *Engine) hasLiveSession(ctx context.Context, tokens []Secret, id UserID) (bool, error) {
	live, err := e.LiveSessions(ctx, tokens)
	return slices.ContainsFunc(live, func(who Identity) bool { return who.User.ID == id }), err
}

// RequireRoles returns a refusal if the user does not have all of the roles. Codes: CodeInsufficientScope.
func (i Identity) RequireRoles(roles ...string) error {
	for _, role := range roles {
		if !i.User.HasRole(role) {
			return refuse(CodeInsufficientScope,
				"Your account lacks the required role. Contact the people who run this service.")
		}
	}
	return nil
}

func tokenInvalid() *Error {
	return refuse(CodeTokenInvalid, "This access token is not valid for this server. Refresh it, or sign in again.")
}

func tokenExpired() *Error {
	return refuse(CodeTokenExpired, "This access token has expired. Refresh it.")
}

func notFound() *Error { return refuse(CodeNotFound, "Not found, or you are not allowed to see it.") }

// Profile returns the account with the id. Users see only their own account, and users with RoleAdmin see every
// account. Codes: CodeNotFound (or not allowed).
func (e *Engine) Profile(ctx context.Context, who Identity, id UserID) (u User, err error) {
	if id == who.User.ID {
		return who.User, nil
	}
	if !who.User.HasRole(RoleAdmin) {
		return User{}, notFound()
	}
	return e.Operator().FindUserByID(ctx, id)
}

// findUser runs a query for one user. Codes: CodeNotFound.
func (e *Engine) findUser(ctx context.Context, ask func(Tx) (User, error)) (User, error) {
	u, err := queryStore(ctx, e.store, ask)
	return u, orNotFound(err)
}

func queryStore[T any](ctx context.Context, s Store, query func(Tx) (T, error)) (result T, err error) {
	err = s.View(ctx, func(tx Tx) (err error) { result, err = query(tx); return err })
	return result, err
}

func updateStore[T any](ctx context.Context, s Store, change func(Tx) (T, error)) (result T, err error) {
	err = s.Update(ctx, func(tx Tx) (err error) { result, err = change(tx); return err })
	return result, err
}

// A ProfileChange changes the fields that users choose themselves. A nil field stays unchanged.
type ProfileChange struct {
	Name   *string // at most 200 code points; may be empty
	Locale *string // BCP 47; empty: unknown
}

// UpdateProfile changes the caller's account. Codes: CodeValidationFailed (name, locale), CodeSessionEnded.
func (e *Engine) UpdateProfile(ctx context.Context, who Identity, change ProfileChange) (User, error) {
	var badName, badLocale *FieldError
	if change.Name != nil {
		who.User.Name, badName = parseName("name", *change.Name)
	}
	if change.Locale != nil {
		who.User.Locale, badLocale = parseLocale("locale", *change.Locale)
	}
	if problem := cmp.Or(badName, badLocale); problem != nil {
		return User{}, unacceptable(*problem)
	}
	err := e.store.Update(ctx, func(tx Tx) (err error) {
		if change.Name != nil {
			err = tx.SetName(ctx, who.User.ID, who.User.Name)
		}
		if err == nil && change.Locale != nil {
			err = tx.SetLocale(ctx, who.User.ID, who.User.Locale)
		}
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = sessionEnded(who.Session.ID, EndedDeleted)
	}
	return who.User, err
}

// DeleteAccount deletes the account and ends its sessions, but refuses to delete the last administrator. Codes:
// CodeValidationFailed (password missing), CodeStepUpRequired, CodePasswordWrong, CodeLastAdmin, CodeRateLimited,
// CodeTryLater.
func (e *Engine) DeleteAccount(ctx context.Context, who Identity, password Secret, c Client) error {
	if password == "" && who.User.PasswordHash != "" {
		return passwordMissing("password")
	}
	now := e.now()
	if err := e.reauthenticate(ctx, who, password, c, now); err != nil {
		return err
	}
	event := e.newEvent(EventDeleted, c, now).ofUser(who.User.ID)
	err := e.store.Update(ctx, func(tx Tx) error {
		if err := lockAndSetPassword(ctx, tx, who.User, who.User.PasswordHash); err != nil {
			return err
		}
		user, err := tx.User(ctx, who.User.ID) // read again, because the roles may have changed before the lock
		if err == nil {
			err = deleteUser(ctx, tx, event)
		}
		if err == nil && user.HasRole(RoleAdmin) {
			err = requireRemainingAdmin(ctx, tx)
		}
		if err != nil {
			return err
		}
		kept := event
		kept.Address, kept.Device = "", ""
		return tx.InsertEvent(ctx, kept)
	})
	if err == nil {
		e.announce(event)
	}
	return err
}

func requireRemainingAdmin(ctx context.Context, tx Tx) error {
	remains, err := tx.HasAdmin(ctx)
	if err == nil && !remains {
		err = refuse(CodeLastAdmin, "This is the last administrator. Make another account an administrator first.")
	}
	return err
}

// lockAndSetPassword locks the account and stores a password hash. To lock the account only, pass its current hash.
// Codes: CodeTryLater if the hash or the factors changed after u was read, or if the account was disabled. A changed
// hash does not mean CodePasswordWrong, because a sign-in may have upgraded the hash.
func lockAndSetPassword(ctx context.Context, tx Tx, u User, to Secret) error {
	unchanged, err := tx.ReplacePassword(ctx, u, to)
	if err == nil && !unchanged {
		err = accountChanged()
	}
	return err
}

func accountChanged() *Error {
	return &Error{Code: CodeTryLater, Detail: "The account has just changed. Try again.", RetryAfter: time.Second}
}

// deleteUser ends the sessions of event.UserID and deletes the account. The caller must then store the event, without
// the address and device of the client. The rows of ended sessions stay until the sweep, so that requests with their
// tokens get CodeSessionEnded.
func deleteUser(ctx context.Context, tx Tx, event Event) error {
	if _, err := tx.EndSessions(ctx, event.UserID, "", EndedDeleted, event.At); err != nil {
		return err
	}
	if err := tx.DeleteMailTokens(ctx, event.UserID, mailsWithToken...); err != nil {
		return err
	}
	_, err := tx.DeleteUser(ctx, event.UserID)
	return err
}

// Sessions lists the caller's active sessions, the most recently used first.
func (e *Engine) Sessions(ctx context.Context, who Identity) ([]Session, error) {
	return e.Operator().UserSessions(ctx, who.User.ID)
}

// SessionExpires returns when a session expires if it is not refreshed.
func (e *Engine) SessionExpires(s Session) time.Time { return s.expiryWithoutRefresh(e.opts.Sessions) }

// EndSession ends one of the caller's live sessions. Codes: CodeNotFound (not the caller's, or already ended).
func (e *Engine) EndSession(ctx context.Context, who Identity, id SessionID, c Client) error {
	if !storable.ID(string(id)) {
		return notFound()
	}
	event := e.newEvent(EventSessionEnded, c, e.now()).ofUser(who.User.ID)
	return e.endOwnSession(ctx, id, EndedByUser, event)
}

// endOwnSession ends a session of the event's user. Codes: CodeNotFound (another user's, ended, expired or idle).
func (e *Engine) endOwnSession(ctx context.Context, id SessionID, why EndReason, event Event) error {
	event = event.withDetail(string(why)).ofSession(id)
	return e.recordChange(ctx, &event, func(tx Tx) error {
		session, _, err := tx.Session(ctx, id)
		ended := session.UserID == event.UserID && session.EndedBy(e.opts.Sessions.Cutoffs(event.At)) == ""
		if err == nil && ended {
			ended, err = tx.EndSession(ctx, id, why, event.At)
		}
		if err == nil && !ended {
			err = notFound()
		}
		return orNotFound(err)
	})
}

package watchword

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword/internal/sleep"
	"github.com/watchword-auth/watchword/internal/storable"
)

// Operations of the people who run the service (cmd/watchword). The operating system has
// authenticated them, so these methods take no identity, and their events have no network
// address. For a user that does not exist, they return CodeNotFound.

// An Operator does what the people who run the service may do. It checks no
// permission: give it only to code that they run.
type Operator struct{ engine *Engine }

// Operator returns the operations of the people who run the service.
func (e *Engine) Operator() Operator { return Operator{e} }

// A NewUser is an account that an operator creates.
type NewUser struct {
	Email    string
	Name     string
	Locale   string // BCP 47; may be empty
	Roles    []string
	Password Secret // empty: an invitation lets the user choose one
}

// CreateUser creates an account, in every sign-up mode. Codes:
// CodeValidationFailed (email, password, name, roles), CodeEmailTaken.
func (o Operator) CreateUser(ctx context.Context, n NewUser) (User, error) {
	now := o.engine.now()
	user, problems := newUser(n, now)
	roles, problem := o.engine.opts.parseRoles(n.Roles)
	if problem != nil {
		problems = append(problems, *problem)
	}
	user.Roles = roles
	var normal string
	if n.Password != "" {
		if normal, problem = o.engine.acceptable("password", n.Password, user.Email, user.Name); problem != nil {
			problems = append(problems, *problem)
		}
	}
	if len(problems) > 0 {
		return User{}, unacceptable(problems...)
	}
	kind := MailInvite
	if normal != "" {
		kind = MailVerify
		hash, err := o.engine.hash(ctx, Client{}, normal)
		if err != nil {
			return User{}, err
		}
		user.PasswordHash = hash
	}
	event := o.engine.event(EventSignup, Client{}, now).of(user.ID).because("by an operator")
	err := o.engine.store.Update(ctx, func(tx Tx) error {
		inserted, err := tx.InsertUser(ctx, user, now)
		if err != nil {
			return err
		}
		if !inserted {
			return emailTaken()
		}
		if err := tx.InsertMail(ctx, mailTo(kind, user, event)); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err != nil {
		return User{}, err
	}
	o.engine.announce(event)
	o.engine.wakeOutbox()
	return user, nil
}

// FindUser returns the account of an address in any spelling. Codes:
// CodeValidationFailed (email), CodeNotFound. FindUserByID finds by id.
func (o Operator) FindUser(ctx context.Context, email string) (User, error) {
	canonical, problem := parseKnownEmail("email", email)
	if problem != nil {
		return User{}, unacceptable(*problem)
	}
	return o.engine.user(ctx, func(tx Tx) (User, error) { return tx.UserByEmail(ctx, canonical) })
}

// FindUserByID returns the account of an id, such as the `sub` of an access token. Codes:
// CodeNotFound.
func (o Operator) FindUserByID(ctx context.Context, id UserID) (User, error) {
	if !storable.ID(string(id)) {
		return User{}, notFound()
	}
	return o.engine.user(ctx, func(tx Tx) (User, error) { return tx.User(ctx, id) })
}

// Users lists up to limit accounts with addresses after the given one (""
// starts at the first), in the order of addresses.
func (o Operator) Users(ctx context.Context, after Address, limit int) (users []User, err error) {
	err = o.engine.store.View(ctx, func(tx Tx) error {
		users, err = tx.Users(ctx, after, limit)
		return err
	})
	return users, err
}

// DisableUser disables the account, ends its sessions and deletes its mailed tokens.
func (o Operator) DisableUser(ctx context.Context, id UserID) error {
	return o.engine.operate(ctx, EventDisabled, id, func(tx Tx, now time.Time) error {
		if err := tx.SetDisabled(ctx, id, now); err != nil {
			return err
		}
		if _, err := tx.EndSessions(ctx, id, "", EndedDisabled, now); err != nil {
			return err
		}
		return tx.DeleteMailTokens(ctx, id, mailedTokens...)
	})
}

// EnableUser enables a disabled account. Its sessions stay ended.
func (o Operator) EnableUser(ctx context.Context, id UserID) error {
	return o.engine.operate(ctx, EventEnabled, id, func(tx Tx, _ time.Time) error {
		return tx.SetDisabled(ctx, id, time.Time{})
	})
}

// SetRoles replaces the roles. It ends no session, but earlier access tokens are outdated
// at once (User.RolesChangedAt). It can wait up to 5 s after a recent change. Codes:
// CodeValidationFailed (roles).
func (o Operator) SetRoles(ctx context.Context, id UserID, roles []string) (User, error) {
	parsed, problem := o.engine.opts.parseRoles(roles)
	if problem != nil {
		return User{}, unacceptable(*problem)
	}
	user, err := o.engine.user(ctx, func(tx Tx) (User, error) { return tx.User(ctx, id) })
	if err != nil {
		return User{}, err
	}
	if err := sleep.For(ctx, rolesWait(user.RolesChangedAt, o.engine.now())); err != nil {
		return User{}, err
	}
	err = o.engine.operate(ctx, EventRolesChanged, id, func(tx Tx, now time.Time) (err error) {
		if err = tx.SetRoles(ctx, id, parsed, nextSecond(now)); err == nil {
			user, err = tx.User(ctx, id)
		}
		return err
	})
	return user, err
}

// rolesWait returns how long to wait before a change of roles. Each change takes effect
// at its own whole second, which becomes the `iat` of new tokens. Three changes within a
// second would date tokens further into the future than verifiers tolerate. A last change
// that is more than 5 s ahead comes from a wrong clock, and there is no wait.
func rolesWait(changed, now time.Time) time.Duration {
	wait := changed.Add(-time.Second).Sub(now)
	if wait < 0 || wait > 5*time.Second {
		return 0
	}
	return wait
}

// nextSecond returns the next whole second after t, because `iat` has no fractions.
func nextSecond(t time.Time) time.Time { return t.Truncate(time.Second).Add(time.Second) }

// DeleteUser deletes the account and ends its sessions.
func (o Operator) DeleteUser(ctx context.Context, id UserID) error {
	if _, err := o.engine.user(ctx, func(tx Tx) (User, error) { return tx.User(ctx, id) }); err != nil {
		return err
	}
	event := o.engine.event(EventDeleted, Client{}, o.engine.now()).of(id).because("by an operator")
	err := o.engine.store.Update(ctx, func(tx Tx) error { return deleteUser(ctx, tx, event) })
	if err == nil {
		o.engine.announce(event)
	}
	return err
}

// SendReset mails the user a link to choose a new password, or another invitation if the
// user has never had a password.
func (o Operator) SendReset(ctx context.Context, id UserID) error {
	user, err := o.engine.user(ctx, func(tx Tx) (User, error) { return tx.User(ctx, id) })
	if err != nil {
		return err
	}
	kind := MailReset
	if isInvited(user) {
		kind = MailInvite
	}
	mail := mailTo(kind, user, o.engine.event("", Client{}, o.engine.now()))
	err = o.engine.store.Update(ctx, func(tx Tx) error { return tx.InsertMail(ctx, mail) })
	o.engine.wakeOutbox()
	return err
}

// UserSessions lists the user's active sessions, the most recently used first.
func (o Operator) UserSessions(ctx context.Context, id UserID) (sessions []Session, err error) {
	cutoffs := o.engine.opts.Sessions.Cutoffs(o.engine.now())
	err = o.engine.store.View(ctx, func(tx Tx) error {
		sessions, err = tx.Sessions(ctx, id, cutoffs)
		return err
	})
	return sessions, err
}

// EndUserSession ends one session of the user. Codes: CodeNotFound (not a session of this
// user, or already ended).
func (o Operator) EndUserSession(ctx context.Context, id UserID, s SessionID) error {
	if !storable.ID(string(s)) {
		return notFound()
	}
	event := o.engine.event(EventSessionEnded, Client{}, o.engine.now()).of(id)
	return o.engine.endOwnSession(ctx, s, EndedOperator, event)
}

// EndUserSessions ends all of the user's sessions and returns their number.
func (o Operator) EndUserSessions(ctx context.Context, id UserID) (int, error) {
	event := o.engine.event(EventLogoutAll, Client{}, o.engine.now()).of(id).because("by an operator")
	return o.engine.endSessions(ctx, "", EndedOperator, event)
}

// endBatch is how many sessions EndEverySession ends per transaction. A running server
// can write between two of them.
const endBatch = 1000

// EndEverySession ends the sessions of all users and returns their number. It also
// ends sessions that begin while it runs. If it fails, run it again.
func (o Operator) EndEverySession(ctx context.Context) (ended int, err error) {
	now := o.engine.now()
	var last SessionID
	for n := endBatch; n == endBatch; ended += n {
		err := o.engine.store.Update(ctx, func(tx Tx) (err error) {
			last, n, err = tx.EndNextSessions(ctx, last, endBatch, EndedOperator, now)
			return err
		})
		if err != nil {
			return ended, err
		}
	}
	event := o.engine.event(EventLogoutAll, Client{}, now).because(fmt.Sprintf("every user, by an operator: %d", ended))
	if err := o.engine.store.Update(ctx, func(tx Tx) error { return tx.InsertEvent(ctx, event) }); err != nil {
		return ended, err
	}
	o.engine.announce(event)
	return ended, nil
}

// UserEvents lists up to limit events of the user, the newest first.
func (o Operator) UserEvents(ctx context.Context, id UserID, limit int) (events []Event, err error) {
	err = o.engine.store.View(ctx, func(tx Tx) error {
		events, err = tx.Events(ctx, id, limit)
		return err
	})
	return events, err
}

// operate changes an account and stores the event in one transaction.
func (e *Engine) operate(ctx context.Context, kind EventKind, id UserID, change func(Tx, time.Time) error) error {
	event := e.event(kind, Client{}, e.now()).of(id)
	err := e.store.Update(ctx, func(tx Tx) error {
		if err := change(tx, event.At); err != nil {
			return err
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

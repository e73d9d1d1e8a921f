package watchword

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/sleep"
	"github.com/watchword-auth/watchword/internal/storable"
)

// The caller has authenticated the people who run the service, so the methods of Operator take no identity, and their
// events have no network address. For a user that does not exist, the methods return CodeNotFound.

// An Operator has the operations of the service's staff. It checks no permissions: pass it only to trusted code.
type Operator struct {
	engine *Engine
	name   string
	check  func(context.Context, Tx) error // runs at the end of each change of an account
	tx     Tx                              // the caller's transaction (In), or nil
	events *[]Event                        // the caller announces them after its commit
}

// Operator returns the operations of the people who run the service.
func (e *Engine) Operator() Operator {
	return Operator{engine: e, check: func(context.Context, Tx) error { return nil }}
}

// As returns an Operator that records a name, cut to 128 bytes, in its events.
func (o Operator) As(name string) Operator { return o.engine.Inside().Operator(name, o.check) }

// In returns an Operator whose DisableUser, EnableUser, SetRoles and Rename run in the caller's transaction. They
// append their events to events. After the commit, the caller must pass these events to Inside.Announce. It must also
// call AwaitRoles before the transaction, and Inside.CheckToken after its last change.
//
// Unstable: for packages of this module.
func (o Operator) In(tx Tx, events *[]Event) Operator {
	o.tx, o.events = tx, events
	return o
}

func (o Operator) newEvent(kind EventKind, id UserID) Event {
	ev := o.engine.newEvent(kind, Client{}, o.engine.now()).ofUser(id)
	ev.Operator = o.name
	return ev
}

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
	var badRoles, badPassword *FieldError
	user.Roles, badRoles = o.engine.opts.parseRoles(n.Roles)
	var normal string
	if n.Password != "" {
		normal, badPassword = o.engine.checkNewPassword("password", n.Password, user.Email, user.Name)
	}
	if problems = append(problems, nonNilProblems(badRoles, badPassword)...); len(problems) > 0 {
		return User{}, unacceptable(problems...)
	}
	kind := MailInvite
	var err error
	if normal != "" {
		kind = MailVerify
		if user.PasswordHash, err = o.engine.hashPassword(ctx, Client{}, normal); err != nil {
			return User{}, err
		}
	}
	err = o.recordOperation(ctx, EventSignup, user.ID, func(tx Tx, ev *Event) error {
		ev.Detail = "by an operator"
		inserted, err := tx.InsertUser(ctx, user, now)
		if err == nil && !inserted {
			err = emailTaken()
		}
		if err != nil {
			return err
		}
		return tx.InsertMail(ctx, newMail(kind, user, *ev))
	})
	return user, err
}

// FindUser returns the account of an address in any spelling. Codes:
// CodeValidationFailed (email), CodeNotFound. FindUserByID finds by id.
func (o Operator) FindUser(ctx context.Context, email string) (User, error) {
	canonical, problem := parseKnownEmail("email", email)
	if problem != nil {
		return User{}, unacceptable(*problem)
	}
	return o.engine.findUser(ctx, func(tx Tx) (User, error) { return tx.UserByEmail(ctx, canonical) })
}

// FindUserByID returns the account of an id, such as the `sub` of an access token. Codes: CodeNotFound.
func (o Operator) FindUserByID(ctx context.Context, id UserID) (User, error) {
	if !storable.ID(string(id)) {
		return User{}, notFound()
	}
	return o.engine.findUser(ctx, func(tx Tx) (User, error) { return tx.User(ctx, id) })
}

// UserOfSession returns the account of a session, also after its end. Codes: CodeNotFound.
//
// Unstable: for the program watchword.
func (o Operator) UserOfSession(ctx context.Context, id SessionID) (User, error) {
	if !storable.ID(string(id)) {
		return User{}, notFound()
	}
	return o.engine.findUser(ctx, func(tx Tx) (User, error) {
		_, user, err := tx.Session(ctx, id)
		return user, err
	})
}

// Users lists up to limit accounts in the order of their addresses, after the cursor ("": from the start).
func (o Operator) Users(ctx context.Context, cursor Address, limit int) ([]User, error) {
	return o.UsersBetween(ctx, cursor+"\x01", "\x7f", limit) // addresses are printable ASCII, below \x7f
}

// UsersBetween lists up to limit accounts with first <= address < end, in byte order of their addresses.
//
// Unstable: for package usersearch.
func (o Operator) UsersBetween(ctx context.Context, first, end Address, limit int) ([]User, error) {
	return queryStore(ctx, o.engine.store, func(tx Tx) ([]User, error) { return tx.Users(ctx, first, end, limit) })
}

// DisableUser disables the account, ends its sessions and deletes its mailed tokens.
func (o Operator) DisableUser(ctx context.Context, id UserID) error {
	return o.recordOperation(ctx, EventDisabled, id, func(tx Tx, ev *Event) error {
		if err := tx.SetDisabled(ctx, id, ev.At); err != nil {
			return err
		}
		if _, err := tx.EndSessions(ctx, id, "", EndedDisabled, ev.At); err != nil {
			return err
		}
		return tx.DeleteMailTokens(ctx, id, mailsWithToken...)
	})
}

// EnableUser enables a disabled account. Its sessions stay ended.
func (o Operator) EnableUser(ctx context.Context, id UserID) error {
	return o.recordOperation(ctx, eventEnabled, id, func(tx Tx, _ *Event) error {
		return tx.SetDisabled(ctx, id, time.Time{})
	})
}

// SetRoles replaces the roles. Earlier access tokens are outdated at once (User.RolesChangedAt), but sessions
// continue. If the roles have just changed, it first waits up to 5 s. Codes: CodeValidationFailed (roles).
func (o Operator) SetRoles(ctx context.Context, id UserID, roles []string) (User, error) {
	parsed, problem := o.engine.opts.parseRoles(roles)
	if problem != nil {
		return User{}, unacceptable(*problem)
	}
	if err := o.AwaitRoles(ctx, id); err != nil {
		return User{}, err
	}
	var user User
	err := o.recordOperation(ctx, EventRolesChanged, id, func(tx Tx, ev *Event) error {
		before, err := lockUserByID(ctx, tx, id)
		if err == nil {
			err = tx.SetRoles(ctx, id, parsed, accesstoken.NextSecond(ev.At))
		}
		if err == nil {
			user, err = tx.User(ctx, id)
		}
		if err == nil && o.tx == nil {
			err = o.engine.opts.checkToken(before, user)
		}
		return err
	})
	return user, err
}

// AwaitRoles waits up to 5 s if the user's roles have just changed, but not in a transaction (In).
//
// Unstable: for packages of this module.
func (o Operator) AwaitRoles(ctx context.Context, id UserID) error {
	if o.tx != nil {
		return nil
	}
	user, err := o.engine.findUser(ctx, func(tx Tx) (User, error) { return tx.User(ctx, id) })
	if err != nil {
		return err
	}
	return sleep.For(ctx, accesstoken.RolesWait(user.RolesChangedAt, o.engine.now()))
}

// DeleteUser deletes the account and ends its sessions.
func (o Operator) DeleteUser(ctx context.Context, id UserID) error {
	return o.recordOperation(ctx, EventDeleted, id, func(tx Tx, ev *Event) error {
		ev.Detail = "by an operator"
		if err := tx.SetDisabled(ctx, id, ev.At); err != nil { // locks the account first, as in other flows
			return err
		}
		return deleteUser(ctx, tx, *ev)
	})
}

// SendReset mails the user a link to choose a new password, or another invitation if the
// user has never had a password. Codes: CodeNotFound, CodeValidationFailed (email; the account is disabled).
func (o Operator) SendReset(ctx context.Context, id UserID) error {
	return o.sendLink(ctx, id, MailReset)
}

// SendVerification mails the user a link to verify the address, or an invitation, as SendReset does. The mail is
// dropped if Limits.MailPerAddress is reached. Codes: those of SendReset, CodeValidationFailed (email; verified).
func (o Operator) SendVerification(ctx context.Context, id UserID) error {
	return o.sendLink(ctx, id, MailVerify)
}

func (o Operator) sendLink(ctx context.Context, id UserID, kind MailKind) error {
	return o.recordOperation(ctx, eventLinkRequested, id, func(tx Tx, ev *Event) error {
		user, err := tx.User(ctx, id)
		switch {
		case err != nil:
			return err
		case user.Disabled(): // findMailOwner would drop the mail
			return unacceptable(FieldError{"email", FieldInvalid, "This account is disabled. Enable it first."})
		case kind == MailVerify && user.Verified():
			return unacceptable(FieldError{"email", FieldInvalid, "This address is already verified."})
		}
		link := linkKindFor(kind, user)
		ev.Detail = string(link)
		return tx.InsertMail(ctx, newMail(link, user, *ev))
	})
}

// linkKindFor returns MailInvite for an invited user, who can't sign in without an invitation.
func linkKindFor(kind MailKind, u User) MailKind {
	if isInvited(u) {
		return MailInvite
	}
	return kind
}

func orNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return notFound()
	}
	return err
}

// Rename sets the name of an account. Codes: CodeValidationFailed (name).
func (o Operator) Rename(ctx context.Context, id UserID, name string) error {
	parsed, problem := parseName("name", name)
	if problem != nil {
		return unacceptable(*problem)
	}
	return o.recordOperation(ctx, eventRenamed, id, func(tx Tx, _ *Event) error { return tx.SetName(ctx, id, parsed) })
}

// ChangeEmail gives the account a new, unverified address and mails a link to verify it. Earlier mailed links
// become invalid, including links that undo a change. Sessions and the password stay. If the previous address was
// verified, it gets a notice. The notice has no link and does not name the new address: someone else may have taken
// over the mailbox. Codes: CodeValidationFailed (email), CodeEmailTaken.
func (o Operator) ChangeEmail(ctx context.Context, id UserID, email string) error {
	to, problem := parseEmail("email", email)
	if problem != nil {
		return unacceptable(*problem)
	}
	return o.recordOperation(ctx, eventEmailChanged, id, func(tx Tx, ev *Event) error {
		user, err := lockUserByID(ctx, tx, id)
		if err == nil && user.Email == to {
			err = unacceptable(FieldError{"email", FieldInvalid, "The account already has this address."})
		}
		if err != nil {
			return err
		}
		free, err := tx.SetEmail(ctx, id, user.Email, to, ev.At)
		if err == nil && !free {
			err = emailTaken()
		}
		if err == nil {
			_, err = tx.SetVerified(ctx, id, to, time.Time{})
		}
		if err == nil {
			err = tx.DeleteMailTokens(ctx, id, mailsWithToken...)
		}
		if err == nil && user.Verified() {
			err = tx.InsertMail(ctx, newMail(MailAddressReplaced, user, *ev))
		}
		if err != nil {
			return err
		}
		user.Email, user.VerifiedAt = to, time.Time{}
		return tx.InsertMail(ctx, newMail(linkKindFor(MailVerify, user), user, *ev))
	})
}

// MarkVerified marks the address as verified, without a mail. It deletes the waiting sign-ups for this address.
func (o Operator) MarkVerified(ctx context.Context, id UserID) error {
	return o.recordOperation(ctx, EventEmailVerified, id, func(tx Tx, ev *Event) error {
		user, err := lockUserByID(ctx, tx, id)
		if err == nil && !user.Verified() {
			_, err = tx.SetVerified(ctx, id, user.Email, ev.At)
		}
		if err != nil {
			return err
		}
		return deleteLinksAndSignups(ctx, tx, user.Email)
	})
}

// ClearLimits resets the counters of the account and of its live sessions: wrong passwords and second factors,
// refreshes and mails. Counters per account and client network are reset for the networks in the last events of the
// account. Counters of single known devices stay, and so do counters of a client network for all accounts.
func (o Operator) ClearLimits(ctx context.Context, id UserID) error {
	return o.recordOperation(ctx, eventLimitsCleared, id, func(tx Tx, ev *Event) error {
		const lastEvents = 200
		user, err := tx.User(ctx, id)
		if err != nil {
			return err
		}
		events, err := tx.Events(ctx, id, lastEvents)
		if err != nil {
			return err
		}
		sessions, err := tx.Sessions(ctx, id, o.engine.opts.Sessions.Cutoffs(ev.At))
		if err != nil {
			return err
		}
		all := o.engine.opts.Limits.accountCharges(user, events, sessions, ev.At)
		for i := range all {
			all[i].Cost = 2 * all[i].Span // more than any counter, so the refund resets it
		}
		return refundCharges(ctx, tx, all...)
	})
}

// UserSessions lists the user's active sessions, the most recently used first.
func (o Operator) UserSessions(ctx context.Context, id UserID) ([]Session, error) {
	cutoffs := o.engine.opts.Sessions.Cutoffs(o.engine.now())
	return queryStore(ctx, o.engine.store, func(tx Tx) ([]Session, error) { return tx.Sessions(ctx, id, cutoffs) })
}

// EndUserSession ends one live session of the user. Codes: CodeNotFound (not a session of this user, or already ended).
func (o Operator) EndUserSession(ctx context.Context, id UserID, s SessionID) error {
	if !storable.ID(string(s)) {
		return notFound()
	}
	return o.engine.endOwnSession(ctx, s, EndedOperator, o.newEvent(EventSessionEnded, id))
}

// EndUserSessions ends all of the user's sessions and returns the number of live ones.
func (o Operator) EndUserSessions(ctx context.Context, id UserID) (int, error) {
	return o.engine.endAllBut(ctx, "", EndedOperator, o.newEvent(EventLogoutAll, id).withDetail("by an operator"))
}

// endBatch is how many sessions one transaction ends. Other writes can run between these transactions.
const endBatch = 1000

// EndEverySession ends the sessions of all users and returns their number. It also
// ends sessions that begin while it runs, and expired and idle ones. If it fails, run it again.
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
	return ended, o.recordOperation(ctx, EventLogoutAll, "", func(_ Tx, ev *Event) error {
		ev.Detail = fmt.Sprintf("every user, by an operator: %d", ended)
		return nil
	})
}

// UserEvents lists up to limit events of the user, the newest first.
func (o Operator) UserEvents(ctx context.Context, id UserID, limit int) ([]Event, error) {
	return queryStore(ctx, o.engine.store, func(tx Tx) ([]Event, error) { return tx.Events(ctx, id, limit) })
}

// LastRestore returns when a restore was last noticed (EventRestoreDetected), and when EndEverySession last ran after
// that time. A time is zero if there is no such event. Events are kept for 90 days.
//
// Unstable: only package admin and the program watchword use it.
func (o Operator) LastRestore(ctx context.Context) (noticed, settled time.Time, err error) {
	if noticed, err = o.lastSystemEventAt(ctx, EventRestoreDetected); err != nil || noticed.IsZero() {
		return noticed, time.Time{}, err
	}
	// Only EndEverySession stores an EventLogoutAll without an account.
	if settled, err = o.lastSystemEventAt(ctx, EventLogoutAll); settled.Before(noticed) {
		settled = time.Time{}
	}
	return noticed, settled, err
}

// lastSystemEventAt returns the time of the newest event of a kind that has no account. The time is zero if there is
// no such event.
func (o Operator) lastSystemEventAt(ctx context.Context, kind EventKind) (time.Time, error) {
	event, err := queryStore(ctx, o.engine.store, func(tx Tx) (Event, error) { return tx.LastEvent(ctx, "", kind) })
	if errors.Is(err, ErrNotFound) {
		return time.Time{}, nil
	}
	return event.At, err
}

// RequestEvents lists up to limit events of the request with this id, the newest first.
//
// Unstable: for the program watchword and package server.
func (o Operator) RequestEvents(ctx context.Context, request string, limit int) ([]Event, error) {
	request = storable.Text(request, maxRequestID)
	return queryStore(ctx, o.engine.store, func(tx Tx) ([]Event, error) { return tx.RequestEvents(ctx, request, limit) })
}

// recordOperation calls apply and stores the event in one transaction. An empty id means that the event has no
// account.
func (o Operator) recordOperation(ctx context.Context, kind EventKind, id UserID, apply func(Tx, *Event) error) error {
	event := o.newEvent(kind, id)
	all := func(tx Tx) error {
		if err := apply(tx, &event); err != nil {
			return err
		}
		return o.check(ctx, tx)
	}
	if o.tx == nil {
		return orNotFound(o.engine.recordChange(ctx, &event, all))
	}
	err := all(o.tx)
	if err == nil {
		err = o.tx.InsertEvent(ctx, event)
	}
	*o.events = append(*o.events, event)
	return orNotFound(err)
}

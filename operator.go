package watchword

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// What the people who run the service do (cmd/watchword, and later pages). They
// have been let in by the machine: there is no identity here, and events of
// theirs have no network address. A user who is not there is CodeNotFound.

// A NewUser is an account that an operator makes.
type NewUser struct {
	Email    string
	Name     string
	Roles    []string
	Password Secret // empty: a mail lets the user choose one
}

// CreateUser makes an account, whatever the sign-up mode. Codes:
// CodeValidationFailed (email, password, name, roles), CodeEmailTaken.
func (e *Engine) CreateUser(ctx context.Context, n NewUser) (User, error) {
	now := e.now()
	user, problems := newUser(n, now)
	roles, problem := parseRoles(n.Roles)
	if problem != nil {
		problems = append(problems, *problem)
	}
	user.Roles = roles
	var normal string
	if n.Password != "" {
		if normal, problem = e.acceptable("password", n.Password, user.Email, user.Name); problem != nil {
			problems = append(problems, *problem)
		}
	}
	if len(problems) > 0 {
		return User{}, unacceptable(problems...)
	}
	kind := MailReset
	if normal != "" {
		kind = MailVerify
		hash, err := e.hash(ctx, Client{}, normal)
		if err != nil {
			return User{}, err
		}
		user.PasswordHash = hash
	}
	event := e.event(EventSignup, Client{}, now).of(user.ID).because("by an operator")
	err := e.store.Update(ctx, func(tx Tx) error {
		ours, err := tx.InsertUser(ctx, user, now)
		if err != nil {
			return err
		}
		if !ours {
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
	e.announce(event)
	e.wakeOutbox()
	return user, nil
}

// Import, in the order of its checks:
//
//  1. Each account is judged by itself, and all that is wrong with it is said.
//  2. Its address is claimed by the statement that sign-up has: of an import and
//     a sign-up at once, one has it.
//  3. An account that is there is never changed. It counts as done, so that an
//     import can be run again, if it is surely the one that was meant: it has the
//     same id; or no id was to be kept, and it came by an import or has proven the
//     address. Anybody else may have signed up with the address beforehand, to be
//     taken for its owner.

// An ImportedUser is an account that comes from elsewhere.
type ImportedUser struct {
	ID           string // kept if it is a UUID; else there is a new one
	Email        string
	VerifiedAt   time.Time // when Email was proven; zero: not yet
	Name         string
	Roles        []string
	PasswordHash Secret    // in any form that docs/import.md lists; empty: no password signs in
	CreatedAt    time.Time // zero: now
	DisabledAt   time.Time // zero: enabled
}

// An ImportResult says what became, or would become, of an ImportedUser.
type ImportResult struct {
	User     User         // as it is kept; the zero User if there are problems
	There    bool         // User was there before, and is left as it is
	Problems []FieldError // for which the account is left out: id, email, name, roles, passwordHash, createdAt, …
}

// CheckImport says of each account what ImportUsers would do, and changes nothing.
func (e *Engine) CheckImport(ctx context.Context, users []ImportedUser) (results []ImportResult, err error) {
	now := e.now()
	err = e.store.View(ctx, func(tx Tx) error {
		results = make([]ImportResult, len(users))
		for i, user := range users {
			wanted := parseImport(user, now)
			there, err := wanted.whoIsThere(ctx, tx)
			if err != nil {
				return err
			}
			results[i] = judgeImport(wanted, there)
		}
		return nil
	})
	return results, err
}

// ImportUsers makes accounts in one transaction; some hundreds at once are best.
// Those with problems are left out. No mail is sent, and no password is looked at,
// for there are only hashes.
func (e *Engine) ImportUsers(ctx context.Context, users []ImportedUser) (results []ImportResult, err error) {
	now := e.now()
	var events []Event
	err = e.store.Update(ctx, func(tx Tx) error {
		results, events = make([]ImportResult, len(users)), nil
		for i, user := range users {
			event := e.event(EventSignup, Client{}, now).because(byImport)
			var err error
			if results[i], err = importUser(ctx, tx, parseImport(user, now), event); err != nil {
				return err
			}
			if r := results[i]; r.Problems == nil && !r.There {
				events = append(events, event.of(r.User.ID))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, event := range events {
		e.announce(event)
	}
	return results, nil
}

// importUser makes one account, or says why not.
func importUser(ctx context.Context, tx Tx, wanted importing, event Event) (ImportResult, error) {
	if wanted.problems != nil {
		return judgeImport(wanted, occupants{}), nil
	}
	ours, err := tx.InsertUser(ctx, wanted.user, event.At)
	if err != nil {
		return ImportResult{}, err
	}
	if ours {
		return ImportResult{User: wanted.user}, tx.InsertEvent(ctx, event.of(wanted.user.ID))
	}
	there, err := wanted.whoIsThere(ctx, tx)
	if there == (occupants{}) {
		there.lastOwner = true
	}
	return judgeImport(wanted, there), err
}

// byImport is the detail of the event of an imported account.
const byImport = "imported"

// importing is an ImportedUser that has been read.
type importing struct {
	user     User
	keptID   bool
	problems []FieldError
}

func parseImport(from ImportedUser, now time.Time) importing {
	user, problems := newUser(NewUser{Email: from.Email, Name: from.Name}, now)
	note := func(problem *FieldError) {
		if problem != nil {
			problems = append(problems, *problem)
		}
	}
	id := strings.ToLower(from.ID)
	if isID(id) {
		user.ID = UserID(id)
	}
	var problem *FieldError
	user.Roles, problem = parseRoles(from.Roles)
	note(problem)
	if from.PasswordHash != "" {
		hash, err := passhash.Adopt(string(from.PasswordHash))
		if err != nil {
			note(&FieldError{"passwordHash", FieldInvalid, err.Error()})
		}
		user.PasswordHash = Secret(hash)
	}
	note(parseDate("createdAt", from.CreatedAt, now, &user.CreatedAt))
	note(parseDate("verifiedAt", from.VerifiedAt, now, &user.VerifiedAt))
	note(parseDate("disabledAt", from.DisabledAt, now, &user.DisabledAt))
	return importing{user: user, keptID: isID(id), problems: problems}
}

// parseDate leaves what it should set as it is for the zero time. A day is for
// clocks and time zones of others.
func parseDate(field string, from, now time.Time, into *time.Time) *FieldError {
	switch {
	case from.IsZero():
		return nil
	case from.UnixMilli() <= 0 || from.After(now.AddDate(0, 0, 1)):
		return &FieldError{field, FieldInvalid, "This date is before 1970 or in the future."}
	}
	*into = from.UTC().Truncate(time.Millisecond)
	return nil
}

// occupants are who has the address or the id already.
type occupants struct {
	byEmail, byID UserID // empty: nobody
	trusted       bool   // byEmail came by an import, or has proven the address
	lastOwner     bool   // gave the address up, and can take it back
	user          *User  // byEmail
}

func (wanted importing) whoIsThere(ctx context.Context, tx Tx) (there occupants, err error) {
	if wanted.problems != nil {
		return there, nil
	}
	user, err := tx.UserByEmail(ctx, wanted.user.Email)
	if errors.Is(err, ErrNotFound) && wanted.keptID {
		if user, err = tx.User(ctx, wanted.user.ID); err == nil {
			there.byID = user.ID
		}
	} else if err == nil {
		there.byEmail, there.user, there.trusted = user.ID, &user, user.Verified()
		if !there.trusted && !wanted.keptID {
			there.trusted, err = cameByImport(ctx, tx, user.ID)
		}
	}
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return there, err
}

func cameByImport(ctx context.Context, tx Tx, id UserID) (bool, error) {
	const enough = 1000 // older ones are soon swept
	events, err := tx.Events(ctx, id, enough)
	return slices.ContainsFunc(events, func(ev Event) bool { return ev.Kind == EventSignup && ev.Detail == byImport }), err
}

// judgeImport decides what becomes of an account.
func judgeImport(wanted importing, there occupants) ImportResult {
	refused := func(field, why string) ImportResult {
		return ImportResult{Problems: []FieldError{{field, FieldTaken, why}}}
	}
	switch {
	case wanted.problems != nil:
		return ImportResult{Problems: wanted.problems}
	case there.byEmail == wanted.user.ID, there.byEmail != "" && !wanted.keptID && there.trusted:
		return ImportResult{User: *there.user, There: true}
	case there.byEmail != "" && wanted.keptID:
		return refused("email", "The account with this address has another id.")
	case there.byEmail != "":
		return refused("email", "Somebody has signed up with this address, and not proven that it is theirs.")
	case there.byID != "":
		return refused("id", "The account with this id has another address.")
	case there.lastOwner:
		return refused("email", "The last owner of this address can still take it back.")
	}
	return ImportResult{User: wanted.user}
}

// FindUser returns the account of an address, however it is spelled.
func (e *Engine) FindUser(ctx context.Context, email string) (User, error) {
	canonical, problem := parseEmail("email", email)
	if problem != nil {
		return User{}, unacceptable(*problem)
	}
	return e.user(ctx, func(tx Tx) (User, error) { return tx.UserByEmail(ctx, canonical) })
}

// Users lists up to limit accounts in the order of their addresses, beginning
// after the given one ("": at the first).
func (e *Engine) Users(ctx context.Context, after Address, limit int) (users []User, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		users, err = tx.Users(ctx, after, limit)
		return err
	})
	return users, err
}

// DisableUser shuts the account: its sessions end, its mailed tokens die.
func (e *Engine) DisableUser(ctx context.Context, id UserID) error {
	return e.operate(ctx, EventDisabled, id, func(tx Tx, now time.Time) error {
		if err := tx.SetDisabled(ctx, id, now); err != nil {
			return err
		}
		if _, err := tx.EndSessions(ctx, id, "", EndedDisabled, now); err != nil {
			return err
		}
		return tx.DeleteMailTokens(ctx, id, mailedTokens...)
	})
}

// EnableUser opens the account again. Its sessions stay ended.
func (e *Engine) EnableUser(ctx context.Context, id UserID) error {
	return e.operate(ctx, EventEnabled, id, func(tx Tx, _ time.Time) error {
		return tx.SetDisabled(ctx, id, time.Time{})
	})
}

// SetRoles replaces the roles. It ends no session: access tokens made before are
// out of date at once (User.RolesChangedAt). Codes: CodeValidationFailed (roles).
func (e *Engine) SetRoles(ctx context.Context, id UserID, roles []string) (User, error) {
	parsed, problem := parseRoles(roles)
	if problem != nil {
		return User{}, unacceptable(*problem)
	}
	user, err := e.user(ctx, func(tx Tx) (User, error) { return tx.User(ctx, id) })
	if err != nil {
		return User{}, err
	}
	if err := pause(ctx, rolesWait(user.RolesChangedAt, e.now())); err != nil {
		return User{}, err
	}
	err = e.operate(ctx, EventRolesChanged, id, func(tx Tx, now time.Time) (err error) {
		if err = tx.SetRoles(ctx, id, parsed, nextSecond(now)); err == nil {
			user, err = tx.User(ctx, id)
		}
		return err
	})
	return user, err
}

// rolesWait is how long to wait with a change of roles. Each takes effect at a second
// of its own, and new tokens are dated at it: three changes within a second would
// date them further ahead than anybody's clock is taken to be wrong. A change that
// lies far ahead was made by a clock that was wrong: it is not waited for.
func rolesWait(changed, now time.Time) time.Duration {
	wait := changed.Add(-time.Second).Sub(now)
	if wait < 0 || wait > 5*time.Second {
		return 0
	}
	return wait
}

// nextSecond is the one after that of t: `iat` has no fractions.
func nextSecond(t time.Time) time.Time { return t.Truncate(time.Second).Add(time.Second) }

var roleName = regexp.MustCompile(`^[a-z0-9][a-z0-9._:-]{0,63}$`)

const maxRoles = 32

// parseRoles sorts, drops duplicates, and refuses what is not a name.
func parseRoles(raw []string) ([]string, *FieldError) {
	roles := slices.Compact(slices.Sorted(slices.Values(raw)))
	if len(roles) > maxRoles {
		return nil, &FieldError{"roles", FieldTooLong, "A user can have 32 roles."}
	}
	for _, role := range roles {
		if !roleName.MatchString(role) {
			return nil, &FieldError{"roles", FieldInvalid,
				"A role is up to 64 lower-case letters, digits, and . _ : - and begins with a letter or digit."}
		}
	}
	return roles, nil
}

// DeleteUser removes the account.
func (e *Engine) DeleteUser(ctx context.Context, id UserID) error {
	if _, err := e.user(ctx, func(tx Tx) (User, error) { return tx.User(ctx, id) }); err != nil {
		return err
	}
	event := e.event(EventDeleted, Client{}, e.now()).of(id).because("by an operator")
	err := e.store.Update(ctx, func(tx Tx) error { return deleteUser(ctx, tx, event) })
	if err == nil {
		e.announce(event)
	}
	return err
}

// SendReset mails the user a link to choose a new password.
func (e *Engine) SendReset(ctx context.Context, id UserID) error {
	user, err := e.user(ctx, func(tx Tx) (User, error) { return tx.User(ctx, id) })
	if err != nil {
		return err
	}
	mail := mailTo(MailReset, user, e.event("", Client{}, e.now()))
	err = e.store.Update(ctx, func(tx Tx) error { return tx.InsertMail(ctx, mail) })
	e.wakeOutbox()
	return err
}

// UserSessions lists the user's live sessions, the last used first.
func (e *Engine) UserSessions(ctx context.Context, id UserID) (sessions []Session, err error) {
	cutoffs := e.opts.Sessions.Cutoffs(e.now())
	err = e.store.View(ctx, func(tx Tx) error {
		sessions, err = tx.Sessions(ctx, id, cutoffs)
		return err
	})
	return sessions, err
}

// EndUserSession ends one session of the user. Codes: CodeNotFound.
func (e *Engine) EndUserSession(ctx context.Context, id UserID, s SessionID) error {
	event := e.event(EventSessionEnded, Client{}, e.now()).of(id)
	return e.endOwnSession(ctx, s, EndedOperator, event)
}

// EndUserSessions ends all of the user's sessions and says how many.
func (e *Engine) EndUserSessions(ctx context.Context, id UserID) (int, error) {
	event := e.event(EventLogoutAll, Client{}, e.now()).of(id).because("by an operator")
	return e.endSessions(ctx, "", EndedOperator, event)
}

// UserEvents lists the newest events of the user.
func (e *Engine) UserEvents(ctx context.Context, id UserID, limit int) (events []Event, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		events, err = tx.Events(ctx, id, limit)
		return err
	})
	return events, err
}

// operate changes an account in one transaction that records it.
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

package watchword

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/passhash"
)

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

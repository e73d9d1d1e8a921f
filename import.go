package watchword

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Import, in the order of its checks:
//
//  1. Each account is judged by itself, and all that is wrong with it is said.
//  2. Its address is claimed by the statement that sign-up has: of an import and
//     a sign-up at once, one has it.
//  3. An account has the same id whenever it is imported: the one that it keeps, or
//     one made of what the other system calls it. So a file that is imported again
//     does not undo what its users did: one that was deleted here does not come back,
//     as long as its events are kept, and one with a new address has no twin.
//  4. An account that is there is never changed. It counts as done, so that an
//     import can be run again, if it is surely the one that was meant: it has the
//     same id; or no id was to be kept, and it came by an import or has proven the
//     address. Anybody else may have signed up with the address beforehand, to be
//     taken for its owner.

// An ImportedUser is an account that comes from elsewhere.
type ImportedUser struct {
	ID           string // see KeptID; empty: the other system calls it by its address
	System       string // name of the other system, if there are several: their IDs may be the same
	Email        string
	VerifiedAt   time.Time // when Email was proven; zero: not yet
	Name         string
	Roles        []string
	PasswordHash Secret    // in any form that docs/import.md lists; empty: no password signs in
	Prehash      string    // what was hashed instead of the password, such as sha256-hex (docs/import.md); empty: the password, with Pepper if there is one
	Pepper       Secret    // the secret that Prehash needs; it is stored sealed, and only once
	CreatedAt    time.Time // zero: now
	DisabledAt   time.Time // zero: enabled
}

// KeptID is the id that the account keeps, in the form that it is kept in: any UUID.
// Otherwise ok is false, and it gets one that is made of System and ID.
func (u ImportedUser) KeptID() (id UserID, ok bool) {
	text := strings.ToLower(u.ID)
	return UserID(text), isID(text)
}

// An ImportResult says what became, or would become, of an ImportedUser.
type ImportResult struct {
	User     User         // as it is kept; the zero User if there are problems
	There    bool         // User was there before, and is left as it is
	Problems []FieldError // for which the account is left out: id, email, name, roles, passwordHash, createdAt, …
}

// CheckImport says of each account what ImportUsers would do, and changes nothing.
func (o Operator) CheckImport(ctx context.Context, users []ImportedUser) (results []ImportResult, err error) {
	now := o.engine.now()
	err = o.engine.store.View(ctx, func(tx Tx) error {
		results = make([]ImportResult, len(users))
		for i, user := range users {
			wanted := o.engine.parseImport(user, now)
			there, err := wanted.whoIsThere(ctx, tx, now)
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
func (o Operator) ImportUsers(ctx context.Context, users []ImportedUser) (results []ImportResult, err error) {
	now := o.engine.now()
	var events []Event
	peppers := o.engine.newPeppers(users, now)
	err = o.engine.store.Update(ctx, func(tx Tx) error {
		results, events = make([]ImportResult, len(users)), nil
		if err := o.engine.insertPeppers(ctx, tx, peppers); err != nil {
			return err
		}
		for i, user := range users {
			event := o.engine.event(EventSignup, Client{}, now).because(byImport)
			var err error
			if results[i], err = importUser(ctx, tx, o.engine.parseImport(user, now), event); err != nil {
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
		o.engine.announce(event)
	}
	if len(peppers) > 0 {
		err = o.engine.keys.reload(ctx)
	}
	return results, err
}

// importUser makes one account, or says why not.
func importUser(ctx context.Context, tx Tx, wanted importing, event Event) (ImportResult, error) {
	if wanted.problems != nil {
		return judgeImport(wanted, occupants{}), nil
	}
	deleted, err := wasDeleted(ctx, tx, wanted.user.ID)
	if err != nil {
		return ImportResult{}, err
	}
	if !deleted {
		ours, err := tx.InsertUser(ctx, wanted.user, event.At)
		if err != nil {
			return ImportResult{}, err
		}
		if ours {
			return ImportResult{User: wanted.user}, tx.InsertEvent(ctx, event.of(wanted.user.ID))
		}
	}
	there, err := wanted.whoIsThere(ctx, tx, event.At)
	if there == (occupants{}) {
		there.lastOwner = true // or somebody who left a moment ago
	}
	return judgeImport(wanted, there), err
}

// byImport is the detail of the event of an imported account.
const byImport = "imported"

// importing is an ImportedUser that has been read.
type importing struct {
	user     User
	keptID   bool
	called   string // what the other system calls it by: its id or its email
	problems []FieldError
}

func (e *Engine) parseImport(from ImportedUser, now time.Time) importing {
	secret := e.keys.secret(KeyImport)
	user, problems := newUser(NewUser{Email: from.Email, Name: from.Name}, now)
	note := func(problem *FieldError) {
		if problem != nil {
			problems = append(problems, *problem)
		}
	}
	wanted := importing{called: "id"}
	user.ID, wanted.keptID = from.KeptID()
	switch {
	case wanted.keptID:
	case from.ID != "":
		user.ID = madeID(secret, from.System, "id", from.ID)
	default:
		wanted.called = "email"
		user.ID = madeID(secret, from.System, "email", string(user.Email))
	}
	var problem *FieldError
	user.Roles, problem = e.opts.parseRoles(from.Roles)
	note(problem)
	if from.PasswordHash != "" {
		var problem *FieldError
		user.PasswordHash, problem = e.importedHash(from)
		note(problem)
	}
	note(parseDate("createdAt", from.CreatedAt, now, &user.CreatedAt))
	note(parseDate("verifiedAt", from.VerifiedAt, now, &user.VerifiedAt))
	note(parseDate("disabledAt", from.DisabledAt, now, &user.DisabledAt))
	wanted.user, wanted.problems = user, problems
	return wanted
}

// madeID is a UUID of version 8 (RFC 9562, section 5.8), and the same one for the same
// names. It tells nothing about them.
func madeID(secret []byte, names ...string) UserID {
	mac := hmac.New(sha256.New, secret)
	_, _ = fmt.Fprintf(mac, "%q", names)
	id := uuid.UUID(mac.Sum(nil))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return UserID(id.String())
}

// parseDate leaves what it should set as it is for the zero time. A day is for
// clocks and time zones of others.
func parseDate(field string, from, now time.Time, into *time.Time) *FieldError {
	switch {
	case from.IsZero():
		return nil
	case from.UnixMilli() <= 0 || from.After(now.AddDate(0, 0, 1)):
		return &FieldError{field, FieldInvalid, "This date is before 1970 or in the future: write RFC 3339, or seconds or milliseconds since 1970."}
	}
	*into = from.UTC().Truncate(time.Millisecond)
	return nil
}

// occupants are who has the address or the id already, or can have it back.
type occupants struct {
	byEmail   UserID // empty: nobody
	user      *User  // byEmail
	trusted   bool   // byEmail came by an import, or has proven the address
	moved     bool   // the account with the id has another address
	deleted   bool   // the account with the id was, here
	lastOwner bool   // gave the address up, and can take it back
}

func (wanted importing) whoIsThere(ctx context.Context, tx Tx, now time.Time) (there occupants, err error) {
	if wanted.problems != nil {
		return there, nil
	}
	user, err := tx.UserByEmail(ctx, wanted.user.Email)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return there, err
	}
	if err == nil {
		there.byEmail, there.user, there.trusted = user.ID, &user, user.Verified()
		if user.ID == wanted.user.ID || wanted.keptID {
			return there, nil
		}
		if !there.trusted {
			if there.trusted, err = cameByImport(ctx, tx, user.ID); err != nil {
				return there, err
			}
		}
	}
	switch _, err := tx.User(ctx, wanted.user.ID); {
	case err == nil:
		there.moved = true
		return there, nil
	case !errors.Is(err, ErrNotFound):
		return there, err
	}
	if there.deleted, err = wasDeleted(ctx, tx, wanted.user.ID); err != nil {
		return there, err
	}
	there.lastOwner, err = tx.Reserved(ctx, wanted.user.Email, now)
	return there, err
}

// wasDeleted looks at a few events: after that of the deletion there are none but
// of what was under way.
func wasDeleted(ctx context.Context, tx Tx, id UserID) (bool, error) {
	const few = 20
	events, err := tx.Events(ctx, id, few)
	return slices.ContainsFunc(events, func(ev Event) bool { return ev.Kind == EventDeleted }), err
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
	account := "The account with this id"
	if wanted.called == "email" {
		account = "The account that came with this address"
	}
	switch {
	case wanted.problems != nil:
		return ImportResult{Problems: wanted.problems}
	case there.byEmail == wanted.user.ID:
		return ImportResult{User: *there.user, There: true}
	case there.byEmail != "" && wanted.keptID:
		return refused("email", "The account with this address has another id here: delete that one if nobody knows it, or leave this one out.")
	case there.moved:
		return refused(wanted.called, account+" has another address now: leave this one out.")
	case there.byEmail != "" && there.trusted:
		return ImportResult{User: *there.user, There: true}
	case there.byEmail != "":
		return refused("email", "Somebody has signed up with this address, and not proven that it is theirs: delete that account if nobody knows it, or leave this one out.")
	case there.deleted:
		return refused(wanted.called, account+" was deleted here: leave this one out.")
	case there.lastOwner:
		return refused("email", "The last owner of this address can take it back within a week: import this one later, or leave it out.")
	}
	return ImportResult{User: wanted.user}
}

package watchword

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/derivedid"
	"github.com/watchword-auth/watchword/internal/storable"
)

// The rules of an import:
//
//  1. Each account is checked separately, and all its problems are reported.
//  2. The address is claimed by the statement that sign-up uses. Of a concurrent import
//     and sign-up, one wins.
//  3. An account gets the same id in every import: its kept id, or one computed from its
//     id or address in the other system. Importing a file again therefore does not undo
//     the changes of its users. An account that was deleted here does not return while
//     its events are stored, and one with a new address gets no duplicate.
//  4. An existing account is never changed. It counts as imported, so that an import can
//     be repeated, if it is certainly the same account: it has the same id, or no id is
//     kept and it was imported or has proven the address. Otherwise an attacker may have
//     signed up with the address before the import, to be taken for its owner.

// An ImportedUser is an account of another system.
//
// Unstable: for the program watchword.
type ImportedUser struct {
	ID           string // see KeptID; empty: the other system identifies accounts by address
	System       string // name of the other system; needed if several systems may use the same IDs
	Email        string
	VerifiedAt   time.Time // when Email was verified; zero: not yet
	Name         string
	Locale       string // as in User; a text that is no language tag is ignored
	Roles        []string
	PasswordHash Secret    // in a form that docs/import.md lists; empty: the user has no password
	Prehash      string    // what was hashed instead of the password (docs/import.md); empty: the password
	Pepper       Secret    // the secret that Prehash needs; it is stored sealed, and only once
	CreatedAt    time.Time // zero: now
	DisabledAt   time.Time // zero: enabled
}

// KeptID returns the id that the account keeps, in its stored form, if ID is a UUID.
// Otherwise ok is false, and the account gets an id computed from System and ID.
func (u ImportedUser) KeptID() (id UserID, ok bool) {
	text := strings.ToLower(u.ID)
	return UserID(text), storable.ID(text)
}

// An ImportResult is the result of importing, or of checking, an ImportedUser.
//
// Unstable: for the program watchword.
type ImportResult struct {
	User     User         // the stored account; the zero User if there are problems
	There    bool         // User existed before and is unchanged
	Problems []FieldError // why the account is not imported: id, email, name, roles, passwordHash, createdAt, …
}

// CheckImport returns what ImportUsers would do with each account. It changes no data.
//
// Unstable: for the program watchword.
func (o Operator) CheckImport(ctx context.Context, users []ImportedUser) (results []ImportResult, err error) {
	now := o.engine.now()
	err = o.engine.store.View(ctx, func(tx Tx) error {
		results = make([]ImportResult, len(users))
		for i, user := range users {
			wanted := o.engine.parseImport(user, now)
			there, err := wanted.findOccupants(ctx, tx, now)
			if err != nil {
				return err
			}
			results[i] = judgeImport(wanted, there)
		}
		return nil
	})
	return results, err
}

// ImportUsers creates accounts in one transaction; batches of some hundred are best. It skips accounts with problems.
// It sends no mail, and does not check the strength of passwords, because it has only their hashes.
//
// Unstable: for the program watchword.
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

// importUser creates one account, or returns its problems.
func importUser(ctx context.Context, tx Tx, wanted importing, event Event) (ImportResult, error) {
	if wanted.problems != nil {
		return judgeImport(wanted, occupants{}), nil
	}
	deleted, err := wasDeleted(ctx, tx, wanted.user.ID)
	if err != nil {
		return ImportResult{}, err
	}
	if !deleted {
		inserted, err := tx.InsertUser(ctx, wanted.user, event.At)
		if err != nil {
			return ImportResult{}, err
		}
		if inserted {
			return ImportResult{User: wanted.user}, tx.InsertEvent(ctx, event.of(wanted.user.ID))
		}
	}
	there, err := wanted.findOccupants(ctx, tx, event.At)
	if there == (occupants{}) {
		there.lastOwner = true // or an account that was deleted concurrently
	}
	return judgeImport(wanted, there), err
}

// byImport is the detail of the sign-up event of an imported account.
const byImport = "imported"

// importing is a parsed ImportedUser.
type importing struct {
	user     User
	keptID   bool
	called   string // what identifies it in the other system: "id" or "email"
	problems []FieldError
}

func (e *Engine) parseImport(from ImportedUser, now time.Time) importing {
	secret := e.keys.secret(KeyImport)
	user, problems := newUser(NewUser{Email: from.Email, Name: from.Name}, now)
	wanted := importing{called: "id"}
	user.ID, wanted.keptID = from.KeptID()
	switch {
	case wanted.keptID:
	case from.ID != "":
		user.ID = UserID(derivedid.New(secret, from.System, "id", from.ID))
	default:
		wanted.called = "email"
		user.ID = UserID(derivedid.New(secret, from.System, "email", string(user.Email)))
	}
	user.Locale, _ = parseLocale("locale", from.Locale)
	var badRoles, badHash *FieldError
	user.Roles, badRoles = e.opts.parseRoles(from.Roles)
	if from.PasswordHash != "" {
		user.PasswordHash, badHash = e.importedHash(from)
	}
	wanted.problems = append(problems, problemsOf(badRoles, badHash,
		parseDate("createdAt", from.CreatedAt, now, &user.CreatedAt),
		parseDate("verifiedAt", from.VerifiedAt, now, &user.VerifiedAt),
		parseDate("disabledAt", from.DisabledAt, now, &user.DisabledAt))...)
	wanted.user = user
	return wanted
}

// parseDate sets into, unless from is zero. One day of tolerance covers clock skew and missing time zones.
func parseDate(field string, from, now time.Time, into *time.Time) *FieldError {
	switch {
	case from.IsZero():
		return nil
	case from.UnixMilli() <= 0 || from.After(now.AddDate(0, 0, 1)):
		return &FieldError{field, FieldInvalid, "This date is before 1970 or in the future: " +
			"write RFC 3339, or seconds or milliseconds since 1970."}
	}
	*into = from.UTC().Truncate(time.Millisecond)
	return nil
}

// occupants describes who already has the address or the id, or can restore it.
type occupants struct {
	byEmail   UserID // the account with the address, or empty
	user      *User  // the account byEmail
	trusted   bool   // byEmail was imported, or has proven the address
	moved     bool   // the account with the id has another address
	deleted   bool   // the account with the id was deleted here
	lastOwner bool   // the previous owner of the address can restore it
}

func (wanted importing) findOccupants(ctx context.Context, tx Tx, now time.Time) (there occupants, err error) {
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
			if there.trusted, err = wasImported(ctx, tx, user.ID); err != nil {
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

// wasDeleted reports whether the account was deleted here. It reads the newest events
// only: after a deletion, at most a few concurrent requests add events.
func wasDeleted(ctx context.Context, tx Tx, id UserID) (bool, error) {
	const few = 20
	events, err := tx.Events(ctx, id, few)
	return slices.ContainsFunc(events, func(ev Event) bool { return ev.Kind == EventDeleted }), err
}

func wasImported(ctx context.Context, tx Tx, id UserID) (bool, error) {
	const enough = 1000 // older ones are soon swept
	events, err := tx.Events(ctx, id, enough)
	return slices.ContainsFunc(events, func(ev Event) bool { return ev.Kind == EventSignup && ev.Detail == byImport }), err
}

// judgeImport decides whether an account is imported, exists already, or is refused.
func judgeImport(wanted importing, there occupants) ImportResult {
	refused := func(field, why string) ImportResult {
		return ImportResult{Problems: []FieldError{{field, FieldTaken, why}}}
	}
	account := "The account with this id"
	if wanted.called == "email" {
		account = "The account imported with this address"
	}
	switch {
	case wanted.problems != nil:
		return ImportResult{Problems: wanted.problems}
	case there.byEmail == wanted.user.ID:
		return ImportResult{User: *there.user, There: true}
	case there.byEmail != "" && wanted.keptID:
		return refused("email", "The account with this address has another id here: "+
			"delete that account if it is unknown, or leave this one out.")
	case there.moved:
		return refused(wanted.called, account+" has another address now: leave this one out.")
	case there.byEmail != "" && there.trusted:
		return ImportResult{User: *there.user, There: true}
	case there.byEmail != "":
		return refused("email", "An account has signed up with this address and has not verified it: "+
			"delete that account if it is unknown, or leave this one out.")
	case there.deleted:
		return refused(wanted.called, account+" was deleted here: leave this one out.")
	case there.lastOwner:
		return refused("email", "The last owner of this address can take it back within a week: "+
			"import this one later, or leave it out.")
	}
	return ImportResult{User: wanted.user}
}

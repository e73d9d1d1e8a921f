// Package accountimport imports accounts from another system. It decides which accounts are imported. The engine
// checks fields, reserves addresses and encrypts secrets.
//
// Unstable: only the program watchword uses it.
package accountimport

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/derivedid"
	"github.com/watchword-auth/watchword/internal/locale"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/storable"
)

// The rules of an import:
//
//   1. Each account is checked separately, and all its problems are reported.
//   2. Import and sign-up insert accounts with the same statement. If both use one
//      address at the same time, only one of them succeeds.
//   3. Every import gives an account the same id: its kept id, or an id computed from
//      its id or address in the other system. A repeated import therefore creates no
//      duplicate, even if the address was changed in Watchword.
//   4. An import does not restore an account that was deleted in Watchword. It knows
//      deleted accounts by their events, which are stored for a limited time.
//   5. An import never changes an existing account, so a repeated import does not undo
//      the changes of users. An existing account with the same id counts as imported.
//      If the imported account has no kept id, an account with the same address also
//      counts, but only if an import created it or the address is proven. Otherwise, it
//      may belong to an attacker who signed up before the import.

// An Account is an account of another system.
type Account struct {
	ID           string // see KeptID; "" if the other system identifies accounts by address
	System       string // name of the other system; required if several systems may use the same ids
	Email        string
	VerifiedAt   time.Time // when Email was verified; zero if unverified
	Name         string
	Locale       string // as in watchword.User; ignored if it is not a language tag
	Roles        []string
	PasswordHash watchword.Secret // in a format of docs/import.md; "" if the user has no password
	Prehash      string           // method applied before hashing, such as "sha256-hex" (docs/import.md); "" if none
	Pepper       watchword.Secret // the secret for Prehash; it is stored once, encrypted
	CreatedAt    time.Time        // zero means now
	DisabledAt   time.Time        // zero means enabled

	// Factors is the JSON list of second factors that `users export` writes, or "". An Importer without Factors
	// rejects accounts that have them.
	Factors watchword.Secret

	// PublicMetadata and PrivateMetadata are JSON objects, or "". An Importer without Objects rejects accounts that
	// have them.
	PublicMetadata, PrivateMetadata string
}

// Factors checks and adds second factors of accounts. It is an interface, because this package does not import
// package factors.
type Factors interface {
	// Problem returns the reason why an account can't have these factors, or "".
	Problem(ctx context.Context, tx watchword.Tx, list watchword.Secret) (string, error)
	// Add inserts the factors of a new account.
	Add(ctx context.Context, tx watchword.Tx, id watchword.UserID, list watchword.Secret, now time.Time) error
}

// Objects checks and adds metadata of accounts. It is an interface, because this package does not import package
// metadata.
type Objects interface {
	// Problem returns the reason why an account can't have this metadata, or "".
	Problem(u watchword.User, public, private string) (string, error)
	// Add inserts the metadata of a new account.
	Add(ctx context.Context, tx watchword.Tx, id watchword.UserID, public, private string) error
}

// KeptID returns the id that the account keeps, in its stored form, if the field ID is a UUID. Otherwise ok is false,
// and the account gets an id that is computed from System and ID.
func (u Account) KeptID() (id watchword.UserID, ok bool) {
	text := strings.ToLower(u.ID)
	return watchword.UserID(text), storable.ID(text)
}

// FieldTaken is the FieldError.Code if another account has the address or the id.
const FieldTaken = "TAKEN"

// A Result is the result of Import or Check for one account.
type Result struct {
	User     watchword.User         // the stored account; the zero User if Problems is not empty
	There    bool                   // User existed before the import, and was not changed
	Problems []watchword.FieldError // why the account is not imported: id, email, name, roles, passwordHash, createdAt, …
}

// An Importer imports accounts into the store of an engine.
type Importer struct {
	engine   watchword.Inside
	operator string
	factors  Factors
	objects  Objects
}

// New returns an importer.
func New(e *watchword.Engine) Importer { return Importer{engine: e.Inside()} }

// As returns an importer whose events contain the name of the operator. Like watchword.Operator.As, it cuts the name
// to 128 bytes.
func (i Importer) As(operator string) Importer {
	i.operator = storable.Text(operator, 128)
	return i
}

// With returns an importer that also imports second factors.
func (i Importer) With(f Factors) Importer {
	i.factors = f
	return i
}

// WithMetadata returns an importer that also imports metadata.
func (i Importer) WithMetadata(o Objects) Importer {
	i.objects = o
	return i
}

// Check returns the result that Import would have for each account. It changes no data.
func (i Importer) Check(ctx context.Context, accounts []Account) (results []Result, err error) {
	now := i.engine.Now()
	err = i.engine.Store().View(ctx, func(tx watchword.Tx) error {
		results = make([]Result, len(accounts))
		for n, account := range accounts {
			wanted, err := i.parse(ctx, tx, account, now)
			if err != nil {
				return err
			}
			there, err := wanted.findOccupants(ctx, tx, now)
			if err != nil {
				return err
			}
			results[n] = decideResult(wanted, there)
		}
		return nil
	})
	return results, err
}

// Import creates accounts in one transaction. A few hundred accounts per call are fastest. It skips accounts with
// problems. It sends no mail. It does not check the strength of passwords, because it has only their hashes.
func (i Importer) Import(ctx context.Context, accounts []Account) (results []Result, err error) {
	now := i.engine.Now()
	var events []watchword.Event
	var peppers []watchword.Secret
	for _, account := range accounts {
		peppers = append(peppers, account.Pepper)
	}
	keys := sealMissingPeppers(i.engine, peppers, now)
	err = i.engine.Store().Update(ctx, func(tx watchword.Tx) error {
		results, events = make([]Result, len(accounts)), nil
		if err := insertPeppers(ctx, i.engine, tx, keys); err != nil {
			return err
		}
		for n, account := range accounts {
			wanted, err := i.parse(ctx, tx, account, now)
			if err != nil {
				return err
			}
			event := i.engine.Event(watchword.EventSignup, wanted.user, "", watchword.Client{}, now)
			event.Detail, event.Operator = importedDetail, i.operator
			if results[n], err = i.importAccount(ctx, tx, wanted, event); err != nil {
				return err
			}
			if r := results[n]; r.Problems == nil && !r.There {
				events = append(events, event)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	i.engine.Announce(events...)
	if len(keys) > 0 {
		err = i.engine.ReloadKeys(ctx)
	}
	return results, err
}

func (i Importer) importAccount(
	ctx context.Context, tx watchword.Tx, wanted parsedAccount, event watchword.Event,
) (Result, error) {
	if wanted.problems != nil {
		return decideResult(wanted, existingAccounts{}), nil
	}
	deleted, err := wasDeleted(ctx, tx, wanted.user.ID)
	if err != nil {
		return Result{}, err
	}
	if !deleted {
		inserted, err := tx.InsertUser(ctx, wanted.user, event.At)
		if err != nil {
			return Result{}, err
		}
		if inserted && len(wanted.from.Factors) > 0 {
			if err := i.factors.Add(ctx, tx, wanted.user.ID, wanted.from.Factors, event.At); err != nil {
				return Result{}, err
			}
		}
		if m := wanted.from; inserted && m.PublicMetadata+m.PrivateMetadata != "" {
			if err := i.objects.Add(ctx, tx, wanted.user.ID, m.PublicMetadata, m.PrivateMetadata); err != nil {
				return Result{}, err
			}
		}
		if inserted {
			return Result{User: wanted.user}, tx.InsertEvent(ctx, event)
		}
	}
	there, err := wanted.findOccupants(ctx, tx, event.At)
	if there == (existingAccounts{}) {
		// An existing account prevented the insert, but was deleted before findOccupants looked for it. The result is
		// the same as for a reserved address, so the operator imports the account again later.
		there.emailReserved = true
	}
	return decideResult(wanted, there), err
}

// importedDetail is the detail of an EventSignup that an import stores.
const importedDetail = "imported"

type parsedAccount struct {
	user     watchword.User
	keptID   bool
	idField  string // field that identifies the account in the other system: "id" or "email"
	from     Account
	problems []watchword.FieldError
}

func (i Importer) parse(ctx context.Context, tx watchword.Tx, from Account, now time.Time) (parsedAccount, error) {
	secret := i.engine.MACSecret(watchword.KeyImport)
	user, problems := i.engine.ParseUser(watchword.NewUser{Email: from.Email, Name: from.Name, Roles: from.Roles}, now)
	wanted := parsedAccount{idField: "id", from: from}
	user.ID, wanted.keptID = from.KeptID()
	switch {
	case wanted.keptID:
	case from.ID != "":
		user.ID = watchword.UserID(derivedid.New(secret, from.System, "id", from.ID))
	default:
		wanted.idField = "email"
		user.ID = watchword.UserID(derivedid.New(secret, from.System, "email", string(user.Email)))
	}
	user.Locale, _ = locale.Parse(from.Locale)
	var badHash *watchword.FieldError
	if from.PasswordHash != "" {
		user.PasswordHash, badHash = i.storedHash(from)
	}
	for _, problem := range []*watchword.FieldError{
		badHash,
		checkAndSetDate("createdAt", from.CreatedAt, now, &user.CreatedAt),
		checkAndSetDate("verifiedAt", from.VerifiedAt, now, &user.VerifiedAt),
		checkAndSetDate("disabledAt", from.DisabledAt, now, &user.DisabledAt),
	} {
		if problem != nil {
			problems = append(problems, *problem)
		}
	}
	more, err := i.checkFactorsAndMetadata(ctx, tx, user, from)
	wanted.user, wanted.problems = user, append(problems, more...)
	return wanted, err
}

// checkFactorsAndMetadata returns the problems of the second factors and metadata of a new account. It returns no
// problems for an account that exists in Watchword, because an import does not change existing accounts.
func (i Importer) checkFactorsAndMetadata(
	ctx context.Context, tx watchword.Tx, u watchword.User, from Account,
) (problems []watchword.FieldError, err error) {
	hasMetadata := from.PublicMetadata+from.PrivateMetadata != ""
	if from.Factors == "" && !hasMetadata {
		return nil, nil
	}
	switch _, err := tx.User(ctx, u.ID); {
	case err == nil:
		return nil, nil
	case !errors.Is(err, watchword.ErrNotFound):
		return nil, err
	}
	refuse := func(field, problem string) {
		if problem != "" {
			problems = append(problems, watchword.FieldError{Field: field, Code: watchword.FieldInvalid, Message: problem})
		}
	}
	if from.Factors != "" {
		problem := "Second factors are not imported here."
		if i.factors != nil {
			problem, err = i.factors.Problem(ctx, tx, from.Factors)
		}
		refuse("secondFactors", problem)
	}
	if hasMetadata && err == nil {
		problem := "Metadata is not imported here."
		if i.objects != nil {
			problem, err = i.objects.Problem(u, from.PublicMetadata, from.PrivateMetadata)
		}
		refuse("metadata", problem)
	}
	return problems, err
}

func (i Importer) storedHash(from Account) (watchword.Secret, *watchword.FieldError) {
	refused := func(why string) (watchword.Secret, *watchword.FieldError) {
		return "", &watchword.FieldError{Field: "passwordHash", Code: watchword.FieldInvalid, Message: why}
	}
	hash, err := passhash.Adopt(string(from.PasswordHash))
	if err != nil {
		return refused(err.Error())
	}
	method, key := from.Prehash, ""
	if from.Pepper != "" {
		key = pepperID(i.engine, from.Pepper)
		if method == "" {
			method = passhash.Pepper
		}
	}
	if method != "" {
		if hash, err = passhash.Prehashed(hash, method, key); err != nil {
			return refused(err.Error())
		}
	}
	if id := passhash.KeyID(hash); id != key && !i.engine.HasPepper(id) {
		return refused("the hash needs a pepper that the store does not have: give its file with --pepper-file")
	}
	return watchword.Secret(hash), nil
}

// checkAndSetDate stores a valid date in target, and returns an error for an invalid date. A date may be up to a day in
// the future, because of clock skew and missing time zones. A zero date is skipped.
func checkAndSetDate(field string, date, now time.Time, target *time.Time) *watchword.FieldError {
	switch {
	case date.IsZero():
		return nil
	case date.UnixMilli() <= 0 || date.After(now.AddDate(0, 0, 1)):
		return &watchword.FieldError{Field: field, Code: watchword.FieldInvalid,
			Message: "This date is before 1970 or in the future: " +
				"write RFC 3339, or seconds or milliseconds since 1970."}
	}
	*target = date.UTC().Truncate(time.Millisecond)
	return nil
}

// existingAccounts describes the accounts that can prevent an import. Such an account has the address or the id of
// the imported account, or its user can still undo a change of that address.
type existingAccounts struct {
	emailOwnerID   watchword.UserID // may be empty
	emailOwner     *watchword.User  // nil if emailOwnerID is empty
	isOwnerTrusted bool             // emailOwner was imported, or has proven the email
	emailChanged   bool             // an account has the id, but a different email
	idWasDeleted   bool             // in Watchword
	emailReserved  bool             // the previous owner of the email can still restore it
}

func (wanted parsedAccount) findOccupants(
	ctx context.Context, tx watchword.Tx, now time.Time,
) (there existingAccounts, err error) {
	if wanted.problems != nil {
		return there, nil
	}
	user, err := tx.UserByEmail(ctx, wanted.user.Email)
	if err != nil && !errors.Is(err, watchword.ErrNotFound) {
		return there, err
	}
	if err == nil {
		there.emailOwnerID, there.emailOwner, there.isOwnerTrusted = user.ID, &user, user.Verified()
		if user.ID == wanted.user.ID || wanted.keptID {
			return there, nil
		}
		if !there.isOwnerTrusted {
			if there.isOwnerTrusted, err = wasImported(ctx, tx, user.ID); err != nil {
				return there, err
			}
		}
	}
	switch _, err := tx.User(ctx, wanted.user.ID); {
	case err == nil:
		there.emailChanged = true
		return there, nil
	case !errors.Is(err, watchword.ErrNotFound):
		return there, err
	}
	if there.idWasDeleted, err = wasDeleted(ctx, tx, wanted.user.ID); err != nil {
		return there, err
	}
	there.emailReserved, err = tx.Reserved(ctx, wanted.user.Email, now)
	return there, err
}

func lastEventOrZero(
	ctx context.Context, tx watchword.Tx, id watchword.UserID, kind watchword.EventKind,
) (watchword.Event, error) {
	event, err := tx.LastEvent(ctx, id, kind)
	if errors.Is(err, watchword.ErrNotFound) {
		return watchword.Event{}, nil
	}
	return event, err
}

func wasDeleted(ctx context.Context, tx watchword.Tx, id watchword.UserID) (bool, error) {
	event, err := lastEventOrZero(ctx, tx, id, watchword.EventDeleted)
	return event.Kind != "", err
}

// wasImported reports whether the newest sign-up event of the account is from an import. After a proof of the
// address, the newest event can be another sign-up event, so wasImported returns false. This is harmless, because
// findOccupants trusts every account with a proven address.
func wasImported(ctx context.Context, tx watchword.Tx, id watchword.UserID) (bool, error) {
	event, err := lastEventOrZero(ctx, tx, id, watchword.EventSignup)
	return event.Detail == importedDetail, err
}

func decideResult(wanted parsedAccount, there existingAccounts) Result {
	refused := func(field, why string) Result {
		return Result{Problems: []watchword.FieldError{{Field: field, Code: FieldTaken, Message: why}}}
	}
	account := "The account with this id"
	if wanted.idField == "email" {
		account = "The account imported with this address"
	}
	switch {
	case wanted.problems != nil:
		return Result{Problems: wanted.problems}
	case there.emailOwnerID == wanted.user.ID:
		return Result{User: *there.emailOwner, There: true}
	case there.emailOwnerID != "" && wanted.keptID:
		return refused("email", "The account with this address has another id here: "+
			"delete that account if it is unknown, or leave this one out.")
	case there.emailChanged:
		return refused(wanted.idField, account+" has another address now: leave this one out.")
	case there.emailOwnerID != "" && there.isOwnerTrusted:
		return Result{User: *there.emailOwner, There: true}
	case there.emailOwnerID != "":
		return refused("email", "An account has signed up with this address and has not verified it: "+
			"delete that account if it is unknown, or leave this one out.")
	case there.idWasDeleted:
		return refused(wanted.idField, account+" was deleted here: leave this one out.")
	case there.emailReserved:
		return refused("email", "The last owner of this address can take it back within a week: "+
			"import this one later, or leave it out.")
	}
	return Result{User: wanted.user}
}

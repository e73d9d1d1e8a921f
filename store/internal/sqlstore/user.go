package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// userRow lists what a query reads of an account: its columns, and its public metadata. The
// sub-select reads the primary key of a table with few rows. A refresh therefore needs no further
// statement, and the rows of accounts stay small.
func userRow(u *watchword.User) []column {
	return append(storedUser(u), column{publicMetadata, &u.Metadata})
}

const publicMetadata = `(COALESCE((SELECT public FROM user_metadata WHERE user_metadata.user_id = users.id), ''))`

// storedUser lists the columns of an account. feed_number is missing: only the statements of
// feed.go and updateRoles use it.
func storedUser(u *watchword.User) []column {
	return []column{
		{"id", &u.ID},
		{"email", &u.Email},
		{"verified_at", timeColumn{&u.VerifiedAt}},
		{"name", &u.Name},
		{"roles", listColumn{&u.Roles}},
		{"password_hash", &u.PasswordHash},
		{"created_at", timeColumn{&u.CreatedAt}},
		{"disabled_at", timeColumn{&u.DisabledAt}},
		{"roles_changed_at", timeColumn{&u.RolesChangedAt}},
		{"locale", &u.Locale},
		{"factors", &u.Factors},
		{"factors_changed_at", timeColumn{&u.FactorsChangedAt}},
	}
}

var (
	userColumns = names("users", userRow(new(watchword.User)))

	insertUser = insertUserUnlessReserved(storedUser(new(watchword.User)))

	selectUser        = `SELECT ` + userColumns + ` FROM users WHERE id = $1`
	selectUserByEmail = `SELECT ` + userColumns + ` FROM users WHERE email = $1`

	// selectUsers compares bytes, whatever the collation of the database is. "binary" is built into
	// SQLite. On PostgreSQL, a migration creates it with an index.
	selectUsers = `SELECT ` + userColumns + ` FROM users
		WHERE email COLLATE "binary" >= $1 AND email COLLATE "binary" < $2
		ORDER BY email COLLATE "binary" LIMIT $3`
)

const (
	// selectReserved finds the token with which the previous owner of an address can take
	// the address back. The address counts as taken until the token expires.
	selectReserved = `SELECT EXISTS (SELECT 1 FROM mail_tokens
			WHERE mail_tokens.email = $1 AND mail_tokens.kind = 'address_changed' AND mail_tokens.expires_at > $2)`

	// lockUser locks the row without a change. Other transactions that change the row wait
	// for this one. If another transaction holds the lock, lockUser waits, and its
	// condition is then checked against the row that was committed.
	lockUser = `UPDATE users SET name = name WHERE id = $1 AND email = $2`

	updateName   = `UPDATE users SET name = $1 WHERE id = $2`
	updateLocale = `UPDATE users SET locale = $1 WHERE id = $2`

	// updateRoles moves roles_changed_at by a whole second, because tokens carry their time
	// in seconds. feed_number = 0 publishes the change in the revocation feed.
	updateRoles = `UPDATE users SET roles = $1, feed_number = 0,
			roles_changed_at = CASE WHEN roles_changed_at < $2 THEN $2 ELSE roles_changed_at + 1000 END WHERE id = $3`

	updateDisabled = `UPDATE users SET disabled_at = $1 WHERE id = $2`
	updatePassword = `UPDATE users SET password_hash = $1 WHERE id = $2`

	// replacePassword settles the race between a sign-in and a concurrent change: a new
	// password, changed factors or a disabled account. The hash that was verified must still be
	// the current one, because hashing happens outside the transaction and takes long.
	replacePassword = `UPDATE users SET password_hash = $1
		WHERE id = $2 AND password_hash = $3 AND factors_changed_at = $4 AND disabled_at = 0`

	// With email = $4, updateEmail settles the race between two changes of one address.
	// Its sub-selects only reject early: the unique index on email settles the race for a
	// free address, and SetEmail checks reservations again.
	updateEmail = `UPDATE users SET email = $1, verified_at = $2 WHERE id = $3 AND email = $4
		AND NOT EXISTS (SELECT 1 FROM users AS other WHERE other.email = $1 AND other.id <> $3)
		AND NOT EXISTS (SELECT 1 FROM mail_tokens
			WHERE mail_tokens.email = $1 AND mail_tokens.kind = 'address_changed'
			AND mail_tokens.expires_at > $2 AND mail_tokens.user_id <> $3)`

	// selectReservedElse is selectReserved without the tokens of one user: users may take
	// their own previous address back.
	selectReservedElse = `SELECT EXISTS (SELECT 1 FROM mail_tokens
			WHERE mail_tokens.email = $1 AND mail_tokens.kind = 'address_changed'
			AND mail_tokens.expires_at > $2 AND mail_tokens.user_id <> $3)`

	// updateVerified settles the race between a confirmation and a change of address: the
	// link proves only the address that it was mailed to.
	updateVerified = `UPDATE users SET verified_at = $1 WHERE id = $2 AND email = $3`

	// proveFirst settles the race between several proofs of a new account's address. The
	// first one sets the password; verified_at = 0 fails for the others.
	proveFirst = `UPDATE users SET verified_at = $1, password_hash = $2, name = $3, locale = $4
		WHERE id = $5 AND email = $6 AND verified_at = 0 AND disabled_at = 0`

	deleteUser       = `DELETE FROM users WHERE id = $1`
	deleteUserEvents = `DELETE FROM events WHERE user_id = $1`
	deleteUserMails  = `DELETE FROM mails WHERE user_id = $1`
)

// insertUserUnlessReserved returns the INSERT of an account whose address is not reserved.
// The last parameter is the current time. The unique index on email settles the race
// between two sign-ups with one address: ON CONFLICT DO NOTHING then inserts no row.
func insertUserUnlessReserved(row []column) string {
	return insertInto("users", row, `SELECT %s WHERE NOT EXISTS (SELECT 1 FROM mail_tokens
			WHERE mail_tokens.email = `+parameterOf(row, "email")+` AND mail_tokens.kind = 'address_changed'
			AND mail_tokens.expires_at > `+fmt.Sprintf("$%d", len(row)+1)+`)
		ON CONFLICT DO NOTHING`)
}

func scanUser(s scanner) (u watchword.User, err error) {
	return u, s.Scan(fields(userRow(&u))...)
}

// InsertUser checks twice whether the address is reserved. A concurrent transaction may
// move the previous owner to another address and create the token that reserves the old
// address. The insert waits for that transaction, because both write the unique index. The
// condition in insertUser, however, may have read a snapshot taken before the wait. The
// second check is a separate statement, so it sees the commit (READ COMMITTED). If it
// finds a token, the new row is deleted in the same transaction.
func (t Tx) InsertUser(ctx context.Context, u watchword.User, now time.Time) (bool, error) {
	if u.ID == "" {
		return false, errors.New("the account has no id")
	}
	inserted, err := t.change(ctx, insertUser, append(values(storedUser(&u)), millis(now))...)
	if err != nil || !inserted {
		return false, err
	}
	reserved, err := t.Reserved(ctx, u.Email, now)
	if err == nil && !reserved {
		if _, err = t.exec(ctx, queueSignup, u.ID, millis(now)); err == nil {
			err = t.insertRoles(ctx, u.ID, u.Roles)
		}
		return err == nil, err
	}
	if err != nil {
		return false, err
	}
	return false, t.changeRow(ctx, deleteUser, u.ID)
}

func (t Tx) Reserved(ctx context.Context, email watchword.Address, now time.Time) (bool, error) {
	return row(ctx, t, scanBool, selectReserved, email, millis(now))
}

func (t Tx) User(ctx context.Context, id watchword.UserID) (watchword.User, error) {
	return row(ctx, t, scanUser, selectUser, id)
}

// UserByEmail expects the address in its stored form, which address.Parse returns. A lookup is one
// read of the unique index, which does not contain other spellings.
func (t Tx) UserByEmail(ctx context.Context, email watchword.Address) (watchword.User, error) {
	return row(ctx, t, scanUser, selectUserByEmail, email)
}

// Users continues at an address instead of at an offset: each page costs the same, and
// accounts that are created or deleted in the meantime do not shift the pages.
func (t Tx) Users(ctx context.Context, from, below watchword.Address, limit int) ([]watchword.User, error) {
	return rows(ctx, t, scanUser, selectUsers, from, below, limit)
}

func (t Tx) SetName(ctx context.Context, id watchword.UserID, name string) error {
	return t.changeRow(ctx, updateName, name, id)
}

func (t Tx) SetLocale(ctx context.Context, id watchword.UserID, locale string) error {
	return t.changeRow(ctx, updateLocale, locale, id)
}

// SetRoles changes the row of the user first. Concurrent calls for one user wait for it, so user_roles
// gets the roles of the last one.
func (t Tx) SetRoles(ctx context.Context, id watchword.UserID, roles []string, changed time.Time) error {
	if err := t.changeRow(ctx, updateRoles, list(roles), millis(changed), id); err != nil {
		return err
	}
	if _, err := t.exec(ctx, deleteRoles, id); err != nil {
		return err
	}
	return t.insertRoles(ctx, id, roles)
}

func (t Tx) SetDisabled(ctx context.Context, id watchword.UserID, at time.Time) error {
	return t.changeRow(ctx, updateDisabled, millis(at), id)
}

// SetPassword converts the hash to string, because watchword.Secret prints itself redacted.
func (t Tx) SetPassword(ctx context.Context, id watchword.UserID, hash watchword.Secret) error {
	return t.changeRow(ctx, updatePassword, string(hash), id)
}

// ReplacePassword with the current hash keeps the value and still takes the row lock.
func (t Tx) ReplacePassword(ctx context.Context, u watchword.User, to watchword.Secret) (bool, error) {
	return t.change(ctx, replacePassword, string(to), u.ID, string(u.PasswordHash), millis(u.FactorsChangedAt))
}

func (t Tx) LockUser(ctx context.Context, id watchword.UserID, email watchword.Address) (bool, error) {
	return t.change(ctx, lockUser, id, email)
}

// SetEmail locks the row first, so that the sub-selects of updateEmail read a snapshot
// taken after the wait for the lock. It checks a second time whether the new address is
// reserved, for the reason given at InsertUser. If a reservation appeared in between,
// SetEmail returns ErrUnavailable, which rolls the transaction back. A retry then reports
// false.
func (t Tx) SetEmail(
	ctx context.Context, id watchword.UserID, from, to watchword.Address, verified time.Time,
) (bool, error) {
	held, err := t.LockUser(ctx, id, from)
	if err != nil || !held {
		return false, err
	}
	changed, err := t.change(ctx, updateEmail, to, millis(verified), id, from)
	if err != nil || !changed {
		return false, err
	}
	reserved, err := row(ctx, t, scanBool, selectReservedElse, to, millis(verified), id)
	if err == nil && reserved {
		err = fmt.Errorf("%w: the address was reserved by a concurrent change", watchword.ErrUnavailable)
	}
	return err == nil, err
}

func (t Tx) SetVerified(
	ctx context.Context, id watchword.UserID, email watchword.Address, at time.Time,
) (bool, error) {
	return t.change(ctx, updateVerified, millis(at), id, email)
}

func (t Tx) ProveFirst(ctx context.Context, u watchword.User) (bool, error) {
	return t.change(ctx, proveFirst, millis(u.VerifiedAt), string(u.PasswordHash), u.Name, u.Locale, u.ID, u.Email)
}

// DeleteUser deletes in thirteen statements. Foreign keys with ON DELETE CASCADE would add a
// lookup to every insert of a session, an event and a mail.
func (t Tx) DeleteUser(ctx context.Context, id watchword.UserID) (bool, error) {
	for _, text := range []string{
		deleteUserEvents, deleteUserMails, deleteUserSignups, deleteSignupCallback,
		deleteFactors, deleteRecoveryCodes, deleteChallenges, deleteDevices,
		deleteIdentities,
		deleteRoles, deleteMetadata, deleteIdempotency,
	} {
		if _, err := t.exec(ctx, text, id); err != nil {
			return false, err
		}
	}
	return t.change(ctx, deleteUser, id)
}

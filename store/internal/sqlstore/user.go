package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// userRow lists the columns that a query for an account reads: the columns of the table users, and the public
// metadata. The metadata is in a separate table, so that the rows of users stay small. It is read by a sub-select, so
// that a refresh needs no second statement.
func userRow(u *watchword.User) []column {
	return append(userTableColumns(u), column{publicMetadata, &u.Metadata})
}

const publicMetadata = `(COALESCE((SELECT public FROM user_metadata WHERE user_metadata.user_id = users.id), ''))`

// userTableColumns omits feed_number, which only feed.go and updateRoles use.
func userTableColumns(u *watchword.User) []column {
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
	userColumns = selectList("users", userRow(new(watchword.User)))

	insertUser = insertUserUnlessReserved(userTableColumns(new(watchword.User)))

	selectUser        = `SELECT ` + userColumns + ` FROM users WHERE id = $1`
	selectUserByEmail = `SELECT ` + userColumns + ` FROM users WHERE email = $1`

	// selectUsers compares bytes, regardless of the collation of the database. SQLite has a built-in collation
	// "binary". On PostgreSQL, a migration creates this collation and an index that uses it.
	selectUsers = `SELECT ` + userColumns + ` FROM users
		WHERE email COLLATE "binary" >= $1 AND email COLLATE "binary" < $2
		ORDER BY email COLLATE "binary" LIMIT $3`
)

const (
	// selectReserved reports whether an address is reserved for its previous owner. After a change of address, the
	// mail to the old address contains a token that restores the old address. The old address is reserved until this
	// token expires.
	selectReserved = `SELECT EXISTS (SELECT 1 FROM mail_tokens
			WHERE mail_tokens.email = $1 AND mail_tokens.kind = 'address_changed' AND mail_tokens.expires_at > $2)`

	// lockUser locks the user's row until the transaction ends, if the address is still $2. It locks by an UPDATE to
	// the current values, because SQLite has no SELECT FOR UPDATE. If another transaction holds the lock, lockUser
	// waits, and then checks the address of the committed row.
	lockUser = `UPDATE users SET name = name WHERE id = $1 AND email = $2`

	updateName   = `UPDATE users SET name = $1 WHERE id = $2`
	updateLocale = `UPDATE users SET locale = $1 WHERE id = $2`

	// updateRoles increases roles_changed_at by at least a second, because tokens store times in seconds. feed_number
	// = 0 publishes the change in the revocation feed.
	updateRoles = `UPDATE users SET roles = $1, feed_number = 0,
			roles_changed_at = CASE WHEN roles_changed_at < $2 THEN $2 ELSE roles_changed_at + 1000 END WHERE id = $3`

	updateDisabled = `UPDATE users SET disabled_at = $1 WHERE id = $2`
	updatePassword = `UPDATE users SET password_hash = $1 WHERE id = $2`

	// replacePassword changes no row if the password or the factors of the account have changed since the sign-in
	// read them, or if the account was disabled. Such changes are possible, because hashing a password takes long and
	// therefore runs outside the transaction.
	replacePassword = `UPDATE users SET password_hash = $1
		WHERE id = $2 AND password_hash = $3 AND factors_changed_at = $4 AND disabled_at = 0`

	// updateEmail compares the old address ($4), so only one of two concurrent changes of an account succeeds. Its
	// sub-selects detect that the new address is taken or reserved, but do not see uncommitted changes. The unique
	// index therefore prevents two accounts with one address, and SetEmail checks reservations again.
	updateEmail = `UPDATE users SET email = $1, verified_at = $2 WHERE id = $3 AND email = $4
		AND NOT EXISTS (SELECT 1 FROM users AS other WHERE other.email = $1 AND other.id <> $3)
		AND NOT EXISTS (SELECT 1 FROM mail_tokens
			WHERE mail_tokens.email = $1 AND mail_tokens.kind = 'address_changed'
			AND mail_tokens.expires_at > $2 AND mail_tokens.user_id <> $3)`

	// selectReservedElse is like selectReserved, but ignores reservations for the user $3, because users may change
	// back to their own previous address.
	selectReservedElse = `SELECT EXISTS (SELECT 1 FROM mail_tokens
			WHERE mail_tokens.email = $1 AND mail_tokens.kind = 'address_changed'
			AND mail_tokens.expires_at > $2 AND mail_tokens.user_id <> $3)`

	// updateVerified changes no row if the address was changed after the link was mailed, because the link proves
	// only the address that received it.
	updateVerified = `UPDATE users SET verified_at = $1 WHERE id = $2 AND email = $3`

	// proveFirst records the first proof of a new account's address, and sets the password. Of several concurrent
	// proofs, only the first succeeds, because it sets verified_at.
	proveFirst = `UPDATE users SET verified_at = $1, password_hash = $2, name = $3, locale = $4
		WHERE id = $5 AND email = $6 AND verified_at = 0 AND disabled_at = 0`

	deleteUser       = `DELETE FROM users WHERE id = $1`
	deleteUserEvents = `DELETE FROM events WHERE user_id = $1`
	deleteUserMails  = `DELETE FROM mails WHERE user_id = $1`
)

// insertUserUnlessReserved returns the INSERT of an account whose address is not reserved. The last parameter is the
// current time. Of two concurrent sign-ups with one address, only one inserts a row, because email has a unique
// index.
func insertUserUnlessReserved(row []column) string {
	return insertInto("users", row, `SELECT %s WHERE NOT EXISTS (SELECT 1 FROM mail_tokens
			WHERE mail_tokens.email = `+placeholderOf(row, "email")+` AND mail_tokens.kind = 'address_changed'
			AND mail_tokens.expires_at > `+fmt.Sprintf("$%d", len(row)+1)+`)
		ON CONFLICT DO NOTHING`)
}

func scanUser(s rowScanner) (u watchword.User, err error) {
	return u, s.Scan(scanTargets(userRow(&u))...)
}

// InsertUser inserts an account, unless its address is taken or reserved. It checks twice whether the address is
// reserved.
//
// The second check is needed if a concurrent transaction changes the address of the previous owner, and thereby
// reserves it. The insert waits for this transaction, because both write the unique index on addresses. But the
// condition of the insert may have read a snapshot from before the wait, so it does not see the reservation.
//
// The second check is a separate statement, so it sees the commit (READ COMMITTED). If it finds a reservation,
// InsertUser deletes the new row again.
func (t Tx) InsertUser(ctx context.Context, u watchword.User, now time.Time) (bool, error) {
	if u.ID == "" {
		return false, errors.New("the account has no id")
	}
	inserted, err := t.tryChange(ctx, insertUser, append(insertArgs(userTableColumns(&u)), toMillis(now))...)
	if err != nil || !inserted {
		return false, err
	}
	reserved, err := t.Reserved(ctx, u.Email, now)
	if err == nil && !reserved {
		if _, err = t.exec(ctx, queueSignup, u.ID, toMillis(now)); err == nil {
			err = t.insertRoles(ctx, u.ID, u.Roles)
		}
		return err == nil, err
	}
	if err != nil {
		return false, err
	}
	return false, t.changeExisting(ctx, deleteUser, u.ID)
}

func (t Tx) Reserved(ctx context.Context, email watchword.Address, now time.Time) (bool, error) {
	return queryRow(ctx, t, scanBool, selectReserved, email, toMillis(now))
}

func (t Tx) User(ctx context.Context, id watchword.UserID) (watchword.User, error) {
	return queryRow(ctx, t, scanUser, selectUser, id)
}

// UserByEmail expects the address in its stored form, which address.Parse returns. It looks up this form in the
// unique index, and finds no other spelling.
func (t Tx) UserByEmail(ctx context.Context, email watchword.Address) (watchword.User, error) {
	return queryRow(ctx, t, scanUser, selectUserByEmail, email)
}

// Users starts each page at an address instead of an offset. A deep page costs the same as the first, and accounts
// that are created or deleted in the meantime do not shift the pages.
func (t Tx) Users(ctx context.Context, from, below watchword.Address, limit int) ([]watchword.User, error) {
	return queryRows(ctx, t, scanUser, selectUsers, from, below, limit)
}

func (t Tx) SetName(ctx context.Context, id watchword.UserID, name string) error {
	return t.changeExisting(ctx, updateName, name, id)
}

func (t Tx) SetLocale(ctx context.Context, id watchword.UserID, locale string) error {
	return t.changeExisting(ctx, updateLocale, locale, id)
}

// SetRoles first changes the user's row, which locks it. Concurrent calls for one user run one after the other, so
// user_roles contains the roles of the last call.
func (t Tx) SetRoles(ctx context.Context, id watchword.UserID, roles []string, changed time.Time) error {
	if err := t.changeExisting(ctx, updateRoles, encodeList(roles), toMillis(changed), id); err != nil {
		return err
	}
	if _, err := t.exec(ctx, deleteRoles, id); err != nil {
		return err
	}
	return t.insertRoles(ctx, id, roles)
}

func (t Tx) SetDisabled(ctx context.Context, id watchword.UserID, at time.Time) error {
	return t.changeExisting(ctx, updateDisabled, toMillis(at), id)
}

// SetPassword converts the hash to string, because the methods of watchword.Secret return a redacted text.
func (t Tx) SetPassword(ctx context.Context, id watchword.UserID, hash watchword.Secret) error {
	return t.changeExisting(ctx, updatePassword, string(hash), id)
}

// ReplacePassword also locks the user's row, even if the new hash equals the current one.
func (t Tx) ReplacePassword(ctx context.Context, u watchword.User, to watchword.Secret) (bool, error) {
	return t.tryChange(ctx, replacePassword, string(to), u.ID, string(u.PasswordHash), toMillis(u.FactorsChangedAt))
}

func (t Tx) LockUser(ctx context.Context, id watchword.UserID, email watchword.Address) (bool, error) {
	return t.tryChange(ctx, lockUser, id, email)
}

// SetEmail changes the address of a user. It first locks the row in a separate statement, so that updateEmail reads a
// snapshot from after the wait for the lock.
//
// Like InsertUser, it then checks a second time whether the new address is reserved. If so, it returns
// ErrUnavailable, which rolls the transaction back. If the caller tries again, SetEmail finds the reservation at its
// first check and reports false.
func (t Tx) SetEmail(
	ctx context.Context, id watchword.UserID, oldEmail, newEmail watchword.Address, verified time.Time,
) (bool, error) {
	held, err := t.LockUser(ctx, id, oldEmail)
	if err != nil || !held {
		return false, err
	}
	changed, err := t.tryChange(ctx, updateEmail, newEmail, toMillis(verified), id, oldEmail)
	if err != nil || !changed {
		return false, err
	}
	reserved, err := queryRow(ctx, t, scanBool, selectReservedElse, newEmail, toMillis(verified), id)
	if err == nil && reserved {
		err = fmt.Errorf("%w: the address was reserved by a concurrent change", watchword.ErrUnavailable)
	}
	return err == nil, err
}

func (t Tx) SetVerified(
	ctx context.Context, id watchword.UserID, email watchword.Address, at time.Time,
) (bool, error) {
	return t.tryChange(ctx, updateVerified, toMillis(at), id, email)
}

func (t Tx) ProveFirst(ctx context.Context, u watchword.User) (bool, error) {
	return t.tryChange(ctx, proveFirst, toMillis(u.VerifiedAt), string(u.PasswordHash), u.Name, u.Locale, u.ID, u.Email)
}

// DeleteUser runs one DELETE per table. The tables have no foreign keys with ON DELETE CASCADE, because these would
// add a lookup to every insert of a session, an event or a mail.
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
	return t.tryChange(ctx, deleteUser, id)
}

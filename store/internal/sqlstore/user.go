package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// userRow lists the columns of an account.
func userRow(u *watchword.User) []column {
	return []column{
		{"id", &u.ID},
		{"email", &u.Email},
		{"verified_at", moment{&u.VerifiedAt}},
		{"name", &u.Name},
		{"roles", listColumn{&u.Roles}},
		{"password_hash", &u.PasswordHash},
		{"created_at", moment{&u.CreatedAt}},
		{"disabled_at", moment{&u.DisabledAt}},
		{"roles_changed_at", moment{&u.RolesChangedAt}},
	}
}

var (
	userColumns = names("users", userRow(new(watchword.User)))

	insertUser = insertUserUnlessReserved(userRow(new(watchword.User)))

	selectUser        = `SELECT ` + userColumns + ` FROM users WHERE id = $1`
	selectUserByEmail = `SELECT ` + userColumns + ` FROM users WHERE email = $1`
	selectUsers       = `SELECT ` + userColumns + ` FROM users WHERE email > $1 ORDER BY email LIMIT $2`
)

const (
	selectReserved = `SELECT EXISTS (SELECT 1 FROM mail_tokens
			WHERE mail_tokens.email = $1 AND mail_tokens.kind = 'address_changed' AND mail_tokens.expires_at > $2)`

	// lockUser changes nothing. A transaction that changes the row waits for it, and
	// it waits for such a transaction and then sees what that one left.
	lockUser = `UPDATE users SET name = name WHERE id = $1 AND email = $2`

	updateName  = `UPDATE users SET name = $1 WHERE id = $2`
	updateRoles = `UPDATE users SET roles = $1, feed_number = 0,
			roles_changed_at = CASE WHEN roles_changed_at < $2 THEN $2 ELSE roles_changed_at + 1000 END WHERE id = $3`
	updateDisabled  = `UPDATE users SET disabled_at = $1 WHERE id = $2`
	updatePassword  = `UPDATE users SET password_hash = $1 WHERE id = $2`
	replacePassword = `UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3 AND disabled_at = 0`
	updateEmail     = `UPDATE users SET email = $1, verified_at = $2 WHERE id = $3 AND email = $4
		AND NOT EXISTS (SELECT 1 FROM users AS other WHERE other.email = $1 AND other.id <> $3)
		AND NOT EXISTS (SELECT 1 FROM mail_tokens
			WHERE mail_tokens.email = $1 AND mail_tokens.kind = 'address_changed'
			AND mail_tokens.expires_at > $2 AND mail_tokens.user_id <> $3)`
	selectReservedElse = `SELECT EXISTS (SELECT 1 FROM mail_tokens
			WHERE mail_tokens.email = $1 AND mail_tokens.kind = 'address_changed'
			AND mail_tokens.expires_at > $2 AND mail_tokens.user_id <> $3)`
	updateVerified = `UPDATE users SET verified_at = $1 WHERE id = $2 AND email = $3`
	proveFirst     = `UPDATE users SET verified_at = $1, password_hash = $2, name = $3
		WHERE id = $4 AND email = $5 AND verified_at = 0 AND disabled_at = 0`

	deleteUser       = `DELETE FROM users WHERE id = $1`
	deleteUserEvents = `DELETE FROM events WHERE user_id = $1`
	deleteUserMails  = `DELETE FROM mails WHERE user_id = $1`
)

// insertUserUnlessReserved inserts an account unless its address is reserved. The last
// parameter is the current time.
func insertUserUnlessReserved(row []column) string {
	return insertInto("users", row, `SELECT %s WHERE NOT EXISTS (SELECT 1 FROM mail_tokens
			WHERE mail_tokens.email = `+parameterOf(row, "email")+` AND mail_tokens.kind = 'address_changed'
			AND mail_tokens.expires_at > `+fmt.Sprintf("$%d", len(row)+1)+`)
		ON CONFLICT DO NOTHING`)
}

func scanUser(s scanner) (u watchword.User, err error) {
	return u, s.Scan(fields(userRow(&u))...)
}

// InsertUser asks twice whether the address is reserved. The row of the last owner
// settles the race: an insert waits until a transaction that moves that row to
// another address has committed, and with it the token that reserves the address.
// The condition in insertUser may be older than that commit. The second question is
// a statement of its own and sees it (READ COMMITTED).
func (t Tx) InsertUser(ctx context.Context, u watchword.User, now time.Time) (bool, error) {
	inserted, err := t.change(ctx, insertUser, append(values(userRow(&u)), ms(now))...)
	if err != nil || !inserted {
		return false, err
	}
	reserved, err := t.Reserved(ctx, u.Email, now)
	if err != nil || !reserved {
		return err == nil, err
	}
	return false, t.must(ctx, deleteUser, u.ID)
}

func (t Tx) Reserved(ctx context.Context, email watchword.Address, now time.Time) (bool, error) {
	return row(ctx, t, func(s scanner) (yes bool, err error) { return yes, s.Scan(&yes) }, selectReserved, email, ms(now))
}

func (t Tx) User(ctx context.Context, id watchword.UserID) (watchword.User, error) {
	return row(ctx, t, scanUser, selectUser, id)
}

func (t Tx) UserByEmail(ctx context.Context, email watchword.Address) (watchword.User, error) {
	return row(ctx, t, scanUser, selectUserByEmail, email)
}

func (t Tx) Users(ctx context.Context, after watchword.Address, limit int) ([]watchword.User, error) {
	return rows(ctx, t, scanUser, selectUsers, after, limit)
}

func (t Tx) SetName(ctx context.Context, id watchword.UserID, name string) error {
	return t.must(ctx, updateName, name, id)
}

func (t Tx) SetRoles(ctx context.Context, id watchword.UserID, roles []string, changed time.Time) error {
	return t.must(ctx, updateRoles, list(roles), ms(changed), id)
}

func (t Tx) SetDisabled(ctx context.Context, id watchword.UserID, at time.Time) error {
	return t.must(ctx, updateDisabled, ms(at), id)
}

func (t Tx) SetPassword(ctx context.Context, id watchword.UserID, hash watchword.Secret) error {
	return t.must(ctx, updatePassword, string(hash), id)
}

func (t Tx) ReplacePassword(ctx context.Context, id watchword.UserID, from, to watchword.Secret) (bool, error) {
	return t.change(ctx, replacePassword, string(to), id, string(from))
}

func (t Tx) LockUser(ctx context.Context, id watchword.UserID, email watchword.Address) (bool, error) {
	return t.change(ctx, lockUser, id, email)
}

// SetEmail locks the row first, so that the conditions of updateEmail are not older
// than its turn. It asks a second time whether the new address is reserved, for the
// reason that InsertUser has.
func (t Tx) SetEmail(ctx context.Context, id watchword.UserID, from, to watchword.Address, verified time.Time) (bool, error) {
	held, err := t.LockUser(ctx, id, from)
	if err != nil || !held {
		return false, err
	}
	changed, err := t.change(ctx, updateEmail, to, ms(verified), id, from)
	if err != nil || !changed {
		return false, err
	}
	reserved, err := row(ctx, t, func(s scanner) (yes bool, err error) { return yes, s.Scan(&yes) },
		selectReservedElse, to, ms(verified), id)
	if err == nil && reserved {
		err = fmt.Errorf("%w: the address was given up while it was being taken", watchword.ErrUnavailable)
	}
	return err == nil, err
}

func (t Tx) SetVerified(ctx context.Context, id watchword.UserID, email watchword.Address, at time.Time) (bool, error) {
	return t.change(ctx, updateVerified, ms(at), id, email)
}

func (t Tx) ProveFirst(ctx context.Context, u watchword.User) (bool, error) {
	return t.change(ctx, proveFirst, ms(u.VerifiedAt), string(u.PasswordHash), u.Name, u.ID, u.Email)
}

// DeleteUser takes four statements: a foreign key would cost every insert.
func (t Tx) DeleteUser(ctx context.Context, id watchword.UserID) (bool, error) {
	for _, text := range []string{deleteUserEvents, deleteUserMails, deleteUserSignups} {
		if _, err := t.exec(ctx, text, id); err != nil {
			return false, err
		}
	}
	return t.change(ctx, deleteUser, id)
}

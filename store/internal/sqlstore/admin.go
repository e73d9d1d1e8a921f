package sqlstore

import (
	"context"
	"errors"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// SQL for administrators. The statements in this file list accounts, and store the roles of an account as rows.

var _ admin.Tx = Tx{}

const (
	// insertRole runs in a transaction that has already locked or inserted the user's row. Concurrent changes of one
	// user's roles therefore wait for each other.
	insertRole  = `INSERT INTO user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	deleteRoles = `DELETE FROM user_roles WHERE user_id = $1`

	deleteIdempotency = `DELETE FROM idempotency WHERE owner = $1`

	// hasAdmin reports whether an administrator exists whose account is not disabled. It reads the primary key of
	// user_roles.
	hasAdmin = `SELECT EXISTS (SELECT 1 FROM user_roles JOIN users ON users.id = user_roles.user_id
		WHERE user_roles.role = 'admin' AND users.disabled_at = 0)`

	// hasTOTP and hasPasskey count the user's factors in the index factors_by_user. They do not use a join, because a
	// join would return one row per factor. They do not use EXISTS, because PostgreSQL could then build a hash table
	// of all factors.
	hasTOTP    = `(SELECT COUNT(*) FROM factors WHERE factors.user_id = users.id AND factors.kind = 'totp') > 0`
	hasPasskey = `(SELECT COUNT(*) FROM factors WHERE factors.user_id = users.id AND factors.kind = 'passkey') > 0`

	// matchesFilter is the condition that an account matches a filter. $3 is the state in the filter (see
	// admin.Account.State), and $4 is the factor. The condition is in SQL, because otherwise the caller would receive
	// thousands of rows to find a few accounts.
	matchesFilter = `($3 = '' OR $3 = CASE WHEN users.disabled_at <> 0 THEN 'disabled'
			WHEN users.verified_at = 0 THEN 'unverified' ELSE 'active' END)
		AND ($4 = '' OR ($4 <> 'none') = ((SELECT COUNT(*) FROM factors WHERE factors.user_id = users.id
			AND factors.kind IN ('totp', 'passkey') AND ($4 = factors.kind OR $4 NOT IN ('totp', 'passkey'))) > 0))`

	// lastAccount and lastWithRole find the end of a range of at most $3 rows. They read only an index.
	lastAccount = `SELECT COALESCE(MAX(email COLLATE "binary"), ''), COUNT(*) FROM (SELECT email FROM users
		WHERE email COLLATE "binary" >= $1 AND email COLLATE "binary" < $2
		ORDER BY email COLLATE "binary" LIMIT $3) AS found`

	lastWithRole = `SELECT COALESCE(MAX(user_id), ''), COUNT(*) FROM (SELECT user_id FROM user_roles
		WHERE role = $1 AND user_id > $2 ORDER BY user_id LIMIT $3) AS found`
)

var (
	accountColumns = userColumns + `, ` + hasTOTP + `, ` + hasPasskey

	// selectAccounts reads the accounts with addresses from $1 up to, but not including, $2, like selectUsers.
	selectAccounts = `SELECT ` + accountColumns + ` FROM users
		WHERE email COLLATE "binary" >= $1 AND email COLLATE "binary" < $2 AND ` + matchesFilter + `
		AND ($5 = '' OR (SELECT COUNT(*) FROM user_roles WHERE role = $5 AND user_id = users.id) > 0)
		ORDER BY email COLLATE "binary" LIMIT $6`

	// selectRoleAccounts returns accounts in the order of their user ids. This is the order of the primary key of
	// user_roles (role, user_id), so the database needs no sort, even if every account has the role.
	selectRoleAccounts = `SELECT ` + accountColumns + `
		FROM user_roles JOIN users ON users.id = user_roles.user_id
		WHERE user_roles.role = $1 AND user_roles.user_id > $2 AND ` + matchesFilter + `
		AND user_roles.user_id <= $5 ORDER BY user_roles.user_id LIMIT $6`

	// selectSessionsOf does not join users, so it also finds the sessions of a deleted account.
	selectSessionsOf = `SELECT ` + sessionColumns + ` FROM sessions WHERE user_id = $1
		ORDER BY rotated_at DESC, id DESC LIMIT $2`

	selectAccount = `SELECT ` + accountColumns + ` FROM users WHERE users.id = $1`
)

func scanAccount(s rowScanner) (a admin.Account, err error) {
	return a, s.Scan(append(scanTargets(userRow(&a.User)), &a.TOTP, &a.Passkey)...)
}

// insertRoles inserts one row per role. An account has at most 32 roles.
func (t Tx) insertRoles(ctx context.Context, id watchword.UserID, roles []string) error {
	for _, role := range roles {
		if _, err := t.exec(ctx, insertRole, id, role); err != nil {
			return err
		}
	}
	return nil
}

// Accounts lists accounts in the order of their addresses. Like Users, it starts each page of the list at an address
// (cursor) and not at an offset.
func (t Tx) Accounts(
	ctx context.Context, from, below watchword.Address, f admin.Filter, limit int,
) ([]admin.Account, error) {
	return queryRows(ctx, t, scanAccount, selectAccounts, from, below, f.State, f.Factor, f.Role, limit)
}

// LastAccount returns the last of the first n addresses in a range, and the number of these addresses. The caller
// uses the address as the end of the range for Accounts. This limits how many rows Accounts reads. A LIMIT clause
// would not, because it counts only selected accounts: a filter without a match would read the whole range.
func (t Tx) LastAccount(
	ctx context.Context, from, below watchword.Address, n int,
) (last watchword.Address, found int, err error) {
	last, err = queryRow(ctx, t, func(s rowScanner) (last watchword.Address, err error) {
		return last, s.Scan(&last, &found)
	}, lastAccount, from, below, n)
	return last, found, err
}

// AccountsWithRole starts each page of the list at a user id (cursor), so a deep page costs the same as the first.
func (t Tx) AccountsWithRole(
	ctx context.Context, after, upTo watchword.UserID, f admin.Filter, limit int,
) ([]admin.Account, error) {
	return queryRows(ctx, t, scanAccount, selectRoleAccounts, f.Role, after, f.State, f.Factor, upTo, limit)
}

// LastWithRole is like LastAccount, for AccountsWithRole. It returns the last of the first n user ids with the role,
// and their number.
func (t Tx) LastWithRole(
	ctx context.Context, role string, after watchword.UserID, n int,
) (last watchword.UserID, found int, err error) {
	last, err = queryRow(ctx, t, func(s rowScanner) (last watchword.UserID, err error) {
		return last, s.Scan(&last, &found)
	}, lastWithRole, role, after, n)
	return last, found, err
}

// HasAdmin first locks a fixed row, so transactions that call HasAdmin run one after the other. Its query therefore
// sees the commits of the earlier transactions. The engine creates the row when it starts. Without the row, HasAdmin
// returns an error.
func (t Tx) HasAdmin(ctx context.Context) (bool, error) {
	_, err := t.HoldKey(ctx, watchword.KeyService)
	switch {
	case errors.Is(err, watchword.ErrNotFound):
		return false, errors.New("the table keys has no secret of the use service, which is the lock of the administrators")
	case err != nil:
		return false, err
	}
	return queryRow(ctx, t, scanBool, hasAdmin)
}

// Account reads one account with the same columns as Accounts.
func (t Tx) Account(ctx context.Context, id watchword.UserID) (admin.Account, error) {
	return queryRow(ctx, t, scanAccount, selectAccount, id)
}

// SessionsOf sorts all sessions of one user. They are few: at most max-sessions active ones, and the ended ones that
// the sweep has not deleted yet.
func (t Tx) SessionsOf(ctx context.Context, id watchword.UserID, limit int) ([]watchword.Session, error) {
	return queryRows(ctx, t, scanSession, selectSessionsOf, id, limit)
}

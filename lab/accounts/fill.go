package accounts

import (
	"context"
	"database/sql"
	"fmt"
)

// This file fills the database. One statement inserts many rows, because the engine would need hours for a million
// accounts.

const accountsPerTransaction = 50_000

// SQL on both databases computes ids and addresses from the number n of an account. Ids ascend with the time of
// sign-up, like UUIDs of version 7. Addresses have a different order.
const (
	idColumn    = `substr(CAST(100000000 + n AS TEXT), 2) || '-0000-7000-8000-' || substr(CAST(1000000000000 + n * 7368787 % 1000000000000 AS TEXT), 2)`
	emailColumn = `substr('abcdefghijklmnopqrstuvwxyz', CAST(n % 26 + 1 AS INTEGER), 1) ||
		substr('abcdefghijklmnopqrstuvwxyz', CAST(n / 26 % 26 + 1 AS INTEGER), 1) || '.user' || CAST(n AS TEXT) || '@example.com'`

	// integerRange is SQL that selects the integers from $1 up to, but not including, $2.
	integerRange = ` FROM (WITH RECURSIVE count(n) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT n + 1 FROM count WHERE n + 1 < $2)
		SELECT n FROM count) AS counted`
)

// idOf returns the value of idColumn for account n.
func idOf(n int) string {
	return fmt.Sprintf("%08d-0000-7000-8000-%012d", n, n*7_368_787%1_000_000_000_000)
}

// insertStatements fill all tables that a search reads. Three accounts are administrators, 1 % are staff, and half
// are members. 0.5 % are disabled and 5 % are unverified. 10 % have an authenticator app, and 2 % have a passkey. No
// disabled account has a passkey.
var insertStatements = []string{
	`INSERT INTO users (id, email, verified_at, name, roles, password_hash, created_at, disabled_at, roles_changed_at,
			locale, factors, factors_changed_at)
		SELECT ` + idColumn + `, ` + emailColumn + `, CASE n % 20 WHEN 5 THEN 0 ELSE 1764000000000 END, 'Zoë O''Hara',
		CASE WHEN n < 3 THEN '["admin"]' WHEN n % 100 = 7 THEN '["staff"]' WHEN n % 2 = 0 THEN '["member"]' ELSE '[]' END,
		'$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g', 1764000000000 + n,
		CASE n % 200 WHEN 3 THEN 1764000000000 ELSE 0 END, 0, 'en', 0, 0` + integerRange,
	`INSERT INTO user_roles (user_id, role) SELECT ` + idColumn + `,
		CASE WHEN n < 3 THEN 'admin' WHEN n % 100 = 7 THEN 'staff' ELSE 'member' END` + integerRange +
		` WHERE n < 3 OR n % 100 = 7 OR n % 2 = 0`,
	`INSERT INTO user_metadata (user_id, version, public, private)
		SELECT ` + idColumn + `, 1, '{"plan":"pro"}', ''` + integerRange + ` WHERE n % 10 = 4`,
	factorRows("totp", "''", "n % 10 = 1"),
	factorRows("passkey", "'credential-' || CAST(n AS TEXT)", "n % 50 = 2"),
}

func factorRows(kind, credential, which string) string {
	return `INSERT INTO factors (id, user_id, kind, name, sealed, credential_id, record, counter, created_at, last_used_at)
		SELECT '` + kind + `-' || CAST(n AS TEXT), ` + idColumn + `, '` + kind + `', 'a factor', '', ` + credential + `,
		'', 0, 1764000000000, 0` + integerRange + ` WHERE ` + which
}

// Fill inserts n accounts into a database with all tables.
func Fill(ctx context.Context, db *sql.DB, n int) error {
	for first := 0; first < n; first += accountsPerTransaction {
		for _, insert := range insertStatements {
			if _, err := db.ExecContext(ctx, insert, first, min(first+accountsPerTransaction, n)); err != nil {
				return fmt.Errorf("%s: %w", insert, err)
			}
		}
	}
	return nil
}

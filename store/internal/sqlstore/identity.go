package sqlstore

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

// Identities of external providers. Package federation runs these statements in one transaction with statements on
// accounts and sessions.

var _ federation.Tx = Tx{}

// identityRow omits the tokens of the provider, which are not stored.
func identityRow(i *federation.Identity) []column {
	return []column{
		{"id", &i.ID},
		{"user_id", &i.UserID},
		{"provider", &i.Provider},
		{"issuer", &i.Issuer},
		{"subject", &i.Subject},
		{"email", &i.Email},
		{"linked_at", timeColumn{&i.LinkedAt}},
		{"last_used_at", timeColumn{&i.LastUsedAt}},
	}
}

var (
	// insertIdentity inserts no row if the identity (issuer and subject) already exists. If two requests sign in with
	// the same new identity concurrently, the second request inserts no row, and its new account is rolled back.
	insertIdentity = insertInto("identities", identityRow(new(federation.Identity)),
		"VALUES (%s) ON CONFLICT DO NOTHING")

	selectIdentity = `SELECT ` + selectList("identities", identityRow(new(federation.Identity))) + ` FROM identities
		WHERE issuer = $1 AND subject = $2`

	// selectIdentities orders by age, so that using an identity does not change the order of a list.
	selectIdentities = `SELECT ` + selectList("identities", identityRow(new(federation.Identity))) + ` FROM identities
		WHERE user_id = $1 ORDER BY linked_at, id`

	// selectStranded selects users who have no password, and whose identities all belong to providers that are not in
	// the list $2 (delimitedIDs). $1 is the cursor: the user after whom the page starts. The statement reads the index of
	// identities in order. It uses sub-selects and no join, because PostgreSQL would read all users for a join.
	selectStranded = `SELECT DISTINCT user_id, (SELECT verified_at FROM users WHERE users.id = identities.user_id),
			(SELECT COUNT(*) FROM factors WHERE factors.user_id = identities.user_id AND kind = 'passkey')
		FROM identities WHERE user_id > $1
			AND (SELECT password_hash FROM users WHERE users.id = identities.user_id) = ''
			AND NOT EXISTS (SELECT 1 FROM identities AS other
				WHERE other.user_id = identities.user_id AND $2 LIKE '%,' || other.provider || ',%')
		ORDER BY user_id LIMIT $3`
)

const (
	// useIdentity requires that the identity still belongs to the account that signs in. A concurrent request may
	// have removed it.
	useIdentity = `UPDATE identities SET provider = $1, email = $2, last_used_at = $3 WHERE id = $4 AND user_id = $5`

	// deleteIdentity does not delete the last way to sign in, see hasOtherSignIn.
	deleteIdentity = `DELETE FROM identities WHERE id = $1 AND user_id = $2 AND ` + hasOtherSignIn

	deleteIdentities      = `DELETE FROM identities WHERE user_id = $1`
	deleteIdentitiesSince = `DELETE FROM identities WHERE user_id = $1 AND linked_at >= $2`
)

func scanIdentity(s rowScanner) (i federation.Identity, err error) {
	return i, s.Scan(scanTargets(identityRow(&i))...)
}

// InsertIdentity waits for a concurrent transaction that inserts the same identity. It reports false if that
// transaction commits.
func (t Tx) InsertIdentity(ctx context.Context, i federation.Identity) (bool, error) {
	return t.tryChange(ctx, insertIdentity, insertArgs(identityRow(&i))...)
}

// Identity compares issuer and subject byte by byte, so they are case-sensitive.
func (t Tx) Identity(ctx context.Context, issuer, subject string) (federation.Identity, error) {
	return queryRow(ctx, t, scanIdentity, selectIdentity, issuer, subject)
}

// Identities has no parameter limit, because the engine limits the number of identities per account.
func (t Tx) Identities(ctx context.Context, id watchword.UserID) ([]federation.Identity, error) {
	return queryRows(ctx, t, scanIdentity, selectIdentities, id)
}

// Stranded starts each page of the list after the cursor (a user id), so a deep page costs the same as the first.
func (t Tx) Stranded(
	ctx context.Context, cursor watchword.UserID, offered []string, limit int,
) ([]watchword.User, error) {
	return queryRows(ctx, t, func(s rowScanner) (u watchword.User, err error) {
		return u, s.Scan(&u.ID, timeColumn{&u.VerifiedAt}, &u.Factors)
	}, selectStranded, cursor, delimitedIDs(offered), limit)
}

// UseIdentity requires the id of the owner, see useIdentity.
func (t Tx) UseIdentity(ctx context.Context, i federation.Identity) (bool, error) {
	return t.tryChange(ctx, useIdentity, i.Provider, i.Email, toMillis(i.LastUsedAt), i.ID, i.UserID)
}

// DeleteIdentity requires the id of the owner, so a guessed identity id deletes no row of another account.
func (t Tx) DeleteIdentity(
	ctx context.Context, id watchword.UserID, identity, spare string, offered []string,
) (bool, error) {
	return t.tryChange(ctx, deleteIdentity, identity, id, spare, delimitedIDs(offered))
}

// DeleteIdentities deletes the identities that were connected at or after the given time. The zero time means all.
func (t Tx) DeleteIdentities(ctx context.Context, id watchword.UserID, since time.Time) error {
	_, err := t.exec(ctx, deleteIdentitiesSince, id, toMillis(since))
	return err
}

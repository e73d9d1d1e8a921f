package sqlstore

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

// Identities of external providers. Package federation runs these statements in one transaction with
// those of accounts and sessions.

var _ federation.Tx = Tx{}

// identityRow lists the columns of an identity. There is no column for a token of the provider.
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
	// insertIdentity settles the race between two first sign-ins of one identity: the index on issuer and
	// subject is unique. The second sign-in inserts no row, and its account is rolled back.
	insertIdentity = insertInto("identities", identityRow(new(federation.Identity)),
		"VALUES (%s) ON CONFLICT DO NOTHING")

	selectIdentity = `SELECT ` + names("identities", identityRow(new(federation.Identity))) + ` FROM identities
		WHERE issuer = $1 AND subject = $2`

	// selectIdentities orders by age, so that a list keeps its order when an identity is used.
	selectIdentities = `SELECT ` + names("identities", identityRow(new(federation.Identity))) + ` FROM identities
		WHERE user_id = $1 ORDER BY linked_at, id`

	// selectStranded continues after a user, and reads the identities in the order of their index. It
	// selects users without a password whose identities all belong to providers that are not in the list $2
	// (idList). Sub-selects look up each user; for a join, PostgreSQL would read all users.
	selectStranded = `SELECT DISTINCT user_id, (SELECT verified_at FROM users WHERE users.id = identities.user_id),
			(SELECT COUNT(*) FROM factors WHERE factors.user_id = identities.user_id AND kind = 'passkey')
		FROM identities WHERE user_id > $1
			AND (SELECT password_hash FROM users WHERE users.id = identities.user_id) = ''
			AND NOT EXISTS (SELECT 1 FROM identities AS other
				WHERE other.user_id = identities.user_id AND $2 LIKE '%,' || other.provider || ',%')
		ORDER BY user_id LIMIT $3`
)

const (
	// useIdentity settles the race between a sign-in and the end of the link: the row must still belong
	// to the account that signs in.
	useIdentity = `UPDATE identities SET provider = $1, email = $2, last_used_at = $3 WHERE id = $4 AND user_id = $5`

	// deleteIdentity does not delete the last way to sign in, see anotherWayIn.
	deleteIdentity = `DELETE FROM identities WHERE id = $1 AND user_id = $2 AND ` + anotherWayIn

	deleteIdentities      = `DELETE FROM identities WHERE user_id = $1`
	deleteIdentitiesSince = `DELETE FROM identities WHERE user_id = $1 AND linked_at >= $2`
)

func scanIdentity(s scanner) (i federation.Identity, err error) {
	return i, s.Scan(fields(identityRow(&i))...)
}

// InsertIdentity waits for a concurrent insert of the same identity, and then reports false.
func (t Tx) InsertIdentity(ctx context.Context, i federation.Identity) (bool, error) {
	return t.change(ctx, insertIdentity, values(identityRow(&i))...)
}

// Identity compares bytes: both databases order and compare this text in binary form.
func (t Tx) Identity(ctx context.Context, issuer, subject string) (federation.Identity, error) {
	return row(ctx, t, scanIdentity, selectIdentity, issuer, subject)
}

// Identities has no limit, because the engine bounds the identities of an account.
func (t Tx) Identities(ctx context.Context, id watchword.UserID) ([]federation.Identity, error) {
	return rows(ctx, t, scanIdentity, selectIdentities, id)
}

// Stranded continues after a user id, as Users continues at an address.
func (t Tx) Stranded(
	ctx context.Context, after watchword.UserID, offered []string, limit int,
) ([]watchword.User, error) {
	return rows(ctx, t, func(s scanner) (u watchword.User, err error) {
		return u, s.Scan(&u.ID, timeColumn{&u.VerifiedAt}, &u.Factors)
	}, selectStranded, after, idList(offered), limit)
}

// UseIdentity requires the owner too, see useIdentity.
func (t Tx) UseIdentity(ctx context.Context, i federation.Identity) (bool, error) {
	return t.change(ctx, useIdentity, i.Provider, i.Email, millis(i.LastUsedAt), i.ID, i.UserID)
}

// DeleteIdentity requires the owner too, so that a guessed id deletes no row of another account.
func (t Tx) DeleteIdentity(
	ctx context.Context, id watchword.UserID, identity, spare string, offered []string,
) (bool, error) {
	return t.change(ctx, deleteIdentity, identity, id, spare, idList(offered))
}

// DeleteIdentities with the zero time deletes all: no identity was linked before 1970.
func (t Tx) DeleteIdentities(ctx context.Context, id watchword.UserID, since time.Time) error {
	_, err := t.exec(ctx, deleteIdentitiesSince, id, millis(since))
	return err
}

package sqlstore

import (
	"context"
	"errors"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/metadata"
)

// The metadata of accounts is stored in a separate table. Queries for accounts also read the public metadata from
// this table (userRow).

var _ metadata.Tx = Tx{}

const (
	selectMetadata = `SELECT version, public, private FROM user_metadata WHERE user_id = $1`

	// selectPrivate reads the private metadata of all accounts whose address is between $1 and $2, both included.
	selectPrivate = `SELECT users.id, user_metadata.private
		FROM users JOIN user_metadata ON user_metadata.user_id = users.id
		WHERE users.email COLLATE "binary" >= $1 AND users.email COLLATE "binary" <= $2 AND user_metadata.private <> ''`

	// setMetadata changes the row only if its version is still $5, the version that the writer has read. If two
	// writers have read the same version, only the first one succeeds.
	setMetadata = `INSERT INTO user_metadata (user_id, version, public, private) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id) DO UPDATE
		SET version = excluded.version, public = excluded.public, private = excluded.private
		WHERE user_metadata.version = $5`

	deleteMetadata = `DELETE FROM user_metadata WHERE user_id = $1`
)

// Metadata returns the zero Metadata for an account without a row, which is the usual case.
func (t Tx) Metadata(ctx context.Context, id watchword.UserID) (metadata.Metadata, error) {
	m, err := queryRow(ctx, t, func(s rowScanner) (m metadata.Metadata, err error) {
		return m, s.Scan(&m.Version, &m.Public, &m.Private)
	}, selectMetadata, id)
	if errors.Is(err, watchword.ErrNotFound) {
		return metadata.Metadata{}, nil
	}
	return m, err
}

// PrivateMetadata returns the private metadata of the accounts from firstEmail to lastEmail, by user id. The caller
// has already read the accounts themselves.
func (t Tx) PrivateMetadata(
	ctx context.Context, firstEmail, lastEmail watchword.Address,
) (map[watchword.UserID]string, error) {
	type private struct {
		id   watchword.UserID
		text string
	}
	found, err := queryRows(ctx, t, func(s rowScanner) (p private, err error) {
		return p, s.Scan(&p.id, &p.text)
	}, selectPrivate, firstEmail, lastEmail)
	of := make(map[watchword.UserID]string, len(found))
	for _, each := range found {
		of[each.id] = each.text
	}
	return of, err
}

// SetMetadata inserts the row if the account has no metadata yet. The caller has locked the user's row, so the
// account exists.
func (t Tx) SetMetadata(
	ctx context.Context, id watchword.UserID, m metadata.Metadata, was int64,
) (bool, error) {
	return t.tryChange(ctx, setMetadata, id, m.Version, m.Public, m.Private, was)
}

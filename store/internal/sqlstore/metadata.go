package sqlstore

import (
	"context"
	"errors"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/metadata"
)

// The metadata of accounts has a table of its own. Queries of an account read the public object
// with it (userRow).

var _ metadata.Tx = Tx{}

const (
	selectMetadata = `SELECT version, public, private FROM user_metadata WHERE user_id = $1`

	// setMetadata settles the race of two writers: only the one that has read the current version
	// changes the row.
	setMetadata = `INSERT INTO user_metadata (user_id, version, public, private) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id) DO UPDATE
		SET version = excluded.version, public = excluded.public, private = excluded.private
		WHERE user_metadata.version = $5`

	deleteMetadata = `DELETE FROM user_metadata WHERE user_id = $1`
)

// Metadata is not found for most accounts, which is no error.
func (t Tx) Metadata(ctx context.Context, id watchword.UserID) (metadata.Metadata, error) {
	m, err := row(ctx, t, func(s scanner) (m metadata.Metadata, err error) {
		return m, s.Scan(&m.Version, &m.Public, &m.Private)
	}, selectMetadata, id)
	if errors.Is(err, watchword.ErrNotFound) {
		return metadata.Metadata{}, nil
	}
	return m, err
}

// SetMetadata also inserts the row of an account that has none. The caller holds the user's row, so
// the account exists.
func (t Tx) SetMetadata(
	ctx context.Context, id watchword.UserID, m metadata.Metadata, was int64,
) (bool, error) {
	return t.change(ctx, setMetadata, id, m.Version, m.Public, m.Private, was)
}

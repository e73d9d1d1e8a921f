package sqlstore

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
)

const (
	// insertSignup uses a free slot of the address, or the slot of its oldest sign-up. The unique key (email, slot)
	// limits the sign-ups of an address to five. If two concurrent inserts choose the same slot, both succeed, and
	// the later one replaces the earlier sign-up. The limit therefore applies at every isolation level.
	insertSignup = `INSERT INTO signups (id, email, slot, created_at, sealed)
		VALUES ($1, $2, (SELECT slots.n
			FROM (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) AS slots
			LEFT JOIN signups AS held ON held.email = $2 AND held.slot = slots.n
			ORDER BY COALESCE(held.created_at, 0), slots.n LIMIT 1), $3, $4)
		ON CONFLICT (email, slot) DO UPDATE SET id = excluded.id,
			created_at = excluded.created_at, sealed = excluded.sealed`
	selectSignups = `SELECT id, email, created_at, sealed FROM signups WHERE email = $1 AND created_at > $2
		ORDER BY created_at DESC, id DESC`

	// nextSignups compares email twice. The first comparison reads a range of the primary key. The second comparison
	// excludes the sign-ups up to the cursor ($1, $2).
	nextSignups = `SELECT id, email, created_at, sealed FROM signups WHERE email >= $1 AND (email > $1 OR id > $2)
		ORDER BY email, id LIMIT $3`

	sealSignup = `UPDATE signups SET sealed = $1 WHERE email = $2 AND id = $3`
	// takeSignup succeeds for one of two concurrent confirmations, because only one can delete the row. Only one
	// account is therefore created.
	takeSignup    = `DELETE FROM signups WHERE email = $1 AND id = $2`
	deleteSignups = `DELETE FROM signups WHERE email = $1`
	// deleteUserSignups must run before deleteUser, because its sub-select reads the address from the user's row.
	deleteUserSignups = `DELETE FROM signups WHERE email = (SELECT email FROM users WHERE id = $1)`
)

func (t Tx) InsertSignup(ctx context.Context, s watchword.Signup) error {
	_, err := t.exec(ctx, insertSignup, s.ID, s.Email, toMillis(s.CreatedAt), s.Sealed)
	return err
}

func (t Tx) Signups(ctx context.Context, email watchword.Address, after time.Time) ([]watchword.Signup, error) {
	return queryRows(ctx, t, scanSignup, selectSignups, email, toMillis(after))
}

func scanSignup(row rowScanner) (s watchword.Signup, err error) {
	return s, row.Scan(&s.ID, &s.Email, timeColumn{&s.CreatedAt}, &s.Sealed)
}

func (t Tx) NextSignups(ctx context.Context, after watchword.Signup, limit int) ([]watchword.Signup, error) {
	return queryRows(ctx, t, scanSignup, nextSignups, after.Email, after.ID, limit)
}

// SetSealedSignup replaces the encrypted part of a sign-up. It returns no error if the sign-up was deleted in the
// meantime, because then there is nothing to replace.
func (t Tx) SetSealedSignup(ctx context.Context, email watchword.Address, id string, sealed []byte) error {
	_, err := t.exec(ctx, sealSignup, sealed, email, id)
	return err
}

// TakeSignup reports true to only one of several concurrent callers, see takeSignup.
func (t Tx) TakeSignup(ctx context.Context, email watchword.Address, id string) (bool, error) {
	return t.tryChange(ctx, takeSignup, email, id)
}

func (t Tx) DeleteSignups(ctx context.Context, email watchword.Address) error {
	_, err := t.exec(ctx, deleteSignups, email)
	return err
}

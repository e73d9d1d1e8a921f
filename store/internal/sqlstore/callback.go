package sqlstore

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
)

// The table callbacks is a queue, like the table mails. Claiming a row moves its next_at into the future, and the row
// is deleted after the callback has run. A row contains neither personal data nor the reason why a session ended.
// Before the callback runs, the engine reads both from the session or the account.
const (
	// queueSignup adds a callback for a new account. InsertUser runs it, so every flow that creates an account adds a
	// row. It adds the row even if OnSignup is not set, because the command line also creates accounts and does not
	// know the options of the server. The sweep deletes rows that no server claims.
	queueSignup = `INSERT INTO callbacks (kind, id, created_at, next_at, attempts)
		VALUES ('signup', $1, $2, $2, 0)`
	deleteSignupCallback = `DELETE FROM callbacks WHERE kind = 'signup' AND id = $1`

	// selectQueued returns four positions. The first two are the feed number and the expiry up to which callbacks
	// were queued. The other two are the same positions after the next batch.
	//
	// No session can later be added before a position, for two reasons. Feed numbers become visible in ascending
	// order (NumberFeed), and a session is inserted long before it expires.
	selectQueued = `SELECT queued_ended, queued_expired,
			COALESCE((SELECT MAX(feed_number) FROM (SELECT feed_number FROM sessions
				WHERE ended_at > 0 AND feed_number > feed.queued_ended
				ORDER BY feed_number LIMIT $1) AS ended), queued_ended),
			COALESCE((SELECT MAX(expires_at) FROM (SELECT expires_at FROM sessions
				WHERE ended_at = 0 AND expires_at > feed.queued_expired AND expires_at <= $2
				ORDER BY expires_at LIMIT $1) AS expired), queued_expired)
		FROM feed WHERE id = 1`
	// advanceQueued stores the new positions if the row still has the old ones. If two processes queue the same
	// batch, only one of them changes the row.
	advanceQueued = `UPDATE feed SET queued_ended = $1, queued_expired = $2
		WHERE id = 1 AND queued_ended = $3 AND queued_expired = $4`
	// queueEnded also adds callbacks for sessions of deleted accounts, because these sessions have ended too. It
	// skips a session that queueExpired has already added.
	queueEnded = `INSERT INTO callbacks (kind, id, created_at, next_at, attempts)
		SELECT 'session_ended', id, CAST($1 AS BIGINT), CAST($1 AS BIGINT), 0 FROM sessions
			WHERE ended_at > 0 AND feed_number > $2 AND feed_number <= $3
		ON CONFLICT (kind, id) DO NOTHING`
	queueExpired = `INSERT INTO callbacks (kind, id, created_at, next_at, attempts)
		SELECT 'session_ended', id, CAST($1 AS BIGINT), CAST($1 AS BIGINT), 0 FROM sessions
			WHERE ended_at = 0 AND expires_at > $2 AND expires_at <= $3
		ON CONFLICT (kind, id) DO NOTHING`

	// claimCallbacks checks kind and next_at again outside the sub-select. On PostgreSQL, the sub-select may have
	// read a row before another process claimed it.
	claimCallbacks = `UPDATE callbacks SET next_at = $1, attempts = attempts + 1
		WHERE kind = $2 AND next_at <= $3 AND id IN (SELECT id FROM callbacks
			WHERE kind = $2 AND next_at <= $3 ORDER BY next_at LIMIT $4)
		RETURNING kind, id, attempts`
	// postponeCallback and claimCallbacks also update the index callbacks_due, which contains next_at. The cost is
	// acceptable, because callbacks are rare.
	postponeCallback = `UPDATE callbacks SET next_at = $1 WHERE kind = $2 AND id = $3`
	deleteCallback   = `DELETE FROM callbacks WHERE kind = $1 AND id = $2`
)

// QueueEnded first stores the new positions, and inserts callbacks only if that succeeded. Of two concurrent
// processes, only one therefore inserts.
func (t Tx) QueueEnded(ctx context.Context, now time.Time, limit int) error {
	type marks struct{ ended, expired, toEnded, toExpired int64 }
	m, err := queryRow(ctx, t, func(s rowScanner) (m marks, err error) {
		return m, s.Scan(&m.ended, &m.expired, &m.toEnded, &m.toExpired)
	}, selectQueued, limit, toMillis(now))
	if err != nil || m.ended == m.toEnded && m.expired == m.toExpired {
		return err
	}
	advanced, err := t.tryChange(ctx, advanceQueued, m.toEnded, m.toExpired, m.ended, m.expired)
	if err != nil || !advanced {
		return err
	}
	if _, err := t.exec(ctx, queueEnded, toMillis(now), m.ended, m.toEnded); err != nil {
		return err
	}
	_, err = t.exec(ctx, queueExpired, toMillis(now), m.expired, m.toExpired)
	return err
}

// ClaimCallbacks may return fewer callbacks than are due, because it skips rows that another process claims at the
// same time. The caller tries again later.
func (t Tx) ClaimCallbacks(
	ctx context.Context, kind watchword.CallbackKind, now, until time.Time, limit int,
) ([]watchword.Callback, error) {
	return queryRows(ctx, t, func(s rowScanner) (c watchword.Callback, err error) {
		return c, s.Scan(&c.Kind, &c.ID, &c.Attempts)
	}, claimCallbacks, toMillis(until), kind, toMillis(now), limit)
}

// PostponeCallback has no effect if another process has already run the callback and deleted the row.
func (t Tx) PostponeCallback(ctx context.Context, c watchword.Callback, next time.Time) error {
	_, err := t.exec(ctx, postponeCallback, toMillis(next), c.Kind, c.ID)
	return err
}

// DeleteCallback returns no error if the row does not exist. Two processes may run the same callback, because a claim
// can expire while the callback is running.
func (t Tx) DeleteCallback(ctx context.Context, c watchword.Callback) error {
	_, err := t.exec(ctx, deleteCallback, c.Kind, c.ID)
	return err
}

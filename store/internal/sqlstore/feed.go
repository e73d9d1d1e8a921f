package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// The table feed has one row, which stores the last assigned number. To assign numbers, a process locks this row
// until it commits. Only one process at a time therefore assigns numbers, and readers see them appear in ascending
// order.
//
// Requests of users never lock the row. Ending a session sets no number (feed_number stays 0), and a background task
// assigns it later.
const (
	// lockFeed locks the row, and returns the last number that was committed. It locks by an UPDATE to the current
	// values, because SQLite has no SELECT FOR UPDATE.
	lockFeed    = `UPDATE feed SET last = last WHERE id = 1 RETURNING last`
	advanceFeed = `UPDATE feed SET last = $1 WHERE id = 1`

	// numberSessions assigns numbers to ended sessions, from $1 + 1 on, in the order in which they ended. It checks
	// feed_number = 0 a second time outside the sub-select, because another transaction may have assigned a number
	// while this one waited. An assigned number never changes.
	numberSessions = `UPDATE sessions SET feed_number = CAST($1 AS BIGINT) + due.n
		FROM (SELECT id, row_number() OVER (ORDER BY ended_at, id) AS n
			FROM sessions WHERE ended_at > 0 AND feed_number = 0 ORDER BY ended_at, id LIMIT $2) AS due
		WHERE sessions.id = due.id AND sessions.feed_number = 0
		RETURNING feed_number`
	// numberUsers numbers the users whose roles changed, like numberSessions. SetRoles sets feed_number back to 0, so
	// each change gets a new number.
	numberUsers = `UPDATE users SET feed_number = CAST($1 AS BIGINT) + due.n
		FROM (SELECT id, row_number() OVER (ORDER BY roles_changed_at, id) AS n
			FROM users WHERE roles_changed_at > 0 AND feed_number = 0 ORDER BY roles_changed_at, id LIMIT $2) AS due
		WHERE users.id = due.id AND users.feed_number = 0
		RETURNING feed_number`

	// selectFeedState returns the last number, and the times since which the oldest session and the oldest user wait
	// for a number. A time is NULL if no row waits. Each time costs one index entry, even if many rows wait.
	selectFeedState = `SELECT last,
			(SELECT ended_at FROM sessions WHERE ended_at > 0 AND feed_number = 0 ORDER BY ended_at LIMIT 1),
			(SELECT roles_changed_at FROM users WHERE roles_changed_at > 0 AND feed_number = 0
				ORDER BY roles_changed_at LIMIT 1)
		FROM feed WHERE id = 1`
	// selectFeed repeats ended_at > 0 and roles_changed_at > 0, because databases use a
	// partial index only if the query repeats its condition.
	selectFeed = `SELECT feed_number, id, '', ended_at, ended_why FROM sessions
			WHERE ended_at > 0 AND feed_number > $1 AND ended_at > $2
		UNION ALL
		SELECT feed_number, '', id, roles_changed_at, '' FROM users
			WHERE roles_changed_at > 0 AND feed_number > $1 AND roles_changed_at > $2
		ORDER BY 1 LIMIT $3`
)

func scanNumber(row rowScanner) (n int64, err error) {
	return n, row.Scan(&n)
}

// NumberFeed assigns the next feed numbers. They are greater than the stored number and greater than the second
// argument. The engine passes the current time in microseconds, so that numbers still increase after the database was
// restored from a backup.
func (t Tx) NumberFeed(ctx context.Context, above int64, limit int) (int, error) {
	last, err := queryRow(ctx, t, scanNumber, lockFeed)
	if err != nil {
		return 0, fmt.Errorf("lock the feed: %w", err)
	}
	last = max(last, above)
	numbered := 0
	for _, text := range []string{numberUsers, numberSessions} {
		given, err := queryRows(ctx, t, scanNumber, text, last, limit)
		if err != nil {
			return 0, err
		}
		numbered += len(given)
		for _, number := range given { // the numbers have a gap if a row was deleted while the statement ran
			last = max(last, number)
		}
	}
	if numbered == 0 {
		return 0, nil
	}
	return numbered, t.changeExisting(ctx, advanceFeed, last)
}

// FeedState reads the state of the feed. Its field Unnumbered is the time since which the oldest session or user
// waits for a number.
func (t Tx) FeedState(ctx context.Context) (watchword.FeedState, error) {
	return queryRow(ctx, t, func(s rowScanner) (state watchword.FeedState, err error) {
		var session, user *int64
		err = s.Scan(&state.Last, &session, &user)
		for _, at := range []*int64{session, user} {
			if at == nil {
				continue
			}
			if waits := time.UnixMilli(*at).UTC(); state.Unnumbered.IsZero() || waits.Before(state.Unnumbered) {
				state.Unnumbered = waits
			}
		}
		return state, err
	}, selectFeedState)
}

func (t Tx) Feed(ctx context.Context, after int64, since time.Time, limit int) ([]watchword.FeedItem, error) {
	return queryRows(ctx, t, func(s rowScanner) (item watchword.FeedItem, err error) {
		return item, s.Scan(&item.Number, &item.Session, &item.User, timeColumn{&item.At}, &item.Why)
	}, selectFeed, after, toMillis(since), limit)
}

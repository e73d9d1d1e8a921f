package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// The one row of feed is the lock of whoever numbers: numbers come into sight in
// their order, for the next to number waits until the last has committed. No flow
// of a user takes it.
const (
	lockFeed    = `UPDATE feed SET last = last WHERE id = 1 RETURNING last`
	advanceFeed = `UPDATE feed SET last = $1 WHERE id = 1`

	numberSessions = `UPDATE sessions SET feed_number = CAST($1 AS BIGINT) + due.n
		FROM (SELECT id, row_number() OVER (ORDER BY ended_at, id) AS n
			FROM sessions WHERE ended_at > 0 AND feed_number = 0 ORDER BY ended_at, id LIMIT $2) AS due
		WHERE sessions.id = due.id AND sessions.feed_number = 0
		RETURNING feed_number`
	numberUsers = `UPDATE users SET feed_number = CAST($1 AS BIGINT) + due.n
		FROM (SELECT id, row_number() OVER (ORDER BY roles_changed_at, id) AS n
			FROM users WHERE roles_changed_at > 0 AND feed_number = 0 ORDER BY roles_changed_at, id LIMIT $2) AS due
		WHERE users.id = due.id AND users.feed_number = 0
		RETURNING feed_number`

	selectFeedState = `SELECT last,
			(SELECT ended_at FROM sessions WHERE ended_at > 0 AND feed_number = 0 ORDER BY ended_at LIMIT 1),
			(SELECT roles_changed_at FROM users WHERE roles_changed_at > 0 AND feed_number = 0 ORDER BY roles_changed_at LIMIT 1)
		FROM feed WHERE id = 1`
	selectFeed = `SELECT feed_number, id, '', ended_at, ended_why FROM sessions
			WHERE ended_at > 0 AND feed_number > $1 AND ended_at > $2
		UNION ALL
		SELECT feed_number, '', id, roles_changed_at, '' FROM users
			WHERE roles_changed_at > 0 AND feed_number > $1 AND roles_changed_at > $2
		ORDER BY 1 LIMIT $3`
)

func scanNumber(row scanner) (n int64, err error) {
	return n, row.Scan(&n)
}

func (t Tx) NumberFeed(ctx context.Context, above int64, limit int) (int, error) {
	last, err := row(ctx, t, scanNumber, lockFeed)
	if err != nil {
		return 0, fmt.Errorf("lock the feed: %w", err)
	}
	last = max(last, above)
	numbered := 0
	for _, text := range []string{numberSessions, numberUsers} {
		given, err := rows(ctx, t, scanNumber, text, last, limit)
		if err != nil {
			return 0, err
		}
		numbered += len(given)
		for _, number := range given { // a row that went meanwhile leaves a gap
			last = max(last, number)
		}
	}
	if numbered == 0 {
		return 0, nil
	}
	return numbered, t.must(ctx, advanceFeed, last)
}

func (t Tx) FeedState(ctx context.Context) (watchword.FeedState, error) {
	return row(ctx, t, func(s scanner) (state watchword.FeedState, err error) {
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
	return rows(ctx, t, func(s scanner) (item watchword.FeedItem, err error) {
		return item, s.Scan(&item.Number, &item.Session, &item.User, moment{&item.At}, &item.Why)
	}, selectFeed, after, ms(since), limit)
}

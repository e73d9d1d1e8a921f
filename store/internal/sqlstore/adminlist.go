package sqlstore

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// SQL statements for administrators, which list and count the accounts, events and mails of the whole server. Each
// list starts after a given row (cursor), so a deep page costs the same as the first. Each count stops at a limit.

// beforePosition selects the events before a time ($2) and an id ($3). The index contains only the time. The database
// therefore compares ids only among events with the same millisecond, which are few.
const beforePosition = `at >= $1 AND at <= $2 AND (at < $2 OR id < $3)`

var (
	selectEventsBefore = `SELECT ` + eventColumns + ` FROM events WHERE ` + beforePosition + `
		ORDER BY at DESC, id DESC LIMIT $4`
	selectUserEvents = `SELECT ` + eventColumns + ` FROM events WHERE ` + beforePosition + ` AND user_id = $4
		ORDER BY at DESC, id DESC LIMIT $5`
	// selectSystemEvents may read many events without an account, and skips those of other kinds. The number of
	// skipped events is limited, because the range is only a few days.
	selectSystemEvents = `SELECT ` + eventColumns + ` FROM events WHERE user_id = '' AND kind = $1
		AND at >= $2 AND at <= $3 ORDER BY at DESC, id DESC LIMIT $4`

	// selectMailsAfter and selectUserMails sort without an index. This is fast, because the outbox contains only
	// unsent mails.
	selectMailsAfter = `SELECT ` + mailColumns + ` FROM mails WHERE (created_at, id) > ($1, $2)
		ORDER BY created_at, id LIMIT $3`
	selectUserMails = `SELECT ` + mailColumns + ` FROM mails WHERE (created_at, id) > ($1, $2) AND user_id = $3
		ORDER BY created_at, id LIMIT $4`

	// countLive uses the same condition (isActive) as a refresh and the lists of sessions, so all three agree. It
	// reads the sessions that have not reached their absolute expiry, up to the limit $5.
	countLive = `SELECT COUNT(*) FROM (SELECT 1 FROM sessions WHERE ` + isActive(1) + ` LIMIT $5) AS counted`
)

const (
	// countUsers has the condition id > '', which is always true. With this condition, both databases read the
	// primary key in order and stop at the limit. Without it, PostgreSQL would read the table.
	countUsers = `SELECT COUNT(*) FROM (SELECT 1 FROM users WHERE id > '' LIMIT $1) AS counted`

	// countEvents groups events by kind and hour. The hour is at / 3600000, which both databases round down.
	countEvents = `SELECT kind, hour, SUM(times) FROM (SELECT kind, at / 3600000 AS hour, times FROM events
		WHERE at >= $1 ORDER BY at DESC LIMIT $2) AS newest GROUP BY kind, hour`
)

// EventsBefore reads events from the index by user or the index by time. It does not filter by kind or address,
// because a filter for a rare kind could read millions of events in one statement. The caller filters each batch and
// reads further batches.
func (t Tx) EventsBefore(
	ctx context.Context, user watchword.UserID, from time.Time, before admin.EventPosition, limit int,
) ([]watchword.Event, error) {
	if user == "" {
		return queryRows(ctx, t, scanEvent, selectEventsBefore, toMillis(from), toMillis(before.At), before.ID, limit)
	}
	return queryRows(ctx, t, scanEvent, selectUserEvents, toMillis(from), toMillis(before.At), before.ID, user, limit)
}

// SystemEvents lists events of one kind that belong to no account. Unlike EventsBefore, it filters by kind in the
// database, because the kind is rare. Most events without an account are failed sign-ins with unknown addresses, or
// waiting sign-ups.
func (t Tx) SystemEvents(
	ctx context.Context, kind watchword.EventKind, from, upTo time.Time, limit int,
) ([]watchword.Event, error) {
	return queryRows(ctx, t, scanEvent, selectSystemEvents, kind, toMillis(from), toMillis(upTo), limit)
}

// MailsAfter lists the mails that have not been sent. It sorts the whole outbox for each page, which is slow only if
// thousands of mails wait because sending fails. In that case, the first page is enough.
func (t Tx) MailsAfter(
	ctx context.Context, user watchword.UserID, after admin.EventPosition, limit int,
) ([]watchword.Mail, error) {
	if user == "" {
		return queryRows(ctx, t, scanMail, selectMailsAfter, toMillis(after.At), after.ID, limit)
	}
	return queryRows(ctx, t, scanMail, selectUserMails, toMillis(after.At), after.ID, user, limit)
}

// CountAccounts runs one statement for each count.
func (t Tx) CountAccounts(
	ctx context.Context, alive watchword.Cutoffs, limit int,
) (accounts, sessions int, err error) {
	if accounts, err = queryRow(ctx, t, scanInt, countUsers, limit); err != nil {
		return 0, 0, err
	}
	sessions, err = queryRow(ctx, t, scanInt, countLive, append(isActiveArgs(alive), limit)...)
	return accounts, sessions, err
}

func scanInt(s rowScanner) (n int, err error) { return n, s.Scan(&n) }

// CountEvents counts at most limit events, the newest ones, so a burst of events does not slow it down.
func (t Tx) CountEvents(ctx context.Context, since time.Time, limit int) ([]admin.KindCount, error) {
	return queryRows(ctx, t, func(s rowScanner) (k admin.KindCount, err error) {
		return k, s.Scan(&k.Kind, &k.Hour, &k.Times)
	}, countEvents, toMillis(since), limit)
}

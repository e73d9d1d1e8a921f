package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// Each statement deletes one batch of at most $2 rows. It holds its locks for only a few milliseconds, so requests
// can run between batches. PostgreSQL has no DELETE … LIMIT, so a sub-select chooses the rows. If two processes sweep
// at the same time and choose the same rows, each row is deleted once.
const (
	sweepSessions = `DELETE FROM sessions WHERE id IN (SELECT id FROM sessions
		WHERE (ended_at > 0 AND ended_at < $1) OR expires_at < $1 LIMIT $2)`
	sweepMailTokens = `DELETE FROM mail_tokens WHERE hash IN (SELECT hash FROM mail_tokens
		WHERE expires_at < $1 LIMIT $2)`
	sweepEvents = `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < $1 LIMIT $2)`
	sweepMails  = `DELETE FROM mails WHERE id IN (SELECT id FROM mails
		WHERE given_up_at > 0 AND given_up_at < $1 LIMIT $2)`
	sweepSignups = `DELETE FROM signups WHERE (email, slot) IN (SELECT email, slot FROM signups
		WHERE created_at < $1 LIMIT $2)`
	sweepCallbacks = `DELETE FROM callbacks WHERE (kind, id) IN (SELECT kind, id FROM callbacks
		WHERE created_at < $1 LIMIT $2)`
	// An expired challenge or device is already invalid, so the sweep only frees its space.
	sweepChallenges = `DELETE FROM challenges WHERE id IN (SELECT id FROM challenges
		WHERE expires_at < $1 LIMIT $2)`
	sweepDevices = `DELETE FROM devices WHERE id IN (SELECT id FROM devices WHERE expires_at < $1 LIMIT $2)`
)

// SweepLimits reads counters of rate limits in the order of (sweep_from, key), and deletes those that have expired.
// It also reads some that are still in use, because a request does not change sweep_from. Each batch reads a fixed
// number of counters, so its cost does not depend on how many have expired.
const (
	// selectLimitMark returns the last counter of the batch, at offset $4.
	selectLimitMark = `SELECT sweep_from, key FROM limits WHERE sweep_from < $1 AND (sweep_from, key) > ($2, $3)
		ORDER BY sweep_from, key LIMIT 1 OFFSET $4`
	// sweepLimits checks tat in the DELETE itself, so it keeps a counter that was used again in the meantime.
	sweepLimits = `DELETE FROM limits
		WHERE (sweep_from, key) > ($1, $2) AND (sweep_from, key) <= ($3, $4) AND tat < $5`
)

// SweepLimits reads a batch of counters after the given mark, and deletes those that have expired. It returns the
// mark of the last counter that it read. At the end of the counters, it returns the zero mark, so the next sweep
// starts from the beginning.
func (t Tx) SweepLimits(
	ctx context.Context, mark watchword.LimitMark, before time.Time, limit int,
) (watchword.LimitMark, int, error) {
	now := before.UnixNano()
	next, err := queryRow(ctx, t, func(s rowScanner) (m watchword.LimitMark, err error) {
		return m, s.Scan(&m.SweepFrom, &m.Key)
	}, selectLimitMark, now, mark.SweepFrom, mark.Key, limit-1)
	last := next
	if errors.Is(err, watchword.ErrNotFound) {
		last, err = watchword.LimitMark{SweepFrom: now}, nil
	}
	if err != nil {
		return watchword.LimitMark{}, 0, err
	}
	n, err := t.exec(ctx, sweepLimits, mark.SweepFrom, mark.Key, last.SweepFrom, last.Key, now)
	return next, n, err
}

// Sweep deletes one batch of expired rows, and returns their number. If the number is less than limit, all of them
// are deleted.
func (t Tx) Sweep(ctx context.Context, what watchword.Sweep, before time.Time, limit int) (int, error) {
	switch what {
	case watchword.SweepSessions:
		return t.exec(ctx, sweepSessions, toMillis(before), limit)
	case watchword.SweepMailTokens:
		return t.exec(ctx, sweepMailTokens, toMillis(before), limit)
	case watchword.SweepEvents:
		return t.exec(ctx, sweepEvents, toMillis(before), limit)
	case watchword.SweepMails:
		return t.exec(ctx, sweepMails, toMillis(before), limit)
	case watchword.SweepSignups:
		return t.exec(ctx, sweepSignups, toMillis(before), limit)
	case watchword.SweepCallbacks:
		return t.exec(ctx, sweepCallbacks, toMillis(before), limit)
	case watchword.SweepChallenges:
		return t.exec(ctx, sweepChallenges, toMillis(before), limit)
	case watchword.SweepDevices:
		return t.exec(ctx, sweepDevices, toMillis(before), limit)
	case watchword.SweepServiceKeys:
		return t.exec(ctx, sweepServiceKeys, toMillis(before), limit)
	case watchword.SweepIdempotency:
		return t.exec(ctx, sweepRecords, toMillis(before), limit)
	}
	return 0, fmt.Errorf("unknown sweep %q", what)
}

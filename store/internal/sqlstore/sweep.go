package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

const (
	sweepSessions = `DELETE FROM sessions WHERE id IN (SELECT id FROM sessions
		WHERE (ended_at > 0 AND ended_at < $1) OR expires_at < $1 LIMIT $2)`
	sweepMailTokens = `DELETE FROM mail_tokens WHERE hash IN (SELECT hash FROM mail_tokens WHERE expires_at < $1 LIMIT $2)`
	sweepEvents     = `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < $1 LIMIT $2)`
	sweepMails      = `DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE given_up_at > 0 AND given_up_at < $1 LIMIT $2)`
	sweepSignups    = `DELETE FROM signups WHERE (email, slot) IN (SELECT email, slot FROM signups WHERE created_at < $1 LIMIT $2)`
)

// A counter that is in use stays where it is in the order, because a use changes no
// index: a sweep passes many of them by. So each batch covers a range of the order,
// and costs the same however few counters of it have run out.
const (
	selectLimitMark = `SELECT sweep_from, key FROM limits WHERE sweep_from < $1 AND (sweep_from, key) > ($2, $3)
		ORDER BY sweep_from, key LIMIT 1 OFFSET $4`
	sweepLimits = `DELETE FROM limits WHERE (sweep_from, key) > ($1, $2) AND (sweep_from, key) <= ($3, $4) AND tat < $5`
)

func (t Tx) SweepLimits(ctx context.Context, after watchword.LimitMark, before time.Time, limit int) (watchword.LimitMark, int, error) {
	now := before.UnixNano()
	next, err := row(ctx, t, func(s scanner) (m watchword.LimitMark, err error) {
		return m, s.Scan(&m.SweepFrom, &m.Key)
	}, selectLimitMark, now, after.SweepFrom, after.Key, limit-1)
	last := next
	if errors.Is(err, watchword.ErrNotFound) {
		last, err = watchword.LimitMark{SweepFrom: now}, nil
	}
	if err != nil {
		return watchword.LimitMark{}, 0, err
	}
	n, err := t.exec(ctx, sweepLimits, after.SweepFrom, after.Key, last.SweepFrom, last.Key, now)
	return next, n, err
}

func (t Tx) Sweep(ctx context.Context, what watchword.Sweep, before time.Time, limit int) (int, error) {
	switch what {
	case watchword.SweepSessions:
		return t.exec(ctx, sweepSessions, ms(before), limit)
	case watchword.SweepMailTokens:
		return t.exec(ctx, sweepMailTokens, ms(before), limit)
	case watchword.SweepEvents:
		return t.exec(ctx, sweepEvents, ms(before), limit)
	case watchword.SweepMails:
		return t.exec(ctx, sweepMails, ms(before), limit)
	case watchword.SweepSignups:
		return t.exec(ctx, sweepSignups, ms(before), limit)
	}
	return 0, fmt.Errorf("nothing is called %q", what)
}

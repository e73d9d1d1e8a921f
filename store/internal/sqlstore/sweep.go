package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

const (
	sweepSessions = `DELETE FROM sessions WHERE id IN (SELECT id FROM sessions
		WHERE (ended_at > 0 AND ended_at < $1) OR expires_at < $1 LIMIT $2)`
	sweepMailTokens = `DELETE FROM mail_tokens WHERE hash IN (SELECT hash FROM mail_tokens WHERE expires_at < $1 LIMIT $2)`
	sweepEvents     = `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < $1 LIMIT $2)`
	sweepLimits     = `DELETE FROM limits WHERE key IN (SELECT key FROM limits WHERE sweep_from < $1 AND tat < $1 LIMIT $2)`
	sweepMails      = `DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE given_up_at > 0 AND given_up_at < $1 LIMIT $2)`
	sweepSignups    = `DELETE FROM signups WHERE (email, slot) IN (SELECT email, slot FROM signups WHERE created_at < $1 LIMIT $2)`
)

func (t Tx) Sweep(ctx context.Context, what watchword.Sweep, before time.Time, limit int) (int, error) {
	switch what {
	case watchword.SweepSessions:
		return t.exec(ctx, sweepSessions, ms(before), limit)
	case watchword.SweepMailTokens:
		return t.exec(ctx, sweepMailTokens, ms(before), limit)
	case watchword.SweepEvents:
		return t.exec(ctx, sweepEvents, ms(before), limit)
	case watchword.SweepLimits:
		return t.exec(ctx, sweepLimits, before.UnixNano(), limit)
	case watchword.SweepMails:
		return t.exec(ctx, sweepMails, ms(before), limit)
	case watchword.SweepSignups:
		return t.exec(ctx, sweepSignups, ms(before), limit)
	}
	return 0, fmt.Errorf("nothing is called %q", what)
}

package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/storable"
)

// A Question asks why an account was signed out.
type Question struct {
	Account  string              // address or id; a deleted account is found only by id
	At       time.Time           // when the user noticed; zero: now
	Session  watchword.SessionID // the session to explain; empty: the session that ended last
	Language string              // of the answer: "de", else English
}

// Maximum numbers of rows that Explain reads, newest first. Only an account under attack has more rows. For such an
// account, readEvents also reads older events that happened when a session ended.
const (
	explainedSessions = 500
	explainedEvents   = 500
	systemEvents      = 200
)

// Explain reads one consistent state of the store, without the caches of a server. A command
// therefore returns the same answer as a running server.
func (m *Manager) Explain(ctx context.Context, q Question) (Explanation, error) {
	c := m.newCase()
	c.Asked, c.At, c.Session, c.Language = q.Account, q.At, q.Session, q.Language
	id, err := m.findAccount(ctx, &c)
	if err != nil || id == "" {
		return Explain(c), err
	}
	err = m.store.View(ctx, func(tx Tx) error {
		if c.Sessions, err = tx.SessionsOf(ctx, id, explainedSessions); err != nil {
			return err
		}
		if c.Events, err = readEvents(ctx, tx, id, c.Sessions); err != nil {
			return err
		}
		c.System, err = c.readSystemEvents(ctx, tx)
		return err
	})
	return Explain(c), err
}

func (m *Manager) newCase() Case {
	now := m.engine.Now()
	cutoffs := m.engine.Cutoffs(now)
	return Case{Now: now, Policy: watchword.SessionPolicy{
		Idle: now.Sub(cutoffs.Rotated), ShortIdle: now.Sub(cutoffs.RotatedShort), Max: now.Sub(cutoffs.Created),
	}}
}

// readEvents returns the newest events of an account. It adds older events from the moments when sessions ended,
// because a flood of failed sign-ins could otherwise hide why a session ended.
func readEvents(
	ctx context.Context, tx Tx, id watchword.UserID, sessions []watchword.Session,
) ([]watchword.Event, error) {
	events, err := tx.Events(ctx, id, explainedEvents)
	if err != nil || len(events) < explainedEvents {
		return events, err
	}
	oldest := events[len(events)-1]
	var ends []time.Time
	for _, s := range sessions {
		if !s.EndedAt.IsZero() && !s.EndedAt.After(oldest.At) {
			ends = append(ends, s.EndedAt)
		}
	}
	slices.SortFunc(ends, func(a, b time.Time) int { return b.Compare(a) })
	for _, at := range slices.Compact(ends) {
		before := EventPosition{At: at.Add(time.Millisecond)} // the store rounds times to milliseconds
		if at.Equal(oldest.At) {
			before = EventPosition{oldest.At, oldest.ID}
		}
		found, err := tx.EventsBefore(ctx, id, at, before, explainedEvents)
		if err != nil {
			return nil, err
		}
		events = append(events, found...)
	}
	return events, nil
}

// readSystemEvents returns the last restore before the question, and the events that ended all sessions of all
// accounts at about the same time.
func (c Case) readSystemEvents(ctx context.Context, tx Tx) ([]watchword.Event, error) {
	at := cmp.Or(c.At, c.Now)
	events, err := tx.SystemEvents(ctx, watchword.EventRestoreDetected,
		at.Add(-restorePeriod), at.Add(roundingTolerance), 1)
	if err != nil {
		return nil, err
	}
	var first, last time.Time
	for _, s := range c.Sessions {
		if s.EndedWhy != watchword.EndedOperator {
			continue
		}
		if first.IsZero() || s.EndedAt.Before(first) {
			first = s.EndedAt
		}
		if s.EndedAt.After(last) {
			last = s.EndedAt
		}
	}
	if first.IsZero() {
		return events, nil
	}
	ends, err := tx.SystemEvents(ctx, watchword.EventLogoutAll, first, last.Add(endAllDuration), systemEvents)
	return append(events, ends...), err
}

// findAccount returns "" for an address without an account. Every address contains an @, and ids never do.
func (m *Manager) findAccount(ctx context.Context, c *Case) (watchword.UserID, error) {
	operator := m.auth.Operator()
	if !strings.Contains(c.Asked, "@") {
		if !storable.ID(c.Asked) {
			return "", nil
		}
		user, err := operator.FindUserByID(ctx, watchword.UserID(c.Asked))
		if watchword.CodeOf(err) == watchword.CodeNotFound {
			return watchword.UserID(c.Asked), nil
		}
		c.User, c.Asked = &user, cmp.Or(string(user.Email), c.Asked)
		return user.ID, err
	}
	user, err := operator.FindUser(ctx, c.Asked)
	var refused *watchword.Error
	if errors.As(err, &refused) {
		return "", nil // no such account, or not an address
	}
	c.User = &user
	return user.ID, err
}

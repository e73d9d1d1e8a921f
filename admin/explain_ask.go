package admin

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/storable"
)

// A Question asks why an account was signed out.
type Question struct {
	Account  string              // its address, or its id. A deleted account has only its id
	At       time.Time           // when the user noticed; zero: now
	Session  watchword.SessionID // the session to explain; empty: the one that ended last
	Language string              // of the answer: "de", else English
}

// The rows that an explanation reads. An account has more only under an attack; the newest decide.
const (
	explainedSessions = 500
	explainedEvents   = 500
	systemEvents      = 200
)

// Explain answers from one consistent state of the store, without the caches of a server: a command
// beside a running server gives the same answer.
func (m *Manager) Explain(ctx context.Context, q Question) (Explanation, error) {
	now := m.engine.Now()
	cutoffs := m.engine.Cutoffs(now)
	c := Case{
		Asked: q.Account, Now: now, At: q.At, Session: q.Session, Language: q.Language,
		Policy: watchword.SessionPolicy{
			Idle: now.Sub(cutoffs.Rotated), ShortIdle: now.Sub(cutoffs.RotatedShort), Max: now.Sub(cutoffs.Created),
		},
	}
	id, err := m.accountOf(ctx, &c)
	if err != nil || id == "" {
		return Explain(c), err
	}
	err = m.store.View(ctx, func(tx Tx) error {
		if c.Sessions, err = tx.SessionsOf(ctx, id, explainedSessions); err != nil {
			return err
		}
		if c.Events, err = tx.Events(ctx, id, explainedEvents); err != nil {
			return err
		}
		c.System, err = tx.Events(ctx, "", systemEvents)
		return err
	})
	return Explain(c), err
}

// accountOf finds the account of a question and returns its id, or "" for an address without an
// account. An address always has an @, and an id never.
func (m *Manager) accountOf(ctx context.Context, c *Case) (watchword.UserID, error) {
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
		return "", nil // no account, or no address
	}
	c.User = &user
	return user.ID, err
}

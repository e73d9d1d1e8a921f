package admin

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
)

// The overview of a server: the problems that an administrator must solve, the most urgent first. The
// rules are one pure function, so each rule has a row in a table test.

// A ProblemKind names a problem.
type ProblemKind string

const (
	// ProblemStore: the database accepts no writes, so that sign-ins fail.
	ProblemStore ProblemKind = "store"
	// ProblemKeys: a KeyUse has no active key, so that tokens can't be issued.
	ProblemKeys ProblemKind = "keys"
	// ProblemRestore: the database was restored to an earlier state, and no operator has ended all sessions after
	// that.
	ProblemRestore ProblemKind = "restore"
	// ProblemFeed: ended sessions have waited for more than a minute for their number in the feed.
	ProblemFeed ProblemKind = "feed"
	// ProblemMailLate: a mail has waited for more than 10 minutes.
	ProblemMailLate ProblemKind = "mail-late"
	// ProblemMailGivenUp: mails were abandoned after their last attempt.
	ProblemMailGivenUp ProblemKind = "mail-given-up"
	// ProblemFactor: administrators have no second factor.
	ProblemFactor ProblemKind = "factor"
	// ProblemOneAdmin: only one enabled account can administrate.
	ProblemOneAdmin ProblemKind = "one-admin"
)

const (
	// mailLateAfter is longer than a deployment or a restart of a mail server takes. `watchword doctor` uses the same
	// limit.
	mailLateAfter = 10 * time.Minute
	// feedLateAfter is several times longer than the server needs to number an ended session for the feed.
	feedLateAfter = time.Minute
)

// A Problem needs the attention of an administrator.
type Problem struct {
	Kind  ProblemKind
	Count int       // of mails or accounts; 0 for other kinds
	Since time.Time // zero: unknown
}

// A Situation is the input of FindProblems.
type Situation struct {
	Stats    watchword.Stats
	Restored time.Time // the last restore that was detected and not followed by EndEverySession, or zero
	Admins   []Account // with the role admin, enabled or not
	Now      time.Time
}

// An Overview is the state of a server at one moment.
type Overview struct {
	Problems []Problem
	Admins   int // enabled accounts with the role admin
	Mails    int // that wait
	Stats    watchword.Stats
}

// Overview reads the state of the server. It checks that the store accepts writes.
func (m *Manager) Overview(ctx context.Context) (Overview, error) {
	stats, err := m.auth.Stats(ctx)
	if err != nil {
		return Overview{}, err
	}
	s := Situation{Stats: stats, Now: m.engine.Now()}
	noticed, settled, err := m.auth.Operator().LastRestore(ctx)
	if err != nil {
		return Overview{}, err
	}
	if settled.IsZero() {
		s.Restored = noticed
	}
	err = m.store.View(ctx, func(tx Tx) error {
		last, _, err := tx.LastWithRole(ctx, watchword.RoleAdmin, "", MaxLimit)
		if err == nil {
			s.Admins, err = tx.AccountsWithRole(ctx, "", last, Filter{Role: watchword.RoleAdmin}, MaxLimit)
		}
		return err
	})
	return Overview{
		Problems: FindProblems(s), Admins: len(s.enabledAdmins()), Mails: stats.MailWaiting, Stats: stats,
	}, err
}

func (s Situation) enabledAdmins() (all []Account) {
	for _, a := range s.Admins {
		if !a.Disabled() {
			all = append(all, a)
		}
	}
	return all
}

// FindProblems returns the problems of a situation, the most urgent first. The kinds that are more urgent than
// ProblemMailLate affect all users.
func FindProblems(s Situation) (all []Problem) {
	add := func(found bool, p Problem) {
		if found {
			all = append(all, p)
		}
	}
	add(s.Stats.Store != nil, Problem{Kind: ProblemStore})
	active := map[watchword.KeyUse]bool{}
	for _, key := range s.Stats.Keys {
		active[key.Use] = active[key.Use] || key.State == "active"
	}
	for _, key := range s.Stats.Keys {
		if !active[key.Use] {
			add(true, Problem{Kind: ProblemKeys})
			break
		}
	}
	add(!s.Restored.IsZero(), Problem{Kind: ProblemRestore, Since: s.Restored})
	since := func(t time.Time, late time.Duration) bool { return !t.IsZero() && s.Now.Sub(t) > late }
	add(since(s.Stats.Feed.Unnumbered, feedLateAfter), Problem{Kind: ProblemFeed, Since: s.Stats.Feed.Unnumbered})
	add(since(s.Stats.MailOldest, mailLateAfter),
		Problem{Kind: ProblemMailLate, Count: s.Stats.MailWaiting, Since: s.Stats.MailOldest})
	add(s.Stats.MailGivenUp > 0, Problem{Kind: ProblemMailGivenUp, Count: s.Stats.MailGivenUp})
	admins, bare := s.enabledAdmins(), 0
	for _, a := range admins {
		if len(a.Kinds()) == 0 {
			bare++
		}
	}
	add(bare > 0, Problem{Kind: ProblemFactor, Count: bare})
	add(len(admins) == 1, Problem{Kind: ProblemOneAdmin})
	return all
}

package admin

import (
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
)

// An ending is when and why one session ended, or will end if it is not used.
type ending struct {
	session  watchword.Session
	at       time.Time
	why      Reason // empty: alive
	computed bool   // not recorded

	// recorded is the reason in the row, if the session had already expired when this reason was recorded. Otherwise
	// it is empty.
	recorded Reason
}

// endOf returns when and why a session ended. A live session has no reason, and the time of its computed end. The
// engine's Session.EndedBy is not enough, because it does not return the time.
func (c Case) endOf(s watchword.Session) ending {
	byItself := c.computedEnd(s)
	if s.EndedAt.IsZero() {
		switch {
		case c.User == nil:
			// The account was deleted, and its deletion ended all sessions. This row has no end, because a sign-in
			// committed it at the same time as the deletion. The tokens of this session are not accepted.
			return ending{session: s, at: s.RotatedAt, why: watchword.EndedDeleted, computed: true}
		case c.User.Disabled() && c.User.DisabledAt.Before(byItself.at):
			return ending{session: s, at: c.User.DisabledAt, why: watchword.EndedDisabled}
		case byItself.at.After(c.Now):
			byItself.why = ""
		}
		return byItself
	}
	// A reuse is recorded only for a live session. If it was recorded after the computed end, the session was still
	// alive, because the timeouts were longer at that time.
	if byItself.at.Before(s.EndedAt) && s.EndedWhy != watchword.EndedReuse {
		byItself.recorded = s.EndedWhy
		return byItself
	}
	return ending{session: s, at: s.EndedAt, why: s.EndedWhy}
}

// computedEnd returns when a session ends by a time limit, with the current settings: the idle timeout or the maximum
// lifetime, whichever is earlier.
func (c Case) computedEnd(s watchword.Session) ending {
	end := ending{session: s, at: s.RotatedAt.Add(c.idle(s)), why: watchword.EndedIdle, computed: true}
	for _, limit := range []time.Time{s.ExpiresAt, s.CreatedAt.Add(c.Policy.Max)} {
		if limit.Before(end.at) {
			end.at, end.why = limit, watchword.EndedExpired
		}
	}
	return end
}

// idle is how long a session may be unused.
func (c Case) idle(s watchword.Session) time.Duration {
	if s.Persistent {
		return c.Policy.Idle
	}
	return c.Policy.ShortIdle
}

// causes has the kinds of events that can end a session, by reason. The event has the same time as the end, because a
// flow reads the clock once.
var causes = map[Reason][]watchword.EventKind{
	watchword.EndedLogout:     {watchword.EventLogout},
	watchword.EndedByUser:     {watchword.EventSessionEnded},
	watchword.EndedLogoutAll:  {watchword.EventLogoutAll},
	watchword.EndedReuse:      {watchword.EventRefreshReused},
	watchword.EndedPassword:   {watchword.EventPasswordChanged, watchword.EventPasswordReset},
	watchword.EndedEmail:      {watchword.EventEmailUndone},
	watchword.EndedFirstProof: {watchword.EventPasswordReset, watchword.EventEmailVerified, watchword.EventSignup},
	watchword.EndedOperator:   {watchword.EventSessionEnded, watchword.EventLogoutAll},
	watchword.EndedDisabled:   {watchword.EventDisabled},
	watchword.EndedDeleted:    {watchword.EventDeleted},
	watchword.EndedTooMany:    {watchword.EventSessionEnded},
	watchword.EndedReplaced:   {watchword.EventSessionEnded},
	watchword.EndedFactor:     {watchword.EventFactorAdded},
	watchword.EndedFactorGone: {watchword.EventFactorRemoved},
	watchword.EndedFactors:    {watchword.EventFactorsReset},
}

// causeOf returns the event that ended a session: an event at the time of the end. If there are several such events,
// it prefers an event of this session.
func (c Case) causeOf(e ending) (watchword.Event, bool) {
	kinds := causes[e.why]
	if e.computed {
		return watchword.Event{}, false
	}
	same := matching(c.Events, func(one watchword.Event) bool {
		return one.At.Equal(e.at) && slices.Contains(kinds, one.Kind)
	})
	if own, ok := first(same, func(one watchword.Event) bool { return one.SessionID == e.session.ID }); ok {
		return own, true
	}
	// An EventSessionEnded is about one session only, so the event of another session is not the cause.
	single := func(one watchword.Event) bool { return one.Kind != watchword.EventSessionEnded }
	if shared, ok := first(same, single); ok {
		return shared, true
	}
	return c.endOfAll(e)
}

// endBatches is how long it may take to end every session of every account.
const endBatches = 10 * time.Minute

// endOfAll returns the event of an operator who ended every session of every account, if it can have ended this
// session. The event is recorded after the last batch, so it is later than the end of the session.
func (c Case) endOfAll(e ending) (watchword.Event, bool) {
	if e.why != watchword.EndedOperator {
		return watchword.Event{}, false
	}
	all := matching(c.System, func(one watchword.Event) bool {
		after := one.At.Sub(e.at)
		return one.Kind == watchword.EventLogoutAll && after >= 0 && after <= endBatches
	})
	if len(all) == 0 {
		return watchword.Event{}, false
	}
	return all[len(all)-1], true // the earliest event after the end; the newest is first in the list
}

// evidence returns the events that an operator would look up: the cause, the events of the
// session, and the events at the same moment.
func (c Case) evidence(e ending) (list []watchword.Event) {
	if cause, ok := c.causeOf(e); ok {
		list = append(list, cause)
	}
	list = append(list, matching(c.Events, func(one watchword.Event) bool {
		return one.SessionID == e.session.ID || !e.computed && one.At.Equal(e.at)
	})...)
	return newestFirst(list)
}

// laterEvents returns the last sign-in and the events after it, at most maxEvidence.
func (c Case) laterEvents() (list []watchword.Event) {
	for _, e := range c.Events {
		list = append(list, e)
		if signsIn(e) || len(list) == maxEvidence {
			break
		}
	}
	return list
}

// signsIn reports whether an event opened a session. The sign-up of an imported account, or of one that
// an operator created, opened no session.
func signsIn(e watchword.Event) bool {
	return e.SessionID != "" && (e.Kind == watchword.EventLogin || e.Kind == watchword.EventSignup)
}

func (c Case) eventsOf(id watchword.SessionID) []watchword.Event {
	return matching(c.Events, func(one watchword.Event) bool { return one.SessionID == id })
}

// newestFirst sorts events, removes duplicates, and keeps the first maxEvidence.
func newestFirst(list []watchword.Event) []watchword.Event {
	slices.SortStableFunc(list, func(a, b watchword.Event) int { return b.At.Compare(a.At) })
	seen := map[string]bool{}
	list = slices.DeleteFunc(list, func(e watchword.Event) bool {
		again := seen[e.ID]
		seen[e.ID] = true
		return again
	})
	return list[:min(len(list), maxEvidence)]
}

func matching(list []watchword.Event, ok func(watchword.Event) bool) (found []watchword.Event) {
	for _, e := range list {
		if ok(e) {
			found = append(found, e)
		}
	}
	return found
}

func first(list []watchword.Event, ok func(watchword.Event) bool) (watchword.Event, bool) {
	i := slices.IndexFunc(list, ok)
	if i < 0 {
		return watchword.Event{}, false
	}
	return list[i], true
}

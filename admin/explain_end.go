package admin

import (
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
)

// A sessionEnd is when and why one session ended, or will end if it is not used.
type sessionEnd struct {
	session    watchword.Session
	at         time.Time
	reason     Reason // empty: alive
	isComputed bool

	// recordedReason is the reason in the store, if the session had already expired when the reason was stored.
	// Otherwise it is empty.
	recordedReason Reason
}

// endOfSession returns when and why a session ended. For a live session, it returns the time when the session will
// expire, and no reason. Session.EndedBy is not enough, because it does not return the time.
func (c Case) endOfSession(s watchword.Session) sessionEnd {
	byItself := c.computeEnd(s)
	if s.EndedAt.IsZero() {
		switch {
		case c.User == nil:
			// The account was deleted. A concurrent sign-in committed this session after the deletion had ended all
			// others, so the row has no end. The tokens of this session are not accepted.
			return sessionEnd{session: s, at: s.LastUsed(), reason: watchword.EndedDeleted, isComputed: true}
		case c.User.Disabled() && c.User.DisabledAt.Before(byItself.at):
			return sessionEnd{session: s, at: c.User.DisabledAt, reason: watchword.EndedDisabled}
		case byItself.at.After(c.Now):
			byItself.reason = ""
		}
		return byItself
	}
	// The stored end counts if it is earlier than the computed end. The end by a reused token always counts, because
	// it is stored only for a live session. If it is later than the computed end, the timeouts were longer then.
	if byItself.at.Before(s.EndedAt) && s.EndedWhy != watchword.EndedReuse {
		byItself.recordedReason = s.EndedWhy
		return byItself
	}
	return sessionEnd{session: s, at: s.EndedAt, reason: s.EndedWhy}
}

// computeEnd applies the current idle timeout or maximum lifetime, whichever ends the session earlier.
func (c Case) computeEnd(s watchword.Session) sessionEnd {
	end := sessionEnd{session: s, at: s.LastUsed().Add(c.idleTimeout(s)), reason: watchword.EndedIdle, isComputed: true}
	for _, limit := range []time.Time{s.ExpiresAt, s.CreatedAt.Add(c.Policy.Max)} {
		if limit.Before(end.at) {
			end.at, end.reason = limit, watchword.EndedExpired
		}
	}
	return end
}

func (c Case) idleTimeout(s watchword.Session) time.Duration {
	if s.Persistent {
		return c.Policy.Idle
	}
	return c.Policy.ShortIdle
}

// causesByReason has the kinds of events that can end a session. The event has the same time as the end, because a
// flow reads the clock once.
var causesByReason = map[Reason][]watchword.EventKind{
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

// findCause returns an event at the time of the end. If there are several such events, it prefers an event of this
// session.
func (c Case) findCause(e sessionEnd) (watchword.Event, bool) {
	kinds := causesByReason[e.reason]
	if e.isComputed {
		return watchword.Event{}, false
	}
	same := matching(c.Events, func(one watchword.Event) bool {
		return one.At.Equal(e.at) && slices.Contains(kinds, one.Kind)
	})
	if own, ok := first(same, func(one watchword.Event) bool { return one.SessionID == e.session.ID }); ok {
		return own, true
	}
	// An EventSessionEnded concerns only its own session, so it can't have caused the end of a different session.
	single := func(one watchword.Event) bool { return one.Kind != watchword.EventSessionEnded }
	if shared, ok := first(same, single); ok {
		return shared, true
	}
	return c.findEndAllEvent(e)
}

// endAllDuration is how long it may take to end every session of every account.
const endAllDuration = 10 * time.Minute

// findEndAllEvent finds an operator's request to end every session of every account. The event is recorded after the
// last batch, so it is later than the end of the session.
func (c Case) findEndAllEvent(e sessionEnd) (watchword.Event, bool) {
	if e.reason != watchword.EndedOperator {
		return watchword.Event{}, false
	}
	all := matching(c.System, func(one watchword.Event) bool {
		after := one.At.Sub(e.at)
		return one.Kind == watchword.EventLogoutAll && after >= 0 && after <= endAllDuration
	})
	if len(all) == 0 {
		return watchword.Event{}, false
	}
	return all[len(all)-1], true // the earliest event after the end; the newest is first in the list
}

// collectEvidence returns the events that an operator would look up: the cause, the events of the session, and the
// events at the same moment.
func (c Case) collectEvidence(e sessionEnd) (list []watchword.Event) {
	if cause, ok := c.findCause(e); ok {
		list = append(list, cause)
	}
	list = append(list, matching(c.Events, func(one watchword.Event) bool {
		return one.SessionID == e.session.ID || !e.isComputed && one.At.Equal(e.at)
	})...)
	return newestEvidence(list)
}

// eventsSinceSignIn returns the last sign-in and the events after it, at most maxEvidence.
func (c Case) eventsSinceSignIn() (list []watchword.Event) {
	for _, e := range c.Events {
		list = append(list, e)
		if opensSession(e) || len(list) == maxEvidence {
			break
		}
	}
	return list
}

// opensSession is false for the sign-up of an imported account, or of one that an operator created.
func opensSession(e watchword.Event) bool {
	return e.SessionID != "" && (e.Kind == watchword.EventLogin || e.Kind == watchword.EventSignup)
}

func (c Case) eventsOf(id watchword.SessionID) []watchword.Event {
	return matching(c.Events, func(one watchword.Event) bool { return one.SessionID == id })
}

// newestEvidence removes duplicates and keeps the newest maxEvidence.
func newestEvidence(list []watchword.Event) []watchword.Event {
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

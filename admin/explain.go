package admin

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
)

// The reasons why a user was signed out. The function Explain computes them from a Case only. It is a pure function,
// so each answer has a row in a table test.
//
// If a session ends by a time limit, the end is not recorded. It is computed from the last use and the current
// settings. If the computed end is before the recorded end, the computed end is right. For example, a change of
// password also ends sessions that have been idle for days.

// A Case has the data of one account in the store, and the settings.
type Case struct {
	Asked    string              // the address or the id in the question
	User     *watchword.User     // nil: there is no such account now
	Sessions []watchword.Session // all sessions of the account, including ended sessions
	Events   []watchword.Event   // events of the account, newest first
	System   []watchword.Event   // restores and ends of all sessions, newest first for each kind; no account

	Policy watchword.SessionPolicy

	Now time.Time
	At  time.Time // when the user noticed; zero: now

	Session watchword.SessionID // the session to explain; empty or unknown: the session that ended last

	Language string // of the sentences: "de", else English
}

// A Reason is an EndReason or one of the following constants. The constants are for answers that are not about the
// end of a session.
type Reason = watchword.EndReason

const (
	ReasonSignedIn  Reason = "signed_in"     // the session is alive
	ReasonRoles     Reason = "roles_changed" // the session is alive, but its access tokens were outdated
	ReasonNoSession Reason = "no_session"    // no session in the last 7 days
	ReasonNotYet    Reason = "not_yet"       // every session began after the time in the question
	ReasonNoAccount Reason = "no_account"    // no account and no trace of one
)

// An Explanation says why a session ended. Every text is in the language of the Case.
type Explanation struct {
	Sentence  string
	When      time.Time // when the session ended; zero: it has not ended
	Reason    Reason
	Certainty string // begins with Certain, Computed, Likely or Unknown
	Evidence  []watchword.Event

	Notes   []string           // more hints: a later sign-in, wrong passwords, advice for the user
	Session *watchword.Session // nil: the explanation concerns no single session
	Others  []Explanation      // of the other sessions, latest end first, without evidence
}

const (
	// roundingTolerance is for users who round the time in their question. A session that ended up to this much later
	// can still be the answer.
	roundingTolerance = 15 * time.Minute

	// roleChangePeriod is how long a change of roles counts as a likely reason.
	roleChangePeriod = time.Hour

	// restorePeriod is how long after a restore of a backup the restore counts as a likely reason.
	restorePeriod = 7 * 24 * time.Hour

	// tolerableSkew is how far a clock may be ahead before the answer mentions it.
	tolerableSkew = time.Minute

	maxEvidence = 20
)

// Explain explains why the session Case.Session ended. If this session is not set or has not ended, it explains the
// latest end up to Case.At. If there is no such end, it explains the state of the account.
func Explain(c Case) Explanation {
	if c.At.IsZero() {
		c.At = c.Now
	}
	w := phrasesIn(c.Language)
	var ended, alive []sessionEnd
	for _, s := range c.Sessions {
		switch e := c.endOfSession(s); {
		case e.reason == "":
			alive = append(alive, e)
		default:
			ended = append(ended, e)
		}
	}
	slices.SortStableFunc(ended, c.compareEnds)
	slices.SortStableFunc(alive, func(a, b sessionEnd) int { return b.session.LastUsed().Compare(a.session.LastUsed()) })
	i := slices.IndexFunc(ended, func(e sessionEnd) bool { return c.Session != "" && e.session.ID == c.Session })
	if i < 0 {
		i = slices.IndexFunc(ended, c.couldBeNoticed)
	}
	if i < 0 {
		return c.explainWithoutEnd(w, alive, ended)
	}
	main := ended[i]
	x := c.explainEnd(w, main)
	x.Evidence = c.collectEvidence(main)
	x.Notes = append(x.Notes, c.laterChangeNotes(w, main, ended)...)
	x.Others = c.explainOthers(w, slices.Concat(alive, ended), main.session.ID)
	return x
}

// compareEnds sorts the latest end first. If several sessions ended at the same time, the session whose event caused
// the ends comes first, such as the session of a reused token.
func (c Case) compareEnds(a, b sessionEnd) int {
	own := func(e sessionEnd) int {
		if cause, ok := c.findCause(e); ok && cause.SessionID == e.session.ID {
			return 0
		}
		return 1
	}
	return cmp.Or(b.at.Compare(a.at), cmp.Compare(own(a), own(b)), b.session.LastUsed().Compare(a.session.LastUsed()))
}

// couldBeNoticed reports whether the user can mean this end. Users round times, so a slightly later end counts too.
// If the question is about now, recorded ends in the future also count, because the clock of another process may be
// ahead.
func (c Case) couldBeNoticed(e sessionEnd) bool {
	return !e.at.After(c.At.Add(roundingTolerance)) || !c.At.Before(c.Now) && !e.isComputed
}

// explainOthers returns an explanation of every session except the one with omittedID, without evidence.
func (c Case) explainOthers(w phrases, all []sessionEnd, omittedID watchword.SessionID) (list []Explanation) {
	for _, e := range all {
		if e.session.ID == omittedID {
			continue
		}
		if e.reason == "" {
			list = append(list, c.explainLiveSession(w, e))
			continue
		}
		list = append(list, c.explainEnd(w, e))
	}
	return list
}

func (c Case) explainWithoutEnd(w phrases, alive, ended []sessionEnd) (x Explanation) {
	before := slices.DeleteFunc(slices.Clone(alive), func(e sessionEnd) bool { return e.session.CreatedAt.After(c.At) })
	switch {
	case c.User == nil:
		x = c.explainUnknownAccount(w)
	case c.User.Disabled():
		x = c.explainDisabled(w)
	case len(before) > 0:
		x = c.explainLastUsedSession(w, before)
		x.Others = c.explainOthers(w, slices.Concat(alive, ended), before[0].session.ID)
		return x
	case len(c.Sessions) > 0:
		first := slices.MinFunc(c.Sessions, func(a, b watchword.Session) int { return a.CreatedAt.Compare(b.CreatedAt) })
		x = Explanation{Reason: ReasonNotYet, Certainty: w.format("sure.kept"),
			Sentence: w.format("notyet", "at", w.formatTime(c.At), "first", w.formatTime(first.CreatedAt))}
	default:
		x = Explanation{Reason: ReasonNoSession, Certainty: w.format("sure.kept"),
			Sentence: w.format("none", "asked", c.Asked)}
	}
	x.Evidence = c.eventsSinceSignIn()
	x.Notes = append(append(x.Notes, c.restoreNotes(w)...), c.signInNotes(w, time.Time{})...)
	x.Others = c.explainOthers(w, slices.Concat(alive, ended), "")
	return x
}

// explainUnknownAccount explains that no account was found. It looks for a deletion event, which is stored for longer
// than the account.
func (c Case) explainUnknownAccount(w phrases) Explanation {
	if e, ok := first(c.Events, func(e watchword.Event) bool { return e.Kind == watchword.EventDeleted }); ok {
		return Explanation{
			Sentence: w.format("deleted.gone", "when", w.formatTime(e.At), "by", w.formatDeleter(e)), When: e.At,
			Reason: watchword.EndedDeleted, Certainty: w.format("sure.event"),
		}
	}
	x := Explanation{
		Sentence: w.format("none", "asked", c.Asked), Reason: ReasonNoAccount, Certainty: w.format("unsure.account"),
	}
	if strings.Contains(c.Asked, "@") {
		x.Notes = []string{w.format("note.id")}
	}
	return x
}

// explainDisabled explains the state of a disabled account whose sessions are no longer stored.
func (c Case) explainDisabled(w phrases) Explanation {
	x := Explanation{
		Sentence: w.format("disabled.gone", "when", w.formatTime(c.User.DisabledAt), "by", c.formatDisabler(w)),
		When:     c.User.DisabledAt, Reason: watchword.EndedDisabled, Certainty: w.format("sure.account"),
	}
	return x
}

// explainLastUsedSession explains the last used session, which is still alive. Users can mistake outdated access
// tokens or a lost cookie for a sign-out.
func (c Case) explainLastUsedSession(w phrases, alive []sessionEnd) Explanation {
	last := alive[0]
	x := c.explainLiveSession(w, last)
	x.Evidence = c.eventsOf(last.session.ID)
	changed := c.User.RolesChangedAt
	if since := c.At.Sub(changed); !changed.IsZero() && since >= -roundingTolerance && since <= roleChangePeriod {
		x.Reason, x.When = ReasonRoles, changed
		x.Sentence = w.format("roles", "when", w.formatTime(changed),
			"device", w.formatDevice(last.session.Device, last.session.Address))
		x.Certainty = w.format("likely.roles")
		x.Evidence = append(x.Evidence, matching(c.Events, func(e watchword.Event) bool {
			return e.Kind == watchword.EventRolesChanged && e.At.After(changed.Add(-tolerableSkew))
		})...)
	}
	x.Evidence = newestEvidence(x.Evidence)
	x.Notes = append(append(x.Notes, c.restoreNotes(w)...), c.signInNotes(w, last.session.CreatedAt)...)
	return x
}

// explainLiveSession says until when the session is alive, and which setting will end it.
func (c Case) explainLiveSession(w phrases, e sessionEnd) Explanation {
	s := e.session
	x := Explanation{
		Sentence: w.format("alive", "device", w.formatDevice(s.Device, s.Address), "used", w.formatTime(s.LastUsed()),
			"until", w.formatTime(e.at)),
		Reason: ReasonSignedIn, Session: &s, Certainty: w.format("sure.alive"),
	}
	if !s.Persistent {
		x.Notes = append(x.Notes, w.format("note.browser"))
	}
	if note := c.clockNote(w, s); note != "" {
		x.Certainty, x.Notes = w.format("unsure.clock"), append(x.Notes, note)
	}
	return x
}

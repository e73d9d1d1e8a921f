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
	Sessions []watchword.Session // every row of the account, alive and ended
	Events   []watchword.Event   // of the account, the newest first
	System   []watchword.Event   // events without an account, each kind newest first: ends of all sessions, restores

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
	When      time.Time // of the end; zero: no end
	Reason    Reason
	Certainty string // begins with Certain, Computed, Likely or Unknown
	Evidence  []watchword.Event

	Notes   []string           // more hints: a later sign-in, wrong passwords, advice for the user
	Session *watchword.Session // nil: the explanation concerns no single session
	Others  []Explanation      // explanations of the other sessions, without evidence, the latest end first
}

const (
	// late is how much later than the time in the question a session can have ended, because users round times.
	late = 15 * time.Minute

	// outdated is how long a change of roles counts as a likely reason.
	outdated = time.Hour

	// afterRestore is how long after a restore of a backup Explain names the restore as a likely reason for a
	// sign-out.
	afterRestore = 7 * 24 * time.Hour

	// skew is how far a clock may be ahead before the answer mentions it.
	skew = time.Minute

	maxEvidence = 20
)

// Explain explains the last end of a session up to Case.At, because the user has noticed this end. If there is no
// such end, it explains the state of the account.
func Explain(c Case) Explanation {
	if c.At.IsZero() {
		c.At = c.Now
	}
	w := wordsIn(c.Language)
	var ended, alive []ending
	for _, s := range c.Sessions {
		switch e := c.endOf(s); {
		case e.why == "":
			alive = append(alive, e)
		default:
			ended = append(ended, e)
		}
	}
	slices.SortStableFunc(ended, c.lastFirst)
	slices.SortStableFunc(alive, func(a, b ending) int { return b.session.RotatedAt.Compare(a.session.RotatedAt) })
	i := slices.IndexFunc(ended, func(e ending) bool { return c.Session != "" && e.session.ID == c.Session })
	if i < 0 {
		i = slices.IndexFunc(ended, c.noticed)
	}
	if i < 0 {
		return c.unended(w, alive, ended)
	}
	main := ended[i]
	x := c.explainEnd(w, main)
	x.Evidence = c.evidence(main)
	x.Notes = append(x.Notes, c.notesAfter(w, main, ended)...)
	x.Others = c.others(w, slices.Concat(alive, ended), main.session.ID)
	return x
}

// lastFirst compares the ends of two sessions for a sort with the latest end first. If several sessions ended at one
// moment, the session that caused the other ends is first. For example, a copied session is before the sessions that
// ended because of its reuse.
func (c Case) lastFirst(a, b ending) int {
	own := func(e ending) int {
		if cause, ok := c.causeOf(e); ok && cause.SessionID == e.session.ID {
			return 0
		}
		return 1
	}
	return cmp.Or(b.at.Compare(a.at), cmp.Compare(own(a), own(b)), b.session.RotatedAt.Compare(a.session.RotatedAt))
}

// noticed reports whether the user can have noticed this end of a session at Case.At. Users round times, so a
// slightly later end counts too. If the question is about now, recorded ends in the future also count, because the
// clock of another process may be ahead.
func (c Case) noticed(e ending) bool {
	return !e.at.After(c.At.Add(late)) || !c.At.Before(c.Now) && !e.computed
}

// others explains the other sessions briefly, so that one answer covers all devices.
func (c Case) others(w words, all []ending, except watchword.SessionID) (list []Explanation) {
	for _, e := range all {
		if e.session.ID == except {
			continue
		}
		if e.why == "" {
			list = append(list, c.signedIn(w, e))
			continue
		}
		list = append(list, c.explainEnd(w, e))
	}
	return list
}

// unended returns the answer if no end was found: a session is alive, or there is no session.
func (c Case) unended(w words, alive, ended []ending) (x Explanation) {
	before := slices.DeleteFunc(slices.Clone(alive), func(e ending) bool { return e.session.CreatedAt.After(c.At) })
	switch {
	case c.User == nil:
		x = c.unknownAccount(w)
	case c.User.Disabled():
		x = c.disabled(w)
	case len(before) > 0:
		x = c.stillSignedIn(w, before)
		x.Others = c.others(w, slices.Concat(alive, ended), before[0].session.ID)
		return x
	case len(c.Sessions) > 0:
		first := slices.MinFunc(c.Sessions, func(a, b watchword.Session) int { return a.CreatedAt.Compare(b.CreatedAt) })
		x = Explanation{Reason: ReasonNotYet, Certainty: w.say("sure.kept"),
			Sentence: w.say("notyet", "at", w.when(c.At), "first", w.when(first.CreatedAt))}
	default:
		x = Explanation{Reason: ReasonNoSession, Certainty: w.say("sure.kept"),
			Sentence: w.say("none", "asked", c.Asked)}
	}
	x.Evidence = c.laterEvents()
	x.Notes = append(append(x.Notes, c.restoreNotes(w)...), c.signInNotes(w, time.Time{})...)
	x.Others = c.others(w, slices.Concat(alive, ended), "")
	return x
}

// unknownAccount returns the answer for an account that does not exist. The last event of a deleted
// account is still stored.
func (c Case) unknownAccount(w words) Explanation {
	if e, ok := first(c.Events, func(e watchword.Event) bool { return e.Kind == watchword.EventDeleted }); ok {
		return Explanation{
			Sentence: w.say("deleted.gone", "when", w.when(e.At), "by", w.deletedBy(e)), When: e.At,
			Reason: watchword.EndedDeleted, Certainty: w.say("sure.event"),
		}
	}
	x := Explanation{
		Sentence: w.say("none", "asked", c.Asked), Reason: ReasonNoAccount, Certainty: w.say("unsure.account"),
	}
	if strings.Contains(c.Asked, "@") {
		x.Notes = []string{w.say("note.id")}
	}
	return x
}

// disabled returns the answer for a disabled account whose sessions are no longer stored.
func (c Case) disabled(w words) Explanation {
	x := Explanation{
		Sentence: w.say("disabled.gone", "when", w.when(c.User.DisabledAt), "by", c.disabledBy(w)),
		When:     c.User.DisabledAt, Reason: watchword.EndedDisabled, Certainty: w.say("sure.account"),
	}
	return x
}

// stillSignedIn returns the answer for the live session that was used last. A user can ask about a live session,
// because outdated access tokens or a lost cookie can look like a sign-out.
func (c Case) stillSignedIn(w words, alive []ending) Explanation {
	last := alive[0]
	x := c.signedIn(w, last)
	x.Evidence = c.eventsOf(last.session.ID)
	changed := c.User.RolesChangedAt
	if since := c.At.Sub(changed); !changed.IsZero() && since >= -late && since <= outdated {
		x.Reason, x.When = ReasonRoles, changed
		x.Sentence = w.say("roles", "when", w.when(changed), "device", w.party(last.session.Device, last.session.Address))
		x.Certainty = w.say("likely.roles")
		x.Evidence = append(x.Evidence, matching(c.Events, func(e watchword.Event) bool {
			return e.Kind == watchword.EventRolesChanged && e.At.After(changed.Add(-skew))
		})...)
	}
	x.Evidence = newestFirst(x.Evidence)
	x.Notes = append(append(x.Notes, c.restoreNotes(w)...), c.signInNotes(w, last.session.CreatedAt)...)
	return x
}

// signedIn returns the answer for a live session: until when it is alive, and which setting
// will end it.
func (c Case) signedIn(w words, e ending) Explanation {
	s := e.session
	x := Explanation{
		Sentence: w.say("alive", "device", w.party(s.Device, s.Address), "used", w.when(s.RotatedAt),
			"until", w.when(e.at)),
		Reason: ReasonSignedIn, Session: &s, Certainty: w.say("sure.alive"),
	}
	if !s.Persistent {
		x.Notes = append(x.Notes, w.say("note.browser"))
	}
	if note := c.clockNote(w, s); note != "" {
		x.Certainty, x.Notes = w.say("unsure.clock"), append(x.Notes, note)
	}
	return x
}

package admin

import (
	"slices"
	"strconv"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/reusedetail"
)

// explainEnd says when and why a session ended, and how certain that is.
func (c Case) explainEnd(w words, e ending) Explanation {
	cause, known := c.causeOf(e)
	s := e.session
	x := Explanation{When: e.at, Reason: e.why, Session: &s}
	switch {
	case e.computed && e.why == watchword.EndedIdle:
		x.Sentence, x.Certainty = c.idleSentence(w, e), w.say("computed.idle")
	case e.computed && e.why == watchword.EndedExpired:
		x.Sentence, x.Certainty = c.expiredSentence(w, e)
	default:
		x.Sentence = w.say("signed.out", "when", w.when(e.at), "why", c.why(w, e, cause, known))
		x.Certainty = w.say(c.certainty(e, known))
	}
	if note := c.pastNote(w, e); note != "" {
		x.Notes = append(x.Notes, note)
	}
	if e.recorded != "" {
		x.Notes = append(x.Notes, w.say("note.recorded", "when", w.when(s.EndedAt), "reason", string(e.recorded)))
	}
	if e.why == watchword.EndedReuse && known && cause.SessionID == s.ID {
		x.Certainty = w.say("sure.reuse")
		x.Notes = append(x.Notes, c.reuseNotes(w, cause)...)
	}
	if note := c.clockNote(w, s); note != "" {
		x.Certainty, x.Notes = w.say("unsure.clock"), append(x.Notes, note)
	}
	return x
}

// certainty returns the text of the certainty of a recorded end.
func (c Case) certainty(e ending, known bool) string {
	switch {
	case known:
		return "sure.both"
	case e.computed: // a deleted account: the row has no end
		return "likely.deleted"
	case e.session.EndedAt.IsZero(): // a disabled account
		return "sure.account"
	case c.User == nil && e.why != watchword.EndedDeleted:
		return "sure.row.deleted"
	}
	return "sure.row"
}

func (c Case) idleSentence(w words, e ending) string {
	key := "idle"
	if !e.session.Persistent {
		key = "idle.short"
	}
	return w.say(key, "device", w.party(e.session.Device, e.session.Address), "when", w.when(e.at),
		"span", w.span(c.idle(e.session)), "used", w.when(e.session.RotatedAt))
}

// expiredSentence says that the session reached its maximum lifetime. If the current setting is shorter than the
// lifetime that the session got at its sign-in, the end is only computed, and not certain.
func (c Case) expiredSentence(w words, e ending) (sentence, certainty string) {
	s := e.session
	certainty = "sure.expired"
	if s.CreatedAt.Add(c.Policy.Max).Before(s.ExpiresAt) {
		certainty = "computed.expired"
	}
	return w.say("expired", "device", w.party(s.Device, s.Address), "when", w.when(e.at),
		"span", w.span(e.at.Sub(s.CreatedAt)), "since", w.when(s.CreatedAt)), w.say(certainty)
}

// pastNote returns a note if the session once continued after a pause that is longer than the current idle timeout.
// The idle timeout was therefore longer in the past. Such a session ended when the setting changed, or later.
func (c Case) pastNote(w words, e ending) string {
	if e.why != watchword.EndedIdle || !e.computed {
		return ""
	}
	var longest time.Duration
	for i := 1; i < len(e.session.Superseded); i++ {
		if before := e.session.Superseded[i-1]; !before.IsZero() {
			longest = max(longest, e.session.Superseded[i].Sub(before))
		}
	}
	if longest <= c.idle(e.session) {
		return ""
	}
	return w.say("note.idle.longer", "span", w.span(longest))
}

// The method why returns the second half of the sentence: who or what ended the session.
func (c Case) why(w words, e ending, cause watchword.Event, known bool) string {
	s := e.session
	args := []string{"device", w.party(s.Device, s.Address), "from", w.party(cause.Device, cause.Address),
		"operator", w.operator(cause.Operator)}
	switch e.why {
	case watchword.EndedReuse:
		return c.reuse(w, e, cause, known)
	case watchword.EndedOperator:
		switch {
		case known && cause.UserID == "":
			return w.say("operator.everyone", args...)
		case cause.Kind == watchword.EventLogoutAll:
			return w.say("operator.all", args...)
		}
		return w.say("operator.one", args...)
	case watchword.EndedPassword:
		if cause.Kind == watchword.EventPasswordReset {
			return w.say("password.reset", args...)
		}
	case watchword.EndedDisabled:
		return w.say("account_disabled", append(args, "by", c.disabledBy(w))...)
	case watchword.EndedDeleted:
		return w.say("account_deleted", append(args, "by", w.deletedBy(cause))...)
	case watchword.EndedReplaced:
		sameUser := slices.ContainsFunc(c.Events, func(one watchword.Event) bool {
			return one.At.Equal(e.at) && one.SessionID != s.ID && one.Kind != watchword.EventSessionEnded
		})
		if known && !sameUser { // another account signed in, and the texts do not name it
			return w.say("replaced.other", args...)
		}
	}
	key := string(e.why)
	if !w.has(key) {
		return w.say("other", append(args, "reason", key)...)
	}
	if !known && w.has(key+".unknown") {
		key += ".unknown"
	}
	return w.say(key, args...)
}

// reuse returns the text about a reused refresh token, which names both devices. If the token was of another session,
// this session ended because of the setting reuse-ends.
func (c Case) reuse(w words, e ending, cause watchword.Event, known bool) string {
	d, parsed := reusedetail.Parse(cause.Detail)
	if !known || !parsed {
		return w.say("refresh_reused.unknown", "device", w.party(e.session.Device, e.session.Address))
	}
	from := d.From
	if from == (reusedetail.Party{}) { // recorded by an earlier release
		from = reusedetail.Party{Device: cause.Device, Address: cause.Address}
	}
	key := "refresh_reused"
	if cause.SessionID != e.session.ID {
		key = "refresh_reused.all"
	}
	return w.say(key, "from", w.party(from.Device, from.Address), "presented", strconv.FormatInt(d.Presented, 10),
		"newest", strconv.FormatInt(d.Newest, 10), "device", w.party(d.Session.Device, d.Session.Address),
		"own", w.party(e.session.Device, e.session.Address))
}

// reuseNotes says what the two clients have in common, and what to tell the user.
func (c Case) reuseNotes(w words, cause watchword.Event) []string {
	d, ok := reusedetail.Parse(cause.Detail)
	if !ok {
		return nil
	}
	device, address := cause.Device == d.Session.Device, cause.Address == d.Session.Address
	switch {
	case device && address:
		return []string{w.say("note.reuse.same")}
	case device:
		return []string{w.say("note.reuse.device")}
	}
	return []string{w.say("note.reuse.stranger")}
}

// clockNote returns a note if a clock was set back. It was set back if a time of the row is in the future, or if the
// end is before the last use. The times of different events can't be compared then.
func (c Case) clockNote(w words, s watchword.Session) string {
	var ahead time.Duration
	for _, at := range []time.Time{s.CreatedAt, s.RotatedAt, s.EndedAt} {
		ahead = max(ahead, at.Sub(c.Now))
	}
	if !s.EndedAt.IsZero() {
		ahead = max(ahead, s.RotatedAt.Sub(s.EndedAt))
	}
	if ahead = max(ahead, s.CreatedAt.Sub(s.RotatedAt)); ahead <= skew {
		return ""
	}
	return w.say("note.clock", "span", w.span(ahead))
}

// notesAfter returns notes about changes of the account since the end.
func (c Case) notesAfter(w words, main ending, ended []ending) (notes []string) {
	together := 0
	for _, e := range ended {
		if !e.computed && !main.computed && e.at.Equal(main.at) && e.session.ID != main.session.ID {
			together++
		}
	}
	if together > 0 {
		notes = append(notes, w.count("note.together", together))
	}
	switch {
	case c.User == nil && main.why != watchword.EndedDeleted:
		notes = append(notes, w.say("note.deleted"))
	case c.User != nil && c.User.Disabled() && main.why != watchword.EndedDisabled:
		notes = append(notes, w.say("note.disabled", "when", w.when(c.User.DisabledAt), "by", c.disabledBy(w)))
	}
	return append(notes, c.signInNotes(w, main.at)...)
}

// signInNotes returns notes about the first sign-in after a time, and about wrong passwords since the last sign-in.
// If the time is zero, the first note is about the last sign-in instead.
func (c Case) signInNotes(w words, after time.Time) (notes []string) {
	var in *watchword.Event
	wrong, lastWrong := 0, time.Time{}
	for i, e := range c.Events { // the newest first
		if !e.At.After(after) {
			break
		}
		switch {
		case signsIn(e):
			in = &c.Events[i]
		case e.Kind == watchword.EventLoginFailed:
			if in == nil && lastWrong.IsZero() {
				lastWrong = e.At
			}
			if in == nil {
				wrong += max(e.Times, 1)
			}
		}
		if in != nil && after.IsZero() {
			break
		}
	}
	if in != nil {
		key := "note.again"
		if after.IsZero() {
			key = "note.last"
		}
		notes = append(notes, w.say(key, "when", w.when(in.At), "device", w.party(in.Device, in.Address)))
	}
	if wrong > 0 {
		notes = append(notes, w.count("note.wrong", wrong, "when", w.when(lastWrong)))
	}
	return notes
}

// restoreNotes returns a note if a backup was restored in the week before the question, because the store then lost
// changes. A browser may have a token that is newer than its session in the store, or a token of a lost session.
func (c Case) restoreNotes(w words) []string {
	e, ok := first(c.System, func(e watchword.Event) bool {
		since := c.At.Sub(e.At)
		return e.Kind == watchword.EventRestoreDetected && since >= -late && since <= afterRestore
	})
	if !ok {
		return nil
	}
	return []string{w.say("note.restore", "when", w.when(e.At))}
}

// disabledBy returns "the operator NAME" for the operator who disabled the account, or "an
// operator" if the name is unknown.
func (c Case) disabledBy(w words) string {
	e, _ := first(c.Events, func(e watchword.Event) bool { return e.Kind == watchword.EventDisabled })
	return w.operator(e.Operator)
}

package admin

import (
	"slices"
	"strconv"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/reusedetail"
)

// explainEnd explains why one session ended. If a clock was set back, the explanation is less certain.
func (c Case) explainEnd(w phrases, e sessionEnd) Explanation {
	cause, hasCause := c.findCause(e)
	s := e.session
	x := Explanation{When: e.at, Reason: e.reason, Session: &s}
	switch {
	case e.isComputed && e.reason == watchword.EndedIdle:
		x.Sentence, x.Certainty = c.idleSentence(w, e), w.format("computed.idle")
	case e.isComputed && e.reason == watchword.EndedExpired:
		x.Sentence, x.Certainty = c.expiredSentence(w, e)
	default:
		x.Sentence = w.format("signed.out", "when", w.formatTime(e.at), "why", c.reasonText(w, e, cause, hasCause))
		x.Certainty = w.format(c.certaintyKey(e, hasCause))
	}
	if note := c.longerIdleNote(w, e); note != "" {
		x.Notes = append(x.Notes, note)
	}
	if e.recordedReason != "" {
		x.Notes = append(x.Notes,
			w.format("note.recorded", "when", w.formatTime(s.EndedAt), "reason", string(e.recordedReason)))
	}
	if e.reason == watchword.EndedReuse && hasCause && cause.SessionID == s.ID {
		x.Certainty = w.format("sure.reuse")
		x.Notes = append(x.Notes, c.reuseNotes(w, cause)...)
	}
	if note := c.clockNote(w, s); note != "" {
		x.Certainty, x.Notes = w.format("unsure.clock"), append(x.Notes, note)
	}
	return x
}

func (c Case) certaintyKey(e sessionEnd, hasCause bool) string {
	switch {
	case hasCause:
		return "sure.both"
	case e.isComputed: // a deleted account: the row has no end
		return "likely.deleted"
	case e.session.EndedAt.IsZero(): // a disabled account
		return "sure.account"
	case c.User == nil && e.reason != watchword.EndedDeleted:
		return "sure.row.deleted"
	}
	return "sure.row"
}

func (c Case) idleSentence(w phrases, e sessionEnd) string {
	key := "idle"
	if !e.session.Persistent {
		key = "idle.short"
	}
	return w.format(key, "device", w.formatDevice(e.session.Device, e.session.Address), "when", w.formatTime(e.at),
		"span", w.formatDuration(c.idleTimeout(e.session)), "used", w.formatTime(e.session.LastUsed()))
}

// expiredSentence says that the session reached its maximum lifetime. If the current setting is shorter than the
// lifetime that the session got at its sign-in, the end is only computed, and not certain.
func (c Case) expiredSentence(w phrases, e sessionEnd) (sentence, certainty string) {
	s := e.session
	certainty = "sure.expired"
	if s.CreatedAt.Add(c.Policy.Max).Before(s.ExpiresAt) {
		certainty = "computed.expired"
	}
	return w.format("expired", "device", w.formatDevice(s.Device, s.Address), "when", w.formatTime(e.at),
		"span", w.formatDuration(e.at.Sub(s.CreatedAt)), "since", w.formatTime(s.CreatedAt)), w.format(certainty)
}

// longerIdleNote returns a note if the idle timeout was longer in the past. The function sees this if the session was
// once unused for longer than the current timeout, and then used again. Such a session ended when the setting was
// changed, or later.
func (c Case) longerIdleNote(w phrases, e sessionEnd) string {
	if e.reason != watchword.EndedIdle || !e.isComputed {
		return ""
	}
	var longest time.Duration
	for i := 1; i < len(e.session.Superseded); i++ {
		if before := e.session.Superseded[i-1]; !before.IsZero() {
			longest = max(longest, e.session.Superseded[i].Sub(before))
		}
	}
	if longest <= c.idleTimeout(e.session) {
		return ""
	}
	return w.format("note.idle.longer", "span", w.formatDuration(longest))
}

// reasonText returns the text for who or what ended the session. It completes the sentence "signed.out".
func (c Case) reasonText(w phrases, e sessionEnd, cause watchword.Event, hasCause bool) string {
	s := e.session
	args := []string{"device", w.formatDevice(s.Device, s.Address), "from", w.formatDevice(cause.Device, cause.Address),
		"operator", w.operator(cause.Operator)}
	switch e.reason {
	case watchword.EndedReuse:
		return c.reuseText(w, e, cause, hasCause)
	case watchword.EndedOperator:
		switch {
		case hasCause && cause.UserID == "":
			return w.format("operator.everyone", args...)
		case cause.Kind == watchword.EventLogoutAll:
			return w.format("operator.all", args...)
		}
		return w.format("operator.one", args...)
	case watchword.EndedPassword:
		if cause.Kind == watchword.EventPasswordReset {
			return w.format("password.reset", args...)
		}
	case watchword.EndedDisabled:
		return w.format("account_disabled", append(args, "by", c.formatDisabler(w))...)
	case watchword.EndedDeleted:
		return w.format("account_deleted", append(args, "by", w.formatDeleter(cause))...)
	case watchword.EndedReplaced:
		sameUser := slices.ContainsFunc(c.Events, func(one watchword.Event) bool {
			return one.At.Equal(e.at) && one.SessionID != s.ID && one.Kind != watchword.EventSessionEnded
		})
		if hasCause && !sameUser { // another account signed in, and the text does not name it
			return w.format("replaced.other", args...)
		}
	}
	key := string(e.reason)
	if !w.has(key) {
		return w.format("other", append(args, "reason", key)...)
	}
	if !hasCause && w.has(key+".unknown") {
		key += ".unknown"
	}
	return w.format(key, args...)
}

// reuseText names the device that sent a reused refresh token and the device of the session. If the token belongs to
// a different session, this session ended because of the setting reuse-ends.
func (c Case) reuseText(w phrases, e sessionEnd, cause watchword.Event, hasCause bool) string {
	d, parsed := reusedetail.Parse(cause.Detail)
	if !hasCause || !parsed {
		return w.format("refresh_reused.unknown", "device", w.formatDevice(e.session.Device, e.session.Address))
	}
	from := d.From
	if from == (reusedetail.Party{}) { // recorded by an earlier release
		from = reusedetail.Party{Device: cause.Device, Address: cause.Address}
	}
	key := "refresh_reused"
	if cause.SessionID != e.session.ID {
		key = "refresh_reused.all"
	}
	return w.format(key, "from", w.formatDevice(from.Device, from.Address),
		"presented", strconv.FormatInt(d.Presented, 10),
		"newest", strconv.FormatInt(d.Newest, 10), "device", w.formatDevice(d.Session.Device, d.Session.Address),
		"own", w.formatDevice(e.session.Device, e.session.Address))
}

// reuseNotes say what the two clients have in common, and what to tell the user.
func (c Case) reuseNotes(w phrases, cause watchword.Event) []string {
	d, ok := reusedetail.Parse(cause.Detail)
	if !ok {
		return nil
	}
	device, address := cause.Device == d.Session.Device, cause.Address == d.Session.Address
	switch {
	case device && address:
		return []string{w.format("note.reuse.same")}
	case device:
		return []string{w.format("note.reuse.device")}
	}
	return []string{w.format("note.reuse.stranger")}
}

// clockNote returns a note if a clock was set back. This is the case if a time of the session is in the future, or if
// the session ended before its last use. The times of different events can't be compared in this case.
func (c Case) clockNote(w phrases, s watchword.Session) string {
	var ahead time.Duration
	for _, at := range []time.Time{s.CreatedAt, s.LastUsed(), s.EndedAt} {
		ahead = max(ahead, at.Sub(c.Now))
	}
	if !s.EndedAt.IsZero() {
		ahead = max(ahead, s.LastUsed().Sub(s.EndedAt))
	}
	if ahead = max(ahead, s.CreatedAt.Sub(s.LastUsed())); ahead <= tolerableSkew {
		return ""
	}
	return w.format("note.clock", "span", w.formatDuration(ahead))
}

// laterChangeNotes returns notes about changes of the account after the session ended.
func (c Case) laterChangeNotes(w phrases, main sessionEnd, ended []sessionEnd) (notes []string) {
	together := 0
	for _, e := range ended {
		if !e.isComputed && !main.isComputed && e.at.Equal(main.at) && e.session.ID != main.session.ID {
			together++
		}
	}
	if together > 0 {
		notes = append(notes, w.formatCount("note.together", together))
	}
	switch {
	case c.User == nil && main.reason != watchword.EndedDeleted:
		notes = append(notes, w.format("note.deleted"))
	case c.User != nil && c.User.Disabled() && main.reason != watchword.EndedDisabled:
		notes = append(notes,
			w.format("note.disabled", "when", w.formatTime(c.User.DisabledAt), "by", c.formatDisabler(w)))
	}
	return append(notes, c.signInNotes(w, main.at)...)
}

// signInNotes returns notes about the first sign-in after endedAt, and about wrong passwords since the last sign-in. If
// endedAt is zero, the first note is about the last sign-in.
func (c Case) signInNotes(w phrases, endedAt time.Time) (notes []string) {
	var in *watchword.Event
	wrong, lastWrong := 0, time.Time{}
	for i, e := range c.Events { // the newest first
		if !e.At.After(endedAt) {
			break
		}
		switch {
		case opensSession(e):
			in = &c.Events[i]
		case e.Kind == watchword.EventLoginFailed:
			if in == nil && lastWrong.IsZero() {
				lastWrong = e.At
			}
			if in == nil {
				wrong += max(e.Times, 1)
			}
		}
		if in != nil && endedAt.IsZero() {
			break
		}
	}
	if in != nil {
		key := "note.again"
		if endedAt.IsZero() {
			key = "note.last"
		}
		notes = append(notes,
			w.format(key, "when", w.formatTime(in.At), "device", w.formatDevice(in.Device, in.Address)))
	}
	if wrong > 0 {
		notes = append(notes, w.formatCount("note.wrong", wrong, "when", w.formatTime(lastWrong)))
	}
	return notes
}

// restoreNotes returns a note if a backup was restored in the week before the question, because the store then lost
// changes. A browser may have a token that is newer than its session in the store, or a token of a lost session.
func (c Case) restoreNotes(w phrases) []string {
	e, ok := first(c.System, func(e watchword.Event) bool {
		since := c.At.Sub(e.At)
		return e.Kind == watchword.EventRestoreDetected && since >= -roundingTolerance && since <= restorePeriod
	})
	if !ok {
		return nil
	}
	return []string{w.format("note.restore", "when", w.formatTime(e.At))}
}

// formatDisabler returns "the operator NAME", or "an operator" if the name is unknown.
func (c Case) formatDisabler(w phrases) string {
	e, _ := first(c.Events, func(e watchword.Event) bool { return e.Kind == watchword.EventDisabled })
	return w.operator(e.Operator)
}

package admin_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/reusedetail"
)

// The timeline of the tests: the sign-in, the last refresh, the end, and the question.
var (
	signedInAt = time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	usedAt     = signedInAt.Add(26 * time.Hour)
	endedAt    = time.Date(2026, 5, 3, 10, 2, 0, 0, time.UTC)
	askedAt    = endedAt.Add(2 * time.Hour)
)

const day = 24 * time.Hour

// iphoneSession is alive when the question is asked.
func iphoneSession() watchword.Session {
	return watchword.Session{
		ID: "s1", UserID: "u1", Persistent: true, Device: "Safari on iPhone", Address: "192.0.2.7",
		Rotation:  watchword.Rotation{Generation: 14, RotatedAt: usedAt, Forgiven: watchword.NeverForgiven},
		CreatedAt: signedInAt, ExpiresAt: signedInAt.Add(30 * day),
	}
}

// endedBy is iphoneSession after its end.
func endedBy(why watchword.EndReason) watchword.Session {
	s := iphoneSession()
	s.EndedAt, s.EndedWhy = endedAt, why
	return s
}

// atEnd returns an event of another browser at the moment of the end.
func atEnd(kind watchword.EventKind) watchword.Event {
	return watchword.Event{ID: string(kind), Kind: kind, At: endedAt, UserID: "u1", SessionID: "s2",
		Address: "203.0.113.9", Device: "Chrome on Linux", Times: 1}
}

func byIphone(e watchword.Event) watchword.Event { e.SessionID = "s1"; return e }

func byOperator(e watchword.Event) watchword.Event {
	e.SessionID, e.Address, e.Device, e.Operator = "", "", "", "ops"
	return e
}

func because(e watchword.Event, detail string) watchword.Event { e.Detail = detail; return e }

func newCase(change func(*admin.Case)) admin.Case {
	c := admin.Case{
		Asked: "ada@example.com", User: &watchword.User{ID: "u1", Email: "ada@example.com"},
		Policy: watchword.SessionPolicy{Idle: 7 * day, ShortIdle: day, Max: 30 * day}, Now: askedAt,
	}
	change(&c)
	return c
}

func caseWith(s watchword.Session, events ...watchword.Event) admin.Case {
	return newCase(func(c *admin.Case) { c.Sessions, c.Events = []watchword.Session{s}, events })
}

var reused = reusedetail.Detail{
	Presented: 3, Newest: 14, Rule: "older_than_parent",
	From:    reusedetail.Party{Device: "Chrome on Linux", Address: "203.0.113.9"},
	Session: reusedetail.Party{Device: "Safari on iPhone", Address: "192.0.2.7"},
}

type answer struct {
	c         admin.Case
	reason    watchword.EndReason
	certainty string // first word of Certainty
	when      time.Time
	sentence  []string // texts that Sentence must contain
}

// recordedEnds has a row for each EndReason that is stored.
func recordedEnds() map[string]answer {
	certain := func(c admin.Case, why watchword.EndReason, parts ...string) answer {
		return answer{c, why, "Certain", endedAt, append(parts, "Signed out on 3 May 2026, 10:02 UTC: ",
			"Safari on iPhone, 192.0.2.7")}
	}
	const from = "Chrome on Linux, 203.0.113.9"
	deleted := caseWith(endedBy(watchword.EndedDeleted), byOperator(atEnd(watchword.EventDeleted)))
	deleted.User = nil
	everyone := caseWith(endedBy(watchword.EndedOperator))
	everyone.System = []watchword.Event{byOperator(atEnd(watchword.EventLogoutAll))}
	everyone.System[0].UserID, everyone.System[0].At = "", endedAt.Add(3*time.Second)
	replacing := byIphone(because(atEnd(watchword.EventSessionEnded), "replaced"))
	return map[string]answer{
		"logout": certain(caseWith(endedBy(watchword.EndedLogout), byIphone(atEnd(watchword.EventLogout))),
			"logout", "the user signed out on this device"),
		"from another device": certain(caseWith(endedBy(watchword.EndedByUser),
			byIphone(atEnd(watchword.EventSessionEnded))),
			"ended_by_user", "from another device ("+from),
		"everywhere": certain(caseWith(endedBy(watchword.EndedLogoutAll), atEnd(watchword.EventLogoutAll)),
			"logout_all", "on all devices, from "+from),
		"reuse": certain(caseWith(endedBy(watchword.EndedReuse),
			because(byIphone(atEnd(watchword.EventRefreshReused)), reused.String())),
			"refresh_reused",
			"an old copy of the session was used from "+from+" (generation 3) while the session was at "+
				"generation 14 (Safari on iPhone, 192.0.2.7)"),
		"reuse, recorded by an earlier release": certain(caseWith(endedBy(watchword.EndedReuse), because(
			byIphone(atEnd(watchword.EventRefreshReused)),
			`presented=3 newest=14 rule=older_than_parent superseded=unknown `+
				`session_address=192.0.2.7 session_device="Safari on iPhone"`)),
			"refresh_reused", "used from "+from+" (generation 3) while the session was at generation 14"),
		"reuse of another session": certain(caseWith(endedBy(watchword.EndedReuse),
			because(atEnd(watchword.EventRefreshReused), reused.String())),
			"refresh_reused", "another session", "reuse-ends=all", from),
		"reuse without its event": certain(caseWith(endedBy(watchword.EndedReuse)), "refresh_reused", "an old copy"),
		"password": certain(caseWith(endedBy(watchword.EndedPassword),
			atEnd(watchword.EventPasswordChanged)), "password_changed", "changed from "+from),
		"password reset": certain(caseWith(endedBy(watchword.EndedPassword),
			atEnd(watchword.EventPasswordReset)), "password_changed", "reset with a mailed link, from "+from),
		"address undone": certain(caseWith(endedBy(watchword.EndedEmail), atEnd(watchword.EventEmailUndone)),
			"email_changed", "undone from "+from),
		"first proof": certain(caseWith(endedBy(watchword.EndedFirstProof),
			atEnd(watchword.EventEmailVerified)), "first_proof", "first time", from),
		"operator": certain(caseWith(endedBy(watchword.EndedOperator), func() watchword.Event {
			e := byOperator(atEnd(watchword.EventSessionEnded))
			e.SessionID = "s1"
			return e
		}()), "ended_by_operator", "the operator ops ended the session"),
		"operator, all of the account": certain(caseWith(endedBy(watchword.EndedOperator),
			byOperator(atEnd(watchword.EventLogoutAll))),
			"ended_by_operator", "the operator ops ended all sessions of this account"),
		"operator, every account": certain(everyone, "ended_by_operator",
			"the operator ops ended every session of every account"),
		"disabled": certain(caseWith(endedBy(watchword.EndedDisabled), byOperator(atEnd(watchword.EventDisabled))),
			"account_disabled", "disabled by the operator ops"),
		"deleted": certain(deleted, "account_deleted", "deleted by the operator ops"),
		"too many": certain(caseWith(endedBy(watchword.EndedTooMany),
			byIphone(because(atEnd(watchword.EventSessionEnded), "too_many_sessions")), atEnd(watchword.EventLogin)),
			"too_many_sessions", "max-sessions", from),
		"replaced": certain(caseWith(endedBy(watchword.EndedReplaced), replacing, atEnd(watchword.EventLogin)),
			"replaced", "a new sign-in in the same browser ("+from),
		"replaced by another account": certain(caseWith(endedBy(watchword.EndedReplaced), replacing),
			"replaced", "another account signed in in the same browser"),
		"factor added": certain(caseWith(endedBy(watchword.EndedFactor),
			atEnd(watchword.EventFactorAdded)), "factor_added", "added from "+from),
		"factor removed": certain(caseWith(endedBy(watchword.EndedFactorGone),
			atEnd(watchword.EventFactorRemoved)), "factor_removed", "removed from "+from),
		"factors reset": certain(caseWith(endedBy(watchword.EndedFactors),
			byOperator(atEnd(watchword.EventFactorsReset))), "factors_reset", "the operator ops removed"),
		"a reason of a later release": certain(caseWith(endedBy("solar_flare")), "solar_flare",
			"with the reason solar_flare"),
	}
}

// computedEnds has cases whose end is computed, and cases without an end.
func computedEnds() map[string]answer {
	idleAt := usedAt.Add(7 * day)
	later := func(s watchword.Session, by time.Duration) admin.Case {
		c := caseWith(s)
		c.Now = askedAt.Add(by)
		return c
	}
	short := iphoneSession()
	short.Persistent = false
	shorter := caseWith(iphoneSession())
	shorter.Policy.Idle = day
	paused := iphoneSession() // continued after 9 days, so the idle limit was longer
	paused.CreatedAt, paused.RotatedAt = usedAt.Add(-20*day), usedAt
	paused.Superseded[2], paused.Superseded[3] = usedAt.Add(-9*day), usedAt
	busy := iphoneSession()
	busy.RotatedAt = signedInAt.Add(29 * day)
	cut := later(busy, 40*day)
	cut.Policy.Max = 10 * day
	idleFirst := endedBy(watchword.EndedPassword)
	idleFirst.EndedAt = idleAt.Add(day)
	proven := endedBy(watchword.EndedReuse)
	proven.EndedAt = idleAt.Add(day)
	reuseProven := later(proven, 20*day)
	gone := caseWith(iphoneSession())
	gone.User = nil
	deletedLong := newCase(func(c *admin.Case) {
		c.User, c.Events = nil, []watchword.Event{byOperator(atEnd(watchword.EventDeleted))}
	})
	disabled := newCase(func(c *admin.Case) { c.User.DisabledAt = endedAt })
	disabledAlive := caseWith(iphoneSession(), byOperator(atEnd(watchword.EventDisabled)))
	disabledAlive.User.DisabledAt = endedAt
	roles := caseWith(iphoneSession())
	roles.User.RolesChangedAt = askedAt.Add(-5 * time.Minute)
	rolesLong := caseWith(iphoneSession())
	rolesLong.User.RolesChangedAt = askedAt.Add(-5 * time.Hour)
	early := caseWith(iphoneSession())
	early.At = signedInAt.Add(-day)
	beforeTheEnd := caseWith(endedBy(watchword.EndedLogoutAll))
	beforeTheEnd.At = endedAt.Add(-day)
	roughly := caseWith(endedBy(watchword.EndedLogoutAll))
	roughly.At = endedAt.Add(-10 * time.Minute)
	return map[string]answer{
		"idle": {later(iphoneSession(), 20*day), "idle", "Computed", idleAt,
			[]string{"Not signed out: ", "by itself on 9 May 2026, 10:00 UTC",
				"after 7 days unused (setting session-idle)"}},
		"idle without stay signed in": {later(short, 20*day), "idle", "Computed", usedAt.Add(day),
			[]string{"after 24 hours unused", "without “Keep me signed in”"}},
		"idle by a changed setting": {shorter, "idle", "Computed", usedAt.Add(day), []string{"after 24 hours unused"}},
		"idle, and the setting was longer": {later(paused, 20*day), "idle", "Computed", idleAt,
			[]string{"after 7 days unused"}},
		"expired": {later(busy, 40*day), "expired", "Certain", signedInAt.Add(30 * day),
			[]string{"30 days after the sign-in on 1 May 2026, 08:00 UTC (setting session-max)"}},
		"expired by a changed setting": {cut, "expired", "Computed", signedInAt.Add(10 * day),
			[]string{"10 days after the sign-in"}},
		"idle before a recorded end": {later(idleFirst, 20*day), "idle", "Computed", idleAt,
			[]string{"by itself"}},
		"reuse proves a longer setting": {reuseProven, "refresh_reused", "Certain", idleAt.Add(day),
			[]string{"an old copy"}},
		"signed in": {caseWith(iphoneSession()), "signed_in", "Certain", time.Time{},
			[]string{"Not signed out: Safari on iPhone, 192.0.2.7 is signed in", "9 May 2026, 10:00 UTC"}},
		"roles changed": {roles, "roles_changed", "Likely", askedAt.Add(-5 * time.Minute),
			[]string{"the roles changed on 3 May 2026, 11:57 UTC"}},
		"roles changed long ago": {rolesLong, "signed_in", "Certain", time.Time{}, nil},

		"no session": {newCase(func(*admin.Case) {}), "no_session", "Certain", time.Time{},
			[]string{"No session of ada@example.com in the last 7 days."}},
		"no account": {newCase(func(c *admin.Case) { c.User = nil }), "no_account", "Unknown",
			time.Time{}, []string{"No session of ada@example.com in the last 7 days"}},
		"deleted, a row without end": {gone, "account_deleted", "Likely", usedAt, []string{"the account was deleted"}},
		"deleted long ago": {deletedLong, "account_deleted", "Certain", endedAt,
			[]string{"deleted on 3 May 2026, 10:02 UTC by the operator ops"}},
		"disabled long ago": {disabled, "account_disabled", "Certain", endedAt,
			[]string{"disabled since 3 May 2026, 10:02 UTC"}},
		"disabled, a row without end": {disabledAlive, "account_disabled", "Certain", endedAt,
			[]string{"disabled by the operator ops"}},
		"before the first sign-in": {early, "not_yet", "Certain", time.Time{},
			[]string{"The first one began on 1 May 2026, 08:00 UTC"}},
		"ten minutes too early": {roughly, "logout_all", "Certain", endedAt, nil},
	}
}

// clockJumps are rows whose times contradict each other.
func clockJumps() map[string]answer {
	ahead := iphoneSession()
	ahead.RotatedAt = askedAt.Add(3 * time.Hour)
	future := endedBy(watchword.EndedLogoutAll)
	future.EndedAt = askedAt.Add(2 * day)
	back := endedBy(watchword.EndedLogoutAll)
	back.RotatedAt = endedAt.Add(5 * time.Hour)
	back.EndedAt = endedAt
	slightly := iphoneSession()
	slightly.RotatedAt = askedAt.Add(10 * time.Second)
	return map[string]answer{
		"used in the future": {caseWith(ahead), "signed_in", "Uncertain", time.Time{}, nil},
		"ended in the future": {caseWith(future), "logout_all", "Uncertain", askedAt.Add(2 * day),
			[]string{"5 May 2026"}},
		"ended before the last use":   {caseWith(back), "logout_all", "Uncertain", endedAt, nil},
		"a few seconds are no reason": {caseWith(slightly), "signed_in", "Certain", time.Time{}, nil},
	}
}

func TestExplainHasASentenceForEachEnd(t *testing.T) {
	t.Parallel()
	covered := map[watchword.EndReason]bool{}
	for _, table := range []map[string]answer{recordedEnds(), computedEnds(), clockJumps()} {
		for name, want := range table {
			got := admin.Explain(want.c)
			covered[got.Reason] = true
			if got.Reason != want.reason || !got.When.Equal(want.when) || !strings.HasPrefix(got.Certainty,
				want.certainty) {
				t.Errorf("%s: %s at %s, %q, want %s at %s, %s…\n%s", name, got.Reason, got.When, got.Certainty,
					want.reason, want.when, want.certainty, got.Sentence)
			}
			for _, part := range want.sentence {
				if !strings.Contains(got.Sentence, part) {
					t.Errorf("%s: %q has no %q", name, got.Sentence, part)
				}
			}
			german := want.c
			german.Language = "de-AT"
			for _, x := range []admin.Explanation{got, admin.Explain(german)} {
				for _, text := range append(x.Notes, x.Sentence, x.Certainty) {
					if text == "" || strings.ContainsAny(text, "{}%") {
						t.Errorf("%s: the text %q is not complete", name, text)
					}
				}
			}
		}
	}
	for _, why := range readEndReasons(t) {
		if !covered[why] {
			t.Errorf("no case ends with %s", why)
		}
	}
}

// Each answer in the table must have the right evidence.
func TestExplainReturnsTheEventsOfTheEnd(t *testing.T) {
	t.Parallel()
	in := byIphone(atEnd(watchword.EventLogin))
	in.At, in.ID = signedInAt, "in"
	unrelated := atEnd("step_up")
	unrelated.At = endedAt.Add(-time.Hour)
	cause := atEnd(watchword.EventPasswordChanged)
	got := admin.Explain(caseWith(endedBy(watchword.EndedPassword), cause, unrelated, in))
	want := []watchword.Event{cause, in}
	if !slices.EqualFunc(got.Evidence, want, func(a, b watchword.Event) bool { return a.ID == b.ID }) {
		t.Errorf("got %+v", got.Evidence)
	}
}

func TestExplainTellsWhatHappenedSince(t *testing.T) {
	t.Parallel()
	at := func(e watchword.Event, after time.Duration, times int) watchword.Event {
		e.At, e.Times, e.ID = endedAt.Add(after), times, after.String()
		return e
	}
	other := endedBy(watchword.EndedLogoutAll)
	other.ID, other.Device = "s3", "Firefox on Windows"
	alive := iphoneSession()
	alive.ID, alive.Device, alive.Persistent = "s4", "Edge on macOS", true
	c := caseWith(endedBy(watchword.EndedLogoutAll),
		at(atEnd(watchword.EventLoginFailed), 20*time.Minute, 4),
		at(atEnd(watchword.EventLogin), 10*time.Minute, 1),
		at(atEnd(watchword.EventLoginFailed), 5*time.Minute, 2),
		byIphone(atEnd(watchword.EventLogoutAll)))
	c.Sessions = append(c.Sessions, other, alive)
	got := admin.Explain(c)
	want := []string{"With it, another session ended at the same moment.",
		"Signed in again on 3 May 2026, 10:12 UTC (Chrome on Linux, 203.0.113.9).",
		"Since then 4 wrong passwords, the last on 3 May 2026, 10:22 UTC."}
	if !slices.Equal(got.Notes, want) {
		t.Errorf("got %q\nwant %q", got.Notes, want)
	}
	if got.Session.ID != "s1" || len(got.Others) != 2 || got.Others[0].Session.ID != "s4" ||
		got.Others[0].Reason != admin.ReasonSignedIn || got.Others[1].Session.ID != "s3" {
		t.Errorf("%s; others %+v", got.Session.ID, got.Others)
	}
}

// An imported account, or one that an operator created, has an EventSignup without a session. Explain must not count
// this event as a sign-in.
func TestExplainCountsNoSignUpWithoutASession(t *testing.T) {
	t.Parallel()
	created, old := byOperator(atEnd(watchword.EventSignup)), atEnd(watchword.EventDisabled)
	old.At = endedAt.Add(-time.Hour)
	wrong := atEnd(watchword.EventLoginFailed)
	wrong.SessionID, wrong.At = "", endedAt.Add(time.Hour)
	got := admin.Explain(newCase(func(c *admin.Case) { c.Events = []watchword.Event{wrong, created, old} }))
	if want := []string{"Since then one wrong password, on 3 May 2026, 11:02 UTC."}; !slices.Equal(got.Notes, want) {
		t.Errorf("got %q, want %q", got.Notes, want)
	}
	if len(got.Evidence) != 3 {
		t.Errorf("the evidence stops at the sign-up: %+v", got.Evidence)
	}
	in := byIphone(atEnd(watchword.EventSignup))
	got = admin.Explain(newCase(func(c *admin.Case) { c.Events = []watchword.Event{in, old} }))
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "3 May 2026, 10:02 UTC") || len(got.Evidence) != 1 {
		t.Errorf("a sign-up with a session: %q, %d events", got.Notes, len(got.Evidence))
	}
}

func TestExplainNamesARestoreAsAPossibleCause(t *testing.T) {
	t.Parallel()
	const note = "A backup was restored, or a failover lost changes. This was noticed on 3 May 2026, 10:02 UTC."
	alive, missing := caseWith(iphoneSession()), newCase(func(*admin.Case) {})
	for name, c := range map[string]struct {
		admin.Case
		kind watchword.EventKind
		at   time.Time
		want bool
	}{
		"a live session":    {alive, watchword.EventRestoreDetected, askedAt, true},
		"no session":        {missing, watchword.EventRestoreDetected, askedAt, true},
		"noticed soon":      {alive, watchword.EventRestoreDetected, endedAt.Add(-10 * time.Minute), true},
		"noticed later":     {alive, watchword.EventRestoreDetected, endedAt.Add(-time.Hour), false},
		"a week before":     {alive, watchword.EventRestoreDetected, endedAt.Add(8 * day), false},
		"another event":     {alive, "keys_rotated", askedAt, false},
		"the end was found": {caseWith(endedBy(watchword.EndedLogout)), watchword.EventRestoreDetected, askedAt, false},
	} {
		noticed := atEnd(c.kind)
		noticed.UserID, noticed.SessionID = "", ""
		c.System, c.At = []watchword.Event{noticed}, c.at
		notes := strings.Join(admin.Explain(c.Case).Notes, " ")
		if strings.Contains(notes, note) != c.want {
			t.Errorf("%s: %q", name, notes)
		}
	}
}

// A stranger can cause thousands of failed sign-ins and waiting sign-ups, which are also events. Explain must find
// the events of an end among them.
func TestExplainFindsTheEventsOfAnEndAmongManyOthers(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		m, both := newManagerWithAdmins(t, store)
		operator := m.Engine().Operator().As("ops")
		var ids []watchword.UserID
		for _, by := range both {
			in, err := operator.AdmitUser(t.Context(),
				watchword.AdmitRequest{User: by.User.ID, Methods: []string{"pwd"}})
			wantCode(t, err, "")
			ids = append(ids, in.User.ID)
		}
		_, err := operator.EndUserSessions(t.Context(), ids[0])
		wantCode(t, err, "")
		_, err = operator.EndEverySession(t.Context())
		wantCode(t, err, "")
		later := time.Now().Add(time.Second)
		flood := []watchword.Event{{ID: "restored", Kind: watchword.EventRestoreDetected, At: later}}
		for n := range 600 {
			id := fmt.Sprintf("%04d", n)
			flood = append(flood, watchword.Event{ID: "signup" + id, Kind: watchword.EventSignup, At: later},
				watchword.Event{ID: "failed" + id, Kind: watchword.EventLoginFailed, At: later, UserID: ids[0]})
		}
		err = store.Update(t.Context(), func(tx watchword.Tx) error {
			for _, e := range flood {
				if err := tx.InsertEvent(t.Context(), e); err != nil {
					return err
				}
			}
			return nil
		})
		wantCode(t, err, "")
		sentences := []string{"ops ended all sessions of this account", "ops ended every session of every account"}
		for i, want := range sentences {
			x, err := m.Explain(t.Context(), admin.Question{Account: string(ids[i])})
			wantCode(t, err, "")
			if !strings.Contains(x.Sentence, want) || !strings.Contains(x.Certainty, "and an event of the same") {
				t.Errorf("%s; %s, want %s", x.Sentence, x.Certainty, want)
			}
		}
		never, err := operator.CreateUser(t.Context(), watchword.NewUser{Email: "heidi@example.com"})
		wantCode(t, err, "")
		x, err := m.Explain(t.Context(), admin.Question{Account: string(never.ID)})
		wantCode(t, err, "")
		if !strings.Contains(strings.Join(x.Notes, " "), "A backup was restored") {
			t.Errorf("%s %q", x.Sentence, x.Notes)
		}
	})
}

func TestExplainComparesTheDevicesOfAReuse(t *testing.T) {
	t.Parallel()
	for want, from := range map[string]reusedetail.Party{
		"probably one client":                       reused.Session,
		"Ask whether the user knows both addresses": {Device: reused.Session.Device, Address: "203.0.113.9"},
		"the session was copied":                    reused.From,
	} {
		e := byIphone(atEnd(watchword.EventRefreshReused))
		d := reused
		d.From, e.Device, e.Address, e.Detail = from, from.Device, from.Address, d.String()
		e.Detail = d.String()
		got := admin.Explain(caseWith(endedBy(watchword.EndedReuse), e))
		if !strings.Contains(strings.Join(got.Notes, " "), want) {
			t.Errorf("%+v: %q has no %q", from, got.Notes, want)
		}
	}
}

// readEndReasons reads the source of the engine, so that a new reason needs a case.
func readEndReasons(t *testing.T) (all []watchword.EndReason) {
	t.Helper()
	source, err := os.ReadFile("../session.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`EndReason = "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		all = append(all, watchword.EndReason(found[1]))
	}
	if len(all) < 17 {
		t.Fatalf("found only %v", all)
	}
	return all
}

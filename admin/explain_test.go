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
	signedIn = time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	used     = signedIn.Add(26 * time.Hour)
	ended    = time.Date(2026, 5, 3, 10, 2, 0, 0, time.UTC)
	asked    = ended.Add(2 * time.Hour)
)

const day = 24 * time.Hour

// iphone is a session that is still alive when the question is asked.
func iphone() watchword.Session {
	return watchword.Session{
		ID: "s1", UserID: "u1", Persistent: true, Device: "Safari on iPhone", Address: "192.0.2.7",
		Rotation:  watchword.Rotation{Generation: 14, RotatedAt: used, Forgiven: watchword.NeverForgiven},
		CreatedAt: signedIn, ExpiresAt: signedIn.Add(30 * day),
	}
}

// endedAs returns the session iphone after it ended for the reason why.
func endedAs(why watchword.EndReason) watchword.Session {
	s := iphone()
	s.EndedAt, s.EndedWhy = ended, why
	return s
}

// event returns an event of another browser at the moment of the end.
func event(kind watchword.EventKind) watchword.Event {
	return watchword.Event{ID: string(kind), Kind: kind, At: ended, UserID: "u1", SessionID: "s2",
		Address: "203.0.113.9", Device: "Chrome on Linux", Times: 1}
}

func own(e watchword.Event) watchword.Event { e.SessionID = "s1"; return e }

func byOperator(e watchword.Event) watchword.Event {
	e.SessionID, e.Address, e.Device, e.Operator = "", "", "", "ops"
	return e
}

func because(e watchword.Event, detail string) watchword.Event { e.Detail = detail; return e }

// question returns the Case of an account. The function change adds the sessions and events.
func question(change func(*admin.Case)) admin.Case {
	c := admin.Case{
		Asked: "ada@example.com", User: &watchword.User{ID: "u1", Email: "ada@example.com"},
		Policy: watchword.SessionPolicy{Idle: 7 * day, ShortIdle: day, Max: 30 * day}, Now: asked,
	}
	change(&c)
	return c
}

func of(s watchword.Session, events ...watchword.Event) admin.Case {
	return question(func(c *admin.Case) { c.Sessions, c.Events = []watchword.Session{s}, events })
}

var reused = reusedetail.Detail{
	Presented: 3, Newest: 14, Rule: "older_than_parent",
	From:    reusedetail.Party{Device: "Chrome on Linux", Address: "203.0.113.9"},
	Session: reusedetail.Party{Device: "Safari on iPhone", Address: "192.0.2.7"},
}

type answer struct {
	c         admin.Case
	reason    watchword.EndReason
	certainty string // the first word
	when      time.Time
	sentence  []string // parts that the sentence must contain
}

// recordedEnds has a row for each EndReason that is stored.
func recordedEnds() map[string]answer {
	certain := func(c admin.Case, why watchword.EndReason, parts ...string) answer {
		return answer{c, why, "Certain", ended, append(parts, "Signed out on 3 May 2026, 10:02 UTC: ",
			"Safari on iPhone, 192.0.2.7")}
	}
	const from = "Chrome on Linux, 203.0.113.9"
	deleted := of(endedAs(watchword.EndedDeleted), byOperator(event(watchword.EventDeleted)))
	deleted.User = nil
	everyone := of(endedAs(watchword.EndedOperator))
	everyone.System = []watchword.Event{byOperator(event(watchword.EventLogoutAll))}
	everyone.System[0].UserID, everyone.System[0].At = "", ended.Add(3*time.Second)
	replacing := own(because(event(watchword.EventSessionEnded), "replaced"))
	return map[string]answer{
		"logout": certain(of(endedAs(watchword.EndedLogout), own(event(watchword.EventLogout))),
			"logout", "the user signed out on this device"),
		"from another device": certain(of(endedAs(watchword.EndedByUser), own(event(watchword.EventSessionEnded))),
			"ended_by_user", "from another device ("+from),
		"everywhere": certain(of(endedAs(watchword.EndedLogoutAll), event(watchword.EventLogoutAll)),
			"logout_all", "on all devices, from "+from),
		"reuse": certain(of(endedAs(watchword.EndedReuse), because(own(event(watchword.EventRefreshReused)),
			reused.String())),
			"refresh_reused",
			"an old copy of the session was used from "+from+" (generation 3) while the session was at "+
				"generation 14 (Safari on iPhone, 192.0.2.7)"),
		"reuse, recorded by an earlier release": certain(of(endedAs(watchword.EndedReuse), because(
			own(event(watchword.EventRefreshReused)), `presented=3 newest=14 rule=older_than_parent superseded=unknown `+
				`session_address=192.0.2.7 session_device="Safari on iPhone"`)),
			"refresh_reused", "used from "+from+" (generation 3) while the session was at generation 14"),
		"reuse of another session": certain(of(endedAs(watchword.EndedReuse),
			because(event(watchword.EventRefreshReused), reused.String())),
			"refresh_reused", "another session", "reuse-ends=all", from),
		"reuse without its event": certain(of(endedAs(watchword.EndedReuse)), "refresh_reused", "an old copy"),
		"password": certain(of(endedAs(watchword.EndedPassword),
			event(watchword.EventPasswordChanged)), "password_changed", "changed from "+from),
		"password reset": certain(of(endedAs(watchword.EndedPassword),
			event(watchword.EventPasswordReset)), "password_changed", "reset with a mailed link, from "+from),
		"address undone": certain(of(endedAs(watchword.EndedEmail), event(watchword.EventEmailUndone)),
			"email_changed", "undone from "+from),
		"first proof": certain(of(endedAs(watchword.EndedFirstProof),
			event(watchword.EventEmailVerified)), "first_proof", "first time", from),
		"operator": certain(of(endedAs(watchword.EndedOperator), func() watchword.Event {
			e := byOperator(event(watchword.EventSessionEnded))
			e.SessionID = "s1"
			return e
		}()), "ended_by_operator", "the operator ops ended the session"),
		"operator, all of the account": certain(of(endedAs(watchword.EndedOperator),
			byOperator(event(watchword.EventLogoutAll))),
			"ended_by_operator", "the operator ops ended all sessions of this account"),
		"operator, every account": certain(everyone, "ended_by_operator",
			"the operator ops ended every session of every account"),
		"disabled": certain(of(endedAs(watchword.EndedDisabled), byOperator(event(watchword.EventDisabled))),
			"account_disabled", "disabled by the operator ops"),
		"deleted": certain(deleted, "account_deleted", "deleted by the operator ops"),
		"too many": certain(of(endedAs(watchword.EndedTooMany),
			own(because(event(watchword.EventSessionEnded), "too_many_sessions")), event(watchword.EventLogin)),
			"too_many_sessions", "max-sessions", from),
		"replaced": certain(of(endedAs(watchword.EndedReplaced), replacing, event(watchword.EventLogin)),
			"replaced", "a new sign-in in the same browser ("+from),
		"replaced by another account": certain(of(endedAs(watchword.EndedReplaced), replacing),
			"replaced", "another account signed in in the same browser"),
		"factor added": certain(of(endedAs(watchword.EndedFactor),
			event(watchword.EventFactorAdded)), "factor_added", "added from "+from),
		"factor removed": certain(of(endedAs(watchword.EndedFactorGone),
			event(watchword.EventFactorRemoved)), "factor_removed", "removed from "+from),
		"factors reset": certain(of(endedAs(watchword.EndedFactors),
			byOperator(event(watchword.EventFactorsReset))), "factors_reset", "the operator ops removed"),
		"a reason of a later release": certain(of(endedAs("solar_flare")), "solar_flare",
			"with the reason solar_flare"),
	}
}

// computedEnds are ends that are not recorded, and questions without an end.
func computedEnds() map[string]answer {
	idleAt := used.Add(7 * day)
	later := func(s watchword.Session, by time.Duration) admin.Case {
		c := of(s)
		c.Now = asked.Add(by)
		return c
	}
	short := iphone()
	short.Persistent = false
	shorter := of(iphone())
	shorter.Policy.Idle = day
	paused := iphone() // continued after 9 days, so the idle limit was longer
	paused.CreatedAt, paused.RotatedAt = used.Add(-20*day), used
	paused.Superseded[2], paused.Superseded[3] = used.Add(-9*day), used
	busy := iphone()
	busy.RotatedAt = signedIn.Add(29 * day)
	cut := later(busy, 40*day)
	cut.Policy.Max = 10 * day
	idleFirst := endedAs(watchword.EndedPassword)
	idleFirst.EndedAt = idleAt.Add(day)
	proven := endedAs(watchword.EndedReuse)
	proven.EndedAt = idleAt.Add(day)
	reuseProven := later(proven, 20*day)
	gone := of(iphone())
	gone.User = nil
	deletedLong := question(func(c *admin.Case) {
		c.User, c.Events = nil, []watchword.Event{byOperator(event(watchword.EventDeleted))}
	})
	disabled := question(func(c *admin.Case) { c.User.DisabledAt = ended })
	disabledAlive := of(iphone(), byOperator(event(watchword.EventDisabled)))
	disabledAlive.User.DisabledAt = ended
	roles := of(iphone())
	roles.User.RolesChangedAt = asked.Add(-5 * time.Minute)
	rolesLong := of(iphone())
	rolesLong.User.RolesChangedAt = asked.Add(-5 * time.Hour)
	early := of(iphone())
	early.At = signedIn.Add(-day)
	beforeTheEnd := of(endedAs(watchword.EndedLogoutAll))
	beforeTheEnd.At = ended.Add(-day)
	roughly := of(endedAs(watchword.EndedLogoutAll))
	roughly.At = ended.Add(-10 * time.Minute)
	return map[string]answer{
		"idle": {later(iphone(), 20*day), "idle", "Computed", idleAt,
			[]string{"Not signed out: ", "by itself on 9 May 2026, 10:00 UTC",
				"after 7 days unused (setting session-idle)"}},
		"idle without stay signed in": {later(short, 20*day), "idle", "Computed", used.Add(day),
			[]string{"after 24 hours unused", "without “Keep me signed in”"}},
		"idle by a changed setting": {shorter, "idle", "Computed", used.Add(day), []string{"after 24 hours unused"}},
		"idle, and the setting was longer": {later(paused, 20*day), "idle", "Computed", idleAt,
			[]string{"after 7 days unused"}},
		"expired": {later(busy, 40*day), "expired", "Certain", signedIn.Add(30 * day),
			[]string{"30 days after the sign-in on 1 May 2026, 08:00 UTC (setting session-max)"}},
		"expired by a changed setting": {cut, "expired", "Computed", signedIn.Add(10 * day),
			[]string{"10 days after the sign-in"}},
		"idle before a recorded end": {later(idleFirst, 20*day), "idle", "Computed", idleAt,
			[]string{"by itself"}},
		"reuse proves a longer setting": {reuseProven, "refresh_reused", "Certain", idleAt.Add(day),
			[]string{"an old copy"}},
		"signed in": {of(iphone()), "signed_in", "Certain", time.Time{},
			[]string{"Not signed out: Safari on iPhone, 192.0.2.7 is signed in", "9 May 2026, 10:00 UTC"}},
		"roles changed": {roles, "roles_changed", "Likely", asked.Add(-5 * time.Minute),
			[]string{"the roles changed on 3 May 2026, 11:57 UTC"}},
		"roles changed long ago": {rolesLong, "signed_in", "Certain", time.Time{}, nil},

		"no session": {question(func(*admin.Case) {}), "no_session", "Certain", time.Time{},
			[]string{"No session of ada@example.com in the last 7 days."}},
		"no account": {question(func(c *admin.Case) { c.User = nil }), "no_account", "Unknown",
			time.Time{}, []string{"No session of ada@example.com in the last 7 days"}},
		"deleted, a row without end": {gone, "account_deleted", "Likely", used, []string{"the account was deleted"}},
		"deleted long ago": {deletedLong, "account_deleted", "Certain", ended,
			[]string{"deleted on 3 May 2026, 10:02 UTC by the operator ops"}},
		"disabled long ago": {disabled, "account_disabled", "Certain", ended,
			[]string{"disabled since 3 May 2026, 10:02 UTC"}},
		"disabled, a row without end": {disabledAlive, "account_disabled", "Certain", ended,
			[]string{"disabled by the operator ops"}},
		"before the first sign-in": {early, "not_yet", "Certain", time.Time{},
			[]string{"The first one began on 1 May 2026, 08:00 UTC"}},
		"ten minutes too early": {roughly, "logout_all", "Certain", ended, nil},
	}
}

// clockJumps are rows whose times contradict each other.
func clockJumps() map[string]answer {
	ahead := iphone()
	ahead.RotatedAt = asked.Add(3 * time.Hour)
	future := endedAs(watchword.EndedLogoutAll)
	future.EndedAt = asked.Add(2 * day)
	back := endedAs(watchword.EndedLogoutAll)
	back.RotatedAt = ended.Add(5 * time.Hour)
	back.EndedAt = ended
	slightly := iphone()
	slightly.RotatedAt = asked.Add(10 * time.Second)
	return map[string]answer{
		"used in the future": {of(ahead), "signed_in", "Uncertain", time.Time{}, nil},
		"ended in the future": {of(future), "logout_all", "Uncertain", asked.Add(2 * day),
			[]string{"5 May 2026"}},
		"ended before the last use":   {of(back), "logout_all", "Uncertain", ended, nil},
		"a few seconds are no reason": {of(slightly), "signed_in", "Certain", time.Time{}, nil},
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
	for _, why := range endReasons(t) {
		if !covered[why] {
			t.Errorf("no case ends with %s", why)
		}
	}
}

// Each answer in the table must have the right evidence.
func TestExplainReturnsTheEventsOfTheEnd(t *testing.T) {
	t.Parallel()
	in := own(event(watchword.EventLogin))
	in.At, in.ID = signedIn, "in"
	unrelated := event("step_up")
	unrelated.At = ended.Add(-time.Hour)
	cause := event(watchword.EventPasswordChanged)
	got := admin.Explain(of(endedAs(watchword.EndedPassword), cause, unrelated, in))
	want := []watchword.Event{cause, in}
	if !slices.EqualFunc(got.Evidence, want, func(a, b watchword.Event) bool { return a.ID == b.ID }) {
		t.Errorf("got %+v", got.Evidence)
	}
}

func TestExplainTellsWhatHappenedSince(t *testing.T) {
	t.Parallel()
	at := func(e watchword.Event, after time.Duration, times int) watchword.Event {
		e.At, e.Times, e.ID = ended.Add(after), times, after.String()
		return e
	}
	other := endedAs(watchword.EndedLogoutAll)
	other.ID, other.Device = "s3", "Firefox on Windows"
	alive := iphone()
	alive.ID, alive.Device, alive.Persistent = "s4", "Edge on macOS", true
	c := of(endedAs(watchword.EndedLogoutAll),
		at(event(watchword.EventLoginFailed), 20*time.Minute, 4),
		at(event(watchword.EventLogin), 10*time.Minute, 1),
		at(event(watchword.EventLoginFailed), 5*time.Minute, 2),
		own(event(watchword.EventLogoutAll)))
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
	created, old := byOperator(event(watchword.EventSignup)), event(watchword.EventDisabled)
	old.At = ended.Add(-time.Hour)
	wrong := event(watchword.EventLoginFailed)
	wrong.SessionID, wrong.At = "", ended.Add(time.Hour)
	got := admin.Explain(question(func(c *admin.Case) { c.Events = []watchword.Event{wrong, created, old} }))
	if want := []string{"Since then one wrong password, on 3 May 2026, 11:02 UTC."}; !slices.Equal(got.Notes, want) {
		t.Errorf("got %q, want %q", got.Notes, want)
	}
	if len(got.Evidence) != 3 {
		t.Errorf("the evidence stops at the sign-up: %+v", got.Evidence)
	}
	in := own(event(watchword.EventSignup))
	got = admin.Explain(question(func(c *admin.Case) { c.Events = []watchword.Event{in, old} }))
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "3 May 2026, 10:02 UTC") || len(got.Evidence) != 1 {
		t.Errorf("a sign-up with a session: %q, %d events", got.Notes, len(got.Evidence))
	}
}

func TestExplainNamesARestoreAsAPossibleCause(t *testing.T) {
	t.Parallel()
	const note = "A backup was restored, or a failover lost changes. This was noticed on 3 May 2026, 10:02 UTC."
	alive, missing := of(iphone()), question(func(*admin.Case) {})
	for name, c := range map[string]struct {
		admin.Case
		kind watchword.EventKind
		at   time.Time
		want bool
	}{
		"a live session":    {alive, watchword.EventRestoreDetected, asked, true},
		"no session":        {missing, watchword.EventRestoreDetected, asked, true},
		"noticed soon":      {alive, watchword.EventRestoreDetected, ended.Add(-10 * time.Minute), true},
		"noticed later":     {alive, watchword.EventRestoreDetected, ended.Add(-time.Hour), false},
		"a week before":     {alive, watchword.EventRestoreDetected, ended.Add(8 * day), false},
		"another event":     {alive, "keys_rotated", asked, false},
		"the end was found": {of(endedAs(watchword.EndedLogout)), watchword.EventRestoreDetected, asked, false},
	} {
		noticed := event(c.kind)
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
		m, both := newManager(t, store)
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
		e := own(event(watchword.EventRefreshReused))
		d := reused
		d.From, e.Device, e.Address, e.Detail = from, from.Device, from.Address, d.String()
		e.Detail = d.String()
		got := admin.Explain(of(endedAs(watchword.EndedReuse), e))
		if !strings.Contains(strings.Join(got.Notes, " "), want) {
			t.Errorf("%+v: %q has no %q", from, got.Notes, want)
		}
	}
}

// endReasons reads the reasons of the engine from its source, so that a new reason needs a
// case.
func endReasons(t *testing.T) (all []watchword.EndReason) {
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

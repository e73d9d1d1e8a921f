package storetest

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword"
)

var rotationTests = map[string]func(suite){
	// RT-3, RT-4
	"RotateAcceptsTheNewestTokenOfALiveSession": func(s suite) {
		u := s.addUser(1)
		one, bystander := s.addSession(Session(u.ID, 1)), s.addSession(Session(u.ID, 2))
		r := Rotate(one, afterStart(time.Hour))
		r.Agent, r.RefreshKey, r.Address = watchword.AgentOf("a phone"), 8, "198.51.100.1"
		got, err := s.Rotate(s.Context(), r)
		if err != nil {
			s.Fatal(err)
		}
		_, one.Rotation = watchword.Judge(one.Rotation, watchword.RotationPolicy{}, r.Presentation)
		one.RefreshKey, one.Address = r.RefreshKey, r.Address
		wantEqual(s, "result", got, watchword.RotateResult{Rotated: true, Session: one, User: u})
		wantEqual(s, "session", s.readSession(one.ID), one)
		wantEqual(s, "another", s.readSession(bystander.ID), bystander)
	},

	// RT-3, RT-4, RT-5, RT-11
	"RotateMatchesJudge": func(s suite) {
		n := 0
		checkManyInputs(s, 20, func(t *rapid.T) {
			n++
			compareWithJudge(s, t, n)
		})
	},

	// RT-3, RT-4, RT-5, RT-11
	"ConcurrentRotationsMatchJudge": func(s suite) {
		n := 0
		checkManyInputs(s, 1, func(t *rapid.T) {
			many := rapid.IntRange(2, 16).Draw(t, "sessions")
			compareConcurrentWithJudge(s, t, n, many)
			n += many
		})
	},

	// RT-11
	"SessionOfDeletedUserDoesNotRotate": func(s suite) {
		u := s.addUser(1)
		one := s.addSession(Session(u.ID, 1))
		s.wantUpdate(
			true,
			"delete",
			func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.DeleteUser(ctx, u.ID) },
		)
		got, err := s.Rotate(s.Context(), Rotate(one, Start))
		if err != nil {
			s.Fatal(err)
		}
		wantEqual(s, "result", got, watchword.RotateResult{})
	},

	"RefusedChargeChangesNothing": func(s suite) {
		one := s.addSession(Session(s.addUser(1).ID, 1))
		r := Rotate(one, afterStart(time.Hour))
		free, tight := newCharge("free", 1, time.Minute), newCharge("tight", 1, time.Minute)
		free.At, tight.At = r.At, r.At
		wantEqual(s, "wait", s.chargeLimit(tight), 0)
		for _, charges := range [][]watchword.Charge{{free, tight}, {tight, free}} {
			r.Charges = charges
			for range 2 {
				got, err := s.Rotate(s.Context(), r)
				if err != nil {
					s.Fatal(err)
				}
				if got.Rotated || got.Wait < tight.Cost-time.Second {
					s.Errorf("got %+v, want a wait of %v and no rotation", got, tight.Cost)
				}
			}
		}
		wantEqual(s, "session", s.readSession(one.ID), one)
		wantEqual(s, "wait for the other limit", s.chargeLimit(free), 0)
	},

	"ChargeIsCountedWithoutRotation": func(s suite) {
		one := Session(s.addUser(1).ID, 1)
		one.Generation = 3
		s.addSession(one)
		r := Rotate(one, afterStart(time.Hour))
		r.Generation = 1
		limit := newCharge("limit", 1, time.Minute)
		limit.At = r.At
		r.Charges = []watchword.Charge{limit}
		got, err := s.Rotate(s.Context(), r)
		if err != nil {
			s.Fatal(err)
		}
		wantEqual(s, "result", got, watchword.RotateResult{})
		wantEqual(s, "session", s.readSession(one.ID), one)
		wantEqual(s, "the limit is used up", s.chargeLimit(limit) > 0, true)
	},

	"RotateWithCanceledContextChangesNothing": func(s suite) {
		one := s.addSession(Session(s.addUser(1).ID, 1))
		canceled, cancel := context.WithCancel(s.Context())
		cancel()
		_, err := s.Rotate(canceled, Rotate(one, Start))
		if !errors.Is(err, context.Canceled) || errors.Is(err, watchword.ErrUnavailable) {
			s.Errorf("canceled: got error %v, want context.Canceled alone", err)
		}
		late, cancel := context.WithDeadline(s.Context(), time.Now().Add(-time.Second))
		defer cancel()
		_, err = s.Rotate(late, Rotate(one, Start))
		s.wantUnavailable("when its time is up", err)
		if _, err := s.Rotate(s.Context(), Rotate(one, Start)); err != nil { // the token is still the newest
			s.Fatal(err)
		}
		wantEqual(s, "generation", s.readSession(one.ID).Generation, one.Generation+1)
	},
}

// checkManyInputs tries hundreds × 100 random inputs, or a quarter of them under the race detector.
func checkManyInputs(s suite, hundreds int, property func(*rapid.T)) {
	s.Helper()
	if RaceDetector() {
		hundreds = max(1, hundreds/4)
	}
	for range hundreds {
		rapid.Check(s.T, property)
	}
}

// compareWithJudge rotates session number n from a random state. The rows that Forgive and EndSession store must
// match Judge, too.
func compareWithJudge(s suite, t *rapid.T, n int) {
	c := s.drawRotation(t, n)
	c.got, c.err = s.Rotate(s.Context(), c.request)
	s.wantVerdict(t, c)
}

func compareConcurrentWithJudge(s suite, t *rapid.T, first, many int) {
	all := make([]*drawnRotation, many)
	for i := range all {
		all[i] = s.drawRotation(t, first+i)
	}
	var rotating sync.WaitGroup
	for _, c := range all {
		rotating.Go(func() { c.got, c.err = s.Rotate(s.Context(), c.request) })
	}
	rotating.Wait()
	for _, c := range all {
		s.wantVerdict(t, c)
	}
}

// A drawnRotation is a session in a random state, a request, and the result of Rotate.
type drawnRotation struct {
	user    watchword.User
	session watchword.Session
	request watchword.RotateRequest
	got     watchword.RotateResult
	err     error
}

// drawRotation inserts session number n and its user, both in a random state, and returns them with a random request.
func (s suite) drawRotation(t *rapid.T, n int) *drawnRotation {
	u, one := drawUser(t, n), drawSession(t, n)
	if !s.tryUpdate(insertUser(u, Start)) {
		t.Fatal("user is not inserted")
	}
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
		if u.Disabled() {
			return errors.Join(tx.SetDisabled(ctx, u.ID, u.DisabledAt), tx.InsertSession(ctx, one))
		}
		return tx.InsertSession(ctx, one)
	})
	return &drawnRotation{user: u, session: one, request: drawRequest(t, one)}
}

// wantVerdict fails unless the result and the stored session are those that Judge returns. For the verdicts late and
// reuse, it first calls Forgive or EndSession, as the engine does.
func (s suite) wantVerdict(t *rapid.T, c *drawnRotation) {
	if c.err != nil {
		t.Fatalf("rotate: %v", c.err)
	}
	u, one, r := c.user, c.session, c.request
	policy := watchword.RotationPolicy{
		Grace: drawOneOf(t, "grace", 0, time.Second, 10*time.Second, time.Minute),
		Clean: rapid.Int64Range(1, 3).Draw(t, "clean"),
	}
	verdict, next := watchword.Judge(one.Rotation, policy, r.Presentation)
	if one.EndedBy(r.Cutoffs) != "" || u.Disabled() {
		verdict, next = watchword.VerdictEnded, one.Rotation
	}
	var want watchword.RotateResult
	switch verdict {
	case watchword.VerdictRotate:
		one.RefreshKey, one.Address = r.RefreshKey, r.Address
		want = watchword.RotateResult{Rotated: true, User: u}
	case watchword.VerdictLate:
		s.wantUpdate(true, "forgive", forgive(one, one.Generation))
	case watchword.VerdictReuse:
		s.wantUpdate(true, "end", endSession(one, watchword.EndedReuse, r.At))
		one.EndedAt, one.EndedWhy = r.At, watchword.EndedReuse
	}
	one.Rotation = next
	if want.Rotated {
		want.Session = one
	}
	wantEqual(s, "result for "+string(verdict), c.got, want)
	wantEqual(s, "session after "+string(verdict), s.readSession(one.ID), one)
	if s.Failed() {
		t.FailNow()
	}
}

func drawOneOf[T any](t *rapid.T, label string, values ...T) T {
	return rapid.SampledFrom(values).Draw(t, label)
}

// drawDurationNearLimit returns a time limit of the rules, or a millisecond more or less, and sometimes the negative
// of it.
func drawDurationNearLimit(t *rapid.T, label string) time.Duration {
	edge := drawOneOf(
		t,
		label,
		0,
		0,
		time.Second,
		10*time.Second,
		time.Minute,
		12*time.Hour,
		7*24*time.Hour,
		30*24*time.Hour,
	)
	beside := drawOneOf(t, label+", beside", -time.Millisecond, 0, time.Millisecond)
	if rapid.Bool().Draw(t, label+", before") {
		return beside - edge
	}
	return beside + edge
}

func drawUser(t *rapid.T, n int) watchword.User {
	u := User(n)
	if rapid.IntRange(0, 9).Draw(t, "disabled") == 0 {
		u.DisabledAt = Start
	}
	return u
}

func drawSession(t *rapid.T, n int) watchword.Session {
	one := Session(User(n).ID, n)
	one.Persistent = rapid.Bool().Draw(t, "persistent")
	// Times before 2001 have fewer than 13 digits in milliseconds and need leading zeros.
	now := drawOneOf(t, "now", Start, time.UnixMilli(1e12).UTC(), time.UnixMilli(1e10).UTC())
	one.RotatedAt = now.Add(drawDurationNearLimit(t, "rotated"))
	one.CreatedAt = one.RotatedAt.Add(-drawOneOf(t, "age", 0, time.Minute, 30*24*time.Hour))
	one.ExpiresAt = one.CreatedAt.Add(30 * 24 * time.Hour)
	one.Generation = drawOneOf[int64](t, "generation", 0, 1, 2, 7, 8, 9, 40, math.MaxInt64-3)
	one.Forgiven = max(watchword.NeverForgiven, one.Generation-rapid.Int64Range(-1, 5).Draw(t, "since forgiven"))
	if rapid.IntRange(0, 9).Draw(t, "ended") == 0 {
		one.EndedAt, one.EndedWhy = one.RotatedAt, watchword.EndedLogout
	}
	at := one.RotatedAt
	for i := range min(one.Generation, watchword.SupersededKept) {
		one.Superseded[watchword.SupersededKept-1-i] = at
		at = at.Add(-drawOneOf(t, "apart", 0, time.Millisecond, time.Second, time.Hour))
	}
	return one
}

func drawRequest(t *rapid.T, one watchword.Session) watchword.RotateRequest {
	at := one.RotatedAt.Add(drawDurationNearLimit(t, "presented"))
	r := Rotate(one, at)
	r.Generation = drawOneOf(t, "presented generation", one.Generation, one.Generation, one.Generation,
		max(0, one.Generation-1), max(0, one.Generation-2), max(0, one.Generation-9), one.Generation+1, math.MaxInt64)
	r.Agent = drawOneOf(t, "agent", one.RotatedBy, watchword.AgentOf("another"))
	r.RefreshKey, r.Address = 9, "198.51.100.1"
	policy := watchword.SessionPolicy{
		Idle:      drawOneOf(t, "idle", time.Minute, 7*24*time.Hour, 30*24*time.Hour),
		ShortIdle: drawOneOf(t, "short idle", time.Second, 12*time.Hour),
		Max:       drawOneOf(t, "max", time.Minute, 30*24*time.Hour),
	}
	r.Cutoffs = policy.Cutoffs(at)
	return r
}

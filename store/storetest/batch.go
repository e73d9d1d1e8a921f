package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword"
)

// Rotations that arrive at the same time may share a statement or a commit. The result of each rotation must be as if
// it had run alone.
var batchTests = map[string]func(suite){
	"FailedRotationDoesNotFailConcurrentOnes": func(s suite) {
		const many, broken = 32, 7
		all := s.addSessions(many, func(n int, one *watchword.Session) {
			if n == broken {
				one.Generation = math.MaxInt64 // overflows, so the rotation fails
			}
		})
		results, errs := s.rotateAtOnce(all, func(int, *watchword.RotateRequest) {})
		for n, one := range all {
			if bad := n == broken; bad != (errs[n] != nil) || bad == results[n].Rotated {
				s.Errorf("session %d: rotated %t, error %v", n, results[n].Rotated, errs[n])
			}
			wantEqual(s, "generation changed", s.readSession(one.ID).Generation != one.Generation, n != broken)
		}
	},

	// RL-2
	"ConcurrentRotationsOfOneSessionChargeTheirClientExactly": func(s suite) {
		const many, allowed = 40, 15
		one := s.addSession(Session(s.addUser(1).ID, 1))
		client, own := newCharge("client", many, time.Hour), newCharge("own", allowed, time.Hour)
		all := slices.Repeat([]watchword.Session{one}, many)
		results, errs := s.rotateAtOnce(all, func(_ int, r *watchword.RotateRequest) {
			r.Charges = []watchword.Charge{client, own}
		})
		refused := 0
		for n, got := range results {
			if errs[n] != nil {
				s.Errorf("request %d: %v", n, errs[n])
			}
			if got.Wait > 0 {
				refused++
			}
		}
		wantEqual(s, "refused", refused, many-allowed)
		for n := range many - allowed {
			wantEqual(s, fmt.Sprintf("wait for place %d of the client", n), s.chargeLimit(client), 0)
		}
		wantEqual(s, "wait of the next one", s.chargeLimit(client), client.Cost)
	},

	// RL-2
	"ConcurrentRotationsChargeOneLimitExactly": func(s suite) {
		const many, allowed = 40, 15
		all := s.addSessions(many, func(int, *watchword.Session) {})
		client := newCharge("client", allowed, time.Hour)
		results, errs := s.rotateAtOnce(all, func(n int, r *watchword.RotateRequest) {
			r.Charges = []watchword.Charge{client, newCharge(fmt.Sprint("own", n), 1, time.Hour)}
		})
		rotated := 0
		for n, got := range results {
			if errs[n] != nil || got.Rotated == (got.Wait > 0) {
				s.Errorf("session %d: %+v, %v", n, got, errs[n])
			}
			if got.Rotated {
				rotated++
			}
			wantEqual(s, "the session rotated", s.readSession(all[n].ID).Generation == 1, got.Rotated)
			wantEqual(s, "its own limit is used up", s.chargeLimit(newCharge(fmt.Sprint("own", n), 1,
				time.Hour)) > 0, got.Rotated)
		}
		wantEqual(s, "rotations", rotated, allowed)
		wantEqual(s, "wait of the next one", s.chargeLimit(client), client.Cost)
	},

	"CanceledCallersDoNotCancelConcurrentRotations": func(s suite) {
		const many = 32
		all := s.addSessions(many, func(int, *watchword.Session) {})
		for generation := range int64(8) {
			results, errs := make([]watchword.RotateResult, many), make([]error, many)
			var rotating sync.WaitGroup
			for n := range all {
				all[n].Generation = s.readSession(all[n].ID).Generation
				ctx, leave := s.Context(), context.CancelFunc(func() {})
				if n%2 == 1 {
					ctx, leave = context.WithTimeout(ctx, time.Duration(n)*60*time.Microsecond)
				}
				rotating.Go(func() {
					defer leave()
					results[n], errs[n] = s.Rotate(ctx, Rotate(all[n],
						afterStart(time.Duration(generation)*time.Second)))
				})
			}
			rotating.Wait()
			for n := range all {
				left := n%2 == 1 && errors.Is(errs[n], context.DeadlineExceeded)
				if !left && (errs[n] != nil || !results[n].Rotated) {
					s.Errorf("session %d: %+v, %v", n, results[n], errs[n])
				}
			}
		}
	},
}

// addSessions inserts one user with several sessions, and returns the sessions. fn may change each session before it
// is inserted.
func (s suite) addSessions(many int, fn func(n int, one *watchword.Session)) (all []watchword.Session) {
	s.Helper()
	u := s.addUser(1)
	for n := range many {
		one := Session(u.ID, n)
		fn(n, &one)
		all = append(all, s.addSession(one))
	}
	return all
}

// rotateAtOnce presents the tokens of all sessions at the time Start. fn may change each request.
func (s suite) rotateAtOnce(
	sessions []watchword.Session, fn func(n int, r *watchword.RotateRequest),
) (results []watchword.RotateResult, errs []error) {
	results, errs = make([]watchword.RotateResult, len(sessions)), make([]error, len(sessions))
	start := make(chan struct{})
	var rotating sync.WaitGroup
	for n, one := range sessions {
		r := Rotate(one, Start)
		fn(n, &r)
		rotating.Go(func() {
			<-start
			results[n], errs[n] = s.Rotate(s.Context(), r)
		})
	}
	close(start)
	rotating.Wait()
	return results, errs
}

// CheckBatches is for a store that rotates several sessions in one statement. It runs the same random requests on two
// empty stores. On the first store, the given function rotates them in one batch. On the second store, they run one
// after the other. The results and the stored rows must be equal. Only Wait may differ: a refused request of a batch
// may have any Wait above 0.
func CheckBatches(
	t *testing.T, one, other watchword.Store,
	batch func([]watchword.RotateRequest) ([]watchword.RotateResult, []error),
) {
	a, b := suite{t, one}, suite{t, other}
	n := 0
	checkManyInputs(a, 3, func(t *rapid.T) {
		first := n
		n += rapid.IntRange(1, 6).Draw(t, "sessions")
		requests := drawBatch(a, b, t, first, n)
		results, errs := batch(requests)
		for i, r := range requests {
			want, err := b.Rotate(b.Context(), r)
			if (errs[i] != nil) != (err != nil) {
				t.Fatalf("request %d: error %v, alone %v", i, errs[i], err)
			}
			want.Wait, results[i].Wait = min(want.Wait, 1), min(results[i].Wait, 1)
			wantEqual(a, fmt.Sprintf("result of request %d", i), results[i], want)
		}
		for _, r := range requests {
			wantEqual(a, "session", a.readSession(r.Session), b.readSession(r.Session))
			for _, c := range r.Charges {
				wantEqual(a, "wait for "+c.Key, a.chargeLimit(c), b.chargeLimit(c))
			}
		}
		if a.Failed() {
			t.FailNow()
		}
	})
}

// drawBatch inserts sessions into both stores, numbered from firstN to endN-1, and returns random requests for them.
// Either some requests share sessions and limits, or one request fails.
func drawBatch(a, b suite, t *rapid.T, firstN, endN int) (requests []watchword.RotateRequest) {
	fails := rapid.IntRange(0, 9).Draw(t, "one fails") == 0
	for n := firstN; n < endN; n++ {
		drawn := a.drawRotation(t, n)
		b.insertDrawnSession(drawn)
		if fails {
			requests = append(requests, drawn.request)
			continue
		}
		for range rapid.IntRange(1, 3).Draw(t, "requests of the session") {
			requests = append(requests, drawChargedRequest(t, drawn.session, firstN))
		}
	}
	if fails {
		requests[0].Address = "a\x00b" // PostgreSQL does not store NUL
	}
	return rapid.Permutation(requests).Draw(t, "order")
}

func (s suite) insertDrawnSession(c *drawnRotation) {
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
		_, err := tx.InsertUser(ctx, c.user, Start)
		if c.user.Disabled() {
			err = errors.Join(err, tx.SetDisabled(ctx, c.user.ID, c.user.DisabledAt))
		}
		return errors.Join(err, tx.InsertSession(ctx, c.session))
	})
}

// drawChargedRequest returns a random request with up to two charges. Few limits exist, and each allows few uses, so
// that some charges are refused. Different batches use different limits.
func drawChargedRequest(t *rapid.T, one watchword.Session, batch int) watchword.RotateRequest {
	r := drawRequest(t, one)
	for i := range rapid.IntRange(0, 2).Draw(t, "charges") {
		key := fmt.Sprintf("limit %d of %d in %d", rapid.IntRange(1, 3).Draw(t, "limit"), i, batch)
		c := newCharge(key, rapid.IntRange(1, 3).Draw(t, "uses"), time.Minute)
		c.At = r.At.Add(rapid.SampledFrom([]time.Duration{0, time.Nanosecond, time.Second, -time.Hour}).Draw(t, "charged"))
		r.Charges = append(r.Charges, c)
	}
	return r
}

package scale

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/ratelimit"
)

// longLifetimes keeps sessions from expiring during a measurement.
var longLifetimes = watchword.SessionPolicy{Idle: 30 * day, ShortIdle: day, Max: 90 * day}

const day = 24 * time.Hour

// A loadResult contains the measurements of clients that rotated sessions for some time.
type loadResult struct {
	rotations int
	took      time.Duration
	each      []time.Duration
}

func (r loadResult) percentile(n int) time.Duration {
	slices.Sort(r.each)
	return r.each[min(len(r.each)*n/100, len(r.each)-1)]
}

// rotateSessions rotates random sessions with concurrent clients for the duration plan.For. Because the choice is
// random, consecutive rotations change distant pages, as with millions of users. Each client uses its own sessions.
func (f *filledStore) rotateSessions(
	ctx context.Context, plan Plan, clients int, stream uint64,
) (all loadResult, err error) {
	var done sync.WaitGroup
	results := make([]loadResult, clients)
	errs := make([]error, clients)
	start := time.Now()
	for client := range clients {
		done.Go(func() {
			random := rand.New(rand.NewPCG(plan.Seed, stream<<32|uint64(client)))
			for ctx.Err() == nil && time.Since(start) < plan.For && errs[client] == nil {
				n := random.IntN(f.sessions/clients)*clients + client
				began := time.Now()
				errs[client] = f.rotate(ctx, plan, n)
				results[client].each = append(results[client].each, time.Since(began))
			}
		})
	}
	done.Wait()
	all.took = time.Since(start)
	for _, r := range results {
		all.rotations += len(r.each)
		all.each = append(all.each, r.each...)
	}
	return all, errors.Join(append(errs, ctx.Err())...)
}

func (f *filledStore) rotate(ctx context.Context, plan Plan, n int) error {
	generation := int64(f.currentGenerations[n])
	at := lastRotation.Add(time.Duration(generation+1) * time.Minute) // one minute apart, so no rate limit is reached
	r := watchword.RotateRequest{
		Session:      watchword.SessionID(idOfNumber(n)),
		Presentation: watchword.Presentation{Generation: generation, Agent: watchword.AgentOf("a browser"), At: at},
		Cutoffs:      longLifetimes.Cutoffs(at),
		Address:      "2001:db8::17",
	}
	if plan.Limits == BothLimits {
		r.Charges = []watchword.Charge{
			{Key: ratelimit.Key("refresh_client", strconv.Itoa(n)), Cost: time.Second, Span: time.Minute, At: at},
			{Key: ratelimit.Key("refresh", string(r.Session)), Cost: time.Second, Span: time.Minute, At: at},
		}
	}
	got, err := f.store.Rotate(ctx, r)
	if err == nil && !got.Rotated {
		err = errors.New("refused")
	}
	if err != nil {
		return fmt.Errorf("session %d, generation %d: %w", n, generation, err)
	}
	f.currentGenerations[n]++
	return nil
}

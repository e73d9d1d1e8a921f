// Package rotation simulates how policies of refresh-token rotation treat honest
// users and thieves. It holds the real watchword.Judge against what others do,
// and knows nothing of servers, stores or clocks: time is drawn from a seed.
package rotation

import (
	"math/rand/v2"
	"time"

	"github.com/watchword-auth/watchword"
)

const (
	// pace is the life of an access token: how often a client refreshes, give or
	// take a jitter of up to a minute.
	pace   = 15 * time.Minute
	jitter = time.Minute
)

const (
	usersAgent = watchword.Agent("the user's browser")
	otherAgent = watchword.Agent("another browser")
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// A client holds one refresh token of a session.
type client struct {
	agent watchword.Agent
	held  int64 // generation
}

// present lets the client refresh, and reports whether the session still lives.
// The client holds its old token until hear is called.
func (c *client) present(p Policy, session *watchword.Rotation, at time.Time) (alive bool) {
	verdict, next := p.Judge(*session, watchword.Presentation{Generation: c.held, Agent: c.agent, At: at})
	*session = next
	return verdict != watchword.VerdictReuse
}

// hear gives the client the answer: every policy answers with the newest token.
func (c *client) hear(session watchword.Rotation) { c.held = session.Generation }

func signIn(at time.Time) watchword.Rotation {
	return watchword.Rotation{Forgiven: watchword.NeverForgiven, RotatedAt: at, RotatedBy: usersAgent}
}

// WrongfulSignOuts has one user, alone, refresh so many times, and counts how
// often the policy takes the user for a thief. A committed answer is lost with
// the given chance, that to a retry too; the client retries when the outage is
// over, and signs in again when signed out.
func WrongfulSignOuts(p Policy, loss float64, refreshes int, seed uint64) (signOuts int) {
	random := rand.New(rand.NewPCG(seed, uint64(refreshes)))
	now := start
	session, user := signIn(now), client{agent: usersAgent}
	for range refreshes {
		now = now.Add(pace + upTo(random, jitter))
		for {
			if !user.present(p, &session, now) {
				signOuts++
				session, user.held = signIn(now), 0
				break
			}
			if random.Float64() >= loss {
				user.hear(session)
				break
			}
			now = now.Add(outage(random))
		}
	}
	return signOuts
}

// outage is how long a client stays cut off: 3 seconds (80 %), 2 minutes (15 %)
// or 2 hours (5 %) on average, exponentially.
func outage(random *rand.Rand) time.Duration {
	mean := 3 * time.Second
	switch kind := random.Float64(); {
	case kind >= 0.95:
		mean = 2 * time.Hour
	case kind >= 0.80:
		mean = 2 * time.Minute
	}
	return time.Duration(random.ExpFloat64() * float64(mean))
}

func upTo(random *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(random.Float64() * float64(most))
}

// Package rotation simulates how policies of refresh-token rotation treat honest users and thieves. It compares
// watchword.Judge with the policies of other servers. It uses no server, store or clock: a seed determines all times.
package rotation

import (
	"math/rand/v2"
	"time"

	"github.com/watchword-auth/watchword"
)

const (
	// Between two refreshes, a client waits for interval and a random time of at most jitter. The interval is the
	// lifetime of an access token.
	interval = 15 * time.Minute
	jitter   = time.Minute
)

const (
	usersAgent = watchword.Agent("the user's browser")
	otherAgent = watchword.Agent("another browser")
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// An honestClient has one refresh token of a session.
type honestClient struct {
	agent      watchword.Agent
	generation int64
}

// presentToken presents the client's token to the server, and reports whether the session is still alive. The client
// keeps its old token until it calls receiveToken, because the response may be lost.
func (c *honestClient) presentToken(p Policy, session *watchword.Rotation, at time.Time) (alive bool) {
	verdict, next := p.Judge(*session, watchword.Presentation{Generation: c.generation, Agent: c.agent, At: at})
	*session = next
	return verdict != watchword.VerdictReuse
}

// receiveToken takes the newest token, which every policy returns in its response.
func (c *honestClient) receiveToken(session watchword.Rotation) { c.generation = session.Generation }

func signIn(at time.Time) watchword.Rotation {
	return watchword.Rotation{Forgiven: watchword.NeverForgiven, RotatedAt: at, RotatedBy: usersAgent}
}

// WrongfulSignOuts simulates one user without a thief, and counts how often the policy signs the user out.
// lossProbability (0 to 1) is the probability that the response to a refresh or a retry is lost. The client retries
// after a random outage, and signs in again after a sign-out. Retries do not count as refreshes.
func WrongfulSignOuts(p Policy, lossProbability float64, refreshes int, seed uint64) (signOuts int) {
	random := rand.New(rand.NewPCG(seed, uint64(refreshes)))
	now := start
	session, user := signIn(now), honestClient{agent: usersAgent}
	for range refreshes {
		now = now.Add(interval + randomUpTo(random, jitter))
		for {
			if !user.presentToken(p, &session, now) {
				signOuts++
				session, user.generation = signIn(now), 0
				break
			}
			if random.Float64() >= lossProbability {
				user.receiveToken(session)
				break
			}
			now = now.Add(randomOutage(random))
		}
	}
	return signOuts
}

// randomOutage is exponentially distributed, with a mean of 3 seconds (80 % of outages), 2 minutes (15 %) or 2 hours
// (5 %).
func randomOutage(random *rand.Rand) time.Duration {
	mean := 3 * time.Second
	switch kind := random.Float64(); {
	case kind >= 0.95:
		mean = 2 * time.Hour
	case kind >= 0.80:
		mean = 2 * time.Minute
	}
	return time.Duration(random.ExpFloat64() * float64(mean))
}

func randomUpTo(random *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(random.Float64() * float64(limit))
}

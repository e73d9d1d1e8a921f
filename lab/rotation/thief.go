package rotation

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
)

// MaxAnswered is the number of answered refreshes after which a thief counts as never
// detected.
const MaxAnswered = 1000

// A Thief copies the user's newest refresh token and then refreshes the session like a second client. A field with
// the zero value means that the thief behaves like the user.
type Thief struct {
	Name string

	// Interval is the time between two refreshes of the thief. The simulation adds up to a minute of jitter.
	Interval time.Duration
	// Refreshes is the number of refreshes after which the thief stops. Zero means no limit.
	Refreshes int
	// UserAway is the time after the copy during which the user does not refresh.
	UserAway time.Duration
	// Within is the maximum time between a refresh of the user and the next refresh of the thief. With 0, the thief
	// refreshes independently of the user.
	Within time.Duration
	// Agent is the thief's user agent.
	Agent watchword.Agent
}

// Thieves returns the kinds of thieves in the comparison.
func Thieves() []Thief {
	return []Thief{
		{Name: "as often as the user"},
		{Name: "three times as fast", Interval: interval / 3},
		{Name: "once only", Refreshes: 1},
		{Name: "while the user sleeps", UserAway: 8 * time.Hour},
		{Name: "always within 9 s of the user", Within: 9 * time.Second},
		{Name: "with another user agent", Agent: otherAgent},
		{Name: "once, with another user agent", Refreshes: 1, Agent: otherAgent},
	}
}

// ThiefResult contains how many thieves were detected, and how many refreshes the server answered before it detected
// each thief.
type ThiefResult struct {
	Thieves       int
	sortedAnswers []int // MaxAnswered for a thief who was never detected
	found         int
}

// NeverDetected returns the share of thieves who were never detected, from 0 to 1.
func (f ThiefResult) NeverDetected() float64 { return 1 - float64(f.found)/float64(f.Thieves) }

// Answered returns how many refreshes of a thief the server answered before detection, at a percentile (0 to 100) of
// all thieves. It returns MaxAnswered if the thief at this percentile was never detected.
func (f ThiefResult) Answered(percentile float64) int {
	return f.sortedAnswers[min(int(percentile/100*float64(len(f.sortedAnswers))), len(f.sortedAnswers)-1)]
}

// SimulateThieves simulates thieves of one kind, each with a separate session.
func SimulateThieves(p Policy, kind Thief, thieves int, seed uint64) ThiefResult {
	random := rand.New(rand.NewPCG(seed, uint64(thieves)))
	f := ThiefResult{Thieves: thieves}
	for range thieves {
		answered, found := simulateThief(p, kind, random)
		if found {
			f.found++
		} else {
			answered = MaxAnswered
		}
		f.sortedAnswers = append(f.sortedAnswers, answered)
	}
	slices.Sort(f.sortedAnswers)
	return f
}

// simulateThief simulates one theft. The user first refreshes UserAway plus one interval after the thief has copied
// the token. The thief first refreshes at a random time, at most Thief.Interval after this refresh of the user. If
// the user is away, the thief first refreshes at most Thief.Interval after the copy.
func simulateThief(p Policy, kind Thief, random *rand.Rand) (answered int, found bool) {
	if kind.Interval == 0 {
		kind.Interval = interval
	}
	if kind.Agent == "" {
		kind.Agent = usersAgent
	}
	session := signIn(start)
	user, thief := honestClient{agent: usersAgent}, honestClient{agent: kind.Agent}
	userAt := start.Add(kind.UserAway + interval + randomUpTo(random, jitter))
	thiefAt := userAt.Add(randomUpTo(random, kind.Interval))
	if kind.UserAway > 0 {
		thiefAt = start.Add(randomUpTo(random, kind.Interval))
	}
	userRefreshes := 0 // refreshes of the user since the thief's last refresh
	for answered < MaxAnswered && userRefreshes < 100 {
		thiefGone := kind.Refreshes > 0 && answered == kind.Refreshes
		if thiefGone || userAt.Before(thiefAt) {
			if !user.presentToken(p, &session, userAt) {
				return answered, true
			}
			user.receiveToken(session)
			if kind.Within > 0 {
				thiefAt = userAt.Add(randomUpTo(random, kind.Within))
			}
			userAt = userAt.Add(interval + randomUpTo(random, jitter))
			userRefreshes++
			continue
		}
		if !thief.presentToken(p, &session, thiefAt) {
			return answered, true
		}
		thief.receiveToken(session)
		answered++
		userRefreshes = 0
		thiefAt = thiefAt.Add(kind.Interval + randomUpTo(random, jitter))
		if kind.Within > 0 {
			thiefAt = userAt.Add(1) // provisional: the user's next refresh sets thiefAt again
		}
	}
	return answered, false
}

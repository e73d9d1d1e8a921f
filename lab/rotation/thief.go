package rotation

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
)

// Enough is after how many of a thief's refreshes the simulation gives up: a
// thief who was answered as often counts as never found.
const Enough = 1000

// A Thief has copied the user's newest refresh token, and refreshes the session
// from elsewhere. Whatever field is zero is as the user does it.
type Thief struct {
	Name string

	// Pace is the time between two refreshes, with up to a minute of jitter.
	Pace time.Duration
	// Turns is how often the thief refreshes and then never again.
	Turns int
	// Away is how much longer the user stays away after the copy: the thief's chance.
	Away time.Duration
	// Behind: the thief sees the user refresh, and follows within so long.
	Behind time.Duration
	// Agent is the user agent that the thief shows.
	Agent watchword.Agent
}

// Thieves are those that the comparison is made for.
func Thieves() []Thief {
	return []Thief{
		{Name: "at the user's pace"},
		{Name: "three times as fast", Pace: pace / 3},
		{Name: "once only", Turns: 1},
		{Name: "while the user sleeps", Away: 8 * time.Hour},
		{Name: "always within 9 s of the user", Behind: 9 * time.Second},
		{Name: "with another user agent", Agent: otherAgent},
		{Name: "once, with another user agent", Turns: 1, Agent: otherAgent},
	}
}

// Findings say how many thieves were found, and how often each of those was
// answered before.
type Findings struct {
	Thieves int
	answers []int // of every thief, ascending; Enough stands for a thief never found
	found   int
}

// NeverFound is the share of thieves who were never found.
func (f Findings) NeverFound() float64 { return 1 - float64(f.found)/float64(f.Thieves) }

// Answered is how often a thief was answered before detection, at a percentile
// over all of them; Enough where that thief was never found.
func (f Findings) Answered(percentile float64) int {
	return f.answers[min(int(percentile/100*float64(len(f.answers))), len(f.answers)-1)]
}

// Chase sends so many thieves of one kind, each after a session of its own.
func Chase(p Policy, kind Thief, thieves int, seed uint64) Findings {
	random := rand.New(rand.NewPCG(seed, uint64(thieves)))
	f := Findings{Thieves: thieves}
	for range thieves {
		answered, found := chase(p, kind, random)
		if found {
			f.found++
		} else {
			answered = Enough
		}
		f.answers = append(f.answers, answered)
	}
	slices.Sort(f.answers)
	return f
}

// chase follows one theft: the user's next refresh comes a pace after the copy,
// and the thief's, unless the user is away, a random part of a pace after it.
func chase(p Policy, kind Thief, random *rand.Rand) (answered int, found bool) {
	if kind.Pace == 0 {
		kind.Pace = pace
	}
	if kind.Agent == "" {
		kind.Agent = usersAgent
	}
	session := signIn(start)
	user, thief := client{agent: usersAgent}, client{agent: kind.Agent}
	userAt := start.Add(kind.Away + pace + upTo(random, jitter))
	thiefAt := userAt.Add(upTo(random, kind.Pace))
	if kind.Away > 0 {
		thiefAt = start.Add(upTo(random, kind.Pace))
	}
	turns := 0 // of the user, after the thief's last
	for answered < Enough && turns < 100 {
		thiefGone := kind.Turns > 0 && answered == kind.Turns
		if thiefGone || userAt.Before(thiefAt) {
			if !user.present(p, &session, userAt) {
				return answered, true
			}
			user.hear(session)
			if kind.Behind > 0 {
				thiefAt = userAt.Add(upTo(random, kind.Behind))
			}
			userAt = userAt.Add(pace + upTo(random, jitter))
			turns++
			continue
		}
		if !thief.present(p, &session, thiefAt) {
			return answered, true
		}
		thief.hear(session)
		answered++
		turns = 0
		thiefAt = thiefAt.Add(kind.Pace + upTo(random, jitter))
		if kind.Behind > 0 {
			thiefAt = userAt.Add(1) // not before the user, whose turn says when
		}
	}
	return answered, false
}

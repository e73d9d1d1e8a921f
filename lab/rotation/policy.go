package rotation

import (
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// A Policy returns the verdict on a presented refresh token. The state of a session is a watchword.Rotation, also for
// the policies of other servers.
type Policy struct {
	Name  string
	Judge func(watchword.Rotation, watchword.Presentation) (watchword.Verdict, watchword.Rotation)
}

// Policies returns the compared policies: those of other servers, and
// watchword.Judge with the given policy last.
func Policies(policy watchword.RotationPolicy) []Policy {
	return []Policy{
		newOtherPolicy("strict", func(watchword.Rotation, watchword.Presentation) bool { return false }),
		newFixedGrace("grace 10s", 10*time.Second),
		newFixedGrace("grace 60s", time.Minute),
		newOtherPolicy("parent good until child used", func(r watchword.Rotation, p watchword.Presentation) bool {
			return p.Generation == r.Generation-1 // the parent is good until a client presents the newest token (child)
		}),
		bounded(policy),
	}
}

func bounded(policy watchword.RotationPolicy) Policy {
	name := fmt.Sprintf("bounded forgiveness, clean = %d, grace %v", policy.Clean, policy.Grace)
	return Policy{name, func(r watchword.Rotation, p watchword.Presentation) (watchword.Verdict, watchword.Rotation) {
		return watchword.Judge(r, policy, p)
	}}
}

// newFixedGrace accepts superseded tokens during the grace period, as many servers do.
func newFixedGrace(name string, grace time.Duration) Policy {
	return newOtherPolicy(name, func(r watchword.Rotation, p watchword.Presentation) bool {
		back := r.Generation - p.Generation
		return back <= watchword.SupersededKept && p.At.Sub(r.Superseded[watchword.SupersededKept-back]) <= grace
	})
}

// newOtherPolicy rotates the newest token, as all policies do. If acceptsOlder returns true for an older token, the
// response contains the newest token. All other tokens count as reuse.
func newOtherPolicy(name string, acceptsOlder func(watchword.Rotation, watchword.Presentation) bool) Policy {
	return Policy{name, func(r watchword.Rotation, p watchword.Presentation) (watchword.Verdict, watchword.Rotation) {
		switch {
		case p.Generation == r.Generation:
			return watchword.Judge(r, watchword.RotationPolicy{}, p)
		case acceptsOlder(r, p):
			return watchword.VerdictRepeat, r
		}
		return watchword.VerdictReuse, r
	}}
}

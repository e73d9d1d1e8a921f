package rotation

import (
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// A Policy decides about a refresh token that is presented: our own, or a peer's
// in the terms of our session.
type Policy struct {
	Name  string
	Judge func(watchword.Rotation, watchword.Presentation) (watchword.Verdict, watchword.Rotation)
}

// Policies are those of the comparison: the peers', and the real function under
// a policy of this project, last.
func Policies(ours watchword.RotationPolicy) []Policy {
	return []Policy{
		peer("strict", func(watchword.Rotation, watchword.Presentation) bool { return false }),
		fixedGrace("grace 10s", 10*time.Second),
		fixedGrace("grace 60s", time.Minute),
		peer("parent good until child used", func(r watchword.Rotation, p watchword.Presentation) bool {
			return p.Generation == r.Generation-1 // the child, r.Generation, was never presented
		}),
		bounded(ours),
	}
}

func bounded(policy watchword.RotationPolicy) Policy {
	name := fmt.Sprintf("bounded forgiveness, clean = %d, grace %v", policy.Clean, policy.Grace)
	return Policy{name, func(r watchword.Rotation, p watchword.Presentation) (watchword.Verdict, watchword.Rotation) {
		return watchword.Judge(r, policy, p)
	}}
}

// fixedGrace answers a superseded token for a while, as many servers offer it.
func fixedGrace(name string, grace time.Duration) Policy {
	return peer(name, func(r watchword.Rotation, p watchword.Presentation) bool {
		back := r.Generation - p.Generation
		return back <= watchword.SupersededKept && p.At.Sub(r.Superseded[watchword.SupersededKept-back]) <= grace
	})
}

// peer is a policy that rotates the newest token, as all do, answers some of the
// older ones, and takes the rest for theft.
func peer(name string, answers func(watchword.Rotation, watchword.Presentation) bool) Policy {
	return Policy{name, func(r watchword.Rotation, p watchword.Presentation) (watchword.Verdict, watchword.Rotation) {
		switch {
		case p.Generation == r.Generation:
			return watchword.Judge(r, watchword.RotationPolicy{}, p)
		case answers(r, p):
			return watchword.VerdictRepeat, r
		}
		return watchword.VerdictReuse, r
	}}
}

package federation

import "github.com/watchword-auth/watchword"

// Given has the facts that decideIdentity gets in its table test.
type Given struct {
	Purpose                            string
	Owner, Local, Self                 watchword.User
	Vouched, SignUp, LinkProven, Waits bool
}

func Decide(f Given) string {
	return string(decideIdentity(facts{purpose: purpose(f.Purpose), owner: f.Owner, vouched: f.Vouched, local: f.Local,
		self: f.Self, signUp: f.SignUp, linkProven: f.LinkProven, waits: f.Waits}))
}

var (
	Vouches = vouches
	Proofs  = proofs
)

package federation

import "github.com/watchword-auth/watchword"

// Given has the facts that decideIdentity gets in its table test.
type Given struct {
	Purpose                            string
	Owner, Local, Self                 watchword.User
	Vouched, SignUp, LinkProven, Waits bool
}

func Decide(f Given) string {
	return string(decideIdentity(decisionFacts{
		purpose: purpose(f.Purpose), identityOwner: f.Owner, isAddressVouched: f.Vouched,
		addressOwner: f.Local, sessionUser: f.Self, canSignUp: f.SignUp, linkProven: f.LinkProven,
		signUpWaits: f.Waits}))
}

var (
	Vouches = vouchesForAddress
	Proofs  = provenMethods
)

package federation

import "github.com/watchword-auth/watchword"

// A purpose says why the user went to the provider. It is sealed in the attempt, so the response to
// a sign-in can't link an identity, and the response to a link can't sign in.
type purpose string

const (
	purposeSignIn purpose = "signin"
	purposeLink   purpose = "link"   // link to the account of a live session
	purposeVerify purpose = "verify" // complete a waiting sign-up with its mailed link
	purposeStepUp purpose = "stepup" // sign in again to the account of the session
)

// facts are the input of decideIdentity. An account with an empty id does not exist.
type facts struct {
	purpose purpose
	owner   watchword.User // the user to whom the identity is linked
	vouched bool           // the provider guarantees the address (verify: the address of the mailed link)
	local   watchword.User // the account with the address

	self watchword.User // purposeLink: the user of the session, or empty if it has ended; purposeStepUp: only the id

	signUp     bool // the provider may create accounts, and sign-up is open
	linkProven bool
	waits      bool // purposeVerify: a sign-up with this identity waits for the mailed link
}

// A verdict is the outcome of decideIdentity.
type verdict string

const (
	signIn       verdict = "sign-in"       // sign in to the owner's account
	link         verdict = "link"          // link to the account of the session
	linked       verdict = "linked"        // the identity is linked to the account of the session already
	taken        verdict = "taken"         // the identity is linked to another account
	create       verdict = "create"        // create an account without a password
	adopt        verdict = "adopt"         // link to the proven account, and sign in
	linkRequired verdict = "link-required" // link after a full sign-in to the proven account
	firstProof   verdict = "first-proof"   // take the account from a creator who never proved the address
	disabled     verdict = "disabled"      // the account with the address is disabled
	wait         verdict = "wait"          // mail the address: it has to be proven first
	closed       verdict = "closed"        // sign-up is closed, so no account is created
	unconnected  verdict = "unconnected"   // step-up: the identity is not linked to the account
	other        verdict = "other"         // the sign-up of the mailed link began with another identity or a password
	invalid      verdict = "invalid"       // the attempt can't be completed
)

// decideIdentity decides which account an identity opens, if any. An address alone never opens a proven
// account. In most published takeovers by external sign-in, the address was not verified, or a stranger
// had created the account with the address of the victim.
func decideIdentity(f facts) verdict {
	known := f.owner.ID != ""
	switch {
	case f.purpose == purposeLink && f.self.ID == "":
		return invalid // the session has ended during the attempt
	case f.purpose == purposeLink && known && f.owner.ID == f.self.ID:
		return linked
	case f.purpose == purposeLink && known:
		return taken
	case f.purpose == purposeLink:
		return link
	case f.purpose == purposeStepUp && (!known || f.owner.ID != f.self.ID):
		return unconnected
	case known:
		return signIn
	case f.purpose == purposeVerify && !f.vouched:
		return decideVerify(f)
	case !f.vouched && !f.signUp:
		return closed // the same for addresses with and without an account, to reveal none
	case !f.vouched:
		return wait
	case f.local.Disabled():
		return disabled
	case f.local.Verified() && f.linkProven:
		return adopt
	case f.local.Verified():
		return linkRequired
	case f.local.ID != "":
		return firstProof
	case !f.signUp:
		return closed
	}
	return create
}

// decideVerify decides about the mailed link of a sign-up that waits with an identity. The link proves the mailbox,
// and the sign-in proves the identity. Both together are enough. If the provider guarantees the address, no link is
// needed.
func decideVerify(f facts) verdict {
	switch {
	case f.local.Verified():
		return invalid
	case !f.waits:
		return other
	case f.local.Disabled():
		return disabled
	case f.local.ID != "":
		return firstProof
	case !f.signUp:
		return closed
	}
	return create
}

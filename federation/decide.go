package federation

import "github.com/watchword-auth/watchword"

// A purpose says why the user went to the provider. It is sealed in the attempt. Therefore the response to a sign-in
// can't connect an identity, and the response to a connection can't sign in.
type purpose string

const (
	purposeSignIn purpose = "signin"
	purposeLink   purpose = "link"   // connect the identity to the account of a live session
	purposeVerify purpose = "verify" // complete a waiting sign-up with its mailed link
	purposeStepUp purpose = "stepup" // sign in again to the account of the session
)

// facts are the input of decideIdentity. An account with an empty id does not exist.
type facts struct {
	purpose purpose
	owner   watchword.User // the user to whom the identity is connected
	vouched bool           // the provider guarantees the address; for purposeVerify: the address of the mailed link
	local   watchword.User // the account with the address

	self watchword.User // purposeLink: the user of the session, or zero if it has ended; purposeStepUp: only the id

	signUp     bool // the provider may create accounts, and sign-up is open
	linkProven bool
	waits      bool // only for purposeVerify: a sign-up with this identity waits for the mailed link
}

// A verdict is the outcome of decideIdentity.
type verdict string

const (
	signIn       verdict = "sign-in"       // sign in to the account of the identity
	link         verdict = "link"          // connect to the account of the session
	linked       verdict = "linked"        // the identity is already connected to the account of the session
	taken        verdict = "taken"         // the identity is connected to another account
	create       verdict = "create"        // create an account without a password
	adopt        verdict = "adopt"         // connect to the proven account, and sign in
	linkRequired verdict = "link-required" // connect only after a full sign-in to the proven account
	firstProof   verdict = "first-proof"   // take the account from a creator who never proved the address
	disabled     verdict = "disabled"      // the account with the address is disabled
	wait         verdict = "wait"          // send a mail to the address: the user must first prove it
	closed       verdict = "closed"        // sign-up is closed, so no account is created
	unconnected  verdict = "unconnected"   // step-up: the identity is not connected to the account
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
		return closed // the same response with and without an account, so it reveals no account
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
// and the sign-in at the provider proves the identity. Both together are enough. If the provider guarantees the
// address, no link is needed.
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

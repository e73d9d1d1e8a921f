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

// decisionFacts are the input of decideIdentity. A watchword.User with an empty id means that there is no such
// account.
type decisionFacts struct {
	purpose          purpose
	identityOwner    watchword.User // zero: the identity is connected to no account
	isAddressVouched bool           // the provider guarantees the address; purposeVerify: and the link has the address
	addressOwner     watchword.User

	sessionUser watchword.User // purposeLink: zero if the session has ended; purposeStepUp: only the id is set

	canSignUp   bool // sign-up is open, and the provider may create accounts
	linkProven  bool
	signUpWaits bool // purposeVerify only: a sign-up with this identity waits for the mailed link
}

// A verdict is the outcome of decideIdentity.
type verdict string

const (
	verdictSignIn        verdict = "sign-in"       // sign in to the account of the identity
	verdictLink          verdict = "link"          // connect to the account of the session
	verdictAlreadyLinked verdict = "linked"        // already connected to the account of the session
	verdictTaken         verdict = "taken"         // connected to an account that is not the session's
	verdictCreate        verdict = "create"        // create an account without a password
	verdictAdopt         verdict = "adopt"         // connect to the proven account, and sign in
	verdictLinkRequired  verdict = "link-required" // connect only after a full sign-in to the proven account
	verdictFirstProof    verdict = "first-proof"   // take the account from a creator who never proved the address
	verdictDisabled      verdict = "disabled"      // the account with the address is disabled
	verdictWait          verdict = "wait"          // send a mail to the address: the user must first prove it
	verdictClosed        verdict = "closed"        // sign-up is closed, so no account is created
	verdictUnconnected   verdict = "unconnected"   // step-up: the identity is not connected to the account
	verdictOtherSignUp   verdict = "other"         // the mailed sign-up began with a password or a different identity
	verdictInvalid       verdict = "invalid"       // the attempt can't be completed
)

// decideIdentity decides which account an identity opens, if any. An address alone never opens a proven
// account. In most published takeovers by external sign-in, the address was not verified, or a stranger
// had created the account with the address of the victim.
func decideIdentity(f decisionFacts) verdict {
	known := f.identityOwner.ID != ""
	switch {
	case f.purpose == purposeLink && f.sessionUser.ID == "":
		return verdictInvalid // the session has ended during the attempt
	case f.purpose == purposeLink && known && f.identityOwner.ID == f.sessionUser.ID:
		return verdictAlreadyLinked
	case f.purpose == purposeLink && known:
		return verdictTaken
	case f.purpose == purposeLink:
		return verdictLink
	case f.purpose == purposeStepUp && (!known || f.identityOwner.ID != f.sessionUser.ID):
		return verdictUnconnected
	case known:
		return verdictSignIn
	case f.purpose == purposeVerify && !f.isAddressVouched:
		return decideVerify(f)
	case !f.isAddressVouched && !f.canSignUp:
		return verdictClosed // the same response with and without an account, so it reveals no account
	case !f.isAddressVouched:
		return verdictWait
	case f.addressOwner.Disabled():
		return verdictDisabled
	case f.addressOwner.Verified() && f.linkProven:
		return verdictAdopt
	case f.addressOwner.Verified():
		return verdictLinkRequired
	case f.addressOwner.ID != "":
		return verdictFirstProof
	case !f.canSignUp:
		return verdictClosed
	}
	return verdictCreate
}

// decideVerify decides which account a mailed link and an identity open together, if any. The link proves the
// mailbox, and the sign-in at the provider proves the identity. If the provider guarantees the address,
// decideIdentity decides without the link.
func decideVerify(f decisionFacts) verdict {
	switch {
	case f.addressOwner.Verified():
		return verdictInvalid
	case !f.signUpWaits:
		return verdictOtherSignUp
	case f.addressOwner.Disabled():
		return verdictDisabled
	case f.addressOwner.ID != "":
		return verdictFirstProof
	case !f.canSignUp:
		return verdictClosed
	}
	return verdictCreate
}

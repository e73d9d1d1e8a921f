package factors_test

import (
	"slices"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/totp"
)

// The second factors that the random test (type walk) presents: right, wrong, used, or of another user.

// preparePasskey usually increases the counter. It chooses at random whether the authenticator verifies the user.
func (w *walk) preparePasskey(k *passkeyModel) (verified bool) {
	if w.rnd.IntN(8) > 0 {
		k.device.key.Counter++
	}
	verified = w.rnd.IntN(3) > 0
	k.authenticator.Options.UserNotVerified = !verified
	return verified
}

// isCounterAcceptable reports whether the counter is above the last accepted counter. Both may be 0.
func (k *passkeyModel) isCounterAcceptable() bool {
	c := k.device.key.Counter
	return c > k.lastCounter || c == 0 && k.lastCounter == 0
}

// recordAcceptedPasskey records that the server has accepted the passkey. If the passkey becomes the first factor,
// all sessions except the current one end. In the second step of a sign-in, the current session is nil, because the
// account already has a factor.
func (w *walk) recordAcceptedPasskey(p *accountModel, k *passkeyModel, verified bool, current *sessionModel) {
	k.lastCounter = k.device.key.Counter
	if verified {
		k.hasVerifiedUser = true
		if k.isUnproven {
			if p.countAskedFactors() == 0 {
				p.endSessions(current)
			}
			k.isUnproven = false
			p.recordFactorsChange()
		}
	}
}

// pickProof chooses a right or wrong second factor. The current session is that of a step-up, or nil for the second
// step of a sign-in. options returns the options of a passkey ceremony.
func (w *walk) pickProof(p *accountModel, current *sessionModel, options func() []byte) (factors.Proof, sentProof) {
	other := randomElement(w, w.people)
	switch w.rnd.IntN(10) {
	case 0, 1: // a code of another user, or a used code
		if a := randomElement(w, other.apps); a != nil && other != p {
			code, _ := totp.Code(a.secret, totp.Step(w.clock()))
			return w.proofFromCode(p, watchword.Secret(code))
		}
		return w.proofFromCode(p, randomElement(w, p.spentCodes))
	case 2, 3: // a recovery code, perhaps of another user
		code, owner := randomElement(w, p.unusedCodes), p
		if w.rnd.IntN(4) == 0 {
			code, owner = randomElement(w, other.unusedCodes), other
		}
		if code == "" {
			return w.proofFromCode(p, "000000")
		}
		g := sentProof{description: "recovery", isAcceptable: owner == p, method: "recovery"}
		g.consume = func() {
			p.unusedCodes = slices.DeleteFunc(p.unusedCodes, func(c watchword.Secret) bool { return c == code })
			p.spentCodes = append(p.spentCodes, code)
		}
		return factors.Proof{RecoveryCode: code}, g
	case 4, 5, 6:
		k, owner := randomElement(w, p.keys), p
		if w.rnd.IntN(5) == 0 {
			k, owner = randomElement(w, other.keys), other
		}
		if raw := options(); k != nil && raw != nil {
			verified := w.preparePasskey(k)
			g := sentProof{description: "passkey", method: "key", userVerified: verified}
			g.consume = func() { w.recordAcceptedPasskey(p, k, verified, current) }
			g.isAcceptable = owner == p && k.isCounterAcceptable() && (!k.isUnproven || verified)
			return factors.Proof{Passkey: k.respondToRequest(w.T, raw)}, g
		}
	}
	if a := randomElement(w, p.apps); a != nil {
		code, err := totp.Code(a.secret, totp.Step(w.clock())+[]int64{0, 0, 0, 1, 1, -1, 2}[w.rnd.IntN(7)])
		must(w.T, err)
		return w.proofFromCode(p, watchword.Secret(code))
	}
	return w.proofFromCode(p, "000000")
}

// proofFromCode treats a code that does not have six digits as a used recovery code.
func (w *walk) proofFromCode(p *accountModel, code watchword.Secret) (factors.Proof, sentProof) {
	if len(code) != 6 {
		if code != "" {
			return factors.Proof{RecoveryCode: code}, sentProof{description: "spent recovery code"}
		}
		code = "123456"
	}
	g := sentProof{description: "code", method: "otp"}
	for _, a := range p.apps { // the engine takes the last app that accepts a code
		if s, ok := a.acceptedStep(code, w.clock()); ok {
			g.isAcceptable, g.consume = true, func() { a.lastStep = s; p.spentCodes = append(p.spentCodes, code) }
		}
	}
	return factors.Proof{TOTP: code}, g
}

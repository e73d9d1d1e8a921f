package factors_test

import (
	"slices"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/totp"
)

// The second factors that the random test (type walk) presents: right, wrong, used, or of another user.

// The method touch prepares the next response of a passkey. It usually increases the counter. It chooses at random
// whether the authenticator verifies the user.
func (w *walk) touch(k *key) (verified bool) {
	if w.rnd.IntN(8) > 0 {
		k.device.key.Counter++
	}
	verified = w.rnd.IntN(3) > 0
	k.auth.Options.UserNotVerified = !verified
	return verified
}

// The method counts reports whether the server should accept the counter of the last response. The counter must be
// higher than the last accepted counter, or both must be 0.
func (k *key) counts() bool {
	c := k.device.key.Counter
	return c > k.counter || c == 0 && k.counter == 0
}

// The method accepted updates the model after the server has accepted a passkey. If the passkey becomes the first
// factor, all sessions end except in. In the second step of a sign-in, in is nil, because the account already has a
// factor.
func (w *walk) accepted(p *person, k *key, verified bool, in *opened) {
	k.counter = k.device.key.Counter
	if verified {
		k.known = true
		if k.unproven {
			if p.due() == 0 {
				p.end(in)
			}
			k.unproven = false
			p.changed()
		}
	}
}

// The method proof chooses a right or wrong second factor. The argument in is the session of a step-up, or nil for
// the second step of a sign-in. The function options returns the options of a passkey's ceremony.
func (w *walk) proof(p *person, in *opened, options func() []byte) (factors.Proof, given) {
	other := one(w, w.people)
	switch w.rnd.IntN(10) {
	case 0, 1: // a code of another user, or a used code
		if a := one(w, other.apps); a != nil && other != p {
			code, _ := totp.Code(a.secret, totp.Step(w.clock()))
			return w.code(p, watchword.Secret(code))
		}
		return w.code(p, one(w, p.spent))
	case 2, 3: // a recovery code, perhaps of another user
		code, owner := one(w, p.codes), p
		if w.rnd.IntN(4) == 0 {
			code, owner = one(w, other.codes), other
		}
		if code == "" {
			return w.code(p, "000000")
		}
		g := given{name: "recovery", right: owner == p, method: "recovery"}
		g.consume = func() {
			p.codes = slices.DeleteFunc(p.codes, func(c watchword.Secret) bool { return c == code })
			p.spent = append(p.spent, code)
		}
		return factors.Proof{RecoveryCode: code}, g
	case 4, 5, 6:
		k, owner := one(w, p.keys), p
		if w.rnd.IntN(5) == 0 {
			k, owner = one(w, other.keys), other
		}
		if raw := options(); k != nil && raw != nil {
			verified := w.touch(k)
			g := given{name: "passkey", method: "key", verified: verified}
			g.consume = func() { w.accepted(p, k, verified, in) }
			g.right = owner == p && k.counts() && (!k.unproven || verified)
			return factors.Proof{Passkey: k.use(w.T, raw)}, g
		}
	}
	if a := one(w, p.apps); a != nil {
		code, err := totp.Code(a.secret, totp.Step(w.clock())+[]int64{0, 0, 0, 1, 1, -1, 2}[w.rnd.IntN(7)])
		must(w.T, err)
		return w.code(p, watchword.Secret(code))
	}
	return w.code(p, "000000")
}

// The method code returns a proof with a code, and whether the model expects the server to accept it. A code that
// does not have six digits is a used recovery code.
func (w *walk) code(p *person, code watchword.Secret) (factors.Proof, given) {
	if len(code) != 6 {
		if code != "" {
			return factors.Proof{RecoveryCode: code}, given{name: "spent recovery code"}
		}
		code = "123456"
	}
	g := given{name: "code", method: "otp"}
	for _, a := range p.apps { // the engine takes the last app that accepts a code
		if s, ok := a.accepts(code, w.clock()); ok {
			g.right, g.consume = true, func() { a.used = s; p.spent = append(p.spent, code) }
		}
	}
	return factors.Proof{TOTP: code}, g
}

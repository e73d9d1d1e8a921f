package factors_test

import (
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/totp"
)

// The model of the random test (type walk). It stores the proofs of every session, and the proofs that can open a new
// session. It shares no code with the engine: levels are numbers here, and each flow states which sessions it ends.

// A person is the model of an account.
type person struct {
	email    string
	id       watchword.UserID
	password watchword.Secret // empty: none
	verified bool
	disabled bool
	external bool // an identity at the provider is connected

	apps  []*app
	keys  []*key
	codes []watchword.Secret // recovery codes that were not used
	spent []watchword.Secret // codes of any kind that must not work again

	live    map[watchword.SessionID]*opened
	gone    []*opened
	waiting []*step
	devices []*browser
	epoch   int // incremented by each change of factors, which makes older challenges and remembered browsers invalid
	secrets int // incremented by each change of the password, which has the same effect
}

// An app is the model of an authenticator app (TOTP). The field used is the last time step that was accepted.
type app struct {
	id     string
	secret []byte
	used   int64
}

// A key is a passkey and the device that stores it.
type key struct {
	id string
	*device
	counter  uint32 // the last counter that the server accepted
	known    bool   // the authenticator has verified the user before, so the passkey signs in alone
	unproven bool   // from an automatic upgrade, and not used yet
}

// An opened is the model of a session, with the proofs that its user has given.
type opened struct {
	in       *watchword.SignIn
	access   watchword.Secret
	proofs   []string // pwd, ext, mfa (of the application), otp, key, recovery, device
	verified bool     // the last proof was a passkey that has verified its user
	ever     bool     // one of the proofs was a passkey that has verified its user
	at       time.Time
}

// A step is a sign-in that waits for a factor, or for the enrolment of the first factor.
type step struct {
	handle  watchword.Secret
	passkey []byte
	enrols  bool
	proofs  []string
	epoch   int
	secrets int
	at      time.Time
	tries   int
	done    bool
	begun   []*begun
}

// A begun is the enrolment of an authenticator app that waits for its first code.
type begun struct {
	id     string
	secret []byte
	at     time.Time
	tries  int
	done   bool
}

// A browser is a remembered device.
type browser struct {
	token   watchword.Secret
	epoch   int
	secrets int
	at      time.Time
	gone    bool
}

// A given is a proof that a flow sends. The field right says whether the model expects the server to accept it.
type given struct {
	name     string
	right    bool
	method   string // otp, key, recovery
	verified bool
	consume  func()
}

const (
	levelNone = iota // no proof, or only a remembered device
	levelOne
	levelTwo
	levelPasskey
)

// rank returns the level of a session with these proofs. If last is true, the last proof was a passkey that verified
// the user. If ever is true, one of the proofs was such a passkey.
func rank(proofs []string, last, ever bool) int {
	first, second := false, false
	for _, p := range proofs {
		switch p {
		case "pwd", "ext":
			first = true
		case "otp", "key", "recovery":
			second = true
		}
	}
	switch {
	case last:
		return levelPasskey
	case first && second, ever, slices.Contains(proofs, "mfa"):
		return levelTwo
	case first, second:
		return levelOne
	}
	return levelNone
}

func (s *opened) rank() int { return rank(s.proofs, s.verified, s.ever) }

// rankOf returns the number of a level that the engine names.
func rankOf(acr string) int {
	return slices.Index([]string{"", amr.LevelOne, amr.LevelTwo, amr.LevelPasskey}, acr)
}

// add records a proof of a session.
func (s *opened) add(g given, at time.Time) {
	if !slices.Contains(s.proofs, g.method) {
		s.proofs = append(s.proofs, g.method)
	}
	s.verified, s.ever, s.at = g.verified, s.ever || g.verified, at
}

// The method due returns how many factors of the account a sign-in asks for.
func (p *person) due() int {
	n := len(p.apps)
	for _, k := range p.keys {
		if !k.unproven {
			n++
		}
	}
	return n
}

// The method end records that all sessions of an account have ended, except one.
func (p *person) end(except *opened) {
	for id, s := range p.live {
		if s != except {
			p.gone = append(p.gone, s)
			delete(p.live, id)
		}
	}
}

// The method changed records a change of factors.
func (p *person) changed() { p.epoch++ }

func (p *person) setPassword(next watchword.Secret) { p.password, p.secrets = next, p.secrets+1 }

// fresh reports whether a session may change factors at now.
func (p *person) fresh(s *opened, now time.Time) bool {
	return now.Sub(s.at) <= stepUpAge && (p.due() == 0 || s.rank() >= levelTwo)
}

// The method expect returns the code with which the engine must refuse a sign-in with these proofs, or "" if the
// sign-in must succeed.
func (p *person) expect(required bool, proofs []string, verified, device bool) watchword.Code {
	r := rank(proofs, verified, verified)
	switch {
	case p.disabled:
		return watchword.CodeAccountDisabled
	case p.due() == 0 && required && r < levelTwo && !p.verified:
		return watchword.CodeEmailNotVerified
	case p.due() == 0 && required && r < levelTwo:
		return watchword.CodeEnrolmentRequired
	case p.due() > 0 && r < levelTwo && !device:
		return watchword.CodeSecondFactorRequired
	}
	return ""
}

// The method accepts reports whether an app must accept a code at now, and for which time step. This is the highest
// unused step with this code. Two steps can have the same code. If the last used step has it too, the code is refused
// for the next two steps.
func (a *app) accepts(code watchword.Secret, now time.Time) (int64, bool) {
	for s := totp.Step(now) + 1; s >= totp.Step(now)-1; s-- {
		own, err := totp.Code(a.secret, s)
		if err != nil || s <= a.used || own != string(code) {
			continue
		}
		before, err := totp.Code(a.secret, a.used)
		return s, err == nil && (before != own || s-a.used > 2)
	}
	return 0, false
}

// usable reports whether the sign-in of this step can still be completed.
func (s *step) usable(p *person, now time.Time) bool {
	return !s.enrols && s.begins(p, now) && s.secrets == p.secrets
}

// The method begins reports whether a waiting sign-in can be tried: it is not done, outdated or expired, and has
// attempts left.
func (s *step) begins(p *person, now time.Time) bool {
	return !s.done && s.epoch == p.epoch && s.tries < watchword.ChallengeAttempts &&
		now.Sub(s.at) < watchword.ChallengeLife
}

// usable reports whether a browser still skips the second factor.
func (b *browser) usable(p *person, now time.Time) bool {
	return b != nil && !b.gone && b.epoch == p.epoch && b.secrets == p.secrets && now.Sub(b.at) < rememberFor
}

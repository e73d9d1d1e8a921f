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

type accountModel struct {
	email       string
	id          watchword.UserID
	password    watchword.Secret // may be empty
	verified    bool
	disabled    bool
	hasIdentity bool // at the provider

	apps        []*totpApp
	keys        []*passkeyModel
	unusedCodes []watchword.Secret // of recovery codes
	spentCodes  []watchword.Secret // codes of any kind that must not work again

	liveSessions    map[watchword.SessionID]*sessionModel
	endedSessions   []*sessionModel
	waitingSignIns  []*waitingSignIn
	browsers        []*rememberedBrowser
	factorsVersion  int // incremented by each change; invalidates older challenges and remembered browsers
	passwordVersion int // incremented by each change; has the same effect as factorsVersion
}

// A totpApp is an authenticator app. lastStep is the last time step that the server accepted.
type totpApp struct {
	id       string
	secret   []byte
	lastStep int64
}

// A passkeyModel is a passkey and the device that stores it.
type passkeyModel struct {
	id string
	*device
	lastCounter     uint32 // that the server accepted
	hasVerifiedUser bool   // the passkey has verified its user before, so no other proof is needed
	isUnproven      bool   // from an automatic upgrade, before its first use
}

// A sessionModel has the proofs that the user of a session has given.
type sessionModel struct {
	in           *watchword.SignIn
	accessToken  watchword.Secret
	proofs       []string // pwd, ext, mfa (of the application), otp, key, recovery, device
	lastVerified bool     // the last proof was a passkey with user verification
	everVerified bool     // one of the proofs was a passkey with user verification
	provenAt     time.Time
}

// A waitingSignIn waits for a factor, or for the enrolment of the first factor.
type waitingSignIn struct {
	handle          watchword.Secret
	passkey         []byte
	isEnrolment     bool
	proofs          []string
	factorsVersion  int
	passwordVersion int
	startedAt       time.Time
	tries           int
	done            bool
	pendingTOTPs    []*pendingTOTP
}

// A pendingTOTP waits for its first code.
type pendingTOTP struct {
	id        string
	secret    []byte
	startedAt time.Time
	tries     int
	done      bool
}

type rememberedBrowser struct {
	token           watchword.Secret
	factorsVersion  int
	passwordVersion int
	rememberedAt    time.Time
	isForgotten     bool
}

// A sentProof is the proof in a request. The field isAcceptable says whether the model expects the server to accept
// the proof.
type sentProof struct {
	description  string
	isAcceptable bool
	method       string // otp, key, recovery
	userVerified bool
	consume      func()
}

const (
	levelNone = iota // no proof, or only a remembered device
	levelOne
	levelTwo
	levelPasskey
)

// sessionLevel computes the level of a session from its proofs. lastVerified says that the last proof was a passkey
// with user verification, and everVerified that one of the proofs was.
func sessionLevel(proofs []string, lastVerified, everVerified bool) int {
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
	case lastVerified:
		return levelPasskey
	case first && second, everVerified, slices.Contains(proofs, "mfa"):
		return levelTwo
	case first, second:
		return levelOne
	}
	return levelNone
}

func (s *sessionModel) level() int { return sessionLevel(s.proofs, s.lastVerified, s.everVerified) }

func levelOfACR(acr string) int {
	return slices.Index([]string{"", amr.LevelOne, amr.LevelTwo, amr.LevelPasskey}, acr)
}

func (s *sessionModel) addProof(g sentProof, at time.Time) {
	if !slices.Contains(s.proofs, g.method) {
		s.proofs = append(s.proofs, g.method)
	}
	s.lastVerified, s.everVerified, s.provenAt = g.userVerified, s.everVerified || g.userVerified, at
}

// countAskedFactors counts the factors that a sign-in asks for.
func (p *accountModel) countAskedFactors() int {
	n := len(p.apps)
	for _, k := range p.keys {
		if !k.isUnproven {
			n++
		}
	}
	return n
}

func (p *accountModel) endSessions(except *sessionModel) {
	for id, s := range p.liveSessions {
		if s != except {
			p.endedSessions = append(p.endedSessions, s)
			delete(p.liveSessions, id)
		}
	}
}

func (p *accountModel) recordFactorsChange() { p.factorsVersion++ }

func (p *accountModel) setPassword(next watchword.Secret) {
	p.password, p.passwordVersion = next, p.passwordVersion+1
}

func (p *accountModel) isFresh(s *sessionModel, now time.Time) bool {
	return now.Sub(s.provenAt) <= stepUpAge && (p.countAskedFactors() == 0 || s.level() >= levelTwo)
}

// expectedCode returns the code with which the engine must refuse a sign-in with these proofs, or "" if the sign-in
// must succeed.
func (p *accountModel) expectedCode(required bool, proofs []string, verified, device bool) watchword.Code {
	r := sessionLevel(proofs, verified, verified)
	switch {
	case p.disabled:
		return watchword.CodeAccountDisabled
	case p.countAskedFactors() == 0 && required && r < levelTwo && !p.verified:
		return watchword.CodeEmailNotVerified
	case p.countAskedFactors() == 0 && required && r < levelTwo:
		return watchword.CodeEnrolmentRequired
	case p.countAskedFactors() > 0 && r < levelTwo && !device:
		return watchword.CodeSecondFactorRequired
	}
	return ""
}

// acceptedStep returns the highest unused time step that has this code, or false if the app must refuse the code. Two
// steps can have the same code by chance. If the last used step has this code too, the app must refuse the code for
// the next two steps.
func (a *totpApp) acceptedStep(code watchword.Secret, now time.Time) (int64, bool) {
	for s := totp.Step(now) + 1; s >= totp.Step(now)-1; s-- {
		own, err := totp.Code(a.secret, s)
		if err != nil || s <= a.lastStep || own != string(code) {
			continue
		}
		before, err := totp.Code(a.secret, a.lastStep)
		return s, err == nil && (before != own || s-a.lastStep > 2)
	}
	return 0, false
}

func (s *waitingSignIn) canComplete(p *accountModel, now time.Time) bool {
	return !s.isEnrolment && s.canTry(p, now) && s.passwordVersion == p.passwordVersion
}

// canTry reports that a waiting sign-in is not done, outdated or expired, and has attempts left.
func (s *waitingSignIn) canTry(p *accountModel, now time.Time) bool {
	return !s.done && s.factorsVersion == p.factorsVersion && s.tries < watchword.ChallengeAttempts &&
		now.Sub(s.startedAt) < watchword.ChallengeLife
}

func (b *rememberedBrowser) isUsable(p *accountModel, now time.Time) bool {
	return b != nil && !b.isForgotten &&
		b.factorsVersion == p.factorsVersion && b.passwordVersion == p.passwordVersion &&
		now.Sub(b.rememberedAt) < rememberFor
}

package factors_test

import (
	"encoding/base32"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/totp"
)

// The flows of the random test (type walk) that change accounts.

func newPendingTOTP(t *testing.T, e factors.Enrolment, now time.Time) *pendingTOTP {
	t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(e.Secret))
	must(t, err)
	return &pendingTOTP{id: e.ID, secret: secret, startedAt: now}
}

func (b *pendingTOTP) isUsable(now time.Time) bool {
	return !b.done && b.tries < watchword.ChallengeAttempts && now.Sub(b.startedAt) < watchword.ChallengeLife
}

// randomCode returns a code, and whether the code is right. Most codes are right.
func (w *walk) randomCode(secret []byte) (watchword.Secret, bool) {
	offset := []int64{0, 0, 0, 0, 0, 1, -1, 7}[w.rnd.IntN(8)]
	code, err := totp.Code(secret, totp.Step(w.clock())+offset)
	must(w.T, err)
	_, right := (&totpApp{secret: secret}).acceptedStep(watchword.Secret(code), w.clock())
	return watchword.Secret(code), right
}

func (w *walk) stepUp(p *accountModel) {
	s, who := w.authenticateSession(p)
	if s == nil {
		return
	}
	if w.rnd.IntN(3) == 0 && p.password != "" {
		_, _, err := w.StepUp(w.Context(), who, factors.StepUpRequest{Password: p.password, Client: laptop})
		if w.checkOutcome("step-up with the password", err, p.countAskedFactors() == 0) {
			s.provenAt = w.clock()
		}
		return
	}
	proof, g := w.pickProof(p, s, func() []byte {
		ceremony, err := w.StepUpOptions(w.Context(), who)
		if err != nil {
			return nil
		}
		return ceremony.Options
	})
	first := slices.Contains(s.proofs, "pwd") || slices.Contains(s.proofs, "ext")
	isAllowed := g.isAcceptable && (g.method != "key" || g.userVerified || first)
	access, _, err := w.StepUp(w.Context(), who, factors.StepUpRequest{Proof: proof, Client: laptop})
	if w.checkOutcome("step-up with "+g.description, err, isAllowed) {
		g.consume()
		s.accessToken = access
		s.addProof(g, w.clock())
		w.checkTokenLevel(p, s)
	}
}

// refreshSession sometimes sends the old refresh token again, which must be refused.
func (w *walk) refreshSession(p *accountModel) {
	s := w.pickSession(p)
	if s == nil || s.in == nil {
		return
	}
	old := s.in.RefreshToken
	w.refreshAccessToken(p, s)
	w.countOutcome("refresh", nil)
	if w.rnd.IntN(4) == 0 {
		w.advance(11 * time.Second) // after the grace period
		w.refreshAccessToken(p, s)
		w.advance(11 * time.Second)
		_, err := w.Engine.Refresh(w.Context(), old, phone)
		w.checkOutcome("old refresh token", err, false)
		for id, live := range p.liveSessions {
			if live == s {
				p.endedSessions = append(p.endedSessions, s)
				delete(p.liveSessions, id)
			}
		}
	}
}

// tryEndedSession sends the tokens of an ended session, which the server must refuse.
func (w *walk) tryEndedSession(p *accountModel) {
	s := randomElement(w, p.endedSessions)
	if s == nil {
		return
	}
	_, err := w.Authenticate(w.Context(), s.accessToken)
	w.checkOutcome("access token of an ended session", err, false)
	if s.in != nil {
		_, err = w.Engine.Refresh(w.Context(), s.in.RefreshToken, laptop)
		w.checkOutcome("refresh token of an ended session", err, false)
	}
}

func (w *walk) enrolApp(p *accountModel) {
	s, who := w.authenticateSession(p)
	if s == nil {
		return
	}
	isAllowed := p.verified && p.isFresh(s, w.clock()) && len(p.apps) < factors.MaxTOTP
	started, err := w.BeginTOTP(w.Context(), who, "")
	if !w.checkOutcome("begin app", err, isAllowed) {
		return
	}
	w.awaitEmptyOutbox()
	w.advance([]time.Duration{0, 0, 0, time.Minute, stepUpAge + time.Second}[w.rnd.IntN(5)])
	b := newPendingTOTP(w.T, started, w.clock())
	code, right := w.randomCode(b.secret)
	done, err := w.ConfirmTOTP(w.Context(), who, b.id, code, laptop)
	if w.checkOutcome("confirm app", err, right && p.isFresh(s, w.clock())) {
		step, _ := (&totpApp{secret: b.secret}).acceptedStep(code, w.clock())
		if p.countAskedFactors() == 0 {
			p.endSessions(s)
		}
		p.receiveNewCodes(w.T, done.Codes)
		p.recordFactorsChange()
		p.apps = append(p.apps, &totpApp{id: done.Factor().ID, secret: b.secret, lastStep: step})
		s.addProof(sentProof{method: "otp"}, w.clock())
	}
}

func (w *walk) enrolPasskey(p *accountModel) {
	s, who := w.authenticateSession(p)
	if s == nil {
		return
	}
	upgrade := w.rnd.IntN(3) == 0
	isAllowed := p.verified && p.isFresh(s, w.clock()) && len(p.keys) < factors.MaxPasskeys
	started, err := w.BeginPasskey(w.Context(), who, upgrade)
	if !w.checkOutcome("begin passkey", err, isAllowed) {
		return
	}
	k := &passkeyModel{device: newDevice(), isUnproven: upgrade}
	verified := w.preparePasskey(k)
	done, err := w.ConfirmPasskey(w.Context(), who,
		factors.NewPasskey{Ceremony: started.ID, Credential: k.respondToCreation(w.T, started.Options)}, laptop)
	must(w.T, err)
	first := p.countAskedFactors() == 0 && !upgrade
	w.addKey(p, k, done, verified)
	p.recordFactorsChange()
	if upgrade {
		return
	}
	if first {
		p.endSessions(s)
	}
	p.receiveNewCodes(w.T, done.Codes)
	s.addProof(sentProof{method: "key", userVerified: verified}, w.clock())
}

func (w *walk) addKey(p *accountModel, k *passkeyModel, done factors.Confirmation, verified bool) {
	k.id, k.hasVerifiedUser, k.lastCounter = done.Factor().ID, verified, k.device.key.Counter
	k.authenticator.Options.UserNotVerified = false
	p.keys = append(p.keys, k)
}

// removeFactor sometimes tries to remove a factor of another account.
func (w *walk) removeFactor(p *accountModel) {
	s, who := w.authenticateSession(p)
	if s == nil {
		return
	}
	owner := p
	if w.rnd.IntN(6) == 0 {
		owner = randomElement(w, w.people)
	}
	a, k := randomElement(w, owner.apps), randomElement(w, owner.keys)
	id, counts, alone := "", true, false
	switch {
	case k != nil && (a == nil || w.rnd.IntN(2) == 0):
		id, counts, alone, a = k.id, !k.isUnproven, true, nil
	case a != nil:
		id, k = a.id, nil
	default:
		return
	}
	left := p.countAskedFactors()
	if counts {
		left--
	}
	other := slices.ContainsFunc(p.keys, func(o *passkeyModel) bool {
		return o != k && (o.hasVerifiedUser || o.isUnproven)
	})
	way := p.password != "" || p.hasIdentity || other
	last := counts && left == 0 && w.required
	isAllowed := owner == p && p.isFresh(s, w.clock()) && !last && (way || !alone)
	err := w.Remove(w.Context(), who, id, laptop)
	if !way && !alone {
		isAllowed = err == nil // the model does not predict whether the store refuses this
	}
	if !w.checkOutcome("remove", err, isAllowed) {
		return
	}
	p.apps = slices.DeleteFunc(p.apps, func(o *totpApp) bool { return o == a })
	p.keys = slices.DeleteFunc(p.keys, func(o *passkeyModel) bool { return o == k })
	p.recordFactorsChange()
	p.endSessions(s)
	if p.countAskedFactors() == 0 {
		p.spendAllCodes()
		s.dropFactorProofs()
	}
	w.refreshAccessToken(p, s) // the removal made the access token invalid
}

// dropFactorProofs keeps only the proof by password or by provider.
func (s *sessionModel) dropFactorProofs() {
	first := slices.DeleteFunc(slices.Clone(s.proofs), func(m string) bool { return m != "pwd" && m != "ext" })
	if len(first) == 0 {
		first = s.proofs[:1]
	}
	s.proofs, s.lastVerified, s.everVerified = first, false, false
}

// receiveNewCodes fails the test if an account that already has codes gets new ones.
func (p *accountModel) receiveNewCodes(t *testing.T, codes []watchword.Secret) {
	t.Helper()
	if (len(p.unusedCodes) == 0) != (len(codes) == 10) {
		t.Fatalf("%d codes for an account that has %d", len(codes), len(p.unusedCodes))
	}
	p.unusedCodes = append(p.unusedCodes, codes...)
}

func (p *accountModel) spendAllCodes() {
	p.spentCodes, p.unusedCodes = append(p.spentCodes, p.unusedCodes...), nil
}

func (w *walk) replaceCodes(p *accountModel) {
	s, who := w.authenticateSession(p)
	if s == nil {
		return
	}
	codes, err := w.NewRecoveryCodes(w.Context(), who, laptop)
	if w.checkOutcome("new recovery codes", err, p.countAskedFactors() > 0 && p.isFresh(s, w.clock())) {
		p.spendAllCodes()
		p.unusedCodes = codes
	}
}

func (w *walk) changePassword(p *accountModel) {
	s, who := w.authenticateSession(p)
	if s == nil || p.password == "" {
		return
	}
	next := watchword.Secret(fmt.Sprintf("a rainbow over the bay %d", w.outcomes["all"]))
	given := p.password
	if w.rnd.IntN(5) == 0 {
		given = "wrong password"
	}
	isAllowed := given == p.password && (p.countAskedFactors() == 0 || p.isFresh(s, w.clock()))
	if w.checkOutcome("change password", w.ChangePassword(w.Context(), who, given, next, laptop), isAllowed) {
		p.setPassword(next)
		p.endSessions(s)
	}
}

// resetPassword uses a mailed link. The server must keep the factors, because the address is proven, and must open no
// session.
func (w *walk) resetPassword(p *accountModel) {
	if p.disabled || !p.verified {
		return
	}
	must(w.T, w.ForgotPassword(w.Context(), p.email, "", phone))
	token := w.mailboxes.awaitToken(w.T, watchword.MailReset, p.email)
	next := watchword.Secret(fmt.Sprintf("a rainbow over the sea %d", w.outcomes["all"]))
	_, err := w.Engine.ResetPassword(w.Context(), token, next, phone)
	if w.checkOutcome("reset", err, true) {
		p.setPassword(next)
		p.endSessions(nil)
	}
}

func (w *walk) signOut(p *accountModel) {
	s, who := w.authenticateSession(p)
	if s == nil {
		return
	}
	if w.rnd.IntN(2) == 0 {
		must(w.T, w.Logout(w.Context(), s.in.RefreshToken, s.accessToken, laptop))
		for id, live := range p.liveSessions {
			if live == s {
				p.endedSessions = append(p.endedSessions, s)
				delete(p.liveSessions, id)
			}
		}
		return
	}
	_, err := w.LogoutAll(w.Context(), who, who.Session.ID, laptop)
	must(w.T, err)
	p.endSessions(s)
	p.forgetBrowsers()
}

func (p *accountModel) forgetBrowsers() {
	for _, b := range p.browsers {
		b.isForgotten = true
	}
}

func (w *walk) forgetBrowser(p *accountModel) {
	s, who := w.authenticateSession(p)
	if s == nil {
		return
	}
	if w.checkOutcome("forget devices", w.ForgetDevice(w.Context(), who, "", laptop), p.isFresh(s, w.clock())) {
		p.forgetBrowsers()
	}
}

func (w *walk) runOperatorAction(p *accountModel) {
	kind := w.rnd.IntN(6)
	if p.disabled {
		kind = 5
	}
	switch kind {
	case 0:
		must(w.T, w.Manager.Reset(w.Context(), "ops", p.id))
		p.apps, p.keys = nil, nil
		w.recordFactorReset(p)
	case 1:
		must(w.T, w.ResetKind(w.Context(), "ops", p.id, factors.KindTOTP))
		p.apps = nil
		w.recordFactorReset(p)
	case 2:
		err := w.ResetKind(w.Context(), "ops", p.id, factors.KindPasskey)
		if w.checkOutcome("reset passkeys", err, p.password != "" || p.hasIdentity || len(p.keys) == 0) {
			p.keys = nil
			w.recordFactorReset(p)
		}
	case 3:
		must(w.T, w.Operator().DisableUser(w.Context(), p.id))
		p.disabled = true
		p.endSessions(nil)
		w.countOutcome("disable", nil)
	default:
		if p.disabled {
			must(w.T, w.Operator().EnableUser(w.Context(), p.id))
			p.disabled = false
			return
		}
		_, err := w.Operator().EndUserSessions(w.Context(), p.id)
		must(w.T, err)
		p.endSessions(nil)
		p.forgetBrowsers()
	}
}

func (w *walk) recordFactorReset(p *accountModel) {
	if p.countAskedFactors() == 0 {
		p.spendAllCodes()
	}
	p.recordFactorsChange()
	p.endSessions(nil)
	w.countOutcome("operator's reset", nil)
}

// changeAddress sometimes adds factors after the change, and opens the link in the mail to the old address. This link
// undoes the change.
func (w *walk) changeAddress(p *accountModel) {
	s, who := w.authenticateSession(p)
	if s == nil || p.password == "" || !p.verified || p.hasIdentity {
		return
	}
	next := fmt.Sprintf("n%d.%d@example.org", w.n, w.outcomes["all"])
	isAllowed := p.countAskedFactors() == 0 || p.isFresh(s, w.clock())
	if !w.checkOutcome("change address", w.ChangeEmail(w.Context(), who, next, p.password, laptop), isAllowed) {
		return
	}
	token := w.mailboxes.awaitToken(w.T, watchword.MailConfirmAddress, next)
	_, err := w.ConfirmEmail(w.Context(), watchword.MailLinkRequest{Token: token, Password: p.password, Client: laptop})
	must(w.T, err)
	old := p.email
	p.email = next
	undo := w.mailboxes.awaitToken(w.T, watchword.MailAddressChanged, old)
	if w.rnd.IntN(2) == 0 {
		return
	}
	apps, keys, codes := slices.Clone(p.apps), slices.Clone(p.keys), slices.Clone(p.unusedCodes)
	w.awaitEmptyOutbox()
	w.advance(time.Second)
	w.enrolApp(p)
	w.enrolPasskey(p)
	must(w.T, w.UndoEmail(w.Context(), undo, laptop))
	w.countOutcome("undo", nil)
	p.email, p.apps, p.keys = old, apps, keys
	if !slices.Equal(codes, p.unusedCodes) {
		p.spendAllCodes() // the undo also deletes the codes that were created after the change
	}
	p.recordFactorsChange()
	p.endSessions(nil)
	reset := w.mailboxes.awaitToken(w.T, watchword.MailReset, old)
	_, err = w.Engine.ResetPassword(w.Context(), reset, password, laptop)
	must(w.T, err)
	p.setPassword(password)
}

func (w *walk) deleteAccount(p *accountModel) {
	s, who := w.authenticateSession(p)
	if s == nil || p.password == "" {
		return
	}
	isAllowed := p.countAskedFactors() == 0 || p.isFresh(s, w.clock())
	if w.checkOutcome("delete account", w.DeleteAccount(w.Context(), who, p.password, laptop), isAllowed) {
		w.people = slices.DeleteFunc(w.people, func(o *accountModel) bool { return o == p })
	}
}

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

func newBegun(t *testing.T, e factors.Enrolment, now time.Time) *begun {
	t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(e.Secret))
	must(t, err)
	return &begun{id: e.ID, secret: secret, at: now}
}

func (b *begun) usable(now time.Time) bool {
	return !b.done && b.tries < watchword.ChallengeAttempts && now.Sub(b.at) < watchword.ChallengeLife
}

// codeFor returns a TOTP code for a secret, and reports whether the code is right. Most codes are right.
func (w *walk) codeFor(secret []byte) (watchword.Secret, bool) {
	offset := []int64{0, 0, 0, 0, 0, 1, -1, 7}[w.rnd.IntN(8)]
	code, err := totp.Code(secret, totp.Step(w.clock())+offset)
	must(w.T, err)
	_, right := (&app{secret: secret}).accepts(watchword.Secret(code), w.clock())
	return watchword.Secret(code), right
}

// stepUp performs the step-up of a session, with the password or a second factor.
func (w *walk) stepUp(p *person) {
	s, who := w.who(p)
	if s == nil {
		return
	}
	if w.rnd.IntN(3) == 0 && p.password != "" {
		_, _, err := w.StepUp(w.Context(), who, factors.StepUpRequest{Password: p.password, Client: laptop})
		if w.allowed("step-up with the password", err, p.due() == 0) {
			s.at = w.clock()
		}
		return
	}
	proof, g := w.proof(p, s, func() []byte {
		ceremony, err := w.StepUpOptions(w.Context(), who)
		if err != nil {
			return nil
		}
		return ceremony.Options
	})
	first := slices.Contains(s.proofs, "pwd") || slices.Contains(s.proofs, "ext")
	may := g.right && (g.method != "key" || g.verified || first)
	access, _, err := w.StepUp(w.Context(), who, factors.StepUpRequest{Proof: proof, Client: laptop})
	if w.allowed("step-up with "+g.name, err, may) {
		g.consume()
		s.access = access
		s.add(g, w.clock())
		w.token(p, s)
	}
}

// The method refresh refreshes a session, and sometimes sends the old refresh token again, which must be refused.
func (w *walk) refresh(p *person) {
	s := w.anyLive(p)
	if s == nil || s.in == nil {
		return
	}
	old := s.in.RefreshToken
	w.renew(p, s)
	w.count("refresh", nil)
	if w.rnd.IntN(4) == 0 {
		w.advance(11 * time.Second) // after the grace period
		w.renew(p, s)
		w.advance(11 * time.Second)
		_, err := w.Engine.Refresh(w.Context(), old, phone)
		w.allowed("old refresh token", err, false)
		for id, live := range p.live {
			if live == s {
				p.gone = append(p.gone, s)
				delete(p.live, id)
			}
		}
	}
}

// The method ended sends the tokens of a session that has ended. The server must refuse them.
func (w *walk) ended(p *person) {
	s := one(w, p.gone)
	if s == nil {
		return
	}
	_, err := w.Authenticate(w.Context(), s.access)
	w.allowed("access token of an ended session", err, false)
	if s.in != nil {
		_, err = w.Engine.Refresh(w.Context(), s.in.RefreshToken, laptop)
		w.allowed("refresh token of an ended session", err, false)
	}
}

func (w *walk) enrolApp(p *person) {
	s, who := w.who(p)
	if s == nil {
		return
	}
	may := p.verified && p.fresh(s, w.clock()) && len(p.apps) < factors.MaxTOTP
	started, err := w.BeginTOTP(w.Context(), who, "")
	if !w.allowed("begin app", err, may) {
		return
	}
	w.delivered()
	w.advance([]time.Duration{0, 0, 0, time.Minute, stepUpAge + time.Second}[w.rnd.IntN(5)])
	b := newBegun(w.T, started, w.clock())
	code, right := w.codeFor(b.secret)
	done, err := w.ConfirmTOTP(w.Context(), who, b.id, code, laptop)
	if w.allowed("confirm app", err, right && p.fresh(s, w.clock())) {
		step, _ := (&app{secret: b.secret}).accepts(code, w.clock())
		if p.due() == 0 {
			p.end(s)
		}
		p.gets(w.T, done.Codes)
		p.changed()
		p.apps = append(p.apps, &app{id: done.Factor().ID, secret: b.secret, used: step})
		s.add(given{method: "otp"}, w.clock())
	}
}

func (w *walk) enrolPasskey(p *person) {
	s, who := w.who(p)
	if s == nil {
		return
	}
	upgrade := w.rnd.IntN(3) == 0
	may := p.verified && p.fresh(s, w.clock()) && len(p.keys) < factors.MaxPasskeys
	started, err := w.BeginPasskey(w.Context(), who, upgrade)
	if !w.allowed("begin passkey", err, may) {
		return
	}
	k := &key{device: newDevice(), unproven: upgrade}
	verified := w.touch(k)
	done, err := w.ConfirmPasskey(w.Context(), who,
		factors.NewPasskey{Ceremony: started.ID, Credential: k.create(w.T, started.Options)}, laptop)
	must(w.T, err)
	first := p.due() == 0 && !upgrade
	w.addKey(p, k, done, verified)
	p.changed()
	if upgrade {
		return
	}
	if first {
		p.end(s)
	}
	p.gets(w.T, done.Codes)
	s.add(given{method: "key", verified: verified}, w.clock())
}

func (w *walk) addKey(p *person, k *key, done factors.Confirmation, verified bool) {
	k.id, k.known, k.counter = done.Factor().ID, verified, k.device.key.Counter
	k.auth.Options.UserNotVerified = false
	p.keys = append(p.keys, k)
}

// The method remove removes a factor, sometimes of another account.
func (w *walk) remove(p *person) {
	s, who := w.who(p)
	if s == nil {
		return
	}
	owner := p
	if w.rnd.IntN(6) == 0 {
		owner = one(w, w.people)
	}
	a, k := one(w, owner.apps), one(w, owner.keys)
	id, counts, alone := "", true, false
	switch {
	case k != nil && (a == nil || w.rnd.IntN(2) == 0):
		id, counts, alone, a = k.id, !k.unproven, true, nil
	case a != nil:
		id, k = a.id, nil
	default:
		return
	}
	left := p.due()
	if counts {
		left--
	}
	other := slices.ContainsFunc(p.keys, func(o *key) bool { return o != k && (o.known || o.unproven) })
	way := p.password != "" || p.external || other
	last := counts && left == 0 && w.required
	may := owner == p && p.fresh(s, w.clock()) && !last && (way || !alone)
	err := w.Remove(w.Context(), who, id, laptop)
	if !way && !alone {
		may = err == nil // the model does not predict whether the store refuses this
	}
	if !w.allowed("remove", err, may) {
		return
	}
	p.apps = slices.DeleteFunc(p.apps, func(o *app) bool { return o == a })
	p.keys = slices.DeleteFunc(p.keys, func(o *key) bool { return o == k })
	p.changed()
	p.end(s)
	if p.due() == 0 {
		p.lost()
		s.weaken()
	}
	w.renew(p, s) // the removal made the access token invalid
}

// weaken updates a session in the model after the factors were removed. Only the proof by password or by provider
// stays.
func (s *opened) weaken() {
	first := slices.DeleteFunc(slices.Clone(s.proofs), func(m string) bool { return m != "pwd" && m != "ext" })
	if len(first) == 0 {
		first = s.proofs[:1]
	}
	s.proofs, s.verified, s.ever = first, false, false
}

// The method gets records the recovery codes that were created with an added factor. An account that already has
// codes must get no new ones.
func (p *person) gets(t *testing.T, codes []watchword.Secret) {
	t.Helper()
	if (len(p.codes) == 0) != (len(codes) == 10) {
		t.Fatalf("%d codes for an account that has %d", len(codes), len(p.codes))
	}
	p.codes = append(p.codes, codes...)
}

// lost marks all recovery codes of the account as used up.
func (p *person) lost() { p.spent, p.codes = append(p.spent, p.codes...), nil }

func (w *walk) newCodes(p *person) {
	s, who := w.who(p)
	if s == nil {
		return
	}
	codes, err := w.NewRecoveryCodes(w.Context(), who, laptop)
	if w.allowed("new recovery codes", err, p.due() > 0 && p.fresh(s, w.clock())) {
		p.lost()
		p.codes = codes
	}
}

func (w *walk) changePassword(p *person) {
	s, who := w.who(p)
	if s == nil || p.password == "" {
		return
	}
	next := watchword.Secret(fmt.Sprintf("a rainbow over the bay %d", w.did["all"]))
	given := p.password
	if w.rnd.IntN(5) == 0 {
		given = "wrong password"
	}
	may := given == p.password && (p.due() == 0 || p.fresh(s, w.clock()))
	if w.allowed("change password", w.ChangePassword(w.Context(), who, given, next, laptop), may) {
		p.setPassword(next)
		p.end(s)
	}
}

// The method reset sets a new password with a mailed link. The server must keep the factors, because the address is
// proven, and must open no session.
func (w *walk) reset(p *person) {
	if p.disabled || !p.verified {
		return
	}
	must(w.T, w.ForgotPassword(w.Context(), p.email, "", phone))
	token := w.mailboxes.token(w.T, watchword.MailReset, p.email)
	next := watchword.Secret(fmt.Sprintf("a rainbow over the sea %d", w.did["all"]))
	_, err := w.Engine.ResetPassword(w.Context(), token, next, phone)
	if w.allowed("reset", err, true) {
		p.setPassword(next)
		p.end(nil)
	}
}

func (w *walk) signOut(p *person) {
	s, who := w.who(p)
	if s == nil {
		return
	}
	if w.rnd.IntN(2) == 0 {
		must(w.T, w.Logout(w.Context(), s.in.RefreshToken, s.access, laptop))
		for id, live := range p.live {
			if live == s {
				p.gone = append(p.gone, s)
				delete(p.live, id)
			}
		}
		return
	}
	_, err := w.LogoutAll(w.Context(), who, who.Session.ID, laptop)
	must(w.T, err)
	p.end(s)
	p.forgotten()
}

func (p *person) forgotten() {
	for _, b := range p.devices {
		b.gone = true
	}
}

func (w *walk) forget(p *person) {
	s, who := w.who(p)
	if s == nil {
		return
	}
	if w.allowed("forget devices", w.ForgetDevice(w.Context(), who, "", laptop), p.fresh(s, w.clock())) {
		p.forgotten()
	}
}

// The method operator performs a random action of an operator on an account.
func (w *walk) operator(p *person) {
	kind := w.rnd.IntN(6)
	if p.disabled {
		kind = 5
	}
	switch kind {
	case 0:
		must(w.T, w.Manager.Reset(w.Context(), "ops", p.id))
		p.apps, p.keys = nil, nil
		w.resetDone(p)
	case 1:
		must(w.T, w.ResetKind(w.Context(), "ops", p.id, factors.KindTOTP))
		p.apps = nil
		w.resetDone(p)
	case 2:
		err := w.ResetKind(w.Context(), "ops", p.id, factors.KindPasskey)
		if w.allowed("reset passkeys", err, p.password != "" || p.external || len(p.keys) == 0) {
			p.keys = nil
			w.resetDone(p)
		}
	case 3:
		must(w.T, w.Operator().DisableUser(w.Context(), p.id))
		p.disabled = true
		p.end(nil)
		w.count("disable", nil)
	default:
		if p.disabled {
			must(w.T, w.Operator().EnableUser(w.Context(), p.id))
			p.disabled = false
			return
		}
		_, err := w.Operator().EndUserSessions(w.Context(), p.id)
		must(w.T, err)
		p.end(nil)
		p.forgotten()
	}
}

// The method resetDone updates the model after an operator has reset factors.
func (w *walk) resetDone(p *person) {
	if p.due() == 0 {
		p.lost()
	}
	p.changed()
	p.end(nil)
	w.count("operator's reset", nil)
}

// The method address changes the address of an account. Sometimes it then adds factors, and opens the link in the
// mail to the old address. This link undoes the change of the address.
func (w *walk) address(p *person) {
	s, who := w.who(p)
	if s == nil || p.password == "" || !p.verified || p.external {
		return
	}
	next := fmt.Sprintf("n%d.%d@example.org", w.n, w.did["all"])
	may := p.due() == 0 || p.fresh(s, w.clock())
	if !w.allowed("change address", w.ChangeEmail(w.Context(), who, next, p.password, laptop), may) {
		return
	}
	token := w.mailboxes.token(w.T, watchword.MailConfirmAddress, next)
	_, err := w.ConfirmEmail(w.Context(), watchword.MailLinkRequest{Token: token, Password: p.password, Client: laptop})
	must(w.T, err)
	old := p.email
	p.email = next
	undo := w.mailboxes.token(w.T, watchword.MailAddressChanged, old)
	if w.rnd.IntN(2) == 0 {
		return
	}
	apps, keys, codes := slices.Clone(p.apps), slices.Clone(p.keys), slices.Clone(p.codes)
	w.delivered()
	w.advance(time.Second)
	w.enrolApp(p)
	w.enrolPasskey(p)
	must(w.T, w.UndoEmail(w.Context(), undo, laptop))
	w.count("undo", nil)
	p.email, p.apps, p.keys = old, apps, keys
	if !slices.Equal(codes, p.codes) {
		p.lost() // the undo also deletes the codes that were created after the change
	}
	p.changed()
	p.end(nil)
	reset := w.mailboxes.token(w.T, watchword.MailReset, old)
	_, err = w.Engine.ResetPassword(w.Context(), reset, password, laptop)
	must(w.T, err)
	p.setPassword(password)
}

func (w *walk) deleteAccount(p *person) {
	s, who := w.who(p)
	if s == nil || p.password == "" {
		return
	}
	may := p.due() == 0 || p.fresh(s, w.clock())
	if w.allowed("delete account", w.DeleteAccount(w.Context(), who, p.password, laptop), may) {
		w.people = slices.DeleteFunc(w.people, func(o *person) bool { return o == p })
	}
}

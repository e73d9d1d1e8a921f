package factors_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/federation"
)

// The flows of the random test (type walk) that open sessions or use them.

// tokenClaim returns a claim of a token, without verifying the token.
func tokenClaim(t *testing.T, token watchword.Secret, name string) string {
	t.Helper()
	part := strings.Split(string(token), ".")
	if len(part) != 3 {
		t.Fatalf("no token: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(part[1])
	must(t, err)
	var claims map[string]any
	must(t, json.Unmarshal(raw, &claims))
	text, _ := claims[name].(string)
	return text
}

// pickFlow chooses a random flow and account. It returns the name of the flow and a function that runs it.
func (w *walk) pickFlow() (string, func()) {
	if len(w.people) == 0 || len(w.people) < 3 && w.rnd.IntN(8) == 0 {
		return "new account", w.createPerson
	}
	p := randomElement(w, w.people)
	if p.disabled && w.rnd.IntN(4) == 0 {
		return "enable " + p.email, func() { w.runOperatorAction(p) }
	}
	type choice struct {
		name   string
		weight int
		flow   func(*accountModel)
	}
	choices := []choice{
		{"password", 10, w.signInWithPassword}, {"factor", 20, w.sendSecondFactor}, {"dialect", 3, w.signInByDialect},
		{"provider", 3, w.signInWithProvider},
		{"passkey alone", 5, w.signInWithPasskeyAlone}, {"first factor", 8, w.beginFirstTOTP},
		{"confirm first factor", 12, w.confirmPendingTOTP},
		{"application", 2, w.signInByApplication}, {"step-up", 10, w.stepUp}, {"refresh", 4, w.refreshSession},
		{"ended session", 4, w.tryEndedSession},
		{"enrol app", 6, w.enrolApp}, {"enrol passkey", 6, w.enrolPasskey}, {"remove", 4, w.removeFactor},
		{"recovery codes", 2, w.replaceCodes}, {"change password", 2, w.changePassword}, {"reset", 2, w.resetPassword},
		{"link provider", 2, w.linkIdentity}, {"sign out", 2, w.signOut}, {"forget devices", 1, w.forgetBrowser},
		{"operator", 2, w.runOperatorAction}, {"address", 3, w.changeAddress}, {"delete", 1, w.deleteAccount},
	}
	sum := 0
	for _, c := range choices {
		sum += c.weight
	}
	at := w.rnd.IntN(sum)
	for _, c := range choices {
		if at -= c.weight; at < 0 {
			return c.name + " of " + p.email, func() {
				if strings.HasPrefix(c.name, "enrol") || c.name == "remove" || c.name == "recovery codes" {
					w.stepUp(p) // these flows need a fresh session
				}
				c.flow(p)
			}
		}
	}
	panic("no flow")
}

// createPerson creates an account in one of four ways, which it chooses at random.
func (w *walk) createPerson() {
	p := &accountModel{email: fmt.Sprintf("u%d.%d@example.com", w.n, w.outcomes["all"]), password: password,
		liveSessions: map[watchword.SessionID]*sessionModel{}}
	kind := w.rnd.IntN(4)
	w.logDetail("%s, kind %d", p.email, kind)
	w.people = append(w.people, p)
	first := signInAttempt{flow: "sign-up", proofs: []string{"pwd"}}
	switch kind {
	case 0: // sign-up and link
		in, err := w.SignUp(w.Context(), watchword.SignUpRequest{Email: p.email, Password: password, Client: laptop})
		must(w.T, err)
		w.readUserID(p)
		if in != nil {
			w.recordSignIn(p, first, in, nil)
		} else if !w.required {
			w.Error("the sign-up has opened no session")
		}
		if w.rnd.IntN(5) > 0 {
			w.verifyAddress(p)
		}
	case 1: // invitation
		p.password = ""
		_, err := w.Operator().CreateUser(w.Context(), watchword.NewUser{Email: p.email})
		must(w.T, err)
		w.readUserID(p)
		token := w.mailboxes.awaitToken(w.T, watchword.MailInvite, p.email)
		p.password, p.verified, first.flow = password, true, "invitation"
		in, err := w.AcceptInvite(w.Context(),
			watchword.MailLinkRequest{Token: token, Password: password, Client: laptop})
		w.recordSignIn(p, first, in, err)
	case 2: // provider
		p.password, p.verified, p.hasIdentity = "", true, true
		res, err := w.returnFromProvider(w.T, p.email)
		w.readUserID(p)
		w.recordSignIn(p, signInAttempt{flow: "provider sign-up", proofs: []string{"ext"}}, res.SignIn, err)
	default:
		w.createVerifiedUser(w.T, p.email)
		p.verified = true
		w.readUserID(p)
	}
}

func (w *walk) readUserID(p *accountModel) {
	w.Helper()
	u, err := w.Operator().FindUser(w.Context(), p.email)
	must(w.T, err)
	p.id = u.ID
}

// verifyAddress opens the mailed link, either in a session or with the password.
func (w *walk) verifyAddress(p *accountModel) {
	token := w.mailboxes.awaitToken(w.T, watchword.MailVerify, p.email)
	request := watchword.MailLinkRequest{Token: token, Client: laptop}
	if s := w.pickSession(p); s != nil && w.rnd.IntN(2) == 0 && s.in != nil {
		request.Presented = []watchword.Secret{s.in.RefreshToken}
		_, err := w.VerifyEmail(w.Context(), request)
		p.verified = w.assertCode("link, session", err, "")
		return
	}
	request.Password = "wrong password"
	_, err := w.VerifyEmail(w.Context(), request)
	w.assertCode("link, wrong password", err, watchword.CodePasswordWrong)
	request.Password, p.verified = password, true
	in, err := w.VerifyEmail(w.Context(), request)
	w.recordSignIn(p, signInAttempt{flow: "link, password", proofs: []string{"pwd"}}, in, err)
}

// pickSession returns nil if the account has no live session.
func (w *walk) pickSession(p *accountModel) *sessionModel {
	ids := make([]watchword.SessionID, 0, len(p.liveSessions))
	for id := range p.liveSessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return p.liveSessions[randomElement(w, ids)]
}

// authenticateSession authenticates with a random session of the account. If the access token has expired, it first
// refreshes the session.
func (w *walk) authenticateSession(p *accountModel) (*sessionModel, watchword.Identity) {
	w.Helper()
	s := w.pickSession(p)
	if s == nil || s.in == nil {
		return nil, watchword.Identity{}
	}
	who, err := w.Authenticate(w.Context(), s.accessToken)
	if watchword.CodeOf(err) == watchword.CodeTokenExpired {
		w.refreshAccessToken(p, s)
		who, err = w.Authenticate(w.Context(), s.accessToken)
	}
	must(w.T, err)
	return s, who
}

func (w *walk) refreshAccessToken(p *accountModel, s *sessionModel) {
	w.Helper()
	in, err := w.Engine.Refresh(w.Context(), s.in.RefreshToken, laptop)
	must(w.T, err)
	s.in, s.accessToken = in, in.AccessToken
	w.checkTokenLevel(p, s)
}

// signInWithPassword sends a right or a wrong password, sometimes from a remembered browser.
func (w *walk) signInWithPassword(p *accountModel) {
	client, device := laptop, randomElement(w, p.browsers)
	owner := p
	if w.rnd.IntN(5) == 0 { // a browser that another user has remembered
		owner = randomElement(w, w.people)
		device = randomElement(w, owner.browsers)
	}
	if device != nil && w.rnd.IntN(2) == 0 {
		client.Remembered = device.token
	} else {
		device = nil
	}
	given := p.password
	if given == "" || w.rnd.IntN(6) == 0 {
		given = "wrong password"
	}
	in, err := w.Engine.Login(w.Context(), watchword.LoginRequest{Email: p.email, Password: given, Client: client})
	if given != p.password {
		w.assertCode("wrong password", err, watchword.CodeInvalidCredentials)
		return
	}
	if owner != p {
		device = nil
	}
	w.recordSignIn(p, signInAttempt{flow: "password", proofs: []string{"pwd"}, browser: device}, in, err)
}

// signInByDialect uses an API that has no second step.
func (w *walk) signInByDialect(p *accountModel) {
	path := []string{"/api/users/login", "/login"}[w.rnd.IntN(2)]
	body, err := json.Marshal(map[string]string{"email": p.email, "password": string(p.password)})
	must(w.T, err)
	r := httptest.NewRequestWithContext(w.Context(), http.MethodPost, publicOrigin+path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if b := randomElement(w, p.browsers); b != nil { // the dialect must ignore the cookie of a remembered device
		r.AddCookie(&http.Cookie{Name: "__Host-watchword-device", Value: string(b.token)})
	}
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	opens := p.password != "" && p.expectedCode(w.required, []string{"pwd"}, false, false) == ""
	w.outcomes[fmt.Sprint("dialect ", answer.Code)]++
	w.logDetail("→ %d", answer.Code)
	if (answer.Code == http.StatusOK) != opens {
		w.Errorf("dialect %s: %d, %s", path, answer.Code, answer.Body)
	}
	if !opens {
		return
	}
	var got struct {
		AccessToken watchword.Secret `json:"accessToken"`
	}
	must(w.T, json.Unmarshal(answer.Body.Bytes(), &got))
	s := &sessionModel{accessToken: got.AccessToken, proofs: []string{"pwd"}, provenAt: w.clock()}
	p.liveSessions[watchword.SessionID(tokenClaim(w.T, got.AccessToken, "sid"))] = s
	w.checkTokenLevel(p, s)
}

// returnFromProvider completes a sign-in. subject identifies the user at the provider.
func (w *walk) returnFromProvider(t *testing.T, subject string) (federation.Result, error) {
	t.Helper()
	started, err := w.external.Start(t.Context(), federation.StartRequest{Provider: "campus"})
	must(t, err)
	return w.external.Callback(t.Context(), federation.CallbackRequest{Provider: "campus", Sealed: started.Sealed,
		State: started.State, Response: federation.Response{Code: watchword.Secret(subject)}, Client: phone})
}

// providerSubject does not change when the account gets another address.
func (p *accountModel) providerSubject() string { return p.email }

func (w *walk) signInWithProvider(p *accountModel) {
	if !p.verified && !p.hasIdentity {
		return // the sign-in would take over the account, which this flow does not test
	}
	res, err := w.returnFromProvider(w.T, p.providerSubject())
	if !p.hasIdentity {
		want := federation.CodeLinkRequired
		if p.disabled {
			want = watchword.CodeAccountDisabled
		}
		w.assertCode("provider, not linked", err, want)
		return
	}
	w.recordSignIn(p, signInAttempt{flow: "provider", proofs: []string{"ext"}}, res.SignIn, err)
}

func (w *walk) linkIdentity(p *accountModel) {
	s, who := w.authenticateSession(p)
	if s == nil || p.hasIdentity {
		return
	}
	isAllowed := p.isFresh(s, w.clock()) && p.verified
	started, err := w.external.StartLink(w.Context(), federation.LinkRequest{Provider: "campus", Who: who})
	if w.checkOutcome("link", err, isAllowed) {
		_, err = w.external.Callback(w.Context(), federation.CallbackRequest{Provider: "campus", Sealed: started.Sealed,
			State: started.State, Client: phone,
			Response: federation.Response{Code: watchword.Secret(p.providerSubject())}})
		must(w.T, err)
		p.hasIdentity = true
	}
}

// checkOutcome counts the outcome, and fails the test if it differs from mustSucceed. It reports whether the flow
// succeeded as expected.
func (w *walk) checkOutcome(flow string, err error, mustSucceed bool) bool {
	w.Helper()
	w.countOutcome(flow, err)
	if (err == nil) != mustSucceed {
		w.Errorf("%s: %v, but allowed is %v", flow, err, mustSucceed)
	}
	return err == nil && mustSucceed
}

// signInWithPasskeyAlone sometimes sends a response that was used before.
func (w *walk) signInWithPasskeyAlone(p *accountModel) {
	k := randomElement(w, p.keys)
	if k == nil {
		return
	}
	begun, err := w.PasskeyOptions(w.Context(), phone)
	must(w.T, err)
	verified := w.preparePasskey(k)
	response := k.respondToRequest(w.T, begun.Options)
	right := verified && (k.hasVerifiedUser || k.isUnproven) && k.isCounterAcceptable()
	request := factors.PasskeyLoginRequest{Ceremony: begun.ID, Credential: response, Client: phone}
	in, err := w.PasskeyLogin(w.Context(), request)
	if !right || p.disabled {
		w.checkOutcome("passkey alone, refused", err, false)
		return
	}
	w.recordSignIn(p, signInAttempt{flow: "passkey alone", proofs: []string{"key"}, verified: true}, in, err)
	w.recordAcceptedPasskey(p, k, true, p.liveSessions[in.Session.ID])
	_, err = w.PasskeyLogin(w.Context(), request)
	w.checkOutcome("passkey alone, again", err, false)
}

// pickWaitingSignIn returns a random waiting sign-in, or nil if there is none. In four of five calls, the sign-in can
// still be completed, and its field isEnrolment equals wantEnrolment.
func (w *walk) pickWaitingSignIn(p *accountModel, wantEnrolment bool) *waitingSignIn {
	last := p.waitingSignIns[max(0, len(p.waitingSignIns)-4):]
	if w.rnd.IntN(5) == 0 {
		return randomElement(w, last)
	}
	return randomElement(w, slices.DeleteFunc(slices.Clone(last), func(s *waitingSignIn) bool {
		return s.isEnrolment != wantEnrolment || !s.canTry(p, w.clock()) || s.passwordVersion != p.passwordVersion
	}))
}

func (w *walk) sendSecondFactor(p *accountModel) {
	s := w.pickWaitingSignIn(p, false)
	if s == nil {
		return
	}
	proof, g := w.pickProof(p, nil, func() []byte { return s.passkey })
	remember := w.rnd.IntN(3) == 0 && !slices.ContainsFunc(p.keys, func(k *passkeyModel) bool { return k.isUnproven })
	usable := s.canComplete(p, w.clock()) && !p.disabled &&
		sessionLevel(append(slices.Clone(s.proofs), g.method), g.userVerified, g.userVerified) >= levelTwo
	in, err := w.Manager.Login(w.Context(), factors.LoginRequest{
		Handle: s.handle, Proof: proof, Client: phone, Remember: remember})
	if !s.isEnrolment { // if the handle is for an enrolment, the server counts no attempt
		s.tries++
	}
	if !w.checkOutcome("factor "+g.description, err, usable && g.isAcceptable) {
		return
	}
	s.done = true
	g.consume()
	o := &sessionModel{in: in, accessToken: in.AccessToken, proofs: slices.Clone(s.proofs)}
	o.addProof(g, w.clock())
	p.liveSessions[in.Session.ID] = o
	w.checkTokenLevel(p, o)
	if remember {
		p.browsers = append(p.browsers, &rememberedBrowser{token: in.Remembered,
			factorsVersion: p.factorsVersion, passwordVersion: p.passwordVersion,
			rememberedAt: w.clock()})
	}
}

// beginFirstTOTP begins an enrolment in a waiting sign-in. confirmPendingTOTP completes it.
func (w *walk) beginFirstTOTP(p *accountModel) {
	s := w.pickWaitingSignIn(p, true)
	if s == nil {
		return
	}
	isAllowed := s.isEnrolment && s.canTry(p, w.clock())
	if isAllowed && w.rnd.IntN(3) == 0 {
		w.addFirstPasskey(p, s)
		return
	}
	begun, err := w.BeginRequired(w.Context(), s.handle, "")
	if s.isEnrolment {
		s.tries++
	}
	if w.checkOutcome("begin first factor", err, isAllowed) {
		s.pendingTOTPs = append(s.pendingTOTPs, newPendingTOTP(w.T, begun, w.clock()))
	}
}

func (w *walk) addFirstPasskey(p *accountModel, s *waitingSignIn) {
	begun, err := w.BeginRequiredPasskey(w.Context(), s.handle)
	s.tries++
	must(w.T, err)
	k := &passkeyModel{device: newDevice()}
	verified := w.preparePasskey(k)
	done, in, err := w.ConfirmRequiredPasskey(w.Context(), factors.RequiredPasskey{Handle: s.handle,
		NewPasskey: factors.NewPasskey{Ceremony: begun.ID, Credential: k.respondToCreation(w.T, begun.Options)},
		Client:     phone})
	isAllowed := !p.disabled && s.passwordVersion == p.passwordVersion &&
		sessionLevel(append(slices.Clone(s.proofs), "key"), verified, verified) >= levelTwo
	if w.checkOutcome("first passkey", err, isAllowed) {
		w.addKey(p, k, done, verified)
		w.recordFirstFactor(p, s, in, sentProof{method: "key", userVerified: verified}, done)
	}
}

func (w *walk) confirmPendingTOTP(p *accountModel) {
	s := w.pickWaitingSignIn(p, true)
	if s == nil {
		return
	}
	b := randomElement(w, s.pendingTOTPs)
	if b == nil {
		return
	}
	code, right := w.randomCode(b.secret)
	isAllowed := right && b.isUsable(w.clock()) && !p.disabled && !s.done && s.factorsVersion == p.factorsVersion &&
		s.passwordVersion == p.passwordVersion && w.clock().Sub(s.startedAt) < watchword.ChallengeLife &&
		sessionLevel(append(slices.Clone(s.proofs), "otp"), false, false) >= levelTwo
	b.tries++
	done, in, err := w.ConfirmRequired(w.Context(), factors.RequiredRequest{
		Handle: s.handle, ID: b.id, Code: code, Client: phone})
	if w.checkOutcome("confirm first factor", err, isAllowed) {
		b.done = true
		step, _ := (&totpApp{secret: b.secret}).acceptedStep(code, w.clock())
		p.apps = append(p.apps, &totpApp{id: done.Factor().ID, secret: b.secret, lastStep: step})
		w.recordFirstFactor(p, s, in, sentProof{method: "otp"}, done)
	}
}

func (w *walk) recordFirstFactor(
	p *accountModel, s *waitingSignIn, in *watchword.SignIn, g sentProof, done factors.Confirmation,
) {
	s.done = true
	p.endSessions(nil)
	p.recordFactorsChange()
	p.unusedCodes = done.Codes
	o := &sessionModel{in: in, accessToken: in.AccessToken, proofs: slices.Clone(s.proofs)}
	o.addProof(g, w.clock())
	p.liveSessions[in.Session.ID] = o
	w.checkTokenLevel(p, o)
}

// signInByApplication opens a session for methods that an embedding application has checked.
func (w *walk) signInByApplication(p *accountModel) {
	methods := [][]string{{"pwd"}, {"otp"}, {"pwd", "otp"}, {"pwd", "mfa"}}[w.rnd.IntN(4)]
	in, err := w.Operator().AdmitUser(w.Context(), watchword.AdmitRequest{User: p.id, Methods: methods, Client: laptop})
	w.recordSignIn(p, signInAttempt{flow: "application " + strings.Join(methods, "+"), proofs: methods}, in, err)
}

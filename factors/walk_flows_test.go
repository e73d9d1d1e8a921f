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

// claimOf returns a claim of a token, without verifying the token.
func claimOf(t *testing.T, token watchword.Secret, name string) string {
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

// The method flow chooses a random flow and a random account. It returns the name of the flow and a function that
// runs it.
func (w *walk) flow() (string, func()) {
	if len(w.people) == 0 || len(w.people) < 3 && w.rnd.IntN(8) == 0 {
		return "new account", w.newPerson
	}
	p := one(w, w.people)
	if p.disabled && w.rnd.IntN(4) == 0 {
		return "enable " + p.email, func() { w.operator(p) }
	}
	type choice struct {
		name   string
		weight int
		flow   func(*person)
	}
	choices := []choice{
		{"password", 10, w.password}, {"factor", 20, w.factor}, {"dialect", 3, w.dialect},
		{"provider", 3, w.signInExternal},
		{"passkey alone", 5, w.alone}, {"first factor", 8, w.beginFirst}, {"confirm first factor", 12, w.confirmFirst},
		{"application", 2, w.application}, {"step-up", 10, w.stepUp}, {"refresh", 4, w.refresh},
		{"ended session", 4, w.ended},
		{"enrol app", 6, w.enrolApp}, {"enrol passkey", 6, w.enrolPasskey}, {"remove", 4, w.remove},
		{"recovery codes", 2, w.newCodes}, {"change password", 2, w.changePassword}, {"reset", 2, w.reset},
		{"link provider", 2, w.link}, {"sign out", 2, w.signOut}, {"forget devices", 1, w.forget},
		{"operator", 2, w.operator}, {"address", 3, w.address}, {"delete", 1, w.deleteAccount},
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

// newPerson creates an account in one of the possible ways.
func (w *walk) newPerson() {
	p := &person{email: fmt.Sprintf("u%d.%d@example.com", w.n, w.did["all"]), password: password,
		live: map[watchword.SessionID]*opened{}}
	kind := w.rnd.IntN(4)
	w.note("%s, kind %d", p.email, kind)
	w.people = append(w.people, p)
	first := signIn{flow: "sign-up", proofs: []string{"pwd"}}
	switch kind {
	case 0: // sign-up and link
		in, err := w.SignUp(w.Context(), watchword.SignUpRequest{Email: p.email, Password: password, Client: laptop})
		must(w.T, err)
		w.find(p)
		if in != nil {
			w.settle(p, first, in, nil)
		} else if !w.required {
			w.Error("the sign-up has opened no session")
		}
		if w.rnd.IntN(5) > 0 {
			w.verify(p)
		}
	case 1: // invitation
		p.password = ""
		_, err := w.Operator().CreateUser(w.Context(), watchword.NewUser{Email: p.email})
		must(w.T, err)
		w.find(p)
		token := w.mailboxes.token(w.T, watchword.MailInvite, p.email)
		p.password, p.verified, first.flow = password, true, "invitation"
		in, err := w.AcceptInvite(w.Context(),
			watchword.MailLinkRequest{Token: token, Password: password, Client: laptop})
		w.settle(p, first, in, err)
	case 2: // provider
		p.password, p.verified, p.external = "", true, true
		res, err := w.callback(w.T, p.email)
		w.find(p)
		w.settle(p, signIn{flow: "provider sign-up", proofs: []string{"ext"}}, res.SignIn, err)
	default:
		w.newUser(w.T, p.email)
		p.verified = true
		w.find(p)
	}
}

func (w *walk) find(p *person) {
	w.Helper()
	u, err := w.Operator().FindUser(w.Context(), p.email)
	must(w.T, err)
	p.id = u.ID
}

// The method verify opens the link that proves the address, either in a session or with the password.
func (w *walk) verify(p *person) {
	token := w.mailboxes.token(w.T, watchword.MailVerify, p.email)
	request := watchword.MailLinkRequest{Token: token, Client: laptop}
	if s := w.anyLive(p); s != nil && w.rnd.IntN(2) == 0 && s.in != nil {
		request.Presented = []watchword.Secret{s.in.RefreshToken}
		_, err := w.VerifyEmail(w.Context(), request)
		p.verified = w.want("link, session", err, "")
		return
	}
	request.Password = "wrong password"
	_, err := w.VerifyEmail(w.Context(), request)
	w.want("link, wrong password", err, watchword.CodePasswordWrong)
	request.Password, p.verified = password, true
	in, err := w.VerifyEmail(w.Context(), request)
	w.settle(p, signIn{flow: "link, password", proofs: []string{"pwd"}}, in, err)
}

// anyLive returns a live session, or nil.
func (w *walk) anyLive(p *person) *opened {
	ids := make([]watchword.SessionID, 0, len(p.live))
	for id := range p.live {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return p.live[one(w, ids)]
}

// The method who returns a live session and its identity. It refreshes the session if the access token is too old.
func (w *walk) who(p *person) (*opened, watchword.Identity) {
	w.Helper()
	s := w.anyLive(p)
	if s == nil || s.in == nil {
		return nil, watchword.Identity{}
	}
	who, err := w.Authenticate(w.Context(), s.access)
	if watchword.CodeOf(err) == watchword.CodeTokenExpired {
		w.renew(p, s)
		who, err = w.Authenticate(w.Context(), s.access)
	}
	must(w.T, err)
	return s, who
}

func (w *walk) renew(p *person, s *opened) {
	w.Helper()
	in, err := w.Engine.Refresh(w.Context(), s.in.RefreshToken, laptop)
	must(w.T, err)
	s.in, s.access = in, in.AccessToken
	w.token(p, s)
}

// The method password signs in with a right or a wrong password, sometimes in a remembered browser.
func (w *walk) password(p *person) {
	client, device := laptop, one(w, p.devices)
	owner := p
	if w.rnd.IntN(5) == 0 { // a browser that another user has remembered
		owner = one(w, w.people)
		device = one(w, owner.devices)
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
		w.want("wrong password", err, watchword.CodeInvalidCredentials)
		return
	}
	if owner != p {
		device = nil
	}
	w.settle(p, signIn{flow: "password", proofs: []string{"pwd"}, browser: device}, in, err)
}

// The method dialect signs in through the API of a dialect, which has no second step.
func (w *walk) dialect(p *person) {
	path := []string{"/api/users/login", "/login"}[w.rnd.IntN(2)]
	body, err := json.Marshal(map[string]string{"email": p.email, "password": string(p.password)})
	must(w.T, err)
	r := httptest.NewRequestWithContext(w.Context(), http.MethodPost, publicOrigin+path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if b := one(w, p.devices); b != nil { // the dialect must ignore the cookie of a remembered device
		r.AddCookie(&http.Cookie{Name: "__Host-watchword-device", Value: string(b.token)})
	}
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	opens := p.password != "" && p.expect(w.required, []string{"pwd"}, false, false) == ""
	w.did[fmt.Sprint("dialect ", answer.Code)]++
	w.note("→ %d", answer.Code)
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
	s := &opened{access: got.AccessToken, proofs: []string{"pwd"}, at: w.clock()}
	p.live[watchword.SessionID(claimOf(w.T, got.AccessToken, "sid"))] = s
	w.token(p, s)
}

// callback completes a sign-in at the provider. subject identifies the user there.
func (w *walk) callback(t *testing.T, subject string) (federation.Result, error) {
	t.Helper()
	started, err := w.external.Start(t.Context(), federation.StartRequest{Provider: "campus"})
	must(t, err)
	return w.external.Callback(t.Context(), federation.CallbackRequest{Provider: "campus", Sealed: started.Sealed,
		State: started.State, Response: federation.Response{Code: watchword.Secret(subject)}, Client: phone})
}

// subject is the identity of an account at the provider. It does not change with the address.
func (p *person) subject() string { return p.email }

func (w *walk) signInExternal(p *person) {
	if !p.verified && !p.external {
		return // the sign-in would take over the account, which this flow does not test
	}
	res, err := w.callback(w.T, p.subject())
	if !p.external {
		want := federation.CodeLinkRequired
		if p.disabled {
			want = watchword.CodeAccountDisabled
		}
		w.want("provider, not linked", err, want)
		return
	}
	w.settle(p, signIn{flow: "provider", proofs: []string{"ext"}}, res.SignIn, err)
}

// The method link connects the provider's identity to the account of a session.
func (w *walk) link(p *person) {
	s, who := w.who(p)
	if s == nil || p.external {
		return
	}
	may := p.fresh(s, w.clock()) && p.verified
	started, err := w.external.StartLink(w.Context(), federation.LinkRequest{Provider: "campus", Who: who})
	if w.allowed("link", err, may) {
		_, err = w.external.Callback(w.Context(), federation.CallbackRequest{Provider: "campus", Sealed: started.Sealed,
			State: started.State, Response: federation.Response{Code: watchword.Secret(p.subject())}, Client: phone})
		must(w.T, err)
		p.external = true
	}
}

// The method allowed counts the outcome of a flow. It fails the test if the flow succeeds or fails contrary to the
// parameter may. It reports whether the flow succeeded.
func (w *walk) allowed(flow string, err error, may bool) bool {
	w.Helper()
	w.count(flow, err)
	if (err == nil) != may {
		w.Errorf("%s: %v, but allowed is %v", flow, err, may)
	}
	return err == nil && may
}

// The method alone signs in with a passkey and no password, sometimes with a response that was used before.
func (w *walk) alone(p *person) {
	k := one(w, p.keys)
	if k == nil {
		return
	}
	begun, err := w.PasskeyOptions(w.Context(), phone)
	must(w.T, err)
	verified := w.touch(k)
	response := k.use(w.T, begun.Options)
	right := verified && (k.known || k.unproven) && k.counts()
	request := factors.PasskeyLoginRequest{Ceremony: begun.ID, Credential: response, Client: phone}
	in, err := w.PasskeyLogin(w.Context(), request)
	if !right || p.disabled {
		w.allowed("passkey alone, refused", err, false)
		return
	}
	w.settle(p, signIn{flow: "passkey alone", proofs: []string{"key"}, verified: true}, in, err)
	w.accepted(p, k, true, p.live[in.Session.ID])
	_, err = w.PasskeyLogin(w.Context(), request)
	w.allowed("passkey alone, again", err, false)
}

// The method waits returns a sign-in that waits for its second step, or nil. In one of five calls, it returns any
// such sign-in. Otherwise the sign-in can still be completed, and enrols says whether it waits for an enrolment.
func (w *walk) waits(p *person, enrols bool) *step {
	last := p.waiting[max(0, len(p.waiting)-4):]
	if w.rnd.IntN(5) == 0 {
		return one(w, last)
	}
	return one(w, slices.DeleteFunc(slices.Clone(last), func(s *step) bool {
		return s.enrols != enrols || !s.begins(p, w.clock()) || s.secrets != p.secrets
	}))
}

// The method factor continues a waiting sign-in, with a right or a wrong proof.
func (w *walk) factor(p *person) {
	s := w.waits(p, false)
	if s == nil {
		return
	}
	proof, g := w.proof(p, nil, func() []byte { return s.passkey })
	remember := w.rnd.IntN(3) == 0 && !slices.ContainsFunc(p.keys, func(k *key) bool { return k.unproven })
	usable := s.usable(p, w.clock()) && !p.disabled &&
		rank(append(slices.Clone(s.proofs), g.method), g.verified, g.verified) >= levelTwo
	in, err := w.Manager.Login(w.Context(), factors.LoginRequest{
		Handle: s.handle, Proof: proof, Client: phone, Remember: remember})
	if !s.enrols { // if the handle is for an enrolment, the server counts no attempt
		s.tries++
	}
	if !w.allowed("factor "+g.name, err, usable && g.right) {
		return
	}
	s.done = true
	g.consume()
	o := &opened{in: in, access: in.AccessToken, proofs: slices.Clone(s.proofs)}
	o.add(g, w.clock())
	p.live[in.Session.ID] = o
	w.token(p, o)
	if remember {
		p.devices = append(p.devices, &browser{token: in.Remembered, epoch: p.epoch, secrets: p.secrets,
			at: w.clock()})
	}
}

// beginFirst begins the enrolment of a first factor in a waiting sign-in, and confirmFirst
// confirms the factor.
func (w *walk) beginFirst(p *person) {
	s := w.waits(p, true)
	if s == nil {
		return
	}
	may := s.enrols && s.begins(p, w.clock())
	if may && w.rnd.IntN(3) == 0 {
		w.firstPasskey(p, s)
		return
	}
	begun, err := w.BeginRequired(w.Context(), s.handle, "")
	if s.enrols {
		s.tries++
	}
	if w.allowed("begin first factor", err, may) {
		s.begun = append(s.begun, newBegun(w.T, begun, w.clock()))
	}
}

func (w *walk) firstPasskey(p *person, s *step) {
	begun, err := w.BeginRequiredPasskey(w.Context(), s.handle)
	s.tries++
	must(w.T, err)
	k := &key{device: newDevice()}
	verified := w.touch(k)
	done, in, err := w.ConfirmRequiredPasskey(w.Context(), factors.RequiredPasskey{Handle: s.handle,
		NewPasskey: factors.NewPasskey{Ceremony: begun.ID, Credential: k.create(w.T, begun.Options)}, Client: phone})
	may := !p.disabled && s.secrets == p.secrets &&
		rank(append(slices.Clone(s.proofs), "key"), verified, verified) >= levelTwo
	if w.allowed("first passkey", err, may) {
		w.addKey(p, k, done, verified)
		w.first(p, s, in, given{method: "key", verified: verified}, done)
	}
}

func (w *walk) confirmFirst(p *person) {
	s := w.waits(p, true)
	if s == nil {
		return
	}
	b := one(w, s.begun)
	if b == nil {
		return
	}
	code, right := w.codeFor(b.secret)
	may := right && b.usable(w.clock()) && !p.disabled && !s.done && s.epoch == p.epoch &&
		s.secrets == p.secrets && w.clock().Sub(s.at) < watchword.ChallengeLife &&
		rank(append(slices.Clone(s.proofs), "otp"), false, false) >= levelTwo
	b.tries++
	done, in, err := w.ConfirmRequired(w.Context(), factors.RequiredRequest{
		Handle: s.handle, ID: b.id, Code: code, Client: phone})
	if w.allowed("confirm first factor", err, may) {
		b.done = true
		step, _ := (&app{secret: b.secret}).accepts(code, w.clock())
		p.apps = append(p.apps, &app{id: done.Factor().ID, secret: b.secret, used: step})
		w.first(p, s, in, given{method: "otp"}, done)
	}
}

// The method first records the session that was opened by adding the first factor.
func (w *walk) first(p *person, s *step, in *watchword.SignIn, g given, done factors.Confirmation) {
	s.done = true
	p.end(nil)
	p.changed()
	p.codes = done.Codes
	o := &opened{in: in, access: in.AccessToken, proofs: slices.Clone(s.proofs)}
	o.add(g, w.clock())
	p.live[in.Session.ID] = o
	w.token(p, o)
}

// The method application opens a session for methods that an embedding application has checked.
func (w *walk) application(p *person) {
	methods := [][]string{{"pwd"}, {"otp"}, {"pwd", "otp"}, {"pwd", "mfa"}}[w.rnd.IntN(4)]
	in, err := w.Operator().AdmitUser(w.Context(), watchword.AdmitRequest{User: p.id, Methods: methods, Client: laptop})
	w.settle(p, signIn{flow: "application " + strings.Join(methods, "+"), proofs: methods}, in, err)
}

package factors_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect"
	"github.com/watchword-auth/watchword/dialect/lesson"
	"github.com/watchword-auth/watchword/dialect/users"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/totp"
	"github.com/watchword-auth/watchword/server"
)

// A walk is a random sequence of flows on one service, with right, wrong and used proofs. After each flow, the
// sessions in the store are compared with the model (walk_model_test.go). Each session must have the required factor.
// Its level must not exceed its proofs. Sessions that a flow ended must not exist.

const walkSteps = 150

// MFA-9
func TestRandomFlowsOpenNoSessionWithoutItsFactor(t *testing.T) { runWalks(t, false) }

// MFA-9
func TestRandomFlowsOpenNoSessionWithoutARequiredFactor(t *testing.T) { runWalks(t, true) }

// runWalks runs SOAK_ROUNDS walks; the default is one. To repeat a failed walk, set WALK_SEED to its seed.
func runWalks(t *testing.T, required bool) {
	rounds, _ := strconv.Atoi(os.Getenv("SOAK_ROUNDS"))
	seed, err := strconv.ParseUint(os.Getenv("WALK_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	onBothStores(t, func(t *testing.T, r *rig) {
		s := startService(t, r)
		total := map[string]int{}
		for i := range max(rounds, 1) {
			w := &walk{service: s, T: t, n: i, seed: seed + uint64(i), outcomes: total}
			w.rnd = rand.New(rand.NewPCG(w.seed, 0)) //nolint:gosec // a test needs no secret randomness
			w.run()
		}
		t.Logf("WALK_SEED=%d: %d walks, %d flows", seed, max(rounds, 1), total["all"])
		for _, name := range slices.Sorted(maps.Keys(total)) {
			t.Logf("%7d %s", total[name], name)
		}
	}, enableRememberDevice, func(o *watchword.Options) {
		o.Limits, o.SecondFactor.Required = watchword.Unlimited(), required
	})
}

// A service has all the flows that can open a session.
type service struct {
	*rig
	required  bool
	handler   http.Handler // of the dialects
	external  *federation.Manager
	provider  *fakeProvider
	mailboxes *mailboxes
}

// A walk is one random sequence of flows. people are the accounts of the model.
type walk struct {
	*service
	*testing.T
	n        int
	seed     uint64
	rnd      *rand.Rand
	people   []*accountModel
	log      []string
	outcomes map[string]int
}

// A fakeProvider uses the code in its response as the subject and as the verified address of the user.
type fakeProvider struct{}

func (fakeProvider) Info() federation.Info {
	return federation.Info{ID: "campus", Kind: federation.KindOIDC, Name: "Campus", Issuer: "https://campus.example",
		TrustEmail: true}
}

func (fakeProvider) AuthURL(context.Context, federation.Attempt) (string, error) {
	return "https://campus.example/authorize", nil
}

func (fakeProvider) Exchange(
	_ context.Context, _ federation.Attempt, r federation.Response,
) (federation.Claims, error) {
	return federation.Claims{Issuer: "https://campus.example", Subject: string(r.Code), Email: string(r.Code),
		EmailVerified: true}, nil
}

// A mailboxes keeps the mails until a test reads them.
type mailboxes struct {
	mu      sync.Mutex
	unread  map[string][]watchword.Message
	arrived chan struct{}
}

func (m *mailboxes) Send(_ context.Context, mail watchword.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := string(mail.Kind) + " " + string(mail.To)
	m.unread[at] = append(m.unread[at], mail)
	select {
	case m.arrived <- struct{}{}:
	default:
	}
	return nil
}

// awaitToken returns the token of the newest mail, and deletes the mails of that kind and address.
func (m *mailboxes) awaitToken(t *testing.T, kind watchword.MailKind, to string) watchword.Secret {
	t.Helper()
	late := time.After(time.Minute)
	for {
		m.mu.Lock()
		all := m.unread[string(kind)+" "+to]
		if len(all) > 0 {
			delete(m.unread, string(kind)+" "+to)
			m.mu.Unlock()
			return all[len(all)-1].Token
		}
		m.mu.Unlock()
		select {
		case <-m.arrived:
		case <-late:
			t.Fatalf("no mail %s to %s", kind, to)
		}
	}
}

func startService(t *testing.T, r *rig) *service {
	t.Helper()
	s := &service{rig: r, required: r.opts.SecondFactor.Required, provider: &fakeProvider{},
		mailboxes: &mailboxes{unread: map[string][]watchword.Message{}, arrived: make(chan struct{}, 1)}}
	r.mailRelay = s.mailboxes
	var err error
	s.external, err = federation.New(r.Engine, r.store.(interface{ Federation() federation.Store }).Federation(),
		federation.Options{Providers: []federation.Provider{s.provider}})
	must(t, err)
	one, err := users.New(r.Engine, users.Options{})
	must(t, err)
	other, err := lesson.New(r.Engine, lesson.Options{})
	must(t, err)
	s.handler, err = server.New(r.Engine, server.Options{
		PublicURL: r.opts.PublicURL, Dialects: []dialect.Dialect{one, other}, Factors: r.Manager})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return s
}

// run compares all accounts with the model after each flow.
func (w *walk) run() {
	w.Helper()
	for i := range walkSteps {
		w.awaitEmptyOutbox()
		w.advance(time.Second + time.Duration(w.rnd.IntN(6))*time.Second)
		if w.rnd.IntN(8) == 0 {
			w.advance(w.pickTime())
		}
		name, flow := w.pickFlow()
		w.log = append(w.log, fmt.Sprintf("%3d %s", i, name))
		w.outcomes["all"]++
		flow()
		for _, p := range w.people {
			w.compareSessions(p)
		}
		if w.Failed() {
			w.Fatalf("WALK_SEED=%d\n%s", w.seed,
				strings.Join(w.log[max(0, len(w.log)-40):], "\n"))
		}
	}
}

// awaitEmptyOutbox prevents a second delivery: if the test advanced the clock while a mail was being sent, the engine
// would send it again.
func (w *walk) awaitEmptyOutbox() {
	w.Helper()
	for range 10_000 {
		waiting, err := w.Operator().Mails(w.Context(), 1)
		must(w.T, err)
		if len(waiting) == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	w.Fatal("a mail is not sent")
}

func (w *walk) pickTime() time.Duration {
	return []time.Duration{totp.Period, totp.Period, 2 * totp.Period, stepUpAge + time.Second,
		watchword.ChallengeLife, 20 * time.Minute}[w.rnd.IntN(6)]
}

// randomElement returns the zero value if the list is empty.
func randomElement[T any](w *walk, all []T) (v T) {
	if len(all) > 0 {
		v = all[w.rnd.IntN(len(all))]
	}
	return v
}

func (w *walk) logDetail(format string, args ...any) {
	w.log[len(w.log)-1] += fmt.Sprintf(" "+format, args...)
}

func (w *walk) countOutcome(name string, err error) {
	if err != nil {
		name += " " + string(watchword.CodeOf(err))
	}
	w.outcomes[name]++
	w.logDetail("→ %s", name)
}

// assertCode checks the code of err, and counts the outcome. It reports whether the flow succeeded.
func (w *walk) assertCode(flow string, err error, want watchword.Code) bool {
	w.Helper()
	w.countOutcome(flow, err)
	got := watchword.Code("")
	if err != nil {
		got = watchword.CodeOf(err)
	}
	if got != want {
		w.Errorf("%s: %q, want %q: %v", flow, got, want, err)
	}
	return err == nil
}

// compareSessions compares the store with the model.
func (w *walk) compareSessions(p *accountModel) {
	w.Helper()
	if p.id == "" {
		return
	}
	all, err := w.Operator().UserSessions(w.Context(), p.id)
	must(w.T, err)
	for _, s := range all {
		known := p.liveSessions[s.ID]
		switch {
		case known == nil:
			w.Errorf("%s has a session that no proof has opened, or that was ended: %q", p.email, s.Methods)
		case levelOfACR(amr.Level(s.Methods)) > max(known.level(), levelOne):
			w.Errorf("%s: level of %q is above the proofs %q", p.email, s.Methods, known.proofs)
		}
	}
	if len(all) < len(p.liveSessions) {
		w.Errorf("%s has %d sessions, want %d", p.email, len(all), len(p.liveSessions))
	}
	u, err := w.Operator().FindUserByID(w.Context(), p.id)
	must(w.T, err)
	if u.Factors != p.countAskedFactors() || u.Verified() != p.verified || u.Disabled() != p.disabled {
		w.Errorf("%s: %d factors, verified %v, disabled %v; the model has %d, %v, %v", p.email, u.Factors, u.Verified(),
			u.Disabled(), p.countAskedFactors(), p.verified, p.disabled)
	}
}

type signInAttempt struct {
	flow     string
	proofs   []string
	verified bool
	browser  *rememberedBrowser
}

// recordSignIn compares the outcome of a sign-in with the model, and records the session or the challenge. The first
// proof of the sign-in must have been right.
func (w *walk) recordSignIn(p *accountModel, a signInAttempt, in *watchword.SignIn, err error) *sessionModel {
	w.Helper()
	device := a.browser.isUsable(p, w.clock())
	want := p.expectedCode(w.required, a.proofs, a.verified, device)
	if !w.assertCode(a.flow, err, want) {
		w.recordChallenge(p, a, err)
		return nil
	}
	if in == nil {
		w.Errorf("%s: no session", a.flow)
		return nil
	}
	proofs := slices.Clone(a.proofs)
	if p.countAskedFactors() > 0 && sessionLevel(a.proofs, a.verified, a.verified) < levelTwo {
		proofs = append(proofs, "device")
	}
	return w.recordSession(p, in, proofs, a.verified)
}

// recordSession adds a session to the model, and checks the level in the access token.
func (w *walk) recordSession(p *accountModel, in *watchword.SignIn, proofs []string, verified bool) *sessionModel {
	w.Helper()
	s := &sessionModel{in: in, accessToken: in.AccessToken, proofs: proofs,
		lastVerified: verified, everVerified: verified, provenAt: w.clock()}
	p.liveSessions[in.Session.ID] = s
	w.checkTokenLevel(p, s)
	return s
}

// checkTokenLevel fails if the access token claims more than the user has proven.
func (w *walk) checkTokenLevel(p *accountModel, s *sessionModel) {
	w.Helper()
	acr := tokenClaim(w.T, s.accessToken, "acr")
	if levelOfACR(acr) > max(s.level(), levelOne) {
		w.Errorf("%s: the token says %q for the proofs %q", p.email, acr, s.proofs)
	}
}

func (w *walk) recordChallenge(p *accountModel, a signInAttempt, err error) {
	w.Helper()
	err = w.Manager.Offer(w.Context(), err)
	var refusal *watchword.Error
	if !errors.As(err, &refusal) || refusal.Challenge == nil {
		return
	}
	p.waitingSignIns = append(p.waitingSignIns, &waitingSignIn{handle: refusal.Challenge.Handle,
		passkey:     refusal.Challenge.Passkey,
		isEnrolment: refusal.Code == watchword.CodeEnrolmentRequired, proofs: a.proofs,
		factorsVersion: p.factorsVersion, passwordVersion: p.passwordVersion,
		startedAt: w.clock()})
}

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

// walkSteps is the length of a walk.
const walkSteps = 150

// MFA-9
func TestRandomFlowsOpenNoSessionWithoutItsFactor(t *testing.T) { walks(t, false) }

// MFA-9
func TestRandomFlowsOpenNoSessionWithoutARequiredFactor(t *testing.T) { walks(t, true) }

// walks runs SOAK_ROUNDS walks; the default is one. To repeat a failed walk, set WALK_SEED to its seed.
func walks(t *testing.T, required bool) {
	rounds, _ := strconv.Atoi(os.Getenv("SOAK_ROUNDS"))
	seed, err := strconv.ParseUint(os.Getenv("WALK_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	onBothStores(t, func(t *testing.T, r *rig) {
		s := startService(t, r)
		total := map[string]int{}
		for i := range max(rounds, 1) {
			w := &walk{service: s, T: t, n: i, seed: seed + uint64(i), did: total}
			w.rnd = rand.New(rand.NewPCG(w.seed, 0)) //nolint:gosec // a test needs no secret randomness
			w.run()
		}
		t.Logf("WALK_SEED=%d: %d walks, %d flows", seed, max(rounds, 1), total["all"])
		for _, name := range slices.Sorted(maps.Keys(total)) {
			t.Logf("%7d %s", total[name], name)
		}
	}, remembering, func(o *watchword.Options) {
		o.Limits, o.SecondFactor.Required = watchword.Unlimited(), required
	})
}

// A service is one engine with all the flows that can open a session.
type service struct {
	*rig
	required  bool
	handler   http.Handler // handler of the dialects
	external  *federation.Manager
	provider  *trusting
	mailboxes *mailboxes
}

// A walk is one random sequence of flows. people are the accounts of the model.
type walk struct {
	*service
	*testing.T
	n      int
	seed   uint64
	rnd    *rand.Rand
	people []*person
	log    []string
	did    map[string]int
}

// trusting is a fake provider. It uses the code in its response as the subject and as the verified address of the
// user.
type trusting struct{}

func (trusting) Info() federation.Info {
	return federation.Info{ID: "campus", Kind: federation.KindOIDC, Name: "Campus", Issuer: "https://campus.example",
		TrustEmail: true}
}

func (trusting) AuthURL(context.Context, federation.Attempt) (string, error) {
	return "https://campus.example/authorize", nil
}

func (trusting) Exchange(_ context.Context, _ federation.Attempt, r federation.Response) (federation.Claims, error) {
	return federation.Claims{Issuer: "https://campus.example", Subject: string(r.Code), Email: string(r.Code),
		EmailVerified: true}, nil
}

// A mailboxes keeps the mails to all addresses until a test reads them.
type mailboxes struct {
	mu   sync.Mutex
	kept map[string][]watchword.Message
	more chan struct{}
}

func (m *mailboxes) Send(_ context.Context, mail watchword.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := string(mail.Kind) + " " + string(mail.To)
	m.kept[at] = append(m.kept[at], mail)
	select {
	case m.more <- struct{}{}:
	default:
	}
	return nil
}

// The method token waits for a mail to an address, and returns the token in the mail.
func (m *mailboxes) token(t *testing.T, kind watchword.MailKind, to string) watchword.Secret {
	t.Helper()
	late := time.After(time.Minute)
	for {
		m.mu.Lock()
		all := m.kept[string(kind)+" "+to]
		if len(all) > 0 {
			delete(m.kept, string(kind)+" "+to)
			m.mu.Unlock()
			return all[len(all)-1].Token
		}
		m.mu.Unlock()
		select {
		case <-m.more:
		case <-late:
			t.Fatalf("no mail %s to %s", kind, to)
		}
	}
}

func startService(t *testing.T, r *rig) *service {
	t.Helper()
	s := &service{rig: r, required: r.opts.SecondFactor.Required, provider: &trusting{},
		mailboxes: &mailboxes{kept: map[string][]watchword.Message{}, more: make(chan struct{}, 1)}}
	r.relay = s.mailboxes
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

// The method run performs random flows, and compares all accounts with the model after each one.
func (w *walk) run() {
	w.Helper()
	for i := range walkSteps {
		w.delivered()
		w.advance(time.Second + time.Duration(w.rnd.IntN(6))*time.Second)
		if w.rnd.IntN(8) == 0 {
			w.advance(w.pickTime())
		}
		name, flow := w.flow()
		w.log = append(w.log, fmt.Sprintf("%3d %s", i, name))
		w.did["all"]++
		flow()
		for _, p := range w.people {
			w.compare(p)
		}
		if w.Failed() {
			w.Fatalf("WALK_SEED=%d\n%s", w.seed,
				strings.Join(w.log[max(0, len(w.log)-40):], "\n"))
		}
	}
}

// The method delivered waits until the outbox is empty. If the test advanced the clock while a mail was being sent,
// the engine would send the mail again.
func (w *walk) delivered() {
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

// The function one returns a random element, or the zero value if the list is empty.
func one[T any](w *walk, all []T) (v T) {
	if len(all) > 0 {
		v = all[w.rnd.IntN(len(all))]
	}
	return v
}

func (w *walk) note(format string, args ...any) {
	w.log[len(w.log)-1] += fmt.Sprintf(" "+format, args...)
}

// The method count counts the outcomes of each flow, to show which flows a walk has covered.
func (w *walk) count(name string, err error) {
	if err != nil {
		name += " " + string(watchword.CodeOf(err))
	}
	w.did[name]++
	w.note("→ %s", name)
}

// The method want compares the code of a refusal with the code that the model expects.
func (w *walk) want(flow string, err error, want watchword.Code) bool {
	w.Helper()
	w.count(flow, err)
	got := watchword.Code("")
	if err != nil {
		got = watchword.CodeOf(err)
	}
	if got != want {
		w.Errorf("%s: %q, want %q: %v", flow, got, want, err)
	}
	return err == nil
}

// compare compares the sessions of an account with the model.
func (w *walk) compare(p *person) {
	w.Helper()
	if p.id == "" {
		return
	}
	all, err := w.Operator().UserSessions(w.Context(), p.id)
	must(w.T, err)
	for _, s := range all {
		known := p.live[s.ID]
		switch {
		case known == nil:
			w.Errorf("%s has a session that no proof has opened, or that was ended: %q", p.email, s.Methods)
		case rankOf(amr.Level(s.Methods)) > max(known.rank(), levelOne):
			w.Errorf("%s: level of %q is above the proofs %q", p.email, s.Methods, known.proofs)
		}
	}
	if len(all) < len(p.live) {
		w.Errorf("%s has %d sessions, want %d", p.email, len(all), len(p.live))
	}
	u, err := w.Operator().FindUserByID(w.Context(), p.id)
	must(w.T, err)
	if u.Factors != p.due() || u.Verified() != p.verified || u.Disabled() != p.disabled {
		w.Errorf("%s: %d factors, verified %v, disabled %v; the model has %d, %v, %v", p.email, u.Factors, u.Verified(),
			u.Disabled(), p.due(), p.verified, p.disabled)
	}
}

// A signIn is an attempt to sign in, with the proofs of its first step.
type signIn struct {
	flow     string
	proofs   []string
	verified bool
	browser  *browser
}

// settle compares the outcome of a sign-in whose first proof is right with the model. It records the session or the
// challenge.
func (w *walk) settle(p *person, a signIn, in *watchword.SignIn, err error) *opened {
	w.Helper()
	device := a.browser.usable(p, w.clock())
	want := p.expect(w.required, a.proofs, a.verified, device)
	if !w.want(a.flow, err, want) {
		w.wait(p, a, err)
		return nil
	}
	if in == nil {
		w.Errorf("%s: no session", a.flow)
		return nil
	}
	proofs := slices.Clone(a.proofs)
	if p.due() > 0 && rank(a.proofs, a.verified, a.verified) < levelTwo {
		proofs = append(proofs, "device")
	}
	return w.open(p, in, proofs, a.verified)
}

// The method open records a new session, and checks the level in its access token.
func (w *walk) open(p *person, in *watchword.SignIn, proofs []string, verified bool) *opened {
	w.Helper()
	s := &opened{in: in, access: in.AccessToken, proofs: proofs, verified: verified, ever: verified, at: w.clock()}
	p.live[in.Session.ID] = s
	w.token(p, s)
	return s
}

// The method token checks that the access token of a session does not claim more than the user has proven.
func (w *walk) token(p *person, s *opened) {
	w.Helper()
	acr := claimOf(w.T, s.access, "acr")
	if rankOf(acr) > max(s.rank(), levelOne) {
		w.Errorf("%s: the token says %q for the proofs %q", p.email, acr, s.proofs)
	}
}

// The method wait records the challenge in the error of a sign-in.
func (w *walk) wait(p *person, a signIn, err error) {
	w.Helper()
	err = w.Manager.Offer(w.Context(), err)
	var refusal *watchword.Error
	if !errors.As(err, &refusal) || refusal.Challenge == nil {
		return
	}
	p.waiting = append(p.waiting, &step{handle: refusal.Challenge.Handle, passkey: refusal.Challenge.Passkey,
		enrols: refusal.Code == watchword.CodeEnrolmentRequired, proofs: a.proofs, epoch: p.epoch, secrets: p.secrets,
		at: w.clock()})
}

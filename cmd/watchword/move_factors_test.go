package main_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

type factorStore interface {
	watchword.Store
	Factors() factors.Store
}

// A factorAccount is an account with second factors. Its fields engine and factors use the current store, before or
// after the move.
type factorAccount struct {
	*testing.T
	engine  *watchword.Engine
	factors *factors.Manager

	id     watchword.UserID
	secret string
	step   int64 // of the next code
	codes  []watchword.Secret
	party  virtualwebauthn.RelyingParty
	auth   virtualwebauthn.Authenticator
	key    virtualwebauthn.Credential
}

type dropped struct{}

func (dropped) Send(context.Context, watchword.Message) error { return nil }

// openEngine sets engine and factors for a store. It reads the master key from the data directory in dir.
func (p *factorAccount) openEngine(dir string, store factorStore) {
	p.Helper()
	key, err := watchword.LoadOrCreateMasterKey(filepath.Join(dir, "watchword-data", "master.key"))
	p.must(err)
	p.engine, err = watchword.New(p.Context(), store, watchword.Options{PublicURL: "http://localhost", MasterKey: key,
		Mailer: dropped{}, RememberDevice: 24 * time.Hour, Limits: watchword.Unlimited()})
	p.must(err)
	p.factors = factors.New(p.engine, store.Factors(), factors.Options{})
}

func (p *factorAccount) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *factorAccount) nextCode() watchword.Secret {
	p.step++
	return watchword.Secret(totpCode(p.T, p.secret, p.step-1))
}

// With the token of a remembered browser, the password is enough, and challenge is nil.
func (p *factorAccount) signIn(
	rememberedToken watchword.Secret,
) (in *watchword.SignIn, challenge *watchword.ChallengeOffer) {
	p.Helper()
	in, err := p.engine.Login(p.Context(), watchword.LoginRequest{Email: ada, Password: firstSecret,
		Client: watchword.Client{Remembered: rememberedToken}})
	if err == nil {
		return in, nil
	}
	var refusal *watchword.Error
	if errors.As(p.factors.Offer(p.Context(), err), &refusal) && refusal.Challenge != nil {
		return nil, refusal.Challenge
	}
	p.Fatal(err)
	return nil, nil
}

// proveFactor uses the passkey if the proof is empty.
func (p *factorAccount) proveFactor(proof factors.Proof, remember bool) (*watchword.SignIn, error) {
	p.Helper()
	_, waiting := p.signIn("")
	if waiting == nil {
		p.Fatal("the password alone signs in")
	}
	if len(proof.Passkey) == 0 && proof.TOTP == "" && proof.RecoveryCode == "" {
		options, err := virtualwebauthn.ParseAssertionOptions(string(waiting.Passkey))
		p.must(err)
		p.key.Counter++
		proof.Passkey = []byte(virtualwebauthn.CreateAssertionResponse(p.party, p.auth, p.key, *options))
	}
	return p.factors.Login(p.Context(), factors.LoginRequest{Handle: waiting.Handle, Proof: proof, Remember: remember})
}

func (p *factorAccount) enrolFactors() {
	p.Helper()
	user, err := p.engine.Operator().FindUser(p.Context(), ada)
	p.must(err)
	p.id = user.ID
	p.must(p.engine.Operator().MarkVerified(p.Context(), p.id))
	in, _ := p.signIn("")
	who, err := p.engine.Authenticate(p.Context(), in.AccessToken)
	p.must(err)
	begun, err := p.factors.BeginTOTP(p.Context(), who, "")
	p.must(err)
	p.secret, p.step = string(begun.Secret), currentTimeStep()-1
	done, err := p.factors.ConfirmTOTP(p.Context(), who, begun.ID, p.nextCode(), watchword.Client{})
	p.must(err)
	p.codes = done.Codes
	created, err := p.factors.BeginPasskey(p.Context(), who, false)
	p.must(err)
	options, err := virtualwebauthn.ParseAttestationOptions(string(created.Options))
	p.must(err)
	p.party = virtualwebauthn.RelyingParty{ID: "localhost", Name: "localhost", Origin: "http://localhost"}
	p.auth, p.key = virtualwebauthn.NewAuthenticator(), virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	for len(p.key.Key.AttestationData()) != 77 { // the authenticator needs a key without leading zeros
		p.key = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	}
	p.auth.Options.UserHandle = []byte(options.UserID)
	credential := []byte(virtualwebauthn.CreateAttestationResponse(p.party, p.auth, p.key, *options))
	_, err = p.factors.ConfirmPasskey(p.Context(), who,
		factors.NewPasskey{Ceremony: created.ID, Credential: credential}, watchword.Client{})
	p.must(err)
}

// After a move to PostgreSQL, each second factor must still sign in, and used codes must be refused.
//
// MFA-8
func TestMoveKeepsEverySecondFactor(t *testing.T) {
	t.Parallel()
	dir, target := t.TempDir(), pgtest.Database(t)
	got := run(t, call{dir: dir, input: firstSecret + "\n", args: []string{"users", "create", ada, "--password-stdin"}})
	if got.code != 0 {
		t.Fatal(got.out, got.errors)
	}
	p := &factorAccount{T: t}
	before, err := sqlite.Open(t.Context(), filepath.Join(dir, "watchword-data", "watchword.db"))
	p.must(err)
	p.openEngine(dir, before)
	p.enrolFactors()
	used := p.nextCode()
	in, err := p.proveFactor(factors.Proof{TOTP: used}, true)
	p.must(err)
	remembered, back := in.Remembered, p.codes[0]
	_, err = p.proveFactor(factors.Proof{RecoveryCode: back}, false)
	p.must(err)
	_, waiting := p.signIn("") // this sign-in is completed after the move
	p.engine.Close()
	p.must(before.Close())

	runMove(t, dir, 0, "", "--to="+target)
	after, err := postgres.Open(t.Context(), target)
	p.must(err)
	defer after.Close() //nolint:errcheck // an error of Close does not matter in a test
	p.openEngine(dir, after)
	defer p.engine.Close()
	for name, proof := range map[string]factors.Proof{
		"a used code": {TOTP: used}, "a used recovery code": {RecoveryCode: back},
	} {
		if _, err := p.proveFactor(proof, false); watchword.CodeOf(err) != watchword.CodeFactorWrong {
			t.Errorf("%s: %v", name, err)
		}
	}
	in, err = p.factors.Login(t.Context(), factors.LoginRequest{Handle: waiting.Handle,
		Proof: factors.Proof{TOTP: p.nextCode()}})
	p.must(err)
	if !slices.Contains(in.Session.Methods, "mfa") {
		t.Errorf("methods %q", in.Session.Methods)
	}
	_, err = p.proveFactor(factors.Proof{RecoveryCode: p.codes[1]}, false)
	p.must(err)
	_, err = p.proveFactor(factors.Proof{}, false)
	p.must(err)
	if in, _ = p.signIn(remembered); in == nil || !slices.Contains(in.Session.Methods, "device") {
		t.Error("the remembered browser is asked for a factor")
	}
	overview, err := p.factors.List(t.Context(), p.id)
	p.must(err)
	if len(overview.Factors) != 2 || overview.Codes.Left != 8 || len(overview.Devices) != 1 {
		t.Errorf("%+v", overview)
	}
}

package sqlite_test

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/totp"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// A sign-in over the API must run at most 11 statements. A second factor may add at most 8 statements.
// docs/factors.md lists the statements. On PostgreSQL, a test of package factors checks the same numbers.
func TestSignInWithAFactorRunsEightStatementsMore(t *testing.T) {
	t.Parallel()
	const plainStatements, moreStatements = 11, 8
	s := newSignInServer(t)
	since := s.store.Statements(t)
	fewest := func(flow func() []string) (least []string) {
		for i := range 5 { // the first rounds include statements of background work
			since()
			if all := flow(); i == 0 || len(all) < len(least) {
				least = all
			}
		}
		return least
	}
	plain := fewest(func() []string { s.login(t, 200); return since() })
	secret := s.addAuthenticator(t)
	all := fewest(func() []string {
		s.now = s.now.Add(time.Minute)
		offer := s.login(t, 403)
		if strings.Join(offer.Methods, " ") != "totp recovery" {
			t.Fatalf("methods %q", offer.Methods)
		}
		code, err := totp.Code(secret, totp.Step(s.now))
		failOnError(t, err)
		s.postJSON(t, "login/factor", map[string]string{"handle": offer.Handle, "totp": code}, 200)
		return since()
	})
	t.Logf("without a factor, %d:\n%s", len(plain), strings.Join(plain, "\n"))
	t.Logf("with a code, %d:\n%s", len(all), strings.Join(all, "\n"))
	if len(plain) > plainStatements || len(all) > len(plain)+moreStatements {
		t.Errorf("a sign-in runs %d statements, and %d with a factor; %d and %d more are allowed",
			len(plain), len(all), plainStatements, moreStatements)
	}
}

const someEmail, somePassword = "ada@example.com", "correct horse battery"

// signInServer has one account. Only the test advances its clock.
type signInServer struct {
	store   *sqlite.Store
	engine  *watchword.Engine
	manager *factors.Manager
	server  http.Handler
	now     time.Time
}

func newSignInServer(t *testing.T) *signInServer {
	t.Helper()
	s := &signInServer{store: openStore(t, newDatabasePath(t)), now: time.Date(2026, 11, 29, 12, 0, 5, 0, time.UTC)}
	var err error
	s.engine, err = watchword.New(t.Context(), s.store, watchword.Options{
		PublicURL: "https://id.example.com", MasterKey: []byte("a master key for tests, 32 bytes"),
		Mailer: s, Now: func() time.Time { return s.now }})
	failOnError(t, err)
	t.Cleanup(s.engine.Close)
	s.manager = factors.New(s.engine, s.store.Factors(), factors.Options{})
	s.server, err = server.New(s.engine, server.Options{PublicURL: "https://id.example.com", Factors: s.manager})
	failOnError(t, err)
	_, err = s.engine.Operator().CreateUser(t.Context(), watchword.NewUser{Email: someEmail, Password: somePassword})
	failOnError(t, err)
	return s
}

func (s *signInServer) Send(context.Context, watchword.Message) error { return nil }

// addAuthenticator returns the secret of the new authenticator app.
func (s *signInServer) addAuthenticator(t *testing.T) []byte {
	t.Helper()
	in, err := s.engine.Login(t.Context(), watchword.LoginRequest{Email: someEmail, Password: somePassword})
	failOnError(t, err)
	failOnError(t, s.store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.SetVerified(t.Context(), in.User.ID, in.User.Email, s.now)
		return err
	}))
	who, err := s.engine.Authenticate(t.Context(), in.AccessToken)
	failOnError(t, err)
	begun, err := s.manager.BeginTOTP(t.Context(), who, "")
	failOnError(t, err)
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(begun.Secret))
	failOnError(t, err)
	code, err := totp.Code(secret, totp.Step(s.now))
	failOnError(t, err)
	_, err = s.manager.ConfirmTOTP(t.Context(), who, begun.ID, watchword.Secret(code), watchword.Client{})
	failOnError(t, err)
	return secret
}

// A factorOffer is the part of a response that asks for a second factor.
type factorOffer struct {
	Handle  string
	Methods []string
}

func (s *signInServer) login(t *testing.T, want int) factorOffer {
	t.Helper()
	return s.postJSON(t, "login",
		map[string]string{"email": someEmail, "password": somePassword, "delivery": "body"}, want)
}

func (s *signInServer) postJSON(t *testing.T, path string, body any, want int) factorOffer {
	t.Helper()
	text, err := json.Marshal(body)
	failOnError(t, err)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://id.example.com/api/auth/"+path,
		strings.NewReader(string(text)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, r)
	if w.Code != want {
		t.Fatalf("POST %s: %d %s", path, w.Code, w.Body)
	}
	var refusal struct{ Challenge factorOffer }
	failOnError(t, json.Unmarshal(w.Body.Bytes(), &refusal))
	return refusal.Challenge
}

func failOnError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

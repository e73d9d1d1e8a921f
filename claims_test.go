package watchword_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
)

const sharedSecret = "a secret that resource servers share"

// startOnPostgres makes an engine on a database of its own.
func startOnPostgres(t *testing.T, change func(*watchword.Options)) *watchword.Engine {
	t.Helper()
	store, err := postgres.Open(t.Context(), pgtest.New(t, "fsync = off").Database(t))
	must(t, err)
	t.Cleanup(func() { store.Close() })
	opts := watchword.Options{
		PublicURL: "https://id.example.com",
		MasterKey: []byte("a master key for tests, 32 bytes"),
		Mailer:    &postbox{},
	}
	change(&opts)
	engine, err := watchword.New(t.Context(), store, opts)
	must(t, err)
	t.Cleanup(engine.Close)
	return engine
}

// A service that shares the secret of HS256 can sign any claims.
// JWT-8, IN-3
func TestClaimsOfASharedSecretThatAreNoIDsAreInvalidOnPostgreSQL(t *testing.T) {
	t.Parallel()
	e := startOnPostgres(t, func(o *watchword.Options) { o.SigningAlg, o.SigningSecret = "HS256", sharedSecret })
	key, err := accesstoken.NewHS256([]byte(sharedSecret))
	must(t, err)
	const id = "01933f0e-7b2a-7c3d-8e4f-5a6b7c8d9e0f"
	now := time.Now().Unix()
	for name, ids := range map[string][3]string{
		"session with NUL":             {id, "a\x00b", id},
		"session with NUL at the end":  {id, id + "\x00", id},
		"session that is no id":        {id, "'; DROP TABLE users", id},
		"session that is long":         {id, strings.Repeat("a", 2000), id},
		"session in another spelling":  {id, strings.ToUpper(id), id},
		"session with surrogates":      {id, "\uFFFD", id},
		"subject with NUL":             {"a\x00b", id, id},
		"everything with NUL":          {"\x00", "\x00", "\x00"},
		"subject in another spelling":  {"{" + id + "}", id, id},
		"session with a trailing line": {id, id + "\n", id},
	} {
		for _, age := range []int64{0, 7200} { // valid, and expired
			token, err := accesstoken.Sign(key, accesstoken.Claims{
				Issuer: "https://id.example.com", Audience: []string{"https://id.example.com"},
				Subject: ids[0], SessionID: ids[1], ID: ids[2],
				IssuedAt: now - age, NotBefore: now - age, Expires: now - age + 900, AuthTime: now - age, ACR: "aal1",
			})
			must(t, err)
			_, err = e.Authenticate(context.Background(), watchword.Secret(token))
			if code := watchword.CodeOf(err); code != watchword.CodeTokenInvalid {
				t.Errorf("%s, %d s old: Authenticate returns %v", name, age, err)
			}
			if err := e.Logout(context.Background(), "", watchword.Secret(token), laptop); err != nil {
				t.Errorf("%s, %d s old: Logout returns %v", name, age, err)
			}
		}
	}
	for _, id := range []string{"a\x00b", "\xff", "x"} {
		wantCode(t, e.EndUserSession(t.Context(), someUser, watchword.SessionID(id)), watchword.CodeNotFound)
		n, err := e.RetryMail(t.Context(), id)
		if n != 0 || err != nil {
			t.Errorf("RetryMail(%q) = %d, %v", id, n, err)
		}
	}
}

const someUser = watchword.UserID("01933f0e-7b2a-7c3d-8e4f-5a6b7c8d9e0f")

// JWT-18
func TestNotBeforeIsAMinuteBeforeIssuedAt(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *watchword.Options) { o.SigningAlg, o.SigningSecret = "HS256", sharedSecret })
	in := r.signUp(t, "ada@example.com")
	_, err := r.SetRoles(t.Context(), in.User.ID, []string{"admin"})
	must(t, err)
	after := r.login(t, "ada@example.com", laptop) // dated ahead, at the second of the change
	key, err := accesstoken.NewHS256([]byte(sharedSecret))
	must(t, err)
	for _, token := range []watchword.Secret{in.AccessToken, after.AccessToken} {
		claims, err := accesstoken.Verify(string(token), func(string) (accesstoken.Key, bool) { return key, true }, accesstoken.Expect{
			Issuer: r.opts.PublicURL, Audience: r.opts.PublicURL, Now: r.clock.Now(), Leeway: time.Second,
		})
		must(t, err)
		if claims.NotBefore != claims.IssuedAt-60 {
			t.Errorf("nbf is %d, iat %d", claims.NotBefore, claims.IssuedAt)
		}
	}
}

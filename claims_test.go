package watchword_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

const sharedSecret = "a secret that resource servers share"

func startOnPostgres(t *testing.T, change func(*watchword.Options)) *watchword.Engine {
	t.Helper()
	store, err := postgres.Open(t.Context(), pgtest.Migrated(t, postgres.Migrate))
	must(t, err)
	t.Cleanup(func() { store.Close() })
	opts := watchword.Options{
		PublicURL: "https://id.example.com",
		MasterKey: []byte("a master key for tests, 32 bytes"),
		Mailer:    &postbox{},
	}
	change(&opts)
	engine, err := watchword.NewForTest(t.Context(), store, opts)
	must(t, err)
	t.Cleanup(engine.Close)
	return engine
}

// A service that shares the secret of HS256 can sign any claims. The engine must refuse a token whose user, session
// or token id is not in the form of an id.
//
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
		for _, age := range []int64{0, 7200} { // a valid token and an expired token
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
		wantCode(t, e.Operator().EndUserSession(t.Context(), someUser, watchword.SessionID(id)), watchword.CodeNotFound)
		n, err := e.Operator().RetryMail(t.Context(), id)
		if n != 0 || err != nil {
			t.Errorf("RetryMail(%q) = %d, %v", id, n, err)
		}
	}
}

const someUser = watchword.UserID("01933f0e-7b2a-7c3d-8e4f-5a6b7c8d9e0f")

// JWT-18
func TestNotBeforeIsAMinuteBeforeIssuedAt(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.SigningAlg, o.SigningSecret = "HS256", sharedSecret })
	in := r.signUp(t, "ada@example.com")
	_, err := r.Operator().SetRoles(t.Context(), in.User.ID, []string{"admin"})
	must(t, err)
	after := r.login(t, "ada@example.com", laptop) // the roles just changed, so iat is up to a second ahead
	key, err := accesstoken.NewHS256([]byte(sharedSecret))
	must(t, err)
	for _, token := range []watchword.Secret{in.AccessToken, after.AccessToken} {
		claims, err := accesstoken.Verify(string(token), func(string) (accesstoken.Key, bool) { return key, true },
			accesstoken.Expect{
				Issuer: r.opts.PublicURL, Audience: r.opts.PublicURL, Now: r.clock.Now(), Leeway: time.Second,
			})
		must(t, err)
		if claims.NotBefore != claims.IssuedAt-60 {
			t.Errorf("nbf is %d, iat %d", claims.NotBefore, claims.IssuedAt)
		}
	}
}

// longestAccount has parts of maximum length, as earlier releases accepted.
func longestAccount(hash watchword.Secret, at time.Time) watchword.User {
	roles := make([]string, 32)
	for i := range roles {
		roles[i] = fmt.Sprintf("%02d", i) + strings.Repeat("r", 62)
	}
	domain := strings.Repeat(strings.Repeat("d", 61)+".", 3) + "com"
	return watchword.User{
		ID:    "01933f0e-7b2a-7c3d-8e4f-5a6b7c8d9e0f",
		Email: watchword.Address(strings.Repeat("a", 254-1-len(domain)) + "@" + domain),
		Name:  strings.Repeat("\u2028", 200), Roles: roles, PasswordHash: hash, CreatedAt: at,
	}
}

func (r *rig) insertUser(t testing.TB, u watchword.User) {
	t.Helper()
	err := r.store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.InsertUser(t.Context(), u, time.Time{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var everyClaim = watchword.Claims{Email: true, Name: true, Static: map[string]string{"https://example.com/tenant": "7"}}

// shortAndLongSignatures returns algorithms with short and with long signatures. With -short, it omits RS256, because
// each engine would create two RSA keys.
func shortAndLongSignatures() []string {
	if testing.Short() {
		return []string{"ES256"}
	}
	return []string{"ES256", "RS256"}
}

// JWT-17
func TestAccountOfAnEarlierReleaseWithLongPartsCanSignIn(t *testing.T) {
	t.Parallel()
	for _, alg := range shortAndLongSignatures() {
		r := startEngine(t, func(o *watchword.Options) { o.Claims, o.SigningAlg = everyClaim, alg })
		user := longestAccount(r.signUp(t, "ada@example.com").User.PasswordHash, r.clock.Now())
		r.insertUser(t, user)
		in := r.login(t, string(user.Email), laptop)
		r.authenticate(t, in)
		if _, err := r.Refresh(t.Context(), in.RefreshToken, laptop); err != nil {
			t.Error(err)
		}
	}
}

// JWT-17
func TestRolesThatMakeATokenTooLongAreRefusedWhenTheyAreSet(t *testing.T) {
	t.Parallel()
	for _, alg := range shortAndLongSignatures() {
		r := startEngine(t, func(o *watchword.Options) { o.Claims, o.SigningAlg = everyClaim, alg })
		in := r.signUp(t, "ada@example.com")
		roles := longestAccount("", time.Time{}).Roles
		most := 0
		for n := range roles {
			r.clock.advance(2 * time.Second)
			if _, err := r.Operator().SetRoles(t.Context(), in.User.ID, roles[:n+1]); err != nil {
				wantField(t, err, "roles", watchword.FieldTooLong)
				break
			}
			most = n + 1
		}
		if most < 8 || most == 32 {
			t.Errorf("%s: %d of the longest roles are accepted", alg, most)
		}
		_, err := r.UpdateProfile(t.Context(), r.authenticate(t, r.login(t, "ada@example.com", laptop)),
			watchword.ProfileChange{Name: new(strings.Repeat("\U0001F9A6", 200))})
		must(t, err)
		if size := len(r.login(t, "ada@example.com", laptop).AccessToken); size > accesstoken.MaxSize {
			t.Errorf("%s: a token of %d bytes", alg, size)
		}
		_, err = r.Operator().CreateUser(t.Context(), watchword.NewUser{Email: "bob@example.com", Roles: roles})
		wantField(t, err, "roles", watchword.FieldTooLong)
		results, err := accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{
			{Email: "eve@example.com", Roles: roles}})
		must(t, err)
		if problems := results[0].Problems; len(problems) != 1 || problems[0].Field != "roles" {
			t.Errorf("%s: import says %+v", alg, problems)
		}
	}
	short := make([]string, 32)
	for i := range short {
		short[i] = fmt.Sprintf("team-%02d:editor", i)
	}
	r := startEngine(t, func(o *watchword.Options) { o.Claims = everyClaim })
	_, err := r.Operator().CreateUser(t.Context(), watchword.NewUser{Email: "bob@example.com", Roles: short})
	must(t, err)
}

// JWT-17
func TestNewRefusesOptionsThatCannotMakeATokenForEveryUser(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	static := func(pairs ...string) func(*watchword.Options) {
		return func(o *watchword.Options) {
			o.Claims.Static = map[string]string{}
			for i := 0; i < len(pairs); i += 2 {
				o.Claims.Static[pairs[i]] = pairs[i+1]
			}
		}
	}
	for name, change := range map[string]func(*watchword.Options){
		"a claim of the token":         static("sub", "x"),
		"in another case":              static("SUB", "x"),
		"with a long s":                static("\u017fub", "x"),
		"a claim of the user":          static("Email", "x"),
		"whether it is verified":       static("EMAIL_VERIFIED", "x"),
		"the name":                     static("Name", "x"),
		"the time of sign-in":          static("Auth_Time", "x"),
		"one claim in two cases":       static("tier", "a", "Tier", "b"),
		"a value that looks computed":  static("user", "@id"),
		"an unknown computed value":    static("user", "@"),
		"a value that names the id":    static("user", "id"),
		"a value that names the roles": static("user", "roles"),
		"a name that is empty":         static("", "x"),
		"a name that is long":          static(strings.Repeat("x", 129), "x"),
		"a name that is no text":       static("a\xff", "x"),
		"a constant that is long":      static("a", strings.Repeat("x", 3000)),
		"an audience that is long":     func(o *watchword.Options) { o.Audience = strings.Repeat("x", 3000) },
		"an audience that is no text":  func(o *watchword.Options) { o.Audience = "a\xff" },
		"a public URL that is long": func(o *watchword.Options) {
			o.PublicURL = "https://" + strings.Repeat("x", 2000)
		},
		"an algorithm of no kind":     func(o *watchword.Options) { o.SigningAlg = "none" },
		"a lifetime that is too long": func(o *watchword.Options) { o.AccessTTL = 2 * time.Hour },
		"a lifetime below a second":   func(o *watchword.Options) { o.AccessTTL = time.Millisecond },
		"a lifetime that is negative": func(o *watchword.Options) { o.AccessTTL = -time.Second },
		"a secret of HS256 that is not": func(o *watchword.Options) {
			o.SigningAlg, o.SigningSecret = "HS256", "short"
		},
	} {
		opts := r.opts
		change(&opts)
		engine, err := watchword.NewForTest(t.Context(), r.store, opts)
		if err == nil {
			engine.Close()
			t.Errorf("%s: New accepts it", name)
		}
	}
}

// If New accepts the options, every user can sign in, and the token is valid.
//
// JWT-17
func FuzzOptionsThatStartLetEverybodySignIn(f *testing.F) {
	f.Add("https://id.example.com", "", "ES256", "", "tenant=7", true, true, int64(900), int64(604800))
	f.Add("https://id.example.com", "api", "HS256", sharedSecret, "SUB=x", true, false, int64(60), int64(1))
	f.Add("https://\xff", "\x00", "Ed25519", "", "Email=x\nname=y", false, true, int64(3600), int64(0))
	f.Add("x", strings.Repeat("\u2028", 300), "ES256", "", "a="+strings.Repeat("\"", 400),
		true, true, int64(1), int64(-1))
	f.Add("https://id.example.com", strings.Repeat("<", 600), "", "", "a=@id\nb=roles\n=\nk\u0130d=1\n\u212aid=2",
		false, false, int64(0), int64(30))
	f.Add("https://id.example.com", "", "ES256", "", "_id=@id\nrole=@role\nall=@roles\nmail=@email\nsession=@sid",
		true, true, int64(900), int64(604800))
	f.Add("https://id.example.com", "", "ES256", "", "a=@roles\nb=@name", false, false, int64(900), int64(604800))
	r := startFuzz(f)
	var last *watchword.SignIn
	f.Fuzz(func(t *testing.T, url, audience, alg, secret, claims string, email, name bool, ttl, idle int64) {
		if alg == "RS256" {
			alg = "ES256" // creating RSA keys takes a second; a separate test covers the size of such tokens
		}
		opts := r.opts
		opts.PublicURL, opts.Audience = url, audience
		opts.SigningAlg, opts.SigningSecret = alg, watchword.Secret(secret)
		opts.AccessTTL = time.Duration(ttl%100_000) * time.Second
		opts.Sessions.Idle = time.Duration(idle%1_000_000) * time.Second
		opts.Claims = watchword.Claims{Email: email, Name: name,
			Static: map[string]string{}, Computed: map[string]string{}}
		for line := range strings.Lines(claims) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			if strings.HasPrefix(value, "@") {
				opts.Claims.Computed[key] = value
			} else {
				opts.Claims.Static[key] = value
			}
		}
		engine, err := watchword.NewForTest(t.Context(), r.store, opts)
		if err != nil {
			return // New refused the options
		}
		defer engine.Close()
		in, err := (*watchword.SignIn)(nil), error(nil)
		if last != nil {
			in, err = engine.Refresh(t.Context(), last.RefreshToken, laptop) // faster than Login
		}
		if last == nil || err != nil {
			in, err = engine.Login(t.Context(), watchword.LoginRequest{
				Email: string(r.user.Email), Password: goodPassword, Persistent: true, Client: laptop})
		}
		if err != nil {
			t.Fatalf("sign in: %v", err)
		}
		last = in
		_, err = engine.Authenticate(t.Context(), in.AccessToken)
		if watchword.CodeOf(err) == watchword.CodeTokenInvalid {
			t.Fatalf("the token does not verify: %v", err)
		}
	})
}

// A fuzzRig has the longest account in its store.
type fuzzRig struct {
	*rig
	user watchword.User
}

func startFuzz(f *testing.F) fuzzRig {
	store, err := sqlite.Open(f.Context(), filepath.Join(f.TempDir(), "watchword.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { store.Close() })
	r := &rig{store: store, clock: newClock(), post: &postbox{}}
	r.opts = watchword.Options{
		PublicURL: "https://id.example.com", MasterKey: []byte("a master key for tests, 32 bytes"),
		Mailer: r.post, Now: r.clock.Now,
		Limits: watchword.Unlimited(), HashQueue: time.Minute,
	}
	engine, err := watchword.NewForTest(f.Context(), store, r.opts)
	if err != nil {
		f.Fatal(err)
	}
	defer engine.Close()
	in, err := engine.SignUp(f.Context(), watchword.SignUpRequest{
		Email: "ada@example.com", Password: goodPassword, Client: laptop})
	if err != nil {
		f.Fatal(err)
	}
	user := longestAccount(in.User.PasswordHash, r.clock.Now())
	r.insertUser(f, user)
	return fuzzRig{r, user}
}

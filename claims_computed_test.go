package watchword_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/accesstoken"
)

// everyComputedClaim uses each computed value once, under names that common tutorials use.
var everyComputedClaim = map[string]string{
	"_id": "@id", "userId": "@id", "role": "@role",
	"authorities": "@roles", "mail": "@email", "username": "@name",
	"session": "@sid",
}

func tokenPayload(t *testing.T, token watchword.Secret) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(string(token), ".")[1])
	must(t, err)
	var claims map[string]any
	must(t, json.Unmarshal(text, &claims))
	return claims
}

// JWT-19
func TestComputedClaimsHoldTheDataOfUserAndSession(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.Claims.Computed = everyComputedClaim })
	in := r.signUp(t, "ada@example.com")
	for _, c := range []struct {
		roles []string
		role  string
	}{
		{nil, "user"},
		{[]string{"editor"}, "editor"},
		{[]string{"writer", "editor"}, "editor"}, // roles are sorted
		{[]string{"admin", "zeta"}, "admin"},
		{[]string{"accountant", "admin"}, "admin"},
	} {
		_, err := r.Operator().SetRoles(t.Context(), in.User.ID, c.roles)
		must(t, err)
		// so that the next token is dated after the change
		r.clock.advance(2 * time.Second)
		in, err = r.Refresh(t.Context(), in.RefreshToken, laptop)
		must(t, err)
		claims := tokenPayload(t, in.AccessToken)
		want := map[string]any{
			"_id": claims["sub"], "userId": claims["sub"], "role": c.role, "authorities": claims["roles"],
			"username": "Ada", "session": claims["sid"],
		}
		for name, value := range want {
			if got, ok := claims[name]; !ok || !reflect.DeepEqual(got, value) {
				t.Errorf("roles %v: %s is %#v, want %#v", c.roles, name, got, value)
			}
		}
		if claims["sub"] != string(in.User.ID) || claims["sid"] != string(in.Session.ID) {
			t.Errorf("claims of another user or session: %v", claims)
		}
	}
	who := r.authenticate(t, in)
	_, err := r.UpdateProfile(t.Context(), who, watchword.ProfileChange{Name: new("Ada Lovelace")})
	must(t, err)
	in = r.login(t, "ada@example.com", laptop)
	if name := tokenPayload(t, in.AccessToken)["username"]; name != "Ada Lovelace" {
		t.Errorf("the name is %v", name)
	}
}

// Services trust an address in a token, so a token must not contain an unproven address.
// JWT-19
func TestComputedEmailIsAbsentWhileUnproven(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.Claims.Computed = everyComputedClaim })
	in := r.signUp(t, "ada@example.com")
	if mail, ok := tokenPayload(t, in.AccessToken)["mail"]; ok {
		t.Errorf("the token of an unproven address has %v", mail)
	}
	proven := longestAccount(in.User.PasswordHash, r.clock.Now())
	proven.Email, proven.Roles, proven.VerifiedAt = "bob@example.com", nil, r.clock.Now()
	r.insertUser(t, proven)
	if mail := tokenPayload(t, r.login(t, "bob@example.com", laptop).AccessToken)["mail"]; mail != "bob@example.com" {
		t.Errorf("the token of a proven address has %v", mail)
	}
}

// JWT-12, JWT-17, JWT-19
func TestClaimsThatAreNotComputedAsWrittenAreRefused(t *testing.T) {
	t.Parallel()
	computed := func(name, value string) watchword.Claims {
		return watchword.Claims{Computed: map[string]string{name: value}}
	}
	static := func(name, value string) watchword.Claims {
		return watchword.Claims{Static: map[string]string{name: value}}
	}
	for name, c := range map[string]struct {
		claims watchword.Claims
		want   string
	}{
		"a reserved name":                 {computed("sub", "@id"), `"sub" is reserved`},
		"a reserved name in another case": {computed("Email", "@email"), `"Email" is reserved`},
		"a reserved name with a long s":   {computed("\u017fid", "@sid"), "is reserved"},
		"an unknown value": {computed("user", "@uid"),
			"one of @id, @role, @roles, @email, @name, @sid"},
		"a value in another case":        {computed("user", "@ID"), "write one of @id"},
		"a value without @":              {computed("user", "id"), "write one of @id"},
		"a constant id":                  {static("userId", "id"), "write userId=@id"},
		"a constant role":                {static("role", "role"), "write role=@role"},
		"a constant roles":               {static("all", "roles"), "write all=@roles"},
		"a constant email":               {static("mail", "email"), "write mail=@email"},
		"a constant name":                {static("user", "name"), "write user=@name"},
		"a constant sid":                 {static("s", "sid"), "write s=@sid"},
		"a computed value as a constant": {static("userId", "@id"), "write userId=@id"},
		"a constant with @":              {static("handle", "@ada"), "begins with @"},
		"one claim of two kinds": {watchword.Claims{Static: map[string]string{"role": "x"},
			Computed: map[string]string{"role": "@role"}}, "appears twice: write each claim once"},
		"one claim in two cases": {watchword.Claims{Static: map[string]string{"Role": "x"},
			Computed: map[string]string{"role": "@role"}}, "twice with different case"},
		"names that are too long": {watchword.Claims{Computed: map[string]string{
			"a": "@name", "b": "@name", "c": "@name", "d": "@name"}}, "the limit is 4000"},
		"roles that are too long": {watchword.Claims{Computed: map[string]string{
			"a": "@roles", "b": "@roles", "c": "@roles", "d": "@roles"}}, "the limit is 4000"},
	} {
		err := watchword.Options{PublicURL: "https://id.example.com", Claims: c.claims}.CheckTokens()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// JWT-17, JWT-19
func TestComputedClaimsCountForTheSizeOfATokens(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) {
		o.Claims.Computed = map[string]string{
			"_id": "@id", "role": "@role", "authorities": "@roles", "mail": "@email", "username": "@name"}
	})
	in := r.signUp(t, "ada@example.com")
	var roles []string
	for n := range 32 {
		// Each change of roles takes effect at its own second. Without this advance, SetRoles would wait.
		r.clock.advance(2 * time.Second)
		longer := append(roles, fmt.Sprintf("%02d", n)+strings.Repeat("r", 62)) //nolint:gocritic // kept if accepted
		if _, err := r.Operator().SetRoles(t.Context(), in.User.ID, longer); err != nil {
			wantField(t, err, "roles", watchword.FieldTooLong)
			break
		}
		roles = longer
	}
	if len(roles) < 8 || len(roles) == 32 {
		t.Errorf("%d of the longest roles are accepted", len(roles))
	}
	// An account of an earlier release can have data that is too long for computed claims. Its token must then have
	// no computed claims.
	user := longestAccount(in.User.PasswordHash, r.clock.Now())
	user.VerifiedAt = r.clock.Now()
	r.insertUser(t, user)
	in = r.login(t, string(user.Email), laptop)
	r.authenticate(t, in)
	if claims := tokenPayload(t, in.AccessToken); len(in.AccessToken) > accesstoken.Limit || claims["_id"] != nil {
		t.Errorf("a token of %d bytes with _id %v", len(in.AccessToken), claims["_id"])
	}
}

// JWT-20
func TestIssuerIsInAccessTokensOnly(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) {
		o.SigningAlg, o.SigningSecret, o.Issuer = "HS256", sharedSecret, "your-app"
	})
	in := r.signUp(t, "ada@example.com")
	claims := tokenPayload(t, in.AccessToken)
	if claims["iss"] != "your-app" || claims["aud"] != r.opts.PublicURL {
		t.Errorf("iss %v, aud %v", claims["iss"], claims["aud"])
	}
	r.authenticate(t, in)

	before := r.opts
	before.Issuer = ""
	other, err := watchword.NewForTest(t.Context(), r.store, before)
	must(t, err)
	defer other.Close()
	_, err = other.Authenticate(t.Context(), in.AccessToken)
	wantCode(t, err, watchword.CodeTokenInvalid)
}

// JWT-20
func TestIssuerNeedsHS256(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ alg, issuer, want string }{
		{"HS256", "your-app", ""},
		{"HS256", "Your App", ""},
		{"HS256", "https://old.example.com", ""},
		{"ES256", "https://id.example.com", ""}, // the same as the public URL
		{"ES256", "your-app", "is for HS256"},
		{"", "your-app", "is for HS256"},
		{"RS256", "https://old.example.com", "is for HS256"},
		{"HS256", `your"app`, "is malformed"},
		{"HS256", " your-app", "is malformed"},
		{"HS256", "your\x00app", "is malformed"},
		{"HS256", "y\u00f6ur-app", "is malformed"},
		{"HS256", strings.Repeat("x", 129), "is malformed"},
	} {
		err := watchword.Options{PublicURL: "https://id.example.com", SigningAlg: c.alg, Issuer: c.issuer}.CheckTokens()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s, issuer %q: %v, want %q", c.alg, c.issuer, err, c.want)
		}
	}
}

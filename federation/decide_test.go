package federation_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

var (
	nobody   watchword.User
	ada      = watchword.User{ID: "ada", Email: "ada@example.com", VerifiedAt: time.Unix(1, 0)}
	bob      = watchword.User{ID: "bob", Email: "bob@example.com", VerifiedAt: time.Unix(1, 0)}
	squatter = watchword.User{ID: "squatter", Email: "ada@example.com"}
)

// The table of the specification, and every combination that it leaves open.
func TestDecideIdentityFollowsTheTable(t *testing.T) {
	t.Parallel()
	const signIn, link, verify = "signin", "link", "verify"
	for _, c := range []struct {
		name string
		federation.Facts
		want string
	}{
		{"known", federation.Facts{Purpose: signIn, Owner: ada}, "enter"},
		{"known, sign-up closed, not vouched", federation.Facts{Purpose: signIn, Owner: ada, Local: bob}, "enter"},
		{"known, at a mailed link", federation.Facts{Purpose: verify, Owner: ada}, "enter"},
		{"known of another user, to link", federation.Facts{Purpose: link, Owner: bob, Self: ada, Vouched: true}, "taken"},
		{"known of this user, to link", federation.Facts{Purpose: link, Owner: ada, Self: ada}, "linked"},
		{"unknown, to link", federation.Facts{Purpose: link, Self: ada}, "link"},
		{"unknown, to link, with the address of another", federation.Facts{Purpose: link, Self: ada, Local: bob}, "link"},
		{"to link, the session has ended", federation.Facts{Purpose: link}, "invalid"},
		{"known, to link, the session has ended", federation.Facts{Purpose: link, Owner: ada}, "invalid"},

		{"vouched, no account", federation.Facts{Purpose: signIn, Vouched: true, SignUp: true}, "create"},
		{"vouched, no account, closed", federation.Facts{Purpose: signIn, Vouched: true}, "closed"},
		{"vouched, proven account", federation.Facts{Purpose: signIn, Vouched: true, Local: ada, SignUp: true}, "link-required"},
		{"vouched, proven account, closed", federation.Facts{Purpose: signIn, Vouched: true, Local: ada}, "link-required"},
		{"vouched, proven account, link-proven",
			federation.Facts{Purpose: signIn, Vouched: true, Local: ada, LinkProven: true}, "adopt"},
		{"vouched, squatted account", federation.Facts{Purpose: signIn, Vouched: true, Local: squatter}, "first-proof"},
		{"vouched, squatted account, link-proven",
			federation.Facts{Purpose: signIn, Vouched: true, Local: squatter, LinkProven: true}, "first-proof"},

		{"not vouched, no account", federation.Facts{Purpose: signIn, SignUp: true}, "wait"},
		{"not vouched, proven account", federation.Facts{Purpose: signIn, SignUp: true, Local: ada}, "wait"},
		{"not vouched, proven account, link-proven",
			federation.Facts{Purpose: signIn, SignUp: true, Local: ada, LinkProven: true}, "wait"},
		{"not vouched, squatted account", federation.Facts{Purpose: signIn, SignUp: true, Local: squatter}, "wait"},
		{"not vouched, closed, no account", federation.Facts{Purpose: signIn}, "closed"},
		{"not vouched, closed, proven account", federation.Facts{Purpose: signIn, Local: ada, LinkProven: true}, "closed"},

		{"mailed link, it waits", federation.Facts{Purpose: verify, Waits: true, SignUp: true}, "create"},
		{"mailed link, it waits, closed", federation.Facts{Purpose: verify, Waits: true}, "closed"},
		{"mailed link, it waits, squatted", federation.Facts{Purpose: verify, Waits: true, Local: squatter}, "first-proof"},
		{"mailed link, it waits, proven meanwhile", federation.Facts{Purpose: verify, Waits: true, Local: ada}, "invalid"},
		{"mailed link, another identity", federation.Facts{Purpose: verify, SignUp: true, Vouched: true}, "invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := federation.Decide(c.Facts); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// No combination of facts lets an address alone open or change a proven account, unless the operator
// has chosen so and the provider vouches for the address.
func TestAnAddressAloneOpensNoProvenAccount(t *testing.T) {
	t.Parallel()
	yes := []bool{false, true}
	for _, purpose := range []string{"signin", "link", "verify"} {
		for _, self := range []watchword.User{nobody, bob} {
			for mask := range 16 {
				f := federation.Facts{Purpose: purpose, Local: ada, Self: self, Vouched: yes[mask&1], SignUp: yes[mask>>1&1],
					LinkProven: yes[mask>>2&1], Waits: yes[mask>>3&1]}
				got := federation.Decide(f)
				allowed := []string{"link-required", "wait", "closed", "invalid", "link"} // link: to the session's own account
				if f.Vouched && f.LinkProven && purpose == "signin" {
					allowed = append(allowed, "adopt")
				}
				if !slices.Contains(allowed, got) || got == "link" && self.ID == "" {
					t.Errorf("%+v: %s", f, got)
				}
			}
		}
	}
}

func TestProvidersVouchForFewAddresses(t *testing.T) {
	t.Parallel()
	const google, microsoft, apple, github, oidc = federation.KindGoogle, federation.KindMicrosoft,
		federation.KindApple, federation.KindGitHub, federation.KindOIDC
	for name, c := range map[string]struct {
		info   federation.Info
		claims federation.Claims
		want   bool
	}{
		"google, gmail":           {federation.Info{Kind: google}, federation.Claims{Email: "A@Gmail.com", EmailVerified: true}, true},
		"google, googlemail":      {federation.Info{Kind: google}, federation.Claims{Email: "a@googlemail.com", EmailVerified: true}, true},
		"google, gmail, no":       {federation.Info{Kind: google}, federation.Claims{Email: "a@gmail.com"}, false},
		"google, customer":        {federation.Info{Kind: google}, federation.Claims{Email: "a@example.com", EmailVerified: true, HostedDomain: "example.com"}, true},
		"google, other address":   {federation.Info{Kind: google}, federation.Claims{Email: "a@example.com", EmailVerified: true}, false},
		"google, like gmail":      {federation.Info{Kind: google}, federation.Claims{Email: "a@gmail.com.example.com", EmailVerified: true}, false},
		"microsoft, verified":     {federation.Info{Kind: microsoft}, federation.Claims{Email: "a@example.com", EmailVerified: true}, false},
		"microsoft, domain owned": {federation.Info{Kind: microsoft}, federation.Claims{Email: "a@example.com", DomainOwned: true}, true},
		"apple":                   {federation.Info{Kind: apple}, federation.Claims{Email: "a@example.com", EmailVerified: true}, true},
		"apple, no":               {federation.Info{Kind: apple}, federation.Claims{Email: "a@example.com"}, false},
		"github":                  {federation.Info{Kind: github}, federation.Claims{Email: "a@example.com", EmailVerified: true}, true},
		"oidc":                    {federation.Info{Kind: oidc}, federation.Claims{Email: "a@example.com", EmailVerified: true}, false},
		"oidc, trusted":           {federation.Info{Kind: oidc, TrustEmail: true}, federation.Claims{Email: "a@example.com", EmailVerified: true}, true},
		"oidc, trusted, no":       {federation.Info{Kind: oidc, TrustEmail: true}, federation.Claims{Email: "a@example.com"}, false},
		"oidc, hd of Google":      {federation.Info{Kind: oidc}, federation.Claims{Email: "a@gmail.com", EmailVerified: true, HostedDomain: "x"}, false},
		"no address":              {federation.Info{Kind: github}, federation.Claims{EmailVerified: true}, false},
		"no valid address":        {federation.Info{Kind: github}, federation.Claims{Email: "a@b", EmailVerified: true}, false},
		"unknown kind":            {federation.Info{Kind: "x", TrustEmail: true}, federation.Claims{Email: "a@example.com", EmailVerified: true}, false},
	} {
		if got := federation.Vouches(c.info, c.claims); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

// Any provider can claim any method, so it counts only if the operator trusts it.
func TestMethodsOfAProviderCountOnlyIfTrusted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		info    federation.Info
		methods string
		want    string
	}{
		{federation.Info{Kind: federation.KindOIDC}, "pwd mfa", "ext"},
		{federation.Info{Kind: federation.KindOIDC, TrustMFA: true}, "pwd mfa", "ext mfa"},
		{federation.Info{Kind: federation.KindOIDC, TrustMFA: true}, "pwd otp", "ext"},
		{federation.Info{Kind: federation.KindGoogle, TrustMFA: true}, "mfa", "ext"},
	} {
		got := federation.Proofs(c.info, federation.Claims{Methods: strings.Fields(c.methods)})
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v %s: %v", c.info, c.methods, got)
		}
	}
}

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

	disabled = watchword.User{ID: "ada", Email: "ada@example.com", VerifiedAt: time.Unix(1, 0),
		DisabledAt: time.Unix(2, 0)}
	disabledSquatter = watchword.User{ID: "squatter", Email: "ada@example.com", DisabledAt: time.Unix(2, 0)}
)

// F keeps the rows of the table short.
type F = federation.Given

// The test checks the table of the specification, and then every combination that is not in the table.
func TestDecideIdentityFollowsTheTable(t *testing.T) {
	t.Parallel()
	const signIn, link, verify, stepUp = "signin", "link", "verify", "stepup"
	for _, c := range []struct {
		name string
		F
		want string
	}{
		{"known", F{Purpose: signIn, Owner: ada}, "sign-in"},
		{"known, sign-up closed, not vouched", F{Purpose: signIn, Owner: ada, Local: bob}, "sign-in"},
		{"known, at a mailed link", F{Purpose: verify, Owner: ada}, "sign-in"},
		{"known of another user, to link", F{Purpose: link, Owner: bob, Self: ada, Vouched: true}, "taken"},
		{"known of this user, to link", F{Purpose: link, Owner: ada, Self: ada}, "linked"},
		{"unknown, to link", F{Purpose: link, Self: ada}, "link"},
		{"unknown, to link, with the address of another", F{Purpose: link, Self: ada, Local: bob}, "link"},
		{"to link, the session has ended", F{Purpose: link}, "invalid"},
		{"known, to link, the session has ended", F{Purpose: link, Owner: ada}, "invalid"},

		{"known of this user, step-up", F{Purpose: stepUp, Owner: ada, Self: ada}, "sign-in"},
		{"known of another user, step-up", F{Purpose: stepUp, Owner: bob, Self: ada}, "unconnected"},
		{"unknown, step-up", F{Purpose: stepUp, Self: ada, SignUp: true}, "unconnected"},
		{"unknown, step-up, vouched", F{Purpose: stepUp, Self: ada, Local: ada, Vouched: true, SignUp: true,
			LinkProven: true}, "unconnected"},
		{"unknown, step-up of nobody", F{Purpose: stepUp, Vouched: true, SignUp: true}, "unconnected"},

		{"vouched, no account", F{Purpose: signIn, Vouched: true, SignUp: true}, "create"},
		{"vouched, no account, closed", F{Purpose: signIn, Vouched: true}, "closed"},
		{"vouched, proven account", F{Purpose: signIn, Vouched: true, Local: ada, SignUp: true}, "link-required"},
		{"vouched, proven account, closed", F{Purpose: signIn, Vouched: true, Local: ada}, "link-required"},
		{"vouched, proven account, link-proven",
			F{Purpose: signIn, Vouched: true, Local: ada, LinkProven: true}, "adopt"},
		{"vouched, squatted account", F{Purpose: signIn, Vouched: true, Local: squatter}, "first-proof"},
		{"vouched, squatted account, link-proven",
			F{Purpose: signIn, Vouched: true, Local: squatter, LinkProven: true}, "first-proof"},
		{"vouched, disabled account", F{Purpose: signIn, Vouched: true, Local: disabled}, "disabled"},
		{"vouched, disabled account, link-proven",
			F{Purpose: signIn, Vouched: true, Local: disabled, LinkProven: true}, "disabled"},
		{"vouched, disabled squatted account", F{Purpose: signIn, Vouched: true, Local: disabledSquatter}, "disabled"},
		{"not vouched, disabled account", F{Purpose: signIn, SignUp: true, Local: disabled}, "wait"},

		{"not vouched, no account", F{Purpose: signIn, SignUp: true}, "wait"},
		{"not vouched, proven account", F{Purpose: signIn, SignUp: true, Local: ada}, "wait"},
		{"not vouched, proven account, link-proven",
			F{Purpose: signIn, SignUp: true, Local: ada, LinkProven: true}, "wait"},
		{"not vouched, squatted account", F{Purpose: signIn, SignUp: true, Local: squatter}, "wait"},
		{"not vouched, closed, no account", F{Purpose: signIn}, "closed"},
		{"not vouched, closed, proven account", F{Purpose: signIn, Local: ada, LinkProven: true}, "closed"},

		{"mailed link, it waits", F{Purpose: verify, Waits: true, SignUp: true}, "create"},
		{"mailed link, it waits, closed", F{Purpose: verify, Waits: true}, "closed"},
		{"mailed link, it waits, squatted", F{Purpose: verify, Waits: true, Local: squatter}, "first-proof"},
		{"mailed link, it waits, disabled", F{Purpose: verify, Waits: true, Local: disabledSquatter}, "disabled"},
		{"mailed link, it waits, proven meanwhile", F{Purpose: verify, Waits: true, Local: ada}, "invalid"},
		{"mailed link, another identity", F{Purpose: verify, SignUp: true}, "other"},
		{"mailed link, another identity, closed", F{Purpose: verify}, "other"},
		{"mailed link, another identity, squatted", F{Purpose: verify, SignUp: true, Local: squatter}, "other"},
		{"mailed link, another identity, proven meanwhile", F{Purpose: verify, SignUp: true, Local: ada}, "invalid"},
		{"mailed link, vouched", F{Purpose: verify, SignUp: true, Vouched: true}, "create"},
		{"mailed link, vouched, closed", F{Purpose: verify, Vouched: true}, "closed"},
		{"mailed link, vouched, squatted", F{Purpose: verify, Vouched: true, Local: squatter}, "first-proof"},
		{"mailed link, vouched, proven meanwhile", F{Purpose: verify, Vouched: true, Local: ada}, "link-required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := federation.Decide(c.F); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// An address alone must not open or change a proven account. The only exception: the operator allows it, and the
// provider guarantees the address.
func TestAnAddressAloneOpensNoProvenAccount(t *testing.T) {
	t.Parallel()
	yes := []bool{false, true}
	for _, purpose := range []string{"signin", "link", "verify", "stepup"} {
		for _, self := range []watchword.User{nobody, bob} {
			for mask := range 16 {
				f := F{Purpose: purpose, Local: ada, Self: self, Vouched: yes[mask&1], SignUp: yes[mask>>1&1],
					LinkProven: yes[mask>>2&1], Waits: yes[mask>>3&1]}
				got := federation.Decide(f)
				// The verdict "link" is allowed, because it connects the identity to the account of the session, not
				// to the account with the address.
				allowed := []string{"link-required", "wait", "closed", "invalid", "link", "unconnected"}
				if f.Vouched && f.LinkProven && (purpose == "signin" || purpose == "verify") {
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
	verified := func(email string) federation.Claims { return federation.Claims{Email: email, EmailVerified: true} }
	hosted := func(c federation.Claims) federation.Claims { c.HostedDomain = "example.com"; return c }
	owned := federation.Claims{Email: "a@example.com", DomainOwned: true}
	unverified := federation.Claims{Email: "a@gmail.com"}
	of := func(kind federation.Kind) federation.Info { return federation.Info{Kind: kind} }
	trusted := federation.Info{Kind: oidc, TrustEmail: true}
	for name, c := range map[string]struct {
		info   federation.Info
		claims federation.Claims
		want   bool
	}{
		"google, gmail":           {of(google), verified("A@Gmail.com"), true},
		"google, googlemail":      {of(google), verified("a@googlemail.com"), true},
		"google, not verified":    {of(google), unverified, false},
		"google, customer":        {of(google), hosted(verified("a@example.com")), true},
		"google, customer, no":    {of(google), hosted(unverified), false},
		"google, other address":   {of(google), verified("a@example.com"), false},
		"google, like gmail":      {of(google), verified("a@gmail.com.example.com"), false},
		"microsoft, verified":     {of(microsoft), verified("a@example.com"), false},
		"microsoft, domain owned": {of(microsoft), owned, true},
		"apple":                   {of(apple), verified("a@example.com"), true},
		"apple, not verified":     {of(apple), unverified, false},
		"github":                  {of(github), verified("a@example.com"), true},
		"oidc":                    {of(oidc), verified("a@example.com"), false},
		"oidc, trusted":           {trusted, verified("a@example.com"), true},
		"oidc, trusted, no":       {trusted, unverified, false},
		"oidc, claims of others":  {of(oidc), hosted(owned), false},
		"no address":              {of(github), verified(""), false},
		"no valid address":        {of(github), verified("a@b"), false},
		"unknown kind":            {federation.Info{Kind: "x", TrustEmail: true}, verified("a@example.com"), false},
	} {
		if got := federation.Vouches(c.info, c.claims); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

// Any provider can claim any authentication method. A method counts only if the operator trusts the provider.
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

// A class (acr) counts only if it means several factors at every provider. Classes that a provider has defined itself
// don't count.
func TestClassOfAProviderCountsOnlyIfItsMeaningIsFixed(t *testing.T) {
	t.Parallel()
	const refeds = "https://refeds.org/profile/mfa"
	const pape = "http://schemas.openid.net/pape/policies/2007/06/multi-factor"
	trusted := federation.Info{Kind: federation.KindOIDC, TrustMFA: true}
	for _, c := range []struct {
		info  federation.Info
		class string
		want  string
	}{
		{trusted, refeds, "ext mfa"},
		{trusted, pape, "ext mfa"},
		{federation.Info{Kind: federation.KindOIDC}, refeds, "ext"},
		{federation.Info{Kind: federation.KindMicrosoft, TrustMFA: true}, refeds, "ext"},
		{trusted, "", "ext"},
		{trusted, "mfa", "ext"},
		{trusted, "2", "ext"},
		{trusted, "aal2", "ext"},
		{trusted, "phr", "ext"},
		{trusted, refeds + "/", "ext"},
		{trusted, "https://refeds.org/profile/sfa", "ext"},
		{trusted, refeds + " " + pape, "ext"},
	} {
		if got := strings.Join(federation.Proofs(c.info, federation.Claims{Class: c.class}), " "); got != c.want {
			t.Errorf("%+v %q: %s", c.info, c.class, got)
		}
	}
}

package providers_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/federation/providers"
)

// These tests run small servers with the peculiarities of Google, Microsoft, Apple and GitHub.

// withKind replaces the fixed hosts of a kind by those of the provider "acme".
func withKind(kind federation.Kind, change ...func(*providers.Options)) setup {
	return setup{newProviders: func(t *testing.T, s *site) []federation.Provider {
		s.acme = newScriptedProvider(t)
		fixed := func(o *providers.Options) {
			o.Kind, o.Host, o.Issuer, o.Name, o.TrustEmail = kind, s.acme.URL, "", "", false
		}
		return []federation.Provider{newClient(t, s.url, "", append([]func(*providers.Options){fixed}, change...)...)}
	}}
}

// SW-6
func TestGoogleVouchesForItsOwnAddresses(t *testing.T) {
	onBothStores(t, withKind(federation.KindGoogle), func(t *testing.T, s *site) {
		s.createProvenAccount(t, "ada@example.com")
		for hd, want := range map[string]string{"": "mailed", "example.com": "provider"} {
			s.acme.setUser("ada", "ada@example.com", true)
			s.acme.update(func(p *scriptedProvider) {
				if hd != "" {
					p.userClaims["hd"] = hd
				}
			})
			b := newBrowser(t)
			if p := b.get(b.signInAtProvider(s, "acme", "?page=login")); !strings.Contains(p.location(), "why="+want) {
				t.Errorf("hd %q: got %d to %s", hd, p.StatusCode, p.location())
			}
		}
		s.acme.setUser("bob", "bob@gmail.com", true)
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "?page=login")).assertRedirect(t, "/account")
	})
}

const (
	tenantA  = "11111111-1111-4111-8111-111111111111"
	tenantB  = "22222222-2222-4222-8222-222222222222"
	personal = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

// serveMicrosoft gives the provider the discovery document of a Microsoft authority. The issuer of a group of tenants
// is a template.
func (s *scriptedProvider) serveMicrosoft(authority string) {
	s.update(func(p *scriptedProvider) {
		issuer := p.URL + "/{tenantid}/v2.0"
		if strings.Contains(authority, "-") {
			issuer = p.URL + "/" + authority + "/v2.0"
		}
		p.metadataOverrides = map[string]any{"issuer": issuer}
	})
}

// SW-5
func TestMicrosoftTenantCountsAndTheAddressDoesNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tenants    string
		userTenant string // the claim tid, and part of the issuer
		works      bool
	}{
		{"common", tenantA, true}, {"common", personal, true},
		{"organizations", tenantA, true}, {"organizations", personal, false},
		{"consumers", personal, true}, {"consumers", tenantA, false},
		{tenantA, tenantA, true}, {tenantA, tenantB, false},
		{tenantA + " " + tenantB, tenantB, true}, {tenantA + " " + tenantB, personal, false},
	} {
		t.Run(c.tenants+" "+c.userTenant, func(t *testing.T) {
			tenants := strings.Fields(c.tenants)
			microsoft := withKind(federation.KindMicrosoft, func(o *providers.Options) { o.Tenants = tenants })
			onBothStores(t, microsoft, func(t *testing.T, s *site) {
				authority := tenants[0]
				if len(tenants) > 1 {
					authority = "organizations"
				}
				s.acme.serveMicrosoft(authority)
				s.acme.update(func(p *scriptedProvider) {
					p.userClaims = map[string]any{"sub": "ada", "email": "ada@example.com", "xms_edov": true,
						"tid": c.userTenant,
						"iss": p.URL + "/" + c.userTenant + "/v2.0"}
				})
				b := newBrowser(t)
				p := b.get(b.signInAtProvider(s, "acme", ""))
				if (p.location() == "/account") != c.works {
					t.Fatalf("got %d to %s\n%s", p.StatusCode, p.location(), s.log)
				}
				if !c.works {
					p.assertLoginError(t, federation.ReasonNotAllowed)
					shown := b.get(s.url + p.location())
					if !strings.Contains(shown.text, "Your account at Microsoft can&#39;t be used here.") {
						t.Errorf("the page does not say why: %s", shown.text)
					}
					if !strings.Contains(s.log.String(), "the tenant "+c.userTenant+" is not one of the setting") {
						t.Errorf("the log does not say why: %s", s.log)
					}
				}
				all := s.readIdentities(t, "ada@example.com")
				if c.works && !strings.Contains(all[0].Issuer, c.userTenant) {
					t.Errorf("the issuer is %s", all[0].Issuer)
				}
				other := tenantA
				if c.userTenant == tenantA {
					other = tenantB
				}
				// A tid that does not belong to the issuer must be refused.
				for _, tid := range []any{tenantB + "x", nil, "{tenantid}", other} {
					s.acme.update(func(p *scriptedProvider) { p.userClaims["tid"] = tid })
					b := newBrowser(t)
					p := b.get(b.signInAtProvider(s, "acme", ""))
					if !strings.Contains(p.location(), "PROVIDER_UNAVAILABLE") {
						t.Errorf("tid %v: got %d to %s", tid, p.StatusCode, p.location())
					}
				}
				// A tid that is not a UUID must be refused, even if the issuer matches it.
				s.acme.update(func(p *scriptedProvider) {
					p.userClaims["tid"], p.userClaims["iss"] = "evil", p.URL+"/evil/v2.0"
				})
				evil := newBrowser(t)
				p = evil.get(evil.signInAtProvider(s, "acme", ""))
				if !strings.Contains(p.location(), "PROVIDER_UNAVAILABLE") {
					t.Errorf("tid evil: got %d to %s", p.StatusCode, p.location())
				}
			})
		})
	}
}

// An administrator of any tenant can write the address of a victim into the claim email. Such a sign-in must not open
// the account of the victim.
//
// SW-5
func TestMicrosoftAddressOfAVictimOpensNoAccount(t *testing.T) {
	microsoft := withKind(federation.KindMicrosoft, func(o *providers.Options) { o.Tenants = []string{"common"} })
	onBothStores(t, microsoft, func(t *testing.T, s *site) {
		s.acme.serveMicrosoft("common")
		s.createProvenAccount(t, "ada@example.com")
		for _, edov := range []any{nil, false, "true", 1} {
			s.acme.update(func(p *scriptedProvider) {
				p.userClaims = map[string]any{"sub": "mallory", "email": "ada@example.com", "email_verified": true,
					"xms_edov": edov, "tid": tenantB, "iss": p.URL + "/" + tenantB + "/v2.0"}
			})
			b := newBrowser(t)
			if p := b.get(b.signInAtProvider(s, "acme", "?page=login")); p.location() != "/login?why=mailed" {
				t.Errorf("edov %v: got %d to %s", edov, p.StatusCode, p.location())
			}
			if u, _ := b.readAccount(s); u != nil || len(s.readIdentities(t, "ada@example.com")) != 0 {
				t.Fatalf("edov %v: it signed in", edov)
			}
		}
	})
}

// withApple is a setup whose provider has the kind Apple and a key that signs client secrets.
func withApple(t *testing.T) setup {
	t.Helper()
	// The key that signs client secrets is not the key with which Apple signs ID tokens.
	keys := newScriptedProvider(t)
	der, err := x509.MarshalPKCS8PrivateKey(keys.key)
	must(t, err)
	file := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	with := withKind(federation.KindApple, func(o *providers.Options) {
		o.ClientSecret, o.TeamID, o.KeyID = watchword.Secret(file), "TEAM", "KEY"
	})
	offers := with.newProviders
	with.newProviders = func(t *testing.T, s *site) []federation.Provider {
		all := offers(t, s)
		s.acme.update(func(p *scriptedProvider) {
			p.metadataOverrides = map[string]any{
				"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
			}
			p.userClaims = map[string]any{"sub": "001.ada", "email": "ada@example.com", "email_verified": "true"}
			p.checkSecret = func(secret string) bool { return isValidAppleSecret(secret, &keys.key.PublicKey, p.URL) }
		})
		return all
	}
	return with
}

// SW-21, SW-22
func TestAppleSendsAFormWithAnUnsignedName(t *testing.T) {
	onBothStores(t, withApple(t), func(t *testing.T, s *site) {
		var asked url.Values
		s.acme.update(func(p *scriptedProvider) {
			p.editResponse = func(q url.Values) { asked = p.queryByCode[q.Get("code")] }
		})
		form := func(b *browser, values url.Values, headers ...string) page {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, federation.RedirectURI(s.url, "acme"),
				strings.NewReader(values.Encode()))
			must(t, err)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Origin", "https://appleid.apple.com")
			return b.send(r)
		}
		b := newBrowser(t)
		at, err := url.Parse(b.signInAtProvider(s, "acme", ""))
		must(t, err)
		if asked.Get("response_mode") != "form_post" {
			t.Errorf("the request is %v", asked)
		}
		values := at.Query()
		values.Set("user", `{"name":{"firstName":"<b>Ada","lastName":"L"},"email":"victim@example.com"}`)
		// A form from another site arrives without the cookies of the browser.
		bare := newBrowser(t)
		to := form(bare, values)
		if to.StatusCode != 303 || len(to.Cookies()) != 0 ||
			!strings.HasPrefix(to.location(), "/sign-in/acme/callback?") {
			t.Fatalf("got %d to %s, cookies %v", to.StatusCode, to.location(), to.Cookies())
		}
		bare.get(s.url+to.location()).assertLoginError(t, watchword.CodeChallengeInvalid)
		b.get(s.url+to.location()).assertRedirect(t, "/account")
		u, _ := b.readAccount(s)
		if u["email"] != "ada@example.com" || u["name"] != "<b>Ada L" {
			t.Errorf("the account is %v", u)
		}
		if page := b.get(s.url + "/account"); strings.Contains(page.text, "<b>Ada") {
			t.Error("the name is not escaped")
		}
		values.Set("user", strings.Repeat("x", 1<<20))
		if p := form(newBrowser(t), values); p.StatusCode != 413 {
			t.Errorf("1 MiB: %d", p.StatusCode)
		}
		values.Set("user", "{")
		values.Add("state", "another")
		if p := form(newBrowser(t), values); p.StatusCode != 400 {
			t.Errorf("two states: %d", p.StatusCode)
		}
		// The callback of a provider that is not Apple must refuse a form.
		other := onSQLite(t, withScriptedProvider())
		callback := federation.RedirectURI(other.url, "acme")
		if p := newBrowser(t).post(callback, url.Values{"state": {"x"}, "code": {"x"}}); p.StatusCode != 404 {
			t.Errorf("a form of this site, another kind: %d", p.StatusCode)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, callback, nil)
		must(t, err)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if p := newBrowser(t).send(r); p.StatusCode != 403 {
			t.Errorf("another kind: %d", p.StatusCode)
		}
		// Unlike Apple, this provider sends the name in the signed ID token. The callback must therefore ignore a
		// name in the query, because such a name may be forged.
		other.acme.setUser("ada", "ada@example.com", true)
		b = newBrowser(t)
		b.get(b.signInAtProvider(other, "acme", "")+"&name=Mallory").assertRedirect(t, "/account")
		if u, _ := b.readAccount(other); u["name"] != "" && u["name"] != nil {
			t.Errorf("the account is %v", u)
		}
	})
}

func isValidAppleSecret(secret string, key *ecdsa.PublicKey, audience string) bool {
	object, err := jose.ParseSignedCompact(secret, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || object.Signatures[0].Header.KeyID != "KEY" {
		return false
	}
	payload, err := object.Verify(key)
	if err != nil {
		return false
	}
	text := string(payload)
	return strings.Contains(text, `"iss":"TEAM"`) && strings.Contains(text, `"sub":"`+clientID+`"`) &&
		strings.Contains(text, `"aud":"`+audience+`"`)
}

func TestGitHubIsKnownByTheNumberOfTheAccount(t *testing.T) {
	onBothStores(t, withKind(federation.KindGitHub), func(t *testing.T, s *site) {
		emails := `[{"email":"old@example.com","primary":false,"verified":true},
		{"email":"ada@example.com","primary":true,"verified":true}]`
		s.acme.update(func(p *scriptedProvider) {
			p.endpointOverrides["/login/oauth/authorize"] = p.authorize
			p.endpointOverrides["/login/oauth/access_token"] = func(w http.ResponseWriter, r *http.Request) {
				if r.FormValue("client_secret") != clientSecret || r.FormValue("code_verifier") == "" {
					reply(w, map[string]string{"error": "bad_verification_code"}) // GitHub sends errors with status 200
					return
				}
				w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
				_, _ = fmt.Fprint(w, "access_token=gho_secret&scope=read%3Auser&token_type=bearer")
			}
			p.endpointOverrides["/api/user"] = func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer gho_secret" {
					w.WriteHeader(401)
					return
				}
				reply(w, map[string]any{"id": 583231, "login": "ada", "name": "Ada", "email": "victim@example.com"})
			}
			p.endpointOverrides["/api/user/emails"] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				_, _ = fmt.Fprint(w, emails)
			}
		})
		b := newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "")).assertRedirect(t, "/account")
		u, _ := b.readAccount(s)
		all := s.readIdentities(t, "ada@example.com")
		if u["name"] != "Ada" || len(all) != 1 || all[0].Subject != "583231" || all[0].Issuer != "https://github.com" {
			t.Errorf("the account is %v, the identities %+v", u, all)
		}
		// Only an address that is both primary and verified counts.
		s.acme.update(func(p *scriptedProvider) {
			emails = `[{"email":"bob@example.com","primary":true,"verified":false},
			{"email":"ada@example.com","primary":false,"verified":true}]`
			p.endpointOverrides["/api/user"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"id": 7})
			}
		})
		b = newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "")).assertLoginError(t, federation.ReasonNoAddress)
		s.acme.update(func(p *scriptedProvider) {
			p.endpointOverrides["/api/user"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"login": "ada"})
			}
		})
		b = newBrowser(t)
		b.get(b.signInAtProvider(s, "acme", "")).assertLoginError(t, federation.CodeProviderUnavailable)
		if strings.Contains(s.log.String(), "gho_secret") {
			t.Error("the log has the access token")
		}
	})
}

func TestOptionsOfOneKindAreRefusedForOthers(t *testing.T) {
	t.Parallel()
	base := providers.Options{ID: "x", Kind: federation.KindOIDC, ClientID: "a", ClientSecret: "b",
		Issuer: "https://issuer.example"}
	soon := fmt.Appendf(nil, `{"exp":%d}`, time.Now().Add(time.Hour).Unix())
	jwt := signJWS(jose.HS256, []byte(strings.Repeat("k", 32)), soon)
	for name, c := range map[string]struct {
		change func(*providers.Options)
		ok     bool
	}{
		"oidc":               {func(*providers.Options) {}, true},
		"loopback":           {func(o *providers.Options) { o.Issuer = "http://127.0.0.1:8000" }, true},
		"http":               {func(o *providers.Options) { o.Issuer = "http://issuer.example" }, false},
		"no issuer":          {func(o *providers.Options) { o.Issuer = "" }, false},
		"user in the issuer": {func(o *providers.Options) { o.Issuer = "https://a:b@issuer.example" }, false},
		"no secret":          {func(o *providers.Options) { o.ClientSecret = "" }, false},
		"no client id":       {func(o *providers.Options) { o.ClientID = "" }, false},
		"unknown kind":       {func(o *providers.Options) { o.Kind = "saml" }, false},
		"tenant of oidc":     {func(o *providers.Options) { o.Tenants = []string{"common"} }, false},
		"key id of oidc":     {func(o *providers.Options) { o.KeyID = "x" }, false},
		"issuer of google":   {func(o *providers.Options) { o.Kind = federation.KindGoogle }, false},
		"google":             {func(o *providers.Options) { o.Kind, o.Issuer = federation.KindGoogle, "" }, true},
		"github":             {func(o *providers.Options) { o.Kind, o.Issuer = federation.KindGitHub, "" }, true},
		"trust-email, github": {func(o *providers.Options) {
			o.Kind, o.Issuer, o.TrustEmail = federation.KindGitHub, "", true
		}, false},
		"microsoft, no tenant": {func(o *providers.Options) { o.Kind, o.Issuer = federation.KindMicrosoft, "" }, false},
		"microsoft, a name": {func(o *providers.Options) {
			o.Kind, o.Issuer, o.Tenants = federation.KindMicrosoft, "", []string{"contoso.com"}
		}, false},
		"microsoft, group and id": {func(o *providers.Options) {
			o.Kind, o.Issuer, o.Tenants = federation.KindMicrosoft, "", []string{"common", tenantA}
		}, false},
		"microsoft, personal accounts": {func(o *providers.Options) {
			o.Kind, o.Issuer, o.Tenants = federation.KindMicrosoft, "", []string{personal}
		}, true},
		"microsoft, personal accounts in a list": {func(o *providers.Options) {
			o.Kind, o.Issuer, o.Tenants = federation.KindMicrosoft, "", []string{tenantA, personal}
		}, false},
		"microsoft": {func(o *providers.Options) {
			o.Kind, o.Issuer, o.Tenants = federation.KindMicrosoft, "", []string{tenantB, tenantA}
		}, true},
		"apple, no key": {func(o *providers.Options) { o.Kind, o.Issuer = federation.KindApple, "" }, false},
		"apple, no file": {func(o *providers.Options) {
			o.Kind, o.Issuer, o.TeamID, o.KeyID = federation.KindApple, "", "T", "K"
		}, false},
		"apple, a finished secret": {func(o *providers.Options) {
			o.Kind, o.Issuer, o.ClientSecret = federation.KindApple, "", watchword.Secret(jwt)
		}, true},
	} {
		o := base
		c.change(&o)
		if _, err := providers.New(o); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	finished := providers.Options{Kind: federation.KindApple, ClientSecret: watchword.Secret(jwt)}
	at, ok := providers.SecretExpiry(finished)
	if left := time.Until(at); !ok || left > time.Hour || left < 50*time.Minute {
		t.Errorf("it expires at %s, %t", at, ok)
	}
}

// With trust-mfa, the session must have several factors if the provider claims several. A claim with an unexpected
// type must be ignored.
func TestFactorsAtATrustedProviderReachTheSession(t *testing.T) {
	t.Parallel()
	s := onSQLite(t, withServerApp(func(o *providers.Options) { o.TrustMFA = true }))
	for _, c := range []struct {
		amr, acr any
		want     string
	}{
		{[]string{"pwd", "mfa"}, nil, "ext mfa"},
		{nil, "https://refeds.org/profile/mfa", "ext mfa"},
		{[]string{"pwd"}, "urn:example:bronze", "ext"},
		{"mfa", []string{"https://refeds.org/profile/mfa"}, "ext"},
	} {
		s.acme.setUser("ada", "ada@example.com", true)
		s.acme.update(func(p *scriptedProvider) { p.userClaims["amr"], p.userClaims["acr"] = c.amr, c.acr })
		b := newBrowser(t)
		p := b.exchangeCode(s, b.redirectParameter(s, "code"), verifier)
		who, err := s.engine.Authenticate(t.Context(),
			watchword.Secret(parse[struct{ AccessToken string }](t, p.text).AccessToken))
		must(t, err)
		if got := strings.Join(who.Session.Methods, " "); got != c.want {
			t.Errorf("amr %v, acr %v: %q, want %q", c.amr, c.acr, got, c.want)
		}
	}
}

package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/tokencookie"
	"github.com/watchword-auth/watchword/server"
)

// CK-6, CFG-1
func TestInvalidOptionsAreRejected(t *testing.T) {
	t.Parallel()
	engine := start(t, nil, nil).engine
	const https, plain = "https://id.example.com", "http://localhost:8080"
	for want, opts := range map[string]server.Options{
		"": {PublicURL: https, AllowedOrigins: []string{"http://localhost:3000"},
			CookieDomain: "example.com"},
		"none":                   {PublicURL: plain, CookieName: "mine", CookieSameSite: http.SameSiteLaxMode},
		"not an origin":          {PublicURL: "id.example.com"},
		"more than an origin":    {PublicURL: https + "/auth"},
		"use https":              {PublicURL: "http://id.example.com"},
		"a pattern":              {PublicURL: https, AllowedOrigins: []string{"https://*.example.com"}},
		"over http":              {PublicURL: plain, CookieName: "__Host-mine"},
		"ends in -known":         {PublicURL: plain, CookieName: "mine-known"},
		"with a domain":          {PublicURL: https, CookieName: "__Host-mine", CookieDomain: "example.com"},
		"SameSite=None over":     {PublicURL: plain, CookieSameSite: http.SameSiteNoneMode},
		"invalid Cookie.Name":    {PublicURL: https, CookieName: "a name"},
		"invalid Cookie.Domain":  {PublicURL: https, CookieName: "mine", CookieDomain: "exa mple"},
		"engine's":               {},
		"Options.AppURL":         {PublicURL: https, AppURL: "https://app.example.com/#home"},
		"Options.TrustedProxies": {PublicURL: https, TrustedProxies: []string{"0.0.0.0/0"}},
		"Options.DevMail":        {PublicURL: https, DevMail: mailboxWithOneMailTwice},
		"Options.AllowedOrigins": {PublicURL: https, AllowedOrigins: []string{"https://App.example.com"}},
	} {
		_, err := server.New(engine, opts)
		if works := want == "" || want == "none" || want == "engine's"; works != (err == nil) || !works &&
			!strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// The name of the refresh cookie must not be that of another cookie of the server, because one cookie would replace
// the other.
func TestNamesOfAllOtherCookiesAreReserved(t *testing.T) {
	t.Parallel()
	for _, https := range []bool{false, true} {
		names := server.OwnCookies(server.Options{CookieName: "mine"}, https)
		if len(names) < 7 {
			t.Fatalf("only %d cookies: %q", len(names), names)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "-") { // a prefix of the names of attempt cookies
				name += "google-1"
			}
			if tokencookie.CheckName(name) == nil {
				t.Errorf("cookie-name=%s is accepted", name)
			}
		}
	}
}

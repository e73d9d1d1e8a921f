package watchword_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
)

func clientWithLanguages(languages string) watchword.Client {
	c := laptop
	c.Languages = languages
	return c
}

func TestSignUpStoresTheFirstLanguage(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		for i, c := range []struct{ header, want string }{
			{"de-AT,de;q=0.9,en;q=0.8", "de-AT"},
			{"en;q=0.5, pt-br", "pt-BR"},
			{"*, fr;q=0.5", "fr"},
			{"zh-hant-tw", "zh-Hant-TW"},
			{"", ""},
			{"*", ""},
			{"not a header", ""},
			{"\x00", ""},
			{strings.Repeat("de-AT,", 200), ""},
			{"de-x-" + strings.Repeat("longer-", 5) + "end", ""},
		} {
			signedIn, err := r.SignUp(t.Context(), watchword.SignUpRequest{
				Email: strings.Repeat("a", i+1) + "@example.com", Password: goodPassword,
				Client: clientWithLanguages(c.header)})
			must(t, err)
			if signedIn.User.Locale != c.want || r.authenticate(t, signedIn).User.Locale != c.want {
				t.Errorf("%q was stored as %q, want %q", c.header, signedIn.User.Locale, c.want)
			}
		}
	})
}

// A waiting sign-up must keep the language of the user, because its mail and the later account are in this language.
func TestMailsHaveTheLanguageOfTheSignUp(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, verifiedMode)
		for _, languages := range []string{"fr", "de"} {
			_, err := r.SignUp(t.Context(), watchword.SignUpRequest{
				Email: victim, Password: watchword.Secret("a password in " + languages),
				Client: clientWithLanguages(languages)})
			must(t, err)
			r.deliverMail(t)
			if m := r.post.lastMail(t, watchword.MailVerify); m.Locale != languages {
				t.Errorf("the mail of a sign-up in %s is in %q", languages, m.Locale)
			}
		}
		signedIn, err := r.openLink(t, r.post.lastMail(t, watchword.MailVerify).Token, "a password in fr")
		must(t, err)
		if signedIn.User.Locale != "fr" {
			t.Errorf("the account has the locale %q, want that of its sign-up", signedIn.User.Locale)
		}
		must(t, r.ForgotPassword(t.Context(), victim, "", clientWithLanguages("it")))
		r.deliverMail(t)
		if m := r.post.lastMail(t, watchword.MailReset); m.Locale != "fr" {
			t.Errorf("the reset is in %q: a stranger can request it", m.Locale)
		}
	})
}

func TestUpdateProfileChangesWhatItGets(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		signedIn := r.signUp(t, "ada@example.com")
		text := func(s string) *string { return &s }
		for _, c := range []struct {
			change       watchword.ProfileChange
			name, locale string
		}{
			{watchword.ProfileChange{Name: text(" Ada ")}, "Ada", ""},
			{watchword.ProfileChange{Locale: text("pt_br")}, "Ada", "pt-BR"},
			{watchword.ProfileChange{Name: text("Grace"), Locale: text("en")}, "Grace", "en"},
			{watchword.ProfileChange{Locale: text("")}, "Grace", ""},
		} {
			got, err := r.UpdateProfile(t.Context(), r.authenticate(t, signedIn), c.change)
			must(t, err)
			stored := r.authenticate(t, signedIn).User
			if got.Name != c.name || got.Locale != c.locale || stored.Name != c.name || stored.Locale != c.locale {
				t.Errorf("got %q in %q, stored %q in %q, want %q in %q",
					got.Name, got.Locale, stored.Name, stored.Locale, c.name, c.locale)
			}
		}
		for _, locale := range []string{"english", "x", "de AT", "und", strings.Repeat("de-", 20) + "at"} {
			who := r.authenticate(t, signedIn)
			_, err := r.UpdateProfile(t.Context(), who, watchword.ProfileChange{Locale: &locale})
			wantField(t, err, "locale", watchword.FieldInvalid)
		}
	})
}

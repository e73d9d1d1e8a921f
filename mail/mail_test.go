package mail_test

import (
	"encoding/base64"
	"flag"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/mail"
	"github.com/watchword-auth/watchword/web"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var now = time.Date(2026, 11, 24, 13, 50, 0, 0, time.UTC)

const token = "wwm_Zm9yIHRlc3RzIG9ubHktX2Zvcg"

func renderer(t testing.TB) *mail.Renderer {
	t.Helper()
	r, err := mail.NewRenderer(mail.Options{
		PublicURL: "https://auth.example.com",
		Product:   "Otter Post",
		Now:       func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// completeMessage sets every field that the kind uses.
func completeMessage(kind watchword.MailKind) watchword.Message {
	m := watchword.Message{
		ID:   "019ab5d2-3c00-7000-8000-000000000001",
		Kind: kind,
		To:   "ada@example.com",
		Name: "Ada Lovelace",
		MailFacts: watchword.MailFacts{
			At:      now.Add(-time.Minute),
			Device:  "Firefox on Linux",
			Address: "2001:db8::7",
		},
	}
	switch kind {
	case watchword.MailVerify, watchword.MailConfirmAddress:
		m.Token, m.Expires = token, now.Add(24*time.Hour)
		if kind == watchword.MailConfirmAddress {
			m.UndoUntil = now.Add(8 * 24 * time.Hour)
		}
	case watchword.MailReset:
		m.Token, m.Expires = token, now.Add(15*time.Minute)
	case watchword.MailInvite:
		m.Token, m.Expires = token, now.Add(7*24*time.Hour)
	case watchword.MailAddressChanged:
		m.Token, m.Expires = token, now.Add(7*24*time.Hour)
		m.NewEmail = "ada@example.org"
	case watchword.MailAddressReplaced, watchword.MailFactorsReset:
		m.Device, m.MailFacts.Address = "", ""
	case watchword.MailTOTPAdded, watchword.MailTOTPRemoved:
		m.Factor = "Ada’s iPhone 15"
	case watchword.MailPasskeyAdded, watchword.MailPasskeyRemoved:
		m.Factor, m.Left = "iCloud Keychain (Managed)", 1
	case watchword.MailIdentityLinked, watchword.MailIdentityRemoved:
		m.Factor = "Google"
	case watchword.MailRecoveryUsed:
		m.Left = 3
	case watchword.MailTwoStepOn:
		m.Factor = "iCloud Keychain (Managed)"
	}
	return m
}

var kinds = []watchword.MailKind{
	watchword.MailVerify, watchword.MailReset, watchword.MailInvite, watchword.MailConfirmAddress,
	watchword.MailAddressChanged, watchword.MailAddressReplaced, watchword.MailPasswordChanged,
	watchword.MailReuseDetected, watchword.MailMoreHappened, watchword.MailSignupExisting,
	watchword.MailTOTPAdded, watchword.MailTOTPRemoved, watchword.MailPasskeyAdded, watchword.MailPasskeyRemoved,
	watchword.MailFactorsReset, watchword.MailRecoveryUsed, watchword.MailIdentityLinked, watchword.MailIdentityRemoved,
	watchword.MailTwoStepOn,
}

func TestEveryKindMatchesItsGoldenFile(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		checkGolden(t, string(kind), completeMessage(kind))
	}
	late := completeMessage(watchword.MailAddressChanged)
	late.Token, late.Expires = "", time.Time{}
	checkGolden(t, "address_changed_final", late)
	unproven := completeMessage(watchword.MailConfirmAddress)
	unproven.UndoUntil = time.Time{}
	checkGolden(t, "confirm_address_unproven", unproven)
}

func checkGolden(t *testing.T, name string, m watchword.Message) {
	t.Helper()
	got, err := renderer(t).Render(m)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, name+".txt.golden", "Subject: "+got.Subject+"\n\n"+got.Text)
	golden(t, name+".html.golden", got.HTML)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", name, diff)
	}
}

// RST-6, HTTP-12
func TestLinkKeepsThePageToReturnToBeforeItsToken(t *testing.T) {
	t.Parallel()
	m := completeMessage(watchword.MailReset)
	m.ReturnTo = "https://app.example.com/inbox?token=a&b=#c"
	got, err := renderer(t).Render(m)
	if err != nil {
		t.Fatal(err)
	}
	want := "https://auth.example.com/" +
		"reset?return_to=https%3A%2F%2Fapp.example.com%2Finbox%3Ftoken%3Da%26b%3D%23c#token=" +
		token
	if got.Link != want {
		t.Errorf("the link is %q, want %q", got.Link, want)
	}
	m.Page = "https://app.example.com/resetpass" // a link to a page of the front-end has no return_to
	if got, err = renderer(t).Render(m); err != nil || got.Link != m.Page+"/"+token {
		t.Errorf("the link is %q (%v)", got.Link, err)
	}
}

// RST-6
func TestLinksComeFromThePublicURLWithTheTokenInTheFragment(t *testing.T) {
	t.Parallel()
	for kind, want := range map[watchword.MailKind]string{
		watchword.MailVerify:          "https://auth.example.com/verify#token=" + token,
		watchword.MailReset:           "https://auth.example.com/reset#token=" + token,
		watchword.MailInvite:          "https://auth.example.com/invite#token=" + token,
		watchword.MailConfirmAddress:  "https://auth.example.com/email/confirm#token=" + token,
		watchword.MailAddressChanged:  "https://auth.example.com/email/undo#token=" + token,
		watchword.MailPasswordChanged: "https://auth.example.com/forgot",
		watchword.MailReuseDetected:   "https://auth.example.com/login",
		watchword.MailMoreHappened:    "https://auth.example.com/account",
		watchword.MailSignupExisting:  "https://auth.example.com/login",
		watchword.MailTOTPAdded:       "https://auth.example.com/forgot",
		watchword.MailTOTPRemoved:     "https://auth.example.com/forgot",
		watchword.MailPasskeyAdded:    "https://auth.example.com/forgot",
		watchword.MailPasskeyRemoved:  "https://auth.example.com/forgot",
		watchword.MailIdentityLinked:  "https://auth.example.com/forgot",
		watchword.MailIdentityRemoved: "https://auth.example.com/forgot",
		watchword.MailFactorsReset:    "https://auth.example.com/login",
		watchword.MailRecoveryUsed:    "https://auth.example.com/account",
		watchword.MailTwoStepOn:       "https://auth.example.com/account",
	} {
		got, err := renderer(t).Render(completeMessage(kind))
		if err != nil {
			t.Fatal(err)
		}
		if got.Link != want {
			t.Errorf("%s links to %q, want %q", kind, got.Link, want)
		}
		if !strings.Contains(got.Text, want+"\n") || !strings.Contains(got.HTML, `href="`+want+`"`) {
			t.Errorf("%s does not contain its complete link:\n%s\n%s", kind, got.Text, got.HTML)
		}
		if strings.Count(got.HTML, "href=") > 1 {
			t.Errorf("%s links elsewhere:\n%s", kind, got.HTML)
		}
		html := strings.ReplaceAll(got.HTML, `<img src="cid:logo"`, "")
		for _, fetched := range []string{"<img", "src=", "url(", "@import", "<link", "<script"} {
			if strings.Contains(html, fetched) {
				t.Errorf("%s has %s, which loads a resource", kind, fetched)
			}
		}
	}
}

// The notice to the previous address must contain no link, because the user may have lost this mailbox to a stranger.
func TestNoticeOfAReplacedAddressHasNoLink(t *testing.T) {
	t.Parallel()
	m := completeMessage(watchword.MailAddressReplaced)
	m.Token = token
	got, err := renderer(t).Render(m)
	if err != nil {
		t.Fatal(err)
	}
	if got.Link != "" || strings.Contains(got.HTML, "href=") || strings.Contains(got.Text+got.HTML, token) {
		t.Errorf("the link is %q:\n%s", got.Link, got.HTML)
	}
	for _, part := range []string{"contact the people who run Otter Post", "24 November 2026, 13:49 UTC"} {
		if !strings.Contains(got.Text, part) {
			t.Errorf("the mail does not contain %q:\n%s", part, got.Text)
		}
	}
}

// LOG-6
func TestNoticesNameTimeDeviceAddressAndNextStep(t *testing.T) {
	t.Parallel()
	for kind, next := range map[watchword.MailKind]string{
		watchword.MailAddressChanged: "ada@example.org", watchword.MailPasswordChanged: "reset your password now",
		watchword.MailReuseDetected: "password?", watchword.MailMoreHappened: "password?",
		watchword.MailTOTPAdded: "remove the app on", watchword.MailTOTPRemoved: "reset your password now",
		watchword.MailPasskeyAdded: "remove the passkey on", watchword.MailPasskeyRemoved: "reset your password now",
		watchword.MailRecoveryUsed: "Create new codes", watchword.MailTwoStepOn: "Create them on your account page",
	} {
		m := completeMessage(kind)
		m.At = m.At.In(time.FixedZone("elsewhere", 2*60*60))
		got, err := renderer(t).Render(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"24 November 2026, 13:49 UTC", "Firefox on Linux", "2001:db8::7", "next step"} {
			if part == "next step" {
				part = next
			}
			if !strings.Contains(got.Text, part) || !strings.Contains(got.HTML, part) {
				t.Errorf("%s does not contain %q", kind, part)
			}
		}
	}
}

// Notices must say how many recovery codes remain, and whether two-step sign-in is now off. If 3 codes or fewer
// remain, the mail must ask the user to create new ones.
func TestNoticesSayWhatIsLeft(t *testing.T) {
	t.Parallel()
	const few, off = "Create new codes on your account page", "Two-step sign-in is now off."
	for _, c := range []struct {
		kind        watchword.MailKind
		left        int
		with, never string
	}{
		{watchword.MailRecoveryUsed, 9, "You have 9 recovery codes left.", few},
		{watchword.MailRecoveryUsed, 4, "You have 4 recovery codes left.", few},
		{watchword.MailRecoveryUsed, 3, few, "4 rec"},
		{watchword.MailRecoveryUsed, 1, "You have 1 recovery code left.", "codes left"},
		{watchword.MailRecoveryUsed, 0, "You have no recovery codes left.", "0"},
		{watchword.MailTOTPRemoved, 0, off, "left"},
		{watchword.MailPasskeyRemoved, 0, off, "left"},
		{watchword.MailPasskeyRemoved, 1, "A passkey was removed", off},
	} {
		m := completeMessage(c.kind)
		m.Left, m.At, m.MailFacts.Address = c.left, time.Time{}, ""
		got, err := renderer(t).Render(m)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got.Text, c.with) || strings.Contains(got.Text, c.never) {
			t.Errorf("%s, %d left: %q is missing or %q is there:\n%s", c.kind, c.left, c.with, c.never, got.Text)
		}
	}
}

func TestResetSaysWhatWasRemoved(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"": "removed the authenticator apps, passkeys and recovery codes", "totp": "removed the authenticator apps of",
		"passkey": "removed the passkeys of", "recovery": "removed the recovery codes of",
	} {
		m := completeMessage(watchword.MailFactorsReset)
		m.Factor = kind
		got, err := renderer(t).Render(m)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(got.Text, "\n", " ")
		if !strings.Contains(text, want) || strings.Contains(text, "Name:") {
			t.Errorf("%q: %s", kind, got.Text)
		}
	}
}

// A mail must show the name of a factor only if it looks like the name of a product. Otherwise, a thief could send a
// text to the owner by adding a factor with this text as its name.
//
// IN-6
func TestOnlyNamesOfProductsAreShownForFactors(t *testing.T) {
	t.Parallel()
	for name, shown := range map[string]bool{
		"Ada's iPhone 15": true, "YubiKey 5C NFC": true, "1Password": true, "iCloud Keychain (Managed)": true,
		"Authenticator app": true, "Schlüssel im Büro": true,
		"evil.example": false, "https://evil": false, "Call 0800 555 1234": false, "a@evil.example": false,
		"<b>key</b>": false, strings.Repeat("x", 61): false, "a\r\nBcc: b": false,
	} {
		m := completeMessage(watchword.MailPasskeyAdded)
		m.Factor = name
		got, err := renderer(t).Render(m)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(got.Text, "Name:") != shown || strings.Contains(got.Text, " "+name+"\n") != shown {
			t.Errorf("%q:\n%s", name, got.Text)
		}
	}
	summary := completeMessage(watchword.MailMoreHappened)
	summary.Factor = "YubiKey"
	if got, err := renderer(t).Render(summary); err != nil || strings.Contains(got.Text, "YubiKey") {
		t.Errorf("%v: a summary names the factor:\n%s", err, got.Text)
	}
}

// A German mail must translate the device name, which the session stores in English.
func TestGermanMailNamesTheDeviceInGerman(t *testing.T) {
	t.Parallel()
	for stored, want := range map[string]string{
		"Chrome on Windows": "Chrome unter Windows", "Safari on iPhone": "Safari auf dem iPhone", "curl": "curl",
		"Unknown device": "Unbekanntes Gerät",
	} {
		m := completeMessage(watchword.MailReuseDetected)
		m.Device, m.Locale = stored, "de-AT"
		got, err := renderer(t).Render(m)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got.Text, "Gerät:") || !strings.Contains(got.Text, " "+want+"\n") ||
			!strings.Contains(got.HTML, ">"+want+"<") {
			t.Errorf("a mail about %q does not name %q:\n%s", stored, want, got.Text)
		}
	}
}

// IN-6
func TestOnlyPlainNamesAreUsedInGreetings(t *testing.T) {
	t.Parallel()
	for name, greeted := range map[string]bool{
		"Ada Lovelace":                 true,
		"Dr. Jean-Luc O’Neill":         true,
		"J. R. R. Tolkien":             true,
		"María José":                   true,
		"王小明":                          true,
		"":                             false,
		"https://evil.example":         false,
		"evil.example":                 false,
		"www.evil":                     false,
		"evil。example":                 false,
		"evil․example":                 false,
		"evil\u200b.example":           false,
		"claim@evil":                   false,
		"Call 0800 555 1234":           false,
		"<b>Ada</b>":                   false,
		"Ada\r\nBcc: x":                false,
		"Ada\u2028x":                   false,
		"\u202eadA":                    false,
		"{{.Link}}":                    false,
		strings.Repeat("a", 60):        true,
		strings.Repeat("a", 61):        false,
		"\"><img src=x onerror=f()>":   false,
		"Your bank. Your loss, friend": false,
	} {
		m := completeMessage(watchword.MailPasswordChanged)
		m.Name = name
		got, err := renderer(t).Render(m)
		if err != nil {
			t.Fatal(err)
		}
		want := "Hello,\n"
		if greeted {
			want = "Hello " + name + ",\n"
		}
		if !strings.HasPrefix(got.Text, want) {
			t.Errorf("%q is greeted with %.80q, want %q", name, got.Text, want)
		}
		if !greeted && name != "" && strings.Contains(got.HTML, name) {
			t.Errorf("%q is in the HTML", name)
		}
	}
}

func TestMailToAnUnprovenAddressHasNoName(t *testing.T) {
	t.Parallel()
	got, err := renderer(t).Render(completeMessage(watchword.MailVerify))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got.Text+got.HTML, "Ada Lovelace") {
		t.Error("the mail contains a name that the owner of the address did not choose")
	}
}

// IN-6
func TestUnexpectedDeviceOrAddressIsOmitted(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"evil.example", "http://evil", `"><script>alert(1)</script>`, "curl\nX: y", "Ｃｈｒｏｍｅ", strings.Repeat("x", 65),
	} {
		m := completeMessage(watchword.MailReuseDetected)
		m.Device, m.MailFacts.Address = text, text
		got, err := renderer(t).Render(m)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(got.Text+got.HTML, text) || strings.Contains(got.Text+got.HTML, "Device") {
			t.Errorf("%q is in the mail:\n%s", text, got.Text)
		}
	}
}

// IN-6
func TestHTMLIsEscaped(t *testing.T) {
	t.Parallel()
	r, err := mail.NewRenderer(mail.Options{PublicURL: "https://auth.example.com", Product: "Fish & <b>Chips</b>"})
	if err != nil {
		t.Fatal(err)
	}
	m := completeMessage(watchword.MailAddressChanged)
	m.Name, m.NewEmail = "Sinéad O'Connor", "x&<i>@example.com"
	got, err := r.Render(m)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got.HTML, "<b>") || strings.Contains(got.HTML, "<i>") ||
		!strings.Contains(got.HTML, "Fish &amp; &lt;b&gt;") {
		t.Errorf("not escaped:\n%s", got.HTML)
	}
	if !strings.Contains(got.Subject, "Fish & <b>") || !strings.Contains(got.Text, "Sinéad O'Connor") {
		t.Errorf("plain text is escaped: %s\n%s", got.Subject, got.Text)
	}
}

func TestOperatorsFilesReplaceMails(t *testing.T) {
	t.Parallel()
	logo, err := fs.ReadFile(web.Files, "assets/mark.png")
	if err != nil {
		t.Fatal(err)
	}
	logo = append(logo, "another picture"...)
	for name, c := range map[string]struct {
		files       fstest.MapFS
		with, never string
	}{
		"a text":   {fstest.MapFS{"texts/en.json": {Data: []byte(`{"mail.reset.button": "Go on"}`)}}, "Go on", ">Choose a new password</a>"},
		"the name": {fstest.MapFS{"texts/en.json": {Data: []byte(`{"brand": "Acme"}`)}}, "Acme sent this email", "Otter"},
		"a colour": {fstest.MapFS{"assets/theme.css": {Data: []byte(
			":root { --accent: #0b57d0; /* --ink: #123456; */ }" +
				"@media (prefers-color-scheme: dark) {\n:root { --accent: #a8c7fa; }\n}")}},
			"background: #0b57d0", "#7a2e22"},
		"a colour of dark mode": {fstest.MapFS{"assets/theme.css": {Data: []byte(
			"@media (prefers-color-scheme: dark) {\n:root { --accent: #a8c7fa; }\n}")}},
			"background: #a8c7fa !important", "#d98a78"},
		"a colour that mail programs don't know": {fstest.MapFS{"assets/theme.css": {Data: []byte(
			":root { --accent: oklch(50% 1 1); --line: red; }")}}, "#7a2e22", "oklch"},
		"the logo": {fstest.MapFS{"assets/mark.png": {Data: logo}},
			base64.StdEncoding.EncodeToString(logo), "cid:"},
		"a logo that is no PNG": {fstest.MapFS{"assets/mark.svg": {Data: []byte("<svg/>")}}, "Otter Post", "<img"},
		"the template": {fstest.MapFS{"mail/message.html": {Data: []byte(
			`{{.Kind}} {{.Title}}{{range .Blocks}} {{.Type}}{{end}}`)}}, "reset Choose a new password text button small", "<"},
	} {
		r, err := mail.NewRenderer(mail.Options{
			PublicURL: "https://auth.example.com", Product: "Otter Post", Files: c.files})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := r.Render(completeMessage(watchword.MailReset))
		if err != nil {
			t.Fatal(err)
		}
		if html := got.Document(); !strings.Contains(html, c.with) || strings.Contains(html, c.never) {
			t.Errorf("%s: %q is missing or %q is there:\n%s", name, c.with, c.never, html)
		}
	}
	for name, content := range map[string]string{
		"texts/en.json": `{"mail.reset.buton": "Go on"}`, "texts/de.json": `{"mail.reset.subject": "a\nBcc: b"}`,
		"mail/message.html": "{{.Nothing}}", "mail/message.txt": "{{if}}", "assets/mark.png": "<svg/>",
		"assets/style.css": "body { color: red }",
	} {
		_, err := mail.NewRenderer(mail.Options{PublicURL: "https://auth.example.com",
			Files: fstest.MapFS{name: {Data: []byte(content)}}})
		if err == nil || !strings.Contains(err.Error(), path.Base(name)) && name != "texts/de.json" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMailsHaveTheLanguageOfTheUser(t *testing.T) {
	t.Parallel()
	for locale, want := range map[string]string{
		"": "Choose a new", "en-GB": "Choose a new", "de": "Wählen Sie", "de-AT": "Wählen Sie", "fr": "Choose a new",
		"not a tag": "Choose a new",
	} {
		m := completeMessage(watchword.MailReset)
		m.Locale = locale
		got, err := renderer(t).Render(m)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got.Subject, want) ||
			strings.Contains(got.Text, "Guten Tag") != strings.Contains(got.HTML, "Guten Tag") ||
			strings.Contains(got.HTML, `lang="de"`) != (want == "Wählen Sie") {
			t.Errorf("%q: %s\n%s", locale, got.Subject, got.HTML)
		}
	}
}

func TestLifetimeIsWrittenInMinutesHoursOrDays(t *testing.T) {
	t.Parallel()
	for life, want := range map[time.Duration]string{
		time.Second:                       "expires in 1 minute (",
		-time.Hour:                        "expires in 1 minute (",
		15*time.Minute - time.Millisecond: "expires in 15 minutes (24 November 2026, 14:04 UTC)",
		15 * time.Minute:                  "expires in 15 minutes (24 November 2026, 14:05 UTC)",
		time.Hour:                         "expires in 60 minutes (",
		119 * time.Minute:                 "expires in 119 minutes (",
		2*time.Hour - time.Second:         "expires in 2 hours (",
		24*time.Hour - time.Second:        "expires in 24 hours (",
		47 * time.Hour:                    "expires in 47 hours (",
		48*time.Hour - time.Second:        "expires in 2 days (",
		7 * 24 * time.Hour:                "expires in 7 days (1 December 2026, 13:50 UTC)",
	} {
		m := completeMessage(watchword.MailReset)
		m.Expires = now.Add(life)
		got, err := renderer(t).Render(m)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got.Text, want) {
			t.Errorf("%s is not written as %q:\n%s", life, want, got.Text)
		}
	}
}

func TestIncompleteMessageReturnsAnError(t *testing.T) {
	t.Parallel()
	for _, m := range []watchword.Message{
		{Kind: watchword.MailVerify}, {Kind: watchword.MailReset}, {Kind: watchword.MailConfirmAddress},
		{Kind: "no-such-kind", Token: token}, {},
	} {
		if got, err := renderer(t).Render(m); err == nil {
			t.Errorf("%q was rendered: %q", m.Kind, got.Subject)
		}
	}
}

func TestNewRendererRejectsInvalidOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []mail.Options{
		{}, {PublicURL: "auth.example.com"}, {PublicURL: "javascript:alert(1)"}, {PublicURL: "https://"},
		{PublicURL: "https://me:secret@auth.example.com"}, {PublicURL: "https://auth.example.com/#x"},
		{PublicURL: "https://auth.example.com?x=y"}, {PublicURL: "https://auth.example.com", Product: "a\r\nBcc: b"},
	} {
		if _, err := mail.NewRenderer(o); err == nil {
			t.Errorf("%+v was accepted", o)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
	r, err := mail.NewRenderer(mail.Options{PublicURL: "http://localhost:8080/"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Render(completeMessage(watchword.MailReset))
	if err != nil {
		t.Fatal(err)
	}
	if want := "http://localhost:8080/reset#token=" + token; got.Link != want ||
		got.Subject != "Choose a new password for localhost" {
		t.Errorf("got %q to %q, want %q", got.Subject, got.Link, want)
	}
}

// IN-6
func FuzzTextOfUsersIsEscaped(f *testing.F) {
	f.Add("Ada", "Firefox on Linux", "192.0.2.7")
	f.Add("<a href=//evil>", "evil.example", "::1%<b>")
	f.Add("a\r\nb", "\x00", "::%\x00")
	r := renderer(f)
	plain := completeMessage(watchword.MailReuseDetected)
	plain.Name, plain.Device, plain.MailFacts.Address = "", "", ""
	want, err := r.Render(plain)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, device, address string) {
		m := plain
		m.Name, m.Device, m.MailFacts.Address = name, device, address
		got, err := r.Render(m)
		if err != nil {
			t.Fatal(err)
		}
		if got.Subject != want.Subject || strings.ContainsAny(got.Text, "\r\x00") {
			t.Fatalf("%q", got)
		}
		const row = `<tr><td class="soft" valign="top"`
		rows := strings.Count(got.HTML, row) - strings.Count(want.HTML, row)
		if strings.Count(got.HTML, "<") != strings.Count(want.HTML, "<")+6*rows {
			t.Fatalf("a user's text became markup:\n%s", got.HTML)
		}
		if strings.Count(got.Text, "\n") != strings.Count(want.Text, "\n")+rows {
			t.Fatalf("a user's text became a line:\n%s", got.Text)
		}
	})
}

package userimport_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
	"github.com/watchword-auth/watchword/cmd/internal/userimport"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/factorfile"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/internal/totp"
	"github.com/watchword-auth/watchword/mail"
	"github.com/watchword-auth/watchword/mail/devbox"
	"github.com/watchword-auth/watchword/store/sqlite"
)

const passphrase = "correct horse battery"

// fixedNow does not advance, so that a TOTP code stays in its time step.
var fixedNow = time.Now().Truncate(time.Millisecond)

// An installation is an engine with second factors and a database of its own.
type installation struct {
	*watchword.Engine
	factors *factors.Manager
	store   *sqlite.Store
}

// key is the last byte of the master key. The first 31 bytes are zero.
func newInstallation(t *testing.T, key byte) *installation {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlitetest.Path(t, sqlite.Migrate))
	must(t, err)
	t.Cleanup(func() { store.Close() }) //nolint:errcheck // the database is temporary
	const publicURL = "http://localhost:8080"
	renderer, err := mail.NewRenderer(mail.Options{PublicURL: publicURL})
	must(t, err)
	mailer, err := devbox.Open(t.TempDir(), renderer)
	must(t, err)
	engine, err := watchword.New(t.Context(), store, watchword.Options{
		PublicURL: publicURL, MasterKey: append(make([]byte, 31), key), Mailer: mailer,
		Now: func() time.Time { return fixedNow },
	})
	must(t, err)
	t.Cleanup(engine.Close)
	return &installation{engine, factors.New(engine, store.Factors(), factors.Options{}), store}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (i *installation) importer() accountimport.Importer {
	return accountimport.New(i.Engine).With(i.factors.Imports())
}

// signIn returns a session or, if the account has second factors, the handle of the second step.
func (i *installation) signIn(t *testing.T, email string) (*watchword.SignIn, watchword.Secret) {
	t.Helper()
	in, err := i.Login(t.Context(), watchword.LoginRequest{Email: email, Password: passphrase})
	var refusal *watchword.Error
	if errors.As(err, &refusal) && refusal.Challenge != nil {
		return nil, refusal.Challenge.Handle
	}
	must(t, err)
	return in, ""
}

// The account has an authenticator app and a passkey.
func (i *installation) enrolAda(t *testing.T) (secret []byte, key *authenticator) {
	t.Helper()
	user, err := i.Operator().CreateUser(t.Context(), watchword.NewUser{Email: "ada@example.com", Password: passphrase})
	must(t, err)
	must(t, i.store.Update(t.Context(), func(tx watchword.Tx) error {
		_, err := tx.SetVerified(t.Context(), user.ID, user.Email, fixedNow)
		return err
	}))
	in, _ := i.signIn(t, "ada@example.com")
	who, err := i.Authenticate(t.Context(), in.AccessToken)
	must(t, err)
	begun, err := i.factors.BeginTOTP(t.Context(), who, "my phone")
	must(t, err)
	secret, _, err = totp.Parse(string(begun.URI))
	must(t, err)
	code, err := totp.Code(secret, totp.Step(fixedNow)-1)
	must(t, err)
	_, err = i.factors.ConfirmTOTP(t.Context(), who, begun.ID, watchword.Secret(code), watchword.Client{})
	must(t, err)
	key = newAuthenticator()
	ceremony, err := i.factors.BeginPasskey(t.Context(), who, false)
	must(t, err)
	_, err = i.factors.ConfirmPasskey(t.Context(), who, factors.NewPasskey{
		Ceremony: ceremony.ID, Credential: key.create(t, ceremony.Options), Name: "blue key"}, watchword.Client{})
	must(t, err)
	return secret, key
}

// An authenticator is a virtual authenticator with one passkey.
type authenticator struct {
	party virtualwebauthn.RelyingParty
	auth  virtualwebauthn.Authenticator
	key   virtualwebauthn.Credential
}

func newAuthenticator() *authenticator {
	key := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	for len(key.Key.AttestationData()) != 77 { // the library drops leading zeros of a key, so try another key
		key = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	}
	party := virtualwebauthn.RelyingParty{ID: "localhost", Name: "localhost", Origin: "http://localhost:8080"}
	return &authenticator{party, virtualwebauthn.NewAuthenticator(), key}
}

func (a *authenticator) create(t *testing.T, options json.RawMessage) []byte {
	t.Helper()
	parsed, err := virtualwebauthn.ParseAttestationOptions(string(options))
	must(t, err)
	a.auth.Options.UserHandle = []byte(parsed.UserID)
	return []byte(virtualwebauthn.CreateAttestationResponse(a.party, a.auth, a.key, *parsed))
}

func (a *authenticator) use(t *testing.T, options json.RawMessage) []byte {
	t.Helper()
	parsed, err := virtualwebauthn.ParseAssertionOptions(string(options))
	must(t, err)
	return []byte(virtualwebauthn.CreateAssertionResponse(a.party, a.auth, a.key, *parsed))
}

func (i *installation) exportText(t *testing.T, asCSV bool) string {
	t.Helper()
	var out strings.Builder
	n, err := userimport.Export(t.Context(), i.Operator(), &out, userimport.ExportOptions{
		CSV: asCSV, Progress: func(int) {}, Factors: i.factors.Portable})
	if err != nil || n.Factors != 1 {
		t.Fatalf("%+v, %v", n, err)
	}
	return out.String()
}

// An export moves second factors to an installation with a different master key.
//
// MFA-8
func TestExportAndImportCarrySecondFactors(t *testing.T) {
	t.Parallel()
	from := newInstallation(t, 1)
	secret, key := from.enrolAda(t)
	for _, asCSV := range []bool{false, true} {
		file, to := from.exportText(t, asCSV), newInstallation(t, 2)
		for range 2 { // the second import does not change the account
			report, err := userimport.New(to.importer(), openText(t, "all", file), userimport.Options{},
				&recorder{}).Import(t.Context())
			if err != nil || report.Done+report.Existing != 1 {
				t.Fatalf("%+v, %v", report, err)
			}
		}
		if again := to.exportText(t, asCSV); again != file {
			t.Errorf("exported again:\n%s\nwant\n%s", again, file)
		}
		in, handle := to.signIn(t, "ada@example.com")
		if in != nil {
			t.Fatal("the password alone signs in")
		}
		// The enrolment has used a code. The export contains the time step of that code, so the other installation
		// must refuse the code, and accept a later one.
		if _, err := to.completeWithCode(t, handle, secret, -1); watchword.CodeOf(err) != watchword.CodeFactorWrong {
			t.Errorf("the code of the enrolment: %v", err)
		}
		in, err := to.completeWithCode(t, handle, secret, 0)
		must(t, err)
		who, err := to.Authenticate(t.Context(), in.AccessToken)
		must(t, err)

		ceremony, err := to.factors.PasskeyOptions(t.Context(), watchword.Client{})
		must(t, err)
		_, err = to.factors.PasskeyLogin(t.Context(), factors.PasskeyLoginRequest{
			Ceremony: ceremony.ID, Credential: key.use(t, ceremony.Options)})
		must(t, err)
		overview, err := to.factors.List(t.Context(), who.User.ID)
		if err != nil || len(overview.Factors) != 2 || overview.Factors[0].Name != "my phone" ||
			overview.Factors[1].Name != "blue key" || overview.Codes.Left != 0 {
			t.Errorf("%+v, %v", overview, err)
		}
	}
}

func (i *installation) completeWithCode(
	t *testing.T, handle watchword.Secret, secret []byte, offset int64,
) (*watchword.SignIn, error) {
	t.Helper()
	code, err := totp.Code(secret, totp.Step(fixedNow)+offset)
	must(t, err)
	return i.factors.Login(t.Context(), factors.LoginRequest{
		Handle: handle, Proof: factors.Proof{TOTP: watchword.Secret(code)}})
}

// A passkey belongs to one account. If a file gives Ada's passkey to Eve too, Eve's account is not imported.
func TestImportedPasskeyTakesNoOtherAccount(t *testing.T) {
	t.Parallel()
	from := newInstallation(t, 1)
	from.enrolAda(t)
	ada := from.exportText(t, false)
	eve := strings.ReplaceAll(ada, "ada@example.com", "eve@example.com")
	id := ada[strings.Index(ada, `"id":"`)+6:][:36]
	eve = strings.Replace(eve, id, "0188b0f6-2b6e-7000-8000-000000000001", 1)
	shown := &recorder{}
	_, err := userimport.New(from.importer(), openText(t, "all", eve), userimport.Options{}, shown).Import(t.Context())
	if err == nil || !strings.Contains(strings.Join(shown.problems, ""), "belongs to another account here") {
		t.Errorf("%v, %q", err, shown.problems)
	}
	to := newInstallation(t, 2)
	report, err := userimport.New(to.importer(), openText(t, "all", ada+eve), userimport.Options{SkipBad: true},
		&recorder{}).Import(t.Context())
	if err != nil || report.Done != 1 || report.Bad != 1 {
		t.Errorf("two accounts of one file: %+v, %v", report, err)
	}
}

// The import reads TOTP secrets of other systems, in base32 or as otpauth URIs, whether the factor is on or off. A
// secret that can't be read is a problem.
func TestSecretsOfOtherSystemsAreImported(t *testing.T) {
	t.Parallel()
	const text, secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "12345678901234567890"
	keycloak := func(data string) string {
		return `{"users":[{"email":"ada@example.com","enabled":true,"requiredActions":[],"credentials":[{"type":"otp",` +
			`"userLabel":"Pixel","secretData":"{\"value\":\"` + secret + `\"}","credentialData":"` +
			strings.ReplaceAll(data, `"`, `\"`) + `"}]}]}`
	}
	for name, c := range map[string]struct {
		file, problem string
		factors, lost int
	}{
		"base32":        {"email,totp_secret\nada@example.com," + strings.ToLower(text) + "\n", "", 1, 0},
		"uri":           {"email,otpauth_url\nada@example.com,otpauth://totp/ada?secret=" + text + "\n", "", 1, 0},
		"speakeasy":     {`{"email":"ada@example.com","twoFactorSecret":{"base32":"` + text + `"}}`, "", 1, 0},
		"on":            {"email,otp_secret,otp_required_for_login\nada@example.com," + text + ",t\n", "", 1, 0},
		"off":           {"email,otp_secret,otp_required_for_login\nada@example.com," + text + ",f\n", "", 0, 0},
		"not confirmed": {"email,two_factor_secret,two_factor_confirmed_at\nada@example.com," + text + ",\n", "", 0, 0},
		"lost":          {"email,TwoFactorEnabled\nada@example.com,true\n", "", 0, 1},
		"encrypted": {"email,two_factor_secret\nada@example.com,eyJpdiI6IkFCQ0QifQ\n",
			"totp: neither a base32 secret", 0, 0},
		"8 digits": {"email,otpauth\nada@example.com,otpauth://totp/a?secret=" + text + "&digits=8\n",
			"totp: the otpauth URI is not for SHA1", 0, 0},
		"keycloak": {keycloak(`{"subType":"totp","digits":6,"period":30,"algorithm":"HmacSHA1"}`), "", 1, 0},
		"keycloak, 8 digits": {keycloak(`{"subType":"totp","digits":8,"period":30,"algorithm":"HmacSHA1"}`),
			"totp: Keycloak's is not", 0, 0},
		"another system's list": {`{"email":"ada@example.com","secondFactors":[{"type":"totp","key":"x"}]}`,
			"secondFactors: not a list", 0, 0},
	} {
		to, shown := newInstallation(t, 1), &recorder{}
		report, err := userimport.New(to.importer(), openText(t, "all", c.file), userimport.Options{},
			shown).Import(t.Context())
		if c.problem != "" {
			if err == nil || !strings.Contains(strings.Join(shown.problems, ""), c.problem) {
				t.Errorf("%s: %v, %q", name, err, shown.problems)
			}
			if strings.Contains(strings.Join(shown.problems, ""), "eyJ") {
				t.Errorf("%s: the secret is shown", name)
			}
			continue
		}
		if err != nil || report.Factors["totp"] != c.factors || report.LostFactors != c.lost {
			t.Errorf("%s: %+v, %v, %q", name, report, err, shown.problems)
			continue
		}
		ada, err := to.Operator().FindUser(t.Context(), "ada@example.com")
		must(t, err)
		of, err := to.factors.Portable(t.Context(), []watchword.User{ada})
		must(t, err)
		var have []factorfile.Factor
		if list := of[ada.ID]; list != "" {
			have, err = factorfile.Parse(string(list))
			must(t, err)
		}
		if len(have) != c.factors || c.factors == 1 && have[0].Secret != text || ada.Factors != c.factors {
			t.Errorf("%s: %d factors, want %d with the secret of the file", name, len(have), c.factors)
		}
	}
}

// Other systems store any text as the label of a factor. An invalid label is cleaned or replaced, and the account is
// imported.
func TestLabelsOfFactorsNeverPreventAnImport(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]string{
		"Pixel": "Pixel", " \t ": "Authenticator app", "": "Authenticator app", "\u202e": "Authenticator app",
		" my\tphone\r\n": "my phone", "my\u202ephone\u001b[31m": "myphone[31m",
		strings.Repeat("é", 99) + " and more": strings.Repeat("é", 99),
		strings.Repeat("é", 101):              strings.Repeat("é", 100),
	} {
		list, err := json.Marshal([]factorfile.Factor{
			{Kind: factorfile.TOTP, Name: label, Secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}})
		must(t, err)
		to, shown := newInstallation(t, 1), &recorder{}
		_, err = userimport.New(to.importer(), openText(t, "all",
			`{"email":"ada@example.com","secondFactors":`+string(list)+`}`), userimport.Options{},
			shown).Import(t.Context())
		if err != nil {
			t.Errorf("%q: %v, %q", label, err, shown.problems)
			continue
		}
		ada, err := to.Operator().FindUser(t.Context(), "ada@example.com")
		must(t, err)
		overview, err := to.factors.List(t.Context(), ada.ID)
		must(t, err)
		if got := overview.Factors[0].Name; got != want {
			t.Errorf("%q: the name is %q, want %q", label, got, want)
		}
	}
}

// An importer without package factors refuses accounts with factors, because dropping them would weaken the accounts.
func TestImporterWithoutFactorsRefusesAccountsWithFactors(t *testing.T) {
	t.Parallel()
	shown := &recorder{}
	_, err := userimport.New(accountimport.New(newEngine(t)), openText(t, "all",
		"email,totp_secret\nada@example.com,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n"), userimport.Options{},
		shown).Import(t.Context())
	if err == nil || len(shown.problems) != 1 {
		t.Errorf("%v, %q", err, shown.problems)
	}
}

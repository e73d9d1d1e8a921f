package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/respond"
)

// On the pages, a script asks the browser for a passkey and sends the result as a form. Without the script the forms
// are hidden, and each page has an alternative that needs no script.
//
// Because the result is sent as a form, the server responds with a page or a redirect, as for a password. The
// Content-Security-Policy of the page therefore need not allow requests of scripts.
//
// The pages of the second step, the step-up and a new passkey contain the options of the ceremony. The pages of the
// sign-in, the enrolment and the account may stay open for longer than the options are valid. Their scripts fetch the
// options when they are needed.

const (
	pathPasskeyLogin = pathLogin + "/passkey"
	pathPasskeys     = pathAccount + "/passkeys"
	pathNewPasskey   = pathPasskeys + "/new"
	pathUpgrade      = pathPasskeys + "/upgrade"

	// passkeyScript is the only script that is a separate file. All other scripts are inline in the pages.
	passkeyScript = "passkey.js"
)

// passkeyForm is the data of the template "passkey". Operators' templates use its fields.
type passkeyForm struct {
	Action   string // target of the form, including return_to
	Does     string // function of navigator.credentials: create or get
	Ceremony string
	Options  string // options as JSON; "": the script fetches them from the path in From
	From     string
	Button   string
	Main     bool

	Autofill bool   // the browser suggests passkeys in the email field
	Unknown  string // id of a passkey that the server does not know, so that the browser forgets it
	Upgrade  bool   // the script creates a passkey without a button and a dialog

	// This form has the checkbox to remember the browser only if the page has no form for codes. The checkbox then
	// works without the script.
	RememberDevice string // label of the checkbox; "": the form has no checkbox
	Remembered     bool

	Cancelled, Exists, Unsupported, Failed string // texts that the script shows after an error
}

// newPasskeyForm returns nil on the admin listener. The script of the form uses (get) or creates (create) a passkey.
func (v *view) newPasskeyForm(path, does, button string, c factors.Ceremony) *passkeyForm {
	// A passkey belongs to the public URL, so browsers don't offer it on the admin listener.
	if v.role.isAdminListener {
		return nil
	}
	// The texts are data of the form and not part of the script, because the server chooses the reader's language.
	return &passkeyForm{Action: v.To(path), Does: does, Button: v.T(button), Ceremony: string(c.ID),
		Options: string(c.Options), Cancelled: v.T("passkey.cancelled"), Exists: v.T("passkey.exists"),
		Unsupported: v.T("passkey.unsupported"), Failed: v.T("passkey.failed")}
}

// hasPasskeys reports whether this server has passkeys. The factors manager disables passkeys if the host of its
// public URL is not a domain name, because browsers refuse them there.
func (p *pages) hasPasskeys() bool { return p.factors != nil && p.factors.Passkeys() }

// signInPasskeyForm returns nil while passkeys are off.
func (p *pages) signInPasskeyForm(v *view) *passkeyForm {
	if !p.hasPasskeys() || p.role.isAdminListener {
		return nil
	}
	// The script fetches the options. If they were part of the page, every view would count toward the client's rate
	// limit, even in browsers without passkeys.
	form := v.newPasskeyForm(pathPasskeyLogin, "get", "passkey.login", factors.Ceremony{})
	form.From, form.Autofill, v.sendsRequests = pathAPI+"/passkey/options", true, true
	return form
}

// readCredential returns nil if the form has no response of a passkey.
func readCredential(form url.Values) []byte {
	// A form for codes has no field "credential", so the result is nil.
	if given := form.Get("credential"); given != "" {
		return []byte(given)
	}
	return nil
}

// passkeyLoginForm signs in with a passkey alone. After an error, the sign-in page says what to do. If the server
// does not know the passkey, for example after the account was deleted, the page tells the browser to forget it.
func (p *pages) passkeyLoginForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	// The sealed ceremony is in the form, so no cookie is needed.
	in, err := p.factors.PasskeyLogin(r.Context(), factors.PasskeyLoginRequest{
		Ceremony: watchword.Secret(form.Get("ceremony")), Credential: readCredential(form),
		Persistent: form.Get("remember") != "", Client: p.clients.readClient(w, r), Replaces: p.cookies.tokenToReplace(r, ""),
	})
	// The browser must forget only an unknown passkey. A refused passkey may be valid, for example after a rate
	// limit.
	if err != nil {
		v := p.newSignView(r, "login")
		v.isPasskeyError = true
		if data := v.Data.(loginData); data.Passkey != nil && errors.Is(err, factors.ErrPasskeyUnknown) {
			data.Passkey.Unknown = credentialID(readCredential(form))
		}
		return p.showAgain(w, r, v, err)
	}
	p.cookies.setPageSessionCookies(w, r, in)
	p.redirect(w, p.signInTarget(r), nil)
	return nil
}

// credentialID returns "" for a malformed response. The server sends the id back only to the browser that sent it.
func credentialID(response []byte) string {
	// The response was refused, so only its id is read. A browser that sends a wrong id changes only its own list of
	// passkeys.
	var credential struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(response, &credential) != nil {
		return ""
	}
	return credential.ID
}

// passkeySection is the data of the account page about passkeys. Operators' templates use its
// fields.
type passkeySection struct {
	List     []factors.Factor
	Addable  bool         // another passkey can be added
	Full     bool         // the account has the maximum number of passkeys
	Unproven bool         // the address must be verified before a passkey can be added
	Signal   string       // JSON that tells the browser which passkeys exist, or "" while passkeys are off
	Upgrade  *passkeyForm // nil: the page does not create a passkey without a dialog
}

// A browserSignal has the arguments of the browser functions signalAllAcceptedCredentials and
// signalCurrentUserDetails (WebAuthn Level 3).
type browserSignal struct {
	*signalBody
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
}

// newPasskeySection returns nil if the section would be empty. While passkeys are off, users can still remove the
// passkeys that they have.
func (p *accountPages) newPasskeySection(
	v *view, who watchword.Identity, all []factors.Factor,
) (*passkeySection, error) {
	// The account may have passkeys from a time when the setting was on.
	list := factorsOfKind(all, factors.KindPasskey)
	if p.factors == nil || len(list) == 0 && (!p.hasPasskeys() || !p.factors.Offered()) {
		return nil, nil
	}
	offered, proven := p.hasPasskeys() && p.factors.Offered(), who.User.Verified()
	// This check only hides a button that would lead to a refusal. The engine checks again when the user opens the
	// page for a new passkey.
	section := &passkeySection{List: list, Full: len(list) >= factors.MaxPasskeys, Unproven: offered && !proven}
	section.Addable = offered && proven && !section.Full
	// Each view of the page tells the browser which passkeys exist, because the user or an operator may have removed
	// one elsewhere.
	if signal := newSignalBody(p.factors.Signal(who.User.ID, all)); signal != nil {
		// Name and display name must be the same as in the options for a new passkey.
		details := browserSignal{signal, string(who.User.Email), who.User.Name}
		if details.DisplayName == "" {
			details.DisplayName = details.Name
		}
		text, err := json.Marshal(details)
		if err != nil {
			return nil, err
		}
		section.Signal = string(text)
	}
	// Browsers create a passkey without a dialog only shortly after they have filled in the password. Therefore the
	// page requests such a passkey only in a fresh session.
	if section.Addable && len(list) == 0 && p.factors.Fresh(who) == nil {
		section.Upgrade = v.newPasskeyForm(pathPasskeys, "create", "passkeys.add", factors.Ceremony{})
		section.Upgrade.From, section.Upgrade.Upgrade, v.sendsRequests = pathUpgrade, true, true
	}
	return section, nil
}

// factorsOfKind copies the list, because DeleteFunc would change the list of the caller.
func factorsOfKind(all []factors.Factor, kind factors.Kind) []factors.Factor {
	return slices.DeleteFunc(slices.Clone(all), func(f factors.Factor) bool { return f.Kind != kind })
}

// newPasskeyPage begins the creation of a passkey. Each reload begins a new one.
func (p *accountPages) newPasskeyPage(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	begun, err := p.factors.BeginPasskey(r.Context(), who, false)
	if err != nil {
		return p.refuseFactorChange(w, r, who, err)
	}
	v := p.newView(r, "passkey-new")
	// The form has no field for a name: the passkey gets the name of the authenticator's product,
	// and the account page can rename it.
	form := v.newPasskeyForm(pathPasskeys, "create", "passkey-new.button", begun)
	form.Main, v.Data = true, form
	return p.show(w, http.StatusOK, v)
}

// beginPasskeyUpgrade returns the options for a passkey that the browser creates without a dialog. The script of the
// account page requests them only if the browser supports such passkeys.
func (p *accountPages) beginPasskeyUpgrade(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	// The sealed ceremony records that this is an upgrade, so the later request to addPasskeyForm can't change that.
	begun, err := p.factors.BeginPasskey(r.Context(), who, true)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, newCeremonyAnswer(begun))
}

// addPasskeyForm gives the account recovery codes if the passkey is its first factor. A passkey from an upgrade
// creates no codes, because sign-ins do not ask for it yet.
func (p *accountPages) addPasskeyForm(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	done, err := p.factors.ConfirmPasskey(r.Context(), who, factors.NewPasskey{
		Ceremony: watchword.Secret(form.Get("ceremony")), Credential: readCredential(form)}, p.clientWithReturn(w, r))
	// If the ceremony has expired, the error is shown on the account page, where the user can begin again.
	switch {
	case err != nil:
		return p.refuseFactorChange(w, r, who, err)
	case len(done.Codes) > 0:
		return p.showCodes(w, r, codesData{Codes: recoveryCodeTexts(done.Codes), Email: who.User.Email}, true)
	case done.Factor().Unproven:
		p.redirectToAccount(w, r, "upgrade")
	default:
		p.redirectToAccount(w, r, "passkey")
	}
	return nil
}

// passkeyRoutes is empty while passkeys are off.
func (p *accountPages) passkeyRoutes() []route {
	if !p.hasPasskeys() {
		return nil
	}
	// The routes that rename and remove a passkey are in twoStepRoutes, because they are the same for every kind of
	// factor.
	return []route{
		{method: "POST", path: pathPasskeyLogin, handle: p.passkeyLoginForm},
		{method: "GET", path: pathNewPasskey, handle: p.requireSignIn(p.newPasskeyPage)},
		{method: "POST", path: pathUpgrade, handle: p.requireSignIn(p.beginPasskeyUpgrade)},
		{method: "POST", path: pathPasskeys, handle: p.requireSignIn(p.addPasskeyForm)},
		{method: "POST", path: pathEnrol + "/{id}/passkey", handle: p.enrolPasskeyForm},
		{method: "POST", path: pathEnrol + "/{id}/passkey/options", handle: p.enrolPasskeyOptions},
	}
}

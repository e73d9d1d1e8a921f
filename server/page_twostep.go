package server

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/qr"
)

// The account page shows the authenticator apps and the recovery codes of a user.
//
// Each change of apps or codes has a separate page, which is opened by GET and first requires a step-up. After the
// step-up, the browser returns to this page. It could not return to a form of the account page, because a redirect
// does not repeat a POST.

const (
	pathStepUp        = "/step-up"
	pathAuthenticator = pathAccount + "/authenticator"
	pathCodes         = pathAccount + "/recovery-codes"
	// pathFactors is followed by the id of a factor.
	pathFactors = pathAccount + "/factors/"
)

// The pages keep no state in the process. The engine stores the enrolment in a challenge, and the URL has its id. Any
// process behind a load balancer can therefore handle the next request.

// lowCodesLeft is the number of unused recovery codes from which the page suggests new ones.
const lowCodesLeft = 3

// twoStepSection is the data of the account page about second factors. Operators' templates use its
// fields.
type twoStepSection struct {
	Apps         []factors.Factor
	Addable      bool // another app can be added
	Unproven     bool // the address must be verified before an app can be added
	On           bool // the account has a factor
	CodesLeft    int
	CodesLow     bool
	CodesCreated time.Time // zero if no unused code remains
	Required     bool
	Devices      []factors.Device
}

// addFactorSections reads the factors in a separate transaction. The page can therefore list a factor that another
// tab is removing. The buttons of this factor then show an error.
func (p *accountPages) addFactorSections(r *http.Request, v *view, who watchword.Identity, data *accountData) error {
	if p.factors == nil {
		return nil
	}
	overview, err := p.factors.List(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	data.TwoStep = p.newTwoStepSection(who, overview)
	data.Passkeys, err = p.newPasskeySection(v, who, overview.Factors)
	return err
}

// newTwoStepSection returns nil if the section would be empty.
func (p *accountPages) newTwoStepSection(who watchword.Identity, overview factors.Overview) *twoStepSection {
	apps := factorsOfKind(overview.Factors, factors.KindTOTP)
	counted := slices.DeleteFunc(slices.Clone(overview.Factors), func(f factors.Factor) bool { return f.Unproven })
	// If new factors can't be added, the section is shown only if the account has a factor. A passkey that a browser
	// has created without a dialog does not count yet, because sign-ins do not ask for it.
	offered, proven := p.factors.Offered(), who.User.Verified()
	if !offered && len(counted) == 0 {
		return nil
	}
	return &twoStepSection{
		Apps: apps, Addable: offered && proven && len(apps) < factors.MaxTOTP,
		Unproven: offered && !proven, On: len(counted) > 0,
		CodesLeft: overview.Codes.Left, CodesLow: overview.Codes.Left <= lowCodesLeft,
		CodesCreated: overview.Codes.CreatedAt, Devices: overview.Devices,
	}
}

// redirectToStepUp returns false if err does not require a step-up. The step-up returns to target, a path of this
// server. The query of target has the original return_to, so that the user finally returns to the front-end.
func (p *accountPages) redirectToStepUp(w http.ResponseWriter, r *http.Request, target string, err error) bool {
	if p.factors == nil || watchword.CodeOf(err) != watchword.CodeStepUpRequired {
		return false
	}
	p.errors.logIfRefusal(w, r, err)
	if query := p.withReturnTo(r, url.Values{}); len(query) > 0 {
		target += "?" + query.Encode()
	}
	p.redirect(w, pathStepUp, url.Values{"return_to": {p.origins.publicURL + target}})
	return true
}

// refuseFactorChange shows on the account page why a change of factors was refused.
func (p *accountPages) refuseFactorChange(
	w http.ResponseWriter, r *http.Request, who watchword.Identity, err error,
) error {
	if p.redirectToStepUp(w, r, r.URL.Path, err) {
		return nil
	}
	var refusal *watchword.Error
	if !errors.As(err, &refusal) {
		return err
	}
	v, err := p.readAccountView(r, who)
	if err != nil {
		return err
	}
	v.isPasskeyError = strings.HasPrefix(r.URL.Path, pathPasskeys)
	return p.showAgain(w, r, v, refusal)
}

// redirectToAccount responds to a form that has made a change. It redirects, so that a reload does not repeat the
// change.
func (p *pages) redirectToAccount(w http.ResponseWriter, r *http.Request, notice string) {
	p.redirect(w, pathAccount, p.withReturnTo(r, url.Values{"done": {notice}}))
}

// beginAuthenticatorPage gives the enrolment its own URL, so that a reload shows the same QR code, which the user may
// already have scanned. Opening the page does not change the account.
func (p *accountPages) beginAuthenticatorPage(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	// The name of the app is in the reader's language. The user can change it later.
	begun, err := p.factors.BeginTOTP(r.Context(), who, p.newView(r, "account").T("twostep.app"))
	if err != nil {
		return p.refuseFactorChange(w, r, who, err)
	}
	p.redirect(w, pathAuthenticator+"/"+begun.ID, p.withReturnTo(r, url.Values{}))
	return nil
}

// authenticatorData is the data of the page that adds an app. Operators' templates use its fields.
type authenticatorData struct {
	Text    string        // why the user has to set up the app, or ""
	Cancel  string        // path of the page for a user who cancels
	Path    string        // target of the form, without the id of the enrolment
	Picture template.HTML // QR code as inline SVG, which the Content-Security-Policy allows
	URI     template.URL  // link that opens an authenticator app on the same device
	Key     string        // the secret in groups of four characters, to be typed
	Passkey *passkeyForm  // nil: the page offers only the app
}

// authenticatorView shows the enrolment whose id is in the path.
func (p *accountPages) authenticatorView(r *http.Request, who watchword.Identity) (*view, error) {
	pending, err := p.factors.Pending(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return p.newEnrolmentView(r, pathAuthenticator, pending)
}

// newEnrolmentView shows the QR code. The target of its form is path plus the id of the enrolment.
func (p *accountPages) newEnrolmentView(r *http.Request, path string, pending factors.Enrolment) (*view, error) {
	// The server draws the QR code, so that the page works without scripts.
	svg, err := qr.SVG(string(pending.URI))
	if err != nil {
		return nil, err
	}
	v := p.newView(r, "authenticator")
	// The conversions are safe: the picture contains only shapes, and the engine has built the URI.
	v.Data = authenticatorData{Path: path + "/" + pending.ID, Cancel: pathAccount, Picture: template.HTML(svg),
		URI: template.URL(pending.URI), Key: groupByFour(string(pending.Secret))}
	return v, nil
}

// groupByFour makes a key easier to type. Authenticator apps ignore the spaces.
func groupByFour(key string) string {
	var groups []string
	// The secret is base32, so each byte is one character.
	for group := range slices.Chunk([]byte(key), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, " ")
}

// authenticatorPage shows the QR code and the field for the first code on one page, because the user needs the phone
// for both steps.
func (p *accountPages) authenticatorPage(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	v, err := p.authenticatorView(r, who)
	if err != nil {
		return p.refuseFactorChange(w, r, who, err)
	}
	return p.show(w, http.StatusOK, v)
}

// authenticatorForm adds the app. With the first app, the account gets recovery codes. After a wrong code, the page
// shows the same QR code, because the user's app already has its secret. The engine limits the attempts. After the
// last attempt, the user needs a new QR code.
func (p *accountPages) authenticatorForm(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	done, err := p.factors.ConfirmTOTP(r.Context(), who, r.PathValue("id"), watchword.Secret(form.Get("totp")),
		p.clientWithReturn(w, r))
	// A wrong code is an error of this form. Any other refusal is shown on the account page.
	if watchword.CodeOf(err) == watchword.CodeFactorWrong {
		v, gone := p.authenticatorView(r, who)
		if gone != nil {
			return p.refuseFactorChange(w, r, who, gone)
		}
		return p.showAgain(w, r, v.withValues("authenticator", form), err)
	}
	if err != nil {
		return p.refuseFactorChange(w, r, who, err)
	}
	// With a second app, the old codes stay valid, and the server creates no new codes.
	if len(done.Codes) == 0 {
		p.redirectToAccount(w, r, "factor")
		return nil
	}
	return p.showCodes(w, r, codesData{Codes: recoveryCodeTexts(done.Codes), Email: who.User.Email}, true)
}

// codesData is the data of the page with new recovery codes. Operators' templates use its fields.
type codesData struct {
	Codes []string
	Email watchword.Address // printed with the codes
	Next  template.URL      // target of the button that leaves the page
}

// showCodes responds to a form with recovery codes. It does not redirect, because a redirect would have to store the
// codes.
func (p *accountPages) showCodes(w http.ResponseWriter, r *http.Request, data codesData, isFirstFactor bool) error {
	v := p.newView(r, "codes")
	// No later response shows these codes. Like every page, this one is not cached. If the user reloads it, the
	// browser asks before it sends the form again.
	//
	// After the first factor, the page says that two-step sign-in is now on. A user who only replaced the codes had
	// it on before.
	if isFirstFactor {
		v.Notice = v.T("codes.on")
	}
	if data.Next == "" {
		data.Next = template.URL(v.To(pathAccount))
	}
	v.Data = data
	return p.show(w, http.StatusOK, v)
}

// confirmData is the data of a page that asks for confirmation before a change. Operators' templates use its fields.
type confirmData struct {
	Path, Text, More, Button string // More may be ""
	Name                     string // name of the factor
	Danger                   bool
}

// showConfirm shows a page that asks for confirmation before a change, after a step-up if needed. The handler of its
// form checks again that the session is fresh, because the page may have been open for an hour.
func (p *accountPages) showConfirm(
	w http.ResponseWriter, r *http.Request, who watchword.Identity, name string, data confirmData,
) error {
	if err := p.factors.Fresh(who); err != nil {
		return p.refuseFactorChange(w, r, who, err)
	}
	v := p.newView(r, "confirm")
	v.Title = v.T(name + ".title")
	data.Text, data.More, data.Button = v.T(data.Text), v.optionalText(data.More), v.T(data.Button)
	v.Data = data
	return p.show(w, http.StatusOK, v)
}

// optionalText returns "" for an empty key. It is for a text that only some pages have.
func (v *view) optionalText(key string) string {
	if key == "" {
		return ""
	}
	return v.T(key)
}

// newCodesPage asks for confirmation, because the old recovery codes stop working. A user with printed codes could
// otherwise lose the phone before learning that the codes are invalid.
func (p *accountPages) newCodesPage(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	return p.showConfirm(w, r, who, "recovery-new",
		confirmData{Path: pathCodes, Text: "recovery-new.text", Button: "recovery.new"})
}

// newCodesForm replaces the codes. A second submission of the same form invalidates the codes of the
// first response, and its response shows the valid codes.
func (p *accountPages) newCodesForm(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	codes, err := p.factors.NewRecoveryCodes(r.Context(), who, p.clientWithReturn(w, r))
	if err != nil {
		return p.refuseFactorChange(w, r, who, err)
	}
	return p.showCodes(w, r, codesData{Codes: recoveryCodeTexts(codes), Email: who.User.Email}, false)
}

// renameFactorForm renames a factor. The account page has one such form for each factor, so the name of the form
// contains the id of the factor.
func (p *accountPages) renameFactorForm(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	rename := func(r *http.Request, who watchword.Identity, form url.Values, _ watchword.Client) error {
		return p.factors.Rename(r.Context(), who, id, form.Get("factorName"))
	}
	showDone := func(w http.ResponseWriter, r *http.Request) { p.redirectToAccount(w, r, "name") }
	return p.formHandler("rename-"+id, rename, showDone)(w, r)
}

// removeFactorPage asks for confirmation before a factor is removed. For the last factor, it warns that only the
// password will protect the account. A user with a new phone can then cancel, and first add an app on that phone.
func (p *accountPages) removeFactorPage(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	overview, err := p.factors.List(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	// A factor of another account gets the same 404 as an unknown factor.
	i := slices.IndexFunc(overview.Factors, func(f factors.Factor) bool { return f.ID == r.PathValue("id") })
	if i < 0 {
		return notFound(w, r)
	}
	// Passkeys have a different text, because the device may still offer the passkey after its removal.
	factor, name := overview.Factors[i], "remove"
	if factor.Kind == factors.KindPasskey {
		name = "remove-passkey"
	}
	data := confirmData{Path: pathFactors + factor.ID + "/remove", Name: p.newView(r, "account").Factor(factor.Name),
		Text: name + ".text", Button: "twostep.remove", Danger: true}
	others := slices.ContainsFunc(overview.Factors, func(f factors.Factor) bool {
		return f.ID != factor.ID && !f.Unproven
	})
	// After the removal of the last factor, only the password protects the account.
	if !others && !factor.Unproven {
		data.More = name + ".last"
	}
	return p.showConfirm(w, r, who, name, data)
}

// removeFactorForm removes a factor. The session continues, but its access token becomes outdated. The next page
// therefore rotates the refresh token and sets a new page cookie.
func (p *accountPages) removeFactorForm(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	overview, err := p.factors.List(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	// The notice depends on the kind of factor, so the kind is read before the removal.
	notice := "removed"
	for _, f := range factorsOfKind(overview.Factors, factors.KindPasskey) {
		if f.ID == r.PathValue("id") {
			notice = "passkey-removed"
		}
	}
	if err := p.factors.Remove(r.Context(), who, r.PathValue("id"), p.clientWithReturn(w, r)); err != nil {
		return p.refuseFactorChange(w, r, who, err)
	}
	p.redirectToAccount(w, r, notice)
	return nil
}

// stepUpView shows the field for the proof that the engine accepts from this account. A ceremony works only one time,
// so each view of the page begins a new ceremony.
func (p *accountPages) stepUpView(r *http.Request, who watchword.Identity, recovery bool) (*view, error) {
	v := p.newView(r, "step-up")
	data := v.newProofData(pathStepUp, recovery)
	// A user without a password and without factors confirms the step-up by a new sign-in at a provider.
	data.External = who.User.PasswordHash == "" && who.User.Factors == 0
	if data.External && p.federation != nil {
		if err := p.limitToOwnProviders(r, v, who); err != nil {
			return nil, err
		}
	}
	data.Password, data.Email, data.Cancel = who.User.Factors == 0, who.User.Email, p.cancelTarget(v.ReturnTo)
	if !data.Password {
		overview, err := p.factors.List(r.Context(), who.User.ID)
		if err != nil {
			return nil, err
		}
		// Another request may have removed the factor since the account was read. The engine then refuses the form,
		// and the next page asks for the password.
		var passkey *passkeyForm
		if len(factorsOfKind(overview.Factors, factors.KindPasskey)) > 0 {
			begun, err := p.factors.StepUpOptions(r.Context(), who)
			if err == nil {
				passkey = v.newPasskeyForm(pathStepUp, "get", "factor.passkey", begun)
			} else if watchword.CodeOf(err) != watchword.CodeNotFound { // the account has no passkey that works here
				return nil, err
			}
		}
		data = data.withFactors(len(factorsOfKind(overview.Factors, factors.KindTOTP)) > 0, passkey)
	}
	v.Data = data
	return v, nil
}

// cancelTarget is the front-end that required the step-up, or the account page. It is never the page of this server
// that required the step-up, because that page would ask again.
func (p *accountPages) cancelTarget(returnTo string) template.URL {
	asked, isOwn := strings.CutPrefix(returnTo, p.origins.publicURL+"/")
	if returnTo != "" && !isOwn {
		return template.URL(returnTo)
	}
	_, query, _ := strings.Cut(asked, "?")
	values, err := url.ParseQuery(query)
	if target := values.Get("return_to"); err == nil && target != "" {
		return template.URL(pathAccount + "?" + url.Values{"return_to": {target}}.Encode())
	}
	return template.URL(p.role.homePath())
}

// stepUpPage asks for a proof even if the session is fresh, because a front-end may require a
// newer proof than the pages.
func (p *accountPages) stepUpPage(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	v, err := p.stepUpView(r, who, r.URL.Query().Get("with") == withRecovery)
	if err != nil {
		return err
	}
	p.showProviderError(w, r, v)
	return p.show(w, http.StatusOK, v)
}

// stepUpForm makes the session fresh and redirects to the page that required the step-up. This page can belong to a
// front-end. The front-end gets a new access token with its next refresh.
func (p *accountPages) stepUpForm(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	// The pages discard the new access token, because they read the session from the store.
	_, _, err = p.factors.StepUp(r.Context(), who, factors.StepUpRequest{Proof: readProof(form),
		Password: watchword.Secret(form.Get("currentPassword")), Client: p.clientWithReturn(w, r)})
	// Another tab may have added the first factor after this page asked for the password. This request has read the
	// account again, so the page now shows the field for the code.
	if err != nil {
		v, failed := p.stepUpView(r, who, form.Has("recoveryCode"))
		if failed != nil {
			return failed
		}
		v.isPasskeyError = readCredential(form) != nil
		return p.showAgain(w, r, v.withValues("step-up", form), err)
	}
	// The redirect opens the page that required the step-up, which then continues the change. The account page is an
	// exception.
	target, own := cmp.Or(p.returnTo(r), p.role.homePath()), p.origins.publicURL+pathAccount
	if path, query, _ := strings.Cut(target, "?"); path == own {
		// The account page has lost the form of the change. Its notice asks the user to send the form again.
		values, err := url.ParseQuery(query)
		if err != nil {
			values = url.Values{}
		}
		values.Set("done", "confirmed")
		p.redirect(w, pathAccount, values)
		return nil
	}
	p.redirect(w, target, nil)
	return nil
}

// twoStepRoutes returns the pages of second factors. They exist only with Options.Factors, because a server without
// this option can't check a factor at the next sign-in.
func (p *accountPages) twoStepRoutes() []route {
	if p.factors == nil {
		return nil
	}
	// All pages require a signed-in user, except the second step and the enrolment of a waiting
	// sign-in.
	signedInRoute := func(method, path string, do identityHandler) route {
		return route{method: method, path: path, handle: p.requireSignIn(do)}
	}
	return append(p.passkeyRoutes(), []route{
		{method: "GET", path: pathFactor, handle: p.factorPage},
		{method: "POST", path: pathFactor, handle: p.factorForm},
		{method: "GET", path: pathEnrol, handle: p.beginEnrolPage},
		{method: "GET", path: pathEnrol + "/{id}", handle: p.enrolSetupPage},
		{method: "POST", path: pathEnrol + "/{id}", handle: p.enrolForm},
		signedInRoute("GET", pathStepUp, p.stepUpPage),
		signedInRoute("POST", pathStepUp, p.stepUpForm),
		signedInRoute("GET", pathAuthenticator, p.beginAuthenticatorPage),
		signedInRoute("GET", pathAuthenticator+"/{id}", p.authenticatorPage),
		signedInRoute("POST", pathAuthenticator+"/{id}", p.authenticatorForm),
		signedInRoute("GET", pathCodes, p.newCodesPage),
		signedInRoute("POST", pathCodes, p.newCodesForm),
		{method: "POST", path: pathFactors + "{id}/name", handle: p.renameFactorForm},
		signedInRoute("GET", pathFactors+"{id}/remove", p.removeFactorPage),
		signedInRoute("POST", pathFactors+"{id}/remove", p.removeFactorForm),
		signedInRoute("GET", pathDevices+"{id}/forget", p.forgetDevicePage),
		signedInRoute("POST", pathDevices+"{id}/forget", p.forgetDeviceForm),
	}...)
}

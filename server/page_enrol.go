package server

import (
	"html/template"
	"net/http"
	"net/url"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/respond"
)

// These pages add the first authenticator app or passkey to an account that must have a factor
// (second-factor=required). The sign-in page redirects here after the right password, but the user is not signed in
// yet. The first code from the app or the new passkey completes the sign-in. The handle of the waiting sign-in is in
// the step cookie, as for a second step.

// pathEnrol is followed by the id of the enrolment, so that a reload shows the same QR code.
const pathEnrol = pathLogin + "/setup"

// beginEnrolPage creates the secret and redirects to the page with its QR code (pathEnrol).
func (p *accountPages) beginEnrolPage(w http.ResponseWriter, r *http.Request) error {
	// If the user follows a link from another site, the browser omits the cookie, because it is SameSite=Strict. The
	// browser sends the cookie when the page loads again.
	if len(p.cookies.secondStep.Values(r)) == 0 && r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return p.showReload(w, r)
	}
	begun, err := p.factors.BeginRequired(r.Context(), watchword.Secret(p.cookies.secondStep.Value(r)),
		p.newView(r, "account").T("twostep.app"))
	if err != nil {
		return p.refuseEnrol(w, r, err)
	}
	p.redirect(w, pathEnrol+"/"+begun.ID, p.withReturnTo(r, url.Values{}))
	return nil
}

// refuseEnrol redirects to the sign-in if the waiting sign-in has ended. If the account has changed
// since the password was checked, it shows the sign-in page with the reason.
func (p *accountPages) refuseEnrol(w http.ResponseWriter, r *http.Request, err error) error {
	switch watchword.CodeOf(err) {
	case watchword.CodeChallengeInvalid:
		p.errors.logIfRefusal(w, r, err)
		p.restartSignIn(w, r)
		return nil
	case watchword.CodeAccountDisabled, watchword.CodeEmailNotVerified:
		p.cookies.secondStep.Clear(w)
		return p.showAgain(w, r, p.newSignView(r, "login"), err)
	}
	return err
}

// enrolView explains on the page with the QR code why the user has to add a factor.
func (p *accountPages) enrolView(r *http.Request) (*view, error) {
	handle := watchword.Secret(p.cookies.secondStep.Value(r))
	pending, err := p.factors.PendingRequired(r.Context(), handle, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	v, err := p.newEnrolmentView(r, pathEnrol, pending)
	if err != nil {
		return nil, err
	}
	data := v.Data.(authenticatorData)
	data.Cancel, data.Text = pathLogin, v.T("enrol.text")
	// The script fetches the options only when the button is pressed, because each fetch counts as an attempt of the
	// waiting sign-in. Viewing the page must not count as an attempt.
	if p.hasPasskeys() {
		path := pathEnrol + "/" + pending.ID + "/passkey"
		if data.Passkey = v.newPasskeyForm(path, "create", "enrol.passkey", factors.Ceremony{}); data.Passkey != nil {
			data.Passkey.From, v.sendsRequests = path+"/options", true
		}
	}
	v.Title, v.Data = v.T("enrol.title"), data
	return v, nil
}

// enrolSetupPage shows the QR code of the enrolment in the path. A reload does not count as an attempt of the waiting
// sign-in.
func (p *accountPages) enrolSetupPage(w http.ResponseWriter, r *http.Request) error {
	v, err := p.enrolView(r)
	if err != nil {
		return p.refuseEnrol(w, r, err)
	}
	return p.show(w, http.StatusOK, v)
}

// enrolForm adds the app and signs in. The response shows the recovery codes, with a link to the page that follows a
// sign-in.
func (p *accountPages) enrolForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	done, in, err := p.factors.ConfirmRequired(r.Context(), factors.RequiredRequest{
		Handle: watchword.Secret(p.cookies.secondStep.Value(r)), ID: r.PathValue("id"),
		Code: watchword.Secret(form.Get("totp")), Client: p.clients.readClient(w, r),
		Replaces: p.cookies.tokenToReplace(r, ""),
	})
	// After a wrong code, the page shows the same QR code, because the user's app already has
	// its secret.
	return p.respondEnrolment(w, r, form, enrolmentResult{done, in, err})
}

// An enrolmentResult has the first factor and the session of the waiting sign-in, or an error.
type enrolmentResult struct {
	confirmation factors.Confirmation
	signIn       *watchword.SignIn
	err          error
}

// respondEnrolment responds to both forms of the enrolment, for an app and for a passkey. It shows the recovery
// codes, or the page with an error.
func (p *accountPages) respondEnrolment(
	w http.ResponseWriter, r *http.Request, form url.Values, e enrolmentResult,
) error {
	if watchword.CodeOf(e.err) == watchword.CodeFactorWrong {
		v, gone := p.enrolView(r)
		if gone != nil {
			return p.refuseEnrol(w, r, gone)
		}
		v.isPasskeyError = readCredential(form) != nil
		return p.showAgain(w, r, v.withValues("authenticator", form), e.err)
	}
	if e.err != nil {
		return p.refuseEnrol(w, r, e.err)
	}
	p.cookies.secondStep.Clear(w)
	p.cookies.setPageSessionCookies(w, r, e.signIn)
	return p.showCodes(w, r, codesData{Codes: recoveryCodeTexts(e.confirmation.Codes), Email: e.signIn.User.Email,
		Next: template.URL(p.signInTarget(r))}, true)
}

// enrolPasskeyOptions begins the creation of a passkey for a waiting sign-in. The script of the page calls it when
// the button is pressed, because the page may stay open for longer than the options are valid. It requires the step
// cookie, so that another site can't use up a user's attempts.
func (p *accountPages) enrolPasskeyOptions(w http.ResponseWriter, r *http.Request) error {
	begun, err := p.factors.BeginRequiredPasskey(r.Context(), watchword.Secret(p.cookies.secondStep.Value(r)))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, newCeremonyAnswer(begun))
}

// enrolPasskeyForm adds the passkey that the browser has created and signs in. The id in the path belongs to the
// enrolment of the app. After an error, the page offers this enrolment again.
func (p *accountPages) enrolPasskeyForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	done, in, err := p.factors.ConfirmRequiredPasskey(r.Context(), factors.RequiredPasskey{
		Handle: watchword.Secret(p.cookies.secondStep.Value(r)), Client: p.clients.readClient(w, r),
		Replaces:   p.cookies.tokenToReplace(r, ""),
		NewPasskey: factors.NewPasskey{Ceremony: watchword.Secret(form.Get("ceremony")), Credential: readCredential(form)},
	})
	return p.respondEnrolment(w, r, form, enrolmentResult{done, in, err})
}

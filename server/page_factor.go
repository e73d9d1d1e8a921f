package server

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

// These pages are the second step of a sign-in. The pages that check a password redirect here if the account has a
// second factor. The handle of the challenge is in the step cookie, and return_to is in the query.

// The form for codes and the form for passkeys post to the same path, so the second step is one route in logs and
// metrics.
const (
	pathFactor = pathLogin + "/factor"
	// withRecovery is the value of the query parameter "with" that selects the form for a recovery code. The
	// parameter is in the URL, so that the page works without a script.
	withRecovery = "recovery"
)

// redirectToSecondStep handles the error of a sign-in whose password was right but that still needs a factor. It
// redirects to the second step or to the setup of the first factor. For any other error, it does nothing and returns
// false. Every page that signs in calls it.
func (p *pages) redirectToSecondStep(w http.ResponseWriter, r *http.Request, err error) bool {
	var refusal *watchword.Error
	if p.factors == nil || !errors.As(err, &refusal) || refusal.Challenge == nil {
		return false
	}
	p.errors.logRefusal(w, r, refusal)
	path := pathFactor
	if refusal.Code == watchword.CodeEnrolmentRequired {
		// The first factor must be added on the public listener. The response can't redirect to that listener,
		// because form-action of the Content-Security-Policy forbids it.
		if p.role.isAdminListener {
			if err := p.show(w, http.StatusForbidden, p.newView(r, "admin-factor")); err != nil {
				p.errors.respondError(w, r, err)
			}
			return true
		}
		path = pathEnrol
	}
	// The handle must not be in a URL, because URLs end up in histories and logs.
	p.cookies.secondStep.Set(w, string(refusal.Challenge.Handle), refusal.Challenge.ExpiresIn)
	p.redirect(w, path, p.withReturnTo(r, url.Values{}))
	return true
}

// proofData is the data of the pages that ask for a second factor. Operators' templates use its
// fields.
type proofData struct {
	Path     string            // target of the form
	Recovery bool              // the form asks for a recovery code
	Password bool              // the form asks for the password; only on the page of a step-up
	External bool              // the page asks to sign in with a provider again; only on the page of a step-up
	Other    string            // link to the form for a recovery code, or back from it; "": no link
	Email    watchword.Address // lets password managers find the account; only on the page of a step-up
	Cancel   template.URL      // target of the link that cancels a step-up
	NoApp    bool
	Passkey  *passkeyForm // nil: the account has no passkey that works here

	Remembers, Remember bool // the page has the checkbox to remember the browser; the box is checked
}

// newProofData is for a form that posts to path. If recovery is set, the form asks for a recovery code.
func (v *view) newProofData(path string, recovery bool) proofData {
	other := url.Values{}
	if v.ReturnTo != "" {
		other.Set("return_to", v.ReturnTo)
	}
	if !recovery {
		other.Set("with", withRecovery)
	}
	// The link leads to the form for a recovery code, or back from it. It keeps return_to.
	data := proofData{Path: path, Recovery: recovery, Other: path}
	if len(other) > 0 {
		data.Other += "?" + other.Encode()
	}
	return data
}

// withFactors adapts the form to the factors of the account. Without a usable passkey and without an app, the page
// can only ask for a recovery code.
func (d proofData) withFactors(hasApp bool, passkey *passkeyForm) proofData {
	// If the account has neither an app nor a usable passkey, the form for a recovery code is the only one. There is
	// then no link to another form.
	d.NoApp = !hasApp
	switch {
	case passkey != nil && !d.Recovery:
		passkey.Main, d.Passkey = d.NoApp, passkey
	case passkey == nil && d.NoApp:
		d.Recovery, d.Other = true, ""
	}
	return d
}

// factorView returns the page of the second step. The page has one field for codes, because a password manager could
// fill in the wrong one of two fields. If the challenge has ended, the page still has this field but no passkey, and
// the engine refuses the code.
func (p *pages) factorView(r *http.Request, recovery bool) (*view, error) {
	v := p.newView(r, "factor")
	data := v.newProofData(pathFactor, recovery)
	// Administration needs a recent proof of a factor, which a remembered browser does not give.
	data.Remembers = p.factors.RememberFor() > 0 && !p.role.isAdminListener
	v.Data = data
	// The code and the passkey have separate forms, so the button of the passkey does not send a
	// half-typed code.
	err := p.factors.Offer(r.Context(), &watchword.Error{Code: watchword.CodeSecondFactorRequired,
		Challenge: &watchword.ChallengeOffer{Handle: watchword.Secret(p.cookies.secondStep.Value(r))}})
	var refusal *watchword.Error
	if !errors.As(err, &refusal) {
		return nil, err
	}
	// Offer adds the factors of the challenge's account. The challenge exists only after the right password. The page
	// therefore reveals the kinds of factors only then, as the API does.
	if refusal.Challenge != nil {
		var passkey *passkeyForm
		if options := refusal.Challenge.Passkey; options != nil {
			passkey = v.newPasskeyForm(pathFactor, "get", "factor.passkey", factors.Ceremony{Options: options})
		}
		hasApp := slices.Contains(refusal.Challenge.Methods, string(factors.KindTOTP))
		data = data.withFactors(hasApp, passkey)
		// If the page has no form for codes, the form of the passkey contains the checkbox to remember the browser.
		// Otherwise the form for codes contains it, and the script of the passkey reads it there.
		if data.Remembers && data.NoApp && data.Passkey != nil {
			data.Passkey.RememberDevice = v.T("factor.remember")
		}
		v.Data = data
	}
	return v, nil
}

// factorPage redirects to the sign-in if the step cookie is missing, so a bookmark of this page works.
func (p *pages) factorPage(w http.ResponseWriter, r *http.Request) error {
	if len(p.cookies.secondStep.Values(r)) == 0 {
		// If the user followed a link from another site, the browser may have omitted the cookie. It sends the cookie
		// when the page loads again.
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
			return p.showReload(w, r)
		}
		p.restartSignIn(w, r)
		return nil
	}
	v, err := p.factorView(r, r.URL.Query().Get("with") == withRecovery)
	if err != nil {
		return err
	}
	return p.show(w, http.StatusOK, v)
}

// restartSignIn redirects to the sign-in page, which says that the second step has expired.
func (p *pages) restartSignIn(w http.ResponseWriter, r *http.Request) {
	p.cookies.secondStep.Clear(w)
	p.redirect(w, pathLogin, p.withReturnTo(r, url.Values{"why": {"step"}}))
}

// readProof keeps spaces and hyphens in a code, which package factors removes for the pages and the API.
func readProof(form url.Values) factors.Proof {
	return factors.Proof{TOTP: watchword.Secret(form.Get("totp")),
		RecoveryCode: watchword.Secret(form.Get("recoveryCode")), Passkey: readCredential(form)}
}

// factorForm shows an empty field after a wrong code, because the same code would be wrong again. After a rate limit,
// the page says so, and the step cookie stays for the next attempt. After the end of the challenge, the user starts
// again with the password, and the page says why.
func (p *pages) factorForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	in, err := p.factors.Login(r.Context(), factors.LoginRequest{
		Handle: watchword.Secret(p.cookies.secondStep.Value(r)), Proof: readProof(form), Client: p.clients.readClient(w, r),
		Remember: form.Get("rememberDevice") != "", Replaces: p.cookies.tokenToReplace(r, ""),
	})
	switch watchword.CodeOf(err) {
	case watchword.CodeChallengeInvalid:
		p.errors.logIfRefusal(w, r, err)
		p.restartSignIn(w, r)
		return nil
	// The account has changed after the check of the password. The user has to start again.
	case watchword.CodeAccountDisabled, watchword.CodeEmailNotVerified:
		p.cookies.secondStep.Clear(w)
		return p.showAgain(w, r, p.newSignView(r, "login"), err)
	}
	// The cookie stays, because the challenge allows more attempts. An attempt that a rate limit refuses does not
	// count.
	if err != nil {
		v, gone := p.factorView(r, form.Has("recoveryCode"))
		if gone != nil {
			return gone
		}
		data := v.Data.(proofData)
		data.Remember = form.Get("rememberDevice") != "" // after a wrong code, the checkbox keeps its state
		if data.Passkey != nil {
			data.Passkey.Remembered = data.Remember
		}
		v.Data, v.isPasskeyError = data, readCredential(form) != nil
		return p.showAgain(w, r, v.withValues("factor", form), err)
	}
	// The sign-in has used up the handle, so the cookie is deleted. Otherwise a later visit to this page would show
	// an error.
	p.cookies.secondStep.Clear(w)
	p.cookies.setPageSessionCookies(w, r, in)
	p.redirect(w, p.signInTarget(r), nil)
	return nil
}

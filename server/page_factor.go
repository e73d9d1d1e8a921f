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

// The second step of a sign-in. The pages that check a password redirect here if the account has a
// second factor. The handle of the challenge is in the step cookie, and return_to is in the query.

// Both forms post to the same path, so the second step is a single route in logs and metrics.
const (
	pathFactor = pathLogin + "/factor"
	// withRecovery is the value of the parameter "with" that selects the form for a recovery code.
	// It is in the URL, so that the page works without a script.
	withRecovery = "recovery"
)

// secondStep redirects to the second step if err is the challenge after a right password, and
// reports whether it did. Every page that signs in passes its error to secondStep.
func (p *pages) secondStep(w http.ResponseWriter, r *http.Request, err error) bool {
	var refusal *watchword.Error
	if p.factors == nil || !errors.As(err, &refusal) || refusal.Challenge == nil {
		return false
	}
	p.errors.logRefusal(w, r, refusal)
	path := pathFactor
	if refusal.Code == watchword.CodeEnrolmentRequired {
		// The first factor must be added on the public listener. A form can't redirect to that
		// listener (form-action).
		if p.side.isAdmin {
			if err := p.show(w, http.StatusForbidden, p.newView(r, "admin-factor")); err != nil {
				p.errors.fail(w, r, err)
			}
			return true
		}
		path = pathEnrol
	}
	// The handle must not be in a URL, because URLs end up in histories and logs.
	p.cookies.step.Set(w, string(refusal.Challenge.Handle), refusal.Challenge.ExpiresIn)
	p.redirect(w, path, p.withReturn(r, url.Values{}))
	return true
}

// proofData is the data of the pages that ask for a second factor. Operators' templates use its
// fields.
type proofData struct {
	Path     string            // of the form
	Recovery bool              // asks for a recovery code
	Password bool              // asks for the password; only on the page of a step-up
	External bool              // asks to sign in with a provider again; only on the page of a step-up
	Other    string            // the page with the other kind of code
	Email    watchword.Address // for password managers; only on the page of a step-up
	Cancel   template.URL      // leads away from a step-up
	NoApp    bool              // the account has no authenticator app
	Passkey  *passkeyForm      // nil: the account has no passkey that works here

	Remembers, Remember bool // whether the browser can be remembered, and whether the box is checked
}

// proofOf returns the data of a form at path. recovery selects the kind of code.
func (v *view) proofOf(path string, recovery bool) proofData {
	other := url.Values{}
	if v.ReturnTo != "" {
		other.Set("return_to", v.ReturnTo)
	}
	if !recovery {
		other.Set("with", withRecovery)
	}
	// The other form is a plain link, which keeps return_to.
	data := proofData{Path: path, Recovery: recovery, Other: path}
	if len(other) > 0 {
		data.Other += "?" + other.Encode()
	}
	return data
}

// withKinds returns the data for an account with certain factors. Without a usable passkey and without an app,
// only a recovery code is left.
func (d proofData) withKinds(hasApp bool, passkey *passkeyForm) proofData {
	// Without an app, the link to the other kind of code is omitted, because it would lead to the
	// same page.
	d.NoApp = !hasApp
	switch {
	case passkey != nil && !d.Recovery:
		passkey.Main, d.Passkey = d.NoApp, passkey
	case passkey == nil && d.NoApp:
		d.Recovery, d.Other = true, ""
	}
	return d
}

// factorView returns the page of the second step. It shows one field, because password managers could fill in the
// wrong one of two fields. If the challenge has ended, the page has no passkeys, and the engine refuses its form.
func (p *pages) factorView(r *http.Request, recovery bool) (*view, error) {
	v := p.newView(r, "factor")
	data := v.proofOf(pathFactor, recovery)
	// Administration needs a proof of the last hours, which a remembered browser does not have.
	data.Remembers = p.factors.RememberFor() > 0 && !p.side.isAdmin
	v.Data = data
	// The code and the passkey have separate forms, so the button of the passkey does not send a
	// half-typed code.
	err := p.factors.Offer(r.Context(), &watchword.Error{Code: watchword.CodeSecondFactorRequired,
		Challenge: &watchword.ChallengeOffer{Handle: watchword.Secret(p.cookies.step.Value(r))}})
	var refusal *watchword.Error
	if !errors.As(err, &refusal) {
		return nil, err
	}
	// Offer adds the factors of the challenge's account. The challenge exists only after the right
	// password, so the page reveals their kinds only then, as the API does.
	if refusal.Challenge != nil {
		var passkey *passkeyForm
		if options := refusal.Challenge.Passkey; options != nil {
			passkey = v.passkeyForm(pathFactor, "get", "factor.passkey", factors.Ceremony{Options: options})
		}
		hasApp := slices.Contains(refusal.Challenge.Methods, string(factors.KindTOTP))
		data = data.withKinds(hasApp, passkey)
		// If the page has no form for codes, the checkbox is in the form of the passkey. Otherwise the
		// script reads the checkbox in the form for codes.
		if data.Remembers && data.NoApp && data.Passkey != nil {
			data.Passkey.RememberDevice = v.T("factor.remember")
		}
		v.Data = data
	}
	return v, nil
}

// factorPage shows the field for the code. Without a step cookie it redirects to the sign-in, so a
// bookmark of this page works.
func (p *pages) factorPage(w http.ResponseWriter, r *http.Request) error {
	if len(p.cookies.step.Values(r)) == 0 {
		// After a link from another site, the browser may have omitted the cookie. The reload
		// sends it.
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
			return p.reload(w, r)
		}
		p.startAgain(w, r)
		return nil
	}
	v, err := p.factorView(r, r.URL.Query().Get("with") == withRecovery)
	if err != nil {
		return err
	}
	return p.show(w, http.StatusOK, v)
}

// startAgain redirects to the sign-in, which says that the step has ended.
func (p *pages) startAgain(w http.ResponseWriter, r *http.Request) {
	p.cookies.step.Clear(w)
	p.redirect(w, pathLogin, p.withReturn(r, url.Values{"why": {"step"}}))
}

// proofIn returns the second factor in a form. It keeps spaces and hyphens, which package factors removes for
// the pages and the API.
func proofIn(form url.Values) factors.Proof {
	return factors.Proof{TOTP: watchword.Secret(form.Get("totp")),
		RecoveryCode: watchword.Secret(form.Get("recoveryCode")), Passkey: passkeyIn(form)}
}

// factorForm completes the sign-in. After a wrong code, it shows an empty field, because a wrong code can't become
// right. After a rate limit, the page says so, and the step cookie stays for the next attempt. After the end of the
// challenge, the user starts again with the password, and the page says why.
func (p *pages) factorForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	in, err := p.factors.Login(r.Context(), factors.LoginRequest{
		Handle: watchword.Secret(p.cookies.step.Value(r)), Proof: proofIn(form), Client: p.clients.of(w, r),
		Remember: form.Get("rememberDevice") != "", Replaces: p.cookies.replaced(r, ""),
	})
	switch watchword.CodeOf(err) {
	case watchword.CodeChallengeInvalid:
		p.errors.logRefused(w, r, err)
		p.startAgain(w, r)
		return nil
	// The account has changed since the password was checked. The user has to start again.
	case watchword.CodeAccountDisabled, watchword.CodeEmailNotVerified:
		p.cookies.step.Clear(w)
		return p.refill(w, r, p.signView(r, "login"), err)
	}
	// The cookie stays, because the challenge has more attempts. A rate limit refuses before it counts
	// an attempt.
	if err != nil {
		v, gone := p.factorView(r, form.Has("recoveryCode"))
		if gone != nil {
			return gone
		}
		data := v.Data.(proofData)
		data.Remember = form.Get("rememberDevice") != "" // a wrong code keeps the choice
		// A refused passkey keeps the choice, too.
		if data.Passkey != nil {
			data.Passkey.Remembered = data.Remember
		}
		v.Data, v.byPasskey = data, passkeyIn(form) != nil
		return p.refill(w, r, v.filled("factor", form), err)
	}
	// The handle was used. Without the cookie, a later visit does not show a misleading error.
	p.cookies.step.Clear(w)
	p.cookies.setSession(w, r, in)
	p.redirect(w, p.afterSignIn(r), nil)
	return nil
}

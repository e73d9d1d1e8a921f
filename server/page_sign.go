package server

import (
	"cmp"
	"net/http"
	"time"

	"github.com/watchword-auth/watchword"
)

// These pages sign in, sign up, sign out and request a password reset. They make the same engine calls as the API.

func (p *pages) loginPage(w http.ResponseWriter, r *http.Request) error {
	return p.showSignPage(w, r, "login")
}

// signupPage shows the form to sign up, or a message that sign-up is closed.
func (p *pages) signupPage(w http.ResponseWriter, r *http.Request) error {
	if mode, _ := p.engine.Inside().Signup(); mode == watchword.SignupClosed {
		return p.showClosed(w, r)
	}
	return p.showSignPage(w, r, "signup")
}

// showSignPage redirects a user who is already signed in. It shows the form to a signed-in user only after a failed
// attempt at a provider.
func (p *pages) showSignPage(w http.ResponseWriter, r *http.Request, page string) error {
	if p.isCrossSiteVisit(r) {
		return p.showReload(w, r)
	}
	who, err := p.identifyVisitor(w, r)
	if err != nil {
		return err
	}
	// A reason from this request takes precedence over a notice. Only known reasons have a text, so a link can't make
	// the page show other words.
	why := cmp.Or(who.reason, p.takeNotice(w, r, "why"))
	if why == "mailed" {
		return p.showMailed(w, r)
	}
	if who.signedIn && why != "provider" {
		p.redirect(w, p.signInTarget(r), nil)
		return nil
	}
	v := p.newSignView(r, page)
	switch why {
	case "ended", "reused", "step":
		v.Problem = v.T("why." + why)
	case "provider":
		v.Problem = v.providerErrorText(r, v.offeredProviders)
		p.prefillLinkAddress(r, v)
		data := v.Data.(loginData)
		data.SignedIn = who.User.Email
		v.Data = data
	case "out", "deleted":
		v.Notice = v.T("why." + why)
	}
	return p.show(w, http.StatusOK, v)
}

// loginData is the data of the forms to sign in and up. ReturnTo is for operators' templates that were written for
// earlier releases.
type loginData struct {
	ReturnTo string
	Passkey  *passkeyForm      // nil: passkeys are off, or the page is not the sign-in
	SignedIn watchword.Address // user whose session continues after a failed attempt at a provider; "": no session
}

// newSignView adds a passkey form to the sign-in page. Its script makes the browser suggest passkeys in the field for
// the address.
func (p *pages) newSignView(r *http.Request, page string) *view {
	v := p.newView(r, page)
	data := loginData{ReturnTo: v.ReturnTo}
	if page == "login" {
		data.Passkey = p.signInPasskeyForm(v)
	}
	v.Data = data
	return v
}

// loginForm redirects to return_to. After an error it shows the form again, with the address but without the
// password.
func (p *pages) loginForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	in, err := p.engine.Login(r.Context(), watchword.LoginRequest{
		Email: form.Get("email"), Password: watchword.Secret(form.Get("password")),
		Persistent: form.Get("remember") != "", Client: p.clients.readClient(w, r),
		Replaces: p.cookies.tokenToReplace(r, ""),
	})
	if p.redirectToSecondStep(w, r, err) {
		return nil
	}
	if err != nil {
		return p.showAgain(w, r, p.newSignView(r, "login").withValues("login", form), err)
	}
	p.cookies.setPageSessionCookies(w, r, in)
	p.redirect(w, p.signInTarget(r), nil)
	return nil
}

// signupForm shows the same message for new and existing addresses if signup=verified.
func (p *pages) signupForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	in, err := p.engine.SignUp(r.Context(), watchword.SignUpRequest{
		Email: form.Get("email"), Password: watchword.Secret(form.Get("password")),
		Name: form.Get("name"), Persistent: true, Client: p.clientWithReturn(w, r),
		Replaces: p.cookies.tokenToReplace(r, ""),
	})
	if watchword.CodeOf(err) == watchword.CodeSignupClosed {
		p.errors.logIfRefusal(w, r, err)
		return p.showClosed(w, r)
	}
	if p.redirectToSecondStep(w, r, err) {
		return nil
	}
	if err != nil {
		return p.showAgain(w, r, p.newSignView(r, "signup").withValues("signup", form), err)
	}
	// With signup=verified, the account exists only after the user has opened the mailed link.
	if in == nil {
		return p.showMailed(w, r)
	}
	p.cookies.setPageSessionCookies(w, r, in)
	p.redirect(w, p.signInTarget(r), nil)
	return nil
}

// showMailed is the same whether or not the address has an account, so that it does not reveal who has one.
func (p *pages) showMailed(w http.ResponseWriter, r *http.Request) error {
	return p.showMessage(w, r, messagePage{Title: "signup.sent.title", Text: "signup.sent.text", Mailed: true})
}

// showClosed says that sign-up is closed. It shows no form, because the server would refuse it. The response has the
// same status as that of the API, and not 404, so that a user who followed an old link reads the reason.
func (p *pages) showClosed(w http.ResponseWriter, r *http.Request) error {
	v := p.newView(r, "message")
	v.Title = v.T("signup.title")
	v.Data = messagePage{Title: v.Title, Text: v.T("error." + string(watchword.CodeSignupClosed))}
	return p.show(w, statusOf(watchword.CodeSignupClosed), v)
}

// messagePage is the data of a page that only shows a message. It is used where a redirect would lose the message or
// reveal it in the URL.
type messagePage struct {
	Title, Text string    // keys of texts; the template gets the texts themselves
	Undo        time.Time // until when the previous address can undo the change; zero: never
	SignedIn    bool      // the page links to the account instead of the sign-in
	SignInNext  bool      // the next step is to sign in, not to return to the front-end
	Mailed      bool      // the reader gets a mail with the next step
	Again       string    // path of the form that sends the mail again, or ""
}

// String returns the text, for older templates that print the data itself.
func (m messagePage) String() string { return m.Text }

// showText shows the message page with the texts key.title and key.text.
func (p *pages) showText(w http.ResponseWriter, r *http.Request, key string) error {
	return p.showMessage(w, r, messagePage{Title: key + ".title", Text: key + ".text"})
}

// showMessage replaces the keys Title and Text of m by the texts in the language of the reader.
func (p *pages) showMessage(w http.ResponseWriter, r *http.Request, m messagePage) error {
	v := p.newView(r, "message")
	m.Title, m.Text = v.T(m.Title), v.T(m.Text)
	v.Title, v.Data = m.Title, m
	return p.show(w, http.StatusOK, v)
}

// logoutForm ends the session of each refresh cookie and the session of the page cookie. It also works with the page
// cookie alone, because the refresh cookie may have been deleted or replaced in another tab. It accepts a request
// without a body, because the button of the account page sends none.
func (p *pages) logoutForm(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength != 0 {
		if _, err := readForm(w, r); err != nil {
			return err
		}
	}
	token, _, err := p.cookies.readRefreshToken(r, "")
	if err != nil {
		return err
	}
	var access watchword.Secret
	if cookies := p.cookies.pageToken.Values(r); len(cookies) == 1 {
		access = watchword.Secret(cookies[0])
	}
	client := p.clients.readClient(w, r)
	if err := p.engine.Logout(r.Context(), token, access, client); err != nil {
		return err
	}
	if err := p.cookies.endUnusedSession(p.engine, r, client); err != nil {
		return err
	}
	if target := p.returnTo(r); target != "" {
		p.cookies.clearSessionCookies(w)
		w.Header().Set("Clear-Site-Data", `"cache"`)
		p.redirect(w, target, nil)
		return nil
	}
	p.redirectSignedOut(w, r, "out")
	return nil
}

// logoutPage shows a button that signs out. Opening the page does not sign out, because any site can link to it.
// Without a session, the page says that the browser is signed out.
func (p *pages) logoutPage(w http.ResponseWriter, r *http.Request) error {
	if p.isCrossSiteVisit(r) {
		return p.showReload(w, r)
	}
	if !p.cookies.hasSessionCookie(r) {
		return p.showMessage(w, r, messagePage{Title: "logout.done", Text: "why.out"})
	}
	signedIn, err := p.signedInAddress(r)
	if err != nil {
		return err
	}
	v := p.newView(r, "logout")
	v.Data = signedIn
	return p.show(w, http.StatusOK, v)
}

// forgotPage asks for an address. It can't fill in the address from the login page, because a URL must not contain an
// address.
func (p *pages) forgotPage(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, http.StatusOK, p.newView(r, "forgot"))
}

// forgotForm shows the same message whether or not the account exists.
func (p *pages) forgotForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	if err := p.engine.ForgotPassword(r.Context(), form.Get("email"), "", p.clientWithReturn(w, r)); err != nil {
		return p.showAgain(w, r, p.newView(r, "forgot").withValues("forgot", form), err)
	}
	return p.showMessage(w, r, messagePage{
		Title: "forgot.sent.title", Text: "forgot.sent.text", Mailed: true, Again: pathForgot})
}

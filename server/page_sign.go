package server

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"github.com/watchword-auth/watchword"
)

// The pages to sign in, sign up, sign out and request a password reset. They make the same engine
// calls as the API.

// loginPage shows the form to sign in.
func (p *pages) loginPage(w http.ResponseWriter, r *http.Request) error {
	return p.signPage(w, r, "login")
}

// signupPage shows the form even if signup is closed. The form then says so, which a 404 would
// not.
func (p *pages) signupPage(w http.ResponseWriter, r *http.Request) error {
	return p.signPage(w, r, "signup")
}

// signPage shows the form to sign in or up. A user who is already signed in is redirected.
func (p *pages) signPage(w http.ResponseWriter, r *http.Request, page string) error {
	if p.isCrossSiteVisit(r) {
		return p.reload(w, r)
	}
	query := r.URL.Query()
	who, err := p.visitor(w, r)
	if err != nil {
		return err
	}
	if who.signedIn {
		p.redirect(w, p.returnTo(query.Get("return_to")), nil)
		return nil
	}
	v := p.signView(r, page, query)
	// A reason of this request wins over a notice. The values are compared one by one, so the URL
	// can't make the page show another text.
	switch why := cmp.Or(who.why, p.flash(w, r, "why")); why {
	case "ended", "reused":
		v.Problem = v.T("why." + why)
	case "out", "deleted":
		v.Notice = v.T("why." + why)
	}
	return p.show(w, http.StatusOK, v)
}

// signView passes return_to on to the form, if it is an allowed target. The form sends it as a
// hidden field. loginForm checks it again, because a client can change it.
func (p *pages) signView(r *http.Request, page string, values url.Values) *view {
	v := p.newView(r, page)
	target := values.Get("return_to")
	if p.returnTo(target) != target {
		target = ""
	}
	v.Data = map[string]string{"ReturnTo": target}
	return v
}

// loginForm signs in and redirects to return_to. After an error it shows the form again with the
// address, and without the password.
func (p *pages) loginForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	in, err := p.engine.Login(r.Context(), watchword.LoginRequest{
		Email: form.Get("email"), Password: watchword.Secret(form.Get("password")),
		Persistent: form.Get("remember") != "", Client: p.clients.of(w, r),
		Replaces: p.cookies.replaced(r, ""),
	})
	if err != nil {
		return p.refill(w, r, p.signView(r, "login", form).filled("login", form), err)
	}
	p.cookies.setSession(w, r, in)
	p.redirect(w, p.returnTo(form.Get("return_to")), nil)
	return nil
}

// signupForm creates an account. With signup=verified it shows the same message for new and existing
// addresses.
func (p *pages) signupForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	in, err := p.engine.SignUp(r.Context(), watchword.SignUpRequest{
		Email: form.Get("email"), Password: watchword.Secret(form.Get("password")),
		Name: form.Get("name"), Client: p.clients.of(w, r),
		Replaces: p.cookies.replaced(r, ""),
	})
	if err != nil {
		return p.refill(w, r, p.signView(r, "signup", form).filled("signup", form), err)
	}
	if in == nil {
		return p.showText(w, r, "signup.sent")
	}
	p.cookies.setSession(w, r, in)
	p.redirect(w, p.returnTo(form.Get("return_to")), nil)
	return nil
}

// messagePage is the data of a page that only shows a message. String returns the text, for
// templates of operators that print the data as a whole. A page of its own is needed where a
// redirect would lose the message or reveal it in the URL.
type messagePage struct {
	Title, Text string    // keys of texts; in the template, the texts
	Undo        time.Time // until when the previous address can take the account back; zero: it can't
	SignedIn    bool      // the page links to the account instead of the sign-in
}

// String keeps older templates working, which print the data itself.
func (m messagePage) String() string { return m.Text }

// showText shows the message page with the texts key.title and key.text.
func (p *pages) showText(w http.ResponseWriter, r *http.Request, key string) error {
	return p.showMessage(w, r, messagePage{Title: key + ".title", Text: key + ".text"})
}

// showMessage shows the message page in the reader's language.
func (p *pages) showMessage(w http.ResponseWriter, r *http.Request, m messagePage) error {
	v := p.newView(r, "message")
	m.Title, m.Text = v.T(m.Title), v.T(m.Text)
	v.Title, v.Data = m.Title, m
	return p.show(w, http.StatusOK, v)
}

// logoutForm ends the sessions of all cookies. The page cookie alone is enough. The refresh
// cookie may have been deleted or replaced in another tab.
func (p *pages) logoutForm(w http.ResponseWriter, r *http.Request) error {
	token, _, err := p.cookies.refreshToken(r, "")
	if err != nil {
		return err
	}
	var access watchword.Secret
	if cookies := p.cookies.page.Values(r); len(cookies) == 1 {
		access = watchword.Secret(cookies[0])
	}
	client := p.clients.of(w, r)
	if err := p.engine.Logout(r.Context(), token, access, client); err != nil {
		return err
	}
	if err := p.cookies.endOthers(p.engine, r, client); err != nil {
		return err
	}
	p.redirectSignedOut(w, "out")
	return nil
}

// forgotPage asks for an address. It does not fill one in: the URL would hold it otherwise.
func (p *pages) forgotPage(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, http.StatusOK, p.newView(r, "forgot"))
}

// forgotForm shows the same message whether or not the account exists.
func (p *pages) forgotForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	if err := p.engine.ForgotPassword(r.Context(), form.Get("email"), p.clients.of(w, r)); err != nil {
		return p.refill(w, r, p.newView(r, "forgot").filled("forgot", form), err)
	}
	return p.showText(w, r, "forgot.sent")
}

package server

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"github.com/watchword-auth/watchword"
)

// Signing in, up and out, and a forgotten password, on pages. They do what the API
// does, by the same calls.

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) error {
	return s.signPage(w, r, "login")
}

func (s *Server) signupPage(w http.ResponseWriter, r *http.Request) error {
	return s.signPage(w, r, "signup")
}

// signPage shows a form to sign in or up, unless that is done already.
func (s *Server) signPage(w http.ResponseWriter, r *http.Request, page string) error {
	if s.comesFromElsewhere(r) {
		return s.comeAgain(w, r)
	}
	query := r.URL.Query()
	who, err := s.visitor(w, r)
	if err != nil {
		return err
	}
	if who.signedIn {
		s.redirect(w, s.returnTo(query.Get("return_to")), nil)
		return nil
	}
	v := s.signView(r, page, query)
	switch why := cmp.Or(who.why, s.flash(w, r, "why")); why {
	case "ended", "reused":
		v.Problem = v.T("why." + why)
	case "out", "deleted":
		v.Notice = v.T("why." + why)
	}
	return s.show(w, http.StatusOK, v)
}

// signView carries on where to go afterwards, if that is a place to go to.
func (s *Server) signView(r *http.Request, page string, values url.Values) *view {
	v := s.newView(r, page)
	target := values.Get("return_to")
	if s.returnTo(target) != target {
		target = ""
	}
	v.Data = map[string]string{"ReturnTo": target}
	return v
}

func (s *Server) loginForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	in, err := s.engine.Login(r.Context(), watchword.LoginRequest{
		Email: form.Get("email"), Password: watchword.Secret(form.Get("password")),
		Persistent: form.Get("remember") != "", Client: s.clientOf(w, r),
		Replaces: s.replacedToken(r, ""),
	})
	if err != nil {
		return s.refill(w, r, s.signView(r, "login", form).filled("login", form), err)
	}
	s.enter(w, r, in)
	s.redirect(w, s.returnTo(form.Get("return_to")), nil)
	return nil
}

func (s *Server) signupForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	in, err := s.engine.SignUp(r.Context(), watchword.SignUpRequest{
		Email: form.Get("email"), Password: watchword.Secret(form.Get("password")), Name: form.Get("name"), Client: s.clientOf(w, r),
		Replaces: s.replacedToken(r, ""),
	})
	if err != nil {
		return s.refill(w, r, s.signView(r, "signup", form).filled("signup", form), err)
	}
	if in == nil {
		return s.tell(w, r, "signup.sent")
	}
	s.enter(w, r, in)
	s.redirect(w, s.returnTo(form.Get("return_to")), nil)
	return nil
}

// told is a page that only says something. Printed, it is its text, for templates
// of operators that know nothing more.
type told struct {
	Title, Text string    // keys of texts; for the template: texts
	Undo        time.Time // until when a previous address can take the account back
	SignedIn    bool      // leads to the account
}

func (t told) String() string { return t.Text }

// tell shows what the texts of one name say.
func (s *Server) tell(w http.ResponseWriter, r *http.Request, what string) error {
	return s.showTold(w, r, told{Title: what + ".title", Text: what + ".text"})
}

func (s *Server) showTold(w http.ResponseWriter, r *http.Request, t told) error {
	v := s.newView(r, "told")
	t.Title, t.Text = v.T(t.Title), v.T(t.Text)
	v.Title, v.Data = t.Title, t
	return s.show(w, http.StatusOK, v)
}

func (s *Server) logoutForm(w http.ResponseWriter, r *http.Request) error {
	token, _, err := s.refreshToken(r, "")
	if err != nil {
		return err
	}
	var access watchword.Secret
	if cookies := s.pageCookie().Values(r); len(cookies) == 1 {
		access = watchword.Secret(cookies[0])
	}
	if err := s.engine.Logout(r.Context(), token, access, s.clientOf(w, r)); err != nil {
		return err
	}
	s.goodbye(w, "out")
	return nil
}

func (s *Server) forgotPage(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, http.StatusOK, s.newView(r, "forgot"))
}

func (s *Server) forgotForm(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	if err := s.engine.ForgotPassword(r.Context(), form.Get("email"), s.clientOf(w, r)); err != nil {
		return s.refill(w, r, s.newView(r, "forgot").filled("forgot", form), err)
	}
	return s.tell(w, r, "forgot.sent")
}

package server

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
)

// The pages that mails lead to. The token is in the fragment of the link, which no
// browser sends: a script moves it into the form, and without one it is pasted
// there. A visit alone consumes nothing, because mail scanners visit every link.
//
// The pages that prove an address ask for a password unless the browser has a
// session. A link from a mail is a cross-site navigation, to which browsers add no
// SameSite=Strict cookie: the script then asks for the page again, from here, with
// the cookies. Without the script such a page asks for the password.

// A linkPage is the page of one kind of mail.
type linkPage struct {
	path, name string
	kind       watchword.MailKind // of the token, where "This wasn't me" is offered
	Password   string             // autocomplete of the password that it asks for; "": none
	consume    func(*Server, http.ResponseWriter, *http.Request, linkInput) error
}

// linkInput is what the form of a link sends.
type linkInput struct {
	form      url.Values
	token     watchword.Secret
	password  watchword.Secret
	presented []watchword.Secret
	client    watchword.Client
}

// The values of the field "action": other buttons of the form.
const (
	actionChoose = "choose" // I don't know the password
	actionDisown = "disown" // this wasn't me
)

var linkPages = []linkPage{
	{path: "/verify", name: "verify", kind: watchword.MailVerify, Password: "current-password",
		consume: (*Server).verifyLink},
	{path: "/reset", name: "reset", Password: "new-password", consume: (*Server).resetLink},
	{path: "/email/confirm", name: "email-confirm", kind: watchword.MailConfirmAddress, Password: "current-password",
		consume: (*Server).confirmLink},
	{path: "/email/undo", name: "email-undo", consume: (*Server).undoLink},
}

// linkData is what the template of the pages shows.
type linkData struct {
	Name, Path string
	Text       string    // key of the text
	Button     string    // key of the text
	Password   string    // autocomplete; "": no password is asked for
	Undo       time.Time // until when the previous address could take the account back; zero: says nothing
	Disown     bool      // offers "This wasn't me"
	Choose     bool      // offers "I don't know the password", and to stay signed in
	Chosen     bool      // the new password takes the place of an unknown one
	Again      bool      // a script asks again, with cookies
	SignedIn   watchword.Address
}

// linkView is the page for somebody who is signed in, or is not.
func (s *Server) linkView(r *http.Request, p linkPage, signedIn watchword.Address) *view {
	v := s.newView(r, "link")
	data := linkData{Name: p.name, Path: p.path, Text: p.name + ".text", Button: p.name + ".button",
		Password: p.Password, Disown: p.kind != "", SignedIn: signedIn}
	title := p.name + ".title"
	if p.Password == "current-password" && signedIn != "" {
		data.Password = ""
	}
	switch p.kind {
	case watchword.MailVerify:
		data.Choose = data.Password != ""
		if data.Choose {
			title, data.Text, data.Button = "verify.password.title", "verify.password.text", "verify.password.button"
		}
	case watchword.MailConfirmAddress:
		data.Undo = time.Now().Add(watchword.UndoLife)
	}
	v.Title, v.Data = v.T(title), data
	return v
}

func (s *Server) linkPage(p linkPage) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		signedIn, err := s.signedInAs(r)
		if err != nil {
			return err
		}
		v := s.linkView(r, p, signedIn)
		data := v.Data.(linkData)
		data.Again = p.Password == "current-password" && s.comesFromElsewhere(r)
		v.Data = data
		return s.show(w, http.StatusOK, v)
	}
}

// signedInAs is whose session the browser has: the first one, "" for none. It is read,
// and not rotated.
func (s *Server) signedInAs(r *http.Request) (watchword.Address, error) {
	live, err := s.engine.LiveSessions(r.Context(), s.presentedToPage(r))
	if err != nil || len(live) == 0 {
		return "", err
	}
	return live[0].User.Email, nil
}

// presentedToPage lists what a browser shows of a session to a page.
func (s *Server) presentedToPage(r *http.Request) []watchword.Secret {
	tokens := s.presented(r)
	if cookies := s.pageCookie().Values(r); len(cookies) == 1 {
		tokens = append(tokens, watchword.Secret(cookies[0]))
	}
	return tokens
}

func (s *Server) linkForm(p linkPage) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		form, err := readForm(w, r)
		if err != nil {
			return err
		}
		in := linkInput{form: form, token: tokenOf(form.Get("token")), password: watchword.Secret(form.Get("password")),
			presented: s.presentedToPage(r), client: s.clientOf(w, r)}
		form.Set("token", string(in.token))
		switch form.Get("action") {
		case actionChoose:
			return s.choosePassword(w, r, form)
		case actionDisown:
			if p.kind != "" {
				return s.disownLink(w, r, p, in)
			}
		}
		if err := p.consume(s, w, r, in); err != nil {
			return s.refuseLink(w, r, p, in, err)
		}
		return nil
	}
}

// refuseLink shows the form again. If it was refused because of the password, it asks
// for one, signed in or not: the session is of another account.
func (s *Server) refuseLink(w http.ResponseWriter, r *http.Request, p linkPage, in linkInput, why error) error {
	if watchword.CodeOf(why) == watchword.CodeMailTokenInvalid {
		in.form.Del("token") // the field is there for another one
	}
	signedIn, err := s.signedInAs(r)
	if err != nil {
		return err
	}
	if in.password != "" || watchword.CodeOf(why) == watchword.CodePasswordRequired {
		signedIn = ""
	}
	v := s.linkView(r, p, signedIn).filled("link", in.form)
	if in.form.Get("chosen") != "" {
		s.chosenView(v)
	}
	return s.refill(w, r, v, why)
}

// choosePassword shows the page of a reset with the token of a verification link.
// It consumes nothing.
func (s *Server) choosePassword(w http.ResponseWriter, r *http.Request, form url.Values) error {
	v := s.linkView(r, linkPages[1], "").filled("link", form)
	s.chosenView(v)
	return s.show(w, http.StatusOK, v)
}

func (s *Server) chosenView(v *view) {
	data := v.Data.(linkData)
	data.Text, data.Chosen = "verify.choose.text", true
	v.Data = data
}

func (s *Server) disownLink(w http.ResponseWriter, r *http.Request, p linkPage, in linkInput) error {
	if err := s.engine.DisownLink(r.Context(), p.kind, in.token, in.client); err != nil {
		return s.refuseLink(w, r, p, in, err)
	}
	return s.tell(w, r, p.name+".disowned")
}

func (s *Server) verifyLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	session, err := s.engine.VerifyEmail(r.Context(), watchword.VerifyRequest{
		Token: in.token, Presented: in.presented, Password: in.password,
		Persistent: in.form.Get("remember") != "", Client: in.client,
		Replaces: s.replacedToken(r, ""),
	})
	if err != nil {
		return err
	}
	if session == nil {
		return s.showTold(w, r, told{Title: "verify.title", Text: "verify.done", SignedIn: true})
	}
	s.enter(w, r, session)
	s.redirect(w, pathAccount, url.Values{"done": {"verified"}})
	return nil
}

func (s *Server) resetLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	device, err := s.engine.ResetPassword(r.Context(), in.token, in.password, in.client)
	if err != nil {
		return err
	}
	s.rememberDevice(w, r, device)
	if in.form.Get("chosen") != "" {
		return s.showTold(w, r, told{Title: "reset.title", Text: "verify.chosen"})
	}
	return s.showTold(w, r, told{Title: "reset.title", Text: "reset.done"})
}

func (s *Server) confirmLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	until, err := s.engine.ConfirmEmail(r.Context(), watchword.ConfirmRequest{
		Token: in.token, Presented: in.presented, Password: in.password, Client: in.client,
	})
	if err != nil {
		return err
	}
	return s.showTold(w, r, told{Title: "email-confirm.title", Text: "email-confirm.done", Undo: until})
}

func (s *Server) undoLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	if err := s.engine.UndoEmail(r.Context(), in.token, in.client); err != nil {
		return err
	}
	return s.showTold(w, r, told{Title: "email-undo.title", Text: "email-undo.done"})
}

// tokenOf is the token in what was pasted: itself, or the link around it.
func tokenOf(pasted string) watchword.Secret {
	if _, after, found := strings.Cut(pasted, "token="); found {
		pasted, _, _ = strings.Cut(after, "&")
	}
	return watchword.Secret(strings.TrimSpace(pasted))
}

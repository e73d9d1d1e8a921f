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
	consume    func(*pages, http.ResponseWriter, *http.Request, linkInput) error
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
		consume: (*pages).verifyLink},
	{path: "/reset", name: "reset", Password: "new-password", consume: (*pages).resetLink},
	{path: "/email/confirm", name: "email-confirm", kind: watchword.MailConfirmAddress, Password: "current-password",
		consume: (*pages).confirmLink},
	{path: "/email/undo", name: "email-undo", consume: (*pages).undoLink},
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
func (p *pages) linkView(r *http.Request, link linkPage, signedIn watchword.Address) *view {
	v := p.newView(r, "link")
	data := linkData{Name: link.name, Path: link.path, Text: link.name + ".text", Button: link.name + ".button",
		Password: link.Password, Disown: link.kind != "", SignedIn: signedIn}
	title := link.name + ".title"
	if link.Password == "current-password" && signedIn != "" {
		data.Password = ""
	}
	switch link.kind {
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

func (p *pages) linkPage(link linkPage) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		signedIn, err := p.signedInAs(r)
		if err != nil {
			return err
		}
		v := p.linkView(r, link, signedIn)
		data := v.Data.(linkData)
		data.Again = link.Password == "current-password" && p.isCrossSiteVisit(r)
		v.Data = data
		return p.show(w, http.StatusOK, v)
	}
}

// signedInAs is whose session the browser has: the first one, "" for none. It is read,
// and not rotated.
func (p *pages) signedInAs(r *http.Request) (watchword.Address, error) {
	live, err := p.engine.LiveSessions(r.Context(), p.cookies.presentedToPage(r))
	if err != nil || len(live) == 0 {
		return "", err
	}
	return live[0].User.Email, nil
}

func (p *pages) linkForm(link linkPage) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		form, err := readForm(w, r)
		if err != nil {
			return err
		}
		in := linkInput{form: form, token: tokenOf(form.Get("token")), password: watchword.Secret(form.Get("password")),
			presented: p.cookies.presentedToPage(r), client: p.clients.of(w, r)}
		form.Set("token", string(in.token))
		switch form.Get("action") {
		case actionChoose:
			return p.choosePassword(w, r, form)
		case actionDisown:
			if link.kind != "" {
				return p.disownLink(w, r, link, in)
			}
		}
		if err := link.consume(p, w, r, in); err != nil {
			return p.refuseLink(w, r, link, in, err)
		}
		return nil
	}
}

// refuseLink shows the form again. If it was refused because of the password, it asks
// for one, signed in or not: the session is of another account.
func (p *pages) refuseLink(w http.ResponseWriter, r *http.Request, link linkPage, in linkInput, why error) error {
	if watchword.CodeOf(why) == watchword.CodeMailTokenInvalid {
		in.form.Del("token") // the field is there for another one
	}
	signedIn, err := p.signedInAs(r)
	if err != nil {
		return err
	}
	if in.password != "" || watchword.CodeOf(why) == watchword.CodePasswordRequired {
		signedIn = ""
	}
	v := p.linkView(r, link, signedIn).filled("link", in.form)
	if in.form.Get("chosen") != "" {
		p.chosenView(v)
	}
	return p.refill(w, r, v, why)
}

// choosePassword shows the page of a reset with the token of a verification link.
// It consumes nothing.
func (p *pages) choosePassword(w http.ResponseWriter, r *http.Request, form url.Values) error {
	v := p.linkView(r, linkPages[1], "").filled("link", form)
	p.chosenView(v)
	return p.show(w, http.StatusOK, v)
}

func (p *pages) chosenView(v *view) {
	data := v.Data.(linkData)
	data.Text, data.Chosen = "verify.choose.text", true
	v.Data = data
}

func (p *pages) disownLink(w http.ResponseWriter, r *http.Request, link linkPage, in linkInput) error {
	if err := p.engine.DisownLink(r.Context(), link.kind, in.token, in.client); err != nil {
		return p.refuseLink(w, r, link, in, err)
	}
	return p.showText(w, r, link.name+".disowned")
}

func (p *pages) verifyLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	session, err := p.engine.VerifyEmail(r.Context(), watchword.VerifyRequest{
		Token: in.token, Presented: in.presented, Password: in.password,
		Persistent: in.form.Get("remember") != "", Client: in.client,
		Replaces: p.cookies.replaced(r, ""),
	})
	if err != nil {
		return err
	}
	if session == nil {
		return p.showMessage(w, r, messagePage{Title: "verify.title", Text: "verify.done", SignedIn: true})
	}
	p.cookies.setSession(w, r, session)
	p.redirect(w, pathAccount, url.Values{"done": {"verified"}})
	return nil
}

func (p *pages) resetLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	device, err := p.engine.ResetPassword(r.Context(), in.token, in.password, in.client)
	if err != nil {
		return err
	}
	p.cookies.rememberDevice(w, r, device)
	if in.form.Get("chosen") != "" {
		return p.showMessage(w, r, messagePage{Title: "reset.title", Text: "verify.chosen"})
	}
	return p.showMessage(w, r, messagePage{Title: "reset.title", Text: "reset.done"})
}

func (p *pages) confirmLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	until, err := p.engine.ConfirmEmail(r.Context(), watchword.ConfirmRequest{
		Token: in.token, Presented: in.presented, Password: in.password, Client: in.client,
	})
	if err != nil {
		return err
	}
	return p.showMessage(w, r, messagePage{Title: "email-confirm.title", Text: "email-confirm.done", Undo: until})
}

func (p *pages) undoLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	if err := p.engine.UndoEmail(r.Context(), in.token, in.client); err != nil {
		return err
	}
	return p.showMessage(w, r, messagePage{Title: "email-undo.title", Text: "email-undo.done"})
}

// tokenOf is the token in what was pasted: itself, or the link around it.
func tokenOf(pasted string) watchword.Secret {
	if _, after, found := strings.Cut(pasted, "token="); found {
		pasted, _, _ = strings.Cut(after, "&")
	}
	return watchword.Secret(strings.TrimSpace(pasted))
}

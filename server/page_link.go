package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/watchword-auth/watchword"
)

// These are the pages that links in mails open. The token is in the fragment of the link, which browsers don't send.
// A script moves the token into the form. Without the script, the user pastes the token. Opening the page does not
// consume the token, because mail scanners open every link.
//
// The pages that verify an address ask for a password unless the browser has a session. A link from a mail is a
// cross-site navigation, for which browsers omit SameSite=Strict cookies. The script therefore loads the page a
// second time, with the cookies. Without the script, the page asks for the password.

// A mailLinkPage describes the page of one kind of mail. The pages differ in their texts, in the password field and
// in the engine call.
type mailLinkPage struct {
	path, name   string
	kind         watchword.MailKind // kind of the mailed token; set only for pages that offer "This wasn't me"
	Password     string             // autocomplete attribute of the password field; "": no field
	isInvitation bool               // the page asks for a name, and its form signs in
	consume      func(*pages, http.ResponseWriter, *http.Request, linkInput) error
}

// A linkInput has the values of the form, which is parsed once. All buttons therefore get the same token, even if the
// user pasted the whole link.
type linkInput struct {
	form      url.Values
	token     watchword.Secret
	password  watchword.Secret
	presented []watchword.Secret
	client    watchword.Client
}

// These are the values of the field "action", which the secondary buttons of the form send.
const (
	actionChoose = "choose" // button "I don't know the password"
	actionDisown = "disown" // button "This wasn't me"
)

// linkPages are the pages that links in mails open. Package mail uses the same paths.
var linkPages = []mailLinkPage{
	{path: "/verify", name: "verify", kind: watchword.MailVerify, Password: "current-password",
		consume: (*pages).verifyLink},
	{path: "/reset", name: "reset", Password: "new-password", consume: (*pages).resetLink},
	{path: "/email/confirm", name: "email-confirm", kind: watchword.MailConfirmAddress, Password: "current-password",
		consume: (*pages).confirmLink},
	{path: "/email/undo", name: "email-undo", consume: (*pages).undoLink},
	{path: "/invite", name: "invite", Password: "new-password", isInvitation: true, consume: (*pages).inviteLink},
}

// linkData is the data of the template. Operators' templates use its fields.
type linkData struct {
	Name, Path string
	Text       string // key of the text
	Button     string // key of the text
	Password   string // autocomplete attribute; "": no password field
	Disown     bool   // the page offers "This wasn't me"
	Welcome    bool   // the page asks for a name, and offers "stay signed in"
	Choose     bool   // the page offers "I don't know the password" and "stay signed in"
	Chosen     bool   // the form sets a new password, because the user does not know the current one
	Again      bool   // the script loads the page again, with cookies
	SignedIn   watchword.Address

	// Next and NextButton are the path and the text of a button. A page whose link no longer works shows this button.
	// It also hides its form behind a <details> element, for users who have another link.
	Next, NextButton string
}

// newLinkView returns the page of a link. signedIn is the address of the signed-in user, or "". If it is not empty,
// the page does not ask for the current password.
func (p *pages) newLinkView(r *http.Request, link mailLinkPage, signedIn watchword.Address) *view {
	v := p.newView(r, "link")
	data := linkData{Name: link.name, Path: link.path, Text: link.name + ".text", Button: link.name + ".button",
		Password: link.Password, Welcome: link.isInvitation, Disown: link.kind != "", SignedIn: signedIn}
	title := link.name + ".title"
	if link.Password == "current-password" && signedIn != "" {
		data.Password = ""
	}
	if link.kind == watchword.MailVerify && data.Password != "" {
		data.Choose = true
		title, data.Text, data.Button = "verify.password.title", "verify.password.text", "verify.password.button"
	}
	v.Title, v.Data = v.T(title), data
	return v
}

// linkPageHandler never sees the token, because it is in the fragment of the link.
func (p *pages) linkPageHandler(link mailLinkPage) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		signedIn, err := p.signedInAddress(r)
		if err != nil {
			return err
		}
		v := p.newLinkView(r, link, signedIn)
		data := v.Data.(linkData)
		data.Again = link.Password == "current-password" && p.isCrossSiteVisit(r)
		v.Data = data
		return p.show(w, http.StatusOK, v)
	}
}

// signedInAddress returns "" for a signed-out user. It does not rotate the refresh token. The page shows the address,
// so that a user with two accounts sees which account is signed in.
func (p *pages) signedInAddress(r *http.Request) (watchword.Address, error) {
	live, err := p.engine.LiveSessions(r.Context(), p.cookies.presentedPageTokens(r))
	if err != nil || len(live) == 0 {
		return "", err
	}
	return live[0].User.Email, nil
}

// linkFormHandler handles the secondary buttons for all link pages. For the main button, it calls the function
// consume of the page.
func (p *pages) linkFormHandler(link mailLinkPage) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		form, err := readForm(w, r)
		if err != nil {
			return err
		}
		in := linkInput{form: form, token: parsePastedToken(form.Get("token")),
			password: watchword.Secret(form.Get("password")), presented: p.cookies.presentedPageTokens(r),
			client: p.clientWithReturn(w, r)}
		// A refused form is shown again with the token alone, even if the user pasted the whole link.
		form.Set("token", string(in.token))
		if p.wantsProviderVerification(link, form) {
			link.consume = (*pages).verifyWithProvider
		}
		switch form.Get("action") {
		case actionChoose:
			return p.choosePassword(w, r, form)
		// Only pages with a kind show this button. Other pages ignore a forged action and handle the form normally.
		case actionDisown:
			if link.kind != "" {
				return p.disownLink(w, r, link, in)
			}
		}
		// If the sign-in still needs a second factor, consume returns an error, although it has already verified the
		// address.
		if err := link.consume(p, w, r, in); err != nil && !p.redirectToSecondStep(w, r, err) {
			return p.refuseLink(w, r, link, in, err)
		}
		return nil
	}
}

// refuseLink shows the form again with the error. If the password was missing or wrong, the form asks for the
// password. This applies even to a signed-in user, because the session may belong to another account. The form never
// repeats the password.
func (p *pages) refuseLink(w http.ResponseWriter, r *http.Request, link mailLinkPage, in linkInput, why error) error {
	if watchword.CodeOf(why) == watchword.CodeMailTokenInvalid {
		in.form.Del("token") // this token no longer works, so the user needs another one
	}
	signedIn, err := p.signedInAddress(r)
	if err != nil {
		return err
	}
	if in.password != "" || watchword.CodeOf(why) == watchword.CodePasswordRequired {
		signedIn = ""
	}
	v := p.newLinkView(r, link, signedIn).withValues("link", in.form)
	if in.form.Get("chosen") != "" {
		p.markPasswordChosen(v)
	}
	if watchword.CodeOf(why) == watchword.CodeMailTokenInvalid {
		markLinkExpired(v)
	}
	return p.showAgain(w, r, v, why)
}

// markLinkExpired adds a button to the page of a link that no longer works. The button leads to the sign-in or to the
// account, because most users have already used the link. For a password reset, it leads to the form that mails a new
// link.
func markLinkExpired(v *view) {
	data := v.Data.(linkData)
	data.Next, data.NextButton = pathLogin, "login.button"
	switch {
	case data.Name == "reset":
		data.Next, data.NextButton = pathForgot, "forgot.button"
	case data.SignedIn != "":
		data.Next, data.NextButton = pathAccount, "back.account"
	}
	data.Text = "link.expired." + data.Name
	v.Title, v.Data = v.T(data.Name+".title"), data
}

// choosePassword shows the form of a password reset, which also accepts the token of a verification link. If a stranger
// signed up with the address, the owner of the address does not know the password. The owner can then choose a new
// password with this form. Showing the form does not consume the token.
func (p *pages) choosePassword(w http.ResponseWriter, r *http.Request, form url.Values) error {
	v := p.newLinkView(r, linkPages[1], "").withValues("link", form)
	p.markPasswordChosen(v)
	return p.show(w, http.StatusOK, v)
}

// markPasswordChosen changes the text of a password reset for a user who does not know the account's password. The
// text explains that the new password replaces the unknown one.
func (p *pages) markPasswordChosen(v *view) {
	data := v.Data.(linkData)
	data.Text, data.Chosen = "verify.choose.text", true
	v.Data = data
}

// disownLink is for the button "This wasn't me". It invalidates the link and requires no account.
func (p *pages) disownLink(w http.ResponseWriter, r *http.Request, link mailLinkPage, in linkInput) error {
	if err := p.engine.DisownLink(r.Context(), link.kind, in.token, in.client); err != nil {
		return p.refuseLink(w, r, link, in, err)
	}
	return p.showText(w, r, link.name+".disowned")
}

// verifyLink verifies the address. If the form contains a password, verifyLink also signs the user in. Without a
// password, the existing session of the account continues unchanged.
func (p *pages) verifyLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	session, err := p.engine.VerifyEmail(r.Context(), watchword.MailLinkRequest{
		Token: in.token, Presented: in.presented, Password: in.password,
		Persistent: in.form.Get("remember") != "", Client: in.client,
		Replaces: p.cookies.tokenToReplace(r, ""),
	})
	if err != nil {
		return err
	}
	if session == nil {
		return p.showMessage(w, r, messagePage{Title: "verify.title", Text: "verify.done", SignedIn: true})
	}
	p.finishSignIn(w, r, session, "verified")
	return nil
}

// finishSignIn sets the cookies and redirects after a mailed link has signed the user in. The account page
// then shows the notice. A front-end gets no notice, because it shows that the user is signed in.
func (p *pages) finishSignIn(w http.ResponseWriter, r *http.Request, session *watchword.SignIn, notice string) {
	p.cookies.setPageSessionCookies(w, r, session)
	if target := p.signInTarget(r); target != pathAccount {
		p.redirect(w, target, nil)
		return
	}
	p.redirect(w, pathAccount, url.Values{"done": {notice}})
}

// resetLink sets the new password but does not sign in, and neither does the API. The user signs in with the new
// password afterwards.
func (p *pages) resetLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	device, err := p.engine.ResetPassword(r.Context(), in.token, in.password, in.client)
	if err != nil {
		return err
	}
	p.cookies.setKnownDevice(w, r, device)
	if in.form.Get("chosen") != "" {
		return p.showMessage(w, r, messagePage{Title: "reset.title", Text: "verify.chosen", SignInNext: true})
	}
	return p.showMessage(w, r, messagePage{Title: "reset.title", Text: "reset.done", SignInNext: true})
}

// inviteLink signs in, because the invited user has just chosen the password.
func (p *pages) inviteLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	session, err := p.engine.AcceptInvite(r.Context(), watchword.MailLinkRequest{
		Token: in.token, Password: in.password, Name: in.form.Get("name"),
		Persistent: in.form.Get("remember") != "", Client: in.client, Replaces: p.cookies.tokenToReplace(r, ""),
	})
	if err != nil {
		return err
	}
	p.finishSignIn(w, r, session, "invited")
	return nil
}

// confirmLink completes a change of the address, and shows the end of the undo period.
func (p *pages) confirmLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	until, err := p.engine.ConfirmEmail(r.Context(), watchword.MailLinkRequest{
		Token: in.token, Presented: in.presented, Password: in.password, Client: in.client,
	})
	if err != nil {
		return err
	}
	return p.showMessage(w, r, messagePage{Title: "email-confirm.title", Text: "email-confirm.done", Undo: until})
}

// undoLink restores the previous address. The engine then mails a link to choose a new password,
// because an attacker may know the old one.
func (p *pages) undoLink(w http.ResponseWriter, r *http.Request, in linkInput) error {
	if err := p.engine.UndoEmail(r.Context(), in.token, in.client); err != nil {
		return err
	}
	return p.showMessage(w, r, messagePage{Title: "email-undo.title", Text: "email-undo.done"})
}

// parsePastedToken accepts the token alone or the whole link. Users without the script copy the link from the mail.
// In the link, the token follows "#token=". Mail programs may add text after an ampersand.
func parsePastedToken(pasted string) watchword.Secret {
	if _, after, found := strings.Cut(pasted, "token="); found {
		pasted, _, _ = strings.Cut(after, "&")
	}
	return watchword.Secret(strings.TrimSpace(pasted))
}

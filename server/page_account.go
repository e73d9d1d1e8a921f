package server

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
)

// The account page shows and changes name, address, password and sessions, shows recent events,
// and deletes the account. Each form has its own path and redirects back to the page.

// accountPages has the handlers of the account page and of the pages that belong to it: two-step verification,
// passkeys, connected accounts. All these pages need a signed-in user, except the setup of a factor during a sign-in.
type accountPages struct{ *pages }

// routes includes the setup of a factor during a sign-in, which needs no signed-in user.
func (p *accountPages) routes() []route {
	all := []route{
		{method: "GET", path: pathAccount, handle: p.requireSignIn(p.accountPage)},
		{method: "GET", path: pathAccount + "/password", handle: p.requireSignIn(p.redirectToPasswordForm)},
	}
	return slices.Concat(all, p.formRoutes(), p.identityRoutes(), p.twoStepRoutes())
}

// maxAccountEvents bounds the security events that the page reads. Equal events are merged afterwards, so the page
// may show fewer rows.
const maxAccountEvents = 40

// accountData is the data of the template. Operators' templates use its fields. A field must
// therefore not be renamed or removed within a major version.
type accountData struct {
	User                 watchword.Profile
	Sessions             []accountSession  // all live sessions
	Events               []accountEvent    // all recent events
	Devices, MoreDevices []accountDevice   // Sessions, grouped by device
	Newest, Older        []accountEvent    // Events, with repetitions merged
	Undo                 time.Time         // end of the undo period of the previous address; zero: no period
	Mailed               bool              // the sign-up sent a verification link by mail
	TwoStep              *twoStepSection   // nil: the server has no second factors
	Connected            *connectedSection // nil: the server has no external providers
	NoPassword           bool
	Passkeys             *passkeySection // nil: the server has no passkeys
}

// accountSession is one row of the list of sessions. It has no token: the id is enough for the account page to end
// the session.
type accountSession struct {
	ID, Device, Address string
	Since, Used         time.Time
	Current             bool
}

// accountEvent is one row of the list of events. Times is the number of equal consecutive events in the row.
type accountEvent struct {
	Kind            watchword.EventKind
	At              time.Time
	Device, Address string
	Times           int
}

// readAccountView reads sessions and events in separate transactions. If a session ends between the two reads, the
// page lists it as live and also lists its end. The next load corrects the list.
func (p *accountPages) readAccountView(r *http.Request, who watchword.Identity) (*view, error) {
	sessions, err := p.engine.Sessions(r.Context(), who)
	if err != nil {
		return nil, err
	}
	events, err := p.engine.Operator().UserEvents(r.Context(), who.User.ID, maxAccountEvents)
	if err != nil {
		return nil, err
	}
	undo, err := p.engine.Inside().UndoUntil(r.Context(), who)
	if err != nil {
		return nil, err
	}
	v, data := p.newView(r, "account"), accountData{User: who.User.Profile(), Undo: undo}
	_, data.Mailed = p.engine.Inside().Signup()
	for _, one := range sessions {
		data.Sessions = append(data.Sessions, accountSession{
			ID: string(one.ID), Device: one.Device, Address: one.Address,
			Since: one.CreatedAt, Used: one.LastUsed(), Current: one.ID == who.Session.ID,
		})
	}
	for _, one := range events {
		data.Events = append(data.Events, accountEvent{one.Kind, one.At, one.Device, one.Address, one.Times})
	}
	if err := p.addFactorSections(r, v, who, &data); err != nil {
		return nil, err
	}
	if data.Connected, err = p.readConnectedSection(r, who); err != nil {
		return nil, err
	}
	data.NoPassword = who.User.PasswordHash == ""
	if data.TwoStep != nil {
		data.TwoStep.Required = p.factors.Required(who.User)
	}
	data.Devices, data.MoreDevices = splitVisible(groupByDevice(data.Sessions))
	data.Newest, data.Older = splitVisible(mergeEqualEvents(data.Events))
	v.Data = data
	return v, nil
}

// accountPage shows, after a redirect, the notice that the query parameter done names. It ignores an unknown name,
// because a link could contain any text.
func (p *accountPages) accountPage(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	v, err := p.readAccountView(r, who)
	if err != nil {
		return err
	}
	p.showProviderError(w, r, v)
	if done := "done." + p.takeNotice(w, r, "done"); v.T(done) != done {
		v.Notice = v.T(done)
	}
	return p.show(w, http.StatusOK, v)
}

// redirectToPasswordForm gives the password form a path of its own. Browsers don't send fragments to servers, so a
// link to the fragment alone would lose it at the sign-in.
func (p *accountPages) redirectToPasswordForm(w http.ResponseWriter, r *http.Request, _ watchword.Identity) error {
	target := pathAccount
	if query := p.withReturnTo(r, url.Values{}).Encode(); query != "" {
		target += "?" + query
	}
	p.redirect(w, target+"#password-title", nil)
	return nil
}

// An accountChange makes the change that a user requests with a form. If it returns an error, the page shows the
// error in that form.
type accountChange func(r *http.Request, who watchword.Identity, form url.Values, c watchword.Client) error

// formHandler handles a form of the account page. After a success, it calls onSuccess, which must redirect, so that a
// reload does not send the form again. After an error, it shows the page with the values that the user entered. A
// redirect would lose these values.
func (p *accountPages) formHandler(
	name string, apply accountChange, onSuccess func(http.ResponseWriter, *http.Request),
) handler {
	return p.requireSignIn(func(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
		form, err := readForm(w, r)
		if err != nil {
			return err
		}
		refused := apply(r, who, form, p.clientWithReturn(w, r))
		if refused == nil {
			onSuccess(w, r)
			return nil
		}
		if p.redirectToStepUp(w, r, pathAccount, refused) {
			return nil
		}
		// The account is read again, because another request may have changed it.
		v, err := p.readAccountView(r, who)
		if err != nil {
			return err
		}
		return p.showAgain(w, r, v.withValues(name, form), refused)
	})
}

// formRoutes has one row for each form. In a row, name is the form's name in the template, where an error is shown.
// The field done is the notice after a success, and apply is the engine call.
func (p *accountPages) formRoutes() []route {
	e := p.engine
	type identity = watchword.Identity
	type client = watchword.Client
	forms := []struct {
		path, name, done string
		apply            accountChange
	}{
		{"/name", "profile", "name", func(r *http.Request, who identity, form url.Values, _ client) error {
			_, err := e.UpdateProfile(r.Context(), who, watchword.ProfileChange{Name: new(form.Get("name"))})
			return err
		}},
		{"/email", "address", "address", func(r *http.Request, who identity, form url.Values, c client) error {
			return e.ChangeEmail(r.Context(), who, form.Get("newEmail"), watchword.Secret(form.Get("currentPassword")), c)
		}},
		{"/email/resend", "address", "resend", func(r *http.Request, who identity, _ url.Values, c client) error {
			return e.ResendVerification(r.Context(), string(who.User.Email), c)
		}},
		{"/password", "password", "password", func(r *http.Request, who identity, form url.Values, c client) error {
			return e.ChangePassword(r.Context(), who,
				watchword.Secret(form.Get("currentPassword")), watchword.Secret(form.Get("newPassword")), c)
		}},
		{"/sessions/{id}", "sessions", "session", func(r *http.Request, who identity, _ url.Values, c client) error {
			return e.EndSession(r.Context(), who, watchword.SessionID(r.PathValue("id")), c)
		}},
		{"/sessions", "sessions", "others", func(r *http.Request, who identity, _ url.Values, c client) error {
			_, err := e.LogoutAll(r.Context(), who, who.Session.ID, c)
			return err
		}},
	}
	// After a deletion, the account page no longer exists, so the user is signed out.
	signOut := func(w http.ResponseWriter, r *http.Request) { p.redirectSignedOut(w, r, "deleted") }
	routes := []route{
		{method: "POST", path: pathAccount + "/delete", handle: p.formHandler("delete", p.deleteAccount, signOut)},
	}
	for _, f := range forms {
		showDone := func(w http.ResponseWriter, r *http.Request) {
			p.redirect(w, pathAccount, p.withReturnTo(r, url.Values{"done": {f.done}}))
		}
		routes = append(routes, route{method: "POST", path: pathAccount + f.path,
			handle: p.formHandler(f.name, f.apply, showDone)})
	}
	return routes
}

// deleteAccount requires the password, as the API does.
func (p *accountPages) deleteAccount(
	r *http.Request, who watchword.Identity, form url.Values, c watchword.Client,
) error {
	return p.engine.DeleteAccount(r.Context(), who, watchword.Secret(form.Get("currentPassword")), c)
}

package server

import (
	"net/http"
	"net/url"
	"time"

	"github.com/watchword-auth/watchword"
)

// The account on one page: name, address, password, sessions, what happened, and
// the end of it. Each form has an address of its own and leads back here.

const recentEvents = 20

// accountData is what the page shows.
type accountData struct {
	User     userBody
	Sessions []accountSession
	Events   []accountEvent
	Undo     time.Time // until when a previous address can take the account back; zero: none can
}

type accountSession struct {
	ID, Device, Address string
	Since, Used         time.Time
	Current             bool
}

type accountEvent struct {
	Kind            watchword.EventKind
	At              time.Time
	Device, Address string
	Times           int
}

func (p *pages) accountView(r *http.Request, who watchword.Identity) (*view, error) {
	sessions, err := p.engine.Sessions(r.Context(), who)
	if err != nil {
		return nil, err
	}
	events, err := p.engine.Operator().UserEvents(r.Context(), who.User.ID, recentEvents)
	if err != nil {
		return nil, err
	}
	undo, err := p.engine.UndoUntil(r.Context(), who)
	if err != nil {
		return nil, err
	}
	v, data := p.newView(r, "account"), accountData{User: userOf(who.User), Undo: undo}
	for _, one := range sessions {
		data.Sessions = append(data.Sessions, accountSession{string(one.ID), one.Device, one.Address, one.CreatedAt, one.RotatedAt, one.ID == who.Session.ID})
	}
	for _, one := range events {
		data.Events = append(data.Events, accountEvent{one.Kind, one.At, one.Device, one.Address, one.Times})
	}
	v.Data = data
	return v, nil
}

func (p *pages) accountPage(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	v, err := p.accountView(r, who)
	if err != nil {
		return err
	}
	if done := "done." + p.flash(w, r, "done"); v.T(done) != done {
		v.Notice = v.T(done)
	}
	return p.show(w, http.StatusOK, v)
}

// An accountForm changes something, or returns why not.
type accountForm func(r *http.Request, who watchword.Identity, form url.Values, c watchword.Client) error

// change carries out a form of the account, and then leads on.
func (p *pages) change(name string, do accountForm, then func(http.ResponseWriter)) handler {
	return p.requireSignIn(func(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
		form, err := readForm(w, r)
		if err != nil {
			return err
		}
		refused := do(r, who, form, p.clients.of(w, r))
		if refused == nil {
			then(w)
			return nil
		}
		v, err := p.accountView(r, who)
		if err != nil {
			return err
		}
		return p.refill(w, r, v.filled(name, form), refused)
	})
}

// accountForms are the addresses of the forms.
func (p *pages) accountForms() []route {
	e := p.engine
	forms := []struct {
		path, name, done string
		do               accountForm
	}{
		{"/name", "profile", "name", func(r *http.Request, who watchword.Identity, form url.Values, _ watchword.Client) error {
			_, err := e.Rename(r.Context(), who, form.Get("name"))
			return err
		}},
		{"/email", "address", "address", func(r *http.Request, who watchword.Identity, form url.Values, c watchword.Client) error {
			return e.ChangeEmail(r.Context(), who, form.Get("newEmail"), watchword.Secret(form.Get("currentPassword")), c)
		}},
		{"/email/resend", "address", "resend", func(r *http.Request, who watchword.Identity, _ url.Values, c watchword.Client) error {
			return e.ResendVerification(r.Context(), string(who.User.Email), c)
		}},
		{"/password", "password", "password", func(r *http.Request, who watchword.Identity, form url.Values, c watchword.Client) error {
			return e.ChangePassword(r.Context(), who, watchword.Secret(form.Get("currentPassword")), watchword.Secret(form.Get("newPassword")), c)
		}},
		{"/sessions/{id}", "sessions", "session", func(r *http.Request, who watchword.Identity, _ url.Values, c watchword.Client) error {
			return e.EndSession(r.Context(), who, watchword.SessionID(r.PathValue("id")), c)
		}},
		{"/sessions", "sessions", "others", func(r *http.Request, who watchword.Identity, _ url.Values, c watchword.Client) error {
			_, err := e.LogoutAll(r.Context(), who, who.Session.ID, c)
			return err
		}},
	}
	routes := []route{{method: "POST", path: pathAccount + "/delete", handle: p.change("delete", p.deleteAccount, func(w http.ResponseWriter) {
		p.redirectSignedOut(w, "deleted")
	})}}
	for _, f := range forms {
		routes = append(routes, route{method: "POST", path: pathAccount + f.path, handle: p.change(f.name, f.do, func(w http.ResponseWriter) {
			p.redirect(w, pathAccount, url.Values{"done": {f.done}})
		})})
	}
	return routes
}

func (p *pages) deleteAccount(r *http.Request, who watchword.Identity, form url.Values, c watchword.Client) error {
	return p.engine.DeleteAccount(r.Context(), who, watchword.Secret(form.Get("currentPassword")), c)
}

package server

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/device"
)

// The changes of administration. Every change is a row of one table with the same three steps: a form,
// if the change has values; a question that names the account; and the change itself.

// An adminChange is one row. Its texts are admin.NAME.title, .text (the question) and .button, and
// done.admin-NAME (the notice).
type adminChange struct {
	path   string // pattern of the route
	name   string
	guard  guard
	fields []string // names of the inputs; none: the first page is the question
	danger bool     // the button warns

	// subject reads what the question is about. The change reads it again.
	subject func(*http.Request) (adminSubject, error)
	// more returns a second sentence of the question, or nil if there is none.
	more func(v *view, s adminSubject, form url.Values) string
	// do makes the change and returns the page that shows it.
	do func(r *http.Request, by admin.Caller, form url.Values) (next string, err error)
}

// An adminSubject is the object of a change.
type adminSubject struct {
	Name   string            // how the question calls it, such as the address of an account; may be empty
	Device string            // of a session; empty if there is none
	Values map[string]string // of the fields, before the change
	Back   string            // path of the page that shows it
}

// adminFormData is the data of the form and of the question. The question repeats the values of the
// form in hidden inputs, because a page keeps no state on the server.
type adminFormData struct {
	Subject, Path, Back string
	Fields              []adminInput
	Text, More          string // More may be empty
	Button              string
	Danger, Ask         bool
}

// An adminInput is one value of a form.
type adminInput struct{ Name, Value string }

// changePage shows the form of a change, or its question if it has no values.
func (p *pages) changePage(c adminChange) adminPage {
	return func(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
		subject, err := c.subject(r)
		if err != nil {
			return p.adminMissing(w, r, by, err)
		}
		return p.show(w, http.StatusOK, p.changeView(r, by, c, subject, nil, len(c.fields) == 0))
	}
}

// changeForm makes a change that the reader has confirmed. The values of the form alone only lead to
// the question.
func (p *pages) changeForm(c adminChange) adminPage {
	return func(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
		form, err := readForm(w, r)
		if err != nil {
			return err
		}
		subject, err := c.subject(r)
		if err != nil {
			return p.adminMissing(w, r, by, err)
		}
		if len(c.fields) > 0 && !form.Has("confirmed") {
			return p.show(w, http.StatusOK, p.changeView(r, by, c, subject, form, true))
		}
		next, err := c.do(r, by, form)
		if err == nil {
			p.adminDone(w, next, "admin-"+c.name)
			return nil
		}
		if watchword.CodeOf(err) == watchword.CodeNotFound {
			return p.adminMissing(w, r, by, err)
		}
		// A refusal concerns the values, if there are any. The form has them again, with its faults.
		v := p.changeView(r, by, c, subject, form, len(c.fields) == 0)
		return p.refill(w, r, v.filled("admin", form), err)
	}
}

// changeView returns the form of a change, or with ask its question.
func (p *pages) changeView(
	r *http.Request, by admin.Caller, c adminChange, s adminSubject, form url.Values, ask bool,
) *view {
	v := p.newView(r, "admin-change")
	prefix := "admin." + c.name
	data := adminFormData{Subject: s.Name, Path: r.URL.Path, Back: s.Back, Ask: ask, Danger: c.danger,
		Button: v.T(prefix + ".button")}
	// The question names the object first, and then the values in the order of the form.
	var args []any
	if s.Name != "" {
		args = append(args, s.Name)
	}
	if s.Device != "" {
		args = append(args, v.Device(s.Device))
	}
	for _, name := range c.fields {
		value := s.Values[name]
		if form != nil {
			value = strings.TrimSpace(form.Get(name))
		}
		data.Fields, args = append(data.Fields, adminInput{name, value}), append(args, cmp.Or(value, v.T("admin.empty")))
	}
	if ask {
		data.Text = v.fill(prefix+".text", args)
	}
	if ask && c.more != nil {
		data.More = c.more(v, s, form)
	}
	return p.adminView(v, r, by, v.T(prefix+".title"), data)
}

// fill returns a text with as many of the values as it takes.
func (v *view) fill(key string, args []any) string {
	n := strings.Count(v.T(key), "%s")
	return v.T(key, args[:min(n, len(args))]...)
}

// adminMissing responds for an account that does not exist any more. The page leads to the search, and
// for an id to the explanation, because ended sessions outlive their account.
func (p *pages) adminMissing(w http.ResponseWriter, r *http.Request, by admin.Caller, err error) error {
	var refusal *watchword.Error
	if !errors.As(err, &refusal) || refusal.Code != watchword.CodeNotFound {
		return err
	}
	return p.show(w, http.StatusNotFound, p.adminView(p.newView(r, "admin-missing"), r, by, "", nil))
}

// adminChanges returns the table of changes.
func (p *pages) adminChanges() []adminChange {
	users := pathAdminPages + "/users"
	account := users + "/{id}/"
	return []adminChange{
		{path: users + "/new", name: "invite", guard: writeUsers, fields: []string{"email", "name", "roles"},
			subject: newAccount, more: warnOfAdmin, do: p.invite},
		{path: account + "name", name: "name", guard: writeUsers, fields: []string{"name"},
			subject: p.accountOf, do: p.changeAccount(func(form url.Values) admin.Change {
				return admin.Change{Name: new(strings.TrimSpace(form.Get("name")))}
			})},
		{path: account + "roles", name: "roles", guard: writeUsers, fields: []string{"roles"},
			subject: p.accountOf, more: warnOfAdmin, do: p.changeAccount(func(form url.Values) admin.Change {
				return admin.Change{Roles: new(rolesIn(form))}
			})},
		{path: account + "disable", name: "disable", guard: writeUsers, danger: true,
			subject: p.accountOf, do: p.changeAccount(func(url.Values) admin.Change { return admin.Change{Disabled: new(true)} })},
		{path: account + "enable", name: "enable", guard: writeUsers,
			subject: p.accountOf, do: p.changeAccount(func(url.Values) admin.Change { return admin.Change{Disabled: new(false)} })},
		{path: account + "delete", name: "delete", guard: writeUsers, danger: true, subject: p.accountOf, do: p.deleteUser},
		{path: account + "reset-mail", name: "reset-mail", guard: writeUsers, subject: p.accountOf,
			do: p.mailUser(watchword.MailReset)},
		{path: account + "verify-mail", name: "verify-mail", guard: writeUsers, subject: p.accountOf,
			do: p.mailUser(watchword.MailVerify)},
		{path: account + "reset-factors", name: "reset-factors", guard: writeUsers, danger: true, subject: p.accountOf,
			do: p.resetFactors},
		{path: account + "sign-out", name: "sign-out", guard: endSessions, danger: true, subject: p.accountOf,
			do: p.endSessions},
		{path: account + "sessions/{sid}/end", name: "end-session", guard: endSessions, danger: true, subject: p.sessionOf,
			do: p.endSessions},
	}
}

// newAccount is the subject of an invitation. The question names the typed address.
func newAccount(*http.Request) (adminSubject, error) {
	return adminSubject{Back: pathAdminPages + "/users"}, nil
}

// accountOf reads the account in the path.
func (p *pages) accountOf(r *http.Request) (adminSubject, error) {
	account, err := p.admin.User(r.Context(), watchword.UserID(r.PathValue("id")))
	if err != nil {
		return adminSubject{}, err
	}
	return adminSubject{Name: string(account.Email), Back: adminUserPath(account.ID),
		Values: map[string]string{"name": account.Name, "roles": strings.Join(account.Roles, " ")}}, nil
}

// sessionOf reads the live session in the path. The question names its device, so that the reader does
// not end another one.
func (p *pages) sessionOf(r *http.Request) (adminSubject, error) {
	subject, err := p.accountOf(r)
	if err != nil {
		return adminSubject{}, err
	}
	live, err := p.engine.Operator().UserSessions(r.Context(), watchword.UserID(r.PathValue("id")))
	if err != nil {
		return adminSubject{}, err
	}
	for _, one := range live {
		if string(one.ID) == r.PathValue("sid") {
			subject.Device = cmp.Or(one.Device, device.Unknown)
			return subject, nil
		}
	}
	return adminSubject{}, &watchword.Error{Code: watchword.CodeNotFound, Detail: "This session has ended."}
}

// rolesIn reads the roles of a form. People separate them by spaces or commas, and no role has either.
func rolesIn(form url.Values) []string {
	return strings.FieldsFunc(form.Get("roles"), func(r rune) bool { return r == ',' || r == ' ' })
}

// warnOfAdmin says what the role admin means, because its holder can do what the reader can do.
func warnOfAdmin(v *view, s adminSubject, form url.Values) string {
	had := slices.Contains(strings.Fields(s.Values["roles"]), watchword.RoleAdmin)
	switch has := slices.Contains(rolesIn(form), watchword.RoleAdmin); {
	case has && !had:
		return v.T("admin.roles.gain")
	case had && !has:
		return v.T("admin.roles.lose")
	}
	return ""
}

// invite creates an account and mails an invitation.
func (p *pages) invite(r *http.Request, by admin.Caller, form url.Values) (string, error) {
	user, err := p.admin.Invite(r.Context(), by,
		watchword.NewUser{Email: form.Get("email"), Name: strings.TrimSpace(form.Get("name")), Roles: rolesIn(form)})
	return adminUserPath(user.ID), err
}

// changeAccount returns the change of an account that a form describes.
func (p *pages) changeAccount(of func(url.Values) admin.Change) func(*http.Request, admin.Caller, url.Values) (string, error) {
	return func(r *http.Request, by admin.Caller, form url.Values) (string, error) {
		id := watchword.UserID(r.PathValue("id"))
		_, err := p.admin.Change(r.Context(), by, id, of(form))
		return adminUserPath(id), err
	}
}

// deleteUser leads to the list, because the account has no page any more.
func (p *pages) deleteUser(r *http.Request, by admin.Caller, _ url.Values) (string, error) {
	return pathAdminPages + "/users", p.admin.Delete(r.Context(), by, watchword.UserID(r.PathValue("id")))
}

// mailUser returns the change that mails a link of a kind.
func (p *pages) mailUser(kind watchword.MailKind) func(*http.Request, admin.Caller, url.Values) (string, error) {
	return func(r *http.Request, by admin.Caller, _ url.Values) (string, error) {
		id := watchword.UserID(r.PathValue("id"))
		return adminUserPath(id), p.admin.SendMail(r.Context(), by, id, kind)
	}
}

// resetFactors removes the factors of a user who has lost them, and ends the sessions.
func (p *pages) resetFactors(r *http.Request, by admin.Caller, _ url.Values) (string, error) {
	id := watchword.UserID(r.PathValue("id"))
	if p.factors == nil {
		return "", &watchword.Error{Code: watchword.CodeNotFound, Detail: "This server has no second factors."}
	}
	return adminUserPath(id), p.factors.Reset(r.Context(), string(by.User.Email), id)
}

// endSessions ends all sessions of an account, or the one in the path.
func (p *pages) endSessions(r *http.Request, by admin.Caller, _ url.Values) (string, error) {
	id := watchword.UserID(r.PathValue("id"))
	_, err := p.admin.EndSessions(r.Context(), by, id, watchword.SessionID(r.PathValue("sid")))
	return adminUserPath(id), err
}

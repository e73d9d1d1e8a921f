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

// An administrator makes each change in up to three steps. If the change has values, a form asks for them. Then a
// question names the account and asks for confirmation. The last step makes the change. All changes are rows of one
// table.
//
// The question prevents accidental clicks, and clicks in the wrong browser tab. Package admin and the engine enforce
// the rules, and they check every form, even a forged one.

// An adminChange is one row of the table of changes. The catalog has the texts of its title, question and button.
// Their keys begin with "admin." and the name of the change. The key of the success message begins with
// "done.admin-".
type adminChange struct {
	path        string
	name        string
	fields      []string // names of the inputs; empty: the first page is the question
	isDangerous bool     // the button is styled as a warning

	// readSubject reads the account or other object that the question names. It runs for each page of the change, so
	// that the question is about the current state.
	readSubject func(*http.Request) (adminSubject, error)
	// extraQuestion returns a second sentence of the question, or "". It may be nil.
	extraQuestion func(v *view, s adminSubject, form url.Values) string
	makeChange    changeFunc
	// createAndShow replaces makeChange in a change that creates a secret. It makes the change and returns the page that
	// shows the secret. There is no redirect to this page, because a redirect would have to store the secret.
	createAndShow func(r *http.Request, by admin.Caller, form url.Values) (*view, error)
	// questionArgs returns the values that the question shows, if they are not the values of the inputs. It may
	// be nil.
	questionArgs func(v *view, form url.Values) []any
}

// An adminSubject is the object of a change, such as an account or a session.
type adminSubject struct {
	Name   string // name of the object in the question, such as an email address; may be empty
	Device string // device of a session; empty for other objects
	Values map[string]string
	Back   string // path of the page that shows the object
}

// adminFormData is the data of a change's form and of its question. The server does not store the values between the
// two pages, so the question repeats them in hidden inputs.
type adminFormData struct {
	Subject, Path, Back string
	Fields              []adminInput
	Text, More          string // More may be empty
	Button              string
	Danger, Ask         bool
}

// An adminInput is one value of a form. Its name selects the texts of the label and the hint (view.Field).
type adminInput struct{ Name, Value string }

// Scope returns the scope of a checkbox, or "" for other inputs. Names of checkboxes begin with scopeField. Only the
// form of a service key has checkboxes.
func (i adminInput) Scope() string {
	scope, isScope := strings.CutPrefix(i.Name, scopeField)
	if !isScope {
		return ""
	}
	return scope
}

// changePage shows the form of a change, or its question if the change has no values. The page requires the same
// access as the change, so that a step-up happens before the administrator fills in the form.
func (p *adminPages) changePage(c adminChange) adminPageHandler {
	return func(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
		subject, err := c.readSubject(r)
		if err != nil {
			return p.respondMissing(w, r, by, err)
		}
		return p.show(w, http.StatusOK, p.changeView(r, adminStep{c, by, subject, nil, len(c.fields) == 0}))
	}
}

// changeForm makes the change only if the administrator has confirmed it. For an unconfirmed form, it shows the
// question.
func (p *adminPages) changeForm(c adminChange) adminPageHandler {
	return func(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
		form, err := readForm(w, r)
		if err != nil {
			return err
		}
		subject, err := c.readSubject(r)
		if err != nil {
			return p.respondMissing(w, r, by, err)
		}
		// Without the hidden field "confirmed", the administrator has not seen the question yet. A forged field does
		// no harm: the question protects only the administrator, and no rule depends on it.
		if len(c.fields) > 0 && !form.Has("confirmed") {
			return p.show(w, http.StatusOK, p.changeView(r, adminStep{c, by, subject, form, true}))
		}
		if err = p.applyChange(w, r, adminStep{change: c, by: by, form: form}); err == nil {
			return nil
		}
		if watchword.CodeOf(err) == watchword.CodeNotFound {
			return p.respondMissing(w, r, by, err)
		}
		// After an error, a change with values shows its form again, with the values and their errors. A change
		// without values shows its question again, with the reason above it.
		v := p.changeView(r, adminStep{c, by, subject, form, len(c.fields) == 0})
		return p.showAgain(w, r, v.withValues("admin", form), err)
	}
}

// applyChange makes the change and writes the response. If the change fails, applyChange returns the error without
// writing, so that the caller can show the form again.
func (p *adminPages) applyChange(w http.ResponseWriter, r *http.Request, s adminStep) error {
	if s.change.createAndShow != nil {
		v, err := s.change.createAndShow(r, s.by, s.form)
		if err != nil {
			return err
		}
		return p.show(w, http.StatusOK, v)
	}
	next, err := s.change.makeChange(r, s.by, s.form)
	if err == nil {
		p.redirectWithNotice(w, next, "admin-"+s.change.name)
	}
	return err
}

// An adminStep is one page of a change: the form or the question.
type adminStep struct {
	change     adminChange
	by         admin.Caller
	subject    adminSubject
	form       url.Values // values that the administrator typed; nil on the first page
	isQuestion bool
}

// questionArgs returns the values for the text of the question: the name of the object, and then the fields in the
// order of the form. For an empty field, it returns a word (the text admin.empty).
func (s adminStep) questionArgs(v *view) (args []any) {
	if s.change.questionArgs != nil {
		return s.change.questionArgs(v, s.form)
	}
	if s.subject.Name != "" {
		args = append(args, s.subject.Name)
	}
	if s.subject.Device != "" {
		args = append(args, v.Device(s.subject.Device))
	}
	for _, input := range s.inputs() {
		args = append(args, cmp.Or(input.Value, v.T("admin.empty")))
	}
	return args
}

// inputs returns the fields of the form with their values. On the first page, these are the current values of the
// object. On later pages, they are the values that the administrator entered.
func (s adminStep) inputs() (all []adminInput) {
	for _, name := range s.change.fields {
		value := s.subject.Values[name]
		if s.form != nil {
			value = strings.TrimSpace(s.form.Get(name))
		}
		all = append(all, adminInput{name, value})
	}
	return all
}

// changeView returns the page with the form or with the question, as s.isQuestion says. The page with the question
// keeps the entered values in hidden inputs.
func (p *adminPages) changeView(r *http.Request, s adminStep) *view {
	v, prefix := p.newView(r, "admin-change"), "admin."+s.change.name
	data := adminFormData{Subject: s.subject.Name, Path: r.URL.Path, Back: s.subject.Back, Ask: s.isQuestion,
		Danger: s.change.isDangerous, Button: v.T(prefix + ".button"), Fields: s.inputs()}
	if s.isQuestion {
		data.Text = v.fillPlaceholders(prefix+".text", s.questionArgs(v))
	}
	if s.isQuestion && s.change.extraQuestion != nil {
		data.More = s.change.extraQuestion(v, s.subject, s.form)
	}
	return p.fillAdminView(v, r, s.by, v.T(prefix+".title"), data)
}

// fillPlaceholders inserts at most as many values as the text has placeholders. An operator's own text may have fewer
// placeholders than the built-in text.
func (v *view) fillPlaceholders(key string, args []any) string {
	n := strings.Count(v.T(key), "%s")
	return v.T(key, args[:min(n, len(args))]...)
}

// respondMissing shows a page with a link to the search if err says that the account or session does not exist. The
// object may have been deleted since the previous page, or the link is old. respondMissing returns all other errors.
func (p *adminPages) respondMissing(w http.ResponseWriter, r *http.Request, by admin.Caller, err error) error {
	var refusal *watchword.Error
	if !errors.As(err, &refusal) || refusal.Code != watchword.CodeNotFound {
		return err
	}
	return p.show(w, http.StatusNotFound, p.fillAdminView(p.newView(r, "admin-missing"), r, by, "", nil))
}

// A changeFunc makes a change and returns the path of the page that shows the result.
type changeFunc func(r *http.Request, by admin.Caller, form url.Values) (next string, err error)

// accountChanges returns the changes of accounts. Administrators can't set a password or an address, because they
// could then sign in as the user. They can mail the user a link to choose a new password.
func (p *adminPages) accountChanges() []adminChange {
	users := pathAdminPages + "/users"
	account := users + "/{id}/"
	return []adminChange{
		{path: users + "/new", name: "invite", fields: []string{"email", "name", "roles"},
			readSubject: newAccountSubject, extraQuestion: warnAboutAdminRole, makeChange: p.inviteUser},
		{path: account + "name", name: "name", fields: []string{"name"},
			readSubject: p.accountSubject, makeChange: p.changeAccount(nameChange)},
		{path: account + "roles", name: "roles", fields: []string{"roles"},
			readSubject: p.accountSubject, extraQuestion: warnAboutAdminRole, makeChange: p.changeAccount(rolesChange)},
		// Disabling an account ends its sessions, so the button is styled as a warning. Enabling does not restore the
		// sessions, so the user has to sign in again.
		{path: account + "disable", name: "disable", isDangerous: true,
			readSubject: p.accountSubject, makeChange: p.changeAccount(stateChange(true))},
		{path: account + "enable", name: "enable",
			readSubject: p.accountSubject, makeChange: p.changeAccount(stateChange(false))},
		{path: account + "delete", name: "delete", isDangerous: true,
			readSubject: p.accountSubject, makeChange: p.deleteUser},
		{path: account + "reset-mail", name: "reset-mail",
			readSubject: p.accountSubject, makeChange: p.mailUser(watchword.MailReset)},
		{path: account + "verify-mail", name: "verify-mail",
			readSubject: p.accountSubject, makeChange: p.mailUser(watchword.MailVerify)},
		{path: account + "reset-factors", name: "reset-factors", isDangerous: true,
			readSubject: p.accountSubject, makeChange: p.resetFactors},
		{path: account + "sign-out", name: "sign-out", isDangerous: true,
			readSubject: p.accountSubject, makeChange: p.endSessions},
		{path: account + "sessions/{sid}/end", name: "end-session", isDangerous: true,
			readSubject: p.sessionSubject, makeChange: p.endSessions},
	}
}

// allChanges returns the changes of accounts, of the server and of service keys. Each of the three tables is in the
// file of the pages that link to its changes.
func (p *adminPages) allChanges() []adminChange {
	return slices.Concat(p.accountChanges(), p.systemChanges(), p.serviceKeyChanges())
}

// newAccountSubject returns a subject without a name, because the account does not exist yet. The question shows the
// entered address instead.
func newAccountSubject(*http.Request) (adminSubject, error) {
	return adminSubject{Back: pathAdminPages + "/users"}, nil
}

// accountSubject returns the account whose id is in the path. The form shows the name and the roles of this account.
func (p *adminPages) accountSubject(r *http.Request) (adminSubject, error) {
	account, err := p.admin.User(r.Context(), watchword.UserID(r.PathValue("id")))
	if err != nil {
		return adminSubject{}, err
	}
	return adminSubject{Name: string(account.Email), Back: adminUserPath(account.ID),
		Values: map[string]string{"name": account.Name, "roles": strings.Join(account.Roles, " ")}}, nil
}

// sessionSubject returns the live session whose id is in the path. The question shows the device of the session, so
// that the administrator does not end the wrong session.
func (p *adminPages) sessionSubject(r *http.Request) (adminSubject, error) {
	subject, err := p.accountSubject(r)
	if err != nil {
		return adminSubject{}, err
	}
	// Only live sessions are searched, because an ended session can't be ended again.
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

// parseRoles accepts spaces and commas as separators. No role contains a space or a comma.
func parseRoles(form url.Values) []string {
	return strings.FieldsFunc(form.Get("roles"), func(r rune) bool { return r == ',' || r == ' ' })
}

// warnAboutAdminRole returns a warning if a change adds or removes the role admin. A user with this role can do
// everything that the reader of the page can do.
func warnAboutAdminRole(v *view, s adminSubject, form url.Values) string {
	had := slices.Contains(strings.Fields(s.Values["roles"]), watchword.RoleAdmin)
	switch has := slices.Contains(parseRoles(form), watchword.RoleAdmin); {
	case has && !had:
		return v.T("admin.roles.gain")
	case had && !has:
		return v.T("admin.roles.lose")
	}
	return ""
}

// inviteUser returns the page of the new account, where the administrator can add roles or correct the name.
func (p *adminPages) inviteUser(r *http.Request, by admin.Caller, form url.Values) (string, error) {
	user, err := p.admin.Invite(r.Context(), by,
		watchword.NewUser{Email: form.Get("email"), Name: strings.TrimSpace(form.Get("name")), Roles: parseRoles(form)})
	return adminUserPath(user.ID), err
}

// changeAccount makes the change that readChange finds in the form. Package admin refuses changes of the caller's own
// roles and of the last administrator. The error messages say what to do instead.
func (p *adminPages) changeAccount(readChange func(url.Values) admin.Change) changeFunc {
	return func(r *http.Request, by admin.Caller, form url.Values) (string, error) {
		id := watchword.UserID(r.PathValue("id"))
		_, err := p.admin.Change(r.Context(), by, id, readChange(form))
		return adminUserPath(id), err
	}
}

// nameChange returns the change that sets only the name. Like rolesChange and stateChange, it changes one part of the
// account. Two administrators who change different parts therefore don't overwrite each other's change.
func nameChange(form url.Values) admin.Change {
	return admin.Change{Name: new(strings.TrimSpace(form.Get("name")))}
}

// rolesChange replaces all roles. A role that another administrator adds while the form is open is lost, as in the API.
func rolesChange(form url.Values) admin.Change { return admin.Change{Roles: new(parseRoles(form))} }

// stateChange ignores the form. The path of the request determines whether the change disables or enables the account.
func stateChange(disabled bool) func(url.Values) admin.Change {
	return func(url.Values) admin.Change { return admin.Change{Disabled: &disabled} }
}

// deleteUser deletes the account and returns the path of the list of accounts. For some days, the path of the deleted
// account still shows why its sessions ended.
func (p *adminPages) deleteUser(r *http.Request, by admin.Caller, _ url.Values) (string, error) {
	return pathAdminPages + "/users", p.admin.Delete(r.Context(), by, watchword.UserID(r.PathValue("id")))
}

// mailUser sends a link of the given kind. The page never shows the link, because the administrator could use it to
// sign in as the user.
func (p *adminPages) mailUser(kind watchword.MailKind) changeFunc {
	return func(r *http.Request, by admin.Caller, _ url.Values) (string, error) {
		id := watchword.UserID(r.PathValue("id"))
		return adminUserPath(id), p.admin.SendMail(r.Context(), by, id, kind)
	}
}

// resetFactors also ends the sessions of the user, because a lost phone may be signed in.
func (p *adminPages) resetFactors(r *http.Request, by admin.Caller, _ url.Values) (string, error) {
	id := watchword.UserID(r.PathValue("id"))
	if p.factors == nil {
		return "", &watchword.Error{Code: watchword.CodeNotFound, Detail: "This server has no second factors."}
	}
	// This handler calls package factors directly, because package admin can't import package factors.
	if err := p.admin.MayResetFactors(r.Context(), by, id); err != nil {
		return "", err
	}
	return adminUserPath(id), p.factors.Reset(r.Context(), by.Name(), id)
}

// endSessions ends the session in the path, or all sessions of the account if the path has no session. If the
// administrator's own session ends, the redirect leads to the sign-in and then back to the account.
func (p *adminPages) endSessions(r *http.Request, by admin.Caller, _ url.Values) (string, error) {
	id := watchword.UserID(r.PathValue("id"))
	_, err := p.admin.EndSessions(r.Context(), by, id, watchword.SessionID(r.PathValue("sid")))
	return adminUserPath(id), err
}
